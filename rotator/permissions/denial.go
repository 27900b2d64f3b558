package permissions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// pattern is a regular expression that is compiled when it is first needed: no function should pay for it at its start,
// since most never see a denial.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// The layers of policies, in the words that AWS's denials use. To AWS a key policy
// is a resource-based policy as well.
const (
	identityBased       = "identity-based policy"
	resourceBased       = "resource-based policy"
	permissionsBoundary = "permissions boundary"
	sessionPolicy       = "session policy"
	endpointPolicy      = "VPC endpoint policy"
	serviceControl      = "service control policy"
	resourceControl     = "resource control policy"
)

// Denial is what AWS says of a call that it denied: no more and no less. Others may
// deny as well, since AWS names one kind of policy alone.
type Denial struct {
	Principal string // ARN of the caller
	Action    string // secretsmanager:GetSecretValue
	Resource  string // as the caller named it: an ARN, an ARN without its last six characters, or a name

	// Layer is the kind of policy that decided, such as "identity-based policy", and
	// Explicit says that a statement of it denies, as opposed to none allowing.
	Layer    string
	Explicit bool
	// Through is a second kind, where AWS says that the first denies by way of it.
	Through string
	Policy  string // ARN of the policy that denies, where AWS names it

	// Key says that the secret may be used and its KMS key may not. AWS then names
	// neither the principal, nor the action, nor the key.
	Key bool
	// OldKey: the version is encrypted with a key that the secret had before.
	OldKey bool
	// NoKey: to AWS it may also be that there is no such key, or not in this Region.
	NoKey bool
}

// What AWS says, once line breaks are spaces. An Action, a Resource and a reason may
// each be missing; a layer may be one that is not known here.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var (
	deniedCall = pattern(`(?i)is not authorized to perform:? ["']?([\w-]+:[\w*]+)["']?` +
		`(?: on (?:this resource|resource:? ("[^"]+"|'[^']+'|\S+)))?` +
		`(?: because no ([a-z -]+?) allows the |( with an explicit deny)(?: in an? ([a-z -]+?(?:policy|boundary))(?: transitively through an? ([a-z -]+?(?:policy|boundary)))?(?:: ?(arn:[^\s,;)"]+))?)?)?`)
	deniedTo     = pattern(`(?i)(?:user|principal): ?"?([^\s"]+)"? is not authorized`)
	keyDenied    = pattern(`(?i)access to kms is not allowed`)
	oldKey       = pattern(`(?i)not encrypted with the current kms key`)
	keyOrPolicy  = pattern(`(?i)because the resource does not exist in this region, no resource-based policies allow access`)
	noSuchKey    = pattern(`(?i)the ciphertext refers to a customer master key that does not exist`)
	notInvocable = pattern(`(?i)secrets manager cannot invoke the specified lambda function`)
	assumedRole  = pattern(`^(arn:[a-z-]+):sts::([0-9]+):assumed-role/([^/]+)/`)
)

// ParseDenial reads what AWS says of a denied call, with whatever stands before and
// after it. It answers false for a text that is no denial.
func ParseDenial(text string) (Denial, bool) {
	// as a program shows it that quotes JSON
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), `\"`, `"`)
	if m := deniedCall().FindStringSubmatch(text); m != nil {
		d := Denial{Action: m[1], Resource: strings.TrimRight(strings.Trim(m[2], `"'`), ",;)"), Explicit: m[4] != "",
			Policy: strings.TrimRight(m[7], "."), NoKey: keyOrPolicy().MatchString(text)}
		d.Layer, d.Through = layer(m[3]+m[5]), layer(m[6])
		if who := deniedTo().FindStringSubmatch(text); who != nil {
			d.Principal = who[1]
		}
		return d, true
	}
	switch {
	case keyDenied().MatchString(text), noSuchKey().MatchString(text):
		return Denial{Key: true, OldKey: oldKey().MatchString(text), NoKey: noSuchKey().MatchString(text)}, true
	case notInvocable().MatchString(text):
		return Denial{Principal: "secretsmanager.amazonaws.com", Action: "lambda:InvokeFunction", Layer: resourceBased},
			true
	}
	return Denial{}, false
}

// layer spells a kind of policy as AWS does, whatever the case of its letters.
func layer(name string) string {
	all := []string{identityBased, resourceBased, permissionsBoundary, sessionPolicy, endpointPolicy, serviceControl,
		resourceControl}
	if i := slices.IndexFunc(all, func(known string) bool { return strings.EqualFold(known, name) }); i >= 0 {
		return all[i]
	}
	return name
}

// Reason is why AWS denied, in AWS's own words: "because no ... allows the action", or
// "with an explicit deny in ...". It is "" where AWS does not say.
func (d Denial) Reason() string {
	switch {
	case d.Layer == "" && d.Explicit:
		return "with an explicit deny"
	case d.Layer == "":
		return ""
	case !d.Explicit:
		return "because no " + d.Layer + " allows the action"
	}
	text := "with an explicit deny in " + article(d.Layer)
	if d.Through != "" {
		text += " transitively through " + article(d.Through)
	}
	return text
}

func article(noun string) string {
	if strings.HasPrefix(noun, "identity") {
		return "an " + noun
	}
	return "a " + noun
}

// Place is what a remedy has to name. Whatever is not known is empty.
type Place struct {
	// Secret is the secret's ARN with its last six characters. It has two values, of
	// which one is right, where it is not known whether the last six are there.
	Secret StringList
	// Key is the ARN of the secret's key, or an alias of it.
	Key string
	// Role is the ARN of the function's role, with its path.
	Role string
}

// Remedy is what to do after a denial: the statement to add, and where. There is none
// where a policy denies explicitly, which no Allow outweighs, nor where AWS does not
// say which policy decided. It is "" where nothing can be said.
func (d Denial) Remedy(p Place) string {
	switch {
	case d.Action == "":
		return ""
	case d.Explicit:
		return d.afterDeny()
	case d.Layer == "" && d.NoKey:
		return fmt.Sprintf("AWS names three causes and does not say which it is: the key is not in this Region, "+
			"its policy does not allow %s, or its policy denies it. Look at both: aws kms get-key-policy --key-id "+
			"KEY --policy-name default", d.Action)
	case d.Layer == "":
		return fmt.Sprintf("AWS does not say which policy decided: the role's policies, the permissions boundary, "+
			"and the policies of %s, of the VPC endpoint and of the organization all count. quarterturn preflight "+
			"--explain reads those that you may see", d.owner())
	}
	s, ok := d.statement(p)
	switch {
	case d.Layer == resourceBased && (!ok || !d.nameable()):
		return fmt.Sprintf("the resource policy of %s must allow %s%s", d.owner(), d.Action, d.whom())
	case !ok:
		return fmt.Sprintf("the %s must allow %s", d.Layer, d.Action)
	case d.Layer == identityBased:
		return fmt.Sprintf("add to the role of the function: %s", s)
	case d.Layer == resourceBased:
		text := fmt.Sprintf("add to the resource policy of %s: %s", d.owner(), d.naming(s, p.Role))
		if d.keyed() {
			text = fmt.Sprintf("add to the policy of the key: %s", d.naming(s, p.Role))
		}
		return text + d.beware(p.Role)
	case d.Layer == endpointPolicy, d.Layer == resourceControl: // these apply to the requests of all principals
		s.Principal = map[string]StringList{"AWS": {"*"}}
	}
	return fmt.Sprintf("let the %s allow it: %s", d.Layer, s)
}

// afterDeny says which statement to look for.
func (d Denial) afterDeny() string {
	const whatever = "It may be there on purpose: ask whose it is first. No Allow overrides a deny"
	where, layers := "", "the "+d.Layer
	if d.Policy != "" {
		where = ", " + d.Policy
	}
	switch {
	case d.Layer == "":
		return "a policy that AWS does not name denies it explicitly: find that statement. " + whatever
	case d.Through != "":
		layers += " and the " + d.Through
	case d.Layer == identityBased:
		layers = "an identity-based policy of the role"
	case d.Layer == resourceBased && d.keyed():
		layers = "the policy of the key"
	case d.Layer == resourceBased:
		layers = "the resource policy of " + d.owner()
	}
	return fmt.Sprintf("an explicit deny in %s%s: change that statement. %s", layers, where, whatever)
}

// OfSecretPolicy says whether it is the resource policy of the secret itself that decided.
func (d Denial) OfSecretPolicy() bool {
	return d.Layer == resourceBased && d.Through == "" && strings.HasPrefix(d.Action, "secretsmanager:") && !d.Key
}

// owner is what the denied action is about.
func (d Denial) owner() string {
	service, _, _ := strings.Cut(d.Action, ":")
	switch service {
	case "secretsmanager":
		return "the secret"
	case "kms":
		return "the key"
	case "lambda":
		return "the function"
	}
	return "the resource"
}

func (d Denial) keyed() bool { return strings.HasPrefix(d.Action, "kms:") }

// withoutResource are the actions of Secrets Manager that IAM knows no resource for.
var withoutResource = []string{"secretsmanager:BatchGetSecretValue", "secretsmanager:GetRandomPassword",
	"secretsmanager:ListSecrets"}

// statement allows what was denied, on the resource by its whole ARN. It answers false
// where that is not known.
func (d Denial) statement(p Place) (Statement, bool) {
	s := Statement{Effect: "Allow", Action: StringList{d.Action}}
	switch {
	case slices.Contains(withoutResource, d.Action):
		s.Resource = StringList{"*"}
	case strings.HasPrefix(d.Action, "secretsmanager:"):
		s.Resource = p.Secret
	case d.keyed() && len(p.Secret) == 1 && p.Key != "":
		s = KeyUseStatement(Secret{ARN: p.Secret[0], Key: p.Key}, d.Action)
	case strings.HasPrefix(d.Resource, "arn:"):
		s.Resource = StringList{d.Resource}
	}
	return s, len(s.Resource) > 0
}

// nameable says whether a policy can name who was denied: by ARN, or as a service of AWS. A caller without credentials
// is "anonymous" to AWS.
func (d Denial) nameable() bool {
	return d.Principal == "" || strings.HasPrefix(d.Principal, "arn:") || strings.Contains(d.Principal,
		".amazonaws.com")
}

func (d Denial) whom() string {
	switch {
	case !d.nameable():
		return ", and the call came without credentials: AWS names no caller but " + d.Principal
	case d.Principal == "":
		return ""
	}
	return " to " + RoleOf(d.Principal)
}

// naming gives a statement the principal that policies of resources need.
func (d Denial) naming(s Statement, role string) Statement {
	switch {
	case !strings.HasPrefix(d.Principal, "arn:") && d.Principal != "":
		s.Principal = map[string]StringList{"Service": {d.Principal}}
	case role == "":
		role = RoleOf(d.Principal)
		fallthrough
	default:
		s.Principal = map[string]StringList{"AWS": {role}}
	}
	if d.keyed() {
		s.Resource = StringList{"*"} // "this key", in the policy of a key
	}
	return s
}

// beware says that a role's path cannot be read from its session.
func (d Denial) beware(role string) string {
	m := assumedRole().FindStringSubmatch(d.Principal)
	if role != "" || m == nil {
		return ""
	}
	return pathUnknown(m[3])
}

// pathUnknown is what to add where a statement names a role without its path.
func pathUnknown(name string) string {
	return fmt.Sprintf(". If the role has a path, that belongs before its name: aws iam get-role --role-name %s "+
		"--query Role.Arn", name)
}

// InKeyPolicy is the statement as the policy of a key has it, for a caller by the ARN of
// its session, with what to mind: that ARN does not show the path of the role.
func InKeyPolicy(s Statement, session string) string {
	return s.WithPrincipal(RoleOf(session)).String() + Denial{Principal: session}.beware("")
}

// RoleOf is the role of a session, as far as the session's ARN tells: without the path
// of the role. Any other ARN is itself.
func RoleOf(arn string) string {
	if m := assumedRole().FindStringSubmatch(arn); m != nil {
		return m[1] + ":iam::" + m[2] + ":role/" + m[3]
	}
	return arn
}

// secretSuffix ends the ARN of a secret: six random characters. A name may end alike.
var secretSuffix = pattern(`-[A-Za-z0-9]{6}$`)

// word is a suffix that is more likely the end of a name ("db-secret", "app-202611").
var word = pattern(`-([A-Z]?[a-z]+|[A-Z]+|[0-9]+)$`)

// SecretARN is the whole ARN of a secret by what a caller sent for it: an ARN, an ARN
// without its last six characters, or a name, which is one of the caller's account and
// Region. Question marks stand for characters that are not known, and where it cannot be
// told whether they are there, both ARNs are given, the likelier first. sure says that
// there was nothing to guess.
func SecretARN(id, caller, region string) (arns StringList, sure bool) {
	if !strings.HasPrefix(id, "arn:") {
		partition, account := field(caller, 1), field(caller, 4)
		if id == "" || partition == "" || account == "" || region == "" {
			return nil, false
		}
		return StringList{"arn:" + partition + ":secretsmanager:" + region + ":" + account + ":secret:" + id +
			"-??????"}, false
	}
	switch {
	case !secretSuffix().MatchString(id):
		return StringList{id + "-??????"}, false
	case word().MatchString(id):
		return StringList{id + "-??????", id}, false
	}
	return StringList{id}, true
}

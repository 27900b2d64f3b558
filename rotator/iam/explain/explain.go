// Package explain tells a person why AWS denied a call of a rotation function. It is
// for programs that people run, with their own credentials: the function itself says
// what AWS's denial says, and neither reads policies nor may.
//
//	e := explain.Explainer{Config: cfg} // cfg.Region is the secret's
//	x, err := e.Explain(ctx, explain.Call{
//		Denial:   finding.Detail,  // the text in which AWS's denial stands
//		SecretID: report.Secret,   // of the superuser secret, where that was read
//		Role:     configuration.Role, // lambda:GetFunctionConfiguration; needed after denials by KMS
//		Function: configuration.FunctionArn,
//	})
//	fmt.Print(x.Text())
//
// What AWS says is the verdict: nothing here contradicts the layer that AWS named. What
// is added is a reading of the policies that the person may see: those of the role, with
// its boundary, of the secret, of the key, the key's grants, and what IAM's simulator says.
// permissions.Rotation.ExplainPolicy lists what that takes; what may not be read is named
// in NotRead, and the answer says less. Keys that only the request knows (the VPC
// endpoint, the address, the organization) are unknown: a statement that asks for one is
// said to depend on it.
package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

// Explainer asks AWS with the credentials of a person. It is safe for concurrent use.
type Explainer struct {
	Config aws.Config
}

// Call is a call that AWS denied, as far as it is known. Denial alone is required.
type Call struct {
	// Denial is the text in which AWS's denial stands: an error, the detail of a finding,
	// a line of the log.
	Denial string
	// Operation is the call, such as PutSecretValue. After a denial by KMS it says what was
	// asked of the key. "": read from Denial, where it stands in front.
	Operation string
	SecretID  string // ARN or name; "": the one in Denial
	Label     string // the staging label that the call named; "": not known
	Role      string // ARN or name of the function's role; "": the principal of Denial
	Function  string // ARN of the function; "": not known
	// At is when AWS denied it, for policies that ask for the time. Zero: not known.
	At time.Time
}

// Explanation is AWS's verdict and what could be found out about it.
type Explanation struct {
	Denial permissions.Denial // what AWS said; after a denial by KMS with the action and the key
	Role   string             // ARN, with its path where IAM was asked
	Secret string             // ARN
	// Causes are the statements that denied, or that may have. There are none where no
	// statement allows.
	Causes []Cause
	// Sentences are for people, the verdict first.
	Sentences []string
	// NotRead are the policies that count and were not read, each with the reason.
	NotRead []string
}

// Cause is a statement that denies, or would allow.
type Cause struct {
	Layer     iam.Layer
	Policy    string
	Statement string
	// Depends are the condition keys that are not known here and the statement asks for. Empty: it applies.
	Depends []string
}

// Text is the explanation for a terminal, a sentence a line.
func (x Explanation) Text() string {
	var b strings.Builder
	for _, s := range x.Sentences {
		fmt.Fprintln(&b, s)
	}
	if len(x.NotRead) > 0 {
		fmt.Fprintf(&b, "Not read: %s.\n", strings.Join(x.NotRead, "; "))
	}
	return b.String()
}

// ErrNoDenial says that a text holds no denial of AWS's.
var ErrNoDenial = errors.New("the text holds no denial by AWS")

// Explain reads the policies in force. Its only error is ErrNoDenial: what may not be
// read is left out of the answer.
func (e Explainer) Explain(ctx context.Context, c Call) (Explanation, error) {
	d, ok := permissions.ParseDenial(c.Denial)
	if !ok {
		return Explanation{}, ErrNoDenial
	}
	r := reading{e: e, call: c, x: Explanation{Denial: d}}
	r.locate(ctx)
	r.collect(ctx)
	r.judge()
	r.simulate(ctx)
	return r.x, nil
}

// reading is one explanation on its way.
type reading struct {
	e    Explainer
	call Call
	x    Explanation

	request   iam.Request
	layers    iam.Layers
	pathless  bool // the path of the role is not known
	described bool // the secret was
	key       string
}

func (r *reading) say(format string, args ...any) {
	r.x.Sentences = append(r.x.Sentences, fmt.Sprintf(format, args...))
}

func (r *reading) notRead(what string, err error) {
	r.x.NotRead = append(r.x.NotRead, what+" ("+reason(err)+")")
}

// layerOf is the layer of AWS's words.
func (r *reading) layerOf(name string) iam.Layer {
	for _, l := range []iam.Layer{iam.LayerRCP, iam.LayerSCP, iam.LayerVPCEndpoint, iam.LayerIdentity,
		iam.LayerSession} {
		if name == string(l)+" policy" {
			return l
		}
	}
	switch {
	case name == string(iam.LayerBoundary):
		return iam.LayerBoundary
	case name == "resource-based policy" && r.keyed():
		return iam.LayerKey
	case name == "resource-based policy":
		return iam.LayerResource
	}
	return ""
}

func (r *reading) keyed() bool { return strings.HasPrefix(r.request.Action, "kms:") }

// judge puts the verdict first, and then what the policies that were read say to it.
func (r *reading) judge() {
	d := r.x.Denial
	on := r.request.Action + " on " + r.request.Resource
	who := r.x.Role
	if who == "" {
		who = d.Principal
	}
	decision := iam.Evaluate(r.request, r.layers)
	layer := r.layerOf(d.Layer)
	switch {
	case d.Key:
		r.say("AWS's verdict: the secret is accessible to %s, but KMS denied %s. AWS does not say which policy "+
			"decided.", who, on)
		r.unsaid(decision)
	case d.Layer == "" && d.Explicit:
		r.say("AWS's verdict: a statement explicitly denies %s to %s. AWS does not say in which policy.", on, who)
		r.denials(decision, "")
	case d.Layer == "":
		r.say("AWS's verdict: %s is denied to %s. AWS does not say which policy decided.", on, who)
		r.unsaid(decision)
	case d.Explicit:
		r.say("AWS's verdict: %s is denied to %s %s%s.", on, who, d.Reason(), policyNamed(d.Policy))
		r.denials(decision, layer)
	default:
		r.say("AWS's verdict: %s is implicitly denied to %s: no %s allows it.", on, who, d.Layer)
		r.allows(decision, layer)
	}
	if remedy := d.Remedy(r.place()); remedy != "" && d.Layer != "" {
		r.say("To fix it: %s.", remedy)
	}
}

func policyNamed(arn string) string {
	if arn == "" {
		return ""
	}
	return ", " + arn
}

func (r *reading) place() permissions.Place {
	p := permissions.Place{Key: r.key}
	if !r.pathless {
		p.Role = r.x.Role
	}
	if r.x.Secret != "" {
		p.Secret = permissions.StringList{r.x.Secret}
	}
	return p
}

// add keeps a statement as a cause, and says what it does.
func (r *reading) add(s iam.StatementResult) {
	c := Cause{Layer: s.Layer, Policy: s.Policy, Statement: s.Statement, Depends: slices.Clone(s.Depends)}
	if r.pathless && (s.Layer == iam.LayerResource || s.Layer == iam.LayerKey) {
		c.Depends = append(c.Depends, "the path of the role")
	}
	same := func(o Cause) bool { return o.Layer == c.Layer && o.Policy == c.Policy && o.Statement == c.Statement }
	if slices.ContainsFunc(r.x.Causes, same) {
		return
	}
	r.x.Causes = append(r.x.Causes, c)
	r.say("%s.", capital(s.Sentence()))
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// denials are the statements that deny in a layer, or in any ("").
func (r *reading) denials(d iam.Decision, layer iam.Layer) {
	found := false
	for _, certain := range []bool{true, false} {
		for _, s := range d.Trace {
			if s.Effect == "Deny" && (layer == "" || s.Layer == layer) && s.Matched == certain &&
				(certain || len(s.Depends) > 0) && r.named(s) {
				if certain || !found {
					r.add(s)
					found = found || certain
				}
			}
		}
	}
	if len(r.x.Causes) > 0 {
		return
	}
	switch read := r.readable(layer); {
	case layer == "":
		r.say("No statement of the policies that were read denies it: it is in one that was not read, " +
			"or was changed since.")
	case !read:
		r.say("No %s could be read here.", r.x.Denial.Layer)
	default:
		r.say("No statement of the %s that was read denies it now: the statement was changed since, or is in another "+
			"policy of this kind.", r.x.Denial.Layer)
	}
}

// named holds a statement to the policy that AWS named, if it named one.
func (r *reading) named(s iam.StatementResult) bool {
	return r.x.Denial.Policy == "" || s.Policy == r.x.Denial.Policy || !strings.HasPrefix(s.Policy, "arn:")
}

// allows says of a layer in which no statement allows what comes nearest.
func (r *reading) allows(d iam.Decision, layer iam.Layer) {
	if !r.readable(layer) {
		r.say("No %s could be read here.", r.x.Denial.Layer)
		return
	}
	for _, s := range d.Trace {
		switch {
		case s.Layer != layer || s.Effect != "Allow" || s.Statement == "":
		case s.Matched:
			r.say("%s, as it stands now: it was added after the denial, or has not taken effect everywhere yet. "+
				"Try again.", capital(s.Sentence()))
			return
		case len(s.Depends) > 0:
			r.add(s)
		}
	}
	if s, ok := d.Nearest(layer); ok && len(r.x.Causes) == 0 {
		r.say("The nearest statement %s", strings.TrimSuffix(nearest(s), ".")+".")
	}
}

func nearest(s iam.StatementResult) string {
	return "is " + strings.Replace(s.Sentence(), " does not apply: ", ", ", 1)
}

// unsaid reads all that can be read, as AWS named no layer.
func (r *reading) unsaid(d iam.Decision) {
	depends := d.Depends
	if r.pathless {
		depends = append(slices.Clone(depends), "the path of the role")
	}
	switch {
	case r.managedKey() && account(r.x.Role) != account(r.x.Secret):
		r.say("The secret is encrypted with aws/secretsmanager, which only account %s can use. Give the secret a "+
			"customer managed key: aws secretsmanager update-secret --secret-id '%s' --kms-key-id KEY-ARN.",
			account(r.x.Secret), r.x.Secret)
	case d.Allowed:
		r.say("The policies that were read allow it: what denies it is one that was not read, or was changed since.")
	case len(depends) > 0:
		for _, s := range d.Trace {
			if (s.Matched || len(s.Depends) > 0) && s.Effect == "Deny" || len(s.Depends) > 0 && s.Statement != "" {
				r.add(s)
			}
		}
		r.say("Of the policies that were read: %s.", d.Reason())
		if r.pathless {
			r.say("The path of the role is not known, and policies may name the role with it.")
		}
	case d.Explicit:
		r.denials(d, "")
	default:
		r.say("Of the policies that were read: %s.", d.Reason())
		lacks := permissions.Denial{Principal: r.request.Principal.ARN, Action: r.request.Action,
			Layer: layerName(d.Layer)}
		r.say("To fix it: %s.", lacks.Remedy(r.place()))
	}
}

// layerName is a layer in AWS's words.
func layerName(l iam.Layer) string {
	switch l {
	case iam.LayerBoundary:
		return string(l)
	case iam.LayerKey:
		return "resource-based policy"
	}
	return string(l) + " policy"
}

// readable says whether a policy of a layer was read.
func (r *reading) readable(layer iam.Layer) bool {
	unread := func(p *iam.NamedPolicy) bool { return p == nil || p.Unread }
	switch layer {
	case iam.LayerIdentity:
		return !slices.ContainsFunc(r.layers.Identity, func(p iam.NamedPolicy) bool { return p.Unread })
	case iam.LayerBoundary:
		return !unread(r.layers.Boundary)
	case iam.LayerResource:
		return !unread(r.layers.Resource)
	case iam.LayerKey:
		return r.layers.Key != nil && !r.layers.Key.Policy.Unread
	}
	return false
}

package permissions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Input is what a person gives to have the policies of a rotation printed, as text: the
// fields are the flags of `quarterturn policies`. Policies checks them, each by itself
// and against the others, since a policy with an ARN that does not fit is useless in
// silence.
type Input struct {
	Secret       string // ARN, or a pattern of ARNs
	Key          string // ARN of its customer managed key; "" is aws/secretsmanager
	Superuser    string // ARN of the superuser secret
	SuperuserKey string
	Database     string // ARN of the RDS instance or cluster whose managed secret Superuser is
	Role         string // ARN of the function's role, with its path
	Function     string // ARN of the function; a version or an alias may follow
	Reader       string // ARN of the role of an application that reads the secret
	Labels       string // staging labels that it may read, by comma; "" is AWSCURRENT
	Regions      string // that secrets may be replicated to, by comma; "" is none

	VPC            bool // the function is in a VPC
	OnlyConfigured bool // see Rotation
}

// Attachment is a policy and where it goes.
type Attachment struct {
	To     string
	Policy Policy
}

// String is the attachment as the program prints it: a comment and a document.
func (a Attachment) String() string { return "# " + a.To + "\n" + a.Policy.String() + "\n" }

// Policies are in the order in which a person who sets rotation up needs them. An error
// is one line that begins with the flag which is wrong.
func (in Input) Policies() ([]Attachment, error) {
	c := checker{}
	r, reader, regions := c.read(in)
	if c.err != nil {
		return nil, c.err
	}
	all := []Attachment{
		{"the role of the function", r.RolePolicy()},
		{"the role of the function, for Lambda itself. Its log group, once: aws logs create-log-group " +
			"--log-group-name " + logGroupName(r.Function), r.RuntimePolicy(in.VPC)},
		{"the function (aws lambda add-permission)", r.FunctionPolicy()},
		{"the role of the person or pipeline that sets rotation up", r.OperatorPolicy()},
		{"the role of the person who asks why a call was denied: quarterturn preflight --explain", r.ExplainPolicy()},
	}
	add := func(apply bool, to string, p func() Policy) {
		if apply {
			all = append(all, Attachment{to, p()})
		}
	}
	foreign := func(principal, arn string) bool { return field(principal, 4) != field(arn, 4) }
	add(foreign(r.Role, r.Secret.ARN), "the secret, as the role is of another account", r.ResourcePolicy)
	add(r.Secret.Key != "", "the key, in addition, where its policy does not leave that to IAM, or the key is of "+
		"another account than the role", r.KeyPolicy)
	add(r.Superuser.ARN != "" && foreign(r.Role, r.Superuser.ARN), "the superuser secret, as the role is of another "+
		"account", r.SuperuserResourcePolicy)
	add(r.Superuser.Key != "", "the superuser secret's key, in addition, in the same cases", r.SuperuserKeyPolicy)
	add(reader.Principal != "", "the role of the application", reader.IdentityPolicy)
	add(reader.Principal != "" && foreign(reader.Principal, reader.Secret.ARN), "the secret, as the application is "+
		"of another account", reader.ResourcePolicy)
	add(reader.Principal != "" && reader.Secret.Key != "", "the key, in addition, for the application",
		reader.KeyPolicy)
	add(true, "an organization or a role: where secrets may be replicated to", func() Policy {
		return DenyReplication(regions...)
	})
	return all, nil
}

// arn is an ARN in its parts.
type arn struct{ text, partition, service, region, account, resource string }

func splitARN(s string) (arn, bool) {
	p := strings.SplitN(s, ":", 6)
	if len(p) < 6 || p[0] != "arn" {
		return arn{}, false
	}
	return arn{s, p[1], p[2], p[3], p[4], p[5]}, true
}

// checker keeps the first thing that is wrong.
type checker struct{ err error }

func (c *checker) fail(flag, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("--"+flag+": "+format, args...)
	}
}

func (c *checker) read(in Input) (r Rotation, reader SecretReader, regions []string) {
	for _, f := range []struct{ flag, value string }{{"secret", in.Secret}, {"role", in.Role},
		{"function", in.Function}} {
		if strings.TrimSpace(f.value) == "" {
			c.fail(f.flag, "missing: the ARN of the %s is needed", f.flag)
			return r, reader, nil
		}
	}
	secret := c.secret("secret", in.Secret)
	role := c.role("role", in.Role)
	function := c.function("function", in.Function)
	c.together("function", function, "secret", secret, true)
	c.together("role", role, "secret", secret, false)
	if role.account != function.account {
		c.fail("role", "it is of account %s, and the function of %s: Lambda takes a role of its own account only",
			role.account, function.account)
	}
	r = Rotation{Role: role.text, Function: function.text, OnlyConfigured: in.OnlyConfigured}
	r.Secret = Secret{ARN: secret.text, Key: c.key("key", in.Key, "secret", secret, role)}
	c.superuser(in, &r, secret, role)
	if reader.Principal = c.reader(in, secret); reader.Principal != "" {
		reader.Secret = r.Secret
		reader.Labels = c.labels(in.Labels)
	} else if in.Labels != "" {
		c.fail("labels", "they are those that an application may read: give its role as --reader")
	}
	return r, reader, c.regions(in.Regions, secret)
}

var (
	partitionForm = pattern(`^aws(-[a-z]+)*$`)
	regionForm    = pattern(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	accountForm   = pattern(`^[0-9]{12}$`)
)

// parse reads an ARN, and says of what is none of that service how to find one.
func (c *checker) parse(flag, text, service, find string) (a arn) {
	text = strings.TrimSpace(text)
	a, ok := splitARN(text)
	switch {
	case !ok && strings.HasPrefix(text, "arn:"):
		c.fail(flag, "%s is not a whole ARN", text)
	case !ok:
		c.fail(flag, "%q is not an ARN. %s", text, strings.ReplaceAll(find, "NAME", text))
	case strings.ContainsAny(text, " \t\r\n,;\"'"):
		c.fail(flag, "%q: one ARN is wanted, without spaces, commas or quotes", text)
	case a.service != service:
		c.fail(flag, "%s is %s%s", text, nameOf(a), meant(a, flag))
	case !partitionForm().MatchString(a.partition):
		c.fail(flag, "%s: %q is not a partition of AWS", text, a.partition)
	case !accountForm().MatchString(a.account):
		c.fail(flag, "%s: %q is not an account: twelve digits are wanted", text, a.account)
	case service == "iam" && a.region != "":
		c.fail(flag, "%s: ARNs of IAM have no Region", text)
	case service != "iam" && !regionForm().MatchString(a.region):
		c.fail(flag, "%s: %q is not a Region", text, a.region)
	case service != "iam" && !inPartition(a.region, a.partition):
		c.fail(flag, "%s: Region %s is not one of partition %s", text, a.region, a.partition)
	default:
		return a
	}
	return arn{}
}

// inPartition knows the partitions whose Regions have a prefix of their own.
func inPartition(region, partition string) bool {
	own := map[string]string{"cn": "aws-cn", "us-gov": "aws-us-gov", "us-iso": "aws-iso", "us-isob": "aws-iso-b",
		"eu-isoe": "aws-iso-e", "us-isof": "aws-iso-f", "eusc": "aws-eusc"}
	for prefix, p := range own {
		if own := strings.HasPrefix(region, prefix+"-"); own || p == partition {
			return own && p == partition
		}
	}
	return true
}

// nameOf says what an ARN is of.
func nameOf(a arn) string {
	kind, _, _ := strings.Cut(a.resource, ":")
	kind, _, _ = strings.Cut(kind, "/")
	switch a.service {
	case "secretsmanager":
		return "the ARN of a secret"
	case "lambda":
		return "the ARN of a Lambda " + kind
	case "kms":
		return "the ARN of a KMS " + kind
	case "rds":
		return "the ARN of an RDS " + kind
	case "iam":
		return "the ARN of an IAM " + kind
	case "sts":
		return "the ARN of a session"
	}
	return fmt.Sprintf("an ARN of service %q", a.service)
}

// meant is the flag that an ARN is for, if it is for another.
func meant(a arn, flag string) string {
	other := ""
	switch {
	case a.service == "secretsmanager":
		other = "secret"
	case a.service == "lambda":
		other = "function"
	case a.service == "kms":
		other = "key"
	case a.service == "rds":
		other = "database"
	case a.service == "iam" && strings.HasPrefix(a.resource, "role/"):
		other = "role"
	case a.service == "sts":
		return ". Give the role's own ARN: aws iam get-role --role-name " + sessionRole(a) + " --query Role.Arn " +
			"--output text"
	}
	if other == "" || other == flag {
		return ""
	}
	return ": it belongs to --" + other
}

func sessionRole(a arn) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(a.resource, "assumed-role/"), "/")
	return name
}

var secretName = pattern(`^[A-Za-z0-9/_+=.@!?*-]+$`)

func (c *checker) secret(flag, text string) arn {
	a := c.parse(flag, text, "secretsmanager", "Its ARN: aws secretsmanager describe-secret --secret-id NAME --query "+
		"ARN --output text")
	if a.text == "" {
		return a
	}
	name, ok := strings.CutPrefix(a.resource, "secret:")
	switch {
	case !ok || name == "":
		c.fail(flag, "%s is not the ARN of a secret", a.text)
	case !secretName().MatchString(name):
		c.fail(flag, "%s: a secret's name has letters, digits and /_+=.@- alone", a.text)
	case strings.HasPrefix(name, "*"), strings.HasPrefix(name, "?"):
		c.fail(flag, "%s: the pattern would be of every secret of the account: name at least its beginning", a.text)
	case strings.HasSuffix(name, "*"): // stands for the six characters too
	case !regexp.MustCompile(`-[A-Za-z0-9?]{6}$`).MatchString(name):
		c.fail(flag, "%s lacks the six characters at the end of a secret's ARN: give them, or %s-??????", a.text,
			a.text)
	case word().MatchString(name):
		c.fail(flag, "%s seems to lack the six random characters at the end of a secret's ARN, for %q reads like a "+
			"part of the name: give the whole ARN, or %s-??????", a.text, name[len(name)-6:], a.text)
	case flag == "secret" && strings.HasPrefix(name, "rds!"):
		c.fail(flag, "%s is a secret that RDS manages and rotates itself", a.text)
	}
	return a
}

var (
	roleForm = pattern(`^role/([!-~]+/)?[A-Za-z0-9+=,.@_-]{1,64}$`)
	userForm = pattern(`^user/([!-~]+/)?[A-Za-z0-9+=,.@_-]{1,64}$`)
)

func (c *checker) role(flag, text string) arn {
	a := c.parse(flag, text, "iam", "Its ARN: aws iam get-role --role-name NAME --query Role.Arn --output text")
	if a.text != "" && !(roleForm().MatchString(a.resource) || flag == "reader" && userForm().MatchString(a.resource)) {
		c.fail(flag, "%s is not the ARN of one role%s", a.text, notRole(a))
	}
	return a
}

func notRole(a arn) string {
	if strings.ContainsAny(a.resource, "*?") {
		return ": wildcards are not allowed here"
	}
	if a.resource == "root" {
		return ", but that of an account"
	}
	return ", but " + nameOf(a)
}

var functionForm = pattern(`^function:([A-Za-z0-9_-]{1,140})(:[A-Za-z0-9_-]+)?$`)

func (c *checker) function(flag, text string) arn {
	a := c.parse(flag, text, "lambda", "Its ARN: aws lambda get-function-configuration --function-name NAME --query "+
		"FunctionArn --output text")
	switch {
	case a.text == "", functionForm().MatchString(a.resource):
	case strings.ContainsAny(a.resource, "*?"):
		c.fail(flag, "%s: one function is wanted, without wildcards", a.text)
	case strings.HasSuffix(a.resource, ":$LATEST"):
		c.fail(flag, "%s: Lambda takes no policy for $LATEST: leave it out, or give a version or an alias", a.text)
	default:
		c.fail(flag, "%s is not the ARN of a function", a.text)
	}
	return a
}

// together holds an ARN to the partition of another, and to its Region.
func (c *checker) together(flag string, a arn, other string, b arn, region bool) {
	switch {
	case a.text == "" || b.text == "":
	case a.partition != b.partition:
		c.fail(flag, "it is of partition %s, and --%s of %s", a.partition, other, b.partition)
	case region && a.region != b.region:
		c.fail(flag, "it is in Region %s, and --%s in %s: they must be in one Region", a.region, other, b.region)
	}
}

var keyID = pattern(`^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// key is the ARN of a secret's key. user is who uses it: from another account than the
// secret's, there must be one.
func (c *checker) key(flag, text, of string, secret, user arn) string {
	text = strings.TrimSpace(text)
	const find = "aws kms describe-key --key-id %s --region %s --query KeyMetadata.Arn --output text"
	switch {
	case text == "" && secret.account != user.account && secret.text != "":
		c.fail(flag, "missing: --%s is of account %s and the role of %s, and aws/secretsmanager cannot be used from "+
			"another account. The secret needs a customer managed key, and this flag its ARN", of, secret.account,
			user.account)
		return ""
	case text == "":
		return ""
	case strings.HasSuffix(text, "alias/aws/secretsmanager"):
		c.fail(flag, "aws/secretsmanager is the key that AWS manages, which needs no permission: leave --%s out", flag)
		return ""
	case strings.HasPrefix(text, "alias/"):
		c.fail(flag, "%s is an alias, and a policy needs the ARN of the key: "+find, text, text, secret.region)
		return ""
	case keyID().MatchString(text):
		c.fail(flag, "%s is the id of a key, and a policy needs its ARN: "+find, text, text, secret.region)
		return ""
	}
	a := c.parse(flag, text, "kms", "The key of the secret: aws secretsmanager describe-secret --secret-id '"+
		secret.text+"' --query KmsKeyId --output text")
	switch id, ok := strings.CutPrefix(a.resource, "key/"); {
	case a.text == "":
	case strings.HasPrefix(a.resource, "alias/"):
		c.fail(flag, "%s is the ARN of an alias, and a policy needs that of the key: "+find, a.text, a.text, a.region)
	case !ok || !regexp.MustCompile(`^[A-Za-z0-9-]+$`).MatchString(id):
		c.fail(flag, "%s is not the ARN of one key", a.text)
	}
	c.together(flag, a, of, secret, true)
	return a.text
}

func (c *checker) superuser(in Input, r *Rotation, secret, role arn) {
	if strings.TrimSpace(in.Superuser) == "" {
		if in.SuperuserKey != "" {
			c.fail("superuser-key", "it is of no use without --superuser")
		}
		if in.Database != "" {
			c.fail("database", "it is of no use without --superuser")
		}
		return
	}
	superuser := c.secret("superuser", in.Superuser)
	c.together("superuser", superuser, "secret", secret, true)
	switch {
	case superuser.text == "" || secret.text == "":
	case superuser.text == secret.text:
		c.fail("superuser", "it is the secret itself: a superuser secret is another one")
	case covers(secret.text, superuser.text):
		c.fail("secret", "the pattern is also of --superuser, so that the role could write the superuser secret")
	}
	r.Superuser = Secret{ARN: superuser.text, Key: c.key("superuser-key", in.SuperuserKey, "superuser", superuser,
		role)}
	managed := strings.HasPrefix(superuser.resource, "secret:rds!")
	if in.Database == "" {
		if managed {
			c.fail("database", "missing: RDS manages the superuser secret, which does not say where its database is. "+
				"Give the ARN of the instance or cluster")
		}
		return
	}
	database := c.parse("database", in.Database, "rds", "Its ARN: aws rds describe-db-instances "+
		"--db-instance-identifier NAME --query 'DBInstances[].DBInstanceArn' --output text")
	if database.text != "" && !regexp.MustCompile(`^(db|cluster):[A-Za-z0-9-]+$`).MatchString(database.resource) {
		c.fail("database", "%s is not the ARN of one instance (:db:) or cluster (:cluster:)", database.text)
	}
	kind, _, _ := strings.Cut(database.resource, ":")
	if owner, _, ok := strings.Cut(strings.TrimPrefix(superuser.resource, "secret:rds!"), "-"); ok && managed &&
		database.text != "" && owner != kind {
		c.fail("database", "%s is %s, and --superuser the secret of %s: its name begins with rds!%s-", database.text,
			ofRDS[kind], ofRDS[owner], owner)
	}
	c.together("database", database, "superuser", superuser, true)
	if database.text != "" && superuser.text != "" && database.account != superuser.account {
		c.fail("database", "it is of account %s, and --superuser of %s: RDS keeps both in one account",
			database.account, superuser.account)
	}
	r.Database = database.text
}

// ofRDS are the owners of secrets that RDS manages, by the beginning of their ARNs and of the secrets' names.
var ofRDS = map[string]string{"db": "an instance", "cluster": "a cluster"}

// covers says whether a pattern of ARNs is of this one too.
func covers(wildcards, arn string) bool {
	form := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(wildcards))
	return regexp.MustCompile("^" + form + "$").MatchString(arn)
}

func (c *checker) reader(in Input, secret arn) string {
	if strings.TrimSpace(in.Reader) == "" {
		return ""
	}
	reader := c.role("reader", in.Reader)
	c.together("reader", reader, "secret", secret, false)
	if reader.text != "" && reader.text == strings.TrimSpace(in.Role) {
		c.fail("reader", "it is the function's role, which may read the secret anyway: give the role of the "+
			"application")
	}
	if reader.text != "" && secret.text != "" && strings.TrimSpace(in.Key) == "" && reader.account != secret.account {
		c.fail("key", "missing: --secret is of account %s and --reader of %s, and aws/secretsmanager cannot be used "+
			"from another account. The secret needs a customer managed key, and this flag its ARN", secret.account,
			reader.account)
	}
	return reader.text
}

// labels are AWSCURRENT, where none are given.
func (c *checker) labels(text string) (all []string) {
	for _, label := range c.list("labels", text) {
		ours := []string{labelCurrent, labelPending, labelPrevious}
		i := slices.IndexFunc(ours, func(l string) bool { return strings.EqualFold(l, label) })
		switch {
		case i >= 0 && ours[i] != label:
			c.fail("labels", "%q: labels are case-sensitive: %s", label, ours[i])
		case i < 0 && strings.HasPrefix(strings.ToUpper(label), "AWS"):
			c.fail("labels", "%q is not a label of AWS: those are %s", label, strings.Join(ours, ", "))
		case strings.ContainsAny(label, "*?"):
			c.fail("labels", "%q: wildcards are not allowed here", label)
		case len(label) > 256:
			c.fail("labels", "a label has at most 256 characters")
		}
		all = append(all, label)
	}
	return all
}

func (c *checker) regions(text string, secret arn) []string {
	all := c.list("regions", text)
	for _, region := range all {
		switch {
		case !regionForm().MatchString(region):
			c.fail("regions", "%q is not a Region", region)
		case secret.text != "" && !inPartition(region, secret.partition):
			c.fail("regions", "%s is not a Region of partition %s", region, secret.partition)
		case region == secret.region:
			c.fail("regions", "%s is the Region of the secret itself", region)
		}
	}
	return all
}

// list reads a list by comma. Spaces around its items do not count.
func (c *checker) list(flag, text string) (all []string) {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		switch {
		case item == "":
			c.fail(flag, "%q: there is nothing between two commas, or at an end", text)
		case strings.ContainsAny(item, " \t\n;"):
			c.fail(flag, "%q: separate by commas", item)
		case slices.Contains(all, item):
			c.fail(flag, "%s is there twice", item)
		}
		all = append(all, item)
	}
	return all
}

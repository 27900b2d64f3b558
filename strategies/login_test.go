package strategies

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

func sample() Traits {
	return Traits{Name: "Sample", Engines: []string{"sample"}, Port: 7, Database: "db", CloneSuffix: "_clone",
		MaxUserBytes: 20}
}

func document(t *testing.T, text string) secret.Document {
	t.Helper()
	d, err := secret.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLogin(t *testing.T) {
	const base = `"engine":"sample","host":"h","username":"u","password":"p"`
	want := Login{Host: "h", Port: 7, Database: "db", User: "u"}
	for name, c := range map[string]struct {
		more   string
		change func(*Login)
	}{
		"defaults":             {``, func(*Login) {}},
		"port as a number":     {`,"port":5`, func(l *Login) { l.Port = 5 }},
		"port as text":         {`,"port":"5"`, func(l *Login) { l.Port = 5 }},
		"dbname":               {`,"dbname":"x"`, func(l *Login) { l.Database = "x" }},
		"dbname empty":         {`,"dbname":""`, func(*Login) {}},
		"dbname null":          {`,"dbname":null`, func(*Login) {}},
		"port null":            {`,"port":null`, func(*Login) {}},
		"port empty":           {`,"port":""`, func(*Login) {}},
		"a null server name":   {`,"tlsServerName":null`, func(*Login) {}},
		"ssl true":             {`,"ssl":true`, func(*Login) {}},
		"ssl True, as text":    {`,"ssl":"True"`, func(*Login) {}},
		"ssl false":            {`,"ssl":false`, func(l *Login) { l.TLS.Disabled = true }},
		"ssl FALSE, as text":   {`,"ssl":"FALSE"`, func(l *Login) { l.TLS.Disabled = true }},
		"ssl is something":     {`,"ssl":"no"`, func(*Login) {}}, // AWS: plaintext on failure; here: verified TLS
		"ssl is null":          {`,"ssl":null`, func(*Login) {}},
		"port 1":               {`,"port":1`, func(l *Login) { l.Port = 1 }},
		"port 65535":           {`,"port":"65535"`, func(l *Login) { l.Port = 65535 }},
		"a pooler that asks":   {`,"poolerForwardsLogins":true`, func(l *Login) { l.PoolerForwardsLogins = true }},
		"a pooler, perhaps":    {`,"poolerForwardsLogins":"perhaps"`, func(*Login) {}},
		"a database of 255":    {`,"dbname":"` + strings.Repeat("d", 255) + `"`, func(l *Login) { l.Database = strings.Repeat("d", 255) }},
		"a name for the CNAME": {`,"tlsServerName":"real"`, func(l *Login) { l.TLS.ServerName = "real" }},
	} {
		expect := want
		c.change(&expect)
		got, err := sample().parseLogin(document(t, "{"+base+c.more+"}"))
		if err != nil || got.Password.Reveal() != "p" {
			t.Errorf("%s: %v", name, err)
		}
		got.Password, expect.Password = secret.Password{}, secret.Password{}
		if got.Host != expect.Host || got.Port != expect.Port || got.Database != expect.Database ||
			got.User != expect.User || got.TLS != expect.TLS ||
			got.PoolerForwardsLogins != expect.PoolerForwardsLogins {
			t.Errorf("%s: %+v, want %+v", name, got, expect)
		}
	}
}

func TestLoginRefuses(t *testing.T) {
	full := func(change ...string) string {
		m := map[string]string{"engine": `"sample"`, "host": `"h"`, "username": `"u"`, "password": `"canary-password"`}
		for i := 0; i < len(change); i += 2 {
			m[change[i]] = change[i+1]
		}
		var members []string
		for k, v := range m {
			if v != "" {
				members = append(members, `"`+k+`":`+v)
			}
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	for name, c := range map[string]struct{ text, says string }{
		"everything missing":      {`{}`, "engine, host, username, password"},
		"two keys missing":        {full("host", "", "password", ""), "host, password"},
		"empty text":              {full("username", `""`), "username"},
		"a number for text":       {full("host", `5`), "host"},
		"another engine":          {full("engine", `"mysql"`), `"mysql"`},
		"port 0":                  {full("port", `0`), "port"},
		"port 65536":              {full("port", `65536`), "port"},
		"port -1":                 {full("port", `-1`), "port"},
		"a port of true":          {full("port", `true`), "port"},
		"port of a fraction":      {full("port", `1.5`), "port"},
		"port as words":           {full("port", `"many"`), "port"},
		"a socket for a host":     {full("host", `"/tmp/.s"`), "host"},
		"hosts for a host":        {full("host", `"a,b"`), "host"},
		"a host with a line feed": {full("host", `"a\nforged"`), "host"},
		"a host with credentials": {full("host", `"x@y"`), "host"},
		"a long host":             {full("host", `"`+strings.Repeat("a", 256)+`"`), "host"},
		"a look-alike host":       {full("host", `"h\u0430"`), "host"},
		"a name and a port":       {full("host", `"db.test:5432"`), `store "db.test" as host and 5432 as port`},
		"an address and a port":   {full("host", `"10.0.0.1:5432"`), `store "10.0.0.1" as host and 5432 as port`},
		"IPv6 and a port":         {full("host", `"[::1]:5"`), `store "::1" as host and 5 as port`},
		"a host and a colon":      {full("host", `"db:"`), "not one host name"},
		"a path and a port":       {full("host", `"a/b:5"`), "not one host name"},
		"a host and a password":   {full("host", `"u:canary"`), "not one host name"},
		"dbname as a number":      {full("dbname", `0`), "dbname is a number: it must be a string"},
		"a server name of false":  {full("tlsServerName", `false`), "tlsServerName is a boolean"},
		"a host and a query":      {full("host", `"h?ssl=off"`), "host"},
		"a server name of two":    {full("tlsServerName", `"a,b"`), "tlsServerName"},
		"a server name, escaping": {full("tlsServerName", `"\u001b[2J"`), "tlsServerName"},
		"a long engine":           {full("engine", `"`+strings.Repeat("e", 60000)+`"`), "eee\", and"},
		"a long user":             {full("username", `"`+strings.Repeat("u", 60000)+`"`), "60000 bytes"},
		"a long database":         {full("dbname", `"`+strings.Repeat("d", 256)+`"`), "dbname"},
		"a user with a NUL":       {full("username", `"a\u0000b"`), "NUL"},
		"a user over the limit":   {full("username", `"`+strings.Repeat("u", 21)+`"`), "takes 20"},
		"a database with a NUL":   {full("dbname", `"a\u0000b"`), "NUL"},
	} {
		_, err := sample().parseLogin(document(t, c.text))
		if !errors.Is(err, rotator.KindMisconfigured) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want a Misconfigured error that says %q, got: %v", name, c.says, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || len(err.Error()) > 500) {
			t.Errorf("%s: the error shows the password, or too much", name)
		}
	}
}

// TestASuperuserIsNamedByAnARN: whatever else stands there is not shown, and not asked for.
func TestASuperuserIsNamedByAnARN(t *testing.T) {
	related := func(context.Context, string) (secret.Document, error) {
		t.Error("it was asked for")
		return secret.Document{}, nil
	}
	const secrets = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
	for _, arn := range []string{`a\nforged`, `\u0430rn:aws`, strings.Repeat("a", 2049), // for a log
		secrets + "x;forged", "$(forged)", secrets + "x forged", // for a command that status prints
		secrets + "*forged", secrets + "forged-??????"} { // for a statement to add to the role
		r := rotator.Rotation{Current: document(t, `{"masterarn":"`+arn+`"}`), ReadSecret: related}
		if _, _, err := superuserLogin(t.Context(), sample(), r, "", Login{}); !errors.Is(err,
			rotator.KindMisconfigured) || len(err.Error()) > 200 || strings.Contains(err.Error(), "forged") {
			t.Errorf("%.20s: %v", arn, err)
		}
	}
}

// TestAMasterARNOfAnotherKind is said to be what it is (as Terraform and RDS give it), and
// nothing is asked for.
func TestAMasterARNOfAnotherKind(t *testing.T) {
	const own = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"
	for name, c := range map[string]struct{ value, says string }{
		"absent":         {`""`, "key masterarn is missing"},
		"null":           {`null`, "key masterarn is missing"},
		"a list":         {`[{"secret_arn":"` + own + `"}]`, "masterarn is an array: it must be the ARN alone"},
		"an object":      {`{"secret_arn":"` + own + `"}`, "masterarn is an object: it must be the ARN alone"},
		"a number":       {`5`, "masterarn is a number"},
		"a space after":  {`"` + own + ` "`, "with white space around it"},
		"another kind":   {`"arn:aws:ssm:us-east-1:123456789012:secret:boss"`, "not the ARN of a secret"},
		"a policy":       {`"arn:aws:secretsmanager:us-east-1:123456789012:policy:boss"`, "not the ARN of a secret"},
		"an instance":    {`"arn:aws:rds:us-east-1:123456789012:db:db-1"`, "not the ARN of a secret"},
		"cut short":      {`"arn:aws:secretsmanager:us-east-1:123456789012"`, "not the ARN of a secret"},
		"another Region": {`"arn:aws:secretsmanager:eu-west-1:123456789012:secret:boss-AbCdEf"`, "in Region eu-west-1, and this function reads secrets in us-east-1"},
	} {
		r := rotator.Rotation{SecretARN: own, Current: document(t, `{"masterarn":`+c.value+`}`), ReadSecret: func(context.Context, string) (secret.Document, error) {
			t.Errorf("%s: it was asked for", name)
			return secret.Document{}, nil
		}}
		if _, _, err := superuserLogin(t.Context(), sample(), r, "", Login{}); !errors.Is(err,
			rotator.KindMisconfigured) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want an error that says %q: %v", name, c.says, err)
		} else if fixes := rotator.FixesOf(err); len(fixes) != 1 || strings.Count(fixes[0].Run, own) != 2 ||
			!strings.Contains(fixes[0].Run, `jq -c '.masterarn = "SUPERUSER-SECRET-ARN"'`) {
			t.Errorf("%s: to be run: %+v", name, fixes)
		}
	}
}

// TestNamingASuperuserSecretKeepsThePreviousVersion, which of a pair has the other user's password: what is printed is
// run, with aws and jq in its place that say what they are asked.
func TestNamingASuperuserSecretKeepsThePreviousVersion(t *testing.T) {
	for name, previous := range map[string]error{"one": nil, "none": rotator.KindNotFound, "not known": rotator.KindThrottled} {
		r := rotator.Rotation{SecretARN: "app", Current: document(t, `{}`),
			ReadPrevious: func(context.Context) (secret.Document, error) { return secret.Document{}, previous }}
		_, _, err := superuserLogin(t.Context(), sample(), r, "", Login{})
		fixes := rotator.FixesOf(err)
		if len(fixes) != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := exec.Command("sh", "-c", `jq() { cat; }
aws() { case "$*" in *AWSPREVIOUS*get*|*get*AWSPREVIOUS*) echo v1;; *get*AWSCURRENT*) echo v2;; *put-*) cat >&2;; *) echo "$*";; esac; }
`+fixes[0].Run).Output()
		want := "secretsmanager update-secret-version-stage --secret-id app --version-stage AWSPREVIOUS " +
			"--move-to-version-id v1 --remove-from-version-id v2\n"
		if name == "none" {
			want = ""
		}
		if err != nil || string(out) != want {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
}

// TestTheRegionOfASuperuserSecret is compared where an ARN says the secret's own.
func TestTheRegionOfASuperuserSecret(t *testing.T) {
	const boss = "arn:aws:secretsmanager:us-east-1:123456789012:secret:boss-AbCdEf"
	for _, own := range []string{"", "app", "a:b:c", strings.Replace(boss, "boss", "app", 1)} {
		got, err := superuserARN(rotator.Rotation{SecretARN: own, Current: document(t, `{"masterarn":"`+boss+`"}`)})
		if got != boss || err != nil {
			t.Errorf("%q: %q, %v", own, got, err)
		}
	}
}

// TestASuperuserOfTheSameServer: a superuser acts where its own secret says, which must be
// where the rotated secret's clients are, and it is no account that the rotation is of.
func TestASuperuserOfTheSameServer(t *testing.T) {
	const own = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"
	const boss = "arn:aws:secretsmanager:us-east-1:123456789012:secret:boss-AbCdEf"
	base := document(t, `{"engine":"sample","host":"h","username":"boss","password":"p","dbname":"admin"}`)
	app := Login{Host: "h", Port: 7, Database: "shop", User: "app"}
	replica, forwarded := app, app
	replica.Host, forwarded.PoolerForwardsLogins = "reader", true
	lookUp := func(err error) func(context.Context, secret.Document, string, int) error {
		return func(_ context.Context, d secret.Document, host string, port int) error {
			if d.Text("username") != "boss" || host != "reader" || port != 7 {
				t.Errorf("asked for %s:%d of the database of %s", host, port, d.Text("username"))
			}
			return err
		}
	}
	for name, c := range map[string]struct {
		named, fallback string // masterarn, SUPERUSER_SECRET_ARN
		superuser       secret.Document
		current         Login
		endpoint        func(context.Context, secret.Document, string, int) error
		asked           string
		want            Login // without its password
		kind            rotator.Kind
	}{
		"named": {boss, "other", base, app, nil, boss,
			Login{Host: "h", Port: 7, Database: "shop", User: "boss"}, ""},
		"a name": {"boss", "", base, app, nil, "boss",
			Login{Host: "h", Port: 7, Database: "shop", User: "boss"}, ""},
		"the function's": {"", boss, base, app, nil, boss, Login{Host: "h", Port: 7, Database: "shop",
			User: "boss"}, ""},
		"none": {"", "", base, app, nil, "", Login{}, rotator.KindMisconfigured},
		"it cannot be read": {boss, "", secret.Document{}, app, nil, boss, Login{},
			rotator.KindAccessDenied},
		"it is no login": {boss, "", base.Set("engine", "mysql"), app, nil, boss, Login{},
			rotator.KindMisconfigured},
		"another port": {boss, "", base.Set("port", "8"), app, nil, boss, Login{},
			rotator.KindConflict},
		"a reader": {boss, "", base, replica, lookUp(nil), boss,
			Login{Host: "h", Port: 7, Database: "shop", User: "boss"}, ""},
		"a stranger": {boss, "", base, replica, lookUp(rotator.KindConflict), boss, Login{},
			rotator.KindConflict},
		"a reader that is not known": {boss, "", base, replica, nil, boss, Login{}, rotator.KindConflict},
		"its own user": {boss, "", base.Set("username", "app"), app, nil, boss, Login{},
			rotator.KindNotEntitled},
		"a pair with its own user": {boss, "", base.Set("alternateUsername", "app"), app, nil, boss, Login{},
			rotator.KindNotEntitled},
		"a pooler, by the secret": {boss, "", base, forwarded, nil, boss,
			Login{Host: "h", Port: 7, Database: "shop", User: "boss", PoolerForwardsLogins: true}, ""},
		"a pooler, by the superuser's": {boss, "", base.Set("poolerForwardsLogins", "true"), app, nil, boss,
			Login{Host: "h", Port: 7, Database: "shop", User: "boss", PoolerForwardsLogins: true}, ""},
		"TLS is the superuser secret's": {boss, "", base.Set("tlsServerName", "real"), app, nil, boss,
			Login{Host: "h", Port: 7, Database: "shop", User: "boss", TLS: TLS{ServerName: "real"}}, ""},
	} {
		asked := ""
		r := rotator.Rotation{SecretARN: own, Current: document(t, `{"masterarn":"`+c.named+`"}`), IsEndpointOf: c.endpoint, ReadSecret: func(_ context.Context, id string) (secret.Document, error) {
			if asked = id; c.superuser.IsZero() {
				return secret.Document{}, rotator.KindAccessDenied
			}
			return c.superuser, nil
		}}
		got, d, err := superuserLogin(t.Context(), sample(), r, c.fallback, c.current, "app", "app_clone")
		if rotator.KindOf(err) != c.kind || asked != c.asked {
			t.Errorf("%s: asked for %q: %v", name, asked, err)
		}
		if err != nil {
			if named := strings.Contains(fmt.Sprint(rotator.FixesOf(err)), "SUPERUSER-SECRET-ARN"); named != (name != "it cannot be read") {
				t.Errorf("%s: a line that names another superuser secret: %t", name, named)
			}
			if c.kind == rotator.KindNotEntitled != errors.As(err, new(entitlementError)) {
				t.Errorf("%s: not as a preflight tells it: %v", name, err)
			}
			if c.kind == rotator.KindNotEntitled && (!strings.Contains(err.Error(), "either username in the secret to "+
				"rotate is wrong") || !strings.HasPrefix(rotator.FixesOf(err)[0].For, "if username is right, ")) {
				t.Errorf("%s: the superuser's user name may have been pasted: %v: %+v", name, err, rotator.FixesOf(err))
			}
			continue
		}
		if got.For == nil || got.For.secretARN != c.asked {
			t.Errorf("%s: an error of it would not name its secret: %+v", name, got.For)
		}
		password := got.Password.Reveal()
		got.Password, got.For = secret.Password{}, nil
		if !reflect.DeepEqual(got, c.want) || password != "p" || !d.Equal(c.superuser) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestHostName: which names may be dialled, at the edges of each range of letters.
func TestHostName(t *testing.T) {
	for name, want := range map[string]bool{
		"db-1.Test_0.AZ.az.09": true, "10.0.0.1": true, "::1": true, "fe80::1%eth0": true, "": true,
		strings.Repeat("a", 255): true,
		strings.Repeat("a", 256): false, "a:b": false, "a/b": false, "a@b": false, "a[b": false, "a`b": false, "a{b": false, "a;b": false, "a b": false, "\u00e4": false,
	} {
		if hostName(name) != want {
			t.Errorf("%.20q: %t", name, !want)
		}
	}
}

// TestCheckSameDatabase: a pending value that leads anywhere else is refused, and each
// difference is named.
func TestCheckSameDatabase(t *testing.T) {
	current := Login{Host: "h", Port: 7, Database: "db", User: "app", Extra: map[string]string{"nodes": "n1", "realm": "r"}}
	for differs, change := range map[string]func(*Login){
		"":                             func(l *Login) { l.User, l.Password, l.Host = "app_clone", secret.NewPassword("other"), "H." },
		`host "other"`:                 func(l *Login) { l.Host = "other" },
		"port 8":                       func(l *Login) { l.Port = 8 },
		`dbname "x"`:                   func(l *Login) { l.Database = "x" },
		"TLS settings":                 func(l *Login) { l.TLS.Disabled = true },
		"another nodes, another realm": func(l *Login) { l.Extra = nil },
		"another nodes":                func(l *Login) { l.Extra = map[string]string{"nodes": "n2", "realm": "r"} },
		"another proxy":                func(l *Login) { l.Extra = map[string]string{"nodes": "n1", "realm": "r", "proxy": "p"} },
	} {
		other := current
		change(&other)
		err := checkSameDatabase(current, other)
		if differs == "" && err != nil || differs != "" && (rotator.KindOf(err) != rotator.KindConflict || !strings.Contains(err.Error(), differs)) {
			t.Errorf("%q: %v", differs, err)
		}
	}
	if got := differing(nil, map[string]string{"a": "1", "b": ""}); len(got) != 2 {
		t.Errorf("keys where there were none: %q", got)
	}
}

// FuzzLogin: whatever is in a secret, a login is one that an engine can dial, or the
// error is short and shows no password.
func FuzzLogin(f *testing.F) {
	f.Add(`{"engine":"sample","host":"h","port":"5","username":"u","password":"canary-password","dbname":"d","tlsServerName":"n"}`)
	f.Add(`{"engine":"sample","host":"fe80::1%eth0","username":"u_clone","password":"canary-password","alternateUsername":7,"ssl":"FALSE"}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := secret.ParseDocument(text)
		if err != nil {
			return
		}
		d = d.SetPassword(secret.NewPassword("canary-password"))
		login, err := sample().parseLogin(d)
		if err == nil {
			_, err = sample().parsePair(d, login.User)
		}
		switch {
		case err != nil && (!errors.Is(err, rotator.KindMisconfigured) || len(err.Error()) > 1000):
			t.Errorf("%d bytes: %v", len(err.Error()), err)
		case err != nil:
		case login.Port < 1 || login.Port > 65535 || !hostName(login.Host) || login.Host == "" || !hostName(login.TLS.ServerName) || login.User == "" || len(login.User) > 20 || strings.ContainsRune(login.User+login.Database, 0):
			t.Errorf("accepted: %+v", login)
		}
	})
}

func TestPair(t *testing.T) {
	for _, c := range []struct {
		user, alternate string
		want            [3]string // original, clone, next
		fails           string
	}{
		{user: "app", want: [3]string{"app", "app_clone", "app_clone"}},
		{user: "app_clone", want: [3]string{"app", "app_clone", "app"}},
		{user: "app", alternate: "blue", want: [3]string{"app", "blue", "blue"}},
		{user: "app_clone", alternate: "x", want: [3]string{"app_clone", "x", "x"}},
		{user: "fourteen_chars", want: [3]string{"fourteen_chars", "fourteen_chars_clone", "fourteen_chars_clone"}},
		{user: "fifteen_chars__", fails: "takes 20"},
		{user: "fifteen_chars__", alternate: "other", want: [3]string{"fifteen_chars__", "other", "other"}},
		{user: "_clone", fails: "alternateUsername"},
		{user: "app", alternate: "app", fails: "alternateUsername"},
		{user: "app", alternate: "alternate_of_21_bytes", fails: "takes 20"},
	} {
		text := `{"a":1}`
		if c.alternate != "" {
			text = `{"alternateUsername":"` + c.alternate + `"}`
		}
		got, err := sample().parsePair(document(t, text), c.user)
		if c.fails != "" {
			if !errors.Is(err, rotator.KindMisconfigured) || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: want a Misconfigured error that says %q, got: %v", c.user, c.fails, err)
			}
			continue
		}
		if err != nil || [3]string{got.Original, got.Clone, got.Target} != c.want || got.InUse() != c.user {
			t.Errorf("%s with %q: %+v in use %s, %v", c.user, c.alternate, got, got.InUse(), err)
		}
	}
}

package localaws_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// valkeySiege is a server, deployed functions, and a server of the attacker's.
type valkeySiege struct {
	t     *testing.T
	s     *dbserver.ValkeyServer
	env   *localaws.Env
	out   lambdahost.Output
	sdk   *secretsmanager.Client
	fake  *fakeValkey
	tries int
}

// valkeyPeople are the users of one attempt, all of their own. mallory has ACL SETUSER, and no secret.
type valkeyPeople struct {
	app, boss, victim, mallory string
	pass                       map[string]string
	arn                        map[string]string // of secrets, by user
}

func (p valkeyPeople) clone() string { return p.app + "_clone" }

// valkeyHash is how the server has a password.
func valkeyHash(p string) string { return fmt.Sprintf("#%x", sha256.Sum256([]byte(p))) }

// fakeValkey takes every command and keeps what it was sent.
type fakeValkey struct {
	port int
	mu   sync.Mutex
	got  strings.Builder
}

func (f *fakeValkey) text() string { f.mu.Lock(); defer f.mu.Unlock(); return f.got.String() }

func newFakeValkey(t *testing.T) *fakeValkey {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &fakeValkey{port: l.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					f.mu.Lock()
					f.got.WriteString(line)
					f.mu.Unlock()
					if strings.HasPrefix(line, "*") {
						io.WriteString(c, "*2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n") //nolint:errcheck // the next read will tell
					}
				}
			}()
		}
	}()
	return f
}

// valkeyStrategies are the functions that are attacked.
var valkeyStrategies = map[string][]string{
	"superuser":   {"valkey-single-user", "SINGLE_USER_THROUGH_SUPERUSER=true"},
	"dual":        {"valkey-single-user", "SINGLE_USER_THROUGH_SUPERUSER=true", "VALKEY_DUAL_PASSWORDS=true"},
	"self":        {"valkey-single-user", "VALKEY_SELF_CHANGE=true"},
	"alternating": {"valkey-alternating-users"},
}

func newValkeySiege(t *testing.T) *valkeySiege {
	g := &valkeySiege{t: t, s: dbserver.NewValkey(t, dbserver.ValkeyOptions{Conf: map[string]string{"maxclients": "64", "busy-reply-threshold": "100"}}), fake: newFakeValkey(t)}
	var functions []localaws.Function
	for name, f := range valkeyStrategies {
		functions = append(functions, localaws.Function{Name: name, Bootstrap: bootstrap(t, f[0]), Env: f[1:]})
	}
	env, err := localaws.Start(localaws.Config{Functions: functions, Output: &g.out, Prepare: func(e *awsemu.Emulator) { e.Attempts = 1 }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { env.Close() })
	g.env = env
	g.sdk = secretsmanager.New(secretsmanager.Options{BaseEndpoint: &env.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	return g
}

const valkeySuperuser = "+acl +config|get +config|rewrite +info +multi +exec +discard"

// people makes the users of an attempt, and their secrets.
func (g *valkeySiege) people(strategy string) valkeyPeople {
	id := strings.ToLower(rand.Text()[:10])
	p := valkeyPeople{"app-" + id, "boss-" + id, "victim-" + id, "mallory-" + id, map[string]string{}, map[string]string{}}
	rules := map[string]string{
		p.app: "~" + id + ":* &" + id + " +@read +@write +@connection +@transaction +@scripting +@pubsub", p.boss: valkeySuperuser,
		p.victim: "~* &* +@all -@admin", p.mallory: "+acl",
	}
	if strategy == "self" {
		rules[p.app] += " " + valkeySuperuser
	}
	for user, words := range rules {
		p.pass[user] = rand.Text()
		g.admin(append([]string{"ACL", "SETUSER", user, "reset", "on", ">" + p.pass[user]}, strings.Fields(words)...)...)
	}
	g.admin("ACL", "SAVE")
	for _, user := range []string{p.boss, p.app, p.victim} {
		text, _ := json.Marshal(p.value(g, user))
		p.arn[user] = g.env.AWS.Seed(awsemu.Secret{Name: user, Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(string(text))}}})
	}
	return p
}

// value is the secret of a user.
func (p valkeyPeople) value(g *valkeySiege, user string) map[string]any {
	v := map[string]any{"engine": "valkey", "host": g.s.Host, "port": g.s.Port, "username": user, "password": p.pass[user], "ssl": false}
	if user != p.boss {
		v["masterarn"] = p.arn[p.boss]
	}
	return v
}

func (g *valkeySiege) admin(words ...string) {
	g.t.Helper()
	if err := g.s.Exec(g.t.Context(), words); err != nil {
		g.t.Fatalf("%q: %v", words[:min(3, len(words))], err)
	}
}

// put is what the writer of a secret does.
func (g *valkeySiege) put(arn, text string, labels ...string) {
	_, err := g.sdk.PutSecretValue(g.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: &text, VersionStages: labels})
	if err != nil {
		g.t.Logf("PutSecretValue: %v", err)
	}
}

func (g *valkeySiege) rotate(strategy, arn string) (outcome string) {
	function := g.env.Functions[strategy].ARN()
	_, err := g.sdk.RotateSecret(g.t.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: &function, RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)}})
	r, waited := g.env.AWS.WaitRotation(g.t.Context(), arn) // also where the service refuses, and tries the one before again
	if waited != nil {
		return fmt.Sprint("refused by the service: ", err)
	}
	return r.Outcome
}

func (g *valkeySiege) works(user, password string) bool {
	return user != "" && g.s.As(g.t.Context(), user, password) == nil
}

// stored are all values of a secret that are JSON, by version.
func (g *valkeySiege) stored(arn string) (all []map[string]any, current map[string]any) {
	snapshot := g.env.AWS.Snapshot(arn)
	for _, v := range snapshot.Versions {
		var value map[string]any
		if json.Unmarshal(v.Value.Reveal(), &value) == nil {
			all = append(all, value)
		}
	}
	_ = json.Unmarshal(snapshot.Holder("AWSCURRENT").Value.Reveal(), &current) // what is no JSON holds no credentials
	return all, current
}

func credentialsOf(v map[string]any) (user, password string) {
	user, _ = v["username"].(string)
	password, _ = v["password"].(string)
	return user, password
}

// attempt does something, rotates twice, and sees whether anything was gained or lost by it. during is what goes on
// while the secret rotates.
func (g *valkeySiege) attempt(role, name, strategy string, before func(p valkeyPeople), during func(ctx context.Context, p valkeyPeople)) {
	g.t.Helper()
	g.tries++
	p := g.people(strategy)
	fail := func(format string, args ...any) {
		g.t.Helper()
		g.t.Errorf("%s, %s, %s: %s", role, strategy, name, fmt.Sprintf(format, args...))
	}
	if before != nil {
		before(p)
	}
	was, err := g.s.Users(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	appWorked := g.works(p.app, p.pass[p.app])
	held := map[string]bool{} // what the attacker's values open before anything was rotated
	all, _ := g.stored(p.arn[p.app])
	for _, v := range all {
		if user, password := credentialsOf(v); g.works(user, password) {
			held[user] = true
		}
	}
	ctx, stop := context.WithCancel(g.t.Context())
	var running sync.WaitGroup
	if during != nil {
		running.Go(func() { during(ctx, p) })
	}
	var outcomes []string
	for range 2 {
		outcomes = append(outcomes, g.rotate(strategy, p.arn[p.app]))
	}
	stop()
	running.Wait()
	for during != nil && !g.works(g.s.Superuser, g.s.Password) && g.t.Context().Err() == nil {
		continue // the server has yet to see that the attacker's connections are gone
	}
	if during != nil { // when it is over, all is well again
		if outcome := g.rotate(strategy, p.arn[p.app]); outcome != "RotationSucceeded" && before == nil {
			fail("afterwards: %s", outcome)
		}
	}
	g.t.Logf("%s, %s, %s: %v", role, strategy, name, outcomes)

	is, err := g.s.Users(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	rules := func(line string) string {
		var words []string
		for _, w := range strings.Split(line, " ") {
			if !strings.HasPrefix(w, "#") {
				words = append(words, w)
			}
		}
		return strings.Join(words, " ")
	}
	for user := range maps.Keys(is) {
		line, existed := was[user]
		switch {
		case user == p.app && rules(is[user]) != rules(line):
			fail("the rules of app are %q; they were %q", rules(is[user]), rules(line))
		case user == p.clone() && rules(is[user]) != rules(is[p.app]) && rules(is[user]) != rules(line):
			fail("the rules of the clone are %q; those of app %q", rules(is[user]), rules(is[p.app]))
		case user != p.app && user != p.clone() && (!existed || line != is[user]):
			fail("user %q was changed", user)
		}
	}
	for user := range was {
		if _, ok := is[user]; !ok {
			fail("user %q is gone", user)
		}
	}
	for _, user := range []string{p.victim, p.boss} {
		if _, current := g.stored(p.arn[user]); !g.works(credentialsOf(current)) && strings.Contains(was[user], valkeyHash(p.pass[user])) {
			fail("%s no longer logs in", user)
		}
	}
	all, current := g.stored(p.arn[p.app])
	for _, v := range all {
		if user, password := credentialsOf(v); user != p.app && user != p.clone() && !held[user] && g.works(user, password) {
			fail("a value of the secret now opens %s", user)
		}
	}
	if appWorked && !g.works(p.app, p.pass[p.app]) && !g.works(credentialsOf(current)) {
		fail("neither the password that clients have nor AWSCURRENT logs in")
	}
	for _, user := range []string{p.boss, p.victim} {
		if strings.Contains(g.fake.text(), p.pass[user]) {
			fail("the password of %s went to the attacker's server", user)
		}
		if strings.Contains(g.out.String(), p.pass[user]) {
			fail("the password of %s is in the function's log", user)
		}
	}
}

// valkeyValues are what the writer of a secret puts into it.
func valkeyValues() map[string]func(g *valkeySiege, p valkeyPeople, v map[string]any) {
	type edit = func(g *valkeySiege, p valkeyPeople, v map[string]any)
	set := func(key string, value func(g *valkeySiege, p valkeyPeople) any) edit {
		return func(g *valkeySiege, p valkeyPeople, v map[string]any) { v[key] = value(g, p) }
	}
	text := func(key, value string) edit {
		return set(key, func(*valkeySiege, valkeyPeople) any { return value })
	}
	evil := func(g *valkeySiege) string { return fmt.Sprintf("127.0.0.1:%d", g.fake.port) }
	return map[string]edit{
		"username: the superuser":       set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.boss }),
		"username: another user":        set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.victim }),
		"username: a clone of another":  set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.victim + "_clone" }),
		"username: a clone of the boss": set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.boss + "_clone" }),
		"username: a clone of a clone":  set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.app + "_clone_clone" }),
		"username: default":             text("username", "default"),
		"username: admin":               text("username", "admin"),
		"username: in capitals":         set("username", func(_ *valkeySiege, p valkeyPeople) any { return strings.ToUpper(p.app) }),
		"username: with rules":          set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.app + " +@all" }),
		"username: with a command":      set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.app + "\r\nACL SETUSER x on nopass +@all" }),
		"username: with a NUL":          set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.boss + "\x00" }),
		"username: with Unicode space":  set("username", func(_ *valkeySiege, p valkeyPeople) any { return p.app + "\u00a0+@all" }),
		"username: empty":               text("username", ""),
		"username: a list":              set("username", func(_ *valkeySiege, p valkeyPeople) any { return []string{p.app, p.boss} }),
		"both users: the victim's clone": func(_ *valkeySiege, p valkeyPeople, v map[string]any) {
			v["username"], v["alternateUsername"] = p.victim+"_clone", p.victim
		},
		"alternateUsername: superuser":  set("alternateUsername", func(_ *valkeySiege, p valkeyPeople) any { return p.boss }),
		"alternateUsername: another":    set("alternateUsername", func(_ *valkeySiege, p valkeyPeople) any { return p.victim }),
		"alternateUsername: default":    text("alternateUsername", "default"),
		"alternateUsername: admin":      text("alternateUsername", "admin"),
		"alternateUsername: itself":     set("alternateUsername", func(_ *valkeySiege, p valkeyPeople) any { return p.app }),
		"alternateUsername: with rules": text("alternateUsername", "x on nopass +@all"),
		"rotates: consent to itself":    set("rotates", func(_ *valkeySiege, p valkeyPeople) any { return "*/*" }),
		"rotates and alternateUsername": func(_ *valkeySiege, p valkeyPeople, v map[string]any) {
			v["rotates"], v["alternateUsername"] = p.app+"/"+p.victim, p.victim
		},
		"host: the attacker's server": set("port", func(g *valkeySiege, _ valkeyPeople) any { return g.fake.port }),
		"host: by another name": func(g *valkeySiege, _ valkeyPeople, v map[string]any) {
			v["host"], v["port"] = "localhost", g.fake.port
		},
		"host: with a port in it":      func(g *valkeySiege, _ valkeyPeople, v map[string]any) { v["host"] = evil(g) },
		"host: of ElastiCache":         text("host", "master.app.abc123.euc1.cache.amazonaws.com"),
		"host: empty":                  text("host", ""),
		"nodes: the attacker's server": func(g *valkeySiege, _ valkeyPeople, v map[string]any) { v["nodes"] = []string{evil(g)} },
		"nodes: as text":               func(g *valkeySiege, _ valkeyPeople, v map[string]any) { v["nodes"] = evil(g) },
		"nodes: among many": func(g *valkeySiege, _ valkeyPeople, v map[string]any) {
			v["nodes"] = []string{g.s.Address(), evil(g)}
		},
		"nodes: with a name in it":  func(g *valkeySiege, _ valkeyPeople, v map[string]any) { v["nodes"] = []string{"user@" + evil(g)} },
		"nodes: none of it a node":  text("nodes", "[[1],{}]"),
		"nodes: one that is closed": text("nodes", "127.0.0.1:1"),
		"nodes: ten thousand":       set("nodes", func(*valkeySiege, valkeyPeople) any { return strings.Repeat("127.0.0.1:1,", 2000) + "x" }),
		"engine: another":           text("engine", "postgres"),
		"engine: redis":             text("engine", "redis"),
		"masterarn: the victim's":   set("masterarn", func(_ *valkeySiege, p valkeyPeople) any { return p.arn[p.victim] }),
		"masterarn: itself":         set("masterarn", func(_ *valkeySiege, p valkeyPeople) any { return p.arn[p.app] }),
		"masterarn: by its name":    set("masterarn", func(_ *valkeySiege, p valkeyPeople) any { return p.app }),
		"masterarn: in another Region": set("masterarn", func(_ *valkeySiege, p valkeyPeople) any {
			return strings.Replace(p.arn[p.boss], "us-east-1", "eu-west-1", 1)
		}),
		"masterarn: missing":              func(_ *valkeySiege, _ valkeyPeople, v map[string]any) { delete(v, "masterarn") },
		"ssl: true, for a server without": set("ssl", func(*valkeySiege, valkeyPeople) any { return true }),
		"tlsServerName: another": func(_ *valkeySiege, _ valkeyPeople, v map[string]any) {
			delete(v, "ssl")
			v["tlsServerName"] = "evil.example.com"
		},
		"password: a rule":         text("password", "x +@all"),
		"password: a command":      text("password", "x\r\nACL SETUSER x on nopass +@all\r\n"),
		"password: another's hash": set("password", func(_ *valkeySiege, p valkeyPeople) any { return valkeyHash(p.pass[p.victim]) }),
		"password: empty":          text("password", ""),
		"password: a megabyte":     text("password", strings.Repeat("x", 60000)),
		"password: a NUL":          text("password", "x\x00y"),
		"password: wrong":          text("password", "wrong"),
	}
}

// TestValkeyAttackedByTheWriter: who may do nothing but write the secret gets no right by it, and locks out no client.
// Each value is put as AWSCURRENT, and as AWSPENDING beside a value that is right.
func TestValkeyAttackedByTheWriter(t *testing.T) {
	tier.Long(t) // some 400 attempts of two rotations each
	t.Parallel()
	g := newValkeySiege(t)
	for name, edit := range valkeyValues() {
		for strategy := range valkeyStrategies {
			for _, labels := range [][]string{nil, {"AWSPENDING"}} {
				g.attempt("writer", fmt.Sprint(name, labels), strategy, func(p valkeyPeople) {
					v := p.value(g, p.app)
					edit(g, p, v)
					text, _ := json.Marshal(v)
					g.put(p.arn[p.app], string(text), labels...)
				}, nil)
			}
		}
	}
	for name, text := range map[string]string{
		"no JSON": "x", "a list": "[]", "null": "null", "nothing in it": "{}", "deep": strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000),
		"the key twice": `{"engine":"valkey","username":"x","username":"default","password":"p","host":"127.0.0.1"}`,
	} {
		for strategy := range valkeyStrategies {
			g.attempt("writer", name, strategy, func(p valkeyPeople) { g.put(p.arn[p.app], text) }, nil)
		}
	}
	t.Logf("%d attempts", g.tries)
}

// valkeyChanges are what a user with ACL SETUSER does to others, for a rotation to make more of it.
func valkeyChanges() map[string]func(p valkeyPeople) [][]string {
	type change = func(p valkeyPeople) [][]string
	const known = "known to the attacker"
	clone := func(rules ...string) change {
		return func(p valkeyPeople) [][]string {
			return [][]string{append([]string{p.clone(), "reset"}, rules...)}
		}
	}
	app := func(rules ...string) change {
		return func(p valkeyPeople) [][]string { return [][]string{append([]string{p.app}, rules...)} }
	}
	named := func(suffix string, rules ...string) change {
		return func(p valkeyPeople) [][]string { return [][]string{append([]string{p.app + suffix}, rules...)} }
	}
	return map[string]change{
		"a clone of its own":             clone("on", ">"+known, "~*", "+@read"),
		"a clone with every right":       clone("on", ">"+known, "~*", "&*", "+@all"),
		"a clone that is off":            clone("off", ">"+known),
		"a clone with nopass":            clone("on", "nopass", "~*", "+@all"),
		"a clone without a password":     clone("on", "+@all"),
		"a clone with ACL":               clone("on", ">"+known, "+acl"),
		"a clone with ACL in a selector": clone("on", ">"+known, "(+acl)"),
		"a clone with many passwords":    clone("on", ">"+known, ">a", ">b", ">c", ">d"),
		"a clone with app's password": func(p valkeyPeople) [][]string {
			return [][]string{{p.clone(), "reset", "on", ">" + p.pass[p.app], "+@all"}}
		},
		"a clone with the victim's": func(p valkeyPeople) [][]string {
			return [][]string{{p.clone(), "reset", "on", valkeyHash(p.pass[p.victim])}}
		},
		"a clone of the clone":              named("_clone_clone", "on", ">"+known, "+@all"),
		"a user with rules for a name":      named("\u00a0+@all", "on", ">"+known, "+@all"),
		"a user with nopass for a name":     named("\u2003nopass", "on", ">"+known, "+@all"),
		"a user with a hash for a name":     named("\u00a0"+valkeyHash(known), "on", "+@all"),
		"a user with brackets for a name":   named("(+@all)", "on", ">"+known, "+@all"),
		"a user with a hash sign":           named("#", "on", ">"+known, "+@all"),
		"a name of 4000 characters":         named(strings.Repeat("x", 4000), "on", ">"+known, "+@all"),
		"app: a second password":            app(">" + known),
		"app: ten passwords":                app(">0", ">1", ">2", ">3", ">4", ">5", ">6", ">7", ">8", ">9"),
		"app: only another password":        app("resetpass", ">"+known),
		"app: nopass":                       app("nopass"),
		"app: off":                          app("off"),
		"app: no rights":                    app("resetkeys", "-@all"),
		"app: every right":                  app("~*", "&*", "+@all"),
		"app: a selector":                   app("(~log:* +append)"),
		"app: a selector with brackets":     app("(~a) ~b +@all)"),
		"app: a pattern with a bracket":     app("resetkeys", "~(x", "~y)", "~z"),
		"app: a pattern with Unicode space": app("resetkeys", "~x\u00a0+@all"),
		"app: a channel with Unicode space": app("resetchannels", "&x\u2003allkeys"),
		"app: a pattern like a hash":        app("resetkeys", "~#"+strings.Repeat("a", 64), "~nopass", "~on"),
		"app: a pattern with quotes":        app("resetkeys", `~"x"`, `~'y'`, `~\x00`, "~%R~"),
		"app: a thousand patterns": func(p valkeyPeople) [][]string {
			words := []string{p.app, "resetkeys"}
			for i := range 1000 {
				words = append(words, fmt.Sprint("~", i))
			}
			return [][]string{words}
		},
		"five hundred users": func(p valkeyPeople) (all [][]string) {
			for i := range 500 {
				all = append(all, []string{fmt.Sprint(p.app, "-", i), "on", ">" + known, "+@all"})
			}
			return all
		},
		"a user that is called user":    func(valkeyPeople) [][]string { return [][]string{{"user", "on", ">" + known, "+@all"}} },
		"a user that is called #":       func(valkeyPeople) [][]string { return [][]string{{"#", "on", ">" + known, "+@all"}} },
		"the superuser: a password":     func(p valkeyPeople) [][]string { return [][]string{{p.boss, ">" + known}} },
		"the superuser: no +info":       func(p valkeyPeople) [][]string { return [][]string{{p.boss, "-info"}} },
		"the superuser: no +exec":       func(p valkeyPeople) [][]string { return [][]string{{p.boss, "-exec"}} },
		"the superuser: no +discard":    func(p valkeyPeople) [][]string { return [][]string{{p.boss, "-discard"}} },
		"the superuser: no ACL SAVE":    func(p valkeyPeople) [][]string { return [][]string{{p.boss, "-acl|save"}} },
		"the superuser: no ACL LIST":    func(p valkeyPeople) [][]string { return [][]string{{p.boss, "-acl|list"}} },
		"the superuser: no ACL SETUSER": func(p valkeyPeople) [][]string { return [][]string{{p.boss, "-acl|setuser"}} },
		"the superuser: no ACL DELUSER": func(p valkeyPeople) [][]string { return [][]string{{p.boss, "-acl|deluser"}} },
	}
}

// TestValkeyAttackedByACL: a rotation gives a user with ACL SETUSER nothing that ACL SETUSER had not given it.
func TestValkeyAttackedByACL(t *testing.T) {
	tier.Long(t) // some 160 attempts of two rotations each
	t.Parallel()
	g := newValkeySiege(t)
	for name, change := range valkeyChanges() {
		for strategy := range valkeyStrategies {
			var added []string
			g.attempt("with ACL SETUSER", name, strategy, func(p valkeyPeople) {
				for _, words := range change(p) {
					if err := g.s.As(t.Context(), p.mallory, p.pass[p.mallory], append([]string{"ACL", "SETUSER"}, words...)); err != nil {
						t.Logf("%s: %v", name, err)
					}
					if !strings.HasPrefix(words[0], p.app) || len(words[0]) > len(p.app)+6 {
						added = append(added, words[0])
					}
				}
			}, nil)
			for _, user := range added { // what is in the way of the next attempt
				if !strings.HasPrefix(user, "boss") {
					g.admin("ACL", "DELUSER", user)
				}
			}
		}
	}
	t.Logf("%d attempts", g.tries)
}

// valkeyLogins are what a user that may log in, and read and write its own keys, does while its secret rotates. Each goes on
// until the rotations are over.
func valkeyLogins() map[string]func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
	type during = func(ctx context.Context, g *valkeySiege, p valkeyPeople)
	commands := func(all ...[]string) during {
		return func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			for ctx.Err() == nil {
				for _, words := range all {
					_ = g.s.As(ctx, p.app, p.pass[p.app], words) // refused or not: what came of it is seen afterwards
				}
			}
		}
	}
	one := func(words ...string) during { return commands(words) }
	logins := func(user func(p valkeyPeople) string, password string) during {
		return func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			for ctx.Err() == nil {
				_ = g.s.As(ctx, user(p), password)
			}
		}
	}
	// lines opens connections, says something on each, and keeps them.
	lines := func(many int, text string) during {
		return func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			text := strings.ReplaceAll(text, "{login}", fmt.Sprintf("AUTH %s %s\r\n", p.app, p.pass[p.app]))
			for range many {
				c, err := g.s.Dial(ctx)
				if err != nil {
					break
				}
				defer c.Close()
				_, _ = io.WriteString(c, text) // it may be closed already
			}
			<-ctx.Done()
		}
	}
	return map[string]during{
		"logs in all the while":        one("PING"),
		"wrong passwords":              logins(func(p valkeyPeople) string { return p.app }, "wrong"),
		"wrong passwords of the boss":  logins(func(p valkeyPeople) string { return p.boss }, "wrong"),
		"wrong passwords of the clone": logins(valkeyPeople.clone, "wrong"),
		"its password, of the clone": func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			logins(valkeyPeople.clone, p.pass[p.app])(ctx, g, p)
		},
		"the default user":              logins(func(valkeyPeople) string { return "default" }, ""),
		"every free connection":         lines(64, ""),
		"every free connection, in use": lines(64, "{login}SUBSCRIBE x\r\n"),
		"half a command":                lines(20, "*2\r\n$4\r\nAU"),
		"a command of half a gigabyte":  lines(20, "{login}*2\r\n$4\r\nPING\r\n$536870912\r\nx"),
		"a million arguments":           lines(20, "{login}*1000000\r\n"),
		"garbage":                       lines(20, "\x16\x03\x01\x00\xff\x00\r\n\r\n"),
		"HTTP":                          lines(20, "POST / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a transaction left open":       lines(20, "{login}WATCH x\r\nMULTI\r\nPING\r\n"),
		"blocked clients":               lines(20, "{login}BLPOP x 0\r\n"),
		"a hundred thousand pings":      lines(20, "{login}"+strings.Repeat("PING\r\n", 100000)),
		"a script without an end": func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			lines(1, "{login}EVAL \"while true do end\" 0\r\n")(ctx, g, p)
			_ = g.s.Exec(context.WithoutCancel(ctx), []string{"SCRIPT", "KILL"}) // where it has begun
		},
		"a script that sets a password":  one("EVAL", "return redis.call('ACL','SETUSER','default','on','nopass')", "0"),
		"a script that reads the users":  one("EVAL", "return redis.call('ACL','LIST')", "0"),
		"a script that changes settings": one("EVAL", "return redis.call('CONFIG','SET','requirepass','x')", "0"),
		"a function library":             one("FUNCTION", "LOAD", "REPLACE", "#!lua name=x\nredis.register_function('f', function() return redis.call('ACL','SAVE') end)"),
		"flushes scripts":                commands([]string{"SCRIPT", "FLUSH"}, []string{"FUNCTION", "FLUSH"}),
		"a transaction of ACL":           commands([]string{"MULTI"}, []string{"ACL", "SETUSER", "default", "on"}, []string{"EXEC"}),
		"ACL SETUSER":                    one("ACL", "SETUSER", "default", "on", "nopass", "+@all"),
		"ACL DELUSER":                    one("ACL", "DELUSER", "default"),
		"ACL LOAD, ACL SAVE":             commands([]string{"ACL", "LOAD"}, []string{"ACL", "SAVE"}),
		"ACL LIST, GETUSER, LOG":         commands([]string{"ACL", "LIST"}, []string{"ACL", "GETUSER", "admin"}, []string{"ACL", "LOG"}),
		"CONFIG SET aclfile":             commands([]string{"CONFIG", "SET", "aclfile", ""}, []string{"CONFIG", "SET", "maxclients", "1"}, []string{"CONFIG", "REWRITE"}),
		"SHUTDOWN":                       one("SHUTDOWN", "NOSAVE"),
		"DEBUG SLEEP":                    one("DEBUG", "SLEEP", "10"),
		"MONITOR, SLOWLOG":               commands([]string{"MONITOR"}, []string{"SLOWLOG", "GET", "-1"}),
		"CLIENT KILL":                    commands([]string{"CLIENT", "KILL", "TYPE", "normal"}, []string{"CLIENT", "KILL", "USER", "admin"}),
		"CLIENT PAUSE":                   one("CLIENT", "PAUSE", "10000"),
		"REPLICAOF": func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			one("REPLICAOF", "127.0.0.1", fmt.Sprint(g.fake.port))(ctx, g, p)
		},
		"FAILOVER":       one("FAILOVER", "FORCE"),
		"FLUSHALL":       one("FLUSHALL"),
		"MODULE LOAD":    one("MODULE", "LOAD", "/tmp/x.so"),
		"HELLO 3, RESET": commands([]string{"RESET"}),
		"large values": func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			one("SET", strings.TrimPrefix(p.app, "app-")+":x", strings.Repeat("x", 1<<20))(ctx, g, p)
		},
		"subscribes, publishes": func(ctx context.Context, g *valkeySiege, p valkeyPeople) {
			one("PUBLISH", strings.TrimPrefix(p.app, "app-"), "x")(ctx, g, p)
		},
		"caching of clients":   commands([]string{"CLIENT", "TRACKING", "on", "BCAST"}),
		"names of connections": commands([]string{"CLIENT", "SETNAME", "quarterturn"}, []string{"CLIENT", "NO-EVICT", "on"}),
	}
}

// TestValkeyAttackedByALogin: who may log in can make a rotation fail while it lasts, and no more: the next one succeeds.
func TestValkeyAttackedByALogin(t *testing.T) {
	tier.Long(t) // some 130 attempts of three rotations each
	t.Parallel()
	g := newValkeySiege(t)
	for name, during := range valkeyLogins() {
		for strategy := range valkeyStrategies {
			if strategy == "self" {
				continue // its users have ACL SETUSER
			}
			g.attempt("may log in", name, strategy, nil, func(ctx context.Context, p valkeyPeople) { during(ctx, g, p) })
		}
	}
	t.Logf("%d attempts", g.tries)
}

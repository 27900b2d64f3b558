package valkey_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// TestAllThatIsMissingIsSaidAtOnce: a pair that nothing proves, and a change that would fail, are one round of fixing.
func TestAllThatIsMissingIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	_, app := s.pair(t)
	clone, err := s.user(t.Context(), app.User+"_clone", ordinary)
	ok(t, err)
	pair := strategies.Pair{Original: app.User, Clone: clone.User, Target: clone.User}
	dry := func(lacks string) error {
		t.Helper()
		boss, err := s.user(t.Context(), name("boss"), without(selfChange, lacks))
		ok(t, err)
		_, err = valkey.Engine{}.DryRunEnsureClone(t.Context(), boss, pair, password())
		return err
	}
	wants(t, dry("nothing"), rotator.KindNotEntitled, "nothing proves")
	for _, right := range []string{"+multi", "+exec", "+discard", "+config|get", "+info"} {
		wants(t, dry(right), rotator.KindNotEntitled, "nothing proves", " +acl +config|get ")
	}
	wants(t, dry("+acl"), rotator.KindPrivilege, " +acl +config|get ", "nothing proves")
	ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", clone.User, "off"}))
	wants(t, dry("nothing"), rotator.KindNotEntitled, "nothing proves", "is off")
	pair.Consent = true
	wants(t, dry("+acl"), rotator.KindPrivilege, " +acl +config|get ")
	if err := dry("+acl"); strings.Contains(err.Error(), "nothing proves") {
		t.Errorf("the pair is named: %v", err)
	}
	// A clone that is not there yet needs no proof.
	ok(t, s.Exec(t.Context(), []string{"ACL", "DELUSER", clone.User}))
	pair.Consent = false
	ok(t, dry("nothing"))
}

func without(rules []string, one string) (rest []string) {
	for _, r := range rules {
		if r != one {
			rest = append(rest, r)
		}
	}
	return rest
}

// TestASuperuserSeesWhyALoginIsRejected: what it says mends it is run as it stands, with the password that it names and
// the line that it asks for, and the login is accepted and may do what it could before, also after a restart.
func TestASuperuserSeesWhyALoginIsRejected(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		for what, c := range map[string]struct {
			breaks, says string
			ends         string // "blocked", "reset" or "right"
			clone, file  bool   // there is a clone; the rules are in the file
		}{
			"off":                {"ACL SETUSER %u off", "is off: ACL SETUSER", "blocked", false, false},
			"another password":   {"ACL SETUSER %u resetpass >another", "its password is another", "reset", false, false},
			"no password":        {"ACL SETUSER %u resetpass", "has no password, as after resetpass", "reset", false, false},
			"deleted":            {"ACL DELUSER %u", "do not ACL SAVE yet", "blocked", false, true},
			"deleted, of a pair": {"ACL DELUSER %u", `_clone" has the rules of its pair`, "blocked", true, false},
			"made again without rules": {"ACL DELUSER %u; ACL SETUSER %u on >another", "may do nothing", "blocked",
				false, true},
			"made again with a rule": {"ACL DELUSER %u; ACL SETUSER %u on +ping >another",
				"no command that reads or writes a key", "blocked", false, true},
			"made again for rotations": {"ACL DELUSER %u; ACL SETUSER %u on +acl +info +config|get +multi +exec >another",
				"no command that reads or writes a key", "blocked", false, true},
			"renamed, and another made": {"ACL SETUSER %uold on ~* +get +set +ping #%h; ACL SETUSER %u reset on +ping >another",
				`old" has its password`, "blocked", false, false},
			"renamed": {"ACL SETUSER %uold on ~* +get +set +ping #%h; ACL DELUSER %u", `old" has its password`,
				"blocked", false, false},
			"renamed, of a pair": {"ACL SETUSER %uold on ~* +get +set +ping #%h; ACL DELUSER %u", `old" has its password`,
				"blocked", true, false},
			"in order": {"PING", "is on and has this very password", "right", false, false},
		} {
			t.Run(release+" "+what, func(t *testing.T) {
				boss, app := s.pair(t)
				if c.clone {
					_, err := s.user(t.Context(), app.User+"_clone", ordinary)
					ok(t, err)
				}
				line := s.savedLine(t, app.User)
				breaks := strings.NewReplacer("%u", app.User, "%h", sha(app.Password)).Replace(c.breaks)
				for b := range strings.SplitSeq(breaks, ";") {
					ok(t, s.Exec(t.Context(), strings.Fields(b)))
				}
				causes, err := valkey.Engine{}.Explain(t.Context(), boss, app)
				ok(t, err)
				cause := causes[0]
				said := cause.Text + ": " + cause.Remedy
				gone := func(f rotator.Fix) bool {
					return f.Run == "ACL DELUSER "+app.User+"old" && strings.HasPrefix(f.For, "if ") &&
						f.By == rotator.ByAdministrator
				}
				if slices.ContainsFunc(cause.Fixes, gone) != strings.Contains(what, "renamed") {
					t.Errorf("what it was renamed to stays, with its password: %+v", cause.Fixes)
				}
				if !strings.Contains(said, c.says) || cause.Blocked != (c.ends == "blocked") ||
					cause.Right != (c.ends == "right") || (cause.Reset != "") != (c.ends == "reset") ||
					strings.Contains(said+cause.Reset, app.Password.Reveal()) {
					t.Fatalf("%+v", cause)
				}
				if cause.Right {
					return
				}
				if brought := strings.Contains(said, "reset"); brought && cause.Reset == "" &&
					!strings.Contains(said, "With dual passwords, also >") {
					t.Errorf("it has one password back, and clients may be on two: %s", said)
				}
				_, err = valkey.Engine{}.Explain(t.Context(), app, app)
				wants(t, err, rotator.KindLoginRejected)
				statement, _, _ := strings.Cut(said[max(0, strings.LastIndex(said, "ACL SETUSER "+app.User)):], ", ")
				if cause.Reset != "" {
					statement, _, _ = strings.Cut(cause.Reset, " -- ")
				}
				if c.file {
					statement = "ACL SETUSER " + app.User + " reset " + line + " on >PASSWORD"
				}
				statement = strings.ReplaceAll(statement, "PASSWORD", app.Password.Reveal())
				ok(t, s.Exec(t.Context(), strings.Fields(statement), []string{"ACL", "SAVE"}))
				ok(t, s.As(t.Context(), app.User, app.Password.Reveal(), []string{"GET", "1"}, []string{"SET", "1", "1"}))
				if strings.Contains(breaks, ">another") && s.As(t.Context(), app.User, "another", []string{"GET", "1"}) == nil {
					t.Error("the password that it had before goes on working")
				}
			})
		}
		_, app := s.pair(t)
		for rules, mayChange := range map[string]bool{"+acl": true, "+@all": true, "+@all -@dangerous +acl|list": false,
			"+acl|list": false, "+acl -acl|setuser": false, "+@admin": true, "+acl|list +acl|setuser": false,
			"+acl (~log:* +get)": true, "+acl|list (+acl|setuser) (+acl|save)": true, "+acl|list (+@all -@dangerous)": false} {
			if strings.ContainsAny(rules, "|(") && release == "redis-6" { // which knows them not as rules
				continue
			}
			boss, err := s.user(t.Context(), name("boss"), strings.Fields(rules))
			ok(t, err)
			causes, err := valkey.Engine{}.Explain(t.Context(), boss, with(app, password()))
			ok(t, err)
			_, err = s.Ask(t.Context(), boss.User, boss.Password.Reveal(), []string{"ACL", "SETUSER", app.User, "on"})
			if may := !causes[0].ByAdministrator; may != mayChange || may && err != nil {
				t.Errorf("%s: a superuser with %s may change users: %t, %v", release, rules, may, err)
			}
		}
		// Where users are in the configuration file, they are saved by CONFIG REWRITE.
		config := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Users: "config"})}
		for rules, mayChange := range map[string]bool{"+acl +config +info": true, "+acl +info +config|get": false,
			"+acl +info +config -acl|save": true} {
			if strings.Contains(rules, "-acl|") && release == "redis-6" {
				continue
			}
			boss, p := name("boss"), password()
			ok(t, config.Exec(t.Context(), append([]string{"ACL", "SETUSER", boss, "on", ">" + p.Reveal()}, strings.Fields(rules)...)))
			causes, err := valkey.Engine{}.Explain(t.Context(), config.login(boss, p), config.login("gone", p))
			ok(t, err)
			if may := !causes[0].ByAdministrator; may != mayChange {
				t.Errorf("%s: a superuser with %s may change users in the configuration file: %t", release, rules, may)
			}
		}
		weak, err := s.user(t.Context(), name("weak"), ordinary)
		ok(t, err)
		_, err = valkey.Engine{}.Explain(t.Context(), weak, app)
		wants(t, err, rotator.KindPrivilege, " +acl +config|get ")
		fixes := rotator.FixesOf(err) // what looks at the file comes first, and what saves users last
		ok(t, s.Exec(t.Context(), strings.Fields(fixes[1].Run), strings.Fields(fixes[len(fixes)-1].Run)))
		_, err = valkey.Engine{}.Explain(t.Context(), weak, app)
		ok(t, err)
		ok(t, s.Restart(t.Context()))
	}
}

// TestTheNodeThatRejectsIsNamed: users are not shared between nodes, and one that lacks them rejects the login.
func TestTheNodeThatRejectsIsNamed(t *testing.T) {
	t.Parallel()
	s, second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})},
		server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	s.copyTo(t, second, boss)
	wants(t, valkey.Engine{}.Ping(t.Context(), and(app, second)), rotator.KindLoginRejected, fmt.Sprint(second.Port))
	causes, err := valkey.Engine{}.Explain(t.Context(), and(boss, second), and(app, second))
	ok(t, err)
	want := fmt.Sprintf("at 127.0.0.1:%d, there is no user %q", second.Port, app.User)
	c := causes[0]
	if !c.Blocked || !strings.Contains(c.Text, want) || !strings.Contains(c.Text, "at "+s.Address()+" it is on and has this") {
		t.Fatalf("%+v", c)
	}
	// What is printed has the rules that it has at the host, and is run at every node.
	line := strings.ReplaceAll(c.Fixes[0].Run, "PASSWORD", app.Password.Reveal())
	for _, node := range []server{s, second} {
		ok(t, node.Exec(t.Context(), strings.Fields(line)))
		ok(t, node.As(t.Context(), app.User, app.Password.Reveal(), []string{"GET", "1"}, []string{"SET", "1", "1"}))
	}
	err = valkey.Engine{}.Ping(t.Context(), with(and(app, second), password()))
	wants(t, err, rotator.KindLoginRejected)
	if errors.As(err, new(rotator.PartialLogin)) {
		t.Errorf("no node lets it in: %v", err)
	}
	// Whichever of them has another password, the one that clients have is set there, and goes on working elsewhere.
	kept := password()
	for _, other := range []server{s, second} {
		for _, node := range []server{s, second} {
			ok(t, node.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "resetpass", "#" + sha(app.Password), "#" + sha(kept)}))
		}
		ok(t, other.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "resetpass", ">another"}))
		err = valkey.Engine{}.Ping(t.Context(), and(app, second))
		wants(t, err, rotator.KindLoginRejected, " lets it in, and "+other.Address()+" does not")
		if !errors.As(err, new(rotator.PartialLogin)) {
			t.Errorf("one node lets it in: %v", err)
		}
		// Nobody has looked yet whether it is there: the line would make it without rules.
		if fixes := rotator.FixesOf(err); len(fixes) < 2 || !strings.HasPrefix(fixes[1].For, "if ACL LIST has its line there") {
			t.Errorf("%+v", fixes)
		}
		acting := and(app, second)
		acting.For = &strategies.Holding{}
		if fixes := rotator.FixesOf(valkey.Engine{}.Ping(t.Context(), acting)); fixes != nil {
			t.Errorf("of a superuser, its strategy says what to do: %+v", fixes)
		}
		causes, err = valkey.Engine{}.Explain(t.Context(), and(boss, second), and(app, second))
		ok(t, err)
		if c := causes[0]; c.Blocked || c.Right || c.Reset != "" || !strings.HasPrefix(c.Text, "at "+other.Address()+", user") {
			t.Errorf("%+v", c)
		}
		ok(t, other.Exec(t.Context(), strings.Fields(strings.ReplaceAll(causes[0].Fixes[0].Run, "PASSWORD", app.Password.Reveal()))))
		ok(t, valkey.Engine{}.Ping(t.Context(), and(app, second)))
	}
	ok(t, second.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "off"}))
	wants(t, valkey.Engine{}.Ping(t.Context(), and(app, second)), rotator.KindLoginRejected, s.Address()+" lets it in")
}

// TestNodesThatDiffer: what the next rotation meets at one node alone, and what no rotation changes.
func TestNodesThatDiffer(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s, second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})},
			server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		for says, breaks := range map[string]string{
			"": "PING",
			"the next rotation is refused: user \"%b\" at %n: not found: there is no user \"%u\"": "ACL DELUSER %u",
			"is off, and a new password does not open it":                                         "ACL SETUSER %u off",
			"is let in with any password":                                                         "ACL SETUSER %u nopass",
			"nothing proves that user \"%u\" belongs":                                             "ACL SETUSER %u resetpass >another",
			"user \"%u\" has other rules than at %h (here alone: ":                                "ACL SETUSER %u +strlen",
		} {
			boss, app := s.pair(t)
			clone, err := s.user(t.Context(), app.User+"_clone", ordinary)
			ok(t, err)
			s.copyTo(t, second, boss, app, clone)
			for _, target := range []string{app.User, clone.User} {
				if target == clone.User && !strings.Contains(says, "other rules") {
					continue // the user in use is not let in then
				}
				if strings.Contains(says, "other rules") { // and so has the clone, of a rotation since
					ok(t, second.Exec(t.Context(), []string{"ACL", "SETUSER", clone.User, "+strlen"}))
				}
				pair := strategies.Pair{Original: app.User, Clone: clone.User, Target: target,
					Possession: func(_ context.Context, holds func(secret.Password) bool) error {
						if holds(app.Password) || holds(clone.Password) {
							return nil
						}
						return rotator.KindNotEntitled
					}}
				in := strings.NewReplacer("%u", app.User, "%b", boss.User, "%h", s.Address(), "%n", second.Address())
				ok(t, second.Exec(t.Context(), strings.Fields(in.Replace(breaks))))
				lacks, remark, err := valkey.Engine{}.ComparePair(t.Context(), and(boss, second), pair)
				said := lacks.Text + remark
				if err != nil {
					said = err.Error()
				}
				if (said != "") != (says != "") || !strings.Contains(said, in.Replace(says)) ||
					strings.Contains(said, "different rules") {
					t.Errorf("%s: %s: want %q: %s", release, breaks, says, said)
				}
				if says != "" && !strings.HasPrefix(remark, "at "+second.Address()+", ") &&
					!strings.Contains(said, "at "+second.Address()+", the next rotation is refused: ") {
					t.Errorf("%s: %s: no node is named: %s", release, breaks, said)
				}
			}
		}
	}
}

// TestNodesOfSeveralReleases: the same rules are shown in other words by other releases, and are no difference.
func TestNodesOfSeveralReleases(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	for _, release := range dbserver.ValkeysInTier(t) {
		second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		for rules, differ := range map[string]bool{"~* +@all -@dangerous +keys": false, "~app:* +@read +@write": false, "~* +get +strlen": true} {
			boss, app := s.login(s.Superuser, secret.NewPassword(s.Password)), name("app")
			boss.User, boss.Password = name("boss"), password()
			words := strings.Fields(rules)
			for i, node := range []server{s, second} {
				ok(t, node.Exec(t.Context(), []string{"ACL", "SETUSER", boss.User, "on", "~*", "+@all", ">" + boss.Password.Reveal()},
					append([]string{"ACL", "SETUSER", app, "on", ">" + password().Reveal()}, words[:len(words)-min(i, 1)*map[bool]int{true: 1}[differ]]...)))
			}
			_, remark, err := valkey.Engine{}.ComparePair(t.Context(), and(boss, second), strategies.Pair{Original: app,
				Clone: app + "_clone", Target: app + "_clone"})
			ok(t, err)
			if said := remark != ""; said != (differ && release != "redis-6" && release != "redis-7") { // which show them in words of their own
				t.Errorf("%s: %s: %q", release, rules, remark)
			}
		}
	}
}

// prompt types lines at the prompt of the client that came with the server.
func (s server) prompt(t *testing.T, lines ...string) {
	t.Helper()
	argv := s.Client()
	if argv == nil {
		t.Skip("the server came without its client")
	}
	client := exec.CommandContext(t.Context(), argv[0], append(argv[1:], "-h", s.Host, "-p", strconv.Itoa(s.Port), "--user",
		s.Superuser, "--pass", s.Password, "--no-auth-warning")...)
	client.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := client.CombinedOutput(); err != nil || strings.Count(string(out), "OK") != len(lines) {
		t.Errorf("%q: %s, %v", lines, out, err)
	}
}

// TestWhatIsTypedIsForTheUser: whatever the writer of a secret calls its user, a line that is printed is for the user of
// that very name, and in a shell it is words and nothing else.
func TestWhatIsTypedIsForTheUser(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, _ := s.pair(t)
		p := password()
		for _, user := range []string{`"default"`, `'default'`, `def"au"lt`, `"def\x61ult"`, `\default`, "x$(touch${IFS}x)",
			"a`id`", "a;b", "a&b", "a|b", ">a", "a<b", "*", "~", "a#b", "!!", "(a)", "{a,b}", "it's", "ü", "a\u00a0b", "_-.@:/+=,",
			"-a", "#a", "a%b", "?"} {
			login := s.login(user, p)
			ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", user, "reset", "~*", "+get", ">" + p.Reveal()},
				[]string{"ACL", "SETUSER", user + "_clone", "reset", "on", `~a"b`, "~it's", "~a\u00a0b", "+get", "+set"}))
			before, err := s.Users(t.Context())
			ok(t, err)
			same := func(what string) {
				t.Helper()
				ok(t, s.logIn(t.Context(), login))
				after, err := s.Users(t.Context())
				ok(t, err)
				for name, rules := range before {
					if name != user && after[name] != rules {
						t.Errorf("%s: %s of user %s changed user %s: %s, from %s", release, what, user, name, after[name], rules)
					}
				}
			}
			explain := func() rotator.RejectionCause {
				t.Helper()
				causes, err := valkey.Engine{}.Explain(t.Context(), boss, login)
				ok(t, err)
				return causes[0]
			}
			lines := []string{explain().Fixes[0].Run} // it is off
			s.prompt(t, lines...)
			same("turning on")
			set, _, _ := strings.Cut(valkey.Engine{}.ResetStatement(user), " -- ")
			ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", user, "resetpass"}))
			s.prompt(t, strings.Replace(set, "PASSWORD", p.Reveal(), 1))
			same("the reset")
			ok(t, s.Exec(t.Context(), []string{"ACL", "DELUSER", user}))
			back := explain().Fixes[0]
			if !strings.HasPrefix(back.For, "if the two are a pair, and no other secret is for either of them") {
				t.Errorf("%s: a name proves no pair: %+v", release, back)
			}
			s.prompt(t, strings.Replace(back.Run, "PASSWORD", p.Reveal(), 1))
			same("bringing back")
			after, err := s.Users(t.Context())
			ok(t, err)
			if !strings.Contains(after[user], `~a"b ~it's ~a`+"\u00a0b ") {
				t.Errorf("%s: %s is brought back with %s", release, user, after[user])
			}
			lines = append(lines, "ACL GETUSER "+strings.Fields(set)[2])
			wrong := valkey.Engine{}.Ping(t.Context(), with(login, password()))
			_, look, _ := strings.Cut(wrong.Error(), "(ACL GETUSER ")
			look, _, _ = strings.Cut(look, " shows")
			for _, line := range append(lines, "ACL GETUSER "+look) {
				shell := exec.CommandContext(t.Context(), "sh", "-c", "set -f; set -- "+line+"; echo $#")
				shell.Dir = t.TempDir()
				if out, err := shell.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(len(strings.Fields(line))) {
					t.Errorf("%s: in a shell, %s is: %s, %v", release, line, out, err)
				}
				if left, _ := os.ReadDir(shell.Dir); len(left) > 0 {
					t.Errorf("%s: a shell runs something in %s", release, line)
				}
			}
			ok(t, s.Exec(t.Context(), []string{"ACL", "DELUSER", user, user + "_clone"}))
		}
	}
}

// TestAPasswordThatThePromptSplits: what is printed for it sets that very password, which >PASSWORD at the prompt does
// not. Of others it says nothing.
func TestAPasswordThatThePromptSplits(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, app := s.pair(t)
		for word, split := range map[string]bool{`correct horse "battery" staple`: true, "summer ": true, "winter on": true,
			"summer\n": true, "it's": true, "a\tb": true, `back\slash`: false, "\\n\u00a0ü#>%": false} {
			login := with(app, secret.NewPassword(word))
			wrong := valkey.Engine{}.Ping(t.Context(), login)
			wants(t, wrong, rotator.KindLoginRejected)
			causes, err := valkey.Engine{}.Explain(t.Context(), boss, login)
			ok(t, err)
			line, _, _ := strings.Cut(causes[0].Reset, " -- ")
			for _, said := range []string{wrong.Error(), causes[0].Text} {
				if strings.Contains(said, "#HASH in place of >PASSWORD") != split || strings.Contains(said, word) {
					t.Errorf("%s: %q: %s", release, word, said)
				}
			}
			hash := "#" + sha(login.Password)
			if jq, err := exec.LookPath("jq"); err == nil && split {
				_, after, _ := strings.Cut(wrong.Error(), "--output text | jq ")
				command, _, _ := strings.Cut(after, " prints")
				shell := exec.CommandContext(t.Context(), "sh", "-c", jq+" "+command)
				value, _ := json.Marshal(map[string]string{"password": word})
				shell.Stdin = bytes.NewReader(append(value, '\n'))
				out, err := shell.Output()
				ok(t, err)
				if "#"+strings.TrimSpace(string(out)) != hash {
					t.Errorf("%q: %s: %s", word, command, out)
				}
			}
			typed := ">" + word
			if split {
				typed = hash
			}
			s.prompt(t, strings.Replace(line, ">PASSWORD", typed, 1))
			ok(t, s.logIn(t.Context(), login))
		}
	}
}

// TestAReplicaThatIsBehind: users are not replicated. Where the host has become a replica that has another password, none
// is set there; a replica that is read on purpose says so itself.
func TestAReplicaThatIsBehind(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		primary := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		replica := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, app := primary.pair(t)
		primary.copyTo(t, replica, boss, app)
		ok(t, replica.Follow(t.Context(), primary.ValkeyServer))
		there := func(login strategies.Login) strategies.Login {
			login.Host, login.Port = replica.Host, replica.Port
			return login
		}
		wrong := with(app, password())
		causes, err := valkey.Engine{}.Explain(t.Context(), there(boss), there(wrong))
		wants(t, err, rotator.KindReadOnly, replica.Address()+" is a replica of "+primary.Address(), "another password")
		if len(causes) != 1 || causes[0].Reset == "" || causes[0].Fixes != nil {
			t.Errorf("%s: %+v", release, causes)
		}
		fixes := rotator.FixesOf(err)
		if len(fixes) != 3 || fixes[1].Run != "INFO replication" || !strings.HasPrefix(fixes[2].For, "if clients read") ||
			!strings.Contains(fixes[2].Note, "then ACL SAVE") {
			t.Errorf("%s: %+v", release, fixes)
		}
		// In order, or with its primary among the nodes, it is as elsewhere.
		causes, err = valkey.Engine{}.Explain(t.Context(), there(boss), there(app))
		if ok(t, err); !causes[0].Right {
			t.Errorf("%s: %+v", release, causes)
		}
		causes, err = valkey.Engine{}.Explain(t.Context(), and(there(boss), primary), and(there(wrong), primary))
		if ok(t, err); causes[0].Reset == "" || causes[0].Fixes == nil {
			t.Errorf("%s: %+v", release, causes)
		}
	}
}

// TestUsersAreSavedWhereTheyAre: what is printed saves them there, and ACL SAVE fails where there is no aclfile. Where
// nobody has looked, both commands are printed, each with when it is the one.
func TestUsersAreSavedWhereTheyAre(t *testing.T) {
	t.Parallel()
	for users, save := range map[string]string{"aclfile": "ACL SAVE", "config": "CONFIG REWRITE"} {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Users: users})}
		for what, breaks := range map[string]string{"off": "ACL SETUSER %u off", "gone": "ACL DELUSER %u",
			"another password": "ACL SETUSER %u resetpass >another"} {
			boss, app := s.login(s.Superuser, secret.NewPassword(s.Password)), s.login(name("app"), password())
			for _, user := range []string{app.User, app.User + "_clone"} {
				ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", user, "on", ">" + app.Password.Reveal()}, ordinary...)))
			}
			ok(t, s.Exec(t.Context(), strings.Fields(strings.ReplaceAll(breaks, "%u", app.User))))
			causes, err := valkey.Engine{}.Explain(t.Context(), boss, app)
			ok(t, err)
			saves := 0
			for _, fix := range append(causes[0].Fixes, rotator.NewFix(rotator.BySuperuser, causes[0].Reset)) {
				if fix.Run == "ACL SAVE" || fix.Run == "CONFIG REWRITE" {
					if saves++; fix.Run != save {
						t.Errorf("users are saved in %s, and it prints %s", users, fix.Run)
					}
				}
				if fix.Run != "" {
					ok(t, s.Exec(t.Context(), strings.Fields(strings.ReplaceAll(fix.Run, "PASSWORD", app.Password.Reveal()))))
				}
			}
			said := causes[0].Text + causes[0].Remedy
			if saves != 1 || users == "config" && strings.Contains(said, "or by ACL LOAD") {
				t.Errorf("%s, %s: %d times saved: %s", users, what, saves, said)
			}
			untold, err := valkey.Engine{}.NotInDryRun(t.Context(), boss)
			ok(t, err)
			if other := map[string]string{"aclfile": "CONFIG REWRITE", "config": "ACL SAVE"}[users]; strings.Contains(untold, other) {
				t.Errorf("users are saved in %s: %s", users, untold)
			}
		}
	}
	var both []string
	for _, fix := range (valkey.Engine{}).Inquiry("app") {
		both = append(both, fix.Run)
	}
	if strings.Join(both, ", ") != "ACL LIST, ACL SAVE, CONFIG REWRITE" {
		t.Errorf("%q", both)
	}
}

// savedLine is what the file says of a user.
func (s server) savedLine(t *testing.T, user string) string {
	t.Helper()
	answer, err := s.Ask(t.Context(), s.Superuser, s.Password, []string{"CONFIG", "GET", "aclfile"})
	ok(t, err)
	file, err := os.ReadFile(answer.([]any)[1].(string))
	ok(t, err)
	_, line, there := strings.Cut(string(file), "user "+user+" ")
	if !there {
		t.Fatalf("the file has no user %q", user)
	}
	line, _, _ = strings.Cut(line, "\n")
	return line
}

func sha(p secret.Password) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(p.Reveal()))) }

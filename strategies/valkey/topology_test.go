package valkey_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
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

// copyTo gives a server the users of some logins.
func (s server) copyTo(t *testing.T, other server, logins ...strategies.Login) {
	t.Helper()
	users, err := s.Users(t.Context())
	ok(t, err)
	for _, login := range logins {
		ok(t, other.Exec(t.Context(), append([]string{"ACL", "SETUSER", login.User, "reset"},
			strings.Fields(users[login.User])...), []string{"ACL", "SAVE"}))
	}
}

// and adds a server to what a login covers.
func and(login strategies.Login, others ...server) strategies.Login {
	var addresses []string
	for _, other := range others {
		addresses = append(addresses, other.Address())
	}
	login.Extra = map[string]string{"nodes": strings.Join(addresses, ",")}
	return login
}

// TestAServerThatNodesLeaveOut: clients of the one that is not listed are locked out by a rotation of the others.
// On every release it takes more than twenty seconds, until nodes of a cluster have heard of each other.
func TestAServerThatNodesLeaveOut(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		for kind, says := range map[string]string{"replica": "have 2 replicas", "cluster": "the cluster has 3 nodes"} {
			t.Run(release+" "+kind, func(t *testing.T) {
				t.Parallel()
				o := dbserver.ValkeyOptions{Name: release}
				if kind == "cluster" {
					o.Mode = kind
				}
				var all []server
				var boss, app strategies.Login
				for i := range 3 {
					all = append(all, server{dbserver.NewValkey(t, o)})
					switch {
					case i == 0:
						boss, app = all[0].pair(t)
						ok(t, all[0].Exec(t.Context(), []string{"ACL", "SETUSER", boss.User, "+cluster"}))
					case kind == "cluster":
						all[0].copyTo(t, all[i], boss, app)
						ok(t, all[0].Meet(t.Context(), all[i].ValkeyServer))
					default:
						all[0].copyTo(t, all[i], boss, app)
						ok(t, all[i].Follow(t.Context(), all[0].ValkeyServer))
						ok(t, all[0].Exec(t.Context(), []string{"SET", "1", "1"}, []string{"WAIT", strconv.Itoa(i), "0"}))
					}
				}
				warns := func(says string, host server, others ...server) {
					t.Helper()
					at := and(boss, others...)
					at.Host, at.Port = host.Host, host.Port
					warnings, err := valkey.Engine{}.DryRunSetPassword(t.Context(), at, app.User, password())
					ok(t, err)
					if said := len(warnings) == 1 && warnings[0].Unknown && strings.Contains(warnings[0].Text, says) &&
						strings.Contains(warnings[0].Text, "covers 2"); said != (says != "") || !said && len(warnings) > 0 {
						t.Errorf("%s, %s: %+v; want %q", release, kind, warnings, says)
					}
				}
				warns(says, all[0], all[1])
				warns("", all[0], all[1], all[2])
				if kind == "replica" {
					warns("their primary is not one of them", all[1], all[2])
					return
				}
				for _, s := range all[:2] { // how many there are is not shown then
					ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", boss.User, "-cluster"}))
				}
				warns("", all[0], all[1])
			})
		}
	}
}

// TestServersThatTakeTurns behind one name share no users: nothing is changed, and no password advised, by that name.
func TestServersThatTakeTurns(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			o := dbserver.ValkeyOptions{Name: release}
			one, two := server{dbserver.NewValkey(t, o)}, server{dbserver.NewValkey(t, o)}
			boss, app := one.pair(t)
			one.copyTo(t, two, boss, app)
			behind := func(login strategies.Login, all ...string) strategies.Login {
				h := dbserver.NewBalancer(t, all...)
				login.Host, login.Port = h.Host, h.Port
				return login
			}
			both := behind(boss, one.Address(), two.Address())
			pair := strategies.Pair{Original: app.User, Clone: app.User + "_clone", Target: app.User + "_clone"}
			tries := map[string]func(at strategies.Login) error{
				"single user": func(at strategies.Login) error {
					_, err := valkey.Engine{}.DryRunSetPassword(t.Context(), at, app.User, password())
					return err
				},
				"dual passwords": func(at strategies.Login) error {
					_, err := valkey.Engine{}.DryRunKeeping(t.Context(), at, app.User, app.Password, password())
					return err
				},
				"alternating users": func(at strategies.Login) error {
					_, err := valkey.Engine{}.DryRunEnsureClone(t.Context(), at, pair, password())
					return err
				},
			}
			says := "servers take turns behind that name"
			alone := behind(boss, one.Address())
			for name, try := range tries {
				if err := try(both); !errors.Is(err, rotator.KindMisconfigured) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v", name, err)
				}
				ok(t, try(alone))
			}
			ok(t, valkey.Engine{}.SetPassword(t.Context(), boss, app.User, password()))
			for login, blocked := range map[*strategies.Login]bool{&both: true, &alone: false} {
				causes, err := valkey.Engine{}.Explain(t.Context(), *login, app)
				ok(t, err)
				if c := causes[0]; c.Blocked != blocked || strings.Contains(c.Text, says) != blocked || blocked && c.Reset != "" {
					t.Errorf("%+v", c)
				}
			}
			// where one of them has another superuser's password, that is the answer of every second login
			ok(t, two.Exec(t.Context(), []string{"ACL", "SETUSER", boss.User, "resetpass", ">another"}))
			err := tries["single user"](both)
			if errors.Is(err, rotator.KindLoginRejected) {
				err = tries["single user"](both)
			}
			if !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestANodeThatWasTakenOutIsNamed: no rotation reaches it any more, and its clients keep the password of AWSPREVIOUS.
func TestANodeThatWasTakenOutIsNamed(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	value := func(login strategies.Login, nodes ...string) secret.Document {
		list, err := json.Marshal(append([]string{}, nodes...))
		ok(t, err)
		d, err := secret.ParseDocument(fmt.Sprintf(`{"engine": "valkey", "host": %q, "port": %d, "username": %q, `+
			`"password": %q, "ssl": false, "masterarn": "boss", "nodes": %s}`, s.Host, s.Port, login.User,
			login.Password.Reveal(), list))
		ok(t, err)
		return d
	}
	for said, before := range map[string][]string{"": {s.Address()}, `AWSPREVIOUS names "second.example.com:6379"`: {s.Address(),
		"second.example.com:6379"}} {
		for id, strategy := range map[string]rotator.Strategy{"P8": strategies.SingleUser{Engine: valkey.Engine{}, ThroughSuperuser: true},
			"P9": strategies.AlternatingUsers{Engine: valkey.Engine{}}} {
			for _, f := range strategy.(rotator.Preflighter).Preflight(t.Context(), rotator.Rotation{
				Current:      value(app, s.Address()),
				ReadPrevious: func(context.Context) (secret.Document, error) { return value(app, before...), nil },
				ReadPending:  func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound },
				ReadSecret:   func(context.Context, string) (secret.Document, error) { return value(boss, s.Address()), nil },
				Log:          func(string, ...any) {},
			}) {
				if f.ID == id && (f.Status != rotator.StatusPassed || (said == "") != (f.Detail == "") ||
					!strings.Contains(f.Detail, said)) {
					t.Errorf("want %q: %s %s: %s", said, f.ID, f.Status, f.Detail)
				}
				if f.Status == rotator.StatusFailed {
					t.Errorf("%s: %s", f.ID, f.Detail)
				}
			}
		}
	}
}

// TestServersOfSeveral: users are replicated neither to replicas nor to nodes of a cluster. A secret that names one
// server alone is told so, whichever server it names; one that names both changes both, in each way there is.
func TestServersOfSeveral(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		for kind, says := range map[string][2]string{
			"replica": {"the server has 1 replica:", "the server is a replica"},
			"cluster": {"the server is a node of a cluster", "the server is a node of a cluster"},
		} {
			t.Run(release+" "+kind, func(t *testing.T) {
				t.Parallel()
				o := dbserver.ValkeyOptions{Name: release}
				if kind == "cluster" {
					o.Mode = kind
				}
				first, second := server{dbserver.NewValkey(t, o)}, server{dbserver.NewValkey(t, o)}
				boss, app := first.pair(t)
				first.copyTo(t, second, boss, app)
				if kind == "cluster" {
					ok(t, first.Meet(t.Context(), second.ValkeyServer))
				} else {
					ok(t, second.Follow(t.Context(), first.ValkeyServer))
				}
				engine := valkey.Engine{}
				for i, s := range []server{first, second} {
					at := boss
					at.Host, at.Port = s.Host, s.Port
					warnings, err := engine.DryRunSetPassword(t.Context(), at, app.User, password())
					ok(t, err)
					if len(warnings) != 1 || !warnings[0].Unknown || !strings.Contains(warnings[0].Text, says[i]) ||
						!strings.Contains(warnings[0].Text, "in nodes") {
						t.Errorf("at server %d: %+v; want one unknown that says %q", i, warnings, says[i])
					}
				}
				// One server alone: the other goes on taking the old password, and not the new one.
				p := password()
				ok(t, engine.SetPassword(t.Context(), boss, app.User, p))
				ok(t, second.logIn(t.Context(), app))
				wants(t, second.logIn(t.Context(), with(app, p)), rotator.KindLoginRejected, "")
				// Both.
				old, p := p, password()
				both := and(boss, second)
				warnings, err := engine.DryRunSetPassword(t.Context(), both, app.User, p)
				ok(t, err)
				if len(warnings) > 0 {
					t.Errorf("both are named, and yet: %+v", warnings)
				}
				set := map[string]func(p secret.Password) error{
					"SetPassword": func(p secret.Password) error {
						return engine.SetPassword(t.Context(), both, app.User, p)
					},
					"SetPasswordKeeping": func(p secret.Password) error {
						return engine.SetPasswordKeeping(t.Context(), both, app.User, old, p)
					},
					"Persist": func(p secret.Password) error {
						return engine.Persist(t.Context(), both, app.User, p)
					},
				}
				for _, how := range slices.Sorted(maps.Keys(set)) {
					p := password()
					ok(t, set[how](p))
					for _, s := range []server{first, second} {
						ok(t, s.logIn(t.Context(), with(app, p)))
						if err := s.logIn(t.Context(), with(app, old)); how == "SetPassword" &&
							!errors.Is(err, rotator.KindLoginRejected) {
							t.Errorf("the old password: %v", err)
						}
					}
					old = p
				}
				clone := app.User + "_clone"
				ok(t, engine.EnsureClone(t.Context(), both, strategies.Pair{Original: app.User, Clone: clone,
					Target: clone}, p))
				for _, s := range []server{first, second} {
					ok(t, s.logIn(t.Context(), with(s.login(clone, p), p)))
				}
				// What was set is there after a restart of the one that has least to say.
				ok(t, second.Restart(t.Context()))
				ok(t, second.logIn(t.Context(), with(app, old)))
				ok(t, second.logIn(t.Context(), second.login(clone, p)))
			})
		}
	}
}

// TestSavingAtSeveralNodes: each has a file of its own, and each that could not be saved is named, to who asks for
// status and in a preflight.
func TestSavingAtSeveralNodes(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		for users, save := range map[string][]string{"aclfile": {"ACL", "SAVE"}, "config": {"CONFIG", "REWRITE"}} {
			all := []server{{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Users: users})},
				{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Users: users})}}
			boss, app := all[0].login(name("boss"), password()), name("app")
			both, engine := and(boss, all[1]), valkey.Engine{}
			var files, places []string
			for _, s := range all {
				ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", boss.User, "on", ">" + boss.Password.Reveal()},
					selfChange...), append([]string{"ACL", "SETUSER", app, "on", ">" + password().Reveal()}, ordinary...)))
				files, places = append(files, s.usersFile(t, users)), append(places, s.Address())
			}
			says := func(what, text string) {
				t.Helper()
				for i := range all {
					if !strings.Contains(text, files[i]) || !strings.Contains(text, places[i]) ||
						!strings.Contains(text, "mount its folder instead") {
						t.Errorf("%s, %s, %s does not say %s at %s: %s", release, users, what, files[i], places[i], text)
					}
				}
			}
			untold, err := engine.NotInDryRun(t.Context(), both)
			ok(t, err)
			says("what is not tried", untold)
			for i, s := range all {
				at := boss
				at.Host, at.Port = s.Host, s.Port
				ok(t, os.Chmod(filepath.Dir(files[i]), 0o555))
				wants(t, engine.SetPassword(t.Context(), at, app, password()), rotator.KindMisconfigured,
					strings.Join(save, " ")+" failed", "Nothing was changed at this node")
				ok(t, os.Chmod(filepath.Dir(files[i]), 0o755))
			}
			if release == "redis-6" { // which does not count it
				continue
			}
			_, err = engine.NotInDryRun(t.Context(), both)
			wants(t, err, rotator.KindMisconfigured, "has failed 1 of 1 times")
			says("what has failed", err.Error())
			if fixes := rotator.FixesOf(err); !strings.HasSuffix(fixes[len(fixes)-1].For, places[0]+" and at "+places[1]) {
				t.Errorf("%s, %s: %+v", release, users, fixes)
			}
			for _, unknown := range []bool{true, false} {
				warnings, err := engine.DryRunSetPassword(t.Context(), both, app, password())
				ok(t, err)
				text, count := "", 0
				for _, w := range warnings {
					if strings.Contains(w.Text, " has failed 1 of ") {
						text, count = text+w.Text, count+1
						if w.Unknown != unknown || len(w.Fixes) == 0 {
							t.Errorf("%s, %s: %+v", release, users, w)
						}
					}
				}
				says("the preflight", text)
				if count != 2 {
					t.Errorf("%s, %s: %+v", release, users, warnings)
				}
				for _, s := range all {
					ok(t, s.Exec(t.Context(), save))
				}
			}
		}
	}
}

// TestARealSentinel is refused, before and after it has users of its own.
func TestARealSentinel(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		if release == "redis-6" {
			continue // Sentinel has users since 6.2
		}
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Mode: "sentinel"})}
		login := s.login(s.Superuser, secret.NewPassword(s.Password))
		wants(t, valkey.Engine{}.Ping(t.Context(), login), rotator.KindMisconfigured, "Sentinel")
		_, err := valkey.Engine{AllowSelfChange: true}.DryRunSetPassword(t.Context(), login, login.User, password())
		wants(t, err, rotator.KindMisconfigured, "Sentinel")
		wants(t, valkey.Engine{AllowSelfChange: true}.SetPassword(t.Context(), login, login.User, password()),
			rotator.KindMisconfigured, "Sentinel")
		ok(t, s.logIn(t.Context(), login))
	}
}

// resp3 logs in as clients of RESP3 do, and gives the connection.
func (s server) resp3(t *testing.T, login strategies.Login) (conn net.Conn, in *bufio.Reader, answer string) {
	t.Helper()
	conn, err := s.Dial(t.Context())
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	p := login.Password.Reveal()
	_, err = fmt.Fprintf(conn, "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n",
		len(login.User), login.User, len(p), p)
	ok(t, err)
	in = bufio.NewReader(conn)
	answer, err = in.ReadString('\n')
	ok(t, err)
	return conn, in, answer
}

// TestRESP3: what was rotated serves clients of both protocols, and a connection that is there stays.
func TestRESP3(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		if release == "redis-6" { // where HELLO is held to what the default user may do
			ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", "default", "on", "resetpass",
				">" + password().Reveal(), "-@all", "+hello"}))
		}
		boss, app := s.pair(t)
		conn, in, answer := s.resp3(t, app)
		if !strings.HasPrefix(answer, "%") {
			t.Fatalf("%s: HELLO 3: %q", release, answer)
		}
		p := password()
		ok(t, valkey.Engine{}.SetPassword(t.Context(), boss, app.User, p))
		if _, _, answer := s.resp3(t, with(app, p)); !strings.HasPrefix(answer, "%") {
			t.Errorf("%s: the new password in RESP3: %q", release, answer)
		}
		if _, _, answer := s.resp3(t, app); !strings.HasPrefix(answer, "-WRONGPASS") {
			t.Errorf("%s: the old password in RESP3: %q", release, answer)
		}
		_, err := io.WriteString(conn, "*2\r\n$4\r\nECHO\r\n$5\r\nthere\r\n*1\r\n$4\r\nPING\r\n")
		ok(t, err)
		for !strings.Contains(answer, "PONG") {
			if answer, err = in.ReadString('\n'); err != nil {
				t.Fatalf("%s: the connection that was there before: %v", release, err)
			}
		}
	}
}

// TestNoPassAndOff: a user that is let in with any password, or with none, gets no password by any way, and nothing
// is changed, of itself or of the other of its pair.
func TestNoPassAndOff(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		engine := valkey.Engine{}
		for state, want := range map[string]rotator.Kind{"nopass": rotator.KindMisconfigured,
			"off": rotator.KindPrivilege} {
			for _, of := range []string{"original", "clone"} {
				boss, app := s.pair(t)
				clone := app.User + "_clone"
				pair := strategies.Pair{Original: app.User, Clone: clone, Target: clone,
					Possession: func(context.Context, func(secret.Password) bool) error { return nil }}
				old := password()
				ok(t, engine.EnsureClone(t.Context(), boss, pair, old))
				user := app.User
				if of == "clone" {
					user = clone
				}
				ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", user, state}))
				before, err := s.Users(t.Context())
				ok(t, err)
				there, back := pair, pair
				back.Target = app.User
				_, err = engine.DryRunSetPassword(t.Context(), boss, user, password())
				_, err2 := engine.DryRunKeeping(t.Context(), boss, user, old, password())
				_, err3 := engine.DryRunEnsureClone(t.Context(), boss, there, password())
				_, err4 := engine.DryRunEnsureClone(t.Context(), boss, back, password())
				for how, err := range map[string]error{
					"SetPassword":        engine.SetPassword(t.Context(), boss, user, password()),
					"Persist":            engine.Persist(t.Context(), boss, user, old),
					"SetPasswordKeeping": engine.SetPasswordKeeping(t.Context(), boss, user, old, password()),
					"EnsureClone":        engine.EnsureClone(t.Context(), boss, there, password()),
					"EnsureClone back":   engine.EnsureClone(t.Context(), boss, back, password()),
					"DryRunSetPassword":  err, "DryRunKeeping": err2, "DryRunEnsureClone": err3,
					"DryRunEnsureClone back": err4,
				} {
					if rotator.KindOf(err) != want || !strings.Contains(err.Error(), user) {
						t.Errorf("%s: the %s is %s: %s: %v; want %s", release, of, state, how, err, want)
					}
				}
				after, err := s.Users(t.Context())
				ok(t, err)
				if !maps.Equal(before, after) {
					t.Errorf("%s: the %s is %s: users were changed:\n%v\n%v", release, of, state, before, after)
				}
			}
		}
	}
}

// TestTheDefaultUser: its password may be in the configuration file as requirepass, too.
func TestTheDefaultUser(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		old := password()
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Users: "config",
			Conf: map[string]string{"requirepass": old.Reveal()}})}
		ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", "default", "on", "+get"}))
		boss := s.login(s.Superuser, secret.NewPassword(s.Password))
		user := s.login("default", old)
		p := password()
		ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", "default", "resetpass", ">" + old.Reveal()}))
		ok(t, s.logIn(t.Context(), user))
		ok(t, valkey.Engine{}.SetPassword(t.Context(), boss, "default", p))
		for _, when := range []string{"at once", "after a restart"} {
			if err := s.logIn(t.Context(), with(user, p)); err != nil {
				t.Errorf("%s, %s: the new password: %v", release, when, err)
			}
			wants(t, s.logIn(t.Context(), user), rotator.KindLoginRejected, "")
			ok(t, s.Restart(t.Context()))
		}
	}
}

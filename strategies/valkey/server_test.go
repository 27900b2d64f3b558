package valkey_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/internal/enginetest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// The helpers that the tests of the engines share, under the names that they have here.
var (
	ok    = enginetest.OK
	wants = enginetest.Wants
	with  = enginetest.WithPassword
)

func password() secret.Password { return secret.NewPassword("New-1" + name("")) }

// listen is a server of the test's own.
func listen(t *testing.T, serve func(net.Conn)) strategies.Login {
	t.Helper()
	return strategies.Login{Host: "127.0.0.1", Port: enginetest.Listen(t, serve), User: "app", Password: password(),
		TLS: strategies.TLS{Disabled: true}}
}

// pair makes a superuser and a user of a server.
func (s server) pair(t *testing.T) (boss, app strategies.Login) {
	t.Helper()
	boss, err := s.user(t.Context(), name("boss"), selfChange)
	ok(t, err)
	app, err = s.user(t.Context(), name("app"), ordinary)
	ok(t, err)
	return boss, app
}

// aclFolder is where the server saves users.
func (s server) aclFolder(t *testing.T) string {
	t.Helper()
	answer, err := s.Ask(t.Context(), s.Superuser, s.Password, []string{"CONFIG", "GET", "aclfile"})
	ok(t, err)
	return filepath.Dir(answer.([]any)[1].(string))
}

// usersFile is where the server saves users.
func (s server) usersFile(t *testing.T, users string) string {
	t.Helper()
	if users == "aclfile" {
		return filepath.Join(s.aclFolder(t), "users.acl")
	}
	answer, err := s.Ask(t.Context(), s.Superuser, s.Password, []string{"INFO", "server"})
	ok(t, err)
	_, file, _ := strings.Cut(answer.(string), "config_file:")
	file, _, _ = strings.Cut(file, "\r")
	return file
}

// TestWhatNoDryRunTries: that saving has failed, the server knows, in either file, and says so to the superuser.
func TestWhatNoDryRunTries(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		for users, command := range map[string]string{"aclfile": "ACL SAVE", "config": "CONFIG REWRITE"} {
			s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Users: users})}
			boss, app := s.login(s.Superuser, secret.NewPassword(s.Password)), name("app")
			ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app, "on", ">" + password().Reveal(), "+get"}))
			counts := release != "redis-6" // which tells the commands of ACL and CONFIG not apart
			finds := func(untold bool, says ...string) {
				t.Helper()
				sentence, err := valkey.Engine{}.NotInDryRun(t.Context(), boss)
				if says != nil && counts {
					wants(t, err, rotator.KindMisconfigured, says...)
					return
				}
				ok(t, err)
				if said := strings.Contains(sentence, "no dry run saves users"); said != (untold || !counts) {
					t.Errorf("%s, %s: %q", release, users, sentence)
				}
			}
			finds(true)
			ok(t, valkey.Engine{}.SetPassword(t.Context(), boss, app, password()))
			finds(false)
			folder := filepath.Dir(s.usersFile(t, users))
			ok(t, os.Chmod(folder, 0o555))
			err := valkey.Engine{}.SetPassword(t.Context(), boss, app, password())
			ok(t, os.Chmod(folder, 0o755))
			if err == nil {
				t.Skip("the server writes into a folder that is not writable: it runs as root")
			}
			finds(true, command+" has failed 1 of 2 times", folder, "once it is fixed")
		}
	}
}

// TestWhatWasNeverSavedIsSaidBefore: the first rotation would save what others have left in memory, over a file that may
// have more. Once a person has saved or loaded it, there is nothing to say.
func TestWhatWasNeverSavedIsSaidBefore(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		for users, saves := range map[string][][]string{"aclfile": {{"ACL", "SAVE"}, {"ACL", "LOAD"}},
			"config": {{"CONFIG", "REWRITE"}}} {
			for _, save := range saves {
				s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Users: users})}
				boss, app := s.login(s.Superuser, secret.NewPassword(s.Password)), name("app")
				ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app, "on", ">" + password().Reveal(), "+get"}))
				said := func() bool {
					t.Helper()
					p := password()
					one, err := valkey.Engine{}.DryRunSetPassword(t.Context(), boss, app, p)
					ok(t, err)
					two, err := valkey.Engine{}.DryRunKeeping(t.Context(), boss, app, p, p)
					ok(t, err)
					three, err := valkey.Engine{}.DryRunEnsureClone(t.Context(), boss, strategies.Pair{Original: app,
						Clone: app + "_clone", Target: app + "_clone"}, p)
					ok(t, err)
					n := 0
					for _, w := range slices.Concat(one, two, three) {
						if strings.Contains(w.Text, "were not saved. This rotation saves all of them by "+strings.Join(saves[0], " ")) &&
							w.Unknown && strings.Contains(w.Text, "before any change, compare the two") {
							n++
						}
					}
					if n%3 != 0 {
						t.Errorf("%s, %s: %d of three dry runs say it", release, users, n)
					}
					return n > 0
				}
				if counts := release != "redis-6"; said() != counts { // which tells the commands of ACL not apart
					t.Errorf("%s, %s: said: %t", release, users, !counts)
				}
				ok(t, s.Exec(t.Context(), save))
				if save[1] == "LOAD" {
					ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app, "on", ">" + password().Reveal(), "+get"}))
				}
				if said() {
					t.Errorf("%s, %s: said after %v", release, users, save)
				}
			}
		}
	}
}

// TestNoRotationSavesWhatWasMadeAgain: a user that was deleted and made again without rules has them in the file alone, or
// in the other of its pair. No rotation saves it so, or gives what it has left to the other; a clone is given its rules.
func TestNoRotationSavesWhatWasMadeAgain(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		for _, c := range []struct {
			what, breaks    string // %u: the user; %c: its clone
			single          bool   // refuses a change of the user by itself
			toClone, toUser bool   // refuses a rotation of the pair
			only            bool   // refuses the same where only passwords are set
		}{
			{"in order", "PING", false, false, false, false},
			{"the original", "ACL SETUSER %u reset on #%h", true, true, true, true},
			{"the original, with a rule", "ACL SETUSER %u reset on #%h +ping", false, true, true, false},
			{"the clone", "ACL SETUSER %c reset on #%h", false, false, false, true},
			{"both", "ACL SETUSER %u reset on #%h; ACL SETUSER %c reset on #%h", true, true, true, true},
			{"both, for rotations", "ACL SETUSER %u reset on #%h +acl; ACL SETUSER %c reset on #%h +acl", false, false, false, false},
		} {
			boss, app := s.pair(t)
			clone := app.User + "_clone"
			ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", clone, "on", "#" + sha(app.Password)}, ordinary...),
				[]string{"ACL", "SAVE"}))
			for b := range strings.SplitSeq(strings.NewReplacer("%u", app.User, "%c", clone, "%h", sha(app.Password)).Replace(c.breaks), ";") {
				ok(t, s.Exec(t.Context(), strings.Fields(b)))
			}
			var lines []string
			judge := func(change string, refused bool, changed, rehearsed error) {
				t.Helper()
				for _, err := range []error{rehearsed, changed} {
					if !refused {
						ok(t, err)
						continue
					}
					says := "do not ACL SAVE yet"
					if strings.HasPrefix(c.what, "the original") && strings.Contains(change, "PasswordOnly:false") {
						says = "user " + strconv.Quote(clone) + ", the other of its pair, has rules still: ACL SETUSER " + app.User + " "
					}
					wants(t, err, rotator.KindPrivilege, "deleted and made again", says)
				}
				if after := []string{s.savedLine(t, app.User), s.savedLine(t, clone)}; refused && !slices.Equal(after, lines) {
					t.Errorf("%s, %s, %s: the file has %q; it had %q", release, c.what, change, after, lines)
				}
			}
			pair := func(target string, only bool) strategies.Pair {
				return strategies.Pair{Original: app.User, Clone: clone, Target: target, PasswordOnly: only, Consent: true}
			}
			e, p := valkey.Engine{}, app.Password
			for _, refused := range []struct {
				pair strategies.Pair
				is   bool
			}{{pair(clone, true), c.only}, {pair(app.User, true), c.only}, {pair(app.User, false), c.toUser}, {pair(clone, false), c.toClone}} {
				lines = []string{s.savedLine(t, app.User), s.savedLine(t, clone)}
				_, err := e.DryRunEnsureClone(t.Context(), boss, refused.pair, p)
				judge(fmt.Sprintf("%+v", refused.pair), refused.is, e.EnsureClone(t.Context(), boss, refused.pair, p), err)
				if !refused.is { // as before
					for b := range strings.SplitSeq(strings.NewReplacer("%u", app.User, "%c", clone, "%h", sha(app.Password)).Replace(c.breaks), ";") {
						ok(t, s.Exec(t.Context(), strings.Fields(b)))
					}
				}
			}
			if c.toUser && !strings.HasPrefix(c.what, "both") { // what is printed gives it them, and ends its password not
				_, err := e.DryRunEnsureClone(t.Context(), boss, pair(clone, false), p)
				for _, fix := range rotator.FixesOf(err) {
					ok(t, s.Exec(t.Context(), strings.Fields(fix.Run)))
				}
				ok(t, s.As(t.Context(), app.User, p.Reveal(), []string{"GET", "1"}, []string{"SET", "1", "1"}))
				_, err = e.DryRunEnsureClone(t.Context(), boss, pair(clone, false), p)
				ok(t, err)
				ok(t, s.Exec(t.Context(), strings.Fields(strings.NewReplacer("%u", app.User, "%h", sha(p)).Replace(c.breaks))))
			}
			lines = []string{s.savedLine(t, app.User), s.savedLine(t, clone)}
			_, err := e.DryRunSetPassword(t.Context(), boss, app.User, p)
			judge("a password", c.single, e.SetPassword(t.Context(), boss, app.User, p), err)
			_, err = e.DryRunKeeping(t.Context(), boss, app.User, p, p)
			judge("two passwords", c.single, e.SetPasswordKeeping(t.Context(), boss, app.User, p, p), err)
			judge("saving", c.single, e.Persist(t.Context(), boss, app.User, p), err)
		}
	}
}

// TestTheServerStartsAgainAfterARotation: CONFIG REWRITE writes users as they are, and a start reads quotes as quotes,
// and Redis 6 cuts long lines. A user of another secret would keep the server from starting, or have other rules after it.
func TestTheServerStartsAgainAfterARotation(t *testing.T) {
	t.Parallel()
	var patterns []string
	for i := range 100 {
		patterns = append(patterns, fmt.Sprintf("~pattern%d:*", i))
	}
	for _, release := range dbserver.ValkeysInTier(t) {
		for _, users := range []string{"aclfile", "config"} {
			s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Users: users})}
			boss, app := s.login(s.Superuser, secret.NewPassword(s.Password)), name("app")
			for _, other := range []struct {
				name, says string
				rules      []string
			}{
				{`it's`, "has a quote", []string{"~*"}},
				{`a"b"c`, "has a quote", []string{"~*"}},
				{"other", "has a quote", []string{`~"x"`}},
				{"other", "has a quote", []string{`~it's`}},
				{"other", "has a line of more than", patterns},
				{"other", "", []string{"~*"}},
			} {
				ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", other.name, "reset", "on", ">" + password().Reveal(), "+get"},
					other.rules...), []string{"ACL", "SETUSER", app, "on", ">" + password().Reveal(), "~*", "+get"}))
				before, err := s.Users(t.Context())
				ok(t, err)
				refused := users == "config" && (other.says == "has a quote" || other.says != "" && release == "redis-6")
				p := password()
				for what, change := range map[string]func() error{
					"a dry run": func() error {
						_, err := valkey.Engine{}.DryRunSetPassword(t.Context(), boss, app, p)
						return err
					},
					"the change": func() error { return valkey.Engine{}.SetPassword(t.Context(), boss, app, p) },
					"a clone": func() error {
						return valkey.Engine{}.EnsureClone(t.Context(), boss, strategies.Pair{Original: app, Clone: app + "_clone",
							Target: app + "_clone", Consent: true}, p)
					},
				} {
					err := change()
					if !refused {
						ok(t, err)
					} else if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("user %q %s", other.name, other.says)) {
						t.Errorf("%s, %q: %s: %v", release, other, what, err)
					}
				}
				if err := s.Restart(t.Context()); err != nil {
					t.Fatalf("%s, %s, %q: %v", release, users, other, err)
				}
				after, err := s.Users(t.Context())
				ok(t, err)
				if !refused && after[other.name] != before[other.name] {
					t.Errorf("%s, %s: after a restart %q has %s; it had %s", release, users, other.name, after[other.name], before[other.name])
				}
				ok(t, s.Exec(t.Context(), []string{"ACL", "DELUSER", other.name}))
			}
		}
	}
}

// TestSavingFails: EXEC leaves a change in memory whose saving failed. It is taken back; and where
// that is cut off, the retry saves what works.
func TestSavingFails(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	folder, p := s.aclFolder(t), password()
	writable := func(mode os.FileMode) { ok(t, os.Chmod(folder, mode)) }
	writable(0o555)
	defer writable(0o755)
	err := valkey.Engine{}.SetPassword(t.Context(), boss, app.User, p)
	if err == nil {
		t.Skip("the server writes into a folder that is not writable: it runs as root")
	}
	wants(t, err, rotator.KindMisconfigured, "ACL SAVE failed, so that the change would be lost at the next restart: "+
		"the server cannot replace "+folder)
	ok(t, s.logIn(t.Context(), app))
	wants(t, s.logIn(t.Context(), with(app, p)), rotator.KindLoginRejected, "")
	wants(t, valkey.Engine{}.EnsureClone(t.Context(), boss,
		strategies.Pair{Original: app.User, Clone: app.User + "_clone", Target: app.User + "_clone"}, p),
		rotator.KindMisconfigured, "ACL SAVE failed")
	if users, _ := s.Users(t.Context()); users[app.User+"_clone"] != "" {
		t.Error("the clone that could not be saved is there")
	}

	// Cut off when the change is to be taken back.
	var said, cut atomic.Int64
	proxy := &strategytest.Proxy{
		Dial: s.Dial,
		OnChunk: func(c strategytest.Chunk) strategytest.ChunkAction {
			if !c.FromServer && !c.Opening && said.Add(1) == cut.Load() {
				return strategytest.ChunkReset
			}
			return strategytest.ChunkForward
		},
	}
	ok(t, proxy.Listen())
	defer proxy.Close()
	far := boss
	far.Port = proxy.Port()
	wants(t, valkey.Engine{}.SetPassword(t.Context(), far, app.User, p), rotator.KindMisconfigured, "ACL SAVE failed")
	for n := said.Load(); n > 0 && s.logIn(t.Context(), with(app, p)) != nil; n-- { // the last pieces are a goodbye
		said.Store(0)
		cut.Store(n)
		if err := (valkey.Engine{}).SetPassword(t.Context(), far, app.User, p); err == nil {
			t.Error("no error, when the change could not be saved")
		}
	}
	ok(t, s.logIn(t.Context(), with(app, p))) // in memory
	wants(t, valkey.Engine{}.Persist(t.Context(), boss, app.User, p), rotator.KindMisconfigured, "ACL SAVE failed")
	ok(t, s.logIn(t.Context(), with(app, p))) // what worked goes on working
	writable(0o755)
	ok(t, valkey.Engine{}.Persist(t.Context(), boss, app.User, p))
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err, s.Log())
	}
	ok(t, s.logIn(t.Context(), with(app, p)))
	wants(t, s.logIn(t.Context(), app), rotator.KindLoginRejected, "")
}

// TestWhatChangesMeanwhileStays: whatever an administrator takes from the users of a pair between any two things that a
// rotation sends, they have it not afterwards, in memory and after a restart.
func TestWhatChangesMeanwhileStays(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		for what, c := range map[string]struct {
			change [][]string // %u: the user; %c: its clone
			gone   string     // what the clone has not in the end; %p: the hash of its password
			inUse  bool       // the clone is, and the user gets a password
		}{
			"off":        {[][]string{{"ACL", "SETUSER", "%c", "off"}, {"ACL", "SAVE"}}, "on ", false},
			"a rule":     {[][]string{{"ACL", "SETUSER", "%u", "-set"}, {"ACL", "SETUSER", "%c", "-set"}, {"ACL", "SAVE"}}, "+set", false},
			"a key":      {[][]string{{"ACL", "SETUSER", "%u", "resetkeys"}, {"ACL", "SETUSER", "%c", "resetkeys"}, {"ACL", "SAVE"}}, "~*", false},
			"no user":    {[][]string{{"ACL", "DELUSER", "%c", "%u"}, {"ACL", "SAVE"}}, "on ", false},
			"a password": {[][]string{{"ACL", "SETUSER", "%c", "resetpass", ">another-password"}, {"ACL", "SAVE"}}, "#%p", true},
		} {
			met := 0
			for n, last := int64(1), false; !last; n++ {
				boss, app := s.pair(t)
				clone := app.User + "_clone"
				ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", clone, "on", "#" + sha(app.Password), "+strlen"},
					ordinary...), []string{"ACL", "SAVE"})) // the clone is to be made the same
				var said atomic.Int64
				change := func() {
					for _, words := range c.change {
						words = slices.Clone(words)
						for i := range words {
							words[i] = strings.NewReplacer("%u", app.User, "%c", clone).Replace(words[i])
						}
						if err := s.Exec(t.Context(), words); err != nil {
							t.Error(err)
						}
					}
				}
				proxy := &strategytest.Proxy{Dial: s.Dial, OnChunk: func(c strategytest.Chunk) strategytest.ChunkAction {
					if !c.FromServer && !c.Opening && said.Add(1) == n {
						change()
					}
					return strategytest.ChunkForward
				}}
				ok(t, proxy.Listen())
				far := boss
				far.Port = proxy.Port()
				pair := strategies.Pair{Original: app.User, Clone: clone, Target: clone, Consent: true}
				if c.inUse {
					pair.Target = app.User
				}
				err := valkey.Engine{}.EnsureClone(t.Context(), far, pair, password())
				if errors.Is(err, rotator.KindConflict) {
					wants(t, err, rotator.KindConflict, "saved as they are now") // a user that is gone in memory is so in the file
					met++
				}
				proxy.Close()
				if last = said.Load() < n; last {
					continue
				}
				ok(t, s.Restart(t.Context()))
				users, lerr := s.Users(t.Context())
				ok(t, lerr)
				if strings.Contains(users[clone]+" ", strings.ReplaceAll(c.gone, "%p", sha(app.Password))) {
					t.Errorf("%s, %s, before piece %d: the clone has %q in the end: %v", release, what, n, users[clone], err)
				}
			}
			if met == 0 {
				t.Errorf("%s, %s: no change came between", release, what)
			}
		}
	}
}

// beforeEXEC is a connection on which something is done between what a client queues and EXEC.
type beforeEXEC struct {
	net.Conn
	do func()
}

func (c beforeEXEC) Write(p []byte) (int, error) {
	queued, _, found := bytes.Cut(p, []byte("*1\r\n$4\r\nEXEC"))
	if !found || len(queued) == 0 {
		return c.Conn.Write(p)
	}
	if n, err := c.Conn.Write(queued); err != nil {
		return n, err
	}
	c.do()
	n, err := c.Conn.Write(p[len(queued):])
	return len(queued) + n, err
}

// TestTheListOfUsersIsRefusedMeanwhile: where who changes users may no longer see them when the change is made, it is
// taken back, and no user is deleted by that.
func TestTheListOfUsersIsRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, app := s.pair(t)
		before, err := s.Users(t.Context())
		ok(t, err)
		limited, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		queued := func() bool {
			all, err := s.Ask(limited, s.Superuser, s.Password, []string{"CLIENT", "LIST"})
			return err != nil || strings.Contains(fmt.Sprintf("%s", all), " multi=3 ")
		}
		proxy := &strategytest.Proxy{Dial: func(ctx context.Context) (net.Conn, error) {
			conn, err := s.Dial(ctx)
			return beforeEXEC{conn, func() {
				for !queued() {
				}
				if err := s.Exec(limited, []string{"ACL", "SETUSER", boss.User, "-acl", "+acl|setuser", "+acl|deluser",
					"+acl|save"}); err != nil {
					t.Error(err)
				}
			}}, err
		}}
		ok(t, proxy.Listen())
		t.Cleanup(proxy.Close)
		far := boss
		far.Port = proxy.Port()
		err = valkey.Engine{}.SetPassword(t.Context(), far, app.User, password())
		wants(t, err, rotator.KindInternal, "What it had changed is taken back")
		after, err := s.Users(t.Context())
		ok(t, err)
		if after[app.User] != before[app.User] {
			t.Errorf("%s: %q became %q", release, before[app.User], after[app.User])
		}
	}
}

// TestWhereUsersAreSaved: in the configuration file by CONFIG REWRITE; where there is no file at
// all, only if that was accepted.
func TestWhereUsersAreSaved(t *testing.T) {
	t.Parallel()
	for users, engine := range map[string]valkey.Engine{"config": {}, "nowhere": {AllowUnsaved: true}} {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Users: users})}
		boss, app := s.login(name("boss"), password()), s.login(name("app"), password())
		for login, rules := range map[*strategies.Login][]string{&boss: selfChange, &app: ordinary} {
			ok(t, s.Exec(t.Context(),
				append([]string{"ACL", "SETUSER", login.User, "on", ">" + login.Password.Reveal()}, rules...)))
		}
		p := password()
		if users == "nowhere" {
			_, err := valkey.Engine{}.DryRunSetPassword(t.Context(), boss, app.User, p)
			wants(t, err, rotator.KindMisconfigured, "VALKEY_ALLOW_UNSAVED")
			wants(t, valkey.Engine{}.SetPassword(t.Context(), boss, app.User, p), rotator.KindMisconfigured,
				"VALKEY_ALLOW_UNSAVED")
		}
		_, err := engine.DryRunSetPassword(t.Context(), boss, app.User, p)
		ok(t, err)
		ok(t, engine.SetPassword(t.Context(), boss, app.User, p))
		ok(t, s.logIn(t.Context(), with(app, p)))
		if users == "config" {
			ok(t, s.Restart(t.Context()))
			ok(t, s.logIn(t.Context(), with(app, p)))
		}
	}
}

// TestRefused: each has its sentence, before anything is changed.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	self, err := s.user(t.Context(), name("self"), ordinary, selfChange)
	ok(t, err)
	dry := func(e valkey.Engine, login strategies.Login, user string) error {
		_, err := e.DryRunSetPassword(t.Context(), login, user, password())
		return err
	}
	wants(t, dry(valkey.Engine{}, self, self.User), rotator.KindMisconfigured, "SINGLE_USER_THROUGH_SUPERUSER")
	ok(t, dry(valkey.Engine{AllowSelfChange: true}, self, self.User))
	wants(t, dry(valkey.Engine{}, app, self.User), rotator.KindPrivilege, "+acl")
	for _, right := range selfChange {
		most := slices.DeleteFunc(slices.Clone(selfChange), func(r string) bool { return r == right })
		// Where ACL SAVE serves, CONFIG REWRITE is not needed.
		if lacks, err := s.user(t.Context(), name("lacks"), most); right != "+config|rewrite" {
			ok(t, err)
			wants(t, dry(valkey.Engine{}, lacks, app.User), rotator.KindPrivilege, right)
		}
	}
	ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "nopass"}))
	wants(t, dry(valkey.Engine{}, boss, app.User), rotator.KindMisconfigured,
		"resetpass >PASSWORD, with the password in AWSCURRENT in place of PASSWORD, then ACL SAVE")
	wants(t, dry(valkey.Engine{}, boss, "gone"), rotator.KindNotFound, "do not ACL SAVE yet")
	wants(t, valkey.Engine{}.SetPassword(t.Context(), boss, app.User, password()), rotator.KindMisconfigured, "nopass")
	ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "resetpass", ">" + app.Password.Reveal(), "off"}))
	wants(t, dry(valkey.Engine{}, boss, app.User), rotator.KindPrivilege, "is off")

	for host, says := range map[string]string{
		"master.app.abc123.euc1.cache.amazonaws.com":                 "aws elasticache modify-user",
		"app-abc123.serverless.cnn1.cache.amazonaws.com.cn":          "aws elasticache modify-user",
		"clustercfg.app.abc123.memorydb.eu-central-1.amazonaws.com":  "aws memorydb update-user",
		"CLUSTERCFG.app.abc123.memorydb.eu-central-1.amazonaws.com.": "aws memorydb update-user",
	} {
		amazons := app
		amazons.Host = host
		wants(t, valkey.Engine{}.Ping(t.Context(), amazons), rotator.KindMisconfigured, says)
	}
	for _, nodes := range []string{`["a"]`, `["a:0"]`, `[1]`, `{"a":1}`, `["a b:1"]`, `a:x`, `["[::1]:1/x"]`} {
		odd := app
		odd.Extra = map[string]string{"nodes": nodes}
		wants(t, valkey.Engine{}.Ping(t.Context(), odd), rotator.KindMisconfigured, "nodes")
	}
}

// TestWhatIsRefusedChangesNothing: whichever right the superuser lacks, no part of the work is done, neither by a dry run
// nor by the change itself.
func TestWhatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		_, app := s.pair(t)
		e, pair := valkey.Engine{}, strategies.Pair{Original: app.User, Clone: app.User + "_clone", Target: app.User + "_clone"}
		for _, right := range selfChange {
			boss, err := s.user(t.Context(), name("boss"), without(selfChange, right))
			ok(t, err)
			before, err := s.Users(t.Context())
			ok(t, err)
			for how, try := range map[string]func() error{
				"DryRunSetPassword": func() error {
					_, err := e.DryRunSetPassword(t.Context(), boss, app.User, password())
					return err
				},
				"DryRunKeeping": func() error {
					_, err := e.DryRunKeeping(t.Context(), boss, app.User, app.Password, password())
					return err
				},
				"DryRunEnsureClone": func() error {
					_, err := e.DryRunEnsureClone(t.Context(), boss, pair, password())
					return err
				},
				"SetPassword": func() error { return e.SetPassword(t.Context(), boss, app.User, password()) },
				"SetPasswordKeeping": func() error {
					return e.SetPasswordKeeping(t.Context(), boss, app.User, app.Password, password())
				},
				"EnsureClone": func() error { return e.EnsureClone(t.Context(), boss, pair, password()) },
			} {
				dry := strings.HasPrefix(how, "DryRun")
				if !dry && (right == "+discard" || right == "+config|rewrite") { // which the change does not need
					continue
				}
				if err := try(); right != "+config|rewrite" && !errors.Is(err, rotator.KindPrivilege) {
					t.Errorf("%s: %s without %s: %v", release, how, right, err)
				}
				after, err := s.Users(t.Context())
				ok(t, err)
				if !maps.Equal(before, after) {
					t.Errorf("%s: %s without %s changed something:\n%v\n%v", release, how, right, before, after)
					before = after
				}
			}
		}
	}
}

// TestWhatPasses: whether trying again helps is told apart.
func TestWhatPasses(t *testing.T) {
	t.Parallel()
	for answer, retry := range map[string]bool{"-LOADING the dataset": true, "-ERR max number of clients reached": true,
		"-DENIED protected mode": false, "-NOAUTH no users": false} {
		login := listen(t, func(c net.Conn) {
			c.Read(make([]byte, 1))                             //nolint:errcheck // whatever was said
			io.WriteString(c, strings.Repeat(answer+"\r\n", 3)) //nolint:errcheck
		})
		err := valkey.Engine{}.Ping(t.Context(), login)
		if err == nil || errors.Is(err, rotator.KindLoginRejected) || rotator.Retryable(err) != retry {
			t.Errorf("%s: trying again helps: %t, %v", answer, rotator.Retryable(err), err)
		}
	}
	login := listen(t, func(net.Conn) {})
	login.Port = dbserver.ClosedPort(t)
	if err := (valkey.Engine{}).Ping(t.Context(), login); !rotator.Retryable(err) {
		t.Errorf("a closed port: %v", err)
	}
}

// TestClosedBeforeTheLogin: with TLS, a server that demands a client certificate, or has no free connection, says so
// to none. The sentence does.
func TestClosedBeforeTheLogin(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release,
			TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})}
		_, app := s.pair(t)
		ping := func() error { return valkey.Engine{Roots: s.CAs}.Ping(t.Context(), app) }
		ok(t, ping())
		ok(t, s.Exec(t.Context(), []string{"CONFIG", "SET", "tls-auth-clients", "yes"}))
		for range 5 { // the server's answer may be lost with the connection
			if err := ping(); err == nil || !strings.Contains(err.Error(), "CONFIG SET tls-auth-clients optional") ||
				!strings.Contains(err.Error(), "ask who had it demand that. If it is to stay so, this function cannot") ||
				!errors.Is(err, rotator.KindTLS) && !errors.Is(err, rotator.KindUnreachable) {
				t.Errorf("%s: %v", release, err)
			}
		}

		s = server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release,
			TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})}
		_, app = s.pair(t)
		// held first: the one that sets the limit may still count as a client after it has gone
		held, err := net.Dial("tcp", s.Address())
		ok(t, err)
		defer held.Close()
		ok(t, s.Exec(t.Context(), []string{"CONFIG", "SET", "maxclients", "1"}))
		wants(t, ping(), rotator.KindUnreachable, "ss -tn 'sport = :PORT'", "raise maxclients in the configuration file")
	}
}

// TestNoPartOfThePasswordIsShown: what answers may say again what it was sent, and a part of a value is found by nothing
// that takes values out of texts.
func TestNoPartOfThePasswordIsShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		password, says string
		shown          bool
	}{
		{"New-1abcdefghijklmnopqrstuvwxyz", "New-1abcdefghijklmnopqrstuvwxyz", false},
		{"New-1abcdefghijklmnopqrstuvwxyz", "New-1ab", false},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", false},
		{"ABCDEF GHIJKL", "ABCDEF GHIJKL", false},
		{"ABCDEF GHIJKL", "UNHEARD of", true},
	} {
		login := listen(t, func(conn net.Conn) {
			if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
				io.WriteString(conn, "-"+c.says+"\r\n") //nolint:errcheck // the reader tells
			}
		})
		err := valkey.Engine{}.Ping(t.Context(), with(login, secret.NewPassword(c.password)))
		if word, _, _ := strings.Cut(c.says, " "); err == nil || strings.Contains(err.Error(), word[:min(len(word), 6)]) != c.shown {
			t.Errorf("%q: %v", c.says, err)
		}
	}
}

// TestSentinel: it speaks the same protocol, and has users of its own.
func TestSentinel(t *testing.T) {
	t.Parallel()
	login := listen(t, func(c net.Conn) {
		for in := bufio.NewReader(c); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if strings.TrimSpace(line) == "AUTH" {
				//nolint:errcheck // the next read will tell
				io.WriteString(c, "*4\r\n$5\r\nproto\r\n:2\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n")
			}
		}
	})
	wants(t, valkey.Engine{}.Ping(t.Context(), login), rotator.KindMisconfigured, "Sentinel")
}

// TestClonesAreCopies: word by word, selectors included, and again whenever the original changes.
func TestClonesAreCopies(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, app := s.pair(t)
		clone := app.User + "_clone"
		pair := strategies.Pair{Original: app.User, Clone: clone, Target: clone,
			Possession: func(context.Context, func(secret.Password) bool) error { return nil }}
		for _, rules := range [][]string{
			{"resetkeys", "~app:*", "&news", "+@read", "-mget", "(~log:* +set)", "(%R~ro:* %W~wo:* +@all -@dangerous)"},
			{"resetkeys", "resetchannels", "clearselectors", "-@all", "+config|get", "+get", "~{tag}*"},
			{"allkeys", "allchannels", "allcommands"},
			{"resetkeys", "~app\u00a0+@all\u2003allkeys", "-@all", "+get"}, // white space to Unicode, and to no server
		} {
			// 6.0 knows neither selectors nor channels, nor a command taken from what is not in a category
			if release == "redis-6" {
				rules = slices.DeleteFunc(rules, func(w string) bool {
					return strings.ContainsAny(w, "(&") || strings.Contains(w, "channels") || w == "clearselectors"
				})
			}
			ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", app.User}, rules...)))
			p := password()
			before, err := s.Users(t.Context())
			ok(t, err)
			for _, target := range []string{app.User, clone} { // also while clients are on the clone
				to := pair
				to.Target = target
				warnings, err := valkey.Engine{}.DryRunEnsureClone(t.Context(), boss, to, p)
				if before[clone] == "" {
					continue
				}
				ok(t, err)
				loses := slices.ContainsFunc(strings.Split(before[clone], " "), func(w string) bool {
					return !strings.HasPrefix(w, "#") && !slices.Contains(strings.Split(before[app.User], " "), w)
				})
				loses = loses && !strings.HasSuffix(strings.Replace(before[app.User], " &*", "", 1), " ~* +@all") // has all of it
				for _, w := range warnings {
					if strings.Contains(w.Text, "its own are lost") && w.Unknown != (target == app.User) {
						t.Errorf("%s: clients are on the clone: %t; strict stops: %t", release, target == app.User, w.Unknown)
					}
				}
				if told := strings.Contains(fmt.Sprint(warnings), "its own are lost"); told != loses {
					t.Errorf("%s: of %q and %q the preflight says %v", release, before[clone], before[app.User], warnings)
				}
			}
			ok(t, valkey.Engine{}.EnsureClone(t.Context(), boss, pair, p))
			ok(t, s.logIn(t.Context(), with(s.login(clone, p), p)))
			users, err := s.Users(t.Context())
			ok(t, err)
			words := func(user string) []string {
				return slices.DeleteFunc(strings.Split(users[user], " "), func(w string) bool {
					return strings.HasPrefix(w, "#")
				})
			}
			if !slices.Equal(words(app.User), words(clone)) {
				t.Errorf("%s: the clone is %q, the original %q", release, words(clone), words(app.User))
			}
		}
	}
}

// TestANodeIsCut: wherever a change at two nodes is cut off, one of the two passwords works at both,
// and the retry completes it.
func TestANodeIsCut(t *testing.T) {
	t.Parallel()
	s, second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})},
		server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	s.copyTo(t, second, boss, app)
	both := func(p secret.Password) error {
		return errors.Join(s.logIn(t.Context(), with(app, p)), second.logIn(t.Context(), with(app, p)))
	}
	var said, cut atomic.Int64
	proxy := &strategytest.Proxy{
		Dial: second.Dial,
		OnChunk: func(strategytest.Chunk) strategytest.ChunkAction {
			if said.Add(1) == cut.Load() {
				return strategytest.ChunkReset
			}
			return strategytest.ChunkForward
		},
	}
	ok(t, proxy.Listen())
	defer proxy.Close()
	boss.Extra = map[string]string{"nodes": fmt.Sprintf("127.0.0.1:%d", proxy.Port())}
	old := app.Password
	for n := int64(1); ; n++ {
		p := password()
		said.Store(0)
		cut.Store(n)
		err := valkey.Engine{}.SetPassword(t.Context(), boss, app.User, p)
		if both(old) != nil && both(p) != nil {
			t.Fatalf("cut at piece %d: neither the old nor the new password works at both nodes", n)
		}
		cut.Store(0)
		if both(p) == nil {
			ok(t, valkey.Engine{}.Persist(t.Context(), boss, app.User, p))
		} else {
			ok(t, valkey.Engine{}.SetPassword(t.Context(), boss, app.User, p))
		}
		ok(t, both(p))
		for _, node := range []server{s, second} {
			wants(t, node.logIn(t.Context(), with(app, old)), rotator.KindLoginRejected, "")
		}
		old = p
		if err == nil && said.Load() < n {
			t.Logf("cut at %d places", n-1)
			return
		}
		if n > 200 {
			t.Fatal("the change does not end")
		}
	}
}

// TestStrategies is the suite for strategies, on each that this engine serves.
func TestStrategies(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	for what, strategy := range map[string]rotator.Strategy{
		"single user":       strategies.SingleUser{Engine: valkey.Engine{}, ThroughSuperuser: true},
		"dual passwords":    strategies.DualPasswords{Engine: valkey.Engine{}, ThroughSuperuser: true},
		"alternating users": strategies.AlternatingUsers{Engine: valkey.Engine{}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var fixtures census.Neighbors
			strategytest.TestStrategy(t, func(t *testing.T) strategytest.StrategyFixture {
				boss, app := s.pair(t)
				mine := fixtures.Join(boss.User, app.User)
				value := func(login strategies.Login) secret.Document {
					d, err := secret.ParseDocument(fmt.Sprintf(`{"engine": "valkey", "host": %q, "port": %d, "username": %q, "password": %q, "ssl": false, "masterarn": "boss"}`, s.Host, s.Port, login.User, login.Password.Reveal()))
					ok(t, err)
					return d
				}
				return strategytest.StrategyFixture{
					Strategy:     strategy,
					Current:      value(app),
					KeepsCurrent: what != "single user",
					LogIn: func(ctx context.Context, d secret.Document) error {
						return s.logIn(ctx, s.login(d.Text("username"), d.Password()))
					},
					Related: func(context.Context, string) (secret.Document, error) { return value(boss), nil },
					Census: func(ctx context.Context) (map[string]string, error) {
						all, err := s.Census(ctx)
						own := mine.Census(all, "_clone")
						for key := range own { // users of other strategies' fixtures, at the same time
							if !strings.Contains(key, app.User) && !strings.Contains(key, boss.User) {
								delete(own, key)
							}
						}
						return own, err
					},
					Identity: []string{"engine", "host", "port", "username"},
				}
			})
		})
	}
}

// TestNamesAreWhole: a name that holds white space of Unicode is not taken for the name before it, with the rest for
// rules.
func TestNamesAreWhole(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	for _, like := range []string{"\u00a0on\u00a0nopass", "\u2003off", "\u0085#" + strings.Repeat("a", 64), "\u3000"} {
		_, err := s.user(t.Context(), app.User+like, []string{"~*", "+@all"})
		ok(t, err)
	}
	before, err := s.Users(t.Context())
	ok(t, err)
	p := password()
	ok(t, valkey.Engine{}.SetPassword(t.Context(), boss, app.User, p))
	ok(t, valkey.Engine{}.EnsureClone(t.Context(), boss, strategies.Pair{Original: app.User, Clone: app.User + "_clone",
		Target: app.User + "_clone"}, p))
	ok(t, s.logIn(t.Context(), with(app, p)))
	after, err := s.Users(t.Context())
	ok(t, err)
	for name, rules := range before {
		if name != app.User && after[name] != rules {
			t.Errorf("user %q is changed: %q; it was %q", name, after[name], rules)
		}
	}
	if strings.Contains(after[app.User+"_clone"], "+@all") {
		t.Errorf("the clone has the rules of a user with a similar name: %q", after[app.User+"_clone"])
	}
}

// TestTheResetStatementLetsTheUserIn, also one that is off: by a password alone it would be rejected still. What is said
// to be looked at before it keeps the file of users, and the rules of one that was deleted, from being overwritten.
func TestTheResetStatementLetsTheUserIn(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		_, app := s.pair(t)
		first, set := valkey.Engine{}.Inquiry(app.User)[0], valkey.Engine{}.ResetStatement(app.User)
		query, look := first.Run, first.Note
		if strings.Count(look, "ACL SAVE") != strings.Count(look, "do not ACL SAVE yet") || query != "ACL LIST" {
			t.Fatalf("it saves before it looks: %s", look)
		}
		set, _, _ = strings.Cut(set, " -- ")
		save := valkey.Engine{}.Inquiry(app.User)[1].Run
		set = strings.ReplaceAll(set, "PASSWORD", app.Password.Reveal())
		follow := func() {
			t.Helper()
			ok(t, s.Exec(t.Context(), strings.Fields(query), strings.Fields(set), strings.Fields(save)))
			ok(t, s.As(t.Context(), app.User, app.Password.Reveal(), []string{"GET", "1"}))
		}
		ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "resetpass", "off"}))
		wants(t, s.logIn(t.Context(), app), rotator.KindLoginRejected, "")
		follow()

		// The password that an incident left ends.
		other := password()
		ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "resetpass", ">" + other.Reveal()}))
		ok(t, s.logIn(t.Context(), with(app, other)))
		follow()
		wants(t, s.logIn(t.Context(), with(app, other)), rotator.KindLoginRejected, "")

		ok(t, s.Exec(t.Context(), []string{"ACL", "DELUSER", app.User}))
		ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", app.User}, strings.Fields(s.savedLine(t, app.User))...)))
		follow()
		ok(t, s.Restart(t.Context()))
		ok(t, s.As(t.Context(), app.User, app.Password.Reveal(), []string{"GET", "1"}))
	}
}

// TestWhatALoginDoesNotShow: a user that may do nothing, and one with nopass, are told from those that may do
// something, be it one command, or no key that is tried; of one that may do what a rotation needs and no more it is
// said; and nothing is changed by looking.
func TestWhatALoginDoesNotShow(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		commands := valkey.HarmlessCommands()
		answers := map[string]string{}
		for _, words := range commands {
			answer, err := s.Ask(t.Context(), s.Superuser, s.Password, words)
			answers[words[0]] = fmt.Sprint(answer, err)
			if strings.Contains(answers[words[0]], "wrong number") { // is said before rules are looked at
				t.Errorf("%s: %v: %v", release, words, err)
			}
		}
		size, err := s.Ask(t.Context(), s.Superuser, s.Password, []string{"DBSIZE"})
		ok(t, err)
		if size != "0" {
			t.Errorf("%s: keys after all commands: %v", release, size)
		}
		lost, rotates := false, false
		use := func(rules ...string) error {
			t.Helper()
			app, err := s.user(t.Context(), name("app"), rules)
			ok(t, err)
			app.Rotates = rotates
			remark, err := valkey.Engine{}.TestUse(t.Context(), app)
			patterns := err == nil && !slices.Contains(rules, "~*") && (slices.Contains(rules, "+@all") ||
				slices.Contains(rules, "+get") || slices.Contains(rules, "+set"))
			if patterns != strings.Contains(remark.Text, "its key patterns do not cover every key") {
				t.Errorf("%s: rules %v: it is said of the patterns: %t: %q", release, rules, !patterns, remark)
			}
			lost = strings.Contains(remark.Text, "each command that reads or writes a key")
			return err
		}
		wants(t, use(), rotator.KindPrivilege, "CONFIG GET aclfile")
		wants(t, use("~*"), rotator.KindPrivilege, "clients get NOPERM")
		wants(t, use("~*", "+@all", "nopass"), rotator.KindMisconfigured, "the password in AWSCURRENT")
		ok(t, use("+@all"))             // no key
		ok(t, use("~app:*", "+xrange")) // no key that is tried
		ok(t, use("~app:*", "+@sortedset"))
		rotates = true
		for _, words := range commands {
			if rule := "+" + strings.ToLower(words[0]); !strings.Contains(answers[words[0]], "unknown command") {
				if err := use(rule); err != nil {
					t.Errorf("%s: a user with %s: %v", release, rule, err)
				}
				ofNoKey := []string{"PING", "ECHO", "INFO", "ROLE", "DISCARD", "SELECT", "CLIENT", "COMMAND", "ACL", "CONFIG"}
				if lost != slices.Contains(ofNoKey, words[0]) {
					t.Errorf("%s: a user with %s: it is said that its rules are lost: %t", release, rule, lost)
				}
			}
		}
		// A user that was made again may have been given what a rotation asks for.
		ok(t, use(selfChange...))
		if lost { // its secret says that it is a superuser's
			t.Errorf("%s: its rules are said to be lost, of a superuser that may do what a rotation needs", release)
		}
		rotates = false
		wants(t, use(selfChange...), rotator.KindPrivilege, "its rules are lost", "the words of its line", `"rotates": []`)
		_, pair := s.pair(t)
		clone, err := s.user(t.Context(), pair.User+"_clone", selfChange)
		ok(t, err)
		_, err = valkey.Engine{}.TestUse(t.Context(), clone)
		wants(t, err, rotator.KindPrivilege, "has the rules of its pair: ACL SETUSER "+clone.User+" reset ",
			" ~* ") // before which some releases have sanitize-payload
		// Every node of a secret is looked at.
		second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		app, err := s.user(t.Context(), name("app"), ordinary)
		ok(t, err)
		s.copyTo(t, second, app)
		_, err = valkey.Engine{}.TestUse(t.Context(), and(app, second))
		ok(t, err)
		ok(t, second.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "resetkeys", "~app:*"}))
		remark, err := valkey.Engine{}.TestUse(t.Context(), and(app, second))
		if want := "at " + second.Address() + ", its key patterns do not cover every key"; err != nil || !strings.HasPrefix(remark.Text, want) {
			t.Errorf("%s: a pattern is lost at one node: %q, %v", release, remark.Text, err)
		}
		ok(t, second.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "-@all"}))
		_, err = valkey.Engine{}.TestUse(t.Context(), and(app, second))
		wants(t, err, rotator.KindPrivilege, fmt.Sprint(second.Port))
	}
}

// TestAReplicaAmongNodes: clients that write need a host that takes their writes, as a failover may end; a further node
// may be a replica.
func TestAReplicaAmongNodes(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		primary := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		first := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		app, err := primary.user(t.Context(), name("app"), append([]string{"+info"}, ordinary...))
		ok(t, err)
		all := []string{"+@all", "allchannels"}
		if release == "redis-6" { // which knows no channels
			all = all[:1]
		}
		watcher, err := primary.user(t.Context(), name("watcher"), all)
		ok(t, err)
		at := func(s server, others ...server) strategies.Login {
			login := app
			login.Host, login.Port = s.Host, s.Port
			for _, other := range others {
				login = and(login, other)
			}
			return login
		}
		for _, s := range []server{first, second} {
			primary.copyTo(t, s, app, watcher)
			ok(t, s.Follow(t.Context(), primary.ValkeyServer))
		}
		for what, c := range map[string]struct {
			login strategies.Login
			kind  rotator.Kind
		}{
			"the primary":                {at(primary), ""},
			"the primary, and a replica": {at(primary, first), ""},
			"a replica, and the primary": {at(first, primary), rotator.KindReadOnly},
			"a replica":                  {at(first), rotator.KindReadOnly},
			"two replicas":               {at(first, second), rotator.KindReadOnly},
		} {
			remark, err := valkey.Engine{}.TestUse(t.Context(), c.login)
			if rotator.KindOf(err) != c.kind || remark.Text != "" {
				t.Errorf("%s: %s: %q, %v", release, what, remark, err)
			}
			if err != nil && (!strings.Contains(err.Error(), first.Address()+" is a replica of "+primary.Address()+",") ||
				strings.Contains(err.Error(), "REPLICAOF")) {
				t.Errorf("%s: %s: the primary is up: %v", release, what, err)
			}
		}
		// Clients that ask Sentinel find the primary. Whether there is one, the user may not see.
		after := at(first, primary)
		_, err = valkey.Engine{}.TestUse(t.Context(), after)
		wants(t, err, rotator.KindReadOnly, "that is no cause: status sees it where user")
		for _, s := range []server{primary, first} {
			ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "+pubsub"}))
		}
		if _, err = (valkey.Engine{}).TestUse(t.Context(), after); err == nil || strings.Contains(err.Error(), "Sentinel") {
			t.Errorf("%s: no Sentinel watches it: %v", release, err)
		}
		sentinel := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Mode: "sentinel"})}
		user, p := sentinel.Superuser, sentinel.Password
		if release == "redis-6" { // of which Sentinel has no users
			user, p = "default", ""
		}
		ok(t, sentinel.As(t.Context(), user, p, []string{"SENTINEL", "MONITOR", "watched", primary.Host, strconv.Itoa(primary.Port), "1"},
			[]string{"SENTINEL", "SET", "watched", "auth-user", watcher.User},
			[]string{"SENTINEL", "SET", "watched", "auth-pass", watcher.Password.Reveal()}))
		watched := func() bool {
			seen, err := first.Ask(t.Context(), first.Superuser, first.Password, []string{"PUBSUB", "NUMSUB", "__sentinel__:hello"})
			ok(t, err)
			return fmt.Sprint(seen) == "[__sentinel__:hello 1]"
		}
		for deadline := time.Now().Add(time.Minute); !watched(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: Sentinel does not watch the replica: %s", release, sentinel.Log())
			}
		}
		remark, err := valkey.Engine{}.TestUse(t.Context(), after)
		ok(t, err)
		if want := first.Address() + " is a replica, and " + primary.Address() + " takes the writes: clients that ask Sentinel"; !strings.HasPrefix(remark.Text, want) {
			t.Errorf("%s: %q", release, remark.Text)
		}
		_, err = valkey.Engine{}.TestUse(t.Context(), at(first, second))
		wants(t, err, rotator.KindReadOnly)
	}
}

// TestASessionThatServesNothing: a server lets users in also where it then serves none of what they ask, or no write.
func TestASessionThatServesNothing(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		_, app := s.pair(t)
		reader, err := s.user(t.Context(), name("reader"), []string{"~*", "+get"})
		ok(t, err)
		narrow, err := s.user(t.Context(), name("narrow"), []string{"~orders:*", "+@read", "+@write"})
		ok(t, err)
		set := func(commands ...string) {
			t.Helper()
			for _, c := range commands {
				ok(t, s.Exec(t.Context(), strings.Fields(c)))
			}
		}
		use := func(login strategies.Login) (string, error) {
			t.Helper()
			ok(t, valkey.Engine{}.Ping(t.Context(), login))
			remark, err := valkey.Engine{}.TestUse(t.Context(), login)
			return remark.Text, err
		}
		set("CONFIG SET maxmemory 1")
		_, err = use(app)
		wants(t, err, rotator.KindUnreachable, "writes are not carried out", "maxmemory")
		_, err = use(reader)
		ok(t, err)
		if release != "redis-6" { // which has no write without a key that is this harmless
			_, err = use(narrow)
			wants(t, err, rotator.KindUnreachable, "writes are not carried out", "maxmemory")
		}
		set("CONFIG SET maxmemory 0", "CONFIG SET min-replicas-to-write 1")
		_, err = use(app)
		wants(t, err, rotator.KindUnreachable, "writes are not carried out", "min-replicas-to-write")
		set("CONFIG SET min-replicas-to-write 0")
		remark, err := use(app)
		ok(t, err)
		if remark != "" {
			t.Errorf("%s: all is well, and it is said: %s", release, remark)
		}
		set("REPLICAOF 127.0.0.1 " + fmt.Sprint(dbserver.ClosedPort(t)))
		_, err = use(app)
		wants(t, err, rotator.KindReadOnly, "is a replica (INFO replication shows of which server)", "REPLICAOF NO ONE here")
		set("ACL SETUSER " + app.User + " +info")
		_, err = use(app)
		wants(t, err, rotator.KindReadOnly, "is a replica of 127.0.0.1:", "there is no link", "REPLICAOF NO ONE",
			"ACL SETUSER "+app.User+" -@write")
		if release != "redis-6" {
			_, err = use(narrow)
			wants(t, err, rotator.KindReadOnly)
		}
		for rules, kind := range map[string]rotator.Kind{
			"~* +@all -@write": "", "~* +@read": "", "~* +get +xadd": rotator.KindReadOnly, "~orders:* +get": "",
			"~* +set": rotator.KindReadOnly, "~* +set -info": rotator.KindReadOnly,
		} {
			login, err := s.user(t.Context(), name("some"), strings.Fields(rules))
			ok(t, err)
			if rules == "~* +get +xadd" && release == "redis-6" {
				continue // where only what answers HELLO says that it is a replica, and that is refused
			}
			if _, err = use(login); rotator.KindOf(err) != kind {
				t.Errorf("%s: a replica, and a user with %s: %v", release, rules, err)
			}
		}
		set("CONFIG SET replica-serve-stale-data no")
		for _, login := range []strategies.Login{app, reader, narrow} {
			_, err = use(login)
			wants(t, err, rotator.KindUnreachable, "has lost its primary", "REPLICAOF NO ONE")
		}
		set("REPLICAOF NO ONE")
		_, err = use(app)
		ok(t, err)
	}
}

// TestAClusterThatIsDown: a node of a cluster lets users in, and serves no key while a slot has no node. A user that is
// held to some keys sees that where it may CLUSTER INFO.
func TestAClusterThatIsDown(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release, Mode: "cluster"})}
		use := func(rules string) (string, error) {
			t.Helper()
			app, err := s.user(t.Context(), name("app"), strings.Fields(rules))
			ok(t, err)
			remark, err := valkey.Engine{}.TestUse(t.Context(), app)
			return remark.Text, err
		}
		const every, some, sees = "~* +get +set", "~orders:* +@read +@write", "~orders:* +@read +@write +cluster|info"
		for _, rules := range []string{every, sees} {
			_, err := use(rules)
			wants(t, err, rotator.KindUnreachable, "slots that no node serves", "CLUSTER INFO")
		}
		const unseen = "whether each slot is served was not seen"
		told := release != "redis-6" // which does not say that it is of a cluster
		if remark, err := use(some); err != nil || strings.Contains(remark, unseen) != told {
			t.Errorf("%s: %q, %v", release, remark, err)
		}
		slots := []string{"CLUSTER", "ADDSLOTS"}
		for n := range 16384 {
			slots = append(slots, strconv.Itoa(n))
		}
		ok(t, s.Exec(t.Context(), slots))
		up := func() bool {
			info, err := s.Ask(t.Context(), s.Superuser, s.Password, []string{"CLUSTER", "INFO"})
			return err == nil && strings.Contains(fmt.Sprint(info), "cluster_state:ok")
		}
		for deadline := time.Now().Add(time.Minute); !up(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the cluster does not come up: %s", release, s.Log())
			}
		}
		for _, rules := range []string{every, sees, some} {
			if remark, err := use(rules); err != nil || strings.Contains(remark, unseen) != (rules == some && told) {
				t.Errorf("%s: all is well, and %s: %q, %v", release, rules, remark, err)
			}
		}
	}
}

// TestClientsThatArePaused: a CLIENT PAUSE without an end leaves writes unanswered, or all. What is printed shows that
// and ends it.
func TestClientsThatArePaused(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		if release == "redis-6" { // 6.0 pauses all alone, and knows no end but that of the time
			continue
		}
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		_, app := s.pair(t)
		ok(t, s.Exec(t.Context(), []string{"CLIENT", "PAUSE", "3600000", "WRITE"}))
		_, err := valkey.Engine{StatementTimeout: 200 * time.Millisecond}.TestUse(t.Context(), app)
		wants(t, err, rotator.KindUnreachable, "trying what the user may do: no response within 200ms", "CLIENT PAUSE")
		var lines []string
		for _, fix := range rotator.FixesOf(err) {
			lines = append(lines, fix.Run)
			ok(t, s.Exec(t.Context(), strings.Fields(fix.Run)))
		}
		if !slices.Equal(lines, []string{"INFO clients", "CLIENT UNPAUSE"}) {
			t.Errorf("%s: %q", release, lines)
		}
		_, err = valkey.Engine{}.TestUse(t.Context(), app)
		ok(t, err)
		ok(t, s.Exec(t.Context(), []string{"CLIENT", "PAUSE", "1000", "ALL"}))
		err = valkey.Engine{HandshakeTimeout: 200 * time.Millisecond}.Ping(t.Context(), app)
		wants(t, err, rotator.KindUnreachable, "no response within 200ms", "CLIENT PAUSE")
	}
}

// TestACertificateThatHasExpired: what a restart costs is said beside it.
func TestACertificateThatHasExpired(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}, Expired: true}})}
	err := valkey.Engine{Roots: s.CAs}.Ping(t.Context(), s.login("app", password()))
	wants(t, err, rotator.KindTLS, "certificate has expired", "A restart loses what is not saved, data and users")
}

// TestCategoriesWithPower: a category of commands gives what one of its commands gives. Consent does not hand out the
// password of a user with power that the user in use lacks.
func TestCategoriesWithPower(t *testing.T) {
	t.Parallel()
	powers := []string{"acl", "acl|setuser", "config", "config|set", "module", "module|load", "debug", "shutdown",
		"replicaof", "cluster", "cluster|failover", "failover", "monitor", "client", "client|kill", "save"}
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, app := s.pair(t)
		ask := func(words ...string) (all []string) {
			answer, err := s.Ask(t.Context(), s.Superuser, s.Password, words)
			ok(t, err)
			for _, one := range answer.([]any) {
				all = append(all, fmt.Sprint(one))
			}
			return all
		}
		refused := 0
		for _, category := range ask("ACL", "CAT") {
			gives := slices.ContainsFunc(ask("ACL", "CAT", category), func(command string) bool {
				return slices.Contains(powers, command)
			})
			other, err := s.user(t.Context(), name("other"), []string{"+@" + category})
			ok(t, err)
			err = valkey.Engine{Roots: s.CAs}.EnsureClone(t.Context(), boss, strategies.Pair{Original: app.User, Clone: other.User,
				Target: other.User, PasswordOnly: true, Named: true, Consent: true}, password())
			if gives && !errors.Is(err, rotator.KindNotEntitled) || !gives && err != nil {
				t.Errorf("%s: @%s gives power: %t: %v", release, category, gives, err)
			}
			if gives {
				refused++
			}
		}
		if refused < 3 {
			t.Errorf("%s: %d categories give power", release, refused)
		}
	}
}

// TestWhatARuleTakesAway: what takes commands away is a difference of two users as what gives them is: in power, and in
// what a clone loses.
func TestWhatARuleTakesAway(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, err := s.user(t.Context(), name("boss"), selfChange)
		ok(t, err)
		viewer := boss
		if release != "redis-6" {
			viewer, err = s.user(t.Context(), name("viewer"), selfChange, []string{"-acl|setuser"})
			ok(t, err)
		}
		for _, c := range []struct {
			less, more []string
			power      bool
			lost       string
			lacks      string // which of the two lacks something while clients use it, and whether its line is known
		}{
			{[]string{"~*", "+@all", "-@dangerous"}, []string{"~*", "+@all"}, true, `(%q alone has: -@dangerous)`, "original, its line"},
			{[]string{"~*", "+@all", "-acl"}, []string{"~*", "+@all"}, true, `(%q alone has: -acl)`, "original, its line"},
			{[]string{"~*", "+@all", "-@dangerous", "-get"}, []string{"~*", "+@all", "-@dangerous"}, false, `(%q alone has: -get)`, "original, its line"},
			{[]string{"~*", "+@read", "-mget"}, []string{"~*", "+@read"}, false, `(%q alone has: -mget)`, "original, its line"},
			{[]string{"~*", "+@read", "+set", "-mget"}, []string{"~*", "+set"}, false, `(%q alone has: +@read`, ""},
			{[]string{"~*", "+get"}, []string{"~app:*", "+get", "+set"}, false, `(%q alone has: ~*; %q alone has: +set)`, ""},
			{[]string{"~app:*", "+get", "+set"}, []string{"~*", "+get", "+set"}, false, `alone has: ~*)`, "original, its line"},
			{[]string{"~*", "+get", "+set"}, []string{"~*", "+get"}, false, "", "clone, its line"},
			{[]string{"~*", "+get"}, []string{"~*", "+get"}, false, "", ""},
			{[]string{"~*", "+@all", "+keys", "+info", "-@dangerous", "+get"}, []string{"~*", "+@all", "-@dangerous", "+keys",
				"+info"}, false, "its own are lost", ""},
			{[]string{"~*", "+@all", "+keys", "-@dangerous"}, []string{"~*", "+@all", "-@dangerous", "+keys"}, false, "its own are lost", ""},
			{[]string{"~*", "+get", "+set"}, []string{"~*", "+@all"}, true, "alone has: +@all)", "original, its line"},
			{[]string{"~app:*", "+get"}, []string{"%R~app:*", "+get"}, false, "", "clone, its line"},
			{[]string{"~*", "+get"}, []string{"~*", "+get", "skip-sanitize-payload"}, false, "", ""},
		} {
			if c.lost == "its own are lost" && (release == "redis-6" || release == "redis-7") {
				continue // what they show is not in the order in which it was set
			}
			newer := strings.HasPrefix(c.more[0], "%") || slices.Contains(c.more, "skip-sanitize-payload")
			if release == "redis-6" && newer {
				continue // which does not know the word
			}
			app, err := s.user(t.Context(), name("app"), c.less)
			ok(t, err)
			clone, err := s.user(t.Context(), app.User+"_clone", c.more)
			ok(t, err)
			lost := strings.Replace(strings.Replace(c.lost, "%q", strconv.Quote(app.User), 1), "%q", strconv.Quote(clone.User), 1)
			e, pair := valkey.Engine{Roots: s.CAs}, strategies.Pair{Original: app.User, Clone: clone.User,
				Target: app.User, Consent: true}
			for _, target := range []string{app.User, clone.User} { // power needs more than consent
				pair.Target, pair.Possession = target, func(context.Context, func(secret.Password) bool) error { return nil }
				warnings, err := e.DryRunEnsureClone(t.Context(), boss, pair, password())
				ok(t, err)
				lacks, remark, err := e.ComparePair(t.Context(), boss, pair)
				ok(t, err)
				told := []string{fmt.Sprint(warnings)}
				if lacks.Text == "" {
					told = append(told, remark)
				}
				for _, told := range told {
					if strings.Contains(told, "its own are lost") != (lost != "") || !strings.Contains(told, lost) {
						t.Errorf("%s: original %v, clone %v: %s", release, c.less, c.more, told)
					}
				}
				inUse := map[string]string{app.User: "clone", clone.User: "original"}[target]
				if lack := strings.Contains(c.lacks, inUse); lack != (lacks.Text != "") || lack && remark != "" {
					t.Errorf("%s: original %v, clone %v, next %s: %s%s", release, c.less, c.more, target, lacks.Text, remark)
				}
				if !strings.Contains(c.lacks, "its line") || lacks.Text == "" {
					continue
				}
				if release != "redis-6" { // which permits ACL as a whole
					seen, _, err := e.ComparePair(t.Context(), viewer, pair)
					ok(t, err)
					if slices.ContainsFunc(seen.Fixes, func(f rotator.Fix) bool { return f.By != rotator.ByAdministrator }) {
						t.Errorf("%s: of a superuser that may not change users: %+v", release, seen.Fixes)
					}
				}
				// What is printed gives clients all that the other may, and then nothing is said of the one that is in use.
				ok(t, s.Exec(t.Context(), strings.Fields(lacks.Fixes[0].Run)))
				lacks, _, err = e.ComparePair(t.Context(), boss, pair)
				ok(t, err)
				if lacks.Text != "" {
					t.Errorf("%s: original %v, clone %v, once it is mended: %s", release, c.less, c.more, lacks.Text)
				}
				for user, rules := range map[string][]string{app.User: c.less, clone.User: c.more} {
					ok(t, s.Exec(t.Context(), slices.Concat([]string{"ACL", "SETUSER", user, "resetkeys", "-@all"}, rules)))
				}
			}
			pair.Possession = nil
			pair.Target, pair.PasswordOnly, pair.Named = clone.User, true, true
			_, err = e.DryRunEnsureClone(t.Context(), boss, pair, password())
			if c.power != errors.Is(err, rotator.KindNotEntitled) || !c.power && err != nil {
				t.Errorf("%s: in use %v, next %v: %v", release, c.less, c.more, err)
			}
			if lacks, remark, err := e.ComparePair(t.Context(), boss, pair); lacks.Text+remark != "" || err != nil {
				t.Errorf("%s: each has rules of its own: %q, %v", release, remark, err)
			}
			pair.Original, pair.Clone, pair.Target = clone.User, app.User, app.User
			_, err = e.DryRunEnsureClone(t.Context(), boss, pair, password())
			ok(t, err)
		}
	}
}

// TestAClonesRulesAtEachNode: the last copy may be at one node alone. What is said is followed, and then nothing is said.
func TestAClonesRulesAtEachNode(t *testing.T) {
	t.Parallel()
	for _, release := range dbserver.ValkeysInTier(t) {
		s, second := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})},
			server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		boss, app := s.pair(t)
		clone := app.User + "_clone"
		pair := strategies.Pair{Original: app.User, Clone: clone, Target: clone, Consent: true}
		e := valkey.Engine{}
		ok(t, e.EnsureClone(t.Context(), boss, pair, password()))
		s.copyTo(t, second, boss, app, s.login(clone, password()))
		at := and(boss, second)
		says := func(want string) {
			t.Helper()
			lacks, remark, err := e.ComparePair(t.Context(), at, pair)
			ok(t, err)
			remark = strings.Replace(lacks.Text, "lacks what user", "has different rules", 1) + remark
			warnings, err := e.DryRunEnsureClone(t.Context(), at, pair, password())
			ok(t, err)
			for _, told := range []string{remark, fmt.Sprint(warnings)} {
				if strings.Contains(told, "different rules") != (want != "") || !strings.Contains(told, want) ||
					strings.Count(told, "different rules") > 1 {
					t.Errorf("%s: want %q: %s", release, want, told)
				}
			}
		}
		says("")
		ok(t, second.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "-set"}))
		says("at " + second.Address() + ", ")
		ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "-set"}))
		says(strconv.Quote(clone) + " alone has: +set). T") // at both: with no node named
		for _, node := range []server{s, second} {
			ok(t, node.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "+set"}))
		}
		says("")
		if release != "redis-6" {
			ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", clone, "(~log:* +get +set)"}))
			says("at " + s.Address() + ", ")
			lacks, _, err := e.ComparePair(t.Context(), at, pair)
			if err != nil || !strings.Contains(lacks.Text, " alone has: (~log:* ") ||
				!strings.HasPrefix(lacks.Fixes[0].Run, "ACL SETUSER "+app.User+" (~log:* ") ||
				lacks.Fixes[0].Note != "at "+s.Address() {
				t.Errorf("%s: a selector is one: %+v, %v", release, lacks, err)
			}
		}
		pair.Consent = false // no rotation changes what nothing proves, and what a stranger may do is not shown
		if lacks, remark, err := e.ComparePair(t.Context(), at, pair); lacks.Text+remark != "" || err != nil {
			t.Errorf("%s: %q, %v", release, remark, err)
		}
	}
}

// TestDatabases: rules may hold a user to databases since Valkey 9.1, where none is said for every one. A user that
// may use less than the other of its pair is told of, and by the line that is printed it may use them.
func TestDatabases(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{})}
	boss, app := s.pair(t)
	clone, err := s.user(t.Context(), app.User+"_clone", ordinary)
	ok(t, err)
	set := func(user string, rules ...string) {
		t.Helper()
		ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", user}, rules...)))
	}
	if s.Exec(t.Context(), []string{"ACL", "SETUSER", app.User, "alldbs"}) != nil {
		t.Skip("the server knows no databases in rules")
	}
	for what, c := range map[string]struct {
		app, clone      string // their rules
		original, other string // what the line gives that user where it is in use; "": nothing
		loses           string // what the clone loses by a rotation
	}{
		"neither":               {"alldbs", "alldbs", "", "", ""},
		"alike":                 {"db=1,2", "db=2,1", "", "", ""},
		"the original has one":  {"db=1", "alldbs", "alldbs", "", "alldbs"},
		"the original has none": {"resetdbs", "db=1", "db=1", "", "db=1"},
		"the clone has one":     {"alldbs", "db=1", "", "alldbs", ""},
		"the clone has fewer":   {"db=1,2", "db=1", "", "db=1,2", ""},
		"each has another":      {"db=1", "db=2", "", "", "db=2"},
	} {
		for _, inUse := range []string{app.User, clone.User} {
			set(app.User, c.app)
			set(clone.User, c.clone)
			pair := strategies.Pair{Original: app.User, Clone: clone.User, Target: clone.User, Consent: true}
			want := c.original
			if inUse == clone.User {
				pair.Target, want = app.User, c.other
			}
			lacks, remark, err := valkey.Engine{}.ComparePair(t.Context(), boss, pair)
			ok(t, err)
			warnings, err := valkey.Engine{}.DryRunEnsureClone(t.Context(), boss, pair, password())
			ok(t, err)
			told := strings.Contains(fmt.Sprint(warnings), fmt.Sprintf("%q alone has: %s)", clone.User, c.loses))
			if told != (c.loses != "") || strings.Contains(fmt.Sprint(warnings), "different rules") != told {
				t.Errorf("%s: the preflight says %v", what, warnings)
			}
			if want == "" {
				if lacks.Text != "" || (remark != "") != told {
					t.Errorf("%s, %s is in use: %q, %q", what, inUse, lacks.Text, remark)
				}
				continue
			}
			if len(lacks.Fixes) == 0 || lacks.Fixes[0].Run != "ACL SETUSER "+inUse+" "+want {
				t.Fatalf("%s, %s is in use: %+v, %q", what, inUse, lacks, remark)
			}
			ok(t, s.Exec(t.Context(), strings.Fields(lacks.Fixes[0].Run)))
			lacks, _, err = valkey.Engine{}.ComparePair(t.Context(), boss, pair)
			if ok(t, err); lacks.Text != "" {
				t.Errorf("%s, %s is in use, and has it: %q", what, inUse, lacks.Text)
			}
		}
	}
	for _, rules := range []string{"~* +@all", "~* +@all -select", "~* +hget", "~a* +get +set +select"} {
		for databases, kind := range map[string]rotator.Kind{"alldbs": "", "db=0": "", "db=1,3": "", "resetdbs": rotator.KindPrivilege} {
			set(app.User, append([]string{"reset", "on", "#" + sha(app.Password), databases}, strings.Fields(rules)...)...)
			if databases == "db=1,3" && (strings.Contains(rules, "-select") || strings.Contains(rules, "hget")) {
				kind = rotator.KindPrivilege // it comes to none
			}
			remark, err := valkey.Engine{}.TestUse(t.Context(), app)
			if rotator.KindOf(err) != kind || strings.Contains(remark.Text, "database 1 and not 0") != (databases == "db=1,3" && kind == "") {
				t.Errorf("%s %s: %q, %v", rules, databases, remark.Text, err)
			}
			if err == nil {
				continue
			}
			fixes := rotator.FixesOf(err)
			at := slices.IndexFunc(fixes, func(f rotator.Fix) bool { return f.Run == "ACL SETUSER "+app.User+" alldbs" })
			if at < 0 {
				t.Fatalf("%+v", fixes)
			}
			set(app.User, "alldbs")
			_, err = valkey.Engine{}.TestUse(t.Context(), app)
			ok(t, err)
		}
	}
}

// TestAPasswordThatTheSecretDoesNotHold: a rotation ends it, and the preflight says so first, of every strategy and of
// each user of a pair. What the secret holds is no such password: the old one of dual passwords, of AWSPREVIOUS, and the
// new one of a rotation that was cut off, of AWSPENDING.
func TestAPasswordThatTheSecretDoesNotHold(t *testing.T) {
	t.Parallel()
	const says = "that AWSCURRENT, AWSPENDING and AWSPREVIOUS do not hold"
	for _, release := range dbserver.ValkeysInTier(t) {
		s := server{dbserver.NewValkey(t, dbserver.ValkeyOptions{Name: release})}
		value := func(login strategies.Login) secret.Document {
			d, err := secret.ParseDocument(fmt.Sprintf(`{"engine": "valkey", "host": %q, "port": %d, "username": %q, `+
				`"password": %q, "ssl": false, "masterarn": "boss"}`, s.Host, s.Port, login.User, login.Password.Reveal()))
			ok(t, err)
			return d
		}
		engine := valkey.Engine{AllowSelfChange: true}
		for what, c := range map[string]struct {
			strategy rotator.Strategy
			clone    bool
		}{
			"single user":                {strategies.SingleUser{Engine: engine, ThroughSuperuser: true}, false},
			"single user, by itself":     {strategies.SingleUser{Engine: engine}, false},
			"dual passwords":             {strategies.DualPasswords{Engine: engine, ThroughSuperuser: true}, false},
			"dual passwords, by itself":  {strategies.DualPasswords{Engine: engine}, false},
			"alternating users":          {strategies.AlternatingUsers{Engine: engine}, true},
			"alternating users, by name": {strategies.AlternatingUsers{Engine: engine, RotateOnly: true}, true},
		} {
			t.Run(release+" "+what, func(t *testing.T) {
				boss, app := s.pair(t)
				ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", app.User}, selfChange...)))
				third, previous, pending := password(), password(), password()
				target := app.User
				add := func(user string, all ...secret.Password) {
					for _, p := range all {
						ok(t, s.Exec(t.Context(), []string{"ACL", "SETUSER", user, "on", ">" + p.Reveal()}))
					}
				}
				if c.clone {
					target += "_clone"
					users, err := s.Users(t.Context())
					ok(t, err)
					rules := strings.Fields(users[app.User])
					ok(t, s.Exec(t.Context(), append([]string{"ACL", "SETUSER", target}, slices.DeleteFunc(rules,
						func(w string) bool { return strings.HasPrefix(w, "#") || w == "sanitize-payload" })...)))
				}
				other := with(s.login(target, previous), previous)
				add(target, previous)
				rotates, failing := "", false
				preflight := func() (status rotator.Status, detail string) {
					t.Helper()
					for _, f := range c.strategy.(rotator.Preflighter).Preflight(t.Context(), rotator.Rotation{
						Current: value(app),
						ReadPrevious: func(context.Context) (secret.Document, error) {
							if failing {
								return secret.Document{}, rotator.KindAccessDenied
							}
							return value(other), nil
						},
						ReadPending: func(context.Context) (secret.Document, error) { return value(with(other, pending)), nil },
						ReadSecret: func(context.Context, string) (secret.Document, error) {
							return value(boss).Set("rotates", rotates), nil
						},
						Log: func(string, ...any) {},
					}) {
						if f.Status == rotator.StatusFailed || f.Status == rotator.StatusDenied {
							t.Errorf("%s %s: %s", f.ID, f.Status, f.Detail)
						}
						if f.ID == "P8" || f.ID == "P9" {
							status, detail = f.Status, f.Detail
						}
					}
					return status, detail
				}
				holds := func(want rotator.Status, counts ...string) {
					t.Helper()
					status, detail := preflight()
					if status != want || strings.Count(detail, says) != len(counts) {
						t.Errorf("%s, want %s and %q: %s", status, want, counts, detail)
					}
					for _, count := range counts {
						if !strings.Contains(detail, count+" "+says) {
							t.Errorf("want %q: %s", count, detail)
						}
					}
					for _, p := range []secret.Password{third, previous, pending, app.Password} {
						hash := fmt.Sprintf("%x", sha256.Sum256([]byte(p.Reveal())))
						if strings.Contains(detail, p.Reveal()) || strings.Contains(detail, hash[:8]) {
							t.Error("a password is in the warning")
						}
					}
				}
				holds(rotator.StatusPassed)
				_, detail := preflight()
				if ends := strings.Contains(detail, "has two passwords that the secret holds. VALKEY_DUAL_PASSWORDS is "+
					"not set here: this rotation ends the older one at once"); ends != strings.HasPrefix(what, "single") {
					t.Errorf("of two passwords that the secret holds, one is left: said: %t", ends)
				}
				if c.clone { // as the words of the other's line give it
					add(target, app.Password)
				}
				add(target, pending) // setSecret, and testSecret never came
				holds(rotator.StatusPassed)
				add(target, third)
				holds(rotator.StatusUnknown, fmt.Sprintf("user %q has 1 password", target))
				rotates = target // whoever owns the superuser secret has said that the user is this secret's
				if c.clone {
					rotates = app.User + "/" + target
				}
				if !strings.HasSuffix(what, "itself") {
					holds(rotator.StatusPassed, fmt.Sprintf("user %q has 1 password", target))
				}
				rotates, failing = "", true
				if !c.clone { // of which nothing is proved without it
					if status, detail := preflight(); status != rotator.StatusUnknown ||
						!strings.Contains(detail, "2 passwords "+says+" (as far as they could be read: ") {
						t.Errorf("AWSPREVIOUS cannot be read: %s: %s", status, detail)
					}
				}
				failing = false
				add(target, password())
				holds(rotator.StatusUnknown, fmt.Sprintf("user %q has 2 passwords", target))
				if c.clone {
					add(app.User, third)
					holds(rotator.StatusUnknown, fmt.Sprintf("user %q has 2 passwords", target),
						fmt.Sprintf("user %q has 1 password", app.User))
				}
			})
		}
	}
}

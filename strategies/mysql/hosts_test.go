package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// hosts are those of one name in these tests; the function comes from the first.
var hosts = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}

// several makes a user with an account for each of hosts, all with one password.
func (s server) several(t *testing.T, how string) strategies.Login {
	t.Helper()
	app := s.login(name(), password().Reveal())
	for _, host := range hosts {
		s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED %s", app.User, host,
			fmt.Sprintf(how, app.Password.Reveal())))
	}
	return app
}

// from gives the login as a client on another of the machine's addresses makes it.
func (s server) from(t *testing.T, host string, login strategies.Login) strategies.Login {
	t.Helper()
	relay := s.proxy(t, host, nil)
	login.Port = relay.Port()
	return login
}

func (s server) proxy(t *testing.T, from string,
	tap func(strategytest.Chunk) strategytest.ChunkAction) *strategytest.Proxy {
	t.Helper()
	p := &strategytest.Proxy{OnChunk: tap, Dial: func(ctx context.Context) (net.Conn, error) {
		return s.DialFrom(ctx, from)
	}}
	ok(t, p.Listen())
	t.Cleanup(p.Close)
	return p
}

// strategies of this package's engines, for rotations without a suite.
func (s server) cloning() strategies.CloningEngine {
	if s.MariaDB {
		return MariaDB(engine())
	}
	return engine()
}

func (s server) document(t *testing.T, login strategies.Login, more string) secret.Document {
	t.Helper()
	d, err := secret.ParseDocument(fmt.Sprintf(`{"engine":%q,"host":%q,"port":%d,"username":%q,"password":%q,"ssl":%t%s}`,
		s.cloning().Traits().Engines[0], login.Host, login.Port, login.User, login.Password.Reveal(),
		!login.TLS.Disabled, more))
	ok(t, err)
	return d
}

// rotation is one from current to a new password of the same user.
func (s server) rotation(t *testing.T, current strategies.Login, pending secret.Password) rotator.Rotation {
	boss := with(s.superuser(), func(l *strategies.Login) { l.Port = current.Port })
	return rotator.Rotation{
		Current:      s.document(t, current, `,"masterarn":"super"`),
		Pending:      s.document(t, withPassword(current, pending), `,"masterarn":"super"`),
		ReadPrevious: func(context.Context) (secret.Document, error) { return secret.Document{}, rotator.KindNotFound },
		ReadSecret:   func(context.Context, string) (secret.Document, error) { return s.document(t, boss, ""), nil },
	}
}

// Wherever the line is cut in a change by the superuser, the retry leaves every
// account of the name with the pending password.
func TestCutBetweenTheAccountsOfAName(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			s.run(t, ed25519)
		}
		var seen, cutAt atomic.Int64
		proxy := s.proxy(t, hosts[0], func(strategytest.Chunk) strategytest.ChunkAction {
			if n := seen.Add(1); n == cutAt.Load() {
				return strategytest.ChunkReset
			}
			return strategytest.ChunkForward
		})
		strategy := strategies.SingleUser{Engine: s.cloning(), ThroughSuperuser: true}
		rotate := func(cut int64) (pieces int64) {
			app := s.several(t, s.methods()[cut%int64(len(s.methods()))])
			p := password()
			r := s.rotation(t, with(app, func(l *strategies.Login) { l.Port = proxy.Port() }), p)
			seen.Store(0)
			cutAt.Store(cut)
			err := strategy.Apply(t.Context(), r)
			pieces = seen.Load()
			cutAt.Store(0)
			if err != nil {
				err = strategy.Apply(t.Context(), r)
			}
			if err != nil {
				t.Errorf("cut at %d: %v", cut, err)
				return pieces
			}
			s.holdEverywhere(t, withPassword(app, p))
			return pieces
		}
		all := rotate(0)
		for cut := int64(1); cut <= all; cut++ {
			rotate(cut)
		}
		t.Logf("%d places", all)
	})
}

// methods are ways to make an account of a password.
func (s server) methods() []string {
	if s.MariaDB {
		return []string{"BY '%s'", "VIA ed25519 USING PASSWORD('%s')",
			"VIA unix_socket OR mysql_native_password USING PASSWORD('%s')"}
	}
	return []string{"BY '%s'", "WITH sha256_password BY '%s'", "BY '%s' PASSWORD HISTORY 5"}
}

func (s server) holdEverywhere(t *testing.T, app strategies.Login) {
	t.Helper()
	for _, host := range hosts {
		if err := engine().Ping(t.Context(), s.from(t, host, app)); err != nil {
			t.Errorf("from %s: %v", host, err)
		}
	}
}

// A pending password that works for the account which the function meets says
// nothing of the others: a superuser sets it where it is not, and only there.
func TestPendingWorksForOneAccountOfAName(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			s.run(t, ed25519)
		}
		for _, how := range s.methods() {
			app, p := s.several(t, how), password()
			s.run(t, fmt.Sprintf("SET PASSWORD FOR %s@'%s' = %s", app.User, hosts[0],
				map[bool]string{true: "PASSWORD('" + p.Reveal() + "')", false: "'" + p.Reveal() + "'"}[s.MariaDB]))
			strategy := strategies.SingleUser{Engine: s.cloning(), ThroughSuperuser: true}
			r := s.rotation(t, app, p)
			for range 2 { // and again
				ok(t, strategy.Apply(t.Context(), r))
				s.holdEverywhere(t, withPassword(app, p))
			}
		}
	})
}

// An account of the name with a password that the secret does not hold may be another owner's. A superuser changes none
// then, and gives none of what it may do to a clone, unless the superuser secret names the user.
func TestAccountOfTheNameThatIsAnothers(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		if s.MariaDB {
			s.run(t, ed25519)
		}
		single := strategies.SingleUser{Engine: s.cloning(), ThroughSuperuser: true}
		pair := strategies.AlternatingUsers{Engine: s.cloning()}
		for what, c := range map[string]struct {
			strategy interface {
				rotator.Strategy
				rotator.Preflighter
			}
			rotates  string // of the superuser secret; N is the name
			previous bool   // AWSPREVIOUS holds the other's password
			retained bool   // the secret's is retained on the other account
			fine     bool
		}{
			"single user":                                  {strategy: single},
			"single user, named":                           {strategy: single, rotates: `["N"]`, fine: true},
			"single user, another named":                   {strategy: single, rotates: `["N/N_clone", "other"]`},
			"single user, by a pattern":                    {strategy: single, rotates: `"qtu_*"`, fine: true},
			"single user, AWSPREVIOUS is of the other":     {strategy: single, previous: true, fine: true},
			"single user, what is retained is the other's": {strategy: single, retained: true, fine: true},
			"alternating users":                            {strategy: pair},
			"alternating users, named":                     {strategy: pair, rotates: `["N/N_clone"]`, fine: true},
		} {
			if c.retained && s.MariaDB {
				continue
			}
			for _, how := range s.methods() {
				t.Run(what+", "+how, func(t *testing.T) {
					app := s.login(name(), password().Reveal())
					other, p := withPassword(app, password()), password()
					first := other
					if c.retained {
						first = app
					}
					s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED %s", app.User, hosts[0],
						fmt.Sprintf(how, app.Password.Reveal())),
						fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED %s", app.User, hosts[1],
							fmt.Sprintf(how, first.Password.Reveal())))
					if c.retained {
						s.run(t, fmt.Sprintf("ALTER USER %s@'%s' IDENTIFIED BY '%s' RETAIN CURRENT PASSWORD", app.User,
							hosts[1], other.Password.Reveal()))
					}
					r := s.rotation(t, app, p)
					next := app
					if c.strategy == rotator.Strategy(pair) {
						next.User += "_clone"
						r.Pending = s.document(t, withPassword(next, p), `,"masterarn":"super"`)
					}
					rotates := ""
					if c.rotates != "" {
						rotates = `,"rotates":` + strings.ReplaceAll(c.rotates, "N", app.User)
					}
					r.ReadSecret = func(context.Context, string) (secret.Document, error) {
						return s.document(t, s.superuser(), rotates), nil
					}
					if c.previous {
						r.ReadPrevious = func(context.Context) (secret.Document, error) {
							return s.document(t, other, ""), nil
						}
					}
					blocked := false
					for _, f := range c.strategy.Preflight(t.Context(), r) {
						blocked = blocked || f.ID == "P10" && f.Kind == rotator.KindNotEntitled
					}
					if blocked == c.fine {
						t.Errorf("the preflight blocks: %t", blocked)
					}
					err := c.strategy.Apply(t.Context(), r)
					if c.fine {
						ok(t, err)
						for _, host := range hosts[:2] {
							ok(t, engine().Ping(t.Context(), s.from(t, host, withPassword(next, p))))
						}
						return
					}
					wants(t, err, rotator.KindNotEntitled, account{user: app.User, host: hosts[1]}.String(), `"rotates": ["`+strings.TrimSuffix(app.User+"/"+next.User, "/"+app.User)+`"]`, "RENAME USER")
					ok(t, engine().Ping(t.Context(), s.from(t, hosts[0], app)))
					ok(t, engine().Ping(t.Context(), s.from(t, hosts[1], other)))
					if made := s.ask(t, "SELECT COUNT(*) FROM mysql.user WHERE User = "+
						quoteText(next.User)); next.User != app.User && made != "0" {
						t.Errorf("%s accounts of %q were made", made, next.User)
					}
				})
			}
		}
	})
}

// TestAnAccountWithoutAPasswordVouchesForNone: beside it, an account of the clone's name that has another password than
// the secret's keeps that, whether the server counts wrong ones or not.
func TestAnAccountWithoutAPasswordVouchesForNone(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for _, counter := range []string{"", " FAILED_LOGIN_ATTEMPTS 9 PASSWORD_LOCK_TIME UNBOUNDED"} {
			if s.MariaDB && counter != "" {
				continue // whose counter is the server's, which other tests use
			}
			app, p := s.user(t), password()
			clone := with(app, func(l *strategies.Login) { l.User, l.Password = l.User+"_clone", password() })
			victim := withPassword(clone, password())
			for host, pass := range map[string]string{hosts[0]: clone.Password.Reveal(), "10.%": "",
				hosts[1]: victim.Password.Reveal()} {
				s.run(t, fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED BY '%s'%s", clone.User, host, pass, counter))
			}
			r := s.rotation(t, app, p)
			r.Pending = s.document(t, withPassword(clone, p), `,"masterarn":"super"`)
			r.ReadPrevious = func(context.Context) (secret.Document, error) { return s.document(t, clone, ""), nil }
			err := strategies.AlternatingUsers{Engine: s.cloning()}.Apply(t.Context(), r)
			wants(t, err, rotator.KindNotEntitled, "RENAME USER")
			ok(t, engine().Ping(t.Context(), s.from(t, hosts[1], victim)))
		}
	})
}

// TestTheOriginalsTurn: clients are on the clone then, as AWS's template may have left it, for any host. None of its
// accounts is created, which would come before the one that lets them in; and nothing is given to an account of its
// name that the secret's clients do not use.
func TestTheOriginalsTurn(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		locally := "WITH auth_socket"
		if s.MariaDB {
			locally = "VIA unix_socket"
		} else {
			s = newServer(t, s.Name, map[string]string{"plugin-load-add": "auth_socket.so"})
		}
		for what, c := range map[string]struct{ another, says string }{
			"no other account":  {},
			"another owner's":   {"BY 'Another-1-x'", "the secret holds no password"},
			"a locked one":      {"BY 'Another-1-x' ACCOUNT LOCK", ""},
			"of a machine user": {locally, ""},
		} {
			db, app, p := s.NewDatabase(t), s.login(name(), password().Reveal()), password()
			clone := with(app, func(l *strategies.Login) { l.User += "_clone" })
			s.run(t, "CREATE USER "+clone.User+"@'%' IDENTIFIED BY '"+clone.Password.Reveal()+"'")
			for _, host := range hosts[:2] {
				s.run(t, "CREATE USER "+app.User+"@'"+host+"' IDENTIFIED BY '"+app.Password.Reveal()+"'",
					"GRANT SELECT ON "+db+".* TO "+app.User+"@'"+host+"'")
			}
			before := hosts[:2]
			if c.another != "" {
				s.run(t, "CREATE USER "+clone.User+"@'"+hosts[1]+"' IDENTIFIED "+c.another)
				before = before[:1] // of hosts[1], the clone lets nobody in
			}
			r := s.rotation(t, clone, p)
			r.Pending = s.document(t, withPassword(app, p), `,"masterarn":"super"`)
			r.ReadPrevious = func(context.Context) (secret.Document, error) { return s.document(t, app, ""), nil }
			strategy := strategies.AlternatingUsers{Engine: s.cloning()}
			err := strategy.Apply(t.Context(), r)
			for _, f := range strategy.Preflight(t.Context(), r) {
				if f.Status == rotator.StatusFailed && c.says == "" {
					t.Errorf("%s: %s %s", what, f.ID, f.Detail)
				}
			}
			if c.says == "" && err != nil || c.says != "" && differs(err, rotator.KindNotEntitled, c.says) != nil {
				t.Errorf("%s: %v", what, err)
			}
			for _, host := range before {
				if err := engine().Ping(t.Context(), s.from(t, host, clone)); err != nil {
					t.Errorf("%s: AWSCURRENT, from %s: %v", what, host, err)
				}
			}
			for _, host := range hosts[:2] {
				if err := engine().Ping(t.Context(), s.from(t, host, withPassword(app, p))); c.says == "" && err != nil {
					t.Errorf("%s: AWSPENDING, from %s: %v", what, host, err)
				}
			}
			if c.another != "" {
				if all := s.ask(t, "SHOW GRANTS FOR "+clone.User+"@'"+hosts[1]+"'"); strings.Contains(all, db) {
					t.Errorf("%s: it may now do what the original may", what)
				}
			}
		}
	})
}

// An account that changes itself reaches one host of its name. Where the server
// shows that there are others, nothing is changed; where it does not, that is said.
func TestSelfChangeOfANameWithSeveralHosts(t *testing.T) {
	const columns = "SELECT (`User`, `Host`) ON `mysql`.`user`" // as the warning asks for it
	onEach(t, func(t *testing.T, s server) {
		for what, c := range map[string]struct {
			others   []string
			grant    string
			seen     bool // by an account without rights
			harmless bool
		}{
			"alone":                    {},
			"alone, and may look":      {grant: "SELECT ON mysql.*", harmless: true},
			"two that are guessed":     {others: []string{"'%' IDENTIFIED BY 'Another-1'"}, seen: !s.MariaDB},
			"two that are not guessed": {others: []string{"'10.%' IDENTIFIED BY 'Another-1'"}},
			"two, and may look": {others: []string{"'10.%' IDENTIFIED BY 'Another-1'"},
				grant: "SELECT ON mysql.*", seen: true},
			"alone, and may read two columns": {grant: columns, harmless: true},
			"two, and may read two columns":   {others: []string{"'10.%' IDENTIFIED BY 'Another-1'"}, grant: columns, seen: true},
			"two, and may read one table": {others: []string{"'10.%' IDENTIFIED BY 'Another-1'"},
				grant: "SELECT ON mysql.user", seen: true},
			"one locked, and may look": {others: []string{"'10.%' IDENTIFIED BY 'Another-1' ACCOUNT LOCK"},
				grant: "SELECT ON mysql.*", harmless: true},
		} {
			t.Run(what, func(t *testing.T) {
				app := s.login(name(), password().Reveal())
				s.run(t, fmt.Sprintf("CREATE USER %s@'127.0.0.1' IDENTIFIED BY '%s'", app.User, app.Password.Reveal()))
				for _, other := range c.others {
					s.run(t, "CREATE USER "+app.User+"@"+other)
				}
				if c.grant != "" {
					s.run(t, "GRANT "+c.grant+" TO "+app.User+"@'127.0.0.1'")
				}
				warnings, err := engine().DryRunSetPassword(t.Context(), app, app.User, password())
				unknown := false
				for _, w := range warnings {
					unknown = unknown || w.Unknown
				}
				switch {
				case c.seen:
					host, _, _ := strings.Cut(strings.TrimPrefix(c.others[0], "'"), "'")
					wants(t, err, rotator.KindMisconfigured, app.User+"`@`"+host, "DROP USER the one of them that no client needs", "SINGLE_USER_THROUGH_SUPERUSER", "for each secret that this function rotates")
				case err != nil:
					t.Error(err)
				case unknown == c.harmless, unknown && !strings.Contains(texts(warnings), "GRANT "+columns):
					t.Errorf("unknown is %t: %s", unknown, texts(warnings))
				}
				if err := engine().Ping(t.Context(), app); errors.Is(err, rotator.KindLoginRejected) {
					t.Error(err)
				}
			})
		}
	})
}

// TestTheInquiryShowsWhatHidesAnAccount: the password of `app`@`%` helps no client that meets another account of
// the name, or an anonymous one. Each statement runs as it is printed, also of an account that keeps REQUIRE SSL.
func TestTheInquiryShowsWhatHidesAnAccount(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app := s.user(t)
		s.run(t, "CREATE USER "+quoteIdent(app.User)+"@'10.0.0.1' IDENTIFIED BY 'Another-1-"+name()+"'")
		change := Engine{}.ResetStatement(app.User)
		asks := Engine{}.Inquiry
		if s.MariaDB {
			asks = MariaDB{}.Inquiry
		}
		first := asks(app.User, "another")[0]
		query, remark := first.Run, first.Note
		if found := s.ask(t, "SELECT Host FROM ("+query+") AS shown"); !strings.Contains(found, "10.0.0.1") {
			t.Errorf("%s: found %s", query, found)
		}
		_, demand, _ := strings.Cut(remark, "no password will do: ")
		demand, _, _ = strings.Cut(demand, ". ")
		s.run(t, demand, "ALTER USER "+quoteIdent(app.User)+"@'%' REQUIRE NONE") // this server has no TLS
		s.run(t, "ALTER USER "+quoteIdent(app.User)+"@'%' IDENTIFIED BY 'Lost-1-"+name()+"' ACCOUNT LOCK")
		s.run(t, strings.Replace(change, "PASSWORD", app.Password.Reveal(), 1))
		ok(t, Engine{}.Ping(t.Context(), app))
	})
}

// TestANameThatEndsEarly: for the server a name ends at its first NUL, and for its tables it does not. An account of such
// a name is not among those of the user, keeps the clone from being created, and comes before it for its host.
func TestANameThatEndsEarly(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		for what, c := range map[string]struct {
			host string
			made bool // a rotation has made the clone
			back bool
			rest string // of the name
		}{
			"in place of the clone":      {host: "%"},
			"beside the clone to come":   {host: "127.0.0.1", rest: `x''\\y`},
			"beside the clone":           {host: "127.0.0.1", made: true},
			"beside the original, next":  {host: "127.0.0.1", made: true, back: true},
			"of a host that none is for": {host: "10.1.2.3", made: true},
		} {
			app := s.user(t)
			pair := pairOf(app.User)
			if c.made {
				s.ensure(t, pair)
			}
			if c.back {
				pair = back(pair)
				pair.Possession = possessed
			}
			s.run(t, "CREATE USER '"+pair.Target+`\0`+c.rest+"'@'"+c.host+"' IDENTIFIED BY 'x'")
			if c.back && engine().Ping(t.Context(), app) == nil {
				t.Errorf("%s: it does not come first", what)
			}
			_, dry := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
			for _, err := range []error{dry, engine().EnsureClone(t.Context(), s.superuser(), pair, password())} {
				wants(t, err, rotator.KindMisconfigured, "the server takes for one of user", "NO_BACKSLASH_ESCAPES")
				fixes := rotator.FixesOf(err)
				if len(fixes) != 1 || !strings.HasPrefix(fixes[0].Run, "DROP USER '"+pair.Target+`\0`) {
					t.Fatalf("%s: %v: %v", what, fixes, err)
				}
			}
			s.run(t, rotator.FixesOf(dry)[0].Run)
			ok(t, engine().Ping(t.Context(), s.ensure(t, pair)))
		}
	})
}

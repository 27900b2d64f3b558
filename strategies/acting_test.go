package strategies_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// watched is a Memory on which a name may stand for several accounts, and which keeps what it
// is told when a password is set.
type watched struct {
	*strategytest.Memory
	told *told
}

type told struct {
	done  []string // "set app", and who did it
	login strategies.Login
	pair  strategies.Pair
}

func (w watched) Traits() strategies.Traits {
	t := w.Memory.Traits()
	t.SeveralAccounts = true
	return t
}

func (w watched) Observe(ctx context.Context, login strategies.Login) (string, error) {
	return "seen " + login.User, w.Ping(ctx, login)
}

func (w watched) note(what, user string, login strategies.Login) {
	w.told.done, w.told.login = append(w.told.done, login.User+" "+what+" "+user), login
}

func (w watched) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	w.note("sets", user, login)
	return w.Memory.SetPassword(ctx, login, user, p)
}

func (w watched) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	p secret.Password) ([]strategies.Warning, error) {
	w.note("sets", user, login)
	return w.Memory.DryRunSetPassword(ctx, login, user, p)
}

func (w watched) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	w.note("clones", pair.Target, login)
	w.told.pair = pair
	return w.Memory.EnsureClone(ctx, login, pair, p)
}

func (w watched) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) ([]strategies.Warning, error) {
	w.note("clones", pair.Target, login)
	w.told.pair = pair
	return w.Memory.DryRunEnsureClone(ctx, login, pair, p)
}

func (w watched) Persist(_ context.Context, login strategies.Login, user string, _ secret.Password) error {
	w.note("saves", user, login)
	return nil
}

// TestWhatTheSuperuserIsTold: an engine judges by it whether the superuser may act, in setSecret
// and in the preflight.
func TestWhatTheSuperuserIsTold(t *testing.T) {
	const boss = "boss's own"
	for name, c := range map[string]struct {
		alternating, rotateOnly bool
		account, clone          string // the passwords of app and app_clone
		more                    func(secret.Document) secret.Document
		rotates                 string // in the superuser secret
		done                    []string
		users, passwords        []string // of whom, and which the secret has for app
		seen                    string
		pair                    strategies.Pair // as far as it is told
	}{
		"single user": {account: "current one", done: []string{"boss sets app"}, users: []string{"app"},
			passwords: []string{"current one", "current one", "pending one", "previous one"}, seen: "app: seen app"},
		"single user, where the pending password works": {account: "pending one", rotates: "app",
			done: []string{"boss sets app"}, users: []string{"app"},
			passwords: []string{"pending one", "current one", "pending one", "previous one"}, seen: "app: seen app"},
		"alternating users": {alternating: true, account: "current one", done: []string{"boss clones app_clone"},
			users:     []string{"app", "app_clone"},
			passwords: []string{"current one"}, seen: "app: seen app"},
		"alternating users, with consent": {alternating: true, account: "current one", rotates: "app/app_clone",
			done: []string{"boss clones app_clone"}, users: []string{"app", "app_clone"},
			passwords: []string{"current one"}, seen: "app: seen app"},
		"alternating users, passwords only": {alternating: true, rotateOnly: true, account: "current one",
			rotates: "app*", done: []string{"boss clones app_clone"}, users: []string{"app", "app_clone"},
			passwords: []string{"current one"}, seen: "app: seen app", pair: strategies.Pair{PasswordOnly: true}},
		"alternating users, without TLS": {alternating: true, account: "current one",
			done: []string{"boss clones app_clone"}, users: []string{"app", "app_clone"},
			more:      func(d secret.Document) secret.Document { return d.Set("ssl", "false") },
			passwords: []string{"current one"}, seen: "app: seen app", pair: strategies.Pair{NoTLS: true}},
		"alternating users, by name": {alternating: true, account: "current one", rotates: "app/app_clone",
			done: []string{"boss clones app_clone"}, users: []string{"app", "app_clone"},
			more:      func(d secret.Document) secret.Document { return d.Set("alternateUsername", "app_clone") },
			passwords: []string{"current one"}, seen: "app: seen app", pair: strategies.Pair{PasswordOnly: true,
				Named: true}},
		// AWSPREVIOUS shows no password of the user in use, whose privileges are then not the secret's to give.
		"alternating users, by the other user": {alternating: true, account: "not known", clone: "previous one",
			done: []string{"boss clones app_clone"}, users: []string{"app", "app_clone"},
			seen: "app_clone: seen app_clone", pair: strategies.Pair{PasswordOnly: true}},
	} {
		for _, preflight := range []bool{false, true} {
			db := watched{&strategytest.Memory{}, new(told)}
			db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(c.account)})
			db.Add(strategytest.Account{Name: "app_clone", Password: secret.NewPassword(cmp.Or(c.clone, "unknown")),
				SetRole: "app"})
			db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword(boss), Superuser: true})
			of := func(user, password string) secret.Document {
				d := value(user, password)
				if c.more != nil {
					d = c.more(d)
				}
				return d
			}
			next := "app"
			if c.alternating {
				next = "app_clone"
			}
			r := rotator.Rotation{Current: of("app", "current one"), Pending: of(next, "pending one"),
				ReadPrevious: func(context.Context) (secret.Document, error) { return of(next, "previous one"), nil },
				ReadPending:  func(context.Context) (secret.Document, error) { return of(next, "pending one"), nil },
				ReadSecret: func(_ context.Context, id string) (secret.Document, error) {
					if id != "superuser" {
						t.Errorf("%s: %s was read", name, id)
					}
					return value("boss", boss).Set("rotates", c.rotates), nil
				},
			}
			var s rotator.Strategy = strategies.SingleUser{Engine: db, ThroughSuperuser: true,
				SuperuserSecretARN: "superuser"}
			if c.alternating {
				s = strategies.AlternatingUsers{Engine: db, SuperuserSecretARN: "superuser", RotateOnly: c.rotateOnly}
			}
			if !preflight {
				r.ReadPending = nil
			}
			if preflight {
				r.Pending = secret.Document{}
				s.(rotator.Preflighter).Preflight(t.Context(), r)
			} else if err := s.Apply(t.Context(), r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !slices.Equal(db.told.done, c.done) || db.told.login.For == nil {
				t.Errorf("%s (%t): %q, want %q", name, preflight, db.told.done, c.done)
				continue
			}
			held := db.told.login.For
			var passwords []string
			for p, err := range held.Passwords(t.Context(), "app") {
				if err != nil {
					t.Errorf("%s (%t): %v", name, preflight, err)
				}
				passwords = append(passwords, p.Reveal())
			}
			seen := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(held.Seen), "map["), "]")
			if n := len(passwords); preflight && n == 4 { // what is read, in the order of what is there more often
				passwords[n-2], passwords[n-1] = passwords[n-1], passwords[n-2]
			}
			if !slices.Equal(held.Users, c.users) || held.Consent != (c.rotates != "") ||
				!slices.Equal(passwords, c.passwords) || strings.ReplaceAll(seen, ":", ": ") != c.seen {
				t.Errorf("%s (%t): for %q, consent %t, passwords %q, seen %s", name, preflight, held.Users,
					held.Consent, passwords, seen)
			}
			if !c.alternating {
				continue
			}
			// setSecret has given the clone the pending password; before, it may have the previous one.
			if err := db.told.pair.Possession(t.Context(), nil); (preflight && c.clone == "") != errors.Is(err,
				rotator.KindLoginRejected) {
				t.Errorf("%s (%t): possession: %v", name, preflight, err)
			}
			got := db.told.pair
			got.Possession = nil
			c.pair.Original, c.pair.Clone, c.pair.Target, c.pair.Consent = "app", "app_clone", "app_clone",
				c.rotates != ""
			want := strings.Replace(fmt.Sprintf("%+v", c.pair), "secretARN:", "secretARN:superuser", 1)
			if fmt.Sprintf("%+v", got) != want {
				t.Errorf("%s (%t): %+v, want %+v", name, preflight, got, c.pair)
			}
		}
	}
}

// TestWhatThePendingPasswordLeavesToDo: where it works already, an account of several is not
// done by its login, unless it changes itself.
func TestWhatThePendingPasswordLeavesToDo(t *testing.T) {
	for name, c := range map[string]struct {
		through, alternating bool
		want                 string
	}{
		"by itself":           {false, false, "app saves app"},
		"through a superuser": {true, false, "boss sets app"},
		"alternating":         {false, true, "boss clones app_clone"},
	} {
		db := watched{&strategytest.Memory{}, new(told)}
		db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("pending one")})
		db.Add(strategytest.Account{Name: "app_clone", Password: secret.NewPassword("pending one"), SetRole: "app"})
		db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("boss's own"), Superuser: true})
		r := rotator.Rotation{Current: value("app", "current one"), Pending: value("app", "pending one"),
			ReadPrevious: func(context.Context) (secret.Document, error) {
				return secret.Document{}, rotator.KindNotFound
			},
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return value("boss", "boss's own"), nil
			},
		}
		var s rotator.Strategy = strategies.SingleUser{Engine: db, ThroughSuperuser: c.through,
			SuperuserSecretARN: "superuser"}
		if c.alternating {
			s, r.Pending = strategies.AlternatingUsers{Engine: db, SuperuserSecretARN: "superuser"},
				value("app_clone", "pending one")
		}
		if err := s.Apply(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if done := db.told.done; len(done) == 0 || done[len(done)-1] != c.want {
			t.Errorf("%s: %q, want %q last", name, done, c.want)
		}
	}
}

// TestWhatTheLogSays: who changed whose password, and with which version it was verified; an
// error of a change names the superuser who made it, and only that one.
func TestWhatTheLogSays(t *testing.T) {
	single := func(e saving) rotator.Strategy { return strategies.SingleUser{Engine: e} }
	plain := func(e saving) rotator.Strategy { return strategies.SingleUser{Engine: e.Memory} }
	through := func(e saving) rotator.Strategy { return strategies.SingleUser{Engine: e, ThroughSuperuser: true} }
	dual := func(e saving) rotator.Strategy { return strategies.DualPasswords{Engine: e.Memory} }
	twoSaved := func(e saving) rotator.Strategy { return strategies.DualPasswords{Engine: e} }
	pair := func(e saving) rotator.Strategy { return strategies.AlternatingUsers{Engine: e} }
	plainPair := func(e saving) rotator.Strategy { return strategies.AlternatingUsers{Engine: e.Memory} }
	for name, c := range map[string]struct {
		strategy       func(saving) rotator.Strategy
		app            string // its password
		previous, fail string // a password of AWSPREVIOUS; what fails
		log, err       string
		works          string // the user whose pending password works then
	}{
		"itself":                           {single, "app-1", "", "", `user "app", logged in with AWSCURRENT, changed its password`, "", "app"},
		"itself, again":                    {plain, "app-2", "", "", `user "app" has the pending password already`, "", "app"},
		"itself, again, and saved":         {single, "app-2", "", "", `user "app" has the pending password already, and the server has saved it`, "", "app"},
		"itself, with an older password":   {single, "app-0", "app-0", "", `user "app", logged in with AWSPREVIOUS, changed its password`, "", "app"},
		"itself, not saved":                {single, "app-2", "", "saved", "", "no disk", "app"},
		"itself, in vain":                  {single, "app-1", "", "set app", "", "no disk", ""},
		"two passwords":                    {dual, "app-1", "", "", `user "app", logged in with AWSCURRENT, now has both passwords`, "", "app"},
		"two passwords, not saved":         {twoSaved, "app-2", "", "set app", "", "no disk", ""},
		"a superuser":                      {through, "app-1", "", "", `superuser "boss" changed the password of user "app" (verified with AWSCURRENT)`, "", "app"},
		"a superuser, an older password":   {through, "app-0", "app-0", "", `superuser "boss" changed the password of user "app" (verified with AWSPREVIOUS)`, "", "app"},
		"a superuser, in vain":             {through, "app-1", "", "set app", "", `superuser "boss": `, ""},
		"a superuser, not saved":           {through, "app-2", "", "saved", "", `superuser "boss": `, "app"},
		"a superuser cannot be found":      {through, "app-1", "", "read", "", "boss", ""},
		"a pair":                           {pair, "app-1", "", "", `superuser "boss" changed the password of user "app_clone"; user "app" (verified with AWSCURRENT) is unchanged`, "", "app_clone"},
		"a pair, again":                    {plainPair, "app-2", "", "", `user "app_clone" has the pending password already`, "", "app_clone"},
		"a pair, in vain":                  {pair, "app-1", "", "clone app_clone", "", `superuser "boss": `, ""},
		"a pair, no superuser to be found": {pair, "app-1", "", "read", "", "boss", ""},
		"a pair, of which none logs in":    {pair, "app-0", "", "", "", "AWSCURRENT", ""},
	} {
		db, r := rotation(t, c.app, `"nodes": ["n1","n2"]`)
		s := c.strategy(db)
		if _, alternating := s.(strategies.AlternatingUsers); alternating {
			r.Pending = r.Pending.Set("username", "app_clone")
			if c.app != "app-2" {
				db.Add(strategytest.Account{Name: "app_clone", Password: secret.NewPassword("unknown"), SetRole: "app"})
			}
		}
		if c.previous != "" {
			r.ReadPrevious = func(context.Context) (secret.Document, error) {
				return r.Current.SetPassword(secret.NewPassword(c.previous)), nil
			}
		}
		if c.fail == "read" {
			r.ReadSecret = func(context.Context, string) (secret.Document, error) {
				return secret.Document{}, rotator.KindThrottled
			}
		}
		if s, ok := s.(strategies.SingleUser); ok && !s.ThroughSuperuser || strings.HasPrefix(name, "two") ||
			strings.HasSuffix(name, "again") {
			r.Current, r.Pending = r.Current.Set("masterarn", ""), r.Pending.Set("masterarn", "")
		}
		var notes []string
		r.Log = func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
		db.Before = func(_ context.Context, op, user string) error {
			if op+" "+user == c.fail || c.fail == "saved" && len(*db.saved) > 0 {
				return fmt.Errorf("no disk: %w", rotator.KindInternal)
			}
			return nil
		}
		err := s.Apply(t.Context(), r)
		db.Before = nil
		if c.err == "" && (err != nil || len(notes) != 1 || notes[0] != c.log) {
			t.Errorf("%s: the log says %q, want %q: %v", name, notes, c.log, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) ||
			strings.Contains(err.Error(), "superuser") != strings.Contains(c.err+c.fail, "superuser") &&
				c.fail != "read" || len(notes) > 0) {
			t.Errorf("%s: an error that says %q is wanted, and a log that says nothing: %v, %q", name,
				c.err, err, notes)
		}
		if c.works == "" {
			continue
		}
		notes = nil
		if err := s.Verify(t.Context(), r); err != nil || r.Pending.Text("username") != c.works || len(notes) != 1 ||
			!strings.Contains(notes[0], "logged in with the value under test") {
			t.Errorf("%s: Verify: %v, and the log says %q", name, err, notes)
		}
	}
}

// TestTheValueOfAPreflightIsRehearsed: where createSecret has a value to store, that one is judged.
func TestTheValueOfAPreflightIsRehearsed(t *testing.T) {
	var db strategytest.Memory
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("current one")})
	db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("boss's own"), Superuser: true})
	long := strings.Repeat("p", db.Traits().MaxPasswordSize+1)
	for name, s := range map[string]rotator.Preflighter{
		"app":       strategies.SingleUser{Engine: &db},
		"app_clone": strategies.AlternatingUsers{Engine: &db, SuperuserSecretARN: "superuser"},
	} {
		findings := s.Preflight(t.Context(), rotator.Rotation{Current: value("app", "current one"),
			Pending: value(name, long),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return value("boss", "boss's own"), nil
			}})
		if !slices.ContainsFunc(findings, func(f rotator.Finding) bool {
			return f.ID == "P5" && f.Status == rotator.StatusFailed
		}) {
			t.Errorf("%s: a password that is too long is not judged: %+v", name, findings)
		}
	}
}

// TestASelfChangeIsNotOfTheSuperuser: where the credentials of the superuser were stored in the secret of a user who
// changes itself, no rotation gives that one another password than its own secret has. What keeps the function from
// finding that out is no refusal: it need not read that secret otherwise.
func TestASelfChangeIsNotOfTheSuperuser(t *testing.T) {
	const own = "arn:aws:secretsmanager:us-east-1:123456789012:secret:boss-AbCdEf"
	boss := value("boss", "boss's own")
	for name, c := range map[string]struct {
		user      string
		masterarn string
		superuser secret.Document
		read      error // of the superuser secret
		replica   error // whether the hosts are of one server
		previous  string
		want      rotator.Status
		reads     int
	}{
		"another user":               {user: "app", masterarn: "superuser", superuser: boss, want: rotator.StatusPassed, reads: 1},
		"the superuser":              {user: "boss", masterarn: "superuser", superuser: boss, want: rotator.StatusDenied, reads: 1},
		"the superuser's other user": {user: "boss", masterarn: "superuser", superuser: value("chief", "p").Set("alternateUsername", "boss"), want: rotator.StatusDenied, reads: 1},
		"its server's reader":        {user: "boss", masterarn: "superuser", superuser: boss.Set("host", "writer"), want: rotator.StatusDenied, reads: 1},
		"another server":             {user: "boss", masterarn: "superuser", superuser: boss.Set("host", "far"), replica: rotator.KindConflict, want: rotator.StatusUnknown, reads: 1},
		"no superuser":               {user: "boss"},
		"its own ARN":                {user: "boss", masterarn: own},
		"its own ARN, in part":       {user: "boss", masterarn: strings.TrimSuffix(own, "-AbCdEf")},
		"its own name":               {user: "boss", masterarn: "boss"},
		"not to be read":             {user: "app", masterarn: "superuser", read: rotator.KindAccessDenied, want: rotator.StatusUnknown, reads: 1},
		"not to be read, as before":  {user: "app", masterarn: "superuser", read: rotator.KindAccessDenied, previous: "app", want: rotator.StatusSkipped, reads: 1},
		"not to be read, another":    {user: "boss", masterarn: "superuser", read: rotator.KindAccessDenied, previous: "app", want: rotator.StatusUnknown, reads: 1},
		"no such secret":             {user: "app", masterarn: "superuser", read: rotator.KindNotFound, want: rotator.StatusUnknown, reads: 1},
		"not an ARN":                 {user: "app", masterarn: " superuser", want: rotator.StatusUnknown},
		"without a user":             {user: "app", masterarn: "superuser", superuser: secret.Document{}.Set("engine", "memory"), want: rotator.StatusUnknown, reads: 1},
	} {
		var db strategytest.Memory
		db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword("app's own")})
		db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("boss's own"), Superuser: true})
		for _, s := range []rotator.Preflighter{strategies.SingleUser{Engine: &db}, strategies.DualPasswords{Engine: &db}} {
			reads := 0
			current := value(c.user, c.user+"'s own")
			if c.masterarn != "" {
				current = current.Set("masterarn", c.masterarn)
			}
			findings := s.Preflight(t.Context(), rotator.Rotation{SecretARN: own, Current: current,
				ReadPrevious: func(context.Context) (secret.Document, error) {
					if c.previous == "" {
						return secret.Document{}, rotator.KindNotFound
					}
					return value(c.previous, "older"), nil
				},
				ReadSecret: func(_ context.Context, id string) (secret.Document, error) {
					reads++
					return c.superuser, c.read
				},
				IsEndpointOf: func(context.Context, secret.Document, string, int) error { return c.replica },
			})
			i := slices.IndexFunc(findings, func(f rotator.Finding) bool { return f.ID == "P10" })
			var got rotator.Finding
			if i >= 0 {
				got = findings[i]
			}
			if got.Status != c.want || reads != c.reads || (got.Detail == "") != (c.want == "" || c.want == rotator.StatusPassed) ||
				c.want == rotator.StatusDenied && !errors.Is(got.Kind, rotator.KindNotEntitled) {
				t.Errorf("%s: %T: %d reads, %+v", name, s, reads, got)
			}
			changes := slices.ContainsFunc(findings, func(f rotator.Finding) bool {
				return f.ID == "P6" && f.Status == rotator.StatusPassed
			})
			if changes != (c.want != rotator.StatusDenied) {
				t.Errorf("%s: %T: %+v", name, s, findings)
			}
		}
	}
}

// TestASelfChangeThatIsDoneIsNotJudged: AWSPENDING works already, and nothing is left to refuse.
func TestASelfChangeThatIsDoneIsNotJudged(t *testing.T) {
	db, r := rotation(t, "app-2")
	r.ReadPending = func(context.Context) (secret.Document, error) { return r.Pending, nil }
	r.ReadSecret = func(context.Context, string) (secret.Document, error) {
		t.Error("the superuser secret was read")
		return secret.Document{}, rotator.KindAccessDenied
	}
	for _, s := range []rotator.Preflighter{strategies.SingleUser{Engine: db}, strategies.SingleUser{Engine: db.Memory}} {
		for _, f := range s.Preflight(t.Context(), r) {
			if f.Status != rotator.StatusPassed && f.Status != rotator.StatusSkipped && f.Status != rotator.StatusUnknown {
				t.Errorf("%+v", f)
			}
		}
	}
}

// TestAPatternOfAlternateUsers: the writer of a secret names in alternateUsername another owner's account, which a
// pattern of the superuser secret stands for as well.
func TestAPatternOfAlternateUsers(t *testing.T) {
	for rotates, want := range map[string]error{"app*": rotator.KindNotEntitled, "app/app2": nil} {
		var db strategytest.Memory
		for _, user := range []string{"app", "app2", "boss"} {
			db.Add(strategytest.Account{Name: user, Password: secret.NewPassword(user + "'s own"), Superuser: user == "boss"})
		}
		of := func(user, password string) secret.Document {
			return value(user, password).Set("masterarn", "superuser").Set("alternateUsername",
				map[string]string{"app": "app2", "app2": "app"}[user])
		}
		s := strategies.AlternatingUsers{Engine: &db}
		r := rotator.Rotation{Current: of("app", "app's own"), Pending: of("app2", "pending one"),
			ReadPrevious: func(context.Context) (secret.Document, error) { return secret.Document{}, nil },
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return value("boss", "boss's own").Set("rotates", rotates), nil
			}}
		if err := s.Apply(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("%s: %v", rotates, err)
		}
		theirs := strategies.Login{Host: strategytest.MemoryHost, Port: db.Traits().Port, User: "app2",
			Password: secret.NewPassword("app2's own")}
		if err := db.Ping(t.Context(), theirs); (err == nil) != (want != nil) {
			t.Errorf("%s: the other owner's login: %v", rotates, err)
		}
	}
}

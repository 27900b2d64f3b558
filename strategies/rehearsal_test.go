package strategies

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// answering is an engine whose answers are given.
type answering struct {
	Engine
	traits  Traits
	answers map[string]error // by what is done and the user: "login app", "change boss"
}

func (a answering) Traits() Traits { return a.traits }

// Ping has an answer for a user, or for one of its passwords.
func (a answering) Ping(_ context.Context, login Login) error {
	return cmp.Or(a.answers["login "+login.User], a.answers["login "+login.User+" "+login.Password.Reveal()])
}

func (a answering) change(login Login) ([]Warning, error) {
	if err := a.Ping(context.Background(), login); err != nil {
		return nil, err
	}
	return []Warning{Warn("noticed")}, a.answers["change "+login.User]
}

func (a answering) DryRunSetPassword(_ context.Context, login Login, _ string, _ secret.Password) ([]Warning, error) {
	return a.change(login)
}

func (a answering) DryRunEnsureClone(_ context.Context, login Login, _ Pair, _ secret.Password) ([]Warning, error) {
	return a.change(login)
}

func (answering) EnsureClone(context.Context, Login, Pair, secret.Password) error {
	panic("in a preflight")
}

// TestTheRowOfAFailure: every failure of a login or a change is one finding, in the row whose
// it is, and what comes after it in a server is not called passed.
func TestTheRowOfAFailure(t *testing.T) {
	early := func(err error) error { return MarkLoginError(fmt.Errorf("server: %w", err)) }
	outOfTime := fmt.Errorf("%w: %w", rotator.KindDeadline, context.DeadlineExceeded) // of the function
	for name, c := range map[string]struct {
		strategy   string // "": single user
		answers    map[string]error
		more       string // of the secret
		blind      bool   // the engine cannot tell a pooler
		readOnly   bool
		host, boss string // instead of h and boss
		// what the other versions hold; "": there is none
		pending, previous, previousUser string
		// the rows, each with the first letter of its status; * is before those of the superuser
		want string
		says string // of some row
	}{
		"all is well": {want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6p P8p", says: `noticed`},
		"unreachable": {answers: map[string]error{"login app": early(rotator.KindUnreachable)},
			want: "S9p T1f T2s T3s P1s P2s P3s P4s P5s P6s"},
		"no time for the login": {answers: map[string]error{"login app": early(outOfTime)},
			want: "S9p T1u T2s T3s P1s P2s P3s P4s P5s P6s"},
		"no time for the change": {answers: map[string]error{"change app": outOfTime},
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6u"},
		// What the server itself answers meets testSecret as well, when the old password is gone.
		"the server ends the statement of the login": {answers: map[string]error{"login app": early(rotator.KindDeadline)},
			want: "S9p T1f T2s T3s P1s P2s P3s P4s P5s P6s"},
		"an unknown answer to the login": {answers: map[string]error{"login app": early(rotator.KindInternal)},
			want: "S9p T1f T2s T3s P1s P2s P3s P4s P5s P6s"},
		"the server ends the change": {answers: map[string]error{"change app": rotator.KindDeadline},
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6f"},
		"an unknown answer to the change": {answers: map[string]error{"change app": rotator.KindInternal},
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6f"},
		"lost in the change": {answers: map[string]error{"change app": rotator.KindUnreachable},
			want: "S9p T1f T2s T3s P1s P2s P3s P4s P5s P6s"},
		"TLS does not hold": {answers: map[string]error{"login app": early(rotator.KindTLS)},
			want: "S9p T1p T2f T3s P1s P2s P3s P4s P5s P6s"},
		"a pooler": {answers: map[string]error{"login app": MarkPoolerError(rotator.KindMisconfigured)},
			want: "S9p T1p T2p T3f P1s P2s P3s P4s P5s P6s"},
		"no free connection": {answers: map[string]error{"login app": early(rotator.KindTooManyConnections)},
			want: "S9p T1p T2p T3s P1f P2s P3s P4s P5s P6s"},
		"rejected": {answers: map[string]error{"login app": early(rotator.KindLoginRejected)}, want: "S9p T1p T2p T3s P1p P2f P3s P4s P5s P6s", says: `seen only after a login`},
		"not let in": {answers: map[string]error{"login app": early(rotator.KindPrivilege)},
			want: "S9p T1p T2p T3s P1p P2p P3d P4s P5s P6s"},
		"read-only": {answers: map[string]error{"change app": rotator.KindReadOnly},
			want: "S9p T1p T2p T3p P1p P2p P3p P4f P5s P6s"},
		"a policy": {answers: map[string]error{"change app": rotator.KindPasswordPolicy},
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5f P6s"},
		"may not": {answers: map[string]error{"change app": rotator.KindPrivilege},
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6d"},
		"another session is at work": {answers: map[string]error{"change app": rotator.KindConflict},
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6u"},
		"another session is at work at the login": {answers: map[string]error{"login app": early(rotator.KindConflict)},
			want: "S9p T1p T2p T3s P1p P2p P3f P4s P5s P6s"},
		"not entitled": {answers: map[string]error{"change app": NotEntitled("no")},
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6d"},
		"without TLS":                            {more: `,"ssl":false`, want: "S9p T1p T2s T3p P1p P2p P3p P4p P5p P6p P8p", says: `"ssl": false`},
		"a pooler that asks":                     {more: `,"poolerForwardsLogins":true`, want: "S9p T1p T2p T3s P1p P2p P3p P4p P5p P6p P8p", says: `"poolerForwardsLogins": true`},
		"poolers are not seen":                   {blind: true, want: "S9p T1p T2p T3s P1p P2p P3p P4p P5p P6p P8p", says: `cannot tell a pooler`},
		"poolers are not seen, nor is the login": {answers: map[string]error{"login app": early(rotator.KindLoginRejected)}, blind: true, want: "S9p T1p T2p T3s P1p P2f P3s P4s P5s P6s", says: `seen only after a login`},
		"nothing is rehearsed":                   {answers: map[string]error{"change app": rotator.KindPrivilege}, readOnly: true, want: "S9p T1p T2p T3p P1p P2p P3p P4u P5u P6u", says: `PREFLIGHT_PROBES=read-only`},
		"nothing is rehearsed, " +
			"unreachable": {answers: map[string]error{"login app": early(rotator.KindUnreachable)}, readOnly: true,
			want: "S9p T1f T2s T3s P1s P2s P3s P4s P5s P6s"},
		"through a superuser": {strategy: "through superuser",
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P6p *P8p"},
		"through a superuser, rejected": {strategy: "through superuser",
			answers: map[string]error{"login app": early(rotator.KindLoginRejected)},
			want:    "S9p T1p T2p T3s P1p P2f P3s S10s *P6s"},
		"through a superuser, an error without its place": {strategy: "through superuser", answers: map[string]error{"login app": rotator.KindPrivilege}, want: "S9p T1p T2p T3s P1p P2p P3d S10s *P6s", says: `seen only after a login`},
		"through a superuser, its secret is not readable": {strategy: "through superuser",
			answers: map[string]error{"read boss": rotator.KindAccessDenied},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10d *P6s"},
		"through a superuser, who is rejected": {strategy: "through superuser",
			answers: map[string]error{"login boss": early(rotator.KindLoginRejected)},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3s *P1p *P2f *P3s *P4s *P10s *P5s *P6s"},
		"through a superuser, who is not entitled": {strategy: "through superuser",
			answers: map[string]error{"change boss": NotEntitled("no")},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10d *P5s *P6s"},
		"through a superuser, whose change the server ends": {strategy: "through superuser",
			answers: map[string]error{"change boss": rotator.KindDeadline},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P6f"},
		"through a superuser, to a reader": {strategy: "through superuser",
			answers: map[string]error{"change boss": rotator.KindReadOnly},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4f *P10s *P5s *P6s"},
		"through a superuser, against a policy": {strategy: "through superuser",
			answers: map[string]error{"change boss": rotator.KindPasswordPolicy},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5f *P6s"},
		"through a superuser, in the way of another session": {strategy: "through superuser",
			answers: map[string]error{"change boss": rotator.KindConflict},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P6u"},
		"through a superuser, without " +
			"rehearsal": {answers: map[string]error{"change boss": rotator.KindPrivilege},
			strategy: "through superuser", readOnly: true,
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4u *P10u *P5u *P6u"},
		"alternating": {strategy: "alternating users",
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P7p *P9p",
			says: "noticed"},
		"alternating, the clone is not the pair's": {strategy: "alternating users",
			answers: map[string]error{"change boss": NotEntitled("no")},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10d *P5s *P7s"},
		"alternating, may not": {strategy: "alternating users",
			answers: map[string]error{"change boss": rotator.KindPrivilege},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P7d"},
		"alternating, in the way of another session": {strategy: "alternating users",
			answers: map[string]error{"change boss": rotator.KindConflict},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P7u"},
		"alternating, without " +
			"rehearsal": {answers: map[string]error{"change boss": rotator.KindPrivilege},
			strategy: "alternating users", readOnly: true,
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4u *P10u *P5u *P7u"},
		"alternating, passwords only": {strategy: "rotate only",
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P6p *P8p"},
		"AWSPENDING works": {answers: map[string]error{"login app p": early(rotator.KindLoginRejected)},
			pending: "pending", says: "AWSPENDING works", want: "S9p T1p T2p T3p P1p P2p P3p P4s P5s P6s"},
		"AWSPREVIOUS works, and a policy refuses": {answers: map[string]error{"login app p": early(rotator.KindLoginRejected),
			"change app": rotator.KindPasswordPolicy}, previous: "previous", says: `AWSPREVIOUS (user "app"): password policy`,
			want: "S9p T1p T2p T3p P1p P2p P3p P4p P5f P6s"},
		"AWSPREVIOUS works": {answers: map[string]error{"login app p": early(rotator.KindLoginRejected)},
			previous: "previous", says: "AWSPREVIOUS logs in", want: "S9p T1p T2p T3p P1p P2p P3p P4p P5p P6p P8p"},
		"AWSPENDING works, through a superuser": {strategy: "through superuser",
			answers: map[string]error{"login app p": early(rotator.KindLoginRejected)}, pending: "pending",
			says: "AWSPENDING works", want: "S9p T1p T2p T3p P1p P2p P3p S10s"},
		"AWSPREVIOUS works, of the clone": {strategy: "alternating users",
			answers: map[string]error{"login app p": early(rotator.KindLoginRejected)}, previousUser: "app_clone",
			previous: "previous", says: "AWSPREVIOUS logs in",
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10p *P5p *P7p *P9p"},
		"the superuser is the user": {strategy: "through superuser", boss: "app",
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *P10d *P5s *P6s"},
		"the superuser is the clone": {strategy: "alternating users", boss: "app_clone",
			want: "S9p T1p T2p T3p P1p P2p P3p S10p *P10d *P5s *P7s"},
		"RDS Proxy": {host: "p.proxy-abc.us-east-1.rds.amazonaws.com",
			says: "RDS Proxy", want: "S9p T3f"},
		"no login": {more: `,"port":0`, want: "S9f"},
		"no pair":  {strategy: "alternating users", more: `,"alternateUsername":"app"`, want: "S9f"},
		"a pooler, out of reach of its " +
			"database": {answers: map[string]error{"login app": MarkPoolerError(early(rotator.KindUnreachable))},
			want: "S9p T1p T2p T3f P1s P2s P3s P4s P5s P6s"},
		"a pooler, which rejects": {answers: map[string]error{"login app": MarkPoolerError(early(rotator.KindTLS))},
			want: "S9p T1p T2p T3f P1s P2s P3s P4s P5s P6s"},
		"through a superuser, possession is not clear": {strategy: "through superuser",
			answers: map[string]error{"change boss": entitlementError{rotator.KindUnreachable}},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10p *T1p *T2p *T3p *P1p *P2p *P3p *P4p *P10f *P5s *P6s"},
		"alternating, the superuser's secret is not readable": {strategy: "alternating users",
			answers: map[string]error{"read boss": rotator.KindAccessDenied},
			want:    "S9p T1p T2p T3p P1p P2p P3p S10d *P7s"},
		"AWSPENDING works, and nothing is " +
			"rehearsed": {answers: map[string]error{"login app p": early(rotator.KindLoginRejected)},
			pending: "pending", readOnly: true, want: "S9p T1p T2p T3p P1p P2p P3p P4s P5s P6s"},
		"AWSPREVIOUS works, and nothing is " +
			"rehearsed": {answers: map[string]error{"login app p": early(rotator.KindLoginRejected)},
			previous: "previous", readOnly: true, want: "S9p T1p T2p T3p P1p P2p P3p P4u P5u P6u"},
	} {
		traits := sample()
		traits.DetectsPoolers = !c.blind
		e := answering{traits: traits, answers: c.answers}
		masterarn := `,"masterarn":"boss"`
		if c.strategy == "" { // what is asked of it then is in TestASelfChangeIsNotOfTheSuperuser
			masterarn = ""
		}
		value := func(user, password string) secret.Document {
			return document(t, `{"engine":"sample","host":"`+cmp.Or(c.host, "h")+`","username":"`+user+`","password":"`+password+`"`+masterarn+c.more+`}`)
		}
		read := func(user, password string) func(context.Context) (secret.Document, error) {
			return func(context.Context) (secret.Document, error) {
				if password == "" {
					return secret.Document{}, rotator.KindNotFound
				}
				return value(user, password), nil
			}
		}
		r := rotator.Rotation{
			Current: value("app", "p"), ReadOnlyProbes: c.readOnly,
			ReadPending: read("app", c.pending), ReadPrevious: read(cmp.Or(c.previousUser, "app"), c.previous),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return value(cmp.Or(c.boss, "boss"), "p"), c.answers["read boss"]
			},
		}
		var s rotator.Preflighter = SingleUser{Engine: e}
		switch c.strategy {
		case "through superuser":
			s = SingleUser{Engine: e, ThroughSuperuser: true}
		case "alternating users":
			s = AlternatingUsers{Engine: e}
		case "rotate only":
			s = AlternatingUsers{Engine: e, RotateOnly: true}
		}
		var got []string
		said := ""
		for _, f := range s.Preflight(t.Context(), r) {
			mark := ""
			if strings.HasPrefix(f.Check, superuserPrefix) {
				mark = "*"
			}
			said += f.Detail + "\n"
			got = append(got, mark+f.ID+string(f.Status[0]))
		}
		if another := c.pending+c.previous != ""; another != (strings.Contains(said, "AWSCURRENT is rejected") ||
			strings.Contains(said, `AWSCURRENT (user "app"): server: login rejected`)) {
			t.Errorf("%q: whether AWSCURRENT is rejected: %s", name, said)
		}
		if row := strings.Join(got, " "); row != c.want || !strings.Contains(said, c.says) {
			t.Errorf("%q: %s\nwant %s, and %q in %s", name, row, c.want, c.says, said)
		}
	}
}

// TestTheRowsOfADatabase: the list that the documents are made of has each row once, with
// none that is missing in a preflight.
func TestTheRowsOfADatabase(t *testing.T) {
	var ids []string
	for _, c := range DatabaseChecks() {
		if ids = append(ids, strings.Join(append([]string{c.ID}, c.Needs...), "<")); c.Proves == "" ||
			strings.HasPrefix(c.Proves, superuserPrefix) {
			t.Errorf("%s is said to be %q", c.ID, c.Proves)
		}
	}
	if got := strings.Join(ids, " "); got != "S9 T1<S9 T2<T1 T3<T2 P1<T3 P2<P1 P3<P2 S10<P3 P4<P3 P10<P4 P5<P10 "+
		"P6<P5<S10 P8 P7<P5<S10 P9" {
		t.Error(got)
	}
}

package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
)

// explaining is a Memory whose superuser sees why a login is rejected.
type explaining struct{ *strategytest.Memory }

func (explaining) Inquiry(users ...string) []rotator.Fix {
	return []rotator.Fix{{Run: "WHY " + strings.Join(users, " ")}}
}

func (e explaining) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	var all []rotator.RejectionCause
	for _, login := range rejected {
		all = append(all, rotator.RejectionCause{Text: fmt.Sprintf("%s of %v looked at %s", superuser.User, superuser.For.Users,
			login.User)})
	}
	return all, e.Ping(ctx, superuser)
}

type keeping struct {
	explaining
	passwords *[]string
}

func (e keeping) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	for p, err := range superuser.For.Passwords(ctx, rejected[0].User) {
		*e.passwords = append(*e.passwords, p.Reveal()+fmt.Sprint(err))
	}
	return e.explaining.Explain(ctx, superuser, rejected...)
}

// TestWhatASecretHoldsIsKnownToWhoExplains: each rejected password of the user, and AWSPREVIOUS where it is of the same
// server.
func TestWhatASecretHoldsIsKnownToWhoExplains(t *testing.T) {
	t.Parallel()
	memory := &strategytest.Memory{}
	memory.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("canary-boss"), Superuser: true})
	value := func(user, password string) secret.Document {
		return secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username", user).
			Set("masterarn", bossARN).SetPassword(secret.NewPassword(password))
	}
	for host, want := range map[string][]string{strategytest.MemoryHost: {"a<nil>", "b<nil>"}, "elsewhere": {"a<nil>"}} {
		var got []string
		s := strategies.SingleUser{Engine: keeping{explaining{memory}, &got}}
		_, err := s.ExplainRejected(t.Context(), rotator.Rotation{
			Current: value("app", "a"),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return value("boss", "canary-boss"), nil
			},
			ReadPrevious: func(context.Context) (secret.Document, error) {
				return value("app", "b").Set("host", host), nil
			},
		}, value("app", "a"))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q: %v", host, got, want, err)
		}
	}
}

// TestWhoExplainsARejectedLogin: the superuser of the secret or of the setting where the strategy acts through it, and
// never one who is a user that was rejected.
func TestWhoExplainsARejectedLogin(t *testing.T) {
	t.Parallel()
	db := explaining{&strategytest.Memory{}}
	db.Add(strategytest.Account{Name: "boss", Password: secret.NewPassword("canary-boss"), Superuser: true})
	silent := &strategytest.Memory{}
	document := func(user, masterarn string) secret.Document {
		d := secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username", user).
			SetPassword(secret.NewPassword("canary-" + user))
		if masterarn != "" {
			d = d.Set("masterarn", masterarn)
		}
		return d
	}
	byEngine := strategies.ByEngine{Engines: []strategies.Engine{db}, Allowed: []string{"memory"}}
	one := []string{"boss of [app] looked at app", "boss of [app] looked at app_clone"}
	pair := []string{"boss of [app app_clone] looked at app", "boss of [app app_clone] looked at app_clone"}
	for name, c := range map[string]struct {
		strategy  rotator.LoginExplainer
		masterarn string
		superuser string // in its secret
		want      []string
		err       string
	}{
		"single user":               {strategies.SingleUser{Engine: db}, bossARN, "boss", one, ""},
		"single user, no superuser": {strategies.SingleUser{Engine: db}, "", "boss", nil, ""},
		"single user does not act through": {strategies.SingleUser{Engine: db, SuperuserSecretARN: bossARN}, "",
			"boss", nil, ""},
		"through a superuser": {strategies.SingleUser{Engine: db, ThroughSuperuser: true,
			SuperuserSecretARN: bossARN}, "", "boss", one, ""},
		"alternating users": {strategies.AlternatingUsers{Engine: db}, bossARN, "boss", pair, ""},
		"alternating users, by setting": {strategies.AlternatingUsers{Engine: db, SuperuserSecretARN: bossARN}, "",
			"boss", pair, ""},
		"dual passwords":        {strategies.DualPasswords{Engine: db}, bossARN, "boss", one, ""},
		"by engine":             {byEngine, bossARN, "boss", one, ""},
		"an engine that cannot": {strategies.SingleUser{Engine: silent}, bossARN, "boss", nil, ""},
		"the superuser is a user of it": {strategies.AlternatingUsers{Engine: db}, bossARN, "app_clone", nil,
			"app_clone"},
		"the superuser is rejected too": {strategies.AlternatingUsers{Engine: db}, bossARN, "stale", nil,
			"superuser secret " + bossARN},
		"a secret of another kind": {strategies.AlternatingUsers{Engine: db},
			"arn:aws:rds:eu-central-1:123456789012:db:app", "boss", nil, "masterarn"},
	} {
		r := rotator.Rotation{
			Current: document("app", c.masterarn),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return document(c.superuser, ""), nil
			},
		}
		values := []secret.Document{r.Current, document("app_clone", c.masterarn)}
		causes, err := c.strategy.ExplainRejected(t.Context(), r, values...)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: error %v, want %q", name, err, c.err)
			}
			continue
		}
		var got []string
		for _, cause := range causes {
			got = append(got, cause.Text)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q: %v", name, got, c.want, err)
		}
		want := []rotator.Fix{{Run: "WHY app app_clone"}}
		if name == "an engine that cannot" {
			want = nil
		}
		if got := c.strategy.Inquiry(append(values, secret.Document{})...); !slices.Equal(got, want) {
			t.Errorf("%s asks %q, want %q", name, got, want)
		}
		if got := c.strategy.Inquiry(); got != nil {
			t.Errorf("%s asks about no user: %q", name, got)
		}
	}
	for _, e := range []strategies.Engine{postgres.Engine{}, mysql.Engine{}, mysql.MariaDB{}, valkey.Engine{}} {
		s := strategies.SingleUser{Engine: e}
		if all := s.Inquiry(document("app", "")); len(all) == 0 || all[0].Run == "" || all[0].Note == "" {
			t.Errorf("%s has no query that shows why a login is rejected", e.Traits().Name)
		}
		_, err := s.ExplainRejected(t.Context(), rotator.Rotation{
			Current: document("app", bossARN).Set("engine", e.Traits().Engines[0]),
			ReadSecret: func(context.Context, string) (secret.Document, error) {
				return document("app", "").Set("engine", e.Traits().Engines[0]), nil
			},
		}, document("app", bossARN).Set("engine", e.Traits().Engines[0]))
		if !errors.Is(err, rotator.KindNotEntitled) {
			t.Errorf("%s: a superuser that is the user itself: %v", e.Traits().Name, err)
		}
	}
	r := rotator.Rotation{Current: document("app", bossARN)}
	if _, err := (strategies.SingleUser{Engine: db}).ExplainRejected(t.Context(), r, secret.Document{}); !errors.Is(err,
		rotator.KindMisconfigured) {
		t.Errorf("a value without a user: %v", err)
	}
	if _, err := byEngine.ExplainRejected(t.Context(),
		rotator.Rotation{Current: document("app", "").Set("engine", "other")}); err == nil {
		t.Error("an engine that is not there is asked")
	}
}

// looking is a Memory that notes of which pair it is asked to look at the clone.
type looking struct {
	*strategytest.Memory
	at *[]strategies.Pair
}

func (l looking) TestClone(_ context.Context, _ strategies.Login, pair strategies.Pair) error {
	*l.at = append(*l.at, pair)
	return rotator.KindPrivilege
}

// TestWhoseCloneIsLookedAt: that of a pair which the strategy keeps alike, while clients are on it.
func TestWhoseCloneIsLookedAt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user, other string
		rotateOnly  bool
		looks       bool
	}{
		"the clone is in use":        {"app_clone", "", false, true},
		"the original is in use":     {"app", "", false, false},
		"only passwords are rotated": {"app_clone", "", true, false},
		"a pair by its names":        {"app_clone", "app", false, false},
	} {
		db := looking{&strategytest.Memory{}, new([]strategies.Pair)}
		value := secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username", c.user).
			SetPassword(secret.NewPassword("canary-" + c.user))
		if c.other != "" {
			value = value.Set("alternateUsername", c.other)
		}
		_, err := strategies.AlternatingUsers{Engine: db, RotateOnly: c.rotateOnly}.TestUse(t.Context(), rotator.Rotation{Current: value})
		if (len(*db.at) == 1) != c.looks || errors.Is(err, rotator.KindPrivilege) != c.looks {
			t.Errorf("%s: looked at %v: %v", name, *db.at, err)
		}
		if c.looks && ((*db.at)[0].Original != "app" || (*db.at)[0].Clone != "app_clone") {
			t.Errorf("%s: %+v", name, (*db.at)[0])
		}
	}
}

// behind is a Memory that is read-only, and in which the user of a rejected login has another name.
type behind struct{ explaining }

func (behind) TestUse(context.Context, strategies.Login) (rotator.Sentence, error) {
	return rotator.Sentence{}, rotator.KindReadOnly
}

func (behind) Explain(_ context.Context, _ strategies.Login, rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	fix := rotator.Fix{Run: "RENAME USER app_former TO app"}
	return slices.Repeat([]rotator.RejectionCause{{Blocked: true, Text: "it was renamed", Remedy: fix.Run,
		Fixes: []rotator.Fix{fix}}}, len(rejected)), nil
}

// TestNoAccountOfAReplicaIsMended: a superuser may change accounts of a server that is read-only, and would change them
// there alone. What is printed is what makes it, or another, the server to change.
func TestNoAccountOfAReplicaIsMended(t *testing.T) {
	t.Parallel()
	value := func(user string) secret.Document {
		return secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username", user).
			SetPassword(secret.NewPassword("canary-" + user))
	}
	r := rotator.Rotation{Current: value("app"), ReadSecret: func(context.Context, string) (secret.Document, error) {
		return value("boss"), nil
	}}
	causes, err := strategies.AlternatingUsers{Engine: behind{explaining{&strategytest.Memory{}}}, SuperuserSecretARN: "boss"}.
		ExplainRejected(t.Context(), r, value("app"), value("app_clone"))
	if !errors.Is(err, rotator.KindReadOnly) || len(causes) != 2 {
		t.Fatalf("%+v, %v", causes, err)
	}
	for _, cause := range causes {
		if cause.Fixes != nil || cause.Remedy != "" || cause.Text != "it was renamed" {
			t.Errorf("%+v", cause)
		}
	}
	// Where no source has its users, what mends them there is all that helps.
	own := ownUsers{behind{explaining{&strategytest.Memory{}}}}
	causes, err = strategies.AlternatingUsers{Engine: own, SuperuserSecretARN: "boss"}.
		ExplainRejected(t.Context(), r, value("app"), value("app_clone"))
	if err != nil || len(causes) != 2 || len(causes[0].Fixes) != 1 || causes[1].Remedy == "" {
		t.Errorf("%+v, %v", causes, err)
	}
}

// ownUsers is behind of an engine whose servers each have users of their own.
type ownUsers struct{ behind }

func (ownUsers) Traits() strategies.Traits {
	t := (&strategytest.Memory{}).Traits()
	t.Keys = []strategies.Key{{Name: "nodes", Server: true}}
	return t
}

// comparing is a Memory whose users may do nothing, and whose superuser says what they lack.
type comparing struct {
	*strategytest.Memory
	lacks rotator.Sentence
}

func (comparing) TestUse(context.Context, strategies.Login) (rotator.Sentence, error) {
	return rotator.Sentence{Text: "nothing"}, nil
}

func (c comparing) TestPair(_ context.Context, superuser strategies.Login, pair strategies.Pair) (rotator.Sentence, string, error) {
	if superuser.User != "boss" || pair.InUse() != "app" {
		return rotator.Sentence{}, "", errors.New("another superuser, or another pair")
	}
	return c.lacks, "", nil
}

// TestASuperuserComparesAPair where a remark is all that the user in use can be told of itself. What it lacks is a
// finding; that the superuser cannot be asked is none.
func TestASuperuserComparesAPair(t *testing.T) {
	t.Parallel()
	value := func(user string) secret.Document {
		return secret.Document{}.Set("engine", "memory").Set("host", strategytest.MemoryHost).Set("username", user).
			SetPassword(secret.NewPassword("canary-" + user))
	}
	lacks := rotator.Sentencef("it lacks %s", rotator.Fix{Run: "GRANT"})
	for name, c := range map[string]struct {
		lacks  rotator.Sentence
		boss   error
		remark string
		fixes  int
	}{
		"it lacks something":         {lacks, nil, "", 1},
		"it lacks nothing":           {rotator.Sentence{}, nil, "nothing", 0},
		"the superuser is not there": {lacks, rotator.KindPrivilege, "nothing; the superuser could not be asked: ", 0},
	} {
		r := rotator.Rotation{Current: value("app"), ReadSecret: func(context.Context, string) (secret.Document, error) {
			return value("boss"), c.boss
		}}
		db := comparing{&strategytest.Memory{}, c.lacks}
		remark, err := strategies.AlternatingUsers{Engine: db, SuperuserSecretARN: "boss"}.TestUse(t.Context(), r)
		if !strings.HasPrefix(remark.Text, c.remark) || (remark.Text == "") != (c.remark == "") ||
			errors.Is(err, rotator.KindPrivilege) != (c.fixes > 0) || len(rotator.FixesOf(err)) != c.fixes {
			t.Errorf("%s: %q, %v", name, remark, err)
		}
	}
}

package prove

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// State is how the accounts of a server, and the values of a secret, can stand when a
// rotation begins. From each, the rotation is refused before anything is written, or it
// keeps every promise: which of the two is for the server to say, by the census and the
// logins that rotationtest.Attempt makes.
type State struct {
	Name     string
	Strategy string
	Rotation rotationtest.NewFixture
	// GoesOn says that the rotation must not be refused: nothing is wrong with the state.
	GoesOn bool
	// Fault names a promise that is known to be broken from here, or from states like it.
	Fault string
}

// Try says what is wrong with what comes of a state.
func (s State) Try(ctx context.Context) (refused, wrong error) {
	refused, wrong = rotationtest.Attempt(ctx, s.Rotation)
	switch {
	case wrong == nil && refused != nil && s.GoesOn:
		wrong = fmt.Errorf("refused, though nothing is wrong: %w", refused)
	}
	if wrong != nil {
		wrong = fmt.Errorf("%s: %s: %w", s.Strategy, s.Name, wrong)
	}
	return refused, wrong
}

// StatesResult is what came of the states of a server.
type StatesResult struct {
	Engine                          string
	States, Rotated, Refused, Wrong int
	Known                           map[string]int // of states that are wrong by a known fault
	Took                            time.Duration
}

// TryStates tries all of some states, one after another.
func TryStates(ctx context.Context, engine string, states []State, tell func(failure string)) StatesResult {
	r := StatesResult{Engine: engine, Known: map[string]int{}}
	begin := time.Now()
	for _, s := range states {
		refused, wrong := s.Try(ctx)
		if ctx.Err() != nil {
			break
		}
		r.States++
		switch {
		case wrong != nil && s.Fault != "":
			r.Known[s.Fault]++
		case wrong != nil:
			r.Wrong++
			tell(engine + ", " + wrong.Error())
		case refused != nil:
			r.Refused++
		default:
			r.Rotated++
		}
	}
	r.Took = time.Since(begin)
	return r
}

// Mended lists the faults that no state of all comes to: their marks are to be deleted.
func Mended(all []State, results ...StatesResult) []string {
	var mended []string
	for _, s := range all {
		if s.Fault == "" || slices.Contains(mended, s.Fault) {
			continue
		}
		if !slices.ContainsFunc(results, func(r StatesResult) bool { return r.Known[s.Fault] > 0 }) {
			mended = append(mended, s.Fault)
		}
	}
	return mended
}

// Failed says whether a state was wrong, or none tried.
func (r StatesResult) Failed() bool { return r.Wrong > 0 || r.States == 0 || r.Rotated == 0 }

// WriteStates prints the table.
func WriteStates(w io.Writer, results []StatesResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "engine\tstates\trotated\trefused\tknown faults\twrong\ttook\t")
	for _, r := range results {
		known := 0
		for _, n := range r.Known {
			known += n
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.Engine, r.States, r.Rotated, r.Refused, known, r.Wrong,
			r.Took.Round(time.Second))
	}
	return t.Flush()
}

// SampleStates takes n of some states, by a seed that can be given again.
func SampleStates(all []State, n int, seed uint64) []State {
	if n <= 0 || n >= len(all) {
		return all
	}
	some := make([]State, n)
	for i, j := range rand.New(rand.NewPCG(seed, seed)).Perm(len(all))[:n] {
		some[i] = all[j]
	}
	return some
}

// cast is the accounts of a state, under names that no other state has.
type cast struct {
	id                                    string
	app, clone, boss, other, group, table string
	password                              map[string]string
}

// pairState is what the states of pairs have in common on every server.
type pairState struct {
	second   string // what the second account is
	evidence evidence
	actor    string
	original string // what the original may do; "itself": it is the superuser of the secret
	back     bool   // the clone is in use
	named    bool   // the secret has alternateUsername
	victim   bool   // the original belongs to another secret
	hosts    bool   // the original's name stands for three accounts
}

func (s pairState) name() string {
	name := s.second
	if s.named {
		name += ", named by alternateUsername"
	}
	if s.back {
		name += ", in use"
	}
	if s.hosts {
		name += ", of an original on three hosts"
	}
	if s.original != "" {
		name += ", of an original with " + s.original
	}
	if s.victim {
		name += " that has another secret"
	}
	return name + "; " + s.evidence.name + "; through " + s.actor
}

func (s pairState) cast() cast { return newCast(s.named, s.original == itself) }

// itself is the superuser of a secret that is the secret's own user.
const itself = "itself"

// newCast makes names and passwords. boss: the secret's user is its superuser.
func newCast(named, boss bool) cast {
	id := strings.ToLower(crand.Text()[:10])
	c := cast{id: id, app: "app_" + id, clone: "app_" + id + "_clone", boss: "boss_" + id, other: "other_" + id,
		group: "group_" + id, table: "table_" + id, password: map[string]string{}}
	if named {
		c.clone = "second_" + id
	}
	if boss {
		c.boss = c.app
	}
	for _, user := range []string{c.app, c.clone, c.boss, c.other} {
		c.password[user] = "Canary-1" + crand.Text()
	}
	return c
}

// fill puts the names of a state into statements, and the clone's password.
func (c cast) fill(statements []string) []string {
	names := strings.NewReplacer("<clone>", c.clone, "<app>", c.app, "<boss>", c.boss, "<other>", c.other, "<group>",
		c.group, "<table>", c.table,
		"<password>", c.password[c.clone], "<app's password>", c.password[c.app])
	filled := make([]string, len(statements))
	for i, s := range statements {
		filled[i] = names.Replace(s)
	}
	return filled
}

// evidence is what a secret and the superuser secret say of the pair.
type evidence struct {
	name string
	// previous and pending are which password of the other account is stored under the
	// label: "right", "stale"; "": none.
	previous, pending string
	rotates           func(c cast) []string // of the superuser secret; nil: absent
	consents          bool                  // rotates names the pair
	pairsOnly         bool                  // for pairs that a rotation made
	other             bool                  // tried when the original is in use, and not named, alone
}

func evidences() []evidence {
	return []evidence{
		{name: "nothing"},
		{name: "AWSPREVIOUS works", previous: "right"},
		{name: "AWSPREVIOUS is stale", previous: "stale"},
		{name: "rotates names the pair", rotates: func(c cast) []string {
			return []string{c.app + "/" + c.clone}
		}, consents: true},
		{name: "rotates has a pattern", other: true, rotates: func(c cast) []string {
			return []string{"nobody/else", c.app + "*"}
		}, consents: true},
		{name: "rotates names another pair", other: true, rotates: func(c cast) []string {
			return []string{c.other + "/" + c.clone, c.other + "*"}
		}},
		{name: "AWSPREVIOUS works, and rotates names the pair", other: true, previous: "right",
			rotates: func(c cast) []string { return []string{c.app + "/" + c.clone} }, consents: true},
		{name: "AWSPENDING is stored and not set", previous: "right", pending: "stale", pairsOnly: true},
		{name: "AWSPENDING is stored and set", pending: "right", pairsOnly: true},
	}
}

// solo is what the account of a secret can be that rotates alone.
type solo struct {
	name    string
	made    []string // what is done to it
	hosts   []string // that it has an account for, beside %
	goesOn  bool     // the rotation must be possible, by whatever works
	once    bool     // only with a secret that holds what was its password last: others cannot be tried
	expired bool     // it may do nothing until its password is changed
	strict  bool     // only PREFLIGHT=strict stops what cannot be seen
	twin    bool     // the account on another host belongs to another secret
	from    int      // major version; 0: any
	only    string   // family; "": both
	fault   string   // see State; where a superuser makes the change
}

// values are which passwords of the account a secret holds: "right", "stale"; "": none.
type values struct{ name, current, previous, pending string }

func allValues() []values {
	return []values{
		{name: "AWSCURRENT works", current: "right"},
		{name: "AWSPREVIOUS is stale", current: "right", previous: "stale"},
		{name: "AWSPENDING is stored and not set", current: "right", pending: "stale"},
		{name: "AWSPENDING is stored and set", current: "stale", pending: "right"},
		{name: "AWSPREVIOUS alone works", current: "stale", previous: "right"},
		{name: "nothing works", current: "stale", previous: "stale"},
	}
}

// soloState is one of the generated ones.
type soloState struct {
	solo
	values values
	mode   Mode
	actor  string // "": the account changes itself
}

// soloStates are generated: each account, with each set of values, by each mode, and where that needs a superuser,
// through some in turn, through one with no more rights than anyone, and through the account itself.
func soloStates(modes []Mode, solos []solo, actors []string, without string) []soloState {
	var all []soloState
	for i, a := range solos {
		for j, v := range allValues() {
			for _, m := range modes {
				s := soloState{solo: a, values: v, mode: m}
				switch {
				case m.Name == alternating, a.once && v.name != "AWSCURRENT works":
				case m.Name != throughSuperuser:
					all = append(all, s)
				default:
					s.actor = actors[(i+j)%len(actors)]
					all = append(all, s)
					if j == 0 {
						for _, s.actor = range []string{without, itself} {
							all = append(all, s)
						}
					}
				}
			}
		}
	}
	return all
}

func (s soloState) state(e strategies.CloningEngine,
	fixture func(ctx context.Context, c cast) (rotationtest.Fixture, error)) State {
	name := s.solo.name + "; " + s.values.name
	if s.actor != "" {
		name += "; through " + s.actor
	}
	able := s.actor == "" || s.actor != itself && !strings.HasSuffix(s.actor, "without more")
	fault := ""
	if able && s.actor != "" && s.actor != "a superuser" {
		fault = s.fault
	}
	return State{Name: name, Strategy: s.mode.Name, Fault: fault, GoesOn: s.goesOn && able &&
		s.values.name != "nothing works", Rotation: func(ctx context.Context) (rotationtest.Fixture, error) {
		f, err := fixture(ctx, newCast(false, false))
		if err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
		f.Strategy, f.KeepsCurrent = s.mode.Strategy(e), s.mode.KeepsCurrent && s.values.current == "right"
		if s.expired {
			f.Rights = nil
		}
		if s.strict {
			f.Preflight = rotator.PreflightStrict
		}
		return f, nil
	}}
}

// scene is the secrets of the state.
func (s soloState) scene(c cast) scene {
	if s.actor == itself {
		c.boss = c.app
	}
	return scene{cast: c, alone: true, twin: s.twin, stale: s.values.current == "stale",
		evidence: evidence{previous: s.values.previous, pending: s.values.pending}}
}

// administrative are those rights that no superuser secret can give away.
func administrative(rights []string) []string {
	return slices.DeleteFunc(slices.Clone(rights), func(s string) bool {
		what, _, onObject := strings.Cut(s, " ON ")
		return strings.HasPrefix(s, "object ") || strings.HasPrefix(s, "role ") ||
			onObject && !slices.Contains([]string{"ALL PRIVILEGES", "CREATE USER", "SUPER", "SYSTEM_USER",
				"ROLE_ADMIN"}, what)
	})
}

// scene is the secrets of a state.
type scene struct {
	cast
	evidence         evidence
	back, named      bool
	alone            bool           // there is no second account
	twin             bool           // the account of the same name on another host belongs to another secret
	stale            bool           // AWSCURRENT is
	victim, stranger bool           // the original, the other account belongs to another secret
	base             map[string]any // which server it is
}

func (s scene) fixture() (f rotationtest.Fixture, err error) {
	value := func(user, password string, more map[string]any) secret.Document {
		m := map[string]any{"username": user, "password": password}
		for _, from := range []map[string]any{s.base, more} {
			for k, v := range from {
				m[k] = v
			}
		}
		text, failed := json.Marshal(m)
		if failed != nil {
			err = failed
			return secret.Document{}
		}
		d, failed := secret.ParseDocument(string(text))
		if failed != nil {
			err = failed
		}
		return d
	}
	inUse, next := s.app, s.clone
	if s.back {
		inUse, next = s.clone, s.app
	}
	if s.alone {
		next = inUse
	}
	of := func(user, password, alternate string) secret.Document {
		more := map[string]any{"masterarn": superuserARN}
		if s.named {
			more["alternateUsername"] = alternate
		}
		return value(user, password, more)
	}
	labelled := func(kind string) secret.Document {
		switch kind {
		case "right":
			return of(next, s.password[next], inUse)
		case "stale":
			return of(next, "Canary-1"+crand.Text(), inUse)
		}
		return secret.Document{}
	}
	consent := map[string]any{}
	if s.evidence.rotates != nil {
		consent["rotates"] = s.evidence.rotates(s.cast)
	}
	superuser := value(s.boss, s.password[s.boss], consent)
	f.Others = map[string]secret.Document{s.other: value(s.other, s.password[s.other], nil)}
	if s.twin {
		f.Others[s.app+" on another host"] = value(s.app, s.password[s.clone], nil)
	}
	// Where the superuser secret names the pair, its owner has given it away; and where
	// this secret holds a password that works, the account is no other secret's alone.
	if !s.evidence.consents && s.evidence.previous != "right" && s.evidence.pending != "right" {
		if !s.back && s.stranger {
			f.Others[s.clone] = value(s.clone, s.password[s.clone], nil)
		}
		if s.back && s.victim && s.app != s.boss {
			f.Others[s.app] = value(s.app, s.password[s.app], nil)
		}
	}
	f.Current, f.Previous, f.Pending = of(inUse, s.password[inUse], next), labelled(s.evidence.previous),
		labelled(s.evidence.pending)
	f.KeepsCurrent = true
	if s.stale {
		f.Current = labelled("stale")
	}
	f.Related = related(superuser)
	return f, err
}

package prove

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// State is how the accounts of a server, and the values of a secret, can stand when a
// rotation begins. From each, the rotation is refused before anything is written, or it
// keeps every promise: which of the two is for the server to say, by the census and the
// logins that strategytest.Attempt makes.
type State struct {
	Name     string
	Strategy string
	Rotation strategytest.NewRotation
	// GoesOn says that the rotation must not be refused: nothing is wrong with the state.
	GoesOn bool
	// Fault names a promise that is known to be broken from here, or from states like it.
	Fault string
}

// Try says what is wrong with what comes of a state.
func (s State) Try(ctx context.Context) (refused, wrong error) {
	refused, wrong = strategytest.Attempt(ctx, s.Rotation)
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
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.Engine, r.States, r.Rotated, r.Refused, known, r.Wrong, r.Took.Round(time.Second))
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
	app, clone, boss, other, group, table string
	password                              map[string]string
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
		{name: "rotates names the pair", rotates: func(c cast) []string { return []string{c.app + "/" + c.clone} }, consents: true},
		{name: "rotates has a pattern", other: true, rotates: func(c cast) []string { return []string{"nobody/else", c.app + "*"} }, consents: true},
		{name: "rotates names another pair", other: true, rotates: func(c cast) []string { return []string{c.other + "/" + c.clone, c.other + "*"} }},
		{name: "AWSPREVIOUS works, and rotates names the pair", other: true, previous: "right", rotates: func(c cast) []string { return []string{c.app + "/" + c.clone} }, consents: true},
		{name: "AWSPENDING is stored and not set", previous: "right", pending: "stale", pairsOnly: true},
		{name: "AWSPENDING is stored and set", pending: "right", pairsOnly: true},
	}
}

// administrative are those rights that no superuser secret can give away.
func administrative(rights []string) []string {
	return slices.DeleteFunc(slices.Clone(rights), func(s string) bool {
		what, _, onObject := strings.Cut(s, " ON ")
		return strings.HasPrefix(s, "object ") || strings.HasPrefix(s, "role ") ||
			onObject && !slices.Contains([]string{"ALL PRIVILEGES", "CREATE USER", "SUPER", "SYSTEM_USER", "ROLE_ADMIN"}, what)
	})
}

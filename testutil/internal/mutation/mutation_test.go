package mutation

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestMutants makes mutants of one small package, of each sort that it has a place for, and
// turns some on: those that its tests notice, and those that change nothing.
func TestMutants(t *testing.T) {
	tier.Long(t)
	b, err := New(t.Context(), "../../..", t.TempDir(), []string{"rotator/secret"}, []string{"rotator/secret"})
	if err != nil {
		t.Fatal(err)
	}
	operators := map[string]bool{}
	for _, m := range b.Mutants {
		name, _, _ := strings.Cut(m.Operator, " ")
		operators[name] = true
		if m.File == "" || m.Line == 0 || m.Func == "" || m.Code == "" {
			t.Errorf("%+v", m)
		}
	}
	for _, want := range []string{"condition", "operand", "boundary", "!", "statement", "field", "error", "loop"} {
		if !operators[want] {
			t.Errorf("no mutant of the sort %q", want)
		}
	}
	reached, err := b.Reached(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sample := b.Sample(20, 1)
	if again := b.Sample(20, 1); !slices.Equal(sample, again) {
		t.Error("a seed draws another sample the second time")
	}
	seen := 0
	fates := b.Try(t.Context(), sample, reached, 2, time.Minute, func(Fate) { seen++ })
	if seen != len(sample) {
		t.Errorf("%d fates of %d", seen, len(sample))
	}
	var out bytes.Buffer
	score, err := Write(&out, fates)
	if err != nil || score.Tried != 20 || score.Killed < 10 {
		t.Errorf("%+v, %v\n%s", score, err, &out)
	}
	t.Logf("\n%s", &out)
}

// Each line says why.
func TestAccepted(t *testing.T) {
	text, err := os.ReadFile("accepted.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		class, _, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(line, "#") && (class != "equivalent" && class != "text" || !strings.Contains(line, " # ")) {
			t.Errorf("want a class, a key and a reason: %s", line)
		}
	}
}

func TestScore(t *testing.T) {
	fates := []Fate{
		{Mutant: Mutant{Package: "a"}, Killed: "a"}, {Mutant: Mutant{Package: "a"}, Killed: "b"}, {Mutant: Mutant{Package: "a"}, Killed: "b"},
		{Mutant: Mutant{Package: "b", File: "b/f.go", Line: 7, Func: "g", Operator: "error is nil", Code: "err"}},
		{Mutant: Mutant{Package: "b"}, Class: "equivalent"}, {Mutant: Mutant{Package: "b"}, Class: "text"},
	}
	var out bytes.Buffer
	s, err := Write(&out, fates)
	if err != nil || s != (Score{Tried: 6, Killed: 3, Survived: 1, Equivalent: 1, Text: 1}) || s.Percent() != 75 {
		t.Errorf("%+v, %v %%, %v", s, s.Percent(), err)
	}
	if want := "survived: b/f.go:7: g: error is nil: err\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s does not end in %s", &out, want)
	}
}

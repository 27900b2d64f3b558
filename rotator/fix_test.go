package rotator_test

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestWhatIsRunIsWhatTheSentenceSays, in its order, whatever a user is called.
func TestWhatIsRunIsWhatTheSentenceSays(t *testing.T) {
	const name = `"x"": GRANT ALL TO mallory; "`
	unlock := rotator.NewFix(rotator.BySuperuser, "ALTER ROLE "+name+" LOGIN -- a note")
	grants := rotator.RunEach(rotator.NewFix(rotator.BySuperuser, "GRANT a TO b"),
		rotator.NewFix(rotator.BySuperuser, "GRANT c TO d"))
	s := rotator.Sentencef("user %s: %s, or %s (%d)", name, unlock, grants, 1)
	if s.String() != "user "+name+": ALTER ROLE "+name+" LOGIN, or GRANT a TO b; GRANT c TO d (1)" {
		t.Error(s)
	}
	if !slices.Equal(s.Fixes, append([]rotator.Fix{unlock}, grants.Fixes...)) || s.Fixes[0].Note != "a note" {
		t.Errorf("%+v", s.Fixes)
	}
}

// TestANameEndsNoStatement: a statement that was cut in a name would have what follows in it run, once another line that
// has the name is pasted behind it.
func TestANameEndsNoStatement(t *testing.T) {
	for _, name := range []string{"app", "; ALTER ROLE eve SUPERUSER; -- x", `a"b`, "it's -- ", "` -- `", `" -- "`, "' -- '"} {
		for quote, statement := range map[string]string{`"`: "ALTER ROLE %s LOGIN", "`": "ALTER USER %s@`%%` ACCOUNT UNLOCK",
			"'": "SELECT 1 FROM users WHERE name IN (%s)"} {
			quoted := quote + strings.ReplaceAll(name, quote, quote+quote) + quote
			run := fmt.Sprintf(statement, quoted)
			for _, note := range []string{"", "if there is none: CREATE ROLE " + quoted + " -- and it's done"} {
				if f := rotator.NewFix(rotator.BySuperuser, run+strings.Repeat(" -- ", min(1, len(note)))+note); f.Run != run || f.Note != note {
					t.Errorf("%s: %q, and %q", name, f.Run, f.Note)
				}
			}
		}
	}
}

// TestAVersionIDEndsNoCommand: the writer of a secret chooses the id of a version, of 32 to 64 characters, and a person runs what
// a diagnosis prints.
func TestAVersionIDEndsNoCommand(t *testing.T) {
	const id = "'; echo forged; $(echo forged) `echo forged` #"
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p1\nstate")
	s.rotator.Store = renamed{s.rotator.Store, awsemu.VersionID(2), id}
	d, err := s.ask("status", "")
	if err != nil || d.Action != rotator.ActionDiscard {
		t.Fatalf("%+v, %v", d, err)
	}
	_, ids, _ := strings.Cut(d.Commands[0], " --remove-from-version-id ")
	if got, err := exec.Command("sh", "-c", "printf %s "+ids).Output(); string(got) != id || err != nil {
		t.Errorf("%s: a shell makes %q of it, %v", d.Commands[0], got, err)
	}
	for word, want := range map[string]string{"": "''", testWord: testWord, "a!b": "'a!b'"} {
		if got := rotator.ShellWord(word); got != want {
			t.Errorf("%q: %s", word, got)
		}
	}
}

const testWord = "arn:aws:secretsmanager:eu-west-1:1:secret:a/_+=.@-Z9"

// renamed is a Store of which one version has another id.
type renamed struct {
	rotator.Store
	real, id string
}

func (r renamed) Describe(ctx context.Context, secretID string) (rotator.Metadata, error) {
	m, err := r.Store.Describe(ctx, secretID)
	m.Labels = maps.Clone(m.Labels)
	m.Labels[r.id] = m.Labels[r.real]
	delete(m.Labels, r.real)
	return m, err
}

func (r renamed) Value(ctx context.Context, secretID string, v rotator.VersionRef) (rotator.SecretValue, error) {
	if v.ID == r.id {
		v.ID = r.real
	}
	return r.Store.Value(ctx, secretID, v)
}

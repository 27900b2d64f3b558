package contract

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestEmulator holds the emulator to every row.
func TestEmulator(t *testing.T) {
	e, err := OpenEmulator()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	results, err := Run(context.Background(), Table(), e.Endpoint)
	if err != nil {
		t.Error(err)
	}
	for _, r := range results {
		t.Run(r.Row.ID, func(t *testing.T) {
			if r.NotTried != "" {
				t.Errorf("not tried: %s", r.NotTried)
			}
			if r.Difference != "" {
				t.Errorf("%s (%s)\nwant %s\ngot  %s\nsource: %s", r.Row.Does, r.Row.State, r.Row.Want, r.Difference,
					r.Row.Source)
			}
		})
	}
}

// TestASlowAnswer: a function that answers long after the labels have moved is still rotating, and a second rotation
// waits for it.
func TestASlowAnswer(t *testing.T) {
	e, err := OpenEmulator(func(emu *awsemu.Emulator) {
		invoke := emu.Invoke
		emu.Invoke = func(ctx context.Context, function string, event []byte) (awsemu.Response, error) {
			out, err := invoke(ctx, function, event)
			if bytes.Contains(event, []byte("finishSecret")) {
				wait(ctx, 700*time.Millisecond)
			}
			return out, err
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rows := slices.DeleteFunc(Table(), func(r Row) bool { return r.ID != "RO-013" })
	results, err := Run(t.Context(), rows, e.Endpoint)
	if err != nil || len(results) != 1 || results[0].Difference != "" {
		t.Errorf("%v, %v", results, err)
	}
}

// TestTable holds the table to what it promises: ids that stay, sources, and how many rows count.
func TestTable(t *testing.T) {
	rows := Table()
	seen := map[string]bool{}
	id := regexp.MustCompile(`^[A-Z]{2}-\d{3}$`)
	for _, r := range rows {
		if seen[r.ID] || !id.MatchString(r.ID) {
			t.Errorf("id %q is not new, or not two letters and three digits", r.ID)
		}
		seen[r.ID] = true
		if r.Does == "" || r.Do == nil || r.Source == "" {
			t.Errorf("%s lacks what is done, how, or a source", r.ID)
		}
		if (r.State == Believed) != strings.HasPrefix(r.Source, noSource) && r.State != Believed {
			t.Errorf("%s is %s and has no source", r.ID, r.State)
		}
	}
	if n := len(rows); n < 120 {
		t.Errorf("%d rows, at least 120 are promised", n)
	}
	if n := Count(rows, Recorded) + Count(rows, Documented); n < 80 {
		t.Errorf("%d rows are recorded or documented, at least 80 are promised", n)
	}
}

// TestSecretsManagerPermissionsAlone: the rows that need nothing beside secrets hold for a caller who may use Secrets
// Manager and nothing else, and so they do on AWS; those that need more say why they are not tried.
func TestSecretsManagerPermissionsAlone(t *testing.T) {
	e, err := OpenEmulator(func(emu *awsemu.Emulator) {
		emu.Callers[0].Identity = []iam.NamedPolicy{document("secrets", Allow("secretsmanager:*"))}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	account := &Account{Config: e.Config}
	at := Endpoint{Name: "secrets alone", Config: e.Config, Supply: account, Has: account.Has()}
	rows := slices.DeleteFunc(Table(), func(r Row) bool { return r.Needs&(NeedFunction|NeedRole|NeedLambda) != 0 })
	results, err := Run(t.Context(), rows, at)
	if err != nil {
		t.Error(err)
	}
	tried := 0
	for _, r := range results {
		switch {
		case r.Row.Needs == 0 && (r.NotTried != "" || r.Difference != ""):
			t.Errorf("%s (%s): %s%s", r.Row.ID, r.Row.Does, r.NotTried, r.Difference)
		case r.Row.Needs == 0:
			tried++
		case r.Difference != "":
			t.Errorf("%s needs %s, and is said to differ: %s", r.Row.ID, r.Row.Needs, r.Difference)
		}
	}
	if t.Logf("%d of %d rows", tried, len(Table())); tried < 100 {
		t.Errorf("%d rows need secrets alone", tried)
	}
}

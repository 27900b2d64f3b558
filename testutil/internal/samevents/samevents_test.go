package samevents_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/samevents"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

const root = "../../.."

// TestEachEventShowsWhatItSays, by the real binary on a real server; and what must
// not change does not.
func TestEachEventShowsWhatItSays(t *testing.T) {
	tier.Test(t)
	const function = "postgres-single-user"
	built, err := localaws.Build(t.Context(), t.TempDir(), function)
	if err != nil {
		t.Fatal(err)
	}
	db := dbserver.NewPostgres(t, dbserver.Options{})
	var out lambdahost.Output
	s, err := localaws.Start(localaws.Config{Functions: []localaws.Function{{Name: function,
		Bootstrap: built[function]}}, Output: &out})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := samevents.Set(t.Context(), s.AWS, db, db.Host, s.Functions[function].ARN()); err != nil {
		t.Fatal(err)
	}
	for _, scene := range samevents.Scenes() {
		t.Run(scene.Event, func(t *testing.T) {
			event, err := os.ReadFile(filepath.Join(root, "sam", "events", scene.Event+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var e struct{ Step, SecretID, RotationToken string }
			if err := json.Unmarshal(event, &e); err != nil || e.SecretID != scene.Secret() {
				t.Fatalf("the event is about %s, not about its own secret: %v", e.SecretID, err)
			}
			before := s.AWS.Snapshot(e.SecretID)
			out.Reset()
			r, err := s.Functions[function].Invoke(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			said := string(r.Payload)
			if scene.Fails {
				said = r.ErrorMessage
			}
			if scene.Fails != (r.FunctionError != "") || !strings.Contains(said, scene.Says) {
				t.Errorf("failed is %t, and it says %s; want %t and %q", r.FunctionError != "", said, scene.Fails,
					scene.Says)
			}
			after := s.AWS.Snapshot(e.SecretID)
			changed := !before.Equal(after)
			switch scene.Event {
			case "createSecret", "rotation-token":
				if after.Holder("AWSPENDING").Value.Empty() {
					t.Error("the pending version is empty")
				}
				if e.RotationToken != "" && strings.Contains(out.String(), e.RotationToken) {
					t.Error("the token is in the log")
				}
			case "finishSecret", "recover":
				if after.Holder("AWSCURRENT").ID != awsemu.VersionID(2) {
					t.Error("AWSCURRENT has not moved")
				}
			default:
				if changed {
					t.Errorf("the secret has changed: %v", before.Diff(after))
				}
			}
			// Whoever is AWSCURRENT can log in, but from setSecret to finishSecret, where it cannot.
			current := after.Holder("AWSCURRENT")
			if e.Step == "status" || e.Step == "setSecret" && !scene.Fails || e.Step == "testSecret" &&
				!after.Holder("AWSPENDING").Value.Empty() {
				if pending := after.Holder("AWSPENDING"); !pending.Value.Empty() {
					current = pending
				}
			}
			var c struct{ Username, Password string }
			if err := json.Unmarshal(current.Value.Reveal(), &c); err != nil {
				t.Fatal(err)
			}
			conn, err := db.Connect(t.Context(), c.Username, c.Password, "postgres")
			if err == nil {
				conn.Close(t.Context())
			}
			if (err == nil) != (scene.Event != "preflight-wrong-password") {
				t.Errorf("the login of %s: accepted is %t", c.Username, err == nil)
			}
		})
	}
}

// TestEachFileIsAScene, and the page about them has them all.
func TestEachFileIsAScene(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(root, "sam", "events", "*.json"))
	known := map[string]bool{}
	for _, scene := range samevents.Scenes() {
		known[scene.Event] = true
		if !strings.Contains(string(page), "| `"+scene.Event+"` | "+scene.Shows+" |") {
			t.Errorf("docs/deploy.md: no line | `%s` | %s |", scene.Event, scene.Shows)
		}
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if !known[name] {
			t.Errorf("sam/events/%s.json has no scene", name)
		}
	}
	if len(files) != len(known) {
		t.Errorf("%d files, %d scenes", len(files), len(known))
	}
}

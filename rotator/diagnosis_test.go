package rotator

import (
	"fmt"
	"strings"
	"testing"
)

// TestLabelMeaning: a version under two labels means another thing than under either.
func TestLabelMeaning(t *testing.T) {
	seen := map[string]string{}
	for _, labels := range []string{"AWSCURRENT AWSPENDING", "AWSCURRENT", "AWSPENDING AWSPREVIOUS", "AWSPENDING", "AWSPREVIOUS"} {
		meaning := labelMeaning(strings.Fields(labels))
		if other, ok := seen[meaning]; ok || meaning == "" {
			t.Errorf("%s and %s: %q", labels, other, meaning)
		}
		if current := strings.Contains(meaning, "the value clients read") && !strings.Contains(meaning, "before"); current !=
			strings.Contains(labels, LabelCurrent) {
			t.Errorf("%s: %q", labels, meaning)
		}
		if left := strings.Contains(meaning, "next rotation"); left != strings.Contains(labels, " ") {
			t.Errorf("%s: %q", labels, meaning)
		}
		if incomplete := strings.Contains(meaning, "incomplete"); incomplete != strings.HasPrefix(labels, LabelPending) {
			t.Errorf("%s: %q", labels, meaning)
		}
		seen[meaning] = labels
	}
}

// TestLabelsAfter: what a diagnosis says behind a move is how the service leaves the labels: AWSPREVIOUS follows AWSCURRENT, and
// others stay. What was read before the move is not changed.
func TestLabelsAfter(t *testing.T) {
	before := func() map[string][]string {
		return map[string][]string{"v1": {"mine", LabelPrevious}, "v2": {LabelCurrent, "mine2"}, "v3": {LabelPending}}
	}
	for move, want := range map[LabelMove]map[string][]string{
		{LabelCurrent, "v2", "v3"}:  {"v1": {"mine"}, "v2": {LabelPrevious, "mine2"}, "v3": {LabelCurrent, LabelPending}},
		{LabelCurrent, "v2", "v1"}:  {"v1": {LabelCurrent, "mine"}, "v2": {LabelPrevious, "mine2"}, "v3": {LabelPending}},
		{LabelPending, "v3", ""}:    {"v1": {LabelPrevious, "mine"}, "v2": {LabelCurrent, "mine2"}, "v3": {}},
		{LabelPending, "v3", "new"}: {"v1": {LabelPrevious, "mine"}, "v2": {LabelCurrent, "mine2"}, "v3": {}, "new": {LabelPending}},
	} {
		m := Metadata{Labels: before()}
		if got := move.labelsAfter(m); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: %v; want %v", move, got, want)
		}
		if fmt.Sprint(m.Labels) != fmt.Sprint(before()) {
			t.Errorf("%+v changed what was read before: %v", move, m.Labels)
		}
	}
}

// TestTheWriterOfTheSecretChoseTheNames: what changes something in the database is asked about, once, and what only
// looks, or is run in a shell, is not.
func TestTheWriterOfTheSecretChoseTheNames(t *testing.T) {
	asked := Runners{}.named([]Fix{
		{By: ByShell, Run: "aws secretsmanager list-secrets"},
		{By: ByAdministrator, Run: "SELECT 1"},
		{By: ByAdministrator, Run: "DROP ROLE x", For: toFindTheCause},
		{By: ByAdministrator, Run: "ACL LIST", Turn: TurnFirst},
		{By: ByAdministrator, Run: "FLUSH PRIVILEGES"},
		{By: ByAdministrator, Run: "SET GLOBAL general_log = 0"},
		{By: BySuperuser, Run: `ALTER ROLE "dba" LOGIN`},
		{By: BySuperuser, Run: "SELECTED"},
	})
	for i, f := range asked {
		if strings.Contains(f.Who, "having made sure whose") != (i == 6) {
			t.Errorf("%s: %s", f.Run, f.Who)
		}
	}
}

// TestWhatIsRunBeforeARotationStandsBeforeItsCommand: after that, its condition does not hold any more.
func TestWhatIsRunBeforeARotationStandsBeforeItsCommand(t *testing.T) {
	d := Diagnosis{Action: ActionRetry, Commands: []string{"aws secretsmanager rotate-secret"}, Fixes: []Fix{
		{By: ByAdministrator, For: "to look", Run: "SELECT 1"},
		{By: ByAdministrator, For: BeforeRotating + "in every database", Run: "REASSIGN"}}}
	for _, text := range []string{d.Text(), d.Markdown()} {
		reassign, command, look := strings.Index(text, "REASSIGN"), strings.Index(text, "rotate-secret"),
			strings.Index(text, "SELECT 1")
		if reassign < 0 || reassign > command || command > look || strings.Count(text, "REASSIGN") != 1 {
			t.Errorf("in another order: %s", text)
		}
	}
}

package rotator

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestNewFinding: an outage is never a denial, and what helps is beside what is wrong.
func TestNewFinding(t *testing.T) {
	for kind, want := range map[Kind]Status{
		KindAccessDenied: StatusDenied, KindPrivilege: StatusDenied, KindNotEntitled: StatusDenied,
		KindThrottled: StatusUnknown, KindDeadline: StatusUnknown, KindInternal: StatusUnknown,
		KindLoginRejected: StatusFailed, KindUnreachable: StatusFailed, KindMisconfigured: StatusFailed, KindNotFound: StatusFailed,
	} {
		err := blockedError{fmt.Errorf("asked: %w", kind), "add this"}
		got := NewFinding("S1", "asking", err)
		if got.ID != "S1" || got.Check != "asking" || got.Status != want || got.Kind != kind || got.Detail != err.Error() ||
			got.Hint != "add this" || got.otherEngine {
			t.Errorf("%s: %+v; want %s", kind, got, want)
		}
	}
	if got := NewFinding("S1", "asking", nil); got.Status != StatusPassed || got.Kind != "" || got.Detail != "" {
		t.Errorf("no error: %+v", got)
	}
	if got := NewFinding("S1", "asking", fmt.Errorf("%w: %w", KindMisconfigured, ErrOtherEngine)); !got.otherEngine {
		t.Errorf("another engine: %+v", got)
	}
}

// TestErrOfAReport: every finding that blocks is named, and the first says the kind and what helps.
func TestErrOfAReport(t *testing.T) {
	unknown := Finding{ID: "S8", Status: StatusUnknown}
	denied := Finding{ID: "S7", Check: "asking", Status: StatusDenied, Kind: KindAccessDenied, Detail: "because", Hint: "add this"}
	failed := Finding{ID: "P2", Status: StatusFailed, Kind: KindLoginRejected, Hint: "another"}
	for name, c := range map[string]struct {
		strict   bool
		findings []Finding
		want     Kind // "": none
		hint     string
		says     []string
	}{
		"nothing blocks":    {false, []Finding{unknown}, "", "", nil},
		"one does":          {false, []Finding{unknown, denied}, KindAccessDenied, "add this", []string{"1 of 2 checks blocks", "[S7 denied] asking: because"}},
		"two do":            {false, []Finding{failed, denied}, KindLoginRejected, "another", []string{"2 of 2 checks block ", "[S7 denied]", "[P2 failed]"}},
		"one has no kind":   {true, []Finding{unknown, denied}, KindMisconfigured, "", []string{"2 of 2 checks block ", "[S8 unknown]", "[S7 denied]"}},
		"none, if strictly": {true, []Finding{{Status: StatusUnknown, Deferred: true}}, "", "", nil},
	} {
		err := Report{Strict: c.strict, Findings: c.findings}.Err()
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, c.want) || knownHint(err) != c.hint {
			t.Errorf("%s: %v, hint %q; want %s, %q", name, err, knownHint(err), c.want, c.hint)
		}
		for _, text := range append(c.says, nothingChanged) {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v; want %q in it", name, err, text)
			}
		}
	}
}

// TestAnswersShowAll: whatever a report or a diagnosis holds is in its text and in its Markdown, where a cell of a table stays
// one, and what it does not hold is not spoken of.
func TestAnswersShowAll(t *testing.T) {
	const line = "a|b\\|c\nd"
	full := Report{SecretID: "app-secret", OtherFunction: "is for another", Findings: []Finding{
		{ID: "S7", Check: "putting" + line, Status: StatusInferred, Detail: "a detail" + line, PolicyAnalysis: []string{"a policy", "another policy"}},
		{ID: "S8", Status: StatusUnknown}, {ID: "S9", Status: StatusDenied}, {ID: "P1", Status: StatusPassed}}}
	current := VersionStatus{VersionID: "v1", Labels: []string{LabelCurrent, `mine|\| works`}, LabelMeaning: "a meaning", State: CredentialOtherTarget, Detail: "a detail" + line}
	diagnosis := Diagnosis{SecretID: "app-secret", Rotation: "on", Versions: []VersionStatus{current,
		{VersionID: `v2|\|x`, Labels: []string{LabelPending}, State: CredentialWorks},
		{VersionID: "v3", Labels: []string{LabelPrevious}, State: CredentialRejected}},
		MovedLabel: "moved it", UndoCommand: "undo it", Action: ActionFinish, Reason: "a reason", Commands: []string{"command 1", "command 2"},
		Fixes: []Fix{{By: ByAdministrator, For: toFindTheCause, Run: "SELECT host", Note: "a note"}, {PasswordOf: LabelCurrent, Run: "ALTER USER 'PASSWORD'"}}, RecoverEvent: "an event"}
	for name, c := range map[string]struct {
		answer      Response
		says, never []string
	}{
		"a report": {full, []string{"app-secret", "is for another. 1 of 4 checks blocks the rotation, 1 unknown", "S7", "putting",
			"inferred", "a detail", "a policy", "another policy", "S8", "unknown", "S9", "denied", "P1", "passed",
			"a call designed to fail"}, nil},
		"a report of little": {Report{Findings: []Finding{{ID: "P1", Status: StatusPassed}}},
			[]string{"1 checks, none blocks a rotation"}, []string{"a call designed to fail", "unknown", ". 1"}},
		"a diagnosis": {diagnosis, []string{"app-secret", `AWSCURRENT+mine|\| works is for another target`, "AWSPENDING works, AWSPREVIOUS is " +
			"rejected, rotation is on", "v1", "v2", "v3", "a meaning", "a detail", "moved it", "ndo", "undo it",
			"finish", "a reason", "command 1", "command 2", "to find the cause first, in the database, as an administrator", "SELECT host", "a note", "in AWSCURRENT in place of PASSWORD", "ALTER USER", "or let the function", "an event"}, nil},
		"a diagnosis of another's": {Diagnosis{OtherFunction: "is for another", Rotation: "on", Versions: []VersionStatus{{}}},
			[]string{": is for another\n"}, []string{"rotation is on"}},
		"a diagnosis of little": {Diagnosis{Rotation: "off", Versions: []VersionStatus{{State: CredentialMissing}}},
			[]string{"is missing, rotation is off"}, []string{"ndo", "to fix it", "to find the cause", "or let the function"}},
	} {
		for form, text := range map[string]string{"text": c.answer.Text(), "Markdown": c.answer.Markdown()} {
			for _, want := range c.says {
				if !strings.Contains(text, want) && !strings.Contains(text, strings.ToUpper(want[:1])+want[1:]) {
					t.Errorf("%s as %s does not say %q:\n%s", name, form, want, text)
				}
			}
			for _, never := range c.never {
				if strings.Contains(strings.ToLower(text), never) {
					t.Errorf("%s as %s says %q:\n%s", name, form, never, text)
				}
			}
		}
		escaped := regexp.MustCompile(`\\.`)
		for row := range strings.Lines(c.answer.Markdown()) {
			if n := strings.Count(escaped.ReplaceAllString(row, ""), "|"); strings.HasPrefix(row, "|") && n != 5 {
				t.Errorf("%s: a row of %d bars, not 5: %s", name, n, row)
			}
		}
	}
}

// TestFormats: an answer is data, or one string.
func TestFormats(t *testing.T) {
	for format, begins := range map[string]string{"": `{"Verdict":`, formatJSON: `{"Verdict":`, formatText: `"preflight of `,
		formatMarkdown: `"Preflight of ` + "`"} {
		text, err := json.Marshal(Report{format: format})
		if err != nil || !strings.HasPrefix(string(text), begins) {
			t.Errorf("format %q: %.60s, %v; want %s", format, text, err, begins)
		}
	}
}

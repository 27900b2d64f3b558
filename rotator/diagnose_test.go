package rotator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// ask sends an event as people do.
func (s *story) ask(step, action string) (*rotator.Diagnosis, error) {
	payload, _ := json.Marshal(map[string]string{"Step": step, "SecretId": s.arn, "Action": action})
	return s.send(payload)
}

func (s *story) send(payload []byte) (*rotator.Diagnosis, error) {
	answer, err := s.rotator.HandleJSON(s.t.Context(), payload)
	d, _ := answer.(*rotator.Diagnosis)
	return d, err
}

// follow does what the diagnosis says until a rotation is all that is left to do,
// and gives the last diagnosis.
func (s *story) follow() *rotator.Diagnosis {
	s.t.Helper()
	var event string // that tests another version first
	var recovered *rotator.Diagnosis
	for range 6 {
		s.aws.ResetCalls()
		before, journal := s.aws.Snapshot(s.arn), len(s.db.Journal())
		d, err := s.ask("status", "")
		if event != "" {
			journal = len(s.db.Journal())
			s.aws.ResetCalls()
			d, err = s.send([]byte(event))
		}
		if err != nil {
			s.t.Fatalf("status: %v", err)
		}
		if all, inARow := rejections(s.db.Journal()[journal:]); inARow > 1 && s.db.LockAfter > 0 {
			s.t.Errorf("status: %d rejected logins, %d in a row: %v", all, inARow, s.db.Journal()[journal:])
		}
		if diff := before.Diff(s.aws.Snapshot(s.arn)); len(diff) > 0 {
			s.t.Fatalf("status changed the secret: %v", diff)
		}
		// Before it recommends to go on with a rotation it rehearses that, as a preflight
		// does: as AWSCURRENT, and as a superuser if there is one.
		visits, calls := 3, 4
		if slices.ContainsFunc(s.db.Journal()[journal:], func(entry string) bool { return strings.HasPrefix(entry, "rehearse ") }) {
			visits, calls = visits+4, calls+1
		}
		if s.rotator.FunctionARN != nil { // and it probes the permissions of the function
			calls += 2
		}
		if n := len(s.db.Journal()) - journal; n > visits {
			s.t.Errorf("status: %d visits of the database: %v", n, s.db.Journal()[journal:])
		}
		if n := len(s.aws.Calls()); n > calls {
			s.t.Errorf("status: %d calls", n)
		}
		worked, asked := s.works("AWSCURRENT"), event
		if event == "" {
			s.agrees(recovered, d)
		}
		event, recovered = "", nil
		switch d.Action {
		case rotator.ActionInvestigate:
			if event = d.RecoverEvent; event == "" || event == asked {
				return d
			}
		case rotator.ActionFinish, rotator.ActionRollBack, rotator.ActionDiscard:
			recovered, err = s.ask("recover", string(d.Action))
		case rotator.ActionCancel:
			_, err = s.sdk.CancelRotateSecret(s.t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &s.arn})
		default:
			return d
		}
		if err != nil {
			s.t.Fatalf("%s: %v", d.Action, err)
		}
		if worked && !s.works("AWSCURRENT") {
			s.t.Errorf("%s took a working AWSCURRENT away", d.Action)
		}
	}
	s.t.Fatal("no way out after six actions")
	return nil
}

// agrees says that the answer to a recover recommends what a status right after it does. Where rejected logins count, a
// status may test another version.
func (s *story) agrees(recovered, status *rotator.Diagnosis) {
	s.t.Helper()
	if recovered == nil || s.db.LockAfter > 0 {
		return
	}
	if recovered.Action != status.Action || recovered.Reason != status.Reason ||
		!slices.Equal(recovered.Commands, status.Commands) {
		s.t.Errorf("recover says %s: %s\nstatus says %s: %s", recovered.Action, recovered.Reason, status.Action,
			status.Reason)
	}
}

// TestRecoverTriesWhatComesNext: what a recover leaves to be done is tried, as by status, so that no rotation is begun
// that cannot succeed.
func TestRecoverTriesWhatComesNext(t *testing.T) {
	s := newStory(t)
	s.run("strategy alternating\naccount boss/ps superuser\nsuperuser boss/stale\naccount app/p1\naccount app_clone/p2 clone\n" +
		"version AWSPREVIOUS app/p1\nversion AWSCURRENT app_clone/p9\nversion AWSPENDING empty\nstate")
	recovered, err := s.ask("recover", "rollback")
	if err != nil || recovered.Action != rotator.ActionInvestigate {
		t.Fatalf("%v: %s", err, recovered.Text())
	}
	status, err := s.ask("status", "")
	if err != nil {
		t.Fatal(err)
	}
	s.agrees(recovered, status)
}

// TestRecoverAgreesWithStatus in worlds: it refuses each action but the one that status recommends, and names that
// one, whichever version it has to test first.
func TestRecoverAgreesWithStatus(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{"single", "alternating"} {
		all := worlds(strategy)
		for i := 0; i < len(all); i += tier.Stride(t, 12, 36) {
			s := newStory(t)
			s.run(all[i] + "state")
			status, err := s.ask("status", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, action := range []rotator.Action{rotator.ActionFinish, rotator.ActionDiscard, rotator.ActionRollBack} {
				if action == status.Action {
					continue
				}
				if _, err := s.ask("recover", string(action)); rotator.KindOf(err) != rotator.KindConflict ||
					!strings.Contains(err.Error(), "status recommends "+string(status.Action)) {
					t.Fatalf("status recommends %s, and recover %s: %v\n%s", status.Action, action, err, all[i])
				}
			}
		}
	}
}

// TestEveryStuckStateIsResolved in worlds: every arrangement of labels and values,
// whatever the database accepts. Where something stored works and is for this
// account and place, following the diagnosis ends with an AWSCURRENT that works, and
// a plain rotation then succeeds. Where nothing does, nothing is changed.
// Under the race detector it tries every tenth of fourteen hundred worlds, each of several steps over HTTP: all of
// them take more than twenty seconds there.
func TestEveryStuckStateIsResolved(t *testing.T) {
	for _, strategy := range []string{"single", "alternating"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			resolved, tried := 0, 0
			all := worlds(strategy)
			for i := 0; i < len(all); i += tier.Stride(t, 1, 10) {
				script := all[i]
				tried++
				switch i % 7 {
				case 0: // where rejected logins count, too
					resolve(t, "locks 50\n"+script)
				case 3: // on Lambda, too; of these every third, for the time that it takes
					if i%3 > 0 {
						break
					}
					resolve(t, "invoked arn:aws:lambda:us-east-1:123456789012:function:rotate\n"+script)
				}
				if resolve(t, script) {
					resolved++
				}
			}
			t.Logf("%d of %d worlds, %d of them resolved", tried, len(all), resolved)
			if resolved < tried/5 || resolved == tried {
				t.Error("that is not what this test is about")
			}
		})
	}
}

// worlds are scripts that set the scene.
func worlds(strategy string) []string {
	const elsewhere = " host=other.example.com"
	other := map[bool]string{true: "app_clone", false: "app"}[strategy == "alternating"]
	values := []struct{ current, previous string }{
		{"app/p1", "none"}, {"app/p1", other + "/p0"},
		{"app/p1 colour=red", "app/p1"},
		{"app/pw", "none"}, {"app/pw", other + "/p0"}, {"app/pw", "app/p1"},
		{"text not JSON", "none"}, {"text not JSON", other + "/p0"},
		{"app/p1" + elsewhere, "app/p1"},
	}
	pendings := []string{"none", "same", "previous", "empty", other + "/p2", other + "/p2" + elsewhere, "nobody/p2",
		"binary", other + "/p2 colour=blue"}
	var all []string
	add := func(current, pending, previous, accepts, rotation string) {
		lines := []string{"strategy " + strategy, "account boss/ps superuser", "superuser boss/ps", "secret rotation=" +
			rotation, "account " + other + "/" + accepts + " clone"}
		if strategy == "alternating" { // whose other user is as it was, or nothing is
			lines = append(lines, "account app/"+map[bool]string{true: "px", false: "p1"}[accepts == "px"])
		}
		if previous != "none" {
			lines = append(lines, "version AWSPREVIOUS"+map[string]string{"previous": ",AWSPENDING"}[pending]+" "+
				previous)
		}
		lines = append(lines, "version AWSCURRENT"+map[string]string{"same": ",AWSPENDING"}[pending]+" "+current)
		if pending != "none" && pending != "same" && pending != "previous" {
			lines = append(lines, "version AWSPENDING "+pending)
		}
		all = append(all, strings.Join(lines, "\n")+"\n")
	}
	for _, v := range values {
		for _, pending := range pendings {
			if pending == "previous" && v.previous == "none" {
				continue
			}
			for _, accepts := range []string{"p0", "p1", "p2", "px"} {
				for _, rotation := range []string{"on", "off"} {
					add(v.current, pending, v.previous, accepts, rotation)
				}
			}
			add(v.current, pending, v.previous, "p1", "never")
		}
	}
	return all
}

// resolve follows the diagnosis in one world, and rotates.
func resolve(t *testing.T, script string) (resolved bool) {
	s := newStory(t)
	defer s.end()
	defer func() {
		if t.Failed() {
			t.Logf("in this world:\n%s", script)
			t.FailNow()
		}
	}()
	s.run(script + "state")
	before := s.aws.Snapshot(s.arn)
	d := s.follow()
	switch d.Action {
	case rotator.ActionNone, rotator.ActionRetry:
	default:
		// Whatever works must be for another place.
		if diff := before.Diff(s.aws.Snapshot(s.arn)); len(diff) > 0 {
			t.Errorf("%s, and the secret has changed: %v", d.Action, diff)
		}
		if d.Action == rotator.ActionInvestigate && !strings.Contains(script, "host=") && !strings.Contains(script,
			"locks") {
			t.Errorf("waits for a database that is there: %+v", d)
		}
		for _, label := range []string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"} {
			if s.works(label) && !strings.Contains(script, "host=") && !strings.Contains(script, "text ") &&
				!strings.Contains(script, "binary") {
				t.Errorf("%s works, and there is only to %s", label, d.Action)
			}
		}
		return false
	}
	s.goesOn(d)
	return true
}

// goesOn says that AWSCURRENT works, and that a plain rotation goes through.
func (s *story) goesOn(d *rotator.Diagnosis) {
	s.t.Helper()
	if !s.works("AWSCURRENT") {
		s.t.Errorf("nothing more to do, and AWSCURRENT does not work")
	}
	_, err := s.sdk.RotateSecret(s.t.Context(), &secretsmanager.RotateSecretInput{SecretId: &s.arn})
	if (err != nil) != (d.Action == rotator.ActionRetry) {
		s.t.Errorf("%s, and the service answered %v", d.Action, err)
	}
	if r, err := s.aws.WaitRotation(s.t.Context(), s.arn); err != nil || r.Outcome != "RotationSucceeded" ||
		!s.works("AWSCURRENT") {
		s.t.Errorf("a rotation then ends with %s: %s", r.Outcome, r.Message)
	}
}

// TestEveryCutIsRecovered: the function is gone before or after each of its calls and
// each of the database's operations, for good; rotation is cancelled or is not.
// Whatever is left, following the diagnosis ends well. Under the race detector it tries every fifth place.
func TestEveryCutIsRecovered(t *testing.T) {
	actions, stride := map[rotator.Action]int{}, tier.Stride(t, 1, 5)
	for _, strategy := range []string{"single", "superuser", "alternating"} {
		for _, cancelled := range []bool{false, true} {
			for _, where := range []string{"before call", "after call", "before operation", "after operation"} {
				for n := 1; ; n += stride {
					s := newStory(t)
					s.run("strategy " + strategy + "\naccount boss/ps superuser\nsuperuser boss/ps\naccount " +
						"app/p1\nversion AWSCURRENT app/p1\nstate")
					if !s.cut(where, n) { // there was no n-th
						s.end()
						break
					}
					if cancelled {
						if _, err := s.sdk.CancelRotateSecret(t.Context(),
							&secretsmanager.CancelRotateSecretInput{SecretId: &s.arn}); err != nil {
							t.Fatal(err)
						}
					}
					d := s.follow()
					actions[d.Action]++
					s.goesOn(d)
					s.end()
					if t.Failed() {
						t.Fatalf("%s, cut %s %d, cancelled: %v", strategy, where, n, cancelled)
					}
				}
			}
		}
	}
	t.Logf("after all that there was to recover: %v", actions)
	if actions[rotator.ActionNone] < 50/stride || actions[rotator.ActionRetry] < 20/stride {
		t.Errorf("too few cuts to be true: %v", actions)
	}
}

// cut has a rotation fail for good, from its n-th call or operation on.
func (s *story) cut(where string, n int) (failed bool) {
	side, what, _ := strings.Cut(where, " ")
	calls, operations := 0, 0
	gone := func(count *int, of string) bool {
		if what == of {
			*count++
		}
		return what == of && *count >= n
	}
	s.aws.Attempts = 1
	s.aws.Fault = func(c awsemu.Call) awsemu.Fault {
		switch {
		case c.Phase == "" || !gone(&calls, "call"):
			return awsemu.Fault{}
		case calls == n && side == "after":
			return awsemu.Fault{LoseResponse: true}
		}
		return awsemu.Fault{ServerError: true}
	}
	fail := func(context.Context, string, string) error {
		if gone(&operations, "operation") {
			return fmt.Errorf("the function is gone: %w", rotator.KindUnreachable)
		}
		return nil
	}
	if side == "before" {
		s.db.Before = fail
	} else {
		s.db.After = fail
	}
	if _, err := s.sdk.RotateSecret(s.t.Context(), &secretsmanager.RotateSecretInput{SecretId: &s.arn}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.aws.WaitRotation(s.t.Context(), s.arn); err != nil {
		s.t.Fatal(err)
	}
	s.aws.Fault, s.db.Before, s.db.After = nil, nil, nil
	return max(calls, operations) >= n
}

// TestAPasswordThatIsToBeSet: where a line sets one, by which an account that could not be tested can be, the reason
// does not forbid that.
func TestAPasswordThatIsToBeSet(t *testing.T) {
	for line, forbidden := range map[string]bool{"ALTER USER `app`@`%` IDENTIFIED BY 'PASSWORD'": false, "SHOW ALL": true} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSCURRENT app/p1\nstate")
		s.db.Before = func(context.Context, string, string) error {
			return rotator.WithFix(fmt.Errorf("a proof that is not known: %w", rotator.KindMisconfigured), "",
				rotator.Fix{By: rotator.BySuperuser, Run: line})
		}
		d, err := s.ask("status", "")
		if err != nil || !strings.Contains(d.Text(), line) || !strings.Contains(d.Reason, "move no label but where its line says so") ||
			strings.Contains(d.Reason, "set no password") != forbidden {
			t.Errorf("%v: %s", err, d.Text())
		}
	}
}

// TestRecoverOnlyActsAsAsked: not without an action, not with another than the
// diagnosis comes to, and not when a label has moved since it was read.
func TestRecoverOnlyActsAsAsked(t *testing.T) {
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	before := s.aws.Snapshot(s.arn)
	if d, err := s.ask("recover", ""); err != nil || d.Action != rotator.ActionFinish || d.MovedLabel != "" {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, action := range []string{"discard", "rollback"} {
		if _, err := s.ask("recover", action); rotator.KindOf(err) != rotator.KindConflict ||
			!strings.Contains(err.Error(), "but status recommends finish") {
			t.Errorf("%s: %v", action, err)
		}
	}
	for _, action := range []string{"retry", "reset-password", "everything"} {
		if _, err := s.ask("recover", action); rotator.KindOf(err) != rotator.KindMisconfigured {
			t.Errorf("%s: %v", action, err)
		}
	}
	if _, err := s.ask("status", "finish"); rotator.KindOf(err) != rotator.KindMisconfigured {
		t.Errorf("a status with an action: %v", err)
	}
	if diff := before.Diff(s.aws.Snapshot(s.arn)); len(diff) > 0 {
		t.Errorf("it changed: %v", diff)
	}
	// Another process moves the label between the look and the move.
	s.aws.Observe = func(c awsemu.Call) {
		if c.Operation == "GetSecretValue" {
			s.aws.Observe = nil
			_, err := s.sdk.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &s.arn, VersionStage: aws.String("AWSPENDING"),
				RemoveFromVersionId: aws.String(awsemu.VersionID(2))})
			if err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := s.ask("recover", "finish"); rotator.KindOf(err) != rotator.KindConflict {
		t.Errorf("a label that moved in the meantime: %v", err)
	}
	if s.aws.Snapshot(s.arn).Holder("AWSCURRENT").ID != awsemu.VersionID(1) {
		t.Error("AWSCURRENT has moved")
	}
}

// TestNoSecretInAnyDiagnosis: as JSON, text or Markdown.
func TestNoSecretInAnyDiagnosis(t *testing.T) {
	s := newStory(t)
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate")
	s.rotator.Strategy = canary{func(r rotator.Rotation) error {
		return fmt.Errorf("%w: %s %s", rotator.KindLoginRejected, r.Pending.Password().Reveal(),
			r.Current.Password().Reveal())
	}}
	d, err := s.ask("status", "")
	if err != nil || d.Versions[0].State != rotator.CredentialRejected {
		t.Fatalf("%+v, %v", d, err)
	}
	text, _ := json.Marshal(d)
	for _, seen := range []string{string(text), d.Text(), d.Markdown()} {
		if strings.Contains(seen, "canary-") || !strings.Contains(seen, "not tested") {
			t.Errorf("a secret, or no diagnosis, is in %q", seen)
		}
	}
}

// atLogin is an error met on the way into the database.
type atLogin struct{ error }

func (atLogin) AtLogin()        {}
func (e atLogin) Unwrap() error { return e.error }

// TestWhatALoginMeans: each answer of a strategy, for AWSCURRENT and for a version that AWSCURRENT says the target of. Only what
// judges the value says anything about it.
func TestWhatALoginMeans(t *testing.T) {
	const works, rejected, blocked, invalid, unknown = rotator.CredentialWorks, rotator.CredentialRejected, rotator.CredentialBlocked,
		rotator.CredentialInvalid, rotator.CredentialUnknown
	for _, c := range []struct {
		err              error
		current, pending rotator.CredentialState
	}{
		{nil, works, works},
		{rotator.KindLoginRejected, rejected, rejected},
		{rotator.KindPrivilege, blocked, blocked},
		{rotator.KindMisconfigured, invalid, invalid},
		{atLogin{rotator.KindMisconfigured}, unknown, unknown},
		{rotator.KindConflict, unknown, rotator.CredentialOtherTarget}, // AWSCURRENT is what others are compared with
		{atLogin{rotator.KindConflict}, unknown, unknown},
		{acceptedFirst{atLogin{rotator.KindConflict}}, unknown, unknown}, // AWSCURRENT works
		{acceptedFirst{rotator.KindTooManyConnections}, unknown, unknown},
		{rotator.KindUnreachable, unknown, unknown},
		{rotator.KindTooManyConnections, unknown, unknown},
		{rotator.KindInternal, unknown, unknown},
	} {
		for label, want := range map[string]rotator.CredentialState{"AWSCURRENT": c.current, "AWSPENDING": c.pending} {
			s := newStory(t)
			s.run("version AWSCURRENT app/p1\nversion AWSPENDING other/p2\nstate")
			asked := 0
			s.rotator.Strategy = canary{func(r rotator.Rotation) error {
				if user := r.Pending.Text("username"); user == "" || (user == "app") != (label == "AWSCURRENT") {
					return nil
				}
				if asked++; label == "AWSCURRENT" && !r.Current.IsZero() {
					t.Error("AWSCURRENT is compared with itself")
				}
				return c.err
			}}
			d, err := s.ask("status", "")
			if err != nil {
				t.Fatal(err)
			}
			i := map[string]int{"AWSCURRENT": 0, "AWSPENDING": 1}[label]
			if got := d.Versions[i]; got.State != want || got.Kind != rotator.KindOf(c.err) || asked != 1 {
				t.Errorf("%s, answered %v: %+v, asked %d times; want %s", label, c.err, got, asked, want)
			}
			if label == "AWSPENDING" { // the order changes nothing
				first, err := s.rotator.Diagnose(t.Context(), s.arn, awsemu.VersionID(2))
				if err != nil || want != unknown && first.Action != d.Action || want == unknown && isAccepted(c.err) &&
					(first.Action != d.Action || first.Versions[1].State != want) {
					t.Errorf("AWSPENDING first, answered %v: %v, %s", c.err, err, first.Text())
				}
			}
		}
	}
}

func isAccepted(err error) bool { return errors.As(err, new(rotator.AcceptedPassword)) }

// TestWhatAStrategyNeedNotDo: without the optional abilities a diagnosis still ends, and recommends what is left.
func TestWhatAStrategyNeedNotDo(t *testing.T) {
	for name, c := range map[string]struct {
		versions string
		fail     func(rotator.Rotation) error
		want     rotator.Action
	}{
		"no rehearsal": {"version AWSCURRENT app/p1\nversion AWSPENDING empty", func(rotator.Rotation) error { return nil }, rotator.ActionRetry},
		"no statement": {"version AWSCURRENT app/p1", func(rotator.Rotation) error { return rotator.KindLoginRejected }, rotator.ActionResetPassword},
		"no proposal": {"version AWSCURRENT app/p1\nversion AWSPENDING other/p2 colour=blue", func(r rotator.Rotation) error {
			switch r.Pending.Text("username") {
			case "app":
				return nil
			case "other":
				return rotator.KindLoginRejected
			}
			return rotator.KindMisconfigured
		}, rotator.ActionRetry},
	} {
		s := newStory(t)
		s.run(c.versions + "\nstate")
		s.rotator.Strategy = canary{c.fail}
		if d, err := s.ask("status", ""); err != nil || d.Action != c.want ||
			slices.ContainsFunc(d.Fixes, func(f rotator.Fix) bool { return f.By != rotator.ByShell }) {
			t.Errorf("%s: %+v, %v; want %s", name, d, err, c.want)
		}
	}
}

// telling is a strategy that tells what it can.
type telling struct {
	canary
	made *[]string // what it proposed
}

func (s telling) Propose(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	*s.made = append(*s.made, fmt.Sprintf("canary-proposed-%d", len(*s.made)))
	return r.Current.SetPassword(secret.NewPassword((*s.made)[len(*s.made)-1])), nil
}

func (s telling) Preflight(context.Context, rotator.Rotation) []rotator.Finding {
	return []rotator.Finding{{Status: rotator.StatusFailed, Detail: "it would not take " + strings.Join(*s.made, " or ")}}
}

func (s telling) ResetStatement(d secret.Document) string {
	return "RESET " + d.Text("username") + " " + d.Text("colour")
}

// TestTheStatementForASuperuser is about AWSCURRENT, whose password clients have, and stands only where it is needed.
func TestTheStatementForASuperuser(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"nothing works":    {rotator.KindLoginRejected, "RESET app red"},
		"AWSCURRENT works": {nil, ""},
	} {
		s := newStory(t)
		s.run("version AWSPREVIOUS app/p0 colour=grey\nversion AWSCURRENT app/p1 colour=red\nversion AWSPENDING app/p1 colour=blue\nstate")
		s.rotator.Strategy = telling{canary{func(rotator.Rotation) error { return c.err }}, new([]string)}
		d, err := s.ask("status", "")
		if c.want != "" { // each may lock the account
			d, err = s.send([]byte(`{"Step":"status","SecretId":"app","ClientRequestToken":"` + awsemu.VersionID(1) + `"}`))
		}
		inDatabase := slices.DeleteFunc(d.Fixes, func(f rotator.Fix) bool { return f.By == rotator.ByShell })
		if err != nil || len(inDatabase) != min(1, len(c.want)) || c.want != "" && inDatabase[0].Run != c.want {
			t.Errorf("%s: %+v, %v; want the statement %q", name, d, err, c.want)
		}
	}
}

// TestNoProposalInAnyDiagnosis: what is proposed for a comparison only is a secret, too.
func TestNoProposalInAnyDiagnosis(t *testing.T) {
	s := newStory(t)
	s.run("version AWSCURRENT app/p1 colour=red\nversion AWSPENDING app/p2 colour=red\nstate")
	made, works := new([]string), secret.NewPassword(s.clear("p1"))
	s.rotator.Strategy = telling{canary{func(r rotator.Rotation) error {
		if r.Pending.Password().Equal(works) {
			return nil
		}
		return rotator.KindLoginRejected
	}}, made}
	d, err := s.ask("status", "")
	if err != nil || len(*made) == 0 || !strings.Contains(d.Text(), "it would not take ") || strings.Contains(d.Text(), "canary-") {
		t.Errorf("%d proposals, %v:\n%s", len(*made), err, d.Text())
	}
}

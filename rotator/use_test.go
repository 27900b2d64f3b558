package rotator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const remark = "some keys alone"

// tester is a strategy that finds something behind a login, and whose dry runs do not try everything.
type tester struct {
	rotator.Strategy
	found  error
	tested *int
	untold string // what its dry runs do not try of AWSCURRENT's value
	dryRun []rotator.Finding
	met    error // by an attempt, in what its dry runs do not try
}

func (s tester) Preflight(context.Context, rotator.Rotation) []rotator.Finding { return s.dryRun }

func (s tester) TestUse(_ context.Context, r rotator.Rotation) (rotator.Sentence, error) {
	*s.tested++
	if s.found == nil {
		return rotator.Sentencef("%s", rotator.Fix{For: "if they are to be all", Run: remark}), nil
	}
	return rotator.Sentence{}, fmt.Errorf("user %q: %w", r.Current.Text("username"), s.found)
}

func (s tester) NotInDryRun(_ context.Context, r rotator.Rotation) (string, error) {
	if r.Current.Password().Reveal() != "canary-p1-0123456789" || r.Pending.Password().Reveal() != "canary-p2-0123456789" {
		return "that is another value's", nil
	}
	return s.untold, s.met
}

// TestALoginIsNotAll: what a strategy finds behind the login of AWSCURRENT makes "none" and "retry" an "investigate"; that it found out nothing does not.
// It is asked for a status alone, and once. What ends what may be on purpose stands on a line where nothing else is to be
// done. Where a retry is recommended, what no dry run tries stands beside it.
func TestALoginIsNotAll(t *testing.T) {
	const saving = "saving is not tried"
	const alone, incomplete = "account app/p1\nversion AWSCURRENT app/p1\nstate", "account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate"
	for _, c := range []struct {
		story  string
		found  error
		want   rotator.Action
		says   string
		tested int
		untold string
	}{
		{alone, nil, rotator.ActionNone, "", 1, saving},
		{alone, rotator.KindPrivilege, rotator.ActionInvestigate, `user "app": insufficient privilege`, 1, saving},
		{alone, rotator.KindMisconfigured, rotator.ActionInvestigate, `user "app": misconfigured`, 1, saving},
		{alone, rotator.KindUnreachable, rotator.ActionInvestigate, `user "app": unreachable`, 1, saving},
		{alone, rotator.KindReadOnly, rotator.ActionInvestigate, `user "app": read only`, 1, saving},
		{alone, rotator.KindNotFound, rotator.ActionInvestigate, `user "app": not found`, 1, saving},
		{alone, rotator.KindTooManyConnections, rotator.ActionInvestigate, `user "app": too many connections`, 1, saving},
		{alone, rotator.KindInternal, rotator.ActionNone, "was not found out", 1, saving},
		{alone, rotator.KindDeadline, rotator.ActionNone, "was not found out", 1, saving},
		{alone, rotator.WithFix(rotator.KindDeadline, "", rotator.Fix{Run: "ALTER"}), rotator.ActionInvestigate, "ALTER", 1, saving},
		{incomplete, nil, rotator.ActionRetry, saving, 1, saving},
		{incomplete, nil, rotator.ActionRetry, "", 1, ""},
		{incomplete, rotator.KindPrivilege, rotator.ActionInvestigate, `user "app": insufficient privilege`, 1, saving},
		{"account app/p2\nversion AWSCURRENT app/p1\nstate", rotator.KindPrivilege, rotator.ActionResetPassword, "", 0, saving},
	} {
		s := newStory(t)
		s.run(c.story)
		tested := 0
		s.rotator.Strategy = tester{s.rotator.Strategy, c.found, &tested, c.untold, nil, nil}
		d, err := s.ask("status", "")
		if err != nil {
			t.Fatal(err)
		}
		if d.Action != c.want || !strings.Contains(d.Text(), c.says) || tested != c.tested ||
			strings.Contains(d.Text(), remark) != (c.found == nil) ||
			strings.Contains(d.Text(), "\n         "+remark+"\n") != (c.want == rotator.ActionNone && c.found == nil) ||
			strings.Contains(d.Text(), saving) != (c.want == rotator.ActionRetry && c.untold != "") ||
			strings.Contains(d.Text(), "another value's") || slices.ContainsFunc(d.Versions, func(v rotator.VersionStatus) bool {
			return strings.HasSuffix(v.Detail, " ") || strings.Contains(v.Detail, "; ;")
		}) {
			t.Errorf("found %v, tested %d times: %s", c.found, tested, d.Text())
		}
	}
	for story, says := range map[string]bool{
		"account boss/p1\nversion AWSCURRENT boss/p1\nversion AWSPREVIOUS app/p0\nstate": true,
		"account app/p1\nversion AWSCURRENT app/p1\nversion AWSPREVIOUS app/p0\nstate":   false,
	} {
		s, tested := newStory(t), 0
		s.run(story)
		s.rotator.Strategy = tester{s.rotator.Strategy, nil, &tested, "", nil, nil}
		d, err := s.ask("status", "")
		if err != nil {
			t.Fatal(err)
		}
		if d.Action != rotator.ActionNone || says != strings.Contains(d.Text(), `it is of user "boss", and AWSPREVIOUS of user "app"`) ||
			says != strings.Contains(d.Text(), "\n         aws secretsmanager update-secret-version-stage") {
			t.Errorf("%s: %s", story, d.Text())
		}
	}
	s := newStory(t)
	s.run(incomplete)
	s.rotator.Strategy = tester{s.rotator.Strategy, nil, new(int), saving, []rotator.Finding{{Status: rotator.StatusDenied}}, nil}
	if d, err := s.ask("status", ""); err != nil || d.Action != rotator.ActionInvestigate || strings.Contains(d.Text(), saving) {
		t.Errorf("a dry run that fails: %v, %v", d, err)
	}
	noSpace := rotator.WithFix(fmt.Errorf("%w: no space", rotator.KindMisconfigured), "", rotator.Fix{Run: "SAVE"})
	for want, met := range map[rotator.Action]error{rotator.ActionInvestigate: noSpace, rotator.ActionRetry: rotator.KindUnreachable} {
		s.rotator.Strategy = tester{s.rotator.Strategy.(tester).Strategy, nil, new(int), "", nil, met}
		d, err := s.ask("status", "")
		if err != nil || d.Action != want || !strings.Contains(d.Text(), met.Error()) {
			t.Errorf("an attempt met %v: %v, %s", met, err, d.Text())
		}
		var lines []string
		for _, fix := range d.Fixes {
			lines = append(lines, fix.Run)
		}
		if want == rotator.ActionInvestigate && (len(lines) != 2 || lines[0] != "SAVE" || !strings.Contains(lines[1], " rotate-secret ")) {
			t.Errorf("to be run: %q", lines)
		}
	}
	s = newStory(t) // setSecret has not run, which alone does what no dry run tries
	s.run("account app/p1\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\nstate")
	plain := s.rotator.Strategy
	for _, c := range []struct {
		dryRun []rotator.Finding
		want   rotator.Action
	}{{nil, rotator.ActionRetry}, {[]rotator.Finding{{Status: rotator.StatusDenied}}, rotator.ActionInvestigate}} {
		s.rotator.Strategy = tester{plain, nil, new(int), saving, c.dryRun, nil}
		if d, err := s.ask("status", ""); err != nil || d.Action != c.want || strings.Contains(d.Text(), saving) ||
			strings.Contains(d.Text(), "If the log has no error") != (c.want == rotator.ActionRetry) {
			t.Errorf("createSecret stored nothing: %v, %v", d.Text(), err)
		}
	}
	s = newStory(t)
	s.run("account app/p1\naccount app_clone/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p1\nstate")
	tested := 0
	s.rotator.Strategy = tester{s.rotator.Strategy, rotator.KindPrivilege, &tested, "", nil, nil}
	if d, err := s.ask("recover", "discard"); err != nil || tested != 1 || d.Action != rotator.ActionInvestigate {
		t.Errorf("a recover, which says what is left as status does: %v, tested %d times, %+v", err, tested, d)
	}
}

// seeing is a strategy whose superuser sees why a login is rejected.
type seeing struct{ rotator.Strategy }

func (seeing) Inquiry(...secret.Document) []rotator.Fix { return nil }

func (seeing) ExplainRejected(_ context.Context, _ rotator.Rotation, all ...secret.Document) ([]rotator.RejectionCause, error) {
	return []rotator.RejectionCause{{Text: all[0].Text("username") + " has expired", Blocked: true}}, nil
}

// TestAStatusAsksTheSuperuser, and its answer decides.
func TestAStatusAsksTheSuperuser(t *testing.T) {
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1\nstate")
	s.rotator.Strategy = seeing{s.rotator.Strategy}
	d, err := s.ask("status", "")
	if err != nil || d.Versions[0].State != rotator.CredentialBlocked || d.Action != rotator.ActionInvestigate ||
		!strings.Contains(d.Text(), "the superuser sees why: app has expired") {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestWhichSecretSetThePassword: where nothing works, the audit lines of its user are asked for, and no user's name ends
// the quotes that it stands in.
func TestWhichSecretSetThePassword(t *testing.T) {
	for user, want := range map[string]string{"app": `$.target.user = "app" }'`, "a'b": `$.target.user = "USER-NAME" }'`} {
		s := newStory(t)
		s.run("account " + user + "/p2\nversion AWSCURRENT " + user + "/p1\nstate")
		d, err := s.ask("status", "")
		if err != nil || d.Action != rotator.ActionResetPassword || !strings.Contains(d.Text(), want) {
			t.Errorf("%s: %v, %v", user, err, d.Text())
		}
		if !strings.Contains(d.Text(), "\n         aws secretsmanager describe-secret --secret-id OTHER-ARN\n") {
			t.Errorf("that secret may be gone: %s", d.Text())
		}
	}
}

// TestFinishAsksWhatNoDryRunTries: a password that works may not be saved, and a restart would undo it. While AWSCURRENT
// works too, no label moves before that is mended; where it does not, clients come first.
func TestFinishAsksWhatNoDryRunTries(t *testing.T) {
	noSpace := rotator.WithFix(fmt.Errorf("%w: no space", rotator.KindMisconfigured), "", rotator.Fix{Run: "SAVE",
		Turn: rotator.TurnLast})
	const both = "strategy alternating\naccount app/p1\naccount app_clone/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app_clone/p2\nstate"
	const one = "account app/p2\nversion AWSCURRENT app/p1\nversion AWSPENDING app/p2\nstate"
	for _, c := range []struct {
		story string
		met   error
		want  rotator.Action
		lines string
	}{
		{both, nil, rotator.ActionFinish, ""},
		{both, rotator.KindUnreachable, rotator.ActionFinish, ""},
		{both, noSpace, rotator.ActionInvestigate, "SAVE, aws secretsmanager rotate-secret --secret-id ARN"},
		{"secret rotation=off\n" + both, noSpace, rotator.ActionInvestigate, "SAVE, aws secretsmanager update-secret-version-stage"},
		{one, nil, rotator.ActionFinish, ""},
		{one, noSpace, rotator.ActionFinish, "SAVE"},
	} {
		s := newStory(t)
		s.run(c.story)
		s.rotator.Strategy = tester{s.rotator.Strategy, nil, new(int), "", nil, c.met}
		says := func(d *rotator.Diagnosis, want rotator.Action, lines string) {
			t.Helper()
			var all []string
			for _, fix := range d.Fixes {
				all = append(all, strings.ReplaceAll(fix.Run, s.arn, "ARN"))
			}
			if said := strings.Join(all, ", "); d.Action != want || !strings.HasPrefix(said, lines) || lines == "" && said != "" ||
				strings.Contains(d.Text(), "no space") != (lines != "") {
				t.Errorf("%s: met %v: %q: %s", c.story, c.met, said, d.Text())
			}
		}
		payload, _ := json.Marshal(map[string]string{"Step": "status", "SecretId": s.arn, "ClientRequestToken": s.version("v2")})
		d, err := s.send(payload)
		if err != nil {
			t.Fatal(err)
		}
		says(d, c.want, c.lines)
		d, err = s.ask("recover", "finish")
		if c.want == rotator.ActionInvestigate {
			if err == nil {
				t.Errorf("%s: recover moves the label: %s", c.story, d.Text())
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.lines != "" { // and what was to be done then is not forgotten
			says(d, rotator.ActionInvestigate, c.lines)
		}
	}
}

// TestAnotherUsersCredentials: where the credentials of another user were stored while a rotation was incomplete,
// AWSPENDING may be the only value that works for the secret's own. It keeps its label, and no rotation is started: that
// would be one of the other user. AWSCURRENT is sent back to what was seen to log in alone.
func TestAnotherUsersCredentials(t *testing.T) {
	const boss = "account boss/ps superuser\nsuperuser boss/ps\n"
	const stored = "version AWSPREVIOUS app/p1\nversion AWSCURRENT boss/ps\n"
	const pending = "version AWSPENDING app/p2\n"
	for name, c := range map[string]struct {
		story       string
		test        bool // a version first, as the event says
		want        rotator.Action
		back        int // to which version AWSCURRENT goes; 0: to none
		says, never string
		strategy    string
	}{
		"AWSPENDING is set":                 {story: boss + "account app/p2\n" + stored + pending, want: rotator.ActionInvestigate, back: 3, says: "move the label to AWSPENDING"},
		"AWSPENDING is set, off":            {story: boss + "account app/p2\nsecret rotation=off\n" + stored + pending, want: rotator.ActionInvestigate, back: 3},
		"AWSPENDING is set, by a superuser": {story: "strategy superuser\n" + boss + "account app/p2\n" + stored + pending, want: rotator.ActionInvestigate, back: 3},
		"AWSPENDING is not set":             {story: boss + "account app/p1\n" + stored + pending, want: rotator.ActionInvestigate, back: 1, says: "move the label back"},
		"one login at a time":               {story: "locks 3\n" + boss + "account app/p1\n" + stored + pending, want: rotator.ActionInvestigate, says: "AWSPREVIOUS was not tested"},
		"one login at a time, the other":    {story: "locks 3\n" + boss + "account app/p1\n" + stored + pending, test: true, want: rotator.ActionInvestigate, back: 1},
		"neither is set":                    {story: boss + "account app/p3\n" + stored + pending, want: rotator.ActionInvestigate, says: "list-secret-version-ids"},
		"one is locked":                     {story: boss + "account app/p2 locked\n" + stored + pending, want: rotator.ActionInvestigate},
		"another server":                    {story: boss + "account app/p2\nversion AWSPREVIOUS app/p1 host=far\nversion AWSCURRENT boss/ps\nversion AWSPENDING app/p2 host=far\n", want: rotator.ActionInvestigate, says: "AWSPENDING  other target"},
		"nothing is pending":                {story: boss + "account app/p1\n" + stored, want: rotator.ActionInvestigate, back: 1, says: "the next rotation would fail"},
		"nothing is pending, nor right":     {story: boss + "account app/p2\n" + stored, want: rotator.ActionInvestigate, says: "list-secret-version-ids"},
		"no superuser is named":             {story: "account boss/ps\naccount app/p1\n" + stored, want: rotator.ActionNone, back: 1},
		"no superuser is named, nor right":  {story: "account boss/ps\naccount app/p2\n" + stored, want: rotator.ActionNone, says: "list-secret-version-ids"},
		"a pair":                            {story: "account app/p1\naccount app_clone/p2\nversion AWSPREVIOUS app_clone/p2\nversion AWSCURRENT app/p1\n", want: rotator.ActionNone, back: 1, says: "if alternating users rotated it before, compare the function's environment"},
		"it was moved back":                 {story: boss + "account app/p2\nversion AWSPREVIOUS boss/ps\nversion AWSCURRENT,AWSPENDING app/p2\n", want: rotator.ActionNone, never: "stored by mistake"},
	} {
		s, tested := newStory(t), 0
		s.run(c.story + "state")
		single := s.rotator.Strategy.(strategies.SingleUser)
		s.rotator.Strategy = using{single, tester{single, nil, &tested, "", nil, nil}}
		d, err := s.ask("status", "")
		if err == nil && c.test {
			d, err = s.send([]byte(d.RecoverEvent))
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back := ""
		if c.back > 0 {
			back = " --version-stage AWSCURRENT --move-to-version-id " + awsemu.VersionID(c.back) + " --remove-from-version-id "
		}
		text := d.Text()
		if d.Action != c.want || !strings.Contains(text, c.says) || !strings.Contains(text, back) ||
			strings.Contains(text, "--version-stage AWSCURRENT --move-to-version-id ") != (c.back > 0) ||
			strings.Contains(text, "--version-stage AWSPENDING") || strings.Contains(text, "rotate-secret ") ||
			c.never != "" && strings.Contains(text, c.never) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// using is a strategy whose TestUse is another's.
type using struct {
	strategies.SingleUser
	tester tester
}

func (u using) TestUse(ctx context.Context, r rotator.Rotation) (rotator.Sentence, error) {
	return u.tester.TestUse(ctx, r)
}

// TestAnotherEnvironmentsValue: an AWSCURRENT that works on another server than AWSPREVIOUS names may have been stored by
// hand, or the database has moved. It is a remark, with the way back, and nothing is refused for it.
func TestAnotherEnvironmentsValue(t *testing.T) {
	const boss = "account boss/ps superuser\nsuperuser boss/ps\n"
	const reader = " host=" + strategytest.MemoryReader + "\n"
	for story, c := range map[string]struct {
		want rotator.Action
		says bool
		row  string // S10 of the preflight says so, too
	}{
		"version AWSPREVIOUS app/p0 host=far\nversion AWSCURRENT app/p1\n":                                                {rotator.ActionNone, true, ""},
		"secret rotation=off\nversion AWSPREVIOUS app/p0 host=far\nversion AWSCURRENT app/p1\n":                           {rotator.ActionNone, true, ""},
		"version AWSPREVIOUS app/p0 host=far\nversion AWSCURRENT app/p1\nversion AWSPENDING empty\n":                      {rotator.ActionRetry, true, ""},
		"version AWSPREVIOUS app/p0 port=7\nversion AWSCURRENT app/p1 port=" + fmt.Sprint(strategytest.MemoryPort) + "\n": {rotator.ActionNone, true, ""},
		"version AWSPREVIOUS app/p0\nversion AWSCURRENT app/p1\n":                                                         {rotator.ActionNone, false, ""},
		"version AWSPREVIOUS app/p0 host=far\nversion AWSCURRENT,AWSPENDING app/p1\n":                                     {rotator.ActionNone, false, ""},
		"strategy superuser\n" + boss + "version AWSPREVIOUS app/p1\nversion AWSCURRENT app/p1" + reader:                  {rotator.ActionNone, true, "must be the same server"},
		"strategy superuser\nversion AWSPREVIOUS app/p1 host=far\nversion AWSCURRENT app/p1\n":                            {rotator.ActionNone, true, "masterarn is missing"},
		"strategy superuser\nversion AWSPREVIOUS app/p1\nversion AWSCURRENT app/p1\n":                                     {rotator.ActionNone, false, "masterarn is missing"},
	} {
		s, tested := newStory(t), 0
		s.run("account app/p1\n" + story + "state")
		plain := s.rotator.Strategy
		if c.row != "" {
			f := finding(s.preflight(""), "S10")
			if f.Status != rotator.StatusFailed || !strings.Contains(f.Detail, c.row) ||
				strings.Contains(f.Detail, "another environment's value") != c.says ||
				strings.Contains(fmt.Sprint(f.Fixes), "--version-stage AWSCURRENT --move-to-version-id "+awsemu.VersionID(1)) != c.says {
				t.Errorf("%s: %+v", story, f)
			}
		}
		s.rotator.Strategy = tester{plain, nil, &tested, "", nil, nil}
		d, err := s.ask("status", "")
		if err != nil {
			t.Fatal(err)
		}
		const back = "before the next rotation, if the server "
		if d.Action != c.want || strings.Contains(d.Text(), "AWSCURRENT names the server") != c.says ||
			strings.Contains(d.Text(), back) != c.says ||
			strings.Contains(d.Text(), "--version-stage AWSCURRENT --move-to-version-id "+awsemu.VersionID(1)) != c.says {
			t.Errorf("%s: %s", story, d.Text())
		}
	}
}

// TestARollbackNamesWhatItLoses: members that AWSCURRENT alone has, by their names, and no value of them.
func TestARollbackNamesWhatItLoses(t *testing.T) {
	for members, want := range map[string]string{"": "", " owner=team-b": `: "owner". Add`,
		" a1=x a2=x a3=x a4=x a5=x a6=x a7=x": `: "a1", "a2", "a3", "a4", "a5", 2 more. Add`} {
		for _, action := range []string{"", "rollback"} {
			s := newStory(t)
			s.run("account app/p1\nversion AWSPREVIOUS app/p1 colour=red\nversion AWSCURRENT app/p2 colour=blue" + members + "\nstate")
			step := map[string]string{"": "status", "rollback": "recover"}[action]
			d, err := s.ask(step, action)
			if err != nil {
				t.Fatal(err)
			}
			if (action == "") != (d.Action == rotator.ActionRollBack) || strings.Contains(d.Text(), "it lacks members of version "+awsemu.VersionID(2)) != (want != "") ||
				!strings.Contains(d.Text(), want) || strings.Contains(d.Text(), "team-b") || strings.Contains(d.Text(), "colour") {
				t.Errorf("%q, %q: %s", members, action, d.Text())
			}
		}
	}
}

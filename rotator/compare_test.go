package rotator_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// refusing is a strategy by which every login, or the use of one, comes to the same error.
type refusing struct {
	rotator.Strategy
	login, use error
}

func (s refusing) Verify(ctx context.Context, r rotator.Rotation) error {
	if s.login != nil {
		return s.login
	}
	return s.Strategy.Verify(ctx, r)
}

func (s refusing) TestUse(context.Context, rotator.Rotation) (rotator.Sentence, error) {
	return rotator.Sentence{}, s.use
}

// elsewhere is a strategy of which AWSCURRENT leads to another server, which has a user of that name.
type elsewhere struct {
	rotator.Strategy
	limits bool
}

func (s elsewhere) Verify(ctx context.Context, r rotator.Rotation) error {
	if r.Current.IsZero() {
		return rotator.KindLoginRejected
	}
	return s.Strategy.Verify(ctx, r)
}

func (s elsewhere) LimitsFailedLogins(secret.Document) bool { return s.limits }

// unproposed makes no value.
type unproposed struct{ elsewhere }

func (unproposed) Propose(context.Context, rotator.Rotation) (secret.Document, error) {
	return secret.Document{}, rotator.KindMisconfigured
}

// TestAWrongHostThatAnswers: where a person has stored the host or the port of another server, which rejects the login,
// AWSPREVIOUS is for another target, also with the same password, and also where rejected logins count: none is sent.
func TestAWrongHostThatAnswers(t *testing.T) {
	for _, wrong := range []string{"app/p1 host=other.example.com", "app/p2 host=other.example.com", "app/p1 port=7001"} {
		for _, limits := range []bool{false, true} {
			s := newStory(t)
			s.run("account app/p1\nversion AWSPREVIOUS app/p1 port=7000\nversion AWSCURRENT " + wrong + "\nstate")
			s.rotator.Strategy = elsewhere{s.rotator.Strategy, limits}
			d, err := s.ask("status", "")
			if err != nil {
				t.Fatal(err)
			}
			if d.Action != rotator.ActionResetPassword || !strings.Contains(d.Text(), "AWSPREVIOUS is for another target") ||
				!strings.Contains(d.Text(), "AWSPREVIOUS has another "+map[bool]string{true: "port", false: "host"}[strings.Contains(wrong, "port")]) {
				t.Errorf("%s, rejected logins count: %t: %s", wrong, limits, d.Text())
			}
		}
	}
}

// TestWhatAWrongMemberCanCause: status points to the members of AWSPREVIOUS that are another's only where one of them
// can be behind the error, and to those that can; and a port is the same as a number and as a string.
func TestWhatAWrongMemberCanCause(t *testing.T) {
	const all, server, none = "has another host, dbname, colour. If", "has another host, colour. If", ""
	atLogin := func(k rotator.Kind) error { return strategies.MarkLoginError(fmt.Errorf("%w: no", k)) }
	for _, c := range []struct {
		login, use error
		says       string
	}{
		{atLogin(rotator.KindUnreachable), nil, server},
		{atLogin(rotator.KindTLS), nil, server},
		{atLogin(rotator.KindReadOnly), nil, server},
		{atLogin(rotator.KindMisconfigured), nil, all}, // an unknown database, an entry of pg_hba.conf
		{atLogin(rotator.KindTooManyConnections), nil, none},
		{atLogin(rotator.KindPrivilege), nil, none}, // locked
		{atLogin(rotator.KindDeadline), nil, none},
		{atLogin(rotator.KindThrottled), nil, none},
		{atLogin(rotator.KindAccessDenied), nil, none},
		{atLogin(rotator.KindConflict), nil, none},
		{atLogin(rotator.KindInternal), nil, none},
		{rotator.KindMisconfigured, nil, none}, // of the value itself: it is invalid
		{rotator.KindLoginRejected, nil, none}, // the password: AWSPREVIOUS is tested, or it is said to be unlike
		{nil, rotator.KindReadOnly, server},
		{nil, rotator.KindUnreachable, server},
		{nil, rotator.KindPrivilege, none},
		{nil, rotator.KindNotFound, none},
		{nil, rotator.KindMisconfigured, none}, // any password is let in
		{nil, rotator.KindInternal, none},
		{nil, nil, none},
	} {
		s := newStory(t)
		s.run("account app/p1\nversion AWSPREVIOUS app/p1 host=gone.example.com dbname=old colour=blue masterarn=other port=07000\n" +
			"version AWSCURRENT app/p1 port=7000\nstate")
		s.rotator.Strategy = refusing{s.rotator.Strategy, c.login, c.use}
		d, err := s.ask("status", "")
		if err != nil {
			t.Fatal(err)
		}
		if c.says == none && strings.Contains(d.Text(), "another host") || !strings.Contains(d.Text(), c.says) {
			t.Errorf("%v, %v: want %q: %s", c.login, c.use, c.says, d.Text())
		}
	}
}

// TestAnEditIsNamedBeforeItIsLost: a member that a person stored while a rotation was incomplete is not in AWSPENDING.
// Status and the log of testSecret name it, and never its value, before the label moves; status prints what keeps it.
func TestAnEditIsNamedBeforeItIsLost(t *testing.T) {
	const story = "account app/p2\nversion AWSCURRENT app/p1%s\nversion AWSPENDING app/p2%s\nstate"
	for name, c := range map[string]struct{ current, pending, lost string }{
		"nothing":           {},
		"a member":          {current: " reader_host=far", lost: "reader_host"},
		"another value":     {current: " masterarn=new", pending: " masterarn=old", lost: "masterarn"},
		"a member less":     {pending: " colour=blue", lost: "colour"},
		"another spelling":  {current: " port=7000", pending: " port=07000"},
		"two":               {current: " reader_host=far colour=crimson", pending: " colour=blue", lost: "colour, reader_host"},
		"no name for a jq":  {current: " it's=far", lost: "it's"},
		"the same, in both": {current: " colour=crimson", pending: " colour=crimson"},
	} {
		s := newStory(t)
		s.run(fmt.Sprintf(story, c.current, c.pending))
		d, err := s.ask("status", "")
		if err != nil {
			t.Fatal(err)
		}
		text := d.Text()
		if d.Action != rotator.ActionFinish || strings.Contains(text, "the version that is AWSCURRENT now has another") != (c.lost != "") ||
			!strings.Contains(text, c.lost) || strings.Contains(text, "far") || strings.Contains(text, "crimson") ||
			strings.Contains(text, `jq -ces 'if length == 2 then .[0] + {"password": .[1]["password"]} else `) != (c.lost != "") {
			t.Errorf("%s: %s", name, text)
		}
		s.out.Reset()
		s.step("testSecret", "v2")
		if log := s.out.String(); strings.Contains(log, "lost when AWSCURRENT moves") != (c.lost != "") ||
			!strings.Contains(log, c.lost) || strings.Contains(log, "far") {
			t.Errorf("%s: testSecret: %s", name, log)
		}
	}
}

// TestATargetEditedAfterSetSecret: where AWSCURRENT or AWSPENDING names another database than the other, AWSPENDING is not
// tried, and may have the password that is set. That comes before all else that may be so, and brings AWSCURRENT back.
func TestATargetEditedAfterSetSecret(t *testing.T) {
	for name, story := range map[string]string{
		"AWSCURRENT": "version AWSCURRENT app/p1 dbname=gone\nversion AWSPENDING app/p2 dbname=main\nstate",
		"AWSPENDING": "version AWSCURRENT app/p1 dbname=main\nversion AWSPENDING app/p2 dbname=gone\nstate",
	} {
		for _, limits := range []bool{false, true} { // rejected logins count, and none is made of what is not sent
			s := newStory(t)
			s.run("account app/p2\n" + story)
			s.rotator.Strategy = elsewhere{s.rotator.Strategy, limits}
			d, err := s.ask("status", "")
			if err != nil {
				t.Fatal(err)
			}
			const keeps = `jq -ces 'if length == 2 then .[0] + {"password": .[1]["password"]} else error("a version was not read") end' | aws secretsmanager put-secret-value `
			if d.Action != rotator.ActionResetPassword || !strings.HasPrefix(d.Reason, "AWSCURRENT is rejected. AWSPENDING is for another target") ||
				len(d.Fixes) == 0 || !strings.Contains(d.Fixes[0].Run, keeps) || strings.Contains(d.Text(), "which is lost when the label moves") {
				t.Errorf("%s was edited, limits %t: %s", name, limits, d.Text())
			}
		}
	}
	// AWSPREVIOUS is the AWSCURRENT from before the edit: of the target of AWSPENDING, and neither is sent anything. Or it
	// is of this target, and one more rejected login could lock the user.
	for previous, limits := range map[string]bool{"dbname=main": false, "dbname=gone": true} {
		s := newStory(t)
		s.run("account app/p2\nversion AWSPREVIOUS app/p0 " + previous + "\nversion AWSCURRENT app/p1 dbname=gone\n" +
			"version AWSPENDING app/p2 dbname=main\nstate")
		s.rotator.Strategy = elsewhere{s.rotator.Strategy, limits}
		d, err := s.ask("status", "")
		if err != nil || !strings.HasPrefix(d.Reason, "AWSCURRENT is rejected. AWSPENDING") || !strings.Contains(d.Reason, "keep") ||
			!strings.Contains(d.Text(), `+ {"password": .[1]["password"]}`) {
			t.Errorf("AWSPREVIOUS of %s: %v, %s", previous, err, d.Text())
		}
		if limits != strings.Contains(d.Text(), "to have the function test AWSPREVIOUS") ||
			!limits && !strings.Contains(d.Text(), "--version-stage AWSCURRENT --move-to-version-id") {
			t.Errorf("AWSPREVIOUS of %s: %s", previous, d.Text())
		}
	}
	// What cannot be proposed is not printed, and not said to be.
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1 dbname=gone\nversion AWSPENDING app/p2 dbname=main\nstate")
	s.rotator.Strategy = unproposed{elsewhere{s.rotator.Strategy, false}}
	if d, err := s.ask("status", ""); err != nil || !strings.HasPrefix(d.Reason, "AWSCURRENT is rejected. AWSPENDING is for another") ||
		strings.Contains(d.Reason, "AWSCURRENT has, as printed below") || strings.Contains(d.Text(), "jq -ces 'if length == 2 then") {
		t.Errorf("%v: %s", err, d.Text())
	}
	// Of another user it proves nothing, and neither does one of a value that works.
	for _, story := range []string{
		"account app/p2\nversion AWSCURRENT app/p1 dbname=main\nversion AWSPENDING other/p2 dbname=gone\nstate",
		"account app/p1\nversion AWSCURRENT app/p1 dbname=main\nversion AWSPENDING app/p2 dbname=gone\nstate",
	} {
		s := newStory(t)
		s.run(story)
		if d, err := s.ask("status", ""); err != nil || strings.Contains(d.Text(), "jq -ces 'if length == 2 then") {
			t.Errorf("%v: %s", err, d.Text())
		}
	}
}

// TestAnEditIsKeptWithItsCopies: where a member holds the password too, what keeps an edit takes that one along.
func TestAnEditIsKeptWithItsCopies(t *testing.T) {
	s := newStory(t)
	s.run("account app/p2\nversion AWSCURRENT app/p1 url=db://app:canary-p1-0123456789@db/x reader_host=far\n" +
		"version AWSPENDING app/p2 url=db://app:canary-p2-0123456789@db/x\nstate")
	d, err := s.ask("status", "")
	if err != nil {
		t.Fatal(err)
	}
	const keeps = `jq -ces 'if length == 2 then .[0] + {"password": .[1]["password"], "url": .[1]["url"]} else `
	if text := d.Text(); !strings.Contains(text, "another reader_host, which is lost") || !strings.Contains(text, keeps) {
		t.Error(text)
	}
}

package strategies

import (
	"context"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// What the checks of a preflight try, by their ids.
const (
	checkKeys      = "the keys of the secret"
	checkSuperuser = "secretsmanager:GetSecretValue of the superuser's secret, and its keys"
	checkReach     = "reaching the database"
	checkTLS       = "TLS with the database, verified"
	checkLogin     = "logging in to the database"
	checkChange    = "changing the password: done with one that is thrown away, and taken back"
)

// inspect makes the findings of a strategy: the user of the secret goes first, and
// a superuser, if rehearse is not nil, only after a login of that user was
// accepted, as in Apply. It logs in once for each of them.
func inspect(ctx context.Context, t Traits, r rotator.Rotation, current Login, ours func(string) bool, first, rehearse func(Login) error) []rotator.Finding {
	keys := rotator.Judge("S4", checkKeys, nil)
	as, _, err := firstAccepted(
		candidate{rotator.LabelCurrent, always(current), first},
		candidate{rotator.LabelPrevious, previous(ctx, t, r, current, ours), first},
	)
	if rehearse == nil || err != nil {
		return append([]rotator.Finding{keys}, staged("", current.TLS, err)...)
	}
	findings := append([]rotator.Finding{keys}, staged("", current.TLS, nil)[:3]...)
	admin, err := superuser(ctx, t, r, as)
	findings = append(findings, rotator.Judge("S5", checkSuperuser, err))
	if err != nil {
		return append(findings, rotator.Finding{ID: "P2", Check: checkChange, Status: rotator.Skipped, Detail: "because of S5"})
	}
	return append(findings, staged("superuser: ", admin.TLS, rehearse(admin))...)
}

// staged tells from the kind of an error how far the database was got to: one
// cause is one finding, and what lies behind it was not tried.
func staged(who string, tls TLS, err error) []rotator.Finding {
	stages := []struct {
		id, check string
		ends      []rotator.Kind
	}{
		{"T1", checkReach, []rotator.Kind{rotator.Unreachable, rotator.OutOfTime, rotator.Internal}},
		{"T2", checkTLS, []rotator.Kind{rotator.TLSFailed}},
		{"P1", checkLogin, []rotator.Kind{rotator.LoginRejected, rotator.TooManyConnections, rotator.Misconfigured}},
		{"P2", checkChange, nil}, // whatever else
	}
	var findings []rotator.Finding
	kind, failed := rotator.KindOf(err), ""
	for _, s := range stages {
		here := err != nil && (s.ends == nil || slices.Contains(s.ends, kind))
		switch {
		case failed != "":
			findings = append(findings, rotator.Finding{ID: s.id, Check: who + s.check, Status: rotator.Skipped, Detail: "because of " + failed})
		case here:
			findings = append(findings, rotator.Judge(s.id, who+s.check, err))
			failed = s.id
		case s.id == "T2" && tls.Off:
			findings = append(findings, rotator.Finding{ID: s.id, Check: who + s.check, Status: rotator.Skipped, Detail: `the secret says "ssl": false`})
		default:
			findings = append(findings, rotator.Judge(s.id, who+s.check, nil))
		}
	}
	return findings
}

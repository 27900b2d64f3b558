package strategies

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// What the checks of a preflight try, by their ids. T and P are tried for the user
// of the secret, and again for a superuser.
const (
	checkKeys      = "the keys of the secret"                                                        // S9
	checkSuperuser = "secretsmanager:GetSecretValue of the superuser's secret, and its keys"         // S10
	checkReach     = "reaching the database"                                                         // T1
	checkTLS       = "TLS with the database, verified"                                               // T2
	checkDirect    = "the database itself, with no proxy that keeps passwords of its own in between" // T3
	checkSlot      = "a connection that is free"                                                     // P1
	checkLogin     = "the password"                                                                  // P2
	checkAdmitted  = "the server lets the user in"                                                   // P3
	checkWritable  = "the server takes changes"                                                      // P4
	checkPolicy    = "the password policy of the server"                                             // P5
	checkChange    = "changing the password"                                                         // P6
	checkClone     = "making or aligning the clone, and setting its password"                        // P7
	checkAccount   = "nothing about the account that would surprise later"                           // P8
	checkPair      = "the two users can do the same"                                                 // P9
)

// AtLogin marks an error that an engine met before the server had let it in, so
// that a preflight says so, and not that the change failed.
func AtLogin(err error) error {
	if err == nil {
		return nil
	}
	return atLogin{err}
}

type atLogin struct{ error }

func (e atLogin) Unwrap() error { return e.error }

// attempt is something tried in the database: what it was, and what came of it.
type attempt struct {
	who      string // before the name of each check: "superuser: "
	act      string // P6, P7, or "" for a login
	looked   bool   // the act was left out, for the preflight only looks
	warnings []Warning
	found    string // what is worth to know of a login that was accepted
	err      error
}

// inspectUser makes the findings of a strategy that changes one user's password.
func inspectUser(ctx context.Context, e Engine, r rotator.Rotation, rehearse func(ctx context.Context, as Login, user string, p secret.Password) ([]Warning, error), admin func(Login) (Login, error)) []rotator.Finding {
	t := e.Traits()
	current, err := t.login(r.Current)
	if err == nil && r.Pending.IsZero() {
		r.Pending, err = withNewPassword(t, r)
	}
	if err != nil {
		return []rotator.Finding{rotator.Judge("S9", checkKeys, err)}
	}
	ours := func(user string) bool { return user == current.User }
	as := func(who Login) ([]Warning, error) { return rehearse(ctx, who, current.User, r.Pending.Password()) }
	return inspect(ctx, e, r, current, ours, "P6", as, admin)
}

// inspect makes the findings of a strategy: the user of the secret goes first, and
// a superuser, if it is given how to find one, only after a login of that user was
// accepted, as in Apply. It logs in once for each of them.
func inspect(ctx context.Context, e Engine, r rotator.Rotation, current Login, ours func(string) bool, act string, rehearse func(Login) ([]Warning, error), admin func(Login) (Login, error)) []rotator.Finding {
	t := e.Traits()
	findings := []rotator.Finding{rotator.Judge("S9", checkKeys, nil)}
	if f := direct(current); f.Status != rotator.Granted {
		return append(findings, f)
	}
	ping := func(as Login) ([]Warning, error) { return nil, e.Ping(ctx, as) }
	if r.ReadOnly {
		rehearse = ping
	}
	var user attempt
	first := ping
	if admin == nil {
		first, user.act, user.looked = rehearse, act, r.ReadOnly
	}
	try := func(as Login) (err error) {
		user.warnings, err = first(as)
		return err
	}
	as, label, err := firstAccepted(
		candidate{rotator.LabelCurrent, always(current), try},
		candidate{rotator.LabelPending, stored(ctx, t, r, current, ours), try},
		candidate{rotator.LabelPrevious, previous(ctx, t, r, current, ours), try},
	)
	user.err = err
	switch label {
	case rotator.LabelPending:
		user.found = "AWSCURRENT is rejected and AWSPENDING logs in, as expected after setSecret"
	case rotator.LabelPrevious:
		user.found = "AWSCURRENT is rejected and AWSPREVIOUS logs in: the database has an older password"
	}
	findings = append(findings, user.findings(current)...)
	if admin == nil {
		return findings
	}
	if err != nil {
		return append(findings, skipped("S10", checkSuperuser, failing(findings)), skipped(act, checkOf(act), failing(findings)))
	}
	boss, err := admin(as)
	findings = append(findings, rotator.Judge("S10", checkSuperuser, err))
	if err != nil {
		return append(findings, skipped(act, checkOf(act), "S10"))
	}
	super := attempt{who: "superuser: ", act: act, looked: r.ReadOnly}
	super.warnings, super.err = rehearse(boss)
	return append(findings, super.findings(boss)...)
}

// direct refuses the endpoints of RDS Proxy. It logs clients in with the passwords
// of its own secrets, so that testSecret would be refused with the new one, when
// the old one is gone already.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-secrets-arns.html
func direct(as Login) rotator.Finding {
	host := strings.ToLower(as.Host)
	if !strings.Contains(host, ".proxy-") || !strings.Contains(host, ".rds.amazonaws.com") {
		return rotator.Judge("T3", checkDirect, nil)
	}
	return rotator.Judge("T3", checkDirect, fmt.Errorf("secret: %w: host %s is an endpoint of RDS Proxy, which knows only the passwords in its own secrets and would refuse the new one: give the endpoint of the database itself as host (clients go on using the proxy)", rotator.Misconfigured, as.Host))
}

// stage is a check, and the errors by which it fails.
type stage struct {
	id, check string
	fails     func(kind rotator.Kind, login bool) bool
}

func kinds(of ...rotator.Kind) func(rotator.Kind, bool) bool {
	return func(kind rotator.Kind, _ bool) bool {
		for _, k := range of {
			if k == kind {
				return true
			}
		}
		return false
	}
}

// stages are in the order in which a server lets somebody through them.
func (a attempt) stages() []stage {
	whileConnecting := func(kind rotator.Kind, login bool) bool {
		return kind == rotator.Unreachable || login && (kind == rotator.OutOfTime || kind == rotator.Internal)
	}
	all := []stage{
		{"T1", checkReach, whileConnecting},
		{"T2", checkTLS, kinds(rotator.TLSFailed)},
		{"T3", checkDirect, kinds()}, // see direct
		{"P1", checkSlot, kinds(rotator.TooManyConnections)},
		{"P2", checkLogin, kinds(rotator.LoginRejected)},
		{"P3", checkAdmitted, func(_ rotator.Kind, login bool) bool { return login || a.act == "" }},
	}
	if a.act == "" {
		return all
	}
	whatever := func(rotator.Kind, bool) bool { return true }
	return append(all,
		stage{"P4", checkWritable, kinds(rotator.ReadOnly)},
		stage{"P5", checkPolicy, kinds(rotator.PolicyRejected)},
		stage{a.act, checkOf(a.act), whatever},
	)
}

// findings tells from an error how far the database was got to: one cause is one
// finding, and what lies behind it was not tried.
func (a attempt) findings(as Login) []rotator.Finding {
	var findings []rotator.Finding
	var mark atLogin
	kind, login, failed := rotator.KindOf(a.err), errors.As(a.err, &mark), ""
	for _, s := range a.stages() {
		f := rotator.Judge(s.id, a.who+s.check, nil)
		switch {
		case failed != "":
			f = skipped(s.id, a.who+s.check, failed)
		case a.err != nil && s.fails(kind, login):
			f = rotator.Judge(s.id, a.who+s.check, a.err)
			failed = s.id
			if kind == rotator.Conflict && s.id == a.act { // a lock, another session: it says nothing of the next time
				f.Status = rotator.Unknown
			}
		case s.id == "P2":
			f.Detail = a.found
		case s.id == "T2" && as.TLS.Off:
			f.Status, f.Detail = rotator.Skipped, `the secret says "ssl": false`
		case a.looked && (s.id == "P4" || s.id == "P5" || s.id == a.act):
			f.Status, f.Detail = rotator.Unknown, "not rehearsed (PREFLIGHT_PROBES=read-only)"
		}
		findings = append(findings, f)
	}
	if id, check := caveatsOf(a.act); id != "" && failed == "" && !a.looked {
		f := rotator.Judge(id, a.who+check, nil)
		texts := make([]string, len(a.warnings))
		for i, w := range a.warnings {
			texts[i] = w.Text
			if w.Unknown {
				f.Status = rotator.Unknown
			}
		}
		f.Detail = strings.Join(texts, "; ")
		findings = append(findings, f)
	}
	return findings
}

func checkOf(act string) string {
	if act == "P7" {
		return checkClone
	}
	return checkChange
}

func caveatsOf(act string) (id, check string) {
	switch act {
	case "P6":
		return "P8", checkAccount
	case "P7":
		return "P9", checkPair
	}
	return "", ""
}

func skipped(id, check, because string) rotator.Finding {
	return rotator.Finding{ID: id, Check: check, Status: rotator.Skipped, Detail: "because of " + because}
}

// failing is the first finding that is in the way.
func failing(findings []rotator.Finding) string {
	for _, f := range findings {
		if f.Status == rotator.Denied || f.Status == rotator.Faulty || f.Status == rotator.Unknown {
			return f.ID
		}
	}
	return ""
}

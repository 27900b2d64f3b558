package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// What the checks of a preflight try, by their ids. T and P are tried for the user
// of the secret, and again for a superuser.
const (
	descKeys      = "the keys of the secret"                                              // S9
	descSuperuser = "secretsmanager:GetSecretValue of the superuser secret, and its keys" // S10
	descReach     = "reaching the database"                                               // T1
	descTLS       = "TLS with the database, verified"                                     // T2
	descDirect    = "direct connection to the database, not a pooler or RDS Proxy"        // T3
	descSlot      = "a connection that is free"                                           // P1
	descLogin     = "the password"                                                        // P2
	descAdmitted  = "login permitted"                                                     // P3
	descWritable  = "the server takes changes"                                            // P4
	descPolicy    = "the password policy of the server"                                   // P5
	descChange    = "changing the password"                                               // P6
	descClone     = "create or sync the clone, set its password"                          // P7
	descAccount   = "account warnings"                                                    // P8
	descPair      = "the two users can do the same"                                       // P9
	checkEntitled = "this secret may have the password of the account set"                // P10
)

// MarkLoginError marks an error that an engine met before the server had let it in, so
// that a preflight says so, and not that the change failed.
func MarkLoginError(err error) error {
	if err == nil {
		return nil
	}
	return atLogin{err}
}

type atLogin struct{ error }

func (e atLogin) Unwrap() error { return e.error }

// MarkLoginError implements rotator.LoginError.
func (atLogin) AtLogin() {}

// loginResult is something tried in the database: what it was, and what came of it.
type loginResult struct {
	prefix   string // before the name of each check: "superuser: "
	changeID string // P6, P7, or "" for a login
	readOnly bool   // the change was left out
	warnings []Warning
	found    string // what is worth to know of a login that was accepted
	err      error

	detectsPoolers bool // see Traits
}

// neverRefused is for strategies by which AWSCURRENT works at every moment: what
// counts refused logins does not concern them.
func neverRefused(warnings []Warning, err error) ([]Warning, error) {
	return slices.DeleteFunc(warnings, func(w Warning) bool { return w.Attempts > 0 }), err
}

// runUserChecks makes the findings of a strategy that changes one user's password.
func runUserChecks(ctx context.Context, e Engine, r rotator.Rotation, dryRun func(ctx context.Context, login Login, user string, p secret.Password) ([]Warning, error), findSuperuser func(Login) (Login, error)) []rotator.Finding {
	t := e.Traits()
	current, err := t.parseLogin(r.Current)
	if err == nil && r.Pending.IsZero() {
		r.Pending, err = withNewPassword(t, r)
	}
	if err != nil {
		return []rotator.Finding{rotator.NewFinding("S9", descKeys, err)}
	}
	isManagedUser := func(user string) bool { return user == current.User }
	login := func(who Login) ([]Warning, error) { return dryRun(ctx, who, current.User, r.Pending.Password()) }
	return runChecks(ctx, e, r, current, isManagedUser, "P6", login, findSuperuser)
}

// runChecks makes the findings of a strategy: the user of the secret goes first, and
// a superuser, if it is given how to find one, only after a login of that user was
// accepted, as in Apply. It logs in once for each of them.
func runChecks(ctx context.Context, e Engine, r rotator.Rotation, current Login, isManagedUser func(string) bool, changeID string, dryRun func(Login) ([]Warning, error), findSuperuser func(Login) (Login, error)) []rotator.Finding {
	t := e.Traits()
	findings := []rotator.Finding{rotator.NewFinding("S9", descKeys, nil)}
	if err := checkNotRDSProxy(current); err != nil {
		return append(findings, rotator.NewFinding("T3", descDirect, err))
	}
	ping := func(login Login) ([]Warning, error) { return nil, e.Ping(ctx, login) }
	if r.ReadOnlyProbes {
		dryRun = ping
	}
	user := loginResult{detectsPoolers: t.DetectsPoolers}
	first := ping
	if findSuperuser == nil {
		first, user.changeID, user.readOnly = dryRun, changeID, r.ReadOnlyProbes
	}
	try := func(login Login) (err error) {
		user.warnings, err = first(login)
		return err
	}
	login, label, err := firstWorking(
		candidate{rotator.LabelCurrent, fixedLogin(current), try},
		candidate{rotator.LabelPending, stored(ctx, t, r, current, isManagedUser), try},
		candidate{rotator.LabelPrevious, previousLogin(ctx, t, r, current, isManagedUser), try},
	)
	user.err = err
	switch label {
	case rotator.LabelPending:
		user.found = "AWSCURRENT is rejected and AWSPENDING works, as expected after setSecret"
	case rotator.LabelPrevious:
		user.found = "AWSCURRENT is rejected and AWSPREVIOUS logs in: the database has an older password"
	}
	findings = append(findings, user.findings(current)...)
	if findSuperuser == nil {
		return findings
	}
	if err != nil {
		return append(findings, skipped("S10", descSuperuser, firstBlocking(findings)), skipped(changeID, changeDesc(changeID), firstBlocking(findings)))
	}
	superuser, err := findSuperuser(login)
	if errors.As(err, new(entitlementError)) {
		return append(findings, rotator.NewFinding("S10", descSuperuser, nil), rotator.NewFinding("P10", checkEntitled, err), skipped(changeID, changeDesc(changeID), "P10"))
	}
	findings = append(findings, rotator.NewFinding("S10", descSuperuser, err))
	if err != nil {
		return append(findings, skipped(changeID, changeDesc(changeID), "S10"))
	}
	super := loginResult{prefix: "superuser: ", changeID: changeID, readOnly: r.ReadOnlyProbes, detectsPoolers: t.DetectsPoolers}
	super.warnings, super.err = dryRun(superuser)
	super.err = lostUser(r, label, super.err)
	return append(findings, super.findings(superuser)...)
}

// checkNotRDSProxy refuses the endpoints of RDS Proxy. It logs clients in with the passwords
// of its own secrets, so that testSecret would be refused with the new one, when
// the old one is gone already.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-secrets-arns.html
func checkNotRDSProxy(login Login) error {
	if !strings.Contains(strings.ToLower(login.Host), ".proxy-") || !rotator.IsRDSHost(login.Host) {
		return nil
	}
	return fmt.Errorf("secret: %w: host %s is an RDS Proxy endpoint: the proxy has its own copy of the passwords and would reject the new one. Use the database endpoint (clients can keep the proxy)", rotator.KindMisconfigured, login.Host)
}

// phase is a check, and the errors by which it fails.
type phase struct {
	id, check string
	fails     func(kind rotator.Kind, login bool) bool
}

func failsWith(of ...rotator.Kind) func(rotator.Kind, bool) bool {
	return func(kind rotator.Kind, _ bool) bool {
		for _, k := range of {
			if k == kind {
				return true
			}
		}
		return false
	}
}

// phases are in the order in which a server takes a login through them.
func (a loginResult) phases() []phase {
	whileConnecting := func(kind rotator.Kind, duringLogin bool) bool {
		return kind == rotator.KindUnreachable || duringLogin && (kind == rotator.KindDeadline || kind == rotator.KindInternal)
	}
	all := []phase{
		{"T1", descReach, whileConnecting},
		{"T2", descTLS, failsWith(rotator.KindTLS)},
		{"T3", descDirect, failsWith()}, // by the error's mark, see findings
		{"P1", descSlot, failsWith(rotator.KindTooManyConnections)},
		{"P2", descLogin, failsWith(rotator.KindLoginRejected)},
		{"P3", descAdmitted, func(_ rotator.Kind, duringLogin bool) bool { return duringLogin || a.changeID == "" }},
	}
	if a.changeID == "" {
		return all
	}
	whatever := func(rotator.Kind, bool) bool { return true }
	all = append(all, phase{"P4", descWritable, failsWith(rotator.KindReadOnly)})
	if a.prefix != "" {
		all = append(all, phase{"P10", checkEntitled, failsWith()}) // by the error's mark, see findings
	}
	return append(all,
		phase{"P5", descPolicy, failsWith(rotator.KindPasswordPolicy)},
		phase{a.changeID, changeDesc(a.changeID), whatever},
	)
}

// findings tells from an error how far the database was got to: one cause is one
// finding, and what lies behind it was not tried.
func (a loginResult) findings(login Login) []rotator.Finding {
	var findings []rotator.Finding
	var mark atLogin
	kind, duringLogin, failed := rotator.KindOf(a.err), errors.As(a.err, &mark), ""
	refused, pooled := errors.As(a.err, new(entitlementError)), errors.As(a.err, new(poolerError))
	for _, s := range a.phases() {
		f := rotator.NewFinding(s.id, a.prefix+s.check, nil)
		switch {
		case failed != "":
			f = skipped(s.id, a.prefix+s.check, failed)
		case refused && s.id == "P10", pooled && s.id == "T3", a.err != nil && !refused && !pooled && s.fails(kind, duringLogin):
			f = rotator.NewFinding(s.id, a.prefix+s.check, a.err)
			failed = s.id
			if kind == rotator.KindConflict && s.id == a.changeID { // a lock, another session: it says nothing of the next time
				f.Status = rotator.StatusUnknown
			}
		case s.id == "P2":
			f.Detail = a.found
		case s.id == "T3" && a.err != nil && (duringLogin || a.changeID == ""):
			f.Status, f.Detail = rotator.StatusSkipped, "seen only after a login"
		case s.id == "T3" && login.PoolerForwardsLogins:
			f.Status, f.Detail = rotator.StatusSkipped, `the secret says "`+keyPooler+`": true`
		case s.id == "T3" && !a.detectsPoolers:
			f.Status, f.Detail = rotator.StatusSkipped, "this engine cannot tell a pooler from the database"
		case s.id == "T2" && login.TLS.Disabled:
			f.Status, f.Detail = rotator.StatusSkipped, `the secret says "ssl": false`
		case a.readOnly && (s.id == "P4" || s.id == "P5" || s.id == "P10" || s.id == a.changeID):
			f.Status, f.Detail = rotator.StatusUnknown, "no dry run (PREFLIGHT_PROBES=read-only)"
		}
		findings = append(findings, f)
	}
	if id, check := warningDesc(a.changeID); id != "" && failed == "" && !a.readOnly {
		f := rotator.NewFinding(id, a.prefix+check, nil)
		texts := make([]string, len(a.warnings))
		for i, w := range a.warnings {
			texts[i] = w.Text
			switch {
			case w.Attempts == 1:
				f.Status, f.Kind = rotator.StatusFailed, rotator.KindMisconfigured
			case w.Unknown && f.Status == rotator.StatusPassed:
				f.Status = rotator.StatusUnknown
			}
			if w.Attempts > 0 {
				texts[i] += ". Between setSecret and finishSecret clients are refused with what the secret holds, and each login of theirs counts. Alternating users have no such moment, nor have dual passwords on MySQL (MYSQL_DUAL_PASSWORDS=true)"
			}
		}
		f.Detail = strings.Join(texts, "; ")
		findings = append(findings, f)
	}
	return findings
}

func changeDesc(changeID string) string {
	if changeID == "P7" {
		return descClone
	}
	return descChange
}

func warningDesc(changeID string) (id, check string) {
	switch changeID {
	case "P6":
		return "P8", descAccount
	case "P7":
		return "P9", descPair
	}
	return "", ""
}

func skipped(id, check, because string) rotator.Finding {
	return rotator.Finding{ID: id, Check: check, Status: rotator.StatusSkipped, Detail: "not tested: " + because + " did not pass"}
}

// firstBlocking is the first finding that is in the way.
func firstBlocking(findings []rotator.Finding) string {
	for _, f := range findings {
		if f.Status == rotator.StatusDenied || f.Status == rotator.StatusFailed || f.Status == rotator.StatusUnknown {
			return f.ID
		}
	}
	return ""
}

package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	descEntitled  = "this secret may have the password of the account set"                // P10
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

// MarkPasswordAccepted marks an error that a server gave after it had accepted the password.
func MarkPasswordAccepted(err error) error {
	if err == nil {
		return nil
	}
	return accepted{err}
}

type accepted struct{ error }

func (e accepted) Unwrap() error { return e.error }

// PasswordAccepted implements rotator.AcceptedPassword.
func (accepted) PasswordAccepted() {}

// neverRefused is for strategies by which AWSCURRENT works at every moment: what
// counts refused logins does not concern them.
func neverRefused(warnings []Warning, err error) ([]Warning, error) {
	return slices.DeleteFunc(warnings, func(w Warning) bool { return w.Attempts > 0 }), err
}

// rehearsal is the database half of a preflight. The user of the secret logs in, and once
// that is accepted a superuser if one acts, as in Apply: one login for each. The account
// that acts rehearses the change.
type rehearsal struct {
	engine        Engine
	rotation      rotator.Rotation
	current       Login
	isManagedUser func(user string) bool
	// superuser finds the superuser for the login that was accepted. nil: the user acts.
	superuser func(accepted Login) (Login, error)
	// dryRun is that of the change, as acting.
	dryRun func(acting, accepted Login, p secret.Password) ([]Warning, error)
	// judgeUser says whether the user who acts may change itself. nil: it may.
	judgeUser func(ctx context.Context) rotator.Finding
	clones    bool              // the change creates or syncs a clone too
	seen      map[string]string // what logins of users show
	remark    string            // beside the warnings of the dry run
}

// loginResult is one login of a rehearsal. Its error tells how far the login got.
type loginResult struct {
	prefix   string // before the name of each check
	acts     bool   // with the dry run
	to       *Login // nil: no login was tried
	accepted Login
	label    string // of the version that has the accepted login
	warnings []Warning
	err      error
	applied  bool // the pending value is set already, and Apply has no more to do
}

func (x rehearsal) findings(ctx context.Context) []rotator.Finding {
	if err := checkNotRDSProxy(x.current); err != nil {
		return []rotator.Finding{rotator.NewFinding("S9", descKeys, nil), rotator.NewFinding("T3", descDirect, err)}
	}
	user := &loginResult{to: &x.current, acts: x.superuser == nil}
	t, r := x.engine.Traits(), x.rotation
	_, persists := x.engine.(Persister)
	try := func(login Login) (err error) {
		user.warnings, err = x.logIn(ctx, user, login, login, r.Pending.Password())
		return err
	}
	// What nothing is left to change by is not to keep a rotation from its end: until then clients are refused.
	tryPending := func(login Login) error {
		if user.acts && persists {
			return try(login)
		}
		return answered(pinging(ctx, x.engine, x.seen)(login))
	}
	user.accepted, user.label, user.err = firstWorking(
		candidate{rotator.LabelCurrent, fixedLogin(x.current), try},
		candidate{rotator.LabelPending, stored(ctx, t, r, x.current, x.isManagedUser), tryPending},
		candidate{rotator.LabelPrevious, previousLogin(ctx, t, r, x.current, x.isManagedUser), try},
	)
	user.applied = user.err == nil && user.label == rotator.LabelPending && !x.clones && !persists &&
		(user.acts || !t.SeveralAccounts)
	return rotator.RunChecks(ctx, x.table(user))
}

// logIn tries a login: where it acts, with the dry run of setting p, for the one that was accepted.
func (x rehearsal) logIn(ctx context.Context, a *loginResult, login, accepted Login, p secret.Password) ([]Warning,
	error) {
	if !a.acts || x.rotation.ReadOnlyProbes {
		return nil, answered(pinging(ctx, x.engine, x.seen)(login))
	}
	warnings, err := x.dryRun(login, accepted, p)
	return warnings, answered(err)
}

// answered marks what a login or a dry run ended with, unless the function ran out of time. The rotation may meet it
// again when the old password is gone, as it does a statement_timeout of the role: it is no unknown.
func answered(err error) error {
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return answer{err}
}

type answer struct{ error }

func (a answer) Unwrap() error { return a.error }

// table is the database half in the order of the report. The superuser's login is tried
// when its secret has been read.
func (x rehearsal) table(user *loginResult) []rotator.Check {
	keys := func(context.Context) rotator.Finding { return judge(nil) }
	table := append([]rotator.Check{{ID: "S9", Proves: descKeys, Run: keys}}, x.checks(user)...)
	if x.superuser == nil {
		return table
	}
	super := &loginResult{prefix: superuserPrefix, acts: true}
	find := func(ctx context.Context) rotator.Finding {
		if user.applied {
			return rotator.Finding{Status: rotator.StatusSkipped, Detail: nothingLeft}
		}
		login, err := x.superuser(user.accepted)
		switch {
		case errors.As(err, new(entitlementError)): // P10 says so
			super.err = err
			return judge(nil)
		case err == nil:
			super.to = &login
			p := x.rotation.Pending.Password()
			if !x.clones && user.label == rotator.LabelPending { // it is set, at the account that was met
				p = user.accepted.Password
			}
			super.warnings, super.err = x.logIn(ctx, super, login, user.accepted, p)
			super.err = staleSuperuser(x.engine, login,
				lostUser(x.rotation, user.label, x.clones &&
					strings.HasSuffix(x.current.User, x.engine.Traits().CloneSuffix), super.err))
		}
		return judge(err)
	}
	table = append(table, rotator.Check{ID: "S10", Proves: descSuperuser, Needs: []string{"P3"}, Run: find})
	return append(table, x.checks(super)...)
}

// superuserPrefix stands before the name of each check of a superuser.
const superuserPrefix = "superuser: "

// DatabaseChecks lists the rows of a preflight that the strategies of this package add to
// [rotator.AWSChecks]: those of the value and of the database. T and P are tested for the
// user of the secret, and again for a superuser; P6 where a password is set, and P7
// where a clone is created or synced too.
func DatabaseChecks() []rotator.Check {
	var rows []rotator.Check
	for _, clones := range []bool{false, true} {
		x := rehearsal{clones: clones, superuser: func(Login) (Login, error) { return Login{}, nil }}
		for _, c := range x.table(&loginResult{}) {
			if !slices.ContainsFunc(rows, func(r rotator.Check) bool { return r.ID == c.ID }) {
				c.Proves = strings.TrimPrefix(c.Proves, superuserPrefix)
				rows = append(rows, c)
			}
		}
	}
	return rows
}

// checkNotRDSProxy refuses the endpoints of RDS Proxy. It logs clients in with the passwords
// of its own secrets, so that testSecret would be refused with the new one, when
// the old one is gone already.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-secrets-arns.html
func checkNotRDSProxy(login Login) error {
	if !strings.Contains(strings.ToLower(login.Host), ".proxy-") || !rotator.IsRDSHost(login.Host) {
		return nil
	}
	return fmt.Errorf("secret: %w: host %s is an RDS Proxy endpoint: "+
		"the proxy has its own copy of the passwords and would reject the new one. Use the database endpoint "+
		"(clients can keep the proxy)", rotator.KindMisconfigured, login.Host)
}

// failure is an error as the checks of a login tell it from others.
type failure struct {
	kind                         rotator.Kind // "" where a mark of the error says more
	any, atLogin, pooler, denied bool
}

func failureOf(err error) failure {
	f := failure{any: err != nil, atLogin: errors.As(err, new(atLogin)),
		pooler: errors.As(err, new(poolerError)), denied: errors.As(err, new(entitlementError))}
	if !f.pooler && !f.denied {
		f.kind = rotator.KindOf(err)
	}
	return f
}

// with says whether the failure is of one of the kinds.
func (f failure) with(kinds ...rotator.Kind) bool { return slices.Contains(kinds, f.kind) }

// row is a check of a login: what it proves, and the failures that are its own.
type row struct {
	id, proves string
	fails      func(failure) bool
}

// rows are in the order in which a server takes a login through them.
func (x rehearsal) rows(a *loginResult) []row {
	rows := []row{
		{"T1", descReach, func(f failure) bool {
			return f.with(rotator.KindUnreachable) || f.atLogin && f.with(rotator.KindDeadline, rotator.KindInternal)
		}},
		{"T2", descTLS, func(f failure) bool { return f.with(rotator.KindTLS) }},
		{"T3", descDirect, func(f failure) bool { return f.pooler }},
		{"P1", descSlot, func(f failure) bool { return f.with(rotator.KindTooManyConnections) }},
		{"P2", descLogin, func(f failure) bool { return f.with(rotator.KindLoginRejected) }},
		{"P3", descAdmitted, func(f failure) bool { return f.atLogin || !a.acts }},
	}
	if !a.acts {
		return rows
	}
	rows = append(rows, row{"P4", descWritable, func(f failure) bool { return f.with(rotator.KindReadOnly) }})
	if x.superuser != nil || x.judgeUser != nil {
		rows = append(rows, row{"P10", descEntitled, func(f failure) bool {
			return f.denied && x.superuser != nil // P6 says what a server shows of a user who changes itself
		}})
	}
	rows = append(rows, row{"P5", descPolicy, func(f failure) bool { return f.with(rotator.KindPasswordPolicy) }})
	change := row{"P6", descChange, func(failure) bool { return true }}
	if x.clones {
		change.id, change.proves = "P7", descClone
	}
	return append(rows, change)
}

// checks are the rows of one login. Each needs the one before it, so that one cause is
// one finding.
func (x rehearsal) checks(a *loginResult) []rotator.Check {
	var table []rotator.Check
	needs := []string{"S9"}
	for _, r := range x.rows(a) {
		if r.id == "P6" || r.id == "P7" {
			needs = append(needs, "S10")
		}
		run := func(context.Context) rotator.Finding { return x.finding(a, r) }
		if r.id == "P10" && x.superuser == nil {
			if a.label == rotator.LabelPending { // it is set, and a rotation is to come to its end
				continue
			}
			run = x.judgeUser
		}
		table = append(table, rotator.Check{ID: r.id, Proves: a.prefix + r.proves, Needs: needs, Run: run})
		needs = []string{r.id}
	}
	if !a.acts {
		return table
	}
	warnings := rotator.Check{ID: "P8", Proves: a.prefix + descAccount}
	if x.clones {
		warnings.ID, warnings.Proves = "P9", a.prefix+descPair
	}
	warnings.Run = func(ctx context.Context) rotator.Finding {
		f := x.warnings(a)
		if f.Status != "" {
			said := append([]string{f.Detail, x.remark}, x.leftOut(ctx)...)
			f.Detail = strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), "; ")
		}
		return f
	}
	return append(table, warnings)
}

// finding is that of a row. There is none where no login was tried.
func (x rehearsal) finding(a *loginResult, r row) rotator.Finding {
	of := failureOf(a.err)
	skipped := rotator.Finding{Status: rotator.StatusSkipped}
	switch {
	case of.any && r.fails(of):
		f := judge(a.err)
		switch {
		// A lock, another session: it says nothing of the next time. setSecret meets it where nothing is changed yet,
		// and no login does.
		case of.with(rotator.KindConflict) && (r.id == "P6" || r.id == "P7"):
			f.Status = rotator.StatusUnknown
		case f.Status == rotator.StatusUnknown && errors.As(a.err, new(answer)):
			f.Status = rotator.StatusFailed
		}
		return f
	case a.to == nil:
		return rotator.Finding{}
	case r.id == "T2" && a.to.TLS.Disabled:
		skipped.Detail = `the secret says "ssl": false`
	case r.id == "T3" && of.any && (of.atLogin || !a.acts):
		skipped.Detail = "seen only after a login"
	case r.id == "T3" && a.to.PoolerForwardsLogins:
		skipped.Detail = `the secret says "` + keyPooler + `": true`
	case r.id == "T3" && !x.engine.Traits().DetectsPoolers:
		skipped.Detail = "this engine cannot tell a pooler from the database"
	case a.applied && slices.Contains([]string{"P4", "P10", "P5", "P6"}, r.id):
		skipped.Detail = nothingLeft
	case r.id == "P2" && a.label == rotator.LabelPending:
		return rotator.Finding{Status: rotator.StatusPassed,
			Detail: "AWSCURRENT is rejected and AWSPENDING works, as expected after setSecret"}
	case r.id == "P2" && a.label == rotator.LabelPrevious:
		return rotator.Finding{Status: rotator.StatusPassed,
			Detail: "AWSCURRENT is rejected and AWSPREVIOUS logs in: the database has an older password"}
	case slices.Contains([]string{"P4", "P10", "P5", "P6", "P7"}, r.id) && x.rotation.ReadOnlyProbes:
		return rotator.Finding{Status: rotator.StatusUnknown, Detail: "no dry run (PREFLIGHT_PROBES=read-only)"}
	default:
		return judge(nil)
	}
	return skipped
}

// leftOut says which servers AWSPREVIOUS names and AWSCURRENT does not, of an engine whose servers share no accounts:
// an edit since the last rotation took them out, and one that is in use keeps the old password alone.
func (x rehearsal) leftOut(ctx context.Context) (said []string) {
	if x.rotation.ReadPrevious == nil {
		return nil
	}
	t := x.engine.Traits()
	for _, key := range t.Keys {
		if !key.Server {
			continue
		}
		d, err := x.rotation.ReadPrevious(ctx)
		if err != nil {
			return nil // which S5 says
		}
		before, err := t.parseLogin(d)
		if err != nil {
			return nil
		}
		listed := func(login Login) []string {
			return strings.FieldsFunc(strings.ToLower(login.Extra[key.Name]), func(r rune) bool {
				return strings.ContainsRune(`[]", `, r)
			})
		}
		now := append(listed(x.current), strings.ToLower(x.current.Host)+":"+strconv.Itoa(x.current.Port))
		for _, server := range listed(before) {
			if !slices.Contains(now, server) {
				said = append(said, fmt.Sprintf("AWSPREVIOUS names %q in %s, and AWSCURRENT does not: this rotation "+
					"sets no password there, and clients of that server are rejected with the new one. If it is in "+
					"use, add it to %[2]s, here and in the superuser secret", server, key.Name))
			}
		}
	}
	return said
}

const nothingLeft = "AWSPENDING logs in already: nothing is left to change"

// judge is a finding whose row gives it id and name.
func judge(err error) rotator.Finding { return rotator.NewFinding("", "", err) }

// warnings is the finding of what a dry run warns of. There is none without a dry run that
// went through.
func (x rehearsal) warnings(a *loginResult) rotator.Finding {
	if a.to == nil || a.err != nil || a.applied || x.rotation.ReadOnlyProbes {
		return rotator.Finding{}
	}
	f := judge(nil)
	texts := make([]string, len(a.warnings))
	for i, w := range a.warnings {
		texts[i], f.Fixes = w.Text, append(f.Fixes, w.Fixes...)
		switch {
		case w.Attempts == 1:
			f.Status, f.Kind = rotator.StatusFailed, rotator.KindMisconfigured
		case w.Unknown && f.Status == rotator.StatusPassed:
			f.Status = rotator.StatusUnknown
		}
		if w.Attempts > 0 {
			texts[i] += ". Between setSecret and finishSecret clients are refused with what the secret holds, and " +
				"each login" +
				" of theirs counts. Alternating users have no such moment"
		}
	}
	f.Detail = strings.Join(texts, "; ")
	return f
}

package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
)

// Mutant is the project with one rule removed: a piece of a source file is replaced.
type Mutant struct {
	Rule     string
	File     string // in the module
	Old, New string // Old is there exactly once
}

// Mutants removes each rule of the state machine in turn, and then each of the
// strategies'.
func Mutants() []Mutant {
	const preflight, checks = "rotator/preflight.go", "strategies/preflight.go"
	const steps, guard, visit, core = "rotator/steps.go", "rotator/guard.go", "rotator/invocation.go", "rotator/rotator.go"
	const candidates, superuser, single, alternating, login = "strategies/candidates.go", "strategies/superuser.go", "strategies/single.go", "strategies/alternating.go", "strategies/login.go"
	const entitlement = "strategies/entitlement.go"
	return []Mutant{
		{"createSecret: nothing is written before the preflight allows it", steps,
			"if err := v.runPreflight(ctx, &seen); err != nil {\n\t\treturn OutcomeFailed", "if err := v.runPreflight(ctx, &seen); false {\n\t\treturn OutcomeFailed"},
		{"createSecret: a value that the server's policy refuses is not stored", preflight,
			"byPolicy := func(f Finding) bool { return f.Kind == KindPasswordPolicy }", "byPolicy := func(Finding) bool { return false }"},
		{"createSecret: the value that was tried is the one to be stored", preflight,
			"r := x.newRotation(x.value.Document, x.proposal)", "r := x.newRotation(x.value.Document, secret.Document{})"},
		{"createSecret: the value of an earlier attempt is kept", steps,
			"if errors.Is(err, KindConflict) {\n\t\treturn v.keep", "if false {\n\t\treturn v.keep"},
		{"createSecret: the RotationToken goes to PutSecretValue", steps,
			"RotationToken: v.event.RotationToken,", "RotationToken: secret.Password{},"},
		{"setSecret: a duplicate after the end changes nothing", steps,
			"func (v *invocation) set(ctx context.Context) (Outcome, error) {\n\tseen, done, err := v.readStart(ctx)\n\tif err != nil || done {",
			"func (v *invocation) set(ctx context.Context) (Outcome, error) {\n\tseen, _, err := v.readStart(ctx)\n\tif err != nil {"},
		{"setSecret: the database is changed", steps,
			"err = v.Strategy.Apply(ctx, v.newRotation(seen.value.Document, pending.Document))", "_, _ = seen, pending"},
		{"setSecret: no change begins that could be cut off", steps,
			"if left < need {", "if false {"},
		{"testSecret: the pending value is used", steps,
			"if err := v.verifyAgain(ctx, current.Document, pending.Document, true); err != nil {", "if err := error(nil); err != nil {"},
		{"testSecret: a copy of AWSCURRENT is a configuration test", steps,
			"case isCopy(pending.Document, current.Document):", "case false:"},
		{"testSecret: a version that is AWSCURRENT is done", steps,
			"case current.VersionID == v.event.VersionID:", "case false:"},
		{"createSecret and setSecret: no rotation to the credentials in use", steps,
			"if !isCopy(pending, current) {", "if true {"},
		{"finishSecret: the database rejects the pending password, and AWSCURRENT stays", steps,
			"case errors.Is(err, KindLoginRejected):", "case false:"},
		{"finishSecret: a server that does not respond leaves time for the move", steps,
			"time.Until(deadline)/2)", "time.Until(deadline))"},
		{"testSecret: alone and on an empty version, it tests the configuration", steps,
			"return v.testConfiguration(ctx, err)", "return OutcomeFailed, err"},
		{"finishSecret: AWSCURRENT moves", guard,
			"err = v.Store.MoveLabel(ctx, v.event.SecretID, m)", "err = nil"},
		{"finishSecret: after an error, it looks whether the label has moved", guard,
			"&& v.labelArrived(ctx, m) {", "&& false {"},
		{"guard: a version that is AWSCURRENT already is left alone", guard,
			"case m.HasLabel(version, LabelCurrent):\n\t\treturn true, nil", "case m.HasLabel(version, LabelCurrent):\n\t\treturn false, nil"},
		{"guard: a version that is not AWSPENDING is refused", guard,
			"case !m.HasLabel(version, LabelPending):", "case false:"},
		{"guard: a version that the secret does not have is refused", guard,
			"case !known:", "case !known && false:"},
		{"guard: nothing happens once rotation is disabled", guard,
			"if m.RotationEnabled != nil && !*m.RotationEnabled {", "if false {"},
		{"guard: a secret that is to be deleted is refused", guard,
			"case !m.DeletionDate.IsZero():", "case false:"},
		{"guard: a secret of another service is refused", guard,
			"case m.OwningService != \"\":", "case false:"},
		{"guard: a secret that a partner rotates is refused", guard,
			"case m.Type != \"\":", "case false:"},
		{"guard: a replica is refused", guard,
			"case m.PrimaryRegion != \"\" && m.PrimaryRegion != m.Region:", "case false:"},
		{"what may be stale is read again", visit,
			"for n, wait := range waits {", "for n, wait := range waits[:0] {"},
		{"the pending value is read by the version of the event", visit,
			"val, err = v.readValue(ctx, v.event.SecretID, VersionRef{ID: v.event.VersionID, Label: LabelPending})", "val, err = v.readValue(ctx, v.event.SecretID, VersionRef{Label: LabelPending})"},
		{"values that were read are scrubbed from errors", visit,
			"v.scrub.AddDocument(val.Document)", ""},
		{"notes are scrubbed", visit,
			"\tv.sanitizeFields(&v.record)", ""},
		{"a panic is an error of the step", core,
			"if p := recover(); p != nil {", "if p := any(nil); p != nil {"},
		{"a step ends before Lambda does", core,
			"return context.WithDeadline(ctx, deadline.Add(-cmp.Or(r.DeadlineMargin, 500*time.Millisecond)))", "return context.WithDeadline(ctx, deadline)"},

		{"the preflight of a retry finds the pending password set", checks,
			"candidate{rotator.LabelPending, stored(ctx, t, r, current, isManagedUser), try},", ""},
		{"only a rejected login lets other credentials be tried", candidates,
			"if !errors.Is(err, rotator.KindLoginRejected) {", "if false {"},
		{"the previous password goes to no other host", candidates,
			"|| !sameEndpoint(login, current) || !asStrict", "|| !asStrict"},
		{"the previous password is sent under the TLS rules of its own value", candidates,
			" || !asStrict(current, login) || differing", " || differing"},
		{"the previous password is of an account of this secret", candidates,
			"!isManagedUser(login.User) || !sameEndpoint", "!sameEndpoint"},
		{"the superuser acts on the server of the secret only", superuser,
			"if !sameEndpoint(login, current) {", "if false {"},
		{"a pending value leads nowhere else", login,
			"if differ != nil {", "if false {"},
		{"single user: the pending value is of the same account", single,
			"if other.User != current.User {", "if false {"},
		{"single user: a retry finds the pending password set", single,
			"candidate{rotator.LabelPending, fixedLogin(pending), ping},", ""},
		{"single user: AWSPREVIOUS is the last resort", single,
			"candidate{rotator.LabelPrevious, previousLogin(ctx, t, r, current, isManagedUser), try},", "candidate{rotator.LabelPrevious, func() (Login, error) { _ = isManagedUser; return Login{}, errNoCandidate }, try},"},
		{"single user: the superuser acts for who holds credentials that work", single,
			"try := ping\n", "try := func(Login) error { return nil }\n"},
		{"alternating users: the superuser acts for who holds credentials that work", alternating,
			"candidate{rotator.LabelCurrent, fixedLogin(current), ping},", "candidate{rotator.LabelCurrent, fixedLogin(current), func(Login) error { return nil }},"},
		{"alternating users: the pending value is of the other account", alternating,
			"if pending.User != pair.Target {", "if false {"},
		{"alternating users: the users take turns", alternating,
			"next = next.Set(keyUser, pair.Target)", "next = next.Set(keyUser, pair.InUse())"},
		{"alternating users: the password of the user in use is not touched", alternating,
			"err = a.Engine.EnsureClone(ctx, superuser, pair, pending.Password)", "err = a.Engine.SetPassword(ctx, superuser, pair.InUse(), pending.Password)"},
		{"entitlement: never the superuser", entitlement,
			"case seen.Acting:", "case false:"},
		{"entitlement: never an administrator", entitlement,
			"case len(seen.Admin) > 0:", "case false:"},
		{"entitlement: a membership proves nothing of a pair that the secret names", entitlement,
			`case seen.NoProvenance == "" && !p.Named:`, `case seen.NoProvenance == "":`},
		{"entitlement: provenance is looked for", entitlement,
			`case seen.NoProvenance == "" && !p.Named:`, "case !p.Named:"},
		{"entitlement: consent is looked for", alternating,
			"pair.Consent = consents(d, pair)", "pair.Consent = consents(d, pair) || true"},
		{"entitlement: consent gives no power away", entitlement,
			"case p.Consent && len(seen.Synced) == 0:", "case p.Consent:"},
		{"entitlement: possession is tried", entitlement,
			"unproved = p.Possession(ctx, seen.Holds)", "unproved = nil"},
		{"entitlement: the superuser secret is of no user of the secret", superuser,
			"if slices.Contains(users, name) {", "if slices.Contains(users, name) && false {"},
		{"alternating users: a pair made beforehand changes places", alternating,
			"next = next.Set(keyAlternate, current.User)", ""},
	}
}

// EngineMutants removes what an engine shows of whose account it is, and whether clients can go on with it. The suites on
// Memory cannot see that: states of accounts on real servers do.
func EngineMutants() []Mutant {
	const postgres, mysql = "strategies/postgres/", "strategies/mysql/"
	return []Mutant{
		{"entitlement: a membership without INHERIT and SET proves nothing", postgres + "entitlement.go",
			`effective = "(a.inherit_option OR a.set_option)"`, `effective = "true"`},
		{"entitlement: a membership counts if whoever granted it could have set the password", postgres + "entitlement.go",
			"(g.rolsuper OR NOT me.rolsuper", "(true OR g.rolsuper OR NOT me.rolsuper"},
		{"entitlement: a clone that may do more is not shown to be one", postgres + "entitlement.go",
			"case more != nil && toClone:", "case false:"},
		{"entitlement: a clone of ours bears a mark", mysql + "entitlement.go",
			"if marks[clone.host] != c.pair.Original {", "if marks[clone.host] != c.pair.Original && false {"},
		{"entitlement: possession is of what the server stores", mysql + "entitlement.go",
			"return len(left) == 0", "return true"},
		{"stand-ins: accounts that clients would meet next are looked at", mysql + "clone.go",
			"err = c.checkStandIns(ctx)", "err = nil"},
		{"stand-ins: a role that clients would use next may connect", postgres + "clone.go",
			"err := s.checkConnects(ctx, target)", "err := error(nil)"},
		{"stand-ins: a clone can be given what is its original's own", postgres + "clone.go",
			"if err == nil && !free && pair.Target == pair.Clone {", "if err == nil && !free && pair.Target == pair.Clone && false {"},
	}
}

// apply gives the mutated source.
func (m Mutant) apply(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.Old); n != 1 {
		return "", fmt.Errorf("%s: %q is in %s %d times; want once: adapt the mutant to the code", m.Rule, m.Old, m.File, n)
	}
	return strings.Replace(string(text), m.Old, m.New, 1), nil
}

// MutantResult is what became of a mutant.
type MutantResult struct {
	Mutant
	By string // the test that noticed it; "": none did
}

// suites are asked in turn which of them notices a mutant: first the suite of whole
// rotations, then those of single rules.
var suites = [][]string{
	{"-run", "OnMemory", "./strategies/strategytest"},
	{"./rotator", "./strategies"},
}

// RunMutant runs the suites on a mutant, without touching the sources.
func RunMutant(ctx context.Context, root string, m Mutant) (MutantResult, error) {
	for _, suite := range suites {
		out, failed, err := m.test(ctx, root, suite...)
		if err != nil {
			return MutantResult{}, err
		}
		if failed {
			return MutantResult{m, culprit(out)}, nil
		}
	}
	return MutantResult{Mutant: m}, nil
}

// test is go test with a mutant in the place of its file.
func (m Mutant) test(ctx context.Context, root string, args ...string) (out []byte, failed bool, err error) {
	text, err := m.apply(root)
	if err != nil {
		return nil, false, err
	}
	dir, err := os.MkdirTemp("", "quarterturn-mutant-")
	if err != nil {
		return nil, false, err
	}
	defer os.RemoveAll(dir)
	mutated, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	original, err := filepath.Abs(filepath.Join(root, m.File))
	if err != nil {
		return nil, false, err
	}
	plan, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return nil, false, err
	}
	for file, content := range map[string][]byte{mutated: []byte(text), overlay: plan} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return nil, false, err
		}
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-failfast", "-count=1", "-vet=off", "-timeout=5m", "-overlay", overlay}, args...)...)
	cmd.Dir = root
	out, err = cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return nil, false, ctx.Err()
	case bytes.Contains(out, []byte("[build failed]")):
		return nil, false, fmt.Errorf("%s: the mutant does not compile:\n%s", m.Rule, out)
	}
	return out, err != nil, nil
}

var failedTest = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// culprit is the innermost test that failed first.
func culprit(out []byte) string {
	names := failedTest.FindAllSubmatch(out, -1)
	name := ""
	for _, n := range names {
		if !strings.HasPrefix(string(n[1]), name) {
			break
		}
		name = string(n[1])
	}
	if name == "" {
		return "the test run itself (a panic or a hang)"
	}
	return strings.ReplaceAll(name, "_", " ")
}

// WriteMutantResults prints which rule is guarded by what.
func WriteMutantResults(w io.Writer, fates []MutantResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "rule that was removed\tnoticed by")
	for _, f := range fates {
		by := f.By
		if by == "" {
			by = "NOBODY"
		}
		fmt.Fprintf(t, "%s\t%s\n", f.Rule, by)
	}
	return t.Flush()
}

package strategies

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// ByEngine rotates secrets of several engines in one function, all by one strategy. The
// value of a secret's key engine chooses the engine, among those that are allowed. AWSCURRENT
// decides: a pending value for another engine is refused, as for another host.
type ByEngine struct {
	Engines []Engine
	// Allowed are the values of the key engine that may be rotated. None: none.
	Allowed []string

	Alternating      bool // AlternatingUsers; otherwise SingleUser
	ThroughSuperuser bool // SingleUser.ThroughSuperuser
	// DualPasswords in place of SingleUser, on the engines of these names (Traits.Name)
	DualPasswords      map[string]bool
	RotateOnly         bool   // AlternatingUsers.RotateOnly
	SuperuserSecretARN string // of each strategy
}

// ability is what the strategies of this package can do.
type ability interface {
	rotator.Strategy
	rotator.Preflighter
	rotator.FailedLoginLimiter
	rotator.PasswordResetter
	rotator.PartialDryRun
	rotator.UseTester
	rotator.LoginExplainer
	rotator.TargetNamer
	rotator.RunnerNamer
}

// Propose implements rotator.Strategy.
func (b ByEngine) Propose(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	s, err := b.strategy(r)
	if err != nil {
		return secret.Document{}, err
	}
	return s.Propose(ctx, r)
}

// Preflight implements rotator.Preflighter.
func (b ByEngine) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	s, err := b.strategy(r)
	if err != nil {
		return []rotator.Finding{rotator.NewFinding("S9", descKeys, err)}
	}
	return s.Preflight(ctx, r)
}

// Apply implements rotator.Strategy.
func (b ByEngine) Apply(ctx context.Context, r rotator.Rotation) error {
	s, err := b.strategy(r)
	if err != nil {
		return err
	}
	return s.Apply(ctx, r)
}

// Verify implements rotator.Strategy.
func (b ByEngine) Verify(ctx context.Context, r rotator.Rotation) error {
	s, err := b.strategy(r)
	if err != nil {
		return err
	}
	return s.Verify(ctx, r)
}

// LimitsFailedLogins implements rotator.FailedLoginLimiter. A value for none of the engines is sent nowhere.
func (b ByEngine) LimitsFailedLogins(d secret.Document) bool {
	s, err := b.strategy(rotator.Rotation{Current: d})
	return err != nil || s.LimitsFailedLogins(d)
}

// SwitchesAccount implements rotator.AccountSwitcher.
func (b ByEngine) SwitchesAccount(secret.Document) bool { return b.Alternating }

// ResetStatement implements rotator.PasswordResetter.
func (b ByEngine) ResetStatement(d secret.Document) string {
	s, err := b.strategy(rotator.Rotation{Current: d})
	if err != nil {
		return ""
	}
	return s.ResetStatement(d)
}

// Runners implements rotator.RunnerNamer.
func (b ByEngine) Runners(d secret.Document) rotator.Runners {
	s, err := b.strategy(rotator.Rotation{Current: d})
	if err != nil {
		return rotator.Runners{}
	}
	return s.Runners(d)
}

// NotInDryRun implements rotator.PartialDryRun.
func (b ByEngine) NotInDryRun(ctx context.Context, r rotator.Rotation) (untold string, err error) {
	s, err := b.strategy(r)
	if err != nil {
		return "", err
	}
	return s.NotInDryRun(ctx, r)
}

// TestUse implements rotator.UseTester.
func (b ByEngine) TestUse(ctx context.Context, r rotator.Rotation) (remark rotator.Sentence,
	err error) {
	s, err := b.strategy(r)
	if err != nil {
		return remark, err
	}
	return s.TestUse(ctx, r)
}

// strategy is the one for a secret.
func (b ByEngine) strategy(r rotator.Rotation) (ability, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	d := r.Current
	if d.IsZero() { // in Verify, where the value under test has been through Apply
		d = r.Pending
	}
	name := d.Text(keyEngine)
	if name == "" {
		return nil, fmt.Errorf("secret: %w: the key %s is missing: want one of %s", rotator.KindMisconfigured,
			keyEngine, strings.Join(b.Allowed, ", "))
	}
	if !slices.Contains(b.Allowed, name) {
		return nil, fmt.Errorf("secret: %w: %w: engine is %.80q, and this function rotates %s (ENGINES)",
			rotator.KindMisconfigured, rotator.ErrOtherEngine, name, strings.Join(b.Allowed, ", "))
	}
	e := b.engine(name)
	if b.Alternating {
		cloning, ok := e.(CloningEngine)
		if !ok {
			return nil, fmt.Errorf("environment: %w: %s has no alternating users: set STRATEGY=single-user",
				rotator.KindMisconfigured, e.Traits().Name)
		}
		return AlternatingUsers{Engine: cloning, SuperuserSecretARN: b.SuperuserSecretARN, RotateOnly: b.RotateOnly},
			nil
	}
	if dual, ok := e.(DualPasswordEngine); ok && b.DualPasswords[e.Traits().Name] {
		return DualPasswords{Engine: dual, ThroughSuperuser: b.ThroughSuperuser,
			SuperuserSecretARN: b.SuperuserSecretARN}, nil
	}
	return SingleUser{Engine: e, ThroughSuperuser: b.ThroughSuperuser, SuperuserSecretARN: b.SuperuserSecretARN}, nil
}

// engine is the one that serves a value of the key engine; nil: none does.
func (b ByEngine) engine(name string) Engine {
	for _, e := range b.Engines {
		if slices.Contains(e.Traits().Engines, name) {
			return e
		}
	}
	return nil
}

// Validate refuses an empty list, and one with names that no engine here serves: a name
// that is misspelt would otherwise be found out by the first secret of that engine.
func (b ByEngine) Validate() error {
	var known []string
	for _, e := range b.Engines {
		known = append(known, e.Traits().Engines...)
	}
	if len(b.Allowed) == 0 {
		return fmt.Errorf("environment: %w: ENGINES is missing: name the engines whose secrets this function may "+
			"rotate, by comma: %s", rotator.KindMisconfigured, strings.Join(known, ","))
	}
	for _, name := range b.Allowed {
		if b.engine(name) == nil {
			return fmt.Errorf("environment: %w: ENGINES names %.80q, which this function cannot rotate: want "+
				"some of %s", rotator.KindMisconfigured, name, strings.Join(known, ","))
		}
	}
	return nil
}

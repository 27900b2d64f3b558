package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/strategies/valkey"
)

// surroundings are what the program finds around it; tests put others in their place.
type surroundings struct {
	// lookup reads the environment, which has the settings that the function has in its
	// own: DATABASE_CA_FILE and so on.
	lookup  func(string) (string, bool)
	engines func(serve.Settings) ([]strategies.CloningEngine, error)
}

func realSurroundings() *surroundings { return &surroundings{os.LookupEnv, allEngines} }

// askHere is the function, run on this machine: the same strategy, checks, table of
// decisions and store. It needs what the function needs: the permissions, and a way to
// the database.
func (q *question) askHere(ctx context.Context, cfg aws.Config, payload []byte) ([]byte, error) {
	settings, err := q.settings()
	if err != nil {
		return nil, err
	}
	build, err := strategyOf(q.strategy)
	if err != nil {
		return nil, err
	}
	store := awsstore.New(cfg, settings.SecretsManagerURL)
	strategy, err := q.strategyFor(ctx, store, build, settings)
	switch rotator.KindOf(err) {
	case "":
	case rotator.KindNotFound:
		if _, bad := store.Describe(ctx, q.secret); rotator.KindOf(bad) == rotator.KindNotFound {
			return nil, q.noSecret(ctx, cfg)
		}
		strategy = noStrategy{err}
	case rotator.KindMisconfigured, rotator.KindAccessDenied: // which the answer says
		var refused apiError
		if errors.As(err, &refused) && notAccepted(refused.ErrorCode()) {
			return nil, plain("secret "+q.secret, err)
		}
		strategy = noStrategy{err}
	default:
		return nil, err
	}
	r := rotator.Rotator{
		Store:          store,
		Strategy:       strategy,
		PasswordPolicy: settings.PasswordPolicy,
		TagChoices:     settings.TagChoices,
		PreflightMode:  settings.PreflightMode,
		Copies:         settings.Copies,
		ReadOnlyProbes: settings.ReadOnlyProbes,
	}
	answer, err := r.HandleJSON(ctx, payload)
	if answer == nil {
		return nil, err
	}
	body, bad := json.Marshal(answer)
	if bad != nil {
		return nil, bad
	}
	return body, err
}

// allEngines are all that this project has. A handler knows one, so that no Lambda binary
// carries another's driver; here there is no cold start.
func allEngines(s serve.Settings) ([]strategies.CloningEngine, error) {
	pg, err := postgres.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
	vk, bad := valkey.Engine{Roots: s.RootCAs}.Configure(s.Lookup)
	return []strategies.CloningEngine{pg, mysql.Engine{Roots: s.RootCAs}, mysql.MariaDB{Roots: s.RootCAs}, vk},
		errors.Join(err, bad)
}

// builder makes the strategy of --strategy for one engine.
type builder func(strategies.CloningEngine, serve.Settings) (rotator.Strategy, error)

// strategyNames are the values of --strategy. Each may be cut short: single, alternating, dual.
const strategyNames = "single-user, superuser, alternating-users or dual-passwords"

func strategyOf(name string) (builder, error) {
	switch name {
	case "single-user", "single", "superuser":
		return func(e strategies.CloningEngine, s serve.Settings) (rotator.Strategy, error) {
			return strategies.SingleUser{Engine: e, ThroughSuperuser: name == "superuser" || s.ThroughSuperuser,
				SuperuserSecretARN: s.SuperuserSecretARN}, nil
		}, nil
	case "alternating-users", "alternating":
		return func(e strategies.CloningEngine, s serve.Settings) (rotator.Strategy, error) {
			return strategies.AlternatingUsers{Engine: e, RotateOnly: s.RotateOnly,
				SuperuserSecretARN: s.SuperuserSecretARN}, nil
		}, nil
	case "dual-passwords", "dual":
		return func(e strategies.CloningEngine, s serve.Settings) (rotator.Strategy, error) {
			d, ok := e.(strategies.DualPasswordEngine)
			if !ok {
				return nil, usage("--strategy is %q, and %s has no dual passwords: choose single-user, superuser or "+
					"alternating-users", name, e.Traits().Name)
			}
			return strategies.DualPasswords{Engine: d, ThroughSuperuser: s.ThroughSuperuser,
				SuperuserSecretARN: s.SuperuserSecretARN}, nil
		}, nil
	}
	return nil, usage("--strategy is %q: choose "+strategyNames, name)
}

// noStrategy is that of a secret of which no value says how it is rotated. It gives the reason wherever it is asked.
type noStrategy struct{ why error }

func (n noStrategy) Propose(context.Context, rotator.Rotation) (secret.Document, error) {
	return secret.Document{}, n.why
}
func (n noStrategy) Apply(context.Context, rotator.Rotation) error  { return n.why }
func (n noStrategy) Verify(context.Context, rotator.Rotation) error { return n.why }
func (n noStrategy) Preflight(context.Context, rotator.Rotation) []rotator.Finding {
	return []rotator.Finding{rotator.NewFinding("S9", "the keys of the secret", n.why)}
}

// strategyFor reads which engine a secret is for, and makes its strategy. A secret whose
// AWSCURRENT cannot be read may have another version that says it.
func (q *question) strategyFor(ctx context.Context, store rotator.Store, build builder,
	settings serve.Settings) (rotator.Strategy, error) {
	var first error
	for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
		value, err := store.Value(ctx, q.secret, rotator.VersionRef{Label: label})
		if err == nil {
			var e strategies.CloningEngine
			if e, err = q.engineOf(value.Document, settings); err == nil {
				return build(e, settings)
			}
		}
		if first == nil {
			first = fmt.Errorf("%s of secret %s: %w", label, q.secret, err)
		}
	}
	return nil, first
}

// engineOf is the engine that a value names.
func (q *question) engineOf(d secret.Document, settings serve.Settings) (strategies.CloningEngine, error) {
	var known []string
	engines, err := q.around.engines(settings)
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	for _, e := range engines {
		names := e.Traits().Engines
		if slices.Contains(names, d.Text("engine")) {
			return e, nil
		}
		known = append(known, names...)
	}
	return nil, fmt.Errorf("%w: engine is %.80q: it must be one of %s", rotator.KindMisconfigured, d.Text("engine"),
		strings.Join(known, ", "))
}

package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Inquiry implements rotator.LoginExplainer.
func (s SingleUser) Inquiry(values ...secret.Document) []rotator.Fix {
	return inquiry(s.Engine, values)
}

// Inquiry implements rotator.LoginExplainer.
func (a AlternatingUsers) Inquiry(values ...secret.Document) []rotator.Fix {
	return inquiry(a.Engine, values)
}

// Inquiry implements rotator.LoginExplainer.
func (d DualPasswords) Inquiry(values ...secret.Document) []rotator.Fix {
	return inquiry(d.Engine, values)
}

// Inquiry implements rotator.LoginExplainer.
func (b ByEngine) Inquiry(values ...secret.Document) []rotator.Fix {
	if len(values) == 0 {
		return nil
	}
	return inquiry(b.engine(values[0].Text(keyEngine)), values)
}

func inquiry(e Engine, values []secret.Document) []rotator.Fix {
	var users []string
	for _, d := range values {
		if user := d.Text(keyUser); user != "" {
			users = append(users, user)
		}
	}
	if x, ok := e.(Explainer); ok && users != nil {
		return x.Inquiry(users...)
	}
	return nil
}

// ExplainRejected implements rotator.LoginExplainer.
func (s SingleUser) ExplainRejected(ctx context.Context, r rotator.Rotation,
	rejected ...secret.Document) ([]rotator.RejectionCause, error) {
	arn := ""
	if s.ThroughSuperuser {
		arn = s.SuperuserSecretARN
	}
	return explainRejected(ctx, s.Engine, r, arn, false, rejected)
}

// ExplainRejected implements rotator.LoginExplainer.
func (a AlternatingUsers) ExplainRejected(ctx context.Context, r rotator.Rotation,
	rejected ...secret.Document) ([]rotator.RejectionCause, error) {
	return explainRejected(ctx, a.Engine, r, a.SuperuserSecretARN, true, rejected)
}

// ExplainRejected implements rotator.LoginExplainer.
func (d DualPasswords) ExplainRejected(ctx context.Context, r rotator.Rotation,
	rejected ...secret.Document) ([]rotator.RejectionCause, error) {
	return d.single().ExplainRejected(ctx, r, rejected...)
}

// ExplainRejected implements rotator.LoginExplainer.
func (b ByEngine) ExplainRejected(ctx context.Context, r rotator.Rotation,
	rejected ...secret.Document) ([]rotator.RejectionCause, error) {
	s, err := b.strategy(r)
	if err != nil {
		return nil, err
	}
	return s.ExplainRejected(ctx, r, rejected...)
}

// explainRejected logs the superuser in, by the rules of a rotation: only where its own secret leads,
// and never for its own user. The values are of the server of AWSCURRENT, or they would not have been sent there. It
// has the names of the pair, where the secret is for one: another role in the place of one that is gone may be that.
func explainRejected(ctx context.Context, e Engine, r rotator.Rotation, fallbackARN string, paired bool,
	rejected []secret.Document) ([]rotator.RejectionCause, error) {
	x, ok := e.(Explainer)
	if !ok || fallbackARN == "" && r.Current.Text(keySuperuser) == "" {
		return nil, nil
	}
	t := e.Traits()
	current, err := t.parseLogin(r.Current)
	if err != nil {
		return nil, err
	}
	var logins []Login
	var users []string
	for _, d := range rejected {
		login, err := t.parseLogin(d)
		if err != nil {
			return nil, fmt.Errorf("rejected value: %w", err)
		}
		logins, users = append(logins, login), append(users, login.User)
	}
	superuser, _, err := superuserLogin(ctx, t, r, fallbackARN, current, users...)
	if err != nil {
		return nil, err
	}
	superuser.For.Users = []string{current.User}
	if pair, err := t.parsePair(r.Current, current.User); err == nil && paired {
		superuser.For.Users = []string{pair.Original, pair.Clone}
	}
	var holds []func() (Login, error)
	for _, login := range logins {
		holds = append(holds, fixedLogin(login))
	}
	if r.ReadPrevious != nil { // which works, perhaps, and so is of none that was rejected
		holds = append(holds, previousLogin(ctx, t, r, current, func(user string) bool {
			return slices.Contains(users, user)
		}))
	}
	superuser.For.Passwords = passwordsOf(holds...)
	causes, err := x.Explain(ctx, superuser, logins...)
	tester, ok := e.(UseTester)
	changes := func(c rotator.RejectionCause) bool { return c.Reset != "" || c.Fixes != nil }
	ofItsOwn := slices.ContainsFunc(t.Keys, func(k Key) bool { return k.Server }) // accounts do not come from a source
	if ok && !ofItsOwn && slices.ContainsFunc(causes, changes) {
		if _, use := tester.TestUse(ctx, superuser); errors.Is(use, rotator.KindReadOnly) {
			for i, cause := range causes {
				if cause.Fixes != nil { // which a superuser could run there, and would change that server alone
					causes[i].Remedy, causes[i].Fixes = "", nil
				}
			}
			return causes, use
		}
	}
	return causes, staleSuperuser(e, superuser, err)
}

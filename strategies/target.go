package strategies

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Target implements rotator.TargetNamer.
func (s SingleUser) Target(d secret.Document) rotator.Target {
	if s.ThroughSuperuser {
		return targetOf("single-user-through-superuser", s.Engine, d)
	}
	return targetOf("single-user", s.Engine, d)
}

// Target implements rotator.TargetNamer.
func (a AlternatingUsers) Target(d secret.Document) rotator.Target {
	return targetOf("alternating-users", a.Engine, d)
}

// Target implements rotator.TargetNamer.
func (d DualPasswords) Target(value secret.Document) rotator.Target {
	return targetOf("dual-passwords", d.Engine, value)
}

// Target implements rotator.TargetNamer.
func (b ByEngine) Target(d secret.Document) rotator.Target {
	s, err := b.strategy(rotator.Rotation{Current: d})
	if err != nil {
		return rotator.Target{}
	}
	return s.Target(d)
}

// targetOf leaves out of a value what is secret. One that is no login names the strategy alone.
func targetOf(strategy string, e Engine, d secret.Document) rotator.Target {
	login, err := e.Traits().parseLogin(d)
	if err != nil {
		return rotator.Target{Strategy: strategy}
	}
	return rotator.Target{Strategy: strategy, Engine: d.Text(keyEngine), Host: login.Host, Port: login.Port,
		Database: login.Database, User: login.User}
}

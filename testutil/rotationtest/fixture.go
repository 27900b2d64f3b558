package rotationtest

import (
	"context"
	"net"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
)

// Fixture is a strategy, a secret and a server, for whole rotations with
// something going wrong in them. Of StrategyFixture it needs Strategy, Current,
// LogIn, and KeepsCurrent where it holds. Current must name its server in host and
// port if there is Dial; and if TLS is on, the pieces that are cut are records.
type Fixture struct {
	strategytest.StrategyFixture

	// Previous and Pending are values that the secret has beside Current, of rotations
	// before this one, and of one that others began. Zero: there is none.
	Previous, Pending secret.Document

	// Dial reaches the server, for a strategytest.Proxy to stand in between.
	Dial func(ctx context.Context) (net.Conn, error)
	// ContextReachesStrategy says that the step's context reaches the strategy, so that a server can
	// fall silent at every piece without each being waited for. (A function in a
	// process of its own waits for the engine's time limits.)
	ContextReachesStrategy bool
	// Tap is for a server without a network: ask is to be called when the server is
	// about to do something, and when it has done it. An error ends the call.
	Tap func(ask func(what string, after bool) error)

	// Troubles are what a server can be in: read only, without a free connection,
	// with the account locked by another transaction.
	Troubles map[string]Disruption
	// Refuse has the server let a user in with no password, until its end. nil: where the user of AWSCURRENT
	// changes, it is not tried whether clients are sent to one that is refused.
	Refuse func(user string) Disruption
	// Restart restarts the server, as after a loss of power, and returns when it is
	// ready. Each trial ends in one, so that what was not saved is found missing.
	Restart func(ctx context.Context) error

	// Chaos is for ChaosTrials.
	Chaos Chaos

	// ServerLog gives everything the server has logged, at its most talkative.
	ServerLog func() string
	// Deploy makes the function. nil: Strategy runs in this process, with the preflight as Preflight says.
	Deploy    Deploy
	Preflight rotator.PreflightMode
	// Close ends what is the fixture's alone. nil: there is nothing to end.
	Close func()

	name func(port int) (host string, end func() error, err error) // of the way to the server; nil: 127.0.0.1
}

// NewFixture makes a fixture, with an account that no other fixture has.
type NewFixture func(ctx context.Context) (Fixture, error)

// A Disruption begins, for the users that the fixture is about, and is ended by what
// it returns.
type Disruption func(ctx context.Context) (end func() error, err error)

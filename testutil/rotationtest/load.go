package rotationtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// LoadStats is what clients met while their secret rotated again and again.
type LoadStats struct {
	Rotations int
	Elapsed   time.Duration
	Reading   ClientStats // read the secret before each login
	Caching   ClientStats // keep what they have read until the next rotation begins, or until it is refused
}

// ClientStats is what one kind of them met.
type ClientStats struct {
	Logins  int
	Refused int           // of them
	Gap     time.Duration // the longest time between a refusal and the next success of the same client
}

func (c *ClientStats) add(d ClientStats) {
	c.Logins, c.Refused, c.Gap = c.Logins+d.Logins, c.Refused+d.Refused, max(c.Gap, d.Gap)
}

// LoadTest rotates a secret again and again, while clients of each kind log in
// without a pause.
type LoadTest struct {
	Rotations   int
	Clients     int           // of each kind
	MaxDuration time.Duration // no rotation begins after that. 0: all are made
}

// Run gives what the clients met. Every rotation must be complete. Where users
// alternate, a refusal is a breach: ViolationLockedOut.
//
// A client's reading and logging in counts as one act: a rotation does not begin
// in the midst of it, because what alternating users promise is that a value stays
// good for one whole rotation.
func (e LoadTest) Run(ctx context.Context, fresh NewFixture) (load LoadStats, err error) {
	f, err := fresh(ctx)
	if err != nil {
		return load, fmt.Errorf("fixture: %w", err)
	}
	if f.Close != nil {
		defer f.Close()
	}
	related, err := f.RelatedSecrets(ctx)
	if err != nil {
		return load, fmt.Errorf("fixture: %w", err)
	}
	service, err := Open(ServiceConfig{
		Strategy: f.Strategy, Preflight: f.Preflight, Deploy: f.Deploy, Current: f.Current, Related: related,
	})
	if err != nil {
		return load, fmt.Errorf("service: %w", err)
	}
	defer func() { err = errors.Join(err, service.Close()) }()

	c := clientPool{Fixture: f, service: service}
	living, leave := context.WithCancel(ctx)
	defer leave()
	var met sync.WaitGroup
	for range e.Clients {
		met.Go(func() { c.runClient(living, false, &load.Reading) })
		met.Go(func() { c.runClient(living, true, &load.Caching) })
	}
	begin := time.Now()
	for load.Rotations < e.Rotations && (e.MaxDuration <= 0 || time.Since(begin) < e.MaxDuration) {
		c.turning.Lock() // a login under way ends first
		c.epoch.Add(1)
		c.turning.Unlock()
		if err = service.Rotate(ctx, 1); err != nil {
			break
		}
		load.Rotations++
	}
	load.Elapsed = time.Since(begin)
	leave()
	met.Wait()
	if refused := load.Reading.Refused + load.Caching.Refused; f.KeepsCurrent && refused > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d logins were refused", ViolationLockedOut, refused))
	}
	return load, errors.Join(append(c.failed, err)...)
}

// clientPool is the clients of one secret.
type clientPool struct {
	Fixture
	service *Service
	turning sync.RWMutex
	epoch   atomic.Int64 // rotations that have begun

	mu     sync.Mutex
	failed []error // other than by a refusal
}

// runClient is one client.
func (c *clientPool) runClient(ctx context.Context, caches bool, sum *ClientStats) {
	var met ClientStats
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		sum.add(met)
	}()
	var kept secret.Document
	var read int64
	var since time.Time // of a refusal; zero: the latest login was accepted
	for ctx.Err() == nil {
		runtime.Gosched() // where a login takes no time, the rotation goes on all the same
		err := func() error {
			c.turning.RLock()
			defer c.turning.RUnlock()
			if now := c.epoch.Load(); !caches || kept.IsZero() || read != now || !since.IsZero() {
				kept, read = c.service.ValueAt(rotator.LabelCurrent), now
			}
			return c.LogIn(ctx, kept)
		}()
		switch {
		case ctx.Err() != nil:
		case err == nil:
			met.Logins++
			if !since.IsZero() {
				met.Gap, since = max(met.Gap, time.Since(since)), time.Time{}
			}
		case errors.Is(err, rotator.KindLoginRejected):
			met.Logins, met.Refused = met.Logins+1, met.Refused+1
			if since.IsZero() {
				since = time.Now()
			}
		default:
			c.mu.Lock()
			c.failed = append(c.failed, fmt.Errorf("client: %w", err))
			c.mu.Unlock()
			return
		}
	}
}

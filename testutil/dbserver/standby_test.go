package dbserver

import (
	"context"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// A standby has what its server did until it was cut off, and nothing after; promoted, it takes changes.
func TestStandbys(t *testing.T) {
	tier.NotInCheck(t)
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := NewPostgres(t, Options{TLS: &TLS{}})
		b := own(t, s.Standby)
		known := func(ctx context.Context, user string) bool {
			c, err := b.Connect(ctx, user, "pw", "postgres")
			if err == nil {
				c.Close(ctx)
			}
			return err == nil
		}
		played(t, known, func(ctx context.Context, user string) error {
			return s.Exec(ctx, "CREATE ROLE "+user+" LOGIN PASSWORD 'pw'")
		}, func(ctx context.Context, user string) error {
			return b.Exec(ctx, "CREATE ROLE "+user+" LOGIN PASSWORD 'pw'")
		}, func(ctx context.Context) error { return b.Cut(ctx, s) }, b.Promote)
		exchanged(t, s.NewCertificate, func(ctx context.Context) error {
			c, err := s.Connect(ctx, s.Superuser, s.Password, "postgres")
			if err == nil {
				c.Close(ctx)
			}
			return err
		})
	})
	for _, name := range MySQLs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewMySQL(t, MySQLOptions{Name: name, TLS: &TLS{}})
			b := own(t, s.Standby)
			known := func(ctx context.Context, user string) bool {
				c, err := b.Connect(ctx, user, "pw", "")
				if err == nil {
					c.Close()
				}
				return err == nil
			}
			make := func(s *MySQLServer) func(ctx context.Context, user string) error {
				return func(ctx context.Context, user string) error {
					c, err := s.Connect(ctx, s.Superuser, s.Password, "")
					if err != nil {
						return err
					}
					defer c.Close()
					_, err = c.ExecContext(ctx, "CREATE USER "+user+"@'%' IDENTIFIED BY 'pw'")
					return err
				}
			}
			played(t, known, make(s), make(b), func(ctx context.Context) error { return b.Cut(ctx, s) }, b.Promote)
			exchanged(t, s.NewCertificate, func(ctx context.Context) error {
				c, err := s.Connect(ctx, s.Superuser, s.Password, "")
				if err == nil {
					c.Close()
				}
				return err
			})
		})
	}
}

func played(t *testing.T, known func(context.Context, string) bool, at, standby func(context.Context, string) error, cut, promote func(context.Context) error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, err := range []error{at(ctx, "early"), cut(ctx), at(ctx, "late"), promote(ctx), standby(ctx, "own")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for user, want := range map[string]bool{"early": true, "late": false, "own": true} {
		if got := known(ctx, user); got != want {
			t.Errorf("the user made %s: known: %t", user, got)
		}
	}
}

func exchanged(t *testing.T, renew func(ctx context.Context, trusted bool) error, connect func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, trusted := range []bool{true, false, true} {
		if err := renew(ctx, trusted); err != nil {
			t.Fatal(err)
		}
		if err := connect(ctx); (err == nil) != trusted {
			t.Errorf("a certificate of an authority that is trusted (%t): %v", trusted, err)
		}
	}
}

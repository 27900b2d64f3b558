package census

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Clients are those who log in by what a secret holds.
type Clients struct {
	LogIn func(ctx context.Context, d secret.Document) error
	// Hosts are where they come from, if the server has an account for each, and LogInFrom is a login from there.
	// nil: LogIn.
	Hosts     []string
	LogInFrom func(ctx context.Context, host string, d secret.Document) error
}

// Origins is Hosts, or the one host that has no name.
func (c Clients) Origins() []string {
	if c.Hosts == nil {
		return []string{""}
	}
	return c.Hosts
}

// From is a login from one of Origins.
func (c Clients) From(ctx context.Context, host string, d secret.Document) error {
	if c.Hosts == nil {
		return c.LogIn(ctx, d)
	}
	return c.LogInFrom(ctx, host, d)
}

// Everywhere is a login from each of Origins. It is rejected only if it is from all.
func (c Clients) Everywhere(ctx context.Context, d secret.Document) error {
	var failed []error
	for _, host := range c.Origins() {
		if err := c.From(ctx, host, d); err != nil {
			failed = append(failed, fmt.Errorf("login%s: %w", FromHost(host), err))
		}
	}
	if n := len(c.Origins()); len(failed) > 0 && len(failed) < n {
		return fmt.Errorf("from %d of %d hosts: %v", n-len(failed), n, errors.Join(failed...))
	}
	return errors.Join(failed...)
}

// Admitted is a value that logs in.
type Admitted struct {
	Name  string // for reports
	Value secret.Document
	Hosts []string // from which it does
}

// Admitted keeps the values that log in, with the hosts from which they do.
func (c Clients) Admitted(ctx context.Context, all map[string]secret.Document) []Admitted {
	var some []Admitted
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := Admitted{Name: name, Value: all[name]}
		for _, host := range c.Origins() {
			if c.From(ctx, host, a.Value) == nil {
				a.Hosts = append(a.Hosts, host)
			}
		}
		if a.Hosts != nil {
			some = append(some, a)
		}
	}
	return some
}

// StillAdmitted is an error for each value that logged in and does so no longer.
func (c Clients) StillAdmitted(ctx context.Context, before []Admitted) error {
	var found []error
	for _, a := range before {
		for _, host := range a.Hosts {
			if err := c.From(ctx, host, a.Value); err != nil {
				found = append(found, fmt.Errorf("the secret %s, of user %q, no longer logs in%s: %w", a.Name,
					a.Value.Text("username"), FromHost(host), err))
			}
		}
	}
	return errors.Join(found...)
}

// FromHost is " from " and the host, for errors; "" for the host that has no name.
func FromHost(host string) string {
	if host == "" {
		return ""
	}
	return " from " + host
}

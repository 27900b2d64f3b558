// Package apikey is the strategy to copy for API keys: those that the provider makes itself.
// The provider does not exist; Provider is a small one. Its API is of the usual kind: a key makes
// keys, lists them and revokes them, and each works from the moment at which it is made.
//
// A rotation makes a key (Mint, in createSecret), proves it (Verify, in testSecret and finishSecret)
// and revokes, in setSecret, all keys of its own but the one in use and the new one: so the key
// before last. Clients that still have the last one go on until the next rotation.
//
// The secret:
//
//	{"provider": "https://api.example.com", "account": "acme", "api_key": "..."}
package apikey

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Strategy rotates API keys.
type Strategy struct {
	Client *http.Client // nil: http.DefaultClient, but for redirections
}

var (
	_ rotator.Strategy    = Strategy{}
	_ rotator.Minter      = Strategy{}
	_ rotator.Preflighter = Strategy{}
)

// The members of the secret.
const (
	keyProvider = "provider"
	keyAccount  = "account"
	keySecret   = "api_key"
)

// prefix is what the keys of rotations are called by, before the version.
const prefix = "quarterturn-"

// Propose implements rotator.Strategy. What it puts in place of the key is never stored.
func (s Strategy) Propose(_ context.Context, r rotator.Rotation) (secret.Document, error) {
	if err := check(r.Current); err != nil {
		return secret.Document{}, err
	}
	p, err := r.PasswordPolicy.Generate()
	if err != nil {
		return secret.Document{}, fmt.Errorf("stand-in: %w: %w", rotator.KindMisconfigured, err)
	}
	return r.Current.Set(keySecret, p.Reveal()), nil
}

// Mint implements rotator.Minter. The provider replaces a key of the same name, so that what a
// function left that ended too early is gone.
func (s Strategy) Mint(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	var made Key
	if err := s.call(ctx, r.Current, http.MethodPost, "/keys", Key{Name: prefix + r.VersionID}, &made); err != nil {
		return secret.Document{}, err
	}
	return r.Pending.Set(keySecret, made.Secret), nil
}

// Discard implements rotator.Minter: the key revokes itself.
func (s Strategy) Discard(ctx context.Context, r rotator.Rotation) error {
	var me Key
	if err := s.call(ctx, r.Pending, http.MethodGet, "/me", nil, &me); err != nil {
		return err
	}
	return s.call(ctx, r.Pending, http.MethodDelete, "/keys/"+url.PathEscape(me.ID), nil, nil)
}

// Apply implements rotator.Strategy. The new key works since it was made; what is left to do is
// to revoke those that no version needs any more.
func (s Strategy) Apply(ctx context.Context, r rotator.Rotation) error {
	if err := same(r); err != nil {
		return err
	}
	var current, pending Key
	if err := s.call(ctx, r.Current, http.MethodGet, "/me", nil, &current); err != nil {
		return fmt.Errorf("AWSCURRENT: %w", err)
	}
	if err := s.call(ctx, r.Pending, http.MethodGet, "/me", nil, &pending); err != nil {
		return fmt.Errorf("AWSPENDING: %w", err)
	}
	var all []Key
	if err := s.call(ctx, r.Current, http.MethodGet, "/keys", nil, &all); err != nil {
		return err
	}
	for _, k := range all {
		if k.ID == current.ID || k.ID == pending.ID || !strings.HasPrefix(k.Name, prefix) {
			continue // in use, or not of a rotation
		}
		err := s.call(ctx, r.Current, http.MethodDelete, "/keys/"+url.PathEscape(k.ID), nil, nil)
		if err != nil && !errors.Is(err, rotator.KindNotFound) { // a duplicate was quicker
			return err
		}
		r.Logf("revoked key %s", k.ID)
	}
	return nil
}

// Verify implements rotator.Strategy: one call.
func (s Strategy) Verify(ctx context.Context, r rotator.Rotation) error {
	if !r.Current.IsZero() {
		if err := same(r); err != nil {
			return err
		}
	}
	return s.call(ctx, r.Pending, http.MethodGet, "/me", nil, new(Key))
}

// Preflight implements rotator.Preflighter. A provider without a call that changes nothing can say
// no more than that the key in use works.
func (s Strategy) Preflight(ctx context.Context, r rotator.Rotation) []rotator.Finding {
	return rotator.RunChecks(ctx, []rotator.Check{
		{ID: "K1", Proves: "the API key in use", Run: func(ctx context.Context) rotator.Finding {
			return rotator.NewFinding("", "", s.call(ctx, r.Current, http.MethodGet, "/me", nil, new(Key)))
		}},
	})
}

// check names what is missing, and refuses to send a key in clear.
func check(d secret.Document) error {
	for _, key := range []string{keyProvider, keyAccount, keySecret} {
		if d.Text(key) == "" {
			return fmt.Errorf("secret: %w: missing or not a string: %s. Required: provider, account, api_key",
				rotator.KindMisconfigured, key)
		}
	}
	if u, err := url.Parse(d.Text(keyProvider)); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("secret: %w: provider is not the address of a provider: want https://host",
			rotator.KindMisconfigured)
	}
	return nil
}

// same refuses a value that leads anywhere else than AWSCURRENT does, before a key is sent there.
func same(r rotator.Rotation) error {
	for _, d := range []secret.Document{r.Current, r.Pending} {
		if err := check(d); err != nil {
			return err
		}
	}
	for _, key := range []string{keyProvider, keyAccount} {
		if r.Current.Text(key) != r.Pending.Text(key) {
			return fmt.Errorf("AWSPENDING: %w: it names another %s than AWSCURRENT: status says what to do",
				rotator.KindConflict, key)
		}
	}
	return nil
}

// call sends a request with the key of a value.
func (s Strategy) call(ctx context.Context, d secret.Document, method, path string, in, out any) error {
	if err := check(d); err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("request: %w: %w", rotator.KindInternal, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(d.Text(keyProvider), "/")+path,
		bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("provider: %w", rotator.KindMisconfigured)
	}
	request.Header.Set("Authorization", "Bearer "+d.Text(keySecret))
	request.Header.Set("X-Account", d.Text(keyAccount))
	client := *cmp.Or(s.Client, http.DefaultClient)
	// the key belongs here alone
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	where := fmt.Sprintf("account %q at %s", d.Text(keyAccount), request.URL.Host)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w: %w", where, rotator.KindDeadline, ctx.Err())
	case err != nil: // its text may repeat the address, and no more of what was sent
		return fmt.Errorf("%s: %w: no answer: check provider, and the function's way to the Internet", where,
			rotator.KindUnreachable)
	}
	defer answer.Body.Close()
	kind := rotator.KindInternal
	switch answer.StatusCode {
	case http.StatusOK:
		if out == nil || json.NewDecoder(answer.Body).Decode(out) == nil {
			return nil
		}
	case http.StatusNoContent:
		return nil
	case http.StatusUnauthorized:
		return fmt.Errorf("%s: %w: the provider did not accept the key", where, rotator.KindLoginRejected)
	case http.StatusForbidden:
		kind = rotator.KindPrivilege
	case http.StatusNotFound:
		kind = rotator.KindNotFound
	case http.StatusTooManyRequests:
		kind = rotator.KindThrottled
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		kind = rotator.KindUnreachable
	}
	return fmt.Errorf("%s: %w: %s %s was answered %s", where, kind, method, path, answer.Status)
}

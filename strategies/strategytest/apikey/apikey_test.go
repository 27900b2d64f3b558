package apikey_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/apikey"
)

// TestSuite is the suite for strategies, on a credential that is no password and that the provider
// makes.
func TestSuite(t *testing.T) {
	strategytest.TestStrategy(t, func(t *testing.T) strategytest.StrategyFixture {
		provider := &apikey.Provider{Account: "acme"}
		server := httptest.NewTLSServer(provider)
		t.Cleanup(server.Close)
		current, err := secret.ParseDocument(fmt.Sprintf(`{"provider": %q, "account": "acme", "api_key": %q}`, server.URL, provider.Add("quarterturn-first").Secret))
		if err != nil {
			t.Fatal(err)
		}
		return strategytest.StrategyFixture{
			Strategy: apikey.Strategy{Client: server.Client()},
			Current:  current,
			LogIn: func(_ context.Context, d secret.Document) error {
				if provider.Accepts(d.Text("api_key")) {
					return nil
				}
				return fmt.Errorf("client: %w", rotator.KindLoginRejected)
			},
			KeepsCurrent: true,
			Member:       "api_key",
			Required:     []string{"provider", "account", "api_key"},
			Identity:     []string{"provider", "account"},
			NoFallback:   true,
			NoPolicy:     true,
			ValidAtOnce:  true,
		}
	})
}

func TestPreflight(t *testing.T) {
	provider := &apikey.Provider{Account: "acme"}
	server := httptest.NewTLSServer(provider)
	defer server.Close()
	for key, want := range map[string]rotator.Kind{provider.Add("quarterturn-first").Secret: "",
		"unknown": rotator.KindLoginRejected} {
		current, err := secret.ParseDocument(fmt.Sprintf(`{"provider": %q, "account": "acme", "api_key": %q}`, server.URL, key))
		if err != nil {
			t.Fatal(err)
		}
		found := apikey.Strategy{Client: server.Client()}.Preflight(t.Context(), rotator.Rotation{Current: current})
		if len(found) != 1 || found[0].Kind != want {
			t.Errorf("want one finding of kind %q: %+v", want, found)
		}
	}
}

// A key is rotated twice. After the second rotation the first key is gone, and the one before the
// newest still works.
func Example() {
	provider := &apikey.Provider{Account: "acme"}
	server := httptest.NewTLSServer(provider)
	defer server.Close()
	first := provider.Add("quarterturn-first").Secret
	current, err := secret.ParseDocument(fmt.Sprintf(`{"provider": %q, "account": "acme", "api_key": %q}`, server.URL, first))
	if err != nil {
		fmt.Println(err)
	}
	s := apikey.Strategy{Client: server.Client()}
	ctx, keys := context.Background(), []string{first}
	for _, version := range []string{"v2", "v3"} {
		// What the state machine does, in the four steps of a rotation.
		r := rotator.Rotation{VersionID: version, Current: current}
		if r.Pending, err = s.Propose(ctx, r); err == nil {
			r.Pending, err = s.Mint(ctx, r)
		}
		if err == nil {
			err = s.Apply(ctx, r)
		}
		if err == nil {
			err = s.Verify(ctx, rotator.Rotation{Pending: r.Pending})
		}
		if err != nil {
			fmt.Println(err)
		}
		current, keys = r.Pending, append(keys, r.Pending.Text("api_key"))
	}
	for i, key := range keys {
		fmt.Printf("key %d works: %t\n", i+1, provider.Accepts(key))
	}
	// Output:
	// key 1 works: false
	// key 2 works: true
	// key 3 works: true
}

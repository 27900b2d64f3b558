package apikey

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Key is an API key. Secret is only in the answer that makes it.
type Key struct {
	ID     string `json:"id,omitempty"`
	Name   string `json:"name,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// Provider is a provider with one account, as far as keys go: an http.Handler.
type Provider struct {
	Account string

	mu   sync.Mutex
	keys []Key
}

// Add makes a key; one of that name is replaced.
func (p *Provider) Add(name string) Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := Key{ID: "key_" + rand.Text()[:8], Name: name, Secret: rand.Text()}
	p.keys = append(slices.DeleteFunc(p.keys, func(k Key) bool { return k.Name == name }), k)
	return k
}

// Accepts says whether a key works.
func (p *Provider) Accepts(secret string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.keys, func(k Key) bool { return k.Secret == secret })
}

// ServeHTTP implements http.Handler: GET /me, GET and POST /keys, DELETE /keys/ID.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !p.Accepts(sent) || r.Header.Get("X-Account") != p.Account {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	id, one := strings.CutPrefix(r.URL.Path, "/keys/")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/me":
		reply(w, p.find(func(k Key) bool { return k.Secret == sent })[0])
	case r.Method == http.MethodGet && r.URL.Path == "/keys":
		reply(w, p.find(func(Key) bool { return true }))
	case r.Method == http.MethodPost && r.URL.Path == "/keys":
		var asked Key
		if json.NewDecoder(r.Body).Decode(&asked) != nil || asked.Name == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		reply(w, p.Add(asked.Name))
	case r.Method == http.MethodDelete && one && len(p.find(func(k Key) bool { return k.ID == id })) == 1:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.keys = slices.DeleteFunc(p.keys, func(k Key) bool { return k.ID == id })
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// find gives keys without what is secret of them.
func (p *Provider) find(which func(Key) bool) []Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	some := []Key{}
	for _, k := range p.keys {
		if which(k) {
			some = append(some, Key{ID: k.ID, Name: k.Name})
		}
	}
	return some
}

func reply(w http.ResponseWriter, v any) {
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client is gone
}

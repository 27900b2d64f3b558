package census

import (
	"strings"
	"sync"
)

// Neighbors keeps apart the accounts of fixtures that share a server and are in use
// at the same time. Its zero value has none.
type Neighbors struct {
	mu    sync.Mutex
	count int
	owner map[string]int
}

// Neighbor is one fixture among others.
type Neighbor struct {
	all *Neighbors
	id  int
}

// Join adds a fixture, with the accounts that it has.
func (n *Neighbors) Join(users ...string) *Neighbor {
	n.mu.Lock()
	n.count++
	one := &Neighbor{n, n.count}
	n.mu.Unlock()
	one.Owns(users...)
	return one
}

// Owns gives the fixture accounts, which it is about to create.
func (n *Neighbor) Owns(users ...string) {
	n.all.mu.Lock()
	defer n.all.mu.Unlock()
	if n.all.owner == nil {
		n.all.owner = map[string]int{}
	}
	for _, u := range users {
		n.all.owner[u] = n.id
	}
}

// Census leaves out of a census the accounts of the other fixtures, and their clones.
func (n *Neighbor) Census(all map[string]string, cloneSuffix string) map[string]string {
	n.all.mu.Lock()
	defer n.all.mu.Unlock()
	others := func(user string) bool {
		for _, name := range []string{user, strings.TrimSuffix(user, cloneSuffix)} {
			if id, ok := n.all.owner[name]; ok {
				return id != n.id
			}
		}
		return false
	}
	mine := map[string]string{}
	for key, value := range all {
		user, what := OfFact(key)
		if rest, is := strings.CutPrefix(what, "member of "); is && !others(user) {
			if of, _ := OfFact(rest); others(of) {
				continue
			}
		}
		if !others(user) {
			mine[key] = value
		}
	}
	return mine
}

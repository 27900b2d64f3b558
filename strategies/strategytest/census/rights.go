package census

import (
	"errors"
	"fmt"
	"slices"
)

// everything is what Rights says of who may do everything.
const everything = "superuser"

// Without lists what of some privileges is not among others.
func Without(some, others []string) []string {
	var rest []string
	if slices.Contains(others, everything) {
		return nil
	}
	for _, s := range some {
		if !slices.Contains(others, s) && !slices.Contains(rest, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// SameRights says what the holder of a secret has gained and, unless the account in use
// now may do less by nature, what it has lost.
func SameRights(before, after []string, alsoLost bool) error {
	var found []error
	if gained := Without(after, before); gained != nil {
		found = append(found, fmt.Errorf("who holds the secret may do by it now, and could not before: %q", gained))
	}
	if lost := Without(before, after); lost != nil && alsoLost {
		found = append(found, fmt.Errorf("who holds the secret could do by it before, and cannot now: %q", lost))
	}
	return errors.Join(found...)
}

// Package census is what acceptance suites look at before and after a change of a password: what a server stores of its
// accounts, who logs in by what is stored, and what they may do then. One rule, Change, says what may differ.
package census

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Fact is a key of a census: one thing that a server stores of an account. A census
// has all accounts of a server, with everything that the server stores of them and
// that is not the default: attributes, settings, privileges, what an account owns.
//
// Four beginnings of what have a meaning. "account" is there for every account.
// "verifier" is what goes with the password: its value is a digest, never the verifier
// itself. "strength" is the method of the verifier and its parameters, spelled so that
// the stronger of two is later in the order of strings. MemberOf is a membership. The
// words of its value say what it is good for: "inherit" for the privileges, "set" for
// becoming the other account, and "admin" for granting it on. What marks an account as the
// clone of another, such as a comment, is a MemberOf too, of the value "": a clone may have
// nothing else that its original has not.
func Fact(user, what string) string { return strconv.Quote(user) + " " + what }

// MemberOf is for a Fact: that an account has the privileges of another.
func MemberOf(user string) string { return "member of " + strconv.Quote(user) }

// OfFact is the opposite of Fact.
func OfFact(key string) (user, what string) {
	quoted, err := strconv.QuotedPrefix(key)
	if err != nil {
		return "", key
	}
	user, err = strconv.Unquote(quoted)
	if err != nil {
		return "", key
	}
	return user, strings.TrimPrefix(key[len(quoted):], " ")
}

// Change is what one call of an engine, or one rotation, may change on a server. Its
// zero value is nothing.
type Change struct {
	Passwords []string // the accounts that get a password
	// Original and Clone are a pair that the engine keeps alike. "": there is none. The
	// clone may get what its original has, and lose what its original has not.
	Original, Clone string
	Superuser       string // who makes the change; the server makes it administrator of a new clone
	Cut             bool   // it failed, and may be done in part
}

// Check compares two censuses and lists what differs and may not: no account gains or
// loses a privilege, a setting or a password by a rotation of another account.
func (c Change) Check(before, after map[string]string) error {
	return CheckAll([]Change{c}, before, after)
}

// CheckAll is Check for what several rotations together may change.
func CheckAll(may []Change, before, after map[string]string) error {
	var found []error
	keys := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		was, had := before[key]
		is, has := after[key]
		allowed := func(c Change) bool { return c.allows(key, was, is, had, has, before, after) }
		if had == has && was == is || slices.ContainsFunc(may, allowed) {
			continue
		}
		user, what := OfFact(key)
		switch {
		case strings.HasPrefix(what, "verifier"):
			found = append(found, fmt.Errorf("user %q: %s: changed", user, what))
		case !had && slices.ContainsFunc(may, func(c Change) bool { return c.Clone == user }):
			found = append(found,
				fmt.Errorf("user %q: %s: new: %q, which its original has not (what marks it as the clone is a "+
					"MemberOf)",
					user, what, is))
		case !had:
			found = append(found, fmt.Errorf("user %q: %s: new: %q", user, what, is))
		case !has:
			found = append(found, fmt.Errorf("user %q: %s: gone; it was %q", user, what, was))
		default:
			found = append(found, fmt.Errorf("user %q: %s: %q; it was %q", user, what, is, was))
		}
	}
	if found == nil {
		return nil
	}
	return fmt.Errorf("census of the server: %w", errors.Join(found...))
}

func (c Change) allows(key, was, is string, had, has bool, before, after map[string]string) bool {
	user, what := OfFact(key)
	gets := slices.Contains(c.Passwords, user)
	switch {
	case gets && strings.HasPrefix(what, "verifier"):
		return true
	case gets && strings.HasPrefix(what, "strength"):
		return is >= was
	case user == c.Clone && c.Clone != "":
		if strings.HasPrefix(what, "verifier") || strings.HasPrefix(what, "strength") {
			return !had // of an account that is new
		}
		if strings.HasPrefix(what, MemberOf(c.Original)) { // that is what makes it the clone
			return has && (!slices.Contains(strings.Fields(is), "admin") ||
				slices.Contains(strings.Fields(was), "admin"))
		}
		model, modelled := after[Fact(c.Original, what)]
		return modelled == has && model == is || !has && c.Cut
	case c.Clone != "" && what == MemberOf(c.Clone):
		_, existed := before[Fact(c.Clone, "account")]
		can := strings.Fields(is)
		return !existed && user == c.Superuser && !slices.Contains(can, "inherit") && !slices.Contains(can, "set")
	}
	return false
}

// And is what two calls together may change.
func (c Change) And(d Change) Change {
	c.Passwords = append(slices.Clone(c.Passwords), d.Passwords...)
	if d.Clone != "" {
		c.Original, c.Clone = d.Original, d.Clone
	}
	if d.Superuser != "" {
		c.Superuser = d.Superuser
	}
	c.Cut = c.Cut || d.Cut
	return c
}

// OfRotation is what a rotation from one value to another may change. Next to a pair that
// the secret itself names (alternateUsername), nothing is kept alike.
func OfRotation(current, pending secret.Document) Change {
	from, to := current.Text("username"), pending.Text("username")
	c := Change{Passwords: []string{to}}
	switch {
	case from == "" || to == "" || from == to || current.Text("alternateUsername") != "":
	case strings.HasPrefix(to, from):
		c.Original, c.Clone = from, to
	case strings.HasPrefix(from, to):
		c.Original, c.Clone = to, from
	}
	return c
}

package valkey

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// ComparePair implements strategies.PairComparer. What a user has lost by mistake, its clone may have still, until the
// next rotation makes the two alike. Nodes do not share users: at one of them that may be refused.
func (e Engine) ComparePair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (remark string,
	err error) {
	if pair.PasswordOnly { // each has rules of its own
		return "", nil
	}
	s, err := e.connect(ctx, superuser)
	defer s.close()
	if err != nil {
		return "", err
	}
	said := make([]string, len(s.all()))
	proved, refused, unproved := 0, error(nil), error(nil)
	for i, node := range s.all() {
		node.findFile(ctx, true) //nolint:errcheck // what saves users is then not known, and said so
		changes, err := node.align(ctx, superuser, pair, secret.NewPassword(rand.Text()))
		switch rotator.KindOf(err) {
		case "":
			proved++
		case rotator.KindNotEntitled:
			unproved = cmp.Or(unproved, s.refusal(node, rotator.KindPrivilege, err))
			continue
		case rotator.KindNotFound, rotator.KindPrivilege, rotator.KindMisconfigured:
			refused = cmp.Or(refused, s.refusal(node, rotator.KindOf(err), err))
			continue
		default:
			return "", err
		}
		said[i] = s.otherRules(node, pair.Original)
		for _, c := range changes {
			if c.like != nil {
				said[i] = cmp.Or(c.overwrites(nextRotation, node.save), c.lags(pair), said[i])
			}
		}
	}
	switch {
	case unproved != nil && proved == 0: // it may be no pair: what a stranger may do is not shown
		return "", nil
	case refused != nil || unproved != nil:
		return "", cmp.Or(refused, unproved)
	}
	return strings.Join(s.once(said), "; "), nil
}

// refusal says that the next rotation meets an error at a node, and what ends that.
func (s *session) refusal(node *session, kind rotator.Kind, met error) error {
	return rotator.WithFix(fmt.Errorf("%w: %s: %v", kind, s.at(node, "the next rotation is refused"), met), "",
		rotator.FixesOf(met)...)
}

// at names the node that something is said of, where there are several.
func (s *session) at(node *session, said string) string {
	if len(s.others) == 0 {
		return said
	}
	return "at " + dial.Address(node.login) + ", " + said
}

// lags says what a clone that clients use has not yet of the rules of its original.
func (c change) lags(pair strategies.Pair) string {
	if pair.InUse() != pair.Clone || len(c.like.alone(c.of)) == 0 {
		return ""
	}
	return fmt.Sprintf("user %q, which clients use, has not all rules of user %q (%s). A rotation gives it those",
		pair.Clone, pair.Original, c.difference())
}

// otherRules says what a user may do at one node and not at another, which no rotation changes.
func (s *session) otherRules(node *session, user string) string {
	here, there := s.users[user], node.users[user]
	more, less := there.alone(here), here.alone(there)
	if here.name == "" || len(more)+len(less) == 0 {
		return ""
	}
	return fmt.Sprintf("user %q has other rules than at %s (here alone: %s; there alone: %s), and no rotation changes "+
		"that. Have an administrator make them alike by ACL SETUSER, then %s", user, dial.Address(s.login),
		cmp.Or(strings.Join(more, " "), "none"), cmp.Or(strings.Join(less, " "), "none"), saveUsers(node.save))
}

// losses warns where a rotation overwrites rules of a clone that its original has not, also while clients are on it.
func (s *session) losses(changes [][]change) (all []strategies.Warning) {
	said := make([]string, len(changes))
	for i := range changes {
		for _, c := range changes[i] {
			said[i] = cmp.Or(said[i], c.overwrites(thisRotation, s.all()[i].save))
		}
	}
	for _, text := range s.once(said) {
		all = append(all, strategies.Warning{Text: text})
	}
	return all
}

// once gives what is said of nodes, each sentence once, with the nodes that it is about unless it is about all.
func (s *session) once(said []string) (all []string) {
	at := map[string][]string{}
	for i, node := range s.all() {
		at[said[i]] = append(at[said[i]], dial.Address(node.login))
	}
	for _, text := range slices.Compact(said) {
		if nodes := at[text]; text != "" && len(nodes) == len(said) {
			all = append(all, text)
		} else if text != "" && nodes != nil {
			all = append(all, "at "+strings.Join(nodes, " and ")+", "+text)
		}
		delete(at, text)
	}
	return all
}

// overwrites says what becomes of a clone whose rules the original has not; "": it loses none. What the words come to,
// is for a person to judge: what one means depends on those before it, and a user may have less on purpose.
func (c change) overwrites(rotation string, save []string) string {
	if c.like == nil || c.of.bare() {
		return ""
	}
	original, clone := c.like.alone(c.of), c.of.alone(*c.like)
	takes := func(word string) bool { return strings.HasPrefix(word, "-") }
	inOrder := len(original) == 0 && (c.like.ordered() || c.of.ordered())
	if len(clone) == 0 && !inOrder && !slices.ContainsFunc(original, takes) {
		return ""
	}
	return fmt.Sprintf("user %[1]q and its clone %[2]q have different rules (%[3]s). %[4]s gives %[2]q the rules of "+
		"%[1]q, and its own are lost. If clients need what %[2]q may do, first have an administrator give %[1]q the "+
		"same by ACL SETUSER, on every node, then %[5]s. If %[1]q is as it is to be, rotate", c.like.name,
		c.of.name, c.difference(), rotation, saveUsers(save))
}

// difference names the words that one of the two has and the other has not.
func (c change) difference() string {
	original, clone, has := c.like.alone(c.of), c.of.alone(*c.like), "alone has"
	if len(original)+len(clone) == 0 { // what they come to depends on their order
		original, clone, has = c.like.rules, c.of.rules, "has, in this order"
	}
	var all []string
	for i, words := range [][]string{original, clone} {
		if len(words) > 0 {
			all = append(all, fmt.Sprintf("%q %s: %s", []string{c.like.name, c.of.name}[i], has,
				strings.Join(words, " ")))
		}
	}
	return strings.Join(all, "; ")
}

// alone are the words of an account that another has not. A selector is one.
func (a account) alone(other account) []string {
	others := other.words()
	return slices.DeleteFunc(a.words(), func(word string) bool { return slices.Contains(others, word) })
}

// ordered says whether it counts in which order the rules are: where one takes what another has given.
func (a account) ordered() bool {
	first := slices.IndexFunc(a.rules, func(word string) bool { return strings.HasPrefix(word, "+") })
	return first >= 0 && slices.ContainsFunc(a.rules[first:], func(word string) bool {
		return strings.HasPrefix(word, "-")
	})
}

// words are the rules of an account, of which a selector is one.
func (a account) words() (all []string) {
	open := false
	for _, word := range a.rules {
		if open {
			all[len(all)-1] += " " + word
		} else {
			all = append(all, word)
		}
		open = (open || strings.HasPrefix(word, "(")) && !strings.HasSuffix(word, ")")
	}
	return all
}

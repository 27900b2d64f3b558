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

// ComparePair implements strategies.PairComparer. What a user has lost by mistake, the other of its pair may have
// still, until the next rotation makes the two alike. Nodes do not share users: at one of them that may be refused.
func (e Engine) ComparePair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (
	lacks rotator.Sentence, remark string, err error) {
	if pair.PasswordOnly { // each has rules of its own
		return lacks, "", nil
	}
	s, err := e.connect(ctx, superuser)
	defer s.close()
	if err != nil {
		return lacks, "", err
	}
	said, lost, lines := make([]string, len(s.all())), make([]string, len(s.all())), make([]string, len(s.all()))
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
			return lacks, "", err
		}
		said[i] = s.otherRules(node, pair.Original)
		for _, c := range changes {
			if c.like == nil {
				continue
			}
			said[i] = cmp.Or(c.overwrites(nextRotation, node.save), said[i])
			lost[i], lines[i] = c.lacks(pair)
		}
	}
	switch {
	case unproved != nil && proved == 0: // it may be no pair: what a stranger may do is not shown
		return lacks, "", nil
	case refused != nil || unproved != nil:
		return lacks, "", cmp.Or(refused, unproved)
	}
	if lacks.Text = strings.Join(s.once(lost), "; "); lacks.Text == "" {
		return lacks, strings.Join(s.once(said), "; "), nil
	}
	save := saveUsers(s.saveOfAll())
	lacks.Text, lacks.Fixes = lacks.Text+". Then "+save.Text, s.linesOf(lines)
	lacks.Fixes = append(lacks.Fixes, save.Fixes...)
	if !s.users[s.login.User].mayChangeUsers(s.save) {
		for i := range lacks.Fixes {
			lacks.Fixes[i].By = rotator.ByAdministrator
		}
	}
	return lacks, "", nil
}

// linesOf are lines to run, each once, with the nodes that it is for.
func (s *session) linesOf(lines []string) (all []rotator.Fix) {
	at := map[string][]string{}
	for i, node := range s.all() {
		at[lines[i]] = append(at[lines[i]], dial.Address(node.login))
	}
	for _, line := range slices.Compact(slices.Sorted(slices.Values(lines))) {
		if line == "" {
			continue
		}
		fix := strategies.Fix(strategies.Login{}, line)
		fix.For = "unless that is how it is meant"
		if fix.Note = "at " + strings.Join(at[line], " and "); len(at[line]) == len(lines) {
			fix.Note = "on every node"
		}
		all = append(all, fix)
	}
	return all
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

// lacks says what the user of a pair that clients log in as may not do, and the other may, and the line that gives it
// that, if nothing of its own is taken by it; "": nothing, as far as is known.
func (c change) lacks(pair strategies.Pair) (text, line string) {
	inUse, other, next := *c.like, c.of, "takes it from user %q, too"
	if pair.InUse() == pair.Clone {
		inUse, other, next = c.of, *c.like, "moves them to user %q, and makes the two alike"
	}
	words := inUse.lacking(other)
	if words == nil || other.bare() {
		return "", ""
	}
	line = "ACL SETUSER " + typed(inUse.name) + " " + typedRules(words)
	return fmt.Sprintf("clients log in as user %q, which lacks what user %q, the other of its pair, may do: they get "+
		"NOPERM (%s). %s %s. Unless that is how it is meant, %s", inUse.name, other.name, c.difference(),
		nextRotation, fmt.Sprintf(next, other.name), line), line
}

// lacking are the words that give an account what another has and it has not. Where each has something of its own, or
// they come in another order, which of the two may do more is for a person to judge, and there are none.
func (a account) lacking(other account) (words []string) {
	mine, theirs := a.alone(other), other.alone(a)
	if len(mine)+len(theirs) == 0 || a.otherOrder(other) || slices.ContainsFunc(mine, gives) ||
		slices.ContainsFunc(theirs, takes) {
		return nil
	}
	aboutCommands := func(word string) bool { return takes(word) || strings.HasPrefix(word, "+") }
	if slices.ContainsFunc(slices.Concat(mine, theirs), aboutCommands) {
		// all of them, in their order: what one comes to depends on those before it
		words = slices.DeleteFunc(other.words(), func(word string) bool { return !aboutCommands(word) })
	}
	return append(words, slices.DeleteFunc(theirs, aboutCommands)...)
}

func takes(word string) bool { return strings.HasPrefix(word, "-") }

func gives(word string) bool { return !takes(word) }

// otherRules says what a user may do at one node and not at another, which no rotation changes.
func (s *session) otherRules(node *session, user string) string {
	ownWords := func(s *session) bool { return s.before7() || strings.HasPrefix(s.version, "7.0.") }
	if s.version != node.version && (ownWords(s) || ownWords(node)) { // in which they show rules, whatever was set
		return ""
	}
	here, there := s.users[user], node.users[user]
	more, less := there.alone(here), here.alone(there)
	if here.name == "" || len(more)+len(less) == 0 {
		return ""
	}
	return fmt.Sprintf("user %q has other rules than at %s (here alone: %s; there alone: %s), and no rotation changes "+
		"that. Unless that is how it is meant, as at a replica, have an administrator make them alike by "+
		"ACL SETUSER, then %s", user, dial.Address(s.login),
		cmp.Or(strings.Join(more, " "), "none"), cmp.Or(strings.Join(less, " "), "none"), saveUsers(node.save))
}

// losses warns where a rotation overwrites rules of a clone that its original has not. While clients are on it, that
// may end what they do: strict stops there.
func (s *session) losses(changes [][]change, inUse bool) (all []strategies.Warning) {
	said := make([]string, len(changes))
	for i := range changes {
		for _, c := range changes[i] {
			said[i] = cmp.Or(said[i], c.overwrites(thisRotation, s.all()[i].save))
		}
	}
	for _, text := range s.once(said) {
		all = append(all, strategies.Warning{Text: text, Unknown: inUse})
	}
	return all
}

// unlike warns where a user has other rules at another node, which may be on purpose, as at a replica.
func (s *session) unlike(user string) (all []strategies.Warning) {
	said := make([]string, len(s.all()))
	for i, node := range s.all() {
		said[i] = s.otherRules(node, user)
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
	if len(clone) == 0 && !c.like.otherOrder(c.of) && !slices.ContainsFunc(original, takes) {
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
	if c.like.otherOrder(c.of) { // on which it depends what they come to
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

// alone are the words of an account that another has not. A selector is one. Where that has every key, channel or
// command, a pattern or a command is nothing of its own; nor is a pattern to read or write alone, where that has both;
// nor that a payload is not looked at, which permits nothing.
func (a account) alone(other account) []string {
	others := other.words()
	at := slices.Index(others, "+@all")
	every := at >= 0 && !slices.ContainsFunc(others[at:], takes)
	return slices.DeleteFunc(a.words(), func(word string) bool {
		_, pattern, partly := strings.Cut(word, "~")
		return slices.Contains(others, word) || word == "skip-sanitize-payload" ||
			every && (strings.HasPrefix(word, "+") || word == "-@all") ||
			slices.Contains(others, "~*") && (strings.HasPrefix(word, "~") || strings.HasPrefix(word, "%")) ||
			partly && strings.HasPrefix(word, "%") && slices.Contains(others, "~"+pattern) ||
			slices.Contains(others, "&*") && strings.HasPrefix(word, "&") || within(word, others)
	})
}

// everyDatabase is shown without a word: rules hold a user to some since Valkey 9.1.
const everyDatabase = "alldbs"

// within says whether a word permits databases, and none that others have not.
func within(word string, others []string) bool {
	some, permits := strings.CutPrefix(word, "db=")
	if word == "resetdbs" || permits && slices.Contains(others, everyDatabase) {
		return true
	}
	at := slices.IndexFunc(others, func(other string) bool { return strings.HasPrefix(other, "db=") })
	if !permits || at < 0 {
		return false
	}
	has := strings.Split(strings.TrimPrefix(others[at], "db="), ",")
	return !slices.ContainsFunc(strings.Split(some, ","), func(n string) bool { return !slices.Contains(has, n) })
}

// otherOrder says whether of two commands that both accounts name, one gives and one takes, and in another order.
func (a account) otherOrder(b account) bool {
	there := map[string]int{}
	for i, word := range b.words() {
		there[word] = i
	}
	mine := slices.DeleteFunc(a.words(), func(word string) bool { _, known := there[word]; return !known })
	for i, plus := range mine {
		for j, minus := range mine {
			if strings.HasPrefix(plus, "+") && takes(minus) && (i < j) != (there[plus] < there[minus]) {
				return true
			}
		}
	}
	return false
}

// words are the rules of an account, of which a selector is one. What says that it has no more than others show without
// a word is none: releases differ in it.
func (a account) words() (all []string) {
	open, some := false, false
	for _, word := range a.rules {
		if !open && (word == "sanitize-payload" || word == "resetchannels") {
			continue
		}
		if open {
			all[len(all)-1] += " " + word
		} else {
			all, some = append(all, word), some || word == "resetdbs" || strings.HasPrefix(word, "db=")
		}
		open = (open || strings.HasPrefix(word, "(")) && !strings.HasSuffix(word, ")")
	}
	if !some {
		all = append(all, everyDatabase)
	}
	return all
}

package valkey

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// TestPair implements strategies.PairTester: a user that has lost rules is let in as before, and the only copy of them
// may be those of the other user of its pair, which the next rotation overwrites.
func (e Engine) TestPair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (lacks rotator.Sentence,
	err error) {
	if pair.PasswordOnly { // each has rules of its own
		return lacks, nil
	}
	s, err := e.connect(ctx, superuser)
	defer s.close()
	if err != nil {
		return lacks, err
	}
	for _, node := range s.all() {
		all, err := node.accounts(ctx)
		if err != nil {
			return lacks, err
		}
		inUse, other := all[pair.InUse()], all[pair.Target]
		if inUse.name == "" || other.name == "" {
			continue
		}
		more, err := node.beyond(ctx, inUse, other)
		if err != nil {
			return lacks, err
		}
		if more != nil {
			return s.lacks(node, pair, more), nil
		}
	}
	return lacks, nil
}

// lacks says what the user in use of a pair lacks at a node, and what gives it that.
func (s *session) lacks(node *session, pair strategies.Pair, more []string) rotator.Sentence {
	inUse, other, at := pair.InUse(), pair.Target, ""
	if len(s.others) > 0 {
		at = "at node " + dial.Address(node.login) + ", "
	}
	otherwise := fmt.Sprintf("If it is to have less, rotate: that takes it from user %q, too", other)
	if inUse == pair.Clone {
		otherwise = fmt.Sprintf("Or rotate: that gives both what user %q has", other)
	}
	// a name proves nothing: the writer of the secret chooses it
	const condition = "if the two are a pair, and no other secret is for either of them, "
	give := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(inUse)+" "+typedRules(more)+" -- on every node")
	give.For = condition + "to give it that"
	return rotator.Sentencef("%suser %q lacks what user %q, the other of its pair, has: %s. Clients that need it get "+
		"NOPERM, and the next rotation may overwrite the last copy: "+condition+"%s, then %s (%s). %s", at, inUse,
		other, typedRules(more), give, saveUsers(), inConfigFile, otherwise)
}

// beyond is what one account may do and another may not: the rules that would give it that, and no more.
func (s *session) beyond(ctx context.Context, a, other account) (more []string, err error) {
	base, selectors := a.parts()
	otherBase, otherSelectors := other.parts()
	for _, rule := range otherBase {
		all, isPattern := "~*", strings.HasPrefix(rule, "~") || strings.HasPrefix(rule, "%")
		if strings.HasPrefix(rule, "&") {
			all, isPattern = "&*", true
		}
		if isPattern && !slices.Contains(base, rule) && !slices.Contains(base, all) {
			more = append(more, rule)
		}
	}
	if slices.Equal(base, otherBase) {
		otherBase = nil
	} else if s.categories == nil {
		if s.categories, err = s.readCategories(ctx); err != nil {
			return nil, err
		}
	}
	may, wants := s.commands(base), s.commands(otherBase)
	lost := maps.Clone(wants)
	maps.DeleteFunc(lost, func(command string, _ bool) bool {
		whole, _, _ := strings.Cut(command, "|")
		return may[command] || may[whole] && !s.commands([]string{"+" + whole})[command]
	})
	// The fewest words: what it had taken away, then what the other has, and then command by command.
	var words []string
	for _, rule := range base {
		if command, takes := strings.CutPrefix(rule, "-"); takes {
			words = append(words, "+"+command)
		}
	}
	for _, word := range slices.Concat(words, otherBase, added(lost)) {
		if !strings.HasPrefix(word, "+") {
			continue
		}
		gives, news, excess := s.commands([]string{word}), false, false
		for command := range gives {
			news = news || lost[command]
			excess = excess || !may[command] && !wants[command]
		}
		if news && !excess {
			more = append(more, word)
			maps.DeleteFunc(lost, func(command string, _ bool) bool { return gives[command] })
		}
	}
	for _, selector := range otherSelectors {
		if !slices.Contains(selectors, selector) {
			more = append(more, selector)
		}
	}
	return more, nil
}

// added are the rules that give commands one by one.
func added(commands map[string]bool) (rules []string) {
	for _, command := range slices.Sorted(maps.Keys(commands)) {
		rules = append(rules, "+"+command)
	}
	return rules
}

// parts are the rules of an account, and its selectors, each of which is one.
func (a account) parts() (base, selectors []string) {
	open := false
	for _, word := range a.rules {
		switch {
		case open:
			selectors[len(selectors)-1] += " " + word
		case strings.HasPrefix(word, "("):
			selectors = append(selectors, word)
		default:
			base = append(base, word)
			continue
		}
		open = !strings.HasSuffix(word, ")")
	}
	return base, selectors
}

// readCategories asks which commands each category has.
func (s *session) readCategories(ctx context.Context) (map[string][]string, error) {
	op := operation{action: "looking which commands there are", remedy: s.aclRemedy()}
	answers, err := s.do(ctx, op, []string{"ACL", "CAT"})
	if err != nil {
		return nil, err
	}
	names := list(answers[0])
	questions := make([][]string, len(names))
	for i, name := range names {
		questions[i] = []string{"ACL", "CAT", name}
	}
	if answers, err = s.do(ctx, op, questions...); err != nil {
		return nil, err
	}
	categories := map[string][]string{}
	for i, name := range names {
		categories[name] = list(answers[i])
		categories["all"] = append(categories["all"], categories[name]...)
	}
	return categories, nil
}

// commands are those that rules give, one after the other.
func (s *session) commands(rules []string) map[string]bool {
	may := map[string]bool{}
	for _, rule := range rules {
		gives := strings.HasPrefix(rule, "+")
		if !gives && !strings.HasPrefix(rule, "-") {
			continue
		}
		named, isCategory := strings.CutPrefix(rule[1:], "@")
		set := s.categories[named]
		if !isCategory {
			set = []string{named}
			for _, command := range s.categories["all"] {
				if strings.HasPrefix(command, named+"|") {
					set = append(set, command)
				}
			}
		}
		for _, command := range set {
			may[command] = gives
		}
	}
	maps.DeleteFunc(may, func(_ string, gives bool) bool { return !gives })
	return may
}

package valkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// Inquiry implements strategies.Explainer.
func (Engine) Inquiry(users ...string) []rotator.Fix {
	names := make([]string, len(users))
	for i, user := range users {
		names[i] = typed(user)
	}
	look := rotator.Fix{By: rotator.BySuperuser, Run: "ACL LIST", Turn: rotator.TurnFirst,
		Note: "on every node. No line for user " + strings.Join(names, " or ") + ": it is gone, and " +
			restoreRules(users[0]) + ". To save users " + overwrites(nil) + ". off: ACL SETUSER " + names[0] +
			" on. No rule with + in its line: it was " +
			"made again without its rules, and may log in and do nothing: the same, before anything is saved. " +
			"Otherwise the password is another: what follows # is the SHA-256 of one (" + hashOf + ")"}
	return append([]rotator.Fix{look}, saveUsers(nil).Fixes[1:]...)
}

// letIn has nodes let a user in that rejected it, by the password that others have, once it is seen that it is there
// and on.
func (e Engine) letIn(user string, nodes []string) []rotator.Fix {
	look := e.Inquiry(user)
	look[0].For = "to find the cause first"
	add := addPassword(user, nodes)
	// it makes a user that is not there, without rules, and what saves it overwrites those that the file has
	add.For = "if ACL LIST has its line there, with rules, " + toAdd
	return slices.Insert(look, 1, add)
}

const toAdd = "to set the password that other nodes have"

// addPassword gives a user a password at nodes that have another. What the others have stays.
func addPassword(user string, nodes []string) rotator.Fix {
	add := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(user)+" on >PASSWORD")
	add.For = toAdd
	add.Note = "at " + strings.Join(nodes, " and ") + ", " + atThePrompt + ". The next rotation ends any other"
	return add
}

// Explain implements strategies.Explainer: at each node, as users are not shared between them.
func (e Engine) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	s, err := e.connect(ctx, superuser)
	defer s.close()
	if err != nil {
		return nil, err
	}
	save := s.savesAlike(ctx)
	causes := make([]rotator.RejectionCause, len(rejected))
	if err := e.checkAlone(ctx, s); errors.Is(err, rotator.KindMisconfigured) {
		for i := range causes {
			causes[i] = rotator.RejectionCause{Text: err.Error(), Blocked: true}
		}
		return causes, nil
	}
	mayChange := true
	for _, node := range s.all() {
		all, err := node.accounts(ctx)
		if err != nil {
			return nil, err
		}
		mayChange = mayChange && all[superuser.User].mayChangeUsers(node.save)
		delete(all, superuser.User)
	}
	for i, login := range rejected {
		var lets, others []string // the nodes that let it in, and those that have another password
		var right account         // which the user is at one that lets it in
		all := make([]rotator.RejectionCause, len(s.all()))
		for _, node := range s.all() {
			if a := node.users[login.User]; a.on && (a.noPass || a.has(login)) {
				lets, right = append(lets, dial.Address(node.login)), a
			}
		}
		said := make([]string, len(all))
		for n, node := range s.all() {
			all[n] = node.rejectionCause(node.users, login, right, save)
			if all[n].Reset != "" {
				others = append(others, dial.Address(node.login))
			}
			if !all[n].Right {
				said[n] = all[n].Text
			}
		}
		cause := all[max(0, slices.IndexFunc(all, func(c rotator.RejectionCause) bool { return !c.Right }))]
		if cause.ByAdministrator = !mayChange; !cause.Right && len(s.others) > 0 {
			cause.Text = strings.Join(s.once(said), "; ")
			if lets != nil {
				cause.Text += "; at " + strings.Join(lets, " and ") + " it is on and has this very password"
			}
		}
		if !cause.Right {
			cause.Text += split(login.Password)
		}
		if i == 0 && lets != nil && cause.Reset != "" { // of others, no password is to be set
			cause.Reset, cause.Fixes = "", append([]rotator.Fix{addPassword(login.User, others)}, cause.Fixes...)
		}
		causes[i] = cause
	}
	if causes[0].Reset == "" || s.mode == "cluster" {
		return causes, nil
	}
	var of rotator.Sentence // of which server the host is a replica
	for i := range s.all() {
		node := s.all()[len(s.others)-i] // the host comes last
		said, shown, err := node.replicaOf(ctx)
		if of = said; err != nil || field(shown, "role") != "slave" {
			return causes, nil
		}
	}
	for i := range causes {
		if causes[i].Reset != "" {
			causes[i].Fixes = nil
		}
	}
	return causes, s.behind(of.Text, rejected[0].User)
}

// behind is the error of a host that is a replica and has another password than AWSCURRENT, as it may where a name has
// come to lead to it: users are not replicated.
func (s *session) behind(of, user string) error {
	const onPurpose = "if clients read this replica on purpose, "
	look := saveUsers(s.save).Fixes[0]
	look.For = onPurpose + look.For
	set := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(user)+" on resetpass >PASSWORD -- at "+
		dial.Address(s.login)+", "+atThePrompt+", then "+s.saving())
	set.For, set.PasswordOf = onPurpose+"to set its password", rotator.LabelCurrent
	says := s.errorf(rotator.KindReadOnly, "%s is %s, and user %q has another password here. Users are not "+
		"replicated: it may be behind. If clients are to use the primary, store that as host in the secret and in the "+
		"superuser secret, and set no password here", dial.Address(s.login), of, user)
	return rotator.WithFix(says, "", toFindThePrimary(s.login), look, set)
}

// savesAlike is the command that saves users at each node; nil: the superuser may not see it, or they differ.
func (s *session) savesAlike(ctx context.Context) []string {
	for _, node := range s.all() {
		if err := node.findFile(ctx, true); err != nil {
			return nil
		}
	}
	return s.saveOfAll()
}

// saveOfAll is savesAlike where that was found out.
func (s *session) saveOfAll() []string {
	if slices.ContainsFunc(s.others, func(node *session) bool { return !slices.Equal(node.save, s.save) }) {
		return nil
	}
	return s.save
}

// rejectionCause says why a login is rejected. all are the users of the server but the superuser. right is the user
// where another node lets it in.
func (s *session) rejectionCause(all map[string]account, login strategies.Login, right account,
	save []string) rotator.RejectionCause {
	blocked := func(remedy rotator.Sentence, format string, args ...any) rotator.RejectionCause {
		says := rotator.Sentencef(format, args...)
		return rotator.RejectionCause{Text: says.Text, Remedy: remedy.Text, Fixes: append(says.Fixes, remedy.Fixes...),
			Blocked: true}
	}
	user := login.User
	a, ok := all[user]
	isRight := a.noPass || a.has(login)
	switch {
	case !ok:
		return blocked(s.bringBack(all, login, right, save, thisVersions), "there is no user %q on this server", user)
	case isRight && a.on:
		return rotator.RejectionCause{Right: true, Text: fmt.Sprintf("user %q is on and has this very password", user)}
	case !a.powerful() && !login.Rotates:
		return blocked(s.bringBack(all, login, right, save, thisVersions),
			"user %q %s, as one that was deleted and made again, and "+
				"its password is another or it is off", user, a.lacks())
	case !a.on:
		other := ""
		if !isRight {
			other = "; its password is another, too"
		}
		return blocked(rotator.Sentence{}, "user %q is off: %s%s", user, turnOn(user, save), other)
	case len(a.passwords) == 0:
		return rotator.RejectionCause{Reset: Engine{}.ResetStatement(user), Fixes: saveUsers(save).Fixes,
			Text: fmt.Sprintf("user %q is on and has no password, as after resetpass", user)}
	}
	return rotator.RejectionCause{Reset: Engine{}.ResetStatement(user), Fixes: saveUsers(save).Fixes,
		Text: fmt.Sprintf("user %q is on, and its password is another", user)}
}

// has says whether the password of a login is one of the account's.
func (a account) has(login strategies.Login) bool {
	return !login.Password.Empty() && slices.Contains(a.passwords, digest(login.Password))
}

// powerful says whether an account may do more than rotate and look: of one that was made again, whose rules are lost,
// that is all, and what [Engine.TestUse] finds out by trying.
func (a account) powerful() bool {
	return slices.ContainsFunc(a.rules, func(rule string) bool {
		command, permits := strings.CutPrefix(strings.TrimLeft(rule, "("), "+")
		command, _, _ = strings.Cut(command, "|")
		return permits && !ofNoKey[strings.ToUpper(command)]
	})
}

// mayChangeUsers says whether an account may change users and save them, as who can see them need not. save is the
// command that saves them; nil: that is not known, and ACL SAVE is taken.
func (a account) mayChangeUsers(save []string) bool {
	if save == nil {
		save = []string{"ACL", "SAVE"}
	}
	return a.may("ACL", "SETUSER") && a.may(save[0], save[1])
}

// may says whether an account may run a command that is in the categories of administration: by its own rules, or by
// those of one selector alone.
func (a account) may(command, sub string) bool {
	permitted := false
	by := func(word string) {
		switch strings.ToLower(strings.TrimLeft(word, "+-")) {
		case "@all", "@admin", "@dangerous", "@slow", strings.ToLower(command), strings.ToLower(command + "|" + sub):
			permitted = strings.HasPrefix(word, "+")
		}
	}
	var selectors []string
	for _, word := range a.words() {
		if strings.HasPrefix(word, "(") {
			selectors = append(selectors, word)
		} else {
			by(word)
		}
	}
	for _, selector := range selectors {
		if permitted {
			return true
		}
		for word := range strings.FieldsSeq(strings.Trim(selector, "()")) {
			by(word)
		}
	}
	return permitted
}

// bare says whether an account has no command at all.
func (a account) bare() bool {
	return !slices.ContainsFunc(a.rules, func(rule string) bool {
		return strings.HasPrefix(strings.TrimLeft(rule, "("), "+")
	})
}

// lacks is what is said of an account that is not powerful.
func (a account) lacks() string {
	if a.bare() {
		return "may do nothing"
	}
	return "has no command that reads or writes a key"
}

// bringBack says how a user that is gone, or has lost its rules, gets them: from one that has its password under
// another name, from another node, from the other of its pair, which has the same, or else from the file. password
// says which it is to have.
func (s *session) bringBack(all map[string]account, login strategies.Login, there account, save []string,
	password string) rotator.Sentence {
	user := login.User
	like := func(a account, condition string) rotator.Sentence {
		set := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(user)+" reset "+typedRules(a.rules)+
			" on >PASSWORD -- on every node, "+atThePrompt)
		set.For = condition + "to bring it back"
		where := set.Note
		set.Note += s.bothPasswords()
		return rotator.Sentencef("%s, with %s in place of PASSWORD, %s, then %s", set, password, where,
			saveUsers(save))
	}
	other := pairOf(user)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a := all[name]; name != user && name != other && a.has(login) && a.powerful() {
			remove := rotator.NewFix(rotator.ByAdministrator, "ACL DELUSER "+typed(name)+" -- on every node, then ACL "+
				"SAVE (or "+orRewrite+"). It ends the connections of its clients")
			remove.Turn, remove.For = rotator.TurnLast, fmt.Sprintf("if %q is back, no client uses user %q, and its "+
				"owner agrees, to remove that one, which has a valid password still", user, name)
			return rotator.Sentencef("user %q has its password, and looks like it under another name. Store that "+
				"name as username in the secret, or bring %q back: %s%s. User %[1]q has a valid password still: "+
				"once no client uses it, and its owner agrees, %[5]s, by an administrator", name, user, like(a, ""),
				s.bothPasswords(), remove)
		}
	}
	if there.powerful() {
		return rotator.Sentencef("another node lets it in, with rules: %s%s", like(there, ""), s.bothPasswords())
	}
	if pair := all[other]; pair.powerful() {
		// a name proves nothing: the writer of the secret chooses it, and the password that would be set
		const condition = "if the two are a pair, and no other secret is for either of them, "
		return rotator.Sentencef(condition+"user %q has the rules of its pair: %s%s", other, like(pair, condition),
			s.bothPasswords())
	}
	return rotator.Sentencef("%s, and on >PASSWORD, with %s in place of PASSWORD%s. If %[4]q and %[5]q are a pair, "+
		"user %[5]q is gone, too, or has lost its rules: bring it back as well. Then, on every node, %[6]s. If the "+
		"user has another name, correct username in the secret", restoreRules(user), password, s.bothPasswords(),
		user, other, cmp.Or(strings.Join(save, " "), "ACL SAVE"))
}

// thisVersions is of the version that is rejected.
const thisVersions = "this version's password"

// pairOf is the other of a pair, by its name.
func pairOf(user string) string {
	if original, isClone := strings.CutSuffix(user, cloneSuffix); isClone {
		return original
	}
	return user + cloneSuffix
}

// bothPasswords is said where a user of one version is made anew: its clients may be on two. Of a pair, AWSPREVIOUS is
// the other user's.
func (s *session) bothPasswords() string {
	if s.login.For != nil && len(s.login.For.Users) > 1 {
		return ""
	}
	return ". With dual passwords, also > and the password in AWSPREVIOUS, which clients may have still"
}

// turnOn says how a user that is off is let in again.
func turnOn(user string, save []string) rotator.Sentence {
	on := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(user)+" on -- on every node")
	return rotator.Sentencef("%s, %s, then %s", on, on.Note, saveUsers(save))
}

// typed is a user's name as people type it: in quotes, in the spelling of valkey-cli, where its prompt or a shell would
// make something else of it. The writer of a secret chooses the name in it: "default", with the quotes in it, is one.
func typed(user string) string {
	odd := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-+.,:/@=", r)
	}
	if user != "" && !strings.ContainsFunc(user, odd) {
		return user
	}
	return inQuotes(user)
}

// typedRules are rules as they are typed at the prompt.
func typedRules(rules []string) string {
	words := slices.Clone(rules)
	for i, rule := range words {
		if strings.ContainsFunc(rule, func(r rune) bool { return r == '"' || r == '\'' || !strconv.IsPrint(r) }) {
			words[i] = inQuotes(rule)
		}
	}
	return strings.Join(words, " ")
}

func inQuotes(word string) string {
	var b strings.Builder
	for _, c := range []byte(word) {
		if c == '_' || c == '-' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return `"` + b.String() + `"`
}

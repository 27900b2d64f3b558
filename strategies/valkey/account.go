package valkey

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// account is a user as ACL LIST shows it.
type account struct {
	name      string
	on        bool
	noPass    bool
	passwords []string // SHA-256, in hexadecimal digits
	rules     []string // everything else, word by word
}

// parseAccount reads a line of ACL LIST: user NAME, and words. Neither names nor rules hold
// spaces; those in a selector are between words, as ACL SETUSER takes them. What is white space to
// Unicode alone is a part of a word, as it is to the server.
func parseAccount(line string) (account, bool) {
	words := slices.DeleteFunc(strings.Split(line, " "), func(w string) bool { return w == "" })
	if len(words) < 2 || words[0] != "user" {
		return account{}, false
	}
	a := account{name: words[1]}
	for _, w := range words[2:] {
		switch {
		case w == "on", w == "off":
			a.on = w == "on"
		case w == "nopass":
			a.noPass = true
		case strings.HasPrefix(w, "#"):
			a.passwords = append(a.passwords, w[1:])
		default:
			a.rules = append(a.rules, w)
		}
	}
	return a, true
}

// restore are the rules that make the passwords of an account what they were.
func (a account) restore() []string {
	rules := []string{"resetpass"}
	for _, p := range a.passwords {
		rules = append(rules, "#"+p)
	}
	if a.noPass {
		rules = append(rules, "nopass")
	}
	return rules
}

// whole are the rules that make an account what it was.
func (a account) whole() []string {
	rules := slices.Concat([]string{"reset"}, a.rules, a.restore())
	if a.on {
		rules = append(rules, "on")
	}
	return rules
}

// aclRemedy says what a user lacks that may not do what a rotation needs, with the line that gives it that.
func (s *session) aclRemedy() rotator.Sentence {
	give := rotator.NewFix(rotator.ByAdministrator, "ACL SETUSER "+typed(s.login.User)+" +acl +config|get "+
		"+config|rewrite +info +multi +exec +discard -- on every node")
	give.For = "if the user was not deleted and made again, to give it what a rotation needs"
	save := saveUsers(s.save)
	for i := range save.Fixes { // for it may lack +acl
		save.Fixes[i].By = rotator.ByAdministrator
	}
	return rotator.Sentencef("user %q has no rule for it. If it was deleted and made again, its rules are lost, and "+
		"ACL SAVE may overwrite their only copy: first do what status says of AWSCURRENT in its secret (quarterturn "+
		"status SECRET --function FUNCTION). If not, %s, then %s", s.login.User, give, save)
}

// accounts reads users.
func (s *session) accounts(ctx context.Context) (map[string]account, error) {
	answers, err := s.do(ctx, operation{action: "reading users", remedy: s.aclRemedy()}, []string{"ACL", "LIST"})
	if err != nil {
		return nil, err
	}
	s.users = parseAccounts(answers[0])
	return s.users, nil
}

// parseAccounts reads what ACL LIST answers.
func parseAccounts(answer any) map[string]account {
	all := map[string]account{}
	for _, line := range list(answer) {
		if a, ok := parseAccount(line); ok {
			all[a.name] = a
		}
	}
	return all
}

// find is one of some users, fit to have its password set. label is that of the version which has its password.
func (s *session) find(all map[string]account, user, label string) (account, error) {
	a, ok := all[user]
	switch {
	case !ok:
		return a, s.errorf(rotator.KindNotFound, "there is no user %q: correct username in the secret, or, if it was "+
			"deleted, %s", user, s.getBack(all, user, label))
	case a.noPass:
		return a, s.letsAnyIn(user, label)
	case !a.on:
		return a, s.errorf(rotator.KindPrivilege, "user %q is off, and a new password does not open it: %s", user,
			turnOn(user, s.save))
	}
	return a, nil
}

// getBack says how a user that is gone gets back what it was allowed: of its pair's rules, where that has them. label
// is that of the version which has its password, if it has.
func (s *session) getBack(all map[string]account, user, label string) rotator.Sentence {
	if !all[pairOf(user)].powerful() {
		return rotator.Sentencef("%s. Then save users (%s)", restoreRules(user), s.saving())
	}
	back := s.bringBack(all, strategies.Login{User: user}, account{}, s.save, "the password in "+label+" (if its "+
		"username is that, or else a new one)")
	back.Fixes[0].PasswordOf = label
	return back
}

// checkRules refuses a user that may do nothing, or, where its clone gets its rules, no more than log in and look while
// the clone may: it was deleted and made again. A rotation would save it so, over the line that the file has of it.
func (s *session) checkRules(a, clone account, proved bool) error {
	if !a.bare() && (a.powerful() || !clone.powerful()) {
		return nil
	}
	const made = "user %q %s, as one that was deleted and made again: its clients get NOPERM, and a rotation would " +
		"save it so: "
	if !clone.powerful() || !proved { // it may be no pair: what a stranger may do is not shown
		return s.errorf(rotator.KindPrivilege, made+"%s. Then save users (%s)", a.name, a.lacks(), restoreRules(a.name),
			s.saving())
	}
	give := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(a.name)+" "+typedRules(clone.rules)+
		" -- on every node")
	return s.errorf(rotator.KindPrivilege, made+"user %q, the other of its pair, has rules still: %s, %s, then %s",
		a.name, a.lacks(), clone.name, give, give.Note, saveUsers(s.save))
}

// saving is the command that saves users.
func (s *session) saving() string {
	if s.save == nil {
		return "ACL SAVE"
	}
	return strings.Join(s.save, " ")
}

// letsAnyIn says that a user has nopass, and whose password it is to be given.
func (s *session) letsAnyIn(user, label string) error {
	set := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(user)+" resetpass >PASSWORD -- on every node, "+
		atThePrompt)
	set.PasswordOf = label
	set.Note += s.bothPasswords()
	return s.errorf(rotator.KindMisconfigured, "user %q is let in with any password (nopass), so a login proves "+
		"nothing: %s, with the password in %s in place of PASSWORD, then %s%s", user, set, label, saveUsers(s.save),
		s.bothPasswords())
}

// atThePrompt is said where a command has a password: a shell takes > for its own, and then sets none.
const atThePrompt = "at the prompt of valkey-cli or redis-cli"

// split is said of a password that the prompt takes apart, and then sets another. What the line does is right for any.
func split(p secret.Password) string {
	if !strings.ContainsAny(p.Reveal(), " \t\n\v\f\r\"'") {
		return ""
	}
	return ". This password has a space, a quote or a line break, so at the prompt #HASH in place of >PASSWORD, " +
		"where HASH is what " + hashOf + " prints"
}

// hashOf prints the SHA-256 of the password of a version, byte for byte.
const hashOf = "aws secretsmanager get-secret-value --secret-id SECRET --version-stage LABEL --query SecretString " +
	"--output text | jq -j .password | sha256sum | cut -d ' ' -f 1"

// overwrites is said of each command that saves users, and of a rotation, which runs one. No client can read the file:
// whether it has more, the function does not see. save is that command, if it is known.
func overwrites(save []string) string {
	load := ""
	switch {
	case save == nil:
		load = " (or, of an aclfile, by ACL LOAD, if ACL LIST has nothing that the file lacks)"
	case save[0] == "ACL":
		load = " (or by ACL LOAD, if ACL LIST has nothing that the file lacks)"
	}
	return "overwrites the file with what ACL LIST shows, also for other users: before any change, compare the two, " +
		"and bring back what the file alone has, by ACL SETUSER NAME and the words of its line" + load
}

// compareFirst is overwrites in short, for a sentence: the line that looks says it all.
const compareFirst = "overwrites the file with what ACL LIST shows: before any change, compare the two"

// orRewrite is said of ACL SAVE where a person finds out which it is.
const orRewrite = "CONFIG REWRITE, where users are in the configuration file"

// saveUsers is what follows changes of users, with what comes before and after them: the look at what that overwrites,
// and the command, after each change, whatever its cause. Where it is not known, both are printed.
func saveUsers(save []string) rotator.Sentence {
	const last = "to save users, after all that changes them"
	line := func(purpose string, words ...string) rotator.Fix {
		return rotator.Fix{By: rotator.BySuperuser, For: purpose, Run: strings.Join(words, " "), Turn: rotator.TurnLast,
			Note: "on every node. Without OK nothing is saved, which status does not see"}
	}
	look := rotator.Fix{By: rotator.BySuperuser, For: "to compare users with the file first", Run: "ACL LIST",
		Note: "on every node. To save users " + overwrites(save), Turn: rotator.TurnFirst}
	if save != nil {
		known := line(last, save...)
		return rotator.Sentence{Text: known.Run + " (it " + compareFirst + ")", Fixes: []rotator.Fix{look, known}}
	}
	return rotator.Sentence{Text: "ACL SAVE (" + orRewrite + ". Either " + compareFirst + ")",
		Fixes: []rotator.Fix{look, line(last+", where an aclfile has them (CONFIG GET aclfile names it)",
			"ACL", "SAVE"), line("if CONFIG GET aclfile names no file, in place of that", "CONFIG", "REWRITE")}}
}

// restoreRules says how a user that was deleted gets back what it was allowed.
func restoreRules(user string) string {
	return "do not ACL SAVE yet: it overwrites the file that CONFIG GET aclfile names, which may have the only copy " +
		"of its rules (where that names none, users are in the configuration file, by INFO server, and CONFIG " +
		"REWRITE overwrites them). If its line was written there by hand and not loaded, ACL LOAD (of an aclfile), " +
		"which also undoes what others have not saved. If it was deleted, " +
		"ACL SETUSER " + typed(user) + " reset, and after that the words of its line in that file, or of its line " +
		"in ACL LIST of any node (without reset, a password that it was given since goes on working). If " +
		"neither has one, the words of the line of user " + typed(pairOf(user)) + ", if the two are a pair, with " +
		">PASSWORD in place of the word that begins with # (the password of " + typed(user) + "). Likewise " +
		"each other user that the file has and ACL LIST has not: to save erases its line"
}

// set changes the passwords of a user by rules that are made of what it has, and saves.
func (s *session) set(ctx context.Context, user string, dry bool, rules func(account) []string) error {
	all, err := s.accounts(ctx)
	if err != nil {
		return err
	}
	a, err := s.find(all, user, rotator.LabelCurrent)
	if err == nil {
		err = s.checkRules(a, account{}, false)
	}
	if err != nil {
		return err
	}
	return s.apply(ctx, dry, []change{{of: a, rules: rules(a)}})
}

// change is what becomes of one user: by rules made of what it was, and, where they are all that it has, of another.
type change struct {
	of    account
	rules []string
	like  *account // nil: the passwords alone change
	keeps bool     // the passwords among the rules are those that it had
}

// meanwhile says whether users are no longer what the rules were made of. That another invocation has made the same of
// them is none of that.
func (c change) meanwhile(now map[string]account) bool {
	is := now[c.of.name]
	if c.like == nil {
		return is.name == ""
	}
	return !now[c.like.name].same(*c.like) || !is.same(c.of) && !is.same(*c.like) ||
		c.keeps && !slices.Equal(is.passwords, c.of.passwords)
}

// same says whether an account may do what another may, and is let in as that is.
func (a account) same(b account) bool {
	return a.on == b.on && a.noPass == b.noPass && slices.Equal(a.rules, b.rules)
}

// backwards takes the change back.
func (c change) backwards(was map[string]account) []string {
	switch a := was[c.of.name]; {
	case a.name == "":
		return []string{"ACL", "DELUSER", c.of.name}
	case c.like == nil:
		return append([]string{"ACL", "SETUSER", a.name}, a.restore()...)
	default:
		return append([]string{"ACL", "SETUSER", a.name}, a.whole()...)
	}
}

// apply makes changes and saves, in one transaction, which begins with what users are: where that is no longer what the
// changes were made of, they are taken back. A dry run has the server check the commands, and then discards them. MULTI
// goes by itself: where it is refused, what follows would be carried out at once.
func (s *session) apply(ctx context.Context, dry bool, changes []change) error {
	if err := s.checkRewrite(); err != nil {
		return err
	}
	commands := [][]string{{"ACL", "LIST"}}
	for _, c := range changes {
		commands = append(commands, append([]string{"ACL", "SETUSER", c.of.name}, c.rules...))
	}
	if s.save != nil {
		commands = append(commands, s.save)
	}
	op := operation{action: "changing users", remedy: s.aclRemedy()}
	if dry {
		op.action = "checking a change of users"
	}
	if _, err := s.do(ctx, op, []string{"MULTI"}); err != nil {
		return err
	}
	if dry {
		// EXEC cannot be queued: whether the user may send it, an empty transaction shows.
		_, err := s.do(ctx, op, append(commands, []string{"DISCARD"}, []string{"MULTI"}, []string{"EXEC"})...)
		return err
	}
	answers, err := s.do(ctx, op, append(commands, []string{"EXEC"})...)
	if err != nil {
		return err
	}
	results, ok := answers[len(answers)-1].([]any)
	if !ok || len(results) != len(commands) {
		return s.errorf(rotator.KindConflict, "the server did not carry out the transaction: nothing was changed "+
			"at this node; try again")
	}
	was := parseAccounts(results[0])
	if len(was) == 0 { // refused just now, which does not say that there are no users
		was = s.users
	}
	refused := slices.IndexFunc(results, func(r any) bool { _, failed := r.(serverError); return failed })
	switch {
	case refused == len(results)-1 && s.save != nil:
		undone := s.takeBack(ctx, changes, was, nil)
		return fmt.Errorf("%w. %s", s.cannotSave("failed, so that the change would be lost at the next restart"),
			undone)
	case refused >= 0:
		save := s.save
		if _, failed := results[len(results)-1].(serverError); failed {
			save = nil
		}
		return s.errorf(rotator.KindInternal, "the server refused a rule of a user. %s", s.takeBack(ctx, changes, was,
			save))
	case slices.ContainsFunc(changes, func(c change) bool { return c.meanwhile(was) }):
		return s.errorf(rotator.KindConflict, "its users were changed by others at the same time: try again. %s",
			s.takeBack(ctx, changes, was, s.save))
	}
	return nil
}

// takeBack undoes what a transaction has left in memory, and in the file, if that was saved. It says what came of it.
func (s *session) takeBack(ctx context.Context, changes []change, was map[string]account, save []string) string {
	var commands [][]string
	for _, c := range changes {
		commands = append(commands, c.backwards(was))
	}
	if save != nil {
		commands = append(commands, save)
	}
	if _, err := s.do(context.WithoutCancel(ctx), operation{action: "taking a change back"}, commands...); err != nil {
		return "The change is in memory and could not be taken back; a retry goes on from there"
	}
	if save != nil {
		return "What it had changed is taken back, and all users are saved as they are now, also what others had " +
			"changed and not saved"
	}
	return "Nothing was changed at this node"
}

// checkRewrite refuses what would keep the server from starting again, or give a user other rules then. CONFIG REWRITE
// writes users as they are, and a configuration file is read by the rules of quotes; and Redis 6 reads it in pieces of
// 1024 bytes before it writes it anew, so that the rest of a longer line stays. An aclfile is read otherwise.
func (s *session) checkRewrite() error {
	if s.save == nil || s.save[0] != "CONFIG" {
		return nil
	}
	const piece, hash = 1024, len(" #") + 2*sha256.Size
	const most = piece - hash - len(cloneSuffix) - len(" sanitize-payload") // a change may add all that
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		a, what := s.users[name], ""
		line := strings.Join(slices.Concat([]string{"user", name, "on"}, a.rules), " ")
		switch {
		case strings.ContainsAny(line, `"'`):
			what = "a quote in its name or in a rule"
		case s.before7() && len(line)+hash*len(a.passwords) > most:
			what = fmt.Sprintf("a line of more than %d characters", most)
		default:
			continue
		}
		return s.errorf(rotator.KindMisconfigured, "user %q has %s, which CONFIG REWRITE writes to %s so that the "+
			"server does not read it again: it would not start, or start with other rules. Have the users in an "+
			"aclfile, or change that user's name or rules", name, what, s.file)
	}
	return nil
}

// cannotReplace is what keeps a server from writing a file anew.
const cannotReplace = "Its folder is read-only or not the server's (make it writable for the server), the file is a " +
	"mount of its own (mount its folder instead), or the disk is full: see the server's log"

// cannotSave says what keeps the server from saving users, and what shows that nothing does.
func (s *session) cannotSave(failed string) error {
	return s.errorf(rotator.KindMisconfigured, "%s", s.cannotSaveText(failed, dial.Address(s.login)))
}

// cannotSaveText is cannotSave in words. The line to run is for all of the places.
func (s *session) cannotSaveText(failed string, places ...string) rotator.Sentence {
	try := saveUsers(s.save)
	try.Text = s.saving()
	try.Fixes[len(try.Fixes)-1].For = "to see that the server can save users, at " + strings.Join(places, " and at ")
	try.Fixes[len(try.Fixes)-1].Note = ""
	return rotator.Sentencef("%s %s: the server cannot replace %s. %s, and try %s there once it is fixed. That %s",
		s.saving(), failed, s.file, cannotReplace, try, overwrites(s.save))
}

// hasFailed says how often a command has.
func hasFailed(calls, failed int) string {
	return fmt.Sprintf("has failed %d of %d times since this server was started", failed, calls)
}

// EnsureClone implements strategies.CloningEngine. The rules of the original become those of the
// clone, in the transaction that sets the password.
func (e Engine) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	_, err := e.clone(ctx, login, pair, p, false)
	return err
}

// DryRunEnsureClone implements strategies.CloningEngine, as DryRunSetPassword does it.
func (e Engine) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) ([]strategies.Warning, error) {
	return e.clone(ctx, login, pair, p, true)
}

func (e Engine) clone(ctx context.Context, login strategies.Login, pair strategies.Pair, p secret.Password,
	dry bool) (warnings []strategies.Warning, err error) {
	if pair.Original == pair.Clone || pair.Target != pair.Original && pair.Target != pair.Clone {
		return nil, fmt.Errorf("pair %q and %q, next %q: %w: want two users, and one of them", pair.Original,
			pair.Clone, pair.Target, rotator.KindMisconfigured)
	}
	e.AllowSelfChange = true // the superuser itself is refused below, with the reason
	err = e.connected(ctx, login, []string{pair.Original, pair.Clone}, p, func(s *session) error {
		changes := make([][]change, len(s.all()))
		for i, node := range s.all() { // all are checked before any is changed
			if changes[i], err = node.align(ctx, login, pair, p); err != nil && changes[i] == nil {
				return err
			}
			rest := node.findFile(ctx, e.AllowUnsaved)
			if rest == nil && dry {
				rest = node.apply(ctx, true, changes[i])
			}
			if err := also(err, rest); err != nil {
				return err
			}
		}
		if dry {
			warnings = slices.Concat(s.warnings(ctx), s.losses(changes, pair.InUse() == pair.Clone),
				s.unlike(pair.Original), s.unheld(ctx, pair.Target, thisRotation, false),
				s.unheld(ctx, pair.InUse(), nextRotation, false))
			return e.checkAlone(ctx, s)
		}
		for i, node := range s.all() {
			if err := node.apply(ctx, false, changes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return warnings, err
}

// also adds to an error what would come after it, so that both are fixed in one round.
func also(err, rest error) error {
	switch {
	case err == nil:
		return rest
	case rest == nil:
		return err
	}
	return fmt.Errorf("%w. Fix at the same time: %v", err, rest)
}

// align works out what a rotation of a pair changes at a node. Where it gives changes with an error, they are what
// would be changed if the pair were proved.
func (s *session) align(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) ([]change, error) {
	all, err := s.accounts(ctx)
	if errors.Is(err, rotator.KindPrivilege) { // and who the users are is not shown
		return nil, also(err, s.checkEntitled(ctx, login, pair, account{}, account{}))
	}
	if err != nil {
		return nil, err
	}
	if _, err := s.find(all, pair.InUse(), rotator.LabelCurrent); err != nil {
		return nil, err
	}
	target, exists := all[pair.Target]
	if !exists && (pair.Target == pair.Original || pair.PasswordOnly) {
		_, err := s.find(all, pair.Target, rotator.LabelPrevious)
		return nil, err
	}
	var denied error
	if exists {
		denied = s.checkEntitled(ctx, login, pair, target, all[pair.InUse()])
		if _, err := s.find(all, pair.Target, rotator.LabelPrevious); err != nil {
			return nil, also(denied, err)
		}
	}
	original, clone := all[pair.Original], all[pair.Clone]
	if !pair.PasswordOnly {
		err = s.checkRules(original, clone, denied == nil)
	} else if err = s.checkRules(original, account{}, false); err == nil {
		err = s.checkRules(clone, account{}, false)
	}
	if err != nil {
		return nil, also(denied, err)
	}
	return s.changes(all, pair, p), denied
}

// changes are those of a pair whose users are fit to be changed.
func (s *session) changes(all map[string]account, pair strategies.Pair, p secret.Password) []change {
	password := []string{"resetpass", "#" + digest(p)}
	original, clone := all[pair.Original], all[pair.Clone]
	if pair.PasswordOnly {
		return []change{{of: all[pair.Target], rules: password}}
	}
	alike := clone.name != "" && slices.Equal(original.rules, clone.rules)
	clone.name = pair.Clone // which may not be there yet
	copied := func(passwords []string) change {
		return change{of: clone, like: &original, rules: slices.Concat([]string{"reset"}, original.rules, passwords,
			[]string{"on"})}
	}
	var changes []change
	switch {
	case pair.Target == pair.Original:
		changes = append(changes, change{of: original, rules: password})
		if !alike { // the clone is in use: its passwords stay
			c := copied(clone.restore())
			c.keeps = true
			changes = append(changes, c)
		}
	case alike:
		changes = append(changes, change{of: clone, rules: password})
	default:
		changes = append(changes, copied(password))
	}
	return changes
}

// checkEntitled shows the strategy what the server knows of the account.
func (s *session) checkEntitled(ctx context.Context, login strategies.Login, pair strategies.Pair, target,
	inUse account) error {
	seen := strategies.Evidence{
		Acting:       pair.Target == login.User,
		NoProvenance: "Valkey has no mark of whose clone a user is",
	}
	if target.name != "" { // where users are not shown, a login tells
		seen.Holds = func(p secret.Password) bool { return slices.Contains(target.passwords, digest(p)) }
	}
	var power []string
	for _, rule := range target.rules {
		less := slices.ContainsFunc(target.keeps(rule, inUse), administers)
		if administers(rule) && (less || !slices.Contains(inUse.rules, rule)) {
			power = append(power, rule)
		}
	}
	if pair.PasswordOnly {
		seen.Admin = power
	} else {
		seen.Synced = power
	}
	return pair.CheckEntitled(ctx, seen)
}

// keeps are the commands which a rule gives that another account has too, and which that one takes away again: what is
// "+@all" here may be "+@all -@dangerous" there.
func (a account) keeps(rule string, other account) (more []string) {
	takenAfter := func(rules []string) (taken []string) {
		for _, word := range rules[slices.Index(rules, rule)+1:] {
			if strings.HasPrefix(word, "(") {
				break // a selector stands by itself
			}
			if command, takes := strings.CutPrefix(word, "-"); takes {
				taken = append(taken, "+"+command)
			}
		}
		return taken
	}
	if !strings.HasPrefix(rule, "+") || !slices.Contains(other.rules, rule) {
		return nil
	}
	mine := takenAfter(a.rules)
	for _, command := range takenAfter(other.rules) {
		if !slices.Contains(mine, command) && (strings.HasPrefix(rule, "+@") || strings.HasPrefix(command, "+@") ||
			strings.HasPrefix(command, rule+"|")) {
			more = append(more, command)
		}
	}
	return more
}

// administers says whether a rule gives power over the server or its users: @slow has ACL SETUSER in it.
func administers(rule string) bool {
	command, ok := strings.CutPrefix(strings.TrimPrefix(rule, "("), "+")
	if !ok {
		return false
	}
	command, _, _ = strings.Cut(strings.ToLower(strings.TrimSuffix(command, ")")), "|")
	return slices.Contains([]string{"@all", "@admin", "@dangerous", "@slow", "@connection", "acl", "config", "module",
		"debug", "shutdown", "replicaof", "slaveof", "cluster", "failover", "sync", "psync", "monitor", "save",
		"bgsave", "bgrewriteaof", "latency", "slowlog", "commandlog", "client"}, command)
}

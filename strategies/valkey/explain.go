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

// Inquiry implements strategies.Explainer.
func (Engine) Inquiry(users ...string) string {
	one := users[0]
	return "ACL LIST -- on every node. No line for user " + strings.Join(users, " or ") + ": it is gone, and " +
		restoreRules(one) + ". off: ACL SETUSER " + one + " on. No rule with + in its line: it was made again " +
		"without its rules, and may log in and do nothing: the same, before anything is saved. Otherwise the " +
		"password is another: what follows # is the SHA-256 of one (printf %s \"$PASSWORD\" | sha256sum)"
}

// Explain implements strategies.Explainer: at each node, as users are not shared between them.
func (e Engine) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	s, err := e.connect(ctx, superuser)
	defer s.close()
	if err != nil {
		return nil, err
	}
	causes := make([]rotator.RejectionCause, len(rejected))
	for n, node := range s.all() {
		all, err := node.accounts(ctx)
		if err != nil {
			return nil, err
		}
		delete(all, superuser.User)
		for i, login := range rejected {
			if n > 0 && !causes[i].Right {
				continue
			}
			causes[i] = rejectionCause(all, login)
			if len(s.others) > 0 && !causes[i].Right {
				causes[i].Text = "at node " + dial.Address(node.login) + ", " + causes[i].Text
			}
		}
	}
	return causes, nil
}

// rejectionCause says why a login is rejected. all are the users of the server but the superuser.
func rejectionCause(all map[string]account, login strategies.Login) rotator.RejectionCause {
	blocked := func(remedy string, fixes []rotator.Fix, format string, args ...any) rotator.RejectionCause {
		return rotator.RejectionCause{Text: fmt.Sprintf(format, args...), Remedy: remedy, Fixes: fixes, Blocked: true}
	}
	remedy, fixes := bringBack(all, login)
	user := login.User
	a, ok := all[user]
	right := a.noPass || a.has(login)
	switch {
	case !ok:
		return blocked(remedy, fixes, "there is no user %q on this server", user)
	case right && a.on:
		return rotator.RejectionCause{Right: true, Text: fmt.Sprintf("user %q is on and has this very password", user)}
	case !a.powerful():
		return blocked(remedy, fixes, "user %q may do nothing, as one that was deleted and made again, and its "+
			"password "+
			"is another or it is off", user)
	case !a.on:
		other := ""
		if !right {
			other = "; its password is another, too"
		}
		on := strategies.Fix(strategies.Login{}, "ACL SETUSER "+user+" on")
		return blocked("", []rotator.Fix{on, saveUsers()}, "user %q is off: %s, then ACL SAVE (%s)%s", user, on.Run,
			inConfigFile, other)
	case len(a.passwords) == 0:
		return rotator.RejectionCause{Reset: Engine{}.ResetStatement(user),
			Text: fmt.Sprintf("user %q is on and has no password, as after resetpass", user)}
	}
	return rotator.RejectionCause{Reset: Engine{}.ResetStatement(user),
		Text: fmt.Sprintf("user %q is on, and its password is another", user)}
}

// has says whether the password of a login is one of the account's.
func (a account) has(login strategies.Login) bool {
	return slices.Contains(a.passwords, digest(login.Password))
}

// powerful says whether an account may do anything.
func (a account) powerful() bool {
	return slices.ContainsFunc(a.rules, func(rule string) bool {
		return strings.HasPrefix(strings.TrimLeft(rule, "("), "+")
	})
}

// bringBack says how a user that is gone, or has lost its rules, gets them: from one that has its password under
// another name, from the other of its pair, which has the same, or else from the file.
func bringBack(all map[string]account, login strategies.Login) (remedy string, fixes []rotator.Fix) {
	user := login.User
	words := func(like account) (string, []rotator.Fix) {
		set := "ACL SETUSER " + user + " reset " + strings.Join(like.rules, " ") + " on >PASSWORD"
		return set + ", with this version's password in place of PASSWORD, on every node, " + atThePrompt +
				", then ACL SAVE (" + inConfigFile + ")",
			[]rotator.Fix{strategies.Fix(strategies.Login{}, set+" -- on every node, "+atThePrompt), saveUsers()}
	}
	other := user + cloneSuffix
	if original, isClone := strings.CutSuffix(user, cloneSuffix); isClone {
		other = original
	}
	if pair := all[other]; pair.powerful() {
		how, fixes := words(pair)
		return fmt.Sprintf("user %q has the rules of its pair: %s", other, how), fixes
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if like := all[name]; name != user && like.has(login) && like.powerful() {
			how, fixes := words(like)
			return fmt.Sprintf("user %q has its password, and looks like it under another name. Store that name as "+
				"username in the secret, or bring %q back: %s", name, user, how), fixes
		}
	}
	return restoreRules(user) + ", and on >PASSWORD, with this version's password in place of PASSWORD. Then, on " +
		"every node, ACL SAVE. If the user has another name, correct username in the secret", nil
}

// saveUsers is the command that follows a change of users.
func saveUsers() rotator.Fix {
	return strategies.Fix(strategies.Login{}, "ACL SAVE -- on every node, or "+inConfigFile)
}

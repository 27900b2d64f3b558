package strategies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// This file says whose password a rotation may set as a superuser. A principal that can write
// a secret chooses the names in it, and a superuser can set any password: without a
// rule, a secret would be a way to any account of the server.

// keyRotates is for the superuser secret: the pairs of accounts that rotations may
// work on as this superuser, whatever the server shows of them.
const keyRotates = "rotates"

// Evidence is what an engine sees of the account whose password is to be set,
// pair.Target, in the session that is to set it.
type Evidence struct {
	// Acting: it is the superuser itself, or the role that the superuser acts as.
	Acting bool
	// Admin names the administrative attributes, privileges and memberships which the
	// account has, the account in use lacks, and the change leaves as they are.
	Admin []string
	// Synced names those which the change takes from the account before it has its new
	// password, or gives to the account in use.
	Synced []string
	// Taking is what people run to take Admin and Synced from it, where that is known.
	Taking []rotator.Fix
	// Gains names what would come to be able to do more by the change and is no account of
	// the pair: who can act as one of the two, and what was defined for the name of one.
	Gains []string
	// Ending is what people run once Gains is taken away, to see what is left of it.
	Ending []rotator.Fix
	// Holds says whether the passwords that it has been asked for are, together, those
	// of all accounts that are to be changed, where the superuser can read what the server
	// stores. nil: only a login can tell.
	Holds func(secret.Password) bool
	// Others names those of these accounts that have none of the passwords that Holds has been asked
	// for, where others of them have one: they may be another owner's. nil: there are no others.
	Others func() string
	// Several names the accounts that get the same password, where they are more than one.
	Several string
	// NoProvenance says why the server does not show that the account belongs to the
	// pair. "": it does.
	NoProvenance string
}

// CheckEntitled says whether the password of pair.Target may be set. An engine calls it
// before it changes anything, unless the account is still to be created. Any error is
// the engine's to return.
//
// The superuser's own account is out of reach, and so is one with administrative power
// that the account in use lacks: to hand out its password would be to hand out that
// power. Any other needs one of three proofs. Provenance: the server shows that it is
// the clone, and it can do nothing that the original cannot. Consent: the superuser
// secret, which only its owner can write, names the pair. Possession: an earlier
// password of the account is in the secret and still works, so that nothing is gained.
func (p Pair) CheckEntitled(ctx context.Context, seen Evidence) error {
	switch {
	case seen.Acting:
		return NotEntitled("user %q is the superuser that this rotation acts as. Its password belongs to the "+
			"superuser secret alone: give the secret a user of its own", p.Target)
	case len(seen.Admin) > 0:
		return rotator.WithFix(NotEntitled("user %q has %s, and user %q, which is in use, has not. Take that from %q, "+
			"unless both are to have it", p.Target, list(seen.Admin), p.InUse(), p.Target), "", seen.Taking...)
	case len(seen.Gains) > 0 && !p.Consent:
		left := ""
		if seen.Ending != nil {
			left = fmt.Sprintf(", then end the sessions that are left of it, and see what user %q owns", p.Clone)
		}
		return withConsent(p.secretARN, "if it may be so", rotator.WithFix(NotEntitled("user %q is to have what user "+
			"%q may do, and so would have: %s. Take that away%s; or, if it may be so, add this to the superuser "+
			"secret: %s", p.Clone, p.Original, list(seen.Gains), left, consentMember(p.Original, p.Clone)), "",
			seen.Ending...), p.Original, p.Clone)
	case seen.NoProvenance == "" && !p.Named:
		return nil
	case p.Consent && len(seen.Synced) == 0:
		return nil
	}
	unproved := fmt.Errorf("%w: no earlier password of it is known", rotator.KindNotEntitled)
	if p.Possession != nil {
		unproved = p.Possession(ctx, seen.Holds)
	}
	switch kind := rotator.KindOf(unproved); {
	case unproved == nil:
		return nil
	case kind != rotator.KindLoginRejected && kind != rotator.KindNotEntitled:
		return entitlementError{fmt.Errorf("finding out whether the secret holds a password of user %q: %w",
			p.Target, unproved)}
	}
	if p.Consent {
		return rotator.WithFix(NotEntitled("user %q has %s, and user %q, which is in use, has not (and %v). Take that "+
			"from %q, unless both are to have it", p.Target, list(seen.Synced), p.InUse(), unproved, p.Target), "",
			seen.Taking...)
	}
	if seen.Others != nil && seen.Others() != "" {
		return heldByOthers(p.Target, seen.Others(), p.Original, p.Clone)
	}
	why := seen.NoProvenance
	if p.Named {
		why = "alternateUsername is only a name in the secret"
	}
	unknown := strings.TrimPrefix(unproved.Error(), string(rotator.KindNotEntitled)+": ")
	several, all := "", ""
	if seen.Several != "" {
		several = fmt.Sprintf("It has several accounts: %s. Find out whose each is: RENAME USER what is another "+
			"owner's, or that owner is locked out. ", seen.Several)
		all = ". All of its accounts then get the new password"
	}
	const condition = "if the two are a pair, and no other secret is for either of them"
	return withConsent(p.secretARN, condition, NotEntitled("nothing proves that user %q belongs to user %q: %s; %s. "+
		"%sI%s, add this to the superuser secret: %s%s", p.Target, p.InUse(), why, unknown, several, condition[1:],
		consentMember(p.Original, p.Clone), all), p.Original, p.Clone)
}

// list shortens what would fill a screen.
func list(all []string) string {
	const most = 8
	if len(all) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}

// entry is how the member rotates has one name, or two: with a slash between them. Where a name has a slash or an
// asterisk itself, that could be others, and it is NUL, which no name has and no pattern stands for; behind one name,
// too.
func entry(names ...string) string {
	switch {
	case !strings.ContainsAny(strings.Join(names, ""), "/*"):
		return strings.Join(names, "/")
	case len(names) == 1:
		return names[0] + "\x00"
	}
	return strings.Join(names, "\x00")
}

// consentMember is what to paste into the superuser secret.
func consentMember(names ...string) string {
	name, _ := json.Marshal(entry(names...)) // a string can be encoded
	return fmt.Sprintf("%q: [%s]", keyRotates, name)
}

// withConsent adds to an error the line that writes the member of names into the superuser secret, beside those that
// are there. What RDS manages, no one else can write.
func withConsent(arn, condition string, err error, names ...string) error {
	if arn == "" || managedByRDS(arn) {
		return err
	}
	name, _ := json.Marshal(entry(names...))
	var users []string
	for _, user := range names {
		if rotator.ShellWord(user) == user { // it stands in quotes of two kinds
			users = append(users, `$.target.user = "`+user+`"`)
		}
	}
	var fixes []rotator.Fix
	if len(users) == len(names) {
		fixes = []rotator.Fix{{By: rotator.ByShell, For: "if another secret may be for " + strings.Join(names, " or ") +
			", to see its rotations, with the log group of each rotation function in place of LOG-GROUP",
			Run: "aws logs filter-log-events --log-group-name LOG-GROUP --filter-pattern '{ $.message = " +
				`"rotation completed" && (` + strings.Join(users, " || ") + ") }' --query " +
				"'events[].message' --output text",
			Note: "a line of the same host with another secret_arn: its clients would be locked out, so add " +
				"nothing. Where AWSPREVIOUS is rejected, something else has set the password of its user since"},
			{By: rotator.ByShell, For: "if there is such a line, to see whether that secret is there, with its ARN " +
				"in place of OTHER-ARN", Run: "aws secretsmanager describe-secret --secret-id OTHER-ARN",
				Note: "if it is not found, it was deleted, or was this secret before it was made again, with other " +
					"last six characters: go on as if there were no such line"}}
	}
	return rotator.WithFix(err, "", append(fixes, rotator.Fix{By: rotator.ByShell,
		For: condition + ", to say so in the superuser secret",
		Run: fmt.Sprintf("aws secretsmanager get-secret-value --secret-id %[1]s --query SecretString --output text | "+
			"jq -c '.rotates = ([.rotates // empty] | flatten + [%[2]s])' | aws secretsmanager put-secret-value "+
			"--secret-id %[1]s --secret-string file:///dev/stdin", rotator.ShellWord(arn),
			strings.ReplaceAll(string(name), "'", `'\''`))})...)
}

// entitlementError marks an error of the check, so that a preflight shows it as that.
type entitlementError struct{ error }

func (e entitlementError) Unwrap() error { return e.error }

// NotEntitled makes an error of an account whose password this secret may not set. An
// engine needs it where CheckEntitled is not the one to judge.
func NotEntitled(format string, args ...any) error {
	return entitlementError{fmt.Errorf("%w: "+format, append([]any{rotator.KindNotEntitled}, args...)...)}
}

// consents says whether a superuser secret names a user that rotates alone, or the two of
// a pair. Its member rotates is a string or a list of strings, each of which is an entry of
// those names, in either order, or a pattern that all names match, in which * stands for any
// characters. A pattern is for no pair that only alternateUsername makes one: the writer of a
// secret could name any other account there that the pattern stands for.
func consents(superuser secret.Document, byPattern bool, names ...string) bool {
	turned := slices.Clone(names)
	slices.Reverse(turned)
	for _, pattern := range superuser.Texts(keyRotates) {
		if pattern == entry(names...) || pattern == entry(turned...) {
			return true
		}
		if byPattern && !slices.ContainsFunc(names, func(name string) bool { return !matches(pattern, name) }) {
			return true
		}
	}
	return false
}

// Holding is what is known of the secret for whose user a superuser acts.
type Holding struct {
	Users []string // whom the secret is for: one, or the original and the clone of a pair
	// Consent says that the superuser secret names them, which only its owner can write.
	Consent bool
	// Passwords gives those of a user that the secret holds, of a pair's user in use the one that has just logged in
	// alone. That comes first; what has to be read for the others is read when they are asked for.
	Passwords func(ctx context.Context, user string) iter.Seq2[secret.Password, error]
	// Seen is what an Observer said of logins, by user.
	Seen map[string]string

	secretARN string // of the superuser secret
}

// CheckHeld says whether a superuser may change all accounts that a name stands for, or give
// to others what they may do. An engine of which Traits.SeveralAccounts calls it before it
// changes anything. held is asked for each password that the secret holds, and gives those
// accounts which have none of those asked about so far; in the end there may be none. An
// account with another password may be another owner's: the secret's password would lock
// that owner out, and be a way to what the account may do.
func (l Login) CheckHeld(ctx context.Context, user string, held func(secret.Password) (others string)) error {
	if l.For == nil || l.For.Consent {
		return nil
	}
	others := ""
	for p, err := range l.For.Passwords(ctx, user) {
		if err != nil {
			return entitlementError{fmt.Errorf("finding out which passwords of user %q the secret holds: %w", user,
				err)}
		}
		if others = held(p); others == "" {
			return nil
		}
	}
	return withConsent(l.For.secretARN, "if all accounts of that name are this secret's",
		heldByOthers(user, others, l.For.Users...), l.For.Users...)
}

// heldByOthers refuses to change accounts of a name, some of which have no password of the secret's. pair is whom a
// consent would name.
func heldByOthers(user, others string, pair ...string) error {
	return NotEntitled("user %q has several accounts, and of %s the secret holds no password: another owner may use "+
		"it, who would be locked out, and what it may do would come to this secret. If it is another owner's, RENAME "+
		"USER that account (its clients then log in by the new name), or DROP USER it if none needs it. Only if all "+
		"accounts of that name are this secret's, add this to the superuser secret: %s. All of them then get the new "+
		"password", user, others, consentMember(pair...))
}

// passwordsOf makes the Passwords of a Holding of logins, of which the first is known to work.
func passwordsOf(logins ...func() (Login, error)) func(context.Context, string) iter.Seq2[secret.Password, error] {
	return func(_ context.Context, user string) iter.Seq2[secret.Password, error] {
		return func(yield func(secret.Password, error) bool) {
			for _, find := range logins {
				login, err := find()
				if errors.Is(err, errNoCandidate) || err == nil && login.User != user {
					continue
				}
				if !yield(login.Password, err) {
					return
				}
			}
		}
	}
}

// matches says whether a name is one that a pattern stands for. What has no asterisk is none.
func matches(pattern, name string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return false
	}
	name, found = strings.CutPrefix(name, first)
	if !found {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}

// possession proves that user has a password which is, or was, in the secret: that of
// AWSPREVIOUS, and where that is rejected that of AWSPENDING, for setSecret may have
// been here before. login is the one that worked, and try has the server judge another.
func possession(t Traits, r rotator.Rotation, current, login Login, user string, try func(Login) error,
	pending func() (Login, error)) func(context.Context, func(secret.Password) bool) error {
	return func(ctx context.Context, holds func(secret.Password) bool) error {
		if login.User == user {
			return nil
		}
		if holds != nil {
			try = func(login Login) error {
				if holds(login.Password) {
					return nil
				}
				return fmt.Errorf("%w: the server stores another password for user %q", rotator.KindLoginRejected, user)
			}
		}
		of := func(other string) bool { return other == user }
		_, label, err := firstWorking(
			candidate{rotator.LabelPrevious, previousLogin(ctx, t, r, current, of), try},
			candidate{rotator.LabelPending, pending, try},
		)
		if errors.Is(err, errNoCandidate) {
			return fmt.Errorf("%w: AWSPREVIOUS holds no password of it", rotator.KindNotEntitled)
		}
		if err == nil {
			r.Logf("user %q belongs to the secret: %s holds a password of it that works", user, label)
		}
		return err
	}
}

package dial

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// Cause is what an answer of a server means: a row of the table that each engine has.
// The tables of docs/runbook.md are made of them.
type Cause struct {
	// Codes are numbers or SQLSTATEs; one that ends in * stands for all that begin so.
	Codes []string
	// During limits the row to one kind of work; 0: any.
	During Work
	// From limits it to routines of the server, or to products where an engine has
	// several, and Says to messages with one of these words: only what servers do not
	// translate.
	From, Says []string

	Kind  rotator.Kind
	Retry Retry
	// Text is the sentence: what happened, and what to do. {user}, {database} and
	// {address} are those of the login, names as identifiers of the server's language.
	// {remedy} is what the operation knows of the privilege that it needs, and {fix} is Fix.
	Text string
	// Fix is the statement that mends it, whole, with the same names in it; "": there is no single one.
	// For is what it is for, where it is to mend nothing itself, and Note what to know before it is run.
	Fix, For, Note string
	// Before shows what Fix overwrites, so that it can be kept.
	Before []rotator.Fix
	// Remedy is what {remedy} is in the tables, in words; "": the privilege that was missing.
	Remedy string
	// Lines are what else is to be run, each with what it is for.
	Lines []rotator.Fix

	// Guesses says that Text is of what the answer may mean, and a superuser sees which it is.
	Guesses bool
	// Public says that the server repeats no value of a statement in its message.
	Public bool
	// Early says that a server may answer so before it was sent credentials.
	Early bool
	// OfAccount says that it is this account's own limit or setting, where the kind is mostly
	// of all accounts alike: another may be let in.
	OfAccount bool
	// Accepted says that a server answers a login so only once it has accepted the password.
	Accepted bool
	// AtLogin says that it is no statement's failure but the login's, whatever was
	// being done: it says nothing of the secret's value.
	AtLogin bool
}

// Work is what was being done: one bit each.
type Work uint

// Kinds of work.
const (
	Login           Work = 1 << iota
	LoginWithoutTLS      // one for which the secret turns TLS off
	Statement            // any
	Begin                // the first one of a session
	SetsPassword         // one that carries a new password
	RunAtLogin           // what a server itself runs at a login, as a trigger
)

// Retry says whether trying again helps, with nothing fixed in between.
type Retry string

// Values of Retry.
const (
	RetryNo      Retry = ""        // it lasts until a person fixes it
	RetryYes     Retry = "yes"     // it passes
	RetryPerhaps Retry = "perhaps" // the server answers so to both
)

// matches says whether the row is for an answer.
func (c Cause) matches(work Work, code, routine, message string) bool {
	return (c.During == 0 || c.During&work != 0) &&
		slices.ContainsFunc(c.Codes, func(of string) bool {
			class, all := strings.CutSuffix(of, "*")
			return of == code || all && strings.HasPrefix(code, class)
		}) &&
		(c.From == nil || slices.Contains(c.From, routine)) &&
		(c.Says == nil || slices.ContainsFunc(c.Says, func(word string) bool {
			return strings.Contains(message, word)
		}))
}

// Find gives the first row for an answer, which may have several codes: the first that
// any row is for counts. Where there is no row, the kind is rotator.KindInternal.
func Find(causes []Cause, work Work, routine, message string, codes ...string) Cause {
	for _, code := range codes {
		if i := slices.IndexFunc(causes, func(c Cause) bool {
			return c.matches(work, code, routine, message)
		}); i >= 0 {
			return causes[i]
		}
	}
	return Cause{Kind: rotator.KindInternal, Text: "the server reported an error that this function does not know"}
}

// Mark has an error of that row say itself, for rotator and the hint of a
// rotator.StepError, whether trying again helps, whether it is this account's own, and what to do:
// what stands behind the colon of its sentence.
func (c Cause) Mark(err error, sentence string) error {
	_, hint, _ := strings.Cut(sentence, ": ")
	if c.Kind == rotator.KindLoginRejected { // of which a status knows more
		hint = ""
	}
	if c.Accepted {
		err = strategies.MarkPasswordAccepted(err)
	}
	m := marked{err, c.Retry != RetryNo, c.OfAccount, hint}
	if c.Guesses || c.Kind == rotator.KindLoginRejected {
		return guessed{m, sentence}
	}
	return m
}

// WithFix gives an error of that row the statements that mend it, if there are any.
func (c Cause) WithFix(err error, login strategies.Login, quote func(string) string,
	remedy rotator.Sentence) error {
	if c.Fix == "" && strings.Contains(c.Text, "{remedy}") {
		return rotator.WithFix(err, "", remedy.Fixes...)
	}
	fixes := slices.Clone(c.Before)
	if c.Fix != "" {
		fix := strategies.Fix(login, c.names(login, quote).Replace(c.Fix))
		fix.For, fix.Note = c.For, c.names(login, quote).Replace(c.Note)
		fixes = append(fixes, fix)
	}
	return rotator.WithFix(err, "", append(fixes, c.Lines...)...)
}

// guessed is a login that the server does not say why it refuses.
type guessed struct {
	marked
	guesses string
}

// Brief is the error without what the cause may be, for where a superuser has said what it is.
func (g guessed) Brief() string { return strings.Replace(g.Error(), g.guesses+": ", "", 1) }

type marked struct {
	error
	retryable bool
	ofAccount bool
	hint      string
}

func (m marked) Unwrap() error   { return m.error }
func (m marked) Retryable() bool { return m.retryable }
func (m marked) OfAccount() bool { return m.ofAccount }
func (m marked) Hint() string    { return m.hint }

// Sentence fills the names of a login into the text. quote writes an identifier.
func (c Cause) Sentence(login strategies.Login, quote func(string) string, remedy rotator.Sentence) string {
	names := c.names(login, quote)
	return names.Replace(strings.NewReplacer("{fix}", c.Fix, "{remedy}",
		cmp.Or(remedy.Text, "the server does not permit it")).Replace(c.Text))
}

func (c Cause) names(login strategies.Login, quote func(string) string) *strings.Replacer {
	return strings.NewReplacer("{user}", quote(login.User), "{database}", quote(login.Database), "{address}",
		Address(login))
}

// Markdown is a table of causes, as docs/runbook.md has it.
func Markdown(causes []Cause) string {
	var b strings.Builder
	b.WriteString("| answer | during | kind | try again | says |\n|---|---|---|---|---|\n")
	for _, c := range causes {
		codes := strings.Join(c.Codes, ", ")
		if c.Says != nil {
			codes += " with `" + strings.Join(c.Says, "` or `") + "`"
		}
		if c.From != nil {
			codes += " of " + strings.Join(c.From, ", ")
		}
		retry := c.Retry
		if retry == RetryNo {
			retry = "no"
		}
		remedy := cmp.Or(c.Remedy, "(the privilege that was missing)")
		text := strings.NewReplacer("{user}", "`USER`", "{database}", "`DATABASE`", "{address}", "`HOST:PORT`", "|",
			`\|`).Replace(strings.NewReplacer("{fix}", c.Fix, "{remedy}", remedy).Replace(c.Text))
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", codes, c.During, c.Kind, retry, text)
	}
	return b.String()
}

// String says it for people.
func (w Work) String() string {
	switch w {
	case 0:
		return "anything"
	case Login:
		return "login"
	case LoginWithoutTLS:
		return "login, TLS off"
	case Begin:
		return "begin"
	case SetsPassword:
		return "new password"
	case RunAtLogin:
		return "run at login"
	}
	return "statement"
}

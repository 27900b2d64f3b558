package rotator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// A Fix is something that a person runs, whole and as it stands. A diagnosis and a preflight show each on a line of
// its own. Where PASSWORD stands in Run, a password goes in its place.
type Fix struct {
	By  Runner // who may
	Who string `json:",omitempty"` // the same in words, of this secret: see [RunnerNamer]
	For string `json:",omitempty"` // what it is for: "to find the cause"; "": it mends what the sentence names
	Run string
	// PasswordOf is the label of the version whose password goes in place of PASSWORD; of which secret, For says. ""
	// is the version that the sentence is about.
	PasswordOf string `json:",omitempty"`
	Note       string `json:",omitempty"` // what to know about it
	Turn       Turn   `json:"-"`          // when, among all that is printed
}

// Turn is when a Fix comes among others, which may be of other causes: first what looks, last what keeps all changes.
type Turn int

// The zero value is between them.
const (
	TurnFirst Turn = -1
	TurnLast  Turn = 1
)

// String is the line to run, as a sentence has it.
func (f Fix) String() string { return f.Run }

// Runner is who may run a Fix.
type Runner string

const (
	// BySuperuser is the user of the superuser secret, or an administrator.
	BySuperuser Runner = "superuser"
	// ByAdministrator is for what the user of a superuser secret need not be able to do.
	ByAdministrator Runner = "administrator"
	// ByShell is a command line: of the AWS CLI, or of this project's program.
	ByShell Runner = "shell"
)

// RunnerNamer is an optional ability of a Strategy: to say who there is to run a Fix, for a secret with this value.
type RunnerNamer interface {
	Runners(d secret.Document) Runners
}

// Runners are those who can run what is to be run in the database.
type Runners struct {
	Administrators string // of this engine, in words: "postgres or the master user of RDS"; "": not known
	Superuser      bool   // the secret has a superuser secret, of a user that logs in as far as is known
}

// runners are those of a secret. Where the strategy does not say it, one may have a superuser secret or not.
func (v *invocation) runners(d secret.Document) Runners {
	if namer, ok := v.Strategy.(RunnerNamer); ok {
		return namer.Runners(d)
	}
	return Runners{Superuser: true}
}

// words says it in a sentence. It is the one place that does.
func (w Runners) words(by Runner) string {
	if by == ByShell {
		return "in a shell"
	}
	text := "in the database, as "
	if by == BySuperuser && w.Superuser {
		text += "the superuser secret's user or as "
	}
	text += "an administrator"
	if w.Administrators != "" {
		text += " (" + w.Administrators + ")"
	}
	return text
}

// named gives the fixes with who may run each. The writer of the secret chooses whose account a line opens, and in
// which database, so the first that changes anything there has that asked.
func (w Runners) named(fixes []Fix) []Fix {
	all := slices.Clone(fixes)
	asked := false
	for i, f := range all {
		if all[i].Who = w.words(f.By); !asked && f.By != ByShell && !f.looks() && !f.ofServer() {
			asked = true
			all[i].Who += ", having made sure whose the accounts and databases in it are (the writers of " +
				"the secret chose them)"
		}
	}
	return all
}

// looks says that it changes nothing.
func (f Fix) looks() bool {
	return f.Turn == TurnFirst || f.For == toFindTheCause || slices.ContainsFunc([]string{"SELECT ", "SHOW ", "INFO ",
		"SET search_path "}, func(begin string) bool { return strings.HasPrefix(f.Run, begin) })
}

// ofServer says that it changes a setting of the whole server, and names no account.
func (f Fix) ofServer() bool {
	return slices.ContainsFunc([]string{"SET GLOBAL ", "FLUSH "}, func(begin string) bool {
		return strings.HasPrefix(f.Run, begin)
	})
}

// lead is what stands before the line to run.
func (f Fix) lead() string {
	text := f.For
	if text == "" {
		text = "to fix it"
	}
	text += ", " + cmp.Or(f.Who, Runners{Superuser: true}.words(f.By))
	if f.TakesPassword() {
		text += ", with the password in " + cmp.Or(f.PasswordOf, "the version that is for the user") +
			" in place of PASSWORD"
	}
	return text
}

// TakesPassword says whether a password is typed in it, in place of PASSWORD.
func (f Fix) TakesPassword() bool {
	return strings.Contains(f.Run, "'PASSWORD'") || strings.Contains(f.Run, ">PASSWORD")
}

// IsFor says whether it is about a user, whose name stands in it quoted or as a word.
func (f Fix) IsFor(user string) bool {
	return user != "" && slices.ContainsFunc([]string{`"` + user + `"`, "`" + user + "`", " " + user + " "},
		func(name string) bool { return strings.Contains(f.Run, name) })
}

// toFindTheCause is what a query is for that shows why logins are rejected.
const toFindTheCause = "to find the cause first"

// ToRun is a line to run, as it is shown: by itself, so that it can be copied.
type ToRun struct{ Lead, Line, Note string }

func toRun(fixes []Fix) (all []ToRun) {
	for _, f := range fixes {
		all = append(all, ToRun{f.lead(), f.Run, f.Note})
	}
	return all
}

func (x ToRun) text(b *strings.Builder) {
	fmt.Fprintf(b, "       %s:\n         %s\n", x.Lead, x.Line)
	if x.Note != "" {
		fmt.Fprintf(b, "       (%s)\n", x.Note)
	}
}

func (x ToRun) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s:\n\n    %s\n", strings.ToUpper(x.Lead[:1])+x.Lead[1:], x.Line)
	if x.Note != "" {
		fmt.Fprintf(b, "\n(%s)\n", x.Note)
	}
}

// BeforeRotating begins what a Fix is for that is of no use once the next rotation has begun: a diagnosis shows it
// above the command of the action.
const BeforeRotating = "before the next rotation, "

// beforeMoving does the same for what a label cannot move without.
const beforeMoving = "first, "

// ShellWord is a word of a command line: in quotes where a shell would make something else of it. The writer of a
// secret chooses the ids of its versions.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("/_+=.@-:", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// NewFix makes a Fix of a statement that may end in a remark, after " -- ". A name in quotes may hold the same.
func NewFix(by Runner, statement string) Fix {
	var quote rune
	for at, r := range statement {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
		case strings.ContainsRune("\"'`", r):
			quote = r
		case strings.HasPrefix(statement[at:], remark):
			return Fix{By: by, Run: statement[:at], Note: statement[at+len(remark):]}
		}
	}
	return Fix{By: by, Run: statement}
}

const remark = " -- "

// Sentence is what is said to a person, with what of it that person runs.
type Sentence struct {
	Text  string
	Fixes []Fix
}

// Sentencef writes a sentence. What of args is a Fix, or a sentence with some in it, is said there and kept beside it,
// so that what a person runs is what the sentence says.
func Sentencef(format string, args ...any) Sentence {
	s := Sentence{Text: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		switch arg := arg.(type) {
		case Fix:
			s.Fixes = append(s.Fixes, arg)
		case Sentence:
			s.Fixes = append(s.Fixes, arg.Fixes...)
		}
	}
	return s
}

// RunEach is a sentence of fixes alone.
func RunEach(fixes ...Fix) Sentence {
	lines := make([]string, len(fixes))
	for i, f := range fixes {
		lines[i] = f.Run
	}
	return Sentence{strings.Join(lines, "; "), fixes}
}

func (s Sentence) String() string { return s.Text }

// WithFix adds to an error what a person runs to mend it, for [FixesOf]. advice, if there is any, says it in words: the
// text of the error ends with it, in parentheses, and a diagnosis, which shows the fixes, leaves it out.
func WithFix(err error, advice string, fixes ...Fix) error {
	if err == nil || advice == "" && len(fixes) == 0 {
		return err
	}
	return fixed{err, advice, fixes}
}

type fixed struct {
	error
	advice string
	fixes  []Fix
}

func (f fixed) Error() string {
	if f.advice == "" {
		return f.error.Error()
	}
	return f.error.Error() + " (" + f.advice + ")"
}
func (f fixed) Unwrap() error { return f.error }

// FixesOf gives what a person runs to mend an error: what it and each error in its tree were given, the outermost
// first.
func FixesOf(err error) (all []Fix) {
	walk(err, func(err error) {
		if f, ok := err.(fixed); ok {
			all = append(all, f.fixes...)
		}
	})
	return inTurn(all)
}

// briefly is an error without the advice of [WithFix].
func briefly(err error) string {
	text := err.Error()
	walk(err, func(err error) {
		if f, ok := err.(fixed); ok && f.advice != "" {
			text = strings.Replace(text, " ("+f.advice+")", "", 1)
		}
	})
	return text
}

// walk visits an error and all that it wraps.
func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch e := err.(type) { //nolint:errorlint // it is the tree that is walked
	case interface{ Unwrap() error }:
		walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			walk(inner, visit)
		}
	}
}

// inTurn puts fixes into the order of their turns, and leaves out what runs the same again.
func inTurn(all []Fix) (once []Fix) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Fix) int { return cmp.Compare(a.Turn, b.Turn) })
	for _, f := range all {
		if !slices.ContainsFunc(once, func(other Fix) bool { return other.Run == f.Run }) {
			once = append(once, f)
		}
	}
	return once
}

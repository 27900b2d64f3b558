package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// quoteIdent makes s an identifier, whatever it holds.
func quoteIdent(s string) string {
	return "`" + strings.ReplaceAll(s, "`", "``") + "`"
}

// quoteText makes s a string constant for a session whose sql_mode has
// NO_BACKSLASH_ESCAPES, which begin sees to: there a quote is the only character
// that means anything, in every character set.
func quoteText(s string) string {
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// typedText is s as a string constant that people type, whatever the sql_mode of their session: most have backslashes
// escape, by which a name could end its constant and go on as a statement.
func typedText(s string) string {
	if strings.ContainsFunc(s, otherwiseTyped) {
		return fmt.Sprintf("_utf8mb4 X'%X'", s)
	}
	return quoteText(s)
}

// otherwiseTyped are what a constant that people type does not hold as it stands.
func otherwiseTyped(r rune) bool { return r == '\\' || !strconv.IsPrint(r) }

// quotePassword does the same with a password, for the statements that need one.
func quotePassword(p secret.Password) string { return quoteText(p.Reveal()) }

// needsNoEscaping says whether a password reads the same as a string constant under every
// sql_mode and in every character set.
func needsNoEscaping(p secret.Password) bool {
	return !strings.ContainsFunc(p.Reveal(), func(r rune) bool { return r < ' ' || r > '~' || r == '\'' || r == '\\' })
}

// account is a row of mysql.user: whom a statement or a login is about. In MariaDB a
// role is one without a host.
type account struct {
	user, host string
	role       bool // has no host
}

// String gives the account as statements name it.
func (a account) String() string {
	if a.role {
		return quoteIdent(a.user)
	}
	return quoteIdent(a.user) + "@" + quoteIdent(a.host)
}

// accountOf reads what CURRENT_USER() gives, which quotes nothing: a user name may
// hold an @, a host may not.
func accountOf(s string) account {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return account{user: s}
	}
	return account{user: s[:i], host: s[i+1:]}
}

package mysql

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// A phase is how far a call had come when it failed: the same error means
// different things in different stages.
type phase int

const (
	querying phase = iota
	dialing
	greeting
	securing
	loggingIn
)

// operation is what was being done, and what explain has to know of it.
type operation struct {
	phase phase
	limit time.Duration
	roots *x509.CertPool // known while securing

	action       string           // "changing the password", of a statement
	remedy       rotator.Sentence // what to do if the server does not permit it
	setsPassword bool             // the statement carries a new password: refusals are the policy's
	sensitive    bool             // the statement carries values that the server may repeat
	selfChange   bool             // the account changes itself
	product      string           // what the server is; before its greeting that is not known
}

// The products of this engine, by which rows of Causes differ.
const (
	productMySQL   = "MySQL"
	productMariaDB = "MariaDB"
)

// wrapError is that of the session's server.
func (s *session) wrapError(ctx context.Context, st operation, err error) error {
	switch {
	case s.mariadb:
		st.product = productMariaDB
	case s.wire.version != "":
		st.product = productMySQL
	}
	return wrapError(ctx, s.login, st, err)
}

// wrapError gives every failure of the driver, the network and the server its kind
// and a sentence that names cause and remedy. It is the only place that does.
func wrapError(ctx context.Context, login strategies.Login, st operation, err error) error {
	var server *mysql.MySQLError
	var kind rotator.Kind
	var sentence string
	var c dial.Cause
	cause, mark := err, func(err error) error { return err }
	switch {
	case errors.As(err, &server):
		c = causeOf(login, st, server)
		c.Accepted = c.Accepted && !saidByProxy(server) // which judges passwords by what it knows itself
		kind, sentence = c.Kind, c.Sentence(login, quoteIdent, st.remedy)
		if login.For != nil { // a superuser's, which the secret that rotates has no version for
			sentence = strings.ReplaceAll(sentence, namedIn(ofVersion, login.User), "AWSCURRENT of its secret")
		}
		says := sentence
		mark = func(err error) error { return c.WithFix(c.Mark(err, says), login, quoteIdent, st.remedy) }
		cause = redactServerError(server, st, c)
	case errors.Is(ctx.Err(), context.Canceled):
		kind, sentence, cause = rotator.KindDeadline, "the call was cancelled", ctx.Err()
	case st.phase == dialing:
		kind, sentence = dial.ClassifyDial(ctx, login, st.limit, err)
	case dial.IsTimeout(err):
		says := timeoutText(ctx, login, st)
		kind, sentence, cause = rotator.KindUnreachable, says.Text, context.DeadlineExceeded
		mark = func(err error) error { return rotator.WithFix(err, "", says.Fixes...) }
	case st.phase == securing && !isHangup(err):
		kind, sentence = dial.ClassifyTLS(login, st.roots, err)
		if cert := (x509.CertificateInvalidError{}); errors.As(err, &cert) && cert.Reason == x509.Expired &&
			cert.Cert != nil && !cert.Cert.IsCA && time.Now().After(cert.Cert.NotAfter) {
			mark = func(err error) error { return rotator.WithFix(err, "", readAgain(login, st.product)) }
		}
	case errors.Is(err, errNotMySQL), errors.Is(err, mysql.ErrOldProtocol):
		kind, sentence, cause = rotator.KindMisconfigured,
			fmt.Sprintf("%s does not speak MySQL's protocol: check host and port in the secret", dial.Address(login)),
			errNotMySQL
	case errors.Is(err, mysql.ErrNoTLS):
		kind, sentence = rotator.KindTLS, `the server does not offer TLS: turn it on there. Only "ssl": false in the secret makes a connection without TLS`
	case errors.Is(err, errNextMethod):
		kind = rotator.KindLoginRejected
		sentence = fmt.Sprintf("the account %s has several methods (IDENTIFIED VIA ... OR ...), and the server did "+
			"not accept the password by the first of them: the password is wrong, or it is that of a later method, "+
			"which this function cannot answer: ALTER USER it to have one method, or the same password by all",
			quoteIdent(login.User))
	case isHangup(err):
		kind, sentence = rotator.KindUnreachable, "the server closed the connection: it may be restarting or failing "+
			"over, or a proxy in between has no database behind it"
	case st.phase != querying:
		kind = rotator.KindMisconfigured
		var says rotator.Sentence
		says, cause = classifyLogin(err, login, st.product)
		sentence, mark = says.Text, func(err error) error { return rotator.WithFix(err, "", says.Fixes...) }
	default:
		kind, sentence = rotator.KindInternal, "the driver failed"
	}
	if st.action != "" {
		sentence = st.action + ": " + sentence
	}
	err = mark(fmt.Errorf("%s: %w: %s: %w", dial.Describe(login), kind, sentence, cause))
	if server != nil && kind == rotator.KindMisconfigured && saidByProxy(server) {
		return strategies.MarkPoolerError(err)
	}
	if st.phase != querying || c.AtLogin {
		return strategies.MarkLoginError(err)
	}
	return err
}

// saidByProxy knows ProxySQL's own refusals. Others (MaxScale, RDS Proxy) use the
// server's words, and are found once they accept a login.
func saidByProxy(e *mysql.MySQLError) bool { return strings.HasPrefix(e.Message, "ProxySQL Error") }

// redactServerError keeps of a server's error what cannot hold a value of ours. Of a
// statement that carries values, messages are kept where it is known what is in
// them: names and privileges. (1064 repeats the statement.)
func redactServerError(e *mysql.MySQLError, st operation, c dial.Cause) error {
	safe := &mysql.MySQLError{Number: e.Number, SQLState: e.SQLState, Message: e.Message}
	if e.Number == 1064 || st.sensitive && !c.Public {
		safe.Message = "message withheld"
	}
	return safe
}

// isHangup knows the driver's own names for it too, of which one is unexported.
func isHangup(err error) bool {
	return dial.IsConnClosed(err) || errors.Is(err, mysql.ErrInvalidConn) ||
		strings.HasSuffix(err.Error(), "bad connection")
}

// timeoutText says what did not answer in time.
func timeoutText(ctx context.Context, login strategies.Login, st operation) rotator.Sentence {
	within := dial.WaitText(ctx, st.limit)
	switch st.phase {
	case greeting:
		return rotator.Sentencef("%s accepted the connection and never greeted (%s): %s, a paused cluster that is "+
			"resuming (then try again), a server that looks up the name of its client first (skip_name_resolve), a "+
			"proxy or load balancer without a target, or something that is not MySQL, where the client would have to "+
			"speak first", dial.Address(login), within, dial.Hangs)
	case securing:
		return rotator.Sentencef("%s accepted the connection, then did not respond to the TLS handshake (%s): %s, a "+
			"proxy or load balancer without a target, or an overloaded server", dial.Address(login), within, dial.Hangs)
	case loggingIn:
		drop := ""
		if st.product == productMySQL && login.Database != "" {
			drop = fmt.Sprintf("a DROP DATABASE of %q that waits for another session, ", login.Database)
		}
		says := rotator.Sentencef("%s accepted the connection, then did not respond to the login (%s): a paused "+
			"cluster that is resuming (then try again), a plugin that delays logins after failed ones, %san "+
			"overloaded server, or a proxy or load balancer without a target", dial.Address(login), within, drop)
		if st.product == productMySQL {
			says.Fixes = delayedLogins(login)
		}
		if drop != "" {
			show := strategies.Fix(login, holders)
			show.For = "to see whether a session drops the database, or whose holds that up"
			show.Note = "one whose STATE is that it waits for a metadata lock may: KILL its id ends it, and keeps " +
				"the database"
			says.Fixes = append([]rotator.Fix{show}, says.Fixes...)
		}
		return says
	}
	show := strategies.Fix(login, holders)
	show.For, show.Note = toSeeHolders, holderNote
	return rotator.Sentencef("no response from the server %s: it is overloaded, the network was cut, or another "+
		"session holds a lock on its accounts, as a backup or FLUSH TABLES does (%s shows whose it may be). The "+
		"statement may still be carried out", within, show)
}

// delayedLogins shows whether connection_control, as a component or a plugin, delays a user's logins, the right
// password's too, and ends that: a threshold that is set, to whatever value, has the failed logins forgotten.
func delayedLogins(login strategies.Login) []rotator.Fix {
	show := strategies.Fix(login, "SHOW GLOBAL VARIABLES LIKE '%connection_control%'")
	show.For = "to see whether a plugin delays the logins of a user who has failed too often"
	show.Note = "no row, or a failed_connections_threshold of 0: none does. Otherwise stop the clients that try an " +
		"old password first: each of their logins makes the delay longer"
	which := strategies.Fix(login, refusedLogins)
	which.For, which.Note = "if one does, to see which clients try an old password", refusedNote
	all := []rotator.Fix{show, which}
	for _, name := range []string{"component_connection_control.", "connection_control_"} {
		name += "failed_connections_threshold"
		set := strategies.Fix(login, "SET GLOBAL "+name+" = THRESHOLD")
		set.For = "if it shows " + name + " above 0, and once those clients are stopped, with that value in place of " +
			"THRESHOLD"
		set.Note = "a threshold that is set, to the same value too, has the failed logins forgotten"
		all = append(all, set)
	}
	return all
}

// classifyLogin reads a login that failed on our side of the wire. The driver's own texts
// advise on settings that do not exist here.
func classifyLogin(err error, login strategies.Login, product string) (rotator.Sentence, error) {
	line := func(statement, condition string) rotator.Fix {
		fix := strategies.Fix(login, namedIn(statement, login.User))
		fix.For, fix.Note = condition, typedTwice
		return fix
	}
	give := rotator.Sentencef("%s, %s", line(giveMySQL, ""), typedFor(login.User))
	if product == productMariaDB { // where a stronger one may be had
		give = rotator.Sentencef("%s, or, if it cannot have ed25519, %s, %s",
			line(giveEd25519, "if the server has ed25519 (SELECT PLUGIN_NAME FROM information_schema.PLUGINS shows "+
				"it; INSTALL SONAME 'auth_ed25519' loads it), and the driver of every client "+
				"knows it"),
			line(giveMariaDB, "if it cannot have ed25519, or a client's driver does not know that"),
			typedFor(login.User))
	}
	give.Fixes = append(typedFixes(itsHosts(), login.User), give.Fixes...)
	switch {
	case errors.Is(err, mysql.ErrCleartextPassword):
		return rotator.Sentencef("the server asks for the password in clear (mysql_clear_password, as for PAM, "+
			"LDAP or IAM accounts), and it is not sent: stop rotating this secret, or %s", give), errRefused
	case errors.Is(err, mysql.ErrOldPassword):
		return rotator.Sentencef("the server asks for the password in the form of MySQL 4.0, which a listener on "+
			"the network can read: %s", give), errRefused
	case errors.Is(err, mysql.ErrUnknownPlugin):
		return rotator.Sentencef("the server asks for a proof that this function cannot give (parsec, gssapi, PAM, "+
			"LDAP or WebAuthn). Clients that can give it log in as before: where the account is to have that method, "+
			"stop rotating this secret; otherwise %s", give), errRefused
	}
	return rotator.Sentencef("no common authentication method: something that is not MySQL, or an account whose " +
		"plugin this function does not have"), errRefused
}

// readAgain has a server read a renewed certificate.
func readAgain(login strategies.Login, product string) rotator.Fix {
	sql := "ALTER INSTANCE RELOAD TLS"
	if product == productMariaDB {
		sql = "FLUSH SSL"
	}
	f := strategies.Fix(login, sql)
	f.For = "once the certificate is renewed in the server's files, to have it read again"
	return f
}

// errRefused stands in for texts of the driver that would mislead.
var errRefused = errors.New("the driver refused to go on")

// causeOf finds what the server's own error means.
func causeOf(login strategies.Login, st operation, e *mysql.MySQLError) dial.Cause {
	work := dial.Statement
	switch {
	case st.phase != querying && login.TLS.Disabled:
		work = dial.Login | dial.LoginWithoutTLS
	case st.phase != querying:
		work = dial.Login
	case st.setsPassword:
		work |= dial.SetsPassword
	}
	if work&dial.Login != 0 && e.Number == 1045 && saidByProxy(e) && !login.PoolerForwardsLogins {
		return dial.Cause{Kind: rotator.KindMisconfigured,
			Text: "a proxy in between refused the login, by a password that it knows itself: that says nothing of " +
				"what the database would answer. To fix it, " + strategies.PoolerRemedy}
	}
	c := dial.Find(Causes(), work, st.product, e.Message, strconv.Itoa(int(e.Number)), "SQLSTATE "+
		""+string(e.SQLState[:]))
	if e.Number == 1044 && st.phase != querying && login.For != nil {
		c.Text = strings.Replace(c.Text, asTheOther, asItsUsers, 1)
	}
	if st.phase == greeting && !c.Early { // nothing else is believed before credentials were sent
		return dial.Cause{Kind: rotator.KindMisconfigured,
			Text: "{address} refused the connection before a password was sent, so that this says nothing of the " +
				"password: a proxy in between, or something that is not MySQL. Check host and port in the secret"}
	}
	if limit := theLimit(e.Message); limit == "0" { // it is not known, and 0 is no limit
		c.Lines = slices.DeleteFunc(c.Lines, func(line rotator.Fix) bool { return strings.Contains(line.Run, once) })
	} else {
		for i, line := range c.Lines {
			c.Lines[i].Run = strings.ReplaceAll(line.Run, once, limit)
		}
	}
	// FAILED_LOGIN_ATTEMPTS, in the words of error 3955
	_, counted, _ := strings.Cut(e.Message, " due to ")
	attempts, _, _ := strings.Cut(counted, " consecutive failed logins")
	if _, err := strconv.Atoi(attempts); err == nil {
		for i, line := range c.Lines {
			c.Lines[i].Run = strings.ReplaceAll(line.Run, itsLimit, attempts)
			c.Lines[i].Note = strings.ReplaceAll(line.Note, shownLimit, "for another host with what was shown of it")
		}
	}
	c.Before, c.Lines = typedFixes(c.Before, login.User), typedFixes(c.Lines, login.User)
	if e.Number == 1044 && st.phase != querying && login.For != nil {
		c.Lines = append(c.Lines, passedOn(login, st.product)...)
	}
	c.Fix = strings.ReplaceAll(c.Fix, twice, twiceTheLimit(e.Message, 0))
	c.Fix = strings.ReplaceAll(c.Fix, ample, twiceTheLimit(e.Message, 1000))
	return c
}

// passedOn gives a superuser a database to pass on. To an account that is not there, MariaDB may grant: it makes one
// without a password.
func passedOn(login strategies.Login, product string) []rotator.Fix {
	hosts := rotator.NewFix(rotator.ByAdministrator, "SELECT Host FROM mysql.user WHERE User = "+typedText(login.User))
	hosts.For = "to see for which hosts the superuser has accounts"
	on := quoteIdent(strings.NewReplacer(`\`, `\\`, "_", `\_`, "%", `\%`).Replace(login.Database)) // no pattern
	to := account{user: login.User, host: "HOST"}
	sql := "GRANT PRIVILEGES ON " + on + ".* TO " + to.String() + " WITH GRANT OPTION"
	if product == productMariaDB {
		sql = makesNone + sql
	}
	grant := rotator.NewFix(rotator.ByAdministrator, sql)
	grant.For = "if there is the database, with what SHOW GRANTS FOR each user of this secret shows on it in place " +
		"of PRIVILEGES"
	grant.Note = "in place of HOST, the one of these that is for the address of this function: an account for " +
		"another may be another owner's"
	return []rotator.Fix{hosts, grant}
}

// typedFixes are lines with the name of a user in them.
func typedFixes(lines []rotator.Fix, user string) []rotator.Fix {
	for i, line := range lines {
		lines[i].Run = strings.NewReplacer(typedUser, typedText(user), "{user}", quoteIdent(user)).Replace(line.Run)
	}
	return lines
}

// limitOf finds the limit in the server's words, which end in it in each of its languages.
var limitOf = regexp.MustCompile(`: (\d+)\)$`)

// twiceTheLimit is what an account is given in place of a limit that it has used up, but no less than atLeast; 0, which
// is none, where the answer does not say how high that is.
func twiceTheLimit(message string, atLeast int) string {
	if n, err := strconv.Atoi(theLimit(message)); err == nil && n > 0 {
		return strconv.Itoa(max(2*n, atLeast))
	}
	return "0"
}

// theLimit is the one that an answer names; 0: none.
func theLimit(message string) string {
	if found := limitOf.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return "0"
}

// Package postgres rotates passwords of PostgreSQL 10 and later, Amazon RDS for
// PostgreSQL and Amazon Aurora PostgreSQL.
//
// TLS is verified or the connection fails; only TLS.Disabled, which the secret has to
// ask for, means plaintext. Nothing of libpq's surroundings has any influence: no
// PG* variable, password file, service file or certificate in a home folder.
// Statements carry a SCRAM-SHA-256 verifier computed here and never a password, so
// no server log can hold one. A login for which the server asked no password
// (trust, peer, cert) proves nothing, and is an error.
package postgres

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// Engine is PostgreSQL. The zero value is ready for use.
type Engine struct {
	// Roots are the authorities by which server certificates are judged.
	// nil: those of Amazon RDS.
	Roots *x509.CertPool

	// DialTimeout bounds finding the host and reaching it, HandshakeTimeout TLS, StatementTimeout every statement.
	// Zero: 5 seconds.
	// LoginTimeout bounds the authentication after that. Zero: what the context leaves,
	// less 10 seconds (dial.LoginTime). The context bounds them all.
	DialTimeout      time.Duration
	HandshakeTimeout time.Duration
	LoginTimeout     time.Duration
	StatementTimeout time.Duration

	// AllowMD5 serves clients too old for SCRAM: where an account is known to have
	// an md5 hash, its next one is an md5 hash too. Without AllowMD5 it is a SCRAM
	// verifier, and where the server's password_encryption is md5 the change is
	// refused, for clients may know nothing else. SCRAM is never replaced by md5.
	AllowMD5 bool
}

var (
	_ strategies.CloningEngine = Engine{}
	_ strategies.UseTester     = Engine{}
	_ strategies.PairTester    = Engine{}
)

const (
	maxNameBytes = 63 // NAMEDATALEN-1: the server would cut a longer name
)

// Configure reads the engine's own settings: POSTGRES_ALLOW_MD5=true sets AllowMD5.
func (e Engine) Configure(lookup func(string) (string, bool)) (Engine, error) {
	var err error
	e.AllowMD5, err = rotator.BoolSetting(lookup, "POSTGRES_ALLOW_MD5")
	return e, err
}

// Traits implements strategies.Engine.
func (Engine) Traits() strategies.Traits {
	return strategies.Traits{
		Name:              "PostgreSQL",
		Engines:           []string{"postgres", "aurora-postgresql"},
		Port:              5432,
		Database:          "postgres",
		Administrators:    "postgres or the master user of RDS",
		CloneSuffix:       cloneSuffix,
		MaxUserBytes:      maxNameBytes,
		ExcludeCharacters: `:/@"'\`,

		NoFailedLoginLimit: true,
		DetectsPoolers:     true,
	}
}

// Ping implements strategies.Engine. It logs in, asks the server whom it let in,
// and logs out.
func (e Engine) Ping(ctx context.Context, login strategies.Login) error {
	_, err := e.Observe(ctx, login)
	return err
}

// What a login shows of how the server keeps the password, and has it proved, behind the oid of its role. After the
// first stand the iterations and the salt, which no other role has.
const (
	seenScram = "SCRAM-SHA-256 "
	seenMD5   = "md5"
	seenClear = "password"
)

// Observe implements strategies.Observer.
func (e Engine) Observe(ctx context.Context, login strategies.Login) (seen string, err error) {
	s, err := e.connectIn(ctx, login, "") // as clients do: what refuses them is to be seen
	if err != nil {
		return "", err
	}
	switch {
	case s.method == authMD5:
		seen = seenMD5
	case s.method == authCleartext:
		seen = seenClear
	case s.shown != "":
		seen = seenScram + s.shown
	}
	defer s.close()
	// With its schema: the owner of the database may have put functions of its own first,
	// and this session, of the user, has no search_path of ours.
	asking := operation{action: "asking who is logged in"}
	answers, err := s.flight(ctx, statement{asking, "SET client_encoding TO " + encoding, nil},
		statement{asking, "SELECT session_user, pg_catalog.pg_backend_pid(), pg_catalog.to_regrole(" +
			"pg_catalog.quote_ident(session_user))::pg_catalog.oid", nil})
	if err != nil {
		s.close()
		return "", e.acceptedElsewhere(ctx, login, err)
	}
	row, err := s.only(asking, answers[1].rows)
	if err != nil {
		return "", err
	}
	return row[2] + " " + seen, s.checkSession(row[0], row[1])
}

// acceptedElsewhere marks the error of a session whose statement came to no end, where another database shows that the
// password is the one set: the owner of one may keep each statement in it from an end (by a setting of a time limit, or
// a lock on a catalogue), and clients of the other databases need the password no less. A pooler may have that database
// at another server.
func (e Engine) acceptedElsewhere(ctx context.Context, login strategies.Login, err error) error {
	other := e.Traits().Database
	if login.Database == other || login.PoolerForwardsLogins {
		return err
	}
	login.Database = other
	if _, another := e.Observe(ctx, login); another != nil {
		return err
	}
	return strategies.MarkPasswordAccepted(err)
}

// SetPassword implements strategies.Engine. An account changes its own password
// with no right but to log in (Amazon RDS may ask for rds_password). A superuser,
// or what is called so on RDS, needs CREATEROLE to change another's, and as of
// PostgreSQL 16 also ADMIN OPTION on that role.
func (e Engine) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	_, err := e.setPassword(ctx, login, false, user, p)
	return err
}

// DryRunSetPassword implements strategies.Engine: SetPassword as it is, and ROLLBACK. DDL is
// transactional in PostgreSQL, so the server itself says whether it would work.
func (e Engine) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	sample secret.Password) ([]strategies.Warning, error) {
	return e.setPassword(ctx, login, true, user, sample)
}

func (e Engine) setPassword(ctx context.Context, login strategies.Login, rehearsal bool, user string,
	p secret.Password) ([]strategies.Warning, error) {
	if err := checkNewPassword(p, user); err != nil {
		return nil, err
	}
	s, err := e.openForChange(ctx, login, rehearsal, user)
	if err != nil {
		return nil, err
	}
	defer s.close()
	target, ok := s.roles[user]
	if !ok {
		return nil, s.missing(ctx, user)
	}
	if user != login.User && target.actingRole {
		return nil, strategies.NotEntitled("role %q is the one that superuser %q acts as: its password is not this "+
			"secret's", user, login.User)
	}
	if err := s.checkSeen(user); err != nil {
		return nil, err
	}
	change, err := s.setPassword(target, p)
	if err != nil {
		return nil, err
	}
	return s.warnings(target), s.finish(ctx, change)
}

// missing is the error of a role that is not there.
func (s *session) missing(ctx context.Context, user string) error {
	_, text, remedy, err := s.gone(ctx, user)
	if err != nil {
		return err
	}
	return s.errorf(rotator.KindNotFound, "%s: %s", text, remedy)
}

// checkNewPassword refuses what the server would take in another sense than was meant.
func checkNewPassword(p secret.Password, names ...string) error {
	switch {
	case p.Empty():
		return fmt.Errorf("new password: %w: it is empty, and PostgreSQL would take away the old one and set none",
			rotator.KindMisconfigured)
	case strings.ContainsRune(p.Reveal(), 0):
		return fmt.Errorf("new password: %w: it holds a NUL, which PostgreSQL cannot store", rotator.KindMisconfigured)
	case !survivesPRECIS(p):
		return fmt.Errorf("new password: %w: it holds characters that PostgreSQL and its drivers normalise "+
			"differently: no client could be sure to log in with it", rotator.KindMisconfigured)
	}
	for _, name := range names {
		if err := checkName("role name", name); err != nil {
			return err
		}
	}
	return nil
}

// checkName refuses a name that PostgreSQL would cut, or end at a NUL, and so take
// for another.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: %w: it is empty", what, rotator.KindMisconfigured)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%s %q: %w: it holds a NUL", what, name, rotator.KindMisconfigured)
	case len(name) > maxNameBytes:
		return fmt.Errorf("%s %q: %w: it has %d bytes, and PostgreSQL cuts names after %d", what, name,
			rotator.KindMisconfigured, len(name), maxNameBytes)
	}
	return nil
}

// ResetStatement implements strategies.Resetter. What it does beside the password may not be meant: an account that
// is locked, or has an end, may be so on purpose.
func (Engine) ResetStatement(user string) string {
	had := "what it had"
	if original, isClone := strings.CutSuffix(user, cloneSuffix); isClone {
		of := quoteIdent(original)
		had += " (a clone of " + of + ": GRANT " + of + " TO " + quoteIdent(user) + ")"
	}
	return "ALTER ROLE " + quoteIdent(user) + " PASSWORD 'PASSWORD' -- " + typedTwice + "; if there is no such role: " +
		"CREATE ROLE " + quoteIdent(user) + " LOGIN PASSWORD 'PASSWORD', and GRANT " + had + "; where rolcanlogin is " +
		"f in pg_roles, and it is not locked on purpose: add LOGIN; where rolvaliduntil has passed: add VALID UNTIL " +
		"'infinity', or a later end; if logins are rejected after it, and SHOW password_encryption says md5: " +
		storeScram + ", and it again, in one session"
}

// typedTwice is how a password is typed in place of PASSWORD.
const typedTwice = "write each ' of the password twice"

// storeScram has the session store what a login by either method passes, md5 with a driver since 2018.
const storeScram = "SET password_encryption = 'scram-sha-256'"

// asScram is ResetStatement where the server would store an md5 hash, which no login by scram-sha-256 passes.
func asScram(user string) string { return storeScram + "; " + Engine{}.ResetStatement(user) }

package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// openForChange logs in and opens the one transaction in which an account is changed. It
// changes nothing if the server could not carry the change through, and it waits
// for another rotation of one of the users.
func (e Engine) openForChange(ctx context.Context, login strategies.Login, users ...string) (*session, error) {
	s, err := e.connect(ctx, login)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, users); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) prepare(ctx context.Context, users []string) error {
	begin := operation{phase: beginning, action: "opening a transaction"}
	if err := s.exec(ctx, begin, s.opening(users)); err != nil {
		return err
	}
	if s.pg.TxStatus() != 'T' {
		return s.errorf(rotator.KindMisconfigured, "no transaction was opened: there is a pooler in between that does not keep one. Use the database's own endpoint")
	}
	row, err := s.row(ctx, begin, `SELECT session_user, current_setting('server_version_num'), current_setting('password_encryption'),
  coalesce(current_setting('rds.restrict_password_commands', true), ''), coalesce(inet_server_port()::text, ''),
  coalesce(current_setting('scram_iterations', true), ''), has_column_privilege('pg_authid', 'rolpassword', 'SELECT'),
  coalesce(current_setting('credcheck.max_auth_failure', true), '')`)
	if err != nil {
		return err
	}
	if err := s.checkUser(row[0]); err != nil {
		return err
	}
	if s.version, err = strconv.Atoi(row[1]); err != nil || s.version < 100000 {
		return s.errorf(rotator.KindMisconfigured, "PostgreSQL of version number %s knows no SCRAM-SHA-256: upgrade to 10 or later", row[1])
	}
	s.md5 = row[2] != "scram-sha-256"
	s.restricted, s.port = row[3] == "on", row[4]
	s.iterations, s.verifiers = scramIterations, row[6] == "t"
	if n, err := strconv.Atoi(row[5]); err == nil {
		s.iterations = n
	}
	s.attempts, _ = strconv.Atoi(row[7]) // credcheck is not loaded
	return s.lock(ctx, users)
}

// opening begins the transaction, and makes it independent of what is set for the
// role or the database. It is one message: whatever would end the session between two
// statements has no moment to do so.
func (s *session) opening(users []string) string {
	ms := func(d time.Duration) string { return strconv.FormatInt(max(1, int64(d/time.Millisecond)), 10) }
	local := [][2]string{
		// The server gives up before we do, so that it can say why.
		{"statement_timeout", ms(s.limit * 9 / 10)},
		{"lock_timeout", ms(s.limit * 4 / 10)},
		// A function that is gone leaves no lock for longer than this. Between two
		// statements it makes a verifier, which takes a small function seconds.
		{"idle_in_transaction_session_timeout", ms(2 * s.limit)},
		// An owner of the database could otherwise put functions of its own before the
		// system's, and a superuser would run them.
		{"search_path", "pg_catalog, pg_temp"},
		{"standard_conforming_strings", "on"}, // one way to read a constant
	}
	major := s.major()
	if major >= 17 {
		local = append([][2]string{{"transaction_timeout", "0"}}, local...) // it counts already: first of all
	}
	if major >= 16 {
		local = append(local, [2]string{"createrole_self_grant", "''"}) // creating a role gives the superuser nothing
	}
	// READ WRITE: a primary whose default_transaction_read_only is on takes the change
	// all the same, and a standby says here that it cannot.
	sql := "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
	for _, set := range local {
		sql += "; SET LOCAL " + set[0] + " = " + set[1]
	}
	// A change that the server has confirmed outlives the server.
	sql += "; SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"
	// Where a role setting makes the session act as another role (role = 'owner'),
	// an account is allowed to change that role and not itself. A superuser, on
	// the other hand, may well have its power from such a setting.
	if slices.Contains(users, s.login.User) {
		sql += "; SET LOCAL ROLE NONE"
	}
	return sql
}

// major is the server's major version, as it says it in the login.
func (s *session) major() int {
	version, _, _ := strings.Cut(s.pg.ParameterStatus("server_version"), ".")
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(version)
	}
	n, _ := strconv.Atoi(version[:digits])
	return n
}

// lock makes rotations of the same account wait for each other, for at most two
// seconds. It is a courtesy that spares the second of them a failure ("tuple
// concurrently updated"): whoever may log in can hold it, and so it stops nothing.
func (s *session) lock(ctx context.Context, users []string) error {
	const tries, pause = 20, 100 * time.Millisecond
	for _, user := range users {
		st := operation{action: fmt.Sprintf("waiting for other rotations of %q", user)}
		for range tries {
			row, err := s.row(ctx, st, "SELECT pg_try_advisory_xact_lock($1::bigint)", lockKey(user))
			if err != nil {
				return err
			}
			if row[0] == "t" {
				break
			}
			select {
			case <-ctx.Done():
				return wrapError(ctx, s.login, st, ctx.Err())
			case <-time.After(pause):
			}
		}
	}
	return nil
}

func lockKey(user string) string {
	sum := sha256.Sum256([]byte("quarterturn " + user))
	return strconv.FormatInt(int64(binary.BigEndian.Uint64(sum[:])), 10)
}

// commit makes the changes real. The server answers COMMIT with ROLLBACK, and no
// error, to a transaction that has failed.
func (s *session) commit(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	st := operation{action: "committing (it is not known whether the change took hold)", limit: s.limit}
	results, err := s.pg.Exec(limited, "COMMIT").ReadAll()
	if err != nil {
		return wrapError(ctx, s.login, st, err)
	}
	if tag := results[0].CommandTag.String(); tag != "COMMIT" {
		return s.errorf(rotator.KindInternal, "the server answered COMMIT with %s: nothing was changed", tag)
	}
	return nil
}

// rollback takes back everything since begin.
func (s *session) rollback(ctx context.Context) error {
	return s.exec(ctx, operation{action: "taking back what was only rehearsed"}, "ROLLBACK")
}

// role is an account, as pg_roles and pg_auth_members show it to anyone.
type role struct {
	name          string
	superuser     bool
	inherit       bool
	createRole    bool
	createDB      bool
	login         bool
	repl          bool
	bypassRLS     bool
	expired       bool // VALID UNTIL has passed
	iam           bool // member of rds_iam, through whatever group
	admin         bool // we hold ADMIN OPTION on it
	actingRole    bool // it is the role that we act as
	nearConnLimit bool // it has hardly a connection left
	limit         int
	validUntil    string // when VALID UNTIL ends, if that is within 30 days

	// What the server stores for the password, where that is known: the login shows
	// it of the account itself, and pg_authid of others to those who may read it.
	md5        bool
	iterations int // of SCRAM
}

// roles looks up the named roles, and the one that we act as, under its own name.
func (s *session) roles(ctx context.Context, names ...string) (map[string]role, error) {
	// Of what is stored, the iterations alone are read. They are no secret: the server
	// tells them to whoever tries to log in.
	stored := "''"
	if s.verifiers {
		stored = `(SELECT CASE WHEN rolpassword LIKE 'md5%' THEN 'md5' ELSE split_part(split_part(rolpassword, '$', 2), ':', 1) END FROM pg_authid a WHERE a.oid = r.oid)`
	}
	sql := `SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
  coalesce(rolvaliduntil <= now(), false),
  EXISTS (
    WITH RECURSIVE m(id) AS (
      SELECT r.oid UNION SELECT a.roleid FROM pg_auth_members a JOIN m ON a.member = m.id)
    SELECT FROM m JOIN pg_roles g ON g.oid = m.id WHERE g.rolname = 'rds_iam'),
  pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION'),
  rolname = current_user,
  rolconnlimit >= 0 AND (SELECT count(*) FROM pg_stat_get_activity(NULL) a WHERE a.usesysid = r.oid) >= rolconnlimit - 1,
  rolconnlimit,
  CASE WHEN isfinite(rolvaliduntil) AND rolvaliduntil < now() + interval '30 days' THEN
    to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') ELSE '' END, ` + stored + `
FROM pg_roles r WHERE rolname IN ($1, $2, current_user)`
	names = append(names, names[0])
	rows, err := s.query(ctx, operation{action: "looking up roles"}, sql, names[0], names[1])
	if err != nil {
		return nil, err
	}
	found := map[string]role{}
	for _, row := range rows {
		r := role{name: row[0]}
		for i, flag := range []*bool{&r.superuser, &r.inherit, &r.createRole, &r.createDB, &r.login, &r.repl, &r.bypassRLS,
			&r.expired, &r.iam, &r.admin, &r.actingRole, &r.nearConnLimit} {
			*flag = row[1+i] == "t"
		}
		r.validUntil = row[14]
		if r.limit, err = strconv.Atoi(row[13]); err != nil {
			return nil, fmt.Errorf("role %q: %w: connection limit: %w", r.name, rotator.KindInternal, err)
		}
		r.md5 = row[15] == "md5"
		r.iterations, _ = strconv.Atoi(row[15]) // nothing is known, or md5
		if r.name == s.login.User && s.method == authMD5 {
			r.md5 = true
		}
		if r.name == s.login.User {
			r.iterations = max(r.iterations, s.shown)
		}
		found[r.name] = r
	}
	return found, nil
}

// acting gives the role that we act as.
func acting(roles map[string]role) role {
	for _, r := range roles {
		if r.actingRole {
			return r
		}
	}
	return role{}
}

// setPassword changes the password of a role that exists. others are those with
// whom it takes turns.
func (s *session) setPassword(ctx context.Context, allowMD5 bool, roles map[string]role, target role, p secret.Password, others ...role) error {
	if err := s.checkUsable(target); err != nil {
		return err
	}
	stored, err := s.storedForm(allowMD5, target.name, p, append(others, target)...)
	if err != nil {
		return err
	}
	st := operation{action: fmt.Sprintf("changing the password of %q", target.name), remedy: s.alterRemedy(acting(roles), target), setsPassword: true}
	return s.exec(ctx, st, fmt.Sprintf("ALTER ROLE %s PASSWORD %s", quoteIdent(target.name), quoteLiteral(stored)))
}

// checkUsable refuses an account on which the new password could not work, while
// nothing is changed yet.
func (s *session) checkUsable(r role) error {
	switch name := quoteIdent(r.name); {
	case r.iam:
		return s.errorf(rotator.KindMisconfigured, "role %q is a member of rds_iam, and RDS takes no passwords from those: REVOKE rds_iam FROM %s (or from the group it is in), or stop rotating this secret", r.name, name)
	case !r.login:
		return s.errorf(rotator.KindPrivilege, "role %q is locked, and its password is left alone: ALTER ROLE %s LOGIN", r.name, name)
	case r.expired && r.name != s.login.User:
		return s.errorf(rotator.KindPrivilege, "the VALID UNTIL of role %q has passed, and no new password extends it: ALTER ROLE %s VALID UNTIL 'infinity'", r.name, name)
	}
	return nil
}

// storedForm gives what the server is to store for a password. likes are the accounts of
// the same clients. It is never weaker than what is there, and an md5 hash only
// where one is there and AllowMD5 is set: pg_hba.conf may ask for scram-sha-256,
// which an md5 hash never passes. Where nothing is known of what is there, and the
// server would make md5 hashes itself, the account's clients may know nothing else.
func (s *session) storedForm(allowMD5 bool, user string, p secret.Password, likes ...role) (string, error) {
	isMD5, isScram, iterations := false, user == s.login.User && s.method == authCleartext, s.iterations
	for _, r := range likes {
		isMD5, isScram, iterations = isMD5 || r.md5, isScram || r.iterations > 0, max(iterations, r.iterations)
	}
	if !isScram { // how many there are is not known
		iterations = max(iterations, scramIterations)
	}
	switch {
	case isMD5 && !isScram && allowMD5:
		return md5Hash(user, p), nil
	case s.md5 && !isScram && !allowMD5:
		return "", s.errorf(rotator.KindMisconfigured, "password_encryption of this server is md5, and whether the clients of %q know SCRAM-SHA-256 cannot be told from here. If they do (every driver since 2018), ALTER SYSTEM SET password_encryption = 'scram-sha-256', in a parameter group on RDS; if they do not, set POSTGRES_ALLOW_MD5=true", user)
	case iterations > maxIterations:
		return "", s.errorf(rotator.KindMisconfigured, "scram_iterations is %d for this session or this account, and this function takes at most %d: more would take it longer than a login may. ALTER ROLE %s RESET scram_iterations, or set a lower number where it is set", iterations, maxIterations, quoteIdent(s.login.User))
	}
	s.guessed = s.md5 && !isScram
	return scramVerifier(p, iterations)
}

// alterRemedy says what a role lacks to change a password.
func (s *session) alterRemedy(me, target role) string {
	switch {
	case s.restricted:
		return fmt.Sprintf("rds.restrict_password_commands is on, and only members of rds_password may change passwords: GRANT rds_password TO %s", quoteIdent(s.login.User))
	case me.name == target.name:
		return "the server does not let this user change its own password: rotate through a superuser's secret"
	case target.superuser && !me.superuser:
		return fmt.Sprintf("role %q is a superuser, and only a superuser may change its password", target.name)
	case target.repl && !me.superuser && s.version < 160000:
		return fmt.Sprintf("role %q has REPLICATION, and until PostgreSQL 16 only a superuser may change its password", target.name)
	}
	return s.createRoleRemedy(me, target.name, target.admin)
}

// createRoleRemedy says what a role lacks to manage another: CREATEROLE, and as
// of PostgreSQL 16 ADMIN OPTION on that role as well. Roles made by someone else
// lack the latter after an upgrade from 15.
func (s *session) createRoleRemedy(me role, other string, admin bool) string {
	var missing string
	if !me.createRole && !me.superuser {
		missing = fmt.Sprintf("ALTER ROLE %s CREATEROLE", quoteIdent(me.name))
	}
	if s.version >= 160000 && !admin {
		if missing != "" {
			missing += "; "
		}
		missing += fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", quoteIdent(other), quoteIdent(me.name))
	}
	if missing == "" {
		missing = "it needs more than CREATEROLE"
	}
	return fmt.Sprintf("role %q is not allowed to: %s", me.name, missing)
}

package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// openForChange logs in and opens the one transaction in which an account is changed. It
// changes nothing if the server could not carry the change through, and it waits
// for another rotation of the same account, or of one of the pair.
func (e Engine) openForChange(ctx context.Context, login strategies.Login, rehearsal bool,
	user string) (*session, error) {
	return e.open(ctx, login, rehearsal, nil, user)
}

// open is openForChange. pair is nil where the change is of one account alone.
func (e Engine) open(ctx context.Context, login strategies.Login, rehearsal bool, pair *strategies.Pair,
	users ...string) (*session, error) {
	s, err := e.connect(ctx, login)
	if err != nil {
		return nil, err
	}
	s.allowMD5, s.rehearsal = e.AllowMD5, rehearsal
	if err := s.prepare(ctx, pair, users); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// prepare opens the transaction, and learns all that a change depends on, in one flight.
func (s *session) prepare(ctx context.Context, pair *strategies.Pair, users []string) error {
	begin := operation{phase: beginning, action: "opening a transaction"}
	// READ WRITE: a primary whose default_transaction_read_only is on takes the change
	// all the same, and a standby says here that it cannot.
	flight := []statement{{begin, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", nil}, {begin, s.local(users), nil},
		{begin, ownRole, nil}, {begin, facts, nil}}
	for _, user := range users {
		flight = append(flight, s.tryLock(user))
	}
	looks := s.looks(pair, users)
	answers, err := s.flight(ctx, append(flight, looks...)...)
	if err != nil {
		return err
	}
	if s.pg.TxStatus() != 'T' {
		return strategies.MarkPoolerError(s.errorf(rotator.KindMisconfigured,
			"no transaction was opened: there is a pooler in between that does not keep one. Use the database's own "+
				"endpoint as host"))
	}
	own, err := s.only(begin, answers[2].rows)
	if err != nil {
		return err
	}
	s.roleHere = own[1] == "t"
	row, err := s.only(begin, answers[3].rows)
	if err != nil {
		return err
	}
	if err := s.checkSession(row[0], row[8]); err != nil {
		return err
	}
	if s.version, err = strconv.Atoi(row[1]); err != nil || s.version < 100000 {
		return s.errorf(rotator.KindMisconfigured, "PostgreSQL of version number %s knows no SCRAM-SHA-256: upgrade "+
			"to 10 or later", row[1])
	}
	s.md5 = row[2] != "scram-sha-256"
	s.restricted, s.port = row[3] == "on", row[4]
	s.iterations, s.verifiers = scramIterations, row[6] == "t"
	if n, err := strconv.Atoi(row[5]); err == nil {
		s.iterations = n
	}
	s.attempts, _ = strconv.Atoi(row[7]) // credcheck is not loaded
	s.database, s.hba, s.standbys, s.readOnlyBy = row[9], row[10] == "t", row[11], row[14]
	found := answers[len(answers)-len(looks):]
	waited := false
	for i, user := range users {
		held, err := s.only(begin, answers[4+i].rows)
		if err != nil {
			return err
		}
		if held[0] == "t" {
			continue
		}
		waited = true
		if err := s.lock(ctx, user); err != nil {
			return err
		}
	}
	if waited { // and the other rotation has changed them
		return s.look(ctx, pair, users)
	}
	return s.read(ctx, pair, users, found)
}

// looks asks for all that is known of the users before they are changed, and read takes the answers.
func (s *session) looks(pair *strategies.Pair, users []string) []statement {
	looks := []statement{s.lookUp(users)}
	if pair != nil {
		looks = append(looks, s.lookAtPair(*pair)...)
	}
	return looks
}

func (s *session) read(ctx context.Context, pair *strategies.Pair, users []string, found []answer) (err error) {
	if s.roles, err = s.readRoles(found[0].rows); err != nil {
		return err
	}
	if pair != nil {
		if err := s.readPair(ctx, *pair, found[1:]); err != nil {
			return err
		}
	}
	return s.lookUpStored(ctx, users)
}

// look is for after a wait.
func (s *session) look(ctx context.Context, pair *strategies.Pair, users []string) error {
	found, err := s.flight(ctx, s.looks(pair, users)...)
	if err != nil {
		return err
	}
	return s.read(ctx, pair, users, found)
}

// ownRole ends what a setting role does that is not the user's own: of the database (its owner may set that) or of all
// users. A superuser would have none of its power there, or the change would be made as that role.
const ownRole = `SELECT CASE WHEN here IS NULL THEN set_config('role', 'none', true) END, here FROM (
  SELECT bool_or(s.setdatabase <> 0) AS here FROM pg_db_role_setting s, unnest(s.setconfig) v WHERE v LIKE 'role=%'
  AND s.setrole = (SELECT oid FROM pg_roles WHERE rolname = session_user)
  AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))) own`

// facts is what the session asks about itself, with settings that need its search_path and its role: a change that the
// server has confirmed outlives the server, and no statement that fails, at a lock say, stands in the server's log.
// The owner of the database may not say how many iterations a verifier has: each would cost the server, for good. (The
// view pg_settings may be revoked.)
const facts = `SELECT session_user, current_setting('server_version_num'), current_setting('password_encryption'),
  coalesce(current_setting('rds.restrict_password_commands', true), ''), coalesce(inet_server_port()::text, ''),
  (SELECT CASE source WHEN 'database' THEN '0' ELSE setting END FROM pg_show_all_settings()
    WHERE name = 'scram_iterations'),
  has_column_privilege('pg_authid', 'rolpassword', 'SELECT'),
  coalesce(current_setting('credcheck.max_auth_failure', true), ''), pg_backend_pid(), current_database(),
  has_function_privilege('pg_hba_file_rules()', 'EXECUTE') AND has_table_privilege('pg_hba_file_rules', 'SELECT'),
  CASE WHEN current_setting('synchronous_commit') <> 'local' AND current_setting('max_wal_senders') <> '0'
    AND has_table_privilege('pg_stat_replication', 'SELECT') THEN current_setting('synchronous_standby_names') END,
  CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END,
  CASE WHEN current_setting('is_superuser') = 'on' THEN set_config('log_min_error_statement', 'panic', true) END,
  (SELECT ` + setBy + ` FROM pg_show_all_settings(), (SELECT session_user AS rolname) r,
    (SELECT current_database() AS datname) d WHERE name = '` + readOnlySetting + `' AND setting = 'on')`

// local makes the transaction independent of what is set for the role or the database. It
// is one statement: whatever would end the session between two has no moment to do so.
func (s *session) local(users []string) string {
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
		// An owner of the database could otherwise have each statement logged, with the verifier in it.
		{"debug_print_parse", "off"}, {"debug_print_rewritten", "off"}, {"debug_print_plan", "off"},
	}
	major := s.major()
	if major >= 11 {
		local = append(local, [2]string{"jit", "off"}) // to compile a look-up takes longer than to run it
	}
	if major >= 17 {
		local = append([][2]string{{"transaction_timeout", "0"}}, local...) // it counts already: first of all
	}
	if major >= 16 {
		local = append(local, [2]string{"createrole_self_grant", ""}) // creating a role gives the superuser nothing
	}
	// Where a role setting makes the session act as another role (role = 'owner'),
	// an account is allowed to change that role and not itself. A superuser, on
	// the other hand, may well have its power from such a setting.
	if slices.Contains(users, s.login.User) {
		local = append(local, [2]string{"role", "none"})
	}
	calls := make([]string, len(local))
	for i, set := range local {
		calls[i] = fmt.Sprintf("pg_catalog.set_config('%s', '%s', true)", set[0], set[1])
	}
	// Nor by what is logged at any statement that sorts. A server may be built without it.
	// The operator, too, is found before search_path is set.
	calls = append(calls, "CASE WHEN pg_catalog.current_setting('trace_sort', true) OPERATOR(pg_catalog.=) 'on' THEN "+
		"pg_catalog.set_config('trace_sort', 'off', true) END")
	return "SELECT " + strings.Join(calls, ", ")
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
// concurrently updated"): any role that may log in can hold it, and so it stops nothing.
func (s *session) lock(ctx context.Context, user string) error {
	const tries, pause = 20, 100 * time.Millisecond
	st := s.tryLock(user)
	for range tries {
		select {
		case <-ctx.Done():
			return wrapError(ctx, s.login, st.operation, ctx.Err())
		case <-time.After(pause):
		}
		row, err := s.row(ctx, st.operation, st.sql, st.args...)
		if err != nil || row[0] == "t" {
			return err
		}
	}
	return nil
}

func (s *session) tryLock(user string) statement {
	return statement{operation{action: fmt.Sprintf("waiting for other rotations of %q", user)},
		"SELECT pg_try_advisory_xact_lock($1::bigint)", []string{lockKey(user)}}
}

func lockKey(user string) string {
	sum := sha256.Sum256([]byte("quarterturn " + user))
	return strconv.FormatInt(int64(binary.BigEndian.Uint64(sum[:])), 10)
}

// another ends the sentence of a role that a change was not meant for.
const another = "is another by now than the one that was looked at: renamed, or dropped and made anew (a login at a " +
	"replica that lags is one of before). This attempt changed nothing. Try again"

// checkSeen refuses a change if a role is not the one that has logged in by the secret under its name.
func (s *session) checkSeen(names ...string) error {
	if s.login.For == nil {
		return nil
	}
	for _, name := range names {
		oid, how, seen := strings.Cut(s.login.For.Seen[name], " ")
		shown, scram := strings.CutPrefix(how, seenScram)
		// The server looks a name up again once the password is proved, so that the session, and its oid, can be of
		// another role than the password. A pooler may have a salt of its own.
		r, exists := s.roles[name]
		other := scram && r.stored != "" && r.stored != shown && !s.login.PoolerForwardsLogins
		if exists && seen && (oid != r.oid || other) {
			return s.errorf(rotator.KindConflict, "role %q %s", name, another)
		}
	}
	return nil
}

// same is a statement that fails (22012) where the names of the roles that were looked at stand for others by now:
// until PostgreSQL 15, CREATEROLE gives names to roles whose passwords it may not set. A role that this transaction
// has changed keeps its name until the end.
func (s *session) same() statement {
	var found, args []string
	for _, name := range slices.Sorted(maps.Keys(s.roles)) {
		args = append(args, name, s.roles[name].oid)
		found = append(found, fmt.Sprintf("($%d::name, $%d::oid)", len(args)-1, len(args)))
	}
	return statement{operation{action: "looking whether the roles are the same"}, fmt.Sprintf(
		"SELECT 1 / (count(*) = %d)::int FROM pg_roles WHERE (rolname, oid) IN (%s)", len(found),
		strings.Join(found, ", ")), args}
}

// finish sends the last statements of a transaction, if there are any, together with its
// end: what is refused is rolled back by the server. A rehearsal takes all of it back.
func (s *session) finish(ctx context.Context, last ...statement) error {
	end := statement{operation{action: "committing (it is not known whether the change took hold)"}, "COMMIT", nil}
	if s.rehearsal {
		end = statement{operation{action: "rolling back the dry run"}, "ROLLBACK", nil}
	}
	if last != nil {
		if err := s.checkStandbys(ctx); err != nil {
			return err
		}
		last = append(last, s.same())
	}
	answers, err := s.flight(ctx, append(last, end)...)
	if err != nil {
		return err
	}
	// The server answers COMMIT with ROLLBACK, and no error, to a transaction that has failed.
	if tag := answers[len(last)].tag; tag != end.sql {
		return s.errorf(rotator.KindInternal, "the server answered %s with %s: nothing was changed", end.sql, tag)
	}
	return nil
}

// manyStandbys is how synchronous_standby_names says for how many standbys a change waits, where they are not one.
var manyStandbys = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^\s*(?:any|first)?\s*(\d+)\s*\(`)
})

// checkStandbys refuses a change whose COMMIT would wait for a standby that is not there. It is made all the same, and
// comes to light when one is back, or the session ends: no rotation knows of it by then. Who may not see which standbys
// are synchronous takes each for one.
// https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES
func (s *session) checkStandbys(ctx context.Context) error {
	if s.standbys == "" {
		return nil
	}
	row, err := s.row(ctx, operation{action: "looking for standbys"}, "SELECT count(*) FROM pg_stat_replication "+
		"WHERE coalesce(sync_state IN ('sync', 'quorum'), true)")
	if err != nil {
		return err
	}
	there, _ := strconv.Atoi(row[0])
	wanted := 1
	if m := manyStandbys().FindStringSubmatch(s.standbys); m != nil {
		wanted, _ = strconv.Atoi(m[1])
	}
	if there >= wanted {
		return nil
	}
	look := byAdministrator(trusted + "SELECT setting, sourcefile FROM pg_settings WHERE name = " +
		"'synchronous_standby_names'")
	look.For = "to see which file has it, for later"
	off := byAdministrator("ALTER SYSTEM SET synchronous_standby_names = ''")
	off.Note = "changes that clients make after that can be lost in a failover. One that an earlier attempt made " +
		"counts as soon as the next line runs, and clients that read AWSCURRENT are rejected then: run status at " +
		"once, which says finish"
	back := byAdministrator("ALTER SYSTEM SET synchronous_standby_names = %s", quoteLiteral(s.standbys))
	back.For = "later, to have changes wait for standbys again, as they do now, if that file was postgresql.auto.conf"
	back.Note = reload + " after it, so that it counts"
	reset := byAdministrator("ALTER SYSTEM RESET synchronous_standby_names")
	reset.For = "later, if it was another file, as a cluster manager may have it in, to have that one count again"
	reset.Note = back.Note
	return s.errorf(rotator.KindMisconfigured, "the server has each change wait for %d of its standbys, and %d are "+
		"connected and have caught up: start one. If there is to be none, see which file has that (%s), then %s and "+
		"%s; later, %s has changes wait again, or, where that file was not postgresql.auto.conf, %s. Nothing was "+
		"changed", wanted, there, look, off, byAdministrator(reload), back, reset)
}

// role is an account, as pg_roles and pg_auth_members show it to anyone.
type role struct {
	name          string
	oid           string // by which it is the same one under another name, and another one under the same name
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
	inherits      bool // we may do what it may
	becomes       bool // and act as it
	actingRole    bool // it is the role that we act as
	nearConnLimit bool // it has hardly a connection left
	connects      bool // it may connect to the database
	limit         int
	validUntil    string // when VALID UNTIL ends, if that is within 30 days
	ends          string // VALID UNTIL, or infinity

	// What the server stores for the password, where that is known: a login shows
	// it of its own account, and pg_authid of others to those who may read it.
	md5        bool
	iterations int    // of SCRAM
	stored     string // none, md5, or iterations and salt of SCRAM: 4096:c2FsdA==; "": unknown
}

// lookUp asks for the named roles, and for the one that we act as. A new session plans each
// statement with nothing in its caches, so that what is asked for in vain costs more than
// what is found: what only warnings need is asked for in a dry run alone. Only Amazon RDS
// has rds_iam, and there no customer's role is a superuser, which is a member of all. A role
// of that name elsewhere, which CREATEROLE can make and grant, means nothing: RDS is told by
// its superuser, rdsadmin, which no CREATEROLE can make.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html
func (s *session) lookUp(names []string) statement {
	near, until := "false", "''"
	if s.rehearsal {
		near = "rolconnlimit >= 0 AND (SELECT count(*) FROM pg_stat_get_activity(NULL) a WHERE a.usesysid = r.oid) " +
			">= rolconnlimit - 1"
		until = `CASE WHEN isfinite(rolvaliduntil) AND rolvaliduntil < now() + interval '30 days' THEN
    to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') ELSE '' END`
	}
	sql := `SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
  coalesce(rolvaliduntil <= now(), false),
  NOT rolsuper AND coalesce(pg_has_role(oid, to_regrole('rds_iam'), 'MEMBER'), false)
    AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'rdsadmin' AND rolsuper),
  pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION'),
  rolname = current_user, ` + near + `, has_database_privilege(oid, current_database(), 'CONNECT'),
  rolconnlimit, ` + until + `, oid, CASE WHEN isfinite(rolvaliduntil)
    THEN to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"+00"')
    ELSE coalesce(rolvaliduntil::text, 'infinity') END,
  pg_has_role(current_user, oid, 'USAGE'), pg_has_role(current_user, oid, '` + s.become() + `')
FROM pg_roles r WHERE rolname IN ($1, $2, current_user)`
	return statement{operation{action: "looking up roles"}, sql, []string{names[0], names[len(names)-1]}}
}

// readRoles reads what lookUp gave, by the roles' names.
func (s *session) readRoles(rows [][]string) (map[string]role, error) {
	found := map[string]role{}
	for _, row := range rows {
		r := role{name: row[0], oid: row[16], ends: row[17]}
		for i, flag := range []*bool{&r.superuser, &r.inherit, &r.createRole, &r.createDB, &r.login, &r.repl,
			&r.bypassRLS,
			&r.expired, &r.iam, &r.admin, &r.actingRole, &r.nearConnLimit, &r.connects} {
			*flag = row[1+i] == "t"
		}
		r.inherits, r.becomes = row[18] == "t", row[19] == "t"
		r.validUntil = row[15]
		var err error
		if r.limit, err = strconv.Atoi(row[14]); err != nil {
			return nil, fmt.Errorf("role %q: %w: connection limit: %w", r.name, rotator.KindInternal, err)
		}
		if r.name == s.login.User {
			r.md5, r.iterations = s.method == authMD5, iterationsOf(s.shown)
		} else if s.login.For != nil {
			_, how, _ := strings.Cut(s.login.For.Seen[r.name], " ")
			r.md5 = how == seenMD5
			r.iterations = iterationsOf(strings.TrimPrefix(how, seenScram)) // another method shows none
		}
		found[r.name] = r
	}
	return found, nil
}

// lookUpStored learns how the passwords are stored, from a server that lets us see it. Of
// what is stored, the iterations and the salt alone are read. They are no secret: the server
// tells them to a client that tries to log in.
func (s *session) lookUpStored(ctx context.Context, names []string) error {
	if !s.verifiers {
		return nil
	}
	rows, err := s.query(ctx, operation{action: "looking up roles"}, `SELECT rolname, CASE WHEN rolpassword IS NULL THEN 'none'
    WHEN rolpassword LIKE 'md5%' THEN 'md5' ELSE split_part(rolpassword, '$', 2) END,
  (SELECT r.oid FROM pg_roles r WHERE r.rolname = a.rolname)
FROM pg_authid a WHERE rolname IN ($1, $2, current_user)`, names[0], names[len(names)-1])
	if err != nil {
		return err
	}
	for _, row := range rows {
		r, ok := s.roles[row[0]]
		if !ok {
			continue
		}
		if r.stored = row[1]; row[2] != r.oid {
			r.stored = "another's"
		}
		r.md5, r.iterations = r.md5 || r.stored == seenMD5, max(r.iterations, iterationsOf(r.stored))
		s.roles[row[0]] = r
	}
	return nil
}

// iterationsOf gives those of SCRAM, by what a login or the server has shown; 0: there are none.
func iterationsOf(shown string) int {
	iterations, _, _ := strings.Cut(shown, ":")
	n, _ := strconv.Atoi(iterations)
	return n
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

// setPassword is the statement that changes the password of a role that exists. others are
// those with whom it takes turns.
func (s *session) setPassword(target role, p secret.Password, others ...role) (statement, error) {
	if err := s.checkUsable(target); err != nil {
		return statement{}, err
	}
	stored, err := s.storedForm(target.name, p, append(others, target)...)
	if err != nil {
		return statement{}, err
	}
	st := operation{action: fmt.Sprintf("changing the password of %q", target.name),
		remedy: s.alterRemedy(acting(s.roles), target), setsPassword: true}
	return statement{st, fmt.Sprintf("ALTER ROLE %s PASSWORD %s", quoteIdent(target.name), quoteLiteral(stored)), nil},
		nil
}

// checkUsable refuses an account on which the new password could not work, while
// nothing is changed yet.
func (s *session) checkUsable(r role) error { return s.refusal(s.faults(r)) }

// fault is what keeps a role from logging in, whatever its password.
type fault struct {
	kind rotator.Kind
	says rotator.Sentence
}

// faults are all that no new password ends: who mends one of them is to know of the others.
func (s *session) faults(r role) (all []fault) {
	name := quoteIdent(r.name)
	if r.iam {
		all = append(all, fault{rotator.KindMisconfigured, rotator.Sentencef("role %q is a member of rds_iam, and RDS "+
			"takes no passwords from those: %s (or from the group it is in), or stop rotating this secret", r.name,
			s.fix("REVOKE rds_iam FROM %s", name))})
	}
	if !r.login {
		unlock := s.fix("ALTER ROLE %s LOGIN", name)
		unlock.Note = notLocked
		all = append(all, fault{rotator.KindPrivilege, rotator.Sentencef("role %q is locked, and its password is left "+
			"alone: %s", r.name, unlock)})
	}
	if r.expired && r.name != s.login.User {
		extend := s.fix("ALTER ROLE %s VALID UNTIL 'infinity'", name)
		extend.Note = r.laterEnd()
		all = append(all, fault{rotator.KindPrivilege, rotator.Sentencef("the VALID UNTIL of role %q has passed, and "+
			"no new password extends it: %s", r.name, extend)})
	}
	return all
}

// What may be so on purpose is said with the line that ends it.
const (
	notLocked = "if it is not locked on purpose"
	earlier   = "or the number that it had. A limit of 0 keeps clients out, maybe on purpose"
)

// laterEnd is said with the line that ends VALID UNTIL.
func (r role) laterEnd() string {
	return "or a later end, if it is to have one: it was " + r.ends + ", which is lost then"
}

// refusal is the error of some faults; nil: there are none.
func (s *session) refusal(all []fault) error {
	if all == nil {
		return nil
	}
	says := all[0].says
	for _, f := range all[1:] {
		says = rotator.Sentencef("%s; %s", says, f.says)
	}
	return s.errorf(all[0].kind, "%s", says)
}

// storedForm gives what the server is to store for a password. likes are the accounts of
// the same clients. It is never weaker than what is there, and an md5 hash only
// where one is there and AllowMD5 is set: pg_hba.conf may ask for scram-sha-256,
// which an md5 hash never passes. Where nothing is known of what is there, and the
// server would make md5 hashes itself, the account's clients may know nothing else.
func (s *session) storedForm(user string, p secret.Password, likes ...role) (string, error) {
	isMD5, isScram, iterations := false, user == s.login.User && s.method == authCleartext, s.iterations
	known := len(likes) > 0
	for _, r := range likes {
		isMD5, isScram, iterations = isMD5 || r.md5, isScram || r.iterations > 0, max(iterations, r.iterations)
		known = known && r.iterations > 0
	}
	if !known { // how many there are of each
		iterations = max(iterations, scramIterations)
	}
	switch {
	case isMD5 && !isScram && s.allowMD5:
		return md5Hash(user, p), nil
	case s.md5 && !isScram && !s.allowMD5:
		return "", s.errorf(rotator.KindMisconfigured, "password_encryption is md5, and whether %q's clients support "+
			"SCRAM is unknown. If they do (every driver since 2018): ALTER SYSTEM SET password_encryption = "+
			"'scram-sha-256', in a parameter group on RDS; if not: POSTGRES_ALLOW_MD5=true", user)
	case iterations > maxIterations:
		return "", s.errorf(rotator.KindMisconfigured, "scram_iterations is %d for this session or this account, and "+
			"this function takes at most %d: more would take it longer than a login may. %s, or set a lower number "+
			"where it is set", iterations, maxIterations,
			s.fix("ALTER ROLE %s RESET scram_iterations", quoteIdent(s.login.User)))
	}
	s.guessed, s.upgrades = s.md5 && !isScram, isMD5 && !isScram && !s.allowMD5
	if s.rehearsal {
		if iterations <= scramIterations {
			iterations = 1 // the server goes through them, to see that it is no verifier of an empty password
		}
		return scramSample(iterations), nil
	}
	return scramVerifier(p, iterations)
}

// alterRemedy says what a role lacks to change a password.
func (s *session) alterRemedy(me, target role) rotator.Sentence {
	switch {
	case s.restricted:
		return rotator.Sentencef("rds.restrict_password_commands is on, and only members of rds_password may "+
			"change passwords: %s", s.fix("GRANT rds_password TO %s", quoteIdent(s.login.User)))
	case me.name == target.name:
		return rotator.Sentencef("the server does not let this user change its own password: rotate through a " +
			"superuser secret")
	case target.superuser && !me.superuser:
		return rotator.Sentencef("role %q is a superuser, and only a superuser may change its password", target.name)
	case target.repl && !me.superuser && s.version < 160000:
		return rotator.Sentencef("role %q has REPLICATION, and until PostgreSQL 16 only a superuser may change its "+
			"password", target.name)
	}
	return s.createRoleRemedy(me, target.name, target.admin)
}

// giveAdmin is the statement that gives us ADMIN OPTION on a role. As of PostgreSQL 16 the old form would have us do
// what the role may, too, and act as it. What we may already of that stays: a second GRANT by the same role sets it.
func (s *session) giveAdmin(other string, me role) string {
	grant := "GRANT " + quoteIdent(other) + " TO " + quoteIdent(me.name)
	if s.major() < 16 {
		return grant + " WITH ADMIN OPTION"
	}
	r, is := s.roles[other], map[bool]string{true: "TRUE", false: "FALSE"}
	return grant + " WITH ADMIN TRUE, INHERIT " + is[r.inherits] + ", SET " + is[r.becomes]
}

// createRoleRemedy says what a role lacks to manage another: CREATEROLE, and as
// of PostgreSQL 16 ADMIN OPTION on that role as well. Roles made by someone else
// lack the latter after an upgrade from 15.
func (s *session) createRoleRemedy(me role, other string, admin bool) rotator.Sentence {
	var fixes []rotator.Fix
	if !me.createRole && !me.superuser {
		fixes = append(fixes, s.fix("ALTER ROLE %s CREATEROLE", quoteIdent(me.name)))
	}
	if s.version >= 160000 && !admin {
		fixes = append(fixes, s.fix("%s", s.giveAdmin(other, me)))
	}
	missing := rotator.RunEach(fixes...)
	if fixes == nil {
		missing.Text = "it needs more than CREATEROLE"
	}
	if login, in := s.login.User, ""; login != me.name {
		if s.roleHere {
			in = " IN DATABASE " + quoteIdent(s.database)
		}
		reset := s.fix("ALTER ROLE %s%s RESET role", quoteIdent(login), in)
		reset.For = fmt.Sprintf("if what user %q may do itself is to count, in place of what gives role %q more", login,
			me.name)
		reset.Note = "every rotation by this user needs its own privileges then"
		says := rotator.Sentencef("role %[1]q is not allowed to: %[2]s. (Sessions of %[3]q act as %[1]q by the "+
			"setting role, so that what %[3]q itself may do does not count. To have it count, in place of that: %[4]s)",
			me.name, missing, login, reset)
		for i := range missing.Fixes {
			missing.Fixes[i].For = fmt.Sprintf("in place of RESET role, with all lines that say so, if user %q is to "+
				"go on acting as role %q", login, me.name)
		}
		says.Fixes = append([]rotator.Fix{reset}, missing.Fixes...)
		return says
	}
	return rotator.Sentencef("role %q is not allowed to: %s", me.name, missing)
}

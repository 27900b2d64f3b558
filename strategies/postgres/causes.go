package postgres

import (
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// trusted begins each query that is printed. The owner of the database, and who may create in it, could otherwise have
// functions and views of their own run by the administrator: ones that the search_path has first, or that fit better.
const trusted = "SET search_path = pg_catalog, pg_temp; "

// holders shows what holds the connections that a limit allows: who uses a limit up may not be whom it is raised for.
func holders(name, limit, of string) rotator.Fix {
	return rotator.Fix{By: rotator.ByAdministrator,
		For: "to see each limit that there is, and what holds its connections",
		Run: trusted + "SELECT " + name + ", " + limit + ", application_name, client_addr, state, count(pid), " +
			pids + " FROM " + of + " WHERE " + limit + " >= 0 GROUP BY 1, 2, 3, 4, 5 ORDER BY count(pid) DESC",
		Note: "SELECT pg_catalog.pg_terminate_backend(pid) ends one that should not be there: then nothing else is " +
			"needed"}
}

// pids are the sessions of a row, the longest in its state first. Of a user's that is not one's own the server shows
// neither since when, nor the type.
const pids = "min(state_change) AS since, array_agg(pid ORDER BY state_change) AS pids"

// higher says what stands for the limit in a line, which the answer does not name.
const higher = "N is a number above the limit that the line before shows; where that is 0, which keeps its clients " +
	"out on purpose, N is the number that it had, or -1 for no limit"

// whereSet shows where settings are set, other than for the whole server, and what ends each. A limit of time does not
// end the query itself.
func whereSet(settings ...string) string {
	off := ""
	for _, name := range settings {
		if strings.HasSuffix(name, "_timeout") {
			off += "SET " + name + " = 0; "
		}
	}
	return trusted + off + "SELECT 'ALTER ' || CASE WHEN r.oid IS NULL AND d.oid IS NOT NULL THEN 'DATABASE ' || " +
		"quote_ident(datname) ELSE 'ROLE ' || coalesce(quote_ident(rolname), 'ALL') || coalesce(' IN DATABASE ' || " +
		"quote_ident(datname), '') END || ' RESET ' || split_part(v, '=', 1) AS run, v AS now FROM " +
		"pg_db_role_setting LEFT JOIN pg_roles AS r ON r.oid = setrole LEFT JOIN pg_database AS d ON " +
		"d.oid = setdatabase, unnest(setconfig) AS v WHERE split_part(v, '=', 1) IN ('" +
		strings.Join(settings, "', '") + "')"
}

// setNow shows where a setting is set, and to what, before Fix resets that of the role.
func setNow(setting string) []rotator.Fix {
	return []rotator.Fix{{By: rotator.ByAdministrator, For: "to see first where " + setting + " is set, and in the " +
		"column run what ends each", Run: whereSet(setting), Note: "keep what the column now has: it is lost " +
		"then. The lines for this role, this database or ALL count; no line: it is set for the whole server. In " +
		"another database if this one lets no administrator in, or ends the query too"}}
}

// asShown is what a line is for that resets what setNow shows.
const asShown = "to end it, if that shows these lines; if it shows others, run those instead"

// Causes is what each error of a server means, by its SQLSTATE and, where one stands for
// several things, by the server's routine, whose name is not translated as messages are
// (lc_messages). The first row that fits counts. docs/runbook.md shows it.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func Causes() []dial.Cause {
	const login, begin, newPassword, withoutTLS = dial.Login, dial.Begin, dial.SetsPassword, dial.LoginWithoutTLS
	const statement, runAtLogin = dial.Statement, dial.RunAtLogin
	const noSlot = ". A rotation needs one or two connections beside the application's"
	lines, rejects := hbaLines(), hbaLines()
	rejects[1].Note = fromElsewhere
	return []dial.Cause{
		// The password.
		{Codes: []string{"28P01"}, During: login, Kind: rotator.KindLoginRejected,
			Text: "the server did not accept the password. PostgreSQL says the same if the role {user} does not " +
				"exist, its VALID UNTIL has passed, or its stored password does not suit the method in pg_hba.conf " +
				"(an md5 hash under scram-sha-256)"},

		// No password would do.
		{Codes: []string{"28000"}, During: login, From: []string{"InitializeSessionUserId"},
			Kind: rotator.KindPrivilege,
			Text: "the role is locked: if that is not on purpose, {fix}",
			Fix:  "ALTER ROLE {user} LOGIN", Note: notLocked},
		{Codes: []string{"28000"}, During: withoutTLS, From: []string{"ClientAuthentication"}, Kind: rotator.KindTLS,
			OfAccount: true,
			Text: `pg_hba.conf does not let this user in from here without TLS: remove "ssl": false from the secret. ` +
				"Or, where one of its entries rejects it (reject) or none is for it with TLS either, correct that. " +
				fromElsewhere + hba, Lines: rejects},
		{Codes: []string{"28000"}, During: login, From: []string{"ClientAuthentication"},
			Kind: rotator.KindMisconfigured, Retry: dial.RetryPerhaps,
			Text: "pg_hba.conf does not let this user in from here: it needs an entry with scram-sha-256 for this " +
				"user, database and address, before any that rejects them or demands a client certificate (cert, " +
				"clientcert), of which this function has none. " + fromElsewhere + ". An Aurora cluster that is " +
				"resuming after a pause answers so too: then try again" + hba, Lines: rejects},
		{Codes: []string{"28000"}, During: login, From: []string{"auth_failed"}, Kind: rotator.KindPrivilege,
			Text: "the server asks another system than its own passwords, by the method of pg_hba.conf that its own " +
				"words name (PAM, as RDS does for IAM users; LDAP, RADIUS, ident), so that no password of ours will " +
				"do: on RDS, {fix}; elsewhere an entry of pg_hba.conf with scram-sha-256 before " +
				"that one; or stop rotating this secret" + hba,
			Fix: "REVOKE rds_iam FROM {user}", Note: "on RDS; elsewhere it is an entry of pg_hba.conf, as said above",
			Lines: lines},
		{Codes: []string{"F0000"}, During: login, From: []string{"ClientAuthentication"},
			Kind: rotator.KindMisconfigured,
			Text: "pg_hba.conf demands a client certificate (cert, clientcert), of which this function has none: it " +
				"needs an entry with scram-sha-256 for this user, database and address before that one" + hba,
			Lines: lines},
		{Codes: []string{"28000"}, During: login, Kind: rotator.KindMisconfigured,
			Text: "the server does not let this user in from here, whatever the password; its own words follow"},
		{Codes: []string{"*"}, During: login, From: []string{"internal_load_library", "incompatible_module_error",
			"check_restricted_library_name", "expand_dynamic_library_name", "_PG_init"},
			Kind: rotator.KindMisconfigured,
			Text: "the server cannot load a library that local_preload_libraries or session_preload_libraries names. " +
				"In another database than {database}, which no administrator may get into either, {fix} shows where " +
				"it is set, and what ends that",
			Fix: whereSet("local_preload_libraries", "session_preload_libraries"),
			For: "to see where it is set, and in the column run what ends it", Note: "in another database, as " +
				"postgres or template1: an administrator may not get into this one either. Run the lines that are " +
				"for this role, this database or ALL; no line: it is set for the whole server (postgresql.conf, " +
				"ALTER SYSTEM; RDS: the parameter group)"},
		{Codes: []string{"42501"}, During: login, From: []string{"CheckMyDatabase"}, Kind: rotator.KindPrivilege,
			Public: true,
			Text:   "the user has no CONNECT privilege: {remedy}", Guesses: true,
			Remedy: "GRANT CONNECT ON DATABASE {database} TO {user}; but a clone has the privilege as a member of " +
				"its original: GRANT it to that, then, if that was not it, that to the clone, and nothing of its own"},
		{Codes: []string{"55000"}, During: login, From: []string{"CheckMyDatabase"}, Kind: rotator.KindPrivilege,
			Text: "the database {database} takes no connections: {fix}, " +
				"or correct dbname in the secret",
			Fix: "ALTER DATABASE {database} ALLOW_CONNECTIONS true"},
		{Codes: []string{"0A000"}, During: login, Kind: rotator.KindMisconfigured,
			Text: "client_encoding, as a setting of this role or database, is one that the server cannot convert to, " +
				"and clients that name none are refused as well: {fix}, where it is set",
			Fix: "ALTER ROLE {user} RESET client_encoding", For: asShown, Before: setNow("client_encoding")},
		{Codes: []string{"3D000"}, Kind: rotator.KindMisconfigured,
			Text: "there is no database {database} on this server: correct dbname in the secret, or bring the " +
				"database back under that name (SELECT datname FROM pg_database shows which there are)"},
		{Codes: []string{"22021"}, Kind: rotator.KindMisconfigured,
			Text: "a name is not valid in the encoding of this database: give another dbname in the secret, one " +
				"in UTF-8"},

		// Slots.
		{Codes: []string{"53300"}, From: []string{"InitializeSessionUserId"}, Kind: rotator.KindTooManyConnections,
			Retry: dial.RetryYes, OfAccount: true,
			Text: "no free connection: the role has all that its CONNECTION LIMIT gives it. Try again; if it lasts, " +
				"see what holds them: end what should not be there, or {fix}, with a higher number for N" + noSlot,
			Before: []rotator.Fix{holders("rolname", "rolconnlimit",
				"pg_roles AS r LEFT JOIN pg_stat_activity ON usesysid = r.oid")},
			Fix: "ALTER ROLE {user} CONNECTION LIMIT N", Note: higher},
		{Codes: []string{"53300"}, From: []string{"CheckMyDatabase"}, Kind: rotator.KindTooManyConnections,
			Retry: dial.RetryYes,
			Text: "no free connection: the database has all that its CONNECTION LIMIT gives it. Try again; if it " +
				"lasts, see what holds them: end what should not be there, or {fix}, with a higher number for N" +
				noSlot,
			Before: []rotator.Fix{holders("datname", "datconnlimit",
				"pg_database LEFT JOIN pg_stat_activity USING (datname)")},
			Fix: "ALTER DATABASE {database} CONNECTION LIMIT N", Note: higher},
		{Codes: []string{"53300"}, Kind: rotator.KindTooManyConnections, Retry: dial.RetryYes,
			Text: "no free connection: every connection of the server is taken (max_connections), or a pooler in " +
				"between has none. Try again; if it lasts, {fix} shows what holds them, and SELECT " +
				"pg_catalog.pg_terminate_backend(pid) ends one; or raise it" + noSlot,
			Fix: trusted + "SELECT usename, datname, application_name, client_addr, state, count(*), " +
				pids + " FROM pg_stat_activity WHERE coalesce(backend_type, 'client backend') = 'client backend' " +
				"GROUP BY 1, 2, 3, 4, 5 ORDER BY count(*) DESC",
			For: "if it lasts, to see what holds them", Note: "some are kept for superusers, who get in. SELECT " +
				"pg_catalog.pg_terminate_backend(pid) ends one: of those that are idle, the longest first. RDS: " +
				"max_connections is in the parameter group"},

		// Changes.
		{Codes: []string{"42501"}, During: statement, Kind: rotator.KindPrivilege, Public: true, Text: "{remedy}"},
		{Codes: []string{"25006"}, Kind: rotator.KindReadOnly, Text: readOnly + ". Where a line that a person runs " +
			"ends so on the writer, its database or its role begins read-only, by a setting: BEGIN READ WRITE before " +
			"the line, and COMMIT after it, have it write"},
		{Codes: []string{"0A000"}, During: begin, Kind: rotator.KindReadOnly, Text: readOnly},
		{Codes: []string{"55P03"}, During: statement, Kind: rotator.KindConflict, Retry: dial.RetryYes,
			Text: "another session holds a lock on it: a second rotation, or a transaction that alters the same role " +
				"and was left open, or prepared (XA). This attempt changed nothing. Try again; if it lasts, {fix} " +
				"shows which it may be, the longest open first; SELECT pg_catalog.pg_terminate_backend(pid) ends a " +
				"session, and " + endPrepared + ". If it shows none, " + standbyWaits,
			Fix: lockHolders,
			For: "if it lasts, to see whose session holds the lock, or whose prepared transaction",
			Note: "SELECT pg_catalog.pg_terminate_backend(pid) ends a session: not one that waits for another itself " +
				"(waits_for), as this rotation does. A row with a gid is a prepared transaction, which no session " +
				"holds: ask whose it is; " + endPrepared + ". If none is shown, " + standbyWaits + ". A session that " +
				"waits so (wait_event SyncRep) is not to be ended: its change, as of a password in use, would count " +
				"then"},
		{Codes: []string{"40001", "40P01", "23505", "42710"}, During: statement,
			Kind: rotator.KindConflict, Retry: dial.RetryYes, Text: concurrent},
		{Codes: []string{"22012"}, During: statement, Kind: rotator.KindConflict, Retry: dial.RetryYes,
			Text: "a role " + another},
		// tuple concurrently updated
		{Codes: []string{"XX000"}, From: []string{"simple_heap_update", "simple_heap_delete"},
			Kind: rotator.KindConflict, Retry: dial.RetryYes, Text: concurrent},
		{Codes: []string{"57014"}, Kind: rotator.KindDeadline, Retry: dial.RetryYes, OfAccount: true,
			Text: "the server cancelled the statement, which took longer than statement_timeout lets it, or an " +
				"administrator did. Try again; if it lasts, {fix}, or more of it where it is set",
			Fix: "ALTER ROLE {user} RESET statement_timeout; ALTER ROLE {user} IN DATABASE {database} RESET " +
				"statement_timeout", For: asShown, Before: setNow("statement_timeout")},
		{Codes: []string{"25P04"}, Kind: rotator.KindDeadline, Retry: dial.RetryYes, OfAccount: true,
			Text: "the server ended the transaction, which took longer than transaction_timeout lets it. This " +
				"attempt changed nothing. Try again; if it lasts, {fix}, or more of it where it is set",
			Fix: "ALTER ROLE {user} RESET transaction_timeout; ALTER ROLE {user} IN DATABASE {database} RESET " +
				"transaction_timeout", For: asShown, Before: setNow("transaction_timeout")},
		{Codes: []string{"25P03"}, Kind: rotator.KindDeadline, Retry: dial.RetryYes, OfAccount: true,
			Text: "the server ended the transaction (idle_in_transaction_session_timeout): the function or the " +
				"network stood still. This attempt changed nothing. Try again"},
		{Codes: []string{"57P05"}, Kind: rotator.KindMisconfigured,
			Text: "idle_session_timeout ends sessions of this role or database before a statement can follow " +
				"another: {fix}, or set seconds where it is set",
			Fix: "ALTER ROLE {user} RESET idle_session_timeout; ALTER ROLE {user} IN DATABASE {database} RESET " +
				"idle_session_timeout", For: asShown, Before: setNow("idle_session_timeout")},
		// passwordcheck, credcheck (2), pg_tle on RDS (2)
		{Codes: []string{"22023", "28P01", "28000", "P0001", "23514"}, During: newPassword,
			Kind: rotator.KindPasswordPolicy,
			Text: "a password policy of the server refused the new password: adapt the function's password settings " +
				"to it, or let it take SCRAM verifiers"},

		{Codes: []string{"22023"}, From: []string{"ExecSecLabelStmt"}, Kind: rotator.KindMisconfigured,
			Text: "the provider of a security label is not loaded in this database: name its library in " +
				"session_preload_libraries or shared_preload_libraries, or remove the label from the role that has it"},

		// Outages.
		{Codes: []string{"53100"}, Kind: rotator.KindInternal,
			Text: "the server's disk is full: free space there. This attempt changed nothing"},
		{Codes: []string{"58*"}, Kind: rotator.KindInternal,
			Text: "the server cannot read or write a file of its own: see its log. This attempt changed nothing"},
		{Codes: []string{"53*"}, Kind: rotator.KindUnreachable, Retry: dial.RetryPerhaps,
			Text: "the server is out of memory or of another resource. Try again; if it lasts, see its log"},
		{Codes: []string{"57P03"}, Kind: rotator.KindUnreachable, Retry: dial.RetryYes,
			Text: "the server is starting, stopping, recovering, or a standby that takes no connections (hot_standby " +
				"= off). Try again when it is up"},
		{Codes: []string{"57P*"}, Kind: rotator.KindUnreachable, Retry: dial.RetryYes,
			Text: "the server ended the connection: it is stopping or failing over, or an administrator did. Try " +
				"again when it is up"},
		{Codes: []string{"08*"}, Kind: rotator.KindUnreachable, Retry: dial.RetryPerhaps,
			Text: "the connection broke, or what answers does not follow PostgreSQL's protocol: a server that is " +
				"failing over, or a pooler in between. Try again; if it lasts, use the database's own endpoint " +
				"as host"},

		// Anything else at a login.
		{Codes: []string{"40001", "40P01", "55P03"}, During: runAtLogin, Kind: rotator.KindConflict,
			Retry: dial.RetryYes,
			Text:  "what runs at login met a lock or a conflict. Try again; if it lasts, see to " + ranAtLogin,
			Lines: loginLines()},
		{Codes: []string{"*"}, During: runAtLogin, Kind: rotator.KindMisconfigured,
			Text:  "what runs at login failed, which says nothing of the credentials: " + ranAtLogin,
			Lines: loginLines()},
		{Codes: []string{"*"}, During: login, Kind: rotator.KindInternal,
			Text: "the server reported an error that this function does not know, at a login: its own words follow. " +
				"It may be of " + ranAtLogin,
			Lines: loginLines()},
	}
}

// loginLines are for what the server runs at login, in the database that the secret names.
func loginLines() []rotator.Fix {
	return []rotator.Fix{
		{By: rotator.ByAdministrator, For: "to see the event triggers that run at login, in the database that the " +
			"secret names", Run: loginTriggers, Note: noTriggers},
		{By: rotator.ByAdministrator, For: "if one of these fails and is not to be mended first, with its name in " +
			"place of the dots", Run: "ALTER EVENT TRIGGER ... DISABLE"},
		{By: rotator.ByAdministrator, For: "if one was disabled, once it is corrected, so that it runs again",
			Run: "ALTER EVENT TRIGGER ... ENABLE", Note: "as evtenabled was: A: ENABLE ALWAYS, R: ENABLE REPLICA"},
	}
}

// A prepared transaction keeps its locks, and has no session: pid is NULL then.
// https://www.postgresql.org/docs/current/view-pg-locks.html
const (
	lockHolders = trusted + "SELECT DISTINCT l.pid, coalesce(usename, owner) AS usename, coalesce(datname, " +
		"p.database) AS datname, state, coalesce(xact_start, prepared) AS xact_start, gid, " +
		"pg_blocking_pids(l.pid) AS waits_for FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid " +
		"LEFT JOIN (pg_locks AS x JOIN pg_prepared_xacts AS p ON x.transactionid = transaction) ON l.pid IS NULL AND " +
		"x.virtualtransaction = l.virtualtransaction WHERE wait_event IS DISTINCT FROM 'SyncRep' AND l.relation IN (" +
		"'pg_authid'::regclass, 'pg_auth_members'::regclass, 'pg_db_role_setting'::regclass, " +
		"'pg_shseclabel'::regclass) AND l.granted AND l.mode <> 'AccessShareLock' AND l.pid IS DISTINCT FROM " +
		"pg_backend_pid() ORDER BY xact_start"
	endPrepared = "ROLLBACK PREPARED 'GID' or COMMIT PREPARED 'GID', in its database (datname), as its user or a " +
		"superuser, ends a prepared one (gid)"
	standbyWaits = "and SHOW synchronous_standby_names is not empty, a change waits for a standby that does not " +
		"answer: thaw or restart that standby"
)

// An event trigger ON login runs as the user that logs in, after its password was accepted.
const (
	loginTriggers = trusted + "SELECT evtname, evtenabled, evtfoid::regproc FROM pg_event_trigger " +
		"WHERE evtevent = 'login'"
	noTriggers = "an administrator whom a trigger keeps out gets in with PGOPTIONS='-c event_triggers=off' before " +
		"psql, as a superuser, or as a role that has SET ON PARAMETER event_triggers"
	ranAtLogin = "an event trigger ON login of database {database} (as of PostgreSQL 17), or an extension. The " +
		"server's own words say what it lacks: give it that, or correct it. " + loginTriggers + " shows the " +
		"triggers there, ALTER EVENT TRIGGER ... DISABLE ends one until ALTER EVENT TRIGGER ... ENABLE, and " +
		"PGOPTIONS='-c event_triggers=off' lets an administrator in whom one keeps out"
)

// hbaLines show what pg_hba.conf has, and have a change of it count.
func hbaLines() []rotator.Fix {
	return []rotator.Fix{
		{By: rotator.ByAdministrator, For: "to see the file and its entries, of which the first that fits counts",
			Run: hbaEntries, Note: "entries with an error come first: as long as there is one, the server goes on " +
				"with what it read before, although it says t. RDS has no such file to edit"},
		{By: rotator.ByAdministrator, For: "once the file is corrected, so that it counts", Run: reload},
	}
}

// fromElsewhere is what an entry for the address of the function alone may leave.
const fromElsewhere = "If clients are kept out at their own addresses too, and not on purpose: remove each entry " +
	"that rejects the user there; of a pair, add those that the other user has"

// tlsLines have the server offer TLS.
func tlsLines() []rotator.Fix {
	return []rotator.Fix{
		{By: rotator.ByAdministrator, For: "to turn TLS on", Run: turnOnTLS,
			Note: "the server needs a certificate and its key first: SHOW ssl_cert_file, SHOW ssl_key_file"},
		{By: rotator.ByAdministrator, For: "so that it counts", Run: reload},
	}
}

// pg_hba.conf is a file, and is read again only when that is asked for.
const (
	// in the order in which they count: each file that is included has lines of its own
	hbaEntries = trusted + "SELECT current_setting('hba_file') AS file, h.* FROM pg_hba_file_rules() " +
		"WITH ORDINALITY h ORDER BY error IS NULL, ordinality"
	reload    = "SELECT pg_catalog.pg_reload_conf()"
	turnOnTLS = "ALTER SYSTEM SET ssl = on"
	hba       = ". As a superuser: " + hbaEntries + " shows the file and its entries; a change of it counts after " +
		reload + ", once no entry has an error (until then the server goes on with what it read before). RDS " +
		"has none to edit: see the parameter group (rds.force_ssl) and rds_iam"
)

const (
	readOnly   = "the server is read-only (a replica, or configured so): use the writer endpoint as host"
	concurrent = "another session changed the same role at the same time. Nothing was changed here. Try again"
)

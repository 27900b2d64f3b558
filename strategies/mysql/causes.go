package mysql

import (
	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

const (
	unlock     = "ALTER USER {user}@`%` ACCOUNT UNLOCK"
	locked     = "the account is locked, whatever the password: {fix} (" + itsHost + ")"
	lockedNote = "if it was locked on purpose, see first why; " + itsHost
	flush      = "FLUSH PRIVILEGES"
	// The limit is lifted, and not the account unblocked alone: clients of AWSCURRENT would block it again at once.
	liftAttempts  = "ALTER USER {user}@`%` ACCOUNT UNLOCK FAILED_LOGIN_ATTEMPTS 0"
	toUnblock     = "to unblock it, and keep it from being blocked again"
	itsLimit      = "ITS-LIMIT"
	limitBack     = "once clients are well, to put the limit back"
	shownLimit    = "with what was shown in place of " + itsLimit
	whoseLogins   = "where no rotation is past setSecret, to see which client tries an old password"
	refusedLogins = "SELECT LOGGED, DATA FROM performance_schema.error_log WHERE DATA LIKE " +
		"'%Access denied for user%' ORDER BY LOGGED DESC"
	refusedNote   = "with log_error_verbosity = 3 alone the server writes these, to its error log too"
	backOnceMoved = "if a rotation is past setSecret, clients of AWSCURRENT themselves block it: put the limit back " +
		"once the label has moved"
	whoBlocks  = "Find which client tries an old password; " + backOnceMoved
	raiseLimit = "ALTER USER {user}@`%` WITH MAX_USER_CONNECTIONS "
	// flushDoes: no table shows which account is blocked, and none of the server's answers which one was met.
	flushDoes = "it unblocks each account of the server that wrong passwords have blocked; it needs RELOAD"
	itsHost   = "its host may be another than %: SELECT host FROM mysql.user WHERE user = its name"
	noSlot    = "A rotation needs one or two connections beside the application's"
	readOnly  = "the server is read-only (a replica, or configured so): use the writer endpoint as host, " +
		"or where it is the primary, {fix}"
	writable  = "SET GLOBAL read_only = OFF"
	onPrimary = "where this is the primary; otherwise use the writer endpoint as host"
	// Two statements that give an account a password by a method that each server of the product has.
	giveMySQL   = "ALTER USER {user}@`%` IDENTIFIED WITH caching_sha2_password BY 'PASSWORD'"
	giveMariaDB = "ALTER USER {user}@`%` IDENTIFIED VIA mysql_native_password USING PASSWORD('PASSWORD')"
	// giveEd25519 is the strongest that this function proves, where a server has it.
	giveEd25519 = "ALTER USER {user}@`%` IDENTIFIED VIA ed25519 USING PASSWORD('PASSWORD')"
	toMySQL     = giveMySQL + ", " + typed
	toMariaDB   = giveMariaDB + ", " + typed
	typed       = "with the password of " + ofVersion + ", in place of PASSWORD"
	ofVersion   = "the version that is for {user}, AWSCURRENT or AWSPREVIOUS"
	typedHere   = "with this version's password in place of PASSWORD"
	unsaid      = "the server did not accept the login, and does not say why: "
	rejection   = "the password is wrong, there is no " +
		"account {user} for the address of this function, another account comes before it for this address, an " +
		"anonymous one perhaps, "
	lockedToo  = "or, on MariaDB, the account is locked or blocked"
	demandsTLS = `the account or the server demands TLS (remove "ssl": false), `
	demandsX   = "the account demands a client certificate (REQUIRE X509), "
	socket     = "the account logs in by unix_socket, on the server's own machine, "
)

// typedUser is the user of the login in Lines and Before, as a string constant. twice is two times the limit that an
// answer names, once that limit, and ample no less than twice, nor than what a rotation needs in an hour.
const (
	typedUser = "{'user'}"
	once      = "THE-VERY-LIMIT"
	twice     = "TWICE-THE-LIMIT"
	ample     = "MORE-THAN-THE-LIMIT"
)

// hourly is one of an account's limits of an hour, and passes within one. It is raised and not taken away: who has used
// it up may be whom it is there for.
func hourly(column, clause string, says ...string) dial.Cause {
	return dial.Cause{Codes: []string{"1226"}, Says: says, Kind: rotator.KindTooManyConnections,
		Public: true, OfAccount: true, Accepted: true,
		Text: "the account {user} has used up what the limit below gives it for an hour: wait an hour, or {fix}, or " +
			"with a higher one. If that happens again, something uses the account more than it was meant to be, or " +
			"the limit is too low: beside clients, a rotation logs in up to 6 times, and each retry and status again",
		Before: []rotator.Fix{{By: rotator.ByAdministrator, For: "to see which account has the limit",
			Run:  "SELECT Host, " + column + " FROM mysql.user WHERE User = " + typedUser,
			Note: "an account with 0 has none, and what comes next would give it one: run that for one that has"}},
		Fix: "ALTER USER {user}@`%` WITH " + clause + " " + ample, For: "to let it in before the hour is over",
		Note:  itsHost,
		Lines: []rotator.Fix{putBack("ALTER USER {user}@`%` WITH " + clause + " ")}}
}

// putBack is the line after one that raises a limit.
func putBack(statement string) rotator.Fix {
	return rotator.Fix{By: rotator.ByAdministrator, Run: statement + once, Note: itsHost,
		For: "if you ran that and the limit is there on purpose, to put it back once clients are well"}
}

// lockedOnes shows which account of the user to unlock, where the one for every host is not it.
func lockedOnes(query string) []rotator.Fix {
	return []rotator.Fix{{By: rotator.ByAdministrator, Run: query + " AND User = " + typedUser,
		For: "if it is locked still, as where the user has several accounts, to see which are, and unlock that one"}}
}

// itsHosts shows for which host a line is to be that sets the password of the account for every host.
func itsHosts() []rotator.Fix {
	return []rotator.Fix{{By: rotator.ByAdministrator, For: "to see for which hosts the user has accounts",
		Run: "SELECT Host, plugin, password_expired FROM mysql.user WHERE User = " + typedUser,
		Note: "what comes next is for host %: put the one there that is for the address of this function. An account " +
			"for another may be another owner's, whom this password would lock out"}}
}

// Causes is what each error of a server means, by its number. The first row that fits
// counts. docs/runbook.md shows it.
// https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html
// https://mariadb.com/kb/en/mariadb-error-codes/
func Causes() []dial.Cause {
	const login, newPassword, withoutTLS = dial.Login, dial.SetsPassword, dial.LoginWithoutTLS
	mariaDB := []string{productMariaDB}
	return []dial.Cause{
		// The password.
		{Codes: []string{"1045"}, During: withoutTLS, Kind: rotator.KindLoginRejected, Public: true, Text: unsaid +
			demandsTLS + rejection + lockedToo},
		{Codes: []string{"1045"}, During: login, Kind: rotator.KindLoginRejected, Public: true, Text: unsaid +
			rejection + demandsX + lockedToo},
		// MySQL answers so for such accounts alone. MariaDB answers so for accounts of unix_socket, and for names
		// that it does not know, where it has such accounts.
		{Codes: []string{"1698"}, During: login, From: []string{productMySQL}, Kind: rotator.KindPrivilege,
			Public: true,
			Text: "the account logs in by auth_socket, on the server's own machine, or by another plugin without " +
				"passwords, so that no password will do: " + toMySQL + ", or stop rotating this secret",
			Before: itsHosts(), Fix: giveMySQL, Note: typedTwice},
		{Codes: []string{"1698"}, During: withoutTLS, Kind: rotator.KindLoginRejected, Public: true, Text: unsaid +
			demandsTLS + rejection + socket + lockedToo},
		{Codes: []string{"1698"}, During: login, Kind: rotator.KindLoginRejected, Public: true, Text: unsaid +
			rejection + demandsX + socket + lockedToo},

		// No password would do.
		{Codes: []string{"4151"}, Kind: rotator.KindPrivilege, Text: locked, Fix: unlock, Note: lockedNote,
			Lines: lockedOnes("SELECT User, Host FROM mysql.global_priv WHERE JSON_VALUE(Priv, " +
				"'$.account_locked') = 1")},
		{Codes: []string{"3118"}, Kind: rotator.KindPrivilege, Text: locked, Fix: unlock, Note: lockedNote,
			Lines: lockedOnes("SELECT User, Host FROM mysql.user WHERE account_locked = 'Y'")},
		{Codes: []string{"3955"}, Kind: rotator.KindPrivilege,
			Text: "the account is blocked after too many failed logins (FAILED_LOGIN_ATTEMPTS): {fix} (" + itsHost +
				"). " + whoBlocks,
			Before: []rotator.Fix{{By: rotator.ByAdministrator, For: "to see the limit of each of its accounts",
				Run: "SELECT Host, User_attributes->>'$.Password_locking.failed_login_attempts' AS " +
					"failed_login_attempts FROM mysql.user WHERE User = " + typedUser,
				Note: "keep what it shows. What comes next is for each host that has a limit"}},
			Fix: liftAttempts, For: toUnblock, Note: backOnceMoved,
			Lines: []rotator.Fix{
				{By: rotator.ByAdministrator, Run: flush, Note: flushDoes,
					For: "if it is blocked still, as where the user has several accounts, and another is meant"},
				{By: rotator.ByAdministrator, For: whoseLogins, Run: refusedLogins, Note: refusedNote},
				{By: rotator.ByAdministrator, Run: "ALTER USER {user}@`%` FAILED_LOGIN_ATTEMPTS " + itsLimit,
					Turn: rotator.TurnLast, For: limitBack, Note: shownLimit + "; " + itsHost}}},
		{Codes: []string{"4150"}, Kind: rotator.KindPrivilege,
			Text: "the account is blocked after max_password_errors wrong passwords: {fix} (RDS: the parameter " +
				"group), which unblocks all. " + whoBlocks + ", then " + flush + " (RELOAD), for the server counts " +
				"on. To unblock one account, from MariaDB 10.11 on: ALTER USER {user}@`%` ACCOUNT UNLOCK (" + itsHost +
				"). Where others are blocked as well, it is an account that comes before theirs for this address " +
				"(SELECT host FROM mysql.user WHERE user = ''), and the administrator logs in at the server's own " +
				"socket",
			Before: []rotator.Fix{{By: rotator.ByAdministrator, For: "to see the limit",
				Run: "SHOW GLOBAL VARIABLES LIKE 'max_password_errors'", Note: "keep what it shows"}},
			Fix: "SET GLOBAL max_password_errors = 4294967295", For: toUnblock,
			Note: "RDS: the parameter group. " + backOnceMoved,
			Lines: []rotator.Fix{
				{By: rotator.ByAdministrator, For: whoseLogins,
					Run:  "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_error', 'log_warnings')",
					Note: "with log_warnings of 2 or more the error log has the address of each login that is refused"},
				{By: rotator.ByAdministrator, Run: "SET GLOBAL max_password_errors = " + itsLimit,
					Turn: rotator.TurnLast, For: limitBack, Note: shownLimit},
				{By: rotator.ByAdministrator, Run: flush, Turn: rotator.TurnLast,
					For: "right after that, to have the wrong passwords forgotten", Note: flushDoes}}},
		{Codes: []string{"1862"}, From: mariaDB, Kind: rotator.KindPrivilege, Text: expiredForAll + setMariaDB,
			Before: itsHosts(), Fix: resetMariaDB, Note: typedTwice + ". " + refusedMariaDB},
		{Codes: []string{"1862"}, Kind: rotator.KindPrivilege, Text: expiredForAll + setMySQL,
			Before: itsHosts(), Fix: resetMySQL, Note: typedTwice + "; " + historyMySQL},
		{Codes: []string{"1820"}, From: mariaDB, Kind: rotator.KindPrivilege, Public: true, Text: expired + setMariaDB,
			Before: itsHosts(), Fix: resetMariaDB, Note: typedTwice + ". " + refusedMariaDB},
		{Codes: []string{"1820"}, Kind: rotator.KindPrivilege, Public: true, Text: expired + setMySQL,
			Before: itsHosts(), Fix: resetMySQL, Note: typedTwice + "; " + historyMySQL},
		{Codes: []string{"1524"}, During: login, From: mariaDB, Kind: rotator.KindPrivilege, Public: true,
			Text: "the account's authentication plugin is not loaded on this server, so that no password will do: " +
				"INSTALL SONAME it (mysql.global_priv names it), or " + toMariaDB,
			Before: itsHosts(), Fix: giveMariaDB, Note: typedTwice},
		{Codes: []string{"1524"}, During: login, Kind: rotator.KindPrivilege, Public: true,
			Text: "the account's authentication plugin is not loaded on this server (mysql_native_password is off by " +
				"default in MySQL 8.4 and gone in 9), so that no password will do: " + toMySQL,
			Before: itsHosts(), Fix: giveMySQL, Note: typedTwice},
		{Codes: []string{"1251", "1275"}, From: mariaDB, Kind: rotator.KindMisconfigured, Text: noCommon + toMariaDB,
			Before: itsHosts(), Fix: giveMariaDB, Note: typedTwice},
		{Codes: []string{"1251", "1275"}, Kind: rotator.KindMisconfigured, Text: noCommon + toMySQL,
			Before: itsHosts(), Fix: giveMySQL, Note: typedTwice},

		// The way in.
		{Codes: []string{"1130"}, Kind: rotator.KindMisconfigured, Early: true,
			Text: "no account on this server may log in from the address of this function: create {user} for a host " +
				"that matches it, as 'user'@'10.0.%'. Clients elsewhere may be let in"},
		// Before the greeting no server says which product it is, but MariaDB names its own client.
		{Codes: []string{"1129"}, Says: []string{"mariadb-admin"}, Kind: rotator.KindConflict, Early: true,
			Text: brokenOff + "{fix}" + thenRaise, Fix: "FLUSH HOSTS"},
		{Codes: []string{"1129"}, Kind: rotator.KindConflict, Early: true,
			Text: brokenOff + "{fix}" + thenRaise, Fix: "TRUNCATE TABLE performance_schema.host_cache"},
		{Codes: []string{"3159"}, Kind: rotator.KindTLS,
			Text: `the server takes connections with TLS only (require_secure_transport): remove "ssl": false from the secret`},
		// The answer to a session's first statement, which MySQL writes so to its own log alone for all else.
		{Codes: []string{"1184"}, Kind: rotator.KindMisconfigured, AtLogin: true, Accepted: true,
			Text: "the server's init_connect fails, with which it begins every session but a superuser's, and so it " +
				"ends them all: as a user with CONNECTION_ADMIN or SUPER (MariaDB: CONNECTION ADMIN), SHOW GLOBAL " +
				"VARIABLES LIKE 'init_connect', and bring back what it names (the server's log has its error), or " +
				"{fix} until that is done, for an audit may need it. Where nothing does any more: " +
				"in the server's configuration too (my.cnf, a parameter group)",
			Before: []rotator.Fix{{By: rotator.ByAdministrator, Run: "SHOW GLOBAL VARIABLES LIKE 'init_connect'",
				For: "to see what it does",
				Note: "bring back what it names, as a table, and no more need be done. Keep what it shows: what " +
					"comes next overwrites it"}},
			Fix: "SET GLOBAL init_connect = ''", For: "if that cannot be at once, to let clients in without it",
			Lines: []rotator.Fix{{By: rotator.ByAdministrator, Run: "SET GLOBAL init_connect = 'SHOWN'",
				For:  "if you ran that, once what it names is back, with what it showed in place of SHOWN",
				Note: `write each ' and each \ of it twice` + twiceBut}}},
		{Codes: []string{"1049"}, Kind: rotator.KindMisconfigured, Accepted: true,
			Text: "there is no database {database} on this server: correct dbname in the secret, or leave it out"},
		{Codes: []string{"1044"}, During: login, Kind: rotator.KindMisconfigured, Public: true, Guesses: true,
			Accepted: true,
			Text: "the user has no privilege on the database {database}, or there is none (the server does not say " +
				"which): {fix} shows what it has. Where a role gives it the database: SET DEFAULT ROLE that role, " +
				"and those that mysql.default_roles has of it, TO {user} (MariaDB, which has one: FOR {user}), or " +
				"ALL, where @@activate_all_roles_on_login was ON until now. Where it was dropped and created again, " +
				"or lost privileges: " + asTheOther + ". Where there is no such database: " +
				"correct dbname in the secret",
			Fix: "SHOW GRANTS FOR {user}@`%`", For: "to see what it has", Note: itsHost},
		{Codes: []string{"3032"}, Kind: rotator.KindUnreachable,
			Text: "the server is in offline mode, in which it lets administrators alone in: {fix}. " +
				"After a node was expelled from group replication: repair that first",
			Fix: "SET GLOBAL offline_mode = OFF"},

		// Slots and limits.
		{Codes: []string{"1040"}, Kind: rotator.KindTooManyConnections, Early: true, Retry: dial.RetryYes,
			Text: "no free connection: every connection of the server is taken (max_connections). Try again; if it " +
				"lasts, raise it, or find what holds them. " + noSlot},
		{Codes: []string{"1203"}, Kind: rotator.KindTooManyConnections, Retry: dial.RetryYes, OfAccount: true,
			Accepted: true,
			Text: "no free connection: the user has all that max_user_connections gives it. Try again; if it lasts, " +
				"raise it, or MAX_USER_CONNECTIONS of {user}. " + noSlot},
		{Codes: []string{"1226"}, Says: []string{"max_user_connections"},
			Kind: rotator.KindTooManyConnections, Public: true, Retry: dial.RetryYes,
			OfAccount: true, Accepted: true,
			Text: "no free connection: {user} has a limit of its own. Try again; if it lasts, end what holds them, " +
				"or {fix}, or with a higher one. " + noSlot,
			Before: []rotator.Fix{{By: rotator.ByAdministrator, For: "to see what holds its connections",
				Run: "SELECT ID, HOST, DB, COMMAND, TIME, STATE FROM information_schema.PROCESSLIST WHERE USER = " +
					typedUser,
				Note: "one that nothing needs, KILL its id ends: then the limit need not be raised"},
				{By: rotator.ByAdministrator, For: "to see which account has the limit",
					Run: "SELECT Host, max_user_connections FROM mysql.user WHERE User = " + typedUser,
					Note: "an account with 0 has none, and what comes next would give it one: run that for one that " +
						"has"}},
			Fix: raiseLimit + twice, For: "if it lasts, and clients need all of these", Note: itsHost,
			Lines: []rotator.Fix{putBack(raiseLimit)}},
		hourly("max_questions", "MAX_QUERIES_PER_HOUR", "max_questions", "max_queries_per_hour"),
		hourly("max_updates", "MAX_UPDATES_PER_HOUR", "max_updates"),
		hourly("max_connections", "MAX_CONNECTIONS_PER_HOUR", "max_connections_per_hour"),
		{Codes: []string{"1021", "1037", "1041", "1114", "1135"}, Kind: rotator.KindInternal, Early: true,
			Text: "the server is out of disk, memory or threads: free some. Nothing was changed by this statement"},
		{Codes: []string{"1153"}, Kind: rotator.KindMisconfigured,
			Text: "a statement was larger than the server takes: raise max_allowed_packet (1 MB is enough)"},
		{Codes: []string{"1470"}, Kind: rotator.KindMisconfigured,
			Text: "the name is longer than this server takes (MySQL 32 characters, MariaDB 128, until 10.5 80): use " +
				"a shorter one"},

		// Privileges.
		{Codes: []string{"1044"}, Kind: rotator.KindPrivilege, Public: true, Text: "{remedy}"},
		{Codes: []string{"1045"}, Kind: rotator.KindPrivilege, Public: true,
			Text: "{remedy}. The user may lack the right to pass privileges on: it needs them WITH GRANT " +
				"OPTION on *.*"},
		{Codes: []string{"1142", "1227", "1698"}, Kind: rotator.KindPrivilege, Public: true, Text: "{remedy}"},
		{Codes: []string{"1143", "1370", "1403", "1959", "3530"}, Kind: rotator.KindPrivilege, Text: "{remedy}"},

		// Accounts.
		{Codes: []string{"1396"}, From: mariaDB, Kind: rotator.KindNotFound, Public: true,
			Text: "a plugin refused the password (where SHOW WARNINGS, right after the statement, has 1819: drop " +
				"nothing, and use a password that it takes), or " + noAccountNow + notInMemory},
		{Codes: []string{"1396"}, Kind: rotator.KindNotFound, Public: true, Text: noAccountNow + changedByHand},
		{Codes: []string{"1133", "3523"}, From: mariaDB, Kind: rotator.KindNotFound, Text: noRoleNow + notInMemory},
		{Codes: []string{"1133", "1410", "3523"}, Kind: rotator.KindNotFound, Text: noRoleNow + changedByHand},
		{Codes: []string{"1141", "1147"}, Kind: rotator.KindConflict, Retry: dial.RetryYes,
			Text: "a privilege that was to be revoked is gone already: another session changes the same accounts. " +
				"Try again"},
		{Codes: []string{"1054", "1146"}, Kind: rotator.KindMisconfigured, Retry: dial.RetryPerhaps, Public: true,
			Text: "the server has no such table or column. Where it is that of a privilege which the clone is to " +
				"have, and was dropped for good, REVOKE that privilege from the original; if not, create it and " +
				"try again"},
		{Codes: []string{"1699", "3894"}, Kind: rotator.KindMisconfigured, Public: true, Text: noPassword},
		{Codes: []string{"3879"}, Kind: rotator.KindMisconfigured, Text: noPassword},
		{Codes: []string{"1524"}, Kind: rotator.KindMisconfigured, Public: true,
			Text: "the authentication plugin that the account has, or is to have, is not loaded on this server: " +
				"INSTALL PLUGIN, or " + toEither},
		{Codes: []string{"4058"}, Kind: rotator.KindMisconfigured, Public: true,
			Text: "the server's authentication_policy does not permit the plugin that the account has, or is to " +
				"have, or demands further factors: ALTER USER it to log in by the plugin that " +
				"SELECT @@authentication_policy names, or, as an administrator, SET GLOBAL authentication_policy"},
		{Codes: []string{"1372", "1390", "1827"}, Kind: rotator.KindMisconfigured,
			Text: "the server takes hashes of another kind for this account: rotate through a superuser, or " +
				toEither},

		{Codes: []string{"1449"}, From: mariaDB, Kind: rotator.KindMisconfigured, Public: true,
			Text: "what defines a view is dropped. Where the message names mariadb.sys, by which mysql.user is read: " +
				"{fix}, and GRANT it what it needs",
			Fix: "CREATE USER `mariadb.sys`@`localhost` ACCOUNT LOCK PASSWORD EXPIRE",
			Lines: []rotator.Fix{{By: rotator.ByAdministrator,
				Run: "GRANT SELECT, DELETE ON `mysql`.`global_priv` TO `mariadb.sys`@`localhost`"}}},

		// The new password, and the one in use.
		{Codes: []string{"3638"}, Kind: rotator.KindPasswordPolicy, Public: true, Text: reused},
		{Codes: []string{"1819"}, Says: []string{reuseCheck}, Kind: rotator.KindPasswordPolicy,
			Public: true, Text: reused},
		{Codes: []string{"1819"}, Kind: rotator.KindPasswordPolicy, Public: true, Text: policy},
		{Codes: []string{"4165"}, Kind: rotator.KindPasswordPolicy, Text: policy},
		{Codes: []string{"1290"}, Says: []string{"strict-password-validation"}, Kind: rotator.KindPasswordPolicy,
			Public: true,
			Text: "MariaDB takes no hashes where a plugin has to see passwords (strict_password_validation): " +
				"{fix}, or " +
				"uninstall the plugin",
			Fix: "SET GLOBAL strict_password_validation = OFF"},
		{Codes: []string{"3892"}, Kind: rotator.KindConflict, Public: true,
			Text: "the account must name its current password (PASSWORD REQUIRE CURRENT), and the one it logged in " +
				"with is not that: it was changed in the meantime, or it is a retained one. Rotate through a " +
				"superuser secret once"},
		{Codes: []string{"3891", "3893"}, Kind: rotator.KindConflict, Public: true, Retry: dial.RetryPerhaps,
			Text: "the current password is another than the one that was used to log in: it was changed in the " +
				"meantime. Try again; if the same comes back, ask for status"},
		{Codes: []string{"3878", "3895"}, Kind: rotator.KindMisconfigured, Public: true,
			Text: "the server keeps no empty password as the second one: set a password for the account first"},

		// Changes.
		{Codes: []string{"1290"}, Says: []string{"read-only", "read_only", "READ-ONLY", "READ_ONLY"},
			Kind: rotator.KindReadOnly, Public: true, Text: readOnly, Fix: writable, Note: onPrimary},
		{Codes: []string{"1290"}, Says: []string{"skip-grant"}, Kind: rotator.KindMisconfigured, Public: true,
			Text: "the server runs without its grant tables (skip-grant-tables), so that no password counts: restart " +
				"it without"},
		{Codes: []string{"1290"}, Kind: rotator.KindMisconfigured, Public: true,
			Text: "an option that the server runs with, and names below, forbids it: restart the server without"},
		{Codes: []string{"1792", "1836"}, Kind: rotator.KindReadOnly, Public: true, Text: readOnly, Fix: writable,
			Note: onPrimary},
		{Codes: []string{"1874"}, Kind: rotator.KindReadOnly, Text: readOnly, Fix: writable, Note: onPrimary},
		{Codes: []string{"3100"}, Kind: rotator.KindReadOnly, Retry: dial.RetryPerhaps,
			Text: "group replication refused the change: the server is no primary, or not in its group now. Try " +
				"again after a failover; otherwise use the writer endpoint as host"},
		{Codes: []string{"1205"}, From: mariaDB, Kind: rotator.KindConflict, Public: true, Retry: dial.RetryYes,
			Text: locks + unlogged, Fix: holders, For: toSeeHolders, Note: holderNote},
		{Codes: []string{"1205", "1213"}, Kind: rotator.KindConflict, Public: true, Retry: dial.RetryYes,
			Text: locks, Fix: holders, For: toSeeHolders, Note: holderNote},
		{Codes: []string{"1206", "1412", "3572"}, Kind: rotator.KindConflict, Retry: dial.RetryYes, Text: locks,
			Fix: holders, For: toSeeHolders, Note: holderNote},

		// Outages.
		{Codes: []string{"1053", "1077", "1079", "3168", "3169"}, Kind: rotator.KindUnreachable, Early: true,
			Retry: dial.RetryYes,
			Text: "the server is starting, stopping or failing over, or an administrator ended the connection. Try " +
				"again when it is up"},
		{Codes: []string{"1152", "1158", "1159", "1160", "1161"}, Kind: rotator.KindUnreachable, Early: true,
			Retry: dial.RetryYes,
			Text: "the connection broke on the server's side: it is stopping or overloaded, or the network was cut. " +
				"Try again"},
		{Codes: []string{"1927", "4031"}, Kind: rotator.KindUnreachable, Retry: dial.RetryYes,
			Text: "the server ended the connection: it had been idle, or an administrator did. Try again"},
		{Codes: []string{"1047"}, Kind: rotator.KindUnreachable, Retry: dial.RetryYes,
			Text: "the server, a node of a Galera cluster, is not in sync with it. Try again when it is"},
		{Codes: []string{"9001", "9006"}, Kind: rotator.KindUnreachable, Early: true, Retry: dial.RetryPerhaps,
			Text: "a proxy in between (ProxySQL) reaches no database. Try again when that is up, or use the " +
				"database's own endpoint as host"},
		{Codes: []string{"1317", "1969", "3024"}, Kind: rotator.KindDeadline, Retry: dial.RetryYes, OfAccount: true,
			Text: endedStatement, Fix: holders, For: toSeeHolders, Note: holderNote},

		// SIGNAL, in a plugin or an audit filter.
		{Codes: []string{"1644", "SQLSTATE 45*"}, During: newPassword, Kind: rotator.KindPasswordPolicy,
			Text: "a plugin or filter of the server refused the new password: adapt the function's password " +
				"settings to it"},
	}
}

const (
	// What an account with an expired password is given: the password it has. MariaDB's ALTER USER would make
	// an account of ed25519 one of mysql_native_password.
	resetMySQL   = "ALTER USER {user}@`%` IDENTIFIED BY 'PASSWORD'"
	resetMariaDB = "SET PASSWORD FOR {user}@`%` = PASSWORD('PASSWORD')"
	history      = "error 3638: " + usedBefore
	historyMySQL = history + ". " + refusedMySQL
	setMySQL     = resetMySQL + ", " + typed + " (" + history + ")"
	setMariaDB   = resetMariaDB + ", " + typed
	expired      = "the password has expired, and the server answers nothing but a change of it: rotate-secret " +
		"makes one where the user changes itself (single user); otherwise, as a superuser, "
	expiredForAll = "the password has expired, and the server permits no login to change it " +
		"(disconnect_on_expired_password): as a superuser, "
	noCommon  = "the server and this function have no way of authentication in common for this account: "
	toEither  = "on MySQL " + toMySQL + ", and on MariaDB " + toMariaDB
	brokenOff = "the server has blocked the address of this function after too many broken connections: "
	thenRaise = ", and SET GLOBAL max_connect_errors = 10000. Then find what breaks connections off from " +
		"there: a health check, a scanner, or a secret to whose tlsServerName the certificate does not fit"

	noAccountNow = "the server knows no such account, or another session made or dropped it just now. Where " +
		"mysql.user has it: "
	noRoleNow = "the server knows no such account or role, or another session dropped it just now. Where mysql.user " +
		"has it: "
	notInMemory   = "its name was given a space at its end, which the tables do not keep, or " + changedByHand
	changedByHand = "the tables were changed by hand. FLUSH PRIVILEGES has the server read them, and makes it the " +
		"account; or DROP USER it"
	noPassword = "the account has no password in the server (auth_socket, unix_socket, PAM, LDAP or IAM), so that " +
		"there is none to change: stop rotating this secret, or give the account a password plugin"
	reused = "the user had this password before, and the server does not take it again (PASSWORD HISTORY or REUSE, " +
		"password_reuse_check): another was set since. The function's settings need no change"
	// asTheOther is of a user of the secret, as asItsUsers is of a superuser.
	asTheOther = "GRANT it all that it had, as the other user of a pair has it, for one alone lets it log in and no " +
		"more"
	asItsUsers = "GRANT it WITH GRANT OPTION what the users of this secret have there"
	policy     = "a password policy of the server refused the new password (validate_password, or a plugin " +
		"that the message names): adapt the function's password settings to it (SHOW GLOBAL " +
		"VARIABLES LIKE 'validate_password%' shows what it wants)"
	locks = "another session holds a lock on the server's accounts: a second rotation, a backup, or FLUSH " +
		"TABLES. Try again; if it lasts, {fix} shows whose session it may be, and KILL ends that"
	// Seen on 10.5 to 11.8: the lock is asked for after the change, to write that to the binary log, and
	// max_statement_time ends the wait.
	unlogged = ". Beside BACKUP STAGE BLOCK_COMMIT the change is made all the same and is not in the binary log: see " +
		"at each replica (SHOW CREATE USER, SHOW GRANTS) whether it has that, and make it there by hand if not"
	endedStatement = "the server ended the statement, which took too long, or an administrator did. Try again; if " +
		"it lasts, another session may hold a lock on the server's accounts, as a backup or FLUSH TABLES does: {fix} " +
		"shows whose it may be, and KILL ends that"
	toSeeHolders = "if it lasts, to see whose session holds the lock"
	holderNote   = "KILL its id ends a session; where a backup holds the lock, wait for its end"
	// Who holds a lock, both servers show by a plugin or an instrument alone, which may be off. Statements are left
	// out: they may hold passwords.
	holders = "SELECT ID, USER, HOST, COMMAND, TIME, STATE FROM information_schema.PROCESSLIST WHERE ID <> " +
		"CONNECTION_ID() AND COMMAND <> 'Daemon' ORDER BY TIME DESC"
)

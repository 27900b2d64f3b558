package localaws_test

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// brokenOnMySQL is tables D2 and D3 of what was found on real servers of MariaDB and
// MySQL, as far as they are states of a server and can be had on a throwaway one.
func brokenOnMySQL(server string) map[string]broken {
	longest := 30 // _clone makes it 36, and MySQL takes 32
	if strings.HasPrefix(server, "mariadb") {
		longest = 125
	}
	states := map[string]broken{
		// The way to the server.
		"closed port":           {with: "single", secret: func(t *testing.T, _ *world) []any { return []any{"port", dbserver.ClosedPort(t)} }, id: "T1", status: failed, kind: "unreachable", says: "refused the connection"},
		"silent port":           {with: "single", secret: func(t *testing.T, _ *world) []any { return []any{"port", silentPort(t)} }, id: "T1", status: failed, kind: "unreachable", says: "never greeted"},
		"unknown host":          {with: "single", secret: says("host", "db.invalid"), id: "T1", status: failed, kind: "unreachable", says: "does not resolve"},
		"another name":          {with: "single", secret: says("host", "localhost"), id: "T2", status: failed, kind: "tls", says: "is not for localhost"},
		"endpoint of RDS Proxy": {with: "single", secret: says("host", "app.proxy-abcdefghijkl.eu-west-1.rds.amazonaws.com"), id: "T3", status: failed, kind: "misconfigured", says: "Use the database endpoint"},

		// The login.
		"wrong password":        {with: "single", secret: func(_ *testing.T, w *world) []any { return []any{"password", w.canary()} }, id: "P2", status: failed, kind: "login rejected", says: "the password is wrong"},
		"no such user":          {with: "single", secret: says("username", "nobody_there"), id: "P2", status: failed, kind: "login rejected", says: "there is no account `nobody_there`"},
		"anonymous comes first": {with: "single", breaks: "CREATE USER ''@'127.0.0.1'", mends: "DROP USER ''@'127.0.0.1'", id: "P2", status: failed, kind: "login rejected", says: "an anonymous one perhaps"},
		"wants a certificate":   {with: "single", breaks: "ALTER USER 'app'@'%' REQUIRE X509", mends: "ALTER USER 'app'@'%' REQUIRE NONE", id: "P2", status: failed, kind: "login rejected", says: "demands a client certificate"},
		"locked":                {with: "single", breaks: "ALTER USER 'app'@'%' ACCOUNT LOCK", mends: "ALTER USER 'app'@'%' ACCOUNT UNLOCK", id: "P3", status: denied, kind: "insufficient privilege", says: "ALTER USER `app`@`%` ACCOUNT UNLOCK"},
		"no slot of the user":   {with: "single", breaks: "ALTER USER 'app'@'%' WITH MAX_USER_CONNECTIONS 1", mends: "ALTER USER 'app'@'%' WITH MAX_USER_CONNECTIONS 0", holdAsApp: "DO 1", id: "P1", status: failed, kind: "too many connections", says: "max_user_connections"},
		"no such database":      {with: "single", secret: says("dbname", "nowhere"), id: "P3", status: failed, kind: "misconfigured", says: "correct dbname"},
		"not its database":      {with: "single", breaks: "CREATE DATABASE closed", mends: "DROP DATABASE closed", secret: says("dbname", "closed"), id: "P3", status: failed, kind: "misconfigured", says: "SHOW GRANTS FOR `app`@`%`"},

		// The change.
		"read only":                       {with: "single", breaks: "SET GLOBAL read_only = ON", mends: "SET GLOBAL read_only = OFF", id: "P4", status: failed, kind: "read only", says: "writer endpoint"},
		"read only, alternating":          {with: "alternating", breaks: "SET GLOBAL read_only = ON", mends: "SET GLOBAL read_only = OFF", id: "P4", status: failed, kind: "read only", says: "writer endpoint"},
		"superuser sees no accounts":      {with: "superuser", breaks: "REVOKE SELECT ON mysql.* FROM 'boss'@'%'", mends: "GRANT SELECT ON mysql.* TO 'boss'@'%'", id: "P6", status: denied, kind: "insufficient privilege", says: "ON `mysql`.* TO `boss`@`%`"},
		"two accounts of a name":          {with: "superuser", breaks: "CREATE USER 'app'@'10.0.0.%' IDENTIFIED BY '%app'", mends: "DROP USER 'app'@'10.0.0.%'", id: "P8", status: granted, says: "all of them that are not locked get the same new password"},
		"locked, through the superuser":   {with: "superuser", breaks: "ALTER USER 'app'@'%' ACCOUNT LOCK", mends: "ALTER USER 'app'@'%' ACCOUNT UNLOCK", id: "P3", status: denied, kind: "insufficient privilege", says: "ALTER USER `app`@`%` ACCOUNT UNLOCK"},
		"superuser may not create users":  {with: "alternating", breaks: "REVOKE CREATE USER ON *.* FROM 'boss'@'%'", mends: "GRANT CREATE USER ON *.* TO 'boss'@'%'", id: "P7", status: denied, kind: "insufficient privilege", says: "GRANT CREATE USER ON *.* TO `boss`@`%`"},
		"superuser may not pass it on":    {with: "alternating", breaks: "REVOKE GRANT OPTION ON shop.* FROM 'boss'@'%'", mends: "GRANT SELECT, INSERT, CREATE, ALTER ON shop.* TO 'boss'@'%' WITH GRANT OPTION", id: "P7", status: denied, kind: "insufficient privilege", says: "WITH GRANT OPTION"},
		"superuser lacks a global right":  {with: "alternating", breaks: "GRANT PROCESS ON *.* TO 'app'@'%'", mends: "REVOKE PROCESS ON *.* FROM 'app'@'%'", id: "P7", status: denied, kind: "insufficient privilege", says: "PROCESS"},
		"superuser may not pass a role":   {with: "alternating", breaks: "CREATE ROLE shopkeeper; GRANT shopkeeper TO 'app'@'%'", mends: "DROP ROLE shopkeeper", id: "P7", status: denied, kind: "insufficient privilege", says: "WITH ADMIN OPTION"},
		"the superuser is locked":         {with: "alternating", breaks: "ALTER USER 'boss'@'%' ACCOUNT LOCK", mends: "ALTER USER 'boss'@'%' ACCOUNT UNLOCK", id: "P3", status: denied, kind: "insufficient privilege", says: "ALTER USER `boss`@`%` ACCOUNT UNLOCK"},
		"clone on another host beside it": {with: "alternating", breaks: "CREATE USER 'app_clone'@'10.0.0.%' IDENTIFIED BY '%app'", mends: "DROP USER 'app_clone'@'10.0.0.%'", id: "P10", status: denied, kind: "not entitled", says: `"rotates": ["app/app_clone"]`},

		// The secrets.
		"name too long for a clone": {with: "alternating", secret: says("username", strings.Repeat("n", longest)), id: "S9", status: failed, kind: "misconfigured", says: "alternateUsername"},
		"another engine":            {with: "single", secret: says("engine", "postgres"), id: "S9", status: failed, kind: "misconfigured", says: "this function rotates"},
		"no superuser secret":       {with: "alternating", secret: says("masterarn", ""), id: "S10", status: failed, kind: "misconfigured", says: "key masterarn is missing"},
		"superuser's wrong password": {with: "alternating", secret: func(_ *testing.T, w *world) []any {
			return []any{"masterarn", w.seed("stale", current(w.document("username", "boss", "password", w.canary())))}
		}, id: "P2", status: failed, kind: "login rejected", says: `user "boss"`},
	}
	withoutTLS := broken{with: "single", secret: says("ssl", false), id: "T2", status: failed, kind: "tls", says: `remove "ssl": false`}
	if strings.HasPrefix(server, "mariadb-10") { // it says no more than that it denies access
		withoutTLS = broken{with: "single", secret: says("ssl", false), id: "P2", status: failed, kind: "login rejected", says: `demands TLS (remove "ssl": false)`}
	}
	add := func(name string, b broken) { states[name] = b }
	twin := broken{with: "single", breaks: "CREATE USER 'app'@'localhost' IDENTIFIED BY '%app'", mends: "DROP USER 'app'@'localhost'", id: "P6", status: failed, kind: "misconfigured", says: "SINGLE_USER_THROUGH_SUPERUSER=true"}
	if strings.HasPrefix(server, "mariadb") { // it shows a user its other accounts if the user may read the tables
		twin.breaks += "; GRANT SELECT ON mysql.* TO 'app'@'%'"
		twin.mends += "; REVOKE SELECT ON mysql.* FROM 'app'@'%'"
	}
	add("an account that it cannot change", twin)
	add("TLS is turned off", withoutTLS)
	if strings.HasPrefix(server, "mariadb") {
		add("logs in by unix_socket", broken{with: "single", breaks: "ALTER USER 'app'@'%' IDENTIFIED VIA unix_socket", mends: "ALTER USER 'app'@'%' IDENTIFIED BY '%app'", id: "P2", status: failed, kind: "login rejected", says: "unix_socket"})
		add("superuser may not set passwords", broken{with: "superuser", breaks: "REVOKE UPDATE ON mysql.* FROM 'boss'@'%'", mends: "GRANT UPDATE ON mysql.* TO 'boss'@'%'", id: "P6", status: denied, kind: "insufficient privilege", says: "GRANT SELECT, UPDATE ON `mysql`.* TO `boss`@`%`"})
		return states
	}
	add("superuser may not alter users", broken{with: "superuser", breaks: "REVOKE CREATE USER ON *.* FROM 'boss'@'%'", mends: "GRANT CREATE USER ON *.* TO 'boss'@'%'", id: "P6", status: denied, kind: "insufficient privilege", says: "GRANT CREATE USER ON *.* TO `boss`@`%`"})
	add("app is a system user", broken{with: "superuser", breaks: "GRANT SYSTEM_USER ON *.* TO 'app'@'%'", mends: "REVOKE SYSTEM_USER ON *.* FROM 'app'@'%'", id: "P6", status: denied, kind: "insufficient privilege", says: "SYSTEM_USER"})
	add("app is a system user, its clone not", broken{with: "alternating", breaks: "GRANT SYSTEM_USER ON *.* TO 'app'@'%'", mends: "REVOKE SYSTEM_USER ON *.* FROM 'app'@'%'", id: "P10", status: denied, kind: "not entitled", says: "a rotation gives that to no account"})
	add("may not keep two passwords", broken{with: "dual", breaks: "REVOKE APPLICATION_PASSWORD_ADMIN ON *.* FROM 'app'@'%'", mends: "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO 'app'@'%'", id: "P6", status: denied, kind: "insufficient privilege", says: "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO `app`@`%`"})
	add("a policy that the settings do not meet", broken{with: "single", breaks: "INSTALL COMPONENT 'file://component_validate_password'; SET GLOBAL validate_password.length = 60", mends: "UNINSTALL COMPONENT 'file://component_validate_password'", id: "P5", status: failed, kind: "password policy", says: "password settings"})
	add("blocked after failed logins", broken{with: "single", breaks: "ALTER USER 'app'@'%' FAILED_LOGIN_ATTEMPTS 1 PASSWORD_LOCK_TIME 1", mends: "ALTER USER 'app'@'%' ACCOUNT UNLOCK FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0", secret: spoilOneLogin, id: "P3", status: denied, kind: "insufficient privilege", says: "FAILED_LOGIN_ATTEMPTS"})
	return states
}

// spoilOneLogin tries a wrong password.
func spoilOneLogin(t *testing.T, w *world) []any {
	if w.accepts(account{Username: "app", Password: w.canary()}) {
		t.Error("a wrong password is accepted")
	}
	return nil
}

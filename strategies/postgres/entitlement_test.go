package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/internal/enginetest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// entitled is a state of the two roles of a pair, as an ordinary CREATEROLE role finds
// it, and what may come of a change. In the statements, O is the original, C the clone
// and G a group; those after M: are the superuser's, and those after T: a third role's.
type entitled struct {
	name  string
	since int // major; 0: all
	until int
	setUp string
	back  bool // the original's turn
	named bool // alternateUsername
	only  bool // the password alone

	bare       string // words of the refusal where nothing but the server speaks; "": it is entitled
	consented  string // the same with consent
	possessing string // the same with possession
}

const (
	never   = "has not"
	nothing = "nothing proves"
)

// T makes team, and the superuser its admin, as a role that can then do nothing more and that no role is a member of.
const (
	forged = "T: CREATE ROLE helper CREATEROLE; T: GRANT helper TO T; ALTER ROLE T SET role = helper; T: CREATE ROLE " +
		"maker CREATEROLE; T: GRANT maker TO T; ALTER ROLE T SET role = maker; T: CREATE ROLE team LOGIN; T: GRANT " +
		"team TO M WITH ADMIN OPTION"
	gone = "ALTER ROLE T SET role = helper; T: REVOKE maker FROM T; T: ALTER ROLE maker NOCREATEROLE; ALTER ROLE T " +
		"RESET role; T: DROP ROLE helper"
)

// whose is the table of states. The clone exists in all of them, and M may change its
// password, so that only the rule stands between the secret and the account.
var whose = []entitled{
	{name: "unrelated", setUp: "", bare: "is no member of"},
	{name: "unrelated, its original's turn", setUp: "", back: true, bare: "is no member of"},
	{name: "AWS's template", setUp: "M: GRANT O TO C"},
	{name: "AWS's template, the original's turn", setUp: "M: GRANT O TO C", back: true},
	{name: "the owner of what it made", setUp: "M: GRANT O TO C; CREATE TABLE table (); ALTER TABLE table OWNER TO C"},
	{name: "granted what the original owns", setUp: "M: GRANT O TO C; CREATE TABLE table (); ALTER TABLE table OWNER " +
		"TO O; GRANT SELECT ON table TO C"},
	{name: "granted what the original may use", setUp: "M: GRANT O TO C; CREATE TABLE table (); GRANT SELECT ON " +
		"table TO O; GRANT SELECT ON table TO C"},
	{name: "granted what a group of the original may use",
		setUp: "M: GRANT O TO C; GRANT G TO O; CREATE TABLE table (); GRANT SELECT ON table TO G; GRANT SELECT ON " +
			"table TO C"},
	{name: "granted a column of a table that the original may use",
		setUp: "M: GRANT O TO C; CREATE TABLE table (a int); GRANT SELECT ON table TO O; GRANT SELECT (a) ON " +
			"table TO C"},
	{name: "granted another column", setUp: "M: GRANT O TO C; CREATE TABLE table (a int, b int); GRANT SELECT (a) ON " +
		"table TO O; GRANT SELECT (b) ON table TO C", bare: "privileges on 1 objects"},
	{name: "granted more than the original", setUp: "M: GRANT O TO C; CREATE TABLE table (); GRANT SELECT ON " +
		"table TO C", bare: "privileges on 1 objects in database"},
	{name: "granted another privilege", setUp: "M: GRANT O TO C; CREATE TABLE table (); GRANT SELECT ON table TO O; " +
		"GRANT SELECT, UPDATE ON table TO C", bare: "privileges on 1 objects in database"},
	{name: "granted the same to pass on", setUp: "M: GRANT O TO C; CREATE TABLE table (); GRANT SELECT ON table TO " +
		"O; GRANT SELECT ON table TO C WITH GRANT OPTION", bare: "privileges on 1 objects in database"},
	{name: "granted less than the original may pass on", setUp: "M: GRANT O TO C; CREATE TABLE table (); GRANT " +
		"SELECT, INSERT ON table TO O WITH GRANT OPTION; GRANT SELECT ON table TO C"},
	{name: "granted what all may", setUp: "M: GRANT O TO C; CREATE TABLE table (); GRANT SELECT ON table TO PUBLIC; " +
		"GRANT INSERT ON table TO O; GRANT INSERT, SELECT ON table TO C"},
	{name: "granted another privilege on a column", setUp: "M: GRANT O TO C; CREATE TABLE table (a int); GRANT " +
		"SELECT ON table TO O; GRANT UPDATE (a) ON table TO C", bare: "privileges on 1 objects in database"},
	{name: "granted another privilege on a column that the original has one on", setUp: "M: GRANT O TO C; CREATE " +
		"TABLE table (a int); GRANT SELECT (a) ON table TO O; GRANT UPDATE (a) ON table TO C",
		bare: "privileges on 1 objects in database"},
	{name: "granted a whole table of which the original has a column", setUp: "M: GRANT O TO C; CREATE TABLE table " +
		"(a int); GRANT SELECT (a) ON table TO O; GRANT SELECT ON table TO C", bare: "privileges on 1 objects in database"},
	{name: "granted another privilege on a schema", setUp: "M: GRANT O TO C; CREATE SCHEMA table ; GRANT USAGE ON " +
		"SCHEMA table TO O; GRANT USAGE, CREATE ON SCHEMA table TO C", bare: "privileges on 1 objects in database"},
	{name: "granted the same on a schema", setUp: "M: GRANT O TO C; CREATE SCHEMA table ; GRANT USAGE ON SCHEMA " +
		"table TO O; GRANT USAGE ON SCHEMA table TO C"},
	{name: "granted another privilege by default", setUp: "M: GRANT O TO C; ALTER DEFAULT PRIVILEGES FOR ROLE G " +
		"GRANT SELECT ON TABLES TO O; ALTER DEFAULT PRIVILEGES FOR ROLE G GRANT UPDATE ON TABLES TO C",
		bare: "privileges on 1 objects in database"},
	{name: "granted another privilege on a database", setUp: "M: GRANT O TO C; GRANT CONNECT ON DATABASE template1 " +
		"TO O; GRANT CREATE ON DATABASE template1 TO C", bare: "privileges on 1 objects of the whole server"},
	{name: "granted the same on a database", setUp: "M: GRANT O TO C; GRANT CONNECT ON DATABASE template1 TO O; " +
		"GRANT CONNECT ON DATABASE template1 TO C"},
	{name: "granted another privilege on a large object", setUp: "M: GRANT O TO C; SELECT lo_create( LO ); GRANT " +
		"SELECT ON LARGE OBJECT LO TO O; GRANT SELECT, UPDATE ON LARGE OBJECT LO TO C",
		bare: "privileges on 1 objects in database"},
	{name: "granted the same on a large object", setUp: "M: GRANT O TO C; SELECT lo_create( LO ); GRANT SELECT ON " +
		"LARGE OBJECT LO TO O; GRANT SELECT ON LARGE OBJECT LO TO C"},
	{name: "granted the same on a language to pass on", setUp: "M: GRANT O TO C; GRANT USAGE ON LANGUAGE plpgsql TO " +
		"O; GRANT USAGE ON LANGUAGE plpgsql TO C WITH GRANT OPTION", bare: "privileges on 1 objects in database"},
	{name: "granted the same on a type to pass on", setUp: "M: GRANT O TO C; CREATE TYPE table AS (n int); GRANT " +
		"USAGE ON TYPE table TO O; GRANT USAGE ON TYPE table TO C WITH GRANT OPTION",
		bare: "privileges on 1 objects in database"},
	{name: "granted the same on a tablespace to pass on", setUp: "M: GRANT O TO C; GRANT CREATE ON TABLESPACE " +
		"pg_default TO O; GRANT CREATE ON TABLESPACE pg_default TO C WITH GRANT OPTION",
		bare: "privileges on 1 objects of the whole server"},
	{name: "granted a database of others", setUp: "M: GRANT O TO C; GRANT CREATE ON DATABASE template1 TO C",
		bare: "of the whole server"},
	{name: "in a group of its own", setUp: "M: GRANT O TO C; GRANT G TO C", bare: "membership in"},
	{name: "in a group of the original", setUp: "M: GRANT O TO C; GRANT G TO O; GRANT G TO C"},
	{name: "admin of a group of the original", setUp: "M: GRANT O TO C; GRANT G TO O; GRANT G TO C WITH ADMIN OPTION",
		bare: "with ADMIN OPTION"},
	{name: "admin of the original", setUp: "M: GRANT O TO C WITH ADMIN OPTION", bare: "with ADMIN OPTION"},
	{name: "more than the original: CREATEDB", setUp: "M: GRANT O TO C; ALTER ROLE C CREATEDB",
		bare: "the attribute CREATEDB", consented: never},
	{name: "more than the original: CREATEROLE", setUp: "M: GRANT O TO C; ALTER ROLE C CREATEROLE",
		bare: "the attribute CREATEROLE", consented: never},
	{name: "more than the original, and only the password", setUp: "M: GRANT O TO C; ALTER ROLE C CREATEROLE",
		only: true, bare: never, consented: never, possessing: never},
	{name: "no more than the original: CREATEDB", setUp: "M: GRANT O TO C; ALTER ROLE O CREATEDB; ALTER ROLE C " +
		"CREATEDB"},
	{name: "original with CREATEDB, clone of AWS's template", setUp: "M: GRANT O TO C; ALTER ROLE O CREATEDB",
		back: true},
	{name: "original with CREATEDB, unrelated clone", setUp: "ALTER ROLE O CREATEDB", back: true,
		bare: "nothing proves", consented: never},
	{name: "original of which the clone inherits alone", since: 16, setUp: "GRANT O TO C WITH INHERIT TRUE, SET FALSE",
		back: true, bare: "no member of"},
	{name: "original with CREATEROLE, of which the clone inherits alone", since: 16,
		setUp: "ALTER ROLE O CREATEROLE; GRANT O TO C WITH INHERIT TRUE, SET FALSE", back: true, bare: "nothing proves",
		consented: never},
	{name: "original with SUPERUSER, of which the clone inherits alone", since: 16,
		setUp: "ALTER ROLE O SUPERUSER; GRANT O TO C WITH INHERIT TRUE, SET FALSE", back: true, bare: never,
		consented: never, possessing: never},
	{name: "clone that inherits alone", since: 16, setUp: "GRANT O TO C WITH INHERIT TRUE, SET FALSE"},
	{name: "original in a predefined role, of which the clone has ADMIN OPTION alone", since: 16, setUp: "GRANT pg_monitor TO O; GRANT O TO C WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
		back: true, bare: "nothing proves", consented: never},
	{name: "in a predefined role", setUp: "M: GRANT O TO C; GRANT pg_read_all_settings TO C", bare: never,
		consented: never, possessing: never},
	{name: "in a predefined role through a group", setUp: "M: GRANT O TO C; GRANT pg_monitor TO G; GRANT G TO C",
		bare: never, consented: never, possessing: never},
	{name: "in a predefined role as its original",
		setUp: "M: GRANT O TO C; GRANT pg_monitor TO O; GRANT pg_monitor TO C"},
	{name: "in a group that may create roles", setUp: "M: GRANT O TO C; ALTER ROLE G CREATEROLE; GRANT G TO C",
		bare: never, consented: never, possessing: never},
	{name: "a pair that the secret names", setUp: "M: GRANT O TO C", named: true, only: true,
		bare: "alternateUsername is only a name"},
	{name: "a pair that the secret names, with more", setUp: "ALTER ROLE C CREATEDB", named: true, only: true,
		bare: never, consented: never, possessing: never},
	{name: "password alone, by membership", setUp: "M: GRANT O TO C", only: true},
	{name: "another role is a member", setUp: "GRANT C TO G", bare: "and so would have",
		possessing: "and so would have"},
	{name: "another role is a member, the original's turn", setUp: "GRANT C TO G", back: true,
		bare: "and so would have", possessing: "and so would have"},
	{name: "another role is a member, and only the password", setUp: "GRANT C TO G", only: true,
		bare: "is no member of"},
	{name: "another role is a member through a group", setUp: "GRANT C TO G; GRANT G TO T", until: 15,
		bare: "and so would have", possessing: "and so would have"},
	{name: "another role is a member, and of the original too", setUp: "GRANT C TO G; GRANT O TO G",
		bare: "is no member of"},
	{name: "another role is a member, and the clone may all already", setUp: "M: GRANT O TO C; GRANT C TO G"},
	{name: "another role is an admin, and the clone may all already",
		setUp: "M: GRANT O TO C; GRANT C TO G WITH ADMIN OPTION"},
	{name: "another role is a member, and the clone inherits nothing yet",
		setUp: "M: GRANT O TO C; ALTER ROLE C NOINHERIT; GRANT C TO G", until: 15, bare: "and so would have",
		possessing: "and so would have"},
	{name: "its own clone's clone", setUp: "M: GRANT C TO O", bare: "is no member of"},
	{name: "its own clone's clone, and another role is a member", setUp: "M: GRANT C TO O; GRANT C TO G",
		bare: "is no member of"},
	{name: "its own clone's clone that may create databases, and another role is a member",
		setUp: "M: GRANT C TO O; ALTER ROLE O CREATEDB; GRANT C TO G", bare: "and so would have",
		possessing: "and so would have"},
	{name: "its own clone's clone that may create databases, and another role inherits alone", since: 16,
		setUp: "M: GRANT C TO O; ALTER ROLE O CREATEDB; GRANT C TO G WITH INHERIT TRUE, SET FALSE",
		bare:  "is no member of"},

	// As of 16, memberships have options, and whoever creates a role is its admin.
	{name: "ADMIN OPTION alone", since: 16, setUp: "GRANT O TO C WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
		bare: "is no member of"},
	{name: "ADMIN OPTION alone, the original's turn", since: 16,
		setUp: "GRANT O TO C WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", back: true, bare: "is no member of"},
	{name: "in a group of which the original may nothing", since: 16, setUp: "M: GRANT O TO C; GRANT G TO O WITH " +
		"INHERIT FALSE, SET FALSE; GRANT G TO C", bare: "membership in"},
	{name: "in a group that the original may grant itself", since: 16, setUp: "M: GRANT O TO C; GRANT G TO O WITH " +
		"ADMIN TRUE, INHERIT FALSE, SET FALSE; GRANT G TO C"},
	{name: "granted what a group may of which the original may nothing", since: 16, setUp: "M: GRANT O TO C; GRANT G " +
		"TO O WITH INHERIT FALSE, SET FALSE; CREATE TABLE table (); GRANT SELECT ON table TO G; GRANT SELECT ON " +
		"table TO C", bare: "privileges on 1 objects"},
	{name: "in a group that may create roles, of which the original inherits alone", since: 16, setUp: "M: GRANT O " +
		"TO C; ALTER ROLE G CREATEROLE; GRANT G TO O WITH INHERIT TRUE, SET FALSE; GRANT G TO C", bare: never,
		consented: never, possessing: never},
	{name: "in a group of which both may nothing", since: 16, setUp: "M: GRANT O TO C; GRANT G TO O WITH INHERIT " +
		"FALSE, SET FALSE; GRANT G TO C WITH INHERIT FALSE, SET FALSE"},
	{name: "acting as a group of which the original inherits alone", since: 16, setUp: "M: GRANT O TO C; GRANT G TO " +
		"O WITH INHERIT TRUE, SET FALSE; GRANT G TO C", bare: "membership in"},
	{name: "original in a group that may create roles, which it inherits alone, the password only", since: 16,
		setUp: "M: GRANT O TO C; ALTER ROLE G CREATEROLE; GRANT G TO O WITH INHERIT TRUE, SET FALSE", back: true,
		only: true},
	{name: "SET alone", since: 16, setUp: "M: GRANT O TO C WITH INHERIT FALSE, SET TRUE"},
	{name: "INHERIT alone", since: 16, setUp: "M: GRANT O TO C WITH INHERIT TRUE, SET FALSE"},
	{name: "SET alone, and another role is a member", since: 16,
		setUp: "M: GRANT O TO C WITH INHERIT FALSE, SET TRUE; GRANT C TO G", bare: "and so would have",
		possessing: "and so would have"},
	{name: "another role is an admin", since: 16, setUp: "GRANT C TO G WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
		bare: "and so would have", possessing: "and so would have"},
	{name: "another role is an admin of both", since: 16, setUp: "GRANT O TO G WITH ADMIN TRUE, INHERIT FALSE, SET " +
		"FALSE; GRANT C TO G WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", bare: "is no member of"},
	{name: "another role is an admin of the clone, and may do nothing as an admin of the original", since: 16,
		setUp: "M: GRANT O TO C WITH INHERIT TRUE, SET FALSE; GRANT O TO G WITH ADMIN OPTION; GRANT G TO T WITH " +
			"INHERIT FALSE, SET FALSE; GRANT C TO T WITH ADMIN OPTION", bare: "and so would have",
		possessing: "and so would have"},
	{name: "another role is an admin of the clone, and inherits an admin of the original", since: 16,
		setUp: "M: GRANT O TO C WITH INHERIT TRUE, SET FALSE; GRANT O TO G WITH ADMIN OPTION; GRANT G TO T WITH " +
			"INHERIT TRUE, SET FALSE; GRANT C TO T WITH ADMIN OPTION"},
	{name: "another role has neither option", since: 16, setUp: "GRANT C TO G WITH INHERIT FALSE, SET FALSE",
		bare: "is no member of"},
	{name: "granted by who may not set its password", since: 16,
		setUp: "GRANT O TO T WITH ADMIN OPTION; T: GRANT O TO C", bare: "may not set its password"},
	{name: "granted by who may set its password", since: 16,
		setUp: "GRANT O TO T WITH ADMIN OPTION; GRANT C TO T WITH ADMIN OPTION; T: GRANT O TO C"},
	{name: "granted by who may do nothing as an admin of the clone", since: 16,
		setUp: "GRANT O TO T WITH ADMIN OPTION; GRANT C TO G WITH ADMIN OPTION; GRANT G TO T WITH INHERIT FALSE, SET " +
			"FALSE; T: GRANT O TO C", bare: "may not set its password"},
	{name: "granted by an admin of the original who may create no roles", until: 15,
		setUp: "ALTER ROLE T NOCREATEROLE; GRANT O TO T WITH ADMIN OPTION; T: GRANT O TO C",
		bare:  "may not set its password"},
	{name: "granted by the original itself", until: 14, setUp: "O: GRANT O TO C", bare: "may not set its password"},
	{name: "granted by who may create roles", until: 15, setUp: "T: GRANT O TO C"},

	// T makes a role, and a superuser grants it for what it is; then it has the original's name, or the clone's.
	{name: "another's role by the original's name", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE O ; GRANT O TO C", bare: "may not set its password"},
	{name: "another's role, renamed to the original's name", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE team; GRANT team TO C; T: ALTER ROLE team RENAME TO O",
		bare:  "may not set its password"},
	{name: "the same, administered through a group", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE team; GRANT team TO C; T: GRANT team TO G WITH ADMIN " +
			"OPTION; T: ALTER ROLE team RENAME TO O", bare: "may not set its password"},
	{name: "the same, and who made it is dropped", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE helper CREATEROLE; T: GRANT helper TO T; ALTER ROLE T SET " +
			"role = helper; T: CREATE ROLE team; GRANT team TO C; T: ALTER ROLE team RENAME TO O; ALTER ROLE T RESET " +
			"role; T: DROP ROLE helper", bare: "may not set its password"},
	{name: "the same, and the clone is to act as another", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE helper CREATEROLE; T: GRANT helper TO T; ALTER ROLE T SET " +
			"role = helper; T: CREATE ROLE team; GRANT team TO C; ALTER ROLE C SET role = team; T: ALTER ROLE team " +
			"RENAME TO O; ALTER ROLE T RESET role; T: DROP ROLE helper", bare: "may not set its password"},
	{name: "made by who is dropped, and the clone acts as it", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE helper CREATEROLE; T: GRANT helper TO T; ALTER ROLE T SET " +
			"role = helper; T: CREATE ROLE O ; GRANT O TO C; ALTER ROLE C SET role = O ; ALTER ROLE T RESET role; T: " +
			"DROP ROLE helper"},
	{name: "renamed by who may set its password", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; GRANT C TO T WITH ADMIN OPTION; T: CREATE ROLE team; GRANT team TO C; T: " +
			"ALTER ROLE team RENAME TO O; GRANT O TO M WITH ADMIN OPTION"},
	{name: "renamed by who may act as one that inherits what sets its password", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; GRANT C TO G WITH ADMIN OPTION; CREATE ROLE helper; GRANT G TO helper " +
			"WITH INHERIT TRUE, SET FALSE; GRANT helper TO T WITH INHERIT FALSE, SET TRUE; T: CREATE ROLE team; " +
			"GRANT team TO C; T: ALTER ROLE team RENAME TO O; GRANT O TO M WITH ADMIN OPTION"},
	{name: "renamed by who inherits from one that may act as what sets its password", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; GRANT C TO G WITH ADMIN OPTION; CREATE ROLE helper; GRANT G TO helper " +
			"WITH INHERIT FALSE, SET TRUE; GRANT helper TO T WITH INHERIT TRUE, SET FALSE; T: CREATE ROLE team; " +
			"GRANT team TO C; T: ALTER ROLE team RENAME TO O; GRANT O TO M WITH ADMIN OPTION", bare: "may not set its password"},
	{name: "another's role by the clone's name, the original's turn", since: 16, back: true,
		setUp: "ALTER ROLE C RENAME TO old; T: CREATE ROLE team; GRANT O TO team; T: ALTER ROLE team RENAME TO C",
		bare:  "may not set its password"},
	{name: "another's role by the clone's name, who made the superuser its admin, the original's turn", since: 16,
		back: true, setUp: "ALTER ROLE C RENAME TO old; " + forged + "; GRANT O TO team; T: ALTER ROLE team RENAME " +
			"TO C; " + gone, bare: "may not set its password"},
	{name: "another's role by the original's name, who made the superuser its admin", since: 16,
		setUp: "ALTER ROLE O RENAME TO old; " + forged + "; GRANT team TO C; T: ALTER ROLE team RENAME TO O; " + gone,
		bare:  "may not set its password"},
	{name: "another's role by the original's name, which it granted, the original's turn", since: 16, back: true,
		setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE O LOGIN; T: GRANT O TO C; T: GRANT O TO M WITH ADMIN OPTION",
		bare:  "to which clients would move"},
	{name: "the same by who may set the clone's password", since: 16, back: true,
		setUp: "ALTER ROLE O RENAME TO old; GRANT C TO T WITH ADMIN OPTION; T: CREATE ROLE O LOGIN; T: GRANT O TO C; " +
			"T: GRANT O TO M WITH ADMIN OPTION"},
	{name: "another's role, granted by a superuser and renamed to the original's name, the original's turn", since: 16,
		back: true, setUp: "ALTER ROLE O RENAME TO old; T: CREATE ROLE team LOGIN; GRANT team TO C; T: GRANT team TO M " +
			"WITH ADMIN OPTION; T: ALTER ROLE team RENAME TO O", bare: "to which clients would move"},
	{name: "another's role by the original's name, of a clone with REPLICATION, the original's turn", until: 15,
		back: true, setUp: "ALTER ROLE O RENAME TO old; ALTER ROLE C REPLICATION; T: CREATE ROLE O LOGIN; T: GRANT O TO C",
		bare: "to which clients would move"},
	{name: "granted by a group that the superuser and another are in", since: 16,
		setUp: "GRANT O TO G WITH ADMIN OPTION; GRANT G TO M; GRANT G TO T; T: GRANT O TO C",
		bare:  "may not set its password"},
	{name: "granted by a group that the superuser is in", since: 16,
		setUp: "REVOKE O FROM M; GRANT O TO G WITH ADMIN OPTION; GRANT G TO M; M: GRANT O TO C"},
}

// TestStatusGivesOthersNothing: what status prints to give a clone its original's rights back, others who can act as the
// clone would have, too, and the preflight refuses the same change.
func TestStatusGivesOthersNothing(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for name, c := range map[string]struct {
			since int
			lost  string
		}{
			"no member": {0, "REVOKE %o FROM %c"},
			"SET FALSE": {16, "GRANT %o TO %c WITH SET FALSE, INHERIT TRUE"},
		} {
			if s.Major < c.since {
				continue
			}
			r := newRotation(t, s, "")
			r.turn(t, true)
			eve, _ := s.NewRole(t, "LOGIN")
			words := strings.NewReplacer("%o", quoteIdent(r.pair.Original), "%c", quoteIdent(r.pair.Clone))
			for _, grantor := range strings.Fields(s.ask(t, "SELECT coalesce(string_agg(DISTINCT grantor::regrole::text, "+
				"' '), '') FROM pg_auth_members WHERE member = $1::regrole", quoteIdent(r.pair.Clone))) {
				by := ""
				if s.Major >= 16 {
					by = " GRANTED BY " + grantor
				}
				s.run(t, words.Replace(c.lost)+by)
			}
			pair := r.pair
			err := engine().TestClone(t.Context(), r.clone, pair)
			t.Run(name, func(t *testing.T) {
				wants(t, err, rotator.KindPrivilege, "GRANT")
				s.run(t, words.Replace("GRANT %c TO "+eve))
				err := engine().TestClone(t.Context(), r.clone, pair)
				wants(t, err, rotator.KindPrivilege, eve, "Take that away")
				for _, fix := range rotator.FixesOf(err) {
					if strings.Contains(fix.Run, "GRANT") {
						t.Errorf("printed, and %s would have it, too: %s", eve, fix.Run)
					}
				}
				if name == "no member" {
					s.run(t, "REVOKE CONNECT ON DATABASE "+r.admin.Database+" FROM PUBLIC",
						words.Replace("GRANT CONNECT ON DATABASE "+r.admin.Database+" TO %o"))
					causes, err := engine().Explain(t.Context(), with(s.superuser(), func(l *strategies.Login) {
						l.Database = r.admin.Database
					}), r.clone)
					ok(t, err)
					if cause := causes[0]; !strings.Contains(cause.Text, "Take that away") ||
						strings.Contains(fmt.Sprint(cause.Fixes), "GRANT") {
						t.Errorf("%s would have it, too: %+v", eve, cause)
					}
					s.run(t, "GRANT CONNECT ON DATABASE "+r.admin.Database+" TO PUBLIC")
				}
				s.run(t, words.Replace("REVOKE %c FROM "+eve))
				wants(t, engine().TestClone(t.Context(), r.clone, pair), rotator.KindPrivilege, "GRANT")
			})
		}
	})
}

// TestReplicationProvesNothingUntil15: roles with CREATEROLE can rename a role with REPLICATION then
// and grant it, and not set its password, which takes a superuser.
func TestReplicationProvesNothingUntil15(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		if s.Major > 15 {
			t.Skip("as of PostgreSQL 16, it takes ADMIN OPTION to rename a role, and that is enough to set its password")
		}
		for name, back := range map[string]bool{"the clone's turn": false, "the original's turn": true} {
			mallory, pw := s.NewRole(t, "LOGIN CREATEROLE")
			standby, _ := s.NewRole(t, "REPLICATION")
			victim, _ := s.NewRole(t, "LOGIN REPLICATION")
			pair := strategies.Pair{Original: "team_" + victim, Clone: victim, Target: victim}
			if back {
				pair = strategies.Pair{Original: victim, Clone: "team_" + victim, Target: victim}
			}
			team := pair.InUse()
			ok(t, s.as(t, s.login(mallory, pw), "CREATE ROLE before", "GRANT "+standby+" TO before"))
			s.run(t, "GRANT "+strings.Replace(pair.Original, team, "before", 1)+" TO "+strings.Replace(pair.Clone, team,
				"before", 1))
			ok(t, s.as(t, s.login(mallory, pw), "ALTER ROLE before RENAME TO "+team))
			s.run(t, "ALTER ROLE "+mallory+" NOCREATEROLE") // which leaves no trace
			t.Run(name, func(t *testing.T) {
				wants(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()), rotator.KindNotEntitled,
					"until PostgreSQL 15")
			})
			pair.Consent = true
			ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, password()))
		}
	})
}

// TestPrivilegesInOtherDatabases: dependencies do not tell SELECT from UPDATE, and the secret says which database is
// looked at.
func TestPrivilegesInOtherDatabases(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		for name, grant := range map[string]string{
			"another privilege":       "GRANT SELECT ON %t TO %o; GRANT UPDATE ON %t TO %o_clone",
			"of the original's table": "ALTER TABLE %t OWNER TO %o; GRANT UPDATE ON %t TO %o_clone",
		} {
			r := newRotation(t, s, "")
			r.turn(t, true)
			r.turn(t, false)
			table := "table_" + r.pair.Original
			s.run(t, "CREATE TABLE "+table+" ()")
			s.run(t, strings.Split(strings.NewReplacer("%t", table, "%o", r.pair.Original).Replace(grant), "; ")...)
			pair := r.pair
			pair.Target = pair.Clone
			_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
			if name == "another privilege" {
				wants(t, err, rotator.KindNotEntitled, "privileges on 1 objects in database postgres")
				r.turn(t, true) // AWSPREVIOUS works
			} else {
				ok(t, err)
			}
		}
	})
}

// possessed stands for a secret that holds a password of the account.
func possessed(context.Context, func(secret.Password) bool) error { return nil }

// TestWhosePasswordMayBeSet goes through the table as a role like RDS's master user,
// which may read no pg_authid, with each of the proofs that a strategy can bring. Each
// server has some two hundred states, which take half a minute: under the race detector each
// row has one of its proofs.
func TestWhosePasswordMayBeSet(t *testing.T) {
	tier.NotInCheck(t)
	step := tier.Stride(t, 3, 3)
	// between which it changed what proves something
	onThese(t, tier.Some(t, []int{13, 15, 16, 18}, 13, 18), func(t *testing.T, s server) {
		for i, c := range whose {
			if c.since > s.Major || c.until > 0 && c.until < s.Major {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				for j, refusal := range []string{c.bare, c.consented, c.possessing} {
					if (i+j)%step > 0 {
						continue
					}
					proof := []string{"server", "consent", "possession"}[j]
					name, pw := s.NewRole(t, "LOGIN")
					r := &rotation{s: s, admin: s.master(t, name),
						pair: strategies.Pair{Original: name, Clone: name + "_clone"}, original: s.login(name, pw)}
					r.state(t, c)
					pair := r.pair
					pair.Target, pair.Named, pair.PasswordOnly = pair.Clone, c.named, c.only
					if c.back {
						pair.Target = pair.Original
					}
					pair.Consent = proof == "consent"
					if proof == "possession" {
						pair.Possession = possessed
					}
					t.Run(proof, func(t *testing.T) {
						census := func() string { return s.everything(t, pair.Original+"%") }
						enginetest.Entitled(t, engine(), r.admin, pair, password(), refusal, census)
					})
				}
			})
		}
	})
}

// state makes the clone, and runs the statements of a state.
func (r *rotation) state(t *testing.T, c entitled) {
	t.Helper()
	s := r.s
	group, _ := s.NewRole(t, "NOLOGIN")
	third, thirdPw := s.NewRole(t, "LOGIN CREATEROLE")
	s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'x'", quoteIdent(r.pair.Clone)))
	if s.Major >= 16 {
		s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", quoteIdent(r.pair.Clone), r.admin.User))
	}
	words := strings.NewReplacer(" O ", " "+r.pair.Original+" ", " C ", " "+r.pair.Clone+" ", " G ", " "+group+" ",
		" T ", " "+third+" ", " M ", " "+r.admin.User+" ", " old ", " old_"+third+" ", " team ", " team_"+third+" ",
		" helper ", " helper_"+third+" ", " maker ", " maker_"+third+" ",
		" LO ", fmt.Sprintf(" %d ", 100_000+rand.IntN(1_000_000_000)), " table ", " table_"+r.pair.Original+" ")
	for _, sql := range strings.Split(c.setUp, ";") {
		sql = strings.TrimSpace(sql)
		who, statement, found := strings.Cut(sql, ": ")
		if !found {
			statement = sql
		}
		if statement == "" {
			continue
		}
		statement = words.Replace(words.Replace(statement + " "))
		switch {
		case who == "M" && found && !strings.Contains(statement, group): // of which it is no admin
			r.mustAs(t, r.admin, statement)
		case who == "T" && found:
			r.mustAs(t, s.login(third, thirdPw), statement)
		case who == "O" && found:
			r.mustAs(t, r.original, statement)
		default:
			s.run(t, statement)
		}
	}
}

// TestAnAdminOfASuperuser: who made the two roles of a pair, and is an admin of both, could grant itself the original
// until that became a superuser. It is no way round the clone then.
func TestAnAdminOfASuperuser(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		if s.Major < 16 {
			t.Skip("until PostgreSQL 15 no clone of a superuser is made: TestTheLimitOfASuperuser")
		}
		r := newRotation(t, s, "")
		maker, pw := s.NewRole(t, "LOGIN CREATEROLE")
		o, c := quoteIdent(r.pair.Original), quoteIdent(r.pair.Clone)
		s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", o, maker))
		ok(t, s.as(t, s.login(maker, pw), "CREATE ROLE "+c+" LOGIN", "GRANT "+o+" TO "+c+" WITH INHERIT TRUE, SET FALSE"))
		pair := r.pair
		pair.Target, pair.Possession = pair.Clone, possessed
		_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		wants(t, err, rotator.KindPrivilege, "WITH ADMIN TRUE") // on the clone: it is entitled
		s.run(t, "ALTER ROLE "+o+" SUPERUSER")
		admin := with(s.superuser(), func(l *strategies.Login) { l.Database = r.admin.Database })
		_, err = engine().DryRunEnsureClone(t.Context(), admin, pair, password())
		wants(t, err, rotator.KindNotEntitled, maker+`", which can act as role`, "and so would have")
		// A REVOKE leaves sessions, and what was made as the clone: each line runs.
		var shown []string
		for _, fix := range rotator.FixesOf(err) {
			if strings.HasPrefix(fix.Run, trusted) {
				shown = append(shown, fix.Run)
				s.run(t, strings.Split(fix.Run, "; ")...)
			}
		}
		if len(shown) != 2 || !strings.Contains(shown[0], quoteLiteral(maker)) || !strings.Contains(shown[1], "pg_shdepend") {
			t.Errorf("shown of what a REVOKE leaves: %q", shown)
		}
	})
}

// TestOwnSuperuser: neither the superuser's own role, nor the one that it acts as.
func TestOwnSuperuser(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, _ := s.NewRole(t, "LOGIN")
		acts, _ := s.NewRole(t, "LOGIN CREATEROLE")
		boss := s.master(t, app)
		s.run(t, fmt.Sprintf("GRANT %s TO %s", acts, boss.User), fmt.Sprintf("ALTER ROLE %s SET role = '%s'",
			boss.User, acts))
		if s.Major >= 16 {
			s.run(t, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", app, acts),
				fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", acts, boss.User))
		}
		everything := func() string { return s.everything(t, boss.User) + s.everything(t, acts) + s.everything(t, app) }
		before := everything()
		for _, target := range []string{boss.User, acts} {
			pair := strategies.Pair{Original: app, Clone: target, Target: target, PasswordOnly: true, Consent: true,
				Possession: possessed}
			wants(t, engine().EnsureClone(t.Context(), boss, pair, password()), rotator.KindNotEntitled, "acts as")
			pair.PasswordOnly = false
			wants(t, engine().EnsureClone(t.Context(), boss, pair, password()), rotator.KindNotEntitled, "acts as")
		}
		wants(t, engine().SetPassword(t.Context(), boss, acts, password()), rotator.KindNotEntitled, "acts as")
		if everything() != before {
			t.Error("a refused call changed something")
		}
	})
}

// TestSuperuserThatActsAsAnother: what a superuser lacks is said of the role that it acts as, and why that one counts.
func TestSuperuserThatActsAsAnother(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		acts, _ := s.NewRole(t, "LOGIN")
		boss := s.master(t, r.pair.Original) // who may all that is needed
		s.run(t, fmt.Sprintf("GRANT %s TO %s", acts, boss.User))
		pair := r.pair
		pair.Target = pair.Clone
		for _, in := range []string{"", ` IN DATABASE "postgres"`} {
			alter := "ALTER ROLE " + quoteIdent(boss.User) + in
			s.run(t, fmt.Sprintf("%s SET role = '%s'", alter, acts))
			_, err := engine().DryRunEnsureClone(t.Context(), boss, pair, password())
			wants(t, err, rotator.KindPrivilege, "by the setting role", alter+" RESET role")
			first := rotator.FixesOf(err)[0] // gives no one more
			if !strings.HasPrefix(first.For, "if ") || first.Run != alter+" RESET role" {
				t.Errorf("to be run: %+v", first)
			}
			for _, f := range rotator.FixesOf(err)[1:] { // one of the two is enough
				if !strings.HasPrefix(f.For, "in place of RESET role, with all lines that say so") ||
					!strings.Contains(f.For, acts) {
					t.Errorf("to be run, after %q: %+v", first.Run, f)
				}
			}
			if n := len(rotator.FixesOf(err)); s.Major >= 16 && n != 3 {
				t.Errorf("%d lines", n)
			}
			s.run(t, alter+" RESET role")
			_, err = engine().DryRunEnsureClone(t.Context(), boss, pair, password())
			ok(t, err)
		}
	})
}

// TestCreatedByItsOriginal: as of PostgreSQL 16, an original that creates its clone by
// itself holds ADMIN OPTION on it, and the clone cannot become its member. The REVOKE
// that the error names mends that.
func TestCreatedByItsOriginal(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		if s.Major < 16 {
			t.Skip("until PostgreSQL 15, whoever creates a role becomes no admin of it")
		}
		r := newRotation(t, s, "CREATEROLE")
		r.mustAs(t, r.original, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'x'", r.pair.Clone),
			"CREATE TABLE mine (id int)",
			fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", r.pair.Clone, r.admin.User))
		pair := r.pair
		pair.Target = pair.Clone
		revoke := fmt.Sprintf("REVOKE %q FROM %q GRANTED BY %q CASCADE; GRANT %[1]q TO %[4]q WITH ADMIN TRUE, INHERIT TRUE, SET TRUE",
			pair.Clone, pair.Original, s.Superuser, r.admin.User)
		wants(t, engine().EnsureClone(t.Context(), r.admin, pair, password()), rotator.KindNotEntitled, revoke)
		pair.Consent = true
		before := s.everything(t, pair.Original+"%")
		_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		wants(t, err, rotator.KindMisconfigured, revoke)
		wants(t, engine().EnsureClone(t.Context(), r.admin, pair, password()), rotator.KindMisconfigured, revoke)
		if s.everything(t, pair.Original+"%") != before {
			t.Error("a refused call changed something")
		}
		// Clients that an earlier build has brought to such a clone are taken back.
		pair.Target, pair.Possession = pair.Original, possessed
		warnings, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		ok(t, err)
		if len(warnings) != 1 || !strings.Contains(warnings[0].Text, revoke) {
			t.Errorf("warnings: %v", warnings)
		}
		s.run(t, strings.Split(revoke, ";")...)
		r.clone.Password = s.login("", "x").Password
		r.turn(t, true)
		r.mustAs(t, r.clone, "SELECT * FROM mine")
	})
}

// A user logs in to a database whose owner may have put functions of its own before the
// system's. None of them is called, by whichever session.
func TestNoFunctionOfTheDatabasesOwnerIsCalled(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		db := s.NewDatabase(t, app)
		in := func(l strategies.Login) strategies.Login {
			return with(l, func(l *strategies.Login) { l.Database = db })
		}
		own := in(s.login(app, pw))
		sql := []string{"CREATE SCHEMA evil", "GRANT USAGE ON SCHEMA evil TO PUBLIC",
			"CREATE TABLE evil.called (what text)", "GRANT ALL ON evil.called TO PUBLIC"}
		for _, f := range []string{"pg_backend_pid() RETURNS int", "current_setting(text) RETURNS text",
			"current_setting(text, bool) RETURNS text", "set_config(text, text, bool) RETURNS text",
			"inet_server_port() RETURNS int", "pg_has_role(name, text) RETURNS bool",
			"pg_has_role(name, oid, text) RETURNS bool", "has_column_privilege(text, text, text) RETURNS bool",
			"pg_try_advisory_xact_lock(bigint) RETURNS bool", "to_regrole(text) RETURNS regrole",
			"now() RETURNS timestamptz", "quote_ident(text) RETURNS text", "pg_has_role(oid, oid, text) RETURNS bool",
			"pg_has_role(regrole, regrole, text) RETURNS bool", "same(name, text) RETURNS bool"} {
			name, _, _ := strings.Cut(f, "(")
			sql = append(sql, fmt.Sprintf("CREATE FUNCTION evil.%s LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "+
				"evil.called VALUES ('%s'); RETURN NULL; END $$", f, name))
		}
		sql = append(sql, "CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.same)",
			"ALTER DATABASE "+quoteIdent(db)+" SET search_path = evil, pg_catalog")
		ok(t, s.as(t, own, sql...))
		pair := strategies.Pair{Original: app, Clone: app + "_clone", Target: app + "_clone"}
		boss := in(s.master(t, app))
		ok(t, engine().Ping(t.Context(), own))
		_, err := engine().DryRunSetPassword(t.Context(), own, app, password())
		ok(t, err)
		_, err = engine().DryRunEnsureClone(t.Context(), boss, pair, password())
		ok(t, err)
		p := password()
		ok(t, engine().EnsureClone(t.Context(), boss, pair, p))
		ok(t, engine().SetPassword(t.Context(), boss, app, password()))
		clone := in(s.login(pair.Clone, p.Reveal()))
		_, err = engine().TestUse(t.Context(), clone)
		ok(t, err)
		ok(t, engine().TestClone(t.Context(), clone, pair))
		ok(t, s.as(t, boss, fmt.Sprintf("REVOKE %s FROM %s", app, pair.Clone)))
		wants(t, engine().TestClone(t.Context(), clone, pair), rotator.KindPrivilege, "no member")
		conn, err := s.Connect(t.Context(), s.Superuser, s.Password, db)
		ok(t, err)
		defer conn.Close(context.Background())
		var called []string
		ok(t, conn.QueryRow(t.Context(), "SELECT pg_catalog.array_agg(what) FROM evil.called").Scan(&called))
		if called != nil {
			t.Errorf("functions of the database's owner were called: %q", called)
		}
	})
}

// heldLogin begins a login by SCRAM as a role that a role with CREATEROLE makes and then drops, and holds it before its
// proof. end lets it go on, and says whose session it became.
func (s server) heldLogin(t *testing.T, name string) (end func() (user string, err error)) {
	t.Helper()
	mallory, pw := s.NewRole(t, "LOGIN CREATEROLE")
	by, p := s.login(mallory, pw), password()
	ok(t, s.as(t, by, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", quoteIdent(name), p.Reveal())))
	config, err := blankConfig()
	ok(t, err)
	config.Host, config.Port, config.Database = s.Host, uint16(s.Port), "postgres"
	config.User, config.Password = name, p.Reveal()
	paused := enginetest.NewPause(3) // after the user's name, and what SCRAM begins with
	config.DialFunc = paused.Dial
	type session struct {
		user string
		err  error
	}
	ended := make(chan session, 1)
	go func() {
		conn, err := pgconn.ConnectConfig(t.Context(), config)
		if err != nil {
			ended <- session{"", err}
			return
		}
		defer conn.Close(context.Background())
		who := conn.ExecParams(t.Context(), "SELECT session_user", nil, nil, nil, nil).Read()
		ended <- session{string(who.Rows[0][0]), who.Err}
	}()
	<-paused.Reached
	ok(t, s.as(t, by, "DROP ROLE "+quoteIdent(name)))
	return func() (string, error) {
		close(paused.Resume)
		as := <-ended
		return as.user, as.err
	}
}

// TestNoRotationGivesReplication to a clone that is there: who can set its password begins a login that ends as the
// clone after the rotation, or sets it then.
func TestNoRotationGivesReplication(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		r.turn(t, true)
		r.turn(t, false)
		pair := r.pair
		pair.Target = pair.Clone
		s.run(t, "ALTER ROLE "+quoteIdent(pair.Original)+" REPLICATION", "ALTER ROLE "+r.admin.User+" SUPERUSER")
		has := func() string {
			return s.ask(t, "SELECT rolreplication::text FROM pg_roles WHERE rolname = $1", pair.Clone)
		}
		before := s.everything(t, pair.Original+"%")
		_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		wants(t, err, rotator.KindPrivilege, "so no rotation gives it", "which makes it anew")
		refused := engine().EnsureClone(t.Context(), r.admin, pair, password())
		wants(t, refused, rotator.KindPrivilege, "so no rotation gives it")
		if s.everything(t, pair.Original+"%") != before {
			t.Error("a refused call changed something")
		}
		for _, fix := range rotator.FixesOf(err) {
			s.run(t, fix.Run)
		}
		if left := s.ask(t, "SELECT count(*)::text FROM pg_auth_members WHERE member = $1::regrole",
			quoteIdent(pair.Clone+"_old")); left != "0" {
			t.Errorf("memberships of the old one: %s", left)
		}
		r.turn(t, true)
		if has() != "true" {
			t.Error("the clone is without REPLICATION")
		}
		r.turn(t, false)
		r.turn(t, true)
	})
}

// TestASessionWithinAFunctionOfAClone acts as that after its maker's membership was taken away, and is another's.
func TestASessionWithinAFunctionOfAClone(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		pair := r.pair
		pair.Target = pair.Clone
		clone := quoteIdent(pair.Clone)
		maker, makerPw := s.NewRole(t, "LOGIN")
		zed, pw := s.NewRole(t, "LOGIN")
		dropped, itsPw := s.NewRole(t, "LOGIN")
		of, err := s.Connect(t.Context(), dropped, itsPw, "postgres") // and has no name any more
		ok(t, err)
		defer of.Close(context.Background())
		s.run(t, "DROP ROLE "+dropped, "CREATE ROLE "+clone+" LOGIN PASSWORD 'known'", "GRANT "+clone+" TO "+maker,
			"CREATE SCHEMA "+zed, "GRANT ALL ON SCHEMA "+zed+" TO "+clone, "GRANT USAGE ON SCHEMA "+zed+" TO "+zed)
		ok(t, s.as(t, s.login(pair.Clone, "known"), "CREATE FUNCTION "+zed+".acts() RETURNS void LANGUAGE sql SECURITY "+
			"DEFINER AS 'SELECT pg_sleep(3600)'"))
		within, err := s.Connect(t.Context(), zed, pw, "postgres")
		ok(t, err)
		member, err := s.Connect(t.Context(), maker, makerPw, "postgres")
		ok(t, err)
		defer member.Close(context.Background())
		ctx, end := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); within.Exec(ctx, "SELECT "+zed+".acts()") }()
		defer func() { end(); <-done }()
		pid := strconv.Itoa(int(within.PgConn().PID()))
		s.until(t, "SELECT coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = "+pid, "PgSleep")
		if s.Major >= 16 {
			s.run(t, "GRANT "+clone+" TO "+r.admin.User+" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
		}
		_, err = engine().DryRunEnsureClone(t.Context(), r.admin, pair, password())
		wants(t, err, rotator.KindNotEntitled, maker, "Take that away")
		s.run(t, "REVOKE "+clone+" FROM "+maker)
		aside := ""
		shown := false
		for _, f := range rotator.FixesOf(err) {
			if query, is := strings.CutPrefix(f.Run, trusted); is && strings.Contains(query, "pg_stat_activity") {
				shown = s.ask(t, "SELECT string_agg(pid::text, ' ') FROM ("+query+") AS s WHERE pid = "+pid) == pid
				if first := s.ask(t, "SELECT usename FROM ("+query+") AS s LIMIT 1"); first != maker {
					t.Errorf("the first session is of %s, not of a role that could act as the clone", first)
				}
			}
			if strings.Contains(f.Run, "pg_shdepend") && !strings.Contains(f.Note, "pg_default_acl") {
				t.Errorf("nothing is said of default privileges: %s", f.Note)
			}
			if strings.Contains(f.Run, " RENAME TO ") {
				aside = f.Run
			}
		}
		if !shown || aside == "" {
			t.Fatalf("the session is shown: %t, and the clone is put aside by %q: %v", shown, aside,
				rotator.FixesOf(err))
		}
		s.run(t, aside)
		r.turn(t, true)
		if has := s.ask(t, "SELECT pg_has_role($1, $2, 'MEMBER')::text", pair.Clone+"_old", pair.Original); has != "false" {
			t.Error("the earlier clone has what the original may")
		}
	})
}

// TestLoginsThatBeganBefore: a login that began before its role was dropped is let in by the password of that time, as
// the role that has the name when it ends. The clone is nobody's before these have ended.
func TestLoginsThatBeganBefore(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		r := newRotation(t, s, "")
		pair, p, done := r.pair, password(), make(chan error, 1)
		pair.Target = pair.Clone
		end := s.heldLogin(t, pair.Clone)
		s.run(t, "ALTER ROLE "+pair.Original+" CREATEDB CONNECTION LIMIT 7")
		_, err := engine().DryRunEnsureClone(t.Context(), r.admin, pair, p) // which does not wait
		ok(t, err)
		go func() { done <- engine().EnsureClone(t.Context(), r.admin, pair, p) }()
		for s.ask(t, "SELECT count(*)::text FROM pg_stat_activity WHERE usename = $1 AND query LIKE '%pg_sleep%'",
			r.admin.User) == "0" {
			select {
			case err := <-done:
				user, login := end()
				t.Fatalf("done (%v), and the login goes on, as %q (%v)", err, user, login)
			default:
			}
		}
		s.run(t, "ALTER ROLE "+pair.Original+" NOCREATEDB CONNECTION LIMIT 8")
		if user, err := end(); err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("the login ended as %q: %v", user, err)
		}
		ok(t, <-done)
		r.clone.Password = p
		ok(t, engine().Ping(t.Context(), r.clone))
		if got, want := r.attributes(t, pair.Clone), r.attributes(t, pair.Original); got != want {
			t.Errorf("attributes of the clone: %s; of its original, which changed while it was waited: %s", got, want)
		}
		r.turn(t, false)
		r.turn(t, true)
	})
}

// TestLoginsThatDoNotEnd: where there is no time to wait until the server ends one, nothing is changed; and what goes
// on for longer than a login may has its user already.
func TestLoginsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{})}
	r := newRotation(t, s, "")
	pair := r.pair
	pair.Target = pair.Clone
	s.heldLogin(t, pair.Clone)
	before := s.everything(t, pair.Original+"%")
	short, cancel := context.WithTimeout(t.Context(), 12*time.Second) // of which 10 are for what comes after
	defer cancel()
	wants(t, engine().EnsureClone(short, r.admin, pair, password()), rotator.KindDeadline, "began before",
		"authentication_timeout (1min)", "changed nothing")
	if s.everything(t, pair.Original+"%") != before {
		t.Error("a refused call changed something")
	}

	s = server{dbserver.NewPostgres(t, dbserver.Options{Conf: map[string]string{"authentication_timeout": "1s"}})}
	r = newRotation(t, s, "")
	s.heldLogin(t, r.pair.Clone)
	r.turn(t, true)

	r = newRotation(t, s, "")
	locked := s.NewDatabase(t, r.pair.Original)
	admin, err := s.Admin(t.Context(), "postgres")
	ok(t, err)
	defer admin.Close(context.Background())
	_, err = admin.PgConn().Exec(t.Context(), "BEGIN; ALTER DATABASE "+locked+" RENAME TO renamed_"+locked).ReadAll()
	ok(t, err)
	waiting := make(chan error, 1)
	go func() {
		waiting <- engine().Ping(t.Context(), with(r.original, func(l *strategies.Login) { l.Database = locked }))
	}()
	s.until(t, "SELECT (count(*) > 0)::text FROM pg_locks WHERE NOT granted", "true")
	r.turn(t, true)
	_, err = admin.PgConn().Exec(t.Context(), "ROLLBACK").ReadAll()
	ok(t, err)
	ok(t, <-waiting)
}

// TestARoleThatIsAnotherByNow: what a login or the server has shown of a role counts for no other that has its name by
// the time of the change. Until PostgreSQL 15, CREATEROLE gives roles with REPLICATION other names, and may not set
// their passwords; and a login at a replica may be that of a role that is gone.
func TestARoleThatIsAnotherByNow(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		app, pw := s.NewRole(t, "LOGIN")
		clone, clonePw := app+"_clone", "x"
		s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", clone, clonePw))
		victim, _ := s.NewRole(t, "LOGIN REPLICATION")
		mallory, malloryPw := s.NewRole(t, "LOGIN CREATEROLE")
		rename := func(names ...string) []string {
			var all []string
			for i := range len(names) - 1 {
				all = append(all, fmt.Sprintf("ALTER ROLE %s RENAME TO %s", names[i+1], names[i]))
			}
			return all
		}
		swap := func(name string, back bool) {
			names := []string{name + "_aside", name, victim}
			if back {
				names = []string{victim, name, name + "_aside"}
			}
			if s.Major <= 15 {
				ok(t, s.as(t, s.login(mallory, malloryPw), rename(names...)...))
			} else {
				s.run(t, rename(names...)...)
			}
		}
		pair := strategies.Pair{Original: app, Clone: clone, Target: clone}
		everything := func() string { return s.everything(t, app+"%") + s.everything(t, victim) }
		for name, c := range map[string]struct {
			target  string
			between func(seen map[string]string) strategies.Pair
		}{
			"while possession is proved": {clone, func(map[string]string) strategies.Pair {
				p := pair
				p.Possession = func(context.Context, func(secret.Password) bool) error {
					swap(clone, false)
					return nil
				}
				return p
			}},
			"after the login of the target": {clone, func(seen map[string]string) strategies.Pair {
				p := pair
				p.Possession = possessed
				seen[clone], _ = engine().Observe(t.Context(), s.login(clone, clonePw))
				swap(clone, false)
				return p
			}},
			"after the login of the user in use": {app, func(seen map[string]string) strategies.Pair {
				p := pair
				p.Consent = true
				seen[app], _ = engine().Observe(t.Context(), s.login(app, pw))
				swap(app, false)
				return p
			}},
			"within the login of the only user": {app, func(seen map[string]string) strategies.Pair {
				shown, _ := engine().Observe(t.Context(), s.login(app, pw))
				swap(app, false)
				_, how, _ := strings.Cut(shown, " ") // of its password, and the session is the other's
				seen[app] = s.ask(t, "SELECT oid::text FROM pg_roles WHERE rolname = $1", app) + " " + how
				return strategies.Pair{}
			}},
			"after the login of the only user": {app, func(seen map[string]string) strategies.Pair {
				seen[app], _ = engine().Observe(t.Context(), s.login(app, pw))
				swap(app, false)
				return strategies.Pair{}
			}},
		} {
			before := everything()
			holding := &strategies.Holding{Seen: map[string]string{}}
			boss := with(s.superuser(), func(l *strategies.Login) { l.For = holding })
			p := c.between(holding.Seen)
			var err error
			if p.Target == "" {
				err = engine().SetPassword(t.Context(), boss, app, password())
			} else {
				err = engine().EnsureClone(t.Context(), boss, p, password())
			}
			swap(c.target, true)
			t.Run(name, func(t *testing.T) {
				wants(t, err, rotator.KindConflict, "is another", "This attempt changed nothing")
				if everything() != before {
					t.Error("a refused call changed something")
				}
			})
		}
	})
}

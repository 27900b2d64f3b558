package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// checkEntitled asks whether the password of pair.Target, a role that exists, may be
// set, and shows the strategy what every role may read: pg_roles, pg_auth_members and
// pg_shdepend.
//
// Provenance is a membership of the clone in the original, with INHERIT or SET: ADMIN
// OPTION alone is what PostgreSQL 16 gives to the creator of a role. It counts if
// the grantor could have set the password just as well, since to grant a role
// to another role takes a right on the former alone. (A superuser is a member of every
// role, so that its membership in the one that granted says nothing.) And the clone may hold nothing
// that the original lacks: attributes, memberships, privileges on objects. What it owns
// does not count, for clones that AWS's templates made own what they created.
// Dependencies do not tell one privilege on an object from another.
func (s *session) checkEntitled(ctx context.Context, pair strategies.Pair) error {
	evidence := s.seen.evidence
	evidence.Acting = s.roles[pair.Target].actingRole || pair.Target == s.login.User
	return pair.CheckEntitled(ctx, evidence)
}

// lookUpEvidence asks for what readEvidence reads.
func (s *session) lookUpEvidence(pair strategies.Pair) statement {
	// With ADMIN OPTION, a role can give itself the rest.
	effective, canSet := "true", "true"
	if s.major() >= 16 {
		effective = "(a.inherit_option OR a.set_option)"
		canSet = "pg_has_role(g.oid, n.oid, 'MEMBER WITH ADMIN OPTION')"
	}
	sql := `WITH RECURSIVE roles AS (SELECT oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles),
n AS (SELECT * FROM roles WHERE rolname = $1),
u AS (SELECT * FROM roles WHERE rolname = $2),
me AS (SELECT * FROM roles WHERE rolname = current_user),
original AS (SELECT * FROM roles WHERE rolname = $3),
clone AS (SELECT * FROM roles WHERE rolname = $4),
attributes AS (
  SELECT v.word, bool_or(v.has AND r.oid = n.oid) AS own
  FROM n, u, roles r, LATERAL (VALUES ('SUPERUSER', r.rolsuper), ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb),
    ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls)) v(word, has)
  GROUP BY v.word HAVING NOT bool_or(v.has AND pg_has_role(u.oid, r.oid, 'MEMBER'))),
model(id) AS (SELECT oid FROM original UNION SELECT a.roleid FROM pg_auth_members a JOIN model ON a.member = model.id)
SELECT 'attribute', word FROM attributes WHERE own
UNION ALL SELECT 'administrative role', r.rolname FROM n, u, roles r
  WHERE NOT n.rolsuper AND r.oid NOT IN (n.oid, u.oid) AND pg_has_role(n.oid, r.oid, 'MEMBER') AND NOT pg_has_role(u.oid, r.oid, 'MEMBER')
  AND (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
    OR r.rolname <> 'pg_database_owner' AND r.rolname ~ '^(pg_|rds_|rdsadmin|cloudsql|azure_|alloydb)')
UNION ALL SELECT CASE WHEN ` + effective + ` AND g.oid NOT IN (original.oid, clone.oid) AND (g.rolsuper OR NOT me.rolsuper AND pg_has_role(me.oid, g.oid, 'MEMBER') OR g.rolcreaterole AND ` + canSet + `)
    THEN 'clone' WHEN ` + effective + ` THEN 'granted by' ELSE 'admin only' END, coalesce(g.rolname, 'a role that is gone')
  FROM n, me, original, clone, pg_auth_members a LEFT JOIN roles g ON g.oid = a.grantor WHERE a.roleid = original.oid AND a.member = clone.oid
UNION ALL SELECT 'more', 'membership in ' || r.rolname || CASE WHEN a.admin_option THEN ' with ADMIN OPTION' ELSE '' END
  FROM original o, clone, pg_auth_members a JOIN roles r ON r.oid = a.roleid
  WHERE a.member = clone.oid AND NOT o.rolsuper AND (a.roleid <> o.oid OR a.admin_option)
  AND NOT EXISTS (SELECT FROM pg_auth_members b JOIN model ON model.id = b.member WHERE b.roleid = a.roleid AND (b.admin_option OR NOT a.admin_option))
UNION ALL SELECT 'more', 'privileges on ' || count(*) || ' objects ' || coalesce('in database ' || b.datname, 'of the whole server')
  FROM original o, clone, pg_shdepend d LEFT JOIN pg_database b ON b.oid = d.dbid
  WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = clone.oid AND d.deptype IN ('a', 'i', 'r') AND NOT o.rolsuper
  AND NOT EXISTS (
    SELECT FROM pg_shdepend x WHERE x.dbid = d.dbid AND x.classid = d.classid AND x.objid = d.objid AND x.objsubid IN (0, d.objsubid)
    AND x.refclassid = d.refclassid AND x.refobjid IN (SELECT id FROM model) AND x.deptype IN (d.deptype, 'o'))
  GROUP BY b.datname
ORDER BY 1, 2`
	return statement{operation{action: "looking up whose role it is"}, sql, []string{pair.Target, pair.InUse(), pair.Original, pair.Clone}}
}

func readEvidence(pair strategies.Pair, rows [][]string, reversed membership) (seen strategies.Evidence) {
	toClone := pair.Target == pair.Clone
	var more, grantors []string
	clone := false
	for _, row := range rows {
		switch fact, detail := row[0], row[1]; {
		case fact == "attribute" && detail != "SUPERUSER" && !pair.PasswordOnly:
			// copyAttributes takes it from the clone; the original's is the clone's as well
			// once that is a member.
			seen.Synced = append(seen.Synced, "the attribute "+detail)
			more = append(more, "the attribute "+detail)
		case fact == "attribute":
			seen.Admin = append(seen.Admin, "the attribute "+detail)
		case fact == "administrative role" && !toClone && !pair.PasswordOnly:
			seen.Synced = append(seen.Synced, "membership in "+detail)
		case fact == "administrative role":
			seen.Admin = append(seen.Admin, "membership in "+detail)
		case fact == "clone":
			clone = true
		case fact == "granted by":
			grantors = append(grantors, detail)
		case fact == "more" && toClone:
			more = append(more, detail)
		}
	}
	switch {
	case !clone && grantors != nil:
		seen.NoProvenance = fmt.Sprintf("its membership was granted by %s, which may not set its password itself", strings.Join(grantors, ", "))
	case !clone:
		seen.NoProvenance = fmt.Sprintf("role %q is no member of %q with INHERIT or SET", pair.Clone, pair.Original)
		if reversed.is && !reversed.gives {
			seen.NoProvenance += "; " + adminOnly(pair, reversed.revoke)
		}
	case more != nil && toClone:
		seen.NoProvenance = fmt.Sprintf("role %q has what role %q lacks: %s", pair.Clone, pair.Original, strings.Join(more, ", "))
	}
	return seen
}

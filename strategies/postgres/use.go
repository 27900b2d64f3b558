package postgres

import "github.com/quarterturn-dev/quarterturn/rotator"

// asClients asks which schemas a session finds tables in that are named without one: before ownOperators sets others.
const asClients = "SELECT pg_catalog.current_schemas(false)::pg_catalog.text"

// setBy is the statement, up to SET, that has set a setting of this session: a row of pg_settings, beside r and d, the
// user's of pg_roles and the database's of pg_database.
const setBy = `CASE source WHEN 'database' THEN 'ALTER DATABASE ' || quote_ident(d.datname)
    WHEN 'user' THEN 'ALTER ROLE ' || quote_ident(r.rolname)
    WHEN 'database user' THEN 'ALTER ROLE ' || quote_ident(r.rolname) || ' IN DATABASE ' || quote_ident(d.datname)
    WHEN 'global' THEN 'ALTER ROLE ALL' ELSE '` + alterSystem + `' END`

// lookUpHindrances asks what else clients may fail by, a row for each: a limit of time under a tenth of a second, which
// is taken for seconds where it is set without a unit (a lock may be waited for no longer on purpose); a search_path
// that is set for the role, its database or all roles; a setting role by which the user may do nothing of what it may
// itself (a clone acts as its original, whatever that has lost); and schemas of which it may not use what it has
// privileges on, with the role that has these: itself, or one that it is a member of.
func lookUpHindrances() statement {
	const by = `CASE WHEN x.setrole = 0 AND x.setdatabase <> 0 THEN 'ALTER DATABASE ' || quote_ident(d.datname)
    ELSE 'ALTER ROLE ' || CASE WHEN x.setrole = 0 THEN 'ALL' ELSE quote_ident(r.rolname) END ||
    CASE WHEN x.setdatabase = 0 THEN '' ELSE ' IN DATABASE ' || quote_ident(d.datname) END END`
	const set = `pg_db_role_setting x, unnest(x.setconfig) v, pg_roles r, pg_database d, pg_roles u
  WHERE r.rolname = session_user AND d.datname = current_database() AND u.rolname = current_user
  AND x.setrole IN (0, r.oid) AND x.setdatabase IN (0, d.oid)`
	const first = ` ORDER BY x.setrole = 0, x.setdatabase = 0 LIMIT 1`
	sql := `WITH RECURSIVE m(id) AS (
  SELECT oid FROM pg_roles WHERE rolname = session_user
  UNION SELECT a.roleid FROM pg_auth_members a JOIN m ON a.member = m.id)
SELECT 'time', s.name, ` + setBy + `, s.setting FROM pg_settings s, pg_roles r, pg_database d
WHERE r.rolname = session_user AND d.datname = current_database() AND CASE WHEN s.name IN ('statement_timeout',
  'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')
  THEN s.setting::int BETWEEN 1 AND 99 ELSE false END
UNION ALL (SELECT 'path', 'search_path', ` + by + `, substr(v, 13) FROM ` + set + ` AND left(v, 12) = 'search_path='` +
		first + `)
UNION ALL (SELECT 'role', 'role', ` + by + `, u.rolname FROM ` + set + ` AND v = 'role=' || u.rolname AND u.oid <> r.oid
  AND u.rolname || '` + cloneSuffix + `' <> r.rolname AND ` + bare("u") + ` AND NOT (` + bare("r") + `)` + first + `)
UNION ALL (SELECT DISTINCT 'schema', n.nspname, g.rolname, current_database()::text
  FROM m JOIN pg_roles g ON g.oid = m.id JOIN pg_shdepend p ON p.refobjid = g.oid AND p.refclassid = 'pg_authid'::regclass
  AND p.classid = 'pg_class'::regclass AND p.deptype IN ('o', 'a')
  AND p.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  JOIN pg_class c ON c.oid = p.objid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE left(n.nspname, 3) <> 'pg_' AND NOT has_schema_privilege(session_user, n.oid, 'USAGE')
  AND NOT has_schema_privilege(n.oid, 'USAGE') AND NOT has_schema_privilege(g.oid, n.oid, 'USAGE') ORDER BY 2, 3 LIMIT 5)`
	return statement{operation{action: "asking what clients may fail by"}, sql, nil}
}

// notMeant begins what a line is for that ends what may be so on purpose.
const notMeant = "if that is not on purpose, "

// hindrance speaks of a row of lookUpHindrances. schemas are what asClients gave.
func (s *session) hindrance(row []string, schemas string) (says rotator.Sentence) {
	name, by, value := row[1], row[2], row[3]
	end := s.byAdministrator("%s RESET %s", by, name)
	end.For = notMeant + "to end it"
	end.Note = "what is set is lost: keep it (" + value + ")"
	switch row[0] {
	case "time":
		end.Note += "; a number without a unit is milliseconds"
		if by == alterSystem {
			return rotator.Sentencef("%s is %s ms for every user of the server, by postgresql.conf or %s SET (RDS: "+
				"the parameter group), and ends what clients do after that time", name, value, by)
		}
		return rotator.Sentencef("%s is %s ms for its clients, by %s SET %[1]s, and ends what they do after that "+
			"time. If that is not on purpose, have an administrator run: %[4]s", name, value, by, end)
	case "role":
		return rotator.Sentencef("its sessions act as role %q, by %s SET role, which may do nothing in this database "+
			"but connect (and what PUBLIC may), so that what it may do itself is of no use to clients. If that is not "+
			"on purpose, have an administrator run: %s", value, by, end)
	case "path":
		if schemas != "{}" || value == "" || value == `""` {
			return says
		}
		return rotator.Sentencef("none of the schemas in %s (%s), by %s SET %[1]s, is there and may be used by it, so "+
			"that clients find no table that they name without its schema. If that is not on purpose, have an "+
			"administrator run: %[4]s", name, value, by, end)
	}
	give := s.byAdministrator("GRANT USAGE ON SCHEMA %s TO %s", quoteIdent(name), quoteIdent(by))
	give.For, give.Note = notMeant+"to let it use them", "in database "+value
	return rotator.Sentencef("role %q has privileges in schema %q, and may use nothing there, for it has no USAGE on "+
		"that. If that is not on purpose, have an administrator run: %s", by, name, give)
}

// together is several sentences, and what they have people run.
func together(all []rotator.Sentence) (one rotator.Sentence) {
	for _, s := range all {
		if one.Text != "" && s.Text != "" {
			one.Text += "; "
		}
		one.Text += s.Text
		one.Fixes = append(one.Fixes, s.Fixes...)
	}
	return one
}

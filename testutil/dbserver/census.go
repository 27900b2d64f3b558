package dbserver

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// A census is everything that a server stores of all its accounts, as facts that
// package strategytest compares before and after a rotation: attributes, settings,
// memberships and grants, what an account owns, and digests of verifiers. What is the
// default is left out.

// postgresCensus is one query for all versions: columns that only some have are read by
// way of JSON. A setting that makes an account act as another counts as a membership.
// Dependencies are counted: pg_shdepend has one for each object that a role owns, or
// that has a privilege of it, in whatever database. No VALID UNTIL is the default, and
// infinity the only way back to it.
const postgresCensus = `
SELECT rolname, '' AS of, what, value FROM pg_authid r, LATERAL (
  VALUES ('account', 'yes'),
    ('login', CASE WHEN rolcanlogin THEN 'yes' END),
    ('superuser', CASE WHEN rolsuper THEN 'yes' END),
    ('createrole', CASE WHEN rolcreaterole THEN 'yes' END),
    ('createdb', CASE WHEN rolcreatedb THEN 'yes' END),
    ('replication', CASE WHEN rolreplication THEN 'yes' END),
    ('bypassrls', CASE WHEN rolbypassrls THEN 'yes' END),
    ('connection limit', CASE WHEN rolconnlimit <> -1 THEN rolconnlimit::text END),
    ('valid until', nullif(rolvaliduntil, 'infinity')::text),
    ('verifier', encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex')),
    ('strength', CASE WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN '2 SCRAM-SHA-256 ' || lpad(substring(rolpassword from '\$(\d+):'), 9, '0')
      WHEN rolpassword LIKE 'md5%' THEN '1 md5' END)
) f(what, value) WHERE value IS NOT NULL
UNION ALL
SELECT u.rolname, g.rolname, '', string_agg(concat_ws(' ', CASE WHEN admin_option THEN 'admin' END,
    CASE WHEN coalesce((to_jsonb(m)->>'inherit_option')::bool, u.rolinherit) THEN 'inherit' END,
    CASE WHEN coalesce((to_jsonb(m)->>'set_option')::bool, true) THEN 'set' END,
    'by ' || coalesce(b.rolname, '?')), '; ' ORDER BY b.rolname)
FROM pg_auth_members m JOIN pg_authid u ON u.oid = m.member JOIN pg_authid g ON g.oid = m.roleid LEFT JOIN pg_authid b ON b.oid = m.grantor GROUP BY 1, 2
UNION ALL
SELECT coalesce(u.rolname, ''), CASE WHEN g.rolname IS NOT NULL THEN g.rolname ELSE '' END,
  CASE WHEN g.rolname IS NOT NULL THEN ' and acts as it' ELSE 'setting ' || name END || coalesce(' in ' || d.datname, ''), value
FROM pg_db_role_setting s LEFT JOIN pg_authid u ON u.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase,
  unnest(s.setconfig) c, LATERAL (SELECT split_part(c, '=', 1), substring(c from position('=' in c) + 1)) p(name, value)
  LEFT JOIN pg_authid g ON name = 'role' AND g.rolname = value
UNION ALL
SELECT r.rolname, '', concat('has ', CASE deptype WHEN 'o' THEN 'owned objects' WHEN 'a' THEN 'privileges' ELSE 'dependencies ' || deptype::text END, ' in ',
  classid::regclass, ' of ', coalesce(d.datname, 'all databases')), count(*)::text
FROM pg_shdepend s JOIN pg_authid r ON r.oid = s.refobjid LEFT JOIN pg_database d ON d.oid = s.dbid
WHERE refclassid = 'pg_authid'::regclass AND classid <> 'pg_auth_members'::regclass GROUP BY 1, 3`

// Census takes it for PostgreSQL.
func (s *Server) Census(ctx context.Context) (facts map[string]string, err error) {
	conn, err := s.Admin(ctx, "postgres")
	if err != nil {
		return nil, fmt.Errorf("census: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, postgresCensus)
	if err != nil {
		return nil, fmt.Errorf("census: %w", err)
	}
	facts = map[string]string{}
	var user, of, what, value string
	_, err = pgx.ForEachRow(rows, []any{&user, &of, &what, &value}, func() error {
		if of != "" {
			what = census.MemberOf(of) + what
		}
		facts[census.Fact(user, what)] = value
		return nil
	})
	return facts, err
}

// mysqlTables are where MySQL and MariaDB keep accounts and what they may do, each with
// what of a row is the name of a fact, and not its value. A server has not all of them.
var mysqlTables = []struct {
	name       string
	user, host string   // columns of the account
	key        []string // what of a row tells it from others of the account
}{
	{"user", "User", "Host", nil}, // MySQL's; MariaDB has a view of that name
	{"global_priv", "User", "Host", nil},
	{"db", "User", "Host", []string{"Db"}},
	{"tables_priv", "User", "Host", []string{"Db", "Table_name"}},
	{"columns_priv", "User", "Host", []string{"Db", "Table_name", "Column_name"}},
	{"procs_priv", "User", "Host", []string{"Db", "Routine_type", "Routine_name"}},
	{"proxies_priv", "User", "Host", []string{"Proxied_user", "Proxied_host"}},
	{"global_grants", "USER", "HOST", []string{"PRIV"}},
	{"role_edges", "TO_USER", "TO_HOST", []string{"FROM_USER", "FROM_HOST"}},
	{"default_roles", "USER", "HOST", []string{"DEFAULT_ROLE_USER", "DEFAULT_ROLE_HOST"}},
	{"roles_mapping", "User", "Host", []string{"Role"}},
}

// Census takes it for MySQL and MariaDB. An account is a name and a host; the host is
// part of what a fact says.
func (s *MySQLServer) Census(ctx context.Context) (facts map[string]string, err error) {
	db, err := s.Admin(ctx)
	if err != nil {
		return nil, fmt.Errorf("census: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	facts = map[string]string{}
	for _, t := range mysqlTables {
		if t.name == "user" && s.MariaDB {
			continue
		}
		rows, err := mysqlRows(ctx, db, "SELECT * FROM mysql."+t.name)
		var missing *mysql.MySQLError
		switch {
		case errors.As(err, &missing) && missing.Number == 1146: // of the other kind of server
			continue
		case err != nil:
			return nil, fmt.Errorf("census: mysql.%s: %w", t.name, err)
		}
		for _, row := range rows {
			user, at := row[t.user], " at "+row[t.host]
			put := func(what, value string) { facts[census.Fact(user, what+at)] = value }
			switch t.name {
			case "user":
				mysqlAccount(row, put)
				continue
			case "global_priv":
				if err := mariaDBAccount(row["Priv"], put); err != nil {
					return nil, fmt.Errorf("census: mysql.global_priv: %w", err)
				}
				continue
			case "role_edges":
				put(census.MemberOf(row["FROM_USER"])+"@"+row["FROM_HOST"], adminOption(row["WITH_ADMIN_OPTION"]))
				continue
			case "roles_mapping":
				put(census.MemberOf(row["Role"]), adminOption(row["Admin_option"]))
				continue
			}
			var key, privileges []string
			for _, column := range slices.Sorted(maps.Keys(row)) {
				switch v := row[column]; {
				case slices.Contains([]string{t.user, t.host, "Timestamp", "Grantor"}, column), v == "", v == "N":
				case slices.Contains(t.key, column):
					key = append(key, v)
				case v == "Y":
					privileges = append(privileges, column)
				default:
					for _, one := range strings.Split(v, ",") { // a set
						privileges = append(privileges, column+" "+one)
					}
				}
			}
			what := t.name + " " + strings.Join(key, ".")
			put(what, "yes")
			for _, privilege := range privileges {
				put(what+" "+privilege, "yes")
			}
		}
	}
	return facts, nil
}

func adminOption(v string) string {
	if v == "Y" {
		return "admin"
	}
	return "yes"
}

// mysqlAccount is a row of MySQL's mysql.user.
func mysqlAccount(row map[string]string, put func(what, value string)) {
	put("account", "yes")
	for column, v := range row {
		switch column {
		case "User", "Host":
		case "authentication_string":
			put("verifier", mysqlDigest(v))
		case "password_last_changed", "password_expired":
			put("verifier "+column, v)
		case "User_attributes":
			var attributes map[string]json.RawMessage
			if json.Unmarshal([]byte(v), &attributes) != nil {
				break
			}
			for name, value := range attributes {
				var mark struct{ Quarterturn struct{ Clone_of string } }
				switch {
				case name == "additional_password":
					put("verifier kept", mysqlDigest(string(value)))
				case name == "metadata" && json.Unmarshal(value, &mark) == nil && mark.Quarterturn.Clone_of != "":
					put(census.MemberOf(mark.Quarterturn.Clone_of)+", by its mark,", "yes")
				default:
					put("attribute "+name, string(value))
				}
			}
		default:
			if v != "" && v != "N" && v != "0" {
				put(column, v)
			}
		}
	}
}

// mariaDBAccount is what MariaDB keeps of an account, as JSON.
func mariaDBAccount(priv string, put func(what, value string)) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(priv), &all); err != nil {
		return errors.New("a row is no JSON object") // it holds verifiers
	}
	put("account", "yes")
	for name, value := range all {
		switch name {
		case "authentication_string":
			put("verifier", mysqlDigest(string(value)))
		case "password_last_changed":
			put("verifier "+name, string(value))
		case "access": // a set of privileges
			var bits uint64
			if err := json.Unmarshal(value, &bits); err != nil {
				return errors.New("access is no number")
			}
			for i := range 64 {
				if bits&(1<<i) != 0 {
					put(fmt.Sprintf("access, bit %d", i), "yes")
				}
			}
		case "auth_or":
			var ways []struct {
				Plugin                string
				Authentication_string string
			}
			if err := json.Unmarshal(value, &ways); err != nil {
				return errors.New("auth_or is no list of objects")
			}
			for i, way := range ways {
				if way.Plugin != "" {
					put(fmt.Sprintf("plugin %d", i), way.Plugin)
				}
				if way.Authentication_string != "" {
					put(fmt.Sprintf("verifier %d", i), mysqlDigest(way.Authentication_string))
				}
			}
		default:
			if strings.Trim(string(value), `"0.`) != "" && string(value) != "false" {
				put(name, string(value))
			}
		}
	}
	return nil
}

func mysqlDigest(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return hex.EncodeToString(sum[:])
}

// mysqlRows is what a query answers, by column.
func mysqlRows(ctx context.Context, db *sql.DB, query string) (all []map[string]string, err error) {
	columns, rows, err := mysqlTable(ctx, db, query)
	for _, values := range rows {
		row := map[string]string{}
		for i, c := range columns {
			row[c] = values[i]
		}
		all = append(all, row)
	}
	return all, err
}

// mysqlTable is what a query answers; NULL is "".
func mysqlTable(ctx context.Context, db *sql.DB, query string) (columns []string, all [][]string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err = rows.Columns()
	if err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
		}
		all = append(all, row)
	}
	return columns, all, rows.Err()
}

// Rights lists what a role may do, asked by itself: its attributes and those of roles
// that it can become, the roles that it is or can be, and what these own and were
// granted. Of the roles of a pair, which can stand for each other, the names are left
// out. A superuser, or one who can become it, may do everything; and whoever has ADMIN
// OPTION on a role can become it by one GRANT.
func (s *Server) Rights(ctx context.Context, user, password string, pair ...string) (rights []string, err error) {
	conn, err := s.Connect(ctx, user, password, "postgres")
	if err != nil {
		return nil, errors.New("rights: login failed")
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	const query = `
WITH mine AS (
  SELECT r.oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
    pg_has_role(session_user, oid, $1) OR pg_has_role(session_user, oid, 'MEMBER WITH ADMIN OPTION') AS set
  FROM pg_roles r WHERE pg_has_role(session_user, oid, 'USAGE') OR pg_has_role(session_user, oid, $1) OR pg_has_role(session_user, oid, 'MEMBER WITH ADMIN OPTION'))
SELECT a FROM mine, LATERAL (VALUES ('superuser', rolsuper), ('createrole', rolcreaterole), ('createdb', rolcreatedb),
  ('replication', rolreplication), ('bypassrls', rolbypassrls)) x(a, has) WHERE has AND set
UNION SELECT 'role ' || rolname FROM mine WHERE rolname <> ALL ($2)
UNION SELECT concat_ws(' ', 'object', s.dbid, s.classid, s.objid, s.objsubid, CASE WHEN deptype = 'o' THEN 'owner ' || rolname ELSE deptype::text END)
FROM pg_shdepend s JOIN mine ON mine.oid = s.refobjid WHERE refclassid = 'pg_authid'::regclass
  AND classid <> 'pg_auth_members'::regclass AND NOT EXISTS (SELECT FROM mine WHERE rolsuper AND set)
UNION SELECT concat_ws(' ', 'object', c.oid, privilege_type, option)
FROM pg_class c, aclexplode(relacl), (VALUES (NULL), ('WITH GRANT OPTION')) o(option)
WHERE grantee IN (SELECT oid FROM mine) AND (option IS NULL OR is_grantable) AND c.oid >= 16384
ORDER BY 1`
	become := "MEMBER"
	if s.Major >= 16 {
		become = "SET"
	}
	rows, err := conn.Query(ctx, query, become, pair)
	if err != nil {
		return nil, fmt.Errorf("rights: %w", err)
	}
	rights, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if slices.Contains(rights, "superuser") {
		rights = []string{"superuser"}
	}
	return rights, err
}

// Rights lists what an account may do, asked by itself: each privilege of SHOW GRANTS,
// with the roles that it has.
func (s *MySQLServer) Rights(ctx context.Context, user, password string) (rights []string, err error) {
	db, err := s.Connect(ctx, user, password, "")
	if err != nil {
		return nil, errors.New("rights: login failed")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	lines, err := texts(ctx, db, "SHOW GRANTS", 0)
	if err != nil {
		return nil, fmt.Errorf("rights: %w", err)
	}
	for _, line := range lines {
		grant, ok := strings.CutPrefix(line, "GRANT ")
		if !ok {
			continue // an exception, or a default role
		}
		what, to := cutLast(grant, " TO ")
		option := ""
		for _, o := range []string{"GRANT OPTION", "ADMIN OPTION"} {
			if strings.Contains(to, o) {
				option = " WITH " + o
			}
		}
		list, on := cutLast(what, " ON ")
		if list == "ALL PRIVILEGES" && on == "*.*" { // MariaDB's word for what MySQL lists
			all, err := texts(ctx, db, "SHOW PRIVILEGES", 0)
			if err != nil {
				return nil, fmt.Errorf("rights: %w", err)
			}
			list += ", " + strings.ToUpper(strings.Join(all, ", "))
		}
		for _, privilege := range splitOutside(list) {
			if privilege == "USAGE" {
				continue
			}
			if on != "" {
				privilege += " ON " + on
			} else {
				privilege = "role " + privilege
			}
			rights = append(rights, privilege)
			if option != "" {
				rights = append(rights, privilege+option)
			}
		}
	}
	slices.Sort(rights)
	return slices.Compact(rights), nil
}

func cutLast(s, sep string) (before, after string) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):]
	}
	return s, ""
}

// splitOutside splits at commas that are in no parentheses.
func splitOutside(s string) (parts []string) {
	depth, from := 0, 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts, from = append(parts, strings.TrimSpace(s[from:i])), i+1
			}
		}
	}
	return append(parts, strings.TrimSpace(s[from:]))
}

// ConnectFrom logs in as Connect does, from an address of this machine (127.0.0.2), as
// clients of other hosts do.
func (s *MySQLServer) ConnectFrom(ctx context.Context, from, user, password, database string) (*sql.DB, error) {
	config := s.config(user, password, database)
	config.TLS = s.tlsConfig()
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.DialFrom(ctx, from) }
	return session(ctx, config)
}

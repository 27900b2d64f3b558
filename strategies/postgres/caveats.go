package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// caveats says what of an account will work today and may surprise later.
func (s *session) caveats(ctx context.Context, user string) ([]string, error) {
	// pg_stat_activity shows everybody's name to everybody.
	const sql = `SELECT CASE WHEN isfinite(rolvaliduntil) AND rolvaliduntil < now() + interval '30 days' THEN
    to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') ELSE '' END,
  rolconnlimit >= 0 AND (SELECT count(*) FROM pg_stat_activity WHERE usename = r.rolname) >= rolconnlimit - 1,
  rolconnlimit, coalesce(inet_server_port(), 0)
FROM pg_roles r WHERE rolname = $1`
	rows, err := s.query(ctx, step{doing: "looking up what may surprise later"}, sql, user)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	var all []string
	until, crowded, limit, port := rows[0][0], rows[0][1], rows[0][2], rows[0][3]
	if until != "" {
		all = append(all, fmt.Sprintf("the VALID UNTIL of role %q ends at %s UTC, and no new password extends it: ALTER ROLE %s VALID UNTIL 'infinity'", user, until, quoteIdent(user)))
	}
	if crowded == "t" {
		all = append(all, fmt.Sprintf("role %q has nearly all of its %s connections in use, and testSecret needs one more: ALTER ROLE %s CONNECTION LIMIT with a higher number", user, limit, quoteIdent(user)))
	}
	if port != "0" && port != strconv.Itoa(s.as.Port) {
		all = append(all, fmt.Sprintf("the server listens on port %s, and this connection went to %d: a pooler in between that keeps passwords of its own (pgbouncer's auth_file) would refuse the new one. Then rotate on the database's own endpoint", port, s.as.Port))
	}
	return all, nil
}

// pairCaveats says in what the two users of a pair will differ.
func (s *session) pairCaveats(ctx context.Context, pair strategies.Pair) ([]string, error) {
	const sql = `SELECT EXISTS (
    SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
    WHERE r.rolname = $1 AND s.setdatabase = 0 AND c LIKE 'role=%' AND c NOT IN ('role=', 'role=none'))
  OR EXISTS (
    SELECT FROM pg_auth_members a JOIN pg_roles o ON o.oid = a.member JOIN pg_roles c ON c.oid = a.roleid
    WHERE o.rolname = $2 AND c.rolname = $1)`
	rows, err := s.query(ctx, step{doing: "looking up in what the two users differ"}, sql, pair.Clone, pair.Original)
	if err != nil || rows[0][0] == "t" {
		return nil, err
	}
	return []string{fmt.Sprintf("role %q owns objects or holds rights of its own, and so does not act as role %q: what it creates is out of reach of %q. While %q is the user in use, run REASSIGN OWNED BY %s TO %s and DROP OWNED BY %s in every database, and the next rotation does the rest",
		pair.Clone, pair.Original, pair.Original, pair.Original, quoteIdent(pair.Clone), quoteIdent(pair.Original), quoteIdent(pair.Clone))}, nil
}

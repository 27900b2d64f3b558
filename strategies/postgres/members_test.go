package postgres

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// The servers' own answers to the same questions are in TestRightsAreThoseOfTheServer.
func TestReach(t *testing.T) {
	all := edges{
		{member: "app_clone", role: "app", inherit: true},
		{member: "app_clone", role: "app", set: true, admin: true}, // by another grantor
		{member: "app", role: "group", set: true},
		{member: "group", role: "app_clone", admin: true}, // PostgreSQL refuses circles; this ends all the same
	}
	s := &session{roles: map[string]role{"boss": {superuser: true}}}
	for _, c := range []struct {
		of, what string
		want     bool
	}{
		{"app_clone", "app", true},    // by one membership or another
		{"app_clone", "group", false}, // SET ROLE alone
		{"app", "app_clone", false},   // ADMIN OPTION alone
		{"boss", "app", true},
	} {
		if got := s.hasRights(all, c.of, c.what); got != c.want {
			t.Errorf("%s has the rights of %s: %v", c.of, c.what, got)
		}
	}
	if m := s.membership(all, "app", "app_clone"); !m.is || m.gives || m.revoke != "" {
		t.Errorf("app is a member of app_clone by way of group: %+v", m)
	}
	if m := s.membership(all, "app_clone", "app"); !m.is || !m.gives || m.revoke != "" {
		t.Errorf("nothing is to be revoked that a role granted which is gone: %+v", m)
	}
}

// What memberships mean is found out here, and the server would say the same.
func TestRightsAreThoseOfTheServer(t *testing.T) {
	onEachMajor(t, func(t *testing.T, s server) {
		names := map[string]string{}
		for _, n := range []string{"a", "b", "c", "d"} {
			names[n], _ = s.NewRole(t, "LOGIN")
		}
		s.run(t, "ALTER ROLE "+names["b"]+" NOINHERIT",
			"GRANT "+names["b"]+" TO "+names["a"], "GRANT "+names["c"]+" TO "+names["b"], "GRANT "+names["d"]+" TO "+
				names["a"]+" WITH ADMIN OPTION")
		has := "pg_has_role($1::name, $2::name, 'USAGE')"
		if s.Major >= 16 {
			s.run(t, "GRANT "+names["d"]+" TO "+names["c"]+" WITH INHERIT FALSE, SET TRUE", "GRANT "+names["c"]+" TO "+
				names["a"]+" WITH INHERIT TRUE, SET FALSE")
			has += " AND pg_has_role($1::name, $2::name, 'SET')"
		}
		se, err := engine().openForChange(t.Context(), s.superuser(), true, names["a"])
		ok(t, err)
		defer se.close()
		for of, role := range names {
			for what, other := range names {
				if of == what {
					continue
				}
				pair := strategies.Pair{Original: other, Clone: role, Target: role}
				look := se.lookUpEdges(pair)
				rows, err := se.query(t.Context(), look.operation, look.sql, look.args...)
				ok(t, err)
				row, err := se.row(t.Context(), operation{action: "asking"},
					"SELECT "+has+", pg_has_role($1::name, $2::name, 'MEMBER')", role, other)
				ok(t, err)
				all := readEdges(rows)
				if got := se.hasRights(all, role, other); got != (row[0] == "t") {
					t.Errorf("%s has the rights of %s: %v, and the server says %s", of, what, got, row[0])
				}
				if got := se.membership(all, role, other).is; got != (row[1] == "t") {
					t.Errorf("%s is a member of %s: %v, and the server says %s", of, what, got, row[1])
				}
			}
		}
	})
}

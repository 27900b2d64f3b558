package dbserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// differences are the lines that a census has for some statements.
func differences(t *testing.T, before, after map[string]string) string {
	t.Helper()
	var all []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if before[key] != after[key] {
			all = append(all, key+": "+after[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[key]; !ok {
			all = append(all, key+": gone")
		}
	}
	return strings.Join(all, "\n")
}

// seesChange runs a statement, of which the census has to show the fact.
func seesChange(t *testing.T, s censused, sql, fact string) {
	t.Helper()
	before, err := s.Census(t.Context())
	done := s.Exec(t.Context(), sql)
	after, err2 := s.Census(t.Context())
	if err := errors.Join(err, done, err2); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if differs := differences(t, before, after); !strings.Contains(differs, fact) {
		t.Errorf("%s: want %s in:\n%s", sql, fact, differs)
	}
}

type censused interface {
	Exec(ctx context.Context, statements ...string) error
	Census(ctx context.Context) (map[string]string, error)
}

// TestPostgresCensus: each kind of thing that a server stores of a role is seen.
func TestPostgresCensus(t *testing.T) {
	for _, major := range []int{Majors()[0], Majors()[len(Majors())-1]} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			s := NewPostgres(t, Options{Major: major})
			if err := s.Exec(t.Context(), "CREATE ROLE a LOGIN PASSWORD 'one'", "CREATE ROLE b", "CREATE TABLE t (n int)"); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ sql, key string }{
				{"ALTER ROLE a PASSWORD 'two'", census.Fact("a", "verifier")},
				{"ALTER ROLE a CREATEDB", census.Fact("a", "createdb")},
				{"ALTER ROLE a CREATEROLE", census.Fact("a", "createrole")},
				{"ALTER ROLE a NOLOGIN", census.Fact("a", "login")},
				{"ALTER ROLE a CONNECTION LIMIT 3", census.Fact("a", "connection limit")},
				{"ALTER ROLE a VALID UNTIL '2040-01-01'", census.Fact("a", "valid until")},
				{"ALTER ROLE a SET work_mem = '1MB'", census.Fact("a", "setting work_mem")},
				{"ALTER ROLE a IN DATABASE postgres SET work_mem = '2MB'", census.Fact("a", "setting work_mem in postgres")},
				{"ALTER ROLE ALL SET work_mem = '3MB'", census.Fact("", "setting work_mem")},
				{"ALTER ROLE a SET role = 'b'", census.Fact("a", census.MemberOf("b")+" and acts as it")},
				{"GRANT b TO a", census.Fact("a", census.MemberOf("b"))},
				{"GRANT b TO a WITH ADMIN OPTION", census.Fact("a", census.MemberOf("b"))},
				{"ALTER TABLE t OWNER TO a", census.Fact("a", "has owned objects in pg_class of postgres")},
				{"GRANT SELECT ON t TO b", census.Fact("b", "has privileges in pg_class of postgres")},
				{"CREATE ROLE c", census.Fact("c", "account")},
				{"SET password_encryption = 'md5'; ALTER ROLE a PASSWORD 'three'", census.Fact("a", "strength")},
			} {
				seesChange(t, s, c.sql, c.key+": ")
			}
			before, err := s.Census(t.Context())
			done := s.Exec(t.Context(), "ALTER ROLE b VALID UNTIL 'infinity'")
			after, err2 := s.Census(t.Context())
			if err := errors.Join(err, done, err2); err != nil || !maps.Equal(before, after) {
				t.Errorf("to the end of time is as good as no end: %v, %s", err, differences(t, before, after))
			}
		})
	}
}

// TestMySQLCensus is the same for accounts of MySQL and MariaDB.
func TestMySQLCensus(t *testing.T) {
	for _, name := range []string{"mysql-9.7", "mariadb-11.8"} {
		t.Run(name, func(t *testing.T) {
			s := NewMySQL(t, MySQLOptions{Name: name})
			at := func(what string) string { return census.Fact("a", what+" at %") }
			role := at(census.MemberOf("r"))
			setDefault := "SET DEFAULT ROLE r FOR a@'%'"
			byDefault := at("default_role")
			locked := at("account_locked")
			if !s.MariaDB {
				role, setDefault, byDefault = at(census.MemberOf("r")+"@%"), "SET DEFAULT ROLE r TO a@'%'", at("default_roles %.r")
			}
			if err := s.Exec(t.Context(), "CREATE USER a@'%' IDENTIFIED BY 'Old-Password-1'", "CREATE ROLE r", "CREATE DATABASE d", "CREATE TABLE d.t (n int, m int)"); err != nil {
				t.Fatal(err)
			}
			cases := []struct{ sql, key string }{
				{"ALTER USER a@'%' IDENTIFIED BY 'New-Password-2'", at("verifier")},
				{"GRANT CREATE USER ON *.* TO a@'%'", at("Create_user_priv")},
				{"GRANT SELECT ON d.* TO a@'%'", at("db d Select_priv")},
				{"GRANT SELECT ON d.t TO a@'%'", at("tables_priv d.t Table_priv Select")},
				{"GRANT UPDATE (n) ON d.t TO a@'%'", at("columns_priv n.d.t Column_priv Update")},
				{"GRANT r TO a@'%' WITH ADMIN OPTION", role},
				{setDefault, byDefault},
				{"GRANT PROXY ON r TO a@'%'", at("proxies_priv %.r")},
				{"ALTER USER a@'%' WITH MAX_USER_CONNECTIONS 3", at("max_user_connections")},
				{"ALTER USER a@'%' ACCOUNT LOCK", locked},
				{"CREATE USER a@'127.0.0.2' IDENTIFIED BY 'Old-Password-1'", census.Fact("a", "account at 127.0.0.2")},
			}
			if s.MariaDB {
				cases[1].key = at("access, bit 25")
			} else {
				cases = append(cases, struct{ sql, key string }{"GRANT BACKUP_ADMIN ON *.* TO a@'%'", at("global_grants BACKUP_ADMIN")},
					struct{ sql, key string }{"ALTER USER a@'%' IDENTIFIED BY 'New-Password-3' RETAIN CURRENT PASSWORD", at("verifier kept")},
					struct{ sql, key string }{"ALTER USER a@'%' FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2", at("attribute Password_locking")})
			}
			for _, c := range cases {
				seesChange(t, s, c.sql, c.key)
			}
			all, err := s.Census(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range all {
				if strings.Contains(value, "$A$") || strings.Contains(value, "*") && len(value) > 40 {
					t.Errorf("%s is no digest", key)
				}
			}
		})
	}
}

func BenchmarkCensus(b *testing.B) {
	p := NewPostgres(b, Options{})
	for b.Loop() {
		if _, err := p.Census(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMySQLCensus(b *testing.B) {
	m := NewMySQL(b, MySQLOptions{})
	for b.Loop() {
		if _, err := m.Census(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

package localaws_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// database is a throwaway server, as far as all kinds are alike.
type database interface {
	family() string // what the names of its functions begin with
	// where is the keys of a secret that say which server it is for.
	where() map[string]any
	caFile() string // "": the server has no TLS
	// Exec runs statements as an administrator, in no log.
	Exec(ctx context.Context, sql ...string) error
	// as logs in and runs statements. Its error shows no password.
	as(ctx context.Context, a account, sql ...string) error
	// app and boss are the statements that make the user of a secret, with a table
	// orders, and a superuser who may rotate it and no more.
	app(password string) []string
	boss(password string) []string
	// hold keeps sessions open, of an administrator and of an account, in which a
	// statement has been run. Where both are empty there is none.
	hold(t *testing.T, a account, admin, own string) (release func())
	// Census is what the server stores of all accounts.
	Census(ctx context.Context) (map[string]string, error)
	// logs is all that the server writes down and anybody might read, logins how often
	// a function logged in by that, and written how often something was changed.
	logs() string
	logins() int
	written() int
}

// newestServers are one of each kind.
var newestServers = map[string]func(testing.TB) database{
	"PostgreSQL": func(t testing.TB) database { return tlsServer(t, newest()) },
	"MySQL":      func(t testing.TB) database { return newMySQL(t, "mysql-9.7") },
	"MariaDB":    func(t testing.TB) database { return newMySQL(t, "mariadb-11.8") },
}

// postgres is a server of PostgreSQL.
type postgres struct{ *dbserver.Server }

func tlsServer(t testing.TB, major int) postgres {
	t.Helper()
	return postgres{dbserver.NewPostgres(t, dbserver.Options{Major: major, TLS: &dbserver.TLS{}, HBA: []string{"hostssl all all all scram-sha-256"}})}
}

func newest() int { return dbserver.Majors()[len(dbserver.Majors())-1] }

// postgres is the world's server, for what other kinds have nothing like.
func (w *world) postgres() *dbserver.Server { return w.db.(postgres).Server }

func (postgres) family() string { return "postgres" }

func (p postgres) where() map[string]any {
	return map[string]any{"engine": "postgres", "host": p.Host, "port": p.Port, "dbname": "postgres"}
}

func (p postgres) caFile() string { return p.CAFile }

func (p postgres) as(ctx context.Context, a account, sql ...string) error {
	conn, err := p.Connect(ctx, a.Username, a.Password, "postgres")
	if err != nil {
		return fmt.Errorf("login as %s: refused", a.Username)
	}
	defer conn.Close(context.Background())
	for _, s := range sql {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (postgres) app(password string) []string {
	return []string{
		"CREATE ROLE rds_iam", "CREATE ROLE rdsadmin SUPERUSER", // of RDS
		"CREATE ROLE app LOGIN CONNECTION LIMIT 20 PASSWORD '" + password + "'",
		"GRANT CREATE ON SCHEMA public TO app", "CREATE TABLE orders (id int)", "ALTER TABLE orders OWNER TO app",
	}
}

// boss is what RDS calls a superuser: CREATEROLE, and ADMIN OPTION on app.
func (postgres) boss(password string) []string {
	return []string{"CREATE ROLE boss LOGIN CREATEROLE PASSWORD '" + password + "'", "GRANT app TO boss WITH ADMIN OPTION"}
}

func (p postgres) hold(t *testing.T, a account, admin, own string) (release func()) {
	t.Helper()
	release = func() {}
	if own != "" {
		t.Fatal("not here")
	}
	if admin == "" {
		return release
	}
	conn, err := p.Admin(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"BEGIN", admin} {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", s, err))
		}
	}
	return func() { conn.Close(context.Background()) }
}

func (p postgres) logs() string { return p.Log() }
func (p postgres) logins() int  { return strings.Count(p.Log(), "application_name=quarterturn") }
func (p postgres) written() int { return strings.Count(p.Log(), "statement: COMMIT") }

// mysql is a server of MySQL or MariaDB.
type mysql struct{ *dbserver.MySQLServer }

func newMySQL(t testing.TB, name string) mysql {
	t.Helper()
	return mysql{dbserver.NewMySQL(t, dbserver.MySQLOptions{Name: name, TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}, Conf: map[string]string{"require-secure-transport": "ON"}})}
}

func (m mysql) family() string {
	if m.MariaDB {
		return "mariadb"
	}
	return "mysql"
}

func (m mysql) where() map[string]any {
	return map[string]any{"engine": m.family(), "host": m.Host, "port": m.Port, "dbname": "shop"}
}

func (m mysql) caFile() string { return m.CAFile }

func (m mysql) as(ctx context.Context, a account, sql ...string) error {
	db, err := m.Connect(ctx, a.Username, a.Password, "shop")
	if err != nil {
		return fmt.Errorf("login as %s: refused", a.Username)
	}
	defer db.Close()
	for _, s := range sql {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (mysql) app(password string) []string {
	return []string{
		"CREATE DATABASE shop", "CREATE TABLE shop.orders (id int)",
		"CREATE USER 'app'@'%' IDENTIFIED BY '" + password + "'",
		"GRANT SELECT, INSERT, CREATE, ALTER ON shop.* TO 'app'@'%'",
	}
}

func (m mysql) boss(password string) []string {
	rights := []string{
		"CREATE USER 'boss'@'%' IDENTIFIED BY '" + password + "'",
		"GRANT CREATE USER ON *.* TO 'boss'@'%'", "GRANT SELECT ON mysql.* TO 'boss'@'%'",
		"GRANT SELECT, INSERT, CREATE, ALTER ON shop.* TO 'boss'@'%' WITH GRANT OPTION",
	}
	if m.MariaDB {
		rights = append(rights, "GRANT UPDATE ON mysql.* TO 'boss'@'%'")
	}
	return rights
}

func (m mysql) hold(t *testing.T, a account, admin, own string) (release func()) {
	t.Helper()
	open, statement := m.Admin, admin
	if own != "" {
		open, statement = func(ctx context.Context) (*sql.DB, error) { return m.Connect(ctx, a.Username, a.Password, "") }, own
	}
	if statement == "" {
		return func() {}
	}
	db, err := open(t.Context())
	if err == nil {
		_, err = db.ExecContext(t.Context(), statement)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { db.Close() }
}

func (m mysql) logs() string { return m.general() + m.binary() + m.Log() }

// logins counts logins over TCP, those of tests among them.
func (m mysql) logins() int { return strings.Count(m.general(), "using SSL/TLS") }

func (m mysql) written() int { return strings.Count(m.binary(), "\n") }

func (m mysql) general() string {
	text, err := m.GeneralLog(context.Background())
	if err != nil {
		panic(err)
	}
	return text
}

func (m mysql) binary() string {
	text, err := m.BinaryLog(context.Background())
	if err != nil {
		panic(err)
	}
	return text
}

// valkey is a server of Valkey. A statement is a command, by words.
type valkey struct{ *dbserver.ValkeyServer }

func newValkey(t testing.TB) database {
	t.Helper()
	return valkey{dbserver.NewValkey(t, dbserver.ValkeyOptions{TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})}
}

// selfChange is what the functions for single users need where that is no matter of course.
func selfChange(db database) []string {
	if db.family() == "valkey" {
		return []string{"VALKEY_SELF_CHANGE=true"}
	}
	return nil
}

func (valkey) family() string { return "valkey" }

func (v valkey) where() map[string]any {
	return map[string]any{"engine": "valkey", "host": v.Host, "port": v.Port}
}

func (v valkey) caFile() string { return v.CAFile }

func (v valkey) Exec(ctx context.Context, commands ...string) error {
	return v.ValkeyServer.Exec(ctx, words(commands)...)
}

// as runs one command more, for the server lets in who may do nothing.
func (v valkey) as(ctx context.Context, a account, commands ...string) error {
	return v.As(ctx, a.Username, a.Password, append(words(commands), []string{"GET", "orders"})...)
}

func words(commands []string) (all [][]string) {
	for _, c := range commands {
		all = append(all, strings.Fields(c))
	}
	return all
}

func (valkey) app(password string) []string {
	return []string{"ACL SETUSER app on >" + password + " ~orders* +@read +@write", "ACL SAVE"}
}

func (valkey) boss(password string) []string {
	return []string{"ACL SETUSER boss on >" + password + " +acl +config|get +config|rewrite +info +multi +exec +discard", "ACL SAVE"}
}

func (valkey) hold(t *testing.T, _ account, admin, own string) (release func()) {
	t.Helper()
	if admin+own != "" {
		t.Fatal("not here")
	}
	return func() {}
}

func (v valkey) logs() string { return v.sent() + v.Log() }
func (v valkey) logins() int  { return strings.Count(v.sent(), "HELLO 2 AUTH") }
func (v valkey) written() int { return strings.Count(v.sent(), "EXEC") }

func (v valkey) sent() string {
	text, err := v.Commands(context.Background())
	if err != nil {
		panic(err)
	}
	return text
}

// aclFile is where the server says that it saves users.
func (v valkey) aclFile(t testing.TB) string {
	t.Helper()
	answer, err := v.Ask(t.Context(), v.Superuser, v.Password, []string{"CONFIG", "GET", "aclfile"})
	if err != nil {
		t.Fatal(err)
	}
	return answer.([]any)[1].(string)
}

// savedLine is what that file has of a user.
func (v valkey) savedLine(t testing.TB, user string) string {
	t.Helper()
	file, err := os.ReadFile(v.aclFile(t))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		if rules, ok := strings.CutPrefix(line, "user "+user+" "); ok {
			return strings.TrimSpace(rules)
		}
	}
	t.Fatalf("%s is in the file no longer", user)
	return ""
}

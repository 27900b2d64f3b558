package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// database is a throwaway server with an application's user and a superuser in the
// sense of RDS: one who may manage accounts and nothing more.
type database struct {
	title, engine string
	host          string
	port          int
	caFile        string
	passwords     map[string]string

	login  func(ctx context.Context, user, password string) error
	exec   func(ctx context.Context, sql ...string) error
	log    func() string
	logins func() int // of the function
	Close  func() error
}

// startDatabase starts the newest release of a kind, or the one that is named. dual
// has the user be allowed two passwords.
func startDatabase(ctx context.Context, engine string, dual bool) (*database, error) {
	family, release, _ := strings.Cut(engine, "-")
	if release == "" {
		var err error
		if engine, err = dbserver.Newest(ctx, family); err != nil {
			return nil, err
		}
		_, release, _ = strings.Cut(engine, "-")
	}
	if family == "valkey" || family == "redis" {
		return startValkey(ctx, engine)
	}
	if family == "postgres" {
		return startPostgres(ctx, release)
	}
	return startMySQL(ctx, family, engine, dual)
}

func startPostgres(ctx context.Context, release string) (*database, error) {
	major, err := strconv.Atoi(release)
	if err != nil {
		return nil, fmt.Errorf("postgres-%s is not a major version: postgres-17", release)
	}
	s, err := dbserver.StartPostgres(ctx, dbserver.Options{Major: major, TLS: &dbserver.TLS{},
		HBA: []string{"hostssl all all all scram-sha-256"}})
	if err != nil {
		return nil, err
	}
	db := &database{
		title: fmt.Sprintf("PostgreSQL %d", s.Major), engine: "postgres", host: s.Host, port: s.Port, caFile: s.CAFile,
		exec: s.Exec, log: s.Log, Close: s.Close,
		logins: func() int { return strings.Count(s.Log(), "application_name=quarterturn") },
		login: func(ctx context.Context, user, password string) error {
			conn, err := s.Connect(ctx, user, password, "postgres")
			if err == nil {
				conn.Close(ctx)
			}
			return err
		},
	}
	return db.people(ctx, func(app, boss string) []string {
		return []string{
			"CREATE ROLE boss LOGIN CREATEROLE PASSWORD '" + boss + "'",
			"CREATE ROLE app LOGIN PASSWORD '" + app + "'",
			"GRANT app TO boss WITH ADMIN OPTION",
			"CREATE TABLE orders (id int)",
			"ALTER TABLE orders OWNER TO app",
		}
	})
}

func startMySQL(ctx context.Context, family, name string, dual bool) (*database, error) {
	s, err := dbserver.StartMySQL(ctx, dbserver.MySQLOptions{Name: name,
		TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}, Conf: map[string]string{"require-secure-transport": "ON"}})
	if err != nil {
		return nil, err
	}
	general := func() string {
		text, err := s.GeneralLog(ctx)
		if err != nil {
			return "the general log cannot be read: " + err.Error()
		}
		return text
	}
	db := &database{
		title: map[string]string{"mysql": "MySQL ", "mariadb": "MariaDB "}[family] + s.Version, engine: family,
		host: s.Host, port: s.Port, caFile: s.CAFile,
		exec: s.Exec, Close: s.Close,
		log: func() string {
			binary, err := s.BinaryLog(ctx)
			if err != nil {
				binary = "the binary log cannot be read: " + err.Error()
			}
			return general() + binary + s.Log()
		},
		logins: func() int { return strings.Count(general(), "using SSL/TLS") },
		login: func(ctx context.Context, user, password string) error {
			conn, err := s.Connect(ctx, user, password, "")
			if err == nil {
				conn.Close()
			}
			return err
		},
	}
	return db.people(ctx, func(app, boss string) []string {
		sql := []string{
			"CREATE DATABASE shop", "CREATE TABLE shop.orders (id int)",
			"CREATE USER 'app'@'%' IDENTIFIED BY '" + app + "'", "GRANT SELECT, INSERT ON shop.* TO 'app'@'%'",
			"CREATE USER 'boss'@'%' IDENTIFIED BY '" + boss + "'", "GRANT CREATE USER ON *.* TO 'boss'@'%'",
			"GRANT SELECT, UPDATE ON mysql.* TO 'boss'@'%'", "GRANT SELECT, INSERT ON shop.* TO 'boss'@'%' WITH " +
				"GRANT OPTION",
		}
		if dual {
			sql = append(sql, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO 'app'@'%'")
		}
		return sql
	})
}

// startValkey gives the superuser what it needs to change users, and the user that too, for the
// one strategy by which it changes itself.
func startValkey(ctx context.Context, engine string) (*database, error) {
	s, err := dbserver.StartValkey(ctx, dbserver.ValkeyOptions{Name: engine,
		TLS: &dbserver.TLS{Names: []string{"127.0.0.1"}}})
	if err != nil {
		return nil, err
	}
	sent := func() string {
		text, err := s.Commands(ctx)
		if err != nil {
			return "the slow log cannot be read: " + err.Error()
		}
		return text
	}
	db := &database{
		title: engine, engine: "valkey", host: s.Host, port: s.Port, caFile: s.CAFile, Close: s.Close,
		log:    func() string { return sent() + s.Log() },
		logins: func() int { return strings.Count(sent(), "HELLO 2 AUTH") },
		login:  func(ctx context.Context, user, password string) error { return s.As(ctx, user, password) },
		exec: func(ctx context.Context, commands ...string) error {
			var all [][]string
			for _, c := range commands {
				all = append(all, strings.Fields(c))
			}
			return s.Exec(ctx, append(all, []string{"ACL", "SAVE"})...)
		},
	}
	const rights = " +acl +config|get +config|rewrite +info +multi +exec +discard"
	hash := func(password string) string { return fmt.Sprintf("#%x", sha256.Sum256([]byte(password))) }
	return db.people(ctx, func(app, boss string) []string {
		return []string{
			"ACL SETUSER boss on " + hash(boss) + rights,
			"ACL SETUSER app on " + hash(app) + " ~orders:* +@read +@write" + rights,
		}
	})
}

// people makes the two users.
func (db *database) people(ctx context.Context, sql func(app, boss string) []string) (*database, error) {
	db.passwords = map[string]string{"app": rand.Text(), "boss": rand.Text()}
	if err := db.exec(ctx, sql(db.passwords["app"], db.passwords["boss"])...); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// setPassword is what a superuser does by hand.
func (db *database) setPassword(ctx context.Context, user, password string) error {
	switch db.engine {
	case "valkey":
		return db.exec(ctx, fmt.Sprintf("ACL SETUSER %s resetpass #%x", user, sha256.Sum256([]byte(password))))
	case "postgres":
		return db.exec(ctx, "ALTER ROLE "+user+" PASSWORD '"+password+"'")
	}
	return db.exec(ctx, "ALTER USER '"+user+"'@'%' IDENTIFIED BY '"+password+"'")
}

// secret is the JSON of an account's secret.
func (db *database) secret(user, superuserARN string) string {
	text, _ := json.Marshal(struct { // strings and a number cannot fail
		Engine    string `json:"engine"`
		Host      string `json:"host"`
		Port      int    `json:"port"`
		Username  string `json:"username"`
		Password  string `json:"password"`
		Superuser string `json:"masterarn,omitempty"`
	}{db.engine, db.host, db.port, user, db.passwords[user], superuserARN})
	return string(text)
}

// prove shows that the rotation did what it says, by asking the server.
func prove(ctx context.Context, db *database, dual bool, before, after awsemu.Secret) error {
	was, is := before.Holder("AWSCURRENT"), after.Holder("AWSCURRENT")
	type credentials struct{ Username, Password string }
	var old, current credentials
	if err := json.Unmarshal(was.Value.Reveal(), &old); err != nil {
		return fmt.Errorf("the old value is not JSON any more")
	}
	if err := json.Unmarshal(is.Value.Reveal(), &current); err != nil {
		return fmt.Errorf("the new value is not JSON")
	}
	fmt.Println("proof")
	wrong := 0
	check := func(what string, ok bool, yes, no string) {
		if !ok {
			yes = no
			wrong++
		}
		fmt.Printf("  %-42s %s\n", what, yes)
	}
	accepted := func(c credentials) bool { return db.login(ctx, c.Username, c.Password) == nil }
	switch {
	case dual:
		check("old password of "+old.Username+", until next time", accepted(old), "accepted", "REFUSED")
	case old.Username == current.Username:
		check("old password of "+old.Username, !accepted(old), "refused", "STILL ACCEPTED")
	default:
		check("password of "+old.Username+", which clients still use", accepted(old), "accepted", "REFUSED")
	}
	check("new password of "+current.Username, accepted(current), "accepted", "REFUSED")
	leaked := 0
	log := []byte(db.log())
	for _, password := range []string{old.Password, current.Password, db.passwords["boss"]} {
		leaked += bytes.Count(log, []byte(password))
	}
	check(fmt.Sprintf("passwords in the server's logs (%d lines)", bytes.Count(log, []byte("\n"))), leaked == 0, "none",
		fmt.Sprint(leaked))
	if wrong > 0 {
		return fmt.Errorf("%d of these are not as they must be", wrong)
	}
	fmt.Fprintln(os.Stdout)
	return nil
}

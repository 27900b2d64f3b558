package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// database is the server with its accounts: app, whose password rotates, and boss,
// who is what RDS calls a superuser: CREATEROLE, and ADMIN OPTION on app.
type database struct {
	*dbserver.Server
	passwords map[string]string
}

func startDatabase(ctx context.Context, major int) (*database, error) {
	server, err := dbserver.StartPostgres(ctx, dbserver.Options{Major: major, TLS: &dbserver.TLS{}, HBA: []string{"hostssl all all all scram-sha-256"}})
	if err != nil {
		return nil, err
	}
	db := &database{Server: server, passwords: map[string]string{"app": rand.Text(), "boss": rand.Text()}}
	err = server.Exec(ctx,
		"CREATE ROLE boss LOGIN CREATEROLE PASSWORD '"+db.passwords["boss"]+"'",
		"CREATE ROLE app LOGIN PASSWORD '"+db.passwords["app"]+"'",
		"GRANT app TO boss WITH ADMIN OPTION",
		"CREATE TABLE orders (id int)",
		"ALTER TABLE orders OWNER TO app",
	)
	if err != nil {
		server.Close()
		return nil, err
	}
	return db, nil
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
	}{"postgres", db.Host, db.Port, user, db.passwords[user], superuserARN})
	return string(text)
}

// logins is how often the function logged in: its engine gives its name.
func (db *database) logins() int { return strings.Count(db.Log(), "application_name=quarterturn") }

// prove shows that the rotation did what it says, by asking the server.
func prove(ctx context.Context, db *database, before, after awsemu.Secret) error {
	was, is := before.Holder("AWSCURRENT"), after.Holder("AWSCURRENT")
	type credentials struct{ Username, Password string }
	var old, current credentials
	if err := json.Unmarshal(was.Value.Reveal(), &old); err != nil {
		return fmt.Errorf("the old value is not JSON any more")
	}
	if err := json.Unmarshal(is.Value.Reveal(), &current); err != nil {
		return fmt.Errorf("the new value is not JSON")
	}
	rotatedItself := old.Username == current.Username
	fmt.Println("proof")
	wrong := 0
	check := func(what string, ok bool, yes, no string) {
		if !ok {
			yes = no
			wrong++
		}
		fmt.Printf("  %-42s %s\n", what, yes)
	}
	accepted := func(c credentials) bool {
		conn, err := db.Connect(ctx, c.Username, c.Password, "postgres")
		if err == nil {
			conn.Close(ctx)
		}
		return err == nil
	}
	if rotatedItself {
		check("old password of "+old.Username, !accepted(old), "refused", "STILL ACCEPTED")
	} else {
		check("password of "+old.Username+", which clients still use", accepted(old), "accepted", "REFUSED")
	}
	check("new password of "+current.Username, accepted(current), "accepted", "REFUSED")
	leaked := 0
	log := []byte(db.Log())
	for _, password := range []string{old.Password, current.Password, db.passwords["boss"]} {
		leaked += bytes.Count(log, []byte(password))
	}
	check(fmt.Sprintf("passwords in the server's log (%d lines)", bytes.Count(log, []byte("\n"))), leaked == 0, "none", fmt.Sprint(leaked))
	if wrong > 0 {
		return fmt.Errorf("%d of these are not as they must be", wrong)
	}
	fmt.Fprintln(os.Stdout)
	return nil
}

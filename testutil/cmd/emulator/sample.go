package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// startSample starts a PostgreSQL server with a user, app, and a superuser, boss.
func startSample(ctx context.Context) (*dbserver.Server, map[string]string, error) {
	newest, err := dbserver.Newest(ctx, "postgres")
	if err != nil {
		return nil, nil, err
	}
	major, err := strconv.Atoi(strings.TrimPrefix(newest, "postgres-"))
	if err != nil {
		return nil, nil, err
	}
	db, err := dbserver.StartPostgres(ctx, dbserver.Options{Major: major, TLS: &dbserver.TLS{},
		HBA: []string{"hostssl all all all scram-sha-256"}})
	if err != nil {
		return nil, nil, err
	}
	passwords := map[string]string{"app": rand.Text(), "boss": rand.Text()}
	err = db.Exec(ctx,
		"CREATE ROLE boss LOGIN CREATEROLE PASSWORD '"+passwords["boss"]+"'",
		"CREATE ROLE app LOGIN PASSWORD '"+passwords["app"]+"'",
		"GRANT app TO boss WITH ADMIN OPTION")
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return db, passwords, nil
}

// seedSample makes the secrets of the two: app and superuser.
func seedSample(s *localaws.Env, db *dbserver.Server, passwords map[string]string) {
	value := func(user, masterARN string) []awsemu.Version {
		text, _ := json.Marshal(map[string]any{ // strings and a number cannot fail
			"engine": "postgres", "host": db.Host, "port": db.Port, "dbname": "postgres",
			"username": user, "password": passwords[user], "masterarn": masterARN,
		})
		return []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(string(text))}}
	}
	superuser := s.AWS.Seed(awsemu.Secret{Name: "superuser", Versions: value("boss", "")})
	s.AWS.Seed(awsemu.Secret{Name: "app", Versions: value("app", superuser)})
}

// watch prints one line for each request and for each thing that a function says.
// Its methods may be called from many goroutines at once.
type watch struct {
	mu   sync.Mutex
	out  io.Writer
	rest string
}

// call is one request.
func (w *watch) call(c awsemu.Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	phase := c.Phase
	if phase != "" {
		phase += ": "
	}
	fmt.Fprintf(w.out, "%s%s %s\n", phase, c.Name, c)
}

// Write takes the output of the functions in pieces, which may end within a line.
func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest += string(p)
	for {
		line, rest, ok := strings.Cut(w.rest, "\n")
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		w.line(line)
	}
}

func (w *watch) line(text string) {
	var entry struct{ Level, Message, Step, Error string }
	switch {
	case strings.HasPrefix(text, "INIT_START"), strings.HasPrefix(text, "START "), strings.HasPrefix(text, "END "),
		strings.HasPrefix(text, "REPORT "):
	case json.Unmarshal([]byte(text), &entry) != nil:
		fmt.Fprintf(w.out, "function: %s\n", text)
	case entry.Error != "":
		fmt.Fprintf(w.out, "function: %s %s\n", entry.Level, entry.Error)
	case entry.Message != "": // metrics have none
		fmt.Fprintf(w.out, "function: %s\n", entry.Message)
	}
}

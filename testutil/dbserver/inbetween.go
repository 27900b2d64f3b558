package dbserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// InBetween is a program that runs before a database server, at an address of its own.
type InBetween struct {
	Endpoint
	*process
}

// PgBouncerOptions are what matters of a PgBouncer.
type PgBouncerOptions struct {
	Mode string // session, transaction or statement
	// AuthFile is the users that it logs in by passwords of its own; nil: it asks the server for what is stored of a
	// user (auth_query), at each login.
	AuthFile map[string]string
	Static   map[string]string // users that have a line in the file although it asks, which comes before the question
}

// NewPgBouncer runs PgBouncer before a server, without TLS, until the test ends.
func NewPgBouncer(t testing.TB, s *Server, o PgBouncerOptions) *InBetween {
	t.Helper()
	return own(t, func(ctx context.Context) (*InBetween, error) {
		users := o.AuthFile
		if users == nil {
			users = map[string]string{s.Superuser: s.Password} // who asks
			maps.Copy(users, o.Static)
		}
		var file strings.Builder
		for user, password := range users {
			fmt.Fprintf(&file, "%q %q\n", user, password)
		}
		return startInBetween(ctx, "pgbouncer", map[string]string{"users": file.String()},
			func(dir string, port int) string {
				lines := []string{"[databases]", fmt.Sprintf("* = host=%s port=%d", s.Host, s.Port), "[pgbouncer]",
					"listen_addr = 127.0.0.1", fmt.Sprintf("listen_port = %d", port), "unix_socket_dir =",
					"pidfile = " + filepath.Join(dir, "pid"), "pool_mode = " + o.Mode, "auth_type = scram-sha-256",
					"auth_file = " + filepath.Join(dir, "users"), "server_tls_sslmode = disable"}
				if o.AuthFile == nil {
					lines = append(lines, "auth_user = "+s.Superuser,
						"auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1")
				}
				return strings.Join(lines, "\n") + "\n"
			}, func(conf string) []string { return []string{conf} })
	})
}

// NewHAProxy runs HAProxy, which carries bytes (TCP mode), before the servers at these addresses until the test ends.
// The first that takes connections is used.
func NewHAProxy(t testing.TB, addresses ...string) *InBetween {
	t.Helper()
	return newHAProxy(t, " backup", addresses)
}

// NewBalancer is NewHAProxy where the servers take turns, one connection each.
func NewBalancer(t testing.TB, addresses ...string) *InBetween {
	t.Helper()
	return newHAProxy(t, "", addresses)
}

func newHAProxy(t testing.TB, others string, addresses []string) *InBetween {
	t.Helper()
	return own(t, func(ctx context.Context) (*InBetween, error) {
		return startInBetween(ctx, "haproxy", nil, func(_ string, port int) string {
			lines := []string{"defaults", "  mode tcp", "  timeout connect 10s", "  timeout client 10m",
				"  timeout server 10m", "listen db", fmt.Sprintf("  bind 127.0.0.1:%d", port)}
			for i, address := range addresses {
				line := fmt.Sprintf("  server db%d %s check inter 200ms", i, address)
				if i > 0 {
					line += others
				}
				lines = append(lines, line)
			}
			return strings.Join(lines, "\n") + "\n"
		}, func(conf string) []string { return []string{"-db", "-f", conf} })
	})
}

// startInBetween runs a program of Programs with a configuration file, and waits until something answers at its port.
func startInBetween(ctx context.Context, name string, files map[string]string, conf func(dir string, port int) string,
	args func(conf string) []string) (*InBetween, error) {
	program, err := FindProgram(ctx, name)
	if err != nil {
		return nil, err
	}
	p, err := newProcess(habits{name: name, pidFile: "pid", stop: []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}})
	if err != nil {
		return nil, err
	}
	b := &InBetween{Endpoint: Endpoint{Host: "127.0.0.1"}, process: p}
	fail := func(err error) error {
		closing := p.Close()
		return errors.Join(fmt.Errorf("%s: %w\n%s", name, err, logTail([]byte(p.Log()))), closing)
	}
	for file, text := range files {
		if err := writeFile(filepath.Join(p.dir, file), []byte(text)); err != nil {
			return nil, fail(err)
		}
	}
	var at string
	var writing error
	argv := func(port int) []string {
		file := filepath.Join(p.dir, "conf")
		writing = writeFile(file, []byte(conf(p.dir, port)))
		at = net.JoinHostPort(b.Host, strconv.Itoa(port))
		return append(slices.Clone(program.argv), args(file)...)
	}
	ready := func() bool {
		c, err := net.DialTimeout("tcp", at, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if b.Port, err = p.serve(ctx, argv, ready, "ddress already in use"); errors.Join(err, writing) != nil {
		return nil, fail(errors.Join(err, writing))
	}
	return b, nil
}

package dbserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// externalVariable names servers that somebody else runs; MySQLs says how.
const externalVariable = "QUARTERTURN_MYSQL_SERVERS"

// external is a server that somebody else runs, or one of ours by its name alone.
type external struct{ name, user, password, address string }

func externalServers() []external {
	var servers []external
	for _, field := range strings.Fields(os.Getenv(externalVariable)) {
		name, login, _ := strings.Cut(field, "=")
		at := max(0, strings.LastIndexByte(login, '@')) // a password may have one
		user, password, _ := strings.Cut(login[:at], ":")
		servers = append(servers, external{name, user, password, strings.TrimPrefix(login[at:], "@")})
	}
	return servers
}

func externalOf(name string) (external, bool) {
	for _, e := range externalServers() {
		if e.name == name {
			return e, true
		}
	}
	return external{}, false
}

// reach makes sure that the server is the one that its name promises.
func (e external) reach(ctx context.Context) (*MySQLServer, error) {
	host, digits, err := net.SplitHostPort(e.address)
	port, notNumber := strconv.Atoi(digits)
	if err = errors.Join(err, notNumber); err != nil || e.user == "" {
		return nil, fmt.Errorf("%s: %s is not name=user:password@host:port: %w", e.name, externalVariable, err)
	}
	s := &MySQLServer{Name: e.name, MariaDB: mariaDB(e.name), Endpoint: Endpoint{host, port}, Superuser: e.user,
		Password: e.password}
	db, err := s.Admin(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s of %s at %s: %w", e.name, externalVariable, e.address, err)
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&s.Version); err != nil {
		return nil, fmt.Errorf("%s of %s at %s: %w", e.name, externalVariable, e.address, err)
	}
	if !isRelease(e.name, s.Version) {
		return nil, fmt.Errorf("%s of %s at %s: it is version %s", e.name, externalVariable, e.address, s.Version)
	}
	return s, nil
}

// generalTable is the general log of a server whose files are not ours to read.
func (s *MySQLServer) generalTable(ctx context.Context) (log string, err error) {
	db, err := s.Admin(ctx)
	if err != nil {
		return "", fmt.Errorf("general log: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var on bool
	if err := db.QueryRowContext(ctx, "SELECT @@general_log AND FIND_IN_SET('TABLE', @@log_output) > "+
		"0").Scan(&on); err != nil {
		return "", fmt.Errorf("general log: %w", err)
	}
	if !on {
		return "", errors.New("general log: off, or not in a table; SET GLOBAL log_output = 'FILE,TABLE', " +
			"general_log = ON")
	}
	lines, err := texts(ctx, db, "SELECT argument FROM mysql.general_log ORDER BY event_time", 0)
	return strings.Join(lines, "\n") + "\n", err
}

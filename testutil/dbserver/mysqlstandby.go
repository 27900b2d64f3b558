package dbserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Standby starts a server that repeats what is in the binary log of s: what others than Admin and Exec have done since
// s began. It has a superuser of its own, and the TLS of s. The caller closes it, before or after s.
func (s *MySQLServer) Standby(ctx context.Context) (*MySQLServer, error) {
	b, err := StartMySQL(ctx, MySQLOptions{Name: s.Name, Conf: map[string]string{"server-id": "2"}, like: s.Identity})
	if err != nil {
		return nil, err
	}
	if err := b.follow(ctx, s); err != nil {
		return nil, b.abandon(fmt.Errorf("standby: %w", err))
	}
	return b, nil
}

func (b *MySQLServer) follow(ctx context.Context, s *MySQLServer) error {
	source := map[string]string{
		"HOST": quoted(s.Host), "PORT": fmt.Sprint(s.Port), "USER": quoted(s.Superuser), "PASSWORD": quoted(s.Password),
		"LOG_FILE": quoted("binlog.000001"), "LOG_POS": "4", "CONNECT_RETRY": "1",
	}
	word, start := "SOURCE", "CHANGE REPLICATION SOURCE TO GET_SOURCE_PUBLIC_KEY = 1"
	if b.MariaDB {
		word, start = "MASTER", "CHANGE MASTER TO MASTER_USE_GTID = no, MASTER_SSL_VERIFY_SERVER_CERT = 0"
	}
	for _, name := range slices.Sorted(maps.Keys(source)) {
		start += fmt.Sprintf(", %s_%s = %s", word, name, source[name])
	}
	return b.Exec(ctx, start, "START REPLICA")
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// CatchUp waits until the standby b has done what s has done.
func (b *MySQLServer) CatchUp(ctx context.Context, s *MySQLServer) error {
	status, wait := "SHOW BINARY LOG STATUS", "SELECT SOURCE_POS_WAIT('%s', %s, 1)"
	if b.MariaDB {
		status, wait = "SHOW MASTER STATUS", "SELECT MASTER_POS_WAIT('%s', %s, 1)"
	}
	at, err := s.row(ctx, status)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		got, err := b.row(ctx, fmt.Sprintf(wait, at["File"], at["Position"])+" AS done")
		switch {
		case err != nil:
			return err
		case got["done"] == "":
			state, err := b.row(ctx, "SHOW REPLICA STATUS")
			return errors.Join(fmt.Errorf("the standby does not follow: %q %q", state["Last_IO_Error"],
				state["Last_SQL_Error"]), err)
		case got["done"] != "-1":
			return nil
		}
	}
	return ctx.Err()
}

// Cut has the standby b catch up with s and follow it no longer: what s does from now on, b will never know.
func (b *MySQLServer) Cut(ctx context.Context, s *MySQLServer) error {
	if err := b.CatchUp(ctx, s); err != nil {
		return err
	}
	return b.Exec(ctx, "STOP REPLICA")
}

// Promote makes the standby b a server of its own.
func (b *MySQLServer) Promote(ctx context.Context) error {
	return b.Exec(ctx, "STOP REPLICA", "RESET REPLICA ALL")
}

// row is the first row of an answer, by column.
func (s *MySQLServer) row(ctx context.Context, sql string) (row map[string]string, err error) {
	db, err := s.Admin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := mysqlRows(ctx, db, sql)
	if err != nil || len(rows) == 0 {
		return nil, errors.Join(err, fmt.Errorf("%s: %d rows", sql, len(rows)))
	}
	return rows[0], nil
}

// NewCertificate has the server show another certificate to clients that come from now on: of the authority that they
// know, or, not trusted, of another.
func (s *MySQLServer) NewCertificate(ctx context.Context, trusted bool) error {
	if err := s.renew(s.dir, trusted); err != nil {
		return err
	}
	if s.MariaDB {
		return s.Exec(ctx, "FLUSH SSL")
	}
	return s.Exec(ctx, "ALTER INSTANCE RELOAD TLS")
}

package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Standby starts a read-only copy of s that follows it: pg_is_in_recovery() is true there, and what is written to s soon
// shows. It has the users, the passwords, the certificate and the pg_hba.conf of s, on a port of its own. The caller closes
// it, before or after s.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	b, err := newPostgres(s.bin, s.Major)
	if err != nil {
		return nil, err
	}
	b.Password, b.Identity = s.Password, s.Identity
	if s.CAFile != "" {
		b.CAFile = filepath.Join(b.DataDir, filepath.Base(s.CAFile))
	}
	if err := b.follow(ctx, s); err != nil {
		return nil, b.abandon(fmt.Errorf("standby: %w", err))
	}
	return b, nil
}

// follow copies the data folder of the running server s, as pg_basebackup would (the npm packages have none), and starts.
func (b *Server) follow(ctx context.Context, s *Server) error {
	if err := b.copyOf(ctx, s); err != nil {
		return err
	}
	// The copy comes with traces of the process that it was taken from.
	for _, name := range []string{"postmaster.pid", "postmaster.opts"} {
		if err := os.Remove(filepath.Join(b.DataDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	err := errors.Join(
		writeFile(filepath.Join(b.DataDir, "standby.signal"), nil),
		b.appendConf(map[string]string{
			"unix_socket_directories": b.SocketDir,
			"primary_conninfo":        fmt.Sprintf("host=%s port=%d user=%s", s.SocketDir, s.Port, s.Superuser),
		}))
	if err != nil {
		return err
	}
	return b.serve(ctx)
}

// copyOf brackets the copy by the two calls of a backup, which have to come from one session. The label that the second
// one answers tells the copy from where to replay.
func (b *Server) copyOf(ctx context.Context, s *Server) (err error) {
	start, stop := "SELECT pg_backup_start('standby', true)", "SELECT labelfile FROM pg_backup_stop(false)"
	if s.Major < 15 {
		start, stop = "SELECT pg_start_backup('standby', true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)"
	}
	conn, err := s.Admin(ctx, "postgres")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, start); err != nil {
		return err
	}
	if err := copyTree(s.DataDir, b.DataDir); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, stop).Scan(&label); err != nil {
		return err
	}
	return writeFile(filepath.Join(b.DataDir, "backup_label"), []byte(label))
}

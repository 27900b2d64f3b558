package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Standby starts a read-only copy of s that follows it: pg_is_in_recovery() is true there, and what is written to s
// soon shows. It has the users, the passwords, the certificate and the pg_hba.conf of s, on a port of its own. The
// caller closes it, before or after s.
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

// follow copies the data folder of the running server s, as pg_basebackup would (the npm packages have none), and
// starts.
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
		start, stop = "SELECT pg_start_backup('standby', true, false)",
			"SELECT labelfile FROM pg_stop_backup(false, false)"
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

// CatchUp waits until the standby b knows what s knows.
func (b *Server) CatchUp(ctx context.Context, s *Server) error {
	// What others have committed may not be written yet (synchronous_commit is off); a commit that is waited for comes
	// after it.
	if err := s.Exec(ctx, "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'standby', "+
		"'')"); err != nil {
		return err
	}
	at, err := s.ask(ctx, "SELECT pg_current_wal_flush_lsn()::text")
	if err != nil {
		return err
	}
	return b.awaits(ctx, "SELECT pg_last_wal_replay_lsn() >= '"+at+"'")
}

// Cut has the standby b catch up with s and follow it no longer: what s does from now on, b will never know.
func (b *Server) Cut(ctx context.Context, s *Server) error {
	if err := b.CatchUp(ctx, s); err != nil {
		return err
	}
	if err := b.Exec(ctx, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	return b.awaits(ctx, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
}

// Promote makes the standby b a server of its own, which takes changes.
func (b *Server) Promote(ctx context.Context) error {
	if err := b.Exec(ctx, "SELECT pg_promote(true, 120)"); err != nil {
		return err
	}
	return b.awaits(ctx, "SELECT NOT pg_is_in_recovery()")
}

// ask gives the one text that a query answers.
func (s *Server) ask(ctx context.Context, sql string) (answer string, err error) {
	conn, err := s.Admin(ctx, "postgres")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, sql).Scan(&answer)
	return answer, err
}

// awaits asks until the answer is true.
func (s *Server) awaits(ctx context.Context, condition string) error {
	for {
		answer, err := s.ask(ctx, "SELECT coalesce(("+condition+"), false)::text")
		if err != nil || answer == "true" {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("waiting for %s: %w", condition, err)
		}
	}
}

// pause is the time between two questions whether something has happened.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}

// NewCertificate has the server show another certificate to clients that come from now on: of the authority that they
// know, or, not trusted, of another.
func (s *Server) NewCertificate(ctx context.Context, trusted bool) error {
	loaded, err := s.ask(ctx, "SELECT pg_conf_load_time()::text")
	if err != nil {
		return err
	}
	if err := s.renew(s.DataDir, trusted); err != nil {
		return err
	}
	if err := s.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	// each question is a new session, and so knows what new clients meet
	return s.awaits(ctx, "SELECT pg_conf_load_time() > '"+loaded+"'")
}

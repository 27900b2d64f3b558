package dbserver

import (
	"context"
	"os"
	"path/filepath"
)

// Standby starts a server to take the place of s, with the TLS of s. Servers do not give each other their users: it has
// those that the ACL file of s has when Cut takes a copy, as where that file is on a volume that outlives s. So what s
// has not saved is lost. The caller closes it.
func (s *ValkeyServer) Standby(ctx context.Context) (*ValkeyServer, error) {
	o := s.options
	o.like = s.Identity
	return StartValkey(ctx, o)
}

// Cut has the standby b take over the users that s has saved until now.
func (b *ValkeyServer) Cut(ctx context.Context, s *ValkeyServer) error {
	users, err := os.ReadFile(s.aclFile())
	if err != nil {
		return err
	}
	if err := writeFile(b.aclFile(), users); err != nil {
		return err
	}
	if err := b.Exec(ctx, []string{"ACL", "LOAD"}); err != nil {
		return err
	}
	b.Superuser, b.Password = s.Superuser, s.Password // whose session the server has ended
	return nil
}

// Promote makes the standby b a server of its own, which it is.
func (b *ValkeyServer) Promote(ctx context.Context) error { return b.Exec(ctx, []string{"PING"}) }

// NewCertificate has the server show another certificate to clients that come from now on: of the authority that they
// know, or, not trusted, of another.
func (s *ValkeyServer) NewCertificate(ctx context.Context, trusted bool) error {
	if err := s.renew(s.dir, trusted); err != nil {
		return err
	}
	admin := *s
	admin.unverified = true // which may be what it shows now
	return admin.Exec(ctx, []string{"CONFIG", "SET", "tls-cert-file", filepath.Join(s.dir, "server.crt"),
		"tls-key-file", filepath.Join(s.dir, "server.key")})
}

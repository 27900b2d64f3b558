package mysql

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// rehearseOwn tries whether the account that is logged in may change its password.
// keeping is what follows in the statement: RETAIN CURRENT PASSWORD, or nothing.
func (s *session) rehearseOwn(ctx context.Context, sample secret.Password, keeping string) error {
	st := step{doing: fmt.Sprintf("rehearsing a new password of %q", s.as.User), private: true, policy: true, own: true, limit: s.limit,
		remedy: "the server does not let this user change its own password: rotate through a superuser's secret"}
	if keeping != "" {
		st.remedy = s.keepingRemedy()
	}
	if s.sandbox {
		return nil // what the sandbox lets through is this very change
	}
	if s.mariadb {
		return s.rehearseHash(ctx, st, "")
	}
	if err := s.storedHere(ctx); err != nil {
		return err
	}
	err := s.attempt(ctx, "ALTER USER USER() IDENTIFIED BY "+quotePassword(sample)+" REPLACE "+quoteText(rand.Text())+keeping)
	switch {
	case number(err) == 3891:
		return nil
	case err != nil:
		return explain(ctx, s.as, st, err)
	}
	// The server has changed the password though the one to replace was wrong. Put
	// it back, whatever else.
	if err := s.attempt(ctx, "ALTER USER USER() IDENTIFIED BY "+quotePassword(s.as.Password)); err != nil {
		return s.fail(rotator.Internal, "the server changed the password in a rehearsal, and it could not be put back: set the password in AWSCURRENT by hand (server's error %d)", number(err))
	}
	return s.fail(rotator.Internal, "the server does not check the password that a change replaces, so that nothing can be rehearsed; the old password was put back")
}

// storedHere refuses accounts whose passwords are kept elsewhere: MySQL changes
// those without a look at REPLACE, and a rehearsal would be the real thing.
func (s *session) storedHere(ctx context.Context) error {
	rows, err := s.query(ctx, step{doing: "looking up how the user logs in"}, "SHOW CREATE USER CURRENT_USER()")
	if err != nil {
		return err
	}
	plugin, err := pluginOf(rows[0][0])
	if err != nil || (row{plugins: []string{plugin}}).plugin() == "" {
		return s.fail(rotator.Misconfigured, "the user logs in by %s, and this function changes and proves passwords of %s", plugin, strings.Join(passwordPlugins, ", "))
	}
	return nil
}

// rehearseOthers tries whether the superuser may change the passwords of accounts
// that exist. The accounts have been looked up: all have their password in the
// server.
func (s *session) rehearseOthers(ctx context.Context, targets []row, sample secret.Password) error {
	for _, t := range targets {
		st := step{doing: "rehearsing a new password of " + t.String(), private: true, policy: true, limit: s.limit}
		if s.mariadb {
			st.remedy = s.setPasswordRemedy()
			if err := s.rehearseHash(ctx, st, " FOR "+t.String()); err != nil {
				return err
			}
			continue
		}
		st.remedy = s.createUserRemedy()
		err := s.attempt(ctx, "ALTER USER "+t.String()+" IDENTIFIED BY "+quotePassword(sample)+" REPLACE 'x'")
		switch {
		case number(err) == 3893, number(err) == 3891:
		case err != nil:
			return explain(ctx, s.as, st, err)
		default:
			return s.fail(rotator.Internal, "the server changed the password of %s in a rehearsal, against its own rule: set the password in AWSCURRENT by hand", t)
		}
	}
	return nil
}

// rehearseHash has MariaDB store a hash that no plugin takes. The answers 1372 (no
// hash) and 1290 (no hashes, for a validation plugin has to see the password) come
// after everything else was checked. Where a plugin without passwords stands before
// one that has them (unix_socket OR ed25519), the answer is of the former, and that of
// the latter is among the warnings.
func (s *session) rehearseHash(ctx context.Context, st step, whose string) error {
	err := s.attempt(ctx, "SET PASSWORD"+whose+" = 'x'")
	switch {
	case number(err) == 1372, s.strict(err):
		return nil
	case number(err) == 1699:
		warnings, e := s.query(ctx, step{doing: "looking up why"}, "SHOW WARNINGS")
		if e != nil {
			return e
		}
		for _, w := range warnings {
			if w[1] == "1372" || w[1] == "1290" && strings.Contains(w[2], "strict-password-validation") {
				return nil
			}
		}
		return explain(ctx, s.as, st, err)
	case err != nil:
		return explain(ctx, s.as, st, err)
	}
	return s.fail(rotator.Internal, "the server took for a hash what is none: set the password in AWSCURRENT by hand")
}

// rehearseGrants tries whether the superuser may grant what a clone lacks, by
// granting it to an account that does not exist: the server looks at the right
// first, and does not find the account then.
func (s *session) rehearseGrants(ctx context.Context, original account, missing rights) error {
	if s.mariadb {
		rows, err := s.query(ctx, step{doing: "looking up the sql_mode"}, "SELECT @@SESSION.sql_mode")
		if err != nil {
			return err
		}
		if !strings.Contains(rows[0][0], "NO_AUTO_CREATE_USER") {
			return nil // the grants would create the account
		}
	}
	nobody := nobodyAt(original.host)
	for _, sql := range missing.grants(nobody) {
		switch err := s.attempt(ctx, sql.text); number(err) {
		case 1410, 1133, 3523:
		case 0:
			if err != nil {
				return explain(ctx, s.as, step{doing: "rehearsing grants", limit: s.limit}, err)
			}
			drop := step{doing: "taking back what was only rehearsed"}
			if err := s.exec(ctx, drop, "DROP USER "+nobody.String()); err != nil {
				return err
			}
		default:
			return explain(ctx, s.as, step{limit: s.limit, granting: true,
				doing:  "rehearsing to grant " + sql.what + " as " + original.String() + " has it",
				remedy: s.grantRemedy(sql)}, err)
		}
	}
	return nil
}

// nobodyAt is an account that does not exist.
func nobodyAt(host string) account {
	return account{user: "qt-" + strings.ToLower(rand.Text()[:20]), host: host}
}

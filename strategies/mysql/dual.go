package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

const retain = " RETAIN CURRENT PASSWORD"

// SetPasswordKeeping implements strategies.DualPasswordEngine, on MySQL 8.0.14 and
// later, for the user itself, who needs APPLICATION_PASSWORD_ADMIN: a superuser is not
// told which of the two passwords is the current one.
//
// The server compares REPLACE with the current (primary) password and not with the
// retained one, and so tells whether login.Password is still the current one. If it is,
// it is retained. If it is not, it is the retained one already, from an earlier
// attempt; to retain again would push it out in favour of a password that no client
// keeps, so the current one alone is replaced, and the retained one stays.
// https://dev.mysql.com/doc/refman/9.0/en/password-management.html#dual-passwords
func (e Engine) SetPasswordKeeping(ctx context.Context, login strategies.Login, user string, _,
	p secret.Password) error {
	if err := checkNewPassword(p, login.User); err != nil {
		return err
	}
	if err := checkSelf(login, user); err != nil {
		return err
	}
	s, err := e.openForChange(ctx, login, func(*session) []string { return []string{whatIsLogged} }, login.User)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.checkKeeping(); err != nil {
		return err
	}
	if err := s.checkMasked(ctx); err != nil {
		return err
	}
	if p.Equal(login.Password) {
		return nil // it lets us in: to set it again would push out the other
	}
	st := operation{action: fmt.Sprintf("changing the password of %q, and retaining the current one", login.User),
		sensitive: true, setsPassword: true, selfChange: true,
		remedy: s.keepingRemedy(), limit: s.limit}
	change := "ALTER USER USER() IDENTIFIED BY " + quotePassword(p)
	err = s.execRaw(ctx, change+" REPLACE "+quotePassword(login.Password)+retain)
	if errorNumber(err) == 3891 {
		pending := login
		pending.Password = p
		if e.Ping(ctx, pending) == nil {
			return nil // an earlier attempt has done it
		}
		err = s.execRaw(ctx, change)
	}
	if err != nil {
		return s.wrapError(ctx, st, err)
	}
	return nil
}

// DryRunKeeping implements strategies.DualPasswordEngine, as DryRunSetPassword does it.
func (e Engine) DryRunKeeping(ctx context.Context, login strategies.Login, user string, _,
	sample secret.Password) ([]strategies.Warning, error) {
	if err := checkSelf(login, user); err != nil {
		return nil, err
	}
	return e.dryRun(ctx, login, login.User, sample, retain)
}

// DualPasswords reads the setting MYSQL_DUAL_PASSWORDS: true has MySQL keep the old password
// of a single user beside the new one until the next rotation.
func DualPasswords(lookup func(string) (string, bool), throughSuperuser bool) (bool, error) {
	dual, err := rotator.BoolSetting(lookup, "MYSQL_DUAL_PASSWORDS")
	if dual && throughSuperuser {
		err = fmt.Errorf("environment: %w: MYSQL_DUAL_PASSWORDS excludes SINGLE_USER_THROUGH_SUPERUSER: the user "+
			"must change its own password", rotator.KindMisconfigured)
	}
	return dual, err
}

// checkSelf refuses a superuser.
func checkSelf(login strategies.Login, user string) error {
	if user == login.User {
		return nil
	}
	return fmt.Errorf("dual passwords of user %q: %w: on MySQL the user must change its own password: unset "+
		"SINGLE_USER_THROUGH_SUPERUSER", user, rotator.KindMisconfigured)
}

// checkKeeping refuses servers that keep one password.
func (s *session) checkKeeping() error {
	switch {
	case s.mariadb:
		return s.errorf(rotator.KindMisconfigured, "this server is MariaDB, which keeps one password for an account: "+
			"rotate it without dual passwords, or with alternating users")
	case olderThan(s.wire.version, 8, 0, 14):
		return s.errorf(rotator.KindMisconfigured, "MySQL %s keeps one password for an account, as of 8.0.14 it "+
			"keeps two: upgrade, or rotate without dual passwords", s.wire.version)
	case s.sandbox:
		return s.errorf(rotator.KindPrivilege, "the password has expired, and an expired password is not worth "+
			"retaining: rotate once without dual passwords, or as a superuser, %s, %s", s.resetExpired(),
			typedFor(s.login.User))
	}
	return nil
}

func (s *session) keepingRemedy() rotator.Sentence {
	return rotator.Sentencef(asAdministrator+"%s: an account needs it to keep a second password",
		s.fix("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO %s", s.actingAccount))
}

// olderThan says whether a server's version is lower.
func olderThan(version string, want ...int) bool {
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	for i, w := range want {
		n := 0
		if i < len(parts) {
			n, _ = strconv.Atoi(parts[i]) // too large a number is not lower
		}
		if n != w {
			return n < w
		}
	}
	return false
}

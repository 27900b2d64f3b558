package mysql

import (
	"context"
	"strings"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// ownCaveats says what an account can see of itself that may surprise later. A
// retained password surprises nobody who asks for one.
func (s *session) ownCaveats(ctx context.Context, keeping bool) ([]strategies.Warning, error) {
	if s.sandbox {
		return []strategies.Warning{strategies.Warn("the password of user %q has expired, and clients are refused until this rotation has set a new one", s.as.User)}, nil
	}
	all, err := s.policyCaveats(ctx)
	if err != nil {
		return nil, err
	}
	// Whether there are others only who may read mysql.user can tell.
	rows, err := s.accounts(ctx, s.as.User)
	if err != nil {
		return all, nil
	}
	for i, r := range rows {
		rows[i].kept = r.kept && !keeping
		if r.account != s.me && r.plugin() != "" && !r.isRole {
			all = append(all, strategies.Warn("user %q has another account, %s, which keeps its password: clients on hosts that match it are not let in with the new one. Drop it, or rotate through a superuser's secret, which changes all accounts of the name", s.as.User, r))
		}
	}
	return append(all, s.rowCaveats(rows)...), nil
}

// caveats says what of a user's accounts will work today and may surprise later.
func (s *session) caveats(ctx context.Context, user string) ([]strategies.Warning, error) {
	all, err := s.policyCaveats(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.accounts(ctx, user)
	if err != nil {
		return nil, err
	}
	var having []row
	for _, r := range rows {
		if r.plugin() != "" && !r.isRole {
			having = append(having, r)
		}
	}
	if len(having) > 1 {
		all = append(all, strategies.Warn("user %q has %d accounts, %s: all of them that are not locked get the same new password", user, len(having), names(having)))
	}
	return append(all, s.rowCaveats(having)...), nil
}

func (s *session) rowCaveats(rows []row) []strategies.Warning {
	var all []strategies.Warning
	for _, r := range rows {
		var passwords []string
		for _, p := range r.plugins {
			if (row{plugins: []string{p}}).plugin() != "" {
				passwords = append(passwords, p)
			}
		}
		if len(passwords) > 1 {
			all = append(all, strategies.Warn("account %s has passwords of several plugins (%s), and MariaDB changes that of the first alone: an old one may go on letting clients in", r, strings.Join(passwords, ", ")))
		}
		if r.kept {
			all = append(all, strategies.Warn("account %s has a retained second password, which lets clients in until dual passwords replace it or somebody runs ALTER USER %s DISCARD OLD PASSWORD", r, r))
		}
		if r.soon != "" && strings.Contains(r.expiry, "INTERVAL") {
			all = append(all, strategies.Warn("the password of account %s expires on %s, unless it is rotated before: rotate more often than %s", r, r.soon, strings.TrimPrefix(r.expiry, "PASSWORD EXPIRE INTERVAL ")))
		}
	}
	return all
}

// policyCaveats says where a server's policy cannot be asked in advance.
func (s *session) policyCaveats(ctx context.Context) ([]strategies.Warning, error) {
	if !s.mariadb {
		return nil, nil
	}
	const sql = `SELECT GROUP_CONCAT(PLUGIN_NAME ORDER BY 1 SEPARATOR ', '), IF(@@GLOBAL.strict_password_validation, 'Y', 'N'), IF(@@GLOBAL.general_log, 'Y', 'N')
FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'`
	rows, err := s.query(ctx, step{doing: "looking up what judges passwords"}, sql)
	if err != nil || rows[0][0] == "" {
		return nil, err
	}
	if rows[0][1] != "Y" {
		return []strategies.Warning{strategies.Warn("new passwords are not judged by %s: strict_password_validation is off, and MariaDB is given a hash", rows[0][0])}, nil
	}
	all := []strategies.Warning{strategies.Warn("new passwords are judged by %s, which MariaDB does only when one is really set: see that the function's password settings satisfy it", rows[0][0])}
	if rows[0][2] == "Y" {
		all = append(all, strategies.Warn("strict_password_validation has the password sent in clear, and the general log, which is on, will hold it: turn that log off"))
	}
	return all, nil
}

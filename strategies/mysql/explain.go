package mysql

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// Inquiry implements strategies.Explainer.
func (Engine) Inquiry(users ...string) string {
	return "SELECT User, Host, plugin, ssl_type, account_locked, password_expired FROM mysql.user" + inquiryEnd(users)
}

// Inquiry implements strategies.Explainer.
func (MariaDB) Inquiry(users ...string) string {
	return "SELECT User, Host, plugin, ssl_type, JSON_VALUE(Priv, '$.account_locked') AS account_locked, " +
		"password_expired " +
		"FROM mysql.user JOIN mysql.global_priv USING (User, Host)" + inquiryEnd(users)
}

// inquiryEnd says what the answer means. REQUIRE is a statement of its own: in one with ACCOUNT UNLOCK it has to
// come before that.
func inquiryEnd(users []string) string {
	var names, one string
	for _, user := range users {
		names += quoteText(user) + ", "
		one = cmp.Or(one, quoteIdent(user))
	}
	return " WHERE User IN (" + names + "'') -- of several accounts whose Host matches an address, the server takes " +
		"the most " +
		"specific: one that is another owner's, or has no name, hides the right one, so RENAME USER or DROP USER it " +
		"and set no " +
		"password. With ssl_type X509 or SPECIFIED no password will do: ALTER USER " + one + "@`%` REQUIRE SSL. No row for the name: " +
		"the account is renamed (RENAME USER it back) or dropped. No row whose Host matches: CREATE USER for one " +
		"that does, and GRANT what it had"
}

// Explain implements strategies.Explainer, as Engine does.
func (m MariaDB) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	return Engine(m).Explain(ctx, superuser, rejected...)
}

// Explain implements strategies.Explainer. The superuser comes from the address that the rejected logins came from, so
// that
// it sees which account the server took them for.
func (e Engine) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	s, err := e.openForChange(ctx, superuser, nil)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if s.sandbox {
		return nil, s.errorf(rotator.KindPrivilege, "the superuser's own password has expired: rotate its secret first")
	}
	row, err := s.row(ctx, operation{action: "asking where the login comes from"},
		"SELECT CAST(SUBSTRING_INDEX(USER(), '@', -1) AS BINARY) LIMIT 1")
	if err != nil {
		return nil, err
	}
	anonymous, err := s.accounts(ctx, "")
	if err != nil {
		return nil, err
	}
	causes := make([]rotator.RejectionCause, len(rejected))
	for i, login := range rejected {
		own, err := s.accounts(ctx, login.User)
		if err != nil {
			return nil, err
		}
		causes[i] = rejectionCause(login, row[0], own, anonymous)
	}
	return causes, nil
}

// rejectionCause says why a login from a host is rejected. own are the accounts of the name, anonymous those without
// one.
func rejectionCause(login strategies.Login, host string, own, anonymous []accountRow) rotator.RejectionCause {
	blocked := func(format string, args ...any) rotator.RejectionCause {
		return rotator.RejectionCause{Text: fmt.Sprintf(format, args...), Blocked: true}
	}
	own = slices.DeleteFunc(slices.Clone(own), func(r accountRow) bool { return r.isRole })
	// of two for the same host the server takes the one with a name
	met, ok := serving(slices.Concat(anonymous, own), host)
	right := slices.IndexFunc(own, func(r accountRow) bool { return r.accepts(login.Password) })
	switch {
	case len(own) == 0:
		return rotator.RejectionCause{Text: gone(login.User, nil)}
	case slices.ContainsFunc(own, func(r accountRow) bool { return strings.Contains(r.host, "/") }): // a netmask
		return rotator.RejectionCause{Text: fmt.Sprintf("user %q has the accounts %s, and the server calls the "+
			"address of this function %s", login.User, names(own), quoteText(host))}
	case !ok:
		return blocked("no account of user %q is for the address of this function, which the server calls %s, but "+
			"%s: RENAME USER %s TO %s, or CREATE USER for that address, and GRANT what it had",
			login.User, quoteText(host), names(own), own[0], account{user: login.User, host: "%"})
	case met.user == "":
		return blocked("the server takes the login for the anonymous account %s, which comes before any account of "+
			"%q for the address of this function: DROP USER %s", met, login.User, met)
	case met.locked:
		also := ""
		if !met.accepts(login.Password) {
			also = "; its password is another, too"
		}
		return blocked("account %s is locked: ALTER USER %s ACCOUNT UNLOCK%s", met, met, also)
	case met.require == "REQUIRE SSL" && login.TLS.Disabled:
		return blocked(`account %s demands TLS: remove "ssl": false from the secret`, met)
	case met.require != "REQUIRE NONE" && met.require != "REQUIRE SSL":
		without := ""
		if login.TLS.Disabled {
			without = `, and remove "ssl": false from the secret`
		}
		return blocked("account %s demands a client certificate (%s), of which this function has none: ALTER USER %s "+
			"REQUIRE SSL%s", met, met.require, met, without)
	case met.plugin() == "":
		return blocked("account %s logs in by %s, and not by a password: give it one of %s, or stop rotating "+
			"this secret", met, strings.Join(met.plugins, " or "), strings.Join(passwordPlugins, ", "))
	case met.accepts(login.Password):
		return rotator.RejectionCause{Right: true,
			Text: fmt.Sprintf("account %s, which the server takes the login for, has this very password", met)}
	case right >= 0:
		return blocked("the server takes the login for account %s, which hides %s, whose password this is: if no "+
			"client needs the former, DROP USER %s; otherwise give it the same password", met, own[right], met)
	}
	// It may be locked after failed logins, which no table shows.
	return rotator.RejectionCause{Reset: "ALTER USER " + met.String() + " IDENTIFIED BY 'PASSWORD' ACCOUNT UNLOCK",
		Text: fmt.Sprintf("the server takes the login for account %s, and its password is another", met)}
}

// gone says what to do about a user without an account. The other user of a pair, if it is there, has the same
// privileges.
func gone(user string, clones []accountRow) string {
	had := "its deployment or a backup says"
	if len(clones) > 0 {
		had = "SHOW GRANTS FOR " + clones[0].String() + " shows"
	}
	return fmt.Sprintf("there is no account of user %q on this server: if it was renamed, RENAME USER it back "+
		"(SELECT User, Host FROM mysql.user shows all names); if it was dropped, CREATE USER %s with a password, and "+
		"GRANT it what it had, which %s; or correct the user name in the secret",
		user, account{user: user, host: "%"}, had)
}

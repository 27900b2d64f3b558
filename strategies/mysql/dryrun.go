package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// dryRunOwn tries whether the account that is logged in may change its password.
// keeping is what follows in the statement: RETAIN CURRENT PASSWORD, or nothing.
func (s *session) dryRunOwn(ctx context.Context, sample secret.Password, keeping string) error {
	st := operation{action: fmt.Sprintf("dry run of a new password of %q", s.login.User), sensitive: true,
		setsPassword: true, selfChange: true, limit: s.limit,
		remedy: ownPasswordRemedy()}
	if keeping != "" {
		st.remedy = s.keepingRemedy()
	}
	if s.sandbox {
		return nil // what the sandbox lets through is this very change
	}
	if s.mariadb {
		if err := s.checkFirstMethod(ctx); err != nil {
			return err
		}
		return s.dryRunHash(ctx, st, "")
	}
	if err := s.checkStoredInServer(ctx); err != nil {
		return err
	}
	err := s.execRaw(ctx, "ALTER USER USER() IDENTIFIED BY "+quotePassword(sample)+" REPLACE "+quoteText(rand.Text())+
		keeping)
	switch {
	case errorNumber(err) == 3891:
		return nil
	case err != nil:
		return s.wrapError(ctx, st, err)
	}
	// The server has changed the password though the one to replace was wrong. Put
	// it back, whatever else.
	if err := s.execRaw(ctx, "ALTER USER USER() IDENTIFIED BY "+quotePassword(s.login.Password)); err != nil {
		return s.errorf(rotator.KindInternal, "the dry run changed the password and could not restore it: set it to "+
			"AWSCURRENT's value by hand (server error %d)", errorNumber(err))
	}
	return s.errorf(rotator.KindInternal, "the server does not check the password that a change replaces, so a dry "+
		"run is not possible; the old password was restored")
}

const howTheUserLogsIn = "SHOW CREATE USER CURRENT_USER()"

// checkStoredInServer refuses accounts whose passwords are kept elsewhere: MySQL changes
// those without a look at REPLACE, and a rehearsal would be the real thing.
func (s *session) checkStoredInServer(ctx context.Context) error {
	row, err := s.row(ctx, operation{action: "looking up how the user logs in"}, howTheUserLogsIn)
	if err != nil {
		return err
	}
	plugin, err := pluginOf(row[0])
	s.attempts = attemptsOf(row[0])
	if err != nil || (accountRow{plugins: []string{plugin}}).plugin() == "" {
		return s.errorf(rotator.KindMisconfigured, "account %s %s, or stop rotating this secret", s.actingAccount,
			s.ofNoPassword(ctx, accountRow{account: s.actingAccount, plugins: []string{plugin}}))
	}
	return s.checkPolicy(ctx, false, accountRow{account: s.actingAccount, plugins: []string{plugin}})
}

// checkFirstMethod refuses an account of MariaDB which has another password before the one
// that logs in here: SET PASSWORD would change that one.
func (s *session) checkFirstMethod(ctx context.Context) error {
	row, err := s.row(ctx, operation{action: "looking up how the user logs in"}, howTheUserLogsIn)
	if err != nil {
		return err
	}
	methods := methodsOf(row[0])
	for _, plugin := range methods {
		switch {
		case slices.Contains(passwordPlugins, plugin):
			return s.checkTold(s.actingAccount, methods)
		case !slices.Contains(passwordless, plugin):
			return s.errorf(rotator.KindMisconfigured,
				"account %s logs in by %s first, and what it changes of itself is the password of that. This "+
					"function changes and proves passwords of %s: ALTER USER it to begin with one of these, or to "+
					"have no other", s.actingAccount, plugin, strings.Join(passwordPlugins, ", "))
		}
	}
	return nil
}

// checkTold refuses an account of MariaDB by whose logins a wrong password could not be told from an account without a
// password: the driver proves mysql_native_password unasked, and where the server asks for a proof of another kind
// next,
// it may have refused that one or never have looked at it. A retry would not know that the password has been changed.
func (s *session) checkTold(a account, methods []string) error {
	if methods[0] != "mysql_native_password" {
		return nil
	}
	for _, plugin := range methods[1:] {
		switch {
		case plugin == "unix_socket", plugin == "named_pipe": // ask for nothing
		case slices.Contains(passwordPlugins, plugin):
			return nil
		default:
			return s.errorf(rotator.KindMisconfigured,
				"account %s logs in by mysql_native_password or %s, and a wrong password could not be told from an "+
					"account that has none, because this function does not have %s: ALTER USER it to log in by "+
					"mysql_native_password or ed25519 without that, or stop rotating this secret", a, plugin, plugin)
		}
	}
	return nil
}

// passwordless are the plugins of MariaDB that SET PASSWORD passes over.
var passwordless = []string{"unix_socket", "pam", "gssapi", "named_pipe"}

// dryRunOthers tries whether the superuser may change the passwords of accounts
// that exist. The accounts have been looked up: all have their password in the
// server.
func (s *session) dryRunOthers(ctx context.Context, targets []accountRow, sample secret.Password) error {
	if err := s.checkOneMethod(ctx, targets); err != nil {
		return err
	}
	if err := s.checkPolicy(ctx, false, targets...); err != nil {
		return err
	}
	for _, t := range targets {
		st := operation{action: "dry run of a new password of " + t.String(), sensitive: true, setsPassword: true,
			limit: s.limit}
		if s.mariadb {
			if err := s.checkTold(t.account, t.plugins); err != nil {
				return err
			}
			if err := s.dryRunHash(ctx, st, " FOR "+t.String()); err != nil {
				return err
			}
			continue
		}
		err := s.execRaw(ctx, "ALTER USER "+t.String()+" IDENTIFIED "+t.withPlugin()+"BY "+quotePassword(sample)+
			" REPLACE 'x'")
		switch {
		case errorNumber(err) == 3893, errorNumber(err) == 3891:
		case err != nil:
			grant := s.grantToChange(ctx, t.account)
			err := s.denied(ctx, st, err, grant, "")
			theirs, _, failed := s.grants(ctx, t.account)
			if failed != nil || !strings.Contains(grant.Run, "SYSTEM_USER") {
				return err
			}
			maps.DeleteFunc(theirs, func(x right, _ bool) bool { return !rights{x: true}.isSystem() })
			return s.orTaken(ctx, err, t.account, theirs)
		default:
			return s.errorf(rotator.KindInternal, "the dry run changed the password of %s, against the server's own "+
				"rule: set it to AWSCURRENT's value by hand", t)
		}
	}
	return nil
}

// dryRunHash has MariaDB store a hash that no plugin takes. The answers 1372 (no
// hash) and 1290 (no hashes, for a validation plugin has to see the password) come
// after everything else was checked. Where a plugin without passwords stands before
// one that has them (unix_socket OR ed25519), the answer is of the former, and that of
// the latter is among the warnings.
func (s *session) dryRunHash(ctx context.Context, st operation, whose string) error {
	err := s.execRaw(ctx, "SET PASSWORD"+whose+" = 'x'")
	switch {
	case errorNumber(err) == 1372, s.strict(err):
		return nil
	case errorNumber(err) == 1699:
		warnings, e := s.query(ctx, operation{action: "looking up why"}, "SHOW WARNINGS")
		if e != nil {
			return e
		}
		for _, w := range warnings {
			if w[1] == "1372" || w[1] == "1290" && strings.Contains(w[2], "strict-password-validation") {
				return nil
			}
		}
	}
	switch {
	case err != nil && whose != "":
		return s.denied(ctx, st, err, s.grantToSetPasswords(), "")
	case err != nil:
		return s.wrapError(ctx, st, err)
	}
	return s.errorf(rotator.KindInternal, "the server took for a hash what is none: set the password in AWSCURRENT "+
		"by hand")
}

// copying is what dryRunGrants does with the rights of an original.
const copying = "copying"

// dryRunGrants tries whether the superuser may grant what a clone lacks, by
// granting it to an account that does not exist: the server looks at the right
// first, and does not find the account then. All that it may not grant is in denied. It would be done by copying them
// from another account, or by taking them.
func (s *session) dryRunGrants(ctx context.Context, doing string, from account, missing rights) (denied denials,
	err error) {
	absent := nonexistentAccount(from.host)
	statements := missing.grants(absent)
	if len(statements) == 0 {
		return nil, nil
	}
	if s.mariadb {
		row, err := s.row(ctx, operation{action: "looking up the sql_mode"}, "SELECT @@SESSION.sql_mode")
		if err != nil {
			return nil, err
		}
		if !strings.Contains(row[0], "NO_AUTO_CREATE_USER") {
			return nil, nil // the grants would create the account
		}
	}
	switch {
	case s.mariadb:
		if statements, err = s.refused(ctx, statements); err != nil {
			return nil, s.wrapError(ctx, operation{action: "dry run of grants", limit: s.limit}, err)
		}
	case len(statements) > 1:
		mine, _, err := s.grants(ctx, s.actingAccount)
		if err != nil {
			return nil, err
		}
		statements = mine.samples(missing, absent)
	}
	for _, sql := range statements {
		switch err := s.execRaw(ctx, sql.text); errorNumber(err) {
		case 1410, 1133, 3523:
		case 0:
			if err != nil {
				return nil, s.wrapError(ctx, operation{action: "dry run of grants", limit: s.limit}, err)
			}
			drop := operation{action: "removing what the dry run created"}
			if err := s.exec(ctx, drop, "DROP USER "+absent.String()); err != nil {
				return nil, err
			}
		default:
			grant, why := s.grantRemedy(sql)
			st := operation{limit: s.limit, action: fmt.Sprintf("dry run of %s %s from %s", doing, sql.what, from)}
			err := s.denied(ctx, st, err, grant, why)
			switch n := errorNumber(err); {
			case doing != copying:
			case n == 1054, n == 1146:
				return nil, onDropped(err, from, missing, func(r rights) bool { return r.grants(absent)[0] == sql })
			case strings.HasPrefix(sql.what, theRole):
				err = s.orRevoked(err, from, sql)
			case strings.Contains(sql.text, " ON *.* TO "+absent.String()):
				err = s.orTaken(ctx, err, from, missing)
			}
			if err := denied.add(err); err != nil {
				return nil, err
			}
		}
	}
	return denied, nil
}

// denial is an operation that a dry run was not permitted, and the statement that permits it.
type denial struct {
	error
	grant rotator.Fix
	take  []rotator.Fix // what takes from an account what would have to be granted
	of    account       // which that is
	why   string
	as    func(remedy rotator.Sentence) error // the error with another remedy
}

func (d denial) Unwrap() error { return d.error }

// denied makes a denial of what the server said, where it is one.
func (s *session) denied(ctx context.Context, st operation, err error, grant rotator.Fix, why string) error {
	as := func(remedy rotator.Sentence) error {
		st.remedy = remedy
		return s.wrapError(ctx, st, err)
	}
	one := as(rotator.Sentencef(asAdministrator+"%s%s", grant, why))
	if rotator.KindOf(one) != rotator.KindPrivilege {
		return one
	}
	return denial{error: one, grant: grant, why: why, as: as}
}

// denials are all that a dry run was not permitted, so that one finding names every statement to run.
type denials []denial

// add takes an error that is one of them, and gives back any other.
func (d *denials) add(err error) error {
	var x denial
	if !errors.As(err, &x) {
		return err
	}
	*d = append(*d, x)
	return nil
}

// insteadBy are denials that other statements mend.
func (d denials) insteadBy(statements []statement) (all denials) {
	for _, sql := range statements[:len(statements)*min(1, len(d))] {
		take := rotator.NewFix(rotator.ByAdministrator, sql.text)
		all = append(all, denial{error: d[0].error, grant: take, as: d[0].as})
	}
	return all
}

// err is the first, with the statements of all; nil: there is none.
func (d denials) err() error {
	if d == nil {
		return nil
	}
	var take, grants []rotator.Fix
	why, of := "", ""
	for _, x := range d {
		why = cmp.Or(why, x.why)
		if x.take != nil {
			of, x.grant.For = x.of.String(), "if account "+x.of.String()+" is meant to have it"
		}
		for _, fix := range x.take {
			if !slices.Contains(take, fix) {
				take = append(take, fix)
			}
		}
		if !slices.Contains(grants, x.grant) {
			grants = append(grants, x.grant)
		}
	}
	remedy := rotator.Sentencef(asAdministrator+"%s%s", rotator.RunEach(grants...), why)
	if take != nil {
		remedy = rotator.Sentencef("account %s has privileges ON *.*, or a role, that the superuser lacks, or may not "+
			"pass on. If that is not meant: "+asAdministrator+"%s. If it is: %s", of, rotator.RunEach(take...), remedy)
	}
	return d[0].as(remedy)
}

// onDropped adds to an error what takes from an account its privileges on what the statement of the error is for.
func onDropped(err error, from account, some rights, is func(rights) bool) error {
	var lines []rotator.Fix
	for _, on := range some.onObjects(privilege) {
		if !is(on.rights) {
			continue
		}
		for _, sql := range on.revokes(from) {
			take := rotator.NewFix(rotator.ByAdministrator, sql.text)
			take.For = "if what these privileges are on was dropped for good"
			lines = append(lines, take)
		}
	}
	return rotator.WithFix(err, "", lines...)
}

// orTaken adds to a denial what takes from an account what it has of some rights and the superuser may not give.
func (s *session) orTaken(ctx context.Context, err error, from account, some rights) error {
	var x denial
	take, failed := s.excess(ctx, from, some)
	if failed != nil || !errors.As(err, &x) {
		return err
	}
	x.take, x.of = take, from
	x.error = denials{x}.err()
	return x
}

// orRevoked adds to a denial of a role what takes that from an account: who may grant a role may have given it to a
// user of the secret unasked. On MariaDB an administrator may do neither who is no admin of the role.
func (s *session) orRevoked(err error, from account, sql statement) error {
	var x denial
	if !errors.As(err, &x) {
		return err
	}
	name, admin := strings.CutSuffix(strings.TrimPrefix(sql.what, theRole), " WITH ADMIN OPTION")
	if admin && !s.mariadb { // where no statement takes the option alone, and clients may need the role
		x.grant.Note = fmt.Sprintf("if account %s is not meant to have the role, or not WITH ADMIN OPTION, REVOKE it; "+
			"where its clients need the role, GRANT it again without", from)
		x.error = denials{x}.err()
		return x
	}
	what := name
	if admin {
		what = "ADMIN OPTION FOR " + name
	}
	take := rotator.NewFix(rotator.ByAdministrator, "REVOKE "+what+" FROM "+from.String())
	take.For = notMeant(from)
	if of, bad := (right{name: name}).role(); s.mariadb && bad == nil {
		take.Note = "error 1698: those alone may, and may grant it, whom SELECT User, Host FROM mysql.roles_mapping " +
			"WHERE Role = " + typedText(of.user) + " AND Admin_option = 'Y' shows; or, if no client needs it, DROP " +
			"ROLE it"
		x.grant.Note = take.Note
	}
	x.take, x.of = []rotator.Fix{take}, from
	x.error = denials{x}.err()
	return x
}

// excess takes from an account what it has ON *.* of some rights, as after GRANT ALL, that this user may not
// give. An original that has it may not be meant to: to be given more is for the superuser the other way out.
func (s *session) excess(ctx context.Context, from account, some rights) (take []rotator.Fix, err error) {
	mine, err := s.able(ctx, s.actingAccount, map[account]bool{})
	over := rights{}
	for x := range some {
		larger := x
		larger.option = true
		passes := mine[larger]
		if x.kind == privilege {
			passes = mine.has(grantOption, "*.*") && mine.cover(x)
		}
		if x.object == "*.*" && x.kind != restriction && (!passes || rights{x: true}.isSystem()) {
			over[x] = true
		}
	}
	for _, sql := range append(over.of(privilege).revokes(from), over.dynamicRevoke(from)...) {
		fix := rotator.NewFix(rotator.ByAdministrator, sql.text)
		fix.For, fix.Note = notMeant(from), grantsOf(from)+" shows what else it was given"
		take = append(take, fix)
	}
	return take, err
}

// notMeant is what a line is for that takes from an account what it was given beside what it needs.
func notMeant(from account) string {
	return "if account " + from.String() + " is not meant to have it, to take it away"
}

// refused gives the statements among which is one that MariaDB refuses for another reason
// than that the account does not exist; none: there is none. An error is not the server's.
func (s *session) refused(ctx context.Context, all []statement) (left []statement, err error) {
	for some := range slices.Chunk(all, batch) {
		err := s.execRaw(ctx, s.together(some, "DECLARE CONTINUE HANDLER FOR 1410, 1133, 3523 BEGIN END; "))
		switch {
		case err != nil && errorNumber(err) == 0:
			return nil, err
		case err != nil:
			left = append(left, some...)
		}
	}
	return left, nil
}

// samples gives the statements that have to be tried of those that would give missing to
// an account, by a user that has r: of all grants of the same privileges on different
// objects one, where r has these privileges everywhere and may pass them on.
func (r rights) samples(missing rights, to account) []statement {
	few, seen := rights{}, map[string]bool{}
	for x := range missing {
		if x.kind != privilege {
			few[x] = true
		}
	}
	for _, on := range missing.onObjects(privilege) {
		names := map[string]bool{}
		for x := range on.rights {
			names[x.name] = true
		}
		kind, _, _ := strings.Cut(on.object, "`") // PROCEDURE and so on
		key := kind + strings.Join(slices.Sorted(maps.Keys(names)), ",")
		if seen[key] && r.mayGrant(on.rights) {
			continue
		}
		seen[key] = true
		maps.Copy(few, on.rights)
	}
	return few.grants(to)
}

// databasePrivileges are all of a database's, of which ALL PRIVILEGES on one consists.
// https://dev.mysql.com/doc/refman/9.0/en/privileges-provided.html
var databasePrivileges = []string{"ALTER", "ALTER ROUTINE", "CREATE", "CREATE ROUTINE", "CREATE TEMPORARY TABLES", "CREATE VIEW", "DELETE", "DROP", "EVENT", "EXECUTE",
	"INDEX", "INSERT", "LOCK TABLES", "REFERENCES", "SELECT", "SHOW VIEW", "TRIGGER", "UPDATE"}

// mayGrant says whether r has privileges on every object, and may pass them on.
func (r rights) mayGrant(privileges rights) bool {
	if !r.has(grantOption, "*.*") || len(r.of(restriction)) > 0 {
		return false
	}
	for x := range privileges {
		names := []string{x.name}
		if x.name == allPrivileges {
			names = databasePrivileges
		}
		for _, name := range names {
			if !r.has(name, "*.*") && !r.has(allPrivileges, "*.*") {
				return false
			}
		}
	}
	return true
}

// nonexistentAccount is an account that does not exist.
func nonexistentAccount(host string) account {
	return account{user: "qt-" + strings.ToLower(rand.Text()[:20]), host: host}
}

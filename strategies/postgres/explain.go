package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// cloneSuffix is AWS's.
const cloneSuffix = "_clone"

// Inquiry implements strategies.Explainer.
func (Engine) Inquiry(users ...string) []rotator.Fix {
	quoted := make([]string, len(users))
	for i, user := range users {
		quoted[i] = quoteLiteral(user)
	}
	all := []rotator.Fix{{By: rotator.BySuperuser,
		Run: trusted + "SELECT rolname, rolcanlogin, rolvaliduntil, rolconnlimit, " +
			"current_setting('password_encryption') FROM pg_roles WHERE rolname IN (" +
			strings.Join(quoted, ", ") + ")",
		Note: "no row: the role is dropped, or renamed. rolcanlogin f: ALTER ROLE ... LOGIN, if it is not locked on " +
			"purpose. rolvaliduntil in the past: its password may be right. rolconnlimit 0: ALTER ROLE ... " +
			"CONNECTION LIMIT -1, or the number that it had. Otherwise the password is another, or it may be the " +
			"right one, stored as an md5 hash, which no login by scram-sha-256 passes, whatever current_setting is " +
			"(SELECT rolname, left(rolpassword, 3) FROM pg_authid shows a superuser which are md5)"}, names()}
	for _, user := range users {
		all = append(all, renameBack(user))
	}
	for _, user := range users {
		end := strategies.Fix(strategies.Login{}, "ALTER ROLE "+quoteIdent(user)+" VALID UNTIL 'infinity'")
		end.For = "if rolvaliduntil is in the past, to have the role log in again"
		end.Note = "or a later end, if it is to have one: keep the one that the query shows, which is lost then"
		all = append(all, end)
	}
	return all
}

// Explain implements strategies.Explainer, in a transaction that is rolled back. It reads what any role may read, and
// no verifier.
func (e Engine) Explain(ctx context.Context, superuser strategies.Login,
	rejected ...strategies.Login) ([]rotator.RejectionCause, error) {
	if len(rejected) == 0 {
		return nil, nil
	}
	s, err := e.open(ctx, superuser, true, nil, usersOf(rejected)...)
	if err != nil {
		return nil, err
	}
	defer s.close()
	causes := make([]rotator.RejectionCause, len(rejected))
	for i, login := range rejected {
		if causes[i], err = s.explain(ctx, login.User); err != nil {
			return nil, err
		}
	}
	const all = "ALTER ROLE ALL"
	if by := s.readOnlyBy; by != "" && (by == all || !strings.HasPrefix(by, "ALTER ROLE ")) { // not its own alone
		remark := readOnlyRemark(s.readOnlyBy)
		causes[0].Text += "; and " + remark.Text + ". Whatever is run there has to begin with BEGIN READ WRITE, and " +
			"to end with COMMIT"
		causes[0].Fixes = append(causes[0].Fixes, remark.Fixes...)
	}
	return causes, s.finish(ctx)
}

// usersOf gives each user once.
func usersOf(logins []strategies.Login) []string {
	users := []string{logins[0].User}
	for _, l := range logins[1:] {
		if l.User != users[0] {
			return append(users, l.User) // a pair has two
		}
	}
	return users
}

func (s *session) explain(ctx context.Context, user string) (rotator.RejectionCause, error) {
	r, ok := s.roles[user]
	if !ok {
		candidate, text, remedy, err := s.gone(ctx, user)
		cause := rotator.RejectionCause{Text: text, Remedy: remedy.Text, Fixes: remedy.Fixes, Blocked: candidate != ""}
		if !cause.Blocked {
			cause.Fixes = slices.DeleteFunc(cause.Fixes, func(f rotator.Fix) bool { // what Reset begins with
				return strings.HasPrefix(f.For, ifDropped(user))
			})
			cause.Reset = s.reset("CREATE ROLE " + quoteIdent(user) + " LOGIN PASSWORD 'PASSWORD' -- " + typedTwice +
				"; if it was dropped, and not renamed; then GRANT it what it had")
		}
		return cause, err
	}
	var found []string
	var fixes []rotator.Fix
	name := quoteIdent(user)
	say := func(is bool, statement, note, format string, args ...any) {
		if is {
			fix := s.mend(statement)
			fix.Note = note
			found, fixes = append(found, fmt.Sprintf(format, args...)+": "+fix.Run), append(fixes, fix)
		}
	}
	say(r.expired, "ALTER ROLE "+name+" VALID UNTIL 'infinity'", r.laterEnd(), "the VALID UNTIL of role %q has "+
		"passed", user)
	say(!r.login, "ALTER ROLE "+name+" LOGIN", notLocked, "role %q is locked", user)
	say(r.iam, "REVOKE rds_iam FROM "+name, "", "role %q is a member of rds_iam, and RDS takes no passwords from those",
		user)
	say(r.limit == 0 && !r.superuser, "ALTER ROLE "+name+" CONNECTION LIMIT -1", earlier, "role %q has CONNECTION "+
		"LIMIT 0", user)
	if !r.connects {
		why, lets, err := s.letsIn(ctx, user)
		if err != nil {
			return rotator.RejectionCause{}, err
		}
		found = append(found, fmt.Sprintf("role %q may not connect to database %q%s: %s", user, s.database, why, lets))
		fixes = append(fixes, lets.Fixes...)
	}
	if found != nil {
		return rotator.RejectionCause{Text: strings.Join(found, "; "), Fixes: fixes, Blocked: true}, nil
	}
	candidate, err := s.hasName(ctx, user)
	if err != nil {
		return rotator.RejectionCause{}, err
	}
	if candidate != "" {
		says := s.taken(user, candidate)
		return rotator.RejectionCause{Text: fmt.Sprintf("there is a role %q, with another password", user),
			Remedy: says.Text, Fixes: says.Fixes, Blocked: true}, nil
	}
	cause := rotator.RejectionCause{Text: fmt.Sprintf("role %q is there, not locked and not expired, so its password "+
		"is another, or stored in a form that the method in pg_hba.conf does not take", user)}
	switch {
	case s.allowMD5 && r.md5: // which clients may need
		cause.Text = fmt.Sprintf("role %q has an md5 hash stored: its password is another, or pg_hba.conf asks for "+
			"scram-sha-256, which no login by an md5 hash passes", user)
	case s.verifiers && r.md5:
		cause.Text = fmt.Sprintf("role %q has an md5 hash stored, which no login by scram-sha-256 passes: its "+
			"password is another, or set it in the other form (clients before libpq 10 and JDBC 42.2 know md5 alone)",
			user)
		cause.Reset = s.reset(asScram(user))
	case s.verifiers && r.iterations == 0:
		cause.Text = fmt.Sprintf("role %q has no password stored, as one that was created again without, or "+
			"after ALTER ROLE ... RENAME of a role with an md5 hash: set its password", user)
	case s.md5 && !s.verifiers && !s.allowMD5:
		cause.Text += ". password_encryption is md5 here, and an md5 hash passes no login by scram-sha-256"
		cause.Reset = s.reset(asScram(user))
	}
	if me := acting(s.roles); s.version >= 160000 && !r.admin && !me.superuser && me.name != user {
		cause.Text += fmt.Sprintf("; and role %q, which sets its password, has no ADMIN OPTION on it, as where the "+
			"role was dropped and created again. Then its memberships, settings and privileges may be gone, too, and "+
			"clients that log in need them: compare SELECT roleid::regrole FROM pg_auth_members WHERE "+
			"member = %s::regrole, and what it owns and was granted, with its deployment or a backup", me.name,
			quoteLiteral(name))
		grant := s.mend(s.giveAdmin(user, me))
		grant.For = "so that the superuser secret's user may set its password"
		cause.Fixes = []rotator.Fix{grant}
	}
	cause.Fixes = append(asksWhose(user), cause.Fixes...)
	return cause, nil
}

// asksWhose shows whose a role is that has another password. Where the secret's role was renamed, it may be that of
// another owner.
func asksWhose(user string) []rotator.Fix {
	has := strategies.Fix(strategies.Login{}, owned(user, "o", "a").Run)
	has.For = fmt.Sprintf("to see what role %q owns (o) and was granted (a)", user)
	has.Note = "unless that is what this secret's clients need, it may be another owner's, whom the secret's " +
		"password would lock out, and whose privileges these clients would have: set none before it is known whose " +
		"it is, and have another owner give it another name. What it may do as a member of others is not among that"
	away := byAdministrator("ALTER ROLE %s RENAME TO ...", quoteIdent(user))
	away.For = fmt.Sprintf("if it has, and role %q is another owner's, who agrees: to give that one another name, by "+
		"which its clients log in then", user)
	away.Note = losesMD5 + ", by that owner"
	all, back := names(), renameBack(user)
	all.For = "to see whether this secret's role has another name now"
	back.For = fmt.Sprintf("if it has, and once role %q has another, with the former's name in place of the dots", user)
	return []rotator.Fix{has, all, away, back}
}

// reset is a statement with its remark, as writing has it.
func (s *session) reset(statement string) string {
	f := s.writing(rotator.NewFix(rotator.BySuperuser, statement))
	return f.Run + " -- " + f.Note
}

// letsIn is what lets a role into the database. A clone has CONNECT as a member of its original: with a privilege of
// its own it would be left as it is from then on, and not act as the original (see EnsureClone).
func (s *session) letsIn(ctx context.Context, user string) (why string, lets rotator.Sentence, err error) {
	connect := func(user string) rotator.Fix {
		fix := s.mend(connectStatement(s.database, user))
		fix.Note = notWithheld
		return fix
	}
	original, isClone := strings.CutSuffix(user, cloneSuffix)
	if !isClone {
		return "", rotator.RunEach(connect(user)), nil
	}
	rows, err := s.query(ctx, operation{action: "looking up the original"}, "SELECT has_database_privilege(oid, "+
		"current_database(), 'CONNECT'), pg_has_role(to_regrole(quote_ident($2)), oid, 'USAGE') FROM pg_roles "+
		"WHERE rolname = $1", original, user)
	switch {
	case err != nil:
		return "", lets, err
	case len(rows) == 0:
		candidate, text, remedy, err := s.gone(ctx, original)
		first, own := connect(original), connect(user)
		if first.For = "after that, to let both in"; candidate == "" {
			first.For = ifDropped(original) + first.For
		}
		own.For = ifNoClone(user)
		return ", and " + text, rotator.Sentencef("%s: %s. It lets both in: %s. If it is the clone of none: %s",
			asMember(original), remedy, first, own), err
	case rows[0][0] == "t" && rows[0][1] == "t": // a superuser's, which no member has
		return "", rotator.RunEach(connect(user)), nil
	}
	var statements []string
	if rows[0][1] != "t" {
		why = fmt.Sprintf(", for no membership gives it what its original %q may", original)
		also, _, err := s.others(ctx, original, user, false)
		if err != nil || also.Text != "" {
			return why, also, err
		}
		statements = append(statements, s.give(original, user))
	}
	note := ""
	if rows[0][0] != "t" {
		why, note = fmt.Sprintf(", nor may its original %q", original), notWithheld
		statements = append(statements, connectStatement(s.database, original))
	}
	both := s.mend(strings.Join(statements, "; "))
	both.Note = note
	both.For = fmt.Sprintf("to let role %q in, if it is the clone of role %q: its name alone says so", user, original)
	return why, rotator.RunEach(both), nil
}

func connectStatement(database, user string) string {
	return "GRANT CONNECT ON DATABASE " + quoteIdent(database) + " TO " + quoteIdent(user)
}

// asMember says why a clone is not to be given the privilege itself.
func asMember(original string) string {
	return fmt.Sprintf("if it is the clone of role %q, it has the privilege as a member of that, and is to have none "+
		"of its own, for rotations would leave it as it is then", original)
}

func ifNoClone(user string) string {
	return fmt.Sprintf("if role %q is the clone of none, to let it in", user)
}

// connectRemedy is letsIn by the name of the user alone: the server has said neither its version nor what there is. Of
// a clone, what its original lacks comes first, below what another login lacks: a membership is given where that was
// not it, for a second one of another grantor stays after the first is taken away.
func connectRemedy(login strategies.Login) rotator.Sentence {
	user := quoteIdent(login.User)
	connect := strategies.Fix(login, connectStatement(login.Database, login.User))
	original, isClone := strings.CutSuffix(login.User, cloneSuffix)
	if !isClone {
		connect.Note = notWithheld
		return rotator.Sentencef("%s", connect)
	}
	both := strategies.Fix(login, connectStatement(login.Database, original))
	both.For = fmt.Sprintf("if role %q is the clone of role %q, to let both in; then run status again", login.User,
		original)
	both.Note = notWithheld
	member := "GRANT " + quoteIdent(original) + " TO " + user
	still := fmt.Sprintf("if role %q is refused after that still, and is the clone of role %q, ", login.User, original)
	give, before := strategies.Fix(login, member+" WITH INHERIT TRUE, SET TRUE"),
		strategies.Fix(login, member+"; ALTER ROLE "+user+" INHERIT")
	give.For, before.For = still+"as of PostgreSQL 16", still+"until PostgreSQL 15"
	connect.For, connect.Note = ifNoClone(login.User), notWithheld
	for _, f := range []*rotator.Fix{&both, &give, &before, &connect} {
		f.Turn = rotator.TurnLast
	}
	return rotator.Sentencef("%s: %s; if it is refused after that still: %s (until PostgreSQL 15: %s); if it is the "+
		"clone of none: %s", asMember(original), both, give, before, connect)
}

// notWithheld is for a line that lets a role into a database, whose owner chooses whom it lets in.
const notWithheld = "having made sure that the database's owner has not withheld it on purpose"

// gone says what to do about a role that is not there, and which one may be it, renamed. What an original owned and
// was granted is not to be seen once it is dropped: no rotation makes it again. One that was renamed is given its name
// back: a second one would own nothing. So that is said first.
func (s *session) gone(ctx context.Context, user string) (candidate, text string, remedy rotator.Sentence, err error) {
	if candidate, err = s.renamed(ctx, user); err != nil {
		return "", "", remedy, err
	}
	text = fmt.Sprintf("there is no role %q on this server", user)
	if candidate != "" {
		rename := s.mend("ALTER ROLE " + quoteIdent(candidate) + " RENAME TO " + quoteIdent(user))
		rename.Note = fmt.Sprintf("if no client logs in as %q; %s", candidate, losesMD5)
		return candidate, text, rotator.Sentencef("role %q, which is in its place beside the other user of the pair, "+
			"looks like it, renamed. If no client logs in by that name, %s", candidate, rename), nil
	}
	row, err := s.row(ctx, operation{action: "looking up the other user"},
		"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", otherOf(user))
	if err != nil {
		return "", text, remedy, err
	}
	create := s.mend("CREATE ROLE " + quoteIdent(user) + " LOGIN PASSWORD 'PASSWORD'")
	create.For = ifDropped(user) + "to create it again"
	create.Note = typedTwice + "; or another password, where no version is for it"
	remade, again := "", rotator.Sentence{}
	if row[0] == "t" {
		original, isClone := strings.CutSuffix(user, cloneSuffix)
		clone := original + cloneSuffix
		if isClone {
			remade = fmt.Sprintf(" (the clone of %q, a rotation makes again, once AWSCURRENT is for %[1]q)", original)
		}
		give := s.mend(s.give(original, clone))
		give.For = ifDropped(user) + fmt.Sprintf("after that, if role %q is the clone of role %q", clone, original)
		again = rotator.Sentencef("; then %s, if %q is the clone of %q", give, clone, original)
	}
	return "", text, rotator.Sentencef("if it was renamed, to one of %s, %s; if it was dropped%s, %s, with that of "+
		"the version that is for it, AWSCURRENT or AWSPREVIOUS, in place of PASSWORD (or another, where none is)%s; "+
		"then GRANT it what it had, which its deployment or a backup says; or correct the user name in the secret",
		names(), s.writing(renameBack(user)), remade, create, again), nil
}

// ifDropped begins what a line is for that makes a role again.
func ifDropped(user string) string { return fmt.Sprintf("if role %q was dropped, ", user) }

// names shows what a role that is not there may be called now, and renameBack gives it its name.
func names() rotator.Fix {
	f := strategies.Fix(strategies.Login{}, trusted+"SELECT rolname FROM pg_roles WHERE rolcanlogin")
	f.For = "if it was renamed, to see its name"
	return f
}

// losesMD5 is of a RENAME: an md5 hash has the name in it.
const losesMD5 = "the server then removes a password that is stored as an md5 hash: set it again"

func renameBack(user string) rotator.Fix {
	f := strategies.Fix(strategies.Login{}, "ALTER ROLE ... RENAME TO "+quoteIdent(user))
	f.For, f.Note = "if it was renamed, with its name now in place of the dots", losesMD5
	return f
}

// taken says what to do where a role of a pair was renamed and another has its name now. Nothing is printed that
// renames that one, whose clients know it by this name; before it has another, the server refuses what is printed.
func (s *session) taken(user, candidate string) rotator.Sentence {
	rename := s.mend("ALTER ROLE " + quoteIdent(candidate) + " RENAME TO " + quoteIdent(user))
	rename.Note = fmt.Sprintf("once the role that is called %q now has another name, and if no client logs in as %q; "+
		"%s", user, candidate, losesMD5)
	return rotator.Sentencef("role %q, which is in its place beside the other user of the pair, looks like it, "+
		"renamed, and role %q is another's then: set no password of it, and give no consent to that. Have its owner "+
		"give it another name; then, if no client logs in as %[1]q, %[3]s", candidate, user, rename)
}

// hasName gives the role that looks like one of a pair, renamed, where another has its name; "": there is none. One
// that the role itself is a member of is an owner that both share.
func (s *session) hasName(ctx context.Context, user string) (candidate string, err error) {
	candidate, err = s.renamed(ctx, user)
	if err != nil || candidate == "" || candidate == user {
		return "", err
	}
	row, err := s.row(ctx, operation{action: "looking up memberships"},
		"SELECT pg_has_role(to_regrole(quote_ident($1)), to_regrole(quote_ident($2)), 'MEMBER')", user, candidate)
	if err != nil || row[0] == "t" {
		return "", err
	}
	return candidate, nil
}

// orTaken is the error of a role that this secret is not entitled to, or, where that is another's by what memberships
// show, says so in place of how to consent.
func (s *session) orTaken(ctx context.Context, user string, err error) error {
	if !errors.Is(err, rotator.KindNotEntitled) {
		return err
	}
	candidate, bad := s.hasName(ctx, user)
	if bad != nil || candidate == "" {
		return err
	}
	says := s.taken(user, candidate)
	return rotator.WithFix(strategies.NotEntitled("nothing proves that role %q belongs to the pair: %s", user, says),
		"", says.Fixes...)
}

// TestUse implements strategies.UseTester: a standby lets clients in, who can read there and not write. A role without
// any privilege in the database, transactions that begin read-only and other settings can be so on purpose. The first
// is not where the setting role of a clone names the role, and the clone is no member of it: who drops a role ends its
// memberships, and leaves that setting.
func (e Engine) TestUse(ctx context.Context, login strategies.Login) (remark rotator.Sentence, err error) {
	s, err := e.connect(ctx, login)
	if err != nil {
		return remark, err
	}
	defer s.close()
	look, more, first := s.lookUpUse(login.User), lookUpHindrances(), statement{sql: asClients}
	first.operation = look.operation
	answers, err := s.flight(ctx, first, ownOperators(look.operation, true), look, more)
	var said []rotator.Sentence
	if errors.Is(err, rotator.KindPrivilege) { // of the catalogue: clients need not read that
		said = append(said, rotator.Sentencef("what the user may do, and whether its transactions begin read-only, "+
			"was not found out: %v", err))
		look.sql, look.args = "SELECT pg_is_in_recovery(), '', 'f', 'f', '', 'f', ''", nil
		more.sql = "SELECT LIMIT 0"
		if answers, err = s.flight(ctx, first, ownOperators(look.operation, true), look, more); err != nil {
			err = s.errorf(rotator.KindInternal, "%v", err)
		}
	}
	if err != nil {
		return remark, err
	}
	row, err := s.only(look.operation, answers[2].rows)
	if err != nil {
		return remark, err
	}
	if row[0] == "t" {
		promote := strategies.Fix(strategies.Login{}, "SELECT pg_catalog.pg_promote()")
		promote.By, promote.For = rotator.ByAdministrator, "if its primary is lost, to make this one the primary"
		return rotator.Sentence{}, rotator.WithFix(s.errorf(rotator.KindReadOnly, "it is a standby: clients can read "+
			"there and not write, and no password can be set. Use the primary (RDS: the writer endpoint) as host"), "",
			promote)
	}
	if s.readOnlyBy = row[1]; s.readOnlyBy != "" {
		said = append(said, readOnlyRemark(s.readOnlyBy))
	}
	for _, row := range answers[3].rows {
		schemas, err := s.only(look.operation, answers[0].rows)
		if err != nil {
			return remark, err
		}
		said = append(said, s.hindrance(row, schemas[0]))
	}
	isBare, owner := row[2] == "t", row[6]
	switch {
	case owner != "" && isBare:
		return rotator.Sentence{}, s.errorf(rotator.KindPrivilege, "role %q may do nothing in database %q but connect "+
			"(and what PUBLIC may): %s", login.User, row[4], s.lostOwner(login.User, owner))
	case owner != "":
		said = append(said, s.lostOwner(login.User, owner))
	case !isBare:
	case row[5] == "t":
		candidate, err := s.hasName(ctx, login.User)
		if err != nil {
			return remark, err
		}
		if candidate != "" {
			return rotator.Sentence{}, s.errorf(rotator.KindPrivilege, "role %q may do nothing in database %q but "+
				"connect (and what PUBLIC may): %s", login.User, row[4], s.taken(login.User, candidate))
		}
		again, err := s.regrant(ctx, login.User, true)
		if err != nil {
			return remark, err
		}
		return rotator.Sentence{}, s.errorf(rotator.KindPrivilege, "role %q was dropped and created again, for the "+
			"setting role of role %q names it, and that is no member of it any more. It may do nothing in database %q "+
			"but connect (and what PUBLIC may): GRANT it what it had, which its deployment or a backup says%s; then %s",
			login.User, otherOf(login.User), row[4], s.adminToo(login.User), again)
	default:
		bare, err := s.bareRemark(ctx, login.User, row[4], row[3] == "t")
		if err != nil {
			return remark, err
		}
		said = append(said, bare)
	}
	return together(said), nil
}

// readOnlyRemark says what has clients begin read-only, and how that ends.
func readOnlyRemark(by string) rotator.Sentence {
	const setting = readOnlySetting
	// In a session that begins read-only itself, a setting of a role or database cannot be changed otherwise.
	end := byAdministrator("BEGIN READ WRITE; %s RESET %s; COMMIT", by, setting)
	end.For = notMeant + "to have its clients write again"
	if by != alterSystem {
		return rotator.Sentencef("transactions of its clients begin read-only, by %s SET %s, which stops no rotation. "+
			"If that is not on purpose, have an administrator run: %s", by, setting, end)
	}
	end.Run, end.Note = by+" SET "+setting+" = off", "RDS: the parameter group"
	again := byAdministrator(reload)
	again.For = notMeant + "after that, so that it counts"
	return rotator.Sentencef("transactions of its clients begin read-only, by postgresql.conf or %s SET %s, which "+
		"stops no rotation. If that is not on purpose, have an administrator run: %s, then %s (RDS: the parameter "+
		"group)", by, setting, end, again)
}

// lostOwner speaks of a setting role that the server leaves out, with a warning that few clients show.
func (s *session) lostOwner(user, owner string) rotator.Sentence {
	with := ""
	if s.major() >= 16 {
		with = " WITH SET TRUE"
	}
	give := s.byAdministrator("GRANT %s TO %s%s", quoteIdent(owner), quoteIdent(user), with)
	give.For = fmt.Sprintf("if sessions of role %q are to act as role %q, which the user may have set itself", user,
		owner)
	return rotator.Sentencef("its setting role names role %q, which it may not act as, so that its sessions do not. "+
		"If they are to (the user may have set that itself), have an administrator run: %s", owner, give)
}

// ownOperators has a session, or this flight of it alone, call operators and functions of the server: the owner of the
// database may have put some of its own before them.
func ownOperators(of operation, flight bool) statement {
	const sql = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', %t)"
	return statement{of, fmt.Sprintf(sql, flight), nil}
}

const (
	alterSystem     = "ALTER SYSTEM" // stands for postgresql.conf, too
	readOnlySetting = "default_transaction_read_only"
)

// lookUpUse asks what keeps a user's clients from writing: recovery, and what has set default_transaction_read_only,
// which this session has as theirs do. Then, whether the user may do nothing, whether there is another of its pair, and
// the clone is no member, and whether that had been a member of an earlier role of this name. Last, which role its
// setting role names that it may not act as, where it acts as no other by one: none that can do what clients do not
// need, for each role may set its own.
func (s *session) lookUpUse(user string) statement {
	isMember := "pg_has_role(o.oid, r.oid, 'MEMBER')"
	if strings.HasSuffix(user, cloneSuffix) {
		isMember = "pg_has_role(r.oid, o.oid, 'MEMBER')"
	}
	sql := `SELECT pg_is_in_recovery(), coalesce((
  SELECT ` + setBy + ` FROM pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on'), ''),
  r.rolname = $1 AND ` + bare("r") + `, EXISTS (SELECT FROM pg_roles o WHERE o.rolname = $2 AND NOT ` + isMember + `), d.datname,
  EXISTS (SELECT FROM pg_roles o JOIN pg_db_role_setting x ON x.setrole = o.oid
    WHERE o.rolname = $2 AND 'role=' || $1 = ANY (x.setconfig) AND NOT pg_has_role(o.oid, r.oid, 'MEMBER')),
  coalesce((SELECT o.rolname FROM pg_db_role_setting x, unnest(x.setconfig) v JOIN pg_roles o ON o.rolname = substr(v, 6)
    WHERE x.setrole = r.oid AND x.setdatabase IN (0, d.oid) AND v LIKE 'role=%' AND o.rolname <> $2
    AND NOT pg_has_role(r.oid, o.oid, '` + s.become() + `') AND NOT ` + reachesPower("o", "false") + `
    AND NOT EXISTS (SELECT FROM pg_db_role_setting y, unnest(y.setconfig) w LEFT JOIN pg_roles q ON q.rolname = substr(w, 6)
      WHERE y.setrole IN (0, r.oid) AND y.setdatabase IN (0, d.oid) AND w LIKE 'role=%'
      AND (w = 'role=none' OR pg_has_role(r.oid, q.oid, '` + s.become() + `')))
    ORDER BY x.setdatabase = 0 LIMIT 1), '')
FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()`
	return statement{operation{action: "asking whether clients can read and write"}, sql, []string{user, otherOf(user)}}
}

// bare is the condition that a role, a row of pg_roles, has no attribute that is a privilege, and that nothing of what
// it owns or was granted (itself, or a role that it is a member of) is in this database. To connect is no more than a
// login shows: the line that mends a login gives it.
func bare(role string) string {
	return "NOT " + powerful(role) + ` AND NOT EXISTS (
    WITH RECURSIVE m(id) AS (
      SELECT ` + role + `.oid UNION SELECT a.roleid FROM pg_auth_members a JOIN m ON a.member = m.id)
    SELECT FROM m JOIN pg_roles g ON g.oid = m.id WHERE g.rolsuper OR g.oid < 16384 OR left(g.rolname, 4) = 'rds_'
    OR has_database_privilege(g.oid, current_database(), 'CREATE') OR EXISTS (
      SELECT FROM pg_shdepend p WHERE p.refclassid = 'pg_authid'::regclass AND p.refobjid = m.id
      AND p.deptype IN ('o', 'a', 'i', 'r')
      AND p.dbid = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())))`
}

// powerful is the condition that a role has an attribute that is a privilege.
func powerful(role string) string {
	return fmt.Sprintf("(%[1]s.rolsuper OR %[1]s.rolcreaterole OR %[1]s.rolcreatedb OR %[1]s.rolreplication OR "+
		"%[1]s.rolbypassrls)", role)
}

// reachesPower is the condition that a role is, or can become, one with an attribute, one of the server's, or another.
func reachesPower(role, other string) string {
	return `EXISTS (
    WITH RECURSIVE m(id) AS (
      SELECT ` + role + `.oid UNION SELECT a.roleid FROM pg_auth_members a JOIN m ON a.member = m.id)
    SELECT FROM m JOIN pg_roles g ON g.oid = m.id
    WHERE ` + powerful("g") + ` OR g.oid < 16384 OR left(g.rolname, 4) = 'rds_' OR ` + other + `)`
}

// TestPair implements strategies.PairTester, of a user that may do nothing. Of a clone, which has all from its
// original, TestClone says it. A name alone proves no pair: what a role may do that can become one with an attribute,
// or one of the server's, is offered to none.
func (e Engine) TestPair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (lacks rotator.Sentence,
	remark string, err error) {
	if pair.InUse() == pair.Clone && !pair.PasswordOnly {
		return lacks, "", nil
	}
	s, err := e.connect(ctx, superuser)
	if err != nil {
		return lacks, "", err
	}
	defer s.close()
	look := statement{operation{action: "comparing the two of a pair"}, `SELECT current_database()
FROM pg_roles r JOIN pg_roles o ON o.rolname = $2 WHERE r.rolname = $1 AND ` + bare("r") + ` AND NOT (` + bare("o") + `)
AND NOT ` + reachesPower("o", "g.oid = r.oid"),
		[]string{pair.InUse(), pair.Target}}
	answers, err := s.flight(ctx, ownOperators(look.operation, true), look)
	if err != nil || len(answers[1].rows) == 0 {
		return lacks, "", err
	}
	if !pair.PasswordOnly { // the original is made no member of its clone, which is one of it
		again, err := s.regrant(ctx, pair.InUse(), false)
		return rotator.Sentencef("role %q may do nothing in database %q but connect (and what PUBLIC may), as one "+
			"that was dropped and created again, and role %q may: GRANT it what it had, which its deployment or a "+
			"backup says; then %s", pair.InUse(), answers[1].rows[0][0], pair.Target, again), "", err
	}
	also, _, err := s.others(ctx, pair.Target, pair.InUse(), false)
	if err != nil || also.Text != "" {
		return rotator.Sentencef("role %q may do nothing in database %q but connect (and what PUBLIC may), as one "+
			"that was dropped and created again, and role %q may: GRANT it what it had, which its deployment or a "+
			"backup says; and nothing of role %[3]q yet: %s", pair.InUse(), answers[1].rows[0][0], pair.Target,
			also), "", err
	}
	give := s.byAdministrator("%s", s.give(pair.Target, pair.InUse()))
	give.For = fmt.Sprintf("if the two are a pair, and no other secret is for either of them, to have role %q do what "+
		"role %q may", pair.InUse(), pair.Target)
	return rotator.Sentencef("role %q may do nothing in database %q but connect (and what PUBLIC may), as one that "+
		"was dropped and created again, and role %q may: GRANT it what it had, which its deployment or a backup says; "+
		"or, if the two are a pair, and no other secret is for either of them, have it do what the other may: %s",
		pair.InUse(), answers[1].rows[0][0], pair.Target, give), "", nil
}

// bareRemark speaks of a role that has nothing in its database, as one that was dropped and created again, or whose
// database was.
func (s *session) bareRemark(ctx context.Context, user, database string, paired bool) (rotator.Sentence, error) {
	says := rotator.Sentencef("role %q may do nothing in database %q but connect (and what PUBLIC may). Is this "+
		"another database of that name, as where the former was renamed (SELECT datname FROM pg_database)? Then "+
		"correct the name, there or in the secret. Was the role dropped and created again, or the database restored "+
		"without owners and privileges? Then have an administrator GRANT it, before the next rotation, what it had, "+
		"which its deployment or a backup says", user, database)
	if paired {
		again, err := s.regrant(ctx, user, true)
		if err != nil {
			return says, err
		}
		says = rotator.Sentencef("%s; then %s", says, again)
	}
	says.Text += s.adminToo(user)
	return says, nil
}

// adminToo is what else a role that is made again lacks as of PostgreSQL 16.
func (s *session) adminToo(user string) string {
	if s.major() < 16 {
		return ""
	}
	return fmt.Sprintf("; then, where another role that is no superuser sets its password and did not create it, "+
		"GRANT %s TO that WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", quoteIdent(user))
}

// otherOf is the other of a pair by AWS's names.
func otherOf(user string) string {
	if original, isClone := strings.CutSuffix(user, cloneSuffix); isClone {
		return original
	}
	return user + cloneSuffix
}

// regrant is what makes a clone a member of its original again, of which a role is one by its name.
func (s *session) regrant(ctx context.Context, user string, client bool) (rotator.Sentence, error) {
	original := strings.TrimSuffix(user, cloneSuffix)
	clone := original + cloneSuffix
	also, note, err := s.others(ctx, original, clone, client)
	if err != nil || also.Text != "" {
		return rotator.Sentencef("give role %q nothing of role %q yet: %s", clone, original, also), err
	}
	give := s.byAdministrator("%s", s.give(original, clone))
	give.For = fmt.Sprintf("if it was, and role %q is the clone of role %q, after that", clone, original)
	give.Note = strings.TrimPrefix(note, "; and ")
	return rotator.Sentencef("%s, if %q is the clone of %q", give, clone, original), nil
}

// TestClone implements strategies.CloneTester.
func (e Engine) TestClone(ctx context.Context, login strategies.Login, pair strategies.Pair) error {
	s, err := e.connect(ctx, login)
	if err != nil {
		return err
	}
	defer s.close()
	look := s.lookUpActs(pair)
	// What is asked after it is asked by the same operators, but where a pooler hands the session on to a client.
	answers, err := s.flight(ctx, ownOperators(look.operation, login.PoolerForwardsLogins), look)
	if err != nil {
		return err
	}
	rows := answers[1].rows
	if len(rows) == 0 {
		_, text, remedy, err := s.gone(ctx, pair.Original)
		if err != nil {
			return err
		}
		return s.errorf(rotator.KindNotFound, "clients of role %q lack what it had from its original: %s: %s",
			pair.Clone, text, remedy)
	}
	why, mend := s.lacks(rows[0], pair)
	if mend == "" {
		if apart := s.apart(rows[0], pair); apart.Text != "" {
			also, note, err := s.others(ctx, rows[0][0], pair.Clone, true)
			if err != nil {
				return err
			}
			if also.Text != "" {
				return s.errorf(rotator.KindPrivilege, "sessions of role %q do not act as %q, which its setting role "+
					"names, for the membership has SET FALSE, and %s", pair.Clone, rows[0][0], also)
			}
			apart.Fixes[0].Note = strings.TrimPrefix(note, "; and ")
			return s.errorf(rotator.KindPrivilege, "%s", apart)
		}
		return nil
	}
	candidate, err := s.hasName(ctx, pair.Original)
	if err != nil {
		return err
	}
	if candidate != "" {
		return s.errorf(rotator.KindNotFound, "clients of role %q lack what it had from its original: %s", pair.Clone,
			s.taken(pair.Original, candidate))
	}
	also, note, err := s.others(ctx, rows[0][0], pair.Clone, true)
	if err != nil {
		return err
	}
	if also.Text != "" {
		return s.errorf(rotator.KindPrivilege, "clients lack what role %q has from its original %q: %s. But %s",
			pair.Clone, pair.Original, why, also)
	}
	row, err := s.row(ctx, look.operation, "SELECT "+bare("o")+", current_database() FROM pg_roles o "+
		"WHERE o.rolname = $1", pair.Original)
	if err != nil {
		return err
	}
	then := fmt.Sprintf("Or rotate-secret, which moves clients to %q", pair.Original)
	if row[0] == "t" {
		then = fmt.Sprintf("Role %q itself may do nothing in database %q but connect, as one that was dropped and "+
			"created again: GRANT it what it had, which its deployment or a backup says", pair.Original, row[1])
	}
	give := s.mend(mend) // to anyone's role, if its name is one that a clone could have
	give.Note = fmt.Sprintf("if role %q is the clone of role %q: its name alone says so", pair.Clone,
		pair.Original) + note
	return s.errorf(rotator.KindPrivilege, "clients lack what role %q has from its original %q: %s. If the two are a "+
		"pair, which their names alone say, to give it back at once: %s. %s",
		pair.Clone, pair.Original, why, give, then)
}

// lookUpActs asks what lacks reads, of a pair that exists: what sessions of the two act as in this
// database, and whether those of the clone may do what those of the original may. The setting role counts
// that the user may set (the server leaves out another with a warning) and that comes first: the user's in this
// database, the user's, the database's, that of all users. Every role may read them.
func (s *session) lookUpActs(pair strategies.Pair) statement {
	become := "'" + s.become() + "'"
	acts := func(user string) string {
		return `LEFT JOIN LATERAL (SELECT r.oid, true AS counts, CASE WHEN x.setrole <> 0 AND x.setdatabase <> 0 THEN current_database() END AS here
  FROM pg_db_role_setting x, LATERAL unnest(x.setconfig) v(v)
    LEFT JOIN pg_roles r ON r.rolname = substr(v.v, 6) AND pg_has_role(` + user + `.oid, r.oid, ` + become + `)
  WHERE x.setrole IN (0, ` + user + `.oid) AND x.setdatabase IN (0, (SELECT d.oid FROM pg_database d
    WHERE d.datname = current_database())) AND v.v LIKE 'role=%' AND (r.oid IS NOT NULL OR v.v = 'role=none')
  ORDER BY x.setrole = 0, x.setdatabase = 0 LIMIT 1) ` + user + `s ON true JOIN pg_roles ` + user + `a ON ` +
			user + `a.oid = coalesce(` + user + `s.oid, ` + user + `.oid)`
	}
	sql := `SELECT oa.rolname, ca.rolname, coalesce(cs.here, ''),
  pg_has_role(ca.oid, oa.oid, 'USAGE') OR pg_has_role(o.oid, c.oid, 'USAGE') OR pg_has_role(o.oid, c.oid, ` + become + `),
  pg_has_role(c.oid, oa.oid, 'MEMBER'), pg_has_role(c.oid, oa.oid, ` + become + `),
  cs.counts IS NULL AND NOT pg_has_role(c.oid, oa.oid, ` + become + `) AND EXISTS (SELECT FROM pg_db_role_setting x
    WHERE x.setrole = c.oid AND x.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
    AND 'role=' || oa.rolname = ANY (x.setconfig)),
  (SELECT string_agg(DISTINCT coalesce(quote_ident(d.datname), 'any'), ', ') FROM pg_shdepend p
    LEFT JOIN pg_database d ON d.oid = p.dbid
    WHERE p.refclassid = 'pg_authid'::regclass AND p.refobjid = c.oid AND p.deptype = 'o')
FROM pg_roles o JOIN pg_roles c ON c.rolname = $2 ` + acts("o") + ` ` + acts("c") + ` WHERE o.rolname = $1`
	return statement{operation{action: "looking up the original"}, sql, []string{pair.Original, pair.Clone}}
}

// lacks says why sessions of the clone may not do what those of the original may, and what gives that
// back; "": they may.
func (s *session) lacks(row []string, pair strategies.Pair) (why, mend string) {
	want, as := row[0], row[1]
	may, member, able := row[3] == "t", row[4] == "t", row[5] == "t"
	var mends []string
	why = fmt.Sprintf("role %q is no member of %q", pair.Clone, want)
	switch {
	case may:
		return "", ""
	case as != pair.Clone && able:
		why = fmt.Sprintf("sessions of role %q act as %q, by a setting role, and not as %q", pair.Clone, as, want)
	case member:
		why = fmt.Sprintf("the membership of role %q in %q gives it nothing", pair.Clone, want)
	}
	if as == pair.Clone || !able {
		mends = append(mends, s.give(want, pair.Clone))
	}
	if as != pair.Clone {
		in := ""
		if here := row[2]; here != "" {
			in = " IN DATABASE " + quoteIdent(here)
		}
		mends = append(mends, "ALTER ROLE "+quoteIdent(pair.Clone)+in+" SET role = "+quoteLiteral(want))
	}
	return why, strings.Join(mends, "; ")
}

// apart says that sessions of the clone may do what those of the original may, and do not act as it: as of PostgreSQL
// 16, the server leaves out a setting role with a warning where the membership has SET FALSE. What they create stays
// the clone's once the membership is mended, as a rotation does, too.
func (s *session) apart(row []string, pair strategies.Pair) (says rotator.Sentence) {
	if row[6] != "t" {
		return says
	}
	want, clone := quoteIdent(row[0]), quoteIdent(pair.Clone)
	set := s.fix("GRANT %s TO %s WITH SET TRUE", want, clone)
	set.For = "to have new sessions act so again"
	says = rotator.Sentencef("sessions of role %q do not act as %q, which its setting role names, for the membership "+
		"has SET FALSE: what clients create is the clone's, and %q, to which the next rotation moves them, cannot use "+
		"it: %s", pair.Clone, row[0], pair.Original, set)
	if row[7] == "" {
		return says
	}
	reassign := s.fix("REASSIGN OWNED BY %s TO %s", clone, want)
	reassign.For = "after that, in each database where the clone owns something (" + row[7] + ")"
	return rotator.Sentencef("%s; then, in each database where it owns something (%s), %s", says, row[7], reassign)
}

// give is the statement that makes a clone a member, with all that this gives.
func (s *session) give(role, clone string) string {
	grant := "GRANT " + quoteIdent(role) + " TO " + quoteIdent(clone)
	if s.major() >= 16 {
		return grant + " WITH INHERIT TRUE, SET TRUE"
	}
	return grant + "; ALTER ROLE " + quoteIdent(clone) + " INHERIT"
}

// renamed gives the role that stands where a missing one of a pair stood: the one that may log in and
// has the clone as its member, or the one that is a member of the original and acts as it. Of the membership, it counts
// who granted it: one who may set the password of the other user (see checkEntitled). Else any role could put itself
// in that place: until PostgreSQL 14 each may grant itself, and later one that it has ADMIN OPTION on. "": there is
// none, or more than one, or the secret is for no pair of these names: who is the other's original then is another
// secret's.
func (s *session) renamed(ctx context.Context, user string) (string, error) {
	could := "NOT o.rolsuper AND NOT o.rolreplication"
	if s.major() >= 16 {
		could = s.administers("g.oid", "o.oid")
	}
	sql := `SELECT r.rolname FROM pg_roles o, pg_roles r, pg_auth_members m JOIN pg_roles g ON g.oid = m.grantor
WHERE o.oid = to_regrole(quote_ident($1)) AND r.rolcanlogin AND NOT r.rolsuper AND (g.rolsuper OR g.rolcreaterole AND ` + could + `)`
	other := user + cloneSuffix
	if original, isClone := strings.CutSuffix(user, cloneSuffix); isClone {
		other = original
		sql += ` AND m.roleid = o.oid AND m.member = r.oid AND EXISTS (SELECT FROM pg_db_role_setting x
  WHERE x.setrole = r.oid AND x.setdatabase = 0 AND 'role=' || $1::text = ANY (x.setconfig))`
	} else {
		sql += " AND m.roleid = r.oid AND m.member = o.oid"
	}
	if of := s.login.For; of != nil && of.Users != nil && !slices.Contains(of.Users, other) {
		return "", nil
	}
	rows, err := s.query(ctx, operation{action: "looking up memberships"}, sql+" GROUP BY 1", other)
	if err != nil || len(rows) != 1 || rows[0][0] == s.login.User {
		return "", err
	}
	return rows[0][0], nil
}

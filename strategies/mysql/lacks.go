package mysql

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// TestPair implements strategies.PairTester, as Engine does.
func (m MariaDB) TestPair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (rotator.Sentence,
	string, error) {
	return Engine(m).TestPair(ctx, superuser, pair)
}

// TestPair implements strategies.PairTester: an account that was dropped and created again, on the same host or beside
// the one that there was, may do nothing. What it had its counterpart has still: one of its name for other hosts, or of
// the other user of its pair.
func (e Engine) TestPair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (lacks rotator.Sentence,
	remark string, err error) {
	s, err := e.openForChange(ctx, superuser, nil)
	if err != nil {
		return lacks, "", err
	}
	defer s.close()
	if s.sandbox {
		return lacks, "", s.expiredSuperuser()
	}
	inUse, err := s.accounts(ctx, pair.InUse())
	if err != nil {
		return lacks, "", err
	}
	others, err := s.accounts(ctx, pair.Target)
	if err != nil {
		return lacks, "", err
	}
	var failed error // of one account, which says nothing of those for other hosts
	for _, r := range inUse {
		if !r.changeable() || !ofSecret(ctx, superuser, r) {
			continue
		}
		lacks, err = s.lacks(ctx, r, slices.Concat(counterparts(r, inUse), counterparts(r, others)))
		if lacks.Text != "" {
			return lacks, "", nil
		}
		i := slices.IndexFunc(others, func(other accountRow) bool { return other.host == r.host && !other.isRole })
		if err == nil && !pair.PasswordOnly && i >= 0 {
			var differ string
			differ, err = s.differ(ctx, r, others[i])
			remark = cmp.Or(remark, differ)
		}
		if kind := rotator.KindOf(err); kind == rotator.KindUnreachable || kind == rotator.KindDeadline {
			return lacks, remark, err
		}
		failed = cmp.Or(failed, err)
	}
	return lacks, remark, failed
}

// differ says what an account in use lacks of what the account of the other user of its pair can do, on the same host.
func (s *session) differ(ctx context.Context, r, other accountRow) (string, error) {
	have, mine, err := s.grants(ctx, r.account)
	if err != nil {
		return "", err
	}
	want, theirs, err := s.grants(ctx, other.account)
	if err != nil {
		return "", err
	}
	active, all, err := s.active(ctx, want, theirs)
	if err != nil {
		return "", err
	}
	maps.DeleteFunc(want, func(x right, _ bool) bool { return x.kind == role && !active[x] })
	missing, err := s.lacking(ctx, r.account, want)
	if err != nil {
		return "", err
	}
	system, excepted, protected, err := s.notGiven(ctx, missing, want, have)
	if err != nil {
		return "", err
	}
	maps.Copy(system, excepted)
	given := missing.without(system)
	var lines []string
	for _, statement := range given.missing(have).grants(r.account) {
		lines = append(lines, statement.text)
	}
	apart := byNoLine(other.account, system)
	var asleep []string
	for _, x := range given.of(role).sorted() {
		if !all && !strings.Contains(mine, x.name) {
			asleep = append(asleep, x.name)
		}
	}
	for _, line := range s.defaultRoles(r.account, mine, asleep) {
		text := line.Run
		if line.Note != "" {
			text += " (" + line.Note + ")"
		}
		lines = append(lines, text)
	}
	// A GRANT could end exceptions. And who may alter this account is not to have what the other, protected one has.
	if len(have.of(restriction)) > 0 || protected {
		lines = nil
	}
	text := fmt.Sprintf("clients use account %s now, which lacks what account %s has", r, other)
	switch {
	case lines == nil && apart == "":
		return "", nil
	case lines == nil:
		return text + apart, nil
	case len(lines) > 20: // which no person reads
		return fmt.Sprintf("clients use account %s now, and account %s may do more: compare what SHOW GRANTS FOR "+
			"shows of each", r, other) + apart, nil
	}
	switch {
	case apart != "": // the preflight may refuse the next rotation
	case other.user == r.user+cloneSuffix:
		text += fmt.Sprintf(", and the next rotation takes it from account %s, too", other)
	default:
		text += fmt.Sprintf(", and the next rotation gives clients account %s, which has it", other)
	}
	return fmt.Sprintf("%s. Unless that is how it is meant, as an administrator (%s), and %s: %s%s", text,
		administrators, ifPair, strings.Join(lines, "; "), apart), nil
}

// lacking are the rights of want that an account has by nothing: by none that is wider, nor by a role that its login
// makes active. That is what clients feel; a rotation goes by the lines of SHOW GRANTS.
func (s *session) lacking(ctx context.Context, of account, want rights) (rights, error) {
	have, _, err := s.grants(ctx, of)
	if err != nil {
		return nil, err
	}
	can, err := s.able(ctx, of, map[account]bool{})
	if err != nil {
		return nil, err
	}
	missing := want.missing(have)
	for x := range want.of(role) { // it may be granted, and no login make it active
		if missing[x] {
			continue
		}
		x.option = false
		missing[x] = true
	}
	for x := range missing {
		gives := rights{x: true}
		if name, bad := x.role(); x.kind == role && !x.option && bad == nil {
			if gives, err = s.able(ctx, name, map[account]bool{of: true}); err != nil {
				return nil, err
			}
			maps.DeleteFunc(gives, func(x right, _ bool) bool { return x.kind == role && !x.option })
		}
		maps.DeleteFunc(gives, func(x right, _ bool) bool { return can.cover(x) })
		if len(gives) == 0 {
			delete(missing, x)
		}
	}
	return missing, nil
}

// able is what an account can do after a login, or who has a role active: what is granted to it, and to the roles that
// are active with it. seen holds those already looked at.
func (s *session) able(ctx context.Context, of account, seen map[account]bool) (rights, error) {
	isRole := len(seen) > 0
	seen[of] = true
	can, defaultRole, err := s.grants(ctx, of)
	if err != nil {
		return nil, err
	}
	roles := can.of(role)
	if !isRole {
		if roles, _, err = s.active(ctx, can, defaultRole); err != nil {
			return nil, err
		}
	}
	for x := range roles {
		name, err := x.role()
		if err != nil || seen[name] {
			continue // the name is one that we have put together ourselves
		}
		more, err := s.able(ctx, name, seen)
		if err != nil {
			return nil, err
		}
		maps.Copy(can, more)
	}
	return can, nil
}

// active are those of an account's roles that a login makes active, and all says that this is all it is granted.
func (s *session) active(ctx context.Context, granted rights, defaultRole string) (roles rights, all bool, err error) {
	roles = granted.of(role)
	if len(roles) > 0 && !s.mariadb {
		if all, err = s.allRoles(ctx); all || err != nil {
			return roles, all, err
		}
	}
	maps.DeleteFunc(roles, func(x right, _ bool) bool { return !strings.Contains(defaultRole, x.name) })
	return roles, false, nil
}

// allRoles says whether the server makes each role active that an account is granted. It is read once in a session.
func (s *session) allRoles(ctx context.Context) (bool, error) {
	if s.activateAll == "" {
		row, err := s.row(ctx, operation{action: "looking up which roles are active"},
			"SELECT @@GLOBAL.activate_all_roles_on_login")
		if err != nil {
			return false, err
		}
		s.activateAll = row[0]
	}
	return s.activateAll == "1", nil
}

// notGiven are those of some missing rights that no rotation gives (see checkGiven), nor do lines that are printed
// where nothing but their names says whose two accounts are. protected says that SYSTEM_USER is known to be of them.
func (s *session) notGiven(ctx context.Context, missing, want, have rights) (system, excepted rights, protected bool,
	err error) {
	system, excepted = rights{}, missing.without(missing.without(want.excepted()))
	if s.mariadb || have.isSystem() {
		return system, excepted, false, nil
	}
	for x := range missing {
		found, err := s.system(ctx, rights{x: true})
		if err != nil && rotator.KindOf(err) != rotator.KindPrivilege {
			return nil, nil, false, err
		}
		protected = protected || len(found) > 0
		if err != nil || len(found) > 0 { // of a role that the user may not look up, nothing is known
			system[x] = true
		}
	}
	return system, excepted, protected, nil
}

// byNoLine says of what no line gives why that is so.
func byNoLine(of account, some rights) string {
	if len(some) == 0 {
		return ""
	}
	return fmt.Sprintf(". Account %s has %s, which no line here gives, as no rotation gives SYSTEM_USER, by a role "+
		"perhaps, or what has exceptions: who has CREATE USER could come to it by renaming or altering accounts. As "+
		"an administrator, see first whose account that is (the preflight, P10, says more)", of, some)
}

// ofSecret says whether an account has the password of the secret that a superuser acts for, as far as that is known.
func ofSecret(ctx context.Context, superuser strategies.Login, r accountRow) bool {
	if superuser.For == nil || superuser.For.Passwords == nil {
		return true
	}
	for p, err := range superuser.For.Passwords(ctx, r.user) {
		if err == nil && r.accepts(p) {
			return true
		}
	}
	return false
}

// counterparts are the accounts that some clients of one would meet if that were not there, or would have met: the one
// that the server would let all of them in by comes first.
func counterparts(r accountRow, rows []accountRow) (all []accountRow) {
	rows = slices.DeleteFunc(accountsOnly(rows), func(other accountRow) bool { return other.account == r.account })
	if first, ok := serving(rows, r.host); ok {
		all = append(all, first)
	}
	for _, other := range rows {
		known := func(a accountRow) bool { return a.account == other.account }
		if covers(r.host, other.host) && !slices.ContainsFunc(all, known) {
			all = append(all, other)
		}
	}
	return all
}

// lacks says of an account that may do nothing what the first of others that may do something can, with the
// statements that give it that.
func (s *session) lacks(ctx context.Context, r accountRow, others []accountRow) (lacks rotator.Sentence, err error) {
	have, _, err := s.grants(ctx, r.account)
	if err != nil || len(have) > 0 {
		return lacks, err
	}
	for _, other := range others {
		what, failed := s.asOther(ctx, r, other)
		if what.Text != "" {
			return rotator.Sentencef("account %s may do nothing but log in, as one that was dropped and created "+
				"again. %s", r, what), nil
		}
		err = cmp.Or(err, failed)
	}
	return lacks, err
}

// twinHas is lacks of an account that sees for itself, as far as MySQL shows it, what others of its name may do. Which
// of their roles are default ones it is not shown.
func (s *session) twinHas(ctx context.Context) (lacks rotator.Sentence, err error) {
	if s.mariadb {
		return lacks, nil
	}
	twins, _, err := s.shownTwins(ctx)
	if err != nil {
		return lacks, err
	}
	me := s.newRow(s.actingAccount)
	s.granted = map[account]granted{me.account: {rights{}, "NONE"}}
	var rows []accountRow
	for _, name := range twins {
		twin, err := (&parser{tokens: tokens(name)}).account()
		if err != nil {
			return lacks, err
		}
		table, err := s.query(ctx, operation{action: "looking up the privileges of " + name, sensitive: true},
			grantsOf(twin))
		if err != nil {
			return lacks, err
		}
		lines := make([]string, len(table))
		for i, row := range table {
			lines[i] = row[0]
		}
		found, _, err := parseGrants(lines, twin)
		if err != nil {
			return lacks, err
		}
		s.granted[twin] = granted{found, "NONE"}
		rows = append(rows, s.newRow(twin))
	}
	return s.lacks(ctx, me, counterparts(me, rows))
}

// asOther gives an account all that another may do and it may not. "": it lacks nothing of that.
func (s *session) asOther(ctx context.Context, r, other accountRow) (what rotator.Sentence, err error) {
	have, mine, err := s.grants(ctx, r.account)
	if err != nil {
		return what, err
	}
	condition := ifPair
	otherwise := fmt.Sprintf("if account %s is to have none of it, take it from account %s", r, other)
	if r.user == other.user {
		condition = ifSame
		otherwise = fmt.Sprintf("if no client needs account %s, DROP USER %s", r, r)
	}
	give, apart, err := s.given(ctx, r.account, have, mine, other.account, condition, "to give it that")
	if err != nil || give == nil && apart == "" {
		return what, err
	}
	if give == nil {
		return rotator.Sentencef("Account %s has what it lacks%s", other, apart), nil
	}
	lines := rotator.RunEach(give...)
	if len(give) > 20 { // which no person reads
		lines = rotator.Sentencef("GRANT it what SHOW GRANTS FOR %s shows", other)
	}
	look := s.fix("%s", authMethods{mariadb: s.mariadb}.clientsOf(other.user))
	look.For = fmt.Sprintf("to see from where clients use account %s, if any do: another owner's may", other)
	return rotator.Sentencef("Account %s has what it lacks, %s (%s shows where clients of it come from): %s (or, %s)%s",
		other, condition, look, lines, otherwise, apart), nil
}

// ifSame stands where one account of a user is to get what another of the same name may do: they may have two owners.
const ifSame = "if clients of both are this secret's"

// given are the statements that give an account, which has some rights and a default role, what another has beside, and
// apart says what they do not. What has exceptions comes with them (AS): at no moment is it there without.
func (s *session) given(ctx context.Context, to account, have rights, mine string, from account, condition,
	purpose string) (give []rotator.Fix, apart string, err error) {
	want, defaultRole, err := s.grants(ctx, from)
	if err != nil {
		return nil, "", err
	}
	missing := want.missing(have)
	system, excepted, protected, err := s.notGiven(ctx, missing, want, have)
	if err != nil {
		return nil, "", err
	}
	if protected { // who has CREATE USER has this account in hand, and not that one
		return nil, byNoLine(from, system), nil
	}
	line := func(condition, sql string) {
		fix := s.fix("%s", sql)
		fix.For = condition + ", " + purpose
		give = append(give, fix)
	}
	for _, sql := range missing.without(system).without(excepted).grants(to) {
		line(condition, sql.text)
	}
	for _, sql := range excepted.grantsAs(to, " AS "+from.String()) {
		line(condition+", and while "+quiet, sql.text)
	}
	var active []string
	for _, x := range want.without(system).sorted() {
		if x.kind == role && strings.Contains(defaultRole, x.name) {
			active = append(active, x.name)
		}
	}
	if active != nil && mine == "NONE" {
		line(condition, s.defaultRoleStatement(to, strings.Join(active, ", ")))
	}
	return give, byNoLine(from, system), nil
}

// quiet is when a privilege goes by a name as it should: CREATE USER is enough to rename accounts.
const quiet = "no other session creates or renames users"

// ifPair stands where one account is to get what another may do: the names prove nothing, for the writer of the secret
// chooses them.
const ifPair = "if the two are a pair, and no other secret is for either of them"

// otherOf is the name of the other user of a pair, if it has one.
func otherOf(user string) string {
	if original, isClone := strings.CutSuffix(user, cloneSuffix); isClone {
		return original
	}
	return user + cloneSuffix
}

// noDatabase adds to the cause of a login whose password is right that its account may not use the database which the
// secret names, and what gives it that, with all else that it had.
func (s *session) noDatabase(ctx context.Context, database string, r accountRow, own, partners []accountRow,
	cause *rotator.RejectionCause) error {
	may, err := s.mayUse(ctx, r.account, database)
	if err != nil || may {
		return err
	}
	rows, err := s.query(ctx, operation{action: "looking up whether there is the database"},
		"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = "+quoteText(database))
	if err != nil {
		return err
	}
	remedy, err := s.opening(ctx, database, r, own, partners)
	if len(rows) == 0 { // the superuser sees those that it may use
		cause.Text += fmt.Sprintf(". There is no database %s that the superuser may see", quoteIdent(database))
		says := rotator.Sentencef("correct dbname in the secret (SHOW DATABASES names those that there are), or " +
			"bring that back")
		if err == nil && remedy.Text != "" {
			for i, f := range remedy.Fixes {
				remedy.Fixes[i].For = strings.TrimSuffix("if an administrator sees that database, "+f.For, ", ")
			}
			says = rotator.Sentencef("%s; or, if an administrator sees that database: %s", says, remedy)
		}
		remedy, err = says, nil
	} else {
		cause.Text += fmt.Sprintf(". It has no privilege on the database %s", quoteIdent(database))
	}
	cause.Remedy, cause.Fixes = remedy.Text, remedy.Fixes
	return err
}

// opening is what lets an account use a database: a role that it is granted, or what a counterpart may do.
func (s *session) opening(ctx context.Context, database string, r accountRow, own, partners []accountRow) (
	remedy rotator.Sentence, err error) {
	have, defaultRole, err := s.grants(ctx, r.account)
	if err != nil {
		return remedy, err
	}
	var roles []string
	asleep := 0 // roles that no login makes active
	for _, x := range have.of(role).sorted() {
		name, err := x.role()
		if err != nil || strings.Contains(defaultRole, x.name) {
			continue // the name is one that we have put together ourselves
		}
		asleep++
		may, err := s.mayOpen(ctx, name, database, map[account]bool{r.account: true})
		if err != nil {
			return remedy, err
		}
		if may {
			roles = append(roles, x.name)
		}
	}
	if roles != nil {
		return s.makeDefault(r.account, defaultRole, roles, asleep > len(roles)), nil
	}
	for _, other := range slices.Concat(counterparts(r, own), counterparts(r, partners)) {
		if may, err := s.mayUse(ctx, other.account, database); err == nil && may {
			return s.asOther(ctx, r, other)
		}
	}
	return rotator.Sentencef("GRANT it all that it had, as its deployment or a backup says, for one privilege alone " +
		"lets it log in and no more; or correct dbname in the secret"), nil
}

// makeDefault has each login of an account make roles active that it is granted. On MariaDB that is one. MySQL may have
// made all of them active before, so that clients lack more than the database: others says that there are more.
func (s *session) makeDefault(of account, now string, roles []string, others bool) rotator.Sentence {
	text := fmt.Sprintf("%s, which it is granted, gives it that, and is no default role, so that no login makes it "+
		"active", strings.Join(roles, ", "))
	lines := s.defaultRoles(of, now, roles)
	if !s.mariadb {
		text += " (@@activate_all_roles_on_login is OFF)"
	}
	if !s.mariadb && others {
		all := s.fix("%s", s.defaultRoleStatement(of, "ALL"))
		all.For = "if all roles that it is granted are meant, as where the server made each active until now"
		lines[0].For = "if these alone are meant"
		lines = slices.Insert(lines, 0, all)
	}
	return rotator.Sentencef("%s: %s", text, rotator.RunEach(lines...))
}

// defaultRoles are the lines that have each login of an account make some more roles active: on MariaDB one of them.
func (s *session) defaultRoles(of account, now string, roles []string) (lines []rotator.Fix) {
	if len(roles) == 0 {
		return nil
	}
	if now != "NONE" && !s.mariadb {
		roles = slices.Insert(roles, 0, now)
	}
	if !s.mariadb {
		roles = []string{strings.Join(roles, ", ")}
	}
	for _, r := range roles {
		line := s.fix("%s", s.defaultRoleStatement(of, r))
		if now != "NONE" && s.mariadb {
			line.Note = "in place of " + now + ", the default role until now: GRANT that TO " + r + " if clients " +
				"need both"
		}
		if len(roles) > 1 {
			line.For = "if it is to be " + r
		}
		lines = append(lines, line)
	}
	return lines
}

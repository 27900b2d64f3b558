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
	for _, r := range inUse {
		if !r.changeable() || !ofSecret(ctx, superuser, r) {
			continue
		}
		lacks, err = s.lacks(ctx, r, slices.Concat(counterparts(r, inUse), counterparts(r, others)))
		if err != nil || lacks.Text != "" {
			return lacks, "", err
		}
		i := slices.IndexFunc(others, func(other accountRow) bool { return other.host == r.host && !other.isRole })
		if pair.PasswordOnly || i < 0 {
			continue
		}
		have, _, err := s.grants(ctx, r.account)
		if err != nil {
			return lacks, "", err
		}
		want, _, err := s.readRights(ctx, others[i].account)
		if err != nil {
			return lacks, "", err
		}
		remark = cmp.Or(remark, differ(r, others[i], have, want))
	}
	return lacks, remark, nil
}

// differ says what an account in use lacks of what the account of the other user of its pair has, on the same host. ""
// also where exceptions of partial_revokes make one GRANT more than the other had.
func differ(r, other accountRow, have, want rights) string {
	missing := want.missing(have)
	maps.DeleteFunc(missing, func(x right, _ bool) bool {
		return x.kind == privilege && (have.has(x.name, "*.*") || have.has(allPrivileges, "*.*"))
	})
	give := missing.grants(r.account)
	if len(give) == 0 || len(want.of(restriction)) > 0 || len(have.of(restriction)) > 0 {
		return ""
	}
	if len(give) > 20 { // which no person reads
		return fmt.Sprintf("clients use account %s now, and account %s may do more: compare what SHOW GRANTS FOR "+
			"shows of each", r, other)
	}
	lines := make([]string, len(give))
	for i, statement := range give {
		lines[i] = statement.text
	}
	then := "the next rotation gives clients account %s, which has it"
	if other.user == r.user+cloneSuffix {
		then = "the next rotation takes it from account %s, too"
	}
	return fmt.Sprintf("clients use account %s now, which lacks what account %s has, and "+then+". Unless that is how "+
		"it is meant, as an administrator (%s), and %s: %s", r, other, other, administrators, ifPair,
		strings.Join(lines, "; "))
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
		what, err := s.asOther(ctx, r, other)
		if err != nil || what.Text != "" {
			return rotator.Sentencef("account %s may do nothing but log in, as one that was dropped and created "+
				"again. %s", r, what), err
		}
	}
	return lacks, nil
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
	give, err := s.given(ctx, r.account, have, mine, other.account, condition+", to give it that")
	if err != nil || give == nil {
		return what, err
	}
	lines := rotator.RunEach(give...)
	if len(give) > 20 { // which no person reads
		lines = rotator.Sentencef("GRANT it what SHOW GRANTS FOR %s shows", other)
	}
	return rotator.Sentencef("Account %s has what it lacks, %s: %s (or, %s)", other, condition, lines, otherwise),
		nil
}

// ifSame stands where one account of a user is to get what another of the same name may do: they may have two owners.
const ifSame = "if clients of both are this secret's"

// given are the statements that give an account, which has some rights and a default role, what another has beside.
func (s *session) given(ctx context.Context, to account, have rights, role string, from account, purpose string) (
	give []rotator.Fix, err error) {
	want, defaultRole, err := s.grants(ctx, from)
	if err != nil {
		return nil, err
	}
	line := func(sql string) {
		fix := s.fix("%s", sql)
		fix.For = purpose
		give = append(give, fix)
	}
	exceptions := want.of(restriction).without(have).addRestrictions(to)
	for _, sql := range append(want.missing(have).grants(to), exceptions...) {
		line(sql.text)
	}
	if defaultRole != "NONE" && role == "NONE" {
		line(s.defaultRoleStatement(to, defaultRole))
	}
	return give, nil
}

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
	if len(rows) == 0 {
		cause.Text += fmt.Sprintf(". There is no database %s that the superuser may see", quoteIdent(database))
		cause.Remedy = "correct dbname in the secret (SHOW DATABASES names those that there are), or bring that back"
		return nil
	}
	cause.Text += fmt.Sprintf(". It has no privilege on the database %s", quoteIdent(database))
	remedy, err := s.opening(ctx, database, r, own, partners)
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
	for _, x := range have.of(role).sorted() {
		name, err := x.role()
		if err != nil || strings.Contains(defaultRole, x.name) {
			continue // the name is one that we have put together ourselves
		}
		may, err := s.mayOpen(ctx, name, database, map[account]bool{r.account: true})
		if err != nil {
			return remedy, err
		}
		if may {
			roles = append(roles, x.name)
		}
	}
	if roles != nil {
		return s.makeDefault(r.account, defaultRole, roles), nil
	}
	for _, other := range slices.Concat(counterparts(r, own), counterparts(r, partners)) {
		may, err := s.mayUse(ctx, other.account, database)
		if err != nil {
			return remedy, err
		}
		if may {
			return s.asOther(ctx, r, other)
		}
	}
	return rotator.Sentencef("GRANT it all that it had, as its deployment or a backup says, for one privilege alone " +
		"lets it log in and no more; or correct dbname in the secret"), nil
}

// makeDefault has each login of an account make roles active that it is granted. On MariaDB that is one.
func (s *session) makeDefault(of account, now string, roles []string) rotator.Sentence {
	text := fmt.Sprintf("%s, which it is granted, gives it that, and is no default role, so that no login makes it "+
		"active: ", strings.Join(roles, ", "))
	if now != "NONE" && !s.mariadb {
		roles = slices.Insert(roles, 0, now)
	}
	if !s.mariadb {
		roles = []string{strings.Join(roles, ", ")}
	}
	var lines []rotator.Fix
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
	return rotator.Sentencef("%s%s", text, rotator.RunEach(lines...))
}

package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// TestPair implements strategies.PairTester, as Engine does.
func (m MariaDB) TestPair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (rotator.Sentence,
	error) {
	return Engine(m).TestPair(ctx, superuser, pair)
}

// TestPair implements strategies.PairTester: an account that was dropped and created again may do nothing, and what it
// had its counterpart on the same host has still.
func (e Engine) TestPair(ctx context.Context, superuser strategies.Login, pair strategies.Pair) (lacks rotator.Sentence,
	err error) {
	s, err := e.openForChange(ctx, superuser, nil)
	if err != nil {
		return lacks, err
	}
	defer s.close()
	if s.sandbox {
		return lacks, s.expiredSuperuser()
	}
	inUse, err := s.accounts(ctx, pair.InUse())
	if err != nil {
		return lacks, err
	}
	others, err := s.accounts(ctx, pair.Target)
	if err != nil {
		return lacks, err
	}
	for _, r := range accountsOnly(inUse) {
		other, ok := serving(accountsOnly(others), r.host)
		if !ok {
			continue
		}
		if lacks, err = s.lacks(ctx, r, other); err != nil || lacks.Text != "" {
			return lacks, err
		}
	}
	return lacks, nil
}

// lacks says of an account that may do nothing what its counterpart may do, with the statements that give it that.
func (s *session) lacks(ctx context.Context, r, other accountRow) (lacks rotator.Sentence, err error) {
	have, _, err := s.grants(ctx, r.account)
	if err != nil || len(have) > 0 {
		return lacks, err
	}
	what, err := s.asOther(ctx, r, other)
	if err != nil || what.Text == "" {
		return lacks, err
	}
	return rotator.Sentencef("account %s may do nothing but log in, as one that was dropped and created again. %s", r,
		what), nil
}

// asOther gives an account all that another may do and it may not. "": it lacks nothing of that.
func (s *session) asOther(ctx context.Context, r, other accountRow) (what rotator.Sentence, err error) {
	have, mine, err := s.grants(ctx, r.account)
	if err != nil {
		return what, err
	}
	give, err := s.given(ctx, r.account, have, mine, other.account, ifPair+", to give it that")
	if err != nil || give == nil {
		return what, err
	}
	lines := rotator.RunEach(give...)
	if len(give) > 20 { // which no person reads
		lines = rotator.Sentencef("GRANT it what SHOW GRANTS FOR %s shows", other)
	}
	return rotator.Sentencef("Account %s has what it lacks, "+ifPair+": %s (or, if account %s is to have none of it, "+
		"take it from account %s)", other, lines, r, other), nil
}

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
func (s *session) noDatabase(ctx context.Context, database string, r accountRow, partners []accountRow,
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
	remedy, err := s.opening(ctx, database, r, partners)
	cause.Remedy, cause.Fixes = remedy.Text, remedy.Fixes
	return err
}

// opening is what lets an account use a database: a role that it is granted, or what the other user of its pair may do.
func (s *session) opening(ctx context.Context, database string, r accountRow, partners []accountRow) (
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
	if other, ok := serving(accountsOnly(partners), r.host); ok {
		if may, err := s.mayUse(ctx, other.account, database); err != nil || may {
			if err == nil {
				remedy, err = s.asOther(ctx, r, other)
			}
			return remedy, err
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

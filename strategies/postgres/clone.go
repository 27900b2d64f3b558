package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// EnsureClone implements strategies.CloningEngine. All of it happens in one
// transaction: it is done whole or not at all.
//
// The original is the model, the clone its image. Whenever it is the clone's turn
// (and so no client uses it), the clone is created if it is missing and takes over
// the original's attributes (CONNECTION LIMIT, VALID UNTIL, CREATEDB, CREATEROLE, REPLICATION,
// BYPASSRLS; never SUPERUSER, nor REPLICATION if it is there without), its security labels
// and its settings, those for single databases included; what the original lost of these, the clone loses. At the
// original's turn nothing but its password is set: a clone that AWS's template
// made has none of these, and copying them back would strip the original. At each
// turn the clone is made a member of the original, if it is not.
//
// # One owner
//
// Membership alone (AWS's way) lets the clone use what the original owns, and not
// the reverse: what the clone creates belongs to the clone, is out of the
// original's reach, and gets none of its default privileges. So sessions of the
// clone act as the original: ALTER ROLE app_clone SET role = 'app'. Everything that
// either creates belongs to the original; current_user is the original in both, and
// session_user still tells them apart. Where a setting role has the original act as an owner that
// both share (its own, a database's, or that of all users), the clone takes over that one instead, in one database or
// in all.
//
// A clone that has rights of its own (it owns objects, was granted privileges, or
// is in groups that the original is not in) would lose them to that setting. It is
// left out then, and things stay as with AWS's template. To move such a clone over,
// while the original is in use, run in every database:
//
//	REASSIGN OWNED BY app_clone TO app;
//	DROP OWNED BY app_clone; -- after the line above: privileges only
//
// and revoke its other memberships. The clone's next turn sets the role.
//
// # Rights that the superuser needs
//
// CREATEROLE; as of PostgreSQL 16 also ADMIN OPTION on the original, and on a clone
// that another role made:
//
//	GRANT app TO master WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
//
// and every attribute that is to be copied. Until 15, SUPERUSER, REPLICATION and
// BYPASSRLS are for superusers to copy. Settings that only a superuser may make
// need one, or GRANT SET ON PARAMETER.
func (e Engine) EnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	p secret.Password) error {
	_, err := e.clone(ctx, login, false, pair, p)
	return err
}

// DryRunEnsureClone implements strategies.CloningEngine, as DryRunSetPassword does it.
func (e Engine) DryRunEnsureClone(ctx context.Context, login strategies.Login, pair strategies.Pair,
	sample secret.Password) ([]strategies.Warning, error) {
	return e.clone(ctx, login, true, pair, sample)
}

func (e Engine) clone(ctx context.Context, login strategies.Login, rehearsal bool, pair strategies.Pair,
	p secret.Password) (warnings []strategies.Warning, err error) {
	if err := checkNewPassword(p, pair.Original, pair.Clone); err != nil {
		return nil, err
	}
	if pair.Original == pair.Clone || pair.Target != pair.Original && pair.Target != pair.Clone {
		return nil, fmt.Errorf("pair %q and %q, next %q: %w: want two users, and one of them", pair.Original,
			pair.Clone, pair.Target, rotator.KindMisconfigured)
	}
	s, err := e.open(ctx, login, rehearsal, &pair, pair.Original, pair.Clone)
	if err != nil {
		return nil, err
	}
	defer s.close()
	changes, act, err := s.planClone(ctx, pair, p)
	if err == nil && rehearsal {
		err = s.checkHBA(ctx, pair)
	}
	if err == nil && rehearsal {
		warnings, err = s.bareWarnings(ctx, pair)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !rehearsal:
	case pair.PasswordOnly:
		warnings = append(warnings, s.warnings(s.roles[pair.Target])...)
	default:
		warnings = s.pairWarnings(pair, act)
	}
	return warnings, s.finish(ctx, changes...)
}

// pairSeen is what the flight that opens the transaction shows of a pair.
type pairSeen struct {
	evidence strategies.Evidence
	reversed membership         // of the original in the clone
	member   bool               // the clone has the original's rights
	apart    rotator.Sentence   // in a dry run: that the clone's sessions do not act as the original
	lacks    string             // in a dry run: what gives the clone's sessions back what the original's may do
	clone    map[setting]string // the settings of either
	original map[setting]string
	labels   [][]string // in which the two differ
	edges    edges
}

// lookAtPair asks for what readPair reads. None of it fails if a role is missing.
func (s *session) lookAtPair(pair strategies.Pair) []statement {
	all := []statement{s.lookUpEdges(pair)}
	if !pair.PasswordOnly {
		all = append(all, s.lookUpSettings(pair))
	}
	if s.major() >= 16 {
		all = append(all, s.lookUpMakers(pair))
	}
	if s.major() >= 16 && pair.Target == pair.Original {
		all = append(all, s.lookUpKeepers(pair))
	}
	switch {
	case pair.Target == pair.Clone:
		all = append(all, s.lookUpPrivileges(pair))
	case s.rehearsal:
		all = append(all, s.lookUpActs(pair))
	}
	if pair.Target == pair.Clone && !pair.PasswordOnly {
		all = append(all, lookUpLabels(pair))
	}
	return all
}

func (s *session) readPair(ctx context.Context, pair strategies.Pair, answers []answer) error {
	all, rest := readEdges(answers[0].rows), answers[1:]
	var makers, keepers []string
	var settings, privileges [][]string
	lacks, apart := "", rotator.Sentence{}
	if !pair.PasswordOnly {
		settings, rest = rest[0].rows, rest[1:]
	}
	if s.major() >= 16 {
		for _, row := range rest[0].rows {
			makers = append(makers, row[0])
		}
		rest = rest[1:]
	}
	if s.major() >= 16 && pair.Target == pair.Original {
		for _, row := range rest[0].rows {
			keepers = append(keepers, row[0])
		}
		rest = rest[1:]
	}
	switch {
	case pair.Target == pair.Clone:
		privileges = rest[0].rows
	case s.rehearsal && len(rest[0].rows) > 0:
		_, lacks = s.lacks(rest[0].rows[0], pair)
		apart = s.apart(rest[0].rows[0], pair)
	}
	s.seen = pairSeen{edges: all, reversed: s.membership(all, pair.Original, pair.Clone),
		member: s.hasRights(all, pair.Clone, pair.Original), lacks: lacks, apart: apart,
		clone: map[setting]string{}, original: map[setting]string{}}
	if pair.Target == pair.Clone && !pair.PasswordOnly {
		s.seen.labels = rest[len(rest)-1].rows
	}
	s.seen.evidence = s.evidence(pair, all, s.seen.reversed, makers, keepers, privileges)
	if by := s.gains(pair); by != nil {
		names, _, err := s.holders(ctx, pair, by)
		if err != nil {
			return err
		}
		for _, name := range names {
			s.seen.evidence.Gains = append(s.seen.evidence.Gains, fmt.Sprintf("role %q, which can act as role %q",
				name, pair.Clone))
		}
		if names != nil {
			s.seen.evidence.Ending = leftOf(pair.Clone, names)
			if pair.Target == pair.Clone { // clients use the original
				away := s.aside(pair.Clone)
				away.For = fmt.Sprintf("if no client uses role %q, in place of all that follows: the next rotation "+
					"makes it anew", pair.Clone)
				s.seen.evidence.Ending = append([]rotator.Fix{away}, s.seen.evidence.Ending...)
			}
		}
	}
	if pair.PasswordOnly {
		return nil
	}
	ofAll := map[setting]string{}
	for _, row := range settings {
		name, value, _ := strings.Cut(row[2], "=")
		into := map[string]map[setting]string{pair.Clone: s.seen.clone, pair.Original: s.seen.original, "": ofAll}
		into[row[0]][setting{row[1], name}] = value
	}
	if _, outranks := s.seen.original[setting{name: "role"}]; outranks {
		return nil
	}
	maps.Copy(ofAll, s.seen.original)
	s.seen.original = ofAll
	return nil
}

// gains are the privileges of a member by which one of the clone comes to be able to do more by the change. Attributes
// are not inherited: who has them acts as the clone.
func (s *session) gains(pair strategies.Pair) (by []string) {
	clone, exists := s.roles[pair.Clone]
	has, gets := clone.attributes(), s.roles[pair.Original].attributes()
	switch {
	case !exists || pair.PasswordOnly || s.seen.member: // it has the original's rights already, or is not given them
		return nil
	case !s.seen.reversed.is:
		return []string{"USAGE", s.become()}
	case pair.Target == pair.Clone:
		for i, word := range attributeWords {
			if gets[i] && !has[i] && word != "SUPERUSER" {
				return []string{s.become()}
			}
		}
	}
	return nil
}

// planClone gives the statements that make a pair what EnsureClone promises, and the role
// that sessions of the clone act as after them.
func (s *session) planClone(ctx context.Context, pair strategies.Pair, p secret.Password) (changes []statement,
	act string, err error) {
	target, exists := s.roles[pair.Target]
	_, inUse := s.roles[pair.InUse()]
	switch {
	case exists && inUse:
		if err := s.checkEntitled(ctx, pair); err != nil {
			return nil, "", s.orTaken(ctx, pair.Target, err)
		}
	case pair.PasswordOnly && exists:
		return nil, "", s.missing(ctx, pair.InUse())
	case pair.PasswordOnly:
		return nil, "", s.missing(ctx, pair.Target)
	}
	if err := s.checkSeen(pair.Original, pair.Clone); err != nil { // possession, too, is proved by a login
		return nil, "", err
	}
	if exists && (pair.PasswordOnly || pair.Target == pair.Original) { // a clone gets these from its original
		if err := s.checkConnects(ctx, target); err != nil {
			return nil, "", err
		}
	}
	if pair.PasswordOnly {
		change, err := s.setPassword(target, p)
		return []statement{change}, "", err
	}
	original, ok := s.roles[pair.Original]
	if !ok {
		_, text, remedy, err := s.gone(ctx, pair.Original)
		if err != nil {
			return nil, "", err
		}
		return nil, "", s.errorf(rotator.KindNotFound, "%s: %s. No rotation makes an original: the clone has its "+
			"rights from it", text, remedy)
	}
	clone, exists := s.roles[pair.Clone]
	if exists && pair.Target == pair.Clone && original.repl && !clone.repl {
		return nil, "", s.lacksReplication(pair)
	}
	var password []statement
	switch {
	case !exists && pair.Target == pair.Original:
		return nil, "", s.errorf(rotator.KindNotFound, "there is no role %q on this server, though it is the user of "+
			"AWSCURRENT", pair.Clone)
	case !exists:
		clone = role{name: pair.Clone, login: true, inherit: true, limit: -1, ends: "infinity"}
		err = s.create(ctx, pair, p)
		original = s.roles[pair.Original] // as it is after a wait
	default:
		if pair.Target == pair.Clone && target.expired {
			target.expired = original.expired // copyAttributes gives it the original's
		}
		password = make([]statement, 1)
		password[0], err = s.setPassword(target, p, s.roles[pair.InUse()])
	}
	if err != nil {
		return nil, "", err
	}
	c := cloneSync{session: s, actingRole: acting(s.roles), original: original, clone: clone,
		created: !exists, changes: password}
	if pair.Target == pair.Clone {
		c.copyAttributes()
		c.copyLabels()
	}
	member, err := c.ensureMember(ctx, pair)
	if err == nil && member && pair.Target == pair.Clone {
		err = c.copySettings(ctx)
	}
	return c.changes, s.seen.clone[setting{name: "role"}], err
}

// checkConnects refuses a role of which nothing but the password is changed if clients that log in as it would not be
// let into the database which the secret names.
func (s *session) checkConnects(ctx context.Context, r role) error {
	all := s.faults(r)
	if r.limit == 0 && !r.superuser {
		raise := s.fix("ALTER ROLE %s CONNECTION LIMIT -1", quoteIdent(r.name))
		raise.Note = earlier
		all = append(all, fault{rotator.KindMisconfigured, rotator.Sentencef("role %q has CONNECTION LIMIT 0, and a "+
			"login would be refused: %s", r.name, raise)})
	}
	if !r.connects {
		why, lets, err := s.letsIn(ctx, r.name)
		if err != nil {
			return err
		}
		all = append(all, fault{rotator.KindMisconfigured, rotator.Sentencef("role %q may not connect to database "+
			"%q%s, and a login would be refused: %s", r.name, s.database, why, lets)})
	}
	return s.refusal(all)
}

// bareWarnings speaks of a role that may do nothing, where the other of the pair may: it was dropped, and created again
// with the password that it had. Of a pair that is no original and clone, no rotation gives it anything.
func (s *session) bareWarnings(ctx context.Context, pair strategies.Pair) ([]strategies.Warning, error) {
	target, inUse := s.roles[pair.Target], s.roles[pair.InUse()]
	if !pair.Named || target.attributes() != (attributes{}) {
		return nil, nil
	}
	if bare, err := s.hasNoOwnGrants(ctx, target, role{}); err != nil || !bare {
		return nil, err
	}
	if same, err := s.hasNoOwnGrants(ctx, inUse, target); err != nil || same {
		return nil, err
	}
	also, _, err := s.others(ctx, inUse.name, target.name, false)
	if err != nil {
		return nil, err
	}
	if also.Text == "" {
		member := s.fix("GRANT %s TO %s", quoteIdent(inUse.name), quoteIdent(target.name))
		member.For = fmt.Sprintf("if it is to do what role %q may", inUse.name)
		also = rotator.Sentencef("%s", member)
	}
	w := strategies.Warn("role %q may do nothing but log in, as one that was dropped and created again, and role %q, "+
		"from which this rotation moves clients to it, may: GRANT it what it had, which its deployment or a backup "+
		"says; or, to have it do what the other may: %s", target.name, inUse.name, also)
	w.Unknown = true
	return []strategies.Warning{w}, nil
}

// create makes the clone. Its password goes in with it, so that at no moment there is a role that may log in and has
// none.
func (s *session) create(ctx context.Context, pair strategies.Pair, p secret.Password) error {
	original := s.roles[pair.Original]
	if original.iam {
		return s.checkUsable(original)
	}
	stored, err := s.storedForm(pair.Clone, p, original)
	if err != nil {
		return err
	}
	me := acting(s.roles)
	st := operation{action: fmt.Sprintf("creating role %q", pair.Clone), setsPassword: true,
		remedy: s.createRoleRemedy(me, pair.Original, original.admin)}
	change := statement{st, fmt.Sprintf("CREATE ROLE %s LOGIN INHERIT PASSWORD %s", quoteIdent(pair.Clone),
		quoteLiteral(stored)), nil}
	going, err := s.loginsGoingOn(ctx, change)
	if err != nil || s.rehearsal || len(going) == 0 {
		return err
	}
	if err := s.loginsHaveEnded(ctx, pair.Clone, going); err != nil {
		return err
	}
	// A minute may have passed, in which the original has lost what the clone is not to get.
	err = s.look(ctx, &pair, []string{pair.Original, pair.Clone})
	if err == nil && s.roles[pair.Original].oid != original.oid {
		err = s.errorf(rotator.KindConflict, "role %q %s", pair.Original, another)
	}
	return err
}

// loginsGoingOn runs a statement and then asks for the logins that are going on, and how long one may take. There is no
// list of them until PostgreSQL 17, but each has a transaction, which pg_locks shows to anyone, and no user yet.
func (s *session) loginsGoingOn(ctx context.Context, first statement) ([][]string, error) {
	st := operation{action: "looking for logins that are going on"}
	answers, err := s.flight(ctx, first, statement{st, "SELECT pg_stat_clear_snapshot()", nil}, statement{st,
		`SELECT l.pid, current_setting('authentication_timeout'),
  extract(epoch FROM current_setting('authentication_timeout')::interval)::int
FROM pg_locks l WHERE l.locktype = 'virtualxid' AND NOT EXISTS (
  SELECT FROM pg_stat_get_activity(NULL) a
  WHERE a.pid = l.pid AND (a.usesysid IS NOT NULL OR a.datid IS NOT NULL))`, nil}) // autovacuum has a database alone
	if err != nil {
		return nil, err
	}
	return answers[2].rows, nil
}

// loginsHaveEnded waits for the logins that were going on when a role had been created. One that began under an
// earlier role of that name is let in by that one's password, as the role that has the name when it ends: the server
// looks it up once more. Until this transaction ends, no session can make another role of that name, and no login finds
// this one.
func (s *session) loginsHaveEnded(ctx context.Context, created string, first [][]string) error {
	began, limit := time.Now(), dial.LoginTime(ctx, 0)
	pause := statement{operation{action: "waiting for logins that are going on"}, "SELECT pg_sleep(0.2)", nil}
	for left := first; len(left) > 0; {
		pid, setting := left[0][0], left[0][1]
		seconds, _ := strconv.Atoi(left[0][2])
		switch waited := time.Since(began); {
		case waited > time.Duration(seconds+1)*time.Second: // it has its user already, and waits for something else
			return nil
		case waited > limit:
			return s.errorf(rotator.KindDeadline, "role %q is not made yet: a login (server process %s) began before "+
				"it and goes on, and if that is by the password of an earlier role of this name, it would end as the "+
				"new one. This attempt changed nothing. Try again: the server ends such a login after "+
				"authentication_timeout (%s). If it lasts, give the function a Timeout of that and 20 seconds",
				created, pid, setting)
		}
		now, err := s.loginsGoingOn(ctx, pause)
		if err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(login []string) bool {
			return !slices.ContainsFunc(now, func(other []string) bool { return other[0] == login[0] })
		})
	}
	return nil
}

// cloneSync is the alignment of a clone with its original.
type cloneSync struct {
	*session
	actingRole, original, clone role
	created                     bool        // by this session, so that the clone has nothing yet
	changes                     []statement // in the order in which they are to be made
}

func (c *cloneSync) change(st operation, sql string) {
	c.changes = append(c.changes, statement{st, sql, nil})
}

// copyAttributes emits what differs and no more: a role that lacks the right to
// give an attribute is not refused for one that is not needed.
func (c *cloneSync) copyAttributes() {
	for _, a := range []struct {
		word       string
		have, want bool
	}{
		{"INHERIT", c.clone.inherit, true}, // or its membership would give it nothing
		{"CREATEDB", c.clone.createDB, c.original.createDB},
		{"CREATEROLE", c.clone.createRole, c.original.createRole},
		{"REPLICATION", c.clone.repl, c.original.repl},
		{"BYPASSRLS", c.clone.bypassRLS, c.original.bypassRLS},
	} {
		word := a.word
		if !a.want {
			word = "NO" + word
		}
		if a.have == a.want {
			continue
		}
		c.alter(word)
	}
	limit := c.original.limit
	if c.original.superuser { // for which none counts
		limit = -1
	}
	if c.clone.limit != limit {
		c.alter(fmt.Sprintf("CONNECTION LIMIT %d", limit))
	}
	if c.clone.ends != c.original.ends { // or who has a role for a while would have its clone for good
		c.alter("VALID UNTIL '" + c.original.ends + "'")
	}
}

func (c *cloneSync) alter(attribute string) {
	alter := "ALTER ROLE " + quoteIdent(c.clone.name) + " " + attribute
	c.change(operation{
		action: fmt.Sprintf("copying the attribute %s from role %q to role %q", attribute, c.original.name,
			c.clone.name),
		remedy: rotator.Sentencef("only a superuser may, or as of PostgreSQL 16 a role that has the attribute "+
			"itself: as one of those, %s", c.fix("%s", alter)),
	}, alter)
}

// lacksReplication is the error of a clone that would come to have REPLICATION of its original. A role that can set the
// clone's password, which until PostgreSQL 15 CREATEROLE is enough for, may have a session as it, or a login that is to
// end later. These would then do what nothing but a login as the original did before: read the whole server. A clone
// that a rotation makes has none of these (see loginsHaveEnded).
func (s *session) lacksReplication(pair strategies.Pair) error {
	rename := s.aside(pair.Clone)
	says := rotator.Sentencef("role %q has REPLICATION, and role %q has not: a role that can set its password (until "+
		"PostgreSQL 15, any with CREATEROLE) may be logged in as it, and would have REPLICATION, too, so no rotation "+
		"gives it. Once no client of the secret uses role %[2]q, take it out of role %[1]q, and %[3]s. Then rotate, "+
		"which makes it anew", pair.Original, pair.Clone, rename)
	says.Fixes = append(s.leaving(pair.Clone, pair.Original, s.seen.edges), says.Fixes...)
	return s.errorf(rotator.KindPrivilege, "%s", says)
}

// aside gives a clone another name, so that the next rotation makes one anew.
func (s *session) aside(clone string) rotator.Fix {
	const longest = 63 // bytes of a name
	end := "_old"
	other := strings.ToValidUTF8(clone[:min(len(clone), longest-len(end))], "") + end
	rename := s.byAdministrator("ALTER ROLE %s RENAME TO %s", quoteIdent(clone), quoteIdent(other))
	rename.Note = "drop that one once nothing of it is needed"
	return rename
}

// lookUpLabels asks for the security labels in which the two of a pair differ, as the clone is to have them.
func lookUpLabels(pair strategies.Pair) statement {
	const of = "(SELECT provider, label FROM pg_shseclabel WHERE classoid = 'pg_authid'::regclass AND objoid = "
	const sql = "SELECT provider, coalesce(quote_literal(o.label), 'NULL') FROM " + of +
		"to_regrole(quote_ident($1))) o FULL JOIN " + of + "to_regrole(quote_ident($2))) c USING (provider) " +
		"WHERE o.label IS DISTINCT FROM c.label ORDER BY 1"
	return statement{operation{action: "looking up security labels"}, sql, []string{pair.Original, pair.Clone}}
}

// copyLabels gives the clone the original's: one may keep from a role what others see (MASKED of PostgreSQL
// Anonymizer), and the clone is not to see it.
func (c *cloneSync) copyLabels() {
	for _, row := range c.seen.labels {
		label := fmt.Sprintf("SECURITY LABEL FOR %s ON ROLE %s IS %s", quoteIdent(row[0]), quoteIdent(c.clone.name),
			row[1])
		c.change(operation{action: fmt.Sprintf("giving role %q the security label of role %q (%s)", c.clone.name,
			c.original.name, label), remedy: rotator.Sentencef("as a superuser, %s", c.fix("%s", label))}, label)
	}
}

// ensureMember gives the clone the original's rights. It says false where the
// original is a member of the clone: the other way round is then impossible, and
// the administrator who set that up wants the clone to be the owner, of everything. ADMIN OPTION
// alone is no such wish.
func (c *cloneSync) ensureMember(ctx context.Context, pair strategies.Pair) (bool, error) {
	switch reversed := c.seen.reversed; {
	case reversed.is && reversed.gives:
		free, err := c.hasNoOwnGrants(ctx, c.original, c.clone)
		if err == nil && !free && pair.Target == pair.Clone {
			err = c.errorf(rotator.KindMisconfigured, "role %[1]q is a member of role %[2]q, so that %[2]q cannot be "+
				"given what is %[1]q's own (what it owns, was granted, or has by other memberships), and clients "+
				"would lack that: %[5]s, and the rotation turns the membership round; or move all of it to %[2]s "+
				"(REASSIGN OWNED BY %[3]s TO %[4]s)", c.original.name, c.clone.name, quoteIdent(c.original.name),
				quoteIdent(c.clone.name), c.fix("REVOKE %s FROM %s", quoteIdent(c.clone.name),
					quoteIdent(c.original.name)))
		}
		return false, err
	case reversed.is && pair.Target == pair.Clone:
		return false, c.errorf(rotator.KindMisconfigured, "%s", c.adminOnly(pair, reversed.revoke))
	case reversed.is: // clients are on the clone, and the rotation takes them back to the original
		return false, nil
	}
	if c.seen.member {
		return true, nil
	}
	if c.openToCreators(c.original) {
		return false, c.errorf(rotator.KindMisconfigured, "role %[1]q is a superuser, and until PostgreSQL 15 every "+
			"role with CREATEROLE may grant itself a member of it that is none, as the clone %[2]q would be, and so "+
			"become a superuser. Rotate %[1]q by single user, or have clients use a role that is no superuser",
			c.original.name, c.clone.name)
	}
	options := ""
	if c.version >= 160000 {
		options = " WITH INHERIT TRUE, SET TRUE"
	}
	st := operation{
		action: fmt.Sprintf("making role %q a member of role %q", c.clone.name, c.original.name),
		remedy: c.createRoleRemedy(c.actingRole, c.original.name, c.original.admin),
	}
	c.change(st, fmt.Sprintf("GRANT %s TO %s%s", quoteIdent(c.original.name), quoteIdent(c.clone.name), options))
	return true, nil
}

// openToCreators says whether to be a member of a role is to put it into the hands of all that have CREATEROLE. They
// may alter and grant every role but superusers until PostgreSQL 15, and later what they are given alone.
func (s *session) openToCreators(r role) bool { return r.superuser && s.version < 160000 }

// adminOnly says what to do where the original made the clone itself. PostgreSQL has
// given it ADMIN OPTION on the clone then, and takes that for a circle (0LP01) when the
// clone is to be its member.
func (s *session) adminOnly(pair strategies.Pair, revoke string) rotator.Sentence {
	drop := s.fix("DROP ROLE %s", quoteIdent(pair.Clone))
	drop.For = "if no superuser can be used (Amazon RDS), as the role that has ADMIN OPTION"
	drop.Note = "the rotation creates it anew"
	run := rotator.Sentencef("find the groups through which it is a member, and REVOKE these")
	if revoke != "" {
		run = rotator.Sentencef("run %s", s.fix("%s", revoke))
	}
	says := rotator.Sentencef("role %q has ADMIN OPTION on role %q, which gives it nothing that %[2]q may do, and "+
		"keeps %[2]q from being made a member of %[1]q: %[3]s as a superuser", pair.Original, pair.Clone, run)
	if pair.Target == pair.Original { // clients are on the clone
		return says
	}
	return rotator.Sentencef("%s; or where no superuser can be used (Amazon RDS), as the role that has ADMIN OPTION: "+
		"%s, and the rotation creates it anew", says, drop)
}

// setting is a row of pg_db_role_setting: a value for one database, or for all of
// them ("").
type setting struct{ database, name string }

// copySettings gives the clone the settings of the original, and no others but
// those that make it act as the original: everywhere, and in the databases where the original, or all users, have
// a setting role. A clone with rights of its own would lose them to any setting role, and gets none.
func (c *cloneSync) copySettings(ctx context.Context) error {
	have, want := c.seen.clone, maps.Clone(c.seen.original)
	byName := func(a, b setting) int {
		return strings.Compare(a.database+"\x00"+a.name, b.database+"\x00"+b.name)
	}
	act, free, known := setting{name: "role"}, c.created, c.created
	if _, ok := want[act]; !ok {
		want[act] = "none"
	}
	for _, key := range slices.SortedFunc(maps.Keys(want), byName) {
		if key.name != act.name {
			continue
		}
		if role := want[key]; role == "" || role == "none" {
			want[key] = c.original.name
		}
		if want[key] == have[key] {
			continue
		}
		if !known {
			var err error
			if free, err = c.hasNoOwnGrants(ctx, c.clone, c.original); err != nil {
				return err
			}
			known = true
		}
		if !free {
			delete(want, key)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(have), byName) {
		if _, ok := want[key]; !ok {
			c.set(key, "RESET "+quoteSetting(key.name))
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(want), byName) {
		value, ok := have[key]
		if ok && value == want[key] {
			continue
		}
		set := func() { c.set(key, "SET "+quoteSetting(key.name)+" TO "+quoteValue(key.name, want[key])) }
		if key.name != "role" {
			set()
		} else if err := c.withTempMembership(ctx, want[key], set); err != nil {
			return err
		}
	}
	c.seen.clone = want
	return nil
}

// lookUpSettings asks for the settings of the two of a pair, and for the setting role of all users (""), which counts
// where the original has none. Of those for the original, a role counts that it may act as: the server leaves out
// another with a warning.
func (s *session) lookUpSettings(pair strategies.Pair) statement {
	sql := `SELECT CASE WHEN s.setrole = 0 THEN '' WHEN s.setrole = to_regrole(quote_ident($1)) THEN $1::text ELSE $2::text END, d.datname, v
FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) v
WHERE (s.setdatabase = 0 OR d.oid IS NOT NULL) AND CASE WHEN s.setrole = to_regrole(quote_ident($1)) THEN true
  WHEN v NOT LIKE 'role=%' THEN s.setrole = to_regrole(quote_ident($2))
  ELSE s.setrole IN (0, to_regrole(quote_ident($2))) AND (v = 'role=none' OR EXISTS (SELECT FROM pg_roles r
    WHERE r.rolname = substr(v, 6) AND pg_has_role(to_regrole(quote_ident($2)), r.oid, '` + s.become() + `'))) END`
	return statement{operation{action: "looking up role settings"}, sql, []string{pair.Clone, pair.Original}}
}

// become is the privilege by which a session may act as a role.
func (s *session) become() string {
	if s.major() >= 16 {
		return "SET"
	}
	return "MEMBER"
}

// hasNoOwnGrants says whether a role has no rights of its own, but those of another one.
func (s *session) hasNoOwnGrants(ctx context.Context, of, but role) (bool, error) {
	// Classes 'o' and 'a' of pg_shdepend are what a role owns and was granted, in
	// all databases, 'i' initial privileges and 'r' policies.
	const sql = `WITH RECURSIVE m(id) AS (
  SELECT oid FROM pg_roles WHERE rolname = $2
  UNION SELECT a.roleid FROM pg_auth_members a JOIN m ON a.member = m.id)
SELECT NOT EXISTS (
    SELECT FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
    WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname = $1
    AND d.deptype IN ('o', 'a', 'i', 'r'))
  AND NOT EXISTS (
    SELECT FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.member
    WHERE r.rolname = $1 AND a.roleid NOT IN (SELECT id FROM m))`
	row, err := s.row(ctx, operation{action: "looking up privileges"}, sql, of.name, but.name)
	return err == nil && row[0] == "t", err
}

// set is ALTER ROLE ... SET or RESET. Values can be secrets of others, so errors
// do not repeat what the server says of them.
func (c *cloneSync) set(key setting, action string) {
	in, what := "", fmt.Sprintf("the setting %s", key.name)
	if key.database != "" {
		in = " IN DATABASE " + quoteIdent(key.database)
		what += fmt.Sprintf(" in database %q", key.database)
	}
	alter := "ALTER ROLE " + quoteIdent(c.clone.name) + in + " " + action
	st := operation{
		action:    fmt.Sprintf("copying %s from role %q to role %q", what, c.original.name, c.clone.name),
		sensitive: true,
	}
	switch {
	case strings.HasPrefix(action, "RESET"):
		st.action = fmt.Sprintf("resetting %s of role %q, which role %q has not", what, c.clone.name, c.original.name)
		st.remedy = rotator.Sentencef("only a superuser may reset %s: as one, %s", key.name, c.fix("%s", alter))
	case c.version >= 150000:
		st.remedy = rotator.Sentencef("only a superuser may set %s, unless it is permitted: %s; or remove it from "+
			"role %q", key.name, c.fix("GRANT SET ON PARAMETER %s TO %s", quoteSetting(key.name),
			quoteIdent(c.actingRole.name)), c.original.name)
	default:
		st.remedy = rotator.Sentencef("only a superuser may set %s: remove it from role %q", key.name,
			c.original.name)
	}
	c.change(st, alter)
}

// settingRole are the minor releases of 14 November 2024, of each major version. Since then the setting role may be set
// by a role that cannot become the one that it names; they themselves leave out every setting role.
// https://www.postgresql.org/docs/release/17.2/
func settingRole() []int { return []int{120021, 130017, 140014, 150009, 160005, 170001} }

// setsAnyRole says whether the server is of those releases, or a later one.
func (s *session) setsAnyRole() bool {
	return s.version >= 180000 || slices.ContainsFunc(settingRole(), func(first int) bool {
		return s.version >= first && s.version/10000 == first/10000
	})
}

// withTempMembership wraps set for the setting role. Releases from before November
// 2024 want the role that sets it to be able to become that role: one who is not gets the
// membership for the length of the statement, in a transaction that shows it to
// no other session. As of PostgreSQL 16 it may have granted itself one without SET (createrole_self_grant), which then
// has it for as long, and stays.
func (c *cloneSync) withTempMembership(ctx context.Context, owner string, set func()) error {
	if c.setsAnyRole() {
		set()
		return nil
	}
	has, by := "MEMBER", "NULL"
	if c.version >= 160000 {
		has, by = "SET", "(SELECT pg_get_userbyid(m.grantor) FROM pg_auth_members m WHERE m.roleid = r.oid AND "+
			"m.member = to_regrole(quote_ident(current_user)) AND pg_has_role(current_user, m.grantor, 'USAGE') "+
			"LIMIT 1)"
	}
	row, err := c.row(ctx, operation{action: "looking up memberships"},
		"SELECT coalesce(pg_has_role(current_user, r.oid, $1), true), "+by+" FROM (SELECT) x LEFT JOIN pg_roles r ON "+
			"r.rolname = $2", has, owner)
	if err != nil {
		return err
	}
	if row[0] == "t" {
		set()
		return nil
	}
	st := operation{action: fmt.Sprintf("becoming a member of role %q for a moment", owner),
		remedy: c.createRoleRemedy(c.actingRole, owner, false)}
	role, me := quoteIdent(owner), quoteIdent(c.actingRole.name)
	give, take := "GRANT "+role+" TO "+me, "REVOKE "+role+" FROM "+me
	switch grantor := row[1]; {
	case grantor != "":
		granted := " GRANTED BY " + quoteIdent(grantor)
		give, take = give+" WITH SET TRUE"+granted, "REVOKE SET OPTION FOR "+role+" FROM "+me+granted
	case c.version >= 160000:
		give += " WITH INHERIT FALSE, SET TRUE"
	}
	c.change(st, give)
	set()
	c.change(st, take)
	return nil
}

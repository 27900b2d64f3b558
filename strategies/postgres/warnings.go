package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// warnings says what of an account will work today and may surprise later.
func (s *session) warnings(r role) []strategies.Warning {
	var all []strategies.Warning
	all = append(all, s.endWarnings(r)...)
	if r.nearConnLimit {
		all = append(all, strategies.Warn("role %q has nearly all of its %d connections in use, and testSecret needs "+
			"one more: ALTER ROLE %s CONNECTION LIMIT with a higher number", r.name, r.limit, quoteIdent(r.name)))
	}
	if s.attempts > 0 {
		w := strategies.Warn("the extension credcheck bans a role after %d failed logins "+
			"(credcheck.max_auth_failure), also with the right password. To lift that: credcheck.max_auth_failure = "+
			"0, and SELECT pg_banned_role_reset(%s) for one that is banned", s.attempts, quoteLiteral(r.name))
		w.Attempts = s.attempts
		all = append(all, w)
	}
	if s.guessed {
		all = append(all, strategies.Warning{Unknown: true,
			Text: fmt.Sprintf("user %q may not see how the password of %q is stored (pg_authid), and it is to be "+
				"stored for SCRAM-SHA-256: clients that know md5 only, for which POSTGRES_ALLOW_MD5 is set, would be "+
				"refused if it is an md5 hash now. Let the user change its own password, or the superuser be one "+
				"that may read pg_authid", s.login.User, r.name)})
	}
	if s.upgrades {
		all = append(all, strategies.Warn("clients log in by an md5 hash, and role %q is to get a SCRAM verifier: "+
			"those that know md5 alone (libpq before 10, JDBC before 42.2) would be refused. If there are such: "+
			"POSTGRES_ALLOW_MD5=true", r.name))
	}
	if s.allowMD5 && r.md5 && r.iterations == 0 && r.name == s.login.User {
		all = append(all, strategies.Warn("an md5 hash lets in as the password does, and other sessions of role %q "+
			"see the new one in pg_stat_activity while it is set: one that is open keeps its access. Store SCRAM "+
			"(POSTGRES_ALLOW_MD5=false), or rotate through a superuser, whose statements they do not see", r.name))
	}
	all = append(all, s.clearWarnings()...)
	if s.port != "" && s.port != strconv.Itoa(s.login.Port) && !s.login.PoolerForwardsLogins {
		all = append(all, strategies.Warn("the server listens on port %s, and this connection went to %d. What only "+
			"carries bytes is fine, but a pooler in between that keeps passwords of its own and cannot be told from "+
			"the server (Pgpool-II with pool_passwd) would refuse the new one: then use the database's own endpoint "+
			"as host", s.port, s.login.Port))
	}
	return all
}

// endWarnings says which of some roles end soon.
func (s *session) endWarnings(roles ...role) (all []strategies.Warning) {
	for _, r := range roles {
		if r.validUntil != "" {
			extend := s.fix("ALTER ROLE %s VALID UNTIL 'infinity'", quoteIdent(r.name))
			extend.For = "if the role is to have no end, in place of a later one"
			all = append(all, strategies.Warn("the VALID UNTIL of role %q ends at %s UTC, and no new password extends "+
				"it. If it is to go on, set a later one; if it is to have no end, %s", r.name, r.validUntil, extend))
		}
	}
	return all
}

// clearWarnings says of which users the server has been sent the password itself.
func (s *session) clearWarnings() []strategies.Warning {
	var users []string
	if s.login.For != nil {
		for user, seen := range s.login.For.Seen {
			if _, how, _ := strings.Cut(seen, " "); how == seenClear {
				users = append(users, strconv.Quote(user))
			}
		}
	}
	slices.Sort(users)
	if s.method == authCleartext {
		users = append(users, strconv.Quote(s.login.User))
	}
	if users == nil {
		return nil
	}
	return []strategies.Warning{strategies.Warn("the server has the password of user %s sent to it in clear, inside "+
		"TLS (password, ldap, pam or radius in pg_hba.conf), and so may log it: ask for scram-sha-256 there",
		strings.Join(users, " and "))}
}

// pairWarnings says what may surprise of the user that clients are moved to, and in what the two of the pair will
// differ. act is the role that the clone's sessions will act as.
func (s *session) pairWarnings(pair strategies.Pair, act string) (all []strategies.Warning) {
	target, reversed := s.roles[pair.Target], s.seen.reversed
	target.name = pair.Target      // of a clone that is to be made
	if pair.Target == pair.Clone { // it takes over the original's end: one that is extended is extended alone
		original := s.roles[pair.Original]
		target.validUntil = original.validUntil
		all = s.endWarnings(original)
	}
	all = append(all, s.warnings(target)...)
	if original := s.roles[pair.Original]; s.seen.member && s.openToCreators(original) &&
		!s.roles[pair.Clone].superuser {
		drop := s.fix("DROP ROLE %s", quoteIdent(pair.Clone))
		drop.For = fmt.Sprintf("once clients use role %q alone", original.name)
		all = append(all, strategies.Warn("role %q is a member of the superuser %q and is none itself: until "+
			"PostgreSQL 15 every role with CREATEROLE may grant it to itself, and so become a superuser. Rotate "+
			"%[2]q by single user, and %[3]s; or have clients use a role that is no superuser", pair.Clone,
			original.name, drop))
	}
	switch {
	case pair.Target == pair.Original && s.seen.lacks != "" && !reversed.is:
		// It is known, and the rotation mends it: not to stop it in strict mode either.
		return append(all, strategies.Warn("clients are on role %q now, and lack what it had from role %q, to "+
			"which this rotation moves them. To give it back at once: %s", pair.Clone, pair.Original,
			s.fix("%s", s.seen.lacks)))
	case pair.Target == pair.Original && s.seen.apart.Text != "":
		return append(all, strategies.Warn("%s", s.seen.apart))
	case act != "" && act != "none":
		return append(all, s.settingRoleWarnings(pair)...)
	case reversed.is && reversed.gives:
		return all
	case reversed.is:
		return append(all, strategies.Warn("%s", s.adminOnly(pair, reversed.revoke)))
	}
	// One transaction: where the first statement may not be run, the second would drop what the clone owns.
	give := s.fix("BEGIN; REASSIGN OWNED BY %[1]s TO %s; DROP OWNED BY %[1]s; COMMIT", quoteIdent(pair.Clone),
		quoteIdent(pair.Original))
	give.For = fmt.Sprintf("while %q is in AWSCURRENT, in every database", pair.Original)
	if pair.Target == pair.Clone { // as it is now
		give.For = rotator.BeforeRotating + give.For
	}
	return append(all, strategies.Warn("role %q owns objects or has its own grants, so it does not act as role %q, "+
		"which cannot use what it creates. While %[2]q is in AWSCURRENT, run %[3]s in every database; the "+
		"next rotation does the rest", pair.Clone, pair.Original, give))
}

// settingRoleWarnings speaks of the minor releases that leave out every setting role.
func (s *session) settingRoleWarnings(pair strategies.Pair) []strategies.Warning {
	if !slices.Contains(settingRole(), s.version) {
		return nil
	}
	return []strategies.Warning{{Unknown: true, Text: fmt.Sprintf("PostgreSQL %d.%d does not apply the setting role "+
		"(the next minor release does), so that what clients create as role %q would not be role %q's, which could "+
		"not use it: upgrade the server first", s.version/10000, s.version%10000, pair.Clone, pair.Original)}}
}

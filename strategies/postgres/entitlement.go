package postgres

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

// checkEntitled asks whether the password of pair.Target, a role that exists, may be
// set, and shows the strategy what every role may read: pg_roles, pg_auth_members,
// pg_db_role_setting and pg_shdepend.
//
// Provenance is a membership of the clone in the original, with INHERIT or SET: ADMIN
// OPTION alone is what PostgreSQL 16 gives to the creator of a role. For the original's turn it is one
// with SET, by which the clone can act as the original anyway. The clone may hold nothing
// that the original lacks: attributes, memberships, privileges on objects. What it owns
// does not count, for clones that AWS's templates made own what they created.
//
// Evidence counts only if every role that could have made it could have set the password
// by hand: the role that granted the membership, and those that could give the role in use
// its name, for a superuser may have granted it under another one. lookUpMakers finds these
// as of PostgreSQL 16, by ADMIN OPTION, which is enough for both, and to set a password
// (GRANT, SET ROLE, ALTER ROLE of oneself). Until 15 CREATEROLE renames, grants, and sets
// passwords, but not those of roles with REPLICATION, of which a membership proves nothing
// there; ADMIN OPTION on the original is enough to grant it.
//
// The original's turn moves clients to it. So roles with power over the original, which have none over the clone, count
// against it: CREATEROLE is enough to make an original for an account that is really named like a clone. AWSPREVIOUS,
// of which it is, proves the one that clients used before.
//
// Where the clone is still to be given the original's rights, or attributes of it, a role that can act as the clone, or
// give itself that, and not as the original, would gain them.
func (s *session) checkEntitled(ctx context.Context, pair strategies.Pair) error {
	evidence := s.seen.evidence
	evidence.Acting = s.roles[pair.Target].actingRole || pair.Target == s.login.User
	return pair.CheckEntitled(ctx, evidence)
}

// lookUpPrivileges asks on how many objects the clone has privileges that the original lacks, and
// all that the original is a member of. In the database of this session, and of what all databases
// share, it compares the privileges. What is granted elsewhere cannot be compared, and counts unless the original owns
// the object: it is the secret that says which database this is.
func (s *session) lookUpPrivileges(pair strategies.Pair) statement {
	lists := "" // of privileges, which every role may read
	for _, list := range []string{"pg_class.relacl", "pg_proc.proacl", "pg_namespace.nspacl", "pg_type.typacl",
		"pg_language.lanacl", "pg_foreign_data_wrapper.fdwacl", "pg_foreign_server.srvacl", "pg_tablespace.spcacl",
		"pg_database.datacl", "pg_default_acl.defaclacl", "pg_largeobject_metadata.lomacl", "pg_parameter_acl.paracl"} {
		catalogue, column, _ := strings.Cut(list, ".")
		if catalogue != "pg_parameter_acl" || s.major() >= 15 {
			class := strings.TrimSuffix(catalogue, "_metadata") // large objects go by the name of their data
			lists += fmt.Sprintf(" UNION ALL SELECT %s, NULL FROM %s WHERE d.classid = '%s'::regclass AND "+
				"oid = d.objid AND d.objsubid = 0", column, catalogue, class)
		}
	}
	used := "" // a membership that gives nothing, as of PostgreSQL 16
	if s.major() >= 16 {
		used = " AND (a.inherit_option OR a.set_option OR a.admin_option)"
	}
	sql := `WITH RECURSIVE model(id) AS (
  SELECT to_regrole(quote_ident($1))::oid
  UNION SELECT a.roleid FROM pg_auth_members a JOIN model ON a.member = model.id` + used + `)
SELECT (SELECT datname FROM pg_database b WHERE b.oid = d.dbid), count(*) FROM pg_shdepend d
WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole(quote_ident($2)) AND d.deptype IN ('a', 'i', 'r')
AND NOT EXISTS (
  SELECT FROM pg_shdepend x WHERE x.dbid = d.dbid AND x.classid = d.classid AND x.objid = d.objid
  AND x.refclassid = d.refclassid AND x.refobjid IN (SELECT id FROM model) AND x.deptype = 'o')
AND (d.deptype = 'a' AND d.dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
OR NOT EXISTS (
  SELECT FROM pg_shdepend x WHERE x.dbid = d.dbid AND x.classid = d.classid AND x.objid = d.objid
  AND x.objsubid IN (0, d.objsubid) AND x.refclassid = d.refclassid AND x.refobjid IN (SELECT id FROM model)
  AND x.deptype = d.deptype)
OR d.deptype = 'a' AND EXISTS (
  SELECT FROM (SELECT attacl, relacl FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE d.classid = 'pg_class'::regclass AND attrelid = d.objid AND attnum = d.objsubid` + lists + `) l(list, wider),
    aclexplode(l.list) p
  WHERE p.grantee = d.refobjid AND NOT EXISTS (
    SELECT FROM aclexplode(l.list || l.wider) q WHERE (q.grantee = 0 OR q.grantee IN (SELECT id FROM model))
    AND q.privilege_type = p.privilege_type AND (q.is_grantable OR NOT p.is_grantable))))
GROUP BY d.dbid ORDER BY 1`
	return statement{operation{action: "looking up privileges"}, sql, []string{pair.Original, pair.Clone}}
}

// lookUpMakers asks for the roles that may not set the password and could have made the
// membership of a pair, or have given the role in use its name. These are roles with ADMIN
// OPTION on it, themselves or as members of others, and roles with CREATEROLE: of one that had
// ADMIN OPTION nothing is left once another with CREATEROLE has dropped it. A trace of
// the superuser, or of a role that may set the password, rules the latter out: ADMIN OPTION of the
// superuser on the role in use, or a setting by which sessions of the target act as a role of that
// name. The former counts if superusers gave it, as the server does to who makes a role: any admin of a role can
// make the superuser one. Superusers are left out, and the roles of this session.
func (s *session) lookUpMakers(pair strategies.Pair) statement {
	sql := `WITH RECURSIVE grants AS (
  SELECT m.*, EXISTS (SELECT FROM pg_roles g WHERE g.oid = m.grantor AND g.rolsuper) AS sure FROM pg_auth_members m
), found(id, sure) AS (
  SELECT member, sure FROM grants WHERE roleid = to_regrole(quote_ident($1)) AND admin_option
  UNION SELECT g.member, g.sure AND found.sure FROM grants g JOIN found ON g.roleid = found.id
), admins AS (SELECT DISTINCT id FROM found)
SELECT h.rolname FROM pg_roles h LEFT JOIN admins ON admins.id = h.oid
WHERE (admins.id IS NOT NULL AND h.rolcanlogin OR h.rolcreaterole AND (admins.id IS NOT NULL
  OR NOT EXISTS (SELECT FROM pg_roles x JOIN found ON found.id = x.oid WHERE x.rolname = current_user AND found.sure)
  AND NOT EXISTS (SELECT FROM pg_db_role_setting x WHERE x.setrole = to_regrole(quote_ident($2))
    AND x.setdatabase = 0 AND 'role=' || $1 = ANY (x.setconfig))))
AND NOT h.rolsuper AND h.rolname NOT IN ($1, $2, session_user, current_user)
AND NOT ` + s.administers("h.oid", "to_regrole(quote_ident($2))") + `
ORDER BY admins.id IS NULL, 1`
	return statement{operation{action: "looking up who could have named a role"}, sql,
		[]string{pair.InUse(), pair.Target}}
}

// lookUpKeepers asks for the roles that may set the original's password, and not the clone's, which clients use: they
// could have made an original of that name for it, or be given one by a rename. Superusers are left out, and the roles
// of this session.
func (s *session) lookUpKeepers(pair strategies.Pair) statement {
	sql := `WITH RECURSIVE admins(id) AS (
  SELECT member FROM pg_auth_members WHERE roleid = to_regrole(quote_ident($1)) AND admin_option
  UNION SELECT a.member FROM pg_auth_members a JOIN admins ON a.roleid = admins.id)
SELECT h.rolname FROM admins JOIN pg_roles h ON h.oid = admins.id
WHERE (h.rolcanlogin OR h.rolcreaterole) AND NOT h.rolsuper AND h.rolname NOT IN ($1, $2, session_user, current_user)
AND NOT ` + s.administers("h.oid", "to_regrole(quote_ident($2))") + ` ORDER BY 1`
	return statement{operation{action: "looking up who could have made the original"}, sql,
		[]string{pair.Original, pair.Clone}}
}

// administers is the condition that a role may grant another one, itself included: it may act as one, itself or by SET
// ROLE, which it may grant itself first, and that one has or inherits ADMIN OPTION. A membership that gives nothing is
// none, as pg_has_role takes it; and of a role which is a superuser by now, superusers alone grant.
func (s *session) administers(who, what string) string {
	return fmt.Sprintf(`EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles x ON x.oid = m.roleid, pg_roles acting
  WHERE m.roleid = %[2]s AND m.admin_option AND NOT x.rolsuper
  AND pg_has_role(acting.oid, m.member, 'USAGE') AND (pg_has_role(%[1]s, acting.oid, '%[3]s') OR NOT acting.rolsuper
    AND EXISTS (SELECT FROM pg_auth_members a
      WHERE a.roleid = acting.oid AND a.admin_option AND pg_has_role(%[1]s, a.member, 'USAGE'))))`,
		who, what, s.become())
}

// lookUpHolders asks for the roles that can act as the clone, by one of these privileges of a member, or give
// themselves that, and not as the original. Until PostgreSQL 15, one with CREATEROLE can act as any that is no
// superuser.
func (s *session) lookUpHolders(pair strategies.Pair, privileges []string) statement {
	able := "h.rolcreaterole AND NOT o.rolsuper"
	if s.major() >= 16 {
		able = "false"
	}
	sql := `WITH RECURSIVE holders(id) AS (
  SELECT member FROM pg_auth_members WHERE roleid = to_regrole(quote_ident($2))
  UNION SELECT a.member FROM pg_auth_members a JOIN holders ON a.roleid = holders.id)
SELECT DISTINCT h.rolname, h.rolcreaterole AND NOT pg_has_role(h.oid, c.oid, 'USAGE')
  AND NOT pg_has_role(h.oid, c.oid, '` + s.become() + `') FROM holders JOIN pg_roles h ON h.oid = holders.id JOIN pg_roles o ON o.rolname = $1
  JOIN pg_roles c ON c.rolname = $2, unnest(string_to_array($3, ' ')) p(privilege)
WHERE h.oid <> o.oid AND NOT h.rolsuper AND h.rolname NOT IN (session_user, current_user) AND NOT (` + able + `)
AND NOT ` + s.administers("h.oid", "o.oid") + ` AND NOT pg_has_role(h.oid, o.oid, p.privilege)
AND (pg_has_role(h.oid, c.oid, 'MEMBER WITH ADMIN OPTION') OR pg_has_role(h.oid, c.oid, p.privilege)) ORDER BY 1`
	return statement{operation{action: "looking up who can act as the clone"}, sql,
		[]string{pair.Original, pair.Clone, strings.Join(privileges, " ")}}
}

// holders also gives those of them that could be the superuser of a pair: it has ADMIN OPTION alone on what it created.
func (s *session) holders(ctx context.Context, pair strategies.Pair, privileges []string) (names, bosses []string,
	err error) {
	look := s.lookUpHolders(pair, privileges)
	answers, err := s.flight(ctx, ownOperators(look.operation, true), look)
	if err != nil {
		return nil, nil, err
	}
	for _, row := range answers[1].rows {
		if names = append(names, row[0]); row[1] == "t" {
			bosses = append(bosses, row[0])
		}
	}
	return names, bosses, nil
}

// leftOf shows what a REVOKE leaves to roles that could act as the clone: sessions that do, some of them by its
// password, and what they made as it, which runs with its privileges. The server does not show as which role a session
// acts: within a function of the clone, any can, and so can one that was a member before.
func leftOf(clone string, roles []string) []rotator.Fix {
	var users []string
	for _, name := range append(slices.Clone(roles), clone) {
		users = append(users, quoteLiteral(name))
	}
	sessions := byAdministrator("%s", trusted+"SELECT pid, usename, application_name, client_addr, "+
		"backend_start FROM pg_stat_activity WHERE usesysid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY "+
		"coalesce(usename IN ("+strings.Join(users, ", ")+"), false) DESC, backend_start")
	sessions.For = "once that is taken away, to see the sessions that can still act so"
	sessions.Note = fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(pid) ends one; those of %q may be clients'. "+
		"Others than the first, which are those roles', may be within a function of it, or may have been let act so "+
		"before: end each that began before and is not known. A login that began before is shown once it has ended: "+
		"look again after authentication_timeout", clone)
	made := owned(clone, "o")
	made.For = fmt.Sprintf("to see where role %q owns something", clone)
	made.Note = "its functions with SECURITY DEFINER, views and triggers do what it may, also those that others " +
		"made, and by its default privileges (pg_default_acl) others may use what clients create as it: drop there " +
		"what no client needs"
	return []rotator.Fix{sessions, made}
}

// owned shows in which databases a role owns something (o) or was granted something (a), and what kinds of things.
func owned(role string, how ...string) rotator.Fix {
	return byAdministrator("%s", trusted+"SELECT datname, classid::regclass, deptype, count(*) FROM pg_shdepend LEFT "+
		"JOIN pg_database AS d ON d.oid = dbid WHERE deptype IN ('"+strings.Join(how, "', '")+"') AND refclassid = "+
		"'pg_authid'::regclass AND refobjid = to_regrole("+quoteLiteral(quoteIdent(role))+") GROUP BY 1, 2, 3 ORDER "+
		"BY 1, 2, 3")
}

// others says which roles would come to have what role may by a line that makes the clone a member of it: then no such
// line is printed. "": none. Where a client asks, whose session is none of the superuser's, note is on those that could
// be that.
func (s *session) others(ctx context.Context, role, clone string, client bool) (says rotator.Sentence, note string,
	err error) {
	names, bosses, err := s.holders(ctx, strategies.Pair{Original: role, Clone: clone},
		[]string{"USAGE", s.become()})
	if client && bosses != nil {
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(bosses, name) })
		note = fmt.Sprintf("; and unless the superuser secret is for %s, take its ADMIN OPTION on role %q away first",
			some(bosses), clone)
	}
	if err != nil || len(names) == 0 {
		return says, note, err
	}
	return rotator.Sentence{Text: fmt.Sprintf("%s can act as role %q, and would have what role %q may, too. Take that "+
		"away (not from the superuser secret's user, which has ADMIN OPTION on both), then end the sessions that are "+
		"left of it, and see what role %q owns. The status then says what gives it back", some(names), clone, role,
		clone), Fixes: leftOf(clone, names)}, note, nil
}

// leaving takes a role out of a group that it is a member of by itself. From 16 on, each grantor's grant is one.
func (s *session) leaving(member, group string, all edges) (taking []rotator.Fix) {
	for _, e := range all {
		if e.member != member || e.role != group {
			continue
		}
		by := ""
		if s.version >= 160000 && e.grantor != "" {
			by = " GRANTED BY " + quoteIdent(e.grantor)
		}
		taking = append(taking, s.byAdministrator("REVOKE %s FROM %s%s", quoteIdent(group), quoteIdent(member), by))
	}
	return taking
}

// byAdministrator is for what the user of a superuser secret need not be able to do, nor to grant.
func byAdministrator(format string, args ...any) rotator.Fix {
	return rotator.Fix{By: rotator.ByAdministrator, Run: fmt.Sprintf(format, args...)}
}

// evidence is what memberships show, and the privileges of the clone that the original lacks
// (where its password is to be set). makers are roles that could have made the evidence. It is
// of two roles that exist.
func (s *session) evidence(pair strategies.Pair, all edges, reversed membership, makers, keepers []string,
	privileges [][]string) (seen strategies.Evidence) {
	target, inUse, original := s.roles[pair.Target], s.roles[pair.InUse()], s.roles[pair.Original]
	toClone := pair.Target == pair.Clone
	sets := func(e edge) bool { return e.set || e.admin } // by ADMIN OPTION it grants itself the rest
	reached, becomes := all.reach(pair.Target, anyEdge), all.reach(pair.Target, sets)
	floor, acts := all.reach(pair.InUse(), edge.gives), all.reach(pair.InUse(), func(e edge) bool { return e.set })
	has := map[string]attributes{pair.Target: target.attributes(), pair.InUse(): inUse.attributes()}
	for _, e := range all {
		has[e.role] = e.attributes
	}
	var more []string
	for _, name := range slices.Sorted(maps.Keys(reached)) {
		switch {
		case target.superuser, inUse.superuser, name == pair.Target, has[name] == (attributes{}) &&
			!isAdministrative(name):
		case floor[name] && (acts[name] || !becomes[name] || has[name] == (attributes{})): // no attribute is inherited
		case !toClone && !pair.PasswordOnly:
			seen.Synced = append(seen.Synced, "membership in "+name)
			seen.Taking = append(seen.Taking, s.leaving(pair.Target, name, all)...)
		default:
			seen.Admin = append(seen.Admin, "membership in "+name)
			seen.Taking = append(seen.Taking, s.leaving(pair.Target, name, all)...)
		}
	}
	for i, word := range attributeWords {
		inFloor := inUse.superuser
		for name := range acts { // no attribute is inherited
			inFloor = inFloor || has[name][i]
		}
		switch {
		case inFloor || !has[pair.Target][i]:
		case word != "SUPERUSER" && !pair.PasswordOnly:
			// copyAttributes takes it from the clone; the original's is the clone's as well
			// once that is a member.
			seen.Synced = append(seen.Synced, "the attribute "+word)
			more = append(more, "the attribute "+word)
		default:
			seen.Admin = append(seen.Admin, "the attribute "+word)
			seen.Taking = append(seen.Taking, s.byAdministrator("ALTER ROLE %s NO%s", quoteIdent(pair.Target), word))
		}
	}
	clone, grantors := false, []string(nil)
	for _, e := range all.between(pair.Clone, pair.Original) {
		couldSet := e.grantorSuper || e.grantor == acting(s.roles).name ||
			e.grantorCreatesRoles && (s.version >= 160000 || !original.repl) ||
			e.grantorIsOurs && s.version >= 160000 && !acting(s.roles).superuser
		switch {
		case !e.set && (!e.inherit || !toClone):
		case couldSet && e.grantor != pair.Original && e.grantor != pair.Clone:
			clone = true
		default:
			grantors = append(grantors, cmp.Or(e.grantor, "a role that is gone"))
		}
	}
	in, model, modelActs := all.reach(pair.Original, anyEdge),
		all.reach(pair.Original, func(e edge) bool { return e.inherit || sets(e) }), all.reach(pair.Original, sets)
	for _, e := range all {
		administers := func(b edge) bool { return b.role == e.role && b.admin && model[b.member] }
		lacks := !in[e.role] || e.inherit && !model[e.role] || e.set && !modelActs[e.role] ||
			e.admin && !slices.ContainsFunc(all, administers)
		if toClone && !original.superuser && e.member == pair.Clone && (e.role != pair.Original || e.admin) && lacks {
			more = append(more, "membership in "+e.role+map[bool]string{true: " with ADMIN OPTION"}[e.admin])
		}
	}
	for _, row := range privileges {
		if original.superuser {
			break
		}
		where := "of the whole server"
		if row[0] != "" {
			where = "in database " + row[0]
		}
		more = append(more, fmt.Sprintf("privileges on %s objects %s", row[1], where))
	}
	slices.Sort(grantors)
	switch {
	case clone && s.version < 160000 && target.repl:
		seen.NoProvenance = "until PostgreSQL 15, roles with CREATEROLE can rename and grant one with REPLICATION, " +
			"and may not set its password"
	case clone && s.version < 160000 && !toClone && (inUse.repl || inUse.superuser):
		seen.NoProvenance = fmt.Sprintf("until PostgreSQL 15, any role with CREATEROLE may have made role %q, to "+
			"which clients would move, and may not set the password of role %q", pair.Target, pair.InUse())
	case clone && len(makers) > 0:
		seen.NoProvenance = fmt.Sprintf("role %q may have its name or its members from %s, which may not set its "+
			"password itself", pair.InUse(), some(makers))
	case clone && len(keepers) > 0:
		seen.NoProvenance = fmt.Sprintf("role %q, to which clients would move, may have its name or its members from "+
			"%s, which may not set the password of role %q", pair.Target, some(keepers), pair.InUse())
	case !clone && grantors != nil:
		seen.NoProvenance = fmt.Sprintf("its membership was granted by %s, which may not set its password itself",
			strings.Join(grantors, ", "))
	case !clone:
		seen.NoProvenance = fmt.Sprintf("role %q is no member of %q with %sSET", pair.Clone, pair.Original,
			map[bool]string{true: "INHERIT or "}[toClone])
		if reversed.is && !reversed.gives {
			seen.NoProvenance += "; " + s.adminOnly(pair, reversed.revoke).Text
		}
	case more != nil && toClone:
		seen.NoProvenance = fmt.Sprintf("role %q has what role %q lacks: %s", pair.Clone, pair.Original,
			strings.Join(more, ", "))
	}
	return seen
}

// some shortens a list of roles.
func some(names []string) string {
	const most = 3
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s or %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// isAdministrative says whether a role is one of the server's, or of a provider's, that may do
// what others may not.
func isAdministrative(name string) bool {
	of := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return name != "pg_database_owner" && slices.ContainsFunc([]string{"pg_", "rds_", "rdsadmin", "cloudsql", "azure_",
		"alloydb"}, of)
}

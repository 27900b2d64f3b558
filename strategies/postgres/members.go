package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/strategies"
)

// edge is a membership: a row of pg_auth_members, with the role that is granted and the
// one that granted it. Before PostgreSQL 16 each gives SET, and INHERIT if the member has that.
type edge struct {
	member, role        string
	admin, inherit, set bool
	attributes          attributes // of the role
	grantor             string     // "": it is gone
	grantorSuper        bool
	grantorCreatesRoles bool
	grantorIsOurs       bool // we are a member of the grantor
}

// gives says whether the member may do what the role may: with ADMIN OPTION alone it may not.
func (e edge) gives() bool { return e.inherit || e.set }

// attributes of a role, in the order of attributeWords.
type attributes [5]bool

// attributeWords are sorted.
var attributeWords = [5]string{"BYPASSRLS", "CREATEDB", "CREATEROLE", "REPLICATION", "SUPERUSER"}

func (r role) attributes() attributes {
	return attributes{r.bypassRLS, r.createDB, r.createRole, r.repl, r.superuser}
}

// lookUpEdges asks for all memberships of the two users of a pair, and of the roles that they are
// members of. What they mean is found out here: one plain question is planned in a
// fraction of the time of those that would find it out there.
func (s *session) lookUpEdges(pair strategies.Pair) statement {
	inherit, set := "(SELECT i.rolinherit FROM pg_roles i WHERE i.oid = e.member)", "true"
	if s.major() >= 16 {
		inherit, set = "e.inherit_option", "e.set_option"
	}
	sql := `WITH RECURSIVE m(id) AS (
  SELECT unnest(ARRAY[to_regrole(quote_ident($1)), to_regrole(quote_ident($2))])::oid
  UNION SELECT a.roleid FROM m JOIN pg_auth_members a ON a.member = m.id)
SELECT pg_get_userbyid(e.member), r.rolname, e.admin_option, ` + inherit + `, ` + set + `,
  r.rolbypassrls, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolsuper,
  g.rolname, g.rolsuper, g.rolcreaterole, pg_has_role(current_user, g.oid, 'MEMBER')
FROM m JOIN pg_auth_members e ON e.member = m.id JOIN pg_roles r ON r.oid = e.roleid LEFT JOIN pg_roles g ON g.oid = e.grantor`
	return statement{operation{action: "looking up memberships"}, sql, []string{pair.Original, pair.Clone}}
}

// edges are memberships, as lookUpEdges finds them.
type edges []edge

func readEdges(rows [][]string) edges {
	all := make(edges, len(rows))
	for i, row := range rows {
		e := edge{member: row[0], role: row[1], grantor: row[10]}
		for j, flag := range []*bool{&e.admin, &e.inherit, &e.set,
			&e.attributes[0], &e.attributes[1], &e.attributes[2], &e.attributes[3], &e.attributes[4]} {
			*flag = row[2+j] == "t"
		}
		for j, flag := range []*bool{&e.grantorSuper, &e.grantorCreatesRoles, &e.grantorIsOurs} {
			*flag = row[11+j] == "t"
		}
		all[i] = e
	}
	return all
}

// reach gives a role and all that it is a member of, by memberships that count.
func (all edges) reach(from string, counts func(edge) bool) map[string]bool {
	found := map[string]bool{from: true}
	for next := []string{from}; len(next) > 0; {
		member := next[0]
		next = next[1:]
		for _, e := range all {
			if e.member == member && !found[e.role] && counts(e) {
				found[e.role] = true
				next = append(next, e.role)
			}
		}
	}
	return found
}

func anyEdge(edge) bool { return true }

// between gives the memberships of one role in another.
func (all edges) between(member, role string) edges {
	return slices.DeleteFunc(slices.Clone(all), func(e edge) bool { return e.member != member || e.role != role })
}

// hasRights says whether one role has what another may do, without SET ROLE and by it.
func (s *session) hasRights(all edges, of, what string) bool {
	return s.roles[of].superuser ||
		all.reach(of, func(e edge) bool { return e.inherit })[what] &&
			all.reach(of, func(e edge) bool { return e.set })[what]
}

// membership says whether one role is a member of another, whether that gives it what
// the other may do, and which REVOKE would end one that does not (with what the member has
// granted by it, which may be the superuser's right itself).
type membership struct {
	is, gives bool
	revoke    string
}

func (s *session) membership(all edges, member, role string) membership {
	m := membership{is: all.reach(member, anyEdge)[role], gives: all.reach(member, edge.gives)[role]}
	var revokes []string
	for _, e := range all.between(member, role) {
		if e.grantor != "" {
			revokes = append(revokes, fmt.Sprintf("REVOKE %s FROM %s GRANTED BY %s CASCADE", quoteIdent(role),
				quoteIdent(member), quoteIdent(e.grantor)))
		}
	}
	if revokes == nil {
		return m
	}
	slices.Sort(revokes)
	if me := acting(s.roles); !me.superuser {
		revokes = append(revokes, s.giveAdmin(role, me))
	}
	m.revoke = strings.Join(revokes, "; ")
	return m
}

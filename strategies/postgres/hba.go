package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

// hbaEntry is an entry of pg_hba.conf for logins of one role over TCP.
type hbaEntry struct{ line, kind, address, netmask, method, options string }

// checkHBA refuses to move clients to a role that pg_hba.conf turns away where it lets in the other of the pair:
// testSecret logs in from one address, and clients come from others. Nor is there a clone that gets in where its
// original does not. Where the superuser may not read the entries, or
// it is not known of which addresses they are (names of hosts), nothing is refused. What is read is the file, which the
// server may be still to load.
func (s *session) checkHBA(ctx context.Context, pair strategies.Pair) error {
	if !s.hba {
		return nil
	}
	lookUp := s.lookUpHBA(pair)
	rows, err := s.query(ctx, lookUp.operation, lookUp.sql, lookUp.args...)
	if err != nil {
		return err
	}
	of := map[string][]hbaEntry{}
	for _, row := range rows {
		of[row[0]] = append(of[row[0]], hbaEntry{row[1], row[2], row[3], row[4], row[5], row[6]})
	}
	inUse, target := pair.InUse(), pair.Target
	for _, from := range samples(slices.Concat(of[inUse], of[target])) {
		// the first that is for an address and the database counts, whatever it says
		now, known := entryFor(of[inUse], from, !pair.NoTLS)
		then, alsoKnown := entryFor(of[target], from, !pair.NoTLS)
		gains := pair.Target == pair.Clone && !pair.PasswordOnly && known && alsoKnown && then.admits() && !now.admits()
		if gains && !(then.address == "all" && from.Is6()) {
			return rotator.WithFix(s.errorf(rotator.KindMisconfigured, "pg_hba.conf lets role %q, the clone, log in "+
				"by password from %s (line %s), and the original %q %s. Who has the secret would gain that by this "+
				"rotation: name both roles in each line that names one%s", target, then.where(), then.line, inUse,
				now.turnsAway(), hba), "", hbaLines()...)
		}
		unlikely := now.address == "all" && from.Is6() // nothing says that clients come by IPv6
		if unlikely || !known || !alsoKnown || !now.takesPasswords() || then.admits() {
			continue
		}
		return rotator.WithFix(s.errorf(rotator.KindMisconfigured, "pg_hba.conf lets role %q in from %s (line %s), "+
			"and role %q, to which this rotation moves clients, %s: name both roles in line %[3]s, with no entry "+
			"before it that turns one away, or remove that if no client comes from there%[6]s", inUse, now.where(),
			now.line, target, then.turnsAway(), hba), "", hbaLines()...)
	}
	return nil
}

// lookUpHBA asks for the entries that are for each of a pair, in this database, in their order: by name, for all, for a
// group (+) or, as of PostgreSQL 16, by a regular expression. A clone that is to be a member of the original is in the
// groups of that. There is no answer if the file has a fault: the server has another in use then.
func (s *session) lookUpHBA(pair strategies.Pair) statement {
	is := func(word, name string) string {
		sql := word + " = " + name
		if s.major() >= 16 {
			sql += fmt.Sprintf(" OR CASE WHEN left(%[1]s, 1) = '/' THEN %[2]s ~ substr(%[1]s, 2) END", word, name)
		}
		return sql
	}
	original, line := pair.Original, "h.line_number::text"
	if pair.PasswordOnly {
		original = ""
	}
	if s.major() >= 16 {
		line += " || CASE WHEN h.file_name = current_setting('hba_file') THEN '' ELSE ' of ' || h.file_name END"
	}
	sql := `WITH RECURSIVE pair(who) AS (VALUES ($1), ($2)), m(who, id) AS (
  SELECT who, r.oid FROM pair JOIN pg_roles r ON r.rolname = who OR r.rolname = $3 AND who <> $3
  UNION SELECT m.who, a.roleid FROM m JOIN pg_auth_members a ON a.member = m.id
), groups(who, name) AS (SELECT m.who, r.rolname FROM m JOIN pg_roles r ON r.oid = m.id)
SELECT p.who, ` + line + `, h.type, coalesce(h.address, ''), coalesce(h.netmask, ''), h.auth_method,
  coalesce(array_to_string(h.options, ' '), '')
FROM (SELECT *, row_number() OVER () AS n FROM pg_hba_file_rules) h, pair p
WHERE h.type <> 'local' AND NOT EXISTS (SELECT FROM pg_hba_file_rules WHERE error IS NOT NULL)
AND EXISTS (SELECT FROM unnest(h.database) d WHERE d = 'all' OR d = 'sameuser' AND p.who = current_database()
  OR d IN ('samerole', 'samegroup') AND EXISTS (SELECT FROM groups g WHERE g.who = p.who AND g.name = current_database())
  OR ` + is("d", "current_database()") + `)
AND EXISTS (SELECT FROM unnest(h.user_name) u WHERE u = 'all'
  OR left(u, 1) = '+' AND EXISTS (SELECT FROM groups g WHERE g.who = p.who AND g.name = substr(u, 2)) OR ` +
		is("u", "p.who") + `) ORDER BY n`
	return statement{operation{action: "looking up pg_hba.conf"}, sql, []string{pair.InUse(), pair.Target, original}}
}

// network gives the addresses that an entry is for. all: every one.
func (e hbaEntry) network() (all bool, network netip.Prefix, known bool) {
	if e.address == "all" {
		return true, network, true
	}
	address, err := netip.ParseAddr(e.address)
	mask, bad := netip.ParseAddr(e.netmask)
	if err != nil || bad != nil {
		return false, network, false
	}
	bits := 0
	for _, b := range mask.AsSlice() {
		for ; b != 0; b <<= 1 {
			bits++
		}
	}
	network, err = address.Prefix(bits)
	return false, network, err == nil
}

// samples gives addresses that stand for all others: between two of them no entry begins or ends.
func samples(entries []hbaEntry) []netip.Addr {
	addresses := []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})} // TEST-NET-1: one that no network has
	for _, e := range entries {
		all, network, known := e.network()
		if all || !known {
			continue
		}
		addresses = append(addresses, network.Addr())
		if next := last(network).Next(); next.IsValid() {
			addresses = append(addresses, next)
		}
	}
	return addresses
}

// last is the highest address of a network.
func last(network netip.Prefix) netip.Addr {
	bytes := network.Addr().AsSlice()
	for bit := network.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

// entryFor gives the entry that counts for logins from an address; the zero value: there is none.
func entryFor(entries []hbaEntry, from netip.Addr, tls bool) (_ hbaEntry, known bool) {
	for _, e := range entries {
		if tls && e.kind == "hostnossl" || !tls && e.kind == "hostssl" || e.kind == "hostgssenc" {
			continue
		}
		all, network, known := e.network()
		if !known || all || network.Contains(from) {
			return e, known
		}
	}
	return hbaEntry{}, true
}

func (e hbaEntry) where() string {
	if e.netmask == "" {
		return e.address + " addresses"
	}
	return e.address + " " + e.netmask
}

// takesPasswords says whether clients log in by what the secret holds.
func (e hbaEntry) takesPasswords() bool {
	return slices.Contains([]string{"scram-sha-256", "md5", "password"}, e.method)
}

// admits says whether clients can log in as a role by whose name alone they have been given a password: the client
// certificates that they may have are of the other's name.
func (e hbaEntry) admits() bool {
	return e.method == "trust" || e.takesPasswords() && !e.wantsName()
}

// wantsName says whether the name in the client's certificate must be the role's.
func (e hbaEntry) wantsName() bool {
	return strings.Contains(e.options, "clientcert=verify-full") && !strings.Contains(e.options, "map=")
}

// turnsAway says it of an entry that does not admit.
func (e hbaEntry) turnsAway() string {
	if e.line == "" {
		return "by no entry"
	}
	return fmt.Sprintf("not: line %s counts for it (%s)", e.line, e.says())
}

func (e hbaEntry) says() string {
	if e.wantsName() {
		return "clientcert=verify-full: a certificate of its own name"
	}
	return e.method
}

package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// checkStandIns refuses a change after which clients of the accounts in use would meet accounts of the other user that
// do not let them in, or let them do less. Of the accounts of a name the server takes the one with the most specific
// host, so that one account can serve the clients of several, or stand in the way of one.
//
// An account of the clone on a host of the original is made like it (see EnsureClone), so of that it is asked only
// whether it has a password to be changed. Others stay as they are: those for hosts that the original lacks, and all
// accounts of a pair of which nothing but passwords are changed.
func (c *cloneSync) checkStandIns(ctx context.Context) error {
	next, inUse := c.allOriginals, c.clones
	if !c.inUse() {
		next, inUse = slices.Clone(c.clones), c.allOriginals
	}
	for _, o := range c.aligned() { // it is still to be created
		if clone, exists := c.clone(o.host); !exists {
			clone.plugins = o.plugins
			next = append(next, clone)
		}
	}
	var clients []string
	for _, r := range slices.Concat(inUse, next) {
		clients = append(clients, r.host)
		if n, ok := networkOf(r.host); ok { // beside the text, its first address, and its last
			clients = append(clients, n.at(0), n.at(math.MaxUint32))
		}
	}
	for _, now := range inUse {
		for _, then := range next {
			for _, share := range []func(string, string) (string, bool){shared, inBoth} {
				if host, ok := share(now.host, then.host); ok {
					clients = append(clients, host)
				}
			}
		}
	}
	for _, host := range clients {
		met := mayServe(inUse, host)
		for _, now := range met {
			if !now.changeable() {
				continue
			}
			all := mayServe(next, host)
			if len(all) == 0 && c.pair.PasswordOnly {
				return c.errorf(rotator.KindMisconfigured,
					"clients of account %s would be refused: user %q has no account for their host. CREATE USER %s, "+
						"with what account %s may do, or DROP USER %s if no client needs it",
					now, c.pair.Target, account{user: c.pair.Target, host: now.host}, now, now)
			}
			for _, then := range all {
				aligned := !c.pair.PasswordOnly && slices.ContainsFunc(met, func(r accountRow) bool {
					return r.host == then.host && r.changeable()
				})
				// Clients are on the clone, whose accounts for hosts that the original lacks are AWS's template's.
				if !aligned && !c.pair.PasswordOnly && c.inUse() {
					continue
				}
				if err := c.checkStandIn(ctx, now, then, aligned); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkStandIn sees whether clients of one account can go on with another.
func (c *cloneSync) checkStandIn(ctx context.Context, now, then accountRow, aligned bool) error {
	switch {
	case then.locked:
		return c.errorf(rotator.KindPrivilege, "clients of account %s would meet account %s, which is locked: %s, or "+
			"DROP USER %s, or RENAME USER it if it is another owner's", now, then,
			ifIts(rotator.RunEach(c.fix("ALTER USER %s ACCOUNT UNLOCK", then))), then)
	case !then.changeable():
		return c.errorf(rotator.KindMisconfigured, "clients of account %s would meet account %s, which %s, or "+
			"DROP USER %s, or RENAME USER it if it is another owner's",
			now, then, ifIts(c.ofNoPassword(ctx, then)), then)
	case aligned && !c.inUse():
		return nil // it is given what the other demands
	case then.require != now.require && then.require != "REQUIRE NONE" &&
		(then.require != "REQUIRE SSL" || c.pair.NoTLS):
		demand := any(ifIts(rotator.RunEach(c.fix("ALTER USER %s %s", then, now.require))))
		if strings.ContainsFunc(now.require, otherwiseTyped) { // chosen by who may create users
			demand = fmt.Sprintf("ALTER USER %s to demand what SHOW CREATE USER %s shows", then, now)
		}
		return c.errorf(rotator.KindMisconfigured, "clients of account %s would meet account %s, which refuses them "+
			"without what it demands: %s, as account %s has it; or, if they have what that demands, ALTER USER %s to "+
			"demand it too", now, then, demand, now, now)
	case aligned:
		return nil
	case c.pair.PasswordOnly:
		return c.checkMayUse(ctx, then)
	}
	want, err := c.able(ctx, now.account, map[account]bool{})
	if err != nil {
		return err
	}
	less, err := c.lacking(ctx, then.account, want)
	if err != nil {
		return err
	}
	if len(less) > 0 {
		return c.errorf(rotator.KindMisconfigured, "account %s is for a host for which user %q has no account. "+
			"Clients on it would meet that account, which lacks %s. Find out whose it is. If it is another owner's, "+
			"RENAME USER %s TO another name, which its clients then log in by; else DROP USER it (the rotation makes "+
			"accounts like the original's), or grant it that", then, c.pair.Original, less, then)
	}
	return nil
}

// checkMayUse refuses an account that may not use the database which the secret names: its login would be refused.
func (c *cloneSync) checkMayUse(ctx context.Context, r accountRow) error {
	may, err := c.mayUse(ctx, r.account, c.login.Database)
	if err != nil || may {
		return err
	}
	return c.errorf(rotator.KindMisconfigured, "account %s may not use the database %q, and a login that names it "+
		"would be refused: GRANT it there what user %q may do (or SET DEFAULT ROLE, where a role gives it that), "+
		"or leave "+
		"dbname out of the secret", r, c.login.Database,
		c.pair.InUse())
}

// mayUse says whether a login of an account that names a database is let in, as far as that can be told. The server
// permits any user with a privilege there, on whatever is in it.
func (s *session) mayUse(ctx context.Context, of account, database string) (bool, error) {
	if database == "" || isEveryones(database) {
		return true, nil
	}
	may, err := s.mayOpen(ctx, of, database, map[account]bool{})
	if err != nil || may {
		return may, err
	}
	// What the server gives to everyone stands under other names; and it can be told to make all roles active, and to
	// keep the names of databases in small letters.
	everyone := "SELECT COUNT(*) + @@GLOBAL.activate_all_roles_on_login, @@GLOBAL.lower_case_table_names " +
		"FROM mysql.db WHERE User = ''"
	if s.mariadb {
		everyone = "SELECT COUNT(*), @@GLOBAL.lower_case_table_names FROM mysql.db WHERE User IN ('', 'PUBLIC')"
	}
	row, err := s.row(ctx, operation{action: "looking up what everyone may do"}, everyone)
	if err != nil || row[0] != "0" {
		return true, err
	}
	if row[1] == "0" {
		return false, nil
	}
	return s.mayOpen(ctx, of, strings.ToLower(database), map[account]bool{})
}

// isEveryones says whether each user may use a database.
func isEveryones(database string) bool {
	return strings.EqualFold(database, "information_schema") || strings.EqualFold(database, "performance_schema")
}

// mayOpen looks among the rights of an account, and of the roles that are active after its login. seen holds those
// already looked at.
func (s *session) mayOpen(ctx context.Context, of account, database string, seen map[account]bool) (bool, error) {
	isRole := len(seen) > 0
	seen[of] = true
	all, defaultRole, err := s.grants(ctx, of)
	if err != nil {
		return false, err
	}
	for r := range all {
		if r.kind == privilege && opens(r, database) {
			return true, nil
		}
		if r.kind != role || !isRole && !strings.Contains(defaultRole, r.name) {
			continue
		}
		name, err := r.role()
		if err != nil || seen[name] {
			continue // the name is one that we have put together ourselves
		}
		if may, err := s.mayOpen(ctx, name, database, seen); err != nil || may {
			return may, err
		}
	}
	return false, nil
}

// onDatabases are the privileges that a database can be used by, where they are held on *.*.
var onDatabases = []string{allPrivileges, grantOption, "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP",
	"REFERENCES", "INDEX", "ALTER",
	"CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE",
	"EVENT", "TRIGGER", "DELETE HISTORY"}

// opens says whether a privilege lets its holder use a database. In the name of a whole database, % and _ stand for
// other characters.
func opens(r right, database string) bool {
	if r.object == "*.*" {
		return slices.Contains(onDatabases, r.name)
	}
	name, whole := databaseOf(r.object)
	return name == database || whole && like(name, database)
}

// databaseOf is the database that an object is in, and whether it is the whole: then its name is a pattern.
func databaseOf(object string) (name string, whole bool) {
	for _, t := range tokens(object) {
		if t.kind == '`' {
			return t.text, object == quoteIdent(t.text)+".*"
		}
	}
	return "", false
}

// serving gives the account by which the server lets in clients of a host: the most specific whose host covers that.
func serving(rows []accountRow, host string) (found accountRow, ok bool) {
	all := mayServe(rows, host)
	if len(all) == 0 {
		return found, false
	}
	return all[0], true
}

// mayServe gives the accounts that the server may let clients of a host in by: one, unless it is by the order of their
// making (MySQL), or of their lengths (MariaDB), which of two patterns it takes.
func mayServe(rows []accountRow, host string) (all []accountRow) {
	for _, r := range rows {
		hidden := func(other accountRow) bool { return other.precedes(r) }
		if !r.covers(host) || slices.ContainsFunc(all, hidden) {
			continue
		}
		all = append(slices.DeleteFunc(all, func(other accountRow) bool {
			// of two for one host, the last: the other has no name
			return r.precedes(other) || r.host == other.host
		}), r)
	}
	return all
}

// precedes says whether the server takes an account before another, that is for all its clients (a network: for those
// that are in it). https://dev.mysql.com/doc/refman/9.0/en/connection-access.html
func (r accountRow) precedes(after accountRow) bool {
	host, other := r.host, after.host
	if host == "" || host == other || other == "" || other == "%" {
		return host != "" && host != other
	}
	literal := fixed(host) == math.MaxInt
	of, isNetwork := networkOf(host)
	otherOf, otherIs := networkOf(other)
	switch {
	case (isNetwork || literal) && otherIs && r.unordered:
		return false
	case isNetwork && otherIs && of.length != otherOf.length:
		return of.length // whatever the sizes
	case isNetwork && otherIs:
		return of.mask > otherOf.mask
	case isNetwork:
		return fixed(other) < math.MaxInt
	case otherIs:
		return literal && ^otherOf.mask != 0 // MariaDB takes a netmask for one address first
	}
	return covers(other, host) && !covers(host, other) && fixed(host) > fixed(other)
}

// network are the addresses that an account is for whose host has a netmask (10.0.0.0/255.0.0.0), or the length of one
// (10.0.0.0/8), which MariaDB does not know, and MySQL until 8.0.23.
type network struct {
	address, mask uint32
	length        bool
}

// networkOf reads the host of an account. Of a mask that is none, the servers differ in what it is for.
func networkOf(host string) (n network, ok bool) {
	base, mask, _ := strings.Cut(host, "/")
	if n.address, ok = ipv4(base); !ok {
		return n, false
	}
	if n.mask, ok = ipv4(mask); !ok {
		length, err := strconv.ParseUint(mask, 10, 6)
		ok, n.length, n.mask = err == nil && length <= 32, true, ^(math.MaxUint32 >> length)
	}
	return n, ok && n.mask != 0 && ^n.mask&(^n.mask+1) == 0
}

// at is the address of a network whose other bits are these.
func (n network) at(bits uint32) string {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], n.address&n.mask|bits&^n.mask)
	return netip.AddrFrom4(bytes).String()
}

// inBoth gives an address that is in a network and has a pattern, of which one host is the one, and one the other.
func inBoth(a, b string) (host string, ok bool) {
	n, isNetwork := networkOf(a)
	pattern := b
	if !isNetwork {
		n, isNetwork = networkOf(b)
		pattern = a
	}
	if !isNetwork || fixed(pattern) == math.MaxInt || strings.Trim(pattern, "0123456789.%_") != "" {
		return "", false
	}
	// Number by number: each that the network has there, and what the pattern can have left after it.
	type left struct {
		found   int
		pattern string
	}
	seen := map[left]bool{}
	var try func(found []string, pattern string) bool
	try = func(found []string, pattern string) bool {
		if seen[left{len(found), pattern}] {
			return false
		}
		seen[left{len(found), pattern}] = true
		if host = strings.Join(found, "."); len(found) == 4 {
			return strings.Trim(pattern, "%") == ""
		}
		shift := 24 - 8*len(found)
		for v := range uint32(256) {
			if v&(n.mask>>shift&255) != n.address>>shift&255 {
				continue
			}
			part := strconv.FormatUint(uint64(v), 10)
			text := part
			if len(found) < 3 {
				text += "."
			}
			for rest := range after(pattern, text) {
				if try(append(slices.Clone(found), part), rest) {
					return true
				}
			}
		}
		return false
	}
	ok = try(nil, pattern)
	return host, ok
}

// after gives what a pattern can have left where a text begins with what it stands for.
func after(pattern, text string) map[string]bool {
	now := map[string]bool{pattern: true}
	for i := range len(text) {
		then := map[string]bool{}
		for rest := range now {
			for strings.HasPrefix(rest, "%") {
				then[rest] = true
				rest = rest[1:]
			}
			if rest != "" && (rest[0] == '_' || rest[0] == text[i]) {
				then[rest[1:]] = true
			}
		}
		now = then
	}
	return now
}

// ipv4 is an IPv4 address as a number.
func ipv4(address string) (uint32, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return 0, false
	}
	bytes := a.As4()
	return binary.BigEndian.Uint32(bytes[:]), true
}

// covers is covers of the account's host, also where that is a network.
func (r accountRow) covers(host string) bool {
	in, _ := r.inNetwork(host)
	return in || covers(r.host, host)
}

// inNetwork says whether an address is in the network that the account's host is, and whether that can be told.
func (r accountRow) inNetwork(address string) (in, told bool) {
	if !strings.Contains(r.host, "/") {
		return false, true
	}
	n, ok := networkOf(r.host)
	client, isAddress := ipv4(address)
	if !ok || !isAddress {
		return false, false
	}
	return client&n.mask == n.address && (!n.length || r.lengths), true
}

// fixed is how much of a host stands before its first wildcard.
func fixed(host string) int {
	for rest := host; rest != ""; {
		at := len(host) - len(rest)
		_, after, wild := next(rest)
		if wild {
			return at
		}
		rest = after
	}
	return math.MaxInt
}

// shared gives a host that two patterns are for, of which neither is for all that the other is for.
func shared(a, b string) (host string, ok bool) {
	if covers(a, b) || covers(b, a) {
		return "", false
	}
	type left struct{ a, b string }
	seen := map[left]bool{}
	var match func(a, b string) (string, bool)
	match = func(a, b string) (string, bool) {
		if seen[left{a, b}] || a == "" && b == "" {
			return "", !seen[left{a, b}]
		}
		seen[left{a, b}] = true
		c, restA, wildA := next(a)
		d, restB, wildB := next(b)
		manyA, manyB := wildA && c == '%', wildB && d == '%'
		if manyA {
			if host, ok := match(restA, b); ok {
				return host, true
			}
		}
		if manyB {
			if host, ok := match(a, restB); ok {
				return host, true
			}
		}
		switch {
		case manyA && manyB, a == "", b == "":
			return "", false
		case manyA:
			restA, c, wildA = a, d, wildB
		case manyB:
			restB, d, wildB = b, c, wildA
		}
		if !wildA && !wildB && c != d {
			return "", false
		}
		char := c
		if wildA {
			char = d
		}
		if wildA && wildB {
			char = '0'
		}
		host, ok := match(restA, restB)
		return string(char) + host, ok
	}
	return match(strings.ToLower(a), strings.ToLower(b))
}

// covers says whether an account for host outer is for every client that one for inner is for. It says no where the two
// texts do not tell.
func covers(outer, inner string) bool {
	return outer == "" || like(strings.ToLower(outer), strings.ToLower(inner))
}

// like matches as LIKE does. A wildcard of the text is matched by one that stands for as much.
func like(pattern, text string) bool {
	again, from := "", -1 // what follows the last % of the pattern, and where in the text it was last tried
	at := 0
	for at < len(text) || pattern != "" {
		c, rest, wild := next(pattern)
		switch {
		case wild && c == '%':
			pattern, again, from = rest, rest, at
			continue
		case at < len(text) && pattern != "" && (wild && text[at] != '%' || !wild && c == text[at]):
			pattern, at = rest, at+1
			continue
		case from < 0 || from == len(text):
			return false
		}
		from++
		pattern, at = again, from
	}
	return true
}

// next takes a character of a pattern, and says whether it stands for others.
func next(pattern string) (c byte, rest string, wild bool) {
	switch {
	case pattern == "":
		return 0, "", false
	case pattern[0] == '\\' && len(pattern) > 1:
		return pattern[1], pattern[2:], false
	}
	return pattern[0], pattern[1:], pattern[0] == '%' || pattern[0] == '_'
}

package mysql

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// right is one thing that an account may do: the smallest part of a GRANT that can be
// given and taken alone.
type right struct {
	kind   kind
	name   string // SELECT, GRANT OPTION, ALL PRIVILEGES; or the role; or the proxied account
	column string // `a`, of a column privilege
	object string // *.*, `db`.*, `db`.`t`, PROCEDURE `db`.`p`
	option bool   // may be passed on, where that is a matter of this right alone
}

// role is the one that a membership is in.
func (r right) role() (account, error) { return (&parser{tokens: tokens(r.name)}).account() }

type kind int

const (
	privilege   kind = iota
	dynamic          // a privilege of MySQL that has a GRANT OPTION of its own
	role             // membership; option is ADMIN OPTION
	proxy            // GRANT PROXY
	restriction      // a partial revoke: an exception from a global privilege
)

const (
	allPrivileges = "ALL PRIVILEGES"
	grantOption   = "GRANT OPTION"
)

// rights are everything that an account may do.
type rights map[right]bool

func (r rights) has(name, object string) bool {
	return r[right{kind: privilege, name: name, object: object}]
}

// parseGrants reads the answer to SHOW GRANTS FOR an account. Lines about others
// (PUBLIC, a role that is active) are left out, and so is SET DEFAULT ROLE, which is
// returned by itself. Errors repeat nothing of a line: MariaDB's hold hashes.
func parseGrants(lines []string, of account) (rights, string, error) {
	all, defaultRole := rights{}, "NONE"
	for i, line := range lines {
		p := &parser{tokens: tokens(line)}
		found, isDefault, err := p.grant(of)
		if err != nil {
			return nil, "", fmt.Errorf("line %d of SHOW GRANTS FOR %s is not as this function knows them: %w",
				i+1, of, err)
		}
		if isDefault != "" {
			defaultRole = isDefault
		}
		for _, r := range found {
			all[r] = true
		}
	}
	return all, defaultRole, nil
}

// token is a word, a quoted name, a string constant, or one other character.
type token struct {
	kind rune // 'w', '`', '\'', or the character itself; 0 at the end
	text string
}

var errUnclosed = errors.New("a quote is not closed")

// tokens takes a line apart. A quote that is not closed is the last token, of kind -1.
func tokens(line string) []token {
	var all []token
	for i := 0; i < len(line); {
		c := line[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '`' || c == '\'' || c == '"':
			text, n := unquote(line[i:], c)
			if n < 0 {
				return append(all, token{kind: -1})
			}
			kind := rune('`')
			if c == '\'' {
				kind = '\''
			}
			all = append(all, token{kind, text})
			i += n
		case isWord(c):
			start := i
			for i < len(line) && isWord(line[i]) {
				i++
			}
			all = append(all, token{'w', line[start:i]})
		default:
			all = append(all, token{rune(c), string(c)})
			i++
		}
	}
	return all
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// unquote reads what is between quotes, in which a doubled quote stands for one, and
// how long it was with them.
func unquote(s string, quote byte) (string, int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			b.WriteByte(s[i])
			continue
		}
		if i+1 == len(s) || s[i+1] != quote {
			return b.String(), i + 1
		}
		b.WriteByte(quote)
		i++
	}
	return "", -1
}

// parser reads the grammar of SHOW GRANTS, which is that of GRANT.
// https://dev.mysql.com/doc/refman/9.0/en/show-grants.html
// https://mariadb.com/kb/en/show-grants/
type parser struct{ tokens []token }

func (p *parser) peek() token {
	if len(p.tokens) == 0 {
		return token{}
	}
	return p.tokens[0]
}

func (p *parser) next() token {
	t := p.peek()
	if len(p.tokens) > 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

// word takes the words that come next, if it is they.
func (p *parser) word(words ...string) bool {
	if len(p.tokens) < len(words) {
		return false
	}
	for i, w := range words {
		if t := p.tokens[i]; t.kind != 'w' || !strings.EqualFold(t.text, w) {
			return false
		}
	}
	p.tokens = p.tokens[len(words):]
	return true
}

func (p *parser) punct(c rune) bool {
	if p.peek().kind != c {
		return false
	}
	p.next()
	return true
}

// name takes a name, quoted or not.
func (p *parser) name() (string, error) {
	switch t := p.next(); t.kind {
	case '`', '\'', 'w':
		return t.text, nil
	case -1:
		return "", errUnclosed
	}
	return "", errors.New("a name is missing")
}

// account takes 'user'@'host', or a role of MariaDB, which has no host.
func (p *parser) account() (account, error) {
	user, err := p.name()
	if err != nil {
		return account{}, err
	}
	if !p.punct('@') {
		return account{user: user, role: true}, nil
	}
	host, err := p.name()
	return account{user: user, host: host}, err
}

// grant reads one line: the rights that it gives, or a default role.
func (p *parser) grant(of account) (found []right, defaultRole string, err error) {
	switch {
	case p.word("SET", "DEFAULT", "ROLE"):
		r, err := p.account()
		if err != nil || !p.word("FOR") {
			return nil, "", errors.Join(err, errors.New("a default role is for no account"))
		}
		return nil, r.String(), nil
	case p.word("REVOKE"):
		found, err = p.privileges(restriction)
	case p.word("GRANT", "PROXY", "ON"):
		var who account
		if who, err = p.account(); err == nil {
			found = []right{{kind: proxy, name: who.String()}}
		}
	case p.word("GRANT"):
		if k := p.peek().kind; k == '`' || k == '\'' {
			found, err = p.roles()
		} else {
			found, err = p.privileges(privilege)
		}
	default:
		err = errors.New("it begins otherwise")
	}
	if err != nil {
		return nil, "", err
	}
	if !p.word("TO") && !p.word("FROM") {
		return nil, "", errors.New("TO is missing")
	}
	if p.word("PUBLIC") {
		return nil, "", nil
	}
	to, err := p.account()
	if err != nil {
		return nil, "", err
	}
	if to.user != of.user || to.host != of.host {
		return nil, "", nil
	}
	withOption, err := p.option()
	return withOptions(found, withOption), "", err
}

// roles takes a list of roles.
func (p *parser) roles() (found []right, err error) {
	for {
		r, err := p.account()
		if err != nil {
			return nil, err
		}
		found = append(found, right{kind: role, name: r.String()})
		if !p.punct(',') {
			return found, nil
		}
	}
}

// privileges takes SELECT, INSERT (`a`, `b`) ON `db`.`t`.
func (p *parser) privileges(k kind) (found []right, err error) {
	for {
		var words []string
		for p.peek().kind == 'w' && !strings.EqualFold(p.peek().text, "ON") {
			words = append(words, strings.ToUpper(p.next().text))
		}
		name := strings.Join(words, " ")
		if name == "" {
			return nil, errors.New("a privilege is missing")
		}
		if name == "ALL" {
			name = allPrivileges
		}
		columns := []string{""}
		if p.punct('(') {
			if columns, err = p.columns(); err != nil {
				return nil, err
			}
		}
		for _, c := range columns {
			found = append(found, right{kind: k, name: name, column: c})
		}
		if !p.punct(',') {
			break
		}
	}
	if !p.word("ON") {
		return nil, errors.New("ON is missing")
	}
	object, err := p.object()
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i].object = object
		if k == privilege && strings.Contains(found[i].name, "_") {
			found[i].kind = dynamic
		}
	}
	return found, nil
}

func (p *parser) columns() ([]string, error) {
	var all []string
	for {
		c, err := p.name()
		if err != nil {
			return nil, err
		}
		all = append(all, quoteIdent(c))
		switch {
		case p.punct(','):
		case p.punct(')'):
			return all, nil
		default:
			return nil, errors.New("a list of columns does not end")
		}
	}
}

// object takes what comes after ON.
func (p *parser) object() (string, error) {
	var words []string
	for p.peek().kind == 'w' && len(p.tokens) > 1 && p.tokens[1].kind != '.' {
		words = append(words, strings.ToUpper(p.next().text))
	}
	if len(words) == 1 && words[0] == "TABLE" {
		words = nil
	}
	parts := make([]string, 2)
	for i := range parts {
		if i == 1 && !p.punct('.') {
			return "", errors.New("an object has no database")
		}
		if p.punct('*') {
			parts[i] = "*"
			continue
		}
		name, err := p.name()
		if err != nil {
			return "", err
		}
		parts[i] = quoteIdent(name)
	}
	return strings.Join(append(words, strings.Join(parts, ".")), " "), nil
}

// option looks for WITH GRANT OPTION or WITH ADMIN OPTION in the rest of a line,
// where MariaDB has hashes, REQUIRE and limits as well.
func (p *parser) option() (bool, error) {
	for len(p.tokens) > 0 {
		if p.word("GRANT", "OPTION") || p.word("ADMIN", "OPTION") {
			return true, nil
		}
		if p.next().kind == -1 {
			return false, errUnclosed
		}
	}
	return false, nil
}

// withOptions gives rights their GRANT OPTION: that of static privileges is one for
// the whole object, and a right itself. USAGE is a word for nothing.
func withOptions(found []right, option bool) (all []right) {
	for _, r := range found {
		if r.kind != privilege && r.kind != restriction {
			r.option = option
		}
		if r.name != "USAGE" {
			all = append(all, r)
		}
		if r.kind == privilege && option {
			all = append(all, right{kind: privilege, name: grantOption, object: r.object})
		}
	}
	return all
}

// pluginOf reads the plugin from MySQL's SHOW CREATE USER.
func pluginOf(line string) (string, error) {
	p := &parser{tokens: tokens(line)}
	if !p.word("CREATE", "USER") {
		return "", errors.New("SHOW CREATE USER begins otherwise")
	}
	if _, err := p.account(); err != nil {
		return "", err
	}
	if !p.word("IDENTIFIED", "WITH") {
		return "", errors.New("SHOW CREATE USER names no plugin")
	}
	return p.name()
}

// methodsOf reads the plugins from MariaDB's SHOW CREATE USER, in their order.
func methodsOf(line string) (plugins []string) {
	p := &parser{tokens: tokens(line)}
	if !p.word("CREATE", "USER") {
		return nil
	}
	if _, err := p.account(); err != nil || !p.word("IDENTIFIED") {
		return nil
	}
	if p.word("BY") {
		return []string{"mysql_native_password"}
	}
	for p.word("VIA") || p.word("OR") {
		plugin, err := p.name()
		if err != nil {
			return plugins
		}
		plugins = append(plugins, plugin)
		if p.word("USING") {
			p.next()
		}
	}
	return plugins
}

// attemptsOf reads FAILED_LOGIN_ATTEMPTS out of SHOW CREATE USER, or out of a clause.
// It counts for nothing without a PASSWORD_LOCK_TIME.
func attemptsOf(line string) int {
	attempts, locks := 0, false
	all := tokens(line)
	for i, t := range all[:max(0, len(all)-1)] {
		if t.kind != 'w' {
			continue
		}
		switch next := all[i+1].text; t.text {
		case "FAILED_LOGIN_ATTEMPTS":
			attempts, _ = strconv.Atoi(next)
		case "PASSWORD_LOCK_TIME":
			locks = next != "0"
		}
	}
	if !locks {
		return 0
	}
	return attempts
}

// statement is SQL, and what it is about, for people.
type statement struct{ text, what string }

// missing are the rights of r that other has not, but those that something else
// gives it already.
func (r rights) missing(other rights) rights {
	found := rights{}
	for x := range r {
		larger := x
		larger.option = true
		covered := x.kind == privilege && x.name != grantOption && other.has(allPrivileges, x.object) && x.name != allPrivileges
		if other[x] || other[larger] || covered || x.kind == restriction {
			continue
		}
		found[x] = true
	}
	return found
}

// cover says whether rights have all that x gives: by a line of their own, or by one for more. It says no where that
// cannot be told.
func (r rights) cover(x right) bool {
	larger := x
	larger.option = true
	if r[x] || r[larger] || x.kind != privilege {
		return r[x] || r[larger]
	}
	has := func(object string) bool {
		return r.has(x.name, object) || x.name != grantOption && r.has(allPrivileges, object)
	}
	switch {
	case x.name == allPrivileges && x.object != "*.*" && !slices.ContainsFunc(onDatabases, func(name string) bool {
		return name != allPrivileges && name != grantOption && name != "DELETE HISTORY" &&
			!r.cover(right{kind: privilege, name: name, object: x.object})
	}):
		return true // MySQL shows each of those on *.*
	case has("*.*") && !slices.ContainsFunc(r.of(restriction).sorted(), func(not right) bool {
		return not.name == x.name || x.name == allPrivileges
	}):
		return true
	case x.object == "*.*":
		return false
	case x.column != "" && has(x.object):
		return true
	}
	database, whole := databaseOf(x.object)
	if name, wild := unescaped(database); whole && !wild {
		database, whole = name, false
	}
	found, all := false, true
	for _, on := range r.onObjects(privilege) {
		pattern, ok := databaseOf(on.object)
		if !ok {
			continue
		}
		name, wild := unescaped(pattern)
		switch { // the server takes a name before any pattern
		case !wild && !whole && name == database:
			return has(on.object)
		case wild && like(pattern, database):
			found, all = true, all && has(on.object)
		case !wild && whole && like(database, name):
			all = all && has(on.object)
		}
	}
	return found && all
}

// unescaped is what a pattern stands for, unless it has wildcards.
func unescaped(pattern string) (name string, wild bool) {
	var b strings.Builder
	for rest := pattern; rest != ""; {
		var c byte
		if c, rest, wild = next(rest); wild {
			return pattern, true
		}
		b.WriteByte(c)
	}
	return b.String(), false
}

// grants gives the statements that give an account these rights.
func (r rights) grants(to account) []statement { return r.grantsAs(to, "") }

// theRole is how what of a statement begins that is about one.
const theRole = "the role "

// grantsAs is grants, and as is what MySQL is told of privileges on *.*: AS an account, so that they come with the
// exceptions which that account has. At no moment are they there without.
func (r rights) grantsAs(to account, as string) []statement {
	var statements []statement
	add := func(text, what string) { statements = append(statements, statement{text, what}) }
	for _, on := range r.onObjects(privilege) {
		object, names, with, excepted := on.object, on.names(privilege, on.object, false), "", ""
		if on.has(grantOption, object) {
			with = " WITH GRANT OPTION"
		}
		if object == "*.*" {
			excepted = as
		}
		add("GRANT "+names+" ON "+object+" TO "+to.String()+with+excepted, names+" ON "+object+with)
	}
	for _, option := range []bool{false, true} {
		with := ""
		if option {
			with = " WITH GRANT OPTION"
		}
		if names := r.names(dynamic, "*.*", option); names != "USAGE" {
			add("GRANT "+names+" ON *.* TO "+to.String()+with, names+" ON *.*"+with)
		}
	}
	for _, x := range r.sorted() {
		with := ""
		switch {
		case x.kind == role:
			if x.option {
				with = " WITH ADMIN OPTION"
			}
			add("GRANT "+x.name+" TO "+to.String()+with, theRole+x.name+with)
		case x.kind == proxy:
			if x.option {
				with = " WITH GRANT OPTION"
			}
			add("GRANT PROXY ON "+x.name+" TO "+to.String()+with, "PROXY ON "+x.name+with)
		}
	}
	return statements
}

// removeRestrictions gives the statements that take back restrictions: to grant what a partial
// revoke took is to undo it.
func (r rights) removeRestrictions(of account) []statement {
	var statements []statement
	for _, on := range r.onObjects(restriction) {
		object, names := on.object, on.names(restriction, on.object, false)
		statements = append(statements, statement{"GRANT " + names + " ON " + object + " TO " + of.String(), names + " ON " + object})
	}
	return statements
}

// excepted are the privileges of r on *.* that are there with exceptions.
func (r rights) excepted() rights {
	found := rights{}
	for x := range r.of(restriction) {
		for _, name := range []string{x.name, allPrivileges} {
			found[right{kind: privilege, name: name, object: "*.*"}] = r.has(name, "*.*")
		}
	}
	maps.DeleteFunc(found, func(_ right, has bool) bool { return !has })
	return found
}

// exceptions are the restrictions of r of some privileges on *.*.
func (r rights) exceptions(some rights) rights {
	found := r.of(restriction)
	maps.DeleteFunc(found, func(x right, _ bool) bool {
		return !some.has(x.name, "*.*") && !some.has(allPrivileges, "*.*")
	})
	return found
}

// lifted are the restrictions of r that an account with the rights of other has not. They are of privileges that this
// one has everywhere: of any other, to lift the restriction would be to give the privilege.
func (r rights) lifted(other rights) rights {
	return r.exceptions(other).without(other)
}

// addRestrictions gives the statements that make the exceptions.
func (r rights) addRestrictions(of account) []statement {
	var statements []statement
	for _, on := range r.onObjects(restriction) {
		object, names := on.object, on.names(restriction, on.object, false)
		statements = append(statements, statement{"REVOKE " + names + " ON " + object + " FROM " + of.String(), "no " + names + " ON " + object})
	}
	return statements
}

// revokes gives the statements that take these rights from an account.
func (r rights) revokes(from account) []statement {
	var statements []statement
	add := func(what string) {
		statements = append(statements, statement{"REVOKE " + what + " FROM " + from.String(), what})
	}
	for _, on := range r.onObjects(privilege) {
		object, names := on.object, on.names(privilege, on.object, false)
		if names != "USAGE" {
			add(names + " ON " + object)
		}
		if on.has(grantOption, object) {
			add(grantOption + " ON " + object)
		}
	}
	for _, x := range r.sorted() {
		switch x.kind {
		case dynamic:
			add(x.name + " ON *.*")
		case role:
			add(x.name)
		case proxy:
			add("PROXY ON " + x.name)
		}
	}
	return statements
}

// dynamicRevoke takes the dynamic privileges of r in one statement, which a person reads.
func (r rights) dynamicRevoke(from account) []statement {
	var names []string
	for _, x := range r.of(dynamic).sorted() {
		if !slices.Contains(names, x.name) {
			names = append(names, x.name)
		}
	}
	if names == nil {
		return nil
	}
	what := strings.Join(names, ", ") + " ON *.*"
	return []statement{{"REVOKE " + what + " FROM " + from.String(), what}}
}

// of gives the rights of some kind.
func (r rights) of(k kind) rights {
	found := rights{}
	for x := range r {
		if x.kind == k {
			found[x] = true
		}
	}
	return found
}

// without are the rights of r that are not in other.
func (r rights) without(other rights) rights {
	found := maps.Clone(r)
	maps.DeleteFunc(found, func(x right, _ bool) bool { return other[x] })
	return found
}

// extra are the rights of r that are taken from it, for one that has those of other. A restriction is lifted, a part of
// ALL is not taken from ALL, nor what other may also pass on.
func (r rights) extra(other rights) rights {
	found := r.without(other)
	maps.DeleteFunc(found, func(x right, _ bool) bool {
		larger := x
		larger.option = true
		return other[larger] || x.kind == restriction ||
			x.kind == privilege && x.name != grantOption && x.column == "" && other.has(allPrivileges, x.object)
	})
	return found
}

func (r rights) sorted() []right {
	return slices.SortedFunc(maps.Keys(r), func(a, b right) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.object, b.object), cmp.Compare(a.name, b.name), cmp.Compare(a.column, b.column))
	})
}

// onObject is the rights of one kind on one object.
type onObject struct {
	object string
	rights
}

// onObjects takes the rights of a kind apart by objects, *.* first. There may be thousands.
func (r rights) onObjects(k kind) (all []onObject) {
	for _, x := range r.of(k).sorted() {
		if n := len(all); n == 0 || all[n-1].object != x.object {
			all = append(all, onObject{x.object, rights{}})
		}
		all[len(all)-1].rights[x] = true
	}
	return all
}

// names lists privileges on an object as a statement does, columns with them; but for
// GRANT OPTION, which goes elsewhere. USAGE: there are none.
func (r rights) names(k kind, object string, option bool) string {
	var words []string
	columns := map[string][]string{}
	for _, x := range r.sorted() {
		if x.kind != k || x.object != object || x.option != option || x.name == grantOption {
			continue
		}
		if x.column == "" {
			words = append(words, x.name)
			continue
		}
		columns[x.name] = append(columns[x.name], x.column)
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		words = append(words, name+" ("+strings.Join(columns[name], ", ")+")")
	}
	if words == nil {
		return "USAGE"
	}
	return strings.Join(words, ", ")
}

// String lists rights for people.
func (r rights) String() string {
	var words []string
	for _, s := range r.revokes(account{}) {
		words = append(words, s.what)
	}
	return strings.Join(words, ", ")
}

package badinput

import (
	"fmt"
	"slices"
	"strings"
)

// Values are values of a secret that no function may work with, each a spoilt one
// of valid: a JSON object with the members engine, host, port, dbname, username and
// password. Whatever stays of the password is a secret still.
func Values(valid string) []Input {
	right := parse(valid)
	all := shapes(valid)
	add := func(field, name string, o object) {
		all = append(all, Input{Name: field + ": " + name, Field: field, Text: o.String()})
	}
	for _, field := range []string{"engine", "host", "username", "password"} {
		add(field, "nothing", right.without(field))
		add(field, "an empty string", right.with(field, `""`))
		for _, k := range kinds {
			add(field, k.name, right.with(field, k.s))
		}
	}
	for _, field := range []string{"engine", "host", "username", "password", "dbname", "tlsServerName"} {
		for _, t := range texts {
			if field == "password" {
				t.s += "canary-in-a-bad-password"
			}
			add(field, t.name, right.with(field, quote(t.s)))
		}
	}
	for _, e := range []string{"postgres", "mysql", "mariadb"} { // this project's own, mixed up
		if raw := quote(e); !slices.Contains(right, member{"engine", raw}) {
			add("engine", e, right.with("engine", raw))
		}
	}
	for _, t := range engines {
		add("engine", t.name, right.with("engine", quote(t.s)))
	}
	for _, t := range hosts {
		add("host", t.name, right.with("host", quote(t.s)))
	}
	for _, raw := range ports {
		add("port", raw, right.with("port", raw))
	}
	add("port", "beside 2,000 other secrets", manySecrets(right).with("port", `"none"`))
	add("username", "beside 2,000 other secrets", manySecrets(right).with("username", `"nobody"`))
	add("port", "a number of 60,000 digits", right.with("port", strings.Repeat("9", 60000)))
	for _, m := range right {
		add(m.key, "twice", right.twice(m.key, m.raw))
		add(m.key, "twice, and otherwise", right.twice(m.key, `"canary-of-a-duplicate"`))
		add(m.key, "twice, once with an escape", object(append(slices.Clone(right), right[0])).with("",
			`""`).twice(m.key, `null`))
	}
	for _, field := range []string{"engine", "host", "username", "password"} {
		for _, name := range []string{strings.ToUpper(field), strings.ToUpper(field[:1]) + field[1:], " " + field,
			field + " ", field + "\x00", "\ufeff" + field} {
			o := right.without(field)
			add(field, "under the name "+quote(name), o.with(name, `"canary-under-another-name"`))
		}
	}
	return all
}

// manySecrets fills a value: the scrubber has to know each of them.
func manySecrets(o object) object {
	o = slices.Clone(o)
	for i := range 2000 {
		o = append(o, member{fmt.Sprint(i), fmt.Sprintf(`"%06d"`, 7*i)})
	}
	return o
}

// Superusers are what the members masterarn and alternateUsername must not name.
func Superusers(valid string) (masters, alternates []Input) {
	right := parse(valid)
	spoil := func(field string, values []text) (all []Input) {
		for _, k := range kinds {
			all = append(all, Input{Name: field + ": " + k.name, Field: field, Text: right.with(field, k.s).String()})
		}
		for _, t := range append(values, text{"an empty string", ""}) {
			all = append(all, Input{Name: field + ": " + t.name, Field: field,
				Text: right.with(field, quote(t.s)).String()})
		}
		return all
	}
	// An optional member that is null or empty is absent; where a superuser is needed, masterarn is not optional.
	absent := func(i Input) bool {
		return strings.HasSuffix(i.Name, ": null") || strings.HasSuffix(i.Name, ": an empty string")
	}
	return spoil("masterarn", slices.Concat(texts, arns)), slices.DeleteFunc(spoil("alternateUsername", texts), absent)
}

// engines are those of other functions, and words that are no engine.
var engines = []text{
	{"another case", "Postgres"}, {"a brand", "PostgreSQL"}, {"Aurora", "aurora"}, {"Oracle", "oracle"},
	{"SQL Server", "sqlserver"}, {"Db2", "db2"},
	{"MongoDB", "mongo"}, {"Redshift", "redshift"}, {"a space after", "postgres "}, {"two", "postgres,mysql"},
	{"a look-alike", "pоstgres"}, {"a URL", "postgres://"},
}

// hosts are those that are no host, and those to which no password must go.
var hosts = []text{
	{"a socket", "/var/run/postgresql"}, {"an abstract socket", "@quarterturn"},
	{"a list", "db.example.com,evil.example"}, {"a list with ports", "db.example.com:1,evil.example:2"},
	{"a user before it", "app@db.example.com"}, {"a user and a password before it", "app:canary-x@db.example.com"},
	{"a URL", "https://db.example.com/"},
	{"a port after it", "db.example.com:1"}, {"a path after it", "db.example.com/x"},
	{"a query after it", "db.example.com?sslmode=disable"},
	{"a fragment after it", "db.example.com#"}, {"a semicolon", "db.example.com;evil.example"},
	{"an ampersand", "db.example.com&sslmode=disable"},
	{"an equals sign", "host=evil.example"}, {"a space inside", "db.example.com evil.example"},
	{"a space after it", "db.example.com "}, {"a space before it", " db.example.com"},
	{"a line feed after it", "db.example.com\n"}, {"a NUL after it", "db.example.com\x00.evil.example"},
	{"a dot after it", "db.example.com.evil.example."},
	{"two dots", "db..example.com"}, {"dots", "..."}, {"a dash", "-"}, {"an option", "-oProxyCommand=id"},
	{"a wildcard", "*.example.com"},
	{"a look-alike", "db.exаmple.com"}, {"full-width letters", "ｄｂ.example.com"}, {"an ideographic full stop",
		"db。example。com"}, {"a soft hyphen", "db.exam\u00adple.com"},
	{"Punycode", "db.xn--exmple-4uf.com"}, {"the name as a prefix", "db.example.com.evil.example"},
	{"the name as a suffix", "evil-db.example.com"},
	{"a proxy's name", "db.proxy-abcdefghijkl.us-east-1.rds.amazonaws.invalid"}, {"a proxy's label", ".proxy-"},
	{"a reader of another cluster", "other-cluster-ro.example.com"},
	{"IPv6 in brackets", "[::1]:1"}, {"IPv6 with a zone", "fe80::1%eth0"}, {"half of IPv6 in brackets", "[::1"},
	{"IPv4 in IPv6", "::ffff:203.0.113.1"},
	{"IPv4 as a number", "3405803777"}, {"IPv4 in hex", "0xcb007101"}, {"IPv4 in octal", "0313.0.0161.1"},
	{"IPv4 cut short", "203.1"}, {"a service of this machine", "169.254.169.254.invalid"},
	{"an escape of URLs", "db%2eexample%2ecom"}, {"backslashes", `\\evil.example\share`}, {"quotes", `db"example'com`},
	{"256 letters", strings.Repeat("a", 256)},
	{"a label of 64 letters", strings.Repeat("a", 64) + ".example"},
}

// ports are ways to write no port, as raw JSON.
var ports = []string{
	`0`, `-1`, `65536`, `99999999999999999999`, `5432.0`, `5.432e3`, `54e2`, `0.1`, `-0`, `1e999`, `true`, `false`,
	`[]`, `[5432]`, `{}`, `{"port":5432}`,
	`" "`, `"5432 "`, `" 5432"`, `"+5432"`, `"-5432"`, `"0x1538"`, `"0b1"`, `"5_432"`, `"5,432"`, `"5.432"`, `"5432.0"`,
	`"5e3"`, `"５４３２"`, `"٥٤٣٢"`, `"5432;"`, `"5432,5433"`,
	`"5432/tcp"`, `"postgresql"`, `"five"`, `"5432\u0000"`, `"5432\n"`, `"\u200b5432"`, `"65536"`, `"0"`,
	`"99999999999999999999"`, `"NaN"`, `"null"`, `"true"`, `":5432"`,
}

package badinput

// Names are names of users that mean something to a shell, to SQL, to a format or to
// a log, and that every server takes: of at most 26 characters, so that a clone's fits
// into MySQL's 32.
func Names() []string {
	return []string{
		`o'brien`, `a"b`, `back\slash`, "back`tick", `100%`, `%s%n%d`, `$user`, `$(id)`, `${HOME}`, `semi; DROP ROLE x`,
		`-- comment`, `/* comment */`,
		`two words`, "tab\tin it", "line\nfeed", `a@b`, `a'@'%`, `UPPER`, `select`, `{"json":1}`, `\'`, `'';`, `""`,
		"``", `\n\x00`, `ünïcødé`, `пользователь`,
		`用户名`, "Z\u0335\u0336", "a\u200bb", "a\u202eb", `a,b`, `a=b&c`, `#hash`, `:`, `?`, `<b>`, `a|b`, `*`, `~`,
		`_%_`,
	}
}

// Passwords are passwords that people choose, and that every server takes.
func Passwords() []string {
	printable := ""
	for c := ' '; c <= '~'; c++ {
		printable += string(c)
	}
	return []string{
		printable, `aB1'; DROP TABLE t; --`, `aB1\'"` + "`" + `\\`, `aB1%s%n%d%%`, `aB1$(id)${HOME}`,
		` aB1 with spaces `, "aB1 tab\tand\nline", `aB1 ünïcødé`, `aB1 пароль 密码`,
		`aB1:/@?#[]&=+`, `{"aB1":null}`, `aB1\u0041\x41\n`, `aB1''""` + "``",
	}
}

package postgres

import "strings"

// quoteIdent makes s an identifier, whatever it holds. It quotes always: names
// that need no quotes bear them, and no list of reserved words goes stale.
func quoteIdent(s string) string {
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// quoteLiteral makes s a string constant. A constant with backslashes takes the
// E form, which reads the same whether standard_conforming_strings is on or off.
func quoteLiteral(s string) string {
	q := `'` + strings.ReplaceAll(s, `'`, `''`) + `'`
	if !strings.Contains(s, `\`) {
		return q
	}
	return ` E` + strings.ReplaceAll(q, `\`, `\\`)
}

// quoteSetting quotes the name of a setting, which may have a prefix.
func quoteSetting(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = quoteIdent(p)
	}
	return strings.Join(parts, ".")
}

// quoteValue gives a stored setting the form in which SET reads it. For settings
// that are lists of names the catalogue holds the list, quoted name by name, and
// SET would take one constant for one name. The list of them is pg_dump's.
func quoteValue(name, value string) string {
	switch strings.ToLower(name) {
	case "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
		"temp_tablespaces", "unix_socket_directories":
	default:
		return quoteLiteral(value)
	}
	names := splitNames(value)
	for i, n := range names {
		names[i] = quoteLiteral(n)
	}
	return strings.Join(names, ", ")
}

// splitNames undoes the server's list of quoted names: a, "B ""c""", "$user".
func splitNames(list string) []string {
	names := []string{}
	var name strings.Builder
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case quoted && c == '"' && strings.HasPrefix(list[i+1:], `"`):
			name.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			name.WriteByte(c)
		case c == ',':
			names = append(names, name.String())
			name.Reset()
		case c != ' ':
			name.WriteByte(c)
		}
	}
	return append(names, name.String())
}

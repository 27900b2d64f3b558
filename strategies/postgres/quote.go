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
	files := false
	switch strings.ToLower(name) {
	case "search_path", "temp_tablespaces":
	case "local_preload_libraries", "session_preload_libraries", "shared_preload_libraries", "unix_socket_directories":
		files = true
	default:
		return quoteLiteral(value)
	}
	names := splitNames(value, files)
	for i, n := range names {
		names[i] = quoteLiteral(n)
	}
	return strings.Join(names, ", ")
}

// splitNames undoes the server's list of quoted names: a, "B ""c""", "$user". What SET FROM CURRENT stores may not
// come from SET: there the server takes capitals without quotes for small letters, but not in names of files.
func splitNames(list string, files bool) []string {
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
		case !files && 'A' <= c && c <= 'Z':
			name.WriteByte(c + 'a' - 'A')
		case !strings.ContainsRune(" \t\n\v\f\r", rune(c)):
			name.WriteByte(c)
		}
	}
	return append(names, name.String())
}

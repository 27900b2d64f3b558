package badinput

import "strings"

// Environments are settings with which no function may start: the name of a variable
// and a bad value.
func Environments() []Input {
	var all []Input
	add := func(name string, values ...string) {
		for _, v := range values {
			all = append(all, Input{Name: name + "=" + quote(cut(v)), Field: name, Text: v})
		}
	}
	long := strings.Repeat("x", 4000)
	odd := []string{"a\nb", "a\r\nERROR forged", "\x1b[2J", "a\u2028b", "a\u202eb", "а", "%s%n", "${PATH}", "null",
		"undefined", "[]", "{}", `"true"`, "-", long, "a\u0085b", "a\xffb", "'", "x\ty"}
	for _, name := range []string{"EXCLUDE_NUMBERS", "EXCLUDE_PUNCTUATION", "EXCLUDE_UPPERCASE", "EXCLUDE_LOWERCASE",
		"REQUIRE_EACH_INCLUDED_TYPE"} {
		add(name, append(odd, "ture", "2", "-1", "on", "off", "enabled", "true false", "0.0", "yes!")...)
	}
	for _, name := range []string{"SINGLE_USER_THROUGH_SUPERUSER", "ROTATE_ONLY", "POSTGRES_ALLOW_MD5",
		"MYSQL_DUAL_PASSWORDS", "VALKEY_DUAL_PASSWORDS", "VALKEY_SELF_CHANGE", "VALKEY_ALLOW_UNSAVED"} {
		add(name, append(odd, "ture", "2", "-1", "on", "enabled", "true false", " ")...)
	}
	add("PASSWORD_LENGTH", append(odd, "0", "-1", "1", "5", "9", "4097", "99999999999999999999", "32.0", "3e1", "0x20",
		"3_2", "thirty-two", "３２", "32 chars", "32,33", "NaN", "Inf")...)
	add("PASSWORD_PRESET", append(odd, "URI", "safe", "uri_safe", "uri-safe,strong", "default")...)
	add("PREFLIGHT", append(odd, "on", "true", "Enforce", "warn", "strict ", "off\n")...)
	add("ROTATE_COPIES", append(odd, "FOLLOW", "follow ", "yes", "refuse,follow")...)
	add("PREFLIGHT_PROBES", append(odd, "none", "read_only", "READ-ONLY", "full ", "readonly")...)
	add("SECRETS_MANAGER_ENDPOINT", append(odd, "example.com", "//example.com", "ftp://example.com",
		"file:///etc/passwd", "https://", "http://", "https:///path", "https://user:canary-x@example.com",
		"https://exa mple.com", "https://example.com\n", "https://[::1", "https://example.com:port",
		"https://example.com:99999", "https://%zz", "javascript:alert(1)", "https://example.com?x=y",
		"https://example.com#x")...)
	for _, name := range []string{"AWS_LAMBDA_LOG_LEVEL", "LOG_LEVEL", "POWERTOOLS_LOG_LEVEL"} {
		add(name, append(odd, "LOUD", "7", "DEBUG,INFO", "info ", "DEBUG+x")...)
	}
	add("DATABASE_CA_FILE", append(odd, "/no/such/file.pem", "/", "/dev/null", "../..", "https://example.com/ca.pem",
		"-----BEGIN CERTIFICATE-----")...)
	add("SUPERUSER_SECRET_ARN", append(odd[:6:6], "a b\x00", strings.Repeat("x", 2049))...)
	add("EXCLUDE_CHARACTERS", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789",
		strings.Repeat("\n", 4097), strings.Repeat("é", 4097),
		"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
	return all
}

// cut keeps names of inputs short.
func cut(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

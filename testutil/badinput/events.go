package badinput

import "strings"

// Steps are those that the service sends, and Questions those that people send.
var (
	Steps     = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	Questions = []string{"preflight", "status", "recover"}
)

// Events are events that no function may act on, each a spoilt one of a step that
// would be acted on: for a secret, its pending version and the rotation's token.
func Events(secretID, version, token string) []Input {
	right := func(step string) object {
		o := parse(`{"Step":` + quote(step) + `,"SecretId":` + quote(secretID) + `}`)
		for _, s := range Steps {
			if s == step {
				o = o.with("ClientRequestToken", quote(version)).with("RotationToken", quote(token))
			}
		}
		return o
	}
	all := shapes(right("setSecret").String())
	add := func(step, field, name string, o object) {
		all = append(all, Input{Name: step + " with " + field + ": " + name, Field: field, Text: o.String()})
	}
	spoil := func(step, field string, values []text, raw bool) {
		for _, v := range values {
			if !raw {
				v.s = quote(v.s)
			}
			add(step, field, v.name, right(step).with(field, v.s))
		}
	}
	notStrings := kinds[1:] // null is as good as absent

	spoil("setSecret", "Step", append(texts, steps...), false)
	spoil("setSecret", "Step", kinds, true)
	for _, step := range Steps {
		spoil(step, "SecretId", append(texts, arns...), false)
		spoil(step, "SecretId", kinds, true)
		spoil(step, "ClientRequestToken", append(texts, versions...), false)
		spoil(step, "ClientRequestToken", kinds, true)
		spoil(step, "RotationToken", tokens, false)
		spoil(step, "RotationToken", notStrings, true)
		spoil(step, "Action", append(texts, actions...), false)
		spoil(step, "Action", notStrings, true)
		for _, field := range []string{"Step", "SecretId", "ClientRequestToken"} {
			add(step, field, "nothing", right(step).without(field))
			add(step, field, "an empty string", right(step).with(field, `""`))
		}
	}
	for _, step := range Questions {
		spoil(step, "SecretId", append(texts, arns...), false)
		spoil(step, "SecretId", kinds, true)
		spoil(step, "ClientRequestToken", texts, false)
		spoil(step, "Format", append(texts, formats...), false)
		spoil(step, "Format", notStrings, true)
		spoil(step, "Action", append(texts, actions[:len(actions)-3]...), false)
		spoil(step, "Action", notStrings, true)
	}
	for _, step := range []string{"preflight", "status"} {
		spoil(step, "Action", actions, false)
	}
	for _, step := range append(Steps, Questions...) {
		for _, m := range right(step) {
			for _, name := range []string{m.key, strings.ToLower(m.key), strings.ToUpper(m.key)} {
				add(step, m.key, "twice, the second time as "+name, right(step).twice(name, m.raw))
				add(step, m.key, "twice, and otherwise as "+name, right(step).twice(name, quote("another")))
				add(step, m.key, "twice, and null as "+name, right(step).twice(name, `null`))
			}
		}
	}
	return all
}

var steps = []text{
	{"nothing", ""}, {"another case", "SetSecret"}, {"capitals", "SETSECRET"}, {"a dash", "set-secret"},
	{"a space before", " setSecret"},
	{"a space after", "setSecret "}, {"two", "setSecret,finishSecret"}, {"a step of another product", "rotateSecret"},
	{"a verb", "delete"},
	{"a look-alike", "sеtSecret"}, {"a line feed after", "setSecret\n"}, {"a NUL after", "setSecret\x00"},
	{"the name of a stage", "AWSPENDING"},
}

var arns = []text{
	{"no such secret", "nobody/knows"},
	{"an ARN of another account", "arn:aws:secretsmanager:us-east-1:999999999999:secret:app-AbCdEf"},
	{"an ARN of another Region", "arn:aws:secretsmanager:eu-west-9:123456789012:secret:app-AbCdEf"},
	{"an ARN of another partition", "arn:aws-cn:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"},
	{"an ARN of another service", "arn:aws:ssm:us-east-1:123456789012:parameter/app"},
	{"half an ARN", "arn:aws:secretsmanager:"},
	{"colons", ":::::::"},
	{"an ARN with a line feed", "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf\n"},
	{"a wildcard", "*"},
	{"a URL", "https://secretsmanager.example.invalid/"},
	{"2,049 bytes", strings.Repeat("a", 2049)},
}

var versions = []text{
	{"31 bytes", strings.Repeat("a", 31)}, {"65 bytes", strings.Repeat("a", 65)},
	{"no such version", "99999999-9999-4999-8999-999999999999"},
	{"a label", "AWSCURRENT"}, {"braces", "{00000000-0000-4000-8000-00000000000" + "2}"},
	{"a line feed inside", strings.Repeat("a", 32) + "\n" + strings.Repeat("b", 20)},
	{"a NUL inside", strings.Repeat("a", 32) + "\x00"}, {"an escape inside", strings.Repeat("a", 32) + "\x1b[31m"},
	{"full-width digits", strings.Repeat("１", 16)},
}

var tokens = []text{
	{"a line feed", "canary-token-0123456789-0123456789-0123\n"}, {"a NUL", "canary-token-0123456789-0123456789\x00"},
	{"an escape", "canary-token-0123456789-0123456789\x1b[31m"},
	{"a byte order mark", "\ufeffcanary-token-0123456789-0123456789"},
	{"beyond ASCII", "cänary-token-0123456789-0123456789"},
	{"a line separator", "canary-token-0123456789-0123456789\u2028"},
	{"257 bytes", strings.Repeat("canary-x", 32) + "y"}, {"65,536 bytes", strings.Repeat("canary-x", Large/8)},
	{"a DEL", "canary-token-0123456789-0123456789\x7f"}, {"a tab", "canary-token-0123456789\t0123456789-0123"},
}

var formats = []text{
	{"another case", "JSON"}, {"YAML", "yaml"}, {"HTML", "html"}, {"two", "json,text"}, {"a space after", "text "},
	{"a NUL after", "text\x00"},
}

// actions ends with the three that a recover takes.
var actions = []text{
	{"another case", "Finish"}, {"two", "finish,discard"}, {"a space after", "finish "}, {"a step", "finishSecret"},
	{"nothing to do", "none"},
	{"what only people can do", "regenerate"}, {"a look-alike", "fіnish"}, {"a NUL after", "finish\x00"},
	{"finish", "finish"}, {"discard", "discard"}, {"rollback", "rollback"},
}

package rotator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

const (
	testARN     = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"
	testVersion = "01234567-89ab-cdef-0123-456789abcdef"
)

func TestParseEventAcceptsBothSpellings(t *testing.T) {
	for spelled, want := range map[string]Step{
		"createSecret": StepCreateSecret, "create_secret": StepCreateSecret,
		"setSecret": StepSetSecret, "set_secret": StepSetSecret,
		"testSecret": StepTestSecret, "test_secret": StepTestSecret,
		"finishSecret": StepFinishSecret, "finish_secret": StepFinishSecret,
	} {
		e, err := parseEvent([]byte(`{"Step":"` + spelled + `","SecretId":"` + testARN + `","ClientRequestToken":"` +
			testVersion + `","RotationToken":"6f1e8f6a-canary-0000-0000-000000000000","Unknown":[1]}`))
		if err != nil || e.Step != want || e.SecretID != testARN || e.VersionID != testVersion ||
			e.RotationToken.Empty() {
			t.Errorf("%s: %+v, %v", spelled, e, err)
		}
	}
}

func TestParseEventRefuses(t *testing.T) {
	ok := func(step, id, token string) string {
		return `{"Step":"` + step + `","SecretId":"` + id + `","ClientRequestToken":"` + token + `"}`
	}
	for name, c := range map[string]struct{ payload, says string }{
		"nothing":                 {``, "not a rotation event"},
		"null":                    {`null`, "not a rotation event"},
		"a string":                {`"createSecret"`, "not a rotation event"},
		"an array":                {`[]`, "not a rotation event"},
		"a number for a string":   {`{"Step":1}`, "not a rotation event"},
		"no step":                 {ok("", testARN, testVersion), "Step is missing"},
		"another step":            {ok("dropSecret", testARN, testVersion), `"dropSecret"`},
		"other case":              {ok("CreateSecret", testARN, testVersion), `"CreateSecret"`},
		"a step of a megabyte":    {ok(strings.Repeat("x", 1<<20), testARN, testVersion), "Step is"},
		"a step with a line feed": {ok(`a\nERROR forged`, testARN, testVersion), `\n`},
		"no secret":               {ok("setSecret", "", testVersion), "SecretId is missing"},
		"a secret with an escape": {ok("setSecret", `a\u001b[2J`, testVersion), "SecretId is not"},
		"a secret beyond ASCII":   {ok("setSecret", `ärn`, testVersion), "SecretId is not"},
		"a secret of 3 KB":        {ok("setSecret", strings.Repeat("a", 3000), testVersion), "SecretId is not"},
		"no token":                {ok("setSecret", testARN, ""), "ClientRequestToken"},
		"a short token":           {ok("setSecret", testARN, "short"), "ClientRequestToken"},
		"a long token":            {ok("setSecret", testARN, strings.Repeat("a", 65)), "ClientRequestToken"},
		"a token with a tab":      {ok("setSecret", testARN, strings.Repeat("a", 32)+`\t`), "ClientRequestToken"},
		"a rotation token of 257": {`{"Step":"setSecret","SecretId":"` + testARN + `","ClientRequestToken":"` + testVersion + `","RotationToken":"` + strings.Repeat("a", 257) + `"}`, "RotationToken is not valid"},
		"a secret twice":          {`{"Step":"setSecret","SecretId":"` + testARN + `","SecretId":"other","ClientRequestToken":"` + testVersion + `"}`, "more than once"},
		"a secret in two cases":   {`{"Step":"setSecret","SecretId":"` + testARN + `","secretid":"other","ClientRequestToken":"` + testVersion + `"}`, "key SecretId appears more than once"},
		"a step, and then null":   {`{"Step":"setSecret","SecretId":"` + testARN + `","ClientRequestToken":"` + testVersion + `","\u017ftep":null}`, "key Step appears more than once"},
		"a byte order mark":       {"\ufeff" + ok("setSecret", testARN, testVersion), "not a rotation event"},
		"a secret of 2049 bytes":  {ok("setSecret", strings.Repeat("a", 2049), testVersion), "SecretId is not"},
		"a token of 31 bytes":     {ok("setSecret", testARN, strings.Repeat("a", 31)), "ClientRequestToken"},
		"a token with a DEL":      {ok("setSecret", testARN, strings.Repeat("a", 32)+"\x7f"), "ClientRequestToken"},
		"a token beyond ASCII":    {`{"Step":"setSecret","SecretId":"` + testARN + `","ClientRequestToken":"` + testVersion + `","RotationToken":"ö"}`, "RotationToken is not valid"},
		"a short token of people": {ok("status", testARN, "short"), "ClientRequestToken"},
		"one that is cut":         {`{"Step":"setSecret","SecretId":"` + testARN + `","ClientRequestToken":"` + testVersion + `"`, "not a rotation event"},
		"one cut within":          {`{"Step":"setSecret","SecretId":"` + testARN + `","ClientReq`, "not a rotation event"},
		"two at once":             {ok("setSecret", testARN, testVersion) + ok("setSecret", testARN, testVersion), "not a rotation event"},
		"a name that is none":     {`{1:"setSecret"}`, "not a rotation event"},
		"an action of a status":   {`{"Step":"status","SecretId":"` + testARN + `","Action":"finish"}`, `"finish"`},
		"an action of a step":     {`{"Step":"setSecret","SecretId":"` + testARN + `","ClientRequestToken":"` + testVersion + `","Action":"finish"}`, `"finish"`},
		"another action":          {`{"Step":"recover","SecretId":"` + testARN + `","Action":"reset\n"}`, `"reset\n"`},
		"an action renamed":       {`{"Step":"recover","SecretId":"` + testARN + `","Action":"restore"}`, `Action is "restore": it is now called "rollback"`},
		"another action renamed":  {`{"Step":"recover","SecretId":"` + testARN + `","Action":"wait"}`, `it is now called "investigate"`},
		"an action that is none":  {`{"Step":"recover","SecretId":"` + testARN + `","Action":7}`, "not a rotation event"},
		"another format":          {`{"Step":"status","SecretId":"` + testARN + `","Format":"xml"}`, `"xml"`},
		"a recover of nothing":    {`{"Step":"recover","Action":"finish"}`, "SecretId is missing"},
	} {
		_, err := parseEvent([]byte(c.payload))
		switch {
		case !errors.Is(err, KindMisconfigured) || !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: want a Misconfigured error that says %q, got: %v", name, c.says, err)
		case len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x1b\t"):
			t.Errorf("%s: the error is not fit for a log: %d bytes", name, len(err.Error()))
		}
	}
}

// TestTheBoundsOfAnEvent: what is as long, or as short, as the service's model allows is accepted, with any printable
// character; and what a step has no use for does not stop a rotation.
func TestTheBoundsOfAnEvent(t *testing.T) {
	printable := ""
	for c := ' '; c <= '~'; c++ {
		printable += string(c)
	}
	for name, want := range map[string]Event{
		"the longest": {Step: StepSetSecret, SecretID: strings.Repeat("a", 2048), VersionID: strings.Repeat("a", 64),
			RotationToken: secret.NewPassword(strings.Repeat("a", 256))},
		"the shortest": {Step: StepSetSecret, SecretID: "a", VersionID: strings.Repeat("a", 32)},
		"every character": {Step: StepSetSecret, SecretID: "arn:aws:secretsmanager:x:1:secret:rds!a/_+=.@-Z9",
			VersionID: printable[:64]},
		"the other 64":        {Step: StepSetSecret, SecretID: "a", VersionID: printable[len(printable)-64:]},
		"a format for a step": {Step: StepSetSecret, SecretID: "a", VersionID: testVersion, Format: "xml"},
		"a version of people": {Step: StepStatus, SecretID: "a", VersionID: testVersion, Format: "text"},
	} {
		payload, err := json.Marshal(map[string]string{"Step": string(want.Step), "SecretId": want.SecretID,
			"ClientRequestToken": want.VersionID, "RotationToken": want.RotationToken.Reveal(), "Format": want.Format})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseEvent(payload); err != nil || fmt.Sprint(got) != fmt.Sprint(want) ||
			got.RotationToken.Reveal() != want.RotationToken.Reveal() {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// TestValidSecretID: what a program asks before it sends an event. What would end a command that is printed, or stand
// for other secrets in a policy, is none.
func TestValidSecretID(t *testing.T) {
	for id, want := range map[string]bool{"": false, "app": true, testARN: true, "a\nb": false, strings.Repeat("a", 2048): true,
		strings.Repeat("a", 2049): false, "app;id": false, "$(id)": false, "secret:*": false, "app-??????": false, "a b": false,
		`a"b`: false, "a'b": false, "a`b": false, "a<b": false, "arn:aws:secretsmanager:eu-west-1:1:secret:rds!a/_+=.@-b": true} {
		if ValidSecretID(id) != want {
			t.Errorf("%.20q of %d bytes: want %v", id, len(id), want)
		}
	}
}

// TestPeopleNeedNoToken: their events name a secret, and what to do with it.
func TestPeopleNeedNoToken(t *testing.T) {
	for payload, want := range map[string]Event{
		`{"Step":"preflight","SecretId":"app"}`:                                    {Step: StepPreflight, SecretID: "app"},
		`{"Step":"status","SecretId":"app","Format":"markdown"}`:                   {Step: StepStatus, SecretID: "app", Format: "markdown"},
		`{"Step":"preflight","SecretId":"app","Format":"json"}`:                    {Step: StepPreflight, SecretID: "app", Format: "json"},
		`{"Step":"recover","SecretId":"app","Action":"finish"}`:                    {Step: StepRecover, SecretID: "app", Action: ActionFinish},
		`{"Step":"recover","SecretId":"app","Action":"discard","Format":"text"}`:   {Step: StepRecover, SecretID: "app", Action: ActionDiscard, Format: "text"},
		`{"Step":"recover","SecretId":"app","Action":"rollback","Unknown":[null]}`: {Step: StepRecover, SecretID: "app", Action: ActionRollBack},
	} {
		got, err := parseEvent([]byte(payload))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v", payload, got, err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"Step":"recover","SecretId":"app","Action":"finish","Format":"text"}`))
	f.Add([]byte(`{"Step":"createSecret","SecretId":"` + testARN + `","ClientRequestToken":"` + testVersion +
		`","RotationToken":"x"}`))
	f.Add([]byte(`{"Step":"set_secret","SecretId":"a\u0000","ClientRequestToken":null}`))
	f.Add([]byte(`[{"Step":{}}]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseEvent(payload)
		if err != nil {
			if KindOf(err) != KindMisconfigured || len(err.Error()) > 400 || !isPrintableASCII(err.Error()) {
				t.Fatalf("not an error fit for a log: %q", err)
			}
			return
		}
		if err := e.validate(); err != nil {
			t.Fatalf("accepted, and invalid: %v", err)
		}
	})
}

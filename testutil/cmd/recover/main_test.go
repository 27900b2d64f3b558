package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// TestTheCommand asks about a rotation that was killed, recovers it, and asks again.
// testutil/localaws does the same with the binary and a real database.
func TestTheCommand(t *testing.T) {
	const canary = "canary-password-0123456789"
	emu := &awsemu.Emulator{}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	value := func(engine, password string) awsemu.Value {
		return awsemu.Text(`{"engine":"` + engine + `","host":"` + strategytest.MemoryHost + `","username":"app","password":"` + password + `"}`)
	}
	arn := emu.Seed(awsemu.Secret{Name: "app", RotationEnabled: aws.Bool(true), Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: value("memory", canary+"-old")},
		{Labels: []string{"AWSPENDING"}, Value: value("memory", canary+"-new")},
	}})
	emu.Seed(awsemu.Secret{Name: "other", Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: value("oracle", canary)}}})
	db := &strategytest.Memory{}
	db.Add(strategytest.Account{Name: "app", Password: secret.NewPassword(canary + "-new")})
	cfg := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")}

	for _, c := range []struct {
		args  string
		fails bool
		says  string
	}{
		{"-secret app", false, "to do: finish"},
		{"-secret app -format markdown", false, "To do: **finish**"},
		{"-secret app -action restore", true, "to do: finish"}, // which is not what was asked for
		{"-secret app -action finish", false, "moved AWSCURRENT"},
		{"-secret app -format json", false, `"Action": "nothing"`},
		{"-secret other", false, "to do: provide"},
		{"-secret missing", true, ""},
	} {
		q, err := parse(strings.Fields(c.args))
		if err != nil {
			t.Fatal(err)
		}
		q.engines = []strategies.CloningEngine{postgres.Engine{}, db}
		var out strings.Builder
		err = q.ask(t.Context(), cfg, server.URL, &out)
		if (err != nil) != c.fails || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %v\n%s", c.args, err, out.String())
		}
		if strings.Contains(out.String(), "canary") || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: a password is printed", c.args)
		}
		if q.format == "json" && !json.Valid([]byte(out.String())) {
			t.Errorf("%s: not JSON", c.args)
		}
	}
	if emu.Snapshot(arn).Holder("AWSCURRENT").ID != awsemu.VersionID(2) {
		t.Error("AWSCURRENT did not move")
	}
	if kind := rotator.KindOf(byEngine{}.Apply(t.Context(), rotator.Rotation{})); kind != rotator.KindInternal {
		t.Errorf("Apply from here: %q", kind)
	}
}

// TestTheCommandIsAskedProperly: it says what it wants.
func TestTheCommandIsAskedProperly(t *testing.T) {
	for _, args := range []string{"", "app", "-secret app more", "-secret app -strategy both"} {
		if err := run(t.Context(), strings.Fields(args)); err == nil || !strings.Contains(err.Error(), "want -secret") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

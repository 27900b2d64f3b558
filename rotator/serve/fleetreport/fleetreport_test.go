package fleetreport

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// environment is a function's, with what is given over it, and an emulator as AWS.
func environment(t *testing.T, emu *awsemu.Emulator, given map[string]string) func(string) (string, bool) {
	t.Helper()
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	for name, value := range map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": server.URL,
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return func(name string) (string, bool) { value, ok := given[name]; return value, ok }
}

// TestTheReport: a line for each finding that counts, worst first, with what to type; one line
// of metrics with the heartbeat; and no value read.
func TestTheReport(t *testing.T) {
	emu := &awsemu.Emulator{}
	emu.SeedFleet(time.Now())
	lookup := environment(t, emu, map[string]string{"POWERTOOLS_SERVICE_NAME": "stack", "FLEET_MAX_AGE_DAYS": "60"})
	var out bytes.Buffer
	totals, err := run(t.Context(), lookup, &out)
	if err != nil {
		t.Fatal(err)
	}
	var metrics map[string]any
	found, last := map[string]bool{}, ""
	for line := range strings.Lines(out.String()) {
		var entry struct{ Message, Level, Finding, Severity, Service, Remedy string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		if strings.Contains(line, "_aws") {
			if err := json.Unmarshal([]byte(line), &metrics); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if entry.Service != "stack" || (entry.Level == "ERROR") != (entry.Severity == "critical" ||
			entry.Severity == "high") {
			t.Errorf("%s", line)
		}
		if entry.Finding != "" {
			found[entry.Finding] = true
		}
		last = entry.Message
	}
	for _, id := range []string{"F01", "F02", "F03", "F04", "F05", "F07", "F12", "F13", "F15", "F18", "F19", "F29"} {
		if !found[id] {
			t.Errorf("%s is not logged", id)
		}
	}
	if found["F26"] || found["F11"] {
		t.Error("what is low or an information is logged")
	}
	if !strings.HasPrefix(last, "fleet report: 1 account") {
		t.Errorf("the last line is %q", last)
	}
	if metrics["FleetFinished"] != 1.0 || metrics["FleetSecrets"] != float64(totals.Secrets) ||
		metrics["FleetCritical"].(float64) < 5 || metrics["Service"] != "stack" {
		t.Errorf("metrics: %v", metrics)
	}
	for _, c := range emu.Calls() {
		if strings.Contains(c.Operation, "SecretValue") {
			t.Errorf("%s: a value was read", c.Operation)
		}
	}
}

// TestALongReportIsCut: the log of a fleet without rotation stays readable.
func TestALongReportIsCut(t *testing.T) {
	emu := &awsemu.Emulator{}
	for i := range 600 {
		emu.Seed(awsemu.Secret{Name: "never-" + string(rune('a'+i%26)) + "-" + strings.Repeat("x", i/26),
			Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("{}")}}})
	}
	var out bytes.Buffer
	if _, err := run(t.Context(), environment(t, emu, nil), &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != maxLines+3 || !strings.Contains(out.String(), "more findings: "+
		"quarterturn fleet lists them") {
		t.Errorf("%d lines", n)
	}
}

// TestSettings: what cannot work names the variable; the word organization is all accounts.
func TestSettings(t *testing.T) {
	for name, value := range map[string]string{"FLEET_MAX_AGE_DAYS": "0", "FLEET_MAX_INTERVAL_DAYS": "a month"} {
		if _, err := FromEnvironment(func(n string) (string, bool) { v, ok := map[string]string{name: value}[n]; return v, ok }); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	s, err := FromEnvironment(func(n string) (string, bool) {
		v, ok := map[string]string{"FLEET_ACCOUNTS": "organization", "FLEET_REGIONS": "eu-west-1, us-east-1",
			"FLEET_MAX_INTERVAL_DAYS": "31"}[n]
		return v, ok
	})
	if err != nil || !s.Organization || s.Accounts != nil || len(s.Regions) != 2 ||
		s.Policy.MaxInterval != 31*24*time.Hour {
		t.Errorf("%+v, %v", s, err)
	}
}

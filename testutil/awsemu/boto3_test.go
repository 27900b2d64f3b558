package awsemu_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
)

// TestMalformedByBoto3: whatever boto3 sends, the emulator answers with an error that botocore reads by AWS's service models:
// a name and a status of 400 to 404, never a 500, and SerializationException where a member has another type than its own.
func TestMalformedByBoto3(t *testing.T) {
	t.Parallel()
	python := clients.Boto3(t, "../..")
	w := rotating(t, &awsemu.Emulator{}, &function{})
	cmd := python.Command(t.Context(), w.url, "AKIDBOTO", "testdata/malformed.py")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("malformed.py: %v\n%s", err, said.String())
	}
	sent := map[string]int{}
	for line := range strings.Lines(string(out)) {
		var got struct {
			What, Code, Text string
			Status           int
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(got.What, " ")
		sent[kind]++
		harmless := got.Status == 200 && (kind == "body" || kind == "value")
		if !harmless && (got.Status < 400 || got.Status > 404 || got.Code == "" || got.Code == "Unknown" || strings.Trim(got.Code, "0123456789") == "") {
			t.Errorf("%s: %s (%d) %s", got.What, got.Code, got.Status, got.Text)
		}
		if kind == "type" && got.Code != "SerializationException" {
			t.Errorf("%s: %s %s", got.What, got.Code, got.Text)
		}
	}
	if t.Log(sent); sent["type"] < 150 || sent["body"] < 200 || sent["target"] < 15 {
		t.Error("too little was sent")
	}
}

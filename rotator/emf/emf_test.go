package emf

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// TestLinesFollowTheSpecification checks what CloudWatch demands of a line, or
// silently makes no metric of it.
func TestLinesFollowTheSpecification(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, rec := range map[string]rotator.Record{
		"success": {Step: rotator.StepSetSecret, SecretID: "arn", VersionID: "v", Outcome: rotator.OutcomeDone, Start: start, Elapsed: 1500 * time.Microsecond},
		"blocked": {Step: rotator.StepCreateSecret, SecretID: "arn", VersionID: "v", Outcome: rotator.OutcomeFailed, Start: start, Err: rotator.KindAccessDenied, Kind: rotator.KindAccessDenied,
			Report: &rotator.Report{Findings: []rotator.Finding{{ID: "S1", Status: rotator.StatusPassed},
				{ID: "S3", Status: rotator.StatusDenied}, {ID: "P2", Status: rotator.StatusFailed}}}},
		"finished": {Step: rotator.StepFinishSecret, SecretID: "arn", VersionID: "v", Outcome: rotator.OutcomeDone, Start: start, RotationTime: 1500 * time.Millisecond},
		"failure":  {Step: rotator.StepSetSecret, SecretID: "arn", VersionID: "v", Outcome: rotator.OutcomeFailed, Start: start, Err: rotator.KindTLS, Kind: rotator.KindTLS},
	} {
		var out bytes.Buffer
		if err := (Writer{W: &out, Function: "rotate", Service: "stack"}).Write(rec); err != nil {
			t.Fatal(err)
		}
		if bytes.Count(out.Bytes(), []byte("\n")) != 1 || out.Bytes()[out.Len()-1] != '\n' {
			t.Errorf("%s: not one line: %q", name, out.String())
		}
		var got struct {
			AWS struct {
				Timestamp         int64
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				}
			} `json:"_aws"`
		}
		var members map[string]any
		if json.Unmarshal(out.Bytes(), &got) != nil || json.Unmarshal(out.Bytes(), &members) != nil {
			t.Fatalf("%s: not JSON: %q", name, out.String())
		}
		if got.AWS.Timestamp != start.Add(rec.Elapsed).UnixMilli() {
			t.Errorf("%s: Timestamp %d", name, got.AWS.Timestamp)
		}
		for _, s := range got.AWS.CloudWatchMetrics {
			if s.Namespace == "" || len(s.Dimensions) == 0 || len(s.Metrics) == 0 {
				t.Errorf("%s: an incomplete directive: %+v", name, s)
			}
			for _, d := range slices.Concat(s.Dimensions...) {
				if v, ok := members[d].(string); !ok || v == "" {
					t.Errorf("%s: dimension %s has no text", name, d)
				}
			}
			for _, m := range s.Metrics {
				if _, ok := members[m.Name].(float64); !ok {
					t.Errorf("%s: metric %s has no number", name, m.Name)
				}
			}
		}
		if services := []string{"Service"}; !slices.ContainsFunc(got.AWS.CloudWatchMetrics[0].Dimensions, func(d []string) bool { return slices.Equal(d, services) }) {
			t.Errorf("%s: nothing for alarms on a service", name)
		}
		if blocked, there := members["PreflightBlocked"]; there != (rec.Report != nil) || there && blocked != 2.0 {
			t.Errorf("%s: PreflightBlocked %v", name, blocked)
		}
		if took, there := members["RotationTime"]; there != (name == "finished") || there && took != 1500.0 {
			t.Errorf("%s: RotationTime %v", name, took)
		}
		if ok := rec.Err == nil; members["Succeeded"] != map[bool]float64{true: 1}[ok] ||
			members["Failed"] != map[bool]float64{false: 1}[ok] {
			t.Errorf("%s: Succeeded %v, Failed %v", name, members["Succeeded"], members["Failed"])
		}
	}
}

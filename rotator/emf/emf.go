// Package emf writes what the steps of rotations did as CloudWatch metrics, in the
// embedded metric format: lines of JSON on standard output, which Lambda passes to
// CloudWatch Logs, which makes metrics of them. No API call, no permission.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import (
	"encoding/json"
	"io"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// Namespace is where CloudWatch shows the metrics.
const Namespace = "Quarterturn"

// Writer turns records into metric lines. Writes of one line each go to W.
type Writer struct {
	W        io.Writer
	Function string // the dimension FunctionName
}

// The metrics, each once by function alone (for alarms) and once by function and
// step; failures by kind as well. The ARN of the secret is a property, to be
// searched for and not to be paid for: dimensions cost by their values.
type line struct {
	AWS          directive `json:"_aws"`
	FunctionName string
	Step         rotator.Step
	Kind         rotator.Kind `json:",omitempty"`
	Secret       string
	Version      string
	Outcome      rotator.Outcome

	Succeeded int
	Failed    int
	Duration  float64 // ms
}

type directive struct {
	Timestamp         int64 // ms since the epoch
	CloudWatchMetrics []set
}

type set struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metric
}

type metric struct {
	Name string
	Unit string
}

// Write writes one record as one line.
func (w Writer) Write(r rotator.Record) error {
	l := line{
		FunctionName: w.Function,
		Step:         r.Step,
		Kind:         r.Kind,
		Secret:       r.Secret,
		Version:      r.Version,
		Outcome:      r.Outcome,
		Succeeded:    1,
		Duration:     float64(r.Elapsed.Microseconds()) / 1e3,
	}
	dimensions := [][]string{{"FunctionName"}, {"FunctionName", "Step"}}
	if r.Err != nil {
		l.Succeeded, l.Failed = 0, 1
		dimensions = append(dimensions, []string{"FunctionName", "Step", "Kind"})
	}
	l.AWS = directive{
		Timestamp: r.Start.Add(r.Elapsed).UnixMilli(),
		CloudWatchMetrics: []set{{
			Namespace:  Namespace,
			Dimensions: dimensions,
			Metrics:    []metric{{"Succeeded", "Count"}, {"Failed", "Count"}, {"Duration", "Milliseconds"}},
		}},
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.W.Write(append(text, '\n'))
	return err
}

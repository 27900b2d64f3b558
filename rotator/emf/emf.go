// Package emf writes what the steps of rotations did as CloudWatch metrics, in the
// embedded metric format: lines of JSON on standard output, which Lambda passes to
// CloudWatch Logs, which makes metrics of them. No API call, no permission.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import (
	"cmp"
	"encoding/json"
	"io"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// Namespace is where CloudWatch shows the metrics of a Writer that names none.
const Namespace = "Quarterturn"

// Writer turns records into metric lines. Writes of one line each go to W.
type Writer struct {
	W         io.Writer
	Namespace string // "": Namespace
	Function  string // the dimension FunctionName
	// Service is what several functions are together, such as the stack that they were
	// deployed with: the dimension Service, for alarms on all of them. "": none.
	Service string
}

// The metrics, each once by function alone and once by service (for alarms), and
// once by function and step; failures by kind as well. The ARN of the secret is a
// property, to be searched for and not to be paid for: dimensions cost by their values.
type line struct {
	AWS          directive `json:"_aws"`
	Service      string    `json:",omitempty"`
	FunctionName string
	Step         rotator.Step
	Kind         rotator.Kind `json:",omitempty"`
	Secret       string
	Version      string
	Build        string // of the function: a property, because alarms are on all builds
	Outcome      rotator.Outcome

	Succeeded int
	Failed    int
	Duration  float64 // ms
	// PreflightBlocked is how many findings of a preflight were in the way of a
	// rotation, whatever its mode made of them. Absent where there was no preflight.
	PreflightBlocked *int `json:",omitempty"`
	// RotationTime is from the creation of the pending version to the move of AWSCURRENT:
	// ms, with finishSecret alone.
	RotationTime float64 `json:",omitempty"`
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
		Service:      w.Service,
		FunctionName: w.Function,
		Step:         r.Step,
		Kind:         r.Kind,
		Secret:       r.SecretID,
		Version:      r.VersionID,
		Build:        rotator.Release,
		Outcome:      r.Outcome,
		Succeeded:    1,
		Duration:     float64(r.Elapsed.Microseconds()) / 1e3,
	}
	dimensions := [][]string{{"FunctionName"}, {"FunctionName", "Step"}}
	if w.Service != "" {
		dimensions = append(dimensions, []string{"Service"})
	}
	if r.Err != nil {
		l.Succeeded, l.Failed = 0, 1
		dimensions = append(dimensions, []string{"FunctionName", "Step", "Kind"})
	}
	metrics := []metric{{"Succeeded", "Count"}, {"Failed", "Count"}, {"Duration", "Milliseconds"}}
	if r.RotationTime > 0 {
		l.RotationTime = float64(r.RotationTime.Microseconds()) / 1e3
		metrics = append(metrics, metric{"RotationTime", "Milliseconds"})
	}
	if r.Report != nil {
		l.PreflightBlocked = new(len(r.Report.Blocking()))
		metrics = append(metrics, metric{"PreflightBlocked", "Count"})
	}
	l.AWS = directive{
		Timestamp: r.Start.Add(r.Elapsed).UnixMilli(),
		CloudWatchMetrics: []set{{
			Namespace:  cmp.Or(w.Namespace, Namespace),
			Dimensions: dimensions,
			Metrics:    metrics,
		}},
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.W.Write(append(text, '\n'))
	return err
}

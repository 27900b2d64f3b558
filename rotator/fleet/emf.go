package fleet

import (
	"encoding/json"
	"io"
	"slices"
)

// metrics are those of a report, in CloudWatch's embedded metric format. No dimension
// names a secret: dimensions cost by their values. FleetFinished is the heartbeat: its
// absence means that the report did not run.
func (r *Report) metrics() map[string]int {
	t := r.Totals
	return map[string]int{
		"FleetSecrets": t.Secrets, "FleetInOrder": t.InOrder, "FleetCritical": t.Severity[Critical],
		"FleetHigh":    t.Severity[High],
		"FleetOverdue": t.Finding["F01"] + t.Finding["F02"], "FleetStuck": t.Finding["F03"] + t.Finding["F02"],
		"FleetOff": t.Finding["F04"] + t.Finding["F07"], "FleetNeverRotated": t.Finding["F05"],
		"FleetUnreadable": len(r.Scope.Unreadable),
		"FleetOldestDays": t.Days, "FleetFinished": 1,
	}
}

// Metrics writes the report's metrics as one line, which Lambda makes metrics of.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func (r *Report) Metrics(out io.Writer, namespace, service string) error {
	line := map[string]any{"Service": service}
	type metric struct{ Name, Unit string }
	var list []metric
	for name, value := range r.metrics() {
		line[name] = value
		list = append(list, metric{name, "Count"})
	}
	slices.SortFunc(list, func(a, b metric) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	line["_aws"] = map[string]any{
		"Timestamp": r.Generated.UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{"Namespace": namespace, "Dimensions": [][]string{{"Service"}},
			"Metrics": list}},
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	return err
}

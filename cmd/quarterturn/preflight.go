package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/iam/explain"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
)

func newPreflight(around *surroundings) *cobra.Command {
	q := question{around: around}
	var o output
	var why bool
	cmd := &cobra.Command{
		Use:   "preflight SECRET",
		Short: "Check everything that a rotation of the secret needs; change nothing",
		Long: `Checks every permission, the network path, TLS, the login and the password change itself, without changing
anything, and prints what would block a rotation and how to fix it.

SECRET is the name or the ARN of the secret.`,
		Example: "  quarterturn preflight prod/orders/app\n  quarterturn preflight prod/orders/app --format html > " +
			"preflight.html",
		Args: oneSecret,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.begin(cmd, args[0], &o); err != nil {
				return err
			}
			var report rotator.Report
			err := q.ask(cmd.Context(), rotator.StepPreflight, "", &report)
			if report.Findings == nil {
				return err
			}
			if why {
				q.explain(cmd.Context(), &report)
			}
			if err := o.print(cmd.OutOrStdout(), q.page(&report, nil)); err != nil {
				return err
			}
			if len(report.Blocking()) > 0 {
				return exitError{code: exitToDo}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&why, "explain", false, "after a denial, read the policies that you may see, and say which "+
		"statement decided")
	q.flags(cmd.Flags())
	o.flags(cmd.Flags())
	return cmd
}

// explain adds to each denial by AWS what the policies say that this person may read. What
// AWS says stays the verdict: a reading that fails is said, and changes nothing.
func (q *question) explain(ctx context.Context, report *rotator.Report) {
	cfg, err := awsConfig(ctx, q.secret, true)
	for i := range report.Findings {
		f := &report.Findings[i]
		if _, denied := permissions.ParseDenial(f.Detail); !denied {
			continue
		}
		var x explain.Explanation
		if err == nil {
			x, err = explain.Explainer{Config: cfg}.Explain(ctx, explain.Call{Denial: f.Detail})
		}
		if err != nil {
			f.PolicyAnalysis = append(f.PolicyAnalysis, fmt.Sprintf("the policies could not be read: %v", err))
			continue
		}
		f.PolicyAnalysis = append(f.PolicyAnalysis, strings.Split(strings.TrimSpace(x.Text()), "\n")...)
	}
}

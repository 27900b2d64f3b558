package main

import (
	"github.com/spf13/cobra"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

func newPreflight(around *surroundings) *cobra.Command {
	q := question{around: around}
	var o output
	cmd := &cobra.Command{
		Use:   "preflight SECRET",
		Short: "Check everything that a rotation of the secret needs; change nothing",
		Long: `Checks every permission, the network path, TLS, the login and the password change itself, without changing
anything, and prints what would block a rotation and how to fix it.

SECRET is the name or the ARN of the secret.`,
		Example: "  quarterturn preflight prod/orders/app\n  quarterturn preflight prod/orders/app --format html > preflight.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.secret = args[0]
			if err := q.check(cmd); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return err
			}
			var report rotator.Report
			err := q.ask(cmd.Context(), rotator.StepPreflight, "", &report)
			if report.Findings == nil {
				return err
			}
			if err := o.print(cmd.OutOrStdout(), page{Report: &report}); err != nil {
				return err
			}
			if len(report.Blocking()) > 0 {
				return exitError{code: exitToDo}
			}
			return err
		},
	}
	q.flags(cmd.Flags())
	o.flags(cmd.Flags())
	return cmd
}

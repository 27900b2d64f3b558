package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

func newStatus(around *surroundings) *cobra.Command {
	q := question{around: around}
	var o output
	cmd := &cobra.Command{
		Use:   "status SECRET",
		Short: "Say which stored version of the secret works, and what to do; change nothing",
		Long: `Logs in with the stored versions of the secret, explains their staging labels, and prints the recommended action
with the command that does it. It changes nothing.

SECRET is the name or the ARN of the secret.`,
		Example: "  quarterturn status prod/orders/app\n  quarterturn status prod/orders/app --here --strategy " +
			"alternating-users",
		Args: oneSecret,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.begin(cmd, args[0], &o); err != nil {
				return err
			}
			return q.diagnose(cmd.Context(), cmd.OutOrStdout(), o, rotator.StepStatus, "")
		},
	}
	q.flags(cmd.Flags())
	q.versionFlag(cmd.Flags())
	o.flags(cmd.Flags())
	return cmd
}

// actions are those that recover carries out: each moves one label.
var actions = []string{string(rotator.ActionFinish), string(rotator.ActionDiscard), string(rotator.ActionRollBack)}

func newRecover(around *surroundings) *cobra.Command {
	q := question{around: around}
	var o output
	cmd := &cobra.Command{
		Use:   "recover SECRET " + strings.Join(actions, "|"),
		Short: "Carry out the action that status recommends",
		Long: `Moves one staging label, if the status of the secret still recommends that very action:

  ` + string(rotator.ActionFinish) + `: move AWSCURRENT to the version that has AWSPENDING
  ` + string(rotator.ActionDiscard) + `: remove AWSPENDING from its version
  ` + string(rotator.ActionRollBack) + `: move AWSCURRENT back to the version that has AWSPREVIOUS

It checks again before it acts, prints the command that undoes the move, and does nothing else.`,
		Example: "  quarterturn recover prod/orders/app finish",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return fmt.Errorf("name the action, %s, as quarterturn status %s recommends (in a clone: "+
					"go run ./cmd/quarterturn status %[2]s)", strings.Join(actions, ", "), args[0])
			}
			if len(args) > 2 {
				return fmt.Errorf("one SECRET and one action, got %s", quoted(args))
			}
			return oneSecret(nil, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.begin(cmd, args[0], &o); err != nil {
				return err
			}
			if !slices.Contains(actions, args[1]) {
				return usage("action %q: choose %s", args[1], strings.Join(actions, ", "))
			}
			return q.diagnose(cmd.Context(), cmd.OutOrStdout(), o, rotator.StepRecover, rotator.Action(args[1]))
		},
	}
	q.flags(cmd.Flags())
	q.versionFlag(cmd.Flags())
	o.flags(cmd.Flags())
	return cmd
}

// diagnose asks for the status or a recovery, prints the answer and gives the exit code.
func (q *question) diagnose(ctx context.Context, out io.Writer, o output, step rotator.Step,
	action rotator.Action) error {
	var d rotator.Diagnosis
	err := q.ask(ctx, step, action, &d)
	if d.Versions == nil && d.Action == "" {
		return q.notRecovered(step, err)
	}
	q.withFunction(ctx, &d)
	if bad := o.print(out, q.page(nil, &d)); bad != nil {
		return bad
	}
	switch verdict := d.Verdict(); {
	case err != nil:
		return exitError{exitToDo, err}
	case verdict == rotator.VerdictOK:
		return nil
	case verdict == rotator.VerdictUnknown:
		return exitError{code: exitUnknown}
	}
	return exitError{code: exitToDo}
}

// notRecovered says what to do where a function did not carry out an action.
func (q *question) notRecovered(step rotator.Step, err error) error {
	var exit exitError
	var local errCaller
	if err == nil || step != rotator.StepRecover || errors.As(err, &exit) || errors.As(err,
		&local) || rotator.KindOf(err) == rotator.KindUnreachable {
		return err
	}
	const denied = string(rotator.KindAccessDenied)
	if strings.Contains(err.Error(), ": "+denied+": ") { // the function gives its error as text
		return exitError{exitToDo, fmt.Errorf("%w\nThe action was not carried out. Add that statement and run this "+
			"again, or run the command of the AWS CLI "+
			"that %s prints", err, q.command(rotator.StepStatus, "", ""))}
	}
	return exitError{exitToDo, fmt.Errorf("%w\nThe action was not carried out: run %s", err,
		q.command(rotator.StepStatus, "", ""))}
}

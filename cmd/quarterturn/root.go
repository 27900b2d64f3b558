package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes. They are part of the interface: scripts and alarms count on them.
const (
	exitFine    = 0
	exitToDo    = 1 // a finding blocks, a rotation is stuck, an action was not carried out
	exitUsage   = 2
	exitUnknown = 3 // AWS, the function or the database did not answer the question
)

// exitError is an error that chooses the exit code. Err is nil where the output has said
// everything.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// usage marks an error in the command line.
func usage(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

// run is the whole program: it gives the exit code.
func run(ctx context.Context, around *surroundings, args []string, out, errOut io.Writer) int {
	root := newRoot(around)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	var exit exitError
	switch {
	case err == nil:
		return exitFine
	case !errors.As(err, &exit):
		exit = exitError{exitUnknown, err}
	}
	if exit.err != nil {
		fmt.Fprintf(errOut, "quarterturn: %v\n", exit.err)
	}
	if exit.code == exitUsage {
		fmt.Fprintf(errOut, "Run '%s --help' for what there is.\n", cmd.CommandPath())
	}
	return exit.code
}

func newRoot(around *surroundings) *cobra.Command {
	root := &cobra.Command{
		Use:   "quarterturn",
		Short: "Rotate credentials in AWS Secrets Manager without locking anyone out",
		Long: `Checks rotations of AWS Secrets Manager secrets, finds out which stored version of a secret works,
fixes rotations that are stuck, and prints the policies that a rotation needs.

preflight, status and recover ask the rotation function of the secret. With --here they run on this
machine, with this machine's AWS credentials; then this machine must reach the database.

Exit codes: 0 all is well, 1 there is something to do, 2 wrong use, 3 it could not be found out.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitError{exitUsage, flagError(err)} })
	root.AddCommand(newPreflight(around), newStatus(around), newRecover(around), newPolicies(), newFleet(),
		newVersion())
	for _, cmd := range append(root.Commands(), root) {
		if check := cmd.Args; check != nil {
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if err := check(cmd, args); err != nil {
					return exitError{exitUsage, err}
				}
				return nil
			}
		}
	}
	return root
}

// flagError says what a flag takes, not how it was parsed.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	wants, known := map[string]string{"int": "a whole number", "duration": "a duration, such as 90m", "bool": "true " +
		"or false"}[bad.GetFlag().Value.Type()]
	if !known {
		return err
	}
	return fmt.Errorf("--%s is %q: give %s", bad.GetFlag().Name, bad.GetValue(), wants)
}

// knownCommand refuses what is no command, with the one that is spelled nearly so.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("there is no command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	var all []string
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			all = append(all, cmd.Name())
		}
	}
	return fmt.Errorf("there is no command %q: %s", args[0], strings.Join(all, ", "))
}

// noArguments is for commands that take flags alone.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags alone, got %s", cmd.Name(), quoted(args))
	}
	return nil
}

// oneSecret is for commands that are about one.
func oneSecret(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return errors.New("SECRET is missing: give the name or the ARN of the secret")
	case 1:
		return nil
	}
	return fmt.Errorf("one SECRET, got %s", quoted(args))
}

func quoted(args []string) string {
	all := make([]string, len(args))
	for i, arg := range args {
		all[i] = strconv.Quote(arg)
	}
	return strings.Join(all, " and ")
}

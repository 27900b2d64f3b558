package main

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/quarterturn-dev/quarterturn/rotator/fleet"
)

// fleetFlags are what `quarterturn fleet` was asked.
type fleetFlags struct {
	accounts     []string
	accountsFile string
	organization bool
	role         string
	regions      []string
	since        string
	failOn       string
	deep, all    bool
	maxAge       int
	maxInterval  int
	grace        time.Duration
	unused       int
	tags         []string
	customerKey  bool
	functions    []string
	jsonFile     string
}

func newFleet() *cobra.Command {
	var f fleetFlags
	var o output
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Say which secrets of an account, or of many, are not rotated as they should be",
		Long: `Reads the descriptions of all secrets, never a value, and prints which of them are stuck since when, overdue, never
rotated or disabled, whose function or key is gone, and what to type.

In other accounts it assumes the role ` + fleet.ReaderRole + `, which docs/fleet.md gives.

Exit codes: 0 nothing is as bad as --fail-on, 1 something is, 2 wrong use, 3 something could not be read.`,
		Example: `  quarterturn fleet
  quarterturn fleet --organization --regions eu-west-1,eu-central-1 --format html > fleet.html
  quarterturn fleet --format json --since last-week.json > today.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, &o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.accounts, "accounts", nil, "account ids (default: the account of the credentials)")
	flags.StringVar(&f.accountsFile, "accounts-file", "", "file with an account id a line")
	flags.BoolVar(&f.organization, "organization", false, "all active accounts of the organization")
	flags.StringVar(&f.role, "role", fleet.ReaderRole, "name of the role to assume in other accounts")
	flags.StringSliceVar(&f.regions, "regions", nil, "Regions (default: that of the configuration)")
	flags.StringVar(&f.since, "since", "", "a former report in JSON: say what is new and what is fixed")
	flags.StringVar(&f.failOn, "fail-on", string(fleet.High), "exit 1 if a finding is at least this severe: "+
		"critical, high, medium or low")
	flags.BoolVar(&f.deep, "deep", false, "read versions, replicas and the resource policy of every secret: "+
		"slower by far")
	flags.BoolVar(&f.all, "all", false, "list the secrets that are in order, too")
	flags.IntVar(&f.maxAge, "max-age", 90, "days that a value may be old")
	flags.IntVar(&f.maxInterval, "max-interval", 90, "days that a schedule may be long")
	flags.DurationVar(&f.grace, "grace", time.Hour, "time after its window that a rotation may take")
	flags.IntVar(&f.unused, "unused", 90, "days without a read after which a secret is unused")
	flags.StringSliceVar(&f.tags, "require-tags", nil, "tag keys that every secret must have")
	flags.BoolVar(&f.customerKey, "customer-key", false, "every secret must have a customer managed key")
	flags.StringSliceVar(&f.functions, "functions", nil, "names or ARNs of Quarterturn's functions (default: "+
		"quarterturn-*)")
	flags.StringVar(&f.jsonFile, "json-file", "", "write the report as JSON to this file, too: "+
		"the page names its SHA-256")
	o.flags(flags)
	flags.Lookup("format").Usage = "text, json, jsonl (a secret a line) or html (one page, to keep or to send)"
	return cmd
}

func (f *fleetFlags) policy() fleet.Policy {
	days := func(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
	return fleet.Policy{
		MaxAge: days(f.maxAge), MaxInterval: days(f.maxInterval), Grace: f.grace, Unused: days(f.unused),
		CustomerKey: f.customerKey, Tags: f.tags, Functions: f.functions,
	}
}

func (f *fleetFlags) check(o *output) error {
	if err := o.check(); err != nil {
		return err
	}
	severities := []string{"critical", "high", "medium", "low"}
	switch {
	case o.format == "markdown":
		return usage("--format markdown: fleet writes text, json, jsonl or html")
	case !slices.Contains(severities, f.failOn):
		return usage("--fail-on is %q: choose %s", f.failOn, strings.Join(severities, ", "))
	case f.organization && (f.accounts != nil || f.accountsFile != ""):
		return usage("--organization and --accounts exclude each other: choose one")
	case f.maxAge < 1 || f.maxInterval < 1 || f.unused < 1 || f.grace < 0:
		return usage("--max-age, --max-interval and --unused are days from 1 on, --grace a duration from 0 on")
	}
	return nil
}

func (f *fleetFlags) run(cmd *cobra.Command, o *output) error {
	if err := f.check(o); err != nil {
		return err
	}
	ctx := cmd.Context()
	scanner := fleet.Scanner{Policy: f.policy(), Deep: f.deep, All: f.all || o.format == "html"}
	accounts := f.accounts
	if f.accountsFile != "" {
		text, err := os.ReadFile(f.accountsFile)
		if err != nil {
			return usage("--accounts-file: %v", err)
		}
		accounts = append(accounts, strings.Fields(string(text))...)
	}
	if f.since != "" {
		file, err := os.Open(f.since)
		if err != nil {
			return usage("--since: %v", err)
		}
		defer file.Close()
		if scanner.Since, err = fleet.Read(file); err != nil {
			return usage("--since: %v", err)
		}
	}
	for _, id := range accounts {
		if len(id) != 12 || strings.Trim(id, "0123456789") != "" {
			return usage("account %q: an account id has twelve digits", id)
		}
	}
	cfg, err := awsConfig(ctx, "", len(f.regions) == 0)
	if err != nil {
		return err
	}
	if cfg.Region == "" { // in which the account is asked for
		cfg.Region = f.regions[0]
	}
	scanner.Places, err = fleet.Accounts{Config: cfg, IDs: accounts, All: f.organization, Role: f.role,
		Regions: f.regions}.Places(ctx)
	if err != nil {
		if what, _, sdk := strings.Cut(err.Error(), ": operation error"); sdk {
			return plain(what, err)
		}
		return err
	}
	if progress, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(progress.Fd())) {
		scanner.Progress = func(p fleet.Place, secrets int) {
			fmt.Fprintf(progress, "\r%s %s: %d secrets\x1b[K", p.Account, p.Region, secrets)
		}
		defer fmt.Fprint(progress, "\r\x1b[K")
	}
	report, err := scanner.Scan(ctx)
	if err != nil {
		return err
	}
	if err := f.save(report); err != nil {
		return err
	}
	if err := f.print(cmd, o, report); err != nil {
		return err
	}
	switch {
	case report.Reaches(fleet.Severity(f.failOn)):
		return exitError{code: exitToDo}
	case len(report.Scope.Unreadable) > 0:
		return exitError{code: exitUnknown}
	}
	return nil
}

// save writes the report to the file that was asked for.
func (f *fleetFlags) save(r *fleet.Report) error {
	if f.jsonFile == "" {
		return nil
	}
	var text bytes.Buffer
	if err := r.JSON(&text); err != nil {
		return err
	}
	if err := os.WriteFile(f.jsonFile, text.Bytes(), 0o600); err != nil {
		return usage("--json-file: %v", err)
	}
	return nil
}

func (f *fleetFlags) print(cmd *cobra.Command, o *output, r *fleet.Report) error {
	out := cmd.OutOrStdout()
	switch o.format {
	case "json":
		return r.JSON(out)
	case "jsonl":
		return r.JSONLines(out)
	case "html":
		by := ""
		if u, err := user.Current(); err == nil {
			by = u.Username
		}
		return r.HTML(out, by, version())
	}
	var text bytes.Buffer
	if err := r.Text(&text); err != nil {
		return err
	}
	return o.text(out, text.String())
}

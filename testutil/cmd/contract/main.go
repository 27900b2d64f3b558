// Command contract tries the facts of package contract on an endpoint and prints what became of each: on an emulator of
// its own, on any other server, or on AWS.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/testutil/contract"
)

type options struct {
	endpoint, differences, rows string
	aws, yes                    bool
	second, record              string
}

func main() {
	var o options
	flag.StringVar(&o.endpoint, "endpoint", "", "`URL` of another server than the emulator, such as moto's")
	flag.StringVar(&o.differences, "differences", "", "`file` that lists in which rows that server is known to differ")
	flag.StringVar(&o.rows, "rows", "", "only rows whose ids begin so, such as `SM-1,RO`")
	flag.BoolVar(&o.aws, "aws", false, "try them on AWS, in the account and Region of the usual environment "+
		"variables and profiles")
	flag.BoolVar(&o.yes, "yes", false, "with -aws: do not ask")
	flag.StringVar(&o.second, "second", "", "with -aws: `profile` of an administrator of a second account, "+
		"for the rows about other accounts")
	flag.StringVar(&o.record, "record", "", "with -aws: `file` to write what was found to (default: "+
		"testutil/contract/records/DAY-REGION.json)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdin, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "contract:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer, o options) error {
	rows := contract.Table()
	if o.rows != "" {
		rows = contract.Select(rows, strings.Split(o.rows, ",")...)
	}
	if len(rows) == 0 {
		return fmt.Errorf("no row's id begins with %s", o.rows)
	}
	known := contract.Differences{}
	if o.differences != "" {
		var err error
		if known, err = contract.ReadDifferences(o.differences); err != nil {
			return err
		}
	}
	var results []contract.Result
	var err error
	switch {
	case o.aws:
		results, err = onAWS(ctx, in, out, o, rows)
	case o.endpoint != "":
		cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &o.endpoint,
			Credentials: credentials.NewStaticCredentialsProvider("AKIACONTRACT", "secret", "")}
		account := &contract.Account{Config: cfg, Settle: time.Millisecond}
		results, err = contract.Run(ctx, rows, contract.Endpoint{Name: o.endpoint, Config: cfg, Supply: account,
			Has: contract.NeedKey | contract.NeedLambda, Patience: time.Second})
		err = errors.Join(err, account.Close(context.WithoutCancel(ctx)))
	default:
		results, err = onEmulator(ctx, rows)
	}
	if results == nil {
		return err
	}
	name := o.endpoint
	if name == "" {
		name = map[bool]string{true: "AWS", false: "emulator"}[o.aws]
	}
	contract.Print(out, name, results, known)
	records, wrong := contract.Records()
	all, contradictions := contract.Confirm(contract.Table(), records)
	fmt.Fprintln(out, contract.Summary(all)+".")
	for _, c := range contradictions {
		fmt.Fprintln(out, c)
	}
	err = errors.Join(err, wrong)
	if problems := known.Unexpected(results); len(problems) > 0 {
		err = errors.Join(err, errors.New(strings.Join(problems, "\n")))
	}
	return err
}

func onEmulator(ctx context.Context, rows []contract.Row) ([]contract.Result, error) {
	e, err := contract.OpenEmulator()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return contract.Run(ctx, rows, e.Endpoint)
}

// onAWS says what it will do and asks, and removes what it made whatever becomes of it.
func onAWS(ctx context.Context, in io.Reader, out io.Writer, o options, rows []contract.Row) (results []contract.Result,
	err error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		return nil, errors.New("no Region is configured: set AWS_REGION")
	}
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	account := &contract.Account{Config: cfg, Say: say}
	if o.second != "" {
		second, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(o.second),
			config.WithRegion(cfg.Region))
		if err != nil {
			return nil, err
		}
		account.Second = &second
	}
	fmt.Fprint(out, account.Plan(rows))
	if !o.yes {
		fmt.Fprint(out, "Go on? Type yes: ")
		answer, _ := bufio.NewReader(in).ReadString('\n')
		if strings.TrimSpace(answer) != "yes" {
			return nil, errors.New("nothing was done")
		}
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
		defer cancel()
		err = errors.Join(err, account.Close(clean))
	}()
	results, err = contract.Run(ctx, rows, contract.Endpoint{Name: "AWS", Config: cfg, Supply: account,
		Has:      account.Has(),
		Patience: 6 * time.Minute, Pause: 5 * time.Second})
	if len(results) == 0 {
		return results, err
	}
	now := time.Now()
	path := o.record
	if path == "" {
		path = filepath.Join("testutil", "contract", "records", now.UTC().Format("2006-01-02")+"-"+cfg.Region+".json")
	}
	if wrote := contract.WriteRecord(path, cfg.Region, now, results); wrote != nil {
		return results, errors.Join(err, wrote)
	}
	fmt.Fprintf(out, "what was found: %s (commit it, then: go generate ./testutil/contract)\n", path)
	return results, err
}

// Recover says which stored version of a secret really logs in, what its labels
// mean, and what to do; and does that, where it is the move of a label and is asked
// for by name:
//
//	make recover ARGS="-secret app"
//	make recover ARGS="-secret app -action finish"
//	make recover ARGS="-secret app -strategy alternating -format markdown"
//
// It is the function's own status and recover, run here: the same strategy, table
// and store, with the AWS credentials of whoever runs it and the settings that the
// function has in its environment (DATABASE_CA_FILE and so on). It is for the night
// on which the function is what is broken, and for machines that reach the database.
// Anywhere else ask the function, which does reach it:
//
//	aws lambda invoke --function-name NAME --cli-binary-format raw-in-base64-out \
//	    --payload '{"Step":"status","SecretId":"app","Format":"text"}' status.json
//
// One command serves every engine: the secret says which it is for. A handler knows
// one engine, so that no Lambda binary carries another's driver; here nobody waits
// for a cold start.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/mysql"
	"github.com/quarterturn-dev/quarterturn/strategies/postgres"
)

// patience is more than three logins take that are answered by nobody.
const patience = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "recover:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	q, err := parse(args)
	if err != nil {
		return err
	}
	settings, err := serve.FromEnvironment(os.LookupEnv)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	q.engines = []strategies.CloningEngine{
		postgres.Engine{Roots: settings.RootCAs, AllowMD5: settings.AllowMD5},
		mysql.Engine{Roots: settings.RootCAs},
		mysql.MariaDB{Roots: settings.RootCAs},
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return q.ask(ctx, cfg, settings.SecretsManagerURL, os.Stdout)
}

// question is what to ask, and of whom.
type question struct {
	secret, action, strategy, format string
	engines                          []strategies.CloningEngine
}

func parse(args []string) (q question, err error) {
	flags := flag.NewFlagSet("recover", flag.ContinueOnError)
	flags.StringVar(&q.secret, "secret", "", "name or ARN of the secret (required)")
	flags.StringVar(&q.action, "action", "", "finish, discard or restore: do so, if that is what there is to do; none: change nothing")
	flags.StringVar(&q.strategy, "strategy", "single", "how the secret is rotated: single or alternating")
	flags.StringVar(&q.format, "format", "text", "text, markdown or json")
	if err := flags.Parse(args); err != nil {
		return q, err
	}
	if q.secret == "" || flags.NArg() > 0 || q.strategy != "single" && q.strategy != "alternating" {
		flags.Usage()
		return q, errors.New("want -secret, and single or alternating for -strategy")
	}
	return q, nil
}

// ask sends the event that a person would send to the function, and prints what
// that would answer.
func (q question) ask(ctx context.Context, cfg aws.Config, endpoint string, out io.Writer) error {
	event, err := json.Marshal(map[string]string{"Step": string(rotator.StepRecover), "SecretId": q.secret, "Action": q.action, "Format": q.format})
	if err != nil {
		return err
	}
	r := rotator.Rotator{Store: awsstore.New(cfg, endpoint), Strategy: byEngine(q)}
	answer, err := r.HandleJSON(ctx, event)
	if d, ok := answer.(*rotator.Diagnosis); ok { // there may be one beside an error
		err = errors.Join(err, print(out, d, q.format))
	}
	return err
}

func print(out io.Writer, d *rotator.Diagnosis, format string) error {
	text := d.Text()
	switch format {
	case "markdown":
		text = d.Markdown()
	case "json":
		data, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return err
		}
		text = string(data) + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// byEngine is the strategy for whatever engine a value names.
type byEngine question

func (b byEngine) of(d secret.Document) (rotator.Strategy, error) {
	var known []string
	for _, e := range b.engines {
		known = append(known, e.Traits().Engines...)
		switch {
		case !slices.Contains(e.Traits().Engines, d.Text("engine")):
		case b.strategy == "alternating":
			return strategies.AlternatingUsers{Engine: e}, nil
		default:
			return strategies.SingleUser{Engine: e}, nil
		}
	}
	return nil, fmt.Errorf("secret: %w: engine is %q: want one of %s", rotator.KindMisconfigured, d.Text("engine"), strings.Join(known, ", "))
}

// Propose implements rotator.Strategy.
func (b byEngine) Propose(ctx context.Context, r rotator.Rotation) (secret.Document, error) {
	s, err := b.of(r.Current)
	if err != nil {
		return secret.Document{}, err
	}
	return s.Propose(ctx, r)
}

// Apply implements rotator.Strategy: no database is changed from here.
func (b byEngine) Apply(context.Context, rotator.Rotation) error {
	return fmt.Errorf("recover: %w: it sets no passwords", rotator.KindInternal)
}

// Verify implements rotator.Strategy.
func (b byEngine) Verify(ctx context.Context, r rotator.Rotation) error {
	s, err := b.of(r.Pending)
	if err != nil {
		return err
	}
	return s.Verify(ctx, r)
}

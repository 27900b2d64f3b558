package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/serve"
)

// askTime is more than the logins of a preflight take at a database that does not
// respond, and more than the functions of our template may run.
const askTime = 2 * time.Minute

// question is an event that a person sends, and who is to answer it.
type question struct {
	around   *surroundings
	secret   string
	function string // name or ARN; "": the one that the secret names
	here     bool
	strategy string // --here: how the secret is rotated
	version  string // status, recover: the version to test first; "": AWSCURRENT
}

func (q *question) flags(f *pflag.FlagSet) {
	f.StringVar(&q.function, "function", "", "name or ARN of the rotation function (default: the one that the secret "+
		"names)")
	f.BoolVar(&q.here, "here", false, "run on this machine instead of asking the function: this machine must reach "+
		"the database")
	f.StringVar(&q.strategy, "strategy", "single-user", "with --here, how the secret is rotated: "+strategyNames)
}

// versionFlag is for the commands that log in with several versions: a rejected login may
// count against the account, so that only one version is tested after which that happens.
func (q *question) versionFlag(f *pflag.FlagSet) {
	f.StringVar(&q.version, "version-id", "", "test this version first, where status says that it was not tested")
}

// begin takes the secret from the command line, and refuses flags that cannot be.
func (q *question) begin(cmd *cobra.Command, secret string, o *output) error {
	q.secret = secret
	if err := q.check(cmd); err != nil {
		return err
	}
	return o.check()
}

// check refuses flags that do not go together.
func (q *question) check(cmd *cobra.Command) error {
	switch {
	case strings.TrimSpace(q.secret) == "":
		return usage("SECRET is empty: give the name or the ARN of the secret")
	case cmd.Flags().Changed("version-id") && (len(q.version) < 32 || len(q.version) > 64):
		return usage("--version-id is %q: give a version id of 32 to 64 characters, as status prints it", q.version)
	case q.here && q.function != "":
		return usage("--here and --function exclude each other: choose who answers")
	case !q.here && cmd.Flags().Changed("strategy"):
		return usage("--strategy needs --here: a function knows its own strategy")
	case q.here:
		_, err := strategyOf(q.strategy)
		return err
	}
	return nil
}

// event is what goes to the function. The JSON names are rotator's.
type event struct {
	Step     rotator.Step
	SecretID string         `json:"SecretId"`
	Version  string         `json:"ClientRequestToken,omitempty"`
	Action   rotator.Action `json:",omitempty"`
}

// ask sends the event and decodes what comes back into answer. An answer may come
// beside an error: --here gives both, a function its error alone.
func (q *question) ask(ctx context.Context, step rotator.Step, action rotator.Action, answer rotator.Response) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cfg, err := awsConfig(ctx, q.secret, true)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(event{step, q.secret, q.version, action})
	if err != nil {
		return err
	}
	var body []byte
	if q.here {
		body, err = q.askHere(ctx, cfg, payload)
	} else {
		body, err = q.askFunction(ctx, cfg, payload)
	}
	if len(body) > 0 && string(body) != "null" {
		if bad := json.Unmarshal(body, answer); bad != nil {
			return errors.Join(err, fmt.Errorf("answer of the function is not one of Quarterturn's: %w", bad))
		}
	}
	return err
}

// askFunction invokes the function and waits for its answer.
func (q *question) askFunction(ctx context.Context, cfg aws.Config, payload []byte) ([]byte, error) {
	name := q.function
	if name == "" {
		var err error
		if name, err = q.functionOf(ctx, cfg); err != nil {
			return nil, err
		}
	}
	// A second attempt of the SDK would be a second login: the answer decides, not a
	// retry.
	client := lambda.NewFromConfig(cfg, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
	out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: payload})
	if err != nil {
		told := plain("function "+name, err)
		if advice := invokeAdvice(name, err); advice != "" {
			told = errCaller{fmt.Errorf("%w\n%s\nWithout the function, from a machine that reaches the "+
				"database: --here", told, advice)}
		}
		return nil, told
	}
	if out.FunctionError != nil {
		var failure struct{ ErrorMessage, ErrorType string }
		if json.Unmarshal(out.Payload, &failure) != nil || failure.ErrorMessage == "" {
			failure.ErrorMessage = "it failed without a message: see its log"
		}
		err := fmt.Errorf("function %s: %s", name, q.inCommands(failure.ErrorMessage))
		ours := slices.ContainsFunc([]string{"StepError", "Runtime.", "Sandbox."}, func(prefix string) bool {
			return strings.HasPrefix(failure.ErrorType, prefix) // the last two are Lambda's
		})
		if !ours { // one of AWS's templates, perhaps, which know rotations alone
			err = fmt.Errorf("%w (%s). Quarterturn's functions do not answer so. Name one with --function, or, "+
				"on a machine that reaches the database: %s", err, failure.ErrorType, q.hereInstead(name, payload))
		}
		return nil, err
	}
	return out.Payload, nil
}

// hereInstead is the command that asks this machine in place of a function. The names of AWS's templates tell their
// strategy.
func (q *question) hereInstead(function string, event []byte) string {
	about := *q
	about.here, about.function, about.strategy = true, "", "single-user"
	if strings.Contains(function, "MultiUser") {
		about.strategy = "alternating-users"
	}
	return about.commandFor(string(event))
}

// settings are those of the environment.
func (q *question) settings() (serve.Settings, error) {
	s, err := serve.FromEnvironment(q.around.lookup)
	if err != nil {
		return s, exitError{exitUsage, err}
	}
	return s, nil
}

// functionOf reads which function rotates a secret.
func (q *question) functionOf(ctx context.Context, cfg aws.Config) (string, error) {
	settings, err := q.settings()
	if err != nil {
		return "", err
	}
	secret, endpoint := q.secret, settings.SecretsManagerURL
	client := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	out, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secret})
	var none *types.ResourceNotFoundException
	switch {
	case errors.As(err, &none):
		return "", q.noSecret(ctx, cfg)
	case err != nil:
		return "", plain("secret "+secret, err)
	}
	if aws.ToString(out.RotationLambdaARN) == "" {
		return "", exitError{exitToDo, fmt.Errorf("secret %s names no rotation function: name one with --function, "+
			"or run this here with --here", secret)}
	}
	return *out.RotationLambdaARN, nil
}

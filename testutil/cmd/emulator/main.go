// Runs an emulator of AWS Secrets Manager on this machine, with Lambda functions
// behind it, for the AWS CLI, the SDKs and `sam local invoke`. `make emulator` runs
// it with this project's own functions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/samevents"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/sampledb"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// prefix begins the names of the functions that are built here, as it does where the stack is named quarterturn: by it,
// quarterturn fleet knows them.
const prefix = "quarterturn-"

func main() {
	var plan localaws.Config
	var denied []string
	var env []string
	flag.StringVar(&plan.Address, "address", "127.0.0.1:4566", "loopback `address` to listen on")
	flag.Func("function", "`name=bootstrap` of a Lambda function; may be given more than once (default: "+
		"every build/*/bootstrap)", func(s string) error {
		f, err := localaws.ParseFunction(s)
		plan.Functions = append(plan.Functions, f)
		return err
	})
	flag.Func("env", "`K=V` for every function, such as DATABASE_CA_FILE=ca.pem, or NAME:K=V for the function of "+
		"that name; may be given more than once", func(s string) error {
		env = append(env, s)
		return nil
	})
	flag.Func("deny", "`action` that the role of the functions is denied, "+
		"such as secretsmanager:UpdateSecretVersionStage; may be given more than once", func(s string) error {
		if service, name, ok := strings.Cut(s, ":"); !ok || service == "" || name == "" {
			return fmt.Errorf("%q is not an action: secretsmanager:PutSecretValue", s)
		}
		denied = append(denied, s)
		return nil
	})
	sample := flag.Bool("sample", true, "start a database server with a user and a superuser, and make their "+
		"secrets, app and superuser")
	engine := flag.String("engine", "postgres", "`engine` of that server: "+strings.Join(sampledb.Engines(), ", ")+
		"; or one release of it, such as mariadb-10.5")
	verbose := flag.Bool("v", false, "print what the functions log as it is, in JSON")
	events := flag.Bool("events", false, "set the scenes of sam/events: a PostgreSQL server with their users, "+
		"and their secrets")
	docker := flag.Bool("docker", false, "let Docker's containers in, as sam local invoke has them; the scenes' "+
		"database is then "+dockerHost)
	flag.Parse()
	if plan.Functions == nil {
		built, _ := filepath.Glob("build/*/bootstrap")
		for _, path := range built {
			plan.Functions = append(plan.Functions, localaws.Function{Name: prefix + filepath.Base(filepath.Dir(path)),
				Bootstrap: path})
		}
	}
	for i, f := range plan.Functions {
		if f.Name == prefix+"database" { // which rotates nothing without; -env ENGINES=... comes last, and wins
			plan.Functions[i].Env = []string{
				"ENGINES=postgres,aurora-postgresql,mysql,aurora-mysql,mariadb,valkey,redis",
			}
		}
		for _, setting := range env {
			name, mine, named := strings.Cut(setting, ":")
			switch key, _, _ := strings.Cut(setting, "="); {
			case !named || strings.Contains(name, "="), key == setting: // K=V, where V may hold a colon
				plan.Functions[i].Env = append(plan.Functions[i].Env, setting)
			case name == f.Name, prefix+name == f.Name:
				plan.Functions[i].Env = append(plan.Functions[i].Env, mine)
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	what := scene{events: *events, docker: *docker, verbose: *verbose, denied: denied}
	if *sample && !*events {
		what.engine = *engine
	}
	if err := run(ctx, plan, what); err != nil {
		fmt.Fprintln(os.Stderr, "emulator:", err)
		stop()
		os.Exit(1)
	}
}

// scene is what there is beside the functions.
type scene struct {
	engine                  string // of the sample; "": there is none
	events, docker, verbose bool
	denied                  []string
}

func (s scene) deniesKMS() bool {
	return slices.ContainsFunc(s.denied, func(action string) bool { return strings.HasPrefix(action, "kms:") })
}

// run serves until ctx ends.
func run(ctx context.Context, plan localaws.Config, with scene) error {
	lines := &watch{out: os.Stdout}
	plan.Output = lines
	if with.verbose {
		plan.Output = os.Stdout
	}
	plan.Prepare = func(e *awsemu.Emulator) {
		e.Observe = lines.call
		e.Attempts = 2 // the service makes more, over hours: they would say the same
	}
	var db *sampledb.Database
	if with.engine != "" {
		var err error
		if db, err = sampledb.Start(ctx, with.engine, false); err != nil {
			return err
		}
		defer db.Close()
		for i, f := range plan.Functions { // before what -env says, which wins
			plan.Functions[i].Env = slices.Concat([]string{"DATABASE_CA_FILE=" + db.CAFile}, db.SelfChangeEnv(), f.Env)
		}
	}
	s, err := start(plan, with, db)
	if err != nil {
		return err
	}
	open := []string{s.URL}
	if with.events {
		db, err := dbserver.StartPostgres(ctx, dbserver.Options{})
		if err != nil {
			return errors.Join(err, s.Close())
		}
		defer db.Close()
		fmt.Printf("PostgreSQL %d listens on %s:%d, with a user for each event of sam/events\n", db.Major, db.Host,
			db.Port)
		open = append(open, db.Address())
		host := db.Host
		if with.docker {
			host = dockerHost
		}
		if err := samevents.Set(ctx, s.AWS, db, host, ""); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	if with.docker {
		if err := openToContainers(ctx, open...); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	announce(os.Stdout, plan, with, s, db)
	<-ctx.Done()
	return s.Close()
}

// start starts emulator and functions, with the sample's secrets where db is there. Policies count from the start, so
// that one that an operator attaches has its effect.
func start(plan localaws.Config, with scene, db *sampledb.Database) (*localaws.Env, error) {
	s, err := localaws.Start(plan)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w (does an emulator run already?). To choose another: make emulator ARGS=\"-address "+
			"127.0.0.1:4567\"", err)
	}
	if err != nil {
		return nil, err
	}
	if db != nil {
		seedSample(s, db, with.deniesKMS())
	}
	if err := s.Deny(with.denied...); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// announce says what runs, and what to type. db is the sample's, or nil.
func announce(out io.Writer, plan localaws.Config, with scene, s *localaws.Env, db *sampledb.Database) {
	fmt.Fprintf(out, "Secrets Manager and Lambda listen on %s until you press Ctrl-C. In another terminal:\n\n", s.URL)
	fmt.Fprintf(out, "    export AWS_ENDPOINT_URL=%s AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test "+
		"AWS_SECRET_ACCESS_KEY=test\n", s.URL)
	if db != nil {
		name := prefix + db.Engine + "-single-user"
		arn := "ARN"
		if f := s.Functions[name]; f != nil {
			arn = f.ARN()
		}
		fmt.Fprintf(out, "    export DATABASE_CA_FILE=%s  # for quarterturn with --here\n", db.CAFile)
		fmt.Fprintf(out, "    aws secretsmanager rotate-secret --secret-id app --rotation-lambda-arn %s\n", arn)
		fmt.Fprintf(out, "    aws secretsmanager get-secret-value --secret-id app\n")
		fmt.Fprintf(out, "    aws lambda invoke --function-name %s --payload fileb:///dev/stdin status.json \\\n"+
			"        <<<'{\"Step\":\"status\",\"SecretId\":\"app\",\"Format\":\"text\"}' && jq -r . status.json\n\n",
			name)
		fmt.Fprintf(out, "secrets app and superuser, for users of %s on %s:%d. To log in as the superuser, boss:\n\n",
			db.Title, db.Host, db.Port)
		logIn := func(secret, user string) {
			fmt.Fprintf(out, "    PASSWORD=$(aws secretsmanager get-secret-value --secret-id %s \\\n"+
				"        --query SecretString --output text | jq -r .password)\n    %s\n\n",
				secret, db.LoginCommand(user))
		}
		logIn("superuser", "boss")
		fmt.Fprintf(out, "boss may manage users and no more. What it may not do, %s may:\n\n", db.Administrator)
		logIn("administrator", db.Administrator)
	} else {
		fmt.Fprintf(out, "    aws secretsmanager list-secrets\n\n")
	}
	if with.denied != nil {
		fmt.Fprintf(out, "the role of the functions is denied %s\n", strings.Join(with.denied, ", "))
	}
	switch {
	case with.deniesKMS() && db != nil:
		fmt.Fprintf(out, "secrets app and superuser have the KMS key %s, so that it shows: KMS is asked for keys of "+
			"customers alone\n", sampleKey)
	case with.deniesKMS():
		fmt.Fprintln(out, "no secret here has a KMS key of a customer's, so that nothing is denied by kms:")
	}
	for _, f := range plan.Functions {
		fmt.Fprintf(out, "function %s\n", s.Functions[f.Name].ARN())
	}
	if len(plan.Functions) == 0 {
		fmt.Fprintln(out, "no functions: make build, or -function name=path")
	}
}

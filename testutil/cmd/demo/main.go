// Rotates the password of a real database user on this machine: a throwaway server
// of PostgreSQL, MySQL or MariaDB, an emulator of Secrets Manager, and the Lambda
// binary that is deployed, on a host of the Lambda Runtime API. It prints what each
// step did and proves the end. `make demo` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/sampledb"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

func main() {
	engine := flag.String("engine", "postgres", "postgres, mysql, mariadb, valkey or redis; or one release of it: "+
		"postgres-16, mariadb-10.5")
	strategy := flag.String("strategy", "single", "single (user), superuser (single user, through the superuser "+
		"secret), alternating (users) or, on MySQL, dual (passwords)")
	several := flag.Bool("database", false, "by the function for several engines, in place of the engine's own")
	fail := flag.String("fail", "", "have the rotation fail by a missing permission, a wrong password, a function "+
		"that is killed, or a password policy of the server: permission, password, killed or policy")
	verbose := flag.Bool("v", false, "print what the function logs too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, *engine, *strategy, *fail, *several, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// play is a strategy as the demo shows it.
type play struct {
	title, handler string // the handler's name behind that of the engine
	env            []string
}

var plays = map[string]play{
	"single": {"single user", "single-user", nil},
	"superuser": {"single user, through the superuser secret", "single-user",
		[]string{"SINGLE_USER_THROUGH_SUPERUSER=true"}},
	"alternating": {"alternating users", "alternating-users", nil},
	"dual":        {"single user with dual passwords", "single-user", []string{"MYSQL_DUAL_PASSWORDS=true"}},
}

func demo(ctx context.Context, engine, strategy, fail string, several, verbose bool) error {
	strategy = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(strategy, "-users"), "-user"), "-passwords")
	p, ok := plays[strategy]
	if !ok {
		return fmt.Errorf("there is no strategy %q: single, superuser, alternating or dual", strategy)
	}
	family, _, _ := strings.Cut(engine, "-")
	if !slices.Contains(sampledb.Engines(), family) {
		return fmt.Errorf("there is no engine %q: %s", engine, strings.Join(sampledb.Engines(), ", "))
	}
	valkeys := family == "valkey" || family == "redis"
	switch {
	case strategy == "dual" && valkeys:
		p.env = []string{"VALKEY_DUAL_PASSWORDS=true", "SINGLE_USER_THROUGH_SUPERUSER=true"}
	case strategy == "single" && valkeys:
		p.env = []string{"VALKEY_SELF_CHANGE=true"} // which the user of the demo is allowed
	case strategy == "dual" && family != "mysql":
		return fmt.Errorf("%s keeps one password for an account: dual passwords are for mysql and valkey", engine)
	}
	failing, ok := failures[fail]
	switch {
	case !ok && fail != "":
		return fmt.Errorf("there is no failure %q: permission, password, killed or policy", fail)
	case ok && strategy != "single":
		return fmt.Errorf("failures are shown with the strategy single")
	case failing.only != "" && failing.only != family:
		return fmt.Errorf("the failure %s is shown on %s: the other engines are given what no policy can look into",
			fail, failing.only)
	}
	if several {
		p.handler, p.env = "database", append(p.env, "ENGINES=postgres,mysql,mariadb,valkey", "STRATEGY="+p.handler)
	} else if valkeys {
		p.handler = "valkey-" + p.handler
	} else {
		p.handler = family + "-" + p.handler
	}
	dir, err := disk.Temp("", "demo")
	if err != nil {
		return err
	}
	defer dir.Remove()

	db, err := sampledb.Start(ctx, engine, strategy == "dual")
	if err != nil {
		return err
	}
	defer db.Close()
	fmt.Println("compiling the function, as it is deployed (the first time, its packages are compiled again: a " +
		"minute or two) ...")
	built, err := localaws.Build(ctx, dir.Path, p.handler)
	if err != nil {
		return err
	}
	show := &narrator{db: db, verbose: verbose}
	s, err := localaws.Start(localaws.Config{
		Functions: []localaws.Function{{
			Name: p.handler, Bootstrap: built[p.handler],
			Env: append([]string{"DATABASE_CA_FILE=" + db.CAFile}, p.env...),
		}},
		Output: show,
		// The service tries several times, over hours.
		Prepare: func(e *awsemu.Emulator) { e.Attempts = 1 },
	})
	if err != nil {
		return err
	}
	defer s.Close()
	show.aws = s.AWS

	superuser := s.AWS.Seed(awsemu.Secret{Name: "demo/superuser", Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(db.Secret("boss", ""))},
	}})
	app := s.AWS.Seed(awsemu.Secret{Name: "demo/app", Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(db.Secret("app", superuser))},
	}})
	before := s.AWS.Snapshot(app)

	size, err := os.Stat(built[p.handler])
	if err != nil {
		return err
	}
	fmt.Printf("%s on %s\n\n", title(p.title), db.Title)
	fmt.Printf("  database   %s:%d, TLS verified, user app\n", db.Host, db.Port)
	fmt.Printf("  secret     demo/app, in an emulator of Secrets Manager at %s\n", s.URL)
	fmt.Printf("  function   %s, as it is deployed (%.1f MB), on a host of the Lambda Runtime API\n", p.handler,
		float64(size.Size())/1e6)
	fmt.Printf("  labels     %s\n", labels(before))
	if fail != "" {
		fmt.Printf("  wrong      %s\n", failing.what)
	}
	fmt.Printf("\naws secretsmanager rotate-secret --secret-id demo/app\n\n")
	stuck := &scene{Env: s, db: db, function: p.handler, secret: app}
	if fail != "" {
		show.quiet = true
		if err := failing.arrange(ctx, stuck); err != nil {
			return err
		}
	}

	begin := time.Now()
	if err := rotate(ctx, s.URL, app, s.Functions[p.handler].ARN()); err != nil {
		return err
	}
	rotation, err := s.AWS.WaitRotation(ctx, app)
	if err != nil {
		return err
	}
	elapsed := time.Since(begin)
	if fail != "" {
		if err := stuck.failed(ctx, failing, rotation); err != nil {
			return err
		}
		after := s.AWS.Snapshot(app)
		fmt.Printf("  labels     %s\n\n", labels(after))
		return prove(ctx, db, false, before, after)
	}
	if rotation.Outcome != "RotationSucceeded" {
		return fmt.Errorf("the rotation ended with %s: %s", rotation.Outcome, rotation.Message)
	}
	after := s.AWS.Snapshot(app)
	fmt.Printf("  labels     %s\n\n", labels(after))
	fmt.Printf("%d API calls, %d logins, %v from rotate-secret to the end\n\n", len(show.calls()), db.Logins(),
		elapsed.Round(time.Millisecond))
	return prove(ctx, db, strategy == "dual", before, after)
}

// rotate calls RotateSecret as anybody would, by the SDK.
func rotate(ctx context.Context, endpoint, secret, function string) error {
	client := secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &endpoint,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("demo", "demo", ""),
	})
	_, err := client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId:          &secret,
		RotationLambdaARN: aws.String(function),
	})
	return err
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// labels shows which version carries what.
func labels(s awsemu.Secret) string {
	var parts []string
	for i, v := range s.Versions {
		parts = append(parts, fmt.Sprintf("version %d: %s", i+1, strings.Join(v.Labels, " + ")))
	}
	return strings.Join(parts, ", ")
}

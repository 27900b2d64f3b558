package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/sampledb"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestAnnounceSaysWhatToType: the endpoint, the CA file that --here needs, and the function's ARN.
func TestAnnounceSaysWhatToType(t *testing.T) {
	t.Parallel()
	plan := localaws.Config{Functions: []localaws.Function{{Name: prefix + "postgres-single-user",
		Bootstrap: "/bin/true"}}}
	s, err := localaws.Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out strings.Builder
	announce(&out, plan, scene{denied: []string{"kms:Decrypt"}}, s,
		&sampledb.Database{Engine: "postgres", CAFile: "/run/ca.pem", Administrator: "postgres"})
	for _, want := range []string{
		"--function-name quarterturn-postgres-single-user", "psql", "user=boss", "user=postgres",
		"--secret-id administrator",
		"AWS_ENDPOINT_URL=" + s.URL, "export DATABASE_CA_FILE=/run/ca.pem", "is denied kms:Decrypt",
		"have the KMS key alias/app",
		"--rotation-lambda-arn " + s.Functions["quarterturn-postgres-single-user"].ARN(),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

// TestAPolicyThatIsAttachedCounts: an operator who denies something sees it denied.
func TestAPolicyThatIsAttachedCounts(t *testing.T) {
	t.Parallel()
	s, err := start(localaws.Config{}, scene{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.AWS.Seed(awsemu.Secret{Name: "app", Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("a")}}})
	client := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &s.URL, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	get := func() error {
		_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app")})
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: aws.String("app"),
		ResourcePolicy: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*",` +
			`"Action":"secretsmanager:GetSecretValue","Resource":"*"}}`)}); err != nil {
		t.Fatal(err)
	}
	if err := get(); err == nil || !strings.Contains(err.Error(), "explicit deny") {
		t.Errorf("the policy denies it: %v", err)
	}
}

// TestTheStatusCommandIsOneOfBothVersions of the AWS CLI: version 1 knows no --cli-binary-format, and version 2 takes a
// payload for base64.
func TestTheStatusCommandIsOneOfBothVersions(t *testing.T) {
	const want = `{"Step":"status","SecretId":"app","Format":"text"}`
	s, err := localaws.Start(localaws.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out strings.Builder
	announce(&out, localaws.Config{}, scene{}, s, &sampledb.Database{Engine: "postgres"})
	_, command, _ := strings.Cut(out.String(), "    aws lambda invoke")
	command, _, _ = strings.Cut("aws lambda invoke"+command, " && jq")
	for version, cli := range map[string]clients.Client{"1": clients.CLI1(t, "../../.."), "2": clients.CLI2(t, "../../..")} {
		var got string
		lambda := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = strings.TrimSpace(string(body))
			io.WriteString(w, `"well"`) //nolint:errcheck // the command will tell
		}))
		defer lambda.Close()
		cmd := cli.Command(t.Context(), lambda.URL, "test", "\"$@\"")
		script := "#!/bin/sh\nexec " + strings.Join(cmd.Args, " ") + "\n"
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "aws"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		shell := exec.CommandContext(t.Context(), "bash", "-c", command)
		shell.Dir, shell.Env = dir, append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"))
		said, err := shell.CombinedOutput()
		answer, _ := os.ReadFile(filepath.Join(dir, "status.json"))
		if err != nil || got != want || string(answer) != `"well"` {
			t.Errorf("version %s: %s: %v: %s: sent %s, stored %s", version, command, err, said, got, answer)
		}
	}
}

// TestTakenAddress: the error of a second emulator says how to choose another address.
func TestTakenAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = run(t.Context(), localaws.Config{Address: taken.Addr().String()}, scene{})
	if err == nil || !strings.Contains(err.Error(), "make emulator ARGS=") || strings.Contains(err.Error(), "stage") {
		t.Error(err)
	}
}

// TestWatchPrintsALine: for a request, for what a function says, however its output is cut; none for metrics and for
// Lambda's own lines.
func TestWatchPrintsALine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := &watch{out: &out}
	w.call(awsemu.Call{Service: "secretsmanager", Operation: "DescribeSecret", Name: "app", Phase: "createSecret"})
	w.call(awsemu.Call{Service: "secretsmanager", Operation: "PutSecretValue", Name: "app",
		Err: "AccessDeniedException"})
	for _, piece := range []string{
		"START RequestId: 1\n{\"level\":\"INFO\",\"mess", "age\":\"createSecret done\"}\n",
		`{"_aws":{"Timestamp":1},"Duration":3}` + "\n",
		`{"level":"WARN","message":"preflight P2","check":"the password","status":"failed","detail":"wrong"}` + "\n",
		`{"level":"INFO","message":"status: the value clients read","state":"works"}` + "\n",
		`{"level":"INFO","message":"recommended action: none","reason":"AWSCURRENT works"}` + "\n",
		`{"level":"ERROR","message":"setSecret failed","error":"setSecret of app: conflict"}` + "\n",
		"panic: no JSON\nEND RequestId: 1\nREPORT RequestId: 1\tDuration: 3.10 ms\n",
	} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	const want = `createSecret: app DescribeSecret
app PutSecretValue: AccessDeniedException
function: createSecret done
function: preflight P2: the password: failed: wrong
function: status: the value clients read: works
function: recommended action: none: AWSCURRENT works
function: ERROR setSecret of app: conflict
function: panic: no JSON
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// TestThePermissionOfSecretsManagerCanBeRemoved: its statement has an id, by which the CLI removes it.
func TestThePermissionOfSecretsManagerCanBeRemoved(t *testing.T) {
	t.Parallel()
	s, err := localaws.Start(localaws.Config{Functions: []localaws.Function{{Name: "f", Bootstrap: "/bin/true"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := lambda.New(lambda.Options{BaseEndpoint: &s.URL, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	_, err = client.RemovePermission(t.Context(), &lambda.RemovePermissionInput{FunctionName: aws.String("f"),
		StatementId: aws.String("SecretsManager")})
	if err != nil {
		t.Error(err)
	}
}

// TestTheSampleOfEveryEngineRotates (25 s, busy: it compiles a function and starts five servers): ENGINE=mysql once started PostgreSQL, and said nothing.
func TestTheSampleOfEveryEngineRotates(t *testing.T) {
	tier.NotInCheck(t)
	built, err := localaws.Build(t.Context(), t.TempDir(), "database")
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range tier.Share(t, sampledb.Engines(), "postgres", "mysql", "mariadb", "valkey") {
		t.Run(engine, func(t *testing.T) {
			db, err := sampledb.Start(t.Context(), engine, false)
			if errors.Is(err, dbserver.ErrMissing) && !tier.Required(os.Getenv) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			s, err := localaws.Start(localaws.Config{Output: t.Output(), Functions: []localaws.Function{{
				Name: "database", Bootstrap: built["database"],
				Env: append(db.SelfChangeEnv(), "DATABASE_CA_FILE="+db.CAFile, "ENGINES="+db.Engine, "STRATEGY=single-user"),
			}}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			seedSample(s, db, engine == "valkey")
			client := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &s.URL, Region: "us-east-1",
				Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
			_, err = client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("app"),
				RotationLambdaARN: aws.String(s.Functions["database"].ARN())})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := s.AWS.WaitRotation(t.Context(), "app"); err != nil || r.Outcome != "RotationSucceeded" {
				t.Errorf("%+v %v", r, err)
			}
			if engine == "valkey" { // by what is there, of a key that shows
				cmd := exec.CommandContext(t.Context(), "sh", "-c", db.LoginCommand("boss"))
				cmd.Env, cmd.Stdin = append(os.Environ(), "PASSWORD="+db.Passwords["boss"]), strings.NewReader("ACL WHOAMI\n")
				if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "boss") {
					t.Errorf("%s: %v\n%s", db.LoginCommand("boss"), err, out)
				}
				if err := s.Deny("kms:*"); err != nil {
					t.Fatal(err)
				}
				if _, err := client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("app")}); err != nil {
					t.Fatal(err)
				}
				if r, err := s.AWS.WaitRotation(t.Context(), "app"); err != nil || !strings.Contains(r.Message, "kms") {
					t.Errorf("a rotation without KMS: %+v %v", r, err)
				}
			}
			if err := db.Login(t.Context(), "boss", db.Passwords["boss"]); err != nil {
				t.Errorf("boss: %v", err)
			}
		})
	}
}

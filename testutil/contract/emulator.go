package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// Emulator is an Endpoint on an emulator of its own, with everything that rows need. Close it.
type Emulator struct {
	Endpoint
	emu    *awsemu.Emulator
	server *http.Server
	secret string // that RDS manages
	mu     sync.Mutex
	keys   map[string]string
	roles  int
	echo   Echo
	client *http.Client
}

const (
	ownAccount   = "123456789012"
	otherAccount = "210987654321"
	echoARN      = "arn:aws:lambda:us-east-1:" + ownAccount + ":function:contract-echo"
)

// OpenEmulator starts an emulator. change may set what its zero value leaves out.
func OpenEmulator(change ...func(*awsemu.Emulator)) (*Emulator, error) {
	e := &Emulator{keys: map[string]string{}, client: &http.Client{Transport: &http.Transport{}}}
	everything := []iam.NamedPolicy{document("Administrator", Allow("*"))}
	e.emu = &awsemu.Emulator{Account: ownAccount, Invoke: awsemu.InvokeHandler(e.invoke),
		Functions: []awsemu.Function{{ARN: echoARN,
			Policy: document("echo", Policy(map[string]any{"Effect": "Allow",
				"Principal": map[string]string{"Service": "secretsmanager.amazonaws.com"},
				"Action":    "lambda:InvokeFunction",
				"Resource":  echoARN}))}},
		Callers: []awsemu.Caller{
			{AccessKey: "AKIACONTRACT", Principal: iam.Principal{ARN: "arn:aws:iam::" + ownAccount + ":user/contract"},
				Identity: everything},
			{AccessKey: "AKIAOTHER", Principal: iam.Principal{ARN: "arn:aws:iam::" + otherAccount + ":user/other"},
				Identity: everything},
		}}
	for _, f := range change {
		f(e.emu)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	e.server = &http.Server{Handler: e.emu}
	go e.server.Serve(l)
	e.Endpoint = Endpoint{Name: "emulator", Supply: e, Config: e.config("http://"+l.Addr().String(), "AKIACONTRACT"),
		Has: NeedKey | NeedFunction | NeedRole | NeedAccount | NeedManaged | NeedLambda}
	e.echo = Echo{SM: secretsmanager.NewFromConfig(e.Config)}
	e.secret = e.emu.Seed(awsemu.Secret{Name: "rds!db-1f2e3d4c-contract", OwningService: "rds",
		RotationEnabled: aws.Bool(true),
		Tags: map[string]string{"aws:secretsmanager:owningService": "rds",
			"aws:rds:primaryDBInstanceArn": "arn:aws:rds:us-east-1:" + ownAccount + ":db:contract"},
		Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"},
			Value: awsemu.Text(`{"username":"u","password":"p"}`)}}})
	return e, nil
}

// Close stops the emulator.
func (e *Emulator) Close() error {
	err := e.emu.Close()
	e.server.Close()
	e.client.CloseIdleConnections()
	return err
}

// Server is the emulator itself.
func (e *Emulator) Server() *awsemu.Emulator { return e.emu }

func (e *Emulator) config(endpoint, accessKey string) aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, RetryMaxAttempts: 1, HTTPClient: e.client,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, "secret", "")}
}

// invoke is the echo function, in this process.
func (e *Emulator) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return []byte("null"), e.echo.Handle(ctx, json.RawMessage(payload))
}

// Key implements Supply. The key named "shared" allows the second account its use.
func (e *Emulator) Key(_ context.Context, name string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if arn, ok := e.keys[name]; ok {
		return arn, nil
	}
	e.keys[name] = e.emu.SeedKey(awsemu.Key{ID: Token(), Policy: keyPolicy(name, "arn:aws:iam::"+ownAccount+":root",
		"arn:aws:iam::"+otherAccount+":root")})
	return e.keys[name], nil
}

// keyPolicy is the default policy of a key, and for "shared" one that lets another account use it.
func keyPolicy(name, own, other string) string {
	statements := []map[string]any{{"Effect": "Allow", "Principal": map[string]string{"AWS": own}, "Action": "kms:*",
		"Resource": "*"}}
	if name == "shared" && other != "" {
		statements = append(statements, map[string]any{"Effect": "Allow", "Principal": map[string]string{"AWS": other},
			"Action": []string{"kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"}, "Resource": "*"})
	}
	return Policy(statements...)
}

// Function implements Supply.
func (e *Emulator) Function(context.Context) (string, error) { return echoARN, nil }

// Role implements Supply.
func (e *Emulator) Role(ctx context.Context, r Rights) (aws.Config, error) {
	e.mu.Lock()
	e.roles++
	name := fmt.Sprintf("contract-%d", e.roles)
	e.mu.Unlock()
	role := awsemu.Role{ARN: "arn:aws:iam::" + ownAccount + ":role/" + name,
		Trust: document("trust", trust("arn:aws:iam::"+ownAccount+":root"))}
	if r.Identity != "" {
		role.Identity = []iam.NamedPolicy{document("identity", r.Identity)}
	}
	if r.Boundary != "" {
		boundary := document("boundary", r.Boundary)
		role.Boundary = &boundary
	}
	e.emu.SetRole(role)
	return assumed(ctx, e.Config, role.ARN, r.Session)
}

// document parses a policy that this package wrote.
func document(name, text string) iam.NamedPolicy {
	p, err := iam.Parse(text)
	if err != nil {
		panic(fmt.Sprintf("policy %s: %v", name, err))
	}
	return iam.NamedPolicy{Name: name, Policy: p}
}

// trust is a policy that lets a principal assume a role.
func trust(principal string) string {
	return Policy(map[string]any{"Effect": "Allow", "Principal": map[string]string{"AWS": principal},
		"Action": "sts:AssumeRole"})
}

// assumed are the credentials of a session of a role.
func assumed(ctx context.Context, cfg aws.Config, role, policy string) (aws.Config, error) {
	in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("contract")}
	if policy != "" {
		in.Policy = &policy
	}
	out, err := sts.NewFromConfig(cfg).AssumeRole(ctx, in)
	if err != nil {
		return cfg, wrap("AssumeRole", err)
	}
	c := out.Credentials
	cfg.Credentials = credentials.NewStaticCredentialsProvider(aws.ToString(c.AccessKeyId),
		aws.ToString(c.SecretAccessKey),
		aws.ToString(c.SessionToken))
	return cfg, nil
}

// Other implements Supply.
func (e *Emulator) Other(context.Context) (aws.Config, error) {
	return e.config(strings.TrimSpace(*e.Config.BaseEndpoint), "AKIAOTHER"), nil
}

// Managed is the id of a secret that RDS manages.
func (e *Emulator) Managed() string { return e.secret }

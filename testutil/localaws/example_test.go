package localaws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/shelf"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// A function of your own, as it is deployed, rotates a secret and answers an event of people. Give
// Build the import path of your main.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	bootstrap := filepath.Join(dir, "bootstrap")
	must(lambdahost.Build(ctx, "./testdata/shelf", bootstrap))

	database := &shelf.Server{}
	database.Add("app", "the-first-password", shelf.Account{})
	server := httptest.NewServer(database)
	defer server.Close()
	host, port, _ := strings.Cut(server.Listener.Addr().String(), ":")

	env, err := localaws.Start(localaws.Config{Functions: []localaws.Function{{Name: "rotate", Bootstrap: bootstrap}}})
	must(err)
	defer env.Close()
	value := fmt.Sprintf(`{"engine": "shelf", "host": %q, "port": %s, "username": "app", "password": "the-first-password", "ssl": false}`, host, port)
	env.AWS.Seed(awsemu.Secret{Name: "app", Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(value)}}})
	client := secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(env.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "any", ""),
	})
	function := env.Functions["rotate"]
	_, err = client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: aws.String("app"), RotationLambdaARN: aws.String(function.ARN())})
	must(err)
	rotation, err := env.AWS.WaitRotation(ctx, "app")
	must(err)
	fmt.Println(rotation.Outcome)
	fmt.Println("the first password works:", database.LogIn("app", "the-first-password") == nil)

	answer, err := function.Invoke(ctx, []byte(`{"Step": "status", "SecretId": "app", "Format": "text"}`))
	must(err)
	var text string
	must(json.Unmarshal(answer.Payload, &text))
	fmt.Println(strings.Split(text, "\n")[0])
	// Output:
	// RotationSucceeded
	// the first password works: false
	// status of app: AWSCURRENT works, AWSPREVIOUS is not tested, rotation is on
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

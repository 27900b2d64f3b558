package awsemu_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// A function under test is called as Lambda would call it; here one that fails,
// and leaves AWSPENDING on an empty version.
func Example() {
	emu := &awsemu.Emulator{Attempts: 2, Invoke: awsemu.InvokeHandler(func(context.Context, []byte) ([]byte, error) {
		return nil, fmt.Errorf("database is away")
	})}
	defer emu.Close()
	srv := httptest.NewServer(emu)
	defer srv.Close()
	emu.Seed(awsemu.Secret{Name: "app/db", Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"username":"app","password":"old"}`)},
	}})

	ctx := context.Background()
	client := secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "any", ""),
	})
	_, err := client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId:          aws.String("app/db"),
		RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:123456789012:function:rotate"),
	})
	fmt.Println("started:", err == nil)
	r, err := emu.WaitRotation(ctx, "app/db")
	fmt.Println(r.Outcome, len(r.Attempts), r.Message, err)
	fmt.Println("pending:", emu.Snapshot("app/db").Holder("AWSPENDING").Value)
	// Output:
	// started: true
	// RotationFailed 2 createSecret: errorString: database is away <nil>
	// pending: [empty]
}

// A fault is chosen call by call. Here the answer to the first DescribeSecret is lost.
func Example_fault() {
	emu := &awsemu.Emulator{Fault: func(c awsemu.Call) awsemu.Fault {
		return awsemu.Fault{LoseResponse: c.Operation == "DescribeSecret" && c.N == 1}
	}}
	defer emu.Close()
	srv := httptest.NewServer(emu)
	defer srv.Close()
	emu.Seed(awsemu.Secret{Name: "app/db"})
	client := secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "any", ""),
	})
	for range 2 {
		_, err := client.DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
		fmt.Println("answered:", err == nil)
	}
	// Output:
	// answered: false
	// answered: true
}

// Policies decide once there are callers. This one may read every secret, and not
// use the key that protects them.
func Example_callers() {
	policy, err := iam.ParseIdentity(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`)
	if err != nil {
		panic(err)
	}
	emu := &awsemu.Emulator{Callers: []awsemu.Caller{{
		AccessKey: "AKID",
		Principal: iam.Principal{ARN: "arn:aws:sts::123456789012:assumed-role/app/one"},
		Identity:  []iam.NamedPolicy{{Name: "readers", Policy: policy}},
	}}}
	defer emu.Close()
	srv := httptest.NewServer(emu)
	defer srv.Close()
	emu.Seed(awsemu.Secret{Name: "app/db", KMSKeyID: emu.SeedKey(awsemu.Key{}), Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("old")},
	}})
	client := secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "any", ""),
	})
	_, err = client.GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db")})
	var denial smithy.APIError
	fmt.Println(errors.As(err, &denial), denial.ErrorMessage())
	for _, d := range emu.Calls()[0].Decisions {
		fmt.Println(d.Request.Action, d.Allowed)
	}
	// Output:
	// true Access to KMS is not allowed
	// secretsmanager:GetSecretValue true
	// kms:Decrypt false
}

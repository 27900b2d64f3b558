// Command contractecho is a rotation function that writes down what Secrets Manager tells it; see contract.Echo. make
// contract AWS=1 puts it into an account and removes it again.
package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/contract"
)

func main() {
	lambda.Start(func(ctx context.Context, event json.RawMessage) error {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return err
		}
		return contract.Echo{SM: secretsmanager.NewFromConfig(cfg)}.Handle(ctx, event)
	})
}

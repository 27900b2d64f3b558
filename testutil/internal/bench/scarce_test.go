package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// Fifty rotations begin at once on a server that takes twenty connections. Those that find no
// free connection say so, change nothing, and are tried again by the service. A minute for
// each engine: far clients hold connections, and the service waits between its attempts.
func TestRotationsOutnumberConnections(t *testing.T) {
	tier.Long(t)
	for _, engine := range []string{"postgres", "mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			s, err := start(t.Context(), engine, map[string]string{"max_connections": "20"})
			if err != nil {
				tier.Missing(t, err)
			}
			defer s.stop()
			if err := s.outnumber(t.Context(), 50); err != nil {
				t.Error(err)
			}
		})
	}
}

// outnumber rotates n secrets at once, half of them single users and half alternating ones.
func (s *server) outnumber(ctx context.Context, n int) error {
	emu := &awsemu.Emulator{Backoff: func(attempt int) time.Duration { return time.Duration(attempt) * time.Second }}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	service := &http.Server{Handler: emu}
	go service.Serve(listener)
	defer service.Close()
	defer emu.Close()
	far := &line{to: s.address, away: 20 * time.Millisecond}
	if err := far.listen(); err != nil {
		return err
	}
	defer far.listener.Close()
	url := "http://" + listener.Addr().String()
	client := func(key string) aws.Config {
		return aws.Config{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(key, "x", "")}
	}
	store := awsstore.New(client("FUNCTION"), "")
	var refused, rotated atomic.Int64
	alternating := map[string]bool{}
	emu.Invoke = func(ctx context.Context, _ string, payload []byte) (awsemu.Response, error) {
		var strategy rotator.Strategy = strategies.SingleUser{Engine: s.engine}
		for arn := range alternating {
			if alternating[arn] && strings.Contains(string(payload), arn) {
				strategy = strategies.AlternatingUsers{Engine: s.engine}
			}
		}
		return awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
			_, err := rotator.Rotator{Strategy: strategy, Store: store}.HandleJSON(ctx, payload)
			if rotator.KindOf(err) == rotator.KindTooManyConnections {
				refused.Add(1)
			}
			return []byte("null"), err
		})(ctx, "", payload)
	}
	arns := make([]string, n)
	for i := range arns {
		p, passwords, err := s.pair(ctx, i)
		if err != nil {
			return err
		}
		seed := func(name, text string) string {
			return emu.Seed(awsemu.Secret{Name: name, RotationEnabled: new(true), RotationLambdaARN: "arn:aws:lambda:us-east-1:123456789012:function:many",
				Versions: []awsemu.Version{{Labels: []string{rotator.LabelCurrent}, Value: awsemu.Text(text)}}})
		}
		superuser := seed(fmt.Sprintf("superuser-%02d", i), s.secret(far.port(), p.boss, passwords[p.boss], ""))
		arns[i] = seed(fmt.Sprintf("app-%02d", i), s.secret(far.port(), p.app, passwords[p.app], superuser))
		alternating[arns[i]] = i%2 == 0
	}
	sdk := secretsmanager.NewFromConfig(client(operator))
	errs := make(chan error, n)
	var all sync.WaitGroup
	for _, arn := range arns {
		all.Go(func() {
			_, err := sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &arn})
			var result awsemu.Rotation
			if err == nil {
				result, err = emu.WaitRotation(ctx, arn)
			}
			if err == nil && result.Outcome == "RotationSucceeded" {
				rotated.Add(1)
			} else if err == nil && !strings.Contains(result.Message, string(rotator.KindTooManyConnections)) {
				err = fmt.Errorf("%s", result.Message)
			}
			errs <- err
		})
	}
	all.Wait()
	for range arns {
		if err := <-errs; err != nil {
			return err
		}
	}
	if refused.Load() == 0 {
		return fmt.Errorf("%d rotations at once never met the limit of connections: this shows nothing", n)
	}
	for i, arn := range arns {
		current := emu.Snapshot(arn).Holder(rotator.LabelCurrent)
		d, err := secret.ParseDocument(string(current.Value.Reveal()))
		if err != nil {
			return err
		}
		c, err := s.open(ctx, s.port, d.Text("username"), d.Password().Reveal())
		if err != nil {
			return fmt.Errorf("AWSCURRENT of secret %d does not log in: %w", i, err)
		}
		c.close(ctx)
	}
	if rotated.Load() < int64(n*9/10) {
		return fmt.Errorf("%d of %d rotations came to their end, and %d attempts met the limit", rotated.Load(), n, refused.Load())
	}
	return nil
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/archive"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// Start is what a function's first invocation costs, which is a preflight, and what one
// that is warm does. Times are medians; the processor's time of the first has the start in it.
// The most memory is that of these and of ten rotations by one process.
type Start struct {
	Function           string
	Starts             int
	Init, First        time.Duration
	CPU, Warm, WarmCPU time.Duration
	PeakMB             int
	Zip                int // bytes of the packed binary
}

// measureStart starts a function n times. Its environment is its own. id tells this function's
// accounts from others'.
func measureStart(ctx context.Context, s *server, bootstrap string, id, n int) (r Start, err error) {
	r.Starts = n
	r.Function = filepath.Base(filepath.Dir(bootstrap))
	env, err := localaws.Start(localaws.Config{Functions: []localaws.Function{{Name: r.Function, Bootstrap: bootstrap,
		Env: []string{"DATABASE_CA_FILE=" + s.caFile}}}})
	if err != nil {
		return r, err
	}
	defer env.Close()
	subject, passwords, err := s.pair(ctx, id)
	if err != nil {
		return r, err
	}
	seed := func(name, text string) string {
		return env.AWS.Seed(awsemu.Secret{Name: name, RotationEnabled: new(true),
			RotationLambdaARN: env.Functions[r.Function].ARN(),
			Versions:          []awsemu.Version{{Labels: []string{rotator.LabelCurrent}, Value: awsemu.Text(text)}}})
	}
	superuser := seed("superuser", s.secret(s.Port, subject.boss, passwords[subject.boss], ""))
	arn := seed("app", s.secret(s.Port, subject.app, passwords[subject.app], superuser))
	event := []byte(`{"Step":"preflight","SecretId":"` + arn + `"}`)
	var all [5][]time.Duration
	host := env.Functions[r.Function]
	for range n {
		host.Kill()
		cold, err := host.Invoke(ctx, event)
		if err == nil && cold.FunctionError != "" {
			err = errors.New(cold.ErrorMessage)
		}
		if err != nil {
			return r, err
		}
		warm, err := host.Invoke(ctx, event)
		if err != nil {
			return r, err
		}
		for i, d := range []time.Duration{cold.Init, cold.Duration, cold.CPU, warm.Duration, warm.CPU} {
			all[i] = append(all[i], d)
		}
		r.PeakMB = max(r.PeakMB, cold.MaxMemoryMB, warm.MaxMemoryMB)
	}
	if err := r.rotate(ctx, env, arn, 10); err != nil {
		return r, err
	}
	r.Init, r.First, r.CPU, r.Warm, r.WarmCPU = median(all[0]), median(all[1]), median(all[2]), median(all[3]),
		median(all[4])
	r.Zip, err = packed(bootstrap)
	return r, err
}

// rotate rotates a secret n times by the function that is warm, and sees how much memory it takes.
func (r *Start) rotate(ctx context.Context, env *localaws.Env, arn string, n int) error {
	begin := time.Now()
	env.AWS.Now = func() time.Time { return begin.Add(time.Since(begin) * (time.Hour / time.Millisecond)) }
	env.AWS.Invoke = func(ctx context.Context, _ string, payload []byte) (awsemu.Response, error) {
		result, err := env.Functions[r.Function].Invoke(ctx, payload)
		r.PeakMB = max(r.PeakMB, result.MaxMemoryMB)
		return awsemu.Response{Payload: result.Payload, FunctionError: result.FunctionError}, err
	}
	sdk := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &env.URL, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(operator, "x", "")})
	for range n {
		if _, err := sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &arn}); err != nil {
			return err
		}
		result, err := env.AWS.WaitRotation(ctx, arn)
		if err == nil && result.Outcome != "RotationSucceeded" {
			err = errors.New(result.Message)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// packed is the size of the zip that make dist makes.
func packed(bootstrap string) (int, error) {
	binary, err := os.ReadFile(bootstrap)
	if err != nil {
		return 0, err
	}
	zipped, err := archive.Bootstrap(binary)
	return len(zipped), err
}

func (r Start) figures() []figure {
	size := []figure{
		{name: r.Function + ", most memory", value: fmt.Sprintf("%d MB", r.PeakMB), target: "under 20 MB",
			missed: r.PeakMB >= 20},
		{name: r.Function + ", zip", value: fmt.Sprintf("%.2f MB", float64(r.Zip)/1e6),
			target: fmt.Sprintf("under %.1f MB", archive.TooLarge/1e6), missed: r.Zip >= archive.TooLarge},
	}
	if r.Starts < 2 {
		return size
	}
	return append([]figure{
		{name: r.Function + ", start to first event", value: ms(r.Init)},
		{name: r.Function + ", first preflight", value: ms(r.First)},
		{name: r.Function + ", processor time of start and first preflight", value: ms(r.CPU)},
		{name: r.Function + ", warm preflight", value: ms(r.Warm)},
		{name: r.Function + ", processor time of a warm preflight", value: ms(r.WarmCPU)},
	}, size...)
}

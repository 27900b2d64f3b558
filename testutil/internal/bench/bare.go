package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// bare is what a rotation cannot do without, and nothing of ours: the same number of plain
// signed HTTP calls, the same number of plain logins with the same TLS and the same
// proof of the password, one statement that rehearses the change and one that makes it.
type bare struct {
	server   *server
	url      string
	client   *http.Client
	arn      string
	calls    []string // the operations of ours
	logins   int      // of ours
	user     string
	password string
	boss     string // "": the user changes its own password
	bossPass string
	at       int

	database *line
	loggedIn time.Duration // that all logins so far have waited for the server
}

func (b *bare) rotation(ctx context.Context) error {
	b.at++
	for _, operation := range b.calls {
		if err := b.call(ctx, operation); err != nil {
			return err
		}
	}
	next := "Aa1-" + rand.Text()
	acting, proof := b.user, b.password
	if b.boss != "" {
		acting, proof = b.boss, b.bossPass
	}
	// One login rehearses, one changes, one proves the new password. What is left proves the one in use.
	for range b.logins - 3 {
		if err := b.session(ctx, b.user, b.password, "", false); err != nil {
			return err
		}
	}
	if err := b.session(ctx, acting, proof, b.server.rehearse(b.user, next), true); err != nil {
		return err
	}
	if err := b.session(ctx, acting, proof, b.server.change(b.user, next), false); err != nil {
		return err
	}
	b.password = next
	return b.session(ctx, b.user, b.password, "", false)
}

func (b *bare) session(ctx context.Context, user, password, sql string, mayFail bool) error {
	waited := b.database.waited.Load()
	c, err := b.server.open(ctx, b.database.port(), user, password)
	if err != nil {
		return fmt.Errorf("bare login of %s: %w", user, err)
	}
	b.loggedIn += time.Duration(b.database.waited.Load() - waited)
	defer c.close(ctx)
	if sql == "" {
		return nil
	}
	if err := c.exec(ctx, sql); err != nil && !mayFail {
		return fmt.Errorf("bare change as %s: %w", user, err)
	}
	return nil
}

// call makes one API call by plain HTTP. The emulator answers one that cannot succeed
// as fast as one that does.
func (b *bare) call(ctx context.Context, operation string) error {
	in := map[string]any{"SecretId": b.arn}
	switch operation {
	case "PutSecretValue":
		in["ClientRequestToken"] = fmt.Sprintf("bare-%032d", b.at)
		in["SecretString"] = b.server.secret(b.database.port(), b.user, fmt.Sprint("other-", b.at), b.arn)
		in["VersionStages"] = []string{"AWSPENDING"}
	case "UpdateSecretVersionStage":
		in["VersionStage"], in["MoveToVersionId"], in["RemoveFromVersionId"] = "AWSCURRENT",
			fmt.Sprintf("bare-%032d", 0), fmt.Sprintf("bare-%032d", 0)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: operator, SecretAccessKey: "x"}, request,
		hex.EncodeToString(sum[:]), "secretsmanager", "us-east-1", time.Now())
	if err != nil {
		return err
	}
	answer, err := b.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

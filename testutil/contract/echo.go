package contract

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Seen is what the echo function saw in one step.
type Seen struct {
	Step               string
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	RotationToken      string // its length; the token itself is a credential
	Members            []string
	Pending            Read // GetSecretValue by the event's token and AWSPENDING
	ByID               Read // GetSecretValue by the event's token alone
	ByLabel            Read // GetSecretValue by AWSPENDING alone
	Labels             map[string][]string
}

// Read is the answer to a GetSecretValue of a throwaway secret.
type Read struct {
	Code, Text, Value, Version string
	Labels                     []string
}

// Tags by which a row tells the echo function what to do.
const (
	// TagFail names the step that fails.
	TagFail = "contract-fail"
	// TagUnlabel, with any value, has finishSecret remove AWSPENDING in a call of its own.
	TagUnlabel = "contract-unlabel"
)

// Echo is a rotation function that writes down what it sees, into another secret (see notebook). It stores a fixed
// value and moves AWSCURRENT, as short as a rotation can be.
type Echo struct {
	SM *secretsmanager.Client
}

// notebook is the name of the secret that holds what was seen of a secret.
func notebook(arn string) string {
	return fmt.Sprintf("%snotes-%x", Prefix, sha256.Sum256([]byte(arn)))[:60]
}

// Handle answers one event.
func (e Echo) Handle(ctx context.Context, payload json.RawMessage) error {
	var ev struct{ Step, SecretId, ClientRequestToken, RotationToken string }
	if err := json.Unmarshal(payload, &ev); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	var members map[string]any
	if err := json.Unmarshal(payload, &members); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	d, err := e.SM.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &ev.SecretId})
	if err != nil {
		return fmt.Errorf("DescribeSecret: %w", err)
	}
	seen := Seen{Step: ev.Step, SecretID: ev.SecretId, ClientRequestToken: ev.ClientRequestToken,
		RotationToken: fmt.Sprint(len(ev.RotationToken)), Members: sortedKeys(members),
		Pending: e.read(ctx, ev.SecretId, ev.ClientRequestToken, "AWSPENDING"),
		ByID:    e.read(ctx, ev.SecretId, ev.ClientRequestToken, ""),
		ByLabel: e.read(ctx, ev.SecretId, "", "AWSPENDING"),
		Labels:  d.VersionIdsToStages}
	if err := e.note(ctx, seen); err != nil {
		return fmt.Errorf("notebook: %w", err)
	}
	tags := map[string]string{}
	for _, tag := range d.Tags {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	if tags[TagFail] == ev.Step {
		return errors.New("told to fail by the secret's tag")
	}
	switch ev.Step {
	case "createSecret":
		_, err = e.SM.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &ev.SecretId,
			ClientRequestToken: &ev.ClientRequestToken, RotationToken: optional(ev.RotationToken),
			SecretString: aws.String("rotated"), VersionStages: []string{"AWSPENDING"}})
	case "finishSecret":
		err = e.finish(ctx, d.VersionIdsToStages, ev.SecretId, ev.ClientRequestToken, tags[TagUnlabel] != "")
	}
	return err
}

func (e Echo) finish(ctx context.Context, labels map[string][]string, secret, token string, unlabel bool) error {
	current := ""
	for id, ls := range labels {
		for _, l := range ls {
			if l == "AWSCURRENT" {
				current = id
			}
		}
	}
	if current != token {
		if _, err := e.SM.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secret,
			VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &token,
			RemoveFromVersionId: &current}); err != nil {
			return err
		}
	}
	if !unlabel {
		return nil
	}
	_, err := e.SM.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secret,
		VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &token})
	return err
}

func (e Echo) read(ctx context.Context, id, version, label string) Read {
	out, err := getValue(ctx, e.SM, id, version, label)
	if err != nil {
		code, text, _ := codeOf(err)
		return Read{Code: code, Text: text}
	}
	v := out.(*secretsmanager.GetSecretValueOutput)
	return Read{Value: aws.ToString(v.SecretString), Version: aws.ToString(v.VersionId), Labels: v.VersionStages}
}

// note appends to the notebook. Steps of one secret come one after another, so that nothing is lost.
func (e Echo) note(ctx context.Context, s Seen) error {
	id := notebook(s.SecretID)
	all, err := notes(ctx, e.SM, s.SecretID)
	if err != nil {
		return err
	}
	b, err := json.Marshal(append(all, s))
	if err != nil {
		return err
	}
	if all == nil {
		_, err = e.SM.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &id,
			SecretString: aws.String(string(b))})
	} else {
		_, err = e.SM.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &id,
			SecretString: aws.String(string(b))})
	}
	return err
}

// notes are what the echo function saw of a secret.
func notes(ctx context.Context, sm *secretsmanager.Client, arn string) ([]Seen, error) {
	out, err := sm.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(notebook(arn))})
	if code, _, _ := codeOf(err); code == notFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Seen
	err = json.Unmarshal([]byte(aws.ToString(out.SecretString)), &all)
	return all, err
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

package rotator

import (
	"encoding/json"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Step is one quarter turn.
type Step string

const (
	CreateSecret Step = "createSecret" // give the pending version a value
	SetSecret    Step = "setSecret"    // make that value count in the database
	TestSecret   Step = "testSecret"   // prove that it does
	FinishSecret Step = "finishSecret" // move AWSCURRENT to it

	// Preflight is sent by people: {"Step":"preflight","SecretId":"..."}. It needs
	// no version and changes nothing.
	Preflight Step = "preflight"
)

// Event is what Secrets Manager sends to a rotation function.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
type Event struct {
	Step     Step
	SecretID string // the secret's ARN
	Version  string // ClientRequestToken: the id of the pending version
	// RotationToken is passed on to PutSecretValue and is never shown. It is
	// empty when an older service or a person sends the event.
	RotationToken secret.Password
	// Format is how a preflight answers: json (the default), text or markdown.
	Format string
}

// The bounds that the service model gives to the fields of an event.
const (
	maxSecretID   = 2048
	minVersion    = 32
	maxVersion    = 64
	maxStepToShow = 20
)

// ParseEvent reads and checks an event. Its errors are Misconfigured and show of
// the input only what cannot harm a log.
func ParseEvent(payload []byte) (Event, error) {
	var raw struct {
		Step               string
		SecretID           string `json:"SecretId"`
		ClientRequestToken string
		RotationToken      string
		Format             string
	}
	if err := json.Unmarshal(payload, &raw); err != nil {
		return Event{}, fmt.Errorf("event: %w: not a rotation event of Secrets Manager: want a JSON object with the strings Step, SecretId and ClientRequestToken", Misconfigured)
	}
	e := Event{
		Step:          parseStep(raw.Step),
		SecretID:      raw.SecretID,
		Version:       raw.ClientRequestToken,
		RotationToken: secret.NewPassword(raw.RotationToken),
		Format:        raw.Format,
	}
	return e, e.validate()
}

// parseStep accepts the spellings of the user guide's event page (create_secret)
// beside those that the service really sends (createSecret).
func parseStep(s string) Step {
	switch s {
	case "create_secret":
		return CreateSecret
	case "set_secret":
		return SetSecret
	case "test_secret":
		return TestSecret
	case "finish_secret":
		return FinishSecret
	}
	return Step(s)
}

func (e Event) validate() error {
	switch e.Step {
	case CreateSecret, SetSecret, TestSecret, FinishSecret, Preflight:
	case "":
		return fmt.Errorf("event: %w: Step is missing: want createSecret, setSecret, testSecret or finishSecret", Misconfigured)
	default:
		return fmt.Errorf("event: %w: Step is %+.*q: want createSecret, setSecret, testSecret or finishSecret", Misconfigured, maxStepToShow, e.Step)
	}
	switch {
	case e.SecretID == "":
		return fmt.Errorf("event: %w: SecretId is missing: want the secret's ARN", Misconfigured)
	case len(e.SecretID) > maxSecretID || !printable(e.SecretID):
		return fmt.Errorf("event: %w: SecretId is not a secret's ARN: want at most %d printable ASCII characters", Misconfigured, maxSecretID)
	case e.Step == Preflight && e.Format != "" && e.Format != formatJSON && e.Format != formatText && e.Format != formatMarkdown:
		return fmt.Errorf("event: %w: Format is %+.*q: want json, text or markdown", Misconfigured, maxStepToShow, e.Format)
	case e.Step == Preflight && e.Version == "":
		return nil
	case len(e.Version) < minVersion || len(e.Version) > maxVersion || !printable(e.Version):
		return fmt.Errorf("event: %w: ClientRequestToken is not a version id: want %d to %d printable ASCII characters", Misconfigured, minVersion, maxVersion)
	case !printable(e.RotationToken.Reveal()):
		return fmt.Errorf("event: %w: RotationToken has characters that no token of the service has", Misconfigured)
	}
	return nil
}

// printable keeps control characters, and so forged log lines, out of whatever
// an event's text ends up in (aws-samples issue 157).
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

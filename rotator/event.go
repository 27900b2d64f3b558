package rotator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// Step is one quarter turn.
type Step string

const (
	StepCreateSecret Step = "createSecret" // give the pending version a value
	StepSetSecret    Step = "setSecret"    // make that value count in the database
	StepTestSecret   Step = "testSecret"   // prove that it does
	StepFinishSecret Step = "finishSecret" // move AWSCURRENT to it

	// StepPreflight is sent by people: {"Step":"preflight","SecretId":"..."}. It needs
	// no version and changes nothing.
	StepPreflight Step = "preflight"
	// StepStatus is sent by people too: {"Step":"status","SecretId":"..."}. It says which
	// stored credentials work, and what to do, and changes nothing.
	StepStatus Step = "status"
	// StepRecover is the same, and moves one label where the event has an Action and the
	// diagnosis comes to that action as well.
	StepRecover Step = "recover"
)

// isOnDemand says whether people send the step, and the service never does.
func (s Step) isOnDemand() bool { return s == StepPreflight || s == StepStatus || s == StepRecover }

// Event is what Secrets Manager sends to a rotation function.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
type Event struct {
	Step      Step
	SecretID  string // the secret's ARN
	VersionID string // ClientRequestToken: the id of the pending version
	// RotationToken is passed on to PutSecretValue and is never shown. It is
	// empty when an older service or a person sends the event.
	RotationToken secret.Password
	// Format is how a preflight or a diagnosis answers: json (the default), text or
	// markdown.
	Format string
	// Action is what a recover is to do. "": nothing, but to say what it would.
	Action Action
}

// The bounds that the service model gives to the fields of an event.
const (
	maxSecretID   = 2048
	minVersion    = 32
	maxVersion    = 64
	maxToken      = 256
	maxStepToShow = 20
)

// parseEvent reads and checks an event. Its errors are KindMisconfigured and show of
// the input only what cannot harm a log.
func parseEvent(payload []byte) (Event, error) {
	var e Event
	var step, token, action string
	twice, err := readMembers(payload, map[string]*string{
		"Step": &step, "SecretId": &e.SecretID, "ClientRequestToken": &e.VersionID,
		"RotationToken": &token, "Format": &e.Format, "Action": &action,
	})
	switch {
	case twice != "":
		return Event{}, fmt.Errorf("event: %w: key %s appears more than once: send it once", KindMisconfigured, twice)
	case err != nil:
		return Event{}, fmt.Errorf("event: %w: not a rotation event of Secrets Manager: want a JSON object with the "+
			"strings Step, SecretId and ClientRequestToken, each once", KindMisconfigured)
	}
	e.Step, e.RotationToken, e.Action = parseStep(step), secret.NewPassword(token), Action(action)
	return e, e.validate()
}

// readMembers reads one JSON object, and those of its members that are asked for, each of
// which must be a string. twice is one that is there twice: encoding/json takes a name
// in any case, and the last of two.
func readMembers(payload []byte, members map[string]*string) (twice string, err error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	if t, _ := dec.Token(); t != json.Delim('{') {
		return "", errNoObject
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return "", err
		}
		var to any = new(json.RawMessage)
		for name, member := range members {
			if !strings.EqualFold(key.(string), name) {
				continue
			}
			if seen[name] {
				return name, nil
			}
			to, seen[name] = member, true
		}
		if err := dec.Decode(to); err != nil {
			return "", err
		}
	}
	if _, err := dec.Token(); err != nil {
		return "", err
	}
	if _, err := dec.Token(); err != io.EOF {
		return "", errNoObject
	}
	return "", nil
}

var errNoObject = errors.New("not one JSON object")

// parseStep accepts the spellings of the user guide's event page (create_secret)
// beside those that the service really sends (createSecret).
func parseStep(s string) Step {
	switch s {
	case "create_secret":
		return StepCreateSecret
	case "set_secret":
		return StepSetSecret
	case "test_secret":
		return StepTestSecret
	case "finish_secret":
		return StepFinishSecret
	}
	return Step(s)
}

func (e Event) validate() error {
	switch e.Step {
	case StepCreateSecret, StepSetSecret, StepTestSecret, StepFinishSecret, StepPreflight, StepStatus, StepRecover:
	case "":
		return fmt.Errorf("event: %w: Step is missing: want createSecret, setSecret, testSecret or finishSecret",
			KindMisconfigured)
	default:
		return fmt.Errorf("event: %w: Step is %+.*q: want createSecret, setSecret, testSecret or finishSecret",
			KindMisconfigured, maxStepToShow, e.Step)
	}
	switch {
	case e.SecretID == "":
		return fmt.Errorf("event: %w: SecretId is missing: want the secret's ARN", KindMisconfigured)
	case !ValidSecretID(e.SecretID):
		return fmt.Errorf("event: %w: SecretId is not a secret's ARN: want letters, digits and /_+=.@-!: alone, "+
			"at most %d of them", KindMisconfigured, maxSecretID)
	case e.Action.newName() != "":
		return fmt.Errorf("event: %w: Action is %q: it is now called %q", KindMisconfigured, e.Action,
			e.Action.newName())
	case e.Action != "" && (e.Step != StepRecover || !e.Action.movesLabel()):
		return fmt.Errorf("event: %w: Action is %+.*q: want finish, discard or rollback, and the Step recover",
			KindMisconfigured, maxStepToShow, e.Action)
	case e.Step.isOnDemand() && e.Format != "" && e.Format != formatJSON && e.Format != formatText &&
		e.Format != formatMarkdown:
		return fmt.Errorf("event: %w: Format is %+.*q: want json, text or markdown", KindMisconfigured, maxStepToShow,
			e.Format)
	case e.Step.isOnDemand() && e.VersionID == "":
		return nil
	case len(e.VersionID) < minVersion || len(e.VersionID) > maxVersion || !isPrintableASCII(e.VersionID):
		return fmt.Errorf("event: %w: ClientRequestToken is not a version id: want %d to %d printable ASCII characters",
			KindMisconfigured, minVersion, maxVersion)
	case len(e.RotationToken.Reveal()) > maxToken || !isPrintableASCII(e.RotationToken.Reveal()):
		return fmt.Errorf("event: %w: RotationToken is not valid: at most %d printable ASCII characters",
			KindMisconfigured, maxToken)
	}
	return nil
}

// ValidSecretID says whether s can be the ARN or the name of a secret, and may stand in a log, in a command that is
// printed for people, and in a policy: the writer of a secret chooses what masterarn names, and must not choose what
// else a shell runs, or which other secrets a statement is for.
func ValidSecretID(s string) bool {
	return s != "" && len(s) <= maxSecretID && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && !(r >= '0' && r <= '9') && !strings.ContainsRune("/_+=.@-!:", r) // ! is in rds!db-...
	})
}

// isPrintableASCII keeps control characters, and so forged log lines, out of whatever
// an event's text ends up in (aws-samples issue 157).
func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

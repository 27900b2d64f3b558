package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/sampledb"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// failure is a rotation that fails, and the way out of it.
type failure struct {
	what string // what is wrong
	// arrange makes it so, before the rotation.
	arrange func(ctx context.Context, s *scene) error
	// ask is the step that shows what is wrong: preflight or status.
	ask string
	// fix follows what the answer says. recovers: that alone completes the rotation;
	// otherwise the secret is rotated again.
	fix      func(ctx context.Context, s *scene) error
	recovers bool
	only     string // the engine; "": any
}

// scene is what a failure is shown on.
type scene struct {
	*localaws.Env
	db       *sampledb.Database
	function string // its name
	secret   string // its ARN
	answer   answer // of the step that was asked
}

// answer is what a failure uses of a report or a diagnosis.
type answer struct{ RecoverEvent string }

var failures = map[string]failure{
	"permission": {
		what: "the function's role lacks secretsmanager:UpdateSecretVersionStage, which a rotation needs last",
		ask:  "preflight",
		arrange: func(_ context.Context, s *scene) error {
			return s.Deny("secretsmanager:UpdateSecretVersionStage")
		},
		fix: func(_ context.Context, s *scene) error {
			fmt.Println("  add that statement to the role of the function: done")
			return s.Deny()
		},
	},
	"password": {
		what: "the password was changed in the database, and the secret does not know the new one",
		ask:  "status",
		arrange: func(ctx context.Context, s *scene) error {
			return s.db.SetPassword(ctx, "app", s.db.Passwords["boss"])
		},
		fix: func(ctx context.Context, s *scene) error {
			fmt.Println("  as a superuser, set the user's password to AWSCURRENT's value: done")
			return s.db.SetPassword(ctx, "app", s.db.Passwords["app"])
		},
	},
	"killed": {
		what: "the function is killed after setSecret, when the database has the new password and AWSCURRENT the " +
			"old one",
		ask: "status",
		arrange: func(_ context.Context, s *scene) error {
			var once sync.Once
			s.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
				if c.Phase != "testSecret" {
					return awsemu.Fault{}
				}
				return awsemu.Fault{Before: func() { once.Do(s.Functions[s.function].Kill) }}
			}
			return nil
		},
		fix: func(ctx context.Context, s *scene) error {
			if s.answer.RecoverEvent == "" {
				return errors.New("status offers no event that finishes the rotation")
			}
			event := strings.TrimSuffix(s.answer.RecoverEvent, "}") + `,"Format":"text"}`
			fmt.Printf("  aws lambda invoke --function-name %s --payload fileb:///dev/stdin recover.json <<<'%s'\n\n",
				s.function, event)
			text, _, err := s.invoke(ctx, event)
			if err == nil {
				fmt.Println(indent(notable(text)))
			}
			return err
		},
		recovers: true,
	},
	"policy": {
		what: "the server wants passwords of 40 characters, and the function makes 32",
		ask:  "preflight",
		only: "mysql", // PostgreSQL and MariaDB get what a policy cannot look into: a verifier, a hash
		arrange: func(ctx context.Context, s *scene) error {
			return s.db.Exec(ctx, "INSTALL COMPONENT 'file://component_validate_password'",
				"SET GLOBAL validate_password.length = 40")
		},
		fix: func(_ context.Context, s *scene) error {
			fmt.Println("  configure the function with PASSWORD_LENGTH=40: done")
			return s.Functions[s.function].SetEnv("PASSWORD_LENGTH=40")
		},
	},
}

// incomplete is what RotateSecret answers when it resumes a rotation.
const incomplete = "A previous rotation isn't complete. That rotation will be reattempted."

// failed shows what the function says of a rotation that failed, and follows it.
func (s *scene) failed(ctx context.Context, f failure, r awsemu.Rotation) error {
	if r.Outcome != "RotationFailed" {
		return fmt.Errorf("the rotation was to fail, and ended with %s", r.Outcome)
	}
	message := r.Message
	if before, _, found := strings.Cut(message, "] "); found { // what it says of the finding comes below
		message = before + "] ..."
	}
	fmt.Printf("  %s: %s\n\n", r.Outcome, strings.TrimLeft(indent(wrapped(message)), " "))
	fmt.Printf("What the function says, asked for %s:\n\n", f.ask)
	event, _ := json.Marshal(map[string]string{"Step": f.ask, "SecretId": s.secret})
	_, raw, err := s.invoke(ctx, string(event))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &s.answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	event, _ = json.Marshal(map[string]string{"Step": f.ask, "SecretId": s.secret, "Format": "text"})
	text, _, err := s.invoke(ctx, string(event))
	if err != nil {
		return err
	}
	fmt.Println(indent(notable(text)))
	fmt.Printf("\nThe way out:\n\n")
	if err := f.fix(ctx, s); err != nil || f.recovers {
		return err
	}
	fmt.Printf("\naws secretsmanager rotate-secret --secret-id demo/app\n\n")
	err = rotate(ctx, s.URL, s.secret, s.Functions[s.function].ARN())
	switch {
	case err != nil && strings.Contains(err.Error(), incomplete):
		fmt.Printf("  %s (as expected)\n", incomplete)
	case err != nil:
		return err
	}
	if r, err = s.AWS.WaitRotation(ctx, s.secret); err != nil {
		return err
	}
	if r.Outcome != "RotationSucceeded" {
		return fmt.Errorf("the rotation ended with %s: %s", r.Outcome, r.Message)
	}
	fmt.Printf("  %s\n", r.Outcome)
	return nil
}

// invoke gives the function an event, and its answer as text and as it came.
func (s *scene) invoke(ctx context.Context, event string) (string, []byte, error) {
	r, err := s.Functions[s.function].Invoke(ctx, []byte(event))
	if err != nil {
		return "", nil, err
	}
	if r.FunctionError != "" {
		return "", nil, fmt.Errorf("%s: %s", event, r.ErrorMessage)
	}
	var text string
	if json.Unmarshal(r.Payload, &text) != nil {
		text = string(r.Payload)
	}
	return text, r.Payload, nil
}

// notable leaves out the findings that passed: their lines of a report begin with an id.
func notable(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	quiet, skipping := []string{"passed", "inferred", "skipped"}, false
	kept := lines[:1]
	for _, line := range lines[1:] {
		// a finding or a version, not its details
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "    ") {
			f := strings.Fields(line)
			skipping = len(f) > 1 && slices.Contains(quiet, f[1])
		}
		if !skipping {
			kept = append(kept, wrapped(line))
		}
	}
	return strings.Join(kept, "\n") + "\n"
}

// wrapped breaks a line at spaces after 100 characters, indented as it begins.
func wrapped(line string) string {
	const width = 100
	in := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if len(line) <= width || strings.HasPrefix(line[len(in):], "aws ") {
		return line // to be copied
	}
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(line) {
		switch {
		case i == 0:
			b.WriteString(in)
			at = len(in)
		case at+1+len(word) > width:
			b.WriteString("\n" + in)
			at = len(in)
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

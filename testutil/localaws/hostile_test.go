package localaws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/badinput"
	"github.com/quarterturn-dev/quarterturn/testutil/lambdahost"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestBadInputOfTheRealThing puts some of package hostile's inputs, whose own tests try
// all of them in process, to the binary that is deployed.
func TestBadInputOfTheRealThing(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	w := newWorld(t, plan{db: newestServers["PostgreSQL"](t), handler: "postgres-single-user"})
	valid := w.document("username", "app", "password", w.user(w.db.app), "apiKey", w.canary())
	state := w.accountState()
	var tally badinput.Tally
	run := func(input string, seen awsemu.Version, event func(arn string) string) {
		arn := w.seed("app", seen, awsemu.Version{Labels: []string{"AWSPENDING"}})
		before, printed := w.aws.AWS.Snapshot(arn), len(w.out.String())
		for _, wrong := range tally.Run(t.Context(), badinput.Trial{
			Input: input, Hidden: w.canaries,
			Do:      w.invoked(w.aws.Functions[w.name], event(arn)),
			Printed: func() string { return functionLines(w.out.String()[printed:]) },
			Changed: func() []string { return before.Diff(w.aws.AWS.Snapshot(arn)) },
		}) {
			t.Errorf("%s: %s", input, wrong)
		}
	}
	for i, input := range badinput.Events("arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf", awsemu.VersionID(2), "token-0123456789-0123456789-0123456789") {
		// The Invoke API itself refuses what is no JSON at all.
		if i%30 == 0 && json.Valid([]byte(input.Text)) {
			run(input.Name, current(valid), func(string) string { return input.Text })
		}
	}
	for i, input := range badinput.Values(valid) {
		if (i%12 == 0 || input.Field == "engine") && input.Field != "host" { // names are for resolvers
			run(input.Name, current(input.Text), func(arn string) string {
				return fmt.Sprintf(`{"Step":"createSecret","SecretId":%q,"ClientRequestToken":%q}`, arn, awsemu.VersionID(2))
			})
		}
	}
	if w.accountState() != state {
		t.Error("an account has changed")
	}
	t.Log(tally)
	if tally.Inputs < 80 {
		t.Errorf("only %d inputs", tally.Inputs)
	}
}

// TestBadEnvironmentsOfTheRealThing: a function that cannot start says why, to whoever
// invokes it.
func TestBadEnvironmentsOfTheRealThing(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	var p localaws.Config
	var inputs []badinput.Input
	for i, input := range badinput.Environments() {
		if i%25 == 0 && !strings.ContainsRune(input.Text, 0) {
			inputs = append(inputs, input)
			handler := "mysql-single-user"
			if engine, _, ok := strings.Cut(strings.ToLower(input.Field), "_"); ok && (engine == "postgres" || engine == "valkey") {
				handler = engine + "-single-user"
			}
			p.Functions = append(p.Functions, localaws.Function{Name: fmt.Sprintf("f%d", i), Bootstrap: bootstrap(t, handler), Env: []string{input.Field + "=" + input.Text}})
		}
	}
	var out lambdahost.Output
	p.Output = &out
	s, err := localaws.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := &world{t: t}
	var tally badinput.Tally
	for i, input := range inputs {
		printed := len(out.String())
		for _, wrong := range tally.Run(t.Context(), badinput.Trial{
			Input:   input.Name,
			Do:      w.invoked(s.Functions[p.Functions[i].Name], `{"Step":"status","SecretId":"app"}`),
			Printed: func() string { return functionLines(out.String()[printed:]) },
		}) {
			t.Errorf("%s: %s", input.Name, wrong)
		}
		if !strings.Contains(out.String()[printed:], input.Field) {
			t.Errorf("%s: the variable is not named", input.Name)
		}
	}
	t.Log(tally)
	if tally.Inputs < 12 {
		t.Errorf("only %d inputs", tally.Inputs)
	}
}

// invoked gives an event to a function, and reads its answer as Lambda's caller does.
func (w *world) invoked(f *lambdahost.Host, event string) func(context.Context) (rotator.Response, error) {
	return func(ctx context.Context) (rotator.Response, error) {
		result, err := f.Invoke(ctx, []byte(event))
		switch {
		case err != nil:
			return nil, err
		case result.FunctionError == "":
			return nil, nil
		case result.ErrorType != "StepError":
			return nil, fmt.Errorf("errorType is %s: %s", result.ErrorType, result.ErrorMessage)
		}
		for _, kind := range []rotator.Kind{rotator.KindMisconfigured, rotator.KindNotFound, rotator.KindConflict, rotator.KindLoginRejected, rotator.KindUnreachable, rotator.KindTLS, rotator.KindPrivilege, rotator.KindDeadline} {
			if strings.Contains(result.ErrorMessage, string(kind)+":") {
				return nil, &rotator.StepError{Kind: kind, Err: kindOnly{kind, result.ErrorMessage}}
			}
		}
		return nil, &rotator.StepError{Kind: rotator.KindInternal, Err: errors.New(result.ErrorMessage)}
	}
}

// kindOnly is an error that has crossed the wire.
type kindOnly struct {
	rotator.Kind
	text string
}

func (k kindOnly) Error() string { return k.text }
func (k kindOnly) Unwrap() error { return k.Kind }

// functionLines leaves out what Lambda itself writes.
func functionLines(log string) string {
	var lines string
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "{") {
			lines += line
		} else if word, _, _ := strings.Cut(line, " "); word != "START" && word != "END" && word != "REPORT" && word != "INIT_START" && word != "XRAY" {
			lines += line
		}
	}
	return lines
}

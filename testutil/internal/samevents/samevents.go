// Package samevents sets the scene for the events in sam/events: on a PostgreSQL
// server and in an emulator of Secrets Manager it makes a user and a secret for each
// of them, as they are when Secrets Manager sends such an event. Each event can then
// be sent alone, by `sam local invoke` or `make invoke`, in any order.
package samevents

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// Fixture is an event and what it meets.
type Fixture struct {
	Event string // sam/events/EVENT.json
	Shows string // what there is to see, in a sentence
	// Says is a part of the answer, or of the error where the function Fails.
	Says  string
	Fails bool

	pending  content // of version 2, if that has a label
	promoted bool    // version 2 is AWSCURRENT, and version 1 AWSPREVIOUS
	set      bool    // the database has the password of version 2
	off      bool    // rotation was cancelled
	wrong    bool    // the password in the secret is not the database's
}

// content is what a pending version holds.
type content int

const (
	absent content = iota
	empty          // as RotateSecret makes it
	filled         // by createSecret
)

// Scenes are all of them: a rotation in its order, a preflight, and what is awkward.
// Where the event names another secret than its own (Secret), that is said there.
func Scenes() []Fixture {
	return []Fixture{
		{Event: "createSecret", Shows: "the preflight passes, and the empty pending version gets a value",
			Says: `"Findings"`, pending: empty},
		{Event: "setSecret", Shows: "the database takes the pending password", Says: "null", pending: filled},
		{Event: "testSecret", Shows: "the pending password is proved by a login", Says: "null", pending: filled,
			set: true},
		{Event: "finishSecret", Shows: "AWSCURRENT moves to the pending version", Says: "null", pending: filled,
			set: true},
		{Event: "preflight", Shows: "a report as JSON; nothing is changed", Says: `"Status":"passed"`},
		{Event: "preflight-text", Shows: "the same for a terminal", Says: "preflight of"},
		{Event: "preflight-markdown", Shows: "the same for a ticket", Says: "| "},
		{Event: "preflight-wrong-password", Shows: "a report that names what blocks a rotation",
			Says: "did not accept the password", wrong: true},
		{Event: "configuration-test", Shows: "testSecret alone, on an empty version, as rotate-secret " +
			"--no-rotate-immediately sends it: a dry run", Says: `"Findings"`, pending: empty},
		{Event: "rotation-token", Shows: "createSecret with a RotationToken, which is handed on and never logged",
			Says: `"Findings"`, pending: empty},
		{Event: "late-duplicate", Shows: "setSecret once more, when the rotation is over: nothing is done",
			Says: "null", pending: filled, set: true, promoted: true},
		{Event: "unknown-version", Shows: "a version that the secret does not have is refused", Says: "no such version",
			Fails: true},
		{Event: "cancelled-rotation", Shows: "setSecret after cancel-rotate-secret: the database is left alone",
			Says: "rotation is disabled", Fails: true, pending: filled, off: true},
		{Event: "status", Shows: "after a rotation that was killed and cancelled: which version works, and what to do",
			Says: "recommended action: finish", pending: filled, set: true, off: true},
		{Event: "recover", Shows: "the same, and it is done, for the event names it: AWSCURRENT moves",
			Says: "AWSCURRENT", pending: filled, set: true, off: true},
		{Event: "wrong-step", Shows: "a step that there is not is refused before anything is read", Says: "Step is",
			Fails: true},
	}
}

// Secret is the ARN of a scene's own secret.
func (s Fixture) Secret() string { return arn(s.Event) }

func arn(name string) string {
	return "arn:aws:secretsmanager:us-east-1:123456789012:secret:events/" + name + "-AbCdEf"
}

// Set makes the users and the secrets of all scenes. Every secret names the one of a
// superuser too, so that alternating users find what they need, the server by the name
// host, and the function by whose ARN it is rotated; "": none yet.
func Set(ctx context.Context, emulator *awsemu.Emulator, db *dbserver.Server, host, function string) error {
	document := func(user, password string) awsemu.Value {
		text, _ := json.Marshal(map[string]any{ // text, a number and a boolean cannot fail
			"engine": "postgres", "host": host, "port": db.Port,
			"ssl":      false, // the server has no TLS, which has to be said
			"username": user, "password": password, "masterarn": arn("superuser"),
		})
		return awsemu.Text(string(text))
	}
	boss := rand.Text()
	if err := db.Exec(ctx, "CREATE ROLE superuser LOGIN CREATEROLE PASSWORD '"+boss+"'"); err != nil {
		return fmt.Errorf("superuser: %w", err)
	}
	seed := func(s awsemu.Secret, name string) {
		s.Name, s.ARN = "events/"+name, arn(name)
		emulator.Seed(s)
	}
	seed(awsemu.Secret{Versions: []awsemu.Version{
		{Labels: []string{"AWSCURRENT"}, Value: document("superuser", boss)},
	}}, "superuser")
	for _, scene := range Scenes() {
		versions, password := scene.versions(document)
		seed(awsemu.Secret{RotationEnabled: new(!scene.off), RotationLambdaARN: function, Versions: versions},
			scene.Event)
		err := db.Exec(ctx,
			`CREATE ROLE "`+scene.Event+`" LOGIN PASSWORD '`+password+`'`,
			`GRANT "`+scene.Event+`" TO superuser WITH ADMIN OPTION`,
		)
		if err != nil {
			return fmt.Errorf("user of %s: %w", scene.Event, err)
		}
	}
	return nil
}

// versions are those of the secret, and the password that the database has.
func (s Fixture) versions(document func(user, password string) awsemu.Value) (versions []awsemu.Version,
	password string) {
	old, new := rand.Text(), rand.Text()
	versions = []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: document(s.Event, old)}}
	if s.pending != absent {
		versions = append(versions, awsemu.Version{Labels: []string{"AWSPENDING"}})
	}
	if s.pending == filled {
		versions[1].Value = document(s.Event, new)
	}
	if s.promoted {
		versions[0].Labels, versions[1].Labels = []string{"AWSPREVIOUS"}, []string{"AWSCURRENT"}
	}
	switch {
	case s.wrong:
		return versions, rand.Text()
	case s.set:
		return versions, new
	}
	return versions, old
}

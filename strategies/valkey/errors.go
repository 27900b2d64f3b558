package valkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	client "github.com/valkey-io/valkey-go"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// A phase is how far a call had come when it failed.
type phase int

const (
	querying phase = iota
	dialing
	securing
	loggingIn
)

// operation is what was being done.
type operation struct {
	phase  phase
	limit  time.Duration
	action string // "changing the password"
	remedy string // what to do if the server does not permit it
}

// errorf is an error that the engine itself found.
func (s *session) errorf(k rotator.Kind, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", dial.Describe(s.login), k, fmt.Sprintf(format, args...))
}

// wrap gives every failure of the client, the network and the server its kind and a sentence. The
// server's own words are left out, for they may repeat what it was sent, but for the first.
func (s *session) wrap(ctx context.Context, op operation, err error) error {
	var kind rotator.Kind
	var sentence string
	var server *client.ValkeyError
	cause := err
	switch {
	case errors.As(err, &server):
		word, _, _ := strings.Cut(server.Error(), " ")
		kind, sentence = classify(op, word, server.Error())
		cause = fmt.Errorf("the server answered %.20s", word)
	case errors.Is(ctx.Err(), context.Canceled):
		kind, sentence, cause = rotator.KindDeadline, "the call was cancelled", ctx.Err()
	case op.phase == dialing:
		kind, sentence = dial.ClassifyDial(ctx, s.login, op.limit, err)
	case op.phase == securing:
		kind, sentence = dial.ClassifyTLS(s.login, err)
	case ctx.Err() != nil:
		kind, sentence, cause = rotator.KindDeadline, "there was no time left", ctx.Err()
	case dial.IsTimeout(err):
		kind, sentence, cause = rotator.KindUnreachable, fmt.Sprintf("no response %s: the server is busy or blocked, or the network was cut", dial.WaitText(ctx, op.limit)), context.DeadlineExceeded
	case dial.IsConnClosed(err), errors.Is(err, client.ErrClosing):
		kind, sentence, cause = rotator.KindUnreachable, "the server closed the connection: it may be restarting, or its port has TLS and the secret says \"ssl\": false", errors.New("connection closed")
	default:
		kind, sentence, cause = rotator.KindUnreachable, fmt.Sprintf("%s does not answer as Valkey does: check host and port in the secret", dial.Address(s.login)), errors.New("protocol error")
	}
	if op.action != "" {
		sentence = op.action + ": " + sentence
	}
	err = fmt.Errorf("%s: %w: %s: %w", dial.Describe(s.login), kind, sentence, cause)
	if op.phase != querying {
		return strategies.MarkLoginError(err)
	}
	return err
}

// classify reads an error of the server, by its first word.
func classify(op operation, word, text string) (rotator.Kind, string) {
	switch word {
	case "WRONGPASS":
		return rotator.KindLoginRejected, "the server did not accept the password. It says the same of a user that does not exist, or is off"
	case "NOAUTH":
		return rotator.KindMisconfigured, "the server takes no login of users: it is older than Redis 6"
	case "NOPERM":
		return rotator.KindPrivilege, cmp.Or(op.remedy, "the user may not do it")
	case "READONLY":
		return rotator.KindReadOnly, "the server is a replica that takes no changes"
	case "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN":
		return rotator.KindUnreachable, "the server is starting, busy or failing over: try again when it is up"
	case "OOM":
		return rotator.KindUnreachable, "the server is out of memory"
	case "DENIED":
		return rotator.KindMisconfigured, "the server is in protected mode: give its default user a password, or bind it to addresses"
	}
	switch {
	case strings.Contains(text, "max number of clients"):
		return rotator.KindTooManyConnections, "no free connection: raise maxclients"
	case strings.Contains(text, "unknown command"), strings.Contains(text, "nknown subcommand"):
		return rotator.KindMisconfigured, "the server does not know a command that this needs: it is older than Redis 6, or has it renamed"
	case op.phase == loggingIn:
		return rotator.KindMisconfigured, "the server refused the login, and did not judge the password"
	}
	return rotator.KindInternal, "the server reported an error"
}

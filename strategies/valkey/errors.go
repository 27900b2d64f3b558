package valkey

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

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
	roots  *x509.CertPool   // known while securing
	action string           // "changing the password"
	remedy rotator.Sentence // what to do if the server does not permit it
}

// errorf is an error that the engine itself found.
func (s *session) errorf(k rotator.Kind, format string, args ...any) error {
	return dial.Errorf(s.login, k, format, args...)
}

const (
	clientCertificate = "ask who had it demand that. If it is to stay so, this function cannot rotate here. If not " +
		"(clients without a certificate get in then, with a password), at each node, by a client that has one, " +
		"CONFIG SET tls-auth-clients optional, then CONFIG REWRITE; or set that in its configuration file, and " +
		"restart it (yes is the default)"
	// noFreeConnection is no command for the server: it lets no login in, an administrator's neither.
	noFreeConnection = "on the server's machine, ss -tn 'sport = :PORT' shows from where its connections come. End " +
		"the program that holds them without need, or raise maxclients in the configuration file and restart the " +
		"server, which loses by that what is not saved, data and users"
)

// code is the first word of an answer, where it is one of those that servers have for errors. What else answers may say
// again what it was sent, and a part of a password is found by nothing that takes values out of texts.
func (s *session) code(word string) string {
	other := func(r rune) bool { return r < 'A' || r > 'Z' }
	if len(word) > 20 || strings.ContainsFunc(word, other) || strings.Contains(s.login.Password.Reveal(), word) {
		return "with an error of its own"
	}
	return word
}

// wrap gives every failure of the client, the network and the server its kind and a sentence. The
// server's own words are left out, for they may repeat what it was sent, but for the first.
func (s *session) wrap(ctx context.Context, op operation, err error) error {
	var kind rotator.Kind
	var sentence string
	var server serverError
	var row dial.Cause
	var fixes []rotator.Fix
	cause := err
	switch {
	case errors.As(err, &server):
		word, _, _ := strings.Cut(server.Error(), " ")
		work := dial.Statement
		if op.phase == loggingIn {
			work = dial.Login
			if s.login.TLS.Disabled {
				work |= dial.LoginWithoutTLS
			}
		}
		row = dial.Find(Causes(), work, "", server.Error(), word)
		if op.remedy.Text == "" {
			op.remedy = rotator.Sentencef("user %q may not do it", s.login.User)
		}
		kind, sentence = row.Kind, row.Sentence(s.login, inQuotes, op.remedy)
		for _, command := range []string{"ACL", "AUTH", "CONFIG", "DISCARD", "EXEC", "HELLO", "INFO", "MULTI"} {
			for _, quoted := range []string{"'" + command + "'", "`" + command + "`"} {
				if strings.Contains(server.Error(), "unknown command "+quoted) {
					sentence += ". The command is " + command
				}
			}
		}
		if kind == rotator.KindLoginRejected {
			sentence += split(s.login.Password)
		}
		cause = errors.New("the server answered " + s.code(word))
	case errors.Is(ctx.Err(), context.Canceled):
		kind, sentence, cause = rotator.KindDeadline, "the call was cancelled", ctx.Err()
	case op.phase == dialing:
		kind, sentence = dial.ClassifyDial(ctx, s.login, op.limit, err)
	case op.phase == securing:
		kind, sentence = dial.ClassifyTLS(s.login, op.roots, err)
		if expired := new(x509.CertificateInvalidError); errors.As(err, expired) && expired.Reason == x509.Expired {
			sentence += ". A restart loses what is not saved, data and users"
		}
		if dial.IsConnClosed(err) {
			sentence += ". Valkey does so too where all connections are in use: " + noFreeConnection
		}
	case strings.Contains(err.Error(), "tls: certificate required"): // the only word of it; crypto/tls exports no type
		kind, sentence = rotator.KindTLS, "the server demands a client certificate, of which this function has none: "+
			clientCertificate
	case ctx.Err() != nil:
		kind, sentence, cause = rotator.KindDeadline, "there was no time left", ctx.Err()
	case dial.IsTimeout(err):
		kind, sentence, cause = rotator.KindUnreachable,
			fmt.Sprintf("no response %s: the server is busy, paused (CLIENT PAUSE) or stopped, or the network was cut",
				dial.WaitText(ctx, op.limit)), context.DeadlineExceeded
		fixes = pauses()
	case dial.IsConnClosed(err):
		other := "its port has TLS and the secret says \"ssl\": false"
		if !s.login.TLS.Disabled {
			other = "it demands a client certificate, of which this function has none: " + clientCertificate
		}
		kind, sentence, cause = rotator.KindUnreachable, "the server closed the connection: it may be restarting, or "+
			other, errors.New("connection closed")
	default:
		kind, sentence, cause = rotator.KindUnreachable,
			fmt.Sprintf("%s does not answer as Valkey does: check host and port in the secret", dial.Address(s.login)),
			errors.New("protocol error")
	}
	if op.action != "" {
		sentence = op.action + ": " + sentence
	}
	err = fmt.Errorf("%s: %w: %s: %w", dial.Describe(s.login), kind, sentence, cause)
	if fixes != nil {
		err = rotator.WithFix(err, "", fixes...)
	}
	if server != "" {
		err = row.WithFix(row.Mark(err, sentence), s.login, typed, op.remedy)
	}
	if op.phase != querying {
		return strategies.MarkLoginError(err)
	}
	return err
}

// pauses show whether clients are paused, and end that.
func pauses() []rotator.Fix {
	look := rotator.Fix{By: rotator.BySuperuser, Run: "INFO clients", Turn: rotator.TurnFirst,
		For: "to see whether clients are paused", Note: "paused_actions other than none: they are (Redis does not " +
			"show it). No answer either: all are paused, or the server hangs or is stopped"}
	end := rotator.NewFix(rotator.ByAdministrator, "CLIENT UNPAUSE -- where all are paused, it waits too: until the "+
		"time of the pause is over, or a restart, which loses what is not saved")
	end.For = "if they are"
	return []rotator.Fix{look, end}
}

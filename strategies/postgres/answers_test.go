package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// pgError is an error as a server sends it.
func pgError(code, message, routine string) []byte {
	body := "SFATAL\x00VFATAL\x00C" + code + "\x00M" + message + "\x00"
	if routine != "" {
		body += "R" + routine + "\x00"
	}
	body += "\x00"
	return append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(body)+4)), body...)
}

// A rejected login is the answer to a password that was sent. What comes before the
// server has asked for one is no such answer, whatever it says.
func TestRejectedIsAnAnswerToAPassword(t *testing.T) {
	t.Parallel()
	const sasl = "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"
	const md5 = "R\x00\x00\x00\x0c\x00\x00\x00\x05salt"
	rejected := string(pgError("28P01", "password authentication failed", "auth_failed"))
	pooler := string(pgError("08P01", "SASL authentication failed", ""))
	for name, c := range map[string]struct {
		first, then string
		kind        rotator.Kind
	}{
		"in place of the question":         {rejected, "", rotator.KindMisconfigured},
		"by a pooler, before it asks":      {pooler, "", rotator.KindMisconfigured},
		"to a name, before the proof":      {sasl, rejected, rotator.KindMisconfigured},
		"by a pooler, before the proof":    {sasl, pooler, rotator.KindMisconfigured},
		"to the proof":                     {md5, rejected, rotator.KindLoginRejected},
		"to the proof, and it is a pooler": {md5, pooler, rotator.KindMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login := listen(t, func(c2 net.Conn) {
				buffer := make([]byte, 4096)
				c2.Read(buffer)
				io.WriteString(c2, c.first)
				if c.then != "" {
					c2.Read(buffer)
					io.WriteString(c2, c.then)
				}
			})
			login.TLS.Disabled = true
			wants(t, engine().Ping(t.Context(), login), c.kind)
			login.PoolerForwardsLogins = true // then no answer sends people around it
			if err := engine().Ping(t.Context(), login); strings.Contains(name, "by a pooler") &&
				(!strings.Contains(err.Error(), "Leave host and port") || strings.Contains(err.Error(), "own endpoint")) {
				t.Error(err)
			}
		})
	}
}

// translated is a way to the server on which every message is in a language that
// nobody here reads.
func translated(t *testing.T, s server, login strategies.Login) strategies.Login {
	t.Helper()
	relay := listen(t, func(c net.Conn) {
		to, err := s.Dial(t.Context())
		if err != nil {
			return
		}
		defer to.Close()
		go func() {
			defer c.Close()
			for {
				head := make([]byte, 5)
				if _, err := io.ReadFull(to, head); err != nil {
					return
				}
				body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
				if _, err := io.ReadFull(to, body); err != nil {
					return
				}
				if head[0] == 'E' {
					translate(body)
				}
				if _, err := c.Write(append(head, body...)); err != nil {
					return
				}
			}
		}()
		io.Copy(to, c)
	})
	login.Port = relay.Port
	return login
}

// translate leaves of an error what servers do not translate: the SQLSTATE, the
// severity under V, and the names of file and routine.
func translate(body []byte) {
	for len(body) > 1 {
		end := 1
		for body[end] != 0 {
			end++
		}
		switch body[0] {
		case 'S', 'M', 'D', 'H', 'W':
			for i := 1; i < end; i++ {
				body[i] = 'x'
			}
		}
		body = body[end+1:]
	}
}

// Nothing is decided by a text that servers translate: whatever lc_messages is, kind
// and remedy are the same.
func TestNothingIsDecidedByTranslatedText(t *testing.T) {
	t.Parallel()
	for _, major := range dbserver.MajorsInTier(t) {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			s := server{dbserver.NewPostgres(t, dbserver.Options{Major: major, HBA: []string{
				"host all hostile all reject", "host closed all all reject", "host all all all scram-sha-256"}})}
			s.run(t, "CREATE ROLE hostile LOGIN PASSWORD 'x'")
			app, pw := s.NewRole(t, "LOGIN")
			locked, lockedPw := s.NewRole(t, "NOLOGIN")
			full, fullPw := s.NewRole(t, "LOGIN CONNECTION LIMIT 0")
			private := s.NewDatabase(t, "")
			s.run(t, "REVOKE CONNECT ON DATABASE "+private+" FROM public")
			in := func(db string) strategies.Login {
				return with(s.login(app, pw), func(l *strategies.Login) { l.Database = db })
			}
			for name, login := range map[string]strategies.Login{
				"wrong password": s.login(app, "wrong"), "locked": s.login(locked, lockedPw),
				"full":     s.login(full, fullPw),
				"rejected": s.login("hostile", "x"), "no database": in("db_none"), "private": in(private),
				"no entry": in("closed"),
			} {
				plain, foreign := engine().Ping(t.Context(), login), engine().Ping(t.Context(), translated(t, s, login))
				if a, b := rotator.KindOf(plain), rotator.KindOf(foreign); a != b || a == "" {
					t.Errorf("%s: %s, and %s once it is translated: %v", name, a, b, foreign)
				}
				if a, b := told(plain), told(foreign); a != b {
					t.Errorf("%s: from\n%s\nto\n%s", name, a, b)
				}
			}
			pair := strategies.Pair{Original: app, Clone: app + "_clone", Target: app + "_clone"}
			nobody := s.login(s.NewRole(t, "LOGIN"))
			for name, change := range map[string]func(login strategies.Login) error{
				"not allowed": func(login strategies.Login) error {
					return engine().SetPassword(t.Context(), login, app, password())
				},
				"not a cloner": func(login strategies.Login) error {
					return engine().EnsureClone(t.Context(), login, pair, password())
				},
			} {
				plain, foreign := change(nobody), change(translated(t, s, nobody))
				if a, b := told(plain), told(foreign); a != b || a == "" {
					t.Errorf("%s: from\n%s\nto\n%s", name, a, b)
				}
			}
		})
	}
}

// told is what an error says without the server's own words and the port.
func told(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": FATAL"); i >= 0 {
		text = text[:i]
	}
	for _, mark := range []string{": FATAL: ", ": ERROR: ", ": xxxxx: "} {
		if i := strings.LastIndex(text, mark); i >= 0 {
			text = text[:i]
		}
	}
	_, text, _ = strings.Cut(text, ", database")
	return text
}

// TestWhatAnAnswerMeans: sentences of answers that no throwaway server gives, with TLS on,
// and whether they pass.
func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	login := strategies.Login{Host: "h", Port: 1, User: "app", Database: "shop"}
	for name, c := range map[string]struct {
		err    pgconn.PgError
		kind   rotator.Kind
		says   string
		passes bool
	}{
		"Aurora that resumes after a pause": {pgconn.PgError{Code: "28000", Routine: "ClientAuthentication"},
			rotator.KindMisconfigured, "An Aurora cluster that is resuming after a pause answers so too: then " +
				"try again", true},
		"the role has no slot":     {pgconn.PgError{Code: "53300", Routine: "InitializeSessionUserId"}, rotator.KindTooManyConnections, `ALTER ROLE "app" CONNECTION LIMIT N`, true},
		"the database has no slot": {pgconn.PgError{Code: "53300", Routine: "CheckMyDatabase"}, rotator.KindTooManyConnections, `ALTER DATABASE "shop" CONNECTION LIMIT N`, true},
		"the server has no slot": {pgconn.PgError{Code: "53300", Routine: "InitProcess"},
			rotator.KindTooManyConnections, "max_connections", true},
		"a full disk": {pgconn.PgError{Code: "53100"}, rotator.KindInternal, "free space", false},
		"an answer that is not known": {pgconn.PgError{Code: "ZZ000"}, rotator.KindInternal,
			"does not know", false},
	} {
		err := wrapError(t.Context(), login, operation{phase: loggingIn, proved: true}, &c.err)
		wants(t, err, c.kind, c.says)
		if rotator.Retryable(err) != c.passes {
			t.Errorf("%s: passes: %t", name, !c.passes)
		}
	}
}

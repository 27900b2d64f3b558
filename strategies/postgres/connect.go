package postgres

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// session is one connection, logged in.
type session struct {
	login  strategies.Login
	pg     *pgconn.PgConn
	tcp    net.Conn
	limit  time.Duration // of each statement
	method authMethod    // how the server had us prove the password
	proved bool          // a proof of the password has been sent
	proven bool          // and accepted
	shown  string        // iterations and salt of SCRAM, as the login showed them: 4096:c2FsdA==

	allowMD5  bool
	rehearsal bool // what is done is taken back

	readOnlyBy string // what has transactions begin read-only, up to SET; "": they do not, or that was not asked

	// Known after prepare:
	version    int             // server_version_num: 160004
	database   string          // that we are in
	roleHere   bool            // the user has a setting role for it
	md5        bool            // password_encryption is md5
	iterations int             // scram_iterations, or the default before 16; 0: the database's, which does not count
	verifiers  bool            // pg_authid may be read
	hba        bool            // pg_hba_file_rules may be read
	standbys   string          // synchronous_standby_names, where a COMMIT waits for them and that can be seen
	attempts   int             // after how many refused logins credcheck bans a role
	guessed    bool            // SCRAM was chosen, and clients may know md5 alone
	upgrades   bool            // SCRAM was chosen, and an md5 hash is there
	restricted bool            // rds.restrict_password_commands is on
	port       string          // that the server listens on, by its own word; "": a socket
	roles      map[string]role // by name: those that the change is of, and the one that we act as
	seen       pairSeen        // of a pair
}

// connect makes the one connection of a method call: TCP, TLS, login, each within
// its own limit.
func (e Engine) connect(ctx context.Context, login strategies.Login) (*session, error) {
	return e.connectIn(ctx, login, encoding)
}

// encoding converts nothing. A name is bytes to the server: those of the login are
// compared as they come, and so must be those of every statement, whatever the
// encoding of the database is.
const encoding = "SQL_ASCII"

// connectIn is connect with an encoding of the client; "" leaves it to the server, as
// libpq does: it takes the setting of the role, by which it may refuse the login.
func (e Engine) connectIn(ctx context.Context, login strategies.Login, encoding string) (*session, error) {
	if err := checkLogin(login); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w: there was no time left to begin: %w", dial.Describe(login),
			rotator.KindDeadline, err)
	}
	tcp, err := dial.Connect(ctx, login, dial.TimeoutOrDefault(e.DialTimeout))
	if err != nil {
		return nil, wrapError(ctx, login, operation{phase: dialing, limit: dial.TimeoutOrDefault(e.DialTimeout)}, err)
	}
	conn, err := e.secure(ctx, login, tcp)
	if err != nil {
		tcp.Close()
		return nil, wrapError(ctx, login, operation{phase: securing, limit: dial.TimeoutOrDefault(e.HandshakeTimeout),
			roots: dial.RDS(e.Roots)}, err)
	}
	s := &session{login: login, tcp: tcp, limit: dial.TimeoutOrDefault(e.StatementTimeout), method: authUnknown}
	limit := dial.LoginTime(ctx, e.LoginTimeout)
	if err := s.logIn(ctx, conn, limit, encoding); err != nil {
		tcp.Close()
		return nil, wrapError(ctx, login, operation{phase: loggingIn, limit: limit, method: s.method,
			proved: s.proved, proven: s.proven, remedy: connectRemedy(login)}, err)
	}
	return s, nil
}

func checkLogin(login strategies.Login) error {
	if login.Host == "" || login.Port < 1 || login.Port > 65535 {
		return fmt.Errorf("login: %w: want a host and a port from 1 to 65535, not %s", rotator.KindMisconfigured,
			net.JoinHostPort(login.Host, strconv.Itoa(login.Port)))
	}
	if login.Database != "" {
		if err := checkName("database name", login.Database); err != nil {
			return err
		}
	}
	if strings.ContainsRune(login.Password.Reveal(), 0) {
		return fmt.Errorf("login: %w: the password of user %q holds a NUL, which PostgreSQL cannot store",
			rotator.KindMisconfigured, login.User)
	}
	return checkName("user name", login.User)
}

// errRefusedTLS is a server that answered the request for TLS with no.
var errRefusedTLS = errors.New("server refused TLS")

// errNotReady is a server that answered it with an error, unprotected and so
// unread, because it could not start a process for the connection.
var errNotReady = errors.New("server answered the request for TLS with an error")

// errNotPostgres is something else that listens on the port.
var errNotPostgres = errors.New("the answer is not PostgreSQL's")

// secure puts TLS between us and the server. It does not leave that to the driver,
// which shakes hands at its first write and gives the failures of both one name.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
func (e Engine) secure(ctx context.Context, login strategies.Login, conn net.Conn) (net.Conn, error) {
	if login.TLS.Disabled {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dial.TimeoutOrDefault(e.HandshakeTimeout))
	defer cancel()
	if err := requestTLS(ctx, conn); err != nil {
		return nil, err
	}
	secured := tls.Client(conn, dial.TLSConfig(login, dial.RDS(e.Roots)))
	return secured, secured.HandshakeContext(ctx)
}

// requestTLS reads exactly one byte of answer: whatever an attacker puts after it
// must go to the handshake, and fail there.
func requestTLS(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	const sslRequest = 80877103
	request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), sslRequest)
	answer := make([]byte, 1)
	_, err := conn.Write(request)
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	switch {
	case !stop():
		return ctx.Err()
	case err != nil:
		return err
	case answer[0] == 'N':
		return errRefusedTLS
	case answer[0] == 'E':
		return errNotReady
	case answer[0] != 'S':
		return errNotPostgres
	}
	return nil
}

// logIn authenticates over conn. Two things are done for the driver: passwords
// are normalised as PostgreSQL does it where SCRAM is asked for (the driver's own
// rule differs), and the method asked for is remembered, for errors to name.
func (s *session) logIn(ctx context.Context, conn net.Conn, limit time.Duration, encoding string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	config, err := blankConfig()
	if err != nil {
		return err
	}
	if encoding != "" {
		config.RuntimeParams["client_encoding"] = encoding
	}
	config.Host, config.Port = s.login.Host, uint16(s.login.Port)
	config.Database, config.User, config.Password = s.login.Database, s.login.User, s.login.Password.Reveal()
	config.RequireAuth = "!none"
	if s.login.TLS.Disabled {
		config.RequireAuth = "!none,!password"
	}
	// a server of another protocol announces far more, and would be waited for
	config.MaxProtocolMessageBodyLen = 1 << 20
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{s.login.Host}, nil }
	config.DialFunc = singleDial(conn)
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		ask := func(m authMethod) {
			s.method = m
			if m == authSASL {
				config.Password = saslPrep(config.Password)
			}
			s.proved = m == authMD5 || m == authCleartext // the driver answers at once
		}
		scram := func(shown string) { s.proved, s.shown = true, shown } // and this by the proof
		accepted := func() { s.proven = s.proved }
		return pgproto3.NewFrontend(&authReader{Reader: &poolerReader{Reader: r}, ask: ask, scram: scram,
			accepted: accepted}, w)
	}
	s.pg, err = pgconn.ConnectConfig(ctx, config)
	return err
}

// singleDial hands out a connection a single time. The driver dials again only to cancel
// a statement, and the server's own statement_timeout does that here.
func singleDial(conn net.Conn) pgconn.DialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		if conn == nil {
			return nil, errors.New("one connection is enough")
		}
		c := conn
		conn = nil
		return c, nil
	}
}

// pinned gives every parameter that the driver would otherwise look for in the
// environment or a home folder. TLS is off in it because secure does that.
const pinned = "host=localhost port=5432 user=unset dbname=unset password=unset passfile='' " +
	"sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' sslcertmode=allow sslsni=1 " +
	"sslnegotiation=postgres " +
	"target_session_attrs=any connect_timeout=0 min_protocol_version=3.0 max_protocol_version=3.0 " +
	// in which no service is that PGSERVICE could name
	"channel_binding=prefer require_auth=!none servicefile=" + os.DevNull

// blankConfig makes a driver's configuration out of nothing. Only the driver's
// parser can make one at all, and the parser reads the environment: everything it
// could find there is given to it or thrown away. PGSERVICE alone can only be refused.
func blankConfig() (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig(pinned)
	if err != nil {
		return nil, fmt.Errorf("environment: %w: the PostgreSQL driver refuses it. Remove the variable PGSERVICE: "+
			"this function takes nothing from a service file", rotator.KindMisconfigured)
	}
	config.RuntimeParams = map[string]string{"application_name": "quarterturn"}
	return config, nil
}

// authMethod is how a server asks for a password: the number in its request.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
type authMethod int

const (
	authUnknown   authMethod = -1
	authNone      authMethod = 0 // let in, and where it comes first, unasked
	authCleartext authMethod = 3
	authMD5       authMethod = 5
	authGSS       authMethod = 7
	authSSPI      authMethod = 9
	authSASL      authMethod = 10
	authContinue  authMethod = 11 // SASL goes on: salt and iterations
)

// authReader looks at the first messages of a server, before the driver acts on
// them: how it wants the password proved, by how many iterations and which salt of
// SCRAM the account is kept, and whether the proof was accepted.
type authReader struct {
	io.Reader
	head     []byte // what came, from the message that is not read yet
	asked    bool
	done     bool
	ask      func(authMethod)
	scram    func(shown string)
	accepted func()
}

func (r *authReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if !r.done && n > 0 {
		r.head = append(r.head, p[:n]...)
		r.look()
	}
	return n, err
}

// look reads the messages of the authentication, as far as they have come.
func (r *authReader) look() {
	const size, longest = 9, 4096 // 'R', length, method
	for len(r.head) >= size {
		method, end := authMethod(binary.BigEndian.Uint32(r.head[5:])), 1+int(binary.BigEndian.Uint32(r.head[1:]))
		if r.head[0] != 'R' || end < size || end > longest {
			r.done, r.head = true, nil
			return
		}
		if !r.asked {
			r.asked = true
			r.ask(method)
		}
		if len(r.head) < end {
			return
		}
		if method == authContinue {
			nonce, iterations, _ := strings.Cut(string(r.head[size:end]), ",i=")
			_, salt, _ := strings.Cut(nonce, ",s=")
			if _, err := strconv.Atoi(iterations); err == nil {
				r.scram(iterations + ":" + salt)
			}
		}
		if method == authNone {
			r.accepted()
			r.done, r.head = true, nil
			return
		}
		r.head = r.head[end:]
	}
}

// noTransactions is what PgBouncer says in statement pooling, before it ends the connection.
const noTransactions = "transaction blocks not allowed in statement pooling mode"

// poolerReader finds noTransactions where it is. PgBouncer does not wait until the answer before it has been taken
// whole: its error stands in the midst of a row then, and the driver can only say that it cannot read that. No text of
// a row can look like it, for it has a NUL in it.
type poolerReader struct {
	io.Reader
	last []byte // of what was read before
}

func (r *poolerReader) Read(p []byte) (int, error) {
	const code = "08P01"
	said := []byte("C" + code + "\x00M" + noTransactions + "\x00")
	n, err := r.Reader.Read(p)
	r.last = append(r.last, p[:n]...)
	if bytes.Contains(r.last, said) {
		return 0, &pgconn.PgError{Severity: "FATAL", Code: code, Message: noTransactions}
	}
	r.last = append(r.last[:0], r.last[max(0, len(r.last)-len(said)):]...)
	return n, err
}

// close logs out. A server that does not listen is not waited for.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	s.pg.Close(ctx)
	s.tcp.Close()
}

// statement is what a flight carries: what it is for, its text, and the parameters that
// travel apart from the text.
type statement struct {
	operation
	sql  string
	args []string
}

// answer is what a statement gave: rows as text, where NULL is "", and its command tag.
type answer struct {
	rows [][]string
	tag  string
}

// flight sends statements together and then reads what they gave: one round trip,
// within one limit. The server runs none of those that come after one that failed.
func (s *session) flight(ctx context.Context, statements ...statement) ([]answer, error) {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	p := s.pg.StartPipeline(limited)
	for _, st := range statements {
		values := make([][]byte, len(st.args))
		for i, a := range st.args {
			values[i] = []byte(a)
		}
		p.SendQueryParams(st.sql, values, nil, nil, nil)
	}
	sent := p.Sync()
	answers := make([]answer, 0, len(statements))
	for _, st := range statements {
		a, err := answer{}, sent
		if err == nil {
			a, err = next(p)
		}
		if err != nil {
			p.Close()
			st.limit = s.limit
			return nil, wrapError(ctx, s.login, st.operation, err)
		}
		answers = append(answers, a)
	}
	if err := p.Close(); err != nil {
		st := statements[len(statements)-1]
		st.limit = s.limit
		return nil, wrapError(ctx, s.login, st.operation, err)
	}
	return answers, nil
}

// next reads what the next statement of a flight gave.
func next(p *pgconn.Pipeline) (answer, error) {
	results, err := p.GetResults()
	if err != nil {
		return answer{}, err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return answer{}, fmt.Errorf("the server gave a %T where the answer to a statement is due", results)
	}
	result := reader.Read()
	a := answer{rows: make([][]string, len(result.Rows)), tag: result.CommandTag.String()}
	for i, row := range result.Rows {
		for _, column := range row {
			a.rows[i] = append(a.rows[i], string(column))
		}
	}
	return a, result.Err
}

// query is a flight of one statement.
func (s *session) query(ctx context.Context, st operation, sql string, args ...string) ([][]string, error) {
	answers, err := s.flight(ctx, statement{st, sql, args})
	if err != nil {
		return nil, err
	}
	return answers[0].rows, nil
}

// row is query where the answer has one row: an answer without it is none.
func (s *session) row(ctx context.Context, st operation, sql string, args ...string) ([]string, error) {
	rows, err := s.query(ctx, st, sql, args...)
	if err != nil {
		return nil, err
	}
	return s.only(st, rows)
}

func (s *session) only(st operation, rows [][]string) ([]string, error) {
	if len(rows) != 1 {
		return nil, s.errorf(rotator.KindInternal, "%s: the server answered with %d rows in place of 1: is there a "+
			"proxy in between that changes answers?", st.action, len(rows))
	}
	return rows[0], nil
}

// errorf is an error that the engine itself found.
func (s *session) errorf(k rotator.Kind, format string, args ...any) error {
	return dial.Errorf(s.login, k, format, args...)
}

// fix is a statement that a person runs for what this session met.
func (s *session) fix(format string, args ...any) rotator.Fix {
	return s.writing(strategies.Fix(s.login, fmt.Sprintf(format, args...)))
}

// mend is a fix of what another login met.
func (s *session) mend(statement string) rotator.Fix {
	return s.writing(strategies.Fix(strategies.Login{}, statement))
}

func (s *session) byAdministrator(format string, args ...any) rotator.Fix {
	return s.writing(byAdministrator(format, args...))
}

// writing has what a person runs write, where that person's transactions begin read-only, too: by a setting of the
// database, of all users or of the server.
func (s *session) writing(f rotator.Fix) rotator.Fix {
	const begin, commit = "BEGIN READ WRITE; ", "; COMMIT"
	looks := slices.ContainsFunc([]string{trusted, "SELECT ", "SHOW ", alterSystem, begin}, func(words string) bool {
		return strings.HasPrefix(f.Run, words)
	})
	if looks || s.readOnlyBy == "" && s.pg.ParameterStatus(readOnlySetting) != "on" { // which is told as of 14
		return f
	}
	rest, inBlock := strings.CutPrefix(f.Run, "BEGIN; ")
	if f.Run = begin + rest; !inBlock {
		f.Run += commit
	}
	return f
}

// checkSession refuses a login that turned into another's, as a pooler or a user name
// map can do, and one that a pooler let in: a server names its process at the end of the
// login, and a pooler, which keeps connections of its own, makes up a number.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
func (s *session) checkSession(user, pid string) error {
	switch {
	case user != s.login.User:
		return s.errorf(rotator.KindMisconfigured, "the server logged us in as %q: is there a pooler or a user name "+
			"map in between? Use the database's own endpoint as host", user)
	case s.login.PoolerForwardsLogins, pid == strconv.FormatUint(uint64(s.pg.PID()), 10):
		return nil
	}
	return strategies.MarkPoolerError(s.errorf(rotator.KindMisconfigured,
		"a pooler is in between (the login was answered by process %d, and the statement by process %s): it may "+
			"judge logins by passwords of its own, so that this login proves nothing and nothing is changed. To "+
			"fix it, %s", s.pg.PID(), pid, strategies.PoolerRemedy))
}

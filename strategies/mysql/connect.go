package mysql

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// session is one connection, logged in.
type session struct {
	login strategies.Login
	conn  driverConn
	wire  *wire
	limit time.Duration // of each statement

	mariadb       bool
	actingAccount account // whom the server let in; unknown in the sandbox
	// sandbox is where a server keeps a user that logs in with an expired password: it
	// answers nothing but a change of that password.
	sandbox bool
	// attempts is after how many refused logins the account that is logged in is
	// blocked, as MySQL says in a rehearsal; 0: never.
	attempts int

	policy      string              // MySQL's authentication_policy, where it was looked up
	changed     string              // how much of a password MySQL wants changed; "", "0": nothing
	granted     map[account]granted // see grants
	activateAll string              // see allRoles
	known       map[string]reply    // see askAhead
}

// reply is what the server said to a statement.
type reply struct {
	rows [][]string
	err  error
}

// driverConn is what the driver's connections can do. database/sql is left out: its
// pool would log in again by itself.
type driverConn interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
}

// connect makes the one connection of a method call: TCP, TLS, login, each within
// its own limit. many allows it many statements in one text.
func (e Engine) connect(ctx context.Context, login strategies.Login, many bool) (*session, error) {
	if err := checkLogin(login); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w: there was no time left to begin: %w", dial.Describe(login),
			rotator.KindDeadline, err)
	}
	for tries := 3; ; tries-- {
		tcp, err := dial.Connect(ctx, login, dial.TimeoutOrDefault(e.DialTimeout))
		if err != nil {
			return nil, wrapError(ctx, login, operation{phase: dialing, limit: dial.TimeoutOrDefault(e.DialTimeout)},
				err)
		}
		s := &session{login: login, wire: &wire{Conn: tcp}, limit: dial.TimeoutOrDefault(e.StatementTimeout)}
		err = s.logIn(ctx, e, many)
		s.mariadb = strings.Contains(s.wire.version, "MariaDB")
		if err == nil {
			return s, nil
		}
		tcp.Close()
		if s.mariadb && errors.Is(err, mysql.ErrMalformPkt) {
			switch {
			case s.wire.switched():
				err = errNextMethod
			case tries > 1:
				// Version 1.10.1 of the driver drops the last byte of an ed25519 challenge that
				// is zero, once in 256 logins, and stops before it has answered.
				continue
			}
		}
		st := operation{phase: s.wire.phase(login), limit: dial.TimeoutOrDefault(e.HandshakeTimeout),
			roots: dial.RDS(e.Roots)}
		if st.phase == loggingIn {
			st.limit = s.wire.loginTime
		}
		return nil, s.wrapError(ctx, st, err)
	}
}

func checkLogin(login strategies.Login) error {
	if login.Host == "" || login.Port < 1 || login.Port > 65535 {
		return fmt.Errorf("login: %w: want a host and a port from 1 to 65535, not %s", rotator.KindMisconfigured,
			dial.Address(login))
	}
	if login.Database != "" {
		if err := checkName("database name", login.Database); err != nil {
			return err
		}
	}
	switch {
	case login.Password.Empty():
		return fmt.Errorf("login: %w: the password of user %q is empty, and a login without one proves nothing",
			rotator.KindMisconfigured, login.User)
	case strings.ContainsRune(login.Password.Reveal(), 0):
		return fmt.Errorf("login: %w: the password of user %q holds a NUL, at which the server would end it",
			rotator.KindMisconfigured, login.User)
	}
	return checkName(userName, login.User)
}

// logIn shakes hands and authenticates. The driver shuts the connection when ctx
// ends, so that no silence or dripping outlasts it. The time to authenticate begins when
// the credentials may go out.
func (s *session) logIn(ctx context.Context, e Engine, many bool) error {
	within := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(dial.TimeoutOrDefault(e.HandshakeTimeout), func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	s.wire.ready = func() {
		s.wire.loginTime = dial.LoginTime(within, e.LoginTimeout)
		timer.Reset(s.wire.loginTime)
	}
	config := mysql.NewConfig()
	config.Logger, config.MultiStatements = new(mysql.NopLogger), many
	config.Net, config.Addr = "tcp", dial.Address(s.login)
	config.User, config.Passwd, config.DBName = s.login.User, s.login.Password.Reveal(), s.login.Database
	if many && isEveryones(s.login.Database) { // replicas may leave out what is changed in it
		config.DBName = ""
	}
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return s.wire, nil }
	if !s.login.TLS.Disabled {
		config.TLS = e.tls(s.login, s.wire)
	}
	s.wire.plain = s.login.TLS.Disabled
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	conn, err := s.connectBy(ctx, connector)
	if err != nil {
		// A connection that was shut reads as any other that broke off.
		return errors.Join(s.wire.odd, context.Cause(ctx), err)
	}
	s.conn = conn.(driverConn)
	return nil
}

// connectBy guards against a driver that takes the server's word for the length of
// what it sends: a server of another protocol would end the program.
func (s *session) connectBy(ctx context.Context, connector driver.Connector) (conn driver.Conn, err error) {
	defer func() {
		if r := recover(); r != nil {
			conn, err = nil, errNotMySQL
		}
	}()
	return connector.Connect(ctx)
}

func (e Engine) tls(login strategies.Login, w *wire) *tls.Config {
	config := dial.TLSConfig(login, dial.RDS(e.Roots))
	config.VerifyConnection = func(tls.ConnectionState) error {
		w.secured = true
		w.ready()
		return nil
	}
	return config
}

// errNotMySQL is something else that listens on the port.
var errNotMySQL = errors.New("the answer is not MySQL's")

// errNextMethod is an account of MariaDB with several methods, of which one has refused the
// password, and the server asks for the next. The driver answers one request for another method.
var errNextMethod = errors.New("the driver answers one request for another method")

// wire is the connection under the driver. It reads the server's greeting for the
// version, which an account in the sandbox cannot ask for, and for the number of the
// connection, which tells a pooler from the server; and it announces in the
// client's first packet what the driver does not.
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
type wire struct {
	net.Conn
	head    []byte // the greeting, up to the number
	version string // "9.7.4", "5.5.5-10.11.19-MariaDB"
	thread  uint32 // the number of the connection
	answer  bool   // the client's first packet has been sent
	secured bool   // TLS holds
	odd     error  // why this is no server of ours
	sent    int    // how often the client wrote since the credentials may go out

	plain     bool          // without TLS
	ready     func()        // called when the credentials may go out
	loginTime time.Duration // and how long the server has for them
}

// Capability flags, in the first four bytes of the client's first packet. That is the
// plaintext one also with TLS, and the only one whose flags the server reads.
const (
	localFiles           = 1 << 7  // the server may ask for a file: never
	handlesExpiredLogins = 1 << 22 // an expired password gets the sandbox, not a refusal (MySQL)
)

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.version == "" && n > 0 && !w.answer {
		w.head = append(w.head, p[:n]...)
		if w.odd = w.greeting(); w.odd != nil {
			return 0, w.odd
		}
	}
	return n, err
}

// greeting looks at what has come of the first packet: 3 bytes of length, a number
// that is 0, and the version of the protocol (10) or 255 for an error. Another
// protocol's first bytes would read as a length that is waited for.
func (w *wire) greeting() error {
	const longest = 4096
	h := w.head
	if len(h) >= 4 && (h[3] != 0 || int(h[0])|int(h[1])<<8|int(h[2])<<16 > longest) || len(h) >= 5 && h[4] != 10 &&
		h[4] != 255 {
		return errNotMySQL
	}
	if len(h) < 5 || h[4] == 255 {
		return nil
	}
	if version, rest, ok := bytes.Cut(h[5:], []byte{0}); ok && len(rest) >= 4 {
		w.version, w.thread = string(version), binary.LittleEndian.Uint32(rest)
	}
	return nil
}

func (w *wire) Write(p []byte) (int, error) {
	if !w.answer && len(p) >= 8 {
		w.answer = true
		if w.plain {
			w.ready()
		}
		p = bytes.Clone(p)
		flags := binary.LittleEndian.Uint32(p[4:])
		binary.LittleEndian.PutUint32(p[4:], flags&^localFiles|handlesExpiredLogins)
	}
	if w.plain || w.secured {
		w.sent++
	}
	return w.Conn.Write(p)
}

// switched says whether the driver has answered a request for another method than it had begun
// with: by the write after that of the credentials. Before them is the end of TLS's handshake.
func (w *wire) switched() bool { return w.plain && w.sent > 1 || w.sent > 2 }

// phase tells from the bytes seen how far the login had come.
func (w *wire) phase(login strategies.Login) phase {
	switch {
	case !w.answer:
		return greeting
	case !login.TLS.Disabled && !w.secured:
		return securing
	}
	return loggingIn
}

// close logs out. A server that does not listen is not waited for.
func (s *session) close() {
	s.wire.SetDeadline(time.Now().Add(200 * time.Millisecond))
	s.conn.Close()
	s.wire.Close()
}

// query runs one statement within its limit. Results come as text; NULL is "".
func (s *session) query(ctx context.Context, st operation, sql string) ([][]string, error) {
	st.limit = s.limit
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	rows, err := s.rows(limited, sql)
	if err != nil {
		return nil, s.wrapError(ctx, st, err)
	}
	return rows, nil
}

// errNoRow is an answer that is none.
var errNoRow = errors.New("the server's answer has no row: is there a proxy in between that cuts answers?")

// row is query where the answer has one row at least.
func (s *session) row(ctx context.Context, st operation, sql string) ([]string, error) {
	st.limit = s.limit
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	row, err := s.oneRow(limited, sql)
	if err != nil {
		return nil, s.wrapError(ctx, st, err)
	}
	return row, nil
}

func (s *session) oneRow(ctx context.Context, sql string) ([]string, error) {
	rows, err := s.rows(ctx, sql)
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, errNoRow
	}
	return rows[0], nil
}

func (s *session) rows(ctx context.Context, sql string) ([][]string, error) {
	if r, ok := s.known[sql]; ok {
		delete(s.known, sql)
		return r.rows, r.err
	}
	rows, err := s.conn.QueryContext(ctx, sql, nil)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	defer rows.Close()
	return read(ctx, rows)
}

// askAhead sends, in one text and so in one round trip, what the session will ask for. rows
// finds the answers, each once. The server runs nothing after a statement that fails: that
// failure is an answer too, and what comes after it is asked for when its turn comes. first has no
// rows, and its failure is the error. These servers have no other way to carry several
// statements at a time. A statement that sets a password always goes alone.
func (s *session) askAhead(ctx context.Context, first string, looks []string) error {
	text := strings.Join(looks, "; ")
	if first != "" {
		text = first + "; " + text
	}
	rows, err := s.conn.QueryContext(ctx, text, nil)
	if err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	defer rows.Close()
	if s.known == nil {
		s.known = map[string]reply{}
	}
	for i, sql := range looks {
		if i > 0 {
			err = rows.(driver.RowsNextResultSet).NextResultSet()
		}
		var r reply
		if err == nil {
			r.rows, err = read(ctx, rows)
		}
		if err != nil && errorNumber(err) == 0 {
			return errors.Join(context.Cause(ctx), err)
		}
		r.err = err
		s.known[sql] = r
		if err != nil {
			return nil
		}
	}
	return nil
}

func read(ctx context.Context, rows driver.Rows) (all [][]string, err error) {
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, errors.Join(context.Cause(ctx), err)
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = text(v)
		}
		all = append(all, row)
	}
}

// text gives a value of the driver's as the server wrote it.
func text(v driver.Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// exec runs a statement that has no result.
func (s *session) exec(ctx context.Context, st operation, sql string) error {
	st.limit = s.limit
	if err := s.execRaw(ctx, sql); err != nil {
		return s.wrapError(ctx, st, err)
	}
	return nil
}

// batch is how many statements go in one text. Each has to end within the limit of one.
const batch = 100

// execAll runs statements that can be run again, many in one round trip: an account can
// have thousands of grants, and a database can be far away. of says what each is.
func (s *session) execAll(ctx context.Context, of func(statement) operation, all []statement) error {
	for some := range slices.Chunk(all, batch) {
		err := s.execRaw(ctx, s.together(some, ""))
		if err == nil {
			continue
		}
		if errorNumber(err) == 0 || len(some) == 1 {
			st := of(some[0])
			st.limit = s.limit
			return s.wrapError(ctx, st, err)
		}
		// Which of them was it? What the text has taken away already is gone.
		for _, sql := range some {
			st := of(sql)
			st.limit = s.limit
			err := s.execRaw(ctx, sql.text)
			if n := errorNumber(err); err != nil && n != 1141 && n != 1147 {
				return s.wrapError(ctx, st, err)
			}
		}
	}
	return nil
}

// together is one text of statements. first goes before them, on MariaDB, where they are a block.
func (s *session) together(some []statement, first string) string {
	texts := make([]string, len(some))
	for i, sql := range some {
		texts[i] = sql.text
	}
	text := strings.Join(texts, "; ")
	if s.mariadb && (first != "" || len(some) > 1) {
		return "BEGIN NOT ATOMIC " + first + text + "; END"
	}
	return text
}

// execRaw runs a statement within its limit and leaves its error as it is, for
// callers to whom some errors are answers.
func (s *session) execRaw(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	if _, err := s.conn.ExecContext(ctx, sql, nil); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return nil
}

// errorf is an error that the engine itself found.
func (s *session) errorf(k rotator.Kind, format string, args ...any) error {
	return dial.Errorf(s.login, k, format, args...)
}

// fix is a statement that a person runs for what this session met.
func (s *session) fix(format string, args ...any) rotator.Fix {
	return strategies.Fix(s.login, fmt.Sprintf(format, args...))
}

// errorNumber is the server's number of an error, or 0.
func errorNumber(err error) int {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return int(e.Number)
	}
	return 0
}

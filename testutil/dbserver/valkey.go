package dbserver

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// ValkeyServer is a Valkey or Redis of one's own, with the superuser Superuser, whose rights are everything.
type ValkeyServer struct {
	Name    string // of Programs: "valkey-9"
	Version string
	Endpoint
	Superuser string
	Password  string
	Identity
	*process
	program Program
	options ValkeyOptions
	bus     int // the port for other nodes of a cluster
}

// ValkeyOptions are how one is started.
type ValkeyOptions struct {
	Name string // "": valkey-9
	TLS  *TLS   // nil: plaintext
	// Users is where they are saved: "aclfile" (or ""), "config", "nowhere".
	Users string
	// Mode is "" (a server of its own), "cluster" (a node, with no slots) or "sentinel".
	Mode string
	Conf map[string]string

	like Identity // of another server, whose names and authority it has
}

// Valkeys are the releases, the one of make test first.
func Valkeys() []string { return []string{"valkey-9", "valkey-8", "redis-8", "redis-7", "redis-6"} }

// ValkeysInTier are those that a test of all releases runs on in the tier that is running: in make test one.
func ValkeysInTier(t testing.TB) []string {
	t.Helper()
	return tier.Share(t, Valkeys(), "valkey-9")
}

// NewValkey is a server for one test, closed at its end.
func NewValkey(t testing.TB, o ValkeyOptions) *ValkeyServer {
	t.Helper()
	return own(t, func(ctx context.Context) (*ValkeyServer, error) { return StartValkey(ctx, o) })
}

// StartValkey starts a server, for whoever has no testing.TB. The caller closes it.
func StartValkey(ctx context.Context, o ValkeyOptions) (*ValkeyServer, error) {
	if o.Name == "" {
		o.Name = Valkeys()[0]
	}
	program, err := FindProgram(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	p, err := newProcess(habits{name: strings.ReplaceAll(o.Name, ".", ""), pidFile: "pid",
		stop: []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	s := &ValkeyServer{Name: o.Name, Version: program.Version, Endpoint: Endpoint{Host: "127.0.0.1"},
		Superuser: "admin", Password: goodPassword(), process: p, program: program, options: o}
	if err := s.setUp(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", o.Name, err, logTail([]byte(s.Log()))), s.Close())
	}
	return s, nil
}

func (s *ValkeyServer) setUp(ctx context.Context) error {
	rules := s.rules()
	users := "user default off\nuser " + s.Superuser + " on #" + sha(s.Password) + " " + strings.Join(rules, " ") + "\n"
	conf := map[string]string{"dir": s.dir, "pidfile": filepath.Join(s.dir, "pid"), "bind": s.Host, "save": `""`, "appendonly": "no",
		"slowlog-log-slower-than": "0", "slowlog-max-len": "100000"}
	if t := s.options.TLS; t != nil {
		id, err := s.options.like, error(nil)
		if id.issuer != nil {
			err = id.renew(s.dir, true)
		} else {
			id, err = t.install(s.dir)
		}
		if err != nil {
			return err
		}
		s.Identity = id
		conf["tls-cert-file"], conf["tls-key-file"], conf["tls-auth-clients"] = filepath.Join(s.dir, "server.crt"),
			filepath.Join(s.dir, "server.key"), "no"
	}
	maps.Copy(conf, s.options.Conf)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		fmt.Fprintf(&text, "%s %s\n", name, conf[name])
	}
	switch s.options.Users {
	case "", "aclfile":
		fmt.Fprintf(&text, "aclfile %s\n", s.aclFile())
		if err := writeFile(s.aclFile(), []byte(users)); err != nil {
			return err
		}
	case "config":
		text.WriteString(users)
	}
	if err := writeFile(s.confFile(), []byte(text.String())); err != nil {
		return err
	}
	var err error
	s.Port, err = s.process.serve(ctx, s.argv, func() bool {
		return strings.Contains(s.Log(), s.ready())
	}, portTakenValkey)
	if err == nil && s.options.Users == "nowhere" {
		err = s.do(ctx, "default", "", append([]string{"ACL", "SETUSER", s.Superuser, "on", "#" + sha(s.Password)},
			rules...), []string{"ACL", "SETUSER", "default", "off"})
	}
	return err
}

// rules are those of the superuser: everything.
func (s *ValkeyServer) rules() []string {
	if s.Name == "redis-6" { // 6.0 knows no channels
		return []string{"~*", "+@all"}
	}
	return []string{"~*", "&*", "+@all"}
}

const (
	readyValkey     = "eady to accept connections"
	readySentinel   = "Sentinel ID is "
	portTakenValkey = "Address already in use"
)

// ready is what the server logs when it is.
func (s *ValkeyServer) ready() string {
	if s.options.Mode == "sentinel" {
		return readySentinel
	}
	return readyValkey
}

// Client is the command line of the client that came with the server; nil: none did.
func (s *ValkeyServer) Client() []string {
	argv := slices.Clone(s.program.argv)
	client, ok := strings.CutSuffix(argv[len(argv)-1], "-server")
	if _, err := os.Stat(client + "-cli"); !ok || err != nil {
		return nil
	}
	argv[len(argv)-1] = client + "-cli"
	return argv
}

func (s *ValkeyServer) confFile() string { return filepath.Join(s.dir, "conf") }
func (s *ValkeyServer) aclFile() string  { return filepath.Join(s.dir, "users.acl") }

func (s *ValkeyServer) argv(port int) []string {
	s.Port = port
	args := []string{s.confFile()}
	if s.options.Users == "nowhere" {
		args = nil
		for name, value := range map[string]string{"dir": s.dir, "pidfile": filepath.Join(s.dir, "pid"), "bind": s.Host,
			"save": ""} {
			args = append(args, "--"+name, value)
		}
	}
	if s.options.TLS != nil {
		args = append(args, "--port", "0", "--tls-port", strconv.Itoa(port))
	} else {
		args = append(args, "--port", strconv.Itoa(port))
	}
	switch s.options.Mode {
	case "cluster":
		args = append(args, "--cluster-enabled", "yes")
		s.bus = port + 10000
		if free, err := freePort(); err == nil && s.Name != "redis-6" { // which cannot be told
			s.bus = free
			args = append(args, "--cluster-port", strconv.Itoa(free))
		}
	case "sentinel":
		args = append(args, "--sentinel")
	}
	cmd := s.program.Command(context.Background(), args...)
	return append([]string{cmd.Path}, cmd.Args[1:]...)
}

// Restart kills the server, as a loss of power does, and starts it again on the same port.
func (s *ValkeyServer) Restart(ctx context.Context) error {
	if err := s.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	<-s.exited
	said := strings.Count(s.Log(), s.ready())
	for tries := 20; ; tries-- { // a connection of somebody's may have the port for a moment
		taken := strings.Count(s.Log(), portTakenValkey)
		if err := s.start(s.argv(s.Port), serverEnv()); err != nil {
			return fmt.Errorf("restart: %w", err)
		}
		err := s.await(ctx, func() bool { return strings.Count(s.Log(), s.ready()) > said })
		if err != nil && (tries == 1 || strings.Count(s.Log(), portTakenValkey) == taken) {
			return fmt.Errorf("restart: %w\n%s", err, logTail([]byte(s.Log())))
		}
		if err == nil {
			return nil
		}
	}
}

// Meet has a node of a cluster know another, and returns when both do.
func (s *ValkeyServer) Meet(ctx context.Context, other *ValkeyServer) error {
	knows := func(node *ValkeyServer, others int) bool {
		info, err := node.Ask(ctx, node.Superuser, node.Password, []string{"CLUSTER", "INFO"})
		return err == nil && strings.Contains(fmt.Sprint(info), fmt.Sprintf("cluster_known_nodes:%d\r", 1+others))
	}
	before := 0
	for !knows(s, before) {
		if before++; before > 9 {
			return errors.New("cluster: the nodes that there are could not be counted")
		}
	}
	if err := s.Exec(ctx, []string{"CLUSTER", "MEET", other.Host, strconv.Itoa(other.Port),
		strconv.Itoa(other.bus)}); err != nil {
		return err
	}
	for _, node := range []*ValkeyServer{s, other} {
		if err := node.await(ctx, func() bool { return knows(node, before+1) }); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	return nil
}

// Follow makes the server a replica of another, and returns when it has all that the other has.
func (s *ValkeyServer) Follow(ctx context.Context, primary *ValkeyServer) error {
	err := s.Exec(ctx, []string{"CONFIG", "SET", "masteruser", primary.Superuser},
		[]string{"CONFIG", "SET", "masterauth", primary.Password},
		[]string{"REPLICAOF", primary.Host, strconv.Itoa(primary.Port)})
	if err != nil {
		return err
	}
	return primary.Exec(ctx, []string{"SET", "follow", "1"}, []string{"WAIT", "1", "0"})
}

// Exec sends commands as the superuser, and gives the answer to the last: a string, an error of the server's as an
// error, or a list.
func (s *ValkeyServer) Exec(ctx context.Context, commands ...[]string) error {
	return s.do(ctx, s.Superuser, s.Password, commands...)
}

// As sends commands as some user.
func (s *ValkeyServer) As(ctx context.Context, user, password string, commands ...[]string) error {
	return s.do(ctx, user, password, commands...)
}

func (s *ValkeyServer) do(ctx context.Context, user, password string, commands ...[]string) error {
	_, err := s.Ask(ctx, user, password, commands...)
	return err
}

// ValkeyError is an error that the server answered with.
type ValkeyError string

// Error is the server's words.
func (e ValkeyError) Error() string { return string(e) }

// Ask logs in, sends commands and gives the answer to the last: nil, a string or a list of answers.
func (s *ValkeyServer) Ask(ctx context.Context, user, password string, commands ...[]string) (answer any, err error) {
	tcp, err := s.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer tcp.Close()
	defer context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })()
	conn := tcp
	if config := s.tlsConfig(); config != nil {
		conn = tls.Client(conn, config)
	}
	in := bufio.NewReader(conn)
	login := []string{"AUTH", user, password}
	if user == "default" && password == "" {
		login = []string{"PING"}
	}
	for _, words := range append([][]string{login}, commands...) {
		text := fmt.Sprintf("*%d\r\n", len(words))
		for _, w := range words {
			text += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return nil, err
		}
		if answer, err = readAnswer(in); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// readAnswer reads RESP2.
func readAnswer(in *bufio.Reader) (any, error) {
	line, err := in.ReadString('\n')
	if err != nil || len(line) < 3 {
		return nil, errors.Join(err, errors.New("an answer that is cut"))
	}
	text := line[1 : len(line)-2]
	n, _ := strconv.Atoi(text)
	switch line[0] {
	case '-':
		return nil, ValkeyError(text)
	case '$':
		if n < 0 {
			return nil, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(in, b)
		return string(b[:n]), err
	case '*':
		var all []any
		for range n {
			one, err := readAnswer(in)
			var said ValkeyError
			if err != nil && !errors.As(err, &said) {
				return nil, err
			}
			if err != nil {
				one = said
			}
			all = append(all, one)
		}
		return all, nil
	}
	return text, nil
}

// Users are the lines of ACL LIST, by name.
func (s *ValkeyServer) Users(ctx context.Context) (map[string]string, error) {
	answer, err := s.Ask(ctx, s.Superuser, s.Password, []string{"ACL", "LIST"})
	if err != nil {
		return nil, err
	}
	lines, _ := answer.([]any)
	all := map[string]string{}
	for _, line := range lines {
		_, rest, _ := strings.Cut(fmt.Sprint(line), " ")
		name, rules, _ := strings.Cut(rest, " ")
		if s.Name == "redis-6" {
			rules = commandsInOrder(rules)
		}
		all[name] = rules
	}
	return all, nil
}

// commandsInOrder sorts the commands of rules, which 6.0 lists in the order of a table whose seed each start draws
// anew. Each is there once, after the categories, so that their order says nothing.
func commandsInOrder(rules string) string {
	words := strings.Split(rules, " ")
	single := func(word string) bool { return strings.IndexAny(word, "+-") == 0 && !strings.Contains(word, "@") }
	if first := slices.IndexFunc(words, single); first >= 0 && !slices.ContainsFunc(words[first:], func(w string) bool {
		return !single(w)
	}) {
		slices.Sort(words[first:])
	}
	return strings.Join(words, " ")
}

// Census is everything that the server has of its users, by census.Fact.
func (s *ValkeyServer) Census(ctx context.Context) (map[string]string, error) {
	users, err := s.Users(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for name, line := range users {
		all[census.Fact(name, "account")] = "yes"
		var rules []string
		for _, word := range strings.Split(line, " ") {
			if hash, ok := strings.CutPrefix(word, "#"); ok {
				all[census.Fact(name, "verifier "+sha(hash)[:16])] = "yes"
				continue
			}
			rules = append(rules, word)
		}
		all[census.Fact(name, "rules")] = strings.Join(rules, " ")
	}
	return all, nil
}

// Commands is what the server has been sent, with its arguments: the slow log, of everything.
func (s *ValkeyServer) Commands(ctx context.Context) (string, error) {
	answer, err := s.Ask(ctx, s.Superuser, s.Password, []string{"SLOWLOG", "GET", "-1"})
	return fmt.Sprint(answer), err
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

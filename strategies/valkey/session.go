package valkey

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// session is one connection, logged in, and those to the other nodes of the secret.
type session struct {
	login   strategies.Login
	conn    net.Conn
	in      *bufio.Reader
	limit   time.Duration
	mode    string             // standalone, cluster, sentinel; "": not known yet
	replica bool               // it is known to be one
	save    []string           // the command that saves users; nil: there is no file
	file    string             // where it saves them
	version string             // of Redis, as INFO has it
	run     string             // the id of this run of the server
	users   map[string]account // as they were read last
	others  []*session
}

// all are the nodes, the host of the secret first.
func (s *session) all() []*session { return append([]*session{s}, s.others...) }

func (s *session) close() {
	if s == nil {
		return
	}
	for _, node := range s.all() {
		if node.conn != nil {
			node.conn.Close()
		}
	}
}

// connect logs in at each node. Where one rejects the login, the others are asked, too, as users are not shared between
// nodes: a value that one of them lets in is right.
func (e Engine) connect(ctx context.Context, login strategies.Login) (*session, error) {
	places, err := nodes(login)
	if err != nil {
		return nil, err
	}
	var first *session
	var refused error
	var lets, rejects []string
	for _, place := range places {
		s, err := e.logIn(ctx, place)
		switch {
		case errors.Is(err, rotator.KindLoginRejected):
			refused, rejects = cmp.Or(refused, err), append(rejects, dial.Address(place))
		case err != nil && refused == nil:
			first.close()
			return nil, err
		case err != nil: // which is another thing
		default:
			lets = append(lets, dial.Address(place))
			if first == nil {
				first = s
			} else {
				first.others = append(first.others, s)
			}
		}
	}
	if refused == nil {
		return first, nil
	}
	first.close()
	if lets != nil {
		var fixes []rotator.Fix
		if login.For == nil { // of a superuser, its strategy says what to do
			fixes = e.letIn(login.User, rejects)
		}
		refused = partly{rotator.WithFix(fmt.Errorf("%w (%s lets it in, and %s does not: users are not shared between "+
			"nodes)", refused, strings.Join(lets, " and "), strings.Join(rejects, " and ")), "", fixes...)}
	}
	return nil, refused
}

// partly implements rotator.PartialLogin.
type partly struct{ error }

func (p partly) Unwrap() error { return p.error }

// PartlyLetIn implements rotator.PartialLogin.
func (partly) PartlyLetIn() {}

// nodes gives a login for each node: the host, and what the key nodes names beside it.
func nodes(login strategies.Login) ([]strategies.Login, error) {
	if err := checkName(login.User); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("secret: %w: %s: want a list of \"host:port\"", rotator.KindMisconfigured,
			fmt.Sprintf(format, args...))
	}
	all := []strategies.Login{login}
	if text := login.Extra[keyNodes]; text != "" {
		var names []string
		if !strings.HasPrefix(text, "[") {
			names = strings.Split(text, ",")
		} else if json.Unmarshal([]byte(text), &names) != nil {
			return nil, wrong("nodes is not a list of strings")
		}
		for _, name := range names {
			host, digits, err := net.SplitHostPort(strings.TrimSpace(name))
			port, bad := strconv.Atoi(digits)
			if err != nil || bad != nil || port < 1 || port > 65535 || host == "" ||
				strings.ContainsFunc(host, func(r rune) bool {
					return r <= ' ' || r > '~' || strings.ContainsRune(`/?#@\"'[]`, r)
				}) {
				return nil, wrong("nodes holds %.80q", name)
			}
			node := login
			node.Host, node.Port = host, port
			if !slices.ContainsFunc(all, func(l strategies.Login) bool { return l.Host == host && l.Port == port }) {
				all = append(all, node)
			}
		}
	}
	for _, l := range all {
		if host := strings.ToLower(strings.TrimSuffix(l.Host, ".")); strings.Contains(host+"/", ".amazonaws.com/") ||
			strings.Contains(host+"/", ".amazonaws.com.cn/") {
			if strings.Contains(host, ".cache.") || strings.Contains(host, "memorydb.") {
				return nil, fmt.Errorf("secret: %w: host %s is Amazon's ElastiCache or MemoryDB, whose users change "+
					"by AWS's API alone (aws elasticache modify-user, aws memorydb update-user): this function "+
					"cannot rotate them", rotator.KindMisconfigured, l.Host)
			}
		}
	}
	return all, nil
}

// logIn connects to one node.
func (e Engine) logIn(ctx context.Context, login strategies.Login) (*session, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w: there was no time left to begin: %w", dial.Describe(login),
			rotator.KindDeadline, ctx.Err())
	}
	s := &session{login: login, limit: dial.TimeoutOrDefault(e.StatementTimeout)}
	tcp, err := dial.Connect(ctx, login, e.DialTimeout)
	if err != nil {
		return nil, s.wrap(ctx, operation{phase: dialing, limit: e.DialTimeout}, err)
	}
	limit := dial.TimeoutOrDefault(e.HandshakeTimeout)
	s.conn = tcp
	secured, err := dial.Secure(ctx, tcp, login, e.Roots, limit)
	if err != nil {
		s.close()
		return nil, s.wrap(ctx, operation{phase: securing, limit: limit, roots: e.Roots}, err)
	}
	s.conn = secured
	s.in = bufio.NewReaderSize(secured, maxLine)
	begin := func(context.Context) error {
		answers, err := s.exchange([]string{"HELLO", "2", "AUTH", login.User, login.Password.Reveal()})
		if said, ok := err.(serverError); ok && strings.HasPrefix(string(said), "NOPERM") {
			// Redis 6.0 holds HELLO to what the default user may do, and has not looked at the password.
			_, err = s.exchange([]string{"AUTH", login.User, login.Password.Reveal()})
			return err
		}
		if err == nil {
			about := pairs(answers[0])
			s.mode, s.replica = about["mode"], about["role"] == "replica"
		}
		return err
	}
	if err := s.within(ctx, limit, begin); err != nil {
		s.close()
		return nil, s.wrap(ctx, operation{phase: loggingIn, limit: limit}, err)
	}
	if s.mode == "sentinel" {
		s.close()
		return nil, strategies.MarkLoginError(s.errorf(rotator.KindMisconfigured,
			"this is a Sentinel, which watches servers and has no users of theirs: give the server itself as host, "+
				"and its replicas in nodes"))
	}
	return s, nil
}

// within has call use the connection for so long, and as long as there is a context.
func (s *session) within(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	err := call(ctx)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// exchange sends commands as one, and reads an answer to each. The first by which the
// server refuses is the error.
func (s *session) exchange(commands ...[]string) ([]any, error) {
	var text strings.Builder
	for _, words := range commands {
		text.WriteString(encode(words))
	}
	if _, err := io.WriteString(s.conn, text.String()); err != nil {
		return nil, err
	}
	answers := make([]any, len(commands))
	var refused error
	for i := range commands {
		answer, err := decode(s.in, 0)
		if err != nil {
			return nil, err
		}
		if said, ok := answer.(serverError); ok && refused == nil {
			refused = said
		}
		answers[i] = answer
	}
	return answers, refused
}

// do is exchange within the limit of a command.
func (s *session) do(ctx context.Context, op operation, commands ...[]string) ([]any, error) {
	op.limit = s.limit
	var answers []any
	err := s.within(ctx, s.limit, func(context.Context) (err error) {
		answers, err = s.exchange(commands...)
		return err
	})
	if err != nil {
		return nil, s.wrap(ctx, op, err)
	}
	return answers, nil
}

// ask is do where the server may refuse: what it says is among the answers.
func (s *session) ask(ctx context.Context, op operation, commands ...[]string) (answers []any, err error) {
	op.limit = s.limit
	err = s.within(ctx, s.limit, func(context.Context) (err error) {
		answers, err = s.exchange(commands...)
		return err
	})
	if _, refused := err.(serverError); err != nil && !refused {
		return nil, s.wrap(ctx, op, err)
	}
	return answers, nil
}

// findFile finds out where users are saved.
func (s *session) findFile(ctx context.Context, allowUnsaved bool) error {
	op := operation{action: "finding out where users are saved", remedy: s.aclRemedy()}
	answers, err := s.do(ctx, op, []string{"CONFIG", "GET", "aclfile"}, []string{"INFO", "server"})
	if err != nil {
		return err
	}
	info, _ := answers[1].(string)
	if s.mode == "" {
		s.mode = field(info, "redis_mode")
	}
	s.version, s.run = field(info, "redis_version"), field(info, "run_id")
	aclFile, configFile := pairs(answers[0])["aclfile"], field(info, "config_file")
	switch {
	case aclFile != "":
		s.save, s.file = []string{"ACL", "SAVE"}, aclFile
	case configFile != "":
		s.save, s.file = []string{"CONFIG", "REWRITE"}, configFile
	case !allowUnsaved:
		return s.errorf(rotator.KindMisconfigured, "the server has neither an aclfile nor a configuration file: the "+
			"new password would be lost at its next restart. Start it with one (aclfile is the better), or accept "+
			"that with VALKEY_ALLOW_UNSAVED=true")
	}
	return nil
}

// checkAlone logs in at each node once more, where it was found out which run of the server it is: servers that take
// turns behind one name share no users. A rotation would change one of them, and the other's clients be locked out.
func (e Engine) checkAlone(ctx context.Context, s *session) error {
	for _, node := range s.all() {
		if node.run == "" {
			continue // not shown to this user
		}
		again, err := e.logIn(ctx, node.login)
		switch {
		case errors.Is(err, rotator.KindLoginRejected):
			return node.takeTurns("let this login in, and rejected it")
		case err != nil:
			continue // as where no connection is free: a rotation needs no second one
		}
		err = again.findFile(ctx, true)
		again.close()
		if err == nil && again.run != node.run {
			return node.takeTurns(fmt.Sprintf("are of two servers (run_id %.8s and %.8s)", node.run, again.run))
		}
	}
	return nil
}

// takeTurns is the error of a name that leads to several servers.
func (s *session) takeTurns(met string) error {
	return s.errorf(rotator.KindMisconfigured, "two connections to %s %s: servers take turns behind that name, as two "+
		"primaries behind a load balancer. Users are not shared between them: set no password by that name, which "+
		"one of them alone would have. Store the name of each server, as host and in nodes, in the secret and in the "+
		"superuser secret (of a pair, first name that in rotates), and run status, which then names the server that "+
		"has another password. If it was only restarted, or that password changed, just now, try again",
		dial.Address(s.login), met)
}

// before7 says that it is Redis 6.
func (s *session) before7() bool { return strings.HasPrefix(s.version, "6.") }

// field is a line of INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// thisRotation is the one whose preflight it is.
const thisRotation = "This rotation"

// nextRotation is the one after it, or after a status.
const nextRotation = "The next rotation"

// unheld warns of passwords of a user that the secret does not hold. That rotation ends them: others who log in
// with one are locked out then. It cannot be refused, for a rotation can leave such a password too, if AWSPENDING
// loses its label after setSecret. Not even a hash of it is shown: a password that a person has chosen can be guessed
// from one.
//
// Of a pair, it may be the other's: the words of the other's line give it that. Where one alone is to be left, it says
// of two that the secret holds that the rotation ends one: dual passwords may have left it, and be set no more.
func (s *session) unheld(ctx context.Context, user, rotation string, leavesOne bool) (all []strategies.Warning) {
	if s.login.For == nil {
		return nil
	}
	var left []string
	for _, node := range s.all() {
		left = append(left, node.users[user].passwords...)
	}
	slices.Sort(left)
	left = slices.Compact(left)
	if len(left) == 0 { // it is not there yet
		return nil
	}
	unread, has := "", len(left)
	for _, of := range append([]string{user}, s.login.For.Users...) {
		if len(left) == 0 {
			break
		}
		for p, err := range s.login.For.Passwords(ctx, of) {
			if err != nil {
				unread = fmt.Sprintf(" (as far as they could be read: %v)", err)
				continue
			}
			left = slices.DeleteFunc(left, func(hash string) bool { return hash == digest(p) })
			if len(left) == 0 {
				break
			}
		}
	}
	if leavesOne && has-len(left) > 1 {
		all = append(all, strategies.Warn("user %q has two passwords that the secret holds. VALKEY_DUAL_PASSWORDS is "+
			"not set here: this rotation ends the older one at once. If the last rotation was by dual passwords, by "+
			"which clients may have that one, in AWSPREVIOUS, still, set it first", user))
	}
	if len(left) == 0 {
		return all
	}
	many := "1 password"
	if len(left) > 1 {
		many = fmt.Sprintf("%d passwords", len(left))
	}
	return append(all, strategies.Warning{Unknown: !s.login.For.Consent, Text: fmt.Sprintf("user %q has %s that "+
		"AWSCURRENT, AWSPENDING and AWSPREVIOUS do not hold%s. %s ends what they do not hold, and clients that log in "+
		"with it are refused. If there are such clients, first give them a user of their own: ACL SETUSER NAME on "+
		">PASSWORD, with the rules that ACL LIST shows of %s, then %s. If a rotation left it, whose AWSPENDING lost "+
		"its label after setSecret, there is nothing to do", user, many, unread, rotation, user, saveUsers(s.save))})
}

// warnings are those of the server.
func (s *session) warnings(ctx context.Context) (all []strategies.Warning) {
	for _, node := range s.all() {
		all = append(all, node.unsaved(ctx)...)
		if node.save != nil && node.save[0] == "CONFIG" {
			all = append(all, strategies.Warn("at %s, users are saved in %s. If a file that it includes, or the "+
				"command line of the server, has users too, the server does not start again: have them all in an "+
				"aclfile", dial.Address(node.login), node.file))
		}
	}
	return append(all, s.unreached(ctx)...)
}

// unsaved warns where saving has failed: of a server that has saved since, too, for when, it does not say. And it
// warns where users were changed and never saved, as far as the server counts: the rotation is then the first
// to save what others have left in memory. Once anything has saved or loaded users, the counts tell no more.
func (s *session) unsaved(ctx context.Context) []strategies.Warning {
	if s.save == nil {
		return nil
	}
	answers, err := s.do(ctx, operation{action: "looking whether users are saved"}, []string{"INFO", "commandstats"})
	if err != nil {
		return nil // as of a server that does not count
	}
	info, _ := answers[0].(string)
	if calls, failed := counted(info, s.save...); failed > 0 {
		says := s.cannotSaveText(hasFailed(calls, failed), dial.Address(s.login))
		unless := "If that is not fixed"
		if failed < calls {
			unless = "It has saved them since its start, too: this may be over. If it is not"
		}
		return []strategies.Warning{{Unknown: failed == calls, Fixes: says.Fixes, Text: fmt.Sprintf("at %s, %s. %s, "+
			"this rotation fails there", dial.Address(s.login), says, unless)}}
	}
	done := func(command ...string) int {
		calls, failed := counted(info, command...)
		return calls - failed
	}
	changes := done("ACL", "SETUSER") + done("ACL", "DELUSER")
	if changes == 0 || done(s.save...)+done("ACL", "LOAD") > 0 {
		return nil
	}
	return []strategies.Warning{{Unknown: true, Text: fmt.Sprintf("at %s, users were changed since the server was "+
		"started, and were not saved. This rotation saves all of them by %s, which %s", dial.Address(s.login),
		s.saving(), overwrites(s.save))}}
}

// unreached says where clients may be that this secret does not reach. How many nodes a cluster has is shown to a user
// that may ask for it (+cluster|info), which a rotation does not need.
func (s *session) unreached(ctx context.Context) []strategies.Warning {
	covered := dial.Address(s.login) + " alone"
	has, are := "server has", "server is a replica"
	if n := len(s.all()); n > 1 {
		covered = strconv.Itoa(n) + " servers"
		has, are = "servers have", "servers are replicas, and their primary is not one of them"
	}
	unknown := func(format string, args ...any) []strategies.Warning {
		return []strategies.Warning{{Unknown: true,
			Text: fmt.Sprintf("%s: users are not shared between servers, and this secret covers %s. List the "+
				"others that its clients use in nodes, here and in the superuser secret", fmt.Sprintf(format, args...),
				covered)}}
	}
	if s.mode == "cluster" {
		if len(s.others) == 0 {
			return unknown("the server is a node of a cluster")
		}
		answers, err := s.ask(ctx, operation{action: "counting the nodes"}, []string{"CLUSTER", "INFO"})
		if err != nil {
			return nil
		}
		info, _ := answers[0].(string)
		if n, _ := strconv.Atoi(field(info, "cluster_known_nodes")); n > len(s.all()) {
			return unknown("the cluster has %d nodes", n)
		}
		return nil
	}
	replicas, covers, primaries := 0, 0, 0
	for _, node := range s.all() {
		answers, err := node.do(ctx, operation{action: "looking for replicas"}, []string{"INFO", "replication"})
		if err != nil {
			return []strategies.Warning{{Unknown: true, Text: fmt.Sprintf("whether the server has replicas is not "+
				"shown to user %q (+info)", s.login.User)}}
		}
		info, _ := answers[0].(string)
		n, _ := strconv.Atoi(field(info, "connected_slaves"))
		if replicas += n; field(info, "role") == "slave" {
			covers++
		} else {
			primaries++
		}
	}
	switch {
	case primaries == 0:
		return unknown("the %s", are)
	case replicas > covers:
		many := "replicas"
		if replicas == 1 {
			many = "replica"
		}
		return unknown("the %s %d %s", has, replicas, many)
	}
	return nil
}

package valkey

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// TestUse implements strategies.UseTester. A login alone shows neither a user without rules, which the server
// lets in and then denies everything, nor one with nopass, whom any password lets in.
//
// What a user may do is not shown to it, so commands are tried: each reads a key that is not there, or cannot be
// carried out, and servers look at rules before anything else. That the server denies a user all of them does not
// prove that there are no others; the sentence says so. Nor does one key prove which keys its clients need: that is a
// remark.
//
// A replica is read on purpose by a user that may not write. Of one that may, the host is to be the primary, as for the
// other engines: that a further node takes the writes, not all clients know. Those that ask Sentinel do. A further node
// may be a replica.
func (e Engine) TestUse(ctx context.Context, login strategies.Login) (remark rotator.Sentence, err error) {
	s, err := e.connect(ctx, login)
	defer s.close()
	if err != nil {
		return remark, err
	}
	var replica error
	primary, said := "", make([]string, len(s.all()))
	for i, node := range s.all() {
		said[i], err = node.testUse(ctx)
		switch {
		case err == nil:
			primary = cmp.Or(primary, dial.Address(node.login))
		case !errors.Is(err, rotator.KindReadOnly):
			return rotator.Sentence{}, err
		case i == 0:
			replica = err
		}
	}
	remark.Text = strings.Join(s.once(said), "; ") // of one node alone, which it is
	if replica == nil || primary == "" {
		return remark, replica
	}
	switch watched, known := s.watched(ctx); {
	case watched:
		remark.Text = strings.TrimPrefix(fmt.Sprintf("%s; %s is a replica, and %s takes the writes: clients that ask "+
			"Sentinel, which watches it, go there. Others need that as host", remark.Text, dial.Address(s.login),
			primary), "; ")
		return remark, nil
	case !known:
		replica = fmt.Errorf("%w. If clients ask Sentinel for the primary, they go to %s, and that is no cause: "+
			"status sees it where user %q has +pubsub|numsub", replica, primary, login.User)
	}
	return rotator.Sentence{}, replica
}

// watched says whether a Sentinel watches the server: it listens there for others.
func (s *session) watched(ctx context.Context) (watched, known bool) {
	answers, err := s.ask(ctx, operation{action: "looking for Sentinel"}, []string{"PUBSUB", "NUMSUB",
		"__sentinel__:hello"})
	if err != nil {
		return false, false
	}
	counts, known := answers[0].([]any)
	return known && len(counts) == 2 && fmt.Sprint(counts[1]) != "0", known
}

func (s *session) testUse(ctx context.Context) (remark string, err error) {
	op := operation{action: "trying what the user may do"}
	answers, err := s.ask(ctx, op, []string{"AUTH", s.login.User, rand.Text()})
	if err != nil {
		return "", err
	}
	if _, refused := answers[0].(serverError); !refused {
		return "", s.letsAnyIn(s.login.User, rotator.LabelCurrent)
	}
	usual, reads, writes := harmless("quarterturn:" + rand.Text())
	others := slices.Concat(reads, writes)
	permitted := false
	for i, commands := range [][][]string{usual, others} { // so that few users leave many lines in ACL LOG
		if answers, err = s.ask(ctx, op, commands...); err != nil {
			return "", err
		}
		if i == 0 {
			if remark, err = s.served(ctx, answers); err == nil && remark != "" && s.mode != "standalone" {
				remark, err = s.slots(ctx, remark)
			}
			if err != nil {
				return "", err
			}
		}
		if err = s.readOnly(ctx, answers); err != nil {
			return "", err
		}
		if slices.ContainsFunc(answers, ofDatabase) {
			return s.databases(ctx)
		}
		for j, answer := range answers {
			switch {
			case denied(answer):
			case ofNoKey[commands[j][0]]: // as a rotation needs, and a monitor has
				permitted = true
			case i == 0 && s.replica: // it may write by a command that is not usual
				if answers, err = s.ask(ctx, op, writes...); err != nil {
					return "", err
				}
				return remark, s.readOnly(ctx, answers)
			default:
				return remark, nil
			}
		}
	}
	if permitted {
		const denies = "the server denied it each command that reads or writes a key"
		if err := s.madeAgain(ctx, denies); err != nil {
			return "", err
		}
		if s.login.Rotates && s.mayRotate(ctx) {
			return remark, nil
		}
		return strings.TrimPrefix(fmt.Sprintf("%s; %s: "+
			"unless that is how it is meant, clients get NOPERM, and its rules are lost: %s, then %s",
			remark, denies, restoreRules(s.login.User), saveUsers(s.save)), "; "), nil
	}
	return "", s.errorf(rotator.KindPrivilege, "user %q logs in, and the server denied it all of %d commands that "+
		"were tried, from PING to XADD: unless its rules name others alone, clients get NOPERM, and its rules are "+
		"lost: %s, then %s",
		s.login.User, len(usual)+len(others), restoreRules(s.login.User), saveUsers(s.save).Text)
}

// madeAgain refuses a user without a command for a key that may change users, unless the secret says that it is a
// superuser's: that is all that a user has which was made again and then given what a rotation asks for. The other of
// its pair has more, if there is one. Of a user that may not see users, no more is known.
func (s *session) madeAgain(ctx context.Context, denies string) error {
	all, err := s.accounts(ctx)
	if errors.Is(err, rotator.KindPrivilege) || s.login.Rotates {
		return nil
	}
	if err != nil {
		return err
	}
	user, rules := s.login.User, all[s.login.User].rules
	if !slices.ContainsFunc(rules, func(rule string) bool {
		return slices.Contains([]string{"+acl", "+acl|setuser", "+@admin", "+@dangerous"}, rule)
	}) {
		return nil
	}
	maps.DeleteFunc(all, func(_ string, a account) bool { return slices.Equal(a.rules, rules) }) // they say no more
	return s.errorf(rotator.KindPrivilege, "user %q logs in and may change users, and %s. If it is a superuser, which "+
		"rotates others, say so in its secret: \"rotates\": []. If not, clients get NOPERM, and its rules are lost: %s",
		user, denies, s.bringBack(all, s.login, account{}, s.save, thisVersions))
}

// mayRotate says whether a superuser has the rules that it needs to rotate others, as far as that is seen without a
// change.
func (s *session) mayRotate(ctx context.Context) bool {
	all, err := s.accounts(ctx)
	return err == nil && s.findFile(ctx, true) == nil && all[s.login.User].mayChangeUsers(s.save)
}

// served judges the answers to the usual commands, which a server that has let the user in may still not carry out:
// the first ones not at all, and the writes, from SET on, not now. DBSIZE and FUNCTION LOAD are of no key, for users
// that are held to some.
func (s *session) served(ctx context.Context, answers []any) (remark string, err error) {
	for i, answer := range answers {
		said, refused := answer.(serverError)
		if !refused {
			continue
		}
		word, _, _ := strings.Cut(string(said), " ")
		op := operation{action: "the login is accepted, and commands are not carried out"}
		if i > 2 {
			op.action = "the login is accepted, and writes are not carried out"
		}
		switch err := s.wrap(ctx, op, said); {
		case errors.Is(err, rotator.KindUnreachable):
			return "", err
		case word == "NOPERM" && !denied(answer) && !ofDatabase(answer):
			remark = fmt.Sprintf("its key patterns do not cover every key (ACL GETUSER %s shows them)",
				typed(s.login.User))
		}
	}
	return remark, nil
}

// slots adds to the remark on a user that is held to some keys, of which none was tried: a node serves no key while the
// cluster lacks a slot.
func (s *session) slots(ctx context.Context, remark string) (string, error) {
	answers, err := s.ask(ctx, operation{}, []string{"CLUSTER", "INFO"})
	if err != nil {
		return "", err
	}
	info, _ := answers[0].(string)
	switch state := field(info, "cluster_state"); {
	case state == "ok", state == "" && s.mode == "": // Redis 6.0 may not have said whether it is a cluster's
		return remark, nil
	case state == "fail":
		return "", s.wrap(ctx, operation{action: "the login is accepted, and commands are not carried out"},
			serverError("CLUSTERDOWN"))
	}
	return remark + "; whether each slot is served was not seen (cluster_state in CLUSTER INFO; status sees it where " +
		"the user has +cluster|info)", nil
}

// ofDatabase says whether an answer is that the user may not use the database that a connection is in, which is 0 when
// it begins: rules hold users to databases since Valkey 9.1.
func ofDatabase(answer any) bool {
	said, refused := answer.(serverError)
	return refused && strings.HasPrefix(string(said), "NOPERM") && strings.Contains(string(said), "access database")
}

// databases judges a user that may not use database 0. Which its clients use, it cannot know: that it is held to others
// is a remark.
func (s *session) databases(ctx context.Context) (remark string, err error) {
	const most = 1024 // servers have 16, unless they are told otherwise
	var commands [][]string
	for n := range most {
		commands = append(commands, []string{"SELECT", strconv.Itoa(n)})
	}
	answers, err := s.ask(ctx, operation{action: "looking for a database that the user may use"}, commands...)
	if err != nil {
		return "", err
	}
	all := strategies.Fix(strategies.Login{}, "ACL SETUSER "+typed(s.login.User)+" alldbs -- on every node")
	all.For = "if it is to use every database"
	n := slices.Index(answers, any("OK"))
	if n < 0 {
		return "", s.errorf(rotator.KindPrivilege, "user %q logs in, and its rules (resetdbs, db=) permit it no "+
			"database that it may SELECT, nor 0, in which connections begin: clients get NOPERM. ACL GETUSER %s shows "+
			"them. To permit it every one, %s, %s, then %s", s.login.User, typed(s.login.User), all, all.Note,
			saveUsers(s.save))
	}
	return fmt.Sprintf("its rules permit it database %d and not 0, in which connections begin (ACL GETUSER %s): "+
		"clients that do not SELECT another get NOPERM. If that is not how it is meant, as an administrator, %s, %s, "+
		"then %s", n, typed(s.login.User), all, all.Note, saveUsers(s.save)), nil
}

// readOnly judges whether the server is a replica that refuses a user what it may write. A node of a cluster sends such
// a client on.
func (s *session) readOnly(ctx context.Context, answers []any) error {
	if s.mode == "cluster" || !slices.ContainsFunc(answers, func(answer any) bool {
		said, refused := answer.(serverError)
		return refused && strings.HasPrefix(string(said), "READONLY")
	}) {
		return nil
	}
	of, shown, err := s.replicaOf(ctx)
	if err != nil {
		return err
	}
	instead := rotator.Sentencef("FAILOVER there, or, if the primary is lost, REPLICAOF NO ONE here, each by an " +
		"administrator")
	if field(shown, "master_host") != "" {
		instead = rotator.Sentencef("FAILOVER there, by an administrator")
		if field(shown, "master_link_status") != "up" {
			promote := strategies.Fix(s.login, "REPLICAOF NO ONE")
			promote.For = "if the primary is lost, to make " + dial.Address(s.login) + " one"
			promote.Note = "it no longer gets what the primary is sent: if that is up, or another has taken its " +
				"place, correct host and port in the secret instead"
			instead = rotator.Sentencef("to the primary there is no link, so, if that is lost, %s, by an administrator",
				promote)
		}
	}
	reads := strategies.Fix(s.login, "ACL SETUSER "+typed(s.login.User)+" -@write -- on every node, then ACL SAVE ("+
		orRewrite+")")
	reads.For = "if its clients are to read alone, to say so"
	return s.errorf(rotator.KindReadOnly, "user %q may write, and %s is %s, which takes no writes: use the primary as "+
		"host. Where you know which server that is, store it as host and port, and the others as nodes, in the secret "+
		"and in the superuser secret, if there is one, which must say the same. With alternating users, first name "+
		"the pair in rotates of the superuser secret: a value stored by hand moves AWSPREVIOUS, which proves the "+
		"pair. If this server is to be the primary: %s. If its clients are to read alone, take the rest from its "+
		"rules: %s, %s. That %s", s.login.User,
		dial.Address(s.login), of, instead, reads, reads.Note, overwrites(s.save))
}

// replicaOf says of which server this is a replica, and gives the part of INFO that shows it.
func (s *session) replicaOf(ctx context.Context) (of rotator.Sentence, shown string, err error) {
	info, err := s.ask(ctx, operation{action: "looking for the primary"}, []string{"INFO", "replication"})
	if err != nil {
		return of, "", err
	}
	shown, _ = info[0].(string)
	if host := field(shown, "master_host"); host != "" {
		return rotator.Sentencef("a replica of %s", net.JoinHostPort(host, field(shown, "master_port"))), shown, nil
	}
	return rotator.Sentencef("a replica (%s shows of which server)", toFindThePrimary(s.login)), shown, nil
}

func toFindThePrimary(login strategies.Login) rotator.Fix {
	find := strategies.Fix(login, "INFO replication")
	find.For = "to find the primary (master_host, master_port)"
	return find
}

// ofNoKey are the commands by which a client comes to no data. Those of harmless are tried.
var ofNoKey = map[string]bool{"PING": true, "ECHO": true, "INFO": true, "ROLE": true, "DISCARD": true, "SELECT": true,
	"CLIENT": true, "COMMAND": true, "ACL": true, "CONFIG": true, "MULTI": true, "EXEC": true, "AUTH": true,
	"HELLO": true, "RESET": true, "QUIT": true, "@CONNECTION": true}

// denied says whether an answer is that the user may not run the command, or that there is none. That it may not
// touch a key comes after the command was permitted.
func denied(answer any) bool {
	said, refused := answer.(serverError)
	return refused && (strings.HasPrefix(string(said), "NOPERM") &&
		strings.Contains(string(said), "permissions to run") ||
		strings.Contains(string(said), "unknown command"))
}

// harmless are commands that change nothing, whether they are permitted or not: they are about a key that
// is not there, or an argument of theirs is none.
func harmless(key string) (usual, reads, writes [][]string) {
	split := func(lines string) (commands [][]string) {
		for line := range strings.Lines(lines) {
			if words := strings.Fields(line); len(words) > 0 {
				commands = append(commands,
					strings.Split(strings.ReplaceAll(strings.Join(words, " "), "KEY", key), " "))
			}
		}
		return commands
	}
	return split(`
		PING
		DBSIZE
		GET KEY
		SET KEY 1 NX XX
		FUNCTION LOAD none`), split(`
		EXISTS KEY
		TYPE KEY
		TTL KEY
		DUMP KEY
		SORT KEY
		SCAN none
		MGET KEY
		GETRANGE KEY 0 0
		STRLEN KEY
		GETBIT KEY 0
		BITCOUNT KEY
		HGET KEY 1
		HGETALL KEY
		LLEN KEY
		LRANGE KEY 0 0
		SCARD KEY
		SISMEMBER KEY 1
		SMEMBERS KEY
		ZRANGE KEY 0 0
		ZSCORE KEY 1
		PFCOUNT KEY
		GEOPOS KEY 1
		XLEN KEY
		XRANGE KEY - +
		XREAD COUNT none STREAMS KEY 0
		PUBLISH KEY 1
		EVAL 0 none
		EVALSHA 0 none
		FCALL 0 none
		ECHO 1
		INFO server
		ROLE
		DISCARD
		SELECT none
		CLIENT GETNAME
		COMMAND COUNT
		ACL WHOAMI
		CONFIG GET KEY`), split(`
		EXPIRE KEY none
		DEL KEY
		UNLINK KEY
		RENAME KEY KEY
		GETDEL KEY
		SETEX KEY 0 1
		INCRBY KEY none
		DECRBY KEY none
		SETBIT KEY none 1
		HDEL KEY 1
		HINCRBY KEY 1 none
		LPOP KEY
		RPOP KEY
		LPUSHX KEY 1
		RPUSHX KEY 1
		BLPOP KEY none
		SREM KEY 1
		ZADD KEY none 1
		ZREM KEY 1
		XADD KEY none 1 1`)
}

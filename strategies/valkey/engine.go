// Package valkey rotates the passwords of ACL users of Valkey 8 and later and Redis 6
// and later, on servers of your own. On Amazon ElastiCache and MemoryDB, users change by AWS's API
// (aws elasticache modify-user), and their hosts are refused with that sentence. Sentinels
// are refused as well: give the servers themselves.
//
// # What the server is sent
//
// SHA-256 hashes. The password itself is in HELLO alone (on Redis 6.0, which may refuse HELLO, in AUTH), which servers
// neither log nor show in
// MONITOR. TLS is verified or there is no connection; only "ssl": false in the secret, written
// out, means plaintext, and then a listener reads the password of each login.
//
// # Changed and saved in one
//
// A change that is only in memory is undone by the next restart. So the change and ACL SAVE (or
// CONFIG REWRITE, where users are in the configuration file) are one MULTI/EXEC. Where saving
// fails, EXEC leaves the change in memory: it is taken back by a second command. Between the two
// the new password works and is not saved; a retry finds it, and saves (strategies.Persister).
// ACL SAVE writes the users in memory over the file: what the file alone has is lost, and no client
// can read it. A server that has neither file is refused, unless AllowUnsaved.
//
// # Rights
//
// A superuser needs +acl, +config|get, +config|rewrite, +info and +multi +exec +discard. For a user
// to change itself takes ACL SETUSER, by which it can give itself, and every user, anything. That
// is refused unless AllowSelfChange: rotate through a superuser.
//
// # Clones
//
// A clone has the rules of its original word by word, selectors included, as ACL LIST shows them.
// The server knows no mark of whose clone a user is: a clone that exists already needs possession
// or consent (see strategies.Pair.CheckEntitled). Users with nopass are refused, for a login as
// one proves nothing, and so are users that are off.
//
// # Several nodes
//
// ACL users are not replicated, and nodes of a cluster do not share them. The key nodes of the secret,
// a list of "host:port", names the others that clients of this secret use; the host comes first.
// A password that replaces another is first added on all nodes, and only then is the old one
// removed, so that at each moment one of the two works on all of them.
//
// # The client
//
// The protocol is spoken here, in RESP2, by some hundred lines (resp.go), for both clients were tried
// and do what a rotation must not: valkey-go ends the process (a panic in a goroutine of its own) when
// a server sends an answer too many, and go-redis sends AUTH after a HELLO that was rejected,
// which is a second rejected login. Nothing is left running after a call.
package valkey

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
)

// Engine is Valkey and Redis. The zero value is ready for use.
type Engine struct {
	// Roots are the authorities by which server certificates are judged. nil: those of
	// the machine.
	Roots *x509.CertPool
	// AllowSelfChange lets users that may do ACL SETUSER change their own password:
	// VALKEY_SELF_CHANGE=true.
	AllowSelfChange bool
	// AllowUnsaved rotates where the server has no file to save users in:
	// VALKEY_ALLOW_UNSAVED=true. A restart brings back whatever it starts with.
	AllowUnsaved bool

	// DialTimeout bounds finding the host and reaching it, HandshakeTimeout TLS and then the
	// login, StatementTimeout every command. Zero: 5 seconds. The context bounds them all.
	DialTimeout      time.Duration
	HandshakeTimeout time.Duration
	StatementTimeout time.Duration
}

var (
	_ strategies.CloningEngine      = Engine{}
	_ strategies.DualPasswordEngine = Engine{}
	_ strategies.Persister          = Engine{}
	_ strategies.PartialDryRun      = Engine{}
	_ strategies.UseTester          = Engine{}
	_ strategies.PairComparer       = Engine{}
	_ strategies.Explainer          = Engine{}
)

// cloneSuffix is AWS's.
const cloneSuffix = "_clone"

// keyNodes names the other nodes.
const keyNodes = "nodes"

// Configure reads the engine's own settings.
func (e Engine) Configure(lookup func(string) (string, bool)) (Engine, error) {
	var err error
	if e.AllowSelfChange, err = rotator.BoolSetting(lookup, "VALKEY_SELF_CHANGE"); err != nil {
		return e, err
	}
	e.AllowUnsaved, err = rotator.BoolSetting(lookup, "VALKEY_ALLOW_UNSAVED")
	return e, err
}

// DualPasswords reads the setting VALKEY_DUAL_PASSWORDS: true keeps the old password of a
// single user beside the new one until the next rotation.
func DualPasswords(lookup func(string) (string, bool)) (bool, error) {
	return rotator.BoolSetting(lookup, "VALKEY_DUAL_PASSWORDS")
}

// Traits implements strategies.Engine.
func (Engine) Traits() strategies.Traits {
	return strategies.Traits{
		Name:               "Valkey",
		Engines:            []string{"valkey", "redis"},
		Port:               6379,
		Administrators:     "default",
		CloneSuffix:        cloneSuffix,
		ExcludeCharacters:  `:/@"'\`,
		NoFailedLoginLimit: true,
		Keys:               []strategies.Key{{Name: keyNodes, Server: true}},
	}
}

// Ping implements strategies.Engine: a login at each node.
func (e Engine) Ping(ctx context.Context, login strategies.Login) error {
	all, err := e.connect(ctx, login)
	all.close()
	return err
}

// SetPassword implements strategies.Engine.
func (e Engine) SetPassword(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	return e.change(ctx, login, []string{user}, p, func(s *session) error {
		if len(s.others) == 0 {
			return s.setExactly(ctx, user, p)
		}
		for _, node := range s.all() { // first the new one beside the old one everywhere
			if err := node.set(ctx, user, false, func(a account) []string {
				return []string{"#" + digest(p)}
			}); err != nil {
				return err
			}
		}
		return s.setExactly(ctx, user, p)
	})
}

// setExactly leaves the account one password, at each node.
func (s *session) setExactly(ctx context.Context, user string, p secret.Password) error {
	for _, node := range s.all() {
		if err := node.set(ctx, user, false, func(account) []string {
			return []string{"resetpass", "#" + digest(p)}
		}); err != nil {
			return err
		}
	}
	return nil
}

// DryRunSetPassword implements strategies.Engine. The commands are queued after MULTI, where the
// server checks them and whether the user may send them, and discarded.
func (e Engine) DryRunSetPassword(ctx context.Context, login strategies.Login, user string,
	p secret.Password) (warnings []strategies.Warning, err error) {
	err = e.change(ctx, login, []string{user}, p, func(s *session) error {
		for _, node := range s.all() {
			if err := node.set(ctx, user, true, func(account) []string {
				return []string{"resetpass", "#" + digest(p)}
			}); err != nil {
				return err
			}
		}
		warnings = slices.Concat(s.warnings(ctx), s.unlike(user), s.unheld(ctx, user, thisRotation, true))
		return e.checkAlone(ctx, s)
	})
	return warnings, err
}

// SetPasswordKeeping implements strategies.DualPasswordEngine.
func (e Engine) SetPasswordKeeping(ctx context.Context, login strategies.Login, user string, keep,
	p secret.Password) error {
	return e.change(ctx, login, []string{user}, p, func(s *session) error {
		for _, node := range s.all() {
			if err := node.set(ctx, user, false, keeping(keep, p)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DryRunKeeping implements strategies.DualPasswordEngine, as DryRunSetPassword does it.
func (e Engine) DryRunKeeping(ctx context.Context, login strategies.Login, user string, keep,
	p secret.Password) (warnings []strategies.Warning, err error) {
	err = e.change(ctx, login, []string{user}, p, func(s *session) error {
		for _, node := range s.all() {
			if err := node.set(ctx, user, true, keeping(keep, p)); err != nil {
				return err
			}
		}
		warnings = slices.Concat(s.warnings(ctx), s.unlike(user), s.unheld(ctx, user, thisRotation, false))
		return e.checkAlone(ctx, s)
	})
	return warnings, err
}

// keeping makes the rules that leave an account two passwords. Where both are the same, none
// changes, and the account is saved as it is.
func keeping(keep, p secret.Password) func(account) []string {
	return func(a account) []string {
		if keep.Equal(p) {
			return nil
		}
		rules := []string{"resetpass", "#" + digest(p)}
		if slices.Contains(a.passwords, digest(keep)) {
			rules = append(rules, "#"+digest(keep))
		}
		return rules
	}
}

// Persist implements strategies.Persister: what works is made the only password at each node,
// and saved there.
func (e Engine) Persist(ctx context.Context, login strategies.Login, user string, p secret.Password) error {
	return e.change(ctx, login, []string{user}, p, func(s *session) error { return s.setExactly(ctx, user, p) })
}

// change is connected, and knows where users are saved.
func (e Engine) change(ctx context.Context, login strategies.Login, users []string, p secret.Password,
	do func(*session) error) error {
	return e.connected(ctx, login, users, p, func(s *session) error {
		for _, node := range s.all() {
			if err := node.findFile(ctx, e.AllowUnsaved); err != nil {
				return err
			}
		}
		return do(s)
	})
}

// connected checks what needs no server, logs in at each node, and has do do its work there.
func (e Engine) connected(ctx context.Context, login strategies.Login, users []string, p secret.Password,
	do func(*session) error) error {
	if p.Empty() || strings.ContainsRune(p.Reveal(), 0) {
		return fmt.Errorf("new password: %w: it must not be empty or hold a NUL", rotator.KindMisconfigured)
	}
	for _, user := range users {
		if err := checkName(user); err != nil {
			return err
		}
	}
	s, err := e.connect(ctx, login)
	defer s.close()
	if err != nil {
		return err
	}
	if slices.Contains(users, login.User) && !e.AllowSelfChange {
		return s.errorf(rotator.KindMisconfigured, "to change its own password, user %q needs ACL SETUSER, by which "+
			"it can change every user: set SINGLE_USER_THROUGH_SUPERUSER=true and masterarn (or, to accept that, "+
			"VALKEY_SELF_CHANGE=true). If it has rotated before, the function's environment was replaced: compare it "+
			"with its deployment", login.User)
	}
	return do(s)
}

// checkName refuses what no ACL user can be called.
func checkName(user string) error {
	if user == "" || strings.ContainsAny(user, " \x00\t\r\n\v\f") {
		return fmt.Errorf("user name %q: %w: it must not be empty, or hold white space or a NUL", user,
			rotator.KindMisconfigured)
	}
	return nil
}

// digest is how the server stores a password.
func digest(p secret.Password) string {
	sum := sha256.Sum256([]byte(p.Reveal()))
	return hex.EncodeToString(sum[:])
}

// ResetStatement implements strategies.Resetter. By resetpass it ends every other password: no version holds one that
// works, and > alone would leave the one that an incident set. It does not stand alone: the inquiry or the explanation
// comes first, for it would make a user that is gone without its rules.
func (Engine) ResetStatement(user string) string {
	return "ACL SETUSER " + typed(user) + " on resetpass >PASSWORD -- on every node, " + atThePrompt +
		", before users are saved (ACL SAVE, or " + orRewrite + "). It ends each other password of the user: without " +
		"resetpass, they go on working until the next rotation"
}

// NotInDryRun implements strategies.PartialDryRun: to try ACL SAVE is to overwrite the file. Servers since Redis 7
// count how often it has failed. They do not say when: where it has succeeded as well, a person finds out.
func (e Engine) NotInDryRun(ctx context.Context, login strategies.Login) (untold string, err error) {
	s, err := e.connect(ctx, login)
	defer s.close()
	if err != nil {
		return "", err
	}
	var first *session // that has failed to save
	var how string
	var places, others, untried []string
	for _, node := range s.all() {
		if err := node.findFile(ctx, true); err != nil {
			return "", err
		}
		answers, err := node.do(ctx, operation{action: "looking whether users could be saved", remedy: s.aclRemedy()},
			[]string{"INFO", "commandstats"})
		if err != nil {
			return "", err
		}
		info, _ := answers[0].(string)
		if node.save == nil {
			continue
		}
		switch calls, failed := counted(info, node.save...); {
		case failed > 0:
			places = append(places, dial.Address(node.login))
			if first == nil {
				first, how = node, hasFailed(calls, failed)
			} else {
				others = append(others, fmt.Sprintf("at %s (%s), where %s %s", dial.Address(node.login), node.file,
					node.saving(), hasFailed(calls, failed)))
			}
		case calls == 0:
			untried = append(untried, fmt.Sprintf("%s at %s (%s)", node.file, dial.Address(node.login), node.saving()))
		}
		untold = fmt.Sprintf("the next attempt saves users by %s, which %s", node.saving(), overwrites(node.save))
	}
	if first != nil {
		says := first.cannotSaveText(how, places...)
		if others != nil {
			says.Text += ". Likewise " + strings.Join(others, ", and ")
		}
		return "", first.errorf(rotator.KindMisconfigured, "%s", says)
	}
	if untried != nil {
		untold += fmt.Sprintf("; no dry run saves users. If the last ERROR line of the function says that saving "+
			"them failed at a node, a retry fails too until the server there can replace its file: %s. %s, and try "+
			"that command there once it is fixed", strings.Join(untried, ", "), cannotReplace)
	}
	return untold, nil
}

// counted says how often a command was carried out, and how often that failed, by INFO commandstats; 0 where it does
// not count.
func counted(info string, command ...string) (calls, failed int) {
	line := field(info, "cmdstat_"+strings.ToLower(strings.Join(command, "|")))
	for word := range strings.SplitSeq(line, ",") {
		name, digits, _ := strings.Cut(word, "=")
		switch n, _ := strconv.Atoi(digits); name {
		case "calls":
			calls = n
		case "failed_calls":
			failed = n
		}
	}
	return calls, failed
}

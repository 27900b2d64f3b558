package localaws_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// scene is a secret that is stuck, on a server that others use as well.
type scene struct {
	*world
	user string // of the secret; no other scene has it
	arn  string
	but  func(*awsemu.Secret) // what else is so with the secret

	// fix is what a person does where the advice names it, by a word that the advice must
	// have: the text of the diagnosis is in it.
	names string
	fix   func()
	file  string    // value.json, where the advice asks for one
	wrong []account // what must not log in at the end
	says  string    // what the first status must say
	never string    // and what it must not
	text  string    // of the status that fix is called for
	last  string    // what works at the end without a fix: "not here" for a secret that is not to be rotated here

	hammering int // how often clients log in with AWSCURRENT between any two things that are done
}

// statements are what the engines call things.
type dialect struct{ create, set, lock, noSlot, hold string }

var dialects = map[string]dialect{
	"postgres": {"CREATE ROLE %u LOGIN PASSWORD '%p'", "ALTER ROLE %u PASSWORD '%p'", "ALTER ROLE %u NOLOGIN", "ALTER ROLE %u CONNECTION LIMIT 0", "BEGIN; LOCK TABLE pg_authid IN SHARE MODE"},
	"mysql":    {"CREATE USER %u@'%' IDENTIFIED BY '%p'", "ALTER USER %u@'%' IDENTIFIED BY '%p'", "ALTER USER %u@'%' ACCOUNT LOCK", "", "FLUSH TABLES WITH READ LOCK"},
	// A password is sent as its hash, for this test looks for it in what the server was sent.
	"valkey":  {"ACL SETUSER %u reset on %h ~* +@all", "ACL SETUSER %u resetpass %h", "ACL SETUSER %u off", "", ""},
	"mariadb": {"CREATE USER %u@'%' IDENTIFIED BY '%p'", "ALTER USER %u@'%' IDENTIFIED BY '%p'", "ALTER USER %u@'%' ACCOUNT LOCK", "", "FLUSH TABLES WITH READ LOCK"},
}

func (s *scene) say(statement, user, password string) {
	s.t.Helper()
	s.exec(strings.NewReplacer("%u", user, "%p", password, "%h", fmt.Sprintf("#%x", sha256.Sum256([]byte(password)))).Replace(statement))
}

func (s *scene) dialect() dialect { return dialects[s.db.family()] }

// has makes the user, with a password that is right.
func (s *scene) has(user string) (password string) {
	s.t.Helper()
	password = s.canary()
	s.say(s.dialect().create, user, password)
	if s.isMySQL() { // where a test's own login goes
		s.exec("CREATE DATABASE IF NOT EXISTS shop", "GRANT SELECT ON shop.* TO "+user+"@'%'")
	}
	return password
}

func (s *scene) isMySQL() bool { return s.db.family() == "mysql" || s.db.family() == "mariadb" }

// value is what a version holds; more are further members.
func (s *scene) value(user, password string, more ...any) awsemu.Value {
	s.t.Helper()
	pairs := append([]any{"username", user, "password", password}, more...)
	if s.isMySQL() {
		pairs = append([]any{"dbname", ""}, pairs...)
	}
	return awsemu.Text(s.document(pairs...))
}

// stuck makes the secret: the values of AWSPREVIOUS, AWSCURRENT and AWSPENDING, of which the
// zero one is none.
func (s *scene) stuck(rotation *bool, previous, current, pending awsemu.Value) {
	s.t.Helper()
	secret := awsemu.Secret{Name: s.user, RotationEnabled: rotation}
	if rotation != nil {
		secret.RotationLambdaARN = s.aws.Functions[s.name].ARN()
	}
	for i, v := range []awsemu.Value{previous, current, pending} {
		if !v.Empty() {
			secret.Versions = append(secret.Versions, awsemu.Version{ID: awsemu.VersionID(i + 1), Labels: []string{[]string{"AWSPREVIOUS", "AWSCURRENT", "AWSPENDING"}[i]}, Value: v})
		}
	}
	if s.but != nil {
		s.but(&secret)
	}
	s.arn = s.aws.AWS.Seed(secret)
}

// cli does what a printed command of the AWS CLI does, word by word. Words that it does not
// know fail the test, so that no command is followed by half.
func (s *scene) cli(command string) {
	s.t.Helper()
	words := strings.Fields(command)
	if len(words) < 3 || words[0] != "aws" || words[1] != "secretsmanager" && words[1] != "kms" {
		s.t.Fatalf("not a command: %s", command)
	}
	keys := kms.New(kms.Options{BaseEndpoint: &s.aws.URL, Region: "us-east-1", Credentials: s.sdk.Options().Credentials})
	flags := map[string]*string{}
	for i := 3; i < len(words); i += 2 {
		if words[i] == "--include-deprecated" {
			i--
			continue
		}
		flags[words[i]] = aws.String(words[i+1])
	}
	take := func(name string) *string {
		v := flags[name]
		delete(flags, name)
		return v
	}
	id := take("--secret-id")
	var err error
	switch words[2] {
	case "list-secret-version-ids":
		list := &secretsmanager.ListSecretVersionIdsInput{SecretId: id, IncludeDeprecated: aws.Bool(true)}
		_, err = s.sdk.ListSecretVersionIds(s.t.Context(), list)
	case "restore-secret":
		_, err = s.sdk.RestoreSecret(s.t.Context(), &secretsmanager.RestoreSecretInput{SecretId: id})
	case "enable-key":
		_, err = keys.EnableKey(s.t.Context(), &kms.EnableKeyInput{KeyId: take("--key-id")})
	case "cancel-key-deletion":
		_, err = keys.CancelKeyDeletion(s.t.Context(), &kms.CancelKeyDeletionInput{KeyId: take("--key-id")})
	case "update-secret-version-stage":
		_, err = s.sdk.UpdateSecretVersionStage(s.t.Context(), &secretsmanager.UpdateSecretVersionStageInput{SecretId: id,
			VersionStage: take("--version-stage"), MoveToVersionId: take("--move-to-version-id"), RemoveFromVersionId: take("--remove-from-version-id")})
	case "rotate-secret":
		if _, err = s.sdk.RotateSecret(s.t.Context(), rotateNow(*id)); err != nil && strings.Contains(err.Error(), "A previous rotation isn't complete") {
			err = nil
		}
		s.wait(*id)
	case "cancel-rotate-secret":
		_, err = s.sdk.CancelRotateSecret(s.t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: id})
	case "put-secret-value":
		if file := take("--secret-string"); *file != "file://value.json" {
			s.t.Fatalf("not a command: %s", command)
		}
		_, err = s.sdk.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: id, SecretString: &s.file})
	default:
		s.t.Fatalf("not a command: %s", command)
	}
	if err != nil || len(flags) > 0 {
		s.t.Fatalf("%s: %v, and not followed: %v", command, err, slices.Collect(maps.Keys(flags)))
	}
}

// run does what is printed on a line of its own, as it stands: in the database, or in a shell.
func (s *scene) run(fix rotator.Fix) {
	s.t.Helper()
	if !strings.Contains(s.text, "\n         "+fix.Run+"\n") {
		s.t.Errorf("%s stands on no line of its own in: %s", fix.Run, s.text)
	}
	if fix.By == rotator.ByShell {
		s.cli(fix.Run)
		return
	}
	statement := strings.Replace(fix.Run, " CONNECTION LIMIT N", " CONNECTION LIMIT 50", 1)
	if strings.Contains(statement, "PASSWORD") && fix.PasswordOf != "" {
		label, arn, other := strings.Cut(fix.PasswordOf, " of ")
		if !other {
			arn = s.arn
		}
		password := s.holder(arn, label).Password
		statement = strings.ReplaceAll(statement, "'PASSWORD'", "'"+password+"'")
		statement = strings.ReplaceAll(statement, ">PASSWORD", fmt.Sprintf("#%x", sha256.Sum256([]byte(password))))
	}
	statement = strings.ReplaceAll(statement, "ITS-LIMIT", "2")
	s.exec(statement)
}

// makesUser is what would be a second way out beside the move of a label.
var makesUser = regexp.MustCompile(`CREATE (ROLE|USER)|ACL SETUSER \S+ reset|RENAME USER|RENAME TO`)

// follow does what status says, to the letter, until it says that there is nothing to do,
// and gives the reasons that it gave.
func (s *scene) follow() (reasons []string) {
	s.t.Helper()
	event := `{"Step":"status","SecretId":"` + s.arn + `"}`
	for step := range 12 {
		for range s.hammering {
			s.accepts(s.holder(s.arn, "AWSCURRENT"))
		}
		d := s.status(event)
		reasons = append(reasons, s.asInTable(d.Reason))
		text := d.Text()
		s.text = text

		if step == 0 && !strings.Contains(text, s.says) {
			s.t.Errorf("does not say %q: %s", s.says, text)
		}
		if s.never != "" && strings.Contains(text, s.never) {
			s.t.Errorf("says %q: %s", s.never, text)
		}
		event = `{"Step":"status","SecretId":"` + s.arn + `"}`
		s.whoThereIs(text)
		s.saidBeforeSaving(text)
		s.savedLast(d.Fixes)
		if strings.Contains(d.RecoverEvent, `"recover"`) && makesUser.MatchString(text) {
			s.t.Errorf("the label is to be moved, and a user to be made: %s", text)
		}
		named := s.fix != nil && s.names != "" && strings.Contains(text, s.names)
		switch {
		case d.Action == rotator.ActionNotManaged && s.fix == nil && s.last != "" && strings.Contains(text, s.last):
			return reasons
		case d.Action == rotator.ActionNone && len(d.Commands) == 0 && !named:
			return reasons
		case strings.Contains(d.RecoverEvent, `"recover"`) && step%2 == 1: // the function does it
			s.status(d.RecoverEvent)
		case strings.Contains(d.Reason, "Run status with the function that rotates it") && len(d.Commands) == 1 && strings.Contains(d.Commands[0], "function:other "):
			s.name = "other"
		case named:
			fix := s.fix
			s.fix = nil // unless it sets another
			fix()
		case len(d.Commands) > 0:
			for _, c := range d.Commands {
				s.cli(c)
			}
		case d.Action == rotator.ActionInvestigate && d.RecoverEvent != "":
			event = d.RecoverEvent
		case len(d.Fixes) > 0:
			for i, fix := range d.Fixes {
				if strings.HasPrefix(fix.For, "if ") { // which is not so, unless a scene names it
					continue
				}
				if s.db.family() == "valkey" && strings.HasSuffix(fix.For, "to set the password") {
					s.valkeyRules(d.Fixes[:i])
				}
				s.run(fix)
			}
		default:
			s.t.Fatalf("the advice cannot be followed: %s", text)
		}
	}
	s.t.Fatalf("no end after twelve actions: %s\n%s", strings.Join(slices.Compact(reasons), "\n"), s.text)
	return nil
}

// whoThereIs: who is to run something is named as there is one: of this engine, and of a superuser secret that the secret
// names.
func (s *scene) whoThereIs(text string) {
	s.t.Helper()
	names := map[string]string{"postgres": "postgres or the master user of RDS", "mysql": "root or the master user of RDS",
		"mariadb": "root or the master user of RDS", "valkey": "default"}[s.db.family()]
	for _, m := range regexp.MustCompile(`, as (the superuser secret's user or as )?an administrator(?: \(([^)]*)\))?`).FindAllStringSubmatch(text, -1) {
		value := string(s.aws.AWS.Snapshot(s.arn).Holder("AWSCURRENT").Value.Reveal())
		if m[2] != names || m[1] != "" && !strings.Contains(value, "masterarn") {
			s.t.Errorf("%s: there is none: %s", m[0], text)
		}
	}
}

// saidBeforeSaving: what saving users overwrites is said before the lines that change them, and in none of their notes.
func (s *scene) saidBeforeSaving(text string) {
	s.t.Helper()
	lines := regexp.MustCompile(`\n {9}ACL S`).FindStringIndex(text)
	if lines != nil && strings.LastIndex(text, "compare the two") > lines[0] {
		s.t.Errorf("it is said too late: %s", text)
	}
	if lines != nil && !strings.Contains(text, "compare the two") && !strings.Contains(text, "do not ACL SAVE yet") {
		s.t.Errorf("users are saved, and what that overwrites is not said: %s", text)
	}
}

// savedLast: of what is printed, run from the first line to the last, nothing changes users that is not saved, and what
// the file may have is looked at before. A line with a condition of its own says itself that it is to be saved.
func (s *scene) savedLast(fixes []rotator.Fix) {
	s.t.Helper()
	looked, changed := false, ""
	for _, fix := range fixes {
		words := strings.Fields(fix.Run + " -")
		if strings.HasPrefix(fix.Run, "ACL SETUSER") || strings.HasPrefix(fix.Run, "ACL DELUSER") {
			if !strings.Contains(fix.Note, "on every node") && !strings.HasPrefix(fix.Note, "at ") {
				s.t.Errorf("where is %s to be run? %s", fix.Run, s.text)
			}
		}
		switch command := strings.Join(words[:2], " "); {
		case command == "ACL LIST":
			looked = true
			if changed != "" {
				s.t.Errorf("the file is looked at too late: %s", s.text)
			}
		case command == "ACL SAVE", command == "CONFIG REWRITE":
			changed = ""
		case command != "ACL SETUSER" && command != "ACL DELUSER":
		case strings.Contains(fix.Note, "then ACL SAVE"):
		default:
			changed = fix.Run
			if !looked {
				s.t.Errorf("the file is not looked at before %s: %s", fix.Run, s.text)
			}
		}
	}
	if changed != "" {
		s.t.Errorf("not saved: %s: %s", changed, s.text)
	}
}

// TestUsersAreSavedLast: whatever is wrong with the users of a pair, what is printed leaves nothing in memory alone.
func TestUsersAreSavedLast(t *testing.T) {
	tier.NotInCheck(t)
	db := newValkey(t)
	states := map[string]string{"fine": "PING", "off": "ACL SETUSER %u off", "another": "ACL SETUSER %u resetpass >another",
		"none": "ACL SETUSER %u resetpass", "off and another": "ACL SETUSER %u off resetpass >another", "gone": "ACL DELUSER %u",
		"renamed": "ACL SETUSER %uold on ~* +get +set +ping %h; ACL DELUSER %u", "nopass": "ACL SETUSER %u nopass",
		"without rules": "ACL DELUSER %u; ACL SETUSER %u on +ping >another"}
	s := &scene{user: "saved"}
	s.world = newWorld(t, plan{db: db, shared: true, handler: "valkey-alternating-users", attempts: 1})
	printed := 0
	for i, first := range slices.Sorted(maps.Keys(states)) {
		for j, second := range slices.Sorted(maps.Keys(states)) {
			s.user = fmt.Sprintf("s%d-%d", i, j)
			users := []string{s.user, s.user + "_clone"} // of AWSCURRENT, and of the other versions
			if (i+j)%2 == 1 {
				slices.Reverse(users)
			}
			passwords := []string{s.has(users[0]), s.has(users[1]), ""}
			super := s.superuser()
			s.stuck(aws.Bool(true), s.value(users[1], passwords[1], "masterarn", super), s.value(users[0], passwords[0], "masterarn", super),
				s.value(users[1], s.canary(), "masterarn", super))
			broken := []string{states[first], states[second]}
			if i == j { // and the superuser, whose secret is to be mended first
				broken = append(broken, states["off"])
			}
			for k, state := range broken {
				for statement := range strings.SplitSeq(state, "; ") {
					s.say(statement, append(users, s.user+"boss")[k], passwords[k])
				}
			}
			d := s.status(`{"Step":"status","SecretId":"` + s.arn + `"}`)
			s.text = fmt.Sprintf("%s is %s, %s is %s: %s", users[0], first, users[1], second, d.Text())
			s.saidBeforeSaving(d.Text())
			s.savedLast(d.Fixes)
			printed += len(d.Fixes)
		}
	}
	t.Logf("%d lines", printed)
}

// printedBelow stands in a reason only where a fix is printed below it.
const printedBelow = "what is printed below, and whatever else "

// asInTable is a reason as the table of decisions has it, without printedBelow.
func (s *scene) asInTable(reason string) string {
	secret := s.aws.AWS.Snapshot(s.arn)
	pairs := []string{"--secret-id " + s.arn, "--secret-id ARN"}
	for _, label := range []string{"CURRENT", "PENDING", "PREVIOUS"} {
		if id := secret.Holder("AWS" + label).ID; id != "" {
			pairs = append(pairs, id, label+"-ID")
		}
	}
	reason = strings.Replace(strings.NewReplacer(pairs...).Replace(reason), printedBelow, "what ", 1)
	return withoutBelow(strings.NewReplacer(" fix what ", " do what ", " Fix what ", " Do what ").Replace(reason))
}

// withoutBelow leaves out what stands in a reason only where a query or a line is printed below it.
func withoutBelow(reason string) string {
	return strings.NewReplacer(" or by the query below", "", ", as printed below", "").Replace(reason)
}

// printed gives the commands of the AWS CLI that begin so in the text of the status.
func (s *scene) printed(begin string) []string {
	s.t.Helper()
	all := regexp.MustCompile(regexp.QuoteMeta(begin)+`(?: --[a-z-]+ [^ ;,)]+)*`).FindAllString(s.text, -1)
	if len(all) == 0 {
		s.t.Fatalf("no %s in: %s", begin, s.text)
	}
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], ".")
	}
	return all
}

// resetSuperuser runs the statement that is printed for the superuser, with the password that its secret has, and what
// is to be added where the query before it shows that.
func (s *scene) resetSuperuser() { s.resetSuperuserAnd("") }

func (s *scene) resetSuperuserAnd(more string) {
	s.t.Helper()
	if more != "" && !strings.Contains(s.text, "add "+more) {
		s.t.Errorf("not to be added: %s: %s", more, s.text)
	}
	boss := s.holder(s.user+"boss", "AWSCURRENT")
	m := regexp.MustCompile(`in place of PASSWORD:\n +(ALTER .*?'PASSWORD'.*)\n +\((?:write [^;]*; if there is no such role: (CREATE .*?), and)?`).FindStringSubmatch(s.text)
	if m == nil {
		s.t.Fatalf("no statement for the superuser in: %s", s.text)
	}
	set := func(statement string) error {
		return s.db.Exec(s.t.Context(), strings.Replace(statement, "'PASSWORD'", "'"+boss.Password+"' "+more, 1))
	}
	if err := set(m[1]); err != nil && (m[2] == "" || set(m[2]) != nil) {
		s.t.Fatal(err)
	}
}

// valkeyLine gives a user its rules back as the sentence says: with its reset, if that is said, and the words of its line.
func (s *scene) valkeyLine() {
	s.t.Helper()
	first := regexp.MustCompile(`ACL SETUSER ` + s.user + `( reset)?`).FindString(s.text)
	if first == "" {
		s.t.Fatalf("no ACL SETUSER in: %s", s.text)
	}
	s.exec(first+" "+s.db.(valkey).savedLine(s.t, s.user), "ACL SAVE")
}

// madeAgainAndSaved: the file has no rules of the user in use, and the other of its pair has them.
func (s *scene) madeAgainAndSaved(rotations int) {
	s.t.Helper()
	s.only("valkey")
	s.rotatedPair(rotations)
	user := s.holder(s.arn, "AWSCURRENT")
	s.exec("ACL DELUSER "+user.Username, fmt.Sprintf("ACL SETUSER %s on #%x", user.Username, sha256.Sum256([]byte(user.Password))), "ACL SAVE")
	s.says = "recommended action: investigate"
	s.ruleIsBack("+@all")
}

// ruleIsBack: once what is printed has been run, the user in use has a rule again.
func (s *scene) ruleIsBack(rule string) {
	s.t.Cleanup(func() {
		users, err := s.db.(valkey).Users(context.Background())
		if user := s.holder(s.arn, "AWSCURRENT").Username; err != nil || !slices.Contains(strings.Fields(users[user]), rule) ||
			strings.Contains(users[user], "-@write") {
			s.t.Errorf("user %s has %q: %v", user, users[user], err)
		}
	})
}

// fileFirst has users lose what the file keeps: by commands that are not saved. What is said before anything is saved
// is followed, and at the end the file has what it had.
func (s *scene) fileFirst(lose []string, users ...string) {
	s.t.Helper()
	file := s.db.(valkey).aclFile(s.t)
	lines := func() map[string]string {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		all := map[string]string{}
		for _, user := range users {
			_, line, _ := strings.Cut(string(text), "user "+user+" ")
			line, _, _ = strings.Cut(line, "\n")
			all[user] = regexp.MustCompile(`#\w+ `).ReplaceAllString(line, "")
		}
		return all
	}
	s.exec("ACL SAVE")
	before := lines()
	s.exec(lose...)
	s.t.Cleanup(func() {
		if after := lines(); !maps.Equal(before, after) {
			s.t.Errorf("the file has %v; it had %v", after, before)
		}
	})
	s.names, s.fix = "before any change, compare the two, and bring back what the file alone has, by ACL SETUSER NAME", func() {
		for user, line := range before {
			s.exec("ACL SETUSER " + user + " " + line)
		}
	}
}

// moveDenied has the function, and no person, be denied what a rotation needs last. Until that is mended, nothing is
// printed that rotates.
func (s *scene) moveDenied() {
	s.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
		return awsemu.Fault{Deny: c.Operation == "UpdateSecretVersionStage" && c.AccessKey != "AKID"}
	}
	s.says, s.names = "[S8 denied]", "the next rotation would fail: [S8 denied]"
	s.never = "rotate-secret --secret-id " + s.arn + "\n"
	s.fix = func() { s.aws.AWS.Fault, s.never = nil, "" }
}

// replica makes the secret, if there is a value for it, and the server a replica of one that is not there.
func (s *scene) replica(current awsemu.Value) {
	s.t.Helper()
	s.only("valkey")
	if !current.Empty() {
		s.stuck(aws.Bool(true), awsemu.Value{}, current, awsemu.Value{})
	}
	s.exec("REPLICAOF 127.0.0.1 " + strconv.Itoa(dbserver.ClosedPort(s.t)))
	s.t.Cleanup(func() { s.db.Exec(context.Background(), "REPLICAOF NO ONE") }) //nolint:errcheck // done already where the test has not failed
}

// second starts a second server with the users of the first, which are its own from then on.
func (s *scene) second() *dbserver.ValkeyServer {
	s.t.Helper()
	s.exec("ACL SAVE")
	there, err := s.db.(valkey).Standby(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { there.Close() })
	if err := there.Cut(s.t.Context(), s.db.(valkey).ValkeyServer); err != nil {
		s.t.Fatal(err)
	}
	return there
}

// node starts a second server with the users of the first, makes a secret of both, of a pair whose clone is in use, and
// gives that server.
func (s *scene) node() *dbserver.ValkeyServer {
	s.t.Helper()
	s.alternating()
	right, boss := s.has(s.user), s.superuser()
	there := s.second()
	nodes := []string{there.Address()}
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "masterarn", boss, "nodes", nodes), awsemu.Value{})
	s.store(boss, s.value(s.user+"boss", s.holder(boss, "AWSCURRENT").Password, "nodes", nodes)) // and no word of the pair
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	if user := s.holder(s.arn, "AWSCURRENT").Username; user != s.user+"_clone" {
		_, said := s.world.last()
		s.t.Fatalf("AWSCURRENT is of %s: %s", user, said)
	}
	return there
}

// olderAtANode makes a secret of two servers, of which one has an older password of its user. What is printed is run
// there.
func (s *scene) olderAtANode(superuser, here bool) {
	s.t.Helper()
	s.only("valkey")
	right, more := s.has(s.user), []any(nil)
	boss := ""
	if superuser {
		boss = s.superuser()
		more = []any{"masterarn", boss}
	}
	there := s.second()
	nodes := []any{"nodes", []string{there.Address()}}
	if superuser {
		s.store(boss, s.value(s.user+"boss", s.holder(boss, "AWSCURRENT").Password, append(nodes, "rotates", s.user)...))
	}
	s.stuck(aws.Bool(true), s.value(s.user, s.canary(), append(more, nodes...)...), s.value(s.user, right, append(more, nodes...)...), awsemu.Value{})
	behind, other := there, s.db.(valkey).ValkeyServer
	if here {
		behind, other = other, behind
	}
	if err := behind.Exec(s.t.Context(), []string{"ACL", "SETUSER", s.user, "resetpass", "#" + strings.Repeat("a", 64)}); err != nil {
		s.t.Fatal(err)
	}
	if s.says = other.Address() + " lets it in, and " + behind.Address() + " does not"; superuser {
		s.says = fmt.Sprintf("at %s, user %q is on, and its password is another; at %s it is on and has", behind.Address(), s.user, other.Address())
	}
	s.names, s.never = "to set the password that other nodes have", "list-secret-version-ids"
	s.fix = func() {
		line := regexp.MustCompile(`\n +(ACL SETUSER ` + s.user + ` on) >PASSWORD\n +\(at ` + behind.Address()).FindStringSubmatch(s.text)
		if line == nil {
			s.t.Fatalf("no line for the user in: %s", s.text)
		}
		if err := behind.Exec(s.t.Context(), strings.Fields(fmt.Sprintf("%s #%x", line[1], sha256.Sum256([]byte(right)))), []string{"ACL", "SAVE"}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// store gives a secret a value, as a person does.
func (s *scene) store(arn string, v awsemu.Value) {
	s.t.Helper()
	text := string(v.Reveal())
	if _, err := s.sdk.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: &text}); err != nil {
		s.t.Fatal(err)
	}
}

// notSaved makes a secret, and has a rotation fail that cannot save what it has changed.
func (s *scene) notSaved(more []any) {
	s.t.Helper()
	s.only("valkey")
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), more...), awsemu.Value{})
	s.exec("ACL SAVE")
	folder := filepath.Dir(s.db.(valkey).aclFile(s.t))
	writable := func(mode os.FileMode) {
		if err := os.Chmod(folder, mode); err != nil {
			s.t.Fatal(err)
		}
	}
	writable(0o555)
	s.t.Cleanup(func() {
		os.Chmod(folder, 0o755)                             //nolint:errcheck // done already where the test has not failed
		s.db.Exec(context.Background(), "CONFIG RESETSTAT") //nolint:errcheck // of a failure that other scenes have not met
	})
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	if _, said := s.world.last(); !strings.Contains(said, "ACL SAVE failed") || !strings.Contains(said, folder) {
		s.t.Fatalf("the rotation did not fail for the folder %s: %s", folder, said)
	}
	s.says, s.names = "recommended action: investigate", "Its folder is read-only"
	s.fix = func() { writable(0o755) } // and then what is printed
}

// notSavedAtANode makes a secret of two servers, and has a rotation fail at the second, which cannot save what was
// changed. By hand: a person has set the pending password there since, which works until a restart.
func (s *scene) notSavedAtANode(byHand bool) {
	s.t.Helper()
	s.only("valkey")
	var there *dbserver.ValkeyServer
	if strings.HasSuffix(s.name, "-alternating-users") {
		there = s.node()
	} else {
		right := s.has(s.user)
		there = s.second()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "nodes", []string{there.Address()}), awsemu.Value{})
	}
	folder := filepath.Dir(valkey{there}.aclFile(s.t))
	writable := func(mode os.FileMode) {
		if err := os.Chmod(folder, mode); err != nil {
			s.t.Fatal(err)
		}
	}
	writable(0o555)
	s.t.Cleanup(func() { os.Chmod(folder, 0o755) }) //nolint:errcheck // done already where the test has not failed
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	if _, said := s.world.last(); !strings.Contains(said, "ACL SAVE failed") || !strings.Contains(said, folder) ||
		!strings.Contains(said, "Nothing was changed at this node") {
		s.t.Errorf("the rotation did not fail for the folder %s: %s", folder, said)
	}
	pending := s.holder(s.arn, "AWSPENDING")
	if byHand {
		if err := there.Exec(s.t.Context(), []string{"ACL", "SETUSER", pending.Username, fmt.Sprintf("#%x", sha256.Sum256([]byte(pending.Password)))}); err != nil {
			s.t.Fatal(err)
		}
	}
	s.says, s.names, s.never = "recommended action: investigate", "mount its folder instead", "ACL SETUSER "+pending.Username
	s.fix = func() {
		save, rotate := strings.Index(s.text, "\n         ACL SAVE\n"), strings.Index(s.text, " rotate-secret ")
		if save < 0 || rotate < save || !strings.Contains(s.text, "at "+there.Address()+", in the database") {
			s.t.Errorf("what a rotation needs is not before it: %s", s.text)
		}
		writable(0o755)
		if err := there.Exec(s.t.Context(), []string{"ACL", "SAVE"}); err != nil { // as is printed, and run at the host alone
			s.t.Fatal(err)
		}
	}
	s.t.Cleanup(func() {
		if err := there.Restart(context.Background()); err != nil {
			s.t.Fatal(err)
		}
		a := s.holder(s.arn, "AWSCURRENT")
		if err := (valkey{there}).as(context.Background(), a, "PING"); err != nil {
			s.t.Errorf("after a restart: %v", err)
		}
	})
}

// rotatorRules are what the documents have a superuser of Valkey given.
const rotatorRules = "+acl +config|get +config|rewrite +info +multi +exec +discard"

// madeAgainForRotations deletes the user and makes it again as one that can rotate, and do nothing for its clients.
func (s *scene) madeAgainForRotations() {
	s.t.Helper()
	s.exec("ACL SAVE", "ACL DELUSER "+s.user, fmt.Sprintf("ACL SETUSER %s on #%x "+rotatorRules, s.user,
		sha256.Sum256([]byte(s.holder(s.arn, "AWSCURRENT").Password))))
	s.says, s.names = "recommended action: investigate", "its rules are lost: do not ACL SAVE yet"
	s.fix = s.valkeyLine
}

// valkeyRules does what the query before a password says: a user that is gone gets its rules back from the file that
// CONFIG GET names, and nothing is saved before that.
func (s *scene) valkeyRules(before []rotator.Fix) {
	s.t.Helper()
	server := s.db.(valkey)
	if there, err := server.Users(s.t.Context()); err != nil || there[s.user] == "" {
		if len(before) == 0 || !strings.Contains(before[0].Note, "do not ACL SAVE yet: it overwrites the file that CONFIG GET aclfile names") {
			s.t.Fatalf("the user is gone, and this does not bring it back: %v", before)
		}
		s.exec("ACL SETUSER " + s.user + " " + server.savedLine(s.t, s.user))
	}
}

// editedAfterSetSecret: AWSCURRENT names a database that is none, and AWSPENDING has the password that is set. AWSPREVIOUS is
// of the one target or the other; where rejected logins count, only one of them is made.
func (s *scene) editedAfterSetSecret(twice bool, says string) {
	s.not("valkey")
	right, database := s.has(s.user), []any(nil)
	if s.isMySQL() {
		database = []any{"dbname", "shop"}
	}
	before := database
	if twice {
		before = []any{"dbname", "nowhere"}
	}
	s.stuck(aws.Bool(true), s.value(s.user, s.canary(), before...), s.value(s.user, s.canary(), "dbname", "nowhere"), s.value(s.user, right, database...))
	s.names, s.says = says, says
	s.fix = func() {
		s.put(s.value(s.user, right, "dbname", "nowhere"))
		s.names, s.fix = "correct dbname in the secret", func() { s.put(s.value(s.user, right, database...)) }
	}
}

// scenes arrange what each row of the table of decisions is for. Which row a scene meets is
// not said here: it depends on the engine, and the test counts.
var scenes = map[string]func(*scene){
	"another function": func(s *scene) {
		s.but = func(secret *awsemu.Secret) { secret.RotationLambdaARN = s.aws.Functions["other"].ARN() }
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
	},
	"no value": func(s *scene) {
		s.file = string(s.value(s.user, s.has(s.user)).Reveal())
		s.stuck(aws.Bool(true), awsemu.Value{}, awsemu.Value{}, awsemu.Value{})
	},
	"a dbname that is none": func(s *scene) {
		s.not("valkey")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "dbname", "nowhere"), awsemu.Value{})
		s.names, s.fix = "correct dbname in the secret", func() { s.put(s.value(s.user, right)) }
	},
	"a dbname that is none was stored after setSecret": func(s *scene) {
		s.not("valkey")
		right, database := s.has(s.user), []any(nil)
		if s.isMySQL() {
			database = []any{"dbname", "shop"}
		}
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary(), "dbname", "nowhere"), s.value(s.user, right, database...))
		s.names = "if AWSCURRENT or AWSPENDING was edited after setSecret"
		s.says = s.names
		s.fix = func() {
			s.put(s.value(s.user, right, "dbname", "nowhere"))
			s.names, s.fix = "correct dbname in the secret", func() { s.put(s.value(s.user, right, database...)) }
		}
	},
	"a dbname that is none was stored after setSecret, and AWSPREVIOUS is from before": func(s *scene) {
		s.editedAfterSetSecret(false, "if AWSCURRENT names the right user and target, and was edited after setSecret, to store the password of AWSPENDING")
	},
	"a dbname that is none was stored twice after setSecret": func(s *scene) {
		s.editedAfterSetSecret(true, "if AWSCURRENT or AWSPENDING was edited after setSecret")
	},
	"a dbname that is none, and a superuser is at hand": func(s *scene) {
		s.my()
		s.alternating()
		right, boss := s.has(s.user), s.superuser()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "dbname", "nowhere", "masterarn", boss), awsemu.Value{})
		s.says, s.names = "There is no database `nowhere`", "SHOW DATABASES names those that there are"
		s.fix = func() { s.put(s.value(s.user, right, "masterarn", boss)) }
	},
	"no slot for the role": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.only("postgres")
		s.say(s.dialect().noSlot, s.user, "")
	},
	"nothing stored works": func(s *scene) {
		s.has(s.user)
		s.stuck(aws.Bool(true), s.value(s.user, s.canary()), s.value(s.user, s.canary()), s.value(s.user, s.canary()))
	},
	"nothing stored works, and nothing is pending": func(s *scene) {
		s.has(s.user)
		s.stuck(aws.Bool(true), s.value(s.user, s.canary()), s.value(s.user, s.canary()), awsemu.Value{})
	},
	"nothing stored of a pair works, and no superuser is named": func(s *scene) {
		s.my()
		s.alternating()
		clone, boss := s.user+"_clone", s.superuser()
		s.has(clone)
		s.has(s.user)
		s.stuck(aws.Bool(true), s.value(clone, s.canary()), s.value(s.user, s.canary()), s.value(clone, s.canary()))
		s.names = "key masterarn is missing: set it to the superuser secret's ARN"
		s.fix = func() { s.put(s.value(s.user, s.holder(s.arn, "AWSCURRENT").Password, "masterarn", boss)) }
	},
	"AWSCURRENT alone, rejected": func(s *scene) {
		s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), awsemu.Value{})
	},
	"expired": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("ALTER ROLE %u VALID UNTIL '2001-01-01'", s.user, "")
		s.names, s.fix = "where rolvaliduntil has passed: add VALID UNTIL 'infinity'", func() {
			s.say("ALTER ROLE %u VALID UNTIL 'infinity'", s.user, "")
		}
	},
	"an md5 hash on a server that makes no other": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.exec("ALTER ROLE postgres SET password_encryption = 'md5'")
		s.t.Cleanup(func() {
			if err := s.db.Exec(context.Background(), "ALTER ROLE postgres RESET password_encryption"); err != nil {
				s.t.Error(err)
			}
		})
		s.say(s.dialect().set, s.user, s.holder(s.arn, "AWSCURRENT").Password)
		s.says = "has an md5 hash stored"
	},
	"a time limit of the user in its database": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("ALTER ROLE " + s.user + " IN DATABASE postgres SET statement_timeout = '1ms'")
	},
	"never set up": func(s *scene) {
		s.stuck(nil, awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
	},
	"disabled": func(s *scene) {
		s.stuck(aws.Bool(false), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
	},
	"disabled, and the function may move no label": func(s *scene) {
		s.stuck(aws.Bool(false), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.moveDenied()
	},
	"never set up, and the function may move no label": func(s *scene) {
		s.stuck(nil, awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.moveDenied()
		if !strings.Contains(s.status(`{"Step":"status","SecretId":"`+s.arn+`"}`).Text(), " --no-rotate-immediately\n") {
			s.t.Error("no line to set it up without rotating")
		}
	},
	"cancelled before setSecret, and the function may move no label": func(s *scene) {
		s.stuck(aws.Bool(false), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.moveDenied()
	},
	"a copy under AWSPENDING": func(s *scene) {
		v := s.value(s.user, s.has(s.user))
		s.stuck(aws.Bool(true), awsemu.Value{}, v, v)
	},
	"both work": func(s *scene) {
		s.alternating()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user+"_clone", s.has(s.user+"_clone")))
	},
	"both work, and AWSCURRENT was edited": func(s *scene) {
		s.alternating()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "note", "by a person", "masterarn", s.superuser()), s.value(s.user+"_clone", s.has(s.user+"_clone")))
	},
	"cancelled before setSecret": func(s *scene) {
		s.stuck(aws.Bool(false), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
	},
	"AWSPENDING leads elsewhere": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary(), "host", "elsewhere.invalid"))
	},
	"AWSCURRENT was edited": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "note", "by a person"), s.value(s.user, s.canary()))
	},
	"the clone is locked": func(s *scene) {
		s.alternating()
		var more []any
		if s.db.family() == "valkey" { // where a user that is off is rejected, as by a password
			more = []any{"masterarn", s.superuser()}
			s.names = "is off, and a new password does not open it: ACL SETUSER " + s.user + "_clone on"
			s.fix = func() { s.say("ACL SETUSER %u on", s.user+"_clone", "") }
		}
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), more...), s.value(s.user+"_clone", s.has(s.user+"_clone"), more...))
		s.say(s.dialect().lock, s.user+"_clone", "")
	},
	"a policy refuses AWSPENDING": func(s *scene) {
		s.only("mysql")
		s.exec("INSTALL COMPONENT 'file://component_validate_password'", "SET GLOBAL validate_password.policy = LOW", "SET GLOBAL validate_password.length = 20")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, "weak-0123"))
	},
	"no superuser is named": func(s *scene) {
		s.alternating()
		right, boss := s.has(s.user), s.superuser()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), s.value(s.user+"_clone", s.canary()))
		s.names, s.fix = "key masterarn is missing: set it to the superuser secret's ARN", func() { s.put(s.value(s.user, right, "masterarn", boss)) }
	},
	"killed before setSecret": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
	},
	"killed after setSecret": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), s.value(s.user, s.has(s.user)))
	},
	"killed after setSecret, and a member was stored since": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary(), "reader_host", "replica-1"), s.value(s.user, s.has(s.user)))
		if !s.isMySQL() { // where AWSPENDING is not tested at first
			s.says = "has another reader_host, which is lost when the label moves"
		}
	},
	"killed after setSecret, and the other user is locked": func(s *scene) {
		s.alternating()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user+"_clone", s.has(s.user+"_clone")))
		s.say(s.dialect().lock, s.user, "")
		s.says, s.never = "recommended action: finish", "the database has the new password"
	},
	"killed after setSecret, and no slot is free": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), s.value(s.user, s.has(s.user)))
		s.say(s.dialect().noSlot, s.user, "")
	},
	"a backup was restored": func(s *scene) {
		s.stuck(aws.Bool(true), s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()), awsemu.Value{})
	},
	"a backup was restored, and no slot is free": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()), awsemu.Value{})
		s.say(s.dialect().noSlot, s.user, "")
	},
	"locked": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say(s.dialect().lock, s.user, "")
	},
	"killed after setSecret, and locked": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), s.value(s.user, s.has(s.user)))
		s.say(s.dialect().lock, s.user, "")
	},
	"a backup was restored, and locked": func(s *scene) {
		s.stuck(aws.Bool(true), s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()), awsemu.Value{})
		s.say(s.dialect().lock, s.user, "")
	},
	"no password in AWSCURRENT": func(s *scene) {
		s.file = string(s.value(s.user, s.has(s.user)).Reveal())
		s.stuck(aws.Bool(true), awsemu.Value{}, awsemu.Text(s.document("username", s.user)), awsemu.Value{})
	},
	"no password in AWSCURRENT, and AWSPENDING is rejected": func(s *scene) {
		right := s.has(s.user)
		s.stuck(aws.Bool(true), s.value(s.user, right), awsemu.Text(s.document("username", s.user)), s.value(s.user, s.canary()))
	},
	"locked between testSecret and finishSecret":               func(s *scene) { s.refusedAfterTest(0, s.dialect().lock) },
	"the original, locked between testSecret and finishSecret": func(s *scene) { s.refusedAfterTest(1, s.dialect().lock) },
	"dropped between testSecret and finishSecret": func(s *scene) {
		s.only("valkey")
		s.refusedAfterTest(0, "ACL DELUSER %u")
	},
	"a setting between testSecret and finishSecret": func(s *scene) {
		s.only("postgres")
		s.refusedAfterTest(0, "ALTER ROLE %u SET local_preload_libraries = 'nonesuch'")
		s.librarySet()
	},
	"the original, a setting between testSecret and finishSecret": func(s *scene) {
		s.only("postgres")
		s.refusedAfterTest(1, "ALTER ROLE %u SET local_preload_libraries = 'nonesuch'")
		s.librarySet()
	},
	"no slot for the role between testSecret and finishSecret": func(s *scene) {
		s.only("postgres")
		s.refusedAfterTest(1, "ALTER ROLE %u CONNECTION LIMIT 0")
	},
	"expired between testSecret and finishSecret": func(s *scene) {
		s.my()
		s.refusedAfterTest(0, "ALTER USER %u@'%' PASSWORD EXPIRE")
	},
	"an hourly limit between testSecret and finishSecret": func(s *scene) {
		s.my()
		s.refusedAfterTest(1, "ALTER USER %u@'%' WITH MAX_CONNECTIONS_PER_HOUR 1")
	},
	// What follows was found by playing an operator who has not seen the code.
	"the superuser is locked": func(s *scene) {
		s.superuserOf(s.dialect().lock)
		if s.db.family() == "valkey" {
			s.names = `or is off (ACL GETUSER "` + s.user + `boss" shows which)`
			s.fix = func() { s.say("ACL SETUSER %u on", s.user+"boss", "") }
		}
	},
	"the superuser has another password": func(s *scene) {
		s.superuserOf(s.dialect().set)
		s.names = "the next attempt would fail: [P2 failed] superuser: the password"
		s.fix = func() { s.say(s.dialect().set, s.user+"boss", s.holder(s.user+"boss", "AWSCURRENT").Password) }
	},
	"the superuser's own rotation is stuck before finishSecret": func(s *scene) {
		s.superuserOf("")
		boss, next := s.user+"boss", s.canary()
		s.superuserSecret(func(x *awsemu.Secret) {
			s.say(s.dialect().set, boss, next)
			x.Versions = append(x.Versions, awsemu.Version{ID: awsemu.VersionID(9), Labels: []string{"AWSPENDING"},
				Value: s.value(boss, next, "rotates", s.user+"/"+s.user+"_clone")})
		})
		s.names = "if the superuser secret rotates, to see first how that stands"
		s.fix = func() { // as that status says
			first := strings.Index(s.text, "\n         quarterturn status arn:")
			if sets := strings.Index(s.text, "in place of PASSWORD:\n"); first < 0 || sets < first {
				s.t.Errorf("the pending password of the superuser is ended first: %s", s.text)
			}
			secret := s.aws.AWS.Snapshot(boss)
			s.cli("aws secretsmanager update-secret-version-stage --secret-id " + boss + " --version-stage AWSCURRENT --move-to-version-id " +
				secret.Holder("AWSPENDING").ID + " --remove-from-version-id " + secret.Holder("AWSCURRENT").ID)
		}
	},
	"the superuser may not grant the role": func(s *scene) {
		s.only("postgres")
		s.superuserOf("ALTER ROLE %u NOSUPERUSER CREATEROLE")
	},
	"the database takes no connections": func(s *scene) {
		s.only("postgres")
		s.exec("CREATE DATABASE closed" + s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "dbname", "closed"+s.user), awsemu.Value{})
		s.exec("ALTER DATABASE closed" + s.user + " ALLOW_CONNECTIONS false")
	},
	"transactions of its clients begin read-only": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("ALTER ROLE " + s.user + " SET default_transaction_read_only = on")
		s.names, s.fix = "if that is not on purpose, ", func() {
			s.exec(s.lines("BEGIN READ WRITE; ")...)
			s.exec("DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = '" + s.user + "'::regrole); END $$")
		}
	},
	"the user is locked, and its database begins read-only": func(s *scene) {
		s.only("postgres")
		s.alternating()
		db := "frozen" + s.user
		s.exec("CREATE DATABASE " + db)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser(), "dbname", db), awsemu.Value{})
		s.say(s.dialect().lock, s.user, "")
		s.exec("ALTER DATABASE " + db + " SET default_transaction_read_only = on")
		s.never = "\n         ALTER ROLE"
		s.names, s.fix = "begin read-only, by ALTER DATABASE "+db+" SET", func() {
			s.exec(s.lines("BEGIN READ WRITE; ")...)
		}
	},
	"a setting names a library that is none": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("ALTER ROLE %u SET local_preload_libraries = 'nonesuch'", s.user, "")
		s.librarySet()
	},
	"an event trigger at login fails": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		of := "audit_" + s.user
		s.exec("CREATE TABLE "+of+" (who text)", "DO $$ BEGIN CREATE FUNCTION "+of+"() RETURNS event_trigger LANGUAGE plpgsql AS "+
			"'BEGIN IF session_user = ''"+s.user+"'' THEN INSERT INTO "+of+" VALUES (session_user); END IF; END'; "+
			"CREATE EVENT TRIGGER "+of+" ON login EXECUTE FUNCTION "+of+"(); END $$")
		s.says, s.never, s.names = "recommended action: investigate", "GRANT CONNECT", "ALTER EVENT TRIGGER ... DISABLE"
		s.fix = func() { s.exec(strings.Replace(s.lines("ALTER EVENT")[0], "...", of, 1)) }
	},
	"blocked after failed logins": func(s *scene) {
		s.only("mysql")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("ALTER USER %u@'%' FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME UNBOUNDED", s.user, "")
		for range 2 {
			s.accepts(account{Username: s.user, Password: "wrong"})
		}
	},
	"blocked after password errors": func(s *scene) {
		s.only("mariadb")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("SET GLOBAL max_password_errors = 2")
		for range 2 {
			s.accepts(account{Username: s.user, Password: "wrong"})
		}
		s.t.Cleanup(func() { s.db.Exec(context.Background(), "SET GLOBAL max_password_errors = DEFAULT") })
	},
	"the account for one address is blocked after failed logins, and the other is not": func(s *scene) {
		s.only("mysql")
		s.stuck(nil, awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.nearer("FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME UNBOUNDED")
		s.fix = func() { s.exec(s.lines("FLUSH PRIVILEGES")...) }
	},
	"the account for one address is blocked after password errors, and the other is not": func(s *scene) {
		s.only("mariadb")
		s.stuck(nil, awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("SET GLOBAL max_password_errors = 2")
		s.t.Cleanup(func() { s.db.Exec(context.Background(), "SET GLOBAL max_password_errors = DEFAULT") })
		s.nearer("")
	},
	"the account for one address is locked, and the other is not": func(s *scene) {
		s.my()
		s.stuck(nil, awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.nearer("ACCOUNT LOCK")
		s.says, s.names = "if it is locked still", "if it is locked still"
		s.fix = func() {
			db, err := s.db.(mysql).Admin(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			defer db.Close()
			s.exec("CREATE USER 0" + s.user + " IDENTIFIED BY '" + s.canary() + "' ACCOUNT LOCK") // another's
			user, host := "", ""
			query := s.lines("SELECT User, Host FROM ")[0]
			if err := db.QueryRowContext(s.t.Context(), query).Scan(&user, &host); err != nil || user != s.user {
				s.t.Fatalf("%s: %s, %v", query, user, err)
			}
			s.exec("ALTER USER " + s.user + "@'" + host + "' ACCOUNT UNLOCK")
		}
	},
	"too few connections at a time": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("ALTER USER %u@'%' WITH MAX_USER_CONNECTIONS 1", s.user, "")
		db, err := s.db.(mysql).Connect(s.t.Context(), s.user, s.holder(s.arn, "AWSCURRENT").Password, "")
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { db.Close() })
		if err := db.PingContext(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		s.names = "ALTER USER `" + s.user + "`@`%` WITH MAX_USER_CONNECTIONS 2"
		s.says, s.fix = s.names, func() {
			raise := strings.Index(s.text, "         "+s.names)
			looks := append(s.lines("SELECT Host, max_user_connections "), s.lines("SELECT ID, HOST, DB, ")...)
			for _, line := range looks {
				if strings.Index(s.text, line) > raise {
					s.t.Errorf("which account has the limit, and what uses it up, is not shown first: %s", s.text)
				}
			}
			limits := s.lines("ALTER USER .* WITH MAX_USER_CONNECTIONS ")
			if len(limits) != 2 || limits[1] != strings.Replace(s.names, "CONNECTIONS 2", "CONNECTIONS 1", 1) {
				s.t.Errorf("the limit is not put back: %v", limits)
			}
			s.exec(append(looks, s.names)...)
			db.Close() // MariaDB counts a session that has just ended a moment longer
		}
	},
	"too few connections an hour": func(s *scene) {
		s.only("mysql")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("ALTER USER %u@'%' WITH MAX_CONNECTIONS_PER_HOUR 1", s.user, "")
		s.accepts(account{Username: s.user, Password: s.canaries[len(s.canaries)-1]})
	},
	"the primary is read-only": func(s *scene) {
		s.readOnly()
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	},
	"what lets it into its database is a role that is no default": func(s *scene) {
		s.my()
		db, role, to := "d"+s.user, "r"+s.user, map[string]string{"mysql": " TO ", "mariadb": " FOR "}[s.db.family()]
		s.exec("CREATE DATABASE "+db, "CREATE ROLE "+role, "GRANT SELECT, INSERT ON "+db+".* TO "+role)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "dbname", db), awsemu.Value{})
		s.say("GRANT "+role+" TO %u@'%'", s.user, "")
		s.names, s.fix = "SET DEFAULT ROLE that role", func() { s.say("SET DEFAULT ROLE "+role+to+"%u@'%'", s.user, "") }
	},
	"what lets it into its database is a role that is no default, and a superuser is at hand": func(s *scene) {
		s.my()
		s.alternating()
		db, role, kept := "d"+s.user, "r"+s.user, "k"+s.user
		s.exec("CREATE DATABASE "+db, "CREATE ROLE "+role, "CREATE ROLE "+kept, "GRANT SELECT, INSERT ON "+db+".* TO "+role)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "dbname", db, "masterarn", s.superuser()), awsemu.Value{})
		for _, r := range []string{role, kept} {
			s.say("GRANT "+r+" TO %u@'%'", s.user, "")
			s.say("GRANT "+r+" TO %u@'%' WITH ADMIN OPTION", s.user+"boss", "")
		}
		s.says, s.never = "and is no default role", "SHOW GRANTS FOR"
		if s.db.family() == "mysql" {
			s.names, s.fix = "if all roles that it is granted are meant", func() { s.exec(s.lines("SET DEFAULT ROLE ALL")...) }
		}
	},
	"the user lost its privileges on the database, and its clone has them": func(s *scene) {
		s.my()
		s.alternating()
		right := s.has(s.user)
		s.say("GRANT CREATE VIEW ON shop.* TO %u@'%'", s.user, "")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "dbname", "shop", "masterarn", s.superuser()), awsemu.Value{})
		for range 2 {
			s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		}
		s.say("REVOKE SELECT, CREATE VIEW ON shop.* FROM %u@'%'", s.user, "")
		s.says, s.never = "It has no privilege on the database `shop`", "SHOW GRANTS FOR"
		s.names, s.fix = "GRANT CREATE VIEW, SELECT ON `shop`.* TO `"+s.user+"`@`%`", s.givenLines
	},
	"the host is read-only, and no rotation has met it": func(s *scene) {
		s.readOnly()
		s.says = "recommended action: investigate"
	},
	"the host is read-only and behind, and AWSPREVIOUS works": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()), awsemu.Value{})
		s.readOnlyServer()
		s.says = "recommended action: investigate"
	},
	"the host is a standby and behind, and AWSPREVIOUS works": func(s *scene) {
		s.only("postgres")
		right := s.has(s.user)
		there := []any{"port", s.standby()}
		s.stuck(aws.Bool(true), s.value(s.user, right, there...), s.value(s.user, s.canary(), there...), awsemu.Value{})
		s.says, s.names = "recommended action: investigate", "Use the primary (RDS: the writer endpoint) as host"
		s.fix = func() { s.put(s.value(s.user, right)) }
	},
	"the host is a replica and behind, and AWSPREVIOUS works": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()), awsemu.Value{})
		s.replica(awsemu.Value{})
		s.says, s.names = "recommended action: investigate", "if the primary is lost, to make"
		s.fix = func() { s.exec("REPLICAOF NO ONE") }
	},
	"the host is a replica that is further behind, and a superuser is at hand": func(s *scene) {
		s.only("valkey")
		s.has(s.user)
		s.stuck(aws.Bool(true), s.value(s.user, s.canary()), s.value(s.user, s.canary(), "masterarn", s.superuser()), awsemu.Value{})
		s.replica(awsemu.Value{})
		s.says, s.names = "recommended action: investigate", "Until then set no password"
		s.fix = func() { s.exec("REPLICAOF NO ONE") }
	},
	"the host is read-only, nothing stored works, and a superuser is at hand": func(s *scene) {
		s.my()
		s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary(), "masterarn", s.superuser()), awsemu.Value{})
		s.readOnlyServer()
		s.says = "recommended action: investigate"
	},
	"the host is read-only, the user is renamed there, and a superuser is at hand": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.say("RENAME USER %u@'%' TO %uold@'%'", s.user, "")
		s.readOnlyServer()
		fix := s.fix
		s.says, s.never = "recommended action: investigate", "RENAME USER `"+s.user+"old`"
		s.fix = func() {
			fix()
			s.never = ""
		}
	},
	"a retry that takes from clients what the clone alone has": func(s *scene) {
		s.my()
		s.rotatedPair(1)
		s.exec("GRANT INSERT ON *.* TO " + s.user + "_clone@'%'")
		s.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault { return awsemu.Fault{Deny: c.Phase == "setSecret"} }
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.aws.AWS.Fault = nil
		s.says = "before the next attempt: "
	},
	"an hourly limit, once a password is pending": func(s *scene) {
		s.my()
		s.hourly("MAX_CONNECTIONS_PER_HOUR 1")
	},
	"an hourly limit of statements, once a password is pending": func(s *scene) {
		s.my()
		s.hourly("MAX_QUERIES_PER_HOUR 3")
	},
	"an hourly limit of changes, once a password is pending": func(s *scene) {
		s.my()
		s.hourly("MAX_UPDATES_PER_HOUR 1")
	},
	"the password has expired": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("ALTER USER %u@'%' PASSWORD EXPIRE", s.user, "")
	},
	"it logs in by the socket": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.socket()
	},
	"an init_connect that fails": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("SET GLOBAL init_connect = 'INSERT INTO none.logins VALUES (1)'")
		s.names, s.fix = "SET GLOBAL init_connect = ''", func() {
			all := s.lines("S.*init_connect")
			if len(all) != 3 || !strings.HasPrefix(all[0], "SHOW ") || all[2] != "SET GLOBAL init_connect = 'SHOWN'" {
				s.t.Fatalf("what is overwritten is not shown before, or not put back: %v", all)
			}
			s.exec(all[:2]...)
		}
		s.t.Cleanup(func() { s.db.Exec(context.Background(), "SET GLOBAL init_connect = ''") })
	},
	"offline mode": func(s *scene) {
		s.only("mysql")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("SET GLOBAL offline_mode = ON")
	},
	"the host has a port": func(s *scene) {
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "host", "127.0.0.1:5432"), awsemu.Value{})
		s.names, s.fix = `store "127.0.0.1" as host and 5432 as port`, func() { s.put(s.value(s.user, right)) }
	},
	"a wrong host was stored, and the password is right": func(s *scene) {
		right := s.has(s.user)
		s.stuck(aws.Bool(true), s.value(s.user, right), s.value(s.user, right, "host", "127.0.0.1:5432"), awsemu.Value{})
		s.says = "recommended action: rollback"
	},
	"the user was deleted": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("ACL SAVE", "ACL DELUSER "+s.user)
	},
	"the user was deleted, and a superuser is at hand": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.exec("ACL SAVE", "ACL DELUSER "+s.user)
		s.says, s.names = "the superuser sees why: there is no user", "the words of its line in that file"
		s.fix = func() { s.exec("ACL SETUSER "+s.user+" "+s.db.(valkey).savedLine(s.t, s.user), "ACL SAVE") }
	},
	"the user was deleted, and its clone is there": func(s *scene) {
		s.only("valkey")
		s.has(s.user + "_clone")
		s.pair("ACL DELUSER %u", "")
		s.says, s.names = "the superuser sees why: there is no user", "has the rules of its pair: ACL SETUSER "+s.user+" reset"
		s.fix = func() { s.say(s.dialect().create, s.user, s.holder(s.arn, "AWSCURRENT").Password) }
	},
	"the user lost rules, and its clone has them": func(s *scene) {
		s.only("valkey")
		s.rotatedPair(2)
		s.exec("ACL SETUSER " + s.user + " -@write")
		s.says = fmt.Sprintf("clients log in as user %q, which lacks what user \"%[1]s_clone\", the other of its pair, may do", s.user)
		s.ruleIsBack("+@all")
	},
	"the clone in use lost a key pattern, and the original has it": func(s *scene) {
		s.only("valkey")
		s.rotatedPair(1)
		s.exec("ACL SETUSER " + s.user + "_clone resetkeys ~other:*")
		s.says = "recommended action: investigate"
		s.ruleIsBack("~*")
	},
	"the original in use was made again without rules and saved, and its clone has them": func(s *scene) {
		s.madeAgainAndSaved(2)
	},
	"the clone in use was made again without rules and saved, and the original has them": func(s *scene) {
		s.madeAgainAndSaved(1)
		s.says = "if a rotation is to move clients to user \"" + s.user + "\" and make the two alike"
	},
	"clients are paused, and nothing ends that": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("CLIENT PAUSE 3600000 WRITE")
		s.says, s.names = "recommended action: investigate", "CLIENT UNPAUSE"
		s.fix = func() { s.exec(s.lines("(?:INFO clients|CLIENT UNPAUSE)")...) }
	},
	"the user lost rules, and that is meant so": func(s *scene) {
		s.only("valkey")
		s.rotatedPair(2)
		s.exec("ACL SETUSER " + s.user + " -@write")
		s.names = "if a rotation is to make the two alike, in place of that"
		s.fix = func() { s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn) }
	},
	"the user lost rules, and the other of a pair by name has its own": func(s *scene) {
		s.only("valkey")
		s.alternating()
		other := s.user + "_clone"
		s.has(other)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser(), "alternateUsername", other), awsemu.Value{})
		s.exec("ACL SETUSER " + s.user + " -@write")
		s.says, s.never = "recommended action: none", "different rules"
	},
	"both users of a pair were deleted": func(s *scene) {
		s.only("valkey")
		s.rotatedPair(1)
		clone := s.user + "_clone"
		s.fileFirst([]string{"ACL DELUSER " + s.user, "ACL DELUSER " + clone}, s.user, clone)
		s.says = "the superuser sees why: there is no user"
		s.names = fmt.Sprintf("If %q and %q are a pair, user %[2]q is gone, too, or has lost its rules: bring it back as well", clone, s.user)
		both := s.fix
		s.fix = func() {
			both()
			s.say(s.dialect().set, clone, s.holder(s.arn, "AWSCURRENT").Password)
			s.exec("ACL SAVE")
		}
	},
	"rules are in the file alone, and the password is another": func(s *scene) {
		s.only("valkey")
		s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), awsemu.Value{})
		s.fileFirst([]string{"ACL SETUSER " + s.user + " -@write"}, s.user)
	},
	"rules are in the file alone, and the password is another, by a superuser": func(s *scene) {
		s.only("valkey")
		s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary(), "masterarn", s.superuser()), awsemu.Value{})
		s.fileFirst([]string{"ACL SETUSER " + s.user + " -@write"}, s.user)
	},
	"rules are in the file alone, and the user is off": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.fileFirst([]string{"ACL SETUSER " + s.user + " off -@write"}, s.user)
	},
	"rules are in the file alone, and a rotation is incomplete": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		other := s.user + "x"
		s.has(other)
		s.fileFirst([]string{"ACL DELUSER " + other, "ACL SETUSER " + s.user + " -@write"}, s.user, other)
		s.says = "recommended action: retry"
	},
	"the password is another, and a superuser is at hand": func(s *scene) {
		s.only("valkey")
		s.pair(s.dialect().set, "the superuser sees why: user")
	},
	"the password is another, and the superuser may look alone": func(s *scene) {
		s.only("valkey")
		s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary(), "masterarn", s.superuser()), awsemu.Value{})
		s.exec("ACL SETUSER " + s.user + "boss -acl|setuser")
		s.says, s.never = "the superuser sees why: user", "as the superuser secret's user"
	},
	"the user was made again without rules": func(s *scene) {
		s.only("valkey")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), awsemu.Value{})
		other := s.canary()
		s.exec("ACL SAVE", "ACL DELUSER "+s.user, fmt.Sprintf("ACL SETUSER %s on #%x #%x", s.user, sha256.Sum256([]byte(right)), sha256.Sum256([]byte(other))))
		s.wrong = []account{{Username: s.user, Password: other}}
		s.names = "clients get NOPERM, and its rules are lost: do not ACL SAVE yet"
		s.fix = s.valkeyLine
	},
	"the user was made again without rules, and a rotation is incomplete": func(s *scene) {
		s.only("valkey")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), s.value(s.user, s.canary()))
		s.exec("ACL SAVE", "ACL DELUSER "+s.user, fmt.Sprintf("ACL SETUSER %s on #%x", s.user, sha256.Sum256([]byte(right))))
		s.says, s.names = "fix what AWSCURRENT's line names", "do not ACL SAVE yet"
		s.fix = func() {
			if first, _, _ := strings.Cut(s.text, "ACL SAVE"); !strings.HasSuffix(first, "do not ") || strings.Contains(s.text, " +acl +config|get ") {
				s.t.Errorf("the last copy of the rules may be overwritten: %s", s.text)
			}
			s.valkeyLine()
		}
	},
	"the user was made again, with what a rotation needs alone": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.madeAgainForRotations()
	},
	"the user was made again, with what a rotation needs alone, and one is incomplete": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.madeAgainForRotations()
	},
	"the clone was made again, with what a rotation needs alone": func(s *scene) {
		s.only("valkey")
		s.rotatedPair(1)
		clone := s.holder(s.arn, "AWSCURRENT")
		s.exec("ACL DELUSER "+clone.Username, fmt.Sprintf("ACL SETUSER %s on #%x "+rotatorRules, clone.Username, sha256.Sum256([]byte(clone.Password))))
		s.says, s.names = "recommended action: investigate", "has the rules of its pair: ACL SETUSER "+clone.Username+" reset"
		s.fix = func() {
			line := regexp.MustCompile(`\n +(ACL SETUSER ` + clone.Username + ` reset .*) on >PASSWORD\n`).FindStringSubmatch(s.text)
			if line == nil {
				s.t.Fatalf("no line for the clone in: %s", s.text)
			}
			s.exec(fmt.Sprintf("%s on #%x", line[1], sha256.Sum256([]byte(clone.Password))), "ACL SAVE")
		}
	},
	"a superuser that rotates itself": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.exec("ACL SETUSER " + s.user + " resetkeys -@all " + rotatorRules)
		s.says, s.names = "recommended action: investigate", `"rotates": []`
		s.fix = func() {
			s.put(s.value(s.user, s.holder(s.arn, "AWSCURRENT").Password, "rotates", []string{}))
			s.never = "its rules are lost"
		}
		s.last = "recommended action: none" // it has no key that accepts could read
	},
	"any password is let in": func(s *scene) {
		s.only("valkey")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), awsemu.Value{})
		s.exec("ACL SETUSER " + s.user + " nopass")
		s.names = "resetpass >PASSWORD, with the password in AWSCURRENT in place of PASSWORD"
		s.fix = func() { s.say(s.dialect().set, s.user, s.holder(s.arn, "AWSCURRENT").Password) }
		s.wrong = []account{{Username: s.user, Password: right}, {Username: s.user, Password: "any"}}
	},
	"the host is a replica, and its primary is lost": func(s *scene) {
		s.replica(s.value(s.user, s.has(s.user)))
		s.says, s.names = "recommended action: investigate", "if the primary is lost, to make"
		s.fix = func() { s.exec("REPLICAOF NO ONE") }
	},
	"the host is a replica, and a rotation is incomplete": func(s *scene) {
		s.only("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.replica(awsemu.Value{})
		s.says, s.names = "recommended action: investigate", "if its clients are to read alone, to say so"
		s.fix = func() { s.exec("ACL SETUSER "+s.user+" -@write", "ACL SAVE") }
	},
	"the host became a replica, and its primary is among the nodes": func(s *scene) {
		s.only("valkey")
		here, there := s.db.(valkey), s.node()
		s.exec("REPLICAOF 127.0.0.1 " + strconv.Itoa(there.Port))
		s.t.Cleanup(func() { s.db.Exec(context.Background(), "REPLICAOF NO ONE") }) //nolint:errcheck // of the next scene
		s.says = "recommended action: investigate"
		s.names = fmt.Sprintf("%s is a replica of %s, which takes no writes: use the primary as host", here.Address(), there.Address())
		s.fix = func() { // as the sentence says
			moved := []any{"host", there.Host, "port", there.Port, "nodes", []string{here.Address()}}
			boss, user := s.holder(s.user+"boss", "AWSCURRENT"), s.holder(s.arn, "AWSCURRENT")
			s.store(s.user+"boss", s.value(boss.Username, boss.Password, append(moved, "rotates", s.user+"/"+s.user+"_clone")...))
			s.put(s.value(user.Username, user.Password, append(moved, "masterarn", s.user+"boss")...))
		}
	},
	"the user was deleted at a node": func(s *scene) {
		s.only("valkey")
		there := s.node()
		user := s.holder(s.arn, "AWSCURRENT")
		if err := there.Exec(s.t.Context(), []string{"ACL", "DELUSER", user.Username}); err != nil {
			s.t.Fatal(err)
		}
		s.says = fmt.Sprintf("at %s, there is no user %q on this server; at %s it is on and has this very password", there.Address(),
			user.Username, s.db.(valkey).Address())
		s.names = "another node lets it in, with rules: ACL SETUSER " + user.Username + " reset"
		s.fix = func() { // what is printed, on every node
			line := regexp.MustCompile(`\n +(ACL SETUSER ` + user.Username + ` reset .*) on >PASSWORD\n`).FindStringSubmatch(s.text)
			if line == nil {
				s.t.Fatalf("no line for the user in: %s", s.text)
			}
			line[1] = fmt.Sprintf("%s on #%x", line[1], sha256.Sum256([]byte(user.Password)))
			s.exec(line[1], "ACL SAVE")
			if err := there.Exec(s.t.Context(), strings.Fields(line[1]), []string{"ACL", "SAVE"}); err != nil {
				s.t.Fatal(err)
			}
		}
	},
	"a node has an older password":                             func(s *scene) { s.olderAtANode(false, false) },
	"a node has an older password, and a superuser is at hand": func(s *scene) { s.olderAtANode(true, false) },
	"the host has an older password than a node":               func(s *scene) { s.olderAtANode(true, true) },
	"the secret is a superuser's own": func(s *scene) {
		s.alternating()
		s.arn = s.superuser()
		s.says, s.never = "this function cannot rotate it as it is: [S10 failed]", "aws secretsmanager"
	},
	"the original was turned off at a node": func(s *scene) {
		s.only("valkey")
		there := s.node()
		if err := there.Exec(s.t.Context(), []string{"ACL", "SETUSER", s.user, "off"}); err != nil {
			s.t.Fatal(err)
		}
		s.says = "at " + there.Address() + ", the next rotation is refused: "
		s.names = "ACL SETUSER " + s.user + " on"
		s.fix = func() {
			if err := there.Exec(s.t.Context(), []string{"ACL", "SETUSER", s.user, "on"}, []string{"ACL", "SAVE"}); err != nil {
				s.t.Fatal(err)
			}
		}
	},
	"a replica is read on purpose": func(s *scene) {
		s.replica(s.value(s.user, s.has(s.user)))
		s.exec("ACL SETUSER " + s.user + " -@write")
		s.says = "recommended action: none"
	},
	"users cannot be saved":                   func(s *scene) { s.notSaved(nil) },
	"users cannot be saved, by a superuser":   func(s *scene) { s.alternating(); s.notSaved([]any{"masterarn", s.superuser()}) },
	"users could not be saved, and can again": func(s *scene) { s.notSaved(nil); s.fix(); s.fix = nil },
	"users cannot be saved at a node":         func(s *scene) { s.notSavedAtANode(false) },
	"users cannot be saved at a node, of a pair": func(s *scene) {
		s.alternating()
		s.notSavedAtANode(false)
	},
	"users cannot be saved at a node, and a person has set the password there": func(s *scene) { s.notSavedAtANode(true) },
	"the superuser is locked, and the user as well": func(s *scene) {
		s.my()
		s.superuserOf(s.dialect().lock)
		s.say(s.dialect().lock, s.user, "")
		s.names, s.fix = "the superuser could not be asked why", func() {
			unlock := s.lines("ALTER USER .* ACCOUNT UNLOCK")
			if unlock[0] != "ALTER USER `"+s.user+"`@`%` ACCOUNT UNLOCK" {
				s.t.Errorf("clients are locked out, and first comes %s", unlock[0])
			}
			s.exec(unlock...)
		}
	},
	"the superuser is expired": func(s *scene) {
		s.only("postgres")
		s.superuserOf("ALTER ROLE %u VALID UNTIL '2001-01-01'")
		s.names, s.fix = "FROM pg_roles WHERE rolname IN ('"+s.user+"boss')", func() {
			s.resetSuperuserAnd("VALID UNTIL 'infinity'")
		}
	},
	"the superuser is locked, and has another password": func(s *scene) {
		s.not("valkey")
		s.superuserOf(s.dialect().set)
		s.say(s.dialect().lock, s.user+"boss", "")
		s.names, s.fix = "in AWSCURRENT of arn:", func() {
			s.resetSuperuserAnd(map[string]string{"postgres": "LOGIN"}[s.db.family()])
		}
	},
	"the superuser is dropped": func(s *scene) {
		s.only("postgres")
		s.superuserOf("DROP ROLE %u")
		s.names, s.fix = "no row: the role is dropped, or renamed", s.resetSuperuser
	},
	"the superuser is renamed": func(s *scene) {
		s.not("valkey")
		s.superuserOf("")
		s.renamed(s.user + "boss")
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	},
	"the superuser may have no connection": func(s *scene) {
		s.only("postgres")
		s.superuserOf("ALTER ROLE %u NOSUPERUSER CREATEROLE CONNECTION LIMIT 0")
	},
	"the superuser secret is about to be deleted": func(s *scene) {
		s.superuserOf("")
		s.superuserSecret(func(x *awsemu.Secret) { x.Deleted = time.Now().Add(24 * time.Hour) })
		s.names, s.fix = "marked for deletion", func() { s.cli(s.printed("aws secretsmanager restore-secret")[0]) }
	},
	"the superuser secret is about to be deleted, and the label is to move back": func(s *scene) {
		s.alternating()
		right, boss := s.has(s.user), s.superuser()
		s.has(s.user + "_clone")
		s.stuck(aws.Bool(true), s.value(s.user, right, "masterarn", boss), s.value(s.user+"_clone", s.canary(), "masterarn", boss), awsemu.Value{})
		s.superuserSecret(func(x *awsemu.Secret) { x.Deleted = time.Now().Add(24 * time.Hour) })
		s.says, s.names = "recommended action: rollback", "the superuser could not be asked why"
		s.fix = func() {
			restore := s.printed("aws secretsmanager restore-secret")[0]
			if first := regexp.MustCompile(`:\n         (.*)\n`).FindStringSubmatch(s.text); first == nil || first[1] != restore {
				s.t.Errorf("%s is not the first line to run: %s", restore, s.text)
			}
			s.cli(restore)
		}
	},
	"the superuser secret has no value": func(s *scene) {
		s.superuserOf("")
		s.file = string(s.aws.AWS.Snapshot(s.user + "boss").Versions[0].Value.Reveal())
		s.superuserSecret(func(x *awsemu.Secret) { x.Versions = nil })
		s.names, s.fix = "no value yet", func() { s.cli(s.printed("aws secretsmanager put-secret-value")[0]) }
	},
	"the superuser secret is no JSON": func(s *scene) {
		s.superuserOf("")
		s.file = string(s.aws.AWS.Snapshot(s.user + "boss").Versions[0].Value.Reveal())
		s.superuserSecret(func(x *awsemu.Secret) { x.Versions[0].Value = awsemu.Text("boss") })
		s.names, s.fix = "to correct that value", func() { s.cli(s.printed("aws secretsmanager put-secret-value")[0]) }
	},
	"the superuser secret's key is disabled":            func(s *scene) { s.superuserKey("Disabled") },
	"the superuser secret's key is about to be deleted": func(s *scene) { s.superuserKey("PendingDeletion") },
	"the key of AWSPENDING cannot be used": func(s *scene) { // one that the secret had before
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.aws.AWS.Fault = func(c awsemu.Call) awsemu.Fault {
			return awsemu.Fault{DecryptionFailure: c.SecretID == s.arn && c.Version == awsemu.VersionID(3)}
		}
		s.says, s.names = "recommended action: investigate", "see that it is enabled and not pending deletion"
		s.fix = func() { s.aws.AWS.Fault = nil }
	},
	// Values that a person stored.
	"a wrong password was stored": func(s *scene) {
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), awsemu.Value{})
		s.put(s.value(s.user, s.canary()))
	},
	"a wrong password was stored, of a pair": func(s *scene) {
		s.rotatedPair(1)
		a := s.holder(s.arn, "AWSCURRENT")
		s.put(s.value(a.Username, s.canary(), "masterarn", s.user+"boss"))
	},
	"a wrong password was stored, of a pair, for the original": func(s *scene) {
		s.rotatedPair(2)
		s.put(s.value(s.user, s.canary(), "masterarn", s.user+"boss"))
	},
	"wrong passwords were stored twice": func(s *scene) {
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), awsemu.Value{})
		s.put(s.value(s.user, s.canary()))
		s.put(s.value(s.user, s.canary()))
		s.names, s.fix = "an older version may still be right", func() {
			s.printed("aws secretsmanager list-secret-version-ids")
			for _, v := range s.aws.AWS.Snapshot(s.arn).Versions {
				if a, _ := parse(v.Value); a.Password == right {
					s.cli(strings.Replace(s.printed("aws secretsmanager update-secret-version-stage")[0], "VERSION-ID", v.ID, 1))
				}
			}
		}
	},
	"a value of another user was stored": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.put(s.value(s.user+"x", s.canary()))
		s.names, s.fix = "If AWSCURRENT names the wrong one, move the label back", func() {
			s.cli(s.printed("aws secretsmanager update-secret-version-stage")[0])
		}
	},
	"a value of another user was stored, who is locked": func(s *scene) {
		boss, other := s.superuser(), s.user+"x"
		theirs := s.has(other)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", boss), awsemu.Value{})
		s.put(s.value(other, theirs, "masterarn", boss))
		s.say(s.dialect().lock, other, "")
		s.names, s.fix = "AWSPREVIOUS has another username. If AWSCURRENT has a wrong one, move the label back first", func() {
			s.cli(s.printed("aws secretsmanager update-secret-version-stage")[0])
		}
	},
	"the superuser's credentials were stored after setSecret":  func(s *scene) { s.strayed(s.canary(), s.has(s.user)) },
	"the superuser's credentials were stored before setSecret": func(s *scene) { s.strayed(s.has(s.user), s.canary()) },
	"the superuser's credentials were stored after setSecret, and the user is locked": func(s *scene) {
		s.not("valkey") // which says the same of a wrong password
		s.strayed(s.canary(), s.has(s.user))
		s.say(s.dialect().lock, s.user, "")
		s.says = "which may be the only copy of its user's password"
	},
	"the superuser's credentials were stored, and no version of the user works": func(s *scene) {
		pending, back := s.canary(), func() {}
		s.has(s.user)
		s.strayed(s.canary(), pending)
		back, s.names, s.fix = s.fix, "set the password of that user to the one in AWSPENDING", func() {
			s.lines("aws secretsmanager list-secret-version-ids")
			s.say(s.dialect().set, s.user, pending)
			s.names, s.fix = "If AWSCURRENT was stored by mistake", back
		}
	},
	"the superuser's credentials were stored, and nothing is pending": func(s *scene) {
		arn := s.superuser()
		boss := s.holder(arn, "AWSCURRENT")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", arn), awsemu.Value{})
		s.put(s.value(boss.Username, boss.Password, "masterarn", arn))
		s.says, s.never = "recommended action: investigate", "rotate-secret "
		s.names, s.fix = "if they were, to go back to user", func() {
			s.cli(s.printed("aws secretsmanager update-secret-version-stage")[0])
		}
	},
	"a wrong host was stored": func(s *scene) {
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), awsemu.Value{})
		s.put(s.value(s.user, right, "host", "db.invalid"))
		s.names, s.fix = "if AWSCURRENT has a wrong host, to move the label back", func() {
			s.cli(s.printed("aws secretsmanager update-secret-version-stage")[0])
		}
	},
	"the host became a standby": func(s *scene) {
		s.only("postgres")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), s.value(s.user, right), s.value(s.user, right, "port", s.standby()), awsemu.Value{})
		s.says = "it is a standby: clients can read there and not write"
		s.names, s.fix = "if AWSCURRENT has a wrong port, to move the label back", func() {
			s.cli(s.printed("aws secretsmanager update-secret-version-stage")[0])
		}
	},
	"the database is renamed": func(s *scene) {
		s.only("postgres")
		s.exec("CREATE DATABASE of" + s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "dbname", "of"+s.user), awsemu.Value{})
		s.exec("ALTER DATABASE of" + s.user + " RENAME TO new" + s.user)
		s.names, s.fix = "SELECT datname FROM pg_database shows which there are", func() { s.exec("ALTER DATABASE new" + s.user + " RENAME TO of" + s.user) }
	},
	"the user is renamed": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.say("ALTER ROLE %u RENAME TO %uold", s.user, "")
		s.names, s.fix = "if it was renamed, to one of SELECT rolname FROM pg_roles WHERE rolcanlogin, ALTER ROLE ... RENAME TO", func() {
			s.say("ALTER ROLE %uold RENAME TO %u", s.user, "")
		}
	},
	"the original is dropped, and AWSCURRENT is of the clone": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(1)
		s.exec("DROP OWNED BY "+s.user, "DROP ROLE "+s.user)
		s.names, s.fix = "lack what it had from its original", s.bringBack
	},
	"the original is dropped, and the clone may not connect": func(s *scene) {
		s.only("postgres")
		s.ofTheOriginal()
		s.exec("DROP OWNED BY "+s.user, "DROP ROLE "+s.user)
		s.says, s.names = "the superuser sees why: role", "if it is the clone of role"
		s.fix = func() {
			s.bringBack()
			s.exec("DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_database, aclexplode(datacl) WHERE grantee = '" + s.user + "_clone'::regrole); END $$")
		}
	},
	"no role of a pair may connect, nor the superuser": func(s *scene) {
		s.only("postgres")
		s.ofTheOriginal()
		s.exec("ALTER ROLE "+s.user+"boss NOSUPERUSER", "REVOKE CONNECT ON DATABASE of"+s.user+" FROM "+s.user)
		s.names, s.fix = "is refused after that still", func() {
			lines, connect := s.lines("GRANT "), `GRANT CONNECT ON DATABASE "of`+s.user+`" TO "`+s.user
			if len(lines) < 3 || lines[0] != connect+`boss"` || lines[1] != connect+`"` {
				s.t.Fatalf("the superuser comes first, and then the original: %s", s.text)
			}
			s.exec(lines[:2]...)
			s.exec("DO $$ BEGIN ASSERT 1 = (SELECT count(*) FROM pg_auth_members WHERE member = '" + s.user + "_clone'::regrole); END $$")
			s.exec("ALTER ROLE " + s.user + "boss SUPERUSER") // which the next rotation needs here
		}
	},
	"the original is dropped, and AWSCURRENT is of it": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(2)
		s.exec("DROP OWNED BY "+s.user, "DROP ROLE "+s.user)
		s.names, s.fix = "lack what it had from its original", s.bringBack
	},
	"the original is dropped, and nothing of the clone is stored": func(s *scene) {
		s.only("postgres")
		s.alternating()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.exec("DROP ROLE " + s.user)
		s.says = "there is no role"
	},
	"the clone is dropped, and AWSCURRENT is of it": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(1)
		s.exec("DROP OWNED BY "+s.user+"_clone", "DROP ROLE "+s.user+"_clone")
		s.says = "there is no role"
	},
	"the clone is no member any more": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(1)
		s.exec("REVOKE " + s.user + " FROM " + s.user + "_clone")
		s.says = "clients lack what role"
	},
	"the clone does not act as the original any more": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(1)
		clone := s.user + "_clone"
		s.exec("GRANT "+s.user+" TO "+clone+" WITH SET FALSE", "CREATE TABLE of_"+clone+" ()", "ALTER TABLE of_"+clone+" OWNER TO "+clone)
		s.says = "do not act as"
	},
	"the original alone may connect, and the clone is no member": func(s *scene) {
		s.only("postgres")
		s.ofTheOriginal()
		s.exec("REVOKE "+s.user+" FROM "+s.user+"_clone", "ALTER ROLE "+s.user+"_clone RESET role")
		s.say(s.dialect().set, s.user, s.canary())
		s.says, s.never = "the superuser sees why: role", "GRANT CONNECT"
	},
	"the original is locked and expired, and may have no connection": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(1)
		s.exec("ALTER ROLE " + s.user + " NOLOGIN VALID UNTIL '2001-01-01' CONNECTION LIMIT 0")
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.names, s.fix = "the next attempt would fail: [P7 ", func() {
			if s.exec(s.lines("ALTER ROLE ")...); len(s.lines("ALTER ROLE ")) != 3 {
				s.t.Errorf("not all that keeps it out: %s", s.text)
			}
		}
	},
	"the clone has become a superuser": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(2)
		s.exec("ALTER ROLE " + s.user + "_clone SUPERUSER")
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.says = "has the attribute SUPERUSER"
	},
	"the other user of a pair by its names is renamed": func(s *scene) {
		s.only("postgres")
		s.namedPair()
		s.exec("ALTER ROLE " + s.user + "b RENAME TO " + s.user + "old")
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.names, s.fix = `ALTER ROLE ... RENAME TO "`+s.user+`b"`, func() { s.exec("ALTER ROLE " + s.user + "old RENAME TO " + s.user + "b") }
	},
	"the other user of a pair by its names is dropped": func(s *scene) {
		s.only("postgres")
		s.namedPair()
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn) // AWSPREVIOUS is of the first one then
		s.exec("DROP OWNED BY "+s.user, "DROP ROLE "+s.user)
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.names, s.fix = "with that of the version that is for it", s.bringBack
	},
	"the original was made again, and its clone is a member of nothing": func(s *scene) {
		s.only("postgres")
		s.rotatedPair(2)
		s.exec("DROP OWNED BY "+s.user, "DROP ROLE "+s.user)
		s.say(s.dialect().create, s.user, s.holder(s.arn, "AWSCURRENT").Password)
		s.names, s.fix = "was dropped and created again, for the setting role", s.givenLines
	},
	"the setting role of the user names an owner that it lost": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		owner := s.user + "owner"
		s.exec("CREATE ROLE "+owner, "CREATE TABLE of_"+owner+" ()", "ALTER TABLE of_"+owner+" OWNER TO "+owner,
			"ALTER ROLE "+s.user+" SET role = "+owner)
		s.names, s.fix = "if sessions of role", func() {
			s.givenLines()
			s.as(s.holder(s.arn, "AWSCURRENT"), "SELECT * FROM of_"+owner)
		}
	},
	"of a pair by its names, the user in use may do nothing": func(s *scene) {
		s.only("postgres")
		s.namedPair()
		s.exec("CREATE TABLE of_"+s.user+" ()", "GRANT SELECT ON of_"+s.user+" TO "+s.user+"b")
		s.names, s.fix = "if the two are a pair, and no other secret is for either of them", func() {
			s.givenLines()
			s.exec("DO $$ BEGIN ASSERT has_table_privilege('" + s.user + "', 'of_" + s.user + "', 'SELECT'); END $$")
		}
	},
	"the superuser secret is another engine's": func(s *scene) {
		s.superuserOf("")
		boss := s.aws.AWS.Snapshot(s.user + "boss")
		s.superuserSecret(func(x *awsemu.Secret) { x.Versions[0].Value = s.value(s.user+"boss", s.canary(), "engine", "db2") })
		s.names, s.fix = "to the ARN of the right secret", func() { s.aws.AWS.Seed(boss) }
	},
	"the superuser secret is not there": func(s *scene) {
		s.alternating()
		right, boss := s.has(s.user), s.superuser()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "masterarn", boss+"x"), awsemu.Value{})
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.names, s.fix = "set masterarn, or SUPERUSER_SECRET_ARN, to the ARN of the right secret", func() { s.put(s.value(s.user, right, "masterarn", boss)) }
	},
	"no JSON was stored": func(s *scene) {
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.put(awsemu.Text("canary-no-JSON"))
		s.says = "not JSON, or no password in it"
	},
	// A superuser is at hand, and says why.
	"expired, and a superuser is at hand": func(s *scene) {
		s.only("postgres")
		s.pair("ALTER ROLE %u VALID UNTIL '2001-01-01'", "the VALID UNTIL of role")
	},
	"locked and rejected, and a superuser is at hand": func(s *scene) {
		if s.db.family() == "valkey" {
			s.pair(s.dialect().lock, "is off: ACL SETUSER ")
			return
		}
		s.pair(s.dialect().lock, "locked")
	},
	"the original is renamed": func(s *scene) {
		s.only("postgres")
		s.pair("ALTER ROLE %u RENAME TO %uold", "looks like it, renamed. If no client logs in by that name, ALTER ROLE ")
	},
	"the original is renamed, and its name is taken": func(s *scene) {
		s.only("postgres")
		s.pair("ALTER ROLE %u RENAME TO %uold", "with another password")
		s.has(s.user)
		s.names, s.fix = "Have its owner give it another name", func() {
			s.exec("ALTER ROLE "+s.user+" RENAME TO "+s.user+"x", regexp.MustCompile(`ALTER ROLE "\w+old" RENAME TO "\w+"`).FindString(s.text))
		}
	},
	"a client certificate is demanded": func(s *scene) {
		s.not("postgres")
		s.not("valkey")
		s.pair("ALTER USER %u@'%' REQUIRE X509", "demands a client certificate (REQUIRE X509), of which this function has none")
	},
	"an account of another owner is met": func(s *scene) {
		s.not("postgres")
		s.not("valkey")
		s.pair("CREATE USER %u@'127.0.0.1' IDENTIFIED BY '%p'", "which hides ")
	},
	"an account of another owner is met, and locked": func(s *scene) {
		s.my()
		s.pair("CREATE USER %u@'127.0.0.1' IDENTIFIED BY '%p'", "which hides ")
		s.exec("ALTER USER " + s.user + "@'127.0.0.1' ACCOUNT LOCK")
		s.never = "ALTER USER `" + s.user + "`@`127.0.0.1` ACCOUNT UNLOCK"
	},
	"an account for another host is locked": func(s *scene) {
		s.my()
		s.pair("CREATE USER %u@'127.0.0.1' IDENTIFIED BY '%p'", "is locked")
		s.exec("DROP USER "+s.user+"@'%'", "GRANT SELECT ON shop.* TO "+s.user+"@'127.0.0.1'")
		s.exec("ALTER USER " + s.user + "@'127.0.0.1' IDENTIFIED BY '" + s.holder(s.arn, "AWSCURRENT").Password + "' ACCOUNT LOCK")
	},
	"an account for other addresses has the password": func(s *scene) {
		s.my()
		s.pair("CREATE USER %u@'10.9.9.9' IDENTIFIED BY '%p'", "its password is another")
		s.exec("ALTER USER " + s.user + "@'10.9.9.9' IDENTIFIED BY '" + s.holder(s.arn, "AWSCURRENT").Password + "'")
		s.exec("GRANT SELECT ON shop.* TO " + s.user + "@'10.9.9.9'")
		s.say(s.dialect().set, s.user, s.canary())
		s.never = "hides"
	},
	"the original is renamed, and AWSCURRENT is of the clone": func(s *scene) {
		s.brokenPair("RENAME USER %u@'%' TO %uold@'%'")
		s.says = "and user \"" + s.user + "old\" has a password that the secret has for it"
	},
	"the original is dropped, and AWSCURRENT is of the clone, which has what it had": func(s *scene) {
		s.brokenPair("DROP USER %u@'%'")
		s.names, s.fix = "if it was dropped, to create it again", func() {
			password := s.holder(s.arn, "AWSPREVIOUS").Password
			for _, line := range s.lines("(?:CREATE|GRANT|SET STATEMENT) ") {
				s.exec(strings.Replace(line, "'PASSWORD'", "'"+password+"'", 1))
			}
			s.exec("SHOW GRANTS FOR " + s.user + "@'%'")
		}
	},
	"the original is for another host": func(s *scene) {
		s.brokenPair("RENAME USER %u@'%' TO %u@'10.0.%'")
		s.says = "RENAME USER `" + s.user + "`@`10.0.%` TO `" + s.user + "`@`%`"
	},
	"the original is for another host, and was rolled back from": func(s *scene) {
		s.brokenPair("SELECT 1") // the original is in use again
		s.say("RENAME USER %u@'%' TO %u@'10.0.%'", s.user, "")
		s.says = "no account of user"
		s.follow()
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	},
	"both users of a pair are for another host": func(s *scene) {
		s.brokenPair("RENAME USER %u@'%' TO %u@'10.0.%'", "RENAME USER %u_clone@'%' TO %u_clone@'10.0.%'")
		s.says = "RENAME USER `" + s.user + "_clone`@`10.0.%` TO `" + s.user + "_clone`@`%`"
	},
	"both users of a pair log in by the socket": func(s *scene) {
		s.brokenPair("SELECT 1", "SELECT 1") // the clone is in use
		s.socket()
		original := s.user
		s.user += "_clone"
		s.socket()
		s.user = original
		s.says = "and not by a password: ALTER USER"
	},
	"TLS is off in the secret, and the user demands it": func(s *scene) {
		s.my()
		s.withoutTLS()
	},
	"TLS is off in the secret, and the user demands it, and a superuser is at hand": func(s *scene) {
		s.my()
		s.alternating()
		s.withoutTLS("masterarn", s.superuser())
		s.says = "store-credentials"
	},
	"it logs in by parsec": func(s *scene) {
		s.only("mariadb")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		right := s.holder(s.arn, "AWSCURRENT").Password
		s.parsec(s.user, right)
		s.says = "Clients that can give it log in as before"
	},
	"the password is another's, and the clone of AWSPENDING is locked": func(s *scene) {
		s.my()
		s.alternating()
		s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), s.value(s.user+"_clone", s.has(s.user+"_clone")))
		s.say(s.dialect().lock, s.user+"_clone", "")
	},
	"the clone's password is another's, and the original is locked": func(s *scene) {
		s.my()
		s.alternating()
		s.has(s.user + "_clone")
		s.stuck(aws.Bool(true), s.value(s.user, s.has(s.user)), s.value(s.user+"_clone", s.canary()), awsemu.Value{})
		s.say(s.dialect().lock, s.user, "")
	},
	"the password is another's, and the clone of AWSPENDING logs in by parsec": func(s *scene) {
		s.only("mariadb")
		s.alternating()
		s.has(s.user)
		right := s.has(s.user + "_clone")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.canary()), s.value(s.user+"_clone", right))
		s.parsec(s.user+"_clone", right)
	},
	"the clone's password is another's, and the original logs in by parsec": func(s *scene) {
		s.only("mariadb")
		s.alternating()
		s.has(s.user + "_clone")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), s.value(s.user, right), s.value(s.user+"_clone", s.canary()), awsemu.Value{})
		s.parsec(s.user, right)
	},
	"the original may not use the database any more": func(s *scene) {
		s.my()
		s.alternating()
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "dbname", "shop", "masterarn", s.superuser()), awsemu.Value{})
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.say("REVOKE SELECT ON shop.* FROM %u@'%'", s.user, "")
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.names = "may do nothing but log in, as one that was dropped and created again"
		s.fix = func() { s.say("GRANT SELECT ON shop.* TO %u@'%'", s.user, "") }
	},
	"the password that expired was used before": func(s *scene) {
		s.only("mysql")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), awsemu.Value{})
		s.say("ALTER USER %u@'%' PASSWORD HISTORY 9", s.user, "")
		s.say(s.dialect().set, s.user, right)
		s.say("ALTER USER %u@'%' PASSWORD EXPIRE", s.user, "")
		s.names = "(error 3638: add PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY, and put both back afterwards to what SHOW CREATE USER shows before)"
		s.fix = func() {
			s.say(s.dialect().set+" PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY", s.user, right)
			s.say("ALTER USER %u@'%' PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL DEFAULT", s.user, "")
		}
	},
	"another password, and the one in the secret was used before": func(s *scene) {
		s.only("mysql")
		right := s.has(s.user)
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right), awsemu.Value{})
		s.say("ALTER USER %u@'%' PASSWORD HISTORY 9", s.user, "")
		s.say(s.dialect().set, s.user, right)
		s.say(s.dialect().set, s.user, s.canary())
		s.names = "rror 3638: it was used before, so add PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY"
		s.fix = func() {
			s.say(s.dialect().set+" PASSWORD HISTORY 0 PASSWORD REUSE INTERVAL 0 DAY ACCOUNT UNLOCK", s.user, right)
		}
	},
	"the original demands a client certificate": func(s *scene) {
		s.brokenPair("ALTER USER %u@'%' REQUIRE X509")
		s.says = "ALTER USER `" + s.user + "`@`%` REQUIRE NONE"
	},
	"the original was granted all, and is not meant to have it": func(s *scene) {
		s.only("mysql")
		s.brokenPair("GRANT ALL ON *.* TO %u@'%'")
		s.names = "if account `" + s.user + "`@`%` is not meant to have it, to take it away"
		s.says, s.fix = s.names, func() {
			revoke := s.lines("REVOKE ")[0]
			if strings.Index(s.text, revoke) > strings.Index(s.text, "         GRANT SYSTEM_USER") {
				s.t.Errorf("what gives the clone more comes before: %s", s.text)
			}
			s.exec(revoke)
		}
	},
	"it logs in by the socket, and a superuser is at hand": func(s *scene) {
		s.my()
		s.alternating()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.socket()
	},
	"another owner's account, for this address, demands a client certificate": func(s *scene) {
		s.my()
		s.alternating()
		earlier := s.value(s.user, s.canary())
		s.stuck(aws.Bool(true), earlier, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.exec("CREATE USER " + s.user + "@'127.0.0.1' IDENTIFIED BY '" + s.canary() + "' REQUIRE X509")
		s.says, s.never = "which hides `"+s.user+"`@`%`", "REQUIRE SSL"
	},
	"the original logs in by the socket": func(s *scene) {
		s.brokenPair("SELECT 1")
		s.socket()
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	},
	"the superuser's password has expired": func(s *scene) {
		s.brokenPair("ALTER USER %uboss@'%' PASSWORD EXPIRE")
		set := "ALTER USER `" + s.user + "boss`@`%` IDENTIFIED BY 'PASSWORD'"
		if s.db.family() == "mariadb" {
			set = "SET PASSWORD FOR `" + s.user + "boss`@`%` = PASSWORD('PASSWORD')"
		}
		s.says = "(the writers of the secret chose them), with the password in AWSCURRENT of arn:"
		s.names = set + ", with the password in AWSCURRENT of its secret in place of PASSWORD"
		s.fix = func() {
			s.exec(strings.ReplaceAll(set, "PASSWORD'", s.holder(s.user+"boss", "AWSCURRENT").Password+"'"))
		}
	},
	"the superuser's grants are revoked": func(s *scene) {
		s.brokenPair("REVOKE ALL PRIVILEGES, GRANT OPTION FROM %uboss@'%'")
	},
	"blocked after failed logins, and the password is another": func(s *scene) {
		s.only("mysql")
		s.has(s.user)
		s.limited(awsemu.Value{}, awsemu.Value{}, "its password is another")
		for range 2 {
			s.accepts(account{Username: s.user, Password: "wrong"})
		}
	},
	"rejected logins count, and no password is right": func(s *scene) {
		s.only("mysql")
		s.has(s.user)
		s.limited(s.value(s.user, s.canary()), awsemu.Value{}, "recommended action: reset-password")
	},
	"rejected logins count, and AWSPREVIOUS is right": func(s *scene) {
		s.only("mysql")
		s.limited(s.value(s.user, s.has(s.user)), awsemu.Value{}, "recommended action: rollback")
	},
	"rejected logins count, and AWSPENDING is right": func(s *scene) {
		s.only("mysql")
		s.limited(awsemu.Value{}, s.value(s.user, s.has(s.user)), "the password of AWSPENDING is the one set")
	},
	"clients have the user blocked again and again, and AWSPREVIOUS is right": func(s *scene) {
		s.blocking(2, s.value(s.user, s.has(s.user)), awsemu.Value{}, "recommended action: rollback")
	},
	"clients have the user blocked again and again, and AWSPENDING is right": func(s *scene) {
		s.blocking(2, awsemu.Value{}, s.value(s.user, s.has(s.user)), "recommended action: finish")
	},
	"one rejected login blocks the user, and AWSPREVIOUS is right": func(s *scene) {
		s.blocking(1, s.value(s.user, s.has(s.user)), awsemu.Value{}, "recommended action: rollback")
		s.hammering = 0 // status itself has it blocked
	},
	"the original was made again, and may do nothing": func(s *scene) {
		s.my()
		s.rotatedPair(2)
		s.madeAgain()
	},
	"the clone was made again, and may do nothing": func(s *scene) {
		s.my()
		s.rotatedPair(1)
		s.madeAgain()
	},
	"the original was made again, and may do nothing, and a rotation is incomplete": func(s *scene) {
		s.my()
		s.alternating()
		boss := s.superuser()
		s.has(s.user + "_clone")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", boss), s.value(s.user+"_clone", s.canary(), "masterarn", boss))
		s.madeAgain()
	},
	"the user was made again, and may not use the database": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "dbname", "shop"), awsemu.Value{})
		s.madeAgain()
		s.names = "Where it was dropped and created again, or lost privileges: GRANT it all that it had"
		s.fix = func() { s.say("GRANT SELECT ON shop.* TO %u@'%'", s.user, "") }
	},
	"the clone lost a privilege that its original has": func(s *scene) {
		s.my()
		s.alternating()
		right, clone := s.has(s.user), "`"+s.user+"_clone`@`%`"
		s.say("GRANT INSERT ON shop.* TO %u@'%'", s.user, "")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "masterarn", s.superuser()), awsemu.Value{})
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
		s.exec("REVOKE INSERT ON shop.* FROM " + clone)
		s.says = "GRANT INSERT ON `shop`.* TO " + clone
	},
	"an account that may do nothing was made beside the user's, and a superuser is at hand": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.beside("127.0.0.1")
		s.last = "recommended action: none" // a user that changes itself, and has two accounts, is another matter
	},
	"an account that may do nothing was made beside the user's": func(s *scene) {
		s.only("mysql") // MariaDB shows nobody the accounts of its name for other hosts
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.beside("127.0.0.1")
		s.last = "recommended action: none"
	},
	"an account that may do nothing was made beside the original's, for other clients": func(s *scene) {
		s.my()
		s.rotatedPair(2)
		s.beside("10.%")
	},
	"the original was made again for other hosts, and may do nothing": func(s *scene) {
		s.my()
		s.rotatedPair(2)
		s.beside("127.%")
		s.say("DROP USER %u@'%'", s.user, "")
		s.names = "if the two are a pair, and no other secret is for either of them"
	},
	"another session holds a lock": func(s *scene) {
		s.not("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.held(s.dialect().hold)
	},
	"another session holds a lock, and a superuser is at hand": func(s *scene) {
		s.not("valkey")
		s.alternating()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.held(s.dialect().hold)
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	},
	"another session has altered the role and is open": func(s *scene) {
		s.only("postgres")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.held("BEGIN; ALTER ROLE " + s.user + " CONNECTION LIMIT 50")
	},
	"another session reads the accounts": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.held("LOCK TABLES mysql.user READ")
	},
	"a backup holds a lock": func(s *scene) {
		s.only("mysql")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
		s.held("LOCK INSTANCE FOR BACKUP")
	},
	"the user is renamed, and a superuser is at hand": func(s *scene) {
		s.my()
		s.pair("RENAME USER %u@'%' TO %uold@'%'", "recommended action: investigate")
	},
	"the user is renamed, and no superuser is at hand": func(s *scene) {
		s.not("valkey")
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.renamed(s.user)
	},
	"the user is dropped, and no superuser is at hand": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("DROP USER %u@'%'", s.user, "")
		s.names, s.fix = "if it was dropped, to create it again", func() {
			s.exec(strings.Replace(s.lines("CREATE USER ")[0], "'PASSWORD'", "'"+s.holder(s.arn, "AWSCURRENT").Password+"'", 1), "GRANT SELECT ON shop.* TO "+s.user+"@'%'")
		}
	},
	"the user is renamed, its wrong passwords count, and a superuser is at hand": func(s *scene) {
		s.only("mysql")
		s.alternating()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
		s.say("ALTER USER %u@'%' FAILED_LOGIN_ATTEMPTS 5 PASSWORD_LOCK_TIME 1", s.user, "")
		s.renamed(s.user)
	},
	"the user is renamed, and its name is taken": func(s *scene) {
		s.my()
		s.pair("RENAME USER %u@'%' TO %uold@'%'", "its password is another")
		s.nameTaken("to see what `" + s.user + "`@`%` may do")
	},
	"the user is renamed, its name is taken, and no superuser is at hand": func(s *scene) {
		s.my()
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.say("RENAME USER %u@'%' TO %uold@'%'", s.user, "")
		s.nameTaken("if there is a row for the name")
	},
	"both users of a pair have other passwords": func(s *scene) {
		s.not("valkey")
		s.alternating()
		s.has(s.user)
		s.has(s.user + "_clone")
		s.stuck(aws.Bool(true), s.value(s.user+"_clone", s.canary()), s.value(s.user, s.canary()), awsemu.Value{})
	},
	"the second password was discarded, and the label moved back to it": func(s *scene) { s.discarded(false) },
	"the second password was discarded, the label moved back to it, and a superuser is at hand": func(s *scene) {
		s.discarded(true)
		s.says = "the password of AWSPREVIOUS is the one set"
	},
	"the second password was discarded, the label moved back to it, and the user blocked": func(s *scene) {
		s.discarded(false)
		s.say("ALTER USER %u@'%' FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME UNBOUNDED", s.user, "")
		for range 2 {
			s.accepts(s.holder(s.arn, "AWSCURRENT"))
		}
	},
	"about to be deleted": func(s *scene) {
		s.but = func(secret *awsemu.Secret) { secret.Deleted = time.Now().Add(24 * time.Hour) }
		s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
		s.last = "aws secretsmanager restore-secret"
	},
}

// refusedAfterTest has the server refuse the user whose turn it is, by a statement between testSecret and
// finishSecret of the rotation after so many: AWSCURRENT stays where it was, on the other user, and works.
func (s *scene) refusedAfterTest(rotations int, breaks string) {
	s.t.Helper()
	s.rotatedPair(rotations)
	before, broken := s.holder(s.arn, "AWSCURRENT"), false
	s.aws.AWS.Fault = func(c awsemu.Call) (none awsemu.Fault) {
		if c.Phase == "finishSecret" && !broken {
			broken = true
			refused := s.holder(s.arn, "AWSPENDING")
			s.say(breaks, refused.Username, "")
			s.accepts(refused) // which uses up an hourly limit
		}
		return none
	}
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	_, said := s.world.last()
	if s.holder(s.arn, "AWSCURRENT") != before || !s.accepts(before) || !strings.Contains(said, "AWSCURRENT was not moved") {
		s.t.Fatalf("AWSCURRENT, which worked for %s, is of %s after finishSecret: %s", before.Username, s.holder(s.arn, "AWSCURRENT").Username, said)
	}
}

// librarySet has the line that is printed find what sets the library, in another database, and ends that.
func (s *scene) librarySet() {
	s.names, s.fix = "in the column run what ends it", func() {
		conn, err := s.postgres().Admin(s.t.Context(), "template1")
		if err != nil {
			s.t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var ends string
		if err := conn.QueryRow(s.t.Context(), "SELECT run FROM ("+s.lines("SELECT 'ALTER '")[0]+") AS x WHERE run LIKE $1",
			"%"+s.user+"%").Scan(&ends); err != nil {
			s.t.Fatal(err)
		}
		s.exec(ends)
	}
}

// superuserOf makes a pair that alternates, breaks its superuser by a statement, and has a
// rotation fail.
func (s *scene) superuserOf(breaks string) {
	s.t.Helper()
	s.alternating()
	right := s.has(s.user)
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "masterarn", s.superuser()), awsemu.Value{})
	if breaks != "" {
		s.say(breaks, s.user+"boss", s.canary())
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	}
}

// superuserSecret changes that secret, and has a rotation fail.
func (s *scene) superuserSecret(change func(*awsemu.Secret)) {
	s.t.Helper()
	boss := s.aws.AWS.Snapshot(s.user + "boss")
	change(&boss)
	s.aws.AWS.Seed(boss)
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
}

// superuserKey encrypts that secret with a key that cannot be used.
func (s *scene) superuserKey(state string) {
	s.t.Helper()
	s.superuserOf("")
	s.aws.AWS.SeedKey(awsemu.Key{Aliases: []string{"alias/aws/secretsmanager"}})
	key := s.aws.AWS.SeedKey(awsemu.Key{ID: "00000000-0000-4000-8000-00000000000b", State: state})
	s.superuserSecret(func(x *awsemu.Secret) { x.KMSKeyID = key })
	s.names, s.fix = "aws kms enable-key", func() {
		if state == "PendingDeletion" {
			s.cli(s.printed("aws kms cancel-key-deletion")[0])
		}
		s.cli(s.printed("aws kms enable-key")[0])
	}
}

// withoutTLS makes a secret that turns TLS off, of a user that demands it. It has further members.
func (s *scene) withoutTLS(more ...any) {
	s.t.Helper()
	s.exec("SET GLOBAL require_secure_transport = OFF")
	s.t.Cleanup(func() { s.db.Exec(context.Background(), "SET GLOBAL require_secure_transport = ON") })
	right := s.has(s.user)
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, append(more, "ssl", false)...), awsemu.Value{})
	s.say("ALTER USER %u@'%' REQUIRE SSL", s.user, "")
	s.never = "whatever the password"
	s.names, s.fix = `emove "ssl": false`, func() {
		s.file = string(s.value(s.user, right, more...).Reveal())
		s.cli("aws secretsmanager put-secret-value --secret-id " + s.arn + " --secret-string file://value.json")
	}
}

// namedPair makes two users that take turns by alternateUsername.
func (s *scene) namedPair() {
	s.t.Helper()
	s.alternating()
	right, boss := s.has(s.user), s.superuser()
	s.has(s.user + "b")
	secret := s.aws.AWS.Snapshot(s.user + "boss")
	a, _ := parse(secret.Versions[0].Value)
	secret.Versions[0].Value = s.value(s.user+"boss", a.Password, "rotates", s.user+"/"+s.user+"b")
	s.aws.AWS.Seed(secret)
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "masterarn", boss, "alternateUsername", s.user+"b"), awsemu.Value{})
}

// bringBack runs the lines that are printed for a role of a pair that is dropped.
func (s *scene) bringBack() {
	s.t.Helper()
	lines := regexp.MustCompile(`(?m)^ +if role "`+s.user+`" was dropped, .*:\n +(.*)$`).FindAllStringSubmatch(s.text, -1)
	if lines == nil || !strings.Contains(lines[0][0], "with the password in AWSPREVIOUS in place of PASSWORD") {
		s.t.Fatalf("not to be brought back: %s", s.text)
	}
	for _, line := range lines {
		s.exec(strings.Replace(line[1], "'PASSWORD'", "'"+s.holder(s.arn, "AWSPREVIOUS").Password+"'", 1))
	}
}

// rotatedPair makes a pair, and rotates it.
func (s *scene) rotatedPair(times int) {
	s.t.Helper()
	s.alternating()
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "masterarn", s.superuser()), awsemu.Value{})
	for range times {
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	}
	if user := s.holder(s.arn, "AWSCURRENT").Username; strings.HasSuffix(user, "_clone") != (times%2 == 1) {
		_, said := s.world.last()
		s.t.Fatalf("after %d rotations, AWSCURRENT is of %s: %s", times, user, said)
	}
}

// my leaves the other engines out.
func (s *scene) my() {
	s.t.Helper()
	s.not("postgres")
	s.not("valkey")
}

// readOnly makes a secret, and then the server read-only.
func (s *scene) readOnly() {
	s.t.Helper()
	s.my()
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), awsemu.Value{})
	s.readOnlyServer()
}

func (s *scene) readOnlyServer() {
	s.t.Helper()
	s.exec("SET GLOBAL read_only = ON")
	s.t.Cleanup(func() { s.db.Exec(context.Background(), "SET GLOBAL read_only = OFF") })
	s.names, s.fix = "or where it is the primary, SET GLOBAL read_only = OFF", func() { s.exec("SET GLOBAL read_only = OFF") }
}

// standby makes a standby of the server, and gives its port.
func (s *scene) standby() int {
	s.t.Helper()
	standby, err := s.db.(postgres).Standby(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { standby.Close() }) //nolint:errcheck // a throwaway copy
	return standby.Port
}

// ofTheOriginal makes a pair on its clone, in a database that its original alone may connect to.
func (s *scene) ofTheOriginal() {
	s.t.Helper()
	s.alternating()
	s.exec("CREATE DATABASE of"+s.user, "REVOKE CONNECT ON DATABASE of"+s.user+" FROM PUBLIC")
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user), "dbname", "of"+s.user, "masterarn", s.superuser()), awsemu.Value{})
	s.exec("GRANT CONNECT ON DATABASE of" + s.user + " TO " + s.user)
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
}

// hourly makes a secret of one user with a pending password, and uses up a limit that its account has for an hour.
func (s *scene) hourly(limit string) {
	s.t.Helper()
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, s.has(s.user)), s.value(s.user, s.canary()))
	s.say("ALTER USER %u@'%' WITH "+limit, s.user, "")
	for range 3 {
		s.accepts(s.holder(s.arn, "AWSCURRENT"))
	}
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
}

// socket has the user log in by a plugin that takes no password.
func (s *scene) socket() {
	s.t.Helper()
	if s.db.family() == "mariadb" {
		s.say("ALTER USER %u@'%' IDENTIFIED VIA unix_socket", s.user, "")
		return
	}
	s.db.Exec(s.t.Context(), "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'") //nolint:errcheck // it may be there
	s.say("ALTER USER %u@'%' IDENTIFIED WITH auth_socket", s.user, "")
}

// parsec has a user log in by a method that this function does not have, until a person sets a password by one that it
// has.
func (s *scene) parsec(user, right string) {
	s.t.Helper()
	s.exec("INSTALL PLUGIN IF NOT EXISTS parsec SONAME 'auth_parsec'", "INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'")
	s.say("ALTER USER %u@'%' IDENTIFIED VIA parsec USING PASSWORD('%p')", user, s.canary())
	s.names, s.fix = "if the server has ed25519", func() {
		s.exec(strings.ReplaceAll(s.lines("ALTER USER ")[0], "'PASSWORD'", "'"+right+"'"))
	}
}

// brokenPair makes one whose clone is in use. After each statement about the original it is rotated, which may fail.
func (s *scene) brokenPair(breaks ...string) {
	s.t.Helper()
	s.my()
	s.rotatedPair(1)
	for _, b := range breaks {
		s.say(b, s.user, "")
		s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	}
}

// pair makes one of which nothing works after a statement about the original, which AWSCURRENT is of. A status must say
// what is named: the superuser has seen it.
func (s *scene) pair(breaks, says string) {
	s.t.Helper()
	s.alternating()
	right := s.has(s.user)
	if s.db.family() == "postgres" {
		s.exec("CREATE ROLE " + s.user + "_clone LOGIN IN ROLE " + s.user)
	}
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, right, "masterarn", s.superuser()), awsemu.Value{})
	s.say(breaks, s.user, s.canary())
	if s.says = says; strings.Contains(breaks, "LOCK") || strings.Contains(breaks, "NOLOGIN") || strings.HasSuffix(breaks, "off") { // with the right password, the server itself says so
		s.say(s.dialect().set, s.user, s.canary())
	}
}

// rotatesOn: what ended well has to rotate too.
func (s *scene) rotatesOn() {
	s.t.Helper()
	secret := s.aws.AWS.Snapshot(s.arn)
	noSuperuser := strings.HasSuffix(s.name, "-alternating-users") && !strings.Contains(string(secret.Holder("AWSCURRENT").Value.Reveal()), "masterarn")
	if s.last != "" || secret.RotationEnabled == nil || !*secret.RotationEnabled || noSuperuser {
		return
	}
	if _, err := s.sdk.RotateSecret(s.t.Context(), rotateNow(s.arn)); err != nil {
		s.t.Fatal(err)
	}
	if r, err := s.aws.AWS.WaitRotation(s.t.Context(), s.arn); err != nil || r.Outcome != "RotationSucceeded" {
		_, said := s.world.last()
		s.t.Errorf("the next rotation ends with %s: %s, %v", r.Outcome, said, err)
	}
	if !s.accepts(s.holder(s.arn, "AWSCURRENT")) {
		s.t.Error("AWSCURRENT does not log in after the next rotation")
	}
}

// limited makes a secret whose AWSCURRENT is rejected by an account that two rejected logins lock, with a superuser.
func (s *scene) limited(previous, pending awsemu.Value, says string) {
	s.t.Helper()
	s.stuck(aws.Bool(true), previous, s.value(s.user, s.canary(), "masterarn", s.superuser()), pending)
	s.say("ALTER USER %u@'%' FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME UNBOUNDED", s.user, "")
	s.says = says
}

// blocking makes a secret whose AWSCURRENT is rejected, with a superuser, and clients that go on trying it, so often
// that the server blocks the account.
func (s *scene) blocking(attempts int, previous, pending awsemu.Value, says string) {
	s.t.Helper()
	s.my()
	s.alternating()
	s.stuck(aws.Bool(true), previous, s.value(s.user, s.canary(), "masterarn", s.superuser()), pending)
	if s.db.family() == "mariadb" {
		s.exec(fmt.Sprintf("SET GLOBAL max_password_errors = %d", attempts))
		s.t.Cleanup(func() { s.db.Exec(context.Background(), "SET GLOBAL max_password_errors = DEFAULT") })
	} else {
		s.say(fmt.Sprintf("ALTER USER %%u@'%%' FAILED_LOGIN_ATTEMPTS %d PASSWORD_LOCK_TIME UNBOUNDED", attempts), s.user, "")
	}
	s.says, s.hammering = says, attempts
}

// madeAgain drops the user of AWSCURRENT, and creates it again with the same password and no privilege.
func (s *scene) madeAgain() {
	s.t.Helper()
	current := s.holder(s.arn, "AWSCURRENT")
	s.say("DROP USER %u@'%'", current.Username, "")
	s.say(s.dialect().create, current.Username, current.Password)
	s.says = "recommended action: investigate"
	s.names, s.fix = "if the two are a pair, and no other secret is for either of them", s.givenLines
}

// beside makes an account of the user for a host, with the same password and no privilege.
func (s *scene) beside(host string) {
	s.t.Helper()
	s.exec(fmt.Sprintf("CREATE USER %s@'%s' IDENTIFIED BY '%s'", s.user, host, s.holder(s.arn, "AWSCURRENT").Password))
	s.says, s.names, s.fix = "recommended action: investigate", "if clients of both are this secret's", s.givenLines
}

// held has another session hold a lock. The printed query shows it, and it is ended.
func (s *scene) held(statement string) {
	s.t.Helper()
	ctx := s.t.Context()
	open := func() (run func(sql string) error, first func(sql string) (id int, err error), end func()) {
		if db, ok := s.db.(postgres); ok {
			conn, err := db.Admin(ctx, "postgres")
			if err != nil {
				s.t.Fatal(err)
			}
			return func(sql string) error { _, err := conn.Exec(ctx, sql); return err },
				func(sql string) (id int, err error) { err = conn.QueryRow(ctx, sql).Scan(&id); return id, err },
				func() { conn.Close(context.Background()) } //nolint:errcheck // the scene has ended it
		}
		db, err := s.db.(mysql).Admin(ctx) // of one connection
		if err != nil {
			s.t.Fatal(err)
		}
		return func(sql string) error { _, err := db.ExecContext(ctx, sql); return err },
			func(sql string) (id int, err error) { err = db.QueryRowContext(ctx, sql).Scan(&id); return id, err },
			func() { db.Close() } //nolint:errcheck // the scene has ended it
	}
	run, first, end := open()
	s.t.Cleanup(end)
	me, column, kill := "SELECT CONNECTION_ID()", "ID", "KILL %d"
	if s.db.family() == "postgres" {
		me, column, kill = "SELECT pg_backend_pid()", "pid", "SELECT pg_terminate_backend(%d)"
	}
	id, err := first(me)
	for _, sql := range strings.Split(statement, "; ") {
		if err == nil {
			err = run(sql)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.names = "if it lasts, to see whose session"
	s.says = s.names
	s.fix = func() {
		query := regexp.MustCompile(s.names + `.*:\n +(?:SET search_path = [^;]*; )?(SELECT .*)\n`).FindStringSubmatch(s.text)
		if query == nil {
			s.t.Fatalf("no query in: %s", s.text)
		}
		_, first, end := open()
		defer end()
		if found, err := first(fmt.Sprintf("SELECT %[1]s FROM (%[2]s) AS q WHERE %[1]s = %[3]d", column, query[1], id)); err != nil || found != id {
			s.t.Fatalf("session %d is not shown by %s: %v", id, query[1], err)
		}
		s.exec(fmt.Sprintf(kill, id))
	}
}

// nearer makes another account of the user, for the address of the function alone, with the same password, and has the
// server block that one. What unblocks it is said to unblock others, too.
func (s *scene) nearer(attempts string) {
	s.t.Helper()
	current := s.holder(s.arn, "AWSCURRENT")
	at := s.user + "@'127.0.0.1'"
	s.exec("CREATE USER "+at+" IDENTIFIED BY '"+current.Password+"' "+attempts, "GRANT SELECT ON shop.* TO "+at)
	for range 2 {
		s.accepts(account{Username: s.user, Password: "wrong"})
	}
	s.names = "it unblocks each account of the server"
	s.says = s.names
}

// discarded makes a secret of one user with two passwords, of which a person has the server discard the older one, and
// has the label back on that.
func (s *scene) discarded(superuser bool) {
	s.t.Helper()
	s.only("mysql")
	s.world = newWorld(s.t, plan{db: s.db, shared: true, handler: s.name, env: []string{"MYSQL_DUAL_PASSWORDS=true"}, attempts: 1})
	password, more := s.has(s.user), []any(nil)
	if superuser {
		more = []any{"masterarn", s.superuser()}
	}
	s.say("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO %u@'%'", s.user, "")
	s.stuck(aws.Bool(true), awsemu.Value{}, s.value(s.user, password, more...), awsemu.Value{})
	older := s.aws.AWS.Snapshot(s.arn).Holder("AWSCURRENT").ID
	s.cli("aws secretsmanager rotate-secret --secret-id " + s.arn)
	newer := s.aws.AWS.Snapshot(s.arn).Holder("AWSCURRENT").ID
	if newer == older || !s.accepts(s.holder(s.arn, "AWSPREVIOUS")) {
		_, said := s.world.last()
		s.t.Fatalf("no two passwords: %s", said)
	}
	s.say("ALTER USER %u@'%' DISCARD OLD PASSWORD", s.user, "")
	s.cli("aws secretsmanager update-secret-version-stage --secret-id " + s.arn + " --version-stage AWSCURRENT --move-to-version-id " +
		older + " --remove-from-version-id " + newer)
}

// strayed makes a secret in which a person has stored the superuser's credentials while a rotation was incomplete. It
// goes back, and neither is AWSPENDING's label removed nor the superuser's password changed.
func (s *scene) strayed(previous, pending string) {
	s.t.Helper()
	arn := s.superuser()
	boss := s.holder(arn, "AWSCURRENT")
	s.stuck(aws.Bool(true), s.value(s.user, previous, "masterarn", arn), s.value(boss.Username, boss.Password, "masterarn", arn),
		s.value(s.user, pending, "masterarn", arn))
	s.says, s.never = "recommended action: investigate", "--version-stage AWSPENDING"
	s.names, s.fix = "If AWSCURRENT was stored by mistake", func() {
		s.cli(s.printed("aws secretsmanager update-secret-version-stage")[0])
		if !s.accepts(boss) {
			s.t.Error("the superuser is locked out")
		}
	}
}

// givenLines runs the GRANTs that are printed.
func (s *scene) givenLines() {
	s.t.Helper()
	s.exec(s.lines("GRANT ")...)
}

// lines are those printed on lines of their own that begin so.
func (s *scene) lines(begin string) (all []string) {
	s.t.Helper()
	for _, line := range regexp.MustCompile(`(?m)^ {9}(?:SET search_path = [^;]*; )?(`+begin+`.*)$`).FindAllStringSubmatch(s.text, -1) {
		all = append(all, line[1])
	}
	if all == nil {
		s.t.Fatalf("no line %s in: %s", begin, s.text)
	}
	return all
}

// renamed gives a user another name. What is printed to give it its own back comes before whatever makes a second one,
// or sets the password of one that is not there.
func (s *scene) renamed(user string) {
	statement := "ALTER ROLE %u RENAME TO %uold"
	if s.isMySQL() {
		statement = "RENAME USER %u@'%' TO %uold@'%'"
	}
	s.say(statement, user, "")
	s.names, s.fix = "if it was renamed, with its name", func() {
		first := s.lines("(?:ALTER|CREATE|RENAME) ")[0]
		s.exec(strings.NewReplacer("NAME`", user+"old`", "HOST", "%", "...", user+"old").Replace(first))
	}
}

// nameTaken has another owner take the name of a user that was renamed. What is printed shows that before it sets a
// password, and the other one keeps its own.
func (s *scene) nameTaken(shows string) {
	s.t.Helper()
	other := s.has(s.user)
	s.names, s.fix = shows, func() {
		if at := strings.Index(s.text, "whom the secret's password would lock out"); at < 0 ||
			at > strings.Index(s.text, "         ALTER USER") {
			s.t.Errorf("whose account it is stands in no line before the one that sets its password: %s", s.text)
		}
		s.exec(s.lines("SHOW GRANTS FOR `" + s.user + "`@`%`")[0])
		s.say("RENAME USER %u@'%' TO %uother@'%'", s.user, "")
		s.exec(strings.NewReplacer("NAME`", s.user+"old`", "HOST", "%").Replace(s.lines("RENAME USER `NAME`")[0]))
		if !s.accepts(account{Username: s.user + "other", Password: other}) {
			s.t.Error("the other owner is locked out")
		}
	}
}

// put is a person's put-secret-value.
func (s *scene) put(v awsemu.Value) {
	text := string(v.Reveal())
	if _, err := s.sdk.PutSecretValue(s.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &s.arn, SecretString: &text}); err != nil {
		s.t.Fatal(err)
	}
}

// not leaves an engine out, which has no such thing.
func (s *scene) not(family string) {
	if s.db.family() == family {
		s.t.Skip("no such thing on " + family)
	}
}

// only leaves the other engines out, which have no such thing.
func (s *scene) only(family string) {
	if s.db.family() != family {
		s.t.Skip("no such thing on " + s.db.family())
	}
}

// alternating takes the function of that strategy.
func (s *scene) alternating() { s.name = s.db.family() + "-alternating-users" }

// superuser makes one that may rotate the user, and gives its secret.
func (s *scene) superuser() (arn string) {
	boss := s.user + "boss"
	password := s.has(boss)
	switch s.db.family() {
	case "postgres":
		s.exec("ALTER ROLE " + boss + " SUPERUSER")
	case "valkey": // it may do everything
	default:
		s.exec("GRANT ALL ON *.* TO " + boss + "@'%' WITH GRANT OPTION")
	}
	return s.aws.AWS.Seed(awsemu.Secret{Name: boss, Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: s.value(boss, password, "rotates", s.user+"/"+s.user+"_clone")}}})
}

// reasonsOfTable reads what the table of decisions can say from its source: a row that no scene comes to is to be found
// here, and not in what status says.
func reasonsOfTable(t *testing.T) (reasons []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../rotator/decisions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]ast.Expr{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, value := range spec.Values {
				constants[spec.Names[i].Name] = value
			}
		}
		return true
	})
	var text func(ast.Expr) string
	text = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			value, err := strconv.Unquote(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			return value
		case *ast.BinaryExpr:
			return text(e.X) + text(e.Y)
		case *ast.Ident:
			return text(constants[e.Name])
		}
		t.Fatalf("a reason that is no constant: %T", e)
		return ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		row, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		columns := map[string]ast.Expr{}
		for _, e := range row.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok {
					columns[key.Name] = pair.Value
				}
			}
		}
		if reason, ok := columns["reason"]; ok {
			whole := text(reason)
			if besides, ok := columns["besides"]; ok {
				whole += text(besides)
			}
			reasons = append(reasons, whole)
		}
		return true
	})
	return reasons
}

// TestEachVerdictEndsWell: for each verdict that status can give, on a real server of each
// engine, what it says is followed to the letter (its command or statement, its event, or
// what a person is told to do by name), until it says that there is nothing to do. Then
// clients log in with AWSCURRENT.
// It takes more than twenty seconds: each scene has a secret and functions of its own. In make test it is every third
// scene, on PostgreSQL alone.
func TestEachVerdictEndsWell(t *testing.T) {
	tier.NotInCheck(t)
	missing := map[string]bool{}
	for _, reason := range reasonsOfTable(t) {
		missing[withoutBelow(reason)] = true
	}
	verdicts, ended := len(missing), 0
	var seen sync.Mutex
	var engines atomic.Int32
	servers := maps.Clone(newestServers)
	servers["Valkey"] = newValkey
	all := len(servers)
	if tier.Stride(t, all, all) > 1 {
		maps.DeleteFunc(servers, func(engine string, _ func(testing.TB) database) bool { return engine != "PostgreSQL" })
	}
	t.Run("on", func(t *testing.T) {
		for engine, open := range servers {
			t.Run(engine, func(t *testing.T) {
				t.Parallel()
				db := open(t)
				engines.Add(1)
				for i, name := range slices.Sorted(maps.Keys(scenes)) {
					if i%tier.Stride(t, all, 3) != 0 {
						continue
					}
					t.Run(name, func(t *testing.T) {
						s := &scene{user: "v" + strconv.Itoa(i)}
						s.world = newWorld(t, plan{db: db, shared: true, handler: db.family() + "-single-user", attempts: 1, env: selfChange(db),
							more: []string{db.family() + "-alternating-users"}, also: "other"})
						scenes[name](s)
						reasons := s.follow()
						if s.last == "" && !s.accepts(s.holder(s.arn, "AWSCURRENT")) {
							t.Fatalf("AWSCURRENT does not log in after: %s", strings.Join(reasons, "\n"))
						}
						s.rotatesOn()
						for _, a := range s.wrong {
							if s.accepts(a) {
								t.Errorf("user %s is let in with a password that no version has", a.Username)
							}
						}
						seen.Lock()
						defer seen.Unlock()
						ended++
						for _, r := range reasons {
							delete(missing, r)
						}
					})
				}
			})
		}
	})
	if int(engines.Load()) < all { // make test, -run, or a server that is not there
		return
	}
	for reason := range missing {
		t.Errorf("no scene came to: %s", reason)
	}
	t.Logf("%d verdicts, %d well ended (%d secrets)", verdicts, verdicts-len(missing), ended)
}

package localaws_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/permissions"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

const (
	homeAccount    = "123456789012"
	foreignAccount = "999988887777"
)

// layer is a kind of policy that can let a rotation down.
type layer string

const (
	identity layer = "identity-based"
	boundary layer = "permissions boundary"
	session  layer = "session"
	scp      layer = "service control"
	rcp      layer = "resource control"
	endpoint layer = "VPC endpoint"
	resource layer = "resource-based" // from another account
	key      layer = "key"            // which does not leave it to IAM
	foreign  layer = "key, from another account"
)

// principals says whether the statements of a layer name who they are about.
func (l layer) principals() bool {
	return slices.Contains([]layer{rcp, endpoint, resource, key, foreign}, l)
}

// holds says whether an action is for this layer to allow.
func (l layer) holds(action string) bool {
	ofKey := strings.HasPrefix(action, "kms:")
	switch l {
	case endpoint, resource:
		return !ofKey
	case key, foreign:
		return ofKey
	}
	return true
}

// guarded is a place whose function has exactly the policies printed for it, with
// one layer beside the identity-based one.
type guarded struct {
	*place
	rotation permissions.Rotation
	layer    layer
	lost     string   // the secret or key of which an action is taken away
	extra    []string // statements pasted into the layer, for that
}

// full is what the layer has to say: every statement of the printed role policy
// that is for it to allow.
func (g *guarded) full() permissions.Policy {
	var p permissions.Policy
	for _, s := range g.rotation.RolePolicy() {
		if g.layer.holds(s.Action[0]) {
			p = append(p, s)
		}
	}
	return p
}

// install puts the policies in force: the layer's as given, the others whole.
func (g *guarded) install(t *testing.T, p permissions.Policy) {
	t.Helper()
	account := homeAccount
	if g.layer == resource || g.layer == foreign {
		account = foreignAccount
	}
	role := "arn:aws:iam::" + account + ":role/rotate"
	caller := awsemu.Caller{
		AccessKey: "ASIALAMBDAHOSTSAMPLE",
		Principal: iam.Principal{ARN: "arn:aws:sts::" + account + ":assumed-role/rotate/function", Role: role},
	}
	org := awsemu.Account{ID: homeAccount}
	named := func(lines []string) iam.NamedPolicy { return parsed(t, string(g.layer), lines) }
	caller.Identity = []iam.NamedPolicy{named(g.lines(g.rotation.RolePolicy(), ""))}
	switch lines := append(g.lines(p, "*"), g.extra...); g.layer {
	case identity:
		caller.Identity = []iam.NamedPolicy{named(lines)}
	case boundary:
		b := named(lines)
		caller.Boundary = &b
	case session:
		caller.Session = []iam.NamedPolicy{named(lines)}
	case scp:
		org.SCPs = [][]iam.NamedPolicy{{named(append(lines, fmt.Sprintf(forAdmin, "")))}}
	case rcp:
		org.RCPs = [][]iam.NamedPolicy{{named(append(lines, fmt.Sprintf(forAdmin, `"Principal":"*",`)))}}
	case endpoint:
		e := named(lines)
		caller.Endpoints = map[string]awsemu.Endpoint{"secretsmanager": {ID: "vpce-1", VPC: "vpc-1", Policy: &e}}
	}
	g.aws.AWS.SetAccount(org)
	g.aws.AWS.SetCaller(caller)
	g.attach(t, p, role)
}

// forAdmin leaves the administrator out of an organization's policies.
const forAdmin = `{"Effect":"Allow",%s"Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/admin"}}}`

// lines gives statements in the form of the layer.
func (g *guarded) lines(p permissions.Policy, principal string) []string {
	var lines []string
	for _, s := range p {
		if principal != "" && (g.layer == rcp || g.layer == endpoint) {
			s.Principal = map[string]permissions.StringList{"AWS": {principal}}
		}
		lines = append(lines, s.String())
	}
	return lines
}

// attach gives secrets and keys their own policies, where the layer is one of those.
func (g *guarded) attach(t *testing.T, p permissions.Policy, role string) {
	t.Helper()
	if g.layer != resource && g.layer != key && g.layer != foreign {
		return
	}
	of := func(arn string, among permissions.Policy) (lines []string) {
		for _, s := range among {
			if s.Resource[0] == arn {
				lines = append(lines, s.WithPrincipal(role).String())
			}
		}
		return lines
	}
	keys := kms.New(kms.Options{BaseEndpoint: &g.aws.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "x", "")})
	whole := g.rotation.RolePolicy()
	for _, s := range []permissions.Secret{g.rotation.Secret, g.rotation.Superuser} {
		if s.ARN == "" {
			continue
		}
		if g.layer != key {
			lines := of(s.ARN, whole)
			if g.layer == resource {
				lines = append(of(s.ARN, p), g.extraOf(s.ARN)...)
			}
			g.attachToSecret(t, s.ARN, lines)
		}
		lines := of(s.Key, whole)
		if g.layer != resource {
			lines = append(of(s.Key, p), g.extraOf(s.Key)...)
		}
		lines = append(lines, `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/admin"},"Action":"kms:*","Resource":"*"}`)
		if _, err := keys.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: &s.Key, Policy: aws.String(document(lines))}); err != nil {
			t.Fatal(err)
		}
	}
}

func (g *guarded) attachToSecret(t *testing.T, arn string, lines []string) {
	t.Helper()
	_, err := g.sdk.DeleteResourcePolicy(t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: &arn})
	if err == nil && len(lines) > 0 {
		_, err = g.sdk.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: &arn, ResourcePolicy: aws.String(document(lines))})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// extraOf is what was pasted for a secret or key.
func (g *guarded) extraOf(arn string) []string {
	if arn == g.lost {
		return g.extra
	}
	return nil
}

func document(lines []string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(lines, ",") + `]}`
}

func parsed(t *testing.T, name string, lines []string) iam.NamedPolicy {
	t.Helper()
	p, err := iam.Parse(document(lines))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return iam.NamedPolicy{Name: name, Policy: p}
}

// statements finds the policy statements in a sentence.
func statements(sentence string) []string {
	var all []string
	for {
		_, rest, ok := strings.Cut(sentence, `{"Effect"`)
		if !ok {
			return all
		}
		var raw json.RawMessage
		if json.NewDecoder(strings.NewReader(`{"Effect"`+rest)).Decode(&raw) == nil {
			all = append(all, string(raw))
		}
		sentence = rest
	}
}

// newGuarded is a place under keys of its own, in which policies decide.
func newGuarded(t *testing.T, with string, l layer, db database) *guarded {
	t.Helper()
	g := &guarded{place: newPlace(t, with, db), layer: l}
	emu := g.aws.AWS
	emu.SetCaller(awsemu.Caller{
		AccessKey: "AKID", Principal: iam.Principal{ARN: "arn:aws:sts::" + homeAccount + ":assumed-role/admin/person", Role: "arn:aws:iam::" + homeAccount + ":role/admin"},
		Identity: []iam.NamedPolicy{parsed(t, "admin", []string{`{"Effect":"Allow","Action":"*","Resource":"*"}`})},
	})
	var superuser string
	for i := 0; i < len(g.rest); i += 2 {
		if g.rest[i] == "masterarn" {
			superuser = g.rest[i+1].(string)
		}
	}
	g.rotation = permissions.Rotation{Role: "arn:aws:iam::" + homeAccount + ":role/rotate", Secret: permissions.Secret{ARN: g.arn}}
	if with != "single" {
		g.rotation.Superuser.ARN = superuser
	}
	for _, s := range []*permissions.Secret{&g.rotation.Secret, &g.rotation.Superuser} {
		if s.ARN != "" {
			s.Key = emu.SeedKey(awsemu.Key{})
			if _, err := g.sdk.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: &s.ARN, KmsKeyId: &s.Key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return g
}

// tally counts over all tests that run side by side.
type tally struct {
	mu             sync.Mutex
	removed, named int
}

// TestEveryMissingPermissionIsNamed: for every action of the printed policy, in every
// layer, with every strategy and every engine, by the real binary on a real server. One is taken away.
// The preflight names exactly it; nothing is written, to the secret or the database;
// and with the statement pasted that was printed, the next preflight is green and the
// rotation goes through. It takes minutes: in make test it is PostgreSQL, the strategy with the longest policy, and three layers.
func TestEveryMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	var count tally
	engines := tier.Some(t, slices.Sorted(maps.Keys(newestServers)), "PostgreSQL")
	strategies := tier.Some(t, []string{"single", "superuser", "alternating"}, "alternating")
	layers := tier.Some(t, []layer{identity, boundary, session, scp, rcp, endpoint, resource, key, foreign},
		identity, resource, key)
	t.Run("layers", func(t *testing.T) {
		for _, server := range engines {
			open := newestServers[server]
			for _, with := range strategies {
				t.Run(server+", "+with, func(t *testing.T) {
					t.Parallel()
					for _, l := range layers {
						newGuarded(t, with, l, open(t)).losesEverything(t, &count)
					}
				})
			}
		}
	})
	t.Logf("%d removals, %d named, %d wrong", count.removed, count.named, count.removed-count.named)
}

// losesEverything takes one action after the other away, and counts.
func (g *guarded) losesEverything(t *testing.T, count *tally) {
	t.Helper()
	g.install(t, g.full())
	if alarms := g.preflight(g.arn).Blocking(); len(alarms) != 0 {
		t.Fatalf("%s: a false alarm: %+v", g.layer, alarms)
	}
	for i, s := range g.full() {
		for _, action := range s.Action {
			right := g.loses(t, i, action)
			count.mu.Lock()
			count.removed++
			if right {
				count.named++
			}
			count.mu.Unlock()
		}
	}
}

// loses takes an action out of the i-th statement of the layer, and has it given back.
func (g *guarded) loses(t *testing.T, i int, action string) bool {
	t.Helper()
	p := slices.Clone(g.full())
	g.lost, g.extra = p[i].Resource[0], nil
	p[i].Action = slices.DeleteFunc(slices.Clone(p[i].Action), func(a string) bool { return a == action })
	if len(p[i].Action) == 0 {
		p = slices.Delete(p, i, i+1)
	}
	g.install(t, p)
	what := fmt.Sprintf("%s: without %s on %s", g.layer, action, g.lost)

	before, account, written := g.aws.AWS.Snapshot(g.arn), g.accountState(), g.db.written()
	found := g.preflight(g.arn).Blocking()
	// Only PutSecretValue itself tells whether a data key can be made by way of Secrets
	// Manager: on demand that is unknown, in the rotation it is found out below.
	right := action == "kms:GenerateDataKey" && len(found) == 0 || g.names(found, action)
	if !right {
		t.Errorf("%s: the preflight found %+v", what, found)
	}
	if !before.Equal(g.aws.AWS.Snapshot(g.arn)) {
		t.Errorf("%s: looking changed the secret", what)
	}

	g.sdk.RotateSecret(t.Context(), rotateNow(g.arn))
	if r := g.wait(g.arn); r.Outcome != "RotationFailed" {
		t.Fatalf("%s: %s", what, r.Outcome)
	}
	after := g.aws.AWS.Snapshot(g.arn)
	if !after.Holder("AWSPENDING").Value.Empty() || after.Holder("AWSCURRENT").ID != before.Holder("AWSCURRENT").ID {
		t.Errorf("%s: the rotation changed the secret", what)
	}
	if g.accountState() != account || g.db.written() != written {
		t.Errorf("%s: the rotation changed the database", what)
	}
	kind, sentence := g.last()
	if kind != "access denied" || !strings.Contains(sentence, action) {
		t.Errorf("%s: the rotation failed with %s: %s", what, kind, sentence)
		right = false
	}

	for _, s := range statements(sentence) {
		if strings.Contains(s, `"Principal"`) == g.layer.principals() {
			g.extra = append(g.extra, s)
		}
	}
	g.install(t, p)
	if alarms := g.preflight(g.arn).Blocking(); len(alarms) != 0 {
		t.Errorf("%s, pasted %s: %+v", what, g.extra, alarms)
		right = false
	}
	g.sdk.RotateSecret(t.Context(), rotateNow(g.arn)) // refused, for the first is taken up again
	if r := g.wait(g.arn); r.Outcome != "RotationSucceeded" {
		t.Fatalf("%s, pasted %s: %s: %s", what, g.extra, r.Outcome, r.Message)
	}
	return right
}

// names says whether there is one finding, and it is about the action on what lost
// it. The key of the superuser secret is known to nobody who may not describe that
// secret, which a rotation has no need to: it goes by the secret.
func (g *guarded) names(found []rotator.Finding, action string) bool {
	if len(found) != 1 || found[0].Status != rotator.StatusDenied || found[0].Kind != rotator.KindAccessDenied {
		return false
	}
	on := g.lost
	if on == g.rotation.Superuser.Key {
		on = g.rotation.Superuser.ARN
	}
	return strings.Contains(found[0].Detail, action) && strings.Contains(found[0].Detail, on)
}

// TestAKeyIsGivenForBothUsesAtOnce: where the policy of a key allows neither use of it, the line that the preflight
// prints is enough for a rotation; and where it allows the one alone, status says so beside the retry that it advises.
func TestAKeyIsGivenForBothUsesAtOnce(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	g := newGuarded(t, "single", key, tlsServer(t, newest()))
	whole := g.full()
	if len(whole) != 1 || len(whole[0].Action) != 2 {
		t.Fatalf("%v", whole)
	}
	g.lost = g.rotation.Secret.Key
	paste := func(fixes []rotator.Fix, text string) {
		t.Helper()
		g.extra = nil
		for _, f := range fixes {
			if !strings.Contains(text, "\n         "+f.Run+"\n") {
				t.Errorf("%s stands on no line of its own in: %s", f.Run, text)
			}
			g.extra = append(g.extra, statements(f.Run)...)
		}
		if len(g.extra) != 1 || len(fixes) != 3 {
			t.Fatalf("%q in: %s", g.extra, text)
		}
	}
	rotates := func(p permissions.Policy, outcome string) {
		t.Helper()
		g.install(t, p)
		g.sdk.RotateSecret(t.Context(), rotateNow(g.arn)) //nolint:errcheck // refused where the first is taken up again
		if r := g.wait(g.arn); r.Outcome != outcome {
			t.Fatalf("%s: %s", r.Outcome, r.Message)
		}
	}

	g.install(t, nil)
	r := g.preflight(g.arn)
	if found := r.Blocking(); len(found) != 1 || found[0].ID != "S5" {
		t.Fatalf("%+v", found)
	}
	d := g.status(`{"Step":"status","SecretId":"` + g.arn + `"}`)
	paste(d.Fixes, d.Text())
	paste(r.Blocking()[0].Fixes, r.Text())
	rotates(nil, "RotationSucceeded")

	g.extra = nil
	whole[0].Action = permissions.StringList{"kms:Decrypt"}
	rotates(whole, "RotationFailed")
	d = g.status(`{"Step":"status","SecretId":"` + g.arn + `"}`)
	if d.Action != rotator.ActionRetry {
		t.Fatal(d.Text())
	}
	paste(d.Fixes, d.Text())
	rotates(whole, "RotationSucceeded")
	for _, f := range g.preflight(g.arn).Findings { // all is well, and there is nothing to paste
		if f.Fixes != nil {
			t.Errorf("%+v", f)
		}
	}
}

// TestEveryExplicitDenyIsNamed, with the layer that it stands in: no Allow would
// outweigh it, and none is offered.
func TestEveryExplicitDenyIsNamed(t *testing.T) {
	t.Parallel()
	tier.Test(t)
	for _, l := range []layer{identity, boundary, session, scp, rcp, endpoint, resource} {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, "single", l, tlsServer(t, newest()))
			deny := permissions.Statement{Effect: "Deny", Action: permissions.StringList{"secretsmanager:UpdateSecretVersionStage"}, Resource: permissions.StringList{g.arn}}
			g.install(t, append(g.full(), deny))
			found := g.preflight(g.arn).Blocking()
			if len(found) != 1 || found[0].ID != "S8" || !strings.Contains(found[0].Detail, "(an explicit deny in ") || !strings.Contains(found[0].Detail, string(l)) || len(statements(found[0].Detail)) != 0 {
				t.Errorf("%+v", found)
			}
			g.install(t, g.full())
			if alarms := g.preflight(g.arn).Blocking(); len(alarms) != 0 {
				t.Errorf("with the deny gone: %+v", alarms)
			}
		})
	}
}

package awsemu_test

import (
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// guarded is a world in which every layer that IAM knows has a policy, and all of
// them allow what a rotation function does.
type guarded struct {
	caller  awsemu.Caller
	account awsemu.Account
	secret  awsemu.Secret
	key     awsemu.Key
	clock   *clock // nil: the real one
}

func newGuarded() guarded {
	boundary, endpoint := allowing("boundary", "secretsmanager:*", "kms:*"), named("endpoint", statement("Allow", "*", to(everybody)))
	c := functionCaller(allowing("role policy", "secretsmanager:*", "kms:*"))
	c.Boundary, c.Session = &boundary, []iam.NamedPolicy{allowing("session policy", "*")}
	c.Endpoints = map[string]awsemu.Endpoint{"secretsmanager": {ID: "vpce-1", VPC: "vpc-1", Policy: &endpoint}}
	s := rotated()
	s.KMSKeyID = "alias/app"
	return guarded{
		caller: c,
		account: awsemu.Account{ID: home, SCPs: [][]iam.NamedPolicy{{anything()}, {allowing("scp", "secretsmanager:*", "kms:*")}},
			RCPs: [][]iam.NamedPolicy{{named("rcp", statement("Allow", "*", to(everybody)))}}},
		secret: s,
		key:    awsemu.Key{Aliases: []string{"alias/app"}},
	}
}

func (g guarded) world(t *testing.T) *world {
	emu := &awsemu.Emulator{Callers: []awsemu.Caller{g.caller}, Invoke: awsemu.InvokeHandler((&function{}).Invoke)}
	if g.account.ID != "" {
		emu.Accounts = []awsemu.Account{g.account}
	}
	if g.clock != nil {
		emu.Now = g.clock.now
	}
	w := newWorld(t, emu)
	w.emu.SeedKey(g.key)
	w.emu.Seed(g.secret)
	return w
}

// TestLayers: with every layer allowing, the four operations of a rotation work;
// with one layer less, or one deny more, exactly those that it covers are denied,
// with the text that names the layer, and nothing is written.
func TestLayers(t *testing.T) {
	t.Parallel()
	const (
		get1     = "secretsmanager:GetSecretValue"
		notKMS   = "Access to KMS is not allowed"
		resource = "on resource: app/db" // as it was sent
	)
	deny := func(action string) string { return statement("Deny", action) }
	denyAll := func(action string) string { return statement("Deny", action, to(everybody)) }
	for _, c := range []struct {
		name   string
		change func(*guarded)
		text   string // of GetSecretValue's denial; "": allowed
	}{
		{"all allow", func(*guarded) {}, ""},
		{"no identity policy", func(g *guarded) { g.caller.Identity = nil }, "because no identity-based policy allows the " + get1 + " action"},
		{"no secretsmanager in the identity policy", func(g *guarded) { g.caller.Identity[0] = allowing("k", "kms:*") }, "because no identity-based policy allows the " + get1 + " action"},
		{"no kms in the identity policy", func(g *guarded) { g.caller.Identity[0] = allowing("s", "secretsmanager:*") }, notKMS},
		{"no secretsmanager in the boundary", func(g *guarded) { *g.caller.Boundary = allowing("k", "kms:*") }, "because no permissions boundary allows the " + get1 + " action"},
		{"no kms in the boundary", func(g *guarded) { *g.caller.Boundary = allowing("s", "secretsmanager:*") }, notKMS},
		{"no secretsmanager in the session policy", func(g *guarded) { g.caller.Session[0] = allowing("k", "kms:*") }, "because no session policy allows the " + get1 + " action"},
		{"no kms in the session policy", func(g *guarded) { g.caller.Session[0] = allowing("s", "secretsmanager:*") }, notKMS},
		{"no secretsmanager at one level of SCPs", func(g *guarded) { g.account.SCPs[1][0] = allowing("k", "kms:*") }, "because no service control policy allows the " + get1 + " action"},
		{"no kms at one level of SCPs", func(g *guarded) { g.account.SCPs[1][0] = allowing("s", "secretsmanager:*") }, notKMS},
		{"no secretsmanager in the RCP", func(g *guarded) { g.account.RCPs[0][0] = named("k", statement("Allow", "kms:*", to(everybody))) }, "because no resource control policy allows the " + get1 + " action"},
		{"no kms in the RCP", func(g *guarded) {
			g.account.RCPs[0][0] = named("s", statement("Allow", "secretsmanager:*", to(everybody)))
		}, notKMS},
		{"nothing in the endpoint policy", func(g *guarded) {
			*g.caller.Endpoints["secretsmanager"].Policy = named("e", statement("Allow", "sts:*", to(everybody)))
		}, "because no VPC endpoint policy allows the " + get1 + " action"},
		{"no kms in the endpoint policy: forwarded calls do not pass it", func(g *guarded) {
			*g.caller.Endpoints["secretsmanager"].Policy = named("e", statement("Allow", "secretsmanager:*", to(everybody)))
		}, ""},
		{"a key policy for somebody else", func(g *guarded) {
			g.key.Policy = document(statement("Allow", "kms:*", to(`{"AWS":"arn:aws:iam::`+home+`:role/other"}`)))
		}, notKMS},
		{"a key policy that names the role, and no kms in the identity policy", func(g *guarded) {
			g.caller.Identity[0] = allowing("s", "secretsmanager:*")
			g.key.Policy = document(statement("Allow", "kms:*", to(`{"AWS":"`+roleARN+`"}`)))
		}, ""},
		{"a grant, and no kms in the identity policy", func(g *guarded) {
			g.caller.Identity[0] = allowing("s", "secretsmanager:*")
			g.key.Grants = []awsemu.Grant{{Grant: iam.Grant{Grantee: roleARN, Operations: []string{"Decrypt", "GenerateDataKey"}}}}
		}, ""},
		{"a resource policy that names the role, and no secretsmanager in the identity policy", func(g *guarded) {
			g.caller.Identity[0] = allowing("k", "kms:*")
			g.secret.Policy = document(statement("Allow", "secretsmanager:*", to(`{"AWS":"`+roleARN+`"}`)))
		}, ""},
		{"the same without the boundary's allow", func(g *guarded) {
			g.caller.Identity[0], *g.caller.Boundary = allowing("k", "kms:*"), allowing("k", "kms:*")
			g.secret.Policy = document(statement("Allow", "secretsmanager:*", to(`{"AWS":"`+roleARN+`"}`)))
		}, "because no permissions boundary allows the " + get1 + " action"},
		{"a resource policy that names the session needs neither", func(g *guarded) {
			g.caller.Identity[0], *g.caller.Boundary = allowing("k", "kms:*"), allowing("k", "kms:*")
			g.secret.Policy = document(statement("Allow", "secretsmanager:*", to(`{"AWS":"`+sessARN+`"}`)))
		}, ""},
		{"a deny in the identity policy", func(g *guarded) { g.caller.Identity = append(g.caller.Identity, named("d", deny(get1))) }, "with an explicit deny in an identity-based policy"},
		{"a deny in the boundary", func(g *guarded) { *g.caller.Boundary = named("d", statement("Allow", "*"), deny(get1)) }, "with an explicit deny in a permissions boundary"},
		{"a deny in the session policy", func(g *guarded) { g.caller.Session[0] = named("d", statement("Allow", "*"), deny(get1)) }, "with an explicit deny in a session policy"},
		{"a deny in an SCP", func(g *guarded) { g.account.SCPs[0][0] = named("d", statement("Allow", "*"), deny(get1)) }, "with an explicit deny in a service control policy"},
		{"a deny in an RCP", func(g *guarded) { g.account.RCPs[0] = append(g.account.RCPs[0], named("d", denyAll(get1))) }, "with an explicit deny in a resource control policy"},
		{"a deny in the endpoint policy", func(g *guarded) {
			*g.caller.Endpoints["secretsmanager"].Policy = named("d", statement("Allow", "*", to(everybody)), denyAll(get1))
		}, "with an explicit deny in a VPC endpoint policy"},
		{"a deny in the resource policy", func(g *guarded) { g.secret.Policy = document(denyAll(get1)) }, "with an explicit deny in a resource-based policy"},
		{"a deny of kms in the identity policy", func(g *guarded) {
			g.caller.Identity = append(g.caller.Identity, named("d", deny("kms:Decrypt")))
		}, notKMS},
		{"a deny in the key policy", func(g *guarded) {
			g.key.Policy = document(statement("Allow", "kms:*", to(account)), denyAll("kms:Decrypt"))
		}, notKMS},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded()
			c.change(&g)
			w := g.world(t)
			before := w.emu.Snapshot("app/db")
			code := ""
			if c.text != "" {
				code = "AccessDeniedException"
			}
			err := get("", "")(w)
			want(t, err, code, c.text)
			if c.text != "" && c.text != notKMS && !strings.Contains(err.Error(), "User: "+sessARN+" is not authorized to perform: "+get1+" "+resource) {
				t.Errorf("error %v", err)
			}
			if d := before.Diff(w.emu.Snapshot("app/db")); len(d) > 0 {
				t.Errorf("the call changed the secret: %q", d)
			}
		})
	}
}

// TestNothingIsConfigured: without callers, access keys and policies mean nothing.
func TestNothingIsConfigured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Accounts: []awsemu.Account{{ID: home, SCPs: [][]iam.NamedPolicy{{}}}}})
	s := rotated()
	s.Policy = document(statement("Deny", "*", to(everybody)))
	w.emu.Seed(s)
	want(t, get("", "")(w.with(key("ANY"))), "", "")
	if d := w.emu.Calls()[0].Decisions; d != nil {
		t.Errorf("decisions %v", d)
	}
}

func TestCallers(t *testing.T) {
	t.Parallel()
	g := newGuarded()
	w := g.world(t)
	want(t, get("", "")(w.with(key("STRANGER"))), "UnrecognizedClientException", "The security token included in the request is invalid.")
	other := g.caller
	other.AccessKey, other.Identity = "OTHER", nil
	w.emu.SetCaller(other)
	want(t, get("", "")(w), "", "")
	want(t, get("", "")(w.with(key("OTHER"))), "AccessDeniedException", "no identity-based policy")
	other.Identity = []iam.NamedPolicy{anything()}
	w.emu.SetCaller(other)
	want(t, get("", "")(w.with(key("OTHER"))), "", "")
	w.emu.SetAccount(awsemu.Account{ID: home, SCPs: [][]iam.NamedPolicy{{}}})
	want(t, get("", "")(w), "AccessDeniedException", "service control policy")
	given := []awsemu.Caller{{AccessKey: "A"}, {AccessKey: "B"}}
	emu := &awsemu.Emulator{Callers: given}
	emu.SetCaller(awsemu.Caller{AccessKey: "A"})
	if given[0].AccessKey != "A" || given[1].AccessKey != "B" {
		t.Errorf("the list that was given changed: %s, %s", given[0].AccessKey, given[1].AccessKey)
	}
}

// TestDecisions: a call carries what the policies said, and its line does not.
func TestDecisions(t *testing.T) {
	t.Parallel()
	w := newGuarded().world(t)
	want(t, get("", "AWSCURRENT")(w), "", "")
	c := w.emu.Calls()[0]
	if len(c.Decisions) != 2 || c.Account != home {
		t.Fatalf("%d decisions, account %s", len(c.Decisions), c.Account)
	}
	for i, action := range []string{"secretsmanager:GetSecretValue", "kms:Decrypt"} {
		if d := c.Decisions[i]; d.Request.Action != action || !d.Allowed || len(d.Trace) == 0 {
			t.Errorf("decision %d: %s, allowed %v", i, d.Request.Action, d.Allowed)
		}
	}
	if got := c.String(); got != "GetSecretValue AWSCURRENT" {
		t.Errorf("line %s", got)
	}
}

// TestAuthorisationComesFirst: who may not, learns nothing about the state.
func TestAuthorisationComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{Now: newClock().now, Callers: []awsemu.Caller{functionCaller()}})
	w.emu.Seed(deleted())
	for name, call := range map[string]func(*world) error{
		"a deleted secret":          get("", ""),
		"versions that are not":     stage("AWSCURRENT", id(8), id(9)),
		"a version that is written": put(id(2), "other"),
	} {
		t.Run(name, func(t *testing.T) {
			want(t, call(w), "AccessDeniedException", "because no identity-based policy allows")
		})
	}
	w.emu.SetCaller(functionCaller(anything()))
	want(t, get("", "")(w), "InvalidRequestException", "marked for deletion")
}

// TestEveryActionIsAsked: an operation that was forgotten would be allowed.
func TestEveryActionIsAsked(t *testing.T) {
	t.Parallel()
	for operation, extra := range map[string]string{
		"BatchGetSecretValue": `"SecretIdList":["app/db"]`, "CancelRotateSecret": "", "CreateSecret": `"Name":"new"`, "DeleteResourcePolicy": "", "DeleteSecret": "",
		"DescribeSecret": "", "GetRandomPassword": "", "GetResourcePolicy": "", "GetSecretValue": "", "ListSecrets": "", "ListSecretVersionIds": "",
		"PutResourcePolicy": `"ResourcePolicy":"x"`, "PutSecretValue": "", "RemoveRegionsFromReplication": `"RemoveReplicaRegions":["eu-west-1"]`,
		"ReplicateSecretToRegions": `"AddReplicaRegions":[{"Region":"eu-west-1"}]`, "RestoreSecret": "", "RotateSecret": "", "StopReplicationToReplica": "",
		"TagResource": `"Tags":[]`, "UntagResource": `"TagKeys":[]`, "UpdateSecret": "", "UpdateSecretVersionStage": `"VersionStage":"X"`,
		"ValidateResourcePolicy": `"ResourcePolicy":"x"`,
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller()}})
			body := `{"SecretId":"app/db"`
			if extra != "" {
				body += "," + extra
			}
			status, _, out := post(t, w, "POST", "secretsmanager."+operation, signature, body+"}")
			if status != 400 || out["__type"] != "AccessDeniedException" || !strings.Contains(out["Message"], "not authorized to perform: secretsmanager:"+operation+" ") {
				t.Errorf("%d %v", status, out)
			}
		})
	}
	if awsemu.OperationCount != 23 {
		t.Errorf("%d operations: the table above has 23", awsemu.OperationCount)
	}
}

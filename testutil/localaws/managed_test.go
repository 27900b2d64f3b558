package localaws_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// byRDS is a world in which RDS manages the superuser secret of a real server, and
// in which policies decide what the function may.
type byRDS struct {
	*world
	app, superuser string   // ARNs
	databases      []string // ARNs that the function has to ask RDS about
}

// form is a way to have a database at RDS, and to have it rotated.
type form struct {
	tag     string
	host    string // of the secret to rotate; "": the server's
	calls   int    // of a rotation
	replica bool   // a server of its own, which follows
	single  bool   // single user, through the superuser
	unnamed bool   // the environment names the superuser secret, and the secret to rotate does not
}

// handler is the function that rotates, and its environment.
func (f form) handler() (name string, env []string) {
	name = "postgres-alternating-users"
	if f.single {
		name, env = "postgres-single-user", []string{"SINGLE_USER_THROUGH_SUPERUSER=true"}
	}
	if f.unnamed {
		env = append(env, "SUPERUSER_SECRET_ARN="+managedName)
	}
	return name, env
}

// managedName is the name of the superuser secret, which will do for its ARN.
const managedName = "rds!db-1"

var forms = map[string]form{
	"instance":        {tag: "aws:rds:primaryDBInstanceArn", calls: 18},
	"cluster":         {tag: "aws:rds:primaryDBClusterArn", calls: 18},
	"reader endpoint": {tag: "aws:rds:primaryDBClusterArn", host: "localhost", calls: 20},
	"replica":         {tag: "aws:rds:primaryDBInstanceArn", host: "localhost", calls: 22, replica: true},
	"single user":     {tag: "aws:rds:primaryDBInstanceArn", calls: 18, single: true, unnamed: true},
	"environment":     {tag: "aws:rds:primaryDBInstanceArn", calls: 18, unnamed: true},
}

func newByRDS(t *testing.T, f form) *byRDS {
	t.Helper()
	// A replica may be behind for longer than setSecret waits: then the service tries again.
	handler, env := f.handler()
	b := &byRDS{world: newWorld(t, plan{db: tlsServer(t, newest()), handler: handler, env: env, attempts: map[bool]int{false: 1, true: 3}[f.replica]})}
	app, boss := b.role("app"), b.boss()
	host, port := b.postgres().Host, b.postgres().Port
	if f.host != "" {
		host = f.host
	}
	if f.replica {
		standby, err := b.postgres().Standby(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			log := standby.Log()
			if err := standby.Close(); err != nil {
				t.Error(err)
			}
			for _, canary := range b.canaries {
				if strings.Contains(log, canary) {
					t.Error("a password is in the standby's log")
				}
			}
		})
		port = standby.Port
	}
	rds := b.aws.AWS
	b.databases = []string{rds.SeedInstance(awsemu.Instance{ID: "db1", Engine: "postgres", Host: b.postgres().Host, Port: b.postgres().Port})}
	if f.replica {
		b.databases = append(b.databases, rds.SeedInstance(awsemu.Instance{ID: "localhost", Engine: "postgres", Host: host, Port: port, ReplicaOf: "db1"}))
	}
	if strings.HasSuffix(f.tag, "ClusterArn") {
		b.databases = []string{rds.SeedCluster(awsemu.Cluster{ID: "shop", Engine: "aurora-postgresql", Host: b.postgres().Host, Reader: "localhost", Port: b.postgres().Port})}
	}
	b.superuser = rds.Seed(awsemu.Secret{
		Name: managedName, OwningService: "rds", Tags: map[string]string{f.tag: b.databases[0], "aws:secretsmanager:owningService": "rds"},
		Versions: []awsemu.Version{current(`{"username":"` + boss.Username + `","password":"` + boss.Password + `"}`)},
	})
	named := b.superuser
	if f.unnamed {
		named = ""
	}
	b.app = b.seed("app", current(b.document("username", "app", "password", app, "masterarn", named, "host", host, "port", port)))
	rds.SetCaller(awsemu.Caller{
		AccessKey: "AKID", Principal: iam.Principal{ARN: "arn:aws:iam::123456789012:user/operator"}, // the test's own SDK
		Identity: []iam.NamedPolicy{b.policy(`{"Effect":"Allow","Action":"*","Resource":"*"}`)},
	})
	return b
}

func (b *byRDS) policy(statements ...string) iam.NamedPolicy {
	b.t.Helper()
	p, err := iam.ParseIdentity(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
	if err != nil {
		b.t.Fatal(err)
	}
	return iam.NamedPolicy{Name: "RotationPolicy", Policy: p}
}

// may gives the function's role what the README says that it needs, but for some
// actions on some resources: "ACTION RESOURCE".
func (b *byRDS) may(without ...string) {
	needs := []string{
		"secretsmanager:DescribeSecret " + b.app, "secretsmanager:GetSecretValue " + b.app,
		"secretsmanager:PutSecretValue " + b.app, "secretsmanager:UpdateSecretVersionStage " + b.app,
		"secretsmanager:DescribeSecret " + b.superuser, "secretsmanager:GetSecretValue " + b.superuser,
	}
	for _, database := range b.databases {
		needs = append(needs, describes(database)+" "+database)
	}
	var statements []string
	for _, need := range needs {
		if action, resource, _ := strings.Cut(need, " "); !slices.Contains(without, need) {
			statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource))
		}
	}
	b.aws.AWS.SetCaller(awsemu.Caller{
		AccessKey: "ASIALAMBDAHOSTSAMPLE",
		Principal: iam.Principal{ARN: "arn:aws:sts::123456789012:assumed-role/rotate/function", Role: "arn:aws:iam::123456789012:role/rotate"},
		Identity:  []iam.NamedPolicy{b.policy(statements...)},
	})
}

func describes(database string) string {
	if strings.Contains(database, ":cluster:") {
		return "rds:DescribeDBClusters"
	}
	return "rds:DescribeDBInstances"
}

// TestASuperuserWhoseSecretRDSManages: in each form that RDS has, the real binary
// rotates real users, with no right more than it needs.
func TestASuperuserWhoseSecretRDSManages(t *testing.T) {
	tier.Test(t)
	for name, f := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newByRDS(t, f)
			b.may()
			if alarms := b.preflight(b.app).Blocking(); len(alarms) != 0 {
				t.Fatalf("a false alarm: %+v", alarms)
			}
			for n := range 3 {
				before := b.holder(b.app, "AWSCURRENT")
				b.aws.AWS.ResetCalls()
				r := b.rotate(b.app)
				if r.Outcome != "RotationSucceeded" {
					t.Fatalf("rotation %d: %s: %s", n, r.Outcome, r.Message)
				}
				if calls := len(b.aws.AWS.Calls()) - 1; len(r.Attempts) == 1 && calls != f.calls {
					t.Errorf("rotation %d: %d API calls, the README says %d: %v", n, calls, f.calls, b.aws.AWS.Calls())
				}
				after := b.holder(b.app, "AWSCURRENT")
				if same := after.Username == before.Username; same != f.single || !b.accepts(after) || b.accepts(before) == f.single {
					t.Fatalf("rotation %d: from %s to %s; accepted: before %v, after %v", n, before.Username, after.Username, b.accepts(before), b.accepts(after))
				}
			}
		})
	}
}

// TestASuperuserWhoseSecretRDSManagesIsOutOfReach: for each right that is missing, the
// preflight names it, on the resource, and nothing is written anywhere.
func TestASuperuserWhoseSecretRDSManagesIsOutOfReach(t *testing.T) {
	tier.Test(t)
	for name, f := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newByRDS(t, f)
			missing := []string{"secretsmanager:GetSecretValue " + b.superuser, "secretsmanager:DescribeSecret " + b.superuser}
			for _, database := range b.databases {
				missing = append(missing, describes(database)+" "+database)
			}
			for _, right := range missing {
				b.may(right)
				secretBefore, accountsBefore := b.aws.AWS.Snapshot(b.app), b.accountState()
				action, resource, _ := strings.Cut(right, " ")
				if right == "secretsmanager:DescribeSecret "+b.superuser && f.unnamed { // by name: the six characters at its end stay unknown
					resource = resource[:len(resource)-6] + "??????"
				}
				paste := fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource)
				found := b.preflight(b.app).Blocking()
				if len(found) != 1 || found[0].ID != "S10" || found[0].Status != "denied" || !strings.Contains(found[0].Detail, paste) {
					t.Errorf("without %s: %+v", right, found)
				}
				if !secretBefore.Equal(b.aws.AWS.Snapshot(b.app)) || b.accountState() != accountsBefore {
					t.Errorf("without %s: looking changed something", right)
				}
			}
			b.may(missing[len(missing)-1])
			accounts := b.accountState()
			if r := b.rotate(b.app); r.Outcome != "RotationFailed" {
				t.Errorf("the rotation ended with %s", r.Outcome)
			}
			after := b.aws.AWS.Snapshot(b.app)
			if !after.Holder("AWSPENDING").Value.Empty() || after.Holder("AWSCURRENT").ID != after.Versions[0].ID || b.accountState() != accounts {
				t.Error("the rotation that could not be has written something")
			}
		})
	}
}

package awsstore_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// at is the name of an endpoint as RDS makes them.
func at(label string) string { return label + ".abcdefghijkl.us-east-1.rds.amazonaws.com" }

// fleet is a store before an RDS with an instance, its replica and a replica of that;
// another instance; and a cluster of a writer and a reader.
func fleet(t *testing.T) (*awsemu.Emulator, *awsstore.Store) {
	t.Helper()
	emu := &awsemu.Emulator{}
	server := httptest.NewServer(emu)
	t.Cleanup(func() { emu.Close(); server.Close() })
	for _, i := range []awsemu.Instance{
		{ID: "db1"}, {ID: "copy", ReplicaOf: "db1"}, {ID: "copy-of-copy", ReplicaOf: "copy"}, {ID: "db2"}, {ID: "copy2", ReplicaOf: "db2"},
		{ID: "member1", Cluster: "shop"}, {ID: "member2", Cluster: "shop"},
	} {
		i.Engine, i.Host, i.Port = "postgres", at(i.ID), 5432
		emu.SeedInstance(i)
	}
	emu.SeedCluster(awsemu.Cluster{
		ID: "shop", Engine: "aurora-postgresql", Host: "shop.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com", Port: 5432,
		Reader: "shop.cluster-ro-abcdefghijkl.us-east-1.rds.amazonaws.com", Custom: []string{"reports.cluster-custom-abcdefghijkl.us-east-1.rds.amazonaws.com"},
	})
	cfg := config()
	cfg.BaseEndpoint = &server.URL
	return emu, awsstore.New(cfg, "")
}

// managed makes a secret as RDS does.
func managed(emu *awsemu.Emulator, tag, arn string) string {
	return emu.Seed(awsemu.Secret{Name: "rds!db-1", OwningService: "rds", Tags: map[string]string{tag: arn,
		"aws:secretsmanager:owningService": "rds"},
		Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"},
			Value: awsemu.Text(`{"username":"boss","password":"` + clear + `"}`)}}})
}

func parse(t *testing.T, text string) secret.Document {
	t.Helper()
	d, err := secret.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestComplete: what is missing comes from RDS, and what is not costs no call.
func TestComplete(t *testing.T) {
	t.Parallel()
	emu, store := fleet(t)
	bare := parse(t, `{"username":"boss","password":"`+clear+`"}`)
	for name, c := range map[string]struct{ tag, arn, engine, host, id, key string }{
		"instance": {"aws:rds:primaryDBInstanceArn", "arn:aws:rds:us-east-1:123456789012:db:db1", "postgres", at("db1"), "db1", "dbInstanceIdentifier"},
		"cluster":  {"aws:rds:primaryDBClusterArn", "arn:aws:rds:us-east-1:123456789012:cluster:shop", "aurora-postgresql", "shop.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com", "shop", "dbClusterIdentifier"},
	} {
		arn := managed(emu, c.tag, c.arn)
		emu.ResetCalls()
		d, err := store.Resolve(t.Context(), arn, bare)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		port, _ := d.Int("port")
		if d.Text("engine") != c.engine || d.Text("host") != c.host || port != 5432 || d.Text(c.key) != c.id ||
			!d.Password().Equal(bare.Password()) || d.Text("username") != "boss" {
			t.Errorf("%s: %v: %s %s %d", name, d.Keys(), d.Text("engine"), d.Text("host"), port)
		}
		if calls := emu.Calls(); len(calls) != 2 {
			t.Errorf("%s: %v, want DescribeSecret and one call to RDS", name, calls)
		}
	}
	emu.ResetCalls()
	for _, text := range []string{
		`{"username":"boss","password":"x","host":"db.example.com"}`, `{"username":"boss"}`,
		`{"username":"boss","token":"x"}`, `{"password":"x","token":"x"}`, `{}`,
	} {
		full := parse(t, text)
		if d, err := store.Resolve(t.Context(), "rds!db-1", full); err != nil || !d.Equal(full) {
			t.Errorf("a document of %v has changed: %v", full.Keys(), err)
		}
	}
	if calls := emu.Calls(); len(calls) != 0 {
		t.Errorf("%v for full secrets", calls)
	}
}

// TestServes: which hosts are the superuser's own database by another way, and which
// only look so.
func TestServes(t *testing.T) {
	t.Parallel()
	const (
		writer = "shop.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com"
		reader = "shop.cluster-ro-abcdefghijkl.us-east-1.rds.amazonaws.com"
	)
	full := func(host string) string { return `{"engine":"postgres","host":"` + host + `","port":5432}` }
	for name, c := range map[string]struct {
		superuser, host string
		port, calls     int
		kind            rotator.Kind
		says            string
	}{
		"a replica":                          {full(at("db1")), at("copy"), 5432, 2, "", ""},
		"in capitals":                        {full(strings.ToUpper(at("db1"))), strings.ToUpper(at("copy")), 5432, 2, "", ""},
		"without a port":                     {`{"host":"` + at("db1") + `"}`, at("copy"), 5432, 2, "", ""},
		"reader endpoint":                    {full(writer), reader, 5432, 1, "", ""},
		"custom endpoint":                    {full(writer), "reports.cluster-custom-abcdefghijkl.us-east-1.rds.amazonaws.com", 5432, 1, "", ""},
		"a member":                           {full(writer), at("member2"), 5432, 2, "", ""},
		"reader endpoint, from the writer":   {full(at("member1")), reader, 5432, 2, "", ""},
		"writer endpoint, from the writer":   {full(at("member1")), writer, 5432, 2, "", ""},
		"the console's key":                  {`{"host":"` + writer + `","port":5432,"dbClusterIdentifier":"shop"}`, reader, 5432, 1, "", ""},
		"the console's key, and a CNAME":     {`{"host":"db.example.com","port":5432,"dbClusterIdentifier":"shop"}`, reader, 5432, 1, rotator.KindConflict, "RDS writer is " + writer},
		"an instance's key, and a CNAME":     {`{"host":"db.example.com","port":5432,"dbInstanceIdentifier":"db1"}`, at("copy"), 5432, 1, rotator.KindConflict, "RDS writer is " + at("db1")},
		"no host at all":                     {full(at("db1")), "", 5432, 1, rotator.KindConflict, "this account and Region"},
		"the superuser's on another port":    {`{"host":"` + at("db1") + `","port":5433}`, at("copy"), 5432, 1, rotator.KindConflict, "RDS writer is " + at("db1") + ":5432, but the superuser secret names " + at("db1") + ":5433"},
		"another port":                       {full(at("db1")), at("copy"), 5433, 2, rotator.KindConflict, "this account and Region"},
		"another instance":                   {full(at("db1")), at("db2"), 5432, 1, rotator.KindConflict, "not " + at("db2") + ":5432"},
		"another's replica":                  {full(at("db1")), at("copy2"), 5432, 1, rotator.KindConflict, "this account and Region"},
		"a replica of a replica":             {full(at("db1")), at("copy-of-copy"), 5432, 1, rotator.KindConflict, "this account and Region"},
		"the other way round":                {full(at("copy")), at("db1"), 5432, 1, rotator.KindConflict, "this account and Region"},
		"a name that looks like the replica": {full(at("db1")), "copy.example.com", 5432, 2, rotator.KindConflict, "CNAME"},
		"a name of one's own":                {full("db.example.com"), at("copy"), 5432, 0, rotator.KindConflict, "db.example.com is not a name of RDS"},
		"superuser at a reader":              {full(at("member2")), reader, 5432, 2, rotator.KindConflict, "RDS writer is " + writer},
		"superuser at a reader endpoint":     {full(reader), at("member2"), 5432, 1, rotator.KindConflict, "RDS writer is " + writer},
		"superuser elsewhere, by that name":  {full("db1.zyxwvutsrqpo.us-east-1.rds.amazonaws.com"), at("copy"), 5432, 1, rotator.KindConflict, "RDS writer is " + at("db1")},
		"unknown to RDS":                     {full(at("db9")), at("copy"), 5432, 1, rotator.KindNotFound, "no instance db9 in this account and Region"},
		"unknown to RDS in China":            {full("db9.abcdefghijkl.rds.cn-north-1.amazonaws.com.cn"), at("copy"), 5432, 1, rotator.KindNotFound, "no instance db9 in this account and Region"},
		"unknown cluster":                    {full("x.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com"), reader, 5432, 1, rotator.KindNotFound, "no cluster x in this account and Region"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			emu, store := fleet(t)
			err := store.IsEndpointOf(t.Context(), parse(t, c.superuser), c.host, c.port)
			if rotator.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("want %q and %q, got %q: %v", c.kind, c.says, rotator.KindOf(err), err)
			}
			if calls := emu.Calls(); len(calls) != c.calls {
				t.Errorf("%d calls, want %d: %v", len(calls), c.calls, calls)
			}
		})
	}
}

// TestRDSRefuses: a caller without the right reads which statement it lacks, on which
// database.
func TestRDSRefuses(t *testing.T) {
	t.Parallel()
	emu, store := fleet(t)
	policy, err := iam.ParseIdentity(document(mayRead, maySim,
		`{"Effect":"Allow","Action":"rds:DescribeDBClusters","Resource":"arn:aws:rds:*:*:cluster:other"}`))
	if err != nil {
		t.Fatal(err)
	}
	emu.SetCaller(awsemu.Caller{
		AccessKey: "AKID", Principal: iam.Principal{ARN: "arn:aws:sts::123456789012:assumed-role/rotate/function", Role: roleARN},
		Identity: []iam.NamedPolicy{{Name: "RotationPolicy", Policy: policy}},
	})
	for tag, c := range map[string]struct{ database, action string }{
		"aws:rds:primaryDBInstanceArn": {"arn:aws:rds:us-east-1:123456789012:db:db1", "rds:DescribeDBInstances"},
		"aws:rds:primaryDBClusterArn":  {"arn:aws:rds:us-east-1:123456789012:cluster:shop", "rds:DescribeDBClusters"},
	} {
		arn := managed(emu, tag, c.database)
		_, err := store.Resolve(t.Context(), arn, parse(t, `{"username":"boss","password":"`+clear+`"}`))
		if paste := `{"Effect":"Allow","Action":"` + c.action + `","Resource":"` + c.database +
			`"}`; rotator.KindOf(err) != rotator.KindAccessDenied || !strings.Contains(err.Error(), paste) {
			t.Errorf("want access denied and %s, got %q: %v", paste, rotator.KindOf(err), err)
		}
	}
}

// TestRDSIsSilent: an outage, or a VPC without a way there, is no denial.
func TestRDSIsSilent(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cfg, endpoint := config(), "http://"+silent.Addr().String()
	cfg.BaseEndpoint = &endpoint
	tier.Patiently(t, func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		err := awsstore.New(cfg, "").IsEndpointOf(ctx, parse(t, `{"host":"`+at("db1")+`","port":5432}`), at("copy"),
			5432)
		for _, says := range []string{"rds:DescribeDBInstances", "no answer from " + silent.Addr().String(),
			"reaches RDS by a NAT gateway or by the interface endpoint rds"} {
			if rotator.KindOf(err) != rotator.KindUnreachable || !strings.Contains(err.Error(), says) {
				return fmt.Errorf("want unreachable and %q, got %q: %v", says, rotator.KindOf(err), err)
			}
		}
		return nil
	})
	for name, c := range map[string]struct {
		fault awsemu.Fault
		want  rotator.Kind
	}{
		"throttled": {awsemu.Fault{Throttle: true}, rotator.KindThrottled},
		"5xx":       {awsemu.Fault{ServerError: true}, rotator.KindThrottled},
		"expired":   {awsemu.Fault{ExpiredToken: true}, rotator.KindMisconfigured},
		"no answer": {awsemu.Fault{LoseResponse: true}, rotator.KindUnreachable},
	} {
		emu, store := fleet(t)
		emu.Fault = func(awsemu.Call) awsemu.Fault { return c.fault }
		err := store.IsEndpointOf(t.Context(), parse(t, `{"host":"`+at("db1")+`","port":5432}`), at("copy"), 5432)
		if rotator.KindOf(err) != c.want || c.want == rotator.KindThrottled && !strings.Contains(err.Error(), "more than once") {
			t.Errorf("%s: want %q, got %q: %v", name, c.want, rotator.KindOf(err), err)
		}
	}
}

// TestWhatRDSDoesNotKnow of a database is an error, and never a yes.
func TestWhatRDSDoesNotKnow(t *testing.T) {
	t.Parallel()
	const writer = "shop.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com"
	inside := func(operation, list, item string) string {
		return "<" + operation + "Response><" + operation + "Result><" + list + ">" + item + "</" + list + "></" + operation + "Result></" +
			operation + "Response>"
	}
	instance := func(item string) string { return inside("DescribeDBInstances", "DBInstances", item) }
	cluster := func(item string) string { return inside("DescribeDBClusters", "DBClusters", item) }
	for name, c := range map[string]struct {
		answer, superuser, host string
		want                    rotator.Kind
		says                    string
	}{
		"no instance":         {instance(""), at("db1"), at("copy"), rotator.KindNotFound, "no instance db1 in this account"},
		"being created":       {instance("<DBInstance><DBInstanceStatus>creating</DBInstanceStatus></DBInstance>"), at("db1"), at("copy"), rotator.KindUnreachable, `no endpoint: its status is "creating"`},
		"no cluster":          {cluster(""), writer, at("copy"), rotator.KindNotFound, "no cluster shop in this account"},
		"a cluster, creating": {cluster("<DBCluster><Status>creating</Status></DBCluster>"), writer, at("copy"), rotator.KindUnreachable, `no endpoint: its status is "creating"`},
		"a name that is none": {"<ErrorResponse><Error><Code>InvalidParameterValue</Code><Message>x</Message></Error></ErrorResponse>", at("db1"), at("copy"), rotator.KindMisconfigured, "of the instance db1"},
		"a cluster with a replica": {cluster("<DBCluster><Endpoint>" + writer + "</Endpoint><Port>5432</Port><ReadReplicaIdentifiers><ReadReplicaIdentifier>other</ReadReplicaIdentifier></ReadReplicaIdentifiers></DBCluster>"), writer, at("copy"), rotator.KindConflict,
			"instances other"},
		"a cluster without a reader": {cluster("<DBCluster><Endpoint>" + writer + "</Endpoint><Port>5432</Port></DBCluster>"), writer, "", rotator.KindConflict,
			"at " + writer + ":5432, instances none"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if strings.HasPrefix(c.answer, "<ErrorResponse>") {
				w.WriteHeader(http.StatusBadRequest)
			}
			io.WriteString(w, c.answer)
		}))
		t.Cleanup(server.Close)
		cfg := config()
		cfg.BaseEndpoint = &server.URL
		err := awsstore.New(cfg, "").IsEndpointOf(t.Context(), parse(t, `{"host":"`+c.superuser+`","port":5432}`), c.host, 5432)
		if rotator.KindOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want %q and %q, got %v", name, c.want, c.says, err)
		}
	}
	// The database is found, and its replica cannot be looked up.
	emu, store := fleet(t)
	calls := 0
	emu.Fault = func(awsemu.Call) awsemu.Fault { calls++; return awsemu.Fault{Throttle: calls > 1} }
	if err := store.IsEndpointOf(t.Context(), parse(t, `{"host":"`+at("db1")+`","port":5432}`), at("copy"), 5432); rotator.KindOf(err) != rotator.KindThrottled {
		t.Errorf("a replica that cannot be looked up: %v", err)
	}
}

// TestTagsOfADatabase: an ARN of the longest that there are is asked for, and a longer one, or none, is not; nor is any
// database where the tags cannot be read.
func TestTagsOfADatabase(t *testing.T) {
	t.Parallel()
	emu, store := fleet(t)
	bare := parse(t, `{"username":"boss","password":"`+clear+`"}`)
	arn := "arn:aws:rds:us-east-1:123456789012:db:"
	arn += strings.Repeat("x", 256-len(arn))
	for tag, want := range map[string]rotator.Kind{arn: rotator.KindNotFound, arn + "x": rotator.KindMisconfigured, "": rotator.KindMisconfigured} {
		if _, err := store.Resolve(t.Context(), managed(emu, "aws:rds:primaryDBInstanceArn", tag), bare); rotator.KindOf(err) != want {
			t.Errorf("%d characters: want %q, got %v", len(tag), want, err)
		}
	}
	if _, err := store.Resolve(t.Context(), managed(emu, "team", "db1"), bare); rotator.KindOf(err) != rotator.KindMisconfigured {
		t.Errorf("a tag of another kind: %v", err)
	}
	if _, err := store.Resolve(t.Context(), "none", bare); rotator.KindOf(err) != rotator.KindNotFound || !strings.Contains(err.Error(), "the tags of a secret") {
		t.Errorf("tags that cannot be read: %v", err)
	}
}

package awsemu_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
)

// withDatabases is a world with an instance and its replica, and a cluster.
func withDatabases(t *testing.T, emu *awsemu.Emulator) (*world, *rds.Client) {
	t.Helper()
	w := newWorld(t, emu)
	emu.SeedInstance(awsemu.Instance{ID: "db1", Engine: "postgres", Host: "db1.example.com", Port: 5432, Tags: map[string]string{"team": "blue"}})
	emu.SeedInstance(awsemu.Instance{ID: "copy", Engine: "postgres", Host: "copy.example.com", Port: 5433, ReplicaOf: "db1"})
	emu.SeedInstance(awsemu.Instance{ID: "writer", Engine: "aurora-mysql", Cluster: "shop"})
	emu.SeedInstance(awsemu.Instance{ID: "reader", Engine: "aurora-mysql", Host: "reader.example.com", Port: 3306, Cluster: "shop"})
	emu.SeedCluster(awsemu.Cluster{ID: "shop", Engine: "aurora-mysql", Host: "shop.example.com", Reader: "ro.example.com", Custom: []string{"reports.example.com"}, Port: 3306})
	return w, rds.New(rds.Options{
		Region: "us-east-1", BaseEndpoint: &w.url, RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", "none", ""),
	})
}

// TestDatabases: what RDS says, as its SDK reads it.
func TestDatabases(t *testing.T) {
	t.Parallel()
	w, sdk := withDatabases(t, &awsemu.Emulator{})
	for _, id := range []string{"db1", "DB1", "arn:aws:rds:us-east-1:123456789012:db:db1"} {
		out, err := sdk.DescribeDBInstances(w.ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id})
		want(t, err, "", "")
		i := out.DBInstances[0]
		if len(out.DBInstances) != 1 || *i.DBInstanceIdentifier != "db1" || *i.Endpoint.Address != "db1.example.com" || *i.Endpoint.Port != 5432 ||
			*i.Engine != "postgres" || *i.DBInstanceStatus != "available" || i.DBClusterIdentifier != nil || i.ReadReplicaSourceDBInstanceIdentifier != nil ||
			len(i.ReadReplicaDBInstanceIdentifiers) != 1 || i.ReadReplicaDBInstanceIdentifiers[0] != "copy" {
			t.Errorf("%s: %+v", id, i)
		}
	}
	all, err := sdk.DescribeDBInstances(w.ctx, &rds.DescribeDBInstancesInput{})
	want(t, err, "", "")
	if len(all.DBInstances) != 4 || aws.ToString(all.DBInstances[1].ReadReplicaSourceDBInstanceIdentifier) != "db1" ||
		all.DBInstances[2].Endpoint != nil || *all.DBInstances[2].DBInstanceStatus != "creating" || aws.ToString(all.DBInstances[2].DBClusterIdentifier) != "shop" {
		t.Errorf("%+v", all.DBInstances)
	}
	out, err := sdk.DescribeDBClusters(w.ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String("shop")})
	want(t, err, "", "")
	c := out.DBClusters[0]
	if *c.Endpoint != "shop.example.com" || *c.ReaderEndpoint != "ro.example.com" || *c.Port != 3306 || *c.Engine != "aurora-mysql" ||
		len(c.CustomEndpoints) != 1 || c.CustomEndpoints[0] != "reports.example.com" || len(c.DBClusterMembers) != 2 ||
		!*c.DBClusterMembers[0].IsClusterWriter || *c.DBClusterMembers[1].IsClusterWriter || *c.DBClusterMembers[1].DBInstanceIdentifier != "reader" {
		t.Errorf("%+v", c)
	}
	_, err = sdk.DescribeDBInstances(w.ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("none")})
	want(t, err, "DBInstanceNotFound", "none")
	_, err = sdk.DescribeDBClusters(w.ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String("arn:aws:rds:eu-west-1:123456789012:cluster:shop")})
	want(t, err, "DBClusterNotFoundFault", "")
	if got := w.emu.Calls()[0]; got.String() != "rds:DescribeDBInstances" || got.Target != "db1" {
		t.Errorf("%s of %s", got, got.Target)
	}
}

// TestDatabasesAreJudged: by the caller's policies, on the ARN, before anybody learns
// whether there is such a database.
func TestDatabasesAreJudged(t *testing.T) {
	t.Parallel()
	const one = `"Resource":"arn:aws:rds:us-east-1:123456789012:db:db1"`
	for name, c := range map[string]struct{ policy, instance, code, text string }{
		"this one":        {statement("Allow", "rds:DescribeDBInstances", one), "db1", "", ""},
		"in capitals":     {statement("Allow", "rds:DescribeDBInstances", one), "DB1", "", ""},
		"another":         {statement("Allow", "rds:DescribeDBInstances", one), "copy", "AccessDenied", "on resource: arn:aws:rds:us-east-1:123456789012:db:copy because no identity-based policy"},
		"one that is not": {statement("Allow", "rds:DescribeDBInstances", one), "none", "AccessDenied", "db:none"},
		"all":             {statement("Allow", "rds:DescribeDBInstances", one), "", "AccessDenied", "db:*"},
		"clusters only":   {statement("Allow", "rds:DescribeDBClusters"), "db1", "AccessDenied", "rds:DescribeDBInstances"},
		"by its tag":      {statement("Allow", "rds:*", when("StringEquals", "aws:ResourceTag/team", "blue")), "db1", "", ""},
		"by another tag":  {statement("Allow", "rds:*", when("StringEquals", "aws:ResourceTag/team", "red")), "db1", "AccessDenied", ""},
		"everything":      {statement("Allow", "rds:*"), "none", "DBInstanceNotFound", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, sdk := withDatabases(t, &awsemu.Emulator{Callers: []awsemu.Caller{functionCaller(named("role", c.policy))}})
			in := &rds.DescribeDBInstancesInput{}
			if c.instance != "" {
				in.DBInstanceIdentifier = &c.instance
			}
			_, err := sdk.DescribeDBInstances(w.ctx, in)
			want(t, err, c.code, c.text)
		})
	}
}

// TestSecretsOfRDSAreNotOursToChange: they are read, and refuse everything else.
func TestSecretsOfRDSAreNotOursToChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	arn := w.emu.Seed(awsemu.Secret{Name: "rds!db-1", OwningService: "rds", Tags: map[string]string{"aws:rds:primaryDBInstanceArn": "arn:aws:rds:us-east-1:123456789012:db:db1"},
		Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text("one")}}})
	if out, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn}); err != nil || *out.OwningService != "rds" || len(out.Tags) != 1 {
		t.Errorf("%v %v", out, err)
	}
	_, err := w.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	want(t, err, "", "")
	_, err = w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: aws.String("two")})
	want(t, err, "InvalidRequestException", "managed by another service (rds)")
	_, err = w.RotateSecret(w.ctx, &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: aws.String(functionARN)})
	want(t, err, "InvalidRequestException", "managed by another service (rds)")
	_, err = w.UpdateSecretVersionStage(w.ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: &arn, VersionStage: aws.String("BLUE"), MoveToVersionId: aws.String(id(1))})
	want(t, err, "InvalidRequestException", "managed by another service (rds)")
}

// TestPasswordsThatRDSManages: RDS rotates the secret of a database at once or not at all, and deletes it when it no longer
// manages the password, for which it wants another.
func TestPasswordsThatRDSManages(t *testing.T) {
	t.Parallel()
	w, sdk := withDatabases(t, &awsemu.Emulator{})
	const cluster = "arn:aws:rds:us-east-1:123456789012:cluster:shop"
	one, two := w.emu.Seed(managed("rds!db-1", "aws:rds:primaryDBInstanceArn", "arn:aws:rds:us-east-1:123456789012:db:db1")),
		w.emu.Seed(managed("rds!cluster-1", "aws:rds:primaryDBClusterArn", cluster))
	_, err := sdk.ModifyDBInstance(w.ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("none"), RotateMasterUserPassword: aws.Bool(true)})
	want(t, err, "DBInstanceNotFound", "none")
	_, err = sdk.ModifyDBInstance(w.ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("copy"), RotateMasterUserPassword: aws.Bool(true), ApplyImmediately: aws.Bool(true)})
	want(t, err, "InvalidParameterCombination", "not managed")
	_, err = sdk.ModifyDBInstance(w.ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("db1"), RotateMasterUserPassword: aws.Bool(true)})
	want(t, err, "InvalidParameterCombination", "immediately")
	before := w.emu.Snapshot(one)
	_, err = sdk.ModifyDBInstance(w.ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("db1"), RotateMasterUserPassword: aws.Bool(true), ApplyImmediately: aws.Bool(true)})
	want(t, err, "", "")
	after := w.emu.Snapshot(one)
	if after.LastRotated.IsZero() || !after.NextRotation.After(after.LastRotated) || after.Holder("AWSCURRENT").ID == before.Holder("AWSCURRENT").ID ||
		after.Holder("AWSPREVIOUS").ID != before.Holder("AWSCURRENT").ID || !strings.Contains(string(after.Holder("AWSCURRENT").Value.Reveal()), `"username":"admin"`) {
		t.Errorf("%+v", after)
	}
	_, err = sdk.ModifyDBInstance(w.ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("db1"), ManageMasterUserPassword: aws.Bool(false)})
	want(t, err, "InvalidParameterCombination", "MasterUserPassword")
	_, err = sdk.ModifyDBInstance(w.ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("db1"), ManageMasterUserPassword: aws.Bool(false), MasterUserPassword: aws.String("x")})
	want(t, err, "", "")
	_, err = sdk.ModifyDBCluster(w.ctx, &rds.ModifyDBClusterInput{DBClusterIdentifier: aws.String("shop"), ManageMasterUserPassword: aws.Bool(false), MasterUserPassword: aws.String("x")})
	want(t, err, "", "")
	for _, arn := range []string{one, two} {
		_, err = w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
		want(t, err, "ResourceNotFoundException", "")
	}
}

// managed is a secret that RDS manages.
func managed(name, tag, database string) awsemu.Secret {
	on := true
	return awsemu.Secret{Name: name, OwningService: "rds", RotationEnabled: &on, Rules: awsemu.RotationRules{AutomaticallyAfterDays: 7}, Tags: map[string]string{tag: database},
		Versions: []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"username":"admin","password":"one"}`)}}}
}

// TestCLIOfRDS: botocore reads the answers by the service model.
func TestCLIOfRDS(t *testing.T) {
	t.Parallel()
	cli := clients.CLI1(t, "../..")
	w, _ := withDatabases(t, &awsemu.Emulator{})
	for words, shows := range map[string]string{
		"describe-db-instances --db-instance-identifier db1 --query DBInstances[0].[Endpoint.Address,ReadReplicaDBInstanceIdentifiers[0]]": "db1.example.com\tcopy",
		"describe-db-clusters --query DBClusters[].[ReaderEndpoint,CustomEndpoints[0],DBClusterMembers[0].DBInstanceIdentifier]":           "ro.example.com\treports.example.com\twriter",
		"describe-db-instances --db-instance-identifier none":                                                                              "DBInstanceNotFound",
	} {
		cmd := cli.Command(t.Context(), w.url, "AKIDCLI", append([]string{"--output", "text", "rds"}, strings.Fields(words)...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Run() // what it says counts
		if !strings.Contains(out.String(), shows) {
			t.Errorf("aws rds %s: %s", words, out.String())
		}
	}
}

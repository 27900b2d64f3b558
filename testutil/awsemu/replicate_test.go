package awsemu_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

const elsewhere = "eu-west-1"

// replicated is a secret with a replica elsewhere, and a client there.
func replicated(t *testing.T) (*world, *secretsmanager.Client, string) {
	t.Helper()
	w := rotating(t, &awsemu.Emulator{}, &function{})
	arn := w.emu.Seed(rotated())
	out, err := w.ReplicateSecretToRegions(w.ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &arn,
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(elsewhere), KmsKeyId: aws.String("alias/there")}}})
	want(t, err, "", "")
	if len(out.ReplicationStatus) != 1 || out.ReplicationStatus[0].Status != types.StatusTypeInSync {
		t.Fatalf("replication %+v", out.ReplicationStatus)
	}
	return w, w.region(elsewhere), arn
}

func TestReplicaSharesTheARNExceptTheRegion(t *testing.T) {
	t.Parallel()
	w, there, arn := replicated(t)
	d, err := there.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
	want(t, err, "", "")
	if aws.ToString(d.ARN) != strings.Replace(arn, "us-east-1", elsewhere, 1) || aws.ToString(d.PrimaryRegion) != "us-east-1" || aws.ToString(d.KmsKeyId) != "alias/there" {
		t.Errorf("replica %s of %s with key %s", aws.ToString(d.ARN), aws.ToString(d.PrimaryRegion), aws.ToString(d.KmsKeyId))
	}
	p, err := w.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	want(t, err, "", "")
	if aws.ToString(p.PrimaryRegion) != "us-east-1" || len(p.ReplicationStatus) != 1 {
		t.Errorf("primary %+v", p)
	}
}

func TestReplicaIsReadOnly(t *testing.T) {
	t.Parallel()
	w, there, _ := replicated(t)
	n := aws.String("app/db")
	for name, call := range map[string]func() error{
		"PutSecretValue": func() error {
			_, err := there.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: n, SecretString: aws.String("x")})
			return err
		},
		"UpdateSecret": func() error {
			_, err := there.UpdateSecret(w.ctx, &secretsmanager.UpdateSecretInput{SecretId: n, SecretString: aws.String("x")})
			return err
		},
		"RotateSecret": func() error {
			_, err := there.RotateSecret(w.ctx, &secretsmanager.RotateSecretInput{SecretId: n, RotationLambdaARN: aws.String(functionARN)})
			return err
		},
		"CancelRotateSecret": func() error {
			_, err := there.CancelRotateSecret(w.ctx, &secretsmanager.CancelRotateSecretInput{SecretId: n})
			return err
		},
		"UpdateSecretVersionStage": func() error {
			_, err := there.UpdateSecretVersionStage(w.ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: n, VersionStage: aws.String("BLUE"), MoveToVersionId: aws.String(id(1))})
			return err
		},
		"TagResource": func() error {
			_, err := there.TagResource(w.ctx, &secretsmanager.TagResourceInput{SecretId: n, Tags: []types.Tag{}})
			return err
		},
		"PutResourcePolicy": func() error {
			_, err := there.PutResourcePolicy(w.ctx, &secretsmanager.PutResourcePolicyInput{SecretId: n, ResourcePolicy: aws.String("{}")})
			return err
		},
		"DeleteSecret": func() error {
			_, err := there.DeleteSecret(w.ctx, &secretsmanager.DeleteSecretInput{SecretId: n})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, call(), "InvalidRequestException", "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
		})
	}
}

func TestReplicaFollowsThePrimary(t *testing.T) {
	t.Parallel()
	w, there, arn := replicated(t)
	_, err := w.TagResource(w.ctx, &secretsmanager.TagResourceInput{SecretId: &arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	want(t, err, "", "")
	want(t, w.rotate(id(3)), "", "")
	w.wait()
	replica := w.emu.SnapshotIn(elsewhere, "app/db")
	if shape(replica) != "v1[] v2[AWSPREVIOUS] v3[AWSCURRENT]" || replica.Tags["a"] != "b" || replica.RotationEnabled != nil {
		t.Errorf("replica %s, tags %v, rotation %v", shape(replica), replica.Tags, replica.RotationEnabled)
	}
	v, err := there.GetSecretValue(w.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db")})
	want(t, err, "", "")
	if aws.ToString(v.SecretString) != "new" {
		t.Error("the rotated value did not arrive")
	}
}

func TestPrimaryWithReplicasIsNotDeleted(t *testing.T) {
	t.Parallel()
	w, there, arn := replicated(t)
	_, err := w.DeleteSecret(w.ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn, ForceDeleteWithoutRecovery: aws.Bool(true)})
	want(t, err, "InvalidRequestException", "replica regions ["+elsewhere+"]")
	_, err = w.RemoveRegionsFromReplication(w.ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &arn, RemoveReplicaRegions: []string{"eu-north-1"}})
	want(t, err, "InvalidParameterException", "eu-north-1")
	_, err = w.RemoveRegionsFromReplication(w.ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &arn, RemoveReplicaRegions: []string{elsewhere}})
	want(t, err, "", "")
	_, err = there.DescribeSecret(w.ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("app/db")})
	want(t, err, "ResourceNotFoundException", "")
	_, err = w.DeleteSecret(w.ctx, &secretsmanager.DeleteSecretInput{SecretId: &arn, ForceDeleteWithoutRecovery: aws.Bool(true)})
	want(t, err, "", "")
}

func TestStopReplicationToReplica(t *testing.T) {
	t.Parallel()
	w, there, arn := replicated(t)
	_, err := w.StopReplicationToReplica(w.ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: &arn})
	want(t, err, "InvalidRequestException", "not a replica")
	_, err = there.StopReplicationToReplica(w.ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: aws.String("app/db")})
	want(t, err, "", "")
	_, err = there.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), SecretString: aws.String("own")})
	want(t, err, "", "")
	if s := w.emu.Snapshot(arn); len(s.Replicas) > 0 || s.PrimaryRegion != "" || shape(s) != "v1[AWSPREVIOUS] v2[AWSCURRENT]" {
		t.Errorf("former primary %v", s)
	}
	if s := w.emu.SnapshotIn(elsewhere, "app/db"); s.PrimaryRegion != "" || s.RotationEnabled != nil {
		t.Errorf("former replica %v", s)
	}
}

func TestReplicationFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	arn := w.emu.Seed(rotated())
	w.emu.Seed(awsemu.Secret{Name: "app/db", Region: elsewhere})
	replicate := func(force bool, region string) (*secretsmanager.ReplicateSecretToRegionsOutput, error) {
		return w.ReplicateSecretToRegions(w.ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &arn,
			AddReplicaRegions: []types.ReplicaRegionType{{Region: &region}}, ForceOverwriteReplicaSecret: force})
	}
	out, err := replicate(false, elsewhere)
	want(t, err, "", "")
	if s := out.ReplicationStatus[0]; s.Status != types.StatusTypeFailed || !strings.Contains(aws.ToString(s.StatusMessage), "already exists") {
		t.Errorf("a name that is taken: %+v", s)
	}
	out, err = replicate(true, elsewhere)
	want(t, err, "", "")
	if len(out.ReplicationStatus) != 1 || out.ReplicationStatus[0].Status != types.StatusTypeInSync {
		t.Errorf("by force: %+v", out.ReplicationStatus)
	}
	_, err = replicate(false, "us-east-1")
	want(t, err, "InvalidParameterException", "Invalid replica region")
	_, err = replicate(false, "Mars")
	want(t, err, "ValidationException", "region")
}

func TestSeedReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &awsemu.Emulator{})
	s := rotated()
	s.Replicas = []awsemu.Replica{{Region: elsewhere}, {Region: "eu-north-1", Status: "Failed", StatusMessage: "why"}}
	w.emu.Seed(s)
	if got := w.emu.SnapshotIn(elsewhere, "app/db"); shape(got) != "v1[AWSPREVIOUS] v2[AWSCURRENT]" || got.PrimaryRegion != "us-east-1" {
		t.Errorf("replica %v", got)
	}
	if got := w.emu.SnapshotIn("eu-north-1", "app/db"); got.Name != "" {
		t.Errorf("a replica that failed is there: %v", got)
	}
	w.emu.Seed(awsemu.Secret{Name: "alone", PrimaryRegion: "us-west-2"})
	_, err := w.PutSecretValue(w.ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("alone"), SecretString: aws.String("x")})
	want(t, err, "InvalidRequestException", "replica")
}

func TestSeedRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]awsemu.Secret{
		"no name":       {},
		"a label twice": {Name: "x", Versions: []awsemu.Version{{Labels: []string{"A"}}, {Labels: []string{"A"}}}},
		"an id twice":   {Name: "x", Versions: []awsemu.Version{{ID: id(1)}, {ID: id(1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			new(awsemu.Emulator).Seed(s)
		})
	}
}

package awsemu

import (
	"cmp"
	"slices"
	"time"
)

const (
	inSync = "InSync"
	failed = "Failed"
)

type replicaRegion struct {
	Region   string `check:"len=1-128 pattern=region"`
	KmsKeyId string `check:"len=0-2048"`
}

type replicationStatus struct {
	Region        string
	KmsKeyId      string `json:",omitempty"`
	Status        string
	StatusMessage string `json:",omitempty"`
}

func (s *Secret) replication() []replicationStatus {
	var list []replicationStatus
	for _, r := range s.Replicas {
		list = append(list, replicationStatus{r.Region, cmp.Or(r.KMSKeyID, "alias/aws/secretsmanager"), r.Status,
			r.StatusMessage})
	}
	return list
}

func (s *Secret) replicaNames() []string {
	names := make([]string, len(s.Replicas))
	for i, r := range s.Replicas {
		names[i] = r.Region
	}
	return names
}

// replicaIn is this secret as another Region sees it: values, labels, tags and
// policy are the same, rotation belongs to the primary.
func (s *Secret) replicaIn(region, key string) Secret {
	c := s.clone()
	c.Region, c.KMSKeyID, c.PrimaryRegion = region, key, s.Region
	c.ARN = replaceRegion(s.ARN, s.Region, region)
	c.RotationEnabled, c.RotationLambdaARN, c.Rules = nil, "", RotationRules{}
	c.LastRotated, c.NextRotation, c.Replicas = time.Time{}, time.Time{}, nil
	c.LastAccessed = time.Time{}
	return c
}

func replaceRegion(arn, from, to string) string {
	const head = "arn:aws:secretsmanager:"
	if len(arn) < len(head)+len(from) {
		return arn
	}
	return arn[:len(head)] + to + arn[len(head)+len(from):]
}

type replicateInput struct {
	SecretId                    string          `check:"required len=1-2048 name"`
	AddReplicaRegions           []replicaRegion `check:"required len=1-100"`
	ForceOverwriteReplicaSecret bool
}

// replicateSecretToRegions makes replicas at once. A name that is taken there is
// part of the answer, and the call succeeds.
func (e *Emulator) replicateSecretToRegions(r *request, in *replicateInput) (any, error) {
	rec, err := e.writable(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := replicaRegions(r.call.Region, in.AddReplicaRegions); err != nil {
		return nil, err
	}
	if err := e.decrypt(r, &rec.secret, rec.secret.Holder(current).ID); err != nil {
		return nil, err
	}
	e.replicate(rec, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	return replicatedOutput{ARN: rec.secret.ARN, ReplicationStatus: rec.secret.replication()}, nil
}

func replicaRegions(own string, regions []replicaRegion) error {
	for _, r := range regions {
		if r.Region == own || r.Region == "" {
			return refuse(codeInvalidParameter, "Invalid replica region.")
		}
	}
	return nil
}

func (e *Emulator) replicate(rec *record, regions []replicaRegion, force bool) {
	s := &rec.secret
	for _, to := range regions {
		s.PrimaryRegion = s.Region
		status := Replica{Region: to.Region, KMSKeyID: to.KmsKeyId, Status: inSync}
		there, taken := e.secrets[s.homeIn(to.Region)][s.Name]
		switch {
		case taken && there.secret.ARN == replaceRegion(s.ARN, s.Region, to.Region): // is our replica already
		case taken && !force:
			status.Status, status.StatusMessage = failed, "Replication failed: Secret name simple already exists in "+
				"region "+to.Region+"."
		default:
			e.add(s.replicaIn(to.Region, to.KmsKeyId))
		}
		s.Replicas = slices.DeleteFunc(s.Replicas, func(r Replica) bool { return r.Region == to.Region })
		s.Replicas = append(s.Replicas, status)
	}
}

// copyToReplicas brings a primary's state to its replicas, after each write.
func (e *Emulator) copyToReplicas(rec *record, now time.Time) {
	for _, r := range rec.secret.Replicas {
		there := e.secrets[rec.secret.homeIn(r.Region)][rec.secret.Name]
		if r.Status != inSync || there == nil || there.secret.PrimaryRegion != rec.secret.Region {
			continue
		}
		next := rec.secret.replicaIn(r.Region, r.KMSKeyID)
		next.LastAccessed, next.Changed = there.secret.LastAccessed, now
		there.before = new(there.secret)
		there.secret = next
	}
}

type removeRegionsInput struct {
	SecretId             string   `check:"required len=1-2048 name"`
	RemoveReplicaRegions []string `check:"required len=1-100 each:len=1-128 each:pattern=region"`
}

// removeRegionsFromReplication deletes replicas at once, without a window.
func (e *Emulator) removeRegionsFromReplication(r *request, in *removeRegionsInput) (any, error) {
	rec, err := e.writable(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	for _, region := range in.RemoveReplicaRegions {
		if !slices.Contains(rec.secret.replicaNames(), region) {
			return nil, refuse(codeInvalidParameter, "The secret is not replicated to region %s.", region)
		}
	}
	for _, region := range in.RemoveReplicaRegions {
		if there := e.secrets[rec.secret.homeIn(region)][rec.secret.Name]; there != nil &&
			there.secret.PrimaryRegion == rec.secret.Region {
			delete(e.secrets[rec.secret.homeIn(region)], rec.secret.Name)
		}
		rec.secret.forget(region)
	}
	return replicatedOutput{ARN: rec.secret.ARN, ReplicationStatus: rec.secret.replication()}, nil
}

func (s *Secret) forget(region string) {
	s.Replicas = slices.DeleteFunc(s.Replicas, func(r Replica) bool { return r.Region == region })
	if len(s.Replicas) == 0 {
		s.PrimaryRegion = ""
	}
}

// stopReplicationToReplica makes a replica a secret of its own. It is called in
// the replica's Region.
func (e *Emulator) stopReplicationToReplica(r *request, in *secretIdInput) (any, error) {
	rec, err := e.live(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	if !rec.secret.replica() {
		return nil, refuse(codeInvalidRequest, "The secret is not a replica.")
	}
	if primary := e.secrets[rec.secret.homeIn(rec.secret.PrimaryRegion)][rec.secret.Name]; primary != nil {
		primary.secret.forget(rec.secret.Region)
	}
	err = e.change(rec, r.now, func(s *Secret) error { s.PrimaryRegion = ""; return nil })
	return struct{ ARN string }{rec.secret.ARN}, err
}

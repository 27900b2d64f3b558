package awsemu

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

type tag struct {
	Key   string `check:"required len=1-128"`
	Value string `check:"len=0-256"`
}

const maxTags = 50

type createSecretInput struct {
	Name                        string          `check:"required len=1-512 name"`
	ClientRequestToken          string          `check:"len=32-64"`
	Description                 string          `check:"len=0-2048"`
	KmsKeyId                    string          `check:"len=0-2048"`
	SecretBinary                []byte          `check:"len=1-65536"`
	SecretString                string          `check:"bytes=1-65536"`
	Tags                        []tag           `check:"len=0-50"`
	AddReplicaRegions           []replicaRegion `check:"len=1-100"`
	ForceOverwriteReplicaSecret bool
	Type                        string `check:"len=0-256"`
}

type replicatedOutput struct {
	ARN               string
	Name              string              `json:",omitempty"`
	VersionId         string              `json:",omitempty"`
	ReplicationStatus []replicationStatus `json:",omitempty"`
}

// createSecret makes a secret, and its first version if it comes with a value.
func (e *Emulator) createSecret(r *request, in *createSecretInput) (any, error) {
	value, err := newValue(in.SecretString, in.SecretBinary)
	switch {
	case err != nil:
		return nil, err
	case strings.HasPrefix(in.Name, "arn:"):
		return nil, checkName(":")
	case !value.Empty() && in.ClientRequestToken == "":
		return nil, errNoToken(codeInvalidRequest)
	}
	if rec, err := e.find(r.call.home(), in.Name); err == nil && rec.secret.Name == in.Name {
		return rec.secret.createdBefore(in, value)
	}
	if err := replicaRegions(r.call.Region, in.AddReplicaRegions); err != nil {
		return nil, err
	}
	s := Secret{
		Name: in.Name, Account: r.call.Account, Region: r.call.Region, Description: in.Description,
		KMSKeyID: in.KmsKeyId, Type: in.Type, Created: r.now, Changed: r.now,
	}
	if err := s.setTags(in.Tags); err != nil {
		return nil, err
	}
	s.ARN = e.newARN(s.home(), s.Name)
	if err := e.tryKey(r, &s); err != nil {
		return nil, err
	}
	if !value.Empty() {
		if err := e.encrypt(r, &s, in.ClientRequestToken); err != nil {
			return nil, err
		}
		if err := s.put(Version{ID: in.ClientRequestToken, Labels: []string{current}, Value: value},
			r.now); err != nil {
			return nil, err
		}
	}
	rec := e.add(s)
	e.replicate(rec, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	return rec.secret.createOutput(), nil
}

// createdBefore answers a name that is taken: the same request again succeeds and
// does nothing.
func (s *Secret) createdBefore(in *createSecretInput, value Value) (any, error) {
	if !s.Deleted.IsZero() {
		return nil, refuse(codeInvalidRequest, "You can't create this secret because a secret with this name is "+
			"already scheduled for deletion.")
	}
	if v := s.version(in.ClientRequestToken); v != nil && !value.Empty() {
		if v.Value.Equal(value) {
			return s.createOutput(), nil
		}
		return nil, errTokenUsed(in.ClientRequestToken, s)
	}
	return nil, refuse(codeExists, "The operation failed because the secret %s already exists.", s.Name)
}

func (s *Secret) createOutput() replicatedOutput {
	out := replicatedOutput{ARN: s.ARN, Name: s.Name, ReplicationStatus: s.replication()}
	if len(s.Versions) > 0 {
		out.VersionId = s.Versions[0].ID
	}
	return out
}

type updateSecretInput struct {
	SecretId           string  `check:"required len=1-2048 name"`
	ClientRequestToken string  `check:"len=32-64"`
	Description        *string `check:"len=0-2048"`
	KmsKeyId           *string `check:"len=0-2048"`
	SecretBinary       []byte  `check:"len=1-65536"`
	SecretString       string  `check:"bytes=1-65536"`
	Type               *string `check:"len=0-256"`
}

// updateSecret changes metadata, and with a value makes a version AWSCURRENT. It
// never touches a version that exists, not even an empty one.
func (e *Emulator) updateSecret(r *request, in *updateSecretInput) (any, error) {
	value, err := newValue(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	if !value.Empty() && in.ClientRequestToken == "" {
		return nil, errNoToken(codeInvalidRequest)
	}
	rec, err := e.writable(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	id := in.ClientRequestToken
	done, err := e.canUpdate(r, rec.secret, in, value)
	if err != nil {
		return nil, err
	}
	err = e.change(rec, r.now, func(s *Secret) error {
		set(&s.Description, in.Description)
		set(&s.Type, in.Type)
		if in.KmsKeyId != nil {
			e.rekey(r, s, *in.KmsKeyId)
		}
		if value.Empty() || done {
			return nil
		}
		if err := s.put(Version{ID: id, Labels: []string{current}, Value: value}, r.now); err != nil {
			return err
		}
		e.abandon(rec, s, id, r.now)
		return nil
	})
	out := identity(&rec.secret)
	if !value.Empty() {
		out.VersionId = id
	}
	return out, err
}

// canUpdate tries the key that the secret will have. done says that the value was stored by this token before.
func (e *Emulator) canUpdate(r *request, s Secret, in *updateSecretInput, value Value) (done bool, err error) {
	set(&s.KMSKeyID, in.KmsKeyId)
	if in.KmsKeyId != nil {
		if err := e.tryKey(r, &s); err != nil {
			return false, err
		}
	}
	id := in.ClientRequestToken
	if value.Empty() {
		return false, nil
	}
	if done, err := e.putBefore(r, &s, id, value); done || err != nil {
		return done, err
	}
	if s.version(id) != nil {
		return false, errTokenUsed(id, &s)
	}
	return false, e.encrypt(r, &s, id)
}

// rekey gives a secret another key. The values under the service's labels are encrypted again if the caller may use
// both keys; other versions stay under the key that they have.
func (e *Emulator) rekey(r *request, s *Secret, id string) {
	old := cmp.Or(s.KMSKeyID, defaultAlias)
	again := *s
	again.KMSKeyID = id
	for i := range s.Versions {
		v := &s.Versions[i]
		labelled := slices.ContainsFunc(v.Labels, func(l string) bool {
			return l == current || l == pending || l == previous
		})
		if labelled && e.decrypt(r, s, v.ID) == nil && e.forward(r, &again, "Encrypt", v.ID) == nil {
			v.key = ""
		} else {
			v.key = cmp.Or(v.key, old)
		}
	}
	s.KMSKeyID = id
}

func set(field, value *string) {
	if value != nil {
		*field = *value
	}
}

type secretIdInput struct {
	SecretId string `check:"required len=1-2048 name"`
}

// description is what DescribeSecret and ListSecrets have in common.
type description struct {
	ARN               string
	Name              string
	Type              string         `json:",omitempty"`
	Description       string         `json:",omitempty"`
	KmsKeyId          string         `json:",omitempty"`
	RotationEnabled   *bool          `json:",omitempty"`
	RotationLambdaARN string         `json:",omitempty"`
	RotationRules     *RotationRules `json:",omitempty"`
	LastRotatedDate   stamp          `json:",omitzero"`
	LastChangedDate   stamp          `json:",omitzero"`
	LastAccessedDate  stamp          `json:",omitzero"`
	DeletedDate       stamp          `json:",omitzero"`
	NextRotationDate  stamp          `json:",omitzero"`
	Tags              []tag          `json:",omitzero"` // [] once the last tag was removed
	OwningService     string         `json:",omitempty"`
	CreatedDate       stamp          `json:",omitzero"`
	PrimaryRegion     string         `json:",omitempty"`
}

func (s *Secret) describe() description {
	d := description{
		ARN: s.ARN, Name: s.Name, Type: s.Type, Description: s.Description, KmsKeyId: s.KMSKeyID,
		RotationEnabled: s.RotationEnabled, RotationLambdaARN: s.RotationLambdaARN,
		LastRotatedDate: stamp{s.LastRotated}, LastChangedDate: stamp{s.Changed},
		LastAccessedDate: stamp{s.LastAccessed}, DeletedDate: stamp{s.Deleted}, NextRotationDate: stamp{s.NextRotation},
		Tags: s.tagList(), OwningService: s.OwningService, CreatedDate: stamp{s.Created},
		PrimaryRegion: s.PrimaryRegion,
	}
	if s.Rules != (RotationRules{}) {
		d.RotationRules = new(s.Rules)
	}
	return d
}

type describeSecretOutput struct {
	description
	VersionIdsToStages map[string][]string `json:",omitempty"`
	ReplicationStatus  []replicationStatus `json:",omitempty"`
}

// describeSecret shows an empty pending version too. It works on a secret that is
// scheduled for deletion.
func (e *Emulator) describeSecret(r *request, in *secretIdInput) (any, error) {
	s, err := e.read(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	return describeSecretOutput{s.describe(), s.stages(), s.replication()}, nil
}

type deleteSecretInput struct {
	SecretId                   string `check:"required len=1-2048 name"`
	RecoveryWindowInDays       *int64
	ForceDeleteWithoutRecovery bool
}

type deleteSecretOutput struct {
	ARN          string
	Name         string
	DeletionDate stamp
}

// deleteSecret schedules the end of a secret, or brings it at once.
func (e *Emulator) deleteSecret(r *request, in *deleteSecretInput) (any, error) {
	rec, err := e.find(r.call.home(), in.SecretId)
	if err != nil && in.ForceDeleteWithoutRecovery && in.RecoveryWindowInDays == nil && arnAccount(in.SecretId) == "" {
		// as if it had been there
		return deleteSecretOutput{e.newARN(r.call.home(), in.SecretId), in.SecretId, stamp{r.now}}, nil
	}
	if err != nil {
		return nil, err
	}
	s, force, days := &rec.secret, in.ForceDeleteWithoutRecovery, int64(30)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
	}
	switch {
	case force && in.RecoveryWindowInDays != nil:
		return nil, refuse(codeInvalidParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with "+
			"RecoveryWindowInDays.")
	case days < 7 || days > 30:
		return nil, refuse(codeInvalidParameter, "The RecoveryWindowInDays value must be between 7 and 30 days "+
			"(inclusive).")
	case s.replica():
		return nil, errReplica()
	case s.OwningService != "":
		return nil, errOwned(s.OwningService)
	case len(s.Replicas) > 0:
		return nil, refuse(codeInvalidRequest, "You can't delete secret %s that still has replica regions [%s]", s.Name,
			strings.Join(s.replicaNames(), ", "))
	case !s.Deleted.IsZero() && !force:
		return nil, refuse(codeInvalidRequest, "You can't perform this operation on the secret because it was "+
			"already scheduled for deletion.")
	}
	out := deleteSecretOutput{s.ARN, s.Name, stamp{r.now}}
	e.stop(rec, cancelled)
	if force {
		delete(e.secrets[s.home()], s.Name)
		return out, nil
	}
	out.DeletionDate = stamp{r.now.Add(time.Duration(days) * 24 * time.Hour)}
	err = e.change(rec, r.now, func(s *Secret) error { s.Deleted = out.DeletionDate.Time; return nil })
	return out, err
}

// restoreSecret takes a scheduled deletion back.
func (e *Emulator) restoreSecret(r *request, in *secretIdInput) (any, error) {
	rec, err := e.find(r.call.home(), in.SecretId)
	if err != nil {
		return nil, err
	}
	if rec.secret.replica() {
		return nil, errReplica()
	}
	err = e.change(rec, r.now, func(s *Secret) error { s.Deleted = time.Time{}; return nil })
	return identity(&rec.secret), err
}

type tagResourceInput struct {
	SecretId string `check:"required len=1-2048 name"`
	Tags     []tag  `check:"required"`
}

func (e *Emulator) tagResource(r *request, in *tagResourceInput) (any, error) {
	rec, err := e.primary(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	return struct{}{}, e.change(rec, r.now, func(s *Secret) error { return s.setTags(in.Tags) })
}

type untagResourceInput struct {
	SecretId string   `check:"required len=1-2048 name"`
	TagKeys  []string `check:"required each:len=1-128"`
}

func (e *Emulator) untagResource(r *request, in *untagResourceInput) (any, error) {
	rec, err := e.primary(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	return struct{}{}, e.change(rec, r.now, func(s *Secret) error {
		for _, key := range in.TagKeys {
			delete(s.Tags, key)
		}
		return nil
	})
}

func (s *Secret) setTags(tags []tag) error {
	if s.Tags == nil && len(tags) > 0 {
		s.Tags = map[string]string{}
	}
	for _, t := range tags {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return refuse(codeInvalidParameter, "Tag keys that begin with aws: are reserved for Amazon Web Services.")
		}
		s.Tags[t.Key] = t.Value
	}
	if len(s.Tags) > maxTags {
		return refuse(codeInvalidParameter, "A secret can have at most %d tags.", maxTags)
	}
	return nil
}

func (s *Secret) tagList() []tag {
	if s.Tags == nil {
		return nil
	}
	list := []tag{}
	for key, value := range s.Tags {
		list = append(list, tag{key, value})
	}
	slices.SortFunc(list, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return list
}

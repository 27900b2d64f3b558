package awsemu

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Labels that the service gives a meaning to.
const (
	current  = "AWSCURRENT"
	pending  = "AWSPENDING"
	previous = "AWSPREVIOUS"
)

// Secret is the whole state of a secret: what Seed puts there and what Snapshot
// finds. It prints without its values.
type Secret struct {
	Name    string // required by Seed
	ARN     string // Snapshot fills it in; Seed makes one from Region and Name
	Region  string // "": the Emulator's
	Account string // "": the ARN's, or the Emulator's

	Versions    []Version // in order of creation; the first is v1 in Call.String
	Description string
	Tags        map[string]string
	KMSKeyID    string // "": aws/secretsmanager
	Policy      string // the resource policy, JSON; "": none

	RotationEnabled   *bool // nil: rotation was never set up
	RotationLambdaARN string
	Rules             RotationRules
	LastRotated       time.Time
	NextRotation      time.Time

	Type          string // a partner's managed external secret
	OwningService string // "rds" and so on: only that service may write
	PrimaryRegion string // differs from Region on a replica
	Replicas      []Replica

	Created      time.Time // zero in Seed: now
	Changed      time.Time // zero in Seed: Created
	LastAccessed time.Time // a day, without its time
	Deleted      time.Time // not zero: the day on which it will be gone
}

// Version is one version of a secret.
type Version struct {
	ID           string   // 32 to 64 characters; "" in Seed: VersionID(its place, from 1)
	Labels       []string // sorted by Snapshot; none: deprecated
	Value        Value    // zero: an empty version, as RotateSecret makes it
	Created      time.Time
	LastAccessed time.Time
	// RotationToken is what PutSecretValue must bring, if it brings a token at all,
	// to fill this version. Empty: the version did not come from RotateSecret, and
	// any well-formed token will do.
	RotationToken Value

	n       int    // its place in order of creation, which pruning does not change
	key     string // under which it is encrypted; "": the secret's
	foreign bool   // its value came without the token that RequireToken asks for
}

// RotationRules is when a secret rotates.
type RotationRules struct {
	AutomaticallyAfterDays int64  `json:",omitempty" check:"min=1 max=1000"`
	Duration               string `json:",omitempty" check:"len=2-3 pattern=duration"`
	ScheduleExpression     string `json:",omitempty" check:"len=1-256 pattern=schedule"`
}

// Replica is what a primary secret knows of one of its replicas.
type Replica struct {
	Region        string
	KMSKeyID      string
	Status        string // InSync, InProgress or Failed; "" in Seed: InSync, and Seed makes the replica
	StatusMessage string
}

// VersionID is a version id (a UUID) for seeds: the same for the same number.
func VersionID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// Holder is the version that carries a label; the zero Version if none does.
func (s Secret) Holder(label string) Version {
	if v := s.holder(label); v != nil {
		return v.clone()
	}
	return Version{}
}

// Version is the version with that id; the zero Version if there is none.
func (s Secret) Version(id string) Version {
	if v := s.version(id); v != nil {
		return v.clone()
	}
	return Version{}
}

// Equal says whether Diff finds nothing.
func (s Secret) Equal(t Secret) bool { return len(s.Diff(t)) == 0 }

// Diff says in sentences how t differs from s, and prints no value. It leaves out
// the dates of last access, which reading changes.
func (s Secret) Diff(t Secret) []string {
	var d []string
	for _, f := range [...]struct {
		name     string
		old, new any
	}{
		{"Name", s.Name, t.Name}, {"ARN", s.ARN, t.ARN}, {"Region", s.Region, t.Region},
		{"Description", s.Description, t.Description}, {"KMSKeyID", s.KMSKeyID, t.KMSKeyID},
		{"Policy", s.Policy, t.Policy},
		{"RotationEnabled", enabled(s.RotationEnabled), enabled(t.RotationEnabled)},
		{"RotationLambdaARN", s.RotationLambdaARN, t.RotationLambdaARN}, {"Rules", s.Rules, t.Rules},
		{"Type", s.Type, t.Type}, {"OwningService", s.OwningService, t.OwningService},
		{"PrimaryRegion", s.PrimaryRegion, t.PrimaryRegion},
	} {
		if f.old != f.new {
			d = append(d, fmt.Sprintf("%s: %v, then %v", f.name, f.old, f.new))
		}
	}
	for _, f := range [...]struct {
		name     string
		old, new time.Time
	}{
		{"LastRotated", s.LastRotated, t.LastRotated}, {"NextRotation", s.NextRotation, t.NextRotation},
		{"Created", s.Created, t.Created}, {"Changed", s.Changed, t.Changed}, {"Deleted", s.Deleted, t.Deleted},
	} {
		if !f.old.Equal(f.new) {
			d = append(d, fmt.Sprintf("%s: %v, then %v", f.name, f.old.UTC(), f.new.UTC()))
		}
	}
	if !maps.Equal(s.Tags, t.Tags) {
		d = append(d, fmt.Sprintf("Tags: %v, then %v", s.Tags, t.Tags))
	}
	if len(s.Replicas)+len(t.Replicas) > 0 && !reflect.DeepEqual(s.Replicas, t.Replicas) {
		d = append(d, fmt.Sprintf("Replicas: %v, then %v", s.Replicas, t.Replicas))
	}
	return append(d, diffVersions(s.Versions, t.Versions)...)
}

func diffVersions(old, new []Version) []string {
	var d []string
	for _, v := range old {
		i := slices.IndexFunc(new, func(w Version) bool { return w.ID == v.ID })
		if i < 0 {
			d = append(d, fmt.Sprintf("version %s %v: gone", v.ID, v.Labels))
			continue
		}
		if w := new[i]; !slices.Equal(v.Labels, w.Labels) {
			d = append(d, fmt.Sprintf("version %s: labels %v, then %v", v.ID, v.Labels, w.Labels))
		}
		if w := new[i]; !v.Value.Equal(w.Value) {
			d = append(d, fmt.Sprintf("version %s: value %v, then another, %v", v.ID, v.Value, w.Value))
		}
	}
	for _, w := range new {
		if !slices.ContainsFunc(old, func(v Version) bool { return v.ID == w.ID }) {
			d = append(d, fmt.Sprintf("version %s %v: new, %v", w.ID, w.Labels, w.Value))
		}
	}
	return d
}

func enabled(b *bool) string {
	if b == nil {
		return "never set"
	}
	return fmt.Sprint(*b)
}

func (s Secret) clone() Secret {
	s.Tags = maps.Clone(s.Tags)
	s.Replicas = slices.Clone(s.Replicas)
	s.Versions = slices.Clone(s.Versions)
	for i := range s.Versions {
		s.Versions[i] = s.Versions[i].clone()
	}
	if s.RotationEnabled != nil {
		s.RotationEnabled = new(*s.RotationEnabled)
	}
	return s
}

func (v Version) clone() Version {
	v.Labels = slices.Clone(v.Labels)
	return v
}

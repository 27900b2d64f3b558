package awsemu

import (
	"slices"
	"time"
)

const (
	maxLabels   = 20             // distinct labels of one secret
	maxVersions = 100            // "about 100"
	keepAtLeast = 24 * time.Hour // nothing younger is pruned
)

func (s *Secret) version(id string) *Version {
	for i := range s.Versions {
		if s.Versions[i].ID == id {
			return &s.Versions[i]
		}
	}
	return nil
}

func (s *Secret) holder(label string) *Version {
	for i := range s.Versions {
		if slices.Contains(s.Versions[i].Labels, label) {
			return &s.Versions[i]
		}
	}
	return nil
}

// newVersion adds an empty version without labels. At the limit the oldest
// versions without labels make room, if a day has passed over them.
func (s *Secret) newVersion(id string, now time.Time) (*Version, error) {
	for len(s.Versions) >= maxVersions {
		i := slices.IndexFunc(s.Versions, func(v Version) bool {
			return len(v.Labels) == 0 && now.Sub(v.Created) >= keepAtLeast
		})
		if i < 0 {
			return nil, refuse(codeLimit, "You have reached the maximum number of versions (%d) for the secret.",
				maxVersions)
		}
		s.Versions = slices.Delete(s.Versions, i, i+1)
	}
	n := 1
	if k := len(s.Versions); k > 0 {
		n = s.Versions[k-1].n + 1
	}
	s.Versions = append(s.Versions, Version{ID: id, Created: now, n: n})
	return &s.Versions[len(s.Versions)-1], nil
}

// move puts a label on a version, and takes it from the one that has it. When
// AWSCURRENT moves, AWSPREVIOUS goes to the version that it leaves.
func (s *Secret) move(label string, to *Version) error {
	from := s.holder(label)
	if from != nil && from.ID == to.ID {
		return nil
	}
	s.unlabel(label)
	to.Labels = append(to.Labels, label)
	slices.Sort(to.Labels)
	if label == current && from != nil {
		return s.move(previous, from)
	}
	if s.labels() > maxLabels {
		return refuse(codeLimit, "You have reached the maximum number of staging labels (%d) for the secret.",
			maxLabels)
	}
	return nil
}

func (s *Secret) unlabel(label string) {
	if v := s.holder(label); v != nil {
		v.Labels = slices.DeleteFunc(v.Labels, func(l string) bool { return l == label })
	}
}

func (s *Secret) labels() int {
	n := 0
	for _, v := range s.Versions {
		n += len(v.Labels)
	}
	return n
}

// stages is the map of DescribeSecret: versions that carry labels.
func (s *Secret) stages() map[string][]string {
	m := map[string][]string{}
	for _, v := range s.Versions {
		if len(v.Labels) > 0 {
			m[v.ID] = slices.Clone(v.Labels)
		}
	}
	return m
}

type updateSecretVersionStageInput struct {
	SecretId            string `check:"required len=1-2048 name"`
	VersionStage        string `check:"required len=1-256"`
	RemoveFromVersionId string `check:"len=32-64"`
	MoveToVersionId     string `check:"len=32-64"`
}

// updateSecretVersionStage is a compare-and-swap: a label that sits on a version
// leaves it only if the caller names that version.
func (e *Emulator) updateSecretVersionStage(r *request, in *updateSecretVersionStageInput) (any, error) {
	rec, err := e.writable(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	err = e.change(rec, r.now, func(s *Secret) error { return s.swap(in) })
	return identity(&rec.secret), err
}

func (s *Secret) swap(in *updateSecretVersionStageInput) error {
	label, from, to := in.VersionStage, in.RemoveFromVersionId, in.MoveToVersionId
	for _, id := range []string{from, to} {
		if id != "" && s.version(id) == nil {
			return errNoVersion(id)
		}
	}
	holder := s.holder(label)
	switch {
	case from == "" && to == "":
		return refuse(codeInvalidParameter, "You must specify MoveToVersionId, RemoveFromVersionId, or both.")
	case holder != nil && from == "" && holder.ID != to:
		return refuse(codeInvalidParameter, "The parameter RemoveFromVersionId can't be empty. Staging label %s is "+
			"currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.",
			label, holder.ID)
	case from != "" && (holder == nil || holder.ID != from):
		return refuse(codeInvalidParameter, "RemoveFromVersionId must name the version that staging label %s is "+
			"currently attached to.", label)
	case to == "" && label == current:
		return refuse(codeInvalidParameter, "You can only move staging label %s to a different secret version. It "+
			"can't be completely removed.", label)
	case to == "":
		s.unlabel(label)
		return nil
	}
	return s.move(label, s.version(to))
}

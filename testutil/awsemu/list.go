package awsemu

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// page cuts a list at MaxResults (0: limit). A token is the place to go on from.
func page[T any](list []T, token string, max, limit int) ([]T, string, error) {
	from := 0
	if token != "" {
		raw, err := base64.StdEncoding.DecodeString(token)
		if err == nil {
			from, err = strconv.Atoi(string(raw))
		}
		if err != nil || from <= 0 || from > len(list) {
			return nil, "", refuse(codeNextToken, "The NextToken value is invalid.")
		}
	}
	if max == 0 {
		max = limit
	}
	to := min(from+max, len(list))
	next := ""
	if to < len(list) {
		next = base64.StdEncoding.EncodeToString(strconv.AppendInt(nil, int64(to), 10))
	}
	return list[from:to], next, nil
}

type listSecretVersionIdsInput struct {
	SecretId          string `check:"required len=1-2048 name"`
	MaxResults        int64  `check:"min=1 max=100"`
	NextToken         string `check:"len=1-4096"`
	IncludeDeprecated bool
}

type versionEntry struct {
	VersionId        string
	VersionStages    []string `json:",omitempty"`
	LastAccessedDate stamp    `json:",omitzero"`
	CreatedDate      stamp
	KmsKeyIds        []string
}

type listSecretVersionIdsOutput struct {
	Versions  []versionEntry
	NextToken string `json:",omitempty"`
	ARN       string
	Name      string
}

// listSecretVersionIds leaves out the empty pending version, even with
// IncludeDeprecated: DescribeSecret is what shows it.
func (e *Emulator) listSecretVersionIds(r *request, in *listSecretVersionIdsInput) (any, error) {
	s, err := e.read(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	list := []versionEntry{}
	for _, v := range s.Versions {
		if v.Value.Empty() || len(v.Labels) == 0 && !in.IncludeDeprecated {
			continue
		}
		list = append(list, versionEntry{v.ID, v.Labels, stamp{v.LastAccessed}, stamp{v.Created}, []string{s.keyOf(v)}})
	}
	list, next, err := page(list, in.NextToken, int(in.MaxResults), 100)
	return listSecretVersionIdsOutput{list, next, s.ARN, s.Name}, err
}

// keyOf is how the list calls the key of a version.
func (s *Secret) keyOf(v Version) string {
	if id := cmp.Or(v.key, s.KMSKeyID); id != "" && id != defaultAlias {
		return id
	}
	return "DefaultEncryptionKey"
}

type filter struct {
	Key    string   `check:"required enum=description|name|tag-key|tag-value|primary-region|owning-service|all"`
	Values []string `check:"required len=1-10 each:len=0-512 each:pattern=filter"`
}

type listSecretsInput struct {
	IncludePlannedDeletion bool
	MaxResults             int64    `check:"min=1 max=100"`
	NextToken              string   `check:"len=1-4096"`
	Filters                []filter `check:"len=0-10"`
	SortOrder              string   `check:"enum=asc|desc"`
	SortBy                 string   `check:"enum=created-date|last-accessed-date|last-changed-date|name"`
}

type listEntry struct {
	description
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

type listSecretsOutput struct {
	SecretList []listEntry
	NextToken  string `json:",omitempty"`
}

// listing is what a list found, kept for its further pages as long as nothing is written: each
// would otherwise sort the whole account again.
type listing struct {
	at    home
	asked string // the input without the page
	found []*Secret
}

// describing are the operations that change nothing which a list goes by.
var describing = map[string]bool{"ListSecrets": true, "DescribeSecret": true, "ListSecretVersionIds": true,
	"GetResourcePolicy": true}

// listSecrets answers at once with everything; the service may take five minutes
// to show a change.
func (e *Emulator) listSecrets(r *request, in *listSecretsInput) (any, error) {
	whole := *in
	whole.NextToken, whole.MaxResults = "", 0
	asked, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	if l := e.listed; in.NextToken == "" || l == nil || l.at != r.call.home() || l.asked != string(asked) {
		e.listed = &listing{r.call.home(), string(asked), e.list(r.call.home(), in)}
	}
	found, next, err := page(e.listed.found, in.NextToken, int(in.MaxResults), 100)
	if err != nil {
		return nil, err
	}
	out := listSecretsOutput{SecretList: []listEntry{}, NextToken: next}
	for _, s := range found {
		out.SecretList = append(out.SecretList, listEntry{s.describe(), s.stages()})
	}
	return out, nil
}

func (e *Emulator) list(at home, in *listSecretsInput) []*Secret {
	var found []*Secret
	for _, rec := range e.inOrder(at) {
		s := &rec.secret
		if (s.Deleted.IsZero() || in.IncludePlannedDeletion) && s.matches(in.Filters) {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(a, b *Secret) int {
		if in.SortOrder == "desc" {
			a, b = b, a
		}
		return compare(a, b, in.SortBy)
	})
	return found
}

func compare(a, b *Secret, by string) int {
	switch by {
	case "name":
		return strings.Compare(a.Name, b.Name)
	case "last-accessed-date":
		return a.LastAccessed.Compare(b.LastAccessed)
	case "last-changed-date":
		return a.Changed.Compare(b.Changed)
	}
	return a.Created.Compare(b.Created)
}

// matches says whether a secret passes every filter. A filter passes with any of
// its values; a value that begins with ! passes when the rest does not match.
func (s *Secret) matches(filters []filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(value string) bool { return s.matchesValue(f.Key, value) }) {
			return false
		}
	}
	return true
}

func (s *Secret) matchesValue(key, value string) bool {
	if rest, negated := strings.CutPrefix(value, "!"); negated {
		return !s.matchesValue(key, rest)
	}
	keys, values := s.tagWords()
	switch key {
	case "name":
		return strings.HasPrefix(s.Name, value)
	case "description":
		return strings.HasPrefix(strings.ToLower(s.Description), strings.ToLower(value))
	case "tag-key":
		return anyPrefix(keys, value)
	case "tag-value":
		return anyPrefix(values, value)
	case "primary-region":
		return strings.HasPrefix(s.PrimaryRegion, value)
	case "owning-service":
		return strings.HasPrefix(s.OwningService, value)
	}
	return s.mentions(value)
}

// mentions is the filter "all": each word of the value occurs in some attribute.
func (s *Secret) mentions(value string) bool {
	keys, values := s.tagWords()
	all := strings.ToLower(strings.Join(slices.Concat([]string{s.Name, s.Description, s.PrimaryRegion, s.OwningService},
		keys, values), "\n"))
	for _, word := range strings.Fields(strings.ToLower(value)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

func (s *Secret) tagWords() (keys, values []string) {
	for key, value := range s.Tags {
		keys, values = append(keys, key), append(values, value)
	}
	return keys, values
}

func anyPrefix(list []string, prefix string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

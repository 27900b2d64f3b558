package awsemu

import (
	"cmp"
	"slices"
	"time"
)

type getSecretValueInput struct {
	SecretId     string `check:"required len=1-2048 name"`
	VersionId    string `check:"len=32-64"`
	VersionStage string `check:"len=1-256"`
}

type secretValue struct {
	ARN           string
	Name          string
	VersionId     string
	SecretBinary  []byte   `json:",omitempty"`
	SecretString  string   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   stamp
}

// getSecretValue reads the version that an id, a label, or both together name.
func (e *Emulator) getSecretValue(r *request, in *getSecretValueInput) (any, error) {
	s, err := e.readLive(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	v, err := s.choose(in.VersionId, in.VersionStage)
	if err != nil {
		return nil, err
	}
	if err := e.decrypt(r, s, v.ID); err != nil {
		return nil, err
	}
	e.accessed(r, s.Name, v.ID)
	return s.valueOf(v), nil
}

func (s *Secret) choose(id, label string) (*Version, error) {
	if id == "" {
		label = cmp.Or(label, current)
		if v := s.holder(label); v != nil && !v.Value.Empty() {
			return v, nil
		}
		return nil, errNoStage(label)
	}
	v := s.version(id)
	switch {
	case v == nil:
		return nil, errNoVersion(id)
	case label != "" && !slices.Contains(v.Labels, label):
		return nil, refuse(codeInvalidRequest, "You provided a VersionStage that is not associated to the provided "+
			"VersionId.")
	case v.Value.Empty():
		return nil, errNoVersion(id)
	}
	return v, nil
}

func (s *Secret) valueOf(v *Version) secretValue {
	out := secretValue{ARN: s.ARN, Name: s.Name, VersionId: v.ID, VersionStages: v.Labels,
		CreatedDate: stamp{v.Created}}
	if v.Value.binary() {
		out.SecretBinary = v.Value.Reveal()
	} else {
		out.SecretString = string(v.Value.Reveal())
	}
	return out
}

// accessed notes the day of a read. It is no write: nothing else changes, and
// stale reads stay as stale as they were.
func (e *Emulator) accessed(r *request, name, version string) {
	rec, err := e.find(r.call.home(), name)
	if err != nil {
		return
	}
	day := r.now.UTC().Truncate(24 * time.Hour)
	rec.secret.LastAccessed = day
	if v := rec.secret.version(version); v != nil {
		v.LastAccessed = day
	}
}

// newValue is the value part of the inputs that carry one.
func newValue(text string, binary []byte) (Value, error) {
	switch {
	case text != "" && len(binary) > 0:
		return Value{}, refuse(codeInvalidParameter, "You can't specify both a binary secret value and a string "+
			"secret value in the same secret.")
	case len(binary) > 0:
		return Binary(binary), nil
	}
	return Text(text), nil
}

type putSecretValueInput struct {
	SecretId           string   `check:"required len=1-2048 name"`
	ClientRequestToken string   `check:"len=32-64"`
	SecretBinary       []byte   `check:"len=1-65536"`
	SecretString       string   `check:"bytes=1-65536"`
	VersionStages      []string `check:"len=1-20 each:len=1-256"`
	RotationToken      string   `check:"len=36-256 pattern=token"`
}

type putSecretValueOutput struct {
	ARN           string
	Name          string
	VersionId     string
	VersionStages []string
}

// putSecretValue gives a new version, or an empty one, its value and labels.
func (e *Emulator) putSecretValue(r *request, in *putSecretValueInput) (any, error) {
	if in.ClientRequestToken == "" {
		return nil, errNoToken(codeInvalidRequest)
	}
	rec, err := e.writable(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	value, err := newValue(in.SecretString, in.SecretBinary)
	if err == nil && value.Empty() {
		err = refuse(codeInvalidRequest, "You must provide either SecretString or SecretBinary.")
	}
	if err != nil {
		return nil, err
	}
	id := in.ClientRequestToken
	labels := in.VersionStages
	if len(labels) == 0 {
		labels = []string{current}
	}
	if err := rec.secret.tokenFits(id, in.RotationToken); err != nil {
		return nil, err
	}
	if done, err := e.putBefore(r, &rec.secret, id, value); done || err != nil {
		return putOutput(&rec.secret, id), err
	}
	if err := e.encrypt(r, &rec.secret, id); err != nil {
		return nil, err
	}
	err = e.change(rec, r.now, func(s *Secret) error {
		foreign := in.RotationToken == "" && e.needsToken(r, s)
		if err := s.put(Version{ID: id, Labels: labels, Value: value, foreign: foreign}, r.now); err != nil {
			return err
		}
		e.abandon(rec, s, id, r.now)
		return nil
	})
	return putOutput(&rec.secret, id), err
}

func putOutput(s *Secret, id string) putSecretValueOutput {
	out := putSecretValueOutput{ARN: s.ARN, Name: s.Name, VersionId: id}
	if v := s.version(id); v != nil {
		out.VersionStages = v.Labels
	}
	return out
}

// putBefore says whether this very put was done before, which makes it succeed
// and do nothing. To find out, the service decrypts what is there.
func (e *Emulator) putBefore(r *request, s *Secret, id string, value Value) (bool, error) {
	v := s.version(id)
	if v == nil || v.Value.Empty() {
		return false, nil
	}
	if err := e.decrypt(r, s, v.ID); err != nil {
		return false, err
	}
	if !v.Value.Equal(value) {
		return false, errTokenUsed(id, s)
	}
	return true, nil
}

// needsToken says whether the service can tell only by a RotationToken that a
// value comes from the rotation's function: the function works in a role that it
// assumed, or from another account.
func (e *Emulator) needsToken(r *request, s *Secret) bool {
	return e.RequireToken || r.call.Account != s.Account || r.caller != nil && !r.caller.token.Empty()
}

// tokenFits refuses a RotationToken that is not that of the pending version.
func (s *Secret) tokenFits(id, token string) error {
	if token == "" {
		return nil
	}
	v := s.version(id)
	known := v != nil && !v.RotationToken.Empty()
	if v == nil || known && !v.RotationToken.Equal(Text(token)) {
		return refuse(codeInvalidParameter, "The RotationToken is not valid for version %s of the secret.", id)
	}
	return nil
}

// put fills an empty version or makes a new one, and moves the labels to it. The
// first version of a secret is AWSCURRENT whatever was asked. A version that
// AWSCURRENT leaves loses AWSPENDING as well.
func (s *Secret) put(p Version, now time.Time) error {
	first := len(s.Versions) == 0
	v := s.version(p.ID)
	if v == nil {
		var err error
		if v, err = s.newVersion(p.ID, now); err != nil {
			return err
		}
	}
	v.Value, v.Created, v.foreign, v.key = p.Value, now, p.foreign, ""
	labels := p.Labels
	if first {
		labels = append([]string{current}, labels...)
	}
	for _, label := range labels {
		if from := s.holder(current); label == current && from != nil && from.ID != v.ID &&
			slices.Contains(from.Labels, pending) {
			s.unlabel(pending)
		}
		if err := s.move(label, v); err != nil {
			return err
		}
	}
	return nil
}

// readOneOfBatch needs the right to read the secret, as if it were asked for alone.
func (e *Emulator) readOneOfBatch(r *request, id string) (any, error) {
	if err := e.allowSecret(r, "GetSecretValue", id); err != nil {
		return nil, err
	}
	return e.getSecretValue(r, &getSecretValueInput{SecretId: id})
}

type batchGetSecretValueInput struct {
	SecretIdList []string `check:"len=1-20 each:len=1-2048"`
	Filters      []filter `check:"len=0-10"`
	MaxResults   int64    `check:"min=1 max=20"`
	NextToken    string   `check:"len=1-4096"`
}

type batchError struct{ SecretId, ErrorCode, Message string }

type batchGetSecretValueOutput struct {
	SecretValues []secretValue
	Errors       []batchError `json:",omitempty"`
	NextToken    string       `json:",omitempty"`
}

// batchGetSecretValue reads AWSCURRENT of several secrets. What fails for one of
// them is part of the answer, and the call succeeds.
func (e *Emulator) batchGetSecretValue(r *request, in *batchGetSecretValueInput) (any, error) {
	out := batchGetSecretValueOutput{SecretValues: []secretValue{}}
	ids := in.SecretIdList
	switch {
	case (len(ids) > 0) == (len(in.Filters) > 0):
		return nil, refuse(codeInvalidParameter, "You must include Filters or SecretIdList, but not both.")
	case len(ids) > 0 && in.MaxResults > 0:
		return nil, refuse(codeInvalidParameter, "To use MaxResults, you must also use Filters.")
	case len(in.Filters) > 0:
		for _, rec := range e.inOrder(r.call.home()) {
			if rec.secret.Deleted.IsZero() && rec.secret.matches(in.Filters) {
				ids = append(ids, rec.secret.Name)
			}
		}
	}
	ids, next, err := page(ids, in.NextToken, int(in.MaxResults), 20)
	if err != nil {
		return nil, err
	}
	out.NextToken = next
	for _, id := range ids {
		v, err := e.readOneOfBatch(r, id)
		if value, ok := v.(secretValue); ok && err == nil {
			out.SecretValues = append(out.SecretValues, value)
			continue
		}
		api, ok := err.(*apiError)
		if !ok {
			return nil, err
		}
		out.Errors = append(out.Errors, batchError{id, api.Code, api.Message})
	}
	return out, nil
}

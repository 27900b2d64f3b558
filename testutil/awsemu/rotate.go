package awsemu

import (
	"cmp"
	"slices"
	"time"
)

type externalItem struct {
	Key   string `check:"required len=1-256"`
	Value string `check:"required len=1-2048"`
}

type rotateSecretInput struct {
	SecretId                       string `check:"required len=1-2048 name"`
	ClientRequestToken             string `check:"len=32-64"`
	RotationLambdaARN              string `check:"len=0-2048"`
	RotationRules                  *RotationRules
	ExternalSecretRotationMetadata []externalItem
	ExternalSecretRotationRoleArn  string `check:"len=20-2048"`
	RotateImmediately              *bool
}

// rotateSecret stores the configuration and starts a rotation, which goes on
// after the answer: success here says nothing about the rotation's.
func (e *Emulator) rotateSecret(r *request, in *rotateSecretInput) (any, error) {
	if in.ClientRequestToken == "" {
		return nil, errNoToken(codeInvalidParameter)
	}
	rec, err := e.writable(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	id := in.ClientRequestToken
	function := cmp.Or(in.RotationLambdaARN, rec.secret.RotationLambdaARN)
	rules := rec.secret.Rules
	if in.RotationRules != nil {
		rules = *in.RotationRules
	}
	if err := e.mayRotate(r, &rec.secret, in, function, rules); err != nil {
		return nil, err
	}
	if answered, err := e.rotatingAlready(r, rec, id); answered || err != nil {
		return withVersion(&rec.secret, id), err
	}
	test := in.RotateImmediately != nil && !*in.RotateImmediately
	token := newUUID()
	err = e.change(rec, r.now, func(s *Secret) error {
		s.RotationEnabled, s.RotationLambdaARN, s.Rules = new(true), function, rules
		s.NextRotation = rules.next(r.now)
		v, err := s.newVersion(id, r.now)
		if err != nil {
			return err
		}
		v.RotationToken = Text(token)
		if cur := s.holder(current); test && !e.EmptyTest && cur != nil {
			v.Value, v.key = cur.Value, cur.key
		}
		return s.move(pending, v)
	})
	if err != nil {
		return nil, err
	}
	e.start(r, rec, id, test)
	return withVersion(&rec.secret, id), nil
}

func withVersion(s *Secret, id string) identityOutput {
	out := identity(s)
	out.VersionId = id
	return out
}

// mayRotate holds the request to what rotation needs of the secret, its function
// and its rules.
func (e *Emulator) mayRotate(r *request, s *Secret, in *rotateSecretInput, function string, rules RotationRules) error {
	switch {
	case s.Type != "" || in.ExternalSecretRotationRoleArn != "" || len(in.ExternalSecretRotationMetadata) > 0:
		return refuse(codeInvalidRequest, "Managed external secrets are rotated by their partner; this emulator does "+
			"not.")
	case function == "":
		return refuse(codeInvalidRequest, "No Lambda rotation function ARN is associated with this secret.")
	case e.Invoke == nil, !e.hasFunction(function):
		return errNotInvocable()
	case e.closed:
		return refuse(codeInternal, "The emulator is closed.")
	}
	// beside it the service shows the days that it makes of it
	if in.RotationRules == nil && rules.ScheduleExpression != "" {
		rules.AutomaticallyAfterDays = 0
	}
	if err := rules.valid(); err != nil {
		return err
	}
	return e.mayInvoke(r, s, function)
}

// hasFunction says whether there is such a function.
func (e *Emulator) hasFunction(arn string) bool {
	if e.HasFunction != nil {
		return e.HasFunction(arn)
	}
	return len(e.Functions) == 0 || slices.ContainsFunc(e.Functions, func(f Function) bool { return f.ARN == arn })
}

func errNotInvocable() error {
	return refuse(codeDenied, "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function "+
		"policy grants access to the principal secretsmanager.amazonaws.com.")
}

// rotatingAlready refuses a rotation while AWSPENDING sits alone on a version
// other than the current one, and tries that version's rotation again. The
// refused request's configuration is not stored. The same request again, as an
// SDK repeats it when the answer was lost, gets its first answer.
func (e *Emulator) rotatingAlready(r *request, rec *record, id string) (answered bool, err error) {
	s := &rec.secret
	busy := rec.run != nil && !rec.run.ended()
	if busy && rec.run.history.Version == id {
		return true, nil
	}
	v, cur := s.holder(pending), s.holder(current)
	incomplete := v != nil && (cur == nil || v.ID != cur.ID)
	if !busy && !incomplete {
		if cur != nil && cur.ID == id {
			return true, nil
		}
		if s.version(id) != nil {
			return false, refuse(codeInvalidParameter, "You can't use ClientRequestToken %s because that value is "+
				"already in use for a version of secret %s.", id, s.ARN)
		}
		return false, nil
	}
	if !busy {
		e.start(r, rec, v.ID, false)
	}
	return false, refuse(codeInvalidRequest, "A previous rotation isn't complete. That rotation will be reattempted.")
}

// cancelRotateSecret turns rotation off and lets a running one end before its
// next step. AWSPENDING stays where it is: the answer names its version.
func (e *Emulator) cancelRotateSecret(r *request, in *secretIdInput) (any, error) {
	rec, err := e.writable(r, in.SecretId)
	if err != nil {
		return nil, err
	}
	if rec.secret.RotationEnabled == nil {
		return nil, refuse(codeInvalidRequest, "You tried to cancel the rotation of a secret that has none.")
	}
	err = e.change(rec, r.now, func(s *Secret) error {
		s.RotationEnabled, s.NextRotation = new(false), time.Time{}
		return nil
	})
	e.stop(rec, cancelled)
	out := identity(&rec.secret)
	if v, cur := rec.secret.holder(pending), rec.secret.holder(current); v != nil && (cur == nil || v.ID != cur.ID) {
		out.VersionId = v.ID
	}
	return out, err
}

// abandon ends the rotation that is running when a value comes from elsewhere,
// as part of the write of that value: AWSPENDING goes, and the value counts as a
// rotation for the schedule. version is what was written.
func (e *Emulator) abandon(rec *record, s *Secret, version string, now time.Time) {
	busy := rec.run != nil && !rec.run.ended() && !rec.run.test
	if busy && rec.run.history.Version == version {
		return
	}
	if busy {
		s.unlabel(pending)
		e.stop(rec, abandoned)
		e.record(rec, rotationAbandoned, rec.run.history.Version,
			"The secret value was updated while a rotation was in progress.", now)
	}
	if s.RotationEnabled != nil && *s.RotationEnabled {
		s.NextRotation = s.Rules.next(now)
	}
}

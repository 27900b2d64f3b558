package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what a secret prints, in every format.
const Redacted = "[redacted]"

// redacted is embedded in every type that hides something: whatever prints,
// encodes or logs the type gets Redacted. The embedding type keeps its value in
// a closure, because fmt calls no methods on unexported fields.
type redacted struct{}

// Format prints Redacted under every verb and flag.
func (redacted) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

// String serves callers that do not go through fmt.
func (redacted) String() string { return Redacted }

// LogValue serves log/slog.
func (redacted) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText serves encoding/xml and whatever else writes text.
func (redacted) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON serves encoding/json.
func (redacted) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }

// MarshalBinary serves encoding/gob.
func (redacted) MarshalBinary() ([]byte, error) { return []byte(Redacted), nil }

var errDecode = errors.New("secret: what was encoded is not the value; use ParseDocument or NewPassword")

// UnmarshalText refuses: what was encoded is not the value.
func (*redacted) UnmarshalText([]byte) error { return errDecode }

// UnmarshalJSON refuses: what was encoded is not the value.
func (*redacted) UnmarshalJSON([]byte) error { return errDecode }

// UnmarshalBinary refuses: what was encoded is not the value.
func (*redacted) UnmarshalBinary([]byte) error { return errDecode }

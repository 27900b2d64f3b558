package awsemu

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Value is what a version holds: text, bytes, or nothing yet, which is the zero
// Value and the state in which a pending version begins. No verb, encoder or
// logger prints it; it lives in a closure, out of reach of reflection.
type Value struct {
	reveal func() (data []byte, binary bool)
}

// Text is a SecretString. An empty string is no value.
func Text(s string) Value { return hide([]byte(s), false) }

// Binary is a SecretBinary. No bytes are no value.
func Binary(b []byte) Value { return hide(bytes.Clone(b), true) }

func hide(b []byte, binary bool) Value {
	if len(b) == 0 {
		return Value{}
	}
	return Value{func() ([]byte, bool) { return b, binary }}
}

// Reveal gives a copy of the clear value, for tests that must look at it.
func (v Value) Reveal() []byte {
	if v.reveal == nil {
		return nil
	}
	b, _ := v.reveal()
	return bytes.Clone(b)
}

// Empty says whether there is no value.
func (v Value) Empty() bool { return v.reveal == nil }

// Equal compares the data and whether it is text or binary.
func (v Value) Equal(w Value) bool {
	return v.binary() == w.binary() && bytes.Equal(v.Reveal(), w.Reveal())
}

func (v Value) binary() bool {
	if v.reveal == nil {
		return false
	}
	_, binary := v.reveal()
	return binary
}

// String is "[empty]" or "[redacted]": whether there is a value is no secret.
func (v Value) String() string {
	if v.Empty() {
		return "[empty]"
	}
	return "[redacted]"
}

// Format prints String under every verb and flag.
func (v Value) Format(f fmt.State, _ rune) { io.WriteString(f, v.String()) }

// LogValue serves log/slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalJSON serves encoding/json.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

// MarshalText serves whatever else writes text.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Package secret holds the values of a rotation that must not be shown: passwords,
// the JSON documents that carry them, the policy by which they are made, and the
// scrubber that keeps them out of errors.
package secret

import "crypto/subtle"

// Password is a secret string that no verb, encoder or logger prints. The value
// lives in a closure, out of reach of reflection, so that it stays hidden also
// where fmt cannot call methods: in unexported fields, nested structs and panics.
// The zero Password is empty. Passwords are compared with Equal.
type Password struct {
	redacted
	reveal func() string
}

// NewPassword hides s.
func NewPassword(s string) Password {
	return Password{reveal: func() string { return s }}
}

// Reveal gives the clear value. It belongs in the last step before a wire:
// engines, the store and this package. A test holds the project to that.
func (p Password) Reveal() string {
	if p.reveal == nil {
		return ""
	}
	return p.reveal()
}

// Empty says whether there is no password at all.
func (p Password) Empty() bool { return p.Reveal() == "" }

// Equal compares in constant time for equal lengths.
func (p Password) Equal(q Password) bool {
	return subtle.ConstantTimeCompare([]byte(p.Reveal()), []byte(q.Reveal())) == 1
}

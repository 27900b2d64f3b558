package postgres

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

const (
	// scramIterations and scramSaltSize are PostgreSQL's own defaults.
	scramIterations = 4096
	maxIterations   = 1_000_000 // seconds of a small function's time
	scramSaltSize   = 16
)

// scramVerifier gives what PostgreSQL stores for a password: enough to check a
// login, not enough to make one. It goes into ALTER ROLE in place of the password,
// which therefore never reaches the server's log, pg_stat_statements or an
// auditing extension. Every call draws a new salt.
func scramVerifier(p secret.Password, iterations int) (string, error) {
	salt := make([]byte, scramSaltSize)
	rand.Read(salt) // never fails: https://pkg.go.dev/crypto/rand#Read
	return scramVerifierWith(p, salt, iterations)
}

// scramSample has the form of a verifier and is none of any password. A rehearsal sends
// it: the server takes either as it comes, and a real one takes a small function seconds.
func scramSample(iterations int) string {
	random := make([]byte, scramSaltSize+2*sha256.Size)
	rand.Read(random)
	return formatVerifier(iterations, random[:scramSaltSize], random[scramSaltSize:][:sha256.Size],
		random[scramSaltSize+sha256.Size:])
}

// scramVerifierWith follows RFC 5802, section 3, in PostgreSQL's form:
// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
// https://www.postgresql.org/docs/current/catalog-pg-authid.html
func scramVerifierWith(p secret.Password, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, saslPrep(p.Reveal()), salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("scram: %w", err)
	}
	stored := sha256.Sum256(hmacSHA256(salted, "Client Key"))
	server := hmacSHA256(salted, "Server Key")
	return formatVerifier(iterations, salt, stored[:], server), nil
}

func formatVerifier(iterations int, salt, stored, server []byte) string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored), b64(server))
}

func hmacSHA256(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// md5Hash is the older stored form. It is no better than the password to anyone who
// reads it, and is written only where Engine.AllowMD5 asks for it.
func md5Hash(user string, p secret.Password) string {
	sum := md5.Sum([]byte(p.Reveal() + user))
	return "md5" + hex.EncodeToString(sum[:])
}

// saslPrep normalises a password as PostgreSQL and libpq do, because a verifier
// made from other bytes would refuse the right password. Their rule departs from
// RFC 4013 (and so from the profile of the library): ASCII is left alone, the
// zero width space becomes a space, prohibited characters are looked for before
// normalisation, and a password that SASLprep refuses is used as it is.
// Source of the rule: src/common/saslprep.c.
func saslPrep(s string) string {
	if isASCII(s) {
		return s
	}
	p := stringprep.SASLprep
	p.Mappings = append([]stringprep.Mapping{{0x200B: []rune{' '}}}, p.Mappings...)
	p.Normalize = false
	mapped, err := p.Prepare(s)
	if err != nil || mapped == "" {
		return s
	}
	return norm.NFKC.String(mapped)
}

// survivesPRECIS says whether the driver, which normalises by another profile (PRECIS),
// leaves a prepared password as it is. It differs in a few that SASLprep refuses.
func survivesPRECIS(p secret.Password) bool {
	prepared := saslPrep(p.Reveal())
	kept, err := precis.OpaqueString.String(prepared)
	return err != nil || kept == prepared
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7f }) < 0
}

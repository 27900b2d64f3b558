package mysql

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"filippo.io/edwards25519"

	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// nativeHash gives what mysql_native_password stores: '*' and the SHA-1 of the SHA-1.
// https://mariadb.com/kb/en/password/
func nativeHash(p secret.Password) string {
	once := sha1.Sum([]byte(p.Reveal()))
	twice := sha1.Sum(once[:])
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

// ed25519Hash gives what MariaDB's ed25519 stores: the public key whose private key
// is the SHA-512 of the password. RFC 8032 hashes a seed of 32 bytes instead, and so
// crypto/ed25519 cannot make it.
// https://mariadb.com/kb/en/authentication-plugin-ed25519/
func ed25519Hash(p secret.Password) string {
	h := sha512.Sum512([]byte(p.Reveal()))
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		panic("mysql: 32 bytes are not 32 bytes: " + err.Error())
	}
	key := new(edwards25519.Point).ScalarBaseMult(scalar).Bytes()
	return base64.RawStdEncoding.EncodeToString(key)
}

// verifier reads what MySQL stores for an account, in hexadecimal: its salt is made of any bytes.
func verifier(column string) string {
	text, err := hex.DecodeString(column)
	if err != nil {
		return ""
	}
	return string(text)
}

// methods reads how MariaDB lets an account in: the plugins, and what it stores for each. Of
// several, one stands where it would if it were alone, and in the list an empty one for it.
func methods(column string) (plugins, stored []string) {
	type method struct {
		Plugin string `json:"plugin"`
		Stored string `json:"authentication_string"`
	}
	var account struct {
		method
		Or []method `json:"auth_or"`
	}
	if json.Unmarshal([]byte(column), &account) != nil {
		return []string{""}, []string{""}
	}
	if account.Or == nil {
		account.Or = []method{{}}
	}
	for _, m := range account.Or {
		if m == (method{}) {
			m = account.method
		}
		plugins, stored = append(plugins, m.Plugin), append(stored, m.Stored)
	}
	return plugins, stored
}

// matches says whether a server that stores this takes p. What is in a form that is
// not known here does not match.
func matches(stored string, p secret.Password) bool {
	same := func(hash string) bool { return subtle.ConstantTimeCompare([]byte(stored), []byte(hash)) == 1 }
	switch {
	case strings.HasPrefix(stored, "$A$"): // caching_sha2_password: thousands of rounds, a salt of 20 bytes
		rounds, err := strconv.ParseInt(stored[min(3, len(stored)):min(6, len(stored))], 16, 32)
		if err != nil || len(stored) < 7+20 || rounds < 1 {
			return false
		}
		salt := stored[7:27]
		return same(stored[:27] + shaCrypt(p, salt, int(rounds)*1000))
	case strings.HasPrefix(stored, "$5$"): // sha256_password
		if len(stored) < 3+20+1 {
			return false
		}
		return same(stored[:24] + shaCrypt(p, stored[3:23], 5000))
	case strings.HasPrefix(stored, "*"): // MariaDB keeps a hash as it was given one, in small letters too
		stored = strings.ToUpper(stored)
		return same(nativeHash(p))
	}
	return same(ed25519Hash(p))
}

// shaCrypt is SHA-crypt with SHA-256, as MySQL uses it: salts have 20 bytes.
// https://www.akkadia.org/drepper/SHA-crypt.txt
func shaCrypt(p secret.Password, salt string, rounds int) string {
	key := []byte(p.Reveal())
	sum := func(parts ...[]byte) []byte {
		h := sha256.Sum256(bytes.Join(parts, nil))
		return h[:]
	}
	stretch := func(b []byte, n int) []byte { return bytes.Repeat(b, n/len(b)+1)[:n] }

	b := sum(key, []byte(salt), key)
	parts := [][]byte{key, []byte(salt), stretch(b, len(key))}
	for n := len(key); n > 0; n >>= 1 {
		if n&1 == 1 {
			parts = append(parts, b)
		} else {
			parts = append(parts, key)
		}
	}
	a := sum(parts...)
	keys := stretch(sum(bytes.Repeat(key, len(key))), len(key))
	salts := stretch(sum(bytes.Repeat([]byte(salt), 16+int(a[0]))), len(salt))
	var text []byte // of a round, always in the same array: there are thousands of rounds
	for i := range rounds {
		first, last := a, keys
		if i&1 == 1 {
			first, last = keys, a
		}
		text = append(text[:0], first...)
		if i%3 != 0 {
			text = append(text, salts...)
		}
		if i%7 != 0 {
			text = append(text, keys...)
		}
		h := sha256.Sum256(append(text, last...))
		copy(a, h[:])
	}
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out []byte
	put := func(x, y, z byte, n int) {
		for w := uint(x)<<16 | uint(y)<<8 | uint(z); n > 0; n-- {
			out = append(out, alphabet[w&63])
			w >>= 6
		}
	}
	for x, y, z := 0, 10, 20; ; x, y, z = z+1, x+1, y+1 {
		put(a[x], a[y], a[z], 4)
		if x == 9 {
			break
		}
	}
	put(0, a[31], a[30], 3)
	return string(out)
}

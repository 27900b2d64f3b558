package mysql

import (
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
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

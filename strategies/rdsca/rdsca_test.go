package rdsca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"
)

// collected is the day on which the certificates were collected. Tests compare
// with it and not with today, so that none begins to fail by the calendar.
var collected = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func TestPoolTrustsEveryEmbeddedAuthority(t *testing.T) {
	t.Parallel()
	pool := Pool()
	for _, c := range append(parse(t, bundle), parse(t, public)...) {
		opts := x509.VerifyOptions{Roots: pool, CurrentTime: collected,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		if _, err := c.Verify(opts); err != nil {
			t.Errorf("%s: %v", c.Subject.CommonName, err)
		}
	}
}

// The file on disk and the pool may differ if one of them skips a block.
func TestPoolHoldsNothingElse(t *testing.T) {
	t.Parallel()
	want, n := x509.NewCertPool(), 0
	for _, c := range append(parse(t, bundle), parse(t, public)...) {
		want.AddCert(c)
		n++
	}
	if n != 114+5 {
		t.Errorf("%d authorities, want 114 of RDS and 5 public", n)
	}
	if !Pool().Equal(want) {
		t.Error("Pool is not what the files hold")
	}
}

func TestPoolIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	ca, _ := newCA(t, "ours")
	mine := Pool()
	mine.AddCert(ca)
	if Pool().Equal(mine) {
		t.Error("an authority added to one pool shows in the next")
	}
}

// The false authority bears the name of a true one: names prove nothing.
func TestPoolRefusesAnotherAuthority(t *testing.T) {
	t.Parallel()
	const host = "db.c1.us-east-1.rds.amazonaws.com"
	ca, key := newCA(t, "Amazon RDS us-east-1 Root CA ECC384 G1")
	leaf := newLeaf(t, host, ca, key)

	own := x509.NewCertPool()
	own.AddCert(ca)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: own, DNSName: host, CurrentTime: collected}); err != nil {
		t.Fatalf("its own authority does not verify it, so this test proves nothing: %v", err)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: Pool(), DNSName: host, CurrentTime: collected})
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Errorf("error %v, want an x509.UnknownAuthorityError", err)
	}
}

func BenchmarkPoolFirst(b *testing.B) {
	for b.Loop() {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(bundle)
		pool.AppendCertsFromPEM(public)
	}
}

func BenchmarkPoolLater(b *testing.B) {
	for b.Loop() {
		Pool()
	}
}

func newCA(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             collected.AddDate(-1, 0, 0),
		NotAfter:              collected.AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	key := newKey(t)
	return sign(t, tmpl, tmpl, key, key), key
}

func newLeaf(t *testing.T, host string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return sign(t, tmpl, ca, newKey(t), caKey)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, tmpl, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

package rdsca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
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
		opts := x509.VerifyOptions{Roots: pool, CurrentTime: collected, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		if _, err := c.Verify(opts); err != nil {
			t.Errorf("%s: %v", c.Subject.CommonName, err)
		}
	}
}

// The file on disk and the pool may differ if one of them skips a block.
func TestPoolHoldsNothingElse(t *testing.T) {
	t.Parallel()
	want, n, err := Parse(bytes.Join([][]byte{bundle, public}, []byte("\n")))
	if err != nil {
		t.Fatal(err)
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

	own, _, err := Parse(encode(ca))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: own, DNSName: host, CurrentTime: collected}); err != nil {
		t.Fatalf("its own authority does not verify it, so this test proves nothing: %v", err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: Pool(), DNSName: host, CurrentTime: collected})
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Errorf("error %v, want an x509.UnknownAuthorityError", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	ca, key := newCA(t, "ours")
	other, _ := newCA(t, "another")
	good := string(encode(ca))
	leaf := string(encode(newLeaf(t, "db.example.com", ca, key)))
	broken := strings.Replace(good, "M", "!", 1)
	truncated := good[:len(good)/2] + "\n"
	privateKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("hunter2-hunter2")}))
	notDER := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("hunter2-hunter2")}))

	for _, tc := range []struct {
		name, text string
		n          int
		err        string // "" means none
	}{
		{"one", good, 1, ""},
		{"two", good + string(encode(other)), 2, ""},
		{"comments and empty lines", "# of " + privateKey[:5] + "\n\n" + good + "\n# end", 1, ""},
		{"lines ended as in Windows", strings.ReplaceAll("# ours\n"+good, "\n", "\r\n"), 1, ""},
		{"no newline at the end", strings.TrimRight(good, "\n"), 1, ""},
		{"empty", "", 0, "none in the text"},
		{"comments alone", "# nothing\n", 0, "none in the text"},
		{"garbage alone", "<html>hunter2</html>", 0, "line 1: neither"},
		{"garbage before", "hunter2\n" + good, 0, "line 1: neither"},
		{"garbage between", good + "hunter2\n" + good, 0, "neither"},
		{"garbage after", good + "hunter2", 0, "neither"},
		{"garbage behind the end", strings.TrimRight(good, "\n") + "hunter2", 0, "neither"},
		{"private key", good + privateKey, 0, "neither"},
		{"broken before a good one", broken + good, 0, "line 1: certificate is not PEM"},
		{"truncated before a good one", truncated + good, 0, "line 1: certificate without an end"},
		{"truncated after a good one", good + truncated, 0, "without an end"},
		{"not a certificate inside", "\n\n" + notDER, 0, "line 3: certificate:"},
		{"leaf", good + leaf, 0, "not of an authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			pool, n, err := Parse([]byte(tc.text))
			if tc.err == "" {
				if err != nil || n != tc.n {
					t.Fatalf("%d certificates, error %v; want %d", n, err, tc.n)
				}
				if _, err := ca.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: collected}); err != nil {
					t.Errorf("the pool does not trust it: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %v, want one with %q", err, tc.err)
			}
			if pool != nil || n != 0 {
				t.Errorf("a pool of %d beside the error", n)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error quotes the text")
			}
		})
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

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, _, err := Parse(bundle); err != nil {
			b.Fatal(err)
		}
	}
}

// newCA makes an authority that is valid on the day collected.
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

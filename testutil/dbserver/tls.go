package dbserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"time"
)

// TLS describes the certificate of a server, which an authority of that server alone has signed. A client that does not
// know the authority is one with any other pool of roots.
type TLS struct {
	// Names are the DNS names and addresses in the certificate; nil is db.quarterturn.test, localhost, 127.0.0.1, ::1.
	// The first is Identity.ServerName.
	Names []string
	// Expired is a certificate that was good until an hour ago.
	Expired bool
}

// Identity is what a client verifies a server by; it is empty without TLS.
type Identity struct {
	// ServerName is the name in the certificate to verify.
	ServerName string
	// CAFile and CAs are the authority that signed the certificate, as a file and as a pool.
	CAFile string
	CAs    *x509.CertPool

	tls        TLS
	issuer     *issuer
	unverified bool // its client takes any certificate
}

// tlsConfig is a client's; nil without TLS.
func (id Identity) tlsConfig() *tls.Config {
	if id.CAs == nil {
		return nil
	}
	return &tls.Config{RootCAs: id.CAs, ServerName: id.ServerName, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: id.unverified}
}

// install writes ca.crt, server.crt and server.key into a folder of the server.
func (t TLS) install(dir string) (Identity, error) {
	if t.Names == nil {
		t.Names = []string{"db.quarterturn.test", "localhost", "127.0.0.1", "::1"}
	}
	by, err := newIssuer()
	if err != nil {
		return Identity{}, fmt.Errorf("certificate: %w", err)
	}
	id := Identity{ServerName: t.Names[0], CAFile: filepath.Join(dir, "ca.crt"), CAs: x509.NewCertPool(), tls: t,
		issuer: by}
	ca := block("CERTIFICATE", by.certificate.Raw)
	id.CAs.AppendCertsFromPEM(ca)
	return id, errors.Join(writeFile(id.CAFile, ca), by.issue(t, dir))
}

// renew writes another certificate for the same names, of the same authority or of one that no client knows.
func (id Identity) renew(dir string, trusted bool) (err error) {
	by := id.issuer
	if by == nil {
		return errors.New("certificate: the server has no TLS")
	}
	if !trusted {
		if by, err = newIssuer(); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	return by.issue(id.tls, dir)
}

// issuer is an authority that signs certificates.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newIssuer() (*issuer, error) {
	now := time.Now()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Quarterturn throwaway authority " + randomHex(4)},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &issuer{certificate, key}, err
}

// issue writes server.crt and server.key, and authority.crt, which MySQL wants to know its own certificate by.
func (i *issuer) issue(t TLS, dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, t.leaf(time.Now()), i.certificate, key.Public(), i.key)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return errors.Join(
		writeFile(filepath.Join(dir, "authority.crt"), block("CERTIFICATE", i.certificate.Raw)),
		writeFile(filepath.Join(dir, "server.crt"), block("CERTIFICATE", der)),
		writeFile(filepath.Join(dir, "server.key"), block("PRIVATE KEY", keyDER)))
}

func (t TLS) leaf(now time.Time) *x509.Certificate {
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: t.Names[0]},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if t.Expired {
		leaf.NotAfter = now.Add(-time.Hour)
	}
	for _, name := range t.Names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	return leaf
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

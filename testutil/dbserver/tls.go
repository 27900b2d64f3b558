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
}

// tlsConfig is a client's; nil without TLS.
func (id Identity) tlsConfig() *tls.Config {
	if id.CAs == nil {
		return nil
	}
	return &tls.Config{RootCAs: id.CAs, ServerName: id.ServerName, MinVersion: tls.VersionTLS12}
}

// install writes ca.crt, server.crt and server.key into a folder of the server.
func (t TLS) install(dir string) (Identity, error) {
	if t.Names == nil {
		t.Names = []string{"db.quarterturn.test", "localhost", "127.0.0.1", "::1"}
	}
	ca, cert, key, err := t.issue()
	if err != nil {
		return Identity{}, fmt.Errorf("certificate: %w", err)
	}
	id := Identity{ServerName: t.Names[0], CAFile: filepath.Join(dir, "ca.crt"), CAs: x509.NewCertPool()}
	id.CAs.AppendCertsFromPEM(ca)
	return id, errors.Join(
		writeFile(id.CAFile, ca),
		writeFile(filepath.Join(dir, "server.crt"), cert),
		writeFile(filepath.Join(dir, "server.key"), key),
	)
}

// issue makes an authority, and a certificate with its key, in PEM. The authority's own key is thrown away.
func (t TLS) issue() (ca, cert, key []byte, err error) {
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Quarterturn throwaway authority " + randomHex(4)},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	if err != nil {
		return nil, nil, nil, err
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	certDER, err := x509.CreateCertificate(rand.Reader, t.leaf(now), authority, serverKey.Public(), caKey)
	if err != nil {
		return nil, nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return nil, nil, nil, err
	}
	return block("CERTIFICATE", caDER), block("CERTIFICATE", certDER), block("PRIVATE KEY", keyDER), nil
}

func (t TLS) leaf(now time.Time) *x509.Certificate {
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: t.Names[0]},
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

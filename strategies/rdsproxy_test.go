package strategies

import (
	"errors"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// TestRDSProxyIsRecognised: in every partition, and nothing else is.
func TestRDSProxyIsRecognised(t *testing.T) {
	for host, proxy := range map[string]bool{
		"p.proxy-c1.us-east-1.rds.amazonaws.com":     true,
		"P.proxy-c1.us-gov-west-1.rds.amazonaws.com": true,
		"p.proxy-c1.rds.cn-north-1.amazonaws.com.cn": true,
		"db.c1.us-east-1.rds.amazonaws.com":          false,
		"db.c1.rds.cn-north-1.amazonaws.com.cn":      false,
		"db.proxy-1.example.com":                     false,
	} {
		err := checkNotRDSProxy(Login{Host: host})
		if got := errors.Is(err, rotator.KindMisconfigured); got != proxy {
			t.Errorf("%s: %v", host, err)
		}
	}
}

package awsemu

import (
	"cmp"
	"time"
)

// shared is the operations that have one quota between them: 50 a second in an
// account and Region. Those with a quota of their own are not counted.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
var shared = map[string]bool{
	"PutSecretValue":               true,
	"UpdateSecret":                 true,
	"UpdateSecretVersionStage":     true,
	"ReplicateSecretToRegions":     true,
	"RemoveRegionsFromReplication": true,
	"StopReplicationToReplica":     true,
}

// allowance is what is left of a quota: it fills up with time, to one second's worth.
type allowance struct {
	left float64
	at   time.Time
}

// overQuota takes a write from its account's allowance, and says whether there was
// none left.
func (e *Emulator) overQuota(r *request) bool {
	if e.WritesPerSecond <= 0 || r.service.name != secretsManagerName || !shared[r.call.Operation] {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	full := float64(e.WritesPerSecond)
	at := home{cmp.Or(r.call.Account, e.account()), r.call.Region}
	a, ok := e.quota[at]
	if !ok {
		a = allowance{full, r.now}
	}
	a.left = min(full, a.left+full*r.now.Sub(a.at).Seconds())
	a.at = r.now
	over := a.left < 1
	if !over {
		a.left--
	}
	if e.quota == nil {
		e.quota = map[home]allowance{}
	}
	e.quota[at] = a
	return over
}

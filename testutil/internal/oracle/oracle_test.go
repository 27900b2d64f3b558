package oracle

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator/iam"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

const root = "../../.."

const everythingToAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`

var notAction = regexp.MustCompile(`"NotAction"`)

var noResource = regexp.MustCompile(`,"(Not)?Resource":\["[^"]*"\]`)

// decided is our decision in the oracle's words.
func decided(d iam.Decision) string {
	switch {
	case d.Allowed:
		return "Allowed"
	case d.Explicit:
		return "ExplicitlyDenied"
	}
	return "ImplicitlyDenied"
}

// TestTheOracleAgrees: random requests under random policies, of a fixed seed and of a
// fresh one. Every disagreement is listed, with the page that decides it; any other fails.
func TestTheOracleAgrees(t *testing.T) {
	tier.Long(t)
	t.Parallel()
	simulator, err := Simulator(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []uint64{1, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			g := generator{rand.New(rand.NewPCG(seed, 0))}
			tuples := make([]tuple, 4000)
			questions := make([]Question, len(tuples))
			for i := range tuples {
				tuples[i] = g.tuple()
				questions[i] = tuples[i].question
			}
			answers, err := simulator.Ask(t.Context(), questions)
			if err != nil {
				t.Fatal(err)
			}
			counts, faults := map[string]int{}, 0
			for i, a := range answers {
				d := iam.Evaluate(tuples[i].request, tuples[i].layers)
				ours := decided(d)
				if a.Error == "" && len(a.Ignored) == 0 {
					counts[ours]++
				}
				if a.Error == "" && a.Decision == ours {
					continue
				}
				if name := listed(tuples[i], d, a); name != "" {
					counts["listed: "+name]++
					continue
				}
				if faults++; faults <= 3 {
					text, _ := json.Marshal(tuples[i].question)
					t.Errorf("ours %s (%s), the oracle's %s %s %v\n%s", ours, d.Reason(), a.Decision, a.Error,
						a.Ignored, text)
				}
			}
			t.Logf("%d tuples, %d unlisted disagreements: %v", len(tuples), faults, counts)
		})
	}
}

// differences are those that are known, each with the page that decides it. Where AWS
// documents nothing, ours is the stricter.
var differences = []struct {
	name string
	is   func(tuple, iam.Decision, Answer) bool
}{
	// IAM User Guide, "NotPrincipal": of an assumed role the account, the role and the session
	// must all be listed. The oracle is content with one of them.
	{"NotPrincipal spares who is listed by account, role and session", func(t tuple, d iam.Decision, _ Answer) bool {
		return d.Explicit && strings.Contains(string(t.question.ResourcePolicy), "NotPrincipal")
	}},
	// KMS Developer Guide, "kms:EncryptionContext:context-key": the key is one for Decrypt and
	// GenerateDataKey. The oracle's data do not have it for a key that is named with capitals.
	{"kms:EncryptionContext is a condition key", func(_ tuple, _ iam.Decision, a Answer) bool {
		return slices.Contains(a.Ignored, "kms:EncryptionContext:SecretARN")
	}},
	// IAM User Guide, "Policy evaluation logic": what a policy of a resource grants to a session by
	// its ARN is not limited by an implicit deny in a boundary or session policy. The oracle has
	// session policies limit it where the resource trusts nobody by itself.
	{"a session that is named itself needs no session policy", func(t tuple, d iam.Decision, a Answer) bool {
		return d.Allowed && a.Decision == "ImplicitlyDenied" && t.question.Session != nil &&
			strings.Contains(string(t.question.ResourcePolicy), ":assumed-role/")
	}},
	// No page says that "*" in a policy of a resource is more than to name the role or user, whose
	// boundary and session policy must allow. The oracle takes a boundary for settled by it.
	{"a boundary counts where everybody is named", func(t tuple, d iam.Decision, a Answer) bool {
		return d.Layer == iam.LayerBoundary && a.Decision == "Allowed" &&
			strings.Contains(string(t.question.ResourcePolicy), `"*"`)
	}},
	// No page says what a negation makes of a variable that has no value. Ours: a Deny holds, an
	// Allow does not. The oracle's: neither holds.
	{"a variable without a value", func(t tuple, d iam.Decision, a Answer) bool {
		return t.request.Context["aws:PrincipalTag/team"] == nil && !d.Allowed
	}},
}

// listed names the difference that a disagreement is of, or "".
func listed(t tuple, d iam.Decision, a Answer) string {
	for _, known := range differences {
		if known.is(t, d, a) {
			return known.name
		}
	}
	return ""
}

package projecttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promises are the claims of the README and the tests that hold us to them.
var promises = map[string][]string{
	"One sentence that names the cause":     {"TestEachFailureHasItsKindAndSentence", "TestErrorsHaveTheirKind", "TestNobodyAnswers"},
	"TLS that is verified, always":          {"TestEachFailureHasItsKindAndSentence", "TestLogin"},
	"No password in any server's log":       {"TestARealPasswordRotatesByTheRealBinary", "TestNoSecretInAnyError", "TestNoProposedSecretInAnyError"},
	"Nothing is sent to the wrong place":    {"TestScenarios"}, // identity.txt, superuser.txt
	"Duplicates are harmless":               {"TestScenarios", "TestDuplicatesAtTheSameTime"},
	"Clones that stay equal":                {"TestIssue38And56", "TestIssue175", "TestAPairMadeByAWSTemplateGoesOn"},
	"Few calls":                             {"TestBudgetOfCallsAndLogins", "TestARealPasswordRotatesByTheRealBinary"},
	"It checks before it turns":             {"TestLosingUpdateSecretVersionStageChangesNothing", "TestThePreflightFindsWhatIsMissing", "TestEachFailureHasItsKindAndSentence"},
	"--no-rotate-immediately":               {"TestDryRun"},
	"Secrets made for those work unchanged": {"TestSettingsHaveAWSNamesAndMeaning", "TestAPairMadeByAWSTemplateGoesOn", "TestLogin"},
	"or it is one that RDS manages":         {"TestASuperuserWhoseSecretRDSManages", "TestASuperuserWhoseSecretRDSManagesIsOutOfReach", "TestComplete"},
	"and RDS says so":                       {"TestServes", "TestASuperuserWhoseSecretRDSManages"},
	"in at most three logins, to arrive":    {"TestAReplicaIsBehind"},
	"`SUPERUSER_SECRET_ARN`":                {"TestScenarios", "TestSettingsHaveAWSNamesAndMeaning"},
	"`AWS_ENDPOINT_URL` works too":          {"TestTheEndpointIsOptionalAndHonoured"},
	"Try it with the AWS CLI":               {"TestTheAWSCLIRotates"},
	"Every other key is kept as it is":      {"FuzzParseDocument", "TestScenarios"},
	"what to do when a rotation is stuck":   {"TestEveryCutIsRecovered", "TestEveryStuckStateIsResolved", "TestAKilledRotationIsRecovered"},
	"never moved to a version that":         {"TestDecisions", "TestEveryStuckStateIsResolved"},
	"that is still what there is to do":     {"TestRecoverOnlyActsAsAsked"},
	"Neither needs a permission":            {"TestTheRolePolicySufficesForRecovery"},
	"passwords that stand unescaped":        {"TestURISafeNeedsNoEscaping"},
	"alternateUsername":                     {"TestPair", "TestScenarios"},
	"tlsServerName":                         {"TestLogin"},
	"is refused at start with the reason":   {"TestSettingsRefuseWhatCannotWork"},
	"setSecret does not begin with less":    {"TestScenarios"}, // set.txt, too little time

	// What it has that others have not.
	"| every permission proved before anything is changed |":                      {"TestEveryMissingPermissionIsNamed", "TestThePreflightFindsWhatIsMissing", "TestLosingUpdateSecretVersionStageChangesNothing"},
	"| a denial names the action, and prints the statement to add |":              {"TestEveryMissingPermissionIsNamed", "TestEveryExplicitDenyIsNamed"},
	"| verified TLS by default, and no way down |":                                {"TestEachFailureHasItsKindAndSentence"},
	"| PostgreSQL gets a verifier, not a password |":                              {"TestARealPasswordRotatesByTheRealBinary"},
	"| MySQL dual passwords |":                                                    {"TestPR152", "TestDualPasswordsLost"},
	"| alternating users, with all that the original may do, at every rotation |": {"TestIssue38And56", "TestCloneHasEverything"},
	"| objects of either user belong to both |":                                   {"TestIssue175"},
	"| MySQL accounts of every host |":                                            {"TestIssue101", "TestCutBetweenTheAccountsOfAName", "TestSelfChangeOfANameWithSeveralHosts"},
	"| says what to do about a stuck AWSPENDING, and does it |":                   {"TestEveryStuckStateIsResolved", "TestAKilledRotationIsRecovered"},
	"| RotationToken, and so rotation across accounts |":                          {"TestRotationTokenIsPassedOn"},
	"| each error has a kind, a cause and a remedy |":                             {"TestTheRunbookShowsWhatIsLogged", "TestTheRunbookIsComplete"},
	"| metrics |": {"TestLinesFollowTheSpecification"},
	"| an acceptance suite for engines of your own |": {"TestShelf", "TestSuiteCatchesWrongEngines", "TestSuiteCatchesWrongStrategies"},
	"| tested through the Lambda runtime |":           {"TestARealPasswordRotatesByTheRealBinary"},
}

// TestEveryPromiseHasItsTests finds each claim in the README and each test in the
// project.
func TestEveryPromiseHasItsTests(t *testing.T) {
	readme := read(t, "README.md")
	tests := testNames(t)
	for promise, by := range promises {
		if !strings.Contains(readme, promise) {
			t.Errorf("README.md does not promise %q any more", promise)
		}
		for _, name := range by {
			if !tests[name] {
				t.Errorf("%q: there is no %s", promise, name)
			}
		}
	}
}

// testNames gives every test, fuzz target and benchmark of the project.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

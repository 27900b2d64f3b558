package contract

import (
	"context"
	"errors"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/clients"
)

const motoList = "testdata/moto.txt"

// TestMoto tries every row that a moto server can be asked on one, and holds the outcome to the list of its known
// differences: one that is not listed fails, and so does one that is listed and gone, so that a new version is noticed.
// It also shows that the table can tell a server that differs from one that does not.
func TestMoto(t *testing.T) {
	url := clients.Moto(t, root)
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIACONTRACT", "secret", "")}
	account := &Account{Config: cfg, Settle: time.Millisecond}
	results, err := Run(t.Context(), Table(), Endpoint{Name: "moto", Config: cfg, Supply: account,
		Has:      NeedKey | NeedLambda,
		Patience: 2 * time.Second})
	if err = errors.Join(err, account.Close(context.WithoutCancel(t.Context()))); err != nil {
		t.Error(err)
	}
	if *rewrite {
		writeDifferences(t, results)
	}
	known, err := ReadDifferences(motoList)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range known.Unexpected(results) {
		t.Error(problem)
	}
}

// writeDifferences keeps the remarks at the head of the list.
func writeDifferences(t *testing.T, results []Result) {
	old, err := os.ReadFile(motoList)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, line := range strings.SplitAfter(string(old), "\n") {
		if strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	var lines []string
	for _, r := range results {
		if r.Difference != "" {
			lines = append(lines, r.Row.ID+" "+r.Difference+"\n")
		}
	}
	sort.Strings(lines)
	b.WriteString(strings.Join(lines, ""))
	if err := os.WriteFile(motoList, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

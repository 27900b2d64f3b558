// Package contract holds what Secrets Manager, KMS, STS, Lambda and RDS are known to answer to a rotation, as one
// table, and tries it on any endpoint through the real SDK clients.
//
// A row says what is done, what must come back and who saw it. Three endpoints are tried: the emulator (every row, in
// every test run), a moto server (its differences are listed, see testdata/moto.txt) and, by hand, AWS itself:
//
//	results, err := contract.Run(ctx, contract.Table(), endpoint)
//
// Most rows were written from the sources alone, before the emulator was looked at. A row is never changed so that the
// emulator passes: its source decides.
package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// State says how well a fact is known.
type State string

// The states, best first.
const (
	Recorded   State = "recorded"   // seen on AWS: a test that others ran there, or a text that people pasted
	Documented State = "documented" // said by AWS's documentation or service model
	Believed   State = "believed"   // neither; the contract counts it apart
)

// Needs says what a row needs beside Secrets Manager.
type Needs uint

// What a row can need.
const (
	NeedKey      Needs = 1 << iota // a customer key in KMS
	NeedFunction                   // a rotation function that Secrets Manager may invoke
	NeedRole                       // a role with policies of the row's own
	NeedAccount                    // credentials of a second account
	NeedManaged                    // a secret that RDS manages
	NeedLambda                     // calls to Lambda, IAM or RDS beside those, with nothing made
)

var needNames = []string{"key", "function", "role", "second account", "RDS-managed secret", "other services"}

func (n Needs) String() string {
	var names []string
	for i, name := range needNames {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Row is one fact.
type Row struct {
	ID     string // stable: documents name it
	Does   string // what is done, as a phrase
	Want   Want
	State  State
	Source string // who says so: a name or an address, never their text
	Needs  Needs

	// Do prepares what the row needs and makes the call that the row is about. It is run once on an endpoint.
	Do func(*T) (any, error)
	// Ask, if set, is the call that the row is about; Do prepares alone. Ask is repeated while the answer is not the
	// expected one and the endpoint's Patience lasts, because AWS shows some things minutes later.
	Ask func(*T) (any, error)
}

// Want is what must come back. Text, Fields and Labels may name what the row knows in braces, {arn} for instance.
type Want struct {
	// Code is the error's code, or several joined by " or "; "": success; AnyError: a refusal whose code no source
	// names.
	Code   string
	Status int    // the HTTP status of an error; 0: not compared
	Text   string // the error's text, whole; "": not compared, NoText: must be empty
	// Fields are members of the answer, by path ("Versions.0.VersionStages"). Lists of strings are sorted and joined by
	// "+"; "*" stands for any value, "-" for none.
	Fields map[string]string
	// Labels are the secret's labels afterwards, "first:AWSPREVIOUS second:AWSCURRENT+AWSPENDING".
	Labels string
}

const (
	// AnyError wants a refusal, whatever its code.
	AnyError = "any error"
	// NoText wants an error without text.
	NoText = "(no text)"
)

// String is the expectation in words, for the page of facts.
func (w Want) String() string {
	var parts []string
	switch {
	case w.Code == AnyError:
		parts = append(parts, "refused")
	case w.Code != "" && w.Status != 0:
		parts = append(parts, fmt.Sprintf("%s (%d)", w.Code, w.Status))
	case w.Code != "":
		parts = append(parts, w.Code)
	}
	switch w.Text {
	case "":
	case NoText:
		parts = append(parts, "without text")
	default:
		parts = append(parts, `"`+w.Text+`"`)
	}
	for _, path := range sortedKeys(w.Fields) {
		switch v := w.Fields[path]; v {
		case "-":
			parts = append(parts, "no "+path)
		case "*":
			parts = append(parts, path)
		default:
			parts = append(parts, path+" = "+v)
		}
	}
	if w.Labels != "" {
		parts = append(parts, "labels "+w.Labels)
	}
	if len(parts) == 0 {
		return "success"
	}
	return strings.Join(parts, "; ")
}

// Table is every row, in order of id.
func Table() []Row {
	rows := slices.Concat(valueRows(), labelRows(), manageRows(), rotationRows(), permissionRows(), accountRows(),
		keyRows(), stsRows(), rdsRows(), wireRows())
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	return rows
}

// Count says how many rows have a state.
func Count(rows []Row, s State) int {
	n := 0
	for _, r := range rows {
		if r.State == s {
			n++
		}
	}
	return n
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

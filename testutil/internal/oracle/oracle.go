// Package oracle asks programs that others wrote what they make of IAM policies: the
// simulator and the validator of Cloud Copilot (npm, AGPL) and parliament (PyPI). They
// are tools of tests, in folders of their own below .cache; nothing of them is imported,
// linked or shipped.
package oracle

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/internal/fetched"
)

//go:embed node/package.json node/package-lock.json node/oracle.mjs python/requirements.txt python/lint.py
var files embed.FS

// Question is a request and the policies in force, or one Policy to be judged by itself.
type Question struct {
	Principal string              `json:"principal,omitempty"`
	Action    string              `json:"action,omitempty"`
	Resource  string              `json:"resource,omitempty"`
	Account   string              `json:"account,omitempty"` // of the resource
	Context   map[string][]string `json:"context"`

	Identity       []json.RawMessage   `json:"identity"`
	Boundary       json.RawMessage     `json:"boundary,omitempty"`
	Session        json.RawMessage     `json:"session,omitempty"`
	SCPs           [][]json.RawMessage `json:"scps,omitempty"`
	RCPs           [][]json.RawMessage `json:"rcps,omitempty"`
	Endpoint       json.RawMessage     `json:"endpoint,omitempty"`
	ResourcePolicy json.RawMessage     `json:"resourcePolicy,omitempty"` // of the key, for kms: actions

	Policy json.RawMessage `json:"policy,omitempty"`
	Kind   string          `json:"kind,omitempty"` // of Policy: identity or resource
}

// Answer is what an oracle says.
type Answer struct {
	Decision string   // Allowed, ImplicitlyDenied or ExplicitlyDenied
	Error    string   // it would not decide
	Ignored  []string // context keys that it says this action does not have
	Faults   []string // of a Policy
}

// Tool is an oracle, installed.
type Tool struct{ command []string }

// Simulator is Cloud Copilot's, in a folder below .cache of the project in root. It is
// installed by npm, where it is missing.
func Simulator(ctx context.Context, root string) (Tool, error) {
	names := []string{"package.json", "package-lock.json", "oracle.mjs"}
	var contents [][]byte
	for _, name := range names {
		contents = append(contents, embedded("node/"+name))
	}
	dir, err := fetched.Folder(root, "oracle", contents...)
	if err != nil {
		return Tool{}, err
	}
	return Tool{[]string{"node", filepath.Join(dir, "oracle.mjs")}}, fetched.Once(dir, func() error {
		for i, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), contents[i], 0o644); err != nil {
				return err
			}
		}
		return run(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	})
}

// Parliament is the linter of that name. It is installed by pip, where it is missing.
func Parliament(ctx context.Context, root string) (Tool, error) {
	python, err := fetched.PythonIn(root, "parliament", embedded("python/requirements.txt"))
	if err != nil {
		return Tool{}, err
	}
	return Tool{[]string{python.Path("python"), "-c", string(embedded("python/lint.py"))}},
		python.Install(ctx, io.Discard)
}

// embedded is one of files.
func embedded(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // a name in this file is not one of the directive above
	}
	return b
}

func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// Ask puts questions, and gives an answer to each.
func (t Tool) Ask(ctx context.Context, questions []Question) ([]Answer, error) {
	var in, errOut bytes.Buffer
	encoder := json.NewEncoder(&in)
	for _, q := range questions {
		if err := encoder.Encode(q); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, t.command[0], t.command[1:]...)
	cmd.Stdin, cmd.Stderr = &in, &errOut
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("oracle: %w\n%s", err, errOut.String())
	}
	var answers []Answer
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var a Answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return nil, fmt.Errorf("oracle: %w: %s", err, lines.Text())
		}
		answers = append(answers, a)
	}
	if len(answers) != len(questions) {
		return nil, fmt.Errorf("oracle: %d answers to %d questions\n%s", len(answers), len(questions), errOut.String())
	}
	return answers, nil
}

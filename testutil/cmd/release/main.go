// Release checks that a version is ready to be released, packs it (make dist) and writes
// what people need to verify it: checksums and a statement of provenance.
//
//	make release VERSION=1.2.3                 # on a clean tree, at the tag v1.2.3
//	make release VERSION=1.2.3 ARGS=-check     # the checks alone
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
)

func main() {
	version := flag.String("version", "", "`X.Y.Z` to release")
	check := flag.Bool("check", false, "check, and make nothing")
	flag.Parse()
	if err := run(*version, *check); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(version string, checkOnly bool) error {
	commit, err := ready(".", version, rotator.Release)
	if err != nil || checkOnly {
		return err
	}
	dist := exec.Command("make", "--no-print-directory", "dist")
	dist.Stdout, dist.Stderr = os.Stdout, os.Stderr
	if err := dist.Run(); err != nil {
		return fmt.Errorf("make dist: %w", err)
	}
	return finish("dist", version, commit)
}

// ready says everything that is missing at once; source is the version that the source says.
func ready(root, version, source string) (commit string, err error) {
	if !regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`).MatchString(version) {
		return "", fmt.Errorf("VERSION is %q: want three numbers, as 1.2.3", version)
	}
	var missing []error
	miss := func(format string, args ...any) { missing = append(missing, fmt.Errorf(format, args...)) }
	if source != version {
		miss("rotator/release.go says %s: set it to %s", source, version)
	}
	template, err := samtest.Read(filepath.Join(root, "template.yaml"))
	if err != nil {
		return "", err
	}
	if is := samtest.Get(map[string]any(template), "Metadata", "AWS::ServerlessRepo::Application",
		"SemanticVersion"); is != version {
		miss("template.yaml: SemanticVersion is %v: set it to %s", is, version)
	}
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	if _, err := notes(string(changelog), version); err != nil {
		missing = append(missing, err)
	}
	if out, err := git(root, "status", "--porcelain"); err != nil || out != "" {
		miss("git: the tree is not clean (%v): commit or remove\n%s", err, out)
	}
	if commit, err = git(root, "rev-parse", "HEAD"); err != nil {
		miss("git: %w", err)
	}
	if tagged, err := git(root, "rev-list", "-n", "1", "v"+version); err != nil || tagged != commit {
		miss("git: the tag v%s is not on this commit: git tag -s v%s", version, version)
	}
	return commit, errors.Join(missing...)
}

// notes are what CHANGELOG.md says of a version, which comes first and has a date.
func notes(changelog, version string) (string, error) {
	sections := regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatchIndex(changelog, -1)
	for i, s := range sections {
		end := len(changelog)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		heading, text := changelog[s[2]:s[3]], strings.TrimSpace(changelog[s[1]:end])
		switch {
		case heading == "Unreleased" && text != "":
			return "", fmt.Errorf("CHANGELOG.md: what is under Unreleased belongs under ## %s - YYYY-MM-DD", version)
		case heading == "Unreleased":
		case regexp.MustCompile(`^`+regexp.QuoteMeta(version)+` - \d{4}-\d{2}-\d{2}$`).MatchString(heading) &&
			text != "":
			return text + "\n", nil
		default:
			return "", fmt.Errorf("CHANGELOG.md begins with %q: want ## %s - YYYY-MM-DD, and what changed", heading,
				version)
		}
	}
	return "", fmt.Errorf("CHANGELOG.md says nothing of %s", version)
}

func git(root string, args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

// finish adds the notes and the statement to what was packed. Checksums and statement are of
// everything else; the statement is signed with a key of the releaser (docs/releases.md).
func finish(dist, version, commit string) error {
	changelog, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	text, err := notes(string(changelog), version)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dist, "NOTES.md"), []byte(text), 0o644); err != nil {
		return err
	}
	files := map[string]string{}
	entries, err := os.ReadDir(dist)
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dist, e.Name()))
		if err != nil {
			return err
		}
		if e.Name() != "SHA256SUMS" {
			files[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(content))
		}
	}
	statement, err := provenance(files, version, commit, runtime.Version())
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	files["provenance.intoto.json"] = fmt.Sprintf("%x", sha256.Sum256(statement))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&sums, "%s  %s\n", files[name], name)
	}
	if err := os.WriteFile(filepath.Join(dist, "provenance.intoto.json"), statement, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dist, "SHA256SUMS"), sums.Bytes(), 0o644)
}

const repository = "https://github.com/quarterturn-dev/quarterturn"

// provenance is an in-toto statement with SLSA's predicate: which files, from which commit,
// built how. It has no time and no machine in it, so that a build of the same commit
// gets the same statement.
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
// https://slsa.dev/spec/v1.0/provenance
func provenance(files map[string]string, version, commit, toolchain string) ([]byte, error) {
	type digest map[string]string
	type resource struct {
		Name   string `json:"name,omitempty"`
		URI    string `json:"uri,omitempty"`
		Digest digest `json:"digest,omitempty"`
	}
	var subjects []resource
	for _, name := range slices.Sorted(maps.Keys(files)) {
		subjects = append(subjects, resource{Name: name, Digest: digest{"sha256": files[name]}})
	}
	text, err := json.MarshalIndent(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects,
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": map[string]any{
			"buildDefinition": map[string]any{
				"buildType": repository + "/blob/main/docs/releases.md#how-it-is-built",
				"externalParameters": map[string]any{"version": version, "command": "make release VERSION=" +
					version},
				"internalParameters": map[string]any{"go": toolchain},
				"resolvedDependencies": []resource{{URI: "git+" + repository + "@refs/tags/v" + version,
					Digest: digest{"gitCommit": commit}}},
			},
			"runDetails": map[string]any{"builder": map[string]any{"id": repository + "/blob/main/Makefile"}},
		},
	}, "", "  ")
	return append(text, '\n'), err
}

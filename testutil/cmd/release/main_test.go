package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/testutil/samtest"
)

const root = "../../.."

// project is one that is ready to be released as 1.2.3.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "template.yaml", "Metadata: {AWS::ServerlessRepo::Application: {SemanticVersion: 1.2.3}}\n")
	write(t, dir, "CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-12-01\n\n- It works.\n\n## 1.2.2 "+
		"- 2026-11-01\n\n- It worked.\n")
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "one"}, {"tag", "v1.2.3"}} {
		command(t, dir, args...)
	}
	return dir
}

func command(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReady: each thing that is not ready is named, and stops the release.
func TestReady(t *testing.T) {
	if commit, err := ready(project(t), "1.2.3", "1.2.3"); err != nil || len(commit) != 40 {
		t.Fatalf("%q, %v", commit, err)
	}
	for name, c := range map[string]struct {
		version, source, says string
		spoil                 func(dir string)
	}{
		"no version":      {"", "1.2.3", "VERSION", nil},
		"a v before it":   {"v1.2.3", "1.2.3", "VERSION", nil},
		"another release": {"1.2.4", "1.2.4", "SemanticVersion is 1.2.3", nil},
		"the source":      {"1.2.3", "1.2.3-dev", "rotator/release.go says 1.2.3-dev", nil},
		"unreleased": {"1.2.3", "1.2.3", "Unreleased", func(dir string) {
			write(t, dir, "CHANGELOG.md", "## Unreleased\n\n- More.\n\n## 1.2.3 - 2026-12-01\n\n- It works.\n")
		}},
		"no date": {"1.2.3", "1.2.3", "CHANGELOG.md begins", func(dir string) { write(t, dir, "CHANGELOG.md", "## 1.2.3\n\n- It works.\n") }},
		"nothing new": {"1.2.3", "1.2.3", "CHANGELOG.md begins", func(dir string) {
			write(t, dir, "CHANGELOG.md", "## 1.2.3 - 2026-12-01\n\n## 1.2.2 - 2026-11-01\n\n- x\n")
		}},
		"not clean":   {"1.2.3", "1.2.3", "not clean", func(dir string) { write(t, dir, "new", "x") }},
		"no tag":      {"1.2.3", "1.2.3", "tag v1.2.3", func(dir string) { command(t, dir, "tag", "-d", "v1.2.3") }},
		"another tag": {"1.2.3", "1.2.3", "tag v1.2.3", func(dir string) { command(t, dir, "commit", "-q", "--allow-empty", "-m", "two") }},
	} {
		dir := project(t)
		if c.spoil != nil {
			c.spoil(dir)
		}
		if _, err := ready(dir, c.version, c.source); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProvenance: every file is a subject, and the same commit gives the same statement.
func TestProvenance(t *testing.T) {
	files := map[string]string{"b.zip": strings.Repeat("b", 64), "a.zip": strings.Repeat("a", 64)}
	text, err := provenance(files, "1.2.3", strings.Repeat("c", 40), "go1.26")
	again, _ := provenance(files, "1.2.3", strings.Repeat("c", 40), "go1.26")
	var s struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct {
			Name   string
			Digest map[string]string
		}
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []struct{ Digest map[string]string }
			}
		}
	}
	if err != nil || json.Unmarshal(text, &s) != nil || string(text) != string(again) {
		t.Fatalf("%v: %s", err, text)
	}
	if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != "https://slsa.dev/provenance/v1" ||
		len(s.Subject) != 2 || s.Subject[0].Name != "a.zip" ||
		s.Subject[0].Digest["sha256"] != files["a.zip"] ||
		s.Predicate.BuildDefinition.ResolvedDependencies[0].Digest["gitCommit"] != strings.Repeat("c", 40) {
		t.Errorf("%s", text)
	}
}

// TestTheRepositoryTakesTheTemplate: what SAR says it takes, and the version of this source.
// https://docs.aws.amazon.com/serverlessrepo/latest/devguide/serverless-app-publishing-metadata-properties.html
func TestTheRepositoryTakesTheTemplate(t *testing.T) {
	template, err := samtest.Read(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	metadata, _ := samtest.Get(map[string]any(template), "Metadata",
		"AWS::ServerlessRepo::Application").(map[string]any)
	for name, pattern := range map[string]string{
		"Name": `[a-zA-Z0-9-]{1,140}`, "Author": `[a-z0-9](([a-z0-9]|-[a-z0-9])*)?`, "Description": `.{1,256}`, "SpdxLicenseId": `[A-Za-z0-9.-]+`,
		"SemanticVersion": `\d+\.\d+\.\d+`, "HomePageUrl": `https://.+`, "SourceCodeUrl": `https://.+`,
	} {
		value, _ := metadata[name].(string)
		if !regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(value) {
			t.Errorf("%s is %q, and SAR takes %s", name, value, pattern)
		}
	}
	labels, _ := metadata["Labels"].([]any)
	if len(labels) == 0 || len(labels) > 10 {
		t.Errorf("%d labels", len(labels))
	}
	for _, l := range labels {
		if !regexp.MustCompile(`^[a-zA-Z0-9+\-_:/@]{1,127}$`).MatchString(l.(string)) {
			t.Errorf("label %v", l)
		}
	}
	for _, name := range []string{"LicenseUrl", "ReadmeUrl"} {
		if _, err := os.Stat(filepath.Join(root, metadata[name].(string))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v := metadata["SemanticVersion"]; v != strings.TrimSuffix(rotator.Release, "-dev") {
		t.Errorf("template.yaml is %v, and rotator/release.go %s", v, rotator.Release)
	}
}

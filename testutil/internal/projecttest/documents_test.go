package projecttest

import (
	"encoding/xml"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/allsettings"
)

// documents are the pages that people read, by path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "sam/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name, _ := filepath.Rel(root, path)
			pages[filepath.ToSlash(name)] = read(t, name)
		}
	}
	if len(pages) < 7 {
		t.Fatalf("only %d pages", len(pages))
	}
	return pages
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// sorted gives what the first group of re finds, each once.
func sorted(text string, re *regexp.Regexp) []string {
	found := map[string]bool{}
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// section gives a page from a heading to the next of its rank.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("there is no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s: %q is missing", what, w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("%s: there is no %q", what, g)
		}
	}
	if len(want) < 3 {
		t.Errorf("%s: only %d are known to this test", what, len(want))
	}
}

// TestTheRunbookIsComplete: every kind of error, finding, status, verdict and alarm
// has its place in the runbook, nothing has that does not exist, and what a finding
// says is what the code says.
func TestTheRunbookIsComplete(t *testing.T) {
	page := read(t, "docs/runbook.md")
	firstColumn := regexp.MustCompile("(?m)^\\| `?([^|`]+?)`? \\|")
	rows := func(heading string) []string {
		var names []string
		for _, name := range sorted(section(t, page, heading), firstColumn) {
			if !regexp.MustCompile(`^(-+|status|id|alarm|recommended action|event|cause|remedy|elsewhere)$`).
				MatchString(name) {
				names = append(names, name)
			}
		}
		return names
	}
	same(t, "kinds of errors",
		sorted(section(t, page, "Kinds of errors"), regexp.MustCompile(`(?m)^### (.+)$`)),
		sorted(read(t, "rotator/errors.go"), regexp.MustCompile(`(?m)^\t\w+ +Kind = "(.+)"$`)))

	var ids []string
	for _, c := range append(rotator.AWSChecks(), strategies.DatabaseChecks()...) {
		ids = append(ids, c.ID)
	}
	statuses := sorted(read(t, "rotator/report.go"), regexp.MustCompile(`(?m)^\t\w+ +Status = "(.+)"$`))
	// Each id is said to be proved by something, too.
	findings, proves, _ := strings.Cut(section(t, page, "Findings of a preflight"), "\n### ")
	for _, id := range ids {
		if !regexp.MustCompile(`(?m)^\| [^|]*\b`+id+`\b[^|]* \|`).MatchString(proves) && id != "P0" {
			t.Errorf("what %s proves is not said", id)
		}
	}
	page = strings.Replace(page, proves, "", 1)
	same(t, "findings and statuses", rows("Findings of a preflight"),
		append(ids, statuses...))

	same(t, "verdicts", rows("What to do about a stuck rotation"),
		sorted(read(t, "rotator/decisions.go"), regexp.MustCompile(`(?m)^\t\w+ +Action = "(.+?)"`)))

	var template struct {
		Resources map[string]struct {
			Type string `yaml:"Type"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &template); err != nil {
		t.Fatal(err)
	}
	var alarms, events []string
	for name, r := range template.Resources {
		if r.Type == "AWS::CloudWatch::Alarm" || r.Type == "AWS::Events::Rule" {
			alarms = append(alarms, name)
		}
	}
	same(t, "alarms", rows("Alarms"), alarms)
	for _, name := range regexp.MustCompile(`eventName: \[(.+)\]`).FindStringSubmatch(read(t, "template.yaml"))[1:] {
		events = strings.Split(name, ", ")
	}
	same(t, "events", rows("What the service says"), append(events, "RotationStarted", "RotationSucceeded"))

	// What each finding says.
	var code strings.Builder
	continued := regexp.MustCompile(`" ?\+\n\t+"`)
	sources(t, func(path, text string) {
		if strings.HasPrefix(path, "rotator/") || strings.HasPrefix(path, "strategies/") ||
			strings.HasPrefix(path, "testutil/awsemu/") {
			code.WriteString(strings.ReplaceAll(continued.ReplaceAllString(text, ""), `\"`, `"`))
		}
	})
	for line := range strings.Lines(findings) {
		cells := strings.Split(line, " | ")
		if !regexp.MustCompile(`^\| [SKTP][0-9]+ `).MatchString(line) {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("not four cells: %s", line)
			continue
		}
		for _, status := range sorted(cells[1], regexp.MustCompile("`([a-z-]+)`")) {
			if !slices.Contains(statuses, status) {
				t.Errorf("there is no status %q: %s", status, line)
			}
		}
		for _, phrase := range sorted(cells[2], regexp.MustCompile("`([^`]+)`")) {
			if !strings.Contains(code.String(), phrase) {
				t.Errorf("nothing in the code says %q: %s", phrase, line)
			}
		}
	}
}

// TestTheEnvironmentIsDocumented: each variable that is read is in docs/settings.md and in
// the page for those who come from AWS's templates, with the name of each that those read.
func TestTheEnvironmentIsDocumented(t *testing.T) {
	ours := map[string]bool{}
	err := allsettings.Read(func(name string) (string, bool) {
		if !strings.HasPrefix(name, "AWS_ENDPOINT_URL_") { // the SDK's, which are only looked at
			ours[name] = true
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs := []string{ // of the source of all 22
		"SECRETS_MANAGER_ENDPOINT", "EXCLUDE_CHARACTERS", "PASSWORD_LENGTH", "EXCLUDE_NUMBERS", "EXCLUDE_PUNCTUATION",
		"EXCLUDE_UPPERCASE",
		"EXCLUDE_LOWERCASE", "REQUIRE_EACH_INCLUDED_TYPE", "USERNAME_CHARACTER_LIMIT", "SECRET_ARN", "USER_NAME",
		"MAX_WAITING_TIME_FOR_ACTIVE_IN_SECONDS", "WAITING_RETRY_INTERVAL_IN_SECONDS",
		"AUTHENTICATION_CREATION_ENABLED",
		"DICT_KEY_DIRECTORY", "DICT_KEY_USERNAME", "DICT_KEY_PASSWORD",
	}
	settings, page := read(t, "docs/settings.md"), section(t, read(t, "docs/migrating.md"), "Environment")
	named := regexp.MustCompile("`([A-Z][A-Z0-9]*_[A-Z0-9_]+|PREFLIGHT|ENGINES|STRATEGY)[=`]")
	for name := range ours {
		if !slices.Contains(sorted(settings, named), name) {
			t.Errorf("docs/settings.md does not name %s", name)
		}
	}
	want := append(slices.Collect(maps.Keys(ours)), append(theirs, "AWS_ENDPOINT_URL")...)
	slices.Sort(want)
	same(t, "docs/migrating.md", sorted(page, named), slices.Compact(want))

	// The functions that it sends people to.
	functions, err := filepath.Glob(root + "/handlers/*-*") // database is in place of any
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range functions {
		functions[i] = filepath.Base(f)
	}
	table := section(t, read(t, "docs/migrating.md"), "Which function")
	// AWS has no template for servers of one's own
	functions = slices.DeleteFunc(functions, func(name string) bool { return strings.HasPrefix(name, "valkey-") })
	same(t, "functions", sorted(table, regexp.MustCompile("(?m)^\\| [^|]+ \\| `([a-z-]+)` \\|")), functions)
	// Both templates of a row count, to 22.
	n := 0
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && !strings.Contains(line, "---") &&
			!strings.Contains(line, "AWS's template") {
			n += 1 + strings.Count(cells[1], ",")
		}
	}
	if n != 22 {
		t.Errorf("%d templates, and AWS has 22", n)
	}
}

// TestLinksResolve: to files, and to headings in them, as GitHub names those.
func TestLinksResolve(t *testing.T) {
	pages := documents(t)
	anchors := func(page string) map[string]bool {
		known := map[string]bool{}
		for _, heading := range sorted(page, regexp.MustCompile(`(?m)^#+ (.+)$`)) {
			heading = regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), "")
			known[strings.ReplaceAll(heading, " ", "-")] = true
		}
		return known
	}
	for name, page := range pages {
		for _, target := range sorted(page, regexp.MustCompile(`\]\(([^)]+)\)`)) {
			if strings.HasPrefix(target, "https://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			path := name
			if file != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: %s: no such file", name, target)
				continue
			}
			if anchor != "" && !anchors(pages[path])[anchor] {
				t.Errorf("%s: %s: no such heading", name, target)
			}
		}
	}
}

// TestPicturesAreWellMade: they are XML, they name themselves, they ask no server for
// anything, they suit a dark page, and the one of the four turns has the calls of
// ARCHITECTURE.md.
func TestPicturesAreWellMade(t *testing.T) {
	err := fs.WalkDir(os.DirFS(root), "sam/pictures", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text := read(t, path)
		dec := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}
		}
		for _, part := range []string{"viewBox=", `role="img"`, "<title ", "prefers-color-scheme: dark"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %s", path, part)
			}
		}
		if regexp.MustCompile(`href|url\(|<script|@import`).MatchString(text) {
			t.Errorf("%s asks for something outside", path)
		}
		if len(text) > 12<<10 {
			t.Errorf("%s has %d bytes", path, len(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dashboard, template := read(t, "sam/pictures/dashboard.svg"), read(t, "template.yaml")
	for _, m := range regexp.MustCompile(`"title": "([^"]+)"`).FindAllStringSubmatch(template, -1) {
		if !strings.Contains(dashboard, `<text class="title"`) || !strings.Contains(dashboard, ">"+m[1]+"</text>") {
			t.Errorf("dashboard.svg: no widget %s", m[1])
		}
	}
	turns, architecture := read(t, "sam/pictures/turns.svg"), read(t, "ARCHITECTURE.md")
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		_, group, _ := strings.Cut(turns, `<g id="`+step+`">`)
		group, _, _ = strings.Cut(group, "</g>")
		var calls []string
		for _, m := range regexp.MustCompile(`<text class="call"[^>]*>([^<]+)</text>`).FindAllStringSubmatch(group,
			-1) {
			calls = append(calls, m[1])
		}
		if row := "| " + step + " | " + strings.Join(calls, ", ") + " |"; len(calls) == 0 ||
			!strings.Contains(architecture, row) {
			t.Errorf("turns.svg: ARCHITECTURE.md has no row %s", row)
		}
	}
}

// TestTheREADMEIsRead: what it is, what it looks like and how to install it, in a few minutes.
func TestTheREADMEIsRead(t *testing.T) {
	if n := len(strings.Fields(read(t, "README.md"))); n > 1200 {
		t.Errorf("README.md has %d words; at most 1,200: the guides are in docs", n)
	}
}

// TestTheFleetPageIsComplete: every condition of a fleet report has its row, and no row is of a condition that does not
// exist.
func TestTheFleetPageIsComplete(t *testing.T) {
	id := regexp.MustCompile(`"(F[0-9]{2})"`)
	code := sorted(read(t, "rotator/fleet/conditions.go")+read(t, "rotator/fleet/scan.go"), id)
	page := sorted(section(t, read(t, "docs/fleet.md"), "Conditions"), regexp.MustCompile(`\b(F[0-9]{2})\b`))
	same(t, "conditions of docs/fleet.md", page, code)
}

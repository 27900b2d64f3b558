package samevents_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the pictures")

// drawn holds a picture to the answer that it shows: it is drawn from it.
func drawn(t *testing.T, picture, answer string) {
	t.Helper()
	want := draw(answer)
	file := filepath.Join(root, "sam", "pictures", picture)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, "sam", "pictures", picture) != want {
		t.Errorf("%s shows another answer than this, or in another way: make pictures draws it again\n%s", picture,
			answer)
	}
	_, title, _ := strings.Cut(want, `<title id="title">`)
	title, _, _ = strings.Cut(title, "</title>")
	for _, page := range []string{"README.md", "docs/preflight.md", "docs/runbook.md"} {
		if !strings.Contains(read(t, filepath.FromSlash(page)), "!["+html.UnescapeString(title)+"](") {
			t.Errorf("%s: the text of the picture is to be %q", page, html.UnescapeString(title))
		}
	}
}

// style is that of a terminal, light and dark, with the colors of quarterturn's own text.
const style = `
    text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328; white-space: pre; }
    .card { fill: #ffffff; stroke: #d0d7de; }
    .quiet { fill: #59636e; } .passed { fill: #1a7f37; } .denied { fill: #cf222e; font-weight: bold; } .fix { fill: #0550ae; } .mark { fill: #ffebe9; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .card { fill: #0d1117; stroke: #3d444d; }
      .quiet { fill: #9198a1; } .passed { fill: #3fb950; } .denied { fill: #ff7b72; } .fix { fill: #79c0ff; } .mark { fill: #3c1a1d; }
    }
  `

// draw is the text of a preflight as a picture.
func draw(answer string) string {
	const width, columns, left, step = 860, 100, 20, 20
	var body, marks bytes.Buffer
	y, denied, from, what, fix := 14, false, 0, "", false
	line := func(class string, x int, text string) {
		y += step
		fmt.Fprintf(&body, "  <text class=%q x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, text)
	}
	end := func() {
		if denied {
			fmt.Fprintf(&marks, "  <rect class=\"mark\" x=\"12\" y=\"%d\" width=\"836\" height=\"%d\" rx=\"4\"/>\n",
				from-15, y-from+21)
		}
		denied = false
	}
	lines := strings.Split(strings.TrimRight(answer, "\n"), "\n")
	head, verdict, _ := strings.Cut(lines[0], ": ")
	line("line", left, html.EscapeString(head)+":")
	line("line", left, `<tspan class="denied">`+html.EscapeString(verdict)+`</tspan>`)
	for _, l := range lines[1:] {
		f := strings.Fields(l)
		if !strings.HasPrefix(l, "    ") { // a finding
			end()
			class := map[string]string{"passed": "passed", "inferred": "passed", "denied": "denied",
				"failed": "denied"}[f[1]]
			if class == "denied" {
				denied, from, what = true, y+step, f[2]
			}
			fix = false
			line("line", left, fmt.Sprintf(`%s<tspan class="%s" x="56">%s</tspan><tspan x="146">%s</tspan>`,
				f[0], cmp.Or(class, "quiet"), f[1], html.EscapeString(strings.Join(f[2:], " "))))
			continue
		}
		for _, part := range wrap(f, columns) {
			fix = fix || strings.HasPrefix(part, "(add to")
			line(map[bool]string{false: "line quiet", true: "line fix"}[fix], 56, html.EscapeString(part))
		}
	}
	end()
	height := y + step
	title := fmt.Sprintf("A preflight: %s. %s is denied, and the report has the statement to add", verdict, what)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title">
  <title id="title">%[3]s</title>
  <style>%[4]s</style>
  <rect class="card" x="0.5" y="0.5" width="%[5]d" height="%[6]d" rx="8"/>
%[7]s%[8]s</svg>
`, width, height, html.EscapeString(title), style, width-1, height-1, marks.String(), body.String())
}

// wrap fills lines of at most columns with words; one that is longer breaks after a comma. A remedy begins a line.
func wrap(words []string, columns int) []string {
	var pieces []string
	for _, w := range words {
		if len(w) > columns {
			pieces = append(pieces, slices.Collect(strings.SplitAfterSeq(w, ","))...)
			continue
		}
		pieces = append(pieces, w)
	}
	var lines []string
	at := ""
	for _, p := range pieces {
		switch {
		case at == "":
			at = p
		case len(at)+1+len(p) > columns || p == "(add" || strings.HasSuffix(at, ",") && strings.HasPrefix(p, `"`):
			lines = append(lines, at)
			at = p
		default:
			at += " " + p
		}
	}
	return append(lines, at)
}

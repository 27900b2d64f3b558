// Package browser looks at an HTML page as a person would, in headless Chromium: how wide it
// is, whether its text can be read in light and dark, what it complains of.
package browser

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/disk"
)

// Name is that of the browser in package dbserver.
const Name = "chromium-headless-shell"

//go:embed look.js
var look string

// Browser is a browser that was found.
type Browser struct{ program dbserver.Program }

// Find finds the browser. The error says how to get it.
func Find(ctx context.Context) (Browser, error) {
	p, err := dbserver.FindProgram(ctx, Name)
	return Browser{p}, err
}

// View is how to look at a page.
type View struct {
	Width int // of the window, in CSS pixels
	Dark  bool
}

// Seen is what there was to see.
type Seen struct {
	LoadMS    int      // until the page had loaded, with its layout
	Elements  int      // of the page
	Wide      []string // what is beyond the right edge, at most ten
	Faint     []string // text with a contrast under 4.5, once for each pair of colors
	Landmarks []string // header, main, footer and h1, in order
	Console   []string // errors and warnings
	Dark      bool     // as the page was told
	Width     int
}

// Look opens a copy of a page that has a script of ours in it.
func (b Browser) Look(ctx context.Context, page []byte, v View) (Seen, error) {
	var seen Seen
	copied := bytes.Replace(page, []byte("</head>"), []byte("<script>"+look+"</script></head>"), 1)
	if bytes.Equal(copied, page) {
		return seen, fmt.Errorf("page: it has no head")
	}
	out, console, err := b.run(ctx, copied, v, "--dump-dom")
	if err != nil {
		return seen, err
	}
	m := regexp.MustCompile(`(?s)<pre id="found">(.*?)</pre>`).FindSubmatch(out)
	if m == nil {
		return seen, fmt.Errorf("page: the script left nothing: %.300s", console)
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(string(m[1]))), &seen); err != nil {
		return seen, fmt.Errorf("page: %w", err)
	}
	seen.Console = complaints(console)
	if seen.Dark != v.Dark || seen.Width != v.Width {
		return seen, fmt.Errorf("browser: asked for %+v, and the page saw dark %t, width %d", v, seen.Dark, seen.Width)
	}
	return seen, nil
}

// Picture makes a PNG of the page's upper part.
func (b Browser) Picture(ctx context.Context, page []byte, v View, height int, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	_, _, err = b.run(ctx, page, v, "--screenshot="+file, "--hide-scrollbars", "--force-device-scale-factor=1",
		fmt.Sprintf("--window-size=%d,%d", v.Width, height))
	if err != nil {
		return err
	}
	_, err = os.Stat(file)
	return err
}

func (b Browser) run(ctx context.Context, page []byte, v View, args ...string) (out, console []byte, err error) {
	dir, err := disk.Temp("", "page")
	if err != nil {
		return nil, nil, err
	}
	defer dir.Remove()
	file := filepath.Join(dir.Path, "page.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		return nil, nil, err
	}
	scheme := "1"
	if v.Dark {
		scheme = "0"
	}
	cmd := b.program.Command(ctx, append([]string{
		"--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir=" +
			filepath.Join(dir.Path, "profile"),
		"--blink-settings=preferredColorScheme=" + scheme, "--enable-logging=stderr",
		"--window-size=" + strconv.Itoa(v.Width) + ",900",
	}, append(args, (&url.URL{Scheme: "file", Path: file}).String())...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, nil, fmt.Errorf("browser: %w: %.500s", err, stderr.Bytes())
	}
	return stdout.Bytes(), stderr.Bytes(), nil
}

// complaints are what a page writes to the console, which nothing of ours does.
func complaints(log []byte) []string {
	var lines []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "CONSOLE") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

package browser_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/testutil/browser"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// TestLookSees: each fault of a page that is looked for is seen where it is.
func TestLookSees(t *testing.T) {
	tier.Long(t)
	b, err := browser.Find(t.Context())
	if err != nil {
		tier.Missing(t, err)
	}
	page := func(style, body string) []byte {
		return []byte(`<!DOCTYPE html><html lang="en"><head><meta name="viewport" content="width=device-width"><style>body { background: #fff; color: #000 } ` + style + `</style></head><body>` + body + `</body></html>`)
	}
	look := func(page []byte, dark bool) browser.Seen {
		t.Helper()
		seen, err := b.Look(t.Context(), page, browser.View{Width: 360, Dark: dark})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	fine := look(page("", "<header><h1>A</h1></header><main>text</main><footer>end</footer>"), false)
	if len(fine.Wide)+len(fine.Faint)+len(fine.Console) > 0 || !slices.Equal(fine.Landmarks, []string{"header", "h1",
		"main", "footer"}) {
		t.Errorf("a page without fault: %+v", fine)
	}
	if seen := look(page("p { width: 500px }", "<main><p>wide</p></main>"), false); len(seen.Wide) < 2 ||
		!strings.Contains(seen.Wide[1], "wide") {
		t.Errorf("500 px in 360: %+v", seen)
	}
	if seen := look(page("div { overflow-x: auto } p { width: 500px }", "<main><div><p>wide</p></div></main>"),
		false); len(seen.Wide) > 0 {
		t.Errorf("500 px in something that scrolls: %+v", seen)
	}
	faintInDark := page("@media (prefers-color-scheme: dark) { body { background: #000; color: #444 } }",
		"<main>faint</main>")
	if light, dark := look(faintInDark, false), look(faintInDark, true); len(light.Faint) > 0 || len(dark.Faint) != 1 {
		t.Errorf("faint in the dark alone: light %+v, dark %+v", light, dark)
	}
	if seen := look(page("", "<main>a</main><script>console.error('it broke')</script>"),
		false); len(seen.Console) != 1 {
		t.Errorf("an error in the console: %+v", seen)
	}
}

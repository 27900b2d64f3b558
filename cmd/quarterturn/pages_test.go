package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/browser"
	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

var update = flag.Bool("update", false, "take the picture of the fleet's page")

// TestPagesInABrowser: every page can be read in light and in dark, on a phone and on a screen, has landmarks, and has
// a browser complain of nothing. The fleet's page too when it is long; its time to load is printed.
// It takes more than twenty seconds: a browser starts for each view.
func TestPagesInABrowser(t *testing.T) {
	tier.Long(t)
	b, err := browser.Find(t.Context())
	if err != nil {
		tier.Missing(t, err)
	}
	look := func(name, page string) {
		for _, v := range []browser.View{{Width: 360}, {Width: 360, Dark: true}, {Width: 1280},
			{Width: 1280, Dark: true}} {
			seen, err := b.Look(t.Context(), []byte(page), v)
			if err != nil {
				t.Errorf("%s, %+v: %v", name, v, err)
				continue
			}
			if len(seen.Wide)+len(seen.Faint)+len(seen.Console) > 0 {
				t.Errorf("%s, %+v: too wide %q; faint %q; console %q", name, v, seen.Wide, seen.Faint, seen.Console)
			}
			if !slices.Equal(seen.Landmarks, []string{"header", "h1", "main", "footer"}) {
				t.Errorf("%s: landmarks %q", name, seen.Landmarks)
			}
			t.Logf("%s, %d KB, %d elements, %d px: loaded in %d ms", name, len(page)/1000, seen.Elements, v.Width,
				seen.LoadMS)
		}
	}
	s := newStage(t)
	for _, command := range []string{"preflight fine", "preflight wrong", "status stuck", "recover stuck finish"} {
		page, errOut, _ := s.run(append(strings.Fields(command), "--format", "html")...)
		if !strings.HasPrefix(page, "<!DOCTYPE html>") {
			t.Fatalf("%s: not a page: %s", command, errOut)
		}
		look(command, page)
	}
	s.emu.SeedFleet(time.Now())
	seeded := 0
	for _, size := range []int{0, 1000, 5000} {
		for ; seeded < size; seeded++ {
			s.emu.Seed(awsemu.Secret{Name: fmt.Sprintf("team-%d/a-service-with-a-long-name/database-%d", seeded%40,
				seeded), Versions: []awsemu.Version{{
				Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(`{"engine":"postgres","username":"app","password":"` + canary + `"}`)}}})
		}
		page, errOut, _ := s.run("fleet", "--format", "html")
		if !strings.HasPrefix(page, "<!DOCTYPE html>") || strings.Contains(page, canary) {
			t.Fatalf("fleet of %d: not a page, or one with a value in it: %s", size, errOut)
		}
		look(fmt.Sprintf("fleet of %d and more", size), page)
		if *update && size == 0 {
			if err := b.Picture(t.Context(), []byte(page), browser.View{Width: 900}, 760,
				"../../docs/pictures/fleet.png"); err != nil {
				t.Error(err)
			}
		}
	}
}

package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// document is as much of CycloneDX 1.6 as a Go binary needs. A tool of the trade
// (cyclonedx-gomod 1.9) was tried and dates its lists, so that no two are the same,
// and takes the processor of this machine for the binary's.
// https://cyclonedx.org/docs/1.6/json/
type document struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// bom lists the modules in a binary and the standard library, as the linker wrote
// them down: what is in there, rather than what go.mod would allow.
func bom(function string, binary []byte, info *debug.BuildInfo) ([]byte, error) {
	main := component{
		Type: "application", Name: function, Version: rotator.Release, // the linker knows none: see make bootstrap
		PURL:   purl(info.Main.Path, "v"+rotator.Release, "handlers/"+function),
		Hashes: []hash{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(binary))}},
	}
	for _, key := range []string{"GOOS", "GOARCH", "CGO_ENABLED", "-tags", "-ldflags"} {
		if value := setting(info, key); value != "" {
			main.Properties = append(main.Properties, property{"build:" + key, value})
		}
	}
	main.Ref = main.PURL
	d := document{
		Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{main},
		Components: []component{library("std", strings.TrimPrefix(info.GoVersion, "go"), "")},
	}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		d.Components = append(d.Components, library(module.Path, module.Version, module.Sum))
	}
	uses := dependency{Ref: main.Ref}
	for _, c := range d.Components {
		uses.DependsOn = append(uses.DependsOn, c.Ref)
	}
	d.Dependencies = []dependency{uses}
	text, err := json.MarshalIndent(d, "", "  ")
	return append(text, '\n'), err
}

// library is a module. Its sum is the one in go.sum, which is of no kind that
// CycloneDX has a name for.
func library(path, version, sum string) component {
	c := component{Type: "library", Name: path, Version: version, PURL: purl(path, version, "")}
	c.Ref = c.PURL
	if sum != "" {
		c.Properties = []property{{"go:sum", sum}}
	}
	return c
}

// purl names a Go module, and a package in it, for the databases of vulnerabilities.
// https://github.com/package-url/purl-spec/blob/main/types-doc/golang-definition.md
func purl(path, version, subpath string) string {
	s := "pkg:golang/" + path
	if version != "" {
		s += "@" + url.QueryEscape(version)
	}
	if subpath != "" {
		s += "#" + subpath
	}
	return s
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

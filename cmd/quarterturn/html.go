package main

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

//go:embed page.html
var pageHTML string

// tone is the class of a status: how it is colored, by what it asks of the reader.
func tone(status any) string {
	var word string
	switch s := status.(type) {
	case rotator.Status:
		word = string(s)
	case rotator.CredentialState:
		word = string(s)
	}
	switch hues[word] {
	case green:
		return "good"
	case red:
		return "bad"
	case yellow:
		return "open"
	}
	return "none"
}

// headline is the answer in one line, as its text begins.
func headline(r rotator.Response) string {
	line, _, _ := strings.Cut(r.Text(), "\n")
	_, rest, _ := strings.Cut(line, ": ")
	return rest
}

// html writes the answer as one page that needs nothing else: no script, no network, light
// and dark. Everything from the secret and from AWS is escaped by the template.
func (p page) html(out io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"tone": tone, "headline": headline,
		"join": strings.Join,
		"now":  func() string { return time.Now().UTC().Format("2006-01-02 15:04 UTC") },
	}).Parse(pageHTML)
	if err != nil {
		return err
	}
	switch read := p.toRead.(type) {
	case *rotator.Report:
		p.Report = read
	case *rotator.Diagnosis:
		p.Diagnosis = read
	}
	return t.Execute(out, p)
}

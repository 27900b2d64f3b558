package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// formats are the values of --format.
var formats = []string{"text", "json", "jsonl", "markdown", "html"}

// output is how an answer is shown.
type output struct {
	format string
	color  string
	width  int
}

func (o *output) flags(f *pflag.FlagSet) {
	f.StringVar(&o.format, "format", "text", "text, json, jsonl (one finding or version a line), markdown or html "+
		"(one page, to keep or to send)")
	f.StringVar(&o.color, "color", "auto", "color the text: auto (on a terminal, unless NO_COLOR is set), "+
		"always or never")
	f.IntVar(&o.width, "width", 0, "wrap the text at this many columns (default: the terminal's width; no wrapping "+
		"elsewhere)")
}

func (o *output) check() error {
	switch {
	case !slices.Contains(formats, o.format):
		return usage("--format is %q: choose %s", o.format, strings.Join(formats, ", "))
	case !slices.Contains([]string{"auto", "always", "never"}, o.color):
		return usage("--color is %q: choose auto, always or never", o.color)
	case o.width < 0:
		return usage("--width is %d: give a number of columns", o.width)
	}
	return nil
}

// page is an answer to show: one of the two, and the same for people to read.
type page struct {
	Report    *rotator.Report
	Diagnosis *rotator.Diagnosis
	toRead    rotator.Response
}

func (p page) answer() rotator.Response {
	if p.Report != nil {
		return p.Report
	}
	return p.Diagnosis
}

// print shows the answer.
func (o *output) print(out io.Writer, p page) error {
	var b bytes.Buffer
	switch o.format {
	case "json":
		data, err := json.MarshalIndent(p.answer(), "", "  ")
		if err != nil {
			return err
		}
		b.Write(append(data, '\n'))
	case "jsonl":
		lines := json.NewEncoder(&b)
		lines.SetEscapeHTML(false)
		if p.Report != nil {
			for _, f := range p.Report.Findings {
				if err := lines.Encode(f); err != nil {
					return err
				}
			}
		} else {
			for _, v := range p.Diagnosis.Versions {
				if err := lines.Encode(v); err != nil {
					return err
				}
			}
		}
	case "markdown":
		b.WriteString(p.toRead.Markdown())
	case "html":
		if err := p.html(&b); err != nil {
			return err
		}
	default:
		return o.text(out, p.toRead.Text())
	}
	if _, err := out.Write(b.Bytes()); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// text writes the text of an answer, wrapped and colored as out is to have it.
func (o *output) text(out io.Writer, text string) error {
	width, color := o.terminal(out)
	var b bytes.Buffer
	for line := range strings.Lines(text) {
		writeLine(&b, strings.TrimRight(line, "\n"), width, color)
	}
	if _, err := out.Write(b.Bytes()); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// terminal decides how wide the text is (0: as it comes) and whether it is colored.
func (o *output) terminal(out io.Writer) (width int, color bool) {
	width, color = o.width, o.color == "always"
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return width, color
	}
	if columns, _, err := term.GetSize(int(f.Fd())); width == 0 && err == nil {
		width = columns
	}
	if _, plain := os.LookupEnv("NO_COLOR"); o.color == "auto" && !plain {
		color = true
	}
	return width, color
}

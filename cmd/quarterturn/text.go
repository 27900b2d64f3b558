package main

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// minWidth is the narrowest text that can be read: commands and ARNs hold few spaces.
const minWidth = 40

// hues are the words of an answer that are colored, by what they ask of the reader.
// Whatever has no color here is fine as it is.
var hues = map[string]string{
	"passed": green, "inferred": green, "works": green,
	"denied": red, "failed": red, "rejected": red, "blocked": red, "right but blocked": red, "invalid": red,
	"unknown": yellow, "other target": yellow, "missing": yellow,
	"skipped": gray, "not tested": gray,
}

// The colors of the first eight, which every terminal has and every theme keeps legible.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	gray   = "90"
	bold   = "1"
)

func paint(text, hue string) string { return "\x1b[" + hue + "m" + text + "\x1b[0m" }

// writeLine writes one line of an answer's text: wrapped at width, unless that is 0, with
// the indentation of its first line. Commands are wrapped nowhere: they are to be copied.
func writeLine(b *bytes.Buffer, line string, width int, color bool) {
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if width == 0 || isCommand(line) || strings.HasPrefix(line, toCopy) {
		b.WriteString(colored(line, color) + "\n")
		return
	}
	width = max(width, minWidth)
	for i, part := range wrap(line[len(indent):], width-len(indent)) {
		if i == 0 {
			part = colored(indent+part, color)
		} else {
			part = indent + part
		}
		b.WriteString(part + "\n")
	}
}

// toCopy begins a line of what is to be run, which stands deeper than what is to be read.
const toCopy = "         "

// isCommand says whether a line is one to copy: a command of the AWS CLI, or an event.
func isCommand(line string) bool {
	text := strings.TrimSpace(line)
	return strings.HasPrefix(text, "aws ") || strings.HasPrefix(text, "quarterturn ") || strings.HasPrefix(text, "{")
}

// wrap breaks text at spaces into lines of at most width runes. Runs of spaces, which
// align columns, stay where no line breaks; a word that is longer than a line stands
// alone on one.
func wrap(text string, width int) []string {
	var lines []string
	for utf8.RuneCountInString(text) > width {
		runes := []rune(text)
		at := lastSpace(runes, width)
		if at <= 0 {
			break
		}
		lines = append(lines, strings.TrimRight(string(runes[:at]), " "))
		text = strings.TrimLeft(string(runes[at:]), " ")
	}
	return append(lines, text)
}

// lastSpace is the last space at which a line of width may end, or else the first one.
func lastSpace(runes []rune, width int) int {
	for i := min(width, len(runes)-1); i > 0; i-- {
		if runes[i] == ' ' {
			return i
		}
	}
	for i := width; i < len(runes); i++ {
		if runes[i] == ' ' {
			return i
		}
	}
	return 0
}

// colored paints the word of a line that says how something stands: the second column
// of a finding, the last of a version; and the heading.
func colored(line string, color bool) string {
	if !color {
		return line
	}
	if line != "" && line[0] != ' ' {
		return paint(line, bold)
	}
	for _, column := range strings.Split(strings.TrimSpace(line), "  ") {
		word := strings.TrimSpace(column)
		if hue, ok := hues[word]; ok {
			return strings.Replace(line, "  "+word, "  "+paint(word, hue), 1)
		}
	}
	return line
}

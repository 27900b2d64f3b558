package main

import (
	"io"
	"strings"
	"testing"
)

// TestNothingProved: a plan by which nothing is tried is refused, and what there is to try is named.
func TestNothingProved(t *testing.T) {
	for says, p := range map[string]plan{
		`no engine "oracle": memory, postgres, mysql, mariadb`: {engine: "oracle", trials: 1, rotations: 1},
		"-trials and -fleet": {trials: -1, rotations: 1},
		"-rotations":         {trials: 1},
	} {
		p.out = io.Discard
		if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

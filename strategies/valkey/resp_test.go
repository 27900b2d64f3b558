package valkey

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

// FuzzDecode: whatever a server answers, there is an end, and no panic.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"+OK\r\n", "-ERR no\r\n", "$2\r\nab\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n*0\r\n",
		"*-1\r\n", "$9999999999\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", ":1\r\n", "%1\r\n", "\r\n",
		"$2\r\nabcd"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := bufio.NewReaderSize(strings.NewReader(text), maxLine)
		answer, err := decode(in, 0)
		if err == nil {
			list(answer)
			pairs(answer)
		}
	})
}

// TestDecode reads each kind of answer, and what encode writes.
func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"+OK\r\n": "OK", ":7\r\n": "7", "$3\r\na\r\n\r\n": "a\r\n", "$-1\r\n": "<nil>", "-NOPERM no\r\n": "NOPERM no",
		"*3\r\n$1\r\na\r\n-ERR x\r\n*1\r\n+b\r\n": "[a ERR x [b]]", encode([]string{"ACL", "", "ünï"}): "[ACL  ünï]",
	} {
		got, err := decode(bufio.NewReaderSize(strings.NewReader(text), maxLine), 0)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"HTTP/1.1 400\r\n", "%1\r\n", "+OK\n", "$x\r\n", "$2\r\nabc\r\n",
		strings.Repeat("*1\r\n", 9), "*2000000\r\n", "$1000000000\r\n", "+" + strings.Repeat("x", maxLine) + "\r\n"} {
		if got, err := decode(bufio.NewReaderSize(strings.NewReader(text), maxLine), 0); err == nil {
			t.Errorf("%.20q is taken for %v", text, got)
		}
	}
}

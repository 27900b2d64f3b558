package valkey

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// serverError is an answer by which the server refuses.
type serverError string

func (e serverError) Error() string { return string(e) }

// errProtocol is an answer that is none.
var errProtocol = errors.New("not an answer of Valkey's protocol")

// What an answer may have at most: other protocols announce far more.
const (
	maxLine  = 64 << 10
	maxBulk  = 64 << 20
	maxList  = 1 << 20
	maxDepth = 6
)

// encode writes a command.
func encode(words []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// decode reads an answer: nil, a string, a serverError or a list of answers.
// https://valkey.io/topics/protocol/ (RESP2)
func decode(in *bufio.Reader, depth int) (any, error) {
	line, err := readLine(in)
	if err != nil {
		return nil, err
	}
	text := line[1:]
	switch line[0] {
	case '+', ':':
		return text, nil
	case '-':
		return serverError(text), nil
	case '$', '*':
		n, err := strconv.Atoi(text)
		switch {
		case err != nil, n > maxBulk, line[0] == '*' && (n > maxList || depth == maxDepth):
			return nil, errProtocol
		case n < 0:
			return nil, nil
		case line[0] == '$':
			return readBulk(in, n)
		}
		all := make([]any, 0, min(n, 1024))
		for range n {
			one, err := decode(in, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return all, nil
	}
	return nil, errProtocol
}

// readLine reads to the end of a line, which it takes away, and no more than maxLine.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errProtocol
	case err != nil:
		return "", err
	case len(line) < 3 || line[len(line)-2] != '\r':
		return "", errProtocol
	}
	return string(line[:len(line)-2]), nil
}

func readBulk(in *bufio.Reader, n int) (string, error) {
	var b strings.Builder
	if _, err := io.CopyN(&b, in, int64(n)+2); err != nil {
		return "", err
	}
	text := b.String()
	if !strings.HasSuffix(text, "\r\n") {
		return "", errProtocol
	}
	return text[:n], nil
}

// list is an answer that is a list of strings; what else is in it is left out.
func list(answer any) []string {
	all, _ := answer.([]any)
	var texts []string
	for _, one := range all {
		if text, ok := one.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// pairs is an answer that is a list of keys and values in turn.
func pairs(answer any) map[string]string {
	all, _ := answer.([]any)
	m := map[string]string{}
	for i := 0; i+1 < len(all); i += 2 {
		key, _ := all[i].(string)
		m[key], _ = all[i+1].(string)
	}
	return m
}

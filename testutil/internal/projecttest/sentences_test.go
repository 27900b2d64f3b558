package projecttest

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReplacedSentencesAreGone: none of the sentences that were replaced by plainer ones has come back.
// testdata/sentences.txt has a part of each. Line ends, comment marks and joined literals do not hide one.
func TestReplacedSentencesAreGone(t *testing.T) {
	const table = "testutil/internal/projecttest/testdata/sentences.txt"
	var parts []string
	for line := range strings.Lines(read(t, table)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			parts = append(parts, line)
		}
	}
	if len(parts) < 60 {
		t.Fatalf("only %d sentences in the table", len(parts))
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "build" || name == "dist" || name != ".." && strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case d.IsDir() || !spoken[filepath.Ext(name)] || strings.HasSuffix(filepath.ToSlash(path), table):
			return nil
		}
		files++
		rel, _ := filepath.Rel(root, path)
		text := flat(read(t, filepath.ToSlash(rel)))
		for _, p := range parts {
			if strings.Contains(text, p) {
				t.Errorf("%s: %q is back", rel, p)
			}
		}
		return nil
	})
	if err != nil || files < 200 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// spoken are the files that hold sentences.
var spoken = map[string]bool{".go": true, ".md": true, ".txt": true, ".yaml": true, ".json": true, ".svg": true}

// flat is a text as one line: without what joins the lines of a comment or of a literal.
func flat(text string) string {
	text = strings.NewReplacer("\" +\n", "", "\n\t//", "\n", "\n//", "\n", "\n#", "\n").Replace(text)
	return strings.Join(strings.Fields(text), " ")
}

// TestSentencesHaveASubject: what people read of the core says who or what does a thing: the server, a client, a role.
func TestSentencesHaveASubject(t *testing.T) {
	vague := regexp.MustCompile(`(?i)\b(nobody|somebody|anybody|everybody|whoever)\b`)
	check := func(path, text string) {
		if found := vague.FindString(text); found != "" {
			t.Errorf("%s: who is %q?", path, found)
		}
	}
	sources(t, func(path, text string) {
		if anyPrefix(path, []string{"rotator/", "strategies/", "cmd/", "handlers/"}) {
			check(path, text)
		}
	})
	for path, text := range documents(t) {
		check(path, text)
	}
}

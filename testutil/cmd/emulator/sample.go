package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
	"github.com/quarterturn-dev/quarterturn/testutil/internal/sampledb"
	"github.com/quarterturn-dev/quarterturn/testutil/localaws"
)

// sampleKey is that of the sample's secrets where the functions are to be denied KMS.
const sampleKey = "alias/app"

// seedSample makes the secrets of the database's two users, app and superuser, and of the server's own superuser, and
// with a key for them.
func seedSample(s *localaws.Env, db *sampledb.Database, withKey bool) {
	key := ""
	if withKey {
		key = s.AWS.SeedKey(awsemu.Key{Aliases: []string{sampleKey}, Description: "of the secrets app and superuser"})
	}
	value := func(user, masterARN string) []awsemu.Version {
		return []awsemu.Version{{Labels: []string{"AWSCURRENT"}, Value: awsemu.Text(db.Secret(user, masterARN))}}
	}
	superuser := s.AWS.Seed(awsemu.Secret{Name: "superuser", KMSKeyID: key, Versions: value("boss", "")})
	s.AWS.Seed(awsemu.Secret{Name: "app", KMSKeyID: key, Versions: value("app", superuser)})
	s.AWS.Seed(awsemu.Secret{Name: "administrator", KMSKeyID: key, Versions: value(db.Administrator, "")})
}

// watch prints one line for each request and for each thing that a function says.
// Its methods may be called from many goroutines at once.
type watch struct {
	mu   sync.Mutex
	out  io.Writer
	rest string
}

// call is one request.
func (w *watch) call(c awsemu.Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	phase := c.Phase
	if phase != "" {
		phase += ": "
	}
	fmt.Fprintf(w.out, "%s%s %s\n", phase, c.Name, c)
}

// Write takes the output of the functions in pieces, which may end within a line.
func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest += string(p)
	for {
		line, rest, ok := strings.Cut(w.rest, "\n")
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		w.line(line)
	}
}

func (w *watch) line(text string) {
	var entry struct{ Level, Message, Error, Check, Status, State, Detail, Reason string }
	switch {
	case strings.HasPrefix(text, "INIT_START"), strings.HasPrefix(text, "START "), strings.HasPrefix(text, "END "),
		strings.HasPrefix(text, "REPORT "):
	case json.Unmarshal([]byte(text), &entry) != nil:
		fmt.Fprintf(w.out, "function: %s\n", text)
	case entry.Error != "":
		fmt.Fprintf(w.out, "function: %s %s\n", entry.Level, entry.Error)
	case entry.Message != "": // metrics have none
		about := []string{entry.Message}
		for _, text := range []string{entry.Check, entry.Status, entry.State, entry.Detail, entry.Reason} {
			if text != "" { // of a finding, of a stored version, of a recommended action
				about = append(about, text)
			}
		}
		fmt.Fprintf(w.out, "function: %s\n", strings.Join(about, ": "))
	}
}

package bench

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/testutil/tier"
)

// Both sides make the same calls and logins, or the ratio is of two different things.
func TestBareDoesWhatARotationHasTo(t *testing.T) {
	tier.Test(t)
	for _, engine := range []string{"postgres", "mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s, err := start(t.Context(), engine, nil)
			if err != nil {
				tier.Missing(t, err)
			}
			defer s.stop()
			for i, alternating := range []bool{false, true} {
				r, err := Case{Engine: engine, Alternating: alternating, Away: time.Millisecond}.Measure(t.Context(), s, i, 1)
				if err != nil {
					t.Fatal(err)
				}
				if r.Calls < 12 || r.Logins < 4 || r.APIOurs != r.APIBare || r.DatabaseBare < 2*r.Logins || r.DatabaseOurs < r.DatabaseBare || r.Ratio <= 0 {
					t.Errorf("%s: %+v", r.Case, r)
				}
			}
		})
	}
}

// A line brings what is said, in order, and no sooner than its distance allows.
func TestLine(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 5)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					c.Write(b[:n])
				}
			}()
		}
	}()
	l := &line{to: listener.Addr().String(), away: 30 * time.Millisecond}
	if err := l.listen(); err != nil {
		t.Fatal(err)
	}
	defer l.listener.Close()
	c, err := net.Dial("tcp", l.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begin := time.Now()
	for range 3 {
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := c.Read(b); err != nil || string(b) != "hello" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if took := time.Since(begin); took < 3*l.away {
		t.Errorf("three round trips took %v", took)
	}
	if waited := time.Duration(l.waited.Load()); waited < 4*l.away { // with TCP's handshake
		t.Errorf("and the client waited %v", waited)
	}
	if n := l.answers.Load(); n != 3 {
		t.Errorf("%d answers were counted", n)
	}
}

func TestInto(t *testing.T) {
	page := "# Page\n" + Begin + "\nold\n" + End + "\nrest\n"
	got, err := Into(page, "new\n")
	if want := "# Page\n" + Begin + "\n\nnew\n\n" + End + "\nrest\n"; err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := Into("# Page\n", "new"); err == nil || !strings.Contains(err.Error(), Begin) {
		t.Errorf("a page without a place for it: %v", err)
	}
	results := []Result{{Case: Case{Engine: "postgres"}, Server: "PostgreSQL 18", Logins: 4, SpentOurs: spent{api: time.Millisecond}},
		{Case: Case{Engine: "postgres", Away: vpc}, Server: "PostgreSQL 18", Ours: 100 * time.Millisecond, Calls: 12, SpentOurs: spent{process: 5 * time.Millisecond}}}
	if got := profile(results); strings.Count(got, "\n") != 4 || !strings.Contains(got, "| PostgreSQL 18, single user       | 1.0 ms ") {
		t.Errorf("where the time is:\n%s", got)
	}
	// 95 ms of waiting, and 5 ms of a whole processor's.
	if got := cost(results); strings.Count(got, "\n") != 3 || !strings.Contains(got, "| $60.00    | $0.80       | 0.16 s    | $0.27          | $61.07 |") {
		t.Errorf("the cost:\n%s", got)
	}
	table := table([]figure{{name: "a ratio", value: "1.31", target: "1.30", missed: true}, {name: "a size", value: "5 MB"}})
	for _, want := range []string{"| a ratio | 1.31     | 1.30   | missed  |", "| a size  | 5 MB     |        |         |"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
}

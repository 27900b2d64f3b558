package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
)

// TestEntriesForOneOfAPair: clients come from other addresses than the function does, and pg_hba.conf may let in one
// user of a pair there and not the other. What is refused is what would lock clients out; the server says so, where it
// can be asked: one of the addresses is that of the test.
func TestEntriesForOneOfAPair(t *testing.T) {
	onEachMajor(t, func(t *testing.T, shared server) {
		s := server{dbserver.NewPostgres(t, dbserver.Options{Major: shared.Major})}
		const here = "host all all 127.0.0.1/32 scram-sha-256"
		for i, c := range []struct {
			entries string // before that for the function; O is the original, C the clone, G a group of the original
			refused string // what is said when clients are moved from the original to the clone; "": nothing
			back    string // and the other way round
			named   bool   // only the password is set, and the clone is no member
			since   int
		}{
			{entries: "host all all 10.1.0.0/16 scram-sha-256"},
			{entries: "host all O 10.1.0.0/16 scram-sha-256", refused: "by no entry"},
			{entries: "host all O 10.1.0.0 255.255.0.0 md5", refused: "10.1.0.0 255.255.0.0"},
			{entries: "host all O,C 10.1.0.0/16 scram-sha-256"},
			{entries: "host all O 10.1.0.0/16 scram-sha-256\nhost all C 10.0.0.0/8 scram-sha-256",
				refused: "Who has the secret would gain that", back: "by no entry"},
			{entries: "host all C 10.1.0.0/16 scram-sha-256", refused: "Who has the secret would gain that", back: "by no entry"},
			{entries: "host all C 10.1.0.0/16 scram-sha-256", named: true, back: "by no entry"},
			{entries: "host all O 10.1.7.0/24 reject\nhost all all 10.1.0.0/16 scram-sha-256",
				refused: "not: line 3 counts for it (reject). Who has the secret would gain that", back: "(reject)"},
			{entries: "host all O 10.1.0.0/16 scram-sha-256\nhost all all 10.0.0.0/8 reject", refused: "counts for it (reject)"},
			{entries: "host all O 10.1.0.0/16 scram-sha-256\nhost all C 10.0.0.0/8 ident", refused: "(ident)"},
			{entries: "host all all 10.0.0.0/8 reject\nhost all O 10.1.0.0/16 scram-sha-256"},
			{entries: "host all +G 10.1.0.0/16 scram-sha-256"},
			{entries: "host all +G 10.1.0.0/16 scram-sha-256", named: true, refused: "by no entry"},
			{entries: "host all +O 10.1.0.0/16 scram-sha-256"},
			{entries: "host other O 10.1.0.0/16 scram-sha-256"},
			{entries: "host sameuser O 10.1.0.0/16 scram-sha-256"},
			{entries: "local all O scram-sha-256\nhostssl all O 10.1.0.0/16 scram-sha-256"}, // the secret is without TLS
			{entries: "hostnossl all O 10.1.0.0/16 scram-sha-256", refused: "by no entry"},
			{entries: "host all O some.host scram-sha-256\nhost all O samenet scram-sha-256"},
			{entries: "host all all some.host scram-sha-256\nhost all O 10.1.0.0/16 scram-sha-256"},
			{entries: "host all O ::1/128 scram-sha-256", refused: "::1"},
			{entries: "host all O 10.1.0.0/16 reject"},
			{entries: "host all O 10.1.0.0/16 trust"},
			{entries: "host all O all scram-sha-256", refused: "all addresses"},
			{entries: `host all /^O 10.1.0.0/16 scram-sha-256`, since: 16},
			{entries: `host all /^O$ 10.1.0.0/16 scram-sha-256`, since: 16, refused: "by no entry"},
			{entries: "host all O nonsense"},
			{entries: "host all all 10.1.0.0/24 scram-sha-256\nhost all O 10.1.0.0/16 scram-sha-256", refused: "10.1.0.0 255.255.0.0"},
			{entries: "host all C 10.1.7.0/24 reject\nhost all all 10.1.0.0/16 scram-sha-256", refused: "counts for it (reject)"},
			{entries: "host all C 10.1.7.0/24 reject\nhost all O all scram-sha-256\nhost all C 0.0.0.0/0 scram-sha-256",
				refused: "counts for it (reject)"},
			{entries: "host all all 2001:db8::/64 scram-sha-256\nhost all O 2001:db8::/48 scram-sha-256", refused: "2001:db8::"},
			{entries: "host all all ::1/128 scram-sha-256\nhost all O all scram-sha-256\nhost all C 0.0.0.0/0 scram-sha-256"},
		} {
			if c.since > s.Major {
				continue
			}
			name, pw := s.NewRole(t, "LOGIN")
			group, _ := s.NewRole(t, "NOLOGIN")
			s.run(t, fmt.Sprintf("GRANT %s TO %s", group, name))
			pair := strategies.Pair{Original: name, Clone: name + "_clone", Target: name + "_clone", NoTLS: true,
				Consent: true, Named: c.named, PasswordOnly: c.named}
			entries := strings.NewReplacer("O", pair.Original, "C", pair.Clone, "G", group).Replace(c.entries)
			file := filepath.Join(s.DataDir, "pg_hba.conf")
			before, err := os.ReadFile(file)
			ok(t, err)
			own := strings.Join(strings.SplitAfter(string(before), "\n")[:2], "")
			ok(t, os.WriteFile(file, []byte(own+entries+"\n"+here+"\n"), 0o600))
			try := func(t *testing.T, want string) {
				t.Helper()
				_, err := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
				if want == "" {
					ok(t, err)
				} else {
					wants(t, err, rotator.KindMisconfigured, "pg_hba.conf lets role", want)
				}
			}
			t.Run(fmt.Sprintf("%d %s", i, c.entries), func(t *testing.T) {
				if !c.named {
					try(t, c.refused) // there is no clone yet
				}
				s.run(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", pair.Clone, pw))
				try(t, c.refused)
				pair.Target = pair.Original
				try(t, c.back)
			})
		}
	})
}

// TestEntriesOfAnIncludedFile: the server takes the entries of a file where it is included, and each file counts its own
// lines. What is printed shows them in the server's order, and a refusal says of which file a line is.
func TestEntriesOfAnIncludedFile(t *testing.T) {
	onEachMajor(t, func(t *testing.T, shared server) {
		s := server{dbserver.NewPostgres(t, dbserver.Options{Major: shared.Major,
			HBA: []string{"host all all 127.0.0.1/32 scram-sha-256"}})}
		name, _ := s.NewRole(t, "LOGIN")
		pair := strategies.Pair{Original: name, Clone: name + "_clone", Target: name + "_clone", NoTLS: true, Consent: true}
		main, included := filepath.Join(s.DataDir, "pg_hba.conf"), filepath.Join(s.DataDir, "of_app.conf")
		before, err := os.ReadFile(main)
		ok(t, err)
		entries := "# one\n# two\n# three\nhost all " + name + " 10.1.0.0/16 scram-sha-256\nhost all " + name + " 10.2.0.0/16 reject"
		include, says := "include of_app.conf", "(line 4 of "+included+")"
		if s.Major < 16 {
			include, says = entries, "(line 4)"
		}
		ok(t, os.WriteFile(included, []byte(entries), 0o644))
		ok(t, os.WriteFile(main, []byte(include+"\nhost all all 10.2.0.0/16 scram-sha-256\n"+
			string(before)), 0o600))
		_, err = engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, password())
		wants(t, err, rotator.KindMisconfigured, "pg_hba.conf lets role", says)
		order := s.ask(t, "SELECT string_agg(auth_method || address, ' ') FROM ("+strings.TrimPrefix(hbaEntries, trusted)+") shown WHERE address <> '127.0.0.1'")
		if want := "scram-sha-25610.1.0.0 reject10.2.0.0 scram-sha-25610.2.0.0"; order != want {
			t.Errorf("the entries are shown in the order %s, and count in the order %s", order, want)
		}
		s.ask(t, "SELECT count(error)::text FROM ("+strings.TrimPrefix(hbaEntries, trusted)+") shown") // one column of the name
	})
}

// TestAClientThatAnEntryTurnsAway: the function logs in from one address, and a client from another.
func TestAClientThatAnEntryTurnsAway(t *testing.T) {
	t.Parallel()
	s := server{dbserver.NewPostgres(t, dbserver.Options{HBA: []string{"host all app 127.0.0.2/32 scram-sha-256",
		"host all all 127.0.0.1/32 scram-sha-256"}})}
	p := password()
	s.run(t, "CREATE ROLE app LOGIN PASSWORD '"+p.Reveal()+"'")
	client := strategytest.Proxy{Dial: func(ctx context.Context) (net.Conn, error) {
		return s.DialFrom(ctx, "127.0.0.2")
	}}
	ok(t, client.Listen())
	t.Cleanup(client.Close)
	from := func(user string) error {
		return engine().Ping(t.Context(), with(s.login(user, p.Reveal()), func(l *strategies.Login) {
			l.Port = client.Port()
		}))
	}
	ok(t, from("app"))
	pair := strategies.Pair{Original: "app", Clone: "app_clone", Target: "app_clone"}
	_, refused := engine().DryRunEnsureClone(t.Context(), s.superuser(), pair, p)
	ok(t, engine().EnsureClone(t.Context(), s.superuser(), pair, p))
	ok(t, engine().Ping(t.Context(), s.login("app_clone", p.Reveal()))) // testSecret
	wants(t, from("app_clone"), rotator.KindTLS, "no pg_hba.conf entry for host")
	wants(t, refused, rotator.KindMisconfigured, "127.0.0.2")
	// Who lets the function in is to think of these.
	login := with(s.login("app_clone", p.Reveal()), func(l *strategies.Login) { l.TLS.Disabled = false })
	err := wrapError(t.Context(), login, operation{phase: loggingIn}, &pgconn.PgError{Severity: "FATAL", Code: "28000",
		Routine: "ClientAuthentication", Message: "pg_hba.conf rejects connection"})
	wants(t, err, rotator.KindMisconfigured, "at their own addresses too, and not on purpose", "that the other user has")
	if fixes := rotator.FixesOf(err); len(fixes) != 2 || fixes[1].Note != fromElsewhere {
		t.Errorf("%+v", fixes)
	}
	// Without TLS nothing tells an entry that rejects all from one that is for TLS alone.
	login.TLS.Disabled = true
	err = wrapError(t.Context(), login, operation{phase: loggingIn}, &pgconn.PgError{Severity: "FATAL", Code: "28000",
		Routine: "ClientAuthentication", Message: "pg_hba.conf rejects connection"})
	wants(t, err, rotator.KindTLS, `remove "ssl": false`, "where one of its entries rejects it")
	if fixes := rotator.FixesOf(err); len(fixes) != 2 || fixes[1].Run != reload {
		t.Errorf("%+v", fixes)
	}
	// No entry rejects anyone where the method is another.
	for routine, code := range map[string]string{"auth_failed": "28000", "ClientAuthentication": "F0000"} {
		err := wrapError(t.Context(), login, operation{phase: loggingIn}, &pgconn.PgError{Severity: "FATAL", Code: code,
			Routine: routine, Message: "authentication failed"})
		if fixes := rotator.FixesOf(err); len(fixes) < 2 || fixes[len(fixes)-1].Run != reload ||
			fixes[len(fixes)-1].Note != "" {
			t.Errorf("%s: %+v", routine, fixes)
		}
	}
}

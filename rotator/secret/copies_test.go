package secret

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestCopiesAreFollowed: each row is a member beside username and password, and what
// becomes of it when the user is changed from app to app_clone, and the password from
// p@ss/w0rd to n%w+p@ss or to n3wPAss.
func TestCopiesAreFollowed(t *testing.T) {
	const special, plain = "n%w+p@ss", "n3wPAss"
	for member, want := range map[string]struct{ special, plain, path string }{
		// Whole values.
		`"DB_PASSWORD":"p@ss/w0rd"`:                     {`"DB_PASSWORD":"n%w+p@ss"`, `"DB_PASSWORD":"n3wPAss"`, "DB_PASSWORD"},
		`"a" : { "b":[ 1, {"c":"p@ss\/w0rd"} ] }`:       {`"a" : { "b":[ 1, {"c":"n%w+p@ss"} ] }`, `"a" : { "b":[ 1, {"c":"n3wPAss"} ] }`, "a.b[1].c"},
		`"odd key":{"a.b":"p@ss/w0rd"}`:                 {`"odd key":{"a.b":"n%w+p@ss"}`, `"odd key":{"a.b":"n3wPAss"}`, `["odd key"]["a.b"]`},
		`"DB_USER":"app"`:                               {`"DB_USER":"app_clone"`, `"DB_USER":"app_clone"`, "DB_USER"},
		`"x":{"login":"app"}`:                           {`"x":{"login":"app_clone"}`, `"x":{"login":"app_clone"}`, "x.login"},
		`"0-_z":{"{}":[{}, [] ,{"x":"a"},"p@ss/w0rd"]}`: {`"0-_z":{"{}":[{}, [] ,{"x":"a"},"n%w+p@ss"]}`, `"0-_z":{"{}":[{}, [] ,{"x":"a"},"n3wPAss"]}`, `0-_z["{}"][3]`},
		`"":"p@ss/w0rd"`:                                {`"":"n%w+p@ss"`, `"":"n3wPAss"`, `[""]`},
		`"l":["p@ss/w0rd"]`:                             {`"l":["n%w+p@ss"]`, `"l":["n3wPAss"]`, "l[0]"},
		`"l":["a","p@ss/w0rd"]`:                         {`"l":["a","n%w+p@ss"]`, `"l":["a","n3wPAss"]`, "l[1]"},
		`"x":{"a":"1","b":"p@ss/w0rd"}`:                 {`"x":{"a":"1","b":"n%w+p@ss"}`, `"x":{"a":"1","b":"n3wPAss"}`, "x.b"},
		`"x":{"a":{"c":"1"},"b":["p@ss/w0rd"]}`:         {`"x":{"a":{"c":"1"},"b":["n%w+p@ss"]}`, `"x":{"a":{"c":"1"},"b":["n3wPAss"]}`, "x.b[0]"},
		`"users":["app"]`:                               {`"users":["app_clone"]`, `"users":["app_clone"]`, "users[0]"},
		// URLs.
		`"u":"redis://%61pp@h/0"`:                                      {`"u":"redis://app_clone@h/0"`, `"u":"redis://app_clone@h/0"`, "u"},
		`"u":"postgres://app:p%40ss%2fw0rd@h:5/db?sslmode=require"`:    {`"u":"postgres://app_clone:n%25w%2Bp%40ss@h:5/db?sslmode=require"`, `"u":"postgres://app_clone:n3wPAss@h:5/db?sslmode=require"`, "u"},
		`"u":"mysql://app:p%40ss%2Fw0rd@h"`:                            {`"u":"mysql://app_clone:n%25w%2Bp%40ss@h"`, `"u":"mysql://app_clone:n3wPAss@h"`, "u"},
		`"u":"postgres://app:p@ss/w0rd@h/db"`:                          {`"u":"postgres://app_clone:n%25w%2Bp%40ss@h/db"`, `"u":"postgres://app_clone:n3wPAss@h/db"`, "u"},
		`"u":"jdbc:postgresql://h/db?user=app&password=p%40ss%2Fw0rd"`: {`"u":"jdbc:postgresql://h/db?user=app_clone&password=n%25w%2Bp%40ss"`, `"u":"jdbc:postgresql://h/db?user=app_clone&password=n3wPAss"`, "u"},
		`"u":"redis://app@h/0"`:                                        {`"u":"redis://app_clone@h/0"`, `"u":"redis://app_clone@h/0"`, "u"},
		`"u":"Az+9.x-0:tls://app:p%40ss%2Fw0rd@h"`:                     {`"u":"Az+9.x-0:tls://app_clone:n%25w%2Bp%40ss@h"`, `"u":"Az+9.x-0:tls://app_clone:n3wPAss@h"`, "u"},
		// Other texts.
		`"d":"a b://p@ss/w0rd"`:                    {"", `"d":"a b://n3wPAss"`, "d"},
		`"d":"://p@ss/w0rd"`:                       {"", `"d":"://n3wPAss"`, "d"},
		`"d":"host=h user=app password=p@ss/w0rd"`: {"", `"d":"host=h user=app_clone password=n3wPAss"`, "d"},
		`"d":"Server=h;Uid=app;Pwd=p%40ss%2Fw0rd"`: {`"d":"Server=h;Uid=app_clone;Pwd=n%25w%2Bp%40ss"`, `"d":"Server=h;Uid=app_clone;Pwd=n3wPAss"`, "d"},
		`"b":"cEBzcy93MHJk"`:                       {"", "", "b"},                                 // base64
		`"b":"Basic YXBwOnBAc3MvdzByZA=="`:         {"", "", "b"},                                 // of app:p@ss/w0rd
		`"j":"{\"password\":\"p@ss\\\/w0rd\"}"`:    {"", "", "j"},                                 // escaped twice
		`"j":"{\"password\":\"p@ss/w0rd\"}"`:       {"", `"j":"{\"password\":\"n3wPAss\"}"`, "j"}, // a quote would end it
		// No copies.
		`"schema":"app"`:                 {`"schema":"app"`, `"schema":"app"`, ""},
		`"dbname":"p@ss/w0rd"`:           {`"dbname":"p@ss/w0rd"`, `"dbname":"p@ss/w0rd"`, ""}, // says which place it is for
		`"p@ss/w0rd":1`:                  {`"p@ss/w0rd":1`, `"p@ss/w0rd":1`, ""},
		`"u":"https://app"`:              {`"u":"https://app"`, `"u":"https://app"`, ""}, // a host
		`"u":"https://app/x@y"`:          {`"u":"https://app/x@y"`, `"u":"https://app/x@y"`, ""},
		`"u":"https://app:80/x"`:         {`"u":"https://app:80/x"`, `"u":"https://app:80/x"`, ""},
		`"x":{"a":"1","p@ss/w0rd":"2"}`:  {`"x":{"a":"1","p@ss/w0rd":"2"}`, `"x":{"a":"1","p@ss/w0rd":"2"}`, ""},
		`"note":"user=apple"`:            {`"note":"user=apple"`, `"note":"user=apple"`, ""},
		`"u":"postgres://apple:x@h/app"`: {`"u":"postgres://apple:x@h/app"`, `"u":"postgres://apple:x@h/app"`, ""},
	} {
		for _, c := range []struct{ password, want string }{{special, want.special}, {plain, want.plain}} {
			text := func(user, password, member string) string {
				return fmt.Sprintf("{ \"username\":%q,\n  %s, \"password\" : %q}", user, member, password)
			}
			d := mustParse(text("app", "p@ss/w0rd", member))
			next := d.Set("username", "app_clone").SetPassword(NewPassword(c.password))
			got, copies := d.Follow(next)
			fixed := c.want == ""
			if fixed {
				c.want = member
			}
			if want := text("app_clone", c.password, c.want); got.Encode().Reveal() != want {
				t.Errorf("%s: got %s, want %s", member, got.Encode().Reveal(), want)
			}
			switch {
			case want.path == "" && copies == nil:
			case len(copies) != 1 || copies[0].Path != want.path || copies[0].Fixed != fixed:
				t.Errorf("%s: copies %+v, want %s, fixed: %v", member, copies, want.path, fixed)
			}
		}
	}
}

// TestWhatIsNoCopy: a short password is found by chance everywhere; a number of the same
// digits is one; a single user keeps its name everywhere.
func TestWhatIsNoCopy(t *testing.T) {
	follow := func(text, password string) (Document, []Copy) {
		d := mustParse(text)
		return d.Follow(d.SetPassword(NewPassword(password)))
	}
	if _, copies := follow(`{"password":"short","a":"short"}`, "longer"); copies != nil {
		t.Errorf("5 bytes: %+v", copies)
	}
	if _, copies := follow(`{"password":"longer","a":"longer"}`, "other1"); len(copies) != 1 || copies[0].Fixed {
		t.Errorf("6 bytes: %+v", copies)
	}
	if _, copies := follow(`{"password":"123456","pin":123456,"n":1234567}`, "other1"); len(copies) != 2 ||
		!copies[0].Fixed || copies[0].Path != "pin" || copies[1].Path != "n" {
		t.Errorf("numbers: %+v", copies)
	}
	if _, copies := follow(`{"username":"app","password":"longer","DB_USER":"app"}`, "other1"); copies != nil {
		t.Errorf("the user name has not changed: %+v", copies)
	}
	// A value of which only the spelling changes keeps its copies as they are.
	d := mustParse(`{"password":"l\u006fnger","a":"x l\u006fnger"}`)
	if got, copies := d.Follow(mustParse(`{"password":"longer","a":"x l\u006fnger"}`)); got.raw("a") != d.raw("a") || len(copies) != 1 || copies[0].Fixed {
		t.Errorf("another spelling: %+v", copies)
	}
	if d, copies := (Document{}).Follow(Document{}); !d.IsZero() || copies != nil {
		t.Error("no document")
	}
}

// TestAPasswordThatIsAWord: one that is the user's name, or the engine's, stands where it is no password too. There it
// stays, or the copy cannot be kept in step.
func TestAPasswordThatIsAWord(t *testing.T) {
	for member, want := range map[string]struct{ after, path string }{ // after "": it stays; path "!": it cannot be followed
		`"DB_USER":"postgres"`:                                    {"", ""},
		`"DB_PASSWORD":"postgres"`:                                {"n3wPAss", "DB_PASSWORD"},
		`"DB_USER_PASSWORD":"postgres"`:                           {"n3wPAss", "DB_USER_PASSWORD"},
		`"x":{"pwd":["postgres"]}`:                                {`{"pwd":["n3wPAss"]}`, "x.pwd[0]"},
		`"driver":"postgres"`:                                     {"", "!driver"},
		`"u":"postgres://postgres:postgres@postgres/postgres"`:    {"postgres://postgres:n3wPAss@postgres/postgres", "u"},
		`"u":"jdbc:postgresql://h/d?user=postgres"`:               {"", "!u"},
		`"u":"jdbc:postgresql://h/d?password=postgres"`:           {"jdbc:postgresql://h/d?password=n3wPAss", "u"},
		`"d":"host=postgres user=postgres password='postgres'"`:   {"host=postgres user=postgres password='n3wPAss'", "d"},
		`"d":"postgres:postgres@tcp(postgres:5432)/postgres"`:     {"postgres:n3wPAss@tcp(postgres:5432)/postgres", "d"},
		`"j":"{\"user\":\"postgres\",\"password\":\"postgres\"}"`: {`{"user":"postgres","password":"n3wPAss"}`, "j"},
	} {
		d := mustParse(`{"engine":"aurora-postgresql","username":"postgres","password":"postgres",` + member + `}`)
		next := d.SetPassword(NewPassword("n3wPAss"))
		copied := d.Keys()[3]
		got, copies := d.Follow(next)
		path := placesOf(copies)
		if after := cmp.Or(want.after, d.Compact(copied)); got.Compact(copied) != after || path != want.path {
			t.Errorf("%s: %q at %q, want %q at %q", member, got.Compact(copied), path, after, want.path)
		}
	}
	d := mustParse(`{"username":"webapp","password":"webapp","DB_USER":"webapp","u":"x://webapp:webapp@h"}`)
	got, _ := d.Follow(d.Set("username", "webapp_clone").SetPassword(NewPassword("n3wPAss")))
	if got.Text("DB_USER") != "webapp_clone" || got.Text("u") != "x://webapp_clone:n3wPAss@h" {
		t.Errorf("both change: %s", got.Encode().Reveal())
	}
}

// TestAUserBesideItsPassword: whoever reads the two from one text is let in by both or by neither.
func TestAUserBesideItsPassword(t *testing.T) {
	for text, want := range map[string]string{ // "": it cannot be followed
		`app:p4ssw0rd@tcp(app:3306)/app`:                         `app_clone:n3wPAss@tcp(app:3306)/app`,
		`db:5432:app:app:p4ssw0rd`:                               `db:5432:app:app_clone:n3wPAss`,
		`host=h user='app' password='p4ssw0rd'`:                  `host=h user='app_clone' password='n3wPAss'`,
		`Data Source=h;User ID="app";Password="p4ssw0rd"`:        `Data Source=h;User ID="app_clone";Password="n3wPAss"`,
		`{"user": "app", "password": "p4ssw0rd"}`:                `{"user": "app_clone", "password": "n3wPAss"}`,
		`{\"user\":\"app\",\"password\":\"p4ssw0rd\"}`:           `{\"user\":\"app_clone\",\"password\":\"n3wPAss\"}`,
		"username: app\npassword: p4ssw0rd\n":                    "username: app_clone\npassword: n3wPAss\n",
		"PGUSER=app\nPGPASSWORD=p4ssw0rd\nPGDATABASE=app":        "PGUSER=app_clone\nPGPASSWORD=n3wPAss\nPGDATABASE=app",
		`login app password p4ssw0rd`:                            "", // .netrc
		`app p4ssw0rd`:                                           "",
		`password=p4ssw0rd`:                                      `password=n3wPAss`,
		`host=h dbname=apple password=p4ssw0rd`:                  `host=h dbname=apple password=n3wPAss`,
		`x://app:p4ssw0rd@h/a,x://app:p4ssw0rd@i/a`:              `x://app_clone:n3wPAss@h/a,x://app_clone:n3wPAss@i/a`,
		`x://app:p4ssw0rd@h1,h2,app:80/app`:                      `x://app_clone:n3wPAss@h1,h2,app:80/app`,
		`jdbc:x://app:80/app?password=p4ssw0rd`:                  `jdbc:x://app:80/app?password=n3wPAss`,
		`x://%61pp:p4ssw0rd@h x://bob:p4ssw0rd@app x://app@app/`: `x://app_clone:n3wPAss@h x://bob:n3wPAss@app x://app_clone@app/`,
	} {
		quoted, _ := json.Marshal(text)
		for _, order := range []string{
			`{"username":"app","password":"p4ssw0rd","x":%s}`, `{"x":%s,"password":"p4ssw0rd","username":"app"}`,
		} {
			d := mustParse(fmt.Sprintf(order, quoted))
			got, copies := d.Follow(d.Set("username", "app_clone").SetPassword(NewPassword("n3wPAss")))
			if got.Text("x") != cmp.Or(want, text) || len(copies) != 1 || copies[0].Fixed != (want == "") {
				t.Errorf("%s: %s, %+v", text, got.Text("x"), copies)
			}
		}
	}
}

// placesOf is where copies are, with "!" before it if one of them cannot follow.
func placesOf(copies []Copy) (path string) {
	for _, at := range copies {
		if path += at.Path; at.Fixed {
			path = "!" + path
		}
	}
	return path
}

// TestCopiesOfOtherCredentials: those that are written in another way than most, or that are not
// in both values.
func TestCopiesOfOtherCredentials(t *testing.T) {
	for name, c := range map[string]struct{ before, next, want, path string }{ // want "": the value is not changed; path "!": it cannot be
		"a password with a space, in a query":  {`{"password":"my pass","u":"x://h?p=my+pass"}`, `{"password":"other1"}`, "x://h?p=other1", "u"},
		"a password with a plus, in a URL":     {`{"password":"p@ss+w","u":"x://u:p%40ss+w@h"}`, `{"password":"other1"}`, "x://u:other1@h", "u"},
		"a password with a percent, as it is":  {`{"password":"50%off","u":"x://u:50%off@h"}`, `{"password":"o%er 1"}`, "x://u:o%25er%201@h", "u"},
		"a user with a percent, as it is":      {`{"username":"a%b","u":"x://a%b:p@h"}`, `{"username":"other"}`, "x://other:p@h", "u"},
		"a text like the scheme of a URL":      {`{"password":"longer","u":"x-longer"}`, `{"password":"o%er 1"}`, "", "!u"},
		"a user that a text might misread":     {`{"username":"app","u":"user=app"}`, `{"username":"a b"}`, "", "!u"},
		"a user in a query":                    {`{"username":"app","u":"x://h?user=app"}`, `{"username":"a b"}`, "x://h?user=a%20b", "u"},
		"a password that cannot, a user could": {`{"password":"longer","username":"app","u":"user=app pw=longer"}`, `{"password":"o%er 1","username":"other"}`, "", "!u"},
		"a number like the user":               {`{"username":"12345","DB_USER":12345}`, `{"username":"other"}`, "", ""},
		"no user before":                       {`{"password":"longer","DB_USER":""}`, `{"password":"longer","username":"app"}`, "", ""},
		"an empty user before":                 {`{"username":"","DB_USER":""}`, `{"username":"app"}`, "", ""},
		"no password afterwards":               {`{"password":"longer","u":"longer"}`, `{"password":null}`, "", ""},
		"where the secret is for":              {`{"host":"db.example.com","u":"at db.example.com"}`, `{"host":"elsewhere"}`, "", ""},
	} {
		d, given := mustParse(c.before), mustParse(c.next)
		copied := d.Keys()[len(d.Keys())-1]
		next := mustParse(strings.TrimSuffix(given.Encode().Reveal(), "}") + fmt.Sprintf(",%q:%s}", copied, d.raw(copied)))
		got, copies := d.Follow(next)
		path := placesOf(copies)
		if want := cmp.Or(c.want, d.Text(copied)); got.Text(copied) != want || path != c.path {
			t.Errorf("%s: %q at %q, want %q at %q", name, got.Text(copied), path, want, c.path)
		}
	}
}

// FuzzFollow: whatever a secret holds, what is no copy keeps its bytes, and where a copy
// is said to be kept in step, the old password is gone from it.
func FuzzFollow(f *testing.F) {
	f.Add(`{"username":"app","password":"p@ss/w0rd","u":"postgres://app:p%40ss%2fw0rd@h/db","n":[1,{"a":"p@ss/w0rd"}],"b":"cEBzcy93MHJk"}`, "n3w p@ss")
	f.Add(`{"password":"123456","a":{"b":{"c":[[],{},"123456",123456,null,true]}},"d":"x123456y"}`, "654321")
	f.Add("{\"password\":\"\\u00fcber-all\",\"x\" :\t\"%C3%BCber-all\",\"\\u0041\":\"a:\\u00fcber-all\"}", "plain-1")
	f.Fuzz(func(t *testing.T, text, password string) {
		d, err := ParseDocument(text)
		if err != nil {
			return
		}
		next := d.Set("username", d.Text("username")+"_clone").SetPassword(NewPassword(password))
		got, copies := d.Follow(next)
		if !json.Valid([]byte(got.Encode().Reveal())) || !slices.Equal(got.Keys(), next.Keys()) {
			t.Fatalf("not the document that it was: %s", got.Encode().Reveal())
		}
		if len(copies) == 0 && !got.Equal(next) {
			t.Errorf("no copies, and something has changed")
		}
		for _, key := range got.ChangedKeys(next) {
			if !slices.ContainsFunc(copies, func(c Copy) bool { return strings.HasPrefix(c.Path, pathOf(key)) && !c.Fixed }) {
				t.Errorf("%q has changed and is no copy: %+v", key, copies)
			}
		}
		var before Scrubber
		if len(d.Text("password")) >= minSecretLen {
			before.Add(d.Password())
		}
		for _, m := range got.content().members {
			for _, at := range scalarsOf(got.raw(m.key), pathOf(m.key)) {
				follows := slices.Contains(copies, Copy{Path: at.path})
				if follows && !d.isWord(d.Text("password")) && len(before.find(at.value)) > 0 && !d.Password().Equal(NewPassword(password)) {
					t.Errorf("%s: the old password is still there", at.path)
				}
			}
		}
	})
}

// TestPathsOfCopiesTakeLittleMemory: a function has 128 MB, and the writer of a secret chooses its names and how deep
// they are nested, in 64 KB. Each value in it has a path.
func TestPathsOfCopiesTakeLittleMemory(t *testing.T) {
	const password = "old-password"
	for what, more := range map[string]string{
		"a long name":  `"` + strings.Repeat("n", 30000) + `":[` + strings.Repeat("1,", 15000) + `"` + password + `"]`,
		"deep arrays":  `"a":` + strings.Repeat("[", 9000) + strings.Repeat("1,", 15000) + `"` + password + `"` + strings.Repeat("]", 9000),
		"deep objects": `"a":` + strings.Repeat(`{"a":`, 9000) + `"` + password + `"` + strings.Repeat("}", 9000),
	} {
		d, err := ParseDocument(`{"password":"` + password + `",` + more + `}`)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		next, copies := d.Follow(d.SetPassword(NewPassword("new-password")))
		runtime.ReadMemStats(&after)
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 50 {
			t.Errorf("%s: %d MB", what, mb)
		}
		if len(copies) != 1 || strings.Contains(next.Encode().Reveal(), password) || len(copies[0].Path) > 300 {
			t.Errorf("%s: %d copies: %.400s", what, len(copies), fmt.Sprint(copies))
		}
	}
}

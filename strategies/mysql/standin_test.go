package mysql

import "testing"

func TestServing(t *testing.T) {
	rows := func(hosts ...string) (all []accountRow) {
		for _, h := range hosts {
			all = append(all, accountRow{account: account{host: h}})
		}
		return all
	}
	for _, c := range []struct {
		hosts []string
		of    string
		want  string // "-": none
	}{
		{nil, "%", "-"},
		{[]string{"%"}, "%", "%"},
		{[]string{"%"}, "localhost", "%"},
		{[]string{""}, "10.0.0.1", ""},
		{[]string{"%", "10.%", "10.1.%"}, "10.1.2.3", "10.1.%"},
		{[]string{"10.1.%", "10.%", "%"}, "10.1.%", "10.1.%"},
		{[]string{"10.1.%", "10.%", "%"}, "10.%", "10.%"},
		{[]string{"10.1.%"}, "10.%", "-"},
		{[]string{"10._.0.1"}, "10.2.0.1", "10._.0.1"},
		{[]string{"10._.0.1"}, "10.%.0.1", "-"},
		{[]string{"10.%.0.1"}, "10._.0.1", "10.%.0.1"},
		{[]string{"10.0.0.0/255.0.0.0"}, "10.0.0.1", "-"}, // the texts do not tell
		{[]string{"DB.example.com"}, "db.example.com", "DB.example.com"},
		{[]string{"%.example.com"}, "a.b.example.com", "%.example.com"},
		{[]string{"%a%a%a%a%a%a%a%a%a%a%a%b"}, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "-"},
		{[]string{`a\_b`}, "a_b", `a\_b`},
		{[]string{`a\_b`}, "axb", "-"},
	} {
		got, ok := serving(rows(c.hosts...), c.of)
		if !ok {
			got.host = "-"
		}
		if got.host != c.want {
			t.Errorf("%q serve %q: %q; want %q", c.hosts, c.of, got.host, c.want)
		}
	}
}

func TestOpens(t *testing.T) {
	for _, c := range []struct {
		r    right
		want bool
	}{
		{right{name: "SELECT", object: "*.*"}, true},
		{right{name: "CREATE USER", object: "*.*"}, false},
		{right{name: "SELECT", object: "`shop`.*"}, true},
		{right{name: "SELECT", object: "`sh%`.*"}, true},
		{right{name: "SELECT", object: "`sh%`.`t`"}, false},
		{right{name: "SELECT", object: "`shop`.`t`"}, true},
		{right{name: "EXECUTE", object: "PROCEDURE `shop`.`p`"}, true},
		{right{name: "SELECT", object: "`other`.*"}, false},
	} {
		if got := opens(c.r, "shop"); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}

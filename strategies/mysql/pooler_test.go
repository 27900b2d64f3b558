package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/strategies/dial"
	"github.com/quarterturn-dev/quarterturn/testutil/dbserver"
	"github.com/quarterturn-dev/quarterturn/testutil/rotationtest"
)

// pooler stands in for ProxySQL, which has connections and numbers of its own: a relay
// that greets with another number than the server's.
func pooler(t *testing.T, s server) int {
	t.Helper()
	return listen(t, func(c net.Conn) {
		to, err := s.Dial(t.Context())
		if err != nil {
			return
		}
		defer to.Close()
		go func() {
			defer c.Close()
			head := make([]byte, 4)
			if _, err := io.ReadFull(to, head); err != nil {
				return
			}
			packet := make([]byte, int(head[0])|int(head[1])<<8)
			if _, err := io.ReadFull(to, packet); err != nil {
				return
			}
			if end := bytes.IndexByte(packet, 0); packet[0] == 10 && end > 0 {
				packet[end+1] ^= 1 // of the number
			}
			c.Write(append(head, packet...))
			io.Copy(c, to)
		}()
		io.Copy(to, c)
	}).Port
}

// rotate is a whole rotation, of the secret of app and through that of boss.
func (s server) rotate(t *testing.T, strategy rotator.Strategy, app, boss strategies.Login,
	more ...string) (*rotationtest.Service, error) {
	t.Helper()
	const bossARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:boss-a1b2c3"
	document := func(l strategies.Login) secret.Document {
		engine := "mysql"
		if s.MariaDB {
			engine = "mariadb"
		}
		return secret.Document{}.Set("engine", engine).Set("host", l.Host).Set("port", fmt.Sprint(l.Port)).
			Set("username", l.User).Set("ssl", fmt.Sprint(!l.TLS.Disabled)).SetPassword(l.Password)
	}
	current := document(app).Set("masterarn", bossARN)
	for i := 0; i+1 < len(more); i += 2 {
		current = current.Set(more[i], more[i+1])
	}
	return rotationtest.Rotate(t, strategy, current, document(boss))
}

// all are the strategies of a server.
func (s server) all() map[string]rotator.Strategy {
	var e strategies.CloningEngine = engine()
	if s.MariaDB {
		e = MariaDB(engine())
	}
	all := map[string]rotator.Strategy{"single": strategies.SingleUser{Engine: e},
		"superuser":   strategies.SingleUser{Engine: e, ThroughSuperuser: true},
		"alternating": strategies.AlternatingUsers{Engine: e}}
	if !s.MariaDB {
		all["dual"] = strategies.DualPasswords{Engine: engine()}
	}
	return all
}

// A pooler has a login of its own: one that it lets in proves nothing, and nothing is
// changed through it, unless the secret says that it has the database judge.
func TestAPoolerStopsTheRotation(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		port := pooler(t, s)
		for name, strategy := range s.all() {
			var grants []string
			if !s.MariaDB {
				grants = []string{"APPLICATION_PASSWORD_ADMIN ON *.*"}
			}
			app, boss := s.user(t, grants...), s.superuser()
			at := func(l strategies.Login) strategies.Login {
				return with(l, func(l *strategies.Login) { l.Port = port })
			}
			service, err := s.rotate(t, strategy, at(app), at(boss))
			wants(t, err, rotator.KindMisconfigured, "[T3 failed]", "proxy", "poolerForwardsLogins")
			if d := service.ValueAt(rotator.LabelPending); !d.IsZero() {
				t.Errorf("%s: a pending value was stored", name)
			}
			for _, err := range []error{engine().Ping(t.Context(), at(app)), engine().SetPassword(t.Context(), at(app),
				app.User, password()),
				engine().SetPassword(t.Context(), at(boss), app.User, password())} {
				var login rotator.LoginError
				if wants(t, err, rotator.KindMisconfigured, "proxy"); !errors.As(err, &login) {
					t.Errorf("%s: the value is blamed: %v", name, err)
				}
			}
			ok(t, engine().Ping(t.Context(), app))

			service, err = s.rotate(t, strategy, at(app), at(boss), "poolerForwardsLogins", "true")
			if err != nil {
				t.Errorf("%s, forwarded: %v\n%s", name, err, service.Output())
			}
		}
	})
}

// TestAPoolerAcceptsNoPassword: that there is no such database, or none for the user, says nothing of the password where a
// proxy says it.
func TestAPoolerAcceptsNoPassword(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		app, port := s.user(t), pooler(t, s)
		for _, db := range []string{"qt_none", "mysql"} {
			for of, accepted := range map[int]bool{app.Port: true, port: false} {
				login := with(app, func(l *strategies.Login) { l.Port, l.Database = of, db })
				err := engine().Ping(t.Context(), login)
				wants(t, err, rotator.KindMisconfigured)
				if errors.As(err, new(rotator.AcceptedPassword)) != accepted ||
					!accepted && !strings.Contains(err.Error(), "a proxy is in between") {
					t.Errorf("%s, accepted %t: %v", db, accepted, err)
				}
				login.PoolerForwardsLogins = true
				if err := engine().Ping(t.Context(), login); !errors.As(err, new(rotator.AcceptedPassword)) {
					t.Errorf("%s, forwarded: %v", db, err)
				}
			}
		}
	})
}

// HAProxy in TCP mode carries what the server says: it is no pooler.
func TestAProxyThatCarriesBytesIsNoPooler(t *testing.T) {
	onEach(t, func(t *testing.T, s server) {
		h := dbserver.NewHAProxy(t, dial.Address(s.superuser()))
		at := func(l strategies.Login) strategies.Login {
			return with(l, func(l *strategies.Login) { l.Port = h.Port })
		}
		service, err := s.rotate(t, s.all()["alternating"], at(s.user(t)), at(s.superuser()))
		if err != nil {
			t.Errorf("%v\n%s", err, service.Output())
		}
	})
}

// What ProxySQL refuses, the database has not judged.
func TestAProxysRefusalIsNoRejectedLogin(t *testing.T) {
	t.Parallel()
	for message, kind := range map[string]rotator.Kind{
		"ProxySQL Error: Access denied for user 'app'@'10.0.0.1' (using password: YES)": rotator.KindMisconfigured,
		"Access denied for user 'app'@'10.0.0.1' (using password: YES)":                 rotator.KindLoginRejected,
	} {
		login := listen(t, func(c net.Conn) {
			greeting := "\x0a8.0.30\x00\x01\x00\x00\x00saltsalt\x00\xff\xf7\x21\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00saltsaltsalt\x00mysql_native_password\x00"
			c.Write(append([]byte{byte(len(greeting)), 0, 0, 0}, greeting...))
			c.Read(make([]byte, 4096))
			refusal := "\xff\x15\x04#28000" + message
			c.Write(append([]byte{byte(len(refusal)), 0, 0, 2}, refusal...))
			io.Copy(io.Discard, c)
		})
		login.TLS.Disabled = true
		wants(t, engine().Ping(t.Context(), login), kind)
		login.PoolerForwardsLogins = true
		wants(t, engine().Ping(t.Context(), login), rotator.KindLoginRejected)
	}
}

package strategies

import "github.com/quarterturn-dev/quarterturn/rotator/secret"

// MarkPoolerError marks an error that an engine met because something between it and
// the database logs clients in by what it knows itself: PgBouncer with an auth_file,
// ProxySQL, MaxScale, RDS Proxy. It would refuse a new password that the database has
// taken, and let in an old one that the database refuses.
func MarkPoolerError(err error) error {
	if err == nil {
		return nil
	}
	return poolerError{err}
}

// PoolerRemedy ends the sentence of such an error.
const PoolerRemedy = `use the database's own endpoint as host. If the pooler has the database judge every login (PgBouncer: auth_query), set "` + keyPooler + `": true in the secret`

type poolerError struct{ error }

func (e poolerError) Unwrap() error { return e.error }

// AtLogin implements rotator.LoginError: what is wrong is not in the value.
func (poolerError) AtLogin() {}

// LoginsArePooled implements rotator.PooledLogins.
func (s SingleUser) LoginsArePooled(d secret.Document) bool { return vouched(d) }

// LoginsArePooled implements rotator.PooledLogins.
func (a AlternatingUsers) LoginsArePooled(d secret.Document) bool { return vouched(d) }

// LoginsArePooled implements rotator.PooledLogins.
func (d DualPasswords) LoginsArePooled(value secret.Document) bool { return vouched(value) }

func vouched(d secret.Document) bool {
	forwards, _ := d.Bool(keyPooler)
	return forwards
}

// LoginsArePooled implements rotator.PooledLogins.
func (b ByEngine) LoginsArePooled(d secret.Document) bool { return vouched(d) }

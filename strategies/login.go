package strategies

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// The keys of a database secret. All but the last three are AWS's.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
const (
	keyEngine    = "engine"
	keyHost      = "host"
	keyPort      = "port"
	keyDatabase  = "dbname"
	keyUser      = "username"
	keyPassword  = "password"
	keyTLS       = "ssl"
	keySuperuser = "masterarn"

	keyServerName = "tlsServerName"     // the name in the certificate, where it is not the host's
	keyAlternate  = "alternateUsername" // the other account of a pair made beforehand
	// keyPooler: true says that what stands before the database has it judge every login.
	keyPooler = "poolerForwardsLogins"
)

// parseLogin reads who logs in where. It names every missing key at once.
func (t Traits) parseLogin(d secret.Document) (Login, error) {
	var missing []string
	for _, key := range []string{keyEngine, keyHost, keyUser, keyPassword} {
		if d.Text(key) == "" {
			missing = append(missing, key)
		}
	}
	if missing != nil {
		return Login{}, fmt.Errorf("secret: %w: missing or not a string: %s. Required: engine, host, username, "+
			"password", rotator.KindMisconfigured, strings.Join(missing, ", "))
	}
	if !slices.Contains(t.Engines, d.Text(keyEngine)) {
		return Login{}, fmt.Errorf("secret: %w: %w: engine is %.80q, and this function rotates %s",
			rotator.KindMisconfigured, rotator.ErrOtherEngine, d.Text(keyEngine), strings.Join(t.Engines, ", "))
	}
	port, err := t.port(d)
	if err != nil {
		return Login{}, err
	}
	database, err := optionalText(d, keyDatabase)
	if err != nil {
		return Login{}, err
	}
	serverName, err := optionalText(d, keyServerName)
	if err != nil {
		return Login{}, err
	}
	login := Login{
		Host:     d.Text(keyHost),
		Port:     port,
		Database: database,
		User:     d.Text(keyUser),
		Password: d.Password(),
		TLS:      TLS{ServerName: serverName},
		Extra:    t.extra(d),
	}
	if login.Database == "" {
		login.Database = t.Database
	}
	// AWS's meaning of the key, but for one thing: where it is absent, or neither
	// true nor false, AWS's templates fall back to plaintext. Here only false,
	// written out, turns TLS off.
	if on, ok := d.Bool(keyTLS); ok && !on {
		login.TLS.Disabled = true
	}
	login.PoolerForwardsLogins = vouched(d)
	login.Rotates = d.Has(keyRotates)
	return login, t.check(login)
}

// optionalText gives a key that may be left out: null and "" are as good as absent, and
// what is no string is said, for it would be taken for absent as well.
func optionalText(d secret.Document, key string) (string, error) {
	if shape := d.Shape(key); shape != "" && shape != "null" && shape != "a string" {
		return "", fmt.Errorf("secret: %w: %s is %s: it must be a string, or left out",
			rotator.KindMisconfigured, key, shape)
	}
	return d.Text(key), nil
}

// extra reads the engine's own keys.
func (t Traits) extra(d secret.Document) map[string]string {
	var all map[string]string
	for _, key := range t.Keys {
		if !d.Has(key.Name) {
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key.Name] = d.Compact(key.Name)
	}
	return all
}

// serverKeys are the engine's own keys that name servers, as one login says them.
func (t Traits) serverKeys(login Login) map[string]string {
	all := maps.Clone(login.Extra)
	maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(t.Keys, Key{name, true}) })
	return all
}

func (t Traits) port(d secret.Document) (int, error) {
	if shape := d.Shape(keyPort); shape == "" || shape == "null" || shape == "a string" && d.Text(keyPort) == "" {
		return t.Port, nil
	}
	n, _ := d.Int(keyPort) // 0 where it is no number
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("secret: %w: port is not a number from 1 to 65535", rotator.KindMisconfigured)
	}
	return n, nil
}

// check refuses what no server could mean. Control characters would forge log
// lines, and a socket path or a list of hosts would lead the driver elsewhere.
func (t Traits) check(login Login) error {
	if host, port, _ := net.SplitHostPort(login.Host); hostName(host) && port != "" &&
		strings.Trim(port, "0123456789") == "" {
		return fmt.Errorf("secret: %w: host is %.80q, with a port in it: store %q as host and %s as port (Terraform: "+
			"address of aws_db_instance, not endpoint)", rotator.KindMisconfigured, login.Host, host, port)
	}
	if !hostName(login.Host) {
		return fmt.Errorf("secret: %w: host is not one host name or address: want at most 255 letters, digits, dots, "+
			"dashes and colons, and no brackets", rotator.KindMisconfigured)
	}
	if !hostName(login.TLS.ServerName) {
		return fmt.Errorf("secret: %w: tlsServerName is not one host name or address: want the name in the server's "+
			"certificate", rotator.KindMisconfigured)
	}
	if err := t.checkUser(login.User); err != nil {
		return err
	}
	if strings.ContainsRune(login.Database, 0) || len(login.Database) > 255 {
		return fmt.Errorf("secret: %w: dbname is none that a server could have: want at most 255 bytes without a NUL",
			rotator.KindMisconfigured)
	}
	return nil
}

// hostName says whether a name may be dialled: a percent sign begins the zone of an
// address of IPv6, which alone has colons, and underscores are in names of containers.
func hostName(s string) bool {
	if _, err := netip.ParseAddr(s); err != nil && strings.Contains(s, ":") {
		return false
	}
	return len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && !(r >= '0' && r <= '9') && !strings.ContainsRune(".-:_%", r)
	})
}

func (t Traits) checkUser(name string) error {
	switch {
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("user name: %w: it holds a NUL", rotator.KindMisconfigured)
	case t.MaxUserBytes > 0 && len(name) > t.MaxUserBytes:
		return fmt.Errorf("user name %.80q: %w: %d bytes, and %s takes %d", name, rotator.KindMisconfigured, len(name),
			t.Name, t.MaxUserBytes)
	}
	return nil
}

// parseLogins reads both values of a rotation.
func (t Traits) parseLogins(r rotator.Rotation) (current, pending Login, err error) {
	if current, err = t.parseLogin(r.Current); err != nil {
		return current, pending, fmt.Errorf("AWSCURRENT: %w", err)
	}
	if pending, err = t.parseLogin(r.Pending); err != nil {
		return current, pending, fmt.Errorf("AWSPENDING: %w", err)
	}
	return current, pending, nil
}

// checkSameDatabase refuses a pending value that leads anywhere else than the current one
// does, before a password is sent there.
func checkSameDatabase(current, pending Login) error {
	var differ []string
	if !sameName(current.Host, pending.Host) {
		differ = append(differ, fmt.Sprintf("host %q instead of %q", pending.Host, current.Host))
	}
	if current.Port != pending.Port {
		differ = append(differ, fmt.Sprintf("port %d instead of %d", pending.Port, current.Port))
	}
	if current.Database != pending.Database {
		differ = append(differ, fmt.Sprintf("dbname %q instead of %q", pending.Database, current.Database))
	}
	if current.TLS != pending.TLS {
		differ = append(differ, "other TLS settings (ssl, tlsServerName)")
	}
	for _, key := range differing(current.Extra, pending.Extra) {
		differ = append(differ, "another "+key)
	}
	if differ != nil {
		return rotator.WithFix(fmt.Errorf("%w: it differs from AWSCURRENT in %s. A rotation changes only credentials",
			rotator.KindConflict, strings.Join(differ, ", ")), "status says what to do")
	}
	return nil
}

// differing are the keys of which only one of two has a value, or both another.
func differing(a, b map[string]string) []string {
	all := maps.Clone(a)
	for key, value := range b {
		if was, ok := a[key]; ok && was == value {
			delete(all, key)
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
	}
	return slices.Sorted(maps.Keys(all))
}

func sameEndpoint(a, b Login) bool {
	return sameName(a.Host, b.Host) && a.Port == b.Port
}

// sameName compares names of DNS: case does not count, nor does the dot that ends a
// full name.
func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// asStrict says whether what wants to be sent as own may be sent as there: under TLS
// that is verified for the same name, unless own does without TLS.
func asStrict(there, own Login) bool {
	return own.TLS.Disabled || !there.TLS.Disabled && sameName(there.serverName(), own.serverName())
}

// serverName is the name that the server's certificate has to bear.
func (l Login) serverName() string {
	return cmp.Or(l.TLS.ServerName, l.Host)
}

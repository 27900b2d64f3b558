package strategytest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies/strategytest/census"
)

// StrategyFixture is a strategy and a secret to rotate. Strategy, Current and
// LogIn are required. What else is missing makes cases skip, and say so.
type StrategyFixture struct {
	Strategy rotator.Strategy
	Current  secret.Document // valid, and fresh: no other fixture has this account
	// LogIn tries the credentials in a value, by other means than the strategy.
	// It is KindLoginRejected if they were judged and not accepted.
	LogIn func(ctx context.Context, d secret.Document) error

	// Census is everything that the server stores of all its accounts, by census.Fact. It is
	// taken before and after each call, or each rotation.
	Census func(ctx context.Context) (map[string]string, error)
	// Others are the secrets of others at the same server, by a name for reports. Those
	// that log in before a rotation must log in after it.
	Others map[string]secret.Document
	// Rights lists what an account may do, as the server says it when asked by a login
	// with these credentials. What follows from the account's name alone is left out, and
	// "superuser" stands for everything.
	Rights func(ctx context.Context, d secret.Document) ([]string, error)
	// Hosts are where clients come from, if the server has an account for each, and
	// LogInFrom is a login from there. nil: LogIn.
	Hosts     []string
	LogInFrom func(ctx context.Context, host string, d secret.Document) error

	// Related reads the secrets that Current names. nil: there are none.
	Related func(ctx context.Context, secretID string) (secret.Document, error)
	// Logins counts the credentials that were tried on the server so far, by
	// whomever, also if it did not answer.
	Logins func() int
	// KeepsCurrent says that Current stays valid while and after the pending value
	// becomes so, as with alternating users.
	KeepsCurrent bool

	// Member is the key of the credential that a rotation changes. "": password.
	Member string
	// NoFallback says that Apply tries AWSCURRENT alone. Where it is false, the suite
	// assumes that Apply tries AWSPENDING and AWSPREVIOUS where AWSCURRENT is rejected, and
	// that its error then holds rotator.LoginAttempts. rotator.Strategy demands neither.
	NoFallback bool
	// NoPolicy says that what makes the credential does not go by r.PasswordPolicy, as
	// where a provider makes it (rotator.Minter).
	NoPolicy bool
	// ValidAtOnce says that what Propose or Mint makes is valid before Apply, as keys are
	// with most providers. Where it is false, the suite assumes that it is not.
	ValidAtOnce bool

	Required []string // keys without which nothing works. nil: engine, host, username, password
	Identity []string // keys that say which account and place. nil: engine, host, port, dbname, username
	Changes  []string // keys whose values a rotation changes. nil: username, Member, alternateUsername
	Patience time.Duration
}

// TestStrategy runs the suite for strategies: one subtest for each case, in
// parallel, each with a fixture of its own.
func TestStrategy(t *testing.T, newFixture func(t *testing.T) StrategyFixture) {
	run(t, StrategyCases(), newFixture)
}

// StrategyCases gives the suite for strategies, for use outside of go test.
func StrategyCases() []Case[StrategyFixture] {
	var cases []Case[StrategyFixture]
	for _, rules := range [][]strategyRule{nextRules(), applyRules(), searchRules(), superuserRules(),
		entitlementStrategyRules(), rotationRules(), bystanderRules()} {
		for _, r := range rules {
			cases = append(cases,
				Case[StrategyFixture]{r.name, r.why, func(ctx context.Context, f StrategyFixture) error {
					if f.Strategy == nil || f.Current.IsZero() || f.LogIn == nil {
						return errors.New("fixture: Strategy, Current and LogIn are required")
					}
					w := newTurn(f)
					related, err := f.RelatedSecrets(ctx)
					if err != nil {
						return w.redact(fmt.Errorf("fixture: %w", err))
					}
					clients := f.Clients()
					others := clients.Admitted(ctx, f.others(related))
					err, deaf := respectsContext(ctx, f.Patience, "the whole case", func(ctx context.Context) error {
						return r.check(ctx, w)
					})
					ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), censusTime)
					defer cancel()
					return w.redact(found(err, deaf, w.watcher.verdict(), clients.StillAdmitted(ctx, others)))
				}})
		}
	}
	return cases
}

type strategyRule struct {
	name, why string
	check     func(ctx context.Context, w *caseEnv) error
}

// caseEnv is a fixture, and what cases do with it.
type caseEnv struct {
	StrategyFixture
	passwordSet
	raw      rotator.Strategy // Strategy, with nothing around it
	watcher  *watcher         // nil: there is no Census
	previous secret.Document  // what AWSPREVIOUS holds; zero: there is none

	notesMu sync.Mutex
	notes   []string
}

// proposed is a check that begins with a value from Propose.
func proposed(check func(ctx context.Context, w *caseEnv, pending secret.Document) error) func(context.Context,
	*caseEnv) error {
	return func(ctx context.Context, w *caseEnv) error {
		pending, err := w.next(ctx, w.Current)
		if err != nil {
			return err
		}
		return check(ctx, w, pending)
	}
}

func (f StrategyFixture) member() string { return cmp.Or(f.Member, "password") }

// Clients are those who log in by Current.
func (f StrategyFixture) Clients() census.Clients {
	return census.Clients{LogIn: f.LogIn, Hosts: f.Hosts, LogInFrom: f.LogInFrom}
}

// RelatedSecrets reads the secrets that Current names.
func (f StrategyFixture) RelatedSecrets(ctx context.Context) (map[string]secret.Document, error) {
	all := map[string]secret.Document{}
	if id := f.Current.Text(keySuperuser); id != "" && f.Related != nil {
		switch d, err := f.Related(ctx, id); {
		case errors.Is(err, rotator.KindNotFound): // a secret that names nothing, or itself
		case err != nil:
			return nil, err
		default:
			all[id] = d
		}
	}
	return all, nil
}

// others are all secrets but the one to rotate.
func (f StrategyFixture) others(related map[string]secret.Document) map[string]secret.Document {
	all := maps.Clone(related)
	maps.Copy(all, f.Others)
	return all
}

func newTurn(f StrategyFixture) *caseEnv {
	w := &caseEnv{StrategyFixture: f, raw: f.Strategy}
	if f.Hosts != nil {
		w.LogIn = f.Clients().Everywhere
	}
	if f.Census != nil {
		w.watcher = &watcher{take: f.Census}
		s := watchedStrategy{Strategy: f.Strategy, watcher: w.watcher}
		if related, err := f.RelatedSecrets(context.Background()); err == nil {
			s.superuser = related[f.Current.Text(keySuperuser)].Text("username")
		}
		w.Strategy = s
	}
	if w.Required == nil {
		w.Required = []string{"engine", "host", "username", w.member()}
	}
	if w.Identity == nil {
		w.Identity = []string{"engine", "host", "port", "dbname", "username"}
	}
	if w.Changes == nil {
		w.Changes = []string{"username", w.member(), "alternateUsername"}
	}
	if w.Related == nil {
		w.Related = func(context.Context, string) (secret.Document, error) {
			return secret.Document{}, rotator.KindNotFound
		}
	}
	w.remember(f.Current)
	return w
}

func (w *caseEnv) remember(d secret.Document) {
	w.keep(append(d.SecretValues(), secret.NewPassword(d.Text(w.member())))...)
}

// rotation is what the core would hand to a strategy.
func (w *caseEnv) rotation(current, pending secret.Document) rotator.Rotation {
	return rotator.Rotation{
		SecretARN: secretARN(w.Current),
		VersionID: "version-" + unique(),
		Current:   current,
		Pending:   pending,
		ReadPrevious: func(context.Context) (secret.Document, error) {
			if w.previous.IsZero() {
				return secret.Document{}, fmt.Errorf("AWSPREVIOUS: %w", rotator.KindNotFound)
			}
			return w.previous, nil
		},
		ReadSecret: func(ctx context.Context, id string) (secret.Document, error) {
			d, err := w.Related(ctx, id)
			w.remember(d)
			return d, err
		},
		Log: func(format string, args ...any) {
			w.notesMu.Lock()
			defer w.notesMu.Unlock()
			w.notes = append(w.notes, fmt.Sprintf(format, args...))
		},
	}
}

func (w *caseEnv) next(ctx context.Context, current secret.Document) (secret.Document, error) {
	d, err := w.Strategy.Propose(ctx, w.rotation(current, secret.Document{}))
	w.remember(d)
	minter, mints := w.raw.(rotator.Minter)
	if err != nil || !mints {
		return d, wrapf(err, "Propose")
	}
	d, err = minter.Mint(ctx, w.rotation(current, d))
	w.remember(d)
	return d, wrapf(err, "Mint")
}

func (w *caseEnv) apply(ctx context.Context, current, pending secret.Document) error {
	return w.Strategy.Apply(ctx, w.rotation(current, pending))
}

func (w *caseEnv) verify(ctx context.Context, pending secret.Document) error {
	return w.Strategy.Verify(ctx, w.rotation(secret.Document{}, pending))
}

// verifyBeside is Verify of a value that no Apply has looked at, as a diagnosis asks.
func (w *caseEnv) verifyBeside(ctx context.Context, current, pending secret.Document) error {
	return w.Strategy.Verify(ctx, w.rotation(current, pending))
}

func (w *caseEnv) mustLogIn(ctx context.Context, d secret.Document, what string) error {
	return wrapf(w.LogIn(ctx, d), "%s must be valid", what)
}

func (w *caseEnv) mustReject(ctx context.Context, d secret.Document, what string) error {
	return wantKind("login with "+what, w.LogIn(ctx, d), rotator.KindLoginRejected)
}

// mustBeUnchanged says whether the server is as it was before pending was made.
func (w *caseEnv) mustBeUnchanged(ctx context.Context, pending secret.Document) error {
	return steps(
		func() error { return w.mustLogIn(ctx, w.Current, "the current value") },
		func() error {
			if w.ValidAtOnce {
				return nil
			}
			return w.mustReject(ctx, pending, "the pending value, which was not applied")
		},
	)
}

// wrong is a value with a password of no account.
func (w *caseEnv) wrong(d secret.Document) secret.Document {
	d = d.Set(w.member(), "Wrong1-"+unique()+unique())
	w.remember(d)
	return d
}

// raw writes JSON of our own choosing into an object, as its first members.
func raw(d secret.Document, members string) (secret.Document, error) {
	text := d.Encode().Reveal()
	at := strings.IndexByte(text, '{') + 1
	return secret.ParseDocument(text[:at] + members + text[at:])
}

// member writes one member anew. A string would do for most, but not for a port.
func member(d secret.Document, key string, value any) (secret.Document, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(d.Encode().Reveal()), &all); err != nil {
		return d, errors.New("fixture: the value is no JSON object")
	}
	delete(all, key)
	if value != nil {
		all[key], _ = json.Marshal(value)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return d, err
	}
	return secret.ParseDocument(string(text))
}

func nextRules() []strategyRule {
	return []strategyRule{
		{"propose/changes-nothing", "createSecret is retried, and its value thrown away if another won: it must not " +
			"have touched the database.",
			proposed(func(ctx context.Context, w *caseEnv, pending secret.Document) error {
				return w.mustBeUnchanged(ctx, pending)
			})},
		{"propose/keeps-unknown-members", "Applications keep settings of their own in a secret; a rotation that " +
			"drops one breaks them.", func(ctx context.Context, w *caseEnv) error {
			current, err := raw(w.Current, `"kept by quarterturn's suite":"kept","suite n":1.50,"suite big":12345678901234567890,"suite nested":{"b":[1, 2 ,3],"a":null},"suite yes":true,`)
			if err != nil {
				return err
			}
			pending, err := w.next(ctx, current)
			if err != nil {
				return err
			}
			return sameBut(w.Changes, current, pending)
		}},
		{"propose/keeps-order-and-bytes", "People compare versions, and tools sign them: what was not meant to " +
			"change must be the same to the byte.", func(ctx context.Context, w *caseEnv) error {
			current, err := raw(w.Current, "\n\t\"suite zeta\" : \"\\u0041\\/<>&\" ,\n\t\"suite alpha\":  [ ] , "+
				"\"suite E\" : 1e3,")
			if err != nil {
				return err
			}
			pending, err := w.next(ctx, current)
			if err != nil {
				return err
			}
			if pending.Equal(current) {
				return errors.New("strategy: Propose changed nothing at all")
			}
			if !sameBytes(w.Changes, current, pending) {
				return fmt.Errorf("strategy: Propose changed more than the values of %s (Changes): the order of "+
					"members, white space or spelling", strings.Join(w.Changes, ", "))
			}
			return nil
		}},
		{"propose/differs", "A password that is made twice, or kept, is not rotated.",
			func(ctx context.Context, w *caseEnv) error {
				first, err := w.next(ctx, w.Current)
				if err != nil {
					return err
				}
				second, err := w.next(ctx, w.Current)
				switch {
				case err != nil:
					return err
				case first.Equal(second):
					return errors.New("strategy: Propose gave the same value twice")
				case first.Text(w.member()) == w.Current.Text(w.member()), first.Text(w.member()) == "":
					return fmt.Errorf("strategy: the new value has the old %s, or none", w.member())
				}
				return nil
			}},
		{"propose/policy", "The operator's policy is there because something cannot take other passwords.",
			func(ctx context.Context, w *caseEnv) error {
				if w.NoPolicy {
					return notOffered("a password that is made here (NoPolicy)")
				}
				r := w.rotation(w.Current, secret.Document{})
				r.PasswordPolicy = secret.PasswordPolicy{Length: 41, ExcludePunctuation: true, ExcludeUppercase: true}
				d, err := w.Strategy.Propose(ctx, r)
				w.remember(d)
				if err != nil {
					return fmt.Errorf("strategy: Propose: %w", err)
				}
				p := d.Text(w.member())
				if len(p) != 41 || strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
					return errors.New("strategy: Propose made a password of another length, or of other " +
						"characters, than " +
						"the policy says")
				}
				return nil
			}},
		{"propose/missing-keys", "A secret that cannot work must be named as the cause, with the key to add, before " +
			"anything is changed.", proposed(func(ctx context.Context, w *caseEnv, pending secret.Document) error {
			for _, key := range w.Required {
				if !w.Current.Has(key) {
					return fmt.Errorf("fixture: Current has no %s, which is Required", key)
				}
				less, err := member(w.Current, key, nil)
				if err != nil {
					return err
				}
				lessPending, err := member(pending, key, nil)
				if err != nil {
					return err
				}
				_, atNext := w.Strategy.Propose(ctx, w.rotation(less, secret.Document{}))
				for what, err := range map[string]error{
					"Propose":                           atNext,
					"Apply, the current value lacks it": w.apply(ctx, less, pending),
					"Apply, the pending value lacks it": w.apply(ctx, w.Current, lessPending),
					"Verify":                            w.verify(ctx, lessPending),
				} {
					what += " without " + key
					if err := wantKind(what, err, rotator.KindMisconfigured); err != nil {
						return err
					}
					if !strings.Contains(err.Error(), key) {
						return fmt.Errorf("%s: the error does not name the key: %w", what, err)
					}
				}
			}
			return w.mustBeUnchanged(ctx, pending)
		})},
		{"propose/no-document", "An empty version or a slip in the core must end in a sentence and not in a panic.",
			func(ctx context.Context, w *caseEnv) error {
				var none secret.Document
				_, atNext := w.Strategy.Propose(ctx, w.rotation(none, none))
				pending, err := w.next(ctx, w.Current)
				if err != nil {
					return err
				}
				return steps(
					func() error { return wantKind("Propose of no document", atNext, rotator.KindMisconfigured) },
					func() error {
						return wantKind("Apply to no document", w.apply(ctx, none, pending), rotator.KindMisconfigured)
					},
					func() error {
						return wantKind("Apply of no document", w.apply(ctx, w.Current, none),
							rotator.KindMisconfigured)
					},
					func() error {
						return wantKind("Verify of no document", w.verify(ctx, none),
							rotator.KindMisconfigured)
					},
				)
			}},
	}
}

// members gives the values of an object as they are written.
func members(d secret.Document) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(d.Encode().Reveal()), &all) != nil {
		return nil
	}
	return all
}

// sameBut says which members differ that must not.
func sameBut(changes []string, before, after secret.Document) error {
	was, is := members(before), members(after)
	for key, value := range was {
		got, ok := is[key]
		switch {
		case !ok:
			return fmt.Errorf("strategy: Propose dropped the member %q", key)
		case !slices.Contains(changes, key) && string(got) != string(value):
			return fmt.Errorf("strategy: Propose changed the member %q: if it is meant to, name it in Changes", key)
		}
	}
	for key := range is {
		if _, ok := was[key]; !ok {
			return fmt.Errorf("strategy: Propose added the member %q", key)
		}
	}
	return nil
}

// sameBytes compares two texts, with what may change taken out of both.
func sameBytes(changes []string, before, after secret.Document) bool {
	a, b := before, after
	for _, key := range changes {
		if before.Has(key) && after.Has(key) {
			a, b = a.Set(key, "-"), b.Set(key, "-")
		}
	}
	return a.Equal(b)
}

func applyRules() []strategyRule {
	return []strategyRule{
		{"apply/then-verify", "This is a rotation.",
			proposed(func(ctx context.Context, w *caseEnv, pending secret.Document) error {
				return steps(
					func() error { return wrapf(w.apply(ctx, w.Current, pending), "Apply") },
					func() error { return wrapf(w.verify(ctx, pending), "Verify") },
					func() error { return w.mustLogIn(ctx, pending, "the pending value, after Apply") },
				)
			})},
		{"apply/keeps-current", "With alternating users clients go on with the current value until they have read " +
			"the new one.", func(ctx context.Context, w *caseEnv) error {
			if !w.KeepsCurrent {
				return notOffered("KeepsCurrent")
			}
			pending, err := w.next(ctx, w.Current)
			if err != nil {
				return err
			}
			return steps(
				func() error { return wrapf(w.apply(ctx, w.Current, pending), "Apply") },
				func() error { return w.mustLogIn(ctx, w.Current, "the current value, after Apply") },
			)
		}},
		{"apply/twice", "setSecret is retried after it succeeded, and when its answer was lost.",
			proposed(func(ctx context.Context, w *caseEnv, pending secret.Document) error {
				return steps(
					func() error { return wrapf(w.apply(ctx, w.Current, pending), "Apply") },
					func() error { return wrapf(w.apply(ctx, w.Current, pending), "the same Apply again") },
					func() error { return w.mustLogIn(ctx, pending, "the pending value, after both") },
				)
			})},
		{"apply/duplicates-at-once", "Lambda delivers events twice, and both run.",
			proposed(func(ctx context.Context, w *caseEnv, pending secret.Document) error {
				err := together(4, func(int) error {
					err := w.apply(ctx, w.Current, pending)
					if errors.Is(err, rotator.KindConflict) {
						return nil // it will be retried
					}
					return err
				})
				return steps(
					func() error { return wrapf(err, "Apply, four at once") },
					func() error { return wrapf(w.apply(ctx, w.Current, pending), "Apply, once more after that") },
					func() error { return w.mustLogIn(ctx, pending, "the pending value, after all of them") },
				)
			})},
		{"apply/always-a-way-in", "At every moment a stored value must be valid, or a crash leaves a database that " +
			"no client can enter.", proposed(func(ctx context.Context, w *caseEnv, pending secret.Document) error {
			watching, stop := context.WithCancel(ctx)
			defer stop()
			seen, began := make(chan error, 1), make(chan struct{})
			go func() {
				// Each host by itself: the change may fall between the logins of two of them.
				seen <- watch(watching, began, func(ctx context.Context) error {
					for _, host := range w.Clients().Origins() {
						err := w.Clients().From(ctx, host, w.Current)
						if errors.Is(err, rotator.KindLoginRejected) && !w.KeepsCurrent {
							err = w.Clients().From(ctx, host, pending)
						}
						if err != nil {
							return wrapf(err, "login%s", census.FromHost(host))
						}
					}
					return nil
				})
			}()
			<-began
			for range 3 {
				if err := w.apply(ctx, w.Current, pending); err != nil {
					return fmt.Errorf("strategy: Apply: %w", err)
				}
			}
			stop()
			return wrapf(<-seen, "while Apply ran, a client with the stored values")
		})},
		{"apply/identity", "A principal that may write AWSPENDING could send the password to a host of their own, or " +
			"have another account changed.", identity("Apply", (*caseEnv).apply)},
		{"apply/cancelled", "Lambda's time is over: nothing may begin now, and no credentials may be blamed.",
			proposed(func(ctx context.Context, w *caseEnv, pending secret.Document) error {
				over, cancel := context.WithCancel(ctx)
				cancel()
				for what, call := range map[string]func(ctx context.Context) error{
					"Apply":  func(ctx context.Context) error { return w.apply(ctx, w.Current, pending) },
					"Verify": func(ctx context.Context) error { return w.verify(ctx, pending) },
				} {
					err, deaf := respectsContext(over, w.Patience, what, call)
					if deaf != nil {
						return deaf
					}
					if err := wantFailure(what+" with a cancelled context", err); err != nil {
						return err
					}
				}
				return w.mustBeUnchanged(ctx, pending)
			})},
		{"verify/before-apply", "testSecret is the last look before a value is promoted: it has to be able to fail.",
			func(ctx context.Context, w *caseEnv) error {
				if w.ValidAtOnce {
					err := w.verify(ctx, w.wrong(w.Current))
					return wantKind("Verify of a value that was never valid", err, rotator.KindLoginRejected)
				}
				pending, err := w.next(ctx, w.Current)
				if err != nil {
					return err
				}
				return steps(
					func() error {
						return wantKind("Verify before Apply", w.verify(ctx, pending), rotator.KindLoginRejected)
					},
					func() error { return w.mustBeUnchanged(ctx, pending) },
				)
			}},
		{"verify/identity", "A diagnosis has values tested that no Apply has compared: their passwords belong to the " +
			"account and place of AWSCURRENT alone.", func(ctx context.Context, w *caseEnv) error {
			return steps(
				func() error {
					return wrapf(w.verifyBeside(ctx, w.Current, w.Current), "Verify beside the current value")
				},
				func() error { return identity("Verify", (*caseEnv).verifyBeside)(ctx, w) },
			)
		}},
		{"verify/changes-nothing", "testSecret also runs alone, as the service's test of a configuration.",
			func(ctx context.Context, w *caseEnv) error {
				return steps(
					func() error { return wrapf(w.verify(ctx, w.Current), "Verify of the current value") },
					func() error { return w.mustLogIn(ctx, w.Current, "the current value, after Verify") },
				)
			}},
	}
}

// identity alters each key that says which account and place, in the value that a
// method is given beside AWSCURRENT. The altered place is a trap: no connection may come
// there.
func identity(method string, call func(w *caseEnv, ctx context.Context, current,
	pending secret.Document) error) func(context.Context, *caseEnv) error {
	return func(ctx context.Context, w *caseEnv) error {
		return w.identity(ctx, method, func(ctx context.Context, pending secret.Document) error {
			return call(w, ctx, w.Current, pending)
		})
	}
}

func (w *caseEnv) identity(ctx context.Context, method string,
	call func(ctx context.Context, pending secret.Document) error) error {
	trap, err := listenSilently()
	if err != nil {
		return err
	}
	defer trap.close()
	pending, err := w.next(ctx, w.Current)
	if err != nil {
		return err
	}
	for _, key := range w.Identity {
		altered, err := member(pending, key, w.elsewhere(key, trap))
		if err != nil {
			return err
		}
		if key == "host" || key == "port" { // an open door, if a login went there
			other := map[string]string{"host": "port", "port": "host"}[key]
			both, err := member(altered, other, w.elsewhere(other, trap))
			if err != nil {
				return err
			}
			if err := w.refusesUnasked(ctx, trap, method+" of a value that names another host and port", both,
				call); err != nil {
				return err
			}
		}
		if err := w.refusesUnasked(ctx, trap, method+" of a value that names another "+key, altered, call); err != nil {
			return err
		}
	}
	if err := trap.unvisited("the strategy connected to the place that only the pending value names"); err != nil {
		return err
	}
	return w.mustBeUnchanged(ctx, pending)
}

// elsewhere gives the value of a key that leads to a trap, or away from Current.
func (w *caseEnv) elsewhere(key string, trap *fakeServer) any {
	switch {
	case key == "host" && w.Current.Text(key) == "127.0.0.1":
		return "localhost"
	case key == "host":
		return "127.0.0.1"
	case key == "port":
		return trap.port()
	}
	return "other_" + unique()
}

// refusesUnasked says whether a call refuses a value without asking a server.
func (w *caseEnv) refusesUnasked(ctx context.Context, trap *fakeServer, what string, d secret.Document,
	call func(ctx context.Context, pending secret.Document) error) error {
	before := 0
	if w.Logins != nil {
		before = w.Logins()
	}
	ctx, cancel := trap.untilVisited(ctx)
	defer cancel()
	err, deaf := respectsContext(ctx, w.Patience, what, func(ctx context.Context) error { return call(ctx, d) })
	if deaf != nil {
		return deaf
	}
	if err := wantKind(what, err, rotator.KindConflict, rotator.KindMisconfigured); err != nil {
		return err
	}
	if w.Logins != nil && w.Logins() != before {
		return fmt.Errorf("strategy: %s: credentials were tried before it was refused", what)
	}
	return nil
}

func searchRules() []strategyRule {
	return []strategyRule{
		{"apply/previous", "After a restored backup or a promotion too early, the server knows the password before: " +
			"finding it ends an incident.", func(ctx context.Context, w *caseEnv) error {
			if w.NoFallback {
				return notOffered("a fallback to AWSPREVIOUS (NoFallback)")
			}
			current := w.wrong(w.Current)
			pending, err := w.next(ctx, current)
			if err != nil {
				return err
			}
			w.previous = w.Current
			return steps(
				func() error {
					return wrapf(w.apply(ctx, current, pending),
						"Apply, where AWSPREVIOUS alone is valid")
				},
				func() error { return w.mustLogIn(ctx, pending, "the pending value, after Apply") },
			)
		}},
		{"apply/previous-elsewhere", "AWSPREVIOUS may be of another server: its password belongs there alone, and " +
			"ours does not.", func(ctx context.Context, w *caseEnv) error {
			if !w.Current.Has("host") {
				return notOffered("a host in Current")
			}
			trap, err := listenSilently()
			if err != nil {
				return err
			}
			defer trap.close()
			current := w.wrong(w.Current)
			pending, err := w.next(ctx, current)
			if err != nil {
				return err
			}
			if w.previous, err = member(w.Current, "host", w.elsewhere("host", trap)); err != nil {
				return err
			}
			if w.previous, err = member(w.previous, "port", trap.port()); err != nil {
				return err
			}
			limited, cancel := trap.untilVisited(ctx)
			defer cancel()
			err = w.apply(limited, current, pending)
			if err == nil {
				return errors.New("strategy: Apply used the password of a previous value that is for another server")
			}
			if err := trap.unvisited("the strategy connected to the place that only the previous " +
				"value names"); err != nil {
				return err
			}
			return w.mustBeUnchanged(ctx, pending)
		}},
		{"apply/all-rejected", "\"Unable to log into database with previous, current, or pending\" sent people " +
			"guessing for years: each attempt has a cause of its own.", func(ctx context.Context, w *caseEnv) error {
			if w.NoFallback {
				return notOffered("several attempts (NoFallback)")
			}
			err := w.allRejected(ctx)
			if err := wantKind("Apply, where no stored value is valid", err, rotator.KindLoginRejected); err != nil {
				return err
			}
			tried, ok := errors.AsType[rotator.LoginAttempts](err)
			if !ok {
				return fmt.Errorf("the error has no rotator.LoginAttempts in it: %w", err)
			}
			for _, label := range []string{rotator.LabelCurrent, rotator.LabelPending, rotator.LabelPrevious} {
				i := slices.IndexFunc(tried, func(a rotator.LoginAttempt) bool { return a.Label == label })
				if i < 0 || !strings.Contains(err.Error(), label) {
					return fmt.Errorf("the error does not say what came of %s: %w", label, err)
				}
				if err := wantKind("the attempt with "+label, tried[i].Err, rotator.KindLoginRejected); err != nil {
					return err
				}
			}
			return w.mustLogIn(ctx, w.Current, "the value that was not stored (nothing was to be changed)")
		}},
		{"apply/bounded-logins", "Accounts are locked after a few wrong passwords: three candidates are tried, " +
			"once each.", func(ctx context.Context, w *caseEnv) error {
			if w.Logins == nil {
				return notOffered("Logins")
			}
			before := w.Logins()
			if err := w.allRejected(ctx); err == nil {
				return errors.New("strategy: Apply, where no stored value is valid: no error")
			}
			if n := w.Logins() - before; n > 3 {
				return fmt.Errorf("strategy: Apply tried credentials %d times; three values are stored", n)
			}
			return nil
		}},
		{"apply/network-is-no-rejection", "Trying every password at a server that is starting up locks the account " +
			"as soon as it is there.", func(ctx context.Context, w *caseEnv) error {
			if !w.Current.Has("host") || !w.Current.Has("port") {
				return notOffered("a host and a port in Current")
			}
			port, err := closedPort()
			if err != nil {
				return err
			}
			pending, err := w.next(ctx, w.Current)
			if err != nil {
				return err
			}
			var moved [3]secret.Document
			for i, d := range []secret.Document{w.Current, pending, w.wrong(w.Current)} {
				if moved[i], err = member(d, "host", "127.0.0.1"); err != nil {
					return err
				}
				if moved[i], err = member(moved[i], "port", port); err != nil {
					return err
				}
			}
			w.previous = moved[2]
			before := 0
			if w.Logins != nil {
				before = w.Logins()
			}
			err = w.apply(ctx, moved[0], moved[1])
			if err := wantFailure("Apply at a closed port", err); err != nil {
				return err
			}
			if tried, ok := errors.AsType[rotator.LoginAttempts](err); ok && len(tried) > 1 {
				return fmt.Errorf("strategy: Apply at a closed port: went on to other credentials: %w", err)
			}
			if w.Logins != nil && w.Logins()-before > 1 {
				return fmt.Errorf("strategy: Apply at a closed port: tried credentials %d times", w.Logins()-before)
			}
			return w.mustBeUnchanged(ctx, pending)
		}},
	}
}

// allRejected applies a value where the server accepts none that is stored.
func (w *caseEnv) allRejected(ctx context.Context) error {
	current := w.wrong(w.Current)
	pending, err := w.next(ctx, current)
	if err != nil {
		return nil // a nil error is what no case takes
	}
	w.previous = w.wrong(w.Current)
	return w.apply(ctx, current, pending)
}

// secretARN names the secret of a fixture: in the Region of the superuser secret that it names, for a
// function reads no other.
func secretARN(current secret.Document) string {
	partition, region := "aws", "eu-central-1"
	if parts := strings.Split(current.Text(keySuperuser), ":"); len(parts) > 4 && parts[0] == "arn" {
		partition, region = parts[1], parts[3]
	}
	return "arn:" + partition + ":secretsmanager:" + region + ":123456789012:secret:suite-a1b2c3"
}

// keySuperuser names the superuser secret.
const keySuperuser = "masterarn"

func superuserRules() []strategyRule {
	return []strategyRule{
		{"superuser/from-current-only", "A principal that may write AWSPENDING could have another superuser secret " +
			"read and used.", func(ctx context.Context, w *caseEnv) error {
			if !w.Current.Has(keySuperuser) {
				return notOffered("masterarn in Current")
			}
			pending, err := w.next(ctx, w.Current)
			if err != nil {
				return err
			}
			const stranger = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:stranger-z9y8x7"
			related, asked := w.Related, false
			w.Related = func(ctx context.Context, id string) (secret.Document, error) {
				asked = asked || id == stranger
				return related(ctx, id)
			}
			//nolint:errcheck // refusing or ignoring it are both right
			w.apply(ctx, w.Current, pending.Set(keySuperuser, stranger))
			if asked {
				return errors.New("strategy: Apply read the superuser secret that only the pending value names")
			}
			if w.LogIn(ctx, pending) == nil {
				return nil
			}
			return w.mustLogIn(ctx, w.Current, "the current value, where the pending one is not,")
		}},
		{"superuser/elsewhere", "A superuser of another server would change an account there that has the same name.",
			func(ctx context.Context, w *caseEnv) error {
				if !w.Current.Has(keySuperuser) {
					return notOffered("masterarn in Current")
				}
				trap, err := listenSilently()
				if err != nil {
					return err
				}
				defer trap.close()
				pending, err := w.next(ctx, w.Current)
				if err != nil {
					return err
				}
				related, asked := w.Related, false
				w.Related = func(ctx context.Context, id string) (secret.Document, error) {
					asked = true
					d, err := related(ctx, id)
					if err == nil {
						d, err = member(d, "host", "127.0.0.1")
					}
					if err == nil {
						d, err = member(d, "port", trap.port())
					}
					return d, err
				}
				limited, cancel := trap.untilVisited(ctx)
				defer cancel()
				err = w.apply(limited, w.Current, pending)
				if err == nil && !asked {
					return notOffered("a superuser (masterarn is there, and the strategy needs none)")
				}
				if err := trap.unvisited("the strategy sent the superuser to another server than the " +
					"account's"); err != nil {
					return err
				}
				if err := wantKind("Apply with a superuser of another server", err, rotator.KindConflict,
					rotator.KindMisconfigured); err != nil {
					return err
				}
				return w.mustBeUnchanged(ctx, pending)
			}},
		{"superuser/not-for-strangers", "Who holds no valid credentials must not have a superuser set some: that is " +
			"how a confused deputy hands out accounts.", func(ctx context.Context, w *caseEnv) error {
			if !w.Current.Has(keySuperuser) {
				return notOffered("masterarn in Current")
			}
			current := w.wrong(w.Current)
			pending, err := w.next(ctx, current)
			if err != nil {
				return err
			}
			return steps(
				func() error {
					return wantKind("Apply with a current password that is not valid", w.apply(ctx, current, pending),
						rotator.KindLoginRejected)
				},
				func() error { return w.mustBeUnchanged(ctx, pending) },
			)
		}},
	}
}

func rotationRules() []strategyRule {
	return []strategyRule{
		{"rotation/many", "The second rotation begins where the first has ended, and the tenth is like it.",
			func(ctx context.Context, w *caseEnv) error {
				const rotations = 6
				values := []secret.Document{w.Current}
				for i := range rotations {
					current := values[len(values)-1]
					pending, err := w.next(ctx, current)
					if err != nil {
						return fmt.Errorf("rotation %d: %w", i+1, err)
					}
					err = steps(
						func() error { return wrapf(w.apply(ctx, current, pending), "Apply") },
						func() error { return wrapf(w.verify(ctx, pending), "Verify") },
						func() error { return w.mustLogIn(ctx, pending, "the new value") },
					)
					if err != nil {
						return fmt.Errorf("rotation %d: %w", i+1, err)
					}
					values, w.previous = append(values, pending), current
				}
				// AWSPREVIOUS may still be valid. What came before it must not be.
				for i, old := range values[:rotations-1] {
					if err := w.mustReject(ctx, old, fmt.Sprintf("the value of %d rotations ago",
						rotations-i)); err != nil {
						return err
					}
				}
				return nil
			}},
		{"rotation/no-secret-in-errors-or-notes", "Errors and notes are logged.", noSecretShown},
	}
}

func noSecretShown(ctx context.Context, w *caseEnv) error {
	pending, err := w.next(ctx, w.Current)
	if err != nil {
		return err
	}
	stranger := pending.Set("username", "other_"+unique())
	failures := map[string]error{
		"Verify before Apply":                   w.verify(ctx, pending),
		"Apply for another account":             w.apply(ctx, w.Current, stranger),
		"Apply, where no stored value is valid": w.allRejected(ctx),
		"Apply":                                 w.apply(ctx, w.Current, pending),
		"the same Apply again":                  w.apply(ctx, w.Current, pending),
		"Verify":                                w.verify(ctx, pending),
	}
	for _, key := range w.Required {
		less, err := member(w.Current, key, nil)
		if err != nil {
			return err
		}
		_, err = w.Strategy.Propose(ctx, w.rotation(less, secret.Document{}))
		failures["Propose without "+key] = err
		failures["Apply without "+key] = w.apply(ctx, less, pending)
	}
	for what, err := range failures {
		if err := w.leaked(what, err); err != nil {
			return err
		}
	}
	w.notesMu.Lock()
	defer w.notesMu.Unlock()
	if w.leaks(strings.Join(w.notes, "\n")) {
		return errors.New("a note for the log holds a secret")
	}
	return nil
}

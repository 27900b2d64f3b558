package strategytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
	"github.com/quarterturn-dev/quarterturn/strategies"
)

func setRules() []engineRule {
	return []engineRule{
		{"set/self", "This is what a rotation is: the new password opens, the old one does not.",
			func(ctx context.Context, b *engineEnv) error {
				p := b.password()
				return steps(
					func() error { return wrapf(b.Engine.SetPassword(ctx, b.User, b.User.User, p), "SetPassword") },
					func() error { return b.mustHaveChanged(ctx, b.User, p) },
				)
			}},
		{"set/superuser", "A superuser changes the account that was named and not itself.",
			func(ctx context.Context, b *engineEnv) error {
				p := b.password()
				return steps(
					func() error {
						return wrapf(b.Engine.SetPassword(ctx, b.Superuser, b.User.User, p),
							"SetPassword")
					},
					func() error { return b.mustHaveChanged(ctx, b.User, p) },
					func() error { return b.mustLogIn(ctx, b.Superuser, "after it set another's password") },
					func() error { return b.mustReject(ctx, with(b.Superuser, p), "with the user's new password") },
				)
			}},
		{"set/wrong-password", "A client without a valid password must not be able to change one.",
			func(ctx context.Context, b *engineEnv) error {
				p := b.password()
				for _, login := range []strategies.Login{b.Superuser, b.User} {
					err := b.Engine.SetPassword(ctx, with(login, b.password()), b.User.User, p)
					if err := wantKind("SetPassword as "+login.User+" with a wrong password", err,
						rotator.KindLoginRejected); err != nil {
						return err
					}
				}
				return b.unchanged(ctx, p)
			}},
		{"set/no-privilege", "An ordinary account that can change another's password owns the database.",
			func(ctx context.Context, b *engineEnv) error {
				other, err := b.newUnprivileged(ctx, "other_"+unique())
				if err != nil {
					return err
				}
				p := b.password()
				return steps(
					func() error {
						return wantFailure("SetPassword of another account by an ordinary one",
							b.Engine.SetPassword(ctx, other, b.User.User, p))
					},
					func() error { return b.unchanged(ctx, p) },
					func() error { return b.mustLogIn(ctx, other, "after it tried to change another") },
				)
			}},
		{"set/unknown-user", "A slip in a secret must not create accounts.",
			func(ctx context.Context, b *engineEnv) error {
				name, p := "nobody_"+unique(), b.password()
				return steps(
					func() error {
						return wantFailure("SetPassword of a user that does not exist",
							b.Engine.SetPassword(ctx, b.Superuser, name, p))
					},
					func() error { return b.mustReject(ctx, account(b.User, name, p), "after that") },
				)
			}},
		{"set/empty-password", "Several servers take an empty password for \"none\": no client could log in, or " +
			"every one.", func(ctx context.Context, b *engineEnv) error {
			return b.setRefused(ctx, "an empty password", secret.Password{})
		}},
		{"set/nul", "C ends strings at a NUL: what is stored would be the part before it.",
			func(ctx context.Context, b *engineEnv) error {
				p := secret.NewPassword(b.password().Reveal() + "\x00tail")
				b.keep(p)
				return b.setRefused(ctx, "a password with a NUL", p)
			}},
		{"set/too-long", "A password that is cut works on servers that cut it again, until one does not.",
			func(ctx context.Context, b *engineEnv) error {
				limit := b.Engine.Traits().MaxPasswordSize
				if limit == 0 {
					return notOffered("a limit of passwords (the engine has none)")
				}
				p := secret.NewPassword(strings.Repeat("aB3-", limit/4+1))
				b.keep(p)
				return b.setRefused(ctx, "a password over the limit", p)
			}},
		{"set/generated-passwords", "A rotation makes passwords from everything that Exclude allows; one in many " +
			"must not fail.", func(ctx context.Context, b *engineEnv) error {
			login := b.User
			for range 8 {
				p := b.password()
				if err := b.Engine.SetPassword(ctx, login, login.User, p); err != nil {
					return fmt.Errorf("SetPassword: %w", err)
				}
				if err := b.mustHaveChanged(ctx, login, p); err != nil {
					return err
				}
				login = with(login, p)
			}
			return nil
		}},
		{"set/hostile-passwords", "A character that SQL, a URL or a template takes in another sense locks the " +
			"account, or lets the writer of the secret run statements.", hostilePasswords},
		{"set/hostile-users", "Names reach statements too: unquoted, another account is changed, or an injected " +
			"statement runs.", hostileUsers},
		{"set/user-over-limit", "A name that the server cuts is another account's name.",
			func(ctx context.Context, b *engineEnv) error {
				limit := b.Engine.Traits().MaxUserBytes
				if limit == 0 {
					return notOffered("a limit of names (the engine has none)")
				}
				cut := pad("over_"+unique()+"_", limit)
				victim, err := b.newUser(ctx, cut)
				if err != nil {
					return err
				}
				p := b.password()
				return steps(
					func() error {
						return wantFailure("SetPassword of a name over the limit",
							b.Engine.SetPassword(ctx, b.Superuser, cut+"x", p))
					},
					func() error { return b.mustLogIn(ctx, victim, "whose name is the same, cut") },
					func() error { return b.mustReject(ctx, with(victim, p), "with the other's password") },
				)
			}},
		{"set/others-untouched", "A statement without its WHERE locks out all users.",
			func(ctx context.Context, b *engineEnv) error {
				other, err := b.newUser(ctx, b.User.User+"_2")
				if err != nil {
					return err
				}
				p, q := b.password(), b.password()
				return steps(
					func() error { return wrapf(b.Engine.SetPassword(ctx, b.User, b.User.User, p), "SetPassword") },
					func() error {
						return wrapf(b.Engine.SetPassword(ctx, b.Superuser, b.User.User, q),
							"SetPassword")
					},
					func() error { return b.mustLogIn(ctx, other, "after another account was changed") },
					func() error { return b.mustLogIn(ctx, b.Superuser, "after another account was changed") },
				)
			}},
		{"set/keeps-rights", "An account that was dropped and made again has the password and none of its rights.",
			func(ctx context.Context, b *engineEnv) error {
				if b.UsePrivilege == nil {
					return notOffered("UsePrivilege")
				}
				if err := b.UsePrivilege(ctx, b.User); err != nil {
					return fmt.Errorf("fixture: User must be allowed to Use: %w", err)
				}
				return b.eachSet(ctx, func(login strategies.Login) error {
					return wrapf(b.UsePrivilege(ctx, login),
						"after SetPassword, what the user was allowed to do before")
				})
			}},
		{"set/keeps-attributes", "Limits and settings of an account are an administrator's; losing them shows " +
			"weeks later.", func(ctx context.Context, b *engineEnv) error {
			if b.SetAttribute == nil || b.HasAttribute == nil {
				return notOffered("SetAttribute and HasAttribute")
			}
			if err := b.SetAttribute(ctx, b.User.User); err != nil {
				return fmt.Errorf("fixture: mark: %w", err)
			}
			return b.eachSet(ctx, func(login strategies.Login) error { return b.stillMarked(ctx, login.User) })
		}},
		{"set/expired", "An expired password is what a rotation is there to end: its owner may set a new one, and " +
			"nothing else.", func(ctx context.Context, b *engineEnv) error {
			if b.Expired.User == "" {
				return notOffered("Expired")
			}
			p := b.password()
			return steps(
				func() error {
					return wrapf(b.dryRun(ctx, b.Expired, b.Expired.User), "DryRunSetPassword with an expired password")
				},
				func() error {
					return wrapf(b.Engine.SetPassword(ctx, b.Expired, b.Expired.User, p),
						"SetPassword with an expired password")
				},
				func() error { return b.mustHaveChanged(ctx, b.Expired, p) },
			)
		}},
		{"set/methods", "Servers prove passwords in several ways. One that is set in another way than the account " +
			"proves it by locks the account.", func(ctx context.Context, b *engineEnv) error {
			if b.NewUserPerAuthMethod == nil {
				return notOffered("NewUserPerAuthMethod")
			}
			all, err := b.NewUserPerAuthMethod(ctx)
			if err != nil {
				return fmt.Errorf("fixture: methods: %w", err)
			}
			for _, login := range all {
				b.keep(login.Password)
				p, q := b.password(), b.password()
				err := steps(
					func() error { return b.mustLogIn(ctx, login, "before anything was set") },
					func() error { return wrapf(b.Engine.SetPassword(ctx, login, login.User, p), "SetPassword") },
					func() error { return b.mustHaveChanged(ctx, login, p) },
					func() error {
						return wrapf(b.Engine.SetPassword(ctx, b.Superuser, login.User, q),
							"SetPassword by the superuser")
					},
					func() error { return b.mustHaveChanged(ctx, with(login, p), q) },
				)
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"set/twice", "setSecret is retried after it succeeded: the second time must end as the first.",
			func(ctx context.Context, b *engineEnv) error {
				p := b.password()
				return steps(
					func() error { return wrapf(b.Engine.SetPassword(ctx, b.User, b.User.User, p), "SetPassword") },
					func() error {
						return wrapf(b.Engine.SetPassword(ctx, with(b.User, p), b.User.User, p),
							"the same SetPassword by the user itself again")
					},
					func() error {
						return wrapf(b.Engine.SetPassword(ctx, b.Superuser, b.User.User, p),
							"the same SetPassword by the superuser again")
					},
					func() error { return b.mustHaveChanged(ctx, b.User, p) },
				)
			}},
		{"set/concurrent", "A duplicate invocation sets a password at the same time: one of the two must win, whole.",
			func(ctx context.Context, b *engineEnv) error {
				for _, login := range []strategies.Login{b.Superuser, b.User} {
					err := b.race(ctx, b.User, func(p secret.Password) error {
						return b.Engine.SetPassword(ctx, login, b.User.User, p)
					})
					if err != nil {
						return err
					}
					if err := wrapf(b.Engine.SetPassword(ctx, b.Superuser, b.User.User, b.User.Password),
						"SetPassword, to begin afresh"); err != nil {
						return err
					}
				}
				return nil
			}},
		{"set/no-password-in-errors", "Errors are logged, and logs are read by people who may not know the password.",
			noPasswordInErrors},
		{"set/no-password-in-server-log", "Servers log statements; a password in clear there outlives every rotation.",
			noPasswordInServerLog},
	}
}

// unchanged says whether User still has its password, and not the one that must
// have been refused.
func (b *engineEnv) unchanged(ctx context.Context, refused secret.Password) error {
	return steps(
		func() error { return b.mustLogIn(ctx, b.User, "after the refusal") },
		func() error {
			if refused.Empty() || strings.ContainsRune(refused.Reveal(), 0) {
				return nil
			}
			return b.mustReject(ctx, with(b.User, refused), "with the password that was refused")
		},
	)
}

// setRefused tries a password that must not be set.
func (b *engineEnv) setRefused(ctx context.Context, what string, p secret.Password) error {
	for _, c := range b.changes() {
		if err := wantFailure(c.name+" with "+what, c.do(ctx, c.as, p)); err != nil {
			return err
		}
		if err := b.unchanged(ctx, p); err != nil {
			return err
		}
	}
	// What the server might have made of it.
	head, _, found := strings.Cut(p.Reveal(), "\x00")
	if limit := b.Engine.Traits().MaxPasswordSize; !found && limit > 0 && len(head) > limit {
		head = head[:limit]
	}
	if head == p.Reveal() {
		return nil
	}
	return b.mustReject(ctx, with(b.User, secret.NewPassword(head)), "with a part of the password that was refused")
}

// eachSet sets the password by the user and by the superuser, and looks.
func (b *engineEnv) eachSet(ctx context.Context, look func(login strategies.Login) error) error {
	p, q := b.password(), b.password()
	return steps(
		func() error { return wrapf(b.Engine.SetPassword(ctx, b.User, b.User.User, p), "SetPassword") },
		func() error { return look(with(b.User, p)) },
		func() error { return wrapf(b.Engine.SetPassword(ctx, b.Superuser, b.User.User, q), "SetPassword") },
		func() error { return look(with(b.User, q)) },
	)
}

// race sets two passwords of an account at once.
func (b *engineEnv) race(ctx context.Context, of strategies.Login, set func(p secret.Password) error) error {
	passwords := []secret.Password{b.password(), b.password()}
	if b.Nodes != nil {
		passwords[1] = passwords[0]
	}
	errs := make([]error, len(passwords))
	together(len(passwords), func(i int) error { //nolint:errcheck // judged below
		errs[i] = set(passwords[i])
		return nil
	})
	if errs[0] != nil && errs[1] != nil {
		return fmt.Errorf("of two changes at once, none came through: %w", errors.Join(errs...))
	}
	right, err := b.oneOf(ctx, of, passwords...)
	if err != nil {
		return fmt.Errorf("after two changes at once: %w", err)
	}
	for i, p := range passwords {
		if errs[i] == nil {
			continue
		}
		if err := hasKind("the change that lost", errs[i]); err != nil {
			return err
		}
		if p.Equal(right) && b.Nodes == nil {
			return fmt.Errorf("of two changes at once, the one that failed counts, and the one that succeeded does "+
				"not: %w", errs[i])
		}
	}
	return nil
}

// printable is every printable ASCII character but letters and digits.
const printable = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

func hostilePasswords(ctx context.Context, b *engineEnv) error {
	t := b.Engine.Traits()
	long := 200
	if t.MaxPasswordSize > 0 {
		long = t.MaxPasswordSize
	}
	login := b.User
	for _, text := range []string{
		`'; DROP TABLE t; --`, `' OR '1'='1`, `"; --`, `a"b""c`, `a'b''c`, `\`, `\'`, `a\\b\`, `\0\n\t\x41\u0041`,
		`%`, `%s%d%%`, `$1$$${HOME}$(id)`, "`id`", `{{.Password}}`, `<b>&amp;</b>`, `#comment`, `/*x*/`, `--`, `;`,
		` leading and trailing `, `a b`, `a=b&c=d`, `user:pa@host/db?x=1`, `null`, `NULL`, `''`, `""`,
		allowed(t), "tab\tin it", "two\nlines", printable, "ünïcødé", "пароль", "密码", "🔑",
		"md5" + strings.Repeat("0", 32), "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA", "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
		pad("", long),
	} {
		p := secret.NewPassword(text + "Q7" + unique()) // a fresh one, that no policy finds too short
		if text == printable {
			p = secret.NewPassword(printable + "aZ0")
		}
		if len(text) == long {
			p = secret.NewPassword(pad(unique(), long))
		}
		b.keep(p)
		err := b.Engine.SetPassword(ctx, login, login.User, p)
		if err != nil {
			if !mayRefuse(t, p.Reveal()) {
				return fmt.Errorf("SetPassword with one like %q, which holds nothing that Traits exclude: %w", text, err)
			}
			if err := wantKind(fmt.Sprintf("SetPassword with one like %q", text), err, rotator.KindMisconfigured, rotator.KindPasswordPolicy); err != nil {
				return err
			}
			if err := b.mustLogIn(ctx, login, fmt.Sprintf("after a password like %q was refused", text)); err != nil {
				return err
			}
			continue
		}
		if err := b.mustHaveChanged(ctx, login, p); err != nil {
			return fmt.Errorf("a password like %q: %w", text, err)
		}
		login = with(login, p)
	}
	return nil
}

// allowed is all punctuation that an engine lets a rotation use.
func allowed(t strategies.Traits) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || strings.ContainsRune(t.ExcludeCharacters, r) {
			return -1
		}
		return r
	}, printable)
}

// mayRefuse says whether an engine is free to refuse a password, because no
// rotation with its own defaults would make it.
func mayRefuse(t strategies.Traits, p string) bool {
	return strings.ContainsAny(p, t.ExcludeCharacters) && t.ExcludeCharacters != "" || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' })
}

// pad lengthens s to n bytes.
func pad(s string, n int) string {
	return (s + strings.Repeat("aB3-xYz9", n/8+1))[:n]
}

func hostileUsers(ctx context.Context, b *engineEnv) error {
	id := unique()
	names := []string{
		"UPPER" + id, "upper" + id, // two accounts, on servers that tell them apart
		`qu"ote` + id, `qu'ote` + id, "back`tick" + id, `back\slash` + id, "two words " + id, "dot.ted" + id, "da-sh" + id,
		"at@host" + id, "%" + id, "%s%d" + id, "$1" + id, "semi;--" + id, `"; --` + id, "ünï" + id, "用户" + id,
		"select" + id, "0digit" + id, "{{.}}" + id,
	}
	if limit := b.Engine.Traits().MaxUserBytes; limit > 0 {
		names = append(names, pad("long_"+id+"_", limit), pad("lüng_"+id+"_", limit))
	}
	var all []strategies.Login
	for _, name := range names {
		login, err := b.newUser(ctx, name)
		switch {
		case errors.Is(err, ErrNotOffered):
			continue
		case err != nil:
			return err
		}
		all = append(all, login)
	}
	for i, login := range all {
		p, q := b.password(), b.password()
		err := steps(
			func() error { return wrapf(b.Engine.Ping(ctx, login), "Ping") },
			func() error {
				return wrapf(b.Engine.SetPassword(ctx, login, login.User, p), "SetPassword by the user itself")
			},
			func() error { return b.mustHaveChanged(ctx, login, p) },
			func() error {
				return wrapf(b.Engine.SetPassword(ctx, b.Superuser, login.User, q), "SetPassword by the superuser")
			},
			func() error { return b.mustHaveChanged(ctx, with(login, p), q) },
		)
		if err != nil {
			return fmt.Errorf("user %q: %w", login.User, err)
		}
		all[i] = with(login, q)
	}
	for _, login := range append(all, b.User, b.Superuser) {
		if err := b.mustLogIn(ctx, login, "after others with odd names were changed"); err != nil {
			return err
		}
	}
	return nil
}

// canary is a password that a leak cannot hide: odd characters, which one layer or
// another escapes, around a core that is found also where it is cut.
func (b *engineEnv) canary() secret.Password {
	core := unique() + unique()
	odd := ""
	for _, r := range `'"\%$ ` {
		if !strings.ContainsRune(b.Engine.Traits().ExcludeCharacters, r) {
			odd += string(r)
		}
	}
	p := secret.NewPassword("Aa1-" + odd + core + odd + "z")
	for _, v := range []*passwordSet{&b.passwordSet, &b.canaries} {
		v.keep(p, secret.NewPassword(core), secret.NewPassword(core[:12]), secret.NewPassword(core[12:]))
	}
	return p
}

func noPasswordInErrors(ctx context.Context, b *engineEnv) error {
	port, err := closedPort()
	if err != nil {
		return err
	}
	hangUp, err := listen(func(s *fakeServer, c net.Conn) { c.Close() })
	if err != nil {
		return err
	}
	defer hangUp.close()
	closed, missing, other := b.User, b.User, b.User
	closed.Host, closed.Port = "127.0.0.1", port
	missing.Database = "missing_" + unique()
	other.TLS.ServerName = "wrong.example.org"
	refused := []secret.Password{secret.NewPassword(b.canary().Reveal() + "\x00")}
	if limit := b.Engine.Traits().MaxPasswordSize; limit > 0 {
		refused = append(refused, secret.NewPassword(b.canary().Reveal()+pad("", limit)))
	}
	b.keep(refused...)
	unknown := account(b.User, "nobody_"+unique(), secret.Password{})
	unprivileged := b.User
	if b.SelfChangeIsAdmin {
		if unprivileged, err = b.newUnprivileged(ctx, "other_"+unique()); err != nil {
			return err
		}
	}
	for _, call := range b.calls() {
		for _, login := range []strategies.Login{b.User, b.Superuser, missing, other} {
			for _, p := range refused {
				if err := b.leaked(call.name, call.do(ctx, login, p)); err != nil {
					return err
				}
			}
		}
		for _, login := range []strategies.Login{b.User, b.Superuser, closed, hangUp.lead(b.User), unknown} {
			if err := b.leaked(call.name, call.do(ctx, with(login, b.canary()), b.canary())); err != nil {
				return err
			}
		}
	}
	return steps(
		func() error {
			return b.leaked("SetPassword of an unknown user", b.Engine.SetPassword(ctx, b.Superuser, "nobody_"+unique(),
				b.canary()))
		},
		func() error {
			return b.leaked("SetPassword without the right", b.Engine.SetPassword(ctx, unprivileged, b.Superuser.User,
				b.canary()))
		},
		func() error {
			return b.leaked("SetPassword of no user", b.Engine.SetPassword(ctx, b.Superuser, "", b.canary()))
		},
		func() error {
			return b.leaked("SetPassword of an odd user", b.Engine.SetPassword(ctx, b.Superuser, `no"bo'dy`+unique(), b.canary()))
		},
	)
}

func noPasswordInServerLog(ctx context.Context, b *engineEnv) error {
	if b.ServerLog == nil {
		return notOffered("ServerLog")
	}
	login := with(b.User, b.canary())
	if err := b.Engine.SetPassword(ctx, b.Superuser, login.User, login.Password); err != nil {
		return fmt.Errorf("SetPassword: %w", err)
	}
	for _, c := range b.changes() {
		if c.as.User == login.User {
			c.as = login
		}
		p := b.canary()
		if err := c.do(ctx, c.as, p); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if c.of.User == login.User {
			login = with(login, p)
		}
	}
	//nolint:errcheck // what fails is logged
	b.Engine.Ping(ctx, with(login, b.canary()))
	b.Engine.SetPassword(ctx, b.Superuser, "nobody_"+unique(), b.canary())            //nolint:errcheck
	b.Engine.SetPassword(ctx, with(b.User, b.canary()), b.Superuser.User, b.canary()) //nolint:errcheck
	if b.canaries.leaks(b.ServerLog()) {
		return errors.New("the log of the server holds a password that was set or tried")
	}
	return nil
}

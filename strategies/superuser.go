package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/secret"
)

// superuserLogin reads the secret that masterarn names, or else otherwise, and gives
// its login. The host is that secret's own, never the rotated secret's, or anyone who
// may write the one could send the other's password anywhere; and it must be the
// same host, or the superuser would act on another server than the one whose secret
// this is. The one exception is AWS's: where the rotated secret is for a reader or a
// replica, which takes no changes, the superuser works where the changes come from.
// The database is the rotated secret's, as in AWS's templates.
//
// It must be no account of users, of which the rotation is: a secret that names itself,
// or whose user is the superuser, would have the superuser's own password set.
func superuserLogin(ctx context.Context, t Traits, r rotator.Rotation, fallbackARN string, current Login,
	users ...string) (Login, secret.Document, error) {
	arn, err := superuserARN(r)
	if err != nil {
		return Login{}, secret.Document{}, nameSuperuser(ctx, r, "", err)
	}
	if arn == "" {
		arn = fallbackARN
	}
	if arn == "" {
		return Login{}, secret.Document{},
			nameSuperuser(ctx, r, "", fmt.Errorf("secret: %w: key %s is missing: set it to the superuser secret's "+
				"ARN, or set SUPERUSER_SECRET_ARN", rotator.KindMisconfigured, keySuperuser))
	}
	d, err := r.ReadSecret(ctx, arn)
	var login Login
	if err == nil {
		login, err = t.parseLogin(d)
	}
	switch told := errors.As(err, new(interface{ Hint() string })); {
	case told:
	case errors.Is(err, rotator.KindNotFound), errors.Is(err, rotator.ErrOtherEngine):
		err = nameSuperuser(ctx, r, "", rotator.WithHint(err, "set "+keySuperuser+", or SUPERUSER_SECRET_ARN, to the "+
			"ARN of the right secret"))
	case errors.Is(err, rotator.KindMisconfigured) && !managedByRDS(arn):
		command := "aws secretsmanager put-secret-value --secret-id " + rotator.ShellWord(arn) +
			" --secret-string file://value.json"
		err = rotator.WithFix(rotator.WithHint(err, "to correct that value: "+command), "",
			rotator.Fix{By: rotator.ByShell, Run: command})
	}
	if err != nil {
		return Login{}, secret.Document{}, fmt.Errorf("superuser secret %s: %w", arn, err)
	}
	if !sameEndpoint(login, current) {
		if err := checkIsEndpoint(ctx, r, d, current); err != nil {
			return Login{}, secret.Document{}, nameSuperuser(ctx, r, "if it is the wrong one, ",
				fmt.Errorf("superuser secret %s is for %s:%d, the rotated secret for %s:%d, which must be the same "+
					"server or its replica: %w", arn, login.Host, login.Port, current.Host, current.Port, err))
		}
	}
	if keys := differing(t.serverKeys(login), t.serverKeys(current)); keys != nil {
		return Login{}, secret.Document{},
			fmt.Errorf("superuser secret %s: %w: it and the secret to rotate differ in %s, which names servers: both "+
				"must say the same. The superuser secret has %s, the secret to rotate has %s. Correct the one that "+
				"names a server that is gone, or leaves one out", arn, rotator.KindConflict, strings.Join(keys, ", "),
				listed(login.Extra, keys), listed(current.Extra, keys))
	}
	login.Database = current.Database
	login.For = &Holding{secretARN: arn}
	// What the rotated secret says of this place is enough: whether a pooler there knows
	// the superuser's password does not matter to the secret's clients.
	login.PoolerForwardsLogins = login.PoolerForwardsLogins || current.PoolerForwardsLogins
	for _, name := range []string{login.User, d.Text(keyAlternate)} {
		if slices.Contains(users, name) {
			return login, d, ofSuperuser(ctx, r, arn, name)
		}
	}
	return login, d, nil
}

// ofSuperuser refuses to rotate a secret whose user is the superuser.
func ofSuperuser(ctx context.Context, r rotator.Rotation, arn, user string) error {
	return nameSuperuser(ctx, r, "if username is right, ", NotEntitled("superuser secret %s is for user %q, whose "+
		"password this rotation may not set: either username in the secret to rotate is wrong, and AWSPREVIOUS may "+
		"have the right one, or %s must name another secret, of another user", arn, user, keySuperuser))
}

// judgeSelfChange finds out whether a user who changes itself is the superuser of the secret that masterarn names:
// that one's credentials may have been stored by mistake, and its own secret would be left with a password that works
// no more. Where that secret cannot be read, which no such rotation needs otherwise, AWSPREVIOUS may show that nothing
// has changed. nil: the secret names none, or itself, which is the superuser's own.
func judgeSelfChange(t Traits, r rotator.Rotation, current Login) func(context.Context) rotator.Finding {
	arn, wrong := superuserARN(r)
	if wrong == nil && (arn == "" || namesItself(r, arn)) || r.ReadSecret == nil {
		return nil
	}
	return func(ctx context.Context) rotator.Finding {
		var d secret.Document
		var superuser Login
		err := wrong
		if err == nil {
			d, err = r.ReadSecret(ctx, arn)
		}
		if err == nil {
			superuser, err = t.parseLogin(d)
		}
		known := err == nil
		switch {
		case known && superuser.User != current.User && d.Text(keyAlternate) != current.User:
			return judge(nil)
		case known && !sameEndpoint(superuser, current):
			err = checkIsEndpoint(ctx, r, d, current)
		}
		if err == nil {
			return judge(ofSuperuser(ctx, r, arn, current.User))
		}
		if r.ReadPrevious != nil && !known {
			if d, failed := r.ReadPrevious(ctx); failed == nil && d.Text(keyUser) == current.User {
				return rotator.Finding{Status: rotator.StatusSkipped, Detail: fmt.Sprintf("AWSPREVIOUS is of user %q "+
					"too. Whether that is the superuser was not found out: %v", current.User, err)}
			}
		}
		return rotator.Finding{Status: rotator.StatusUnknown, Detail: fmt.Sprintf("whether user %q is the superuser "+
			"that %s names, whose password no other secret may set, was not found out: %v", current.User,
			keySuperuser, err)}
	}
}

// namesItself says whether an id is that of the secret to rotate: its ARN, whole or without the last six characters,
// or its name.
func namesItself(r rotator.Rotation, id string) bool {
	short := r.SecretARN[:max(0, len(r.SecretARN)-len("-AbCdEf"))]
	_, name, _ := strings.Cut(short, ":secret:")
	return id == r.SecretARN || id == short || id == name
}

// listed is what a login says in some keys.
func listed(extra map[string]string, keys []string) string {
	said := slices.Clone(keys)
	for i, key := range keys {
		if value := extra[key]; value != "" {
			said[i] = fmt.Sprintf("%s %.500s", key, value)
		} else {
			said[i] = "no " + key
		}
	}
	return strings.Join(said, ", ")
}

// nameSuperuser adds to an error the line that has the secret name another superuser secret, beside all else that it
// has. A new version moves AWSPREVIOUS to what was AWSCURRENT: the line moves it back, for without the password of the
// other user of a pair nothing proves that user to the next rotation. What RDS manages, no one else can write.
func nameSuperuser(ctx context.Context, r rotator.Rotation, condition string, err error) error {
	if r.SecretARN == "" || managedByRDS(r.SecretARN) {
		return err
	}
	run := fmt.Sprintf("aws secretsmanager get-secret-value --secret-id %[1]s --query SecretString --output text | "+
		"jq -c '.%[2]s = \"SUPERUSER-SECRET-ARN\"' | aws secretsmanager put-secret-value --secret-id %[1]s "+
		"--secret-string file:///dev/stdin", rotator.ShellWord(r.SecretARN), keySuperuser)
	note := ""
	if !hasNoPrevious(ctx, r) {
		version := func(label string) string {
			return strings.ToLower(label) + "=$(aws secretsmanager get-secret-value --secret-id " +
				rotator.ShellWord(r.SecretARN) + " --version-stage " + label + " --query VersionId --output text) && "
		}
		run = version(rotator.LabelPrevious) + version(rotator.LabelCurrent) + run + " && aws secretsmanager " +
			"update-secret-version-stage --secret-id " + rotator.ShellWord(r.SecretARN) + " --version-stage " +
			"AWSPREVIOUS --move-to-version-id $awsprevious --remove-from-version-id $awscurrent"
		note = "AWSPREVIOUS stays where it is: of a pair, it has the other user's password"
	}
	return rotator.WithFix(err, "", rotator.Fix{By: rotator.ByShell,
		For: condition + "to name the superuser secret, with its ARN in place of SUPERUSER-SECRET-ARN",
		Run: run, Note: note})
}

func hasNoPrevious(ctx context.Context, r rotator.Rotation) bool {
	if r.ReadPrevious == nil {
		return true
	}
	_, err := r.ReadPrevious(ctx)
	return errors.Is(err, rotator.KindNotFound)
}

// superuserARN reads masterarn. What templates of others put there by mistake is said,
// for Secrets Manager would only say that it finds no such secret.
func superuserARN(r rotator.Rotation) (string, error) {
	wrong := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("secret: %w: %s is "+format, append([]any{rotator.KindMisconfigured, keySuperuser},
			args...)...)
	}
	shape := r.Current.Shape(keySuperuser)
	if shape == "an array" || shape == "an object" {
		return wrong("%s: it must be the ARN alone, a string (Terraform: master_user_secret[0].secret_arn)", shape)
	}
	arn, err := optionalText(r.Current, keySuperuser)
	if arn == "" {
		return "", err
	}
	parts := strings.Split(arn, ":")
	own := strings.Split(r.SecretARN, ":")
	switch {
	case strings.TrimSpace(arn) != arn:
		return wrong("%.200q, with white space around it: store it without", arn)
	case !rotator.ValidSecretID(arn):
		return wrong("not a secret's ARN: it is too long, or holds what no ARN does")
	case parts[0] == "arn" && (len(parts) < 7 || parts[2] != "secretsmanager" || parts[5] != "secret"):
		return wrong("%.200q, and not the ARN of a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME): RDS "+
			"gives the secret that it manages as MasterUserSecret.SecretArn in describe-db-instances", arn)
	case parts[0] == "arn" && len(own) > 3 && parts[3] != own[3]:
		return wrong("%s, in Region %s, and this function reads secrets in %s: name a secret there, or a replica of "+
			"that one: aws secretsmanager replicate-secret-to-regions --region %s --secret-id %s "+
			"--add-replica-regions Region=%s", arn, parts[3], own[3], parts[3], rotator.ShellWord(arn), own[3])
	}
	return arn, nil
}

// judging has the superuser's server judge what a reader or replica of it has let in: one that is behind does so by a
// password that the user has no longer, and a secret of someone who knew that one would get the next.
func judging(superuser Login, ping func(Login) error) func(Login) error {
	return func(login Login) error {
		if sameEndpoint(superuser, login) {
			return nil
		}
		there := superuser
		there.User, there.Password, there.For = login.User, login.Password, nil
		there.TLS.Disabled = superuser.TLS.Disabled && login.TLS.Disabled
		err := ping(there)
		if errors.Is(err, rotator.KindLoginRejected) {
			return fmt.Errorf("user %q: %w: %s:%d lets it in by a password that %s:%d, which it follows, rejects: it "+
				"is behind. This attempt changed nothing. Try again when it has caught up: %v", login.User,
				rotator.KindConflict, login.Host, login.Port, there.Host, there.Port, err)
		}
		return err
	}
}

// waitForReplica gives a change that the superuser has made elsewhere the time to reach the
// reader or replica that the secret is for: there, testSecret would come too early.
// It is no failure if the change does not arrive. testSecret judges, and the service
// starts over. A rejected login may count against the account, so one is all it takes.
func waitForReplica(ctx context.Context, e Engine, r rotator.Rotation, superuser, pending Login) {
	if sameEndpoint(superuser, pending) {
		return
	}
	wait := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	if !wait(500*time.Millisecond) || !errors.Is(e.Ping(ctx, pending), rotator.KindLoginRejected) {
		return
	}
	wait(2 * time.Second)
	r.Logf("the change made at %s:%d has not replicated to %s:%d yet", superuser.Host, superuser.Port, pending.Host,
		pending.Port)
}

// checkIsEndpoint asks whether a login goes to another endpoint of the superuser's database.
func checkIsEndpoint(ctx context.Context, r rotator.Rotation, superuser secret.Document, login Login) error {
	if r.IsEndpointOf == nil {
		return fmt.Errorf("hosts: %w: store the same host and port in both secrets. They may differ where one is a "+
			"replica of the other, and this Store cannot look up replicas", rotator.KindConflict)
	}
	return r.IsEndpointOf(ctx, superuser, login.Host, login.Port)
}

// staleSuperuser adds to a rejected login of the superuser which secret holds its password, and how to find the cause
// and mend it: status of the secret that rotates says nothing of that one.
func staleSuperuser(e Engine, superuser Login, err error) error {
	arn := superuser.For.secretARN
	var fixes []rotator.Fix
	if !errors.Is(err, rotator.KindLoginRejected) {
		for _, fix := range rotator.FixesOf(err) { // a password that has expired is given once more, after a look
			if strings.Contains(fix.Run, "'PASSWORD'") && fix.IsFor(superuser.User) {
				fix.PasswordOf = "AWSCURRENT of " + arn
			}
			fixes = append(fixes, fix)
		}
		return rotator.WithFix(err, "", fixes...)
	}
	var advice strings.Builder
	var own []rotator.Fix
	if !managedByRDS(arn) {
		own = []rotator.Fix{{By: rotator.ByShell, Turn: rotator.TurnFirst,
			For: "if the superuser secret rotates, to see first how that stands, with its rotation function in place " +
				"of FUNCTION", Run: "quarterturn status " + rotator.ShellWord(arn) + " --function FUNCTION",
			Note: "if AWSPENDING works there, do what that status says. Set no password then: AWSPENDING would be " +
				"rejected after it"}}
		fmt.Fprintf(&advice, "If the superuser secret rotates, first see how that stands: %s. ", own[0])
	}
	if x, ok := e.(Explainer); ok {
		fixes = x.Inquiry(superuser.User)
	}
	if len(fixes) > 0 {
		fmt.Fprintf(&advice, "To find the cause of that, as another superuser of the database: %s (%s). ", fixes[0],
			fixes[0].Note)
		fixes[0].For = "to find the cause of the superuser's rejected login first" // the user may have one, too
		for i := range fixes {
			fixes[i].By = rotator.ByAdministrator
			if strings.Contains(fixes[i].Run, "'PASSWORD'") {
				fixes[i].PasswordOf = "AWSCURRENT of " + arn
			}
		}
	}
	words, command := storeSuperuser(arn)
	fmt.Fprintf(&advice, "Then %s: %s", words, command)
	if x, ok := e.(Resetter); ok {
		set := x.ResetStatement(superuser.User)
		fmt.Fprintf(&advice, ", or set the one there, in place of PASSWORD: %s", set)
		fix := Fix(superuser, set)
		fix.For = "to set the password that its secret has, if it is another there"
		fix.PasswordOf = "AWSCURRENT of " + arn
		fixes = append(fixes, fix)
		words = "or " + words
	}
	fixes = append(fixes, rotator.Fix{By: rotator.ByShell, For: words, Run: command})
	return rotator.WithFix(fmt.Errorf("%w (this is the user of the superuser secret %s, not of the secret that "+
		"rotates)",
		err, arn), advice.String(), append(own, fixes...)...)
}

// managedByRDS tells the secrets that RDS alone may write, by the names that RDS gives them.
func managedByRDS(arn string) bool { return strings.Contains(arn, ":secret:rds!") }

// storeSuperuser says how a superuser secret comes to hold a password that logs in.
func storeSuperuser(arn string) (words, command string) {
	const byRDS = "have RDS, which manages that secret, set and store another password"
	switch {
	case strings.Contains(arn, ":secret:rds!cluster"):
		return byRDS, "aws rds modify-db-cluster --db-cluster-identifier DB-CLUSTER --rotate-master-user-password " +
			"--apply-immediately"
	case managedByRDS(arn):
		return byRDS, "aws rds modify-db-instance --db-instance-identifier DB-INSTANCE " +
			"--rotate-master-user-password --apply-immediately"
	}
	return "store the password that logs in there, in a whole value", "aws secretsmanager put-secret-value " +
		"--secret-id " +
		rotator.ShellWord(arn) + " --secret-string file://value.json"
}

// lostUser adds to an error of a superuser what to do where the user of AWSCURRENT is
// gone and AWSPREVIOUS logs in: a failover or a restored backup has lost a clone that a
// rotation made shortly before, or a person has dropped or renamed the user. label is the version that
// logged in, and clones says that a rotation makes the user again, once AWSCURRENT is that of its original.
func lostUser(r rotator.Rotation, label string, clones bool, err error) error {
	if label != rotator.LabelPrevious || !errors.Is(err, rotator.KindNotFound) {
		return err
	}
	then := "bring the user back: no rotation makes it"
	if clones {
		then = "the next rotation makes it again"
	}
	return fmt.Errorf("%w (AWSCURRENT is rejected and AWSPREVIOUS works: a failover or a restored backup may have "+
		"lost the user of AWSCURRENT. Roll back, and %s: "+
		"{\"Step\":\"recover\",\"Action\":\"rollback\",\"SecretId\":\"%s\"})", err, then, r.SecretARN)
}

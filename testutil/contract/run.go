package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Endpoint is where rows are tried.
type Endpoint struct {
	Name   string
	Config aws.Config // of the caller who makes and reads the throwaway secrets
	Supply Supply     // nil: rows that need more than Secrets Manager are not tried
	Has    Needs      // what Supply can make

	// Patience is how long a row waits for what AWS shows late, and for a rotation to end; 0: ten seconds.
	Patience time.Duration
	// Pause is how long the labels must stay what they are after a rotation; 0: they are final when seen.
	Pause time.Duration
}

// Supply makes what rows need beside secrets. What was made once serves every row, and whoever made the Supply removes
// it. An error says why a row cannot be tried.
type Supply interface {
	// Key is the ARN of the run's customer key of that name, made at the first call.
	Key(ctx context.Context, name string) (string, error)
	// Function is the ARN of the echo function.
	Function(ctx context.Context) (arn string, err error)
	// Role gives credentials of a role with those rights.
	Role(ctx context.Context, r Rights) (aws.Config, error)
	// Other gives credentials of an administrator of a second account.
	Other(ctx context.Context) (aws.Config, error)
}

// ErrMissing is what a Supply answers for what an endpoint does not have.
var ErrMissing = errors.New("not available on this endpoint")

// Result is what became of a row.
type Result struct {
	Row Row
	Got Got
	// Difference says what differs from the expectation, with the row's names in place of ids; "": nothing does.
	Difference string
	// NotTried says why the row could not be tried.
	NotTried string
}

// Got is what came back, with the row's names in place of ids, fit to be committed.
type Got struct {
	Code   string            `json:"code,omitempty"`
	Status int               `json:"status,omitempty"`
	Text   string            `json:"text,omitempty"`
	Fields map[string]string `json:"fields,omitempty"`
	Labels string            `json:"labels,omitempty"`
}

// Run tries rows on an endpoint, one after another. Each row removes its secrets, also when it fails; the error joins
// what could not be removed.
func Run(ctx context.Context, rows []Row, at Endpoint) ([]Result, error) {
	if at.Patience == 0 {
		at.Patience = 10 * time.Second
	}
	r := &run{at: at, prefix: Prefix + random(3) + "/", roles: map[string]aws.Config{},
		sm:  secretsmanager.NewFromConfig(at.Config),
		kms: kms.NewFromConfig(at.Config), sts: sts.NewFromConfig(at.Config), rds: rds.NewFromConfig(at.Config)}
	id, err := r.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, wrap("GetCallerIdentity", err)
	}
	r.account = aws.ToString(id.Account)
	r.caller = aws.ToString(id.Arn)
	var results []Result
	var left []error
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return results, errors.Join(append(left, err)...)
		}
		res, err := r.try(ctx, row)
		results = append(results, res)
		if err != nil {
			left = append(left, fmt.Errorf("%s: %w", row.ID, err))
		}
	}
	return results, errors.Join(left...)
}

// Prefix begins the name of everything that a run makes.
const Prefix = "quarterturn-contract-"

type run struct {
	at              Endpoint
	prefix          string
	account, caller string
	sm              *secretsmanager.Client
	kms             *kms.Client
	sts             *sts.Client
	rds             *rds.Client
	roles           map[string]aws.Config
	arn             string // of the echo function
}

func (r *run) try(ctx context.Context, row Row) (res Result, left error) {
	res.Row = row
	if missing := row.Needs &^ r.at.Has; missing != 0 {
		res.NotTried = "needs " + missing.String()
		return res, nil
	}
	t := &T{Ctx: ctx, run: r, row: row, SM: r.sm, KMS: r.kms, STS: r.sts, RDS: r.rds,
		names: map[string]string{"account": r.account, "region": r.at.Config.Region, "caller": r.caller}}
	defer func() {
		if p := recover(); p != nil {
			s, ok := p.(stop)
			if !ok {
				panic(p)
			}
			if errors.Is(s.err, ErrMissing) {
				res.NotTried = s.err.Error()
			} else {
				res.Difference = t.named("preparation failed: " + s.err.Error())
				if code, _, status := codeOf(s.err); code == noAnswer && status != 0 {
					res.Difference = fmt.Sprintf("preparation failed: %s (%d)", noAnswer, status)
				}
			}
		}
		left = t.clean()
	}()
	out, err := row.Do(t)
	ask := row.Ask
	if ask != nil && err != nil {
		t.Must(err)
	}
	for end := time.Now().Add(r.at.Patience); ; {
		if ask != nil {
			out, err = ask(t)
		}
		res.Got, res.Difference = t.judge(row.Want, out, err)
		if res.Difference == "" || ask == nil || time.Now().After(end) || ctx.Err() != nil {
			return res, nil
		}
		wait(ctx, r.at.Patience/50)
	}
}

// clean undoes the row, last first, even when its context has ended.
func (t *T) clean() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Ctx), 2*time.Minute)
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(t.cleanup) {
		if err := f(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (t *T) judge(w Want, out any, err error) (Got, string) {
	code, text, status := codeOf(err)
	got := Got{Code: code, Text: t.named(text), Status: status}
	flat := flatten(out)
	var diff []string
	say := func(format string, args ...any) { diff = append(diff, t.named(fmt.Sprintf(format, args...))) }
	switch {
	case w.Code == AnyError && code == "":
		say("accepted")
	case w.Code != AnyError && !slices.Contains(strings.Split(w.Code, " or "), code):
		say("%s instead of %s", orSuccess(code, status, text), orSuccess(w.Code, 0, ""))
	case w.Code != "":
		if w.Status != 0 && status != w.Status {
			say("status %d", status)
		}
		if w.Text == NoText && text != "" || w.Text != "" && w.Text != NoText &&
			t.named(text) != t.named(t.expand(w.Text)) {
			say("text %q", text)
		}
	}
	for _, path := range sortedKeys(w.Fields) {
		want := t.expand(w.Fields[path])
		v, ok := flat[t.expand(path)]
		if got.Fields == nil {
			got.Fields = map[string]string{}
		}
		if ok {
			got.Fields[path] = t.named(v)
		}
		switch {
		case len(diff) > 0 && w.Code == "" && code != "": // an error has no fields
		case want == "-" && ok:
			say("%s is %s", path, v)
		case want == "-":
		case !ok:
			say("no %s", path)
		case want != "*" && v != want:
			say("%s is %s", path, v)
		}
	}
	if w.Labels != "" && t.secret != nil {
		got.Labels = t.labels()
		if got.Labels != w.Labels {
			say("labels %s", got.Labels)
		}
	}
	return got, strings.Join(strings.Fields(strings.Join(diff, "; ")), " ")
}

func orSuccess(code string, status int, text string) string {
	switch {
	case code == "":
		return "success"
	case status != 0:
		return fmt.Sprintf("%s (%d, %q)", code, status, text)
	}
	return code
}

// labels are the secret's, with the row's names for versions.
func (t *T) labels() string {
	d, err := t.SM.DescribeSecret(t.Ctx, &secretsmanager.DescribeSecretInput{SecretId: &t.secret.ARN})
	if err != nil {
		return "unknown: " + err.Error()
	}
	var all []string
	for id, labels := range d.VersionIdsToStages {
		slices.Sort(labels)
		all = append(all, strings.Trim(t.named("{"+id+"}"), "{}")+":"+strings.Join(labels, "+"))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// expand puts values in place of names.
func (t *T) expand(s string) string {
	for _, name := range sortedKeys(t.names) {
		s = strings.ReplaceAll(s, "{"+name+"}", t.names[name])
	}
	return s
}

var changing = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|` +
	`(?i:request ?id:?) [-0-9A-Za-z]+`)

// named puts names in place of values, longest first, and takes out what differs each time.
func (t *T) named(s string) string {
	names := slices.SortedFunc(maps.Keys(t.names), func(a, b string) int {
		return cmp.Or(len(t.names[b])-len(t.names[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		if v := t.names[name]; len(v) > 3 {
			s = strings.ReplaceAll(s, v, "{"+name+"}")
		}
	}
	return changing.ReplaceAllString(strings.ReplaceAll(s, "{{", "{"), "...")
}

func (r *run) key(ctx context.Context, name string) (string, error) {
	return r.at.Supply.Key(ctx, name)
}

func (r *run) other(ctx context.Context) (aws.Config, error) { return r.at.Supply.Other(ctx) }

// role is made once for the same rights.
func (r *run) role(ctx context.Context, rights Rights) (aws.Config, error) {
	id := fmt.Sprintf("%q", rights)
	if cfg, ok := r.roles[id]; ok {
		return cfg, nil
	}
	cfg, err := r.at.Supply.Role(ctx, rights)
	if err == nil {
		r.roles[id] = cfg
	}
	return cfg, err
}

func (r *run) function(ctx context.Context) (string, error) {
	if r.arn != "" {
		return r.arn, nil
	}
	var err error
	r.arn, err = r.at.Supply.Function(ctx)
	return r.arn, err
}

// settle waits until a rotation has come to its end: version has left AWSPENDING, and the labels stay what they are.
func (r *run) settle(ctx context.Context, arn, version string) error {
	end := time.Now().Add(r.at.Patience)
	for {
		d, err := r.sm.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
		if err != nil {
			return wrap("DescribeSecret", err)
		}
		labels := d.VersionIdsToStages[version]
		if !slices.Contains(labels, "AWSPENDING") || slices.Contains(labels, "AWSCURRENT") {
			wait(ctx, r.at.Pause)
			return ctx.Err()
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the rotation did not complete within %v", r.at.Patience)
		}
		wait(ctx, r.at.Patience/100)
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

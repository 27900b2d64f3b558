// Package bench measures what a rotation costs, beside what it cannot do without:
// see bare. It is for people, and for docs/performance.md; no test depends on a time.
package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/quarterturn-dev/quarterturn/rotator"
	"github.com/quarterturn-dev/quarterturn/rotator/awsstore"
	"github.com/quarterturn-dev/quarterturn/strategies"
	"github.com/quarterturn-dev/quarterturn/testutil/awsemu"
)

// operator is the access key of everybody but the function.
const operator = "OPERATOR"

// Case is one thing to measure: a strategy on an engine, at a distance.
type Case struct {
	Engine      string // postgres, mysql, mariadb
	Alternating bool
	Away        time.Duration // a round trip to the database, and to the API
	Target      float64       // of the ratio; 0: none
}

// vpc is a round trip within an Availability Zone's distance or two.
const vpc = 2 * time.Millisecond

// Cases is the table of design: warm, in the same zone, and across a Region.
func Cases() (all []Case) {
	for _, away := range []struct {
		distance            time.Duration
		single, alternating float64
	}{{0, 1.3, 1.4}, {vpc, 1.25, 1.25}, {20 * time.Millisecond, 0, 0}} {
		for _, engine := range []string{"postgres", "mysql", "mariadb"} {
			all = append(all, Case{engine, false, away.distance, away.single},
				Case{engine, true, away.distance, away.alternating})
		}
	}
	return all
}

func (c Case) String() string {
	s := "single user"
	if c.Alternating {
		s = "alternating users"
	}
	if c.Away > 0 {
		s += fmt.Sprintf(", %v away", c.Away)
	}
	return s
}

// Result is what a Case came to. Times are medians of one rotation.
type Result struct {
	Case
	Server                     string
	Ours, Bare                 time.Duration
	Ratio                      float64 // the median of the pairs' ratios
	Pairs                      int
	Calls, Logins              int // of a rotation, ours and bare
	DatabaseOurs, DatabaseBare int // round trips to the database: ours, bare
	APIOurs, APIBare           int // round trips to the API, connections that are made included
	SpentOurs, SpentBare       spent
}

// spent is where the time of one rotation is: three kinds of waiting, and what the process
// itself does.
type spent struct{ api, logins, statements, process time.Duration }

// Measure interleaves rotations of ours with bare ones on a server. id tells this case's
// accounts from others'.
func (c Case) Measure(ctx context.Context, s *server, id, pairs int) (r Result, err error) {
	r = Result{Case: c, Server: s.title, Pairs: pairs}
	emu := &awsemu.Emulator{Attempts: 1}
	begin := time.Now()
	// An hour each millisecond: the service lets nobody make a hundred versions in a day.
	emu.Now = func() time.Time { return begin.Add(time.Since(begin) * (time.Hour / time.Millisecond)) }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	service := &http.Server{Handler: emu}
	go service.Serve(listener)
	defer service.Close()
	defer emu.Close()

	ours, theirs, err := c.lines(s.Address(), listener.Addr().String())
	if err != nil {
		return r, err
	}
	defer func() {
		for _, l := range []*line{ours.database, ours.api, theirs.database, theirs.api} {
			l.listener.Close()
		}
	}()
	subject, passwords, err := s.pair(ctx, 2*id)
	if err != nil {
		return r, err
	}
	plain, barePasswords, err := s.pair(ctx, 2*id+1)
	if err != nil {
		return r, err
	}
	version := func(text string) []awsemu.Version {
		return []awsemu.Version{{Labels: []string{rotator.LabelCurrent}, Value: awsemu.Text(text)}}
	}
	superuser := emu.Seed(awsemu.Secret{Name: "superuser",
		Versions: version(s.secret(ours.database.port(), subject.boss, passwords[subject.boss], ""))})
	arn := emu.Seed(awsemu.Secret{Name: "app", RotationEnabled: new(true),
		RotationLambdaARN: "arn:aws:lambda:us-east-1:123456789012:function:bench",
		Versions:          version(s.secret(ours.database.port(), subject.app, passwords[subject.app], superuser))})
	bareARN := emu.Seed(awsemu.Secret{Name: "bare",
		Versions: version(s.secret(theirs.database.port(), plain.app, "none", superuser))})

	var strategy rotator.Strategy = strategies.SingleUser{Engine: s.engine}
	if c.Alternating {
		strategy = strategies.AlternatingUsers{Engine: s.engine}
	}
	url := "http://" + ours.api.listener.Addr().String()
	handler := rotator.Rotator{Strategy: strategy, Store: awsstore.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: &url,
		Credentials: credentials.NewStaticCredentialsProvider("FUNCTION", "x", ""),
	}, "")}
	var took time.Duration
	emu.Invoke = awsemu.InvokeHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		begin := time.Now()
		_, err := handler.HandleJSON(ctx, payload)
		took += time.Since(begin)
		return []byte("null"), err
	})
	direct := "http://" + listener.Addr().String()
	sdk := secretsmanager.New(secretsmanager.Options{BaseEndpoint: &direct, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(operator, "x", "")})
	rotate := func() (time.Duration, error) {
		took = 0
		if _, err := sdk.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &arn}); err != nil {
			return 0, err
		}
		result, err := emu.WaitRotation(ctx, arn)
		if err == nil && result.Outcome != "RotationSucceeded" {
			err = errors.New(result.Message)
		}
		return took, err
	}
	for range 2 { // the first makes connections, and a clone
		emu.ResetCalls()
		ours.reset()
		if _, err := rotate(); err != nil {
			return r, err
		}
	}
	b := &bare{
		server: s, url: "http://" + theirs.api.listener.Addr().String(),
		client: &http.Client{Transport: &http.Transport{}}, arn: bareARN, database: theirs.database, user: plain.app,
		password: barePasswords[plain.app], logins: int(ours.database.opened.Load()),
	}
	defer b.client.CloseIdleConnections()
	for _, call := range emu.Calls() {
		if call.AccessKey != operator {
			b.calls = append(b.calls, call.Operation)
		}
	}
	if c.Alternating {
		b.boss, b.bossPass = plain.boss, barePasswords[plain.boss]
	}
	r.Calls, r.Logins = len(b.calls), b.logins
	r.DatabaseOurs, r.APIOurs = int(ours.database.answers.Load()), int(ours.api.answers.Load())
	if err := b.rotation(ctx); err != nil {
		return r, err
	}
	theirs.reset()
	if err := b.rotation(ctx); err != nil {
		return r, err
	}
	r.DatabaseBare, r.APIBare = int(theirs.database.answers.Load()), int(theirs.api.answers.Load())

	var mine, others samples
	var ratios []float64
	for range pairs {
		emu.ResetCalls()
		ours.reset()
		took, err := rotate()
		if err != nil {
			return r, err
		}
		theirs.reset()
		b.loggedIn = 0
		begin := time.Now()
		if err := b.rotation(ctx); err != nil {
			return r, err
		}
		elapsed := time.Since(begin)
		mine.add(took, ours, b.loggedIn) // ours logs in as often, in the same way
		others.add(elapsed, theirs, b.loggedIn)
		ratios = append(ratios, float64(took)/float64(elapsed))
	}
	r.Ours, r.SpentOurs = mine.medians()
	r.Bare, r.SpentBare = others.medians()
	r.Ratio = median(ratios)
	return r, nil
}

// samples are the times of rotations, and their parts.
type samples struct{ took, api, logins, statements, process []time.Duration }

func (s *samples) add(took time.Duration, w way, loggedIn time.Duration) {
	api, database := time.Duration(w.api.waited.Load()), time.Duration(w.database.waited.Load())
	s.took, s.api, s.logins = append(s.took, took), append(s.api, api), append(s.logins, loggedIn)
	s.statements, s.process = append(s.statements, database-loggedIn), append(s.process, took-api-database)
}

func (s samples) medians() (time.Duration, spent) {
	return median(s.took), spent{median(s.api), median(s.logins), median(s.statements), median(s.process)}
}

// way is how one side reaches the database and the API.
type way struct{ database, api *line }

func (w way) reset() {
	for _, l := range []*line{w.database, w.api} {
		l.answers.Store(0)
		l.opened.Store(0)
		l.waited.Store(0)
	}
}

func (c Case) lines(database, api string) (ours, bare way, err error) {
	all := []*line{{to: database, away: c.Away}, {to: api, away: c.Away}, {to: database, away: c.Away},
		{to: api, away: c.Away}}
	for _, l := range all {
		err = errors.Join(err, l.listen())
	}
	return way{all[0], all[1]}, way{all[2], all[3]}, err
}

func median[T int | float64 | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// Package bench compares redial with the libraries that people would otherwise put around
// net.Dialer or http.Client. Dialers, HTTPClients and Keepers are the tables of what is compared. Each entry
// is set up as its own documentation recommends. TestAttempts shows that each makes exactly
// the attempts that it is told to. TestClaims checks the claims of docs/comparison.md.
//
// The measurements are in cmd/report, which writes RESULTS.md:
//
//	go run ./cmd/report
package bench

import (
	"cmp"
	"context"
	"net"
	"slices"
	"time"

	retrygo "github.com/avast/retry-go/v5"
	backoffv4 "github.com/cenkalti/backoff/v4"
	backoffv5 "github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	goretry "github.com/sethvargo/go-retry"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// A Dial connects as the DialContext of net.Dialer does.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// A Dialer is one way to dial.
type Dialer struct {
	Name    string
	Module  string // the import path of its module; empty for the standard library and for redial
	Default string // what it does by default, in words
	Retries bool
	New     func(Options) Dial
}

// Options are the same for all Dialers. The zero value means the defaults of the Dialer.
type Options struct {
	// Net makes the attempts. A Timeout of zero means 10 s, which is redial's
	// default, so that every Dialer bounds an attempt. A negative one means none.
	Net net.Dialer

	// Connect, if not nil, makes the attempts in place of Net.
	Connect Dial

	// Attempts bounds the number of attempts. Zero means as by default. A negative
	// number means that nothing bounds the dial but its context.
	Attempts int

	// Delay, if not nil, returns the wait after the n-th attempt, n >= 1, in place
	// of the default schedule.
	Delay func(n int) time.Duration

	// Failed, if not nil, is called through the library's own hook for failed attempts,
	// with the number of the attempt.
	Failed func(n int)

	// Logger is redial's. Nil means none.
	Logger *zap.Logger

	// MinInterval sets the MinInterval of redial's Gate. Zero means the Gate's default.
	MinInterval time.Duration
}

// connect returns the function that makes an attempt.
func (o *Options) connect() Dial {
	if o.Connect != nil {
		return o.Connect
	}
	d := o.net()
	return d.DialContext
}

func (o *Options) net() *net.Dialer {
	d := o.Net
	if d.Timeout == 0 {
		d.Timeout = 10 * time.Second
	}
	d.Timeout = max(d.Timeout, 0)
	return &d
}

// Dialers has all Dialers, the two floors first.
var Dialers = []Dialer{
	{
		Name:    "net.Dialer",
		Default: "one attempt",
		New:     func(o Options) Dial { o.Net.Timeout = cmp.Or(o.Net.Timeout, -1); return o.connect() },
	},
	{
		Name:    "net.Dialer, Timeout 10 s",
		Default: "one attempt",
		New:     func(o Options) Dial { return o.connect() },
	},
	{
		Name:    "redial",
		Default: "100 ms doubling to 1 s if refused or unreachable, else to 5 s, ±50 %, for 30 s",
		Retries: true,
		New:     func(o Options) Dial { return newRedial(o, nil).DialContext },
	},
	{
		Name:    "redial, Gate",
		Default: "the same, shared by all dials to a target",
		Retries: true,
		New:     func(o Options) Dial { return newRedial(o, &redial.Gate{MinInterval: o.MinInterval}).DialContext },
	},
	{
		Name:    "backoff v4",
		Module:  "github.com/cenkalti/backoff/v4",
		Default: "500 ms × 1.5 to 60 s, ±50 %, for 15 min",
		Retries: true,
		New:     newBackoffV4,
	},
	{
		Name:    "backoff v5",
		Module:  "github.com/cenkalti/backoff/v5",
		Default: "500 ms × 1.5 to 60 s, ±50 %, for 15 min",
		Retries: true,
		New:     newBackoffV5,
	},
	{
		Name:    "retry-go",
		Module:  "github.com/avast/retry-go/v5",
		Default: "100 ms doubling without end, +0 to 100 ms, 10 attempts",
		Retries: true,
		New:     newRetryGo,
	},
	{
		Name:    "failsafe-go",
		Module:  "github.com/failsafe-go/failsafe-go",
		Default: "no delay, 3 attempts",
		Retries: true,
		New:     func(o Options) Dial { return newFailsafe(o, retrypolicy.NewBuilder[net.Conn]()) },
	},
	{
		Name:    "failsafe-go, backoff",
		Module:  "github.com/failsafe-go/failsafe-go",
		Default: "1 s doubling to 10 s (its example), without end",
		Retries: true,
		New: func(o Options) Dial {
			o.Attempts = cmp.Or(o.Attempts, -1)
			return newFailsafe(o, retrypolicy.NewBuilder[net.Conn]().WithBackoff(time.Second, 10*time.Second))
		},
	},
	{
		Name:    "go-retry",
		Module:  "github.com/sethvargo/go-retry",
		Default: "Fibonacci from 1 s (its README), without end",
		Retries: true,
		New:     newGoRetry,
	},
}

// Loop is the loop that people write by hand. It is not in Dialers: TestClaims compares it, the
// report only as a Keeper.
var Loop = Dialer{
	Name:    "a hand-written loop",
	Default: "100 ms doubling to 5 s, without end",
	Retries: true,
	New:     newLoop,
}

// Named returns the Dialers that have these names.
func Named(names ...string) []Dialer {
	var all []Dialer
	for _, name := range names {
		i := slices.IndexFunc(Dialers, func(d Dialer) bool { return d.Name == name })
		all = append(all, Dialers[i])
	}
	return all
}

func newRedial(o Options, gate *redial.Gate) *redial.Dialer {
	d := &redial.Dialer{Dialer: o.Net, DialFunc: o.Connect, Gate: gate, Logger: o.Logger}
	if d.Timeout < 0 {
		d.Timeout = time.Hour // for redial, zero means 10 s, and a negative Timeout that the time is up
	}
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if o.Attempts < 0 {
		d.MaxElapsed = -1
	}
	d.MaxAttempts = max(o.Attempts, 0)
	if o.Delay != nil {
		d.Policy = redial.Policy{}
		for class := range redial.DefaultPolicy() {
			d.Policy[class] = func() backoffv4.BackOff { return &schedule{delay: o.Delay} }
		}
	}
	if o.Failed != nil {
		d.OnAttempt = func(_ context.Context, a redial.Attempt) {
			if a.Err != nil {
				o.Failed(a.Number)
			}
		}
	}
	return d
}

// A schedule makes a BackOff of a function. It serves both major versions of backoff.
type schedule struct {
	delay func(n int) time.Duration
	n     int
}

func (s *schedule) Reset() { s.n = 0 }

func (s *schedule) NextBackOff() time.Duration {
	s.n++
	return s.delay(s.n)
}

func newBackoffV4(o Options) Dial {
	connect := o.connect()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var b backoffv4.BackOff
		switch {
		case o.Delay != nil:
			b = &schedule{delay: o.Delay}
		case o.Attempts < 0:
			b = backoffv4.NewExponentialBackOff(backoffv4.WithMaxElapsedTime(0))
		default:
			b = backoffv4.NewExponentialBackOff()
		}
		if o.Attempts > 0 {
			b = backoffv4.WithMaxRetries(b, uint64(o.Attempts-1))
		}
		attempt := func() (net.Conn, error) { return connect(ctx, network, address) }
		var notify backoffv4.Notify
		if o.Failed != nil {
			n := 0
			notify = func(error, time.Duration) { n++; o.Failed(n) }
		}
		return backoffv4.RetryNotifyWithData(attempt, backoffv4.WithContext(b, ctx), notify)
	}
}

func newBackoffV5(o Options) Dial {
	connect := o.connect()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		options := []backoffv5.RetryOption{backoffv5.WithBackOff(backoffv5.NewExponentialBackOff())}
		if o.Delay != nil {
			options[0] = backoffv5.WithBackOff(&schedule{delay: o.Delay})
		}
		switch {
		case o.Attempts > 0:
			options = append(options, backoffv5.WithMaxTries(uint(o.Attempts)))
		case o.Attempts < 0:
			options = append(options, backoffv5.WithMaxElapsedTime(0))
		}
		if o.Failed != nil {
			n := 0
			options = append(options, backoffv5.WithNotify(func(error, time.Duration) { n++; o.Failed(n) }))
		}
		return backoffv5.Retry(ctx, func() (net.Conn, error) { return connect(ctx, network, address) }, options...)
	}
}

func newRetryGo(o Options) Dial {
	connect := o.connect()
	var common []retrygo.Option
	switch {
	case o.Attempts > 0:
		common = append(common, retrygo.Attempts(uint(o.Attempts)))
	case o.Attempts < 0:
		common = append(common, retrygo.UntilSucceeded())
	}
	if o.Delay != nil {
		common = append(common, retrygo.DelayType(func(n uint, _ error, _ retrygo.DelayContext) time.Duration { return o.Delay(int(n)) }))
	}
	if o.Failed != nil {
		common = append(common, retrygo.OnRetry(func(n uint, _ error) { o.Failed(int(n) + 1) })) // it counts from 0
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		retrier := retrygo.NewWithData[net.Conn](append(slices.Clip(common), retrygo.Context(ctx))...)
		return retrier.Do(func() (net.Conn, error) { return connect(ctx, network, address) })
	}
}

func newFailsafe(o Options, policy retrypolicy.Builder[net.Conn]) Dial {
	connect := o.connect()
	switch {
	case o.Attempts > 0:
		policy.WithMaxAttempts(o.Attempts)
	case o.Attempts < 0:
		policy.WithMaxAttempts(-1)
	}
	if o.Delay != nil {
		policy.WithDelayFunc(func(exec failsafe.ExecutionAttempt[net.Conn]) time.Duration { return o.Delay(exec.Attempts()) })
	}
	if o.Failed != nil {
		policy.OnFailure(func(e failsafe.ExecutionEvent[net.Conn]) { o.Failed(e.Attempts()) })
	}
	executor := failsafe.With[net.Conn](policy.Build())
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return executor.WithContext(ctx).GetWithExecution(func(exec failsafe.Execution[net.Conn]) (net.Conn, error) {
			return connect(exec.Context(), network, address)
		})
	}
}

func newGoRetry(o Options) Dial {
	connect := o.connect()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		backoff := goretry.NewFibonacci(time.Second)
		if o.Delay != nil {
			s := schedule{delay: o.Delay}
			backoff = goretry.BackoffFunc(func() (time.Duration, bool) { return s.NextBackOff(), false })
		}
		if o.Attempts > 0 {
			backoff = goretry.WithMaxRetries(uint64(o.Attempts-1), backoff)
		}
		return goretry.DoValue(ctx, backoff, func(ctx context.Context) (net.Conn, error) {
			conn, err := connect(ctx, network, address)
			return conn, goretry.RetryableError(err)
		})
	}
}

func newLoop(o Options) Dial {
	connect := o.connect()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		delay := 100 * time.Millisecond
		for n := 1; ; n++ {
			conn, err := connect(ctx, network, address)
			if err == nil {
				return conn, nil
			}
			if o.Failed != nil {
				o.Failed(n)
			}
			if n == o.Attempts {
				return nil, err
			}
			if o.Delay != nil {
				delay = o.Delay(n)
			}
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			delay = min(2*delay, 5*time.Second)
		}
	}
}

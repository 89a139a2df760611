package redial_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestRetryKeepsScheduleForEachClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timeout := dialtest.Timeout.After(0)
		script := dialtest.Script(timeout.Times(2), dialtest.Refuse, timeout, dialtest.Refuse, dialtest.OK)
		d := &redial.Dialer{
			DialFunc: script.DialContext,
			Policy: redial.Policy{
				redial.Timeout: after(1*time.Second, 2*time.Second, 4*time.Second),
				redial.Refused: after(100*time.Millisecond, 200*time.Millisecond),
			},
		}
		conn, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Same(t, lastOf(t, script, 6).Conn, conn, "the inner dialer's own")
		assert.Len(t, script.Open(), 1)
		assert.Equal(t, []time.Duration{
			1 * time.Second, 2 * time.Second, // timeouts
			100 * time.Millisecond, // the first refused
			4 * time.Second,        // the third timeout
			200 * time.Millisecond, // the second refused
		}, script.Delays())

		// The next dial starts from the beginning again.
		script = dialtest.Script(timeout, dialtest.Refuse, dialtest.OK)
		d.DialFunc = script.DialContext
		_, err = d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{1 * time.Second, 100 * time.Millisecond}, script.Delays())
	})
}

// What ends a dial that always fails, when, after how many attempts.
func TestRetryStops(t *testing.T) {
	soon := func(d *redial.Dialer) { d.Deadline = time.Now().Add(3500 * time.Millisecond) }
	for _, test := range []struct {
		name     string
		outcome  dialtest.Outcome // of each attempt
		set      func(*redial.Dialer)
		ctx      time.Duration // its deadline; 0: none
		attempts int
		elapsed  time.Duration
		stop     error
		timeout  bool
		text     string // of Stop; "": that of stop
		telling  int    // the number of the attempt whose error is the dial's; 0: the last one
	}{
		{name: "default MaxElapsed", outcome: dialtest.Refuse, attempts: 30, elapsed: 29 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "MaxElapsed", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxElapsed = 2500 * time.Millisecond },
			attempts: 4, elapsed: 2375 * time.Millisecond, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "MaxElapsed before ctx", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxElapsed = 2500 * time.Millisecond }, ctx: time.Minute,
			attempts: 4, elapsed: 2375 * time.Millisecond, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "ctx's deadline", outcome: dialtest.Refuse, ctx: 3500 * time.Millisecond, attempts: 5, elapsed: 3325 * time.Millisecond, stop: redial.ErrDeadline, timeout: true},
		{name: "default MaxElapsed before ctx", outcome: dialtest.Refuse, ctx: 90500 * time.Millisecond,
			attempts: 30, elapsed: 29 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "ctx's deadline without MaxElapsed", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxElapsed = -1 }, ctx: 90500 * time.Millisecond,
			attempts: 91, elapsed: 90 * time.Second, stop: redial.ErrDeadline, timeout: true},
		{name: "a wait that ends with ctx", outcome: dialtest.Refuse, ctx: 3 * time.Second, attempts: 4, elapsed: 2850 * time.Millisecond, stop: redial.ErrDeadline, timeout: true},
		{name: "Deadline", outcome: dialtest.Refuse, set: soon, attempts: 5, elapsed: 3325 * time.Millisecond, stop: redial.ErrDeadline, timeout: true},
		{name: "Deadline before ctx", outcome: dialtest.Refuse, set: soon, ctx: time.Minute, attempts: 5, elapsed: 3325 * time.Millisecond, stop: redial.ErrDeadline, timeout: true},
		{name: "no time for an attempt as slow as the last one", outcome: dialtest.Refuse.After(400 * time.Millisecond), set: soon,
			attempts: 3, elapsed: 3200 * time.Millisecond, stop: redial.ErrDeadline, timeout: true},
		{name: "MaxAttempts", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxAttempts = 5 },
			attempts: 5, elapsed: 4 * time.Second, stop: redial.ErrMaxAttempts},
		{name: "MaxAttempts of timeouts", outcome: dialtest.Timeout.After(0), set: func(d *redial.Dialer) { d.MaxAttempts = 2 },
			attempts: 2, elapsed: time.Second, stop: redial.ErrMaxAttempts, timeout: true},
		{name: "the schedule's end", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.Policy[redial.Refused] = after(time.Second, 2*time.Second) },
			attempts: 3, elapsed: 3 * time.Second, stop: redial.ErrPermanent, text: "schedule ended"},

		{name: "default Timeout", outcome: dialtest.Timeout, attempts: 3, elapsed: 30 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "Timeout", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.Timeout = 4 * time.Second; d.MaxAttempts = 2 },
			attempts: 2, elapsed: 9 * time.Second, stop: redial.ErrMaxAttempts, timeout: true},
		{name: "MaxElapsed in flight", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.MaxElapsed = 2 * time.Second },
			attempts: 1, elapsed: 2 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "Deadline in flight", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.Timeout = 2 * time.Second; soon(d) },
			attempts: 2, elapsed: 3500 * time.Millisecond, stop: redial.ErrDeadline, timeout: true, telling: 1},
		{name: "ctx's deadline in flight", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.Timeout = 2 * time.Second }, ctx: 3500 * time.Millisecond,
			attempts: 2, elapsed: 3500 * time.Millisecond, stop: redial.ErrDeadline, timeout: true, telling: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(test.outcome.Forever())
				d := &redial.Dialer{
					DialFunc: script.DialContext,
					Policy:   redial.Policy{redial.Refused: every(time.Second), redial.Timeout: every(time.Second)},
				}
				if test.set != nil {
					test.set(d)
				}
				ctx := t.Context()
				if test.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.ctx)
					defer cancel()
				}
				start := time.Now()
				_, err := d.DialContext(ctx, "tcp", address)
				assert.Equal(t, test.elapsed, time.Since(start))
				e := asError(t, err)
				assert.Equal(t, test.attempts, e.Attempts)
				assert.Equal(t, test.elapsed, e.Elapsed)
				assert.ErrorIs(t, e.Stop, test.stop)
				assert.EqualError(t, e.Stop, cmp.Or(test.text, test.stop.Error()))
				assert.ErrorIs(t, err, test.stop)
				assert.Equal(t, test.timeout, err.(net.Error).Timeout())
				lastOf(t, script, test.attempts)
				assert.Same(t, script.Dials()[cmp.Or(test.telling, test.attempts)-1].Err, e.Err)
				assert.ErrorIs(t, err, e.Err)
				if test.stop == redial.ErrDeadline {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
		})
	}
}

func TestRetryWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		stop := make(chan struct{})
		time.AfterFunc(24*time.Hour+time.Second, func() { close(stop) })
		d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(time.Minute)}, MaxElapsed: -1}
		d.Cancel = stop
		_, err := d.Dial("tcp", address)
		assert.Equal(t, 24*60+1, asError(t, err).Attempts)
	})
}

// The error of a dial has one shape, also if there was nothing to retry. Only who
// asked for a single attempt gets the inner dialer's own error.
func TestRetryErrorHasOneShape(t *testing.T) {
	policy := func(p redial.Policy) func(*redial.Dialer) { return func(d *redial.Dialer) { d.Policy = p } }
	withoutRefused := redial.DefaultPolicy()
	delete(withoutRefused, redial.Refused)
	noSchedule := func(schedule backoff.BackOff) redial.Policy {
		return redial.Policy{redial.Refused: func() backoff.BackOff { return schedule }}
	}
	for _, test := range []struct {
		name    string
		outcome dialtest.Outcome
		set     func(*redial.Dialer)
		stop    error
		text    string
	}{
		{"not found", dialtest.NXDomain, nil, redial.ErrPermanent, "not to be retried"},
		{"unknown", dialtest.Fail(errCustom), nil, redial.ErrPermanent, "not to be retried"},
		{"canceled, but not by the caller", dialtest.Fail(context.Canceled), policy(redial.Policy{redial.Canceled: every(time.Second)}), redial.ErrPermanent, "not to be retried"},
		{"empty policy", dialtest.Refuse, policy(redial.Policy{}), redial.ErrPermanent, "not to be retried"},
		{"class not in the policy", dialtest.Refuse, policy(withoutRefused), redial.ErrPermanent, "not to be retried"},
		{"nil in the policy", dialtest.Refuse, policy(redial.Policy{redial.Refused: nil}), redial.ErrPermanent, "not to be retried"},
		{"no schedule", dialtest.Refuse, policy(noSchedule(nil)), redial.ErrPermanent, "not to be retried"},
		{"a nil pointer for a schedule", dialtest.Refuse, policy(noSchedule((*backoff.ExponentialBackOff)(nil))), redial.ErrPermanent, "not to be retried"},
		{"a schedule of none", dialtest.Refuse, policy(noSchedule(&backoff.StopBackOff{})), redial.ErrPermanent, "schedule ended"},
		{"MaxAttempts 1", dialtest.Refuse, func(d *redial.Dialer) { d.MaxAttempts = 1 }, redial.ErrMaxAttempts, "MaxAttempts reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := dialtest.Script(test.outcome)
			var seen []redial.Attempt
			d := &redial.Dialer{DialFunc: script.DialContext, OnAttempt: func(_ context.Context, a redial.Attempt) { seen = append(seen, a) }}
			if test.set != nil {
				test.set(d)
			}
			_, err := d.Dial("tcp", address)
			inner := lastOf(t, script, 1).Err
			require.Len(t, seen, 1)
			assert.ErrorIs(t, seen[0].Stop, test.stop)
			assert.EqualError(t, seen[0].Stop, test.text)
			assert.Zero(t, seen[0].Delay)
			if test.stop == redial.ErrMaxAttempts {
				assert.Same(t, inner, err)
				return
			}
			e := asError(t, err)
			assert.Same(t, inner, e.Err)
			assert.Equal(t, seen[0].Class, e.Class)
			assert.Equal(t, seen[0].Stop, e.Stop)
			assert.Len(t, e.History, 1)
		})
	}
}

// A dial that was retried has more to tell than its last error, whatever that is.
func TestRetryEndsInAnotherClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.NXDomain)
		d := &redial.Dialer{DialFunc: script.DialContext}
		_, err := d.Dial("tcp", address)
		e := asError(t, err)
		assert.Equal(t, redial.NotFound, e.Class)
		assert.Equal(t, redial.NotFound, redial.Classify(err))
		assert.Equal(t, 3, e.Attempts)
		assert.ErrorIs(t, err, redial.ErrPermanent)
		assert.False(t, err.(net.Error).Timeout())
		var dns *net.DNSError
		assert.ErrorAs(t, err, &dns)
	})
}

func TestRetryCanceledBefore(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	late, cancelLate := context.WithDeadlineCause(context.Background(), time.Now().Add(-time.Second), errCause)
	defer cancelLate()

	for _, test := range []struct {
		name  string
		ctx   context.Context
		set   func(*redial.Dialer)
		class redial.Class
		is    []error
		text  string
	}{
		{"ctx", ctx, nil, redial.Canceled, []error{context.Canceled, errCause}, "the request is gone"},
		{"ctx's deadline", late, nil, redial.Timeout, []error{context.DeadlineExceeded, errCause}, "the request is gone"},
		{"Cancel", context.Background(), func(d *redial.Dialer) { d.Cancel = closed }, redial.Canceled, []error{context.Canceled}, "context canceled"},
		{"Deadline", context.Background(), func(d *redial.Dialer) { d.Deadline = time.Now().Add(-time.Second) },
			redial.Timeout, []error{context.DeadlineExceeded, redial.ErrDeadline}, "deadline too close"},
		{"a negative Timeout", context.Background(), func(d *redial.Dialer) { d.Timeout = -1 },
			redial.Timeout, []error{context.DeadlineExceeded, redial.ErrDeadline}, "deadline too close"},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.OK)
			d := &redial.Dialer{DialFunc: script.DialContext, OnAttempt: func(context.Context, redial.Attempt) { t.Error("an attempt") }}
			if test.set != nil {
				test.set(d)
			}
			_, err := d.DialContext(test.ctx, "tcp", address)
			assert.Empty(t, script.Dials(), "nothing is dialed")
			e := asError(t, err)
			assert.Zero(t, e.Attempts)
			assert.Equal(t, test.class, e.Class)
			assert.Equal(t, test.class == redial.Timeout, err.(net.Error).Timeout())
			for _, is := range test.is {
				assert.ErrorIs(t, err, is)
			}
			assert.EqualError(t, err, "dial tcp: a.test:80: not attempted: "+test.text)
			op := err.(*net.OpError)
			assert.Nil(t, op.Addr, "callers switch on the types that package net has")
			assert.Nil(t, op.Source)
		})
	}
}

// Where the inner dialer's own error is due and no attempt was made, it is what
// net.Dialer says of a dial that is over.
func TestRetryCanceledBeforeTheOnlyAttempt(t *testing.T) {
	gone, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	closed := make(chan struct{})
	close(closed)
	for name, set := range map[string]func(*redial.Dialer) context.Context{
		"ctx":                func(*redial.Dialer) context.Context { return gone },
		"Cancel":             func(d *redial.Dialer) context.Context { d.Cancel = closed; return context.Background() },
		"Deadline":           func(d *redial.Dialer) context.Context { d.Deadline = time.Unix(1, 0); return context.Background() },
		"a negative Timeout": func(d *redial.Dialer) context.Context { d.Timeout = -1; return context.Background() },
	} {
		for _, address := range []string{"127.0.0.1:1", "[::1]:1", "localhost:1"} {
			t.Run(name+" "+address, func(t *testing.T) {
				logger, logs := observed()
				d := &redial.Dialer{MaxAttempts: 1, Logger: logger}
				ctx := set(d)
				_, err := d.DialContext(ctx, "tcp", address)
				if name == "Cancel" { // which net.Dialer may notice too late
					d.Dialer, ctx = net.Dialer{}, gone
				}
				_, want := d.Dialer.DialContext(ctx, "tcp", address)
				require.Error(t, err)
				if strings.HasPrefix(address, "localhost") { // whose look-up may or may not be cut short
					assert.Equal(t, redial.Classify(want) == redial.Canceled, redial.Classify(err) == redial.Canceled)
				} else {
					assert.Equal(t, want, err)
				}
				assert.Equal(t, 1, logs.Len())
			})
		}
	}
}

// The context says that an attempt was canceled, whatever its error says.
func TestRetryCanceledDuring(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error // of the attempt; nil: as net.Dialer's
	}{
		{"the error says so", nil},
		{"the error is of an address tried before", errorOf(dialtest.Refuse)},
		{"the error is a timeout", errorOf(dialtest.Timeout.After(0))},
		{"the error is a deadline's", context.DeadlineExceeded},
		{"the error is not one to retry", errCustom},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var inner error
				var seen []redial.Attempt
				script := dialtest.Script(dialtest.Timeout)
				d := &redial.Dialer{
					DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
						if _, inner = script.DialContext(ctx, network, address); test.err != nil {
							inner = test.err
						}
						return nil, inner
					},
					OnAttempt: func(_ context.Context, a redial.Attempt) { seen = append(seen, a) },
				}
				time.AfterFunc(time.Second, func() { cancel(errCause) })
				start := time.Now()
				_, err := d.DialContext(ctx, "tcp", address)
				assert.Equal(t, time.Second, time.Since(start))
				require.Len(t, seen, 1)
				assert.Equal(t, redial.Canceled, seen[0].Class)
				assert.Equal(t, errCause, seen[0].Stop)
				e := asError(t, err)
				assert.Equal(t, redial.Canceled, e.Class)
				assert.ErrorIs(t, err, context.Canceled)
				assert.ErrorIs(t, err, errCause)
				assert.Equal(t, inner, e.Err)
			})
		})
	}
}

// An attempt that the end of the dial cuts off within a second tells nothing: the
// dial's error comes from the attempt before it.
func TestRetryCutOff(t *testing.T) {
	for _, test := range []struct {
		name  string
		end   time.Duration // of the dial; the silent attempt starts at 1 s
		set   func(d *redial.Dialer, end time.Duration)
		class redial.Class
		stop  error
		is    error
	}{
		{"ctx's deadline, soon", 1900 * time.Millisecond, nil, redial.Refused, redial.ErrDeadline, context.DeadlineExceeded},
		{"ctx's deadline, late", 2100 * time.Millisecond, nil, redial.Timeout, redial.ErrDeadline, context.DeadlineExceeded},
		{"MaxElapsed, soon", 1900 * time.Millisecond, func(d *redial.Dialer, end time.Duration) { d.MaxElapsed = end }, redial.Refused, redial.ErrMaxElapsed, redial.ErrMaxElapsed},
		{"MaxElapsed, late", 2100 * time.Millisecond, func(d *redial.Dialer, end time.Duration) { d.MaxElapsed = end }, redial.Timeout, redial.ErrMaxElapsed, redial.ErrMaxElapsed},
		{"Cancel, soon", 1900 * time.Millisecond, closeCancel, redial.Refused, context.Canceled, context.Canceled},
		{"Cancel, late", 2100 * time.Millisecond, closeCancel, redial.Canceled, context.Canceled, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(dialtest.Refuse, dialtest.Timeout)
				d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(time.Second)}}
				ctx := t.Context()
				if test.set != nil {
					test.set(d, test.end)
				} else {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.end)
					defer cancel()
				}
				_, err := d.DialContext(ctx, "tcp", address)
				e := asError(t, err)
				assert.Equal(t, 2, e.Attempts)
				assert.Equal(t, test.end, e.Elapsed)
				assert.Equal(t, test.class, e.Class)
				assert.Equal(t, test.class, redial.Classify(err))
				assert.Equal(t, test.stop, e.Stop)
				assert.ErrorIs(t, err, test.is)
				telling := script.Dials()[1]
				if test.class == redial.Refused {
					telling = script.Dials()[0]
				}
				assert.Same(t, telling.Err, e.Err)
				assert.Same(t, script.Dials()[1].Err, e.History[1].Err, "the record of each attempt is its own")
			})
		})
	}

	testutil.Bubble(t, "a first attempt is all that there is", func(t *testing.T) {
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Timeout).DialContext, MaxElapsed: 100 * time.Millisecond}
		_, err := d.Dial("tcp", address)
		assert.Equal(t, redial.Timeout, asError(t, err).Class)
	})
}

func closeCancel(d *redial.Dialer, end time.Duration) {
	stop := make(chan struct{})
	d.Cancel = stop
	time.AfterFunc(end, func() { close(stop) })
}

// A dial to a target that always refuses uses nearly all of its time.
func TestRetryUsesItsBudget(t *testing.T) {
	for _, budget := range []time.Duration{500 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second} {
		testutil.Bubble(t, budget.String(), func(t *testing.T) {
			const runs = 500
			sum, worst := 0.0, 1.0
			for range runs {
				d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.After(time.Millisecond).Forever()).DialContext, MaxElapsed: budget}
				start := time.Now()
				_, err := d.Dial("tcp", address)
				used := float64(time.Since(start)) / float64(budget)
				require.ErrorIs(t, err, redial.ErrMaxElapsed)
				sum += used
				worst = min(worst, used)
			}
			assert.GreaterOrEqual(t, sum/runs, 0.94, budget)
			assert.GreaterOrEqual(t, worst, 0.85, budget)
			assert.LessOrEqual(t, sum/runs, 1.0, budget)
		})
	}
}

// Both ways of asking for it: a closed channel is a cancellation too.
func TestRetryCanceledBetween(t *testing.T) {
	for _, byChannel := range []bool{false, true} {
		testutil.Bubble(t, fmt.Sprint("by channel: ", byChannel), func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(time.Minute)}, MaxElapsed: -1}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			stop := make(chan struct{})
			d.Cancel = stop
			time.AfterFunc(150*time.Second, func() {
				if byChannel {
					close(stop)
				} else {
					cancel(errCause)
				}
			})
			start := time.Now()
			_, err := d.DialContext(ctx, "tcp", address)
			assert.Equal(t, 150*time.Second, time.Since(start), "the wait ends at once")
			e := asError(t, err)
			assert.Equal(t, 3, e.Attempts)
			assert.Equal(t, 150*time.Second, e.Elapsed)
			assert.Equal(t, redial.Refused, e.Class, "of the last attempt")
			assert.Same(t, lastOf(t, script, 3).Err, e.Err)
			assert.ErrorIs(t, err, e.Err)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, !byChannel, errors.Is(err, errCause))
			assert.False(t, err.(net.Error).Timeout())
		})
	}
}

// The deadline of a context ends an attempt by the socket's timer or by the
// context's own; the cause comes with the second only.
func TestRetryDeadlineKeepsItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errCause)
			script := dialtest.Script(dialtest.Refuse)
			d := &redial.Dialer{
				Policy: redial.Policy{redial.Refused: every(time.Second)},
				DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
					if len(script.Dials()) == 0 {
						return script.DialContext(ctx, network, address)
					}
					deadline, _ := ctx.Deadline()
					time.Sleep(time.Until(deadline))
					return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
				},
			}
			_, err := d.DialContext(ctx, "tcp", address)
			assert.Equal(t, errCause, asError(t, err).Stop)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.True(t, err.(net.Error).Timeout())
			cancel()
		}
	})
}

// neverDone has a deadline and does not keep to it.
type neverDone struct{ context.Context }

func (neverDone) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func TestRetryDoesNotTrustContexts(t *testing.T) {
	script := dialtest.Script(dialtest.OK)
	d := &redial.Dialer{DialFunc: script.DialContext}
	_, err := d.DialContext(neverDone{t.Context()}, "tcp", address)
	assert.ErrorIs(t, err, redial.ErrDeadline)
	assert.Empty(t, script.Dials())
}

// While ctx is alive, an error that matches context.DeadlineExceeded is an
// attempt's timeout.
func TestRetryTimeoutOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, timeout := range []dialtest.Outcome{
			dialtest.Fail(context.DeadlineExceeded),
			dialtest.Fail(os.ErrDeadlineExceeded),
			dialtest.Fail(&net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}),
			dialtest.Timeout,          // by Dialer.Timeout
			dialtest.Timeout.After(0), // by the system
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			script := dialtest.Script(timeout, dialtest.OK)
			_, err := (&redial.Dialer{DialFunc: script.DialContext}).DialContext(ctx, "tcp", address)
			assert.NoError(t, err, timeout)
			assert.Len(t, script.Dials(), 2, timeout)
			cancel()
		}
	})
}

// A dialer within another's attempt makes one attempt, and so has none of the
// bounds of one that retries.
func TestRetryNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		inner := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(time.Millisecond)}}
		outer := &redial.Dialer{DialFunc: inner.DialContext, Policy: redial.Policy{redial.Refused: every(time.Second)}, MaxAttempts: 3}
		_, err := outer.Dial("tcp", address)
		assert.Equal(t, 3, asError(t, err).Attempts)
		assert.Equal(t, []time.Duration{time.Second, time.Second}, script.Delays())

		script = dialtest.Script(dialtest.Refuse, dialtest.OK)
		inner.DialFunc = script.DialContext
		_, err = inner.Dial("tcp", address)
		assert.NoError(t, err, "by itself it retries as ever")

		// By way of Verify, and with a context derived in between.
		script = dialtest.Script(dialtest.Refuse.Forever())
		inner.DialFunc = script.DialContext
		outer.DialFunc = dialtest.Script(dialtest.OK.Forever()).DialContext
		outer.Verify = func(ctx context.Context, _ net.Conn) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := inner.DialContext(context.WithoutCancel(ctx), "tcp", address)
			return err
		}
		_, err = outer.Dial("tcp", address)
		assert.Equal(t, 3, asError(t, err).Attempts)
		assert.Len(t, script.Dials(), 3)
	})
}

// The values of an attempt's context can outlive the attempt, in a session that it
// opened. A dial with them then retries as any other.
func TestRetryNestedMarkDiesWithTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept, outerKept context.Context
		keep := func(to *context.Context, next dialFunc) dialFunc {
			return func(ctx context.Context, network, address string) (net.Conn, error) {
				*to = context.WithoutCancel(ctx)
				return next(ctx, network, address)
			}
		}
		session := &redial.Dialer{DialFunc: keep(&kept, dialtest.Script(dialtest.OK.Forever()).DialContext)}
		_, err := session.Dial("tcp", address)
		require.NoError(t, err)
		dials := func(ctx context.Context) int {
			script := dialtest.Script(dialtest.Refuse, dialtest.OK)
			(&redial.Dialer{DialFunc: script.DialContext}).DialContext(ctx, "tcp", address)
			return len(script.Dials())
		}
		assert.Equal(t, 2, dials(kept))

		// The attempt within has ended, the one around it is live.
		outer := &redial.Dialer{DialFunc: keep(&outerKept, func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := session.DialContext(ctx, network, address)
			assert.Equal(t, 1, dials(kept))
			return conn, err
		})}
		_, err = outer.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, 2, dials(kept))
		assert.Equal(t, 2, dials(outerKept))
	})
}

func TestRetryNilContext(t *testing.T) {
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.OK.Forever()).DialContext}
	assert.PanicsWithValue(t, "nil context", func() {
		//lint:ignore SA1012 it is the point
		d.DialContext(nil, "tcp", address)
	})
}

func TestClassifierIsAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		classifier := func(err error) redial.Class {
			asked++
			if err == errCustom {
				return redial.Refused
			}
			return redial.Unknown
		}
		script := dialtest.Script(dialtest.Fail(errCustom), dialtest.Reset, dialtest.OK)
		d := &redial.Dialer{DialFunc: script.DialContext, Classifier: classifier}
		_, err := d.Dial("tcp", address)
		require.NoError(t, err, "one by Classifier, the other by Classify")
		assert.Equal(t, 2, asked)

		script = dialtest.Script(dialtest.Reset)
		d.DialFunc = script.DialContext
		d.Classifier = func(error) redial.Class { return redial.Denied }
		_, err = d.Dial("tcp", address)
		assert.Same(t, lastOf(t, script, 1).Err, asError(t, err).Err, "Classifier overrules")
		assert.Equal(t, redial.Denied, redial.Classify(err))

		// A class that is none counts as Unknown.
		d.DialFunc = dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext
		d.Classifier = func(error) redial.Class { return redial.Class(100) }
		_, err = d.Dial("tcp", address)
		assert.NoError(t, err)
	})
}

// The first attempts and the latest, and all of them as long as they are few.
func TestErrorHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for attempts, want := range map[int][]int{
			2:  {1, 2},
			16: {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
			17: {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17},
			40: {1, 2, 3, 4, 5, 6, 7, 8, 33, 34, 35, 36, 37, 38, 39, 40},
		} {
			d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext, Policy: redial.Policy{redial.Refused: every(time.Second)},
				MaxAttempts: attempts, MaxElapsed: -1}
			start := time.Now()
			_, err := d.Dial("tcp", address)
			e := asError(t, err)
			var numbers []int
			for _, a := range e.History {
				numbers = append(numbers, a.Number)
				assert.Equal(t, start.Add(time.Duration(a.Number-1)*time.Second), a.Start)
			}
			assert.Equal(t, want, numbers)
			last := e.History[len(e.History)-1]
			assert.Equal(t, redial.ErrMaxAttempts, last.Stop)
			assert.Equal(t, attempts, e.Attempts)
		}
	})
}

// A dialer is used by many at once, each with a schedule and a history of its own.
func TestRetryConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := &redial.Dialer{DialFunc: script.DialContext, MaxAttempts: 4}
		const dials = 100
		errs := make(chan error, dials)
		for range dials {
			go func() {
				_, err := d.Dial("tcp", address)
				errs <- err
			}()
		}
		for range dials {
			e := asError(t, <-errs)
			assert.Equal(t, 4, e.Attempts)
			assert.Len(t, e.History, 4)
		}
		assert.Len(t, script.Dials(), 4*dials)
	})
}

package redial_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/dnstest"
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
		assert.Same(t, lastOf(t, script, 6).Conn, conn, "the dial returns the inner dialer's connection")
		assert.Len(t, script.Open(), 1)
		assert.Equal(t, []time.Duration{
			1 * time.Second, 2 * time.Second, // timeouts
			100 * time.Millisecond, // the first refused
			4 * time.Second,        // the third timeout
			200 * time.Millisecond, // the second refused
		}, script.Delays())

		// The next dial starts each schedule from its beginning.
		script = dialtest.Script(timeout, dialtest.Refuse, dialtest.OK)
		d.DialFunc = script.DialContext
		_, err = d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{1 * time.Second, 100 * time.Millisecond}, script.Delays())
	})
}

// A dial that always fails ends for the reason, at the time and after the number of attempts that
// its bounds say.
func TestRetryStopsAtItsBounds(t *testing.T) {
	soon := func(d *redial.Dialer) { d.Deadline = time.Now().Add(3500 * time.Millisecond) }
	for _, test := range []struct {
		name     string
		outcome  dialtest.Outcome // of each attempt
		set      func(*redial.Dialer)
		ctx      time.Duration // from the start of the dial to the deadline of ctx; 0: no deadline
		attempts int
		elapsed  time.Duration
		stop     redial.Stop
		text     string // of stop in the message; "": the text of stop
		telling  int    // the number of the attempt that Error.Err comes from; 0: the last one
	}{
		{name: "default MaxElapsed", outcome: dialtest.Refuse, attempts: 30, elapsed: 29 * time.Second, stop: redial.ErrMaxElapsed, text: "MaxElapsed too close"},
		{name: "MaxElapsed", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxElapsed = 2500 * time.Millisecond },
			attempts: 4, elapsed: 2375 * time.Millisecond, stop: redial.ErrMaxElapsed, text: "MaxElapsed too close"},
		{name: "the least MaxElapsed", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxElapsed = 1 },
			attempts: 1, stop: redial.ErrMaxElapsed, text: "MaxElapsed too close"},
		{name: "MaxElapsed before ctx", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxElapsed = 2500 * time.Millisecond }, ctx: time.Minute,
			attempts: 4, elapsed: 2375 * time.Millisecond, stop: redial.ErrMaxElapsed, text: "MaxElapsed too close"},
		{name: "ctx's deadline", outcome: dialtest.Refuse, ctx: 3500 * time.Millisecond, attempts: 5, elapsed: 3325 * time.Millisecond, stop: redial.ErrDeadline, text: "deadline too close"},
		{name: "default MaxElapsed before ctx", outcome: dialtest.Refuse, ctx: 90500 * time.Millisecond,
			attempts: 30, elapsed: 29 * time.Second, stop: redial.ErrMaxElapsed, text: "MaxElapsed too close"},
		{name: "ctx's deadline without MaxElapsed", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxElapsed = -1 }, ctx: 90500 * time.Millisecond,
			attempts: 91, elapsed: 90 * time.Second, stop: redial.ErrDeadline, text: "deadline too close"},
		{name: "a wait that would end at ctx's deadline", outcome: dialtest.Refuse, ctx: 3 * time.Second,
			attempts: 4, elapsed: 2850 * time.Millisecond, stop: redial.ErrDeadline, text: "deadline too close"},
		{name: "Deadline", outcome: dialtest.Refuse, set: soon, attempts: 5, elapsed: 3325 * time.Millisecond, stop: redial.ErrDeadline, text: "deadline too close"},
		{name: "Deadline before ctx", outcome: dialtest.Refuse, set: soon, ctx: time.Minute,
			attempts: 5, elapsed: 3325 * time.Millisecond, stop: redial.ErrDeadline, text: "deadline too close"},
		{name: "no time for an attempt as slow as the last one", outcome: dialtest.Refuse.After(400 * time.Millisecond), set: soon,
			attempts: 3, elapsed: 3200 * time.Millisecond, stop: redial.ErrDeadline, text: "deadline too close"},
		{name: "twice as long as the last attempt, and no more", outcome: dialtest.Refuse.After(400 * time.Millisecond),
			set:      func(d *redial.Dialer) { soon(d); d.Policy[redial.Refused] = every(time.Minute) },
			attempts: 2, elapsed: 3100 * time.Millisecond, stop: redial.ErrDeadline, text: "deadline too close"},
		{name: "twice as long as the last timeout", outcome: dialtest.Timeout,
			set: func(d *redial.Dialer) {
				d.Timeout, d.MaxElapsed = 1200*time.Millisecond, 10*time.Second
				d.Policy[redial.Timeout] = every(time.Minute)
			},
			attempts: 2, elapsed: 8800 * time.Millisecond, stop: redial.ErrMaxElapsed, text: "MaxElapsed too close"},
		{name: "a last wait of the least delay", outcome: dialtest.Refuse,
			set: func(d *redial.Dialer) {
				d.MaxElapsed = 20 * time.Millisecond
				d.Policy[redial.Refused] = every(18 * time.Millisecond)
			},
			attempts: 3, elapsed: 19 * time.Millisecond, stop: redial.ErrMaxElapsed, text: "MaxElapsed too close"},
		{name: "MaxAttempts", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.MaxAttempts = 5 },
			attempts: 5, elapsed: 4 * time.Second, stop: redial.ErrMaxAttempts},
		{name: "MaxAttempts of timeouts", outcome: dialtest.Timeout.After(0), set: func(d *redial.Dialer) { d.MaxAttempts = 2 },
			attempts: 2, elapsed: time.Second, stop: redial.ErrMaxAttempts},
		{name: "the schedule ends", outcome: dialtest.Refuse, set: func(d *redial.Dialer) { d.Policy[redial.Refused] = after(time.Second, 2*time.Second) },
			attempts: 3, elapsed: 3 * time.Second, stop: redial.ErrScheduleEnded},

		{name: "default Timeout", outcome: dialtest.Timeout, attempts: 3, elapsed: 30 * time.Second, stop: redial.ErrMaxElapsed},
		{name: "Timeout", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.Timeout = 4 * time.Second; d.MaxAttempts = 2 },
			attempts: 2, elapsed: 9 * time.Second, stop: redial.ErrMaxAttempts},
		{name: "MaxElapsed during an attempt", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.MaxElapsed = 2 * time.Second },
			attempts: 1, elapsed: 2 * time.Second, stop: redial.ErrMaxElapsed},
		{name: "Deadline during an attempt", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.Timeout = 2 * time.Second; soon(d) },
			attempts: 2, elapsed: 3500 * time.Millisecond, stop: redial.ErrDeadline, telling: 1},
		{name: "ctx's deadline during an attempt", outcome: dialtest.Timeout, set: func(d *redial.Dialer) { d.Timeout = 2 * time.Second }, ctx: 3500 * time.Millisecond,
			attempts: 2, elapsed: 3500 * time.Millisecond, stop: redial.ErrDeadline, telling: 1},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
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
			assert.Equal(t, test.stop, e.Stop)
			assert.ErrorIs(t, err, test.stop)
			assert.Equal(t, ctx.Err(), e.Cause, "the cause of ctx, if ctx has ended")
			text := cmp.Or(test.text, test.stop.Error())
			assert.True(t, strings.HasSuffix(err.Error(), ": "+text+")"), err)
			lastOf(t, script, test.attempts)
			assert.Same(t, script.Dials()[cmp.Or(test.telling, test.attempts)-1].Err, e.Err)
			assert.ErrorIs(t, err, e.Err)
			if test.stop == redial.ErrDeadline {
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}
		})
	}
}

func TestRetryGoesOnWithoutLimit(t *testing.T) {
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

// The error of a dial always has the same shape, even if nothing was retried. Only a
// caller that sets MaxAttempts to 1 gets the inner dialer's own error.
func TestErrorHasOneShape(t *testing.T) {
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
		stop    redial.Stop
	}{
		{"not found", dialtest.NXDomain, nil, redial.ErrPermanent},
		{"unknown", dialtest.Fail(errCustom), nil, redial.ErrPermanent},
		{"canceled, but not by the caller", dialtest.Fail(context.Canceled), policy(redial.Policy{redial.Canceled: every(time.Second)}), redial.ErrPermanent},
		{"empty policy", dialtest.Refuse, policy(redial.Policy{}), redial.ErrPermanent},
		{"class not in the policy", dialtest.Refuse, policy(withoutRefused), redial.ErrPermanent},
		{"nil in the policy", dialtest.Refuse, policy(redial.Policy{redial.Refused: nil}), redial.ErrPermanent},
		{"no schedule", dialtest.Refuse, policy(noSchedule(nil)), redial.ErrPermanent},
		{"a nil pointer as the schedule", dialtest.Refuse, policy(noSchedule((*backoff.ExponentialBackOff)(nil))), redial.ErrPermanent},
		{"a schedule without delays", dialtest.Refuse, policy(noSchedule(&backoff.StopBackOff{})), redial.ErrScheduleEnded},
		{"MaxAttempts 1", dialtest.Refuse, func(d *redial.Dialer) { d.MaxAttempts = 1 }, redial.ErrMaxAttempts},
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
			assert.Equal(t, test.stop, seen[0].Stop)
			assert.Zero(t, seen[0].Delay)
			if test.stop == redial.ErrMaxAttempts {
				assert.Same(t, inner, err)
				return
			}
			e := asError(t, err)
			assert.Same(t, inner, e.Err)
			assert.Equal(t, seen[0].Class, e.Class)
			assert.Equal(t, test.stop, e.Stop)
			assert.Len(t, e.History, 1)
		})
	}
}

// If the last attempt fails in a class that is not retried, the error of the dial has
// that class, and still counts the attempts before it.
func TestErrorHasTheClassOfTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.NXDomain)
		d := &redial.Dialer{DialFunc: script.DialContext, MaxAttempts: 3} // it would not be retried anyway
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

// A cancellation whose cause is another goroutine's deadline is a cancellation, not a timeout
// of the dial.
func TestCauseDeadlineExceededOfACancellationIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2500*time.Millisecond, func() { cancel(context.DeadlineExceeded) })
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext, Policy: redial.Policy{redial.Refused: every(time.Second)}}
		_, err := d.DialContext(ctx, "tcp", address)
		e := asError(t, err)
		assert.Equal(t, redial.ErrCanceled, e.Stop)
		assert.Equal(t, context.DeadlineExceeded, e.Cause)
		assert.ErrorIs(t, err, context.Canceled)
		assert.NotErrorIs(t, err, redial.ErrDeadline)
		assert.False(t, e.Timeout())
	})
}

func TestDialThatIsOverMakesNoAttempt(t *testing.T) {
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
		{"ctx", ctx, nil, redial.Canceled, []error{redial.ErrCanceled, context.Canceled, errCause}, "canceled: the request is gone"},
		{"ctx's deadline", late, nil, redial.Timeout, []error{redial.ErrDeadline, context.DeadlineExceeded, errCause}, "deadline reached: the request is gone"},
		{"Cancel", context.Background(), func(d *redial.Dialer) { d.Cancel = closed }, redial.Canceled, []error{redial.ErrCanceled, context.Canceled}, "canceled"},
		{"Deadline", context.Background(), func(d *redial.Dialer) { d.Deadline = time.Now().Add(-time.Second) },
			redial.Timeout, []error{redial.ErrDeadline, context.DeadlineExceeded}, "deadline reached"},
		{"a negative Timeout", context.Background(), func(d *redial.Dialer) { d.Timeout = -1 },
			redial.Timeout, []error{redial.ErrDeadline, context.DeadlineExceeded}, "deadline reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.OK)
			d := &redial.Dialer{DialFunc: script.DialContext, OnAttempt: func(context.Context, redial.Attempt) { t.Error("an attempt was made") }}
			if test.set != nil {
				test.set(d)
			}
			_, err := d.DialContext(test.ctx, "tcp", address)
			assert.Empty(t, script.Dials(), "the inner dialer is not called")
			e := asError(t, err)
			assert.Zero(t, e.Attempts)
			assert.Equal(t, test.class, e.Class)
			assert.Equal(t, test.is[0], e.Stop)
			assert.Equal(t, e.Stop, e.Err)
			assert.Equal(t, test.class == redial.Timeout, err.(net.Error).Timeout())
			for _, is := range test.is {
				assert.ErrorIs(t, err, is)
			}
			assert.EqualError(t, err, "dial tcp: a.test:80: not attempted: "+test.text)
			op := err.(*net.OpError)
			assert.Nil(t, op.Addr, "callers switch on the address types of package net")
			assert.Nil(t, op.Source)
		})
	}
}

// With MaxAttempts 1, a dial that is over before its only attempt returns the error
// that net.Dialer returns for it.
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
				if strings.HasPrefix(address, "localhost") { // the look-up may finish before it is canceled
					assert.Equal(t, redial.Classify(want) == redial.Canceled, redial.Classify(err) == redial.Canceled)
				} else {
					assert.Equal(t, want, err)
				}
				assert.Equal(t, 1, logs.Len())
			})
		}
	}
}

// The methods for one network open no socket then either. (net.Dialer's do.)
func TestRetryCanceledBeforeOpensNoSocket(t *testing.T) {
	sockets := 0
	d := &redial.Dialer{MaxAttempts: 1, Dialer: net.Dialer{Control: func(string, string, syscall.RawConn) error {
		sockets++
		return nil
	}}}
	addr := netip.MustParseAddrPort("127.0.0.1:1")
	for name, dial := range map[string]func(context.Context) error{
		"DialTCP": func(ctx context.Context) error {
			_, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, addr)
			return err
		},
		"DialUDP": func(ctx context.Context) error {
			_, err := d.DialUDP(ctx, "udp", netip.AddrPort{}, addr)
			return err
		},
		"DialUnix": func(ctx context.Context) error {
			_, err := d.DialUnix(ctx, "unix", nil, &net.UnixAddr{Name: "/missing", Net: "unix"})
			return err
		},
	} {
		assert.ErrorIs(t, dial(canceled()), context.Canceled, name)
		assert.Zero(t, sockets, name)
	}
}

// DialTCP with a local address returns the same error as net.Dialer with that address, if the dial was canceled before.
func TestDialTCPCanceledBeforeTheOnlyAttempt(t *testing.T) {
	local, remote := netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.1:1")
	_, err := (&redial.Dialer{MaxAttempts: 1}).DialTCP(canceled(), "tcp", local, remote)
	assert.ErrorIs(t, err, context.Canceled)
	inner := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(local)}
	_, want := inner.DialContext(canceled(), "tcp", remote.String())
	assert.Equal(t, want, err)
}

// If the context was canceled, the attempt counts as canceled, whatever its error is.
func TestAttemptIsCanceledWhateverItsErrorIs(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error // the attempt's error; nil: the error that net.Dialer returns
	}{
		{"the error is a cancellation", nil},
		{"the error comes from an address tried before", errorOf(dialtest.Refuse)},
		{"the error is a timeout", errorOf(dialtest.Timeout.After(0))},
		{"the error is context.DeadlineExceeded", context.DeadlineExceeded},
		{"the error is not retried", errCustom},
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
				assert.Equal(t, redial.ErrCanceled, seen[0].Stop)
				assert.Equal(t, errCause, seen[0].Cause)
				e := asError(t, err)
				assert.Equal(t, redial.Canceled, e.Class)
				assert.Equal(t, redial.ErrCanceled, e.Stop)
				assert.Equal(t, errCause, e.Cause)
				assert.ErrorIs(t, err, context.Canceled)
				assert.ErrorIs(t, err, errCause)
				assert.Equal(t, inner, e.Err)
			})
		})
	}
}

// A cutOff ends a dial at a time, in one of the ways in which a dial can end.
type cutOff struct {
	name  string
	apply func(ctx context.Context, d *redial.Dialer, end time.Duration) (context.Context, context.CancelFunc)
	class redial.Class // of an attempt that the end cuts off
	stop  redial.Stop
}

var cutOffs = []cutOff{
	{"ctx's deadline", func(ctx context.Context, _ *redial.Dialer, end time.Duration) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, end)
	}, redial.Timeout, redial.ErrDeadline},
	{"MaxElapsed", func(ctx context.Context, d *redial.Dialer, end time.Duration) (context.Context, context.CancelFunc) {
		d.MaxElapsed = end
		return ctx, func() {}
	}, redial.Timeout, redial.ErrMaxElapsed},
	{"Cancel", func(ctx context.Context, d *redial.Dialer, end time.Duration) (context.Context, context.CancelFunc) {
		stop := make(chan struct{})
		d.Cancel = stop
		time.AfterFunc(end, func() { close(stop) })
		return ctx, func() {}
	}, redial.Canceled, redial.ErrCanceled},
}

// dial dials by script until the dial is cut off at end.
func (c *cutOff) dial(t *testing.T, script *dialtest.Dialer, end time.Duration) *redial.Error {
	t.Helper()
	second := every(time.Second)
	d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: second, redial.Reset: second, redial.NotFound: second}}
	ctx, cancel := c.apply(t.Context(), d, end)
	defer cancel()
	_, err := d.DialContext(ctx, "tcp", address)
	e := asError(t, err)
	assert.Equal(t, end, e.Elapsed)
	assert.Equal(t, c.stop, e.Stop)
	assert.ErrorIs(t, err, c.stop)
	return e
}

// An attempt that the end of the dial cuts off within a second says nothing about the target.
// The dial's error then comes from the attempt before it.
func TestCutOffWithinASecondSaysNothing(t *testing.T) {
	for _, c := range cutOffs {
		for _, test := range []struct {
			end   time.Duration // of the dial; the attempt without an answer starts at 1 s
			class redial.Class
		}{
			{1900 * time.Millisecond, redial.Refused},
			{2000 * time.Millisecond, c.class},
			{2100 * time.Millisecond, c.class},
		} {
			testutil.Bubble(t, fmt.Sprint(c.name, " after ", test.end), func(t *testing.T) {
				script := dialtest.Script(dialtest.Refuse, dialtest.Timeout)
				e := c.dial(t, script, test.end)
				assert.Equal(t, 2, e.Attempts)
				assert.Equal(t, test.class, e.Class)
				assert.Equal(t, test.class, redial.Classify(e))
				telling := lastOf(t, script, 2)
				if test.class == redial.Refused {
					telling = script.Dials()[0]
				}
				assert.Same(t, telling.Err, e.Err)
				assert.Same(t, script.Dials()[1].Err, e.History[1].Err, "each record keeps its attempt's own error")
				assert.Equal(t, c.class, e.History[1].Class)
			})
		}
	}
}

// A target that took 2 s to refuse or reset an attempt has not had the time to do it again.
func TestCutOffSoonerThanTheLastAnswerSaysNothing(t *testing.T) {
	for _, test := range []struct {
		first dialtest.Outcome
		end   time.Duration // of the dial; the attempt without an answer starts at 3 s
		class redial.Class
	}{
		{dialtest.Refuse.After(2 * time.Second), 4900 * time.Millisecond, redial.Refused},
		{dialtest.Reset.After(2 * time.Second), 4900 * time.Millisecond, redial.Reset},
		{dialtest.Refuse.After(2 * time.Second), 5000 * time.Millisecond, redial.Timeout},
		{dialtest.NXDomain.After(2 * time.Second), 4900 * time.Millisecond, redial.Timeout}, // the target said nothing
	} {
		testutil.Bubble(t, fmt.Sprint(test.first, " ", test.end), func(t *testing.T) {
			e := cutOffs[1].dial(t, dialtest.Script(test.first, dialtest.Timeout), test.end)
			assert.Equal(t, 2, e.Attempts)
			assert.Equal(t, test.class, e.Class)
		})
	}
}

// An attempt that the target answered says something, whenever the dial ends.
func TestAnswerAtTheEndIsNotCutOff(t *testing.T) {
	for _, c := range cutOffs[:2] {
		testutil.Bubble(t, c.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.Reset, dialtest.Refuse)
			answers := dialtest.Script(dialtest.Reset, dialtest.Timeout) // each attempt ends as script says, but takes as long as this
			d := &redial.Dialer{Policy: redial.Policy{redial.Reset: every(time.Second)},
				DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
					answers.DialContext(ctx, network, address)
					return script.DialContext(context.WithoutCancel(ctx), network, address)
				}}
			ctx, cancel := c.apply(t.Context(), d, 1500*time.Millisecond)
			defer cancel()
			_, err := d.DialContext(ctx, "tcp", address)
			e := asError(t, err)
			assert.Equal(t, redial.Refused, e.Class)
			assert.Same(t, lastOf(t, script, 2).Err, e.Err)
			assert.Equal(t, c.stop, e.Stop)
		})
	}
}

// If the first attempt is cut off, the error of the dial comes from it, because there is no other.
func TestCutOffFirstAttemptIsAllThereIs(t *testing.T) {
	for _, c := range cutOffs {
		testutil.Bubble(t, c.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.Timeout)
			e := c.dial(t, script, 100*time.Millisecond)
			assert.Equal(t, c.class, e.Class)
			assert.Equal(t, 1, e.Attempts)
			assert.Same(t, lastOf(t, script, 1).Err, e.Err)
			assert.Equal(t, c.class, e.History[0].Class)
		})
	}
}

// A dial to a target that always refuses goes on for nearly all of MaxElapsed.
func TestRetryUsesNearlyAllOfItsTime(t *testing.T) {
	t.Parallel()
	for _, budget := range []time.Duration{500 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second} {
		testutil.Bubble(t, budget.String(), func(t *testing.T) {
			runs := many(500)
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
			assert.GreaterOrEqual(t, sum/float64(runs), 0.94, budget)
			assert.GreaterOrEqual(t, worst, 0.85, budget)
			assert.LessOrEqual(t, sum/float64(runs), 1.0, budget)
		})
	}
}

// A dial is canceled during a wait, by its context or by closing Dialer.Cancel.
func TestCancellationEndsAWait(t *testing.T) {
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
			assert.Equal(t, redial.Refused, e.Class, "the class of the last attempt")
			assert.Same(t, lastOf(t, script, 3).Err, e.Err)
			assert.ErrorIs(t, err, e.Err)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, redial.ErrCanceled, e.Stop)
			assert.Equal(t, !byChannel, e.Cause == errCause)
			assert.Equal(t, !byChannel, errors.Is(err, errCause))
			assert.False(t, err.(net.Error).Timeout())
		})
	}
}

// At the deadline of a context, the socket's timer may fire before the context's own.
// Only the context has the cause, and the dial's error must hold it in both cases.
func TestDeadlineKeepsItsCause(t *testing.T) {
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
			start := time.Now()
			_, err := d.DialContext(ctx, "tcp", address)
			assert.Equal(t, redial.ErrDeadline, asError(t, err).Stop)
			assert.Equal(t, errCause, asError(t, err).Cause)
			assert.Equal(t, 2*time.Second, time.Since(start))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.True(t, err.(net.Error).Timeout())
			cancel()
		}
	})
}

// neverDone has a deadline that has passed, but it is never done.
type neverDone struct{ context.Context }

func (neverDone) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// A context that is not done at its deadline holds the dial up for 10 ms only.
func TestLateContextHoldsTheDialUpBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx := slowClock{t.Context(), start.Add(time.Second)}
		d := &redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Second)
			return nil, os.ErrDeadlineExceeded
		}}
		_, err := d.DialContext(ctx, "tcp", address)
		assert.Equal(t, redial.ErrDeadline, asError(t, err).Stop)
		assert.Equal(t, time.Second+10*time.Millisecond, time.Since(start))
	})
}

func TestPassedDeadlineEndsTheDialIfTheContextDoesNot(t *testing.T) {
	script := dialtest.Script(dialtest.OK)
	d := &redial.Dialer{DialFunc: script.DialContext}
	_, err := d.DialContext(neverDone{t.Context()}, "tcp", address)
	assert.ErrorIs(t, err, redial.ErrDeadline)
	assert.Empty(t, script.Dials())
}

// While ctx has not ended, an error that matches context.DeadlineExceeded is the
// timeout of one attempt, which is retried.
func TestTimeoutOfAnAttemptIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, timeout := range []dialtest.Outcome{
			dialtest.Fail(context.DeadlineExceeded),
			dialtest.Fail(os.ErrDeadlineExceeded),
			dialtest.Fail(&net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}),
			dialtest.Timeout,          // Dialer.Timeout ends the attempt
			dialtest.Timeout.After(0), // the operating system ends the attempt
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

// An inner dialer that says "canceled" when its time is up has timed out. The attempt is
// retried if the dial has time left.
func TestInnerCanceledIsTimeoutWhenTimeIsUp(t *testing.T) {
	for _, test := range []struct {
		name     string
		set      func(*redial.Dialer)
		ctx      time.Duration // from the start of the dial to the deadline of ctx
		attempts int
		elapsed  time.Duration
		stop     redial.Stop
	}{
		{"Timeout", func(d *redial.Dialer) { d.Timeout, d.MaxAttempts = 2*time.Second, 2 }, time.Hour, 2, 5 * time.Second, redial.ErrMaxAttempts},
		{"default Timeout", func(d *redial.Dialer) { d.MaxAttempts = 2 }, time.Hour, 2, 21 * time.Second, redial.ErrMaxAttempts},
		{"MaxElapsed", func(d *redial.Dialer) { d.MaxElapsed = 3 * time.Second }, time.Hour, 1, 3 * time.Second, redial.ErrMaxElapsed},
		{"Deadline", func(d *redial.Dialer) { d.Deadline = time.Now().Add(3 * time.Second) }, time.Hour, 1, 3 * time.Second, redial.ErrDeadline},
		{"ctx's deadline", func(*redial.Dialer) {}, 3 * time.Second, 1, 3 * time.Second, redial.ErrDeadline},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			logger, logs := observed()
			d := &redial.Dialer{
				DialFunc: func(ctx context.Context, network, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, &net.OpError{Op: "dial", Net: network, Err: context.Canceled}
				},
				Policy: redial.Policy{redial.Timeout: every(time.Second)},
				Logger: logger,
			}
			test.set(d)
			ctx, cancel := context.WithTimeout(t.Context(), test.ctx)
			defer cancel()
			_, err := d.DialContext(ctx, "tcp", address)
			e := asError(t, err)
			assert.Equal(t, redial.Timeout, e.Class)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.Equal(t, test.elapsed, e.Elapsed)
			assert.Equal(t, test.stop, e.Stop)
			assert.True(t, err.(net.Error).Timeout())
			assert.Empty(t, logs.FilterMessage("dial canceled").All())
		})
	}
}

// While time is left, an inner dialer's own "canceled" is a failure that is not retried, and the
// caller did not give up.
func TestInnerCanceledWhileTimeIsLeftIsNotRetried(t *testing.T) {
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Fail(context.Canceled)).DialContext}
	_, err := d.Dial("tcp", address)
	e := asError(t, err)
	assert.Equal(t, redial.Canceled, e.Class)
	assert.Equal(t, redial.ErrPermanent, e.Stop)
}

// Timeout of a dial's error speaks of the last failure. Clients ask it, such as gomemcache, which
// replaces an error whose Timeout is true by one of its own: a refused dial must not lose its class and errno.
func TestErrorTimeoutSpeaksOfTheLastFailure(t *testing.T) {
	gomemcache := func(err error) error { // as its method dial does
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return errors.New("memcache: connect timeout")
		}
		return err
	}
	for _, test := range []struct {
		name    string
		script  *dialtest.Dialer
		ctx     time.Duration // from the start of the dial to the deadline of ctx
		cancel  time.Duration // from the start of the dial to the cancellation of ctx; 0: never
		class   redial.Class
		stop    redial.Stop
		timeout bool
	}{
		{"refused until too little time is left", dialtest.Script(dialtest.Refuse.Forever()), 3 * time.Second, 0, redial.Refused, redial.ErrDeadline, false},
		{"refused until MaxElapsed is too close", dialtest.Script(dialtest.Refuse.Forever()), time.Hour, 0, redial.Refused, redial.ErrMaxElapsed, false},
		{"refused, then the caller cancels", dialtest.Script(dialtest.Refuse.Forever()), time.Hour, 2500 * time.Millisecond, redial.Refused, redial.ErrCanceled, false},
		{"refused, then the deadline passes", dialtest.Script(dialtest.Refuse, dialtest.Timeout), 1900 * time.Millisecond, 0, redial.Refused, redial.ErrDeadline, true},
		{"silent until MaxElapsed", dialtest.Script(dialtest.Timeout.Forever()), time.Hour, 0, redial.Timeout, redial.ErrMaxElapsed, true},
		{"silent until the deadline", dialtest.Script(dialtest.Timeout.Forever()), 3 * time.Second, 0, redial.Timeout, redial.ErrDeadline, true},
		{"over before the first attempt", dialtest.Script(), -1, 0, redial.Timeout, redial.ErrDeadline, true},
		{"the name does not exist", dialtest.Script(dialtest.NXDomain), time.Hour, 0, redial.NotFound, redial.ErrPermanent, false},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			d := &redial.Dialer{
				DialFunc: test.script.DialContext,
				Policy:   redial.Policy{redial.Refused: every(time.Second), redial.Timeout: every(time.Second)},
			}
			ctx, cancel := context.WithTimeout(t.Context(), test.ctx)
			defer cancel()
			if test.cancel > 0 {
				time.AfterFunc(test.cancel, cancel)
			}
			_, err := d.DialContext(ctx, "tcp", address)
			e := asError(t, err)
			assert.Equal(t, test.class, e.Class)
			assert.Equal(t, test.stop, e.Stop)
			assert.Equal(t, test.timeout, err.(net.Error).Timeout())
			assert.Equal(t, test.timeout, err.(net.Error).Temporary()) //lint:ignore SA1019 clients ask it
			if test.class == redial.Refused && !test.timeout {
				assert.ErrorIs(t, gomemcache(err), errScriptRefuses)
			}
		})
	}
}

// With MaxAttempts 1, the error is the inner dialer's own, and Timeout's default holds: a silent
// host must not take the two minutes that the kernel gives it.
func TestOnlyAttemptTimesOutByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Timeout)
		start := time.Now()
		_, err := (&redial.Dialer{DialFunc: script.DialContext, MaxAttempts: 1}).Dial("tcp", address)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Same(t, lastOf(t, script, 1).Err, err)
	})
}

// DialTimeout ends the whole dial, waits included, when its timeout is over.
func TestDialTimeoutBoundsTheDial(t *testing.T) {
	for _, test := range []struct {
		name     string
		outcome  dialtest.Outcome // of each attempt
		timeout  time.Duration
		attempts int
		elapsed  time.Duration
		stop     redial.Stop
	}{
		{"refused", dialtest.Refuse, 3500 * time.Millisecond, 5, 3325 * time.Millisecond, redial.ErrDeadline},
		{"silent", dialtest.Timeout, 3 * time.Second, 1, 3 * time.Second, redial.ErrDeadline},
		{"zero means MaxElapsed", dialtest.Refuse, 0, 6, 4750 * time.Millisecond, redial.ErrMaxElapsed},
		{"longer than MaxElapsed", dialtest.Refuse, time.Hour, 6, 4750 * time.Millisecond, redial.ErrMaxElapsed},
		{"negative means that time is up", dialtest.Refuse, -1, 0, 0, redial.ErrDeadline},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script(test.outcome.Forever())
			d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(time.Second)}, MaxElapsed: 5 * time.Second}
			_, err := d.DialTimeout("tcp", address, test.timeout)
			e := asError(t, err)
			assert.Equal(t, test.attempts, e.Attempts)
			assert.Equal(t, test.elapsed, e.Elapsed)
			assert.Equal(t, test.stop, e.Stop)
			assert.Len(t, script.Dials(), test.attempts)
		})
	}
}

// A dial within another dial's attempt makes a single attempt. The default of MaxElapsed does not
// apply to it.
func TestNestedDialMakesOneAttempt(t *testing.T) {
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
		assert.NoError(t, err, "outside an attempt, the inner dialer retries")

		// The same in Verify, with a context derived from the attempt's.
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

// A session that an attempt opened can keep the values of the attempt's context after
// the attempt has ended. A dial with these values retries like any other dial.
func TestDialRetriesOnceItsOuterAttemptHasEnded(t *testing.T) {
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

		// The inner attempt has ended, but the attempt around it has not.
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

func TestNilContextPanics(t *testing.T) {
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.OK.Forever()).DialContext}
	assert.PanicsWithValue(t, "nil context", func() {
		//lint:ignore SA1012 the test is about a nil context
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
		require.NoError(t, err, "Classifier classifies the first error, Classify the second")
		assert.Equal(t, 2, asked)

		script = dialtest.Script(dialtest.Reset)
		d.DialFunc = script.DialContext
		d.Classifier = func(error) redial.Class { return redial.Denied }
		_, err = d.Dial("tcp", address)
		assert.Same(t, lastOf(t, script, 1).Err, asError(t, err).Err, "Classifier overrules Classify")
		assert.Equal(t, redial.Denied, redial.Classify(err))

		// A value that is not a class counts as Unknown.
		d.DialFunc = dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext
		d.Classifier = func(error) redial.Class { return redial.Class(100) }
		_, err = d.Dial("tcp", address)
		assert.NoError(t, err)
	})
}

// History holds all attempts up to 8. Beyond that, it holds the first 4 and the latest 4.
func TestHistoryHoldsTheFirstAndTheLatest(t *testing.T) {
	for attempts, want := range map[int][]int{
		2:  {1, 2},
		8:  {1, 2, 3, 4, 5, 6, 7, 8},
		9:  {1, 2, 3, 4, 6, 7, 8, 9},
		40: {1, 2, 3, 4, 37, 38, 39, 40},
	} {
		testutil.Bubble(t, fmt.Sprint(attempts, " attempts"), func(t *testing.T) {
			d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext, Policy: redial.Policy{redial.Refused: every(time.Second)},
				MaxAttempts: attempts, MaxElapsed: -1}
			start := time.Now()
			_, err := d.Dial("tcp", address)
			e := asError(t, err)
			var numbers []int
			for _, a := range e.History {
				numbers = append(numbers, a.Number)
				assert.Equal(t, start.Add(time.Duration(a.Number-1)*time.Second), a.Start)
				assert.Equal(t, a.Number == attempts, a.Stop == redial.ErrMaxAttempts)
			}
			assert.Equal(t, want, numbers)
			assert.Equal(t, attempts, e.Attempts)
		})
	}
}

// History has the attempts as OnAttempt saw them, though a dial that waits does not keep all
// their parts, and OnAttempt may change what it gets.
func TestHistoryIsWhatOnAttemptSaw(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("two.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
	server.Set("gone.test", dnstest.ServFail)
	for _, target := range []string{"127.0.0.1:1", "two.test:1", "gone.test:1"} {
		t.Run(target, func(t *testing.T) {
			var seen []redial.Attempt
			d := &redial.Dialer{
				Dialer: net.Dialer{
					Resolver: server.Resolver(),
					Control:  func(string, string, syscall.RawConn) error { return errScriptRefuses }, // no connect, which takes seconds on Windows
				},
				Policy:      redial.Policy{redial.Refused: every(time.Millisecond), redial.DNS: every(time.Millisecond)},
				MaxAttempts: 12,
				OnAttempt: func(_ context.Context, a redial.Attempt) {
					changed := a.Addrs
					a.Addrs = slices.Clone(a.Addrs)
					seen = append(seen, a)
					clear(changed)
				},
			}
			_, err := d.Dial("tcp", target)
			e := asError(t, err)
			require.Len(t, seen, 12)
			assert.Equal(t, target == "two.test:1", len(seen[0].Addrs) == 2)
			want := slices.Delete(seen, 4, 8)
			require.Len(t, e.History, len(want))
			for i, got := range e.History {
				assert.True(t, want[i].Start.Equal(got.Start))
				got.Start = want[i].Start // the same time, perhaps with another reading of the wall clock
				assert.Equal(t, want[i], got, "attempt %d", want[i].Number)
			}
			assert.Same(t, want[7].Err, e.Err, "the last error is the attempt's own")
		})
	}
}

// Many goroutines use one Dialer at once. Each dial has its own schedule and history.
func TestDialsShareADialer(t *testing.T) {
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

// A wait that would end a moment before the end of the dial is shortened too: the last attempt gets a twentieth of the
// whole time, or 100 ms if that is less.
func TestRetryLeavesTimeForTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK.After(50*ms))
		d := &redial.Dialer{DialFunc: script.DialContext, MaxElapsed: 2 * time.Second, Policy: redial.Policy{redial.Refused: every(999 * ms)}}
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{999 * ms, 901 * ms}, script.Delays())
	})
}

package redial_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// The failures of an inner dialer, one of each kind that matters here.
var (
	errRefused = opError("tcp", "connect", sysRefused)
	errReset   = opError("tcp", "connect", sysReset)
	errTimeout = &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	errNoHost  = dnsOpError(&net.DNSError{Err: "no such host", Name: "a.test", IsNotFound: true})
	errCustom  = errors.New("a dialer's own")
)

// A script is an inner dialer: each dial takes the next error, nil for a
// connection, and the last one stays.
type script struct {
	errs  []error
	dials []time.Time
	conn  *pipeConn // the last one made
}

func scripted(errs ...error) *script { return &script{errs: errs} }

func (s *script) dial(context.Context, string, string) (net.Conn, error) {
	s.dials = append(s.dials, time.Now())
	err := s.errs[0]
	if len(s.errs) > 1 {
		s.errs = s.errs[1:]
	}
	if err != nil {
		return nil, err
	}
	s.conn = newPipeConn()
	return s.conn, nil
}

// delays are the times between the dials.
func (s *script) delays() (delays []time.Duration) {
	for i := range s.dials[1:] {
		delays = append(delays, s.dials[i+1].Sub(s.dials[i]))
	}
	return delays
}

// pipeConn is a connection that counts how often it was closed.
type pipeConn struct {
	net.Conn
	closed int
}

func newPipeConn() *pipeConn {
	conn, _ := net.Pipe()
	return &pipeConn{Conn: conn}
}

func (c *pipeConn) Close() error {
	c.closed++
	return c.Conn.Close()
}

// blocked is an inner dialer that no server answers: it returns when its
// context ends, with the error of net.Dialer.
func blocked(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}

// delays is a schedule of the delays given, and then of backoff.Stop.
type delays []time.Duration

func (d *delays) Reset() {}

func (d *delays) NextBackOff() time.Duration {
	if len(*d) == 0 {
		return backoff.Stop
	}
	next := (*d)[0]
	*d = (*d)[1:]
	return next
}

// after makes a new schedule of the delays given for each dial.
func after(all ...time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff {
		d := delays(all)
		return &d
	}
}

// every makes a schedule of one delay for ever.
func every(d time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(d) }
}

const address = "a.test:80"

// asError is the *redial.Error that err must hold, in the *net.OpError that it
// must be.
func asError(t *testing.T, err error) *redial.Error {
	t.Helper()
	require.Error(t, err)
	require.IsType(t, &net.OpError{}, err)
	var e *redial.Error
	require.ErrorAs(t, err, &e)
	assert.Same(t, e, err.(*net.OpError).Err)
	return e
}

func TestRetryKeepsScheduleForEachClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(errTimeout, errTimeout, errRefused, errTimeout, errRefused, nil)
		d := &redial.Dialer{
			DialFunc: s.dial,
			Policy: redial.Policy{
				redial.Timeout: after(1*time.Second, 2*time.Second, 4*time.Second),
				redial.Refused: after(100*time.Millisecond, 200*time.Millisecond),
			},
		}
		conn, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Same(t, s.conn, conn, "the inner dialer's own")
		assert.Zero(t, s.conn.closed)
		assert.Equal(t, []time.Duration{
			1 * time.Second, 2 * time.Second, // timeouts
			100 * time.Millisecond, // the first refused
			4 * time.Second,        // the third timeout
			200 * time.Millisecond, // the second refused
		}, s.delays())

		// The next dial starts from the beginning again.
		s = scripted(errTimeout, errRefused, nil)
		d.DialFunc = s.dial
		_, err = d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{1 * time.Second, 100 * time.Millisecond}, s.delays())
	})
}

// What ends a dial that always fails, when, after how many attempts.
func TestRetryStops(t *testing.T) {
	soon := func(d *redial.Dialer) { d.Deadline = time.Now().Add(3500 * time.Millisecond) }
	for _, test := range []struct {
		name     string
		err      error // nil: the attempts time out
		set      func(*redial.Dialer)
		ctx      time.Duration // its deadline; 0: none
		attempts int
		elapsed  time.Duration
		stop     error
		timeout  bool
	}{
		{name: "default MaxElapsed", err: errRefused, attempts: 30, elapsed: 29 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "MaxElapsed", err: errRefused, set: func(d *redial.Dialer) { d.MaxElapsed = 2500 * time.Millisecond },
			attempts: 3, elapsed: 2 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "MaxElapsed before ctx", err: errRefused, set: func(d *redial.Dialer) { d.MaxElapsed = 2500 * time.Millisecond }, ctx: time.Minute,
			attempts: 3, elapsed: 2 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "ctx's deadline", err: errRefused, ctx: 3500 * time.Millisecond, attempts: 4, elapsed: 3 * time.Second, stop: redial.ErrDeadline, timeout: true},
		{name: "ctx's deadline, beyond the default of MaxElapsed", err: errRefused, ctx: 90500 * time.Millisecond,
			attempts: 91, elapsed: 90 * time.Second, stop: redial.ErrDeadline, timeout: true},
		{name: "a wait that ends with ctx", err: errRefused, ctx: 3 * time.Second, attempts: 3, elapsed: 2 * time.Second, stop: redial.ErrDeadline, timeout: true},
		{name: "Deadline", err: errRefused, set: soon, attempts: 4, elapsed: 3 * time.Second, stop: redial.ErrDeadline, timeout: true},
		{name: "Deadline before ctx", err: errRefused, set: soon, ctx: time.Minute, attempts: 4, elapsed: 3 * time.Second, stop: redial.ErrDeadline, timeout: true},
		{name: "MaxAttempts", err: errRefused, set: func(d *redial.Dialer) { d.MaxAttempts = 5 },
			attempts: 5, elapsed: 4 * time.Second, stop: redial.ErrMaxAttempts},
		{name: "MaxAttempts of timeouts", err: errTimeout, set: func(d *redial.Dialer) { d.MaxAttempts = 2 },
			attempts: 2, elapsed: time.Second, stop: redial.ErrMaxAttempts, timeout: true},
		{name: "the schedule's end", err: errRefused, set: func(d *redial.Dialer) { d.Policy[redial.Refused] = after(time.Second, 2*time.Second) },
			attempts: 3, elapsed: 3 * time.Second, stop: redial.ErrPermanent},

		{name: "default Timeout", attempts: 3, elapsed: 30 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "Timeout", set: func(d *redial.Dialer) { d.Timeout = 4 * time.Second; d.MaxAttempts = 2 },
			attempts: 2, elapsed: 9 * time.Second, stop: redial.ErrMaxAttempts, timeout: true},
		{name: "MaxElapsed in flight", set: func(d *redial.Dialer) { d.MaxElapsed = 2 * time.Second },
			attempts: 1, elapsed: 2 * time.Second, stop: redial.ErrMaxElapsed, timeout: true},
		{name: "Deadline in flight", set: func(d *redial.Dialer) { d.Timeout = 2 * time.Second; soon(d) },
			attempts: 2, elapsed: 3500 * time.Millisecond, stop: redial.ErrDeadline, timeout: true},
		{name: "ctx's deadline in flight", set: func(d *redial.Dialer) { d.Timeout = 2 * time.Second }, ctx: 3500 * time.Millisecond,
			attempts: 2, elapsed: 3500 * time.Millisecond, stop: redial.ErrDeadline, timeout: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := scripted(test.err)
				d := &redial.Dialer{
					DialFunc: s.dial,
					Policy:   redial.Policy{redial.Refused: every(time.Second), redial.Timeout: every(time.Second)},
				}
				if test.err == nil {
					d.DialFunc = blocked
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
				assert.Equal(t, test.timeout, err.(net.Error).Timeout())
				if test.err != nil {
					assert.ErrorIs(t, err, test.err)
				}
				if test.stop == redial.ErrDeadline {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
		})
	}
}

func TestRetryWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(errRefused)
		stop := make(chan struct{})
		time.AfterFunc(24*time.Hour+time.Second, func() { close(stop) })
		d := &redial.Dialer{DialFunc: s.dial, Policy: redial.Policy{redial.Refused: every(time.Minute)}, MaxElapsed: -1}
		d.Cancel = stop
		_, err := d.Dial("tcp", address)
		assert.Equal(t, 24*60+1, asError(t, err).Attempts)
	})
}

// Failures that retrying was never going to touch come back untouched.
func TestRetryLeavesErrorsAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		set  func(*redial.Dialer)
		stop error
	}{
		{"not found", errNoHost, nil, redial.ErrPermanent},
		{"unknown", errCustom, nil, redial.ErrPermanent},
		{"canceled, but not by the caller", context.Canceled, func(d *redial.Dialer) { d.Policy = redial.Policy{redial.Canceled: every(time.Second)} }, redial.ErrPermanent},
		{"empty policy", errRefused, func(d *redial.Dialer) { d.Policy = redial.Policy{} }, redial.ErrPermanent},
		{"class not in the policy", errRefused, func(d *redial.Dialer) { d.Policy = redial.DefaultPolicy(); delete(d.Policy, redial.Refused) }, redial.ErrPermanent},
		{"nil in the policy", errRefused, func(d *redial.Dialer) { d.Policy = redial.Policy{redial.Refused: nil} }, redial.ErrPermanent},
		{"no schedule", errRefused, func(d *redial.Dialer) {
			d.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return nil }}
		}, redial.ErrPermanent},
		{"a nil pointer for a schedule", errRefused, func(d *redial.Dialer) {
			d.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return (*backoff.ExponentialBackOff)(nil) }}
		}, redial.ErrPermanent},
		{"a schedule of none", errRefused, func(d *redial.Dialer) {
			d.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return &backoff.StopBackOff{} }}
		}, redial.ErrPermanent},
		{"MaxAttempts 1", errRefused, func(d *redial.Dialer) { d.MaxAttempts = 1 }, redial.ErrMaxAttempts},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scripted(test.err)
			var seen []redial.Attempt
			d := &redial.Dialer{DialFunc: s.dial, OnAttempt: func(_ context.Context, a redial.Attempt) { seen = append(seen, a) }}
			if test.set != nil {
				test.set(d)
			}
			_, err := d.Dial("tcp", address)
			assert.Same(t, test.err, err)
			require.Len(t, seen, 1)
			assert.Equal(t, test.stop, seen[0].Stop)
			assert.Zero(t, seen[0].Delay)
		})
	}
}

// A dial that was retried has more to tell than its last error, whatever that is.
func TestRetryEndsInAnotherClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(errRefused, errRefused, errNoHost)
		d := &redial.Dialer{DialFunc: s.dial}
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

var errCause = errors.New("the request is gone")

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
			s := scripted(nil)
			d := &redial.Dialer{DialFunc: s.dial, OnAttempt: func(context.Context, redial.Attempt) { t.Error("an attempt") }}
			if test.set != nil {
				test.set(d)
			}
			_, err := d.DialContext(test.ctx, "tcp", address)
			assert.Empty(t, s.dials, "nothing is dialed")
			e := asError(t, err)
			assert.Zero(t, e.Attempts)
			assert.Equal(t, test.class, e.Class)
			assert.Equal(t, test.class == redial.Timeout, err.(net.Error).Timeout())
			for _, is := range test.is {
				assert.ErrorIs(t, err, is)
			}
			assert.EqualError(t, err, "dial tcp a.test:80: not attempted: "+test.text)
		})
	}
}

// A cancellation during an attempt is told by the context, never by the error.
func TestRetryCanceledDuring(t *testing.T) {
	for _, test := range []struct {
		name      string
		err       error // of the attempt; nil: as net.Dialer's
		untouched bool
	}{
		{"the error says so", nil, true},
		{"the error is of an address tried before", errRefused, false},
		{"the error is a timeout", errTimeout, false},
		{"the error is not one to retry", errCustom, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var inner error
				var seen []redial.Attempt
				d := &redial.Dialer{
					DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
						if _, inner = blocked(ctx, network, address); test.err != nil {
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
				if test.untouched {
					assert.Same(t, inner, err)
					return
				}
				e := asError(t, err)
				assert.Equal(t, redial.Canceled, e.Class)
				assert.ErrorIs(t, err, context.Canceled)
				assert.ErrorIs(t, err, errCause)
				assert.ErrorIs(t, err, test.err)
			})
		})
	}
}

// Both ways of asking for it: a closed channel is a cancellation too.
func TestRetryCanceledBetween(t *testing.T) {
	for _, byChannel := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := scripted(errRefused)
			d := &redial.Dialer{DialFunc: s.dial, Policy: redial.Policy{redial.Refused: every(time.Minute)}, MaxElapsed: -1}
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
			assert.ErrorIs(t, err, sysRefused)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, !byChannel, errors.Is(err, errCause))
			assert.False(t, err.(net.Error).Timeout())
			assert.Len(t, s.dials, 3)
		})
	}
}

// The deadline of a context ends an attempt by the socket's timer or by the
// context's own; the cause comes with the second only.
func TestRetryDeadlineKeepsItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errCause)
			first := true
			d := &redial.Dialer{
				Policy: redial.Policy{redial.Refused: every(time.Second)},
				DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
					if first {
						first = false
						return nil, errRefused
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
	s := scripted(nil)
	d := &redial.Dialer{DialFunc: s.dial}
	_, err := d.DialContext(neverDone{t.Context()}, "tcp", address)
	assert.ErrorIs(t, err, redial.ErrDeadline)
	assert.Empty(t, s.dials)
}

// While ctx is alive, an error that matches context.DeadlineExceeded is an
// attempt's timeout.
func TestRetryTimeoutOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range []error{context.DeadlineExceeded, os.ErrDeadlineExceeded, errTimeout, opError("tcp", "connect", sysTimedOut)} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			s := scripted(err, nil)
			_, got := (&redial.Dialer{DialFunc: s.dial}).DialContext(ctx, "tcp", address)
			assert.NoError(t, got)
			assert.Len(t, s.dials, 2)
			cancel()
		}
	})
}

// A dialer within another's attempt makes one attempt, and so has none of the
// bounds of one that retries.
func TestRetryNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(errRefused)
		inner := &redial.Dialer{DialFunc: s.dial, Policy: redial.Policy{redial.Refused: every(time.Millisecond)}}
		outer := &redial.Dialer{DialFunc: inner.DialContext, Policy: redial.Policy{redial.Refused: every(time.Second)}, MaxAttempts: 3}
		_, err := outer.Dial("tcp", address)
		assert.Equal(t, 3, asError(t, err).Attempts)
		assert.Equal(t, []time.Duration{time.Second, time.Second}, s.delays())

		s = scripted(errRefused, nil)
		inner.DialFunc = s.dial
		_, err = inner.Dial("tcp", address)
		assert.NoError(t, err, "by itself it retries as ever")

		// By way of Verify, and with a context derived in between.
		s = scripted(errRefused)
		inner.DialFunc = s.dial
		outer.DialFunc = scripted(nil).dial
		outer.Verify = func(ctx context.Context, _ net.Conn) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := inner.DialContext(context.WithoutCancel(ctx), "tcp", address)
			return err
		}
		_, err = outer.Dial("tcp", address)
		assert.Equal(t, 3, asError(t, err).Attempts)
		assert.Len(t, s.dials, 3)
	})
}

func TestRetryNilContext(t *testing.T) {
	d := &redial.Dialer{DialFunc: scripted(nil).dial}
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
		s := scripted(errCustom, errReset, nil)
		d := &redial.Dialer{DialFunc: s.dial, Classifier: classifier}
		_, err := d.Dial("tcp", address)
		require.NoError(t, err, "one by Classifier, the other by Classify")
		assert.Equal(t, 2, asked)

		d.DialFunc = scripted(errReset).dial
		d.Classifier = func(error) redial.Class { return redial.Denied }
		_, err = d.Dial("tcp", address)
		assert.Same(t, errReset, err, "Classifier overrules")
	})
}

// Whatever a schedule returns, there is a wait between two attempts and an end.
func TestScheduleCannotHurt(t *testing.T) {
	literal := func() backoff.BackOff {
		return &backoff.ExponentialBackOff{InitialInterval: time.Second, MaxElapsedTime: 10 * time.Second}
	}
	for _, test := range []struct {
		name     string
		schedule func() backoff.BackOff
		want     []time.Duration
	}{
		{"zero", func() backoff.BackOff { return &backoff.ZeroBackOff{} }, []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}},
		{"under 1 ms", every(time.Microsecond), []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}},
		{"negative", after(time.Second, -2), []time.Duration{time.Second}},
		{"for ever", after(time.Second, 1<<63-1), []time.Duration{time.Second}},
		{"backoff's retries", func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2) },
			[]time.Duration{time.Second, time.Second}},
		// Without Clock it panics; with Stop 0 it would never end; with Multiplier 0 it would not wait.
		{"a literal", literal, []time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond}},
		{"a literal with a clock", func() backoff.BackOff {
			b := literal().(*backoff.ExponentialBackOff)
			b.Clock, b.Multiplier, b.MaxInterval = backoff.SystemClock, 3, 4*time.Second
			b.MaxElapsedTime = 0
			return b
		}, []time.Duration{time.Second, 3 * time.Second, 4 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := scripted(errRefused)
				d := &redial.Dialer{DialFunc: s.dial, Policy: redial.Policy{redial.Refused: test.schedule}, MaxAttempts: 4, MaxElapsed: time.Hour}
				_, err := d.Dial("tcp", address)
				require.Error(t, err)
				assert.Equal(t, test.want, s.delays())
			})
		})
	}

	t.Run("a literal's own end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := scripted(errRefused)
			_, err := (&redial.Dialer{DialFunc: s.dial, Policy: redial.Policy{redial.Refused: literal}, MaxElapsed: -1}).Dial("tcp", address)
			assert.Equal(t, redial.ErrPermanent, asError(t, err).Stop)
			assert.Equal(t, []time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond, 3375 * time.Millisecond}, s.delays())
		})
	})
}

func TestExponential(t *testing.T) {
	const initial, limit = 100 * time.Millisecond, 5 * time.Second
	newSchedule := redial.Exponential(initial, limit)
	least, most, atLimit := map[int]time.Duration{}, map[int]time.Duration{}, 0
	for range 2000 {
		schedule := newSchedule()
		schedule.Reset()
		interval := initial
		for i := range 10 {
			delay := schedule.NextBackOff()
			require.GreaterOrEqual(t, delay, interval/2)
			require.LessOrEqual(t, delay, min(interval*3/2, limit), "delay %d", i)
			if l, ok := least[i]; !ok || delay < l {
				least[i] = delay
			}
			most[i] = max(most[i], delay)
			if delay == limit {
				atLimit++
			}
			interval = min(interval*2, limit)
		}
	}
	// Jittered from the first on, and at max no less: 2000 draws of an even
	// spread all miss a tenth of it once in 10^91.
	assert.Less(t, least[0], initial*6/10)
	assert.Greater(t, most[0], initial*14/10)
	assert.Less(t, least[9], limit*55/100)
	assert.Greater(t, most[9], limit*95/100)
	assert.Less(t, atLimit, 10, "cut off at max, half of the delays would be the same")

	for _, test := range []struct{ initial, limit, least, most time.Duration }{
		{time.Second, time.Millisecond, 500 * time.Millisecond, time.Second},
		{0, 0, time.Millisecond / 2, time.Millisecond},
		{-1, -1, time.Millisecond / 2, time.Millisecond},
	} {
		schedule := redial.Exponential(test.initial, test.limit)()
		schedule.Reset()
		for range 100 {
			delay := schedule.NextBackOff()
			assert.GreaterOrEqual(t, delay, test.least)
			assert.LessOrEqual(t, delay, test.most)
		}
	}
}

func TestDefaultPolicy(t *testing.T) {
	retried := []redial.Class{redial.Refused, redial.Reset, redial.DNS, redial.Timeout, redial.Unreachable}
	policy := redial.DefaultPolicy()
	for class := range classes {
		_, ok := policy[class]
		assert.Equal(t, slices.Contains(retried, class), ok, class)
	}
	schedule := policy[redial.Refused]()
	schedule.Reset()
	first := schedule.NextBackOff()
	assert.GreaterOrEqual(t, first, 50*time.Millisecond)
	assert.LessOrEqual(t, first, 150*time.Millisecond)
	for range 20 {
		assert.LessOrEqual(t, schedule.NextBackOff(), 5*time.Second)
	}

	// A copy: what one caller does to it is nobody else's business.
	clear(policy)
	assert.Len(t, redial.DefaultPolicy(), len(retried))
	synctest.Test(t, func(t *testing.T) {
		_, err := (&redial.Dialer{DialFunc: scripted(errRefused, nil).dial}).Dial("tcp", address)
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
			d := &redial.Dialer{DialFunc: scripted(errRefused).dial, Policy: redial.Policy{redial.Refused: every(time.Second)},
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
		d := &redial.Dialer{
			DialFunc:    func(context.Context, string, string) (net.Conn, error) { return nil, errRefused },
			MaxAttempts: 4,
		}
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
	})
}

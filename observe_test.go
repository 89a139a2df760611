package redial_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

type dialKey struct{}

// dials records what OnDial is called with.
type dials struct {
	began []string
	ended []redial.Result
}

func (d *dials) onDial(ctx context.Context, network, address string) (context.Context, func(redial.Result)) {
	d.began = append(d.began, network+" "+address)
	return context.WithValue(ctx, dialKey{}, len(d.began)), func(r redial.Result) { d.ended = append(d.ended, r) }
}

// OnDial is called when a dial begins, and its function when the dial ends. Between the two,
// attempts and OnAttempt get the context that OnDial has returned.
func TestOnDialSurroundsTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
		var seen dials
		inDial := func(ctx context.Context) {
			assert.Equal(t, 1, ctx.Value(dialKey{}))
			assert.Equal(t, []string{"tcp " + address}, seen.began)
			assert.Empty(t, seen.ended)
		}
		d := &redial.Dialer{
			DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
				inDial(ctx)
				return script.DialContext(ctx, network, address)
			},
			OnDial:    seen.onDial,
			OnAttempt: func(ctx context.Context, a redial.Attempt) { inDial(ctx) },
		}
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Len(t, seen.ended, 1)
		assert.Len(t, script.Open(), 1)
		assert.PanicsWithValue(t, "nil context", func() { d.DialContext(nil, "tcp", address) }) //lint:ignore SA1012 that is the point
		assert.Len(t, seen.began, 1, "no dial has begun")
	})
}

// The function that OnDial returns gets the Result of every kind of dial. Its error is the one
// that the caller gets.
func TestOnDialGetsTheResult(t *testing.T) {
	dial := func(d *redial.Dialer) error {
		_, err := d.Dial("tcp", address)
		return err
	}
	for _, test := range []struct {
		name    string
		outcome dialtest.Outcome // of each attempt
		set     func(*redial.Dialer)
		dial    func(*redial.Dialer) error
		want    redial.Result // without Err
	}{
		{"connected", dialtest.OK, nil, dial, redial.Result{Attempts: 1}},
		{"refused until MaxAttempts", dialtest.Refuse, func(d *redial.Dialer) { d.MaxAttempts = 3 }, dial,
			redial.Result{Class: redial.Refused, Stop: redial.ErrMaxAttempts, Attempts: 3, Elapsed: 2 * time.Second}},
		{"refused until too little time is left", dialtest.Refuse, func(d *redial.Dialer) { d.MaxElapsed = 2 * time.Second }, dial,
			redial.Result{Class: redial.Refused, Stop: redial.ErrMaxElapsed, Attempts: 3, Elapsed: 1900 * time.Millisecond}},
		{"one attempt", dialtest.Refuse, func(d *redial.Dialer) { d.MaxAttempts = 1 }, dial,
			redial.Result{Class: redial.Refused, Stop: redial.ErrMaxAttempts, Attempts: 1}},
		{"not retried", dialtest.NXDomain, nil, dial, redial.Result{Class: redial.NotFound, Stop: redial.ErrPermanent, Attempts: 1}},
		{"the last attempt is cut off", dialtest.Refuse.After(600 * time.Millisecond), func(d *redial.Dialer) { d.MaxElapsed = 2 * time.Second }, dial,
			redial.Result{Class: redial.Refused, Stop: redial.ErrMaxElapsed, Attempts: 2, Elapsed: 2 * time.Second}},
		{"canceled before the first attempt", dialtest.OK, nil, func(d *redial.Dialer) error {
			_, err := d.DialContext(canceled(), "tcp", address)
			return err
		}, redial.Result{Class: redial.Canceled, Stop: redial.ErrCanceled}},
		{"Do", dialtest.OK, nil, func(d *redial.Dialer) error {
			_, err := redial.Do(context.Background(), d, "tcp", address, func(context.Context) (int, error) { return 0, errCustom })
			return err
		}, redial.Result{Stop: redial.ErrPermanent, Attempts: 1}},
		{"DialUnix", dialtest.OK, nil, func(d *redial.Dialer) error {
			_, err := d.DialUnix(context.Background(), "unix", nil, &net.UnixAddr{Name: "", Net: "tcp"})
			return err
		}, redial.Result{Class: redial.Invalid, Stop: redial.ErrPermanent, Attempts: 1}},
		{"nested", dialtest.Refuse, nil, func(d *redial.Dialer) error {
			outer := &redial.Dialer{DialFunc: d.DialContext, MaxAttempts: 1}
			_, err := outer.Dial("tcp", address)
			return err
		}, redial.Result{Class: redial.Refused, Stop: redial.ErrMaxAttempts, Attempts: 1, Nested: true}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			var seen dials
			d := &redial.Dialer{
				DialFunc: dialtest.Script(test.outcome.Forever()).DialContext,
				OnDial:   seen.onDial,
				Policy:   redial.Policy{redial.Refused: every(time.Second)},
			}
			if test.set != nil {
				test.set(d)
			}
			test.want.Err = test.dial(d)
			assert.Equal(t, []redial.Result{test.want}, seen.ended)
		})
	}
}

// The context that OnDial returns can end the dial.
func TestOnDialContextEndsTheDial(t *testing.T) {
	for name, derive := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 2*time.Second, errCause)
		},
		"cancellation": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(2*time.Second, func() { cancel(errCause) })
			return ctx, func() { cancel(nil) }
		},
	} {
		for caller, dial := range map[string]func(context.Context, *redial.Dialer) error{
			"DialContext": func(ctx context.Context, d *redial.Dialer) error {
				_, err := d.DialContext(ctx, "tcp", address)
				return err
			},
			"attached": func(ctx context.Context, d *redial.Dialer) error {
				_, err := d.DialContext(detached(ctx), "tcp", address)
				return err
			},
			"Transport": func(ctx context.Context, d *redial.Dialer) error {
				_, _, err := testutil.Get(ctx, &http.Client{Transport: redial.NewTransport(d, nil)}, "http://a.test")
				return err
			},
		} {
			t.Run(name+" of "+caller, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					d := &redial.Dialer{
						DialFunc: dialtest.Script(dialtest.Timeout).DialContext,
						OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
							ctx, cancel := derive(ctx)
							return ctx, func(redial.Result) { cancel() }
						},
					}
					start := time.Now()
					err := dial(ctx, d)
					assert.ErrorIs(t, err, errCause)
					assert.Equal(t, 2*time.Second, time.Since(start))
					assert.NoError(t, ctx.Err())
				})
			})
		}
	}
}

// A context that OnDial returns detached, but attached to the caller's, still ends with the
// caller's.
func TestOnDialCanAttachTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d := &redial.Dialer{
			DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext,
			OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
				return context.WithoutCancel(redial.Attach(ctx)), nil
			},
		}
		start := time.Now()
		_, err := d.DialContext(ctx, "tcp", address)
		assert.ErrorIs(t, err, redial.ErrDeadline)
		assert.Less(t, time.Since(start), time.Second)

		d.DialFunc = dialtest.Script(dialtest.Timeout).DialContext
		ctx, cancelCause := context.WithCancelCause(t.Context())
		time.AfterFunc(2*time.Second, func() { cancelCause(errCause) })
		start = time.Now()
		_, err = d.DialContext(ctx, "tcp", address)
		assert.ErrorIs(t, err, errCause)
		assert.Equal(t, redial.ErrCanceled, asError(t, err).Stop)
		assert.Equal(t, 2*time.Second, time.Since(start), "the attempt is cut off")
	})
}

// A nil context and a nil function change nothing.
func TestOnDialMayReturnNil(t *testing.T) {
	d := &redial.Dialer{
		DialFunc: dialtest.Script(dialtest.OK).DialContext,
		OnDial:   func(context.Context, string, string) (context.Context, func(redial.Result)) { return nil, nil },
	}
	_, err := d.Dial("tcp", address)
	assert.NoError(t, err)
}

// The time that OnDial takes counts for the dial, but not for its first attempt.
func TestTimeInOnDialCountsForTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first redial.Attempt
		d := &redial.Dialer{
			DialFunc: dialtest.Script(dialtest.Refuse.After(time.Second)).DialContext,
			OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
				time.Sleep(5 * time.Second)
				return ctx, nil
			},
			OnAttempt:   func(_ context.Context, a redial.Attempt) { first = a },
			MaxElapsed:  7 * time.Second,
			Policy:      redial.Policy{redial.Refused: every(10 * time.Second)},
			MaxAttempts: 2,
		}
		_, err := d.Dial("tcp", address)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Equal(t, time.Second, first.Duration)
		assert.Equal(t, 6*time.Second, first.Elapsed)
	})
}

// OnDial's function is called whatever panics, and a connection that it keeps from being returned
// is closed.
func TestOnDialFunctionIsCalledWhateverPanics(t *testing.T) {
	script := counting(dialtest.OK.Forever())
	for _, end := range []func(){func() { panic("oops") }, runtime.Goexit} {
		for name, set := range map[string]func(*redial.Dialer){
			"Verify":    func(d *redial.Dialer) { d.Verify = func(context.Context, net.Conn) error { end(); return nil } },
			"OnAttempt": func(d *redial.Dialer) { d.OnAttempt = func(context.Context, redial.Attempt) { end() } },
			"Classifier": func(d *redial.Dialer) {
				d.Verify = func(context.Context, net.Conn) error { return errCustom }
				d.Classifier = func(error) redial.Class { end(); return 0 }
			},
		} {
			t.Run(name, func(t *testing.T) {
				var seen dials
				d := &redial.Dialer{DialFunc: script.DialContext, OnDial: seen.onDial}
				set(d)
				unwind(func() { d.Dial("tcp", address) })
				require.Len(t, seen.ended, 1)
				assert.Error(t, seen.ended[0].Err)
				assert.Zero(t, seen.ended[0].Class)
				assert.Zero(t, seen.ended[0].Stop)
				assert.Equal(t, 1, seen.ended[0].Attempts)
			})
		}
		t.Run("OnDial", func(t *testing.T) {
			d := &redial.Dialer{
				DialFunc: script.DialContext,
				OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
					return ctx, func(redial.Result) { end() }
				},
			}
			unwind(func() { d.Dial("tcp", address) })
			d.Verify = func(context.Context, net.Conn) error { return errCustom } // there is no connection to be closed
			assert.Equal(t, unwind(end), unwind(func() { d.Dial("tcp", address) }))
		})
	}
	for i, conn := range script.conns {
		assert.Equal(t, 1, conn.closed, "connection %d", i)
	}
	assert.Len(t, script.conns, 10)
}

// unwind calls f in a goroutine that f ends by a panic or by runtime.Goexit. It returns the value of the panic.
func unwind(f func()) (recovered any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recovered = recover() }()
		f()
	}()
	<-done
	return recovered
}

// A dial within another dial's attempt calls its own Dialer's OnDial.
func TestNestedDialCallsItsOwnOnDial(t *testing.T) {
	var outerDials, innerDials dials
	inner := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse).DialContext, OnDial: innerDials.onDial}
	outer := &redial.Dialer{
		DialFunc: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return inner.DialContext(ctx, network, "b.test:80")
		},
		OnDial:      outerDials.onDial,
		MaxAttempts: 2,
		Policy:      redial.Policy{},
	}
	_, err := outer.Dial("tcp", address)
	assert.Equal(t, []string{"tcp " + address}, outerDials.began)
	assert.Equal(t, []string{"tcp b.test:80"}, innerDials.began)
	require.Len(t, outerDials.ended, 1)
	assert.Same(t, err, outerDials.ended[0].Err)
	assert.False(t, outerDials.ended[0].Nested)
	require.Len(t, innerDials.ended, 1)
	assert.Same(t, asError(t, err).Err, innerDials.ended[0].Err)
	assert.True(t, innerDials.ended[0].Nested)
}

// Through a Transport, OnDial belongs to the dial: neither its context nor its function knows
// when the request ends.
func TestOnDialOutlivesTheRequest(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		var of context.Context
		ended := make(chan error, 1)
		d := &redial.Dialer{
			DialFunc: dialtest.Script(dialtest.OK.After(2 * time.Second)).DialContext,
			OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
				assert.Equal(t, "value", ctx.Value(key{}))
				of = ctx
				return context.WithValue(ctx, dialKey{}, "dial"), func(r redial.Result) {
					assert.NoError(t, ctx.Err())
					ended <- r.Err
				}
			},
			OnAttempt: func(ctx context.Context, _ redial.Attempt) { assert.Equal(t, "dial", ctx.Value(dialKey{})) },
		}
		transport := redial.NewTransport(d, nil)
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Second)
		defer cancel()
		_, _, err := testutil.Get(ctx, &http.Client{Transport: transport}, "http://a.test")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NoError(t, of.Err())
		assert.Empty(t, ended)
		assert.NoError(t, <-ended)
		assert.False(t, errors.Is(of.Err(), context.DeadlineExceeded))
		transport.CloseIdleConnections()
	})
}

// With OnDial, a dial for a request still ends with the request, or earlier if the request has no
// time for another attempt.
func TestRequestEndsTheDialWithOnDial(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(context.Context) (context.Context, context.CancelFunc) // of the request
		delay time.Duration
		ends  time.Duration
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
			300 * time.Millisecond, 950 * time.Millisecond},
		"canceled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			return ctx, cancel
		}, time.Minute, 2 * time.Second},
	} {
		testutil.Bubble(t, name, func(t *testing.T) {
			ended := make(chan time.Time, 1)
			d := &redial.Dialer{
				DialFunc:   dialtest.Script(dialtest.Refuse.Forever()).DialContext,
				Policy:     redial.Policy{redial.Refused: every(test.delay)},
				MaxElapsed: -1,
				OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
					return context.WithValue(ctx, dialKey{}, "dial"), func(redial.Result) { ended <- time.Now() }
				},
			}
			ctx, cancel := test.end(t.Context())
			defer cancel()
			begin := time.Now()
			_, _, err := testutil.Get(ctx, &http.Client{Transport: redial.NewTransport(d, nil)}, "http://a.test")
			assert.ErrorIs(t, err, errScriptRefuses)
			assert.Equal(t, test.ends, time.Since(begin))
			assert.Equal(t, test.ends, (<-ended).Sub(begin))
		})
	}
}

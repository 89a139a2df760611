package redial_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// detached returns the context that a pool dials with for a caller with ctx: the values
// are kept, the end is not.
func detached(ctx context.Context) context.Context {
	return context.WithoutCancel(redial.Attach(ctx))
}

// A detached dial uses the whole time that its caller has, and fails before that time is
// up, so that the caller hears why.
func TestAttachedDialFailsBeforeTheDeadline(t *testing.T) {
	for name, dial := range map[string]func(context.Context, *redial.Dialer) error{
		"DialContext": func(ctx context.Context, d *redial.Dialer) error {
			_, err := d.DialContext(ctx, "tcp", address)
			return err
		},
		"DialContext at a Gate": func(ctx context.Context, d *redial.Dialer) error {
			d.Gate = new(redial.Gate)
			_, err := d.DialContext(ctx, "tcp", address)
			return err
		},
		"Do": func(ctx context.Context, d *redial.Dialer) error {
			_, err := redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (net.Conn, error) {
				return d.DialFunc(ctx, "tcp", address)
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				err := dial(detached(ctx), &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext})
				assert.NoError(t, ctx.Err(), "the caller still waits")
				assert.Greater(t, time.Since(start), 900*time.Millisecond)
				assert.Equal(t, redial.Refused, asError(t, err).Class)
				assert.Equal(t, redial.Refused, redial.Classify(err))
				assert.ErrorIs(t, err, redial.ErrDeadline)
			})
		})
	}
}

// The end of the caller's context cuts off the attempt in flight.
func TestAttachedContextEndsTheAttempt(t *testing.T) {
	for _, test := range []struct {
		name   string
		derive func(context.Context) (context.Context, context.CancelFunc)
		class  redial.Class
		is     []error
	}{
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 3*time.Second)
		}, redial.Timeout, []error{context.DeadlineExceeded, redial.ErrDeadline}},
		{"deadline with a cause", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 3*time.Second, errCause)
		}, redial.Timeout, []error{context.DeadlineExceeded, errCause}},
		{"cancellation", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(3*time.Second, cancel)
			return ctx, cancel
		}, redial.Canceled, []error{context.Canceled}},
		{"cancellation with a cause", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(3*time.Second, func() { cancel(errCause) })
			return ctx, func() { cancel(nil) }
		}, redial.Canceled, []error{context.Canceled, errCause}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attached, cancel := test.derive(t.Context())
				defer cancel()
				d := &redial.Dialer{DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := dialtest.Script(dialtest.Timeout).DialContext(ctx, network, address)
					if test.class == redial.Canceled {
						assert.Equal(t, context.Cause(attached), context.Cause(ctx), "the attempt can see why")
					}
					return conn, err
				}}
				start := time.Now()
				_, err := d.DialContext(detached(attached), "tcp", address)
				assert.Equal(t, 3*time.Second, time.Since(start))
				assert.Equal(t, test.class, asError(t, err).Class)
				for _, is := range test.is {
					assert.ErrorIs(t, err, is)
				}
			})
		})
	}
}

// The end of the caller's context ends a wait too, and the error keeps the last failure.
func TestAttachedContextEndsTheWait(t *testing.T) {
	for name, gate := range map[string]*redial.Gate{"alone": nil, "at a Gate": new(redial.Gate), "with a deadline": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := t.Context(), context.CancelFunc(func() {})
				if name == "with a deadline" {
					ctx, end = context.WithTimeout(ctx, time.Minute)
				}
				defer end()
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(3*time.Second, func() { cancel(errCause) })
				d := &redial.Dialer{
					DialFunc: dialtest.Script(dialtest.Refuse).DialContext,
					Policy:   redial.Policy{redial.Refused: every(10 * time.Second)},
					Gate:     gate,
				}
				start := time.Now()
				_, err := d.DialContext(detached(ctx), "tcp", address)
				assert.Equal(t, 3*time.Second, time.Since(start))
				assert.Equal(t, redial.Refused, asError(t, err).Class)
				assert.ErrorIs(t, err, errCause)
				assert.ErrorIs(t, err, context.Canceled)
			})
		})
	}
}

// A caller whose context has ended gets no dial, and the dial's own context still counts.
func TestAttachedDialEndsWithEitherContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := &redial.Dialer{DialFunc: script.DialContext}
		_, err := d.DialContext(detached(canceled()), "tcp", address)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, script.Dials())

		long, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ctx, cancel := context.WithTimeout(detached(long), time.Second)
		defer cancel()
		start := time.Now()
		_, err = d.DialContext(ctx, "tcp", address)
		assert.ErrorIs(t, err, redial.ErrDeadline)
		assert.Less(t, time.Since(start), time.Second)

		// One attempt, without a Timeout: the caller's deadline is all that bounds it.
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		silent := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Timeout).DialContext, MaxAttempts: 1}
		start = time.Now()
		_, err = silent.DialContext(detached(short), "tcp", address)
		assert.Equal(t, redial.Timeout, redial.Classify(err))
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// The innermost context counts, so a context can be let go again.
func TestInnermostAttachedContextCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ctx := redial.Attach(context.WithoutCancel(redial.Attach(outer)))
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse.Forever()).DialContext}
		start := time.Now()
		_, err := d.DialContext(ctx, "tcp", address)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Greater(t, time.Since(start), 20*time.Second)
	})
	assert.PanicsWithValue(t, "nil context", func() { redial.Attach(nil) }) //lint:ignore SA1012 that is the point
}

// A dial within another dial's attempt belongs to the attempt, not to the caller: other dials
// can share what it is for, as they share a look-up.
func TestAttachIgnoredWithinAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		inner := &redial.Dialer{DialFunc: dialtest.Script(dialtest.OK.After(2 * time.Second)).DialContext}
		ended := make(chan error, 1)
		outer := &redial.Dialer{DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
			go func() { // as a look-up that other dials share
				conn, err := inner.DialContext(context.WithoutCancel(ctx), network, address)
				if err == nil {
					conn.Close()
				}
				ended <- err
			}()
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		_, err := outer.DialContext(detached(ctx), "tcp", address)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NoError(t, <-ended)
	})
}

// Through a plain http.Transport, which detaches its dials, the attempt in flight ends with the request. A
// Transport lets it finish, because another request can use its connection.
func TestAttachEndsTheAttemptOfAPlainHTTPTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.After(2 * time.Second).Forever())
		server := &http.Server{Handler: testutil.Hello}
		go server.Serve(script)
		defer server.Close()
		d := &redial.Dialer{DialFunc: script.DialContext}
		get := func(client *http.Client, timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, _, err := testutil.Get(redial.Attach(ctx), client, "http://a.test")
			return err
		}

		plain := &http.Transport{DialContext: d.DialContext}
		assert.ErrorIs(t, get(&http.Client{Transport: plain}, time.Second), context.DeadlineExceeded)
		synctest.Wait()
		assert.Error(t, lastOf(t, script, 1).Err, "the request has ended the attempt")

		transport := redial.NewTransport(d, nil)
		assert.ErrorIs(t, get(&http.Client{Transport: transport}, time.Second), context.DeadlineExceeded)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.NoError(t, lastOf(t, script, 2).Err, "the attempt has outlived the request")
		require.NoError(t, get(&http.Client{Transport: transport}, time.Second))
		assert.Len(t, script.Dials(), 2)
		transport.CloseIdleConnections()
		plain.CloseIdleConnections()
	})
}

// An afterFuncs is a context that counts the functions registered with it.
type afterFuncs struct {
	context.Context
	registered int
}

// Value hides the context below, so that package context calls AfterFunc.
func (c *afterFuncs) Value(any) any { return nil }

func (c *afterFuncs) AfterFunc(f func()) func() bool {
	c.registered++
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		c.registered--
		return stop()
	}
}

// A dial leaves nothing registered with the contexts that it was for.
func TestAttachLeavesNothingWithTheContext(t *testing.T) {
	ctx := &afterFuncs{Context: t.Context()}
	registered := 0
	d := &redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) {
		registered = ctx.registered
		return nil, errCustom
	}}
	_, err := d.DialContext(detached(ctx), "tcp", address)
	assert.ErrorIs(t, err, errCustom)
	assert.NotZero(t, registered)
	assert.Zero(t, ctx.registered)

	// Nor with its own.
	registered = 0
	ctx = &afterFuncs{Context: t.Context()}
	_, err = d.DialContext(withValues{ctx, redial.Attach(context.Background())}, "tcp", address)
	assert.ErrorIs(t, err, errCustom)
	assert.NotZero(t, registered)
	assert.Zero(t, ctx.registered)
}

// withValues is a context with the values of another one.
type withValues struct {
	*afterFuncs
	values context.Context
}

func (c withValues) Value(key any) any { return c.values.Value(key) }

// A lateContext has a deadline that its end need not keep.
type lateContext struct {
	context.Context
	deadline time.Time
}

func (c lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

// If the attempt's timer fires before the timer of the caller's context, the dial waits a
// moment for the context's cause, but not for ever.
func TestAttachAwaitsCause(t *testing.T) {
	for late, cause := range map[time.Duration]error{5 * time.Millisecond: errCause, time.Hour: context.DeadlineExceeded} {
		testutil.Bubble(t, late.String(), func(t *testing.T) {
			deadline := time.Now().Add(2 * time.Second)
			ctx, cancel := context.WithDeadlineCause(t.Context(), deadline.Add(late), errCause)
			defer cancel()
			d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Timeout).DialContext}
			_, err := d.DialContext(detached(lateContext{ctx, deadline}), "tcp", address)
			e := asError(t, err)
			assert.Equal(t, redial.ErrDeadline, e.Stop)
			assert.Equal(t, cause, e.Cause)
			assert.Equal(t, redial.Timeout, e.Class)
			assert.Less(t, time.Since(deadline), time.Second)
		})
	}
}

// A context that ends with DeadlineExceeded before the deadline that it names cuts off the attempt
// in flight, and ends the dial.
func TestAttachedContextMayEndBeforeItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errCause)
		defer cancel()
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Timeout).DialContext}
		start := time.Now()
		_, err := d.DialContext(detached(lateContext{ctx, start.Add(time.Hour)}), "tcp", address)
		assert.Equal(t, 2*time.Second, time.Since(start))
		e := asError(t, err)
		assert.Equal(t, redial.ErrDeadline, e.Stop)
		assert.Equal(t, errCause, e.Cause)
		assert.Equal(t, redial.Timeout, e.Class, "the caller did not cancel")
		assert.Equal(t, 1, e.Attempts)
	})
}

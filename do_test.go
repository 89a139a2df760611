package redial_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// A session stands for what a client's own connect function returns.
type session struct {
	name   string
	closed int
}

func (s *session) Close() error {
	s.closed++
	return nil
}

func (s *session) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432}
}

func TestDoRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		errStarting := errors.New("starting up")
		d := &redial.Dialer{
			DialFunc: func(context.Context, string, string) (net.Conn, error) { panic("Do does not dial") },
			Verify:   func(context.Context, net.Conn) error { panic("nor verify") },
			Policy:   redial.Policy{redial.Refused: every(100 * time.Millisecond)},
			Classifier: func(err error) redial.Class {
				if errors.Is(err, errStarting) {
					return redial.Refused
				}
				return redial.Unknown
			},
			Logger: logger,
		}
		d.Timeout = time.Second
		failures := []error{errRefused, errStarting}
		want := &session{name: "ready"}
		got, err := redial.Do(t.Context(), d, "tcp", address, func(ctx context.Context) (*session, error) {
			deadline, ok := ctx.Deadline()
			assert.True(t, ok)
			assert.Equal(t, time.Second, time.Until(deadline))
			if len(failures) > 0 {
				err := failures[0]
				failures = failures[1:]
				return nil, err
			}
			return want, nil
		})
		require.NoError(t, err)
		assert.Same(t, want, got)
		assert.Zero(t, got.closed)
		failed := func(attempt int, elapsed time.Duration, text string) map[string]any {
			return map[string]any{"network": "tcp", "address": address, "attempt": attempt, "duration": time.Duration(0),
				"elapsed": elapsed, "class": "refused", "error": text, "delay": 100 * time.Millisecond}
		}
		first := failed(1, 0, errRefused.Error())
		first["errno"] = sysRefused.Error()
		assertLogged(t, logs,
			line{zapcore.WarnLevel, "dial attempt failed, will retry", first},
			line{zapcore.WarnLevel, "dial attempt failed, will retry", failed(2, 100*time.Millisecond, "starting up")},
			line{zapcore.InfoLevel, "dial recovered", map[string]any{"network": "tcp", "address": address, "attempt": 3,
				"duration": time.Duration(0), "elapsed": 200 * time.Millisecond, "remote": "192.0.2.1:5432"}},
		)
	})
}

func TestDoFailsAsDialContextDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &redial.Dialer{MaxElapsed: 2 * time.Second}
		attempts := 0
		refuse := func(context.Context) (*session, error) {
			attempts++
			return nil, errRefused
		}
		got, err := redial.Do(t.Context(), d, "tcp", address, refuse)
		assert.Nil(t, got)
		e := asError(t, err)
		assert.Equal(t, attempts, e.Attempts)
		assert.Equal(t, redial.Refused, e.Class)
		assert.Equal(t, address, e.Address)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)

		_, err = redial.Do(t.Context(), &redial.Dialer{MaxAttempts: 1}, "tcp", address, refuse)
		assert.Same(t, errRefused, err, "with MaxAttempts 1, the error is connect's own")

		attempts = 0
		_, err = redial.Do(canceled(), nil, "tcp", address, refuse)
		assert.ErrorIs(t, err, context.Canceled)
		_, err = redial.Do(canceled(), &redial.Dialer{MaxAttempts: 1}, "tcp", address, refuse)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, attempts)
		assert.PanicsWithValue(t, "nil context", func() {
			redial.Do(nil, d, "tcp", address, refuse) //lint:ignore SA1012 that is the point
		})
	})
}

// A value that Do does not return is closed.
func TestDoClosesWhatItDoesNotReturn(t *testing.T) {
	d := &redial.Dialer{MaxAttempts: 1}
	s := new(session)
	got, err := redial.Do(t.Context(), d, "tcp", address, func(context.Context) (*session, error) { return s, errCustom })
	assert.Same(t, errCustom, err)
	assert.Nil(t, got)
	assert.Equal(t, 1, s.closed)

	panicking := &redial.Dialer{OnAttempt: func(context.Context, redial.Attempt) { panic("oops") }}
	assert.PanicsWithValue(t, "oops", func() {
		redial.Do(t.Context(), panicking, "tcp", address, func(context.Context) (io.Closer, error) { return s, nil })
	})
	assert.Equal(t, 2, s.closed)

	_, err = redial.Do(t.Context(), d, "tcp", address, func(context.Context) (struct{ *session }, error) {
		return struct{ *session }{}, errCustom // its Close panics
	})
	assert.Same(t, errCustom, err)
	var none *session // a nil pointer has nothing to close
	_, err = redial.Do(t.Context(), d, "tcp", address, func(context.Context) (io.Closer, error) { return none, errCustom })
	assert.Same(t, errCustom, err)
	n, err := redial.Do(t.Context(), d, "tcp", address, func(context.Context) (int, error) { return 7, errCustom })
	assert.Same(t, errCustom, err)
	assert.Zero(t, n, "the zero value comes with an error")
}

// Do returns any value that comes without an error, a zero value too.
func TestDoReturnsAnyValue(t *testing.T) {
	var d redial.Dialer
	none, err := redial.Do(t.Context(), &d, "tcp", address, func(context.Context) (*session, error) { return nil, nil })
	assert.NoError(t, err)
	assert.Nil(t, none)
	closer, err := redial.Do(t.Context(), &d, "tcp", address, func(context.Context) (io.Closer, error) { return nil, nil })
	assert.NoError(t, err)
	assert.Nil(t, closer)
	noTLS, err := redial.Do(t.Context(), &d, "tcp", address, func(context.Context) (*tls.Conn, error) { return nil, nil })
	assert.NoError(t, err)
	assert.Nil(t, noTLS)
	n, err := redial.Do(t.Context(), &d, "tcp", address, func(context.Context) (int, error) { return 7, nil })
	assert.NoError(t, err)
	assert.Equal(t, 7, n)
}

func TestDoClosesASelfConnection(t *testing.T) {
	conn := &countedConn{Conn: selfConnected(t)}
	_, err := redial.Do(t.Context(), &redial.Dialer{MaxAttempts: 1}, "tcp", address,
		func(context.Context) (layered, error) { return layered{conn}, nil })
	assert.Equal(t, redial.Refused, redial.Classify(err))
	assert.Equal(t, 1, conn.closed)
}

// A dial within connect makes one attempt, says that it is nested, and leaves the retries to Do. A
// session that keeps the context retries as usual later.
func TestDialWithinDoIsNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK, dialtest.Refuse, dialtest.OK)
		var nested, own []bool
		inner := &redial.Dialer{
			DialFunc:  script.DialContext,
			OnAttempt: func(_ context.Context, a redial.Attempt) { nested = append(nested, a.Nested) },
		}
		outer := &redial.Dialer{
			Policy:    redial.Policy{redial.Refused: every(time.Second)},
			OnAttempt: func(_ context.Context, a redial.Attempt) { own = append(own, a.Nested) },
		}
		var kept context.Context
		_, err := redial.Do(t.Context(), outer, "tcp", address, func(ctx context.Context) (net.Conn, error) {
			kept = ctx
			return inner.DialContext(ctx, "tcp", address)
		})
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{time.Second, time.Second}, script.Delays())
		assert.Equal(t, []bool{true, true, true}, nested)
		assert.Equal(t, []bool{false, false, false}, own)

		_, err = inner.DialContext(context.WithoutCancel(kept), "tcp", address)
		assert.NoError(t, err)
		assert.Equal(t, []bool{true, true, true, false, false}, nested)
	})
}

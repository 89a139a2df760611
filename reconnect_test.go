package redial_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// connectBy returns a connect function that dials by script.
func connectBy(script *dialtest.Dialer) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return script.DialContext(ctx, "tcp", address) }
}

// readAll reads until the connection breaks, or ctx ends.
func readAll(ctx context.Context, conn net.Conn) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return err
		}
	}
}

// lasting returns a use function whose connections last as long as all says, one after another.
// The first that is not in all ends with nil.
func lasting(all ...time.Duration) func(context.Context, net.Conn) error {
	return func(context.Context, net.Conn) error {
		if len(all) == 0 {
			return nil
		}
		time.Sleep(all[0])
		all = all[1:]
		return io.EOF
	}
}

// keep calls Reconnect with the address of all tests.
func keep(ctx context.Context, d *redial.Dialer, script *dialtest.Dialer, use func(context.Context, net.Conn) error) error {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	return redial.Reconnect(ctx, d, "tcp", address, connectBy(script), use)
}

// The schedule goes on from one lost connection to the next, until one has lasted.
func TestReconnectWaits(t *testing.T) {
	const h, s = time.Hour, time.Second
	for name, test := range map[string]struct {
		connect       time.Duration // how long it takes
		lasted, waits []time.Duration
	}{
		"never lost":            {0, nil, []time.Duration{}},
		"flapping at once":      {0, []time.Duration{0, 0, 0, 0}, []time.Duration{1 * s, 2 * s, 3 * s, 4 * s}},
		"healthy hours":         {0, []time.Duration{h, h, h, h, h}, []time.Duration{1 * s, 1 * s, 1 * s, 1 * s, 1 * s}},
		"flapping every 3 s":    {0, []time.Duration{3 * s, 3 * s, 3 * s, 3 * s, 3 * s}, []time.Duration{1 * s, 1 * s, 1 * s, 1 * s, 1 * s}},
		"a second more is long": {0, []time.Duration{0, 0, 3 * s, 0}, []time.Duration{1 * s, 2 * s, 1 * s, 2 * s}},
		"a little less is not":  {0, []time.Duration{0, 0, 3*s - 1, 0}, []time.Duration{1 * s, 2 * s, 3 * s, 4 * s}},
		"a slow server":         {5 * s, []time.Duration{0, 0, 0, 0}, []time.Duration{1 * s, 2 * s, 3 * s, 4 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(dialtest.OK.After(test.connect).Forever())
				d := &redial.Dialer{Policy: redial.Policy{redial.Reset: after(1*s, 2*s, 3*s, 4*s)}}
				lost := 0
				d.OnLost = func(_ context.Context, l redial.Loss) {
					lost++
					assert.Equal(t, lost, l.Number)
				}
				start := time.Now()
				require.NoError(t, keep(t.Context(), d, script, lasting(test.lasted...)))
				var connects []time.Time
				for _, dial := range script.Dials() {
					connects = append(connects, dial.Start)
				}
				at, want := start, []time.Time{start}
				for i, wait := range test.waits {
					at = at.Add(test.connect + test.lasted[i] + wait)
					want = append(want, at)
				}
				assert.Equal(t, want, connects)
				assert.Empty(t, script.Open())
			})
		})
	}
}

// A server that accepts and closes at once sees no more connects than one that refuses.
func TestReconnectSparesServerThatHangsUp(t *testing.T) {
	connects := func(t *testing.T, outcome dialtest.Outcome) (n int) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			script := dialtest.Script(outcome.Forever())
			err := keep(ctx, new(redial.Dialer), script, readAll)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Empty(t, script.Open())
			n = len(script.Dials())
		})
		return n
	}
	for range 20 { // the delays are random
		hungUp, refused := connects(t, dialtest.HangUp), connects(t, dialtest.Refuse)
		assert.LessOrEqual(t, hungUp, refused)
		assert.LessOrEqual(t, hungUp, 20)
	}
}

// Each connect is a dial, with a schedule of its own, after the wait for the lost connection.
func TestReconnectRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		var losses []redial.Loss
		errGone := opError("tcp", "read", sysReset)
		errDone := errors.New("spent")
		script := dialtest.Script(dialtest.OK, dialtest.Fail(errRefused), dialtest.OK.Times(2))
		d := &redial.Dialer{
			Policy: redial.Policy{redial.Reset: after(time.Second, 5*time.Second), redial.Refused: after(100 * ms)},
			Logger: logger,
			OnLost: func(ctx context.Context, l redial.Loss) {
				assert.Equal(t, t.Context(), ctx)
				losses = append(losses, l)
			},
		}
		ends := []error{io.EOF, errGone, errDone}
		err := redial.Reconnect(t.Context(), d, "tcp", address, connectBy(script), func(ctx context.Context, _ net.Conn) error {
			assert.Equal(t, t.Context(), ctx)
			time.Sleep(time.Second)
			end := ends[0]
			ends = ends[1:]
			return end
		})
		record := func(number int, class string, err error, more ...any) map[string]any {
			fields := map[string]any{"network": "tcp", "address": address, "connection": number, "lasted": time.Second,
				"class": class, "error": err.Error()}
			for i := 0; i < len(more); i += 2 {
				fields[more[i].(string)] = more[i+1]
			}
			return fields
		}
		connected := func(msg string, level zapcore.Level, attempt int, elapsed time.Duration) line {
			return line{level, msg, map[string]any{"network": "tcp", "address": address, "attempt": attempt,
				"duration": time.Duration(0), "elapsed": elapsed, "remote": "192.0.2.1:80"}}
		}
		assertLogged(t, logs,
			connected("dial succeeded", zap.DebugLevel, 1, 0),
			line{zap.WarnLevel, "connection lost, will reconnect", record(1, "reset", io.EOF, "delay", time.Second)},
			line{zap.WarnLevel, "dial attempt failed, will retry", map[string]any{"network": "tcp", "address": address, "attempt": 1,
				"duration": time.Duration(0), "elapsed": time.Duration(0), "class": "refused", "error": errRefused.Error(),
				"errno": sysRefused.Error(), "delay": 100 * ms}},
			connected("dial recovered", zap.InfoLevel, 2, 100*ms),
			line{zap.WarnLevel, "connection lost, will reconnect", record(2, "reset", errGone, "errno", sysReset.Error(), "delay", 5*time.Second)},
			connected("dial succeeded", zap.DebugLevel, 1, 0),
			line{zap.ErrorLevel, "connection lost", record(3, "unknown", errDone, "stop", "not to be retried")},
		)
		want := []redial.Loss{
			{Network: "tcp", Address: address, Number: 1, Lasted: time.Second, Err: io.EOF, Class: redial.Reset, Delay: time.Second},
			{Network: "tcp", Address: address, Number: 2, Lasted: time.Second, Err: errGone, Class: redial.Reset, Delay: 5 * time.Second},
			{Network: "tcp", Address: address, Number: 3, Lasted: time.Second, Err: errDone, Stop: redial.ErrPermanent},
		}
		assert.Equal(t, want, losses)
		e := asError(t, err)
		assert.Equal(t, &redial.Error{Network: "tcp", Address: address, Attempts: 3, Elapsed: 9100 * ms, Err: errDone, Stop: redial.ErrPermanent}, e)
	})
}

// Why there is no other connection.
func TestReconnectStops(t *testing.T) {
	type stop struct {
		dialer  redial.Dialer
		timeout time.Duration // of ctx
		use     error
		stop    redial.Stop
		class   redial.Class
		losses  int
		after   time.Duration
		text    string
	}
	errTired := errors.New("tired")
	for name, test := range map[string]stop{
		"the class is not in the policy": {redial.Dialer{Policy: redial.Policy{redial.Refused: every(ms)}}, 0, io.EOF,
			redial.ErrPermanent, redial.Reset, 1, 0, "dial tcp: a.test:80: EOF (reset, 1 attempt in 0s: not to be retried)"},
		"the schedule ends": {redial.Dialer{Policy: redial.Policy{redial.Reset: after(time.Second, 0)}}, 0, io.EOF,
			redial.ErrScheduleEnded, redial.Reset, 3, time.Second + ms, "dial tcp: a.test:80: EOF (reset, 3 attempts in 1s: schedule ended)"},
		"the default policy does not know the error": {redial.Dialer{}, 0, errTired,
			redial.ErrPermanent, redial.Unknown, 1, 0, "dial tcp: a.test:80: tired (unknown, 1 attempt in 0s: not to be retried)"},
		"the Classifier knows it": {redial.Dialer{Policy: redial.Policy{redial.Timeout: after(time.Second)}, Classifier: func(err error) redial.Class {
			assert.Same(t, errTired, err)
			return redial.Timeout
		}}, 0, errTired, redial.ErrScheduleEnded, redial.Timeout, 2, time.Second, "dial tcp: a.test:80: tired (timeout, 2 attempts in 1s: schedule ended)"},
		"use was canceled by itself": {redial.Dialer{Policy: redial.Policy{redial.Canceled: every(ms)}}, 0, context.Canceled,
			redial.ErrPermanent, redial.Canceled, 1, 0, "dial tcp: a.test:80: context canceled (canceled, 1 attempt in 0s: not to be retried)"},
		"the wait would outlast ctx": {redial.Dialer{Policy: redial.Policy{redial.Reset: after(time.Second, 2*time.Second)}}, 3 * time.Second, io.EOF,
			redial.ErrDeadline, redial.Reset, 2, time.Second, "dial tcp: a.test:80: EOF (reset, 2 attempts in 1s: deadline too close)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.timeout > 0 {
					timed, cancel := context.WithTimeout(ctx, test.timeout)
					defer cancel()
					ctx = timed
				}
				logger, logs := observed()
				test.dialer.Logger = logger
				script := dialtest.Script(dialtest.OK.Forever())
				start := time.Now()
				err := keep(ctx, &test.dialer, script, func(context.Context, net.Conn) error { return test.use })
				e := asError(t, err)
				assert.EqualError(t, err, test.text)
				assert.Equal(t, test.stop, e.Stop)
				assert.Equal(t, test.class, e.Class)
				assert.Same(t, test.use, e.Err)
				assert.Equal(t, test.after, time.Since(start))
				assert.Len(t, script.Dials(), test.losses)
				assert.Empty(t, script.Open())
				assert.Len(t, logs.FilterMessage("connection lost, will reconnect").All(), test.losses-1)
				last := logs.All()[logs.Len()-1]
				assert.Equal(t, "connection lost", last.Message)
				assert.Equal(t, zap.ErrorLevel, last.Level)
			})
		})
	}
}

// Deadline ends a Reconnect as the deadline of ctx does.
func TestReconnectEndsAtDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &redial.Dialer{Policy: redial.Policy{redial.Reset: every(2 * time.Second)}}
		d.Deadline = time.Now().Add(5 * time.Second)
		err := keep(t.Context(), d, dialtest.Script(dialtest.HangUp.Forever()), readAll)
		assert.EqualError(t, err, "dial tcp: a.test:80: EOF (reset, 3 attempts in 4s: deadline too close)")

		d.Deadline = time.Now().Add(5 * time.Second)
		err = keep(t.Context(), d, dialtest.Script(dialtest.OK), lasting(10*time.Second))
		assert.EqualError(t, err, "dial tcp: a.test:80: EOF (reset, 1 attempt in 10s: deadline reached)")
	})
}

// Whenever the caller gives up, the error says so, with the cause and the last failure.
func TestReconnectIsCanceled(t *testing.T) {
	lose := dialtest.HangUp
	for name, test := range map[string]struct {
		script []dialtest.Outcome
		at     time.Duration // when the caller gives up
		err    error         // the last failure
		class  redial.Class
		last   string // record
	}{
		"in the first connect":                   {[]dialtest.Outcome{dialtest.Timeout}, 5 * time.Second, context.Canceled, redial.Canceled, "dial canceled"},
		"in use":                                 {[]dialtest.Outcome{dialtest.OK}, 5 * time.Second, net.ErrClosed, redial.Canceled, "connection lost"},
		"in a wait":                              {[]dialtest.Outcome{lose}, 500 * ms, io.EOF, redial.Reset, "dial canceled"},
		"in a connect":                           {[]dialtest.Outcome{lose, dialtest.Timeout}, 5 * time.Second, io.EOF, redial.Reset, "dial canceled"},
		"in a connect that had failed, at once":  {[]dialtest.Outcome{lose, dialtest.Refuse, dialtest.Timeout}, 2500 * ms, errScriptRefuses, redial.Refused, "dial canceled"},
		"in a wait of a connect that had failed": {[]dialtest.Outcome{lose, dialtest.Refuse}, 1500 * ms, errScriptRefuses, redial.Refused, "dial canceled"},
		"in use, after other connections":        {[]dialtest.Outcome{lose, lose, dialtest.OK}, 10 * time.Second, net.ErrClosed, redial.Canceled, "connection lost"},
		"before the first connect":               {nil, 0, context.Canceled, redial.Canceled, "dial canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				if test.at == 0 {
					cancel(errCause)
				}
				time.AfterFunc(test.at, func() { cancel(errCause) })
				logger, logs := observed()
				script := dialtest.Script(test.script...).FailTest(t)
				d := &redial.Dialer{Logger: logger, Policy: redial.Policy{redial.Reset: every(time.Second), redial.Refused: every(time.Second)}}
				start := time.Now()
				err := keep(ctx, d, script, readAll)
				e := asError(t, err)
				assert.Equal(t, test.at, time.Since(start))
				assert.Equal(t, redial.ErrCanceled, e.Stop)
				assert.Equal(t, test.class, e.Class)
				assert.Same(t, errCause, e.Cause)
				assert.ErrorIs(t, err, errCause)
				assert.ErrorIs(t, err, context.Canceled)
				assert.ErrorIs(t, e.Err, test.err)
				assert.Contains(t, err.Error(), "canceled: the request is gone")
				assert.Empty(t, script.Open())
				last := logs.All()[logs.Len()-1]
				assert.Equal(t, test.last, last.Message)
				assert.Equal(t, zap.InfoLevel, last.Level)
			})
		})
	}
}

// If time is up before the next connect has had an attempt, the error is about the lost connection.
func TestReconnectEndsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &redial.Gate{Burst: 1}
		d := &redial.Dialer{Gate: gate, Policy: redial.Policy{redial.Reset: every(100 * ms)}}
		busy := gateDialer(nil, gate)
		ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		err := keep(ctx, d, dialtest.Script(dialtest.OK), func(context.Context, net.Conn) error {
			go redial.Do(t.Context(), busy, "tcp", address, func(context.Context) (int, error) {
				time.Sleep(time.Second)
				return 0, nil
			})
			synctest.Wait()
			return io.EOF
		})
		e := asError(t, err)
		assert.Equal(t, redial.Reset, e.Class, "%v", err)
		assert.Equal(t, redial.ErrDeadline, e.Stop)
		time.Sleep(time.Second)
	})
}

// Cancel ends a wait too.
func TestReconnectEndsWithCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan struct{})
		d := &redial.Dialer{Policy: redial.Policy{redial.Reset: every(time.Hour)}}
		d.Cancel = closed
		time.AfterFunc(time.Second, func() { close(closed) })
		start := time.Now()
		err := keep(t.Context(), d, dialtest.Script(dialtest.HangUp), readAll)
		assert.EqualError(t, err, "dial tcp: a.test:80: EOF (reset, 1 attempt in 1s: canceled)")
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// Reconnect cannot interrupt use, and makes no other connection after it.
func TestReconnectWaitsForUseThatIgnoresContext(t *testing.T) {
	for name, after := range map[string]struct {
		err  error
		stop redial.Stop
	}{"an error": {io.EOF, redial.ErrDeadline}, "nil": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
				defer cancel()
				start := time.Now()
				err := keep(ctx, new(redial.Dialer), dialtest.Script(dialtest.OK), func(context.Context, net.Conn) error {
					time.Sleep(time.Minute)
					return after.err
				})
				assert.Equal(t, time.Minute, time.Since(start))
				if after.err == nil {
					assert.NoError(t, err)
					return
				}
				e := asError(t, err)
				assert.Equal(t, after.stop, e.Stop)
				assert.Same(t, errCause, e.Cause)
				assert.Equal(t, redial.Reset, e.Class)
			})
		})
	}
}

// The value is closed however use ends, and only then.
func TestReconnectCloses(t *testing.T) {
	s := new(session)
	connect := func(context.Context) (*session, error) { return s, nil }
	reconnect := func(use func(context.Context, *session) error) error {
		return redial.Reconnect(t.Context(), &redial.Dialer{Logger: zap.NewNop()}, "tcp", address, connect, use)
	}
	assert.NoError(t, reconnect(func(_ context.Context, got *session) error {
		assert.Same(t, s, got)
		assert.Zero(t, got.closed)
		return nil
	}))
	assert.Equal(t, 1, s.closed)
	assert.Error(t, reconnect(func(context.Context, *session) error { return errCustom }))
	assert.Equal(t, 2, s.closed)
	assert.PanicsWithValue(t, "oops", func() { reconnect(func(context.Context, *session) error { panic("oops") }) })
	assert.Equal(t, 3, s.closed)
	var exited sync.WaitGroup
	exited.Go(func() {
		reconnect(func(context.Context, *session) error { runtime.Goexit(); return nil })
	})
	exited.Wait()
	assert.Equal(t, 4, s.closed)

	assert.NoError(t, redial.Reconnect(t.Context(), nil, "tcp", address, func(context.Context) (int, error) { return 7, nil },
		func(_ context.Context, n int) error {
			assert.Equal(t, 7, n)
			return nil
		}), "a value need not be an io.Closer, and the Dialer may be nil")
	assert.PanicsWithValue(t, "nil context", func() {
		redial.Reconnect(nil, nil, "tcp", address, connect, nil) //lint:ignore SA1012 that is the point
	})
}

// Each dial has the whole MaxElapsed; one that fails ends Reconnect with its own error.
func TestReconnectGivesUpConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK, dialtest.Refuse.Times(3), dialtest.OK, dialtest.Refuse.Forever())
		d := &redial.Dialer{MaxElapsed: 4 * time.Second, Policy: redial.Policy{redial.Reset: every(time.Second), redial.Refused: every(time.Second)}}
		start := time.Now()
		err := keep(t.Context(), d, script, lasting(time.Hour, time.Hour))
		e := asError(t, err)
		assert.Equal(t, redial.ErrMaxElapsed, e.Stop)
		assert.Equal(t, redial.Refused, e.Class)
		assert.Equal(t, 5, e.Attempts)
		assert.Equal(t, 2*time.Hour+(1+3+1)*time.Second+3800*ms, time.Since(start))

		script = dialtest.Script(dialtest.Refuse)
		d.MaxAttempts = 1
		err = keep(t.Context(), d, script, lasting())
		assert.Same(t, lastOf(t, script, 1).Err, err, "with MaxAttempts 1, the error is connect's own")
	})
}

// Dials at one Gate share what they learn; plain dials have a target of their own there.
func TestReconnectAtAGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.Times(2), dialtest.Refuse.Times(5), dialtest.OK.Forever())
		d := &redial.Dialer{
			Gate:   &redial.Gate{MinInterval: time.Second},
			Policy: redial.Policy{redial.Reset: every(time.Second), redial.Refused: every(ms)},
			Logger: zap.NewNop(),
		}
		var mu sync.Mutex
		made, shared := 0, 0
		d.OnAttempt = func(_ context.Context, a redial.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			if a.Shared {
				shared++
			} else {
				made++
			}
		}
		begin := time.Now()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { assert.NoError(t, keep(t.Context(), d, script, lasting(time.Minute))) })
		}
		time.Sleep(time.Minute + 1500*ms) // the target is down
		plain := *d
		plain.DialFunc = dialtest.Script(dialtest.OK).DialContext
		start := time.Now()
		conn, err := plain.Dial("tcp", address)
		require.NoError(t, err)
		conn.Close()
		assert.Zero(t, time.Since(start), "a plain dial does not wait for the connect functions")
		both.Wait()
		assert.GreaterOrEqual(t, time.Since(begin), time.Minute+5*time.Second, "MinInterval between the failures")
		assert.Len(t, script.Dials(), 2+5+2)
		assert.Equal(t, 2+5+2+1, made)
		assert.Positive(t, shared, "a failure is both dials' news")
		assert.Empty(t, script.Open())
	})
}

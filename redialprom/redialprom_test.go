package redialprom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
	"github.com/seed-33f8b841/redial/redialprom"
)

// Everything that a dial which recovers leaves, with exact times.
func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.Timeout, dialtest.OK.After(time.Second))
		d, m := instrumented(redial.Dialer{
			DialFunc: script.DialContext,
			Policy:   redial.Policy{redial.Refused: every(time.Second), redial.Timeout: every(2 * time.Second)},
			Dialer:   net.Dialer{Timeout: 5 * time.Second},
		})
		go func() {
			time.Sleep(1500 * time.Millisecond)
			assert.Equal(t, series{
				"redial_dials_in_progress{}":                                1,
				"redial_attempts_total{outcome=refused}":                    2,
				"redial_attempt_duration_seconds_count{result=failed}":      2,
				"redial_addresses_tried_total{family=ipv4,outcome=refused}": 2,
			}, seriesOf(t, m))
		}()
		conn, err := d.Dial("tcp", address)
		require.NoError(t, err)
		conn.Close()
		assert.Equal(t, series{
			"redial_dials_total{outcome=ok}":                            1,
			"redial_dial_duration_seconds_count{result=ok}":             1,
			"redial_dial_duration_seconds_sum{result=ok}":               1 + 1 + 5 + 2 + 1,
			"redial_attempts_total{outcome=refused}":                    2,
			"redial_attempts_total{outcome=timeout}":                    1,
			"redial_attempts_total{outcome=ok}":                         1,
			"redial_attempt_duration_seconds_count{result=failed}":      3,
			"redial_attempt_duration_seconds_sum{result=failed}":        5,
			"redial_attempt_duration_seconds_count{result=ok}":          1,
			"redial_attempt_duration_seconds_sum{result=ok}":            1,
			"redial_addresses_tried_total{family=ipv4,outcome=refused}": 2,
			"redial_addresses_tried_total{family=ipv4,outcome=ok}":      1,
			"redial_addresses_tried_total{family=ipv4,outcome=timeout}": 1,
		}, seriesOf(t, m))
	})
}

// Why dials end, by outcome and by stop reason.
func TestStops(t *testing.T) {
	forever := redial.Policy{redial.Refused: every(time.Second), redial.Timeout: every(time.Second)}
	inTime := func(d time.Duration) func(t *testing.T) context.Context {
		return func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
	}
	canceledAfter := func(d time.Duration, cause error) func(t *testing.T) context.Context {
		return func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(d, func() { cancel(cause) })
			return ctx
		}
	}
	// As errgroup does: the cause is another dial's failure, which must not be taken for this one's.
	_, othersFailure := (&redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext, Logger: zap.NewNop()}).Dial("tcp", address)
	require.ErrorIs(t, othersFailure, redial.ErrPermanent)

	for name, test := range map[string]struct {
		script  dialtest.Outcome
		dialer  redial.Dialer
		ctx     func(t *testing.T) context.Context
		outcome string
		stop    string
	}{
		"not in the policy": {script: dialtest.NXDomain, outcome: "not_found", stop: "permanent"},
		"the schedule has ended": {script: dialtest.Refuse, outcome: "refused", stop: "schedule_ended", dialer: redial.Dialer{Policy: redial.Policy{
			redial.Refused: func() backoff.BackOff { return &backoff.StopBackOff{} }}}},
		"MaxAttempts":                    {script: dialtest.Refuse, dialer: redial.Dialer{MaxAttempts: 3}, outcome: "refused", stop: "max_attempts"},
		"MaxElapsed":                     {script: dialtest.Refuse, dialer: redial.Dialer{MaxElapsed: 3 * time.Second}, outcome: "refused", stop: "max_elapsed"},
		"Deadline":                       {script: dialtest.Refuse, ctx: inTime(3 * time.Second), outcome: "refused", stop: "deadline"},
		"cut off by the deadline":        {script: dialtest.Timeout, ctx: inTime(3 * time.Second), outcome: "timeout", stop: "deadline"},
		"canceled in a wait":             {script: dialtest.Refuse, ctx: canceledAfter(2500*time.Millisecond, nil), outcome: "canceled", stop: "canceled"},
		"canceled in an attempt":         {script: dialtest.Timeout, ctx: canceledAfter(2500*time.Millisecond, nil), outcome: "canceled", stop: "canceled"},
		"canceled at once":               {script: dialtest.Refuse, ctx: canceledAfter(-1, nil), outcome: "canceled", stop: "canceled"},
		"canceled by a cause":            {script: dialtest.Refuse, ctx: canceledAfter(2500*time.Millisecond, errors.New("why")), outcome: "canceled", stop: "canceled"},
		"canceled by another's failure":  {script: dialtest.Refuse, ctx: canceledAfter(2500*time.Millisecond, othersFailure), outcome: "canceled", stop: "canceled"},
		"canceled by another's deadline": {script: dialtest.Refuse, ctx: canceledAfter(2500*time.Millisecond, fmt.Errorf("another: %w", context.DeadlineExceeded)), outcome: "canceled", stop: "canceled"},
		"a deadline with a cause": {script: dialtest.Timeout, outcome: "timeout", stop: "deadline", ctx: func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("too slow"))
			t.Cleanup(cancel)
			return ctx
		}},
		"time is up before the first attempt": {script: dialtest.Refuse, dialer: redial.Dialer{Dialer: net.Dialer{Timeout: -1}}, outcome: "timeout", stop: "deadline"},
		"one attempt":                         {script: dialtest.Refuse, dialer: redial.Dialer{MaxAttempts: 1}, outcome: "refused", stop: "max_attempts"},
		"one attempt, not in the policy":      {script: dialtest.NXDomain, dialer: redial.Dialer{MaxAttempts: 1}, outcome: "not_found", stop: "permanent"},
		"one attempt, canceled": {script: dialtest.Timeout, dialer: redial.Dialer{MaxAttempts: 1},
			ctx: canceledAfter(2500*time.Millisecond, errors.New("why")), outcome: "canceled", stop: "canceled"},
		"one attempt, cut off": {script: dialtest.Timeout, dialer: redial.Dialer{MaxAttempts: 1}, ctx: inTime(time.Second), outcome: "timeout", stop: "deadline"},
		// Only the Dialer knows the class: its error is returned as it is.
		"one attempt, with a Classifier": {script: dialtest.Fail(errors.New("starting up")), outcome: "refused", stop: "max_attempts", dialer: redial.Dialer{
			MaxAttempts: 1, Classifier: func(error) redial.Class { return redial.Refused }}},
		"a class that is none": {script: dialtest.Fail(errors.New("odd")), outcome: "unknown", stop: "permanent", dialer: redial.Dialer{
			Classifier: func(error) redial.Class { return 200 }}},
	} {
		testutil.Bubble(t, name, func(t *testing.T) {
			ctx := t.Context()
			if test.ctx != nil {
				ctx = test.ctx(t)
				synctest.Wait() // until a context that is canceled at once is canceled
			}
			test.dialer.DialFunc = dialtest.Script(test.script.Forever()).DialContext
			if test.dialer.Policy == nil {
				test.dialer.Policy = forever
			}
			d, m := instrumented(test.dialer)
			_, err := d.DialContext(ctx, "tcp", address)
			require.Error(t, err)
			assert.Equal(t, series{
				"redial_dials_total{outcome=" + test.outcome + "}":   1,
				"redial_dials_stopped_total{stop=" + test.stop + "}": 1,
			}, seriesOf(t, m).of("redial_dials_"), "%v", err)
		})
	}
}

// With net.Dialer, a dial that is over before its only attempt returns net.Dialer's own error.
func TestOverBeforeTheOnlyAttempt(t *testing.T) {
	d, m := instrumented(redial.Dialer{MaxAttempts: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.DialContext(ctx, "tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, context.Canceled)
	d.Timeout = -1
	_, err = d.Dial("tcp", "127.0.0.1:1")
	require.Error(t, err)
	assert.Equal(t, series{
		"redial_dials_total{outcome=canceled}":      1,
		"redial_dials_total{outcome=timeout}":       1,
		"redial_dials_stopped_total{stop=canceled}": 1,
		"redial_dials_stopped_total{stop=deadline}": 1,
	}, seriesOf(t, m).of("redial_dials_", "redial_attempts"))
}

// Whatever ends a dial, no dial stays in progress.
func TestPanics(t *testing.T) {
	explode := func() { panic("boom") }
	for name, end := range map[string]func(){"panic": explode, "Goexit": runtime.Goexit} {
		for where, d := range map[string]*redial.Dialer{
			"DialFunc":  {DialFunc: func(context.Context, string, string) (net.Conn, error) { end(); return nil, nil }},
			"OnAttempt": {DialFunc: dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext, OnAttempt: func(context.Context, redial.Attempt) { end() }},
			"Verify":    {DialFunc: dialtest.Script(dialtest.OK).DialContext, Verify: func(context.Context, net.Conn) error { end(); return nil }},
		} {
			t.Run(name+" in "+where, func(t *testing.T) {
				d, m := instrumented(*d)
				dialUnwound(d)
				assert.Equal(t, series{
					"redial_dials_total{outcome=unknown}":    1,
					"redial_dials_stopped_total{stop=panic}": 1,
				}, seriesOf(t, m).of("redial_dials_"))
			})
		}
		t.Run(name+" in OnDial", func(t *testing.T) {
			d, m := instrumented(redial.Dialer{OnDial: func(context.Context, string, string) (context.Context, func(redial.Result)) { end(); return nil, nil }})
			dialUnwound(d)
			assert.Empty(t, seriesOf(t, m)) // a dial that did not begin
		})
		t.Run(name+" in OnDial's function", func(t *testing.T) {
			d, m := instrumented(redial.Dialer{
				DialFunc: dialtest.Script(dialtest.OK).DialContext,
				OnDial: func(context.Context, string, string) (context.Context, func(redial.Result)) {
					return nil, func(redial.Result) { end() }
				},
			})
			dialUnwound(d)
			assert.Equal(t, series{"redial_dials_total{outcome=ok}": 1}, seriesOf(t, m).of("redial_dials_"))
		})
	}
}

// dialUnwound dials in a goroutine that a panic or runtime.Goexit ends.
func dialUnwound(d *redial.Dialer) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer func() { _ = recover() }()
		d.Dial("tcp", address)
	}()
	wg.Wait()
}

// Functions that were set before are called, with the context of the dial, and two Metrics count
// the same dials.
func TestChain(t *testing.T) {
	type key struct{}
	var attempts []any
	var ended []error
	d := &redial.Dialer{
		DialFunc: func(ctx context.Context, _, _ string) (net.Conn, error) {
			assert.Equal(t, "derived", ctx.Value(key{}))
			return nil, errors.New("no")
		},
		OnDial: func(ctx context.Context, network, address string) (context.Context, func(redial.Result)) {
			assert.Equal(t, "tcp a.test:80", network+" "+address)
			return context.WithValue(ctx, key{}, "derived"), func(r redial.Result) { ended = append(ended, r.Err) }
		},
		OnAttempt:   func(ctx context.Context, a redial.Attempt) { attempts = append(attempts, ctx.Value(key{})) },
		MaxAttempts: 1,
		Logger:      zap.NewNop(),
	}
	a, b := redialprom.New(redialprom.Opts{}), redialprom.New(redialprom.Opts{})
	a.Instrument(d, "a")
	b.Instrument(d, "b")
	_, err := d.Dial("tcp", address)
	assert.Equal(t, []any{"derived"}, attempts)
	assert.Equal(t, []error{err}, ended)
	for _, m := range []*redialprom.Metrics{a, b} {
		assert.Equal(t, series{
			"redial_dials_total{outcome=unknown}":        1,
			"redial_dials_stopped_total{stop=permanent}": 1,
			"redial_attempts_total{outcome=unknown}":     1,
		}, seriesOf(t, m).of("redial_dials_", "redial_attempts"))
	}
	assert.NoError(t, promtest.CollectAndCompare(join{a, b}, strings.NewReader(`
# HELP redial_attempts_shared_total Failures of another dial's attempt that dials shared at a Gate instead of connecting.
# TYPE redial_attempts_shared_total counter
redial_attempts_shared_total{dialer="a"} 0
redial_attempts_shared_total{dialer="b"} 0
`), "redial_attempts_shared_total"))
}

// A dial whose OnDial was set without a context or a function.
func TestChainOfNothing(t *testing.T) {
	d, m := instrumented(redial.Dialer{
		DialFunc: dialtest.Script(dialtest.OK).DialContext,
		OnDial:   func(context.Context, string, string) (context.Context, func(redial.Result)) { return nil, nil },
	})
	conn, err := d.Dial("tcp", address)
	require.NoError(t, err)
	conn.Close()
	assert.Equal(t, series{"redial_dials_total{outcome=ok}": 1}, seriesOf(t, m).of("redial_dials_"))
}

// A dial within another's attempt counts if it reports to Metrics of its own. Its failure is final
// for it, but not for the other dial.
func TestNestedDialWithItsOwnMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, proxy := instrumented(redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext})
		outer, server := instrumented(redial.Dialer{DialFunc: inner.DialContext})
		conn, err := outer.Dial("tcp", address)
		require.NoError(t, err)
		conn.Close()
		assert.Equal(t, series{
			"redial_dials_total{outcome=refused}":           1,
			"redial_dials_total{outcome=ok}":                1,
			"redial_dials_stopped_total{stop=max_attempts}": 1,
			"redial_attempts_total{outcome=refused}":        1,
			"redial_attempts_total{outcome=ok}":             1,
		}, seriesOf(t, proxy).of("redial_dials_", "redial_attempts"))
		assert.Equal(t, series{
			"redial_dials_total{outcome=ok}":         1,
			"redial_attempts_total{outcome=refused}": 1,
			"redial_attempts_total{outcome=ok}":      1,
		}, seriesOf(t, server).of("redial_dials_", "redial_attempts"))
	})
}

// A dial within another's attempt does not count beside it. What it tried counts once.
func TestNestedDialIsNotCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := redialprom.New(redialprom.Opts{})
		script := dialtest.Script(dialtest.Refuse.Forever())
		inner := &redial.Dialer{Logger: zap.NewNop(), DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
			assert.Equal(t, 1.0, seriesOf(t, m)["redial_dials_in_progress{}"])
			return script.DialContext(ctx, network, address)
		}}
		outer := &redial.Dialer{DialFunc: inner.DialContext, Logger: zap.NewNop(), MaxAttempts: 2}
		m.Instrument(inner, "test")
		m.Instrument(outer, "test")
		_, err := outer.Dial("tcp", address)
		require.Error(t, err)
		got := seriesOf(t, m)
		assert.Equal(t, series{
			"redial_dials_total{outcome=refused}":                       1,
			"redial_dials_stopped_total{stop=max_attempts}":             1,
			"redial_attempts_total{outcome=refused}":                    2,
			"redial_addresses_tried_total{family=ipv4,outcome=refused}": 2,
		}, got.of("redial_dials_", "redial_attempts", "redial_addresses"))
		assert.Equal(t, series{"redial_nested_dials_total{outcome=refused}": 2}, got.of("redial_nested"))
		assert.Equal(t, 1.0, got["redial_dial_duration_seconds_count{result=failed}"])
		assert.Equal(t, 2.0, got["redial_attempt_duration_seconds_count{result=failed}"])
	})
}

// The only attempt's error can be another dial's, with a class and a reason of its own.
func TestErrorOfAnotherDial(t *testing.T) {
	other := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse).DialContext, Policy: redial.Policy{}, Logger: zap.NewNop()}
	d, m := instrumented(redial.Dialer{
		DialFunc: func(_ context.Context, network, address string) (net.Conn, error) {
			return other.Dial(network, address) // with a context of its own, so it is not nested
		},
		Classifier:  func(error) redial.Class { return redial.Timeout },
		MaxAttempts: 1,
	})
	_, err := d.Dial("tcp", address)
	require.ErrorIs(t, err, redial.ErrPermanent)
	assert.Equal(t, series{
		"redial_dials_total{outcome=timeout}":           1,
		"redial_dials_stopped_total{stop=max_attempts}": 1,
	}, seriesOf(t, m).of("redial_dials_"))
}

// A dial that is canceled as it takes another dial's failure is canceled, not refused.
func TestSharedFailureOfCanceledDial(t *testing.T) {
	d, m := instrumented(redial.Dialer{})
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	ctx, ended := d.OnDial(t.Context(), "tcp", address)
	d.OnAttempt(ctx, redial.Attempt{Number: 1, Shared: true, Err: refused, Class: redial.Refused, Stop: redial.ErrCanceled})
	ended(redial.Result{Err: refused, Class: redial.Refused, Stop: redial.ErrCanceled, Attempts: 1})
	assert.Equal(t, series{
		"redial_dials_total{outcome=canceled}":      1,
		"redial_dials_stopped_total{stop=canceled}": 1,
		"redial_attempts_shared_total{}":            1,
	}, seriesOf(t, m).of("redial_dials_", "redial_attempts"))
}

// No error, however broken, makes the hooks panic.
func TestHostileErrors(t *testing.T) {
	for _, hostile := range testutil.HostileErrors() {
		t.Run(hostile.Name, func(t *testing.T) {
			d, m := instrumented(redial.Dialer{})
			for _, err := range []error{hostile.Err, &net.OpError{Op: "dial", Err: hostile.Err}} {
				ctx, ended := d.OnDial(t.Context(), "tcp", address)
				assert.NotPanics(t, func() {
					d.OnAttempt(ctx, redial.Attempt{Number: 1, Err: err, Stop: redial.ErrPermanent})
					d.OnAttempt(ctx, redial.Attempt{Number: 2, Err: err, Addrs: []redial.AddrResult{{Err: err}}})
					ended(redial.Result{Err: err, Stop: redial.ErrPermanent})
				})
			}
			assert.Equal(t, 2.0, seriesOf(t, m)["redial_dials_stopped_total{stop=permanent}"])
		})
	}
}

// Attempts that dials share at a Gate open no socket.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dials = 50
		script := dialtest.Script(dialtest.Refuse.Forever())
		d, m := instrumented(redial.Dialer{DialFunc: script.DialContext, Gate: new(redial.Gate), MaxElapsed: 5 * time.Second})
		var mu sync.Mutex
		shared := 0.0
		onAttempt := d.OnAttempt
		d.OnAttempt = func(ctx context.Context, a redial.Attempt) {
			onAttempt(ctx, a)
			if a.Shared {
				mu.Lock()
				defer mu.Unlock()
				shared++
			}
		}
		testutil.Crowd(dials, func(int) error {
			_, err := d.Dial("tcp", address)
			return err
		})
		connects := float64(len(script.Dials()))
		assert.Positive(t, shared)
		got := seriesOf(t, m)
		assert.Equal(t, series{
			"redial_dials_total{outcome=refused}":                       dials,
			"redial_dials_stopped_total{stop=max_elapsed}":              dials,
			"redial_attempts_total{outcome=refused}":                    connects,
			"redial_attempts_shared_total{}":                            shared,
			"redial_addresses_tried_total{family=ipv4,outcome=refused}": connects,
		}, got.of("redial_dials_", "redial_attempts", "redial_addresses"))
		assert.Equal(t, connects, got["redial_attempt_duration_seconds_count{result=failed}"])
	})
}

// The families of the addresses that real dials try, each with its outcome.
func TestFamilies(t *testing.T) {
	hold := func(conn net.Conn) { conn.Read(make([]byte, 1)) }
	v4 := testutil.Listen(t, "tcp", "127.0.0.1:0", hold).Addr().String()
	socket := filepath.Join(t.TempDir(), "socket")
	testutil.Listen(t, "unix", socket, hold)
	d, m := instrumented(redial.Dialer{MaxAttempts: 1})
	dial := func(network, address string) {
		if conn, err := d.Dial(network, address); err == nil {
			conn.Close()
		}
	}
	dial("tcp", v4)
	dial("tcp", testutil.RefusingAddress(t, "tcp"))
	dial("udp", v4)
	dial("unix", socket)
	dial("unix", socket+".missing")
	dial("tcp", "127.0.0.1:99999") // no address
	assert.Equal(t, series{
		"redial_addresses_tried_total{family=ipv4,outcome=ok}":      2,
		"redial_addresses_tried_total{family=ipv4,outcome=refused}": 1,
		"redial_addresses_tried_total{family=unix,outcome=ok}":      1,
		"redial_addresses_tried_total{family=unix,outcome=refused}": 1,
	}, seriesOf(t, m).of("redial_addresses"))

	pipe, other := net.Pipe()
	defer other.Close()
	d.DialFunc = func(context.Context, string, string) (net.Conn, error) { return pipe, nil }
	dial("tcp", "tunnel.test:80")
	d.DialFunc = func(context.Context, string, string) (net.Conn, error) { return struct{ net.Conn }{}, nil }
	_, err := d.Dial("tcp", "double.test:80")
	require.NoError(t, err)
	assert.Equal(t, 1.0, seriesOf(t, m)["redial_addresses_tried_total{family=other,outcome=ok}"])
}

func TestFamilyOfIPv6(t *testing.T) {
	refusing := testutil.RefusingAddress(t, "tcp6")
	d, m := instrumented(redial.Dialer{MaxAttempts: 1})
	_, err := d.Dial("tcp", refusing)
	require.Error(t, err)
	assert.Equal(t, series{"redial_addresses_tried_total{family=ipv6,outcome=refused}": 1}, seriesOf(t, m).of("redial_addresses"))
}

// Each address of a name that is raced counts, and so does the time of the look-up.
func TestRace(t *testing.T) {
	dnstest.SkipWithout(t)
	dns := dnstest.Start(t, "127.0.0.1:0")
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { conn.Read(make([]byte, 1)) })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	dns.Set("both.test", dnstest.Addrs("127.0.0.2", "127.0.0.1")) // nothing listens on the first
	dns.Set("one.test", dnstest.Addrs("127.0.0.1"))
	dns.Set("broken.test", dnstest.ServFail)
	d, m := instrumented(redial.Dialer{Dialer: net.Dialer{Resolver: dns.Resolver(), Timeout: 20 * time.Second}, MaxAttempts: 1})

	conn, err := d.Dial("tcp4", "both.test:"+port)
	require.NoError(t, err)
	conn.Close()
	_, err = d.Dial("tcp", "broken.test:80")
	require.Error(t, err)
	_, err = d.Dial("tcp", "missing.test:80")
	require.Error(t, err)
	d.Verify = func(context.Context, net.Conn) error { return io.EOF }
	_, err = d.Dial("tcp4", "one.test:"+port)
	require.Error(t, err)

	got := seriesOf(t, m)
	assert.Equal(t, 1.0, got["redial_attempts_total{outcome=reset}"])
	assert.Equal(t, 1.0, got["redial_addresses_tried_total{family=ipv4,outcome=reset}"]) // by Verify
	assert.Equal(t, 1.0, got["redial_addresses_tried_total{family=ipv4,outcome=ok}"])
	assert.LessOrEqual(t, got["redial_addresses_tried_total{family=ipv4,outcome=refused}"], 1.0) // none if the other came first
	assert.Equal(t, 2.0, got["redial_lookup_duration_seconds_count{result=ok}"])
	assert.Equal(t, 2.0, got["redial_lookup_duration_seconds_count{result=failed}"])
	for _, outcome := range []string{"dns", "not_found"} {
		assert.Equal(t, 1.0, got["redial_attempts_total{outcome="+outcome+"}"], outcome)
	}
	assert.GreaterOrEqual(t, got["redial_attempt_duration_seconds_sum{result=failed}"], got["redial_lookup_duration_seconds_sum{result=failed}"])
}

// A dial that a Transport ends because its request was canceled, is canceled.
func TestTransport(t *testing.T) {
	server := httptest.NewServer(testutil.Hello)
	defer server.Close()
	d, m := instrumented(redial.Dialer{})
	transport := redial.NewTransport(d, nil)
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	_, _, err := testutil.Get(t.Context(), client, server.URL)
	require.NoError(t, err)
	assert.Equal(t, series{"redial_dials_total{outcome=ok}": 1}, seriesOf(t, m).of("redial_dials_"))

	ctx, cancel := context.WithCancel(t.Context())
	onAttempt := d.OnAttempt
	d.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		onAttempt(ctx, a)
		cancel()
	}
	_, _, err = testutil.Get(ctx, client, "http://"+testutil.RefusingAddress(t, "tcp"))
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return seriesOf(t, m)["redial_dials_in_progress{}"] == 0 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, series{
		"redial_dials_total{outcome=ok}":            1,
		"redial_dials_total{outcome=canceled}":      1,
		"redial_dials_stopped_total{stop=canceled}": 1,
	}, seriesOf(t, m).of("redial_dials_"))
}

// Do's attempts count as a Dialer's do.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, m := instrumented(redial.Dialer{})
		script := dialtest.Script(dialtest.Refuse, dialtest.OK)
		_, err := redial.Do(t.Context(), d, "tcp", address, func(ctx context.Context) (string, error) {
			_, err := script.DialContext(ctx, "tcp", address)
			return "a client", err
		})
		require.NoError(t, err)
		assert.Equal(t, series{
			"redial_dials_total{outcome=ok}":                            1,
			"redial_attempts_total{outcome=refused}":                    1,
			"redial_attempts_total{outcome=ok}":                         1,
			"redial_addresses_tried_total{family=ipv4,outcome=refused}": 1,
		}, seriesOf(t, m).of("redial_dials_", "redial_attempts", "redial_addresses"))
	})
}

// A dial within connect, through the same Dialer, is Do's attempt.
func TestDoWithDialWithin(t *testing.T) {
	d, m := instrumented(redial.Dialer{Policy: redial.Policy{redial.Refused: every(time.Millisecond)}})
	listening := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { conn.Read(make([]byte, 1)) }).Addr().String()
	addresses := []string{testutil.RefusingAddress(t, "tcp"), listening}
	var kept context.Context
	conn, err := redial.Do(t.Context(), d, "tcp", address, func(ctx context.Context) (net.Conn, error) {
		kept = context.WithoutCancel(ctx)
		address := addresses[0]
		addresses = addresses[1:]
		return d.DialContext(ctx, "tcp", address)
	})
	require.NoError(t, err)
	conn.Close()
	want := series{
		"redial_dials_total{outcome=ok}":                            1,
		"redial_attempts_total{outcome=refused}":                    1,
		"redial_attempts_total{outcome=ok}":                         1,
		"redial_addresses_tried_total{family=ipv4,outcome=refused}": 1,
		"redial_addresses_tried_total{family=ipv4,outcome=ok}":      1,
	}
	assert.Equal(t, want, seriesOf(t, m).of("redial_dials_", "redial_attempts", "redial_addresses"))

	// A pool that keeps the context dials again later, on its own.
	conn, err = d.DialContext(kept, "tcp", listening)
	require.NoError(t, err)
	conn.Close()
	for name := range want {
		if strings.Contains(name, "outcome=ok") {
			want[name]++
		}
	}
	assert.Equal(t, want, seriesOf(t, m).of("redial_dials_", "redial_attempts", "redial_addresses"))
}

// Many dials at once, through several Dialers, each counted once.
func TestConcurrent(t *testing.T) {
	const dialers, dials = 4, 50
	m := redialprom.New(redialprom.Opts{})
	address := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { conn.Read(make([]byte, 1)) }).Addr().String()
	refusing := testutil.RefusingAddress(t, "tcp")
	all := make([]*redial.Dialer, dialers)
	for i := range all {
		all[i] = &redial.Dialer{Logger: zap.NewNop(), MaxAttempts: 1}
		m.Instrument(all[i], "test")
	}
	stop := make(chan struct{})
	var scraper sync.WaitGroup
	scraper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				seriesOf(t, m)
			}
		}
	})
	testutil.Crowd(dialers*dials, func(i int) error {
		d := all[i%dialers]
		d.Dial("tcp", refusing)
		conn, err := d.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	close(stop)
	scraper.Wait()
	got := seriesOf(t, m)
	assert.Equal(t, series{
		"redial_dials_total{outcome=ok}":                dialers * dials,
		"redial_dials_total{outcome=refused}":           dialers * dials,
		"redial_dials_stopped_total{stop=max_attempts}": dialers * dials,
	}, got.of("redial_dials_"))
	assert.Equal(t, float64(dialers*dials), got["redial_dial_duration_seconds_count{result=ok}"])
}

// Histograms have classic and native buckets.
func TestBuckets(t *testing.T) {
	for name, test := range map[string]struct {
		buckets []float64
		classic int
	}{"default": {nil, 10}, "own": {[]float64{1, 2}, 2}, "native only": {[]float64{}, 0}} {
		t.Run(name, func(t *testing.T) {
			m := redialprom.New(redialprom.Opts{Buckets: test.buckets})
			d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.OK).DialContext, Logger: zap.NewNop()}
			m.Instrument(d, "test")
			_, err := d.Dial("tcp", address)
			require.NoError(t, err)
			registry := prometheus.NewRegistry()
			registry.MustRegister(m)
			families, err := registry.Gather()
			require.NoError(t, err)
			histograms := 0
			for _, f := range families {
				for _, metric := range f.GetMetric() {
					if h := metric.GetHistogram(); h != nil {
						histograms++
						assert.Len(t, h.GetBucket(), test.classic)
						assert.NotEmpty(t, h.GetPositiveSpan())
						assert.EqualValues(t, 3, h.GetSchema()) // a factor of at most 1.1
					}
				}
			}
			assert.Equal(t, 2, histograms)
		})
	}
}

func TestBadBuckets(t *testing.T) {
	assert.Panics(t, func() { redialprom.New(redialprom.Opts{Buckets: []float64{2, 1}}) }, "before a dial reports to it")
}

// Prometheus' conventions for names, units and help.
func TestLint(t *testing.T) {
	m := used(t)
	problems, err := promtest.CollectAndLint(m)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// One Metrics serves many Dialers, each under its name. Two Dialers of one name share the series.
func TestNames(t *testing.T) {
	m := redialprom.New(redialprom.Opts{})
	for _, name := range []string{"a", "b", "b", ""} {
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.OK).DialContext, Logger: zap.NewNop()}
		m.Instrument(d, name)
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
	}
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(m))
	assert.ErrorAs(t, registry.Register(m), new(prometheus.AlreadyRegisteredError))
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			if f.GetName() == "redial_dials_total" && metric.GetCounter().GetValue() > 0 {
				got[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	assert.Equal(t, map[string]float64{"a": 1, "b": 2, "": 1}, got)
}

// A dial within another's attempt is nested only if both have the same name.
func TestNestedDialOfAnotherName(t *testing.T) {
	m := redialprom.New(redialprom.Opts{})
	proxy := &redial.Dialer{Logger: zap.NewNop(), DialFunc: dialtest.Script(dialtest.OK).DialContext}
	server := &redial.Dialer{Logger: zap.NewNop(), DialFunc: proxy.DialContext}
	m.Instrument(proxy, "proxy")
	m.Instrument(server, "server")
	_, err := server.Dial("tcp", address)
	require.NoError(t, err)
	assert.NoError(t, promtest.CollectAndCompare(m, strings.NewReader(`
# HELP redial_dials_in_progress Dials that have begun and not ended, including those that wait.
# TYPE redial_dials_in_progress gauge
redial_dials_in_progress{dialer="proxy"} 0
redial_dials_in_progress{dialer="server"} 0
`), "redial_dials_in_progress", "redial_nested_dials_total"))
}

// An exemplar leads from a bucket to a trace.
func TestExemplars(t *testing.T) {
	type key struct{}
	m := redialprom.New(redialprom.Opts{Exemplar: func(ctx context.Context) prometheus.Labels {
		if id, ok := ctx.Value(key{}).(string); ok {
			return prometheus.Labels{"trace_id": id}
		}
		return nil
	}})
	d := &redial.Dialer{Logger: zap.NewNop(), DialFunc: dialtest.Script(dialtest.OK.Times(2), dialtest.Refuse).DialContext, Policy: redial.Policy{}}
	m.Instrument(d, "test")
	for _, id := range []string{"", "one", "two"} {
		ctx := t.Context()
		if id != "" {
			ctx = context.WithValue(ctx, key{}, id)
		}
		d.DialContext(ctx, "tcp", address)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]string{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, bucket := range metric.GetHistogram().GetBucket() {
				if e := bucket.GetExemplar(); e != nil {
					got[f.GetName()+" "+metric.GetLabel()[1].GetValue()] = e.GetLabel()[0].GetName() + "=" + e.GetLabel()[0].GetValue()
				}
			}
		}
	}
	assert.Equal(t, map[string]string{
		"redial_dial_duration_seconds ok": "trace_id=one", "redial_dial_duration_seconds failed": "trace_id=two",
		"redial_attempt_duration_seconds ok": "trace_id=one", "redial_attempt_duration_seconds failed": "trace_id=two",
	}, got)
}

// A family whose DNS query had no answer counts.
func TestUnanswered(t *testing.T) {
	d, m := instrumented(redial.Dialer{})
	for _, queries := range []string{"", "A", "AAAA", "A and AAAA"} {
		d.OnAttempt(t.Context(), redial.Attempt{Number: 1, Resolve: time.Second, Unanswered: queries})
	}
	assert.Equal(t, series{
		"redial_lookups_unanswered_total{family=ipv4}":    2,
		"redial_lookups_unanswered_total{family=ipv6}":    2,
		"redial_lookup_duration_seconds_count{result=ok}": 4,
		"redial_lookup_duration_seconds_sum{result=ok}":   4,
	}, seriesOf(t, m).of("redial_lookup"))
}

// New's arrays are as long as the classes are many.
func TestEveryClassHasItsSeries(t *testing.T) {
	registry := prometheus.NewRegistry()
	_, m := instrumented(redial.Dialer{})
	registry.MustRegister(m)
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != "redial_dials_total" && f.GetName() != "redial_attempts_total" {
			continue
		}
		var got []string
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if l.GetName() == "outcome" {
					got = append(got, l.GetValue())
				}
			}
		}
		assert.ElementsMatch(t, outcomes(), got, f.GetName())
	}
}

// outcomes returns all values of the label outcome.
func outcomes() []string {
	all := []string{"ok"}
	for class := redial.Class(0); ; class++ {
		name, err := class.MarshalText()
		if err != nil {
			return all
		}
		all = append(all, string(name))
	}
}

// Lost connections count with the class of their end, or as canceled, and how long they lasted.
func TestLostConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		lost := 0
		d, m := instrumented(redial.Dialer{
			Policy: redial.Policy{redial.Reset: every(time.Second)},
			OnLost: func(context.Context, redial.Loss) { lost++ },
		})
		script := dialtest.Script(dialtest.OK.Forever())
		err := redial.Reconnect(ctx, d, "tcp", address,
			func(ctx context.Context) (net.Conn, error) { return script.DialContext(ctx, "tcp", address) },
			func(context.Context, net.Conn) error {
				time.Sleep(time.Hour)
				if lost == 2 {
					cancel()
				}
				return io.EOF
			})
		require.ErrorIs(t, err, redial.ErrCanceled)
		assert.Equal(t, 3, lost, "the hook that was there")
		got := seriesOf(t, m)
		assert.Equal(t, series{
			"redial_connections_lost_total{outcome=reset}":              2,
			"redial_connections_lost_total{outcome=canceled}":           1,
			"redial_connection_duration_seconds_count{result=failed}":   2,
			"redial_connection_duration_seconds_sum{result=failed}":     7200,
			"redial_connection_duration_seconds_count{result=canceled}": 1,
			"redial_connection_duration_seconds_sum{result=canceled}":   3600,
		}, got.of("redial_connection"))
		assert.Equal(t, 3.0, got["redial_dials_total{outcome=ok}"])
	})
}

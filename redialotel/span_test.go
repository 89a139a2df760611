package redialotel_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
	"github.com/seed-33f8b841/redial/redialotel"
)

func TestSpanOfSuccess(t *testing.T) {
	s := newSink(t)
	address := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo).Addr().String()
	host, port := hostPort(t, address)
	ctx, root := s.root(t.Context())

	conn, err := s.instrument(&redial.Dialer{}).DialContext(ctx, "tcp", address)
	require.NoError(t, err)
	conn.Close()
	root.End()

	span := s.named("dial db")
	assert.Equal(t, root.SpanContext().SpanID(), span.Parent().SpanID())
	assert.Equal(t, root.SpanContext().TraceID(), span.SpanContext().TraceID())
	assert.Equal(t, trace.SpanKindInternal, span.SpanKind())
	assert.Empty(t, span.Events(), "span events are deprecated")
	assert.Equal(t, sdktrace.Status{}, span.Status())
	assert.Equal(t, "github.com/seed-33f8b841/redial/redialotel", span.InstrumentationScope().Name)
	assert.Contains(t, span.InstrumentationScope().SchemaURL, "https://opentelemetry.io/schemas/")
	assert.Equal(t, map[string]any{
		"server.address":       host,
		"server.port":          int64(port),
		"network.transport":    "tcp",
		"network.type":         "ipv4",
		"network.peer.address": host,
		"network.peer.port":    int64(port),
		"redial.dialer.name":   "db",
		"redial.attempt.count": int64(1),
		"redial.outcome":       "ok",
	}, attrs(span.Attributes()))
	require.Equal(t, []string{"connect"}, s.stepNames(span))
	assert.Equal(t, map[string]any{
		"redial.attempt.number": int64(1),
		"redial.outcome":        "ok",
		"network.type":          "ipv4",
		"network.peer.address":  host,
		"network.peer.port":     int64(port),
	}, attrs(s.steps(span)[0].Attributes()))
}

// In virtual time, the times of the spans are exact. A failure that was retried is on its own span, not on the dial's.
func TestStepsOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t)
		d := s.instrument(&redial.Dialer{
			DialFunc: func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(10 * time.Millisecond)
				return nil, refusal()
			},
			Policy:      redial.Policy{redial.Refused: after(time.Second, 3*time.Second)},
			MaxAttempts: 3,
		})
		start := time.Now()
		_, err := d.Dial("tcp", "db.example:5432")
		require.Error(t, err)

		span := s.only()
		assert.False(t, span.Parent().IsValid())
		assert.Equal(t, sdktrace.Status{
			Code:        codes.Error,
			Description: "dial tcp: db.example:5432: connect: connection refused (refused, 3 attempts in 4s: MaxAttempts reached)",
		}, span.Status())
		assert.Equal(t, map[string]any{
			"server.address":          "db.example",
			"server.port":             int64(5432),
			"network.transport":       "tcp",
			"redial.dialer.name":      "db",
			"redial.attempt.count":    int64(3),
			"redial.outcome":          "failed",
			"redial.dial.stop_reason": "max_attempts",
			"error.type":              "refused",
		}, attrs(span.Attributes()))
		assert.Equal(t, 4030*time.Millisecond, span.EndTime().Sub(span.StartTime()))

		require.Equal(t, []string{"connect", "connect", "connect"}, s.stepNames(span))
		for i, step := range s.steps(span) {
			assert.Equal(t, map[string]any{
				"redial.attempt.number": int64(i + 1),
				"redial.outcome":        "failed",
				"error.type":            "refused",
			}, attrs(step.Attributes()))
			assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: "dial tcp: connect: connection refused"}, step.Status())
			ended := []time.Duration{10 * time.Millisecond, 1020 * time.Millisecond, 4030 * time.Millisecond}[i]
			assert.Equal(t, ended, step.EndTime().Sub(start))
			assert.Equal(t, 10*time.Millisecond, step.EndTime().Sub(step.StartTime()))
		}
	})
}

func TestStepsOfAddresses(t *testing.T) {
	dnstest.SkipWithout(t)
	s := newSink(t)
	listener := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo)
	_, port := hostPort(t, listener.Addr().String())
	dns := dnstest.Start(t, "127.0.0.1:0")
	dns.Set("db.test", dnstest.Addrs("127.0.0.2", "127.0.0.1"))
	d := s.instrument(&redial.Dialer{})
	d.Resolver = dns.Resolver()

	conn, err := d.DialContext(t.Context(), "tcp4", fmt.Sprintf("db.test:%d", port))
	require.NoError(t, err)
	conn.Close()

	span := s.only()
	require.Equal(t, []string{"lookup", "connect", "connect"}, s.stepNames(span))
	steps := s.steps(span)
	assert.Equal(t, map[string]any{"redial.attempt.number": int64(1), "redial.outcome": "ok", "dns.question.name": "db.test"}, attrs(steps[0].Attributes()))
	byPeer := make(map[any]sdktrace.ReadOnlySpan) // the resolver may sort them
	for _, step := range steps[1:] {
		got := attrs(step.Attributes())
		byPeer[got["network.peer.address"]] = step
		assert.Equal(t, int64(port), got["network.peer.port"])
		assert.Equal(t, "ipv4", got["network.type"])
		assert.Equal(t, int64(1), got["redial.attempt.number"])
		assert.False(t, step.EndTime().After(span.EndTime()))
		assert.False(t, step.StartTime().Before(steps[0].StartTime()))
	}
	refused, connected := byPeer["127.0.0.2"], byPeer["127.0.0.1"]
	assert.Equal(t, "refused", attrs(refused.Attributes())["error.type"])
	assert.Equal(t, "failed", attrs(refused.Attributes())["redial.outcome"])
	assert.Equal(t, fmt.Sprintf("dial tcp4 127.0.0.2:%d: connect: connection refused", port), refused.Status().Description)
	assert.Equal(t, "ok", attrs(connected.Attributes())["redial.outcome"])
	assert.NotContains(t, attrs(connected.Attributes()), "error.type")
	assert.Equal(t, sdktrace.Status{}, connected.Status())
	assert.Equal(t, sdktrace.Status{}, span.Status())
	assert.Equal(t, "db.test", attrs(span.Attributes())["server.address"])
	assert.Equal(t, "127.0.0.1", attrs(span.Attributes())["network.peer.address"])

	points := s.metrics()
	assert.Equal(t, 1.0, points["redial.attempt.addresses{network.type=ipv4,outcome=ok}"])
	assert.Equal(t, 1.0, points["redial.attempt.addresses{error.type=refused,network.type=ipv4,outcome=failed}"])
	assert.Equal(t, 1.0, points["redial.lookup.duration{outcome=ok}"])
	assert.Equal(t, 1.0, points["redial.attempt.duration{outcome=ok}"])
}

func TestNameDoesNotExist(t *testing.T) {
	dnstest.SkipWithout(t)
	s := newSink(t)
	d := s.instrument(&redial.Dialer{})
	d.Resolver = dnstest.Start(t, "127.0.0.1:0").Resolver()

	_, err := d.DialContext(t.Context(), "tcp", "nobody.test:80")
	require.Error(t, err)

	span := s.only()
	assert.Equal(t, "not_found", attrs(span.Attributes())["error.type"])
	assert.Equal(t, "permanent", attrs(span.Attributes())["redial.dial.stop_reason"])
	require.Equal(t, []string{"lookup"}, s.stepNames(span))
	assert.Equal(t, "not_found", attrs(s.steps(span)[0].Attributes())["error.type"])
	points := s.metrics()
	assert.Equal(t, 1.0, points["redial.lookup.duration{error.type=not_found,outcome=failed}"])
	for name := range points {
		assert.NotContains(t, name, "redial.attempt.addresses")
	}
}

func TestNestedDial(t *testing.T) {
	s := newSink(t)
	inner := &redial.Dialer{DialFunc: failing(refusal())}
	s.telemetry("proxy").Instrument(inner)
	outer := s.instrument(&redial.Dialer{
		DialFunc:    inner.DialContext,
		Policy:      redial.Policy{redial.Refused: after(time.Millisecond)},
		MaxAttempts: 2,
	})
	ctx, root := s.root(t.Context())
	_, err := outer.DialContext(ctx, "tcp", "db:5432")
	require.Error(t, err)
	root.End()

	span := s.named("dial db")
	assert.Equal(t, root.SpanContext().SpanID(), span.Parent().SpanID())
	assert.Equal(t, []string{"connect", "connect"}, s.stepNames(span))
	nested := 0
	for _, other := range s.spans.Ended() {
		if other.Name() == "dial proxy" {
			nested++
			assert.Equal(t, span.SpanContext().SpanID(), other.Parent().SpanID())
			assert.Equal(t, []string{"connect"}, s.stepNames(other))
			assert.Equal(t, codes.Error, other.Status().Code)
			assert.Equal(t, "dial tcp: connect: connection refused", other.Status().Description)
			assert.Equal(t, "refused", attrs(other.Attributes())["error.type"])
			assert.Equal(t, "max_attempts", attrs(other.Attributes())["redial.dial.stop_reason"])
			assert.Equal(t, true, attrs(other.Attributes())["redial.dial.nested"])
		}
	}
	assert.Equal(t, 2, nested)
	assert.NotContains(t, attrs(span.Attributes()), "redial.dial.nested")
}

// A dial within another's attempt has a span, but does not count beside it. What it tried counts
// once.
func TestNestedDialIsNotCountedTwice(t *testing.T) {
	s := newSink(t)
	refused := refusal().(*net.OpError)
	refused.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432}
	d := s.instrument(&redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) {
		assert.Equal(t, 1.0, s.metrics()["redial.dial.active{}"])
		return nil, refused
	}, Policy: redial.Policy{}})
	_, err := redial.Do(t.Context(), d, "tcp", "db:5432", func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", "db:5432")
	})
	require.Error(t, err)
	require.Len(t, s.dials(), 2)
	assert.Equal(t, map[string]float64{
		"redial.dial.duration{dial.stop_reason=permanent,error.type=refused,outcome=failed}": 1,
		"redial.attempt.duration{error.type=refused,outcome=failed}":                         1,
		"redial.attempt.addresses{error.type=refused,network.type=ipv4,outcome=failed}":      1,
	}, s.metrics())
}

// One dial's attempt fails while the other waits at the Gate, and both get the failure.
func TestSharedFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t)
		d := s.instrument(&redial.Dialer{
			DialFunc: func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(50 * time.Millisecond)
				return nil, refusal()
			},
			Policy: redial.Policy{redial.Refused: after(time.Hour)},
			Gate:   &redial.Gate{Burst: 1},
		})
		d.MaxElapsed = time.Second
		errs := testutil.Crowd(2, func(int) error {
			_, err := d.Dial("tcp", "db:5432")
			return err
		})
		for _, err := range errs {
			require.Error(t, err)
		}

		shared, own := 0, 0
		for _, span := range s.dials() {
			assert.Equal(t, "refused", attrs(span.Attributes())["error.type"])
			own += len(s.steps(span))
			if n, ok := attrs(span.Attributes())["redial.attempt.shared_count"].(int64); ok {
				shared += int(n)
			}
		}
		assert.NotZero(t, shared)
		points := s.metrics()
		assert.Equal(t, float64(shared), points["redial.gate.failures{}"])
		assert.Equal(t, float64(own), points["redial.attempt.duration{error.type=refused,outcome=failed}"])
	})
}

// The addresses of a shared attempt are in the span of the dial that tried them.
func TestSharedAttemptsAddresses(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{})
	ctx, ended := d.OnDial(t.Context(), "tcp", "db:5432")
	long := time.Now().Add(-time.Hour)
	d.OnAttempt(ctx, redial.Attempt{
		Number: 1, Start: long, Shared: true, Err: refusal(), Class: redial.Refused,
		Addrs: []redial.AddrResult{{Addr: netip.MustParseAddrPort("192.0.2.1:5432"), Start: long, Err: refusal(), Class: redial.Refused}},
	})
	ended(redial.Result{Err: refusal()})
	span := s.only()
	assert.Empty(t, s.steps(span))
	assert.Equal(t, int64(1), attrs(span.Attributes())["redial.attempt.shared_count"])
	assert.Equal(t, map[string]float64{
		"redial.gate.failures{}": 1,
		"redial.dial.duration{dial.stop_reason=panic,error.type=unknown,outcome=failed}": 1,
	}, s.metrics())
}

// A dial that is stopped while it waits for another's probe shares its failure.
func TestSharedFailureOfCanceledDial(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{})
	for _, tt := range []struct {
		stop          redial.Stop
		outcome, name string
	}{{redial.ErrCanceled, "canceled", "canceled"}, {redial.ErrDeadline, "failed", "deadline"}} {
		ctx, ended := d.OnDial(t.Context(), "tcp", "db:5432")
		d.OnAttempt(ctx, redial.Attempt{Number: 1, Shared: true, Err: refusal(), Class: redial.Refused, Stop: tt.stop})
		ended(redial.Result{Err: refusal(), Class: redial.Refused, Stop: tt.stop, Attempts: 1})
		spans := s.spans.Ended()
		span := spans[len(spans)-1]
		assert.Equal(t, tt.outcome, attrs(span.Attributes())["redial.outcome"])
		assert.Equal(t, tt.name, attrs(span.Attributes())["redial.dial.stop_reason"])
	}
}

// The error of the only attempt can be another dial's, and still have a class of its own.
func TestErrorOfAnotherDial(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{
		DialFunc:    failing(causeOfAnother(t)),
		Classifier:  func(error) redial.Class { return redial.Denied },
		MaxAttempts: 1,
	})
	_, err := d.Dial("tcp", "db:1")
	require.Error(t, err)
	assert.Equal(t, "denied", attrs(s.only().Attributes())["error.type"])
}

func TestVerifyUnwinds(t *testing.T) {
	for name, unwind := range map[string]func(){"panic": func() { panic("verify") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t)
			address := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo).Addr().String()
			d := s.instrument(&redial.Dialer{Verify: func(context.Context, net.Conn) error {
				unwind()
				return nil
			}})
			var recovered any
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recovered = recover() }()
				d.Dial("tcp", address)
			}()
			<-done
			assert.Equal(t, name == "panic", recovered != nil)

			span := s.only()
			assert.Equal(t, codes.Error, span.Status().Code)
			assert.Contains(t, span.Status().Description, "panic")
			assert.Equal(t, "unknown", attrs(span.Attributes())["error.type"])
			assert.Equal(t, "panic", attrs(span.Attributes())["redial.dial.stop_reason"])
			assert.Empty(t, s.steps(span))
			points := s.metrics()
			assert.NotContains(t, points, "redial.dial.active{}")
			assert.Equal(t, 1.0, points["redial.dial.duration{dial.stop_reason=panic,error.type=unknown,outcome=failed}"])
		})
	}
}

// causeOfAnother is what errgroup makes the cause of a context: the failure of another
// dial, which has its own reasons.
func causeOfAnother(t *testing.T) error {
	d := &redial.Dialer{DialFunc: failing(refusal()), Policy: redial.Policy{}}
	_, err := d.Dial("tcp", "other:1")
	require.ErrorIs(t, err, redial.ErrPermanent)
	return err
}

// hanging is a DialFunc that waits until its attempt ends.
func hanging(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// over is a context that has ended with an error of its own.
type over struct{ context.Context }

func (over) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (over) Err() error { return errors.New("over") }

func TestCallerGivesUp(t *testing.T) {
	refused := redial.Policy{redial.Refused: after(time.Hour)}
	cancelAfter := func(delay time.Duration, cause error) func(context.Context) context.Context {
		return func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			if delay == 0 {
				cancel(cause)
			}
			time.AfterFunc(delay, func() { cancel(cause) })
			return ctx
		}
	}
	timeoutAfter := func(delay time.Duration, cause error) func(context.Context) context.Context {
		return func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeoutCause(ctx, delay, cause)
			time.AfterFunc(time.Minute, cancel)
			return ctx
		}
	}
	for _, tt := range []struct {
		name     string
		d        *redial.Dialer
		ctx      func(context.Context) context.Context
		outcome  string
		stop     string
		failed   bool
		attempts int
	}{
		{"in an attempt", &redial.Dialer{DialFunc: hanging}, cancelAfter(time.Second, nil), "canceled", "canceled", false, 1},
		{"in a wait", &redial.Dialer{DialFunc: failing(refusal()), Policy: refused, MaxElapsed: -1}, cancelAfter(time.Second, nil), "canceled", "canceled", false, 1},
		{"before the first attempt", &redial.Dialer{DialFunc: hanging}, cancelAfter(0, nil), "canceled", "canceled", false, 0},
		{"with a cause", &redial.Dialer{DialFunc: hanging}, cancelAfter(time.Second, causeOfAnother(t)), "canceled", "canceled", false, 1},
		{"MaxAttempts 1", &redial.Dialer{DialFunc: hanging, MaxAttempts: 1}, cancelAfter(time.Second, causeOfAnother(t)), "canceled", "canceled", false, 1},
		{"MaxAttempts 1, before", &redial.Dialer{MaxAttempts: 1}, cancelAfter(0, nil), "canceled", "canceled", false, 0},
		{"the caller's own kind of context", &redial.Dialer{DialFunc: failing(refusal())}, func(ctx context.Context) context.Context { return over{ctx} }, "canceled", "canceled", false, 0},

		{"deadline in an attempt", &redial.Dialer{DialFunc: hanging}, timeoutAfter(2*time.Second, nil), "timeout", "deadline", true, 1},
		{"deadline with a cause", &redial.Dialer{DialFunc: hanging}, timeoutAfter(2*time.Second, causeOfAnother(t)), "timeout", "deadline", true, 1},
		{"no time to wait", &redial.Dialer{DialFunc: failing(refusal()), Policy: redial.Policy{redial.Refused: after(time.Hour, time.Hour)}, MaxElapsed: time.Second}, nil, "refused", "max_elapsed", true, 2},
		{"MaxAttempts 1, no answer", &redial.Dialer{Dialer: net.Dialer{Timeout: time.Second}, DialFunc: hanging, MaxAttempts: 1}, nil, "timeout", "max_attempts", true, 1},
		{"inner dialer cancels by itself", &redial.Dialer{DialFunc: failing(context.Canceled)}, nil, "canceled", "permanent", true, 1},
		{"schedule ended", &redial.Dialer{DialFunc: failing(refusal()), Policy: redial.Policy{redial.Refused: after()}}, nil, "refused", "schedule_ended", true, 1},
		{"not a class", &redial.Dialer{DialFunc: failing(errors.New("?")), Classifier: func(error) redial.Class { return 200 }}, nil, "unknown", "permanent", true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSink(t)
				ctx := context.Background()
				if tt.ctx != nil {
					ctx = tt.ctx(ctx)
				}
				_, err := s.instrument(tt.d).DialContext(ctx, "tcp", "192.0.2.1:5432")
				require.Error(t, err)

				span := s.only()
				got := attrs(span.Attributes())
				assert.Equal(t, tt.stop, got["redial.dial.stop_reason"])
				assert.EqualValues(t, tt.attempts, got["redial.attempt.count"])
				key := "redial.dial.duration{dial.stop_reason=" + tt.stop + ",outcome=canceled}"
				if tt.failed {
					key = "redial.dial.duration{dial.stop_reason=" + tt.stop + ",error.type=" + tt.outcome + ",outcome=failed}"
					assert.Equal(t, "failed", got["redial.outcome"])
					assert.Equal(t, codes.Error, span.Status().Code)
					assert.Equal(t, tt.outcome, got["error.type"])
				} else {
					assert.Equal(t, "canceled", got["redial.outcome"])
					assert.Equal(t, sdktrace.Status{}, span.Status())
					assert.NotContains(t, got, "error.type")
				}
				assert.Equal(t, 1.0, s.metrics()[key], s.metrics())
			})
		})
	}
}

// The class of the dial is the last telling attempt's, as in the dial's error.
func TestLastAttemptCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t)
		n := 0
		d := s.instrument(&redial.Dialer{
			DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
				if n++; n == 1 {
					return nil, refusal()
				}
				return hanging(ctx, network, address)
			},
			Policy:     redial.Policy{redial.Refused: after(9500 * time.Millisecond)},
			MaxElapsed: 10 * time.Second,
		})
		_, err := d.Dial("tcp", "db:5432")
		require.Error(t, err)
		span := s.only()
		assert.Equal(t, "refused", attrs(span.Attributes())["error.type"])
		require.Len(t, s.steps(span), 2)
		assert.Equal(t, "timeout", attrs(s.steps(span)[1].Attributes())["error.type"])
	})
}

func TestTargets(t *testing.T) {
	host := func(kv ...any) map[string]any {
		m := map[string]any{"redial.dialer.name": "db", "redial.outcome": "ok", "redial.attempt.count": int64(1)}
		for i := 0; i < len(kv); i += 2 {
			if n, ok := kv[i+1].(int); ok {
				kv[i+1] = int64(n)
			}
			m[kv[i].(string)] = kv[i+1]
		}
		return m
	}
	for _, tt := range []struct {
		network, address string
		want             map[string]any
	}{
		{"tcp", "db.example:5432", host("server.address", "db.example", "server.port", 5432, "network.transport", "tcp")},
		{"tcp", "db.example.:http", host("server.address", "db.example.", "network.transport", "tcp")},
		{"tcp", ":80", host("server.port", 80, "network.transport", "tcp")},
		{"tcp", "", host("network.transport", "tcp")},
		{"tcp", "bücher.example:443", host("server.address", "bücher.example", "server.port", 443, "network.transport", "tcp")},
		{"tcp4", "db:1", host("server.address", "db", "server.port", 1, "network.transport", "tcp", "network.type", "ipv4")},
		{"tcp", "192.0.2.1:80", host("server.address", "192.0.2.1", "server.port", 80, "network.transport", "tcp", "network.type", "ipv4")},
		{"tcp", "[2001:db8::1]:80", host("server.address", "2001:db8::1", "server.port", 80, "network.transport", "tcp", "network.type", "ipv6")},
		{"tcp", "[::ffff:192.0.2.1]:80", host("server.address", "::ffff:192.0.2.1", "server.port", 80, "network.transport", "tcp", "network.type", "ipv4")},
		{"tcp6", "[fe80::1%eth0]:80", host("server.address", "fe80::1%eth0", "server.port", 80, "network.transport", "tcp", "network.type", "ipv6")},
		{"udp", "192.0.2.1:53", host("server.address", "192.0.2.1", "server.port", 53, "network.transport", "udp", "network.type", "ipv4")},
		{"udp6", "dns:53", host("server.address", "dns", "server.port", 53, "network.transport", "udp", "network.type", "ipv6")},
		{"ip4:icmp", "192.0.2.1", host("server.address", "192.0.2.1", "network.type", "ipv4")},
		{"ip", "2001:db8::1", host("server.address", "2001:db8::1", "network.type", "ipv6")},
		{"unix", "/run/db.sock", host("server.address", "/run/db.sock", "network.transport", "unix")},
		{"unixgram", "@abstract", host("server.address", "@abstract", "network.transport", "unix")},
		{"unix", "", host("network.transport", "unix")},
		{"tcp", "db\xff:80", host("server.port", 80, "network.transport", "tcp")},
		{"tcp", "db:99999", host("server.address", "db", "network.transport", "tcp")},
		{"tcp", "db:-1", host("server.address", "db", "network.transport", "tcp")},
		{"tcp", "[fe80::1%\xff]:80", host("server.address", "fe80::1%", "server.port", 80, "network.transport", "tcp", "network.type", "ipv6")},
		{"unix", "/run/\xff.sock", host("server.address", "/run/.sock", "network.transport", "unix")},
		// What Do may be called with.
		{"tcp", "db", host("server.address", "db", "network.transport", "tcp")},
		{"postgres", "orders", host("server.address", "orders")},
		{"amqp", "amqp://user:secret@mq:5672/vhost", host("server.address", "mq", "server.port", 5672)},
		{"amqp", "amqp://[2001:db8::1]:5672", host("server.address", "2001:db8::1", "server.port", 5672, "network.type", "ipv6")},
		{"amqp", "amqp://%zz", host()},
		{"amqp", "amqp://user:12/secret@mq:5672/vhost", host()},
		{"amqp", "amqp://to/ken@mq:5672/vhost", host()},
		{"http", "https://files.example/@scope/name", host()},
		{"tcp", "user:secret@db:5432", host("server.address", "db", "server.port", 5432, "network.transport", "tcp")},
		{"mysql", "user:secret@tcp(db:3306)/shop", host()},
		{"postgres", "host=db password=secret", host()},
		{"", "", host()},
		{"tcp", strings.Repeat("x", 300) + ":80", host("server.port", 80, "network.transport", "tcp")},
	} {
		t.Run(tt.network+" "+tt.address, func(t *testing.T) {
			s := newSink(t)
			_, err := redial.Do(t.Context(), s.instrument(&redial.Dialer{}), tt.network, tt.address,
				func(context.Context) (int, error) { return 1, nil })
			require.NoError(t, err)
			assert.Equal(t, tt.want, attrs(s.only().Attributes()))
		})
	}
}

// No span has the password of an address that Do was given.
func TestSpansHideUserinfo(t *testing.T) {
	s := newSink(t)
	_, err := redial.Do(t.Context(), s.instrument(&redial.Dialer{MaxAttempts: 2, Policy: redial.Policy{redial.Refused: after(0)}}), "amqp", "amqp://user:secret@mq:5672/",
		func(context.Context) (int, error) { return 0, errors.Join(errors.New("login"), refusal()) })
	require.Error(t, err)
	span := s.named("dial db")
	assert.Contains(t, span.Status().Description, "amqp://...@mq:5672/")
	assert.NotContains(t, fmt.Sprint(span.Status(), span.Attributes(), s.steps(span)), "secret")

	// Package net's error has the address in its text.
	_, err = s.instrument(&redial.Dialer{MaxAttempts: 1}).DialContext(t.Context(), "tcp", "amqp://user:secret@mq:5672/")
	require.Error(t, err)
	for _, span := range s.spans.Ended() {
		assert.NotContains(t, span.Status().Description, "secret")
	}
}

func TestNetworks(t *testing.T) {
	t.Run("unix", func(t *testing.T) {
		s := newSink(t)
		path := filepath.Join(t.TempDir(), "s")
		testutil.Listen(t, "unix", path, testutil.Echo)
		conn, err := s.instrument(&redial.Dialer{}).DialUnix(t.Context(), "unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		require.NoError(t, err)
		conn.Close()
		got := attrs(s.only().Attributes())
		assert.Equal(t, path, got["server.address"])
		assert.Equal(t, path, got["network.peer.address"])
		assert.Equal(t, "unix", got["network.transport"])
		assert.NotContains(t, got, "network.type")
		assert.NotContains(t, got, "network.peer.port")
		assert.Equal(t, 1.0, s.metrics()["redial.attempt.addresses{network.transport=unix,outcome=ok}"])
	})
	t.Run("udp", func(t *testing.T) {
		s := newSink(t)
		conn, err := s.instrument(&redial.Dialer{}).DialUDP(t.Context(), "udp", netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:53"))
		require.NoError(t, err)
		conn.Close()
		got := attrs(s.only().Attributes())
		assert.Equal(t, "udp", got["network.transport"])
		assert.Equal(t, "127.0.0.1", got["network.peer.address"])
		assert.EqualValues(t, 53, got["network.peer.port"])
		assert.Equal(t, 1.0, s.metrics()["redial.attempt.addresses{network.type=ipv4,outcome=ok}"])
	})
	t.Run("ipv6", func(t *testing.T) {
		listener, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			t.Skip("no IPv6: ", err)
		}
		defer listener.Close()
		s := newSink(t)
		conn, err := s.instrument(&redial.Dialer{}).Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		conn.Close()
		got := attrs(s.only().Attributes())
		assert.Equal(t, "::1", got["server.address"])
		assert.Equal(t, "::1", got["network.peer.address"])
		assert.Equal(t, "ipv6", got["network.type"])
		assert.Equal(t, 1.0, s.metrics()["redial.attempt.addresses{network.type=ipv6,outcome=ok}"])
	})
	t.Run("no address", func(t *testing.T) {
		s := newSink(t)
		conn, err := s.instrument(&redial.Dialer{}).DialUDP(t.Context(), "udp", netip.AddrPort{}, netip.AddrPort{})
		if err == nil { // it depends on the system
			conn.Close()
		}
		assert.NotContains(t, attrs(s.only().Attributes()), "server.address") // "invalid AddrPort"
	})
	t.Run("refused literal", func(t *testing.T) {
		s := newSink(t)
		_, err := s.instrument(&redial.Dialer{MaxAttempts: 1}).Dial("tcp", testutil.RefusingAddress(t, "tcp"))
		require.Error(t, err)
		assert.Equal(t, "refused", attrs(s.only().Attributes())["error.type"])
		assert.NotContains(t, attrs(s.only().Attributes()), "network.peer.address")
		assert.Equal(t, 1.0, s.metrics()["redial.attempt.addresses{error.type=refused,network.type=ipv4,outcome=failed}"])
	})
	t.Run("zone and foreign peers", func(t *testing.T) {
		for addr, want := range map[net.Addr]any{
			&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}: "fe80::1%eth0",
			&net.IPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}:           "fe80::1%eth0",
			&net.IPAddr{IP: net.ParseIP("192.0.2.1")}:                       "192.0.2.1",
			&net.UDPAddr{}:           nil,
			(*net.TCPAddr)(nil):      nil,
			(*net.UDPAddr)(nil):      nil,
			(*net.IPAddr)(nil):       nil,
			(*net.UnixAddr)(nil):     nil,
			&net.UnixAddr{}:          nil,
			foreignAddr("192.0.2.1"): nil,
		} {
			s := newSink(t)
			client, server := net.Pipe()
			server.Close()
			d := s.instrument(&redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) {
				return connTo{client, addr}, nil
			}})
			conn, err := d.Dial("tcp", "db:1")
			require.NoError(t, err)
			conn.Close()
			assert.Equal(t, want, attrs(s.only().Attributes())["network.peer.address"], "%T", addr)
		}
	})
}

type foreignAddr string

func (foreignAddr) Network() string  { return "tunnel" }
func (a foreignAddr) String() string { return string(a) }

// connTo is a connection with a remote address of the test's choice.
type connTo struct {
	net.Conn
	remote net.Addr
}

func (c connTo) RemoteAddr() net.Addr { return c.remote }

func TestSpanNames(t *testing.T) {
	for network, want := range map[string]string{"tcp4": "dial tcp", "udp": "dial udp", "unixpacket": "dial unix", "amqp": "dial"} {
		s := newSink(t)
		d := &redial.Dialer{}
		s.telemetry("").Instrument(d)
		_, err := redial.Do(t.Context(), d, network, "x", func(context.Context) (int, error) { return 1, nil })
		require.NoError(t, err)
		assert.NotContains(t, attrs(s.named(want).Attributes()), "redial.dialer.name")
	}
}

// Exporters refuse what is not UTF-8.
func TestTextOfPeers(t *testing.T) {
	for name, text := range map[string]string{
		"not UTF-8": "proxy says \xff\xfe",
		"long":      strings.Repeat("x", maxMessage-4) + strings.Repeat("ü", 1000),
		"short":     strings.Repeat("x", maxMessage),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t)
			_, err := s.instrument(&redial.Dialer{DialFunc: failing(errors.New(text)), MaxAttempts: 1}).Dial("tcp", "db:1")
			require.EqualError(t, err, text)
			span := s.only()
			for _, got := range []string{span.Status().Description, s.steps(span)[0].Status().Description} {
				assert.True(t, utf8.ValidString(got))
				assert.LessOrEqual(t, len(got), maxMessage)
				assert.Equal(t, len(text) > maxMessage, strings.HasSuffix(got, "..."))
				assert.Equal(t, text[:8], got[:8])
			}
		})
	}
}

// A nil pointer within an error does not make the dial panic.
func TestErrorThatPanics(t *testing.T) {
	s := newSink(t)
	broken := &net.OpError{Op: "dial", Net: "tcp", Err: (*os.SyscallError)(nil)}
	_, err := s.instrument(&redial.Dialer{DialFunc: failing(broken), MaxAttempts: 1}).Dial("tcp", "db:1")
	require.Error(t, err)
	assert.Contains(t, s.only().Status().Description, "PANIC")
}

// No error, however broken, makes the hooks panic.
func TestHostileErrors(t *testing.T) {
	for _, hostile := range testutil.HostileErrors() {
		t.Run(hostile.Name, func(t *testing.T) {
			s := newSink(t)
			d := s.instrument(&redial.Dialer{})
			for _, err := range []error{hostile.Err, &net.OpError{Op: "dial", Err: hostile.Err}} {
				ctx, ended := d.OnDial(t.Context(), "tcp", "db:1")
				assert.NotPanics(t, func() {
					d.OnAttempt(ctx, redial.Attempt{Number: 1, Err: err, Stop: redial.ErrPermanent})
					d.OnAttempt(ctx, redial.Attempt{Number: 2, Err: err, Addrs: []redial.AddrResult{{Err: err}}})
					ended(redial.Result{Err: err, Stop: redial.ErrPermanent})
				})
			}
			require.Len(t, s.dials(), 2)
			for _, span := range s.dials() {
				assert.Len(t, s.steps(span), 3)
				assert.Equal(t, codes.Error, span.Status().Code)
				assert.Equal(t, "permanent", attrs(span.Attributes())["redial.dial.stop_reason"])
			}
		})
	}
}

// An attempt whose look-up had a query without an answer says which.
func TestUnansweredQueries(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{})
	ctx, ended := d.OnDial(t.Context(), "tcp", "db:1")
	d.OnAttempt(ctx, redial.Attempt{Number: 1, Start: time.Now().Add(-time.Hour), Resolve: time.Second, Unanswered: "AAAA", Err: refusal(), Class: redial.Refused})
	d.OnAttempt(ctx, redial.Attempt{Number: 2, Resolve: time.Second})
	ended(redial.Result{Attempts: 2})
	lookups := s.steps(s.only())
	assert.Equal(t, "AAAA", attrs(lookups[0].Attributes())["redial.dns.unanswered"])
	assert.NotContains(t, attrs(lookups[1].Attributes()), "redial.dns.unanswered")
	assert.Equal(t, time.Second, lookups[0].EndTime().Sub(lookups[0].StartTime()), "it began and ended in the past")
}

const maxMessage = 256 // as in redialotel

// countingError counts how often its text is asked for.
type countingError struct{ asked *int }

func (e countingError) Error() string {
	*e.asked++
	return "counted"
}

func TestUnsampled(t *testing.T) {
	for _, sampled := range []bool{true, false} {
		sampler := sdktrace.NeverSample()
		if sampled {
			sampler = sdktrace.AlwaysSample()
		}
		s := newSink(t, sdktrace.WithSampler(sampler))
		asked := 0
		d := s.instrument(&redial.Dialer{DialFunc: failing(countingError{&asked}), MaxAttempts: 1})
		_, err := d.Dial("tcp", "db:1")
		require.Error(t, err)
		assert.Equal(t, sampled, len(s.dials()) == 1)
		assert.Equal(t, sampled, len(s.spans.Started()) > 0)
		assert.Equal(t, sampled, asked > 0, "asked for the text %d times", asked)
		assert.Equal(t, 1.0, s.metrics()["redial.attempt.duration{error.type=unknown,outcome=failed}"])
	}
}

// A sampler sees where the dial leads.
func TestSamplerSeesTarget(t *testing.T) {
	sampler := &askedSampler{Sampler: sdktrace.AlwaysSample()}
	s := newSink(t, sdktrace.WithSampler(sampler))
	_, err := s.instrument(&redial.Dialer{DialFunc: failing(refusal()), MaxAttempts: 1}).Dial("tcp", "db:5432")
	require.Error(t, err)
	require.Len(t, sampler.asked, 2)
	sampled := sampler.asked[0]
	assert.Equal(t, "dial db", sampled.Name)
	assert.Equal(t, trace.SpanKindUnspecified, sampled.Kind, "internal")
	assert.Equal(t, map[string]any{"server.address": "db", "server.port": int64(5432), "network.transport": "tcp"}, attrs(sampled.Attributes))
}

type askedSampler struct {
	sdktrace.Sampler
	asked []sdktrace.SamplingParameters
}

func (s *askedSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s.asked = append(s.asked, p)
	return s.Sampler.ShouldSample(p)
}

func TestChaining(t *testing.T) {
	type key string
	var calls []string
	note := func(format string, args ...any) { calls = append(calls, fmt.Sprintf(format, args...)) }
	s := newSink(t)
	d := &redial.Dialer{
		DialFunc: failing(refusal()),
		Policy:   redial.Policy{},
		OnDial: func(ctx context.Context, network, address string) (context.Context, func(redial.Result)) {
			note("begin %s %s", network, address)
			return context.WithValue(ctx, key("mine"), true), func(r redial.Result) { note("end %v", r.Stop == redial.ErrPermanent) }
		},
		OnAttempt: func(ctx context.Context, a redial.Attempt) {
			note("attempt %d %v %v", a.Number, ctx.Value(key("mine")), trace.SpanContextFromContext(ctx).IsValid())
		},
	}
	s.instrument(d)
	s.telemetry("second").Instrument(d)
	_, err := d.Dial("tcp", "db:1")
	require.Error(t, err)
	assert.Equal(t, []string{"begin tcp db:1", "attempt 1 true true", "end true"}, calls)

	first, second := s.named("dial db"), s.named("dial second")
	assert.Equal(t, first.SpanContext().SpanID(), second.Parent().SpanID())
	assert.Equal(t, []string{"connect"}, s.stepNames(first))
	assert.Equal(t, []string{"connect"}, s.stepNames(second))
}

// The functions already set may return nil for both results.
func TestChainingNils(t *testing.T) {
	s := newSink(t)
	d := &redial.Dialer{
		DialFunc: failing(refusal()),
		Policy:   redial.Policy{},
		OnDial:   func(context.Context, string, string) (context.Context, func(redial.Result)) { return nil, nil },
	}
	ctx, root := s.root(t.Context())
	_, err := s.instrument(d).DialContext(ctx, "tcp", "db:1")
	require.Error(t, err)
	assert.Equal(t, root.SpanContext().SpanID(), s.named("dial db").Parent().SpanID())
}

// A panic in a function already set ends the span all the same.
func TestChainedPanics(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{
		DialFunc:  failing(refusal()),
		OnAttempt: func(context.Context, redial.Attempt) { panic("attempt") },
	})
	assert.Panics(t, func() { d.Dial("tcp", "db:1") })
	span := s.only()
	assert.Equal(t, codes.Error, span.Status().Code)
	assert.Equal(t, []string{"connect"}, s.stepNames(span))
	assert.NotContains(t, s.metrics(), "redial.dial.active{}")
}

// OnDial replaced after Instrument: no span, but no wrong one either.
func TestOnDialReplaced(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{DialFunc: failing(refusal()), Policy: redial.Policy{}})
	d.OnDial = nil
	_, err := d.Dial("tcp", "db:1")
	require.Error(t, err)
	assert.Empty(t, s.spans.Started())
	assert.Equal(t, 1.0, s.metrics()["redial.attempt.duration{error.type=refused,outcome=failed}"])
}

// Without a tracer, the metrics lead to the caller's span.
func TestMetricsOnly(t *testing.T) {
	s := newSink(t)
	d := &redial.Dialer{
		DialFunc: failing(refusal()),
		Policy:   redial.Policy{},
	}
	redialotel.New(redialotel.Opts{Name: "db", TracerProvider: noop.NewTracerProvider(), MeterProvider: s.meters}).Instrument(d)
	ctx, root := s.root(t.Context())
	var within trace.Span
	d.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		within = trace.SpanFromContext(ctx)
		return nil, refusal()
	}
	_, err := d.DialContext(ctx, "tcp", "db:1")
	require.Error(t, err)
	assert.Equal(t, root, within)
	assert.Len(t, s.spans.Started(), 1)
	assert.Equal(t, 1.0, s.metrics()["redial.dial.duration{dial.stop_reason=permanent,error.type=refused,outcome=failed}"])
}

var globalsSet bool

// A program may set the providers after it has made its Dialers.
func TestGlobals(t *testing.T) {
	if globalsSet { // by an earlier run, with -count
		t.Skip("a process sets its providers once")
	}
	globalsSet = true
	d := &redial.Dialer{DialFunc: failing(refusal()), Policy: redial.Policy{}}
	redialotel.New(redialotel.Opts{Name: "db"}).Instrument(d)
	_, err := d.Dial("tcp", "db:1") // nobody listens yet
	require.Error(t, err)

	s := newSink(t)
	otel.SetTracerProvider(s.tracers)
	otel.SetMeterProvider(s.meters)
	_, err = d.Dial("tcp", "db:1")
	require.Error(t, err)
	assert.Equal(t, codes.Error, s.only().Status().Code)
	assert.Equal(t, 1.0, s.metrics()["redial.dial.duration{dial.stop_reason=permanent,error.type=refused,outcome=failed}"])
}

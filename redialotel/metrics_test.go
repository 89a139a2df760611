package redialotel_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
	"github.com/seed-33f8b841/redial/redialotel"
)

func TestMetrics(t *testing.T) {
	s := newSink(t)
	address := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo).Addr().String()
	refuse := true
	d := s.instrument(&redial.Dialer{MaxAttempts: 2})
	d.Verify = func(context.Context, net.Conn) error {
		assert.Equal(t, 1.0, s.metrics()["redial.dial.active{}"])
		if refuse {
			refuse = false
			return refusal()
		}
		return nil
	}
	for range 2 {
		conn, err := d.Dial("tcp", address)
		require.NoError(t, err)
		conn.Close()
	}
	_, err := d.Dial("tcp", testutil.RefusingAddress(t, "tcp"))
	require.Error(t, err)

	assert.Equal(t, map[string]float64{
		"redial.dial.duration{outcome=ok}": 2,
		"redial.dial.duration{dial.stop_reason=max_attempts,error.type=refused,outcome=failed}": 1,
		"redial.attempt.duration{outcome=ok}":                                                   2,
		"redial.attempt.duration{error.type=refused,outcome=failed}":                            3,
		"redial.attempt.addresses{network.type=ipv4,outcome=ok}":                                2,
		"redial.attempt.addresses{error.type=refused,network.type=ipv4,outcome=failed}":         2,
	}, s.metrics())
}

func TestInstruments(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{})
	d.OnAttempt(t.Context(), redial.Attempt{Shared: true})
	d.OnLost(t.Context(), redial.Loss{Err: io.EOF, Class: redial.Reset, Lasted: time.Hour})
	conn, err := d.Dial("tcp", testutil.Listen(t, "tcp", "localhost:0", testutil.Echo).Addr().String())
	require.NoError(t, err)
	conn.Close()
	_, port, err := net.SplitHostPort(testutil.RefusingAddress(t, "tcp"))
	require.NoError(t, err)
	d.Policy = redial.Policy{}
	_, err = d.Dial("tcp", "localhost:"+port)
	require.Error(t, err)

	assert.Equal(t, 1.0, s.metrics()["redial.lookup.duration{outcome=ok}"], "what came after it failed")
	units := map[string]string{
		"redial.dial.active":       "{dial}",
		"redial.dial.duration":     "s",
		"redial.attempt.duration":  "s",
		"redial.attempt.addresses": "{address}",
		"redial.lookup.duration":   "s",
		"redial.gate.failures":     "{failure}",

		"redial.connection.duration": "s",
	}
	span := s.dials()[0]
	for _, m := range s.collect() {
		assert.Equal(t, units[m.Name], m.Unit, m.Name)
		assert.True(t, strings.HasSuffix(m.Description, "."), m.Name)
		delete(units, m.Name)
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			assert.Equal(t, m.Name != "redial.dial.active", data.IsMonotonic, m.Name)
		case metricdata.Histogram[float64]:
			point := data.DataPoints[0]
			if m.Name == "redial.connection.duration" {
				assert.Equal(t, []float64{0.1, 1, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400}, point.Bounds)
				assert.Equal(t, 3600.0, point.Sum)
				continue
			}
			assert.Equal(t, []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}, point.Bounds)
			assert.Less(t, point.Sum, 10.0, "seconds")
			require.NotEmpty(t, point.Exemplars, m.Name) // a histogram leads to the trace of a dial
			if m.Name == "redial.dial.duration" && point.Attributes.Len() == 2 {
				id := span.SpanContext().SpanID()
				assert.Equal(t, id[:], point.Exemplars[0].SpanID)
			}
		}
	}
	assert.Empty(t, units, "not collected")
}

func TestAddressOutcomes(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{})
	ctx, ended := d.OnDial(t.Context(), "tcp", "db:5432")
	addr := netip.MustParseAddrPort("[2001:db8::1]:5432")
	d.OnAttempt(ctx, redial.Attempt{Number: 1, Addrs: []redial.AddrResult{
		{Addr: addr, Err: context.Canceled, Class: redial.Canceled}, // another one won
		{Addr: addr, Err: refusal(), Class: 200},                    // of a later version
		{Addr: addr},
	}})
	ended(redial.Result{Attempts: 1})
	points := s.metrics()
	for _, of := range []string{"network.type=ipv6,outcome=canceled", "error.type=unknown,network.type=ipv6,outcome=failed", "network.type=ipv6,outcome=ok"} {
		assert.Equal(t, 1.0, points["redial.attempt.addresses{"+of+"}"], of)
	}
	steps := s.steps(s.only())
	require.Len(t, steps, 4, "with the look-up")
	assert.Equal(t, "canceled", attrs(steps[1].Attributes())["redial.outcome"])
	assert.NotContains(t, attrs(steps[1].Attributes()), "error.type")
	assert.Equal(t, codes.Unset, steps[1].Status().Code)
}

// Whatever is dialed, the attributes of metrics have few values.
func TestMetricAttributesAreBounded(t *testing.T) {
	s := newSink(t)
	d := s.instrument(&redial.Dialer{Classifier: func(error) redial.Class { return 99 }, Policy: redial.Policy{}})
	for _, address := range []string{"a:1", "b:2", "/c", "[2001:db8::1]:1", "d"} {
		for _, network := range []string{"tcp", "unix", address} {
			_, err := redial.Do(t.Context(), d, network, address, func(context.Context) (int, error) { return 0, errors.New(address) })
			require.Error(t, err)
		}
	}
	assert.Equal(t, map[string]float64{
		"redial.dial.duration{dial.stop_reason=permanent,error.type=unknown,outcome=failed}": 15,
		"redial.attempt.duration{error.type=unknown,outcome=failed}":                         15,
	}, s.metrics())
}

// brokenMeters makes no instruments.
type brokenMeters struct{ metricnoop.MeterProvider }

func (brokenMeters) Meter(string, ...metric.MeterOption) metric.Meter { return brokenMeter{} }

type brokenMeter struct{ metricnoop.Meter }

var errBroken = errors.New("broken")

func (brokenMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, errBroken
}

func (brokenMeter) Int64UpDownCounter(string, ...metric.Int64UpDownCounterOption) (metric.Int64UpDownCounter, error) {
	return nil, errBroken
}

func (brokenMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, errBroken
}

func TestBrokenMeter(t *testing.T) {
	before := otel.GetErrorHandler()
	defer otel.SetErrorHandler(before)
	handled := 0
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		assert.ErrorIs(t, err, errBroken)
		handled++
	}))
	s := newSink(t)
	d := &redial.Dialer{DialFunc: failing(refusal()), Policy: redial.Policy{}}
	redialotel.New(redialotel.Opts{Name: "db", TracerProvider: s.tracers, MeterProvider: brokenMeters{}}).Instrument(d)
	_, err := d.Dial("tcp", "db:1")
	require.Error(t, err)
	assert.Equal(t, 7, handled)
	assert.Len(t, s.steps(s.only()), 1)
}

// Lost connections count with the class of their end, or as canceled.
func TestLostConnections(t *testing.T) {
	s := newSink(t)
	ctx, cancel := context.WithCancel(t.Context())
	lost := 0
	d := s.instrument(&redial.Dialer{
		Policy: redial.Policy{redial.Reset: after(time.Millisecond, time.Millisecond, time.Millisecond)},
		OnLost: func(context.Context, redial.Loss) { lost++ },
	})
	err := redial.Reconnect(ctx, d, "tcp", "db:1", func(context.Context) (int, error) { return 7, nil }, func(context.Context, int) error {
		if lost == 2 {
			cancel()
		}
		return io.EOF
	})
	require.ErrorIs(t, err, redial.ErrCanceled)
	assert.Equal(t, 3, lost, "the hook that was there")
	got := s.metrics()
	assert.Equal(t, 2.0, got["redial.connection.duration{error.type=reset,outcome=failed}"])
	assert.Equal(t, 1.0, got["redial.connection.duration{outcome=canceled}"])
}

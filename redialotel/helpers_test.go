package redialotel_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/redialotel"
)

// A sink keeps what a Telemetry produces.
type sink struct {
	t       *testing.T
	spans   *tracetest.SpanRecorder
	tracers trace.TracerProvider
	reader  *sdkmetric.ManualReader
	meters  metric.MeterProvider
}

func newSink(t *testing.T, options ...sdktrace.TracerProviderOption) *sink {
	s := &sink{t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	s.tracers = sdktrace.NewTracerProvider(append(options, sdktrace.WithSpanProcessor(s.spans))...)
	s.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader))
	return s
}

// telemetry returns a new Telemetry that writes to the sink.
func (s *sink) telemetry(name string) *redialotel.Telemetry {
	return redialotel.New(redialotel.Opts{Name: name, TracerProvider: s.tracers, MeterProvider: s.meters})
}

// instrument instruments d, silences it, and returns it.
func (s *sink) instrument(d *redial.Dialer) *redial.Dialer {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	s.telemetry("db").Instrument(d)
	return d
}

// only returns the span of the only dial. There may be no other spans but its steps.
func (s *sink) only() sdktrace.ReadOnlySpan {
	s.t.Helper()
	span := s.named("dial db")
	require.Len(s.t, s.spans.Started(), 1+len(s.steps(span)))
	return span
}

// steps returns the spans of the look-ups and connects of a dial, in the order in which they were reported.
func (s *sink) steps(dial sdktrace.ReadOnlySpan) (steps []sdktrace.ReadOnlySpan) {
	for _, span := range s.spans.Ended() {
		if isStep(span) && span.Parent().SpanID() == dial.SpanContext().SpanID() {
			assert.Equal(s.t, trace.SpanKindInternal, span.SpanKind())
			assert.Empty(s.t, span.Events(), "span events are deprecated")
			steps = append(steps, span)
		}
	}
	return steps
}

func (s *sink) stepNames(dial sdktrace.ReadOnlySpan) (names []string) {
	for _, step := range s.steps(dial) {
		names = append(names, step.Name())
	}
	return names
}

// dials returns the spans that have ended and are no steps.
func (s *sink) dials() []sdktrace.ReadOnlySpan { return slices.DeleteFunc(s.spans.Ended(), isStep) }

func isStep(span sdktrace.ReadOnlySpan) bool {
	return span.Name() == "lookup" || span.Name() == "connect"
}

// named returns the only span of that name that has ended.
func (s *sink) named(name string) sdktrace.ReadOnlySpan {
	s.t.Helper()
	var found []sdktrace.ReadOnlySpan
	for _, span := range s.spans.Ended() {
		if span.Name() == name {
			found = append(found, span)
		}
	}
	require.Len(s.t, found, 1, name)
	return found[0]
}

// root starts a span for the caller of a dial.
func (s *sink) root(ctx context.Context) (context.Context, trace.Span) {
	return s.tracers.Tracer("test").Start(ctx, "caller")
}

// metrics returns the points of all metrics, of a histogram the count, by name and
// attributes: "redial.dial.duration{outcome=ok}". It leaves out the Name, which all must
// have.
func (s *sink) metrics() map[string]float64 {
	s.t.Helper()
	points := make(map[string]float64)
	add := func(name string, set attribute.Set, value float64) {
		var attrs []string
		for _, kv := range set.ToSlice() {
			if kv.Key == "redial.dialer.name" {
				assert.Equal(s.t, "db", kv.Value.AsString())
				continue
			}
			attrs = append(attrs, strings.TrimPrefix(string(kv.Key), "redial.")+"="+kv.Value.String())
		}
		slices.Sort(attrs)
		assert.True(s.t, set.HasValue("redial.dialer.name"), name)
		if value != 0 {
			points[name+"{"+strings.Join(attrs, ",")+"}"] = value
		}
	}
	for _, m := range s.collect() {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				add(m.Name, p.Attributes, float64(p.Value))
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				add(m.Name, p.Attributes, float64(p.Count))
			}
		default:
			require.Fail(s.t, "unexpected metric", "%s %T", m.Name, data)
		}
	}
	return points
}

func (s *sink) collect() []metricdata.Metrics {
	s.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(s.t, s.reader.Collect(context.Background(), &all))
	if len(all.ScopeMetrics) == 0 {
		return nil
	}
	require.Len(s.t, all.ScopeMetrics, 1)
	assert.Equal(s.t, "github.com/seed-33f8b841/redial/redialotel", all.ScopeMetrics[0].Scope.Name)
	return all.ScopeMetrics[0].Metrics
}

// attrs returns attributes as a map.
func attrs(all []attribute.KeyValue) map[string]any {
	m := make(map[string]any, len(all))
	for _, kv := range all {
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return m
}

// after returns the schedule of a Policy: the given delays, then the end.
func after(delays ...time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return &fixed{slices.Clone(delays)} }
}

type fixed struct{ left []time.Duration }

func (f *fixed) Reset() {}

func (f *fixed) NextBackOff() time.Duration {
	if len(f.left) == 0 {
		return backoff.Stop
	}
	delay := f.left[0]
	f.left = f.left[1:]
	return delay
}

// refusal is the error of a DialFunc whose target refuses.
func refusal() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno.ConnectionRefused.Err())}
}

// failing returns a DialFunc that always fails with err.
func failing(err error) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

// hostPort splits the address of a listener.
func hostPort(t *testing.T, address string) (string, int) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var n int
	_, err = fmt.Sscan(port, &n)
	require.NoError(t, err)
	return host, n
}

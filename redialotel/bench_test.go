package redialotel_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
	"github.com/seed-33f8b841/redial/redialotel"
)

// providers are the pairs of providers that the benchmarks compare. The exporter of "SDK"
// drops the spans, in batches.
func providers(b *testing.B) map[string]redialotel.Opts {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	tracers := func(sampler sdktrace.Sampler) trace.TracerProvider {
		p := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithBatcher(tracetest.NewNoopExporter()))
		b.Cleanup(func() { p.Shutdown(context.Background()) })
		return p
	}
	opts := func(t trace.TracerProvider, m metric.MeterProvider) redialotel.Opts {
		return redialotel.Opts{Name: "bench", TracerProvider: t, MeterProvider: m}
	}
	return map[string]redialotel.Opts{
		"noop":      opts(tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider()),
		"global":    opts(nil, nil),
		"unsampled": opts(tracers(sdktrace.NeverSample()), meters),
		"SDK":       opts(tracers(sdktrace.AlwaysSample()), meters),
	}
}

// dialAndDrop connects and resets the connection. A closed connection would keep its port in
// TIME_WAIT, and the ports would run out.
func dialAndDrop(b *testing.B, d *redial.Dialer, address string) {
	conn, err := d.DialContext(context.Background(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// BenchmarkDial compares an instrumented Dialer with a bare one, on loopback. It alternates
// between the two, so that the machine's noise is the same for both, and reports the difference
// of the medians.
func BenchmarkDial(b *testing.B) {
	address := testutil.Listen(b, "tcp", "127.0.0.1:0", func(net.Conn) {}).Addr().String()
	bare := &redial.Dialer{Logger: zap.NewNop()}
	for name, opts := range providers(b) {
		b.Run(name, func(b *testing.B) {
			instrumented := &redial.Dialer{Logger: zap.NewNop()}
			redialotel.New(opts).Instrument(instrumented)
			dialers := [2]*redial.Dialer{bare, instrumented}
			var took [2][]time.Duration
			for i := 0; b.Loop(); i++ {
				for j := range dialers {
					which := (i + j) % 2 // each is first in every other round
					start := time.Now()
					dialAndDrop(b, dialers[which], address)
					took[which] = append(took[which], time.Since(start))
				}
			}
			for i := range took {
				slices.Sort(took[i])
			}
			without, with := took[0][len(took[0])/2], took[1][len(took[1])/2]
			b.ReportMetric(float64(without), "ns-bare/op")
			b.ReportMetric(float64(with-without), "ns-more/op")
			b.ReportMetric(100*float64(with-without)/float64(without), "%-more")
		})
	}
}

// BenchmarkDialFunc measures what an instrumented Dialer costs beside an inner dialer that returns
// at once, for a success and for a failure.
func BenchmarkDialFunc(b *testing.B) {
	conn, _ := net.Pipe()
	refused := refusal()
	for outcome, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"ok":      func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		"refused": func(context.Context, string, string) (net.Conn, error) { return nil, refused },
	} {
		run := func(name string, instrument func(*redial.Dialer)) {
			d := &redial.Dialer{DialFunc: dial, Logger: zap.NewNop(), Policy: redial.Policy{}}
			instrument(d)
			b.Run(outcome+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					d.Dial("tcp", "a.test:80")
				}
			})
		}
		run("bare", func(*redial.Dialer) {})
		for name, opts := range providers(b) {
			run(name, redialotel.New(opts).Instrument)
		}
	}
}

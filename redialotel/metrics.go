package redialotel

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/observe"
)

// buckets are the boundaries of the dials' histograms, in seconds: from a dial within the machine
// to the 30 s that a dial takes at most by default.
var buckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// connectionBuckets are the boundaries for connections, from 0.1 s to a day.
var connectionBuckets = []float64{0.1, 1, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600}

// metrics are the instruments, and the attributes that they are used with. There are few
// sets of attributes, so they are made once. The counts of the histograms are the counters of
// dials, attempts and look-ups.
type metrics struct {
	active          metric.Int64UpDownCounter
	dialDuration    metric.Float64Histogram
	attemptDuration metric.Float64Histogram
	lookupDuration  metric.Float64Histogram
	shared          metric.Int64Counter
	addresses       metric.Int64Counter

	connectionDuration metric.Float64Histogram

	all       series
	byOutcome [observe.NumOutcomes]series
	byStop    [observe.NumOutcomes][observe.NumStops]series
	byFamily  [observe.NumOutcomes][observe.NumFamilies]series
}

// A series is a set of attributes in the form in which instruments take it.
type series struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newSeries(attrs []attribute.KeyValue) series {
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	return series{[]metric.AddOption{set}, []metric.RecordOption{set}}
}

func newMetrics(m metric.Meter, name string) metrics {
	var all metrics
	all.instruments(m)
	base := []attribute.KeyValue{} // has no room, so each append copies it
	if name != "" {
		base = []attribute.KeyValue{keyName.String(name)}
	}
	all.all = newSeries(base)
	for o := range observe.NumOutcomes {
		attrs := appendOutcome(base, o)
		attrs = attrs[:len(attrs):len(attrs)]
		all.byOutcome[o] = newSeries(attrs)
		for f := range observe.NumFamilies {
			all.byFamily[o][f] = newSeries(appendFamily(attrs, f))
		}
		all.byFamily[o][observe.Unix] = newSeries(append(attrs, semconv.NetworkTransportUnix))
		for s := range observe.NumStops {
			all.byStop[o][s] = newSeries(append(attrs, keyStop.String(observe.StopName(s))))
		}
	}
	all.byStop[observe.OK][0] = all.byOutcome[observe.OK]
	return all
}

func (m *metrics) instruments(meter metric.Meter) {
	var err error
	if m.active, err = meter.Int64UpDownCounter("redial.dial.active", metric.WithUnit("{dial}"),
		metric.WithDescription("Dials in progress.")); err != nil {
		m.active = noop.Int64UpDownCounter{}
		otel.Handle(err)
	}
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		if err != nil {
			otel.Handle(err)
			return noop.Int64Counter{}
		}
		return c
	}
	histogram := func(name, description string, buckets []float64) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(buckets...))
		if err != nil {
			otel.Handle(err)
			return noop.Float64Histogram{}
		}
		return h
	}
	m.dialDuration = histogram("redial.dial.duration", "Time from the start of a dial to its end, with all attempts and waits.", buckets)
	m.attemptDuration = histogram("redial.attempt.duration", "Duration of an attempt, including name resolution and verification.", buckets)
	m.lookupDuration = histogram("redial.lookup.duration", "Time that an attempt spent resolving the name.", buckets)
	m.addresses = counter("redial.attempt.addresses", "{address}", "Addresses that attempts have tried.")
	m.shared = counter("redial.gate.failures", "{failure}", "Failures of another dial's attempt that dials shared at a Gate instead of connecting.")
	m.connectionDuration = histogram("redial.connection.duration", "Time that a connection lasted before Reconnect lost it.", connectionBuckets)
}

// ended counts a dial that has ended.
func (m *metrics) ended(ctx context.Context, r *redial.Result, o observe.Outcome) {
	m.active.Add(ctx, -1, m.all.add...)
	m.dialDuration.Record(ctx, r.Elapsed.Seconds(), m.byStop[o][r.Stop].record...)
}

// attempted counts an attempt, and what it tried. A shared one opened no socket, and the dial
// that made it has counted it.
func (m *metrics) attempted(ctx context.Context, d *dial, a *redial.Attempt) {
	if a.Shared {
		m.shared.Add(ctx, 1, m.all.add...)
		return
	}
	if d == nil || !d.Nested {
		o := observe.OfAttempt(a)
		m.attemptDuration.Record(ctx, a.Duration.Seconds(), m.byOutcome[o].record...)
	}
	if o, ok := observe.OfLookup(a); ok {
		m.lookupDuration.Record(ctx, a.Resolve.Seconds(), m.byOutcome[o].record...)
	}
	d.EachAddress(a, func(f observe.Family, o observe.Outcome) { m.addresses.Add(ctx, 1, m.byFamily[o][f].add...) })
}

// lost counts a connection that Reconnect has lost.
func (m *metrics) lost(ctx context.Context, l redial.Loss) {
	o := observe.OfLoss(&l)
	m.connectionDuration.Record(ctx, l.Lasted.Seconds(), m.byOutcome[o].record...)
}

package redialotel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/seed-33f8b841/redial"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// buckets are the boundaries of the histograms, in seconds: from a dial within the machine
// to the 30 s that a dial takes at most by default.
var buckets = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// metrics are the instruments, and the attributes that they are used with. There are few
// sets of attributes, so they are made once.
type metrics struct {
	active          metric.Int64UpDownCounter
	dials           metric.Int64Counter
	dialDuration    metric.Float64Histogram
	attempts        metric.Int64Counter
	attemptDuration metric.Float64Histogram
	resolveDuration metric.Float64Histogram
	shared          metric.Int64Counter
	addresses       metric.Int64Counter

	all       series
	byOutcome [numOutcomes]series
	byStop    [numOutcomes][numStops]series
	byFamily  [numOutcomes][numFamilies]series
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
	for o := range numOutcomes {
		attrs := o.append(base)
		all.byOutcome[o] = newSeries(attrs)
		attrs = attrs[:len(attrs):len(attrs)]
		all.byFamily[o] = [numFamilies]series{
			ipv4:  newSeries(append(attrs, semconv.NetworkTypeIPv4)),
			ipv6:  newSeries(append(attrs, semconv.NetworkTypeIPv6)),
			unix:  newSeries(append(attrs, semconv.NetworkTransportUnix)),
			other: newSeries(attrs),
		}
		for s := range numStops {
			all.byStop[o][s] = newSeries(result{o, s}.append(base))
		}
	}
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
	histogram := func(name, description string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(buckets...))
		if err != nil {
			otel.Handle(err)
			return noop.Float64Histogram{}
		}
		return h
	}
	m.dials = counter("redial.dials", "{dial}", "Dials that have ended.")
	m.dialDuration = histogram("redial.dial.duration", "Time from the start of a dial to its end, with all attempts and waits.")
	m.attempts = counter("redial.attempts", "{attempt}", "Attempts that have ended.")
	m.attemptDuration = histogram("redial.attempt.duration", "Duration of an attempt, including name resolution and verification.")
	m.resolveDuration = histogram("redial.resolve.duration", "Time that an attempt spent resolving the name.")
	m.shared = counter("redial.attempts_shared", "{attempt}", "Failures of another dial's attempt that dials shared at a Gate instead of connecting.")
	m.addresses = counter("redial.addresses_tried", "{address}", "Addresses that attempts have tried.")
}

// began counts a dial that begins. It returns the time to pass to ended, or zero if nobody
// wants to know how long dials take.
func (m *metrics) began(ctx context.Context) (now time.Time) {
	m.active.Add(ctx, 1, m.all.add...)
	if m.dialDuration.Enabled(ctx) {
		now = time.Now()
	}
	return now
}

func (m *metrics) ended(ctx context.Context, r result, began time.Time) {
	m.active.Add(ctx, -1, m.all.add...)
	m.dials.Add(ctx, 1, m.byStop[r.outcome][r.stop].add...)
	if !began.IsZero() {
		m.dialDuration.Record(ctx, time.Since(began).Seconds(), m.byOutcome[r.outcome].record...)
	}
}

// attempted counts an attempt. A shared one opened no socket, and the dial that made it has
// counted it.
func (m *metrics) attempted(ctx context.Context, a *redial.Attempt) {
	if a.Shared {
		m.shared.Add(ctx, 1, m.all.add...)
		return
	}
	o := resultOf(a).outcome
	m.attempts.Add(ctx, 1, m.byOutcome[o].add...)
	m.attemptDuration.Record(ctx, a.Duration.Seconds(), m.byOutcome[o].record...)
	if !resolved(a) {
		if f, known := familyOfOnly(a); known {
			m.addresses.Add(ctx, 1, m.byFamily[o][f].add...)
		}
		return
	}
	lookup := o
	if len(a.Addrs) > 0 {
		lookup = ok // whatever came after
	}
	m.resolveDuration.Record(ctx, a.Resolve.Seconds(), m.byOutcome[lookup].record...)
	for i := range a.Addrs {
		r := &a.Addrs[i]
		m.addresses.Add(ctx, 1, m.byFamily[outcomeOf(r)][familyOf(r.Addr.Addr())].add...)
	}
}

// resolved reports whether the attempt resolved a name to race its addresses.
func resolved(a *redial.Attempt) bool {
	return a.Addrs != nil || a.Resolve > 0
}

// outcomeOf returns the outcome of one address. Only an address that was no longer wanted
// is canceled.
func outcomeOf(r *redial.AddrResult) outcome {
	switch {
	case r.Err == nil:
		return ok
	case r.Class == redial.Canceled:
		return gaveUp
	}
	return failureOf(r.Class)
}

// A family is the kind of an address.
type family uint8

const (
	ipv4 family = iota
	ipv6
	unix
	other
	numFamilies
)

func familyOf(ip netip.Addr) family {
	switch ip = ip.Unmap(); {
	case ip.Is4():
		return ipv4
	case ip.Is6():
		return ipv6
	}
	return other
}

// familyOfOnly returns the family of the one address that a has tried, and false if there
// was none or it is not known.
func familyOfOnly(a *redial.Attempt) (family, bool) {
	addr := a.Remote
	if op, isOp := errors.AsType[*net.OpError](a.Err); isOp && op != nil {
		addr = op.Addr
	}
	switch addr.(type) {
	case nil:
		return 0, false
	case *net.UnixAddr:
		return unix, true
	}
	return familyOf(ipOf(addr).Addr()), true
}

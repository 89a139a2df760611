package redialprom

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/observe"
)

// Opts are the options of [New]. The zero value is ready to use.
type Opts struct {
	// Buckets are the upper bounds of the histograms' classic buckets, in seconds, in strictly
	// increasing order. Nil means ten from 1 ms to 30 s, which is the default MaxElapsed of a
	// dial, and ten from 1 s to a day for connections. An empty slice means native buckets only.
	Buckets []float64

	// Exemplar returns the labels of an exemplar for the histograms, such as the trace_id of the
	// span in ctx, or nil for none. Ctx is the context of the dial. The labels may have 128
	// characters together. Nil means no exemplars.
	Exemplar func(ctx context.Context) prometheus.Labels
}

var (
	dialBuckets       = []float64{.001, .005, .025, .1, .25, 1, 2.5, 5, 10, 30}
	connectionBuckets = []float64{1, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600}
)

// A Metrics holds the metrics of the Dialers that it has instrumented. It is a
// prometheus.Collector. A program needs one. Make it with [New]. It can be used concurrently.
type Metrics struct {
	exemplar   func(context.Context) prometheus.Labels
	collectors []prometheus.Collector

	inProgress                                          *prometheus.GaugeVec
	dials, nested, stopped, attempts, shared, addresses *prometheus.CounterVec
	unanswered, lost                                    *prometheus.CounterVec
	dialTime, attemptTime, lookupTime, lasted           *prometheus.HistogramVec

	mu    sync.Mutex // guards named
	named map[string]*dialer
}

// New returns a Metrics that no Dialer reports to yet. It panics if opts.Buckets are not in
// strictly increasing order.
func New(opts Opts) *Metrics {
	prometheus.NewHistogram(prometheus.HistogramOpts{Buckets: opts.Buckets}) // panics now, and not in the first dial
	m := &Metrics{exemplar: opts.Exemplar, named: make(map[string]*dialer)}
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "redial", Name: name, Help: help}, append([]string{"dialer"}, by...))
		m.collectors = append(m.collectors, v)
		return v
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		if opts.Buckets != nil {
			buckets = opts.Buckets
		}
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "redial", Name: name, Help: help,
			Buckets:                         buckets,
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"dialer", "result"})
		m.collectors = append(m.collectors, v)
		return v
	}
	m.dials = counter("dials_total", "Dials that have ended, by outcome: ok or the class of the failure.", "outcome")
	m.nested = counter("nested_dials_total", "Dials within an attempt of a dial that is in dials_total, by outcome.", "outcome")
	m.stopped = counter("dials_stopped_total", "Dials that have failed, by the reason for which they made no other attempt.", "stop")
	m.attempts = counter("attempts_total", "Attempts to connect, by outcome: ok or the class of the failure.", "outcome")
	m.shared = counter("attempts_shared_total", "Failures of another dial's attempt that dials shared at a Gate instead of connecting.")
	m.addresses = counter("addresses_tried_total", "Addresses that attempts have tried, by family and outcome.", "family", "outcome")
	m.unanswered = counter("lookups_unanswered_total", "Look-ups in which a family's DNS query had no answer.", "family")
	m.inProgress = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "redial", Name: "dials_in_progress", Help: "Dials that have begun and not ended, including those that wait.",
	}, []string{"dialer"})
	m.collectors = append(m.collectors, m.inProgress)
	m.dialTime = histogram("dial_duration_seconds", "Time from the start of a dial to its end, including attempts and waits.", dialBuckets)
	m.attemptTime = histogram("attempt_duration_seconds", "Time of an attempt, including name resolution and Verify.", dialBuckets)
	m.lookupTime = histogram("lookup_duration_seconds", "Time that an attempt took to resolve a name.", dialBuckets)
	m.lost = counter("connections_lost_total", "Connections that Reconnect has lost, by the class of the failure.", "outcome")
	m.lasted = histogram("connection_duration_seconds", "Time that a connection lasted before Reconnect lost it.", connectionBuckets)
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range m.collectors {
		c.Describe(descs)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range m.collectors {
		c.Collect(metrics)
	}
}

// Instrument makes d report to m under the name, which is the value of the label dialer. It says what
// is dialed, such as "postgres". Do not use addresses that come and go: each name makes series of
// its own. Several Dialers can have one name.
//
// It sets d.OnDial, d.OnAttempt and d.OnLost to functions that call the ones that were there before.
// Call it once for each Dialer, before the Dialer is used and after its hooks have been set. A copy of
// d made after Instrument reports too.
func (m *Metrics) Instrument(d *redial.Dialer, name string) { m.dialer(name).observer.Instrument(d) }

// A dialer has the metrics of all Dialers of one name.
type dialer struct {
	observer observe.Observer[struct{}]
	exemplar func(context.Context) prometheus.Labels

	inProgress  prometheus.Gauge
	dials       [observe.NumOutcomes]prometheus.Counter
	nested      children[prometheus.Counter]
	stopped     [observe.NumStops]prometheus.Counter
	attempts    [observe.NumOutcomes]prometheus.Counter
	shared      prometheus.Counter
	addresses   [observe.NumFamilies]children[prometheus.Counter]
	unanswered  [observe.NumFamilies]prometheus.Counter
	dialTime    children[prometheus.Observer]
	attemptTime children[prometheus.Observer]
	lookupTime  children[prometheus.Observer]
	lost        [observe.NumOutcomes]prometheus.Counter
	lasted      children[prometheus.Observer]
}

// dialer returns the dialer of that name.
func (m *Metrics) dialer(name string) *dialer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.named[name]; d != nil {
		return d
	}
	d := &dialer{exemplar: m.exemplar, inProgress: m.inProgress.WithLabelValues(name), shared: m.shared.WithLabelValues(name)}
	d.observer = observe.Observer[struct{}]{Began: d.began, Attempted: d.attempted, Ended: d.ended, Lost: d.connectionLost}
	for o := range observe.NumOutcomes {
		d.dials[o] = m.dials.WithLabelValues(name, o.String())
		d.attempts[o] = m.attempts.WithLabelValues(name, o.String())
		if o != observe.OK {
			d.lost[o] = m.lost.WithLabelValues(name, o.String())
		}
	}
	for s := range observe.NumStops {
		d.stopped[s] = m.stopped.WithLabelValues(name, observe.StopName(s))
	}
	for _, f := range []observe.Family{observe.IPv4, observe.IPv6} {
		d.unanswered[f] = m.unanswered.WithLabelValues(name, f.String())
	}
	for f := range observe.NumFamilies {
		d.addresses[f].make = func(o observe.Outcome) prometheus.Counter {
			return m.addresses.WithLabelValues(name, f.String(), o.String())
		}
	}
	d.nested.make = func(o observe.Outcome) prometheus.Counter { return m.nested.WithLabelValues(name, o.String()) }
	times := func(v *prometheus.HistogramVec) func(observe.Outcome) prometheus.Observer {
		return func(o observe.Outcome) prometheus.Observer { return v.WithLabelValues(name, resultOf(o)) }
	}
	d.dialTime.make, d.attemptTime.make, d.lookupTime.make = times(m.dialTime), times(m.attemptTime), times(m.lookupTime)
	d.lasted.make = times(m.lasted)
	m.named[name] = d
	return d
}

// resultOf returns the value of the label result. The histograms have it in place of the outcome,
// because each value costs a series for each bucket.
func resultOf(o observe.Outcome) string {
	if o.IsFailure() {
		return "failed"
	}
	return o.String()
}

func (d *dialer) began(ctx context.Context, _, _ string, nested bool) (context.Context, struct{}) {
	if !nested {
		d.inProgress.Inc()
	}
	return ctx, struct{}{}
}

func (d *dialer) ended(dial *observe.Dial[struct{}], r redial.Result) {
	o := observe.OfDial(&r)
	if dial.Nested {
		d.nested.of(o).Inc()
		return
	}
	d.inProgress.Dec()
	if r.Err != nil {
		d.stopped[r.Stop].Inc()
	}
	d.dials[o].Inc()
	d.observe(dial, d.dialTime.of(o), r.Elapsed)
}

func (d *dialer) attempted(ctx context.Context, dial *observe.Dial[struct{}], a redial.Attempt) {
	if a.Shared {
		d.shared.Inc()
		return
	}
	if dial == nil || !dial.Nested {
		o := observe.OfAttempt(&a)
		d.attempts[o].Inc()
		d.observe(ctx, d.attemptTime.of(o), a.Duration)
	}
	if o, ok := observe.OfLookup(&a); ok {
		d.observe(ctx, d.lookupTime.of(o), a.Resolve)
	}
	for _, f := range observe.UnansweredFamilies(&a) {
		d.unanswered[f].Inc()
	}
	dial.EachAddress(&a, func(f observe.Family, o observe.Outcome) { d.addresses[f].of(o).Inc() })
}

func (d *dialer) connectionLost(ctx context.Context, l redial.Loss) {
	o := observe.OfLoss(&l)
	d.lost[o].Inc()
	d.observe(ctx, d.lasted.of(o), l.Lasted)
}

// observe adds a duration to a histogram, with an exemplar if the program gives one.
func (d *dialer) observe(ctx context.Context, histogram prometheus.Observer, took time.Duration) {
	if d.exemplar != nil {
		if labels := d.exemplar(ctx); len(labels) > 0 {
			histogram.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), labels)
			return
		}
	}
	histogram.Observe(took.Seconds())
}

// children are the metrics of a vector for the outcomes. Each is made when it is first used, and
// then found without a look-up by label.
type children[T any] struct {
	make func(observe.Outcome) T
	made [observe.NumOutcomes]atomic.Pointer[T]
}

func (c *children[T]) of(o observe.Outcome) T {
	if child := c.made[o].Load(); child != nil {
		return *child
	}
	child := c.make(o) // the same one for two goroutines
	c.made[o].Store(&child)
	return child
}

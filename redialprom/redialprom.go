package redialprom

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/observe"
)

// Opts are the options of [New].
type Opts struct {
	// Name is the value of the label dialer. It says what is dialed, such as "postgres". Two
	// Metrics with different Names can be registered with one registry. Do not use addresses that
	// come and go: each Name makes series of its own.
	Name string

	// Buckets are the upper bounds of the histograms' classic buckets, in seconds, in strictly
	// increasing order. Nil means from 0.5 ms to 30 s, which is the default MaxElapsed of a
	// dial, and from 0.1 s to a day for connections. An empty slice means native buckets only.
	Buckets []float64
}

var (
	dialBuckets       = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30}
	connectionBuckets = []float64{.1, 1, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600}
)

// A Metrics holds the metrics of the Dialers that it has instrumented. It is a
// prometheus.Collector. Make one with [New]. It can be used concurrently.
type Metrics struct {
	observer   observe.Observer[struct{}]
	collectors []prometheus.Collector

	inProgress  prometheus.Gauge
	dials       [observe.NumOutcomes]prometheus.Counter
	stopped     [observe.NumStops]prometheus.Counter
	attempts    [observe.NumOutcomes]prometheus.Counter
	shared      prometheus.Counter
	addresses   [observe.NumFamilies]children[prometheus.Counter]
	dialTime    children[prometheus.Observer]
	attemptTime children[prometheus.Observer]
	resolveTime children[prometheus.Observer]
	lost        [observe.NumOutcomes]prometheus.Counter
	lasted      children[prometheus.Observer]
}

// New returns a Metrics that no Dialer reports to yet. It panics if opts.Buckets are not in
// strictly increasing order.
func New(opts Opts) *Metrics {
	prometheus.NewHistogram(prometheus.HistogramOpts{Buckets: opts.Buckets}) // panics now, and not in the first dial
	labels := prometheus.Labels{"dialer": opts.Name}
	m := new(Metrics)
	m.observer = observe.Observer[struct{}]{Began: m.began, Attempted: m.attempted, Ended: m.ended, Lost: m.connectionLost}
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "redial", Name: name, Help: help, ConstLabels: labels}, by)
		m.collectors = append(m.collectors, v)
		return v
	}
	histogram := func(name, help string, buckets []float64) func(observe.Outcome) prometheus.Observer {
		if opts.Buckets != nil {
			buckets = opts.Buckets
		}
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "redial", Name: name, Help: help, ConstLabels: labels,
			Buckets:                         buckets,
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"outcome"})
		m.collectors = append(m.collectors, v)
		return func(o observe.Outcome) prometheus.Observer { return v.WithLabelValues(o.String()) }
	}

	dials := counter("dials_total", "Dials that have ended, by outcome: ok or the class of the failure.", "outcome")
	attempts := counter("attempts_total", "Attempts to connect, by outcome: ok or the class of the failure.", "outcome")
	lost := counter("connections_lost_total", "Connections that Reconnect has lost, by the class of the failure.", "outcome")
	for o := range observe.NumOutcomes {
		m.dials[o] = dials.WithLabelValues(o.String())
		m.attempts[o] = attempts.WithLabelValues(o.String())
		if o != observe.OK {
			m.lost[o] = lost.WithLabelValues(o.String())
		}
	}
	stopped := counter("dials_stopped_total", "Dials that have failed, by the reason for which they made no other attempt.", "stop")
	for s := range observe.NumStops {
		m.stopped[s] = stopped.WithLabelValues(observe.StopName(s))
	}
	m.shared = counter("attempts_shared_total", "Failures of another dial's attempt that dials shared at a Gate instead of connecting.").WithLabelValues()
	addresses := counter("addresses_tried_total", "Addresses that attempts have tried, by family and outcome.", "family", "outcome")
	for f := range observe.NumFamilies {
		m.addresses[f].make = func(o observe.Outcome) prometheus.Counter { return addresses.WithLabelValues(f.String(), o.String()) }
	}
	m.inProgress = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "redial", Name: "dials_in_progress", Help: "Dials that have begun and not ended, including those that wait.", ConstLabels: labels,
	})
	m.collectors = append(m.collectors, m.inProgress)
	m.dialTime.make = histogram("dial_duration_seconds", "Time from the start of a dial to its end, including attempts and waits.", dialBuckets)
	m.attemptTime.make = histogram("attempt_duration_seconds", "Time of an attempt, including name resolution and Verify.", dialBuckets)
	m.resolveTime.make = histogram("resolve_duration_seconds", "Time that an attempt took to resolve a name.", dialBuckets)
	m.lasted.make = histogram("connection_duration_seconds", "Time that a connection lasted before Reconnect lost it.", connectionBuckets)
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

// Instrument makes d report to m. It sets d.OnDial, d.OnAttempt and d.OnLost to functions that
// call the ones that were there before. Call it once for each Dialer, before the Dialer is used
// and after its hooks have been set. Several Dialers can report to one Metrics, and one Dialer to
// several. A copy of d made after Instrument reports too.
func (m *Metrics) Instrument(d *redial.Dialer) { m.observer.Instrument(d) }

func (m *Metrics) began(ctx context.Context, _, _ string, nested bool) (context.Context, struct{}) {
	if !nested {
		m.inProgress.Inc()
	}
	return ctx, struct{}{}
}

func (m *Metrics) ended(d *observe.Dial[struct{}], r redial.Result) {
	if d.Nested {
		return
	}
	m.inProgress.Dec()
	if r.Err != nil {
		m.stopped[r.Stop].Inc()
	}
	o := observe.OfDial(&r)
	m.dials[o].Inc()
	m.dialTime.of(o).Observe(r.Elapsed.Seconds())
}

func (m *Metrics) attempted(_ context.Context, d *observe.Dial[struct{}], a redial.Attempt) {
	if a.Shared {
		m.shared.Inc()
		return
	}
	if d == nil || !d.Nested {
		o := observe.OfAttempt(&a)
		m.attempts[o].Inc()
		m.attemptTime.of(o).Observe(a.Duration.Seconds())
	}
	if o, ok := observe.OfLookup(&a); ok {
		m.resolveTime.of(o).Observe(a.Resolve.Seconds())
	}
	d.EachAddress(&a, func(f observe.Family, o observe.Outcome) { m.addresses[f].of(o).Inc() })
}

func (m *Metrics) connectionLost(_ context.Context, l redial.Loss) {
	o := observe.OfLoss(&l)
	m.lost[o].Inc()
	m.lasted.of(o).Observe(l.Lasted.Seconds())
}

// children are the metrics of a vector that has the label outcome. Each is made when it is
// first used, and then found without a look-up by label.
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

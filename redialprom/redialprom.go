package redialprom

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-33f8b841/redial"
)

// Opts are the options of [New].
type Opts struct {
	// Name is the value of the label dialer. It says what is dialed, such as "postgres". Two
	// Metrics with different Names can be registered with one registry. Do not use addresses that
	// come and go: each Name makes series of its own.
	Name string

	// Buckets are the upper bounds of the histograms' classic buckets, in seconds, in strictly
	// increasing order. Nil means from 0.5 ms to 30 s, which
	// is the default MaxElapsed of a dial. An empty slice means native buckets only.
	Buckets []float64
}

var defaultBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30}

// A Metrics holds the metrics of the Dialers that it has instrumented. It is a
// prometheus.Collector. Make one with [New]. It can be used concurrently.
type Metrics struct {
	collectors []prometheus.Collector

	inProgress  prometheus.Gauge
	dials       [numOutcomes]prometheus.Counter
	stopped     [numStops]prometheus.Counter
	attempts    [numOutcomes]prometheus.Counter
	shared      prometheus.Counter
	addresses   [numFamilies]children[prometheus.Counter]
	dialTime    children[prometheus.Observer]
	attemptTime children[prometheus.Observer]
	resolveTime children[prometheus.Observer]
}

// New returns a Metrics that no Dialer reports to yet. It panics if opts.Buckets are not in
// strictly increasing order.
func New(opts Opts) *Metrics {
	if opts.Buckets == nil {
		opts.Buckets = defaultBuckets
	}
	prometheus.NewHistogram(prometheus.HistogramOpts{Buckets: opts.Buckets}) // panics now, and not in the first dial
	labels := prometheus.Labels{"dialer": opts.Name}
	m := new(Metrics)
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "redial", Name: name, Help: help, ConstLabels: labels}, by)
		m.collectors = append(m.collectors, v)
		return v
	}
	histogram := func(name, help string) func(outcome) prometheus.Observer {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "redial", Name: name, Help: help, ConstLabels: labels,
			Buckets:                         opts.Buckets,
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"outcome"})
		m.collectors = append(m.collectors, v)
		return func(o outcome) prometheus.Observer { return v.WithLabelValues(o.String()) }
	}

	dials := counter("dials_total", "Dials that have ended, by outcome: ok or the class of the failure.", "outcome")
	attempts := counter("attempts_total", "Attempts to connect, by outcome: ok or the class of the failure.", "outcome")
	for o := range numOutcomes {
		m.dials[o] = dials.WithLabelValues(o.String())
		m.attempts[o] = attempts.WithLabelValues(o.String())
	}
	stopped := counter("dials_stopped_total", "Dials that have failed, by the reason for which they made no other attempt.", "stop")
	for s := range numStops {
		m.stopped[s] = stopped.WithLabelValues(s.String())
	}
	m.shared = counter("attempts_shared_total", "Failures of another dial's attempt that dials shared at a Gate instead of connecting.").WithLabelValues()
	addresses := counter("addresses_tried_total", "Addresses that attempts have tried, by family and outcome.", "family", "outcome")
	for f := range numFamilies {
		m.addresses[f].make = func(o outcome) prometheus.Counter { return addresses.WithLabelValues(f.String(), o.String()) }
	}
	m.inProgress = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "redial", Name: "dials_in_progress", Help: "Dials that have begun and not ended, including those that wait.", ConstLabels: labels,
	})
	m.collectors = append(m.collectors, m.inProgress)
	m.dialTime.make = histogram("dial_duration_seconds", "Time from the start of a dial to its end, including attempts and waits.")
	m.attemptTime.make = histogram("attempt_duration_seconds", "Time of an attempt, including name resolution and Verify.")
	m.resolveTime.make = histogram("resolve_duration_seconds", "Time that an attempt took to resolve a name.")
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

// Instrument makes d report to m. It sets d.OnDial and d.OnAttempt to functions that call the
// ones that were there before. Call it once for each Dialer, before the Dialer is used and
// after OnDial and OnAttempt have been set. Several Dialers can report to one Metrics, and one
// Dialer to several. A copy of d made after Instrument reports too.
func (m *Metrics) Instrument(d *redial.Dialer) {
	onDial, onAttempt := d.OnDial, d.OnAttempt
	d.OnDial = func(ctx context.Context, network, address string) (context.Context, func(error)) {
		var then func(error)
		if onDial != nil {
			derived, ended := onDial(ctx, network, address) // first: if it panics, m has not counted a dial that never ends
			if derived != nil {
				ctx = derived
			}
			then = ended
		}
		dial := m.begin(ctx, then)
		return dial, dial.end
	}
	d.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		m.attempt(ctx, &a)
		if onAttempt != nil {
			onAttempt(ctx, a)
		}
	}
}

// A dial is a dial in progress. It is also the context that the dial goes on with, where its
// attempts find it. One goroutine at a time uses it, because OnAttempt is called in the
// goroutine that dials.
type dial struct {
	context.Context
	metrics *Metrics
	start   time.Time
	then    func(error) // to be called when the dial has ended; may be nil

	final   bool // the latest attempt failed, and said that no other will follow
	outcome outcome
	stop    stop
}

// Value returns d itself for d.metrics, so that several Metrics find their own.
func (d *dial) Value(key any) any {
	if key == any(d.metrics) {
		return d
	}
	return d.Context.Value(key)
}

func (m *Metrics) begin(ctx context.Context, then func(error)) *dial {
	m.inProgress.Inc()
	return &dial{Context: ctx, metrics: m, start: time.Now(), then: then}
}

// end counts the dial, which ended with err.
func (d *dial) end(err error) {
	m := d.metrics
	m.inProgress.Dec()
	o := ok
	if err != nil {
		var s stop
		o, s = d.failure(err)
		m.stopped[s].Inc()
	}
	m.dials[o].Inc()
	m.dialTime.of(o).Observe(time.Since(d.start).Seconds())
	if d.then != nil {
		d.then(err)
	}
}

// failure returns why the dial failed with err, and why it stopped.
func (d *dial) failure(err error) (outcome, stop) {
	if op, ok := err.(*net.OpError); ok {
		if e, ok := op.Err.(*redial.Error); ok {
			s, known := stopOf(e.Stop)
			switch {
			case known:
			case errors.Is(e, context.DeadlineExceeded) && !errors.Is(e, context.Canceled):
				s = stopDeadline
			default:
				s = stopCanceled
			}
			return outcomeOf(e.Class, s), s
		}
	}
	if d.final { // the dial was allowed one attempt, and returned its error as is
		return d.outcome, d.stop
	}
	switch class := redial.Classify(err); class {
	case redial.Canceled: // before the only attempt
		return failed(class), stopCanceled
	case redial.Timeout:
		return failed(class), stopDeadline
	default:
		return failed(redial.Unknown), stopPanic
	}
}

// attempted keeps why a was the last attempt, if it was.
func (d *dial) attempted(a *redial.Attempt) {
	if d.final = a.Stop != nil; !d.final {
		return
	}
	s, known := stopOf(a.Stop)
	if !known { // the context has ended
		s = stopDeadline
		if a.Class == redial.Canceled {
			s = stopCanceled
		}
	}
	d.outcome, d.stop = outcomeOf(a.Class, s), s
}

// attempt counts a.
func (m *Metrics) attempt(ctx context.Context, a *redial.Attempt) {
	o := ok
	if a.Err != nil {
		o = failed(a.Class)
	}
	if d, ok := ctx.Value(m).(*dial); ok {
		d.attempted(a)
	}
	if a.Shared {
		m.shared.Inc()
		return
	}
	m.attempts[o].Inc()
	m.attemptTime.of(o).Observe(a.Duration.Seconds())
	m.addressesOf(a, o)
}

// addressesOf counts the addresses that a tried, and the look-up that they came from.
func (m *Metrics) addressesOf(a *redial.Attempt, o outcome) {
	if a.Addrs == nil && a.Resolve == 0 {
		if f, ok := familyOf(a); ok {
			m.addresses[f].of(o).Inc()
		}
		return
	}
	resolved := o
	if len(a.Addrs) > 0 {
		resolved = ok
	}
	m.resolveTime.of(resolved).Observe(a.Resolve.Seconds())
	for i := range a.Addrs {
		r := &a.Addrs[i]
		tried := ok
		if r.Err != nil {
			tried = failed(r.Class)
		}
		m.addresses[familyOfIP(r.Addr.Addr())].of(tried).Inc()
	}
}

// children are the metrics of a vector that has the label outcome. Each is made when it is
// first used, and then found without a look-up by label.
type children[T any] struct {
	make func(outcome) T
	made [numOutcomes]atomic.Pointer[T]
}

func (c *children[T]) of(o outcome) T {
	if child := c.made[o].Load(); child != nil {
		return *child
	}
	child := c.make(o) // the same one for two goroutines
	c.made[o].Store(&child)
	return child
}

// Package redialotel observes the dials of a redial.Dialer with OpenTelemetry: a span
// for each dial, with spans within it for look-ups and connects, and metrics.
//
//	t := redialotel.New(redialotel.Opts{Name: "postgres"})
//	d := &redial.Dialer{}
//	t.Instrument(d)
//
// The span of a dial is an internal span, because a dial is a part of the operation that
// needs the connection, such as the client span of an HTTP request. Its parent is the span in
// the dial's context. Spans of what the dial does, such as a nested dial (see package redial), are
// its children. The metrics count a nested dial as part of the outer dial if both report to the
// same Telemetry.
//
// A dial that fails has the status Error, the message of its error as the description, and
// its class as error.type. A failure that was retried is on the span of its look-up or connect
// only. A dial that its caller canceled did not fail: as the semantic conventions for HTTP
// clients say, its status is Unset, and it has no error.type. The attribute redial.outcome
// is "canceled" then. A deadline that has passed is a failure.
//
// There are no span events, because OpenTelemetry is deprecating them.
//
// The attributes of metrics never hold an address. The README lists all attributes and
// instruments.
package redialotel

import (
	"context"
	"net"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/observe"
)

// scope is the name of the instrumentation scope.
const scope = "github.com/seed-33f8b841/redial/redialotel"

// Opts are the options of New. The zero value is ready to use.
type Opts struct {
	// Name says what the Dialers connect to, such as "postgres". It is the attribute
	// redial.dialer.name of spans and metrics, and part of a span's name. Each Name has
	// its own time series, so a program must not make up Names without bound. An empty
	// Name means no attribute.
	Name string

	// TracerProvider makes the spans. Nil means otel.GetTracerProvider().
	TracerProvider trace.TracerProvider

	// MeterProvider makes the instruments. Nil means otel.GetMeterProvider().
	MeterProvider metric.MeterProvider
}

// A Telemetry observes the dials of all Dialers that it has instrumented. It can be used
// concurrently. Make one with [New].
type Telemetry struct {
	observer observe.Observer[dialSpan]
	name     string
	spanName string       // empty: it depends on the transport
	tracer   trace.Tracer // nil: no spans
	metrics  metrics
}

// New returns a Telemetry. If an instrument cannot be made, New gives the error to
// otel.Handle, and the Telemetry does without that instrument.
func New(opts Opts) *Telemetry {
	if opts.TracerProvider == nil {
		opts.TracerProvider = otel.GetTracerProvider()
	}
	if opts.MeterProvider == nil {
		opts.MeterProvider = otel.GetMeterProvider()
	}
	t := &Telemetry{name: clean(opts.Name)}
	t.tracer = opts.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	if _, off := t.tracer.(noop.Tracer); off {
		t.tracer = nil // so that begin does not look for attributes
	}
	if t.name != "" {
		t.spanName = "dial " + t.name
	}
	t.observer = observe.Observer[dialSpan]{Began: t.began, Attempted: t.attempted, Ended: t.ended, Lost: t.metrics.lost}
	t.metrics = newMetrics(opts.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)), t.name)
	return t
}

// Instrument makes d report to t. It sets d.OnDial, d.OnAttempt and d.OnLost to functions that
// call the ones that were there before. The earlier OnDial is called before the span begins,
// and the span begins with the context that OnDial returns. Call Instrument once for each
// Dialer, before the Dialer is used and after its hooks have been set. Several
// Dialers can report to one Telemetry, and one Dialer to several.
func (t *Telemetry) Instrument(d *redial.Dialer) { t.observer.Instrument(d) }

// A dialSpan is what a Telemetry keeps about a dial in progress.
type dialSpan struct {
	trace.Span
	recording        bool     // whether the span keeps attributes
	network, address string   // what is dialed, as the program has it
	target           target   // the same for the attributes; empty without a tracer
	shared           int      // how many attempts were another dial's
	peer             net.Addr // of the connection; nil if there is none or it is unknown
}

// A dial is a dial in progress.
type dial = observe.Dial[dialSpan]

// began starts the span of a dial. The span starts with the attributes that a sampler may
// ask for. All others are added only if it is recording.
func (t *Telemetry) began(ctx context.Context, network, address string, nested bool) (context.Context, dialSpan) {
	span := dialSpan{Span: noop.Span{}, network: network, address: address}
	if t.tracer != nil {
		span.target = targetOf(network, address)
		ctx, span.Span = t.tracer.Start(ctx, t.spanNameFor(span.target.transport), trace.WithAttributes(span.target.attributes()...))
	}
	if span.recording = span.IsRecording(); span.recording && t.name != "" {
		span.SetAttributes(keyName.String(t.name))
	}
	if !nested {
		t.metrics.active.Add(ctx, 1, t.metrics.all.add...)
	}
	return ctx, span
}

// spanNameFor returns the span's name. It holds no address, because backends group spans by
// name.
func (t *Telemetry) spanNameFor(transport string) string {
	switch {
	case t.spanName != "":
		return t.spanName
	case transport != "":
		return "dial " + transport
	}
	return "dial"
}

// attempted records an attempt of the dial that ctx belongs to.
func (t *Telemetry) attempted(ctx context.Context, d *dial, a redial.Attempt) {
	t.metrics.attempted(ctx, d, &a)
	if d == nil {
		return
	}
	d.State.peer = a.Remote
	switch {
	case a.Shared:
		d.State.shared++
	case d.State.recording:
		t.addSteps(d, &a)
	}
}

// ended ends the span of a dial.
func (t *Telemetry) ended(d *dial, r redial.Result) {
	span := d.State
	defer span.End()
	o := observe.OfDial(&r)
	if !d.Nested {
		t.metrics.ended(d, &r, o)
	}
	if !span.recording {
		return
	}
	attrs := make([]attribute.KeyValue, 0, 10)
	attrs = append(attrs, keyAttempts.Int(r.Attempts))
	if span.shared > 0 {
		attrs = append(attrs, keyShared.Int(span.shared))
	}
	attrs = appendOutcome(attrs, o)
	if r.Err != nil {
		attrs = append(attrs, keyStop.String(observe.StopName(r.Stop)))
	}
	if r.Nested {
		attrs = append(attrs, keyNested.Bool(true))
	}
	span.SetAttributes(appendPeer(attrs, span.peer)...)
	if o.IsFailure() {
		span.SetStatus(codes.Error, span.message(r.Err))
	}
}

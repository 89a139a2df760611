// Package redialotel observes the dials of a redial.Dialer with OpenTelemetry: a span
// for each dial, with an event for each attempt and for each address that was tried, and
// metrics.
//
//	t := redialotel.New(redialotel.Opts{Name: "postgres"})
//	d := &redial.Dialer{}
//	t.Instrument(d)
//
// The span of a dial is a client span. Its parent is the span in the dial's context.
// Spans of what the dial does, such as another Dialer's dial within its attempt, are its
// children.
//
// A dial that fails has the status Error, the message of its error as the description, and
// its class as error.type. A dial that its caller canceled did not fail: as the semantic
// conventions for HTTP clients say, its status is Unset, and it has no error.type. The
// attribute redial.outcome is "canceled" then. A deadline that has passed is a failure.
//
// The semantic conventions advise against Span.RecordError, so there are no exception
// events. The events redial.attempt and redial.address hold the failures.
//
// The attributes of metrics never hold an address. The README lists all attributes and
// instruments.
package redialotel

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/seed-33f8b841/redial"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
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
	name       string
	spanName   string       // empty: it depends on the transport
	tracer     trace.Tracer // nil: no spans
	clientSpan trace.SpanStartOption
	metrics    metrics
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
	t := &Telemetry{name: clean(opts.Name), clientSpan: trace.WithSpanKind(trace.SpanKindClient)}
	t.tracer = opts.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	if _, off := t.tracer.(noop.Tracer); off {
		t.tracer = nil // so that begin does not look for attributes
	}
	if t.name != "" {
		t.spanName = "dial " + t.name
	}
	t.metrics = newMetrics(opts.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)), t.name)
	return t
}

// Instrument makes d report to t. It sets d.OnDial and d.OnAttempt to functions that call
// the ones that were there before. The earlier OnDial is called before the span begins, and
// the span begins with the context that OnDial returns. Call Instrument once for each
// Dialer, before the Dialer is used and after OnDial and OnAttempt have been set. Several
// Dialers can report to one Telemetry, and one Dialer to several.
func (t *Telemetry) Instrument(d *redial.Dialer) {
	onDial, onAttempt := d.OnDial, d.OnAttempt
	d.OnDial = func(ctx context.Context, network, address string) (context.Context, func(error)) {
		if onDial == nil {
			ongoing := t.begin(ctx, network, address)
			return ongoing, ongoing.end
		}
		derived, ended := onDial(ctx, network, address)
		if derived != nil {
			ctx = derived
		}
		ongoing := t.begin(ctx, network, address)
		if ended == nil {
			return ongoing, ongoing.end
		}
		return ongoing, func(err error) {
			defer ended(err)
			ongoing.end(err)
		}
	}
	d.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		t.attempted(ctx, &a)
		if onAttempt != nil {
			onAttempt(ctx, a)
		}
	}
}

// A dial is a dial in progress. It is also the context that the dial goes on with, which
// holds the span.
type dial struct {
	context.Context
	t         *Telemetry
	span      trace.Span
	recording bool      // whether the span keeps attributes and events
	start     time.Time // for the metrics; zero if they do not need it

	attempts int      // made by this dial, or shared with it
	err      error    // of the last attempt
	result   result   // of the last attempt
	peer     net.Addr // of the connection; nil if there is none or it is unknown
}

// dialKey is the context key of a *dial. Each Telemetry has its own, because several can
// observe the same Dialer.
type dialKey struct{ t *Telemetry }

func (d *dial) Value(key any) any {
	if key == (dialKey{d.t}) {
		return d
	}
	return d.Context.Value(key)
}

// begin starts the span of a dial. The span starts with the attributes that a sampler may
// ask for. All others are added only if it is recording.
func (t *Telemetry) begin(ctx context.Context, network, address string) *dial {
	d := &dial{Context: ctx, t: t, span: noop.Span{}}
	if t.tracer != nil {
		where := targetOf(network, address)
		d.Context, d.span = t.tracer.Start(ctx, t.spanNameFor(where.transport), t.clientSpan, trace.WithAttributes(where.attributes()...))
	}
	if d.recording = d.span.IsRecording(); d.recording && t.name != "" {
		d.span.SetAttributes(keyName.String(t.name))
	}
	d.start = t.metrics.began(d)
	return d
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
func (t *Telemetry) attempted(ctx context.Context, a *redial.Attempt) {
	t.metrics.attempted(ctx, a)
	d, _ := ctx.Value(dialKey{t}).(*dial)
	if d == nil { // the program has replaced OnDial since Instrument
		return
	}
	d.attempts++
	d.err, d.result, d.peer = a.Err, resultOf(a), a.Remote
	if d.recording {
		addEvents(d.span, a)
	}
}

// end ends the span of a dial that returns err.
func (d *dial) end(err error) {
	defer d.span.End()
	r := d.resultOf(err)
	d.t.metrics.ended(d, r, d.start)
	if !d.recording {
		return
	}
	attrs := make([]attribute.KeyValue, 0, 8)
	attrs = append(attrs, keyAttempts.Int(d.attempts))
	attrs = r.append(attrs)
	d.span.SetAttributes(appendPeer(attrs, d.peer)...)
	if r.failed() {
		d.span.SetStatus(codes.Error, message(err))
	}
}

// resultOf returns the result of the dial that returns err.
func (d *dial) resultOf(err error) result {
	if err == nil {
		return result{outcome: ok}
	}
	if e := d.ownError(err); e != nil {
		byCaller := errors.Is(e, context.Canceled) || !errors.Is(e, context.DeadlineExceeded)
		return newResult(e.Class, stopOf(e.Stop, byCaller))
	}
	if d.result.stop != noStop { // MaxAttempts is 1, or the dial is within another's attempt
		return d.result
	}
	switch class := redial.Classify(err); {
	case d.attempts > 0 || class == redial.Unknown:
		return newResult(redial.Unknown, panicked)
	case class == redial.Canceled: // before the only attempt
		return newResult(class, canceled)
	default:
		return newResult(class, deadline)
	}
}

// ownError returns the *redial.Error that this dial has made, or nil if err is the inner
// dialer's own error.
func (d *dial) ownError(err error) *redial.Error {
	op, isOp := err.(*net.OpError)
	if last, _ := d.err.(*net.OpError); !isOp || op == last {
		return nil
	}
	e, _ := op.Err.(*redial.Error)
	return e
}

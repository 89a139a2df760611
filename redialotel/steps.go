package redialotel

import (
	"net"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/observe"
)

// This file makes the spans within a dial's span. They begin and end in the past, because an attempt
// is reported when it has ended.

// A step is a part of an attempt.
type step struct {
	name    string
	start   time.Time
	took    time.Duration
	outcome observe.Outcome
	err     error
	attrs   []attribute.KeyValue
}

// addSteps adds a span for the look-up and for each address that the attempt has tried. An attempt that
// resolved no name has a span of its own in place of these. A shared attempt was another dial's, which has
// the spans.
func (t *Telemetry) addSteps(d *dial, a *redial.Attempt) {
	o, resolved := observe.OfLookup(a)
	if !resolved {
		t.add(d, a, step{"connect", a.Start, a.Duration, observe.OfAttempt(a), a.Err, appendPeer(nil, addrOf(a))})
		return
	}
	lookup := step{"lookup", a.Start, a.Resolve, o, a.Err, nil}
	if name := d.State.target.host; name != "" {
		lookup.attrs = append(lookup.attrs, semconv.DNSQuestionName(clean(name)))
	}
	if a.Unanswered != "" {
		lookup.attrs = append(lookup.attrs, keyUnanswered.String(a.Unanswered))
	}
	t.add(d, a, lookup)
	for i := range a.Addrs {
		r := &a.Addrs[i]
		t.add(d, a, step{"connect", r.Start, r.Duration, observe.OfAddress(r), r.Err, appendAddrPort(nil, r.Addr)})
	}
}

func (t *Telemetry) add(d *dial, a *redial.Attempt, s step) {
	attrs := appendOutcome(append(s.attrs, keyNumber.Int(a.Number)), s.outcome)
	_, span := t.tracer.Start(d, s.name, trace.WithTimestamp(s.start), trace.WithAttributes(attrs...))
	if s.outcome.IsFailure() {
		span.SetStatus(codes.Error, d.State.message(s.err))
	}
	span.End(trace.WithTimestamp(s.start.Add(s.took)))
}

// addrOf returns the address that the attempt has connected to, or that its error names.
func addrOf(a *redial.Attempt) net.Addr {
	if op, ok := foreign.As[*net.OpError](a.Err); ok {
		return op.Addr
	}
	return a.Remote
}

package redialotel

import (
	"context"
	"errors"

	"github.com/seed-33f8b841/redial"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// An outcome says how a dial, an attempt or an address ended. A failure of class c is
// failure+outcome(c).
type outcome uint8

const (
	ok          outcome = iota
	gaveUp              // the caller canceled, which is no failure
	failure             // of class Unknown
	numOutcomes = failure + outcome(redial.Canceled) + 1
)

// failureOf returns the outcome of a failure. Redial's own classes are the only ones, so
// that the attributes of metrics are bounded.
func failureOf(class redial.Class) outcome {
	if class > redial.Canceled {
		class = redial.Unknown
	}
	return failure + outcome(class)
}

// append adds the outcome, and for a failure its class as error.type.
func (o outcome) append(attrs []attribute.KeyValue) []attribute.KeyValue {
	switch {
	case o == ok:
		return append(attrs, keyOutcome.String("ok"))
	case o == gaveUp:
		return append(attrs, keyOutcome.String(redial.Canceled.String()))
	}
	class := redial.Class(o - failure).String()
	return append(attrs, keyOutcome.String(class), semconv.ErrorTypeKey.String(class))
}

// A stop says why a dial did not try again.
type stop uint8

const (
	noStop stop = iota // success, or the dial goes on
	permanent
	maxAttempts
	maxElapsed
	deadline
	canceled // by the caller
	panicked // or runtime.Goexit
	numStops
)

var stopNames = [numStops]string{
	permanent:   "permanent",
	maxAttempts: "max_attempts",
	maxElapsed:  "max_elapsed",
	deadline:    "deadline",
	canceled:    "canceled",
	panicked:    "panic",
}

// stopOf returns the stop for reason. A reason that is none of redial's is the cause of a
// context, and byCaller says whether the context was canceled. The cause of an errgroup's
// context can be the error of another dial, so stopOf does not unwrap it.
func stopOf(reason error, byCaller bool) stop {
	switch reason {
	case nil:
		return noStop
	case redial.ErrPermanent:
		return permanent
	case redial.ErrMaxAttempts:
		return maxAttempts
	case redial.ErrMaxElapsed:
		return maxElapsed
	case redial.ErrDeadline:
		return deadline
	}
	if r, can := reason.(interface{ Is(error) bool }); can && r.Is(redial.ErrPermanent) {
		return permanent // the schedule has ended
	}
	if byCaller {
		return canceled
	}
	return deadline
}

// A result is an outcome, and why there was no next attempt.
type result struct {
	outcome outcome
	stop    stop
}

// resultOf returns the result of an attempt.
func resultOf(a *redial.Attempt) result {
	if a.Err == nil {
		return result{outcome: ok}
	}
	byCaller := a.Class == redial.Canceled || a.Shared && !errors.Is(a.Stop, context.DeadlineExceeded)
	return newResult(a.Class, stopOf(a.Stop, byCaller))
}

func newResult(class redial.Class, s stop) result {
	if s == canceled {
		return result{gaveUp, s}
	}
	return result{failureOf(class), s}
}

func (r result) failed() bool { return r.outcome >= failure }

func (r result) append(attrs []attribute.KeyValue) []attribute.KeyValue {
	attrs = r.outcome.append(attrs)
	if r.stop != noStop {
		attrs = append(attrs, keyStop.String(stopNames[r.stop]))
	}
	return attrs
}

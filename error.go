package redial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"
)

// The reasons for which a dial stops retrying, beside the cause of its
// context's cancellation. They stand in Error.Stop and Attempt.Stop, and
// errors.Is finds them in the error of the dial.
var (
	// ErrPermanent means that the last failure is not one to retry: its class
	// is absent from the Policy, or the class's schedule has come to its end.
	ErrPermanent error = &stopReason{text: "not to be retried"}

	// ErrMaxAttempts means that Dialer.MaxAttempts have been made.
	ErrMaxAttempts error = &stopReason{text: "MaxAttempts reached"}

	// ErrMaxElapsed means that the next attempt would have begun after
	// Dialer.MaxElapsed, or that the last was cut off by it. It is a timeout.
	ErrMaxElapsed error = &stopReason{text: "MaxElapsed too close", timeout: true}

	// ErrDeadline means that the next attempt would have begun after the
	// deadline of the context, or Dialer.Deadline, or that the last was cut
	// off by it. It is a timeout, and matches context.DeadlineExceeded.
	ErrDeadline error = &stopReason{text: "deadline too close", timeout: true, is: context.DeadlineExceeded}
)

// stopReason is a reason for which retrying ended; its text ends the message
// of an Error.
type stopReason struct {
	text    string
	timeout bool
	is      error // matched too
}

func (r *stopReason) Error() string        { return r.text }
func (r *stopReason) Timeout() bool        { return r.timeout }
func (r *stopReason) Temporary() bool      { return r.timeout }
func (r *stopReason) Is(target error) bool { return r.is != nil && target == r.is }

// An Error is a dial that failed although it retried, or that was due to retry
// and was stopped. Dialer's methods return it within a *net.OpError, whose Op,
// Net, Source and Addr are those of the last attempt:
//
//	dial tcp 127.0.0.1:5432: connect: connection refused (refused, 4 attempts in 1.2s: deadline too close)
//
// errors.Is and errors.As see the whole of it: the last attempt's error with
// its errno, and the reason for stopping.
type Error struct {
	Network, Address string        // as dialed
	Attempts         int           // made; 0 if the caller had given up before the first
	Elapsed          time.Duration // from the begin of the dial to its end
	Class            Class         // of the last attempt
	Err              error         // of the last attempt; why none was made, if Attempts is 0
	Stop             error         // ErrPermanent, ErrMaxAttempts, ErrMaxElapsed, ErrDeadline, or the cause of ctx
	History          []Attempt     // the first attempts and the latest, at most 16, in order

	ctxErr error // of a ctx that is over: its cause need not match it
}

// Error is the last attempt's message, without the address that the
// *net.OpError around it names, and what became of the dial.
func (e *Error) Error() string {
	if e.Attempts == 0 {
		return "not attempted: " + text(e.Stop)
	}
	attempts := strconv.Itoa(e.Attempts) + " attempts"
	if e.Attempts == 1 {
		attempts = "1 attempt"
	}
	return fmt.Sprintf("%s (%v, %s in %v: %s)", text(withoutOp(e.Err)), e.Class, attempts, rounded(e.Elapsed), text(e.Stop))
}

// Unwrap returns the error of the last attempt, the reason for stopping and,
// where that is the cause of a context, what its Err method returned.
func (e *Error) Unwrap() []error {
	all := make([]error, 0, 3)
	for _, err := range [...]error{e.Err, e.Stop, e.ctxErr} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// Timeout reports whether time ran out: that of the last attempt, or of the
// whole dial.
func (e *Error) Timeout() bool {
	return e.Class == Timeout || isTimeout(e.Err) || isTimeout(e.Stop) || isTimeout(e.ctxErr)
}

// Temporary reports what the error of the last attempt says of itself, and
// true for a Timeout.
//
// Deprecated: it is there for net.Error. Look at Class.
func (e *Error) Temporary() bool {
	var t interface{ Temporary() bool }
	return e.Timeout() || errors.As(e.Err, &t) && t.Temporary()
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what zap's error fields
// make one line of, with a field for each thing.
func (e *Error) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("network", e.Network)
	enc.AddString("address", e.Address)
	enc.AddInt("attempts", e.Attempts)
	enc.AddDuration("elapsed", e.Elapsed)
	addFailure(enc, e.Class, e.Err)
	if e.Stop != nil {
		enc.AddString("stop", e.Stop.Error())
	}
	return addAll(enc, "history", e.History)
}

// asOpError puts e where net.Dialer's callers look for an error: in the place
// of the last attempt's own *net.OpError, if it was one.
func (e *Error) asOpError() *net.OpError {
	if op, ok := e.Err.(*net.OpError); ok && op != nil {
		return &net.OpError{Op: op.Op, Net: op.Net, Source: op.Source, Addr: op.Addr, Err: e}
	}
	return &net.OpError{Op: "dial", Net: e.Network, Addr: dialed{e.Network, e.Address}, Err: e}
}

// dialed is the address as it was dialed, for failures that name none.
type dialed struct{ network, address string }

func (d dialed) Network() string { return d.network }
func (d dialed) String() string  { return d.address }

// withoutOp is err without the operation and addresses that asOpError names.
func withoutOp(err error) error {
	if op, ok := err.(*net.OpError); ok && op != nil {
		return op.Err
	}
	return err
}

// isTimeout reports what err, or the first that tells of those it wraps, says
// of itself.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// text is the message of an error that a caller may have left nil.
func text(err error) string {
	if err == nil {
		return "<nil>"
	}
	return err.Error()
}

// rounded is d as one would say it: 1.2s, 340ms.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

package redial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// These are the reasons why a dial stops retrying, besides the cause of its
// context's cancellation. They appear in Error.Stop and Attempt.Stop, and
// errors.Is finds them in the error of the dial.
var (
	// ErrPermanent means that the last failure is not retried: its class is
	// not in the Policy, or the schedule of its class has ended.
	ErrPermanent error = &stopReason{text: "not to be retried"}

	// ErrMaxAttempts means that Dialer.MaxAttempts attempts have been made.
	ErrMaxAttempts error = &stopReason{text: "MaxAttempts reached"}

	// ErrMaxElapsed means that Dialer.MaxElapsed leaves no time for another
	// attempt, or that it cut off the last one. It is a timeout.
	ErrMaxElapsed error = &stopReason{text: "MaxElapsed too close", timeout: true}

	// ErrDeadline means that the deadline of the context, or Dialer.Deadline,
	// leaves no time for another attempt, or that it cut off the last one. It
	// is a timeout, and matches context.DeadlineExceeded.
	ErrDeadline error = &stopReason{text: "deadline too close", timeout: true, is: context.DeadlineExceeded}

	// errScheduleEnded is the ErrPermanent of a class that is in the Policy.
	errScheduleEnded error = &stopReason{text: "schedule ended", is: ErrPermanent}
)

// A stopReason is why a dial stopped retrying. Its text ends the message of an
// Error.
type stopReason struct {
	text    string
	timeout bool
	is      error // errors.Is matches this error too; nil: none
}

func (r *stopReason) Error() string        { return r.text }
func (r *stopReason) Timeout() bool        { return r.timeout }
func (r *stopReason) Temporary() bool      { return r.timeout }
func (r *stopReason) Is(target error) bool { return r.is != nil && target == r.is }

// An Error says how a dial failed. Dialer's methods return it within a *net.OpError, which
// has Op, Net, Source and Addr from the last attempt:
//
//	dial tcp 127.0.0.1:5432: connect: connection refused (refused, 4 attempts in 1.2s: deadline too close)
//
// errors.Is and errors.As find the last attempt's error with its errno, the reason for
// stopping and, if a context ended the dial, what the context's Err method returns.
//
// An attempt that the end of the dial cut off within a second tells nothing
// about the target. Nor does one that was cut off sooner than the target took to refuse
// or reset the attempt before. Then Class and Err come from the attempt before it.
type Error struct {
	Network, Address string        // as dialed
	Attempts         int           // made, or shared at a Gate; 0 if the dial was over before the first
	Elapsed          time.Duration // from the start of the dial to its end
	Class            Class         // of Err
	Err              error         // of the last attempt that tells something; if Attempts is 0, equal to Stop
	Stop             error         // ErrPermanent, ErrMaxAttempts, ErrMaxElapsed, ErrDeadline, or the cause of ctx; compare it by errors.Is
	History          []Attempt     // at most 16: all attempts, or the first 8 and the latest 8; in order

	ctxErr error    // the Err of the caller's context if it ended the dial; Stop holds its cause, which need not match Err
	kept   *history // what History is made of, until it is
}

// Error returns the last attempt's message, followed by the class, the number of
// attempts, the time, and the reason for stopping, in parentheses. It names
// the address if the *net.OpError around it does not.
func (e *Error) Error() string {
	op := opOf(e.Err)
	var message string
	switch {
	case e.Attempts == 0:
		message = "not attempted: " + text(e.Stop)
	case op.Op != "":
		message = text(op.Err)
	default:
		message = text(e.Err)
	}
	if op.Addr == nil && !strings.Contains(message, e.Address) { // never true for an empty address
		message = e.Address + ": " + message
	}
	if e.Attempts == 0 {
		return message
	}
	attempts := strconv.Itoa(e.Attempts) + " attempts"
	if e.Attempts == 1 {
		attempts = "1 attempt"
	}
	return fmt.Sprintf("%s (%v, %s in %v: %s)", message, e.Class, attempts, rounded(e.Elapsed), text(e.Stop))
}

// Unwrap returns the error of the last attempt, the reason for stopping and, if
// a context ended the dial, the result of its Err method.
func (e *Error) Unwrap() []error {
	all := make([]error, 0, 3)
	for _, err := range [...]error{e.Err, e.Stop, e.ctxErr} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// Timeout reports whether time ran out, for the last attempt or for the whole
// dial.
func (e *Error) Timeout() bool {
	return e.Class == Timeout || isTimeout(e.Err) ||
		e.ctxErr != context.Canceled && isTimeout(e.Stop) || isTimeout(e.ctxErr)
}

// Temporary returns what the Temporary method of the last attempt's error
// returns, and true for a timeout.
//
// Deprecated: it exists for net.Error. Use Class.
func (e *Error) Temporary() bool {
	return e.Timeout() || isTemporary(e.Err)
}

// MarshalLogObject implements zapcore.ObjectMarshaler. The fields are network,
// address, attempts, elapsed, class, error, errno (if there is one), stop and
// history. zap.Object and zap.Inline use them; zap.Error writes one line of text.
func (e *Error) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("network", e.Network)
	enc.AddString("address", e.Address)
	enc.AddInt("attempts", e.Attempts)
	enc.AddDuration("elapsed", e.Elapsed)
	addFailure(enc, e.Class, e.Err)
	if e.Stop != nil {
		enc.AddString("stop", text(e.Stop))
	}
	return addAll(enc, "history", e.History)
}

// complete makes History.
func (e *Error) complete() {
	if e.kept != nil {
		e.History, e.kept = e.kept.all(e), nil
	}
}

// asOpError returns e within a *net.OpError, which is where callers of
// net.Dialer look for an error.
func (e *Error) asOpError() *net.OpError {
	e.complete()
	op := opOf(e.Err)
	if op.Op == "" {
		op.Op, op.Net = "dial", e.Network
	}
	op.Err = e
	return &op
}

// opOf returns the operation that err reports, with addresses of package net's
// own types only, because callers switch on them. It returns the zero OpError if
// err reports none. That includes the alerts of crypto/tls, which are OpErrors
// without a network.
func opOf(err error) net.OpError {
	op, ok := err.(*net.OpError)
	if !ok || op == nil || op.Op == "" || op.Net == "" {
		return net.OpError{}
	}
	return net.OpError{Op: op.Op, Net: op.Net, Source: netAddr(op.Source), Addr: netAddr(op.Addr), Err: op.Err}
}

// netAddr returns addr if it has one of package net's own types, else nil.
func netAddr(addr net.Addr) net.Addr {
	switch addr.(type) {
	case *net.TCPAddr, *net.UDPAddr, *net.IPAddr, *net.IPNet, *net.UnixAddr:
		if !isNilPointer(addr) {
			return addr
		}
	}
	return nil
}

// isTimeout calls the Timeout method of the first error in err's tree that has one, and
// returns the result; false if there is none.
func isTimeout(err error) (timeout bool) {
	defer func() { _ = recover() }() // a nil pointer within err, whose Timeout panics
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// isTemporary is isTimeout for the Temporary method.
func isTemporary(err error) (temporary bool) {
	defer func() { _ = recover() }()
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

// text returns the message of an error that may be nil. If its Error method panics, as a nil
// pointer's does, the text is what package fmt makes of the error.
func text(err error) (s string) {
	if err == nil {
		return "<nil>"
	}
	defer func() {
		if recover() != nil {
			s = fmt.Sprint(err)
		}
	}()
	return err.Error()
}

// rounded returns d as a person would say it: 1.2s, 340ms.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

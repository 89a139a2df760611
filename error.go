package redial

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/plain"
	"github.com/seed-33f8b841/redial/internal/userinfo"
)

// An Error says how a dial failed. Dialer's methods return it within a *net.OpError, which has Op, Net,
// Source and Addr from the last attempt:
//
//	dial tcp 127.0.0.1:5432: connect: connection refused (refused, 4 attempts in 1.2s: deadline too close)
//
// errors.Is finds the errno, the reason for stopping and the context's cause.
//
// If the dial ends less than a second into its last attempt, and nothing has answered, Class and Err are
// about the attempt before. If that was refused after more than a second, as on Windows, its duration
// counts instead.
type Error struct {
	Network, Address string        // as dialed
	Attempts         int           // with shared ones; 0 if the dial was over before the first
	Elapsed          time.Duration // of the whole dial
	Class            Class         // of Err
	Err              error         // of the last attempt that says something; Stop if Attempts is 0
	Stop             Stop          // why no other attempt was made
	Cause            error         // context.Cause of the context that ended the dial, if one did
	History          []Attempt     // at most 8: all attempts, or the first 4 and the latest 4

	tooClose bool // the dial ended early, because too little time was left for another attempt
}

// Error returns a message such as the one above.
func (e *Error) Error() string {
	op := opOf(e.Err)
	stop := stopText(e.Stop, e.Cause, e.tooClose)
	var message string
	switch {
	case e.Attempts == 0:
		message = "not attempted: " + stop
	case op.Op != "":
		message = foreign.Text(op.Err)
	default:
		message = foreign.Text(e.Err)
	}
	isNamed := op.Addr != nil || strings.Contains(message, e.Address) // an empty address too
	message = userinfo.HideIn(message, e.Network, e.Address)
	if !isNamed {
		message = userinfo.Hide(e.Network, e.Address) + ": " + message
	}
	if e.Attempts == 0 {
		return message
	}
	attempts := strconv.Itoa(e.Attempts) + " attempts"
	if e.Attempts == 1 {
		attempts = "1 attempt"
	}
	return fmt.Sprintf("%s (%v, %s in %v: %s)", message, e.Class, attempts, plain.Duration(e.Elapsed), stop)
}

// stopText returns why a dial stopped, with the cause if the context's owner gave one.
func stopText(stop Stop, cause error, tooClose bool) string {
	text := stop.textOf(tooClose)
	if cause == nil || cause == context.Canceled || cause == context.DeadlineExceeded {
		return text
	}
	return text + ": " + foreign.Text(cause)
}

// Unwrap returns Err, Stop and Cause, as far as they are set.
func (e *Error) Unwrap() []error {
	all := make([]error, 0, 3)
	if e.Err != nil {
		all = append(all, e.Err)
	}
	if e.Stop != 0 {
		all = append(all, e.Stop)
	}
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	return all
}

// Timeout reports whether the last failure was a timeout, the deadline of the caller's context has
// passed, or time was up before the first attempt. If too little time was left for another attempt, only
// Stop.Timeout is true.
func (e *Error) Timeout() bool {
	return e.Class == Timeout || foreign.Timeout(e.Err) || e.Stop == ErrDeadline && e.Cause != nil
}

// Temporary returns what the last attempt's error returns, and true for a timeout.
//
// Deprecated: it exists for net.Error. Use Class.
func (e *Error) Temporary() bool {
	return e.Timeout() || foreign.Temporary(e.Err)
}

// MarshalLogObject implements zapcore.ObjectMarshaler, for zap.Object and zap.Inline. (zap.Error writes
// only text.)
func (e *Error) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("network", e.Network)
	enc.AddString("address", userinfo.Hide(e.Network, e.Address))
	enc.AddInt("attempts", e.Attempts)
	enc.AddDuration("elapsed", e.Elapsed)
	addFailure(enc, e.Class, e.Err, e.Network, e.Address)
	addStop(enc, e.Stop, e.Cause, e.tooClose)
	return addAll(enc, "history", e.History)
}

// asOpError returns e within a *net.OpError, which is where callers of
// net.Dialer look for an error.
func (e *Error) asOpError() *net.OpError {
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
		if !foreign.IsNil(addr) {
			return addr
		}
	}
	return nil
}

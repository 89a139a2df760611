package redial

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// An Attempt is the record of one attempt: it is what is logged of it, what
// Dialer.OnAttempt is called with, and what Error.History is made of.
type Attempt struct {
	Network, Address string        // as dialed
	Number           int           // from 1
	Start            time.Time     // of this attempt
	Duration         time.Duration // of this attempt, Dialer.Verify included
	Resolve          time.Duration // of that, spent resolving the name; 0 if its addresses were not raced
	Elapsed          time.Duration // from the begin of the dial to the end of this attempt
	Addrs            []AddrResult  // every address tried of a name, in the order of their starts; nil as Resolve is 0
	Remote           net.Addr      // of the connection; nil on failure
	Err              error         // as the inner dialer returned it; nil on success
	Class            Class         // of Err; Unknown on success
	Shared           bool          // another dial's probe, learnt of through the Gate: Start, Duration and Err are its
	Delay            time.Duration // before the next attempt; 0 if there is none
	Stop             error         // why there is none; nil on success and while retrying
}

// MarshalLogObject implements zapcore.ObjectMarshaler with a field of its own
// for each thing: network, address, attempt, duration, elapsed, resolve if a
// name was resolved and, on success remote, on failure class, error, errno (its
// text, if there is one), shared if it is, addrs (an object each) and delay or stop. Durations
// are encoded as the encoder does.
func (a Attempt) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("network", a.Network)
	enc.AddString("address", a.Address)
	enc.AddInt("attempt", a.Number)
	enc.AddDuration("duration", a.Duration)
	enc.AddDuration("elapsed", a.Elapsed)
	if a.Addrs != nil || a.Resolve > 0 {
		enc.AddDuration("resolve", a.Resolve)
	}
	if a.Remote != nil {
		enc.AddString("remote", a.Remote.String())
	}
	if a.Err != nil {
		addFailure(enc, a.Class, a.Err)
		if a.Shared {
			enc.AddBool("shared", true)
		}
		if err := addAll(enc, "addrs", a.Addrs); err != nil {
			return err
		}
	}
	if a.Delay > 0 {
		enc.AddDuration("delay", a.Delay)
	}
	if a.Stop != nil {
		enc.AddString("stop", a.Stop.Error())
	}
	return nil
}

// addAll adds an array of objects, if there are any.
func addAll[T zapcore.ObjectMarshaler](enc zapcore.ObjectEncoder, key string, all []T) error {
	if len(all) == 0 {
		return nil
	}
	return enc.AddArray(key, zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		for _, one := range all {
			if err := enc.AppendObject(one); err != nil {
				return err
			}
		}
		return nil
	}))
}

// addFailure adds the class, the error and the text of the system's own error.
func addFailure(enc zapcore.ObjectEncoder, class Class, err error) {
	enc.AddString("class", class.String())
	enc.AddString("error", text(err))
	var s *os.SyscallError
	if errors.As(err, &s) {
		enc.AddString("errno", text(s.Err))
	}
}

// The messages are constant, so that zap's sampling counts like with like.
const (
	msgConnected = "dial succeeded" // at the first attempt
	msgRecovered = "dial recovered" // at a later one
	msgRetrying  = "dial attempt failed, will retry"
	msgFailed    = "dial failed"
	msgCanceled  = "dial canceled" // by its caller
)

// record logs a and hands it to OnAttempt: once for each attempt, the last
// too. The logger is asked for the level first, so that a disabled one costs
// no more than the question.
func (d *Dialer) record(ctx context.Context, a *Attempt) {
	level, msg := levelOf(a)
	if entry := d.logger().Check(level, msg); entry != nil {
		entry.Write(zap.Inline(*a))
	}
	if d.OnAttempt != nil {
		d.OnAttempt(ctx, *a)
	}
}

func levelOf(a *Attempt) (zapcore.Level, string) {
	switch {
	case a.Err == nil:
		return levelOfSuccess(a.Number)
	case a.Shared && a.Stop == nil: // one outage is one stream of warnings: the prober's
		return zapcore.DebugLevel, msgRetrying
	case a.Shared:
		return zapcore.DebugLevel, msgFailed
	case a.Stop == nil:
		return zapcore.WarnLevel, msgRetrying
	case a.Class == Canceled && a.Stop != ErrPermanent: // not an inner dialer's own doing
		return zapcore.InfoLevel, msgCanceled
	}
	return zapcore.ErrorLevel, msgFailed
}

func levelOfSuccess(attempt int) (zapcore.Level, string) {
	if attempt > 1 {
		return zapcore.InfoLevel, msgRecovered
	}
	return zapcore.DebugLevel, msgConnected
}

// records tells whether anyone wants a record of that level.
func (d *Dialer) records(level zapcore.Level) bool {
	return d.OnAttempt != nil || d.logger().Core().Enabled(level)
}

// recordCanceled logs a dial that its caller ended between attempts, or before
// the first. It adds to the attempts' own records, for the last of them said
// that another would follow.
func (d *Dialer) recordCanceled(e *Error) {
	if entry := d.logger().Check(zapcore.InfoLevel, msgCanceled); entry != nil {
		withoutHistory := *e
		withoutHistory.History = nil
		entry.Write(zap.Inline(&withoutHistory))
	}
}

func (d *Dialer) logger() *zap.Logger {
	if d.Logger != nil {
		return d.Logger
	}
	return zap.L()
}

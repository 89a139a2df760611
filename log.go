package redial

import (
	"log/slog"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// An Attempt is the record of one attempt. It is logged, passed to
// Dialer.OnAttempt, and kept in Error.History.
type Attempt struct {
	Network, Address string        // as dialed
	Number           int           // of this attempt in its dial, from 1
	Start            time.Time     // of this attempt
	Duration         time.Duration // of this attempt, including Dialer.Verify
	Resolve          time.Duration // the part of Duration spent resolving the name; 0 if its addresses were not raced
	Elapsed          time.Duration // from the start of the dial to the end of this attempt
	Addrs            []AddrResult  // every address of the name that was tried, in the order of their starts; nil if they were not raced
	Remote           net.Addr      // of the connection; nil on failure
	Err              error         // as the inner dialer returned it; nil on success
	Class            Class         // of Err; Unknown on success
	Shared           bool          // another dial's probe, reported by the Gate; Start, Duration and Err are the probe's
	Delay            time.Duration // until the next attempt; at a Gate, the longest that this can take; 0 if there is no next attempt
	Stop             error         // why there is no next attempt; nil on success and while retrying
}

// MarshalLogObject implements zapcore.ObjectMarshaler. The fields are network,
// address, attempt, duration and elapsed; resolve if a name was resolved; remote
// on success; and on failure class, error, errno (the text of the system's error,
// if there is one), shared (if true), addrs (an array of objects), and delay or
// stop. The encoder decides the form of durations.
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
		enc.AddString("stop", text(a.Stop))
	}
	return nil
}

// LogValue implements slog.LogValuer. It returns a group of the fields that
// MarshalLogObject adds.
func (a Attempt) LogValue() slog.Value { return groupOf(a) }

// LogValue implements slog.LogValuer. It returns a group of the fields that
// MarshalLogObject adds.
func (r AddrResult) LogValue() slog.Value { return groupOf(r) }

// LogValue implements slog.LogValuer. It returns a group of the fields that
// MarshalLogObject adds.
func (e *Error) LogValue() slog.Value { return groupOf(e) }

// groupOf returns the fields of m for slog. An array of objects becomes a slice of maps,
// because slog has no arrays.
func groupOf(m zapcore.ObjectMarshaler) slog.Value {
	var enc attrEncoder
	_ = m.MarshalLogObject(&enc) // none of this package's returns an error
	return slog.GroupValue(enc.attrs...)
}

// An attrEncoder collects fields as attributes. It has those methods of an
// ObjectEncoder that the records of this package use.
type attrEncoder struct {
	zapcore.ObjectEncoder // nil
	attrs                 []slog.Attr
}

func (e *attrEncoder) add(a slog.Attr)                         { e.attrs = append(e.attrs, a) }
func (e *attrEncoder) AddString(key, v string)                 { e.add(slog.String(key, v)) }
func (e *attrEncoder) AddInt(key string, v int)                { e.add(slog.Int(key, v)) }
func (e *attrEncoder) AddBool(key string, v bool)              { e.add(slog.Bool(key, v)) }
func (e *attrEncoder) AddDuration(key string, v time.Duration) { e.add(slog.Duration(key, v)) }

func (e *attrEncoder) AddArray(key string, array zapcore.ArrayMarshaler) error {
	m := zapcore.NewMapObjectEncoder()
	err := m.AddArray(key, array)
	e.add(slog.Any(key, m.Fields[key]))
	return err
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
	if s := find[*os.SyscallError](err); s != nil {
		enc.AddString("errno", text(s.Err))
	}
}

// The messages are constant, because zap samples records by message.
const (
	msgConnected = "dial succeeded" // at the first attempt
	msgRecovered = "dial recovered" // at a later one
	msgRetrying  = "dial attempt failed, will retry"
	msgFailed    = "dial failed"
	msgCanceled  = "dial canceled" // by its caller
)

// record logs a and calls OnAttempt. It first asks the logger whether the level is
// enabled, so that a disabled level costs next to nothing.
func (l *loop) record(a *Attempt) {
	level, msg := levelOf(a)
	if entry := l.dialer.logger().Check(l.levelFor(level), msg); entry != nil {
		entry.Write(zap.Inline(*a))
	}
	if l.dialer.OnAttempt != nil {
		l.dialer.OnAttempt(l.attemptCtx, *a)
	}
}

func levelOf(a *Attempt) (zapcore.Level, string) {
	switch {
	case a.Err == nil:
		return levelOfSuccess(a.Number)
	case a.Shared && a.Stop == nil: // the dial that made the probe logs the warning, so one outage logs it once
		return zapcore.DebugLevel, msgRetrying
	case a.Shared:
		return zapcore.DebugLevel, msgFailed
	case a.Stop == nil:
		return zapcore.WarnLevel, msgRetrying
	case a.Class == Canceled && a.Stop != ErrPermanent: // ErrPermanent: the inner dialer canceled by itself
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

// levelFor lowers the level of a record if somebody else decides whether the
// failure is final: the dial around this one, or a caller that allows only one
// attempt and retries by itself.
func (l *loop) levelFor(level zapcore.Level) zapcore.Level {
	switch {
	case l.nested:
		return zapcore.DebugLevel
	case l.maxAttempts == 1:
		return min(level, zapcore.WarnLevel)
	}
	return level
}

// records reports whether OnAttempt or the logger wants a record of that level, which
// levelFor may lower.
func (l *loop) records(level zapcore.Level) bool {
	return l.dialer.OnAttempt != nil || l.dialer.logger().Core().Enabled(l.levelFor(level))
}

// recordEnd logs a dial that ended between two attempts, or before the first.
// The record of the last attempt, if there was one, announced another attempt.
func (l *loop) recordEnd(e *Error, canceled bool) {
	level, msg := zapcore.ErrorLevel, msgFailed
	if canceled {
		level, msg = zapcore.InfoLevel, msgCanceled
	}
	if entry := l.dialer.logger().Check(l.levelFor(level), msg); entry != nil {
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

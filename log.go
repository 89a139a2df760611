package redial

import (
	"os"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/userinfo"
)

// This file logs attempts with zap: one record for each, at a level that says who must care.

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (a Attempt) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("network", a.Network)
	enc.AddString("address", userinfo.Hide(a.Network, a.Address))
	enc.AddInt("attempt", a.Number)
	enc.AddDuration("duration", a.Duration)
	enc.AddDuration("elapsed", a.Elapsed)
	if a.Nested {
		enc.AddBool("nested", true)
	}
	if a.Addrs != nil || a.Resolve > 0 {
		enc.AddDuration("resolve", a.Resolve)
	}
	if a.Unanswered != "" {
		enc.AddString("unanswered", a.Unanswered)
	}
	if a.Remote != nil {
		enc.AddString("remote", foreign.String(a.Remote))
	}
	if a.Err != nil {
		addFailure(enc, a.Class, a.Err, a.Network, a.Address)
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
	addStop(enc, a.Stop, a.Cause, a.tooClose)
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

// addFailure adds the class, the error and the text of the system's own error, for a dial of address.
func addFailure(enc zapcore.ObjectEncoder, class Class, err error, network, address string) {
	enc.AddString("class", class.String())
	enc.AddString("error", userinfo.HideIn(foreign.Text(err), network, address))
	if s, ok := foreign.As[*os.SyscallError](err); ok {
		enc.AddString("errno", foreign.Text(s.Err))
	}
}

// addStop adds why a dial stopped, if it has, and the cause of the context that ended it.
func addStop(enc zapcore.ObjectEncoder, stop Stop, cause error, tooClose bool) {
	if stop != 0 {
		enc.AddString("stop", stop.textOf(tooClose))
	}
	if cause != nil {
		enc.AddString("cause", foreign.Text(cause))
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
// enabled, so that a disabled level costs next to nothing. OnAttempt gets addresses of its
// own, because it may change them.
func (d *dial) record(a *Attempt) {
	level, msg := levelOf(a)
	if entry := d.dialer.logger().Check(d.levelFor(level), msg); entry != nil {
		entry.Write(zap.Inline(*a))
	}
	if d.dialer.OnAttempt != nil {
		own := *a
		own.Addrs = slices.Clone(a.Addrs)
		d.dialer.OnAttempt(d.attemptCtx, own)
	}
}

func levelOf(a *Attempt) (zapcore.Level, string) {
	switch {
	case a.Err == nil:
		return levelOfSuccess(a.Number)
	case a.Shared && a.Stop == 0: // the dial that made the attempt logs the warning, so one outage logs it once
		return zapcore.DebugLevel, msgRetrying
	case a.Shared:
		return zapcore.DebugLevel, msgFailed
	case a.Stop == 0:
		return zapcore.WarnLevel, msgRetrying
	case a.Stop == ErrCanceled:
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
func (d *dial) levelFor(level zapcore.Level) zapcore.Level {
	switch {
	case d.outer != nil:
		return zapcore.DebugLevel
	case d.isSingle():
		return min(level, zapcore.WarnLevel)
	}
	return level
}

// recordsSuccess reports whether OnAttempt or the logger wants a record of a success.
func (d *dial) recordsSuccess() bool {
	level, _ := levelOfSuccess(d.attempts)
	return d.dialer.OnAttempt != nil || d.dialer.logger().Core().Enabled(d.levelFor(level))
}

// recordEnd logs a dial that ended between two attempts, or before the first.
// The record of the last attempt, if there was one, announced another attempt.
func (d *dial) recordEnd(e *Error) {
	level, msg := zapcore.ErrorLevel, msgFailed
	if e.Stop == ErrCanceled {
		level, msg = zapcore.InfoLevel, msgCanceled
	}
	if entry := d.dialer.logger().Check(d.levelFor(level), msg); entry != nil {
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

package redial

import (
	"context"
	"fmt"
)

// A Stop says why a dial made no other attempt. It is in [Attempt], [Error] and [Result].
// The zero value means that the dial goes on, or that it has connected.
//
// A Stop is an error, and errors.Is finds it in the error of the dial. Compare it by ==
// or in a switch where you have the Stop itself.
type Stop uint8

// The reasons for which a dial stops.
const (
	// ErrPermanent means that the last failure is not retried, because its class is
	// not in the Policy.
	ErrPermanent Stop = iota + 1

	// ErrScheduleEnded means that the schedule of the last failure's class has ended.
	// It matches ErrPermanent too.
	ErrScheduleEnded

	// ErrMaxAttempts means that Dialer.MaxAttempts attempts have been made.
	ErrMaxAttempts

	// ErrMaxElapsed means that Dialer.MaxElapsed is over, or leaves too little time
	// for another attempt.
	ErrMaxElapsed

	// ErrDeadline means that the deadline of the context, or Dialer.Deadline, has
	// passed, or leaves too little time for another attempt. It matches
	// context.DeadlineExceeded.
	ErrDeadline

	// ErrCanceled means that the caller gave up: its context was canceled, or
	// Dialer.Cancel was closed. It matches context.Canceled.
	ErrCanceled
)

var stops = [...]struct{ name, text string }{
	ErrPermanent:     {"permanent", "not to be retried"},
	ErrScheduleEnded: {"schedule_ended", "schedule ended"},
	ErrMaxAttempts:   {"max_attempts", "MaxAttempts reached"},
	ErrMaxElapsed:    {"max_elapsed", "MaxElapsed reached"},
	ErrDeadline:      {"deadline", "deadline reached"},
	ErrCanceled:      {"canceled", "canceled"},
}

func (s Stop) isKnown() bool { return 0 < s && int(s) < len(stops) }

// Error returns the reason as a person would say it, such as "MaxAttempts reached".
func (s Stop) Error() string {
	switch {
	case s == 0:
		return "not stopped"
	case s.isKnown():
		return stops[s].text
	}
	return fmt.Sprintf("Stop(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler with the name of the reason, such as
// "max_attempts". The zero value has the empty name. MarshalText returns an error if s is
// none of the constants.
func (s Stop) MarshalText() ([]byte, error) {
	switch {
	case s == 0:
		return nil, nil
	case s.isKnown():
		return []byte(stops[s].name), nil
	}
	return nil, fmt.Errorf("redial: %v is not a reason to stop", s)
}

// Is reports whether s also matches target, as the constants say.
func (s Stop) Is(target error) bool {
	switch s {
	case ErrScheduleEnded:
		return target == ErrPermanent
	case ErrDeadline:
		return target == context.DeadlineExceeded
	case ErrCanceled:
		return target == context.Canceled
	}
	return false
}

// Timeout reports whether s is a lack of time: ErrMaxElapsed or ErrDeadline.
func (s Stop) Timeout() bool { return s == ErrMaxElapsed || s == ErrDeadline }

// textOf returns the text of a reason. A dial that ran out of time either used all of it,
// or ended early because too little was left for another attempt (tooClose).
func (s Stop) textOf(tooClose bool) string {
	switch {
	case tooClose && s == ErrMaxElapsed:
		return "MaxElapsed too close"
	case tooClose && s == ErrDeadline:
		return "deadline too close"
	}
	return s.Error()
}

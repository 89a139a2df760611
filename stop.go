package redial

import (
	"context"
	"fmt"
)

// A Stop says why a dial made no other attempt. Zero means that it goes on, or has connected.
// errors.Is finds a Stop in the dial's error.
type Stop uint8

// The reasons for which a dial stops.
const (
	ErrPermanent     Stop = iota + 1 // the Policy does not retry the class of the last failure
	ErrScheduleEnded                 // the schedule of the class has ended; it matches ErrPermanent
	ErrMaxAttempts                   // Dialer.MaxAttempts have been made
	ErrMaxElapsed                    // Dialer.MaxElapsed has passed, or is too close for an attempt
	ErrDeadline                      // the same of ctx's deadline, or Dialer.Deadline; it matches context.DeadlineExceeded
	ErrCanceled                      // the caller gave up, by ctx or Dialer.Cancel; it matches context.Canceled
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

// Error returns the reason as a text, such as "MaxAttempts reached".
func (s Stop) Error() string {
	switch {
	case s == 0:
		return "not stopped"
	case s.isKnown():
		return stops[s].text
	}
	return fmt.Sprintf("Stop(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler with a name such as "max_attempts", or "" for zero. It
// returns an error if s is no reason.
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

// Timeout reports whether s is ErrMaxElapsed or ErrDeadline.
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

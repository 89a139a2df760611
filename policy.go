package redial

import (
	"maps"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/seed-33f8b841/redial/internal/foreign"
)

// minDelay is the shortest wait between two attempts, so that a schedule of zero
// delays does not connect in a tight loop.
const minDelay = time.Millisecond

// A Policy says which classes are retried. At the first failure of a class, a dial calls the class's
// function for a new schedule, which returns one delay after another. Many goroutines can call the
// function at once.
//
// A class without a function, or whose function returns nil, is not retried; Canceled never is. A
// delay under 1 ms is raised to 1 ms. A negative delay, such as backoff.Stop, ends the dial.
//
// A literal &backoff.ExponentialBackOff{...} gets backoff's defaults for its zero fields, but not
// within a wrapper such as backoff.WithMaxRetries.
type Policy map[Class]func() backoff.BackOff

// DefaultPolicy returns a new copy of the policy that a Dialer without a Policy uses:
//   - Refused and Unreachable by Exponential(100*time.Millisecond, time.Second),
//   - Reset, DNS and Timeout by Exponential(100*time.Millisecond, 5*time.Second).
func DefaultPolicy() Policy {
	return maps.Clone(defaultPolicy)
}

var defaultPolicy = func() Policy {
	quick := Exponential(100*time.Millisecond, time.Second)
	slow := Exponential(100*time.Millisecond, 5*time.Second)
	return Policy{
		Refused:     quick,
		Unreachable: quick,
		Reset:       slow,
		DNS:         slow,
		Timeout:     slow,
	}
}()

// Exponential returns a function that makes schedules, for a [Policy]. The nominal delay starts at
// initial and doubles until it is max. Each delay is drawn at random from 50 % below it to 50 % above,
// but never over max. A max below initial counts as initial; an initial of zero or less, as 1 ms.
func Exponential(initial, max time.Duration) func() backoff.BackOff {
	if initial <= 0 {
		initial = minDelay
	}
	if max < initial {
		max = initial
	}
	initial, max = min(initial, longest), min(max, longest)
	return func() backoff.BackOff {
		return &exponential{initial, max, initial}
	}
}

// longest is the longest nominal delay, 73 years. It leaves room for the jitter.
const longest time.Duration = math.MaxInt64 / 4

// An exponential is a schedule of Exponential. It is not a
// backoff.ExponentialBackOff, which applies its MaxInterval before it draws and takes
// four times the memory of a dial that waits.
type exponential struct{ initial, max, nominal time.Duration }

func (e *exponential) Reset() { e.nominal = e.initial }

func (e *exponential) NextBackOff() time.Duration {
	delay := e.nominal/2 + rand.N(e.nominal+1)
	e.nominal += min(e.nominal, e.max-e.nominal)
	if delay > e.max {
		delay = 2*e.max - delay
	}
	return delay
}

// start returns a new schedule for class, ready for its first delay, or nil if
// the class is not to be retried.
func (p Policy) start(class Class) backoff.BackOff {
	newSchedule := p[class]
	if newSchedule == nil {
		return nil
	}
	schedule := newSchedule()
	if foreign.IsNil(schedule) {
		return nil
	}
	if e, ok := schedule.(*backoff.ExponentialBackOff); ok {
		complete(e)
	}
	schedule.Reset() // as backoff.Retry does; until then, a literal has no current interval
	return schedule
}

// complete sets the zero fields of a literal ExponentialBackOff to backoff's defaults.
// Without a Clock the literal panics, with a zero Stop it never ends, and zero intervals
// and a zero Multiplier mean that it does not wait.
func complete(e *backoff.ExponentialBackOff) {
	if e.Clock == nil {
		e.Clock = backoff.SystemClock
	}
	if e.InitialInterval == 0 {
		e.InitialInterval = backoff.DefaultInitialInterval
	}
	if e.Stop == 0 {
		e.Stop = backoff.Stop
	}
	if e.Multiplier == 0 {
		e.Multiplier = backoff.DefaultMultiplier
	}
	if e.MaxInterval == 0 {
		e.MaxInterval = max(backoff.DefaultMaxInterval, e.InitialInterval)
	}
}

// schedules are the started schedules of a dial, one for each class of its failures.
type schedules []startedSchedule

type startedSchedule struct {
	class Class
	backoff.BackOff
}

// of returns the schedule of class, and starts it by policy if there is none yet. It returns
// nil if the class is not to be retried.
func (s *schedules) of(class Class, policy Policy) backoff.BackOff {
	for _, started := range *s {
		if started.class == class {
			return started.BackOff
		}
	}
	schedule := policy.start(class)
	if schedule != nil {
		*s = append(*s, startedSchedule{class, schedule})
	}
	return schedule
}

package redial

import (
	"maps"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// minDelay is the shortest wait between two attempts: a schedule of none must
// not make a loop of connects.
const minDelay = time.Millisecond

// A Policy says which classes are retried, and on which schedule: for each
// dial, and each class that turns up in it, the class's function is called
// once, and the schedule it returns asked for one delay after another. It must
// return a new schedule each time, as [Exponential]'s do, for a schedule has
// state; it may be called by many goroutines at once.
//
// A class that is absent is not retried, nor is one whose function is nil or
// returns nil. A delay under 1 ms is raised to 1 ms; a negative one, such as
// backoff.Stop, ends the dial. Canceled is never retried.
//
// Schedules keep to themselves: after timeouts, a first Refused starts with
// the first delay of its own.
type Policy map[Class]func() backoff.BackOff

// DefaultPolicy returns a new copy of the policy that a Dialer with none uses,
// to be adjusted: it retries Refused, Reset, DNS, Timeout and Unreachable, each
// by Exponential(100*time.Millisecond, 5*time.Second).
func DefaultPolicy() Policy {
	return maps.Clone(defaultPolicy)
}

var defaultPolicy = func() Policy {
	exponential := Exponential(100*time.Millisecond, 5*time.Second)
	return Policy{
		Refused:     exponential,
		Reset:       exponential,
		DNS:         exponential,
		Timeout:     exponential,
		Unreachable: exponential,
	}
}()

// Exponential returns a maker of schedules, for a [Policy], whose delay starts
// at initial and doubles until it is max. Each delay is drawn at random from
// 50 % below that to 50 % above, yet is never over max: what would be is
// mirrored at max, so that the delays of many dials stay spread out. The first
// is drawn too.
//
// A max below initial counts as initial; an initial of zero or less as 1 ms.
func Exponential(initial, max time.Duration) func() backoff.BackOff {
	if initial <= 0 {
		initial = minDelay
	}
	if max < initial {
		max = initial
	}
	return func() backoff.BackOff {
		return &exponential{backoff.ExponentialBackOff{
			InitialInterval:     initial,
			RandomizationFactor: 0.5,
			Multiplier:          2,
			MaxInterval:         max,
			Stop:                backoff.Stop,
			Clock:               backoff.SystemClock,
		}}
	}
}

// exponential keeps the drawn delay, too, within MaxInterval, which
// backoff.ExponentialBackOff applies before it draws.
type exponential struct{ backoff.ExponentialBackOff }

func (e *exponential) NextBackOff() time.Duration {
	delay := e.ExponentialBackOff.NextBackOff()
	if delay > e.MaxInterval {
		delay = 2*e.MaxInterval - delay
	}
	return delay
}

// start returns a new schedule for class, ready for its first delay; nil if
// the class is not to be retried.
func (p Policy) start(class Class) backoff.BackOff {
	newSchedule := p[class]
	if newSchedule == nil {
		return nil
	}
	schedule := newSchedule()
	if schedule == nil || isNilPointer(schedule) {
		return nil
	}
	if e, ok := schedule.(*backoff.ExponentialBackOff); ok {
		complete(e)
	}
	schedule.Reset() // as backoff.Retry does: a literal has no current interval before
	return schedule
}

// complete gives a literal ExponentialBackOff what NewExponentialBackOff would
// have: without a clock it panics, and the zero values of the others mean
// delays of nothing.
func complete(e *backoff.ExponentialBackOff) {
	if e.Clock == nil {
		e.Clock = backoff.SystemClock
	}
	if e.Stop == 0 {
		e.Stop = backoff.Stop
	}
	if e.Multiplier == 0 {
		e.Multiplier = backoff.DefaultMultiplier
	}
	if e.MaxInterval == 0 {
		e.MaxInterval = backoff.DefaultMaxInterval
	}
}

// A schedule is one that has been started, for a class.
type schedule struct {
	backoff.BackOff
	class Class
}

// scheduleOf is the class's own among schedules, started by policy if it is
// not there yet; nil if there is none.
func scheduleOf(schedules *[]schedule, class Class, policy Policy) backoff.BackOff {
	for _, s := range *schedules {
		if s.class == class {
			return s.BackOff
		}
	}
	started := policy.start(class)
	*schedules = append(*schedules, schedule{started, class})
	return started
}

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

// A Policy says which classes are retried, and on which schedule. At the first failure of
// a class, a dial calls the class's function, which returns a schedule. The dial then asks
// the schedule for one delay after another. The function must return a new schedule each
// time, as a function made by [Exponential] does, because a schedule has state. Many
// goroutines can call the function at once.
//
// A class that is absent is not retried. Nor is a class whose function is nil or
// returns nil. A delay under 1 ms is raised to 1 ms. A negative delay, such as
// backoff.Stop, ends the dial. Canceled is never retried.
//
// Each dial has schedules of its own, also at a [Gate], one for each class: after some
// timeouts, the first Refused is followed by the first delay of its own schedule.
//
// A literal &backoff.ExponentialBackOff{...} gets backoff's defaults for the fields that are
// zero, so that it does not panic without a Clock. Within a wrapper such as
// backoff.WithMaxRetries, make it by backoff.NewExponentialBackOff.
type Policy map[Class]func() backoff.BackOff

// DefaultPolicy returns a new copy of the policy that a Dialer without a Policy uses. The
// caller can change the copy. The policy retries
//   - Refused and Unreachable by Exponential(100*time.Millisecond, time.Second),
//   - Reset, DNS and Timeout by Exponential(100*time.Millisecond, 5*time.Second).
//
// These schedules were chosen by simulation (bench/RESULTS.md, part 8). A refusal comes at
// once, from the kernel of the server's machine, and costs the server little. If the server
// is back after 2 to 10 s, the dial connects 0.4 s later on average, and 1 s later at worst.
// It makes 43 attempts in 30 s. With a longest delay of 5 s, it would connect 1 to 2 s later
// on average, 5 s at worst, and make 13 attempts. An unreachable target does not even see the
// attempts. A reset and a look-up are work for a server, so their delays grow to 5 s. After a
// timeout, the schedule hardly matters, because the attempt has taken 10 s, the default
// Timeout.
//
// Short delays are load on a server that is down. In a simulation of 10 000 processes with
// 50 dials each, the server sees 667 000 connects a second; with a longest delay of 5 s, it
// would see 133 000. A [Gate] in each process bounds the connects to 100 000 a second, or to
// 20 000 with a MinInterval of 500 ms. Either way, the last dial connects when the server has
// accepted all the others.
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

// Exponential returns a function that makes schedules, for a [Policy]. The nominal delay
// starts at initial and doubles until it is max. Each actual delay, also the first, is
// drawn at random from 50 % below the nominal delay to 50 % above it. It is never over
// max: a value beyond max is mirrored at max, so that the delays of many dials stay
// spread out.
//
// A max below initial counts as initial. An initial of zero or less counts as 1 ms. The
// function that Exponential returns can be called concurrently.
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

// schedules are the started schedules of a dial, one for each class that has occurred.
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

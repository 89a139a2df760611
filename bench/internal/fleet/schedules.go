package fleet

import (
	"math"
	"math/rand/v2"
	"time"

	retrygo "github.com/avast/retry-go/v5"
	backoffv4 "github.com/cenkalti/backoff/v4"
	backoffv5 "github.com/cenkalti/backoff/v5"
	goretry "github.com/sethvargo/go-retry"

	"github.com/seed-33f8b841/redial"
)

// Default returns the schedule of redial.DefaultPolicy for a class.
func Default(class redial.Class) Schedule {
	return ofBackOff("redial", redial.DefaultPolicy()[class])
}

// Exponential returns the schedule of redial.Exponential.
func Exponential(initial, max time.Duration) Schedule {
	return ofBackOff("Exponential "+initial.String()+" to "+max.String(), redial.Exponential(initial, max))
}

func ofBackOff(name string, newSchedule func() backoffv4.BackOff) Schedule {
	return Schedule{Name: name, New: func() Next { return newSchedule().NextBackOff }}
}

// Peers has the default schedules of the peers, without their limits on attempts and time. Where a peer
// exports its schedule, Peers calls the peer's code. TestSchedules compares each with its peer's loop.
var Peers = []Schedule{
	{Name: "backoff v4", New: func() Next {
		return backoffv4.NewExponentialBackOff(backoffv4.WithMaxElapsedTime(0)).NextBackOff
	}},
	{Name: "backoff v5", New: func() Next { return backoffv5.NewExponentialBackOff().NextBackOff }},
	{Name: "retry-go", New: func() Next {
		n := uint(0)
		return func() time.Duration {
			n++
			return retrygo.BackOffDelay(n, nil, retryGo) + retrygo.RandomDelay(n, nil, retryGo)
		}
	}},
	{Name: "failsafe-go, backoff", New: func() Next {
		delay := time.Second / 2
		return func() time.Duration {
			delay = min(2*delay, 10*time.Second)
			return delay
		}
	}},
	{Name: "go-retry", New: func() Next {
		b := goretry.NewFibonacci(time.Second)
		return func() time.Duration {
			delay, _ := b.Next()
			return delay
		}
	}},
	{Name: "go-retryablehttp", New: func() Next {
		delay := time.Second / 2
		return func() time.Duration {
			delay = min(2*delay, 30*time.Second)
			return delay
		}
	}},
}

var retryGo = retrygo.New()

// FullJitter draws each delay from zero to the nominal one, which doubles until it is longest.
// It is "full jitter" of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
func FullJitter(initial, longest time.Duration) Schedule {
	return Schedule{Name: "full jitter " + initial.String() + " to " + longest.String(), New: func() Next {
		nominal := initial
		return func() time.Duration {
			delay := rand.N(nominal + 1)
			nominal = min(2*nominal, longest)
			return delay
		}
	}}
}

// Decorrelated draws each delay from initial to three times the delay before, but never above
// longest. It is "decorrelated jitter" of the same article.
func Decorrelated(initial, longest time.Duration) Schedule {
	return Schedule{Name: "decorrelated " + initial.String() + " to " + longest.String(), New: func() Next {
		delay := initial
		return func() time.Duration {
			delay = min(initial+rand.N(3*delay-initial+1), longest)
			return delay
		}
	}}
}

// Once gives up after the given number of attempts, and does not wait between them.
func Once(name string, attempts int) Schedule {
	return Schedule{Name: name, New: func() Next {
		n := 0
		return func() time.Duration {
			if n++; n >= attempts {
				return math.MinInt64
			}
			return 0
		}
	}}
}

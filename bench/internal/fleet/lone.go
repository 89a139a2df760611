package fleet

import "time"

// A Failure says how an attempt at a server that is down fails. The zero value fails at once.
type Failure struct {
	Takes time.Duration // from the attempt's start until it fails

	// Sends has the times, from the attempt's start, at which it sends something again. The
	// attempt connects if the server has returned by then.
	Sends []time.Duration
}

// Recovery simulates a single dial on the schedule, at a server that is down for the given time. It
// returns how long after the server's return the dial connects, or false if the dial gives up before.
func Recovery(next Next, down time.Duration, f Failure) (time.Duration, bool) {
	for at := time.Duration(0); ; {
		if at >= down {
			return at - down, true
		}
		for _, sent := range f.Sends {
			if at+sent >= down {
				return at + sent - down, true
			}
		}
		delay := next()
		if delay < 0 {
			return 0, false
		}
		at += f.Takes + max(delay, tick)
	}
}

// Attempts returns how many attempts a single dial on the schedule begins within the given time, if
// all attempts fail.
func Attempts(next Next, within time.Duration, f Failure) int {
	n := 0
	for at := time.Duration(0); at < within; n++ {
		delay := next()
		if delay < 0 {
			return n + 1
		}
		at += f.Takes + max(delay, tick)
	}
	return n
}

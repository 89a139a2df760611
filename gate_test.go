package redial_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// What a Gate does while a target is down. Which attempts a dial makes, and which failures
// of others it takes.

// doubling returns a schedule from 100 ms to 1 s without jitter.
func doubling() backoff.BackOff {
	return &backoff.ExponentialBackOff{InitialInterval: 100 * time.Millisecond, Multiplier: 2, MaxInterval: time.Second}
}

var gated = redial.Policy{redial.Refused: doubling, redial.Timeout: doubling}

// gateDialer returns a Dialer that dials by script, uses gate, and has no MaxElapsed.
func gateDialer(script *dialtest.Dialer, gate *redial.Gate) *redial.Dialer {
	return &redial.Dialer{DialFunc: script.DialContext, Policy: gated, Gate: gate, MaxElapsed: -1}
}

// crowd makes a number of dials at once, and returns their errors when all have ended.
var crowd = testutil.Crowd

// starts returns the times from begin to the start of each dial of script.
func starts(script *dialtest.Dialer, begin time.Time) (all []time.Duration) {
	for _, dial := range script.Dials() {
		all = append(all, dial.Start.Sub(begin))
	}
	return all
}

func inMs(all []time.Duration) []time.Duration {
	ms := make([]time.Duration, len(all))
	for i, d := range all {
		ms[i] = d / time.Millisecond
	}
	return ms
}

// failOnce makes the target of d down: one attempt fails.
func failOnce(d *redial.Dialer) {
	once := *d
	once.MaxAttempts = 1
	once.Dial("tcp", address)
}

// However many dials wait, they try a dead server as often as the most eager of them, and all
// connect when it is back.
func TestGateTriesAsTheMostEager(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 10, many(10_000)} {
		testutil.Bubble(t, fmt.Sprint(n), func(t *testing.T) {
			burst := min(n, 16)
			script := dialtest.Script(dialtest.Refuse.After(10*ms).Times(burst+4), dialtest.OK.Forever())
			d := gateDialer(script, new(redial.Gate))
			begin := time.Now()
			errs := crowd(n, func(int) error { _, err := d.Dial("tcp", address); return err })
			assert.Equal(t, make([]error, n), errs)
			want := append(make([]time.Duration, burst), 110, 320, 730, 1540)
			for range n {
				want = append(want, 2550)
			}
			assert.Equal(t, want, inMs(starts(script, begin)))
		})
	}
	testutil.Bubble(t, "dials on different schedules", func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(8), dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		begin := time.Now()
		crowd(40, func(i int) error {
			d := *d
			d.Policy = retries(every(time.Hour))
			if i == 39 {
				d.Policy = retries(every(300 * ms))
			}
			_, err := d.Dial("tcp", address)
			assert.NoError(t, err)
			return err
		})
		assert.Equal(t, []time.Duration{0, 300, 600, 900, 1200, 1500, 1800, 2100, 2400}, inMs(starts(script, begin))[:9])
		assert.Equal(t, 2400*ms, time.Since(begin), "the others go when it has connected, not after an hour")
	})
}

// A dial that comes to a target that is down takes a fresh failure in place of its first
// attempt. If the failure is as old as MinInterval, the dial makes the attempt.
func TestGateFreshFailure(t *testing.T) {
	for _, test := range []struct {
		name     string
		interval time.Duration
		arrive   time.Duration // after the failure
		set      func(*redial.Dialer)
		starts   []time.Duration // of the dial's own attempts, after the failure
		shared   int
	}{
		{"fresh", 0, 40 * ms, nil, []time.Duration{1040}, 1},
		{"as old as MinInterval", 0, 100 * ms, nil, []time.Duration{100, 1100}, 0},
		{"fresh by a longer MinInterval", 700 * ms, 600 * ms, nil, []time.Duration{1600}, 1},
		{"not for an only attempt", 0, 40 * ms, func(d *redial.Dialer) { d.MaxAttempts = 1 }, []time.Duration{100}, 0},
		{"for an only attempt without time", 0, 40 * ms, func(d *redial.Dialer) { d.MaxAttempts, d.MaxElapsed = 1, 59*ms }, nil, 1},
		{"not for the second of two attempts", 0, 40 * ms, func(d *redial.Dialer) { d.MaxAttempts = 2 }, []time.Duration{1040}, 1},
		{"then the last attempt as late as possible", 0, 40 * ms, func(d *redial.Dialer) { d.MaxElapsed = 500 * ms }, []time.Duration{515}, 1},
		{"then the last attempt when MinInterval has passed", 0, 40 * ms, func(d *redial.Dialer) { d.MaxElapsed = 61 * ms }, []time.Duration{100}, 1},
		{"then no attempt, because MinInterval is too long", 0, 40 * ms, func(d *redial.Dialer) { d.MaxElapsed = 60 * ms }, nil, 1},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			d := gateDialer(script, &redial.Gate{MinInterval: test.interval})
			d.Policy = retries(after(time.Second))
			begin := time.Now()
			failOnce(d)
			time.Sleep(test.arrive)
			if test.set != nil {
				test.set(d)
			}
			shared := 0
			d.OnAttempt = func(_ context.Context, a redial.Attempt) {
				if a.Shared {
					shared++
				}
			}
			_, err := d.Dial("tcp", address)
			assert.ErrorIs(t, err, errScriptRefuses)
			assert.Equal(t, test.shared, shared)
			assert.ElementsMatch(t, test.starts, inMs(starts(script, begin))[1:])
		})
	}
}

// A dial that shares a failure records the other dial's attempt, with its own Number,
// Elapsed, Delay and Stop.
func TestGateSharedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		script := dialtest.Script(dialtest.Refuse.After(10 * ms).Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Logger, d.MaxAttempts = logger, 4
		d.Policy = retries(every(150 * ms))
		var mu sync.Mutex
		own := map[int]int{} // attempts, by their number
		errs := crowd(3, func(int) error {
			d := *d
			var seen []redial.Attempt
			d.OnAttempt = func(_ context.Context, a redial.Attempt) { seen = append(seen, a) }
			begin := time.Now()
			_, err := d.Dial("tcp", address)
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, seen, 4)
			for i, a := range seen {
				assert.Equal(t, i+1, a.Number)
				assert.Equal(t, redial.Refused, a.Class)
				assert.Equal(t, 10*ms, a.Duration)
				assert.Equal(t, a.Start.Add(a.Duration), begin.Add(a.Elapsed))
				if i < 3 {
					assert.Equal(t, 150*ms, a.Delay)
					assert.Zero(t, a.Stop)
					assert.Same(t, script.Dials()[i].Err, a.Err)
				}
				if !a.Shared {
					own[i+1]++
				}
			}
			assert.Equal(t, redial.ErrMaxAttempts, seen[3].Stop)
			return err
		})
		for _, err := range errs {
			assert.Equal(t, redial.ErrMaxAttempts, asError(t, err).Stop)
			assert.Equal(t, 4, asError(t, err).Attempts)
		}
		assert.Equal(t, map[int]int{1: 1, 2: 1, 3: 1, 4: 3}, own, "each dial makes its last attempt itself")

		// One outage logs each warning once. Shared failures are logged at level Debug.
		assert.Equal(t, 3, logs.FilterLevelExact(zap.WarnLevel).Len())
		assert.Equal(t, 3, logs.FilterLevelExact(zap.ErrorLevel).Len())
		shared := logs.FilterLevelExact(zap.DebugLevel)
		assert.Equal(t, 6, shared.FilterMessage("dial attempt failed, will retry").Len())
		assert.Equal(t, true, shared.All()[0].ContextMap()["shared"])
	})
}

// A dial's last attempt is its own, if its turn comes soon. A crowd does not queue for it: after
// a second, the failure of an attempt that has begun meanwhile is as good.
func TestGateLastAttemptIsOwn(t *testing.T) {
	for _, test := range []struct {
		dials int
		own   int // last attempts
		takes time.Duration
	}{
		{2, 2, 400 * ms}, {5, 5, 700 * ms}, {10, 10, 1200 * ms}, {1000, 11, 1300 * ms},
	} {
		testutil.Bubble(t, fmt.Sprint(test.dials), func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			d := gateDialer(script, new(redial.Gate))
			d.MaxAttempts = 2
			d.Policy = retries(every(300 * ms))
			begin := time.Now()
			crowd(test.dials, func(int) error {
				_, err := d.Dial("tcp", address)
				assert.ErrorIs(t, err, redial.ErrMaxAttempts)
				return err
			})
			var last []time.Duration
			for _, at := range starts(script, begin) {
				if at > 0 {
					last = append(last, at)
				}
			}
			assert.Len(t, last, test.own)
			for i, at := range last {
				assert.Equal(t, 300*ms+time.Duration(i)*100*ms, at)
			}
			assert.Equal(t, test.takes, time.Since(begin))
		})
	}
	testutil.Bubble(t, "as late as possible", func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := gateDialer(script, new(redial.Gate))
		d.MaxElapsed = 5 * time.Second
		d.Policy = retries(every(time.Minute))
		begin := time.Now()
		crowd(5, func(int) error {
			_, err := d.Dial("tcp", address)
			assert.ErrorIs(t, err, redial.ErrMaxElapsed)
			return err
		})
		// There is time for three own attempts. The others share the failure of the third.
		assert.Equal(t, []time.Duration{4750, 4850, 4950}, distinct(inMs(starts(script, begin)))[1:])
		assert.Equal(t, 4950*ms, time.Since(begin))
	})
}

// A dial whose time is up before it has had an attempt takes the latest failure, also an old
// one, rather than failing without a reason.
func TestGateTimeEndsInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		script := dialtest.Script(dialtest.Refuse, dialtest.Timeout.Forever())
		prober := gateDialer(script, new(redial.Gate))
		prober.Timeout = time.Hour
		probing, end := context.WithCancel(t.Context())
		defer end()
		go prober.DialContext(probing, "tcp", address) // it fails at once, then makes an attempt 100 ms later that gets no answer
		synctest.Wait()
		time.Sleep(210 * ms)

		d := *prober
		d.Logger, d.MaxElapsed = logger, 800*ms
		start := time.Now()
		_, err := d.Dial("tcp", address)
		assert.Equal(t, 800*ms, time.Since(start))
		e := asError(t, err)
		assert.Equal(t, redial.Refused, e.Class)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		require.Len(t, e.History, 1)
		assert.True(t, e.History[0].Shared)
		assert.Equal(t, 1, logs.Len())

		// A dial that its caller cancels returns the cancellation, without a failure.
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(40*ms, cancel)
		_, err = d.DialContext(ctx, "tcp", address)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, asError(t, err).Attempts)
	})
}

// A dial without time for an attempt fails at once. Its error names the bound.
func TestGateFailsAtOnce(t *testing.T) {
	const little = 90 * time.Millisecond
	for name, test := range map[string]struct {
		set     func(*redial.Dialer)
		timeout time.Duration // of the context
		stop    error
	}{
		"context":    {func(*redial.Dialer) {}, little, redial.ErrDeadline},
		"Deadline":   {func(d *redial.Dialer) { d.Deadline = time.Now().Add(little) }, time.Hour, redial.ErrDeadline},
		"MaxElapsed": {func(d *redial.Dialer) { d.MaxElapsed = little }, time.Hour, redial.ErrMaxElapsed},
	} {
		testutil.Bubble(t, name, func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			d := gateDialer(script, new(redial.Gate))
			failOnce(d)
			test.set(d)
			ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
			defer cancel()
			start := time.Now()
			_, err := d.DialContext(ctx, "tcp", address)
			assert.Zero(t, time.Since(start))
			assert.ErrorIs(t, err, errScriptRefuses)
			assert.ErrorIs(t, err, test.stop)
			assert.Equal(t, 1, asError(t, err).Attempts)
			assert.Len(t, script.Dials(), 1)
		})
	}
}

// An attempt without an answer keeps the other dials waiting for a second only: its packets
// may have been lost before the target came back.
func TestGateSilentAttempt(t *testing.T) {
	for _, dials := range []int{3, 100} {
		testutil.Bubble(t, fmt.Sprint(dials, " dials, down"), func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.After(1*ms), dialtest.Timeout.Times(3), dialtest.OK.Forever())
			d := gateDialer(script, &redial.Gate{Burst: 1})
			begin := time.Now()
			crowd(dials, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return err })
			assert.Equal(t, []time.Duration{0, 101, 1101, 2101}, inMs(starts(script, begin))[:4])
		})
	}
	testutil.Bubble(t, "not answered yet", func(t *testing.T) {
		script := dialtest.Script(dialtest.Timeout.Times(4), dialtest.OK.After(10*ms).Forever())
		d := gateDialer(script, &redial.Gate{Burst: 2})
		begin := time.Now()
		crowd(10, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return err })
		assert.Equal(t, []time.Duration{0, 0, 1000, 2000, 3000, 3010, 3010}, inMs(starts(script, begin))[:7])
	})
	testutil.Bubble(t, "begun before the first failure", func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(10*ms), dialtest.Timeout.Times(2), dialtest.OK.After(10*ms).Forever())
		d := gateDialer(script, &redial.Gate{Burst: 3})
		d.MaxAttempts = 2
		begin := time.Now()
		crowd(7, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return err })
		assert.Equal(t, []time.Duration{0, 0, 0, 110, 120, 120}, inMs(starts(script, begin)[:6]))
	})
}

// An attempt that its caller cancels tells nothing, but it has reached the target: the next
// attempt keeps MinInterval from it.
func TestGateKeepsIntervalAfterCanceledAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.Timeout, dialtest.OK)
		d := gateDialer(script, new(redial.Gate))
		begin := time.Now()
		failOnce(d)
		time.Sleep(150 * ms)
		ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		d.DialContext(ctx, "tcp", address)
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{0, 150, 250}, inMs(starts(script, begin)))
	})
}

// An earlier attempt that fails for a reason of this machine does not undo that.
func TestGateKeepsIntervalBesideLocalTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.NoDescriptors.After(1100*ms), dialtest.Timeout, dialtest.OK)
		d := gateDialer(script, &redial.Gate{MinInterval: 500 * ms})
		begin := time.Now()
		failOnce(d)
		time.Sleep(600 * ms)
		go failOnce(d) // until 1700 ms
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		d.DialContext(ctx, "tcp", address)
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{0, 600, 1600, 2100}, inMs(starts(script, begin)))
	})
}

// The Gate remembers a failure after the last dial has ended, for a minute.
func TestGateRemembers(t *testing.T) {
	for _, test := range []struct {
		later time.Duration
		want  int // attempts of twenty dials at once
	}{{50 * ms, 0}, {time.Second, 1}, {time.Minute - 1, 1}, {time.Minute, 16}} {
		testutil.Bubble(t, test.later.String(), func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse, dialtest.Refuse.After(10*ms).Forever())
			d := gateDialer(script, new(redial.Gate))
			d.MaxElapsed = 40 * ms
			d.Dial("tcp", address)
			time.Sleep(test.later)
			crowd(20, func(int) error {
				_, err := d.Dial("tcp", address)
				assert.ErrorIs(t, err, redial.ErrMaxElapsed)
				return nil
			})
			assert.Len(t, script.Dials(), 1+test.want)
		})
	}
}

// Reset makes the next attempt due now, whoever waits and whatever has just failed.
func TestGateReset(t *testing.T) {
	testutil.Bubble(t, "dials wait", func(t *testing.T) {
		gate := new(redial.Gate)
		gate.Reset("tcp", address) // the Gate does not know this target yet
		script := dialtest.Script(dialtest.Refuse.After(10*ms).Times(16+1), dialtest.OK.After(10*ms).Forever())
		d := gateDialer(script, gate)
		d.Policy = retries(every(time.Hour))
		begin := time.Now()
		time.AfterFunc(time.Minute, func() { gate.Reset("tcp", address) })
		time.AfterFunc(time.Minute+20*ms, func() { gate.Reset("tcp", address) })
		crowd(100, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return err })
		// The first Reset makes one attempt. It fails, and nobody else's attempt is due. The second one connects.
		assert.Equal(t, []time.Duration{60_000, 60_020, 60_030, 60_030, 60_040}, inMs(starts(script, begin))[16:21])
	})
	testutil.Bubble(t, "nobody waits", func(t *testing.T) {
		gate := new(redial.Gate)
		script := dialtest.Script(dialtest.Refuse, dialtest.OK)
		d := gateDialer(script, gate)
		failOnce(d)
		gate.Reset("tcp", address)
		begin := time.Now()
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Zero(t, time.Since(begin))
	})
	testutil.Bubble(t, "a dial is in line", func(t *testing.T) {
		gate := new(redial.Gate)
		script := dialtest.Script(dialtest.Refuse, dialtest.OK)
		d := gateDialer(script, gate)
		begin := time.Now()
		failOnce(d)
		time.AfterFunc(60*ms, func() { gate.Reset("tcp", address) })
		failOnce(d) // its only attempt is its own, so it waits until 100 ms
		assert.Equal(t, []time.Duration{0, 60}, inMs(starts(script, begin)))
	})
	testutil.Bubble(t, "the target is not down", func(t *testing.T) {
		gate := new(redial.Gate)
		script := dialtest.Script(dialtest.OK.After(100 * ms).Forever())
		d := gateDialer(script, gate)
		go d.Dial("tcp", address)
		synctest.Wait()
		gate.Reset("tcp", address)
		begin := time.Now()
		crowd(15, func(int) error { _, err := d.Dial("tcp", address); return err })
		assert.Equal(t, 100*ms, time.Since(begin), "Burst is 16 all the same")
	})
	testutil.Bubble(t, "by Do", func(t *testing.T) {
		gate := new(redial.Gate)
		d := &redial.Dialer{Gate: gate, Policy: retries(every(time.Hour)), MaxElapsed: -1}
		begin, calls := time.Now(), 0
		time.AfterFunc(time.Minute, func() { gate.Reset("tcp", address) })
		_, err := redial.Do(t.Context(), d, "tcp", address, func(context.Context) (int, error) {
			if calls++; calls == 1 {
				return 0, errScriptRefuses
			}
			return calls, nil
		})
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}

// Dialers that use the same Gate share failures. A dial to another target, or at another
// Gate, or by Do, does not.
func TestGateTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := new(redial.Gate)
		script := dialtest.Script(dialtest.OK.Forever()).For(address, dialtest.Refuse.Forever())
		failOnce(gateDialer(script, gate))
		shares := func(gate *redial.Gate, network, address string) (shared bool) {
			d := gateDialer(script, gate)
			d.OnAttempt = func(_ context.Context, a redial.Attempt) { shared = shared || a.Shared }
			d.MaxElapsed = ms
			d.Dial(network, address)
			return shared
		}
		assert.True(t, shares(gate, "tcp", address))
		assert.False(t, shares(new(redial.Gate), "tcp", address))
		assert.False(t, shares(nil, "tcp", address))
		assert.False(t, shares(gate, "tcp4", address))
		assert.False(t, shares(gate, "tcp", "b.test:80"))
		_, err := redial.Do(t.Context(), gateDialer(script, gate), "tcp", address, func(context.Context) (int, error) { return 1, nil })
		assert.NoError(t, err)
	})
}

// A dial within another dial's attempt does not use the Gate: it would wait for the attempt
// that it is part of.
func TestGateNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &redial.Gate{Burst: 1}
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
		inner := gateDialer(script, gate)
		outer := gateDialer(nil, gate)
		outer.DialFunc = inner.DialContext
		_, err := outer.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{100 * ms, 200 * ms}, script.Delays())
	})
}

// An attempt has ended for the Gate before OnAttempt is called, so OnAttempt may dial the same
// target.
func TestGateOnAttemptMayDial(t *testing.T) {
	for _, outcome := range []dialtest.Outcome{dialtest.OK, dialtest.Refuse, dialtest.NoDescriptors} {
		testutil.Bubble(t, outcome.String(), func(t *testing.T) {
			script := dialtest.Script(outcome, dialtest.OK.Forever())
			inner := gateDialer(script, &redial.Gate{Burst: 1})
			outer := *inner
			outer.OnAttempt = func(ctx context.Context, a redial.Attempt) {
				if a.Number == 1 {
					_, err := inner.DialContext(ctx, "tcp", address)
					assert.NoError(t, err)
				}
			}
			begin := time.Now()
			outer.Dial("tcp", address)
			assert.LessOrEqual(t, time.Since(begin), 100*ms, outcome)
		})
	}
}

// A failure that says nothing about the target fails its own dial only, or is retried on its
// dial's own schedule. The other dials do not wait.
func TestGateLocalTrouble(t *testing.T) {
	for _, outcome := range []dialtest.Outcome{dialtest.NoDescriptors, dialtest.NoFamily, dialtest.Fail(context.Canceled)} {
		testutil.Bubble(t, outcome.String(), func(t *testing.T) {
			for _, first := range [][]dialtest.Outcome{{outcome}, {dialtest.Refuse, outcome}} { // answering, and down
				script := dialtest.Script(append(first, dialtest.OK.Forever())...)
				d := gateDialer(script, &redial.Gate{Burst: 1})
				begin, failed := time.Now(), 0
				for _, err := range crowd(5, func(int) error { _, err := d.Dial("tcp", address); return err }) {
					if err != nil {
						failed++
					}
				}
				assert.Equal(t, 1, failed)
				assert.Equal(t, time.Duration(len(first)-1)*100*ms, time.Since(begin))
			}

			script := dialtest.Script(outcome, dialtest.OK.Forever())
			d := gateDialer(script, &redial.Gate{Burst: 1})
			d.Policy = redial.Policy{redial.Exhausted: every(20 * ms), redial.Invalid: every(20 * ms), redial.Canceled: every(20 * ms)}
			begin, took := time.Now(), make(chan time.Duration, 1)
			go func() { d.Dial("tcp", address); took <- time.Since(begin) }()
			synctest.Wait()
			waiting := *d
			_, err := waiting.Dial("tcp", address)
			require.NoError(t, err)
			assert.Zero(t, time.Since(begin))
			if redial.Classify(errorOf(outcome)) != redial.Canceled { // which is never retried
				assert.Equal(t, 20*ms, <-took)
			}
		})
	}
}

// A dial that waits ends when its caller gives up, or its time is up.
func TestGateWaitersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Timeout.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		go func() {
			d := *d
			d.MaxAttempts = 1
			d.Timeout = 2 * time.Second
			d.Dial("tcp", address)
		}()
		synctest.Wait()

		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(200*ms, func() { cancel(errCause) })
		start := time.Now()
		_, err := d.DialContext(ctx, "tcp", address)
		assert.Equal(t, 200*ms, time.Since(start))
		assert.ErrorIs(t, err, errCause)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, asError(t, err).Attempts)

		stop := make(chan struct{})
		time.AfterFunc(200*ms, func() { close(stop) })
		closed := *d
		closed.Cancel = stop
		start = time.Now()
		_, err = closed.Dial("tcp", address)
		assert.Equal(t, 200*ms, time.Since(start))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, asError(t, err).Attempts)

		limited := *d
		limited.MaxElapsed = 200 * ms
		start = time.Now()
		_, err = limited.Dial("tcp", address)
		assert.Equal(t, 200*ms, time.Since(start))
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.True(t, err.(net.Error).Timeout())
		assert.Len(t, script.Dials(), 1)
		time.Sleep(2 * time.Second)
	})
}

// How long another dial's attempt took does not shorten a dial's time.
func TestGateLastAttemptAfterASlowSharedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(900*ms), dialtest.OK)
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy, d.MaxElapsed = retries(every(time.Minute)), 10*time.Second
		go failOnce(d)
		time.Sleep(800 * ms)
		begin := time.Now()
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, 9500*ms, time.Since(begin))
	})
}

// Each dial judges the failure of another one by its own Classifier.
func TestGateSharesNoClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := new(redial.Gate)
		script := dialtest.Script(dialtest.Fail(errCustom).Forever())
		patient := gateDialer(script, gate)
		patient.Classifier = func(error) redial.Class { return redial.Refused }
		patient.MaxElapsed = 5 * time.Second
		go failOnce(patient)
		synctest.Wait()
		plain := gateDialer(script, gate)
		var classes []redial.Class
		plain.OnAttempt = func(_ context.Context, a redial.Attempt) {
			assert.True(t, a.Shared)
			classes = append(classes, a.Class)
		}
		_, err := plain.Dial("tcp", address)
		assert.ErrorIs(t, err, errCustom)
		assert.Equal(t, []redial.Class{redial.Unknown}, classes)
		time.Sleep(time.Minute)
	})
}

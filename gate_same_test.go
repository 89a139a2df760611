package redial_test

import (
	"context"
	"fmt"
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
)

// Each dial at a Gate keeps its own schedule, limits and count of attempts. The tests of
// this file make the same dials without and with a Gate, and compare them dial by dial.

// A sameDial is a dial that a test makes twice.
type sameDial struct {
	at     time.Duration // from the start of the test
	ctx    time.Duration // the time that its context has; 0: no deadline
	dialer redial.Dialer
}

// A course is what became of a dial.
type course struct {
	attempts []redial.Attempt
	ended    []time.Duration // when OnAttempt was called, since the dial began
	err      error
	took     time.Duration
}

// courses makes all dials in the bubble of the test, by script and at gate.
func courses(t *testing.T, dials []sameDial, script *dialtest.Dialer, gate *redial.Gate) []course {
	all := make([]course, len(dials))
	var running sync.WaitGroup
	for i, dial := range dials {
		running.Go(func() {
			time.Sleep(dial.at)
			ctx, begin, c := t.Context(), time.Now(), &all[i]
			if dial.ctx > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, dial.ctx)
				defer cancel()
			}
			d := dial.dialer
			d.Gate, d.DialFunc, d.Logger = gate, script.DialContext, zap.NewNop()
			d.OnAttempt = func(_ context.Context, a redial.Attempt) {
				c.attempts, c.ended = append(c.attempts, a), append(c.ended, time.Since(begin))
			}
			_, c.err = d.DialContext(ctx, "tcp", address)
			c.took = time.Since(begin)
		})
	}
	running.Wait()
	return all
}

// retries returns a policy that retries refusals by the schedule.
func retries(schedule func() backoff.BackOff) redial.Policy {
	return redial.Policy{redial.Refused: schedule}
}

func maxRetries(delay time.Duration, n uint64) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(delay), n) }
}

// crowdOf returns n times each of the dials.
func crowdOf(n int, dials ...sameDial) (all []sameDial) {
	for range n {
		all = append(all, dials...)
	}
	return all
}

// While a server refuses, each dial has as many attempts at a Gate as without one, at the
// same times, with the same delays, and ends for the same reason. Only the last attempt may
// be later, because it is one of the dial's own, and the dials make them one by one.
func TestGateKeepsEachDialsCourse(t *testing.T) {
	t.Parallel()
	quick := sameDial{dialer: redial.Dialer{Policy: retries(maxRetries(150*ms, 5))}}
	exponential := sameDial{dialer: redial.Dialer{Policy: retries(doubling), MaxElapsed: 5 * time.Second}}
	counted := sameDial{at: 30 * ms, dialer: redial.Dialer{Policy: retries(every(200 * ms)), MaxAttempts: 4}}
	bounded := sameDial{at: 1 * ms, dialer: redial.Dialer{Policy: retries(every(300 * ms)), MaxElapsed: 2 * time.Second}}
	short := sameDial{at: 70 * ms, ctx: 500 * ms, dialer: redial.Dialer{Policy: retries(every(120 * ms))}}
	slow := sameDial{at: 10 * ms, dialer: redial.Dialer{Policy: retries(every(7 * time.Second)), MaxElapsed: 20 * time.Second}}
	never := sameDial{at: 45 * ms, dialer: redial.Dialer{Policy: redial.Policy{redial.Timeout: doubling}}}
	once := sameDial{at: 60 * ms, dialer: redial.Dialer{MaxAttempts: 1}}
	mixed := []sameDial{quick, exponential, counted, bounded, short, slow, never, once}
	for _, test := range []struct {
		name  string
		dials []sameDial
	}{
		{"a lone dial with MaxRetries", crowdOf(1, quick)},
		{"a lone dial with an exponential schedule", crowdOf(1, exponential)},
		{"a lone dial with MaxAttempts", crowdOf(1, counted)},
		{"a lone dial with MaxElapsed", crowdOf(1, bounded)},
		{"a lone dial with a short context", crowdOf(1, short)},
		{"a lone dial with a long delay", crowdOf(1, slow)},
		{"a lone dial that does not retry", crowdOf(1, never)},
		{"a lone attempt", crowdOf(1, once)},
		{"two, one limited and one not", []sameDial{quick, exponential}},
		{"two, one of which does not retry", []sameDial{quick, never}},
		{"two limited ones, one later", []sameDial{quick, {at: 240 * ms, dialer: quick.dialer}}},
		{"ten with MaxAttempts", crowdOf(10, counted)},
		{"ten of all kinds", append(mixed, quick, exponential)},
		{"500 with MaxRetries", crowdOf(500, quick)},
		{"500 with MaxAttempts", crowdOf(500, counted)},
		{"500 with MaxElapsed", crowdOf(500, bounded)},
		{"two thousand of all kinds", crowdOf(many(250), mixed...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var without, with []course
			synctest.Test(t, func(t *testing.T) {
				without = courses(t, test.dials, dialtest.Script(dialtest.Refuse.Forever()), nil)
			})
			synctest.Test(t, func(t *testing.T) {
				with = courses(t, test.dials, dialtest.Script(dialtest.Refuse.Forever()), new(redial.Gate))
			})
			for i := range without {
				assertSameCourse(t, &without[i], &with[i], fmt.Sprint("dial ", i))
				if t.Failed() {
					return // the first of two thousand says enough
				}
			}
		})
	}
}

// assertSameCourse checks that a dial at a Gate has gone as without one. Its last attempt may
// be later: by a second in which others had their turn, and by the one that they then make.
func assertSameCourse(t *testing.T, without, with *course, name string) {
	t.Helper()
	require.Len(t, with.attempts, len(without.attempts), name)
	for i, a := range with.attempts {
		b := without.attempts[i]
		assert.Equal(t, b.Number, a.Number, name)
		assert.Equal(t, b.Class, a.Class, name)
		assert.Equal(t, b.Delay, a.Delay, "%s: delay %d", name, i+1)
		assert.Equal(t, b.Stop, a.Stop, name)
		if i < len(without.attempts)-1 {
			assert.Equal(t, without.ended[i], with.ended[i], "%s: attempt %d", name, i+1)
		}
	}
	assert.GreaterOrEqual(t, with.took, without.took, name)
	assert.LessOrEqual(t, with.took, without.took+time.Second+100*ms, name)
	assert.Equal(t, without.err != nil, with.err != nil, name)
	assert.Equal(t, redial.Classify(without.err), redial.Classify(with.err), name)
}

// Also where attempts take time, so that dials wait for each other's, each has as many attempts as
// without a Gate, with the same delays, and ends for the same reason.
func TestGateKeepsCountsOfSlowAttempts(t *testing.T) {
	var dials []sameDial
	for i := range 60 {
		d := sameDial{at: time.Duration(i) * 17 * ms, dialer: redial.Dialer{Policy: retries(maxRetries(150*ms, 5))}}
		if i%3 == 0 {
			d.dialer = redial.Dialer{Policy: retries(doubling), MaxAttempts: 4}
		}
		dials = append(dials, d)
	}
	var without, with []course
	synctest.Test(t, func(t *testing.T) {
		without = courses(t, dials, dialtest.Script(dialtest.Refuse.After(40*ms).Forever()), nil)
	})
	synctest.Test(t, func(t *testing.T) {
		with = courses(t, dials, dialtest.Script(dialtest.Refuse.After(40*ms).Forever()), new(redial.Gate))
	})
	limits := func(c course) (all []any) {
		for _, a := range c.attempts {
			all = append(all, a.Number, a.Class, a.Delay, a.Stop)
		}
		return all
	}
	for i := range dials {
		assert.Equal(t, limits(without[i]), limits(with[i]), "dial %d", i)
	}
}

// A Gate raises delays under MinInterval to it. Otherwise, the dial goes as without a Gate.
func TestGateRaisesShortDelays(t *testing.T) {
	for _, n := range []int{1, 2, 10, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			short := sameDial{dialer: redial.Dialer{Policy: retries(after(0, 10*ms, 70*ms, 300*ms, 20*ms))}}
			raised := sameDial{dialer: redial.Dialer{Policy: retries(after(100*ms, 100*ms, 100*ms, 300*ms, 100*ms))}}
			var without, with []course
			synctest.Test(t, func(t *testing.T) {
				without = courses(t, crowdOf(n, raised), dialtest.Script(dialtest.Refuse.Forever()), nil)
			})
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(dialtest.Refuse.Forever())
				begin := time.Now()
				with = courses(t, crowdOf(n, short), script, new(redial.Gate))
				assert.Equal(t, []time.Duration{0, 100, 200, 300, 600, 700}, distinct(inMs(starts(script, begin))))
			})
			for i := range without {
				assertSameCourse(t, &without[i], &with[i], fmt.Sprint("dial ", i))
			}
		})
	}
}

// When the server returns, no dial at a Gate connects later than without one, except by the
// time that slow start takes.
func TestGateConnectsNoLater(t *testing.T) {
	t.Parallel()
	const down = 3 * time.Second
	for _, n := range []int{1, 2, 10, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			dials := crowdOf(n, sameDial{dialer: redial.Dialer{Policy: retries(doubling)}}, sameDial{at: 700 * ms, dialer: redial.Dialer{Policy: retries(every(time.Second))}})
			until := func() *dialtest.Dialer {
				script := dialtest.Script(dialtest.Refuse.Forever())
				time.AfterFunc(down, func() { script.For(address, dialtest.OK.Forever()) })
				return script
			}
			var without, with []course
			synctest.Test(t, func(t *testing.T) { without = courses(t, dials, until(), nil) })
			synctest.Test(t, func(t *testing.T) { with = courses(t, dials, until(), new(redial.Gate)) })
			for i := range without {
				require.NoError(t, with[i].err)
				assert.LessOrEqual(t, with[i].took, without[i].took, "dial %d", i)
			}
		})
	}
}

// distinct returns the different values of a sorted slice.
func distinct(all []time.Duration) (some []time.Duration) {
	for _, d := range all {
		if len(some) == 0 || some[len(some)-1] != d {
			some = append(some, d)
		}
	}
	return some
}

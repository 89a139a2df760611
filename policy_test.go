package redial_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// Whatever a schedule returns, two attempts are at least 1 ms apart, and the dial ends.
func TestScheduleCannotHurt(t *testing.T) {
	literal := func() backoff.BackOff {
		return &backoff.ExponentialBackOff{InitialInterval: time.Second, MaxElapsedTime: 10 * time.Second}
	}
	for _, test := range []struct {
		name     string
		schedule func() backoff.BackOff
		want     []time.Duration
	}{
		{"zero", func() backoff.BackOff { return &backoff.ZeroBackOff{} }, []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}},
		{"under 1 ms", every(time.Microsecond), []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}},
		{"negative", after(time.Second, -2), []time.Duration{time.Second}},
		{"for ever", after(time.Second, 1<<63-1), []time.Duration{time.Second, 3419 * time.Second}}, // the wait is cut so that a twentieth of the hour is left for a last attempt
		{"backoff's retries", func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2) },
			[]time.Duration{time.Second, time.Second}},
		// As backoff has it, a literal without Clock panics, one with Stop 0 never ends,
		// and one with Multiplier 0 does not wait.
		{"a literal", literal, []time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond}},
		{"a literal with a clock", func() backoff.BackOff {
			b := literal().(*backoff.ExponentialBackOff)
			b.Clock, b.Multiplier, b.MaxInterval = backoff.SystemClock, 3, 4*time.Second
			b.MaxElapsedTime = 0
			return b
		}, []time.Duration{time.Second, 3 * time.Second, 4 * time.Second}},
		{"a literal with a Stop of its own", func() backoff.BackOff {
			b := literal().(*backoff.ExponentialBackOff)
			b.Stop, b.MaxElapsedTime = 5*time.Second, 3*time.Second
			return b
		}, []time.Duration{time.Second, 1500 * time.Millisecond, 5 * time.Second}},
		{"a literal with a clock of its own", func() backoff.BackOff {
			b := literal().(*backoff.ExponentialBackOff)
			b.Clock = &leapingClock{}
			return b
		}, []time.Duration{time.Second, 1500 * time.Millisecond}},
		{"an empty literal", func() backoff.BackOff { return &backoff.ExponentialBackOff{} },
			[]time.Duration{500 * time.Millisecond, 750 * time.Millisecond, 1125 * time.Millisecond}},
		{"a literal that reaches the default MaxInterval", func() backoff.BackOff { return &backoff.ExponentialBackOff{InitialInterval: 50 * time.Second} },
			[]time.Duration{50 * time.Second, time.Minute, time.Minute}},
		{"a literal that starts beyond the default MaxInterval", func() backoff.BackOff { return &backoff.ExponentialBackOff{InitialInterval: 2 * time.Minute} },
			[]time.Duration{2 * time.Minute, 2 * time.Minute, 2 * time.Minute}},
		{"a literal within WithMaxRetries", func() backoff.BackOff { return backoff.WithMaxRetries(literal(), 2) },
			[]time.Duration{time.Second, 1500 * time.Millisecond}},
		{"a literal within WithContext", func() backoff.BackOff { return backoff.WithContext(literal(), context.Background()) },
			[]time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond}},
		{"a literal within both", func() backoff.BackOff {
			return backoff.WithContext(backoff.WithMaxRetries(literal(), 1), context.Background())
		}, []time.Duration{time.Second}},
		{"a literal within many layers", func() backoff.BackOff {
			schedule := literal()
			for range 20 {
				schedule = backoff.WithMaxRetries(schedule, 2)
			}
			return schedule
		}, []time.Duration{time.Second, 1500 * time.Millisecond}},
		{"a wrapper around nothing", func() backoff.BackOff { return &wrapper{} }, []time.Duration{time.Second, time.Second, time.Second}},
		{"a wrapper around itself", func() backoff.BackOff { w := &wrapper{}; w.BackOff = w; return w }, []time.Duration{time.Second, time.Second, time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(dialtest.Refuse.Forever())
				d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: test.schedule}, MaxAttempts: 4, MaxElapsed: time.Hour}
				_, err := d.Dial("tcp", address)
				require.Error(t, err)
				assert.Equal(t, test.want, script.Delays())
			})
		})
	}

	t.Run("a literal ends by its MaxElapsedTime", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			_, err := (&redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: literal}, MaxElapsed: -1}).Dial("tcp", address)
			assert.ErrorIs(t, asError(t, err).Stop, redial.ErrPermanent)
			assert.Equal(t, []time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond, 3375 * time.Millisecond}, script.Delays())
		})
	})
}

// leapingClock is 4 s later each time it is asked.
type leapingClock struct{ now time.Time }

func (c *leapingClock) Now() time.Time {
	c.now = c.now.Add(4 * time.Second)
	return c.now
}

// wrapper is a program's own schedule around another schedule.
type wrapper struct{ backoff.BackOff }

func (*wrapper) Reset()                     {}
func (*wrapper) NextBackOff() time.Duration { return time.Second }

func TestExponential(t *testing.T) {
	const initial, limit = 100 * time.Millisecond, 5 * time.Second
	newSchedule := redial.Exponential(initial, limit)
	least, most, atLimit := map[int]time.Duration{}, map[int]time.Duration{}, 0
	for range 2000 {
		schedule := newSchedule()
		schedule.Reset()
		interval := initial
		for i := range 10 {
			delay := schedule.NextBackOff()
			require.GreaterOrEqual(t, delay, interval/2)
			require.LessOrEqual(t, delay, min(interval*3/2, limit), "delay %d", i)
			if l, ok := least[i]; !ok || delay < l {
				least[i] = delay
			}
			most[i] = max(most[i], delay)
			if delay == limit {
				atLimit++
			}
			interval = min(interval*2, limit)
		}
	}
	// Delays are spread out from the first one on, and also at max. The chance that
	// 2000 even draws all miss a given tenth of the range is 1 in 10^91.
	assert.Less(t, least[0], initial*6/10)
	assert.Greater(t, most[0], initial*14/10)
	assert.Less(t, least[9], limit*55/100)
	assert.Greater(t, most[9], limit*95/100)
	assert.Less(t, atLimit, 10, "if delays were cut off at max, half of them would be equal")

	for _, test := range []struct{ initial, limit, least, most time.Duration }{
		{time.Second, time.Millisecond, 500 * time.Millisecond, time.Second},
		{0, 0, time.Millisecond / 2, time.Millisecond},
		{-1, -1, time.Millisecond / 2, time.Millisecond},
		{1, 1, 0, 1},
		{2, 1, 1, 2},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64 / 8, math.MaxInt64 / 4}, // there is no longer delay
		{time.Second, math.MaxInt64, 500 * time.Millisecond, math.MaxInt64 / 4},
	} {
		schedule := redial.Exponential(test.initial, test.limit)()
		schedule.Reset()
		for range 100 {
			delay := schedule.NextBackOff()
			assert.GreaterOrEqual(t, delay, test.least)
			assert.LessOrEqual(t, delay, test.most)
		}
	}
}

// assertSpread checks that the least delay is between low and aboveLow, and the greatest between belowHigh and high.
func assertSpread(t *testing.T, delays []time.Duration, low, aboveLow, belowHigh, high time.Duration) {
	t.Helper()
	assert.GreaterOrEqual(t, slices.Min(delays), low)
	assert.LessOrEqual(t, slices.Min(delays), aboveLow)
	assert.GreaterOrEqual(t, slices.Max(delays), belowHigh)
	assert.LessOrEqual(t, slices.Max(delays), high)
}

func TestDefaultPolicy(t *testing.T) {
	longest := map[redial.Class]time.Duration{
		redial.Refused:     time.Second,
		redial.Unreachable: time.Second,
		redial.Reset:       5 * time.Second,
		redial.DNS:         5 * time.Second,
		redial.Timeout:     5 * time.Second,
	}
	policy := redial.DefaultPolicy()
	for class := range classes {
		assert.Equal(t, longest[class] != 0, policy[class] != nil, class)
	}
	for class, longest := range longest {
		var first, tenth []time.Duration
		for range 500 {
			schedule := policy[class]()
			schedule.Reset()
			first = append(first, schedule.NextBackOff())
			for range 8 {
				schedule.NextBackOff()
			}
			tenth = append(tenth, schedule.NextBackOff())
		}
		// A twentieth of the range has none of 500 even draws once in 10^11 runs.
		assertSpread(t, first, 50*time.Millisecond, 55*time.Millisecond, 145*time.Millisecond, 150*time.Millisecond)
		assertSpread(t, tenth, longest/2, longest*21/40, longest*39/40, longest)
	}

	// DefaultPolicy returns a copy: changing it does not affect other dials.
	clear(policy)
	assert.Len(t, redial.DefaultPolicy(), len(longest))
	synctest.Test(t, func(t *testing.T) {
		_, err := (&redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext}).Dial("tcp", address)
		assert.NoError(t, err)
	})
}

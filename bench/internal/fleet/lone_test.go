package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

const ms = time.Millisecond

func every(delay time.Duration) Next { return func() time.Duration { return delay } }

func TestRecovery(t *testing.T) {
	silent := Failure{Takes: 2000 * ms, Sends: []time.Duration{500 * ms, 1500 * ms}}
	for _, test := range []struct {
		name    string
		next    Next
		down    time.Duration
		failure Failure
		want    time.Duration
	}{
		{"the fourth attempt", every(300 * ms), 1000 * ms, Failure{}, 200 * ms},
		{"attempts that take time", every(300 * ms), 1000 * ms, Failure{Takes: 100 * ms}, 200 * ms},
		{"at the first packet", every(300 * ms), 0, silent, 0},
		{"at a later packet", every(300 * ms), 600 * ms, silent, 900 * ms},
		{"in the second attempt", every(300 * ms), 1600 * ms, silent, 700 * ms},
	} {
		after, ok := Recovery(test.next, test.down, test.failure)
		assert.True(t, ok, test.name)
		assert.Equal(t, test.want, after, test.name)
	}
	_, ok := Recovery(Once("", 3).New(), time.Second, Failure{})
	assert.False(t, ok)
}

func TestAttempts(t *testing.T) {
	assert.Equal(t, 4, Attempts(every(300*ms), time.Second, Failure{}))
	assert.Equal(t, 2, Attempts(every(300*ms), time.Second, Failure{Takes: 500 * ms}))
	assert.Equal(t, 3, Attempts(Once("", 3).New(), time.Second, Failure{}))
}

// The doc comment of redial.DefaultPolicy has these figures.
func TestFiguresOfDefaultPolicy(t *testing.T) {
	const dials = 20_000
	figures := func(s Schedule, down time.Duration) (mean, worst, attempts float64) {
		random := seeded()
		for range dials {
			after, _ := Recovery(s.New(), time.Duration(float64(down)*(0.8+0.4*random.Float64())), Failure{})
			mean += after.Seconds() / dials
			worst = max(worst, after.Seconds())
			attempts += float64(Attempts(s.New(), 30*time.Second, Failure{})) / dials
		}
		return mean, worst, attempts
	}
	for _, down := range []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second} {
		mean, worst, attempts := figures(Default(redial.Refused), down)
		assert.InDelta(t, 0.39, mean, 0.02, down)
		assert.InDelta(t, 1, worst, 0.05, down)
		assert.InDelta(t, 42.6, attempts, 0.5)

		mean, worst, attempts = figures(Exponential(100*ms, 5*time.Second), down)
		assert.InDelta(t, 1.5, mean, 0.55, down)
		assert.InDelta(t, 4.8, worst, 0.3, down)
		assert.InDelta(t, 12.8, attempts, 0.3)
	}
}

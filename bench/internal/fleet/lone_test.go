package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

package main

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestRun(t *testing.T) {
	testutil.NeedSockets(t)
	var out bytes.Buffer
	assert.Zero(t, run([]string{"-dials", "50", "-down", "200ms"}, &out))
	assert.Contains(t, out.String(), "50 goroutines dial a server that is down for 200ms")
	assert.Contains(t, out.String(), "attempts while it is down")
	assert.Regexp(t, `last connection, since it is up +\d`, out.String())
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 2, run([]string{"-no-such-flag"}, &out))
}

// With a Gate, the number of attempts does not grow with the number of goroutines.
func TestGateCalmsTheStorm(t *testing.T) {
	testutil.NeedSockets(t)
	const dials = 200
	down := 300*time.Millisecond + 2*testutil.Refusal
	if testutil.OnWine() {
		down += 3 * time.Second // Wine takes a second to make so many attempts
	}
	with, without := measure(dials, down, new(redial.Gate)), measure(dials, down, nil)
	assert.LessOrEqual(t, with.whileDown, 27+int(down/(100*time.Millisecond)), "Burst, and then ten a second")
	assert.Greater(t, without.whileDown, dials)
}

// BenchmarkStorm measures the storm of the program. It takes more than 20 seconds. Run it with
//
//	go test -run '^$' -bench Storm -benchtime 1x ./examples/storm
func BenchmarkStorm(b *testing.B) {
	for b.Loop() {
		without, with := measure(1000, 10*time.Second, nil), measure(1000, 10*time.Second, new(redial.Gate))
		b.ReportMetric(float64(without.whileDown), "attempts-without")
		b.ReportMetric(float64(with.whileDown), "attempts-with")
		b.ReportMetric(float64((without.last - without.first).Milliseconds()), "ms-first-to-last-without")
		b.ReportMetric(float64((with.last - with.first).Milliseconds()), "ms-first-to-last-with")
	}
}

// BenchmarkReturn measures how long after the server's return the last of a thousand dials connects:
// the mean of runs in which the server returns at random moments. Run it with
//
//	go test -run '^$' -bench Return -benchtime 10x ./examples/storm
func BenchmarkReturn(b *testing.B) {
	var without, with time.Duration
	for b.Loop() {
		down := 3*time.Second + rand.N(time.Second)
		without += measure(1000, down, nil).last
		with += measure(1000, down, new(redial.Gate)).last
	}
	b.ReportMetric(float64(without.Milliseconds())/float64(b.N), "ms-last-without")
	b.ReportMetric(float64(with.Milliseconds())/float64(b.N), "ms-last-with")
}

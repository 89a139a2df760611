package kit

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// Storm runs one operation in each of 50 goroutines, on a server that is dead, for two seconds. It
// does so without a Gate and with one, side by side, checks that a Gate saves most of the
// connects, and returns their numbers. newDo returns the operation of a new client that dials through d; Storm sets
// the fields that it needs and leaves the others to newDo. The goroutines share a client, or have one
// each.
func Storm(t *testing.T, oneEach bool, newDo func(t *testing.T, d *redial.Dialer) func(context.Context) error) (without, with int) {
	t.Helper()
	const goroutines, patience = 50, 2 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var running sync.WaitGroup
	run := func(gate *redial.Gate) *Connects {
		connects := new(Connects)
		client := func() func(context.Context) error {
			return newDo(t, &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Gate: gate, Logger: zap.NewNop()})
		}
		shared := client()
		for range goroutines {
			do := shared
			if oneEach {
				do = client()
			}
			running.Go(func() { assert.Error(t, do(ctx)) })
		}
		return connects
	}
	ungated, gated := run(nil), run(new(redial.Gate))
	running.Wait()
	without, with = ungated.Count(), gated.Count()
	t.Logf("%d goroutines for %v: %d connects without a Gate, %d with one", goroutines, patience, without, with)
	assert.NotZero(t, with)
	assert.Less(t, 2*with, without)
	return without, with
}

// Promptly checks that connect takes less than half a second, by the duration that it returns, and
// returns it. On a busy machine one of three tries is enough.
func Promptly(t *testing.T, connect func() time.Duration) (took time.Duration) {
	t.Helper()
	return Within(t, 500*time.Millisecond, connect)
}

// Within is Promptly with another limit.
func Within(t *testing.T, limit time.Duration, connect func() time.Duration) (took time.Duration) {
	t.Helper()
	for range 3 {
		if took = connect(); took < limit {
			return took
		}
	}
	assert.Less(t, took, limit)
	return took
}

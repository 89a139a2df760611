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
// does so without a Gate and with one, side by side, and checks that a Gate saves most of the
// connects. newDo returns the operation of a client that dials through d; Storm sets
// the fields that it needs and leaves the others to newDo.
func Storm(t *testing.T, newDo func(t *testing.T, d *redial.Dialer) func(context.Context) error) {
	t.Helper()
	const goroutines, patience = 50, 2 * time.Second
	var without, with Connects
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var running sync.WaitGroup
	run := func(gate *redial.Gate, connects *Connects) {
		d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Gate: gate, Logger: zap.NewNop()}
		do := newDo(t, d)
		for range goroutines {
			running.Go(func() { assert.Error(t, do(ctx)) })
		}
	}
	run(nil, &without)
	run(new(redial.Gate), &with)
	running.Wait()
	t.Logf("%d goroutines for %v: %d connects without a Gate, %d with one", goroutines, patience, without.Count(), with.Count())
	assert.NotZero(t, with.Count())
	assert.Less(t, 3*with.Count(), without.Count())
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

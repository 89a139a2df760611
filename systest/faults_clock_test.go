package systest_test

// These faults are clocks that jump. The clock is virtual, because setting the machine's would disturb
// others. A dial reads the monotonic clock, which does not jump. But the deadline of a custom context
// may come from another clock.

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// A jumpingContext has a deadline by a clock that jumps.
type jumpingContext struct {
	context.Context
	deadline atomic.Pointer[time.Time]
	cancel   context.CancelCauseFunc
}

func (c *jumpingContext) Deadline() (time.Time, bool) { return *c.deadline.Load(), true }

// Err returns DeadlineExceeded, as Cause does, if expire was called.
func (c *jumpingContext) Err() error {
	if cause := context.Cause(c.Context); cause == context.DeadlineExceeded {
		return cause
	}
	return c.Context.Err()
}

// expire ends the context because its deadline has passed.
func (c *jumpingContext) expire() { c.cancel(context.DeadlineExceeded) }

// The clock jumps after the dial's first attempt. The dial ends when the context does. It begins no
// attempt after the deadline that it was given.
func TestFaultClockJumps(t *testing.T) {
	const (
		limit   = 20 * time.Second
		attempt = time.Second
	)
	for _, c := range []struct {
		name   string
		jump   time.Duration // of the deadline, from the clock's time
		expire bool          // the context ends when its deadline jumps
		within time.Duration
	}{
		{name: "deadline an hour later", jump: time.Hour, within: limit + attempt},
		{name: "deadline an hour ago, and the context ends", jump: -time.Hour, expire: true, within: attempt},
		{name: "deadline an hour ago, and the context does not end", jump: -time.Hour, within: limit + attempt},
		{name: "deadline now, and the context ends", expire: true, within: attempt},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				ctx := &jumpingContext{Context: inner, cancel: cancel}
				start := time.Now()
				first := start.Add(limit).Round(0) // Round removes the monotonic clock's time, as a deadline from elsewhere has none
				ctx.deadline.Store(&first)
				attempts := 0
				d := &redial.Dialer{
					DialFunc: func(ctx context.Context, _, _ string) (net.Conn, error) {
						select {
						case <-ctx.Done():
						case <-time.After(attempt):
						}
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
					},
					OnAttempt: func(_ context.Context, a redial.Attempt) {
						attempts++
						assert.Equal(t, redial.Timeout, a.Class, "%v", a.Err)
						if a.Number == 1 {
							jumped := time.Now().Add(c.jump).Round(0)
							ctx.deadline.Store(&jumped)
							if c.expire {
								ctx.expire()
							}
						}
					},
				}
				_, err := d.DialContext(ctx, "tcp", "192.0.2.1:80")
				assert.LessOrEqual(t, time.Since(start), c.within)
				failed, ok := errors.AsType[*redial.Error](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, redial.ErrDeadline, failed.Stop)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, redial.Timeout, failed.Class)
				assert.Equal(t, attempts, failed.Attempts)
				assert.Equal(t, c.expire, attempts == 1, "%d attempts", attempts)
			})
		})
	}
}

package kit

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// Dials counts the dials of a Dialer. Its method OnDial goes into the field of that name.
type Dials struct{ begun, ended atomic.Int64 }

// OnDial counts one dial.
func (d *Dials) OnDial(context.Context, string, string) (context.Context, func(redial.Result)) {
	d.begun.Add(1)
	return nil, func(redial.Result) { d.ended.Add(1) }
}

// Begun returns the number of dials so far.
func (d *Dials) Begun() int { return int(d.begun.Load()) }

// InFlight returns the number of dials that have not ended.
func (d *Dials) InFlight() int { return d.Begun() - int(d.ended.Load()) }

// crowdSize is the number of operations of a Crowd.
const crowdSize = 50

// A Crowd is fifty operations at once on a dead server. Its Dialer must make all their dials.
type Crowd struct {
	Connects Connects
	Dials    Dials

	// What the operations have seen.
	Refused int // errors that match ECONNREFUSED
	Typed   int // errors that hold a *redial.Error
	Tried   int // connects until the last operation ended
}

// Dialer returns a Dialer whose dials the Crowd counts.
func (c *Crowd) Dialer() *redial.Dialer {
	return &redial.Dialer{
		Dialer: net.Dialer{Timeout: 3 * time.Second, Control: c.Connects.Control},
		Logger: zap.NewNop(),
		OnDial: c.Dials.OnDial,
	}
}

// Run runs the operations. Each has the time perOp.
func (c *Crowd) Run(t *testing.T, perOp time.Duration, do func(ctx context.Context) error) {
	t.Helper()
	errs := make(chan error)
	for range crowdSize {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), perOp)
			defer cancel()
			errs <- do(ctx)
		}()
	}
	for range crowdSize {
		err := <-errs
		assert.Error(t, err)
		if errors.Is(err, syscall.ECONNREFUSED) {
			c.Refused++
		}
		if _, ok := errors.AsType[*redial.Error](err); ok {
			c.Typed++
		}
	}
	c.Tried = c.Connects.Count()
	t.Logf("operations of %v: %d of %d saw the errno, %d connects", perOp, c.Refused, crowdSize, c.Tried)
}

// AllSeeCause runs a Crowd of operations of one second. It asserts that all of them see the cause, and
// that nothing dials after the last. A dial fails before its operation ends, by a twentieth of its
// time. If a busy machine needs longer to tell the operation, the operations get more time.
func AllSeeCause(t *testing.T, operation func(d *redial.Dialer) func(ctx context.Context) error) *Crowd {
	t.Helper()
	for _, perOp := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		c := new(Crowd)
		c.Run(t, perOp, operation(c.Dialer()))
		assert.Eventually(t, func() bool { return c.Dials.InFlight() == 0 }, time.Second, time.Millisecond,
			"the dials must end with the operations")
		connects := c.Connects.Count()
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, connects, c.Connects.Count(), "nothing must dial any more")
		if c.Refused == crowdSize && c.Typed == crowdSize {
			return c
		}
	}
	require.FailNow(t, "not all operations have seen the cause")
	return nil
}

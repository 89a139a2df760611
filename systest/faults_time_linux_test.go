package systest_test

// This fault is a process that is suspended while it dials, as a laptop, a container or a virtual
// machine may be.

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// suspend stops this process for 3 s. The function that it returns waits until the process runs again,
// and returns the time of that.
func suspend(t *testing.T) (resumed func() time.Time) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skipf("there is no shell to stop and continue this process: %v", err)
	}
	cmd := exec.Command("sh", "-c", "kill -STOP $PPID; sleep 3; kill -CONT $PPID")
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	at := make(chan time.Time, 1)
	go func() {
		assert.NoError(t, cmd.Wait())
		at <- time.Now()
	}()
	return func() time.Time { return <-at }
}

// A boundary ends a dial by its time, for a reason.
type boundary struct {
	name  string
	bound func(ctx context.Context, d *redial.Dialer, limit time.Duration) (context.Context, context.CancelFunc)
	stop  redial.Stop
	cause error // nil: not checked
}

var boundaries = []boundary{
	{"context's deadline", func(ctx context.Context, _ *redial.Dialer, limit time.Duration) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, limit)
	}, redial.ErrDeadline, nil},
	{"context's deadline with a cause", func(ctx context.Context, _ *redial.Dialer, limit time.Duration) (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, limit, errOperator)
	}, redial.ErrDeadline, errOperator},
	{"Deadline", func(ctx context.Context, d *redial.Dialer, limit time.Duration) (context.Context, context.CancelFunc) {
		d.Deadline = time.Now().Add(limit)
		return ctx, func() {}
	}, redial.ErrDeadline, nil},
	{"MaxElapsed", func(ctx context.Context, d *redial.Dialer, limit time.Duration) (context.Context, context.CancelFunc) {
		d.MaxElapsed = limit
		return ctx, func() {}
	}, redial.ErrMaxElapsed, nil},
}

// A process is stopped for 3 s. Its dials' time is up after 1 s. When the process continues, each of
// these dials ends at once, without another attempt, and for the right reason. The dials that have
// more time go on, and connect.
func TestFaultSuspended(t *testing.T) {
	inChild(t, nil, func(t *testing.T) {
		const (
			limit = time.Second
			each  = 20 // dials of a kind
		)
		refusing, silent := testutil.RefusingAddress(t, "tcp"), testutil.ListenSilent(t, "127.0.0.1:0")
		path := testutil.SocketPath(t)
		var (
			kinds   []func(t *testing.T) // check the dials of one kind
			dialing sync.WaitGroup
			begun   sync.WaitGroup // dials that wait, or are in an attempt
			resumed time.Time
		)
		for _, state := range []struct {
			name, address string
			class         redial.Class
		}{{"while waiting", refusing, redial.Refused}, {"in an attempt", silent, redial.Timeout}} {
			for _, b := range boundaries {
				var errs [each]error
				var ended [each]time.Time
				for i := range each {
					d := &redial.Dialer{Policy: redial.Policy{state.class: func() backoff.BackOff { return backoff.NewConstantBackOff(limit * 8 / 10) }}}
					d.Timeout = time.Minute // the attempt ends with the dial
					begin := sync.OnceFunc(begun.Done)
					if state.class == redial.Refused {
						d.OnAttempt = func(context.Context, redial.Attempt) { begin() }
					} else {
						d.Control = func(string, string, syscall.RawConn) error { begin(); return nil }
					}
					begun.Add(1)
					dialing.Go(func() {
						ctx, cancel := b.bound(t.Context(), d, limit)
						defer cancel()
						_, errs[i] = d.DialContext(ctx, "tcp", state.address)
						ended[i] = time.Now()
					})
				}
				kinds = append(kinds, func(t *testing.T) {
					t.Run(state.name+", by "+b.name, func(t *testing.T) {
						late := 0
						for i, err := range errs {
							assert.Less(t, ended[i].Sub(resumed), time.Second, "the dial went on although its time was up")
							assert.Greater(t, ended[i].Sub(resumed), -time.Second, "the process was not stopped")
							failed, ok := errors.AsType[*redial.Error](err)
							require.True(t, ok, "%v", err)
							assert.Equal(t, 1, failed.Attempts)
							assert.Equal(t, b.stop, failed.Stop)
							assert.ErrorIs(t, err, b.stop)
							if b.cause != nil && failed.Cause == nil {
								late++ // the context's timer was late, and a dial waits only 10 ms for it
							} else if b.cause != nil {
								assert.Equal(t, b.cause, failed.Cause)
								assert.ErrorIs(t, err, b.cause)
							}
							assert.Equal(t, state.class, failed.Class, "%v", err)
							assert.Equal(t, state.class, redial.Classify(err))
							if b.stop != redial.ErrMaxElapsed {
								assert.ErrorIs(t, err, context.DeadlineExceeded)
							}
						}
						assert.Less(t, late, each, "no dial knows why its context ended")
					})
				})
			}
		}
		var inTime error
		begun.Add(1)
		dialing.Go(func() {
			d := &redial.Dialer{OnAttempt: func(_ context.Context, a redial.Attempt) {
				if a.Err != nil && a.Number == 1 {
					begun.Done()
				}
			}}
			_, inTime = dialRecorded(t, d, "unix", path)
		})

		begun.Wait()
		wait := suspend(t)
		listenUnix(t, path)
		resumed = wait()
		dialing.Wait()
		for _, check := range kinds {
			check(t)
		}
		assert.NoError(t, inTime)
	})
}

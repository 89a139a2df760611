package systest_test

// These tests rely on Linux: full backlogs of listeners that do not accept, and self-connections.

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// The attempt's context ends some attempts, and the socket's deadline ends others. The two return
// different errors, but the class is the same. The caller's own context is not over, and does not
// matter.
func TestFullBacklog(t *testing.T) {
	t.Parallel()
	address := testutil.ListenSilent(t, "127.0.0.1:0")
	const dials, attempts = 8, 4
	type outcome struct {
		records []redial.Attempt
		err     error
	}
	outcomes := make([]outcome, dials)
	var dialing sync.WaitGroup
	for i := range outcomes {
		d := redial.Dialer{
			Dialer:      net.Dialer{Timeout: 50*time.Millisecond + time.Duration(i)*time.Millisecond},
			Policy:      atOnce(),
			MaxAttempts: attempts,
		}
		dialing.Go(func() {
			d.OnAttempt = func(_ context.Context, a redial.Attempt) {
				outcomes[i].records = append(outcomes[i].records, a)
			}
			ctx := context.Background() // a timer ends the attempt
			if i%2 == 0 {
				ctx = t.Context() // the socket's deadline does
			}
			conn, err := d.DialContext(ctx, "tcp", address)
			if err == nil {
				conn.Close()
			}
			outcomes[i].err = err
		})
	}
	dialing.Wait()

	byContext, bySocket := 0, 0
	for _, o := range outcomes {
		require.Error(t, o.err)
		assert.Equal(t, redial.Timeout, redial.Classify(o.err))
		assert.ErrorIs(t, o.err, redial.ErrMaxAttempts)
		var failed *redial.Error
		require.ErrorAs(t, o.err, &failed)
		assert.True(t, failed.Timeout())
		require.Len(t, o.records, attempts)
		for _, a := range o.records {
			assert.Equal(t, redial.Timeout, a.Class, "%v", a.Err)
			assert.Equal(t, redial.Timeout, redial.Classify(a.Err), "%v", a.Err)
			var timeout net.Error
			require.ErrorAs(t, a.Err, &timeout)
			assert.True(t, timeout.Timeout())
			switch {
			case errors.Is(a.Err, context.DeadlineExceeded):
				byContext++
			case errors.Is(a.Err, os.ErrDeadlineExceeded):
				bySocket++
			default:
				assert.Fail(t, "the error matches neither deadline", "%v", a.Err)
			}
		}
	}
	// The scheduler decides how many there are of each.
	t.Logf("of %d attempts, %d matched context.DeadlineExceeded, %d only os.ErrDeadlineExceeded",
		dials*attempts, byContext, bySocket)
}

// If nothing listens on a port, a dial that uses this port as its local port connects to itself.
// The dial must not take this for a connection to a service.
func TestSelfConnect(t *testing.T) {
	for _, loopback := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
		t.Run(loopback.String(), func(t *testing.T) {
			if loopback.To4() == nil {
				skipWithoutIPv6(t)
			}
			listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: loopback})
			require.NoError(t, err)
			self := listener.Addr()
			require.NoError(t, listener.Close())

			var socket syscall.RawConn
			d := redial.Dialer{Dialer: net.Dialer{
				LocalAddr: self,
				Control: func(_, _ string, c syscall.RawConn) error {
					socket = c
					return nil
				},
			}}
			a, err := dialOnce(t, d, "tcp", self.String())
			assert.Equal(t, redial.Refused, a.Class, "%v", err)
			assert.Equal(t, redial.Refused, redial.Classify(err))
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
			assert.NotErrorIs(t, err, syscall.EADDRINUSE)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			assert.Equal(t, self.String(), op.Source.String())
			assert.Equal(t, self.String(), op.Addr.String())
			_, isCall := errors.AsType[*os.SyscallError](err)
			assert.False(t, isCall, "the kernel refused, and did not make a self-connection: %v", err)

			require.NotNil(t, socket)
			assert.ErrorIs(t, socket.Control(func(uintptr) {}), net.ErrClosed, "the dial left the connection open")
		})
	}
}

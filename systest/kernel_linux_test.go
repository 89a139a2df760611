package systest_test

// These tests rely on Linux: full backlogs of listeners that do not accept, self-connections, the
// file permissions of unix sockets, and a process without descriptors.

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestFullUnixBacklog(t *testing.T) {
	path := socketPath(t)
	_, full := testutil.ListenFull(t, syscall.AF_UNIX, &syscall.SockaddrUnix{Name: path}, func(int) (net.Conn, error) {
		return net.Dial("unix", path)
	})
	require.ErrorIs(t, full, syscall.EAGAIN)
	a, err := dialOnce(t, redial.Dialer{}, "unix", path)
	assert.ErrorIs(t, err, syscall.EAGAIN)
	assert.Equal(t, redial.Refused, a.Class)
	assert.Equal(t, redial.Refused, redial.Classify(err))
}

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

// Root may connect to every unix socket. But one of root's threads can access files as another user
// does (setfsuid(2)).
func TestUnixSocketOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user; TestKernelError tests the same for other users; run it as root: go test -v -run TestUnixSocketOfRoot ./systest")
	}
	path := socketPath(t)
	listenUnix(t, path)
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	require.NoError(t, os.Chmod(path, 0o600))
	t.Run("dialed by nobody", func(t *testing.T) {
		runtime.LockOSThread() // never unlocked, so that this thread, which changes its user, ends with the subtest
		const nobody = 65534
		syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		a, err := dialOnce(t, redial.Dialer{}, "unix", path)
		assert.Equal(t, redial.Denied, a.Class, "%v", err)
		assert.Equal(t, redial.Denied, redial.Classify(err))
		assert.ErrorIs(t, err, syscall.EACCES)
	})
}

// Linux returns the same error for a file that is not a socket and for a stale socket. Other
// systems return ENOTSOCK.
func TestUnixSocketIsFile(t *testing.T) {
	path := socketPath(t)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	a, err := dialOnce(t, redial.Dialer{}, "unix", path)
	assert.Equal(t, redial.Refused, a.Class, "%v", err)
	assert.Equal(t, redial.Refused, redial.Classify(err))
}

// Without a free descriptor there is no socket, for any address. One free descriptor is enough for
// a dial to an IP address or a path: the library itself needs none.
func TestOutOfDescriptors(t *testing.T) {
	inChild(t, nil, func(t *testing.T) {
		for _, c := range []struct{ name, network, address string }{
			{"IPv4", "tcp", "127.0.0.1:0"},
			{"IPv6", "tcp", "[::1]:0"},
			{"unix", "unix", socketPath(t)},
		} {
			t.Run(c.name, func(t *testing.T) {
				if c.name == "IPv6" {
					skipWithoutIPv6(t)
				}
				listener, err := net.Listen(c.network, c.address)
				require.NoError(t, err)
				defer listener.Close()
				address := listener.Addr().String()

				d := redial.Dialer{Policy: atOnce(), MaxAttempts: 2}
				restore := leaveDescriptors(t, 0)
				attempts, err := dialRecorded(t, &d, c.network, address)
				restore()
				require.Error(t, err)
				require.Len(t, attempts, 1, "the dial was retried")
				assert.ErrorIs(t, err, syscall.EMFILE)
				assert.Equal(t, redial.Exhausted, attempts[0].Class, "%v", err)
				assert.Equal(t, redial.Exhausted, redial.Classify(err))

				restore = leaveDescriptors(t, 1)
				_, err = dialRecorded(t, &d, c.network, address)
				restore()
				assert.NoError(t, err)
			})
		}
	})
}

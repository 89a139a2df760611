package dialtest_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/dialtest"
)

// TCP can't connect to a multicast address: the kernel says ENETUNREACH.
func TestNoNetworkAsReal(t *testing.T) {
	assertAsReal(t, t.Context(), new(net.Dialer), dialtest.NoNetwork, "tcp", "224.0.0.1:5432")
}

func TestNoDescriptorsAsReal(t *testing.T) {
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max}))
	assertAsReal(t, t.Context(), new(net.Dialer), dialtest.NoDescriptors, "tcp", "127.0.0.1:5432")
}

// The socket may use one local port only, and the port is taken.
func TestNoPortsAsReal(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err := net.Dial("tcp4", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()

	port := conn.LocalAddr().(*net.TCPAddr).Port
	dialer := &net.Dialer{ControlContext: func(_ context.Context, _, _ string, c syscall.RawConn) (err error) {
		const ipLocalPortRange = 51 // ip(7)
		c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipLocalPortRange, port<<16|port)
		})
		return err
	}}
	if _, err := dialer.Dial("tcp4", listener.Addr().String()); errors.Is(err, syscall.ENOPROTOOPT) {
		t.Skip("the kernel is older than Linux 6.3")
	}
	assertAsReal(t, t.Context(), dialer, dialtest.NoPorts, "tcp4", listener.Addr().String())
}

// The context ends while a connect gets no answer.
func TestTimeoutAsReal(t *testing.T) {
	address := blackHole(t)
	for _, test := range []struct {
		name  string
		begin func() (context.Context, context.CancelFunc)
		end   func(context.Context, context.CancelFunc)
	}{
		{
			"canceled",
			func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) },
			func(_ context.Context, cancel context.CancelFunc) { cancel() },
		},
		{
			"timed out",
			func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), time.Millisecond)
			},
			func(ctx context.Context, _ context.CancelFunc) { <-ctx.Done() },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := test.begin()
			defer cancel()
			dialer := &net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error {
				test.end(ctx, cancel) // the socket exists, and connect is the next call
				return nil
			}}
			_, real := dialer.DialContext(ctx, "tcp4", address)
			require.Error(t, real)

			ctx, cancel = test.begin()
			defer cancel()
			go test.end(ctx, cancel)
			_, scripted := dialtest.Script(dialtest.Timeout).DialContext(ctx, "tcp4", address)
			assert.Equal(t, real, scripted)
		})
	}
}

// blackHole returns an address that does not answer. The address belongs to a listener that does
// not accept, and whose backlog is full (listen(2)).
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	conn, err := net.Dial("tcp4", address) // fills the backlog: one of length 0 holds one connection
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return address
}

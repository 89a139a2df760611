package systest_test

// These helpers use up what a machine can run out of: descriptors, ports, and room in a listener's
// backlog.

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// leaveDescriptors uses up all descriptors of this process but the given number, until restore is
// called. Call it only in a child: see inChild.
func leaveDescriptors(t *testing.T, left int) (restore func()) {
	t.Helper()
	const most = 256
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	lowered := limit
	lowered.Cur = min(most, limit.Cur)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered))
	var taken []int
	restore = func() {
		for _, fd := range taken {
			syscall.Close(fd)
		}
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	}
	for range most {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == syscall.EMFILE {
			break
		}
		require.NoError(t, err)
		taken = append(taken, fd)
	}
	require.Greater(t, len(taken), left)
	for _, fd := range taken[:left] {
		require.NoError(t, syscall.Close(fd))
	}
	taken = taken[left:]
	return restore
}

// useUpPorts connects to address until the kernel has no local port left. restore closes the
// connections with resets, so that their ports are free at once instead of in TIME_WAIT.
func useUpPorts(t *testing.T, network, address string) (restore func()) {
	t.Helper()
	var conns []net.Conn
	restore = func() {
		for _, conn := range conns {
			if tcp, ok := conn.(*net.TCPConn); ok {
				tcp.SetLinger(0)
			}
			conn.Close()
		}
	}
	for range 8 {
		conn, err := net.Dial(network, address)
		if err != nil {
			want := syscall.EADDRNOTAVAIL
			if network == "udp4" || network == "udp6" {
				want = syscall.EAGAIN
			}
			require.ErrorIs(t, err, want)
			require.NotEmpty(t, conns)
			return restore
		}
		conns = append(conns, conn)
	}
	restore()
	require.Fail(t, "there are more ports than there should be")
	return nil
}

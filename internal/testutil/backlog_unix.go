//go:build unix

package testutil

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BoundTo returns the address that a socket is bound to, in the form to dial.
func BoundTo(t testing.TB, fd int) (address string) {
	t.Helper()
	addr, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	switch addr := addr.(type) {
	case *syscall.SockaddrInet4:
		return (&net.TCPAddr{IP: addr.Addr[:], Port: addr.Port}).String()
	case *syscall.SockaddrInet6:
		return (&net.TCPAddr{IP: addr.Addr[:], Port: addr.Port}).String()
	}
	require.Failf(t, "not an Internet address", "%T", addr)
	return ""
}

// ListenFull listens on addr with a backlog of length zero and accepts nothing. It calls dial until
// dial fails, because the backlog is full. It returns the listener's descriptor and dial's error.
func ListenFull(t testing.TB, domain int, addr syscall.Sockaddr, dial func(fd int) (net.Conn, error)) (int, error) {
	t.Helper()
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	syscall.CloseOnExec(fd)
	t.Cleanup(func() { syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, addr))
	require.NoError(t, syscall.Listen(fd, 0))
	failed := 0
	for range 16 { // the kernel admits one connection more than the length of the backlog
		conn, err := dial(fd)
		if err == nil {
			failed = 0
			t.Cleanup(func() { conn.Close() })
			continue
		}
		if failed++; failed == 2 { // one dial can also time out because the machine is busy
			return fd, err
		}
	}
	require.Fail(t, "the backlog is not full")
	return -1, nil
}

// ListenSilent listens on address, an IPv4 address with a port, and answers no SYN, because its
// backlog is full. It returns the address; port 0 picks one.
func ListenSilent(t testing.TB, address string) string {
	t.Helper()
	parsed, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	addr := &syscall.SockaddrInet4{Addr: parsed.Addr().As4(), Port: int(parsed.Port())}
	fd, full := ListenFull(t, syscall.AF_INET, addr, func(fd int) (net.Conn, error) {
		return net.DialTimeout("tcp", BoundTo(t, fd), 100*time.Millisecond)
	})
	var timeout net.Error
	require.ErrorAs(t, full, &timeout)
	require.True(t, timeout.Timeout(), "%v", full)
	return BoundTo(t, fd)
}

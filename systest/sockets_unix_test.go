//go:build unix

package systest_test

// Servers on sockets of this machine, behaved and otherwise.

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// boundTo is the address of a socket, as one dials it.
func boundTo(t *testing.T, fd int) (address string) {
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

// socketPath is a path for a unix socket, short enough for every system's
// limit, whatever the test is called.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redial")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "socket")
}

func listenUnix(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener
}

// serveEach calls serve with each connection to a new listener on the
// loopback interface, until t ends.
func serveEach(t *testing.T, serve func(*net.TCPConn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-served
	})
	return listener.Addr().String()
}

// readOne is a Verify that waits for the peer's first byte.
func readOne(_ context.Context, conn net.Conn) error {
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

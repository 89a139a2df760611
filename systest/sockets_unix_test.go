//go:build unix

package systest_test

// These helpers make addresses and servers on sockets of this machine.

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func listenUnix(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener
}

// closeListener closes a listener while this process starts no other process. Between fork and exec, a
// new process holds a copy of the socket, which keeps the address in use and accepts connections.
func closeListener(t *testing.T, listener net.Listener) {
	t.Helper()
	syscall.ForkLock.RLock() // no process is between fork and exec
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, listener.Close())
}

// serveEach listens on the loopback interface, and calls serve with each connection, until t ends.
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

// echoes is a Verify function that waits until the peer returns two bytes.
func echoes(_ context.Context, conn net.Conn) error {
	b := []byte("xx")
	if _, err := conn.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, b)
	return err
}

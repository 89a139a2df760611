//go:build unix

package testutil

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBoundTo(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Log("not here: ", err)
			continue
		}
		defer ln.Close()
		raw, err := ln.(*net.TCPListener).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			assert.Equal(t, ln.Addr().String(), BoundTo(t, int(fd)))
		}))
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	for _, fd := range pair {
		defer syscall.Close(fd)
	}
	fails(t, func(t testing.TB) { BoundTo(t, pair[0]) }) // not an Internet address
}

func TestListenSilent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems answer when the backlog is full")
	}
	address := ListenSilent(t, "127.0.0.1:0")
	conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
	if err == nil {
		conn.Close()
	}
	assert.Error(t, err)
	fails(t, func(t testing.TB) { // a listener that accepts
		ListenFull(t, syscall.AF_INET, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, func(int) (net.Conn, error) {
			return nopConn{}, nil
		})
	})
}

type nopConn struct{ net.Conn }

func (nopConn) Close() error { return nil }

// fails checks that f fails its test.
func fails(t *testing.T, f func(t testing.TB)) {
	t.Helper()
	recorded := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(recorded)
	}()
	<-done
	assert.True(t, recorded.failed)
}

// failing is a test that may fail.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }
func (f *failing) FailNow()              { f.failed = true; runtime.Goexit() }

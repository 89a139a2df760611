//go:build unix

package systest_test

// These tests send requests to a real port on which nobody listens at first.

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A downServer is a server that is down. Its port is bound, so that no other program can use it,
// but refuses connections.
type downServer struct {
	address string
	fd      int
}

func newDownServer(t *testing.T) *downServer {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	syscall.CloseOnExec(fd)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	s := &downServer{testutil.BoundTo(t, fd), fd}
	t.Cleanup(func() { syscall.Close(s.fd) })
	return s
}

// up starts the server, which serves handler until t ends. It returns a count of the connections
// accepted.
func (s *downServer) up(t *testing.T, handler http.Handler) (accepted *atomic.Int64) {
	t.Helper()
	require.NoError(t, syscall.Listen(s.fd, 128))
	dup, err := syscall.Dup(s.fd)
	require.NoError(t, err)
	f := os.NewFile(uintptr(dup), "listener")
	defer f.Close()
	ln, err := net.FileListener(f)
	require.NoError(t, err)
	accepted = new(atomic.Int64)
	server := &http.Server{Handler: handler, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return accepted
}

// storm makes the given number of requests at once, each with the timeout. All must fail. storm
// returns when the last has failed.
func storm(t *testing.T, client *http.Client, url string, requests int, timeout time.Duration) {
	var done sync.WaitGroup
	for range requests {
		done.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, _, err := testutil.Get(ctx, client, url)
			assert.Error(t, err)
		})
	}
	done.Wait()
}

// When a server comes back, it gets at most one connection for each request that still waits for
// it.
func TestTransportWaitingRequests(t *testing.T) {
	t.Parallel()
	const gone, waiting = 100, 10
	down := newDownServer(t)
	address := down.address
	var dials atomic.Int64 // that have begun and not ended
	transport := redial.NewTransport(&redial.Dialer{
		Logger: zap.NewNop(),
		OnDial: func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
			dials.Add(1)
			return ctx, func(redial.Result) { dials.Add(-1) }
		},
	}, nil)
	client := &http.Client{Transport: transport}
	var done sync.WaitGroup
	for range waiting {
		done.Go(func() {
			body, _, err := testutil.Get(t.Context(), client, "http://"+address)
			assert.NoError(t, err)
			assert.Equal(t, "hello", body)
		})
	}
	storm(t, client, "http://"+address, gone, 300*time.Millisecond)
	// An attempt that is in flight when its request ends may finish.
	require.Eventually(t, func() bool { return dials.Load() == waiting }, 10*time.Second, time.Millisecond)

	accepted := down.up(t, testutil.Hello)
	done.Wait()
	assert.LessOrEqual(t, accepted.Load(), int64(waiting))
	transport.CloseIdleConnections()
}

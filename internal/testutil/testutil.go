// Package testutil has helpers that the tests of several packages share: servers on the loopback
// interface, addresses that the system picks, and a check for goroutines left behind.
package testutil

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Bubble runs f as a subtest in a testing/synctest bubble. The subtest also fails if f leaves
// goroutines behind.
func Bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// Crowd calls f(0) to f(n-1) concurrently, waits until all calls have returned, and returns their
// errors.
func Crowd(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { errs[i] = f(i) })
	}
	calls.Wait()
	return errs
}

// Listen listens on address and calls handle with each connection, until t ends. When handle
// returns, the connection is closed.
func Listen(t testing.TB, network, address string, handle func(net.Conn)) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return ln
}

// Echo sends back whatever it reads from conn.
func Echo(conn net.Conn) { io.Copy(conn, conn) }

// AssertEchoes checks that conn is a working connection to Echo.
func AssertEchoes(t testing.TB, conn net.Conn) {
	t.Helper()
	_, err := conn.Write([]byte("hello"))
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
}

// RefusingAddress returns a loopback address that refuses connections until t ends. A connection
// occupies the port, so that no other program can listen on it. The network is "tcp", "tcp4" or
// "tcp6". For "tcp6", RefusingAddress skips t if the machine has no ::1. It also skips t if package
// net only simulates a network.
//
// On some systems, a listener that asks for the very port gets it.
func RefusingAddress(t testing.TB, network string) string {
	t.Helper()
	NeedSockets(t)
	loopback := "127.0.0.1:0"
	if network == "tcp6" {
		loopback = "[::1]:0"
	}
	ln, err := net.Listen(network, loopback)
	if err != nil && network == "tcp6" {
		t.Skipf("this machine has no ::1: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() }) // not earlier, because closing ln would reset the connection and free the port
	conn, err := net.Dial(network, ln.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

// FreeAddress returns a loopback address for a test to bind to. Its port was free a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

// Hello answers each request with "hello".
var Hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })

// Get makes a GET request and reads the whole response.
func Get(ctx context.Context, client *http.Client, url string) (body, proto string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), resp.Proto, err
}

// Memory returns what memory is in use after a garbage collection, stacks included.
func Memory() (m runtime.MemStats) {
	for range 3 { // the second cycle shrinks the stacks that the first one found too large
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m
}

package kit

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serveVariable is the environment variable that makes a process of a test binary a server: it
// holds the address to serve on.
const serveVariable = "REDIAL_SERVE"

// Main runs the tests of a package, or, in a process that a Server of Self has started, serve. It
// is for servers that are Go packages: in a process of their own they can be killed. Call it
// from TestMain.
func Main(m *testing.M, serve func(address string) error) {
	address := os.Getenv(serveVariable)
	if address == "" {
		InParallel()
		os.Exit(m.Run())
	}
	go func() { // a test binary that panics does not kill its servers
		for parent := os.Getppid(); os.Getppid() == parent; time.Sleep(time.Second) {
		}
		os.Exit(1)
	}()
	fmt.Fprintln(os.Stderr, serve(address))
	os.Exit(1)
}

// Self returns a server that has not been started. It is a process of the test's own binary that
// serves on the address as the function given to Main says. It is ready when it accepts.
func Self(t testing.TB, address string) *Server {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return &Server{
		Path: path,
		Env:  []string{serveVariable + "=" + address},
		Ready: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
}

// NewSelf returns a server of Self on a free address, and the address.
func NewSelf(t *testing.T) (*Server, string) {
	t.Helper()
	address := FreeAddress(t)
	return Self(t, address), address
}

// Serve accepts connections and hands each to a goroutine of its own, which closes it in the end. It
// returns when it cannot go on.
func Serve(address string, handle func(conn net.Conn)) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			handle(conn)
		}()
	}
}

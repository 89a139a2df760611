package testutil

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/errno"
)

// NeedSockets skips t on systems where package net only simulates a network within the process. The
// simulation has no Control and no raw sockets, and an error that says "connection refused" as text
// only.
func NeedSockets(t testing.TB) {
	t.Helper()
	if simulatedNetwork {
		t.Skip("on " + runtime.GOOS + ", package net only simulates a network, without errnos of its own")
	}
}

const simulatedNetwork = runtime.GOOS == "js" || runtime.GOOS == "wasip1"

// SocketPath returns a path for a unix socket. The path is short enough for every system's limit,
// however long the test's name. SocketPath skips t if the system has no unix sockets.
func SocketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redial")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	ln, err := net.Listen("unix", path)
	if failed, ok := errors.AsType[*os.SyscallError](err); ok && errno.Of(failed.Err) == errno.FamilyNotSupported {
		t.Skipf("this system has no unix sockets: %v", err)
	}
	require.NoError(t, err)
	require.NoError(t, ln.Close()) // removes the socket
	return path
}

package testutil

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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

// Refusal is about how long a connect takes to fail if the machine is there and nobody listens on the
// port. Windows tries several times, half a second apart.
var Refusal = func() time.Duration {
	if runtime.GOOS == "windows" && !OnWine() {
		return 2 * time.Second
	}
	return 0
}()

// AssertMeasured checks that d, the time that something took, was measured. Where the clock ticks
// rarely, as on Windows, it may be zero.
func AssertMeasured(t testing.TB, d time.Duration) {
	t.Helper()
	if runtime.GOOS != "windows" {
		assert.Positive(t, d)
	}
	assert.GreaterOrEqual(t, d, time.Duration(0))
}

const simulatedNetwork = runtime.GOOS == "js" || runtime.GOOS == "wasip1"

// SocketPath returns a path for a unix socket. The path is short enough for every system's limit and
// for one line, however long the names of the test and of the system's temporary directory.
// SocketPath skips t if the system has no unix sockets.
func SocketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "redial")
	if err != nil {
		dir, err = os.MkdirTemp("", "redial")
	}
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

//go:build unix

package dialtest_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/dialtest"
)

func TestUnixSocketAsReal(t *testing.T) {
	dir, err := os.MkdirTemp("", "") // shorter than t.TempDir, because a socket's path has at most 104 bytes
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	missing, stale := filepath.Join(dir, "missing"), filepath.Join(dir, "stale")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: stale})
	require.NoError(t, err)
	listener.SetUnlinkOnClose(false)
	listener.Close()

	assertAsReal(t, t.Context(), new(net.Dialer), dialtest.NoSocket, "unix", missing)
	assertAsReal(t, t.Context(), new(net.Dialer), dialtest.Refuse, "unix", stale)
}

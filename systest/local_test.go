package systest_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// An attempt that binds to a path creates a file, which would block the next attempt. So the
// attempt removes its file. A file that existed before stays.
func TestLocalSocketFile(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("unix sockets can have a local address on unix only")
	}
	testutil.NeedSockets(t)
	dir := filepath.Dir(testutil.SocketPath(t))
	serverPath, localPath := filepath.Join(dir, "server"), filepath.Join(dir, "local")
	local := &net.UnixAddr{Name: localPath, Net: "unix"}
	var classes []redial.Class
	newDialer := func(verify func(context.Context, net.Conn) error) *redial.Dialer {
		classes = nil
		d := &redial.Dialer{
			Dialer:      net.Dialer{LocalAddr: local},
			Policy:      atOnce(),
			MaxAttempts: 3,
			Verify:      verify,
			OnAttempt:   func(_ context.Context, a redial.Attempt) { classes = append(classes, a.Class) },
		}
		return d
	}
	dials := map[string]func(d *redial.Dialer) (net.Conn, error){
		"DialContext": func(d *redial.Dialer) (net.Conn, error) { return d.DialContext(t.Context(), "unix", serverPath) },
		"DialUnix": func(d *redial.Dialer) (net.Conn, error) {
			d.LocalAddr = nil
			return d.DialUnix(t.Context(), "unix", local, &net.UnixAddr{Name: serverPath, Net: "unix"})
		},
	}
	for name, dial := range dials {
		t.Run(name, func(t *testing.T) {
			_, err := dial(newDialer(nil))
			require.Error(t, err)
			assert.Equal(t, []redial.Class{redial.Refused, redial.Refused, redial.Refused}, classes)
			assert.NoFileExists(t, localPath)

			ln := testutil.Listen(t, "unix", serverPath, testutil.Echo)
			_, err = dial(newDialer(func(context.Context, net.Conn) error { return io.EOF }))
			require.Error(t, err)
			assert.Equal(t, []redial.Class{redial.Reset, redial.Reset, redial.Reset}, classes)
			assert.NoFileExists(t, localPath)
			assert.PanicsWithValue(t, "oops", func() { dial(newDialer(func(context.Context, net.Conn) error { panic("oops") })) })
			assert.NoFileExists(t, localPath)

			conn, err := dial(newDialer(nil))
			require.NoError(t, err)
			testutil.AssertEchoes(t, conn)
			_, err = os.Lstat(localPath)
			assert.NoError(t, err, "the file of an open connection stays, as with net.Dialer")

			_, err = dial(newDialer(nil))
			require.Error(t, err)
			assert.Equal(t, []redial.Class{redial.Exhausted}, classes)
			_, err = os.Lstat(localPath)
			assert.NoError(t, err, "the file of another connection stays")
			require.NoError(t, conn.Close())
			require.NoError(t, ln.Close())
			require.NoError(t, os.Remove(localPath))
		})
	}
}

// An attempt that its caller cuts off after the bind removes its file too, though the error does
// not say how far the attempt came.
func TestLocalSocketFileOfCanceledAttempt(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("unix sockets can have a local address on unix only")
	}
	testutil.NeedSockets(t)
	dir := filepath.Dir(testutil.SocketPath(t))
	localPath := filepath.Join(dir, "local")
	server := testutil.Listen(t, "unix", filepath.Join(dir, "server"), testutil.Echo)
	dial := func(before error) error { // the error of what comes before the bind
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d := &redial.Dialer{Dialer: net.Dialer{
			LocalAddr: &net.UnixAddr{Name: localPath, Net: "unix"},
			Control:   func(string, string, syscall.RawConn) error { cancel(); return before },
		}}
		_, err := d.DialContext(ctx, "unix", server.Addr().String())
		return err
	}
	assert.ErrorIs(t, dial(nil), context.Canceled)
	assert.NoFileExists(t, localPath)

	require.NoError(t, os.WriteFile(localPath, nil, 0o600))
	assert.ErrorIs(t, dial(nil), context.Canceled)
	assert.FileExists(t, localPath, "the file of somebody else")
	assert.ErrorIs(t, dial(context.Canceled), context.Canceled)
	assert.FileExists(t, localPath, "the file of somebody else")
}

// When Verify rejects a connection, the connection is closed without TIME_WAIT, because TIME_WAIT
// would hold the local port that the next attempt needs.
func TestLocalPortAfterVerify(t *testing.T) {
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { io.Copy(io.Discard, conn) })
	local := netip.MustParseAddrPort(testutil.FreeAddress(t))
	remote := ln.Addr().(*net.TCPAddr).AddrPort()
	for name, dial := range map[string]func(d *redial.Dialer) (net.Conn, error){
		"DialContext": func(d *redial.Dialer) (net.Conn, error) {
			d.LocalAddr = net.TCPAddrFromAddrPort(local)
			return d.DialContext(t.Context(), "tcp", ln.Addr().String())
		},
		"DialTCP": func(d *redial.Dialer) (net.Conn, error) { return d.DialTCP(t.Context(), "tcp", local, remote) },
	} {
		t.Run(name, func(t *testing.T) {
			verified := 0
			d := &redial.Dialer{
				Policy: atOnce(),
				Verify: func(context.Context, net.Conn) error {
					if verified++; verified < 5 {
						return io.EOF
					}
					return nil
				},
			}
			conn, err := dial(d)
			require.NoError(t, err)
			assert.Equal(t, 5, verified)
			assert.Equal(t, local.String(), conn.LocalAddr().String())
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		})
	}
}

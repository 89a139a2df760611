//go:build unix

package redial_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// The check whether descriptors are left gives back those that it has opened.
func TestDescriptorCheckClosesItsOwn(t *testing.T) {
	assertNoDescriptors(t, func() {
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext}
		_, err := d.Dial("tcp", address)
		assert.Equal(t, redial.NotFound, redial.Classify(err))
	})
}

// So does the check whether there is an IPv6 address to send from. If there is one, or if its answer is another one, no port
// was left.
func TestIPv6SourceCheck(t *testing.T) {
	for _, host := range []string{"::1", "2001:db8::1"} {
		remote := &net.TCPAddr{IP: net.ParseIP(host), Port: 80}
		want := redial.Exhausted
		probe, err := net.DialUDP("udp6", nil, (*net.UDPAddr)(remote))
		if err == nil {
			probe.Close()
		} else if errors.Is(err, syscall.EADDRNOTAVAIL) {
			want = redial.Unreachable
		}
		assertNoDescriptors(t, func() {
			full := &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
			var class redial.Class
			d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Fail(full)).DialContext, MaxAttempts: 1,
				OnAttempt: func(_ context.Context, a redial.Attempt) { class = a.Class }}
			_, err := d.Dial("tcp", address)
			assert.Error(t, err)
			assert.Equal(t, want, class, host)
		})
	}
}

// A connection to itself is closed, also if it is to the address of a name.
func TestSelfConnectOfNameIsClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not every kernel connects a socket to itself on demand")
	}
	assertNoDescriptors(t, func() {
		_, port, err := net.SplitHostPort(testutil.FreeAddress(t))
		require.NoError(t, err)
		local, err := net.ResolveTCPAddr("tcp4", "127.0.0.1:"+port)
		require.NoError(t, err)
		d := &redial.Dialer{MaxAttempts: 1}
		d.LocalAddr = local
		_, err = d.Dial("tcp4", "localhost:"+port)
		assert.Equal(t, redial.Refused, redial.Classify(err))
		assert.ErrorContains(t, err, "connected to itself")
	})
}

// assertNoDescriptors calls f some times, and checks that it leaves no descriptor open.
func assertNoDescriptors(t *testing.T, f func()) {
	t.Helper()
	before := nextDescriptor(t)
	for range 20 {
		f()
	}
	assert.Less(t, nextDescriptor(t), before+20)
}

// nextDescriptor returns the lowest descriptor that is free (open(2)).
func nextDescriptor(t *testing.T) uintptr {
	t.Helper()
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	return f.Fd()
}

// A connection that Verify rejects is closed in the usual way, so that the server sees its end. It is reset only if it holds a
// port that the next attempt needs.
func TestRejectedConnectionIsClosed(t *testing.T) {
	ended := make(chan error)
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	})
	for name, local := range map[string]net.Addr{"none": nil, "a nil pointer": (*net.TCPAddr)(nil), "an address": &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}} {
		d := &redial.Dialer{Verify: func(context.Context, net.Conn) error { return errCustom }, MaxAttempts: 1}
		d.LocalAddr = local
		_, err := d.Dial("tcp", ln.Addr().String())
		assert.Equal(t, errCustom, err, name)
		assert.Equal(t, io.EOF, <-ended, name)
	}
}

// A LocalAddr that is no file leaves all files alone.
func TestLocalAddrWithoutFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("abstract names of unix sockets are Linux's (unix(7))")
	}
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("@name", nil, 0o600))
	for _, local := range []*net.UnixAddr{{Net: "unix"}, {Name: "@name", Net: "unix"}, {Name: "\x00name", Net: "unix"}} {
		d := &redial.Dialer{MaxAttempts: 1}
		d.LocalAddr = local
		_, err := d.Dial("unix", "missing")
		assert.ErrorIs(t, err, syscall.ENOENT, local)
		assert.FileExists(t, "@name")
	}
}

// An attempt whose time runs out after its bind removes the file that the bind has made. If the attempt fails before its bind,
// the file is another's.
func TestLocalFileOfSlowAttempt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "local")
	server := testutil.Listen(t, "unix", filepath.Join(dir, "server"), testutil.Echo)
	d := &redial.Dialer{MaxAttempts: 1}
	d.LocalAddr = &net.UnixAddr{Name: path, Net: "unix"}
	d.Timeout = 10 * time.Millisecond
	d.Control = func(string, string, syscall.RawConn) error {
		time.Sleep(2 * d.Timeout)
		return nil
	}
	_, err := d.Dial("unix", server.Addr().String())
	require.Error(t, err)
	assert.True(t, err.(net.Error).Timeout(), "%v", err)
	assert.NoFileExists(t, path)

	d.Timeout = 0
	d.Control = func(string, string, syscall.RawConn) error {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		return errCustom
	}
	_, err = d.Dial("unix", server.Addr().String())
	assert.ErrorIs(t, err, errCustom)
	assert.FileExists(t, path)
}

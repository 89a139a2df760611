//go:build unix

package systest_test

// These faults are errors of this machine's kernel and of peers that misbehave. Each makes a real dial
// fail. No error is made up.

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// kernelFaults need no namespace, and no root.
var kernelFaults = []fault{
	{class: redial.Refused, cause: "closed port on IPv4", errno: syscall.ECONNREFUSED,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", testutil.RefusingAddress(t, "tcp4")
			return nil
		}},
	{class: redial.Refused, cause: "closed port on IPv6", errno: syscall.ECONNREFUSED,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", testutil.RefusingAddress(t, "tcp6")
			return nil
		}},
	{class: redial.Refused, cause: "missing unix socket until the server starts", errno: syscall.ENOENT,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unix", testutil.SocketPath(t)
			return func() { listenUnix(t, d.address) }
		}},
	{class: redial.Refused, cause: "stale unix socket until the server starts", errno: syscall.ECONNREFUSED,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unix", testutil.SocketPath(t)
			listener := listenUnix(t, d.address)
			listener.SetUnlinkOnClose(false)
			closeListener(t, listener)
			require.FileExists(t, d.address)
			return func() {
				require.NoError(t, os.Remove(d.address))
				listenUnix(t, d.address)
			}
		}},
	{class: redial.Denied, cause: "unix socket of others", errno: syscall.EACCES,
		begin: func(t *testing.T, d *faultyDial) func() {
			if os.Geteuid() == 0 {
				t.Skip("root may connect to every unix socket; TestFaultDenied tests the same as another user")
			}
			d.network, d.address = "unix", testutil.SocketPath(t)
			listenUnix(t, d.address)
			require.NoError(t, os.Chmod(d.address, 0))
			return func() { require.NoError(t, os.Chmod(d.address, 0o600)) }
		}},
	{class: redial.Invalid, cause: "unix socket of another type", errno: syscall.EPROTOTYPE,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unixgram", testutil.SocketPath(t)
			listenUnix(t, d.address)
			return nil
		}},
	{class: redial.Invalid, cause: "unix socket at too long a path",
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unix", filepath.Join(os.TempDir(), strings.Repeat("x", 200))
			return nil
		}},
	{class: redial.Invalid, cause: "unix socket below a file", errno: syscall.ENOTDIR,
		begin: func(t *testing.T, d *faultyDial) func() {
			path := testutil.SocketPath(t)
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			d.network, d.address = "unix", filepath.Join(path, "socket")
			return nil
		}},
	{class: redial.Invalid, cause: "LocalAddr of another machine", errno: syscall.EADDRNOTAVAIL,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", listening(t)
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 77)} // TEST-NET-1, RFC 5737
			return func() { d.LocalAddr = nil }
		}},
	{class: redial.Exhausted, cause: "LocalAddr in use", errno: syscall.EADDRINUSE,
		begin: func(t *testing.T, d *faultyDial) func() {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { listener.Close() })
			d.network, d.address = "tcp", listening(t)
			d.LocalAddr = listener.Addr()
			return func() { closeListener(t, listener) }
		}},
	serverFault(redial.Reset, "server resets", nil, func(conn *net.TCPConn) { conn.SetLinger(0) }), // connect, write or read reports it
	serverFault(redial.Reset, "server closes", io.EOF, func(conn *net.TCPConn) { io.ReadFull(conn, make([]byte, 2)) }),
	serverFault(redial.Reset, "server dies with unread data", syscall.ECONNRESET, func(conn *net.TCPConn) {
		io.ReadFull(conn, make([]byte, 1)) // the kernel then resets the connection, because echoes has sent two bytes
	}),
	serverFault(redial.Timeout, "server accepts and is silent", nil, func(conn *net.TCPConn) { io.Copy(io.Discard, conn) }),
}

// serverFault returns a fault of a server that calls misbehave with each connection, and then closes
// it.
func serverFault(class redial.Class, cause string, errno error, misbehave func(*net.TCPConn)) fault {
	return fault{class: class, cause: cause, errno: errno, begin: func(t *testing.T, d *faultyDial) func() {
		var mended atomic.Bool
		d.Verify = echoes
		if class == redial.Timeout {
			d.Timeout = 500 * time.Millisecond
		}
		d.network, d.address = "tcp", serveEach(t, func(conn *net.TCPConn) {
			defer conn.Close()
			if mended.Load() {
				testutil.Echo(conn)
				return
			}
			misbehave(conn)
		})
		return func() { mended.Store(true) }
	}}
}

func TestFaultKernel(t *testing.T) {
	testFaults(t, kernelFaults)
}

// listening returns the address of a TCP server.
func listening(t *testing.T) string { return net.JoinHostPort("127.0.0.1", listenLoopback(t)) }

// tlsFaults fail in the handshake, which is part of the attempt. The class is TLS, because the peer
// did answer.
var tlsFaults = []fault{
	tlsFault("peer speaks plain text", func(t *testing.T, _ *httptest.Server, good *tls.Config) (string, *tls.Config) {
		return serveEach(t, func(conn *net.TCPConn) {
			defer conn.Close()
			io.WriteString(conn, "220 mail.test ESMTP\r\n")
			io.ReadFull(conn, make([]byte, 16)) // closing with unread data would send a reset
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
		}), &tls.Config{RootCAs: good.RootCAs, ServerName: "127.0.0.1"}
	}),
	tlsFault("unknown authority", func(*testing.T, *httptest.Server, *tls.Config) (string, *tls.Config) {
		return "", &tls.Config{RootCAs: x509.NewCertPool()}
	}),
	tlsFault("certificate for another name", func(_ *testing.T, _ *httptest.Server, good *tls.Config) (string, *tls.Config) {
		return "", &tls.Config{RootCAs: good.RootCAs, ServerName: "another.test"}
	}),
	tlsFault("certificate has expired", func(_ *testing.T, server *httptest.Server, good *tls.Config) (string, *tls.Config) {
		after := server.Certificate().NotAfter.Add(time.Hour)
		return "", &tls.Config{RootCAs: good.RootCAs, Time: func() time.Time { return after }}
	}),
	tlsFault("alert from the server", func(_ *testing.T, _ *httptest.Server, good *tls.Config) (string, *tls.Config) {
		return "", &tls.Config{RootCAs: good.RootCAs, MaxVersion: tls.VersionTLS12}
	}),
}

// tlsFault returns a fault of a handshake. The function bad returns the address to dial, or "" for
// that of server, and the configuration that fails there. The configuration good does not.
func tlsFault(cause string, bad func(t *testing.T, server *httptest.Server, good *tls.Config) (string, *tls.Config)) fault {
	return fault{class: redial.TLS, cause: cause, begin: func(t *testing.T, d *faultyDial) func() {
		server := httptest.NewUnstartedServer(nil)
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes fail on purpose
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
		server.StartTLS()
		t.Cleanup(server.Close)
		good := &tls.Config{RootCAs: x509.NewCertPool()}
		good.RootCAs.AddCert(server.Certificate())

		address, config := bad(t, server, good)
		d.network, d.address = "tcp", address
		if address == "" {
			d.address = server.Listener.Addr().String()
		}
		d.DialFunc = (&tls.Dialer{Config: config}).DialContext
		return func() {
			d.address = server.Listener.Addr().String()
			d.DialFunc = (&tls.Dialer{Config: good}).DialContext
		}
	}}
}

func TestFaultTLS(t *testing.T) {
	testFaults(t, tlsFaults)
}

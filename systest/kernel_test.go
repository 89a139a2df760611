//go:build unix

package systest_test

// These tests check how errors of this machine's kernel, and of peers that misbehave, are
// classified. Each case makes a real dial fail. No error is made up.

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
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestKernelError(t *testing.T) {
	for _, c := range []struct {
		name  string
		class redial.Class
		errno error // the error matches it; nil means any error
		setUp func(t *testing.T) (d redial.Dialer, network, address string)
	}{
		{"refused on IPv4", redial.Refused, syscall.ECONNREFUSED,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				return d, "tcp", testutil.RefusingAddress(t, "tcp4")
			}},
		{"refused on IPv6", redial.Refused, syscall.ECONNREFUSED,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				conn, err := net.ListenPacket("udp6", "[::1]:0")
				if err != nil {
					t.Skipf("this machine has no ::1: %v", err)
				}
				conn.Close()
				return d, "tcp", testutil.RefusingAddress(t, "tcp6")
			}},
		{"missing unix socket", redial.Refused, syscall.ENOENT,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				return d, "unix", socketPath(t)
			}},
		{"stale unix socket", redial.Refused, syscall.ECONNREFUSED,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				path := socketPath(t)
				listener := listenUnix(t, path)
				listener.SetUnlinkOnClose(false)
				require.NoError(t, listener.Close())
				require.FileExists(t, path)
				return d, "unix", path
			}},
		{"unix socket of others", redial.Denied, syscall.EACCES,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				if os.Geteuid() == 0 {
					t.Skip("root may connect to every unix socket; TestUnixSocketOfRoot tests the same as another user")
				}
				path := socketPath(t)
				listenUnix(t, path)
				require.NoError(t, os.Chmod(path, 0))
				return d, "unix", path
			}},
		{"unix socket of another type", redial.Invalid, syscall.EPROTOTYPE,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				path := socketPath(t)
				listenUnix(t, path)
				return d, "unixgram", path
			}},
		{"unix socket at too long a path", redial.Invalid, nil,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				return d, "unix", filepath.Join(os.TempDir(), strings.Repeat("x", 200))
			}},
		{"unix socket below a file", redial.Invalid, syscall.ENOTDIR,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				path := socketPath(t)
				require.NoError(t, os.WriteFile(path, nil, 0o600))
				return d, "unix", filepath.Join(path, "socket")
			}},
		{"LocalAddr of another machine", redial.Invalid, syscall.EADDRNOTAVAIL,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				d.LocalAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 77)} // TEST-NET-1, RFC 5737
				return d, "tcp", testutil.RefusingAddress(t, "tcp4")
			}},
		{"LocalAddr in use", redial.Exhausted, syscall.EADDRINUSE,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				t.Cleanup(func() { listener.Close() })
				d.LocalAddr = listener.Addr()
				return d, "tcp", testutil.RefusingAddress(t, "tcp4")
			}},
		{"reset by the server", redial.Reset, nil, // either connect or read reports it
			func(t *testing.T) (d redial.Dialer, network, address string) {
				d.Verify = readOne
				return d, "tcp", serveEach(t, func(conn *net.TCPConn) {
					conn.SetLinger(0)
					conn.Close()
				})
			}},
		{"closed by the server", redial.Reset, io.EOF,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				d.Verify = readOne
				return d, "tcp", serveEach(t, func(conn *net.TCPConn) { conn.Close() })
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, network, address := c.setUp(t)
			a, err := dialOnce(t, d, network, address)
			assert.Equal(t, c.class, a.Class, "%v", err)
			assert.Equal(t, c.class, redial.Classify(err), "%v", err)
			if c.errno != nil {
				assert.ErrorIs(t, err, c.errno)
			}
		})
	}
}

// A TLS handshake that fails as part of the attempt has class TLS, because the peer did answer.
func TestKernelTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes fail on purpose
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	server.StartTLS()
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	plain := serveEach(t, func(conn *net.TCPConn) {
		defer conn.Close()
		io.WriteString(conn, "220 mail.test ESMTP\r\n")
		io.ReadFull(conn, make([]byte, 16)) // closing with unread data would send a reset
		conn.CloseWrite()
		io.Copy(io.Discard, conn)
	})
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())

	// This dial connects, so each dial below fails for the reason in its name.
	require.NoError(t, dialTLS(t, address, &tls.Config{RootCAs: trusted}))

	for _, c := range []struct {
		name    string
		address string
		config  *tls.Config
	}{
		{"plain text", plain, &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1"}},
		{"unknown authority", address, &tls.Config{RootCAs: x509.NewCertPool()}},
		{"another's name", address, &tls.Config{RootCAs: trusted, ServerName: "another.test"}},
		{"alert from the server", address, &tls.Config{RootCAs: trusted, MaxVersion: tls.VersionTLS12}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := redial.Dialer{DialFunc: (&tls.Dialer{Config: c.config}).DialContext}
			a, err := dialOnce(t, d, "tcp", c.address)
			assert.Equal(t, redial.TLS, a.Class, "%v", err)
			assert.Equal(t, redial.TLS, redial.Classify(err), "%v", err)
		})
	}
}

func dialTLS(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	d := redial.Dialer{DialFunc: (&tls.Dialer{Config: config}).DialContext, Policy: redial.Policy{}}
	attempts, err := dialRecorded(t, &d, "tcp", address)
	require.Len(t, attempts, 1)
	return err
}

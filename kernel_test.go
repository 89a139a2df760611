//go:build unix

package redial_test

// What this machine's kernel, and peers that misbehave, say of a dial: each
// case sets up the real thing, dials it, and checks the class of what came
// back. No error here is made up.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
)

// closedPort is an address of the loopback interface that refuses
// connections. Its port is bound, not listened on, until t ends: nobody else
// can come to listen there.
func closedPort(t *testing.T, network string) (address string) {
	t.Helper()
	domain, addr := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if network == "tcp6" {
		domain, addr = syscall.AF_INET6, &syscall.SockaddrInet6{Addr: [16]byte{15: 1}}
	}
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	require.NoError(t, syscall.Bind(fd, addr))
	return boundTo(t, fd)
}

// boundTo is the address of a socket, as one dials it.
func boundTo(t *testing.T, fd int) (address string) {
	t.Helper()
	addr, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	switch addr := addr.(type) {
	case *syscall.SockaddrInet4:
		return (&net.TCPAddr{IP: addr.Addr[:], Port: addr.Port}).String()
	case *syscall.SockaddrInet6:
		return (&net.TCPAddr{IP: addr.Addr[:], Port: addr.Port}).String()
	}
	require.Failf(t, "not an Internet address", "%T", addr)
	return ""
}

// socketPath is a path for a unix socket, short enough for every system's
// limit, whatever the test is called.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redial")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "socket")
}

func listenUnix(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener
}

// serveEach calls serve with each connection to a new listener on the
// loopback interface, until t ends.
func serveEach(t *testing.T, serve func(*net.TCPConn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-served
	})
	return listener.Addr().String()
}

// readOne is a Verify that waits for the peer's first byte.
func readOne(_ context.Context, conn net.Conn) error {
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func TestKernelError(t *testing.T) {
	for _, c := range []struct {
		name  string
		class redial.Class
		errno error // found in the error; nil: none need be
		setUp func(t *testing.T) (d redial.Dialer, network, address string)
	}{
		{"refused on IPv4", redial.Refused, syscall.ECONNREFUSED,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				return d, "tcp", closedPort(t, "tcp4")
			}},
		{"refused on IPv6", redial.Refused, syscall.ECONNREFUSED,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				conn, err := net.ListenPacket("udp6", "[::1]:0")
				if err != nil {
					t.Skipf("this machine has no ::1: %v", err)
				}
				conn.Close()
				return d, "tcp", closedPort(t, "tcp6")
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
					t.Skip("root may connect to every unix socket")
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
				return d, "tcp", closedPort(t, "tcp4")
			}},
		{"LocalAddr in use", redial.Exhausted, syscall.EADDRINUSE,
			func(t *testing.T) (d redial.Dialer, network, address string) {
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				t.Cleanup(func() { listener.Close() })
				d.LocalAddr = listener.Addr()
				return d, "tcp", closedPort(t, "tcp4")
			}},
		{"reset by the server", redial.Reset, nil, // connect or read says so
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

// A handshake that fails, as part of the attempt: the peer did answer.
func TestKernelTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are the point
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	server.StartTLS()
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	plain := serveEach(t, func(conn *net.TCPConn) {
		defer conn.Close()
		io.WriteString(conn, "220 mail.test ESMTP\r\n")
		io.ReadFull(conn, make([]byte, 16)) // what is not read would be answered with a reset
		conn.CloseWrite()
		io.Copy(io.Discard, conn)
	})
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())

	// One that would connect, so that each of the others fails for the
	// reason that it names.
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

// What can never work as asked is not retried, and no packet is sent for it.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name, network, address string
		class                  redial.Class
	}{
		{"empty address", "tcp", "", redial.Invalid},
		{"no port", "tcp", "127.0.0.1", redial.Invalid},
		{"host without port", "tcp", "host", redial.Invalid},
		{"port too high", "tcp", "127.0.0.1:99999", redial.Invalid},
		{"negative port", "tcp", "127.0.0.1:-1", redial.Invalid},
		{"unknown service", "tcp", "127.0.0.1:http-nope", redial.Invalid},
		{"unclosed bracket", "tcp", "[::1", redial.Invalid},
		{"too many colons", "tcp", "1.2.3.4:5:6", redial.Invalid},
		{"unknown network", "tcp7", "127.0.0.1:80", redial.Invalid},
		{"unknown unix network", "unixx", "/tmp/socket", redial.Invalid},
		{"empty network", "", "127.0.0.1:80", redial.Invalid},
		{"ip without protocol", "ip", "127.0.0.1", redial.Invalid},
		{"ip of unknown protocol", "ip:nope", "127.0.0.1", redial.Invalid},
		{"IPv4 address on tcp6", "tcp6", "127.0.0.1:80", redial.Invalid},
		{"IPv6 address on tcp4", "tcp4", "[::1]:80", redial.Invalid},
		{"IPv6 address with a zone on tcp4", "tcp4", "[fe80::1%1]:80", redial.Invalid},
		{"IPv4 address on udp6", "udp6", "127.0.0.1:80", redial.Invalid},
		{"IPv6 address on ip4", "ip4:icmp", "::1", redial.Invalid},
		{"octet too high", "tcp", "256.1.1.1:80", redial.Invalid},
		{"octets too many", "tcp", "1.2.3.4.5:80", redial.Invalid},
		{"label too long", "tcp", strings.Repeat("x", 64) + ".test:80", redial.Invalid},
		{"label empty", "tcp", "a..test:80", redial.Invalid},
		{"space in a name", "tcp", "a b.test:80", redial.Invalid},
		{"user in a name", "tcp", "a@b.test:80", redial.Invalid},
		{"URL in brackets", "tcp", "[http://a.test]:80", redial.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := redial.Dialer{Policy: atOnce(), MaxAttempts: 2}
			attempts, err := dialRecorded(t, &d, c.network, c.address)
			require.Error(t, err)
			require.Len(t, attempts, 1, "retried")
			assert.Equal(t, c.class, attempts[0].Class, "%v", err)
			assert.Equal(t, c.class, redial.Classify(err), "%v", err)
			failed, ok := errors.AsType[*redial.Error](err)
			require.True(t, ok)
			assert.Same(t, attempts[0].Err, failed.Err, "as the inner dialer made it")
		})
	}
}

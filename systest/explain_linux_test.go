package systest_test

// These tests explain real failures. Each test makes a dial fail on this machine, in a network
// namespace if it needs a network of its own.

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// dialRetried makes a dial of two attempts, both of which must fail, and returns the error.
func dialRetried(t *testing.T, d redial.Dialer, network, address string) error {
	t.Helper()
	d.MaxAttempts, d.Policy = 2, atOnce()
	_, err := dialRecorded(t, &d, network, address)
	require.Error(t, err)
	return err
}

func TestExplainLoopback(t *testing.T) {
	address := testutil.RefusingAddress(t, "tcp")
	_, port, _ := net.SplitHostPort(address)
	_, err := net.Dial("tcp", address)
	assertGolden(t, "refused_loopback", err, port, "5432")
	err = dialRetried(t, redial.Dialer{}, "tcp", address)
	assertGoldenReal(t, "refused_loopback_retried", err, port, "5432")

	// The explanation for a host name also has the name's address, which depends on this machine.
	// So no golden file can hold the explanation.
	err = dialRetried(t, redial.Dialer{}, "tcp4", "localhost:"+port)
	assert.True(t, strings.HasPrefix(explain.Error(err), "localhost:"+port+" (127.0.0.1) refused the connection"), "%s", explain.Error(err))
}

func TestExplainUnixSocket(t *testing.T) {
	path := testutil.SocketPath(t)
	_, err := net.Dial("unix", path)
	assert.Contains(t, explain.Error(err), "There is no unix socket "+path)

	listener := listenUnix(t, path)
	listener.SetUnlinkOnClose(false)
	listener.Close()
	_, err = net.Dial("unix", path)
	assertGolden(t, "unix_stale", err, path, "/run/app.sock")

	full := testutil.SocketPath(t)
	_, err = testutil.ListenFull(t, syscall.AF_UNIX, &syscall.SockaddrUnix{Name: full}, func(int) (net.Conn, error) {
		return net.Dial("unix", full)
	})
	assertGolden(t, "unix_queue_full", err, full, "/run/app.sock")

	long := "/run/" + strings.Repeat("x", 120)
	_, err = net.Dial("unix", long)
	assertGolden(t, "unix_too_long", err, long, "/run/xxx")
}

func TestExplainFullBacklog(t *testing.T) {
	address := testutil.ListenSilent(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(address)
	err := dialRetried(t, redial.Dialer{Dialer: net.Dialer{Timeout: 50 * time.Millisecond}}, "tcp", address)
	assertGoldenReal(t, "timeout_loopback", err, port, "5432")

	ctx, cancel := context.WithCancel(t.Context())
	d := redial.Dialer{Dialer: net.Dialer{Timeout: 50 * time.Millisecond}, Policy: atOnce(),
		OnAttempt: func(context.Context, redial.Attempt) { cancel() }}
	_, err = d.DialContext(ctx, "tcp", address)
	assertGoldenReal(t, "canceled_loopback", err, port, "5432")
}

func TestExplainLocalAddr(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_, err = (&net.Dialer{LocalAddr: listener.Addr()}).Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	assertGolden(t, "exhausted_local_port", err, port, "4000")

	_, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 123)}}).Dial("tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
	assertGolden(t, "invalid_local_address", err)
}

func TestExplainDescriptors(t *testing.T) {
	inChild(t, updateEnv(), func(t *testing.T) {
		restore := leaveDescriptors(t, 0)
		_, err := net.Dial("tcp", "192.0.2.1:80")
		restore() // reading the golden file needs a descriptor
		require.ErrorIs(t, err, syscall.EMFILE)
		assertGolden(t, "exhausted_descriptors", err)
	})
}

func TestExplainRoutes(t *testing.T) {
	inNamespace(t, updateEnv(), func(t *testing.T) {
		for _, c := range []struct {
			name    string
			kind    byte
			prefix  string
			address string
		}{
			{"unreachable_no_route", 0, "", "198.51.100.7:80"},
			{"unreachable_no_route_ipv6", 0, "", "[2001:db8::7]:80"},
			{"unreachable_route", syscall.RTN_UNREACHABLE, "198.51.100.7/32", "198.51.100.7:80"},
			{"denied_prohibit", syscall.RTN_PROHIBIT, "198.51.100.7/32", "198.51.100.7:80"},
			{"unreachable_blackhole", syscall.RTN_BLACKHOLE, "198.51.100.7/32", "198.51.100.7:80"},
			{"invalid_no_zone", 0, "", "[fe80::1]:80"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if strings.HasPrefix(c.address, "[") {
					skipWithoutIPv6(t)
				}
				if c.kind != 0 {
					defer addRoute(t, c.kind, c.prefix)()
				}
				_, err := net.Dial("tcp", c.address)
				assertGolden(t, c.name, err)
			})
		}
		t.Run("no source", func(t *testing.T) {
			skipWithoutIPv6(t)
			writeSysctl(t, "net/ipv6/conf/all/disable_ipv6", "1")
			err := dialRetried(t, redial.Dialer{}, "tcp", "[2001:db8::7]:80")
			assertGoldenReal(t, "unreachable_no_ipv6_source", err)
		})
	})
}

func TestExplainElsewhere(t *testing.T) {
	inNamespace(t, updateEnv(), func(t *testing.T) {
		addAddress(t, "192.0.2.1/32")
		swallow(t, "198.51.100.0/24")
		server := dnstest.Start(t, "127.0.0.1:53")
		server.Set("db.test", dnstest.Addrs("192.0.2.1"))
		server.Set("both.test", dnstest.Addrs("192.0.2.1", "198.51.100.7"))
		server.Set("failing.test", dnstest.ServFail)
		server.Set("v4.test", dnstest.Addrs("192.0.2.1"))

		d := redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}}
		assertGoldenReal(t, "refused_elsewhere", dialRetried(t, d, "tcp", "db.test:5432"))
		_, err := d.Dial("tcp", "nosuch.test:5432")
		assertGolden(t, "not_found_real", err)
		_, err = d.Dial("tcp6", "v4.test:5432")
		assertGolden(t, "not_found_family_real", err)
		assertGoldenReal(t, "dns_failing_real", dialRetried(t, d, "tcp", "failing.test:5432"))

		d.Timeout = 1200 * time.Millisecond
		_, err = net.DialTimeout("tcp", "198.51.100.7:5432", 50*time.Millisecond)
		assertGolden(t, "timeout_dropped", err)
		assertGoldenReal(t, "timeout_dropped_retried", dialRetried(t, d, "tcp", "198.51.100.7:5432"))
		assertGoldenReal(t, "mixed_real", dialRetried(t, d, "tcp", "both.test:5432"))

		writeSysctl(t, "net/ipv4/ip_local_port_range", "40000 40001")
		listener, err := net.Listen("tcp", "127.0.0.1:50000")
		require.NoError(t, err)
		defer listener.Close()
		defer useUpPorts(t, "tcp", "127.0.0.1:50000")()
		_, err = net.Dial("tcp", "127.0.0.1:50000")
		assertGolden(t, "exhausted_ports", err)
	})
}

// What the DNS has said leads to the cause, beyond the class of the failure.
func TestExplainNames(t *testing.T) {
	inNamespace(t, updateEnv(), func(t *testing.T) {
		server := dnstest.Start(t, "127.0.0.1:53")
		writeEtc(t, "resolv.conf", "nameserver 127.0.0.1\nsearch corp.test\noptions timeout:1 attempts:1\n")
		server.Set("blocked.test", dnstest.Addrs("0.0.0.0"))
		server.Set("gone.test", dnstest.Addrs("127.0.0.1"), dnstest.Addrs("127.0.0.1"), dnstest.NoSuchName) // of A and AAAA
		server.Set("db.corp.test", dnstest.ServFail)
		server.Set("half.test", dnstest.NoData)
		server.Set("long.test", dnstest.Addrs("127.0.0.1"))
		server.Mangle(func(answer []byte) []byte {
			switch {
			case bytes.Contains(answer, []byte("\x04half\x04test\x00\x00\x1c")): // AAAA
				return nil
			case bytes.Contains(answer, []byte("\x04long\x04test\x00")):
				answer[2] |= 2 // truncated
			}
			return answer
		})
		onlyUDP := dnstest.ResolverBy(func(ctx context.Context, network, address string) (net.Conn, error) {
			if network == "tcp" {
				address = "127.0.0.1:1"
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		})
		for _, c := range []struct {
			code, name string
			resolver   *net.Resolver
			says       string
		}{
			{"refused.zero-address", "blocked.test", nil, "resolves to 0.0.0.0"},
			{"dns.gone", "gone.test", nil, "has resolved before"},
			{"dns.partial", "db", nil, "failed for one query"},
			{"dns.one-family", "half.test", nil, "did not answer the AAAA query"},
			{"dns.tcp", "long.test", onlyUDP, "over TCP"},
		} {
			t.Run(c.code, func(t *testing.T) {
				d := redial.Dialer{Dialer: net.Dialer{Timeout: 700 * time.Millisecond, Resolver: c.resolver}}
				err := dialRetried(t, d, "tcp", c.name+":5432")
				assert.Equal(t, c.code, explain.For(err).Code, "%v", err)
				assert.Contains(t, explain.Error(err), c.says)
				assertForm(t, explain.Error(err))
			})
		}
	})
}

// Each server accepts the connection, and then the TLS handshake fails.
func TestExplainHandshake(t *testing.T) {
	handshake := func(config *tls.Config) func(context.Context, net.Conn) error {
		return func(ctx context.Context, conn net.Conn) error { return tls.Client(conn, config).HandshakeContext(ctx) }
	}
	authority, pool := certificateFor(t, "ca.example", time.Hour, nil)
	good, _ := certificateFor(t, "db.example", time.Hour, authority)
	expired, _ := certificateFor(t, "db.example", -time.Hour, authority)
	serve := func(config *tls.Config) func(net.Conn) {
		return func(conn net.Conn) {
			defer conn.Close()
			if tls.Server(conn, config).Handshake() == nil {
				conn.Read(make([]byte, 1))
			}
		}
	}
	for _, c := range []struct {
		name   string
		handle func(net.Conn)
		config *tls.Config
	}{
		{"tls_real_plain_text", func(conn net.Conn) { conn.Write([]byte("220 ready\r\n")); conn.Read(make([]byte, 512)); conn.Close() },
			&tls.Config{ServerName: "db.example"}},
		{"tls_real_name", serve(&tls.Config{Certificates: []tls.Certificate{*good}}), &tls.Config{ServerName: "www.example", RootCAs: pool}},
		{"tls_real_authority", serve(&tls.Config{Certificates: []tls.Certificate{*good}}), &tls.Config{ServerName: "db.example", RootCAs: x509.NewCertPool()}},
		{"tls_real_expired", serve(&tls.Config{Certificates: []tls.Certificate{*expired}}), &tls.Config{ServerName: "db.example", RootCAs: pool}},
		{"tls_real_version", serve(&tls.Config{Certificates: []tls.Certificate{*good}, MinVersion: tls.VersionTLS13}),
			&tls.Config{ServerName: "db.example", RootCAs: pool, MaxVersion: tls.VersionTLS12}},
		{"reset_real_closed", func(conn net.Conn) { conn.Read(make([]byte, 512)); conn.Close() }, &tls.Config{ServerName: "db.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := testutil.Listen(t, "tcp", "127.0.0.1:0", c.handle).Addr().String()
			_, port, _ := net.SplitHostPort(address)
			d := redial.Dialer{Verify: handshake(c.config)}
			a, _ := dialOnce(t, d, "tcp", address)
			// A program that keeps only the record of its one attempt can build this error to
			// explain it.
			err := &redial.Error{Network: a.Network, Address: a.Address, Attempts: 1, Class: a.Class, Err: a.Err, Stop: a.Stop, History: []redial.Attempt{a}}
			assertGoldenReal(t, c.name, err, port, "443", day(expired.Leaf.NotAfter), "LATELY", day(expired.Leaf.NotBefore), "BEFORE")
		})
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// certificateFor makes a certificate for name that expires after the duration valid. The
// certificate is signed by authority or, without one, by itself.
func certificateFor(t *testing.T, name string, valid time.Duration, authority *tls.Certificate) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(valid),
		IsCA: authority == nil, BasicConstraintsValid: true,
	}
	parent, signer := template, any(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// explain.Error does no I/O: it must not open files, look up names or connect.
func TestExplainWithoutIO(t *testing.T) {
	inChild(t, nil, func(t *testing.T) {
		err := connectError("192.0.2.1:80", syscall.ECONNREFUSED)
		want := explain.Error(err)
		restore := leaveDescriptors(t, 0)
		got := explain.Error(err)
		dns := explain.Error(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "db.example", IsNotFound: true}})
		_, openErr := os.Open(os.DevNull)
		restore()
		require.True(t, errors.Is(openErr, syscall.EMFILE))
		assert.Equal(t, want, got)
		assert.Contains(t, dns, "The resolver knows no address of db.example")
	})
}

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// newProxy returns a squid that has not been started.
func newProxy(t *testing.T) (server *kit.Server, address string) {
	t.Helper()
	path := kit.Binary(t, "squid", "squid")
	const user = "proxy"
	dir := kit.Dir(t, user)
	address = kit.FreeAddress(t)
	config := filepath.Join(dir, "squid.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
http_port %[1]s
acl forbidden dstdomain 192.0.2.1
http_access deny forbidden
http_access allow all
pid_filename none
cache_log stdio:/dev/stderr
access_log none
cache deny all
cache_mem 8 MB
coredump_dir %[2]s
visible_hostname localhost
pinger_enable off
`, address, dir), 0o644))
	return &kit.Server{
		Path: path,
		Args: []string{"-N", "-f", config},
		User: user,
		Ready: func(ctx context.Context) error {
			target := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo)
			defer target.Close()
			conn, err := throughProxy(&redial.Dialer{MaxAttempts: 1, Logger: zap.NewNop()}, address).
				DialContext(ctx, "tcp", target.Addr().String())
			if err == nil {
				conn.Close()
			}
			return err
		},
	}, address
}

// A target is what the proxy leads to.
type target struct {
	address string
	config  *tls.Config // of its clients
	server  *http.Server
}

// newTarget returns an HTTPS server that has not been started.
func newTarget(t *testing.T) *target {
	t.Helper()
	certificate := kit.NewCertificate(t, kit.Dir(t, ""))
	pair, err := tls.LoadX509KeyPair(certificate.CertFile, certificate.KeyFile)
	require.NoError(t, err)
	s := &target{
		address: kit.FreeAddress(t),
		config:  certificate.Client,
		server:  &http.Server{Handler: testutil.Hello, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}},
	}
	t.Cleanup(func() { s.server.Close() })
	return s
}

func (s *target) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if assert.NoError(t, err) {
		go s.server.ServeTLS(listener, "", "")
	}
}

func (s *target) hello(t *testing.T, client *http.Client) func(context.Context) error {
	t.Cleanup(client.CloseIdleConnections)
	return func(ctx context.Context) error {
		_, err := get(ctx, client, "https://"+s.address)
		return err
	}
}

func urlOf(address string) *url.URL { return &url.URL{Scheme: "http", Host: address} }

// plainClient returns a client without redial.
func plainClient(d *net.Dialer, proxy string, config *tls.Config) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DialContext = d.DialContext
	base.Proxy = http.ProxyURL(urlOf(proxy))
	base.TLSClientConfig = config.Clone()
	return &http.Client{Transport: base, Timeout: 20 * time.Second}
}

func TestSuite(t *testing.T) {
	target := newTarget(t)
	target.start(t)
	alone := func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
		return target.hello(t, plainClient(d, addresses[0], target.config))
	}
	kit.RunSuites(t, kit.Suite{
		Client: "HTTP proxy, `NewTransport`",
		Server: newProxy,
		Alone:  alone,
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return target.hello(t, newClient(d, urlOf(addresses[0]), target.config))
		},
	}, kit.Suite{
		Client: "HTTP CONNECT",
		Server: newProxy,
		Alone:  alone,
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return target.hello(t, newTunnelClient(d, addresses[0], target.config))
		},
	})
}

// TestTargetDownAtFirst has a proxy that is up, and a target behind it that is not.
func TestTargetDownAtFirst(t *testing.T) {
	t.Parallel()
	proxy, address := newProxy(t)
	proxy.Start(t)
	target := newTarget(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := &redial.Dialer{Logger: zap.NewNop()}
	client := newClient(d, urlOf(address), target.config)
	err := target.hello(t, client)(ctx)
	assertUnavailable(t, err) // the dial to the proxy has succeeded

	time.AfterFunc(2*time.Second, func() { target.start(t) })
	errs := testutil.Crowd(2, func(i int) error {
		if i == 0 {
			_, err := redial.Do(ctx, d, "http", target.address, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, target.hello(t, client)(ctx)
			})
			return err
		}
		return target.hello(t, newTunnelClient(new(redial.Dialer), address, target.config))(ctx)
	})
	assert.NoError(t, errs[0], "NewTransport with Proxy, within Do")
	assert.NoError(t, errs[1], "CONNECT in DialFunc")
}

// assertUnavailable checks that the proxy answered 503, as squid does if the target refuses.
func assertUnavailable(t *testing.T, err error) {
	t.Helper()
	var answer *redial.ProxyError
	if assert.ErrorAs(t, err, &answer) {
		assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	}
}

// TestTargetNeverUp has the proxy's answer in the error.
func TestTargetNeverUp(t *testing.T) {
	t.Parallel()
	proxy, address := newProxy(t)
	proxy.Start(t)
	target := newTarget(t) // not started
	var connects kit.Connects
	d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Logger: zap.NewNop()}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := target.hello(t, newTunnelClient(d, address, target.config))(ctx)
	t.Log(err)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Unreachable, failed.Class)
	assertUnavailable(t, err)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Greater(t, failed.Attempts, 2)
	assert.Equal(t, failed.Attempts, connects.Count(), "nothing may multiply the retries")
}

// TestForbidden has a target that the proxy's rules forbid.
func TestForbidden(t *testing.T) {
	t.Parallel()
	proxy, address := newProxy(t)
	proxy.Start(t)
	_, err := throughProxy(&redial.Dialer{Logger: zap.NewNop()}, address).DialContext(t.Context(), "tcp", "192.0.2.1:443")
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Denied, failed.Class)
	assert.Equal(t, 1, failed.Attempts)
}

// TestGreeting has a proxy that sends its answer and the target's greeting in one segment.
func TestGreeting(t *testing.T) {
	t.Parallel()
	proxy := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n220 ready\r\n")
		}
	})
	conn, err := throughProxy(new(redial.Dialer), proxy.Addr().String()).DialContext(t.Context(), "tcp", "192.0.2.1:25")
	require.NoError(t, err)
	defer conn.Close()
	assert.IsType(t, new(net.TCPConn), conn)
	line, err := bufio.NewReader(conn).ReadString('\n')
	assert.NoError(t, err)
	assert.Equal(t, "220 ready\r\n", line)
}

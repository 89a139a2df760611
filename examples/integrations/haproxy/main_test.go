package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
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

// startProxy starts haproxy in TCP mode before a backend, and returns its address. It does not retry
// by itself, because the client does: by default it holds a client for three seconds.
func startProxy(t *testing.T, backend string) string {
	t.Helper()
	path := kit.Binary(t, "haproxy", "haproxy")
	const user = "nobody"
	address := kit.FreeAddress(t)
	config := filepath.Join(kit.Dir(t, user), "haproxy.cfg")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  retries 0
frontend in
  bind %s
  default_backend out
backend out
  server one %s check inter 100ms
`, address, backend), 0o644))
	proxy := &kit.Server{
		Path: path,
		Args: []string{"-db", "-f", config},
		User: user,
		Ready: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err == nil {
				conn.Close()
			}
			return err
		},
	}
	proxy.Start(t)
	return address
}

// newBackend returns a Redis server that has not been started.
func newBackend(t *testing.T) (server *kit.Server, address string) {
	t.Helper()
	path := kit.Binary(t, "redis-server", "redis-server")
	address = kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return &kit.Server{
		Path:  path,
		Args:  []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", kit.Dir(t, "")},
		Ready: hello(new(net.Dialer).DialContext, address),
	}, address
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// hello dials, and makes one request.
func hello(dial dialFunc, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := dial(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			if err := conn.SetDeadline(deadline); err != nil {
				return err
			}
		}
		return ping(ctx, conn)
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "haproxy, `Verify`",
		Server: func(t *testing.T) (*kit.Server, string) {
			backend, address := newBackend(t)
			proxy := startProxy(t, address)
			backend.Ready = hello(new(net.Dialer).DialContext, proxy) // haproxy knows that it is up
			return backend, proxy
		},
		Dead: func(t *testing.T) (string, redial.Class) { return startProxy(t, kit.FreeAddress(t)), redial.Reset },
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return hello(d.DialContext, addresses[0])
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			recipe := newDialer(ping)
			d.Timeout, d.Verify = recipe.Timeout, recipe.Verify
			return hello(d.DialContext, addresses[0])
		},
	}.Run(t)
}

// TestDownAtFirst has one way to verify for each kind of protocol.
func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	const down = 2 * time.Second
	t.Run("the client speaks first", func(t *testing.T) {
		t.Parallel()
		proxy := startProxy(t, kit.FreeAddress(t))
		err := hello(new(redial.Dialer).DialContext, proxy)(t.Context())
		assert.Equal(t, redial.Reset, redial.Classify(err), "without Verify, the dial succeeds and the request fails: %v", err)
		assert.NotErrorAs(t, err, new(*redial.Error))
	})

	t.Run("the server speaks first", func(t *testing.T) {
		t.Parallel()
		address := kit.FreeAddress(t)
		proxy := startProxy(t, address)
		time.AfterFunc(down, func() {
			testutil.Listen(t, "tcp", address, func(conn net.Conn) { io.WriteString(conn, "220 ready\r\n") })
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		conn, err := newDialer(greeted).DialContext(ctx, "tcp", proxy)
		require.NoError(t, err)
		defer conn.Close()
		line, err := bufio.NewReader(conn).ReadString('\n')
		assert.NoError(t, err)
		assert.Equal(t, "220 ready\r\n", line, "Verify must leave the greeting")
	})

	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		dir := kit.Dir(t, "")
		certificate := kit.NewCertificate(t, dir)
		pair, err := tls.LoadX509KeyPair(certificate.CertFile, certificate.KeyFile)
		require.NoError(t, err)
		address := kit.FreeAddress(t)
		proxy := startProxy(t, address)
		time.AfterFunc(down, func() {
			testutil.Listen(t, "tcp", address, func(conn net.Conn) {
				testutil.Echo(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}}))
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		d := newDialer(nil) // the handshake is proof enough
		d.DialFunc = (&tls.Dialer{Config: certificate.Client}).DialContext
		conn, err := d.DialContext(ctx, "tcp", proxy)
		require.NoError(t, err)
		defer conn.Close()
		testutil.AssertEchoes(t, conn)
	})
}

// TestSilence has a greeting that does not come, which must not block the dial.
func TestSilence(t *testing.T) {
	t.Parallel()
	silent := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { io.Copy(io.Discard, conn) })
	for name, verify := range map[string]func(context.Context, net.Conn) error{"ping": ping, "greeted": greeted} {
		d := newDialer(verify)
		d.Timeout, d.MaxAttempts, d.Logger = 100*time.Millisecond, 2, zap.NewNop()
		start := time.Now()
		_, err := d.DialContext(t.Context(), "tcp", silent.Addr().String())
		assert.Less(t, time.Since(start), 5*time.Second)
		var failed *redial.Error
		require.ErrorAs(t, err, &failed, name)
		assert.Equal(t, redial.Timeout, failed.Class, name)
		assert.Equal(t, 2, failed.Attempts, name)
	}
}

func TestNeverUp(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, kit.FreeAddress(t))
	for name, verify := range map[string]func(context.Context, net.Conn) error{"ping": ping, "greeted": greeted} {
		var connects kit.Connects
		d := newDialer(verify)
		d.Control, d.Logger = connects.Control, zap.NewNop()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := hello(d.DialContext, proxy)(ctx)
		t.Log(name, err)
		var failed *redial.Error
		require.ErrorAs(t, err, &failed, name)
		assert.Equal(t, redial.Reset, failed.Class, name)
		assert.ErrorIs(t, err, context.DeadlineExceeded, name)
		assert.Greater(t, failed.Attempts, 2, name)
		assert.Equal(t, failed.Attempts, connects.Count(), name)
	}
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// dirVariable is the environment variable with the directory of the server's certificate.
const dirVariable = "REDIAL_TLS_DIR"

func TestMain(m *testing.M) {
	kit.InParallel()
	kit.Main(m, serve)
}

// serve echoes what clients send.
func serve(address string) error {
	dir := os.Getenv(dirVariable)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			testutil.Echo(conn)
		}()
	}
}

// newServer returns a server that has not been started, and the configuration of its clients.
func newServer(t *testing.T) (server *kit.Server, address string, config *tls.Config) {
	t.Helper()
	dir := kit.Dir(t, "")
	certificate := kit.NewCertificate(t, dir)
	address = kit.FreeAddress(t)
	server = kit.Self(t, address)
	server.Env = append(server.Env, dirVariable+"="+dir)
	return server, address, certificate.Client
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// hello dials, and has the server echo five bytes.
func hello(dial dialFunc, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := dial(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		deadline, _ := ctx.Deadline()
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err
		}
		_, err = io.ReadFull(conn, make([]byte, 5))
		return err
	}
}

func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	server, address, config := newServer(t)
	time.AfterFunc(2*time.Second, func() { server.Launch(t) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	assert.NoError(t, hello(newDialer(config).DialContext, address)(ctx))
}

func TestOutage(t *testing.T) {
	server, address, config := newServer(t)
	server.Start(t)
	plain := &kit.Contender{Name: "tls.Dialer", Do: hello((&tls.Dialer{Config: config}).DialContext, address)}
	simple := &kit.Contender{Name: "redial, DialFunc", Do: hello(newDialer(config).DialContext, address)}
	racing := &kit.Contender{Name: "redial, overTLS", Do: hello(overTLS(new(redial.Dialer), config).DialContext, address)}
	kit.Outage(t, server, plain, simple, racing)
	assert.LessOrEqual(t, simple.Failed.Load(), int64(20), "only what was in flight when the server died")
	assert.LessOrEqual(t, racing.Failed.Load(), int64(20), "only what was in flight when the server died")
	assert.Less(t, simple.Failed.Load(), plain.Failed.Load())
	assert.Less(t, racing.Failed.Load(), plain.Failed.Load())
}

func TestNeverUp(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	var connects kit.Connects
	for name, d := range map[string]*redial.Dialer{
		"DialFunc": {DialFunc: (&tls.Dialer{NetDialer: &net.Dialer{Control: connects.Control}}).DialContext},
		"overTLS":  overTLS(&redial.Dialer{Dialer: net.Dialer{Control: connects.Control}}, new(tls.Config)),
	} {
		t.Run(name, func(t *testing.T) {
			before := connects.Count()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := hello(d.DialContext, address)(ctx)
			t.Log(err)
			var failed *redial.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, redial.Refused, failed.Class)
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Greater(t, failed.Attempts, 2)
			assert.Equal(t, failed.Attempts, connects.Count()-before, "the dial within must not multiply the retries")
		})
	}
}

// TestDeadFirstAddress shows why overTLS is worth its lines.
func TestDeadFirstAddress(t *testing.T) {
	t.Parallel()
	server, address, config := newServer(t)
	server.Start(t)
	resolver, name := kit.DeadFirst(t, address)
	ours := kit.Promptly(t, func() time.Duration {
		var attempts kit.Attempts
		d := &redial.Dialer{Dialer: net.Dialer{Resolver: resolver}, OnAttempt: attempts.Add}
		require.NoError(t, hello(overTLS(d, config).DialContext, name)(t.Context()))
		require.Len(t, attempts.All(), 1)
		return attempts.All()[0].Duration
	})

	start := time.Now()
	simple := &redial.Dialer{
		Dialer:   net.Dialer{Timeout: 4 * time.Second},
		DialFunc: (&tls.Dialer{NetDialer: &net.Dialer{Resolver: resolver}, Config: config}).DialContext,
	}
	require.NoError(t, hello(simple.DialContext, name)(t.Context()))
	assert.Greater(t, time.Since(start), time.Second)
	t.Logf("overTLS: %v; tls.Dialer as DialFunc, with a Timeout of 4s: %v", ours, time.Since(start))
}

func TestGate(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	kit.Storm(t, false, func(t *testing.T, d *redial.Dialer) func(context.Context) error {
		return hello(overTLS(d, new(tls.Config)).DialContext, address)
	})
}

// TestHandshake tries servers that accept, and what comes of the handshake.
func TestHandshake(t *testing.T) {
	t.Parallel()
	server, address, config := newServer(t)
	server.Start(t)
	dialers := func(config *tls.Config, d *redial.Dialer) map[string]*redial.Dialer {
		simple := *d
		simple.DialFunc = newDialer(config).DialFunc
		return map[string]*redial.Dialer{"DialFunc": &simple, "overTLS": overTLS(d, config)}
	}

	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		for name, d := range dialers(new(tls.Config), &redial.Dialer{Logger: zap.NewNop()}) {
			err := hello(d.DialContext, address)(t.Context())
			var failed *redial.Error
			require.ErrorAs(t, err, &failed, name)
			assert.Equal(t, redial.TLS, failed.Class, name)
			assert.Equal(t, 1, failed.Attempts, name)
			assert.ErrorAs(t, err, new(*tls.CertificateVerificationError), name)
			assert.ErrorAs(t, err, new(x509.UnknownAuthorityError), name)
		}
	})

	t.Run("no TLS", func(t *testing.T) {
		text := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { io.WriteString(conn, "220 service ready\r\n") })
		for name, d := range dialers(config, &redial.Dialer{Logger: zap.NewNop()}) {
			err := hello(d.DialContext, text.Addr().String())(t.Context())
			assert.Equal(t, redial.TLS, redial.Classify(err), "%s: %v", name, err)
		}
	})

	t.Run("closes the first two connections", func(t *testing.T) {
		for name, d := range dialers(config, &redial.Dialer{Logger: zap.NewNop()}) {
			var accepted atomic.Int64
			restarting := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
				if accepted.Add(1) <= 2 {
					return
				}
				up, err := net.Dial("tcp", address)
				if assert.NoError(t, err) {
					defer up.Close()
					go io.Copy(up, conn)
					io.Copy(conn, up)
				}
			})
			assert.NoError(t, hello(d.DialContext, restarting.Addr().String())(t.Context()), name)
			assert.EqualValues(t, 3, accepted.Load(), name)
		}
	})

	t.Run("says nothing", func(t *testing.T) {
		silent := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { io.Copy(io.Discard, conn) })
		d := &redial.Dialer{Dialer: net.Dialer{Timeout: 100 * time.Millisecond}, MaxAttempts: 2, Logger: zap.NewNop()}
		for name, d := range dialers(config, d) {
			err := hello(d.DialContext, silent.Addr().String())(t.Context())
			var failed *redial.Error
			require.ErrorAs(t, err, &failed, name)
			assert.Equal(t, redial.Timeout, failed.Class, name)
			assert.Equal(t, 2, failed.Attempts, name)
		}
	})
}

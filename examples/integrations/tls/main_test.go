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
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	return kit.Serve(address, func(conn net.Conn) { testutil.Echo(tls.Server(conn, config)) })
}

// newServer returns a server that has not been started, with the certificate in dir.
func newServer(t *testing.T, dir string) (server *kit.Server, address string) {
	t.Helper()
	server, address = kit.NewSelf(t)
	server.Env = append(server.Env, dirVariable+"="+dir)
	return server, address
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

// ways are the two ways to dial, over an inner Dialer.
var ways = map[string]func(d *redial.Dialer, config *tls.Config) *redial.Dialer{
	"DialFunc": func(d *redial.Dialer, config *tls.Config) *redial.Dialer {
		with := *d
		with.DialFunc = newDialer(config).DialFunc
		return &with
	},
	"overTLS": overTLS,
}

func TestSuite(t *testing.T) {
	dir := kit.Dir(t, "")
	config := kit.NewCertificate(t, dir).Client
	kit.Suite{
		Client: "crypto/tls",
		Server: func(t *testing.T) (*kit.Server, string) { return newServer(t, dir) },
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return hello((&tls.Dialer{NetDialer: d, Config: config}).DialContext, addresses[0])
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return hello(overTLS(d, config).DialContext, addresses[0])
		},
	}.Run(t)
}

// TestHandshake tries servers that accept, and what comes of the handshake.
func TestHandshake(t *testing.T) {
	t.Parallel()
	dir := kit.Dir(t, "")
	config := kit.NewCertificate(t, dir).Client
	server, address := newServer(t, dir)
	server.Start(t)

	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		for name, way := range ways {
			d := way(&redial.Dialer{Logger: zap.NewNop()}, new(tls.Config))
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
		for name, way := range ways {
			d := way(&redial.Dialer{Logger: zap.NewNop()}, config)
			err := hello(d.DialContext, text.Addr().String())(t.Context())
			assert.Equal(t, redial.TLS, redial.Classify(err), "%s: %v", name, err)
		}
	})

	t.Run("closes the first two connections", func(t *testing.T) {
		for name, way := range ways {
			d := way(&redial.Dialer{Logger: zap.NewNop()}, config)
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
		for name, way := range ways {
			d := way(d, config)
			err := hello(d.DialContext, silent.Addr().String())(t.Context())
			var failed *redial.Error
			require.ErrorAs(t, err, &failed, name)
			assert.Equal(t, redial.Timeout, failed.Class, name)
			assert.Equal(t, 2, failed.Attempts, name)
		}
	})
}

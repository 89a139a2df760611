package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// An nginx is a server with two ports. Both serve the file index.html, and 503 without it.
type nginx struct {
	*kit.Server
	kit.Certificate
	http1, http2 string // addresses: HTTP/1.1 over TLS, and HTTP/2 too
	index        string // the path of the file
}

// newServer returns an nginx that has not been started, with a certificate of its own.
func newServer(t *testing.T) *nginx {
	t.Helper()
	return newServerWith(t, kit.NewCertificate(t, kit.Dir(t, "www-data")))
}

func newServerWith(t *testing.T, certificate kit.Certificate) *nginx {
	t.Helper()
	path := kit.Binary(t, "nginx", "nginx")
	dir := kit.Dir(t, "www-data")
	s := &nginx{
		Certificate: certificate,
		http1:       kit.FreeAddress(t),
		http2:       kit.FreeAddress(t),
		index:       filepath.Join(dir, "index.html"),
	}
	s.becomeReady(t)
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
		daemon off;
		worker_processes 2;
		pid %[1]s/pid;
		error_log stderr warn;
		events {}
		http {
			access_log off;
			client_body_temp_path %[1]s/body;
			proxy_temp_path %[1]s/proxy;
			fastcgi_temp_path %[1]s/fastcgi;
			uwsgi_temp_path %[1]s/uwsgi;
			scgi_temp_path %[1]s/scgi;
			keepalive_requests 1000000;
			ssl_certificate %[2]s;
			ssl_certificate_key %[3]s;
			server {
				listen %[4]s ssl;
				listen %[5]s ssl http2;
				root %[1]s;
				location / { try_files /index.html =503; }
			}
		}`, dir, s.CertFile, s.KeyFile, s.http1, s.http2), 0o644))
	s.Server = &kit.Server{
		Path: path,
		Args: []string{"-c", config, "-p", dir},
		User: "www-data",
		Ready: func(ctx context.Context) error {
			client := plainClient(t, &net.Dialer{}, certificate.Client)
			defer client.CloseIdleConnections()
			_, err := get(ctx, client, "https://"+s.http2)
			if _, ok := err.(notReady); ok {
				return nil
			}
			return err
		},
	}
	return s
}

// becomeReady writes the file, without which the server answers 503.
func (s *nginx) becomeReady(t *testing.T) {
	t.Helper()
	assert.NoError(t, os.WriteFile(s.index, []byte("hello"), 0o644))
}

// plainClient returns a client without redial.
func plainClient(t *testing.T, d *net.Dialer, config *tls.Config) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = config.Clone()
	base.DialContext = d.DialContext
	return closing(t, &http.Client{Transport: base, Timeout: 20 * time.Second})
}

func (s *nginx) client(t *testing.T, d *redial.Dialer) *http.Client {
	return closing(t, newClient(d, s.Client))
}

func closing(t *testing.T, client *http.Client) *http.Client {
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func hello(client *http.Client, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		body, err := get(ctx, client, "https://"+address)
		if err == nil && string(body) != "hello" {
			err = fmt.Errorf("not the file: %q", body)
		}
		return err
	}
}

func TestProtocols(t *testing.T) {
	server := newServer(t)
	server.Start(t)
	for address, proto := range map[string]string{server.http1: "HTTP/1.1", server.http2: "HTTP/2.0"} {
		resp, err := server.client(t, &redial.Dialer{}).Get("https://" + address)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, proto, resp.Proto)
	}
}

func TestSuite(t *testing.T) {
	certificate := kit.NewCertificate(t, kit.Dir(t, "www-data"))
	suite := func(protocol string, address func(*nginx) string) kit.Suite {
		return kit.Suite{
			Client: protocol,
			Server: func(t *testing.T) (*kit.Server, string) {
				server := newServerWith(t, certificate)
				return server.Server, address(server)
			},
			Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
				return hello(plainClient(t, d, certificate.Client), addresses[0])
			},
			Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
				return hello(closing(t, newClient(d, certificate.Client)), addresses[0])
			},
		}
	}
	kit.RunSuites(t,
		suite("HTTP/1.1", func(s *nginx) string { return s.http1 }),
		suite("HTTP/2", func(s *nginx) string { return s.http2 }))
}

// TestAttach is for a program that cannot have its http.Transport replaced by NewTransport's.
func TestAttach(t *testing.T) {
	t.Parallel()
	var connects kit.Connects
	d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Logger: zap.NewNop()}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	do := hello(client, kit.FreeAddress(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	refused := 0
	for _, err := range testutil.Crowd(20, func(int) error { return do(redial.Attach(ctx)) }) {
		if assert.Error(t, err) && errors.Is(err, syscall.ECONNREFUSED) {
			refused++
		}
	}
	assert.Greater(t, refused, 10, "the requests fail with their dials, except those that a busy machine delays")
	last := connects.Count()
	time.Sleep(time.Second)
	assert.Equal(t, last, connects.Count(), "no dial may go on after its request")
}

// TestNotReady starts a server that accepts and answers 503 for a while.
func TestNotReady(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	require.NoError(t, os.Remove(server.index))
	server.Start(t)
	url := "https://" + server.http2

	var attempts kit.Attempts
	d := &redial.Dialer{Classifier: classify, OnAttempt: attempts.Add}
	client := server.client(t, d)
	_, err := get(t.Context(), client, url)
	assert.Equal(t, notReady(http.StatusServiceUnavailable), err, "a dial cannot see what the server answers")

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = getReady(ctx, d, client, url)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Refused, failed.Class)
	assert.ErrorIs(t, err, notReady(http.StatusServiceUnavailable))

	time.AfterFunc(time.Second, func() { server.becomeReady(t) })
	start := time.Now()
	body, err := getReady(t.Context(), d, client, url)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(body))
	assert.Greater(t, time.Since(start), 900*time.Millisecond)
	dials := 0
	for _, a := range attempts.All() {
		if a.Address == server.http2 {
			dials++
		}
	}
	assert.Equal(t, 1, dials, "the requests must share one connection")
}

// TestNotReadyNorUp starts a server that is down at first, then answers 503, and then is ready.
func TestNotReadyNorUp(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	require.NoError(t, os.Remove(server.index))
	time.AfterFunc(time.Second, func() { server.Launch(t) })
	time.AfterFunc(2*time.Second, func() { server.becomeReady(t) })
	var connects kit.Connects
	var attempts kit.Attempts
	d := &redial.Dialer{
		Dialer:     net.Dialer{Control: connects.Control},
		Logger:     zap.NewNop(),
		Classifier: classify,
		OnAttempt:  attempts.Add,
	}
	_, err := getReady(t.Context(), d, server.client(t, d), "https://"+server.http1)
	require.NoError(t, err)
	tries := 0
	for _, a := range attempts.All() {
		if a.Address != server.http1 { // Do's own
			tries++
		}
	}
	assert.LessOrEqual(t, connects.Count(), tries, "a dial within an attempt of Do does not retry")
}

package main

import (
	"context"
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

// newServer returns an nginx that has not been started.
func newServer(t *testing.T) *nginx {
	t.Helper()
	path := kit.Binary(t, "nginx", "nginx")
	dir := kit.Dir(t, "www-data")
	s := &nginx{
		Certificate: kit.NewCertificate(t, dir),
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
			client := s.plainClient(t, &net.Dialer{})
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
func (s *nginx) plainClient(t *testing.T, d *net.Dialer) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = s.Client.Clone()
	base.DialContext = d.DialContext
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: base, Timeout: 20 * time.Second}
}

func (s *nginx) client(t *testing.T, d *redial.Dialer) *http.Client {
	client := newClient(d, s.Client)
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

func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	client := server.client(t, &redial.Dialer{})
	time.AfterFunc(2*time.Second, func() { server.Launch(t) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	assert.NoError(t, hello(client, server.http2)(ctx))
}

func TestOutage(t *testing.T) {
	server := newServer(t)
	server.Start(t)
	plain, ours := server.plainClient(t, &net.Dialer{}), server.client(t, &redial.Dialer{})
	plain1 := &kit.Contender{Name: "net.Dialer, HTTP/1.1", Do: hello(plain, server.http1)}
	ours1 := &kit.Contender{Name: "redial, HTTP/1.1", Do: hello(ours, server.http1)}
	plain2 := &kit.Contender{Name: "net.Dialer, HTTP/2", Do: hello(plain, server.http2)}
	ours2 := &kit.Contender{Name: "redial, HTTP/2", Do: hello(ours, server.http2)}
	kit.Outage(t, server.Server, plain1, ours1, plain2, ours2)
	assert.LessOrEqual(t, ours1.Failed.Load(), int64(20), "only what was in flight when the server died")
	assert.LessOrEqual(t, ours2.Failed.Load(), int64(20), "only what was in flight when the server died")
	assert.Less(t, ours1.Failed.Load(), plain1.Failed.Load())
	assert.Less(t, ours2.Failed.Load(), plain2.Failed.Load())
}

func TestNeverUp(t *testing.T) {
	t.Parallel()
	var connects kit.Connects
	d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}}
	client := newClient(d, nil)
	client.Timeout = 2 * time.Second
	start := time.Now()
	err := hello(client, kit.FreeAddress(t))(t.Context())
	t.Log(err)
	assert.Less(t, time.Since(start), 4*time.Second)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Refused, failed.Class)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Greater(t, failed.Attempts, 2)
	assert.Equal(t, failed.Attempts, connects.Count(), "the client must not multiply the retries")
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

func TestDeadFirstAddress(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.Start(t)
	resolver, name := kit.DeadFirst(t, server.http2)
	ours := kit.Promptly(t, func() time.Duration {
		var attempts kit.Attempts
		d := &redial.Dialer{Dialer: net.Dialer{Resolver: resolver}, OnAttempt: attempts.Add}
		require.NoError(t, hello(server.client(t, d), name)(t.Context()))
		require.Len(t, attempts.All(), 1)
		return attempts.All()[0].Duration
	})

	start := time.Now()
	plain := server.plainClient(t, &net.Dialer{Resolver: resolver, Timeout: 4 * time.Second})
	require.NoError(t, hello(plain, name)(t.Context()))
	assert.Greater(t, time.Since(start), time.Second)
	t.Logf("connected after %v; with net.Dialer and a Timeout of 4s after %v", ours, time.Since(start))
}

func TestGate(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	kit.Storm(t, false, func(t *testing.T, d *redial.Dialer) func(context.Context) error {
		return hello(newClient(d, nil), address)
	})
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

package redial_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A Transport serves requests as its base does: with TLS, HTTP/2 and proxies.
func TestTransportServesAsItsBaseDoes(t *testing.T) {
	plain := httptest.NewServer(testutil.Hello)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(testutil.Hello)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	proxyURL, err := url.Parse(startProxy(t))
	require.NoError(t, err)

	trusting := func(base *http.Transport) *http.Transport {
		base.Clone() // base decides on HTTP/2 here, before TLSClientConfig can change the decision
		if base.TLSClientConfig == nil {
			base = base.Clone()
			base.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			return base
		}
		base.TLSClientConfig.RootCAs = roots
		return base
	}
	for _, test := range []struct {
		name  string
		base  *http.Transport
		url   string
		dials int32
	}{
		{"plain", nil, plain.URL, 1},
		{"a zero base", &http.Transport{}, plain.URL, 1},
		{"TLS with HTTP/2 by default", trusting(&http.Transport{}), secure.URL, 1},
		{"TLS with HTTP/2 forced", trusting(http.DefaultTransport.(*http.Transport).Clone()), secure.URL, 1},
		{"TLS without HTTP/2", trusting(&http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}), secure.URL, 1},
		{"a proxy", &http.Transport{Proxy: http.ProxyURL(proxyURL)}, "http://nowhere.test/x", 1},
		{"a base with a DialContext", &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errCustom }}, plain.URL, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var dials atomic.Int32
			d := &redial.Dialer{OnAttempt: func(context.Context, redial.Attempt) { dials.Add(1) }}
			transport := redial.NewTransport(d, test.base)
			defer transport.CloseIdleConnections()
			body, proto, err := testutil.Get(t.Context(), &http.Client{Transport: transport}, test.url)
			require.NoError(t, err)
			assert.Equal(t, test.dials, dials.Load())
			if test.base == nil || test.base.DialContext != nil {
				return
			}
			wantBody, wantProto, err := testutil.Get(t.Context(), &http.Client{Transport: test.base}, test.url)
			require.NoError(t, err)
			defer test.base.CloseIdleConnections()
			assert.Equal(t, wantBody, body)
			assert.Equal(t, wantProto, proto)
		})
	}
}

// A nil base means http.DefaultTransport, as the program has set it.
func TestTransportOfNilBaseIsAsDefault(t *testing.T) {
	proxyURL, err := url.Parse(startProxy(t))
	require.NoError(t, err)
	setDefaultTransport(t, &http.Transport{Proxy: http.ProxyURL(proxyURL)})
	assertProxied(t, redial.NewTransport(nil, nil))
}

// If the program has set http.DefaultTransport to another RoundTripper, a nil base means a
// transport that uses the proxies of the environment, and offers HTTP/2.
func TestTransportOfNilBaseWithoutDefault(t *testing.T) {
	const child = "REDIAL_TEST_PROXY_IS_SET"
	setDefaultTransport(t, http.NewFileTransport(http.Dir(".")))
	if os.Getenv(child) != "" {
		assertProxied(t, redial.NewTransport(nil, nil))
		return
	}
	t.Run("proxy", func(t *testing.T) {
		testutil.NeedProcesses(t)
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self, "-test.run=^TestTransportOfNilBaseWithoutDefault$") // package net/http reads the environment once
		// On Windows, the last one counts of two names that differ in case.
		cmd.Env = append(os.Environ(), child+"=1", "GOCOVERDIR="+t.TempDir(), "http_proxy=", "no_proxy=", "NO_PROXY=", "HTTP_PROXY="+startProxy(t))
		output, err := cmd.CombinedOutput()
		assert.NoError(t, err, "%s", output)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		offered := make(chan []string, 1)
		server := httptest.NewUnstartedServer(nil)
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // the client does not know the server's certificate
		server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			offered <- hello.SupportedProtos
			return nil, nil
		}}
		server.StartTLS()
		defer server.Close()
		_, _, err := testutil.Get(t.Context(), &http.Client{Transport: redial.NewTransport(nil, nil)}, server.URL)
		assert.Equal(t, redial.TLS, redial.Classify(err))
		assert.Contains(t, <-offered, "h2")
	})
}

func setDefaultTransport(t *testing.T, transport http.RoundTripper) {
	original := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = original })
	http.DefaultTransport = transport
}

// startProxy returns the URL of an HTTP proxy that answers for every host.
func startProxy(t *testing.T) string {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "proxied ", r.URL) }))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func assertProxied(t *testing.T, transport *redial.Transport) {
	t.Helper()
	defer transport.CloseIdleConnections()
	body, _, err := testutil.Get(t.Context(), &http.Client{Transport: transport}, "http://nowhere.test/x")
	require.NoError(t, err)
	assert.Equal(t, "proxied http://nowhere.test/x", body)
}

// A base that does not use HTTP/2, because it has a TLSClientConfig of its own, does not begin to use it.
func TestTransportKeepsTLSClientConfig(t *testing.T) {
	server := httptest.NewUnstartedServer(testutil.Hello)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, forced := range []bool{false, true} {
		base := &http.Transport{
			TLSClientConfig:   server.Client().Transport.(*http.Transport).TLSClientConfig.Clone(),
			ForceAttemptHTTP2: forced,
		}
		base.TLSClientConfig.NextProtos = nil // StartTLS has set it to h2
		transport := redial.NewTransport(nil, base)
		_, proto, err := testutil.Get(t.Context(), &http.Client{Transport: transport}, server.URL)
		require.NoError(t, err)
		assert.Equal(t, forced, proto == "HTTP/2.0", proto)
		_, want, err := testutil.Get(t.Context(), &http.Client{Transport: base}, server.URL)
		require.NoError(t, err)
		assert.Equal(t, want, proto)
		transport.CloseIdleConnections()
		base.CloseIdleConnections()
	}
}

func TestTransportClosesIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.Forever())
		server := &http.Server{Handler: testutil.Hello}
		go server.Serve(script)
		defer server.Close()
		client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)}
		for range 2 {
			_, _, err := testutil.Get(t.Context(), client, "http://a.test")
			require.NoError(t, err)
		}
		assert.Len(t, script.Open(), 1, "it keeps the connection")
		client.CloseIdleConnections()
		synctest.Wait()
		assert.Empty(t, script.Open())
		_, _, err := testutil.Get(t.Context(), client, "http://a.test")
		require.NoError(t, err)
		assert.Len(t, script.Dials(), 2)
		client.CloseIdleConnections()
	})
}

// An attempt whose request is over ends when net/http gives it up.
func TestTransportCloseIdleConnectionsEndsUnwantedAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Timeout)
		client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Second)
		client.CloseIdleConnections()
		synctest.Wait()
		assert.Equal(t, 2*time.Second, lastOf(t, script, 1).End.Sub(start))
	})
}

// A request that net/http tries again, because the server has closed the idle connection that it was sent on, dials again.
func TestTransportDialsAgainForRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK, dialtest.Refuse, dialtest.OK)
		go func() {
			for answers := 1; ; answers++ { // of the first connection one, of the second two
				conn, err := script.Accept()
				if err != nil {
					return
				}
				requests := bufio.NewReader(conn)
				for range answers {
					if _, err := http.ReadRequest(requests); err == nil {
						io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
					}
				}
				http.ReadRequest(requests)
				conn.Close()
			}
		}()
		defer script.Close()
		transport := redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)
		defer transport.CloseIdleConnections()
		for range 2 {
			body, _, err := testutil.Get(t.Context(), &http.Client{Transport: transport}, "http://a.test")
			require.NoError(t, err)
			assert.Equal(t, "hello", body)
			synctest.Wait()
		}
		assert.Len(t, script.Dials(), 3)
	})
}

func TestTransportKeepsDialTLS(t *testing.T) {
	base := &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, errCustom },
		//lint:ignore SA1019 programs may set it
		Dial: func(string, string) (net.Conn, error) { return nil, errors.New("Dial must have been replaced") },
	}
	client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext}, base)}
	_, _, err := testutil.Get(t.Context(), client, "https://a.test")
	assert.ErrorIs(t, err, errCustom)
	_, _, err = testutil.Get(t.Context(), client, "http://a.test")
	assert.Equal(t, redial.NotFound, redial.Classify(err))
}

// However often the dial is retried, Response.Request is the request given, the
// request's trace hooks are called once, and its body is sent once.
func TestTransportSendsTheRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK)
		var bodies []string
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body))
		})}
		go server.Serve(script)
		defer server.Close()
		transport := redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)
		defer transport.CloseIdleConnections()

		var hooks []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GetConn:      func(addr string) { hooks = append(hooks, "GetConn "+addr) },
			GotConn:      func(i httptrace.GotConnInfo) { hooks = append(hooks, fmt.Sprint("GotConn ", i.Reused)) },
			WroteRequest: func(httptrace.WroteRequestInfo) { hooks = append(hooks, "WroteRequest") },
		})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.test", strings.NewReader("once"))
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Same(t, req, resp.Request)
		assert.Equal(t, []string{"once"}, bodies)
		assert.Equal(t, []string{"GetConn a.test:80", "GotConn false", "WroteRequest"}, hooks)
		assert.Len(t, script.Dials(), 4)
	})
}

// A request fails as soon as there is no time for another attempt, and its error says
// why.
func TestTransportFailsWhenTooLittleTimeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(300 * time.Millisecond)}}
		client := &http.Client{Transport: redial.NewTransport(d, nil)}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.Equal(t, 950*time.Millisecond, time.Since(start))
		assertRanOut(t, err, 5)
		assert.False(t, err.(*url.Error).Timeout(), "the dial was refused, and time is left")

		// The same with http.Client.Timeout.
		client.Timeout = time.Second
		start = time.Now()
		_, _, err = testutil.Get(t.Context(), client, "http://a.test")
		assert.Equal(t, 950*time.Millisecond, time.Since(start))
		assertRanOut(t, err, 5)
		assert.False(t, err.(*url.Error).Timeout())
	})
}

// assertRanOut checks the error of a request whose time ran out while its dial was
// refused that many times.
func assertRanOut(t *testing.T, err error, attempts int) {
	t.Helper()
	require.Error(t, err)
	assert.Equal(t, redial.Refused, redial.Classify(err))
	assert.ErrorIs(t, err, errScriptRefuses)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	var e *redial.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, redial.ErrDeadline, e.Stop)
	assert.Equal(t, attempts, e.Attempts)
	assert.Len(t, e.History, attempts)
}

func TestTransportErrorHoldsTheLastFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newClient := func() (*http.Client, *dialtest.Dialer) {
			script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.Timeout.Forever())
			d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(100 * time.Millisecond)}}
			return &http.Client{Transport: redial.NewTransport(d, nil)}, script
		}
		client, script := newClient()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.Equal(t, time.Second, time.Since(start))
		assertRanOut(t, err, 2)
		assert.True(t, err.(*url.Error).Timeout(), "the deadline has passed")
		// The attempt in flight goes on, as net/http intends. No other follows it.
		synctest.Wait()
		dials := script.Dials()
		require.Len(t, dials, 3)
		assert.Zero(t, dials[2].End)
		time.Sleep(time.Hour)
		dials = script.Dials()
		require.Len(t, dials, 3)
		assert.Equal(t, 10*time.Second, dials[2].End.Sub(dials[2].Start), "the attempt ends at its own Timeout")

		client, _ = newClient()
		client.Timeout = time.Second
		_, _, err = testutil.Get(t.Context(), client, "http://a.test")
		assert.ErrorContains(t, err, errorOf(dialtest.Refuse).Error()+" (refused, 2 attempts in 100ms: deadline reached)")
		assert.True(t, err.(*url.Error).Timeout())

		client, script = newClient()
		ctx, cancelCause := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancelCause(errCause) })
		_, _, err = testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, redial.ErrCanceled, asError(t, err.(*url.Error).Err).Stop)
		assert.ErrorIs(t, err, errCause)
		assert.ErrorIs(t, err, errScriptRefuses)
		assert.False(t, err.(*url.Error).Timeout())
		time.Sleep(time.Hour)
		assert.Len(t, script.Dials(), 3)
	})
}

// A request whose first attempt is silent until the deadline learns that it had no connection. A canceled one, and
// one that waits for a handshake or an answer, do not.
func TestTransportErrorHoldsTheSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		get := func(d *redial.Dialer, url string, end error) error {
			client := &http.Client{Transport: redial.NewTransport(d, nil)}
			defer client.CloseIdleConnections()
			ctx, cancel := context.WithCancel(t.Context())
			if end == context.DeadlineExceeded {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			} else {
				time.AfterFunc(time.Second, cancel)
			}
			defer cancel()
			_, _, err := testutil.Get(ctx, client, url)
			assert.ErrorIs(t, err, end)
			return err
		}
		silent := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Timeout.Forever()).DialContext}
		err := get(silent, "http://a.test", context.DeadlineExceeded)
		assert.ErrorContains(t, err, "dial tcp: a.test:80: i/o timeout (timeout, 1 attempt in 1s: deadline reached)")
		assert.True(t, err.(*url.Error).Timeout())
		e := asError(t, err.(*url.Error).Err)
		assert.Equal(t, redial.Timeout, e.Class)
		assert.Equal(t, redial.ErrDeadline, e.Stop)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)

		dns := &redial.Dialer{Dialer: net.Dialer{Resolver: dnstest.ResolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})}}
		err = get(dns, "http://a.test", context.DeadlineExceeded)
		assert.ErrorContains(t, err, "lookup a.test: i/o timeout (dns, 1 attempt in 1s: deadline reached)")
		assert.Equal(t, redial.DNS, asError(t, err.(*url.Error).Err).Class)

		mute := &redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) {
			conn, server := net.Pipe()
			go io.Copy(io.Discard, server)
			return conn, nil
		}}
		for _, err := range []error{
			get(silent, "http://a.test", context.Canceled),
			get(mute, "http://a.test", context.DeadlineExceeded),
			get(mute, "https://a.test", context.DeadlineExceeded),
		} {
			assert.NotErrorAs(t, err, new(*redial.Error))
		}
		time.Sleep(time.Hour) // the attempts go on, as net/http intends
	})
}

// A request whose context is canceled with another dial's failure as the cause, as an errgroup does, has been canceled: its
// error is not the other dial's, wherever the request was.
func TestTransportErrorIsNotAnotherDials(t *testing.T) {
	server := func(script *dialtest.Dialer) *http.Server {
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
		go server.Serve(script)
		return server
	}
	for _, test := range []struct {
		name   string
		script []dialtest.Outcome
		dialed bool // the request's own dial has failed before
	}{
		{"in a wait", []dialtest.Outcome{dialtest.Refuse}, true},
		{"in a later attempt", []dialtest.Outcome{dialtest.Refuse.Times(2), dialtest.Timeout}, true},
		{"in the first attempt", []dialtest.Outcome{dialtest.Timeout}, false},
		{"while it is served", []dialtest.Outcome{dialtest.OK}, false},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			_, others := (&redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain).DialContext}).Dial("tcp", "other.test:80")
			require.Equal(t, redial.NotFound, redial.Classify(others))
			script := dialtest.Script(test.script...)
			defer server(script).Close()
			d := &redial.Dialer{DialFunc: script.DialContext, MaxElapsed: -1, Policy: redial.Policy{redial.Refused: every(400 * time.Millisecond)}}
			if len(test.script) == 1 {
				d.Policy = redial.Policy{redial.Refused: every(time.Hour)}
			}
			client := &http.Client{Transport: redial.NewTransport(d, nil)}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(others) })
			_, _, err := testutil.Get(ctx, client, "http://a.test")
			assert.ErrorIs(t, err, context.Canceled)
			assert.ErrorIs(t, err, others)
			assert.False(t, err.(*url.Error).Timeout())
			assert.NotEqual(t, redial.NotFound, redial.Classify(err))
			if test.dialed {
				e := asError(t, err.(*url.Error).Err)
				assert.Equal(t, "a.test:80", e.Address)
				assert.Equal(t, redial.Refused, e.Class)
				assert.Equal(t, redial.ErrCanceled, e.Stop)
			} else {
				assert.Equal(t, redial.Canceled, redial.Classify(err))
				assert.ErrorContains(t, err, ": context canceled: dial tcp")
			}
			time.Sleep(time.Minute) // until the attempt in flight has ended
			client.CloseIdleConnections()
		})
	}
}

// A failure after the dial does not hold the dial's failures: here, a TLS handshake that
// fails. An error that is the dial's own is not wrapped a second time.
func TestTransportDoesNotWrapOtherErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.HangUp, dialtest.NXDomain)
		client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)}
		_, _, err := testutil.Get(t.Context(), client, "https://a.test")
		assert.Equal(t, redial.Reset, redial.Classify(err))
		assert.NotErrorIs(t, err, errScriptRefuses)
		_, _, err = testutil.Get(t.Context(), client, "https://a.test")
		assert.Same(t, script.Dials()[2].Err, asError(t, err.(*url.Error).Err).Err)
	})
}

// Closing Request.Cancel, which no context knows of, ends the dial too.
func TestTransportDialEndsWithRequestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.Timeout.Forever())
		d := &redial.Dialer{DialFunc: script.DialContext, MaxElapsed: -1, Policy: redial.Policy{redial.Refused: every(time.Second), redial.Timeout: every(time.Second)}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.test", nil)
		require.NoError(t, err)
		cancel := make(chan struct{})
		//lint:ignore SA1019 old clients set it
		req.Cancel = cancel
		time.AfterFunc(2*time.Second, func() { close(cancel) })
		_, err = redial.NewTransport(d, nil).RoundTrip(req)
		assert.ErrorIs(t, err, errScriptRefuses)
		assert.ErrorContains(t, err, "request canceled")
		time.Sleep(time.Hour)
		assert.Len(t, script.Dials(), 2)
	})
}

// If a request fails after its dial has connected, its error does not hold the dial's
// earlier failures.
func TestTransportForgetsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.OK)
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
		go server.Serve(script)
		defer server.Close()
		client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, errScriptRefuses)
	})
}

// Nor does it hold the failures of the request's own dial, if the request got another
// dial's connection.
func TestTransportForgetsFailuresOfAnotherDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK, dialtest.Refuse.Forever())
		var requests atomic.Int32
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 1 {
				time.Sleep(time.Minute)
				return
			}
			<-r.Context().Done()
		})}
		go server.Serve(script)
		defer server.Close()
		d := &redial.Dialer{DialFunc: script.DialContext, MaxElapsed: -1, Policy: redial.Policy{redial.Refused: every(10 * time.Minute)}}
		client := &http.Client{Transport: redial.NewTransport(d, nil)}
		go testutil.Get(t.Context(), client, "http://a.test")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.EqualValues(t, 2, requests.Load())
		assert.Len(t, script.Dials(), 2, "no further attempt was made once the request had a connection")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, errScriptRefuses)
	})
}

// The same if the request's own dial is in an attempt when the request gets another dial's connection, and that attempt fails
// later.
func TestTransportForgetsLateFailureOfItsDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK, dialtest.Refuse.After(5*time.Second), dialtest.OK)
		var requests atomic.Int32
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 1 {
				time.Sleep(2 * time.Second)
				return
			}
			<-r.Context().Done()
		})}
		go server.Serve(script)
		defer server.Close()
		logger, logs := observed()
		client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext, Logger: logger}, nil)}
		go testutil.Get(t.Context(), client, "http://a.test")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.Equal(t, time.Hour, time.Since(begin))
		assert.EqualValues(t, 2, requests.Load())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, errScriptRefuses)
		assert.Len(t, script.Dials(), 2, "the dial ends with its attempt")
		canceled := logs.FilterMessage("dial canceled").All()
		require.Len(t, canceled, 1)
		assert.Equal(t, 5*time.Second, canceled[0].ContextMap()["elapsed"])
		assert.Equal(t, "canceled", canceled[0].ContextMap()["stop"])
		assert.Equal(t, "the request has another dial's connection", canceled[0].ContextMap()["cause"])
	})
}

// slowClock is a context whose deadline passes before its timer fires.
type slowClock struct {
	context.Context
	deadline time.Time
}

func (c slowClock) Deadline() (time.Time, bool) { return c.deadline, true }

// http.Client has a timer of its own for its Timeout, which closes Request.Cancel and may fire before the context's.
func TestTransportErrorHoldsTheLastFailureIfTheClientTimerFiresFirst(t *testing.T) {
	for _, late := range []bool{false, true} {
		testutil.Bubble(t, fmt.Sprint("after the deadline: ", late), func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse, dialtest.Timeout)
			d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(100 * time.Millisecond)}}
			ctx := slowClock{t.Context(), time.Now().Add(time.Second)}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.test", nil)
			require.NoError(t, err)
			cancel := make(chan struct{})
			//lint:ignore SA1019 http.Client sets it
			req.Cancel = cancel
			fires := 500 * time.Millisecond
			if late {
				fires = time.Second
			}
			time.AfterFunc(fires, func() { close(cancel) })
			_, err = redial.NewTransport(d, nil).RoundTrip(req)
			e := asError(t, err)
			assert.ErrorIs(t, err, errScriptRefuses)
			assert.Equal(t, late, errors.Is(err, redial.ErrDeadline))
			assert.Equal(t, late, e.Timeout())
			if !late {
				assert.Equal(t, redial.ErrCanceled, e.Stop)
				assert.ErrorContains(t, e.Cause, "request canceled")
			}
			time.Sleep(time.Minute)
			assert.Len(t, script.Dials(), 2)
		})
	}
}

// A wait ends when its request is canceled, or when the request gets another dial's
// connection.
func TestTransportEndsWaits(t *testing.T) {
	testutil.Bubble(t, "canceled", func(t *testing.T) {
		logger, logs := observed()
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := &redial.Dialer{DialFunc: script.DialContext, Logger: logger, MaxElapsed: -1, Policy: redial.Policy{redial.Refused: every(24 * time.Hour)}}
		client := &http.Client{Transport: redial.NewTransport(d, nil)}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		assert.Equal(t, "dial canceled", logs.TakeAll()[1].Message)
	})
	testutil.Bubble(t, "has another dial's connection", func(t *testing.T) {
		logger, logs := observed()
		script := dialtest.Script(dialtest.OK, dialtest.Refuse.Forever())
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { time.Sleep(time.Minute) })}
		go server.Serve(script)
		defer server.Close()
		d := &redial.Dialer{DialFunc: script.DialContext, Logger: logger, MaxElapsed: -1, Policy: redial.Policy{redial.Refused: every(24 * time.Hour)}}
		transport := redial.NewTransport(d, nil)
		client := &http.Client{Transport: transport}
		var requests sync.WaitGroup
		for range 2 {
			requests.Go(func() {
				_, _, err := testutil.Get(t.Context(), client, "http://a.test")
				assert.NoError(t, err)
			})
		}
		requests.Wait()
		synctest.Wait()
		canceled := logs.FilterMessage("dial canceled").All()
		require.Len(t, canceled, 1)
		assert.Equal(t, "canceled", canceled[0].ContextMap()["stop"])
		assert.Equal(t, "the request has another dial's connection", canceled[0].ContextMap()["cause"])
		assert.Len(t, script.Dials(), 2)
		transport.CloseIdleConnections()
	})
}

// If an attempt connects after its request has ended, the next request uses the
// connection.
func TestTransportKeepsLateConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.After(2 * time.Second))
		server := &http.Server{Handler: testutil.Hello}
		go server.Serve(script)
		defer server.Close()
		transport := redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)
		client := &http.Client{Transport: transport}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(2 * time.Second)
		body, _, err := testutil.Get(t.Context(), client, "http://a.test")
		require.NoError(t, err)
		assert.Equal(t, "hello", body)
		assert.Len(t, script.Dials(), 1)
		transport.CloseIdleConnections()
	})
}

// Only the dial that net/http makes for a request ends with the request. A dial that a
// hook of base makes, DialTLSContext here, obeys the context that it is given.
func TestTransportOtherDialsObeyTheirContext(t *testing.T) {
	type key struct{}
	for _, test := range []struct {
		name   string
		derive func(context.Context) (context.Context, context.CancelFunc)
		ends   time.Duration // when the dial ends; the request ends after 1 s
		stop   error
	}{
		{"a deadline of its own", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 200*time.Millisecond)
		}, 190 * time.Millisecond, redial.ErrDeadline},
		{"detached", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithoutCancel(ctx), func() {}
		}, 19 * time.Second, redial.ErrMaxElapsed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &redial.Dialer{
					DialFunc:   dialtest.Script(dialtest.Refuse.Forever()).DialContext,
					MaxElapsed: 20 * time.Second,
					Policy:     redial.Policy{redial.Refused: every(100 * time.Millisecond)},
					OnAttempt:  func(ctx context.Context, a redial.Attempt) { assert.Equal(t, "value", ctx.Value(key{})) },
				}
				start := time.Now()
				ended := make(chan error, 1)
				base := &http.Transport{DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					ctx, cancel := test.derive(context.WithValue(ctx, key{}, "value"))
					defer cancel()
					_, err := d.DialContext(ctx, network, address)
					assert.GreaterOrEqual(t, time.Since(start), test.ends)
					assert.LessOrEqual(t, time.Since(start), test.ends+time.Second)
					ended <- err
					return nil, err
				}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _, err := testutil.Get(ctx, &http.Client{Transport: redial.NewTransport(nil, base)}, "https://a.test")
				assert.Error(t, err)
				assert.ErrorIs(t, <-ended, test.stop)
			})
		})
	}
}

// The same if DialFunc dials through another Dialer: the attempt in flight may finish
// after its request is over, and the next request uses its connection.
func TestTransportAttemptOutlivesRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.After(2 * time.Second))
		server := &http.Server{Handler: testutil.Hello}
		go server.Serve(script)
		defer server.Close()
		tunnel := &redial.Dialer{DialFunc: script.DialContext}
		transport := redial.NewTransport(&redial.Dialer{DialFunc: tunnel.DialContext}, nil)
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(2 * time.Second)
		body, _, err := testutil.Get(t.Context(), client, "http://a.test")
		require.NoError(t, err)
		assert.Equal(t, "hello", body)
		assert.Len(t, script.Dials(), 1)
	})
}

// storm makes a number of requests at once, all with the same timeout, and checks that
// all of them fail.
func storm(t *testing.T, client *http.Client, requests int, timeout time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	for _, err := range testutil.Crowd(requests, func(int) error {
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		return err
	}) {
		assert.Error(t, err)
	}
}

// The test makes two hundred requests to a dead server. With a Transport, no
// dial goes on after the last request has failed. With a plain DialContext, all two
// hundred dials go on until MaxElapsed, because net/http does not tell them that their
// requests are over.
func TestTransportLeavesNoDialsAfterAStorm(t *testing.T) {
	const requests, timeout = 200, 500 * time.Millisecond
	for _, test := range []struct {
		name       string
		maxElapsed time.Duration
		transport  func(*redial.Dialer) http.RoundTripper
		dialsOn    bool
	}{
		{"Transport", -1, func(d *redial.Dialer) http.RoundTripper { return redial.NewTransport(d, nil) }, false},
		{"DialContext", 4 * time.Second, func(d *redial.Dialer) http.RoundTripper { return &http.Transport{DialContext: d.DialContext} }, true},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			d := &redial.Dialer{DialFunc: script.DialContext, MaxElapsed: test.maxElapsed}
			storm(t, &http.Client{Transport: test.transport(d)}, requests, timeout)
			before := len(script.Dials())
			assert.Greater(t, before, requests)
			time.Sleep(time.Hour)
			after := len(script.Dials())
			t.Logf("%d requests with timeouts of %v: %d connects, and %d more after the last request has failed", requests, timeout, before, after-before)
			if test.dialsOn {
				assert.GreaterOrEqual(t, after-before, requests)
			} else {
				assert.Equal(t, before, after)
			}
		})
	}
}

// A request that comes when the server is up again is served at its first attempt, with
// one connection. MaxConnsPerHost is 2, so dials left over from requests that have ended
// would block it.
func TestTransportServesAtOnceWhenTheServerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		accepted := 0
		server := &http.Server{Handler: testutil.Hello, ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				accepted++
			}
		}}
		go server.Serve(script)
		defer server.Close()
		base := &http.Transport{MaxConnsPerHost: 2}
		transport := redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext, MaxElapsed: -1}, base)
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		storm(t, client, 50, 300*time.Millisecond)

		script.For(address, dialtest.OK.Forever())
		before, begin := len(script.Dials()), time.Now()
		body, _, err := testutil.Get(t.Context(), client, "http://a.test")
		require.NoError(t, err)
		assert.Equal(t, "hello", body)
		assert.Equal(t, 1, len(script.Dials())-before)
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, 1, accepted)
	})
}

// A DialFunc may return context.DeadlineExceeded itself. The request's error still holds
// the dial's last failure.
func TestTransportErrorHoldsAContextErrorOfDialFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Fail(context.DeadlineExceeded), dialtest.Timeout)
		client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext}, nil)}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		time.Sleep(time.Minute) // until the attempt in flight has finished
		e := asError(t, err.(*url.Error).Err)
		assert.Equal(t, 1, e.Attempts)
		assert.Equal(t, redial.Timeout, e.Class)
	})
}

// An HTTP request that DialFunc makes with the context of the dial, for a token for example, does not
// end the dial. The hooks of the caller's own trace see it, as with http.Transport.
func TestTransportDialFuncMayMakeRequests(t *testing.T) {
	tokens := httptest.NewServer(testutil.Hello)
	defer tokens.Close()
	backend := httptest.NewServer(testutil.Hello)
	defer backend.Close()
	attempts := 0
	d := &redial.Dialer{Policy: redial.Policy{redial.Refused: every(time.Millisecond)}}
	d.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		attempts++
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		if _, _, err := testutil.Get(ctx, client, tokens.URL); err != nil {
			return nil, err
		}
		if attempts < 3 {
			return nil, errorOf(dialtest.Refuse)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	var mu sync.Mutex
	var wanted []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(address string) {
		mu.Lock()
		defer mu.Unlock()
		wanted = append(wanted, address)
	}})
	client := &http.Client{Transport: redial.NewTransport(d, &http.Transport{})}
	defer client.CloseIdleConnections()
	body, _, err := testutil.Get(ctx, client, backend.URL)
	require.NoError(t, err)
	assert.Equal(t, "hello", body)
	assert.Equal(t, 3, attempts)
	token := tokens.Listener.Addr().String()
	assert.Equal(t, []string{backend.Listener.Addr().String(), token, token, token}, wanted)
}

// A forwarder forwards connections, in memory, to an HTTP/2 server. Drop makes it forget the connections that it has: it
// forwards nothing more on them and closes none, as a load balancer or a NAT does whose table has lost them.
type forwarder struct {
	*dialtest.Dialer
	age atomic.Int32 // how often it has forgotten its connections
}

func (f *forwarder) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := f.Dialer.DialContext(ctx, network, address)
	return &forwarded{conn, f, f.age.Load()}, err
}

func (f *forwarder) drop() { f.age.Add(1) }

type forwarded struct {
	net.Conn
	by  *forwarder
	age int32
}

func (c *forwarded) Write(b []byte) (int, error) {
	if c.age != c.by.age.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// A connection that has died silently is used by each new HTTP/2 request, so nothing dials, unless base asks net/http for pings.
// Then the requests fail until a ping has had no answer, and the next request dials. NewTransport adds no pings of its own.
func TestTransportHTTP2ConnectionThatDiedSilently(t *testing.T) {
	for _, test := range []struct {
		name   string
		config *http.HTTP2Config
		redial bool
		failed int // of the first ten requests after the drop
	}{
		{"no pings", nil, false, 10},
		{"pings", &http.HTTP2Config{SendPingTimeout: 2500 * time.Millisecond, PingTimeout: 2 * time.Second}, true, 5},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			through := &forwarder{Dialer: dialtest.Script(dialtest.OK.Forever())}
			plain := new(http.Protocols)
			plain.SetUnencryptedHTTP2(true)
			server := &http.Server{Handler: testutil.Hello, Protocols: plain}
			go server.Serve(through)
			defer server.Close()
			base := &http.Transport{Protocols: plain, HTTP2: test.config}
			client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: through.DialContext}, base), Timeout: time.Second}
			get := func() error {
				_, proto, err := testutil.Get(t.Context(), client, "http://a.test")
				if err == nil {
					assert.Equal(t, "HTTP/2.0", proto)
				}
				return err
			}
			require.NoError(t, get())
			through.drop()
			failed := 0
			for range 10 {
				if get() != nil {
					failed++
				}
			}
			assert.Equal(t, test.failed, failed)
			assert.Equal(t, test.redial, len(through.Dials()) > 1)
			client.CloseIdleConnections()
			through.Close()
			time.Sleep(time.Hour)
		})
	}
}

// Some clients want an *http.Transport itself. What its DialContext gives with Attach, beside NewTransport, at a dead server:
// Attach knows the context only, so a dial goes on after its request if http.Client.Timeout has ended it.
func TestAttachInPlaceOfATransport(t *testing.T) {
	newTransport := func(d *redial.Dialer) http.RoundTripper { return redial.NewTransport(d, nil) }
	dialContext := func(d *redial.Dialer) http.RoundTripper { return &http.Transport{DialContext: d.DialContext} }
	asItIs := func(ctx context.Context) context.Context { return ctx }
	for _, test := range []struct {
		name          string
		transport     func(*redial.Dialer) http.RoundTripper
		attach        func(context.Context) context.Context
		clientTimeout bool // in place of the context's deadline
		saysWhy       bool // the request's error holds the failure
		dialsOn       bool // after the request has failed
	}{
		{"NewTransport", newTransport, asItIs, false, true, false},
		{"NewTransport, Client.Timeout", newTransport, asItIs, true, true, false},
		{"DialContext", dialContext, asItIs, false, false, true},
		{"DialContext, Attach", dialContext, redial.Attach, false, true, false},
		{"DialContext, Attach, Client.Timeout", dialContext, redial.Attach, true, false, true},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			client := &http.Client{Transport: test.transport(&redial.Dialer{DialFunc: script.DialContext})}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if test.clientTimeout {
				ctx, cancel = context.WithCancel(t.Context())
				client.Timeout = time.Second
			}
			defer cancel()
			_, _, err := testutil.Get(test.attach(ctx), client, "http://a.test")
			require.Error(t, err)
			assert.Equal(t, test.saysWhy, errors.Is(err, errScriptRefuses), "%v", err)
			before := len(script.Dials())
			time.Sleep(time.Minute)
			assert.Equal(t, test.dialsOn, len(script.Dials()) > before)
		})
	}
}

// With NewTransport, the attempt in flight may finish, and the next request uses its connection. Attach cuts the attempt off.
func TestAttachCutsOffTheAttempt(t *testing.T) {
	for _, cut := range []bool{false, true} {
		testutil.Bubble(t, fmt.Sprint("Attach: ", cut), func(t *testing.T) {
			script := dialtest.Script(dialtest.OK.After(2 * time.Second))
			go (&http.Server{Handler: testutil.Hello}).Serve(script)
			defer script.Close()
			d := &redial.Dialer{DialFunc: script.DialContext}
			client := &http.Client{Transport: redial.NewTransport(d, nil)}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if cut {
				client.Transport = &http.Transport{DialContext: d.DialContext}
				ctx = redial.Attach(ctx)
			}
			_, _, err := testutil.Get(ctx, client, "http://a.test")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			time.Sleep(time.Minute)
			assert.Equal(t, cut, lastOf(t, script, 1).Err != nil)
			client.CloseIdleConnections()
		})
	}
}

// A client that retries by itself can send its last request with hardly any time left. The request fails by its own dial all
// the same, so the client's error says why if the client keeps it.
func TestTransportLastRequestSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		client := &http.Client{Transport: redial.NewTransport(&redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: every(300 * time.Millisecond)}}, nil)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, redial.ErrDeadline)
		before := len(script.Dials())
		time.Sleep(49 * time.Millisecond) // the client's own backoff, of the 50 that are left
		_, _, err = testutil.Get(ctx, client, "http://a.test")
		assert.ErrorIs(t, err, errScriptRefuses)
		assert.ErrorIs(t, err, redial.ErrDeadline)
		assert.Len(t, script.Dials(), before+1)
		assert.NoError(t, ctx.Err())
	})
}

// around is the smallest possible RoundTripper around an http.Transport.
type around struct{ *http.Transport }

// BenchmarkTransport compares a keep-alive GET through a Transport with one
// through http.Transport. The bytes and allocations include those of the server,
// which are the same for all. Client.Timeout costs more with any RoundTripper that
// is not an http.Transport: http.Client adds a channel and a timer for it.
func BenchmarkTransport(b *testing.B) {
	server := httptest.NewServer(testutil.Hello)
	defer server.Close()
	for _, timeout := range []time.Duration{0, time.Minute} {
		for _, test := range []struct {
			name      string
			transport http.RoundTripper
		}{
			{"http.Transport", http.DefaultTransport.(*http.Transport).Clone()},
			{"around it", around{http.DefaultTransport.(*http.Transport).Clone()}},
			{"redial", redial.NewTransport(nil, nil)},
		} {
			client := &http.Client{Transport: test.transport, Timeout: timeout}
			b.Run(fmt.Sprintf("%s/Timeout=%v", test.name, timeout), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := testutil.Get(b.Context(), client, server.URL); err != nil {
						b.Fatal(err)
					}
				}
			})
			client.CloseIdleConnections()
		}
	}
}

// proxyAnswering returns the URL, with credentials, of an HTTP proxy that answers each CONNECT with the next of the statuses.
func proxyAnswering(t *testing.T, statuses ...int) (address string, proxy *url.URL) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(statuses[0])
		statuses = statuses[min(1, len(statuses)-1):]
	}))
	t.Cleanup(server.Close)
	address = server.Listener.Addr().String()
	return address, &url.URL{Scheme: "http", User: url.UserPassword("user", "secret"), Host: address}
}

// A proxy that does not connect to the target says so by a status. The request's error has it.
func TestTransportProxyError(t *testing.T) {
	for status, class := range map[int]redial.Class{
		403: redial.Denied, 407: redial.Denied,
		502: redial.Unreachable, 503: redial.Unreachable, 504: redial.Unreachable,
		299: redial.Unknown, 404: redial.Unknown, 500: redial.Unknown,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			address, proxy := proxyAnswering(t, status)
			transport := redial.NewTransport(nil, &http.Transport{Proxy: http.ProxyURL(proxy)})
			defer transport.CloseIdleConnections()
			_, _, err := testutil.Get(t.Context(), &http.Client{Transport: transport}, "https://api.example/x")
			e, ok := errors.AsType[*redial.ProxyError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, redial.ProxyError{Proxy: address, Target: "api.example:443", StatusCode: status}, *e)
			want := strings.TrimSpace(fmt.Sprintf("proxy %s answered CONNECT api.example:443 with %d %s", address, status, http.StatusText(status)))
			assert.Equal(t, want, e.Error())
			assert.Equal(t, class, redial.Classify(err))
			assert.NotContains(t, err.Error(), "secret")
			assert.Contains(t, explain.Error(err), "The proxy "+address)
		})
	}
}

// The program's own hook stays.
func TestTransportKeepsOnProxyConnectResponse(t *testing.T) {
	_, proxy := proxyAnswering(t, 503)
	base := &http.Transport{Proxy: http.ProxyURL(proxy), OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error {
		return errCustom
	}}
	_, _, err := testutil.Get(t.Context(), &http.Client{Transport: redial.NewTransport(nil, base)}, "https://api.example/x")
	assert.ErrorIs(t, err, errCustom)
}

// Do retries what a proxy cannot reach for now, and not what it forbids.
func TestDoRetriesByProxyError(t *testing.T) {
	_, proxy := proxyAnswering(t, 503, 502, 403)
	d := &redial.Dialer{Policy: redial.Policy{redial.Unreachable: every(time.Millisecond)}}
	client := &http.Client{Transport: redial.NewTransport(d, &http.Transport{Proxy: http.ProxyURL(proxy)})}
	defer client.CloseIdleConnections()
	_, err := redial.Do(t.Context(), d, "http", "https://api.example/x", func(ctx context.Context) (string, error) {
		body, _, err := testutil.Get(ctx, client, "https://api.example/x")
		return body, err
	})
	e := asError(t, err)
	assert.Equal(t, 3, e.Attempts)
	assert.Equal(t, redial.Denied, e.Class)
	assert.Equal(t, redial.Unreachable, e.History[0].Class)
}

// A server that speaks plain HTTP on the port of an https URL has failed in the handshake.
func TestTransportPlainHTTP(t *testing.T) {
	server := httptest.NewServer(testutil.Hello)
	defer server.Close()
	transport := redial.NewTransport(nil, &http.Transport{})
	_, _, err := testutil.Get(t.Context(), &http.Client{Transport: transport}, strings.Replace(server.URL, "http:", "https:", 1))
	require.ErrorIs(t, err, http.ErrSchemeMismatch)
	assert.Equal(t, redial.TLS, redial.Classify(err))
	assert.Equal(t, "tls.plain-http", explain.For(err).Code)
}

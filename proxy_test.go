package redial_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

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

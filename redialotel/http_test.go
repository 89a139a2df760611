package redialotel_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-33f8b841/redial"
)

// newClient returns an instrumented client that dials through d, which it instruments too,
// and a server for it.
func newClient(t *testing.T, s *sink, d *redial.Dialer) (*http.Client, string) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	transport := redial.NewTransport(s.instrument(d), &http.Transport{})
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: otelhttp.NewTransport(transport,
		otelhttp.WithTracerProvider(s.tracers), otelhttp.WithMeterProvider(s.meters))}, server.URL
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func TestHTTP(t *testing.T) {
	s := newSink(t)
	client, url := newClient(t, s, &redial.Dialer{})
	ctx, root := s.root(t.Context())
	for range 2 {
		require.NoError(t, get(ctx, client, url))
	}
	root.End()

	var requests []sdktrace.ReadOnlySpan
	for _, span := range s.spans.Ended() {
		if span.Name() == "HTTP GET" {
			requests = append(requests, span)
			assert.Equal(t, root.SpanContext().SpanID(), span.Parent().SpanID())
		}
	}
	require.Len(t, requests, 2)
	dial := s.named("dial db") // the second request has the first one's connection
	assert.Equal(t, requests[0].SpanContext().SpanID(), dial.Parent().SpanID())
	assert.Equal(t, requests[0].SpanContext().TraceID(), dial.SpanContext().TraceID())
	assert.Equal(t, "ok", attrs(dial.Attributes())["redial.outcome"])
}

func TestHTTPFailure(t *testing.T) {
	s := newSink(t)
	client, url := newClient(t, s, &redial.Dialer{DialFunc: failing(refusal()), MaxElapsed: 300 * time.Millisecond})
	require.Error(t, get(t.Context(), client, url))
	request, dial := s.named("HTTP GET"), s.named("dial db")
	assert.Equal(t, request.SpanContext().SpanID(), dial.Parent().SpanID())
	assert.Equal(t, codes.Error, request.Status().Code)
	assert.Equal(t, codes.Error, dial.Status().Code)
	assert.Greater(t, len(s.steps(dial)), 1)
}

// A request that is over ends its dial's wait. Nobody wants the dial, which is no failure.
func TestHTTPRequestCanceled(t *testing.T) {
	s := newSink(t)
	attempted := make(chan struct{}, 1)
	d := &redial.Dialer{
		DialFunc:   failing(refusal()),
		Policy:     redial.Policy{redial.Refused: after(time.Hour)},
		MaxElapsed: -1,
		OnAttempt:  func(context.Context, redial.Attempt) { attempted <- struct{}{} },
	}
	client, url := newClient(t, s, d)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-attempted
		cancel()
	}()
	require.ErrorIs(t, get(ctx, client, url), context.Canceled)

	dial := awaitDial(t, s)
	assert.Equal(t, s.named("HTTP GET").SpanContext().SpanID(), dial.Parent().SpanID())
	assert.Equal(t, sdktrace.Status{}, dial.Status())
	assert.Equal(t, "canceled", attrs(dial.Attributes())["redial.outcome"])
}

// An attempt in flight goes on when its request is over. The span of the dial is still the
// child of the request's, although it ends later.
func TestHTTPDialOutlivesRequest(t *testing.T) {
	s := newSink(t)
	started, release := make(chan struct{}), make(chan struct{})
	d := &redial.Dialer{DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
		close(started)
		<-release
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	client, url := newClient(t, s, d)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	require.ErrorIs(t, get(ctx, client, url), context.Canceled)
	request := s.named("HTTP GET")
	assert.Len(t, s.spans.Ended(), 1, "the dial goes on")
	close(release)

	dial := awaitDial(t, s)
	assert.Equal(t, request.SpanContext().SpanID(), dial.Parent().SpanID())
	assert.True(t, dial.EndTime().After(request.EndTime()))
	assert.Equal(t, "ok", attrs(dial.Attributes())["redial.outcome"])
	assert.Equal(t, trace.SpanKindInternal, dial.SpanKind())
	assert.Equal(t, trace.SpanKindClient, request.SpanKind())
}

// awaitDial waits for the span of the dial, because a request does not wait for its dial.
func awaitDial(t *testing.T, s *sink) sdktrace.ReadOnlySpan {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.dials()) == 2 }, 10*time.Second, time.Millisecond)
	return s.named("dial db")
}

package bench

import (
	"context"
	"net"
	"net/http"
	"time"

	backoffv5 "github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/seed-33f8b841/redial"
)

// An HTTPClient is one way to make HTTP requests.
type HTTPClient struct {
	Name    string
	Module  string // as Dialer.Module
	Retries bool
	New     func(HTTPOptions) *http.Client
}

// HTTPOptions are the same for all HTTPClients. The zero value means the defaults.
type HTTPOptions struct {
	Dial              Options
	Timeout           time.Duration // of the whole request
	MaxConnsPerHost   int
	DisableKeepAlives bool

	// Dialing, if not nil, is called when net/http begins a dial. It returns what is
	// called when that dial has ended, retries included.
	Dialing func() (ended func())
}

// transport returns an http.Transport as http.DefaultTransport is, over dial.
func (o *HTTPOptions) transport(dial Dial) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.MaxConnsPerHost = o.MaxConnsPerHost
	t.DisableKeepAlives = o.DisableKeepAlives
	t.DialContext = dial
	if o.Dialing != nil {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			defer o.Dialing()()
			return dial(ctx, network, address)
		}
	}
	return t
}

// HTTPClients has all HTTPClients, the floor first.
var HTTPClients = []HTTPClient{
	{
		Name: "http.Transport",
		New:  func(o HTTPOptions) *http.Client { return o.client(o.transport(o.Dial.connect())) },
	},
	{
		Name: "http.Transport, wrapped",
		New:  func(o HTTPOptions) *http.Client { return o.client(wrapped{o.transport(o.Dial.connect())}) },
	},
	{
		Name:    "redial.NewTransport",
		Retries: true,
		New:     func(o HTTPOptions) *http.Client { return o.client(newTransport(o, nil)) },
	},
	{
		Name:    "redial.NewTransport, Gate",
		Retries: true,
		New:     func(o HTTPOptions) *http.Client { return o.client(newTransport(o, new(redial.Gate))) },
	},
	{
		Name:    "go-retryablehttp",
		Module:  "github.com/hashicorp/go-retryablehttp",
		Retries: true,
		New:     newRetryable,
	},
	{
		Name:    "backoff v5 around each request",
		Module:  "github.com/cenkalti/backoff/v5",
		Retries: true,
		New: func(o HTTPOptions) *http.Client {
			t := o.transport(o.Dial.connect())
			return o.client(closing{retried{o, t}, t})
		},
	},
}

// InTransport returns the HTTPClient that has the Dialer as the DialContext of an http.Transport.
func InTransport(d Dialer) HTTPClient {
	return HTTPClient{
		Name:    d.Name + " in http.Transport",
		Module:  d.Module,
		Retries: d.Retries,
		New:     func(o HTTPOptions) *http.Client { return o.client(o.transport(d.New(o.Dial))) },
	}
}

func (o *HTTPOptions) client(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, Timeout: o.Timeout}
}

// wrapped is a RoundTripper that adds nothing. http.Client does more for a RoundTripper
// that is no *http.Transport.
type wrapped struct{ *http.Transport }

func (w wrapped) RoundTrip(req *http.Request) (*http.Response, error) {
	return w.Transport.RoundTrip(req)
}

func newTransport(o HTTPOptions, gate *redial.Gate) *redial.Transport {
	d := newRedial(o.Dial, gate)
	if o.Dialing != nil {
		d.OnDial = func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
			ended := o.Dialing()
			return ctx, func(redial.Result) { ended() }
		}
	}
	base := o
	base.Dialing = nil // NewTransport replaces the DialContext that would call Dialing
	return redial.NewTransport(d, base.transport(nil))
}

func newRetryable(o HTTPOptions) *http.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	t := o.transport(o.Dial.connect())
	c.HTTPClient.Transport = t
	if o.Dial.Attempts > 0 {
		c.RetryMax = o.Dial.Attempts - 1
	}
	if o.Dial.Delay != nil {
		c.Backoff = func(_, _ time.Duration, n int, _ *http.Response) time.Duration { return o.Dial.Delay(n + 1) }
	}
	client := c.StandardClient()
	client.Transport = closing{client.Transport, t}
	client.Timeout = o.Timeout
	return client
}

// closing closes idle connections, which the RoundTripper around their Transport does not.
type closing struct {
	http.RoundTripper
	idle *http.Transport
}

func (c closing) CloseIdleConnections() { c.idle.CloseIdleConnections() }

// retried retries each request, as people do who have a library for retries at hand.
type retried struct {
	o         HTTPOptions
	transport *http.Transport
}

func (r retried) RoundTrip(req *http.Request) (*http.Response, error) {
	var options []backoffv5.RetryOption
	if r.o.Dial.Delay != nil {
		options = append(options, backoffv5.WithBackOff(&schedule{delay: r.o.Dial.Delay}))
	}
	switch attempts := r.o.Dial.Attempts; {
	case attempts > 0:
		options = append(options, backoffv5.WithMaxTries(uint(attempts)))
	case attempts < 0:
		options = append(options, backoffv5.WithMaxElapsedTime(0))
	}
	attempt := func() (*http.Response, error) { return r.transport.RoundTrip(req) }
	return backoffv5.Retry(req.Context(), attempt, options...)
}

package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

func serve(address string) error {
	return fasthttp.ListenAndServe(address, func(ctx *fasthttp.RequestCtx) { ctx.WriteString("hello") })
}

func hello(get func(ctx context.Context) ([]byte, error)) kit.Operation {
	return func(ctx context.Context) error {
		body, err := get(ctx)
		if err == nil && string(body) != "hello" {
			err = errors.New("another answer: " + string(body))
		}
		return err
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "fasthttp",
		Server: kit.NewSelf,
		Hosts:  true,
		Alone: func(_ *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			// fasthttp has a dialer of its own, which does not take a net.Dialer.
			dial := func(address string, timeout time.Duration) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(context.Background(), timeout)
				defer cancel()
				return d.DialContext(ctx, "tcp", address)
			}
			url := "http://" + addresses[0] + "/"
			var client doer = &fasthttp.Client{DialTimeout: dial}
			if len(addresses) > 1 {
				client = &fasthttp.HostClient{Addr: strings.Join(addresses, ","), DialTimeout: dial}
			}
			return hello(func(ctx context.Context) ([]byte, error) { return get(ctx, client, url) })
		},
		Redial: func(_ *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			url := "http://" + addresses[0] + "/"
			if len(addresses) > 1 {
				client := newHostClient(d, strings.Join(addresses, ","))
				return hello(func(ctx context.Context) ([]byte, error) { return getAny(ctx, d, client, url) })
			}
			client := newClient(d)
			return hello(func(ctx context.Context) ([]byte, error) { return get(ctx, client, url) })
		},
	}.Run(t)
}

// The field Dial does not know the request's timeout: the request takes as long as MaxElapsed says.
func TestDial(t *testing.T) {
	t.Parallel()
	d := &redial.Dialer{MaxElapsed: 3 * time.Second, Logger: zap.NewNop()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	url := "http://" + testutil.RefusingAddress(t, "tcp4")
	_, err := get(ctx, newClient(d), url)
	assert.NoError(t, ctx.Err(), "it fails in time to say why")
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Refused, failed.Class)
	assert.ErrorIs(t, err, redial.ErrDeadline)

	_, err = get(ctx, &fasthttp.Client{Dial: func(address string) (net.Conn, error) { return d.Dial("tcp", address) }}, url)
	assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded, "the request has not ended with its own time")
	assert.ErrorIs(t, err, redial.ErrMaxElapsed)
}

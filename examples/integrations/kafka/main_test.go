package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/broker"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { broker.Main(m) }

func newClient(t *testing.T, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(o...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// produce returns an operation that produces one record, and waits until the broker has it.
func produce(client *kgo.Client) kit.Operation {
	return func(ctx context.Context) error {
		return client.ProduceSync(ctx, &kgo.Record{Topic: broker.Topic, Value: []byte("hello")}).FirstErr()
	}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client:  "franz-go",
		Hosts:   true,
		Shares:  true,
		Untyped: true, // a record's error is its ctx's
		Server:  broker.New,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return produce(newClient(t, kgo.SeedBrokers(addresses...), kgo.Dialer(d.DialContext)))
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return produce(newClient(t, options(d, addresses...)...))
		},
	}.Run(t)
}

// A record waits for the broker. A request does not, but by ping.
func TestRequests(t *testing.T) {
	t.Parallel()
	server, address := broker.New(t)
	server.Start(t)
	d := &redial.Dialer{Logger: zap.NewNop()}
	client := newClient(t, options(d, address)...)
	alone := &kit.Contender{Name: "net.Dialer, requests", Do: newClient(t, kgo.SeedBrokers(address)).Ping}
	ours := &kit.Contender{Name: "redial, requests", Do: func(ctx context.Context) error { return ping(ctx, d, client, address) }}
	kit.Outage(t, server, alone, ours)
	assert.Less(t, ours.Failed.Load(), alone.Failed.Load())
	assert.LessOrEqual(t, ours.Failed.Load(), int64(20), "only what is in flight fails when the broker dies")
}

// A request's error holds the cause, although a record's does not.
func TestCause(t *testing.T) {
	t.Parallel()
	d := &redial.Dialer{Logger: zap.NewNop()}
	address := testutil.RefusingAddress(t, "tcp4")
	client := newClient(t, options(d, address)...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	assert.Equal(t, context.DeadlineExceeded, produce(client)(ctx))
	var failed *redial.Error
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorAs(t, ping(ctx, d, client, address), &failed)
	assert.Equal(t, redial.Refused, failed.Class)
}

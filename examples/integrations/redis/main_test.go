package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

// newServer returns a Redis server that has not been started.
func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	path := kit.Binary(t, "redis-server", "redis-server")
	address := kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return &kit.Server{
		Path: path,
		Args: []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", kit.Dir(t, "")},
		Ready: func(ctx context.Context) error {
			client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, ContextTimeoutEnabled: true})
			defer client.Close()
			return client.Ping(ctx).Err()
		},
	}, address
}

func newClient(t *testing.T, o *redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(o)
	t.Cleanup(func() { client.Close() })
	return client
}

func ping(client *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error { return client.Ping(redial.Attach(ctx)).Err() }
}

func TestDownAtFirst(t *testing.T) {
	server, address := newServer(t)
	client := newClient(t, options(&redial.Dialer{Logger: zap.NewNop()}, address))
	go func() {
		time.Sleep(2 * time.Second)
		server.Launch(t)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	assert.NoError(t, ping(client)(ctx))
}

func TestOutage(t *testing.T) {
	server, address := newServer(t)
	server.Start(t)
	plain := newClient(t, &redis.Options{Addr: address, Dialer: new(net.Dialer).DialContext, ContextTimeoutEnabled: true, MaxRetries: 1, DialerRetries: 1})
	ours := newClient(t, options(&redial.Dialer{Logger: zap.NewNop()}, address))
	a := &kit.Contender{Name: "net.Dialer", Do: ping(plain)}
	b := &kit.Contender{Name: "redial", Do: ping(ours)}
	kit.Outage(t, server, a, b)
	assert.Less(t, b.Failed.Load(), a.Failed.Load())
}

func TestNeverUp(t *testing.T) {
	address := kit.FreeAddress(t)
	var connects kit.Connects
	d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Logger: zap.NewNop()}
	client := newClient(t, options(d, address))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	start := time.Now()
	err := ping(client)(ctx)
	t.Log(time.Since(start), err)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Refused, failed.Class)
	assert.Equal(t, failed.Attempts, connects.Count(), "the client must not multiply the retries")
}

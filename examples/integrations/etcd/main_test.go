package main

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// newServer returns an etcd server that has not been started.
func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	path := kit.Binary(t, "etcd", "etcd-server")
	address, peers := kit.FreeAddress(t), kit.FreeAddress(t)
	get := newClient(t, clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
	return &kit.Server{
		Path: path,
		Args: []string{
			"--name", "test", "--data-dir", kit.Dir(t, ""), "--unsafe-no-fsync",
			"--listen-client-urls", "http://" + address, "--advertise-client-urls", "http://" + address,
			"--listen-peer-urls", "http://" + peers, "--initial-advertise-peer-urls", "http://" + peers,
			"--initial-cluster", "test=http://" + peers,
			"--heartbeat-interval", "50", "--election-timeout", "250", // a lone member elects itself after that
		},
		Ready: get,
	}, address
}

// newClient returns a function that gets one key.
func newClient(t *testing.T, c clientv3.Config) func(context.Context) error {
	t.Helper()
	client, err := clientv3.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return func(ctx context.Context) error {
		_, err := client.Get(ctx, "greeting")
		return err
	}
}

func TestSuite(t *testing.T) {
	endpoints := func(addresses []string) (all []string) {
		for _, address := range addresses {
			all = append(all, "http://"+address)
		}
		return all
	}
	kit.Suite{
		Client: "etcd",
		Server: newServer,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return newClient(t, clientv3.Config{
				Endpoints: endpoints(addresses),
				Logger:    zap.NewNop(),
				DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
					return d.DialContext(ctx, "tcp", address)
				})},
			})
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			recipe := dialer(d.Logger)
			d.Timeout, d.MaxAttempts = recipe.Timeout, recipe.MaxAttempts
			return newClient(t, config(d, zap.NewNop(), endpoints(addresses)...))
		},
		Hosts:   true,
		Untyped: true,
		Shares:  true,
	}.Run(t)
}

// A request fails with the error of its ctx. The client's log has the cause.
func TestError(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := newClient(t, config(dialer(zap.NewNop()), zap.New(core), testutil.RefusingAddress(t, "tcp")))(ctx)
	assert.Equal(t, context.DeadlineExceeded, err)
	theirs := logs.FilterMessage("retrying of unary invoker failed").All()
	require.NotEmpty(t, theirs)
	assert.Contains(t, theirs[0].ContextMap()["error"], "connect: connection refused")
}

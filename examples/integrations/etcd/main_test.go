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

func newDialer() *redial.Dialer {
	return dialer(zap.NewNop())
}

func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	get := newClient(t, config(newDialer(), zap.NewNop(), address))
	server.LaunchAfter(t, 2*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	assert.NoError(t, get(ctx))
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	plain := &kit.Contender{
		Name: "net.Dialer",
		Do:   newClient(t, clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()}),
	}
	ours := &kit.Contender{Name: "redial", Do: newClient(t, config(newDialer(), zap.NewNop(), address))}
	kit.Outage(t, server, plain, ours)
	assert.LessOrEqual(t, ours.Failed.Load(), int64(30), "the client waits for a connection")
}

// A request fails with the error of its ctx. The logs have the class and the cause.
func TestNeverUp(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp")
	var connects kit.Connects
	var attempts kit.Attempts
	core, logs := observer.New(zap.InfoLevel)
	d := newDialer()
	d.Control, d.OnAttempt, d.Logger = connects.Control, attempts.Add, zap.New(core)
	get := newClient(t, config(d, d.Logger, address))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	start := time.Now()
	err := get(ctx)
	took := time.Since(start)
	t.Log(took, connects.Count(), err)

	assert.Equal(t, context.DeadlineExceeded, err, "the docs say that the client drops the cause")
	assert.Less(t, took, 5*time.Second)
	failures := logs.FilterMessage("dial failed").All()
	require.NotEmpty(t, failures)
	assert.Equal(t, "refused", failures[0].ContextMap()["class"])
	theirs := logs.FilterMessage("retrying of unary invoker failed").All()
	require.NotEmpty(t, theirs)
	assert.Contains(t, theirs[0].ContextMap()["error"], "connect: connection refused")
	for _, a := range attempts.All() {
		assert.Equal(t, redial.Refused, a.Class)
	}
	assert.LessOrEqual(t, connects.Count(), 24, "about eight dials, and no retries within them")
}

func TestDeadFirstAddress(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	resolver, name := kit.DeadFirst(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	kit.Promptly(t, func() time.Duration {
		var attempts kit.Attempts
		d := newDialer()
		d.Resolver, d.OnAttempt = resolver, attempts.Add
		require.NoError(t, newClient(t, config(d, zap.NewNop(), "http://"+name))(ctx))
		require.Len(t, attempts.All(), 1)
		return attempts.All()[0].Duration
	})

	plain := &net.Dialer{Resolver: resolver, Timeout: 4 * time.Second} // half of it for each address
	c := clientv3.Config{Endpoints: []string{"http://" + name}, Logger: zap.NewNop()}
	c.DialOptions = []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		return plain.DialContext(ctx, "tcp", address)
	})}
	start := time.Now()
	require.NoError(t, newClient(t, c)(ctx))
	assert.Greater(t, time.Since(start), time.Second)
}

// The client dials all endpoints at once, so that the retries at one endpoint do not keep the next from its chance.
func TestFirstEndpointFails(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	for name, first := range map[string]string{
		"refused": testutil.RefusingAddress(t, "tcp"),
		"silent":  testutil.ListenSilent(t, "127.0.0.1:0"),
	} {
		get := newClient(t, config(newDialer(), zap.NewNop(), first, address))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		require.NoError(t, get(ctx))
		took := time.Since(start)
		t.Log(name, took)
		assert.Less(t, took, time.Second)
	}
}

// The requests of one client share its connection. Fifty clients of the program do not.
func TestGate(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp")
	count := func(gate *redial.Gate) int {
		var connects kit.Connects
		d := newDialer()
		d.Control, d.Gate = connects.Control, gate
		gets := make([]func(context.Context) error, 50)
		for i := range gets {
			gets[i] = newClient(t, config(d, zap.NewNop(), address))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for _, err := range testutil.Crowd(len(gets), func(i int) error { return gets[i](ctx) }) {
			assert.Error(t, err)
		}
		return connects.Count()
	}
	without, with := count(nil), count(new(redial.Gate))
	t.Logf("connects: %d without a Gate, %d with a Gate", without, with)
	assert.Less(t, with, without/2)
}

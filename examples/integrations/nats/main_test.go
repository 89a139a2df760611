package main

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// newServer returns a NATS server that has not been started.
func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	address := kit.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return &kit.Server{
		Path: kit.Binary(t, "nats-server", "nats-server"),
		Args: []string{"-a", host, "-p", port},
		Ready: func(context.Context) error {
			conn, err := nats.Connect(address)
			if err == nil {
				conn.Close()
			}
			return err
		},
	}, address
}

// open connects with the program's options.
func open(t *testing.T, d *redial.Dialer, address string) *nats.Conn {
	t.Helper()
	conn, err := connect(within(t, 20*time.Second), d, address)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func publishing(conn *nats.Conn) func(context.Context) error {
	return func(ctx context.Context) error { return publish(ctx, conn) }
}

// retrying is the CustomDialer that comes to mind first: each dial retries.
type retrying struct{ *redial.Dialer }

func quiet() *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Timeout: 2 * time.Second}, Logger: zap.NewNop()}
}

func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	time.AfterFunc(2*time.Second, func() { server.Launch(t) })
	conn := open(t, quiet(), address)
	assert.NoError(t, publish(within(t, 10*time.Second), conn))
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	plain, err := nats.Connect(address, nats.SetCustomDialer(new(net.Dialer)))
	require.NoError(t, err)
	t.Cleanup(plain.Close)
	a := &kit.Contender{Name: "net.Dialer", Do: publishing(plain)}
	b := &kit.Contender{Name: "redial", Do: publishing(open(t, quiet(), address))}
	kit.Outage(t, server, a, b)
	// A message in flight when the server dies is lost, and nats.go says so. There is one for each goroutine.
	assert.LessOrEqual(t, b.Failed.Load(), int64(10))
	assert.Less(t, b.Slowest(), 5*time.Second)
}

func TestNeverUp(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	var connects kit.Connects
	d := quiet()
	d.Control = connects.Control
	ctx := within(t, 2*time.Second)
	conn, err := connect(ctx, d, address)
	assert.Nil(t, conn)
	assert.NoError(t, ctx.Err(), "it fails in time to tell why")
	t.Log(err)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Refused, failed.Class)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.Equal(t, failed.Attempts, connects.Count(), "the client must not multiply the attempts")
}

// The server dies for good while the client is connected. The program sees only that its time is up:
// the log has the cause.
func TestNeverUpAgain(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	core, logs := observer.New(zapcore.WarnLevel)
	var connects kit.Connects
	d := quiet()
	d.Control, d.Logger = connects.Control, zap.New(core)
	conn := open(t, d, address)
	server.Kill()
	assert.Eventually(t, conn.IsReconnecting, 10*time.Second, time.Millisecond)
	assert.ErrorIs(t, publish(within(t, 2*time.Second), conn), context.DeadlineExceeded)
	failed := logs.Filter(func(e observer.LoggedEntry) bool {
		return e.Message == "dial failed" && e.ContextMap()["class"] == "refused"
	}).Len()
	conn.Close()
	tries := connects.Count() - 1
	t.Logf("%d connects, %d logged as refused", tries, failed)
	assert.NotZero(t, failed)
	assert.LessOrEqual(t, tries, 7) // after 50, 100, 200, 400, 800 and 1600 ms at the soonest
}

// nats.go dials with its mutex held. A Dialer that retries makes Publish wait until the server is back,
// or for as long as the dial lasts. One attempt is over at once.
func TestPublishWhileDown(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	bad, err := nats.Connect(address, nats.SetCustomDialer(retrying{quiet()}), nats.CustomReconnectDelay(delay))
	require.NoError(t, err)
	t.Cleanup(bad.Close)
	good := open(t, quiet(), address)
	server.Kill()
	for _, conn := range []*nats.Conn{bad, good} {
		require.Eventually(t, conn.IsReconnecting, 10*time.Second, time.Millisecond)
	}
	slowest := func(conn *nats.Conn) (d time.Duration) {
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			start := time.Now()
			assert.NoError(t, conn.Publish("greeting", []byte("hello")))
			d = max(d, time.Since(start))
		}
		return d
	}
	quick := slowest(good)
	time.AfterFunc(2*time.Second, func() { server.Launch(t) })
	slow := slowest(bad)
	t.Logf("the slowest Publish took %v with one attempt, %v with retries", quick, slow)
	assert.Less(t, quick, 500*time.Millisecond)
	assert.Greater(t, slow, time.Second)
}

func TestDeadFirstAddress(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	resolver, name := kit.DeadFirst(t, address)
	var attempts kit.Attempts
	d := quiet()
	d.Resolver, d.OnAttempt = resolver, attempts.Add
	start := time.Now()
	require.NoError(t, publish(within(t, 10*time.Second), open(t, d, name)))
	t.Logf("redial took %v", time.Since(start))
	for _, a := range attempts.All() {
		assert.NoError(t, a.Err)
		assert.Less(t, a.Duration, 500*time.Millisecond)
	}

	start = time.Now()
	plain, err := nats.Connect(name, nats.SkipHostLookup(), nats.SetCustomDialer(&net.Dialer{Resolver: resolver, Timeout: 5 * time.Second}))
	require.NoError(t, err)
	plain.Close()
	t.Logf("net.Dialer took %v", time.Since(start))
	assert.Greater(t, time.Since(start), time.Second)
}

// localhost is ::1 too on most machines, where the server does not listen. nats.go would dial ::1 until
// that dial's time is over.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	start := time.Now()
	open(t, quiet(), net.JoinHostPort("localhost", port))
	assert.Less(t, time.Since(start), time.Second)
}

func TestGate(t *testing.T) {
	t.Parallel()
	address := kit.FreeAddress(t)
	connects := func(gate *redial.Gate) int {
		var connects kit.Connects
		d := quiet()
		d.Control, d.Gate = connects.Control, gate
		ctx := within(t, 2*time.Second)
		for _, err := range testutil.Crowd(50, func(int) error {
			_, err := connect(ctx, d, address)
			return err
		}) {
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		}
		return connects.Count()
	}
	without, with := connects(nil), connects(new(redial.Gate))
	t.Logf("%d connects without a Gate, %d with one", without, with)
	assert.Less(t, 3*with, without)
}

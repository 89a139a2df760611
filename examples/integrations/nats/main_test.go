package main

import (
	"context"
	"net"
	"os"
	"strings"
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

// closing returns a function that closes a connection when t ends.
func closing(t *testing.T) func(*nats.Conn, error) (*nats.Conn, error) {
	return func(conn *nats.Conn, err error) (*nats.Conn, error) {
		if err == nil {
			t.Cleanup(conn.Close)
		}
		return conn, err
	}
}

// open connects with the program's options.
func open(t *testing.T, d *redial.Dialer, address string) *nats.Conn {
	t.Helper()
	conn, err := closing(t)(connect(within(t, 20*time.Second), d, address))
	require.NoError(t, err)
	return conn
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// retrying is the CustomDialer that comes to mind first: each dial retries.
type retrying struct{ *redial.Dialer }

func quiet() *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Timeout: 2 * time.Second}, Logger: zap.NewNop()}
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "NATS",
		Server: newServer,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return kit.Keep(func(context.Context) (*nats.Conn, error) {
				// Without SkipHostLookup, nats.go would ask the machine's resolver in place of d's.
				return closing(t)(nats.Connect(strings.Join(addresses, ","), nats.SetCustomDialer(d), nats.SkipHostLookup()))
			}, publish)
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Timeout = 2 * time.Second
			return kit.Keep(func(ctx context.Context) (*nats.Conn, error) {
				return closing(t)(connect(ctx, d, strings.Join(addresses, ",")))
			}, publish)
		},
		Hosts:  true,
		Shares: true,
	}.Run(t)
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

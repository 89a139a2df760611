package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
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

// newServer returns a mosquitto that has not been started.
func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	address := kit.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	config := filepath.Join(kit.Dir(t, ""), "mosquitto.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "listener %s %s\nallow_anonymous true\nuser root\n", port, host), 0o600))
	return &kit.Server{
		Path: kit.Binary(t, "mosquitto", "mosquitto"),
		Args: []string{"-c", config},
		Ready: func(context.Context) error {
			client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address))
			defer client.Disconnect(0)
			token := client.Connect()
			token.Wait()
			return token.Error()
		},
	}, address
}

// open connects as the program does.
func open(t *testing.T, d *redial.Dialer, address string) mqtt.Client {
	t.Helper()
	client, err := connect(within(t, 20*time.Second), t.Context(), d, address)
	require.NoError(t, err)
	t.Cleanup(func() { client.Disconnect(0) })
	return client
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "MQTT",
		Server: newServer,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return kit.Keep(func(ctx context.Context) (mqtt.Client, error) {
				client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + addresses[0]).SetDialer(d))
				t.Cleanup(func() { client.Disconnect(0) })
				token := client.Connect()
				select {
				case <-token.Done():
					return client, token.Error()
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}, publish)
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			recipe := newDialer(d.Logger)
			d.Timeout, d.MaxElapsed = recipe.Timeout, recipe.MaxElapsed
			return kit.Keep(func(ctx context.Context) (mqtt.Client, error) {
				client, err := connect(ctx, t.Context(), d, addresses[0])
				if err == nil {
					t.Cleanup(func() { client.Disconnect(0) })
				}
				return client, err
			}, publish)
		},
		Shares: true,
	}.Run(t)
}

// The broker dies for good while the client is connected. The program sees only that its time is up: the
// log has the cause. When life ends, so does the dial.
func TestNeverUpAgain(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	core, logs := observer.New(zapcore.InfoLevel)
	var connects kit.Connects
	d := newDialer(zap.New(core))
	d.Control = connects.Control
	life, end := context.WithCancel(t.Context())
	defer end()
	client, err := connect(within(t, 20*time.Second), life, d, address)
	require.NoError(t, err)
	server.Kill()
	assert.ErrorIs(t, publish(within(t, 2*time.Second), client), context.DeadlineExceeded)
	end()
	client.Disconnect(0)
	refused := logs.Filter(func(e observer.LoggedEntry) bool { return e.ContextMap()["class"] == "refused" }).Len()
	tries := connects.Count() - 1
	t.Logf("%d connects, %d logged as refused", tries, refused)
	assert.NotZero(t, refused)
	assert.LessOrEqual(t, tries, 7)
	require.Eventually(t, func() bool { return logs.FilterMessage("dial canceled").Len() == 1 }, 5*time.Second, time.Millisecond)
	assert.Equal(t, tries, connects.Count()-1, "a connect after Disconnect")
}

// A proxy accepts and closes, as long as the broker behind it is down. The handshake is part of the
// attempt, so connect retries it.
func TestAcceptedButNotReady(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	var conns atomic.Int64
	proxy := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		if conns.Add(1) <= 3 {
			return
		}
		backend, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer backend.Close()
		go io.Copy(conn, backend)
		io.Copy(backend, conn)
	})
	client := open(t, newDialer(zap.NewNop()), proxy.Addr().String())
	assert.NoError(t, publish(within(t, 10*time.Second), client))
	assert.EqualValues(t, 4, conns.Load(), "one for each attempt")
}

func TestSilentBroker(t *testing.T) {
	t.Parallel()
	listener := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		conn.Read(make([]byte, 1000))
		<-t.Context().Done()
	})
	d := newDialer(zap.NewNop())
	d.Timeout = 500 * time.Millisecond
	start := time.Now()
	_, err := connect(within(t, 2*time.Second), t.Context(), d, listener.Addr().String())
	t.Log(err)
	assert.Equal(t, redial.Timeout, redial.Classify(err))
	assert.Less(t, time.Since(start), 4*time.Second)
}

// The broker accepts and closes for ever.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	listener := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) {})
	_, err := connect(within(t, time.Second), t.Context(), newDialer(zap.NewNop()), listener.Addr().String())
	t.Log(err)
	assert.Equal(t, redial.Reset, redial.Classify(err))
}

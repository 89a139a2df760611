package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

const (
	topic = "greetings"
	// dataVariable is the environment variable with the directory where a broker keeps its data.
	dataVariable = "REDIAL_KAFKA_DATA"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

// serve runs a broker. It keeps its data on disk, as Kafka does.
func serve(address string) error {
	port, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
	if err != nil {
		return err
	}
	_, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(1, topic),
		kfake.DataDir(os.Getenv(dataVariable)))
	if err != nil {
		return err
	}
	select {}
}

// newServer returns a broker that has not been started.
func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	address := kit.FreeAddress(t)
	server := kit.Self(t, address)
	server.Env = append(server.Env, dataVariable+"="+kit.Dir(t, ""))
	return server, address
}

func newClient(t *testing.T, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(o...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// produce produces one record, and waits until the broker has it.
func produce(client *kgo.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("hello")}).FirstErr()
	}
}

func newDialer() *redial.Dialer {
	return &redial.Dialer{MaxElapsed: 2 * time.Second, Logger: zap.NewNop()}
}

func TestDownAtFirst(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	client := newClient(t, options(newDialer(), address)...)
	server.LaunchAfter(t, 2*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	start := time.Now()
	assert.NoError(t, produce(client)(ctx))
	t.Log(time.Since(start))
}

func TestOutage(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	plain := newClient(t, kgo.SeedBrokers(address))
	ours := newClient(t, options(newDialer(), address)...)
	pings := &kit.Contender{Name: "net.Dialer, requests", Do: plain.Ping}
	ourPings := &kit.Contender{Name: "redial, requests", Do: ours.Ping}
	records := &kit.Contender{Name: "net.Dialer, records", Do: produce(plain)}
	ourRecords := &kit.Contender{Name: "redial, records", Do: produce(ours)}
	kit.Outage(t, server, pings, ourPings, records, ourRecords)
	assert.Less(t, ourPings.Failed.Load(), pings.Failed.Load())
	assert.LessOrEqual(t, ourPings.Failed.Load(), int64(30), "only what is in flight fails when the broker dies")
	assert.LessOrEqual(t, ourRecords.Failed.Load(), int64(30), "the client keeps records until their ctx ends")
}

// A request returns the error of the dial. A record waits until its ctx ends; the log has the class.
func TestNeverUp(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp")
	for name, check := range map[string]func(t *testing.T, client *kgo.Client) error{
		"request": func(t *testing.T, client *kgo.Client) error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := client.Ping(ctx)
			var failed *redial.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, redial.Refused, failed.Class)
			return err
		},
		"record": func(t *testing.T, client *kgo.Client) error {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			err := produce(client)(ctx)
			assert.Equal(t, context.DeadlineExceeded, err)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connects kit.Connects
			core, logs := observer.New(zap.InfoLevel)
			d := newDialer()
			d.Control, d.Logger = connects.Control, zap.New(core)
			client := newClient(t, options(d, address)...)
			start := time.Now()
			err := check(t, client)
			took := time.Since(start)
			t.Log(took, connects.Count(), err)
			assert.Less(t, took, 6*time.Second)
			failures := logs.FilterMessage("dial failed").All()
			require.NotEmpty(t, failures)
			assert.Equal(t, "refused", failures[0].ContextMap()["class"])
			// A dial makes about six attempts in its 2 s, and the client begins two or three dials.
			assert.LessOrEqual(t, connects.Count(), 30)
		})
	}
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
		require.NoError(t, produce(newClient(t, options(d, name)...))(ctx))
		first := attempts.All()[0]
		assert.Equal(t, name, first.Address)
		return first.Duration
	})

	plain := &net.Dialer{Resolver: resolver, Timeout: 4 * time.Second} // half of it for each address
	start := time.Now()
	require.NoError(t, produce(newClient(t, kgo.SeedBrokers(name), kgo.Dialer(plain.DialContext)))(ctx))
	assert.Greater(t, time.Since(start), time.Second)
}

// The client tries one broker after the other. MaxElapsed bounds how long the first keeps it from the second.
func TestFirstBrokerFails(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	d := newDialer()
	client := newClient(t, options(d, testutil.RefusingAddress(t, "tcp"), address)...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	start := time.Now()
	require.NoError(t, produce(client)(ctx))
	took := time.Since(start)
	t.Log(took)
	assert.Less(t, took, 2*d.MaxElapsed+4*time.Second, "the client dials it twice")
}

// The client shares a connection among requests. Fifty clients of the program do not.
func TestGate(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp")
	count := func(gate *redial.Gate) int {
		var connects kit.Connects
		d := newDialer()
		d.Control, d.Gate = connects.Control, gate
		clients := make([]*kgo.Client, 50)
		for i := range clients {
			clients[i] = newClient(t, options(d, address)...)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for _, err := range testutil.Crowd(len(clients), func(i int) error { return clients[i].Ping(ctx) }) {
			assert.Error(t, err)
		}
		return connects.Count()
	}
	without, with := count(nil), count(new(redial.Gate))
	t.Logf("connects: %d without a Gate, %d with a Gate", without, with)
	assert.Less(t, with, without/2)
}

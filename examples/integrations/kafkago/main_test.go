package main

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/broker"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { broker.Main(m) }

func closing(t *testing.T, w *kafka.Writer) *kafka.Writer {
	w.Topic = broker.Topic
	t.Cleanup(func() {
		go w.Close() // it waits for its retries
		w.Transport.(*kafka.Transport).CloseIdleConnections()
	})
	return w
}

var hello = kafka.Message{Value: []byte("hello")}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "kafka-go",
		Hosts:  true,
		Shares: true,
		Server: broker.New,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			w := closing(t, &kafka.Writer{
				Addr:         kafka.TCP(addresses...),
				Transport:    &kafka.Transport{Dial: d.DialContext},
				BatchTimeout: 10 * time.Millisecond,
			})
			return func(ctx context.Context) error { return w.WriteMessages(ctx, hello) }
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			w := closing(t, newWriter(d, addresses...))
			return func(ctx context.Context) error { return write(ctx, d, w, hello) }
		},
	}.Run(t)
}

// Once it has found the brokers, the Writer retries, and says for each message whether it has been written.
// write must keep that.
func TestWriteErrors(t *testing.T) {
	t.Parallel()
	server, address := broker.New(t)
	server.Start(t)
	d := &redial.Dialer{Logger: zap.NewNop()}
	w := closing(t, newWriter(d, address))
	w.MaxAttempts = 1
	require.NoError(t, write(t.Context(), d, w, hello))
	server.Kill()
	var err error
	require.Eventually(t, func() bool { // the connections that are open break first
		err = write(t.Context(), d, w, hello)
		errs, ok := err.(kafka.WriteErrors)
		return ok && errors.Is(errs[0], syscall.ECONNREFUSED)
	}, 10*time.Second, 10*time.Millisecond, "%v", err)
}

// A Reader goes to the next broker by itself. It must not wait for retries at the first.
func TestReader(t *testing.T) {
	t.Parallel()
	server, address := broker.New(t)
	server.Start(t)
	d := &redial.Dialer{Logger: zap.NewNop()}
	require.NoError(t, write(t.Context(), d, closing(t, newWriter(d, address)), hello))
	kit.Within(t, 2*time.Second, func() time.Duration {
		r := newReader(d, broker.Topic, testutil.RefusingAddress(t, "tcp4"), address)
		t.Cleanup(func() { go r.Close() }) // it waits for a fetch in flight
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		message, err := r.ReadMessage(ctx)
		require.NoError(t, err)
		assert.Equal(t, hello.Value, message.Value)
		return time.Since(start)
	})
}

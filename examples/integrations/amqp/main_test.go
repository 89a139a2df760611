package main

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// urlOf returns the URL of a broker. RabbitMQ's user guest can connect from the same machine only.
func urlOf(address string) string { return "amqp://guest:guest@" + address + "/" }

// newServer returns a RabbitMQ server that has not been started, and its address. It also starts an epmd, the process
// by which Erlang's nodes find each other, because otherwise the node would start one as a daemon.
func newServer(t *testing.T) (*kit.Server, string) {
	t.Helper()
	path := kit.Binary(t, "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server", "rabbitmq-server")
	dir, address, distribution, names := kit.Dir(t, ""), kit.FreeAddress(t), kit.FreeAddress(t), kit.FreeAddress(t)
	env := []string{
		"HOME=" + dir, // for the cookie
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + portOf(names),
		"RABBITMQ_NODENAME=test@localhost", "RABBITMQ_DIST_PORT=" + portOf(distribution),
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + portOf(address),
		"RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_LOGS=-",
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + dir + "/plugins", "RABBITMQ_CONFIG_FILE=" + dir + "/none",
		"RABBITMQ_CONF_ENV_FILE=" + dir + "/none",
		"RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD=none", // idle schedulers would spin
	}
	epmd := &kit.Server{Path: kit.Binary(t, "epmd", "rabbitmq-server"), Env: env, Ready: func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", names)
		if err != nil {
			return err
		}
		return conn.Close()
	}}
	epmd.Start(t)
	return &kit.Server{Path: path, Env: env, Dir: dir, Ready: func(context.Context) error {
		conn, err := amqp.Dial(urlOf(address))
		if err != nil {
			return err
		}
		return conn.Close()
	}}, address
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func newDialer() *redial.Dialer {
	return &redial.Dialer{MaxElapsed: time.Minute, Logger: zap.NewNop()} // RabbitMQ boots slowly
}

// A link keeps a connection, and connects again when it is closed. amqp091 leaves this to the program.
type link struct {
	connect func(context.Context) (*amqp.Connection, error)

	mu   sync.Mutex
	conn *amqp.Connection // nil at first
}

func (l *link) get(ctx context.Context) (*amqp.Connection, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && !l.conn.IsClosed() {
		return l.conn, nil
	}
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	l.conn = conn
	return conn, nil
}

// work asks the broker whether an exchange exists.
func (l *link) work(ctx context.Context) error {
	conn, err := l.get(ctx)
	if err != nil {
		return err
	}
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	defer channel.Close()
	return channel.ExchangeDeclarePassive("amq.direct", amqp.ExchangeDirect, true, false, false, false, nil)
}

func TestSuite(t *testing.T) {
	working := func(t *testing.T, connect func(ctx context.Context) (*amqp.Connection, error)) kit.Operation {
		l := &link{connect: connect}
		t.Cleanup(func() {
			if l.conn != nil {
				l.conn.Close()
			}
		})
		return l.work
	}
	kit.Suite{
		Client:   "RabbitMQ",
		Server:   newServer,
		Patience: time.Minute, // RabbitMQ boots slowly
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return working(t, func(context.Context) (*amqp.Connection, error) {
				return amqp.DialConfig(urlOf(addresses[0]), amqp.Config{Dial: d.Dial})
			})
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.MaxElapsed = newDialer().MaxElapsed
			return working(t, func(ctx context.Context) (*amqp.Connection, error) { return connect(ctx, d, urlOf(addresses[0])) })
		},
		Shares: true,
	}.Run(t)
}

// A mute broker accepts and says nothing.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	silence := make(chan struct{})
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) { <-silence })
	defer close(silence)
	url := urlOf(ln.Addr().String())

	// With a Dialer in Config.Dial alone, amqp091 waits for ever.
	hangs := make(chan error, 1)
	go func() {
		var d net.Dialer
		conn, err := amqp.DialConfig(url, amqp.Config{Dial: d.Dial})
		if err == nil {
			conn.Close()
		}
		hangs <- err
	}()

	d := newDialer()
	d.Timeout, d.MaxAttempts = time.Second, 2
	start := time.Now()
	_, err := connect(t.Context(), d, url)
	took := time.Since(start)
	t.Log(took, err)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Timeout, failed.Class)
	assert.Equal(t, 2, failed.Attempts)
	assert.Less(t, took, 6*time.Second)
	select {
	case err := <-hangs:
		assert.Fail(t, "amqp091 does not need the deadline any more", "%v", err)
	default:
	}
}

// A broker that drops the connection in the handshake, as one that dies does, or a proxy without a backend.
func TestBrokerThatDrops(t *testing.T) {
	t.Parallel()
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) {})
	d := newDialer()
	d.MaxAttempts = 3
	_, err := connect(t.Context(), d, urlOf(ln.Addr().String()))
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Reset, failed.Class, "%v", err)
	assert.Equal(t, 3, failed.Attempts)
}

// What the broker says is of class unknown, and not retried.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	_, err := connect(t.Context(), newDialer(), "amqp://guest:wrong@"+address+"/")
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Unknown, failed.Class)
	assert.Equal(t, 1, failed.Attempts)
	assert.ErrorIs(t, err, amqp.ErrCredentials)
}

// A consumer outlives the broker, and gets what it had not acknowledged once more.
func TestConsumer(t *testing.T) {
	t.Parallel()
	server, address := newServer(t)
	server.Start(t)
	publish := func(bodies ...string) {
		conn, err := amqp.Dial(urlOf(address))
		require.NoError(t, err)
		defer conn.Close()
		channel, err := conn.Channel()
		require.NoError(t, err)
		require.NoError(t, channel.Confirm(false))
		_, err = channel.QueueDeclare("work", true, false, false, false, nil)
		require.NoError(t, err)
		for _, body := range bodies {
			confirmed, err := channel.PublishWithDeferredConfirm("", "work", false, false,
				amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
			require.NoError(t, err)
			require.True(t, confirmed.Wait())
		}
	}
	publish("1", "2", "3")

	var lost []redial.Loss
	d := newDialer()
	d.OnLost = func(_ context.Context, l redial.Loss) { lost = append(lost, l) }
	errDone := errors.New("done")
	bodies := make(chan string)
	killed := make(chan struct{})
	consumed := make(chan error, 1)
	go func() {
		consumed <- consume(t.Context(), d, urlOf(address), "work", func(delivery amqp.Delivery) error {
			bodies <- string(delivery.Body)
			switch string(delivery.Body) {
			case "3":
				<-killed // so that its acknowledgment is lost
			case "4":
				return errDone
			}
			return nil
		})
	}()
	next := func() string {
		select {
		case body := <-bodies:
			return body
		case err := <-consumed:
			require.NoError(t, err, "the consumer has ended")
			return ""
		}
	}
	for _, want := range []string{"1", "2", "3"} {
		assert.Equal(t, want, next())
	}
	server.Kill()
	close(killed)
	server.Start(t)
	for next() != "3" { // it was not acknowledged; a broker that is killed forgets the last acknowledgments too
	}
	publish("4")
	assert.Equal(t, "4", next())
	assert.ErrorIs(t, <-consumed, errDone)
	require.Len(t, lost, 2)
	assert.Equal(t, redial.Reset, lost[0].Class, "%v", lost[0].Err)
	assert.Zero(t, lost[0].Stop)
	assert.Equal(t, redial.ErrPermanent, lost[1].Stop)

	err := consume(t.Context(), newDialer(), urlOf(address), "none", nil)
	var failure *amqp.Error
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, amqp.NotFound, failure.Code, "what the broker says ends the consumer")
}

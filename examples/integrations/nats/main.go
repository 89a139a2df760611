// Command nats connects nats.go through redial, and publishes one message:
//
//	go run ./nats 127.0.0.1:4222
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// connect connects to NATS, and waits for it as d says. The connection reconnects by itself. Address
// can be a list of servers.
func connect(ctx context.Context, d *redial.Dialer, address string) (*nats.Conn, error) {
	once := *d
	once.MaxAttempts = 1 // the dials classify and log: Do and nats.go retry
	once.Gate = nil      // Do waits at it
	return redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (*nats.Conn, error) {
		// The dialer lives on in the connection, so its context must too. It marks the dials within this
		// attempt, which log at level Debug, because Do logs the attempt.
		dialer := &dialer{dialer: &once, ctx: context.WithoutCancel(ctx)}
		conn, err := nats.Connect(address, options(dialer)...)
		if errors.Is(err, nats.ErrNoServers) && dialer.err != nil {
			err = dialer.err // nats.go hides a refused connection behind ErrNoServers
		}
		return conn, err
	})
}

func options(dialer nats.CustomDialer) []nats.Option {
	return []nats.Option{
		nats.SetCustomDialer(dialer),
		// nats.go would look the name up and dial one address after the other. The Dialer races them.
		nats.SkipHostLookup(),
		// By default, nats.go tries every 2 s, and closes the connection for good after 60 times.
		nats.CustomReconnectDelay(delay),
		nats.MaxReconnects(-1),
	}
}

// delay returns how long to wait before the next attempt to reconnect: 100 ms, doubling, up to 5 s,
// half of it at random. Attempts counts from 1.
func delay(attempts int) time.Duration {
	most := min(100*time.Millisecond<<min(attempts-1, 10), 5*time.Second)
	return most/2 + rand.N(most/2)
}

// dialer is a nats.CustomDialer, which has no context.
type dialer struct {
	dialer *redial.Dialer
	ctx    context.Context
	err    error // of the latest dial
}

// Dial dials once. nats.go holds the connection's mutex meanwhile: Publish and Close wait for it.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.dialer.DialContext(d.ctx, network, address)
	d.err = err
	return conn, err
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:4222"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// A dial must be short, because Publish waits for it.
	conn, err := connect(ctx, &redial.Dialer{Dialer: net.Dialer{Timeout: 2 * time.Second}, Logger: log}, address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	if err := publish(ctx, conn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("published")
}

// publish publishes a message and waits until the server has it.
func publish(ctx context.Context, conn *nats.Conn) error {
	if err := conn.Publish("greeting", []byte("hello")); err != nil {
		return err
	}
	return conn.FlushWithContext(ctx)
}

// Command amqp connects to RabbitMQ through redial:
//
//	go run ./amqp amqp://guest:guest@127.0.0.1:5672/
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// connect connects to the broker as d dials. The handshakes are part of each attempt, so that an attempt at a mute
// broker, which accepts and says nothing, ends after d.Timeout.
func connect(ctx context.Context, d *redial.Dialer, url string) (*amqp.Connection, error) {
	address, err := addressOf(url)
	if err != nil {
		return nil, err
	}
	return redial.Do(ctx, d, "tcp", address, open(d, url))
}

// consume gives each message of the queue to handle, and acknowledges it if handle returns nil. It connects again when the
// connection is lost: the broker then sends what was not acknowledged once more. It ends with ctx, with the error of
// handle, and with what the broker says, such as that there is no such queue.
func consume(ctx context.Context, d *redial.Dialer, url, queue string, handle func(amqp.Delivery) error) error {
	address, err := addressOf(url)
	if err != nil {
		return err
	}
	return redial.Reconnect(ctx, d, "tcp", address, open(d, url), func(ctx context.Context, conn *amqp.Connection) error {
		channel, err := conn.Channel()
		if err != nil {
			return withCause(ctx, err)
		}
		closed := channel.NotifyClose(make(chan *amqp.Error, 1))
		deliveries, err := channel.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
		if err != nil {
			return withCause(ctx, err)
		}
		for delivery := range deliveries {
			if err := handle(delivery); err != nil {
				return err
			}
			if err := delivery.Ack(false); err != nil {
				return withCause(ctx, err)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := <-closed; err != nil {
			return withCause(ctx, err)
		}
		return withCause(ctx, amqp.ErrClosed)
	})
}

func addressOf(url string) (string, error) {
	uri, err := amqp.ParseURI(url)
	return net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)), err
}

// open returns the function that makes an attempt to connect.
func open(d *redial.Dialer, url string) func(context.Context) (*amqp.Connection, error) {
	return func(ctx context.Context) (*amqp.Connection, error) {
		conn, err := amqp.DialConfig(url, amqp.Config{Dial: func(network, address string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, address) // one attempt, because it is within an attempt of Do
			if err != nil {
				return nil, err
			}
			// The handshakes have no deadline of their own if Dial is set. DialConfig clears this one after them.
			if deadline, ok := ctx.Deadline(); ok {
				err = conn.SetDeadline(deadline)
			}
			return conn, err
		}})
		return conn, withCause(ctx, err)
	}
}

// withCause adds to err a cause that Classify knows. If the connection breaks, amqp091 keeps only the text of the cause,
// or nothing. A broker that is shut down says so.
func withCause(ctx context.Context, err error) error {
	failure, ok := errors.AsType[*amqp.Error](err)
	broke := ok && (failure.Code == amqp.FrameError || failure.Code == amqp.ConnectionForced) || errors.Is(err, amqp.ErrClosed) || errors.Is(err, net.ErrClosed)
	if !broke {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return fmt.Errorf("%w: %w", err, context.DeadlineExceeded)
	}
	return fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	url := "amqp://guest:guest@127.0.0.1:5672/"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // RabbitMQ needs ten seconds to boot
	defer cancel()
	conn, err := connect(ctx, &redial.Dialer{Logger: log}, url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	fmt.Println(conn.Properties["product"], conn.Properties["version"])
}

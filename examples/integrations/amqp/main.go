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

// connect connects to the broker as d dials. The handshakes are part of each attempt, so that an attempt at a broker
// that accepts and says nothing ends after d.Timeout.
func connect(ctx context.Context, d *redial.Dialer, url string) (*amqp.Connection, error) {
	uri, err := amqp.ParseURI(url)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	return redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (*amqp.Connection, error) {
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
	})
}

// withCause adds to err a cause that Classify knows. If the connection breaks in a handshake, amqp091 keeps only the
// text of the cause, or nothing.
func withCause(ctx context.Context, err error) error {
	failure, ok := errors.AsType[*amqp.Error](err)
	broke := ok && failure.Code == amqp.FrameError || errors.Is(err, amqp.ErrClosed) || errors.Is(err, net.ErrClosed)
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

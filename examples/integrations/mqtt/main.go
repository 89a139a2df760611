// Command mqtt connects paho.mqtt.golang through redial, and publishes one message:
//
//	go run ./mqtt 127.0.0.1:1883
package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// connect connects to a broker, and waits for it until ctx ends. The client reconnects by itself until
// life ends, which should be when the program disconnects it: Disconnect does not end a dial.
func connect(ctx, life context.Context, d *redial.Dialer, address string) (mqtt.Client, error) {
	return redial.Do(ctx, d, "tcp", address, func(attempt context.Context) (mqtt.Client, error) {
		var connected atomic.Bool
		client := mqtt.NewClient(options(address, func(broker *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			if connected.Load() {
				return d.DialContext(life, "tcp", broker.Host)
			}
			return d.DialContext(attempt, "tcp", broker.Host) // Do retries
		}))
		token := client.Connect()
		select {
		case <-token.Done():
		case <-attempt.Done():
			client.Disconnect(0)
			return nil, attempt.Err()
		}
		if err := token.Error(); err != nil {
			return nil, err
		}
		connected.Store(true)
		return client, nil
	})
}

func options(address string, open mqtt.OpenConnectionFunc) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().
		AddBroker("tcp://" + address).
		SetCustomOpenConnectionFn(open).
		// If a handshake fails, paho would dial again to try MQTT 3.1.
		SetProtocolVersion(4).
		// The time counts from before the dial, but only the handshake heeds it: more than the Dialer's MaxElapsed.
		SetConnectTimeout(30 * time.Second).
		// Between two dials, each of which retries, paho would wait longer and longer, up to 10 minutes.
		SetMaxReconnectInterval(time.Second)
}

// newDialer returns a Dialer for connect.
func newDialer(log *zap.Logger) *redial.Dialer {
	return &redial.Dialer{
		Dialer:     net.Dialer{Timeout: 5 * time.Second},
		MaxElapsed: 20 * time.Second, // less than paho's ConnectTimeout
		Logger:     log,
	}
}

// publish publishes a message and waits until the broker has it. It uses QoS 1, because paho drops a
// message of QoS 0 without an error while it reconnects.
func publish(ctx context.Context, client mqtt.Client) error {
	token := client.Publish("greeting", 1, false, "hello")
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:1883"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(log, address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("published")
}

func run(log *zap.Logger, address string) error {
	life, end := context.WithCancel(context.Background())
	defer end()
	ctx, cancel := context.WithTimeout(life, 10*time.Second)
	defer cancel()
	client, err := connect(ctx, life, newDialer(log), address)
	if err != nil {
		return err
	}
	defer client.Disconnect(250)
	return publish(ctx, client)
}

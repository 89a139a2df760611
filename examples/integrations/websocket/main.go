// Command websocket opens a WebSocket through redial, once with each of two clients:
//
//	go run ./websocket 127.0.0.1:8080
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// coderOptions returns the options of a coder/websocket that dials through d.
func coderOptions(d *redial.Dialer) *coder.DialOptions {
	return &coder.DialOptions{HTTPClient: &http.Client{Transport: redial.NewTransport(d, nil)}}
}

// gorillaDialer returns a gorilla/websocket that dials through d.
func gorillaDialer(d *redial.Dialer) *gorilla.Dialer {
	return &gorilla.Dialer{
		Proxy:          http.ProxyFromEnvironment,
		NetDialContext: d.DialContext,
		// This includes the dial with its retries, as the deadline of the ctx does.
		HandshakeTimeout: 45 * time.Second,
	}
}

// dialReady opens a WebSocket with coder/websocket. It retries a handshake that the server drops, too.
func dialReady(ctx context.Context, d *redial.Dialer, address, url string) (*coder.Conn, error) {
	options := coderOptions(d)
	return redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (*coder.Conn, error) {
		conn, _, err := coder.Dial(ctx, url, options)
		return conn, err
	})
}

// read gives each message of a WebSocket to handle. It opens the WebSocket again when it breaks, or when the server says
// that it is about to restart. It returns nil when the server has closed the WebSocket in the normal way.
func read(ctx context.Context, d *redial.Dialer, address, url string, handle func([]byte) error) error {
	keeper := *d
	keeper.Classifier = classify
	options := coderOptions(d)
	return redial.Reconnect(ctx, &keeper, "tcp", address, func(ctx context.Context) (*coder.Conn, error) {
		conn, _, err := coder.Dial(ctx, url, options)
		return conn, err
	}, func(ctx context.Context, conn *coder.Conn) error {
		defer conn.CloseNow() // Reconnect cannot, because a coder.Conn is not an io.Closer
		for {
			_, message, err := conn.Read(ctx)
			if coder.CloseStatus(err) == coder.StatusNormalClosure {
				return nil
			}
			if err == nil {
				err = handle(message)
			}
			if err != nil {
				return err
			}
		}
	})
}

// classify returns Reset for the close frames of a server that restarts or is overloaded, so that read connects again.
func classify(err error) redial.Class {
	switch coder.CloseStatus(err) {
	case coder.StatusGoingAway, coder.StatusServiceRestart, coder.StatusTryAgainLater:
		return redial.Reset
	}
	return redial.Unknown
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	url := "ws://" + address + "/"
	d := &redial.Dialer{Logger: log}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	first, err := dialReady(ctx, d, address, url)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer first.CloseNow()
	second, _, err := gorillaDialer(d).DialContext(ctx, url, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer second.Close()
	fmt.Println("connected twice")
}

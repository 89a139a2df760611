package redial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
)

// Use a Dialer wherever you used a net.Dialer.
func ExampleDialer() {
	logger := zap.Must(zap.NewProduction())
	d := &redial.Dialer{
		Dialer: net.Dialer{Timeout: 3 * time.Second}, // bounds one attempt
		Logger: logger,
	}
	client := &http.Client{Transport: redial.NewTransport(d, nil)}
	_ = client
}

// DialFunc replaces net.Dialer by a dialer of your own. Here it is a test's dialer,
// whose server refuses twice.
func ExampleDialer_dialFunc() {
	script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
	d := &redial.Dialer{
		DialFunc: script.DialContext,
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Err != nil {
				fmt.Println("attempt", a.Number, "failed:", a.Class)
				return
			}
			fmt.Println("attempt", a.Number, "connected to", a.Remote)
		},
	}
	conn, err := d.Dial("tcp", "db.example:5432")
	fmt.Println(conn != nil, err)
	// Output:
	// attempt 1 failed: refused
	// attempt 2 failed: refused
	// attempt 3 connected to 192.0.2.1:5432
	// true <nil>
}

// This Verify detects a proxy that accepts the connection and then closes it, because
// the proxy has no backend.
func ExampleDialer_verify() {
	d := &redial.Dialer{
		Verify: func(ctx context.Context, conn net.Conn) error {
			_, err := io.ReadFull(conn, make([]byte, len("220 ")))
			return err
		},
	}
	_ = d
}

func ExampleClassify() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	address := server.Addr().String()
	server.Close() // now nothing listens on the port

	_, err = net.Dial("tcp", address)
	fmt.Println(redial.Classify(err))
	_, err = net.Dial("tcp", "127.0.0.1")
	fmt.Println(redial.Classify(err))
	fmt.Println(redial.Classify(fmt.Errorf("query: %w", io.ErrUnexpectedEOF)))
	// Output:
	// refused
	// invalid
	// reset
}

// The error of a dial holds the last attempt's error and the reason for stopping.
func ExampleError() {
	d := &redial.Dialer{
		DialFunc:    dialtest.Script(dialtest.ServFail.Forever()).DialContext, // a name server that is down
		MaxAttempts: 3,
		Policy:      redial.Policy{redial.DNS: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) }},
	}
	_, err := d.Dial("tcp", "db.example:5432")

	var e *redial.Error
	if errors.As(err, &e) {
		fmt.Println(e.Class, "after", e.Attempts, "attempts:", e.Stop)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		fmt.Println("looking up", dns.Name)
	}
	fmt.Println(errors.Is(err, redial.ErrMaxAttempts))
	// Output:
	// dns after 3 attempts: MaxAttempts reached
	// looking up db.example
	// true
}

// DefaultPolicy returns a copy, which you can change.
func ExamplePolicy() {
	policy := redial.DefaultPolicy()
	policy[redial.NotFound] = redial.Exponential(time.Second, time.Minute) // the record may yet be created
	delete(policy, redial.Reset)
	d := &redial.Dialer{Policy: policy, MaxElapsed: 5 * time.Minute}
	_ = d
}

//go:build !plan9

package redial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// A Dialer goes wherever a net.Dialer went.
func ExampleDialer() {
	logger := zap.Must(zap.NewProduction())
	d := &redial.Dialer{
		Dialer: net.Dialer{Timeout: 3 * time.Second}, // bounds one attempt
		Logger: logger,
	}
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	_ = client
}

// DialFunc puts a dialer of your own in the place of net.Dialer: here, one
// whose server refuses twice.
func ExampleDialer_dialFunc() {
	refusals := 2
	d := &redial.Dialer{
		DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
			if refusals--; refusals >= 0 {
				return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			}
			client, _ := net.Pipe()
			return client, nil
		},
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			fmt.Println("attempt", a.Number, a.Err)
		},
	}
	conn, err := d.Dial("tcp", "db.example:5432")
	fmt.Println(conn != nil, err)
	// Output:
	// attempt 1 dial tcp: connect: connection refused
	// attempt 2 dial tcp: connect: connection refused
	// attempt 3 <nil>
	// true <nil>
}

// Verify finds out a proxy that accepts, and then closes, for it has no backend.
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
	_, err := net.Dial("tcp", "127.0.0.1:1")
	fmt.Println(redial.Classify(err))
	_, err = net.Dial("tcp", "127.0.0.1")
	fmt.Println(redial.Classify(err))
	fmt.Println(redial.Classify(fmt.Errorf("query: %w", io.ErrUnexpectedEOF)))
	// Output:
	// refused
	// invalid
	// reset
}

// The error of a dial keeps the last errno, and the reason for stopping.
func ExampleError() {
	d := &redial.Dialer{
		MaxAttempts: 3,
		Policy:      redial.Policy{redial.Refused: func() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) }},
	}
	_, err := d.Dial("tcp", "127.0.0.1:1")

	var e *redial.Error
	if errors.As(err, &e) {
		fmt.Println(e.Class, "after", e.Attempts, "attempts:", e.Stop)
	}
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, redial.ErrMaxAttempts))
	// Output:
	// refused after 3 attempts: MaxAttempts reached
	// true true
}

// A policy is a copy, to adjust.
func ExamplePolicy() {
	policy := redial.DefaultPolicy()
	policy[redial.NotFound] = redial.Exponential(time.Second, time.Minute) // the record may yet be created
	delete(policy, redial.Reset)
	d := &redial.Dialer{Policy: policy, MaxElapsed: 5 * time.Minute}
	_ = d
}

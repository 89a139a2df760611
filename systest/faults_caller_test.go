//go:build unix

package systest_test

// These faults are the caller's own: it gives up, or its functions fail.

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
)

var errOperator = errors.New("the operator stopped the program")

// callerFaults end the dial, or its one attempt, while it is in flight.
var callerFaults = []fault{
	{class: redial.Canceled, cause: "context canceled before the connect", errno: context.Canceled,
		begin: func(t *testing.T, d *faultyDial) func() {
			cancel := cancelable(t, d)
			d.network, d.address = "tcp", listening(t)
			d.Control = func(string, string, syscall.RawConn) error {
				cancel(nil)
				return nil
			}
			return nil
		}},
	{class: redial.Canceled, cause: "context canceled while the peer is silent",
		begin: func(t *testing.T, d *faultyDial) func() {
			cancel := cancelable(t, d)
			d.network, d.address = "tcp", serveEach(t, func(conn *net.TCPConn) {
				cancel(errOperator)
				conn.Close()
			})
			d.Verify = func(ctx context.Context, conn net.Conn) error {
				<-ctx.Done()
				return echoes(ctx, conn)
			}
			return nil
		}},
	{class: redial.Canceled, cause: "context canceled while the DNS server is silent",
		begin: func(t *testing.T, d *faultyDial) func() {
			cancel := cancelable(t, d)
			d.network, d.address = "tcp", "name.test:80"
			d.Resolver = dnstest.ResolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
				cancel(errOperator)
				<-ctx.Done()
				return nil, ctx.Err()
			})
			return nil
		}},
	{class: redial.Canceled, cause: "Cancel closed",
		begin: func(t *testing.T, d *faultyDial) func() {
			canceled := make(chan struct{})
			d.network, d.address = "tcp", listening(t)
			d.Verify = func(ctx context.Context, _ net.Conn) error {
				close(canceled)
				<-ctx.Done()
				return ctx.Err()
			}
			d.Cancel = canceled
			return nil
		}},

	{class: redial.Unknown, cause: "error of a DialFunc", errno: errOperator,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", listening(t)
			d.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, errOperator }
			return func() { d.DialFunc = nil }
		}},
	{class: redial.Unknown, cause: "error of a Verify", errno: errOperator,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", listening(t)
			d.Verify = func(context.Context, net.Conn) error { return errOperator }
			return func() { d.Verify = nil }
		}},
	{class: redial.Unknown, cause: "error of a Control", errno: errOperator,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", listening(t)
			d.Control = func(string, string, syscall.RawConn) error { return errOperator }
			return func() { d.Control = nil }
		}},
}

// cancelable gives d a context, and returns the function that cancels it.
func cancelable(t *testing.T, d *faultyDial) context.CancelCauseFunc {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	d.ctx = ctx
	return cancel
}

func TestFaultCaller(t *testing.T) {
	testFaults(t, callerFaults)
}

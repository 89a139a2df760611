package redial

import (
	"context"
	"io"
	"net"

	"github.com/seed-33f8b841/redial/internal/foreign"
)

// Do calls connect until it succeeds or d gives up. It classifies, retries and logs connect's failures as
// a dial does, within d's bounds and at d.Gate. Use it where connecting is more than a dial, such as a
// login, or where a client library dials; to check a connection, use Dialer.Verify.
//
//	conn, err := redial.Do(ctx, d, "tcp", "db:5432", func(ctx context.Context) (*pgx.Conn, error) {
//		return pgx.ConnectConfig(ctx, config)
//	})
//
// Each call of connect is one attempt. Its ctx carries Timeout, Deadline, Cancel and MaxElapsed, and ends
// with the attempt. Do cannot interrupt connect: reads and writes in it must end with ctx. What it returns
// must outlive ctx. A dial with this ctx is nested; one with another context retries within its own bounds.
//
// Network and address are for records and the Gate. Do does not use DialFunc, Verify, or the fields of
// net.Dialer other than Timeout, Deadline and Cancel. Set a Classifier to retry errors of protocols, such
// as PostgreSQL's "the database system is starting up".
//
// Do closes what it does not return, if it is an io.Closer: a value that connect returns with an error, or
// a TCP connection to itself. Errors are as from DialContext. A nil d means a zero Dialer. Do panics if ctx is nil.
func Do[T any](ctx context.Context, d *Dialer, network, address string, connect func(context.Context) (T, error)) (T, error) {
	if d == nil {
		d = new(Dialer)
	}
	one := d.newDial(ctx, network, address, nil, func(ctx context.Context) (net.Conn, error) {
		value, err := connect(ctx)
		return &made[T]{value: value}, err
	})
	one.isDo = true
	conn, err := one.run()
	if err != nil {
		var zero T
		return zero, err
	}
	return conn.(*made[T]).value, nil
}

// A made wraps a value of Do's connect function as a net.Conn for the dial, which only closes it
// and reads its addresses.
type made[T any] struct {
	net.Conn // nil
	value    T
}

// NetConn returns the value if it is a connection, else nil.
func (m *made[T]) NetConn() net.Conn {
	conn, _ := any(m.value).(net.Conn)
	return conn
}

// Close closes the value if it can be closed.
func (m *made[T]) Close() error {
	if c, ok := any(m.value).(io.Closer); ok && !foreign.IsNil(c) {
		return c.Close()
	}
	return nil
}

// RemoteAddr returns the remote address of the value, or nil if it has none.
func (m *made[T]) RemoteAddr() net.Addr {
	if c, ok := any(m.value).(interface{ RemoteAddr() net.Addr }); ok {
		return c.RemoteAddr()
	}
	return nil
}

package redial

import (
	"context"
	"io"
	"net"

	"github.com/seed-33f8b841/redial/internal/foreign"
)

// Do calls connect until it succeeds or d gives up: it classifies the failures of connect,
// retries them as d.Policy allows, within the bounds of d and through d.Gate, and logs
// every attempt. Use it where connecting is more than a dial, for example when a server
// accepts before it is ready:
//
//	conn, err := redial.Do(ctx, d, "tcp", "db:5432", func(ctx context.Context) (*pgx.Conn, error) {
//		return pgx.ConnectConfig(ctx, config)
//	})
//
// Each call of connect is one attempt. Its ctx ends with the attempt, and carries
// Timeout, Deadline, Cancel and MaxElapsed. Do cannot interrupt connect: reads and writes
// in it must end with ctx. What connect returned must survive the end of ctx. If
// connect dials through a Dialer with this ctx, that dial makes one attempt and leaves
// the retries to Do.
//
// The records name network and address, and the Gate knows the target by them. Do does
// not dial them. It does not use the fields of d that say how to connect: DialFunc,
// Verify, and those of the embedded net.Dialer except Timeout, Deadline and Cancel.
// Classify does not know the errors of protocols, such as PostgreSQL's "the database
// system is starting up": set a Classifier to have them retried. A nil d means a zero
// Dialer.
//
// A dial within connect is logged at level Debug, but its Dialer's OnDial and OnAttempt are
// called as for any dial. Hooks that count leave out what is Nested, as the modules
// redialprom and redialotel do. If a pool within connect dials with a context of its own,
// that dial does not end with the attempt: its own bounds hold.
//
// Do returns the value that connect returned without an error. A value that Do does not
// return is closed if it is an io.Closer: one that connect returned together with an
// error, or a TCP connection to itself. Do's errors have the form of DialContext's. Do
// panics if ctx is nil.
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

// A made is a value that Do's connect function has returned, as the dial handles it:
// the dial closes it and asks for its addresses, and nothing else.
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

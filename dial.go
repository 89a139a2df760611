package redial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// A Dialer connects as net.Dialer does, finds out why an attempt failed,
// retries what is worth retrying on a backoff of its own per class of failure,
// and logs every attempt.
//
// The zero value is ready to use: it retries for up to 30 s, or until the
// context or Deadline ends the dial. Most programs set the embedded net.Dialer
// and Logger, and hand DialContext to what takes a dialer.
//
// It is safe to call Dialer's methods concurrently. Do not change a Dialer
// while it is in use.
type Dialer struct {
	// Dialer makes each attempt. Its fields mean what package net says, for
	// each attempt anew, but for those that bound it in time:
	//
	// Timeout bounds one attempt, name resolution and Verify included. Zero
	// means 10 s, or no limit if MaxAttempts is 1. If negative, every dial
	// has timed out before its first attempt.
	//
	// Deadline and Cancel end the whole dial, waits included.
	//
	// FallbackDelay is the Connection Attempt Delay of RFC 8305: the time
	// after which the next address of a name is tried beside the one before.
	// Zero means 250 ms. If negative, the addresses are left to net.Dialer,
	// which tries one after the other.
	net.Dialer

	// DialFunc makes each attempt in place of the embedded net.Dialer, if
	// not nil: a proxy, a tunnel, (&tls.Dialer{...}).DialContext. Its ctx
	// carries Timeout, Deadline and Cancel, and may end when the attempt
	// does, which must not affect the connection, as package net has it. The
	// other fields of net.Dialer are not used then.
	//
	// A connection returned beside an error is closed. To return neither is
	// an error of class Invalid. The methods for one kind of network, such
	// as DialTCP, ignore DialFunc.
	DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

	// Verify, if not nil, checks each new connection as part of its attempt:
	// a proxy that accepts with no backend behind it. An error closes the
	// connection and is the attempt's failure.
	//
	// When ctx ends, reads and writes that Verify has under way on the
	// connection fail. Deadlines that it sets, and bytes that it reads, are
	// its own to put back.
	Verify func(ctx context.Context, conn net.Conn) error

	// Policy says which classes of failure are retried, after which delays.
	// Nil means DefaultPolicy(); an empty Policy{} never retries.
	Policy Policy

	// MaxAttempts bounds the number of attempts. Zero or less means no
	// limit. One means to classify and log only: every error is returned as
	// the inner dialer made it, and the defaults of Timeout and MaxElapsed
	// do not apply. A Dialer that is used within another's attempt, by its
	// ctx, acts as if MaxAttempts were 1.
	MaxAttempts int

	// MaxElapsed bounds the whole dial, attempts in flight included. Zero
	// means 30 s if neither the context nor Deadline bounds the dial, and no
	// limit of its own if one does. Less than zero means no limit.
	MaxElapsed time.Duration

	// Classifier, if not nil, is asked for the class of an error before
	// Classify; Unknown passes the question on.
	Classifier func(error) Class

	// Gate, if not nil, shares backoff with the other dials to the same
	// target that have it, of this Dialer and of others. A dial within
	// another's attempt does not ask it.
	Gate *Gate

	// Logger gets one record for each attempt: at level Debug of a success
	// at the first, Info of one at a later attempt and of a cancellation by
	// the caller, Warn of a failure that will be retried, Error of one that
	// will not. Nil means zap.L(), which discards unless it was replaced.
	Logger *zap.Logger

	// OnAttempt, if not nil, is called after each attempt, when it has been
	// logged, in the goroutine that dials, with the context of the dial. The
	// wait for the next attempt begins when it returns.
	OnAttempt func(context.Context, Attempt)
}

// Dial is DialContext with context.Background.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to the address on the named network, of which both are
// as for net.Dial, and retries as Policy, MaxAttempts and MaxElapsed allow. The
// name is resolved anew for each attempt.
//
// It panics if ctx is nil. If ctx ends, so does the dial; once connected, ctx
// does not affect the connection, which is the inner dialer's own. No wait is
// begun that would outlast the deadline of ctx: the dial fails at once.
//
// The error of a dial that was retried, or was due to be and was stopped, is a
// *net.OpError around an [*Error]. One that retrying was never going to touch
// is returned as the inner dialer made it. [Classify] takes both.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.DialFunc != nil {
		return d.retry(ctx, network, address, func(ctx context.Context) (net.Conn, *lookup, error) {
			return alone(d.DialFunc(ctx, network, address))
		})
	}
	if host, port, ok := d.races(network, address); ok {
		return d.retry(ctx, network, address, func(ctx context.Context) (net.Conn, *lookup, error) {
			return d.race(ctx, network, host, port)
		})
	}
	return d.retry(ctx, network, address, func(ctx context.Context) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialContext(ctx, network, address))
	})
}

// DialTCP is net.Dialer's DialTCP, retried as DialContext is. It ignores
// DialFunc.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.TCPConn, error) {
	return typed[*net.TCPConn](d.retry(ctx, network, raddr.String(), func(ctx context.Context) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialTCP(ctx, network, laddr, raddr))
	}))
}

// DialUDP is net.Dialer's DialUDP, retried as DialContext is. It ignores
// DialFunc.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.UDPConn, error) {
	return typed[*net.UDPConn](d.retry(ctx, network, raddr.String(), func(ctx context.Context) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialUDP(ctx, network, laddr, raddr))
	}))
}

// DialIP is net.Dialer's DialIP, retried as DialContext is. It ignores
// DialFunc.
func (d *Dialer) DialIP(ctx context.Context, network string, laddr, raddr netip.Addr) (*net.IPConn, error) {
	return typed[*net.IPConn](d.retry(ctx, network, raddr.String(), func(ctx context.Context) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialIP(ctx, network, laddr, raddr))
	}))
}

// DialUnix is net.Dialer's DialUnix, retried as DialContext is. It ignores
// DialFunc.
func (d *Dialer) DialUnix(ctx context.Context, network string, laddr, raddr *net.UnixAddr) (*net.UnixConn, error) {
	return typed[*net.UnixConn](d.retry(ctx, network, raddr.String(), func(ctx context.Context) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialUnix(ctx, network, laddr, raddr))
	}))
}

// typed gives a connection the type that it has. A nil one must not become a
// nil pointer within a net.Conn on the way, nor the other way round.
func typed[C net.Conn](conn net.Conn, err error) (c C, _ error) {
	if err != nil {
		return c, err
	}
	return conn.(C), nil
}

// unbound is the embedded dialer without its bounds in time: each attempt has
// them in its ctx, for Verify and DialFunc to keep to as well. It is copied in
// each attempt anew, and so takes no room on the stack of a dial that waits.
func (d *Dialer) unbound() net.Dialer {
	inner := d.Dialer
	inner.Timeout = 0
	inner.Deadline = time.Time{}
	//lint:ignore SA1019 a drop-in keeps to what net.Dialer has
	inner.Cancel = nil
	return inner
}

// connectFunc makes one attempt at the address that it was made for. It has a
// lookup to tell if that was a name whose addresses it raced.
type connectFunc func(context.Context) (net.Conn, *lookup, error)

// alone is what a connectFunc that looked up no name returns.
func alone[C net.Conn](conn C, err error) (net.Conn, *lookup, error) {
	return conn, nil, err
}

// These are the failures of a DialFunc that broke its contract.
var (
	errNoConn   = errors.New("redial: DialFunc returned neither a connection nor an error")
	errNilError = errors.New("redial: DialFunc returned a nil pointer as its error: return nil itself")
)

// attempt connects and verifies, until end at the latest; zero: no such time.
func (d *Dialer) attempt(ctx context.Context, end time.Time, connect connectFunc) (net.Conn, *lookup, error) {
	ctx, cancel := d.attemptContext(ctx, end)
	defer cancel()
	conn, seen, err := connect(ctx)
	switch {
	case err != nil:
		if conn != nil && !isNilPointer(conn) {
			conn.Close()
		}
		if isNilPointer(err) {
			return nil, seen, errNilError // the pointer's methods would panic
		}
		return nil, seen, err
	case conn == nil || isNilPointer(conn):
		return nil, seen, errNoConn
	case isSelfConnect(conn):
		conn.Close()
		return nil, seen, selfConnectError(conn)
	}
	if d.Verify != nil {
		if err := d.verify(ctx, conn); err != nil {
			conn.Close()
			return nil, seen, err
		}
	}
	return conn, seen, nil
}

// attemptKey is the key of a context that is of an attempt.
type attemptKey struct{}

func withinAttempt(ctx context.Context) bool {
	return ctx.Value(attemptKey{}) != nil
}

// attemptContext derives the context of an attempt: marked, so that a Dialer
// within it does not retry, and ended by end, if not zero, and by Cancel.
func (d *Dialer) attemptContext(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	ctx = context.WithValue(ctx, attemptKey{}, true)
	cancel := func() {}
	if deadline, ok := ctx.Deadline(); !end.IsZero() && (!ok || end.Before(deadline)) {
		ctx, cancel = context.WithDeadline(ctx, end)
	}
	if d.Cancel == nil {
		return ctx, cancel
	}
	ctx, cancelToo := context.WithCancel(ctx)
	go func() {
		select {
		case <-d.Cancel:
			cancelToo()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancelToo(); cancel() }
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// verify calls Verify, whose reads and writes fail once ctx ends: without
// that, one that forgets a deadline would hang the dial. The caller closes
// conn on error; if Verify panics, verify does.
func (d *Dialer) verify(ctx context.Context, conn net.Conn) (err error) {
	returned := false
	defer func() {
		if !returned {
			conn.Close()
		}
	}()
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(aLongTimeAgo)
		close(interrupted)
	})
	err = d.Verify(ctx, conn)
	if !stop() {
		<-interrupted
		if err == nil { // verified, but the connection is of no more use
			err = ctx.Err()
		}
	}
	returned = true
	return err
}

// isSelfConnect tells whether conn is a TCP connection to itself: where nothing
// listens, the kernel may choose the very port that is being dialed for the
// local end, and simultaneous open (RFC 9293, section 3.5) does the rest.
// net.Dialer tries again then, but twice only. Tunnels that have no
// addresses to tell say that both ends are port 0.
func isSelfConnect(conn net.Conn) bool {
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok || local == nil || local.Port == 0 {
		return false
	}
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && remote != nil && local.Port == remote.Port && local.IP.Equal(remote.IP) && local.Zone == remote.Zone
}

// selfConnectError is the failure of an attempt that connected to itself.
func selfConnectError(conn net.Conn) error {
	local, remote := conn.LocalAddr(), conn.RemoteAddr()
	return &net.OpError{Op: "dial", Net: remote.Network(), Source: local, Addr: remote, Err: errSelfConnect{}}
}

// errSelfConnect matches the errno that the kernel would have returned but for
// the chance.
type errSelfConnect struct{}

func (errSelfConnect) Error() string { return "connected to itself: nothing listens there" }
func (errSelfConnect) Unwrap() error { return errnoRefused }

package redial

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// A Dialer connects as net.Dialer does. It finds out why an attempt failed,
// retries what is worth retrying on a backoff of its own for each class of
// failure, and logs every attempt.
//
// The zero value is ready to use: it retries for up to 30 s, or until the
// context or Deadline ends the dial. Most programs set Timeout and Logger, and
// pass DialContext to whatever takes a dialer. One Dialer can dial any number of targets.
//
// Dialer's methods can be called concurrently. They then also call the functions in its
// fields concurrently. Do not change a Dialer while it is in use.
type Dialer struct {
	// Dialer makes each attempt. Its fields mean what package net says, and
	// apply to each attempt, except those that bound it in time:
	//
	// Timeout bounds one attempt, including name resolution and Verify. Zero
	// means 10 s, or no limit if MaxAttempts is 1. A negative Timeout means
	// that every dial has timed out before its first attempt.
	//
	// Deadline and Cancel end the whole dial, including its waits.
	//
	// FallbackDelay is the Connection Attempt Delay of RFC 8305: how long to
	// wait for one address of a name before also trying the next. Zero means
	// 300 ms. Each further delay is a fifth shorter, down to 100 ms. All are
	// shortened if the addresses would not all be tried within Timeout. A
	// negative FallbackDelay leaves the addresses to net.Dialer, which then tries
	// one after the other.
	//
	// Control and ControlContext may be called by several goroutines at once,
	// because the addresses of a name are raced.
	net.Dialer

	// DialFunc, if not nil, makes each attempt in place of the embedded
	// net.Dialer: through a proxy or a tunnel, or with
	// (&tls.Dialer{...}).DialContext. Its ctx carries Timeout, Deadline, Cancel
	// and MaxElapsed, and ends with the attempt. As with net.Dialer, a connection
	// already returned must survive the end of ctx. The other fields of the
	// embedded net.Dialer are not used.
	//
	// A connection returned together with an error is closed. Returning neither
	// is a failure of class Invalid. DialTCP, DialUDP, DialIP and DialUnix ignore
	// DialFunc.
	DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

	// Verify, if not nil, checks each new connection as part of its attempt.
	// It finds, for example, a proxy that accepts although no backend is
	// behind it. If Verify returns an error, the connection is closed and the
	// attempt has failed with that error.
	//
	// When ctx ends, the reads and writes of Verify on the connection fail. A
	// connection without deadlines, such as one through SSH, is closed then.
	// Verify must clear any deadline it sets; bytes it reads are gone.
	Verify func(ctx context.Context, conn net.Conn) error

	// Policy says which classes of failure are retried, after which delays.
	// Nil means DefaultPolicy(); an empty Policy{} never retries.
	Policy Policy

	// MaxAttempts bounds the number of attempts. Zero or less means no
	// limit. One means to classify and log only: the error is returned as the
	// inner dialer made it, and the defaults of Timeout and MaxElapsed do not
	// apply. A dial within another dial's attempt (its ctx is the attempt's,
	// or derived from it) acts as if MaxAttempts were 1, because the other
	// dial retries.
	MaxAttempts int

	// MaxElapsed bounds the whole dial, including attempts in flight. Zero
	// means 30 s, or no limit if MaxAttempts is 1. Less than zero means no limit.
	// The deadline of the context, and Deadline, can end the dial sooner.
	MaxElapsed time.Duration

	// Classifier, if not nil, is called first to classify an error. If it
	// returns Unknown, Classify decides.
	Classifier func(error) Class

	// Gate, if not nil, shares the backoff among all dials to a target that
	// use the same Gate, whichever Dialer makes them. A dial within another
	// dial's attempt does not use it.
	Gate *Gate

	// Logger gets one record per attempt: at level Debug for a success at the
	// first attempt, Info for a success at a later one and for a dial that the
	// caller canceled, Warn for a failure that will be retried, and Error for
	// one that will not (Warn if MaxAttempts is 1). A dial that ends before its
	// first attempt, or during a wait, gets a record of that. The level is always
	// Debug for a dial within another dial's attempt, and for another dial's
	// failure that the Gate shares (Attempt.Shared), even if no attempt follows.
	// Nil means zap.L(), which discards all records unless the program has
	// replaced it.
	Logger *zap.Logger

	// OnAttempt, if not nil, is called after each attempt has been logged, in
	// the goroutine that dials, with the context of the dial. The time that it
	// takes counts as part of the wait for the next attempt.
	OnAttempt func(context.Context, Attempt)

	// OnDial, if not nil, is called when a dial begins. It returns the context
	// with which the dial goes on, derived from ctx (nil means ctx), and a
	// function that is called once when the dial has ended, with the error that the
	// dial returns (nil means none). If a panic or runtime.Goexit ends the dial, the
	// function is called all the same, with an error that is not nil.
	//
	// A dial within another dial's attempt calls its own Dialer's OnDial. Through
	// a Transport, the context is the dial's: it does not end with the request
	// that began the dial.
	OnDial func(ctx context.Context, network, address string) (context.Context, func(error))
}

// Dial is DialContext with context.Background.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to address on the named network; see net.Dial for both.
// It retries as Policy, MaxAttempts and MaxElapsed allow, and resolves a name
// anew for each attempt.
//
// It panics if ctx is nil. The dial ends when ctx ends. The connection is the inner
// dialer's own, and outlives ctx. A wait that would outlast the deadline of ctx, Deadline
// or MaxElapsed is shortened, once, and ends in a last attempt. This attempt has a
// twentieth of the dial's whole time, or twice the duration of the attempt before it, if
// that is longer. If less time is left than that, the dial fails at once.
//
// The error is a *net.OpError around an [*Error]. If MaxAttempts is 1, or within
// another dial's attempt, it is the inner dialer's own error, unless the dial was over
// before DialFunc was called: then it has an [*Error] all the same. [Classify] takes both.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var l loop // here, and filled field by field: a call of dial below would take its room on the stack twice
	l.dialer, l.ctx, l.attemptCtx = d, ctx, ctx
	l.lead(d, network, address)
	return l.dial()
}

// dial is DialContext for any caller.
func (d *Dialer) dial(c caller, network, address string) (net.Conn, error) {
	var l loop
	l.dialer, l.caller = d, c
	l.lead(d, network, address)
	return l.dial()
}

// dialBy is dial for Do and for the methods that dial one kind of network.
func (d *Dialer) dialBy(ctx context.Context, w way) (net.Conn, error) {
	var l loop
	l.dialer, l.ctx, l.attemptCtx, l.way = d, ctx, ctx, w
	return l.dial()
}

// DialTCP acts as net.Dialer's DialTCP and retries as DialContext does. It
// ignores DialFunc.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.TCPConn, error) {
	w := way{network: network, address: raddr.String(), local: net.TCPAddrFromAddrPort(laddr), literal: true}
	w.connect = func(ctx context.Context, d *Dialer, w way, _ plan) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialTCP(ctx, network, laddr, raddr))
	}
	return typed[*net.TCPConn](d.dialBy(ctx, w))
}

// DialUDP acts as net.Dialer's DialUDP and retries as DialContext does. It
// ignores DialFunc.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.UDPConn, error) {
	w := way{network: network, address: raddr.String(), literal: true}
	w.connect = func(ctx context.Context, d *Dialer, w way, _ plan) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialUDP(ctx, network, laddr, raddr))
	}
	return typed[*net.UDPConn](d.dialBy(ctx, w))
}

// DialIP acts as net.Dialer's DialIP and retries as DialContext does. It
// ignores DialFunc.
func (d *Dialer) DialIP(ctx context.Context, network string, laddr, raddr netip.Addr) (*net.IPConn, error) {
	w := way{network: network, address: raddr.String(), literal: true}
	w.connect = func(ctx context.Context, d *Dialer, w way, _ plan) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialIP(ctx, network, laddr, raddr))
	}
	return typed[*net.IPConn](d.dialBy(ctx, w))
}

// DialUnix acts as net.Dialer's DialUnix and retries as DialContext does. It
// ignores DialFunc.
func (d *Dialer) DialUnix(ctx context.Context, network string, laddr, raddr *net.UnixAddr) (*net.UnixConn, error) {
	w := way{network: network, address: raddr.String(), literal: true}
	if laddr != nil {
		w.local = laddr
	}
	w.connect = func(ctx context.Context, d *Dialer, w way, _ plan) (net.Conn, *lookup, error) {
		inner := d.unbound()
		return alone(inner.DialUnix(ctx, network, laddr, raddr))
	}
	return typed[*net.UnixConn](d.dialBy(ctx, w))
}

// typed converts the result of dialBy to the concrete type C. On error it returns a
// nil C.
func typed[C net.Conn](conn net.Conn, err error) (c C, _ error) {
	if err != nil {
		return c, err
	}
	return conn.(C), nil
}

// unbound returns the embedded dialer without Timeout, Deadline and Cancel,
// which the attempt's context carries instead. Each attempt copies it anew, so
// that it takes no room on the stack of a dial that waits.
func (d *Dialer) unbound() net.Dialer {
	inner := d.Dialer
	inner.Timeout = 0
	inner.Deadline = time.Time{}
	//lint:ignore SA1019 a drop-in replacement has all fields of net.Dialer
	inner.Cancel = nil
	return inner
}

// A way says where a dial leads, and how to make each of its attempts.
type way struct {
	network, address string
	local            net.Addr // the address that connect binds to; nil if none or unknown
	by               maker
	literal          bool // there is nothing to look up
	connect          connectFunc
}

// lead makes w the way of d to address on the named network.
func (w *way) lead(d *Dialer, network, address string) {
	w.network, w.address, w.local, w.connect = network, address, d.LocalAddr, connectByNet
	if d.DialFunc != nil {
		w.local, w.by, w.connect = nil, byFunc, connectByFunc
	} else if d.races(network, address) {
		w.connect = connectByRace
	} else if _, err := netip.ParseAddrPort(address); err == nil {
		w.literal = true
	}
}

// A maker is the code that makes the connections of a dial.
type maker uint8

const (
	byNet  maker = iota // net.Dialer, or the race of its addresses
	byFunc              // DialFunc
	byDo                // the function given to Do
)

// A connectFunc makes one attempt for d. It returns a lookup if it raced the
// addresses of a name. It takes a way by value, so that the loop's own stays on the
// stack.
type connectFunc func(ctx context.Context, d *Dialer, w way, p plan) (net.Conn, *lookup, error)

func connectByNet(ctx context.Context, d *Dialer, w way, _ plan) (net.Conn, *lookup, error) {
	inner := d.unbound()
	return alone(inner.DialContext(ctx, w.network, w.address))
}

func connectByFunc(ctx context.Context, d *Dialer, w way, _ plan) (net.Conn, *lookup, error) {
	return alone(d.DialFunc(ctx, w.network, w.address))
}

func connectByRace(ctx context.Context, d *Dialer, w way, p plan) (net.Conn, *lookup, error) {
	host, port, _ := net.SplitHostPort(w.address)
	return d.race(ctx, w.network, host, port, p)
}

// alone returns the results of a connectFunc that did not race addresses.
func alone[C net.Conn](conn C, err error) (net.Conn, *lookup, error) {
	return conn, nil, err
}

// These are the failures of a DialFunc that broke its contract.
var (
	errNoConn   = errors.New("redial: DialFunc returned neither a connection nor an error")
	errNilError = errors.New("redial: DialFunc returned a nil pointer as its error: return nil itself")
)

// attempt connects and verifies, until end at the latest; a zero end means no
// limit. A connection that it does not return is closed, even if Verify panics.
func (d *Dialer) attempt(ctx context.Context, end time.Time, w way, p plan) (_ net.Conn, _ *lookup, err error) {
	ctx, mark := d.attemptContext(ctx, end, &w)
	defer mark.end()
	existed := w.socketExists()
	conn, seen, err := w.connect(ctx, d, w, p)
	switch {
	case err != nil:
		if conn != nil {
			closeAnyway(conn)
		}
		if isNilPointer(err) {
			err = errNilError // the pointer's methods would panic
		}
		w.unbind(err, existed)
		return nil, seen, err
	case conn == nil || isNilPointer(conn):
		return nil, seen, errNoConn
	}
	good := false
	defer func() {
		if !good {
			w.discard(conn)
		}
	}()
	if seen == nil { // a race has checked its connections
		if self := selfConnected(conn); self != nil {
			return nil, seen, self
		}
	}
	if d.Verify != nil && w.by != byDo {
		if err := d.verify(ctx, conn); err != nil {
			return nil, seen, err
		}
	}
	good = true
	return conn, seen, nil
}

// closeAnyway closes what came with an error. This may be a nil pointer, or a struct around
// one, whose Close panics.
func closeAnyway(c io.Closer) {
	defer func() { _ = recover() }()
	c.Close()
}

// An attemptContext is the context of an attempt. A Dialer that finds a live one
// among its context's values does not retry. It ignores an attemptContext whose attempt
// has ended, because the values can live on in a session.
type attemptContext struct {
	context.Context
	deadline time.Time // zero: the parent's
	ended    atomic.Bool
	cancels  [2]context.CancelFunc // nil where there is nothing to cancel
}

type attemptKey struct{}

func (c *attemptContext) Value(key any) any {
	if key == (attemptKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c *attemptContext) Deadline() (time.Time, bool) {
	if c.deadline.IsZero() {
		return c.Context.Deadline()
	}
	return c.deadline, true
}

// withinAttempt reports whether ctx belongs to a live attempt of any Dialer.
func withinAttempt(ctx context.Context) bool {
	for {
		c, _ := ctx.Value(attemptKey{}).(*attemptContext)
		if c == nil {
			return false
		}
		if !c.ended.Load() {
			return true
		}
		ctx = c.Context // an outer attempt may still be live
	}
}

// attemptContext derives the context of an attempt from parent. The context also ends
// at end, if end is not zero, and when Cancel is closed. The caller must call end on
// the attemptContext.
func (d *Dialer) attemptContext(parent context.Context, end time.Time, w *way) (context.Context, *attemptContext) {
	mark := &attemptContext{Context: parent}
	var ctx context.Context = mark
	if deadline, ok := ctx.Deadline(); !end.IsZero() && (!ok || end.Before(deadline)) {
		if d.needsTimer(parent, w) {
			ctx, mark.cancels[0] = context.WithDeadline(ctx, end)
		} else {
			mark.deadline = end
		}
	}
	if d.Cancel != nil {
		ctx, mark.cancels[1] = context.WithCancel(ctx)
		go func(ctx context.Context) {
			select {
			case <-d.Cancel:
				mark.cancels[1]()
			case <-ctx.Done():
			}
		}(ctx)
	}
	return ctx, mark
}

// needsTimer reports whether a timer must end the attempt's context. None is needed if
// package net only connects a socket, with a context that can end: package net then gives
// the context's deadline to the socket. A timer would cost more than all else that a dial
// adds to net.Dialer.
func (d *Dialer) needsTimer(parent context.Context, w *way) bool {
	return !w.literal || parent.Done() == nil || d.Verify != nil || d.ControlContext != nil || !socketDeadlines
}

// socketDeadlines reports whether package net uses the poller's deadlines to connect. On
// the other systems it waits for the context to be done.
const socketDeadlines = runtime.GOOS != "plan9" && runtime.GOOS != "js" && runtime.GOOS != "wasip1"

func (c *attemptContext) end() {
	c.ended.Store(true)
	for _, cancel := range c.cancels {
		if cancel != nil {
			cancel()
		}
	}
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// verify calls Verify. It makes reads and writes on conn fail once ctx ends, because
// otherwise a Verify that sets no deadline could block the dial for ever. If conn has no
// deadlines, verify closes it. The caller closes conn if Verify fails or panics.
func (d *Dialer) verify(ctx context.Context, conn net.Conn) error {
	interrupted := make(chan struct{})
	closed := false
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		if !interrupt(conn) {
			closed = true
			closeAnyway(conn)
		}
	})
	defer stop() // if Verify panics
	err := d.Verify(ctx, conn)
	if !stop() {
		<-interrupted
		if err == nil || closed { // Verify succeeded, but conn is of no use; or failed, because conn was closed
			err = ctx.Err()
		}
	}
	return err
}

// interrupt makes all reads and writes on conn fail. It reports whether they fail: the
// connections of some tunnels have no deadlines, such as those of golang.org/x/crypto/ssh.
func interrupt(conn net.Conn) (ok bool) {
	defer func() { _ = recover() }() // conn may be a test double without a SetDeadline
	err := conn.SetDeadline(aLongTimeAgo)
	return err == nil || errors.Is(err, net.ErrClosed) // Verify may have closed it, as (*tls.Conn).HandshakeContext does
}

// remoteOf returns the remote address of conn. It returns nil if RemoteAddr panics, as
// it does for the empty test double struct{ net.Conn }.
func remoteOf(conn net.Conn) (addr net.Addr) {
	defer func() { _ = recover() }()
	return conn.RemoteAddr()
}

// selfConnected returns an error if conn is a TCP connection to itself, or is built on
// one. If nothing listens on the port that is dialed, the kernel may choose the same
// port for the local end. A simultaneous open (RFC 9293, section 3.5) then connects the
// socket to itself. net.Dialer tries again in that case, but only twice.
func selfConnected(conn net.Conn) error {
	tcp := tcpConnOf(conn)
	if tcp == nil {
		return nil
	}
	local, ok := tcp.LocalAddr().(*net.TCPAddr)
	if !ok || local == nil {
		return nil
	}
	remote, ok := tcp.RemoteAddr().(*net.TCPAddr)
	if !ok || remote == nil || local.Port != remote.Port || !local.IP.Equal(remote.IP) || local.Zone != remote.Zone {
		return nil
	}
	return &net.OpError{Op: "dial", Net: remote.Network(), Source: local, Addr: remote, Err: errSelfConnect{}}
}

// tcpConnOf returns conn if it is a TCP connection, or the TCP connection that it is
// built on, as a *tls.Conn is. It returns nil if there is none. Other connections do not
// count, because the addresses of a tunnel say nothing about this machine. It also returns
// nil if NetConn panics, as it does for a nil *tls.Conn.
func tcpConnOf(conn net.Conn) *net.TCPConn {
	defer func() { _ = recover() }()
	for range 8 { // more layers than anyone has; a wrapper might return itself
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// errSelfConnect matches the ECONNREFUSED that the kernel would have returned
// if it had picked another local port.
type errSelfConnect struct{}

func (errSelfConnect) Error() string { return "connected to itself: nothing listens there" }
func (errSelfConnect) Unwrap() error { return errnoRefused }

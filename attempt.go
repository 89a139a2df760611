package redial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-33f8b841/redial/internal/foreign"
)

// This file makes one attempt: it connects by DialFunc, by net.Dialer or by the race of a
// name's addresses, checks the connection, and removes what a failed attempt leaves behind.

// An Attempt is the record of one attempt, for the logger, Dialer.OnAttempt and Error.History.
type Attempt struct {
	Network, Address string // as dialed
	Number           int    // in its dial, from 1
	Start            time.Time
	Duration         time.Duration // with Verify
	Resolve          time.Duration // the part of Duration spent waiting for the look-up of a name
	Unanswered       string        // the DNS queries without an answer, if known: "A", "AAAA" or "A and AAAA"
	Elapsed          time.Duration // from the start of the dial to the end of this attempt
	Addrs            []AddrResult  // the addresses of a name that were tried, in the order of their starts
	Remote           net.Addr      // nil on failure
	Err              error         // nil on success
	Class            Class         // of Err
	Shared           bool          // another dial's failure, from the Gate: not a connect of this dial
	Nested           bool          // the dial is nested
	Delay            time.Duration // until the next attempt; 0 if none follows
	Stop             Stop          // why none follows; 0 if one does, and on success
	Cause            error         // context.Cause of the context that ended the dial, if one did

	tooClose bool // as in Error
}

// A result is the outcome of one attempt.
type result struct {
	conn  net.Conn // nil on failure
	err   error    // nil on success
	class Class    // of err
	nameResult
}

// A nameResult says how an attempt resolved a name, and what each address did.
type nameResult struct {
	resolve    time.Duration
	addrs      []AddrResult
	unanswered string
}

// attempt makes one attempt, until end at the latest; a zero end means no limit. A
// connection that it does not return is closed, even if user code panics.
func (d *dial) attempt(end time.Time) result {
	ctx, mark := d.attemptContext(end)
	defer mark.end()
	r := d.connect(ctx)
	if r.err == nil {
		return r
	}
	if ctx.Err() != context.Canceled { // a canceled attempt says nothing about its addresses
		mark.failed()
	}
	return r
}

// connect makes one connection and checks it.
func (d *dial) connect(ctx context.Context) result {
	var conn net.Conn
	var err error
	switch {
	case d.dialsPortZero() && !d.isSingle():
		err = d.portZeroError()
	case d.name != nil:
		return d.connectByName(ctx)
	default:
		existed := d.socketExists()
		if conn, err = d.connectOnce(ctx); err == nil {
			err = d.check(ctx, conn)
		}
		if err != nil {
			d.unbind(err, existed) // before Classifier, which may panic
		}
	}
	if err != nil {
		return result{err: err, class: d.dialer.classify(err)}
	}
	return result{conn: conn}
}

// dialsPortZero reports whether package net would connect to TCP port 0, or without a port. No
// server can listen there, but some systems say "connection refused", as if one could come, and
// others send packets that nobody answers.
func (d *dial) dialsPortZero() bool {
	if d.isDo || d.method == nil && d.dialer.DialFunc != nil || !strings.HasPrefix(d.network, "tcp") {
		return false
	}
	_, port, err := net.SplitHostPort(d.address)
	return err == nil && strings.Trim(port, "0") == "" || d.address == (netip.AddrPort{}).String() // DialTCP without an address
}

// portZeroError returns the error of a dial to port 0: package net's own, if more than the port is
// wrong. To get it, portZeroError dials with a context that has ended, which opens no socket.
func (d *dial) portZeroError() error {
	ctx, cancel := context.WithCancel(d.attemptCtx)
	cancel()
	inner, _ := d.dialer.unbound()
	inner.LocalAddr = d.local
	if _, err := inner.DialContext(ctx, d.network, d.address); err != nil && Classify(err) == Invalid && d.method == nil {
		return err
	}
	text := "port 0 cannot be dialed"
	if strings.HasSuffix(d.address, ":") {
		text = "missing port in address"
	}
	return &net.OpError{Op: "dial", Net: d.network, Err: &net.AddrError{Err: text, Addr: d.address}}
}

// These are the failures of a DialFunc that broke its contract.
var (
	errNoConn   = errors.New("redial: DialFunc returned neither a connection nor an error")
	errNilError = errors.New("redial: DialFunc returned a nil pointer as its error: return nil itself")
)

// connectOnce connects in the way that the dial was called with.
func (d *dial) connectOnce(ctx context.Context) (conn net.Conn, err error) {
	switch {
	case d.method != nil:
		conn, err = d.method(ctx)
	case d.dialer.DialFunc != nil:
		conn, err = d.dialer.DialFunc(ctx, d.network, d.address)
	default:
		inner, guard := d.dialer.unbound()
		conn, err = inner.DialContext(ctx, d.network, d.address)
		guard.repeat()
	}
	switch {
	case err != nil && foreign.IsNil(err):
		err = errNilError // the pointer's methods would panic
	case err == nil && foreign.IsNil(conn):
		err = errNoConn
	}
	if err != nil {
		if !foreign.IsNil(conn) {
			foreign.Close(conn)
		}
		return nil, err
	}
	return conn, nil
}

// unbound returns the embedded dialer without its bounds in time, which the attempt's context
// carries instead. Call the guard's method repeat when the dialer has returned; the guard is nil
// if there is no Control.
func (d *Dialer) unbound() (net.Dialer, *guard) {
	inner := d.Dialer
	inner.Timeout, inner.Deadline = 0, time.Time{}
	//lint:ignore SA1019 a drop-in replacement has all fields of net.Dialer
	inner.Cancel = nil
	if inner.Control == nil && inner.ControlContext == nil {
		return inner, nil
	}
	g := new(guard)
	g.wrap(&inner)
	return inner, g
}

// A guard calls Control in package net's own goroutine, because the network namespace and the
// capabilities that Control may need are properties of a thread. Package net closes its
// socket if Control returns an error, but not if Control panics or exits. So the guard turns a
// panic into an error, and repeats it when package net has returned.
type guard struct{ again func() }

// wrap makes d call its Control, or its ControlContext, which comes first, through the guard.
func (g *guard) wrap(d *net.Dialer) {
	control, controlContext := d.Control, d.ControlContext
	if controlContext != nil {
		d.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
			return g.call(c, func() error { return controlContext(ctx, network, address, c) })
		}
		return
	}
	d.Control = func(network, address string, c syscall.RawConn) error {
		return g.call(c, func() error { return control(network, address, c) })
	}
}

func (g *guard) call(c syscall.RawConn, control func() error) (err error) {
	if g.again != nil {
		return errUnwound
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			g.again = func() { panic(v) }
			err = errUnwound
			return
		}
		// Nothing stops a runtime.Goexit. Package net does not use the socket any more.
		c.Control(func(fd uintptr) { os.NewFile(fd, "socket").Close() })
	}()
	err = control()
	returned = true
	return err
}

// repeat repeats Control's panic, if there was one.
func (g *guard) repeat() {
	if g != nil && g.again != nil {
		g.again()
	}
}

// errUnwound is the error of a dial, or of a Control, that a panic or runtime.Goexit has ended.
var errUnwound = errors.New("redial: a panic or runtime.Goexit ended the dial")

// check returns an error if conn is connected to itself, or if Verify refuses it. Then, or
// if Verify panics, it closes conn.
func (d *dial) check(ctx context.Context, conn net.Conn) error {
	good := false
	defer func() {
		if !good {
			d.discard(conn)
		}
	}()
	if err := selfConnected(conn); err != nil {
		return err
	}
	if d.dialer.Verify != nil && !d.isDo {
		if err := d.dialer.verify(ctx, conn); err != nil {
			return err
		}
	}
	good = true
	return nil
}

// verify calls Verify. It makes reads and writes on conn fail once ctx ends, because
// otherwise a Verify that sets no deadline could block the dial for ever.
func (d *Dialer) verify(ctx context.Context, conn net.Conn) error {
	interrupted := make(chan struct{})
	closed := false
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		closed = !interrupt(conn)
	})
	defer stop() // if Verify panics
	err := d.Verify(ctx, conn)
	if err != nil && foreign.IsNil(err) {
		err = errNilError
	}
	if !stop() {
		<-interrupted
		if err == nil || closed { // Verify succeeded, but conn is of no use; or failed, because conn was closed
			err = ctx.Err()
		}
	}
	return err
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// interruptGrace is how long SetDeadline may take.
const interruptGrace = 100 * time.Millisecond

// interrupt makes all reads and writes on conn fail, by a deadline that has passed. It
// closes conn, and returns false, if conn has no deadlines, as in some tunnels
// (golang.org/x/crypto/ssh), or if SetDeadline does not return, for example because it
// waits for a mutex that a blocked Read holds.
func interrupt(conn net.Conn) bool {
	set := make(chan error, 1)
	go func() {
		err := errors.ErrUnsupported // if SetDeadline panics, as a test double's does
		foreign.Try(func() { err = conn.SetDeadline(aLongTimeAgo) })
		set <- err
	}()
	timer := time.NewTimer(interruptGrace)
	defer timer.Stop()
	select {
	case err := <-set:
		if err == nil || foreign.Is(err, net.ErrClosed) { // Verify may have closed it, as (*tls.Conn).HandshakeContext does
			return true
		}
	case <-timer.C:
	}
	foreign.Close(conn)
	return false
}

// An attemptContext is the context of an attempt, or of a look-up. A Dialer that finds a
// live one among its context's values is nested: it makes one attempt and leaves the retries
// to the outer dial. It ignores an attemptContext whose attempt has ended, because the
// values can live on, for example in a session.
type attemptContext struct {
	context.Context
	deadline time.Time // zero: the parent's
	ended    atomic.Bool
	cancels  [2]context.CancelFunc // nil where there is nothing to cancel

	route     *route           // shared with nested dials: what they learn about addresses; nil for a look-up
	kept      *keptNames       // shared with nested dials: the names that they resolve
	mu        sync.Mutex       // guards connected
	connected []netip.AddrPort // by nested dials: if the attempt fails all the same, these addresses have failed
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

// outerAttempt returns the innermost live attempt, of any Dialer, that ctx belongs to; nil
// if there is none.
func outerAttempt(ctx context.Context) *attemptContext {
	for {
		c, _ := ctx.Value(attemptKey{}).(*attemptContext)
		if c == nil || !c.ended.Load() {
			return c
		}
		ctx = c.Context // an outer attempt may still be live
	}
}

// attemptContext derives the context of an attempt. The context also ends at end, if end is
// not zero, and when Cancel is closed. The caller must call its method end.
func (d *dial) attemptContext(end time.Time) (context.Context, *attemptContext) {
	if d.kept == nil && (d.isDo || d.dialer.DialFunc != nil || d.dialer.Verify != nil) { // user code may dial
		d.kept = new(keptNames)
		if d.route == nil {
			d.route = new(route)
		}
	}
	mark := &attemptContext{Context: d.attemptCtx, route: d.route, kept: d.kept}
	var ctx context.Context = mark
	if deadline, ok := ctx.Deadline(); !end.IsZero() && (!ok || end.Before(deadline)) {
		if d.needsTimer() {
			ctx, mark.cancels[0] = context.WithDeadline(ctx, end)
		} else {
			mark.deadline = end
		}
	}
	if cancel := d.dialer.Cancel; cancel != nil {
		ctx, mark.cancels[1] = context.WithCancel(ctx)
		go func(ctx context.Context) {
			select {
			case <-cancel:
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
func (d *dial) needsTimer() bool {
	return !d.literal || d.attemptCtx.Done() == nil || d.dialer.Verify != nil || d.dialer.ControlContext != nil || !socketDeadlines
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

// hasConnected notes that a nested dial has connected to addr.
func (c *attemptContext) hasConnected(addr netip.AddrPort) {
	if c.route == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = append(c.connected, addr)
}

// failed notes that the addresses which nested dials have connected to have failed.
func (c *attemptContext) failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, addr := range c.connected {
		c.route.failed(addr)
	}
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
// count, because the addresses of a tunnel say nothing about this machine.
func tcpConnOf(conn net.Conn) (tcp *net.TCPConn) {
	for range 8 { // more layers than anyone has; a wrapper might return itself
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = nil
			foreign.Try(func() { conn = c.NetConn() }) // panics for a nil *tls.Conn
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

package redial

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// A Dialer connects as net.Dialer does, but races the addresses of a name (RFC 8305), retries and logs.
// The zero value is ready to use, and every field is optional; most programs set Timeout and Logger.
//
// Its methods can be called concurrently, and can call the functions in its fields concurrently. A single
// dial can do so with Control, ControlContext and Verify. Do not change a Dialer in use.
type Dialer struct {
	// Dialer makes each attempt. Its fields mean what package net says, except:
	//
	// Timeout bounds one attempt, with name resolution and Verify. Zero means 10 s. Negative means that every dial
	// has timed out before its first attempt.
	//
	// Deadline and Cancel end the whole dial.
	//
	// FallbackDelay is how long an address of a name may be silent before the next is tried, too (RFC 8305); it
	// shrinks from address to address. Zero means 300 ms. Negative means one address at a time, each for its share of
	// Timeout.
	net.Dialer

	// DialFunc makes each attempt in place of the embedded net.Dialer: through a proxy, or by
	// (&tls.Dialer{...}).DialContext. Its ctx carries Timeout, Deadline, Cancel and MaxElapsed, and ends with the
	// attempt; the connection must outlive it. A connection returned together with an error is closed. DialTCP,
	// DialUDP, DialIP and DialUnix ignore DialFunc.
	DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

	// Verify checks each new connection as part of its attempt, for example whether a proxy has a backend. If it
	// fails, the connection is closed, and the next address of the name is tried. Where connecting makes more than a
	// net.Conn, use [Do].
	//
	// When ctx ends, reads and writes on conn fail; a conn without deadlines, such as one through SSH, is closed.
	// Verify must clear any deadline it sets; bytes it reads are gone.
	Verify func(ctx context.Context, conn net.Conn) error

	// Policy says which classes are retried, after which delays. Nil means DefaultPolicy(); Policy{} retries nothing.
	Policy Policy

	// MaxAttempts bounds the number of attempts. Zero or less means no limit. One means to classify and log only, and
	// to return the inner dialer's own error: for clients that retry, or go on to another host, by themselves.
	MaxAttempts int

	// MaxElapsed bounds the whole dial, with its waits. Zero means 30 s, or no limit for a dial of one attempt. Less
	// than zero means no limit.
	MaxElapsed time.Duration

	// Classifier classifies errors. Where it returns Unknown, Classify decides.
	Classifier func(error) Class

	// Gate lets all dials to a target share what they learn.
	Gate *Gate

	// Logger gets one record per attempt, and one for a dial that ends without or between attempts:
	//   - Debug: a success at the first attempt; a failure that the Gate shares; all of a nested dial
	//   - Info: a later success; a cancellation by the caller
	//   - Warn: a failure that is retried; any failure if MaxAttempts is 1
	//   - Error: a failure that ends the dial
	// Nil means zap.L(), which discards records by default.
	Logger *zap.Logger

	// OnAttempt is called after each attempt, with the dial's context, in the goroutine that dials. Use it to see each
	// failure. The next wait includes its time.
	OnAttempt func(context.Context, Attempt)

	// OnDial is called when a dial begins. Use it to count, time or trace whole dials, also those that end without an
	// attempt. It returns the dial's context, derived from ctx (nil means ctx), and a function (or nil) that is called
	// once when the dial has ended, also after a panic.
	OnDial func(ctx context.Context, network, address string) (context.Context, func(Result))

	// OnLost is called by [Reconnect] after each lost connection, with Reconnect's ctx.
	OnLost func(context.Context, Loss)
}

// A Result is the outcome of a dial.
type Result struct {
	Err      error         // nil if the dial has connected
	Class    Class         // of Err
	Stop     Stop          // why the dial has failed; 0 if it has connected or panicked
	Attempts int           // with shared ones
	Elapsed  time.Duration // of the whole dial
	Nested   bool          // the dial is nested
}

// Dial is DialContext with context.Background.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout is Dial with a bound on the whole dial. Zero means no bound but the Dialer's. Negative
// means that the dial has timed out before its first attempt.
func (d *Dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx := context.Background()
	if timeout != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return d.DialContext(ctx, network, address)
}

// DialContext connects to address on the named network; see net.Dial for both. Each attempt resolves a
// name anew, unless a look-up is still running.
//
// The dial ends when ctx ends; the connection outlives ctx. If a wait would leave less than 100 ms (or a
// twentieth of the whole time, if less) before the end by ctx, Deadline or MaxElapsed, it is shortened,
// once. The last attempt then gets a twentieth of the whole time, or twice the duration of the attempt
// before if that is longer. If less time is left, the dial fails at once.
//
// The error is a *net.OpError around an [*Error]. With MaxAttempts 1, and in a nested dial, it is the
// inner dialer's error, unchanged; but if time was up before DialFunc was called, you get an [*Error].
// DialContext panics if ctx is nil.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.newDial(ctx, network, address, nil, nil).run()
}

// DialTCP is net.Dialer's DialTCP, with retries.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.TCPConn, error) {
	return dialTyped(d, ctx, network, raddr, net.TCPAddrFromAddrPort(laddr), func(ctx context.Context, inner *net.Dialer) (*net.TCPConn, error) {
		return inner.DialTCP(ctx, network, laddr, raddr)
	})
}

// DialUDP is net.Dialer's DialUDP, with retries.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.UDPConn, error) {
	return dialTyped(d, ctx, network, raddr, nil, func(ctx context.Context, inner *net.Dialer) (*net.UDPConn, error) {
		return inner.DialUDP(ctx, network, laddr, raddr)
	})
}

// DialIP is net.Dialer's DialIP, with retries.
func (d *Dialer) DialIP(ctx context.Context, network string, laddr, raddr netip.Addr) (*net.IPConn, error) {
	return dialTyped(d, ctx, network, raddr, nil, func(ctx context.Context, inner *net.Dialer) (*net.IPConn, error) {
		return inner.DialIP(ctx, network, laddr, raddr)
	})
}

// DialUnix is net.Dialer's DialUnix, with retries.
func (d *Dialer) DialUnix(ctx context.Context, network string, laddr, raddr *net.UnixAddr) (*net.UnixConn, error) {
	var local net.Addr
	if laddr != nil {
		local = laddr
	}
	return dialTyped(d, ctx, network, raddr, local, func(ctx context.Context, inner *net.Dialer) (*net.UnixConn, error) {
		return inner.DialUnix(ctx, network, laddr, raddr)
	})
}

// dialTyped dials by connect, and returns the connection in its concrete type. On error it
// returns a nil C.
func dialTyped[C net.Conn](d *Dialer, ctx context.Context, network string, remote fmt.Stringer, local net.Addr,
	connect func(context.Context, *net.Dialer) (C, error)) (c C, _ error) {
	one := d.newDial(ctx, network, remote.String(), local, func(ctx context.Context) (net.Conn, error) {
		inner, guard := d.unbound()
		conn, err := connect(ctx, &inner)
		guard.repeat()
		if err != nil {
			return nil, err // and no nil pointer within a net.Conn
		}
		return conn, nil
	})
	one.literal = true
	conn, err := one.run()
	if err != nil {
		return c, err
	}
	return conn.(C), nil
}

// newDial returns the dial that connects to address by method; a nil method means as
// DialContext does. Local is the address that method binds to, if it is known.
func (d *Dialer) newDial(ctx context.Context, network, address string, local net.Addr, method func(context.Context) (net.Conn, error)) *dial {
	one := &dial{dialer: d, network: network, address: address, waitCtx: ctx, attemptCtx: ctx, local: local, method: method}
	if method != nil || d.DialFunc != nil {
		return one
	}
	one.local = d.LocalAddr
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
		if host, port, err := net.SplitHostPort(address); err == nil && isName(host) {
			one.name = &name{host: host, port: port}
		} else if _, err := netip.ParseAddrPort(address); err == nil {
			one.literal = true
		}
	}
	return one
}

// run makes the whole dial. If a hook panics or exits, run closes the connection, because
// nobody gets it.
func (d *dial) run() (net.Conn, error) {
	if d.waitCtx == nil {
		panic("nil context")
	}
	d.start = time.Now()
	returned := false
	defer func() {
		d.leaveNames()
		if d.conn != nil && !returned {
			d.discard(d.conn)
		}
	}()
	var err error
	if d.dialer.OnDial == nil {
		err = d.withContexts()
	} else {
		err = d.observed()
	}
	returned = true
	if err != nil {
		return nil, err
	}
	return d.conn, nil
}

// observed makes the dial between the two calls of OnDial's functions.
func (d *dial) observed() (err error) {
	ctx, ended := d.dialer.OnDial(d.attemptCtx, d.network, d.address)
	if ended != nil {
		err = errUnwound // until the dial returns
		defer func() { ended(d.result(err)) }()
	}
	if ctx != nil {
		defer d.continueWith(ctx)()
	}
	return d.withContexts()
}

// result returns the Result of the dial, which ends with err.
func (d *dial) result(err error) Result {
	r := Result{Err: err, Attempts: d.attempts, Elapsed: time.Since(d.start), Nested: d.outer != nil}
	if err != nil && err != errUnwound {
		r.Class, r.Stop = d.class, d.stop
	}
	return r
}

// continueWith makes ctx, which OnDial has derived from attemptCtx, the context of the dial. A
// request still ends the dial's waits. The function returned must be called when the dial has
// ended.
func (d *dial) continueWith(ctx context.Context) (leave func()) {
	d.attemptCtx = ctx
	if d.request == nil {
		d.waitCtx = ctx
		return func() {}
	}
	d.waitCtx, leave = join(d.waitCtx, ctx)
	return leave
}

// withContexts makes the dial once OnDial has been called, at its Gate if it has one.
func (d *dial) withContexts() error {
	if attached := attachedTo(d.attemptCtx); attached != nil && d.request == nil {
		defer d.attach(attached)()
	}
	d.nest()
	d.setBounds()
	if d.dialer.Gate != nil && d.outer == nil {
		d.enterGate()
		defer d.visit.leave()
	}
	return d.keepTrying()
}

// attach makes the dial end with attached, too. The function returned must be called when the
// dial has ended.
func (d *dial) attach(attached context.Context) (leave func()) {
	d.attemptCtx, leave = join(d.attemptCtx, attached)
	d.waitCtx = d.attemptCtx
	return leave
}

// nest makes the dial nested if its context belongs to another dial's attempt. The two dials then
// share what they learn.
func (d *dial) nest() {
	if d.outer = outerAttempt(d.attemptCtx); d.outer == nil {
		return
	}
	d.route = d.outer.route
	if d.name != nil {
		d.name = d.outer.kept.take(d.nameKey(), d.name)
	}
}

func (d *dial) enterGate() {
	d.visit = d.dialer.Gate.enter(targetKey{d.network, d.address, d.isDo}, d.end, d.waitCtx.Done(), d.dialer.Cancel)
	if d.request == nil { // a Transport has a route of its own
		d.route = d.visit.route
	}
}

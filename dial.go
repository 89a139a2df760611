package redial

import (
	"context"
	"fmt"
	"net"
	"net/netip"
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
	// means 10 s. A negative Timeout means that every dial has timed out before
	// its first attempt.
	//
	// Deadline and Cancel end the whole dial, including its waits.
	//
	// FallbackDelay is the Connection Attempt Delay of RFC 8305: how long to
	// wait for one address of a name before also trying the next. Zero means
	// 300 ms. Each further delay is a fifth shorter, down to 100 ms. All are
	// shortened if the addresses would not all be tried within Timeout. A
	// negative FallbackDelay means that each address is tried when the one before
	// has failed, or has used up its share of Timeout.
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
	// behind it. If Verify returns an error, the connection is closed, and its
	// address has failed with that error: the next address of the name has its
	// turn. Several goroutines of one dial may call Verify, each with a connection
	// of its own.
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
	// inner dialer made it. Use it where the client retries, or goes on to
	// another host, by itself. A nested dial acts as if MaxAttempts were 1,
	// because the other dial retries: a dial is nested if its ctx is the context
	// of another dial's attempt, or is derived from one.
	MaxAttempts int

	// MaxElapsed bounds the whole dial, including attempts in flight. Zero
	// means 30 s; a dial with one attempt only is bounded by Timeout. Less than
	// zero means no limit. The deadline of the context, and Deadline, can end the
	// dial sooner.
	MaxElapsed time.Duration

	// Classifier, if not nil, is called first to classify an error. If it
	// returns Unknown, Classify decides.
	Classifier func(error) Class

	// Gate, if not nil, lets all dials to a target that use the same Gate share
	// what they learn, whichever Dialer makes them. A nested dial does not use it.
	Gate *Gate

	// Logger gets one record per attempt: at level Debug for a success at the
	// first attempt, Info for a success at a later one and for a dial that the
	// caller canceled, Warn for a failure that will be retried, and Error for
	// one that will not (Warn if MaxAttempts is 1). A dial that ends before its
	// first attempt, or during a wait, gets a record of that, and so does each
	// connection that Reconnect has lost. The level is always
	// Debug for a nested dial, and for another dial's failure that the Gate shares
	// (Attempt.Shared), even if no attempt follows.
	// Nil means zap.L(), which discards all records unless the program has
	// replaced it.
	Logger *zap.Logger

	// OnAttempt, if not nil, is called after each attempt has been logged, in
	// the goroutine that dials, with the context of the dial. The time that it
	// takes counts as part of the wait for the next attempt.
	OnAttempt func(context.Context, Attempt)

	// OnDial, if not nil, is called when a dial begins. It returns the context
	// with which the dial goes on, derived from ctx (nil means ctx), and a
	// function that is called once when the dial has ended, with what came of it
	// (nil means none). The function is called even if a panic or runtime.Goexit
	// ends the dial.
	//
	// A nested dial calls its own Dialer's OnDial. Through a Transport, the
	// context is the dial's: it does not end with the request that began the dial.
	OnDial func(ctx context.Context, network, address string) (context.Context, func(Result))

	// OnLost, if not nil, is called by [Reconnect] after each lost connection has
	// been logged, with Reconnect's ctx.
	OnLost func(context.Context, Loss)
}

// A Result is what came of a dial.
type Result struct {
	Err      error         // as the dial returns it; nil if it has connected
	Class    Class         // of the failure; Unknown if the dial has connected
	Stop     Stop          // why the dial has failed; 0 if it has connected, or if a panic or runtime.Goexit ended it
	Attempts int           // made, or shared at a Gate
	Elapsed  time.Duration // from the start of the dial to its end
	Nested   bool          // the dial was nested: another dial around it retries
}

// Dial is DialContext with context.Background.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout is Dial, and ends the whole dial after timeout, waits included. MaxElapsed and
// Deadline can end it sooner. A timeout of zero means no other bound than theirs. A negative
// timeout means that the dial has timed out before its first attempt.
func (d *Dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx := context.Background()
	if timeout != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return d.DialContext(ctx, network, address)
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
// The error is a *net.OpError around an [*Error]. If MaxAttempts is 1, or if the dial is
// nested, it is the inner dialer's own error, unless the dial was over before DialFunc was
// called: then it has an [*Error] all the same. [Classify] takes both.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.newDial(ctx, network, address, nil, nil).run()
}

// DialTCP acts as net.Dialer's DialTCP and retries as DialContext does. It
// ignores DialFunc.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.TCPConn, error) {
	return dialTyped(d, ctx, network, raddr, net.TCPAddrFromAddrPort(laddr), func(ctx context.Context, inner *net.Dialer) (*net.TCPConn, error) {
		return inner.DialTCP(ctx, network, laddr, raddr)
	})
}

// DialUDP acts as net.Dialer's DialUDP and retries as DialContext does. It
// ignores DialFunc.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*net.UDPConn, error) {
	return dialTyped(d, ctx, network, raddr, nil, func(ctx context.Context, inner *net.Dialer) (*net.UDPConn, error) {
		return inner.DialUDP(ctx, network, laddr, raddr)
	})
}

// DialIP acts as net.Dialer's DialIP and retries as DialContext does. It
// ignores DialFunc.
func (d *Dialer) DialIP(ctx context.Context, network string, laddr, raddr netip.Addr) (*net.IPConn, error) {
	return dialTyped(d, ctx, network, raddr, nil, func(ctx context.Context, inner *net.Dialer) (*net.IPConn, error) {
		return inner.DialIP(ctx, network, laddr, raddr)
	})
}

// DialUnix acts as net.Dialer's DialUnix and retries as DialContext does. It
// ignores DialFunc.
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

// result returns what the dial that ends with err came to.
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

// nest finds out whether the dial is within another dial's attempt, with which it shares what it
// learns.
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

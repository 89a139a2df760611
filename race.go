package redial

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial/internal/foreign"
)

// This file races the addresses of a name (RFC 8305, Happy Eyeballs version 2): it starts one
// after the other, a moment apart, until one has connected and Verify has accepted it. It
// keeps the error of each address. net.Dialer tries the addresses of one family in turn, so
// that a dead one makes users wait, and returns the error of the first address only.

const (
	// connectionAttemptDelay is the time between the starts of two addresses
	// if the first has not failed by then. net.Dialer has the same value;
	// RFC 8305, section 5, recommends 250 ms.
	connectionAttemptDelay = 300 * time.Millisecond

	// leastDelay is the shortest delay that RFC 8305 recommends.
	leastDelay = 100 * time.Millisecond

	// verifyDelay is how long the race waits for a Verify before it starts another address, so
	// that a slow Verify does not cost the server two connections.
	verifyDelay = time.Second

	maxInFlight = 8 // addresses tried at the same time

	// firstPatience is how long the first attempt waits for addresses that
	// are silent, once another one has refused. Each next attempt waits twice
	// as long.
	firstPatience = 2 * time.Second
)

// An AddrResult is the outcome of dialing one address of a name in one attempt.
type AddrResult struct {
	Addr      netip.AddrPort
	Start     time.Time
	Duration  time.Duration // with Verify
	Connected bool          // if Err is not nil: Verify failed, or another address was faster
	Err       error         // nil for the winner; a cancellation for addresses still in flight when it won
	Class     Class         // of Err
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (r AddrResult) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("addr", r.Addr.String())
	enc.AddDuration("duration", r.Duration)
	if r.Err != nil {
		if r.Connected {
			enc.AddBool("connected", true)
		}
		addFailure(enc, r.Class, r.Err, "", "")
	}
	return nil
}

// connectByName resolves the dial's name and connects to one of its addresses. If all have failed, those
// of a family that has not answered may still work. The next attempt looks them up again and waits
// longer. If neither this dial nor an outer one makes another attempt, connectByName does this itself.
func (d *dial) connectByName(ctx context.Context) result {
	r := d.connectToFound(ctx)
	for d.isSingle() && d.outer == nil && r.err != nil && r.addrs != nil && r.unanswered != "" && ctx.Err() == nil {
		d.name.known = nil // they have failed
		next := d.connectToFound(ctx)
		if next.addrs == nil {
			r.resolve += next.resolve
			break
		}
		if next.err != nil && next.class.weight() < r.class.weight() {
			next.err, next.class = r.err, r.class
		}
		next.resolve += r.resolve
		next.addrs = append(r.addrs, next.addrs...)
		r = next
	}
	return r
}

// connectToFound connects to one of the addresses that a look-up finds.
func (d *dial) connectToFound(ctx context.Context) (r result) {
	start := time.Now()
	ips, port, unanswered, err := d.resolve(ctx)
	r.resolve, r.unanswered = time.Since(start), unanswered
	if d.name.stale && !d.lastAttempt { // the addresses may be gone, and the next look-up may know better
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, firstPatience)
		defer cancel()
	}
	switch {
	case err != nil:
		r.err = &net.OpError{Op: "dial", Net: d.network, Err: err}
		r.class = d.dialer.classify(r.err)
	case len(ips) == 1: // as most names have
		addr := netip.AddrPortFrom(ips[0], port)
		r.addrs = []AddrResult{{Addr: addr, Start: start.Add(r.resolve)}}
		r.conn, r.err = d.connectTo(ctx, addr, func() { r.addrs[0].Connected = true })
		r.class = d.noteAddr(&r.addrs[0], r.err)
	default:
		r = d.race(ctx, d.inOrder(ips, port), r)
	}
	if r.class == Timeout {
		d.reuseLookup()
	}
	return r
}

// connectTo connects to one address of the name, and calls connected when that is done. It
// then checks the connection, so that one to itself, or one that Verify refuses, does not win
// against an address that works. It returns net.Dialer's own error, or Verify's.
func (d *dial) connectTo(ctx context.Context, addr netip.AddrPort, connected func()) (net.Conn, error) {
	inner, guard := d.dialer.unbound()
	conn, err := inner.DialContext(ctx, d.network, addr.String())
	guard.repeat()
	if err != nil {
		return nil, err
	}
	connected()
	if err := d.check(ctx, conn); err != nil {
		return nil, err
	}
	return conn, nil
}

// noteAddr completes a: its address has failed with err, or has connected if err is nil. The route
// remembers which. noteAddr returns the class of err.
func (d *dial) noteAddr(a *AddrResult, err error) Class {
	a.Duration = time.Since(a.Start)
	if err == nil {
		if d.route != nil {
			d.route.connected(a.Addr)
		}
		if d.outer != nil {
			d.outer.hasConnected(a.Addr)
		}
		return Unknown
	}
	a.Err, a.Class = err, d.dialer.classify(err)
	if a.Class != Canceled || a.Duration >= connectionAttemptDelay { // an early cancellation says nothing about the address
		if d.route == nil {
			d.route = new(route)
		}
		d.route.failed(a.Addr)
	}
	return a.Class
}

// A racer connects to one of several addresses. The goroutine that dials owns all fields except the
// last two.
type racer struct {
	*dial
	ctx    context.Context
	cancel context.CancelFunc
	left   []netip.AddrPort // to be started, in this order
	delay  time.Duration    // between the starts of two addresses
	limit  int              // on the number of addresses in flight
	seen   []AddrResult     // of the addresses started so far

	running      []*runner // in flight, the oldest first
	nextAt       time.Time // when the next address is started, if none connects before
	best         Class     // the most telling class so far
	waitingSince time.Time // since when all addresses have been started and one has refused; zero before

	mu     sync.Mutex // held to send to events, and to set over
	events chan event // has room for all
	over   bool       // nobody reads events any more
}

// A runner connects to the address at seen[i], in a goroutine of its own.
type runner struct {
	i         int
	cancel    context.CancelFunc
	cutOff    bool // the race canceled it because its time was up
	verifying bool // it has connected, and Verify has not returned
}

// An event says that a runner has connected, so that Verify begins, or that it has ended.
type event struct {
	run       *runner
	connected bool // then the fields below are not set
	conn      net.Conn
	err       error
	again     func() // repeats a panic or a Goexit of user code; nil if there was none
	panicked  any    // what user code panicked with; nil if it did not
	stack     []byte // of the panic
}

// race connects to one of addrs, and adds the outcome to r. If user code panics or calls
// runtime.Goexit in a goroutine of the race, race does the same in the caller's goroutine.
func (d *dial) race(ctx context.Context, addrs []netip.AddrPort, r result) result {
	race := racer{
		dial:   d,
		left:   addrs,
		delay:  d.dialer.FallbackDelay,
		limit:  maxInFlight,
		seen:   make([]AddrResult, 0, len(addrs)),
		events: make(chan event, 2*len(addrs)),
	}
	if race.delay == 0 {
		race.delay = connectionAttemptDelay
	}
	if race.delay < 0 || fixedPort(d.local) {
		race.limit = 1 // two sockets can't have the same local port
	}
	race.ctx, race.cancel = context.WithCancel(ctx)
	r.conn, r.class, r.err = race.run()
	r.addrs = race.seen
	return r
}

// fixedPort reports whether local has a port, so that only one socket at a time can bind to it.
func fixedPort(local net.Addr) bool {
	switch local := local.(type) {
	case *net.TCPAddr:
		return local != nil && local.Port != 0
	case *net.UDPAddr:
		return local != nil && local.Port != 0
	}
	return false
}

// run starts the addresses in turn, and returns the first connection. It starts the next
// address when one has failed, or when the method next says so.
func (r *racer) run() (conn net.Conn, class Class, err error) {
	defer r.finish()
	r.start(0)
	r.nextAt = time.Now().Add(r.startDelay())
	for len(r.running) > 0 {
		wait, act := r.next()
		e, ok := r.await(wait, act != nil)
		switch {
		case !ok:
			act()
		case e.connected:
			e.run.verifying = true
			r.seen[e.run.i].Connected = true
		case r.ended(e):
			r.cancelLosers()
			return e.conn, Unknown, nil
		default:
			r.startAfter(r.seen[e.run.i].Addr)
		}
	}
	most := r.mostTelling()
	return nil, most.Class, most.Err
}

// await returns the next event. If limited, it waits no longer than wait, and returns false
// if no event has come.
func (r *racer) await(wait time.Duration, limited bool) (event, bool) {
	if !limited {
		return <-r.events, true
	}
	timer := time.NewTimer(wait) // a new one each time: with GODEBUG=asynctimerchan=1, a used one may hold an old time
	defer timer.Stop()
	select {
	case e := <-r.events:
		return e, true
	case <-timer.C:
		return event{}, false
	}
}

// next returns what to do if no event comes within the time that it returns.
// A nil func means to wait for an event, however long that takes.
func (r *racer) next() (time.Duration, func()) {
	switch {
	case r.ctx.Err() != nil:
		return 0, nil
	case r.mayStart():
		return r.untilNext(), r.startNext
	case len(r.left) > 0:
		return r.makeRoom()
	case (r.best == Refused || r.best == Reset) && r.mayRetry(r.best) && !r.isVerifying():
		// A host is there and said no, and a retry may do better. Silent
		// addresses must not hold the retry up until the attempt's end.
		if r.waitingSince.IsZero() {
			r.waitingSince = time.Now()
		}
		patience := firstPatience << min(r.attempts-1, 30)
		return time.Until(r.waitingSince.Add(patience)), r.giveUp
	}
	return 0, nil
}

// mayStart reports whether another address may be started now.
func (r *racer) mayStart() bool {
	return len(r.left) > 0 && len(r.running) < r.limit && r.ctx.Err() == nil
}

func (r *racer) isVerifying() bool {
	return slices.ContainsFunc(r.running, func(run *runner) bool { return run.verifying })
}

// untilNext returns how long to wait before the next address is started: until nextAt, or
// longer while a Verify runs, but never longer than an equal share of the time left, so that
// every address is started before the deadline.
func (r *racer) untilNext() time.Duration {
	wait := time.Until(r.nextAt)
	if r.isVerifying() {
		wait = max(wait, verifyDelay)
	}
	if deadline, ok := r.ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/time.Duration(len(r.left)+1))
	}
	return wait
}

// startDelay returns the time between the latest start and the next one. It shrinks by a
// fifth with each address started, down to the least that RFC 8305 recommends: the more
// addresses are silent, the sooner the race tries the next.
func (r *racer) startDelay() time.Duration {
	delay := r.delay
	for range len(r.seen) - 1 {
		delay -= delay / 5
	}
	return max(delay, min(r.delay, leastDelay))
}

// makeRoom returns how long the oldest attempt may still take before the next
// address needs its place, and the func that cuts it off. All addresses get an
// equal share of the attempt's time. Without a deadline none is cut off.
func (r *racer) makeRoom() (time.Duration, func()) {
	oldest := r.running[0]
	deadline, ok := r.ctx.Deadline()
	if !ok || oldest.cutOff {
		return 0, nil
	}
	rounds := 1 + (len(r.left)+r.limit-1)/r.limit // the addresses in flight are the first round
	start := r.seen[oldest.i].Start
	end := start.Add(deadline.Sub(start) / time.Duration(rounds))
	return time.Until(end), func() {
		oldest.cutOff = true
		oldest.cancel()
	}
}

// giveUp ends the attempts in flight as if they had timed out. If one of them
// connects all the same, it wins.
func (r *racer) giveUp() {
	for _, run := range r.running {
		run.cutOff = true
	}
	r.cancel()
}

// startNext starts the next address if it may be started.
func (r *racer) startNext() {
	if r.mayStart() {
		r.start(0)
		r.nextAt = time.Now().Add(r.startDelay())
	}
}

// startAfter starts the next address of the family of failed, or else the next one, if it may be
// started, because failed has failed. The other family still has its turn at nextAt, so that
// neither family holds up the other, by its silence or by its number of addresses.
func (r *racer) startAfter(failed netip.AddrPort) {
	i := slices.IndexFunc(r.left, func(addr netip.AddrPort) bool { return addr.Addr().Is4() == failed.Addr().Is4() })
	if i < 0 {
		r.startNext()
	} else if r.mayStart() {
		r.start(i)
		r.nextAt = soonest(r.nextAt, time.Now().Add(r.startDelay()))
	}
}

// start starts the address left[i].
func (r *racer) start(i int) {
	addr := r.left[i]
	r.left = slices.Delete(r.left, i, i+1)
	ctx, cancel := context.WithCancel(r.ctx)
	run := &runner{i: len(r.seen), cancel: cancel}
	r.seen = append(r.seen, AddrResult{Addr: addr, Start: time.Now()})
	r.running = append(r.running, run)
	go func() {
		e := event{run: run, again: runtime.Goexit} // unless connectTo returns or panics
		defer func() {
			if v := recover(); v != nil {
				e.panicked, e.stack = v, debug.Stack()
				e.again = func() { panic(v) }
			}
			if !r.send(e) {
				r.abandon(e)
			}
		}()
		e.conn, e.err = r.connectTo(ctx, addr, func() { r.send(event{run: run, connected: true}) })
		e.again = nil
	}()
}

// send hands e to the race, and reports whether the race still reads events.
func (r *racer) send(e event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.events <- e
	return true
}

// abandon closes the connection of a runner that has lost. If user code panicked in the runner,
// the caller has its connection already, or another panic, so that abandon logs it.
func (r *racer) abandon(e event) {
	if e.conn != nil {
		r.discard(e.conn)
	}
	if e.panicked != nil {
		r.dialer.logger().Error("panic in an attempt that was canceled", zap.String("address", r.address), zap.Any("panic", e.panicked), zap.ByteString("stack", e.stack))
	}
}

// ended records the end of the runner that e reports, and reports whether it has connected. If user
// code panicked or exited in the runner, ended does the same.
func (r *racer) ended(e event) (connected bool) {
	e.run.cancel()
	r.running = slices.DeleteFunc(r.running, func(other *runner) bool { return other == e.run })
	if e.again != nil {
		e.again()
	}
	if e.run.cutOff {
		e.err = asTimeout(e.err)
	}
	class := r.noteAddr(&r.seen[e.run.i], e.err)
	if class.weight() > r.best.weight() {
		r.best = class
	}
	return e.err == nil
}

// asTimeout converts err, the error of an address that the race cut off, to the
// error that net.Dialer returns when the time of an attempt is up.
func asTimeout(err error) error {
	op, ok := foreign.As[*net.OpError](err)
	if !ok || op == nil || !foreign.Is(op, context.Canceled) {
		return err
	}
	timeout := *op
	timeout.Err = os.ErrDeadlineExceeded
	return &timeout
}

// cancelLosers records that the addresses still in flight are canceled, because one has won.
// They end by themselves, and nobody waits for them.
func (r *racer) cancelLosers() {
	for _, run := range r.running {
		a := &r.seen[run.i]
		a.Duration, a.Class = time.Since(a.Start), Canceled
		a.Err = &net.OpError{Op: "dial", Net: r.network, Addr: netAddrOf(r.network, a.Addr), Err: context.Canceled}
	}
}

// netAddrOf returns addr in the type that package net has for the network.
func netAddrOf(network string, addr netip.AddrPort) net.Addr {
	if strings.HasPrefix(network, "udp") {
		return net.UDPAddrFromAddrPort(addr)
	}
	return net.TCPAddrFromAddrPort(addr)
}

// finish ends the race: it cancels the runners that are still in flight. They close their
// connections themselves.
func (r *racer) finish() {
	r.cancel()
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	for len(r.events) > 0 {
		r.abandon(<-r.events)
	}
}

// mostTelling returns the result of the most telling class, the first on a tie,
// so that an unroutable IPv6 address does not hide an IPv4 one that refused.
func (r *racer) mostTelling() AddrResult {
	most := r.seen[0]
	for _, a := range r.seen[1:] {
		if a.Class.weight() > most.Class.weight() {
			most = a
		}
	}
	return most
}

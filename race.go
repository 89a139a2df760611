package redial

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// This file dials names with several addresses. Each attempt resolves the name
// anew and races its addresses (RFC 8305, Happy Eyeballs version 2): it starts
// one after the other, a moment apart, until one has connected, and keeps the
// error of each. net.Dialer tries the addresses of one family in turn, so that
// a dead one makes users wait, and returns the first one's error only.

const (
	// connectionAttemptDelay is the time between the starts of two addresses
	// if the first has not failed by then. net.Dialer has the same value;
	// RFC 8305, section 5, recommends 250 ms.
	connectionAttemptDelay = 300 * time.Millisecond

	// leastDelay is the shortest delay that RFC 8305 recommends.
	leastDelay = 100 * time.Millisecond

	maxAddresses = 64 // dialed in one attempt
	maxInFlight  = 8  // dialed at the same time

	// firstPatience is how long the first attempt waits for addresses that
	// are silent, once another one has refused. Each next attempt waits twice
	// as long.
	firstPatience = 2 * time.Second
)

// An AddrResult is the outcome of dialing one address of a name in one attempt.
type AddrResult struct {
	Addr     netip.AddrPort
	Start    time.Time // when the attempt began to connect to Addr
	Duration time.Duration
	Err      error // nil for the winner; a cancellation error for addresses still in flight when it won
	Class    Class // the class of Err
}

// MarshalLogObject implements zapcore.ObjectMarshaler with the fields addr and
// duration, and for a failure also class, error and errno.
func (r AddrResult) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("addr", r.Addr.String())
	enc.AddDuration("duration", r.Duration)
	if r.Err != nil {
		addFailure(enc, r.Class, r.Err)
	}
	return nil
}

// A lookup records how long an attempt took to resolve a name, and the outcome
// of each address that it dialed, in the order of their starts.
type lookup struct {
	resolve time.Duration
	addrs   []AddrResult
	only    [1]AddrResult // addrs of a name with one address
}

// A plan is what the retry loop knows about an attempt before it is made.
type plan struct {
	number int    // from 1
	last   bool   // no other attempt will follow, even if this one fails
	policy Policy // a class absent from it is not retried
}

// retries reports whether another attempt may follow a failure of class.
func (p plan) retries(class Class) bool {
	return !p.last && p.policy[class] != nil
}

// patience returns how long to wait for silent addresses once another one has
// refused. It doubles with each attempt, up to many years.
func (p plan) patience() time.Duration {
	return firstPatience << min(max(p.number-1, 0), 30)
}

// races reports whether address has a name whose addresses are to be raced. All
// other addresses go to net.Dialer as they are. Malformed ones do too, because
// net.Dialer's errors explain them well.
func (d *Dialer) races(network, address string) bool {
	if d.FallbackDelay < 0 || network != "tcp" && network != "tcp4" && network != "tcp6" {
		return false
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	if last := host[len(host)-1]; (last < '0' || last > '9') && !strings.Contains(host, ":") {
		return true // no IP address looks so; to parse it would cost an error
	}
	_, err = netip.ParseAddr(host)
	return err != nil
}

// race resolves host and connects to one of its addresses. The lookup is never
// nil. If user code panics or calls runtime.Goexit in a goroutine of the race,
// race does the same in the caller's goroutine, and leaves nothing behind.
func (d *Dialer) race(ctx context.Context, network, host, port string, p plan) (net.Conn, *lookup, error) {
	start := time.Now()
	ips, portNumber, err := d.resolve(ctx, network, host, port)
	seen := &lookup{resolve: time.Since(start)}
	if err != nil {
		return nil, seen, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if len(ips) == 1 { // as most names have
		conn, err := d.dialOnly(ctx, network, netip.AddrPortFrom(ips[0], portNumber), start, seen)
		return conn, seen, err
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip, portNumber)
	}
	addrs = d.suitable(addrs)
	r := racer{
		network: network,
		addrs:   addrs,
		dial: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return d.dialAddr(ctx, network, addr)
		},
		classify: d.classify,
		delay:    d.FallbackDelay,
		limit:    maxInFlight,
		plan:     p,
		seen:     seen,
	}
	if r.delay == 0 {
		r.delay = connectionAttemptDelay
	}
	if local, ok := d.LocalAddr.(*net.TCPAddr); ok && local != nil && local.Port != 0 {
		r.limit = 1 // two sockets can't have the same local port
	}
	conn, err := r.run(ctx)
	return conn, seen, err
}

// dialOnly connects to the only address of a name. The attempt began at start.
func (d *Dialer) dialOnly(ctx context.Context, network string, addr netip.AddrPort, start time.Time, seen *lookup) (net.Conn, error) {
	a := &seen.only[0]
	a.Addr, a.Start = addr, start.Add(seen.resolve)
	conn, err := d.dialAddr(ctx, network, addr)
	a.Duration = time.Since(a.Start)
	if err != nil {
		a.Err, a.Class = err, d.classify(err)
	}
	seen.addrs = seen.only[:]
	return conn, err
}

// dialAddr connects to one address of a name. It returns net.Dialer's own
// error. A connection to itself is a failure here already, so that it does not
// win against an address where something listens.
func (d *Dialer) dialAddr(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error) {
	inner := d.unbound()
	conn, err := inner.DialContext(ctx, network, addr.String())
	if err != nil {
		return nil, err
	}
	if err := selfConnected(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// resolve returns the addresses of host, at least one, in the resolver's
// order, which follows RFC 6724. It also returns the number of the port.
func (d *Dialer) resolve(ctx context.Context, network, host, port string) ([]netip.Addr, uint16, error) {
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ctx = withoutConnectHooks(ctx)
	portNumber, err := resolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, 0, err
	}
	ips, err := lookupIPs(ctx, resolver, network, host)
	if err != nil {
		return nil, 0, err
	}
	if len(ips) == 0 {
		return nil, 0, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return ips, uint16(portNumber), nil
}

// lookupIPs resolves host to addresses of the family that network names, or of
// both families. It asks for no other family, and keeps the zones. It may
// return no address without an error.
func lookupIPs(ctx context.Context, resolver *net.Resolver, network, host string) ([]netip.Addr, error) {
	family := network[len("tcp"):]
	if family == "" {
		return lookupZoned(ctx, resolver, host)
	}
	ips, err := resolver.LookupNetIP(ctx, "ip"+family, host)
	if err != nil {
		return nil, err
	}
	for i := range ips {
		ips[i] = ips[i].Unmap() // IPv4 addresses from /etc/hosts have the long form
	}
	if family == "4" || !slices.ContainsFunc(ips, netip.Addr.IsLinkLocalUnicast) {
		return ips, nil
	}
	// LookupNetIP dropped the zones, and a link-local address is of no use
	// without one. The answer may have changed when this asks again.
	zoned, err := lookupZoned(ctx, resolver, host)
	zoned = slices.DeleteFunc(zoned, netip.Addr.Is4)
	if len(zoned) > 0 {
		return zoned, nil
	}
	if ips = slices.DeleteFunc(ips, netip.Addr.IsLinkLocalUnicast); len(ips) > 0 {
		return ips, nil
	}
	return nil, err
}

// lookupZoned resolves host to addresses of both families with their zones.
func lookupZoned(ctx context.Context, resolver *net.Resolver, host string) ([]netip.Addr, error) {
	addrs, err := resolver.LookupIPAddr(ctx, host)
	ips := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		if ip, ok := netip.AddrFromSlice(addr.IP); ok {
			ips = append(ips, ip.Unmap().WithZone(addr.Zone))
		}
	}
	return ips, err
}

// withoutConnectHooks returns ctx with the hooks of net/http/httptrace for
// look-ups, but without the hooks for connections, because connections to a
// DNS server are not the caller's. net.Dialer does the same.
func withoutConnectHooks(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return ctx
	}
	start, done := trace.DNSStart, trace.DNSDone
	if start == nil {
		// Package httptrace ignores a trace without hooks for package net,
		// and would leave the caller's in place.
		start = func(httptrace.DNSStartInfo) {}
	}
	return httptrace.WithClientTrace(untraced{ctx}, &httptrace.ClientTrace{DNSStart: start, DNSDone: done})
}

// untraced hides a context's ClientTrace. WithClientTrace would otherwise call
// its hooks as well as those of the new trace.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}

// suitable returns the addresses that LocalAddr can reach, each once, in the
// order in which to try them. If LocalAddr can reach none, suitable returns the
// first of addrs, because net.Dialer's error explains what is wrong with it.
// addrs must not be empty.
func (d *Dialer) suitable(addrs []netip.AddrPort) []netip.AddrPort {
	var fit []netip.AddrPort
	taken := make(map[netip.AddrPort]bool, len(addrs))
	for _, addr := range addrs {
		if !taken[addr] && (d.LocalAddr == nil || fits(d.LocalAddr, addr.Addr())) {
			taken[addr] = true
			fit = append(fit, addr)
		}
	}
	if len(fit) == 0 {
		return addrs[:1]
	}
	return interleave(fit)[:min(len(fit), maxAddresses)]
}

// fits reports whether a connection can go from local to remote. It decides as
// net.Dialer does.
func fits(local net.Addr, remote netip.Addr) bool {
	tcp, ok := local.(*net.TCPAddr)
	if !ok {
		return false
	}
	return tcp == nil || len(tcp.IP) == 0 || tcp.IP.IsUnspecified() || remote.IsUnspecified() ||
		(tcp.IP.To4() != nil) == remote.Is4()
}

// interleave returns addrs with the two families in turn, starting with the
// family of the first address (RFC 8305, section 4, with a First Address
// Family Count of 1). Within a family it keeps the order.
func interleave(addrs []netip.AddrPort) []netip.AddrPort {
	var families [2][]netip.AddrPort
	for _, addr := range addrs {
		other := 0
		if addr.Addr().Is4() != addrs[0].Addr().Is4() {
			other = 1
		}
		families[other] = append(families[other], addr)
	}
	mixed := make([]netip.AddrPort, 0, len(addrs))
	for i := range families[0] {
		mixed = append(mixed, families[0][i])
		if i < len(families[1]) {
			mixed = append(mixed, families[1][i])
		}
	}
	if n := len(families[0]); n < len(families[1]) {
		mixed = append(mixed, families[1][n:]...)
	}
	return mixed
}

// A racer connects to one of several addresses. It belongs to the goroutine
// that calls run, which alone calls classify.
type racer struct {
	network  string
	addrs    []netip.AddrPort // in the order in which to try them
	dial     func(context.Context, netip.AddrPort) (net.Conn, error)
	classify func(error) Class
	delay    time.Duration // between the starts of two addresses
	limit    int           // on the number of addresses in flight at once
	plan     plan
	seen     *lookup // the addresses started so far

	ctx          context.Context
	cancel       context.CancelFunc
	results      chan *runner
	running      []*runner // in flight, the oldest first
	best         Class     // the most telling class so far
	waitingSince time.Time // since when all addresses have been started and one has refused; zero before
	winner       net.Conn
}

// A runner connects to the address at seen.addrs[i]. Its goroutine sets conn,
// err and rethrow before it sends the runner to results.
type runner struct {
	i       int
	cancel  context.CancelFunc
	cutOff  bool // the race canceled it because its time was up
	conn    net.Conn
	err     error
	rethrow func() // repeats a panic or a Goexit of user code; nil if there was none
}

// run connects to one of the addresses. When it returns, every attempt that it
// started has ended, and only the connection that it returns is open. That holds
// even if user code panics or exits.
func (r *racer) run(ctx context.Context) (net.Conn, error) {
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.results = make(chan *runner, len(r.addrs))
	returned := false
	defer func() {
		r.cancel()
		if !returned {
			r.abandon()
		}
	}()
	conn, err := r.raceAll()
	returned = true
	return conn, err
}

// raceAll starts the addresses in turn, and returns the first connection. It starts
// the next address when one has failed, or when the method next says so.
func (r *racer) raceAll() (net.Conn, error) {
	r.start()
	for len(r.running) > 0 {
		wait, act := r.next()
		timer := time.NewTimer(wait) // a new one each time: with GODEBUG=asynctimerchan=1, a used one may hold an old time
		due := timer.C
		if act == nil {
			due = nil
		}
		var run *runner
		select {
		case run = <-r.results:
		case <-due:
		}
		timer.Stop()
		if run == nil {
			act()
			continue
		}
		r.ended(run)
		if run.conn != nil {
			r.winner = run.conn
			r.closeRest()
			return r.winner, nil
		}
		r.startNext()
	}
	return nil, r.mostTelling()
}

// next returns what to do if no attempt ends within the time that it returns.
// A nil func means to wait until an attempt ends, however long that takes.
func (r *racer) next() (time.Duration, func()) {
	switch {
	case r.ctx.Err() != nil:
		return 0, nil
	case r.mayStart():
		return r.nextDelay(), r.startNext
	case r.left() > 0:
		return r.makeRoom()
	case (r.best == Refused || r.best == Reset) && r.plan.retries(r.best):
		// A host is there and said no, and a retry may do better. Silent
		// addresses must not hold the retry up until the attempt's end.
		if r.waitingSince.IsZero() {
			r.waitingSince = time.Now()
		}
		return time.Until(r.waitingSince.Add(r.plan.patience())), r.giveUp
	}
	return 0, nil
}

// left returns the number of addresses that have not been started.
func (r *racer) left() int { return len(r.addrs) - len(r.seen.addrs) }

// mayStart reports whether another address may be started now.
func (r *racer) mayStart() bool {
	return r.left() > 0 && len(r.running) < r.limit && r.ctx.Err() == nil
}

// nextDelay returns how long to wait before the next address is started. The
// delay shrinks by a fifth with each address started, down to the least that
// RFC 8305 recommends: the more addresses are silent, the sooner the race tries
// the next. The delay is never longer than an equal share of the
// time left, so that every address is started before the deadline.
func (r *racer) nextDelay() time.Duration {
	delay := r.delay
	for range len(r.seen.addrs) - 1 {
		delay -= delay / 5
	}
	delay = max(delay, min(r.delay, leastDelay))
	if deadline, ok := r.ctx.Deadline(); ok {
		delay = min(delay, time.Until(deadline)/time.Duration(r.left()+1))
	}
	return delay
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
	rounds := 1 + (r.left()+r.limit-1)/r.limit // the addresses in flight are the first round
	start := r.seen.addrs[oldest.i].Start
	end := start.Add(deadline.Sub(start) / time.Duration(rounds))
	return time.Until(end), oldest.end
}

// giveUp ends the attempts in flight as if they had timed out. If one of them
// connects all the same, it wins.
func (r *racer) giveUp() {
	for _, run := range r.running {
		run.cutOff = true
	}
	r.cancel()
}

// end cuts off the runner's attempt.
func (run *runner) end() {
	run.cutOff = true
	run.cancel()
}

// startNext starts the next address if it may be started.
func (r *racer) startNext() {
	if r.mayStart() {
		r.start()
	}
}

// start starts the next address.
func (r *racer) start() {
	i := len(r.seen.addrs)
	addr := r.addrs[i]
	ctx, cancel := context.WithCancel(r.ctx)
	run := &runner{i: i, cancel: cancel}
	r.seen.addrs = append(r.seen.addrs, AddrResult{Addr: addr, Start: time.Now()})
	r.running = append(r.running, run)
	go func() {
		defer func() { r.results <- run }()
		run.connect(ctx, addr, r.dial)
	}()
}

// connect calls dial. It keeps what dial returns, or how user code ended it.
func (run *runner) connect(ctx context.Context, addr netip.AddrPort, dial func(context.Context, netip.AddrPort) (net.Conn, error)) {
	run.rethrow = runtime.Goexit // unless dial returns or panics
	defer func() {
		if v := recover(); v != nil {
			run.rethrow = func() { panic(v) }
		}
	}()
	run.conn, run.err = dial(ctx, addr)
	run.rethrow = nil
}

// ended removes run, whose attempt has ended, and records its outcome. If user
// code panicked or exited in the attempt, ended does the same.
func (r *racer) ended(run *runner) {
	r.running = slices.DeleteFunc(r.running, func(other *runner) bool { return other == run })
	if run.rethrow != nil {
		run.rethrow()
	}
	if run.cutOff {
		run.err = asTimeout(run.err)
	}
	r.record(run.i, run.err)
}

// record completes the record of the i-th address, whose attempt ended in err.
func (r *racer) record(i int, err error) {
	a := &r.seen.addrs[i]
	a.Duration = time.Since(a.Start)
	a.Err = err
	switch {
	case err == nil:
		return
	case r.winner != nil && errors.Is(err, context.Canceled):
		a.Class = Canceled // the race canceled it, so Classifier is not asked
	default:
		a.Class = r.classify(err)
	}
	if a.Class.weight() > r.best.weight() {
		r.best = a.Class
	}
}

// asTimeout converts err, the error of an attempt that the race cut off, to the
// error that net.Dialer returns when the time of an attempt is up.
func asTimeout(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || !errors.Is(op, context.Canceled) {
		return err
	}
	timeout := *op
	timeout.Err = os.ErrDeadlineExceeded
	return &timeout
}

// closeRest cancels the attempts still in flight after one has won, waits for
// them, and closes the connections of those that succeeded all the same.
func (r *racer) closeRest() {
	r.cancel()
	for len(r.running) > 0 {
		run := <-r.results
		if run.conn != nil {
			run.conn.Close()
			addr := net.TCPAddrFromAddrPort(r.addrs[run.i])
			run.err = &net.OpError{Op: "dial", Net: r.network, Addr: addr, Err: context.Canceled}
			run.cutOff = false
		}
		r.ended(run)
	}
}

// abandon waits for the attempts still in flight, which have been canceled,
// and closes every connection, because nobody will get one.
func (r *racer) abandon() {
	if r.winner != nil {
		r.winner.Close()
	}
	for range r.running {
		if run := <-r.results; run.conn != nil {
			run.conn.Close()
		}
	}
}

// mostTelling returns the error of the most telling class, the first on a tie,
// so that an unroutable IPv6 address does not hide an IPv4 one that refused.
func (r *racer) mostTelling() error {
	most := r.seen.addrs[0]
	for _, a := range r.seen.addrs[1:] {
		if a.Class.weight() > most.Class.weight() {
			most = a
		}
	}
	return most.Err
}

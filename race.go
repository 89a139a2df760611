package redial

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"slices"
	"time"

	"go.uber.org/zap/zapcore"
)

// A name with several addresses is dialed here, as RFC 8305 (Happy Eyeballs
// version 2) has it: resolved once per attempt, its addresses raced, and each
// one's own error kept. net.Dialer tries those of a family one after the other
// and divides its time among them, so that one dead address makes users wait,
// and it returns the error of the first alone.

const (
	// connectionAttemptDelay is the time between the starts of two
	// addresses that do not fail before (RFC 8305, section 5).
	connectionAttemptDelay = 250 * time.Millisecond

	leastDelay = 100 * time.Millisecond // of the later ones

	maxAddresses = 64 // of one attempt
	maxInFlight  = 8  // of those, at once

	// leastPerAddress is the least time that an address gets, however many
	// there are: net.Dialer's own.
	leastPerAddress = 2 * time.Second
)

// An AddrResult is what came of one address of a name, in one attempt.
type AddrResult struct {
	Addr     netip.AddrPort
	Start    time.Time     // of the connection attempt
	Duration time.Duration // of it
	Err      error         // nil for the address that won; that of a canceled one if another did
	Class    Class         // of Err
}

// MarshalLogObject implements zapcore.ObjectMarshaler with the fields addr,
// duration and, of a failure, class, error and errno.
func (r AddrResult) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("addr", r.Addr.String())
	enc.AddDuration("duration", r.Duration)
	if r.Err != nil {
		addFailure(enc, r.Class, r.Err)
	}
	return nil
}

// lookup is what an attempt that resolved a name has to tell, beside its error.
type lookup struct {
	resolve time.Duration
	addrs   []AddrResult
}

// races tells whether the address is a name whose addresses are raced. All
// others go to net.Dialer as they are, malformed ones too: its errors are good.
func (d *Dialer) races(network, address string) (host, port string, ok bool) {
	if d.FallbackDelay < 0 || network != "tcp" && network != "tcp4" && network != "tcp6" {
		return "", "", false
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return "", "", false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "", "", false
	}
	return host, port, true
}

// race resolves host and connects to the first of its addresses that answers.
func (d *Dialer) race(ctx context.Context, network, host, port string) (net.Conn, *lookup, error) {
	start := time.Now()
	addrs, err := d.resolve(ctx, network, host, port)
	seen := &lookup{resolve: time.Since(start)}
	if err != nil {
		return nil, seen, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	r := racer{
		addrs: d.suitable(addrs),
		dial: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return d.dialAddr(ctx, network, addr)
		},
		classify: d.classify,
		delay:    d.FallbackDelay,
		limit:    maxInFlight,
		seen:     seen,
	}
	if r.delay == 0 {
		r.delay = connectionAttemptDelay
	}
	if local, ok := d.LocalAddr.(*net.TCPAddr); ok && local != nil && local.Port != 0 {
		r.limit = 1 // no two sockets can have the port
	}
	conn, err := r.run(ctx)
	return conn, seen, err
}

// dialAddr connects to one address of a name. Its error is net.Dialer's own.
func (d *Dialer) dialAddr(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error) {
	inner := d.unbound()
	return inner.DialContext(ctx, network, addr.String())
}

// resolve returns the addresses of host in the resolver's order, which is that
// of RFC 6724.
func (d *Dialer) resolve(ctx context.Context, network, host, port string) ([]netip.AddrPort, error) {
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ctx = withoutConnectHooks(ctx)
	portNumber, err := resolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, err
	}
	ips, err := lookupIPs(ctx, resolver, network, host)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip, uint16(portNumber))
	}
	return addrs, nil
}

// lookupIPs asks for the families that network wants, and keeps the zones.
func lookupIPs(ctx context.Context, resolver *net.Resolver, network, host string) ([]netip.Addr, error) {
	family := network[len("tcp"):]
	if family != "" {
		ips, err := resolver.LookupNetIP(ctx, "ip"+family, host)
		if err != nil {
			return nil, err
		}
		if family == "4" || !slices.ContainsFunc(ips, netip.Addr.IsLinkLocalUnicast) {
			for i := range ips {
				ips[i] = ips[i].Unmap() // those of /etc/hosts come in the long form
			}
			return ips, nil
		}
		// That dropped the zones, which these are nothing without.
	}
	withZones, err := resolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	ips := make([]netip.Addr, 0, len(withZones))
	for _, addr := range withZones {
		ip, ok := netip.AddrFromSlice(addr.IP)
		if ip = ip.Unmap(); ok && (family == "" || ip.Is6()) {
			ips = append(ips, ip.WithZone(addr.Zone))
		}
	}
	return ips, nil
}

// withoutConnectHooks keeps the hooks of net/http/httptrace for the name, but
// not those for connections: the resolver's own, to a DNS server, are not the
// caller's. net.Dialer does the same.
func withoutConnectHooks(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return ctx
	}
	start, done := trace.DNSStart, trace.DNSDone
	if start == nil {
		start = func(httptrace.DNSStartInfo) {} // a trace with no hook for package net hides nothing from it
	}
	return httptrace.WithClientTrace(untraced{ctx}, &httptrace.ClientTrace{DNSStart: start, DNSDone: done})
}

// untraced hides a context's ClientTrace, which a new one would call too.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}

// suitable are those of addrs that LocalAddr can reach, in the order in which
// to try them. If there are none, it is the first of all: net.Dialer says what
// is wrong with it.
func (d *Dialer) suitable(addrs []netip.AddrPort) []netip.AddrPort {
	var fit []netip.AddrPort
	for _, addr := range addrs {
		if d.LocalAddr == nil || fits(d.LocalAddr, addr.Addr()) {
			fit = append(fit, addr)
		}
	}
	if len(fit) == 0 {
		return addrs[:1]
	}
	return interleave(fit)[:min(len(fit), maxAddresses)]
}

// fits tells whether a connection from local can go to remote.
func fits(local net.Addr, remote netip.Addr) bool {
	tcp, ok := local.(*net.TCPAddr)
	if !ok {
		return false
	}
	return tcp == nil || len(tcp.IP) == 0 || tcp.IP.IsUnspecified() || remote.IsUnspecified() ||
		(tcp.IP.To4() != nil) == remote.Is4()
}

// interleave takes addresses of the two families in turn, those of each in
// their order, beginning with the first one's (RFC 8305, section 4, with a
// First Address Family Count of 1).
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

// A racer connects to one of several addresses.
type racer struct {
	addrs    []netip.AddrPort // in the order in which to try them
	dial     func(context.Context, netip.AddrPort) (net.Conn, error)
	classify func(error) Class
	delay    time.Duration // before the next address is tried beside the one before
	limit    int           // of those in flight at once
	seen     *lookup       // those tried, in that order

	ctx      context.Context
	results  chan raced
	inFlight int
	answered bool // one of the hosts said no
}

// raced is how the connection attempt at seen.addrs[i] ended.
type raced struct {
	i    int
	conn net.Conn
	err  error
}

// run starts one address after the other: when the one before has failed, or
// has had its delay. It returns when the first has connected or all have
// failed, and when every attempt that it started has come to its end.
func (r *racer) run(ctx context.Context) (net.Conn, error) {
	if len(r.addrs) == 1 {
		return r.only(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.ctx = ctx
	r.results = make(chan raced, len(r.addrs))

	r.start()
	timer := time.NewTimer(r.delay)
	defer timer.Stop()
	for r.inFlight > 0 {
		r.arm(timer)
		select {
		case result := <-r.results:
			r.ended(result)
			if result.conn != nil {
				cancel()
				r.closeRest()
				return result.conn, nil
			}
			if r.pending() {
				r.start()
			}
		case <-timer.C:
			if r.pending() {
				r.start()
			} else if r.ctx.Err() == nil {
				cancel()
				return r.giveUp()
			}
		}
	}
	return nil, r.mostTelling()
}

// arm sets the timer to the start of the next address, or to the end of the
// last ones' time.
func (r *racer) arm(timer *time.Timer) {
	switch {
	case r.pending():
		timer.Reset(r.nextDelay())
	case r.answered && len(r.seen.addrs) == len(r.addrs):
		// A host is there and said no, and a retry may do better. Those
		// that say nothing must not hold it up until the attempt's end.
		timer.Reset(leastPerAddress)
	default:
		timer.Stop()
	}
}

// only connects to the one address there is, with nothing to race against.
func (r *racer) only(ctx context.Context) (net.Conn, error) {
	r.seen.addrs = []AddrResult{{Addr: r.addrs[0], Start: time.Now()}}
	r.inFlight++
	conn, err := r.dial(ctx, r.addrs[0])
	r.ended(raced{0, conn, err})
	return conn, err
}

// pending tells whether there is an address to start, and room for it.
func (r *racer) pending() bool {
	return len(r.seen.addrs) < len(r.addrs) && r.inFlight < r.limit && r.ctx.Err() == nil
}

// nextDelay is a tenth shorter for each address started, down to the least
// that RFC 8305 recommends: the more of them are silent, the less the next one
// is worth waiting for.
func (r *racer) nextDelay() time.Duration {
	delay := r.delay
	for range len(r.seen.addrs) - 1 {
		delay -= delay / 10
	}
	return max(delay, min(r.delay, leastDelay))
}

// start starts the next address.
func (r *racer) start() {
	i := len(r.seen.addrs)
	addr := r.addrs[i]
	r.seen.addrs = append(r.seen.addrs, AddrResult{Addr: addr, Start: time.Now()})
	r.inFlight++
	ctx, cancel := r.share(i)
	go func() {
		defer cancel()
		conn, err := r.dial(ctx, addr)
		r.results <- raced{i, conn, err}
	}()
}

// share is the time of the i-th address: all there is if the addresses that
// are left can be in flight at once, or a fair part of it.
func (r *racer) share(i int) (context.Context, context.CancelFunc) {
	rounds := (len(r.addrs) - i + r.limit - 1) / r.limit
	deadline, ok := r.ctx.Deadline()
	if !ok || rounds == 1 {
		return r.ctx, func() {}
	}
	return context.WithTimeout(r.ctx, max(time.Until(deadline)/time.Duration(rounds), leastPerAddress))
}

// ended notes how an address's attempt ended.
func (r *racer) ended(result raced) {
	r.inFlight--
	a := &r.seen.addrs[result.i]
	a.Duration = time.Since(a.Start)
	if a.Err = result.err; a.Err != nil {
		a.Class = r.classify(a.Err)
	}
	r.answered = r.answered || a.Class == Refused || a.Class == Reset
}

// closeRest waits for those in flight, which have been canceled, for another
// has won.
func (r *racer) closeRest() {
	for r.inFlight > 0 {
		result := <-r.results
		if result.conn != nil {
			result.conn.Close()
			result.err = context.Canceled
		}
		r.ended(result)
	}
}

// giveUp waits for those in flight, which have been canceled, for their time
// is up. One that has connected all the same is welcome.
func (r *racer) giveUp() (net.Conn, error) {
	for r.inFlight > 0 {
		result := <-r.results
		if op, ok := result.err.(*net.OpError); ok && errors.Is(op, context.Canceled) {
			timeout := *op
			timeout.Err = os.ErrDeadlineExceeded
			result.err = &timeout
		}
		r.ended(result)
		if result.conn != nil {
			r.closeRest()
			return result.conn, nil
		}
	}
	return nil, r.mostTelling()
}

// mostTelling is the error of the address whose class tells most of the name,
// the first one's of several: no v6 without a route hides a v4 that refused.
func (r *racer) mostTelling() error {
	most := r.seen.addrs[0]
	for _, a := range r.seen.addrs[1:] {
		if a.Class.weight() > most.Class.weight() {
			most = a
		}
	}
	return most.Err
}

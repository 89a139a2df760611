package redial

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-33f8b841/redial/internal/resolver"
)

// This file turns a name into addresses. A look-up belongs to the dial: if an attempt runs out
// of time, the look-up goes on, and the next attempt takes its result. A dial has one look-up at a
// time. The nested dials of one dial share what they know about a name, as its attempts do.

const (
	// lookupPatience is how long a look-up waits for the addresses of one family when it has
	// those of the other; each next look-up of the dial waits twice as long. It is also how
	// long an attempt waits for a look-up if the dial knows earlier addresses.
	lookupPatience = time.Second

	// mostDoubts is how many look-ups of a dial may end in a doubtful "no such host" before
	// the dial believes it.
	mostDoubts = 2
)

// A name is what a dial knows about the name that it dials.
type name struct {
	host, port string
	running    *lookup      // it goes on, or no attempt has used its result; nil if the next attempt begins one
	used       *lookup      // the look-up that gave the latest attempt its result; nil if none did
	count      int          // look-ups begun
	doubts     int          // look-ups that ended in a doubtful "no such host"
	exists     bool         // the name has resolved in this dial
	stale      bool         // the latest attempt uses what an earlier look-up found
	known      []netip.Addr // its latest addresses; nil if it has not resolved, or does not exist any more
}

// A lookup is one look-up of a name, in a goroutine of its own. It is also the context of that
// goroutine, and the mark of a live attempt: a Dialer that dials the DNS server is nested.
type lookup struct {
	attemptContext
	canceled chan struct{}
	log      *resolver.Log
	ownLog   resolver.Log

	done    chan struct{} // closed when the fields below are set
	endedAt time.Time
	ips     []netip.Addr
	err     error
}

func (l *lookup) Deadline() (time.Time, bool) { return time.Time{}, false }
func (l *lookup) Done() <-chan struct{}       { return l.canceled }

func (l *lookup) Err() error {
	if l.ended.Load() {
		return context.Canceled
	}
	return nil
}

func (l *lookup) Value(key any) any {
	if key == (resolver.LogKey{}) {
		return l.log
	}
	return l.attemptContext.Value(key)
}

// end ends the look-up, if it is still running.
func (l *lookup) end() {
	if !l.ended.Swap(true) {
		close(l.canceled)
	}
}

// resolve returns the addresses of the dial's name, at least one, and the number of its port. It
// waits for the dial's look-up until ctx ends, and begins one if none is running.
func (d *dial) resolve(ctx context.Context) (ips []netip.Addr, port uint16, unanswered string, err error) {
	number, err := d.dialer.resolver().LookupPort(ctx, d.network, d.name.port)
	if err != nil {
		return nil, 0, "", err
	}
	if d.request != nil {
		d.request.resolves(d.name.host)
		defer d.request.resolves("")
	}
	ips, unanswered, err = d.lookUp(ctx)
	return ips, uint16(number), unanswered, err
}

func (d *Dialer) resolver() *net.Resolver {
	if d.Resolver == nil {
		return net.DefaultResolver
	}
	return d.Resolver
}

// lookUp returns what the dial's look-up finds, or what an earlier one has found.
func (d *dial) lookUp(ctx context.Context) (ips []netip.Addr, unanswered string, err error) {
	l := d.name.running
	var trace *httptrace.ClientTrace
	if l == nil {
		l = d.startLookup(patienceOf(ctx) << min(d.name.count, 10))
		trace = httptrace.ContextClientTrace(ctx)
	}
	if trace != nil && trace.DNSStart != nil {
		trace.DNSStart(httptrace.DNSStartInfo{Host: d.name.host})
	}
	d.name.used, d.name.stale = nil, false
	var impatient <-chan time.Time
	if d.name.known != nil {
		timer := time.NewTimer(patienceOf(ctx))
		defer timer.Stop()
		impatient = timer.C
	}
	select {
	case <-impatient:
		ips, d.name.stale = d.name.known, true
	case <-l.done:
		d.name.running, d.name.used = nil, l
		l.end()
		ips, err = d.judge(l)
	case <-ctx.Done():
		err = lookupCutOff(ctx, d.name.host)
	}
	if trace != nil && trace.DNSDone != nil {
		trace.DNSDone(httptrace.DNSDoneInfo{Addrs: ipAddrs(ips), Err: err, Coalesced: l.log != &l.ownLog})
	}
	return ips, l.log.Unanswered(), err
}

// reuseLookup makes the next attempt use the result of the look-up that the attempt in flight
// used, if its time ran out before the addresses had a chance.
func (d *dial) reuseLookup() {
	if l := d.name.used; l != nil && l.err == nil && time.Since(l.endedAt) < connectionAttemptDelay {
		d.name.running = l
	}
}

// patienceOf returns lookupPatience, or half of the attempt's time if that is less.
func patienceOf(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(lookupPatience, time.Until(deadline)/2)
	}
	return lookupPatience
}

// startLookup begins a look-up, which ends with the dial. Its context has the values of the
// dial's, but not the hooks of net/http/httptrace: the caller's goroutine calls the hooks for
// look-ups, and connections to a DNS server are not the caller's.
func (d *dial) startLookup(patience time.Duration) *lookup {
	l := &lookup{canceled: make(chan struct{}), done: make(chan struct{})}
	l.Context = withoutTrace(d.attemptCtx)
	l.ownLog.Patience, l.ownLog.Family = patience, familyFor(d.dialer.LocalAddr)
	key := resolver.Lookup{Resolver: resolver.For(d.dialer.Resolver), Family: d.network[len("tcp"):], Host: d.name.host} // or of udp
	l.log = l.ownLog.Join(key)
	d.name.running = l
	d.name.count++
	go l.run(key)
	return l
}

func (l *lookup) run(key resolver.Lookup) {
	defer l.log.Leave(key)
	l.ips, l.err = lookupIPs(l, key.Resolver, key.Family, key.Host)
	l.endedAt = time.Now()
	close(l.done)
}

// endLookup ends the look-up that is still running.
func (n *name) endLookup() {
	if n.running != nil {
		n.running.end()
	}
}

// A nameKey says which nested dials have a name in common.
type nameKey struct {
	resolver         *net.Resolver
	network, address string
}

// keptNames are the names of one dial's nested dials. Each nested dial takes its name, and leaves it
// to the next one. A nil *keptNames keeps none.
type keptNames struct {
	mu    sync.Mutex
	names map[nameKey]*name
	ended bool // the outer dial has ended: nothing is kept any more
}

// take returns the name that is kept for key, or fresh if none is.
func (k *keptNames) take(key nameKey, fresh *name) *name {
	if k == nil {
		return fresh
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := k.names[key]
	if kept == nil {
		return fresh
	}
	delete(k.names, key)
	return kept
}

// keep keeps n for the next nested dial, unless there is none to come.
func (k *keptNames) keep(key nameKey, n *name) {
	if k == nil {
		n.endLookup()
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended || k.names[key] != nil {
		n.endLookup()
		return
	}
	if k.names == nil {
		k.names = make(map[nameKey]*name)
	}
	k.names[key] = n
}

// end ends the look-ups of the names, because the outer dial has ended.
func (k *keptNames) end() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	for _, n := range k.names {
		n.endLookup()
	}
}

// leaveNames ends the look-ups that still run. A nested dial leaves its look-up to the outer dial,
// because the outer dial's next attempt may dial the same name.
func (d *dial) leaveNames() {
	d.kept.end()
	switch {
	case d.name == nil:
	case d.outer != nil:
		d.outer.kept.keep(d.nameKey(), d.name)
	default:
		d.name.endLookup()
	}
}

func (d *dial) nameKey() nameKey { return nameKey{d.dialer.Resolver, d.network, d.address} }

// judge returns the result of the look-up, corrected by the dial's earlier look-ups. A name that has
// resolved exists: after a temporary failure, judge returns its earlier addresses, and a later "no such
// host" is temporary. A "no such host" is also temporary if not every query of the search list was
// answered.
func (d *dial) judge(l *lookup) ([]netip.Addr, error) {
	if l.err == nil {
		d.name.known, d.name.exists = l.ips, true
		if d.visit != nil {
			d.visit.route.resolved()
		}
		return l.ips, nil
	}
	switch Classify(l.err) {
	case DNS:
		if d.name.known != nil {
			d.name.stale = true
			return d.name.known, nil
		}
	case NotFound:
		d.name.known = nil
		if d.name.exists || d.visit != nil && d.visit.route.hasResolved() {
			return nil, &net.DNSError{UnwrapErr: l.err, Err: "no such host, although the name has resolved before", Name: d.name.host, IsTemporary: true}
		}
		if server, silent, ok := l.log.Doubtful(); ok && d.name.doubts < mostDoubts {
			d.name.doubts++
			return nil, &net.DNSError{UnwrapErr: l.err, Err: "no such host, but not every query was answered", Name: d.name.host, Server: server,
				IsTimeout: silent, IsTemporary: true}
		}
	}
	return nil, l.err
}

// lookupCutOff returns the error of an attempt that ended while it waited for the look-up. It
// has the form of package net's.
func lookupCutOff(ctx context.Context, host string) error {
	err := &net.DNSError{UnwrapErr: ctx.Err(), Err: "operation was canceled", Name: host}
	if ctx.Err() == context.DeadlineExceeded {
		err.Err, err.IsTimeout, err.IsTemporary = "i/o timeout", true, true
	}
	return err
}

func ipAddrs(ips []netip.Addr) []net.IPAddr {
	all := make([]net.IPAddr, len(ips))
	for i, ip := range ips {
		all[i] = net.IPAddr{IP: ip.AsSlice(), Zone: ip.Zone()}
	}
	return all
}

// lookupIPs resolves host to addresses of the family "4" or "6", or of both if family is
// empty. It asks for no other family, and keeps the zones. It returns at
// least one address, or an error.
func lookupIPs(ctx context.Context, r *net.Resolver, family, host string) ([]netip.Addr, error) {
	ips, err := lookupFamily(ctx, r, family, host)
	if err == nil && len(ips) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return ips, err
}

func lookupFamily(ctx context.Context, r *net.Resolver, family, host string) ([]netip.Addr, error) {
	if family == "" {
		return lookupZoned(ctx, r, host)
	}
	ips, err := r.LookupNetIP(ctx, "ip"+family, host)
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
	zoned, err := lookupZoned(ctx, r, host)
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
func lookupZoned(ctx context.Context, r *net.Resolver, host string) ([]netip.Addr, error) {
	addrs, err := r.LookupIPAddr(ctx, host)
	ips := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		if ip, ok := netip.AddrFromSlice(addr.IP); ok {
			ips = append(ips, ip.Unmap().WithZone(addr.Zone))
		}
	}
	return ips, err
}

// withoutTrace returns ctx without the hooks of net/http/httptrace. Package net finds them by a
// key of its own, whose value only WithClientTrace can replace.
func withoutTrace(ctx context.Context) context.Context {
	if httptrace.ContextClientTrace(ctx) == nil {
		return ctx
	}
	return httptrace.WithClientTrace(untraced{ctx}, &httptrace.ClientTrace{DNSStart: func(httptrace.DNSStartInfo) {}})
}

// untraced hides a context's ClientTrace, which WithClientTrace would call as well.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}

// isName reports whether host is a name to look up, rather than an IP address.
func isName(host string) bool {
	if host == "" {
		return false
	}
	if last := host[len(host)-1]; (last < '0' || last > '9') && !strings.Contains(host, ":") {
		return true // no IP address looks so; to parse it would cost an error
	}
	_, err := netip.ParseAddr(host)
	return err != nil
}

package redial

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// This file decides in which order the addresses of a name are tried, by what is known about
// them: an address that failed lately goes last, and the one that worked lately comes first.

const (
	routeMemory = 10 * time.Minute // how long a route remembers which addresses failed or worked
	nameMemory  = time.Minute      // how long it remembers that a name has resolved
)

// maxAddresses is how many addresses one attempt tries, if another attempt can follow.
const maxAddresses = 64

// A route holds what dials have learned about the addresses of one target. A dial has one, and
// shares it with its nested dials. The dials to one target at a Gate, or through a Transport, share
// one. It can be used concurrently.
type route struct {
	mu         sync.Mutex
	resolvedAt time.Time      // when the name of a Gate's target has resolved; zero if it has not
	failures   []addrFailure  // one for each address, the oldest first
	worked     netip.AddrPort // the address that worked last; zero if none did, or if it has failed since
	workedAt   time.Time
}

type addrFailure struct {
	addr netip.AddrPort
	at   time.Time
}

// knows reports whether the route has learned anything.
func (r *route) knows() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.worked.IsValid() || len(r.failures) > 0 || !r.resolvedAt.IsZero()
}

// failed notes that addr refused, was silent, or failed after it had connected.
func (r *route) failed(addr netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(addr, time.Now())
	r.failures = append(r.failures, addrFailure{addr, time.Now()})
	if r.worked == addr {
		r.worked = netip.AddrPort{}
	}
}

// connected notes that addr works.
func (r *route) connected(addr netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(addr, time.Now())
	r.worked, r.workedAt = addr, time.Now()
}

// forget drops the failure of addr, and failures that are too old.
func (r *route) forget(addr netip.AddrPort, now time.Time) {
	r.failures = slices.DeleteFunc(r.failures, func(f addrFailure) bool {
		return f.addr == addr || now.Sub(f.at) > routeMemory
	})
}

// resolved notes that the target's name exists.
func (r *route) resolved() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resolvedAt = time.Now()
}

// hasResolved reports whether the target's name has resolved lately, for a dial at the same Gate.
func (r *route) hasResolved() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.resolvedAt.IsZero() && time.Since(r.resolvedAt) <= nameMemory
}

// sort sorts addrs: first the address that worked last, then the addresses that have not failed, in
// their present order, then the failed ones, the earliest failure first.
func (r *route) sort(addrs []netip.AddrPort, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rank := func(addr netip.AddrPort) int {
		if addr == r.worked && now.Sub(r.workedAt) <= routeMemory {
			return -1
		}
		return 1 + slices.IndexFunc(r.failures, func(f addrFailure) bool {
			return f.addr == addr && now.Sub(f.at) <= routeMemory
		})
	}
	slices.SortStableFunc(addrs, func(a, b netip.AddrPort) int { return rank(a) - rank(b) })
}

// maxRoutes is how many routes a Transport keeps, because a crawler dials any number of targets.
const maxRoutes = 1000

// routes are the routes of a Transport. The zero value is ready to use.
type routes struct {
	mu        sync.Mutex
	byAddress map[string]*route
}

// to returns the route to address. If there are too many, it forgets another one.
func (r *routes) to(address string) *route {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.byAddress[address]
	if known != nil {
		return known
	}
	if r.byAddress == nil {
		r.byAddress = make(map[string]*route)
	}
	for other := range r.byAddress {
		if len(r.byAddress) < maxRoutes {
			break
		}
		delete(r.byAddress, other)
	}
	known = new(route)
	r.byAddress[address] = known
	return known
}

// inOrder returns the addresses that LocalAddr can reach, each once, in the order in which to
// try them. If LocalAddr can reach none, inOrder returns the first, because net.Dialer's error
// explains what is wrong with it. There must be one at least.
func (d *dial) inOrder(ips []netip.Addr, port uint16) []netip.AddrPort {
	var fit []netip.AddrPort
	taken := make(map[netip.Addr]bool, len(ips))
	for _, ip := range ips {
		if !taken[ip] && fits(d.dialer.LocalAddr, ip) {
			taken[ip] = true
			fit = append(fit, netip.AddrPortFrom(ip, port))
		}
	}
	if len(fit) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(ips[0], port)}
	}
	if d.dialer.FallbackDelay >= 0 {
		fit = interleave(fit)
	}
	if d.route != nil {
		d.route.sort(fit, time.Now())
	}
	if d.lastAttempt {
		return fit // no other attempt will try the rest
	}
	return fit[:min(len(fit), maxAddresses)]
}

// fits reports whether a connection can go from local to remote. It decides as
// net.Dialer does.
func fits(local net.Addr, remote netip.Addr) bool {
	var ip net.IP
	switch local := local.(type) {
	case nil:
		return true
	case *net.TCPAddr:
		if local != nil {
			ip = local.IP
		}
	case *net.UDPAddr:
		if local != nil {
			ip = local.IP
		}
	default:
		return false
	}
	return len(ip) == 0 || ip.IsUnspecified() || remote.IsUnspecified() || (ip.To4() != nil) == remote.Is4()
}

// familyFor returns "4" or "6" if a connection from local can go to addresses of that family only.
func familyFor(local net.Addr) string {
	four, six := fits(local, netip.AddrFrom4([4]byte{127, 0, 0, 1})), fits(local, netip.IPv6Loopback())
	switch {
	case four && !six:
		return "4"
	case six && !four:
		return "6"
	}
	return ""
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

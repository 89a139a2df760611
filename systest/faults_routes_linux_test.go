package systest_test

// These faults are in the network between the dialer and its target: routes and addresses. Each
// network fault is tested on IPv4 and IPv6, with a dial to an address and a dial to a name. The name
// is resolved by Go's resolver and by the C library's.

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// silent is the Timeout of an attempt that gets no answer. A busy machine answers sooner. The Timeout
// is under a second, because after a second the kernel reports a swallowed IPv6 SYN as an error.
const silent = 700 * time.Millisecond

// targetPort is the port at which every target of testNetworkFaults echoes.
const targetPort = "7777"

// testNetworkFaults runs the subtests of faults in namespaces. Each subtest has a target of its own,
// so the subtests run in parallel. In the namespaces, setUp is called first.
func testNetworkFaults(t *testing.T, setUp func(t *testing.T), faults []fault) {
	eachResolver(t, nil, func(t *testing.T, resolver string) {
		server := dnstest.Start(t, dnsPort53)
		targets := newTargets(t)
		setUp(t)
		for _, f := range faults {
			for _, family := range []family{ipv4, ipv6} {
				if f.only != "" && f.only != family {
					continue
				}
				for _, by := range []string{"address", "name"} {
					if by == "address" && resolver != "go" {
						continue // no resolver has a part in it
					}
					t.Run(f.String()+"/"+string(family)+" by "+by, func(t *testing.T) {
						if family == ipv6 {
							skipWithoutIPv6(t)
						}
						d := faultyDial{network: "tcp", ip: targets.next(family)}
						t.Parallel()
						named := f
						named.begin = func(t *testing.T, d *faultyDial) func() {
							mend := f.begin(t, d)
							host := d.ip.String()
							if by == "name" {
								host = strings.NewReplacer(".", "-", ":", "-").Replace(host) + ".test"
								server.Set(host, dnstest.Addrs(d.ip.String()))
							}
							d.address = net.JoinHostPort(host, targetPort)
							return mend
						}
						named.test(t, d)
					})
				}
			}
		}
	})
}

// targets has the addresses of targets that were not used yet.
type targets map[family]netip.Addr

// newTargets makes targets of all addresses in two prefixes.
func newTargets(t *testing.T) targets {
	addLocalRoute(t, "198.51.100.0/24")
	network, listenAt := "tcp4", "0.0.0.0"
	if hasIPv6() {
		addLocalRoute(t, "2001:db8:1::/64")
		network, listenAt = "tcp", "::"
	}
	testutil.Listen(t, network, net.JoinHostPort(listenAt, targetPort), func(conn net.Conn) {
		// A firewall may keep the end of the connection from the server.
		stop := context.AfterFunc(t.Context(), func() { conn.Close() })
		defer stop()
		testutil.Echo(conn)
	})
	return targets{ipv4: netip.MustParseAddr("198.51.100.1"), ipv6: netip.MustParseAddr("2001:db8:1::1")}
}

// next returns a target.
func (n targets) next(f family) netip.Addr {
	ip := n[f]
	n[f] = ip.Next()
	return ip
}

// prefixOf returns the prefix that contains only ip.
func prefixOf(ip netip.Addr) string { return netip.PrefixFrom(ip, ip.BitLen()).String() }

var routeFaults = []fault{
	{class: redial.Unreachable, cause: "no route until one appears", errno: syscall.ENETUNREACH,
		begin: func(t *testing.T, d *faultyDial) func() {
			outside := d.ip.As16() // a neighbor of newTargets' prefix
			if d.ip.Is4() {
				outside[14]++
			} else {
				outside[7]++
			}
			d.ip = netip.AddrFrom16(outside).Unmap()
			return func() { addLocalRoute(t, prefixOf(d.ip)) }
		}},
	routeFault(redial.Unreachable, "throw route", syscall.ENETUNREACH, syscall.RTN_THROW),
	routeFault(redial.Unreachable, "unreachable route", syscall.EHOSTUNREACH, syscall.RTN_UNREACHABLE),
	routeFault(redial.Denied, "prohibit route", syscall.EACCES, syscall.RTN_PROHIBIT),
	// A blackhole route reports an error to local programs. See swallow for one that reports
	// nothing.
	routeFault(redial.Unreachable, "blackhole route", syscall.EINVAL, syscall.RTN_BLACKHOLE),
	{class: redial.Timeout, cause: "packets vanish until the address moves here",
		begin: func(t *testing.T, d *faultyDial) func() {
			d.Timeout = silent
			swallow(t, prefixOf(d.ip))
			return func() { addAddress(t, prefixOf(d.ip)) }
		}},
}

func routeFault(class redial.Class, cause string, errno syscall.Errno, kind byte) fault {
	return fault{class: class, cause: cause, errno: errno, begin: func(t *testing.T, d *faultyDial) func() {
		return addRoute(t, kind, prefixOf(d.ip))
	}}
}

func TestFaultRoutes(t *testing.T) {
	testNetworkFaults(t, func(*testing.T) {}, routeFaults)
}

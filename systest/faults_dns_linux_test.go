package systest_test

// These faults are in the resolution of a name: in a record, in the DNS server, or on the way to it.
// Go's resolver and the C library's report them with different errors, but with the same class.

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// replyFaults are wrong answers of the DNS server, which then has the right one.
var replyFaults = []fault{
	replyFault(redial.DNS, "SERVFAIL", dnstest.ServFail, 0),
	replyFault(redial.DNS, "REFUSED", dnstest.Refused, 0),
	replyFault(redial.DNS, "silence until the resolver gives up", dnstest.Silence, 0),
	replyFault(redial.DNS, "silence until the attempt ends", dnstest.Silence, 300*time.Millisecond),
	replyFault(redial.NotFound, "NXDOMAIN", dnstest.NoSuchName, 0),
	replyFault(redial.NotFound, "no data", dnstest.NoData, 0),
	{class: redial.NotFound, cause: "no address of the family", begin: func(t *testing.T, d *faultyDial) func() {
		wrong := "127.0.0.1"
		if d.network = "tcp6"; d.ip.Is4() {
			wrong, d.network = "::1", "tcp4"
		}
		return d.record(wrong)
	}},

	// A record that leads elsewhere. The next attempt must not use the old answer.
	recordFault(redial.Refused, "record of a host where nothing listens", 0, "192.0.2.1", "2001:db8::1"),
	recordFault(redial.Unreachable, "record of a host without a route", 0, "203.0.113.1", "2001:db8:9::1"),
	recordFault(redial.Timeout, "record of a host that is silent", silent, "198.51.100.1", "2001:db8:2::1"),

	// No server is asked about these names, which no server can know.
	nameFault("name with a label over 63 octets", strings.Repeat("x", 64)+".test"),
	nameFault("name over 253 octets", strings.Repeat("123456789.", 26)+"test"),
	nameFault("name with an empty label", "a..test"),
	nameFault("name with a space", "a b.test"),
	nameFault("name that is a bad IPv4 address", "127.0.0.256"),
}

// record makes the DNS server answer with addr until mend is called.
func (d *faultyDial) record(addr string) (mend func()) { return d.reply(dnstest.Addrs(addr)) }

func (d *faultyDial) reply(wrong dnstest.Reply) (mend func()) {
	d.server.Set(d.name, wrong)
	return func() { d.server.Set(d.name, dnstest.Addrs(d.ip.String())) }
}

func replyFault(class redial.Class, cause string, reply dnstest.Reply, timeout time.Duration) fault {
	return fault{class: class, cause: cause, begin: func(t *testing.T, d *faultyDial) func() {
		d.Timeout = timeout
		return d.reply(reply)
	}}
}

func recordFault(class redial.Class, cause string, timeout time.Duration, old4, old6 string) fault {
	return fault{class: class, cause: cause, begin: func(t *testing.T, d *faultyDial) func() {
		d.Timeout = timeout
		if d.ip.Is4() {
			return d.record(old4)
		}
		return d.record(old6)
	}}
}

func nameFault(cause, name string) fault {
	return fault{class: redial.Invalid, cause: cause, begin: func(t *testing.T, d *faultyDial) func() {
		d.address = net.JoinHostPort(name, "80")
		return nil
	}}
}

func TestFaultDNSReplies(t *testing.T) {
	eachResolver(t, nil, func(t *testing.T, resolver string) {
		server := dnstest.Start(t, dnsPort53)
		requireResolver(t, resolver)
		addAddress(t, "192.0.2.1/32")
		swallow(t, "198.51.100.1/32")
		if hasIPv6() {
			addAddress(t, "2001:db8::1/128")
			swallow(t, "2001:db8:2::1/128")
		}
		listenBoth(t)
		for i, f := range replyFaults {
			for _, family := range []family{ipv4, ipv6} {
				t.Run(f.String()+"/"+string(family), func(t *testing.T) {
					t.Parallel()
					d := nameDial(t, family)
					d.server = server
					d.name = "name" + strconv.Itoa(i) + "." + strings.ToLower(string(family)) + ".test"
					d.address = net.JoinHostPort(d.name, targetPort)
					f.test(t, d)
				})
			}
		}
	})
}

// nameDial returns a dial to a name with an address of a family.
func nameDial(t *testing.T, f family) faultyDial {
	d := faultyDial{network: "tcp", name: "name.test", address: "name.test:" + targetPort, ip: netip.MustParseAddr("127.0.0.1")}
	if f == ipv6 {
		skipWithoutIPv6(t)
		d.ip = netip.IPv6Loopback()
	}
	return d
}

// listenBoth listens on the loopback addresses of both families.
func listenBoth(t *testing.T) {
	testutil.Listen(t, "tcp", "127.0.0.1:"+targetPort, testutil.Echo)
	if hasIPv6() {
		testutil.Listen(t, "tcp", "[::1]:"+targetPort, testutil.Echo)
	}
}

// dnsServerFaults keep the resolver from its DNS server. They change the whole namespace.
var dnsServerFaults = []fault{
	{class: redial.DNS, cause: "DNS server dead until it starts", begin: func(t *testing.T, d *faultyDial) func() {
		return func() { startDNS(t, d) }
	}},
	{class: redial.DNS, cause: "interface to the DNS server down", begin: func(t *testing.T, d *faultyDial) func() {
		startDNS(t, d)
		d.Timeout = silent
		return interfaceDown(t)
	}},
	dnsFirewallFault("firewall drops the query", "udp dport 53 drop"),
	dnsFirewallFault("firewall drops the answer", "udp sport 53 drop"),
	dnsFirewallFault("firewall rejects the query with icmp port-unreachable", "udp dport 53 reject with icmp type port-unreachable"),
	dnsFirewallFault("firewall rejects the query with icmp admin-prohibited", "udp dport 53 reject with icmp type admin-prohibited"),
	{class: redial.DNS, cause: "no route to the DNS server until one appears", begin: func(t *testing.T, d *faultyDial) func() {
		writeEtc(t, "resolv.conf", "nameserver 203.0.113.53\noptions timeout:1 attempts:1\n")
		startDNSAt(t, d, "0.0.0.0:53")
		return func() { addLocalRoute(t, "203.0.113.53/32") }
	}},
	{class: redial.DNS, cause: "prohibit route to the DNS server", begin: func(t *testing.T, d *faultyDial) func() {
		writeEtc(t, "resolv.conf", "nameserver 203.0.113.53\noptions timeout:1 attempts:1\n")
		addLocalRoute(t, "203.0.113.0/24")
		startDNSAt(t, d, "0.0.0.0:53")
		return addRoute(t, syscall.RTN_PROHIBIT, "203.0.113.53/32")
	}},
}

// policyFaults are a resolver's own: the machine does not let it ask. They change the whole process.
var policyFaults = []fault{
	{class: redial.NotFound, cause: "nsswitch.conf without dns", begin: func(t *testing.T, d *faultyDial) func() {
		startDNS(t, d)
		writeEtc(t, "nsswitch.conf", "hosts: files\n")
		return nil
	}},
	{class: redial.NotFound, cause: "hosts file has only the other family", begin: func(t *testing.T, d *faultyDial) func() {
		writeEtc(t, "nsswitch.conf", "hosts: files\n")
		other := "2001:db8::7" // the C library takes ::1 for 127.0.0.1 too
		if d.network = "tcp4"; d.ip.Is6() {
			other, d.network = "192.0.2.7", "tcp6"
		}
		writeEtc(t, "hosts", other+" "+d.name+"\n")
		return nil
	}},
}

func dnsFirewallFault(cause, rule string) fault {
	return fault{class: redial.DNS, cause: cause, begin: func(t *testing.T, d *faultyDial) func() {
		skipWithoutFirewall(t)
		startDNS(t, d)
		d.Timeout = silent
		return addRule(t, rule)
	}}
}

func startDNS(t *testing.T, d *faultyDial) { startDNSAt(t, d, dnsPort53) }

func startDNSAt(t *testing.T, d *faultyDial, address string) {
	d.server = dnstest.Start(t, address)
	d.server.Set(d.name, dnstest.Addrs(d.ip.String()))
}

// Each fault has a namespace of its own. The name has an IPv6 address for Go's resolver, and an IPv4
// address for the C library's.
func TestFaultDNSServer(t *testing.T) {
	t.Parallel()
	for _, f := range append(dnsServerFaults, policyFaults...) {
		t.Run(f.String(), func(t *testing.T) {
			eachResolver(t, nil, func(t *testing.T, resolver string) {
				listenBoth(t)
				d := nameDial(t, ipv4)
				if resolver == "go" && hasIPv6() {
					d = nameDial(t, ipv6)
				}
				f.test(t, d)
			})
		})
	}
}

package systest_test

// These faults are ICMP and ICMPv6 messages, with every type and code that ends a connect, also
// those that no firewall of Linux sends. The SYN leaves by a tun device. The test reads the SYN
// there, and answers as a router would. See firewallFaults for the messages of a real firewall.

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// An icmpMessage is the type and code of an ICMP or ICMPv6 message.
type icmpMessage struct{ kind, code byte }

// A router answers each SYN to an address with the address's message.
type router struct {
	tun   *os.File
	index int // of its network interface

	mu       sync.Mutex
	messages map[netip.Addr]icmpMessage
}

// startRouter starts a router, which stops when t ends.
func startRouter(t *testing.T) *router {
	t.Helper()
	// The SYNs need a source address that is not the loopback interface's own.
	addAddress(t, "192.0.2.1/32")
	if hasIPv6() {
		addAddress(t, "2001:db8::1/128")
	}
	const name = "redial0"
	r := &router{tun: openTUN(t, name), messages: map[netip.Addr]icmpMessage{}}
	device, err := net.InterfaceByName(name)
	require.NoError(t, err)
	r.index = device.Index
	setFlags(t, r.index, syscall.IFF_UP)
	var serving sync.WaitGroup
	serving.Go(r.serve)
	t.Cleanup(func() {
		r.tun.Close()
		serving.Wait()
	})
	return r
}

// answer makes the router answer SYNs to ip, until remove is called.
func (r *router) answer(t *testing.T, ip netip.Addr, m icmpMessage) (remove func()) {
	r.mu.Lock()
	r.messages[ip] = m
	r.mu.Unlock()
	return routeThrough(t, r.index, prefixOf(ip))
}

func (r *router) serve() {
	packet := make([]byte, 1<<16)
	for {
		n, err := r.tun.Read(packet)
		if err != nil {
			return
		}
		if answer := r.reply(packet[:n]); answer != nil {
			r.tun.Write(answer)
		}
	}
}

// reply returns the answer to an IP packet, or nil. The message comes from the address that the
// packet was sent to.
func (r *router) reply(packet []byte) []byte {
	from, to, ok := addressesOf(packet)
	if !ok {
		return nil
	}
	r.mu.Lock()
	m, ok := r.messages[to]
	r.mu.Unlock()
	if !ok {
		return nil
	}
	message := []byte{m.kind, m.code, 0, 0, 0, 0, 0, 0} // type, code, checksum, and four bytes that the types differ in
	message = append(message, packet...)
	if to.Is4() {
		binary.BigEndian.PutUint16(message[2:], checksum(message))
		header := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, syscall.IPPROTO_ICMP, 0, 0}
		binary.BigEndian.PutUint16(header[2:], uint16(20+len(message)))
		header = append(append(header, to.AsSlice()...), from.AsSlice()...)
		binary.BigEndian.PutUint16(header[10:], checksum(header))
		return append(header, message...)
	}
	addresses := append(to.AsSlice(), from.AsSlice()...)
	pseudo := binary.BigEndian.AppendUint32(append([]byte{}, addresses...), uint32(len(message))) // RFC 8200, section 8.1
	pseudo = append(pseudo, 0, 0, 0, syscall.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(message[2:], checksum(append(pseudo, message...)))
	header := []byte{0x60, 0, 0, 0, 0, 0, syscall.IPPROTO_ICMPV6, 64}
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	return append(append(header, addresses...), message...)
}

// addressesOf returns the source and the destination of a TCP packet. It reports false for another
// packet, such as those by which the kernel looks for IPv6 routers.
func addressesOf(packet []byte) (from, to netip.Addr, ok bool) {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4 && packet[9] == syscall.IPPROTO_TCP:
		return netip.AddrFrom4([4]byte(packet[12:])), netip.AddrFrom4([4]byte(packet[16:])), true
	case len(packet) >= 40 && packet[0]>>4 == 6 && packet[6] == syscall.IPPROTO_TCP:
		return netip.AddrFrom16([16]byte(packet[8:])), netip.AddrFrom16([16]byte(packet[24:])), true
	}
	return from, to, false
}

// checksum returns the Internet checksum (RFC 1071).
func checksum(data []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(data); i += 2 {
		sum += uint32(data[i]) << 8
		if i+1 < len(data) {
			sum += uint32(data[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// The kernel's own table of the errnos is icmp_err_convert in net/ipv4/icmp.c, and tab_unreach in
// net/ipv6/icmp.c.
var icmpMessages = []struct {
	family  family
	cause   string
	message icmpMessage
	class   redial.Class
	errno   syscall.Errno
}{
	{ipv4, "network unreachable", icmpMessage{3, 0}, redial.Unreachable, syscall.ENETUNREACH},
	{ipv4, "host unreachable", icmpMessage{3, 1}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv4, "protocol unreachable", icmpMessage{3, 2}, redial.Unreachable, syscall.ENOPROTOOPT},
	{ipv4, "port unreachable", icmpMessage{3, 3}, redial.Refused, syscall.ECONNREFUSED},
	{ipv4, "source route failed", icmpMessage{3, 5}, redial.Unreachable, syscall.EOPNOTSUPP},
	{ipv4, "network unknown", icmpMessage{3, 6}, redial.Unreachable, syscall.ENETUNREACH},
	{ipv4, "host unknown", icmpMessage{3, 7}, redial.Unreachable, syscall.EHOSTDOWN},
	{ipv4, "host isolated", icmpMessage{3, 8}, redial.Unreachable, syscall.ENONET},
	{ipv4, "network prohibited", icmpMessage{3, 9}, redial.Unreachable, syscall.ENETUNREACH},
	{ipv4, "host prohibited", icmpMessage{3, 10}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv4, "network unreachable for the type of service", icmpMessage{3, 11}, redial.Unreachable, syscall.ENETUNREACH},
	{ipv4, "host unreachable for the type of service", icmpMessage{3, 12}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv4, "administratively prohibited", icmpMessage{3, 13}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv4, "precedence violation", icmpMessage{3, 14}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv4, "precedence cutoff", icmpMessage{3, 15}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv4, "time exceeded", icmpMessage{11, 0}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv4, "parameter problem", icmpMessage{12, 0}, redial.Unreachable, syscall.EPROTO},

	{ipv6, "no route", icmpMessage{1, 0}, redial.Unreachable, syscall.ENETUNREACH},
	{ipv6, "administratively prohibited", icmpMessage{1, 1}, redial.Denied, syscall.EACCES},
	{ipv6, "beyond scope", icmpMessage{1, 2}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv6, "address unreachable", icmpMessage{1, 3}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv6, "port unreachable", icmpMessage{1, 4}, redial.Refused, syscall.ECONNREFUSED},
	{ipv6, "source address failed policy", icmpMessage{1, 5}, redial.Denied, syscall.EACCES},
	{ipv6, "reject route", icmpMessage{1, 6}, redial.Denied, syscall.EACCES},
	{ipv6, "time exceeded", icmpMessage{3, 0}, redial.Unreachable, syscall.EHOSTUNREACH},
	{ipv6, "parameter problem", icmpMessage{4, 0}, redial.Unreachable, syscall.EPROTO},
}

// icmpFaults returns the faults whose messages *r sends.
func icmpFaults(r **router) (faults []fault) {
	for _, c := range icmpMessages {
		faults = append(faults, fault{class: c.class, cause: "ICMP " + c.cause, errno: c.errno, only: c.family,
			begin: func(t *testing.T, d *faultyDial) func() { return (*r).answer(t, d.ip, c.message) }})
	}
	return faults
}

func TestFaultICMP(t *testing.T) {
	var r *router
	testNetworkFaults(t, func(t *testing.T) { r = startRouter(t) }, icmpFaults(&r))
}

// The checksum of the example in RFC 1071, section 3.
func TestChecksum(t *testing.T) {
	assert.Equal(t, ^uint16(0xddf2), checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}))
	assert.Equal(t, checksum([]byte{1, 2, 3, 0}), checksum([]byte{1, 2, 3}))
}

package redial

import (
	"errors"
	"net"
	"os"
)

// localTrouble corrects a class by what only this machine can tell of itself,
// so that its own trouble is not blamed on the target, nor the target's on it.
func localTrouble(class Class, err error) Class {
	switch class {
	case NotFound, DNS:
		// Resolvers that can't open a socket, or /etc/hosts, report that
		// the name does not exist, or the cause as a text.
		if outOfDescriptors() {
			return Exhausted
		}
	case Exhausted:
		if lacksIPv6Source(err) {
			return Unreachable
		}
	}
	return class
}

// resolverDescriptors is how many descriptors a resolver may need at once:
// Go's own asks for A and AAAA side by side while a configuration file is open.
const resolverDescriptors = 4

// outOfDescriptors tells whether this process, or this machine, has too few
// descriptors left for a resolver, by opening as many.
func outOfDescriptors() bool {
	for range resolverDescriptors {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return Classify(err) == Exhausted
		}
		defer f.Close()
	}
	return false
}

// lacksIPv6Source tells a machine that has no IPv6 address to speak from, which
// is no way there, from one that has no port left: connect says EADDRNOTAVAIL
// of both. Connecting a UDP socket sends nothing and takes no TCP port, but
// needs a source address (RFC 6724, section 5).
func lacksIPv6Source(err error) bool {
	var op *net.OpError
	var call *os.SyscallError
	if !errors.As(err, &op) || !errors.As(err, &call) {
		return false
	}
	remote := asUDPAddr(op.Addr)
	if remote == nil || remote.IP.To4() != nil {
		return false
	}
	conn, probeErr := net.DialUDP("udp6", nil, remote)
	if probeErr == nil {
		conn.Close()
		return false
	}
	var probe *os.SyscallError
	return errors.As(probeErr, &probe) && *probe == *call
}

// asUDPAddr is the address of a UDP socket on the same host; nil if there is
// none.
func asUDPAddr(addr net.Addr) *net.UDPAddr {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		return (*net.UDPAddr)(addr)
	case *net.UDPAddr:
		return addr
	case *net.IPAddr:
		return &net.UDPAddr{IP: addr.IP, Port: 9, Zone: addr.Zone} // discard: any port will do
	}
	return nil
}

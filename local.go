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
	if !errors.As(err, &op) {
		return false
	}
	remote, ok := op.Addr.(*net.TCPAddr)
	if !ok || remote.IP.To4() != nil {
		return false
	}
	conn, udpErr := net.DialUDP("udp6", nil, &net.UDPAddr{IP: remote.IP, Port: remote.Port, Zone: remote.Zone})
	if udpErr == nil {
		conn.Close()
		return false
	}
	var tcp, udp *os.SyscallError
	return errors.As(err, &tcp) && errors.As(udpErr, &udp) && *tcp == *udp
}

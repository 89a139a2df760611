package redial

import (
	"errors"
	"net"
	"os"
)

// classify asks Classifier, then Classify, then what this machine knows of
// itself. A Classifier's class that is none of the constants counts as Unknown.
func (d *Dialer) classify(err error) Class {
	if d.Classifier != nil {
		if class := d.Classifier(err).known(); class != Unknown {
			return class
		}
	}
	return localTrouble(Classify(err), err)
}

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

// resolverDescriptors is how many descriptors a resolver may need at once. Go's
// own and glibc's do with two, each having been seen to fail with one; the
// rest is for those that other goroutines have given back by now.
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
// of both. Connecting a UDP socket sends nothing, but needs a source address
// (RFC 6724, section 5); its port it has by then, or bind has told.
func lacksIPv6Source(err error) bool {
	var op *net.OpError
	var call *os.SyscallError
	if !errors.As(err, &op) || !errors.As(err, &call) || !isConnect(call) {
		return false
	}
	remote := asUDPAddr(op.Addr)
	if remote == nil || remote.IP.To4() != nil {
		return false
	}
	conn, probeErr := net.DialUDP("udp6", &net.UDPAddr{}, remote)
	if probeErr == nil {
		conn.Close()
		return false
	}
	var probe *os.SyscallError
	return errors.As(probeErr, &probe) && isConnect(probe) && errors.Is(probe.Err, call.Err)
}

// isConnect knows the call by either of its names; Windows has the second.
func isConnect(call *os.SyscallError) bool {
	return call.Syscall == "connect" || call.Syscall == "connectex"
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

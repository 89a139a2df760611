package redial

import (
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/foreign"
)

// This file deals with this machine. It finds out whether a failure is trouble of
// this machine rather than of the target, and removes what an attempt's bind has
// left behind.

// classify returns the class of an attempt's error. It asks Classifier, then
// Classify, and then looks for trouble on this machine. If Classifier returns a
// value that is not a class, it counts as Unknown.
func (d *Dialer) classify(err error) Class {
	if d.Classifier != nil {
		if class := d.Classifier(err).known(); class != Unknown {
			return class
		}
	}
	return localTrouble(Classify(err), err)
}

// localTrouble returns class, or the right class if class blames the target for trouble of this
// machine, or this machine for trouble on the way to the target.
func localTrouble(class Class, err error) Class {
	switch class {
	case NotFound, DNS:
		// A resolver that cannot open a socket or /etc/hosts reports that the
		// name does not exist, or names the cause in the text only.
		if outOfDescriptors() {
			return Exhausted
		}
	case Invalid:
		// Without /etc/services, package net knows few services.
		if dns, ok := foreign.As[*net.DNSError](err); ok && isService(dns.Name) && outOfDescriptors() {
			return Exhausted
		}
	case Exhausted:
		if lacksIPv6Source(err) {
			return Unreachable
		}
	}
	return class
}

// isService reports whether the name of a *net.DNSError is "network/service": a port. No host
// name has a slash.
func isService(name string) bool { return strings.Contains(name, "/") }

// resolverDescriptors is how many descriptors must be free for a resolver's
// answer to be believed. Go's resolver and glibc's need two. Two more allow for
// descriptors that other goroutines have closed since the resolver failed.
const resolverDescriptors = 4

// descriptors holds the latest look at this process's descriptors. Only one goroutine at a
// time looks, and what it has seen is good for a moment, so that thousands of failing look-ups
// do not take the descriptors that they look for.
var descriptors struct {
	mu     sync.Mutex // held while looking
	seenAt time.Time
	out    bool
}

const descriptorsGoodFor = 100 * time.Millisecond

// outOfDescriptors reports whether this process, or this machine, has too few
// descriptors left for a resolver.
func outOfDescriptors() bool {
	descriptors.mu.Lock()
	defer descriptors.mu.Unlock()
	if age := time.Since(descriptors.seenAt); age < 0 || age >= descriptorsGoodFor {
		descriptors.out = !canOpen(resolverDescriptors)
		descriptors.seenAt = time.Now()
	}
	return descriptors.out
}

// canOpen reports whether n descriptors are free. It opens as many to find out.
func canOpen(n int) bool {
	for range n {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return Classify(err) != Exhausted
		}
		defer f.Close()
	}
	return true
}

// lacksIPv6Source reports whether connect failed because this machine has no
// IPv6 address to send from. Connect returns EADDRNOTAVAIL in that case, and also
// if no port is left. To distinguish the two, lacksIPv6Source connects a UDP socket,
// which sends nothing. The UDP connect needs a source address (RFC 6724, section 5),
// but no port, because bind has given the socket one before.
func lacksIPv6Source(err error) bool {
	op, isOp := foreign.As[*net.OpError](err)
	call, isCall := foreign.As[*os.SyscallError](err)
	if !isOp || !isCall || !isConnect(call) || errno.Of(call.Err) != errno.AddressNotAvailable {
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
	probe, ok := foreign.As[*os.SyscallError](probeErr)
	return ok && isConnect(probe) && foreign.Is(probe.Err, call.Err)
}

// isConnect reports whether call is connect, or connectex on Windows.
func isConnect(call *os.SyscallError) bool {
	return call.Syscall == "connect" || call.Syscall == "connectex"
}

// asUDPAddr returns the address of a UDP socket on the same host, or nil if addr
// is not an IP address.
func asUDPAddr(addr net.Addr) *net.UDPAddr {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		return (*net.UDPAddr)(addr)
	case *net.UDPAddr:
		return addr
	case *net.IPAddr:
		return &net.UDPAddr{IP: addr.IP, Port: 9, Zone: addr.Zone} // 9 is the discard service; any port would do
	}
	return nil
}

// discard closes a connection that the dial does not return, so that the next
// attempt can bind to the same local address.
func (d *dial) discard(conn net.Conn) {
	if local, ok := d.local.(*net.TCPAddr); ok && local != nil && local.Port != 0 {
		if tcp := tcpConnOf(conn); tcp != nil {
			tcp.SetLinger(0) // reset it: its TIME_WAIT would hold the port (RFC 9293, section 3.6.1)
		}
	}
	foreign.Close(conn)
	d.removeSocket()
}

// unbind removes what a failed attempt's bind has left behind. The kernel keeps
// the file of a unix socket when the socket is closed (unix(7)), and bind fails
// as long as the file exists. The file is the attempt's own if connect failed,
// because bind comes first and creates the file. It is also the attempt's own if the
// end of the attempt cut it off and the file did not exist before.
func (d *dial) unbind(err error, existed bool) {
	if d.socketPath() == "" {
		return
	}
	call, isCall := foreign.As[*os.SyscallError](err)
	class := Classify(err)
	cutOff := !isCall && !existed && (class == Timeout || class == Canceled)
	if cutOff || isCall && isConnect(call) {
		d.removeSocket()
	}
}

// socketExists reports whether the file of the unix socket that the attempt binds to
// exists.
func (d *dial) socketExists() bool {
	path := d.socketPath()
	if path == "" {
		return false
	}
	_, err := os.Lstat(path)
	return err == nil
}

func (d *dial) removeSocket() {
	if path := d.socketPath(); path != "" {
		os.Remove(path)
	}
}

// socketPath returns the path of the unix socket that the attempt binds to. It is empty
// if the attempt binds to none, or to an abstract name, which has no file.
func (d *dial) socketPath() string {
	local, ok := d.local.(*net.UnixAddr)
	if !ok || local == nil || local.Name == "" || local.Name[0] == '@' || local.Name[0] == 0 {
		return ""
	}
	return local.Name
}

package redial

import (
	"errors"
	"net"
	"os"

	"github.com/seed-33f8b841/redial/internal/errno"
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

// localTrouble corrects class, so that trouble of this machine is not blamed on
// the target, and trouble of the target is not blamed on this machine.
func localTrouble(class Class, err error) Class {
	switch class {
	case NotFound, DNS:
		// A resolver that cannot open a socket or /etc/hosts reports that the
		// name does not exist, or names the cause in the text only.
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

// resolverDescriptors is how many descriptors must be free for a resolver's
// answer to be believed. Go's resolver and glibc's need two. Two more allow for
// descriptors that other goroutines have closed since the resolver failed.
const resolverDescriptors = 4

// outOfDescriptors reports whether this process, or this machine, has too few
// descriptors left for a resolver. It opens as many to find out.
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

// lacksIPv6Source reports whether connect failed because this machine has no
// IPv6 address to send from. Connect returns EADDRNOTAVAIL in that case, and also
// if no port is left. To distinguish the two, lacksIPv6Source connects a UDP socket,
// which sends nothing. The UDP connect needs a source address (RFC 6724, section 5),
// but no port, because bind has given the socket one before.
func lacksIPv6Source(err error) bool {
	op := find[*net.OpError](err)
	call := find[*os.SyscallError](err)
	if op == nil || call == nil || !isConnect(call) || errno.Of(call.Err) != errno.AddressNotAvailable {
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
	probe, ok := errors.AsType[*os.SyscallError](probeErr)
	return ok && isConnect(probe) && errors.Is(probe.Err, call.Err)
}

// find returns the first error of type E, a pointer, in err, or nil. Err may hold a nil
// pointer.
func find[E error](err error) (found E) {
	defer func() { _ = recover() }() // the Unwrap of a nil pointer panics
	found, _ = errors.AsType[E](err)
	return found
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
func (w *way) discard(conn net.Conn) {
	if local, ok := w.local.(*net.TCPAddr); ok && local != nil && local.Port != 0 {
		if tcp := tcpConnOf(conn); tcp != nil {
			tcp.SetLinger(0) // reset it: its TIME_WAIT would hold the port (RFC 9293, section 3.6.1)
		}
	}
	conn.Close()
	w.removeSocket()
}

// unbind removes what a failed attempt's bind has left behind. The kernel keeps
// the file of a unix socket when the socket is closed (unix(7)), and bind fails
// as long as the file exists. The file is the attempt's own if connect failed,
// because bind comes first and creates the file. It is also the attempt's own if the
// end of the attempt cut it off and the file did not exist before.
func (w *way) unbind(err error, existed bool) {
	if w.socketPath() == "" {
		return
	}
	call, class := find[*os.SyscallError](err), Classify(err)
	cutOff := call == nil && !existed && (class == Timeout || class == Canceled)
	if cutOff || call != nil && isConnect(call) {
		w.removeSocket()
	}
}

// socketExists reports whether the file of the unix socket that the attempt binds to
// exists.
func (w *way) socketExists() bool {
	path := w.socketPath()
	if path == "" {
		return false
	}
	_, err := os.Lstat(path)
	return err == nil
}

func (w *way) removeSocket() {
	if path := w.socketPath(); path != "" {
		os.Remove(path)
	}
}

// socketPath returns the path of the unix socket that the attempt binds to. It is empty
// if the attempt binds to none, or to an abstract name, which has no file.
func (w *way) socketPath() string {
	local, ok := w.local.(*net.UnixAddr)
	if !ok || local == nil || local.Name == "" || local.Name[0] == '@' || local.Name[0] == 0 {
		return ""
	}
	return local.Name
}

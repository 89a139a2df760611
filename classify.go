package redial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/cenkalti/backoff/v4"

	"github.com/seed-33f8b841/redial/internal/dnsname"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/foreign"
)

// A Class says why a dial failed. String and MarshalText return the lower-case name that logs show.
type Class uint8

// The classes.
const (
	Unknown     Class = iota // none of the others, such as a custom error
	Refused                  // the target is there, but nothing accepts
	Reset                    // dropped while connecting or being verified
	DNS                      // the resolver failed, or did not answer
	NotFound                 // the name does not exist, or has no address of that family
	Timeout                  // no answer in time
	Unreachable              // no route there, the host is down, or a router or firewall says so
	Denied                   // local policy or a firewall forbids it
	Exhausted                // this machine is out of descriptors, ports or memory
	TLS                      // the peer answered, the handshake failed
	Invalid                  // can never work as asked
	Canceled                 // the caller gave up; never retried
)

var classNames = [...]string{
	Unknown:     "unknown",
	Refused:     "refused",
	Reset:       "reset",
	DNS:         "dns",
	NotFound:    "not_found",
	Timeout:     "timeout",
	Unreachable: "unreachable",
	Denied:      "denied",
	Exhausted:   "exhausted",
	TLS:         "tls",
	Invalid:     "invalid",
	Canceled:    "canceled",
}

// numClasses bounds the tables that are indexed by a Class.
const numClasses = Class(len(classNames))

// String returns the class's name, or "Class(n)" for a value that is no class.
func (c Class) String() string {
	if c < numClasses {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// MarshalText implements encoding.TextMarshaler. It returns an error if c is no class.
func (c Class) MarshalText() ([]byte, error) {
	if c >= numClasses {
		return nil, fmt.Errorf("redial: %v is not a class", c)
	}
	return []byte(classNames[c]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. It returns an error if text names no class.
func (c *Class) UnmarshalText(text []byte) error {
	for class, name := range classNames {
		if name == string(text) {
			*c = Class(class)
			return nil
		}
	}
	return fmt.Errorf("redial: %q is not a class, use one of: %s", text, strings.Join(classNames[:], ", "))
}

// known returns c, or Unknown if c is none of the classes.
func (c Class) known() Class {
	if c < numClasses {
		return c
	}
	return Unknown
}

// Classify says why a dial failed. It takes any error: from this package, from package net, or a
// client's that wraps one. For nil it returns Unknown. It does no I/O.
//
// Types, errnos and sentinel errors decide. A text decides on Plan 9, whose system errors are strings,
// and in a *net.AddrError. A failure has the same class on every operating system, except EINVAL and
// EOPNOTSUPP from connect: on Linux, a route can cause them (ip-route(8), icmp(7)), and they are
// Unreachable then; otherwise they are Invalid.
//
// An error wrapped by backoff.Permanent is Invalid. Of joined errors, the most telling class counts:
// Canceled, Refused, Reset, Timeout, Unreachable, DNS, then the rest.
//
// The Class of an [Attempt] or [Error] can differ, because the dial knows whether its caller gave up,
// what its Classifier says, and what this machine is out of.
func Classify(err error) Class {
	nodes := foreign.MaxNodes
	return classify(err, place{}, foreign.MaxDepth, &nodes)
}

// A place holds the operation and the system call in which an error happened, as far as they are known
// from the errors around it. The meaning of an errno depends on the place.
type place struct {
	op   *net.OpError // the innermost OpError around the error; nil if there is none
	call string       // the system call that failed; empty if unknown
}

// classify walks down from err to the first error that has a class. It goes at most depth levels
// down, and subtracts the errors that it passes from nodes, because err may wrap itself.
func classify(err error, at place, depth int, nodes *int) Class {
	for next := err; !foreign.IsNil(next) && depth > 0 && *nodes > 0; depth-- {
		*nodes--
		if e, ok := next.(*Error); ok {
			return e.Class.known()
		}
		if class := classOf(next, at); class != Unknown {
			return class
		}
		switch e := next.(type) {
		case *net.OpError:
			at.op, next = e, e.Err
		case *os.SyscallError:
			at.call, next = e.Syscall, e.Err
		case *fs.PathError:
			at.call, next = e.Op, e.Err
		default:
			var branches []error
			next, branches = foreign.Unwrap(next)
			if class := mostTelling(branches, at, depth-1, nodes); class != Unknown {
				return class
			}
		}
	}
	if saysTimeout(err) {
		return Timeout
	}
	return Unknown
}

// saysTimeout reports whether err, or an error that it wraps, has a Timeout method that returns true.
// classify calls it last, for each branch by itself.
func saysTimeout(err error) (timeout bool) {
	for depth := 0; !timeout && err != nil && depth < foreign.MaxDepth; depth++ {
		if e, ok := err.(interface{ Timeout() bool }); ok {
			foreign.Try(func() { timeout = e.Timeout() })
		}
		err, _ = foreign.Unwrap(err)
	}
	return timeout
}

// classOf returns the class of err itself, whatever it wraps, or Unknown if
// err alone does not say.
func classOf(err error, at place) Class {
	switch e := err.(type) {
	case *net.DNSError: // before any errno: a query that the DNS server refused is not a refused dial
		if at.hasProtocol(e.Name) {
			return Invalid
		}
		return classOfDNS(e)
	case *net.DNSConfigError:
		return DNS
	case *net.OpError:
		// An alert of crypto/tls, sent or received, comes as an OpError
		// with one of these in place of the name of an operation.
		if e.Op == "remote error" || e.Op == "local error" {
			return TLS
		}
	case *net.AddrError:
		return classOfAddr(e)
	case *ProxyError:
		return e.class()
	case *net.ParseError, net.InvalidAddrError, net.UnknownNetworkError, *backoff.PermanentError:
		return Invalid
	case *tls.CertificateVerificationError, *tls.ECHRejectionError, tls.AlertError, tls.RecordHeaderError,
		x509.CertificateInvalidError, x509.ConstraintViolationError, x509.HostnameError,
		x509.InsecureAlgorithmError, x509.SystemRootsError, x509.UnhandledCriticalExtension,
		x509.UnknownAuthorityError:
		return TLS
	}
	switch err {
	case context.Canceled:
		return Canceled
	case http.ErrSchemeMismatch: // http.Client's, in place of a tls.RecordHeaderError
		return TLS
	case io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe:
		return Reset
	case fs.ErrPermission:
		return Denied
	case errors.ErrUnsupported, errNoConn, errNilError, errMissingAddress():
		return Invalid
	}
	if class := at.classOf(errno.Of(err), onLinux); class != Unknown {
		return class
	}
	return classByIs(err)
}

// classByIs returns the class of the sentinel error that err's Is method matches. This is the only way
// to recognize package net's own "operation was canceled".
func classByIs(err error) (class Class) {
	e, ok := err.(interface{ Is(error) bool })
	if !ok {
		return Unknown
	}
	foreign.Try(func() {
		switch {
		case e.Is(context.Canceled):
			class = Canceled
		case e.Is(fs.ErrPermission):
			class = Denied
		case e.Is(errors.ErrUnsupported):
			class = Invalid
		}
	})
	return class
}

// classOfDNS distinguishes a resolver's answer from its failure, by flags
// alone: the query's own transport errors appear only in the text, and a
// server's REFUSED sets no flag.
func classOfDNS(e *net.DNSError) Class {
	switch {
	case foreign.Is(e.UnwrapErr, context.Canceled):
		return Canceled
	case strings.ContainsAny(e.Name, "/\x00"):
		// "network/service": a port that /etc/services does not know. No
		// host name has a slash. A name with a NUL never reaches a server.
		return Invalid
	case e.IsNotFound && dnsname.Check(e.Name).Kind != dnsname.Possible:
		return Invalid
	case e.IsNotFound:
		return NotFound
	}
	return DNS
}

// classOfAddr distinguishes a name that has no address of the family asked
// for from an address that can't be dialed. Package net reports an IP literal
// or a LocalAddr of the wrong family with the same error as such a name.
func classOfAddr(e *net.AddrError) Class {
	if e.Err == noSuitableAddress() && !isLiteral(e.Addr) {
		return NotFound
	}
	return Invalid
}

// isLiteral reports whether addr is an IP address, with or without a zone,
// brackets and a port.
func isLiteral(addr string) bool {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"))
	return err == nil
}

// onLinux is true if this system's kernel is Linux.
const onLinux = runtime.GOOS == "linux" || runtime.GOOS == "android"

// network returns the network that was dialed; empty if unknown.
func (p place) network() string {
	if p.op == nil {
		return ""
	}
	return p.op.Net
}

// hasProtocol reports whether name is the protocol of the network that was dialed, as "nope"
// is in "ip:nope". On Windows, a *net.DNSError says that the system does not know a protocol.
func (p place) hasProtocol(name string) bool {
	_, protocol, ok := strings.Cut(p.network(), ":")
	return ok && protocol == name
}

// isUnix reports whether the network uses unix domain sockets.
func (p place) isUnix() bool {
	network := p.network()
	return network == "unix" || network == "unixgram" || network == "unixpacket"
}

// onWire reports whether the call that failed can return an error that an ICMP
// message caused. The next read or write of a UDP socket returns such an error.
func (p place) onWire() bool {
	switch p.call {
	case "connect", "read", "recvfrom", "recvmsg", "write", "sendto", "sendmsg":
		return !p.isUnix()
	}
	return false
}

// toPortZero reports whether port 0 was dialed.
func (p place) toPortZero() bool {
	if p.op == nil {
		return false
	}
	remote := ipPort(p.op.Addr)
	return remote.IsValid() && remote.Port() == 0
}

// hitsBlackhole reports whether connect's EINVAL can only mean a blackhole route.
// Linux also returns EINVAL for a link-local IPv6 address without a zone, and for
// a loopback LocalAddr with a remote address that is not loopback. Neither can
// ever work.
func (p place) hitsBlackhole() bool {
	if p.op == nil || p.call != "connect" {
		return false
	}
	remote, local := ipPort(p.op.Addr).Addr(), ipPort(p.op.Source).Addr()
	switch {
	case !remote.IsValid() || local.IsLoopback() && !remote.IsLoopback():
		return false
	case remote.Is4():
		return true
	}
	return !remote.IsLinkLocalUnicast() && !remote.IsLinkLocalMulticast() && !remote.IsInterfaceLocalMulticast()
}

// ipPort returns the IP address and port of addr. The result is not valid if
// addr is of another network, or nil.
func ipPort(addr net.Addr) netip.AddrPort {
	var ip net.IP
	var port int
	switch addr := addr.(type) {
	case *net.TCPAddr:
		if addr != nil {
			ip, port = addr.IP, addr.Port
		}
	case *net.UDPAddr:
		if addr != nil {
			ip, port = addr.IP, addr.Port
		}
	case *net.IPAddr:
		if addr != nil {
			ip, port = addr.IP, 1 // an IPAddr has no port; 1 is not the port 0 that toPortZero looks for
		}
	}
	parsed, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(parsed.Unmap(), uint16(port))
}

// classOf returns the class of a condition that the system reported. For most
// conditions it does not matter which call reported it.
func (p place) classOf(c errno.Condition, onLinux bool) Class {
	switch c {
	case errno.AddressNotAvailable:
		// From bind, LocalAddr is not an address of this machine. From
		// setsockopt, the address in a socket option is not. BSD's and Windows'
		// connect also return it for port 0.
		if p.call == "bind" || p.call == "setsockopt" || p.toPortZero() {
			return Invalid
		}
	case errno.ConnectionRefused:
		if p.toPortZero() && strings.HasPrefix(p.network(), "tcp") { // where no server can listen
			return Invalid
		}
	case errno.InvalidArgument:
		if onLinux && p.hitsBlackhole() {
			return Unreachable
		}
	case errno.NotSupported:
		if onLinux && p.call == "connect" && !p.isUnix() { // icmp(7): source route failed
			return Unreachable
		}
	case errno.NoProtocolOption, errno.ProtocolError:
		if p.onWire() { // icmp(7): the host has no such protocol, or a parameter problem
			return Unreachable
		}
	case errno.FileNotFound:
		switch p.call {
		case "connect": // unix(7): no such socket yet
			return Refused
		case "bind": // unix(7): LocalAddr's directory
			return Invalid
		}
	case errno.NotSocket:
		if p.call == "connect" { // unix(7): a file of another kind; Linux says ECONNREFUSED
			return Refused
		}
	case errno.WouldBlock:
		if p.call == "connect" { // connect(2): a full backlog, but in other families a lack of ports
			if p.isUnix() {
				return Refused
			}
			return Exhausted
		}
	case errno.NoDevice, errno.NoDeviceOrAddress:
		switch p.call {
		case "connect": // the network interface that the socket is bound to is gone
			return Unreachable
		case "", "socket", "bind", "setsockopt": // SO_BINDTODEVICE, or a zone that names no interface
			return Invalid
		}
	}
	return classOfCondition[c]
}

// classOfCondition has the classes of the conditions that connect, bind and
// socket report, and the first reads and writes of a handshake. A condition that
// is not listed is Unknown here.
var classOfCondition = [errno.NumConditions]Class{
	errno.ConnectionRefused: Refused,

	errno.ConnectionReset:    Reset,
	errno.ConnectionAborted:  Reset,
	errno.NetworkReset:       Reset,
	errno.BrokenPipe:         Reset,
	errno.NotConnected:       Reset, // the connection was reset before its first use
	errno.ShutDown:           Reset,
	errno.GracefulDisconnect: Reset,

	errno.TimedOut: Timeout,

	errno.NetworkUnreachable:  Unreachable,
	errno.HostUnreachable:     Unreachable,
	errno.NetworkDown:         Unreachable,
	errno.HostDown:            Unreachable,
	errno.HostIsolated:        Unreachable,
	errno.ProtocolUnreachable: Unreachable,
	errno.SourceRouteFailed:   Unreachable,

	errno.AccessDenied:       Denied,
	errno.NotPermitted:       Denied,
	errno.ReadOnlyFileSystem: Denied, // bind makes the file of a unix LocalAddr
	errno.NotCapable:         Denied,
	errno.CapabilityMode:     Denied,

	errno.TooManyFiles:         Exhausted,
	errno.TooManyFilesInSystem: Exhausted,
	errno.TooManyProcesses:     Exhausted,
	errno.NoBuffers:            Exhausted,
	errno.NoMemory:             Exhausted,
	errno.NoSpace:              Exhausted, // epoll's limit of watches; the disk, for a unix LocalAddr
	errno.QuotaExceeded:        Exhausted,
	errno.NoFreeDevice:         Exhausted,
	errno.AddressInUse:         Exhausted,
	errno.AddressNotAvailable:  Exhausted, // no local port is left

	errno.FamilyNotSupported:         Invalid,
	errno.ProtocolFamilyNotSupported: Invalid,
	errno.SocketTypeNotSupported:     Invalid,
	errno.ProtocolNotSupported:       Invalid,
	errno.WrongProtocolType:          Invalid,
	errno.NotSupported:               Invalid,
	errno.NotImplemented:             Invalid, // no such system call, or a sandbox says so
	errno.NoProtocolOption:           Invalid,
	errno.AddressRequired:            Invalid,
	errno.InvalidArgument:            Invalid,
	errno.BadPointer:                 Invalid,
	errno.NotDirectory:               Invalid, // the path of a unix socket, as are the next two
	errno.NameTooLong:                Invalid,
	errno.LinkLoop:                   Invalid,

	errno.HostNotFound:  NotFound,
	errno.NoAddressData: NotFound,
	errno.TryAgain:      DNS,
	errno.NoRecovery:    DNS,
}

// errnoRefused is what connect returns where nothing accepts.
var errnoRefused = errno.ConnectionRefused.Err()

// telling orders the classes for an error that holds several. Canceled comes
// first, then the classes that a retry may mend, then the rest. In each group, the
// class that says most about the target comes first.
var telling = [numClasses]int{
	Canceled:    12,
	Refused:     11,
	Reset:       10,
	Timeout:     9,
	Unreachable: 8,
	DNS:         7,
	TLS:         6,
	Denied:      5,
	Exhausted:   4,
	NotFound:    3,
	Invalid:     2,
	Unknown:     1,
}

// weight returns how telling c is. Of several errors, the class with the highest
// weight counts.
func (c Class) weight() int { return telling[c.known()] }

// mostTelling classifies each of errs and returns the most telling class.
func mostTelling(errs []error, at place, depth int, nodes *int) Class {
	most := Unknown
	for _, err := range errs[:min(len(errs), *nodes)] {
		if class := classify(err, at, depth, nodes); class.weight() > most.weight() {
			most = class
		}
	}
	return most
}

// Package net has two errors that can be recognized only by a value that it does not export: an error,
// and a text. It returns them for certain addresses without a look-up, so the functions below get them
// at their first use. If another version of package net
// returns other values, Classify recognizes less, and nothing else changes.
var (
	// errMissingAddress returns the error of a dial to the empty address; nil
	// if it is not known.
	errMissingAddress = sync.OnceValue(func() error {
		_, err := net.Dial("tcp", "")
		if op, ok := errors.AsType[*net.OpError](err); ok {
			return op.Err
		}
		return nil
	})

	// noSuitableAddress returns the Err of the *net.AddrError of a host that
	// has no address of the family asked for; empty if it is not known.
	noSuitableAddress = sync.OnceValue(func() string {
		_, err := net.ResolveTCPAddr("tcp6", "127.0.0.1:0")
		if addr, ok := errors.AsType[*net.AddrError](err); ok {
			return addr.Err
		}
		return ""
	})
)

// isOfTarget reports whether failures of a class say something about the target.
func isOfTarget(c Class) bool { return c != Exhausted && c != Canceled && c != Invalid }

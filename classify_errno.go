//go:build !plan9

package redial

import "syscall"

// classOfSystem returns the class of an errno. Most mean the same whichever
// call they come from, and stand in a table; the others are decided here.
func classOfSystem(err error, at place) Class {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return Unknown
	}
	switch errno {
	case syscall.EADDRNOTAVAIL, wsaEADDRNOTAVAIL:
		// From bind, LocalAddr is not ours; from setsockopt, another address
		// is not. BSD's and Windows' connect return it for port 0 too.
		if at.call == "bind" || at.call == "setsockopt" || at.isConnect() && at.toPortZero() {
			return Invalid
		}
	case syscall.EINVAL:
		if onLinux && at.hitsBlackhole() {
			return Unreachable
		}
	case syscall.EPROTO:
		if at.onWire() { // icmp(7): a parameter problem, or an unknown ICMPv6 code
			return Unreachable
		}
	case syscall.ENOPROTOOPT:
		if at.onWire() { // icmp(7): the host has no such protocol
			return Unreachable
		}
	case syscall.ENOENT:
		switch at.call {
		case "connect": // unix(7): no such socket yet
			return Refused
		case "bind": // unix(7): LocalAddr's directory
			return Invalid
		}
	case syscall.ENOTSOCK:
		if at.call == "connect" { // a file of another kind; Linux says ECONNREFUSED
			return Refused
		}
	case syscall.EAGAIN:
		if at.call == "connect" { // connect(2): a full backlog, but in other families a lack of ports
			if at.isUnix() {
				return Refused
			}
			return Exhausted
		}
	case syscall.ENODEV, syscall.ENXIO:
		switch at.call {
		case "connect": // the network interface that the socket is bound to is gone
			return Unreachable
		case "", "socket", "bind", "setsockopt": // SO_BINDTODEVICE, or a zone that names no interface
			return Invalid
		}
	case syscall.ESRCH:
		if onLinux && at.call == "connect" { // IPsec: no key daemon negotiates the association
			return Unreachable
		}
	}
	if class := classOfSystemOwn(errno, at); class != Unknown {
		return class
	}
	if class, ok := winsockClass[errno]; ok {
		return class
	}
	return errnoClass[errno]
}

// errnoRefused is what connect says where nothing accepts.
var errnoRefused error = syscall.ECONNREFUSED

// errnoClass has the errnos of connect(2), bind(2) and socket(2), and of the
// first reads and writes of a handshake. The names here are POSIX's, and every
// system has them; its own file adds what else it has.
var errnoClass = map[syscall.Errno]Class{
	syscall.ECONNREFUSED: Refused,

	syscall.ECONNRESET:   Reset,
	syscall.ECONNABORTED: Reset,
	syscall.ENETRESET:    Reset,
	syscall.EPIPE:        Reset,
	syscall.ENOTCONN:     Reset, // reset before its first use

	syscall.ETIMEDOUT: Timeout,

	syscall.ENETUNREACH:  Unreachable,
	syscall.EHOSTUNREACH: Unreachable,
	syscall.ENETDOWN:     Unreachable,

	syscall.EACCES: Denied,
	syscall.EPERM:  Denied,
	syscall.EROFS:  Denied, // bind makes the file of a unix LocalAddr

	syscall.EMFILE:        Exhausted,
	syscall.ENFILE:        Exhausted,
	syscall.ENOBUFS:       Exhausted,
	syscall.ENOMEM:        Exhausted,
	syscall.EADDRNOTAVAIL: Exhausted,
	syscall.EADDRINUSE:    Exhausted,
	syscall.ENOSPC:        Exhausted, // epoll's limit of watches; the disk, for a unix LocalAddr
	syscall.EDQUOT:        Exhausted,

	syscall.EAFNOSUPPORT:    Invalid,
	syscall.EPROTOTYPE:      Invalid,
	syscall.EPROTONOSUPPORT: Invalid,
	syscall.ENOPROTOOPT:     Invalid,
	syscall.EDESTADDRREQ:    Invalid,
	syscall.EINVAL:          Invalid,
	syscall.EFAULT:          Invalid,
	syscall.ENOSYS:          Invalid, // no such system call, or a sandbox says so
	syscall.ENAMETOOLONG:    Invalid, // the path of a unix socket, as are the two below
	syscall.ENOTDIR:         Invalid,
	syscall.ELOOP:           Invalid,
}

//go:build !plan9

package redial

import "syscall"

// classOfSystem is the class of an errno. Most mean the same whichever call
// they come from, and stand in a table; these do not.
func classOfSystem(err error, network, call string) Class {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return Unknown
	}
	switch call {
	case "bind":
		if errno == syscall.EADDRNOTAVAIL || errno == wsaEADDRNOTAVAIL {
			return Invalid // LocalAddr is not one of ours; of connect, it is ports that ran out
		}
	case "connect":
		switch errno {
		case syscall.ENOENT, // unix(7): no such socket yet
			syscall.ENOTSOCK: // a file of another kind; Linux says ECONNREFUSED
			return Refused
		case syscall.EAGAIN: // connect(2): a full backlog, but of other families a lack of ports
			if isUnix(network) {
				return Refused
			}
			return Exhausted
		case syscall.ENOPROTOOPT: // icmp(7): the host says that it has no such protocol
			return Unreachable
		}
	}
	if class, ok := winsockClass[errno]; ok {
		return class
	}
	return errnoClass[errno]
}

// errnoRefused is what connect says where nothing accepts.
var errnoRefused error = syscall.ECONNREFUSED

// isUnix tells whether network is one of unix domain sockets.
func isUnix(network string) bool {
	return network == "unix" || network == "unixgram" || network == "unixpacket"
}

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

	syscall.EMFILE:        Exhausted,
	syscall.ENFILE:        Exhausted,
	syscall.ENOBUFS:       Exhausted,
	syscall.ENOMEM:        Exhausted,
	syscall.EADDRNOTAVAIL: Exhausted,
	syscall.EADDRINUSE:    Exhausted,

	syscall.EAFNOSUPPORT:    Invalid,
	syscall.EPROTOTYPE:      Invalid,
	syscall.EPROTONOSUPPORT: Invalid,
	syscall.ENOPROTOOPT:     Invalid,
	syscall.EDESTADDRREQ:    Invalid,
	syscall.EINVAL:          Invalid,
	syscall.ENAMETOOLONG:    Invalid, // the path of a unix socket, as are the two below
	syscall.ENOTDIR:         Invalid,
	syscall.ELOOP:           Invalid,
}

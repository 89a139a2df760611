//go:build !plan9

package redial_test

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// Errors of this operating system, for tests that run on every system.
const (
	sysRefused = syscall.ECONNREFUSED
	sysReset   = syscall.ECONNRESET
)

const onLinux = runtime.GOOS == "linux" || runtime.GOOS == "android"

func systemError(errno uint32) error { return syscall.Errno(errno) }

// TestClassifyErrno checks the class of each errno, first when connect returns it, then
// when another call does. Most errnos have the same class in both cases.
func TestClassifyErrno(t *testing.T) {
	tests := []struct {
		errno     syscall.Errno
		of        string // the network; "tcp" if empty
		onConnect redial.Class
		elsewhere redial.Class // if differs; otherwise the class is onConnect
		differs   bool
	}{
		{errno: syscall.ECONNREFUSED, onConnect: redial.Refused},
		{errno: syscall.ECONNRESET, onConnect: redial.Reset},
		{errno: syscall.ECONNABORTED, onConnect: redial.Reset},
		{errno: syscall.ENETRESET, onConnect: redial.Reset},
		{errno: syscall.EPIPE, onConnect: redial.Reset},
		{errno: syscall.ENOTCONN, onConnect: redial.Reset},
		{errno: syscall.ETIMEDOUT, onConnect: redial.Timeout},
		{errno: syscall.ENETUNREACH, onConnect: redial.Unreachable},
		{errno: syscall.EHOSTUNREACH, onConnect: redial.Unreachable},
		{errno: syscall.ENETDOWN, onConnect: redial.Unreachable},
		{errno: syscall.EACCES, onConnect: redial.Denied},
		{errno: syscall.EPERM, onConnect: redial.Denied},
		{errno: syscall.EMFILE, onConnect: redial.Exhausted},
		{errno: syscall.ENFILE, onConnect: redial.Exhausted},
		{errno: syscall.ENOBUFS, onConnect: redial.Exhausted},
		{errno: syscall.ENOMEM, onConnect: redial.Exhausted},
		{errno: syscall.EADDRINUSE, onConnect: redial.Exhausted},
		{errno: syscall.EADDRNOTAVAIL, onConnect: redial.Exhausted},
		{errno: syscall.EAFNOSUPPORT, onConnect: redial.Invalid},
		{errno: syscall.EPROTOTYPE, onConnect: redial.Invalid},
		{errno: syscall.EPROTONOSUPPORT, onConnect: redial.Invalid},
		{errno: syscall.EDESTADDRREQ, onConnect: redial.Invalid},
		{errno: syscall.EINVAL, onConnect: redial.Invalid},
		{errno: syscall.ENAMETOOLONG, of: "unix", onConnect: redial.Invalid},
		{errno: syscall.ENOTDIR, of: "unix", onConnect: redial.Invalid},
		{errno: syscall.ELOOP, of: "unix", onConnect: redial.Invalid},

		{errno: syscall.EFAULT, onConnect: redial.Invalid},
		{errno: syscall.ENOSYS, onConnect: redial.Invalid},
		{errno: syscall.EROFS, of: "unixgram", onConnect: redial.Denied},
		{errno: syscall.ENOSPC, onConnect: redial.Exhausted},
		{errno: syscall.EDQUOT, of: "unixgram", onConnect: redial.Exhausted},

		{errno: syscall.EPROTO, onConnect: redial.Unreachable, elsewhere: redial.Unknown, differs: true},
		{errno: syscall.ENOENT, of: "unix", onConnect: redial.Refused, elsewhere: redial.Unknown, differs: true},
		{errno: syscall.ENOTSOCK, of: "unix", onConnect: redial.Refused, elsewhere: redial.Unknown, differs: true},
		{errno: syscall.ENOPROTOOPT, onConnect: redial.Unreachable, elsewhere: redial.Invalid, differs: true},
		{errno: syscall.EAGAIN, of: "unix", onConnect: redial.Refused, elsewhere: redial.Timeout, differs: true},
		{errno: syscall.EAGAIN, of: "unixpacket", onConnect: redial.Refused, elsewhere: redial.Timeout, differs: true},
		{errno: syscall.EAGAIN, of: "tcp", onConnect: redial.Exhausted, elsewhere: redial.Timeout, differs: true},

		{errno: syscall.EBADF, onConnect: redial.Unknown},
		{errno: 0, onConnect: redial.Unknown},
	}
	for _, test := range tests {
		if test.of == "" {
			test.of = "tcp"
		}
		if !test.differs {
			test.elsewhere = test.onConnect
		}
		assert.Equal(t, test.onConnect, redial.Classify(opError(test.of, "connect", test.errno)), "connect: %s: %v", test.of, test.errno)
		for _, err := range []error{
			opError(test.of, "socket", test.errno),
			&net.OpError{Op: "dial", Net: test.of, Err: test.errno},
			&fs.PathError{Op: "open", Path: "p", Err: test.errno},
			test.errno,
		} {
			assert.Equal(t, test.elsewhere, redial.Classify(err), "%s: %v", test.of, err)
		}
		assertKeepsClass(t, opError(test.of, "connect", test.errno))
	}
}

// TestClassifyErrnoByPlace checks errnos whose meaning depends on the addresses and on
// the system call.
func TestClassifyErrnoByPlace(t *testing.T) {
	onlyLinux := redial.Invalid
	if onLinux {
		onlyLinux = redial.Unreachable
	}
	loopback, elsewhere := tcpAddr("127.0.0.1:0"), tcpAddr("192.0.2.1:80")
	for _, test := range []struct {
		call, network string
		source, addr  net.Addr
		errno         syscall.Errno
		want          redial.Class
	}{
		// Connect's EINVAL means a blackhole route, or an address that can't be
		// connected to.
		{"connect", "tcp", nil, elsewhere, syscall.EINVAL, onlyLinux},
		{"connect", "tcp", nil, tcpAddr("[2001:db8::1]:80"), syscall.EINVAL, onlyLinux},
		{"connect", "tcp", nil, tcpAddr("[fd00::1]:80"), syscall.EINVAL, onlyLinux},
		{"connect", "tcp", nil, tcpAddr("169.254.169.254:80"), syscall.EINVAL, onlyLinux},
		{"connect", "udp", nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}, syscall.EINVAL, onlyLinux},
		{"connect", "ip4:icmp", nil, &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, syscall.EINVAL, onlyLinux},
		{"connect", "tcp", tcpAddr("192.0.2.7:0"), elsewhere, syscall.EINVAL, onlyLinux},
		{"connect", "tcp", loopback, tcpAddr("127.0.0.9:80"), syscall.EINVAL, onlyLinux},
		{"connect", "tcp", (*net.TCPAddr)(nil), elsewhere, syscall.EINVAL, onlyLinux},
		{"connect", "tcp", loopback, elsewhere, syscall.EINVAL, redial.Invalid},
		{"connect", "tcp", nil, tcpAddr("[fe80::1]:80"), syscall.EINVAL, redial.Invalid},
		{"connect", "tcp", nil, tcpAddr("[fe80::1%lo]:80"), syscall.EINVAL, redial.Invalid},
		{"connect", "udp", nil, &net.UDPAddr{IP: net.ParseIP("ff02::1"), Port: 53}, syscall.EINVAL, redial.Invalid},
		{"connect", "udp", nil, &net.UDPAddr{IP: net.ParseIP("ff01::1"), Port: 53}, syscall.EINVAL, redial.Invalid},
		{"connect", "tcp", nil, nil, syscall.EINVAL, redial.Invalid},
		{"connect", "tcp", nil, (*net.TCPAddr)(nil), syscall.EINVAL, redial.Invalid},
		{"connect", "udp", nil, (*net.UDPAddr)(nil), syscall.EINVAL, redial.Invalid},
		{"connect", "ip4:icmp", nil, (*net.IPAddr)(nil), syscall.EINVAL, redial.Invalid},
		{"connect", "tcp", nil, &net.TCPAddr{Port: 80}, syscall.EINVAL, redial.Invalid},
		{"connect", "unix", nil, &net.UnixAddr{Net: "unix", Name: "/run/db.sock"}, syscall.EINVAL, redial.Invalid},
		{"bind", "tcp", loopback, elsewhere, syscall.EINVAL, redial.Invalid},
		{"setsockopt", "tcp", nil, elsewhere, syscall.EINVAL, redial.Invalid},
		{"connectex", "tcp", nil, elsewhere, 10022, redial.Invalid}, // WSAEINVAL
		{"connectex", "tcp", nil, elsewhere, 10045, redial.Invalid}, // WSAEOPNOTSUPP

		// EOPNOTSUPP means ICMP's "source route failed", or an option that the call
		// does not support.
		{"connect", "tcp", nil, elsewhere, syscall.EOPNOTSUPP, onlyLinux},
		{"connect", "udp6", nil, nil, syscall.EOPNOTSUPP, onlyLinux},
		{"connect", "unix", nil, nil, syscall.EOPNOTSUPP, redial.Invalid},
		{"setsockopt", "tcp", nil, elsewhere, syscall.EOPNOTSUPP, redial.Invalid},
		{"", "tcp", nil, elsewhere, syscall.EOPNOTSUPP, redial.Invalid},

		// Connect to port 0 returns EADDRNOTAVAIL on BSD and Windows. For any other
		// port, it means that no local port is left.
		{"connect", "tcp", nil, tcpAddr("192.0.2.1:0"), syscall.EADDRNOTAVAIL, redial.Invalid},
		{"connect", "udp", nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}, syscall.EADDRNOTAVAIL, redial.Invalid},
		{"connectex", "tcp", nil, tcpAddr("192.0.2.1:0"), 10049, redial.Invalid},
		{"connect", "tcp", nil, elsewhere, syscall.EADDRNOTAVAIL, redial.Exhausted},
		{"connectex", "tcp", nil, elsewhere, 10049, redial.Exhausted},
		{"connect", "ip6:ipv6-icmp", nil, &net.IPAddr{IP: net.IPv6loopback}, syscall.EADDRNOTAVAIL, redial.Exhausted},
		{"setsockopt", "udp", nil, elsewhere, syscall.EADDRNOTAVAIL, redial.Invalid},

		// The network interface does not exist. A plain errno comes from Control.
		{"setsockopt", "tcp", nil, elsewhere, syscall.ENODEV, redial.Invalid},
		{"", "tcp", nil, elsewhere, syscall.ENODEV, redial.Invalid},
		{"bind", "tcp", tcpAddr("[fe80::1%9]:0"), elsewhere, syscall.ENODEV, redial.Invalid},
		{"bind", "tcp", tcpAddr("[fe80::1%9]:0"), elsewhere, syscall.ENXIO, redial.Invalid},
		{"connect", "tcp", nil, elsewhere, syscall.ENODEV, redial.Unreachable},
		{"connect", "tcp", nil, elsewhere, syscall.ENXIO, redial.Unreachable},
		{"socket", "tcp", nil, elsewhere, syscall.ENXIO, redial.Invalid},
		{"open", "serial", nil, nil, syscall.ENODEV, redial.Unknown},

		// An ICMP message makes a UDP socket's next read or write fail.
		{"read", "udp", nil, elsewhere, syscall.ENOPROTOOPT, redial.Unreachable},
		{"write", "udp", nil, elsewhere, syscall.EPROTO, redial.Unreachable},
		{"recvfrom", "udp", nil, elsewhere, syscall.EPROTO, redial.Unreachable},
		{"recvmsg", "udp", nil, elsewhere, syscall.EPROTO, redial.Unreachable},
		{"sendto", "udp", nil, elsewhere, syscall.EPROTO, redial.Unreachable},
		{"sendmsg", "udp", nil, elsewhere, syscall.EPROTO, redial.Unreachable},
		{"connect", "tcp", nil, elsewhere, syscall.EPROTO, redial.Unreachable},
		{"read", "unix", nil, nil, syscall.EPROTO, redial.Unknown},
		{"read", "unixgram", nil, nil, syscall.EPROTO, redial.Unknown},
		{"read", "unixpacket", nil, nil, syscall.EPROTO, redial.Unknown},
		{"setsockopt", "udp", nil, elsewhere, syscall.ENOPROTOOPT, redial.Invalid},

		{"bind", "unixgram", nil, nil, syscall.ENOENT, redial.Invalid},
		{"open", "unix", nil, nil, syscall.ENOENT, redial.Unknown},
	} {
		err := &net.OpError{Op: "dial", Net: test.network, Source: test.source, Addr: test.addr, Err: test.errno}
		if test.call != "" {
			err.Err = os.NewSyscallError(test.call, test.errno)
		}
		assert.Equal(t, test.want, redial.Classify(err), "%s: %v", test.call, err)
		assertKeepsClass(t, err)
	}
	// A client may pass on the system call's error alone.
	for errno, want := range map[syscall.Errno]redial.Class{syscall.EINVAL: redial.Invalid, syscall.EPROTO: redial.Unreachable,
		syscall.EADDRNOTAVAIL: redial.Exhausted, syscall.ECONNREFUSED: redial.Refused} {
		assert.Equal(t, want, redial.Classify(os.NewSyscallError("connect", errno)), errno)
	}
	// The addresses of the innermost OpError count. A PathError is no failure of a socket.
	atProxy := &net.OpError{Op: "proxyconnect", Net: "tcp", Addr: tcpAddr("[fe80::1]:80"), Err: &net.OpError{Op: "dial", Net: "tcp", Addr: elsewhere,
		Err: os.NewSyscallError("connect", syscall.EINVAL)}}
	assert.Equal(t, onlyLinux, redial.Classify(atProxy))
	assert.Equal(t, redial.Unknown, redial.Classify(&fs.PathError{Op: "open", Path: "/dev/ttyUSB0", Err: syscall.ENODEV}))
}

func tcpAddr(address string) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
}

// A sandbox or a bug of the program can cause these errnos. They say nothing about the
// dial.
func TestClassifyErrnoThatSaysNothing(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.EINTR, syscall.ESRCH, syscall.EBADF, syscall.EALREADY, syscall.EISCONN,
		syscall.EXDEV, syscall.ESTALE, syscall.EBUSY, syscall.EMSGSIZE, syscall.ERANGE, syscall.ECANCELED} {
		for _, call := range []string{"socket", "setsockopt", "bind", "connect", "read", "write"} {
			assert.Equal(t, redial.Unknown, redial.Classify(opError("tcp", call, errno)), "%s: %v", call, errno)
		}
	}
}

func TestClassifyErrnoOfBind(t *testing.T) {
	assert.Equal(t, redial.Invalid, redial.Classify(opError("tcp", "bind", syscall.EADDRNOTAVAIL)))
	assert.Equal(t, redial.Invalid, redial.Classify(opError("tcp", "bind", syscall.Errno(10049))))
	assert.Equal(t, redial.Exhausted, redial.Classify(opError("tcp", "bind", syscall.EADDRINUSE)))
}

// The error numbers of Windows Sockets have the same class on every system.
func TestClassifyWinsock(t *testing.T) {
	for errno, want := range map[syscall.Errno]redial.Class{
		10061: redial.Refused,
		10054: redial.Reset,
		10053: redial.Reset,
		10052: redial.Reset,
		10057: redial.Reset,
		10058: redial.Reset,
		10101: redial.Reset,
		10060: redial.Timeout,
		10051: redial.Unreachable,
		10065: redial.Unreachable,
		10050: redial.Unreachable,
		10064: redial.Unreachable,
		10013: redial.Denied,
		10024: redial.Exhausted,
		10055: redial.Exhausted,
		10049: redial.Exhausted,
		10048: redial.Exhausted,
		10067: redial.Exhausted,
		10047: redial.Invalid,
		10046: redial.Invalid,
		10041: redial.Invalid,
		10043: redial.Invalid,
		10044: redial.Invalid,
		10045: redial.Invalid,
		10042: redial.Invalid,
		10039: redial.Invalid,
		10022: redial.Invalid,
		10014: redial.Invalid,
		10063: redial.Invalid,
		10062: redial.Invalid,
		10035: redial.Unknown, // WSAEWOULDBLOCK
	} {
		err := opError("tcp", "connectex", errno)
		assert.Equal(t, want, redial.Classify(err), "%d", errno)
		assertKeepsClass(t, err)
	}
	// 121 is ERROR_SEM_TIMEOUT on Windows, and another errno on other systems.
	want := redial.Unknown
	if runtime.GOOS == "windows" {
		want = redial.Timeout
	}
	assert.Equal(t, want, redial.Classify(opError("tcp", "connectex", syscall.Errno(121))))
}

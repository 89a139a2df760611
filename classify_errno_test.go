//go:build !plan9

package redial_test

import (
	"io/fs"
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// The system's errors, for tests that are not about one system.
const (
	sysRefused = syscall.ECONNREFUSED
	sysReset   = syscall.ECONNRESET
)

func systemError(errno uint32) error { return syscall.Errno(errno) }

// Errnos as connect, and then as any other call, returns them: those that mean
// the same have no second class.
func TestClassifyErrno(t *testing.T) {
	tests := []struct {
		errno     syscall.Errno
		of        string // the network; "tcp" if empty
		onConnect redial.Class
		elsewhere redial.Class
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

func TestClassifyErrnoOfBind(t *testing.T) {
	assert.Equal(t, redial.Invalid, redial.Classify(opError("tcp", "bind", syscall.EADDRNOTAVAIL)))
	assert.Equal(t, redial.Invalid, redial.Classify(opError("tcp", "bind", syscall.Errno(10049))))
	assert.Equal(t, redial.Exhausted, redial.Classify(opError("tcp", "bind", syscall.EADDRINUSE)))
}

// The numbers of Windows Sockets keep their class on every system.
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
	// 121 is Windows' ERROR_SEM_TIMEOUT, and another errno elsewhere.
	want := redial.Unknown
	if runtime.GOOS == "windows" {
		want = redial.Timeout
	}
	assert.Equal(t, want, redial.Classify(opError("tcp", "connectex", syscall.Errno(121))))
}

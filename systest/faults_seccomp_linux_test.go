//go:build !386 && !s390x

// On these two, Go connects by socketcall(2).

package systest_test

// These faults are errnos that a filter of seccomp(2) injects into one system call of a dial, as a
// sandbox may. So every errno that a kernel, a security module or a sandbox may return is tested,
// also those that nothing here can cause.

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A sandboxedCall is a system call that a dial makes, and the dial that makes it.
type sandboxedCall struct {
	name   string
	number uintptr
	only   family
	dial   func(t *testing.T, d *faultyDial) // may change d, so that it makes the call; nil means that every dial does
}

var (
	socketCall     = sandboxedCall{name: "socket", number: syscall.SYS_SOCKET}
	epollCtlCall   = sandboxedCall{name: "epoll_ctl", number: syscall.SYS_EPOLL_CTL}
	connectCall    = sandboxedCall{name: "connect", number: syscall.SYS_CONNECT}
	setsockoptCall = sandboxedCall{"setsockopt", syscall.SYS_SETSOCKOPT, "", func(_ *testing.T, d *faultyDial) {
		d.Control = func(_, _ string, conn syscall.RawConn) (err error) {
			controlErr := conn.Control(func(fd uintptr) {
				err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
			})
			return errors.Join(err, controlErr)
		}
	}}
	bindCall = sandboxedCall{"bind", syscall.SYS_BIND, "", func(_ *testing.T, d *faultyDial) {
		d.LocalAddr = &net.TCPAddr{IP: d.ip.AsSlice()}
	}}
	unixConnectCall = sandboxedCall{"connect of a unix socket", syscall.SYS_CONNECT, unix, func(t *testing.T, d *faultyDial) {
		d.network, d.address = "unix", testutil.SocketPath(t)
	}}
	unixBindCall = sandboxedCall{"bind of a unix socket", syscall.SYS_BIND, unix, func(t *testing.T, d *faultyDial) {
		d.network, d.address = "unix", testutil.SocketPath(t)
		d.LocalAddr = &net.UnixAddr{Net: "unix", Name: testutil.SocketPath(t)}
	}}
)

// errnoFaults has the errnos of each system call by class. Which errnos a call returns is in its
// manual page, in ip(7), tcp(7), unix(7) and icmp(7), and in the man pages of security modules.
var errnoFaults = []struct {
	call   sandboxedCall
	class  redial.Class
	errnos []syscall.Errno
}{
	{connectCall, redial.Refused, []syscall.Errno{syscall.ECONNREFUSED}},
	{connectCall, redial.Reset, []syscall.Errno{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ENETRESET, syscall.EPIPE,
		syscall.ENOTCONN, syscall.ESHUTDOWN}},
	{connectCall, redial.Timeout, []syscall.Errno{syscall.ETIMEDOUT}},
	{connectCall, redial.Unreachable, []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
		syscall.ENONET, syscall.EOPNOTSUPP, syscall.ENOPROTOOPT, syscall.EPROTO, syscall.EINVAL, syscall.ENODEV, syscall.ENXIO}},
	{connectCall, redial.Denied, []syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.EROFS}},
	{connectCall, redial.Exhausted, []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC,
		syscall.EDQUOT, syscall.EADDRINUSE, syscall.EAGAIN}},
	{connectCall, redial.Invalid, []syscall.Errno{syscall.EAFNOSUPPORT, syscall.EPFNOSUPPORT, syscall.EPROTOTYPE, syscall.EPROTONOSUPPORT,
		syscall.ESOCKTNOSUPPORT, syscall.ENOSYS, syscall.EDESTADDRREQ, syscall.EFAULT}},
	{connectCall, redial.Unknown, []syscall.Errno{syscall.EIO, syscall.EBADF, syscall.EBUSY, syscall.EMSGSIZE, syscall.ESTALE,
		syscall.ENOLINK, syscall.ECOMM, syscall.EREMOTEIO, syscall.ENOKEY, syscall.EKEYREJECTED, syscall.E2BIG, syscall.ERANGE}},

	{socketCall, redial.Denied, []syscall.Errno{syscall.EACCES, syscall.EPERM}},
	{socketCall, redial.Exhausted, []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}},
	{socketCall, redial.Invalid, []syscall.Errno{syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT, syscall.EPROTOTYPE, syscall.ESOCKTNOSUPPORT,
		syscall.EINVAL, syscall.ENOSYS}},
	{socketCall, redial.Unknown, []syscall.Errno{syscall.EIO}},

	{setsockoptCall, redial.Denied, []syscall.Errno{syscall.EACCES, syscall.EPERM}},
	{setsockoptCall, redial.Exhausted, []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM}},
	{setsockoptCall, redial.Invalid, []syscall.Errno{syscall.EINVAL, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.ENODEV,
		syscall.EADDRNOTAVAIL, syscall.EFAULT, syscall.ENOSYS}},

	{epollCtlCall, redial.Denied, []syscall.Errno{syscall.EPERM}},
	{epollCtlCall, redial.Exhausted, []syscall.Errno{syscall.ENOSPC, syscall.ENOMEM}},

	{bindCall, redial.Denied, []syscall.Errno{syscall.EACCES, syscall.EPERM}},
	{bindCall, redial.Exhausted, []syscall.Errno{syscall.EADDRINUSE, syscall.ENOBUFS, syscall.ENOMEM}},
	{bindCall, redial.Invalid, []syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EINVAL, syscall.EAFNOSUPPORT, syscall.ENODEV, syscall.ENXIO, syscall.ENOSYS}},

	{unixConnectCall, redial.Refused, []syscall.Errno{syscall.ECONNREFUSED, syscall.ENOENT, syscall.EAGAIN, syscall.ENOTSOCK}},
	{unixConnectCall, redial.Reset, []syscall.Errno{syscall.ECONNRESET, syscall.EPIPE}},
	{unixConnectCall, redial.Denied, []syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.EROFS}},
	{unixConnectCall, redial.Exhausted, []syscall.Errno{syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS}},
	{unixConnectCall, redial.Invalid, []syscall.Errno{syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EPROTOTYPE,
		syscall.EINVAL, syscall.EOPNOTSUPP, syscall.EFAULT}},
	{unixConnectCall, redial.Unknown, []syscall.Errno{syscall.EIO, syscall.EPROTO}},

	{unixBindCall, redial.Denied, []syscall.Errno{syscall.EACCES, syscall.EROFS}},
	{unixBindCall, redial.Exhausted, []syscall.Errno{syscall.EADDRINUSE, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOMEM}},
	{unixBindCall, redial.Invalid, []syscall.Errno{syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL}},
}

// seccompFaults returns the faults of errnoFaults, and those whose class depends on the family.
func seccompFaults() []fault {
	faults := []fault{
		// If no UDP socket finds an IPv6 source address either, the address is unreachable.
		errnoFault(connectCall, redial.Exhausted, syscall.EADDRNOTAVAIL, ipv4),
		errnoFault(connectCall, redial.Unreachable, syscall.EADDRNOTAVAIL, ipv6),
	}
	for _, c := range errnoFaults {
		for _, errno := range c.errnos {
			faults = append(faults, errnoFault(c.call, c.class, errno, c.call.only))
		}
	}
	return faults
}

func errnoFault(call sandboxedCall, class redial.Class, errno syscall.Errno, only family) fault {
	return fault{class: class, cause: call.name + ": " + errno.Error(), errno: errno, only: only,
		begin: func(t *testing.T, d *faultyDial) func() {
			if call.dial != nil {
				call.dial(t, d)
			}
			inject(t, call.number, errno)
			return nil
		}}
}

// inject makes a system call fail on the calling thread, for as long as the thread lives.
func inject(t *testing.T, call uintptr, errno syscall.Errno) {
	t.Helper()
	addFilter(t, []syscall.SockFilter{
		load(offsetNumber),
		skipUnless(uint32(call), 1),
		fail(errno),
		allow,
	}, func(filter *syscall.SockFprog) syscall.Errno {
		const (
			setSeccomp = 22 // PR_SET_SECCOMP
			modeFilter = 2  // SECCOMP_MODE_FILTER
		)
		_, _, err := syscall.RawSyscall(syscall.SYS_PRCTL, setSeccomp, modeFilter, uintptr(unsafe.Pointer(filter)))
		return err
	})
}

// sysSeccomp has the number of seccomp(2), which package syscall does not know.
var sysSeccomp = map[string]uintptr{"amd64": 317, "arm64": 277, "riscv64": 277, "loong64": 277}[runtime.GOARCH] // all little-endian

// forbidUDP makes this process get errno when it makes a UDP socket.
func forbidUDP(t *testing.T, errno syscall.Errno) {
	t.Helper()
	if sysSeccomp == 0 {
		t.Skip("the number of seccomp(2) on " + runtime.GOARCH + " is not known here")
	}
	runtime.LockOSThread() // addFilter makes two system calls
	defer runtime.UnlockOSThread()
	addFilter(t, []syscall.SockFilter{
		load(offsetNumber),
		skipUnless(syscall.SYS_SOCKET, 4),
		load(offsetSecondArgument),
		{Code: syscall.BPF_ALU | syscall.BPF_AND | syscall.BPF_K, K: 0xf}, // without SOCK_CLOEXEC and SOCK_NONBLOCK
		skipUnless(syscall.SOCK_DGRAM, 1),
		fail(errno),
		allow,
	}, func(filter *syscall.SockFprog) syscall.Errno {
		const (
			modeFilter = 1 // SECCOMP_SET_MODE_FILTER
			allThreads = 1 // SECCOMP_FILTER_FLAG_TSYNC
		)
		_, _, err := syscall.RawSyscall(sysSeccomp, modeFilter, allThreads, uintptr(unsafe.Pointer(filter)))
		return err
	})
}

// These are the instructions of a filter, and the offsets in struct seccomp_data.
const (
	offsetNumber         = 0
	offsetSecondArgument = 24
)

var allow = syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: 0x7fff0000} // SECCOMP_RET_ALLOW

func load(offset uint32) syscall.SockFilter {
	return syscall.SockFilter{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offset}
}

// skipUnless skips n instructions unless the value that was loaded is k.
func skipUnless(k uint32, n uint8) syscall.SockFilter {
	return syscall.SockFilter{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: k, Jf: n}
}

func fail(errno syscall.Errno) syscall.SockFilter {
	return syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: 0x00050000 | uint32(errno)} // SECCOMP_RET_ERRNO
}

// addFilter adds a filter by install.
func addFilter(t *testing.T, program []syscall.SockFilter, install func(*syscall.SockFprog) syscall.Errno) {
	t.Helper()
	const setNoNewPrivs = 38 // PR_SET_NO_NEW_PRIVS: then a filter needs no rights
	_, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0)
	if err == 0 {
		err = install(&syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	}
	if err != 0 {
		t.Skipf("this kernel has no seccomp filters: %v", err)
	}
}

// The filter holds for one thread, which no other goroutine uses. A dial to an IP address or a path
// makes all its system calls there.
func TestFaultSeccomp(t *testing.T) {
	t.Parallel()
	for _, f := range seccompFaults() {
		families := []family{ipv4, ipv6}
		if f.only != "" {
			families = []family{f.only}
		}
		for _, family := range families {
			t.Run(f.String()+"/"+string(family), func(t *testing.T) {
				if family == ipv6 {
					skipWithoutIPv6(t)
				}
				t.Parallel()
				runtime.LockOSThread() // never unlocked, so that the thread ends with the subtest
				d := nameDial(t, family)
				d.address = net.JoinHostPort(d.ip.String(), "1") // no dial gets so far
				f.test(t, d)
			})
		}
	}
}

// sandboxFaults returns faults of a sandbox that keeps the resolver from its DNS server. If nothing
// answers, that does not show that the name does not exist.
func sandboxFaults() (faults []fault) {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.EAFNOSUPPORT, syscall.ENOBUFS} {
		faults = append(faults, fault{class: redial.DNS, cause: "socket of the resolver: " + errno.Error(),
			begin: func(t *testing.T, d *faultyDial) func() {
				startDNS(t, d)
				forbidUDP(t, errno)
				return nil
			}})
	}
	return faults
}

func TestFaultResolverSandbox(t *testing.T) {
	t.Parallel()
	for _, f := range sandboxFaults() {
		t.Run(f.String(), func(t *testing.T) {
			eachResolver(t, nil, func(t *testing.T, _ string) {
				listenBoth(t)
				f.test(t, nameDial(t, ipv4))
			})
		})
	}
}

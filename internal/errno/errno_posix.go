//go:build !plan9

package errno

import (
	"runtime"
	"syscall"
)

// posix has the errnos that package syscall names on every system but Plan 9. The files beside this
// one add the errnos that only some systems have. On Windows, Go invented the numbers of these
// errnos; the system itself returns others.
var posix = map[syscall.Errno]Condition{
	syscall.ECONNREFUSED: ConnectionRefused,
	syscall.ECONNRESET:   ConnectionReset,
	syscall.ECONNABORTED: ConnectionAborted,
	syscall.ENETRESET:    NetworkReset,
	syscall.EPIPE:        BrokenPipe,
	syscall.ENOTCONN:     NotConnected,

	syscall.ETIMEDOUT: TimedOut,
	syscall.EAGAIN:    WouldBlock,

	syscall.ENETUNREACH:  NetworkUnreachable,
	syscall.EHOSTUNREACH: HostUnreachable,
	syscall.ENETDOWN:     NetworkDown,

	syscall.EACCES: AccessDenied,
	syscall.EPERM:  NotPermitted,
	syscall.EROFS:  ReadOnlyFileSystem,

	syscall.EMFILE:        TooManyFiles,
	syscall.ENFILE:        TooManyFilesInSystem,
	syscall.ENOBUFS:       NoBuffers,
	syscall.ENOMEM:        NoMemory,
	syscall.ENOSPC:        NoSpace,
	syscall.EDQUOT:        QuotaExceeded,
	syscall.EADDRINUSE:    AddressInUse,
	syscall.EADDRNOTAVAIL: AddressNotAvailable,

	syscall.EAFNOSUPPORT:    FamilyNotSupported,
	syscall.EPROTONOSUPPORT: ProtocolNotSupported,
	syscall.EPROTOTYPE:      WrongProtocolType,
	syscall.EOPNOTSUPP:      NotSupported,
	syscall.ENOSYS:          NotImplemented,
	syscall.ENOPROTOOPT:     NoProtocolOption,
	syscall.EPROTO:          ProtocolError,
	syscall.EDESTADDRREQ:    AddressRequired,
	syscall.EINVAL:          InvalidArgument,
	syscall.EFAULT:          BadPointer,

	syscall.ENOENT:       FileNotFound,
	syscall.ENOTSOCK:     NotSocket,
	syscall.ENOTDIR:      NotDirectory,
	syscall.ENAMETOOLONG: NameTooLong,
	syscall.ELOOP:        LinkLoop,

	syscall.ENODEV: NoDevice,
	syscall.ENXIO:  NoDeviceOrAddress,
}

// Of returns the Condition of err itself. It does not look at errors that err wraps.
func Of(err error) Condition {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return Unknown
	}
	if c, ok := posix[errno]; ok {
		return c
	}
	return ofNumber(uintptr(errno), runtime.GOOS == "windows")
}

// Err returns the error that this system's calls return for c, or nil if there is none.
func (c Condition) Err() error {
	if runtime.GOOS == "windows" {
		if err := c.Winsock(); err != nil {
			return err
		}
	}
	for errno, condition := range posix {
		if condition == c {
			return errno
		}
	}
	return nil
}

// Winsock returns the error of Windows Sockets for c on any system, or nil if there is none. On
// Plan 9, which has no error numbers, it returns what Err returns.
func (c Condition) Winsock() error {
	if c < NumConditions && table[c].winsock != 0 {
		return syscall.Errno(table[c].winsock)
	}
	return nil
}

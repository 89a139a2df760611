package dialtest

import (
	"os"
	"runtime"
	"strings"

	"github.com/seed-33f8b841/redial/internal/errno"
)

const (
	onWindows = runtime.GOOS == "windows"
	onPlan9   = runtime.GOOS == "plan9"
)

// conditions has, for each kind of outcome that fails in a system call, the condition that the
// system reports.
var conditions = [numKinds]errno.Condition{
	refuse:        errno.ConnectionRefused,
	noSocket:      errno.FileNotFound,
	reset:         errno.ConnectionReset,
	timeout:       errno.TimedOut,
	noRoute:       errno.HostUnreachable,
	noNetwork:     errno.NetworkUnreachable,
	deny:          errno.AccessDenied,
	noDescriptors: errno.TooManyFiles,
	noPorts:       errno.AddressNotAvailable,
	noFamily:      errno.FamilyNotSupported,
}

// systemError returns the error that package net returns for k on this system. On Plan 9 the error
// is a string alone and names no system call.
func systemError(k kind, network string) error {
	switch {
	case onWindows:
		return winsockError(k, network)
	case onPlan9 && k == noSocket: // Plan 9 has no unix sockets
		return errno.NotSupported.Err()
	case onPlan9:
		return conditions[k].Err()
	}
	return os.NewSyscallError(kinds[k].call, conditions[k].Err())
}

// winsockError returns the error that package net returns for k on Windows. When built for Plan 9,
// which has no error numbers, it returns Plan 9's error instead.
//
// On Windows, only TCP connects by ConnectEx. A dial to a unix socket that does not exist is
// refused.
func winsockError(k kind, network string) error {
	if onPlan9 {
		return systemError(k, network)
	}
	call, condition := kinds[k].call, conditions[k]
	if call == "connect" && strings.HasPrefix(network, "tcp") {
		call = "connectex"
	}
	if condition == errno.FileNotFound {
		condition = errno.ConnectionRefused
	}
	return os.NewSyscallError(call, condition.Winsock())
}

// errBroken is the error of a write to a connection whose other end is closed.
var errBroken = func() error {
	switch {
	case onWindows:
		return os.NewSyscallError("wsasend", errno.ConnectionReset.Winsock())
	case onPlan9:
		return errno.ConnectionReset.Err()
	}
	return os.NewSyscallError("write", errno.BrokenPipe.Err())
}()

// tryAgain is the text of the DNSError that Windows returns if a name server fails. When built for
// Plan 9, there is no number to put in the text.
var tryAgain = func() string {
	if onPlan9 {
		return "server misbehaving"
	}
	return os.NewSyscallError("getaddrinfow", errno.TryAgain.Winsock()).Error()
}()

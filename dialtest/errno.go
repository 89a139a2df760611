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

// conditions has what the system reports for each kind that fails in a system
// call.
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

// systemError returns the error that package net has of this system for k. On
// Plan 9 it is a string alone, of no call.
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

// winsockError returns the error that package net has of Windows for k, or of
// Plan 9 there. Only TCP connects by ConnectEx, and a unix socket that is not
// there is refused.
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

// errBroken is the error of a write to a connection that the other end has
// closed.
var errBroken = func() error {
	switch {
	case onWindows:
		return os.NewSyscallError("wsasend", errno.ConnectionReset.Winsock())
	case onPlan9:
		return errno.ConnectionReset.Err()
	}
	return os.NewSyscallError("write", errno.BrokenPipe.Err())
}()

// tryAgain is the text of a DNSError of Windows for a name server that failed.
// Plan 9 has no number to put in it.
var tryAgain = func() string {
	if onPlan9 {
		return "server misbehaving"
	}
	return os.NewSyscallError("getaddrinfow", errno.TryAgain.Winsock()).Error()
}()

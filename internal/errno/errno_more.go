//go:build unix || windows || js

package errno

import "syscall"

// Package syscall has no names for these errnos on WASI.
func init() {
	posix[syscall.ESHUTDOWN] = ShutDown
	posix[syscall.EHOSTDOWN] = HostDown
	posix[syscall.EPFNOSUPPORT] = ProtocolFamilyNotSupported
	posix[syscall.ESOCKTNOSUPPORT] = SocketTypeNotSupported
}

//go:build unix || windows || js

package errno

import "syscall"

// WASI has no names for these.
func init() {
	posix[syscall.ESHUTDOWN] = ShutDown
	posix[syscall.EHOSTDOWN] = HostDown
	posix[syscall.EPFNOSUPPORT] = ProtocolFamilyNotSupported
	posix[syscall.ESOCKTNOSUPPORT] = SocketTypeNotSupported
}

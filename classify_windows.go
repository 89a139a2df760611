package redial

import (
	"maps"
	"syscall"
)

// On Windows, the POSIX names of package syscall are numbers that Go invented.
// It returns the system's own, which are those of Windows Sockets, and those
// of Win32 that an overlapped operation can end with ("System Error Codes",
// winerror.h).
func init() {
	errnoRefused = wsaECONNREFUSED
	maps.Copy(errnoClass, map[syscall.Errno]Class{
		1225: Refused, // ERROR_CONNECTION_REFUSED

		64:   Reset, // ERROR_NETNAME_DELETED
		109:  Reset, // ERROR_BROKEN_PIPE
		1229: Reset, // ERROR_CONNECTION_INVALID
		1236: Reset, // ERROR_CONNECTION_ABORTED

		121:  Timeout, // ERROR_SEM_TIMEOUT
		1460: Timeout, // ERROR_TIMEOUT

		1231: Unreachable, // ERROR_NETWORK_UNREACHABLE
		1232: Unreachable, // ERROR_HOST_UNREACHABLE

		5: Denied, // ERROR_ACCESS_DENIED

		4:    Exhausted, // ERROR_TOO_MANY_OPEN_FILES
		8:    Exhausted, // ERROR_NOT_ENOUGH_MEMORY
		14:   Exhausted, // ERROR_OUTOFMEMORY
		1450: Exhausted, // ERROR_NO_SYSTEM_RESOURCES

		87: Invalid, // ERROR_INVALID_PARAMETER
	})
}

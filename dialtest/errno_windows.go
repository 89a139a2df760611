package dialtest

import (
	"os"
	"syscall"
)

const onWindows = true

// systemError is the error that package net has of the system for k. The POSIX
// names of package syscall are no numbers of Windows, but Go's inventions.
func systemError(k kind, network string) error {
	return winsockError(k, network)
}

// errBroken is that of a write to a connection that the other end has closed.
var errBroken = os.NewSyscallError("wsasend", syscall.Errno(10054)) // WSAECONNRESET

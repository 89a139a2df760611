//go:build !plan9 && !windows

package dialtest

import (
	"os"
	"syscall"
)

const onWindows = false

var errnos = [numKinds]syscall.Errno{
	refuse:        syscall.ECONNREFUSED,
	noSocket:      syscall.ENOENT,
	reset:         syscall.ECONNRESET,
	timeout:       syscall.ETIMEDOUT,
	noRoute:       syscall.EHOSTUNREACH,
	noNetwork:     syscall.ENETUNREACH,
	deny:          syscall.EACCES,
	noDescriptors: syscall.EMFILE,
	noPorts:       syscall.EADDRNOTAVAIL,
	noFamily:      syscall.EAFNOSUPPORT,
}

// systemError is the error that package net has of the system for k.
func systemError(k kind, _ string) error {
	return os.NewSyscallError(kinds[k].call, errnos[k])
}

// errBroken is that of a write to a connection that the other end has closed.
var errBroken = os.NewSyscallError("write", syscall.EPIPE)

//go:build unix || windows || js

package redial

import "syscall"

// What POSIX leaves out and all of these have; of WASI it is not known.
func init() {
	errnoClass[syscall.ESHUTDOWN] = Reset
	errnoClass[syscall.EHOSTDOWN] = Unreachable
	errnoClass[syscall.EPFNOSUPPORT] = Invalid
	errnoClass[syscall.ESOCKTNOSUPPORT] = Invalid
	errnoClass[syscall.EOPNOTSUPP] = Invalid
}

// classOfSystemOwn decides what this file's errnos mean by where they occur.
func classOfSystemOwn(errno syscall.Errno, at place) Class {
	if errno == syscall.EOPNOTSUPP && onLinux && at.call == "connect" && !at.isUnix() {
		return Unreachable // icmp(7): source route failed
	}
	return Unknown
}

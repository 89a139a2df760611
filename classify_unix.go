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

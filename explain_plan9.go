package redial

import "syscall"

// troubleOf tells which of the troubles an error of the kernel is, which is a
// string (see plan9Class).
func troubleOf(err error) trouble {
	e, ok := err.(syscall.ErrorString)
	if !ok {
		return otherTrouble
	}
	return map[syscall.ErrorString]trouble{
		"connection refused":              nothingAccepts,
		"no route":                        noRoute,
		"network unreachable":             noRoute,
		"host unreachable":                noHost,
		"permission denied":               noAccess,
		"no free file descriptors":        processDescriptors,
		"network port not available":      noLocalAddress,
		"connection in use":               addressInUse,
		"device or object already in use": addressInUse,
	}[e]
}

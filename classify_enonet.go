//go:build linux || solaris || windows || js

package redial

import "syscall"

func init() {
	errnoClass[syscall.ENONET] = Unreachable // icmp(7): the host is isolated
}

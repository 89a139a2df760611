//go:build linux || solaris || windows || js

package errno

import "syscall"

func init() {
	posix[syscall.ENONET] = HostIsolated // Linux's icmp(7)
}

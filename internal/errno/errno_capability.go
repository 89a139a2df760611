//go:build freebsd || wasip1

package errno

import "syscall"

func init() {
	posix[syscall.ENOTCAPABLE] = NotCapable // capsicum(4), and WASI's rights
}

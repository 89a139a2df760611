package errno

import "syscall"

func init() {
	posix[syscall.ECAPMODE] = CapabilityMode // capsicum(4)
}

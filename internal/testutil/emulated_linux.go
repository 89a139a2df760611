package testutil

import "os"

// Emulated reports whether an emulator, such as qemu-user, executes this program. It shows the
// program to itself as /proc/self/exe, while the kernel says that the emulator is executed.
func Emulated() bool {
	shown, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return false
	}
	executed, err := os.Readlink("/proc/thread-self/exe")
	return err == nil && shown != executed
}

package testutil

import "os"

// Emulated reports whether an emulator, such as qemu-user, executes this program. The emulator makes
// /proc/self/exe name the program, but /proc/thread-self/exe still names the emulator.
func Emulated() bool {
	shown, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return false
	}
	executed, err := os.Readlink("/proc/thread-self/exe")
	return err == nil && shown != executed
}

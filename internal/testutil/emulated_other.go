//go:build !linux

package testutil

// Emulated reports whether an emulator, such as qemu-user, executes this program.
func Emulated() bool { return false }

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package cli

import (
	"os"
	"syscall"
	"unsafe"
)

// windowSize asks the driver for the size of its window (tty_ioctl(4)). Only a terminal has a
// window. A size of zero is not known.
func windowSize(f *os.File) (columns, rows int, ok bool) {
	var window struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&window)))
	return int(window.columns), int(window.rows), errno == 0
}

func understandsSequences(*os.File) bool { return true }

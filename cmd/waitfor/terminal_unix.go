//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"
	"syscall"
	"unsafe"
)

// terminalOf asks the driver for the size of its window (tty_ioctl(4)), which
// only a terminal has.
func terminalOf(f *os.File) terminal {
	size := func() (columns, rows int, ok bool) {
		var window struct{ rows, columns, x, y uint16 }
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&window)))
		if window.rows == 0 || window.columns == 0 { // not known, as on a serial line
			window.rows, window.columns = 24, 80
		}
		return int(window.columns), int(window.rows), errno == 0
	}
	if _, _, ok := size(); !ok || os.Getenv("TERM") == "dumb" {
		return terminal{}
	}
	return terminal{func() (int, int) {
		columns, rows, _ := size()
		return columns, rows
	}}
}

package cli

import (
	"os"
	"syscall"
	"unsafe"
)

var (
	kernel32                   = syscall.NewLazyDLL("kernel32.dll")
	getConsoleScreenBufferInfo = kernel32.NewProc("GetConsoleScreenBufferInfo")
	setConsoleMode             = kernel32.NewProc("SetConsoleMode")
)

// windowSize returns the size of the visible part of a console's buffer.
func windowSize(f *os.File) (columns, rows int, ok bool) {
	var info struct { // CONSOLE_SCREEN_BUFFER_INFO
		size, cursor             [2]int16
		attributes               uint16
		left, top, right, bottom int16
		largest                  [2]int16
	}
	done, _, _ := getConsoleScreenBufferInfo.Call(f.Fd(), uintptr(unsafe.Pointer(&info)))
	return int(info.right-info.left) + 1, int(info.bottom-info.top) + 1, done != 0
}

// understandsSequences switches control sequences on (ENABLE_VIRTUAL_TERMINAL_PROCESSING), as
// Windows 10 and later can. It reports whether they are on.
func understandsSequences(f *os.File) bool {
	const virtualTerminal = 0x4
	var mode uint32
	if err := syscall.GetConsoleMode(syscall.Handle(f.Fd()), &mode); err != nil {
		return false
	}
	done, _, _ := setConsoleMode.Call(f.Fd(), uintptr(mode|virtualTerminal))
	return done != 0
}

package testutil

import "syscall"

// OnWine reports whether Wine runs the test, and not Windows. Wine's ntdll.dll has a function that
// Windows' lacks.
func OnWine() bool {
	return syscall.NewLazyDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

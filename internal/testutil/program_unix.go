//go:build unix

package testutil

import (
	"errors"
	"syscall"
)

// isForeign reports whether err says that the kernel can't execute a program, because the program
// is for another processor.
func isForeign(err error) bool { return errors.Is(err, syscall.ENOEXEC) }

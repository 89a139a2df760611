//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// replaceBy runs the command in this program's place: with its process ID, so
// that signals, and whoever waits, reach the command. It returns only if
// that fails.
func replaceBy(path string, command []string, errOut io.Writer) int {
	err := syscall.Exec(path, command, os.Environ())
	fmt.Fprintf(errOut, "waitfor: %s: %v\n", path, err)
	return exitCantRun
}

//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
)

// replaceBy replaces this program by the command. The command keeps the process
// ID, so signals reach it, and the parent process gets its exit code. replaceBy
// returns only if it fails.
func replaceBy(path string, command []string, errOut io.Writer) int {
	err := syscall.Exec(path, command, os.Environ())
	fmt.Fprintf(errOut, "waitfor: %s: %v\n", cli.Foreign(path), err)
	return exitCantRun
}

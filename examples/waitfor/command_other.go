//go:build !unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
)

// replaceBy runs the command, for no program here can take another's place,
// and returns its exit code. An interrupt is the command's to answer: it gets
// it too.
func replaceBy(path string, command []string, errOut io.Writer) int {
	signal.Ignore(os.Interrupt)
	cmd := &exec.Cmd{Path: path, Args: command, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitThere
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	}
	fmt.Fprintf(errOut, "waitfor: %s: %v\n", path, err)
	return exitCantRun
}

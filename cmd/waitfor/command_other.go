//go:build !unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
)

// replaceBy runs the command and returns its exit code, because here no program
// can take another's place. It ignores interrupts: the command gets them too, and
// decides what to do.
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
	fmt.Fprintf(errOut, "waitfor: %s\n", cli.Foreign(path+": "+err.Error()))
	return exitCantRun
}

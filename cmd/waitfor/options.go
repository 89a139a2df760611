package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
)

const usage = `usage: waitfor [flags] target... [-- command [args]]

A target is one of
  host:port            accepts a connection, and does not close it at once
  unix:/path           the same
  tls://host:port      completes a TLS handshake
  http://... https://  answers a GET with a status below 500, or as -status says
  http+unix:///path:/  the same, over a unix socket
`

// options are what the command line asks for.
type options struct {
	timeout  time.Duration // for all targets together; 0: no limit
	attempt  time.Duration // for one attempt
	interval time.Duration // from one attempt to the next; 0: a growing delay
	not      bool
	quiet    bool
	status   statuses
	client   target.Client
	targets  []target.Target
	command  []string // empty: none
	path     string   // of the command's program
}

// parse returns nil and the exit code if there is nothing to wait for.
func parse(args []string, out, errOut io.Writer) (*options, int) {
	o := &options{client: target.Client{UserAgent: "waitfor"}}
	if i := slices.Index(args, "--"); i >= 0 {
		args, o.command = args[:i], args[i+1:]
	}
	flags := flag.NewFlagSet("waitfor", flag.ContinueOnError)
	cli.Duration(flags, &o.timeout, "timeout", time.Minute, "fail after this `duration` if a target is missing; 0s: wait without limit")
	cli.Duration(flags, &o.attempt, "attempt", 5*time.Second, "give up an attempt after this `duration`, which includes the answer of a URL")
	cli.Duration(flags, &o.interval, "interval", 0, "try again after this fixed `duration` (default: random delays that grow from 100ms to 1s)")
	flags.BoolVar(&o.not, "not", false, "wait until the targets are gone")
	flags.BoolVar(&o.quiet, "quiet", false, "write nothing but errors")
	flags.Var(&o.status, "status", "wait until URLs answer with one of these `statuses`, such as 200,204 or 2xx (default: below 500)")
	o.client.AddFlags(flags)

	err := cli.Parse(flags, args, usage, out, o.take)
	if errors.Is(err, flag.ErrHelp) {
		return nil, exitThere
	}
	if err == nil {
		err = o.check()
	}
	if err != nil {
		cli.Misused(flags, err, usage, errOut)
		return nil, exitUsage
	}
	return o.findCommand(errOut)
}

func (o *options) check() error {
	switch {
	case len(o.targets) == 0:
		return errors.New("no target: give what to wait for, such as db:5432")
	case o.timeout < 0 || o.interval < 0:
		return errors.New("-timeout and -interval must not be negative")
	case o.attempt <= 0:
		return errors.New("-attempt must be positive")
	}
	return o.client.Load()
}

// take takes the target that args begin with.
func (o *options) take(args []string) (int, error) {
	t, err := parseTarget(args)
	if err != nil && o.isCommand(args) {
		return 0, fmt.Errorf("%s is no target. If it is the command to run, write -- before it: waitfor %s ... -- %s",
			t.Name, o.targets[0].Name, cli.Foreign(args[0]))
	}
	o.targets = append(o.targets, t)
	return 1, err
}

// isCommand reports whether args look like a command that lacks the -- before it: something without
// a port, after a target.
func (o *options) isCommand(args []string) bool {
	return len(o.targets) > 0 && !strings.Contains(args[0], ":") && (len(args) == 1 || !target.IsPort(args[1]))
}

// schemes are the kinds of target that waitfor can wait for.
var schemes = []string{"tcp", "tcp4", "tcp6", "unix", "tls", "http", "https", "http+unix"}

// parseTarget refuses what waitfor can't wait for, before the wait and not after it.
func parseTarget(args []string) (target.Target, error) {
	t, err := target.First(args)
	switch {
	case err != nil:
		return t, err
	case strings.HasPrefix(t.Network, "udp"):
		return t, fmt.Errorf("%s: UDP has no connections, so nothing shows that a server is there: wait for a tcp port of it", t.Name)
	case !slices.Contains(schemes, t.Scheme):
		return t, fmt.Errorf("%s: waitfor does not speak %s: give %s to wait until that port accepts connections", t.Name, cli.Foreign(t.Scheme), cli.Foreign(t.Address))
	}
	return t, nil
}

// findCommand looks for the command before the wait, not after it.
func (o *options) findCommand(errOut io.Writer) (*options, int) {
	if len(o.command) == 0 {
		return o, 0
	}
	var err error
	if o.path, err = exec.LookPath(o.command[0]); err == nil {
		return o, 0
	}
	fmt.Fprintf(errOut, "waitfor: %s\n", cli.Foreign(err.Error()))
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return nil, exitNotFound
	}
	return nil, exitCantRun
}

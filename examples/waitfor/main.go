// Waitfor waits until all of several targets are there, and then runs a
// command in its place:
//
//	go run ./examples/waitfor -timeout 60s db:5432 http://api:8080/health unix:/run/app.sock -- command args
//
// A host:port and a unix socket are there when they accept a connection, an
// http or https URL when it answers a GET with a status below 500: a redirect
// is not followed, and a 404 tells of a server that runs. On a terminal each
// target has a live line; otherwise a line is written whenever a target's state
// changes. All of that goes to standard error: standard output is the
// command's.
//
// With -not, it waits until all of them are gone: until the system says that
// nothing accepts (refused), or that the name does not exist (not_found). No
// answer is no proof of that, for a firewall and a server that is busy look the
// same, nor is a machine without a network of its own, nor a URL that answers
// with 500 and more: something does answer.
//
// The exit code is that of the command or, without one, 0 when all are there.
// It is 1 if the time was up, with an explanation for each target that is
// missing, 2 for a wrong use, 126 or 127 if the command can't be run or found,
// 130 after SIGINT and 143 after SIGTERM, as shells have it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-33f8b841/redial"
)

func main() {
	ctx, stop := withSignals(context.Background())
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr, terminalOf(os.Stderr)))
}

const usage = `usage: waitfor [flags] target... [-- command [args]]

A target is host:port, unix:/path, http://... or https://...

`

// The exit codes.
const (
	exitThere      = 0
	exitTimedOut   = 1
	exitUsage      = 2
	exitCantRun    = 126
	exitNotFound   = 127
	exitSignalBase = 128
)

// signaled is the cause of a context that a signal ended.
type signaled struct{ os.Signal }

func (s signaled) Error() string { return "got signal " + s.String() }

// withSignals ends ctx at the first SIGINT or SIGTERM. A second one ends the
// process, should it hang.
func withSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(signaled{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// options are what the command line asks for.
type options struct {
	timeout, attempt time.Duration
	not              bool
	targets          []target
	command          []string // empty: none
	path             string   // of the command's program
}

// run does what args ask for, and returns the exit code; where a command takes
// this program's place, it does not return.
func run(ctx context.Context, args []string, errOut io.Writer, screen terminal) int {
	o, code := parse(args, errOut)
	if o == nil {
		return code
	}
	b := newBoard(o, errOut, screen)
	code = wait(ctx, o, b, errOut)
	if code != exitThere || len(o.command) == 0 {
		return code
	}
	return replaceBy(o.path, o.command, errOut)
}

// parse returns nil and the exit code if there is nothing to wait for.
func parse(args []string, errOut io.Writer) (*options, int) {
	o := &options{}
	if i := slices.Index(args, "--"); i >= 0 {
		args, o.command = args[:i], args[i+1:]
	}
	flags := flag.NewFlagSet("waitfor", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { fmt.Fprint(errOut, usage); flags.PrintDefaults() }
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "for all together; 0: no limit")
	flags.DurationVar(&o.attempt, "attempt", 5*time.Second, "time of one attempt, the answer of a URL included")
	flags.BoolVar(&o.not, "not", false, "wait until they are gone")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, exitThere
		}
		return nil, exitUsage
	}

	err := o.takeTargets(flags.Args())
	if err != nil {
		fmt.Fprintf(errOut, "waitfor: %v\n\n", err)
		flags.Usage()
		return nil, exitUsage
	}
	if len(o.command) == 0 {
		return o, 0
	}
	if o.path, err = exec.LookPath(o.command[0]); err != nil { // better now than after the wait
		fmt.Fprintf(errOut, "waitfor: %v\n", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return nil, exitNotFound
		}
		return nil, exitCantRun
	}
	return o, 0
}

func (o *options) takeTargets(args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("wait for what?")
	case o.timeout < 0 || o.attempt <= 0:
		return errors.New("-timeout must not be negative, and -attempt must be positive")
	}
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			return fmt.Errorf("flags go before the targets: %s", arg)
		}
		t, err := parseTarget(arg)
		if err != nil {
			return err
		}
		o.targets = append(o.targets, t)
	}
	return nil
}

// errWrong ends the wait for all targets: one of them can never be there.
var errWrong = errors.New("can never be there")

// wait waits for all targets at once, and returns the exit code.
func wait(ctx context.Context, o *options, b *board, errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	bounded := ctx
	if o.timeout > 0 {
		var stop context.CancelFunc
		bounded, stop = context.WithTimeout(ctx, o.timeout)
		defer stop()
	}

	b.start()
	failures := make([]error, len(o.targets))
	var waiting sync.WaitGroup
	for i, t := range o.targets {
		waiting.Go(func() {
			failures[i] = t.wait(bounded, o, func(a redial.Attempt) { b.attempted(i, a) })
			if failures[i] == nil {
				b.arrived(i)
			} else if redial.Classify(failures[i]) == redial.Invalid {
				cancel(errWrong)
			}
		})
	}
	waiting.Wait()
	b.stop()

	var s signaled
	switch cause := context.Cause(ctx); {
	case !slices.ContainsFunc(failures, func(err error) bool { return err != nil }):
		return exitThere // a signal that came after that has nothing left to end
	case errors.As(cause, &s):
		fmt.Fprintf(errOut, "waitfor: %v\n", s)
		return exitCode(s)
	case cause == errWrong:
		explainFailures(errOut, o, failures, redial.Invalid)
		return exitUsage
	}
	explainFailures(errOut, o, failures)
	return exitTimedOut
}

// exitCode is 128 and the number of the signal; systems that number none have
// the interrupt's.
func exitCode(s signaled) int {
	if s.Signal == syscall.SIGTERM {
		return exitSignalBase + 15
	}
	return exitSignalBase + 2
}

// explainFailures tells of each target that failed, of those classes only if
// there are any, what most likely happened.
func explainFailures(errOut io.Writer, o *options, failures []error, only ...redial.Class) {
	for i, err := range failures {
		if err == nil || len(only) > 0 && !slices.Contains(only, redial.Classify(err)) {
			continue
		}
		fmt.Fprintf(errOut, "\n%s: %v\n%s\n", o.targets[i].name, err, explain(err))
	}
}

// explain adds to the library's advice what only this program knows.
func explain(err error) string {
	var status statusError
	switch {
	case errors.Is(err, errStillThere):
		return "It accepts connections still: its server has not ended.\n" +
			"  - Was the server told to end? Does it wait for its clients, or for a timeout?\n" +
			"  - Did another server, or a supervisor, take the address over?"
	case errors.As(err, &status):
		return "The server is there and answers, but says that it can't serve: " + status.Error() + ".\n" +
			"  - Is it starting still? Its log tells.\n" +
			"  - Does it wait for what it depends on, such as a database?\n" +
			"  - Is it a proxy (502, 503, 504) whose backend is not there?"
	}
	return redial.Explain(err)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
)

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

	b.start(o.timeout)
	failures := make([]error, len(o.targets))
	var waiting sync.WaitGroup
	for i, t := range o.targets {
		waiting.Go(func() {
			failures[i] = o.waitFor(bounded, t, func(a redial.Attempt) { b.attempted(i, a) })
			if failures[i] == nil {
				b.arrived(i)
			} else if redial.Classify(failures[i]) == redial.Invalid {
				cancel(errWrong)
			}
		})
	}
	waiting.Wait()
	b.stop()

	cause := context.Cause(ctx)
	s, interrupted := errors.AsType[cli.Signaled](cause)
	switch {
	case !slices.ContainsFunc(failures, func(err error) bool { return err != nil }):
		return exitThere // a signal that came after that has nothing left to end
	case interrupted:
		fmt.Fprintf(errOut, "waitfor: %v\n", s)
		return s.ExitCode()
	case cause == errWrong:
		o.explainFailures(errOut, failures, redial.Invalid)
		return exitUsage
	}
	o.explainFailures(errOut, failures)
	return exitTimedOut
}

// Waiting does not change failures of these classes.
var hopeless = []redial.Class{redial.Invalid, redial.Canceled}

// Failures of these classes show that a target is gone.
var gone = []redial.Class{redial.Refused, redial.NotFound}

// policy retries whatever may still change, including a name that does not exist
// yet. A retry comes soon, because a user waits for it: after a second at most,
// or after the interval.
func policy(interval time.Duration, except []redial.Class) redial.Policy {
	schedule := redial.Exponential(100*time.Millisecond, time.Second)
	if interval > 0 {
		schedule = func() backoff.BackOff { return backoff.NewConstantBackOff(interval) }
	}
	p := make(redial.Policy)
	for class := redial.Unknown; class <= redial.Canceled; class++ {
		if !slices.Contains(except, class) {
			p[class] = schedule
		}
	}
	return p
}

// errStillThere is the failure of a target that is to be gone.
var errStillThere = errors.New("still there")

// waitFor waits for the target by one dial: the Dialer does the retrying. With
// -not, a connection is a failure, to be retried, and the classes that show that
// the target is gone end the dial.
func (o *options) waitFor(ctx context.Context, t target.Target, attempted func(redial.Attempt)) error {
	d := &redial.Dialer{
		Dialer:     net.Dialer{Timeout: o.attempt},
		Policy:     policy(o.interval, hopeless),
		MaxElapsed: -1, // ctx has the limit, if there is one
		OnAttempt:  func(_ context.Context, a redial.Attempt) { attempted(a) },
		Verify:     func(ctx context.Context, conn net.Conn) error { return o.ask(ctx, conn, t) },
	}
	if o.not {
		d.Policy = policy(o.interval, slices.Concat(gone, hopeless))
		d.Verify = func(context.Context, net.Conn) error { return errStillThere }
	}
	conn, err := d.DialContext(ctx, t.Network, t.Address)
	if err == nil {
		conn.Close()
		return nil
	}
	if o.not && slices.Contains(gone, redial.Classify(err)) {
		return nil
	}
	return err
}

// ask asks a new connection for what the target needs. As the Dialer's Verify, it
// is part of the attempt, which is retried if it fails.
func (o *options) ask(ctx context.Context, conn net.Conn, t target.Target) error {
	answer, err := o.client.Ask(ctx, conn, t)
	if err == nil && t.URL != nil && !o.status.accepts(answer.Status) {
		return statusError(answer.Status)
	}
	return err
}

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signaled is the cause of a context that a signal has ended.
type Signaled struct{ os.Signal }

func (s Signaled) Error() string { return "got signal " + s.String() }

// ExitCode returns 128 plus the signal's number, as shells do. It uses the numbers
// of POSIX on every system.
func (s Signaled) ExitCode() int {
	if s.Signal == syscall.SIGTERM {
		return 128 + 15
	}
	return 128 + 2
}

// WithSignals returns a context that the first SIGINT or SIGTERM ends. A second
// signal ends the process, in case the program hangs.
func WithSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(Signaled{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

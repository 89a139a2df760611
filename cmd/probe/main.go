// Probe takes one look at each target: how long the name took to resolve, what
// came of each address, and whether TLS and HTTP answered. If the look fails, probe
// says what most likely happened and what to check.
//
//	go run ./cmd/probe example.com:443
//	go run ./cmd/probe tcp6 example.com:443
//	go run ./cmd/probe unix:/run/app.sock db:5432
//	go run ./cmd/probe https://example.com/health
//	go run ./cmd/probe -count 10 -interval 500ms db:5432
//
// For an http or https URL it shows the status of the answer to a GET, and for a tls
// or https URL the TLS handshake. Any other URL means its host and port. A connection
// that is asked for nothing must stay open for 100 ms (-settle): a forwarder accepts it
// even if the server behind it is down, and closes it at once.
//
// Flags can stand before and after targets.
//
// It exits 0 if each look connected, and TLS and HTTP answered, whatever the status;
// 1 if not, and for plain HTTP to an HTTPS port; 2 on misuse, and for a target that can never work; 130 after SIGINT and
// 143 after SIGTERM, as shells do. ("go run" turns every nonzero code into 1: build
// the binary to tell them apart.)
//
// # JSON
//
// With -json, probe writes one object for each look, on a line of its own. Times are
// in seconds. Fields that do not apply are left out:
//
//   - target: as given, without its password
//   - round: with -count, from 1
//   - network, address: as dialed
//   - connected: whether it connected, and TLS and HTTP answered
//   - class, error: of the failure
//   - advice: its code, such as refused.loopback, which does not change; what was observed and is
//     likely; checks, each a question and perhaps a command and where to run it
//   - remote: the address connected to
//   - elapsed: the time of the whole look, without that of -settle
//   - tls: version, protocol (by ALPN) and duration of the handshake
//   - http: status and duration
//   - notes: what the look does not show: for udp and ip, that nothing was sent; that HTTP_PROXY or
//     HTTPS_PROXY is set, and not used; that -timeout may be too short
//   - attempts: each has attempt (its number), duration, resolve (the part of duration
//     spent on the name), addrs, remote, class, error, delay (before the next attempt)
//     and stop (why there is no next attempt). Each of addrs has addr, connected,
//     duration, class and error.
//
// With -count, a last object has summary. For each target it has target, connected
// (how many looks), failed (the number of looks by class), interrupted, and, of the
// looks that connected, the shortest, median and longest time.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
)

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, cli.TerminalOf(os.Stdout).HasColors()))
}

// The exit codes. A signal adds its own.
const (
	exitConnected = 0
	exitFailed    = 1
	exitNever     = 2 // misuse too
)

// run takes the looks that args ask for, and returns the exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer, colors bool) int {
	o, code := parse(args, out, errOut)
	if o == nil {
		return code
	}
	return takeLooks(ctx, o, o.look, newReporter(o, out, colors))
}

// A reporter shows each look, and at the end all of them.
type reporter interface {
	look(*look) error
	end([]*series) error
}

// takeLooks looks at each target in turn, count times or until ctx ends. A target
// that can never work is looked at once.
func takeLooks(ctx context.Context, o *options, take func(context.Context, *series) *look, r reporter) int {
	all := make([]*series, len(o.targets))
	for i, t := range o.targets {
		all[i] = &series{target: t}
	}
	failed := false
	for round := 1; ctx.Err() == nil && (o.count == 0 || round <= o.count); round++ {
		start := time.Now()
		left := 0
		for _, s := range all {
			if ctx.Err() != nil || s.never() {
				continue
			}
			l := take(ctx, s)
			l.round = round
			s.add(l)
			if r.look(l) != nil {
				return exitFailed // nobody reads it
			}
			if !s.never() {
				left++
			}
		}
		if left == 0 || round == o.count {
			break
		}
		sleep(ctx, o.interval-time.Since(start))
	}
	if r.end(all) != nil {
		failed = true
	}
	return exitCode(ctx, all, failed)
}

func exitCode(ctx context.Context, all []*series, failed bool) int {
	if s, ok := errors.AsType[cli.Signaled](context.Cause(ctx)); ok {
		return s.ExitCode()
	}
	for _, s := range all {
		if s.never() {
			return exitNever
		}
		failed = failed || s.failure != nil || s.canceled > 0
	}
	if failed {
		return exitFailed
	}
	return exitConnected
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

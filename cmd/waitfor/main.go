// Waitfor waits until all of several targets are there, and then runs a
// command in its place:
//
//	go run ./cmd/waitfor -timeout 60s db:5432 http://api:8080/health unix:/run/app.sock -- command args
//
// A host:port and a unix socket are there when they accept a connection and keep it open
// for 100 ms (-settle): a forwarder, such as docker-proxy or ssh -L, accepts for a server
// that is down, and closes at once. A tls://host:port is there when the handshake succeeds. An http or https URL is there when
// it answers a GET with a status below 500 or, if -status is given, with a status
// that -status names. A redirect is not followed. Plain HTTP to an HTTPS port is a failure,
// whatever the status. http+unix:///run/app.sock:/health is a URL over a unix socket.
//
// Flags can stand before and after targets.
//
// On a terminal each target has a live line. Otherwise waitfor writes a line when a
// target's state changes, and every 10 seconds. All of that goes to standard error:
// standard output is the command's.
//
// With -not, it waits until all of them are gone: until the system says that
// nothing accepts (refused), or that the name does not exist (not_found). Silence
// does not prove that, because a firewall and a busy server look the same. Nor does
// a machine without a network, or a URL that answers with 500 and more.
//
// The exit code is the command's or, without one, 0 when all are there. It is 1
// if the time was up, with an explanation for the targets that are missing; 2 on
// misuse, and for a target that can never be there; 126 or 127 if the command
// can't be run or found; 130 after SIGINT and 143 after SIGTERM, as shells do.
package main

import (
	"context"
	"io"
	"os"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
)

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, cli.TerminalOf(os.Stderr)))
}

// The exit codes. A signal adds its own.
const (
	exitThere    = 0
	exitTimedOut = 1
	exitUsage    = 2
	exitCantRun  = 126
	exitNotFound = 127
)

// run does what args ask for, and returns the exit code. Where a command takes
// this program's place, run does not return.
func run(ctx context.Context, args []string, out, errOut io.Writer, screen cli.Terminal) int {
	o, code := parse(args, out, errOut)
	if o == nil {
		return code
	}
	code = wait(ctx, o, newBoard(o, errOut, screen), errOut)
	if code != exitThere || len(o.command) == 0 {
		return code
	}
	return replaceBy(o.path, o.command, errOut)
}

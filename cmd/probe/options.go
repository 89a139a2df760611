package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
)

const usage = `usage: probe [flags] target...

A target is one of
  host:port            tcp, or the network before it: tcp6 host:port
  unix:/path           a unix socket
  http://... https://  the status of a GET, and for https the TLS handshake
  http+unix:///path:/  the same, over a unix socket
  tls://host:port      the TLS handshake
  other://host:port    tcp to that host and port
`

// options are what the command line asks for.
type options struct {
	targets  []target.Target
	attempts int
	timeout  time.Duration // of one attempt
	count    int           // looks at each target; 0: no end
	interval time.Duration // from the start of one round to the next
	json     bool
	client   target.Client
}

// parse returns nil and the exit code if there is nothing to look at.
func parse(args []string, out, errOut io.Writer) (*options, int) {
	o := &options{client: target.Client{UserAgent: "probe"}}
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.IntVar(&o.attempts, "attempts", 1, "make up to `n` attempts in each look, retrying what redial retries by default")
	cli.Duration(flags, &o.timeout, "timeout", 5*time.Second, "give up an attempt after this `duration`, which includes name resolution and the HTTP answer")
	flags.IntVar(&o.count, "count", 1, "look `n` times at each target; 0: until interrupted")
	cli.Duration(flags, &o.interval, "interval", time.Second, "with -count: start a round of looks this `duration` after the one before")
	flags.BoolVar(&o.json, "json", false, "write one JSON object a line: one for each look")
	o.client.AddFlags(flags)

	err := cli.Parse(flags, args, usage, out, o.take)
	if errors.Is(err, flag.ErrHelp) {
		return nil, exitConnected
	}
	if err == nil {
		err = o.check()
	}
	if err != nil {
		cli.Misused(flags, err, usage, errOut)
		return nil, exitNever
	}
	return o, 0
}

// take takes a target, or a network and, as the next argument, an address.
func (o *options) take(args []string) (n int, err error) {
	var t target.Target
	switch n = 1; {
	case !target.IsNetwork(args[0]):
		t, err = target.First(args)
	case len(args) == 1:
		err = fmt.Errorf("the address is missing: give %s and then an address", cli.Foreign(args[0]))
	default:
		t, err = target.On(args[0], args[1])
		n = 2
	}
	o.targets = append(o.targets, t)
	return n, err
}

func (o *options) check() error {
	switch {
	case len(o.targets) == 0:
		return errors.New("no target: give one, such as db:5432")
	case o.attempts < 1 || o.timeout <= 0:
		return errors.New("-attempts and -timeout must be positive")
	case o.count < 0 || o.interval < 0:
		return errors.New("-count and -interval must not be negative")
	}
	return o.client.Load()
}

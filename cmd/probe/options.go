package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/explain"
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
func parse(args []string, errOut io.Writer) (*options, int) {
	o := &options{client: target.Client{UserAgent: "probe"}}
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.IntVar(&o.attempts, "attempts", 1, "make up to `n` attempts in each look, retrying what redial retries by default")
	cli.Duration(flags, &o.timeout, "timeout", 5*time.Second, "give up an attempt after this `duration`, which includes name resolution and the HTTP answer")
	flags.IntVar(&o.count, "count", 1, "look `n` times at each target; 0: until interrupted")
	cli.Duration(flags, &o.interval, "interval", time.Second, "with -count: start a round of looks this `duration` after the one before")
	flags.BoolVar(&o.json, "json", false, "write one JSON object a line: one for each look")
	o.client.AddFlags(flags)

	err := cli.Parse(flags, args, usage, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return nil, exitConnected
	}
	if err == nil {
		err = o.check(flags.Args())
	}
	if err != nil {
		cli.Misused(flags, err.Error(), usage, errOut)
		return nil, exitNever
	}
	return o, 0
}

func (o *options) check(args []string) (err error) {
	switch {
	case o.attempts < 1 || o.timeout <= 0:
		return errors.New("-attempts and -timeout must be positive")
	case o.count < 0 || o.interval < 0:
		return errors.New("-count and -interval must not be negative")
	}
	if o.targets, err = parseTargets(args); err != nil {
		return err
	}
	return o.client.Load()
}

// parseTargets takes the arguments: each is a target, or a network and, as the
// next argument, an address.
func parseTargets(args []string) ([]target.Target, error) {
	var targets []target.Target
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var t target.Target
		var err error
		switch {
		case strings.HasPrefix(arg, "-"):
			return nil, fmt.Errorf("flags go before the targets: %s", target.RedactText(arg))
		case target.IsNetwork(arg) && len(args) == 0:
			return nil, fmt.Errorf("the address is missing: give %s and then an address", arg)
		case target.IsNetwork(arg):
			t, err = target.On(arg, args[0])
			args = args[1:]
		default:
			t, err = target.Parse(arg)
		}
		if err != nil {
			return nil, explained(t.Name, err)
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return nil, errors.New("no target: give one, such as db:5432")
	}
	return targets, nil
}

// explained returns err, or the library's explanation of an address that package
// net can't take apart.
func explained(name string, err error) error {
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return fmt.Errorf("%s: %s", name, explain.Error(err))
	}
	return err
}

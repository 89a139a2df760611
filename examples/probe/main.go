// Probe takes one look at a target, as the library sees it: what the name
// resolves to and in which time, what came of each address, and, if nothing
// could be connected to, what most likely happened and what to check.
//
//	go run ./examples/probe example.com:443
//	go run ./examples/probe tcp6 example.com:443
//	go run ./examples/probe unix /run/app.sock
//	go run ./examples/probe https://example.com
//
// A URL means its host and port; of an https one, the TLS handshake is part of
// the look. It exits 0 if it could connect, 1 if not, 2 if used wrongly.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, wantsColors(os.Stdout)))
}

const usage = `usage: probe [flags] [network] host:port
       probe [flags] unix path
       probe [flags] http://host | https://host

network is tcp (the default), tcp4, tcp6, udp, unix and so on, as for net.Dial.

`

// The exit codes.
const (
	exitConnected = 0
	exitFailed    = 1
	exitUsage     = 2
)

// run takes the look that args ask for, and returns the exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer, colors bool) int {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { fmt.Fprint(errOut, usage); flags.PrintDefaults() }
	attempts := flags.Int("attempts", 1, "at most so many; those after the first are made if the library's default policy retries")
	timeout := flags.Duration("timeout", 5*time.Second, "of one attempt, name resolution included")
	asJSON := flags.Bool("json", false, "write one JSON object")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitConnected
		}
		return exitUsage
	}
	target, err := parseTarget(flags.Args())
	if err == nil && (*attempts < 1 || *timeout <= 0) {
		err = errors.New("-attempts and -timeout must be positive")
	}
	if err != nil {
		fmt.Fprintf(errOut, "probe: %v\n\n", err)
		flags.Usage()
		return exitUsage
	}

	r := look(ctx, target, *attempts, *timeout)
	if *asJSON {
		err = r.writeJSON(out)
	} else {
		err = r.writeText(out, colors)
	}
	if r.err != nil || err != nil {
		return exitFailed
	}
	return exitConnected
}

// A target is what to look at.
type target struct {
	network, address string
	serverName       string // of the TLS handshake; empty: none is made
}

// parseTarget takes the arguments: [network] address, or a URL.
func parseTarget(args []string) (target, error) {
	switch {
	case len(args) == 0:
		return target{}, errors.New("which target?")
	case len(args) > 2:
		return target{}, fmt.Errorf("one target at a time; flags go before it: %s", strings.Join(args, " "))
	case len(args) == 2:
		return target{network: args[0], address: args[1]}, nil
	case strings.HasPrefix(args[0], "unix:"):
		return target{network: "unix", address: strings.TrimPrefix(args[0], "unix:")}, nil
	case !strings.Contains(args[0], "://"):
		return target{network: "tcp", address: args[0]}, nil
	}
	u, err := url.Parse(args[0])
	if err != nil {
		return target{}, err
	}
	defaultPort, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	switch {
	case u.Hostname() == "":
		return target{}, fmt.Errorf("no host in the URL %s", args[0])
	case !ok && u.Port() == "":
		return target{}, fmt.Errorf("which port has %s? Give it as %s:port", u.Scheme, u.Host)
	}
	t := target{network: "tcp", address: u.Host}
	if u.Port() == "" {
		t.address = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	if u.Scheme == "https" {
		t.serverName = u.Hostname()
	}
	return t, nil
}

// look dials the target and closes the connection again.
func look(ctx context.Context, t target, attempts int, timeout time.Duration) *report {
	r := &report{target: t}
	d := &redial.Dialer{
		Dialer:      net.Dialer{Timeout: timeout},
		MaxAttempts: attempts,
		MaxElapsed:  -1, // attempts and timeout bound it
		OnAttempt:   func(_ context.Context, a redial.Attempt) { r.attempts = append(r.attempts, a) },
	}
	if t.serverName != "" {
		d.Verify = r.handshake
	}
	conn, err := d.DialContext(ctx, t.network, t.address)
	if err != nil {
		r.err = err
		return r
	}
	conn.Close()
	return r
}

// handshake makes the TLS handshake on a connection that has won the race: its
// addresses stay seen, which a tls.Dialer as DialFunc would hide.
func (r *report) handshake(ctx context.Context, conn net.Conn) error {
	start := time.Now()
	secure := tls.Client(conn, &tls.Config{ServerName: r.target.serverName, NextProtos: []string{"h2", "http/1.1"}})
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	r.tls, r.tlsTime = secure.ConnectionState(), time.Since(start)
	return nil
}

// explanation has what the record of the last attempt knows, beside the error:
// the name that was dialed and the result of each address. A dial of one
// attempt returns its error as net.Dialer made it.
func (r *report) explanation() string {
	var failed *redial.Error
	if r.err == nil || errors.As(r.err, &failed) || len(r.attempts) == 0 {
		return redial.Explain(r.err)
	}
	a := r.attempts[len(r.attempts)-1]
	return redial.Explain(&redial.Error{
		Network: a.Network, Address: a.Address, Attempts: a.Number, Elapsed: a.Elapsed,
		Class: a.Class, Err: a.Err, Stop: a.Stop, History: r.attempts,
	})
}

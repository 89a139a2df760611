//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/seed-33f8b841/redial/bench"
	"github.com/seed-33f8b841/redial/bench/internal/plot"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func addresses() *measurement {
	dialers := bench.Named(timeoutFloor, "redial", "backoff v5", "failsafe-go")
	cases := []struct {
		title, host string
		timeout     time.Duration
	}{
		{"one dead, then a good one", "one.test", 10 * time.Second},
		{"three dead, then a good one", "three.test", 10 * time.Second},
		{"three dead, Timeout 3 s", "three.test", 3 * time.Second},
		{"a dead IPv6, then a good IPv4", "six.test", 10 * time.Second},
	}
	const patience = 12 * time.Second
	t := newTable("", names(dialers))
	for _, c := range cases {
		t.columns = append(t.columns, less(c.title, nanoseconds, "redial"))
	}
	once := func(scope, int) error {
		var mu sync.Mutex
		return inLab(t, func(l *lab) error {
			port, resolver, err := deadAddresses(l)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			var all sync.WaitGroup
			var failure error
			for i, c := range cases {
				for _, d := range dialers { // at the same time, because a wait costs nothing
					all.Go(func() {
						var o bench.Options
						o.Net.Resolver, o.Net.Timeout = resolver, c.timeout
						start := time.Now()
						err := dialAndDrop(ctx, d.New(o), net.JoinHostPort(c.host, port))
						took := since(start)
						mu.Lock()
						defer mu.Unlock()
						timeout, ok := errors.AsType[net.Error](err)
						switch {
						case err == nil:
							t.columns[i].add(d.Name, took)
						case ok && timeout.Timeout():
							t.columns[i].absent[d.Name] = "timed out after " + nanoseconds(took)
						default:
							failure = errors.Join(failure, fmt.Errorf("%s, %s: %w", d.Name, c.title, err))
						}
					})
				}
			}
			all.Wait()
			return failure
		})
	}
	return &measurement{
		title: "Dead first addresses",
		about: "The time to connect to a name whose first addresses do not answer. At these addresses, sockets on loopback listen with a full backlog, so the kernel drops the packets. " +
			"The report's own DNS server resolves the name. An attempt may take 10 s, or 3 s where the column says so, and a dial 12 s.",
		once:   once,
		tables: []*table{t},
		plots: func() map[string]string {
			return map[string]string{
				"dead-addresses.svg": plot.Bars("A name with three dead addresses before a good one", "time to connect, seconds (logarithmic)", true, t.bars(t.columns[1], 1e9)),
			}
		},
		after: "`net.Dialer` tries one address after the other and divides its `Timeout` among them, 2 s each at least. It races only IPv6 against IPv4. " +
			"The peers leave the addresses to `net.Dialer`, so with a short `Timeout` they make the same attempt again and again. redial starts the next address after 300 ms of silence (RFC 8305), and each further one sooner.",
	}
}

// inLab calls f. If f is skipped, each cell of t says why.
func inLab(t *table, f func(*lab) error) error {
	skipped, err := try(f)
	if skipped != "" {
		for _, c := range t.columns {
			for _, row := range t.rows {
				c.absent[row] = "skipped: " + skipped
			}
		}
	}
	return err
}

// deadAddresses starts a good listener, silent ones on the same port, and a DNS server for the
// names of the cases.
func deadAddresses(l *lab) (port string, _ *net.Resolver, _ error) {
	dnstest.SkipWithout(l)
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		l.Skipf("this machine has no ::1: %v", err)
	}
	six.Close()
	good := testutil.Listen(l, "tcp", "127.0.0.9:0", func(net.Conn) {})
	_, port, err = net.SplitHostPort(good.Addr().String())
	if err != nil {
		return "", nil, err
	}
	for _, dead := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		testutil.ListenSilent(l, net.JoinHostPort(dead, port))
	}
	loopback := syscall.SockaddrInet6{Port: good.Addr().(*net.TCPAddr).Port, Addr: [16]byte(net.IPv6loopback)}
	testutil.ListenFull(l, syscall.AF_INET6, &loopback, func(fd int) (net.Conn, error) {
		return net.DialTimeout("tcp", testutil.BoundTo(l, fd), 100*time.Millisecond)
	})
	server := dnstest.Start(l, "127.0.0.1:0")
	server.Set("one.test", dnstest.Addrs("127.0.0.2", "127.0.0.9"))
	server.Set("three.test", dnstest.Addrs("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9"))
	server.Set("six.test", dnstest.Addrs("::1", "127.0.0.9"))
	return port, server.Resolver(), nil
}

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/seed-33f8b841/redial/bench"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func addresses() *measurement {
	dialers := bench.Named(timeoutFloor, "redial", "backoff v5", "failsafe-go")
	cases := []struct {
		title, host string
		timeout     time.Duration
	}{
		{"one of two dead", "one.test", 10 * time.Second},
		{"three of four dead", "three.test", 10 * time.Second},
		{"the same, Timeout 3 s", "three.test", 3 * time.Second},
		{"IPv6 dead, IPv4 good", "six.test", 10 * time.Second},
	}
	t := newTable("", names(dialers))
	for _, c := range cases {
		t.columns = append(t.columns, less(c.title, nanoseconds, "redial"))
	}
	quoted := []string{timeoutFloor, "redial"}
	lost := newLostPackets(dialers)
	dead := func(s scope) error {
		return inLab(t, func(l *lab) error {
			port, resolver, err := deadAddresses(l)
			if err != nil {
				return err
			}
			all := newRace(s)
			for i, c := range cases {
				for _, d := range dialers {
					all.dial(t.columns[i], d, resolver, c.timeout, net.JoinHostPort(c.host, port))
				}
			}
			return all.wait()
		})
	}
	once := func(s scope, round int) error {
		var err error // of lost
		var both sync.WaitGroup
		both.Go(func() { err = lost.once(s, round) })
		failure := dead(s)
		both.Wait()
		return errors.Join(failure, err)
	}
	return &measurement{
		title: "Names whose first addresses or DNS packets are dead",
		about: "The time to connect to a name whose first addresses do not answer. At these addresses, sockets on loopback listen with a full backlog, so the kernel drops the packets. " +
			"The report's own DNS server resolves the name. An attempt may take 10 s, or 3 s where the column says so, and a dial 12 s. " + lost.about,
		rounds: 3,
		once:   once,
		tables: []*table{t, lost.table},
		plots: func() map[string]string {
			return map[string]string{
				"dead-addresses.svg": figure{title: "A name with three dead addresses before a good one", x: "time to connect, seconds", isLog: true}.dots(t.dots(t.columns[1], 1e9)),
				"lost-dns.svg":       figure{title: "A third of the DNS packets are lost", x: "mean time to connect, seconds", isLog: true}.dots(lost.table.dots(lost.table.columns[3], 1e9)),
			}
		},
		quotes: []quote{{key: "dead addresses", t: t, rows: quoted, columns: []string{cases[0].title, cases[1].title, cases[2].title}, noRatios: true},
			{key: "lost packets", t: lost.table, rows: quoted, columns: []string{"one answer lost", "AAAA lost", "a third lost"}, noRatios: true}},
		after: "`net.Dialer` tries one address after the other and divides its `Timeout` among them, 2 s each at least. It races only IPv6 against IPv4. " +
			"The peers leave the addresses to `net.Dialer`, so with a short `Timeout` they make the same attempt again and again. redial starts the next address after 300 ms of silence (RFC 8305), and each further one sooner. " +
			"Go's resolver sends a query once in 5 s, and waits 10 s for a family of addresses that never answers, so an attempt of 10 s ends just before it has the other family. A retry asks anew. " +
			"redial sends a query again after 350 ms, waits a second for a silent family, and keeps a look-up from one attempt to the next.",
	}
}

// A race makes dials at the same time, because a wait costs nothing.
type race struct {
	patience time.Duration // how long a dial may take
	all      sync.WaitGroup
	mu       sync.Mutex // guards failure, and the columns
	failure  error
}

func newRace(s scope) *race { return &race{patience: pick(s, 12*time.Second, 2*time.Second)} }

// dial adds to the column how long d takes to connect to the addresses, on average.
func (r *race) dial(c *column, d bench.Dialer, resolver *net.Resolver, timeout time.Duration, addresses ...string) {
	r.all.Go(func() {
		var o bench.Options
		o.Net.Resolver, o.Net.Timeout = resolver, timeout
		dial := d.New(o)
		took, timedOut := make([]float64, len(addresses)), make([]bool, len(addresses))
		errs := testutil.Crowd(len(addresses), func(i int) error {
			ctx, cancel := context.WithTimeout(context.Background(), r.patience)
			defer cancel()
			start := time.Now()
			err := dialAndDrop(ctx, dial, addresses[i])
			took[i] = since(start)
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				timedOut[i] = true
				return nil
			}
			return err
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := errors.Join(errs...); err != nil {
			r.failure = errors.Join(r.failure, fmt.Errorf("%s, %s: %w", d.Name, c.name, err))
			return
		}
		r.note(c, d.Name, took, timedOut)
	})
}

// note writes the mean of the times, or that all dials have timed out.
func (r *race) note(c *column, name string, took []float64, timedOut []bool) {
	sum := 0.0
	for _, t := range took {
		sum += t
	}
	if mean := sum / float64(len(took)); slices.Contains(timedOut, false) {
		c.add(name, mean)
	} else {
		c.absent[name] = "timed out after " + nanoseconds(mean)
	}
}

// wait waits for the dials, and returns what went wrong.
func (r *race) wait() error {
	r.all.Wait()
	return r.failure
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

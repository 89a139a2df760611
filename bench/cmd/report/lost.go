//go:build unix

package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-33f8b841/redial/bench"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// lostPackets measures dials to names whose DNS packets are lost.
type lostPackets struct {
	dialers []bench.Dialer
	table   *table
	about   string
}

const lossyNames = 30 // that each dialer dials at once

func newLostPackets(dialers []bench.Dialer) *lostPackets {
	t := newTable("Lost DNS packets", names(dialers),
		less("one answer lost", nanoseconds, "redial"),
		less("AAAA lost", nanoseconds, "redial"),
		less("first server dead, Timeout 3 s", nanoseconds, "redial"),
		less("a third lost", nanoseconds, "redial"))
	return &lostPackets{dialers, t, fmt.Sprintf("In the second table, the DNS server's first answer to the A query is lost; or it answers A and never AAAA; or the first of two servers is silent; "+
		"or a third of the queries and of the answers are lost, the same for each library: the mean of %d dials, of which those that timed out count as long as they took.", lossyNames)}
}

func (p *lostPackets) once(s scope, round int) error {
	return inLab(p.table, func(l *lab) error {
		dnstest.SkipWithout(l)
		server := testutil.Listen(l, "tcp", "127.0.0.1:0", func(net.Conn) {})
		_, port, err := net.SplitHostPort(server.Addr().String())
		if err != nil {
			return err
		}
		dns := dnstest.Start(l, "127.0.0.1:0")
		silent := dnstest.Start(l, "127.0.0.1:0")
		silent.Decide(func(dnstest.Query) dnstest.Reply { return dnstest.Silence })
		dns.Decide(decideLoss(round))
		all := newRace(s)
		for i, d := range p.dialers {
			all.dial(p.table.columns[0], d, dns.Resolver(), 10*time.Second, net.JoinHostPort(fmt.Sprintf("%d.once.test.", i), port))
			all.dial(p.table.columns[1], d, dns.Resolver(), 10*time.Second, net.JoinHostPort("half.test.", port))
			all.dial(p.table.columns[2], d, firstDead(silent.Addr, dns.Addr), 3*time.Second, net.JoinHostPort("good.test.", port))
			var lossy []string
			for j := range lossyNames {
				lossy = append(lossy, net.JoinHostPort(fmt.Sprintf("%d.of-%d.lossy.test.", j, i), port))
			}
			all.dial(p.table.columns[3], d, dns.Resolver(), 10*time.Second, lossy...)
		}
		return all.wait()
	})
}

// decideLoss returns what the DNS server answers. Whether a packet is lost depends on the number of the name, the
// round, and how often the same was asked.
func decideLoss(round int) func(dnstest.Query) dnstest.Reply {
	var asked syncCounts
	return func(q dnstest.Query) dnstest.Reply {
		n := asked.next(q.Name + q.Kind)
		number, _, _ := strings.Cut(q.Name, ".")
		switch {
		case strings.HasSuffix(q.Name, ".lossy.test") && (isLost("query", number, q.Kind, n, round) || isLost("answer", number, q.Kind, n, round)),
			strings.HasSuffix(q.Name, ".once.test") && q.Kind == "A" && n == 0,
			q.Name == "half.test" && q.Kind == "AAAA":
			return dnstest.Silence
		}
		return dnstest.Addrs("127.0.0.1")
	}
}

// isLost reports whether a packet is lost. A third are.
func isLost(packet ...any) bool {
	h := fnv.New64a()
	fmt.Fprintln(h, packet...)
	return h.Sum64()>>20%3 == 0
}

// firstDead returns a resolver that asks a silent server first, and the other one when it has waited in vain, as Go's
// resolver does with two servers in resolv.conf. A look-up that was given up before begins with the silent one again.
func firstDead(silent, good string) *net.Resolver {
	var waited atomic.Int64 // queries that the silent server has not answered, and the good one has not got yet
	return dnstest.ResolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if waited.Add(-1) >= 0 {
			return new(net.Dialer).DialContext(ctx, network, good)
		}
		waited.Add(1)
		conn, err := new(net.Dialer).DialContext(ctx, network, silent)
		if udp, ok := conn.(*net.UDPConn); ok {
			return &silentConn{udp, ctx, &waited}, nil
		}
		return conn, err
	})
}

// A silentConn counts a query that Go's resolver has waited for to the end.
type silentConn struct {
	*net.UDPConn
	ctx    context.Context // of the query
	waited *atomic.Int64
}

func (c *silentConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if c.ctx.Err() != context.Canceled { // canceled with the look-up
		c.waited.Add(1)
	}
	return n, err
}

// syncCounts counts by name, in any goroutine.
type syncCounts struct{ counts sync.Map }

// next returns how often it was called for name before.
func (c *syncCounts) next(name string) int64 {
	n, _ := c.counts.LoadOrStore(name, new(atomic.Int64))
	return n.(*atomic.Int64).Add(1) - 1
}

//go:build unix

package main

import (
	"context"
	"net"
	"time"

	"github.com/seed-33f8b841/redial/bench"
)

const (
	floor        = "net.Dialer"
	timeoutFloor = "net.Dialer, Timeout 10 s"
)

func names(dialers []bench.Dialer) []string {
	var all []string
	for _, d := range dialers {
		all = append(all, d.Name)
	}
	return all
}

// dialAndDrop connects and resets the connection. A closed connection would keep its port
// in TIME_WAIT, and the ports would run out.
func dialAndDrop(ctx context.Context, dial bench.Dial, address string) error {
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	conn.(*net.TCPConn).SetLinger(0)
	return conn.Close()
}

func dials() *measurement {
	var dialers []bench.Dialer
	for _, d := range bench.Dialers {
		if d.Name != "failsafe-go, backoff" { // which costs what failsafe-go does
			dialers = append(dialers, d)
		}
	}
	pair := bench.Named(timeoutFloor, "redial")
	newCase := func(title, ref string, dialers []bench.Dialer) *table {
		return newTable(title, names(dialers), less("time", nanoseconds, ref, floor, timeoutFloor),
			less("bytes", bytes, ref, floor, timeoutFloor), less("allocations", count, ref, floor, timeoutFloor))
	}
	literalPair, namePair := newCase("In pairs, by an IP literal", timeoutFloor, pair), newCase("In pairs, by name (localhost)", timeoutFloor, pair)
	literal, name := newCase("All in turn, by an IP literal", timeoutFloor, dialers), newCase("All in turn, by name (localhost)", timeoutFloor, dialers)
	wrapper := newCase("The wrapper alone", "redial", dialers)
	once := func(s scope, round int) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		toLiteral, toName := net.JoinHostPort("127.0.0.1", serverPort), net.JoinHostPort("localhost", serverPort)
		for _, way := range []struct {
			t       *table
			dialers []bench.Dialer
			address string
			n       int
		}{
			{literalPair, pair, toLiteral, pick(s, 5000, 50)},
			{namePair, pair, toName, pick(s, 5000, 50)},
			{literal, dialers, toLiteral, pick(s, 3000, 50)},
			{name, dialers, toName, pick(s, 2000, 50)},
		} {
			ops := make([]func() error, len(way.dialers))
			for i, d := range way.dialers {
				dial := d.New(bench.Options{})
				ops[i] = func() error { return dialAndDrop(ctx, dial, way.address) }
			}
			if err := compare(way.t, ops, way.n, 1, round); err != nil {
				return err
			}
		}
		conn, other := net.Pipe()
		defer other.Close()
		connect := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		ops := make([]func() error, len(dialers))
		for i, d := range dialers {
			dial := d.New(bench.Options{Connect: connect})
			ops[i] = func() error { _, err := dial(ctx, "tcp", "192.0.2.1:80"); return err }
		}
		return compare(wrapper, ops, pick(s, 300, 5), 100, round)
	}
	return &measurement{
		title: "A successful dial",
		about: "A dial on loopback to a server in another process, with a context that can be canceled and a logger that logs nothing. " +
			"The dialers take turns after each dial: two of them \"in pairs\", else all. In \"The wrapper alone\", a function that returns a connection at once takes the place of `net.Dialer`.",
		once:   once,
		tables: []*table{literalPair, namePair, literal, name, wrapper},
		plots: func() map[string]string {
			return map[string]string{
				"dial-literal.svg": figure{title: "A successful dial of an IP literal on loopback", x: "time, relative to net.Dialer with a Timeout of 10 s"}.dots(literal.ratioDots(0, timeoutFloor)),
			}
		},
		quotes: []quote{{key: "literal", t: literalPair, columns: []string{"time", "bytes"}}, {key: "name", t: namePair, columns: []string{"time", "bytes"}}},
		after: "Which figure does a program get? One with a single dialer that dials often has that dialer's code and data in the CPU's caches, so it gets the figure in pairs. " +
			"With all dialers in turn, the others' code has taken the caches before each dial, as in a program that dials now and then and does other work between. " +
			"Use these tables to compare redial with its peers.\n\n" +
			"The peers' loops do less before the first attempt: they read no clock that bounds the dial, make no context for the attempt, and keep no record of it. " +
			"What that costs redial is in \"The wrapper alone\". Over a real socket, redial bounds the attempt without the timer that `net.Dialer` starts for its `Timeout`, " +
			"which is why it can be as fast as dialers that do less. By name, redial resolves the name and races its addresses itself.",
	}
}

// compare times ops in turn, batch calls at a time, and adds the median time of a call, and the bytes and
// allocations, to the columns of t.
func compare(t *table, ops []func() error, n, batch, round int) error {
	took := make([][]float64, len(ops))
	for i := range n {
		for _, which := range turn(len(ops), i+round) {
			start := time.Now()
			for range batch {
				if err := ops[which](); err != nil {
					return err
				}
			}
			took[which] = append(took[which], since(start)/float64(batch))
		}
	}
	for i, op := range ops {
		mid, _, _ := median(took[i])
		t.columns[0].add(t.rows[i], mid)
		const calls = 200
		bytes, number := allocations(func() {
			for range calls {
				op()
			}
		})
		t.columns[1].add(t.rows[i], bytes/calls)
		t.columns[2].add(t.rows[i], number/calls)
	}
	return nil
}

// ratioDots returns the ratios of a column's rows to one of them.
func (t *table) ratioDots(column int, ref string) []dot {
	c := t.columns[column]
	all := t.dots(c, 1)
	for i := range all {
		all[i].value, all[i].low, all[i].high = median(c.ratios(t.rows[i], ref))
		all[i].text = ratio(all[i].value)
	}
	return all
}

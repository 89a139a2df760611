//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-33f8b841/redial/bench"
)

func flapping() *measurement {
	var rows []string
	for _, k := range bench.Keepers {
		rows = append(rows, k.Name)
	}
	t := newTable("", rows, less("connects in 10 s", count, rows[0]), less("steady again after", nanoseconds, rows[0]),
		less("again after a break", nanoseconds, rows[0]))
	once := func(s scope, _ int) error {
		keepers := bench.Keepers
		if s.small {
			keepers = keepers[:len(keepers)-1] // the last one waits 5 s each time
		}
		// All at the same time, because a wait costs nothing.
		results := make([]flappingResult, len(keepers))
		errs := make([]error, len(keepers))
		var all sync.WaitGroup
		for i, k := range keepers {
			all.Go(func() {
				results[i], errs[i] = measureFlapping(k, pick(s, 10*time.Second, time.Second), pick(s, 7*time.Second, 2*time.Second))
			})
		}
		all.Wait()
		for i, k := range keepers {
			if errs[i] != nil {
				return errs[i]
			}
			t.columns[0].add(k.Name, float64(results[i].connects))
			t.columns[1].add(k.Name, float64(results[i].stays))
			t.columns[2].add(k.Name, float64(results[i].next))
		}
		return nil
	}
	return &measurement{
		title: "A server that accepts and closes",
		about: "Each way keeps a connection to a server of its own, which closes every connection 10 ms after it has accepted it, for 10 s: a proxy without its backend, or a server that fails at once. " +
			"Then the server lets a connection stay, for 7 s, and closes it. The second column counts from the end of the 10 s, the third from that close.",
		rounds: 3,
		once:   once,
		tables: []*table{t},
		quotes: []quote{{key: "flapping", t: t, rows: []string{rows[0], rows[1], rows[len(rows)-1]}, columns: []string{"connects in 10 s", "steady again after"}, noRatios: true}},
		after: "A loop around a dial, with whatever backoff, begins anew after each dial that succeeds, so it connects as fast as the server closes. It is also the first to have a connection that stays. " +
			"`redial.Reconnect` goes on with its schedule from one lost connection to the next. It starts the schedule anew after a connection that has lasted a second longer than the wait before it. " +
			"darvaza's client always waits 5 s.",
	}
}

type flappingResult struct {
	connects    int
	stays, next time.Duration
}

// measureFlapping lets k keep a connection to a server that closes at once, and later does not.
func measureFlapping(k bench.Keeper, flaps, steady time.Duration) (r flappingResult, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var connects atomic.Int64
	var isUp atomic.Bool
	stay := make(chan net.Conn)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if isUp.Load() {
				select {
				case stay <- conn:
					continue
				case <-ctx.Done():
				}
			} else {
				connects.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
			conn.Close()
		}
	})
	all.Go(func() {
		k.Keep(ctx, ln.Addr().String(), func(conn net.Conn) error {
			_, err := conn.Read(make([]byte, 1)) // until the server closes
			return err
		})
	})
	defer all.Wait()
	defer ln.Close()
	defer cancel()

	next := func() (net.Conn, error) {
		select {
		case conn := <-stay:
			return conn, nil
		case <-time.After(time.Minute):
			return nil, fmt.Errorf("%s: no connection within a minute", k.Name)
		}
	}
	time.Sleep(flaps)
	isUp.Store(true)
	up := time.Now()
	conn, err := next()
	if err != nil {
		return r, err
	}
	r.connects, r.stays = int(connects.Load()), time.Since(up)
	time.Sleep(steady)
	conn.Close()
	broke := time.Now()
	if conn, err = next(); err != nil {
		return r, err
	}
	r.next = time.Since(broke)
	return r, conn.Close()
}

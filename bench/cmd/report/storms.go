//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-33f8b841/redial/bench"
	"github.com/seed-33f8b841/redial/bench/internal/plot"
)

func storms() *measurement {
	var dialers []bench.Dialer
	for _, d := range bench.Dialers {
		if d.Retries {
			dialers = append(dialers, d)
		}
	}
	t := newTable("", names(dialers), less("connects while down", count, "redial"), less("CPU while down", nanoseconds, "redial"),
		plain("lost dials", count), less("first connection", nanoseconds, "redial"), less("last connection", nanoseconds, "redial"))
	once := func(s scope, round int) error {
		for _, i := range turn(len(dialers), round) {
			name := dialers[i].Name
			r, err := measureStorm(dialers[i], pick(s, 1000, 50), pick(s, 10*time.Second, 500*time.Millisecond))
			if err != nil {
				return err
			}
			t.columns[0].add(name, float64(r.connects))
			t.columns[1].add(name, float64(r.cpu))
			t.columns[2].add(name, float64(r.lost))
			if r.first == 0 {
				t.columns[0].absent[name] = fmt.Sprintf("%s, then it gave up", count(float64(r.connects)))
				for _, c := range t.columns[3:] {
					c.absent[name] = "none"
				}
				continue
			}
			t.columns[3].add(name, float64(r.first))
			t.columns[4].add(name, float64(r.last))
		}
		return nil
	}
	return &measurement{
		title: "A storm: 1 000 dials at a dead port",
		about: "1 000 goroutines dial a port where nothing listens, each library with its defaults. After 10 s a server listens there. " +
			"The times of the first and the last connection count from then.",
		once:   once,
		tables: []*table{t},
		plots: func() map[string]string {
			return map[string]string{
				"storm-connects.svg": plot.Bars("1 000 dials at a dead port for 10 s", "connects (logarithmic)", true, t.bars(t.columns[0], 1)),
				"storm-last.svg":     plot.Bars("Then the server is back: the last of 1 000 dials connects after", "seconds (logarithmic)", true, t.bars(t.columns[4], 1e9)),
			}
		},
		after: "A Gate makes the fewest connects of all, and its last dial connects soonest. " +
			"Without a Gate, fewer connects mean longer waits, so the dials learn later that the server is back. " +
			"go-retry's Fibonacci schedule and failsafe-go's backoff have no jitter, so all their dials connect in the same moment. How soon that is depends on when the server returns: " +
			"here it returns after 10 s, and their next attempts are at 11 and 15 s. Measurement 8 has the mean over many outages. failsafe-go without a backoff has lost all dials long before.",
	}
}

type stormResult struct {
	connects, lost int
	cpu            time.Duration
	first, last    time.Duration
}

func measureStorm(d bench.Dialer, dials int, down time.Duration) (r stormResult, err error) {
	port, err := newDeadPort()
	if err != nil {
		return r, err
	}
	var o bench.Options
	var connects atomic.Int64
	o.Net.Control = func(string, string, syscall.RawConn) error { connects.Add(1); return nil }
	dial := d.New(o)
	ctx, cancel := context.WithTimeout(context.Background(), down+time.Minute)
	defer cancel()

	var mu sync.Mutex
	var connected []time.Time
	var all sync.WaitGroup
	cpu := cpuTime()
	begin := time.Now()
	for range dials {
		all.Go(func() {
			conn, err := dial(ctx, "tcp", port.address)
			if err != nil {
				return
			}
			at := time.Now()
			conn.Close()
			mu.Lock()
			defer mu.Unlock()
			connected = append(connected, at)
		})
	}
	time.Sleep(down - time.Since(begin))
	r.connects, r.cpu = int(connects.Load()), cpuTime()-cpu
	ln, err := port.listen()
	if err != nil {
		return r, err
	}
	defer ln.Close()
	up := time.Now()
	go acceptAll(ln)
	all.Wait()
	r.lost = dials - len(connected)
	if len(connected) > 0 {
		slices.SortFunc(connected, time.Time.Compare)
		r.first, r.last = connected[0].Sub(up), connected[len(connected)-1].Sub(up)
	}
	return r, nil
}

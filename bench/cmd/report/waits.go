//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-33f8b841/redial/bench"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// inFlight is how many dials make their attempts at the same time. Each needs a descriptor.
const inFlight = 2000

// fullHistory is the number of attempts that fill the History of redial's error.
const fullHistory = 8

func waits() *measurement {
	dialers := bench.Named("redial", "redial, Gate", "backoff v4", "backoff v5", "retry-go", "failsafe-go", "go-retry")
	newCase := func(title string) *table {
		return newTable(title, names(dialers), less("heap", bytes, "redial"), less("stack", bytes, "redial"), less("heap and stack", bytes, "redial"),
			plain("goroutines each", count), less("time to cancel all", nanoseconds, "redial"))
	}
	const thousand = 1000
	cases := []struct {
		dials, small, attempts int
		t                      *table
	}{
		{10 * thousand, 200, 1, newCase("10 000 dials in their first wait")},
		{10 * thousand, 200, fullHistory, newCase(fmt.Sprintf("10 000 dials after %d failures, which fill a history", fullHistory))},
		{100 * thousand, 400, 1, newCase("100 000 dials in their first wait")},
	}
	var tables []*table
	for _, c := range cases {
		tables = append(tables, c.t)
	}
	quoted := []string{"redial", "backoff v5"}
	once := func(s scope, round int) error {
		awaitGoroutines(1)
		for _, c := range cases {
			if c.dials > 10*thousand && round > 0 {
				continue // it takes a minute
			}
			for _, i := range turn(len(dialers), round) {
				name := dialers[i].Name
				w, err := measureWait(dialers[i], pick(s, c.dials, c.small), c.attempts)
				if err != nil {
					return err
				}
				for i, value := range []float64{w.heap, w.stack, w.heap + w.stack, w.goroutines, w.cancel} {
					c.t.columns[i].add(name, value)
				}
			}
		}
		return nil
	}
	return &measurement{
		title: "Many waiting dials",
		about: "A real port has refused the attempts of these dials, and now the dials wait for an hour. The tables have what each dial holds beyond what the process held before, after a garbage collection. What the runtime keeps of goroutines that have ended is not counted. A stack is 2, 4 or 8 KB. " +
			"All libraries use the same schedule, which has one word of state; the peers' own schedules are larger, and not counted. At the Gate, most dials share the failures of others. " +
			"retry-go keeps all errors by default; the other peers keep nothing, so their dials hold the same after any number of failures. The table of 100 000 dials is from one round.",
		rounds: 3,
		once:   once,
		tables: tables,
		plots: func() map[string]string {
			return map[string]string{
				"waiting-heap-first.svg": figure{title: "10 000 dials in their first wait", x: "heap of each, bytes"}.dots(tables[0].dots(tables[0].columns[0], 1)),
				"waiting-heap-full.svg":  figure{title: fmt.Sprintf("10 000 dials after %d failures", fullHistory), x: "heap of each, bytes"}.dots(tables[1].dots(tables[1].columns[0], 1)),
			}
		},
		quotes: []quote{{key: "first wait", t: tables[0], rows: quoted, columns: []string{"heap", "stack"}, noRatios: true},
			{key: "full history", t: tables[1], rows: quoted, columns: []string{"heap", "stack"}, noRatios: true}},
		after: "A peer that keeps no record of its attempts holds less after many of them. redial keeps the first four and the latest four, so that its error can list them. " +
			"The goroutine is the caller's own in each case.\n\n" +
			"About 480 B of a first wait are Go's own: the timer, its channel, and what the runtime needs for a goroutine that waits in a select with two cases. At the Gate, " +
			"a dial also has what the Gate knows about it.",
	}
}

type waitResult struct{ heap, stack, goroutines, cancel float64 }

// measureWait lets n dials wait after the given number of attempts each.
func measureWait(d bench.Dialer, n, attempts int) (waitResult, error) {
	port, err := newDeadPort()
	if err != nil {
		return waitResult{}, err
	}
	defer port.close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var failures, ready atomic.Int64
	var hold atomic.Bool
	o := bench.Options{Attempts: -1, Delay: func(k int) time.Duration {
		if k < attempts {
			return time.Millisecond
		}
		return time.Hour
	}}
	atGate, ours := d.Name == "redial, Gate", d.Name == "redial" || d.Name == "redial, Gate"
	switch {
	case ours:
		o.Failed = func(k int) {
			failures.Add(1)
			if k == attempts {
				ready.Add(1)
			}
		}
	default:
		if d.Name == "retry-go" {
			o.Attempts = 1 << 20 // without a limit, it does not keep the errors
		}
		// Not all peers report the last failure, so the attempts are counted.
		var plain net.Dialer
		plain.Timeout = 10 * time.Second
		o.Connect = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := plain.DialContext(ctx, network, address)
			failures.Add(1)
			return conn, err
		}
	}
	if atGate && attempts == 1 {
		o.MinInterval = time.Hour
	} else if atGate {
		// The dials share one attempt after the other. Once each dial has its number of attempts, the
		// next probe is held, so that nothing happens any more.
		o.MinInterval = 20 * time.Millisecond
		o.Delay = func(int) time.Duration { return 20 * time.Millisecond }
		o.Net.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			if hold.Load() {
				<-ctx.Done()
			}
			return nil
		}
	}
	dial := d.New(o)
	ended := func() int { // how many dials have made all their attempts
		if ours {
			return int(ready.Load())
		}
		return int(failures.Load()) / attempts
	}
	haveGoroutines(n)
	before, goroutines := testutil.Memory(), runtime.NumGoroutine()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { dial(ctx, "tcp", port.address) })
		for !atGate && i-ended() > inFlight {
			time.Sleep(time.Millisecond)
		}
	}
	for ended() < n {
		time.Sleep(10 * time.Millisecond)
	}
	hold.Store(true)
	time.Sleep(100*time.Millisecond + time.Duration(n)*20*time.Microsecond) // the last ones begin to wait
	after := testutil.Memory()
	r := waitResult{
		heap:       float64(after.HeapAlloc-before.HeapAlloc) / float64(n),
		stack:      float64(after.StackInuse-before.StackInuse) / float64(n),
		goroutines: float64(runtime.NumGoroutine()-goroutines) / float64(n),
	}
	if r.goroutines < 0.99 { // one of the process may have ended
		return r, fmt.Errorf("%s: only %.4f of the dials wait", d.Name, r.goroutines)
	}
	start := time.Now()
	cancel()
	all.Wait()
	r.cancel = since(start)
	return r, nil
}

// haveGoroutines lets n goroutines exist for a moment. The runtime keeps what it has allocated for
// them (0.4 KB each, without the stack) for other goroutines, so that no library pays for it.
// It returns when they have ended, and are not counted any more.
func haveGoroutines(n int) {
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	end := make(chan struct{})
	for range n {
		all.Go(func() { <-end })
	}
	close(end)
	all.Wait()
	awaitGoroutines(before)
}

// awaitGoroutines waits until at most n goroutines exist, for up to 5 s. A goroutine that has called Done is still counted
// for a moment, and dials that another measurement has left behind go on for some seconds.
func awaitGoroutines(n int) {
	for range 5000 {
		if runtime.NumGoroutine() <= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

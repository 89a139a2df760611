//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/seed-33f8b841/redial/bench"
)

// stormBucket is the time in which the picture counts attempts.
const stormBucket = 100 * time.Millisecond

// A stormReport is a measurement that also draws README's picture.
type stormReport struct {
	*measurement
	attempts map[string][]time.Duration // of the latest round, since its start
	down     time.Duration
}

func storms() *stormReport {
	var dialers []bench.Dialer
	for _, d := range bench.Dialers {
		if d.Retries && d.Name != "backoff v4" { // which has the schedule of v5
			dialers = append(dialers, d)
		}
	}
	t := newTable("1 000 dials", names(dialers), less("connects while down", count, "redial"), less("CPU while down", nanoseconds, "redial"),
		plain("lost dials", count), less("first connection", nanoseconds, "redial"), less("last connection", nanoseconds, "redial"))
	gate := newTable("redial, without and with a Gate", nil, plain("connects while down", count), plain("first connection", nanoseconds), plain("last connection", nanoseconds))
	for _, n := range []int{10, 50, 1000} {
		gate.rows = append(gate.rows, gateRow(n, "redial"), gateRow(n, "redial, Gate"))
	}
	report := &stormReport{attempts: map[string][]time.Duration{}}
	addGate := func(row string, r stormResult) {
		gate.columns[0].add(row, float64(r.whileDown))
		gate.columns[1].add(row, float64(r.first))
		gate.columns[2].add(row, float64(r.last))
	}
	once := func(s scope, round int) error {
		dials, down := pick(s, 1000, 50), pick(s, 10*time.Second, 500*time.Millisecond)
		report.down = down
		for _, i := range turn(len(dialers), round) {
			name := dialers[i].Name
			r, err := measureStorm(dialers[i], dials, down)
			if err != nil {
				return err
			}
			report.attempts[name] = r.attempts
			t.columns[0].add(name, float64(r.whileDown))
			t.columns[1].add(name, float64(r.cpu))
			t.columns[2].add(name, float64(r.lost))
			if r.first == 0 {
				t.columns[0].absent[name] = fmt.Sprintf("%s, then it gave up", count(float64(r.whileDown)))
				for _, c := range t.columns[3:] {
					c.absent[name] = "none"
				}
				continue
			}
			t.columns[3].add(name, float64(r.first))
			t.columns[4].add(name, float64(r.last))
			if row := gateRow(1000, name); slices.Contains(gate.rows, row) {
				addGate(row, r)
			}
		}
		// The small storms are so calm that they can be made at the same time.
		var all sync.WaitGroup
		var mu sync.Mutex
		var failure error
		for _, n := range []int{10, 50} {
			for _, d := range bench.Named("redial", "redial, Gate") {
				all.Go(func() {
					r, err := measureStorm(d, n, down)
					mu.Lock()
					defer mu.Unlock()
					addGate(gateRow(n, d.Name), r)
					failure = errors.Join(failure, err)
				})
			}
		}
		all.Wait()
		return failure
	}
	report.measurement = &measurement{
		title: "A storm: 1 000 dials at a dead port",
		about: "1 000 goroutines dial a port where nothing listens, each library with its defaults. After 10 s a server listens there. " +
			"The times of the first and the last connection count from then. The second table has the same for fewer dials.",
		rounds: 3,
		once:   once,
		tables: []*table{t, gate},
		plots: func() map[string]string {
			return map[string]string{
				"storm-connects.svg": figure{title: "1 000 dials at a dead port for 10 s", x: "connects", isLog: true}.dots(t.dots(t.columns[0], 1)),
				"storm-last.svg":     figure{title: "Then the server is back: the last of 1 000 dials connects after", x: "seconds", isLog: true}.dots(t.dots(t.columns[4], 1e9)),
			}
		},
		quotes: []quote{{key: "storm", t: t, rows: []string{"redial, Gate", "redial", "backoff v5"},
			columns: []string{"connects while down", "last connection"}, noRatios: true}, {key: "gate", t: gate}},
		after: "A Gate makes the fewest connects of all, and its last dial connects soonest. " +
			"Without a Gate, fewer connects mean longer waits, so the dials learn later that the server is back. " +
			"go-retry's Fibonacci schedule and failsafe-go's backoff have no jitter, so all their dials connect in the same moment. How soon that is depends on when the server returns: " +
			"here it returns after 10 s, and their next attempts are at 11 and 15 s. Measurement 8 has the mean over many outages. failsafe-go without a backoff has lost all dials long before.",
	}
	return report
}

func gateRow(dials int, dialer string) string {
	return fmt.Sprintf("%s, %s dials", dialer, count(float64(dials)))
}

// picture returns README's picture, or nothing if no storm was measured.
func (r *stormReport) picture() string {
	if len(r.attempts) == 0 {
		return ""
	}
	var all []line
	for _, dialer := range bench.Named("redial", "redial, Gate") {
		attempts := r.attempts[dialer.Name]
		all = append(all, line{fmt.Sprintf("%s: %s", dialer.Name, count(float64(len(attempts)))), dialer.Name == "redial, Gate", perBucket(attempts)})
	}
	return figure{title: fmt.Sprintf("1 000 goroutines dial a server that is down for %s", nanoseconds(float64(r.down))), x: "seconds since the dials began",
		y: fmt.Sprintf("attempts in %v s", stormBucket.Seconds()), isLog: true, isSteps: true, event: "the server is up", at: r.down.Seconds()}.lines(all)
}

// perBucket counts the attempts in each bucket. The last point is zero.
func perBucket(attempts []time.Duration) plotter.XYs {
	all := make(plotter.XYs, slices.Max(attempts)/stormBucket+2)
	for i := range all {
		all[i].X = (time.Duration(i) * stormBucket).Seconds()
	}
	for _, at := range attempts {
		all[at/stormBucket].Y++
	}
	return all
}

type stormResult struct {
	attempts        []time.Duration // since the start
	whileDown, lost int
	cpu             time.Duration
	first, last     time.Duration
}

func measureStorm(d bench.Dialer, dials int, down time.Duration) (r stormResult, err error) {
	port, err := newDeadPort()
	if err != nil {
		return r, err
	}
	var mu sync.Mutex
	var connected []time.Time
	begin := time.Now()
	var o bench.Options
	o.Net.Control = func(string, string, syscall.RawConn) error {
		mu.Lock()
		defer mu.Unlock()
		r.attempts = append(r.attempts, time.Since(begin))
		return nil
	}
	dial := d.New(o)
	ctx, cancel := context.WithTimeout(context.Background(), down+time.Minute)
	defer cancel()

	var all sync.WaitGroup
	cpu := cpuTime()
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
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	select {
	case <-time.After(down - time.Since(begin)):
	case <-ended: // they have given up
	}
	mu.Lock()
	r.whileDown, r.cpu = len(r.attempts), cpuTime()-cpu
	mu.Unlock()
	ln, err := port.listen()
	if err != nil {
		return r, err
	}
	defer ln.Close()
	up := time.Now()
	go acceptAll(ln)
	<-ended
	r.lost = dials - len(connected)
	if len(connected) > 0 {
		slices.SortFunc(connected, time.Time.Compare)
		r.first, r.last = connected[0].Sub(up), connected[len(connected)-1].Sub(up)
	}
	return r, nil
}

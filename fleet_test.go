package redial_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A fleet is many processes that lose the same server. Each process has a Gate of
// its own, so the Gates do not know of each other: MinInterval alone bounds what
// the fleet does to the server. The simulation runs in virtual time, without
// sockets. docs/gate.md has its results.

var (
	runFleet       = flag.Bool("fleet", false, "simulate the fleet of docs/gate.md; this takes minutes")
	fleetProcesses = flag.Int("fleet.processes", 10_000, "number of processes; the server's rate and queue scale with it")
	fleetDials     = flag.Int("fleet.dials", 10, "number of dials in each process")
	fleetDown      = flag.Duration("fleet.down", time.Minute, "how long the server is down")
	fleetSpread    = flag.Duration("fleet.spread", time.Second, "time within which all processes lose the server")
	fleetFloor     = flag.Duration("fleet.floor", -1, "simulate only this MinInterval; 0 means the default")
)

// A fleet has the parameters of a simulation.
type fleet struct {
	processes int
	dials     int           // in each process
	spread    time.Duration // the time within which all processes lose the server
	down      time.Duration // how long the server is down
	rate      int           // how many connections the server accepts in a second
	queue     int           // how many connections can wait to be accepted; more are refused
	floor     time.Duration // MinInterval of each Gate
	noGate    bool
}

// A fleetResult has the measurements of a simulation.
type fleetResult struct {
	attempts int
	perSec   []int           // attempts in each second since the server went down
	last     time.Duration   // when the last dial connected, since the server's return
	first    []time.Duration // when each process first connected, since the server's return
}

// A fleetServer refuses connections while it is down. Then it accepts one after the
// other. Each takes 0.5 to 1.5 times the interval. The dial waits until its connection
// has been accepted, as it would for the handshake of an application protocol.
type fleetServer struct {
	begin, up time.Time
	interval  time.Duration
	queue     int

	mu     sync.Mutex
	busy   time.Time // when the last of the waiting connections will have been accepted
	perSec []int
}

var errFleetRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", sysRefused)}

func (s *fleetServer) DialContext(context.Context, string, string) (net.Conn, error) {
	wait, ok := s.connect(time.Now())
	if !ok {
		return nil, errFleetRefused
	}
	time.Sleep(wait)
	return struct{ net.Conn }{}, nil
}

// connect returns how long the connection waits to be accepted, or false if it is
// refused.
func (s *fleetServer) connect(now time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	second := int(now.Sub(s.begin) / time.Second)
	for len(s.perSec) <= second {
		s.perSec = append(s.perSec, 0)
	}
	s.perSec[second]++
	if now.Before(s.up) {
		return 0, false
	}
	if s.busy.Before(now) {
		s.busy = now
	}
	wait := s.busy.Sub(now)
	if wait >= time.Duration(s.queue)*s.interval {
		return 0, false
	}
	took := s.interval/2 + rand.N(s.interval)
	s.busy = s.busy.Add(took)
	return wait + took, true
}

// simulate runs the fleet in the bubble of the test. All the dials of a process
// begin together, at a random time within spread.
func (f fleet) simulate(t *testing.T) fleetResult {
	begin := time.Now()
	up := begin.Add(f.down)
	server := &fleetServer{begin: begin, up: up, interval: time.Second / time.Duration(f.rate), queue: f.queue}
	random := rand.New(rand.NewPCG(1, 1))
	r := fleetResult{first: make([]time.Duration, f.processes)}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range f.processes {
		d := &redial.Dialer{DialFunc: server.DialContext, Policy: redial.DefaultPolicy(), MaxElapsed: -1, Logger: zap.NewNop()}
		if !f.noGate {
			d.Gate = &redial.Gate{MinInterval: f.floor}
		}
		starts := time.Duration(random.Int64N(int64(f.spread)))
		for range f.dials {
			all.Go(func() {
				time.Sleep(starts)
				if _, err := d.Dial("tcp", address); err != nil {
					t.Error(err)
				}
				at := time.Since(up)
				mu.Lock()
				defer mu.Unlock()
				if r.first[i] == 0 {
					r.first[i] = at
				}
				r.last = at
			})
		}
	}
	all.Wait()
	r.perSec = server.perSec
	for _, n := range r.perSec {
		r.attempts += n
	}
	return r
}

// mean returns the mean number of attempts per second in the seconds from, from+1 and so
// on, before to.
func (r *fleetResult) mean(from, to int) int {
	sum := 0
	for _, n := range r.perSec[from:to] {
		sum += n
	}
	return sum / max(to-from, 1)
}

// firsts returns the mean and the longest wait of the processes for their first
// connection.
func (r *fleetResult) firsts() (mean, worst time.Duration) {
	for _, at := range r.first {
		mean += at
		worst = max(worst, at)
	}
	return mean / time.Duration(len(r.first)), worst
}

// TestSmallFleet simulates a small fleet in every run of the tests. While the server is
// down, no process connects more often than MinInterval allows. After the server's
// return, all dials connect soon.
func TestSmallFleet(t *testing.T) {
	for _, floor := range []time.Duration{0, 500 * time.Millisecond} {
		testutil.Bubble(t, "MinInterval "+nameOf(floor), func(t *testing.T) {
			f := fleet{processes: 200, dials: 20, spread: time.Second, down: 5 * time.Second, rate: 400, queue: 20, floor: floor}
			r := f.simulate(t)
			most := f.processes * int(time.Second/cmp.Or(floor, 100*time.Millisecond))
			for _, n := range r.perSec[1:5] { // the first second also has the bursts
				assert.LessOrEqual(t, n, most)
			}
			dials := f.processes * f.dials
			assert.GreaterOrEqual(t, r.attempts, dials)
			needed := time.Duration(dials/f.rate) * time.Second
			assert.Less(t, r.last, needed+5*time.Second)
			_, worst := r.firsts()
			assert.Less(t, worst, r.last)
		})
	}
}

// floors returns the values of MinInterval to simulate. Zero means the default.
func floors() []time.Duration {
	if *fleetFloor >= 0 {
		return []time.Duration{*fleetFloor}
	}
	const ms = time.Millisecond
	return []time.Duration{0, 50 * ms, 100 * ms, 200 * ms, 500 * ms, 1000 * ms, 2000 * ms}
}

func nameOf(floor time.Duration) string {
	if floor == 0 {
		return "default"
	}
	return floor.String()
}

// TestFleet prints a table of docs/gate.md. The page has two such tables, and the flags for each:
//
//	go test -run 'TestFleet$' -fleet -fleet.processes 1000 -fleet.dials 10 -v -timeout 1h .
func TestFleet(t *testing.T) {
	if !*runFleet {
		t.Skip("a simulation of many minutes; -fleet runs it")
	}
	f := fleet{
		processes: *fleetProcesses,
		dials:     *fleetDials,
		spread:    *fleetSpread,
		down:      *fleetDown,
		rate:      *fleetProcesses / 5, // 2 000 a second for 10 000 processes
		queue:     max(*fleetProcesses*512/10_000, 1),
	}
	fmt.Printf("%d processes of %d dials lose the server within %v; it is down for %v, then accepts %d a second, with a queue of %d\n\n",
		f.processes, f.dials, f.spread, f.down, f.rate, f.queue)
	w := tabwriter.NewWriter(os.Stdout, 18, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "MinInterval\tconnects/s, down\tin the last 10 s\tin 10 s of return\tfirst, mean\tfirst, worst\tall connected\tattempts\tthe run took\t")
	row := func(name string, f fleet) {
		start := time.Now()
		synctest.Test(t, func(t *testing.T) {
			r := f.simulate(t)
			mean, worst := r.firsts()
			down := int(f.down / time.Second)
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%v\t%v\t%v\t%d\t", name,
				r.mean(1, down), r.mean(max(down-10, 0), down), r.mean(down, min(down+10, len(r.perSec))),
				mean.Round(10*time.Millisecond), worst.Round(10*time.Millisecond), r.last.Round(10*time.Millisecond), r.attempts)
		})
		fmt.Fprintf(w, "%v\t\n", time.Since(start).Round(time.Second))
		w.Flush()
	}
	for _, f.floor = range floors() {
		row(nameOf(f.floor), f)
	}
	if *fleetFloor < 0 {
		f.noGate = true
		row("no Gate", f)
	}
}

// TestFleetShortDials prints the table of docs/gate.md about short dials, and more rows: how
// MinInterval delays one process that makes 20 dials a second with little time for each.
//
//	go test -run 'TestFleetShortDials$' -fleet -v .
func TestFleetShortDials(t *testing.T) {
	if !*runFleet {
		t.Skip("a simulation of many minutes; -fleet runs it")
	}
	const phases = 50
	w := tabwriter.NewWriter(os.Stdout, 18, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "MinInterval\tdown for\ttime for a dial\tfirst, mean\tfirst, worst\tfailed, mean\tfailed, worst\t\n")
	for _, floor := range floors() {
		for _, down := range []time.Duration{15 * time.Second, *fleetDown} {
			for _, budget := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond} {
				var sum, worst time.Duration
				failures, most := 0, 0
				for phase := range phases {
					synctest.Test(t, func(t *testing.T) {
						first, failed := shortDials(floor, down+time.Duration(phase)*23*time.Millisecond, budget)
						sum += first
						worst = max(worst, first)
						failures += failed
						most = max(most, failed)
					})
				}
				fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%v\t%.1f\t%d\t\n", nameOf(floor), down, budget,
					(sum / phases).Round(time.Millisecond), worst.Round(time.Millisecond), float64(failures)/phases, most)
			}
		}
		w.Flush()
	}
}

// shortDials returns when the first dial connects, counted from the server's return, and
// how many of the dials that begin after the return fail.
func shortDials(floor, down, budget time.Duration) (first time.Duration, failed int) {
	begin := time.Now()
	up := begin.Add(down)
	server := &fleetServer{begin: begin, up: up, interval: time.Millisecond, queue: 1000}
	d := &redial.Dialer{DialFunc: server.DialContext, MaxElapsed: budget, Gate: &redial.Gate{MinInterval: floor}, Logger: zap.NewNop()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for time.Since(up) < 4*time.Second {
		start := time.Now()
		all.Go(func() {
			_, err := d.Dial("tcp", address)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && first == 0:
				first = time.Since(up)
			case err != nil && !start.Before(up):
				failed++
			}
		})
		time.Sleep(50 * time.Millisecond)
	}
	all.Wait()
	return first, failed
}

package fleet

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

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// These tests run a fleet of redial's own Dialers in virtual time, without sockets. Each process
// has a Gate of its own, so the Gates do not know of each other: MinInterval alone bounds what the
// fleet does to the server. docs/gate.md has the results.

var (
	runFleet       = flag.Bool("fleet", false, "print the figures of docs/gate.md; this takes minutes")
	fleetProcesses = flag.Int("fleet.processes", 200, "number of processes; the server's rate and queue scale with it")
	fleetDials     = flag.Int("fleet.dials", 50, "number of dials in each process")
	fleetDown      = flag.Duration("fleet.down", 30*time.Second, "how long the server is down")
)

// A server refuses connections while it is down. Then it accepts one after the other. A dial waits
// until its connection has been accepted, as it would for the handshake of a protocol.
type server struct {
	begin, up time.Time
	service   time.Duration // how long it takes to accept a connection
	queue     int           // how many connections can wait; more are refused

	mu        sync.Mutex
	busy      time.Time // when the last of the waiting connections will have been accepted
	perSecond []int     // attempts, since begin
}

func (s *server) DialContext(context.Context, string, string) (net.Conn, error) {
	wait, ok := s.connect(time.Now())
	if !ok {
		return nil, errRefused
	}
	time.Sleep(wait)
	return struct{ net.Conn }{}, nil
}

// connect returns how long the connection takes to be accepted, or false if it is refused.
func (s *server) connect(now time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	second := int(now.Sub(s.begin) / time.Second)
	for len(s.perSecond) <= second {
		s.perSecond = append(s.perSecond, 0)
	}
	s.perSecond[second]++
	if s.busy.Before(now) {
		s.busy = now
	}
	if now.Before(s.up) || s.busy.Sub(now) >= time.Duration(s.queue)*s.service {
		return 0, false
	}
	s.busy = s.busy.Add(s.service/2 + rand.N(s.service)) // with the same time each, processes could keep step with the server
	return s.busy.Sub(now), true
}

// withRedial runs the fleet with redial's own Dialers, in the bubble of the test. If interval is not
// zero, each process has a Gate with that MinInterval.
func (f Fleet) withRedial(t *testing.T, schedule func() backoff.BackOff, interval time.Duration) Result {
	begin := time.Now()
	up := begin.Add(f.Down)
	s := &server{begin: begin, up: up, service: time.Second / time.Duration(f.Rate), queue: f.Queue}
	r := Result{First: make([]time.Duration, f.Processes)}
	random := seeded()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range f.Processes {
		d := &redial.Dialer{DialFunc: s.DialContext, Policy: redial.Policy{redial.Refused: schedule}, MaxElapsed: -1, Logger: zap.NewNop()}
		if interval != 0 {
			d.Gate = &redial.Gate{MinInterval: interval}
		}
		starts := time.Duration(random.Int64N(int64(f.Spread)))
		for range f.Dials {
			all.Go(func() {
				time.Sleep(starts)
				_, err := d.Dial("tcp", "192.0.2.1:80")
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				r.Connected++
				r.Last = time.Since(up)
				r.First[i] = cmp.Or(r.First[i], r.Last)
			})
		}
	}
	all.Wait()
	r.PerSecond = s.perSecond
	for _, n := range r.PerSecond {
		r.Attempts += n
	}
	return r
}

var small = Fleet{Processes: 100, Dials: 20, Spread: time.Second, Down: 10 * time.Second, Rate: 200, Queue: 20}

// While the server is down, no process connects more often than MinInterval allows. After its
// return, the server is busy until all dials have connected.
func TestFleetAtGates(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond} {
		testutil.Bubble(t, interval.String(), func(t *testing.T) {
			r := small.withRedial(t, redial.DefaultPolicy()[redial.Refused], interval)
			dials := small.Processes * small.Dials
			require.Equal(t, dials, r.Connected)
			for _, n := range r.PerSecond[2:10] { // the first two seconds also have the bursts
				assert.LessOrEqual(t, n, small.Processes*int(time.Second/interval))
			}
			needed := time.Duration(dials/small.Rate) * time.Second
			assert.Less(t, r.Last, needed+3*time.Second)
			_, worst := r.Firsts()
			assert.Less(t, worst, r.Last)
		})
	}
}

// Simulate makes about as many attempts as redial's own dials do in the same fleet, and connects as
// soon.
func TestSimulate(t *testing.T) {
	for _, longest := range []time.Duration{time.Second, 5 * time.Second} {
		t.Run(longest.String(), func(t *testing.T) {
			var real Result
			synctest.Test(t, func(t *testing.T) {
				real = small.withRedial(t, redial.Exponential(100*time.Millisecond, longest), 0)
			})
			model := small.Simulate(Exponential(100*time.Millisecond, longest), seeded())
			require.Equal(t, real.Connected, model.Connected)
			assert.InEpsilon(t, real.Mean(1, 10), model.Mean(1, 10), 0.05)
			assert.InEpsilon(t, real.Mean(10, 20), model.Mean(10, 20), 0.08)
			assert.InEpsilon(t, real.Last, model.Last, 0.2)
		})
	}
}

// intervals has the values of MinInterval in the tables; zero means no Gate.
var intervals = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 0}

// TestFleet prints the figures of docs/gate.md for the numbers of processes and dials given:
//
//	cd bench && go test -run 'TestFleet$' -v -timeout 1h ./internal/fleet -fleet -fleet.processes 100 -fleet.dials 50
func TestFleet(t *testing.T) {
	if !*runFleet {
		t.Skip("a simulation of minutes; -fleet runs it")
	}
	f := Fleet{Processes: *fleetProcesses, Dials: *fleetDials, Spread: time.Second, Down: *fleetDown, Rate: max(*fleetProcesses/5, *fleetProcesses**fleetDials/250)}
	f.Queue = f.Rate / 4
	fmt.Printf("%d processes of %d dials lose the server within %v; it is down for %v, then accepts %d a second, with a queue of %d\n\n",
		f.Processes, f.Dials, f.Spread, f.Down, f.Rate, f.Queue)
	w := tabwriter.NewWriter(os.Stdout, 14, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "MinInterval\tdown/s\tback/s\tfirst, mean\tfirst, worst\tall connected\tattempts\ttook\t")
	for _, interval := range intervals {
		start := time.Now()
		synctest.Test(t, func(t *testing.T) {
			r := f.withRedial(t, redial.DefaultPolicy()[redial.Refused], interval)
			mean, worst := r.Firsts()
			down := int(f.Down / time.Second)
			fmt.Fprintf(w, "%v\t%.0f\t%.0f\t%v\t%v\t%v\t%d\t", interval, r.Mean(down-10, down), r.Mean(down, down+10),
				mean.Round(10*time.Millisecond), worst.Round(10*time.Millisecond), r.Last.Round(10*time.Millisecond), r.Attempts)
		})
		fmt.Fprintf(w, "%v\t\n", time.Since(start).Round(time.Second))
	}
	w.Flush()
}

// TestFleetShortDials prints how MinInterval delays one process that makes 20 dials a second with 500 ms for
// each. It is why docs/gate.md says that MinInterval must be well below the time of a dial.
//
//	cd bench && go test -run 'TestFleetShortDials$' -v ./internal/fleet -fleet
func TestFleetShortDials(t *testing.T) {
	if !*runFleet {
		t.Skip("a simulation of minutes; -fleet runs it")
	}
	const phases = 50
	w := tabwriter.NewWriter(os.Stdout, 14, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "MinInterval\tfirst, mean\tfirst, worst\tfailed, mean\tfailed, worst\t")
	for _, interval := range intervals[:4] {
		var sum, worst time.Duration
		failures, most := 0, 0
		for phase := range phases {
			synctest.Test(t, func(t *testing.T) {
				first, failed := shortDials(interval, 15*time.Second+time.Duration(phase)*23*time.Millisecond)
				sum, worst = sum+first, max(worst, first)
				failures, most = failures+failed, max(most, failed)
			})
		}
		fmt.Fprintf(w, "%v\t%v\t%v\t%.1f\t%d\t\n", interval, (sum / phases).Round(time.Millisecond), worst.Round(time.Millisecond), float64(failures)/phases, most)
	}
	w.Flush()
}

// shortDials returns when the first dial connects, counted from the server's return, and how many of
// the dials that begin after the return fail.
func shortDials(interval, down time.Duration) (first time.Duration, failed int) {
	begin := time.Now()
	up := begin.Add(down)
	s := &server{begin: begin, up: up, service: time.Millisecond, queue: 1000}
	d := &redial.Dialer{DialFunc: s.DialContext, MaxElapsed: 500 * time.Millisecond, Gate: &redial.Gate{MinInterval: interval}, Logger: zap.NewNop()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for time.Since(up) < 4*time.Second {
		start := time.Now()
		all.Go(func() {
			_, err := d.Dial("tcp", "192.0.2.1:80")
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

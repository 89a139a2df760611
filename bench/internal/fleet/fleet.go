// Package fleet simulates in virtual time what many processes do to one server that is down for a
// while. It simulates schedules, not goroutines: a dial is a few words, and the clock is a counter.
// So half a million dials take seconds.
package fleet

import (
	"math/rand/v2"
	"time"
)

// A Fleet is a number of processes that lose the same server, and the server.
type Fleet struct {
	Processes int
	Dials     int           // of each process; they all begin together
	Spread    time.Duration // the time within which all processes begin
	Down      time.Duration // how long the server is down; until then it refuses at once
	Rate      int           // how many connections the server then accepts in a second
	Queue     int           // how many connections can wait to be accepted; more are refused
	End       time.Duration // when the simulation stops; zero: an hour
}

// A Schedule makes the delays of a dial.
type Schedule struct {
	Name string
	New  func() Next
	Gate time.Duration // the MinInterval of each process's Gate; zero: no Gate
}

// Next returns the delay after the next failure. A negative delay means that the dial gives up.
type Next func() time.Duration

// A Result is what a simulation measured.
type Result struct {
	Attempts  int
	PerSecond []int           // attempts in each second since the server went down
	Connected int             // dials
	Last      time.Duration   // when the last dial connected, since the server's return
	First     []time.Duration // when each process first connected, since the server's return; those that did only
}

// Mean returns the mean number of attempts in a second, in the seconds from, from+1 and so on, before to.
func (r *Result) Mean(from, to int) float64 {
	sum := 0
	for i := max(from, 0); i < to && i < len(r.PerSecond); i++ {
		sum += r.PerSecond[i]
	}
	return float64(sum) / float64(max(to-from, 1))
}

// Peak returns the largest number of attempts in a second, from second from on.
func (r *Result) Peak(from int) int {
	peak := 0
	for _, n := range r.PerSecond[min(from, len(r.PerSecond)):] {
		peak = max(peak, n)
	}
	return peak
}

// Firsts returns the mean and the longest wait of the processes for their first connection.
func (r *Result) Firsts() (mean, worst time.Duration) {
	for _, at := range r.First {
		mean += at
		worst = max(worst, at)
	}
	return mean / time.Duration(max(len(r.First), 1)), worst
}

// The clock ticks twice for each connection that the server accepts in 1 ms, if it accepts 2 000 a
// second. All times are in ticks.
const tick = 500 * time.Microsecond

// Simulate runs f with all its dials on schedule s. The same random numbers give the same result,
// if the schedule draws its own from them too.
func (f Fleet) Simulate(s Schedule, random *rand.Rand) Result {
	if f.End == 0 {
		f.End = time.Hour
	}
	sim := &simulation{
		Fleet:    f,
		schedule: s,
		random:   random,
		up:       int(f.Down / tick),
		service:  max(int(time.Second/tick)/f.Rate, 1),
		heads:    make([]int32, f.End/tick),
		dials:    make([]dial, f.Processes*f.Dials),
		gates:    make([]gate, f.Processes),
		first:    make([]int, f.Processes),
	}
	sim.events = make([]event, len(sim.dials)+len(sim.gates))
	for process := range f.Processes {
		starts := int(random.Int64N(int64(f.Spread)) / int64(tick))
		for i := range f.Dials {
			sim.at(starts, process*f.Dials+i)
		}
	}
	sim.run()
	return sim.result()
}

// A simulation is a list of events for each tick. There is one event for each dial, and one for
// the next probe of each Gate.
type simulation struct {
	Fleet
	schedule Schedule
	random   *rand.Rand
	up       int // when the server returns
	service  int // how long the server takes to accept a connection
	busy     int // when the last of the waiting connections will have been accepted

	now    int
	heads  []int32 // heads[t] is the first event at t, plus one; zero: none
	events []event // of the dials, then of the gates

	dials     []dial
	gates     []gate // of the processes
	first     []int  // when each process first connected; zero: not yet
	perSecond []int
	connected int
	last      int
}

// A dial is waiting to make an attempt, or for the server to accept it.
type dial struct {
	next      Next // its own schedule; nil until its first failure
	accepting bool // the server will accept it
}

// An event is in the list of those that happen at the same time.
type event struct {
	pending    bool
	at         int32
	prev, next int32 // plus one; zero: none
}

// at lets an event happen at t, and not before. An event is the index of a dial, or of a gate beyond
// the dials.
func (s *simulation) at(t, index int) {
	s.cancel(index)
	if t >= len(s.heads) {
		return // never
	}
	s.events[index] = event{true, int32(t), 0, s.heads[t]}
	if after := s.heads[t]; after != 0 {
		s.events[after-1].prev = int32(index + 1)
	}
	s.heads[t] = int32(index + 1)
}

// cancel takes an event back.
func (s *simulation) cancel(index int) {
	e := s.events[index]
	if !e.pending {
		return
	}
	s.events[index].pending = false
	if e.prev == 0 {
		s.heads[e.at] = e.next
	} else {
		s.events[e.prev-1].next = e.next
	}
	if e.next != 0 {
		s.events[e.next-1].prev = e.prev
	}
}

func (s *simulation) run() {
	var due []int
	for s.now = range s.heads {
		for s.heads[s.now] != 0 { // events may add others at the same time
			due = due[:0]
			for e := s.heads[s.now]; e != 0; e = s.events[e-1].next {
				due = append(due, int(e-1))
			}
			s.random.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
			for _, index := range due {
				if e := s.events[index]; e.pending && int(e.at) == s.now {
					s.cancel(index)
					s.happen(index)
				}
			}
		}
		if s.connected == len(s.dials) {
			return
		}
	}
}

func (s *simulation) happen(index int) {
	switch {
	case index >= len(s.dials):
		s.probe(index - len(s.dials))
	case s.dials[index].accepting:
		s.accepted(index)
	case s.schedule.Gate != 0:
		s.acquire(index)
	case !s.attempt(index):
		s.waitAlone(index)
	}
}

// attempt makes an attempt. It returns false if the attempt is refused, at once. Otherwise the
// server accepts the connection later.
func (s *simulation) attempt(event int) bool {
	s.count(1)
	if s.now < s.up {
		return false
	}
	s.busy = max(s.busy, s.now)
	if s.busy-s.now >= s.Queue*s.service {
		return false
	}
	s.busy += s.service
	s.dials[event].accepting = true
	s.at(s.busy, event)
	return true
}

// count counts attempts.
func (s *simulation) count(n int) {
	second := int(time.Duration(s.now) * tick / time.Second)
	for len(s.perSecond) <= second {
		s.perSecond = append(s.perSecond, 0)
	}
	s.perSecond[second] += n
}

func (s *simulation) accepted(event int) {
	s.connected++
	s.last = s.now
	process := event / s.Dials
	if s.first[process] == 0 {
		s.first[process] = s.now
	}
	s.dials[event].next = nil
	if s.schedule.Gate != 0 {
		s.succeeded(process)
	}
}

// waitAlone waits as the dial's own schedule says.
func (s *simulation) waitAlone(event int) {
	d := &s.dials[event]
	if d.next == nil {
		d.next = s.schedule.New()
	}
	if delay := d.next(); delay >= 0 {
		s.at(s.now+ticks(delay), event)
	}
}

// ticks returns a delay in ticks, one at least.
func ticks(d time.Duration) int {
	return max(int((d+tick/2)/tick), 1)
}

func (s *simulation) result() Result {
	r := Result{PerSecond: s.perSecond, Connected: s.connected, Last: time.Duration(s.last-s.up) * tick}
	for _, n := range s.perSecond {
		r.Attempts += n
	}
	for _, at := range s.first {
		if at != 0 {
			r.First = append(r.First, time.Duration(at-s.up)*tick)
		}
	}
	return r
}

// Recovery returns how long after the return of a server that was down for that long a single
// dial on the schedule connects. It returns false if the dial has given up before.
func Recovery(next Next, down time.Duration) (time.Duration, bool) {
	for at := time.Duration(0); ; {
		if at >= down {
			return at - down, true
		}
		delay := next()
		if delay < 0 {
			return 0, false
		}
		at += max(delay, tick)
	}
}

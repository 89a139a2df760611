// Package fleet simulates in virtual time what many processes do to one server that is down for a
// while. It simulates schedules, not goroutines: a dial is a few words, and the clock is a counter.
// So half a million dials take seconds. It does not simulate a Gate: the package's tests run a
// fleet of redial's own Dialers, with and without Gates.
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

// Mean returns the mean number of attempts in a second, over the seconds from, from+1, ..., to-1.
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

// A tick is a step of the clock, in which a server that accepts 2 000 connections a second accepts one.
// All times of a simulation are in ticks.
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
		first:    make([]int, f.Processes),
	}
	for process := range f.Processes {
		starts := int(random.Int64N(int64(f.Spread)) / int64(tick))
		for i := range f.Dials {
			sim.dialAt(starts, process*f.Dials+i)
		}
	}
	sim.run()
	return sim.result()
}

// A simulation has a list of dials for each tick.
type simulation struct {
	Fleet
	schedule Schedule
	random   *rand.Rand
	up       int // when the server returns
	service  int // how long the server takes to accept a connection
	busy     int // when the last of the waiting connections will have been accepted

	now   int
	heads []int32 // heads[t] is the first dial whose time is t, plus one; zero: none

	dials     []dial
	first     []int // when each process first connected; zero: not yet
	perSecond []int
	connected int
	last      int
}

// A dial is waiting to make an attempt, or for the server to accept it.
type dial struct {
	next      Next  // its own schedule; nil until its first failure
	after     int32 // the next one in its list, plus one; zero: none
	accepting bool  // the server will accept it
}

// dialAt lets a dial go on at t. The dial must not be waiting for another time.
func (s *simulation) dialAt(t, index int) {
	if t < len(s.heads) { // otherwise never
		s.dials[index].after = s.heads[t]
		s.heads[t] = int32(index + 1)
	}
}

// run lets time pass. What happens in the same tick happens in a random order: otherwise the dial
// that was added to the tick's list last would always go first.
func (s *simulation) run() {
	var due []int // dials
	for s.now = range s.heads {
		for {
			due = due[:0]
			for d := s.heads[s.now]; d != 0; d = s.dials[d-1].after {
				due = append(due, int(d-1))
			}
			s.heads[s.now] = 0
			if len(due) == 0 {
				break
			}
			s.random.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
			for _, index := range due {
				s.happen(index)
			}
		}
		if s.connected == len(s.dials) {
			return
		}
	}
}

func (s *simulation) happen(index int) {
	if s.dials[index].accepting {
		s.accepted(index)
	} else if !s.attempt(index) {
		s.wait(index)
	}
}

// attempt makes an attempt. It returns false if the attempt is refused, at once. Otherwise the
// server accepts the connection later.
func (s *simulation) attempt(event int) bool {
	s.count()
	if s.now < s.up {
		return false
	}
	s.busy = max(s.busy, s.now)
	if s.busy-s.now >= s.Queue*s.service {
		return false
	}
	s.busy += s.service
	s.dials[event].accepting = true
	s.dialAt(s.busy, event)
	return true
}

// count counts an attempt.
func (s *simulation) count() {
	second := int(time.Duration(s.now) * tick / time.Second)
	for len(s.perSecond) <= second {
		s.perSecond = append(s.perSecond, 0)
	}
	s.perSecond[second]++
}

func (s *simulation) accepted(event int) {
	s.connected++
	s.last = s.now
	process := event / s.Dials
	if s.first[process] == 0 {
		s.first[process] = s.now
	}
	s.dials[event].next = nil
}

// wait waits as the dial's schedule says.
func (s *simulation) wait(event int) {
	d := &s.dials[event]
	if d.next == nil {
		d.next = s.schedule.New()
	}
	if delay := d.next(); delay >= 0 {
		s.dialAt(s.now+ticks(delay), event)
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

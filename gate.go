package redial

import (
	"cmp"
	"container/list"
	"math"
	"slices"
	"sync"
	"time"
)

// A Gate lets dials to one target share what they learn, so that a server that comes back is not stormed. Give
// one Gate to all Dialers for a target. A target is a network and an address, as dialed. Targets of [Do] are
// separate.
//
// Each dial keeps its own schedule, limits and count of attempts. When an attempt is due, the dial connects,
// waits, or takes another dial's latest failure as its own attempt ([Attempt].Shared).
//
// While a target is down, one dial at a time connects, at most every MinInterval. A dial that is due sooner
// takes the latest failure. A dial that is due during an attempt waits for its result. If the attempt is silent,
// the next dial goes after a second. A dial's last attempt connects, if its turn comes within a second.
//
// When an attempt connects, all waiting dials go, due or not: two at first, and two more for each success, as in
// TCP slow start (RFC 5681, section 3.1). A failure halves the number that may be in flight. A second failure
// without a success between means that the target is down; at a new target, the first does. Exhausted, Canceled
// and Invalid do not count.
//
// A Gate forgets a target a minute after its last dial. The zero value is ready for concurrent use. Do not copy or
// change a Gate in use.
type Gate struct {
	// Burst bounds the attempts in flight at a target that has not answered yet, for programs that start with many dials.
	// Zero or less means 16.
	Burst int

	// MinInterval is the shortest time from a failure to the next attempt at a target that is down. Zero or less means
	// 100 ms. Set 500 ms if many processes dial a small server.
	MinInterval time.Duration

	mu     sync.Mutex
	active map[targetKey]*target    // targets that have dials
	idle   [2]map[targetKey]*target // targets to remember: those that the last dial left since turned, and before
	turned time.Time                // when idle[1] was dropped and idle[0] took its place
}

const (
	forgetAfter = time.Minute // how long a target without dials is remembered
	silence     = time.Second // how long an attempt holds up the next one; TCP sends a lost packet again after 1, 3 and 7 s
)

type targetKey struct {
	network, address string
	do               bool // Do's target, apart from the plain one, which Do's function may dial
}

// A target is what a Gate knows about one target. The Gate's mutex guards it and its visits.
type target struct {
	gate   *Gate
	key    targetKey
	dials  int
	leftAt time.Time // when the last dial ended
	route  *route    // what is known about its addresses
	state
	line list.List     // of *visit: dials that wait for their turn
	news chan struct{} // closed and replaced when an attempt has failed and the target is down
	back chan struct{} // closed and replaced when the target comes back; both are nil until a dial waits
}

// A state holds what the Gate knows about a target at one time. Its attempts are numbered from 1.
type state struct {
	interval time.Duration // MinInterval
	window   int           // how many attempts may be in flight; 0: the target is down
	inFlight int           // attempts
	doubted  bool          // the next failure means that the target is down
	settled  int           // the latest attempt when the window was halved or the target came back
	returns  int           // how often the target has come back
	latest   int           // the attempt that has begun last
	latestAt time.Time     // its start; zero if it did not reach the target
	holdsTo  time.Time     // until when it holds up the next one; zero: it has ended
	failures int           // so far, that showed that the target is down
	failure  *Attempt      // the latest of them
	failedAt time.Time
}

// An ask is a dial's request to make its next attempt.
type ask struct {
	due          time.Time       // when the attempt is due
	end          time.Time       // when the dial's time is up; zero: never
	done, cancel <-chan struct{} // closed when the caller gives up
	last         bool            // no attempt follows
	since        time.Time       // due, or the time of the request if that is later
	heard        int             // state.failures when the dial last learned of a failure
	invited      bool            // the target has come back since the dial's latest attempt began
	first        bool            // no other dial is before it in the line
}

type verdict int // the Gate's answer

const (
	sleeps verdict = iota // wait until the attempt is due
	queues                // wait for a turn, or for a failure to take
	goes                  // make the attempt
	hears                 // take the latest failure in place of the attempt
	ends                  // make no attempt, because the time is up
)

// decide returns the answer to a, and when to decide again if nothing happens; zero means never.
func (s *state) decide(a *ask, now time.Time) (verdict, time.Time) {
	down, isDue, over := s.window == 0, !now.Before(a.due), !a.end.IsZero() && !now.Before(a.end)
	next := s.nextAt()
	switch {
	case down && a.heard < s.failures && (over || isDue && s.isNews(a, next, now)):
		return hears, time.Time{}
	case over:
		return ends, time.Time{}
	case !isDue && (down || !a.invited):
		return sleeps, soonest(a.due, a.end)
	case !a.first:
		return queues, a.end
	case now.Before(next):
		return queues, soonest(next, a.end)
	}
	return goes, time.Time{}
}

// isNews reports whether a takes the latest failure. The next attempt may begin at next. A last attempt takes
// it only if there is no time for the attempt, or if it was due a second ago and the failed attempt has begun since.
func (s *state) isNews(a *ask, next, now time.Time) bool {
	hasTime := !s.holdsTo.IsZero() || a.end.IsZero() || next.Before(a.end)
	waited := now.Sub(a.since) >= silence && !s.failure.Start.Before(a.since)
	return now.Sub(s.failedAt) < s.interval && (!a.last || !hasTime || waited)
}

// nextAt returns when the next attempt may begin.
func (s *state) nextAt() time.Time {
	switch {
	case s.inFlight < s.window:
		return time.Time{}
	case s.window > 0:
		return s.latestAt.Add(silence)
	}
	return later(s.holdsTo, later(s.failedAt, s.latestAt).Add(s.interval))
}

// fail notes that an attempt has failed with a, and reports whether the target is down.
// Attempts that were in flight together halve the window once.
func (s *state) fail(number int, a *Attempt, now time.Time) bool {
	switch {
	case s.window == 0:
	case number <= s.settled:
		return false
	case !s.doubted:
		s.window, s.doubted, s.settled = max(s.window/2, 1), true, s.latest
		return false
	default:
		s.window, s.holdsTo = 0, time.Time{} // earlier attempts do not hold up the next one
	}
	failure := *a
	failure.Addrs = slices.Clone(a.Addrs) // OnAttempt may change a's
	s.failures, s.failure, s.failedAt = s.failures+1, &failure, now
	return true
}

// Reset makes the next attempt at a target due now, if the target is down: call it when service discovery
// says that it is back.
func (g *Gate) Reset(network, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, do := range []bool{false, true} {
		if t := g.findLocked(targetKey{network, address, do}); t != nil && t.window == 0 {
			t.comeBackLocked()
		}
	}
}

func (g *Gate) findLocked(key targetKey) *target {
	return cmp.Or(g.active[key], g.idle[0][key], g.idle[1][key])
}

// enter begins a dial; see ask for end, done and cancel. The dial must call leave when it has ended.
func (g *Gate) enter(key targetKey, end time.Time, done, cancel <-chan struct{}) *visit {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if now.Sub(g.turned) >= forgetAfter {
		g.idle, g.turned = [2]map[targetKey]*target{{}, g.idle[0]}, now
	}
	t := g.findLocked(key)
	if t == nil || t.dials == 0 && now.Sub(t.leftAt) >= forgetAfter {
		t = &target{gate: g, key: key, route: new(route)}
		t.interval, t.window, t.doubted = cmp.Or(max(g.MinInterval, 0), 100*time.Millisecond), cmp.Or(max(g.Burst, 0), 16), true
	}
	if g.active == nil {
		g.active = make(map[targetKey]*target)
	}
	delete(g.idle[0], key)
	delete(g.idle[1], key)
	g.active[key] = t
	t.dials++
	return &visit{target: t, ask: ask{end: end, done: done, cancel: cancel}}
}

// leave ends the dial. The Gate keeps the target if there is something to remember.
func (v *visit) leave() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	if v.dials--; v.dials > 0 {
		return
	}
	if delete(v.gate.active, v.key); v.window == 0 || v.route.knows() {
		v.leftAt, v.gate.idle[0][v.key] = time.Now(), v.target
	}
}

// A visit is one dial at its target. It has one attempt in flight at a time.
type visit struct {
	*target
	ask
	seen   int           // state.returns when the latest attempt began
	number int           // of the attempt in flight; 0: none is
	place  *list.Element // in target.line; nil: not there
	wake   chan struct{} // sent to when the dial may go; buffered
}

// acquire waits until the next attempt is due or the target comes back, and then for the dial's turn. It
// returns goes: the dial must call finish; or hears and the failure: the dial must clone its Addrs; or ends.
func (v *visit) acquire(due time.Time, last bool) (verdict, *Attempt) {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	defer v.stepOutLocked()
	now := time.Now()
	v.due, v.last, v.since = due, last, later(due, now)
	for ; ; now = time.Now() {
		v.first, v.invited = v.line.Len() == 0 || v.place == v.line.Front(), v.seen != v.returns
		answer, until := v.decide(&v.ask, now)
		switch {
		case answer == hears:
			v.heard = v.failures
			return hears, v.failure
		case answer == ends || isClosed(v.done) || isClosed(v.cancel):
			return ends, nil
		case answer == goes:
			if v.window > 0 && v.inFlight >= v.window {
				v.window++ // to make up for a silent attempt
			}
			v.latest++
			v.inFlight++
			v.latestAt, v.holdsTo = now, now.Add(silence)
			v.number, v.seen = v.latest, v.returns
			return goes, nil
		}
		v.waitLocked(answer, until.Sub(now))
	}
}

// waitLocked waits for limit at most; zero or less means no limit.
func (v *visit) waitLocked(answer verdict, limit time.Duration) {
	if v.news == nil {
		v.news, v.back = make(chan struct{}), make(chan struct{})
	}
	event := v.back
	if answer == sleeps {
		v.stepOutLocked()
	} else if event = v.news; v.place == nil {
		v.place, v.wake = v.line.PushBack(v), make(chan struct{}, 1)
	}
	timer := time.NewTimer(cmp.Or(max(limit, 0), math.MaxInt64))
	v.gate.mu.Unlock()
	select {
	case <-event:
	case <-v.wake:
	case <-timer.C:
	case <-v.done:
	case <-v.cancel:
	}
	timer.Stop()
	v.gate.mu.Lock()
}

// stepOutLocked takes the dial out of the line.
func (v *visit) stepOutLocked() {
	if v.place != nil {
		v.line.Remove(v.place)
		v.place = nil
		v.wakeFirstLocked()
	}
}

// wakeFirstLocked wakes the first dial in the line, which then decides again.
func (t *target) wakeFirstLocked() {
	if first := t.line.Front(); first != nil {
		select {
		case first.Value.(*visit).wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// comeBackLocked notes that the target may be back. One more attempt may go; all dials line up.
func (t *target) comeBackLocked() {
	t.window, t.doubted, t.settled = t.inFlight+1, true, t.latest
	t.returns++
	t.back = replace(t.back)
	t.wakeFirstLocked()
}

// replace closes an event's channel, if anyone has waited for it, and returns the next one.
func replace(event chan struct{}) (next chan struct{}) {
	if event != nil {
		close(event)
		next = make(chan struct{})
	}
	return next
}

// finish reports the result of the attempt: a is its failure, or has no Err if it has connected, or
// is nil if it says nothing about the target. Only the first report counts.
func (v *visit) finish(a *Attempt) {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	if v.number == v.latest {
		v.holdsTo = time.Time{}
	}
	switch {
	case v.number == 0:
		return
	case a == nil:
	case a.Err == nil:
		if v.window == 0 {
			v.comeBackLocked()
		} else if v.inFlight+v.line.Len() >= v.window {
			v.window++ // so that two attempts can follow this one
		}
		v.doubted = false
	case !isOfTarget(a.Class):
		if v.number == v.latest {
			v.latestAt = time.Time{} // it did not reach the target
		}
	case v.fail(v.number, a, time.Now()):
		v.heard = v.failures
		v.news = replace(v.news)
	}
	v.number = 0
	v.inFlight--
	v.wakeFirstLocked()
}

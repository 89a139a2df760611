package redial

import (
	"container/list"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A Gate shares one backoff among all the dials of a program to the same target. Use
// it where many goroutines dial the same target: put the same Gate into the Gate
// field of their Dialers. Without a Gate, each goroutine retries by itself, and
// the load on a server that tries to come back grows with their number.
//
// A Gate tells targets apart by network and address, as dialed. While a target
// answers, up to Burst dials to it may be in flight. Each success admits two
// more, as in TCP slow start (RFC 5681, section 3.1).
//
// Once a dial has failed in a way that its Policy retries, the target is backing
// off. All dials to it wait, and one at a time makes an attempt: the probe. (After a
// second of silence, another dial may probe as well.) The delay before the next probe
// comes from the Policy's schedule for the class of the failure. It is divided by the
// number of dials that wait, but not below MinInterval. So a dial that waits alone
// keeps its own schedule, and a crowd learns quickly that the target is back. A dial
// that cannot wait that long makes the probe as soon as MinInterval has passed since
// the last attempt. If it cannot wait even until then, it fails at once.
//
// This is what a Gate changes for a dial: it can fail without an attempt of its
// own, with the class and error of another dial's attempt. Each dial that waits has
// one attempt in each delay of the schedule, as without a Gate. This is an attempt of
// its own, or, at the end of the delay, the other dial's attempt that has just failed
// ([Attempt].Shared). A dial that did not know that the target fails shares the first
// failure that it waits for.
//
// When a probe succeeds, two waiting dials go, and two more for each success. A
// failure among these dials halves the number that may be in flight. If the next
// failure comes before a success, the target is backing off again. Failures that
// say nothing about the target (Exhausted, Canceled, Invalid) do not count.
//
// The Gate forgets a healthy target when its last dial ends, and a failing one a
// minute after its next probe was due.
//
// The zero value is ready to use. A Gate can be used concurrently. Do not copy it,
// and do not change its fields once it is in use. A Policy's schedules are called
// with the Gate locked, and must not use it.
type Gate struct {
	// Burst is how many dials to a target that has not answered yet may be in
	// flight at once. Zero or less means 16.
	Burst int

	// MinInterval is the shortest time from a failure to the next attempt at
	// the same target, if more than one dial waits. It bounds the rate of
	// connects to a target that is down. Zero or less means 100 ms, which is
	// ten connects a second.
	//
	// Each process has Gates of its own. In a simulation of 1 000 processes
	// with 50 dials each, a server that is down sees 10 000 connects a second
	// with 100 ms, 2 000 with 500 ms, and 66 669 without a Gate (docs/gate.md).
	// Set 500 ms if your fleet is too large for your server.
	MinInterval time.Duration

	mu      sync.Mutex
	targets map[targetKey]*target
	sweepAt int // the number of targets at which to look for those to forget
}

const (
	defaultBurst       = 16
	defaultMinInterval = 100 * time.Millisecond
	forgetAfter        = time.Minute // how long a failing target is kept after its next probe was due, if nobody dials it
	leastSweep         = 64          // the least value of Gate.sweepAt

	// silence is how long a probe can keep others from probing. A probe that is
	// silent for longer may wait for a packet that is lost: the kernel sends
	// another after 1, 3 and 7 s (RFC 6298), and the target may be back by then.
	silence = time.Second
)

type targetKey struct{ network, address string }

// A target holds what a Gate knows about one target. The Gate's mutex guards it.
type target struct {
	gate     *Gate
	key      targetKey
	dials    int       // dials to it: in flight, waiting, or between two attempts
	inFlight int       // attempts in flight
	window   int       // how many attempts may be in flight
	waiting  list.List // of *waiter, in the order of their arrival
	epoch    int       // incremented at each outage and each recovery; results of attempts begun before it are ignored
	news     int       // the number of failures reported to the Gate
	outage   *outage   // nil while the target is not backing off
	// The schedules of the outage. If dials still wait, a relapse continues them.
	schedules schedules

	// After a target has answered, a failure halves the window once for all
	// attempts that were in flight together. It begins an outage only if no
	// attempt has succeeded since the window was halved.
	answered bool
	round    int  // incremented when the window is halved
	progress bool // an attempt has succeeded in this round
}

// An outage is what a Gate knows about a target that is backing off.
type outage struct {
	began    int           // target.news when the outage began, including the failure that began it
	step     int           // target.news when delay began, including the failure that began it
	probe    int           // the number of the probe in flight; 0: none is
	probes   int           // how many probes have begun
	probedAt time.Time     // the start of the latest probe; zero if it did not reach the target
	failedAt time.Time     // when the latest failure was reported
	failure  Attempt       // the latest failure
	delay    time.Duration // the schedule's latest delay
	due      time.Time     // when delay is over
}

// patience is how long a dial can wait at the Gate.
type patience struct {
	end          time.Time       // when its time is up; zero: never
	last         time.Time       // the latest time at which to begin an attempt; zero: any
	heard        int             // target.news at the latest failure that the dial knows
	done, cancel <-chan struct{} // closed when the caller gives up
}

// A waiter is a dial waiting at the Gate, as the other dials see it. It is small, because
// thousands of dials may wait. The Gate's mutex guards the fields below wake; wake is sent
// to after any of them changes.
type waiter struct {
	end    time.Time      // as patience.end
	heard  int            // as patience.heard
	wake   chan struct{}  // buffered
	place  *list.Element  // in target.waiting; nil if it is not there
	pass   *pass          // permits its attempt, which already counts as in flight; nil: not admitted
	shared *sharedFailure // the failure that it gets in place of an attempt; nil: none
}

// A sharedFailure is a failed probe, as delivered to the dials that waited for it.
type sharedFailure struct {
	attempt Attempt
	news    int
	delay   time.Duration // the schedule's delay; negative: the schedule has ended
}

// A pass permits one attempt, whose result is reported through it. The zero pass
// permits none.
type pass struct {
	target *target
	epoch  int
	round  int
	probe  int  // the number of the probe in the outage; 0: the attempt is not a probe
	told   bool // the result has been reported
	heard  int  // target.news when the failure was reported
}

// Reset makes the next probe of a target due now. The network and address are those that
// the target is dialed by. Call Reset when, for example, service discovery reports that
// the target is back. It has no effect on a target that is not backing off.
func (g *Gate) Reset(network, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.targets[targetKey{network, address}]; t != nil && t.outage != nil {
		t.outage.due, t.outage.failedAt, t.outage.probedAt = time.Now(), time.Time{}, time.Time{}
		t.wakeProbers()
	}
}

// enter returns the target that a dial begins to dial. The dial must call leave when
// it has ended.
func (g *Gate) enter(key targetKey) *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.targets[key]
	if t == nil || t.isStale(time.Now()) {
		t = g.newTarget(key)
	}
	t.dials++
	return t
}

func (g *Gate) newTarget(key targetKey) *target {
	if g.targets == nil {
		g.targets = make(map[targetKey]*target)
		g.sweepAt = leastSweep
	}
	if len(g.targets) >= g.sweepAt {
		g.sweep(time.Now())
	}
	t := &target{gate: g, key: key, window: g.burst()}
	g.targets[key] = t
	return t
}

// sweep forgets the stale targets. It runs when there are twice as many targets as the
// last sweep left, so that its cost is spread over as many new ones.
func (g *Gate) sweep(now time.Time) {
	for key, t := range g.targets {
		if t.isStale(now) {
			delete(g.targets, key)
		}
	}
	g.sweepAt = max(leastSweep, 2*len(g.targets))
}

// leave forgets the target if it is healthy and this was its last dial.
func (g *Gate) leave(t *target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.dials--; t.dials == 0 && t.outage == nil {
		delete(g.targets, t.key)
	}
}

func (g *Gate) burst() int {
	if g.Burst <= 0 {
		return defaultBurst
	}
	return g.Burst
}

func (g *Gate) minInterval() time.Duration {
	if g.MinInterval <= 0 {
		return defaultMinInterval
	}
	return g.MinInterval
}

// isStale reports whether the next probe is overdue by forgetAfter and nobody is
// dialing.
func (t *target) isStale(now time.Time) bool {
	return t.dials == 0 && t.outage != nil && now.After(t.outage.due.Add(forgetAfter))
}

// acquire waits until the dial may make an attempt, and returns a pass for it. If
// it must not make one, acquire returns the failure to report in its place. It
// returns neither if the dial's time is up or its caller has given up.
func (g *Gate) acquire(t *target, p patience) (pass, *sharedFailure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.hasRoom() && t.waiting.Len() == 0 {
		return t.pass(), nil
	}
	w := &waiter{end: p.end, heard: p.heard, wake: make(chan struct{}, 1)}
	w.place = t.waiting.PushBack(w)
	t.wakeFirst()                                // one more waits, so the next probe may be due sooner
	timer := time.AfterFunc(time.Hour, w.wakeUp) // one channel less to wait for than with time.NewTimer
	defer timer.Stop()
	for {
		now := time.Now()
		over := p.isOver(now)
		given, shared, until := t.serve(w, &p, now, over)
		if given.target != nil || shared != nil || over {
			return given, shared
		}
		if until.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(until.Sub(now))
		}
		g.mu.Unlock()
		select {
		case <-w.wake:
		case <-p.done:
		case <-p.cancel:
		}
		g.mu.Lock()
	}
}

// serve gives w, a dial with patience p, what it waits for, if that is there now: a pass or a
// shared failure. Otherwise it returns when to ask again at the latest; zero means not
// before w is woken. If the dial is over, serve takes w off the queue.
func (t *target) serve(w *waiter, p *patience, now time.Time, over bool) (pass, *sharedFailure, time.Time) {
	switch {
	case w.shared != nil:
		return pass{}, w.shared, time.Time{}
	case over:
		t.withdraw(w)
		if o := t.outage; o != nil && p.isLate(now) && p.heard < t.news {
			return pass{}, t.share(max(o.due.Sub(now), 0)), time.Time{}
		}
		return pass{}, nil, time.Time{}
	case w.pass != nil:
		return *w.pass, nil, time.Time{}
	}
	o := t.outage
	if o == nil {
		return pass{}, nil, p.end
	}
	at, ok := t.probeAt(w, p)
	if !ok {
		t.withdraw(w)
		return pass{}, t.share(max(o.due.Sub(now), 0)), time.Time{}
	}
	if at.IsZero() || now.Before(at) {
		return pass{}, nil, soonest(at, p.end)
	}
	t.remove(w)
	o.probes++
	o.probe, o.probedAt = o.probes, now
	probe := t.pass()
	probe.probe = o.probe
	return probe, nil, time.Time{}
}

// probeAt returns when w, a dial with patience p, may make the next probe of a target that
// is backing off, if nobody does so before. Zero means that w may not make it. probeAt
// returns false if w should fail at once.
//
// The dial that has waited longest makes the probe when it is due. Another dial makes
// it sooner if it cannot wait until then. A dial that knows of the outage makes it as
// late as it can, as it does without a Gate. A dial that does not know of it yet makes
// it at once. While a probe is in flight, nobody makes another until the probe has been
// silent for a second.
func (t *target) probeAt(w *waiter, p *patience) (time.Time, bool) {
	o, interval := t.outage, t.gate.minInterval()
	if o.probe != 0 {
		interval = max(interval, silence)
	}
	rest := o.rest(interval)
	due := o.dueFor(t.waiting.Len(), rest)
	if t.waiting.Len() == 1 && p.heard >= o.began && o.probe == 0 && !o.probedAt.After(o.failedAt) {
		due = latest(o.due, o.failedAt.Add(min(o.delay, interval))) // a dial that waits alone keeps its own schedule
	}
	switch {
	case w.canWaitUntil(due):
		if t.waiting.Front() == w.place {
			return due, true
		}
		if p.end.IsZero() {
			return time.Time{}, true
		}
		return latest(due, p.last), true // due may be later by then, because others have left
	case p.heard < o.began && !rest.After(p.last):
		return rest, true
	case p.heard >= o.began && rest.Before(p.end):
		return latest(p.last, rest), true
	}
	// w has no time for a probe of its own. It waits for the probe in flight, if
	// there is one. Otherwise it fails, unless it knows the latest failure already.
	return time.Time{}, o.probe != 0 || p.heard == t.news
}

// rest returns the end of the interval after the latest attempt.
func (o *outage) rest(interval time.Duration) time.Time {
	return latest(o.failedAt, o.probedAt).Add(interval)
}

// dueFor returns when the next probe is due if n dials wait for it.
func (o *outage) dueFor(n int, rest time.Time) time.Time {
	due := o.failedAt.Add(o.delay / time.Duration(max(n, 1)))
	if due.After(o.due) {
		due = o.due
	}
	return latest(due, rest)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// soonest returns the earlier of two times, of which zero means never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// canWaitUntil reports whether the waiting dial still has time left at t.
func (w *waiter) canWaitUntil(t time.Time) bool {
	return w.end.IsZero() || t.Before(w.end)
}

// isOver reports whether the dial is out of time or its caller has given up.
func (p *patience) isOver(now time.Time) bool {
	return p.isLate(now) || isClosed(p.done) || isClosed(p.cancel)
}

// isLate reports whether the dial is out of time.
func (p *patience) isLate(now time.Time) bool {
	return !p.end.IsZero() && !now.Before(p.end)
}

// hasRoom reports whether another attempt may be made.
func (t *target) hasRoom() bool {
	return t.outage == nil && t.inFlight < t.window
}

// pass returns the permission for an attempt, and counts the attempt as in flight.
func (t *target) pass() pass {
	t.inFlight++
	return pass{target: t, epoch: t.epoch, round: t.round}
}

// share returns the latest failure as delivered to a dial.
func (t *target) share(delay time.Duration) *sharedFailure {
	return &sharedFailure{t.outage.failure, t.news, delay}
}

// remove takes w off the queue. If w was first, remove wakes the new first waiter.
func (t *target) remove(w *waiter) {
	first := t.waiting.Front() == w.place
	t.waiting.Remove(w.place)
	w.place = nil
	if first {
		t.wakeFirst()
	}
}

// withdraw removes w, and passes on its turn if it had one.
func (t *target) withdraw(w *waiter) {
	if w.place != nil {
		t.remove(w)
	}
	if w.pass != nil {
		t.inFlight--
		t.admitWaiting()
	}
}

func (t *target) wakeFirst() {
	if first := t.waiting.Front(); first != nil {
		first.Value.(*waiter).wakeUp()
	}
}

// wakeProbers wakes the waiters that might make the next probe.
func (t *target) wakeProbers() {
	due := t.outage.dueFor(t.waiting.Len(), t.outage.rest(t.gate.minInterval()))
	for e := t.waiting.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		if e.Prev() == nil || !w.canWaitUntil(due) {
			w.wakeUp()
		}
	}
}

func (w *waiter) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// admitWaiting lets waiters go as far as the window allows.
func (t *target) admitWaiting() {
	for t.hasRoom() && t.waiting.Len() > 0 {
		w := t.waiting.Remove(t.waiting.Front()).(*waiter)
		admitted := t.pass()
		w.place, w.pass = nil, &admitted
		w.wakeUp()
	}
}

// succeeded reports that the attempt has connected: the target answers. If the
// window was full, it grows by one, so that two attempts take the place of one.
func (p *pass) succeeded() {
	p.target.gate.mu.Lock()
	defer p.target.gate.mu.Unlock()
	t := p.target
	p.told = true
	if t.inFlight >= t.window || t.waiting.Len() > 0 {
		t.window++
	}
	t.inFlight--
	t.answered, t.progress = true, true
	if t.outage != nil {
		t.outage = nil
		t.epoch++
		t.window = t.inFlight + 2 // attempts left over from before the outage must not hold the others up
	}
	t.admitWaiting()
	if t.waiting.Len() == 0 {
		t.schedules = schedules{} // the target can serve all who want it
	}
}

// failed reports that the attempt has failed with a. It returns the delay that
// the schedule says, or false if the dial must use its own schedule, because the
// failure says nothing about the target, or not enough to make the other dials wait.
func (p *pass) failed(a *Attempt, policy Policy) (delay time.Duration, counts bool) {
	p.target.gate.mu.Lock()
	defer p.target.gate.mu.Unlock()
	t := p.target
	ofTarget := a.Class != Exhausted && a.Class != Canceled && a.Class != Invalid && policy[a.Class] != nil
	switch {
	case !ofTarget:
		p.spare()
		return 0, false
	case p.epoch != t.epoch && t.outage != nil: // another attempt that was in flight at the same time has begun the outage
		p.tell()
		p.heard = t.news
		return max(time.Until(t.outage.due), 0), true
	case p.epoch != t.epoch: // the target has come back since
		return 0, false
	case t.outage == nil && t.answered && (t.progress || p.round != t.round):
		p.tell()
		t.slowDown(p.round)
		return 0, false
	}
	o := t.outage
	if o == nil {
		o = &outage{began: t.news + 1, step: t.news}
	}
	now := time.Now()
	early := now.Before(o.due) && a.Class == o.failure.Class // the schedule's delay is not over yet
	if !early {
		// The schedule is the user's code. If it panics, the result has not
		// been reported yet, and release lets the next waiter take over.
		schedule := t.schedules.of(a.Class, policy)
		if schedule == nil { // as if the class were absent from policy
			p.spare()
			return 0, false
		}
		o.delay = nextDelay(schedule)
		o.due = now.Add(max(o.delay, 0))
	}
	if t.isProbe(p) {
		o.probe = 0
	}
	p.tell()
	if t.outage == nil {
		t.epoch++
	}
	t.news++
	p.heard = t.news
	o.failedAt, o.failure = now, *a
	t.backOff(o, early)
	if early {
		return o.due.Sub(now), true
	}
	return o.delay, true
}

// spare lets the next probe go at once if p was a probe: it did not reach the target, or its
// dial will not try again.
func (p *pass) spare() {
	if t := p.target; t.isProbe(p) {
		t.outage.probedAt = time.Time{}
	}
}

// isProbe reports whether p is the probe that is in flight.
func (t *target) isProbe(p *pass) bool {
	return p.probe != 0 && p.epoch == t.epoch && p.probe == t.outage.probe
}

// tell notes that the attempt has ended and its result is reported.
func (p *pass) tell() {
	p.told = true
	p.target.inFlight--
}

// slowDown halves the window because an attempt of the given round has failed. All
// failures of one round halve the window only once.
func (t *target) slowDown(round int) {
	if round == t.round {
		t.window = max(t.window/2, 1)
		t.round++
		t.progress = false
	}
	t.admitWaiting()
}

// nextDelay returns the next delay of schedule. It is negative if the schedule has ended.
func nextDelay(schedule backoff.BackOff) time.Duration {
	delay := schedule.NextBackOff()
	if delay < 0 {
		return -1
	}
	return max(delay, minDelay)
}

// backOff waits for the next probe after the latest failure of o. It delivers the
// failure to the waiters that need it. After an early probe, which failed before the
// schedule's delay was over, these are the waiters that did not know that the target
// fails. Otherwise, they are the waiters that have had no attempt, of their own or
// shared, since the delay began. If the schedule has ended, all waiters get the
// failure, and the outage is forgotten.
func (t *target) backOff(o *outage, early bool) {
	t.outage, t.answered, t.progress = o, false, false
	known := o.step
	shared := t.share(o.delay)
	switch {
	case early:
		known = o.began - 1
		shared.delay = o.due.Sub(o.failedAt)
	case o.delay < 0:
		known = t.news
	}
	for e := t.waiting.Front(); e != nil; {
		w := e.Value.(*waiter)
		next := e.Next()
		if w.heard <= known {
			t.waiting.Remove(e)
			w.place, w.shared = nil, shared
			w.wakeUp()
		}
		e = next
	}
	if o.delay < 0 {
		t.outage, t.schedules, t.window = nil, schedules{}, t.gate.burst()
		t.epoch++
		return
	}
	if !early {
		o.step = t.news
	}
	t.wakeProbers()
}

// release returns a pass whose outcome was never reported, because the failure
// was not the target's or the attempt panicked. The next waiter takes over.
func (p *pass) release() {
	if p.told {
		return
	}
	p.target.gate.mu.Lock()
	defer p.target.gate.mu.Unlock()
	t := p.target
	p.tell()
	if t.isProbe(p) {
		t.outage.probe = 0
		t.wakeProbers()
		return
	}
	t.admitWaiting()
}

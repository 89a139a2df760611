package redial

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// A Gate shares backoff among the dials to a target, however many goroutines
// and Dialers make them: put one into Dialer.Gate of each. Without it, the load
// on a server that tries to come back grows with the number of goroutines that
// want it. Targets are told apart by network and address, as dialed.
//
// A target that answers is not held back: up to Burst dials go to it at once,
// and beyond that, two for each that succeeds, as TCP's slow start has it (RFC
// 5681, section 3.1).
//
// Once a dial has failed in a way that its Policy retries, the target is
// backing off, on the schedule of that Policy for that class. All dials to it
// wait, those that come then as well, and when the delay is over one of them
// makes an attempt: the probe. Its failure is an attempt of each that waits
// ([Attempt].Shared), and the next delay begins. Its success lets two others
// go, each success two more. A dial with no time left for the next probe fails
// at once, with the target's last failure. Failures that say nothing about the
// target (Exhausted, Canceled, Invalid) count for nothing here.
//
// A target is forgotten when it is healthy and nobody dials it, and when it is
// failing and nobody has dialed it for a minute beyond its delay.
//
// The zero value is ready to use. It is safe for concurrent use; do not copy a
// Gate, nor change Burst, once it is in use. The schedules of a Policy are asked
// under its lock, and must not call it.
type Gate struct {
	// Burst is how many dials are let through at once to a target that has
	// not answered yet. Zero or less means 16.
	Burst int

	mu      sync.Mutex
	targets map[targetKey]*target
	free    []*target // to use again, so that a healthy target costs no allocation
	sweepAt int       // the number of targets at which to look for those to forget
}

const (
	defaultBurst = 16
	forgetAfter  = time.Minute // of the next probe, if nobody came to make it
	leastSweep   = 64
	maxFree      = 16
)

type targetKey struct{ network, address string }

// A target is what a Gate knows of one. The Gate's lock guards it.
type target struct {
	key      targetKey
	dials    int       // to it, in flight or waiting
	inFlight int       // of those
	window   int       // how many may be in flight
	burst    int       // the window of a target that has not answered yet
	waiting  list.List // of *waiter; the first makes the next probe

	failing   bool      // it is backing off
	probing   bool      // a probe is in flight
	next      time.Time // the next probe
	last      Attempt   // the last failure
	episode   int       // counts the outages and recoveries: a dial of an earlier one tells nothing new
	schedules []schedule
}

// A waiter is a dial that waits at the gate. Its wake is written to when what
// is below may have changed, which the lock guards.
type waiter struct {
	wake   chan struct{}
	place  *list.Element // among those waiting; nil if it is not
	passed bool          // it may dial
	shared *sharedFailure
}

// A sharedFailure is that of a probe, for those who waited for it.
type sharedFailure struct {
	attempt Attempt
	delay   time.Duration // before the next; < 0: there is none
}

// A pass lets a dial make one attempt, and its result be told.
type pass struct {
	gate    *Gate
	target  *target
	episode int
	probe   bool
	told    bool
}

// Reset lets the next probe of a target go at once: a discovery service has
// said that it is back. It does nothing to one that is not backing off.
func (g *Gate) Reset(network, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.targets[targetKey{network, address}]; t != nil && t.failing {
		t.next = time.Now()
		t.wakeFirst()
	}
}

// tryGated is try, at a gate.
func (l *loop) tryGated(start time.Time, connect connectFunc) (net.Conn, time.Duration, error) {
	t := l.Gate.enter(targetKey{l.network, l.address})
	defer l.Gate.leave(t)
	l.waited = false
	shared := l.await(t)
	switch {
	case shared != nil:
		return nil, 0, l.share(shared)
	case l.gone != nil:
		return nil, 0, l.abandoned(time.Now())
	}
	defer l.pass.release()
	if l.waited {
		start = time.Now()
	}
	return l.tryOnce(start, connect)
}

// share makes the failure of another's probe an attempt of this dial. Where it
// leads to is decided as of any.
func (l *loop) share(s *sharedFailure) error {
	l.attempts++
	now := time.Now()
	a := s.attempt
	a.Number, a.Elapsed, a.Shared, a.Delay, a.Stop = l.attempts, now.Sub(l.start), true, 0, nil
	if l.over(now) {
		a.Stop = l.gone
	} else {
		a.Delay, a.Stop = l.next(a.Class, now, s.delay)
	}
	return l.settle(&a)
}

// enter finds the target, or makes it.
func (g *Gate) enter(key targetKey) *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.targets[key]
	switch {
	case t == nil:
		t = g.newTarget(key)
	case t.failing && t.stale(time.Now()):
		t.reset(key, g.burst())
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
	var t *target
	if n := len(g.free); n > 0 {
		t, g.free = g.free[n-1], g.free[:n-1]
	} else {
		t = new(target)
	}
	t.reset(key, g.burst())
	g.targets[key] = t
	return t
}

// sweep forgets the targets that failed and that nobody has dialed since. It
// is due when there are twice as many as the last one left, so that its cost
// is spread over as many that came.
func (g *Gate) sweep(now time.Time) {
	for key, t := range g.targets {
		if t.failing && t.stale(now) {
			delete(g.targets, key)
		}
	}
	g.sweepAt = max(leastSweep, 2*len(g.targets))
}

// leave forgets the target if it is healthy and this was its last dial.
func (g *Gate) leave(t *target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.dials--
	if t.dials > 0 || t.failing {
		return
	}
	delete(g.targets, t.key)
	if len(g.free) < maxFree {
		g.free = append(g.free, t)
	}
}

func (g *Gate) burst() int {
	if g.Burst <= 0 {
		return defaultBurst
	}
	return g.Burst
}

// stale tells whether nobody came to make the probe.
func (t *target) stale(now time.Time) bool {
	return t.dials == 0 && now.After(t.next.Add(forgetAfter))
}

// reset makes t a target of which nothing is known.
func (t *target) reset(key targetKey, burst int) {
	*t = target{key: key, window: burst, burst: burst, episode: t.episode + 1}
}

// await waits until the dial may make an attempt, which l.pass is for then,
// until another's probe has failed, which it returns, or until the caller has
// given up, which l.gone says then.
func (l *loop) await(t *target) *sharedFailure {
	g := l.Gate
	g.mu.Lock()
	if !t.failing && t.inFlight < t.window && t.waiting.Len() == 0 {
		l.pass = t.admit(g)
		g.mu.Unlock()
		return nil
	}
	if t.failing && !l.end.IsZero() && !t.next.Before(l.end) {
		defer g.mu.Unlock()
		return &sharedFailure{t.last, max(time.Until(t.next), 0)}
	}
	w := &waiter{wake: make(chan struct{}, 1)}
	w.place = t.waiting.PushBack(w)
	g.mu.Unlock()
	return l.waitAt(t, w)
}

// waitAt is await's waiting.
func (l *loop) waitAt(t *target, w *waiter) *sharedFailure {
	g := l.Gate
	l.waited = true
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		over := l.over(now)
		g.mu.Lock()
		switch {
		case w.shared != nil:
			g.mu.Unlock()
			return w.shared
		case over, !l.end.IsZero() && !now.Before(l.end):
			t.withdraw(w)
			g.mu.Unlock()
			if !over {
				l.gone = l.endReason
			}
			return nil
		case w.passed:
			l.pass = pass{gate: g, target: t, episode: t.episode}
			g.mu.Unlock()
			return nil
		case t.mayProbe(w) && !now.Before(t.next):
			t.remove(w)
			t.probing = true
			l.pass = t.admit(g)
			l.pass.probe = true
			g.mu.Unlock()
			return nil
		}
		until := l.end
		if t.mayProbe(w) && (until.IsZero() || t.next.Before(until)) {
			until = t.next
		}
		g.mu.Unlock()
		if until.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(until.Sub(now))
		}
		select {
		case <-w.wake:
		case <-timer.C:
		case <-l.ctx.Done():
		case <-l.Cancel:
		}
	}
}

// admit lets one more be in flight.
func (t *target) admit(g *Gate) pass {
	t.inFlight++
	return pass{gate: g, target: t, episode: t.episode}
}

// mayProbe tells whether w is the one to make the next probe.
func (t *target) mayProbe(w *waiter) bool {
	return t.failing && !t.probing && t.waiting.Front() == w.place
}

// remove takes w from those waiting, and tells the one who is first then.
func (t *target) remove(w *waiter) {
	first := t.waiting.Front() == w.place
	t.waiting.Remove(w.place)
	w.place = nil
	if first {
		t.wakeFirst()
	}
}

// withdraw is of a dial that waits no more: what it was given goes to another.
func (t *target) withdraw(w *waiter) {
	if w.place != nil {
		t.remove(w)
	}
	if w.passed {
		t.inFlight--
		t.admitWaiting()
	}
}

func (t *target) wakeFirst() {
	if first := t.waiting.Front(); first != nil {
		first.Value.(*waiter).wakeUp()
	}
}

func (w *waiter) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// admitWaiting lets those who wait go, as far as the window allows.
func (t *target) admitWaiting() {
	for !t.failing && t.inFlight < t.window && t.waiting.Len() > 0 {
		w := t.waiting.Remove(t.waiting.Front()).(*waiter)
		w.place, w.passed = nil, true
		t.inFlight++
		w.wakeUp()
	}
}

// succeeded tells of a connection: the target is there, and one more may be in
// flight than before, so that two go for each that succeeds.
func (p *pass) succeeded() {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	t := p.target
	p.told = true
	t.inFlight--
	t.window++
	if t.failing {
		t.failing, t.probing, t.schedules = false, false, nil
		t.episode++
		t.window = t.inFlight + 2 // whatever is left of a burst is not to hold them up
	}
	t.admitWaiting()
}

// failed tells of a failure. It returns the delay before the next probe, or
// false if the failure says nothing of the target as it is now.
func (p *pass) failed(a *Attempt, policy Policy) (delay time.Duration, counts bool) {
	if a.Class == Exhausted || a.Class == Canceled || a.Class == Invalid || policy[a.Class] == nil {
		return 0, false
	}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	t := p.target
	news := p.episode == t.episode
	if news {
		// A schedule is the user's code: should it panic, nothing has been
		// told yet, and release hands over.
		delay = t.nextDelay(a.Class, policy)
	}
	p.told = true
	t.inFlight--
	switch {
	case news:
		t.backOff(a, delay)
		return delay, true
	case t.failing: // one of a burst, of which another was faster to fail
		return max(time.Until(t.next), 0), true
	}
	t.admitWaiting() // the target has been back meanwhile
	return 0, false
}

// nextDelay asks the target's schedule for that class. It is negative if the
// schedule has ended, or there is none.
func (t *target) nextDelay(class Class, policy Policy) time.Duration {
	schedule := scheduleOf(&t.schedules, class, policy)
	if schedule == nil {
		return -1
	}
	delay := schedule.NextBackOff()
	if delay < 0 {
		return -1
	}
	return max(delay, minDelay)
}

// backOff begins the delay before the next probe, and shares a's failure with
// all who wait. If the delay is negative, the schedule has ended: they go away
// with the failure then, and the target is one of which nothing is known.
func (t *target) backOff(a *Attempt, delay time.Duration) {
	t.episode++
	t.last = *a
	t.probing = false
	if t.failing = delay >= 0; t.failing {
		t.next = time.Now().Add(delay)
	} else {
		t.schedules, t.window = nil, t.burst
	}
	shared := &sharedFailure{*a, delay}
	for t.waiting.Len() > 0 {
		w := t.waiting.Remove(t.waiting.Front()).(*waiter)
		w.place, w.shared = nil, shared
		w.wakeUp()
	}
}

// release gives back a pass that told nothing: the attempt failed in a way
// that says nothing of the target, or panicked. Another takes over at once.
func (p *pass) release() {
	if p.told {
		return
	}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	t := p.target
	p.told = true
	t.inFlight--
	if p.probe && p.episode == t.episode {
		t.probing = false
		t.wakeFirst()
		return
	}
	t.admitWaiting()
}

package redial

import (
	"context"
	"net"
	"slices"
	"time"
)

// One dial is a loop: wait for its turn, make an attempt, classify what came of
// it, record it, and ask the policy whether and when to try again. The loop
// knows the caller and the Dialer's bounds. It does not know how an attempt is
// made (dial.go), nor how dials wait for each other (gate.go).

// The default bounds of a dial.
const (
	defaultTimeout    = 10 * time.Second // of one attempt
	defaultMaxElapsed = 30 * time.Second // of the whole dial
)

// A caller wants a connection. It can end the dial, and may be told of its failures.
type caller struct {
	ctx        context.Context // ends the dial
	attemptCtx context.Context // attempts derive theirs from it
	report     func(*Error)    // if not nil, it is called after each failure, and with nil after a success
}

// A loop is one dial: its caller and its target, its bounds, and the results of its
// attempts so far. It lives on the stack of the goroutine that waits in it, so it is
// kept small.
type loop struct {
	dialer *Dialer
	caller
	way
	also context.Context // ctx is canceled with it, and its deadline counts too; nil: none

	end         time.Time // no attempt begins then or later; zero: no such time
	maxAttempts int       // zero: no limit
	policy      Policy
	target      *target // what the Gate knows about the target; nil without a Gate
	nested      bool    // within another dial's attempt, which may hold a pass of the same Gate
	byElapsed   bool    // MaxElapsed decides end, not a deadline
	atGate      bool    // the Gate says when the next attempt is due

	schedules    schedules     // of the classes that have occurred; most dials see only one
	lastDuration time.Duration // of the latest attempt of its own
	finalAt      time.Duration // from start until the last attempt begins, if a wait was shortened for it; 0: no wait was
	heard        int           // target.news at the latest failure that this dial knows
	history
}

// bound sets the bounds of the dial, in time and in attempts.
func (l *loop) bound() {
	l.policy = l.dialer.Policy
	if l.policy == nil {
		l.policy = defaultPolicy
	}
	l.maxAttempts = max(l.dialer.MaxAttempts, 0)
	if l.nested = withinAttempt(l.attemptCtx); l.nested {
		l.maxAttempts = 1 // the outer dial retries; retries here would multiply with it
	}
	end, reason := l.ownEnd()
	if deadline, ok := l.ctx.Deadline(); ok && (end.IsZero() || deadline.Before(end)) {
		end, reason = deadline, ErrDeadline
	}
	l.end, l.byElapsed = end, reason == ErrMaxElapsed
}

// endReason returns why end ends the dial.
func (l *loop) endReason() error {
	if l.byElapsed {
		return ErrMaxElapsed
	}
	return ErrDeadline
}

// ownEnd returns when the dial ends by its own bounds, and why. These leave out the
// deadline of ctx, because attemptCtx may have another. Zero means never.
func (l *loop) ownEnd() (end time.Time, reason error) {
	d := l.dialer
	endBy := func(t time.Time, why error) {
		if end.IsZero() || t.Before(end) {
			end, reason = t, why
		}
	}
	if !d.Deadline.IsZero() {
		endBy(d.Deadline, ErrDeadline)
	}
	if d.Timeout < 0 { // as in net.Dialer, the dial is over before it begins
		endBy(l.start, ErrDeadline)
	}
	maxElapsed := d.MaxElapsed
	if maxElapsed == 0 && l.maxAttempts != 1 {
		maxElapsed = defaultMaxElapsed
	}
	if maxElapsed > 0 {
		endBy(l.start.Add(maxElapsed), ErrMaxElapsed)
	}
	if l.also != nil {
		if deadline, ok := l.also.Deadline(); ok {
			endBy(deadline, ErrDeadline)
		}
	}
	return end, reason
}

// attemptEnd returns when an attempt that starts now is cut off. Zero means never.
func (l *loop) attemptEnd(now time.Time) time.Time {
	end, _ := l.ownEnd()
	timeout := l.dialer.Timeout
	if timeout == 0 && l.maxAttempts != 1 {
		timeout = defaultTimeout
	}
	if timeout == 0 {
		return end
	}
	return soonest(end, now.Add(timeout))
}

// dial makes the whole dial. It panics if the caller's ctx is nil.
func (l *loop) dial() (net.Conn, error) {
	if l.ctx == nil {
		panic("nil context")
	}
	l.start = time.Now()
	if l.report == nil { // a Transport's dial ends with its request
		l.also = attachedTo(l.ctx)
	}
	switch {
	case l.also != nil:
		return l.attached()
	case l.dialer.OnDial != nil:
		return l.observed()
	}
	return l.run()
}

// run makes attempts until one succeeds or there is a reason to stop.
func (l *loop) run() (net.Conn, error) {
	l.bound()
	if gate := l.dialer.Gate; gate != nil && !l.nested {
		return l.runAtGate(gate)
	}
	return l.keepTrying()
}

func (l *loop) runAtGate(g *Gate) (net.Conn, error) {
	l.target = g.enter(targetKey{l.network, l.address})
	defer g.leave(l.target)
	return l.keepTrying()
}

// keepTrying is the loop. It has a function of its own, because a defer in it would
// enlarge the stack of every dial that waits.
func (l *loop) keepTrying() (net.Conn, error) {
	for {
		if err := l.abandonIfOver(); err != nil {
			return nil, err
		}
		conn, err := l.try()
		if conn != nil || err != nil {
			return conn, err
		}
		l.wait()
	}
}

// An ending says why a dial ends before it has connected. The zero value means that
// the dial goes on.
type ending struct {
	stop     error // for Attempt.Stop and Error.Stop
	ctxErr   error // the Err of the caller's context, if it ended the dial; stop is the cause, which need not match Err
	canceled bool  // true if the caller gave up, false if time is up
}

// over reports whether the dial is over at now, and why. It asks the context,
// Cancel and the bounds, never an error: an attempt's own timeout looks like the
// context's, and a dial that is canceled while it tries its second address returns
// the error of the first.
func (l *loop) over(now time.Time) ending {
	ctx := l.ctx
	if l.also != nil && l.also.Err() != nil {
		ctx = l.also // knows why
	}
	switch err := ctx.Err(); {
	case err != nil:
		return ending{stopOf(ctx), err, err != context.DeadlineExceeded}
	case isClosed(l.dialer.Cancel):
		return ending{context.Canceled, nil, true}
	case !l.end.IsZero() && !now.Before(l.end):
		return ending{l.endReason(), nil, false}
	}
	return ending{}
}

// stopOf returns the reason for stopping if ctx has ended: its cause, or ErrDeadline if its
// deadline has no other cause.
func stopOf(ctx context.Context) error {
	cause := context.Cause(ctx)
	if cause == context.DeadlineExceeded && ctx.Err() == context.DeadlineExceeded {
		return ErrDeadline
	}
	return cause
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// dueGrace is how long awaitContext waits.
const dueGrace = 10 * time.Millisecond

// awaitContexts waits for the contexts of the dial to end if their deadlines have passed
// at now, but the dial's own timer fired first. A context has its cause only when its own
// timer has fired.
func (l *loop) awaitContexts(now time.Time) {
	awaitContext(l.ctx, now)
	if l.also != nil {
		awaitContext(l.also, now)
	}
}

// awaitContext waits for ctx to end if its deadline has passed at now. A custom context
// might never end, so the wait is short.
func awaitContext(ctx context.Context, now time.Time) {
	deadline, ok := ctx.Deadline()
	if !ok || now.Before(deadline) || ctx.Err() != nil {
		return
	}
	timer := time.NewTimer(dueGrace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// try makes one attempt as soon as the Gate allows it. It returns the
// connection, or the error of the dial. It returns neither if the dial goes on,
// or if its time was up at the Gate.
func (l *loop) try() (net.Conn, error) {
	if l.target == nil {
		return l.attempt(nil)
	}
	p, shared := l.dialer.Gate.acquire(l.target, l.patience())
	switch {
	case shared != nil:
		return nil, l.share(shared)
	case p.target == nil:
		return nil, nil
	}
	defer p.release()
	return l.attempt(&p)
}

// attempt makes one attempt, under pass p of the Gate if p is not nil.
func (l *loop) attempt(p *pass) (net.Conn, error) {
	start := l.start
	if l.attempts > 0 || p != nil || l.dialer.OnDial != nil {
		start = time.Now()
	}
	l.attempts++
	conn, seen, err := l.dialer.attempt(l.attemptCtx, l.attemptEnd(start), l.way, l.plan(start))
	if err != nil {
		return nil, l.failed(p, err, start, seen)
	}
	if p != nil {
		p.succeeded()
	}
	l.succeeded(conn, start, seen)
	return conn, nil
}

// plan returns what is known about the attempt that starts now.
func (l *loop) plan(now time.Time) plan {
	return plan{
		number: l.attempts,
		last:   l.maxAttempts > 0 && l.attempts >= l.maxAttempts || l.isFinal(now),
		policy: l.policy,
	}
}

// succeeded records the attempt that made conn. It closes conn if the logger or
// OnAttempt panics or ends the goroutine, because nobody gets conn then.
func (l *loop) succeeded(conn net.Conn, start time.Time, seen *lookup) {
	returned := false
	defer func() {
		if !returned {
			l.discard(conn)
		}
	}()
	if l.report != nil {
		l.report(nil)
	}
	if level, _ := levelOfSuccess(l.attempts); l.records(level) {
		a := l.newAttempt(start, seen)
		a.Remote = remoteOf(conn)
		l.record(&a)
	}
	returned = true
}

// failed classifies the attempt that ended in err, decides what comes next, and
// records both. It returns the error of the dial, or nil if the dial goes on.
func (l *loop) failed(p *pass, err error, start time.Time, seen *lookup) error {
	a := l.newAttempt(start, seen)
	a.Err = err
	now := start.Add(a.Duration)
	l.lastDuration = a.Duration
	l.awaitContexts(now)
	over := l.over(now)
	a.Class = Canceled
	if !over.canceled {
		a.Class = l.dialer.classify(err)
	}
	telling := over.stop == nil || !l.cutOff(&a)

	var delay time.Duration
	shared := false
	if p != nil {
		// After the delay, a race would also try the next address. What a caller canceled says nothing.
		if !over.canceled && (telling || a.Duration >= connectionAttemptDelay) {
			delay, shared = p.failed(&a, l.policy)
		}
		p.release()
	}
	l.atGate = shared
	switch {
	case over.stop != nil:
		a.Stop = over.stop
	case shared:
		l.heard = p.heard
		a.Delay, a.Stop = l.next(a.Class, now, delay, l.dialer.Gate.minInterval())
	default:
		a.Delay, a.Stop = l.next(a.Class, now, ownSchedule, 0)
	}
	return l.settle(&a, over, !telling)
}

// cutOff reports whether an attempt that failed at the end of the dial tells nothing
// about the target: the end cut it off, and its silence was too short to mean anything.
// That is so if the target took longer to refuse the attempt before. On Windows each
// refusal takes 2 s, because Windows asks again.
func (l *loop) cutOff(a *Attempt) bool {
	short := time.Second
	if last := &l.latest; last.class == Refused || last.class == Reset {
		short = max(short, last.took())
	}
	return a.Duration < short && (a.Class == Timeout || a.Class == Canceled)
}

// share records another dial's failed probe as an attempt of this dial, and
// decides what to do next as for any failure.
func (l *loop) share(s *sharedFailure) error {
	l.attempts++
	l.heard = s.news
	now := time.Now()
	a := s.attempt
	a.Number, a.Elapsed, a.Shared, a.Delay, a.Stop = l.attempts, now.Sub(l.start), true, 0, nil
	over := l.over(now)
	l.atGate = true
	if a.Stop = over.stop; a.Stop == nil {
		a.Delay, a.Stop = l.next(a.Class, now, s.delay, l.dialer.Gate.minInterval())
	}
	return l.settle(&a, over, false)
}

// settle keeps the record of a failed attempt, which is mute if it tells nothing about
// the target. It returns the error of the dial, if that attempt was its last.
func (l *loop) settle(a *Attempt, over ending, mute bool) error {
	if l.maxAttempts == 1 {
		l.record(a)
		return a.Err // the caller or the outer dial retries, and needs the inner dialer's own error
	}
	r := newRecord(a, l.start)
	r.mute = mute
	if a.Stop == nil && l.by == byNet {
		r.compact() // an error of DialFunc stays as it is: somebody might compare it
	}
	l.add(r)
	if l.report != nil {
		l.report(l.newError(a.Stop, nil, a.Elapsed))
	}
	l.record(a)
	if a.Stop == nil {
		return nil
	}
	return l.newError(a.Stop, over.ctxErr, a.Elapsed).asOpError()
}

func (l *loop) newAttempt(start time.Time, seen *lookup) Attempt {
	duration := time.Since(start)
	a := Attempt{
		Network:  l.network,
		Address:  l.address,
		Number:   l.attempts,
		Start:    start,
		Duration: duration,
		Elapsed:  start.Sub(l.start) + duration,
	}
	if seen != nil {
		a.Resolve, a.Addrs = seen.resolve, seen.addrs
	}
	return a
}

// ownSchedule tells next to take the delay from the dial's own schedule.
const ownSchedule time.Duration = -1 << 63

// next decides how long to wait for the next attempt after a failure of class
// at now, or why there is none. The delay is the Gate's, or ownSchedule. No
// attempt is due before least has passed.
func (l *loop) next(class Class, now time.Time, delay, least time.Duration) (_ time.Duration, stop error) {
	if l.policy[class] == nil || class == Canceled {
		return 0, ErrPermanent
	}
	if l.maxAttempts > 0 && l.attempts >= l.maxAttempts {
		return 0, ErrMaxAttempts
	}
	if delay == ownSchedule {
		schedule := l.schedules.of(class, l.policy)
		if schedule == nil {
			return 0, ErrPermanent
		}
		delay = schedule.NextBackOff()
	}
	switch {
	case delay < 0:
		return 0, errScheduleEnded
	case l.isFinal(now):
		return 0, l.endReason()
	}
	delay = max(delay, minDelay)
	if l.finalAt == 0 && (l.end.IsZero() || now.Add(delay).Before(l.end)) {
		return delay, nil
	}
	lastChance := l.lastChance()
	l.finalAt = lastChance.Sub(l.start)
	delay = lastChance.Sub(now)
	if delay < minDelay || !now.Add(max(delay, least)).Before(l.end) {
		return 0, l.endReason()
	}
	return max(delay, least), nil
}

// isFinal reports whether an attempt that starts at now is the last one, for which a
// wait was shortened.
func (l *loop) isFinal(now time.Time) bool {
	return l.finalAt != 0 && now.Sub(l.start) >= l.finalAt
}

// lastChance returns the latest time at which to begin an attempt, so that it has
// enough time: a twentieth of the dial's whole time, or twice the duration of the
// latest attempt if that is longer. It returns zero if the dial has no end.
func (l *loop) lastChance() time.Time {
	switch {
	case l.end.IsZero():
		return time.Time{}
	case l.finalAt != 0:
		return l.start.Add(l.finalAt)
	}
	return l.end.Add(-max(l.end.Sub(l.start)/20, 2*l.lastDuration))
}

// patience returns how long the dial can wait at the Gate.
func (l *loop) patience() patience {
	return patience{end: l.end, last: l.lastChance(), heard: l.heard, done: l.ctx.Done(), cancel: l.dialer.Cancel}
}

// wait returns when the next attempt is due, or as soon as the caller gives up.
func (l *loop) wait() {
	due := l.start.Add(l.latest.elapsed).Add(l.latest.delay) // the sum of both can overflow
	delay := time.Until(due)                                 // the logger and OnAttempt have used up some of it
	if l.atGate || delay <= 0 {
		return
	}
	timer := time.NewTimer(delay)
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	case <-l.dialer.Cancel:
	}
	timer.Stop() // without defer, which would enlarge the stack of every dial that waits
}

// abandonIfOver logs and returns the error of a dial that is over before its first
// attempt, or between two. It returns nil if the dial goes on.
func (l *loop) abandonIfOver() error {
	now := time.Now()
	l.awaitContexts(now)
	over := l.over(now)
	if over.stop == nil {
		return nil
	}
	if l.attempts == 0 {
		l.latest.class, l.latest.err = Timeout, over.stop
		if over.canceled {
			l.latest.class = Canceled
		}
	}
	e := l.newError(over.stop, over.ctxErr, now.Sub(l.start))
	l.recordEnd(e, over.canceled)
	if l.maxAttempts == 1 && l.by == byNet {
		return l.netError(over)
	}
	return e.asOpError()
}

// netError returns the error that net.Dialer returns for a dial that is over before it
// has begun. It calls DialContext with a context that has ended, which opens no socket.
// (DialTCP and the like would.)
func (l *loop) netError(over ending) error {
	ctx, cancel := context.WithDeadline(l.attemptCtx, aLongTimeAgo)
	if over.canceled {
		ctx, cancel = context.WithCancel(l.attemptCtx)
		cancel()
	}
	defer cancel()
	inner := l.dialer.unbound()
	inner.LocalAddr = l.local
	conn, err := inner.DialContext(ctx, l.network, l.address)
	if err == nil {
		l.discard(conn)
		return over.stop
	}
	return err
}

// newError returns the error of the dial so far. Its History is made by complete.
func (l *loop) newError(stop, ctxErr error, elapsed time.Duration) *Error {
	kept := l.history
	kept.earlier = slices.Clone(kept.earlier)
	last := kept.telling()
	return &Error{
		Network:  l.network,
		Address:  l.address,
		Attempts: l.attempts,
		Elapsed:  elapsed,
		Class:    last.class,
		Err:      asMade(last.err),
		Stop:     stop,
		ctxErr:   ctxErr,
		kept:     &kept,
	}
}

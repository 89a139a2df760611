package redial

import (
	"context"
	"net"
	"os"
	"slices"
	"time"

	"github.com/seed-33f8b841/redial/internal/foreign"
)

// One dial is a loop: wait for its turn, make an attempt, record the outcome, and decide by the Policy
// whether and when to try again. This file holds the bounds of the dial and decides when it ends.
// Dials begin in dial.go. The attempts are in attempt.go, and the turns at a Gate in gate.go.

// The default bounds of a dial.
const (
	defaultTimeout    = 10 * time.Second // of one attempt
	defaultMaxElapsed = 30 * time.Second // of the whole dial
)

// leastLastTime is how much time a wait leaves for the attempt after it, if that is less than a
// twentieth of the dial's whole time.
const leastLastTime = 100 * time.Millisecond

// A dial is one call of a Dialer's method, or of Do. One goroutine uses it. It is kept
// small, because thousands of dials may wait at once.
type dial struct {
	dialer           *Dialer
	network, address string
	name             *name                                       // the name whose addresses are raced; nil if there is none
	method           func(ctx context.Context) (net.Conn, error) // connects, for Do, DialTCP and the like; nil for DialContext
	isDo             bool                                        // the dial is Do's: method makes a value that Verify does not check
	literal          bool                                        // package net only connects a socket
	local            net.Addr                                    // the address that connect binds to; nil if none or unknown

	waitCtx    context.Context // ends the dial
	attemptCtx context.Context // attempts derive theirs from it; only a Transport's is not waitCtx
	request    *requestDial    // reports to a Transport's request; nil without one
	outer      *attemptContext // the other dial's attempt that this dial is nested in; nil if none

	start        time.Time
	end          time.Time // no attempt begins then or later; zero: no such time
	endReason    Stop      // why the dial ends then
	attemptLimit int       // zero: no limit
	policy       Policy
	schedules    schedules
	visit        *visit // at the Gate; nil without one

	attempts     int           // made so far
	lastDuration time.Duration // of the latest attempt that was not shared
	lastAttempt  bool          // no other attempt follows the one in flight
	finalAt      time.Time     // when the last attempt begins, because a wait was shortened for it; zero: no wait was
	dueAt        time.Time     // when the next attempt is due
	history      history

	kept  *keptNames // of nested dials; nil if there can be none
	route *route     // what is known about the target's addresses, shared with an outer dial, a Gate or a Transport; nil if nothing is

	conn  net.Conn // what the dial has connected to
	class Class    // why the dial has failed
	stop  Stop     // why it has stopped
}

// setBounds sets the bounds of the dial, in time and in attempts.
func (d *dial) setBounds() {
	d.policy = d.dialer.Policy
	if d.policy == nil {
		d.policy = defaultPolicy
	}
	d.attemptLimit = max(d.dialer.MaxAttempts, 0)
	if d.outer != nil {
		d.attemptLimit = 1 // the outer dial retries; retries here would multiply with it
	}
	maxElapsed := d.dialer.MaxElapsed
	if maxElapsed == 0 && !d.isSingle() {
		maxElapsed = defaultMaxElapsed
	}
	if maxElapsed > 0 {
		d.endBy(d.start.Add(maxElapsed), ErrMaxElapsed)
	}
	if deadline := d.dialer.Deadline; !deadline.IsZero() {
		d.endBy(deadline, ErrDeadline)
	}
	if d.dialer.Timeout < 0 { // as in net.Dialer, the dial is over before it begins
		d.endBy(d.start, ErrDeadline)
	}
	if d.request != nil {
		d.request.end = d.end
	}
	if deadline, ok := d.waitCtx.Deadline(); ok {
		d.endBy(deadline, ErrDeadline)
	}
}

func (d *dial) endBy(end time.Time, reason Stop) {
	if d.end.IsZero() || end.Before(d.end) {
		d.end, d.endReason = end, reason
	}
}

// isSingle reports whether the dial may make one attempt only. Its caller, or the dial around
// it, retries, and gets the inner dialer's own error.
func (d *dial) isSingle() bool { return d.attemptLimit == 1 }

// timeout returns how long one attempt may take.
func (d *dial) timeout() time.Duration {
	if d.dialer.Timeout == 0 {
		return defaultTimeout
	}
	return d.dialer.Timeout
}

// attemptEnd returns when an attempt that starts now is cut off at the latest. A Transport's
// attempt does not end with the request, because other requests can use its connection.
func (d *dial) attemptEnd(now time.Time) time.Time {
	last := d.end
	if d.request != nil {
		last = d.request.end
	}
	end := now.Add(d.timeout())
	if !last.IsZero() && last.Before(end) {
		return last
	}
	return end
}

// keepTrying makes attempts until one succeeds or there is a reason to stop.
func (d *dial) keepTrying() error {
	for {
		var done bool
		var err error
		switch turn, failure := d.awaitTurn(); turn {
		case goes:
			done, err = d.makeAttempt()
		case hears:
			done, err = d.share(failure)
		case ends:
			done, err = d.abandonIfOver(time.Now())
		}
		if done {
			return err
		}
	}
}

// awaitTurn waits until the next attempt is due or, at a Gate, until the dial may make it. It
// returns goes, hears with another dial's failure to take in its place, or ends if the caller
// gives up or time is up.
func (d *dial) awaitTurn() (verdict, *Attempt) {
	if d.visit != nil {
		return d.visit.acquire(d.dueAt, d.isLastTurn())
	}
	delay := time.Until(d.dueAt) // the logger and OnAttempt have used up some of it
	if delay <= 0 {
		return goes, nil
	}
	turn, timer := ends, time.NewTimer(delay)
	select {
	case <-timer.C:
		turn = goes
	case <-d.waitCtx.Done():
	case <-d.dialer.Cancel:
	}
	timer.Stop()
	return turn, nil
}

// isLastTurn reports whether no attempt follows the next one: the number of attempts ends the dial,
// or a wait was shortened, or too little time will be left.
func (d *dial) isLastTurn() bool {
	return d.attempts+1 == d.attemptLimit || !d.finalAt.IsZero() || !d.end.IsZero() && d.dueAt.After(d.lastChance())
}

// An ending says why a dial ends before it has connected. The zero value means that
// the dial goes on.
type ending struct {
	stop  Stop
	cause error // of the context that ended the dial; nil if none did
}

// over reports whether the dial is over at now, and why.
func (d *dial) over(now time.Time) ending {
	return endingOf(d.waitCtx, d.dialer.Cancel, d.end, d.endReason, now)
}

// endingOf reports whether ctx has ended, cancel is closed, or end has passed at now, which ends a
// dial for the reason given. Errors do not decide that: an attempt's own timeout looks like the
// context's, and a dial that is canceled while it tries its second address returns the error of the
// first.
func endingOf(ctx context.Context, cancel <-chan struct{}, end time.Time, reason Stop, now time.Time) ending {
	awaitContext(ctx, now)
	switch err := ctx.Err(); {
	case err == context.DeadlineExceeded:
		return ending{ErrDeadline, causeOf(ctx)}
	case err != nil:
		return ending{ErrCanceled, causeOf(ctx)}
	case isClosed(cancel):
		return ending{ErrCanceled, nil}
	case !end.IsZero() && !now.Before(end):
		return ending{reason, nil}
	}
	return ending{}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// makeAttempt makes one attempt, unless the dial is over. It returns true, and the error of the
// dial, if the dial ends.
func (d *dial) makeAttempt() (done bool, err error) {
	if d.visit != nil {
		defer d.visit.finish(nil) // in case of a panic
	}
	start := time.Now()
	if done, err := d.abandonIfOver(start); done {
		return true, err
	}
	d.attempts++
	d.lastAttempt = d.attempts == d.attemptLimit || d.isFinal(start)
	end := d.attemptEnd(start)
	r := d.attempt(end)
	if r.err != nil {
		return d.failed(r, start, end)
	}
	d.conn = r.conn
	d.succeeded(start, r)
	return true, nil
}

// succeeded records the attempt that has connected.
func (d *dial) succeeded(start time.Time, r result) {
	if d.visit != nil {
		d.visit.finish(&Attempt{})
	}
	if d.request != nil {
		d.request.report(nil)
	}
	if d.recordsSuccess() {
		a := d.newAttempt(start, r)
		a.Remote = foreign.RemoteAddr(r.conn)
		d.record(&a)
	}
}

// failed decides what follows the attempt that failed with r, and records both. The attempt had
// time until end. failed returns true, and the error of the dial, if nothing follows.
func (d *dial) failed(r result, start, end time.Time) (done bool, err error) {
	a := d.newAttempt(start, r)
	a.Err, a.Class = r.err, r.class
	now := start.Add(a.Duration)
	d.lastDuration = a.Duration
	over := d.over(now)
	switch {
	case over.stop == ErrCanceled:
		a.Class = Canceled
	case a.Class == Canceled && (over.stop != 0 || !now.Before(end)):
		a.Class = Timeout // some dialers say "canceled" when their time is up
	}
	cutOff := over.stop != 0 && d.isCutOff(&a)
	if d.visit != nil {
		news := &a
		if over.stop == ErrCanceled || isShortSilence(&a) {
			news = nil
		}
		d.visit.finish(news)
	}
	return d.settle(&a, now, over, cutOff)
}

// isShortSilence reports whether the end of an attempt cut it off so soon that its silence says
// nothing to dials that have more time. The kernel's own ETIMEDOUT says something at any time.
func isShortSilence(a *Attempt) bool {
	_, byKernel := foreign.As[*os.SyscallError](a.Err)
	return isSilence(a) && a.Class != Canceled && !byKernel && a.Duration < connectionAttemptDelay
}

// isSilence reports whether, by its class, a had no answer.
func isSilence(a *Attempt) bool {
	return a.Class == Timeout || a.Class == Canceled || a.Class == DNS && foreign.Timeout(a.Err)
}

// share takes the failure of another dial's attempt as an attempt of this dial.
func (d *dial) share(failure *Attempt) (done bool, err error) {
	d.attempts++
	now, a := time.Now(), *failure
	a.Number, a.Elapsed, a.Shared, a.Nested = d.attempts, now.Sub(d.start), true, false
	a.Delay, a.Stop, a.Cause, a.tooClose = 0, 0, nil, false
	a.Addrs = slices.Clone(a.Addrs)
	if class := d.dialer.classify(a.Err); class != Canceled { // the other dial may have another Classifier
		a.Class = class
	}
	return d.settle(&a, now, d.over(now), false)
}

// isCutOff reports whether an attempt that the end of the dial has ended says nothing about
// the target, because its silence was too short to mean anything. That is so if the target took
// longer to refuse the attempt before. On Windows each refusal takes 2 s, because Windows tries
// again.
func (d *dial) isCutOff(a *Attempt) bool {
	short := time.Second
	if last := d.history.last(); last != nil && (last.class == Refused || last.class == Reset) {
		short = max(short, last.took())
	}
	return isSilence(a) && a.Duration < short
}

// settle decides whether a failed attempt is followed by another one, and records it. It
// returns true, and the error of the dial, if none follows. That error is about the attempt
// before, if the end of the dial cut off this one too soon.
func (d *dial) settle(a *Attempt, now time.Time, over ending, cutOff bool) (done bool, err error) {
	if a.Stop, a.Cause = over.stop, over.cause; a.Stop == 0 {
		a.Delay, a.Stop = d.next(a, now)
		a.tooClose = a.Stop.Timeout()
	}
	d.dueAt = now.Add(a.Delay)
	d.class, d.stop = a.Class, a.Stop
	if d.isSingle() {
		d.record(a)
		return true, a.Err
	}
	verdict := *a
	if last := d.history.last(); cutOff && last != nil {
		verdict.Class, verdict.Err = last.class, last.err
		d.class = last.class
	}
	d.history.add(a, d.start)
	if d.request != nil {
		d.request.report(d.newError(&verdict))
	}
	d.record(a)
	if a.Stop == 0 {
		return false, nil
	}
	return true, d.newError(&verdict).asOpError()
}

func (d *dial) newAttempt(start time.Time, r result) Attempt {
	duration := time.Since(start)
	return Attempt{
		Network:    d.network,
		Address:    d.address,
		Number:     d.attempts,
		Start:      start,
		Duration:   duration,
		Resolve:    r.resolve,
		Unanswered: r.unanswered,
		Elapsed:    start.Sub(d.start) + duration,
		Addrs:      r.addrs,
		Nested:     d.outer != nil,
	}
}

// next decides at now how long to wait for the next attempt after the failed attempt a, or why
// there is none. At a Gate, no attempt is due within MinInterval of a failure of the target.
func (d *dial) next(a *Attempt, now time.Time) (time.Duration, Stop) {
	switch {
	case d.policy[a.Class] == nil || a.Class == Canceled:
		return 0, ErrPermanent
	case d.attempts == d.attemptLimit:
		return 0, ErrMaxAttempts
	}
	schedule := d.schedules.of(a.Class, d.policy)
	if schedule == nil {
		return 0, ErrPermanent
	}
	delay := schedule.NextBackOff()
	switch {
	case delay < 0:
		return 0, ErrScheduleEnded
	case d.isFinal(now):
		return 0, d.endReason
	}
	least := minDelay
	if d.visit != nil && isOfTarget(a.Class) {
		least = max(least, d.visit.interval-now.Sub(a.Start.Add(a.Duration)))
	}
	delay = max(delay, least)
	if d.finalAt.IsZero() && (d.end.IsZero() || !now.Add(delay).After(d.end.Add(-min(d.leastTime(), leastLastTime)))) {
		return delay, 0
	}
	d.finalAt = d.lastChance()
	delay = d.finalAt.Sub(now)
	if delay < minDelay || !now.Add(max(delay, least)).Before(d.end) {
		return 0, d.endReason
	}
	return max(delay, least), 0
}

// isFinal reports whether an attempt that starts at now is the last one, because a wait was
// shortened for it.
func (d *dial) isFinal(now time.Time) bool {
	return !d.finalAt.IsZero() && !now.Before(d.finalAt)
}

// lastChance returns the latest time at which to begin an attempt, so that it has
// enough time: a twentieth of the dial's whole time, or twice the duration of the
// latest attempt if that is longer. It returns zero if the dial has no end.
func (d *dial) lastChance() time.Time {
	switch {
	case d.end.IsZero():
		return time.Time{}
	case !d.finalAt.IsZero():
		return d.finalAt
	}
	return d.end.Add(-max(d.leastTime(), 2*d.lastDuration))
}

// leastTime returns the least time that an attempt needs: a twentieth of the dial's whole time.
func (d *dial) leastTime() time.Duration { return d.end.Sub(d.start) / 20 }

// mayRetry reports whether another attempt may follow the one in flight, if it fails with
// class.
func (d *dial) mayRetry(class Class) bool {
	return !d.lastAttempt && d.policy[class] != nil
}

// abandonIfOver returns true if the dial is over at now, before its first attempt or between
// two. It then logs and returns the error of the dial.
func (d *dial) abandonIfOver(now time.Time) (done bool, err error) {
	over := d.over(now)
	if over.stop == 0 {
		return false, nil
	}
	verdict := Attempt{Elapsed: now.Sub(d.start), Stop: over.stop, Cause: over.cause}
	if last := d.history.last(); last != nil {
		verdict.Class, verdict.Err = last.class, last.err
	} else {
		verdict.Class, verdict.Err = Timeout, over.stop
		if over.stop == ErrCanceled {
			verdict.Class = Canceled
		}
	}
	d.class, d.stop = verdict.Class, over.stop
	e := d.newError(&verdict)
	d.recordEnd(e)
	if d.isSingle() && d.dialer.DialFunc == nil && !d.isDo {
		return true, d.netError(over)
	}
	return true, e.asOpError()
}

// netError returns the error that net.Dialer returns for a dial that is over before it
// has begun. It calls DialContext with a context that has ended, which opens no socket.
// (DialTCP and the like would.)
func (d *dial) netError(over ending) error {
	ctx, cancel := context.WithDeadline(d.attemptCtx, aLongTimeAgo)
	if over.stop == ErrCanceled {
		ctx, cancel = context.WithCancel(d.attemptCtx)
		cancel()
	}
	defer cancel()
	inner, _ := d.dialer.unbound()
	inner.LocalAddr = d.local
	conn, err := inner.DialContext(ctx, d.network, d.address)
	if err == nil {
		d.discard(conn)
		return over.stop
	}
	return err
}

// newError returns the error of the dial so far, by what verdict says.
func (d *dial) newError(verdict *Attempt) *Error {
	e := &Error{
		Network:  d.network,
		Address:  d.address,
		Attempts: d.attempts,
		Elapsed:  verdict.Elapsed,
		Class:    verdict.Class,
		Err:      verdict.Err,
		Stop:     verdict.Stop,
		Cause:    verdict.Cause,
		tooClose: verdict.tooClose,
	}
	e.History = d.history.attempts(e, d.start, d.outer != nil)
	return e
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// soonest returns the earlier of two times. The zero time means never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

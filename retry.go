package redial

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"
)

// The bounds of a dial that sets none.
const (
	defaultTimeout    = 10 * time.Second // of one attempt
	defaultMaxElapsed = 30 * time.Second // of the whole dial
)

// retry makes attempts at network and address, each by connect, until one
// succeeds or there is a reason to stop.
func (d *Dialer) retry(ctx context.Context, network, address string, connect connectFunc) (net.Conn, error) {
	if ctx == nil {
		panic("nil context")
	}
	var l loop // field by field, for a literal would take its room on the stack twice
	l.Dialer, l.ctx, l.attemptCtx, l.network, l.address = d, ctx, ctx, network, address
	if l.request = requestOf(ctx); l.request != nil {
		l.ctx = l.request.context()
	}
	l.bound(time.Now())
	for {
		conn, delay, err := l.try(connect)
		if conn != nil || err != nil {
			return conn, err
		}
		if delay > 0 {
			l.wait(delay)
		}
	}
}

// A loop is one dial: its bounds, and what came of its attempts so far. It
// lives on the stack of the goroutine that waits in it, so it is kept small.
type loop struct {
	*Dialer
	ctx              context.Context // of the caller: with it, the dial is over
	attemptCtx       context.Context // what attempts derive theirs from
	request          *request        // that the dial is for, by a Transport; ctx is its, and attemptCtx not
	network, address string

	start       time.Time
	end         time.Time // no attempt begins then or later; zero: no such time
	endReason   error     // what end is due to: ErrDeadline or ErrMaxElapsed
	attemptsEnd time.Time // all attempts are cut off then; zero: no such time
	maxAttempts int       // 0: no limit
	policy      Policy

	pass      pass       // of the Gate, for the attempt under way
	waited    bool       // at the Gate, for the attempt under way
	nested    bool       // within another dial's attempt, which may hold a pass itself
	schedules []schedule // of the classes seen: most dials see one
	attempts  int
	corrected bool  // the last attempt's class is not what its error says
	gone      error // why the caller wants no connection any more; nil while it does
	canceled  bool  // gone is a cancellation, not a deadline
	history   []Attempt
}

// bound sets what ends the dial, whatever its attempts bring.
func (l *loop) bound(now time.Time) {
	l.start = now
	l.policy = l.Policy
	if l.policy == nil {
		l.policy = defaultPolicy
	}
	l.maxAttempts = max(l.MaxAttempts, 0)
	if l.nested = withinAttempt(l.attemptCtx); l.nested {
		l.maxAttempts = 1 // the dialer around this one retries, and would multiply our retries
	}

	deadline, bounded := l.ctx.Deadline()
	if !l.Deadline.IsZero() {
		l.endBy(l.Deadline, ErrDeadline)
	}
	if l.Timeout < 0 { // as of net.Dialer: over before it began
		l.endBy(now, ErrDeadline)
	}
	maxElapsed := l.MaxElapsed
	if maxElapsed == 0 && !bounded && l.end.IsZero() && l.maxAttempts != 1 {
		maxElapsed = defaultMaxElapsed
	}
	if maxElapsed > 0 {
		l.endBy(now.Add(maxElapsed), ErrMaxElapsed)
	}
	l.attemptsEnd = l.end
	if bounded {
		l.endBy(deadline, ErrDeadline)
	}
	if l.request == nil {
		l.attemptsEnd = l.end
	}
}

func (l *loop) endBy(end time.Time, reason error) {
	if l.end.IsZero() || end.Before(l.end) {
		l.end, l.endReason = end, reason
	}
}

// attemptEnd is when an attempt that starts now must be through; zero: never.
func (l *loop) attemptEnd(now time.Time) time.Time {
	timeout := l.Timeout
	if timeout == 0 && l.maxAttempts != 1 {
		timeout = defaultTimeout
	}
	if timeout == 0 {
		return l.attemptsEnd
	}
	if end := now.Add(timeout); l.attemptsEnd.IsZero() || end.Before(l.attemptsEnd) {
		return end
	}
	return l.attemptsEnd
}

// dueGrace is how long over waits for a context whose deadline has passed.
const dueGrace = 10 * time.Millisecond

// over tells whether the caller has given up, and notes why. It asks the
// context, Cancel and Deadline, never an error: an attempt's own timeout looks
// like the context's, and a dial cancelled at its second address returns what
// befell the first.
func (l *loop) over(now time.Time) bool {
	if deadline, ok := l.ctx.Deadline(); ok && !now.Before(deadline) && l.ctx.Err() == nil {
		// The socket's timer was first. The context's is due, and brings
		// the cause; one that does not keep its word is not waited for.
		due := time.NewTimer(dueGrace)
		select {
		case <-l.ctx.Done():
		case <-due.C:
		}
		due.Stop()
	}
	switch err := l.ctx.Err(); {
	case err != nil:
		l.gone, l.canceled = stopOf(l.ctx), err != context.DeadlineExceeded
	case isClosed(l.Cancel):
		l.gone, l.canceled = context.Canceled, true
	case l.endReason == ErrDeadline && !now.Before(l.end):
		l.gone = ErrDeadline
	}
	return l.gone != nil
}

// stopOf is the reason for stopping of a context that is over.
func stopOf(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != context.DeadlineExceeded {
		return cause
	}
	return ErrDeadline
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// succeeded records the attempt that made conn. Should OnAttempt panic, or end
// the goroutine, nobody would get conn, so nobody else could close it.
func (l *loop) succeeded(conn net.Conn, start time.Time, seen *lookup) {
	if level, _ := levelOfSuccess(l.attempts); !l.records(level) {
		return
	}
	returned := false
	defer func() {
		if !returned {
			conn.Close()
		}
	}()
	a := l.newAttempt(start, seen)
	a.Remote = conn.RemoteAddr()
	l.record(l.ctx, &a)
	returned = true
}

// try makes one attempt, unless the caller has given up. It returns the
// connection, the error of the dial, or the delay before the next attempt; with
// neither, the next is to be made as soon as the Gate lets it.
func (l *loop) try(connect connectFunc) (net.Conn, time.Duration, error) {
	start := l.start
	if l.attempts > 0 {
		start = time.Now()
	}
	if l.over(start) {
		return nil, 0, l.abandoned(start)
	}
	if l.Gate != nil && !l.nested {
		return l.tryGated(start, connect)
	}
	return l.tryOnce(start, connect)
}

func (l *loop) tryOnce(start time.Time, connect connectFunc) (net.Conn, time.Duration, error) {
	l.attempts++
	conn, seen, err := l.attempt(l.attemptCtx, l.attemptEnd(start), connect)
	if err != nil {
		delay, err := l.failed(err, start, seen)
		return nil, delay, err
	}
	if l.pass.gate != nil {
		l.pass.succeeded()
	}
	if l.request != nil {
		l.request.note(l.ctx, nil)
	}
	l.succeeded(conn, start, seen)
	return conn, 0, nil
}

// failed classifies the attempt that ended in err, decides what comes next,
// and records both. It returns the delay before the next attempt, or the error
// of the dial.
func (l *loop) failed(err error, start time.Time, seen *lookup) (time.Duration, error) {
	a := l.newAttempt(start, seen)
	a.Err = err
	now := start.Add(a.Duration)
	over := l.over(now)
	if l.canceled {
		a.Class = Canceled
	} else {
		a.Class = l.classify(err)
		l.corrected = l.Classifier == nil && a.Class != Classify(err)
	}
	var probeIn time.Duration
	gated := false
	if l.pass.gate != nil {
		probeIn, gated = l.pass.failed(&a, l.policy)
	}
	switch {
	case over:
		a.Stop = l.gone
	case gated:
		a.Delay, a.Stop = l.next(a.Class, now, probeIn)
	default:
		a.Delay, a.Stop = l.next(a.Class, now, ownSchedule)
	}
	err = l.settle(&a)
	if gated {
		return 0, err // the Gate says when the wait is over
	}
	return a.Delay, err
}

// settle keeps the record of a failed attempt. It returns the error of the
// dial, if that was its last.
func (l *loop) settle(a *Attempt) error {
	l.remember(*a)
	if l.request != nil {
		l.request.note(l.ctx, l.newError(a.Class, a.Err, nil, a.Elapsed))
	}
	l.record(l.ctx, a)
	if a.Stop != nil {
		return l.failure(a)
	}
	return nil
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

// ownSchedule, in place of a delay, is that which the dial's own schedule has.
const ownSchedule time.Duration = -1 << 63

// next decides, after a failure of that class, how long to wait for the next
// attempt, or why there is none. A wait that would outlast the dial is not
// begun: it could not end in an attempt.
func (l *loop) next(class Class, now time.Time, delay time.Duration) (_ time.Duration, stop error) {
	if l.policy[class] == nil || class == Canceled {
		return 0, ErrPermanent
	}
	if l.maxAttempts > 0 && l.attempts >= l.maxAttempts {
		return 0, ErrMaxAttempts
	}
	if delay == ownSchedule {
		schedule := scheduleOf(&l.schedules, class, l.policy)
		if schedule == nil {
			return 0, ErrPermanent
		}
		delay = schedule.NextBackOff()
	}
	if delay < 0 {
		return 0, ErrPermanent
	}
	delay = max(delay, minDelay)
	if !l.end.IsZero() && !now.Add(delay).Before(l.end) {
		return 0, l.endReason
	}
	return delay, nil
}

// wait returns after delay, or as soon as the caller gives up.
func (l *loop) wait(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	case <-l.Cancel:
	}
}

// failure is the error of a dial whose last attempt was a.
func (l *loop) failure(a *Attempt) error {
	if l.untouched(a) {
		return a.Err
	}
	return l.newError(a.Class, a.Err, a.Stop, a.Elapsed).asOpError()
}

// untouched tells whether a's error is returned as it is, for retrying was
// never going to change it.
func (l *loop) untouched(a *Attempt) bool {
	switch {
	case l.maxAttempts == 1:
		return true
	case l.attempts > 1:
		return false
	case l.gone == nil:
		return a.Stop == ErrPermanent && !l.corrected
	case l.canceled && errors.Is(a.Err, context.Canceled), !l.canceled && isTimeout(a.Err):
		return true
	}
	// The caller gave up, but the error does not say so: it is that of an
	// address tried before. If it was due to be retried, say what stopped it.
	class := l.classify(a.Err)
	return l.policy[class] == nil
}

// abandoned is the error of a dial whose caller has given up before the first
// attempt, or between two.
func (l *loop) abandoned(now time.Time) error {
	class, err := Timeout, l.gone
	if l.canceled {
		class = Canceled
	}
	if n := len(l.history); n > 0 {
		class, err = l.history[n-1].Class, l.history[n-1].Err
	}
	e := l.newError(class, err, l.gone, now.Sub(l.start))
	if l.canceled {
		l.recordCanceled(e)
	}
	return e.asOpError()
}

func (l *loop) newError(class Class, err, stop error, elapsed time.Duration) *Error {
	e := &Error{
		Network:  l.network,
		Address:  l.address,
		Attempts: l.attempts,
		Elapsed:  elapsed,
		Class:    class,
		Err:      err,
		Stop:     stop,
		History:  slices.Clone(l.history),
	}
	if l.gone != nil {
		e.ctxErr = l.ctx.Err()
	}
	return e
}

// An Error's History has as many of the first attempts as of the latest.
const historyMax = 16

func (l *loop) remember(a Attempt) {
	if l.maxAttempts == 1 {
		return // no Error will ask
	}
	if len(l.history) < historyMax {
		l.history = append(l.history, a)
		return
	}
	latest := l.history[historyMax/2:]
	copy(latest, latest[1:])
	latest[len(latest)-1] = a
}

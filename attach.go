package redial

import (
	"context"
	"time"
)

// Attach returns a copy of ctx that ties dials to it: a dial whose context descends from the copy ends
// when ctx ends, even if a client has detached the dial's context. Use it with pools, such as pgxpool's,
// that hide the end of the caller's context from a dial, but keep the context's values:
//
//	ctx, cancel := context.WithTimeout(ctx, time.Second)
//	defer cancel()
//	conn, err := pool.Acquire(redial.Attach(ctx)) // connection refused, within the second
//
// A later Attach replaces an earlier one: Attach(context.WithoutCancel(ctx)) undoes Attach(ctx). Attach has
// no effect on nested dials, which end with the attempt, or on dials of a [Transport], which end with
// their requests. It panics if ctx is nil.
func Attach(ctx context.Context) context.Context {
	if ctx == nil {
		panic("nil context")
	}
	return context.WithValue(ctx, attachKey{}, ctx)
}

// attachKey is the context key of the context given to Attach.
type attachKey struct{}

// attachedTo returns the context that a dial with ctx is attached to, or nil.
func attachedTo(ctx context.Context) context.Context {
	attached, _ := ctx.Value(attachKey{}).(context.Context)
	if attached == nil || outerAttempt(ctx) != nil {
		return nil
	}
	return attached
}

// A jointContext ends with either of two contexts. The embedded one has the values.
type jointContext struct {
	context.Context
	other context.Context
}

// join returns a copy of ctx that also ends with other. The function returned must be called
// when the dial has ended.
func join(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	endTimer := func() {}
	deadline, timed := other.Deadline()
	if timed {
		ctx, endTimer = context.WithDeadline(ctx, deadline)
	}
	stop := context.AfterFunc(other, func() {
		if timed && other.Err() == context.DeadlineExceeded && !time.Now().Before(deadline) {
			return // the timer ends ctx, so that an attempt in flight fails with a timeout
		}
		cancel(context.Cause(other))
	})
	return jointContext{ctx, other}, func() {
		stop()
		endTimer()
		cancel(nil)
	}
}

func (c jointContext) Err() error {
	if err := c.other.Err(); err != nil {
		return err
	}
	return c.Context.Err()
}

// causeOf returns why ctx has ended.
func causeOf(ctx context.Context) error {
	if c, ok := ctx.(jointContext); ok {
		if c.other.Err() != nil {
			return causeOf(c.other)
		}
		ctx = c.Context
	}
	return context.Cause(ctx)
}

// dueGrace is how long awaitContext waits.
const dueGrace = 10 * time.Millisecond

// awaitContext waits for ctx to end if its deadline has passed at now, but a timer of the dial
// fired first: only a context whose own timer has fired has its cause. A custom context might
// never end, so the wait is short.
func awaitContext(ctx context.Context, now time.Time) {
	if c, ok := ctx.(jointContext); ok {
		awaitContext(c.other, now)
		ctx = c.Context
	}
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

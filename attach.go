package redial

import (
	"context"
	"net"
)

// Attach returns a copy of ctx that ties dials to it: a dial whose context descends
// from the copy ends when ctx ends, even if the dial has been detached from it.
//
// Many clients detach their dials. A pool such as pgxpool's hides from the dialer that
// the caller's context has ended, because another caller may use the connection. A
// dialer that retries then goes on although nobody waits for it, and the caller
// sees "context deadline exceeded" in place of the failure. Such a pool keeps the
// values of the context, so Attach reaches the dial all the same:
//
//	ctx, cancel := context.WithTimeout(ctx, time.Second)
//	defer cancel()
//	conn, err := pool.Acquire(redial.Attach(ctx)) // connection refused, within the second
//
// The dial waits no longer than the deadline of ctx allows, so that it fails with the
// last failure as its error shortly before ctx ends. When ctx ends, it cuts off the
// attempt in flight, as the dial's own context does.
//
// A dial within another dial's attempt is not attached, because the attempt ends it. In
// particular, the dial to a DNS server is not: other dials can share the look-up. A
// [Transport] ends its dials with their requests, and needs no Attach. Of several
// contexts that are attached, the innermost counts, so
// Attach(context.WithoutCancel(ctx)) undoes Attach(ctx).
//
// Attach panics if ctx is nil.
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
	if attached == nil || withinAttempt(ctx) {
		return nil
	}
	return attached
}

// join returns a copy of ctx that also ends when other is canceled. It does not end at
// the deadline of other, which is one of the dial's bounds: an attempt that the
// deadline cuts off has timed out, but the copy could only be canceled. The function
// returned must be called when the dial has ended.
func join(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() {
		if _, ok := other.Deadline(); !ok || other.Err() != context.DeadlineExceeded {
			cancel(context.Cause(other))
		}
	})
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// attached runs a dial that also ends with another context. It has a function of its
// own, as observed has, because a defer enlarges the stack of every dial that waits.
func (l *loop) attached() (net.Conn, error) {
	ctx, leave := join(l.ctx, l.also)
	defer leave()
	l.ctx, l.attemptCtx = ctx, ctx
	if l.dialer.OnDial != nil {
		return l.observed()
	}
	return l.run()
}

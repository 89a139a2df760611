// Package observe is what redialprom and redialotel have in common: it puts an observer into the
// hooks of a Dialer, finds the dial that an attempt belongs to, and gives outcomes, reasons to stop
// and addresses the few values that labels can have.
//
// An observer counts each connection once. A dial within another dial's attempt is nested: if both
// report to the same observer, only the outer one counts as a dial, and only its attempts count. The
// look-ups and addresses of both count, because an attempt that dials within makes none itself.
package observe

import (
	"context"
	"sync/atomic"

	"github.com/seed-33f8b841/redial"
)

// An Observer learns what the dials of its Dialers do. S is what it keeps about a dial. Do not copy an
// Observer that is in use, because contexts know it by its address.
type Observer[S any] struct {
	// Began is called when a dial begins. It returns the context with which the dial goes on.
	Began func(ctx context.Context, network, address string, nested bool) (context.Context, S)

	// Attempted is called after each attempt. The dial is nil if the program has replaced OnDial.
	Attempted func(ctx context.Context, d *Dial[S], a redial.Attempt)

	// Ended is called when the dial has ended.
	Ended func(d *Dial[S], r redial.Result)

	// Lost is called when Reconnect has lost a connection.
	Lost func(ctx context.Context, l redial.Loss)
}

// A Dial is a dial in progress. It is also the context with which the dial goes on, where the dial's
// attempts find it.
type Dial[S any] struct {
	context.Context
	State  S    // used by one goroutine at a time
	Nested bool // within a dial that reports to the same observer

	observer *Observer[S]
	ended    atomic.Bool
	isOuter  atomic.Bool // a nested dial has begun within it
}

// Value returns d itself for its observer.
func (d *Dial[S]) Value(key any) any {
	if key == any(d.observer) {
		return d
	}
	return d.Context.Value(key)
}

// Instrument sets d.OnDial, d.OnAttempt and d.OnLost to functions that call o and the functions that
// were there before. The earlier OnDial is called first, and the function that it returns last.
func (o *Observer[S]) Instrument(d *redial.Dialer) {
	onDial, onAttempt, onLost := d.OnDial, d.OnAttempt, d.OnLost
	d.OnDial = func(ctx context.Context, network, address string) (context.Context, func(redial.Result)) {
		var then func(redial.Result)
		if onDial != nil { // if it panics, o has not begun a dial that never ends
			derived, ended := onDial(ctx, network, address)
			if derived != nil {
				ctx = derived
			}
			then = ended
		}
		dial := o.begin(ctx, network, address)
		return dial, func(r redial.Result) {
			if then != nil {
				defer then(r)
			}
			dial.ended.Store(true)
			o.Ended(dial, r)
		}
	}
	d.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		o.Attempted(ctx, o.dialOf(ctx), a)
		if onAttempt != nil {
			onAttempt(ctx, a)
		}
	}
	d.OnLost = func(ctx context.Context, l redial.Loss) {
		o.Lost(ctx, l)
		if onLost != nil {
			onLost(ctx, l)
		}
	}
}

func (o *Observer[S]) begin(ctx context.Context, network, address string) *Dial[S] {
	d := &Dial[S]{observer: o}
	if outer := o.outerOf(ctx); outer != nil {
		outer.isOuter.Store(true)
		d.Nested = true
	}
	d.Context, d.State = o.Began(ctx, network, address, d.Nested)
	return d
}

// dialOf returns the innermost dial, in progress or not, that reports to o and that ctx belongs to;
// nil if there is none.
func (o *Observer[S]) dialOf(ctx context.Context) *Dial[S] {
	d, _ := ctx.Value(o).(*Dial[S])
	return d
}

// outerOf returns the innermost dial in progress. A session can keep the context of a dial that has
// ended.
func (o *Observer[S]) outerOf(ctx context.Context) *Dial[S] {
	d := o.dialOf(ctx)
	for d != nil && d.ended.Load() {
		d = o.dialOf(d.Context)
	}
	return d
}

package observe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/observe"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// notes are what hooks have noted, in order.
type notes []string

func (n *notes) add(format string, args ...any) { *n = append(*n, fmt.Sprintf(format, args...)) }

// observer returns an Observer that notes under its name what it learns, and gives dials the value of
// key name.
func (n *notes) observer(name string) *observe.Observer[string] {
	return &observe.Observer[string]{
		Began: func(ctx context.Context, network, address string, nested bool) (context.Context, string) {
			n.add("%s begins %s %s nested=%v sees=%v", name, network, address, nested, ctx.Value(key("hook")))
			return context.WithValue(ctx, key(name), true), network
		},
		Attempted: func(ctx context.Context, d *observe.Dial[string], a redial.Attempt) {
			if d == nil {
				n.add("%s attempt without a dial", name)
				return
			}
			n.add("%s attempt %d of %s nested=%v sees=%v", name, a.Number, d.State, d.Nested, d.Value(key(name)))
		},
		Ended: func(d *observe.Dial[string], r redial.Result) {
			n.add("%s ends %s with %v nested=%v", name, d.State, r.Stop, d.Nested)
		},
		Lost: func(_ context.Context, l redial.Loss) { n.add("%s loses connection %d", name, l.Number) },
	}
}

type key string

var errNo = errors.New("no")

// failing is a Dialer whose dials fail at their only attempt.
func failing() *redial.Dialer {
	return &redial.Dialer{Policy: redial.Policy{}, Logger: zap.NewNop(),
		DialFunc: func(context.Context, string, string) (net.Conn, error) { return nil, errNo }}
}

func TestHooksThatWereThereAreCalled(t *testing.T) {
	var n notes
	d := failing()
	d.OnDial = func(ctx context.Context, network, address string) (context.Context, func(redial.Result)) {
		n.add("hook begins")
		return context.WithValue(ctx, key("hook"), "hook"), func(r redial.Result) { n.add("hook ends with %v", r.Stop) }
	}
	d.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		n.add("hook attempt sees=%v %v", ctx.Value(key("one")), ctx.Value(key("two")))
	}
	d.OnLost = func(ctx context.Context, l redial.Loss) { n.add("hook loses connection %d", l.Number) }
	n.observer("one").Instrument(d)
	n.observer("two").Instrument(d)
	d.Dial("tcp", "a.test:1")
	d.OnLost(t.Context(), redial.Loss{Number: 7})
	assert.Equal(t, notes{
		"hook begins",
		"one begins tcp a.test:1 nested=false sees=hook",
		"two begins tcp a.test:1 nested=false sees=hook",
		"two attempt 1 of tcp nested=false sees=true",
		"one attempt 1 of tcp nested=false sees=true",
		"hook attempt sees=true true",
		"two ends tcp with not to be retried nested=false",
		"one ends tcp with not to be retried nested=false",
		"hook ends with not to be retried",
		"two loses connection 7",
		"one loses connection 7",
		"hook loses connection 7",
	}, n)
}

func TestHooksMayReturnNil(t *testing.T) {
	var n notes
	d := failing()
	d.OnDial = func(context.Context, string, string) (context.Context, func(redial.Result)) { return nil, nil }
	n.observer("one").Instrument(d)
	d.DialContext(context.WithValue(t.Context(), key("hook"), "caller"), "tcp", "a.test:1")
	d.OnLost(t.Context(), redial.Loss{Number: 1})
	assert.Equal(t, notes{
		"one begins tcp a.test:1 nested=false sees=caller",
		"one attempt 1 of tcp nested=false sees=true",
		"one ends tcp with not to be retried nested=false",
		"one loses connection 1",
	}, n)
}

func TestEarlierHookThatPanicsBeginsNoDial(t *testing.T) {
	var n notes
	d := failing()
	d.OnDial = func(context.Context, string, string) (context.Context, func(redial.Result)) { panic("hook") }
	n.observer("one").Instrument(d)
	assert.Panics(t, func() { d.Dial("tcp", "a.test:1") })
	assert.Empty(t, n)
}

// The functions that were there learn of the end although the observer panics.
func TestObserverThatPanics(t *testing.T) {
	var n notes
	d := failing()
	d.OnDial = func(context.Context, string, string) (context.Context, func(redial.Result)) {
		return nil, func(redial.Result) { n.add("hook ends") }
	}
	o := n.observer("one")
	o.Ended = func(*observe.Dial[string], redial.Result) { panic("observer") }
	o.Instrument(d)
	assert.PanicsWithValue(t, "observer", func() { d.Dial("tcp", "a.test:1") })
	assert.Equal(t, "hook ends", n[len(n)-1])
}

func TestAttemptWithoutADial(t *testing.T) {
	var n notes
	d := failing()
	n.observer("one").Instrument(d)
	d.OnDial = nil
	d.Dial("tcp", "a.test:1")
	assert.Equal(t, notes{"one attempt without a dial"}, n)
}

func TestDialIsNestedInOneOfTheSameObserver(t *testing.T) {
	var n, others notes
	o := n.observer("o")
	inner, foreign, outer := failing(), failing(), failing()
	o.Instrument(inner)
	others.observer("other").Instrument(foreign)
	o.Instrument(outer)
	outer.DialFunc = func(ctx context.Context, _, address string) (net.Conn, error) {
		foreign.DialContext(ctx, "udp", address)
		return inner.DialContext(ctx, "unix", address)
	}
	outer.Dial("tcp", "a.test:1")
	assert.Equal(t, notes{
		"o begins tcp a.test:1 nested=false sees=<nil>",
		"o begins unix a.test:1 nested=true sees=<nil>",
		"o attempt 1 of unix nested=true sees=true",
		"o ends unix with not to be retried nested=true",
		"o attempt 1 of tcp nested=false sees=true",
		"o ends tcp with not to be retried nested=false",
	}, n)
	assert.Contains(t, others, "other ends udp with not to be retried nested=false")
}

// A session can keep the context of a dial that has ended. What it dials later is nested only if a
// dial further out is still in progress.
func TestDialsOfAKeptContext(t *testing.T) {
	var n notes
	o := n.observer("o")
	d, recorder := failing(), failing()
	o.Instrument(d)
	o.Instrument(recorder)
	var kept context.Context
	recorder.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		kept = context.WithoutCancel(ctx)
		return nil, errNo
	}
	_, err := redial.Do(t.Context(), d, "tcp", "outer.test:1", func(ctx context.Context) (int, error) {
		recorder.DialContext(ctx, "tcp", "inner.test:1")
		d.DialContext(kept, "tcp", "during.test:1")
		return 0, nil
	})
	require.NoError(t, err)
	d.DialContext(kept, "tcp", "later.test:1")
	for _, want := range []string{
		"o begins tcp outer.test:1 nested=false sees=<nil>",
		"o begins tcp inner.test:1 nested=true sees=<nil>",
		"o begins tcp during.test:1 nested=true sees=<nil>",
		"o begins tcp later.test:1 nested=false sees=<nil>",
	} {
		assert.Contains(t, n, want)
	}
}

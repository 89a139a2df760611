package redial

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/dialtest"
)

// A Gate remembers the targets that fail now. It forgets all others, so its memory does
// not grow with the number of targets that were ever dialed.
func TestGateForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(Gate)
		script := dialtest.Script(dialtest.OK.Forever())
		d := &Dialer{DialFunc: script.DialContext, Gate: g, MaxElapsed: 10 * time.Millisecond}
		for i := range 1000 {
			d.Dial("tcp", fmt.Sprintf("healthy%d.test:80", i))
			assert.Empty(t, g.targets)
		}

		for i := range 1000 {
			address := fmt.Sprintf("failing%d.test:80", i)
			script.For(address, dialtest.Refuse.Forever())
			d.Dial("tcp", address)
		}
		assert.Len(t, g.targets, 1000, "all of them fail now")
		time.Sleep(2 * forgetAfter)
		for i := range 2*leastSweep + 1000 {
			address := fmt.Sprintf("later%d.test:80", i)
			script.For(address, dialtest.Refuse.Forever())
			d.Dial("tcp", address)
		}
		assert.LessOrEqual(t, len(g.targets), 2*leastSweep+1000, "the first thousand are forgotten")
	})
}

// A sweep looks at all targets. The next one comes when there are twice as many, so that sweeps cost little.
func TestGateSweepsSeldom(t *testing.T) {
	g := new(Gate)
	sweeps := map[int]int{} // the next one, by the number of targets
	for i := range 300 {
		target := g.enter(targetKey{"tcp", fmt.Sprint(i)})
		target.outage = &outage{due: time.Now()}
		g.leave(target)
		sweeps[len(g.targets)] = g.sweepAt
	}
	for targets, want := range map[int]int{1: 64, 64: 64, 65: 128, 128: 128, 129: 256, 256: 256, 257: 512} {
		assert.Equal(t, want, sweeps[targets], "%d targets", targets)
	}
	for _, target := range g.targets {
		target.outage.due = time.Now().Add(-2 * forgetAfter)
	}
	g.sweep(time.Now())
	assert.Empty(t, g.targets)
	assert.Equal(t, leastSweep, g.sweepAt)
}

// A target is not forgotten while a dial to it goes on, however long ago its next probe was due.
func TestGateKeepsDialedTarget(t *testing.T) {
	g := new(Gate)
	key := targetKey{"tcp", "a.test:80"}
	target := g.enter(key)
	target.outage = &outage{due: time.Now().Add(-2 * forgetAfter)}
	assert.Same(t, target, g.enter(key))
	g.leave(target)
	g.leave(target)
	assert.NotSame(t, target, g.enter(key))
}

func TestGateDefaults(t *testing.T) {
	for given, want := range map[int]int{-1: 16, 0: 16, 1: 1, 17: 17} {
		assert.Equal(t, want, (&Gate{Burst: given}).burst())
	}
	const ms100 = 100 * time.Millisecond
	for given, want := range map[time.Duration]time.Duration{-1: ms100, 0: ms100, 1: 1, time.Second: time.Second} {
		assert.Equal(t, want, (&Gate{MinInterval: given}).minInterval())
	}
}

// A dial that is admitted at the moment at which it gives up passes its turn on.
func TestGateWithdraw(t *testing.T) {
	g := &Gate{Burst: 1}
	target := g.enter(targetKey{"tcp", "a.test:80"})
	target.inFlight++
	first, second := &waiter{wake: make(chan struct{}, 1)}, &waiter{wake: make(chan struct{}, 1)}
	for _, w := range []*waiter{first, second} {
		w.place = target.waiting.PushBack(w)
	}
	target.inFlight--
	target.admitWaiting()
	assert.NotNil(t, first.pass)
	assert.Nil(t, second.pass)
	target.withdraw(first)
	assert.NotNil(t, second.pass)
	assert.Equal(t, 1, target.inFlight)
}

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
	assert.NotNil(t, first.pass.target)
	assert.Nil(t, second.pass.target)
	target.withdraw(first)
	assert.NotNil(t, second.pass.target)
	assert.Equal(t, 1, target.inFlight)
}

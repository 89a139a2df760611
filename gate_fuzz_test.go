package redial

import (
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// FuzzGate makes simulated dials at a Gate, directly through acquire and the pass that it
// gives, and compares what the Gate does with a plain model of its promises. The bytes
// decide all: the Gate's fields, the dials, how long their attempts take and how they end,
// when targets are down, when callers give up, and the Resets. Time is virtual.
func FuzzGate(f *testing.F) {
	testutil.AddDecisions(f, 60, 30)
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { newGateModel(t, data).run() })
	})
}

// A gateModel is a Gate and what it has promised so far.
type gateModel struct {
	t    *testing.T
	data testutil.Decisions
	gate *Gate

	mu      sync.Mutex // guards what is below
	targets map[targetKey]*modelTarget
}

// A modelTarget is what the model knows about a target.
type modelTarget struct {
	down    [][2]time.Time      // when it refuses
	passes  int                 // given to dials and not yet ended
	limit   int                 // the most attempts that may be in flight while the target answers
	probes  map[*pass]time.Time // in flight, and when they began
	resetAt time.Time           // of the latest Reset
}

// A simulatedDial is a dial that the bytes have decided.
type simulatedDial struct {
	key     targetKey
	at      time.Duration // from the start of the test
	budget  time.Duration // from at; 0: no end
	givesUp time.Duration // from at; 0: never
	policy  Policy
	ends    []attemptEnd // of its attempts, again and again
}

type attemptEnd struct {
	after time.Duration
	how   int
}

const (
	asTarget  = iota // connects if the target is up, is refused if it is down
	asSilent         // times out
	asLocal          // fails for a reason that is not the target's
	asPanic          // the pass is released untold
	asNotMine        // fails with a class that the policy does not retry
)

func newGateModel(t *testing.T, data []byte) *gateModel {
	m := &gateModel{t: t, data: data, gate: &Gate{}, targets: map[targetKey]*modelTarget{}}
	m.gate.Burst = m.data.Pick(0, 1, 2, 5)
	m.gate.MinInterval = time.Duration(m.data.Pick(0, 1, 50, 1000)) * time.Millisecond
	return m
}

func (m *gateModel) run() {
	begin := time.Now()
	keys := []targetKey{{"tcp", "a.test:80"}, {"tcp", "b.test:80"}, {"unix", "a.test:80"}}
	for _, key := range keys {
		target := &modelTarget{limit: m.gate.burst(), probes: map[*pass]time.Time{}}
		at := begin
		for range m.data.Pick(0, 1, 2, 3) {
			from := at.Add(m.data.UpTo(5 * time.Second))
			at = from.Add(m.data.UpTo(20 * time.Second))
			target.down = append(target.down, [2]time.Time{from, at})
		}
		m.targets[key] = target
	}
	var all sync.WaitGroup
	for len(m.data) > 0 {
		if m.data.Next()%16 == 0 {
			key, after := keys[m.data.Next()%len(keys)], m.data.UpTo(20*time.Second)
			all.Go(func() {
				time.Sleep(after)
				m.reset(key)
			})
			continue
		}
		d := m.decideDial(keys)
		for range m.data.Pick(1, 1, 3, 20) {
			all.Go(func() { m.dial(d, begin) })
		}
	}
	stop := make(chan struct{})
	go m.watch(stop)
	all.Wait() // synctest fails the test if a dial waits for ever
	close(stop)
	m.checkForgotten()
}

// watch checks again and again, between two moments in which something happens, that no dial
// waits without a reason.
func (m *gateModel) watch(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(7 * time.Millisecond):
		}
		synctest.Wait()
		m.mu.Lock()
		m.gate.mu.Lock()
		for key, t := range m.gate.targets {
			if o := t.outage; o != nil && o.probe != 0 {
				assert.True(m.t, m.targets[key].hasProbe(t.epoch, o.probe), "%v: the Gate waits for a probe that has ended", key)
			}
			if t.waiting.Len() == 0 {
				continue
			}
			assert.False(m.t, t.hasRoom(), "%v: a dial waits though there is room", key)
			assert.True(m.t, t.outage != nil || t.inFlight > 0, "%v: a dial waits for nobody", key)
			if o := t.outage; o != nil {
				late := time.Since(o.rest(max(m.gate.minInterval(), silence)))
				assert.Less(m.t, late, max(o.delay, 0)+time.Millisecond, "%v: nobody probes", key)
			}
		}
		m.gate.mu.Unlock()
		m.mu.Unlock()
	}
}

func (t *modelTarget) hasProbe(epoch, number int) bool {
	for p := range t.probes {
		if p.epoch == epoch && p.probe == number {
			return true
		}
	}
	return false
}

func (m *gateModel) decideDial(keys []targetKey) simulatedDial {
	data := &m.data
	d := simulatedDial{
		key:    keys[data.Next()%len(keys)],
		at:     data.UpTo(10 * time.Second),
		budget: time.Duration(data.Pick(1, 90, 1_000, 10_000, 60_000)) * time.Millisecond,
	}
	if data.Next()%4 == 0 {
		d.givesUp = data.UpTo(10*time.Second) + 1
	}
	delay := data.UpTo(3 * time.Second)
	switch data.Pick(0, 0, 1, 2, 3) {
	case 0:
		d.policy = Policy{Refused: Exponential(delay, 4*delay), Timeout: Exponential(delay, 4*delay)}
	case 1: // a schedule that ends
		d.policy = Policy{Refused: func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(delay), 2)
		}}
	case 2: // a schedule that has ended when it begins
		d.policy = Policy{Refused: func() backoff.BackOff { return &backoff.StopBackOff{} }}
	case 3: // no schedule, and one that panics
		d.policy = Policy{Refused: func() backoff.BackOff { return nil }, Timeout: func() backoff.BackOff { panic(errCrash) }}
	}
	for range data.Pick(1, 2, 5) {
		d.ends = append(d.ends, attemptEnd{
			data.UpTo(time.Duration(data.Pick(1, 100, 5_000)) * time.Millisecond),
			data.Pick(asTarget, asTarget, asTarget, asTarget, asSilent, asLocal, asPanic, asNotMine),
		})
	}
	return d
}

// dial makes attempts until one connects, the dial's time is up, its caller gives up or the
// schedule has ended. It is a retry loop reduced to what concerns the Gate.
func (m *gateModel) dial(d simulatedDial, begin time.Time) {
	defer func() {
		if v := recover(); v != nil && v != errCrash {
			panic(v)
		}
	}()
	time.Sleep(d.at)
	done := make(chan struct{})
	p := patience{done: done, end: time.Now().Add(d.budget)}
	p.last = p.end.Add(-d.budget / 20)
	if d.givesUp > 0 {
		timer := time.AfterFunc(d.givesUp, func() { close(done) })
		defer timer.Stop()
	}
	t := m.gate.enter(d.key)
	defer m.gate.leave(t)
	for i := 0; ; i++ {
		given, shared := m.gate.acquire(t, p)
		late := time.Since(p.end)
		assert.LessOrEqual(m.t, late, time.Duration(0), "acquire waited past the dial's end")
		switch {
		case shared != nil:
			assert.Nil(m.t, given.target, "a pass and a failure at once")
			assert.Greater(m.t, shared.news, p.heard, "a failure that the dial had heard of")
			p.heard = shared.news
			if shared.delay < 0 || late >= 0 || isClosed(done) || shared.delay > 0 && !time.Now().Add(m.gate.minInterval()).Before(p.end) {
				return
			}
			continue
		case given.target == nil:
			assert.True(m.t, late >= 0 || isClosed(done), "acquire gave nothing though there is time")
			return
		}
		if m.attempt(d, &given, &p, d.ends[i%len(d.ends)]) {
			return
		}
	}
}

// attempt makes an attempt with the pass, and reports whether the dial is over.
func (m *gateModel) attempt(d simulatedDial, given *pass, p *patience, end attemptEnd) (over bool) {
	target := m.began(d.key, given)
	defer m.tell(target, given, given.release)
	a := Attempt{Network: d.key.network, Address: d.key.address, Start: time.Now(), Class: Refused}
	m.mu.Lock()
	for _, down := range target.down {
		if !a.Start.Before(down[0]) && a.Start.Before(down[1]) {
			a.Err = errnoRefused
		}
	}
	m.mu.Unlock()
	select {
	case <-time.After(min(end.after, time.Until(p.end))):
	case <-p.done:
		a.Err, a.Class = net.ErrClosed, Canceled
	}
	a.Duration = time.Since(a.Start)
	switch end.how {
	case asSilent:
		a.Err, a.Class = os.ErrDeadlineExceeded, Timeout
	case asLocal:
		a.Err, a.Class = os.ErrPermission, Exhausted
	case asNotMine:
		a.Err, a.Class = os.ErrPermission, TLS
	case asPanic:
		panic(errCrash)
	}
	if a.Err == nil {
		m.tell(target, given, func() {
			given.succeeded()
			target.limit = max(target.limit, target.passes+1) + 1
		})
		return true
	}
	var delay time.Duration
	var counts bool
	m.tell(target, given, func() {
		delay, counts = given.failed(&a, d.policy)
		given.release()
	})
	if counts {
		p.heard = given.heard
	} else {
		delay = 10 * time.Millisecond // the dial's own schedule
		time.Sleep(delay)
	}
	return delay < 0 || d.policy[a.Class] == nil || isClosed(p.done) || !time.Now().Before(p.end)
}

// began notes that an attempt begins, and checks that it may.
func (m *gateModel) began(key targetKey, p *pass) *modelTarget {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.targets[key]
	t.passes++
	assert.Equal(m.t, key, p.target.key, "a pass for another target")
	if p.probe == 0 {
		assert.LessOrEqual(m.t, t.passes, t.limit, "more attempts in flight than the window allows")
		return t
	}
	for other, since := range t.probes {
		if other.epoch != p.epoch || !since.After(t.resetAt) {
			continue // of an outage that is over, or begun in the moment of a Reset
		}
		assert.GreaterOrEqual(m.t, time.Since(since), silence, "two probes at once: %d and %d", other.probe, p.probe)
	}
	t.probes[p] = time.Now()
	return t
}

// tell reports the end of an attempt by f. The model's lock is held meanwhile, so that no
// dial that the Gate admits then is counted before the attempt is not.
func (m *gateModel) tell(t *modelTarget, p *pass, f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := p.told
	defer func() {
		if p.told && !told {
			t.passes--
			delete(t.probes, p)
		}
	}()
	f()
}

// reset resets a target. The probes in flight do not keep others from probing then.
func (m *gateModel) reset(key targetKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gate.Reset(key.network, key.address)
	m.targets[key].resetAt = time.Now()
}

// checkForgotten checks that the Gate counts nothing once all dials have ended, and that it
// forgets the failing targets in time.
func (m *gateModel) checkForgotten() {
	for key, t := range m.gate.targets {
		assert.Zero(m.t, t.dials, key)
		assert.Zero(m.t, t.inFlight, key)
		assert.Zero(m.t, t.waiting.Len(), key)
		assert.NotNil(m.t, t.outage, "%v is healthy and nobody dials it", key)
	}
	for key, t := range m.targets {
		assert.Zero(m.t, t.passes, key)
		assert.Empty(m.t, t.probes, key)
	}
	time.Sleep(time.Hour)
	m.gate.mu.Lock()
	defer m.gate.mu.Unlock()
	m.gate.sweep(time.Now())
	assert.Empty(m.t, m.gate.targets, "after an hour")
}

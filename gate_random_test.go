package redial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial/internal/errno"
)

// TestGateRandom makes dials that succeed, fail, panic and give up at a Gate in random
// order. It checks that every dial ends in time, and that the Gate's counters are right
// afterwards. The test is inside the package, because the counters are not exported.
func TestGateRandom(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newGateWorld(seed).run(t) })
		})
	}
}

// A gateWorld is a Gate, its targets, and dials of all kinds.
type gateWorld struct {
	gate    *Gate
	random  *rand.Rand
	mu      sync.Mutex // guards random and the fields below
	flying  map[string]int
	connect map[string][]time.Time // the starts of attempts that reached the target
	downs   map[string][2]time.Time
}

const resets = 5 // in each gateWorld

func newGateWorld(seed uint64) *gateWorld {
	w := &gateWorld{
		gate:    &Gate{},
		random:  rand.New(rand.NewPCG(seed, 1)),
		flying:  map[string]int{},
		connect: map[string][]time.Time{},
		downs:   map[string][2]time.Time{},
	}
	w.gate.Burst = w.pick(0, 1, 3)
	w.gate.MinInterval = time.Duration(w.pick(0, 20, 500)) * time.Millisecond
	return w
}

func (w *gateWorld) pick(of ...int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return of[w.random.IntN(len(of))]
}

func (w *gateWorld) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.Int64N(int64(d)) + 1)
}

func (w *gateWorld) run(t *testing.T) {
	begin := time.Now()
	for i := range 3 {
		from := begin.Add(w.upTo(10 * time.Second))
		w.downs[fmt.Sprint("target", i, ":1")] = [2]time.Time{from, from.Add(w.upTo(20 * time.Second))}
	}
	var dials sync.WaitGroup
	for range w.pick(1, 5, 60) {
		dials.Go(func() {
			for range w.pick(1, 2, 4) {
				time.Sleep(w.upTo(10 * time.Second))
				w.dial(t)
			}
		})
	}
	dials.Go(func() {
		for range resets {
			time.Sleep(w.upTo(10 * time.Second))
			w.gate.Reset("tcp", w.address())
		}
	})
	dials.Wait()
	w.checkBooks(t)
	w.checkRate(t)
}

func (w *gateWorld) address() string { return fmt.Sprint("target", w.pick(0, 1, 2), ":1") }

// dial makes a dial of some kind, and checks that it ends in time.
func (w *gateWorld) dial(t *testing.T) {
	d := &Dialer{
		Gate:        w.gate,
		Logger:      zap.NewNop(),
		DialFunc:    w.attempt,
		MaxElapsed:  time.Duration(w.pick(1, 50, 100, 500, 3_000, 60_000)) * time.Millisecond,
		MaxAttempts: w.pick(0, 0, 0, 1, 3),
	}
	d.Timeout = time.Duration(w.pick(100, 1_000, 10_000)) * time.Millisecond
	if w.pick(0, 0, 1) == 1 {
		d.Policy = Policy{
			// A dial that waits alone keeps its own schedule, also one shorter than MinInterval.
			Refused: func() backoff.BackOff {
				return backoff.NewConstantBackOff(max(w.upTo(time.Second), w.gate.minInterval()/2))
			},
			Timeout: func() backoff.BackOff {
				return backoff.WithMaxRetries(backoff.NewConstantBackOff(300*time.Millisecond), 2)
			},
		}
	}
	switch w.pick(0, 0, 0, 0, 1, 2) {
	case 1:
		d.OnAttempt = func(context.Context, Attempt) { panic(errCrash) }
	case 2:
		d.OnAttempt = func(context.Context, Attempt) { time.Sleep(w.upTo(100 * time.Millisecond)) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	end := d.MaxElapsed
	if w.pick(0, 0, 1) == 1 {
		end = min(end, w.upTo(5*time.Second))
		time.AfterFunc(end, cancel)
	}
	start := time.Now()
	done := make(chan struct{})
	go func() { // in its own goroutine, because an attempt may call runtime.Goexit
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				assert.Equal(t, errCrash, v)
			}
		}()
		conn, err := d.DialContext(ctx, "tcp", w.address())
		if err == nil {
			conn.Close()
			return
		}
		if e, ok := errors.AsType[*Error](err); ok {
			assert.LessOrEqual(t, len(e.History), e.Attempts)
			assert.NotNil(t, e.Stop)
			last := 0
			for _, a := range e.History {
				assert.Greater(t, a.Number, last)
				last = a.Number
			}
			assert.Equal(t, e.Attempts, last)
		}
	}()
	<-done
	if d.OnAttempt == nil {
		assert.LessOrEqual(t, time.Since(start), end)
	}
}

var errCrash = errors.New("crash")

// attempt is the DialFunc of all dials. A target refuses while it is down. At any time,
// an attempt can panic, exit, run out of descriptors or be slow.
func (w *gateWorld) attempt(ctx context.Context, network, address string) (net.Conn, error) {
	now := time.Now()
	w.mu.Lock()
	down := w.downs[address]
	isDown := !now.Before(down[0]) && now.Before(down[1])
	w.flying[address]++
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.flying[address]--
		w.mu.Unlock()
	}()
	wait := func(d time.Duration) error {
		select {
		case <-ctx.Done():
			return &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		case <-time.After(d):
			return nil
		}
	}
	fail := func(c errno.Condition) error {
		return &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", c.Err())}
	}
	switch w.pick(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4) {
	case 1:
		panic(errCrash)
	case 2:
		runtime.Goexit()
	case 3:
		return nil, fail(errno.TooManyFiles)
	case 4:
		if err := wait(w.upTo(20 * time.Second)); err != nil {
			return nil, err
		}
	}
	if err := wait(w.upTo(20 * time.Millisecond)); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.connect[address] = append(w.connect[address], now)
	w.mu.Unlock()
	if isDown {
		return nil, fail(errno.ConnectionRefused)
	}
	return struct{ net.Conn }{nopConn{}}, nil
}

// nopConn is a connection whose only working method is Close.
type nopConn struct{ net.Conn }

func (nopConn) Close() error { return nil }

// checkBooks checks that the Gate counts no dial, attempt or waiter after all dials have
// ended, and that it has forgotten the healthy targets.
func (w *gateWorld) checkBooks(t *testing.T) {
	for key, target := range w.gate.targets {
		assert.Zero(t, target.dials, key)
		assert.Zero(t, target.inFlight, key)
		assert.Zero(t, target.waiting.Len(), key)
		if assert.NotNil(t, target.outage, "a healthy target that nobody dials must be forgotten") {
			assert.Zero(t, target.outage.probe, key)
		}
	}
	for address, n := range w.flying {
		assert.Zero(t, n, address)
	}
}

// checkRate checks the number of attempts that reached each target while it was down.
// The bound is twice what MinInterval allows, because a dial that waits alone keeps its
// own schedule, plus Burst for the attempts in flight when the outage began, plus the
// probes that Reset brings forward.
func (w *gateWorld) checkRate(t *testing.T) {
	for address, starts := range w.connect {
		down := w.downs[address]
		from, until := down[0].Add(time.Second), down[1]
		n := 0
		for _, at := range starts {
			if at.After(from) && at.Before(until) {
				n++
			}
		}
		most := until.Sub(from)/w.gate.minInterval() + 1
		if until.After(from) {
			assert.LessOrEqual(t, n, 2*int(most)+w.gate.burst()+resets, address)
		}
	}
}

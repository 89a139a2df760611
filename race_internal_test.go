//go:build !plan9

package redial

// These tests run races in virtual time. They check when each address is
// started and cut off, and which connection or error the race returns. Package
// systest races real addresses.

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A fate says how a connection attempt ends, and after how long. An attempt with
// the zero fate gets no answer.
type fate struct {
	after   time.Duration // negative: the attempt takes -after, and ignores that it is canceled
	errno   syscall.Errno // 0: the attempt connects
	answers bool
	strike  func() // how user code panics or exits; nil: it does not
}

func connects(after time.Duration) fate { return fate{after: after, answers: true} }
func fails(errno syscall.Errno, after time.Duration) fate {
	return fate{after: after, errno: errno, answers: true}
}

// strikes is the fate of an attempt in which user code panics or exits.
func strikes(after time.Duration, how func()) fate {
	return fate{after: after, answers: true, strike: how}
}

var silent fate

// A track has the fate of each address, and records how the race dials them.
type track struct {
	fates    map[netip.AddrPort]fate
	starts   []time.Duration // since begin
	begin    time.Time
	inFlight int
	most     int // the highest value of inFlight
	ctxs     []context.Context
	conns    map[netip.AddrPort]*closeCounter
}

type closeCounter struct {
	net.Conn
	closed int
}

func (c *closeCounter) Close() error {
	c.closed++
	return nil
}

// addrOf returns the i-th address of a track.
func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 80)
}

// newRacer returns a racer with one address for each fate, in the same order. It
// races as the first attempt of a dial with the default policy.
func newRacer(fates ...fate) (*racer, *track) {
	tr := &track{fates: map[netip.AddrPort]fate{}, conns: map[netip.AddrPort]*closeCounter{}, begin: time.Now()}
	r := &racer{network: "tcp", plan: plan{number: 1, policy: defaultPolicy}, classify: new(Dialer).classify, delay: connectionAttemptDelay, limit: maxInFlight, seen: &lookup{}}
	for i, f := range fates {
		r.addrs = append(r.addrs, addrOf(i))
		tr.fates[addrOf(i)] = f
	}
	lock := make(chan struct{}, 1)
	r.dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		lock <- struct{}{}
		tr.starts = append(tr.starts, time.Since(tr.begin))
		tr.ctxs = append(tr.ctxs, ctx)
		tr.inFlight++
		tr.most = max(tr.most, tr.inFlight)
		f := tr.fates[addr]
		<-lock
		var conn *closeCounter
		defer func() {
			lock <- struct{}{}
			tr.inFlight--
			if conn != nil {
				tr.conns[addr] = conn
			}
			<-lock
		}()
		conn, err := f.meet(ctx, addr)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	return r, tr
}

// meet waits, and returns the connection or error that net.Dialer would return for
// an address with that fate.
func (f fate) meet(ctx context.Context, addr netip.AddrPort) (*closeCounter, error) {
	fail := func(err error) (*closeCounter, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	switch {
	case !f.answers:
		<-ctx.Done()
		return fail(ctx.Err())
	case f.after < 0: // ignore ctx
		time.Sleep(-f.after)
	default:
		select {
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-time.After(f.after):
		}
	}
	if f.strike != nil {
		f.strike()
	}
	if f.errno != 0 {
		return fail(os.NewSyscallError("connect", f.errno))
	}
	return &closeCounter{}, nil
}

const ms = time.Millisecond

// TestRace checks, for an attempt with a Timeout of 10 s, when each address is started
// and which one wins.
func TestRace(t *testing.T) {
	refused := func(after time.Duration) fate { return fails(syscall.ECONNREFUSED, after) }
	unreachable := fails(syscall.ENETUNREACH, 0)
	dead := func(n int, then ...fate) []fate { return append(slices.Repeat([]fate{silent}, n), then...) }
	for _, test := range []struct {
		name    string
		fates   []fate
		starts  []time.Duration
		ends    time.Duration
		winner  int     // the index of the address that wins; -1: none does
		classes []Class // the class of each address
		class   Class   // the class of the race's error, if no address wins
	}{
		{"one", []fate{connects(ms)}, []time.Duration{0}, ms, 0, []Class{Unknown}, 0},
		{"one refused", []fate{refused(ms)}, []time.Duration{0}, ms, -1, []Class{Refused}, Refused},
		{"the first is fast", []fate{connects(249 * ms), connects(0)}, []time.Duration{0}, 249 * ms, 0, []Class{Unknown}, 0},
		{"the first is slow", []fate{connects(600 * ms), connects(100 * ms)}, []time.Duration{0, 300 * ms}, 400 * ms, 1, []Class{Canceled, Unknown}, 0},
		{"the second is slower", []fate{connects(350 * ms), connects(100 * ms)}, []time.Duration{0, 300 * ms}, 350 * ms, 0, []Class{Unknown, Canceled}, 0},
		{"black hole, good", dead(1, connects(0)), []time.Duration{0, 300 * ms}, 300 * ms, 1, []Class{Canceled, Unknown}, 0},
		{"black hole x3, good", dead(3, connects(0)), []time.Duration{0, 300 * ms, 540 * ms, 732 * ms},
			732 * ms, 3, []Class{Canceled, Canceled, Canceled, Unknown}, 0},
		{"black hole x4, good: within 1 s", dead(4, connects(100*ms)), []time.Duration{0, 300 * ms, 540 * ms, 732 * ms, 885600 * time.Microsecond},
			985600 * time.Microsecond, 4, []Class{Canceled, Canceled, Canceled, Canceled, Unknown}, 0},
		{"refused x3, good", []fate{refused(ms), refused(ms), refused(ms), connects(ms)}, []time.Duration{0, ms, 2 * ms, 3 * ms},
			4 * ms, 3, []Class{Refused, Refused, Refused, Unknown}, 0},
		{"unreachable, black hole, good", []fate{unreachable, silent, connects(0)}, []time.Duration{0, 0, 240 * ms},
			240 * ms, 2, []Class{Unreachable, Canceled, Unknown}, 0},

		{"no route, refused", []fate{unreachable, refused(ms)}, []time.Duration{0, 0}, ms, -1, []Class{Unreachable, Refused}, Refused},
		{"refused, no route", []fate{refused(ms), unreachable}, []time.Duration{0, ms}, ms, -1, []Class{Refused, Unreachable}, Refused},
		{"no route to any", []fate{unreachable, unreachable}, []time.Duration{0, 0}, 0, -1, []Class{Unreachable, Unreachable}, Unreachable},
		{"all dead", dead(3), []time.Duration{0, 300 * ms, 540 * ms}, 10 * time.Second, -1, []Class{Timeout, Timeout, Timeout}, Timeout},
		{"dead, no route", dead(1, unreachable), []time.Duration{0, 300 * ms}, 10 * time.Second, -1, []Class{Timeout, Unreachable}, Timeout},

		// Once a host has refused, the race does not wait for silent hosts until the
		// end of the attempt.
		{"black hole, refused", dead(1, refused(50*ms)), []time.Duration{0, 300 * ms}, 2350 * ms, -1, []Class{Timeout, Refused}, Refused},
		{"refused, black hole", []fate{refused(50 * ms), silent}, []time.Duration{0, 50 * ms}, 2050 * ms, -1, []Class{Refused, Timeout}, Refused},
		{"refused, slow", []fate{refused(50 * ms), connects(1900 * ms)}, []time.Duration{0, 50 * ms}, 1950 * ms, 1, []Class{Refused, Unknown}, 0},
		{"refused, then two that connect just before the race gives up", []fate{refused(0), connects(-2100 * ms), connects(-2200 * ms)},
			[]time.Duration{0, 0, 240 * ms}, 2440 * ms, 1, []Class{Refused, Unknown, Canceled}, 0},
		{"refused, then two that connect although the race gave up", []fate{refused(0), connects(-2500 * ms), connects(-2500 * ms)},
			[]time.Duration{0, 0, 240 * ms}, 2740 * ms, 1, []Class{Refused, Unknown, Canceled}, 0},
		{"refused, then one that is reset although the race gave up", []fate{refused(0), fails(syscall.ECONNRESET, -2500*ms), silent},
			[]time.Duration{0, 0, 240 * ms}, 2500 * ms, -1, []Class{Refused, Reset, Timeout}, Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, tr := newRacer(test.fates...)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				conn, err := r.run(ctx)
				assert.Equal(t, test.ends, time.Since(tr.begin))
				assert.Equal(t, test.starts, tr.starts)
				var classes []Class
				for i, a := range r.seen.addrs {
					classes = append(classes, a.Class)
					assert.Equal(t, addrOf(i), a.Addr)
					assert.Equal(t, tr.begin.Add(test.starts[i]), a.Start)
					assert.Equal(t, a.Class == Unknown, a.Err == nil)
				}
				assert.Equal(t, test.classes, classes)
				assert.Zero(t, tr.inFlight, "all attempts have ended")
				if test.winner < 0 {
					assert.Nil(t, conn)
					assert.Equal(t, test.class, Classify(err))
				} else {
					require.NoError(t, err)
					assert.Same(t, tr.conns[addrOf(test.winner)], conn)
				}
				for addr, c := range tr.conns {
					assert.Equal(t, net.Conn(c) == conn, c.closed == 0, "%v: all connections but the winner's are closed", addr)
				}
			})
		})
	}
}

// A race returns and records the errors that net.Dialer returns for each address.
func TestRaceErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRacer(silent, fails(syscall.ECONNREFUSED, 0))
		_, err := r.run(t.Context())
		assert.EqualError(t, err, "dial tcp 192.0.2.2:80: connect: "+syscall.ECONNREFUSED.Error())
		assert.EqualError(t, r.seen.addrs[0].Err, "dial tcp 192.0.2.1:80: i/o timeout")
		assert.ErrorIs(t, r.seen.addrs[0].Err, os.ErrDeadlineExceeded)
		assert.NotErrorIs(t, r.seen.addrs[0].Err, context.Canceled)
		assert.Equal(t, 2300*ms, r.seen.addrs[0].Duration)
	})
}

// A race that is canceled while it dials the second address returns
// context.Canceled, however the first address failed. It starts no other address.
func TestRaceCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*ms, cancel)
		r, tr := newRacer(fails(syscall.ECONNREFUSED, 0), silent, silent, silent)
		_, err := r.run(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 100*ms, time.Since(tr.begin))
		assert.Len(t, tr.starts, 2)
	})
}

func TestRaceLimits(t *testing.T) {
	testutil.Bubble(t, "twenty dead addresses, then a good one", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		// Each of the twenty dead addresses gets its share of the time.
		r, tr := newRacer(append(slices.Repeat([]fate{silent}, 20), connects(0))...)
		conn, err := r.run(ctx)
		require.NoError(t, err)
		assert.Equal(t, tr.conns[addrOf(20)], conn)
		assert.Equal(t, maxInFlight, tr.most)
		assert.Less(t, time.Since(tr.begin), 10*time.Second)
	})
	testutil.Bubble(t, "one at a time", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		// A LocalAddr with a port allows one address at a time.
		r, tr := newRacer(silent, fails(syscall.ECONNREFUSED, 0), silent, connects(0))
		r.limit = 1
		_, err := r.run(ctx)
		require.NoError(t, err)
		assert.Equal(t, 1, tr.most)
		assert.Equal(t, []time.Duration{0, 2500 * ms, 2500 * ms, 6250 * ms}, tr.starts)
	})
	testutil.Bubble(t, "one at a time without a deadline", func(t *testing.T) {
		// Without a deadline there is no time to share out: the first address is
		// never cut off.
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		r, tr := newRacer(silent, connects(0))
		r.limit = 1
		_, err := r.run(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Len(t, tr.starts, 1)
	})
}

// The delay starts at FallbackDelay, and does not shrink below 100 ms. A shorter
// FallbackDelay does not shrink.
func TestRaceDelay(t *testing.T) {
	for _, test := range []struct {
		delay  time.Duration
		starts []time.Duration
	}{
		{time.Second, []time.Duration{0, 1000 * ms, 1800 * ms, 2440 * ms}},
		{110 * ms, []time.Duration{0, 110 * ms, 210 * ms, 310 * ms}},
		{40 * ms, []time.Duration{0, 40 * ms, 80 * ms, 120 * ms}},
	} {
		testutil.Bubble(t, test.delay.String(), func(t *testing.T) {
			r, tr := newRacer(silent, silent, silent, connects(0))
			r.delay = test.delay
			_, err := r.run(t.Context())
			require.NoError(t, err)
			assert.Equal(t, test.starts, tr.starts)
		})
	}
}

// Every address is tried within the attempt's time, however short the time is. Each
// address gets at least an equal share.
func TestRaceFitsTimeout(t *testing.T) {
	for _, test := range []struct {
		timeout   time.Duration
		delay     time.Duration // 0: the default
		limit     int           // 0: the default
		addresses int
		share     time.Duration
		starts    []time.Duration // nil: not checked
	}{
		{timeout: 200 * ms, addresses: 2, share: 100 * ms, starts: []time.Duration{0, 100 * ms}},
		{timeout: 400 * ms, addresses: 4, share: 100 * ms, starts: []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
		{timeout: time.Second, delay: time.Second, addresses: 2, share: 500 * ms, starts: []time.Duration{0, 500 * ms}},
		{timeout: time.Second, delay: time.Hour, addresses: 2, share: 500 * ms, starts: []time.Duration{0, 500 * ms}},
		{timeout: 600 * ms, addresses: 2, share: 300 * ms, starts: []time.Duration{0, 300 * ms}},
		{timeout: 10 * time.Second, addresses: 9, share: 3 * time.Second},
		{timeout: 10 * time.Second, addresses: 20, share: 3 * time.Second},
		{timeout: 10 * time.Second, addresses: maxAddresses, share: 1100 * ms},
		{timeout: time.Minute, addresses: maxAddresses, share: 7 * time.Second},
		{timeout: 200 * ms, addresses: maxAddresses, share: 20 * ms},
		{timeout: 10 * time.Second, limit: 1, addresses: 4, share: 2500 * ms, starts: []time.Duration{0, 2500 * ms, 5 * time.Second, 7500 * ms}},
		{timeout: 400 * ms, limit: 1, addresses: 4, share: 100 * ms, starts: []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
		{timeout: 6400 * ms, limit: 1, addresses: maxAddresses, share: 100 * ms},
	} {
		t.Run(fmt.Sprint(test.addresses, " addresses in ", test.timeout, ", limit ", test.limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, tr := newRacer(slices.Repeat([]fate{silent}, test.addresses)...)
				if test.delay != 0 {
					r.delay = test.delay
				}
				if test.limit != 0 {
					r.limit = test.limit
				}
				ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
				defer cancel()
				_, err := r.run(ctx)
				assert.Equal(t, Timeout, Classify(err))
				assert.Equal(t, test.timeout, time.Since(tr.begin), "the race uses all of its time")
				if test.starts != nil {
					assert.Equal(t, test.starts, tr.starts)
				}
				require.Len(t, r.seen.addrs, test.addresses)
				for _, a := range r.seen.addrs {
					assert.Equal(t, Timeout, a.Class)
					assert.GreaterOrEqual(t, a.Duration+time.Microsecond, test.share, "%v", a.Addr)
				}
				assert.LessOrEqual(t, tr.most, r.limit)
			})
		})
	}
}

// An address is cut off only if another address needs its place.
func TestRaceCutsOffOnlyForAnother(t *testing.T) {
	refused := fails(syscall.ECONNREFUSED, 0)
	for _, test := range []struct {
		name   string
		fates  []fate
		winner int
		ends   time.Duration
	}{
		{"the others refuse", append([]fate{connects(9 * time.Second)}, slices.Repeat([]fate{refused}, 20)...), 0, 9 * time.Second},
		{"the others are silent", append([]fate{connects(4900 * ms)}, slices.Repeat([]fate{silent}, 8)...), 0, 4900 * ms},
		{"the last one answers", append(slices.Repeat([]fate{silent}, 8), connects(4900*ms)), 8, 9900 * ms},
		{"late, and ignores that it was canceled", append([]fate{connects(-6 * time.Second)}, slices.Repeat([]fate{silent}, 8)...), 0, 6 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, tr := newRacer(test.fates...)
				r.plan.last = true
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				conn, err := r.run(ctx)
				require.NoError(t, err)
				assert.Same(t, tr.conns[addrOf(test.winner)], conn)
				assert.Equal(t, test.ends, time.Since(tr.begin))
			})
		})
	}
}

// The error of an address that was cut off for another one is a timeout.
func TestRaceCutOffIsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRacer(silent, connects(0))
		r.limit = 1
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := r.run(ctx)
		require.NoError(t, err)
		assert.EqualError(t, r.seen.addrs[0].Err, "dial tcp 192.0.2.1:80: i/o timeout")
		assert.NotErrorIs(t, r.seen.addrs[0].Err, context.Canceled)
		assert.Equal(t, Timeout, r.seen.addrs[0].Class)
		assert.Equal(t, 5*time.Second, r.seen.addrs[0].Duration)
	})
}

// After one address has refused, each attempt waits for a silent one twice as long as
// the attempt before it. If no retry will follow, it waits until its end.
func TestRacePatience(t *testing.T) {
	const timeout = 20 * time.Second
	refused, reset := fails(syscall.ECONNREFUSED, 0), fails(syscall.ECONNRESET, 0)
	nilSchedule := Policy{Refused: nil, Timeout: defaultPolicy[Timeout]}
	for _, test := range []struct {
		name  string
		plan  plan
		fates []fate
		ends  time.Duration
		class Class // Unknown: an address connects
	}{
		{"first", plan{1, false, defaultPolicy}, []fate{refused, silent}, 2 * time.Second, Refused},
		{"second", plan{2, false, defaultPolicy}, []fate{refused, silent}, 4 * time.Second, Refused},
		{"third", plan{3, false, defaultPolicy}, []fate{refused, silent}, 8 * time.Second, Refused},
		{"fifth", plan{5, false, defaultPolicy}, []fate{refused, silent}, timeout, Refused},
		{"number 2^20", plan{1 << 20, false, defaultPolicy}, []fate{refused, silent}, timeout, Refused},
		{"number 2^31-1", plan{1<<31 - 1, false, defaultPolicy}, []fate{refused, silent}, timeout, Refused},
		{"last", plan{1, true, defaultPolicy}, []fate{refused, silent}, timeout, Refused},
		{"not retried", plan{1, false, Policy{}}, []fate{refused, silent}, timeout, Refused},
		{"no schedule", plan{1, false, nilSchedule}, []fate{refused, silent}, timeout, Refused},
		{"reset", plan{1, false, defaultPolicy}, []fate{reset, silent}, 2 * time.Second, Reset},
		{"reset is not retried", plan{1, false, Policy{Refused: defaultPolicy[Refused]}}, []fate{reset, silent}, timeout, Reset},
		{"reset is not retried, but refused is", plan{1, false, Policy{Refused: defaultPolicy[Refused]}},
			[]fate{reset, fails(syscall.ECONNREFUSED, time.Second), silent}, 3 * time.Second, Refused},
		{"unreachable does not count as an answer", plan{1, false, defaultPolicy}, []fate{fails(syscall.ENETUNREACH, 0), silent}, timeout, Timeout},
		{"further refusals do not prolong the wait", plan{1, false, defaultPolicy},
			[]fate{refused, fails(syscall.ECONNREFUSED, 1500*ms), fails(syscall.ECONNREFUSED, 1500*ms), silent}, 2432 * ms, Refused},
		{"a refusal that comes late", plan{1, false, defaultPolicy}, []fate{silent, fails(syscall.ECONNREFUSED, 5*time.Second)}, 7300 * ms, Refused},

		{"slow, first", plan{1, false, defaultPolicy}, []fate{refused, connects(3 * time.Second)}, 2 * time.Second, Refused},
		{"slow, second", plan{2, false, defaultPolicy}, []fate{refused, connects(3 * time.Second)}, 3 * time.Second, Unknown},
		{"slow, last", plan{1, true, defaultPolicy}, []fate{refused, connects(19 * time.Second)}, 19 * time.Second, Unknown},

		{"another is unreachable", plan{1, false, defaultPolicy}, []fate{refused, fails(syscall.ENETUNREACH, 0), silent}, 2 * time.Second, Refused},
		{"connects although the race gives up", plan{1, false, defaultPolicy}, []fate{refused, connects(-2500 * ms)}, 2500 * ms, Unknown},
		{"connects although the race gives up on it and another", plan{1, false, defaultPolicy}, []fate{refused, silent, connects(-2500 * ms)}, 2740 * ms, Unknown},
		{"fails although the race gives up", plan{1, false, defaultPolicy}, []fate{refused, fails(syscall.ENETUNREACH, -2500*ms)}, 2500 * ms, Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, tr := newRacer(test.fates...)
				r.plan = test.plan
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				conn, err := r.run(ctx)
				assert.Equal(t, test.ends, time.Since(tr.begin))
				assert.Equal(t, test.class, Classify(err))
				assert.Equal(t, err == nil, conn != nil)
			})
		})
	}
}

// Patience never shrinks from one attempt to the next, and does not overflow.
func TestPlanPatience(t *testing.T) {
	last := plan{}.patience()
	assert.Equal(t, 2*time.Second, last)
	for number := range 100 {
		patience := plan{number: number}.patience()
		assert.GreaterOrEqual(t, patience, last, "attempt %d", number)
		last = patience
	}
	assert.Greater(t, last, 365*24*time.Hour)
}

// If the context is canceled while a race waits for a silent address after a refusal,
// the silent address counts as canceled, and not as timed out.
func TestRaceCanceledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r, tr := newRacer(fails(syscall.ECONNREFUSED, 0), silent, fails(syscall.ECONNREFUSED, -5*time.Second))
		_, err := r.run(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, []Class{Refused, Canceled, Refused}, []Class{r.seen.addrs[0].Class, r.seen.addrs[1].Class, r.seen.addrs[2].Class})
		assert.Equal(t, 5240*ms, time.Since(tr.begin))
	})
}

// If no address has won, Classifier is asked about a canceled one too.
func TestRaceCanceledIsClassified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r, _ := newRacer(silent, silent)
		r.classify = func(error) Class { return Denied }
		_, err := r.run(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, []Class{Denied, Denied}, []Class{r.seen.addrs[0].Class, r.seen.addrs[1].Class})
	})
}

// Of two errors of the same class, the race returns the error of the address that it tried first.
func TestRaceReturnsFirstOfEqualErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRacer(fails(syscall.ENETUNREACH, 0), fails(syscall.ECONNREFUSED, 500*ms), fails(syscall.ECONNREFUSED, 0))
		_, err := r.run(t.Context())
		assert.Equal(t, r.seen.addrs[1].Err, err)
		assert.NotEqual(t, r.seen.addrs[2].Err, err)
	})
}

// An address that lost to another one has class Canceled, whatever Classifier returns.
func TestRaceLosersAreCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The first address ends when it is canceled. The second one connects all the
		// same.
		r, tr := newRacer(silent, connects(-time.Second), connects(0))
		r.classify = func(error) Class { return Refused }
		conn, err := r.run(t.Context())
		require.NoError(t, err)
		assert.Same(t, tr.conns[addrOf(2)], conn)
		for _, a := range r.seen.addrs[:2] {
			assert.Equal(t, Canceled, a.Class)
			assert.ErrorIs(t, a.Err, context.Canceled)
			op, ok := a.Err.(*net.OpError)
			require.True(t, ok)
			assert.Equal(t, "dial", op.Op)
			assert.Equal(t, "tcp", op.Net)
			assert.Equal(t, a.Addr.String(), op.Addr.String())
		}
		assert.Equal(t, 1, tr.conns[addrOf(1)].closed)
	})
}

// A Classifier may return a value that is not a class.
func TestRaceOddClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRacer(fails(syscall.ECONNREFUSED, 0), fails(syscall.ECONNRESET, 0), fails(syscall.ECONNREFUSED, 0))
		classes := []Class{Class(100), Timeout, Class(255)}
		r.classify = func(error) (class Class) {
			class, classes = classes[0], classes[1:]
			return class
		}
		_, err := r.run(t.Context())
		assert.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

// A race whose context is over dials one address only, to return its error.
func TestRaceContextOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for n := 1; n <= 3; n++ {
			r, tr := newRacer(slices.Repeat([]fate{silent}, n)...)
			_, err := r.run(ctx)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Len(t, tr.starts, 1)
		}
	})
}

// If user code panics or exits in a goroutine of the race, the race does the same in
// the goroutine that dials, after all other goroutines have ended.
func TestRaceUserCodePanics(t *testing.T) {
	refused := fails(syscall.ECONNREFUSED, 0)
	deaf := connects(-time.Second) // even if it is canceled
	for _, test := range []struct {
		name       string
		fates      func(how func()) []fate
		classifier bool // Classifier panics or exits, rather than the dialing goroutine
		conns      int  // how many connections are made; each must be closed
	}{
		{"the only address", func(how func()) []fate { return []fate{strikes(0, how)} }, false, 0},
		{"the first of two", func(how func()) []fate { return []fate{strikes(0, how), silent} }, false, 0},
		{"the second of two", func(how func()) []fate { return []fate{silent, strikes(0, how)} }, false, 0},
		{"others connect", func(how func()) []fate { return []fate{deaf, deaf, strikes(0, how)} }, false, 2},
		{"two of them", func(how func()) []fate { return []fate{deaf, strikes(-400*ms, how), strikes(0, how)} }, false, 1},
		{"a loser", func(how func()) []fate { return []fate{deaf, strikes(-time.Second, how), connects(0)} }, false, 2},
		{"Classifier, of the only address", func(func()) []fate { return []fate{refused} }, true, 0},
		{"Classifier, and others connect", func(func()) []fate { return []fate{deaf, refused} }, true, 1},
		{"Classifier, of a loser", func(func()) []fate { return []fate{deaf, fails(syscall.ECONNREFUSED, -500*ms), connects(0)} }, true, 2},
	} {
		t.Run(test.name+", panic", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				assert.Equal(t, "boom", struck(t, test.fates, test.classifier, test.conns, func() { panic("boom") }))
			})
		})
		t.Run(test.name+", exit", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				assert.Nil(t, struck(t, test.fates, test.classifier, test.conns, runtime.Goexit))
			})
		})
	}
}

// struck runs a race in which user code calls how, and checks that the race left
// nothing behind. It returns the value of the panic, or nil if how exits.
func struck(t *testing.T, fates func(func()) []fate, classifier bool, conns int, how func()) (recovered any) {
	r, tr := newRacer(fates(how)...)
	if classifier {
		r.classify = func(error) Class { how(); return Unknown }
	}
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recovered = recover() }()
		r.run(t.Context())
		returned = true
	}()
	<-done
	assert.False(t, returned)
	assert.Zero(t, tr.inFlight, "all attempts have ended")
	assert.Len(t, tr.conns, conns)
	for addr, c := range tr.conns {
		assert.Equal(t, 1, c.closed, "%v", addr)
	}
	for _, ctx := range tr.ctxs {
		assert.True(t, len(r.addrs) == 1 || ctx.Err() != nil, "the attempt's context is canceled")
	}
	return recovered
}

func TestRaces(t *testing.T) {
	for address, want := range map[string]bool{
		"a.test:80":         true,
		"a.test.:http":      true,
		"a0:80":             true,
		"a9:80":             true,
		"a5:80":             true,
		"1.2.3.4.5:80":      true,
		"10.0.0.1a:80":      true,
		":80":               false,
		"a.test":            false,
		"":                  false,
		"127.0.0.1:80":      false,
		"[::1]:80":          false,
		"[2001:db8::a]:80":  false,
		"[fe80::1%eth0]:80": false,
		"[fe80::1%eth]:80":  false,
		"2001:db8::a:80":    false,
	} {
		for _, network := range []string{"tcp", "tcp4", "tcp6"} {
			assert.Equal(t, want, new(Dialer).races(network, address), "%s %s", network, address)
		}
		for _, network := range []string{"udp", "unix", "ip", "ip4:icmp", ""} {
			assert.False(t, new(Dialer).races(network, address), "%s %s", network, address)
		}
		d := new(Dialer)
		d.FallbackDelay = -1
		assert.False(t, d.races("tcp", address), "net.Dialer dials %s", address)
	}
}

func TestInterleave(t *testing.T) {
	for _, test := range []struct{ addrs, want string }{
		{"a", "a"},
		{"1", "1"},
		{"abc", "abc"},
		{"ab12", "a1b2"},
		{"a123", "a123"},
		{"abc1", "a1bc"},
		{"12ab", "1a2b"},
		{"a1b2c", "a1b2c"},
		{"1ab", "1ab"},
	} {
		var addrs []netip.AddrPort
		for _, c := range test.addrs {
			ip := netip.MustParseAddr(fmt.Sprintf("2001:db8::%c", c))
			if c <= '9' {
				ip = netip.MustParseAddr(fmt.Sprintf("192.0.2.%c", c))
			}
			addrs = append(addrs, netip.AddrPortFrom(ip, 80))
		}
		got := ""
		for _, addr := range interleave(addrs) {
			text := addr.Addr().String()
			got += text[len(text)-1:]
		}
		assert.Equal(t, test.want, got)
	}
}

func TestSuitable(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("[2001:db8::1]:80")
	any4 := netip.MustParseAddrPort("0.0.0.0:80")
	both := []netip.AddrPort{v6, v4}
	for _, test := range []struct {
		name        string
		local       net.Addr
		addrs, want []netip.AddrPort
	}{
		{"no LocalAddr", nil, both, both},
		{"v4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, both, []netip.AddrPort{v4}},
		{"v6", &net.TCPAddr{IP: net.IPv6loopback}, both, []netip.AddrPort{v6}},
		{"a port only", &net.TCPAddr{Port: 1}, both, both},
		{"unspecified", &net.TCPAddr{IP: net.IPv6unspecified}, both, both},
		{"a nil pointer", (*net.TCPAddr)(nil), both, both},
		{"to the unspecified", &net.TCPAddr{IP: net.IPv6loopback}, []netip.AddrPort{any4}, []netip.AddrPort{any4}},
		{"to the unspecified, among others", &net.TCPAddr{IP: net.IPv6loopback}, []netip.AddrPort{v4, any4, v6}, []netip.AddrPort{any4, v6}},
		{"none of the family", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, []netip.AddrPort{v6, v6}, []netip.AddrPort{v6}},
		{"of another network", &net.UDPAddr{}, both, []netip.AddrPort{v6}},
	} {
		d := &Dialer{}
		d.LocalAddr = test.local
		assert.Equal(t, test.want, d.suitable(test.addrs), test.name)
	}

	var many []netip.AddrPort
	for i := range 100 {
		many = append(many, addrOf(i))
	}
	assert.Len(t, new(Dialer).suitable(many), maxAddresses)
	repeated := append(slices.Repeat(both, 100), addrOf(5))
	assert.Equal(t, []netip.AddrPort{v6, v4, addrOf(5)}, new(Dialer).suitable(repeated), "each address appears once")
}

// With GODEBUG=asynctimerchan=1, as before Go 1.23, a timer that was stopped may still have sent its time. The race must
// not act on it: here there is nothing to do but wait.
func TestRaceOldTimers(t *testing.T) {
	t.Setenv("GODEBUG", "asynctimerchan=1")
	var started atomic.Int32
	r := &racer{network: "tcp", addrs: []netip.AddrPort{addrOf(0), addrOf(1)}, plan: plan{number: 1, policy: defaultPolicy},
		classify: new(Dialer).classify, delay: time.Millisecond, limit: maxInFlight, seen: &lookup{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.dial = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		if started.Add(1) == 2 {
			time.AfterFunc(20*time.Millisecond, cancel)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := r.run(ctx)
	assert.ErrorIs(t, err, context.Canceled)
}

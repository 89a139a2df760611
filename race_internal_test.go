//go:build !plan9

package redial

// The schedule of a race, in virtual time: what is dialed when, and which of
// several errors or connections is the race's. Real addresses are raced in
// race_test.go and race_linux_test.go.

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fate is what becomes of a connection attempt, after a time; a zero one is
// no answer at all.
type fate struct {
	after   time.Duration
	errno   syscall.Errno // 0: it connects
	answers bool
}

func connects(after time.Duration) fate                   { return fate{after: after, answers: true} }
func fails(errno syscall.Errno, after time.Duration) fate { return fate{after, errno, true} }

var silent fate

// A track is a set of addresses with their fates, and what was seen of them.
type track struct {
	fates    map[netip.AddrPort]fate
	starts   []time.Duration // since begin
	begin    time.Time
	inFlight int
	most     int // in flight at once
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

// addrOf is the i-th address of a track.
func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 80)
}

// newRacer has an address for each of the fates, in their order. The tests run
// in bubbles, one goroutine at a time but for the race detector's view of it.
func newRacer(fates ...fate) (*racer, *track) {
	tr := &track{fates: map[netip.AddrPort]fate{}, conns: map[netip.AddrPort]*closeCounter{}, begin: time.Now()}
	r := &racer{classify: new(Dialer).classify, delay: connectionAttemptDelay, limit: maxInFlight, seen: &lookup{}}
	for i, f := range fates {
		r.addrs = append(r.addrs, addrOf(i))
		tr.fates[addrOf(i)] = f
	}
	lock := make(chan struct{}, 1)
	r.dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		lock <- struct{}{}
		tr.starts = append(tr.starts, time.Since(tr.begin))
		tr.inFlight++
		tr.most = max(tr.most, tr.inFlight)
		f := tr.fates[addr]
		<-lock
		conn, err := f.meet(ctx, addr)
		lock <- struct{}{}
		tr.inFlight--
		if err == nil {
			tr.conns[addr] = conn
		}
		<-lock
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	return r, tr
}

// meet ends as net.Dialer's dial of that address would.
func (f fate) meet(ctx context.Context, addr netip.AddrPort) (*closeCounter, error) {
	fail := func(err error) (*closeCounter, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	if !f.answers {
		<-ctx.Done()
		return fail(ctx.Err())
	}
	if f.errno == 0 && f.after < 0 { // connects, and does not notice that it was canceled
		time.Sleep(-f.after)
		return &closeCounter{}, nil
	}
	select {
	case <-ctx.Done():
		return fail(ctx.Err())
	case <-time.After(f.after):
	}
	if f.errno != 0 {
		return fail(os.NewSyscallError("connect", f.errno))
	}
	return &closeCounter{}, nil
}

const ms = time.Millisecond

// What is started when, and who wins when, within an attempt of 10 s.
func TestRace(t *testing.T) {
	refused := func(after time.Duration) fate { return fails(syscall.ECONNREFUSED, after) }
	unreachable := fails(syscall.ENETUNREACH, 0)
	dead := func(n int, then ...fate) []fate { return append(slices.Repeat([]fate{silent}, n), then...) }
	for _, test := range []struct {
		name    string
		fates   []fate
		starts  []time.Duration
		ends    time.Duration
		winner  int // -1: none
		classes []Class
		class   Class // of the error, if there is no winner
	}{
		{"one", []fate{connects(ms)}, []time.Duration{0}, ms, 0, []Class{Unknown}, 0},
		{"one refused", []fate{refused(ms)}, []time.Duration{0}, ms, -1, []Class{Refused}, Refused},
		{"the first is fast", []fate{connects(249 * ms), connects(0)}, []time.Duration{0}, 249 * ms, 0, []Class{Unknown}, 0},
		{"the first is slow", []fate{connects(600 * ms), connects(100 * ms)}, []time.Duration{0, 250 * ms}, 350 * ms, 1, []Class{Canceled, Unknown}, 0},
		{"the second is slower", []fate{connects(300 * ms), connects(100 * ms)}, []time.Duration{0, 250 * ms}, 300 * ms, 0, []Class{Unknown, Canceled}, 0},
		{"black hole, good", dead(1, connects(0)), []time.Duration{0, 250 * ms}, 250 * ms, 1, []Class{Canceled, Unknown}, 0},
		{"black hole x3, good", dead(3, connects(0)), []time.Duration{0, 250 * ms, 475 * ms, 677500 * time.Microsecond},
			677500 * time.Microsecond, 3, []Class{Canceled, Canceled, Canceled, Unknown}, 0},
		{"black hole x4, good: within 1 s", dead(4, connects(100*ms)), []time.Duration{0, 250 * ms, 475 * ms, 677500 * time.Microsecond, 859750 * time.Microsecond},
			959750 * time.Microsecond, 4, []Class{Canceled, Canceled, Canceled, Canceled, Unknown}, 0},
		{"refused x3, good", []fate{refused(ms), refused(ms), refused(ms), connects(ms)}, []time.Duration{0, ms, 2 * ms, 3 * ms},
			4 * ms, 3, []Class{Refused, Refused, Refused, Unknown}, 0},
		{"unreachable, black hole, good", []fate{unreachable, silent, connects(0)}, []time.Duration{0, 0, 225 * ms},
			225 * ms, 2, []Class{Unreachable, Canceled, Unknown}, 0},

		{"no route, refused", []fate{unreachable, refused(ms)}, []time.Duration{0, 0}, ms, -1, []Class{Unreachable, Refused}, Refused},
		{"refused, no route", []fate{refused(ms), unreachable}, []time.Duration{0, ms}, ms, -1, []Class{Refused, Unreachable}, Refused},
		{"no route to any", []fate{unreachable, unreachable}, []time.Duration{0, 0}, 0, -1, []Class{Unreachable, Unreachable}, Unreachable},
		{"all dead", dead(3), []time.Duration{0, 250 * ms, 475 * ms}, 10 * time.Second, -1, []Class{Timeout, Timeout, Timeout}, Timeout},
		{"dead, no route", dead(1, unreachable), []time.Duration{0, 250 * ms}, 10 * time.Second, -1, []Class{Timeout, Unreachable}, Timeout},

		// A host that answers ends the patience with one that does not.
		{"black hole, refused", dead(1, refused(50*ms)), []time.Duration{0, 250 * ms}, 2300 * ms, -1, []Class{Timeout, Refused}, Refused},
		{"refused, black hole", []fate{refused(50 * ms), silent}, []time.Duration{0, 50 * ms}, 2050 * ms, -1, []Class{Refused, Timeout}, Refused},
		{"refused, slow", []fate{refused(50 * ms), connects(1900 * ms)}, []time.Duration{0, 50 * ms}, 1950 * ms, 1, []Class{Refused, Unknown}, 0},
		{"refused, then two that are slow to hear of their end", []fate{refused(0), connects(-2100 * ms), connects(-2200 * ms)},
			[]time.Duration{0, 0, 225 * ms}, 2425 * ms, 1, []Class{Refused, Unknown, Canceled}, 0},
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
				assert.Zero(t, tr.inFlight, "all have come to their end")
				if test.winner < 0 {
					assert.Nil(t, conn)
					assert.Equal(t, test.class, Classify(err))
				} else {
					require.NoError(t, err)
					assert.Same(t, tr.conns[addrOf(test.winner)], conn)
				}
				for addr, c := range tr.conns {
					assert.Equal(t, net.Conn(c) == conn, c.closed == 0, "%v: all but the winner are closed", addr)
				}
			})
		})
	}
}

// The errors that a race returns are those of net.Dialer for the address.
func TestRaceErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRacer(silent, fails(syscall.ECONNREFUSED, 0))
		_, err := r.run(t.Context())
		assert.EqualError(t, err, "dial tcp 192.0.2.2:80: connect: connection refused")
		assert.EqualError(t, r.seen.addrs[0].Err, "dial tcp 192.0.2.1:80: i/o timeout")
		assert.ErrorIs(t, r.seen.addrs[0].Err, os.ErrDeadlineExceeded)
		assert.NotErrorIs(t, r.seen.addrs[0].Err, context.Canceled)
		assert.Equal(t, 2250*ms, r.seen.addrs[0].Duration)
	})
}

// A race canceled at its second address says so, whatever befell the first,
// and starts no other.
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
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		// Twenty dead ones before it: each gets its share of the time.
		r, tr := newRacer(append(slices.Repeat([]fate{silent}, 20), connects(0))...)
		conn, err := r.run(ctx)
		require.NoError(t, err)
		assert.Equal(t, tr.conns[addrOf(20)], conn)
		assert.Equal(t, maxInFlight, tr.most)
		assert.Less(t, time.Since(tr.begin), 10*time.Second)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		// One at a time, as with a fixed local port.
		r, tr := newRacer(silent, fails(syscall.ECONNREFUSED, 0), silent, connects(0))
		r.limit = 1
		_, err := r.run(ctx)
		require.NoError(t, err)
		assert.Equal(t, 1, tr.most)
		assert.Equal(t, []time.Duration{0, 2500 * ms, 2500 * ms, 6250 * ms}, tr.starts)
	})
	synctest.Test(t, func(t *testing.T) {
		// With no deadline there is no share to be had.
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		r, tr := newRacer(silent, connects(0))
		r.limit = 1
		_, err := r.run(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Len(t, tr.starts, 1)
	})
}

// The delay is FallbackDelay's, and does not shrink for ever.
func TestRaceDelay(t *testing.T) {
	for _, test := range []struct {
		delay  time.Duration
		starts []time.Duration
	}{
		{time.Second, []time.Duration{0, 1000 * ms, 1900 * ms, 2710 * ms}},
		{110 * ms, []time.Duration{0, 110 * ms, 210 * ms, 310 * ms}},
		{40 * ms, []time.Duration{0, 40 * ms, 80 * ms, 120 * ms}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, tr := newRacer(silent, silent, silent, connects(0))
			r.delay = test.delay
			_, err := r.run(t.Context())
			require.NoError(t, err)
			assert.Equal(t, test.starts, tr.starts)
		})
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
		{"none of the family", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, []netip.AddrPort{v6, v6}, []netip.AddrPort{v6}},
		{"of another network", &net.UDPAddr{}, both, []netip.AddrPort{v6}},
	} {
		d := &Dialer{}
		d.LocalAddr = test.local
		assert.Equal(t, test.want, d.suitable(test.addrs), test.name)
	}
	assert.Len(t, new(Dialer).suitable(slices.Repeat(both, 100)), maxAddresses)
}

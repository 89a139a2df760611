package redial_test

// These tests race the addresses of a name in virtual time. A DNS server in memory has the
// addresses, and a ControlContext decides what becomes of each. The sockets are real ones of
// UDP, which connect at once and need no server.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A fate says how connecting to an address ends, and after how long.
type fate struct {
	after  time.Duration
	errno  error  // nil: the address connects
	silent bool   // there is no answer
	deaf   bool   // goes on when it is canceled
	strike func() // how user code panics or exits; nil: it does not
}

func connects(after time.Duration) fate            { return fate{after: after} }
func fails(errno error, after time.Duration) fate  { return fate{after: after, errno: errno} }
func refused(after time.Duration) fate             { return fails(sysRefused, after) }
func strikes(after time.Duration, how func()) fate { return fate{after: after, strike: how} }
func (f fate) ignoringCancel() fate                { f.deaf = true; return f }
func dead(n int, then ...fate) []fate              { return append(slices.Repeat([]fate{silent}, n), then...) }
func times(n int, f fate, then ...fate) []fate     { return append(slices.Repeat([]fate{f}, n), then...) }

var (
	sysUnreachable = errno.NetworkUnreachable.Err()

	silent      = fate{silent: true}
	unreachable = fails(sysUnreachable, 0)
)

// meet does what ControlContext must do for an address with that fate.
func (f fate) meet(ctx context.Context) error {
	switch {
	case f.silent:
		<-ctx.Done()
		return ctx.Err()
	case f.deaf:
		time.Sleep(f.after)
	default:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.after):
		}
	}
	if f.strike != nil {
		f.strike()
	}
	if f.errno != nil {
		return os.NewSyscallError("connect", f.errno)
	}
	return nil
}

// A track is a Dialer to a name whose addresses have fates, in a bubble.
type track struct {
	redial.Dialer
	dns      *dnstest.Server
	until    int // the attempt after which the caller gives up
	refusals int // the number of attempts in which every address refuses, before those with the fates
	attempts []redial.Attempt
	fates    map[netip.Addr]fate
	mu       sync.Mutex // guards the fields below
	inFlight int
	most     int // the highest value of inFlight
}

// trackName is the name that a track dials. The dot at its end keeps the machine's search list away.
const trackName = "name.test."

// addrOf returns the i-th address of a track.
func addrOf(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}) }

// newTrack returns a track with one address for each fate, in the same order. Its Timeout is 10 s. When the
// test ends, no attempt may be in flight any more.
func newTrack(t *testing.T, fates ...fate) *track {
	dnstest.SkipWithout(t)
	tr := &track{dns: dnstest.InMemory(), until: 1, fates: map[netip.Addr]fate{}}
	var addrs []string
	for i, f := range fates {
		addrs = append(addrs, addrOf(i).String())
		tr.fates[addrOf(i)] = f
	}
	tr.dns.Set("name.test", dnstest.Addrs(addrs...))
	tr.Resolver = tr.dns.Resolver()
	tr.MaxElapsed = -1
	tr.OnAttempt = func(_ context.Context, a redial.Attempt) { tr.attempts = append(tr.attempts, a) }
	tr.ControlContext = tr.control
	t.Cleanup(func() {
		time.Sleep(time.Hour) // virtual: what still runs ends
		tr.mu.Lock()
		defer tr.mu.Unlock()
		assert.Zero(t, tr.inFlight, "all goroutines have ended")
	})
	return tr
}

// set changes the fate of the i-th address.
func (tr *track) set(i int, f fate) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.fates[addrOf(i)] = f
}

func (tr *track) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	addr := netip.MustParseAddrPort(address).Addr()
	tr.mu.Lock()
	tr.inFlight++
	tr.most = max(tr.most, tr.inFlight)
	f := tr.fates[addr]
	if len(tr.attempts) < tr.refusals {
		f = refused(0)
	}
	tr.mu.Unlock()
	defer func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.inFlight--
	}()
	return f.meet(ctx)
}

// race dials until the attempt with the number until has ended, and returns that attempt. Conn is nil
// if it failed.
func (tr *track) race(t *testing.T, ctx context.Context) (a redial.Attempt, conn net.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	onAttempt := tr.OnAttempt
	tr.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		if onAttempt(ctx, a); len(tr.attempts) == tr.until {
			cancel()
		}
	}
	conn, err := tr.DialContext(ctx, "udp", trackName+":80")
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	require.Len(t, tr.attempts, tr.until)
	return tr.attempts[tr.until-1], conn
}

// startsOf returns when each address of a was started, since the start of a.
func startsOf(a redial.Attempt) (starts []time.Duration) {
	for _, r := range a.Addrs {
		starts = append(starts, r.Start.Sub(a.Start))
	}
	return starts
}

func classesOf(a redial.Attempt) (classes []redial.Class) {
	for _, r := range a.Addrs {
		classes = append(classes, r.Class)
	}
	return classes
}

// hostOf returns the address, without the port, to which conn is connected.
func hostOf(conn net.Conn) netip.Addr {
	return netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr()
}

// In an attempt with a Timeout of 10 s, each address starts when the one before has failed, or after
// a delay that shrinks. The first that connects wins.
func TestRace(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		name    string
		fates   []fate
		starts  []time.Duration
		ends    time.Duration
		winner  int            // the index of the address that wins
		classes []redial.Class // the class of each address
		class   redial.Class   // the class of the attempt
	}{
		{"one", []fate{connects(ms)}, []time.Duration{0}, ms, 0, []redial.Class{redial.Unknown}, 0},
		{"one refused", []fate{refused(ms)}, []time.Duration{0}, ms, none, []redial.Class{redial.Refused}, redial.Refused},
		{"the first is fast", []fate{connects(249 * ms), connects(0)}, []time.Duration{0}, 249 * ms, 0, []redial.Class{redial.Unknown}, 0},
		{"the first is slow", []fate{connects(600 * ms), connects(100 * ms)}, []time.Duration{0, 300 * ms}, 400 * ms, 1,
			[]redial.Class{redial.Canceled, redial.Unknown}, 0},
		{"the second is slower", []fate{connects(350 * ms), connects(100 * ms)}, []time.Duration{0, 300 * ms}, 350 * ms, 0,
			[]redial.Class{redial.Unknown, redial.Canceled}, 0},
		{"black hole, good", dead(1, connects(0)), []time.Duration{0, 300 * ms}, 300 * ms, 1, []redial.Class{redial.Canceled, redial.Unknown}, 0},
		{"black hole x3, good", dead(3, connects(0)), []time.Duration{0, 300 * ms, 540 * ms, 732 * ms}, 732 * ms, 3,
			[]redial.Class{redial.Canceled, redial.Canceled, redial.Canceled, redial.Unknown}, 0},
		{"black hole x4, good: within 1 s", dead(4, connects(100*ms)), []time.Duration{0, 300 * ms, 540 * ms, 732 * ms, 885600 * time.Microsecond},
			985600 * time.Microsecond, 4, []redial.Class{redial.Canceled, redial.Canceled, redial.Canceled, redial.Canceled, redial.Unknown}, 0},
		{"refused x3, good", times(3, refused(ms), connects(ms)), []time.Duration{0, ms, 2 * ms, 3 * ms}, 4 * ms, 3,
			[]redial.Class{redial.Refused, redial.Refused, redial.Refused, redial.Unknown}, 0},
		{"unreachable, black hole, good", []fate{unreachable, silent, connects(0)}, []time.Duration{0, 0, 240 * ms}, 240 * ms, 2,
			[]redial.Class{redial.Unreachable, redial.Canceled, redial.Unknown}, 0},

		{"no route, refused", []fate{unreachable, refused(ms)}, []time.Duration{0, 0}, ms, none, []redial.Class{redial.Unreachable, redial.Refused}, redial.Refused},
		{"refused, no route", []fate{refused(ms), unreachable}, []time.Duration{0, ms}, ms, none, []redial.Class{redial.Refused, redial.Unreachable}, redial.Refused},
		{"no route to any", []fate{unreachable, unreachable}, []time.Duration{0, 0}, 0, none, []redial.Class{redial.Unreachable, redial.Unreachable}, redial.Unreachable},
		{"all dead", dead(3), []time.Duration{0, 300 * ms, 540 * ms}, 10 * time.Second, none,
			[]redial.Class{redial.Timeout, redial.Timeout, redial.Timeout}, redial.Timeout},
		{"dead, no route", dead(1, unreachable), []time.Duration{0, 300 * ms}, 10 * time.Second, none, []redial.Class{redial.Timeout, redial.Unreachable}, redial.Timeout},

		// Once a host has refused, the race does not wait for silent hosts until the
		// end of the attempt.
		{"black hole, refused", dead(1, refused(50*ms)), []time.Duration{0, 300 * ms}, 2350 * ms, none, []redial.Class{redial.Timeout, redial.Refused}, redial.Refused},
		{"refused, black hole", []fate{refused(50 * ms), silent}, []time.Duration{0, 50 * ms}, 2050 * ms, none, []redial.Class{redial.Refused, redial.Timeout}, redial.Refused},
		{"refused, slow", []fate{refused(50 * ms), connects(1900 * ms)}, []time.Duration{0, 50 * ms}, 1950 * ms, 1, []redial.Class{redial.Refused, redial.Unknown}, 0},
		{"refused, then two that connect just before the race gives up", []fate{refused(0), connects(2100 * ms), connects(2200 * ms)},
			[]time.Duration{0, 0, 240 * ms}, 2100 * ms, 1, []redial.Class{redial.Refused, redial.Unknown, redial.Canceled}, 0},
		{"refused, then one that is reset although the race gave up", []fate{refused(0), fails(sysReset, 2500*ms).ignoringCancel(), silent},
			[]time.Duration{0, 0, 240 * ms}, 2500 * ms, none, []redial.Class{redial.Refused, redial.Reset, redial.Timeout}, redial.Refused},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, test.fates...)
			a, conn := tr.race(t, t.Context())
			assert.Equal(t, test.ends, a.Duration)
			assert.Equal(t, test.starts, startsOf(a))
			assert.Equal(t, test.classes, classesOf(a))
			assert.Equal(t, test.class, a.Class)
			for i, r := range a.Addrs {
				assert.Equal(t, netip.AddrPortFrom(addrOf(i), 80), r.Addr)
				assert.Equal(t, i == test.winner, r.Err == nil)
				assert.Equal(t, i == test.winner, r.Connected)
			}
			if test.winner == none {
				assert.Nil(t, conn)
			} else {
				require.NotNil(t, conn)
				assert.Equal(t, addrOf(test.winner), hostOf(conn))
			}
		})
	}
}

// The errors have the form of net.Dialer's, also for an address that the race has cut off.
func TestRaceErrors(t *testing.T) {
	testutil.Bubble(t, "silent beside one that refused", func(t *testing.T) {
		a, _ := newTrack(t, silent, refused(0)).race(t, t.Context())
		assert.EqualError(t, a.Err, "dial udp 127.0.0.2:80: connect: "+sysRefused.Error())
		assert.EqualError(t, a.Addrs[0].Err, "dial udp 127.0.0.1:80: i/o timeout")
		assert.ErrorIs(t, a.Addrs[0].Err, os.ErrDeadlineExceeded)
		assert.NotErrorIs(t, a.Addrs[0].Err, context.Canceled)
		assert.Equal(t, 2300*ms, a.Addrs[0].Duration)
	})
	testutil.Bubble(t, "cut off for another", func(t *testing.T) {
		tr := newTrack(t, silent, connects(0))
		tr.FallbackDelay = -1
		a, _ := tr.race(t, t.Context())
		assert.EqualError(t, a.Addrs[0].Err, "dial udp 127.0.0.1:80: i/o timeout")
		assert.NotErrorIs(t, a.Addrs[0].Err, context.Canceled)
		assert.Equal(t, redial.Timeout, a.Addrs[0].Class)
		assert.Equal(t, 5*time.Second, a.Addrs[0].Duration)
	})
	ln := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo)
	for network, want := range map[string]net.Addr{
		"udp": &net.UDPAddr{IP: net.IP{127, 0, 0, 2}, Port: 80},
		"tcp": &net.TCPAddr{IP: net.IP{127, 0, 0, 2}, Port: ln.Addr().(*net.TCPAddr).Port},
	} {
		testutil.Bubble(t, "lost, "+network, func(t *testing.T) {
			tr := newTrack(t, connects(0), silent)
			tr.dns.Set("name.test", dnstest.Addrs("127.0.0.2", "127.0.0.1"))
			tr.Classifier = func(error) redial.Class { return redial.Refused } // is not asked about losers
			_, port, _ := net.SplitHostPort(want.String())
			conn, err := tr.DialContext(t.Context(), network, trackName+":"+port)
			require.NoError(t, err)
			conn.Close()
			lost := tr.attempts[0].Addrs[0]
			assert.Equal(t, redial.Canceled, lost.Class)
			assert.ErrorIs(t, lost.Err, context.Canceled)
			op, ok := errors.AsType[*net.OpError](lost.Err)
			require.True(t, ok)
			assert.Equal(t, "dial "+network, op.Op+" "+op.Net)
			assert.Equal(t, want, op.Addr)
		})
	}
	testutil.Bubble(t, "of two with the same class, the first one's", func(t *testing.T) {
		a, _ := newTrack(t, unreachable, refused(500*ms), refused(0)).race(t, t.Context())
		assert.Equal(t, a.Addrs[1].Err, a.Err)
		assert.NotEqual(t, a.Addrs[2].Err, a.Err)
	})
}

// A canceled race ends at once, starts no other address, and is canceled, however the other addresses
// have failed.
func TestRaceCanceled(t *testing.T) {
	for _, test := range []struct {
		name    string
		fates   []fate
		after   time.Duration
		ends    time.Duration
		classes []redial.Class
	}{
		{"while it starts others", []fate{refused(0), silent, silent, silent}, 100 * ms, 100 * ms, []redial.Class{redial.Refused, redial.Canceled}},
		{"while it waits for a silent one after a refusal", []fate{refused(0), silent, silent}, time.Second, time.Second,
			[]redial.Class{redial.Refused, redial.Canceled, redial.Canceled}},
		{"while one does not listen", []fate{refused(0), silent, refused(5 * time.Second).ignoringCancel()}, time.Second, 5240 * ms,
			[]redial.Class{redial.Refused, redial.Canceled, redial.Refused}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, test.fates...)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(test.after, cancel)
			a, _ := tr.race(t, ctx)
			assert.Equal(t, test.ends, a.Duration)
			assert.Equal(t, redial.Canceled, a.Class)
			assert.Equal(t, redial.ErrCanceled, a.Stop)
			assert.Equal(t, test.classes, classesOf(a))
		})
	}
	testutil.Bubble(t, "before it begins", func(t *testing.T) {
		for n := 1; n <= 3; n++ {
			tr := newTrack(t, dead(n)...)
			ctx, cancel := context.WithCancel(t.Context())
			a, _ := tr.race(t, httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{DNSDone: func(httptrace.DNSDoneInfo) { cancel() }}))
			assert.ErrorIs(t, a.Err, context.Canceled)
			assert.Len(t, a.Addrs, 1, "one, for its error")
			assert.Zero(t, tr.most)
		}
	})
}

// At most 8 addresses are in flight at once. Where a local port is fixed, or FallbackDelay is negative, it
// is one: each address has its share of the time.
func TestRaceLimits(t *testing.T) {
	testutil.Bubble(t, "twenty dead addresses, then a good one", func(t *testing.T) {
		tr := newTrack(t, dead(20, connects(0))...)
		a, conn := tr.race(t, t.Context())
		require.NotNil(t, conn)
		assert.Equal(t, addrOf(20), hostOf(conn))
		assert.Equal(t, 8, tr.most)
		assert.Less(t, a.Duration, 10*time.Second)
	})
	for name, test := range map[string]struct {
		set  func(*redial.Dialer)
		most int
	}{
		"negative FallbackDelay":     {func(d *redial.Dialer) { d.FallbackDelay = -1 }, 1},
		"local port":                 {func(d *redial.Dialer) { d.LocalAddr = &net.UDPAddr{Port: 1} }, 1},
		"local address":              {func(d *redial.Dialer) { d.LocalAddr = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)} }, 3},
		"a nil pointer as LocalAddr": {func(d *redial.Dialer) { d.LocalAddr = (*net.UDPAddr)(nil) }, 3},
	} {
		testutil.Bubble(t, name, func(t *testing.T) {
			tr := newTrack(t, silent, refused(0), silent, refused(0))
			test.set(&tr.Dialer)
			tr.until, tr.MaxAttempts = 1, 1
			a, _ := tr.race(t, t.Context())
			assert.Equal(t, test.most, tr.most)
			if test.most == 1 {
				assert.Equal(t, []time.Duration{0, 2500 * ms, 2500 * ms, 6250 * ms}, startsOf(a))
			}
		})
	}
	testutil.Bubble(t, "one at a time, as long as the other has time", func(t *testing.T) {
		tr := newTrack(t, silent, connects(0))
		tr.FallbackDelay, tr.Timeout = -1, 2*time.Hour
		a, conn := tr.race(t, t.Context())
		require.NotNil(t, conn)
		assert.Equal(t, []time.Duration{0, time.Hour}, startsOf(a))
	})
}

// The delay starts at FallbackDelay, and does not shrink below 100 ms. A shorter
// FallbackDelay does not shrink.
func TestRaceDelay(t *testing.T) {
	for _, test := range []struct {
		delay  time.Duration
		starts []time.Duration
	}{
		{0, []time.Duration{0, 300 * ms, 540 * ms, 732 * ms}},
		{time.Second, []time.Duration{0, 1000 * ms, 1800 * ms, 2440 * ms}},
		{110 * ms, []time.Duration{0, 110 * ms, 210 * ms, 310 * ms}},
		{40 * ms, []time.Duration{0, 40 * ms, 80 * ms, 120 * ms}},
	} {
		testutil.Bubble(t, test.delay.String(), func(t *testing.T) {
			tr := newTrack(t, dead(3, connects(0))...)
			tr.FallbackDelay = test.delay
			a, conn := tr.race(t, t.Context())
			require.NotNil(t, conn)
			assert.Equal(t, test.starts, startsOf(a))
		})
	}
}

// Every address is tried within the attempt's time, however short the time is. Each
// address gets at least an equal share.
func TestRaceFitsTimeout(t *testing.T) {
	const most = 64 // addresses of an attempt
	for _, test := range []struct {
		timeout   time.Duration
		delay     time.Duration // FallbackDelay
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
		{timeout: 10 * time.Second, addresses: most, share: 1100 * ms},
		{timeout: time.Minute, addresses: most, share: 7 * time.Second},
		{timeout: 200 * ms, addresses: most, share: 20 * ms},
		{timeout: 10 * time.Second, delay: -1, addresses: 4, share: 2500 * ms, starts: []time.Duration{0, 2500 * ms, 5 * time.Second, 7500 * ms}},
		{timeout: 400 * ms, delay: -1, addresses: 4, share: 100 * ms, starts: []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
		{timeout: 6400 * ms, delay: -1, addresses: most, share: 100 * ms},
	} {
		testutil.Bubble(t, fmt.Sprint(test.addresses, " addresses in ", test.timeout, ", FallbackDelay ", test.delay), func(t *testing.T) {
			tr := newTrack(t, dead(test.addresses)...)
			tr.Timeout, tr.FallbackDelay = test.timeout, test.delay
			a, _ := tr.race(t, t.Context())
			assert.Equal(t, redial.Timeout, a.Class)
			assert.Equal(t, test.timeout, a.Duration, "the race uses all of its time")
			if test.starts != nil {
				assert.Equal(t, test.starts, startsOf(a))
			}
			require.Len(t, a.Addrs, test.addresses)
			for _, r := range a.Addrs {
				assert.Equal(t, redial.Timeout, r.Class)
				assert.GreaterOrEqual(t, r.Duration+time.Microsecond, test.share, "%v", r.Addr)
			}
		})
	}
}

// An address is cut off only if another address needs its place.
func TestRaceCutsOffOnlyForAnother(t *testing.T) {
	for _, test := range []struct {
		name   string
		fates  []fate
		winner int
		ends   time.Duration
	}{
		{"the others refuse", append([]fate{connects(9 * time.Second)}, times(20, refused(0))...), 0, 9 * time.Second},
		{"the others are silent", append([]fate{connects(4900 * ms)}, dead(8)...), 0, 4900 * ms},
		{"the last one answers", dead(8, connects(4900*ms)), 8, 9900 * ms},
		{"the first goes on when it is canceled", append([]fate{refused(6 * time.Second).ignoringCancel()}, dead(7, connects(0))...), 8, 6 * time.Second},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, test.fates...)
			tr.MaxAttempts = 1
			a, conn := tr.race(t, t.Context())
			require.NotNil(t, conn)
			assert.Equal(t, addrOf(test.winner), hostOf(conn))
			assert.Equal(t, test.ends, a.Duration)
		})
	}
}

// After one address has refused, each attempt waits for a silent one twice as long as
// the attempt before it. If no retry will follow, it waits until its end.
func TestRacePatience(t *testing.T) {
	const timeout = 20 * time.Second
	defaults := redial.DefaultPolicy()
	onlyRefused := redial.Policy{redial.Refused: defaults[redial.Refused]}
	nilSchedule := redial.Policy{redial.Refused: nil, redial.Timeout: defaults[redial.Timeout]}
	reset := fails(sysReset, 0)
	for _, test := range []struct {
		name   string
		number int // of the attempt; those before are refused by all addresses
		last   bool
		policy redial.Policy
		fates  []fate
		ends   time.Duration
		class  redial.Class // Unknown: an address connects
	}{
		{"first", 1, false, nil, []fate{refused(0), silent}, 2 * time.Second, redial.Refused},
		{"second", 2, false, nil, []fate{refused(0), silent}, 4 * time.Second, redial.Refused},
		{"third", 3, false, nil, []fate{refused(0), silent}, 8 * time.Second, redial.Refused},
		{"fifth", 5, false, nil, []fate{refused(0), silent}, timeout, redial.Refused},
		{"hundredth", 100, false, nil, []fate{refused(0), silent}, timeout, redial.Refused},
		{"last", 1, true, nil, []fate{refused(0), silent}, timeout, redial.Refused},
		{"not retried", 1, false, redial.Policy{}, []fate{refused(0), silent}, timeout, redial.Refused},
		{"no schedule", 1, false, nilSchedule, []fate{refused(0), silent}, timeout, redial.Refused},
		{"reset", 1, false, nil, []fate{reset, silent}, 2 * time.Second, redial.Reset},
		{"reset is not retried", 1, false, onlyRefused, []fate{reset, silent}, timeout, redial.Reset},
		{"reset is not retried, but refused is", 1, false, onlyRefused, []fate{reset, refused(time.Second), silent}, 3 * time.Second, redial.Refused},
		{"unreachable does not count as an answer", 1, false, nil, []fate{unreachable, silent}, timeout, redial.Timeout},
		{"further refusals do not prolong the wait", 1, false, nil, []fate{refused(0), refused(1500 * ms), refused(1500 * ms), silent}, 2432 * ms, redial.Refused},
		{"a refusal that comes late", 1, false, nil, []fate{silent, refused(5 * time.Second)}, 7300 * ms, redial.Refused},

		{"slow, first", 1, false, nil, []fate{refused(0), connects(3 * time.Second)}, 2 * time.Second, redial.Refused},
		{"slow, second", 2, false, nil, []fate{refused(0), connects(3 * time.Second)}, 3 * time.Second, redial.Unknown},
		{"slow, last", 1, true, nil, []fate{refused(0), connects(19 * time.Second)}, 19 * time.Second, redial.Unknown},

		{"another is unreachable", 1, false, nil, []fate{refused(0), unreachable, silent}, 2 * time.Second, redial.Refused},
		{"fails although the race gives up", 1, false, nil, []fate{refused(0), fails(sysUnreachable, 2500*ms).ignoringCancel()}, 2500 * ms, redial.Refused},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, test.fates...)
			tr.Timeout, tr.Policy = timeout, test.policy
			tr.until, tr.refusals = test.number, test.number-1
			if test.last {
				tr.MaxAttempts = test.number
			}
			a, conn := tr.race(t, t.Context())
			assert.Equal(t, test.ends, a.Duration)
			assert.Equal(t, test.class, a.Class)
			assert.Equal(t, a.Err == nil, conn != nil)
		})
	}
}

// Nor does a retry follow an attempt for which a wait was shortened.
func TestRaceIsPatientInTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0), connects(4500*ms))
		tr.MaxElapsed, tr.Policy = 100*time.Second, redial.Policy{redial.Refused: every(time.Hour)}
		start := time.Now()
		require.NoError(t, tr.dial(t.Context()))
		assert.Equal(t, 99500*ms, time.Since(start))
	})
}

// The winner does not wait for the losers, whatever they do. They end by themselves, and close what
// they get.
func TestRaceWinnerDoesNotWait(t *testing.T) {
	testutil.Bubble(t, "for a Control", func(t *testing.T) {
		a, conn := newTrack(t, connects(5*time.Second).ignoringCancel(), connects(0)).race(t, t.Context())
		require.NotNil(t, conn)
		assert.Equal(t, addrOf(1), hostOf(conn))
		assert.Equal(t, 300*ms, a.Duration)
	})
	testutil.Bubble(t, "for a Verify", func(t *testing.T) {
		tr := newTrack(t, connects(0), connects(0))
		conns := map[netip.Addr]net.Conn{}
		tr.Verify = func(_ context.Context, conn net.Conn) error {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if conns[hostOf(conn)] = conn; hostOf(conn) == addrOf(0) {
				tr.mu.Unlock()
				time.Sleep(5 * time.Second)
				tr.mu.Lock()
			}
			return nil
		}
		a, conn := tr.race(t, t.Context())
		require.NotNil(t, conn)
		assert.Equal(t, time.Second, a.Duration)
		assert.Same(t, conns[addrOf(1)], conn)
		time.Sleep(5 * time.Second)
		assert.ErrorIs(t, conns[addrOf(0)].SetDeadline(time.Time{}), net.ErrClosed)
		assert.NoError(t, conn.SetDeadline(time.Time{}))
	})
	testutil.Bubble(t, "that has connected as well", func(t *testing.T) {
		tr := newTrack(t, refused(600*ms), connects(350*ms), connects(200*ms))
		tr.Classifier = func(error) redial.Class { time.Sleep(time.Second); return 0 } // both connect meanwhile
		conns := map[netip.Addr]net.Conn{}
		tr.Verify = func(_ context.Context, conn net.Conn) error {
			tr.mu.Lock()
			conns[hostOf(conn)] = conn
			tr.mu.Unlock()
			return nil
		}
		_, conn := tr.race(t, t.Context())
		require.NotNil(t, conn)
		require.Len(t, conns, 2)
		assert.Equal(t, addrOf(1), hostOf(conn))
		assert.NoError(t, conn.SetDeadline(time.Time{}))
		assert.ErrorIs(t, conns[addrOf(2)].SetDeadline(time.Time{}), net.ErrClosed)
	})
}

// An address whose Verify fails has failed, and the next has its turn at once.
func TestRaceGoesOnAfterVerifyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, connects(ms), connects(ms))
		var rejected net.Conn
		tr.Verify = func(_ context.Context, conn net.Conn) error {
			if hostOf(conn) == addrOf(0) {
				rejected = conn
				time.Sleep(50 * ms)
				return errCustom
			}
			return nil
		}
		a, conn := tr.race(t, t.Context())
		require.NotNil(t, conn)
		assert.Equal(t, addrOf(1), hostOf(conn))
		assert.Equal(t, []time.Duration{0, 51 * ms}, startsOf(a))
		assert.True(t, a.Addrs[0].Connected)
		assert.Same(t, errCustom, a.Addrs[0].Err)
		assert.Equal(t, 51*ms, a.Addrs[0].Duration)
		assert.ErrorIs(t, rejected.SetDeadline(time.Time{}), net.ErrClosed)
		assert.True(t, a.Addrs[1].Connected)
		assert.NoError(t, a.Addrs[1].Err)
	})
}

// While a Verify runs, the race waits a second before it starts another address, or the address's share
// of the time if that is shorter.
func TestRaceWaitsForVerify(t *testing.T) {
	for _, test := range []struct {
		name    string
		takes   time.Duration
		timeout time.Duration
		starts  []time.Duration
		ends    time.Duration
	}{
		{"a slow Verify costs the server one connection", 900 * ms, 0, []time.Duration{0}, 900 * ms},
		{"a very slow one costs a second", 1500 * ms, 0, []time.Duration{0, time.Second}, 1500 * ms},
		{"one that has only its share of the time", time.Minute, time.Second, []time.Duration{0, 500 * ms}, time.Second},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			tr := newTrack(t, connects(0), connects(0))
			tr.Timeout = test.timeout
			tr.Verify = func(ctx context.Context, conn net.Conn) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(test.takes):
					return nil
				}
			}
			a, _ := tr.race(t, t.Context())
			assert.Equal(t, test.starts, startsOf(a))
			assert.Equal(t, test.ends, a.Duration)
		})
	}
}

// A race that would give up on silent addresses waits for a Verify that runs, however long it takes.
func TestRaceIsPatientWithVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0), connects(0))
		tr.Verify = func(context.Context, net.Conn) error { time.Sleep(5 * time.Second); return nil }
		a, conn := tr.race(t, t.Context())
		require.NotNil(t, conn)
		assert.Equal(t, 5*time.Second, a.Duration)
	})
}

// Classifier is asked once about each address that has failed. A value that is not a class counts as none.
func TestRaceClassifiesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		classes := map[string]redial.Class{"127.0.0.1:80": 100, "127.0.0.2:80": redial.Timeout, "127.0.0.3:80": 255}
		tr := newTrack(t, refused(0), fails(sysReset, 0), refused(0))
		tr.Classifier = func(err error) redial.Class {
			addr := err.(*net.OpError).Addr.String()
			asked[addr]++
			return classes[addr]
		}
		a, _ := tr.race(t, t.Context())
		assert.Equal(t, map[string]int{"127.0.0.1:80": 1, "127.0.0.2:80": 1, "127.0.0.3:80": 1}, asked)
		assert.Equal(t, []redial.Class{redial.Refused, redial.Timeout, redial.Refused}, classesOf(a))
		assert.ErrorIs(t, a.Err, sysRefused)
	})
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		tr := newTrack(t, silent, silent)
		tr.Classifier = func(error) redial.Class { asked++; return redial.Denied }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		a, _ := tr.race(t, ctx)
		assert.Equal(t, []redial.Class{redial.Denied, redial.Denied}, classesOf(a), "a canceled one has failed too, if none has won")
		assert.Equal(t, 2, asked)
	})
}

// If user code panics or exits in a goroutine of the race, the dial does the same in
// the goroutine that called it.
func TestRaceUserCodePanics(t *testing.T) {
	deaf := connects(time.Second).ignoringCancel()
	for _, test := range []struct {
		name  string
		fates func(how func()) []fate
		set   func(tr *track, how func())
	}{
		{"Control, for the only address", func(how func()) []fate { return []fate{strikes(0, how)} }, nil},
		{"Control, for the first of two", func(how func()) []fate { return []fate{strikes(0, how), silent} }, nil},
		{"Control, for the second of two", func(how func()) []fate { return []fate{silent, strikes(0, how)} }, nil},
		{"Control, and others do not listen", func(how func()) []fate { return []fate{deaf, deaf, strikes(0, how)} }, nil},
		{"Verify, for the second of two", func(func()) []fate { return []fate{silent, connects(0)} },
			func(tr *track, how func()) {
				tr.Verify = func(context.Context, net.Conn) error { how(); return nil }
			}},
		{"Classifier", func(func()) []fate { return []fate{deaf, refused(0)} },
			func(tr *track, how func()) { tr.Classifier = func(error) redial.Class { how(); return 0 } }},
	} {
		for name, how := range map[string]func(){"panic": func() { panic("boom") }, "exit": runtime.Goexit} {
			testutil.Bubble(t, test.name+", "+name, func(t *testing.T) {
				tr := newTrack(t, test.fates(how)...)
				if test.set != nil {
					test.set(tr, how)
				}
				returned, recovered := struckBy(func() { tr.DialContext(t.Context(), "udp", trackName+":80") })
				assert.False(t, returned)
				if name == "panic" {
					assert.Equal(t, "boom", recovered)
				}
			})
		}
	}
}

// A panic in an attempt that has lost does not end the program, because nobody could recover it. It is logged.
func TestRaceLoserPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, strikes(500*ms, func() { panic("late") }).ignoringCancel(), connects(0))
		logger, logs := observed()
		tr.Logger = logger
		require.NoError(t, tr.dial(t.Context()))
		time.Sleep(time.Second)
		all := logs.FilterMessage("panic in an attempt that was canceled").All()
		require.Len(t, all, 1)
		assert.Equal(t, "late", all[0].ContextMap()["panic"])
		assert.Contains(t, all[0].ContextMap()["stack"], "panic(")
	})
}

// struckBy calls f in a goroutine of its own. It reports whether f returned, and the value of its panic.
func struckBy(f func()) (returned bool, recovered any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recovered = recover() }()
		f()
		returned = true
	}()
	<-done
	return returned, recovered
}

// With GODEBUG=asynctimerchan=1, as before Go 1.23, a timer that was stopped may still have sent its
// time. The race must not act on it: here there is nothing to do but wait.
func TestRaceOldTimers(t *testing.T) {
	dnstest.SkipWithout(t)
	t.Setenv("GODEBUG", "asynctimerchan=1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	both := make(chan struct{}, 2)
	dns := dnstest.InMemory()
	dns.Set("name.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
	d := &redial.Dialer{}
	d.Resolver = dns.Resolver()
	d.FallbackDelay = time.Millisecond
	d.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		if both <- struct{}{}; len(both) == 2 {
			time.AfterFunc(20*time.Millisecond, cancel)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := d.DialContext(ctx, "udp", trackName+":80")
	assert.ErrorIs(t, err, context.Canceled)
}

package redial

// Tests of what cannot be seen from outside: tables and decisions.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A value that is not a class counts as Unknown wherever classes are compared.
func TestClassOutOfRangeCountsAsUnknown(t *testing.T) {
	for class := range Class(255) {
		if class < numClasses {
			assert.Equal(t, class, class.known())
			assert.Equal(t, telling[class], class.weight())
			assert.Positive(t, class.weight(), "%v has no weight", class)
		} else {
			assert.Equal(t, Unknown, class.known())
			assert.Equal(t, Unknown.weight(), class.weight())
		}
	}
}

// TestErrorsOfPackageNetAreRecognized checks the two values by which Classify recognizes errors of package
// net. If a Go version changes them, Classify still works, but recognizes less.
func TestErrorsOfPackageNetAreRecognized(t *testing.T) {
	assert.EqualError(t, errMissingAddress(), "missing address")
	assert.Equal(t, "no suitable address found", noSuitableAddress())
}

// Every condition has a class, or a class that depends on the call. This test includes
// conditions that this operating system does not report.
func TestClassOfEveryCondition(t *testing.T) {
	dependsOnCall := map[errno.Condition]bool{errno.WouldBlock: true, errno.ProtocolError: true, errno.FileNotFound: true,
		errno.NotSocket: true, errno.NoDevice: true, errno.NoDeviceOrAddress: true}
	for c := errno.Unknown + 1; c < errno.NumConditions; c++ {
		assert.Equal(t, dependsOnCall[c], classOfCondition[c] == Unknown, "%v", c)
	}
	assert.Equal(t, Unknown, classOfCondition[errno.Unknown])

	for c, want := range map[errno.Condition]Class{
		errno.ShutDown:                   Reset,
		errno.GracefulDisconnect:         Reset,
		errno.HostDown:                   Unreachable,
		errno.HostIsolated:               Unreachable,
		errno.ProtocolUnreachable:        Unreachable,
		errno.SourceRouteFailed:          Unreachable,
		errno.NotCapable:                 Denied,
		errno.CapabilityMode:             Denied,
		errno.TooManyProcesses:           Exhausted,
		errno.NoFreeDevice:               Exhausted,
		errno.ProtocolFamilyNotSupported: Invalid,
		errno.SocketTypeNotSupported:     Invalid,
		errno.HostNotFound:               NotFound,
		errno.NoAddressData:              NotFound,
		errno.TryAgain:                   DNS,
		errno.NoRecovery:                 DNS,
	} {
		assert.Equal(t, want, place{}.classOf(c, true), "%v", c)
		assert.Equal(t, want, place{}.classOf(c, false), "%v", c)
	}
}

// On Linux, connect returns these conditions for an unreachable target. On other systems
// they mean an invalid call.
func TestConnectMeansMoreOnLinux(t *testing.T) {
	connect := place{&net.OpError{Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}}, "connect"}
	for c, elsewhere := range map[errno.Condition]Class{
		errno.InvalidArgument: Invalid,
		errno.NotSupported:    Invalid,
	} {
		assert.Equal(t, Unreachable, connect.classOf(c, true), "%v", c)
		assert.Equal(t, elsewhere, connect.classOf(c, false), "%v", c)
	}
}

// What a Gate decides is a function of a state and the time.
func TestGateDecides(t *testing.T) {
	const ms, interval = time.Millisecond, 100 * time.Millisecond
	now := time.Now()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	answers := state{interval: interval, window: 2, inFlight: 1, latest: 5, latestAt: in(-10 * ms), holdsTo: in(990 * ms)}
	full := answers
	full.inFlight = 2
	fullOfOld := full // the latest attempt has ended
	fullOfOld.holdsTo = time.Time{}
	down := state{interval: interval, latest: 5, latestAt: in(-70 * ms), failures: 3, failedAt: in(-60 * ms), failure: &Attempt{Start: in(-70 * ms)}}
	old := down
	old.latestAt, old.failedAt = in(-5*time.Second), in(-5*time.Second)
	tried := old // an attempt is in flight
	tried.latestAt, tried.holdsTo, tried.inFlight = in(-400*ms), in(600*ms), 1
	silent := tried
	silent.latestAt, silent.holdsTo = in(-1001*ms), in(-1*ms)
	muted := old // the latest attempt has told nothing
	muted.latestAt = in(-30 * ms)
	before := down // the failed attempt has begun long ago
	before.failure = &Attempt{Start: in(-1001 * ms)}
	knows := func(a ask) ask { a.heard = 3; return a }
	behind := func(a ask) ask { a.first = false; return a }
	var (
		due     = ask{due: now, since: now, first: true}
		early   = ask{due: in(300 * ms), since: in(300 * ms), first: true}
		invited = ask{due: in(300 * ms), since: in(300 * ms), first: true, invited: true}
		last    = ask{due: now, since: now, first: true, last: true}
		over    = ask{due: now, since: now, first: true, end: now}
		hurried = ask{due: now, since: now, first: true, last: true, end: in(30 * ms)}
		waited  = ask{due: in(-time.Second), since: in(-time.Second), last: true}
		almost  = ask{due: in(-999 * ms), since: in(-999 * ms), last: true}
	)
	for _, test := range []struct {
		name  string
		state state
		ask   ask
		want  verdict
		until time.Duration // from now; 0: never
	}{
		{"answers, room", answers, due, goes, 0},
		{"answers, room, not due", answers, early, sleeps, 300 * ms},
		{"answers, room, back since the latest attempt", answers, invited, goes, 0},
		{"answers, room, behind another", answers, behind(due), queues, 0},
		{"answers, full", full, due, queues, 990 * ms},
		{"answers, full of earlier attempts", fullOfOld, due, queues, 990 * ms},
		{"answers, over", answers, over, ends, 0},
		{"down, fresh failure", down, due, hears, 0},
		{"down, fresh failure, behind another", down, behind(due), hears, 0},
		{"down, fresh failure, not due", down, early, sleeps, 300 * ms},
		{"down, was back in between", down, invited, sleeps, 300 * ms},
		{"down, known failure", down, knows(due), queues, 40 * ms},
		{"down, known failure, behind another", down, behind(knows(due)), queues, 0},
		{"down, old failure", old, due, goes, 0},
		{"down, old failure, over", old, over, hears, 0},
		{"down, known failure, over", old, knows(over), ends, 0},
		{"down, an attempt is in flight", tried, due, queues, 600 * ms},
		{"down, a silent attempt is in flight", silent, due, goes, 0},
		{"down, a mute attempt has ended", muted, due, queues, 70 * ms},
		{"last, fresh failure", down, last, queues, 40 * ms},
		{"last, fresh failure, no time", down, hurried, hears, 0},
		{"last, known failure, no time", down, knows(hurried), queues, 30 * ms},
		{"last, an attempt is in flight, no time", tried, hurried, queues, 30 * ms},
		{"last, a second in line, an attempt meanwhile", down, waited, hears, 0},
		{"last, a second in line, an earlier attempt", before, waited, queues, 0},
		{"last, not quite a second in line", down, almost, queues, 0},
	} {
		got, until := test.state.decide(&test.ask, now)
		assert.Equal(t, test.want, got, test.name)
		if test.until == 0 {
			assert.True(t, until.IsZero(), test.name)
		} else {
			assert.Equal(t, in(test.until), until, test.name)
		}
	}
}

// A failure halves the window, or means that the target is down.
func TestGateJudgesFailures(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name   string
		state  state
		number int
		want   state // window, doubted and settled
		down   bool
	}{
		{"not answered yet", state{window: 16, doubted: true, latest: 3}, 1, state{doubted: true}, true},
		{"the first failure", state{window: 9, latest: 30, settled: 20}, 25, state{window: 4, doubted: true, settled: 30}, false},
		{"the smallest window", state{window: 1, latest: 30}, 25, state{window: 1, doubted: true, settled: 30}, false},
		{"begun before the first failure", state{window: 4, doubted: true, latest: 30, settled: 30}, 26, state{window: 4, doubted: true, settled: 30}, false},
		{"the second failure", state{window: 4, doubted: true, latest: 31, settled: 30}, 31, state{doubted: true, settled: 30}, true},
		{"begun before the return", state{window: 2, latest: 31, settled: 31}, 31, state{window: 2, settled: 31}, false},
		{"down already", state{latest: 31, settled: 31}, 20, state{settled: 31}, true},
	} {
		s := test.state
		assert.Equal(t, test.down, s.fail(test.number, &Attempt{Number: 7}, now), test.name)
		assert.Equal(t, test.want, state{window: s.window, doubted: s.doubted, settled: s.settled}, test.name)
		if test.down {
			assert.Equal(t, []any{1, 7, now}, []any{s.failures, s.failure.Number, s.failedAt}, test.name)
		}
	}
}

// visitOnce makes a dial to the named target, which fails if the target is down.
func visitOnce(g *Gate, name string, down bool) *target {
	v := g.enter(targetKey{address: name}, time.Time{}, nil, nil)
	if down {
		v.acquire(time.Now(), true)
		v.finish(&Attempt{Err: errNoConn, Class: Refused})
	}
	v.leave()
	return v.target
}

// A Gate forgets a healthy target with its last dial, unless there is something to remember. It
// forgets a failing one a minute later, and a hundred thousand of them as easily as one.
func TestGateForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(Gate)
		known := func() int { return len(g.active) + len(g.idle[0]) + len(g.idle[1]) }
		visitOnce(g, "healthy", false)
		assert.Zero(t, known())
		v := g.enter(targetKey{address: "route"}, time.Time{}, nil, nil)
		v.route.connected(netip.MustParseAddrPort("192.0.2.1:80"))
		v.leave()
		assert.Equal(t, 1, known())
		assert.Same(t, v.target, visitOnce(g, "route", false))

		failing := visitOnce(g, "failing", true)
		time.Sleep(forgetAfter - 1)
		assert.Same(t, failing, visitOnce(g, "failing", false))
		time.Sleep(forgetAfter)
		assert.NotSame(t, failing, visitOnce(g, "failing", false))

		recovered := visitOnce(g, "recovered", true)
		time.Sleep(time.Second)
		v = g.enter(targetKey{address: "recovered"}, time.Time{}, nil, nil)
		v.acquire(time.Now(), true)
		v.finish(&Attempt{})
		v.leave()
		assert.NotSame(t, recovered, visitOnce(g, "recovered", false))

		v = g.enter(targetKey{address: "long"}, time.Time{}, nil, nil)
		time.Sleep(10 * forgetAfter)
		assert.Same(t, v.target, visitOnce(g, "long", true), "a dial goes on")
		v.leave()

		many := 100_000
		if testing.Short() {
			many = 10_000
		}
		before := testutil.Memory().HeapAlloc
		for i := range many {
			visitOnce(g, fmt.Sprint(i), true)
		}
		assert.GreaterOrEqual(t, known(), many)
		for range 1000 {
			visitOnce(g, "another", true)
			time.Sleep(600 * time.Millisecond) // ten minutes in all
		}
		assert.LessOrEqual(t, known(), 1)
		assert.Less(t, int64(testutil.Memory().HeapAlloc)-int64(before), int64(5<<20))
	})
}

// The Gate's record of a failure has addresses of its own, because OnAttempt may change the dial's.
func TestGateKeepsItsOwnAddrs(t *testing.T) {
	g := new(Gate)
	failed, shares := g.enter(targetKey{}, time.Time{}, nil, nil), g.enter(targetKey{}, time.Time{}, nil, nil)
	failed.acquire(time.Now(), false)
	a := &Attempt{Err: errNoConn, Class: Refused, Addrs: []AddrResult{{Class: Refused}}}
	failed.finish(a)
	a.Addrs[0].Class = Unknown
	answer, failure := shares.acquire(time.Now(), false)
	assert.Equal(t, hears, answer)
	assert.Equal(t, []AddrResult{{Class: Refused}}, failure.Addrs)
}

func TestGateDefaults(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 17} {
		target := visitOnce(&Gate{Burst: n, MinInterval: time.Duration(n)}, "", false)
		wantBurst, wantInterval := n, time.Duration(n)
		if n <= 0 {
			wantBurst, wantInterval = 16, 100*time.Millisecond
		}
		assert.Equal(t, wantBurst, target.window)
		assert.Equal(t, wantInterval, target.interval)
	}
}

// BenchmarkGateTargets measures a dial's visit while the Gate knows few or many other targets.
func BenchmarkGateTargets(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := new(Gate)
			for i := range n {
				visitOnce(g, fmt.Sprint(i), true)
			}
			for b.Loop() {
				visitOnce(g, "a.test:80", false)
			}
		})
	}
}

// BenchmarkWaitingAtGate measures the memory that a dial holds while it waits at a Gate, after a
// failure that it shares.
func BenchmarkWaitingAtGate(b *testing.B) {
	const dials = 1000
	var failures atomic.Int64
	d := &Dialer{
		DialFunc:   func(context.Context, string, string) (net.Conn, error) { return nil, errnoRefused },
		Policy:     Policy{Refused: Exponential(time.Hour, 2*time.Hour)},
		Logger:     zap.NewNop(),
		OnAttempt:  func(context.Context, Attempt) { failures.Add(1) },
		Gate:       &Gate{MinInterval: time.Hour},
		MaxElapsed: 10 * time.Hour,
	}
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		failures.Store(0)
		wait := func(n, until int64) {
			for range n {
				all.Go(func() { d.DialContext(ctx, "tcp", "192.0.2.1:80") })
			}
			for failures.Load() < until {
				time.Sleep(time.Millisecond)
			}
			testutil.Memory() // gives the dials time to wait, and shrinks their stacks
		}
		wait(1, 1)
		before := testutil.Memory()
		wait(dials, dials+1)
		after := testutil.Memory()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/dials, "heap-B/dial")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/dials, "stack-B/dial")
		cancel()
		all.Wait()
	}
}

// All dials that net/http makes for a request end with the request, also if one begins late: the
// first, the second while the first goes on, and one that begins when the request is over. When net/http
// starts its dials is a matter of chance, so that no test through RoundTrip can bring this about.
func TestRequestEndsAllItsDials(t *testing.T) {
	r := &request{Context: t.Context()}
	attended := func() *dial {
		one := new(Dialer).newDial(t.Context(), "tcp", "a.test:80", nil, nil)
		t.Cleanup(r.attend(one))
		return one
	}
	r.getConn("a.test:80")
	first, second := attended(), attended()
	assert.NoError(t, first.waitCtx.Err())
	assert.NoError(t, second.waitCtx.Err())
	r.over()
	for _, one := range []*dial{first, second, attended()} {
		assert.Equal(t, errRequestOver, context.Cause(one.waitCtx))
		assert.NoError(t, one.attemptCtx.Err(), "net/http can use the connection for another request")
	}
}

// A ProxyError names the port that the proxy's URL leaves out, and no credentials.
func TestProxyErrorNamesThePort(t *testing.T) {
	for proxy, want := range map[string]string{
		"http://user:secret@forward.test": "forward.test:80", "https://forward.test": "forward.test:443", "http://[::1]:3128": "[::1]:3128",
	} {
		u, err := url.Parse(proxy)
		assert.NoError(t, err)
		err = checkProxyAnswer(t.Context(), u, &http.Request{URL: &url.URL{Opaque: "a.test:443"}}, &http.Response{StatusCode: 503})
		assert.Equal(t, &ProxyError{want, "a.test:443", 503}, err)
	}
}

// Another dial's error is taken for the end of the request only if it is the cause of the request's context. A hook of base can
// return such an error too.
func TestRequestEndsByItsCauseOnly(t *testing.T) {
	cause, hooks := error(&Error{Class: NotFound, Err: ErrPermanent}), error(&Error{Class: TLS, Err: ErrPermanent})
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &request{Context: ctx}
	assert.Equal(t, cause, r.withFailure(cause), "the request goes on")
	cancel(cause)
	assert.Equal(t, hooks, r.withFailure(hooks))
	assert.Equal(t, Canceled, Classify(r.withFailure(cause)))
}

// A route remembers the latest failure of each address for ten minutes, until the address works.
func TestRouteRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:80"), netip.MustParseAddrPort("192.0.2.3:80")
		sorted := func(r *route) []netip.AddrPort {
			all := []netip.AddrPort{a, b, c}
			r.sort(all, time.Now())
			return all
		}
		r := new(route)
		for _, failed := range []netip.AddrPort{a, b, a} {
			r.failed(failed)
		}
		assert.Equal(t, []netip.AddrPort{c, b, a}, sorted(r), "a has failed later than b")
		time.Sleep(routeMemory)
		assert.Equal(t, []netip.AddrPort{c, b, a}, sorted(r))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []netip.AddrPort{a, b, c}, sorted(r))

		r.failed(a)
		r.connected(a)
		r.connected(c)
		assert.Equal(t, []netip.AddrPort{c, a, b}, sorted(r), "a has worked since it failed")
	})
}

package redial_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// What a Gate does while a target answers, and when it comes back.

// Of many dials to a new target, Burst are admitted at once. Each success admits two
// more, so the number in flight doubles in each round.
func TestGateSlowStart(t *testing.T) {
	for _, burst := range []int{0, 1, 4} {
		testutil.Bubble(t, fmt.Sprint("Burst ", burst), func(t *testing.T) {
			const round = 10 * time.Millisecond
			script := dialtest.Script(dialtest.OK.After(round).Forever())
			d := gateDialer(script, &redial.Gate{Burst: burst})
			begin := time.Now()
			errs := crowd(1000, func(int) error { _, err := d.Dial("tcp", address); return err })
			assert.Equal(t, make([]error, 1000), errs)
			if burst == 0 {
				burst = 16
			}
			assertRounds(t, starts(script, begin), burst, round)
		})
	}
}

// assertRounds checks that first dials start in the first round, and twice as many in
// each later round.
func assertRounds(t *testing.T, starts []time.Duration, first int, round time.Duration) {
	t.Helper()
	var want []time.Duration
	for in, at := first, time.Duration(0); len(want) < len(starts); in, at = in*2, at+round {
		for range min(in, len(starts)-len(want)) {
			want = append(want, at)
		}
	}
	assert.Equal(t, want, starts)
}

// After a successful probe, two dials go, and two more for each success. So it is again
// after a relapse on the way.
func TestGateRecovery(t *testing.T) {
	const round = 10 * time.Millisecond
	testutil.Bubble(t, "all succeed", func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(round).Times(16), dialtest.OK.After(round).Forever())
		d := gateDialer(script, new(redial.Gate))
		begin := time.Now()
		crowd(1000, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		all := starts(script, begin)[16:]
		assert.Equal(t, 100*time.Millisecond+round, all[0])
		for i := range all {
			all[i] -= 100*time.Millisecond + round
		}
		assertRounds(t, all, 1, round)
	})
	testutil.Bubble(t, "a relapse", func(t *testing.T) {
		// The probe succeeds and admits two dials. One of them succeeds and admits two
		// more. While these are in flight, the other one is refused.
		script := dialtest.Script(dialtest.Refuse.After(round).Times(16), dialtest.OK.After(round),
			dialtest.OK.After(round), dialtest.Refuse.After(2*round), dialtest.OK.After(2*round).Times(2), dialtest.Refuse, dialtest.OK.Forever())
		d := gateDialer(script, new(redial.Gate))
		begin := time.Now()
		crowd(100, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		all := starts(script, begin)[16:]
		// The relapse at 140 ms would make the dials wait for 100 ms. But the two
		// attempts in flight succeed at 150 ms: the target is back, and two more go.
		assert.Equal(t, []time.Duration{110, 120, 120, 130, 130, 150, 150}, inMs(all[:7]))
	})
}

// What an attempt learns that began before an outage says nothing about a target that has recovered.
func TestGateIgnoresOldAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Second), dialtest.Refuse, dialtest.OK, dialtest.OK.After(time.Hour), dialtest.OK.After(10*time.Millisecond).Forever())
		d := gateDialer(script, &redial.Gate{Burst: 2})
		d.Timeout = 2 * time.Hour
		old := *d
		old.MaxAttempts = 1
		go old.Dial("tcp", address)
		synctest.Wait()
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		go d.Dial("tcp", address) // stays in flight, so that the Gate does not forget the target
		time.Sleep(time.Second)
		// At the recovery, one attempt was in flight, so the window is three.
		begin := time.Now()
		crowd(10, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, []time.Duration{0, 0, 10}, inMs(starts(script, begin))[4:7])
		time.Sleep(2 * time.Hour)
	})
}

// A window grows only while it is full. All failures of attempts that were in flight together halve it once.
func TestGateWindow(t *testing.T) {
	const round = 10 * time.Millisecond
	for _, test := range []struct {
		name   string
		burst  int
		before func(dial func(n int, outcome dialtest.Outcome)) // beside an attempt that stays in flight
		want   int                                              // how many dials go at once afterwards
		most   int                                              // if it depends on which of two goroutines comes first
	}{
		{"never full", 4, func(dial func(int, dialtest.Outcome)) {
			for range 6 {
				dial(1, dialtest.OK.After(round))
			}
		}, 3, 0},
		{"full, but nobody waits", 4, func(dial func(int, dialtest.Outcome)) { dial(3, dialtest.OK.After(round)) }, 4, 0},
		{"full, and others wait", 4, func(dial func(int, dialtest.Outcome)) { dial(6, dialtest.OK.After(round)) }, 5, 7},
		{"failures of one round", 8, func(dial func(int, dialtest.Outcome)) {
			dial(1, dialtest.OK.After(round))
			dial(5, dialtest.Refuse.After(round))
		}, 3, 0},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.OK.After(time.Hour))
			d := gateDialer(script, &redial.Gate{Burst: test.burst})
			d.Timeout = 2 * time.Hour
			go d.Dial("tcp", address)
			synctest.Wait()
			d.MaxAttempts = 1
			dial := func(n int, outcome dialtest.Outcome) {
				script.For(address, outcome.Forever())
				crowd(n, func(int) error { _, err := d.Dial("tcp", address); return err })
			}
			test.before(dial)
			before, begin := len(script.Dials()), time.Now()
			dial(20, dialtest.OK.After(round))
			atOnce := slices.IndexFunc(starts(script, begin)[before:], func(start time.Duration) bool { return start > 0 })
			assert.GreaterOrEqual(t, atOnce, test.want)
			assert.LessOrEqual(t, atOnce, max(test.want, test.most))
			time.Sleep(2 * time.Hour)
		})
	}
}

// An attempt of the burst that succeeds during the outage ends it, like a probe.
func TestGateLateSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(10*time.Millisecond), dialtest.OK.After(30*time.Millisecond), dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 2})
		d.Policy = redial.Policy{redial.Refused: every(time.Hour)}
		begin := time.Now()
		crowd(4, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, 30*time.Millisecond, time.Since(begin))
	})
}

// A server whose accept queue overflows now and then does not count as down.
func TestGateFailuresInSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const round = 5 * time.Millisecond
		dials, inFlight, most := 0, 0, 0
		var mu sync.Mutex
		script := dialtest.Script(dialtest.Refuse)
		script.For("a.test:1", dialtest.OK.After(round).Forever()).For("a.test:2", dialtest.Reset.After(round).Forever())
		d := gateDialer(script, new(redial.Gate))
		d.Policy = redial.DefaultPolicy()
		d.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			dials++
			first := dials == 1
			inFlight++
			most = max(most, inFlight)
			full := inFlight > 50
			mu.Unlock()
			defer func() { mu.Lock(); inFlight--; mu.Unlock() }()
			switch {
			case first:
				return script.DialContext(ctx, network, address)
			case full:
				return script.DialContext(ctx, network, "a.test:2")
			}
			return script.DialContext(ctx, network, "a.test:1")
		}
		begin := time.Now()
		crowd(1000, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return err })
		// One dial at a time would take 5 s. Each outage would add 100 ms.
		assert.Less(t, time.Since(begin), time.Second)
		assert.LessOrEqual(t, most, 150)
	})
}

// An http.Client with little time per request soon reaches a server that is back: the
// first answer comes within 150 ms, and no request that begins after the server's return
// fails.
func TestGateServesImpatientClients(t *testing.T) {
	t.Parallel()
	const down = 15 * time.Second
	for phase := range 10 {
		testutil.Bubble(t, fmt.Sprint("phase ", phase), func(t *testing.T) {
			up := down + time.Duration(phase)*17*time.Millisecond
			begin := time.Now()
			script := dialtest.Script(dialtest.Refuse.Forever()).For("a.test:81", dialtest.OK.Forever())
			server := &http.Server{Handler: testutil.Hello}
			go server.Serve(script)
			defer server.Close()
			var connects, first atomic.Int64
			d := gateDialer(script, new(redial.Gate))
			d.Policy = nil
			d.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
				if time.Since(begin) < up {
					connects.Add(1)
					return script.DialContext(ctx, network, address)
				}
				return script.DialContext(ctx, network, "a.test:81")
			}
			transport := redial.NewTransport(d, &http.Transport{MaxConnsPerHost: 2})
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 500 * time.Millisecond}
			crowd(int((up+time.Second)/(50*time.Millisecond)), func(i int) error {
				start := time.Duration(i) * 50 * time.Millisecond
				time.Sleep(start)
				_, _, err := testutil.Get(t.Context(), client, "http://a.test")
				if err == nil {
					first.CompareAndSwap(0, int64(time.Since(begin)-up))
				}
				if start >= up {
					assert.NoError(t, err)
				}
				return nil
			})
			assert.NotZero(t, first.Load())
			assert.LessOrEqual(t, time.Duration(first.Load()), 150*time.Millisecond)
			assert.LessOrEqual(t, int(connects.Load()), int(up/(100*time.Millisecond))+16)
		})
	}
}

// A client whose dials have 100 ms each connects soon after the server's return.
func TestGateServesShortDials(t *testing.T) {
	for phase := range 20 {
		testutil.Bubble(t, fmt.Sprint("phase ", phase), func(t *testing.T) {
			up := 5*time.Second + time.Duration(phase)*7*time.Millisecond
			begin := time.Now()
			script := dialtest.Script(dialtest.Refuse.Forever()).For("a.test:81", dialtest.OK.Forever())
			d := gateDialer(script, new(redial.Gate))
			d.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
				if time.Since(begin) < up {
					return script.DialContext(ctx, network, address)
				}
				return script.DialContext(ctx, network, "a.test:81")
			}
			go d.Dial("tcp", address) // without a limit in time
			synctest.Wait()
			time.Sleep(up)
			short := *d
			short.MaxElapsed = 100 * time.Millisecond
			failures := 0
			for failures < 10 {
				if _, err := short.Dial("tcp", address); err == nil {
					break
				}
				failures++
				time.Sleep(20 * time.Millisecond)
			}
			assert.LessOrEqual(t, failures, 2, phase)
		})
	}
}

// A target that is down gets at most ten connects a second, however many goroutines
// dial it, and however little time each dial has.
func TestGateBoundsTheRate(t *testing.T) {
	t.Parallel()
	for _, budget := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 30 * time.Second} {
		for _, outcome := range []dialtest.Outcome{dialtest.Refuse, dialtest.Refuse.After(30 * time.Millisecond), dialtest.Timeout} {
			testutil.Bubble(t, fmt.Sprint(budget, " ", outcome), func(t *testing.T) {
				script := dialtest.Script(outcome.Forever())
				d := gateDialer(script, &redial.Gate{Burst: 1})
				d.Policy = redial.DefaultPolicy()
				first := *d
				first.MaxAttempts, first.Timeout = 1, time.Second
				first.Dial("tcp", address)
				begin := script.Dials()[0].Start
				d.MaxElapsed = budget
				crowd(50, func(i int) error {
					time.Sleep(time.Duration(i) * 7 * time.Millisecond)
					for time.Since(begin) < 10*time.Second {
						d.Dial("tcp", address)
						time.Sleep(20 * time.Millisecond)
					}
					return nil
				})
				all := starts(script, begin)
				for i, start := range all[1:] {
					assert.GreaterOrEqual(t, start-all[i], 100*time.Millisecond, "%v %v", budget, outcome)
				}
				if budget >= 100*time.Millisecond && outcome == dialtest.Refuse {
					assert.Greater(t, len(all), 50, "dials keep trying the target")
				}
			})
		}
	}
}

// If the end of a dial cuts off an attempt that had no answer, the target counts as
// down only if the attempt was long enough. Otherwise the next dial does not wait.
func TestGateSilence(t *testing.T) {
	for _, test := range []struct {
		budget time.Duration
		dials  int // the most attempts of 50 dials, one every 20 ms
	}{
		{200 * time.Millisecond, 50},
		{300 * time.Millisecond, 30},
	} {
		testutil.Bubble(t, test.budget.String(), func(t *testing.T) {
			script := dialtest.Script(dialtest.Timeout.Forever())
			d := gateDialer(script, new(redial.Gate))
			d.MaxElapsed = test.budget
			crowd(50, func(i int) error {
				time.Sleep(time.Duration(i) * 20 * time.Millisecond)
				_, err := d.Dial("tcp", address)
				return err
			})
			assert.LessOrEqual(t, len(script.Dials()), test.dials, test.budget)
			assert.Equal(t, test.budget < 250*time.Millisecond, len(script.Dials()) == 50, test.budget)
		})
	}
}

// A dial that lines up when the target seems to be back leaves the line when it is not, so that a dial that
// comes later does not wait for it.
func TestGateFalseReturnEmptiesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := new(redial.Gate)
		d := gateDialer(dialtest.Script(dialtest.Refuse.After(10*ms).Forever()), gate)
		d.Policy = retries(every(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for range 2 {
			waiting.Go(func() { d.DialContext(ctx, "tcp", address) })
		}
		time.Sleep(time.Second)
		gate.Reset("tcp", address) // one makes an attempt, which fails; the other lines up
		time.Sleep(time.Second)
		begin := time.Now()
		later := *d
		later.MaxElapsed = time.Minute
		failOnce(&later)
		assert.Equal(t, 10*ms, time.Since(begin))
		cancel()
		waiting.Wait()
	})
}

// When the target is back, all dials go, due or not. A dial that then fails waits as its schedule says.
func TestGateReturnInvitesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.OK, dialtest.Refuse, dialtest.OK)
		d := gateDialer(script, new(redial.Gate))
		d.Policy = retries(every(time.Second))
		begin := time.Now()
		time.AfterFunc(150*ms, func() { d.Dial("tcp", address) })
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{0, 150, 150, 1150}, inMs(starts(script, begin)))
	})
}

// The kernel's own ETIMEDOUT says something about the target at any time.
func TestGateSharesTheKernelsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Timeout.After(50 * ms).Forever())
		d := gateDialer(script, new(redial.Gate))
		failOnce(d)
		d.MaxElapsed = 40 * ms
		_, err := d.Dial("tcp", address)
		require.Len(t, asError(t, err).History, 1)
		assert.True(t, asError(t, err).History[0].Shared)
		assert.Len(t, script.Dials(), 1)
	})
}

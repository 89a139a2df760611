package redial_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// doubling returns a schedule from 100 ms to 1 s without jitter.
func doubling() backoff.BackOff {
	return &backoff.ExponentialBackOff{InitialInterval: 100 * time.Millisecond, Multiplier: 2, MaxInterval: time.Second}
}

var gated = redial.Policy{redial.Refused: doubling, redial.Timeout: doubling}

// gateDialer returns a Dialer that dials by script, uses gate, and has no MaxElapsed.
func gateDialer(script *dialtest.Dialer, gate *redial.Gate) *redial.Dialer {
	return &redial.Dialer{DialFunc: script.DialContext, Policy: gated, Gate: gate, MaxElapsed: -1}
}

// crowd makes a number of dials at once, and returns their errors when all have ended.
var crowd = testutil.Crowd

// starts returns the times from begin to the start of each dial of script.
func starts(script *dialtest.Dialer, begin time.Time) (all []time.Duration) {
	for _, dial := range script.Dials() {
		all = append(all, dial.Start.Sub(begin))
	}
	return all
}

// The more dials wait for a dead server, the sooner the next probe, but never within
// 100 ms of the one before. A single dial probes on the schedule. All dials connect when
// the server is back.
func TestGateProbes(t *testing.T) {
	for _, test := range []struct {
		dials  int
		probes []time.Duration // in ms; the last one connects
	}{
		{1, []time.Duration{110, 320, 730, 1540, 2550}},
		{2, []time.Duration{110, 220, 330, 540, 740}},
		{10, []time.Duration{110, 220, 330, 440, 550}},
		{100, []time.Duration{110, 220, 330, 440, 550}},
		{10_000, []time.Duration{110, 220, 330, 440, 550}},
	} {
		t.Run(fmt.Sprint(test.dials), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				burst := min(test.dials, 16)
				script := dialtest.Script(dialtest.Refuse.After(10*time.Millisecond).Times(burst+4), dialtest.OK.Forever())
				d := gateDialer(script, new(redial.Gate))
				begin := time.Now()
				errs := crowd(test.dials, func(int) error {
					_, err := d.Dial("tcp", address)
					return err
				})
				assert.Equal(t, make([]error, test.dials), errs)

				want := append(make([]time.Duration, burst), test.probes[:4]...)
				for range test.dials {
					want = append(want, test.probes[4])
				}
				assert.Equal(t, want, inMs(starts(script, begin)))
			})
		})
	}
}

// A dial that arrives makes the next probe due sooner. A dial that leaves makes it due
// later.
func TestGateDemandSetsThePace(t *testing.T) {
	for _, test := range []struct {
		name     string
		interval time.Duration
		arrive   []time.Duration // when each other dial arrives, after the first dial's failure
		leave    time.Duration   // when the last dial to arrive gives up; 0: never
		want     time.Duration   // when the probe starts, after the failure
	}{
		{name: "alone", want: 12 * time.Second},
		{name: "two", arrive: []time.Duration{time.Second}, want: 6 * time.Second},
		{name: "three", arrive: []time.Duration{time.Second, 2 * time.Second}, want: 4 * time.Second},
		{name: "late", arrive: []time.Duration{11 * time.Second}, want: 11 * time.Second},
		{name: "two, of which one leaves", arrive: []time.Duration{time.Second}, leave: 2 * time.Second, want: 12 * time.Second},
		{name: "two with an interval", interval: 7 * time.Second, arrive: []time.Duration{time.Second}, want: 7 * time.Second},
		{name: "alone with an interval", interval: 20 * time.Second, want: 12 * time.Second},
		{name: "a crowd", arrive: make([]time.Duration, 1000), want: 100 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(dialtest.Refuse, dialtest.OK.Forever())
				d := gateDialer(script, &redial.Gate{MinInterval: test.interval})
				d.Policy = redial.Policy{redial.Refused: every(12 * time.Second)}
				begin := time.Now()
				var dials sync.WaitGroup
				dials.Go(func() { d.Dial("tcp", address) })
				synctest.Wait()
				for i, at := range test.arrive {
					ctx := t.Context()
					if test.leave > 0 && i == len(test.arrive)-1 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithCancel(ctx)
						time.AfterFunc(test.leave, cancel)
					}
					dials.Go(func() {
						time.Sleep(at)
						d.DialContext(ctx, "tcp", address)
					})
				}
				dials.Wait()
				assert.Equal(t, test.want, starts(script, begin)[1])
			})
		})
	}
}

// A dial that cannot wait until the next probe makes the probe itself, once MinInterval
// has passed since the last attempt.
func TestGateImpatientDial(t *testing.T) {
	for _, test := range []struct {
		name   string
		arrive time.Duration // when the impatient dial arrives, after the failure at 0
		budget time.Duration
		probes []time.Duration // in ms
		own    int             // the impatient dial's own attempts
	}{
		{"once when the interval allows it, once as late as possible", 0, time.Second, []time.Duration{100, 950}, 2},
		{"at once if the interval has passed", 5 * time.Second, time.Second, []time.Duration{5000, 5950}, 2},
		{"at once, with hardly any time left", 5 * time.Second, time.Millisecond, []time.Duration{5000}, 1},
		{"with just enough time", 50 * time.Millisecond, 60 * time.Millisecond, []time.Duration{100}, 1},
		{"none if too little time would be left", 48 * time.Millisecond, 53 * time.Millisecond, nil, 0},
		{"none if its time is up before the interval is", 0, 50 * time.Millisecond, nil, 0},
		{"when the next probe is due in time", 59 * time.Second, 2 * time.Second, []time.Duration{60_000, 60_900}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(dialtest.Refuse.Forever())
				gate := new(redial.Gate)
				d := gateDialer(script, gate)
				d.Policy = redial.Policy{redial.Refused: every(time.Minute)}
				d.MaxElapsed = 10 * time.Minute
				begin := time.Now()
				first := *d
				first.MaxAttempts = 1
				first.Dial("tcp", address) // after its failure, no dial waits
				time.Sleep(test.arrive)

				impatient := *d
				own, shared := 0, 0
				impatient.OnAttempt = func(_ context.Context, a redial.Attempt) {
					if own++; a.Shared {
						own--
						shared++
					}
				}
				impatient.MaxElapsed = test.budget
				arrived := time.Now()
				_, err := impatient.Dial("tcp", address)
				assert.ErrorIs(t, err, redial.ErrMaxElapsed)
				assert.ErrorIs(t, err, errScriptRefuses)
				assert.Equal(t, test.own, own)
				assert.ElementsMatch(t, test.probes, inMs(starts(script, begin)[1:]))
				if test.own == 0 {
					assert.Zero(t, time.Since(arrived), "the dial fails at once")
					assert.Equal(t, 1, shared)
					assert.True(t, err.(net.Error).Timeout())
				}
			})
		})
	}
}

// A target that is down gets at most ten connects a second, however many goroutines
// dial it, and however little time each dial has.
func TestGateBoundsTheRate(t *testing.T) {
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

// MaxAttempts lasts as long at a Gate as without one: a dial has one attempt in each
// delay of the schedule, its own or a shared one.
func TestGateKeepsMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const round = time.Millisecond
		script := dialtest.Script(dialtest.Refuse.After(round).Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: every(time.Second)}
		d.MaxAttempts = 4
		begin := time.Now()
		crowd(8, func(int) error {
			var mine []time.Duration
			d := *d
			d.OnAttempt = func(context.Context, redial.Attempt) { mine = append(mine, time.Since(begin)) }
			_, err := d.Dial("tcp", address)
			assert.Equal(t, redial.ErrMaxAttempts, asError(t, err).Stop)
			if assert.Len(t, mine, 4) {
				for i, at := range mine {
					assert.LessOrEqual(t, at, time.Duration(i)*(time.Second+round)+round)
					assert.GreaterOrEqual(t, at, time.Duration(i-1)*time.Second)
				}
			}
			return err
		})
		for i, start := range starts(script, begin)[1:] {
			assert.GreaterOrEqual(t, start, time.Duration(i+1)*100*time.Millisecond)
		}
	})
}

// A dial that shares a failure records the probe's attempt, with its own Number, Elapsed,
// Delay and Stop.
func TestGateSharesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		gate := &redial.Gate{Burst: 1}
		script := dialtest.Script(dialtest.Refuse.After(10 * time.Millisecond).Forever())
		var mu sync.Mutex
		seen := map[string][]redial.Attempt{}
		dial := func(name string) error {
			d := gateDialer(script, gate)
			d.Policy = redial.Policy{redial.Refused: every(100 * time.Millisecond)}
			d.Logger = logger.Named(name)
			d.MaxAttempts = 4
			d.OnAttempt = func(_ context.Context, a redial.Attempt) {
				mu.Lock()
				defer mu.Unlock()
				seen[name] = append(seen[name], a)
			}
			_, err := d.Dial("tcp", address)
			return err
		}
		names := []string{"a", "b", "c"}
		errs := crowd(3, func(i int) error { return dial(names[i]) })
		own := 0
		for i, name := range names {
			e := asError(t, errs[i])
			assert.Equal(t, redial.ErrMaxAttempts, e.Stop)
			assert.Equal(t, 4, e.Attempts)
			require.Len(t, seen[name], 4)
			for j, a := range seen[name] {
				assert.Equal(t, j+1, a.Number)
				assert.Equal(t, redial.Refused, a.Class)
				assert.Equal(t, 10*time.Millisecond, a.Duration)
				assert.Equal(t, script.Dials()[j].Start, a.Start)
				assert.Same(t, script.Dials()[j].Err, a.Err)
				if !a.Shared {
					own++
				}
			}
			assert.Equal(t, []time.Duration{100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond, 0},
				[]time.Duration{seen[name][0].Delay, seen[name][1].Delay, seen[name][2].Delay, seen[name][3].Delay})
		}
		assert.Equal(t, 4, own)
		assert.Len(t, script.Dials(), 4)

		// One outage logs each warning once. Shared failures are logged at level Debug.
		assert.Equal(t, 3, logs.FilterLevelExact(zap.WarnLevel).Len())
		assert.Equal(t, 1, logs.FilterLevelExact(zap.ErrorLevel).Len())
		shared := logs.FilterLevelExact(zap.DebugLevel)
		assert.Equal(t, 8, shared.Len())
		assert.Equal(t, true, shared.All()[0].ContextMap()["shared"])
		assert.Equal(t, 6, shared.FilterMessage("dial attempt failed, will retry").Len())
		assert.Equal(t, 2, shared.FilterMessage("dial failed").Len())
	})
}

// A dial that has no time for a probe fails at once. Its error names the bound that
// leaves it no time.
func TestGateFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		gate := new(redial.Gate)
		d := gateDialer(script, gate)
		d.Policy = redial.Policy{redial.Refused: every(time.Minute)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go d.DialContext(ctx, "tcp", address)
		synctest.Wait()

		hurried := func(set func(*redial.Dialer), timeout time.Duration) error {
			d := *d
			set(&d)
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			start := time.Now()
			_, err := d.DialContext(ctx, "tcp", address)
			assert.Zero(t, time.Since(start))
			assert.ErrorIs(t, err, errScriptRefuses)
			assert.Equal(t, redial.Refused, redial.Classify(err))
			assert.True(t, err.(net.Error).Timeout())
			assert.Equal(t, 1, asError(t, err).Attempts)
			assert.True(t, asError(t, err).History[0].Shared)
			return err
		}
		const little = 90 * time.Millisecond
		err := hurried(func(*redial.Dialer) {}, little)
		assert.ErrorIs(t, err, redial.ErrDeadline)
		assert.EqualError(t, err, errorOf(dialtest.Refuse).Error()+" (refused, 1 attempt in 0s: deadline too close)")
		err = hurried(func(d *redial.Dialer) { d.Deadline = time.Now().Add(little) }, time.Hour)
		assert.ErrorIs(t, err, redial.ErrDeadline)
		err = hurried(func(d *redial.Dialer) { d.MaxElapsed = little }, time.Hour)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Len(t, script.Dials(), 1)
	})
}

// If a dial's time ends while another dial's probe is in flight, the dial returns the
// target's last failure. It records that failure, unless it has recorded it before.
func TestGateTimeEndsDuringProbe(t *testing.T) {
	testutil.Bubble(t, "before it knows a failure", func(t *testing.T) {
		logger, logs := observed()
		script := dialtest.Script(dialtest.Refuse, dialtest.Timeout.Forever())
		prober := gateDialer(script, new(redial.Gate))
		prober.Timeout = time.Hour
		probing, end := context.WithCancel(t.Context())
		defer end()
		go prober.DialContext(probing, "tcp", address) // it fails at once, then makes a probe 100 ms later that gets no answer
		synctest.Wait()
		time.Sleep(150 * time.Millisecond)

		d := *prober
		d.Logger = logger
		d.MaxElapsed = 900 * time.Millisecond
		start := time.Now()
		_, err := d.Dial("tcp", address)
		assert.Equal(t, 900*time.Millisecond, time.Since(start))
		e := asError(t, err)
		assert.Equal(t, redial.Refused, e.Class)
		assert.ErrorIs(t, err, errScriptRefuses)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		require.Len(t, e.History, 1)
		assert.True(t, e.History[0].Shared)
		assert.Equal(t, 1, logs.FilterMessage("dial failed").Len())
		assert.Equal(t, 1, logs.Len())

		// A dial that its caller cancels returns the cancellation, without a failure.
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(40*time.Millisecond, cancel)
		_, err = d.DialContext(ctx, "tcp", address)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, asError(t, err).Attempts)
	})
	testutil.Bubble(t, "when the latest failure was its own", func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.Timeout)
		d := gateDialer(script, new(redial.Gate))
		prober := *d
		d.MaxElapsed = 600 * time.Millisecond
		go func() {
			time.Sleep(50 * time.Millisecond)
			prober.MaxElapsed = 700 * time.Millisecond
			prober.Dial("tcp", address) // its probe comes first, because it knows of no failure yet, and gets no answer
		}()
		d.Policy = redial.Policy{redial.Refused: every(time.Minute)}
		begin := time.Now()
		_, err := d.Dial("tcp", address)
		assert.Equal(t, []time.Duration{0, 100}, inMs(starts(script, begin)))
		assert.Equal(t, 600*time.Millisecond, time.Since(begin))
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Equal(t, 1, asError(t, err).Attempts)
		assert.Len(t, asError(t, err).History, 1)
		time.Sleep(time.Minute)
	})
	testutil.Bubble(t, "when it knows the latest failure", func(t *testing.T) {
		// The dial has recorded the latest failure when its time is up. It does not
		// record it again.
		logger, logs := observed()
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.Timeout.Forever())
		prober := gateDialer(script, new(redial.Gate))
		prober.Timeout = time.Hour
		probing, end := context.WithCancel(t.Context())
		defer end()
		go prober.DialContext(probing, "tcp", address)
		time.Sleep(10 * time.Millisecond)
		d := *prober
		d.Logger = logger
		d.MaxElapsed = time.Second
		_, err := d.Dial("tcp", address)
		e := asError(t, err)
		assert.Equal(t, redial.Refused, e.Class)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Equal(t, time.Second, e.Elapsed)
		assert.Same(t, script.Dials()[1].Err, e.History[0].Err)
		assert.Len(t, e.History, e.Attempts)
		assert.Equal(t, 1, logs.FilterMessage("dial failed").Len())
	})
}

// A probe without an answer keeps the other dials from probing for a second only: its
// packets may have been lost before the target came back.
func TestGateSilentProbe(t *testing.T) {
	for _, dials := range []int{2, 100} {
		testutil.Bubble(t, fmt.Sprint(dials, " dials"), func(t *testing.T) {
			// The first attempt is refused. The first three probes get no answer.
			script := dialtest.Script(dialtest.Refuse.After(time.Millisecond), dialtest.Timeout.Times(3), dialtest.OK.Forever())
			d := gateDialer(script, &redial.Gate{Burst: 1})
			begin := time.Now()
			crowd(dials, func(int) error {
				_, err := d.Dial("tcp", address)
				assert.NoError(t, err)
				return err
			})
			all := inMs(starts(script, begin))
			if dials == 100 {
				assert.Equal(t, []time.Duration{0, 101, 1101, 2101, 3101}, all[:5])
				return
			}
			// Each of the two dials makes a probe, and waits for it until Timeout.
			assert.Equal(t, []time.Duration{0, 101, 1101}, all[:3])
		})
	}
}

// A dial that knows that the target fails makes its last attempt as late as it can, as without a Gate, although it waits for the
// Gate's next probe.
func TestGateLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := gateDialer(script, new(redial.Gate))
		d.Policy = redial.Policy{redial.Refused: every(time.Minute)}
		d.MaxElapsed = time.Second
		begin := time.Now()
		_, err := d.Dial("tcp", address)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Equal(t, []time.Duration{0, 950}, inMs(starts(script, begin)))
		assert.Equal(t, 950*time.Millisecond, time.Since(begin))
	})
}

// If another dial's probe fails, and there is no time for one more, a dial that waited for it fails at once.
func TestGateFailsWithTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.Refuse.After(300*time.Millisecond))
		d := gateDialer(script, new(redial.Gate))
		d.Policy = redial.Policy{redial.Refused: every(10 * time.Second)}
		d.MaxElapsed = 450 * time.Millisecond
		go func() {
			time.Sleep(time.Millisecond)
			d.Dial("tcp", address) // its probe comes first, because it knows of no failure yet
		}()
		begin := time.Now()
		var numbers []int
		sharing := *d
		sharing.OnAttempt = func(_ context.Context, a redial.Attempt) { numbers = append(numbers, a.Number) }
		_, err := sharing.Dial("tcp", address)
		assert.Equal(t, []int{1, 2}, numbers)
		assert.Equal(t, []time.Duration{0, 100}, inMs(starts(script, begin)))
		assert.Equal(t, 400*time.Millisecond, time.Since(begin))
		e := asError(t, err)
		assert.Equal(t, redial.ErrMaxElapsed, e.Stop)
		require.Len(t, e.History, 2)
		assert.True(t, e.History[1].Shared)
		assert.Same(t, lastOf(t, script, 2).Err, e.Err)
	})
}

// The same if another dial waits in front of it, which has time.
func TestGateFailsWithTheProbeBehindAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Millisecond), dialtest.Refuse.After(2*time.Millisecond), dialtest.Refuse.After(300*time.Millisecond), dialtest.OK)
		patient := gateDialer(script, new(redial.Gate))
		patient.Policy = redial.Policy{redial.Refused: every(10 * time.Second)}
		d := *patient
		d.MaxElapsed = 450 * time.Millisecond
		go patient.Dial("tcp", address)
		synctest.Wait()
		go func() {
			time.Sleep(5 * time.Millisecond)
			d.Dial("tcp", address)
		}()
		begin := time.Now()
		_, err := d.Dial("tcp", address)
		assert.Equal(t, []time.Duration{0, 0, 101}, inMs(starts(script, begin)))
		assert.Equal(t, 401*time.Millisecond, time.Since(begin))
		assert.Equal(t, 2, asError(t, err).Attempts)
		time.Sleep(time.Minute)
	})
}

// A dial that waits alone keeps MinInterval after a probe that told nothing, because it reached the target.
func TestGateKeepsIntervalAfterMuteProbe(t *testing.T) {
	for _, test := range []struct {
		interval, silence time.Duration // the MinInterval, and when the probe is canceled
		want              []time.Duration
	}{
		{100 * time.Millisecond, 10 * time.Millisecond, []time.Duration{0, 101, 201}},
		{time.Second, 400 * time.Millisecond, []time.Duration{0, 1001, 2001}},
	} {
		testutil.Bubble(t, fmt.Sprint("canceled after ", test.silence), func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.After(time.Millisecond), dialtest.Timeout, dialtest.OK)
			d := gateDialer(script, &redial.Gate{Burst: 1, MinInterval: test.interval})
			d.Policy = redial.Policy{redial.Refused: every(test.interval)}
			begin := time.Now()
			crowd(2, func(int) error {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				d := *d
				d.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					if len(script.Dials()) == 1 {
						time.AfterFunc(test.silence, cancel)
					}
					return script.DialContext(ctx, network, address)
				}
				_, err := d.DialContext(ctx, "tcp", address)
				return err
			})
			assert.Equal(t, test.want, inMs(starts(script, begin)))
		})
	}
}

// The second in which others wait for a silent probe begins anew when an older probe fails meanwhile.
func TestGateSilentProbeBesideFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Millisecond), dialtest.Refuse.After(1500*time.Millisecond), dialtest.Timeout, dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: every(100 * time.Millisecond)}
		d.MaxElapsed = time.Minute
		begin := time.Now()
		crowd(2, func(int) error { _, err := d.Dial("tcp", address); return err })
		assert.Equal(t, []time.Duration{0, 101, 1101, 2601}, inMs(starts(script, begin))[:4])
	})
}

// A dial that waits behind another makes a probe before its time is up, if others have left and the next probe has become due
// later.
func TestGateOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := gateDialer(script, new(redial.Gate))
		d.Policy = redial.Policy{redial.Refused: every(10 * time.Second)}
		begin := time.Now()
		leaving, leave := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, leave)
		for _, dial := range []struct {
			ctx         context.Context
			maxElapsed  time.Duration
			maxAttempts int
		}{
			{t.Context(), -1, 1}, // its failure begins the outage
			{t.Context(), time.Minute, 0},
			{t.Context(), 4 * time.Second, 0},
			{leaving, -1, 0},
		} {
			d := *d
			d.MaxElapsed, d.MaxAttempts = dial.maxElapsed, dial.maxAttempts
			go d.DialContext(dial.ctx, "tcp", address)
			synctest.Wait()
		}
		time.Sleep(4 * time.Second)
		// With three dials, the next probe is due at 3.33 s. When one has left, it is due at 5 s.
		assert.Equal(t, []time.Duration{0, 3800}, inMs(starts(script, begin)))
		time.Sleep(time.Minute)
	})
}

// A dial that has too little time for a probe of its own waits for the probe in flight.
func TestGateWaitsForTheProbeInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Millisecond), dialtest.Refuse.Times(12), dialtest.OK.After(150*time.Millisecond).Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: every(10 * time.Second)}
		begin := time.Now()
		go crowd(99, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return err })
		synctest.Wait()
		limited := *d
		limited.MaxElapsed = 1500 * time.Millisecond
		_, err := limited.Dial("tcp", address) // the probe in flight begins at 1.3 s; the next could begin at 2.3 s
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.Equal(t, limited.MaxElapsed, time.Since(begin))
		time.Sleep(time.Minute) // until the others have connected
	})
}

// The Gate remembers an outage after the last dial has ended. A dial that comes soon
// afterwards makes no attempt.
func TestGateRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := gateDialer(script, new(redial.Gate))
		d.Policy = redial.Policy{redial.Refused: every(time.Second)}
		dial := func() {
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
			defer cancel()
			_, err := d.DialContext(ctx, "tcp", address)
			assert.ErrorIs(t, err, redial.ErrDeadline)
		}
		dial()
		for range 5 {
			time.Sleep(10 * time.Millisecond)
			dial()
		}
		assert.Len(t, script.Dials(), 1)
		time.Sleep(50 * time.Millisecond)
		dial()
		assert.Len(t, script.Dials(), 2, "MinInterval has passed since the failure")

		// A minute after the next probe was due, the Gate forgets the outage.
		time.Sleep(time.Second + time.Minute + 1)
		script.For(address, dialtest.Refuse.After(10*time.Millisecond).Forever())
		crowd(20, func(int) error { dial(); return nil })
		assert.Len(t, script.Dials(), 2+16, "a burst, as for a new target")
	})
}

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

func inMs(all []time.Duration) []time.Duration {
	ms := make([]time.Duration, len(all))
	for i, d := range all {
		ms[i] = d / time.Millisecond
	}
	return ms
}

// The first failure of a burst begins the outage. The other attempts of the burst were
// in flight by then, so their failures change nothing.
func TestGateBurstFailsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(10*time.Millisecond), dialtest.Refuse.After(20*time.Millisecond),
			dialtest.Refuse.After(250*time.Millisecond), dialtest.Refuse, dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 3})
		begin := time.Now()
		crowd(3, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, []time.Duration{0, 0, 0, 110, 210, 210, 350}, inMs(starts(script, begin)))
	})
}

// An attempt of the burst that fails during the outage takes its next delay from the Gate, and its dial waits there. It knows
// that the target fails, so it does not share the failure of an early probe.
func TestGateBurstWaitsAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(10*time.Millisecond), dialtest.Refuse.After(20*time.Millisecond), dialtest.Refuse, dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 2})
		d.Policy = redial.Policy{redial.Refused: every(10 * time.Second)}
		var mu sync.Mutex
		var delays []time.Duration
		d.OnAttempt = func(_ context.Context, a redial.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			assert.False(t, a.Shared)
			delays = append(delays, a.Delay)
		}
		begin := time.Now()
		crowd(2, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, []time.Duration{0, 0, 5010, 10010, 10010}, inMs(starts(script, begin)))
		assert.Equal(t, []time.Duration{10_000, 9990, 5000, 0, 0}, inMs(delays))
	})
}

// The failure of an early probe is shared with the dials that did not know that the target fails. Their record says how much is
// left of the delay.
func TestGateSharesEarlyProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
		d := gateDialer(script, new(redial.Gate))
		d.Policy = redial.Policy{redial.Refused: every(time.Minute)}
		begin := time.Now()
		once := *d
		once.MaxAttempts = 1
		once.Dial("tcp", address)
		time.Sleep(4 * time.Second)

		impatient := *d
		impatient.MaxElapsed = 50 * time.Millisecond
		time.AfterFunc(time.Second, func() { impatient.Dial("tcp", address) })
		var records []redial.Attempt
		d.OnAttempt = func(_ context.Context, a redial.Attempt) { records = append(records, a) }
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{0, 5000, 60_000}, inMs(starts(script, begin)))
		require.Len(t, records, 2)
		assert.True(t, records[0].Shared)
		assert.Equal(t, 55*time.Second, records[0].Delay)
		assert.Equal(t, time.Second, records[0].Elapsed)
	})
}

// What an attempt learns that began before an outage says nothing about a target that has recovered.
func TestGateIgnoresOldAttempts(t *testing.T) {
	testutil.Bubble(t, "of before a recovery", func(t *testing.T) {
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
	testutil.Bubble(t, "of before a schedule ended", func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Second), dialtest.Refuse, dialtest.OK)
		d := gateDialer(script, &redial.Gate{Burst: 2})
		d.Policy = redial.Policy{redial.Refused: every(10 * time.Second)}
		old, ending := *d, *d
		old.MaxAttempts = 1
		go old.Dial("tcp", address)
		synctest.Wait()
		ending.Policy = redial.Policy{redial.Refused: after()}
		_, err := ending.Dial("tcp", address)
		assert.ErrorIs(t, err, redial.ErrPermanent)
		time.Sleep(1500 * time.Millisecond)
		begin := time.Now()
		_, err = d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Zero(t, time.Since(begin), "nobody is backing off")
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
	}{
		{"never full", 4, func(dial func(int, dialtest.Outcome)) {
			for range 6 {
				dial(1, dialtest.OK.After(round))
			}
		}, 3},
		{"full, but nobody waits", 4, func(dial func(int, dialtest.Outcome)) { dial(3, dialtest.OK.After(round)) }, 4},
		{"full, and others wait", 4, func(dial func(int, dialtest.Outcome)) { dial(6, dialtest.OK.After(round)) }, 5},
		{"failures of one round", 8, func(dial func(int, dialtest.Outcome)) {
			dial(1, dialtest.OK.After(round))
			dial(5, dialtest.Refuse.After(round))
		}, 3},
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
			assert.Equal(t, test.want, atOnce)
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

// If the dial that should probe is canceled, panics or exits, another dial takes over.
func TestGateHandsOver(t *testing.T) {
	type ending func(cancel context.CancelFunc) // how the prober ends
	cancels := func(cancel context.CancelFunc) { cancel() }
	panics := func(context.CancelFunc) { panic("oops") }
	exits := func(context.CancelFunc) { runtime.Goexit() }
	const (
		probe      = 100 * time.Millisecond // after the failure
		probeTakes = time.Second            // the prober's own probe
		soon       = 10 * time.Millisecond
	)
	for _, test := range []struct {
		name         string
		afterFailure ending        // called when the first attempt has failed; nil: the prober goes on
		inProbe      ending        // called at the end of the prober's probe
		want         time.Duration // until the others connect
		takes        time.Duration // the prober's own probe; 0: probeTakes
	}{
		{name: "canceled while waiting", afterFailure: func(cancel context.CancelFunc) { time.AfterFunc(probe/2, cancel) }, want: probe},
		{name: "panics after its failure", afterFailure: panics, want: probe},
		{name: "exits after its failure", afterFailure: exits, want: probe},
		{name: "canceled while probing", inProbe: cancels, want: probe + probeTakes},
		{name: "canceled soon after the beginning of its probe", inProbe: cancels, want: probe + probe, takes: soon},
		{name: "panics while probing", inProbe: panics, want: probe + probeTakes},
		{name: "exits while probing", inProbe: exits, want: probe + probeTakes},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			gate := &redial.Gate{Burst: 1}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			refuses := dialtest.Script(dialtest.Refuse.Forever())
			prober := gateDialer(refuses, gate)
			prober.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				if test.inProbe == nil || len(refuses.Dials()) == 0 {
					return refuses.DialContext(ctx, network, address)
				}
				time.Sleep(cmp.Or(test.takes, probeTakes))
				test.inProbe(cancel)
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if test.afterFailure != nil {
				prober.OnAttempt = func(context.Context, redial.Attempt) { test.afterFailure(cancel) }
			}
			ended := make(chan any, 1)
			go func() {
				defer func() { ended <- recover() }()
				prober.DialContext(ctx, "tcp", address)
			}()
			synctest.Wait()

			others := gateDialer(dialtest.Script(dialtest.OK.Forever()), gate)
			begin := time.Now()
			crowd(10, func(int) error { _, err := others.Dial("tcp", address); assert.NoError(t, err); return nil })
			assert.Equal(t, test.want, time.Since(begin))
			<-ended
		})
	}
}

// panicking is a schedule with a bug.
type panicking struct{ backoff.ZeroBackOff }

func (*panicking) NextBackOff() time.Duration { panic("oops") }

// If a schedule panics, at the first failure or at a probe's failure, another dial takes
// over.
func TestGateSurvivesSchedules(t *testing.T) {
	for _, probing := range []bool{false, true} {
		testutil.Bubble(t, fmt.Sprint("probing: ", probing), func(t *testing.T) {
			gate := &redial.Gate{Burst: 1}
			script := dialtest.Script(dialtest.Refuse.After(time.Second), dialtest.OK.Forever())
			buggy := gateDialer(script, gate)
			buggy.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return new(panicking) }}
			if probing { // the first failure has another class, so the probe's failure starts the buggy schedule
				script.For(address, dialtest.Timeout.After(0), dialtest.Refuse.After(time.Second), dialtest.OK.Forever())
				opener := gateDialer(script, gate)
				opener.MaxAttempts = 1
				opener.Dial("tcp", address)
			}
			ended := make(chan any, 1)
			go func() {
				defer func() { ended <- recover() }()
				buggy.Dial("tcp", address)
			}()
			time.Sleep(500 * time.Millisecond)
			d := gateDialer(script, gate)
			begin := time.Now()
			crowd(5, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
			assert.Less(t, time.Since(begin), 2*time.Second)
			assert.Equal(t, "oops", <-ended)
		})
	}
}

// A failure that is not the target's fault fails its own dial only, and does not make
// the others wait. Neither does a failure of a class that the policy does not retry.
func TestGateIgnores(t *testing.T) {
	for _, outcome := range []dialtest.Outcome{dialtest.NoDescriptors, dialtest.NoFamily, dialtest.NXDomain, dialtest.Fail(context.Canceled)} {
		testutil.Bubble(t, outcome.String(), func(t *testing.T) {
			gate := &redial.Gate{Burst: 1}
			script := dialtest.Script(outcome.After(time.Second), dialtest.OK.Forever())
			d := gateDialer(script, gate)
			d.Policy = redial.DefaultPolicy()
			begin := time.Now()
			errs := crowd(5, func(int) error { _, err := d.Dial("tcp", address); return err })
			failed := 0
			for _, err := range errs {
				if err != nil {
					failed++
				}
			}
			assert.Equal(t, 1, failed, outcome)
			assert.Equal(t, time.Second, time.Since(begin), outcome)

			// If a probe fails in this way, the next dial makes a probe at once.
			script = dialtest.Script(dialtest.Refuse, outcome, dialtest.OK.Forever())
			d = gateDialer(script, gate)
			begin = time.Now()
			errs = crowd(5, func(int) error { _, err := d.Dial("tcp", address); return err })
			assert.Len(t, slices.DeleteFunc(errs, func(err error) bool { return err == nil }), 1)
			assert.Equal(t, 100*time.Millisecond, time.Since(begin), outcome)
		})
	}
}

// A failure that says nothing about the target, but is of a class that the policy
// retries, is retried on the dial's own schedule. Canceled is never retried.
func TestGateLocalTroubleIsRetried(t *testing.T) {
	for _, outcome := range []dialtest.Outcome{dialtest.NoDescriptors, dialtest.NoFamily, dialtest.Fail(context.Canceled)} {
		testutil.Bubble(t, outcome.String(), func(t *testing.T) {
			script := dialtest.Script(outcome, dialtest.OK)
			d := gateDialer(script, new(redial.Gate))
			d.Policy = redial.Policy{redial.Exhausted: every(time.Second), redial.Invalid: every(time.Second), redial.Canceled: every(time.Second)}
			_, err := d.Dial("tcp", address)
			if redial.Classify(errorOf(outcome)) == redial.Canceled {
				assert.ErrorIs(t, err, redial.ErrPermanent)
			} else {
				require.NoError(t, err)
				assert.Equal(t, []time.Duration{time.Second}, script.Delays())
			}

			// The other dials do not wait.
			script.For(address, outcome, dialtest.OK.Forever())
			go d.Dial("tcp", address)
			synctest.Wait()
			begin := time.Now()
			_, err = d.Dial("tcp", address)
			require.NoError(t, err)
			assert.Zero(t, time.Since(begin))
			time.Sleep(time.Minute)
		})
	}
}

// Dialers that use the same Gate wait together. A dial to another target, or at another
// Gate, does not wait.
func TestGateIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := new(redial.Gate)
		script := dialtest.Script(dialtest.OK.Forever()).For(address, dialtest.Refuse, dialtest.OK.Forever())
		first, second := gateDialer(script, gate), gateDialer(script, gate)
		first.Policy = redial.Policy{redial.Refused: every(time.Minute)}
		begin := time.Now()
		go first.Dial("tcp", address)
		synctest.Wait()
		_, err := second.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, 30*time.Second, time.Since(begin), "the first Dialer's schedule applies to the target, and its delay is halved because two dials wait")

		script.For(address, dialtest.Refuse, dialtest.OK.Forever())
		go first.Dial("tcp", address)
		synctest.Wait()
		begin = time.Now()
		for _, other := range []*redial.Dialer{gateDialer(script, new(redial.Gate)), gateDialer(script, nil)} {
			_, err = other.Dial("tcp", address)
			require.NoError(t, err)
		}
		_, err = second.Dial("tcp4", address)
		require.NoError(t, err)
		_, err = second.Dial("tcp", "b.test:80")
		require.NoError(t, err)
		assert.Zero(t, time.Since(begin))
		time.Sleep(time.Hour)
	})
}

// A dial that shares a failure follows its own policy.
func TestGateSharersOwnPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &redial.Gate{Burst: 1}
		script := dialtest.Script(dialtest.Refuse.After(time.Second), dialtest.OK)
		patient, never := gateDialer(script, gate), gateDialer(script, gate)
		never.Policy = redial.Policy{}
		go patient.Dial("tcp", address)
		synctest.Wait()
		_, err := never.Dial("tcp", address)
		assert.Same(t, script.Dials()[0].Err, asError(t, err).Err)
		time.Sleep(time.Hour)
		assert.Len(t, script.Dials(), 2)
	})
}

// When the schedule ends, all dials that wait for the next probe fail.
func TestGateScheduleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const round = 10 * time.Millisecond
		script := dialtest.Script(dialtest.Refuse.After(round).Times(16+2), dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{MinInterval: time.Second})
		d.Policy = redial.Policy{redial.Refused: after(time.Second, time.Second)}
		begin := time.Now()
		for _, err := range crowd(100, func(int) error { _, err := d.Dial("tcp", address); return err }) {
			assert.ErrorIs(t, asError(t, err).Stop, redial.ErrPermanent)
			assert.EqualError(t, asError(t, err).Stop, "schedule ended")
		}
		assert.Equal(t, 2*time.Second+3*round, time.Since(begin))
		script.For(address, dialtest.OK.After(round).Forever())
		begin = time.Now()
		crowd(16, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, round, time.Since(begin), "the Gate has forgotten the outage")
	})
}

// The dials that know of the outage by a probe of their own fail with the others.
func TestGateScheduleEndsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: after(10 * time.Second)}
		d.MaxElapsed = time.Hour
		begin := time.Now()
		for _, err := range crowd(2, func(int) error { _, err := d.Dial("tcp", address); return err }) {
			assert.EqualError(t, asError(t, err).Stop, "schedule ended")
		}
		assert.Equal(t, []time.Duration{0, 5000, 10_000}, inMs(starts(script, begin)))
		assert.Equal(t, 10*time.Second, time.Since(begin))
	})
}

// The next outage starts a schedule anew, also if a dial was in flight all the while: after a schedule ended, or after all dials
// that waited were served.
func TestGateStartsScheduleAnew(t *testing.T) {
	for _, test := range []struct {
		name     string
		schedule []time.Duration
		outcomes []dialtest.Outcome
		dials    []int           // how many are made at once
		starts   []time.Duration // of their attempts, in ms
	}{
		{"ended", []time.Duration{time.Second}, []dialtest.Outcome{dialtest.Refuse.Times(4)}, []int{1, 1},
			[]time.Duration{0, 1000, 1000, 2000}},
		// The failure after a success halves the window, and is retried on the dial's own schedule. The next one begins an outage.
		{"served", []time.Duration{time.Second, time.Hour}, []dialtest.Outcome{dialtest.Refuse, dialtest.OK.After(time.Millisecond).Times(3), dialtest.Refuse.Times(2), dialtest.OK}, []int{1, 2, 1},
			[]time.Duration{0, 1000, 1001, 1001, 1002, 2002, 3002}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.OK.After(24 * time.Hour))
			d := gateDialer(script, &redial.Gate{Burst: 2})
			d.Timeout = 48 * time.Hour
			d.Policy = redial.Policy{redial.Refused: after(test.schedule...)}
			go d.Dial("tcp", address)
			synctest.Wait()
			begin := time.Now()
			script.For(address, test.outcomes...)
			for _, n := range test.dials {
				crowd(n, func(int) error { _, err := d.Dial("tcp", address); return err })
			}
			assert.Equal(t, test.starts, inMs(starts(script, begin))[1:])
			time.Sleep(48 * time.Hour)
		})
	}
}

// Without a schedule, the class is not retried, and the Gate is as before.
func TestGateWithoutSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.OK)
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return nil }}
		begin := time.Now()
		_, err := d.Dial("tcp", address)
		assert.ErrorIs(t, err, redial.ErrPermanent)
		assert.Equal(t, 1, asError(t, err).Attempts)
		_, err = d.Dial("tcp", address)
		assert.NoError(t, err)
		assert.Zero(t, time.Since(begin))
	})
	testutil.Bubble(t, "it fails its own dial only", func(t *testing.T) {
		d := gateDialer(dialtest.Script(dialtest.Refuse, dialtest.OK.Forever()), &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return nil }}
		errs := crowd(10, func(int) error { _, err := d.Dial("tcp", address); return err })
		assert.Len(t, slices.DeleteFunc(errs, func(err error) bool { return err == nil }), 1)
	})
	testutil.Bubble(t, "as a probe, of dials that have one", func(t *testing.T) {
		script := dialtest.Script(dialtest.Reset.After(time.Millisecond), dialtest.Refuse, dialtest.Refuse, dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Reset: every(time.Second), redial.Refused: every(time.Second)}
		without := *d
		without.Policy = redial.Policy{redial.Reset: every(time.Second), redial.Refused: func() backoff.BackOff { return nil }}
		begin := time.Now()
		failed := make(chan error, 1)
		go func() { _, err := without.Dial("tcp", address); failed <- err }()
		time.Sleep(500 * time.Millisecond)
		for _, err := range crowd(3, func(int) error { _, err := d.Dial("tcp", address); return err }) {
			assert.NoError(t, err)
		}
		assert.ErrorIs(t, <-failed, redial.ErrPermanent)
		// The next dial probes at once, and its own policy's schedule begins: a second, divided by three that wait.
		assert.Equal(t, []time.Duration{0, 500, 500, 833}, inMs(starts(script, begin))[:4])
	})
}

// When a target fails again, the first failure is shared with all dials that wait, also with those that share a failure of the
// outage before.
func TestGateSharesRelapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.After(time.Millisecond), dialtest.OK, dialtest.Refuse.Times(3), dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: every(time.Minute)}
		var mu sync.Mutex
		shared := map[time.Duration]int{}
		begin := time.Now()
		d.OnAttempt = func(_ context.Context, a redial.Attempt) {
			if mu.Lock(); a.Shared {
				shared[time.Since(begin)]++
			}
			mu.Unlock()
		}
		crowd(6, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		// One dial connects after 10 s. Two go after it, and fail. The next one begins a new outage, of which two others learn.
		assert.Equal(t, map[time.Duration]int{time.Millisecond: 5, 10*time.Second + time.Millisecond: 2}, shared)
	})
}

// A silent probe that fails at last is the latest news, although another probe has failed since it began.
func TestGateSilentProbeFailsAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.Timeout.After(5*time.Second), dialtest.Refuse, dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: after(200*time.Millisecond, time.Hour), redial.Timeout: every(time.Second)}
		begin := time.Now()
		crowd(2, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, []time.Duration{0, 100, 1100, 5600, 5600}, inMs(starts(script, begin)))
	})
}

// When a schedule ends, dials can still be in flight. The Gate then counts as it does for a new target: Burst dials may be in
// flight, including these.
func TestGateBurstAfterScheduleEnds(t *testing.T) {
	const round = 10 * time.Millisecond
	for _, test := range []struct {
		name   string
		before func(dial func(n int, outcome dialtest.Outcome))
		silent int             // dials that stay in flight
		fail   int             // dials that fail then; the last one begins an outage
		starts []time.Duration // of the next dials, in ms
	}{
		{"the window has grown", func(dial func(int, dialtest.Outcome)) { dial(8, dialtest.OK.After(round)) }, 2, 2, []time.Duration{0, 0, 10, 10, 10}},
		{"the window has shrunk", func(dial func(int, dialtest.Outcome)) { dial(1, dialtest.OK); dial(1, dialtest.Refuse) }, 1, 1, []time.Duration{0, 0, 0, 10, 10}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script()
			d := gateDialer(script, &redial.Gate{Burst: 4})
			d.Policy = redial.Policy{redial.Refused: after()}
			dial := func(n int, outcome dialtest.Outcome) {
				script.For(address, outcome.Forever())
				crowd(n, func(int) error { _, err := d.Dial("tcp", address); return err })
			}
			go dial(test.silent, dialtest.OK.After(time.Second))
			synctest.Wait()
			test.before(dial)
			dial(test.fail, dialtest.Refuse)

			script.For(address, dialtest.OK.After(round).Forever())
			before, begin := len(script.Dials()), time.Now()
			crowd(8, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
			assert.Equal(t, test.starts, inMs(starts(script, begin)[before:before+5]))
			time.Sleep(time.Minute)
		})
	}
}

// With a schedule of zero delays, probes are still 1 ms apart.
func TestGateLeastDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK)
		d := gateDialer(script, new(redial.Gate))
		d.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}, script.Delays())
	})
}

// Attempts of the burst that are still in flight do not reduce the number of dials that
// are admitted when the target is back.
func TestGateRecoversBesideSilentDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const round = 10 * time.Millisecond
		script := dialtest.Script(dialtest.Refuse.After(round), dialtest.Timeout.Times(2), dialtest.OK.After(round).Forever())
		d := gateDialer(script, &redial.Gate{Burst: 3})
		d.MaxAttempts = 2
		begin := time.Now()
		go crowd(2, func(int) error { d.Dial("tcp", address); return nil })
		synctest.Wait()
		crowd(5, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, []time.Duration{0, 0, 0, 110, 120, 120}, inMs(starts(script, begin)[:6]))
		time.Sleep(time.Minute)
	})
}

// A failure after the recovery halves the window. A second failure without a success in
// between is a relapse. It starts with the first delay of the schedule.
func TestGateRelapseStartsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.OK, dialtest.Refuse.Times(3), dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		begin := time.Now()
		crowd(3, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		assert.Equal(t, []time.Duration{0, 100, 100, 100, 200, 300, 300}, inMs(starts(script, begin)))
	})
}

// A relapse while dials still wait continues the schedule, so that a server that can
// serve only some of the dials gets ever fewer probes.
func TestGateRelapseContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Times(3), dialtest.OK, dialtest.Refuse.Times(3), dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: after(8*time.Second, 16*time.Second, 32*time.Second, 64*time.Second)}
		begin := time.Now()
		crowd(8, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
		all := starts(script, begin)
		// The probes at 1, 2 and 3 s fall into the first delay. The probe at 3 s
		// succeeds, and the next three attempts fail. The other dials wait for the
		// second delay.
		assert.Equal(t, []time.Duration{0, 1000, 2000, 3000, 3000, 3000, 3000}, inMs(all[:7]))
		assert.Equal(t, 3*time.Second+16*time.Second/5, all[7])
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

func TestGateReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := new(redial.Gate)
		gate.Reset("tcp", address) // the Gate does not know this target yet
		script := dialtest.Script(dialtest.Refuse, dialtest.OK.Forever())
		d := gateDialer(script, gate)
		d.Policy = redial.Policy{redial.Refused: every(time.Hour)}
		begin := time.Now()
		time.AfterFunc(time.Minute, func() { gate.Reset("tcp", address) })
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(begin))

		// Nobody waits: the next dial that comes makes the probe at once.
		script.For(address, dialtest.Refuse, dialtest.OK)
		once := *d
		once.MaxAttempts = 1
		_, err = once.Dial("tcp", address)
		require.Error(t, err)
		gate.Reset("tcp", address)
		begin = time.Now()
		_, err = d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Zero(t, time.Since(begin))

		// It does not matter how long ago the last probe was, or that another has just failed.
		script.For(address, dialtest.Refuse, dialtest.Refuse.After(20*time.Millisecond), dialtest.OK)
		time.AfterFunc(time.Minute, func() { gate.Reset("tcp", address) })
		time.AfterFunc(time.Minute+30*time.Millisecond, func() { gate.Reset("tcp", address) })
		begin = time.Now()
		_, err = d.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, time.Minute+30*time.Millisecond, time.Since(begin))
	})
}

// A waiting dial ends when it is canceled or out of time. If it was just admitted, the
// next dial takes its turn.
func TestGateWaitersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &redial.Gate{Burst: 1}
		script := dialtest.Script(dialtest.OK.After(time.Hour), dialtest.OK.Forever())
		d := gateDialer(script, gate)
		d.Timeout = 2 * time.Hour
		go d.Dial("tcp", address)
		synctest.Wait()

		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		start := time.Now()
		_, err := d.DialContext(ctx, "tcp", address)
		assert.Equal(t, time.Second, time.Since(start))
		assert.ErrorIs(t, err, errCause)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, asError(t, err).Attempts)

		closed := *d
		closeCancel(&closed, time.Second)
		start = time.Now()
		_, err = closed.Dial("tcp", address)
		assert.Equal(t, time.Second, time.Since(start))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, asError(t, err).Attempts)

		limited := *d
		limited.MaxElapsed = time.Second
		start = time.Now()
		_, err = limited.Dial("tcp", address)
		assert.Equal(t, time.Second, time.Since(start))
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		assert.EqualError(t, err, "dial tcp: a.test:80: not attempted: MaxElapsed too close")

		// A dial that is admitted at the moment at which it gives up passes its turn on.
		ctx, cancelAt := context.WithTimeout(t.Context(), time.Hour-3*time.Second)
		defer cancelAt()
		go d.DialContext(ctx, "tcp", address)
		_, err = d.Dial("tcp", address)
		assert.NoError(t, err)
	})
}

// canceling is a schedule that calls cancel when it is asked for a delay.
type canceling struct{ cancel func() }

func (canceling) Reset() {}
func (c canceling) NextBackOff() time.Duration {
	c.cancel()
	return time.Hour
}

// A dial is canceled in the very moment in which a failure is shared with it. The Gate is locked while it asks the schedule, so
// the dial finds both when it goes on. It ends as canceled, and keeps the failure.
func TestGateCanceledAsFailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		script := dialtest.Script(dialtest.Refuse.After(time.Second))
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Refused: func() backoff.BackOff { return canceling{func() { cancel(errCause) }} }}
		d.MaxElapsed = time.Minute
		go d.Dial("tcp", address)
		synctest.Wait()

		logger, logs := observed()
		waiting := *d
		waiting.Logger = logger
		_, err := waiting.DialContext(ctx, "tcp", address)
		e := asError(t, err)
		assert.Equal(t, errCause, e.Stop)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, redial.Refused, e.Class)
		assert.Same(t, lastOf(t, script, 1).Err, e.Err)
		assert.Equal(t, 1, e.Attempts)
		assert.Equal(t, time.Second, e.Elapsed)
		require.Len(t, e.History, 1)
		assert.True(t, e.History[0].Shared)
		assert.Equal(t, errCause, e.History[0].Stop)
		assert.Zero(t, e.History[0].Delay)
		assert.Equal(t, 1, logs.Len(), "one record for the shared failure, which is the last")
		time.Sleep(time.Hour)
	})
}

// A failure of another class is shared with all waiting dials, and starts the schedule
// of that class. If a silent host begins to refuse, for example, the host is back, and
// its server will be soon.
func TestGateClassChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Timeout.After(0), dialtest.Refuse, dialtest.OK.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		d.Policy = redial.Policy{redial.Timeout: every(time.Minute), redial.Refused: every(time.Second)}
		begin := time.Now()
		crowd(2, func(int) error {
			refused := 0
			d := *d
			d.OnAttempt = func(_ context.Context, a redial.Attempt) {
				if a.Class == redial.Refused {
					refused++
				}
			}
			_, err := d.Dial("tcp", address)
			assert.NoError(t, err)
			assert.Equal(t, 1, refused)
			return err
		})
		assert.Equal(t, []time.Duration{0, 30_000, 30_500, 30_500}, inMs(starts(script, begin)))
	})
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

// An attempt's pass is returned before OnAttempt is called, so OnAttempt may dial the
// same target.
func TestGateOnAttemptMayDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, outcome := range []dialtest.Outcome{dialtest.OK, dialtest.Refuse, dialtest.NXDomain, dialtest.NoDescriptors} {
			script := dialtest.Script(outcome, dialtest.OK.Forever())
			inner := gateDialer(script, &redial.Gate{Burst: 1})
			outer := *inner
			outer.OnAttempt = func(ctx context.Context, a redial.Attempt) {
				if a.Number == 1 {
					_, err := inner.DialContext(ctx, "tcp", address)
					assert.NoError(t, err)
				}
			}
			begin := time.Now()
			outer.Dial("tcp", address)
			assert.LessOrEqual(t, time.Since(begin), 100*time.Millisecond, outcome)
		}
	})
}

// An http.Client with little time per request soon reaches a server that is back: the
// first answer comes within 150 ms, and no request that begins after the server's return
// fails.
func TestGateServesImpatientClients(t *testing.T) {
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

// A dial within another dial's attempt does not use the Gate: it would wait for the
// attempt that it is part of.
func TestGateNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &redial.Gate{Burst: 1}
		script := dialtest.Script(dialtest.Refuse.Times(2), dialtest.OK)
		inner := gateDialer(script, gate)
		outer := gateDialer(nil, gate)
		outer.DialFunc = inner.DialContext
		_, err := outer.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}, script.Delays())
	})
}

package redial_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// Whatever a schedule returns, two attempts are at least 1 ms apart, and the dial ends.
func TestScheduleCannotHurt(t *testing.T) {
	literal := func() backoff.BackOff {
		return &backoff.ExponentialBackOff{InitialInterval: time.Second, MaxElapsedTime: 10 * time.Second}
	}
	for _, test := range []struct {
		name     string
		schedule func() backoff.BackOff
		want     []time.Duration
	}{
		{"zero", func() backoff.BackOff { return &backoff.ZeroBackOff{} }, []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}},
		{"under 1 ms", every(time.Microsecond), []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}},
		{"negative", after(time.Second, -2), []time.Duration{time.Second}},
		{"for ever", after(time.Second, 1<<63-1), []time.Duration{time.Second, 3419 * time.Second}}, // the second wait is shortened so that a twentieth of the hour is left for a last attempt
		{"backoff's retries", func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2) },
			[]time.Duration{time.Second, time.Second}},
		// As backoff has it, a literal without Clock panics, one with Stop 0 never ends,
		// and one with Multiplier 0 does not wait.
		{"a literal", literal, []time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond}},
		{"a literal with a clock", func() backoff.BackOff {
			b := literal().(*backoff.ExponentialBackOff)
			b.Clock, b.Multiplier, b.MaxInterval = backoff.SystemClock, 3, 4*time.Second
			b.MaxElapsedTime = 0
			return b
		}, []time.Duration{time.Second, 3 * time.Second, 4 * time.Second}},
		{"a literal with a Stop of its own", func() backoff.BackOff {
			b := literal().(*backoff.ExponentialBackOff)
			b.Stop, b.MaxElapsedTime = 5*time.Second, 3*time.Second
			return b
		}, []time.Duration{time.Second, 1500 * time.Millisecond, 5 * time.Second}},
		{"a literal with a clock of its own", func() backoff.BackOff {
			b := literal().(*backoff.ExponentialBackOff)
			b.Clock = &leapingClock{}
			return b
		}, []time.Duration{time.Second, 1500 * time.Millisecond}},
		{"an empty literal", func() backoff.BackOff { return &backoff.ExponentialBackOff{} },
			[]time.Duration{500 * time.Millisecond, 750 * time.Millisecond, 1125 * time.Millisecond}},
		{"a literal that reaches the default MaxInterval", func() backoff.BackOff { return &backoff.ExponentialBackOff{InitialInterval: 50 * time.Second} },
			[]time.Duration{50 * time.Second, time.Minute, time.Minute}},
		{"a literal that starts beyond the default MaxInterval", func() backoff.BackOff { return &backoff.ExponentialBackOff{InitialInterval: 2 * time.Minute} },
			[]time.Duration{2 * time.Minute, 2 * time.Minute, 2 * time.Minute}},
		{"a wrapper around backoff's own", func() backoff.BackOff {
			b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithRandomizationFactor(0))
			return backoff.WithMaxRetries(b, 2)
		}, []time.Duration{time.Second, 1500 * time.Millisecond}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := dialtest.Script(dialtest.Refuse.Forever())
				d := &redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: test.schedule}, MaxAttempts: 4, MaxElapsed: time.Hour}
				_, err := d.Dial("tcp", address)
				require.Error(t, err)
				assert.Equal(t, test.want, script.Delays())
			})
		})
	}

	t.Run("a literal ends by its MaxElapsedTime", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			_, err := (&redial.Dialer{DialFunc: script.DialContext, Policy: redial.Policy{redial.Refused: literal}, MaxElapsed: -1}).Dial("tcp", address)
			assert.Equal(t, redial.ErrScheduleEnded, asError(t, err).Stop)
			assert.Equal(t, []time.Duration{time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond, 3375 * time.Millisecond}, script.Delays())
		})
	})
}

// leapingClock is 4 s later each time it is asked.
type leapingClock struct{ now time.Time }

func (c *leapingClock) Now() time.Time {
	c.now = c.now.Add(4 * time.Second)
	return c.now
}

// The delays of Exponential double up to max, and are spread out evenly around the nominal delay.
func TestExponentialStaysWithinItsBounds(t *testing.T) {
	const initial, limit = 100 * time.Millisecond, 5 * time.Second
	newSchedule := redial.Exponential(initial, limit)
	least, most, atLimit := map[int]time.Duration{}, map[int]time.Duration{}, 0
	for range 2000 {
		schedule := newSchedule()
		schedule.Reset()
		interval := initial
		for i := range 10 {
			delay := schedule.NextBackOff()
			require.GreaterOrEqual(t, delay, interval/2)
			require.LessOrEqual(t, delay, min(interval*3/2, limit), "delay %d", i)
			if l, ok := least[i]; !ok || delay < l {
				least[i] = delay
			}
			most[i] = max(most[i], delay)
			if delay == limit {
				atLimit++
			}
			interval = min(interval*2, limit)
		}
	}
	// Delays are spread out from the first one on, and also at max. The chance that
	// 2000 even draws all miss a given tenth of the range is 1 in 10^91.
	assert.Less(t, least[0], initial*6/10)
	assert.Greater(t, most[0], initial*14/10)
	assert.Less(t, least[9], limit*55/100)
	assert.Greater(t, most[9], limit*95/100)
	assert.Less(t, atLimit, 10, "if delays were cut off at max, half of them would be equal")

	for _, test := range []struct{ initial, limit, least, most time.Duration }{
		{time.Second, time.Millisecond, 500 * time.Millisecond, time.Second},
		{0, 0, time.Millisecond / 2, time.Millisecond},
		{-1, -1, time.Millisecond / 2, time.Millisecond},
		{1, 1, 0, 1},
		{2, 1, 1, 2},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64 / 8, math.MaxInt64 / 4}, // there is no longer delay
		{time.Second, math.MaxInt64, 500 * time.Millisecond, math.MaxInt64 / 4},
	} {
		schedule := redial.Exponential(test.initial, test.limit)()
		schedule.Reset()
		for range 100 {
			delay := schedule.NextBackOff()
			assert.GreaterOrEqual(t, delay, test.least)
			assert.LessOrEqual(t, delay, test.most)
		}
	}
}

// assertSpread checks that the least delay is between low and aboveLow, and the greatest between belowHigh and high.
func assertSpread(t *testing.T, delays []time.Duration, low, aboveLow, belowHigh, high time.Duration) {
	t.Helper()
	assert.GreaterOrEqual(t, slices.Min(delays), low)
	assert.LessOrEqual(t, slices.Min(delays), aboveLow)
	assert.GreaterOrEqual(t, slices.Max(delays), belowHigh)
	assert.LessOrEqual(t, slices.Max(delays), high)
}

// DefaultPolicy retries five classes, and returns a copy.
func TestDefaultPolicyRetriesFiveClasses(t *testing.T) {
	longest := map[redial.Class]time.Duration{
		redial.Refused:     time.Second,
		redial.Unreachable: time.Second,
		redial.Reset:       5 * time.Second,
		redial.DNS:         5 * time.Second,
		redial.Timeout:     5 * time.Second,
	}
	policy := redial.DefaultPolicy()
	for class := range classes {
		assert.Equal(t, longest[class] != 0, policy[class] != nil, class)
	}
	for class, longest := range longest {
		var first, tenth []time.Duration
		for range 500 {
			schedule := policy[class]()
			schedule.Reset()
			first = append(first, schedule.NextBackOff())
			for range 8 {
				schedule.NextBackOff()
			}
			tenth = append(tenth, schedule.NextBackOff())
		}
		// A twentieth of the range has none of 500 even draws once in 10^11 runs.
		assertSpread(t, first, 50*time.Millisecond, 55*time.Millisecond, 145*time.Millisecond, 150*time.Millisecond)
		assertSpread(t, tenth, longest/2, longest*21/40, longest*39/40, longest)
	}

	// DefaultPolicy returns a copy: changing it does not affect other dials.
	clear(policy)
	assert.Len(t, redial.DefaultPolicy(), len(longest))
	synctest.Test(t, func(t *testing.T) {
		_, err := (&redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext}).Dial("tcp", address)
		assert.NoError(t, err)
	})
}

// FuzzSchedules dials on schedules that the bytes make, also broken ones, while the target fails as the
// bytes say. Whatever a schedule does, the dial keeps its bounds. Time is virtual.
func FuzzSchedules(f *testing.F) {
	testutil.AddDecisions(f, 500, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1000 {
			return // more takes longer and finds nothing new
		}
		synctest.Test(t, func(t *testing.T) {
			s := scheduled{t: t, data: data}
			s.decide()
			s.dial()
			s.check()
		})
	})
}

// longestDelay is the longest delay that a schedule returns.
const longestDelay = math.MaxInt64

// errSchedule is what a schedule panics with.
var errSchedule = errors.New("the schedule panics")

// A scheduled is one dial on schedules of the fuzzer.
type scheduled struct {
	t      *testing.T
	data   testutil.Decisions
	dialer redial.Dialer
	script *dialtest.Dialer
	ctx    context.Context
	cancel time.Duration // when ctx is canceled; 0: never
	pause  time.Duration // that OnAttempt takes
	shared backoff.BackOff
	slow   bool                  // a schedule takes time itself
	noEnd  map[redial.Class]bool // the schedules that do not end

	start, ended time.Time
	end          time.Time // of the dial at the latest; zero: none
	told         []told
	attempts     []redial.Attempt
	err          error
	panicked     any
	exited       bool
}

// A told is a delay that a schedule has returned.
type told struct {
	at    time.Time
	delay time.Duration
}

var scheduledClasses = []redial.Class{redial.Refused, redial.Reset, redial.Timeout, redial.NotFound}

func (s *scheduled) decide() {
	s.start = time.Now()
	var outcomes []dialtest.Outcome
	failures := []dialtest.Outcome{dialtest.Refuse, dialtest.Refuse, dialtest.Reset, dialtest.Timeout, dialtest.NXDomain}
	for range s.data.Pick(1, 2, 8) {
		outcome := failures[s.data.Next()%len(failures)]
		if s.data.Next()%2 == 0 {
			outcome = outcome.After(s.data.UpTo(3 * time.Second))
		}
		outcomes = append(outcomes, outcome.Times(s.data.Pick(1, 1, 5, 300)))
	}
	s.script = dialtest.Script(append(outcomes, dialtest.OK.Forever())...)

	s.dialer.DialFunc = s.script.DialContext
	s.dialer.Timeout = time.Duration(s.data.Pick(0, 1, 20, 3000)) * time.Millisecond
	s.dialer.MaxAttempts = s.data.Pick(0, 0, 2, 7, -1)
	if s.data.Next()%4 == 0 {
		s.pause = s.data.UpTo(time.Second)
	}
	s.dialer.OnAttempt = func(_ context.Context, a redial.Attempt) {
		s.attempts = append(s.attempts, a)
		time.Sleep(s.pause)
	}
	s.dialer.Policy, s.noEnd = redial.Policy{}, map[redial.Class]bool{}
	for _, class := range scheduledClasses {
		newSchedule, ends := s.newSchedule()
		if s.noEnd[class] = !ends; newSchedule != nil {
			s.dialer.Policy[class] = newSchedule
		}
	}
	if s.data.Next()%8 == 0 {
		s.dialer.Gate = &redial.Gate{MinInterval: time.Duration(s.data.Pick(0, 1, 500)) * time.Millisecond}
	}

	s.ctx = s.t.Context()
	endBy := func(after time.Duration) {
		if end := s.start.Add(after); s.end.IsZero() || end.Before(s.end) {
			s.end = end
		}
	}
	s.dialer.MaxElapsed = []time.Duration{0, time.Millisecond, 700 * time.Millisecond, 10 * time.Second, time.Hour, math.MaxInt64, -1}[s.data.Next()%7]
	switch {
	case s.dialer.MaxElapsed == 0:
		endBy(30 * time.Second)
	case s.dialer.MaxElapsed > 0:
		endBy(s.dialer.MaxElapsed)
	}
	if s.data.Next()%3 == 0 {
		after := s.data.UpTo(20 * time.Second)
		s.dialer.Deadline = s.start.Add(after)
		endBy(after)
	}
	if s.data.Next()%3 == 0 {
		after := s.data.UpTo(20 * time.Second)
		ctx, cancel := context.WithTimeout(s.ctx, after)
		s.ctx = ctx
		s.t.Cleanup(cancel)
		endBy(after)
	}
	if s.data.Next()%4 == 0 || s.end.IsZero() || s.end.Sub(s.start) > 24*time.Hour {
		ctx, cancel := context.WithCancel(s.ctx)
		s.ctx = ctx
		s.cancel = s.data.UpTo(time.Minute) + 1
		timer := time.AfterFunc(s.cancel, cancel)
		s.t.Cleanup(func() { timer.Stop(); cancel() })
	}
}

// newSchedule returns what a Policy has for a class, and whether the schedule can end.
func (s *scheduled) newSchedule() (_ func() backoff.BackOff, ends bool) {
	switch s.data.Next() % 8 {
	case 0:
		return nil, true
	case 1:
		return func() backoff.BackOff { return nil }, true
	case 2:
		return func() backoff.BackOff { return (*fuzzedSchedule)(nil) }, true
	case 3: // shared by all classes that have it
		if s.shared == nil {
			s.shared = s.schedule(0)
		}
		return func() backoff.BackOff { return s.shared }, true
	case 4:
		initial, limit := s.delay(), s.delay()
		if s.data.Next()%8 == 0 {
			initial, limit = math.MaxInt64, math.MaxInt64
		}
		return redial.Exponential(initial, limit), false
	case 5:
		if s.data.Next()%4 == 0 {
			return func() backoff.BackOff { panic(errSchedule) }, true
		}
	}
	one := s.schedule(0)
	return func() backoff.BackOff { return one }, true // each class calls it once
}

// schedule returns a schedule, which may wrap another.
func (s *scheduled) schedule(layers int) backoff.BackOff {
	if layers == 12 {
		return &backoff.ZeroBackOff{}
	}
	var clock backoff.Clock // a literal within a wrapper must have its own
	if layers > 0 {
		clock = backoff.SystemClock
	}
	switch s.data.Next() % 9 {
	case 0:
		return &backoff.ZeroBackOff{}
	case 1:
		return &backoff.StopBackOff{}
	case 2:
		return backoff.NewConstantBackOff(s.delay())
	case 3:
		factors := []float64{0, 0.5, 1, 2, 1e300, -3, math.Inf(1), math.NaN()}
		return &backoff.ExponentialBackOff{
			Clock: clock, InitialInterval: s.delay(), MaxInterval: s.delay(), MaxElapsedTime: s.data.UpTo(10 * time.Second), Stop: s.delay(),
			Multiplier: factors[s.data.Next()%len(factors)], RandomizationFactor: factors[s.data.Next()%len(factors)],
		}
	case 4:
		return &backoff.ExponentialBackOff{Clock: clock}
	case 5:
		return backoff.WithMaxRetries(s.schedule(layers+1), uint64(s.data.Next()%4))
	case 6:
		ctx := s.t.Context()
		if s.data.Next()%4 == 0 {
			ctx = canceled()
		}
		return backoff.WithContext(s.schedule(layers+1), ctx)
	}
	all := &fuzzedSchedule{of: s}
	for range s.data.Pick(1, 2, 6) {
		all.delays = append(all.delays, s.delay())
	}
	all.odd, all.oddAt = s.data.Next()%16, s.data.Next()%8
	if all.odd == 2 || all.odd == 3 {
		s.slow = true
	}
	return all
}

func (s *scheduled) delay() time.Duration {
	all := []time.Duration{0, 1, -1, math.MinInt64, longestDelay, longestDelay - 1, time.Millisecond - 1, time.Millisecond, backoff.Stop}
	if i := s.data.Next() % 32; i < len(all) {
		return all[i]
	}
	return s.data.UpTo(2 * time.Second)
}

// A fuzzedSchedule returns its delays again and again, with one odd call among them.
type fuzzedSchedule struct {
	of     *scheduled
	delays []time.Duration
	calls  int
	odd    int // what is odd at the call oddAt
	oddAt  int
}

func (f *fuzzedSchedule) Reset() {
	if f.odd == 4 && f.oddAt == 0 {
		panic(errSchedule)
	}
}

func (f *fuzzedSchedule) NextBackOff() time.Duration {
	delay := f.delays[f.calls%len(f.delays)]
	f.calls++
	if f.calls == f.oddAt {
		switch f.odd {
		case 0:
			panic(errSchedule)
		case 1:
			runtime.Goexit()
		case 2:
			time.Sleep(time.Second)
		case 3:
			time.Sleep(time.Minute)
		}
	}
	f.of.told = append(f.of.told, told{time.Now(), delay})
	return delay
}

// dial dials. A panic and the end of the goroutine count as the schedule's own.
func (s *scheduled) dial() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.exited = true
		defer func() {
			s.ended = time.Now()
			if s.panicked = recover(); s.panicked != nil {
				s.exited = false
			}
		}()
		conn, err := s.dialer.DialContext(s.ctx, "tcp", address)
		s.err, s.exited = err, false
		if err == nil {
			conn.Close()
		}
	}()
	<-done
}

func (s *scheduled) check() {
	t := s.t
	if s.panicked != nil && s.panicked != errSchedule {
		t.Fatalf("%v", s.panicked)
	}
	if !s.slow {
		if !s.end.IsZero() {
			assert.LessOrEqual(t, s.ended.Sub(s.end), s.pause, "the dial ended late")
		}
		if s.cancel > 0 {
			assert.LessOrEqual(t, s.ended.Sub(s.start), s.cancel+s.pause, "the dial outlived its context")
		}
	}
	assert.Empty(t, s.script.Open())
	dials := s.script.Dials()
	if s.dialer.MaxAttempts > 0 {
		assert.LessOrEqual(t, len(dials), s.dialer.MaxAttempts)
	}
	for i, gap := range s.script.Delays() {
		assert.GreaterOrEqual(t, gap, time.Millisecond, "before attempt %d", i+2)
	}
	for _, d := range dials {
		if !s.end.IsZero() {
			assert.True(t, d.Start.Before(s.end), "an attempt began after the dial's end")
		}
	}
	s.checkDelays(dials)
	if s.err != nil {
		s.checkStop(asError(t, s.err))
	} else if s.panicked == nil && !s.exited {
		assert.NoError(t, dials[len(dials)-1].Err)
	}
}

// checkDelays compares the waits with what the schedules have returned and the records say.
func (s *scheduled) checkDelays(dials []dialtest.Dial) {
	t := s.t
	shortened := 0
	for i, a := range s.attempts {
		assert.Equal(t, i+1, a.Number)
		if a.Err == nil {
			continue
		}
		if a.Stop != 0 {
			assert.Zero(t, a.Delay)
			assert.Len(t, s.attempts, i+1, "an attempt after the last one")
			continue
		}
		assert.GreaterOrEqual(t, a.Delay, time.Millisecond)
		if s.dialer.Gate != nil || s.slow {
			continue
		}
		failedAt := a.Start.Add(a.Duration)
		if !s.end.IsZero() {
			assert.True(t, failedAt.Add(a.Delay).Before(s.end), "a wait of %v past the dial's end", a.Delay)
		}
		if i+1 < len(dials) {
			assert.Equal(t, max(a.Delay, s.pause), dials[i+1].Start.Sub(dials[i].End), "the wait after attempt %d", i+1)
		}
		for _, told := range s.told {
			if told.at.Equal(failedAt) && a.Delay != max(told.delay, time.Millisecond) {
				assert.Less(t, a.Delay, told.delay, "a wait is longer than the schedule says")
				shortened++
			}
		}
	}
	assert.LessOrEqual(t, shortened, 1, "a wait is shortened once")
}

// checkStop checks that the dial stopped for the reason that it names.
func (s *scheduled) checkStop(e *redial.Error) {
	t := s.t
	assert.Equal(t, len(s.script.Dials()), e.Attempts)
	if len(s.attempts) == 0 {
		return
	}
	last := s.attempts[len(s.attempts)-1]
	failedAt := last.Start.Add(last.Duration)
	switch {
	case errors.Is(e.Stop, redial.ErrPermanent):
		ended := e.Stop == redial.ErrScheduleEnded
		if newSchedule := s.dialer.Policy[last.Class]; newSchedule == nil || s.noEnd[last.Class] {
			assert.False(t, ended, "the schedule has no end")
		} else if ended && !s.slow && len(s.told) > 0 && s.told[len(s.told)-1].at.Equal(failedAt) {
			assert.Negative(t, s.told[len(s.told)-1].delay, "the schedule has not ended")
		}
	case e.Stop == redial.ErrMaxAttempts:
		assert.Equal(t, s.dialer.MaxAttempts, e.Attempts)
	case e.Stop == redial.ErrMaxElapsed, e.Stop == redial.ErrDeadline:
		if s.slow || s.dialer.Gate != nil || s.cancel > 0 || s.pause > 0 {
			return
		}
		var longest time.Duration
		for _, a := range s.attempts {
			longest = max(longest, a.Duration)
		}
		tooLittle := max(s.end.Sub(s.start)/20, 2*longest) + time.Millisecond
		assert.LessOrEqual(t, s.end.Sub(failedAt), tooLittle, "there was time for another attempt")
	default:
		assert.Equal(t, redial.ErrCanceled, e.Stop)
		assert.Positive(t, s.cancel)
	}
}

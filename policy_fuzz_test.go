package redial_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

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
	switch s.data.Next() % 10 {
	case 0:
		return &backoff.ZeroBackOff{}
	case 1:
		return &backoff.StopBackOff{}
	case 2:
		return backoff.NewConstantBackOff(s.delay())
	case 3:
		factors := []float64{0, 0.5, 1, 2, 1e300, -3, math.Inf(1), math.NaN()}
		return &backoff.ExponentialBackOff{
			InitialInterval: s.delay(), MaxInterval: s.delay(), MaxElapsedTime: s.data.UpTo(10 * time.Second), Stop: s.delay(),
			Multiplier: factors[s.data.Next()%len(factors)], RandomizationFactor: factors[s.data.Next()%len(factors)],
		}
	case 4:
		return &backoff.ExponentialBackOff{}
	case 5:
		return backoff.WithMaxRetries(s.schedule(layers+1), uint64(s.data.Next()%4))
	case 6:
		ctx := s.t.Context()
		if s.data.Next()%4 == 0 {
			ctx = canceled()
		}
		return backoff.WithContext(s.schedule(layers+1), ctx)
	case 7:
		w := &wrapper{}
		w.BackOff = w
		return w
	}
	all := &fuzzedSchedule{of: s, within: s.schedule(layers + 1)}
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
	within backoff.BackOff // not asked, but found by reflection
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
		if a.Stop != nil {
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
		ended := e.Stop.Error() == "schedule ended"
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
		assert.ErrorIs(t, e.Stop, context.Canceled)
		assert.Positive(t, s.cancel)
	}
}

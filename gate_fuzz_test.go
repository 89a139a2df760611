package redial_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// FuzzGate makes dials at a Gate, and compares what their attempts do to the targets, and
// which failures they share, with a plain model of what a Gate promises. The bytes decide all:
// the Gate's fields, the dials and their bounds, how long their attempts take and how they end,
// when targets are down, when callers give up, and the Resets. Time is virtual.
func FuzzGate(f *testing.F) {
	testutil.AddDecisions(f, 60, 30)
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { newGateModel(t, data).run() })
	})
}

// A gateModel is a Gate, its targets, and what has happened so far.
type gateModel struct {
	t        *testing.T
	data     testutil.Decisions
	gate     *redial.Gate
	burst    int
	interval time.Duration
	begin    time.Time

	mu       sync.Mutex // guards what is below
	targets  map[string]*modelTarget
	failures map[error]*modelDial // whose attempt failed
}

// A modelTarget is what the attempts show about a target. Where the order of two events of one
// moment matters, it assumes what forbids less.
type modelTarget struct {
	outages [][2]time.Time // when it refuses

	attempts map[*modelAttempt]bool // in flight
	limit    int                    // the most that may be, while the target answers
	latest   *modelAttempt
	endedAt  time.Time // when the latest ones ended
	ended    int       // how many

	answered time.Time // the latest success or Reset; zero: none
	halved   time.Time // the first failure since then; zero: none
	downAt   time.Time // since when it is certainly down; zero: it may answer
	failedAt time.Time
	doubtAt  time.Time // the latest failure, also one that may not count
}

type modelAttempt struct {
	start   time.Time
	reached bool // it counts for MinInterval
	ended   bool
}

// A modelDial is a dial that the bytes have decided.
type modelDial struct {
	target  string
	at      time.Duration
	givesUp time.Duration // from at; 0: never
	dialer  redial.Dialer
	ends    []attemptEnd // of its first attempts

	shared map[error]bool
	due    time.Time // of its next attempt
	count  int       // of its records
}

type attemptEnd struct {
	after time.Duration
	how   int
}

const (
	asTarget  = iota // connects if the target is up, is refused if it is down
	asSilent         // waits until its time is up
	asLocal          // fails for a reason that is not the target's
	asPanic          // ends without a result
	asNotMine        // fails in a way that no policy retries
)

var errCrash = errors.New("crash")

func newGateModel(t *testing.T, data []byte) *gateModel {
	m := &gateModel{t: t, data: data, begin: time.Now(), targets: map[string]*modelTarget{}, failures: map[error]*modelDial{}}
	m.gate = &redial.Gate{Burst: m.data.Pick(0, 1, 2, 5), MinInterval: time.Duration(m.data.Pick(0, 1, 50, 1000)) * ms}
	m.burst, m.interval = m.gate.Burst, m.gate.MinInterval
	if m.burst == 0 {
		m.burst = 16
	}
	if m.interval == 0 {
		m.interval = 100 * ms
	}
	return m
}

func (m *gateModel) run() {
	names := []string{"a.test:80", "b.test:80"}
	for _, name := range names {
		target := &modelTarget{limit: m.burst, attempts: map[*modelAttempt]bool{}}
		for at := m.begin; m.data.Next()%2 == 1; {
			from := at.Add(m.data.UpTo(5 * time.Second))
			at = from.Add(m.data.UpTo(20 * time.Second))
			target.outages = append(target.outages, [2]time.Time{from, at})
		}
		m.targets[name] = target
	}
	var all sync.WaitGroup
	for len(m.data) > 0 {
		if m.data.Next()%16 == 0 {
			name := names[m.data.Next()%2]
			time.AfterFunc(m.data.UpTo(20*time.Second), func() { m.reset(name) })
			continue
		}
		d := m.decideDial(names)
		for range m.data.Pick(1, 1, 3, 20) {
			all.Go(func() { m.dial(d) })
		}
	}
	all.Wait() // synctest fails the test if a dial waits for ever
	assert.Less(m.t, time.Since(m.begin), time.Hour)
	for name, target := range m.targets {
		assert.Empty(m.t, target.attempts, name)
	}
}

func (m *gateModel) decideDial(names []string) modelDial {
	data := &m.data
	d := modelDial{target: names[data.Next()%2], at: data.UpTo(20 * time.Second)}
	if data.Next()%4 == 0 {
		d.givesUp = 1 + data.UpTo(5*time.Second)
	}
	d.dialer.Gate, d.dialer.Logger = m.gate, zap.NewNop()
	d.dialer.MaxElapsed = time.Duration(data.Pick(-1, 1, 60, 100, 500, 3000, 30_000)) * ms
	d.dialer.MaxAttempts = data.Pick(0, 0, 1, 3)
	d.dialer.Timeout = time.Duration(data.Pick(200, 1500, 10_000)) * ms
	retry := every(1 + data.UpTo(time.Second))
	if data.Next()%4 == 0 {
		retry = maxRetries(data.UpTo(time.Second), uint64(data.Next()%5))
	}
	d.dialer.Policy = redial.Policy{redial.Refused: retry, redial.Timeout: retry, redial.Exhausted: retry}
	for range data.Next() % 6 {
		d.ends = append(d.ends, attemptEnd{data.UpTo(3 * time.Second), data.Pick(asTarget, asTarget, asTarget, asSilent, asLocal, asPanic, asNotMine)})
	}
	return d
}

// dial makes one dial, and checks that it ends in time.
func (m *gateModel) dial(d modelDial) {
	time.Sleep(d.at)
	begin, ctx := time.Now(), context.Background()
	if d.givesUp > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.givesUp)
		defer cancel()
	}
	d.shared, d.due = map[error]bool{}, begin
	made := 0
	d.dialer.DialFunc = func(ctx context.Context, _, name string) (net.Conn, error) {
		end := attemptEnd{after: ms}
		if made < len(d.ends) {
			end = d.ends[made]
		}
		made++
		return m.attempt(ctx, &d, end)
	}
	d.dialer.OnAttempt = func(_ context.Context, a redial.Attempt) { m.record(&d, &a) }
	defer func() {
		if v := recover(); v != nil {
			assert.Equal(m.t, errCrash, v)
		}
		if most := d.dialer.MaxElapsed; most > 0 {
			assert.LessOrEqual(m.t, time.Since(begin), most)
		}
		if d.givesUp > 0 {
			assert.LessOrEqual(m.t, time.Since(begin), d.givesUp)
		}
	}()
	_, err := d.dialer.DialContext(ctx, "tcp", d.target)
	if e, ok := errors.AsType[*redial.Error](err); ok {
		assert.Equal(m.t, d.count, e.Attempts)
	}
}

// attempt is the DialFunc of all dials.
func (m *gateModel) attempt(ctx context.Context, d *modelDial, end attemptEnd) (net.Conn, error) {
	a, isDown := m.began(d.target, end.how != asLocal)
	var err error
	if end.how == asSilent {
		<-ctx.Done()
		err = &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	} else {
		select {
		case <-ctx.Done():
			err = &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
		case <-time.After(end.after):
		}
	}
	switch {
	case end.how == asPanic:
		m.ended(d, a, nil, false)
		panic(errCrash)
	case err != nil:
	case end.how == asLocal:
		err = &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno.TooManyFiles.Err())}
	case end.how == asNotMine:
		err = &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}
	case isDown:
		err = &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", sysRefused)}
	}
	m.ended(d, a, err, end.how != asLocal && (err == nil || ctx.Err() == nil))
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{}, nil
}

// began notes that an attempt begins, and checks that it may.
func (m *gateModel) began(name string, reached bool) (_ *modelAttempt, isDown bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, now := m.targets[name], time.Now()
	a := &modelAttempt{start: now, reached: reached}
	certain := !t.downAt.IsZero() && t.downAt.Before(now) && now.Sub(t.failedAt) < 59*time.Second
	if certain && t.failedAt.Before(now) {
		assert.GreaterOrEqual(m.t, now.Sub(t.failedAt), m.interval, "%s: within MinInterval of a failure", name)
	}
	last := t.latest
	if certain && last != nil && last.start.After(t.downAt) && last.start.Before(now) && last.reached {
		least := m.interval
		if !last.ended {
			least = max(least, time.Second)
		}
		assert.GreaterOrEqual(m.t, now.Sub(last.start), least, "%s: two attempts at once", name)
	}
	if t.doubtAt.IsZero() || t.doubtAt.Before(t.answered) { // certainly not down
		inFlight := len(t.attempts)
		if t.endedAt.Equal(now) {
			inFlight += 2 * t.ended // each may have raised the limit
		}
		if inFlight >= t.limit && last != nil && now.Sub(last.start) >= time.Second {
			t.limit++ // in place of a silent one
		}
		assert.Less(m.t, len(t.attempts), t.limit, "%s: more attempts than the window allows", name)
	}
	t.attempts[a], t.latest = true, a
	for _, outage := range t.outages {
		isDown = isDown || !now.Before(outage[0]) && now.Before(outage[1])
	}
	return a, isDown
}

// ended notes the end of an attempt. If it counts, err says something about the target.
func (m *gateModel) ended(d *modelDial, a *modelAttempt, err error, counts bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, now := m.targets[d.target], time.Now()
	a.ended = true
	delete(t.attempts, a)
	if !t.endedAt.Equal(now) {
		t.endedAt, t.ended = now, 0
	}
	t.ended++
	switch {
	case err != nil:
		m.failures[err], t.doubtAt = d, now
		if counts {
			t.failed(a, now)
		}
	case counts:
		t.answers(now)
	}
}

func (t *modelTarget) answers(now time.Time) {
	t.limit = max(t.limit, len(t.attempts)+1) + 1
	t.answered, t.halved, t.downAt = now, time.Time{}, time.Time{}
}

func (t *modelTarget) failed(a *modelAttempt, now time.Time) {
	t.failedAt = now
	switch {
	case !t.downAt.IsZero() || !t.answered.IsZero() && !a.start.After(t.answered):
	case t.answered.IsZero() || !t.halved.IsZero() && a.start.After(t.halved):
		t.downAt = now
	case t.halved.IsZero():
		t.halved = now
	}
}

func (m *gateModel) reset(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets[name].answers(time.Now())
	m.gate.Reset("tcp", name)
}

// record checks what a dial is told about an attempt.
func (m *gateModel) record(d *modelDial, a *redial.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	d.count++
	assert.Equal(m.t, d.count, a.Number)
	assert.True(m.t, d.dialer.MaxAttempts == 0 || d.count <= d.dialer.MaxAttempts)
	if a.Shared {
		owner := m.failures[a.Err]
		assert.NotNil(m.t, owner, "a failure that nobody had")
		assert.NotSame(m.t, owner, d, "the dial's own failure")
		assert.Equal(m.t, owner.target, d.target)
		assert.False(m.t, d.shared[a.Err], "a failure that the dial knows")
		d.shared[a.Err] = true
		age := now.Sub(a.Start.Add(a.Duration))
		switch a.Stop {
		case 0, redial.ErrPermanent:
			assert.Less(m.t, age, m.interval, "an old failure")
		case redial.ErrMaxAttempts:
			assert.Less(m.t, age, m.interval, "an old failure")
			late := now.Sub(d.due) >= time.Second && !a.Start.Before(d.due)
			hurried := d.dialer.MaxElapsed > 0 || d.givesUp > 0
			assert.True(m.t, late || hurried, "the last attempt is not the dial's own")
		}
	}
	d.due = now.Add(a.Delay)
	if a.Err != nil && a.Stop == 0 && a.Class != redial.Exhausted {
		assert.GreaterOrEqual(m.t, d.due.Sub(a.Start.Add(a.Duration)), m.interval, "a delay under MinInterval")
	}
}

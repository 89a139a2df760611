package redial_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
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

// Dials that could harm the other dials at a Gate, and must not.

// The limits of one dial end that dial only, whoever begins.
func TestGateLimitsAreADialsOwn(t *testing.T) {
	limited := sameDial{dialer: redial.Dialer{Policy: retries(maxRetries(50*ms, 5))}}
	unlimited := sameDial{dialer: redial.Dialer{}}
	first := func(d sameDial) sameDial { d.at = 0; return d }
	later := func(d sameDial, at time.Duration) sameDial { d.at = at; return d }
	for _, test := range []struct {
		name  string
		dials []sameDial
	}{
		{"the limited one first", []sameDial{first(limited), later(unlimited, 1*ms)}},
		{"the unlimited one first", []sameDial{first(unlimited), later(limited, 1*ms)}},
		{"two limited ones", []sameDial{first(limited), later(limited, 240*ms)}},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			script := dialtest.Script(dialtest.Refuse.Forever())
			for i, c := range courses(t, test.dials, script, new(redial.Gate)) {
				if test.dials[i].dialer.Policy == nil {
					assert.ErrorIs(t, c.err, redial.ErrMaxElapsed)
					assert.GreaterOrEqual(t, c.took, 28*time.Second)
					assert.Greater(t, len(c.attempts), 25)
				} else {
					assert.Len(t, c.attempts, 6)
					assert.EqualError(t, asError(t, c.err).Stop, "schedule ended")
					assert.GreaterOrEqual(t, c.took, 400*ms, "five delays, of which the first counts from the shared failure")
					assert.LessOrEqual(t, c.took, 700*ms)
				}
			}
		})
	}
}

var errCertificate = errors.New("bad certificate")

// A server refuses, and then comes back with a bad certificate, which no policy retries. All
// dials report that within a second.
func TestGatePassesOnWhatNobodyRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		d := &redial.Dialer{Gate: new(redial.Gate)}
		d.Classifier = func(err error) redial.Class {
			if errors.Is(err, errCertificate) {
				return redial.TLS
			}
			return redial.Unknown
		}
		d.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(ms)
			if time.Since(begin) < 3*time.Second {
				return nil, errorOf(dialtest.Refuse)
			}
			return nil, errCertificate
		}
		for _, err := range crowd(500, func(int) error { _, err := d.Dial("tcp", address); return err }) {
			assert.Equal(t, redial.TLS, asError(t, err).Class)
		}
		assert.LessOrEqual(t, time.Since(begin), 4*time.Second+100*ms)
	})
}

// The functions of many Do dial by contexts of their own, at the same Gate. They do not wait
// for the Do that they are in.
func TestGateDoDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.After(10 * ms).Forever())
		d := gateDialer(script, new(redial.Gate))
		d.MaxElapsed = 30 * time.Second
		begin := time.Now()
		errs := crowd(16, func(int) error {
			_, err := redial.Do(t.Context(), d, "tcp", address, func(context.Context) (int, error) {
				conn, err := d.Dial("tcp", address) // as a pool does
				if err == nil {
					conn.Close()
				}
				return 0, err
			})
			return err
		})
		assert.Equal(t, make([]error, 16), errs)
		assert.Equal(t, 10*ms, time.Since(begin))
	})
}

// When every attempt is Exhausted, each dial fails by itself. It costs the same whether few or
// many others wait.
func TestGateExhaustedCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dials := many(20_000)
		script := dialtest.Script(dialtest.Refuse, dialtest.NoDescriptors.Forever())
		d := gateDialer(script, &redial.Gate{Burst: 1})
		failOnce(d)
		time.Sleep(150 * ms)
		start := time.Now()
		for _, err := range crowd(dials, func(int) error { _, err := d.Dial("tcp", address); return err }) {
			assert.Equal(t, redial.Exhausted, redial.Classify(err))
		}
		assert.Zero(t, time.Since(start))
		assert.Len(t, script.Dials(), 1+dials)
	})
}

// Attempts that go on although their time is up do not lock a target.
func TestGateDeafDialFuncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := new(redial.Gate)
		deaf := &redial.Dialer{Gate: gate, MaxAttempts: 1}
		deaf.Timeout = time.Second
		deaf.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Hour)
			return nil, errCustom
		}
		go crowd(16, func(int) error { _, err := deaf.Dial("tcp", address); return err })
		synctest.Wait()
		d := gateDialer(dialtest.Script(dialtest.OK.After(10*ms).Forever()), gate)
		begin := time.Now()
		for _, err := range crowd(100, func(int) error { _, err := d.Dial("tcp", address); return err }) {
			assert.NoError(t, err)
		}
		assert.Less(t, time.Since(begin), 1100*ms)
		time.Sleep(time.Hour)
	})
}

// If the dial whose turn it is ends without a result, another dial takes over.
func TestGateHandsOver(t *testing.T) {
	for name, end := range map[string]func(cancel context.CancelFunc){
		"canceled": func(cancel context.CancelFunc) { cancel() },
		"panics":   func(context.CancelFunc) { panic("oops") },
		"exits":    func(context.CancelFunc) { runtime.Goexit() },
	} {
		for _, during := range []string{"the attempt", "OnAttempt"} {
			testutil.Bubble(t, name+" in "+during, func(t *testing.T) {
				gate := &redial.Gate{Burst: 1}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				first := gateDialer(dialtest.Script(dialtest.Refuse.Forever()), gate)
				failOnce(first)
				time.Sleep(100 * ms)
				if during == "OnAttempt" {
					first.OnAttempt = func(context.Context, redial.Attempt) { end(cancel) }
				} else {
					first.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
						time.Sleep(200 * ms)
						end(cancel)
						<-ctx.Done()
						return nil, ctx.Err()
					}
				}
				ended := make(chan any, 1)
				go func() {
					defer func() { ended <- recover() }()
					first.DialContext(ctx, "tcp", address)
				}()
				time.Sleep(ms)
				others := gateDialer(dialtest.Script(dialtest.OK.Forever()), gate)
				others.Policy = retries(every(100 * ms))
				begin := time.Now()
				crowd(10, func(int) error { _, err := others.Dial("tcp", address); assert.NoError(t, err); return nil })
				want := 199 * ms
				if during == "OnAttempt" {
					want = 100 * ms // after the failure that they share
				}
				assert.Equal(t, want, time.Since(begin))
				<-ended
			})
		}
	}
}

// panicsNext is a schedule with a bug.
type panicsNext struct{ backoff.ZeroBackOff }

func (*panicsNext) NextBackOff() time.Duration { panic("oops") }

// Schedules are the dials' own. One that panics, ends or is nil ends its own dial only.
func TestGateBadSchedules(t *testing.T) {
	for name, schedule := range map[string]func() backoff.BackOff{
		"panics": func() backoff.BackOff { return new(panicsNext) },
		"ends":   after(),
		"nil":    func() backoff.BackOff { return nil },
	} {
		testutil.Bubble(t, name, func(t *testing.T) {
			gate := new(redial.Gate)
			script := dialtest.Script(dialtest.Refuse, dialtest.OK.Forever())
			bad, d := gateDialer(script, gate), gateDialer(script, gate)
			bad.Policy = retries(schedule)
			func() {
				defer func() { recover() }()
				_, err := bad.Dial("tcp", address)
				assert.ErrorIs(t, err, redial.ErrPermanent)
			}()
			begin := time.Now()
			crowd(5, func(int) error { _, err := d.Dial("tcp", address); assert.NoError(t, err); return nil })
			assert.Equal(t, 100*ms, time.Since(begin))
		})
	}
}

// A dial is canceled in the very moment in which it takes a failure. It ends as canceled, and
// keeps the failure.
func TestGateCanceledAsItShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := gateDialer(script, new(redial.Gate))
		failOnce(d)
		d.OnAttempt = func(context.Context, redial.Attempt) { cancel(errCause) }
		_, err := d.DialContext(ctx, "tcp", address)
		e := asError(t, err)
		assert.Equal(t, redial.ErrCanceled, e.Stop)
		assert.Equal(t, errCause, e.Cause)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, redial.Refused, e.Class)
		assert.Same(t, lastOf(t, script, 1).Err, e.Err)
		require.Len(t, e.History, 1)
		assert.True(t, e.History[0].Shared)
	})
}

// A policy without the class of the failure ends its own dial. It is told of failures that others
// retry, and the others of failures that it does not retry.
func TestGateDifferentPolicies(t *testing.T) {
	for _, first := range []bool{false, true} {
		testutil.Bubble(t, fmt.Sprint("it fails first: ", first), func(t *testing.T) {
			gate := &redial.Gate{Burst: 1}
			script := dialtest.Script(dialtest.Refuse.After(10*ms).Times(2), dialtest.OK.Forever())
			never, patient := gateDialer(script, gate), gateDialer(script, gate)
			never.Policy = redial.Policy{}
			ended := make(chan error, 1)
			dial := func() { _, err := never.Dial("tcp", address); ended <- err }
			if first {
				go dial()
				synctest.Wait()
			} else {
				time.AfterFunc(5*ms, dial)
			}
			begin := time.Now()
			_, err := patient.Dial("tcp", address)
			require.NoError(t, err)
			assert.Equal(t, []time.Duration{0, 110, 320}, inMs(starts(script, begin)))
			e := asError(t, <-ended)
			assert.Equal(t, redial.ErrPermanent, e.Stop)
			assert.Equal(t, !first, e.History[0].Shared)
		})
	}
}

// A dial whose own time is short learns nothing that others need to know: a healthy server that takes 60 ms to accept is not
// down because a health check allows 20 ms.
func TestGateIgnoresShortSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.After(60 * ms).Forever())
		patient := &redial.Dialer{DialFunc: script.DialContext, Gate: new(redial.Gate)}
		hasty := *patient
		hasty.MaxAttempts, hasty.Timeout = 1, 20*ms
		for range 5 {
			_, err := hasty.Dial("tcp", address)
			assert.Equal(t, redial.Timeout, redial.Classify(err))
		}
		start := time.Now()
		_, err := patient.Dial("tcp", address)
		require.NoError(t, err)
		assert.Equal(t, 60*ms, time.Since(start))
	})
}

// An attempt that is due when too little time will be left for another one is the dial's last, and its own.
func TestGateLastAttemptByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := gateDialer(script, &redial.Gate{MinInterval: 500 * ms})
		d.MaxElapsed, d.Policy = 10*time.Second, redial.Policy{redial.Refused: after(9600*ms, time.Second)}
		other := *d
		other.Policy = redial.Policy{redial.Refused: every(time.Second)}
		go other.Dial("tcp", address)
		var last redial.Attempt
		d.OnAttempt = func(_ context.Context, a redial.Attempt) { last = a }
		synctest.Wait()
		time.Sleep(ms)
		_, err := d.Dial("tcp", address)
		require.Error(t, err)
		assert.False(t, last.Shared, "%v", last)
		time.Sleep(time.Minute)
	})
}

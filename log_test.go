package redial_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A line is an expected log record. The record must have exactly these fields.
type line struct {
	level  zapcore.Level
	msg    string
	fields map[string]any
}

// assertLogged checks that the records logged since its last call are want.
func assertLogged(t *testing.T, logs *observer.ObservedLogs, want ...line) {
	t.Helper()
	got := []line{}
	for _, entry := range logs.TakeAll() {
		got = append(got, line{entry.Level, entry.Message, entry.ContextMap()})
	}
	assert.Equal(t, want, got)
}

// The log tests make their own failures, because the texts of dialtest's failures depend
// on the operating system.
var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80},
		Err: os.NewSyscallError("connect", sysRefused)}
	errReset = opError("tcp", "connect", sysReset)
)

func TestLogEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		const after = 20 * time.Millisecond
		refuse := dialtest.Fail(errRefused).After(after)
		nxDomain := dialtest.NXDomain.Winsock().After(after) // has the same text on every operating system
		script := dialtest.Script(refuse, dialtest.Timeout, dialtest.OK.After(after).Times(2), refuse, dialtest.Timeout, nxDomain)
		d := &redial.Dialer{
			DialFunc: script.DialContext,
			Policy:   redial.Policy{redial.Refused: every(100 * time.Millisecond), redial.Timeout: every(time.Second)},
			Logger:   logger,
		}
		d.Timeout = 30 * time.Millisecond
		_, err := d.Dial("tcp", address)
		require.NoError(t, err)
		warned := []line{
			{zap.WarnLevel, "dial attempt failed, will retry", map[string]any{
				"network": "tcp", "address": address, "attempt": 1, "duration": 20 * time.Millisecond, "elapsed": 20 * time.Millisecond,
				"class": "refused", "error": errRefused.Error(), "errno": sysRefused.Error(),
				"delay": 100 * time.Millisecond}},
			{zap.WarnLevel, "dial attempt failed, will retry", map[string]any{
				"network": "tcp", "address": address, "attempt": 2, "duration": 30 * time.Millisecond, "elapsed": 150 * time.Millisecond,
				"class": "timeout", "error": "dial tcp 192.0.2.1:80: i/o timeout",
				"delay": time.Second}},
		}
		assertLogged(t, logs, append(warned, line{zap.InfoLevel, "dial recovered", map[string]any{
			"network": "tcp", "address": address, "attempt": 3, "duration": 20 * time.Millisecond, "elapsed": 1170 * time.Millisecond,
			"remote": "192.0.2.1:80"}})...)

		_, err = d.Dial("tcp", address)
		require.NoError(t, err)
		assertLogged(t, logs, line{zap.DebugLevel, "dial succeeded", map[string]any{
			"network": "tcp", "address": address, "attempt": 1, "duration": 20 * time.Millisecond, "elapsed": 20 * time.Millisecond,
			"remote": "192.0.2.1:80"}})

		_, err = d.Dial("tcp", address)
		require.Error(t, err)
		assertLogged(t, logs, append(warned, line{zap.ErrorLevel, "dial failed", map[string]any{
			"network": "tcp", "address": address, "attempt": 3, "duration": 20 * time.Millisecond, "elapsed": 1170 * time.Millisecond,
			"class": "not_found", "error": "dial tcp: lookup a.test: no such host", "stop": "not to be retried"}})...)
	})
}

// A failure is logged at a lower level if somebody else decides whether it is final: the
// dial around a nested one, or a caller that sets MaxAttempts to 1.
func TestLogLevelsOfOthersDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		script := dialtest.Script(dialtest.Refuse, dialtest.NXDomain, dialtest.OK)
		inner := &redial.Dialer{DialFunc: script.DialContext, Logger: logger}
		outer := &redial.Dialer{DialFunc: inner.DialContext, Policy: redial.Policy{redial.Refused: every(time.Second), redial.NotFound: every(time.Second)}}
		_, err := outer.Dial("tcp", address)
		require.NoError(t, err)
		records := logs.TakeAll()
		assert.Len(t, records, 3)
		for _, entry := range records {
			assert.Equal(t, zap.DebugLevel, entry.Level, entry.Message)
			assert.Equal(t, true, entry.ContextMap()["nested"])
		}

		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		inner.MaxAttempts = 1
		for _, test := range []struct {
			ctx     context.Context
			outcome dialtest.Outcome
			level   zapcore.Level
			msg     string
		}{
			{t.Context(), dialtest.NXDomain, zap.WarnLevel, "dial failed"},
			{t.Context(), dialtest.OK, zap.DebugLevel, "dial succeeded"},
			{canceled, dialtest.OK, zap.InfoLevel, "dial canceled"},
		} {
			inner.DialFunc = dialtest.Script(test.outcome).DialContext
			inner.DialContext(test.ctx, "tcp", address)
			entry := logs.TakeAll()[0]
			assert.Equal(t, test.level, entry.Level)
			assert.Equal(t, test.msg, entry.Message)
		}
	})
}

// If OnAttempt takes so long that the dial's time is up before the next attempt, the end
// of the dial is logged.
func TestLogEndBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		d := &redial.Dialer{
			DialFunc:   dialtest.Script(dialtest.Fail(errRefused).Forever()).DialContext,
			Logger:     logger,
			MaxElapsed: time.Second,
			OnAttempt:  func(context.Context, redial.Attempt) { time.Sleep(10 * time.Second) },
		}
		_, err := d.Dial("tcp", address)
		assert.ErrorIs(t, err, redial.ErrMaxElapsed)
		all := logs.TakeAll()
		require.Len(t, all, 2)
		assert.Equal(t, zap.ErrorLevel, all[1].Level)
		assert.Equal(t, "dial failed", all[1].Message)
		assert.Equal(t, map[string]any{"network": "tcp", "address": address, "attempts": 1, "elapsed": 10 * time.Second, "class": "refused",
			"error": errRefused.Error(), "errno": sysRefused.Error(), "stop": "MaxElapsed reached"}, all[1].ContextMap())
	})
}

// A dial that its caller canceled is logged at level Info, not as an error.
func TestLogCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Timeout).DialContext, Logger: logger, Policy: redial.Policy{redial.Refused: every(10 * time.Second)}}
		_, err := d.DialContext(ctx, "tcp", address)
		require.Error(t, err)
		assertLogged(t, logs, line{zap.InfoLevel, "dial canceled", map[string]any{
			"network": "tcp", "address": address, "attempt": 1, "duration": time.Second, "elapsed": time.Second,
			"class": "canceled", "error": "dial tcp 192.0.2.1:80: operation was canceled", "stop": "canceled", "cause": "the request is gone"}})

		// The caller cancels before the first attempt.
		_, err = d.DialContext(ctx, "tcp", address)
		require.Error(t, err)
		assertLogged(t, logs, line{zap.InfoLevel, "dial canceled", map[string]any{
			"network": "tcp", "address": address, "attempts": 0, "elapsed": time.Duration(0),
			"class": "canceled", "error": "canceled", "stop": "canceled", "cause": "the request is gone"}})

		// The caller cancels during a wait. The attempt's record announced a retry, so
		// the cancellation gets a record too.
		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errCause) })
		d.DialFunc = dialtest.Script(dialtest.Fail(errRefused)).DialContext
		_, err = d.DialContext(ctx, "tcp", address)
		require.Error(t, err)
		assertLogged(t, logs,
			line{zap.WarnLevel, "dial attempt failed, will retry", map[string]any{
				"network": "tcp", "address": address, "attempt": 1, "duration": time.Duration(0), "elapsed": time.Duration(0),
				"class": "refused", "error": errRefused.Error(), "errno": sysRefused.Error(), "delay": 10 * time.Second}},
			line{zap.InfoLevel, "dial canceled", map[string]any{
				"network": "tcp", "address": address, "attempts": 1, "elapsed": time.Second,
				"class": "refused", "error": errRefused.Error(), "errno": sysRefused.Error(), "stop": "canceled", "cause": "the request is gone"}})

		// The inner dialer cancels the attempt by itself, not the caller.
		d.DialFunc = dialtest.Script(dialtest.Fail(context.Canceled)).DialContext
		_, err = d.DialContext(t.Context(), "tcp", address)
		require.Error(t, err)
		assertLogged(t, logs, line{zap.ErrorLevel, "dial failed", map[string]any{
			"network": "tcp", "address": address, "attempt": 1, "duration": time.Duration(0), "elapsed": time.Duration(0),
			"class": "canceled", "error": "context canceled", "stop": "not to be retried"}})
	})
}

// OnAttempt gets the Attempt after it was logged, with the context of the dial.
func TestOnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "value")
		logger, logs := observed()
		var seen []redial.Attempt
		script := dialtest.Script(dialtest.Refuse, dialtest.OK)
		d := &redial.Dialer{
			DialFunc: script.DialContext,
			Policy:   redial.Policy{redial.Refused: every(time.Second)},
			Logger:   logger,
			OnAttempt: func(ctx context.Context, a redial.Attempt) {
				seen = append(seen, a)
				assert.Equal(t, len(seen), logs.Len())
				assert.Equal(t, "value", ctx.Value(key{}))
			},
		}
		start := time.Now()
		conn, err := d.DialContext(ctx, "tcp", address)
		require.NoError(t, err)
		refused := script.Dials()[0].Err
		assert.Equal(t, []redial.Attempt{
			{Network: "tcp", Address: address, Number: 1, Start: start, Err: refused, Class: redial.Refused, Delay: time.Second},
			{Network: "tcp", Address: address, Number: 2, Start: start.Add(time.Second), Elapsed: time.Second, Remote: conn.RemoteAddr()},
		}, seen)
		assert.Same(t, refused, seen[0].Err)
	})
}

// The time that OnAttempt takes counts as part of the wait and of MaxElapsed. It makes no
// attempt late, and no attempt begins after the end of the dial.
func TestOnAttemptTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := &redial.Dialer{
			DialFunc:   script.DialContext,
			Policy:     redial.Policy{redial.Refused: every(time.Second)},
			MaxElapsed: 5500 * time.Millisecond,
			OnAttempt:  func(context.Context, redial.Attempt) { time.Sleep(600 * time.Millisecond) },
		}
		_, err := d.Dial("tcp", address)
		assert.Equal(t, 6, asError(t, err).Attempts)
		for _, delay := range script.Delays()[:5] {
			assert.Equal(t, time.Second, delay)
		}

		d.OnAttempt = func(context.Context, redial.Attempt) { time.Sleep(10 * time.Second) }
		for _, budget := range []time.Duration{0, time.Second} {
			var deadline time.Time
			if budget > 0 {
				deadline = time.Now().Add(budget)
			}
			start := time.Now()
			d.Deadline, d.MaxElapsed = deadline, time.Second
			_, err = d.Dial("tcp", address)
			assert.Equal(t, 1, asError(t, err).Attempts)
			assert.Equal(t, 10*time.Second, time.Since(start), "the dial ends without a wait")
			assert.Equal(t, 10*time.Second, asError(t, err).Elapsed)
		}
	})
}

// If OnAttempt cancels the dial, the dial ends at once.
func TestOnAttemptCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		script := dialtest.Script(dialtest.Refuse.Forever())
		d := &redial.Dialer{DialFunc: script.DialContext, OnAttempt: func(context.Context, redial.Attempt) { cancel() }}
		start := time.Now()
		_, err := d.DialContext(ctx, "tcp", address)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, time.Since(start))
		assert.Len(t, script.Dials(), 1)
	})
}

// A Dialer without a Logger uses zap's global logger at the time of the dial.
func TestLogGlobal(t *testing.T) {
	logger, logs := observed()
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain.Forever()).DialContext}
	restore := zap.ReplaceGlobals(logger)
	_, err := d.Dial("tcp", address)
	restore()
	require.Error(t, err)
	assert.Equal(t, 1, logs.Len())
	_, err = d.Dial("tcp", address)
	require.Error(t, err)
	assert.Equal(t, 1, logs.Len())
}

// The messages are constants, so that zap's sampling limits the records of all addresses
// together.
func TestLogSampling(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	var dropped atomic.Int64
	sampled := zapcore.NewSamplerWithOptions(core, time.Hour, 2, 0, zapcore.SamplerHook(func(_ zapcore.Entry, d zapcore.SamplingDecision) {
		if d&zapcore.LogDropped > 0 {
			dropped.Add(1)
		}
	}))
	d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.NXDomain.Forever()).DialContext, Logger: zap.New(sampled)}
	for _, address := range []string{"a.test:1", "b.test:2", "c.test:3", "d.test:4", "e.test:5"} {
		d.Dial("tcp", address)
	}
	assert.Equal(t, 2, logs.Len())
	assert.EqualValues(t, 3, dropped.Load())
}

// zap.Object logs an Error with its fields and history.
func TestErrorAsLogObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &redial.Dialer{
			DialFunc:    dialtest.Script(dialtest.Fail(errReset), dialtest.Fail(errRefused)).DialContext,
			MaxAttempts: 2,
			Policy:      redial.Policy{redial.Reset: every(time.Second), redial.Refused: every(time.Second)},
		}
		_, err := d.Dial("tcp", address)
		var e *redial.Error
		require.True(t, errors.As(err, &e))
		logger, logs := observed()
		logger.Info("gave up", zap.Object("dial", e))
		common := map[string]any{"network": "tcp", "address": address, "duration": time.Duration(0)}
		with := func(more map[string]any) map[string]any {
			for k, v := range common {
				more[k] = v
			}
			return more
		}
		assertLogged(t, logs, line{zap.InfoLevel, "gave up", map[string]any{"dial": map[string]any{
			"network": "tcp", "address": address, "attempts": 2, "elapsed": time.Second,
			"class": "refused", "error": errRefused.Error(), "errno": sysRefused.Error(), "stop": "MaxAttempts reached",
			"history": []any{
				with(map[string]any{"attempt": 1, "elapsed": time.Duration(0), "class": "reset",
					"error": errReset.Error(), "errno": sysReset.Error(), "delay": time.Second}),
				with(map[string]any{"attempt": 2, "elapsed": time.Second, "class": "refused",
					"error": errRefused.Error(), "errno": sysRefused.Error(), "stop": "MaxAttempts reached"}),
			},
		}}})
	})
}

// A level that is off costs no allocation, for a success or a failure.
func TestLogDisabledAllocatesNothing(t *testing.T) {
	core, _ := observer.New(zapcore.FatalLevel)
	conn := connected(t)
	dial := func(logger *zap.Logger, err error) float64 {
		d := &redial.Dialer{Logger: logger, MaxAttempts: 1, DialFunc: func(context.Context, string, string) (net.Conn, error) {
			if err != nil {
				return nil, err
			}
			return conn, nil
		}}
		ctx := context.Background()
		return testing.AllocsPerRun(100, func() { d.DialContext(ctx, "tcp", address) })
	}
	for _, err := range []error{nil, errCustom} {
		assert.Equal(t, dial(zap.NewNop(), err), dial(zap.New(core), err))
	}
}

// A record has a field only if there is something to say.
func TestFieldsOfRecords(t *testing.T) {
	always := []string{"network", "address", "attempt", "duration", "elapsed"}
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	for _, test := range []struct {
		name   string
		record zapcore.ObjectMarshaler
		more   map[string]any // beside always
	}{
		{"success", redial.Attempt{Remote: errRefused.Addr}, map[string]any{"remote": "192.0.2.1:80"}},
		{"nil pointer as address", redial.Attempt{Remote: (*net.TCPAddr)(nil)}, map[string]any{"remote": ""}},
		{"nested", redial.Attempt{Nested: true}, map[string]any{"nested": true}},
		{"name", redial.Attempt{Resolve: 1}, map[string]any{"resolve": time.Duration(1)}},
		{"name resolved at once", redial.Attempt{Addrs: []redial.AddrResult{{Addr: addr}}}, map[string]any{"resolve": time.Duration(0)}},
		{"unanswered", redial.Attempt{Unanswered: "AAAA"}, map[string]any{"unanswered": "AAAA"}},
		{"delay", redial.Attempt{Delay: 1}, map[string]any{"delay": time.Duration(1)}},
		{"stop", redial.Attempt{Stop: redial.ErrMaxAttempts}, map[string]any{"stop": "MaxAttempts reached"}},
		{"stop with a cause", redial.Attempt{Stop: redial.ErrCanceled, Cause: errCause}, map[string]any{"stop": "canceled", "cause": errCause.Error()}},
		{"failure", redial.Attempt{Err: errCustom}, map[string]any{"class": "unknown", "error": errCustom.Error()}},
		{"errno", redial.Attempt{Err: errRefused, Class: redial.Refused},
			map[string]any{"class": "refused", "error": errRefused.Error(), "errno": sysRefused.Error()}},
		{"shared", redial.Attempt{Err: errCustom, Shared: true}, map[string]any{"class": "unknown", "error": errCustom.Error(), "shared": true}},
		{"addresses", redial.Attempt{Err: errCustom, Addrs: []redial.AddrResult{
			{Addr: addr, Duration: 1, Err: errRefused, Class: redial.Refused},
			{Addr: addr, Duration: 2, Err: errCustom, Connected: true},
			{Addr: addr, Connected: true},
		}}, map[string]any{"class": "unknown", "error": errCustom.Error(), "resolve": time.Duration(0), "addrs": []any{
			map[string]any{"addr": "192.0.2.1:80", "duration": time.Duration(1), "class": "refused", "error": errRefused.Error(), "errno": sysRefused.Error()},
			map[string]any{"addr": "192.0.2.1:80", "duration": time.Duration(2), "connected": true, "class": "unknown", "error": errCustom.Error()},
			map[string]any{"addr": "192.0.2.1:80", "duration": time.Duration(0)},
		}}},
	} {
		enc := zapcore.NewMapObjectEncoder()
		require.NoError(t, test.record.MarshalLogObject(enc))
		for _, name := range always {
			assert.Contains(t, enc.Fields, name)
			delete(enc.Fields, name)
		}
		assert.Equal(t, test.more, enc.Fields, test.name)
	}

	enc := zapcore.NewMapObjectEncoder()
	require.NoError(t, new(redial.Error).MarshalLogObject(enc))
	for _, name := range []string{"stop", "cause", "history", "errno"} {
		assert.NotContains(t, enc.Fields, name)
	}
}

// A fullEncoder has no room for arrays, or for objects within them.
type fullEncoder struct {
	zapcore.ObjectEncoder
	objects bool
}

type fullArray struct{ zapcore.ArrayEncoder }

func (fullArray) AppendObject(zapcore.ObjectMarshaler) error { return errCustom }

func (e fullEncoder) AddArray(_ string, array zapcore.ArrayMarshaler) error {
	if e.objects {
		return array.MarshalLogArray(fullArray{})
	}
	return errCustom
}

// An error of the encoder is returned, so that zap can say so.
func TestLogEncoderFails(t *testing.T) {
	a := redial.Attempt{Err: errRefused, Addrs: []redial.AddrResult{{}}, Stop: redial.ErrPermanent}
	e := &redial.Error{Err: errRefused, History: []redial.Attempt{a}}
	for _, objects := range []bool{false, true} {
		enc := fullEncoder{zapcore.NewMapObjectEncoder(), objects}
		assert.ErrorIs(t, a.MarshalLogObject(enc), errCustom)
		assert.ErrorIs(t, e.MarshalLogObject(enc), errCustom)
	}
}

func TestLogRecoveryAtSecondAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		_, err := (&redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse, dialtest.OK).DialContext, Logger: logger}).Dial("tcp", address)
		require.NoError(t, err)
		records := logs.FilterMessage("dial recovered").All()
		require.Len(t, records, 1)
		assert.Equal(t, zapcore.InfoLevel, records[0].Level)
	})
}

// FuzzEncoders logs records with whatever in their fields by zap's JSON encoder. The result must be valid JSON with
// the record's fields.
func FuzzEncoders(f *testing.F) {
	f.Add([]byte{}, "x")
	f.Add(testutil.RandomBytes(1, 100), "<a href=\"\\\">\u2028\x00\xff\xc3&'\xed\xa0\x80")
	for seed := range 100 {
		f.Add(testutil.RandomBytes(seed, 10+seed), "a.test:80\xff")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if len(data) > 400 || len(text) > 200 {
			return
		}
		d := testutil.Decisions(data)
		a := fuzzedAttempt(&d, text)
		encoded(t, a)
		for _, r := range a.Addrs {
			encoded(t, r)
		}
		e := &redial.Error{
			Network: text, Address: a.Address, Attempts: a.Number, Elapsed: a.Elapsed, Class: a.Class, Err: a.Err, Stop: a.Stop, Cause: a.Cause,
			History: []redial.Attempt{a, fuzzedAttempt(&d, text)}[:d.Next()%3],
		}
		got := encoded(t, e)
		assert.Equal(t, e.Class.String(), got["class"])
		assert.Equal(t, asUTF8(textOf(e.Err)), got["error"])
		if e.Stop != 0 {
			assert.Equal(t, e.Stop.Error(), got["stop"])
		}
		if e.Cause != nil {
			assert.Equal(t, asUTF8(textOf(e.Cause)), got["cause"])
		}
		history, _ := got["history"].([]any)
		assert.Len(t, history, len(e.History))
		if !walks(e) {
			return
		}
		if s := systemErrorIn(e.Err); s != nil {
			assert.Equal(t, asUTF8(textOf(s.Err)), got["errno"])
		}
	})
}

// asUTF8 replaces bytes that are not UTF-8 as JSON encoders do.
func asUTF8(s string) string { return string([]rune(s)) }

// encoded returns the fields of v as zap's JSON encoder writes them.
func encoded(t *testing.T, v zapcore.ObjectMarshaler) (fields map[string]any) {
	t.Helper()
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{EncodeDuration: zapcore.NanosDurationEncoder})
	line, err := encoder.EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Object("v", v)})
	require.NoError(t, err)
	assert.True(t, utf8.Valid(line.Bytes()), "%q", line)
	var entry map[string]map[string]any
	require.NoError(t, json.Unmarshal(line.Bytes(), &entry), "%s", line)
	return entry["v"]
}

// systemErrorIn returns the first system call's error in err, or nil, also if package errors panics.
func systemErrorIn(err error) (s *os.SyscallError) {
	defer func() { _ = recover() }()
	s, _ = errors.AsType[*os.SyscallError](err)
	return s
}

// Neither the log nor an error's message has the password of an address that Do was given. The Error keeps the address as it
// was given, because the program knows it already.
func TestLogHidesUserinfo(t *testing.T) {
	for network, address := range map[string]string{"amqp": "amqp://user:secret@mq:5672/vhost", "mysql": "user:secret@tcp(db:3306)/shop"} {
		logger, logs := observed()
		d := &redial.Dialer{Logger: logger, Policy: redial.Policy{redial.Unknown: every(time.Millisecond)}, MaxAttempts: 3}
		_, err := redial.Do(t.Context(), d, network, address, func(context.Context) (int, error) { return 0, errCustom })
		e := asError(t, err)
		assert.Equal(t, address, e.Address)
		assert.ErrorContains(t, err, "...@")
		logger.Error("failed", zap.Error(err), zap.Object("dial", e))
		assert.Greater(t, logs.Len(), 2)
		for _, record := range logs.All() {
			encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{})
			text, err := encoder.EncodeEntry(record.Entry, record.Context)
			require.NoError(t, err)
			assert.Contains(t, text.String(), "...@")
			assert.NotContains(t, text.String(), "secret")
		}
	}

	// Package net's error has the address in its text.
	logger, logs := observed()
	_, err := (&redial.Dialer{Logger: logger}).DialContext(t.Context(), "tcp", "amqp://user:secret@mq:5672/vhost")
	assert.Equal(t, redial.Invalid, asError(t, err).Class)
	assert.ErrorContains(t, err, "amqp://...@mq:5672/vhost")
	assert.NotContains(t, err.Error(), "secret")
	require.Equal(t, 1, logs.Len())
	assert.NotContains(t, fmt.Sprint(logs.All()[0].ContextMap()), "secret")
}

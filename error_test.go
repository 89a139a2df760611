package redial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

var elapsedOf = regexp.MustCompile(`in [0-9.]+[µm]?s`)

// onThisSystem returns message with this system's text for ECONNREFUSED.
func onThisSystem(message string) string {
	return strings.ReplaceAll(message, "connection refused", sysRefused.Error())
}

// The message is net.Dialer's message, followed by the class, the number of attempts,
// the time, and the reason for stopping.
func TestErrorMessage(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5432}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 5)}
	connect := os.NewSyscallError("connect", sysRefused)
	for _, test := range []struct {
		name  string
		err   error
		delay time.Duration
		max   int
		want  string
	}{
		{"an address", &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: connect}, 400 * time.Millisecond, 4,
			"dial tcp 127.0.0.1:5432: connect: connection refused (refused, 4 attempts in 1.2s: MaxAttempts reached)"},
		{"a source", &net.OpError{Op: "dial", Net: "tcp", Source: local, Addr: addr, Err: connect}, 300 * time.Millisecond, 2,
			"dial tcp 127.0.0.5:0->127.0.0.1:5432: connect: connection refused (refused, 2 attempts in 300ms: MaxAttempts reached)"},
		{"another operation", &net.OpError{Op: "socks connect", Net: "tcp", Addr: addr, Err: connect}, 90 * time.Second, 2,
			"socks connect tcp 127.0.0.1:5432: connect: connection refused (refused, 2 attempts in 1m30s: MaxAttempts reached)"},
		{"no OpError", fmt.Errorf("tunnel: %w", connect), time.Millisecond, 2,
			"dial tcp: a.test:80: tunnel: connect: connection refused (refused, 2 attempts in 1ms: MaxAttempts reached)"},
		{"a name", dnsOpError(&net.DNSError{Err: "server misbehaving", Name: "a.test", Server: "192.0.2.53:53"}), time.Second, 2,
			"dial tcp: a.test:80: lookup a.test on 192.0.2.53:53: server misbehaving (dns, 2 attempts in 1s: MaxAttempts reached)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Fail(test.err).Forever()).DialContext, MaxAttempts: test.max, MaxElapsed: -1,
					Policy: redial.Policy{redial.Refused: every(test.delay), redial.DNS: every(test.delay)}}
				_, err := d.Dial("tcp", address)
				assert.EqualError(t, err, onThisSystem(test.want))
			})
		})
	}

	t.Run("the example in the doc of Error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1250*time.Millisecond)
			defer cancel()
			refuse := dialtest.Fail(&net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: connect})
			d := &redial.Dialer{DialFunc: dialtest.Script(refuse.Forever()).DialContext,
				Policy: redial.Policy{redial.Refused: every(400 * time.Millisecond)}}
			_, err := d.DialContext(ctx, "tcp", addr.String())
			assert.EqualError(t, err, onThisSystem("dial tcp 127.0.0.1:5432: connect: connection refused (refused, 4 attempts in 1.2s: deadline too close)"))
		})
	})

	for want, e := range map[string]*redial.Error{
		"<nil> (unknown, 1 attempt in 0s: not stopped)":            {Attempts: 1},
		"x (timeout, 1 attempt in 12µs: MaxElapsed reached)":       {Attempts: 1, Class: redial.Timeout, Err: errors.New("x"), Elapsed: 12345 * time.Nanosecond, Stop: redial.ErrMaxElapsed},
		"x (tls, 3 attempts in 1h0m0s: not to be retried)":         {Attempts: 3, Class: redial.TLS, Err: errors.New("x"), Elapsed: time.Hour, Stop: redial.ErrPermanent},
		"not attempted: not stopped":                               {},
		"<nil> (refused, 2 attempts in 1.5s: MaxAttempts reached)": {Attempts: 2, Class: redial.Refused, Err: (*net.OpError)(nil), Elapsed: 1499 * time.Millisecond, Stop: redial.ErrMaxAttempts},
	} {
		assert.EqualError(t, e, want)
	}
}

// The message says whether the dial has used its time, or ended because too little was left, and what the owner of
// a context said when it canceled the dial.
func TestErrorMessageSaysWhyItStopped(t *testing.T) {
	for _, test := range []struct {
		name    string
		outcome dialtest.Outcome
		set     func(d *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc)
		want    string
	}{
		{"too little time before MaxElapsed", dialtest.Fail(errCustom), func(d *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc) {
			d.MaxElapsed = 5 * time.Second
			return ctx, func() {}
		}, "2 attempts in 4.8s: MaxElapsed too close)"},
		{"too little time before the deadline", dialtest.Fail(errCustom), func(_ *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Second)
		}, "2 attempts in 4.8s: deadline too close)"},
		{"MaxElapsed ends an attempt", dialtest.Timeout, func(d *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc) {
			d.MaxElapsed = 5 * time.Second
			return ctx, func() {}
		}, "1 attempt in 5s: MaxElapsed reached)"},
		{"the deadline ends an attempt", dialtest.Timeout, func(_ *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Second)
		}, "1 attempt in 5s: deadline reached)"},
		{"the deadline has a cause", dialtest.Timeout, func(_ *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 5*time.Second, errCause)
		}, "1 attempt in 5s: deadline reached: the request is gone)"},
		{"canceled", dialtest.Timeout, func(_ *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, "1 attempt in 1s: canceled)"},
		{"canceled with a cause", dialtest.Timeout, func(_ *redial.Dialer, ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(errCause) })
			return ctx, func() { cancel(nil) }
		}, "1 attempt in 1s: canceled: the request is gone)"},
	} {
		testutil.Bubble(t, test.name, func(t *testing.T) {
			d := &redial.Dialer{DialFunc: dialtest.Script(test.outcome.Forever()).DialContext, Policy: redial.Policy{redial.Unknown: every(4750 * time.Millisecond)}}
			ctx, cancel := test.set(d, t.Context())
			defer cancel()
			_, err := d.DialContext(ctx, "tcp", address)
			require.Error(t, err)
			assert.True(t, strings.HasSuffix(err.Error(), test.want), "%v", err)
		})
	}
}

// The address is in the message once: the OpError names it if it has one of package net's types, and otherwise
// the Error names it.
func TestErrorMessageNamesTheAddress(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5432}
	type addrOfTheirOwn struct{ net.Addr }
	for want, err := range map[string]error{
		"dial tcp: a.test:80: not attempted: deadline reached":                                              nil,
		"dial tcp: a.test:80: x (unknown, 1 attempt in 0s: not to be retried)":                              errors.New("x"),
		"dial tcp: a.test:80: x (unknown, 1 attempt in 0s: not to be retried) ":                             &net.OpError{Op: "dial", Net: "tcp", Addr: addrOfTheirOwn{addr}, Source: addrOfTheirOwn{}, Err: errors.New("x")},
		"dial tcp: a.test:80: x (unknown, 1 attempt in 0s: not to be retried)  ":                            &net.OpError{Op: "dial", Net: "tcp", Addr: (*net.TCPAddr)(nil), Err: errors.New("x")},
		"dial tcp: a.test:80:  tcp 127.0.0.1:5432: x (unknown, 1 attempt in 0s: not to be retried)":         &net.OpError{Net: "tcp", Addr: addr, Err: errors.New("x")},
		"dial udp 127.0.0.1:53: x (unknown, 1 attempt in 0s: not to be retried)":                            &net.OpError{Op: "dial", Net: "udp", Addr: &net.UDPAddr{IP: addr.IP, Port: 53}, Err: errors.New("x")},
		"dial ip 127.0.0.1: x (unknown, 1 attempt in 0s: not to be retried)":                                &net.OpError{Op: "dial", Net: "ip", Addr: &net.IPAddr{IP: addr.IP}, Err: errors.New("x")},
		"dial ip 10.0.0.0/8: x (unknown, 1 attempt in 0s: not to be retried)":                               &net.OpError{Op: "dial", Net: "ip", Addr: &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}, Err: errors.New("x")},
		"dial unix /s: x (unknown, 1 attempt in 0s: not to be retried)":                                     &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: "/s", Net: "unix"}, Err: errors.New("x")},
		"dial tcp: a.test:80: remote error: tls: bad certificate (tls, 1 attempt in 0s: not to be retried)": &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")},
	} {
		d := &redial.Dialer{}
		if d.DialFunc = dialtest.Script(dialtest.Fail(err)).DialContext; err == nil {
			d.Timeout = -1
		}
		_, got := d.Dial("tcp", address)
		assert.Equal(t, strings.TrimRight(want, " "), elapsedOf.ReplaceAllString(got.Error(), "in 0s"))
		op := got.(*net.OpError)
		for _, addr := range []net.Addr{op.Addr, op.Source} {
			if _, theirs := addr.(addrOfTheirOwn); theirs {
				t.Error("callers switch on the address types of package net")
			}
		}
	}
}

// TestErrorKeepsEverything checks what errors.Is and errors.As find in the error of a
// dial. The test makes its own failure, because dialtest's failures have a call and an
// errno that depend on the operating system.
func TestErrorKeepsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1},
			Err: os.NewSyscallError("connect", sysRefused)}
		d := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Fail(refused).Forever()).DialContext, MaxElapsed: time.Second}
		_, err := d.Dial("tcp", "127.0.0.1:1")

		op := err.(*net.OpError)
		assert.Equal(t, "dial", op.Op)
		assert.Equal(t, "tcp", op.Net)
		assert.Nil(t, op.Source)
		assert.Equal(t, refused.Addr, op.Addr)

		wrapped := &url.Error{Op: "Get", URL: "http://127.0.0.1:1", Err: err}
		assert.ErrorIs(t, wrapped, sysRefused)
		assert.ErrorIs(t, wrapped, redial.ErrMaxElapsed)
		assert.NotErrorIs(t, wrapped, redial.ErrDeadline)
		assert.NotErrorIs(t, wrapped, context.DeadlineExceeded, "MaxElapsed is not a deadline of the caller")
		assert.NotErrorIs(t, wrapped, context.Canceled)
		var s *os.SyscallError
		require.ErrorAs(t, wrapped, &s)
		assert.Equal(t, "connect", s.Syscall)
		var e *redial.Error
		require.ErrorAs(t, wrapped, &e)
		assert.Equal(t, "tcp", e.Network)
		assert.Equal(t, "127.0.0.1:1", e.Address)
		assert.Equal(t, redial.Refused, e.Class)
		assert.Same(t, refused, e.Err)
		assert.Equal(t, redial.Refused, redial.Classify(wrapped))
		assert.False(t, wrapped.Timeout(), "the target refused")
		e.Class = redial.Timeout
		assert.True(t, wrapped.Timeout(), "url.Error.Timeout uses a plain type assertion")
	})
}

func TestErrorTimeoutAndTemporary(t *testing.T) {
	temporary := &net.DNSError{Err: "server misbehaving", Name: "a.test", IsTemporary: true}
	refused := errorOf(dialtest.Refuse)
	for _, test := range []struct {
		name               string
		err                *redial.Error
		timeout, temporary bool
	}{
		{"nothing", &redial.Error{}, false, false},
		{"class Timeout, but the error has no Timeout method", &redial.Error{Class: redial.Timeout, Err: errCustom, Stop: redial.ErrMaxAttempts}, true, true},
		{"a resolver's timeout", &redial.Error{Class: redial.DNS, Err: &net.DNSError{IsTimeout: true}, Stop: redial.ErrMaxAttempts}, true, true},
		{"a resolver's failure", &redial.Error{Class: redial.DNS, Err: temporary, Stop: redial.ErrMaxAttempts}, false, true},
		{"refused, and too little time before the deadline", &redial.Error{Class: redial.Refused, Err: refused, Stop: redial.ErrDeadline}, false, false},
		{"refused, and MaxElapsed", &redial.Error{Class: redial.Refused, Err: refused, Stop: redial.ErrMaxElapsed}, false, false},
		{"refused, and the deadline has passed", &redial.Error{Class: redial.Refused, Err: refused, Stop: redial.ErrDeadline, Cause: context.DeadlineExceeded}, true, true},
		{"over before the first attempt", &redial.Error{Class: redial.Timeout, Err: redial.ErrMaxElapsed, Stop: redial.ErrMaxElapsed}, true, true},
		{"a nil pointer within", &redial.Error{Class: redial.Unknown, Err: fmt.Errorf("%w", (*net.OpError)(nil)), Stop: redial.ErrPermanent}, false, false},
		{"canceled", &redial.Error{Class: redial.Canceled, Err: refused, Stop: redial.ErrCanceled, Cause: errCause}, false, false},
		{"permanent", &redial.Error{Class: redial.NotFound, Err: errorOf(dialtest.NXDomain), Stop: redial.ErrPermanent}, false, false},
	} {
		op := &net.OpError{Op: "dial", Err: test.err}
		assert.Equal(t, test.timeout, op.Timeout(), test.name)
		assert.Equal(t, test.temporary, op.Temporary(), test.name)
	}
}

// Each reason has a text and a name. It matches itself, and what its comment says.
func TestStopReasons(t *testing.T) {
	for _, test := range []struct {
		stop       redial.Stop
		text, name string
		timeout    bool
		also       error // what errors.Is finds, except the reason itself
	}{
		{redial.ErrPermanent, "not to be retried", "permanent", false, nil},
		{redial.ErrScheduleEnded, "schedule ended", "schedule_ended", false, redial.ErrPermanent},
		{redial.ErrMaxAttempts, "MaxAttempts reached", "max_attempts", false, nil},
		{redial.ErrMaxElapsed, "MaxElapsed reached", "max_elapsed", true, nil},
		{redial.ErrDeadline, "deadline reached", "deadline", true, context.DeadlineExceeded},
		{redial.ErrCanceled, "canceled", "canceled", false, context.Canceled},
	} {
		assert.EqualError(t, test.stop, test.text)
		name, err := test.stop.MarshalText()
		assert.NoError(t, err)
		assert.Equal(t, test.name, string(name))
		assert.Equal(t, test.timeout, test.stop.Timeout(), test.stop)
		for _, target := range []error{
			redial.ErrPermanent, redial.ErrScheduleEnded, redial.ErrMaxAttempts, redial.ErrMaxElapsed, redial.ErrDeadline, redial.ErrCanceled,
			context.DeadlineExceeded, context.Canceled, errCustom,
		} {
			assert.Equal(t, target == error(test.stop) || target == test.also, errors.Is(test.stop, target), "%v, %v", test.stop, target)
		}
	}

	assert.EqualError(t, redial.Stop(0), "not stopped")
	name, err := redial.Stop(0).MarshalText()
	assert.NoError(t, err)
	assert.Empty(t, name)
	none := redial.ErrCanceled + 1
	assert.EqualError(t, none, "Stop(7)")
	_, err = none.MarshalText()
	assert.ErrorContains(t, err, "Stop(7)")
}

// Unwrap returns no nil: programs that walk an error's tree call methods of what they find.
func TestErrorUnwrap(t *testing.T) {
	for _, test := range []struct {
		err  redial.Error
		want []error
	}{
		{redial.Error{}, []error{}},
		{redial.Error{Err: errCustom}, []error{errCustom}},
		{redial.Error{Stop: redial.ErrDeadline}, []error{redial.ErrDeadline}},
		{redial.Error{Err: errCustom, Stop: redial.ErrDeadline}, []error{errCustom, redial.ErrDeadline}},
		{redial.Error{Err: errCustom, Stop: redial.ErrCanceled, Cause: errCause}, []error{errCustom, redial.ErrCanceled, errCause}},
	} {
		assert.Equal(t, test.want, test.err.Unwrap())
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	_, err := (&redial.Dialer{DialFunc: dialtest.Script().DialContext}).DialContext(ctx, "tcp", address)
	assert.Equal(t, []error{redial.ErrCanceled, redial.ErrCanceled, errCause}, asError(t, err).Unwrap())
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, errCause)
}

// The time in a message has two or three digits.
func TestErrorRoundsTheTime(t *testing.T) {
	for elapsed, want := range map[time.Duration]string{
		0:                         "0s",
		1499 * time.Nanosecond:    "1µs",
		999400 * time.Nanosecond:  "999µs",
		time.Millisecond:          "1ms",
		1700 * time.Microsecond:   "1.7ms",
		340499 * time.Microsecond: "340ms",
		999600 * time.Microsecond: "1s",
		time.Second:               "1s",
		1049 * time.Millisecond:   "1s",
		1050 * time.Millisecond:   "1.1s",
		90 * time.Second:          "1m30s",
	} {
		e := &redial.Error{Attempts: 2, Err: errCustom, Elapsed: elapsed}
		assert.EqualError(t, e, "a dialer's own (unknown, 2 attempts in "+want+": not stopped)")
	}
}

// History has all attempts of a short dial, and the first 4 and the latest 4 of a long one, as OnAttempt got them.
func TestHistory(t *testing.T) {
	for attempts := 1; attempts <= 20; attempts++ {
		testutil.Bubble(t, fmt.Sprint(attempts), func(t *testing.T) {
			var seen []redial.Attempt
			d := &redial.Dialer{MaxAttempts: attempts, Policy: redial.Policy{redial.Unknown: every(time.Second)}, MaxElapsed: -1}
			d.OnAttempt = func(_ context.Context, a redial.Attempt) { seen = append(seen, a) }
			d.DialFunc = func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(time.Duration(len(seen)) * time.Millisecond)
				return nil, fmt.Errorf("failure %d", len(seen)+1)
			}
			if attempts == 1 { // not MaxAttempts, so that the dial has an error of its own
				d.MaxAttempts, d.Policy = 2, redial.Policy{}
			}
			_, err := d.Dial("tcp", address)
			want := seen
			if attempts > 8 {
				want = slices.Concat(seen[:4], seen[len(seen)-4:])
			}
			assert.Equal(t, want, asError(t, err).History)
			assert.Equal(t, attempts, want[len(want)-1].Number)
		})
	}
}

// History keeps what a look-up and each address of a name came to, and how the caller ended the dial.
func TestHistoryOfName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(ms), silent)
		tr.dns.Set("name.test", dnstest.Addrs("127.0.0.1", "127.0.0.2").After(100*ms))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(errCause) })
		e := asError(t, tr.dial(ctx))
		assert.Equal(t, tr.attempts, e.History)
		require.Len(t, e.History, 2)
		assert.Equal(t, 100*ms, e.History[0].Resolve)
		assert.Len(t, e.History[0].Addrs, 2)
		assert.Equal(t, redial.ErrCanceled, e.History[1].Stop)
		assert.Equal(t, errCause, e.History[1].Cause)
	})
}

// Each receiver of an Attempt has addresses of its own, so that an OnAttempt that sorts or redacts them changes
// neither the history nor the records.
func TestOnAttemptChangesNobodysAddrs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrack(t, refused(0), refused(0))
		logger, logs := observed()
		tr.Logger, tr.MaxAttempts = logger, 2
		tr.OnAttempt = func(_ context.Context, a redial.Attempt) { clear(a.Addrs) }
		e := asError(t, tr.dial(t.Context()))
		for _, a := range e.History {
			assert.Equal(t, []string{"127.0.0.1", "127.0.0.2"}, hostsOf(a))
			clear(a.Addrs) // nor does this change anything
		}
		assert.Len(t, logs.All(), 2)
		for _, entry := range logs.All() {
			addrs := entry.ContextMap()["addrs"].([]any)
			assert.Equal(t, "127.0.0.1:80", addrs[0].(map[string]any)["addr"])
		}
	})
}

// An attempt that the end of the dial cuts off says nothing if the target needed longer to refuse the one before. The
// look-up and the other addresses do not count: they say nothing about how fast the target answers.
func TestCutOffComparesWithTheRefusal(t *testing.T) {
	for _, test := range []struct {
		name   string
		lookUp time.Duration // of the first attempt
		fates  []fate
		first  time.Duration // the first attempt takes
		tells  time.Duration // a silence that long says something
	}{
		{"refused at once", 0, []fate{refused(ms)}, ms, time.Second},
		{"refused after 2 s", 0, []fate{refused(2 * time.Second)}, 2 * time.Second, 2 * time.Second},
		{"reset after 2 s", 0, []fate{fails(sysReset, 2*time.Second)}, 2 * time.Second, 2 * time.Second},
		{"unreachable after 2 s", 0, []fate{fails(sysUnreachable, 2*time.Second)}, 2 * time.Second, time.Second},
		{"refused at once, beside a silent address", 0, []fate{silent, refused(ms)}, 2301 * ms, time.Second},
		{"refused after a long look-up", 3 * time.Second, []fate{refused(ms)}, 3001 * ms, time.Second},
	} {
		for silence, class := range map[time.Duration]redial.Class{test.tells - 1: redial.Unknown, test.tells: redial.Timeout} {
			testutil.Bubble(t, fmt.Sprintf("%s, then silent for %v", test.name, silence), func(t *testing.T) {
				tr := newTrack(t, test.fates...)
				if test.lookUp > 0 {
					tr.tell([]int{0}, test.lookUp)
				}
				retry := every(time.Second)
				tr.Policy = redial.Policy{redial.Refused: retry, redial.Reset: retry, redial.Unreachable: retry}
				tr.MaxElapsed = test.first + time.Second + silence
				time.AfterFunc(test.first, func() {
					tr.tell([]int{0}, 0)
					tr.set(0, silent)
					tr.set(1, silent)
				})
				e := asError(t, tr.dial(t.Context()))
				require.Len(t, tr.attempts, 2)
				assert.Equal(t, silence, tr.attempts[1].Duration)
				if class == redial.Unknown {
					class = tr.attempts[0].Class
				}
				assert.Equal(t, class, e.Class)
			})
		}
	}
}

// mark begins every fuzzed address, so that the address occurs in no other part of a message.
const mark = "\u2316"

// FuzzErrorOfDial dials by a DialFunc that returns whatever the bytes say. The error of the dial names
// the address once, wherever it stands.
func FuzzErrorOfDial(f *testing.F) {
	f.Add([]byte{}, "a.test:80", "x")
	f.Add([]byte("0"), "user@", "refused")
	for seed := range 100 {
		f.Add(testutil.RandomBytes(seed, 20), "a.test:80", "refused")
	}
	f.Fuzz(func(t *testing.T, data []byte, address, text string) {
		if len(data) > 200 || len(text) > 200 {
			return
		}
		text, address = strings.ReplaceAll(text, mark, ""), mark+strings.NewReplacer(mark, "", "@", "").Replace(address) // a user is not shown
		d := testutil.Decisions(data)
		failure := fuzzedError(&d, text)
		if failure == nil || reflect.ValueOf(failure).Kind() == reflect.Pointer && reflect.ValueOf(failure).IsNil() {
			failure = io.EOF // the dial replaces a nil pointer
		}
		switch d.Next() % 3 {
		case 1:
			failure = &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: address, Net: "unix"}, Err: failure}
		case 2:
			failure = &net.OpError{Op: "dial", Net: "tcp", Source: fuzzedAddr(&d, text), Addr: stranger{}, Err: failure}
		}
		dialer := &redial.Dialer{
			DialFunc:    func(context.Context, string, string) (net.Conn, error) { return nil, failure },
			MaxAttempts: 2,
			Policy:      redial.Policy{},
		}
		_, err := dialer.Dial("tcp", address)
		e := asError(t, err)
		assert.Equal(t, 1, strings.Count(err.Error(), address), "%q", err)
		assert.Contains(t, err.Error(), fmt.Sprintf(" (%v, 1 attempt in ", e.Class))
		assert.Equal(t, redial.Classify(failure), redial.Classify(err))
		assert.True(t, !walks(err) || errors.Is(err, failure), "%v", failure)
		netError := err.(net.Error)
		assert.Equal(t, e.Timeout(), netError.Timeout())
	})
}

// textOf returns the message of an error, as an Error shows it.
func textOf(err error) string {
	if err == nil {
		return "<nil>"
	}
	return fmt.Sprint(err) // not err.Error(), which may panic
}

// fuzzedError returns an error, also an odd one. Its text has no mark if text has none.
func fuzzedError(d *testutil.Decisions, text string) error {
	switch d.Next() % 16 {
	case 0:
		return nil
	case 1:
		return errors.New(text)
	case 2:
		return redial.ErrDeadline
	case 3: // their methods panic
		return []error{(*net.OpError)(nil), (*os.SyscallError)(nil), (*net.DNSError)(nil), &os.SyscallError{}, &net.OpError{Op: text}, panics{}}[d.Next()%6]
	case 4:
		return &net.OpError{Op: text, Net: text, Source: fuzzedAddr(d, text), Err: &oddError{text, fuzzedError(d, text)}}
	case 5:
		return &net.DNSError{Err: text, Name: text, Server: text, IsTimeout: d.Next()%2 > 0, UnwrapErr: fuzzedError(d, text)}
	case 6:
		return &os.SyscallError{Syscall: text, Err: errors.New(text)}
	case 7:
		return &oddError{text, fuzzedError(d, text)}
	case 8:
		return &oddErrors{text, []error{fuzzedError(d, text), nil, fuzzedError(d, text)}}
	case 9:
		return errors.Join(fuzzedError(d, text), fuzzedError(d, text))
	case 10:
		return fmt.Errorf("%w and %w", fuzzedError(d, text), fuzzedError(d, text))
	case 11:
		return matchesAll{}
	case 12:
		return &redial.Error{Attempts: d.Next(), Class: redial.Class(d.Next()), Err: fuzzedError(d, text), Stop: redial.Stop(d.Next() % 8), Cause: fuzzedError(d, text)}
	case 13:
		return sysRefused
	case 14:
		return context.Canceled
	}
	return os.NewSyscallError("connect", sysRefused)
}

// oddError and oddErrors may wrap nothing.
type oddError struct {
	text string
	err  error
}

func (e *oddError) Error() string { return e.text }
func (e *oddError) Unwrap() error { return e.err }

type oddErrors struct {
	text string
	errs []error
}

func (e *oddErrors) Error() string   { return e.text }
func (e *oddErrors) Unwrap() []error { return e.errs }

// matchesAll is an error that says that it is every other. It can't be compared.
type matchesAll struct{ _ []int }

func (matchesAll) Error() string   { return "" }
func (matchesAll) Is(error) bool   { return true }
func (matchesAll) Timeout() bool   { return true }
func (matchesAll) Temporary() bool { return false }

// walks reports whether package errors can walk err's tree, in which a nil pointer's Unwrap may panic.
func walks(err error) (ok bool) {
	defer func() { _ = recover() }()
	errors.Is(err, errInNoTree)
	return true
}

var errInNoTree = errors.New("in no tree")

// panics is an error without a text.
type panics struct{}

func (panics) Error() string { panic("no text") }

// stranger is an address that is not package net's.
type stranger struct{}

func (stranger) Network() string { return "" }
func (stranger) String() string  { return "\xff\n" }

func fuzzedAddr(d *testutil.Decisions, text string) net.Addr {
	all := []net.Addr{
		nil, stranger{}, (*net.TCPAddr)(nil), &net.TCPAddr{}, &net.TCPAddr{IP: net.IP{1, 2}, Zone: text, Port: -1},
		&net.UnixAddr{Name: text, Net: text}, (*net.UnixAddr)(nil),
	}
	return all[d.Next()%len(all)]
}

func fuzzedDuration(d *testutil.Decisions) time.Duration {
	units := []time.Duration{0, 1, 997, time.Millisecond, time.Second + 1, -1, 1 << 55}
	return time.Duration(d.Next()) * units[d.Next()%len(units)]
}

// fuzzedAttempt returns an Attempt with whatever in its fields.
func fuzzedAttempt(d *testutil.Decisions, text string) redial.Attempt {
	a := redial.Attempt{
		Network: text, Address: string(d.Bytes(20)), Number: d.Pick(0, 1, -1, math.MaxInt-1), Start: time.Unix(0, int64(fuzzedDuration(d))),
		Duration: fuzzedDuration(d), Resolve: fuzzedDuration(d), Elapsed: fuzzedDuration(d), Remote: fuzzedAddr(d, text), Unanswered: text,
		Err: fuzzedError(d, text), Class: redial.Class(d.Pick(0, 1, 5, 11, 12, 255)), Shared: d.Next()%2 > 0, Delay: fuzzedDuration(d),
		Stop: redial.Stop(d.Next() % 8), Cause: fuzzedError(d, string(d.Bytes(20))),
	}
	for range d.Pick(0, 0, 1, 3) {
		a.Addrs = append(a.Addrs, fuzzedAddrResult(d, text))
	}
	return a
}

func fuzzedAddrResult(d *testutil.Decisions, text string) redial.AddrResult {
	addr, _ := netip.AddrFromSlice(d.Bytes(16))
	return redial.AddrResult{
		Addr: netip.AddrPortFrom(addr.WithZone(text), uint16(d.Next())), Duration: time.Duration(d.Next()),
		Err: fuzzedError(d, text), Class: redial.Class(d.Next()),
	}
}

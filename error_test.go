package redial_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
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
		"<nil> (unknown, 1 attempt in 0s: <nil>)":                  {Attempts: 1},
		"x (timeout, 1 attempt in 12µs: MaxElapsed too close)":     {Attempts: 1, Class: redial.Timeout, Err: errors.New("x"), Elapsed: 12345 * time.Nanosecond, Stop: redial.ErrMaxElapsed},
		"x (tls, 3 attempts in 1h0m0s: not to be retried)":         {Attempts: 3, Class: redial.TLS, Err: errors.New("x"), Elapsed: time.Hour, Stop: redial.ErrPermanent},
		"not attempted: <nil>":                                     {},
		"<nil> (refused, 2 attempts in 1.5s: MaxAttempts reached)": {Attempts: 2, Class: redial.Refused, Err: (*net.OpError)(nil), Elapsed: 1499 * time.Millisecond, Stop: redial.ErrMaxAttempts},
	} {
		assert.EqualError(t, e, want)
	}

	// The OpError names the address if it has one of package net's types. Otherwise the
	// Error names it.
	type addrOfTheirOwn struct{ net.Addr }
	for want, err := range map[string]error{
		"dial tcp: a.test:80: not attempted: deadline too close":                                            nil,
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
		{"the deadline", &redial.Error{Class: redial.Refused, Err: refused, Stop: redial.ErrDeadline}, true, true},
		{"MaxElapsed", &redial.Error{Class: redial.Refused, Err: refused, Stop: redial.ErrMaxElapsed}, true, true},
		{"a nil pointer within", &redial.Error{Class: redial.Unknown, Err: fmt.Errorf("%w", (*net.OpError)(nil)), Stop: redial.ErrPermanent}, false, false},
		{"a cause", &redial.Error{Class: redial.Refused, Err: refused, Cause: errCause}, false, false},
		{"permanent", &redial.Error{Class: redial.NotFound, Err: errorOf(dialtest.NXDomain), Stop: redial.ErrPermanent}, false, false},
	} {
		op := &net.OpError{Op: "dial", Err: test.err}
		assert.Equal(t, test.timeout, op.Timeout(), test.name)
		assert.Equal(t, test.temporary, op.Temporary(), test.name)
	}
}

func TestStopReasons(t *testing.T) {
	all := map[error]bool{
		redial.ErrPermanent:   false,
		redial.ErrMaxAttempts: false,
		redial.ErrMaxElapsed:  true,
		redial.ErrDeadline:    true,
	}
	for reason, timeout := range all {
		var e net.Error
		require.ErrorAs(t, reason, &e)
		assert.Equal(t, timeout, e.Timeout(), reason)
		assert.Equal(t, timeout, reason.(interface{ Temporary() bool }).Temporary(), reason)
		assert.Equal(t, reason == redial.ErrDeadline, errors.Is(reason, context.DeadlineExceeded), reason)
		assert.NotErrorIs(t, reason, nil)
		assert.NotErrorIs(t, reason, context.Canceled)
		for other := range all {
			assert.Equal(t, reason == other, errors.Is(reason, other), "%v, %v", reason, other)
		}
	}
	ended := &redial.Dialer{DialFunc: dialtest.Script(dialtest.Refuse).DialContext, Policy: redial.Policy{redial.Refused: after()}}
	_, err := ended.Dial("tcp", address)
	stop := asError(t, err).Stop
	assert.EqualError(t, stop, "schedule ended")
	for other := range all {
		assert.Equal(t, other == redial.ErrPermanent, errors.Is(stop, other), other)
	}
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
	} {
		assert.Equal(t, test.want, test.err.Unwrap())
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	_, err := (&redial.Dialer{DialFunc: dialtest.Script().DialContext}).DialContext(ctx, "tcp", address)
	assert.Equal(t, []error{errCause, errCause, context.Canceled}, asError(t, err).Unwrap())
}

// The time in a message has one decimal from a second on, and none below.
func TestErrorRoundsTheTime(t *testing.T) {
	for elapsed, want := range map[time.Duration]string{
		0:                         "0s",
		1499 * time.Nanosecond:    "1µs",
		999400 * time.Nanosecond:  "999µs",
		time.Millisecond:          "1ms",
		1700 * time.Microsecond:   "2ms",
		340499 * time.Microsecond: "340ms",
		999600 * time.Microsecond: "1s",
		time.Second:               "1s",
		1049 * time.Millisecond:   "1s",
		1050 * time.Millisecond:   "1.1s",
		90 * time.Second:          "1m30s",
	} {
		e := &redial.Error{Attempts: 2, Err: errCustom, Elapsed: elapsed}
		assert.EqualError(t, e, "a dialer's own (unknown, 2 attempts in "+want+": <nil>)")
	}
}

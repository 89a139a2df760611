package redial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What kept keeps of an error of package net is enough to make the same error again. All
// other errors stay as they are.
func TestKeptErrors(t *testing.T) {
	refused := os.NewSyscallError("connect", errnoRefused)
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	op := func(edit func(*net.OpError)) error {
		e := &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: refused}
		edit(e)
		return e
	}
	for _, test := range []struct {
		name string
		err  error
		kept bool
	}{
		{"IPv4", op(func(e *net.OpError) { e.Addr = &net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 1} }), true},
		{"IPv4 within IPv6", op(func(*net.OpError) {}), true},
		{"IPv6", op(func(e *net.OpError) { e.Addr = &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535} }), true},
		{"a zone", op(func(e *net.OpError) { e.Addr = &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "eth0"} }), true},
		{"another operation", op(func(e *net.OpError) { e.Op, e.Net = "read", "tcp6" }), true},
		{"an errno of Plan 9", op(func(e *net.OpError) { e.Err = os.NewSyscallError("connect", textErrno("refused")) }), true},
		{"no errno", op(func(e *net.OpError) { e.Err = &os.SyscallError{Syscall: "connect"} }), false},
		{"an IPv4 address with a zone", op(func(e *net.OpError) { e.Addr = &net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 1, Zone: "x"} }), false},
		{"a source", op(func(e *net.OpError) { e.Source = addr }), false},
		{"no address", op(func(e *net.OpError) { e.Addr = nil }), false},
		{"a nil address", op(func(e *net.OpError) { e.Addr = (*net.TCPAddr)(nil) }), false},
		{"an empty address", op(func(e *net.OpError) { e.Addr = &net.TCPAddr{} }), false},
		{"a port out of range", op(func(e *net.OpError) { e.Addr = &net.TCPAddr{IP: addr.IP, Port: 70000} }), false},
		{"another kind of address", op(func(e *net.OpError) { e.Addr = &net.UDPAddr{IP: addr.IP, Port: 80} }), false},
		{"no system call", op(func(e *net.OpError) { e.Err = os.ErrDeadlineExceeded }), false},
		{"a nil system call", op(func(e *net.OpError) { e.Err = (*os.SyscallError)(nil) }), false},
		{"an errno that cannot be compared", op(func(e *net.OpError) { e.Err = os.NewSyscallError("connect", errorList{}) }), false},
		{"nil", nil, false},
		{"a nil operation", (*net.OpError)(nil), false},
		{"wrapped", fmt.Errorf("%w", op(func(*net.OpError) {})), false},
		{"a dialer's own", errors.New("own"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := kept(test.err)
			_, ok := k.(keptError)
			assert.Equal(t, test.kept, ok)
			assert.Equal(t, test.err, asMade(k))
			if test.kept {
				assert.EqualError(t, k, test.err.Error())
				assert.Equal(t, k, kept(asMade(k)), "equal errors share their parts")
			}
		})
	}
}

// A record keeps all of an Attempt that the dial does not know by itself.
func TestRecord(t *testing.T) {
	start := time.Now()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 80}, Err: os.NewSyscallError("connect", errnoRefused)}
	own := Attempt{Network: "tcp", Address: "a.test:80", Number: 3, Start: start.Add(time.Second), Duration: 2 * time.Second,
		Elapsed: 3 * time.Second, Err: refused, Class: Refused, Delay: time.Minute}
	raced := own
	raced.Resolve = time.Millisecond
	raced.Addrs = []AddrResult{{Addr: netip.MustParseAddrPort("192.0.2.1:80"), Start: start, Duration: 1, Err: refused, Class: Refused}}
	atOnce := raced // in virtual time
	atOnce.Resolve = 0
	resolved := own
	resolved.Resolve = 1
	shared := own
	shared.Start, shared.Elapsed, shared.Shared = start.Add(-time.Second), time.Hour, true // heard of long after it ended
	last := own
	last.Delay, last.Stop = 0, ErrMaxAttempts
	for name, a := range map[string]Attempt{"own": own, "raced": raced, "atOnce": atOnce, "resolved": resolved, "shared": shared, "last": last} {
		r := newRecord(&a, start)
		e := &Error{Network: "tcp", Address: "a.test:80", Stop: ErrMaxAttempts}
		assert.Equal(t, a, r.attempt(e, start, 3), name)
		r.compact()
		assert.Equal(t, a, r.attempt(e, start, 3), name)
		assert.Same(t, refused, raced.Addrs[0].Err, "OnAttempt may have kept the addresses")

		assert.IsType(t, keptError{}, r.err, "little room")
		if a.Addrs != nil {
			assert.IsType(t, keptError{}, r.more.addrs[0].Err)
		}
	}
}

type textErrno string

func (e textErrno) Error() string { return string(e) }

type errorList []error

func (errorList) Error() string { return "a list" }

// An error keeps its History, whatever the dial does after it.
func TestErrorKeepsItsHistory(t *testing.T) {
	var l loop
	fail := func() {
		l.attempts++
		l.add(record{err: fmt.Errorf("failure %d", l.attempts)})
	}
	for range historyMax {
		fail()
	}
	e := l.newError(ErrMaxAttempts, nil, 0)
	for range historyMax {
		fail()
	}
	e.complete()
	for i, a := range e.History {
		assert.Equal(t, i+1, a.Number)
		assert.EqualError(t, a.Err, fmt.Sprint("failure ", i+1))
	}
}

// What cuts an attempt off tells nothing if the target needed longer to refuse. The look-up and the race's other addresses
// do not count: they say nothing about how fast the target answers.
func TestCutOffComparesWithTheRefusal(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name  string
		last  record
		tells time.Duration // a timeout after that long tells something
	}{
		{"nothing before", record{}, time.Second},
		{"refused at once", record{class: Refused, elapsed: ms}, time.Second},
		{"refused after 2 s", record{class: Refused, start: time.Second, elapsed: 3 * time.Second}, 2 * time.Second},
		{"reset after 2 s", record{class: Reset, elapsed: 2 * time.Second}, 2 * time.Second},
		{"silent for 2 s", record{class: Timeout, elapsed: 2 * time.Second}, time.Second},
		{"refused at once, beside a silent address", record{class: Refused, elapsed: 10 * time.Second, more: &more{duration: 10 * time.Second,
			addrs: []AddrResult{{Class: Timeout, Duration: 10 * time.Second}, {Class: Refused, Duration: ms}}}}, time.Second},
		{"refused after a long look-up", record{class: Refused, elapsed: 5 * time.Second, more: &more{duration: 5 * time.Second, resolve: 5*time.Second - ms}}, time.Second},
		{"shared long after it failed", record{class: Refused, shared: true, elapsed: 9 * time.Second, more: &more{duration: ms}}, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := loop{history: history{latest: test.last}}
			assert.True(t, l.cutOff(&Attempt{Class: Timeout, Duration: test.tells - 1}))
			assert.True(t, l.cutOff(&Attempt{Class: Canceled, Duration: test.tells - 1}))
			assert.False(t, l.cutOff(&Attempt{Class: Timeout, Duration: test.tells}))
			assert.False(t, l.cutOff(&Attempt{Class: Refused, Duration: ms}))
		})
	}
}

package dialtest

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"time"
)

// An Outcome is what comes of a dial: a connection or a failure, at once or
// after a time. It is a value, whose methods return another. The zero value is
// [OK].
type Outcome struct {
	kind    kind
	err     error         // of a Fail
	delay   time.Duration // of After
	delayed bool          // by After
	times   int           // 0: once; < 0: never
	winsock bool
}

// The outcomes, each with the class that package redial gives it. Those that
// fail have the error that net.Dialer returns for it on this operating system:
// a tree of the same types and values, down to the errno.
var (
	// OK connects. [Dialer.Accept] returns the other end.
	OK = Outcome{kind: ok}

	// HangUp connects, and the other end closes the connection at once: a
	// proxy or a load balancer with no backend behind it. The dial succeeds,
	// reads return io.EOF, and writes fail.
	HangUp = Outcome{kind: hangUp}

	// Refuse is ECONNREFUSED, for nothing accepts there: refused. Of a unix
	// socket, there is a file that nothing listens on.
	Refuse = Outcome{kind: refuse}

	// NoSocket is ENOENT, for there is no file of that unix socket: refused.
	NoSocket = Outcome{kind: noSocket}

	// Reset is ECONNRESET while connecting: reset.
	Reset = Outcome{kind: reset}

	// Timeout is no answer: timeout, or canceled if the context was. The dial
	// lasts until its context ends, and fails with what net.Dialer returns
	// then, but it does not last forever: after 127 s, as by default on Linux
	// (tcp(7), tcp_syn_retries), or the time that [Outcome.After] sets, the
	// system gives up with ETIMEDOUT.
	Timeout = Outcome{kind: timeout}

	// NoRoute is EHOSTUNREACH, for the way to that host is broken:
	// unreachable.
	NoRoute = Outcome{kind: noRoute}

	// NoNetwork is ENETUNREACH, for this machine knows no way: unreachable.
	NoNetwork = Outcome{kind: noNetwork}

	// Deny is EACCES, for local policy or a firewall forbids it: denied.
	Deny = Outcome{kind: deny}

	// NoDescriptors is EMFILE from the socket call: exhausted.
	NoDescriptors = Outcome{kind: noDescriptors}

	// NoPorts is EADDRNOTAVAIL from the connect call, for all local ports are
	// taken: exhausted.
	NoPorts = Outcome{kind: noPorts}

	// NoFamily is EAFNOSUPPORT from the socket call, for IPv6 is disabled,
	// say: invalid.
	NoFamily = Outcome{kind: noFamily}

	// NXDomain is the name server's answer that there is no such name:
	// not_found.
	NXDomain = Outcome{kind: nxDomain}

	// ServFail is a name server that failed, as Go's own resolver reports it:
	// dns. One that does not answer is ServFail.After(time.Hour), of which
	// only the end of the context is seen: dns too, or canceled.
	ServFail = Outcome{kind: servFail}
)

// Fail is the outcome of any other dialer, such as one for a proxy: it returns
// err as it is. If err is nil, the dial returns neither a connection nor an
// error, as a broken dialer does.
func Fail(err error) Outcome {
	return Outcome{kind: fail, err: err}
}

// After returns o, but d later. Zero or less means at once, as all but
// [Timeout] come anyway.
//
// Where the context of the dial ends before that, or its deadline is that very
// moment, the dial fails as net.Dialer does when its context ends: with "i/o
// timeout", which matches context.DeadlineExceeded, or "operation was
// canceled", which matches context.Canceled. Those of [NXDomain] and [ServFail]
// are in a *net.DNSError.
func (o Outcome) After(d time.Duration) Outcome {
	o.delay, o.delayed = d, true
	return o
}

// Times returns o for n dials in a row. If n is zero or less, a script leaves
// it out.
func (o Outcome) Times(n int) Outcome {
	if n <= 0 {
		n = -1
	}
	o.times = n
	return o
}

// Forever returns o for all dials from then on.
func (o Outcome) Forever() Outcome {
	return o.Times(math.MaxInt)
}

// Winsock returns o with the error that it has on Windows, on any operating
// system: the numbers are Windows Sockets' (10061, where package syscall's
// ECONNREFUSED is another), TCP fails in "connectex" rather than "connect", and
// a *net.DNSError names no server. It changes nothing of an outcome that is no
// failure, nor of [Fail], nor the errors of system calls on Plan 9, which has
// no error numbers.
func (o Outcome) Winsock() Outcome {
	o.winsock = true
	return o
}

// String is o as it is written in Go, or nearly so.
func (o Outcome) String() string {
	var b strings.Builder
	b.WriteString(kinds[o.kind].name)
	if o.kind == fail {
		fmt.Fprintf(&b, "(%v)", o.err)
	}
	if o.delayed {
		fmt.Fprintf(&b, ".After(%v)", o.delay)
	}
	if o.winsock {
		b.WriteString(".Winsock()")
	}
	switch {
	case o.times == math.MaxInt:
		b.WriteString(".Forever()")
	case o.times != 0:
		fmt.Fprintf(&b, ".Times(%d)", max(o.times, 0))
	}
	return b.String()
}

// kind is what an outcome is, apart from when and how often.
type kind uint8

const (
	ok kind = iota
	hangUp
	fail
	refuse
	noSocket
	reset
	timeout
	noRoute
	noNetwork
	deny
	noDescriptors
	noPorts
	noFamily
	nxDomain
	servFail
	numKinds
)

// kinds has the name of each, and the system call that its errno comes from;
// the errnos are the operating system's, and stand in a file of its own.
var kinds = [numKinds]struct{ name, call string }{
	ok:            {name: "OK"},
	hangUp:        {name: "HangUp"},
	fail:          {name: "Fail"},
	refuse:        {"Refuse", "connect"},
	noSocket:      {"NoSocket", "connect"},
	reset:         {"Reset", "connect"},
	timeout:       {"Timeout", "connect"},
	noRoute:       {"NoRoute", "connect"},
	noNetwork:     {"NoNetwork", "connect"},
	deny:          {"Deny", "connect"},
	noDescriptors: {"NoDescriptors", "socket"},
	noPorts:       {"NoPorts", "connect"},
	noFamily:      {"NoFamily", "socket"},
	nxDomain:      {name: "NXDomain"},
	servFail:      {name: "ServFail"},
}

// connects tells whether o is no failure.
func (o Outcome) connects() bool { return o.kind == ok || o.kind == hangUp }

// ofResolver tells whether o comes before there is an address to connect to.
func (o Outcome) ofResolver() bool { return o.kind == nxDomain || o.kind == servFail }

// giveUp is how long a connect that nobody answers lasts.
const giveUp = 127 * time.Second

// await returns when o is due, or when ctx ends, and tells which. A deadline
// at the moment that o is due comes first: which of two timers is faster must
// not decide a test.
func (o Outcome) await(ctx context.Context) (due bool) {
	delay := o.delay
	if o.kind == timeout && !o.delayed {
		delay = giveUp
	}
	if delay <= 0 {
		return true
	}
	var timeUp <-chan time.Time
	if deadline, ok := ctx.Deadline(); !ok || delay < time.Until(deadline) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		timeUp = timer.C
	}
	select {
	case <-timeUp:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// failure is the error of a dial to t that ends in o.
func (o Outcome) failure(t target) error {
	switch {
	case o.kind == fail:
		return o.err
	case o.ofResolver():
		return t.resolveError(o.dnsError(t.host))
	case o.winsock:
		return t.connectError(winsockError(o.kind, t.network))
	}
	return t.connectError(systemError(o.kind, t.network))
}

// nameServer is the one that DNSErrors name (RFC 5737).
const nameServer = "192.0.2.53:53"

// dnsError is what a resolver makes of o: Go's own, or that of Windows, which
// has no flag for a failure of the server (net/lookup_windows.go).
func (o Outcome) dnsError(host string) *net.DNSError {
	err := &net.DNSError{Name: host}
	windows := o.winsock || onWindows
	if !windows {
		err.Server = nameServer
	}
	switch {
	case o.kind == nxDomain:
		err.Err, err.IsNotFound = "no such host", true
	case windows:
		err.Err = tryAgain
	default:
		err.Err, err.IsTemporary = "server misbehaving", true
	}
	return err
}

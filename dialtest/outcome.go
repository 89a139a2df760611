package dialtest

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"time"
)

// An Outcome is how a dial ends: with a connection or a failure, at once or after a delay. An
// Outcome is a value; its methods return a changed copy. The zero value is [OK].
type Outcome struct {
	kind    kind
	err     error         // the error of a Fail
	delay   time.Duration // set by After
	delayed bool          // whether After was called
	times   int           // 0 means once, less than 0 never
	winsock bool
}

// The predeclared outcomes. Each failure's comment names the class that package redial gives it.
//
// A failure's error is the error that net.Dialer returns on this operating system: a tree of the
// same types and values, down to the errno.
var (
	// OK connects. [Dialer.Accept] returns the other end.
	OK = Outcome{kind: ok}

	// HangUp connects, and the other end closes the connection at once, as a proxy or a load
	// balancer with no backend does. The dial succeeds, reads return io.EOF, and writes fail.
	HangUp = Outcome{kind: hangUp}

	// Refuse fails with ECONNREFUSED, because nothing listens at the address. For a unix socket,
	// the file exists but nothing listens on it. Class: refused.
	Refuse = Outcome{kind: refuse}

	// NoSocket fails with ENOENT, because the file of the unix socket does not exist. Class:
	// refused.
	NoSocket = Outcome{kind: noSocket}

	// Reset fails with ECONNRESET while connecting. Class: reset.
	Reset = Outcome{kind: reset}

	// Timeout gets no answer. The dial waits until its context ends, and returns the error that
	// net.Dialer returns then. Class: timeout, or canceled if the context was canceled.
	//
	// The dial does not wait forever. It fails with ETIMEDOUT after 127 s, the default on Linux
	// (tcp(7), tcp_syn_retries), or after the delay that [Outcome.After] sets.
	Timeout = Outcome{kind: timeout}

	// NoRoute fails with EHOSTUNREACH, because the route to the host is broken. Class: unreachable.
	NoRoute = Outcome{kind: noRoute}

	// NoNetwork fails with ENETUNREACH, because this machine has no route to the address. Class:
	// unreachable.
	NoNetwork = Outcome{kind: noNetwork}

	// Deny fails with EACCES, because a local policy or a firewall forbids the connection. Class:
	// denied.
	Deny = Outcome{kind: deny}

	// NoDescriptors fails with EMFILE from the socket call, because the process has no file
	// descriptor left. Class: exhausted.
	NoDescriptors = Outcome{kind: noDescriptors}

	// NoPorts fails with EADDRNOTAVAIL from the connect call, because all local ports are taken.
	// Class: exhausted.
	NoPorts = Outcome{kind: noPorts}

	// NoFamily fails with EAFNOSUPPORT from the socket call, for example because IPv6 is disabled.
	// Class: invalid.
	NoFamily = Outcome{kind: noFamily}

	// NXDomain fails because the name server answers that the name does not exist. Class:
	// not_found.
	NXDomain = Outcome{kind: nxDomain}

	// ServFail fails because the name server failed. The error is as Go's own resolver returns it
	// or, on Windows, as the system's resolver does. Class: dns.
	//
	// For a name server that does not answer, use ServFail.After(time.Hour). The dial then fails
	// when its context ends. Class: dns, or canceled if the context was canceled.
	ServFail = Outcome{kind: servFail}
)

// Fail returns an outcome that fails with err unchanged. Use it for the errors of other dialers,
// such as a proxy's. If err is nil, the dial returns neither a connection nor an error, as a broken
// dialer does.
func Fail(err error) Outcome {
	return Outcome{kind: fail, err: err}
}

// After returns o with a delay of d. If d is zero or less, there is no delay. Without After, only
// [Timeout] has a delay.
//
// If the dial's context ends before the delay does, the dial fails as net.Dialer does when its
// context ends. The error says "i/o timeout" and matches context.DeadlineExceeded, or says
// "operation was canceled" and matches context.Canceled. For [NXDomain] and [ServFail], the error
// is in a *net.DNSError. A deadline at the very end of the delay counts as before the end.
func (o Outcome) After(d time.Duration) Outcome {
	o.delay, o.delayed = d, true
	return o
}

// Times returns o for n dials in a row. If n is zero or less, a script skips o.
func (o Outcome) Times(n int) Outcome {
	if n <= 0 {
		n = -1
	}
	o.times = n
	return o
}

// Forever returns o for all dials that follow.
func (o Outcome) Forever() Outcome {
	return o.Times(math.MaxInt)
}

// Winsock returns o with the error that o has on Windows. Use it to test the handling of Windows'
// errors on any operating system.
//
// The error numbers are Windows Sockets' own, such as 10061, which is not package syscall's
// ECONNREFUSED. TCP fails in "connectex" rather than "connect". A *net.DNSError names no server.
//
// Winsock does not change outcomes that connect, nor [Fail]. On Plan 9, which has no error numbers,
// it does not change the errors of system calls.
func (o Outcome) Winsock() Outcome {
	o.winsock = true
	return o
}

// String returns o as written in Go, or nearly so.
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

// A kind is an outcome regardless of its delay and its number of times.
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

// kinds has the name of each kind, and the system call that fails. The errnos depend on the
// operating system; they are in errno.go.
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

// connects reports whether o makes a connection.
func (o Outcome) connects() bool { return o.kind == ok || o.kind == hangUp }

// ofResolver reports whether o fails in the resolver, before there is an address to connect to.
func (o Outcome) ofResolver() bool { return o.kind == nxDomain || o.kind == servFail }

// giveUp is how long a connect lasts that gets no answer.
const giveUp = 127 * time.Second

// await waits until o is due or ctx ends, and reports whether o is due. If ctx's deadline is the
// very moment when o is due, o is not due: a test's result must not depend on which of two timers
// is faster.
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

// failure returns the error of a dial to t that ends in o.
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

// nameServer is the server that DNSErrors name. Its address is for documentation (RFC 5737).
const nameServer = "192.0.2.53:53"

// dnsError returns the resolver's error for o. The resolver is Go's own or Windows', which sets no
// flag when a server fails (net/lookup_windows.go).
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

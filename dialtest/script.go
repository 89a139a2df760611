package dialtest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/cenkalti/backoff/v4"
)

// A Dialer dials as its script says, and keeps a record of it. It is also the
// net.Listener at the other end of its connections. Make one with [Script].
//
// It is safe to call its methods concurrently: dials take the outcomes of
// their script in the order in which they begin. One that is made in a
// testing/synctest bubble must be used in it only. It starts no goroutine.
type Dialer struct {
	mu      sync.Mutex
	rest    *script            // of the addresses that have none of their own
	scripts map[string]*script // by address
	repeat  bool
	tb      TB

	dials []Dial

	arrived  sync.Cond
	backlog  []*conn // other ends, for Accept
	closed   bool
	lastPort int
}

// Script returns a Dialer whose dials end in outcomes, one after another,
// whatever the address, but for the addresses that [Dialer.For] names.
//
// A dial that finds none left fails with an error that says so, and that is
// not to be retried: it is a *backoff.PermanentError, which package redial has
// in the class invalid. End the script with [Outcome.Forever], or call
// [Dialer.Repeat] or [Dialer.FailTest], for it to be otherwise.
func Script(outcomes ...Outcome) *Dialer {
	d := &Dialer{rest: newScript(outcomes), scripts: make(map[string]*script)}
	d.arrived.L = &d.mu
	return d
}

// For gives address a script of its own, in place of the one it had, and
// returns d. The address is compared as it is dialed: host:port, or the path
// of a unix socket.
func (d *Dialer) For(address string, outcomes ...Outcome) *Dialer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scripts[address] = newScript(outcomes)
	return d
}

// Repeat makes each script of d start over when it has run out, and returns d.
// A script with no outcomes fails as it does without.
func (d *Dialer) Repeat() *Dialer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.repeat = true
	return d
}

// A TB is what [Dialer.FailTest] needs of testing.TB.
type TB interface {
	Errorf(format string, args ...any)
}

// FailTest makes each dial whose script has run out an error of the test t,
// too, and returns d. Such a dial must not come after the test's end.
func (d *Dialer) FailTest(t TB) *Dialer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tb = t
	return d
}

// DialContext dials as net.Dialer's does, but that what comes of it is the next
// outcome in the script of address. It does no I/O.
//
// A host name need not exist, and stands for the address 192.0.2.1, or
// 2001:db8::1 if network is "tcp6" or "udp6". Networks are those of TCP, UDP
// and unix sockets. What net.Dialer refuses before it sends anything fails with
// the same error, and takes no outcome of the script: malformed addresses,
// unknown networks, a ctx that is over.
//
// The connection is in memory, and buffered without limit, so that no write
// blocks. Its addresses are *net.TCPAddr (or *net.UDPAddr, or *net.UnixAddr)
// with a local port of its own, but it is no *net.TCPConn, and it is a stream
// on every network. The other end is for [Dialer.Accept]; one that is never
// accepted holds up nothing.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	number := d.began(ctx, network, address)
	conn, err := d.dial(ctx, network, address)
	d.ended(number, conn, err)
	return conn, err
}

func (d *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	t, err := resolve(network, address)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, t.ended(ctx, t.isName)
	}
	o, err := d.next(network, address)
	if err != nil {
		return nil, err
	}
	if !o.await(ctx) {
		return nil, t.ended(ctx, o.ofResolver())
	}
	if !o.connects() {
		return nil, o.failure(t)
	}
	return d.connect(t, o)
}

// next takes the next outcome from the script of address.
func (d *Dialer) next(network, address string) (Outcome, error) {
	o, tb, err := d.take(network, address)
	if err != nil && tb != nil {
		tb.Errorf("%v", err) // without the lock: it is the caller's
	}
	return o, err
}

func (d *Dialer) take(network, address string) (Outcome, TB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.scripts[address]
	if !ok {
		s = d.rest
	}
	o, ok := s.next(d.repeat)
	if !ok {
		return Outcome{}, d.tb, backoff.Permanent(d.ranOut(network, address, s))
	}
	return o, nil, nil
}

// ranOut names the dial and the script, and, where that has nothing at all,
// the addresses that have one: the dialed one may be misspelt.
func (d *Dialer) ranOut(network, address string, s *script) error {
	if len(s.outcomes) == 0 && len(d.scripts) > 0 {
		return fmt.Errorf("dialtest: dial %s %s: no script for it, only for %s", network, address,
			strings.Join(slices.Sorted(maps.Keys(d.scripts)), ", "))
	}
	return fmt.Errorf("dialtest: dial %s %s: its script has run out: %v", network, address, s.outcomes)
}

// A script is a list of outcomes and how far it has come.
type script struct {
	outcomes []Outcome
	at       int // the next outcome
	used     int // how often it has been taken already
}

func newScript(outcomes []Outcome) *script {
	s := new(script)
	for _, o := range outcomes {
		if o.times >= 0 {
			s.outcomes = append(s.outcomes, o)
		}
	}
	return s
}

func (s *script) next(repeat bool) (o Outcome, ok bool) {
	if repeat && s.at == len(s.outcomes) {
		s.at = 0
	}
	if s.at == len(s.outcomes) {
		return Outcome{}, false
	}
	o = s.outcomes[s.at]
	s.used++
	if s.used >= o.times {
		s.at, s.used = s.at+1, 0
	}
	return o, true
}

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

// A Dialer dials as its script says, and records each dial. It is also the net.Listener at the
// other end of its connections. Make one with [Script].
//
// Its methods may be called concurrently. Dials take the outcomes of their script in the order in
// which the dials begin. A Dialer made in a testing/synctest bubble must be used in that bubble
// only. A Dialer starts no goroutine.
type Dialer struct {
	mu      sync.Mutex
	rest    *script            // for addresses without a script of their own
	scripts map[string]*script // by address
	repeat  bool
	tb      TB

	dials []Dial

	arrived  sync.Cond
	backlog  []*conn // other ends that wait for Accept
	closed   bool
	lastPort int
}

// Script returns a Dialer whose dials end in outcomes, one after another. All addresses share this
// script, except the addresses to which [Dialer.For] gives their own.
//
// When the script has run out, a dial fails with an error that says so. The error is wrapped by
// backoff.Permanent, so that neither redial (class invalid) nor package backoff retries it. To
// make the script last, end it with [Outcome.Forever] or call [Dialer.Repeat]. To make such a dial
// fail the test, call [Dialer.FailTest].
func Script(outcomes ...Outcome) *Dialer {
	d := &Dialer{rest: newScript(outcomes), scripts: make(map[string]*script)}
	d.arrived.L = &d.mu
	return d
}

// For gives address a script of its own, which replaces the script it had, and returns d. The
// address must be written as it is dialed: host:port, or the path of a unix socket.
func (d *Dialer) For(address string, outcomes ...Outcome) *Dialer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scripts[address] = newScript(outcomes)
	return d
}

// Repeat makes each script of d start over when it has run out, and returns d. A dial with an empty
// script still fails.
func (d *Dialer) Repeat() *Dialer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.repeat = true
	return d
}

// A TB is the part of testing.TB that [Dialer.FailTest] uses.
type TB interface {
	Errorf(format string, args ...any)
}

// FailTest makes the test t fail, too, when a dial finds that its script has run out, and returns
// d. Such a dial must not come after the test's end.
func (d *Dialer) FailTest(t TB) *Dialer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tb = t
	return d
}

// DialContext dials like net.Dialer's DialContext, but ends in the next outcome of the script for
// address. It does no I/O.
//
// It supports the networks of TCP, UDP and unix sockets. A host name need not exist: it resolves to
// 192.0.2.1, or to 2001:db8::1 if network is "tcp6" or "udp6".
//
// DialContext fails with net.Dialer's own error, and takes no outcome from the script, if the
// address is malformed, the network is unknown, or ctx is over.
//
// The connection is in memory. It is a stream on every network, and never a *net.TCPConn. Its
// buffer has no limit, so no write blocks. Its addresses are *net.TCPAddr, *net.UDPAddr or
// *net.UnixAddr, and each connection has a local port of its own. [Dialer.Accept] returns the other
// end. A connection that nobody accepts holds up nothing.
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
		tb.Errorf("%v", err) // without the lock, because tb is the caller's
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

// ranOut returns the error of a dial whose script s has run out. If s is empty, the error lists the
// addresses that have a script, because the dialed address may be misspelt.
func (d *Dialer) ranOut(network, address string, s *script) error {
	if len(s.outcomes) == 0 && len(d.scripts) > 0 {
		return fmt.Errorf("dialtest: dial %s %s: no script for it, only for %s", network, address,
			strings.Join(slices.Sorted(maps.Keys(d.scripts)), ", "))
	}
	return fmt.Errorf("dialtest: dial %s %s: its script has run out: %v", network, address, s.outcomes)
}

// A script is a list of outcomes, and the position in the list.
type script struct {
	outcomes []Outcome
	at       int // the next outcome
	used     int // how often the next outcome has been taken already
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

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/explain"
)

// A look is one dial, and what there was to see.
type look struct {
	target   target.Target
	round    int // from 1
	attempts []attempt
	err      error // nil if it connected, and got the answer it asked for
}

// An attempt is one attempt of a look.
type attempt struct {
	redial.Attempt
	reached bool          // something accepted the connection
	answer  target.Answer // of the connection
	asked   time.Duration // the part of Duration that asking took
}

// look dials the target and closes the connection again. It asks for TLS and HTTP
// within the attempt, by Verify, so that the addresses of the name stay visible.
func (o *options) look(ctx context.Context, s *series) *look {
	l := &look{target: s.target}
	var current attempt
	d := &redial.Dialer{
		Dialer:      net.Dialer{Timeout: o.timeout},
		MaxAttempts: o.attempts,
		MaxElapsed:  -1, // attempts and timeout bound it
		Verify: func(ctx context.Context, conn net.Conn) (err error) {
			start := time.Now()
			current.reached = true
			current.answer, err = o.client.Ask(ctx, conn, s.target)
			current.asked = time.Since(start)
			if err != nil && ctx.Err() != context.Canceled && redial.Classify(err) == redial.Timeout {
				err = &silence{l.asked(current.answer), o.timeout, err}
			}
			return err
		},
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			current.Attempt = a
			l.attempts = append(l.attempts, current)
			current = attempt{}
		},
	}
	conn, err := d.DialContext(ctx, s.target.Network, s.target.Address)
	if err != nil {
		l.err = err
		return l
	}
	conn.Close()
	return l
}

// A silence is the failure of a server that accepted the connection, and did not
// answer before the attempt's time was up.
type silence struct {
	asked   string // what it was asked for
	timeout time.Duration
	err     error
}

func (e *silence) Error() string {
	return fmt.Sprintf("%s: no answer within %v", e.asked, e.timeout)
}

func (e *silence) Unwrap() error { return e.err }

// asked says what the server was asked for when it had given this much of an answer.
func (l *look) asked(answer target.Answer) string {
	if l.target.ServerName != "" && answer.TLS == nil {
		return "TLS handshake"
	}
	return "GET " + pathOf(l)
}

// class returns the class of the failure. The last attempt knows more than the
// error of the look.
func (l *look) class() redial.Class {
	if a := l.last(); a != nil {
		return a.Class
	}
	return redial.Classify(l.err)
}

// last returns the last attempt, or nil if there was none.
func (l *look) last() *attempt {
	if len(l.attempts) == 0 {
		return nil
	}
	return &l.attempts[len(l.attempts)-1]
}

// interrupted reports whether a signal cut the look off.
func (l *look) interrupted() bool { return l.err != nil && l.class() == redial.Canceled }

// elapsed is how long the look took.
func (l *look) elapsed() time.Duration {
	if a := l.last(); a != nil {
		return a.Elapsed
	}
	return 0
}

// sendsNothing reports whether connecting to the target sends nothing, so that a
// connection does not show that anybody is there.
func sendsNothing(t target.Target) bool {
	return strings.HasPrefix(t.Network, "udp") || strings.HasPrefix(t.Network, "ip")
}

// advice explains the failure by all that the attempts show. The error of a
// single attempt is net.Dialer's own, which knows less: neither the name that was
// dialed nor the result of each address.
func (l *look) advice() explain.Advice {
	a := l.last()
	if l.err == nil || l.interrupted() {
		return explain.Advice{} // that is nobody's fault
	}
	if _, ok := errors.AsType[*redial.Error](l.err); ok || a == nil {
		return explain.For(l.err)
	}
	history := make([]redial.Attempt, len(l.attempts))
	for i := range l.attempts {
		history[i] = l.attempts[i].Attempt
	}
	return explain.For(&redial.Error{
		Network: a.Network, Address: a.Address, Attempts: a.Number, Elapsed: a.Elapsed,
		Class: a.Class, Err: a.Err, Stop: a.Stop, Cause: a.Cause, History: history,
	})
}

// A series is all looks at one target.
type series struct {
	target   target.Target
	times    []time.Duration      // of the looks that connected
	failed   map[redial.Class]int // how many looks failed with the class
	canceled int                  // looks that a signal cut off
	failure  *look                // the latest that failed
}

func (s *series) add(l *look) {
	switch {
	case l.err == nil:
		s.times = append(s.times, l.elapsed())
	case l.interrupted():
		s.canceled++
	default:
		if s.failed == nil {
			s.failed = make(map[redial.Class]int)
		}
		s.failed[l.class()]++
		s.failure = l
	}
}

// never reports whether no other look at the target can turn out better.
func (s *series) never() bool { return s.failed[redial.Invalid] > 0 }

// classes returns the classes of the failures in order.
func (s *series) classes() []redial.Class { return slices.Sorted(maps.Keys(s.failed)) }

// spread returns the shortest of the times, the median and the longest.
func (s *series) spread() (shortest, median, longest time.Duration) {
	n := len(s.times)
	if n == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(s.times))
	return sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]
}

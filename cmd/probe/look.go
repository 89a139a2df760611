package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/explain"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// A look is one dial, and what there was to see.
type look struct {
	target   target.Target
	timeout  time.Duration // of an attempt
	round    int           // from 1
	attempts []attempt
	err      error // nil if it connected, and got the answer it asked for
}

// An attempt is one attempt of a look.
type attempt struct {
	redial.Attempt
	visits []visit // the connections made, in order
}

// A visit is what a connection was asked for, and what it answered.
type visit struct {
	remote string
	answer target.Answer
	took   time.Duration
}

// to returns the visit at an address, or a zero visit.
func (a *attempt) to(remote string) visit {
	for _, v := range a.visits {
		if v.remote == remote {
			return v
		}
	}
	return visit{}
}

// decisive returns the visit that decided the attempt: at the address that won or, if all failed, the
// last one. It is zero if nothing accepted a connection.
func (a *attempt) decisive() visit {
	if a.Remote != nil {
		return a.to(a.Remote.String())
	}
	if len(a.visits) == 0 {
		return visit{}
	}
	return a.visits[len(a.visits)-1]
}

// look dials the target and closes the connection again. It asks for TLS and HTTP
// within the attempt, by Verify, so that the addresses of the name stay visible.
func (o *options) look(ctx context.Context, s *series) *look {
	l := &look{target: s.target, timeout: o.timeout}
	var mu sync.Mutex // guards visits, because Verify can run for several addresses at once
	var visits []visit
	d := &redial.Dialer{
		Dialer:      net.Dialer{Timeout: o.timeout},
		MaxAttempts: o.attempts,
		MaxElapsed:  -1, // attempts and timeout bound it
		Verify: func(ctx context.Context, conn net.Conn) (err error) {
			start := time.Now()
			answer, err := o.client.Ask(ctx, conn, s.target)
			if err != nil && ctx.Err() != context.Canceled && redial.Classify(err) == redial.Timeout {
				err = &silence{l.asked(answer), o.timeout, err}
			}
			mu.Lock()
			defer mu.Unlock()
			visits = append(visits, visit{conn.RemoteAddr().String(), answer, time.Since(start)})
			return err
		},
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			l.attempts = append(l.attempts, attempt{a, visits})
			visits = nil
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
	return fmt.Sprintf("%s: no answer within %v", e.asked, plain.Duration(e.timeout))
}

func (e *silence) Unwrap() error { return e.err }

// asked says what the server was asked for when it had given this much of an answer.
func (l *look) asked(answer target.Answer) string {
	switch {
	case l.target.ServerName != "" && answer.TLS == nil:
		return "TLS handshake"
	case l.target.URL != nil:
		return "GET " + pathOf(l)
	}
	return "connection"
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

// elapsed is how long the look took, without the time in which a connection had to stay open.
func (l *look) elapsed() time.Duration {
	a := l.last()
	switch {
	case a == nil:
		return 0
	case l.err == nil && l.target.AsksNothing():
		return a.Elapsed - a.decisive().took
	}
	return a.Elapsed
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
		return target.Advise(l.target, l.err)
	}
	history := make([]redial.Attempt, len(l.attempts))
	for i := range l.attempts {
		history[i] = l.attempts[i].Attempt
	}
	return target.Advise(l.target, &redial.Error{
		Network: a.Network, Address: a.Address, Attempts: a.Number, Elapsed: a.Elapsed,
		Class: a.Class, Err: a.Err, Stop: a.Stop, Cause: a.Cause, History: history,
	})
}

// notes says what a look does not show.
func (l *look) notes() (notes []string) {
	if l.err == nil && sendsNothing(l.target) {
		notes = append(notes, nothingSent(l.target))
	}
	if l.err != nil && l.class() == redial.Timeout {
		notes = append(notes, fmt.Sprintf("If it only needs more time, raise -timeout (now %v).", plain.Duration(l.timeout)))
	}
	if l.usesProxyElsewhere() {
		notes = append(notes, fmt.Sprintf("%s_PROXY is set: many programs go through that proxy. probe connects directly.", strings.ToUpper(l.target.Scheme)))
	}
	return notes
}

// usesProxyElsewhere reports whether the environment names a proxy for the URL.
func (l *look) usesProxyElsewhere() bool {
	if l.target.URL == nil || l.target.Network == "unix" {
		return false
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: l.target.URL})
	return proxy != nil || err != nil
}

// A series is all looks at one target.
type series struct {
	target   target.Target
	times    []time.Duration      // of the looks that connected
	failed   map[redial.Class]int // how many looks failed with the class
	canceled int                  // looks that a signal cut off
	failure  *look                // the latest that failed
	latest   *look                // that was not cut off
}

func (s *series) add(l *look) {
	if !l.interrupted() {
		s.latest = l
	}
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

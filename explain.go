package redial

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Explain says what most likely happened to a dial, and what to check: one
// sentence, and up to four lines of things to check, the likeliest first, with
// commands of the system that the program runs on. Lines are separated by "\n"
// and there is none at the end:
//
//	Nothing listens on 127.0.0.1:5432 on this machine: it refused the connection.
//	  - Is the server running, and done with its start? See: ss -ltnp 'sport = :5432'
//	  - ...
//
// It takes any error, as Classify does: one of this package's, whose History
// has the result of each address, one of package net's, a client's that wraps
// either. It does no I/O, and decides by the structure of the error alone. The
// text is for people, and changes; decide by the [Class].
//
// Of nil it says nothing: the empty string.
func Explain(err error) string {
	return explain(err, runtime.GOOS)
}

// explain is Explain on the system of that name.
func explain(err error, goos string) string {
	if err == nil {
		return ""
	}
	f := newFailure(err, goos)
	return f.advise().String()
}

// An advice is an explanation in its parts.
type advice struct {
	what   string   // what happened: a sentence without its full stop
	checks []string // the likeliest first
}

// mostChecks is how many things to check a reader is given.
const mostChecks = 4

func (a advice) String() string {
	var b strings.Builder
	b.WriteString(a.what + ".")
	for _, check := range a.checks[:min(len(a.checks), mostChecks)] {
		b.WriteString("\n  - " + check)
	}
	return b.String()
}

// explainers has the one of each class, but for Canceled: that is not about the
// target, and refers to the one of the failure before.
var explainers = [numClasses]func(*failure) advice{
	Unknown:     explainUnknown,
	Refused:     explainRefused,
	Reset:       explainReset,
	DNS:         explainDNS,
	NotFound:    explainNotFound,
	Timeout:     explainTimeout,
	Unreachable: explainUnreachable,
	Denied:      explainDenied,
	Exhausted:   explainExhausted,
	TLS:         explainTLS,
	Invalid:     explainInvalid,
}

// advise explains the failure of the class, or of each address if they differ,
// and what the bounds of the dial had to do with it.
func (f *failure) advise() advice {
	if f.dial != nil && f.dial.Attempts == 0 {
		return f.notAttempted()
	}
	if f.gaveUp() {
		return f.canceled()
	}
	results := f.results()
	if differ(results) {
		return f.inTime(f.mixed(results))
	}
	if len(results) > 0 && f.class == results[0].Class {
		for _, r := range results {
			f.alike = append(f.alike, r.Addr.Addr())
		}
		if !f.remote.IsValid() {
			f.remote = results[0].Addr
		}
	}
	return f.inTime(explainers[f.class](f))
}

func differ(results []AddrResult) bool {
	return slices.ContainsFunc(results, func(r AddrResult) bool { return r.Class != results[0].Class })
}

// mixed explains a name whose addresses fail in different ways: it tells each
// one's, and takes the checks of each way in turn, those of the way that tells
// most first.
func (f *failure) mixed(results []AddrResult) advice {
	a := advice{what: fmt.Sprintf("None of the %d addresses of %s could be connected to: %s", len(results), f.address, outcomes(results))}
	var ways []AddrResult // the first of each class
	for _, r := range results {
		if !slices.ContainsFunc(ways, func(w AddrResult) bool { return w.Class == r.Class }) {
			ways = append(ways, r)
		}
	}
	slices.SortStableFunc(ways, func(a, b AddrResult) int {
		return b.Class.weight() - a.Class.weight()
	})
	for i := range mostChecks {
		for _, way := range ways {
			one := f.of(way)
			if checks := explainers[one.class](one).checks; i < len(checks) {
				a.checks = append(a.checks, one.ip()+": "+checks[i])
			}
		}
	}
	return a
}

// outcomes lists what came of each address: "192.0.2.1 refused, 192.0.2.2
// timeout after 2s".
func outcomes(results []AddrResult) string {
	const most = 6
	var all []string
	for _, r := range results[:min(len(results), most)] {
		outcome := r.Addr.Addr().String() + " " + r.Class.String()
		if r.Class == Timeout {
			outcome += " after " + rounded(r.Duration).String()
		}
		all = append(all, outcome)
	}
	if len(results) > most {
		all = append(all, "and others")
	}
	return strings.Join(all, ", ")
}

// inTime adds how many attempts it took and, if it was time that ended the
// dial, how much of it each had: with more it might have got through.
func (f *failure) inTime(a advice) advice {
	switch {
	case f.dial == nil:
	case f.dial.Stop == ErrMaxElapsed:
		a.what += fmt.Sprintf(" (%s, until MaxElapsed was too close; %s)", f.spent(), f.durations())
		a.checks = append(a.checks, "Does it take longer by nature, as a server's start does? Then raise Dialer.MaxElapsed.")
	case f.timeWasUp():
		a.what += fmt.Sprintf(" (%s, until its deadline was too close; %s)", f.spent(), f.durations())
		a.checks = append(a.checks, "Does it take longer by nature, as a server's start does? Then give it a later deadline.")
	case f.dial.Attempts > 1:
		a.what += fmt.Sprintf(" (%s)", f.spent())
	}
	return a
}

// timeWasUp tells whether it was the time of the whole dial that ended it. The
// cause of a context's deadline may be anything.
func (f *failure) timeWasUp() bool {
	return f.dial.Stop == ErrMaxElapsed || f.dial.Stop == ErrDeadline || f.dial.ctxErr == context.DeadlineExceeded
}

// gaveUp tells whether the caller ended the dial, in an attempt or between
// two: the reason is its own then, and none of ours.
func (f *failure) gaveUp() bool {
	if f.class == Canceled || f.dial == nil || f.dial.Stop == nil || f.timeWasUp() {
		return f.class == Canceled
	}
	return !errors.Is(f.dial.Stop, ErrPermanent) && f.dial.Stop != ErrMaxAttempts
}

// spent is how often and how long it was tried: "4 attempts in 1.2s".
func (f *failure) spent() string {
	plural := "s"
	if f.dial.Attempts == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d attempt%s in %v", f.dial.Attempts, plural, rounded(f.dial.Elapsed))
}

// durations is how long each attempt took: all of a few, or the least and the
// most of those that are kept of many.
func (f *failure) durations() string {
	const few = 4
	history := f.dial.History
	if len(history) == 0 {
		return "how long each took is not known"
	}
	took := make([]time.Duration, len(history))
	for i := range history {
		took[i] = rounded(history[i].Duration)
	}
	if len(took) <= few {
		return "took " + named(took)
	}
	return fmt.Sprintf("each took %v to %v", slices.Min(took), slices.Max(took))
}

// notAttempted explains a dial that was over before it began.
func (f *failure) notAttempted() advice {
	if f.class == Canceled {
		return advice{
			"Nothing was dialed: the caller had given up on " + f.where() + " before the first attempt",
			[]string{
				"Is the context of an operation that has ended already still in use?" + f.cause(),
				"Is Dialer.Cancel closed, or a request's context used for work that outlives the request?",
			},
		}
	}
	return advice{
		"Nothing was dialed: the time for " + f.where() + " was up before the first attempt",
		[]string{
			"Did what came before use up the deadline of the context, which they share?",
			"Is Dialer.Deadline in the past, or Dialer.Timeout negative?",
			"Was this machine's clock set, or the machine suspended?",
		},
	}
}

// canceled tells what the caller gave up on, and what stood in its way until
// then, which is the more useful to know.
func (f *failure) canceled() advice {
	a := advice{what: "The caller gave up on " + f.where() + " before it was connected", checks: []string{
		"The program itself ended it: a signal, a request that was over, the first error of a group." + f.cause(),
	}}
	if f.dial == nil || len(f.dial.History) == 0 {
		a.checks = append(a.checks, "Is it slow to connect? Look at each attempt's duration, by Logger or OnAttempt.")
		return a
	}
	a.what = fmt.Sprintf("The caller gave up on %s after %s, before it was connected (%s)", f.where(), f.spent(), f.durations())
	if class, before := f.before(); before != nil {
		a.what += "; until then, it met " + class.String()
		a.checks = append(a.checks, before.checks...)
	}
	return a
}

// before is the class of the last failure that was not the caller's doing, and
// the advice on it; nil if there was none.
func (f *failure) before() (Class, *advice) {
	for _, attempt := range slices.Backward(f.dial.History) {
		if attempt.Err == nil || attempt.Class == Canceled || attempt.Class >= numClasses {
			continue
		}
		met := newFailure(attempt.Err, f.goos)
		met.class = attempt.Class
		if met.address == "" {
			met.network, met.address = f.network, f.address
		}
		a := explainers[met.class](met)
		return met.class, &a
	}
	return Canceled, nil
}

// cause is why the caller gave up, if it told.
func (f *failure) cause() string {
	if f.dial == nil || f.dial.Stop == nil || f.dial.Stop == context.Canceled || isNilPointer(f.dial.Stop) {
		return ""
	}
	return " It said: " + f.dial.Stop.Error() + "."
}

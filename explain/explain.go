// Package explain says why a dial failed, for people: what was observed, what
// is likely, and what to check. It takes the errors of package redial, of
// package net, and of clients that wrap either.
package explain

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/foreign"
)

// Error explains a failed dial in at most six lines of at most 120 characters: what was
// observed, what is likely, and up to four things to check, the likeliest first, with
// commands of the operating system that the program runs on:
//
//	127.0.0.1:5432 refused the connection. Likely no server listens there.
//	  - Is the server running, and listening on port 5432 of 127.0.0.1, 0.0.0.0 or *? Here: ss -ltnp
//	  - ...
//
// There is no newline at the end. Error does no I/O. It decides by the structure of err,
// and reads a text only where package net keeps nothing else, as in a *net.DNSError. Names
// from err are quoted if they hold odd characters, in commands too. If Error understands
// err, it does not repeat err's message, so print err as well. The text changes between
// versions: a program should decide by the [redial.Class].
//
// The explanation of nil is empty. Error can be called concurrently.
func Error(err error) string { return on(err, runtime.GOOS) }

// on is Error for the operating system named goos.
func on(err error, goos string) string {
	if err == nil {
		return ""
	}
	return newFailure(err, goos).explain().String()
}

// An advice is an explanation in its parts.
type advice struct {
	name     string  // of the text; tests list which failure gets which
	observed string  // a sentence without its full stop
	note     string  // how often and how long it was tried, if known
	likely   string  // sentences, or empty
	checks   []check // the likeliest first
}

// The size of an explanation.
const (
	width        = 120 // columns of a line
	mostLines    = 6
	mostChecks   = 4
	mostBytes    = 2048
	longestShown = 64 // bytes of a name or a text of others
)

func (a advice) String() string {
	lines := a.headline()
	for i, c := range a.checks[:min(len(a.checks), mostChecks)] {
		if len(lines) == mostLines {
			break
		}
		// Each check may take two lines, the first two before all others.
		room := mostLines - len(lines)
		if i == 0 && len(a.checks) > 1 {
			room--
		}
		lines = append(lines, c.lines(min(room, 2))...)
	}
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	for len(lines) > 1 && len(strings.Join(lines, "\n")) > mostBytes {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines, "\n")
}

// printable returns s with a question mark in place of each odd character. Names
// are quoted where they are used; this is for what slips through.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isOdd(r) {
			return '?'
		}
		return r
	}, s)
}

// headline returns one line or two, the second with what is likely. What does
// not fit is left out: first the note, then what is likely.
func (a advice) headline() []string {
	note := ""
	if a.note != "" {
		note = " (" + a.note + ")"
	}
	for _, observed := range []string{a.observed + note + ".", a.observed + "."} {
		switch {
		case a.likely == "" && columns(observed) <= width:
			return []string{observed}
		case columns(observed)+1+columns(a.likely) <= width:
			return []string{observed + " " + a.likely}
		case columns(observed) <= width && columns(indent+a.likely) <= width:
			return []string{observed, indent + a.likely}
		}
		if lines := wrap(observed + " " + a.likely); len(lines) <= 2 {
			return lines
		}
	}
	lines := wrap(a.observed + note + ".")
	if len(lines) > 2 {
		lines = wrap(a.observed + ".")
	}
	if len(lines) > 2 {
		lines = []string{lines[0], cut(lines[1], width-len(" ...")) + " ..."}
	}
	return lines
}

// indent begins a line that continues the one above it.
const indent = "  "

// wrap breaks text into lines between words. All but the first are indented.
func wrap(text string) []string { return wrapTo(width, text) }

func wrapTo(width int, text string) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case strings.TrimSpace(*last) == "":
			*last += word
		case columns(*last)+1+columns(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, indent+word)
		}
	}
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return lines
}

// columns returns how wide s is on a terminal. It counts letters of double width, as
// Chinese ones are, as one column.
func columns(s string) int { return utf8.RuneCountInString(s) }

// cut returns s, or its beginning if it is wider than most.
func cut(s string, most int) string {
	if columns(s) <= most {
		return s
	}
	return string([]rune(s)[:most-3]) + "..."
}

// explain returns the text for the class, unless the dial made no attempt, its caller
// gave up, or its addresses failed in different ways. Each of these has its own text.
func (f *failure) explain() advice {
	if f.dial != nil && f.dial.Attempts == 0 {
		return f.notAttempted()
	}
	if f.gaveUp() {
		return f.canceled()
	}
	results := f.results()
	if differ(results) {
		return f.bounded(f.mixed(results))
	}
	f.useAddresses(results)
	return f.bounded(f.ofClass())
}

// ofClass returns the text of the failure's class.
func (f *failure) ofClass() advice {
	switch f.class {
	case redial.Refused:
		return f.refused()
	case redial.Reset:
		return f.reset()
	case redial.DNS:
		return f.resolverFailed()
	case redial.NotFound:
		return f.notFound()
	case redial.Timeout:
		return f.timeout()
	case redial.Unreachable:
		return f.unreachable()
	case redial.Denied:
		return f.denied()
	case redial.Exhausted:
		return f.exhausted()
	case redial.TLS:
		return f.tls()
	case redial.Invalid:
		return f.invalid()
	case redial.Canceled:
		return f.canceled()
	}
	return f.unknown()
}

// differ reports whether addresses failed in different ways.
func differ(results []redial.AddrResult) bool {
	return slices.ContainsFunc(results, func(r redial.AddrResult) bool { return !sameWay(r, results[0]) })
}

// sameWay reports whether two addresses failed alike.
func sameWay(a, b redial.AddrResult) bool {
	return a.Class == b.Class && conditionOf(a.Err) == conditionOf(b.Err)
}

// decisive orders the classes of a name's addresses. The class that says most about why
// no connection was made comes first.
var decisive = []redial.Class{redial.Refused, redial.Reset, redial.TLS, redial.Timeout, redial.Denied, redial.Unreachable}

func rank(c redial.Class) int {
	if i := slices.Index(decisive, c); i >= 0 {
		return i
	}
	return len(decisive)
}

// mixed explains a name whose addresses failed in different ways: what came of
// each, and then what to check for each way, the most decisive one first.
func (f *failure) mixed(results []redial.AddrResult) advice {
	var ways [][]redial.AddrResult
	for _, r := range results {
		i := slices.IndexFunc(ways, func(way []redial.AddrResult) bool { return sameWay(way[0], r) })
		if i < 0 {
			i, ways = len(ways), append(ways, nil)
		}
		ways[i] = append(ways[i], r)
	}
	slices.SortStableFunc(ways, func(a, b []redial.AddrResult) int { return cmp.Compare(rank(a[0].Class), rank(b[0].Class)) })
	outcomes := make([]string, len(ways))
	for i, way := range ways {
		outcomes[i] = f.outcome(way)
	}
	a := advice{name: "mixed", observed: fmt.Sprintf("None of the %d addresses of %s accepted: %s",
		len(results), f.asked.String(), strings.Join(outcomes, "; "))}
	for i, way := range ways[:min(len(ways), mostChecks)] {
		one := f.of(way[0])
		share := (mostChecks + len(ways) - 1 - i) / len(ways)
		checks := one.ofClass().checks
		for _, c := range checks[:min(len(checks), max(share, 1))] {
			c.say = one.ip() + ": " + c.say
			a.checks = append(a.checks, c)
		}
	}
	return a
}

// outcome says what came of the addresses that failed in one way.
func (f *failure) outcome(way []redial.AddrResult) string {
	const most = 2
	var names []string
	for _, r := range way[:min(len(way), most)] {
		names = append(names, r.Addr.Addr().String())
	}
	if n := len(way) - most; n > 0 {
		names = append(names, strconv.Itoa(n)+" more")
	}
	text := list(names)
	switch way[0].Class {
	case redial.Refused:
		return text + " refused"
	case redial.Reset:
		return text + " reset"
	case redial.Timeout:
		return text + " gave no answer in " + rounded(way[0].Duration).String()
	case redial.Unreachable:
		return text + " unreachable"
	}
	return text + " " + way[0].Class.String()
}

// bounded adds how often and how long the dial tried, and, if a time limit
// ended it, where to find that limit.
func (f *failure) bounded(a advice) advice {
	switch {
	case f.dial == nil:
	case f.timeWasUp():
		a.note = f.spent() + ", then the time was up"
		if a.name == "invalid" {
			break
		}
		limit := "the deadline of its context"
		if f.dial.Stop == redial.ErrMaxElapsed {
			limit = "Dialer.MaxElapsed"
		}
		a.checks = append(a.checks, say("Does it only need longer, as a server that starts does? Raise the limit: "+limit+"."))
	case f.dial.Attempts > 1:
		a.note = f.spent()
	}
	return a
}

// timeWasUp reports whether a time limit of the whole dial ended it.
func (f *failure) timeWasUp() bool {
	return f.dial != nil && f.dial.Stop.Timeout()
}

// gaveUp reports whether the caller ended the dial, during an attempt or
// between two.
func (f *failure) gaveUp() bool {
	return f.class == redial.Canceled || f.dial != nil && f.dial.Stop == redial.ErrCanceled
}

// spent says how often and how long the dial tried: "4 attempts in 1.2s".
func (f *failure) spent() string {
	if f.dial.Attempts == 1 {
		return "1 attempt in " + rounded(f.dial.Elapsed).String()
	}
	return fmt.Sprintf("%d attempts in %v", f.dial.Attempts, rounded(f.dial.Elapsed))
}

// notAttempted explains a dial that was over before it began.
func (f *failure) notAttempted() advice {
	if f.class == redial.Canceled {
		return advice{name: "canceled before", observed: "Nothing was dialed: the program had given up on " + f.where() + " before the first attempt",
			likely: f.cause(),
			checks: []check{
				say("Is the context of a request or an operation used after that has ended?"),
				say("Is Dialer.Cancel closed already?"),
			}}
	}
	return advice{name: "deadline before", observed: "Nothing was dialed: the time for " + f.where() + " was up before the first attempt",
		checks: []check{
			say("Did earlier steps use up the time? They share the deadline of the context."),
			say("Is Dialer.Deadline in the past, or Dialer.Timeout negative?"),
			say("Was the clock of this machine set, or the machine suspended?"),
		}}
}

// canceled says that the program gave up, and explains the failure that it had
// met until then, which is what kept it from connecting.
func (f *failure) canceled() advice {
	a := advice{name: "canceled", observed: "The program itself gave up on " + f.where() + " before it was connected", likely: f.cause()}
	ended := say("What ended it: a signal, a request that was over, or another part of the program that failed?")
	if f.dial == nil || len(f.dial.History) == 0 {
		a.checks = []check{ended, say("Is connecting slow, so that somebody lost patience? See how long each attempt took, in the program's log.")}
		return a
	}
	a.note = f.spent()
	if before := f.before(); before != nil {
		a.likely = strings.TrimSpace("Until then: " + lowered(before.observed) + ". " + a.likely)
		a.checks = append(a.checks, before.checks[:min(len(before.checks), mostChecks-1)]...)
	}
	a.checks = append(a.checks, ended)
	return a
}

// before explains the last failure that was not the caller's doing; nil if
// there was none.
func (f *failure) before() *advice {
	for _, attempt := range slices.Backward(f.dial.History) {
		if attempt.Err == nil || attempt.Class == redial.Canceled {
			continue
		}
		earlier := *f.dial
		earlier.Attempts, earlier.Class, earlier.Err, earlier.Stop, earlier.Cause = 1, attempt.Class, attempt.Err, redial.ErrMaxAttempts, nil
		earlier.History = []redial.Attempt{attempt}
		a := newFailure(&earlier, f.goos).explain()
		return &a
	}
	return nil
}

// cause quotes why the caller gave up, if it said so.
func (f *failure) cause() string {
	if f.dial == nil || f.dial.Cause == context.Canceled || foreign.IsNil(f.dial.Cause) {
		return ""
	}
	return "The reason given is " + quote(messageOf(f.dial.Cause)) + "."
}

// unknown explains what no class knows.
func (f *failure) unknown() advice {
	a := advice{name: "unknown", observed: "The dial failed with an error that redial does not know"}
	switch {
	case f.socks:
		return f.socksFailed()
	case f.address() != "":
		a.observed = "The dial of " + f.where() + " failed with an error that redial does not know"
	case f.dial == nil && f.op == nil:
		a.observed = "This error does not look like a failed dial"
	}
	a.observed += ": " + f.text()
	a.checks = []check{
		say("Is it a protocol's, such as a wrong password or a status? Then the connection itself was made."),
		say("Does a proxy or a tunnel lead there? Its log says more. A proxy's refusal comes as its text only."),
		say("Does the program have a dial or verify function of its own? The error is from there (Dialer.Classifier can classify it)."),
	}
	return a
}

// text quotes the message of the innermost error. Errors that are nil pointers
// have none that could be asked for.
func (f *failure) text() string {
	if len(f.chain) == 0 {
		return "an error that is a nil pointer"
	}
	text := strings.TrimRight(messageOf(f.leaf()), ".\n ")
	if text == "" {
		return "an error without a text"
	}
	return quote(text)
}

// messageOf returns the message of err, or nothing if its Error method panics. An incomplete
// error's does: a *net.OpError without an Err, for example.
func messageOf(err error) (message string) {
	foreign.Try(func() { message = err.Error() })
	return message
}

// quote returns text of others in quotation marks: of one line, without odd
// characters, and not too long.
func quote(text string) string { return strconv.Quote(shortened(text)) }

// shortened returns text, or its beginning and end if it is too long.
func shortened(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= longestShown {
		return text
	}
	return strings.ToValidUTF8(text[:longestShown*2/3], "") + "..." + strings.ToValidUTF8(text[len(text)-longestShown/3:], "")
}

// shown returns a name or an address as it is, or quoted if it is odd.
func shown(s string) string {
	if s == "" || strings.ContainsFunc(s, isOdd) || strings.ContainsAny(s, " \"'`") || len(s) > longestShown {
		return quote(s)
	}
	return s
}

// rounded returns d as a person would say it: 1.2s, 340ms.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

// list joins names by commas and an "and".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// sentence returns s with a capital at its beginning, if a word begins it.
func sentence(s string) string {
	if rest, ok := strings.CutPrefix(s, "the "); ok {
		return "The " + rest
	}
	return s
}

// lowered returns s without the capital at its beginning, if one of this
// package's own words begins it.
func lowered(s string) string {
	for _, word := range []string{"No ", "Nothing ", "None ", "The ", "There ", "This ", "A "} {
		if rest, ok := strings.CutPrefix(s, word); ok {
			return strings.ToLower(word) + rest
		}
	}
	return s
}

// useAddresses notes the addresses of a name, which all failed in one way.
func (f *failure) useAddresses(results []redial.AddrResult) {
	if len(results) == 0 || f.class != results[0].Class {
		return
	}
	for _, r := range results {
		f.alike = append(f.alike, r.Addr.Addr())
		f.took = max(f.took, r.Duration)
	}
	if !f.remote.IsValid() {
		f.remote = results[0].Addr
	}
}

// of returns the failure as if there were only that one address.
func (f *failure) of(r redial.AddrResult) *failure {
	one := newFailure(r.Err, f.goos)
	one.class, one.took = r.Class, r.Duration
	one.remote = netip.AddrPortFrom(r.Addr.Addr().Unmap(), r.Addr.Port())
	one.asked = target{network: f.asked.network, address: one.remote.String()}
	return one
}

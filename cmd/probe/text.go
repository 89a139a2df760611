package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// The reports for people: all steps of a single look; of many looks a line each,
// and a summary.

// The colors of terminals (ECMA-48, SGR).
const (
	reset = "\x1b[0m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	dim   = "\x1b[2m"
)

// paint colors a text, or not.
type paint func(color, text string) string

func newReporter(o *options, out io.Writer, colors bool) reporter {
	p := func(color, text string) string {
		if !colors {
			return text
		}
		return color + text + reset
	}
	switch {
	case o.json:
		return &jsonReport{out: out, count: o.count}
	case o.count == 1:
		return &stepsReport{out: out, paint: p}
	}
	width := 0
	for _, t := range o.targets {
		width = max(width, cli.Width(t.Name))
	}
	return &linesReport{out: out, paint: p, width: width}
}

// A stepsReport shows each step of each look.
type stepsReport struct {
	out   io.Writer
	paint paint
	begun bool
}

func (r *stepsReport) look(l *look) error {
	var b strings.Builder
	if r.begun {
		b.WriteByte('\n')
	}
	r.begun = true
	fmt.Fprintf(&b, "%s\n", cli.Foreign(l.target.Network+" "+l.target.Address))
	for _, s := range l.steps() {
		s.write(&b, r.paint, widest(l.steps()))
	}
	if l.interrupted() {
		b.WriteString("\ninterrupted\n")
	} else if l.err != nil {
		fmt.Fprintf(&b, "\n%s\n\n%s\n", r.paint(red, "error: "+target.Message(l.err)), l.advice())
	}
	for _, note := range l.notes() {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	_, err := io.WriteString(r.out, b.String())
	return err
}

func (r *stepsReport) end([]*series) error { return nil }

// nothingSent says how little a connected datagram socket shows.
func nothingSent(t target.Target) string {
	return cli.Foreign(strings.ToUpper(t.Network)) + " has no connections: nothing was sent, so this does not show that anything listens there."
}

// A step is a line of a look: what was done, what came of it, and the time it
// took.
type step struct {
	what, outcome string
	took          time.Duration
	bad           bool
	heading       bool // only what
}

// outcomeWidth is the width of the column of outcomes.
const outcomeWidth = 11

func (s step) write(b *strings.Builder, paint paint, width int) {
	if s.heading {
		fmt.Fprintf(b, "  %s\n", paint(dim, s.what))
		return
	}
	color := green
	if s.bad {
		color = red
	}
	fmt.Fprintf(b, "  %s  %s  %s\n", cli.Pad(s.what, width), paint(color, cli.Pad(s.outcome, outcomeWidth)), paint(dim, plain.Duration(s.took).String()))
}

// widest returns the width of the column of what was done.
func widest(steps []step) int {
	width := 0
	for _, s := range steps {
		if !s.heading {
			width = max(width, cli.Width(s.what))
		}
	}
	return width
}

// steps returns the lines of all attempts.
func (l *look) steps() []step {
	var steps []step
	for i := range l.attempts {
		a := &l.attempts[i]
		if i > 0 {
			wait := plain.Duration(l.attempts[i-1].Delay)
			steps = append(steps, step{what: fmt.Sprintf("attempt %d, after a wait of %v", a.Number, wait), heading: true})
		}
		steps = append(steps, a.connecting()...)
		steps = append(steps, l.asking(a)...)
	}
	return steps
}

// connecting returns the steps until the connection.
func (a *attempt) connecting() []step {
	if a.Resolve == 0 && a.Addrs == nil { // a literal address, or a path
		s := step{what: cli.Foreign(a.Address), outcome: "connected", took: a.Duration - a.decisive().took}
		if len(a.visits) == 0 {
			s.outcome, s.bad = target.Outcome(a.Class), true
		}
		return []step{s}
	}
	resolving := step{what: resolveStep(a), outcome: "resolved", took: a.Resolve}
	if len(a.Addrs) == 0 {
		resolving.outcome, resolving.bad = target.Outcome(a.Class), true
	}
	steps := []step{resolving}
	for _, addr := range a.Addrs {
		s := step{what: written(addr.Addr), outcome: "connected", took: addr.Duration - a.to(written(addr.Addr)).took}
		switch {
		case addr.Connected:
		case addr.Err != nil && addr.Class == redial.Canceled:
			s.outcome, s.bad = "called off", true // another address was first
		case addr.Err != nil:
			s.outcome, s.bad = target.Outcome(addr.Class), true
		}
		steps = append(steps, s)
	}
	return steps
}

func resolveStep(a *attempt) string {
	host, _, _ := net.SplitHostPort(a.Address) // a name with a port, or it would not have been resolved
	host = cli.Foreign(host)
	if len(a.Addrs) == 0 {
		return host
	}
	if len(a.Addrs) == 1 {
		return host + ": 1 address tried"
	}
	return fmt.Sprintf("%s: %d addresses tried", host, len(a.Addrs))
}

// asking returns the steps on the connection.
func (l *look) asking(a *attempt) []step {
	if len(a.visits) == 0 {
		return nil
	}
	answer := a.decisive().answer
	if l.target.AsksNothing() && a.Err != nil {
		return []step{{what: "stays open", outcome: target.Outcome(a.Class), took: a.decisive().took, bad: true}}
	}
	var steps []step
	if l.target.ServerName != "" {
		steps = append(steps, l.tlsSteps(a, answer)...)
	}
	if l.target.URL == nil || l.target.ServerName != "" && answer.TLS == nil {
		return steps
	}
	s := step{what: "GET " + pathOf(l), outcome: target.Outcome(a.Class), took: answer.HTTP, bad: a.Err != nil}
	if answer.Status > 0 {
		s.outcome, s.bad = statusOf(answer), s.bad || answer.Status >= http.StatusInternalServerError
	}
	return append(steps, s)
}

func statusOf(answer target.Answer) string { return fmt.Sprint("status ", answer.Status) }

// tlsSteps returns the handshake, and the certificate even if it is not trusted.
func (l *look) tlsSteps(a *attempt, answer target.Answer) []step {
	s := step{what: "TLS", outcome: target.Outcome(a.Class), took: answer.Handshake, bad: true}
	var sent []*x509.Certificate
	if answer.TLS != nil {
		s.what, s.outcome, s.bad = tlsStep(answer.TLS), "connected", false
		sent = answer.TLS.PeerCertificates
	} else if e, ok := errors.AsType[*tls.CertificateVerificationError](a.Err); ok {
		sent = e.UnverifiedCertificates
	}
	if len(sent) == 0 {
		return []step{s}
	}
	return []step{s, {what: certificateStep(sent[0], time.Now()), heading: true}}
}

// pathOf returns the path of the URL without its query, which may hold secrets.
func pathOf(l *look) string {
	if path := l.target.URL.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

func tlsStep(state *tls.ConnectionState) string {
	s := tls.VersionName(state.Version)
	if state.NegotiatedProtocol != "" {
		s += ", " + state.NegotiatedProtocol
	}
	return s
}

// certificateStep shows a server's own certificate, not those of its authorities.
func certificateStep(c *x509.Certificate, now time.Time) string {
	text := fmt.Sprintf("certificate of \"%s\", valid from %s to %s",
		cli.Foreign(c.Subject.String()), c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	if now.After(c.NotAfter) {
		text += ": expired " + cli.Age(now.Sub(c.NotAfter)) + " ago"
	}
	return text
}

// written returns addr as people write it, without the ::ffff: of an IPv4 address.
func written(addr netip.AddrPort) string {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String()
}

// A linesReport shows a line for each look, and at the end a summary of each
// target and its latest failure.
type linesReport struct {
	out   io.Writer
	paint paint
	width int // of the column of names
}

func (r *linesReport) look(l *look) error {
	outcome, detail, color := "connected", "", green
	switch a := l.last(); {
	case l.err != nil:
		outcome, detail, color = target.Outcome(l.class()), "  "+target.Message(l.err), red
	case a.decisive().answer.Status > 0:
		outcome = statusOf(a.decisive().answer)
		if a.decisive().answer.Status >= http.StatusInternalServerError {
			color = red
		}
	}
	_, err := fmt.Fprintf(r.out, "%4d  %s  %s  %s%s\n", l.round, cli.Pad(l.target.Name, r.width),
		r.paint(color, cli.Pad(outcome, outcomeWidth)), r.paint(dim, plain.Duration(l.elapsed()).String()), detail)
	return err
}

func (r *linesReport) end(all []*series) error {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "\n%s: %s\n", s.target.Name, s.summary())
		if s.failure != nil {
			fmt.Fprintf(&b, "%s\n", s.failure.advice())
		}
		if s.latest == nil {
			continue
		}
		for _, note := range s.latest.notes() {
			fmt.Fprintf(&b, "%s\n", note)
		}
	}
	_, err := io.WriteString(r.out, b.String())
	return err
}

// summary counts the looks: those that connected with their times, then those
// that failed by class.
func (s *series) summary() string {
	looks := len(s.times)
	for _, n := range s.failed {
		looks += n
	}
	parts := []string{cli.Count(looks, "look")}
	if len(s.times) > 0 {
		shortest, median, longest := s.spread()
		parts = append(parts, fmt.Sprintf("%d connected (shortest %v, median %v, longest %v)", len(s.times), plain.Duration(shortest), plain.Duration(median), plain.Duration(longest)))
	}
	for _, class := range s.classes() {
		parts = append(parts, fmt.Sprintf("%d %s", s.failed[class], target.Outcome(class)))
	}
	if s.canceled > 0 {
		parts = append(parts, "one was interrupted")
	}
	return strings.Join(parts, ", ")
}

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
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
)

// The reports for people: all steps of a single look; of many looks a line each,
// and a summary.

// The colors of terminals (ECMA-48, SGR).
const (
	plain = "\x1b[0m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	dim   = "\x1b[2m"
)

// wantsColors reports whether f is a terminal whose user has not said no to
// colors (no-color.org). Not every console of Windows knows them.
func wantsColors(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && runtime.GOOS != "windows" &&
		os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint colors a text, or not.
type paint func(color, text string) string

func newReporter(o *options, out io.Writer, colors bool) reporter {
	p := func(color, text string) string {
		if !colors {
			return text
		}
		return color + text + plain
	}
	switch {
	case o.json:
		return &jsonReport{out: out, count: o.count}
	case o.count == 1:
		return &stepsReport{out: out, paint: p}
	}
	width := 0
	for _, t := range o.targets {
		width = max(width, utf8.RuneCountInString(t.Name))
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
	fmt.Fprintf(&b, "%s %s\n", l.target.Network, l.target.Address)
	for _, s := range l.steps() {
		s.write(&b, r.paint, widest(l.steps()))
	}
	if l.interrupted() {
		b.WriteString("\ninterrupted\n")
	} else if l.err != nil {
		fmt.Fprintf(&b, "\n%s\n\n%s\n", r.paint(red, "error: "+l.err.Error()), l.advice())
	} else if sendsNothing(l.target) {
		fmt.Fprintf(&b, "\n%s\n", nothingSent(l.target))
	}
	_, err := io.WriteString(r.out, b.String())
	return err
}

func (r *stepsReport) end([]*series) error { return nil }

// nothingSent says how little a connected datagram socket shows.
func nothingSent(t target.Target) string {
	return strings.ToUpper(t.Network) + " has no connections: nothing was sent, so this does not show that anything listens there."
}

// A step is a line of a look: what was done, what came of it, and the time it
// took.
type step struct {
	what, outcome string
	took          time.Duration
	bad           bool
	heading       bool // only what
}

func (s step) write(b *strings.Builder, paint paint, width int) {
	if s.heading {
		fmt.Fprintf(b, "  %s\n", paint(dim, s.what))
		return
	}
	color := green
	if s.bad {
		color = red
	}
	fmt.Fprintf(b, "  %-*s  %s  %s\n", width, s.what, paint(color, fmt.Sprintf("%-11s", s.outcome)), paint(dim, cli.Brief(s.took).String()))
}

// widest returns the width of the column of what was done.
func widest(steps []step) int {
	width := 0
	for _, s := range steps {
		if !s.heading {
			width = max(width, utf8.RuneCountInString(s.what))
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
			wait := cli.Brief(l.attempts[i-1].Delay)
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
		s := step{what: a.Address, outcome: "connected", took: a.Duration - a.asked}
		if !a.reached {
			s.outcome, s.bad = a.Class.String(), true
		}
		return []step{s}
	}
	resolving := step{what: resolveStep(a), outcome: "resolved", took: a.Resolve}
	if len(a.Addrs) == 0 {
		resolving.outcome, resolving.bad = a.Class.String(), true
	}
	steps := []step{resolving}
	for _, addr := range a.Addrs {
		s := step{what: written(addr.Addr), outcome: "connected", took: addr.Duration}
		switch {
		case addr.Err != nil && addr.Class == redial.Canceled:
			s.outcome, s.bad = "called off", true // another address was first
		case addr.Err != nil:
			s.outcome, s.bad = addr.Class.String(), true
		}
		steps = append(steps, s)
	}
	return steps
}

func resolveStep(a *attempt) string {
	host, _, _ := net.SplitHostPort(a.Address) // a name with a port, or it would not have been resolved
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
	if !a.reached {
		return nil
	}
	var steps []step
	failed := step{outcome: a.Class.String(), bad: true}
	if l.target.ServerName != "" {
		if a.answer.TLS == nil {
			failed.what, failed.took = "TLS", a.answer.Handshake
			steps = append(steps, failed)
			if e, ok := errors.AsType[*tls.CertificateVerificationError](a.Err); ok && len(e.UnverifiedCertificates) > 0 {
				steps = append(steps, step{what: certificateStep(e.UnverifiedCertificates[0]), heading: true})
			}
			return steps
		}
		steps = append(steps, step{what: tlsStep(a.answer.TLS), outcome: "connected", took: a.answer.Handshake})
		if sent := a.answer.TLS.PeerCertificates; len(sent) > 0 {
			steps = append(steps, step{what: certificateStep(sent[0]), heading: true})
		}
	}
	if l.target.URL == nil {
		return steps
	}
	s := step{what: "GET " + pathOf(l), took: a.answer.HTTP}
	if a.answer.Status == 0 {
		failed.what, failed.took = s.what, s.took
		return append(steps, failed)
	}
	s.outcome, s.bad = fmt.Sprint("status ", a.answer.Status), a.answer.Status >= http.StatusInternalServerError
	return append(steps, s)
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
func certificateStep(c *x509.Certificate) string {
	return fmt.Sprintf("certificate of %q, valid from %s to %s",
		c.Subject, c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
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
		outcome, detail, color = l.class().String(), "  "+l.err.Error(), red
	case a.answer.Status > 0:
		outcome = fmt.Sprint("status ", a.answer.Status)
		if a.answer.Status >= http.StatusInternalServerError {
			color = red
		}
	}
	_, err := fmt.Fprintf(r.out, "%4d  %-*s  %s  %s%s\n", l.round, r.width, l.target.Name,
		r.paint(color, fmt.Sprintf("%-11s", outcome)), r.paint(dim, cli.Brief(l.elapsed()).String()), detail)
	return err
}

func (r *linesReport) end(all []*series) error {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "\n%s: %s\n", s.target.Name, s.summary())
		if s.failure != nil {
			fmt.Fprintf(&b, "%s\n", s.failure.advice())
		} else if len(s.times) > 0 && sendsNothing(s.target) {
			fmt.Fprintf(&b, "%s\n", nothingSent(s.target))
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
		parts = append(parts, fmt.Sprintf("%d connected (shortest %v, median %v, longest %v)", len(s.times), cli.Brief(shortest), cli.Brief(median), cli.Brief(longest)))
	}
	for _, class := range s.classes() {
		parts = append(parts, fmt.Sprintf("%d %v", s.failed[class], class))
	}
	if s.canceled > 0 {
		parts = append(parts, "one was interrupted")
	}
	return strings.Join(parts, ", ")
}

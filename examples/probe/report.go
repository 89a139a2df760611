package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
)

// A report is what there was to see.
type report struct {
	target   target
	attempts []redial.Attempt
	err      error // nil if it could connect
	tls      tls.ConnectionState
	tlsTime  time.Duration
}

// The colours of terminals (ECMA-48, SGR).
const (
	plain = "\x1b[0m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	dim   = "\x1b[2m"
)

// wantsColors tells whether f is a terminal whose user has not said no to
// colours (no-color.org). The consoles of Windows do not all know them.
func wantsColors(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && runtime.GOOS != "windows" &&
		os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// writeText writes the report for people.
func (r *report) writeText(out io.Writer, colors bool) error {
	paint := func(color, text string) string {
		if !colors {
			return text
		}
		return color + text + plain
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.target.network, r.target.address)
	for i := range r.attempts {
		r.writeAttempt(&b, &r.attempts[i], paint)
	}
	if r.err != nil {
		fmt.Fprintf(&b, "\n%s\n\n%s\n", paint(red, "error: "+r.err.Error()), r.explanation())
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeAttempt writes the steps of one attempt, each on a line: what it was
// of, what came of it, and the time that took.
func (r *report) writeAttempt(b *strings.Builder, a *redial.Attempt, paint func(color, text string) string) {
	line := func(what, outcome string, took time.Duration) {
		color := red
		if outcome == connected || outcome == resolved {
			color = green
		}
		fmt.Fprintf(b, "  %-*s  %s  %s\n", r.width(), what, paint(color, fmt.Sprintf("%-11s", outcome)), paint(dim, shown(took)))
	}
	if a.Number > 1 {
		previous := r.attempts[a.Number-2]
		fmt.Fprintf(b, "  %s\n", paint(dim, fmt.Sprintf("attempt %d, after a wait of %v", a.Number, shown(previous.Delay))))
	}
	if a.Resolve > 0 {
		outcome := resolved
		if len(a.Addrs) == 0 {
			outcome = a.Class.String()
		}
		line(resolveStep(a), outcome, a.Resolve)
	}
	for _, addr := range a.Addrs {
		line(written(addr.Addr), outcomeOf(addr.Err, addr.Class), addr.Duration)
	}
	switch {
	case a.Resolve == 0 && r.target.serverName != "" && a.Err != nil:
		line(a.Address+" with TLS", a.Class.String(), a.Duration)
	case a.Resolve == 0 && r.target.serverName != "":
		line(a.Address, connected, a.Duration-r.tlsTime)
	case a.Resolve == 0:
		line(a.Address, outcomeOf(a.Err, a.Class), a.Duration)
	}
	if r.target.serverName == "" {
		return
	}
	if a.Err == nil {
		line(r.tlsStep(), connected, r.tlsTime)
	} else if anyConnected(a.Addrs) {
		line("TLS", a.Class.String(), a.Duration-a.Resolve)
	}
}

// The outcomes of steps that are no class of failure.
const (
	resolved  = "resolved"
	connected = "connected"
	calledOff = "called off" // another address was first
)

func outcomeOf(err error, class redial.Class) string {
	switch {
	case err == nil:
		return connected
	case class == redial.Canceled:
		return calledOff
	}
	return class.String()
}

func resolveStep(a *redial.Attempt) string {
	host, _, _ := net.SplitHostPort(a.Address) // a name with a port, or it would not have been resolved
	switch n := len(a.Addrs); n {
	case 0:
		return host
	case 1:
		return host + ": 1 address tried"
	default:
		return fmt.Sprintf("%s: %d addresses tried", host, n)
	}
}

func (r *report) tlsStep() string {
	step := tls.VersionName(r.tls.Version)
	if r.tls.NegotiatedProtocol != "" {
		step += ", " + r.tls.NegotiatedProtocol
	}
	return step
}

func anyConnected(addrs []redial.AddrResult) bool {
	for _, addr := range addrs {
		if addr.Err == nil {
			return true
		}
	}
	return false
}

// width is that of the first column: of its longest text.
func (r *report) width() int {
	width := len(r.target.address) + len(" with TLS")
	for i := range r.attempts {
		width = max(width, len(resolveStep(&r.attempts[i])))
		for _, addr := range r.attempts[i].Addrs {
			width = max(width, len(written(addr.Addr)))
		}
	}
	return width
}

// written is addr as one writes it, an IPv4 address as one.
func written(addr netip.AddrPort) string {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String()
}

// shown is d as one reads it.
func shown(d time.Duration) string {
	switch {
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// The JSON object of -json. Times are in seconds; a field that does not apply
// is left out. These names stay as they are.
type (
	jsonReport struct {
		Network     string        `json:"network"`
		Address     string        `json:"address"`
		Connected   bool          `json:"connected"`
		Class       string        `json:"class,omitempty"`  // of the failure
		Error       string        `json:"error,omitempty"`  // its text
		Remote      string        `json:"remote,omitempty"` // the address connected to
		Elapsed     float64       `json:"elapsed"`          // of the whole dial
		TLS         *jsonTLS      `json:"tls,omitempty"`    // of an https URL
		Attempts    []jsonAttempt `json:"attempts"`         // in order
		Explanation string        `json:"explanation,omitempty"`
	}
	jsonTLS struct {
		Version  string  `json:"version"`
		Protocol string  `json:"protocol,omitempty"` // by ALPN
		Duration float64 `json:"duration"`
	}
	jsonAttempt struct {
		Number   int        `json:"attempt"`
		Duration float64    `json:"duration"`
		Resolve  float64    `json:"resolve,omitempty"` // of that
		Addrs    []jsonAddr `json:"addrs,omitempty"`   // of a name, in the order of their starts
		Remote   string     `json:"remote,omitempty"`
		Class    string     `json:"class,omitempty"`
		Error    string     `json:"error,omitempty"`
		Delay    float64    `json:"delay,omitempty"` // before the next
		Stop     string     `json:"stop,omitempty"`  // why there is no next
	}
	jsonAddr struct {
		Addr      string  `json:"addr"`
		Connected bool    `json:"connected"`
		Duration  float64 `json:"duration"`
		Class     string  `json:"class,omitempty"`
		Error     string  `json:"error,omitempty"`
	}
)

// writeJSON writes the report for programs: one object, on one line.
func (r *report) writeJSON(out io.Writer) error {
	j := jsonReport{
		Network: r.target.network, Address: r.target.address, Connected: r.err == nil,
		Attempts: make([]jsonAttempt, 0, len(r.attempts)), Explanation: r.explanation(),
	}
	if r.err != nil {
		j.Class, j.Error = redial.Classify(r.err).String(), r.err.Error()
	}
	for i := range r.attempts {
		j.Attempts = append(j.Attempts, newJSONAttempt(&r.attempts[i]))
	}
	if n := len(r.attempts); n > 0 {
		last := &r.attempts[n-1]
		j.Elapsed, j.Remote = last.Elapsed.Seconds(), j.Attempts[n-1].Remote
		if r.err != nil {
			j.Class = last.Class.String() // the dial knows more than its error
		}
	}
	if r.err == nil && r.target.serverName != "" {
		j.TLS = &jsonTLS{tls.VersionName(r.tls.Version), r.tls.NegotiatedProtocol, r.tlsTime.Seconds()}
	}
	return json.NewEncoder(out).Encode(j)
}

func newJSONAttempt(a *redial.Attempt) jsonAttempt {
	j := jsonAttempt{Number: a.Number, Duration: a.Duration.Seconds(), Resolve: a.Resolve.Seconds(), Delay: a.Delay.Seconds()}
	if a.Remote != nil {
		j.Remote = a.Remote.String()
	}
	if a.Err != nil {
		j.Class, j.Error = a.Class.String(), a.Err.Error()
	}
	if a.Stop != nil {
		j.Stop = a.Stop.Error()
	}
	for _, addr := range a.Addrs {
		one := jsonAddr{Addr: written(addr.Addr), Connected: addr.Err == nil, Duration: addr.Duration.Seconds()}
		if addr.Err != nil {
			one.Class, one.Error = addr.Class.String(), addr.Err.Error()
		}
		j.Addrs = append(j.Addrs, one)
	}
	return j
}

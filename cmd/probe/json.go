package main

import (
	"crypto/tls"
	"encoding/json"
	"io"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/explain"
)

// These are the JSON objects of -json, one a line: one for each look and, with
// -count, a last one with the summaries. Times are in seconds; a field that does not
// apply is left out. Scripts rely on the names, so do not change them.
type (
	jsonLook struct {
		Target    string        `json:"target"` // as given, without its password
		Round     int           `json:"round,omitempty"`
		Network   string        `json:"network"`
		Address   string        `json:"address"`
		Connected bool          `json:"connected"` // and TLS and HTTP answered
		Class     string        `json:"class,omitempty"`
		Error     string        `json:"error,omitempty"`
		Remote    string        `json:"remote,omitempty"`
		Elapsed   float64       `json:"elapsed"`
		TLS       *jsonTLS      `json:"tls,omitempty"`
		HTTP      *jsonHTTP     `json:"http,omitempty"`
		Notes     []string      `json:"notes,omitempty"`
		Attempts  []jsonAttempt `json:"attempts"` // in order
		Advice    *jsonAdvice   `json:"advice,omitempty"`
	}
	jsonAdvice struct {
		Code     string      `json:"code"` // stable, for scripts; the texts are not
		Observed string      `json:"observed"`
		Likely   string      `json:"likely,omitempty"`
		Checks   []jsonCheck `json:"checks,omitempty"`
	}
	jsonCheck struct {
		Question string `json:"question"`
		Where    string `json:"where,omitempty"`
		Command  string `json:"command,omitempty"`
	}
	jsonTLS struct {
		Version  string  `json:"version"`
		Protocol string  `json:"protocol,omitempty"` // by ALPN
		Duration float64 `json:"duration"`
	}
	jsonHTTP struct {
		Status   int     `json:"status"`
		Duration float64 `json:"duration"`
	}
	jsonAttempt struct {
		Number   int        `json:"attempt"`
		Duration float64    `json:"duration"`
		Resolve  float64    `json:"resolve,omitempty"` // the part of duration spent on the name
		Addrs    []jsonAddr `json:"addrs,omitempty"`   // of a name, in the order of their starts
		Remote   string     `json:"remote,omitempty"`
		Class    string     `json:"class,omitempty"`
		Error    string     `json:"error,omitempty"`
		Delay    float64    `json:"delay,omitempty"` // before the next
		Stop     string     `json:"stop,omitempty"`  // why there is no next
	}
	jsonAddr struct {
		Addr      string  `json:"addr"`
		Connected bool    `json:"connected"` // even if TLS or HTTP then failed
		Duration  float64 `json:"duration"`
		Class     string  `json:"class,omitempty"`
		Error     string  `json:"error,omitempty"`
	}
	jsonEnd struct {
		Summary []jsonSummary `json:"summary"`
	}
	jsonSummary struct {
		Target      string         `json:"target"`
		Connected   int            `json:"connected"`
		Failed      map[string]int `json:"failed,omitempty"` // by class
		Interrupted int            `json:"interrupted,omitempty"`
		Shortest    float64        `json:"shortest,omitempty"` // of those that connected
		Median      float64        `json:"median,omitempty"`
		Longest     float64        `json:"longest,omitempty"`
	}
)

// A jsonReport writes the objects.
type jsonReport struct {
	out   io.Writer
	count int
}

func (r *jsonReport) look(l *look) error {
	j := newJSONLook(l)
	if r.count != 1 {
		j.Round = l.round
	}
	return json.NewEncoder(r.out).Encode(j)
}

func (r *jsonReport) end(all []*series) error {
	if r.count == 1 {
		return nil
	}
	var j jsonEnd
	for _, s := range all {
		shortest, median, longest := s.spread()
		one := jsonSummary{
			Target: s.target.Name, Connected: len(s.times), Interrupted: s.canceled,
			Shortest: shortest.Seconds(), Median: median.Seconds(), Longest: longest.Seconds(),
		}
		for class, n := range s.failed {
			if one.Failed == nil {
				one.Failed = make(map[string]int)
			}
			one.Failed[class.String()] = n
		}
		j.Summary = append(j.Summary, one)
	}
	return json.NewEncoder(r.out).Encode(j)
}

func newJSONLook(l *look) jsonLook {
	j := jsonLook{
		Target: l.target.Name, Network: cli.Foreign(l.target.Network), Address: cli.Foreign(l.target.Address),
		Connected: l.err == nil, Elapsed: l.elapsed().Seconds(), Notes: l.notes(),
		Attempts: make([]jsonAttempt, 0, len(l.attempts)), Advice: newJSONAdvice(l.advice()),
	}
	for i := range l.attempts {
		j.Attempts = append(j.Attempts, newJSONAttempt(&l.attempts[i]))
	}
	if l.err != nil {
		j.Class, j.Error = l.class().String(), target.Message(l.err)
	}
	if a := l.last(); a != nil {
		j.Remote = j.Attempts[len(j.Attempts)-1].Remote
		answer := a.decisive().answer
		if state := answer.TLS; state != nil {
			j.TLS = &jsonTLS{tls.VersionName(state.Version), state.NegotiatedProtocol, answer.Handshake.Seconds()}
		}
		if answer.Status > 0 {
			j.HTTP = &jsonHTTP{answer.Status, answer.HTTP.Seconds()}
		}
	}
	return j
}

func newJSONAdvice(a explain.Advice) *jsonAdvice {
	if a.Code == "" {
		return nil
	}
	j := &jsonAdvice{Code: a.Code, Observed: a.Observed, Likely: a.Likely}
	for _, c := range a.Checks {
		j.Checks = append(j.Checks, jsonCheck(c))
	}
	return j
}

func newJSONAttempt(a *attempt) jsonAttempt {
	j := jsonAttempt{Number: a.Number, Duration: a.Duration.Seconds(), Resolve: a.Resolve.Seconds(), Delay: a.Delay.Seconds()}
	if a.Remote != nil {
		j.Remote = cli.Foreign(a.Remote.String())
	}
	if a.Err != nil {
		j.Class, j.Error = a.Class.String(), cli.Foreign(a.Err.Error())
	}
	if a.Stop != 0 {
		j.Stop = a.Stop.Error()
	}
	for _, addr := range a.Addrs {
		one := jsonAddr{Addr: written(addr.Addr), Connected: addr.Connected, Duration: addr.Duration.Seconds()}
		if addr.Err != nil {
			one.Class, one.Error = addr.Class.String(), cli.Foreign(addr.Err.Error())
		}
		j.Addrs = append(j.Addrs, one)
	}
	return j
}

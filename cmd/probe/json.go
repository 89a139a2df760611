package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
)

// These are the JSON objects of -json, one a line: one for each look and, with
// -count, a last one with the summaries. Times are in seconds; a field that does not
// apply is left out. Scripts rely on the names, so do not change them.
type (
	jsonLook struct {
		Target      string        `json:"target"` // as given, without its password
		Round       int           `json:"round,omitempty"`
		Network     string        `json:"network"`
		Address     string        `json:"address"`
		Connected   bool          `json:"connected"` // and TLS and HTTP answered
		Class       string        `json:"class,omitempty"`
		Error       string        `json:"error,omitempty"`
		Remote      string        `json:"remote,omitempty"`
		Elapsed     float64       `json:"elapsed"`
		TLS         *jsonTLS      `json:"tls,omitempty"`
		HTTP        *jsonHTTP     `json:"http,omitempty"`
		Note        string        `json:"note,omitempty"` // of udp and ip: nothing was sent
		Attempts    []jsonAttempt `json:"attempts"`       // in order
		Code        string        `json:"code,omitempty"` // of the explanation: stable, for scripts
		Explanation string        `json:"explanation,omitempty"`
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
	advice := l.advice()
	j := jsonLook{
		Target: l.target.Name, Network: l.target.Network, Address: l.target.Address,
		Connected: l.err == nil, Elapsed: l.elapsed().Seconds(),
		Attempts: make([]jsonAttempt, 0, len(l.attempts)), Code: advice.Code, Explanation: advice.String(),
	}
	for i := range l.attempts {
		j.Attempts = append(j.Attempts, newJSONAttempt(&l.attempts[i]))
	}
	if l.err != nil {
		j.Class, j.Error = l.class().String(), l.err.Error()
	} else if sendsNothing(l.target) {
		j.Note = nothingSent(l.target)
	}
	if a := l.last(); a != nil {
		j.Remote = j.Attempts[len(j.Attempts)-1].Remote
		if state := a.answer.TLS; state != nil {
			j.TLS = &jsonTLS{tls.VersionName(state.Version), state.NegotiatedProtocol, a.answer.Handshake.Seconds()}
		}
		if a.answer.Status > 0 {
			j.HTTP = &jsonHTTP{a.answer.Status, a.answer.HTTP.Seconds()}
		}
	}
	return j
}

func newJSONAttempt(a *attempt) jsonAttempt {
	j := jsonAttempt{Number: a.Number, Duration: a.Duration.Seconds(), Resolve: a.Resolve.Seconds(), Delay: a.Delay.Seconds()}
	if a.Remote != nil {
		j.Remote = a.Remote.String()
	}
	if a.Err != nil {
		j.Class, j.Error = a.Class.String(), a.Err.Error()
	}
	if a.Stop != 0 {
		j.Stop = a.Stop.Error()
	}
	for _, addr := range a.Addrs {
		one := jsonAddr{Addr: written(addr.Addr), Connected: addr.Connected, Duration: addr.Duration.Seconds()}
		if addr.Err != nil {
			one.Class, one.Error = addr.Class.String(), addr.Err.Error()
		}
		j.Addrs = append(j.Addrs, one)
	}
	return j
}

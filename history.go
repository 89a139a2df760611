package redial

import (
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"time"
	"unique"
)

// While a dial waits, it keeps its failures in little room, because thousands of dials
// may wait at once. The Attempts of Error.History are made from them when somebody asks.

// historyMax is the length of a full History: half of it are the first attempts, and
// half the latest.
const historyMax = 16

// A history holds the failures of a dial.
type history struct {
	start    time.Time // of the dial
	attempts int       // made so far; if the last one failed, latest is about it
	latest   record    // of the latest failure; no memory of its own for a dial that waits once
	earlier  []record  // before latest: the first ones, then the others
}

// A record is an attempt that failed. What the dial knows already is left out.
type record struct {
	err     error         // as kept returns it
	more    *more         // nil if there is no more
	start   time.Duration // from the start of the dial to the start of the attempt
	elapsed time.Duration // as Attempt.Elapsed
	delay   time.Duration
	class   Class
	shared  bool
	stopped bool // the attempt has a Stop, which is the dial's
	mute    bool // the attempt tells nothing about the target
}

// more is what few attempts have.
type more struct {
	resolve  time.Duration
	addrs    []AddrResult
	duration time.Duration // of another dial's attempt; start and elapsed give a dial's own
}

// add adds the record of the latest attempt.
func (h *history) add(r record) {
	if h.attempts > 1 {
		if len(h.earlier) == historyMax-1 {
			h.earlier = slices.Delete(h.earlier, historyMax/2, historyMax/2+1)
		}
		h.earlier = append(h.earlier, h.latest)
	}
	h.latest = r
}

// telling returns the latest record. If the latest tells nothing, telling returns the one
// before it, if there is one.
func (h *history) telling() *record {
	if h.latest.mute && len(h.earlier) > 0 {
		return &h.earlier[len(h.earlier)-1]
	}
	return &h.latest
}

// all returns the Attempts of the dial that e reports.
func (h *history) all(e *Error) []Attempt {
	if h.attempts == 0 {
		return nil
	}
	all := make([]Attempt, 0, len(h.earlier)+1)
	for i := range h.earlier {
		number := i + 1
		if i >= historyMax/2 {
			number = h.attempts - len(h.earlier) + i
		}
		all = append(all, h.earlier[i].attempt(e, h.start, number))
	}
	return append(all, h.latest.attempt(e, h.start, h.attempts))
}

// newRecord returns the record of a, an attempt of a dial that began at start.
func newRecord(a *Attempt, start time.Time) record {
	r := record{
		err:     a.Err,
		start:   a.Start.Sub(start),
		elapsed: a.Elapsed,
		delay:   a.Delay,
		class:   a.Class,
		shared:  a.Shared,
		stopped: a.Stop != nil,
	}
	if a.Resolve != 0 || a.Addrs != nil || a.Shared {
		r.more = &more{a.Resolve, a.Addrs, a.Duration}
	}
	return r
}

// attempt returns the Attempt with the given number of the dial that e reports.
func (r *record) attempt(e *Error, start time.Time, number int) Attempt {
	a := Attempt{
		Network:  e.Network,
		Address:  e.Address,
		Number:   number,
		Start:    start.Add(r.start),
		Duration: r.elapsed - r.start,
		Elapsed:  r.elapsed,
		Err:      asMade(r.err),
		Class:    r.class,
		Shared:   r.shared,
		Delay:    r.delay,
	}
	if r.stopped {
		a.Stop = e.Stop
	}
	if r.more != nil {
		a.Resolve, a.Addrs = r.more.resolve, slices.Clone(r.more.addrs)
		for i := range a.Addrs {
			a.Addrs[i].Err = asMade(a.Addrs[i].Err)
		}
		if r.shared {
			a.Duration = r.more.duration
		}
	}
	return a
}

// took returns how long the target took to fail the attempt, as far as is known, without the
// look-up and the other addresses.
func (r *record) took() time.Duration {
	if r.more == nil {
		return r.elapsed - r.start
	}
	for _, a := range r.more.addrs {
		if a.Class == r.class {
			return a.Duration
		}
	}
	return r.more.duration - r.more.resolve
}

// compact replaces the errors of package net in r by their parts.
func (r *record) compact() {
	r.err = kept(r.err)
	if r.more != nil {
		addrs := slices.Clone(r.more.addrs) // OnAttempt may have kept the original
		for i := range addrs {
			addrs[i].Err = kept(addrs[i].Err)
		}
		r.more = &more{r.more.resolve, addrs, r.more.duration}
	}
}

// A keptError stands for an error of package net. All errors with the same parts share
// them: a server that is down gives all dials the same one.
type keptError struct{ unique.Handle[errorParts] }

// errorParts are the parts of the *net.OpError of a system call.
type errorParts struct {
	op, net string
	addr    netip.AddrPort
	call    string
	errno   error
}

// kept returns the parts of err, if err is exactly what asMade makes of them, else err.
func kept(err error) error {
	op, ok := err.(*net.OpError)
	if !ok || op == nil || op.Source != nil {
		return err
	}
	addr, ok := op.Addr.(*net.TCPAddr)
	if !ok || addr == nil {
		return err
	}
	call, ok := op.Err.(*os.SyscallError)
	if !ok || call == nil || !isErrno(call.Err) {
		return err
	}
	ip, ok := netip.AddrFromSlice(addr.IP)
	if !ok || addr.Port != int(uint16(addr.Port)) || ip.Is4() && addr.Zone != "" {
		return err
	}
	parts := errorParts{op.Op, op.Net, netip.AddrPortFrom(ip.WithZone(addr.Zone), uint16(addr.Port)), call.Syscall, call.Err}
	return keptError{unique.Make(parts)}
}

// isErrno reports whether err is a system's number or, on Plan 9, its text. A type that is
// neither may not be comparable.
func isErrno(err error) bool {
	if err == nil {
		return false
	}
	switch reflect.TypeOf(err).Kind() {
	case reflect.Uintptr, reflect.Uint32, reflect.String: // most systems, wasip1, Plan 9
		return true
	}
	return false
}

// asMade returns the error that kept has replaced.
func asMade(err error) error {
	k, ok := err.(keptError)
	if !ok {
		return err
	}
	parts := k.Value()
	addr := parts.addr.Addr()
	return &net.OpError{
		Op:   parts.op,
		Net:  parts.net,
		Addr: &net.TCPAddr{IP: addr.AsSlice(), Port: int(parts.addr.Port()), Zone: addr.Zone()},
		Err:  &os.SyscallError{Syscall: parts.call, Err: parts.errno},
	}
}

// Error returns the message of the error. Nobody sees a keptError; the method lets it take the
// place of an error.
func (k keptError) Error() string { return asMade(k).Error() }

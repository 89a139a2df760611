package observe

import (
	"net"
	"net/netip"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/foreign"
)

// This file turns results and addresses into small numbers, so that metrics are found in arrays.

// An Outcome says how a dial, an attempt, a look-up or an address ended. The failure of each class has an
// Outcome of its own.
type Outcome uint8

// The outcomes that are no failures. The failures follow.
const (
	OK       Outcome = iota
	Canceled         // the caller gave up, or another address was faster

	failure     // of class Unknown
	NumOutcomes = failure + Outcome(redial.Canceled) + 1
)

// failed returns the outcome of a failure. A Classifier can return a class that is none.
func failed(class redial.Class) Outcome {
	if class > redial.Canceled {
		class = redial.Unknown
	}
	return failure + Outcome(class)
}

// IsFailure reports whether o is a failure. A caller that gave up has not failed.
func (o Outcome) IsFailure() bool { return o >= failure }

// String returns "ok" or the class of the failure. It returns "canceled" for both Canceled and a failure
// of that class, with which an inner dialer has given up by itself.
func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Canceled:
		return redial.Canceled.String()
	}
	return redial.Class(o - failure).String()
}

// OfDial returns the outcome of a dial. A dial that a panic ended is a failure of class Unknown.
func OfDial(r *redial.Result) Outcome { return outcomeOf(r.Err, r.Class, r.Stop) }

// OfAttempt returns the outcome of an attempt.
func OfAttempt(a *redial.Attempt) Outcome { return outcomeOf(a.Err, a.Class, a.Stop) }

// OfLoss returns the outcome of a lost connection.
func OfLoss(l *redial.Loss) Outcome { return outcomeOf(l.Err, l.Class, l.Stop) }

func outcomeOf(err error, class redial.Class, stop redial.Stop) Outcome {
	switch {
	case err == nil:
		return OK
	case stop == redial.ErrCanceled:
		return Canceled
	}
	return failed(class)
}

// OfAddress returns the outcome of one address. It is Canceled if the address was no longer wanted.
func OfAddress(r *redial.AddrResult) Outcome {
	switch {
	case r.Err == nil:
		return OK
	case r.Class == redial.Canceled:
		return Canceled
	}
	return failed(r.Class)
}

// OfLookup returns the outcome of the attempt's look-up. It returns false if the attempt had none.
func OfLookup(a *redial.Attempt) (Outcome, bool) {
	switch {
	case len(a.Addrs) > 0:
		return OK, true // whatever came after it
	case a.Addrs != nil || a.Resolve > 0:
		return OfAttempt(a), true
	}
	return OK, false
}

// UnansweredFamilies returns the families whose DNS query had no answer.
func UnansweredFamilies(a *redial.Attempt) []Family {
	switch a.Unanswered {
	case "A":
		return []Family{IPv4}
	case "AAAA":
		return []Family{IPv6}
	case "A and AAAA":
		return []Family{IPv4, IPv6}
	}
	return nil
}

// NumStops is the number of reasons for which a failed dial stops. The zero Stop is one of them.
const NumStops = redial.ErrCanceled + 1

// StopName returns the name of the reason for which a failed dial stopped.
func StopName(s redial.Stop) string {
	if s == 0 {
		return "panic" // or runtime.Goexit
	}
	name, _ := s.MarshalText()
	return string(name)
}

// A Family is the kind of an address.
type Family uint8

// The families.
const (
	IPv4 Family = iota
	IPv6
	Unix
	Other
	NumFamilies
)

// String returns the name of the family, such as "ipv4".
func (f Family) String() string {
	return [NumFamilies]string{IPv4: "ipv4", IPv6: "ipv6", Unix: "unix", Other: "other"}[f]
}

// FamilyOf returns the family of an IP address, and Other for the zero Addr.
func FamilyOf(ip netip.Addr) Family {
	switch ip = ip.Unmap(); {
	case ip.Is4():
		return IPv4
	case ip.Is6():
		return IPv6
	}
	return Other
}

// AddrPortOf returns the IP address and the port of addr, or the zero AddrPort. It knows the types of
// package net only, because other addresses can be names, or lie behind a tunnel.
func AddrPortOf(addr net.Addr) netip.AddrPort {
	if foreign.IsNil(addr) {
		return netip.AddrPort{}
	}
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case *net.UDPAddr:
		return a.AddrPort()
	case *net.IPAddr:
		ip, _ := netip.AddrFromSlice(a.IP)
		return netip.AddrPortFrom(ip.WithZone(a.Zone), 0)
	}
	return netip.AddrPort{}
}

// EachAddress calls count for each address that the attempt a has tried: the addresses of a name, or the
// remote address of the connection, or the address that the error names. It calls count for none if no
// address is known, or if the dials nested in d have counted them. D can be nil.
func (d *Dial[S]) EachAddress(a *redial.Attempt, count func(Family, Outcome)) {
	if _, resolved := OfLookup(a); resolved {
		for i := range a.Addrs {
			r := &a.Addrs[i]
			count(FamilyOf(r.Addr.Addr()), OfAddress(r))
		}
		return
	}
	if d != nil && d.isOuter.Load() {
		return
	}
	if f, known := familyOf(a); known {
		count(f, OfAttempt(a))
	}
}

// familyOf returns the family of the only address that a has tried, and false if there was none or it is
// not known.
func familyOf(a *redial.Attempt) (Family, bool) {
	addr := a.Remote
	if op, ok := foreign.As[*net.OpError](a.Err); ok {
		addr = op.Addr
	}
	if foreign.IsNil(addr) {
		return 0, false
	}
	if _, ok := addr.(*net.UnixAddr); ok {
		return Unix, true
	}
	return FamilyOf(AddrPortOf(addr).Addr()), true
}

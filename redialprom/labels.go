package redialprom

import (
	"errors"
	"net"
	"net/netip"

	"github.com/seed-33f8b841/redial"
)

// The values of the labels. Each kind of value is an index into arrays of metrics, so that a dial
// looks up no metric by its labels.

// An outcome is ok or the class of a failure, plus one.
type outcome uint8

const (
	ok          outcome = 0
	numOutcomes         = outcome(redial.Canceled) + 2
)

// failed returns the outcome of a failure.
func failed(class redial.Class) outcome {
	if class > redial.Canceled { // newer than this package
		class = redial.Unknown
	}
	return outcome(class) + 1
}

func (o outcome) String() string {
	if o == ok {
		return "ok"
	}
	return redial.Class(o - 1).String()
}

// outcomeOf returns the outcome of a dial whose last failure was of class.
func outcomeOf(class redial.Class, why stop) outcome {
	if why == stopCanceled {
		class = redial.Canceled
	}
	return failed(class)
}

// A stop is the reason for which a failed dial made no other attempt.
type stop uint8

const (
	stopPermanent stop = iota
	stopMaxAttempts
	stopMaxElapsed
	stopDeadline
	stopCanceled
	stopPanic
	numStops
)

var stopNames = [numStops]string{
	stopPermanent:   "permanent",
	stopMaxAttempts: "max_attempts",
	stopMaxElapsed:  "max_elapsed",
	stopDeadline:    "deadline",
	stopCanceled:    "canceled",
	stopPanic:       "panic",
}

func (s stop) String() string { return stopNames[s] }

// stopOf returns the label for why, which is the Stop of an Attempt or an Error. It returns false
// if why is none of package redial's reasons, but the cause of a context that has ended. A cause
// can be any error, even another dial's, so stopOf does not look at the errors that it wraps.
func stopOf(why error) (stop, bool) {
	switch why {
	case redial.ErrPermanent:
		return stopPermanent, true
	case redial.ErrMaxAttempts:
		return stopMaxAttempts, true
	case redial.ErrMaxElapsed:
		return stopMaxElapsed, true
	case redial.ErrDeadline:
		return stopDeadline, true
	}
	if r, ok := why.(interface{ Is(error) bool }); ok && r.Is(redial.ErrPermanent) {
		return stopPermanent, true // the schedule has ended
	}
	return 0, false
}

// A family is the kind of an address.
type family uint8

const (
	ipv4 family = iota
	ipv6
	unix
	other
	numFamilies
)

var familyNames = [numFamilies]string{ipv4: "ipv4", ipv6: "ipv6", unix: "unix", other: "other"}

func (f family) String() string { return familyNames[f] }

// familyOf returns the family of the one address that a tried, and false if there was none or
// it is not known.
func familyOf(a *redial.Attempt) (family, bool) {
	addr := a.Remote
	if a.Err != nil {
		op, ok := errors.AsType[*net.OpError](a.Err)
		if !ok || op == nil {
			return 0, false
		}
		addr = op.Addr
	}
	var ip net.IP
	switch addr := addr.(type) {
	case nil:
		return 0, false
	case *net.UnixAddr:
		return unix, true
	case *net.TCPAddr:
		if addr != nil {
			ip = addr.IP
		}
	case *net.UDPAddr:
		if addr != nil {
			ip = addr.IP
		}
	case *net.IPAddr:
		if addr != nil {
			ip = addr.IP
		}
	default:
		return other, true
	}
	parsed, ok := netip.AddrFromSlice(ip)
	return familyOfIP(parsed), ok
}

func familyOfIP(ip netip.Addr) family {
	if ip.Unmap().Is4() {
		return ipv4
	}
	return ipv6
}

package redial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"

	"github.com/cenkalti/backoff/v4"
)

// A Class says why a dial failed, the same on every operating system.
//
// Its text form, by String and MarshalText, is the lower-case name that logs show.
type Class uint8

// The classes. DefaultPolicy retries Refused, Reset, DNS, Timeout and Unreachable.
const (
	Unknown     Class = iota // none of the others: a custom dialer's own errors
	Refused                  // the target is there, but nothing accepts
	Reset                    // dropped while connecting or being verified
	DNS                      // the resolver failed, or did not answer
	NotFound                 // the name does not exist, or has no address of that family
	Timeout                  // no answer in time
	Unreachable              // no way there
	Denied                   // local policy or a firewall forbids it
	Exhausted                // this machine is out of descriptors, ports or memory
	TLS                      // the peer answered, the handshake failed
	Invalid                  // can never work as asked
	Canceled                 // the caller gave up; never retried
)

var classNames = [...]string{
	Unknown:     "unknown",
	Refused:     "refused",
	Reset:       "reset",
	DNS:         "dns",
	NotFound:    "not_found",
	Timeout:     "timeout",
	Unreachable: "unreachable",
	Denied:      "denied",
	Exhausted:   "exhausted",
	TLS:         "tls",
	Invalid:     "invalid",
	Canceled:    "canceled",
}

// numClasses bounds the tables that are indexed by a Class.
const numClasses = Class(len(classNames))

// String returns the class's name, or "Class(n)" for a value that is none.
func (c Class) String() string {
	if c < numClasses {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// MarshalText implements encoding.TextMarshaler with the name of the class.
// It is an error for a value that is none of the constants.
func (c Class) MarshalText() ([]byte, error) {
	if c >= numClasses {
		return nil, fmt.Errorf("redial: %v is not a class", c)
	}
	return []byte(classNames[c]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. It takes the names that
// String gives, and no others.
func (c *Class) UnmarshalText(text []byte) error {
	for class, name := range classNames {
		if name == string(text) {
			*c = Class(class)
			return nil
		}
	}
	return fmt.Errorf("redial: %q is not a class, use one of: %s", text, strings.Join(classNames[:], ", "))
}

// Classify says why a dial failed. It takes any error: one of this package's,
// one of package net's, a client's that wraps either; nil is Unknown. It does
// no I/O, and decides by the structure of the error alone (types, errnos,
// sentinels), never by its text.
//
// Of an error that joins several others, the most telling class is returned:
// Canceled, then the retryable ones in the order Refused, Reset, Timeout,
// Unreachable, DNS, then the rest.
//
// Classify knows no more than the error does. The Class of an [Attempt] or an
// [Error] can differ, for the dial knew whether its caller had given up, what
// Dialer.Classifier said, and what this machine was out of.
func Classify(err error) Class {
	return classify(err, "", "")
}

// classify walks down from err to the first error that tells. What an errno
// means depends on what was being done: network is that of the innermost
// *net.OpError passed on the way, call the system call that failed.
func classify(err error, network, call string) Class {
	for next := err; next != nil; {
		if isNilPointer(next) {
			return Unknown // nothing above it may be asked either, for it would ask on
		}
		if e, ok := next.(*Error); ok {
			return e.Class
		}
		if class := classOf(next, network, call); class != Unknown {
			return class
		}
		switch e := next.(type) {
		case *net.OpError:
			network, next = e.Net, e.Err
		case *os.SyscallError:
			call, next = e.Syscall, e.Err
		case interface{ Unwrap() error }:
			next = e.Unwrap()
		case interface{ Unwrap() []error }:
			if class := mostTelling(e.Unwrap(), network, call); class != Unknown {
				return class
			}
			next = nil
		default:
			next = nil
		}
	}
	if saysTimeout(err) {
		return Timeout
	}
	return Unknown
}

// saysTimeout tells whether err, or an error that it wraps, says that it is a
// timeout: where nothing else tells, that does.
func saysTimeout(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
			return true
		}
	}
	return false
}

// classOf is the class of err itself, whatever it wraps: Unknown if err does
// not tell.
func classOf(err error, network, call string) Class {
	switch e := err.(type) {
	case *net.DNSError: // before any errno: what the DNS server refused is no refused dial
		return classOfDNS(e)
	case *net.OpError:
		// An alert of crypto/tls, sent or received, comes as an OpError
		// with one of these in place of the name of an operation.
		if e.Op == "remote error" || e.Op == "local error" {
			return TLS
		}
	case *net.AddrError:
		if e.Err == noSuitableAddress {
			return NotFound
		}
		return Invalid
	case *net.ParseError, net.InvalidAddrError, net.UnknownNetworkError, *backoff.PermanentError:
		return Invalid
	case *tls.CertificateVerificationError, *tls.ECHRejectionError, tls.AlertError, tls.RecordHeaderError,
		x509.CertificateInvalidError, x509.ConstraintViolationError, x509.HostnameError,
		x509.InsecureAlgorithmError, x509.SystemRootsError, x509.UnhandledCriticalExtension,
		x509.UnknownAuthorityError:
		return TLS
	case interface{ Is(error) bool }: // package net's own "operation was canceled", for one
		if e.Is(context.Canceled) {
			return Canceled
		}
	}
	switch err {
	case context.Canceled:
		return Canceled
	case io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe:
		return Reset
	case errMissingAddress, errNoConn, errNilError:
		return Invalid
	}
	return classOfSystem(err, network, call)
}

// classOfDNS tells what the resolver said from that it said nothing. Its
// flags are all there is to go by: what befell the query on its way to the
// server stands in the error's text only, and a server's REFUSED sets none.
func classOfDNS(e *net.DNSError) Class {
	switch {
	case Classify(e.UnwrapErr) == Canceled:
		return Canceled
	case strings.ContainsAny(e.Name, "/\x00"):
		// "network/service": a port that /etc/services does not know. No
		// host name has a slash; one with a NUL never reaches a server.
		return Invalid
	case e.IsNotFound:
		return NotFound
	}
	return DNS
}

// telling orders the classes for an error that holds several: the caller's
// own giving up, then what a retry may mend, then the rest; in each the one
// that is most certain of the target first.
var telling = [numClasses]int{
	Canceled:    12,
	Refused:     11,
	Reset:       10,
	Timeout:     9,
	Unreachable: 8,
	DNS:         7,
	TLS:         6,
	Denied:      5,
	Exhausted:   4,
	NotFound:    3,
	Invalid:     2,
	Unknown:     1,
}

// mostTelling classifies each of errs and returns the class that tells most.
func mostTelling(errs []error, network, call string) Class {
	most := Unknown
	for _, err := range errs {
		if class := classify(err, network, call); telling[class] > telling[most] {
			most = class
		}
	}
	return most
}

// Two of package net's errors are known by nothing but their identity, which
// it does not export. It hands them out for addresses that need no look-up.
var (
	// errMissingAddress is that of a dial to the empty address.
	errMissingAddress = func() error {
		_, err := net.Dial("tcp", "")
		var op *net.OpError
		errors.As(err, &op)
		return op.Err
	}()

	// noSuitableAddress is the Err of the *net.AddrError of a host with no
	// address of the family asked for.
	noSuitableAddress = func() string {
		_, err := net.ResolveTCPAddr("tcp6", "127.0.0.1:0")
		var addr *net.AddrError
		errors.As(err, &addr)
		return addr.Err
	}()
)

// isNilPointer tells whether v holds a nil pointer. A DialFunc that returns
// its own typed variables makes such errors and connections.
func isNilPointer(v any) bool {
	value := reflect.ValueOf(v)
	return value.Kind() == reflect.Pointer && value.IsNil()
}

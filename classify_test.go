package redial_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

var classes = map[redial.Class]string{
	redial.Unknown:     "unknown",
	redial.Refused:     "refused",
	redial.Reset:       "reset",
	redial.DNS:         "dns",
	redial.NotFound:    "not_found",
	redial.Timeout:     "timeout",
	redial.Unreachable: "unreachable",
	redial.Denied:      "denied",
	redial.Exhausted:   "exhausted",
	redial.TLS:         "tls",
	redial.Invalid:     "invalid",
	redial.Canceled:    "canceled",
}

func TestClassTextRoundTrips(t *testing.T) {
	for class, name := range classes {
		assert.Equal(t, name, class.String())
		text, err := json.Marshal(map[redial.Class]redial.Class{class: class})
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf(`{"%s":"%s"}`, name, name), string(text))
		var back map[redial.Class]redial.Class
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, class, back[class])
	}
	none := redial.Class(len(classes))
	assert.Equal(t, "Class(12)", none.String())
	_, err := none.MarshalText()
	assert.ErrorContains(t, err, "Class(12)")
	class := redial.TLS
	assert.ErrorContains(t, class.UnmarshalText([]byte("Refused")), "use one of: unknown, refused,")
	assert.Equal(t, redial.TLS, class, "a text that names no class leaves the value unchanged")
}

// opError returns the error of a dial that failed in a system call.
func opError(network, call string, err error) error {
	return &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError(call, err)}
}

// dnsOpError returns the error of a dial that failed in the resolver.
func dnsOpError(dns *net.DNSError) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: dns}
}

type timeoutError struct{ timeout bool }

func (timeoutError) Error() string   { return "a client's own error" }
func (e timeoutError) Timeout() bool { return e.timeout }

// noSuitable returns the error of package net for a dial that found no address of the
// right family. The error names addr.
func noSuitable(addr string) error {
	_, err := net.ResolveTCPAddr("tcp6", "127.0.0.1:0")
	inner, ok := errors.AsType[*net.AddrError](err)
	if !ok {
		return err
	}
	return &net.OpError{Op: "dial", Net: "tcp6", Err: &net.AddrError{Err: inner.Err, Addr: addr}}
}

// matchesError matches only the error is.
type matchesError struct{ is error }

func (matchesError) Error() string          { return "a client's own error" }
func (e matchesError) Is(target error) bool { return target == e.is }

// nilChildren is a joined error that may contain nil. errors.Join never returns one.
type nilChildren struct{ errs []error }

func (nilChildren) Error() string     { return "joined" }
func (e nilChildren) Unwrap() []error { return e.errs }

// timeoutChildren is a joined error that is a timeout.
type timeoutChildren struct{ nilChildren }

func (timeoutChildren) Timeout() bool { return true }

// TestClassify checks errors that are the same on every system: errors of the resolver,
// package net, contexts, streams and TLS. Errnos have tests of their own.
func TestClassify(t *testing.T) {
	_, netCanceled := (&net.Dialer{}).DialContext(canceled(), "tcp", "127.0.0.1:1")
	require.Error(t, netCanceled)

	for _, test := range []struct {
		name string
		err  error
		want redial.Class
	}{
		{"nil", nil, redial.Unknown},
		{"a text", errors.New("connection refused"), redial.Unknown},
		{"a nil pointer", (*net.OpError)(nil), redial.Unknown},
		{"a nil pointer within", fmt.Errorf("%w", (*net.DNSError)(nil)), redial.Unknown},
		{"an operation with no error", &net.OpError{Op: "dial"}, redial.Unknown},

		{"context.Canceled", context.Canceled, redial.Canceled},
		{"net's canceled", netCanceled, redial.Canceled},
		{"canceled in the resolver", dnsOpError(&net.DNSError{Name: "a", UnwrapErr: context.Canceled}), redial.Canceled},
		{"context.DeadlineExceeded", context.DeadlineExceeded, redial.Timeout},
		{"os.ErrDeadlineExceeded", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, redial.Timeout},
		{"a client's timeout", fmt.Errorf("x: %w", timeoutError{true}), redial.Timeout},
		{"a client's error that is no timeout", timeoutError{false}, redial.Unknown},

		{"NXDOMAIN", dnsOpError(&net.DNSError{Err: "no such host", Name: "a.test", IsNotFound: true}), redial.NotFound},
		{"SERVFAIL", dnsOpError(&net.DNSError{Err: "server misbehaving", Name: "a.test", IsTemporary: true}), redial.DNS},
		{"the DNS server's REFUSED", dnsOpError(&net.DNSError{Err: "server misbehaving", Name: "a.test"}), redial.DNS},
		{"the resolver's timeout", dnsOpError(&net.DNSError{Err: "i/o timeout", Name: "a.test", IsTimeout: true, UnwrapErr: context.DeadlineExceeded}), redial.DNS},
		{"unknown port", dnsOpError(&net.DNSError{Err: "unknown port", Name: "tcp/nope", IsNotFound: true}), redial.Invalid},
		{"unknown protocol, on Windows", &net.OpError{Op: "dial", Net: "ip:nope", Err: &net.DNSError{Err: "not found", Name: "nope"}}, redial.Invalid},
		{"a host of an IP network", &net.OpError{Op: "dial", Net: "ip:icmp", Err: &net.DNSError{Err: "server misbehaving", Name: "a.test"}}, redial.DNS},
		{"a name with NUL", dnsOpError(&net.DNSError{Err: "invalid argument", Name: "a\x00b"}), redial.Invalid},

		{"no address of the family", noSuitable("a.test"), redial.NotFound},
		{"no address of the family, with a port", noSuitable("a.test:80"), redial.NotFound},
		{"an IPv4 address of the wrong family", noSuitable("192.0.2.1"), redial.Invalid},
		{"an IPv6 address of the wrong family", noSuitable("2001:db8::1"), redial.Invalid},
		{"an address with a zone", noSuitable("fe80::1%eth0"), redial.Invalid},
		{"an address in brackets", noSuitable("[2001:db8::1]"), redial.Invalid},
		{"a LocalAddr of the wrong family", noSuitable("192.0.2.1:0"), redial.Invalid},
		{"a LocalAddr with a zone", noSuitable("[fe80::1%eth0]:0"), redial.Invalid},
		{"a LocalAddr of another network", &net.OpError{Op: "dial", Err: &net.AddrError{Err: "mismatched local address type", Addr: "192.0.2.1:0"}}, redial.Invalid},
		{"an address error of its own", &net.AddrError{Addr: "a.test"}, redial.Invalid},
		{"a resolver's configuration", &net.DNSConfigError{Err: errors.New("x")}, redial.DNS},

		{"fs.ErrPermission", fs.ErrPermission, redial.Denied},
		{"a file without permission", &fs.PathError{Op: "open", Path: "p", Err: fs.ErrPermission}, redial.Denied},
		{"a client's fs.ErrPermission", matchesError{fs.ErrPermission}, redial.Denied},
		{"errors.ErrUnsupported", errors.ErrUnsupported, redial.Invalid},
		{"a client's errors.ErrUnsupported", matchesError{errors.ErrUnsupported}, redial.Invalid},
		{"a client's context.Canceled", matchesError{context.Canceled}, redial.Canceled},
		{"an error that matches something else", matchesError{io.EOF}, redial.Unknown},

		{"no port", &net.OpError{Op: "dial", Err: &net.AddrError{Err: "missing port in address", Addr: "a"}}, redial.Invalid},
		{"net.ParseError", &net.ParseError{Type: "IP address", Text: "1.2.3"}, redial.Invalid},
		{"net.UnknownNetworkError", net.UnknownNetworkError("tcp7"), redial.Invalid},
		{"net.InvalidAddrError", net.InvalidAddrError("bad"), redial.Invalid},
		{"backoff.Permanent", backoff.Permanent(opError("tcp", "connect", io.EOF)), redial.Invalid},

		{"EOF", io.EOF, redial.Reset},
		{"io.ErrUnexpectedEOF", &net.OpError{Op: "read", Err: io.ErrUnexpectedEOF}, redial.Reset},
		{"io.ErrClosedPipe", io.ErrClosedPipe, redial.Reset},

		{"unknown authority", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, redial.TLS},
		{"x509 alone", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, redial.TLS},
		{"expired", fmt.Errorf("%w", x509.CertificateInvalidError{Reason: x509.Expired}), redial.TLS},
		{"the server does not speak TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, redial.TLS},
		{"the server speaks plain HTTP", fmt.Errorf("get: %w", http.ErrSchemeMismatch), redial.TLS},
		{"an alert received", &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, redial.TLS},
		{"an alert sent", &net.OpError{Op: "local error", Err: errors.New("tls: bad certificate")}, redial.TLS},
		{"QUIC's alert", tls.AlertError(40), redial.TLS},
		{"a client's own check of a certificate", &tls.CertificateVerificationError{Err: errors.New("x")}, redial.TLS},
		{"encrypted client hello", &tls.ECHRejectionError{}, redial.TLS},
		{"a constraint", x509.ConstraintViolationError{}, redial.TLS},
		{"an insecure algorithm", x509.InsecureAlgorithmError(x509.MD5WithRSA), redial.TLS},
		{"no system roots", x509.SystemRootsError{}, redial.TLS},
		{"an unhandled extension", x509.UnhandledCriticalExtension{}, redial.TLS},
		{"unknown authority alone", x509.UnknownAuthorityError{}, redial.TLS},

		{"an Error", &redial.Error{Class: redial.Denied, Err: io.EOF, Stop: redial.ErrDeadline}, redial.Denied},
		{"an Error of class Unknown", &redial.Error{Err: errors.New("x"), Stop: redial.ErrDeadline}, redial.Unknown},
		{"a client's error around an Error", &url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Err: &redial.Error{Class: redial.Refused, Stop: redial.ErrDeadline}}}, redial.Refused},

		{"an Error whose class is out of range", &redial.Error{Class: 200, Err: io.EOF, Stop: redial.ErrDeadline}, redial.Unknown},
		{"joined, an Error whose class is out of range", errors.Join(&redial.Error{Class: 200}, io.EOF), redial.Reset},
		{"joined, an Error whose class is out of range last", errors.Join(net.UnknownNetworkError("y"), &redial.Error{Class: redial.Canceled + 1}), redial.Invalid},
		{"joined, the more telling last", errors.Join(io.EOF, errors.New("x"), context.Canceled), redial.Canceled},
		{"joined, the more telling first", errors.Join(timeoutError{true}, tls.AlertError(40)), redial.Timeout},
		{"joined, the last resort", errors.Join(errors.New("x"), net.UnknownNetworkError("y")), redial.Invalid},
		{"joined, nothing known", errors.Join(errors.New("x"), errors.New("y")), redial.Unknown},
		{"joined, and a timeout", timeoutChildren{nilChildren{[]error{errors.New("x")}}}, redial.Timeout},
		{"joined with nil", nilChildren{[]error{nil, io.EOF, nil}}, redial.Reset},
		{"joined, empty", nilChildren{}, redial.Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, redial.Classify(test.err))
			if test.err != nil {
				assertKeepsClass(t, test.err)
			}
		})
	}
}

// If Classifier returns a value that is not a class, it counts as Unknown, and Classify
// decides.
func TestClassifierOutOfRangeCountsAsUnknown(t *testing.T) {
	var records []redial.Attempt
	d := redial.Dialer{
		DialFunc:    func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF },
		Classifier:  func(error) redial.Class { return 100 },
		Policy:      redial.Policy{redial.Reset: every(0)},
		MaxAttempts: 2,
		OnAttempt:   func(_ context.Context, a redial.Attempt) { records = append(records, a) },
	}
	_, err := d.Dial("tcp", address)
	assert.Equal(t, redial.Reset, redial.Classify(err))
	require.Len(t, records, 2, "io.EOF is retried as Reset")
	assert.Equal(t, redial.Reset, records[0].Class)
}

// assertKeepsClass wraps err in the ways that clients do, and checks that its class stays
// the same.
func assertKeepsClass(t *testing.T, err error) {
	t.Helper()
	want := redial.Classify(err)
	for _, wrapped := range []error{
		fmt.Errorf("connect: %w", err),
		errors.Join(err),
		fmt.Errorf("%w (%w)", errors.New("client"), err),
		&url.Error{Op: "Get", URL: "http://a.test", Err: err},
		fmt.Errorf("a: %w", fmt.Errorf("b: %w", err)),
	} {
		assert.Equal(t, want, redial.Classify(wrapped), "%#v", wrapped)
	}
}

// mostTellingFirst has all classes in the order that the doc of Classify gives.
var mostTellingFirst = []redial.Class{
	redial.Canceled, redial.Refused, redial.Reset, redial.Timeout, redial.Unreachable, redial.DNS,
	redial.TLS, redial.Denied, redial.Exhausted, redial.NotFound, redial.Invalid, redial.Unknown,
}

// A joined error has the class of its most telling error, in whatever order they are
// joined.
func TestClassifyJoinedReturnsMostTelling(t *testing.T) {
	require.Len(t, mostTellingFirst, len(classes))
	for i, more := range mostTellingFirst {
		for _, less := range mostTellingFirst[i:] {
			a, b := &redial.Error{Class: more, Err: io.EOF}, &redial.Error{Class: less, Err: io.EOF}
			assert.Equal(t, more, redial.Classify(errors.Join(a, b)), "%v beside %v", more, less)
			assert.Equal(t, more, redial.Classify(errors.Join(b, a)), "%v beside %v", more, less)
		}
	}
}

// If a resolver has not found a name that no DNS can hold, the class is Invalid. Package dnsname
// has the tests of names.
func TestClassifyNotFound(t *testing.T) {
	for name, want := range map[string]redial.Class{
		strings.Repeat("x", 64): redial.Invalid,
		"a..test":               redial.Invalid,
		"a b.test":              redial.Invalid,
		"user@a.test":           redial.Invalid,
		"a.test:80":             redial.Invalid,
		"http://a.test":         redial.Invalid,
		"256.1.1.1":             redial.Invalid,
		"":                      redial.NotFound, // the name is unknown
		"a.test.":               redial.NotFound,
		"_sip._tcp.test":        redial.NotFound,
		"192.0.2.1":             redial.NotFound, // a reverse look-up
	} {
		err := dnsOpError(&net.DNSError{Err: "no such host", Name: name, IsNotFound: true})
		assert.Equal(t, want, redial.Classify(err), "%q", name)
		assertKeepsClass(t, err)
	}
}

// If the resolver failed, the class is DNS, even if no DNS can hold the name.
func TestClassifyResolverFailureForImpossibleName(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 64), "a..test", "a b.test", "256.1.1.1"} {
		for _, e := range []net.DNSError{{}, {IsTemporary: true}, {IsTimeout: true, IsTemporary: true}} {
			e.Name = name
			assert.Equal(t, redial.DNS, redial.Classify(dnsOpError(&e)), "%q", name)
		}
	}
}

// TestClassifyImpossibleNameOfRealResolvers asks Go's resolver and the system's resolver for such names.
// The system's resolver accepts more forms of addresses, so some names may resolve.
func TestClassifyImpossibleNameOfRealResolvers(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 64) + ".test", "a..test", "a b.test", "a@b.test", "256.1.1.1", "127.0.0.01", "1.2.3.4.5"} {
		for _, preferGo := range []bool{true, false} {
			t.Run(fmt.Sprint(name, preferGo), func(t *testing.T) {
				_, err := (&net.Resolver{PreferGo: preferGo}).LookupHost(t.Context(), name)
				if err == nil {
					t.Skip("this resolver resolves the name")
				}
				assert.Equal(t, redial.Invalid, redial.Classify(err), "%v", err)
			})
		}
	}
}

// Errors that hold nil pointers, wrap themselves or panic cost Classify neither a panic nor its time,
// and it classifies what stands beside them, unless one is too large to get there.
func TestClassifyHostileErrors(t *testing.T) {
	for _, hostile := range testutil.HostileErrors() {
		t.Run(hostile.Name, func(t *testing.T) {
			for _, err := range []error{
				hostile.Err,
				&net.OpError{Op: "dial", Net: "tcp", Err: hostile.Err},
				os.NewSyscallError("connect", hostile.Err),
				&net.DNSError{Name: "a.test", UnwrapErr: hostile.Err},
				&url.Error{Op: "Get", Err: hostile.Err},
				errors.Join(hostile.Err, hostile.Err),
			} {
				assert.NotPanics(t, func() { redial.Classify(err) })
			}
			assert.Equal(t, redial.Unknown, redial.Classify(hostile.Err))
			assert.Equal(t, redial.Reset, redial.Classify(errors.Join(io.EOF, hostile.Err)))
			assert.Equal(t, !hostile.TooLarge, redial.Classify(errors.Join(hostile.Err, io.EOF)) == redial.Reset)
			assert.Equal(t, redial.DNS, redial.Classify(&net.DNSError{Name: "a.test", UnwrapErr: hostile.Err}))
		})
	}
}

// A *net.DNSError that wraps itself is classified as any other.
func TestClassifyDNSErrorThatWrapsItself(t *testing.T) {
	dns := &net.DNSError{Name: "a.test"}
	dns.UnwrapErr = dns
	assert.Equal(t, redial.DNS, redial.Classify(dns))
}

// FuzzClassify builds trees of errors from bytes. Each tree has a class, which neither a client's wrapping
// nor the texts of the errors change. Two joined trees have the more telling class of the two.
func FuzzClassify(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint32(111), "connect", "tcp")
	f.Add([]byte{0x13, 0x14, 0x15, 0x16, 2}, uint32(10061), "connectex", "tcp6")
	f.Add([]byte{4, 0x12, 5, 6, 0x17, 7, 8, 9}, uint32(11), "bind", "unix")
	for seed := range 60 {
		f.Add(testutil.RandomBytes(seed, 1+seed/6), uint32(seed*2), []string{"connect", "bind", "read", "socket"}[seed%4], []string{"tcp", "unix", "udp"}[seed%3])
	}
	f.Fuzz(func(t *testing.T, tree []byte, errno uint32, call, network string) {
		if len(tree) > 64 { // Classify looks at most 100 levels down
			return
		}
		err := buildError(tree, errno, call, network, "x")
		class := redial.Classify(err)
		require.Contains(t, classes, class)
		require.Equal(t, class, redial.Classify(buildError(tree, errno, call, network, "connection refused")), "the text decided: %#v", err)
		if err != nil {
			assertKeepsClass(t, err)
		}

		other := buildError(tree[:len(tree)/2], errno, call, network, "x")
		want := class
		if slices.Index(mostTellingFirst, redial.Classify(other)) < slices.Index(mostTellingFirst, class) {
			want = redial.Classify(other)
		}
		require.Equal(t, want, redial.Classify(errors.Join(err, other)), "%#v and %#v", err, other)
		require.Equal(t, want, redial.Classify(errors.Join(other, nil, err)), "%#v and %#v", err, other)
	})
}

// buildError builds an error from the bytes of tree, innermost first. The high bits of a
// byte say how it wraps the error built so far, or with which leaf it joins it. The low
// bits choose the leaf. All texts that do not matter are text.
func buildError(tree []byte, errno uint32, call, network, text string) (err error) {
	for _, b := range tree {
		leaf := fuzzLeaf(b, errno, call, text)
		switch b >> 4 {
		case 0:
			err = leaf
		case 1:
			err = &net.OpError{Op: "dial", Net: network, Source: fuzzAddr(b), Addr: fuzzAddr(b / 2), Err: err}
		case 2:
			err = os.NewSyscallError(call, err)
		case 3:
			err = errors.Join(err, leaf)
		case 4:
			err = nilChildren{[]error{leaf, nil, err}}
		case 5:
			err = &redial.Error{Class: redial.Class(b & 0xf), Err: err, Cause: leaf}
		case 6:
			err = &net.DNSError{Name: call, Err: text, Server: text, UnwrapErr: err, IsNotFound: b&1 > 0, IsTimeout: b&2 > 0}
		case 7:
			err = backoff.Permanent(err)
		case 8:
			err = &net.AddrError{Err: call, Addr: network}
		case 9:
			err = fmt.Errorf("%w and %w", leaf, err)
		case 10:
			err = &net.OpError{Op: call, Net: network, Err: err}
		case 11:
			err = &oddError{text, err}
		case 12:
			err = &url.Error{Op: text, URL: text, Err: err}
		case 13:
			err = &os.PathError{Op: call, Path: text, Err: err}
		case 14:
			err = &tls.CertificateVerificationError{Err: err}
		default:
			err = fmt.Errorf("%s: %w", text, err)
		}
	}
	return err
}

func fuzzAddr(b byte) net.Addr {
	addrs := []net.Addr{
		nil, (*net.TCPAddr)(nil), &net.TCPAddr{}, &net.UDPAddr{IP: net.IP{1, 2}}, (*net.IPAddr)(nil), &net.IPAddr{IP: net.IPv6loopback},
		&net.UnixAddr{Name: "p"}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1 << 20},
	}
	return addrs[int(b)%len(addrs)]
}

func fuzzLeaf(b byte, errno uint32, call, text string) error {
	leaves := []error{
		nil, io.EOF, context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded, errors.New(text),
		systemError(errno), os.NewSyscallError(call, systemError(errno)), (*net.OpError)(nil), (*net.DNSError)(nil),
		timeoutError{true}, tls.RecordHeaderError{}, redial.ErrDeadline, redial.ErrPermanent, (*redial.Error)(nil),
		&os.PathError{Op: call, Path: text, Err: systemError(errno)},
	}
	return leaves[b&0xf]
}

package redial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// mark begins every fuzzed address, so that the address occurs in no other part of a message.
const mark = "\u2316"

// FuzzErrorText fills an Error with whatever the bytes say. Its text must name the class, the number
// of attempts, the reason for stopping and, once, the address. No method may panic.
func FuzzErrorText(f *testing.F) {
	f.Add([]byte{}, "tcp", "a.test:80", "x")
	f.Add([]byte{1, 2, 3}, "", "", "")
	f.Add([]byte{4, 5, 6, 7, 8}, "unix", "/run/\xffa", "a\nb\x00\xff")
	for seed := range 100 {
		f.Add(testutil.RandomBytes(seed, 20), "tcp", "a.test:80", "refused")
	}
	f.Fuzz(func(t *testing.T, data []byte, network, address, text string) {
		if len(data) > 200 || len(text) > 200 {
			return // texts of nested errors become very long
		}
		text, network = strings.ReplaceAll(text, mark, ""), strings.ReplaceAll(network, mark, "")
		address = mark + strings.ReplaceAll(address, mark, "")
		d := testutil.Decisions(data)
		inner := fuzzedError(&d, text)
		switch d.Next() % 4 {
		case 1:
			inner = &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: address, Net: "unix"}, Err: inner}
		case 2:
			if network == "" && inner == nil {
				network = "x" // net's own text panics without either
			}
			inner = &net.OpError{Op: "dial", Net: network, Source: fuzzedAddr(&d, text), Addr: fuzzedAddr(&d, text), Err: inner}
		}
		e := &redial.Error{
			Network: network, Address: address,
			Attempts: d.Pick(1, 0, 2, -1, math.MaxInt), Elapsed: fuzzedDuration(&d),
			Class: redial.Class(d.Next()), Err: inner, Cause: fuzzedError(&d, text),
		}
		for range d.Next() % 3 {
			e.History = append(e.History, fuzzedAttempt(&d, text))
		}

		message := e.Error()
		want := 1
		if op, ok := inner.(*net.OpError); ok && op != nil && op.Op != "" && op.Net != "" {
			inner = op.Err // the OpError around e has the rest
			switch addr := op.Addr.(type) {
			case *net.TCPAddr:
				want = count(addr == nil)
			case *net.UnixAddr:
				want = count(addr == nil)
			}
		}
		assert.Equal(t, want, strings.Count(message, mark), "%q", message)
		assert.Equal(t, want, strings.Count(message, address), "%q", message)
		if want == 1 {
			assert.True(t, strings.HasPrefix(message, address+": "), "%q", message)
		}
		if e.Attempts == 0 {
			assert.Contains(t, message, "not attempted: "+textOf(e.Stop))
		} else {
			assert.Contains(t, message, textOf(inner))
			attempts := fmt.Sprintf("%d attempts", e.Attempts)
			if e.Attempts == 1 {
				attempts = "1 attempt"
			}
			assert.Contains(t, message, fmt.Sprintf(" (%v, %s in ", e.Class, attempts))
			assert.True(t, strings.HasSuffix(message, ": "+textOf(e.Stop)+")"), "%q", message)
		}

		assert.Equal(t, e.Error(), fmt.Sprintf("%v", e), "the text does not change")
		if e.Timeout() {
			assert.True(t, e.Temporary())
		}
		if e.Stop != 0 && walks(e) {
			assert.True(t, errors.Is(e, e.Stop), "%v", e.Stop)
		}
		if redial.Classify(e); e.Class <= redial.Canceled {
			assert.Equal(t, e.Class, redial.Classify(fmt.Errorf("client: %w", e)))
		}
	})
}

// FuzzErrorOfDial dials by a DialFunc that returns whatever the bytes say. The error of the dial names
// the address once, wherever it stands.
func FuzzErrorOfDial(f *testing.F) {
	f.Add([]byte{}, "a.test:80", "x")
	for seed := range 100 {
		f.Add(testutil.RandomBytes(seed, 20), "a.test:80", "refused")
	}
	f.Fuzz(func(t *testing.T, data []byte, address, text string) {
		if len(data) > 200 || len(text) > 200 {
			return
		}
		text, address = strings.ReplaceAll(text, mark, ""), mark+strings.ReplaceAll(address, mark, "")
		d := testutil.Decisions(data)
		failure := fuzzedError(&d, text)
		if failure == nil || reflect.ValueOf(failure).Kind() == reflect.Pointer && reflect.ValueOf(failure).IsNil() {
			failure = io.EOF // the dial replaces a nil pointer
		}
		switch d.Next() % 3 {
		case 1:
			failure = &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: address, Net: "unix"}, Err: failure}
		case 2:
			failure = &net.OpError{Op: "dial", Net: "tcp", Source: fuzzedAddr(&d, text), Addr: stranger{}, Err: failure}
		}
		dialer := &redial.Dialer{
			DialFunc:    func(context.Context, string, string) (net.Conn, error) { return nil, failure },
			MaxAttempts: 2,
			Policy:      redial.Policy{},
		}
		_, err := dialer.Dial("tcp", address)
		e := asError(t, err)
		assert.Equal(t, 1, strings.Count(err.Error(), address), "%q", err)
		assert.Contains(t, err.Error(), fmt.Sprintf(" (%v, 1 attempt in ", e.Class))
		assert.Equal(t, redial.Classify(failure), redial.Classify(err))
		assert.True(t, !walks(err) || errors.Is(err, failure), "%v", failure)
		netError := err.(net.Error)
		assert.Equal(t, e.Timeout(), netError.Timeout())
	})
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// textOf returns the message of an error, as an Error shows it.
func textOf(err error) string {
	if err == nil {
		return "<nil>"
	}
	return fmt.Sprint(err) // not err.Error(), which may panic
}

// fuzzedError returns an error, also an odd one. Its text has no mark if text has none.
func fuzzedError(d *testutil.Decisions, text string) error {
	switch d.Next() % 16 {
	case 0:
		return nil
	case 1:
		return errors.New(text)
	case 2:
		return redial.ErrDeadline
	case 3: // their methods panic
		return []error{(*net.OpError)(nil), (*os.SyscallError)(nil), (*net.DNSError)(nil), &os.SyscallError{}, &net.OpError{Op: text}, panics{}}[d.Next()%6]
	case 4:
		return &net.OpError{Op: text, Net: text, Source: fuzzedAddr(d, text), Err: &oddError{text, fuzzedError(d, text)}}
	case 5:
		return &net.DNSError{Err: text, Name: text, Server: text, IsTimeout: d.Next()%2 > 0, UnwrapErr: fuzzedError(d, text)}
	case 6:
		return &os.SyscallError{Syscall: text, Err: errors.New(text)}
	case 7:
		return &oddError{text, fuzzedError(d, text)}
	case 8:
		return &oddErrors{text, []error{fuzzedError(d, text), nil, fuzzedError(d, text)}}
	case 9:
		return errors.Join(fuzzedError(d, text), fuzzedError(d, text))
	case 10:
		return fmt.Errorf("%w and %w", fuzzedError(d, text), fuzzedError(d, text))
	case 11:
		return matchesAll{}
	case 12:
		return &redial.Error{Attempts: d.Next(), Class: redial.Class(d.Next()), Err: fuzzedError(d, text), Cause: fuzzedError(d, text)}
	case 13:
		return sysRefused
	case 14:
		return context.Canceled
	}
	return os.NewSyscallError("connect", sysRefused)
}

// oddError and oddErrors may wrap nothing.
type oddError struct {
	text string
	err  error
}

func (e *oddError) Error() string { return e.text }
func (e *oddError) Unwrap() error { return e.err }

type oddErrors struct {
	text string
	errs []error
}

func (e *oddErrors) Error() string   { return e.text }
func (e *oddErrors) Unwrap() []error { return e.errs }

// matchesAll is an error that says that it is every other. It can't be compared.
type matchesAll struct{ _ []int }

func (matchesAll) Error() string   { return "" }
func (matchesAll) Is(error) bool   { return true }
func (matchesAll) Timeout() bool   { return true }
func (matchesAll) Temporary() bool { return false }

// walks reports whether package errors can walk err's tree, in which a nil pointer's Unwrap may panic.
func walks(err error) (ok bool) {
	defer func() { _ = recover() }()
	errors.Is(err, errInNoTree)
	return true
}

var errInNoTree = errors.New("in no tree")

// panics is an error without a text.
type panics struct{}

func (panics) Error() string { panic("no text") }

// stranger is an address that is not package net's.
type stranger struct{}

func (stranger) Network() string { return "" }
func (stranger) String() string  { return "\xff\n" }

func fuzzedAddr(d *testutil.Decisions, text string) net.Addr {
	all := []net.Addr{
		nil, stranger{}, (*net.TCPAddr)(nil), &net.TCPAddr{}, &net.TCPAddr{IP: net.IP{1, 2}, Zone: text, Port: -1},
		&net.UnixAddr{Name: text, Net: text}, (*net.UnixAddr)(nil),
	}
	return all[d.Next()%len(all)]
}

func fuzzedDuration(d *testutil.Decisions) time.Duration {
	units := []time.Duration{0, 1, 997, time.Millisecond, time.Second + 1, -1, 1 << 55}
	return time.Duration(d.Next()) * units[d.Next()%len(units)]
}

// fuzzedAttempt returns an Attempt with whatever in its fields.
func fuzzedAttempt(d *testutil.Decisions, text string) redial.Attempt {
	a := redial.Attempt{
		Network: text, Address: string(d.Bytes(20)), Number: d.Pick(0, 1, -1, math.MaxInt-1), Start: time.Unix(0, int64(fuzzedDuration(d))),
		Duration: fuzzedDuration(d), Resolve: fuzzedDuration(d), Elapsed: fuzzedDuration(d), Remote: fuzzedAddr(d, text),
		Err: fuzzedError(d, text), Class: redial.Class(d.Pick(0, 1, 5, 11, 12, 255)), Shared: d.Next()%2 > 0, Delay: fuzzedDuration(d), Cause: fuzzedError(d, string(d.Bytes(20))),
	}
	for range d.Pick(0, 0, 1, 3) {
		a.Addrs = append(a.Addrs, fuzzedAddrResult(d, text))
	}
	return a
}

func fuzzedAddrResult(d *testutil.Decisions, text string) redial.AddrResult {
	addr, _ := netip.AddrFromSlice(d.Bytes(16))
	return redial.AddrResult{
		Addr: netip.AddrPortFrom(addr.WithZone(text), uint16(d.Next())), Duration: time.Duration(d.Next()),
		Err: fuzzedError(d, text), Class: redial.Class(d.Next()),
	}
}

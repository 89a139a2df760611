package observe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/observe"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestOutcomesOfDialsAndAttempts(t *testing.T) {
	for _, test := range []struct {
		name    string
		err     error
		class   redial.Class
		stop    redial.Stop
		want    string
		failure bool
	}{
		{"success", nil, 0, 0, "ok", false},
		{"failure", errNo, redial.Refused, redial.ErrMaxAttempts, "refused", true},
		{"to be retried", errNo, redial.Timeout, 0, "timeout", true},
		{"panic", errNo, 0, 0, "unknown", true},
		{"of no class", errNo, 200, redial.ErrPermanent, "unknown", true},
		{"canceled", errNo, redial.Canceled, redial.ErrCanceled, "canceled", false},
		{"canceled after a refusal", errNo, redial.Refused, redial.ErrCanceled, "canceled", false},
		{"canceled by the inner dialer", errNo, redial.Canceled, redial.ErrPermanent, "canceled", true},
		{"deadline", errNo, redial.Refused, redial.ErrDeadline, "refused", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dial := observe.OfDial(&redial.Result{Err: test.err, Class: test.class, Stop: test.stop})
			attempt := observe.OfAttempt(&redial.Attempt{Err: test.err, Class: test.class, Stop: test.stop})
			for _, o := range []observe.Outcome{dial, attempt} {
				assert.Equal(t, test.want, o.String())
				assert.Equal(t, test.failure, o.IsFailure())
				assert.Less(t, o, observe.NumOutcomes)
			}
		})
	}
}

func TestEveryClassHasAnOutcome(t *testing.T) {
	names := map[string]bool{}
	for o := range observe.NumOutcomes {
		names[o.String()] = true
	}
	classes := 0
	for class := redial.Class(0); ; class++ {
		name, err := class.MarshalText()
		if err != nil {
			break
		}
		classes++
		assert.True(t, names[string(name)], "%s", name)
	}
	assert.Equal(t, classes+2, int(observe.NumOutcomes))
}

func TestEveryReasonHasAName(t *testing.T) {
	names := map[string]bool{}
	for s := range observe.NumStops {
		names[observe.StopName(s)] = true
	}
	assert.Len(t, names, int(observe.NumStops))
	assert.NotContains(t, names, "")
	_, err := observe.NumStops.MarshalText()
	assert.Error(t, err, "a reason that NumStops does not count")
}

func TestOutcomeOfLookup(t *testing.T) {
	tried := []redial.AddrResult{{Err: errNo, Class: redial.Refused}}
	for _, test := range []struct {
		name   string
		a      redial.Attempt
		want   string
		exists bool
	}{
		{"no name", redial.Attempt{Err: errNo, Class: redial.Refused}, "ok", false},
		{"not found", redial.Attempt{Err: errNo, Class: redial.NotFound, Resolve: 1}, "not_found", true},
		{"no address, at once", redial.Attempt{Err: errNo, Class: redial.DNS, Addrs: tried[:0]}, "dns", true},
		{"addresses that refuse", redial.Attempt{Err: errNo, Class: redial.Refused, Resolve: 1, Addrs: tried}, "ok", true},
		{"addresses known before", redial.Attempt{Err: errNo, Class: redial.Refused, Addrs: tried}, "ok", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, exists := observe.OfLookup(&test.a)
			assert.Equal(t, test.want, o.String())
			assert.Equal(t, test.exists, exists)
		})
	}
}

// addressesOf returns what EachAddress counts, as "ipv4 ok".
func addressesOf(d *observe.Dial[string], a redial.Attempt) (all []string) {
	d.EachAddress(&a, func(f observe.Family, o observe.Outcome) { all = append(all, fmt.Sprintf("%v %v", f, o)) })
	return all
}

// A tunnel's address, and any other of a type that package net does not have.
type tunnel struct{}

func (tunnel) Network() string { return "tunnel" }
func (tunnel) String() string  { panic("do not ask") }

func TestEachAddress(t *testing.T) {
	v4, v6 := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 53}
	refusedAt := func(addr net.Addr) redial.Attempt {
		return redial.Attempt{Class: redial.Refused, Err: fmt.Errorf("client: %w", &net.OpError{Op: "dial", Addr: addr, Err: errNo})}
	}
	for _, test := range []struct {
		name string
		a    redial.Attempt
		want []string
	}{
		{"connected", redial.Attempt{Remote: v4}, []string{"ipv4 ok"}},
		{"IPv6", redial.Attempt{Remote: v6}, []string{"ipv6 ok"}},
		{"IP without a port", redial.Attempt{Remote: &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}}, []string{"ipv4 ok"}},
		{"unix", redial.Attempt{Remote: &net.UnixAddr{Name: "/s"}}, []string{"unix ok"}},
		{"no IP", redial.Attempt{Remote: &net.TCPAddr{Port: 80}}, []string{"other ok"}},
		{"tunnel", redial.Attempt{Remote: tunnel{}}, []string{"other ok"}},
		{"pointer to a tunnel", redial.Attempt{Remote: (*tunnel)(nil)}, nil},
		{"nil pointer", redial.Attempt{Remote: (*net.TCPAddr)(nil)}, nil},
		{"no address", redial.Attempt{}, nil},
		{"refused", refusedAt(v4), []string{"ipv4 refused"}},
		{"refused nowhere", refusedAt(nil), nil},
		{"refused at a nil pointer", refusedAt((*net.UnixAddr)(nil)), nil},
		{"an error without an address", redial.Attempt{Err: errNo, Class: redial.Refused}, nil},
		{"name without addresses", redial.Attempt{Err: errNo, Class: redial.DNS, Resolve: 1}, nil},
		{"race", redial.Attempt{Remote: v4, Addrs: []redial.AddrResult{
			{Addr: netip.MustParseAddrPort("[2001:db8::1]:80"), Err: errNo, Class: redial.Unreachable},
			{Addr: netip.MustParseAddrPort("[::ffff:192.0.2.1]:80")},
			{Addr: netip.MustParseAddrPort("192.0.2.2:80"), Err: context.Canceled, Class: redial.Canceled},
			{Err: errNo, Class: 200},
		}}, []string{"ipv6 unreachable", "ipv4 ok", "ipv4 canceled", "other unknown"}},
	} {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, test.want, addressesOf(nil, test.a)) })
	}
}

// Dials within an attempt have counted its addresses.
func TestAddressesOfNestedDialsCountOnce(t *testing.T) {
	remote := redial.Attempt{Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}}
	var counted [][]string
	o := &observe.Observer[string]{
		Began: func(ctx context.Context, _, _ string, _ bool) (context.Context, string) { return ctx, "" },
		Attempted: func(_ context.Context, d *observe.Dial[string], _ redial.Attempt) {
			counted = append(counted, addressesOf(d, remote))
		},
		Ended: func(*observe.Dial[string], redial.Result) {},
	}
	inner, outer := failing(), failing()
	o.Instrument(inner)
	o.Instrument(outer)
	outer.DialFunc = inner.DialContext
	outer.Dial("tcp", "a.test:1")
	assert.Equal(t, [][]string{{"ipv4 ok"}, nil}, counted)
}

func TestHostileErrors(t *testing.T) {
	for _, hostile := range testutil.HostileErrors() {
		t.Run(hostile.Name, func(t *testing.T) {
			for _, err := range []error{hostile.Err, &net.OpError{Op: "dial", Err: hostile.Err}, errors.Join(hostile.Err, hostile.Err)} {
				a := redial.Attempt{Err: err, Class: redial.Refused, Addrs: []redial.AddrResult{{Err: err}}}
				assert.NotPanics(t, func() { addressesOf(nil, a) })
				a.Addrs = nil
				assert.NotPanics(t, func() { addressesOf(nil, a) })
				assert.Equal(t, "refused", observe.OfAttempt(&a).String())
			}
		})
	}
}

func TestAddrPortOf(t *testing.T) {
	for _, test := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 80}, "192.0.2.1:80"},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 53}, "[fe80::1%eth0]:53"},
		{&net.IPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "[fe80::1%eth0]:0"},
		{&net.TCPAddr{Port: 80}, "invalid AddrPort"},
		{&net.UnixAddr{Name: "/s"}, "invalid AddrPort"},
		{(*net.TCPAddr)(nil), "invalid AddrPort"},
		{(*net.IPAddr)(nil), "invalid AddrPort"},
		{tunnel{}, "invalid AddrPort"},
		{nil, "invalid AddrPort"},
	} {
		assert.Equal(t, test.want, observe.AddrPortOf(test.addr).String(), "%T", test.addr)
	}
}

func TestUnansweredFamilies(t *testing.T) {
	for queries, want := range map[string][]observe.Family{
		"": nil, "A": {observe.IPv4}, "AAAA": {observe.IPv6}, "A and AAAA": {observe.IPv4, observe.IPv6}, "MX": nil,
	} {
		assert.Equal(t, want, observe.UnansweredFamilies(&redial.Attempt{Unanswered: queries}), queries)
	}
}

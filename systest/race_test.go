package systest_test

// These tests race the addresses that a test's own DNS server returns. The tests in
// race_linux_test.go need a network in which some addresses are dead.

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
)

// A tcp6 name with link-local addresses is looked up a second time, to learn the addresses' zones.
// The second answer may differ from the first, or be empty.
func TestRaceSecondLookUp(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	const linkLocal, global = "fe80::1", "2001:db8::1"
	for _, test := range []struct {
		name    string
		replies []dnstest.Reply // to the first look-up and to the second
		class   redial.Class    // checked if no address is dialed
		addrs   []string
	}{
		{"gone.test", []dnstest.Reply{dnstest.Addrs(linkLocal), dnstest.NoData}, redial.NotFound, nil},
		{"moved.test", []dnstest.Reply{dnstest.Addrs(linkLocal), dnstest.Addrs("127.0.0.1")}, redial.NotFound, nil},
		{"failed.test", []dnstest.Reply{dnstest.Addrs(linkLocal), dnstest.ServFail}, redial.DNS, nil},
		{"global-gone.test", []dnstest.Reply{dnstest.Addrs(linkLocal, global), dnstest.NoData}, 0, []string{global}},
		{"global-moved.test", []dnstest.Reply{dnstest.Addrs(linkLocal, global), dnstest.Addrs("127.0.0.1")}, 0, []string{global}},
		{"global-failed.test", []dnstest.Reply{dnstest.Addrs(linkLocal, global), dnstest.ServFail}, 0, []string{global}},
		{"other.test", []dnstest.Reply{dnstest.Addrs(linkLocal), dnstest.Addrs(global)}, 0, []string{global}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server.Set(test.name, test.replies...)
			var d redial.Dialer
			d.Resolver = server.Resolver()
			d.Control = func(string, string, syscall.RawConn) error { return context.Canceled } // nothing is sent
			attempt, err := dialOnce(t, d, "tcp6", test.name+".:80")
			var dialed []string
			for _, a := range attempt.Addrs {
				dialed = append(dialed, a.Addr.Addr().String())
			}
			assert.Equal(t, test.addrs, dialed)
			if test.addrs == nil {
				assert.Equal(t, test.class, redial.Classify(err), "%v", err)
			}
			if test.class == redial.NotFound {
				dns, ok := errors.AsType[*net.DNSError](err)
				require.True(t, ok)
				assert.True(t, dns.IsNotFound)
				assert.Equal(t, test.name+".", dns.Name)
			}
		})
	}
}

// An address that a name has twice is dialed once.
func TestRaceDialsEachAddressOnce(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("twice.test", dnstest.Addrs("127.0.0.1", "127.0.0.1"))
	errControl := errors.New("not this one")
	var d redial.Dialer
	d.Resolver = server.Resolver()
	d.Control = func(string, string, syscall.RawConn) error { return errControl }
	attempt, err := dialOnce(t, d, "tcp", "twice.test.:80")
	assert.ErrorIs(t, err, errControl)
	require.Len(t, attempt.Addrs, 1)
	assert.Equal(t, netip.MustParseAddrPort("127.0.0.1:80"), attempt.Addrs[0].Addr)
}

// A panic in a user's Control reaches the goroutine that called Dial, which can recover it. In the
// same way, runtime.Goexit ends the goroutine that called Dial.
func TestRaceControlPanics(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("two.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
	boom := errors.New("boom")
	for _, test := range []struct {
		name string
		how  func()
		want any
	}{
		{"panic", func() { panic(boom) }, boom},
		{"exit", runtime.Goexit, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var once sync.Once
			d := redial.Dialer{MaxElapsed: -1}
			d.Timeout = time.Minute
			d.Resolver = server.Resolver()
			d.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
				once.Do(test.how) // the attempt at the other address waits until it is canceled
				<-ctx.Done()
				return ctx.Err()
			}
			var recovered any
			returned := false
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recovered = recover() }()
				d.Dial("tcp", "two.test.:80")
				returned = true
			}()
			<-done
			assert.Equal(t, test.want, recovered)
			assert.False(t, returned)
		})
	}
}

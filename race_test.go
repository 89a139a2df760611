package redial_test

import (
	"context"
	"net"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// FallbackDelay is the time between the starts of two addresses. Zero means 300 ms. Addresses that must share a local port are
// dialed one after the other.
func TestFallbackDelay(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("two.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
	_, free, _ := net.SplitHostPort(testutil.FreeAddress(t))
	port, _ := strconv.Atoi(free)
	const takes = 500 * time.Millisecond // the first address
	for name, test := range map[string]struct {
		set   func(*redial.Dialer)
		least time.Duration
	}{
		"zero":                   {func(*redial.Dialer) {}, 300 * time.Millisecond},
		"an hour":                {func(d *redial.Dialer) { d.FallbackDelay = time.Hour }, takes},
		"with a local port":      {func(d *redial.Dialer) { d.LocalAddr = &net.TCPAddr{Port: port} }, takes},
		"with the least of them": {func(d *redial.Dialer) { d.LocalAddr = &net.TCPAddr{Port: 1} }, takes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, records := racing(server)
			test.set(d)
			d.Control = func(_, address string, _ syscall.RawConn) error {
				if strings.HasPrefix(address, "127.0.0.1:") {
					time.Sleep(takes)
				}
				return errCustom
			}
			_, err := d.Dial("tcp", "two.test.:80")
			assert.ErrorIs(t, err, errCustom)
			require.Len(t, *records, 1)
			addrs := (*records)[0].Addrs
			require.Len(t, addrs, 2)
			assert.GreaterOrEqual(t, addrs[1].Start.Sub(addrs[0].Start), test.least)
		})
	}
}

// A LocalAddr without a port does not keep two addresses from being dialed at once.
func TestRaceFromLocalAddr(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("two.test", dnstest.Addrs("127.0.0.1", "127.0.0.2"))
	for name, local := range map[string]net.Addr{"none": nil, "a nil pointer": (*net.TCPAddr)(nil), "an address": &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}} {
		d, _ := racing(server)
		d.LocalAddr = local
		d.FallbackDelay = time.Millisecond
		second := make(chan struct{})
		d.Control = func(_, address string, _ syscall.RawConn) error {
			if strings.HasPrefix(address, "127.0.0.2:") {
				close(second)
				return errCustom
			}
			select {
			case <-second:
			case <-time.After(10 * time.Second):
				t.Error("the second address waits for the first:", name)
			}
			return errCustom
		}
		_, err := d.Dial("tcp", "two.test.:80")
		assert.ErrorIs(t, err, errCustom)
	}
}

// A dial without a Resolver asks net.DefaultResolver, which a program may have set.
func TestDefaultResolver(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("one.test", dnstest.Addrs("127.0.0.1"))
	original := net.DefaultResolver
	defer func() { net.DefaultResolver = original }()
	net.DefaultResolver = server.Resolver()
	d, records := racing(server)
	d.Resolver = nil
	d.Control = func(string, string, syscall.RawConn) error { return errCustom }
	_, err := d.Dial("tcp", "one.test.:80")
	assert.ErrorIs(t, err, errCustom)
	require.Len(t, (*records)[0].Addrs, 1)
}

// A name is looked up once, unless it has link-local IPv6 addresses, whose zones a second look-up finds.
func TestRaceLooksUpOnce(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	for _, test := range []struct{ network, host, addr string }{
		{"tcp4", "local4.test.", "169.254.1.1"},
		{"tcp4", "global4.test.", "192.0.2.1"},
		{"tcp6", "global6.test.", "2001:db8::1"},
	} {
		server.Set(strings.TrimSuffix(test.host, "."), dnstest.Addrs(test.addr))
		d, records := racing(server)
		d.Control = func(string, string, syscall.RawConn) error { return errCustom } // nothing is sent
		_, err := d.Dial(test.network, test.host+":80")
		assert.ErrorIs(t, err, errCustom, test.host)
		require.Len(t, (*records)[0].Addrs, 1, test.host)
		assert.Equal(t, test.addr, (*records)[0].Addrs[0].Addr.Addr().String())
		assert.Equal(t, 1, server.Asked(strings.TrimSuffix(test.host, ".")), test.host)
	}
}

// racing returns a Dialer that asks server, makes one attempt, and records it.
func racing(server *dnstest.Server) (*redial.Dialer, *[]redial.Attempt) {
	var records []redial.Attempt
	d := &redial.Dialer{MaxAttempts: 1, OnAttempt: func(_ context.Context, a redial.Attempt) { records = append(records, a) }}
	d.Resolver = server.Resolver()
	d.Timeout = 30 * time.Second
	return d, &records
}

// The record of an attempt says how long the look-up took, also if it failed, and what became of the only address.
func TestRaceRecordsOneAddress(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("one.test", dnstest.Addrs("127.0.0.1"))
	server.Set("none.test", dnstest.ServFail)
	ln := testutil.Listen(t, "tcp4", "127.0.0.1:0", testutil.Echo)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	d, records := racing(server)
	last := func() redial.Attempt { return (*records)[len(*records)-1] }

	_, err := d.Dial("tcp", "none.test.:80")
	assert.Equal(t, redial.DNS, redial.Classify(err))
	testutil.AssertMeasured(t, last().Resolve)
	assert.Empty(t, last().Addrs)

	conn, err := d.Dial("tcp", "one.test.:"+port)
	require.NoError(t, err)
	conn.Close()
	require.Len(t, last().Addrs, 1)
	won := last().Addrs[0]
	assert.Equal(t, ln.Addr().String(), won.Addr.String())
	testutil.AssertMeasured(t, won.Duration)
	assert.False(t, won.Start.Before(last().Start))
	assert.NoError(t, won.Err)
	assert.Equal(t, redial.Unknown, won.Class)

	d.Control = func(string, string, syscall.RawConn) error { return errCustom }
	d.Classifier = func(error) redial.Class { return redial.Denied }
	_, err = d.Dial("tcp", "one.test.:"+port)
	require.ErrorIs(t, err, errCustom)
	lost := last().Addrs[0]
	assert.Equal(t, err, lost.Err)
	assert.Equal(t, redial.Denied, lost.Class)
	testutil.AssertMeasured(t, lost.Duration)
}

// A resolver's Dial gets the values of the dial's context, also if the context traces connections.
func TestLookupKeepsValues(t *testing.T) {
	type key struct{}
	var value atomic.Value // A and AAAA are asked for at the same time
	d := &redial.Dialer{MaxAttempts: 1}
	d.Resolver = dnstest.ResolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
		value.Store(ctx.Value(key{}))
		return nil, errCustom
	})
	ctx := httptrace.WithClientTrace(context.WithValue(t.Context(), key{}, "value"), &httptrace.ClientTrace{ConnectStart: func(string, string) { t.Error("no address was dialed") }})
	_, err := d.DialContext(ctx, "tcp", "a.test.:80")
	assert.Equal(t, redial.DNS, redial.Classify(err))
	assert.Equal(t, "value", value.Load())
}

func TestAddrResultFields(t *testing.T) {
	enc := zapcore.NewMapObjectEncoder()
	require.NoError(t, redial.AddrResult{Duration: 1}.MarshalLogObject(enc))
	assert.Contains(t, enc.Fields, "addr")
	assert.Contains(t, enc.Fields, "duration")
	assert.NotContains(t, enc.Fields, "error", "this address won")
	assert.NotContains(t, enc.Fields, "class")
	require.NoError(t, redial.AddrResult{Err: errRefused, Class: redial.Refused}.MarshalLogObject(enc))
	assert.Equal(t, "refused", enc.Fields["class"])
	assert.Equal(t, errRefused.Error(), enc.Fields["error"])
}

package systest_test

// These tests resolve names with Go's own resolver, from a DNS server that the test controls. They
// check that the server's answer, or its silence, decides the class of a failed dial and whether
// the dial is retried. They also check that a retry uses the server's new answer.

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
)

// Each failure to resolve a name has the right class. The dial is retried only if the failure may
// go away.
func TestDNSFailure(t *testing.T) {
	t.Parallel()
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("nodata.test", dnstest.NoData)
	server.Set("servfail.test", dnstest.ServFail)
	server.Set("refused.test", dnstest.Refused)
	server.Set("silence.test", dnstest.Silence)
	server.Set("v4only.test", dnstest.Addrs("127.0.0.1"))

	for _, c := range []struct {
		name    string
		network string
		host    string // ends in a dot, so that the machine's search list is not used
		timeout time.Duration
		class   redial.Class
		retried bool
	}{
		{name: "NXDOMAIN", host: "missing.test.", class: redial.NotFound},
		{name: "no data", host: "nodata.test.", class: redial.NotFound},
		{name: "no address of the family", network: "tcp6", host: "v4only.test.", class: redial.NotFound},
		{name: "SERVFAIL", host: "servfail.test.", class: redial.DNS, retried: true},
		{name: "REFUSED", host: "refused.test.", class: redial.DNS, retried: true},
		{name: "silence", host: "silence.test.", timeout: 100 * time.Millisecond, class: redial.DNS, retried: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			network := c.network
			if network == "" {
				network = "tcp"
			}
			d := redial.Dialer{
				Dialer:      net.Dialer{Resolver: server.Resolver(), Timeout: c.timeout},
				Policy:      atOnce(),
				MaxAttempts: 3,
			}
			attempts, err := dialRecorded(t, &d, network, c.host+":80")
			require.Error(t, err)
			for _, a := range attempts {
				assert.Equal(t, c.class, a.Class, "%v", a.Err)
			}
			assert.Equal(t, c.class, redial.Classify(err))
			var dnsError *net.DNSError
			require.ErrorAs(t, err, &dnsError)
			assert.Equal(t, c.class == redial.NotFound, dnsError.IsNotFound)
			assert.NotZero(t, server.Asked(strings.TrimSuffix(c.host, ".")), "the resolver did not ask the test's server")

			failed, ok := errors.AsType[*redial.Error](err)
			require.True(t, ok)
			if !c.retried {
				require.Len(t, attempts, 1)
				assert.Same(t, attempts[0].Err, failed.Err, "the inner dialer's error, unchanged")
				assert.Equal(t, redial.ErrPermanent, attempts[0].Stop)
				return
			}
			assert.Len(t, attempts, 3)
			assert.Equal(t, 3, failed.Attempts)
			assert.Equal(t, c.class, failed.Class)
			assert.ErrorIs(t, err, redial.ErrMaxAttempts)
		})
	}
}

// If the DNS server refuses or can't be reached, the class is DNS: the target did not refuse.
func TestDNSServerUnreachable(t *testing.T) {
	dnstest.SkipWithout(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := listener.Addr().String()
	require.NoError(t, listener.Close())

	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var dials atomic.Int32
			d := redial.Dialer{Dialer: net.Dialer{
				Resolver: dnstest.ResolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
					dials.Add(1)
					var d net.Dialer
					return d.DialContext(ctx, network, gone)
				}),
				// If the network does not report that a UDP port is closed, the resolver waits for
				// an answer.
				Timeout: time.Second,
			}}
			a, err := dialOnce(t, d, "tcp", "name.test.:80")
			assert.Equal(t, redial.DNS, a.Class, "%v", err)
			assert.Equal(t, redial.DNS, redial.Classify(err))
			assert.NotZero(t, dials.Load())
		})
	}
}

// A name that could not be resolved is looked up again, and then the dial connects. The resolver
// asks the server several times per attempt, so the server recovers after the first attempt.
func TestDNSRecovers(t *testing.T) {
	t.Parallel()
	dnstest.SkipWithout(t)
	port := listenLoopback(t)
	for _, c := range []struct {
		name    string
		failing dnstest.Reply
		timeout time.Duration
	}{
		{"SERVFAIL", dnstest.ServFail, 0},
		{"REFUSED", dnstest.Refused, 0},
		{"silence", dnstest.Silence, 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := dnstest.Start(t, "127.0.0.1:0")
			server.Set("name.test", c.failing)
			d := redial.Dialer{
				Dialer: net.Dialer{Resolver: server.Resolver(), Timeout: c.timeout},
				Policy: atOnce(),
				OnAttempt: func(context.Context, redial.Attempt) {
					server.Set("name.test", dnstest.Addrs("127.0.0.1"))
				},
			}
			attempts, err := dialRecorded(t, &d, "tcp", "name.test.:"+port)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(attempts), 2)
			assert.Equal(t, redial.DNS, attempts[0].Class)
			last := attempts[len(attempts)-1]
			require.NoError(t, last.Err)
			assert.Equal(t, "127.0.0.1:"+port, last.Remote.String())
		})
	}
}

// If the resolver hides a SERVFAIL by asking again, no attempt fails. If the resolver returns the
// failure, the dial is retried. Which of the two happens depends on the machine's resolver
// settings.
func TestDNSFailsOnce(t *testing.T) {
	dnstest.SkipWithout(t)
	port := listenLoopback(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("name.test", dnstest.ServFail, dnstest.Addrs("127.0.0.1"))
	d := redial.Dialer{Dialer: net.Dialer{Resolver: server.Resolver()}, Policy: atOnce()}
	attempts, err := dialRecorded(t, &d, "tcp4", "name.test.:"+port) // tcp4: the resolver asks for A only
	require.NoError(t, err)
	assert.Equal(t, 2, server.Asked("name.test"))
	assert.LessOrEqual(t, len(attempts), 2)
	for _, a := range attempts[:len(attempts)-1] {
		assert.Equal(t, redial.DNS, a.Class)
	}
}

// A service moves to another address while it is dialed. The next attempt dials the new address.
func TestDNSResolvesAnew(t *testing.T) {
	dnstest.SkipWithout(t)
	old, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("this machine has no loopback address but 127.0.0.1: %v", err)
	}
	require.NoError(t, old.Close())
	port := listenLoopback(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("moving.test", dnstest.Addrs("127.0.0.2"))
	const atOldAddress = 3
	d := redial.Dialer{
		Dialer: net.Dialer{Resolver: server.Resolver()},
		Policy: atOnce(),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Number == atOldAddress {
				server.Set("moving.test", dnstest.Addrs("127.0.0.1"))
			}
		},
	}
	attempts, err := dialRecorded(t, &d, "tcp4", "moving.test.:"+port)
	require.NoError(t, err)
	require.Len(t, attempts, atOldAddress+1)
	for _, a := range attempts[:atOldAddress] {
		assert.Equal(t, redial.Refused, a.Class, "%v", a.Err)
	}
	assert.Equal(t, "127.0.0.1:"+port, attempts[atOldAddress].Remote.String())
	assert.Equal(t, len(attempts), server.Asked("moving.test"), "one query per attempt")
}

// A resolver dials the DNS server with a Dialer of its own. The outer Dialer retries, so the inner
// one must not, even if its policy says so.
func TestDNSNestedDialer(t *testing.T) {
	dnstest.SkipWithout(t)
	port := listenLoopback(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("name.test", dnstest.Addrs("127.0.0.1"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := listener.Addr().String()
	require.NoError(t, listener.Close())

	var (
		target        atomic.Value // the address of the DNS server
		calls, nested atomic.Int32
	)
	target.Store(gone)
	inner := redial.Dialer{
		Policy: atOnce(),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			nested.Add(1)
			assert.Equal(t, 1, a.Number)
			assert.NotEqual(t, a.Err == nil, a.Stop != 0)
		},
	}
	d := redial.Dialer{
		Dialer: net.Dialer{Resolver: dnstest.ResolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
			calls.Add(1)
			return inner.DialContext(ctx, "tcp", target.Load().(string))
		})},
		Policy: atOnce(),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Number == 2 {
				target.Store(server.Addr)
			}
		},
	}
	attempts, err := dialRecorded(t, &d, "tcp", "name.test.:"+port)
	require.NoError(t, err)
	require.Len(t, attempts, 3)
	for _, a := range attempts[:2] {
		assert.Equal(t, redial.DNS, a.Class, "%v", a.Err)
	}
	assert.Equal(t, calls.Load(), nested.Load(), "one attempt per call")
	assert.NotZero(t, server.Asked("name.test"))
}

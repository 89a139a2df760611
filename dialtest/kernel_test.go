//go:build unix || windows

package dialtest_test

// These tests make the same dial with a script and with the real system. Both errors must be the
// same tree, with the same fields.

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// assertAsReal makes the same dial twice: by dialer, which must fail, and by a script of o. It
// checks that the errors are equal.
func assertAsReal(t *testing.T, ctx context.Context, dialer *net.Dialer, o dialtest.Outcome, network, address string) {
	t.Helper()
	_, real := dialer.DialContext(ctx, network, address)
	_, scripted := dialtest.Script(o).DialContext(ctx, network, address)
	require.Error(t, real)
	assert.Equal(t, real, scripted)
	assert.Equal(t, real.Error(), scripted.Error())
}

func TestRefuseAsReal(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			address := testutil.RefusingAddress(t, network)
			assertAsReal(t, t.Context(), new(net.Dialer), dialtest.Refuse, network, address)
			assertAsReal(t, t.Context(), new(net.Dialer), dialtest.Refuse, "tcp", address)
		})
	}
}

// Package net rejects these dials before it sends anything, so they take no outcome from the
// script.
func TestMalformedAsReal(t *testing.T) {
	for _, test := range []struct{ network, address string }{
		{"tcp", ""},
		{"tcp", "db"},
		{"tcp", "[::1:5432"},
		{"tcp", "127.0.0.1:65536"},
		{"tcp", "127.0.0.1:no-such-service"},
		{"tcp4", "[::1]:5432"},
		{"udp6", "127.0.0.1:53"},
		{"tcp7", "127.0.0.1:5432"},
		{"unix", ""},
		{"", "127.0.0.1:5432"},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			script := dialtest.Script(dialtest.OK)
			_, real := net.Dial(test.network, test.address)
			_, scripted := script.DialContext(t.Context(), test.network, test.address)
			require.Error(t, real)
			assert.Equal(t, real, scripted)

			_, err := script.DialContext(t.Context(), "tcp", "db:5432")
			assert.NoError(t, err, "the outcome is still in the script")
			assert.Len(t, script.Dials(), 2)
		})
	}
}

// A dial whose context is over before it begins takes no outcome either.
func TestContextOverAsReal(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{canceled, late} {
		for _, o := range []dialtest.Outcome{dialtest.OK, dialtest.Refuse, dialtest.NXDomain, dialtest.Timeout} {
			assertAsReal(t, ctx, new(net.Dialer), o, "tcp", "127.0.0.1:1")
			assertAsReal(t, ctx, new(net.Dialer), o, "udp", "[::1]:1")
		}
		script := dialtest.Script(dialtest.OK)
		_, err := script.DialContext(ctx, "tcp", "127.0.0.1:1")
		assert.ErrorIs(t, err, ctx.Err())
		_, err = script.DialContext(t.Context(), "tcp", "127.0.0.1:1")
		assert.NoError(t, err)
	}
}

// resolver returns Go's own resolver, with a server that answers every query with rcode (RFC 1035,
// section 4.1.1).
func resolver(t *testing.T, rcode byte) *net.Resolver {
	if runtime.GOOS == "windows" {
		t.Skip("on Windows, the errors come from getaddrinfow")
	}
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	t.Cleanup(func() { server.Close(); <-served })
	go func() {
		defer close(served)
		for query := make([]byte, 1500); ; {
			n, client, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			server.WriteTo(answer(query[:n], rcode), client)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", server.LocalAddr().String())
	}}
}

// answer returns a reply to query with the given rcode and no records.
func answer(query []byte, rcode byte) []byte {
	const header, typeAndClass = 12, 4
	question := strings.IndexByte(string(query[header:]), 0) + 1 + typeAndClass
	reply := append([]byte(nil), query[:header+question]...)
	reply[2] |= 0x80        // a response
	reply[3] = 0x80 | rcode // recursion available
	copy(reply[4:], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	return reply
}

func TestResolverAsReal(t *testing.T) {
	for rcode, o := range map[byte]dialtest.Outcome{3: dialtest.NXDomain, 2: dialtest.ServFail} {
		t.Run(o.String(), func(t *testing.T) {
			dialer := &net.Dialer{Resolver: resolver(t, rcode)}
			_, real := dialer.DialContext(t.Context(), "tcp", "db.test.:5432")
			_, scripted := dialtest.Script(o).DialContext(t.Context(), "tcp", "db.test.:5432")
			var dns *net.DNSError
			require.ErrorAs(t, real, &dns)
			assert.NotEmpty(t, dns.Server)
			dns.Server = "192.0.2.53:53" // the only field that can't be equal
			assert.Equal(t, real, scripted)
		})
	}
}

func TestContextOverWhileResolvingAsReal(t *testing.T) {
	hung := make(chan struct{})
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		<-hung
		return nil, context.Canceled
	}}}
	defer close(hung)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{canceled, late} {
		assertAsReal(t, ctx, dialer, dialtest.Refuse, "tcp", "db.test.:5432")
	}
}

package systest_test

// These tests make dials that package net itself rejects, before it sends a packet.

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// A dial that can never succeed is not retried, and sends no packet.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name, network, address string
		class                  redial.Class
	}{
		{"empty address", "tcp", "", redial.Invalid},
		{"no port", "tcp", "127.0.0.1", redial.Invalid},
		{"host without port", "tcp", "host", redial.Invalid},
		{"port too high", "tcp", "127.0.0.1:99999", redial.Invalid},
		{"negative port", "tcp", "127.0.0.1:-1", redial.Invalid},
		{"unknown service", "tcp", "127.0.0.1:http-nope", redial.Invalid},
		{"unclosed bracket", "tcp", "[::1", redial.Invalid},
		{"too many colons", "tcp", "1.2.3.4:5:6", redial.Invalid},
		{"unknown network", "tcp7", "127.0.0.1:80", redial.Invalid},
		{"unknown unix network", "unixx", "/tmp/socket", redial.Invalid},
		{"empty network", "", "127.0.0.1:80", redial.Invalid},
		{"ip without protocol", "ip", "127.0.0.1", redial.Invalid},
		{"ip of unknown protocol", "ip:nope", "127.0.0.1", redial.Invalid},
		{"IPv4 address on tcp6", "tcp6", "127.0.0.1:80", redial.Invalid},
		{"IPv6 address on tcp4", "tcp4", "[::1]:80", redial.Invalid},
		{"IPv6 address with a zone on tcp4", "tcp4", "[fe80::1%1]:80", redial.Invalid},
		{"IPv4 address on udp6", "udp6", "127.0.0.1:80", redial.Invalid},
		{"IPv6 address on ip4", "ip4:icmp", "::1", redial.Invalid},
		{"octet too high", "tcp", "256.1.1.1:80", redial.Invalid},
		{"octets too many", "tcp", "1.2.3.4.5:80", redial.Invalid},
		{"label too long", "tcp", strings.Repeat("x", 64) + ".test:80", redial.Invalid},
		{"label empty", "tcp", "a..test:80", redial.Invalid},
		{"space in a name", "tcp", "a b.test:80", redial.Invalid},
		{"user in a name", "tcp", "a@b.test:80", redial.Invalid},
		{"URL in brackets", "tcp", "[http://a.test]:80", redial.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := redial.Dialer{Policy: atOnce(), MaxAttempts: 2}
			attempts, err := dialRecorded(t, &d, c.network, c.address)
			require.Error(t, err)
			require.Len(t, attempts, 1, "the dial was retried")
			assert.Equal(t, c.class, attempts[0].Class, "%v", err)
			assert.Equal(t, c.class, redial.Classify(err), "%v", err)
			failed, ok := errors.AsType[*redial.Error](err)
			require.True(t, ok)
			assert.Same(t, attempts[0].Err, failed.Err, "the inner dialer's error, unchanged")
		})
	}
}

// Package net has errors of its own for a LocalAddr that does not fit the address. The error for an
// IP address differs from the error for a host name, but the class of both is invalid.
func TestLocalAddrOfAnotherKind(t *testing.T) {
	v4, v6 := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv6loopback}
	for _, test := range []struct {
		local            net.Addr
		network, address string
	}{
		{v4, "tcp", "[::1]:1"},
		{v6, "tcp", "127.0.0.1:1"},
		{v4, "tcp6", "[::1]:1"},
		{&net.UDPAddr{IP: net.IPv6loopback}, "udp", "127.0.0.1:1"},
		{&net.IPAddr{IP: net.IPv6loopback}, "ip4:icmp", "127.0.0.1"},
		{v4, "udp", "127.0.0.1:1"},
		{&net.UnixAddr{Net: "unix", Name: "p"}, "tcp", "localhost:1"},
		{v4, "unix", "p"},
	} {
		d := redial.Dialer{Dialer: net.Dialer{LocalAddr: test.local}}
		a, err := dialOnce(t, d, test.network, test.address)
		assert.Equal(t, redial.Invalid, a.Class, "%v", err)
		assert.Equal(t, redial.Invalid, redial.Classify(err), "%v", err)
	}
}

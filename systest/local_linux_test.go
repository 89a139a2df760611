package systest_test

// These tests make dials fail because of this machine's own state, in a network namespace: no IPv6
// source address, no free local port, and routes that lead nowhere. The kernel reports
// EADDRNOTAVAIL for the first two alike. Yet the first means that the address is unreachable, and
// the second that ports are exhausted.

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

func TestNoIPv6Source(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		skipWithoutIPv6(t)
		writeSysctl(t, "net/ipv6/conf/all/disable_ipv6", "1") // takes ::1 away
		for _, network := range []string{"tcp", "tcp6", "udp", "ip6:ipv6-icmp"} {
			for _, host := range []string{"::1", "2001:db8::1"} {
				t.Run(network+" "+host, func(t *testing.T) {
					address := net.JoinHostPort(host, "80")
					if network == "ip6:ipv6-icmp" {
						address = host
					}
					a, err := dialOnce(t, redial.Dialer{}, network, address)
					assert.Equal(t, redial.Unreachable, a.Class, "%v", err)
					// This checks the test's set-up, not the library: the error alone looks the
					// same as when ports run out.
					assert.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
					assert.Equal(t, redial.Exhausted, redial.Classify(err))

					d := redial.Dialer{Policy: atOnce(), MaxAttempts: 3}
					attempts, err := dialRecorded(t, &d, network, address)
					assert.Len(t, attempts, 3, "retried, because an address may be added")
					assert.Equal(t, redial.Unreachable, redial.Classify(err), "the dial knew more than its error says")
				})
			}
		}
	})
}

func TestPortsUsedUp(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		writeSysctl(t, "net/ipv4/ip_local_port_range", "40000 40001") // for IPv6 too
		const listenerPort = "50000"
		for _, c := range []struct {
			name, network, host string
			withoutUDP          bool // no free UDP port, which a Dialer needs to look for an IPv6 source address
		}{
			{name: "IPv4", network: "tcp4", host: "127.0.0.1"},
			{name: "IPv6", network: "tcp6", host: "::1"},
			{name: "IPv6 and no UDP port either", network: "tcp6", host: "::1", withoutUDP: true},
			{name: "UDP on IPv4", network: "udp4", host: "127.0.0.1"},
			{name: "UDP on IPv6", network: "udp6", host: "::1"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if c.host == "::1" {
					skipWithoutIPv6(t)
				}
				address := net.JoinHostPort(c.host, listenerPort)
				if c.network == "tcp4" || c.network == "tcp6" {
					listener, err := net.Listen(c.network, address)
					require.NoError(t, err)
					defer listener.Close()
				}
				if c.withoutUDP {
					defer useUpPorts(t, "udp6", address)()
				}
				defer useUpPorts(t, c.network, address)()

				a, err := dialOnce(t, redial.Dialer{}, c.network, address)
				assert.Equal(t, redial.Exhausted, a.Class, "%v", err)
				assert.Equal(t, redial.Exhausted, redial.Classify(err))

				d := redial.Dialer{Policy: atOnce(), MaxAttempts: 2}
				attempts, err := dialRecorded(t, &d, c.network, address)
				require.Error(t, err)
				assert.Len(t, attempts, 1, "not retried, because retrying frees no ports")
			})
		}
	})
}

func TestRoutes(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		const none = 0
		for _, c := range []struct {
			name  string
			kind  byte
			errno syscall.Errno
			class redial.Class
		}{
			{"no route", none, syscall.ENETUNREACH, redial.Unreachable},
			{"throw", syscall.RTN_THROW, syscall.ENETUNREACH, redial.Unreachable},
			{"unreachable", syscall.RTN_UNREACHABLE, syscall.EHOSTUNREACH, redial.Unreachable},
			{"prohibit", syscall.RTN_PROHIBIT, syscall.EACCES, redial.Denied},
			// A blackhole route reports an error to local programs. See swallow for one that
			// reports nothing.
			{"blackhole", syscall.RTN_BLACKHOLE, syscall.EINVAL, redial.Unreachable},
		} {
			for _, target := range []struct{ name, prefix, address string }{
				{"IPv4", "198.51.100.7/32", "198.51.100.7:80"},
				{"IPv6", "2001:db8::7/128", "[2001:db8::7]:80"},
			} {
				t.Run(c.name+" "+target.name, func(t *testing.T) {
					if target.name == "IPv6" {
						skipWithoutIPv6(t)
					}
					if c.kind != none {
						defer addRoute(t, c.kind, target.prefix)()
					}
					a, err := dialOnce(t, redial.Dialer{}, "tcp", target.address)
					assert.ErrorIs(t, err, c.errno)
					assert.Equal(t, c.class, a.Class, "%v", err)
					assert.Equal(t, c.class, redial.Classify(err))
				})
			}
		}
	})
}

package systest_test

// This machine's own part in a failed dial, in a namespace that can be put
// into every such state: no IPv6 address to speak from, no port left to speak
// from, and routes that lead nowhere. The kernel says EADDRNOTAVAIL of the
// first two alike, yet one is no way there, and the other a lack of ports.

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
					// The state of the test, not of the library: the error
					// alone can't be told from that of ports that ran out.
					assert.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
					assert.Equal(t, redial.Exhausted, redial.Classify(err))

					d := redial.Dialer{Policy: atOnce(), MaxAttempts: 3}
					attempts, err := dialRecorded(t, &d, network, address)
					assert.Len(t, attempts, 3, "an address may come: retried")
					assert.Equal(t, redial.Unreachable, redial.Classify(err), "the dial knew more than its error")
				})
			}
		}
	})
}

func TestPortsUsedUp(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		writeSysctl(t, "net/ipv4/ip_local_port_range", "40000 40001") // of IPv6 too
		const listenerPort = "50000"
		for _, c := range []struct {
			name, network, host string
			withoutUDP          bool // ports, for what a dialer asks the kernel by UDP
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
				assert.Len(t, attempts, 1, "more connects would not give ports back: not retried")
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
			// A route of this kind tells local callers; see swallow for one that tells nobody.
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

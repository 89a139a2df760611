package systest_test

// This test dials from a machine without an IPv6 source address. The kernel reports EADDRNOTAVAIL,
// as it does if no local port is left. Yet the first means that the address is unreachable, and the
// second that ports are exhausted: see hostFaults.

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

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

//go:build !plan9

package dialtest_test

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/dialtest"
)

// Winsock returns the errors that package net returns on Windows, on any system.
func TestWinsock(t *testing.T) {
	errnos := map[string]syscall.Errno{
		"Refuse": 10061, "NoSocket": 10061, "Reset": 10054, "Timeout": 10060, "NoRoute": 10065, "NoNetwork": 10051,
		"Deny": 10013, "NoDescriptors": 10024, "NoPorts": 10049, "NoFamily": 10047,
	}
	for _, test := range outcomes {
		errno, ok := errnos[test.name]
		if !ok {
			continue
		}
		o := test.outcome.After(0)
		for network, address := range map[string]string{"tcp4": "192.0.2.7:5432", "udp": "192.0.2.7:53", "unix": "/run/db.sock"} {
			call := test.call
			if network == "tcp4" && call == "connect" {
				call = "connectex"
			}
			want := &os.SyscallError{Syscall: call, Err: errno}
			assert.Equal(t, want, dial(o.Winsock(), network, address).(*net.OpError).Err, "%v: %s", o, network)
			if runtime.GOOS == "windows" {
				assert.Equal(t, want, dial(o, network, address).(*net.OpError).Err, "%v: %s", o, network)
			} else {
				assert.NotErrorIs(t, dial(o, network, address), errno)
			}
		}
	}
}

// Windows' resolver sets a flag only for a name that does not exist. It names no server.
func TestWinsockResolver(t *testing.T) {
	dnsError := func(o dialtest.Outcome) error { return dial(o, "tcp", "db.test:5432").(*net.OpError).Err }

	assert.Equal(t, &net.DNSError{Err: "no such host", Name: "db.test", IsNotFound: true}, dnsError(dialtest.NXDomain.Winsock()))
	tryAgain := os.NewSyscallError("getaddrinfow", syscall.Errno(11002)).Error()
	assert.Equal(t, &net.DNSError{Err: tryAgain, Name: "db.test"}, dnsError(dialtest.ServFail.Winsock()))
}

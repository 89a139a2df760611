//go:build unix || windows || js

package redial_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// The errnos that WASI has no name for.
func TestClassifyErrnoBeyondWASI(t *testing.T) {
	for errno, want := range map[syscall.Errno]redial.Class{
		syscall.ESHUTDOWN:       redial.Reset,
		syscall.EHOSTDOWN:       redial.Unreachable,
		syscall.EPFNOSUPPORT:    redial.Invalid,
		syscall.ESOCKTNOSUPPORT: redial.Invalid,
		syscall.EOPNOTSUPP:      redial.Invalid,
	} {
		assert.Equal(t, want, redial.Classify(opError("tcp", "socket", errno)), "%v", errno)
	}
}

// Linux: an ICMP message, "source route failed".
func TestClassifyEOPNOTSUPP(t *testing.T) {
	onConnect := redial.Invalid
	if onLinux {
		onConnect = redial.Unreachable
	}
	assert.Equal(t, onConnect, redial.Classify(opError("tcp", "connect", syscall.EOPNOTSUPP)))
	assert.Equal(t, onConnect, redial.Classify(opError("udp6", "connect", syscall.EOPNOTSUPP)))
	assert.Equal(t, redial.Invalid, redial.Classify(opError("unix", "connect", syscall.EOPNOTSUPP)))
	assert.Equal(t, redial.Invalid, redial.Classify(opError("tcp", "setsockopt", syscall.EOPNOTSUPP)))
	assert.Equal(t, redial.Invalid, redial.Classify(syscall.EOPNOTSUPP))
}

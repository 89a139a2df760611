package redial

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/internal/errno"
)

// A value that is not a class counts as Unknown wherever classes are compared.
func TestClassOutOfRangeCountsAsUnknown(t *testing.T) {
	for class := range Class(255) {
		if class < numClasses {
			assert.Equal(t, class, class.known())
			assert.Equal(t, telling[class], class.weight())
			assert.Positive(t, class.weight(), "%v has no weight", class)
		} else {
			assert.Equal(t, Unknown, class.known())
			assert.Equal(t, Unknown.weight(), class.weight())
		}
	}
}

// TestErrorsOfPackageNetAreRecognized checks the two values by which Classify recognizes errors of package
// net. If a Go version changes them, Classify still works, but recognizes less.
func TestErrorsOfPackageNetAreRecognized(t *testing.T) {
	assert.EqualError(t, errMissingAddress(), "missing address")
	assert.Equal(t, "no suitable address found", noSuitableAddress())
}

// Every condition has a class, or a class that depends on the call. This test includes
// conditions that this operating system does not report.
func TestClassOfEveryCondition(t *testing.T) {
	dependsOnCall := map[errno.Condition]bool{errno.WouldBlock: true, errno.ProtocolError: true, errno.FileNotFound: true,
		errno.NotSocket: true, errno.NoDevice: true, errno.NoDeviceOrAddress: true}
	for c := errno.Unknown + 1; c < errno.NumConditions; c++ {
		assert.Equal(t, dependsOnCall[c], classOfCondition[c] == Unknown, "%v", c)
	}
	assert.Equal(t, Unknown, classOfCondition[errno.Unknown])

	for c, want := range map[errno.Condition]Class{
		errno.ShutDown:                   Reset,
		errno.GracefulDisconnect:         Reset,
		errno.HostDown:                   Unreachable,
		errno.HostIsolated:               Unreachable,
		errno.ProtocolUnreachable:        Unreachable,
		errno.SourceRouteFailed:          Unreachable,
		errno.NotCapable:                 Denied,
		errno.CapabilityMode:             Denied,
		errno.TooManyProcesses:           Exhausted,
		errno.NoFreeDevice:               Exhausted,
		errno.ProtocolFamilyNotSupported: Invalid,
		errno.SocketTypeNotSupported:     Invalid,
		errno.HostNotFound:               NotFound,
		errno.NoAddressData:              NotFound,
		errno.TryAgain:                   DNS,
		errno.NoRecovery:                 DNS,
	} {
		assert.Equal(t, want, place{}.classOf(c, true), "%v", c)
		assert.Equal(t, want, place{}.classOf(c, false), "%v", c)
	}
}

// On Linux, connect returns these conditions for an unreachable target. On other systems
// they mean an invalid call.
func TestConnectMeansMoreOnLinux(t *testing.T) {
	connect := place{&net.OpError{Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}}, "connect"}
	for c, elsewhere := range map[errno.Condition]Class{
		errno.InvalidArgument: Invalid,
		errno.NotSupported:    Invalid,
	} {
		assert.Equal(t, Unreachable, connect.classOf(c, true), "%v", c)
		assert.Equal(t, elsewhere, connect.classOf(c, false), "%v", c)
	}
}

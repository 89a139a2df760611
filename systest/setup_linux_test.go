package systest_test

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// Each dial is set up in a way that can't work on this machine. The kernel's errno has the right
// class.
func TestKernelSetUp(t *testing.T) {
	bindToDevice := func(device string) func(_, _ string, conn syscall.RawConn) error {
		return func(_, _ string, conn syscall.RawConn) (err error) {
			controlErr := conn.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), device) })
			if controlErr != nil {
				return controlErr
			}
			return err
		}
	}
	// All these dials fail before they connect, so the ports do not matter.
	for _, c := range []struct {
		name, network, address string
		class                  redial.Class
		errno                  syscall.Errno
		dialer                 net.Dialer
	}{
		{"device that is not there", "tcp", "127.0.0.1:1", redial.Invalid, syscall.ENODEV,
			net.Dialer{Control: bindToDevice("redial-none")}},
		{"device name too long", "tcp", "127.0.0.1:1", redial.Invalid, syscall.ENODEV,
			net.Dialer{Control: bindToDevice(strings.Repeat("x", 20))}},
		{"LocalAddr with a zone that is not there", "tcp", "[::1]:1", redial.Invalid, syscall.ENODEV,
			net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "2147483647"}}},
		{"LocalAddr without a zone", "tcp", "[::1]:1", redial.Invalid, syscall.EINVAL,
			net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("fe80::1")}}},
		{"LocalAddr in a directory that is not there", "unixgram", "/tmp/redial-none", redial.Invalid, syscall.ENOENT,
			net.Dialer{LocalAddr: &net.UnixAddr{Net: "unixgram", Name: filepath.Join(t.TempDir(), "none", "socket")}}},
		{"link-local address without a zone", "tcp", "[fe80::1]:1", redial.Invalid, syscall.EINVAL, net.Dialer{}},
		{"multicast address without a zone", "udp", "[ff02::1]:1", redial.Invalid, syscall.EINVAL, net.Dialer{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.address, "[") {
				skipWithoutIPv6(t)
			}
			a, err := dialOnce(t, redial.Dialer{Dialer: c.dialer}, c.network, c.address)
			assert.ErrorIs(t, err, c.errno)
			assert.Equal(t, c.class, a.Class, "%v", err)
			assert.Equal(t, c.class, redial.Classify(err))
		})
	}
}

// The network interface that a socket is bound to disappears before the socket connects, as a VPN's
// interface may.
func TestKernelDeviceGone(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		a, err := dialOnce(t, redial.Dialer{Dialer: net.Dialer{Control: func(_, _ string, conn syscall.RawConn) (err error) {
			remove := addDevice(t, "redial0")
			defer remove()
			controlErr := conn.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), "redial0") })
			require.NoError(t, controlErr)
			return err
		}}}, "tcp4", "192.0.2.1:80")
		assert.ErrorIs(t, err, syscall.ENODEV)
		assert.Equal(t, redial.Unreachable, a.Class, "%v", err)
		assert.Equal(t, redial.Unreachable, redial.Classify(err))
	})
}

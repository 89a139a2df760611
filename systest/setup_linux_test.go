package systest_test

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-33f8b841/redial"
)

// setUpFaults can't ever work on this machine. All these dials fail before they connect, so the ports do
// not matter.
var setUpFaults = []fault{
	setUpFault("device that is not there", syscall.ENODEV, "tcp", "127.0.0.1:1", net.Dialer{Control: bindToDevice("redial-none")}),
	setUpFault("device name too long", syscall.ENODEV, "tcp", "127.0.0.1:1", net.Dialer{Control: bindToDevice(strings.Repeat("x", 20))}),
	setUpFault("LocalAddr with a zone that is not there", syscall.ENODEV, "tcp", "[::1]:1",
		net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "2147483647"}}),
	setUpFault("LocalAddr without a zone", syscall.EINVAL, "tcp", "[::1]:1", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("fe80::1")}}),
	setUpFault("LocalAddr in a directory that is not there", syscall.ENOENT, "unixgram", "/tmp/redial-none",
		net.Dialer{LocalAddr: &net.UnixAddr{Net: "unixgram", Name: "/redial-none/socket"}}),
	setUpFault("LocalAddr of the other family", nil, "tcp", "[::1]:1", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}),
	setUpFault("link-local address without a zone", syscall.EINVAL, "tcp", "[fe80::1]:1", net.Dialer{}),
	setUpFault("multicast address without a zone", syscall.EINVAL, "udp", "[ff02::1]:1", net.Dialer{}),
	setUpFault("port that is too high", nil, "tcp", "127.0.0.1:65536", net.Dialer{}),
	setUpFault("service that nobody knows", nil, "tcp", "127.0.0.1:no-such-service", net.Dialer{}),
	setUpFault("network that does not exist", nil, "tcp5", "127.0.0.1:1", net.Dialer{}),
}

func setUpFault(cause string, errno error, network, address string, dialer net.Dialer) fault {
	return fault{class: redial.Invalid, cause: cause, errno: errno, begin: func(t *testing.T, d *faultyDial) func() {
		if strings.HasPrefix(address, "[") {
			skipWithoutIPv6(t)
		}
		d.network, d.address, d.Dialer.Dialer = network, address, dialer
		return nil
	}}
}

func bindToDevice(device string) func(_, _ string, conn syscall.RawConn) error {
	return func(_, _ string, conn syscall.RawConn) (err error) {
		controlErr := conn.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), device) })
		if controlErr != nil {
			return controlErr
		}
		return err
	}
}

func TestFaultSetUp(t *testing.T) {
	testFaults(t, setUpFaults)
}

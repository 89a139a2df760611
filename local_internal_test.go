package redial

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/internal/errno"
)

func TestIsConnect(t *testing.T) {
	for call, want := range map[string]bool{"connect": true, "connectex": true, "bind": false, "": false} {
		assert.Equal(t, want, isConnect(&os.SyscallError{Syscall: call}), call)
	}
}

func TestAsUDPAddr(t *testing.T) {
	ip := net.ParseIP("fe80::1")
	for _, addr := range []net.Addr{&net.TCPAddr{IP: ip, Port: 80, Zone: "eth0"}, &net.UDPAddr{IP: ip, Port: 80, Zone: "eth0"}, &net.IPAddr{IP: ip, Zone: "eth0"}} {
		udp := asUDPAddr(addr)
		assert.Equal(t, ip, udp.IP)
		assert.Equal(t, "eth0", udp.Zone)
		assert.NotZero(t, udp.Port, "connect to port 0 fails on some systems")
	}
	assert.Nil(t, asUDPAddr(&net.UnixAddr{Name: "/s"}))
	assert.Nil(t, asUDPAddr(nil))
}

// Only a connect to an IPv6 address can lack an IPv6 address to send from.
func TestLacksIPv6Source(t *testing.T) {
	unavailable := errno.AddressNotAvailable.Err()
	to := func(addr net.Addr, err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: err}
	}
	v4 := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	for name, err := range map[string]error{
		"IPv4":           to(v4, os.NewSyscallError("connect", unavailable)),
		"no address":     to(nil, os.NewSyscallError("connect", unavailable)),
		"a unix socket":  to(&net.UnixAddr{Name: "/s"}, os.NewSyscallError("connect", unavailable)),
		"no system call": to(v4, unavailable),
		"no operation":   os.NewSyscallError("connect", unavailable),
		"another errno":  to(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80}, os.NewSyscallError("connect", errnoRefused)),
	} {
		assert.False(t, lacksIPv6Source(err), name)
	}
}

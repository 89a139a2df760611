package systest_test

// A test that needs a network of its own runs in a child process with its own namespaces
// (namespaces(7)). There, the only network interface is the loopback interface. Names are resolved
// by the files and the DNS server that the test sets up. The test adds addresses and routes by
// rtnetlink(7). It needs no other program, and changes nothing outside its namespaces.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// inNamespace is inChild in network and mount namespaces of its own. The loopback interface is up
// and the only one, with 127.0.0.1/8 and, if the kernel supports IPv6, ::1. Names are resolved by
// /etc/hosts, which has localhost, and by a DNS server at 127.0.0.1:53, if body starts one. The
// resolver asks the server once, and waits one second for the answer.
//
// Only root may create namespaces. For other users t is skipped.
func inNamespace(t *testing.T, env []string, body func(t *testing.T)) {
	t.Helper()
	attr := &syscall.SysProcAttr{
		// These are not Cloneflags, because package syscall makes the mounts private only with
		// Unshareflags.
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
	}
	startChild(t, env, attr, func(t *testing.T) {
		mountEtc(t)
		loopbackUp(t)
		body(t)
	})
}

// mountEtc mounts an /etc over the machine's, with only the files that a resolver reads. One mount
// hides all of the machine's files. It also works where these files are symbolic links or do not
// exist.
func mountEtc(t *testing.T) {
	t.Helper()
	err := syscall.Mount("tmpfs", "/etc", "tmpfs", 0, "mode=0755")
	require.NoError(t, err, "mount a tmpfs at /etc")
	for name, content := range map[string]string{
		"hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"nsswitch.conf": "hosts: files dns\n",
		"resolv.conf":   "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
	} {
		writeEtc(t, name, content)
	}
}

// writeEtc writes a file of the namespace's /etc.
func writeEtc(t *testing.T, name, content string) {
	t.Helper()
	err := os.WriteFile(filepath.Join("/etc", name), []byte(content), 0o644)
	require.NoError(t, err)
}

// writeSysctl sets a sysctl of the namespace, such as "net/ipv4/ip_local_port_range".
func writeSysctl(t *testing.T, name, value string) {
	t.Helper()
	err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
	if errors.Is(err, syscall.EROFS) {
		t.Skipf("/proc/sys is read-only, as in many containers: %v", err)
	}
	require.NoError(t, err)
}

// skipWithoutIPv6 skips t if the loopback interface has no IPv6 address.
func skipWithoutIPv6(t *testing.T) {
	t.Helper()
	if err := listenIPv6(); err != nil {
		t.Skipf("this machine has no ::1: %v", err)
	}
}

func hasIPv6() bool { return listenIPv6() == nil }

func listenIPv6() error {
	conn, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		return err
	}
	return conn.Close()
}

// loopbackIndex is the index of the loopback interface in every network namespace.
const loopbackIndex = 1

// loopbackUp brings the loopback interface up. The kernel then adds its addresses.
func loopbackUp(t *testing.T) {
	t.Helper()
	setFlags(t, loopbackIndex, syscall.IFF_UP)
}

// loopbackDown brings the loopback interface down. The kernel then removes its IPv6 addresses.
func loopbackDown(t *testing.T) {
	t.Helper()
	setFlags(t, loopbackIndex, 0)
}

// setFlags brings a network interface up or down: flags is syscall.IFF_UP or 0.
func setFlags(t *testing.T, index int, flags uint32) {
	t.Helper()
	var link []byte // struct ifinfomsg
	link = append(link, syscall.AF_UNSPEC, 0)
	link = binary.NativeEndian.AppendUint16(link, 0)
	link = binary.NativeEndian.AppendUint32(link, uint32(index))
	link = binary.NativeEndian.AppendUint32(link, flags)          // the new flags
	link = binary.NativeEndian.AppendUint32(link, syscall.IFF_UP) // the flags to change
	require.NoError(t, rtnetlink(syscall.RTM_NEWLINK, 0, link))
}

// addAddress adds an address to the loopback interface, such as "192.0.2.1/32".
func addAddress(t *testing.T, prefix string) {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	const (
		ifaFlags    = 8            // IFA_FLAGS; package syscall lacks this constant and the next
		ifaFlagsSet = 0x02 | 0x200 // IFA_F_NODAD | IFA_F_NOPREFIXROUTE: only a route to the address itself
	)
	var addr []byte // struct ifaddrmsg
	addr = append(addr, familyOf(p.Addr()), byte(p.Bits()), 0, syscall.RT_SCOPE_UNIVERSE)
	addr = binary.NativeEndian.AppendUint32(addr, loopbackIndex)
	err := rtnetlink(syscall.RTM_NEWADDR, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, addr,
		attribute{syscall.IFA_LOCAL, p.Addr().AsSlice()},
		attribute{syscall.IFA_ADDRESS, p.Addr().AsSlice()},
		attribute{ifaFlags, binary.NativeEndian.AppendUint32(nil, ifaFlagsSet)})
	require.NoErrorf(t, err, "add address %v", p)
	// For IPv6, the kernel answers before it has added the route to the address. Connecting a UDP
	// socket looks up the route without sending anything.
	own := p.Addr()
	if own.IsLinkLocalUnicast() {
		own = own.WithZone("lo")
	}
	require.Eventually(t, func() bool {
		conn, err := net.Dial("udp", netip.AddrPortFrom(own, 9).String())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 10*time.Second, time.Millisecond, "there is no route to address %v", p)
}

// addRoute adds a route to prefix, of a kind that carries no packets: syscall.RTN_BLACKHOLE,
// RTN_UNREACHABLE, RTN_PROHIBIT or RTN_THROW. A connect that would use the route fails at once. See
// swallow for a route that makes connects time out. The caller may call remove to remove the route.
func addRoute(t *testing.T, kind byte, prefix string) (remove func()) {
	t.Helper()
	err := changeRoute(syscall.RTM_NEWROUTE, kind, syscall.RT_SCOPE_UNIVERSE, prefix)
	require.NoErrorf(t, err, "add route of kind %d to %v", kind, prefix)
	return func() {
		t.Helper()
		err := changeRoute(syscall.RTM_DELROUTE, kind, syscall.RT_SCOPE_UNIVERSE, prefix)
		require.NoErrorf(t, err, "remove route of kind %d to %v", kind, prefix)
	}
}

// swallow makes packets to prefix vanish without an answer, as a firewall does. The packets leave
// by the loopback interface, and come back with a destination that is not an address of this
// machine.
func swallow(t *testing.T, prefix string) { routeThrough(t, loopbackIndex, prefix) }

// routeThrough makes packets to prefix leave by the network interface with that index. The caller
// may call remove to remove the route.
func routeThrough(t *testing.T, index int, prefix string) (remove func()) {
	t.Helper()
	through := attribute{syscall.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index))}
	err := changeRoute(syscall.RTM_NEWROUTE, syscall.RTN_UNICAST, syscall.RT_SCOPE_LINK, prefix, through)
	require.NoErrorf(t, err, "add route to %v through interface %d", prefix, index)
	return func() {
		t.Helper()
		err := changeRoute(syscall.RTM_DELROUTE, syscall.RTN_UNICAST, syscall.RT_SCOPE_LINK, prefix, through)
		require.NoErrorf(t, err, "remove route to %v through interface %d", prefix, index)
	}
}

// addLocalRoute makes every address of prefix an address of this machine. Routes that addRoute adds for
// a part of prefix come first.
func addLocalRoute(t *testing.T, prefix string) {
	t.Helper()
	err := changeRoute(syscall.RTM_NEWROUTE, syscall.RTN_LOCAL, syscall.RT_SCOPE_HOST, prefix,
		attribute{syscall.RTA_OIF, binary.NativeEndian.AppendUint32(nil, loopbackIndex)})
	require.NoErrorf(t, err, "add local route to %v", prefix)
}

// changeRoute adds a route to the main table, or removes a route from it.
func changeRoute(request uint16, kind, scope byte, prefix string, attributes ...attribute) error {
	p := netip.MustParsePrefix(prefix)
	const tos = 0
	var route []byte // struct rtmsg
	route = append(route, familyOf(p.Addr()), byte(p.Bits()), 0, tos)
	route = append(route, syscall.RT_TABLE_MAIN, syscall.RTPROT_STATIC, scope, kind)
	route = binary.NativeEndian.AppendUint32(route, 0) // no flags
	attributes = append(attributes, attribute{syscall.RTA_DST, p.Addr().AsSlice()})
	var flags uint16
	if request == syscall.RTM_NEWROUTE {
		flags = syscall.NLM_F_CREATE | syscall.NLM_F_EXCL
	}
	return rtnetlink(request, flags, route, attributes...)
}

// addDevice creates a network interface, which exists until remove is called.
func addDevice(t *testing.T, name string) (remove func()) {
	t.Helper()
	tun := openTUN(t, name)
	return func() { tun.Close() }
}

// openTUN creates a network interface, which exists until the file is closed. The packets that
// leave by the interface are read from the file, and packets written to the file arrive.
func openTUN(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("this machine has no tun device: %v", err)
	}
	var request struct { // ifreq
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = syscall.IFF_TUN | syscall.IFF_NO_PI
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		syscall.Close(fd)
		t.Skipf("this machine does not let the test create a tun device: %v", errno)
	}
	return os.NewFile(uintptr(fd), name)
}

func familyOf(addr netip.Addr) byte {
	if addr.Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

// An attribute follows the fixed part of a netlink message (struct rtattr).
type attribute struct {
	kind  uint16
	value []byte
}

// rtnetlink sends the kernel a request for a change of the network, and returns the kernel's answer.
func rtnetlink(kind, flags uint16, body []byte, attributes ...attribute) error {
	return netlink(syscall.NETLINK_ROUTE, kind, flags, body, attributes...)
}

// netlink sends the kernel a request of a netlink protocol, and returns the kernel's answer.
func netlink(protocol int, kind, flags uint16, body []byte, attributes ...attribute) error {
	for _, a := range attributes {
		body = binary.NativeEndian.AppendUint16(body, uint16(syscall.SizeofRtAttr+len(a.value)))
		body = binary.NativeEndian.AppendUint16(body, a.kind)
		body = append(body, a.value...) // needs no padding: the length of an address or index is a multiple of four
	}
	var request []byte // struct nlmsghdr
	request = binary.NativeEndian.AppendUint32(request, uint32(syscall.SizeofNlMsghdr+len(body)))
	request = binary.NativeEndian.AppendUint16(request, kind)
	request = binary.NativeEndian.AppendUint16(request, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK|flags)
	request = binary.NativeEndian.AppendUint32(request, 1) // sequence number
	request = binary.NativeEndian.AppendUint32(request, 0) // port: the kernel fills it in
	request = append(request, body...)

	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, protocol)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer[:n])
	if err != nil || len(messages) == 0 || messages[0].Header.Type != syscall.NLMSG_ERROR || len(messages[0].Data) < 4 {
		return fmt.Errorf("no answer to a netlink request: %v %v", messages, err)
	}
	if errno := -int32(binary.NativeEndian.Uint32(messages[0].Data)); errno != 0 {
		return os.NewSyscallError("netlink", syscall.Errno(errno))
	}
	return nil
}

// A namespace has the properties that the other tests rely on, and does not change anything
// outside.
func TestNamespace(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) {
		interfaces, err := net.Interfaces()
		require.NoError(t, err)
		require.Len(t, interfaces, 1)
		assert.Equal(t, "lo", interfaces[0].Name)
		assert.NotZero(t, interfaces[0].Flags&net.FlagUp)
		entries, err := os.ReadDir("/etc")
		require.NoError(t, err)
		assert.Len(t, entries, 3)

		for _, c := range []struct{ name, own, ownPort, swallowed, target string }{
			{"IPv4", "192.0.2.1/32", "192.0.2.1:80", "198.51.100.0/24", "198.51.100.7:80"},
			{"IPv6", "2001:db8:1::1/128", "[2001:db8:1::1]:80", "2001:db8:2::/64", "[2001:db8:2::7]:80"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if c.name == "IPv6" {
					skipWithoutIPv6(t)
				}
				addAddress(t, c.own)
				a, err := dialOnce(t, redial.Dialer{}, "tcp", c.ownPort)
				assert.Equal(t, redial.Refused, a.Class, "%v", err)

				swallow(t, c.swallowed)
				d := redial.Dialer{Dialer: net.Dialer{Timeout: 50 * time.Millisecond}}
				a, err = dialOnce(t, d, "tcp", c.target)
				assert.Equal(t, redial.Timeout, a.Class, "%v", err)
				assert.Equal(t, redial.Timeout, redial.Classify(err))
			})
		}
	})
	if os.Getenv(childVariable) == "" {
		entries, err := os.ReadDir("/etc")
		require.NoError(t, err)
		assert.Greater(t, len(entries), 3, "the namespace hides the machine's own /etc")
	}
}

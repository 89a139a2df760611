package systest_test

// These faults are in the machine itself: servers, interfaces, ports, descriptors and rights.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// serverFaults are in a server's socket, each in one of its own.
var serverFaults = []fault{
	{class: redial.Refused, cause: "nothing listens until the server starts", errno: syscall.ECONNREFUSED,
		begin: func(t *testing.T, d *faultyDial) func() { return func() { listenAt(t, d) } }},
	{class: redial.Refused, cause: "the dial connects to itself", errno: syscall.ECONNREFUSED,
		begin: func(t *testing.T, d *faultyDial) func() {
			local, err := net.ResolveTCPAddr("tcp", d.address)
			require.NoError(t, err)
			d.LocalAddr = local
			return nil // no server can have the port
		}},
	{class: redial.Timeout, cause: "full accept queue until the server accepts",
		begin: func(t *testing.T, d *faultyDial) func() {
			fd := listenFullAt(t, d)
			d.Timeout = silent
			return func() { acceptAll(t, fd) }
		}},
	{class: redial.Timeout, cause: "the kernel gives up on an address that is silent", errno: syscall.ETIMEDOUT,
		begin: func(t *testing.T, d *faultyDial) func() {
			fd := listenFullAt(t, d)
			d.Control = func(_, _ string, conn syscall.RawConn) (err error) {
				controlErr := conn.Control(func(fd uintptr) {
					const userTimeout = 18 // TCP_USER_TIMEOUT, in ms; the kernel looks at it when it is about to send another SYN
					err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, 100)
				})
				require.NoError(t, controlErr)
				return err
			}
			return func() { acceptAll(t, fd) }
		}},
	{class: redial.Reset, cause: "an administrator ends the connection", errno: syscall.ECONNABORTED,
		begin: func(t *testing.T, d *faultyDial) func() {
			testutil.Listen(t, "tcp", d.address, testutil.Echo)
			var mended atomic.Bool
			d.Verify = func(ctx context.Context, conn net.Conn) error {
				if !mended.Load() {
					destroy(t, conn)
				}
				return echoes(ctx, conn)
			}
			return func() { mended.Store(true) }
		}},
	{class: redial.Refused, cause: "full accept queue of a unix socket until the server accepts", errno: syscall.EAGAIN, only: unix,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unix", testutil.SocketPath(t)
			fd, err := testutil.ListenFull(t, syscall.AF_UNIX, &syscall.SockaddrUnix{Name: d.address}, func(int) (net.Conn, error) {
				return net.Dial("unix", d.address)
			})
			require.ErrorIs(t, err, syscall.EAGAIN)
			return func() { acceptAll(t, fd) }
		}},
	{class: redial.Refused, cause: "a file where the unix socket should be, until the server starts", errno: syscall.ECONNREFUSED, only: unix,
		begin: func(t *testing.T, d *faultyDial) func() { // other systems return ENOTSOCK
			d.network, d.address = "unix", testutil.SocketPath(t)
			require.NoError(t, os.WriteFile(d.address, nil, 0o600))
			return func() {
				require.NoError(t, os.Remove(d.address))
				listenUnix(t, d.address)
			}
		}},
}

// hostFaults change a whole namespace or process, so they run one after the other.
var hostFaults = []fault{
	{class: redial.Timeout, cause: "interface down", only: ipv4,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			d.Timeout = silent
			return interfaceDown(t)
		}},
	{class: redial.Unreachable, cause: "interface down", errno: syscall.EADDRNOTAVAIL, only: ipv6,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			return interfaceDown(t)
		}},
	{class: redial.Unreachable, cause: "no IPv6 source address", errno: syscall.EADDRNOTAVAIL, only: ipv6,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			return withSysctl(t, "net/ipv6/conf/all/disable_ipv6", "1", "0") // takes ::1 away
		}},
	deviceGone(ipv4, syscall.ENODEV),
	deviceGone(ipv6, syscall.ENETUNREACH),

	{class: redial.Exhausted, cause: "ports held by connections", errno: syscall.EADDRNOTAVAIL,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			mend := twoPorts(t)
			t.Cleanup(useUpPorts(t, d.network, d.address))
			return mend
		}},
	{class: redial.Exhausted, cause: "TCP and UDP ports held by connections", errno: syscall.EADDRNOTAVAIL,
		begin: func(t *testing.T, d *faultyDial) func() {
			// A Dialer uses a UDP port to look for an IPv6 source address.
			listenAt(t, d)
			mend := twoPorts(t)
			t.Cleanup(useUpPorts(t, udp(d), d.address))
			t.Cleanup(useUpPorts(t, d.network, d.address))
			return mend
		}},
	{class: redial.Exhausted, cause: "UDP ports held by sockets", errno: syscall.EAGAIN,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network = udp(d)
			mend := twoPorts(t)
			t.Cleanup(useUpPorts(t, d.network, d.address))
			return mend
		}},
	{class: redial.Exhausted, cause: "ports in TIME_WAIT", errno: syscall.EADDRNOTAVAIL,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			mend := twoPorts(t)
			require.NoError(t, connectAndClose(d.network, nil, d.address))
			require.NoError(t, connectAndClose(d.network, nil, d.address))
			return mend
		}},
	{class: redial.Exhausted, cause: "LocalAddr in TIME_WAIT", errno: syscall.EADDRINUSE,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(d.ip.String(), "45000"))
			require.NoError(t, err)
			require.NoError(t, connectAndClose(d.network, local, d.address))
			d.LocalAddr = local
			return func() { local.Port++ }
		}},
	{class: redial.Exhausted, cause: "no descriptor until one is free", errno: syscall.EMFILE,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			return oneDescriptorFrees(t)
		}},
	{class: redial.Exhausted, cause: "no descriptor for a unix socket until one is free", errno: syscall.EMFILE, only: unix,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unix", testutil.SocketPath(t)
			listenUnix(t, d.address)
			return oneDescriptorFrees(t)
		}},
}

// deviceGone returns the fault of a network interface that a socket is bound to and that disappears
// before the socket connects, as a VPN's may.
func deviceGone(only family, errno syscall.Errno) fault {
	return fault{class: redial.Unreachable, cause: "network interface of the socket gone", errno: errno, only: only,
		begin: func(t *testing.T, d *faultyDial) func() {
			listenAt(t, d)
			gone := true
			d.Control = func(network, address string, conn syscall.RawConn) error {
				if !gone {
					return nil
				}
				remove := addDevice(t, "redial1")
				defer remove()
				return bindToDevice("redial1")(network, address, conn)
			}
			return func() { gone = false }
		}}
}

// listenAt starts a TCP server at d's address. The kernel completes connections.
func listenAt(t *testing.T, d *faultyDial) {
	listener, err := net.Listen("tcp", d.address)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
}

// listenFullAt starts a TCP server at d's address whose accept queue is full.
func listenFullAt(t *testing.T, d *faultyDial) (fd int) {
	tcp, err := net.ResolveTCPAddr("tcp", d.address)
	require.NoError(t, err)
	domain, addr := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: tcp.Port, Addr: d.ip.As16()})
	if d.ip.Is4() {
		domain, addr = syscall.AF_INET, &syscall.SockaddrInet4{Port: tcp.Port, Addr: d.ip.As4()}
	}
	fd, full := testutil.ListenFull(t, domain, addr, func(int) (net.Conn, error) {
		return net.DialTimeout("tcp", d.address, silent/2)
	})
	require.Equal(t, redial.Timeout, redial.Classify(full))
	return fd
}

// acceptAll accepts the connections that wait at a listening socket.
func acceptAll(t *testing.T, fd int) {
	require.NoError(t, syscall.SetNonblock(fd, true))
	accepted := 0
	for ; ; accepted++ {
		conn, _, err := syscall.Accept4(fd, syscall.SOCK_CLOEXEC)
		if err == syscall.EAGAIN {
			break
		}
		require.NoError(t, err)
		t.Cleanup(func() { syscall.Close(conn) })
	}
	require.NotZero(t, accepted)
}

// destroy ends a connection as ss(8) does with its option -K (sock_diag(7)).
func destroy(t *testing.T, conn net.Conn) {
	t.Helper()
	local, remote := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	const (
		sockDiag    = 4  // NETLINK_SOCK_DIAG
		sockDestroy = 21 // SOCK_DESTROY
		allStates   = 1<<32 - 1
		noCookie    = 1<<64 - 1
	)
	var request []byte // struct inet_diag_req_v2
	request = append(request, familyOf(local.Addr()), syscall.IPPROTO_TCP, 0, 0)
	request = binary.NativeEndian.AppendUint32(request, allStates)
	request = binary.BigEndian.AppendUint16(request, local.Port())
	request = binary.BigEndian.AppendUint16(request, remote.Port())
	for _, addr := range []netip.Addr{local.Addr(), remote.Addr()} {
		var room [16]byte
		copy(room[:], addr.AsSlice())
		request = append(request, room[:]...)
	}
	request = binary.NativeEndian.AppendUint32(request, 0) // any network interface
	request = binary.NativeEndian.AppendUint64(request, noCookie)
	err := netlink(sockDiag, sockDestroy, 0, request)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOENT) {
		t.Skipf("this kernel does not let anybody end a connection: %v", err)
	}
	require.NoError(t, err)
}

// interfaceDown brings the loopback interface down, and mend brings it up again.
func interfaceDown(t *testing.T) (mend func()) {
	loopbackDown(t)
	return func() { loopbackUp(t) }
}

// twoPorts leaves two local ports for dials, and mend leaves more. Connections in TIME_WAIT keep
// their port.
func twoPorts(t *testing.T) (mend func()) {
	writeSysctl(t, "net/ipv4/tcp_tw_reuse", "0")
	return withSysctl(t, "net/ipv4/ip_local_port_range", "40000 40001", "30000 60000") // for IPv6 too
}

// udp returns the network of UDP sockets with the family of d.
func udp(d *faultyDial) string {
	if d.ip.Is4() {
		return "udp4"
	}
	return "udp6"
}

// withSysctl sets a sysctl, and mend sets it to another value.
func withSysctl(t *testing.T, name, value, mended string) (mend func()) {
	writeSysctl(t, name, value)
	return func() { writeSysctl(t, name, mended) }
}

// connectAndClose leaves a connection from local in TIME_WAIT. The side that closes first has it.
func connectAndClose(network string, local *net.TCPAddr, address string) error {
	var d net.Dialer
	if local != nil {
		d.LocalAddr = local
	}
	conn, err := d.Dial(network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// oneDescriptorFrees leaves no descriptor, and mend leaves one. One is enough for a dial to an IP
// address or a path: the library itself needs none.
func oneDescriptorFrees(t *testing.T) (mend func()) {
	restore := leaveDescriptors(t, 0)
	t.Cleanup(func() { restore() })
	return func() {
		restore()
		restore = leaveDescriptors(t, 1)
	}
}

func TestFaultServer(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) { testHostFaults(t, serverFaults, (*testing.T).Parallel) })
}

func TestFaultHost(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) { testHostFaults(t, hostFaults, func(*testing.T) {}) })
}

// testHostFaults runs the subtests of faults, each with a port of its own. It first calls before with
// each subtest.
func testHostFaults(t *testing.T, faults []fault, before func(t *testing.T)) {
	port := 7000
	for _, f := range faults {
		for _, family := range []family{ipv4, ipv6, unix} {
			if (f.only != "" || family == unix) && f.only != family {
				continue
			}
			port++
			address := fmt.Sprint("127.0.0.1:", port)
			if family == ipv6 {
				address = fmt.Sprint("[::1]:", port)
			}
			t.Run(f.String()+"/"+string(family), func(t *testing.T) {
				if family == ipv6 {
					skipWithoutIPv6(t)
				}
				before(t)
				f.test(t, faultyDial{network: "tcp", address: address, ip: netip.MustParseAddrPort(address).Addr()})
			})
		}
	}
}

// deniedFaults are rights that a process lacks. Root has them all, so each runs on a thread that has
// given up its rights.
var deniedFaults = []fault{
	{class: redial.Denied, cause: "unix socket of others", errno: syscall.EACCES,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unix", testutil.SocketPath(t)
			listenUnix(t, d.address)
			require.NoError(t, os.Chmod(filepath.Dir(d.address), 0o755))
			require.NoError(t, os.Chmod(d.address, 0o600))
			const nobody = 65534
			syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
			return func() { syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0) }
		}},
	{class: redial.Denied, cause: "directory of a unix socket of others", errno: syscall.EACCES,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "unix", testutil.SocketPath(t)
			listenUnix(t, d.address)
			require.NoError(t, os.Chmod(d.address, 0o666))
			const nobody = 65534
			syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
			return func() { syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0) }
		}},
	{class: redial.Denied, cause: "LocalAddr with a privileged port", errno: syscall.EACCES,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", listening(t)
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 79}
			dropCapabilities(t)
			return func() { d.LocalAddr = nil }
		}},
	{class: redial.Denied, cause: "raw socket", errno: syscall.EPERM,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "ip4:icmp", "127.0.0.1"
			dropCapabilities(t)
			return nil
		}},
	{class: redial.Denied, cause: "socket option of root", errno: syscall.EPERM,
		begin: func(t *testing.T, d *faultyDial) func() {
			d.network, d.address = "tcp", listening(t)
			d.Control = func(_, _ string, conn syscall.RawConn) (err error) {
				controlErr := conn.Control(func(fd uintptr) {
					err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_MARK, 1))
				})
				require.NoError(t, controlErr)
				return err
			}
			dropCapabilities(t)
			return func() { d.Control = nil }
		}},
}

// dropCapabilities takes all rights of root from the calling thread (capset(2)).
func dropCapabilities(t *testing.T) {
	header := struct {
		version uint32
		pid     int32
	}{version: 0x20080522}
	var none [2]struct{ effective, permitted, inheritable uint32 }
	_, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	require.Zero(t, errno)
}

func TestFaultDenied(t *testing.T) {
	inNamespace(t, nil, func(t *testing.T) { // because some machines let everybody use all ports
		for _, f := range deniedFaults {
			t.Run(f.String(), func(t *testing.T) {
				runtime.LockOSThread() // never unlocked, so that the thread, which has lost its rights, ends with the subtest
				f.test(t, faultyDial{})
			})
		}
		assert.Zero(t, os.Geteuid())
	})
}

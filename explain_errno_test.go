//go:build !plan9

package redial_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// connectError is net.Dialer's of a connect to that address.
func connectError(address string, errno syscall.Errno) error {
	return opDial(address, os.NewSyscallError("connect", errno))
}

// failedAt is the dial of a name whose addresses came to those results in its
// last attempt, each after a second.
func failedAt(address string, class redial.Class, attempts int, results ...redial.AddrResult) *redial.Error {
	e := &redial.Error{Network: "tcp", Address: address, Attempts: attempts, Elapsed: time.Duration(attempts) * 1500 * time.Millisecond,
		Class: class, Stop: redial.ErrMaxAttempts}
	for _, r := range results {
		if r.Class == class && e.Err == nil {
			e.Err = r.Err
		}
	}
	for i := range attempts {
		e.History = append(e.History, redial.Attempt{Network: "tcp", Address: address, Number: i + 1, Duration: time.Second,
			Addrs: results, Err: e.Err, Class: class})
	}
	return e
}

func result(address string, class redial.Class, err error) redial.AddrResult {
	return redial.AddrResult{Addr: netip.MustParseAddrPort(address), Duration: time.Second, Err: err, Class: class}
}

func refusedAt(address string) redial.AddrResult {
	return result(address, redial.Refused, connectError(address, syscall.ECONNREFUSED))
}

func silentAt(address string) redial.AddrResult {
	return result(address, redial.Timeout, opDial(address, os.ErrDeadlineExceeded))
}

func noRouteTo(address string) redial.AddrResult {
	return result(address, redial.Unreachable, connectError(address, syscall.ENETUNREACH))
}

// A name's addresses: all alike, or each in its own way.
func TestExplainAddresses(t *testing.T) {
	canceled := result("192.0.2.9:5432", redial.Canceled, connectError("192.0.2.9:5432", 0))
	connected := redial.AddrResult{Addr: netip.MustParseAddrPort("192.0.2.1:443")}
	after := failedAt("db.example:443", redial.Refused, 1, refusedAt("192.0.2.2:443"), silentAt("192.0.2.3:443"), connected)
	after.Class, after.Err = redial.Reset, &net.OpError{Op: "read", Net: "tcp", Addr: net.TCPAddrFromAddrPort(connected.Addr),
		Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	many := []redial.AddrResult{noRouteTo("[2001:db8::1]:80")}
	for i := range 8 {
		many = append(many, silentAt(fmt.Sprintf("192.0.2.%d:80", i+1)))
	}
	silent := failedAt("db.example:443", redial.Timeout, 1, connected)
	silent.Err = context.DeadlineExceeded
	for _, c := range []struct {
		name string
		err  error
	}{
		{"timeout_after_race", silent},
		{"refused_localhost", failedAt("localhost:5432", redial.Refused, 4, refusedAt("[::1]:5432"), refusedAt("127.0.0.1:5432"))},
		{"refused_name", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"))},
		{"refused_all", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"), refusedAt("192.0.2.2:5432"))},
		{"mixed_refused_timeout", failedAt("db.example:5432", redial.Refused, 2, silentAt("[2001:db8::1]:5432"), refusedAt("192.0.2.1:5432"))},
		{"mixed_no_ipv6", failedAt("db.example:5432", redial.Timeout, 1, noRouteTo("[2001:db8::1]:5432"), silentAt("192.0.2.1:5432"))},
		{"mixed_three", failedAt("db.example:5432", redial.Refused, 1, noRouteTo("[2001:db8::1]:5432"), silentAt("192.0.2.1:5432"), refusedAt("192.0.2.2:5432"))},
		{"mixed_many", failedAt("db.example:80", redial.Timeout, 1, many...)},
		{"mixed_one_called_off", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"), canceled)},
		{"reset_after_race", after},
	} {
		t.Run(c.name, func(t *testing.T) {
			assertGolden(t, c.name, c.err)
			assertGolden(t, c.name, &net.OpError{Op: "dial", Net: "tcp", Err: c.err}) // as the dialer returns it
		})
	}
}

// Errnos that it takes an odd machine for, or another system.
func TestExplainErrno(t *testing.T) {
	onUnix := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: "/run/app.sock"}, Err: os.NewSyscallError("connect", errno)}
	}
	localPort := &net.OpError{Op: "dial", Net: "tcp", Source: &net.TCPAddr{Port: 4000}, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"refused_port_zero", connectError("127.0.0.1:0", syscall.ECONNREFUSED)},
		{"refused_udp", &net.OpError{Op: "read", Net: "udp", Addr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}, Err: os.NewSyscallError("read", syscall.ECONNREFUSED)}},
		{"refused_proxy", &url.Error{Op: "Get", URL: "https://db.example/", Err: &net.OpError{Op: "proxyconnect", Net: "tcp", Err: connectError("192.0.2.8:3128", syscall.ECONNREFUSED)}}},
		{"refused_by_client", &url.Error{Op: "Get", URL: "http://db.example/x", Err: connectError("192.0.2.1:80", syscall.ECONNREFUSED)}},
		{"refused_joined", errors.Join(silentAt("192.0.2.2:80").Err, connectError("192.0.2.1:80", syscall.ECONNREFUSED))},
		{"refused_deadline", &redial.Error{Network: "tcp", Address: "192.0.2.1:80", Attempts: 12, Elapsed: 29 * time.Second, Class: redial.Refused,
			Err: connectError("192.0.2.1:80", syscall.ECONNREFUSED), Stop: redial.ErrMaxElapsed,
			History: []redial.Attempt{{Duration: 2 * time.Millisecond}, {Duration: 3 * time.Millisecond}, {Duration: time.Millisecond}, {Duration: time.Millisecond}, {Duration: 5 * time.Millisecond}}}},
		{"refused_abstract", &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: "@app"}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}},
		{"refused_unix_relative", &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: "app.sock"}, Err: os.NewSyscallError("connect", syscall.ENOENT)}},
		{"timeout_unix", onUnix(syscall.ETIMEDOUT)},
		{"unreachable_link_down", connectError("192.0.2.1:80", syscall.ENETDOWN)},
		{"unreachable_no_host_ipv6", connectError("[2001:db8::1]:80", syscall.EHOSTUNREACH)},
		{"denied_firewall", connectError("192.0.2.1:80", syscall.EPERM)},
		{"denied_unix", onUnix(syscall.EACCES)},
		{"denied_socket", &net.OpError{Op: "dial", Net: "ip4:icmp", Addr: &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, Err: os.NewSyscallError("socket", syscall.EPERM)}},
		{"denied_bind", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}},
		{"exhausted_system", connectError("192.0.2.1:80", syscall.ENFILE)},
		{"exhausted_memory", connectError("192.0.2.1:80", syscall.ENOBUFS)},
		{"exhausted_ports_ipv6", connectError("[2001:db8::1]:80", syscall.EADDRNOTAVAIL)},
		{"exhausted_local_port", localPort},
		{"exhausted_other", &redial.Error{Network: "tcp", Address: "192.0.2.1:80", Attempts: 1, Class: redial.Exhausted, Err: errors.New("quota")}},
		{"exhausted_resolver", &redial.Error{Network: "tcp", Address: "db.example:80", Attempts: 1, Class: redial.Exhausted,
			Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true}}}},
		{"invalid_family_missing", connectError("[2001:db8::1]:80", syscall.EAFNOSUPPORT)},
		{"invalid_unix_type", onUnix(syscall.EPROTOTYPE)},
		{"invalid_unix_path", onUnix(syscall.ENOTDIR)},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
}

// The same on every system: Winsock's numbers are explained as POSIX's, and
// the commands are those of the system.
func TestExplainSystems(t *testing.T) {
	for posix, winsock := range map[syscall.Errno]syscall.Errno{
		syscall.ECONNREFUSED:  10061,
		syscall.ENETUNREACH:   10051,
		syscall.EHOSTUNREACH:  10065,
		syscall.ENETDOWN:      10050,
		syscall.EACCES:        10013,
		syscall.EMFILE:        10024,
		syscall.ENOBUFS:       10055,
		syscall.EADDRNOTAVAIL: 10049,
		syscall.EADDRINUSE:    10048,
		syscall.EAFNOSUPPORT:  10047,
	} {
		for _, address := range []string{"127.0.0.1:80", "192.0.2.1:80", "[2001:db8::1]:80"} {
			assert.Equal(t, redial.ExplainOn(connectError(address, posix), "windows"),
				redial.ExplainOn(connectError(address, winsock), "windows"))
		}
	}
	refused := connectError("127.0.0.1:5432", syscall.ECONNREFUSED)
	for goos, command := range map[string]string{
		"linux":   " See: ss -ltnp 'sport = :5432'\n",
		"darwin":  " See: lsof -nP -iTCP:5432 -sTCP:LISTEN\n",
		"windows": " See: netstat -ano | findstr :5432\n",
		"freebsd": " See: netstat -an | grep '[.:]5432 '\n",
	} {
		assert.Contains(t, redial.ExplainOn(refused, goos), command)
	}
	assert.NotContains(t, redial.ExplainOn(refused, "wasip1"), "See:")
	assert.Contains(t, redial.ExplainOn(connectError("192.0.2.1:80", syscall.EHOSTUNREACH), "darwin"), "Local Network")
	assert.Contains(t, redial.ExplainOn(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}, "windows"), "excludedportrange")
}

// With every errno that has a class, on every system: no explanation breaks
// its form.
func TestExplainEveryErrno(t *testing.T) {
	for errno := syscall.Errno(1); errno < 11100; errno++ {
		for _, network := range []string{"tcp", "unix"} {
			for _, call := range []string{"connect", "bind", "socket"} {
				err := opError(network, call, errno)
				if redial.Classify(err) == redial.Unknown {
					continue
				}
				for _, goos := range []string{"linux", "windows", "darwin", "freebsd", "js"} {
					assertForm(t, redial.ExplainOn(err, goos))
				}
			}
		}
	}
}

// An IPv4 address is one, however it comes.
func TestExplainMappedAddress(t *testing.T) {
	err := failedAt("localhost:5432", redial.Refused, 1, refusedAt("[::ffff:127.0.0.1]:5432"))
	assert.Contains(t, redial.Explain(err), "Nothing listens on localhost:5432 (127.0.0.1) on this machine")
}

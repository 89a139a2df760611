package explain

// The golden files in testdata hold the texts. A file's name is the Code of its Advice or, if
// several failures have that Code, the Code, a hyphen and what this failure has besides. Read a text
// as a stranger would: what was observed and the first two checks should lead to the cause. After
// a change,
//
//	go test ./explain -update
//
// rewrites the files; review them with git diff. Explanations of real failures are in package
// systest.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
)

var update = flag.Bool("update", false, "write the golden files anew")

// asserted has the code of each golden file that assertGolden has compared.
var asserted = map[string]string{}

// Each failure has the code that its file says, and the text in it. Every rule explains a failure
// that has a file, so none is shadowed by those above it, and no file is left over.
func TestGolden(t *testing.T) {
	complete := true
	for name, group := range map[string]func(*testing.T){
		"addresses":        testAddresses,
		"conditions":       testConditions,
		"indirect":         testIndirect,
		"names":            testNames,
		"invalid":          testInvalid,
		"impossible names": testImpossibleNames,
		"handshake":        testHandshake,
		"canceled":         testCanceled,
		"unknown":          testUnknown,
		"systems":          testSystems,
	} {
		ran := false
		t.Run(name, func(t *testing.T) {
			ran = true
			group(t)
		})
		complete = complete && ran
	}
	if !complete || runtime.GOOS != "linux" {
		return // -run chose some groups, or other systems skip some failures
	}
	codes := map[string]bool{}
	for _, code := range asserted {
		codes[code] = true
	}
	for class, table := range rules {
		for _, r := range table {
			code := class.String() + "." + r.code
			assert.True(t, codes[code], "no golden file has the code %s", code)
		}
	}
	files, err := filepath.Glob("testdata/*.golden")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".golden")
		if *update && asserted[name] == "" && name != "texts" {
			require.NoError(t, os.Remove(file))
		} else {
			assert.True(t, asserted[name] != "" || name == "texts", "%s is left over", file)
		}
	}
}

// assertGolden compares the explanation of err on Linux with the file of that name.
func assertGolden(t *testing.T, name string, err error) {
	t.Helper()
	assertGoldenOn(t, "linux", name, err)
}

func assertGoldenOn(t *testing.T, goos, name string, err error) {
	t.Helper()
	require.Error(t, err)
	a := on(err, goos)
	assertCode(t, name, a)
	assertFilled(t, factsOf(err, goos))
	got := a.String()
	assertForm(t, got)
	assert.Equal(t, len(a.Checks), strings.Count(got, "\n"+bullet), "a check has no room:\n%s", got)
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got+"\n"), 0o644))
		return
	}
	want, readErr := os.ReadFile(path)
	require.NoError(t, readErr)
	assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got+"\n", "of: %v", err)
}

// assertCode asserts that name is the code of a, perhaps with a suffix such as "-remote".
func assertCode(t *testing.T, name string, a Advice) {
	t.Helper()
	asserted[name] = a.Code
	rest, ok := strings.CutPrefix(name, a.Code)
	assert.True(t, ok && (rest == "" || rest[0] == '-'), "%s has the code %s", name, a.Code)
}

// sysError is the error of a system call.
func sysError(call string, c errno.Condition) error {
	err := c.Err()
	if err == nil {
		err = c.Winsock()
	}
	if call == "" {
		return err
	}
	return os.NewSyscallError(call, err)
}

// dialing is net.Dialer's error of a dial to that IP address and port.
func dialing(address string, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)), Err: err}
}

// connecting is dialing for what connect reported.
func connecting(address string, c errno.Condition) error {
	return dialing(address, sysError("connect", c))
}

// onUnix is net.Dialer's error of a dial to that unix socket.
func onUnix(path string, c errno.Condition) error {
	return &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: path}, Err: sysError("connect", c)}
}

// reading is a net.Conn's error of a read.
func reading(network string, err error) error {
	remote := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:80"))
	var addr net.Addr = remote
	if network == "udp" {
		addr = (*net.UDPAddr)(remote)
	}
	return &net.OpError{Op: "read", Net: network, Source: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 40000}, Addr: addr, Err: err}
}

// bound adds a local address to a dial's error.
func bound(local string, err error) error {
	op := *err.(*net.OpError)
	op.Source = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))
	return &op
}

// tried is the error of a dial that made one attempt of that duration.
func tried(address string, took time.Duration, err error) *redial.Error {
	class := redial.Classify(err)
	return &redial.Error{Network: "tcp", Address: address, Attempts: 1, Elapsed: took, Class: class, Err: err, Stop: redial.ErrMaxAttempts,
		History: []redial.Attempt{{Network: "tcp", Address: address, Number: 1, Duration: took, Err: err, Class: class}}}
}

// failedAt is the dial of a name whose addresses came to those results in each
// attempt.
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

func result(address string, took time.Duration, err error) redial.AddrResult {
	return redial.AddrResult{Addr: netip.MustParseAddrPort(address), Duration: took, Err: err, Class: redial.Classify(err)}
}

func refusedAt(address string) redial.AddrResult {
	return result(address, time.Millisecond, connecting(address, errno.ConnectionRefused))
}

func silentAt(address string) redial.AddrResult {
	return result(address, 2*time.Second, dialing(address, os.ErrDeadlineExceeded))
}

func noRouteTo(address string) redial.AddrResult {
	return result(address, time.Millisecond, connecting(address, errno.NetworkUnreachable))
}

// A name's addresses: all alike, or each in its own way.
func testAddresses(t *testing.T) {
	canceled := result("192.0.2.9:5432", time.Second, dialing("192.0.2.9:5432", context.Canceled))
	connected := redial.AddrResult{Addr: netip.MustParseAddrPort("192.0.2.1:443")}
	after := failedAt("db.example:443", redial.Refused, 1, refusedAt("192.0.2.2:443"), silentAt("192.0.2.3:443"), connected)
	after.Class, after.Err = redial.Reset, reading("tcp", sysError("read", errno.ConnectionReset))
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
		{"refused.loopback-localhost", failedAt("localhost:5432", redial.Refused, 4, refusedAt("[::1]:5432"), refusedAt("127.0.0.1:5432"))},
		{"refused.remote-name", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"))},
		{"refused.loopback-name", failedAt("db.example:5432", redial.Refused, 1, refusedAt("127.0.1.1:5432"))},
		{"refused.zero-address", failedAt("ads.example:443", redial.Refused, 1, refusedAt("[::]:443"), refusedAt("0.0.0.0:443"))},
		{"timeout.several", failedAt("db.example:5432", redial.Timeout, 1, silentAt("[2001:db8::1]:5432"), result("192.0.2.1:5432", 700*time.Millisecond, dialing("192.0.2.1:5432", os.ErrDeadlineExceeded)))},
		{"unreachable.several", failedAt("db.example:5432", redial.Unreachable, 1, noRouteTo("[2001:db8::1]:5432"), noRouteTo("192.0.2.1:5432"))},
		{"refused.several", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"), refusedAt("192.0.2.2:5432"), refusedAt("192.0.2.3:5432"))},
		{"refused.mixed-and-silent", failedAt("db.example:5432", redial.Refused, 2, silentAt("[2001:db8::1]:5432"), refusedAt("192.0.2.1:5432"))},
		{"timeout.mixed-no-ipv6-and-silent", failedAt("db.example:5432", redial.Timeout, 1, noRouteTo("[2001:db8::1]:5432"), silentAt("192.0.2.1:5432"))},
		{"refused.mixed-three-ways", failedAt("db.example:5432", redial.Refused, 1, noRouteTo("[2001:db8::1]:5432"), silentAt("192.0.2.1:5432"), refusedAt("192.0.2.2:5432"))},
		{"timeout.mixed-nine-addresses", failedAt("db.example:80", redial.Timeout, 1, many...)},
		{"refused.remote-one-called-off", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"), canceled)},
		{"reset.after-race", after},
		{"timeout.silent", silent},
	} {
		t.Run(c.name, func(t *testing.T) {
			assertGolden(t, c.name, c.err)
			assertGolden(t, c.name, &net.OpError{Op: "dial", Net: "tcp", Err: c.err}) // as the dialer returns it
		})
	}
	mapped := failedAt("localhost:5432", redial.Refused, 1, refusedAt("[::ffff:127.0.0.1]:5432"))
	assert.Contains(t, on(mapped, "linux").String(), "localhost:5432 (127.0.0.1) refused")
}

// What the system reported, which call it was, and how long it took.
func testConditions(t *testing.T) {
	const v4, v6 = "192.0.2.1:80", "[2001:db8::1]:80"
	for _, c := range []struct {
		name string
		err  error
	}{
		{"refused.remote", connecting(v4, errno.ConnectionRefused)},
		{"refused.remote-ipv6", connecting(v6, errno.ConnectionRefused)},
		{"refused.loopback", connecting("127.0.0.1:5432", errno.ConnectionRefused)},
		{"refused.no-host", &redial.Error{Network: "tcp", Address: ":5432", Attempts: 1, Class: redial.Refused, Err: connecting("127.0.0.1:5432", errno.ConnectionRefused)}},
		{"refused.self", bound("127.0.0.1:5432", dialing("127.0.0.1:5432", errno.ConnectionRefused.Err()))},
		{"refused.not-socket", onUnix("/run/app.sock", errno.NotSocket)},
		{"reset.socket", onUnix("/run/app.sock", errno.ConnectionReset)},
		{"denied.bind-socket", &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: "/run/app.sock"}, Err: sysError("bind", errno.AccessDenied)}},
		{"denied.bind", bound("192.0.2.9:8080", dialing(v4, sysError("bind", errno.AccessDenied)))},
		{"denied.broadcast", connecting("192.0.2.255:80", errno.AccessDenied)},
		{"denied.other", &redial.Error{Network: "tcp", Address: v4, Attempts: 1, Class: redial.Denied, Err: errors.New("not on the list")}},
		{"exhausted.socket-in-use", &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: "/run/app.sock"}, Err: sysError("bind", errno.AddressInUse)}},
		{"exhausted.space", dialing(v4, sysError("epoll_ctl", errno.NoSpace))},
		{"invalid.port-0-system", connecting("127.0.0.1:0", errno.AddressNotAvailable)},
		{"invalid.port-0-system", connecting("127.0.0.1:0", errno.ConnectionRefused)},
		{"invalid.bind-socket", &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: "/run/app.sock"}, Err: sysError("bind", errno.FileNotFound)}},
		{"invalid.local-zone-gone", bound("[fe80::1%eth9]:0", dialing(v6, sysError("bind", errno.NoDevice)))},
		{"invalid.local-zone", bound("[fe80::1]:0", dialing(v6, sysError("bind", errno.InvalidArgument)))},
		{"invalid.bind", bound("192.0.2.9:0", dialing(v4, sysError("bind", errno.InvalidArgument)))},
		{"invalid.path-loop", onUnix("/run/app.sock", errno.LinkLoop)},
		{"invalid.socket-path", onUnix("/run/app.sock", errno.InvalidArgument)},
		{"invalid.zone-gone", connecting("[fe80::1%eth9]:80", errno.InvalidArgument)},
		{"invalid.argument", &redial.Error{Network: "tcp", Address: v4, Attempts: 1, Class: redial.Invalid, Err: connecting(v4, errno.InvalidArgument)}},
		{"invalid.unsupported", dialing(v4, sysError("socket", errno.ProtocolNotSupported))},
		{"refused.udp", reading("udp", sysError("read", errno.ConnectionRefused))},
		{"refused.unknown-target", &redial.Error{Attempts: 1, Class: redial.Refused, Err: errors.New("loading")}},
		{"refused.remote-joined", errors.Join(silentAt("192.0.2.2:80").Err, connecting(v4, errno.ConnectionRefused))},
		{"refused.remote-until-max-elapsed", &redial.Error{Network: "tcp", Address: v4, Attempts: 42, Elapsed: 29 * time.Second, Class: redial.Refused,
			Err: connecting(v4, errno.ConnectionRefused), Stop: redial.ErrMaxElapsed}},
		{"reset.connecting", connecting(v4, errno.ConnectionReset)},
		{"reset.aborted", connecting(v4, errno.ConnectionAborted)},
		{"reset.after", reading("tcp", sysError("read", errno.ConnectionReset))},
		{"reset.closed", reading("tcp", io.EOF)},
		{"timeout.remote", dialing(v4, os.ErrDeadlineExceeded)},
		{"timeout.remote-ipv6", tried(v6, 3*time.Second, dialing(v6, os.ErrDeadlineExceeded))},
		{"timeout.brief", tried(v4, 200*time.Millisecond, dialing(v4, os.ErrDeadlineExceeded))},
		{"timeout.loopback", dialing("127.0.0.1:80", os.ErrDeadlineExceeded)},
		{"timeout.udp", reading("udp", os.ErrDeadlineExceeded)},
		{"timeout.silent-reading", reading("tcp", os.ErrDeadlineExceeded)},
		{"timeout.lost", reading("tcp", sysError("read", errno.TimedOut))},
		{"unreachable.no-route", connecting(v4, errno.NetworkUnreachable)},
		{"unreachable.no-route-ipv6", connecting(v6, errno.NetworkUnreachable)},
		{"unreachable.host", connecting(v4, errno.HostUnreachable)},
		{"unreachable.host-at-once", tried(v4, 300*time.Microsecond, connecting(v4, errno.HostUnreachable))},
		{"unreachable.host-slow", tried(v4, 3060*time.Millisecond, connecting(v4, errno.HostUnreachable))},
		{"unreachable.host-slow-ipv6", tried(v6, 3060*time.Millisecond, connecting(v6, errno.HostUnreachable))},
		{"unreachable.broadcast", connecting("192.0.2.255:80", errno.NetworkUnreachable)},
		{"unreachable.multicast", failedAt("db.example:80", redial.Unreachable, 1, noRouteTo("224.0.0.1:80"))},
		{"unreachable.zero", connecting("0.0.0.1:80", errno.InvalidArgument)},
		{"unreachable.no-route-from", bound("192.0.2.9:0", connecting("198.51.100.7:80", errno.NetworkUnreachable))},
		{"denied.socket", dialing(v4, sysError("socket", errno.NotPermitted))},
		{"unreachable.blackhole", connecting(v4, errno.InvalidArgument)},
		{"unreachable.interface-down", connecting(v4, errno.NetworkDown)},
		{"unreachable.isolated", connecting(v4, errno.HostIsolated)},
		{"unreachable.protocol", connecting(v4, errno.NoProtocolOption)},
		{"unreachable.parameter", connecting(v6, errno.ProtocolError)},
		{"unreachable.source-route", connecting(v4, errno.NotSupported)},
		{"unreachable.interface-gone", connecting(v4, errno.NoDevice)},
		{"unreachable.loopback", connecting("127.0.0.1:80", errno.NetworkUnreachable)},
		{"unreachable.loopback-ipv6", &redial.Error{Network: "tcp", Address: "[::1]:80", Attempts: 1, Class: redial.Unreachable, Err: connecting("[::1]:80", errno.AddressNotAvailable)}},
		{"unreachable.no-ipv6-address", &redial.Error{Network: "tcp", Address: v6, Attempts: 1, Class: redial.Unreachable, Err: connecting(v6, errno.AddressNotAvailable)}},
		{"denied.option", dialing(v4, sysError("", errno.NotPermitted))},
		{"denied.prohibited", connecting(v4, errno.AccessDenied)},
		{"denied.prohibited-ipv6", connecting(v6, errno.AccessDenied)},
		{"denied.not-permitted", connecting(v4, errno.NotPermitted)},
		{"denied.sending", &net.OpError{Op: "write", Net: "udp", Addr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}, Err: sysError("write", errno.NotPermitted)}},
		{"denied.bind-privileged", bound("192.0.2.9:80", dialing(v4, sysError("bind", errno.AccessDenied)))},
		{"denied.raw-socket", &net.OpError{Op: "dial", Net: "ip4:icmp", Addr: &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, Err: sysError("socket", errno.NotPermitted)}},
		{"exhausted.files", dialing(v4, sysError("socket", errno.TooManyFiles))},
		{"exhausted.files-of-system", dialing(v4, sysError("socket", errno.TooManyFilesInSystem))},
		{"exhausted.memory", connecting(v4, errno.NoBuffers)},
		{"exhausted.ports", connecting(v4, errno.AddressNotAvailable)},
		{"exhausted.local-ports", bound("192.0.2.9:0", dialing(v4, sysError("bind", errno.AddressInUse)))},
		{"exhausted.ports-or-ipv6", connecting(v6, errno.AddressNotAvailable)},
		{"exhausted.ports-or-ipv6-loopback", connecting("[::1]:80", errno.AddressNotAvailable)},
		{"exhausted.local-ports-loopback-ipv6", bound("[::1]:0", dialing("[::1]:80", sysError("bind", errno.AddressInUse)))},
		{"exhausted.local-port", bound("192.0.2.9:4000", dialing(v4, sysError("bind", errno.AddressInUse)))},
		{"exhausted.try-again", connecting(v4, errno.WouldBlock)},
		{"exhausted.other", &redial.Error{Network: "tcp", Address: v4, Attempts: 1, Class: redial.Exhausted, Err: errors.New("quota")}},
		{"exhausted.files-resolver", &redial.Error{Network: "tcp", Address: "db.example:80", Attempts: 1, Class: redial.Exhausted,
			Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true}}}},
		{"invalid.local-address", bound("192.0.2.123:0", dialing(v4, sysError("bind", errno.AddressNotAvailable)))},
		{"invalid.loopback-source", bound("127.0.0.1:0", connecting(v4, errno.InvalidArgument))},
		{"invalid.zone", connecting("[fe80::1]:80", errno.InvalidArgument)},
		{"invalid.option-interface", dialing(v4, sysError("setsockopt", errno.NoDevice))},
		{"invalid.option", dialing(v4, sysError("setsockopt", errno.NoProtocolOption))},
		{"invalid.no-family", dialing(v6, sysError("socket", errno.FamilyNotSupported))},
		{"refused.no-socket", onUnix("/run/app.sock", errno.FileNotFound)},
		{"refused.no-socket-tmp", onUnix("/tmp/app.sock", errno.FileNotFound)},
		{"refused.no-socket-relative", onUnix("app.sock", errno.FileNotFound)},
		{"refused.stale-socket", onUnix("/run/app.sock", errno.ConnectionRefused)},
		{"refused.socket-full", onUnix("/run/app.sock", errno.WouldBlock)},
		{"refused.abstract-socket", onUnix("@app", errno.ConnectionRefused)},
		{"denied.unix", onUnix("/run/my app.sock", errno.AccessDenied)},
		{"invalid.socket-type", onUnix("/run/app.sock", errno.WrongProtocolType)},
		{"invalid.path-not-directory", onUnix("/etc/passwd/app.sock", errno.NotDirectory)},
		{"invalid.path-long", onUnix("/run/"+strings.Repeat("x", 120), errno.InvalidArgument)},
		{"refused.no-socket-odd", onUnix("/run/app.sock\n", errno.FileNotFound)},
		{"invalid.path-odd", onUnix("/run/app\x00.sock", errno.InvalidArgument)},
		{"timeout.socket", onUnix("/run/app.sock", errno.TimedOut)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && slices.Contains(onlyLinux, c.name) {
				t.Skip("redial.Classify gives this errno another class on " + runtime.GOOS)
			}
			if op, ok := c.err.(*net.OpError); ok && op.Err == nil {
				t.Skip(runtime.GOOS + " has no such errno")
			}
			assertGolden(t, c.name, c.err)
		})
	}
}

// onlyLinux has the conditions in which only Linux reports an errno that elsewhere means that the
// dial is invalid.
var onlyLinux = []string{"unreachable.zero", "unreachable.blackhole", "unreachable.source-route"}

// Something else was dialed than was asked for.
func testIndirect(t *testing.T) {
	through := func(err error) error {
		return &redial.Error{Network: "tcp", Address: "db.example:5432", Attempts: 1, Class: redial.Classify(err), Err: err, Stop: redial.ErrMaxAttempts}
	}
	proxy := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 8), Port: 1080}
	socks := func(err error) error {
		return &net.OpError{Op: "socks connect", Net: "tcp", Source: proxy, Addr: name("db.example:5432"), Err: err}
	}
	answer := func(status int) error {
		return &redial.ProxyError{Proxy: "proxy.example:3128", Target: "db.example:443", StatusCode: status}
	}
	get := func(err error) error { return &url.Error{Op: "Get", URL: "https://user:secret@db.example/", Err: err} }
	for _, c := range []struct {
		name string
		err  error
	}{
		{"refused.loopback-dialfunc", through(connecting("127.0.0.1:1080", errno.ConnectionRefused))},
		{"refused.no-socket-dialfunc", through(onUnix("/run/tunnel.sock", errno.FileNotFound))},
		{"timeout.remote-indirect", &redial.Error{Network: "tcp", Address: "192.0.2.1:80", Attempts: 1, Class: redial.Timeout, Err: dialing("192.0.2.8:80", os.ErrDeadlineExceeded)}},
		{"not_found.name-indirect", through(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "proxy.example", Server: "192.0.2.53:53", IsNotFound: true}})},
		{"refused.remote-socks", socks(connecting("192.0.2.8:1080", errno.ConnectionRefused))},
		{"refused.remote-socks-dialfunc", through(socks(connecting("192.0.2.8:1080", errno.ConnectionRefused)))},
		{"timeout.silent-socks", socks(&net.OpError{Op: "read", Net: "tcp", Addr: proxy, Err: os.ErrDeadlineExceeded})},
		{"unknown.socks", socks(errors.New("unknown error connection refused"))},
		{"refused.remote-proxy", get(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: connecting("192.0.2.8:3128", errno.ConnectionRefused)})},
		{"refused.remote-proxy-dialed-by-redial", get(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp",
			Err: failedAt("proxy.example:3128", redial.Refused, 2, refusedAt("192.0.2.8:3128"))}})},
		{"refused.remote-client", get(connecting("192.0.2.1:443", errno.ConnectionRefused))},
		{"denied.proxy-login", get(answer(407))},
		{"denied.proxy-forbids", get(answer(403))},
		{"unreachable.proxy-failed", get(answer(502))},
		{"unreachable.proxy-unavailable", get(answer(503))},
		{"unreachable.proxy-unavailable-within-do", &redial.Error{Network: "http", Address: "https://db.example/", Attempts: 2, Elapsed: 3 * time.Second, Class: redial.Unreachable, Err: get(answer(503)), Stop: redial.ErrMaxAttempts}},
		{"unreachable.proxy-timeout", get(answer(504))},
		{"unknown.proxy", get(answer(405))},
		{"unknown.proxy-odd", get(answer(299))},
		{"timeout.unknown-target", fmt.Errorf("rpc: %w", context.DeadlineExceeded)},
		{"timeout.client", get(context.DeadlineExceeded)},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
}

type name string

func (name) Network() string  { return "name" }
func (n name) String() string { return string(n) }

// A server that accepts and stays silent, as net/http reports it.
func TestSilentHTTP(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	transport := &http.Transport{ResponseHeaderTimeout: 10 * time.Millisecond, TLSHandshakeTimeout: 10 * time.Millisecond}
	defer transport.CloseIdleConnections()
	_, err := (&http.Client{Transport: transport}).Get(server.URL)
	text := on(err, "linux").String()
	assertForm(t, text)
	assert.Contains(t, text, "The client's time ran out")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, err = (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String())
	text = on(err, "linux").String()
	assertForm(t, text)
	assert.Contains(t, text, "accepted the connection, and then did not answer")
}

// Names: those that a resolver says do not exist, and those that it could not
// look up. The texts of package net's queries end with the system's own.
func testNames(t *testing.T) {
	lookup := func(network string, e net.DNSError) error {
		return &net.OpError{Op: "dial", Net: network, Err: &e}
	}
	noSuchName := &net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true}
	halfAnswered := func(network string, class redial.Class, err error) error {
		return &redial.Error{Network: network, Address: "db.example:80", Attempts: 1, Elapsed: 10 * time.Second, Class: class, Err: err, Stop: redial.ErrMaxAttempts,
			History: []redial.Attempt{{Number: 1, Duration: 10 * time.Second, Resolve: time.Second, Unanswered: "AAAA", Err: err, Class: class}}}
	}
	query := func(server, phase string, c errno.Condition) error {
		return lookup("tcp", net.DNSError{Name: "db.example", Server: server, IsTemporary: true,
			Err: phase + " udp 192.0.2.9:40000->" + server + ": " + sysError("x", c).Error()})
	}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"not_found.name", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.exmaple", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found.name-systemd-resolved", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.example", Server: "127.0.0.53:53", IsNotFound: true})},
		{"not_found.short", lookup("tcp", net.DNSError{Err: "no such host", Name: "db", Server: "127.0.0.11:53", IsNotFound: true})},
		{"not_found.family", lookup("tcp6", net.DNSError{Err: "no such host", Name: "db.example", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found.no-server", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true})},
		{"not_found.service", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.shop.svc.cluster.local", Server: "10.96.0.10:53", IsNotFound: true})},
		{"not_found.mdns", lookup("tcp", net.DNSError{Err: "no such host", Name: "printer.local", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found.odd", lookup("tcp", net.DNSError{Err: "no such host", Name: `"db.example"`, Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found.name-shell", lookup("tcp", net.DNSError{Err: "no such host", Name: "$(reboot).example", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found.other-family", &net.OpError{Op: "dial", Net: "tcp6", Err: &net.AddrError{Err: noSuitable(), Addr: "db.example"}}},
		{"dns.failing", lookup("tcp", net.DNSError{Err: "server misbehaving", Name: "db.example", Server: "192.0.2.53:53", IsTemporary: true})},
		{"dns.refused", lookup("tcp4", net.DNSError{Err: "server misbehaving", Name: "db.example", Server: "192.0.2.53:53"})},
		{"dns.gone", &redial.Error{Network: "tcp", Address: "db.example:80", Attempts: 2, Elapsed: 2 * time.Second, Class: redial.DNS, Stop: redial.ErrMaxAttempts,
			Err: &net.DNSError{UnwrapErr: noSuchName, Err: "no such host, although", Name: "db.example", IsTemporary: true}}},
		{"dns.partial", lookup("tcp", net.DNSError{UnwrapErr: noSuchName, Err: "no such host, but", Name: "db", Server: "192.0.2.53:53", IsTemporary: true, IsTimeout: true})},
		{"dns.one-family", halfAnswered("tcp", redial.DNS, &net.DNSError{Err: "i/o timeout", Name: "db.example", IsTimeout: true, IsTemporary: true})},
		{"dns.slow-tcp6", halfAnswered("tcp6", redial.DNS, &net.DNSError{Err: "i/o timeout", Name: "db.example", IsTimeout: true, IsTemporary: true})},
		{"refused.remote-half-answered", halfAnswered("tcp", redial.Refused, connecting("192.0.2.1:80", errno.ConnectionRefused))},
		{"dns.tcp", lookup("tcp", net.DNSError{Name: "db.example", Server: "192.0.2.53:53", IsTemporary: true,
			Err: "dial tcp 192.0.2.53:53: " + sysError("connect", errno.ConnectionRefused).Error()})},
		{"dns.no-socket", lookup("tcp", net.DNSError{Name: "db.example", Server: "192.0.2.53:53", IsTemporary: true,
			Err: "dial udp 192.0.2.53:53: " + sysError("socket", errno.NotPermitted).Error()})},
		{"unreachable.host-at-once-ipv6", tried("[2001:db8::1]:80", time.Second, connecting("[2001:db8::1]:80", errno.HostUnreachable))},
		{"dns.no-ipv6-address", query("[2001:db8::53]:53", "dial", errno.AddressNotAvailable)},
		{"dns.refused-loopback", lookup("tcp", net.DNSError{Err: "server misbehaving", Name: "db.example", Server: "127.0.0.1:53"})},
		{"dns.silent-loopback", lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example", Server: "127.0.0.1:53", IsTimeout: true})},
		{"dns.prohibited", query("192.0.2.53:53", "dial", errno.AccessDenied)},
		{"dns.failing-docker", lookup("tcp", net.DNSError{Err: "server misbehaving", Name: "db", Server: "127.0.0.11:53", IsTemporary: true})},
		{"dns.failing-resolved", lookup("tcp", net.DNSError{Err: "server misbehaving", Name: "db.example", Server: "127.0.0.53:53", IsTemporary: true})},
		{"dns.silent", lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example.", Server: "192.0.2.53:53", IsTimeout: true})},
		{"dns.silent-resolved", lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example", Server: "127.0.0.53:53", IsTimeout: true})},
		{"dns.closed", query("192.0.2.53:53", "read", errno.ConnectionRefused)},
		{"dns.closed-resolved", query("127.0.0.53:53", "read", errno.ConnectionRefused)},
		{"dns.closed-loopback", query("127.0.0.1:53", "read", errno.ConnectionRefused)},
		{"dns.unreachable", query("192.0.2.53:53", "read", errno.HostUnreachable)},
		{"dns.no-route", query("192.0.2.53:53", "dial", errno.NetworkUnreachable)},
		{"dns.not-sent", query("192.0.2.53:53", "dial", errno.HostUnreachable)},
		{"dns.not-permitted", query("192.0.2.53:53", "write", errno.NotPermitted)},
		{"dns.not-sent-loopback", query("127.0.0.53:53", "dial", errno.NetworkUnreachable)},
		{"dns.unknown-server", lookup("tcp", net.DNSError{Err: "temporary failure", Name: "db.example", IsTemporary: true})},
		{"dns.slow", tried("db.example:80", 4*time.Second, lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example", IsTimeout: true}))},
		{"dns.unknown-server-configuration", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSConfigError{Err: errors.New("x")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "linux" {
				assertGolden(t, c.name, c.err)
			} else { // some quote the system's own text
				assertCode(t, c.name, on(c.err, "linux"))
			}
		})
	}
}

// Dials that can never work, by net.Dialer itself: it needs no network to see
// that. None of them is a matter for network commands.
func testInvalid(t *testing.T) {
	for _, c := range []struct{ name, network, address string }{
		{"invalid.no-port", "tcp", "db.example"},
		{"invalid.brackets-missing", "tcp", "2001:db8::1"},
		{"invalid.no-port-brackets", "tcp", "[2001:db8::1]"},
		{"invalid.colons", "tcp", "2001:db8::1:443:80:1:2:3:4"},
		{"invalid.brackets", "tcp", "[2001:db8::1:80"},
		{"invalid.url", "tcp", "https://db.example/health"},
		{"invalid.url-ipv6", "tcp", "http://[2001:db8::1]:80/"},
		{"invalid.url-password", "tcp", "postgres://user:secret@db.example:5432/db"},
		{"invalid.url-without-host", "tcp", "custom://:x:"},
		{"invalid.odd-address", "tcp", "db example"},
		{"invalid.brackets-missing-port", "tcp", "::1:80"},
		{"invalid.list", "tcp", "a.example:80,b.example:80"},
		{"invalid.user", "tcp", "user:secret@db.example:5432"},
		{"invalid.path", "tcp", "/run/app.sock"},
		{"invalid.empty", "tcp", ""},
		{"invalid.port-range", "tcp", "192.0.2.1:99999"},
		{"invalid.port", "tcp", "db.example:htpp"},
		{"invalid.odd-port-carriage-return", "tcp", "127.0.0.1:80\r"},
		{"invalid.odd-port-quotation-mark", "tcp", `"127.0.0.1:80"`},
		{"invalid.network", "tpc", "db.example:80"},
		{"invalid.network-scheme", "https", "db.example:443"},
		{"invalid.network-empty", "", "db.example:80"},
		{"invalid.network-spelling", "TCP", "db.example:80"},
		{"invalid.network-swapped", "db.example:80", "tcp"},
		{"invalid.family", "tcp6", "192.0.2.1:80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := net.Dial(c.network, c.address)
			require.Error(t, err)
			if c.name == "invalid.url" {
				assertGolden(t, "invalid.url-no-scheme", err)
			} else {
				assertGolden(t, c.name, err)
			}
			_, err = (&redial.Dialer{}).Dial(c.network, c.address)
			assertGolden(t, c.name, err)
			assert.NotContains(t, on(err, "linux").String(), here)
			assert.NotContains(t, on(err, "linux").String(), "secret")
		})
	}

	_, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6loopback}}).Dial("tcp", "192.0.2.1:80")
	assertGolden(t, "invalid.local-family", err)
	_, err = (&redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) { return nil, nil }}).Dial("tcp", "db.example:80")
	assertGolden(t, "invalid.other-dialfunc", err)
	assertGolden(t, "invalid.permanent", dialing("192.0.2.1:80", backoff.Permanent(errors.New("the tunnel knows no such target"))))
	_, err = (&redial.Dialer{}).Dial("tcp", "127.0.0.1:") // net.Dialer dials port 0
	assertGolden(t, "invalid.empty-port", err)
	assertGolden(t, "invalid.empty-port", &redial.Error{Network: "tcp", Address: "127.0.0.1:", Attempts: 1, Class: redial.Invalid, Err: connecting("127.0.0.1:0", errno.ConnectionRefused), Stop: redial.ErrMaxAttempts})
	_, err = (&redial.Dialer{}).Dial("tcp", "db.example:0")
	assertGolden(t, "invalid.port-0", err)
	assertGolden(t, "invalid.address", dialing("192.0.2.1:80", &net.AddrError{Err: "unexpected flags", Addr: "192.0.2.1:80"}))
	assertGolden(t, "invalid.other", dialing("192.0.2.1:80", &net.ParseError{Type: "CIDR address", Text: "x"}))
}

// Names that no DNS can hold: what is wrong with each is pointed at.
func testImpossibleNames(t *testing.T) {
	for _, c := range []struct{ name, host, fault string }{
		{"invalid.name-ipv4-leading-zero", "127.0.0.01", `leading zero in "01"`},
		{"invalid.name-ipv4-octet", "256.1.1.1", `"256" is over 255`},
		{"invalid.name-ipv4-five-numbers", "1.2.3.4.5", "5 numbers, not 4"},
		{"invalid.name-ipv4-dot-at-end", "192.0.2.1.", "a dot at its end"},
		{"invalid.name-colon", "::g", "has colons, but is no IPv6 address"},
		{"invalid.name-zone", "eth0%1:x", "zone"},
		{"invalid.name-odd-space", "db .example", "at position 3"},
		{"invalid.name-odd-nul", "db\x00.example", "NUL byte (\\x00) at position 3"},
		{"invalid.name-odd-line-feed", "db.example\n", "line feed (\\n) at its end"},
		{"invalid.name-user", "user:secret@db.example", "has an @"},
		{"invalid.name-empty-part", "db..example", "empty part"},
		{"invalid.name-long-part", strings.Repeat("x", 64) + ".example", "64 characters"},
		{"invalid.name-long", strings.Repeat("xx.", 90) + "example", "277 characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: c.host, IsNotFound: true}}
			assertGolden(t, c.name, err)
			text := on(err, "linux").String()
			assert.Contains(t, text, c.fault)
			assert.NotContains(t, text, here)
			assert.NotContains(t, text, "secret")
		})
	}
}

func testHandshake(t *testing.T) {
	at := func(err error) error {
		return &redial.Error{Network: "tcp", Address: "db.example:443", Attempts: 1, Class: redial.TLS, Err: err, Stop: redial.ErrPermanent}
	}
	verification := func(err error) error { return at(&tls.CertificateVerificationError{Err: err}) }
	certificate := &x509.Certificate{
		DNSNames:    []string{"www.example", "example", "mail.example", "ftp.example", "ns.example"},
		Issuer:      pkix.Name{CommonName: "Example Private CA"},
		NotBefore:   time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:    time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC),
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
	}
	self := *certificate
	self.RawIssuer, self.RawSubject = []byte("x"), []byte("x")
	for _, c := range []struct {
		name string
		err  error
	}{
		{"tls.plain-http", at(tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte([]byte("HTTP/"))})},
		{"tls.plain-http-by-client", &url.Error{Op: "Get", URL: "https://db.example/", Err: http.ErrSchemeMismatch}},
		{"tls.plain-text", at(tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte([]byte("220 m"))})},
		{"tls.name", verification(x509.HostnameError{Certificate: certificate, Host: "db.example"})},
		{"tls.name-none", verification(x509.HostnameError{Host: "db.example"})},
		{"tls.authority", verification(x509.UnknownAuthorityError{Cert: certificate})},
		{"tls.self-signed", verification(x509.UnknownAuthorityError{Cert: &self})},
		{"tls.authority-no-issuer", verification(x509.UnknownAuthorityError{})},
		{"tls.expired", verification(x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired})},
		{"tls.certificate", verification(x509.CertificateInvalidError{Cert: certificate, Reason: x509.IncompatibleUsage})},
		{"tls.no-roots", verification(x509.SystemRootsError{})},
		{"tls.other", verification(x509.InsecureAlgorithmError(x509.MD5WithRSA))},
		{"tls.authority-by-client", &url.Error{Op: "Get", URL: "https://db.example/", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: certificate}}}},
		{"tls.alert-client-certificate", at(&net.OpError{Op: "remote error", Err: alert(116)})},
		{"tls.alert-version", at(&net.OpError{Op: "remote error", Err: alert(70)})},
		{"tls.alert-other", at(&net.OpError{Op: "remote error", Err: alert(90)})},
		{"timeout.silent-handshake", &net.OpError{Op: "dial", Net: "tcp", Err: tried("192.0.2.1:443", 3*time.Second, context.DeadlineExceeded)}},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
}

// alert is like crypto/tls's own type.
type alert uint8

func (a alert) Error() string { return fmt.Sprintf("tls: alert(%d)", uint8(a)) }

// The caller's own doing, and the bounds of the dial.
func testCanceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user closed\nthe window"))
	_, err := (&redial.Dialer{}).DialContext(ctx, "tcp", "db.example:5432")
	assertGolden(t, "canceled.before", err)

	over, cancelOver := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelOver()
	_, err = (&redial.Dialer{}).DialContext(over, "tcp", "db.example:5432")
	assertGolden(t, "timeout.before", err)
	over, cancelOver = context.WithDeadlineCause(t.Context(), time.Unix(1, 0), errors.New("lunch"))
	defer cancelOver()
	_, err = (&redial.Dialer{}).DialContext(over, "tcp", "db.example:5432")
	assertGolden(t, "timeout.before-cause", err)

	assertGolden(t, "canceled.during-plain", dialing("192.0.2.1:5432", context.Canceled))

	slow := dialing("192.0.2.1:5432", os.ErrDeadlineExceeded)
	attempts := []redial.Attempt{
		{Number: 1, Duration: 10 * time.Second, Err: slow, Class: redial.Timeout},
		{Number: 2, Duration: 10 * time.Second, Err: slow, Class: redial.Timeout},
		{Number: 3, Duration: 2500 * time.Millisecond, Err: dialing("192.0.2.1:5432", context.Canceled), Class: redial.Canceled},
	}
	dial := redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 3, Elapsed: 22800 * time.Millisecond,
		Class: redial.Canceled, Err: attempts[2].Err, Stop: redial.ErrCanceled, Cause: context.Canceled, History: attempts}
	assertGolden(t, "canceled.timeout.remote", &dial)
	dial.Class, dial.Err = redial.Timeout, slow // the caller gave up between two attempts
	assertGolden(t, "canceled.timeout.remote", &dial)
	dial.Class, dial.Err = redial.Canceled, attempts[2].Err
	dial.Attempts, dial.Elapsed, dial.Cause, dial.History = 1, 2500*time.Millisecond, errors.New("got signal interrupt"), attempts[2:]
	assertGolden(t, "canceled.during-cause", &dial)
	dial.Cause, dial.History = context.Canceled, nil
	assertGolden(t, "canceled.during-no-history", &dial)

	_, err = (&redial.Dialer{Dialer: net.Dialer{Timeout: -time.Second}}).Dial("tcp", "db.example:5432")
	assertGolden(t, "timeout.before-dialer", err)
	_, err = (&redial.Dialer{Dialer: net.Dialer{Deadline: time.Unix(1, 0)}}).Dial("tcp", "db.example:5432")
	assertGolden(t, "timeout.before-dialer", err)
	sleepy := func(ctx context.Context, _, _ string) (context.Context, func(redial.Result)) {
		time.Sleep(30 * time.Millisecond) // more than a tick of a coarse clock
		return ctx, func(redial.Result) {}
	}
	_, err = (&redial.Dialer{MaxElapsed: 1, OnDial: sleepy}).Dial("tcp", "db.example:5432")
	assertGolden(t, "timeout.before-max-elapsed", err)

	late := redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 2, Elapsed: 20100 * time.Millisecond,
		Class: redial.Timeout, Err: slow, Stop: redial.ErrDeadline, History: attempts[:2]}
	assertGolden(t, "timeout.remote-deadline", &late)
	late.History = nil
	assertGolden(t, "timeout.remote-deadline-no-history", &late)
	// The last attempt was cut off; the one before it tells.
	late.Class, late.Err, late.Elapsed = redial.Reset, dialing("192.0.2.1:5432", io.EOF), 1100*time.Millisecond
	late.History = []redial.Attempt{
		{Number: 1, Duration: time.Second, Err: late.Err, Class: redial.Reset},
		{Number: 2, Duration: 3 * time.Millisecond, Err: slow, Class: redial.Timeout},
	}
	assertGolden(t, "reset.connecting-deadline-cut-off", &late)
}

func testUnknown(t *testing.T) {
	var nilOp *net.OpError
	for _, c := range []struct {
		name string
		err  error
	}{
		{"unknown.not-a-dial", errors.New("quota reached.\n")},
		{"unknown.control", dialing("192.0.2.1:80", errors.New("quota\x1b[31m reached"))},
		{"unknown.not-a-dial-empty", errors.New("")},
		{"unknown.not-a-dial-nil-pointer", nilOp},
		{"unknown.other-class", &redial.Error{Address: "192.0.2.1:80", Attempts: 1, Class: 200, Err: errors.New("quota reached")}},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
	assert.Empty(t, Error(nil))
	assert.Zero(t, For(nil))
}

// The same on every system: Winsock's numbers are explained as POSIX's, and
// the commands fit the system.
func testSystems(t *testing.T) {
	for _, c := range []errno.Condition{errno.ConnectionRefused, errno.NetworkUnreachable, errno.HostUnreachable, errno.NetworkDown, errno.AccessDenied,
		errno.TooManyFiles, errno.NoBuffers, errno.AddressNotAvailable, errno.AddressInUse, errno.FamilyNotSupported} {
		for _, address := range []string{"127.0.0.1:80", "192.0.2.1:80", "[2001:db8::1]:80"} {
			assert.Equal(t, on(connecting(address, c), "windows").String(), on(dialing(address, os.NewSyscallError("connectex", c.Winsock())), "windows").String())
		}
	}
	refused := connecting("127.0.0.1:5432", errno.ConnectionRefused)
	for goos, command := range map[string]string{
		"linux":   "Here: ss -ltnp\n",
		"darwin":  "Here: lsof -nP -iTCP -sTCP:LISTEN\n",
		"windows": "Here: netstat -ano | findstr LISTENING\n",
		"freebsd": "Here: netstat -an\n",
	} {
		assert.Contains(t, on(refused, goos).String(), command)
	}
	assert.NotContains(t, on(refused, "wasip1").String(), here)
	assertGoldenOn(t, "darwin", "unreachable.host-on-darwin", connecting("192.0.2.1:80", errno.HostUnreachable))
	assertGoldenOn(t, "windows", "timeout.remote-on-windows", dialing("192.0.2.1:80", os.ErrDeadlineExceeded))
	assertGoldenOn(t, "windows", "denied.bind-reserved", bound("192.0.2.9:80", dialing("192.0.2.1:80", sysError("bind", errno.AccessDenied))))
	assertGoldenOn(t, "freebsd", "refused.remote-on-freebsd", connecting("192.0.2.1:80", errno.ConnectionRefused))
}

package explain

// What Error says stands in testdata, one file a case, to be read as a stranger
// would: the headline and the first two checks should lead to the cause that the
// name of the file says. After a change,
//
//	go test ./explain -update
//
// writes the files anew, for git diff to show. Explanations of real failures are
// in package systest.

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

// assertGolden compares the explanation of err on Linux with the file of that name.
func assertGolden(t *testing.T, name string, err error) {
	t.Helper()
	assertGoldenOn(t, "linux", name, err)
}

func assertGoldenOn(t *testing.T, goos, name string, err error) {
	t.Helper()
	require.Error(t, err)
	got := on(err, goos)
	assertForm(t, got)
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

// reported is the error of a system call.
func reported(call string, c errno.Condition) error {
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
	return dialing(address, reported("connect", c))
}

// onUnix is net.Dialer's error of a dial to that unix socket.
func onUnix(path string, c errno.Condition) error {
	return &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: path}, Err: reported("connect", c)}
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
func TestAddresses(t *testing.T) {
	canceled := result("192.0.2.9:5432", time.Second, dialing("192.0.2.9:5432", context.Canceled))
	connected := redial.AddrResult{Addr: netip.MustParseAddrPort("192.0.2.1:443")}
	after := failedAt("db.example:443", redial.Refused, 1, refusedAt("192.0.2.2:443"), silentAt("192.0.2.3:443"), connected)
	after.Class, after.Err = redial.Reset, reading("tcp", reported("read", errno.ConnectionReset))
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
		{"refused_localhost", failedAt("localhost:5432", redial.Refused, 4, refusedAt("[::1]:5432"), refusedAt("127.0.0.1:5432"))},
		{"refused_name", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"))},
		{"refused_all_addresses", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"), refusedAt("192.0.2.2:5432"), refusedAt("192.0.2.3:5432"))},
		{"mixed_refused_and_silent", failedAt("db.example:5432", redial.Refused, 2, silentAt("[2001:db8::1]:5432"), refusedAt("192.0.2.1:5432"))},
		{"mixed_no_ipv6_and_silent", failedAt("db.example:5432", redial.Timeout, 1, noRouteTo("[2001:db8::1]:5432"), silentAt("192.0.2.1:5432"))},
		{"mixed_three_ways", failedAt("db.example:5432", redial.Refused, 1, noRouteTo("[2001:db8::1]:5432"), silentAt("192.0.2.1:5432"), refusedAt("192.0.2.2:5432"))},
		{"mixed_nine_addresses", failedAt("db.example:80", redial.Timeout, 1, many...)},
		{"mixed_one_called_off", failedAt("db.example:5432", redial.Refused, 1, refusedAt("192.0.2.1:5432"), canceled)},
		{"reset_after_race", after},
		{"silent_after_race", silent},
	} {
		t.Run(c.name, func(t *testing.T) {
			assertGolden(t, c.name, c.err)
			assertGolden(t, c.name, &net.OpError{Op: "dial", Net: "tcp", Err: c.err}) // as the dialer returns it
		})
	}
	mapped := failedAt("localhost:5432", redial.Refused, 1, refusedAt("[::ffff:127.0.0.1]:5432"))
	assert.Contains(t, on(mapped, "linux"), "localhost:5432 (127.0.0.1) refused")
}

// What the system reported, which call it was, and how long it took.
func TestConditions(t *testing.T) {
	const v4, v6 = "192.0.2.1:80", "[2001:db8::1]:80"
	for _, c := range []struct {
		name string
		err  error
	}{
		{"refused_remote", connecting(v4, errno.ConnectionRefused)},
		{"refused_remote_ipv6", connecting(v6, errno.ConnectionRefused)},
		{"refused_loopback", connecting("127.0.0.1:5432", errno.ConnectionRefused)},
		{"refused_port_zero", connecting("127.0.0.1:0", errno.ConnectionRefused)},
		{"refused_udp", reading("udp", reported("read", errno.ConnectionRefused))},
		{"refused_unknown_target", &redial.Error{Attempts: 1, Class: redial.Refused, Err: errors.New("loading")}},
		{"refused_joined", errors.Join(silentAt("192.0.2.2:80").Err, connecting(v4, errno.ConnectionRefused))},
		{"refused_until_max_elapsed", &redial.Error{Network: "tcp", Address: v4, Attempts: 42, Elapsed: 29 * time.Second, Class: redial.Refused,
			Err: connecting(v4, errno.ConnectionRefused), Stop: redial.ErrMaxElapsed}},
		{"reset_connecting", connecting(v4, errno.ConnectionReset)},
		{"reset_aborted_here", connecting(v4, errno.ConnectionAborted)},
		{"reset_reading", reading("tcp", reported("read", errno.ConnectionReset))},
		{"reset_closed", reading("tcp", io.EOF)},
		{"timeout_remote", dialing(v4, os.ErrDeadlineExceeded)},
		{"timeout_remote_ipv6", tried(v6, 3*time.Second, dialing(v6, os.ErrDeadlineExceeded))},
		{"timeout_brief", tried(v4, 200*time.Millisecond, dialing(v4, os.ErrDeadlineExceeded))},
		{"timeout_loopback", dialing("127.0.0.1:80", os.ErrDeadlineExceeded)},
		{"timeout_udp", reading("udp", os.ErrDeadlineExceeded)},
		{"silent_reading", reading("tcp", os.ErrDeadlineExceeded)},
		{"lost_reading", reading("tcp", reported("read", errno.TimedOut))},
		{"unreachable_no_route", connecting(v4, errno.NetworkUnreachable)},
		{"unreachable_no_route_ipv6", connecting(v6, errno.NetworkUnreachable)},
		{"unreachable_host", connecting(v4, errno.HostUnreachable)},
		{"unreachable_host_at_once", tried(v4, 300*time.Microsecond, connecting(v4, errno.HostUnreachable))},
		{"unreachable_host_after_arp", tried(v4, 3060*time.Millisecond, connecting(v4, errno.HostUnreachable))},
		{"unreachable_host_after_discovery", tried(v6, 3060*time.Millisecond, connecting(v6, errno.HostUnreachable))},
		{"unreachable_broadcast", connecting("192.0.2.255:80", errno.NetworkUnreachable)},
		{"unreachable_multicast", failedAt("db.example:80", redial.Unreachable, 1, noRouteTo("224.0.0.1:80"))},
		{"unreachable_zero", connecting("0.0.0.1:80", errno.InvalidArgument)},
		{"unreachable_no_route_from_local_address", bound("192.0.2.9:0", connecting("198.51.100.7:80", errno.NetworkUnreachable))},
		{"denied_sandbox", dialing(v4, reported("socket", errno.NotPermitted))},
		{"unreachable_blackhole", connecting(v4, errno.InvalidArgument)},
		{"unreachable_link_down", connecting(v4, errno.NetworkDown)},
		{"unreachable_isolated", connecting(v4, errno.HostIsolated)},
		{"unreachable_protocol", connecting(v4, errno.NoProtocolOption)},
		{"unreachable_parameter_problem_ipv6", connecting(v6, errno.ProtocolError)},
		{"unreachable_source_route", connecting(v4, errno.NotSupported)},
		{"unreachable_interface_gone", connecting(v4, errno.NoDevice)},
		{"unreachable_loopback", connecting("127.0.0.1:80", errno.NetworkUnreachable)},
		{"unreachable_loopback_ipv6_off", &redial.Error{Network: "tcp", Address: "[::1]:80", Attempts: 1, Class: redial.Unreachable, Err: connecting("[::1]:80", errno.AddressNotAvailable)}},
		{"unreachable_no_ipv6_source", &redial.Error{Network: "tcp", Address: v6, Attempts: 1, Class: redial.Unreachable, Err: connecting(v6, errno.AddressNotAvailable)}},
		{"denied_socket_option", dialing(v4, reported("", errno.NotPermitted))},
		{"denied_connect", connecting(v4, errno.AccessDenied)},
		{"denied_connect_ipv6", connecting(v6, errno.AccessDenied)},
		{"denied_not_permitted", connecting(v4, errno.NotPermitted)},
		{"denied_sending", &net.OpError{Op: "write", Net: "udp", Addr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}, Err: reported("write", errno.NotPermitted)}},
		{"denied_bind", bound("192.0.2.9:80", dialing(v4, reported("bind", errno.AccessDenied)))},
		{"denied_raw_socket", &net.OpError{Op: "dial", Net: "ip4:icmp", Addr: &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, Err: reported("socket", errno.NotPermitted)}},
		{"exhausted_descriptors", dialing(v4, reported("socket", errno.TooManyFiles))},
		{"exhausted_system", dialing(v4, reported("socket", errno.TooManyFilesInSystem))},
		{"exhausted_memory", connecting(v4, errno.NoBuffers)},
		{"exhausted_ports", connecting(v4, errno.AddressNotAvailable)},
		{"exhausted_ports_of_local_address", bound("192.0.2.9:0", dialing(v4, reported("bind", errno.AddressInUse)))},
		{"exhausted_ports_or_no_ipv6", connecting(v6, errno.AddressNotAvailable)},
		{"exhausted_loopback_ipv6_off", connecting("[::1]:80", errno.AddressNotAvailable)},
		{"exhausted_ports_loopback_ipv6", bound("[::1]:0", dialing("[::1]:80", reported("bind", errno.AddressInUse)))},
		{"exhausted_local_port", bound("192.0.2.9:4000", dialing(v4, reported("bind", errno.AddressInUse)))},
		{"exhausted_try_again", connecting(v4, errno.WouldBlock)},
		{"exhausted_other", &redial.Error{Network: "tcp", Address: v4, Attempts: 1, Class: redial.Exhausted, Err: errors.New("quota")}},
		{"exhausted_resolver", &redial.Error{Network: "tcp", Address: "db.example:80", Attempts: 1, Class: redial.Exhausted,
			Err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true}}}},
		{"invalid_local_address", bound("192.0.2.123:0", dialing(v4, reported("bind", errno.AddressNotAvailable)))},
		{"invalid_loopback_source", bound("127.0.0.1:0", connecting(v4, errno.InvalidArgument))},
		{"invalid_no_zone", connecting("[fe80::1]:80", errno.InvalidArgument)},
		{"invalid_no_such_interface", dialing(v4, reported("setsockopt", errno.NoDevice))},
		{"invalid_socket_option", dialing(v4, reported("setsockopt", errno.NoProtocolOption))},
		{"invalid_no_ipv6_sockets", dialing(v6, reported("socket", errno.FamilyNotSupported))},
		{"unix_missing", onUnix("/run/app.sock", errno.FileNotFound)},
		{"unix_missing_in_tmp", onUnix("/tmp/app.sock", errno.FileNotFound)},
		{"unix_missing_relative", onUnix("app.sock", errno.FileNotFound)},
		{"unix_stale", onUnix("/run/app.sock", errno.ConnectionRefused)},
		{"unix_queue_full", onUnix("/run/app.sock", errno.WouldBlock)},
		{"unix_abstract", onUnix("@app", errno.ConnectionRefused)},
		{"unix_denied", onUnix("/run/my app.sock", errno.AccessDenied)},
		{"unix_type", onUnix("/run/app.sock", errno.WrongProtocolType)},
		{"unix_not_directory", onUnix("/etc/passwd/app.sock", errno.NotDirectory)},
		{"unix_too_long", onUnix("/run/"+strings.Repeat("x", 120), errno.InvalidArgument)},
		{"unix_missing_line_feed", onUnix("/run/app.sock\n", errno.FileNotFound)},
		{"unix_nul", onUnix("/run/app\x00.sock", errno.InvalidArgument)},
		{"unix_silent", onUnix("/run/app.sock", errno.TimedOut)},
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
var onlyLinux = []string{"unreachable_zero", "unreachable_blackhole", "unreachable_source_route"}

// Something else was dialed than was asked for.
func TestIndirect(t *testing.T) {
	through := func(err error) error {
		return &redial.Error{Network: "tcp", Address: "db.example:5432", Attempts: 1, Class: redial.Classify(err), Err: err, Stop: redial.ErrMaxAttempts}
	}
	proxy := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 8), Port: 1080}
	socks := func(err error) error {
		return &net.OpError{Op: "socks connect", Net: "tcp", Source: proxy, Addr: name("db.example:5432"), Err: err}
	}
	get := func(err error) error { return &url.Error{Op: "Get", URL: "https://user:secret@db.example/", Err: err} }
	for _, c := range []struct {
		name string
		err  error
	}{
		{"indirect_dialfunc_refused", through(connecting("127.0.0.1:1080", errno.ConnectionRefused))},
		{"indirect_dialfunc_unix_missing", through(onUnix("/run/tunnel.sock", errno.FileNotFound))},
		{"indirect_other_address", &redial.Error{Network: "tcp", Address: "192.0.2.1:80", Attempts: 1, Class: redial.Timeout, Err: dialing("192.0.2.8:80", os.ErrDeadlineExceeded)}},
		{"indirect_name_not_found", through(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "proxy.example", Server: "192.0.2.53:53", IsNotFound: true}})},
		{"socks_refused", socks(connecting("192.0.2.8:1080", errno.ConnectionRefused))},
		{"socks_dialfunc_refused", through(socks(connecting("192.0.2.8:1080", errno.ConnectionRefused)))},
		{"socks_silent", socks(&net.OpError{Op: "read", Net: "tcp", Addr: proxy, Err: os.ErrDeadlineExceeded})},
		{"socks_target_refused", socks(errors.New("unknown error connection refused"))},
		{"proxy_refused", get(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: connecting("192.0.2.8:3128", errno.ConnectionRefused)})},
		{"proxy_dialed_by_redial", get(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp",
			Err: failedAt("proxy.example:3128", redial.Refused, 2, refusedAt("192.0.2.8:3128"))}})},
		{"client_refused", get(connecting("192.0.2.1:443", errno.ConnectionRefused))},
		{"client_bare_deadline", fmt.Errorf("rpc: %w", context.DeadlineExceeded)},
		{"client_timeout", get(context.DeadlineExceeded)},
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
	text := on(err, "linux")
	assertForm(t, text)
	assert.Contains(t, text, "The client's time ran out")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, err = (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String())
	text = on(err, "linux")
	assertForm(t, text)
	assert.Contains(t, text, "accepted the connection, and then did not answer")
}

// Names: those that a resolver says do not exist, and those that it could not
// look up. The texts of package net's queries end with the system's own.
func TestNames(t *testing.T) {
	lookup := func(network string, e net.DNSError) error {
		return &net.OpError{Op: "dial", Net: network, Err: &e}
	}
	query := func(server, phase string, c errno.Condition) error {
		return lookup("tcp", net.DNSError{Name: "db.example", Server: server, IsTemporary: true,
			Err: phase + " udp 192.0.2.9:40000->" + server + ": " + reported("x", c).Error()})
	}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"not_found", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.exmaple", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found_resolved", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.example", Server: "127.0.0.53:53", IsNotFound: true})},
		{"not_found_short_name", lookup("tcp", net.DNSError{Err: "no such host", Name: "db", Server: "127.0.0.11:53", IsNotFound: true})},
		{"not_found_ipv6", lookup("tcp6", net.DNSError{Err: "no such host", Name: "db.example", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found_no_server", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true})},
		{"not_found_service", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.shop.svc.cluster.local", Server: "10.96.0.10:53", IsNotFound: true})},
		{"not_found_local", lookup("tcp", net.DNSError{Err: "no such host", Name: "printer.local", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found_quotation_mark", lookup("tcp", net.DNSError{Err: "no such host", Name: `"db.example"`, Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found_shell", lookup("tcp", net.DNSError{Err: "no such host", Name: "$(reboot).example", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found_other_family", &net.OpError{Op: "dial", Net: "tcp6", Err: &net.AddrError{Err: noSuitable(), Addr: "db.example"}}},
		{"dns_server_failure", lookup("tcp", net.DNSError{Err: "server misbehaving", Name: "db.example", Server: "192.0.2.53:53", IsTemporary: true})},
		{"dns_refused_query", lookup("tcp4", net.DNSError{Err: "server misbehaving", Name: "db.example", Server: "192.0.2.53:53"})},
		{"dns_silent", lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example.", Server: "192.0.2.53:53", IsTimeout: true})},
		{"dns_resolved_silent", lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example", Server: "127.0.0.53:53", IsTimeout: true})},
		{"dns_nobody_there", query("192.0.2.53:53", "read", errno.ConnectionRefused)},
		{"dns_resolved_not_running", query("127.0.0.53:53", "read", errno.ConnectionRefused)},
		{"dns_no_resolv_conf", query("127.0.0.1:53", "read", errno.ConnectionRefused)},
		{"dns_unreachable", query("192.0.2.53:53", "read", errno.HostUnreachable)},
		{"dns_no_route", query("192.0.2.53:53", "dial", errno.NetworkUnreachable)},
		{"dns_no_host", query("192.0.2.53:53", "dial", errno.HostUnreachable)},
		{"dns_not_permitted", query("192.0.2.53:53", "write", errno.NotPermitted)},
		{"dns_loopback_down", query("127.0.0.53:53", "dial", errno.NetworkUnreachable)},
		{"dns_no_server_named", lookup("tcp", net.DNSError{Err: "temporary failure", Name: "db.example", IsTemporary: true})},
		{"dns_too_slow", tried("db.example:80", 4*time.Second, lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example", IsTimeout: true}))},
		{"dns_configuration", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSConfigError{Err: errors.New("x")}}},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
}

// Dials that can never work, by net.Dialer itself: it needs no network to see
// that. None of them is a matter for network commands.
func TestInvalid(t *testing.T) {
	for _, c := range []struct{ name, network, address string }{
		{"invalid_missing_port", "tcp", "db.example"},
		{"invalid_missing_port_ipv6", "tcp", "2001:db8::1"},
		{"invalid_missing_port_brackets", "tcp", "[2001:db8::1]"},
		{"invalid_too_many_colons", "tcp", "2001:db8::1:443:80:1:2:3:4"},
		{"invalid_bracket", "tcp", "[2001:db8::1:80"},
		{"invalid_url", "tcp", "https://db.example/health"},
		{"invalid_url_ipv6", "tcp", "http://[2001:db8::1]:80/"},
		{"invalid_url_password", "tcp", "postgres://user:secret@db.example:5432/db"},
		{"invalid_url_without_host", "tcp", "custom://:x:"},
		{"invalid_user", "tcp", "user:secret@db.example:5432"},
		{"invalid_path", "tcp", "/run/app.sock"},
		{"invalid_empty", "tcp", ""},
		{"invalid_port", "tcp", "192.0.2.1:99999"},
		{"invalid_port_name", "tcp", "db.example:htpp"},
		{"invalid_port_carriage_return", "tcp", "127.0.0.1:80\r"},
		{"invalid_port_quotation_mark", "tcp", `"127.0.0.1:80"`},
		{"invalid_network", "tpc", "db.example:80"},
		{"invalid_network_scheme", "https", "db.example:443"},
		{"invalid_network_empty", "", "db.example:80"},
		{"invalid_network_case", "TCP", "db.example:80"},
		{"invalid_wrong_way_round", "db.example:80", "tcp"},
		{"invalid_family", "tcp6", "192.0.2.1:80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := net.Dial(c.network, c.address)
			require.Error(t, err)
			assertGolden(t, c.name, err)
			_, err = (&redial.Dialer{}).Dial(c.network, c.address)
			assertGolden(t, c.name, err)
			assert.NotContains(t, on(err, "linux"), here)
			assert.NotContains(t, on(err, "linux"), "secret")
		})
	}

	_, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6loopback}}).Dial("tcp", "192.0.2.1:80")
	assertGolden(t, "invalid_local_family", err)
	_, err = (&redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) { return nil, nil }}).Dial("tcp", "db.example:80")
	assertGolden(t, "invalid_dialfunc", err)
	assertGolden(t, "invalid_permanent", dialing("192.0.2.1:80", backoff.Permanent(errors.New("the tunnel knows no such target"))))
	assertGolden(t, "invalid_other", dialing("192.0.2.1:80", &net.ParseError{Type: "CIDR address", Text: "x"}))
}

// Names that no DNS can hold: what is wrong with each is pointed at.
func TestImpossibleNames(t *testing.T) {
	for _, c := range []struct{ name, host, fault string }{
		{"invalid_name_leading_zero", "127.0.0.01", `leading zero in "01"`},
		{"invalid_name_octet", "256.1.1.1", `"256" is over 255`},
		{"invalid_name_five_numbers", "1.2.3.4.5", "5 numbers, not 4"},
		{"invalid_name_dot_at_end", "192.0.2.1.", "a dot at its end"},
		{"invalid_name_colons", "::g", "has colons, but is no IPv6 address"},
		{"invalid_name_zone", "eth0%1:x", "zone"},
		{"invalid_name_space", "db .example", "at position 3"},
		{"invalid_name_nul", "db\x00.example", "NUL byte (\\x00) at position 3"},
		{"invalid_name_line_feed", "db.example\n", "line feed (\\n) at its end"},
		{"invalid_name_user", "user:secret@db.example", "has an @"},
		{"invalid_name_empty_part", "db..example", "empty part"},
		{"invalid_name_long_part", strings.Repeat("x", 64) + ".example", "64 characters"},
		{"invalid_name_long", strings.Repeat("xx.", 90) + "example", "277 characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: c.host, IsNotFound: true}}
			assertGolden(t, c.name, err)
			text := on(err, "linux")
			assert.Contains(t, text, c.fault)
			assert.NotContains(t, text, here)
			assert.NotContains(t, text, "secret")
		})
	}
}

func TestHandshake(t *testing.T) {
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
		{"tls_plain_http", at(tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte([]byte("HTTP/"))})},
		{"tls_plain_text", at(tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte([]byte("220 m"))})},
		{"tls_name", verification(x509.HostnameError{Certificate: certificate, Host: "db.example"})},
		{"tls_name_none", verification(x509.HostnameError{Host: "db.example"})},
		{"tls_authority", verification(x509.UnknownAuthorityError{Cert: certificate})},
		{"tls_self_signed", verification(x509.UnknownAuthorityError{Cert: &self})},
		{"tls_authority_no_issuer", verification(x509.UnknownAuthorityError{})},
		{"tls_expired", verification(x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired})},
		{"tls_certificate", verification(x509.CertificateInvalidError{Cert: certificate, Reason: x509.IncompatibleUsage})},
		{"tls_no_roots", verification(x509.SystemRootsError{})},
		{"tls_other", verification(x509.InsecureAlgorithmError(x509.MD5WithRSA))},
		{"tls_by_client", &url.Error{Op: "Get", URL: "https://db.example/", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: certificate}}}},
		{"tls_alert_client_certificate", at(&net.OpError{Op: "remote error", Err: alert(116)})},
		{"tls_alert_version", at(&net.OpError{Op: "remote error", Err: alert(70)})},
		{"tls_alert_other", at(&net.OpError{Op: "remote error", Err: alert(90)})},
		{"tls_silent", &net.OpError{Op: "dial", Net: "tcp", Err: tried("192.0.2.1:443", 3*time.Second, context.DeadlineExceeded)}},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
}

// alert is like crypto/tls's own type.
type alert uint8

func (a alert) Error() string { return fmt.Sprintf("tls: alert(%d)", uint8(a)) }

// The caller's own doing, and the bounds of the dial.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user closed\nthe window"))
	_, err := (&redial.Dialer{}).DialContext(ctx, "tcp", "db.example:5432")
	assertGolden(t, "canceled_before", err)

	over, cancelOver := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelOver()
	_, err = (&redial.Dialer{}).DialContext(over, "tcp", "db.example:5432")
	assertGolden(t, "deadline_before", err)
	over, cancelOver = context.WithDeadlineCause(t.Context(), time.Unix(1, 0), errors.New("lunch"))
	defer cancelOver()
	_, err = (&redial.Dialer{}).DialContext(over, "tcp", "db.example:5432")
	assertGolden(t, "deadline_before", err)

	assertGolden(t, "canceled_plain", dialing("192.0.2.1:5432", context.Canceled))

	slow := dialing("192.0.2.1:5432", os.ErrDeadlineExceeded)
	attempts := []redial.Attempt{
		{Number: 1, Duration: 10 * time.Second, Err: slow, Class: redial.Timeout},
		{Number: 2, Duration: 10 * time.Second, Err: slow, Class: redial.Timeout},
		{Number: 3, Duration: 2500 * time.Millisecond, Err: dialing("192.0.2.1:5432", context.Canceled), Class: redial.Canceled},
	}
	dial := redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 3, Elapsed: 22800 * time.Millisecond,
		Class: redial.Canceled, Err: attempts[2].Err, Stop: context.Canceled, History: attempts}
	assertGolden(t, "canceled", &dial)
	dial.Attempts, dial.Elapsed, dial.Stop, dial.History = 1, 2500*time.Millisecond, errors.New("got signal interrupt"), attempts[2:]
	assertGolden(t, "canceled_cause", &dial)
	dial.Stop, dial.History = context.Canceled, nil
	assertGolden(t, "canceled_no_history", &dial)

	late := redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 2, Elapsed: 20100 * time.Millisecond,
		Class: redial.Timeout, Err: slow, Stop: redial.ErrDeadline, History: attempts[:2]}
	assertGolden(t, "deadline", &late)
	late.History = nil
	assertGolden(t, "deadline_no_history", &late)
	// The last attempt was cut off; the one before it tells.
	late.Class, late.Err, late.Elapsed = redial.Reset, dialing("192.0.2.1:5432", io.EOF), 1100*time.Millisecond
	late.History = []redial.Attempt{
		{Number: 1, Duration: time.Second, Err: late.Err, Class: redial.Reset},
		{Number: 2, Duration: 3 * time.Millisecond, Err: slow, Class: redial.Timeout},
	}
	assertGolden(t, "deadline_cut_off", &late)
}

func TestUnknown(t *testing.T) {
	var nilOp *net.OpError
	for _, c := range []struct {
		name string
		err  error
	}{
		{"unknown", errors.New("quota reached.\n")},
		{"unknown_of_dial", dialing("192.0.2.1:80", errors.New("quota\x1b[31m reached"))},
		{"unknown_empty", errors.New("")},
		{"unknown_nil_pointer", nilOp},
		{"unknown_class", &redial.Error{Address: "192.0.2.1:80", Attempts: 1, Class: 200, Err: errors.New("quota reached")}},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
	assert.Empty(t, Error(nil))
}

// The same on every system: Winsock's numbers are explained as POSIX's, and
// the commands fit the system.
func TestSystems(t *testing.T) {
	for _, c := range []errno.Condition{errno.ConnectionRefused, errno.NetworkUnreachable, errno.HostUnreachable, errno.NetworkDown, errno.AccessDenied,
		errno.TooManyFiles, errno.NoBuffers, errno.AddressNotAvailable, errno.AddressInUse, errno.FamilyNotSupported} {
		for _, address := range []string{"127.0.0.1:80", "192.0.2.1:80", "[2001:db8::1]:80"} {
			assert.Equal(t, on(connecting(address, c), "windows"), on(dialing(address, os.NewSyscallError("connectex", c.Winsock())), "windows"))
		}
	}
	refused := connecting("127.0.0.1:5432", errno.ConnectionRefused)
	for goos, command := range map[string]string{
		"linux":   "Here: ss -ltnp\n",
		"darwin":  "Here: lsof -nP -iTCP -sTCP:LISTEN\n",
		"windows": "Here: netstat -ano | findstr LISTENING\n",
		"freebsd": "Here: netstat -an\n",
	} {
		assert.Contains(t, on(refused, goos), command)
	}
	assert.NotContains(t, on(refused, "wasip1"), here)
	assertGoldenOn(t, "darwin", "on_darwin_unreachable_host", connecting("192.0.2.1:80", errno.HostUnreachable))
	assertGoldenOn(t, "windows", "on_windows_timeout", dialing("192.0.2.1:80", os.ErrDeadlineExceeded))
	assertGoldenOn(t, "windows", "on_windows_denied_bind", bound("192.0.2.9:80", dialing("192.0.2.1:80", reported("bind", errno.AccessDenied))))
	assertGoldenOn(t, "freebsd", "on_freebsd_refused", connecting("192.0.2.1:80", errno.ConnectionRefused))
}

package redial_test

// What Explain says stands in testdata/explain, one file a case, to be read as
// a user would. After a change,
//
//	go test -run Explain -update . ./systest
//
// writes the files anew, for git diff to show; as root, for those that take
// namespaces.

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
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

var update = flag.Bool("update", false, "write testdata/explain anew")

// assertGolden compares the explanation of err on Linux with the file of that
// name. replace has pairs of what differs from run to run, such as a port, and
// what stands for it in the file.
func assertGolden(t *testing.T, name string, err error, replace ...string) {
	t.Helper()
	require.Error(t, err)
	got := redial.ExplainOn(err, "linux")
	assertForm(t, got)
	got = strings.NewReplacer(replace...).Replace(got) + "\n"
	path := filepath.Join("testdata", "explain", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, readErr := os.ReadFile(path)
	require.NoError(t, readErr)
	assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got, "of: %v", err)
}

// assertForm checks what holds for every explanation.
func assertForm(t *testing.T, explained string) {
	t.Helper()
	lines := strings.Split(explained, "\n")
	assert.True(t, strings.HasSuffix(lines[0], "."), "%q", lines[0])
	assert.LessOrEqual(t, len(lines), 5, "more than four things to check:\n%s", explained)
	assert.GreaterOrEqual(t, len(lines), 2, "nothing to check:\n%s", explained)
	for _, line := range lines {
		assert.NotContains(t, line, "%!", "a format that does not fit")
		assert.NotContains(t, line, "invalid IP")
		assert.NotContains(t, line, "invalid AddrPort")
		assert.Equal(t, strings.TrimRight(line, " "), line)
	}
	for _, check := range lines[1:] {
		assert.Truef(t, strings.HasPrefix(check, "  - "), "%q", check)
	}
}

func TestExplainNil(t *testing.T) {
	assert.Empty(t, redial.Explain(nil))
}

// Errors of names: those of a resolver are made up here, for the machine's
// own would tell of its servers; package systest has real ones.
func TestExplainNames(t *testing.T) {
	lookup := func(network string, e net.DNSError) error {
		return &net.OpError{Op: "dial", Net: network, Err: &e}
	}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"not_found", lookup("tcp", net.DNSError{Err: "no such host", Name: "db.exmaple", Server: "192.0.2.53:53", IsNotFound: true})},
		{"not_found_short_name", lookup("tcp", net.DNSError{Err: "no such host", Name: "db", Server: "127.0.0.11:53", IsNotFound: true})},
		{"not_found_family", lookup("tcp6", net.DNSError{Err: "no such host", Name: "db.example", IsNotFound: true})},
		{"dns_failing", lookup("tcp", net.DNSError{Err: "server misbehaving", Name: "db.example", Server: "192.0.2.53:53", IsTemporary: true})},
		{"dns_silent", lookup("tcp", net.DNSError{Err: "i/o timeout", Name: "db.example.", Server: "192.0.2.53:53", IsTimeout: true})},
		{"dns_unknown_server", fmt.Errorf("dial: %w", &redial.Error{Network: "tcp", Address: "db.example:80", Attempts: 2,
			Elapsed: time.Second, Class: redial.DNS, Err: errors.New("resolver"), Stop: redial.ErrMaxAttempts})},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
}

// Dials that can't work, by net.Dialer itself, for it needs no network to see
// that.
func TestExplainInvalid(t *testing.T) {
	for _, c := range []struct{ name, network, address string }{
		{"invalid_missing_port", "tcp", "db.example"},
		{"invalid_missing_port_ipv6", "tcp", "2001:db8::1"},
		{"invalid_missing_port_brackets", "tcp", "[2001:db8::1]"},
		{"invalid_ipv6_without_brackets", "tcp", "2001:db8::1:443:80:1:2:3:4"},
		{"invalid_url", "tcp", "https://db.example/health"},
		{"invalid_url_without_host", "tcp", "custom://:x:"},
		{"invalid_path", "tcp", "/run/app.sock"},
		{"invalid_empty", "tcp", ""},
		{"invalid_port", "tcp", "192.0.2.1:99999"},
		{"invalid_port_name", "tcp", "db.example:htpp"},
		{"invalid_network", "tpc", "db.example:80"},
		{"invalid_network_scheme", "https", "db.example:443"},
		{"invalid_network_empty", "", "db.example:80"},
		{"invalid_network_case", "TCP", "db.example:80"},
		{"invalid_wrong_way_round", "db.example:80", "tcp"},
		{"invalid_url_ipv6", "tcp", "http://[2001:db8::1]:80/"},
		{"invalid_family", "tcp6", "192.0.2.1:80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := net.Dial(c.network, c.address)
			require.Error(t, err)
			assertGolden(t, c.name, err)
			_, err = (&redial.Dialer{}).Dial(c.network, c.address)
			assertGolden(t, c.name, err)
		})
	}

	_, err := (&redial.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) { return nil, nil }}).Dial("tcp", "db.example:80")
	assertGolden(t, "invalid_dialfunc", err)
	permanent := backoff.Permanent(errors.New("the tunnel knows no such target"))
	assertGolden(t, "invalid_permanent", opDial("192.0.2.1:80", permanent))
	assertGolden(t, "invalid_other", opDial("192.0.2.1:80", &net.ParseError{Type: "CIDR address", Text: "x"}))
}

// opDial is net.Dialer's error of a dial to that address.
func opDial(address string, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)), Err: err}
}

func TestExplainTLS(t *testing.T) {
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
	for _, c := range []struct {
		name string
		err  error
	}{
		{"tls_plain_http", at(tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte([]byte("HTTP/"))})},
		{"tls_plain_text", at(tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte([]byte("220 m"))})},
		{"tls_name", verification(x509.HostnameError{Certificate: certificate, Host: "db.example"})},
		{"tls_name_none", verification(x509.HostnameError{Host: "db.example"})},
		{"tls_authority", verification(x509.UnknownAuthorityError{Cert: certificate})},
		{"tls_authority_no_issuer", verification(x509.UnknownAuthorityError{})},
		{"tls_expired", verification(x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired})},
		{"tls_certificate", verification(x509.CertificateInvalidError{Cert: certificate, Reason: x509.IncompatibleUsage})},
		{"tls_other", verification(x509.SystemRootsError{})},
		{"tls_by_client", &url.Error{Op: "Get", URL: "https://db.example/", Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: certificate}}}},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
}

// The caller's own doing, and the bounds of the dial.
func TestExplainCanceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user closed the window"))
	_, err := (&redial.Dialer{}).DialContext(ctx, "tcp", "db.example:5432")
	assertGolden(t, "canceled_before", err)

	over, cancelOver := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelOver()
	_, err = (&redial.Dialer{}).DialContext(over, "tcp", "db.example:5432")
	assertGolden(t, "deadline_before", err)

	assertGolden(t, "canceled_plain", opDial("192.0.2.1:5432", context.Canceled))
	assertGolden(t, "deadline_plain", fmt.Errorf("connect: %w", context.DeadlineExceeded))

	slow := opDial("192.0.2.1:5432", os.ErrDeadlineExceeded)
	attempts := []redial.Attempt{
		{Number: 1, Duration: 10 * time.Second, Err: slow, Class: redial.Timeout},
		{Number: 2, Duration: 10 * time.Second, Err: slow, Class: redial.Timeout},
		{Number: 3, Duration: 2500 * time.Millisecond, Err: opDial("192.0.2.1:5432", context.Canceled), Class: redial.Canceled},
	}
	assertGolden(t, "canceled", &redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 3, Elapsed: 22800 * time.Millisecond,
		Class: redial.Canceled, Err: attempts[2].Err, Stop: context.Canceled, History: attempts})
	assertGolden(t, "canceled_cause", &redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 1, Elapsed: 2500 * time.Millisecond,
		Class: redial.Canceled, Err: attempts[2].Err, Stop: errors.New("got signal interrupt"), History: attempts[2:]})
	assertGolden(t, "canceled_no_history", &redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 1, Elapsed: 2500 * time.Millisecond,
		Class: redial.Canceled, Err: attempts[2].Err, Stop: context.Canceled})

	assertGolden(t, "deadline", &redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 2, Elapsed: 20100 * time.Millisecond,
		Class: redial.Timeout, Err: slow, Stop: redial.ErrDeadline, History: attempts[:2]})
	assertGolden(t, "deadline_no_history", &redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 2, Elapsed: 20100 * time.Millisecond,
		Class: redial.Timeout, Err: slow, Stop: redial.ErrDeadline})
	// The last attempt was cut off; it is the one before that tells.
	cut := []redial.Attempt{
		{Number: 1, Duration: time.Second, Err: opDial("192.0.2.1:5432", io.EOF), Class: redial.Reset},
		{Number: 2, Duration: 3 * time.Millisecond, Err: slow, Class: redial.Timeout},
	}
	assertGolden(t, "deadline_cut_off", &redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 2, Elapsed: 1100 * time.Millisecond,
		Class: redial.Reset, Err: cut[0].Err, Stop: redial.ErrDeadline, History: cut})

	brief := []redial.Attempt{{Number: 1, Duration: 200 * time.Millisecond, Err: slow, Class: redial.Timeout}}
	assertGolden(t, "timeout_brief", &redial.Error{Network: "tcp", Address: "192.0.2.1:5432", Attempts: 1, Elapsed: 200 * time.Millisecond,
		Class: redial.Timeout, Err: slow, Stop: redial.ErrMaxAttempts, History: brief})
}

func TestExplainUnknown(t *testing.T) {
	var nilOp *net.OpError
	for _, c := range []struct {
		name string
		err  error
	}{
		{"unknown", errors.New("quota reached.\n")},
		{"unknown_of_dial", opDial("192.0.2.1:80", errors.New("quota reached"))},
		{"unknown_empty", errors.New("")},
		{"unknown_nil_pointer", nilOp},
		{"unknown_class", &redial.Error{Address: "192.0.2.1:80", Attempts: 1, Class: 200, Err: errors.New("quota reached")}},
		{"refused_unknown_target", &redial.Error{Attempts: 1, Class: redial.Refused, Err: errors.New("loading")}},
		{"reset_eof", &net.OpError{Op: "read", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:80")), Err: io.EOF}},
		{"timeout_read", &net.OpError{Op: "read", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:80")), Err: os.ErrDeadlineExceeded}},
	} {
		t.Run(c.name, func(t *testing.T) { assertGolden(t, c.name, c.err) })
	}
	assert.NotPanics(t, func() { redial.Explain(fmt.Errorf("wrapped: %w", error(nilOp))) })
	assert.NotPanics(t, func() { redial.Explain(errors.Join()) })
	assert.NotPanics(t, func() { redial.Explain(&redial.Error{}) })
	assert.NotPanics(t, func() {
		redial.Explain(&net.OpError{Addr: (*net.TCPAddr)(nil), Source: (*net.TCPAddr)(nil), Err: io.EOF})
	})
}

// It has something to say of each class, on each system, however little of the
// dial is known, and never more than fits.
func TestExplainEveryClass(t *testing.T) {
	networks := []string{"", "tcp", "tcp6", "udp", "unix", "ip4:icmp", "tpc"}
	addresses := []string{"", "localhost:80", ":80", "db.example:http", "192.0.2.1:80", "[fe80::1]:80", "[::1]:0", "db.example", "/run/app.sock", "@app"}
	ends := []error{nil, redial.ErrPermanent, redial.ErrDeadline, redial.ErrMaxElapsed, context.Canceled}
	goosList := []string{"linux", "darwin", "windows", "freebsd", "js"}
	for class := redial.Unknown; class <= redial.Canceled; class++ {
		for _, network := range networks {
			for _, address := range addresses {
				for i, stop := range ends {
					for _, op := range []string{"dial", "read", "proxyconnect", "remote error"} {
						inner := &net.OpError{Op: op, Net: network, Err: errors.New("x")}
						err := &redial.Error{Network: network, Address: address, Attempts: i, Class: class, Err: inner, Stop: stop}
						assertForm(t, redial.ExplainOn(err, goosList[i]))
						if t.Failed() {
							t.Fatalf("%#v", err)
						}
					}
				}
			}
		}
	}
}

// Explain says what Classify says, of any error that Classify takes.
func FuzzExplain(f *testing.F) {
	f.Add("tcp", "db.example:80", "no such host", true)
	f.Add("unix", "@x", "", false)
	f.Add("tcp", "http://[::1", "%s%!", false)
	f.Fuzz(func(t *testing.T, network, address, text string, found bool) {
		for _, err := range []error{
			&net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: text, Name: address, IsNotFound: found}},
			&net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: text, Addr: address}},
			&url.Error{Op: "Get", URL: address, Err: errors.New(text)},
			&redial.Error{Network: network, Address: address, Attempts: 1, Class: redial.Refused, Err: errors.New(text)},
		} {
			assert.NotEmpty(t, redial.Explain(err))
		}
	})
}

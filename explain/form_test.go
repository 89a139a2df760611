package explain

// What holds for every explanation, whatever the error.

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

var (
	systems = []string{"linux", "darwin", "windows", "freebsd", "js"}
	calls   = []string{"", "socket", "bind", "setsockopt", "connect", "read", "write"}
	// Holes in a sentence or a command.
	malformed = regexp.MustCompile(`%!|invalid IP|invalid AddrPort|\(\)|\S  \S| [.,;?]|\bHas (it|this)\b|<nil>| (?m:$)`)
)

func assertForm(t *testing.T, text string) {
	t.Helper()
	if problem := formProblem(text); problem != "" {
		assert.Fail(t, problem, "%s", text)
	}
}

// formProblem says what is wrong with the form of an explanation; empty if nothing is.
func formProblem(text string) string {
	lines := strings.Split(text, "\n")
	switch {
	case len(text) > 2048:
		return fmt.Sprintf("%d bytes", len(text))
	case !utf8.ValidString(text):
		return "not UTF-8"
	case len(lines) > 6 || len(lines) < 2:
		return fmt.Sprintf("%d lines", len(lines))
	case strings.HasPrefix(lines[0], " "):
		return "no headline"
	case !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "  - ") }):
		return "nothing to check"
	}
	for i, line := range lines {
		switch {
		case utf8.RuneCountInString(line) > 120:
			return fmt.Sprintf("line %d has %d columns", i+1, utf8.RuneCountInString(line))
		case strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || !unicode.IsPrint(r) }):
			return fmt.Sprintf("line %d has a character that is not to be printed", i+1)
		case i > 0 && !strings.HasPrefix(line, "  "):
			return fmt.Sprintf("line %d is not indented", i+1)
		}
	}
	return ""
}

// Every condition has a text of its own, or one that several share by a name that
// says so. The golden file lists which error gets which text.
func TestEveryConditionHasAText(t *testing.T) {
	var list strings.Builder
	for c := errno.Unknown + 1; c < errno.NumConditions; c++ {
		if c.Err() == nil && c.Winsock() == nil {
			continue // another system's, which has no number here
		}
		for _, call := range calls {
			for _, network := range []string{"tcp 192.0.2.1:80", "tcp [2001:db8::1]:80", "tcp 127.0.0.1:80", "tcp [::1]:80", "udp 192.0.2.1:80", "unix /run/app.sock"} {
				err := failedCall(network, call, c)
				a := on(err, "linux")
				assertForm(t, a.String())
				if slices.Contains(fallbacks, a.Code) {
					assert.Contains(t, withoutText, c, "%v has only the text %q: %v", c, a.Code, err)
				}
				if call == "connect" {
					fmt.Fprintf(&list, "%-26v %-8s %-20s %s\n", c, call, network, a.Code)
				}
			}
		}
	}
	path := filepath.Join("testdata", "texts.golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(list.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	if runtime.GOOS == "linux" {
		assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), list.String())
	}
}

// Each check begins with the address if a name's addresses failed in different ways. The check has
// whole sentences even after the longest IPv6 address.
func TestChecksAreWholeAfterAnAddress(t *testing.T) {
	const long = "[2001:db8:1111:2222:3333:4444:5555:6666]:80"
	var failures []redial.AddrResult
	for c := errno.Unknown + 1; c < errno.NumConditions; c++ {
		if c.Err() != nil {
			failures = append(failures, result(long, time.Millisecond, connecting(long, c)))
		}
	}
	for _, took := range []time.Duration{200 * time.Millisecond, 3 * time.Second} {
		failures = append(failures, result(long, took, dialing(long, os.ErrDeadlineExceeded)),
			result(long, took, connecting(long, errno.HostUnreachable)))
	}
	refused, silent := refusedAt("192.0.2.1:80"), silentAt("192.0.2.1:80")
	for _, failed := range failures {
		for _, other := range []redial.AddrResult{refused, silent} {
			text := on(failedAt("db.example:80", failed.Class, 1, failed, other), "linux").String()
			assertForm(t, text)
			_, checks, _ := strings.Cut(text, "\n  - ")
			assert.NotRegexp(t, `(?m)\.\.\.$`, checks, "%v", failed.Err)
		}
	}
}

// fallbacks are the texts that say only what class an error is of. withoutText
// has the conditions that no system reports of a dial in a way that is known.
var (
	fallbacks   = []string{"unknown.other", "exhausted.other", "invalid.other", "denied.other", "tls.other"}
	withoutText = []errno.Condition{errno.TooManyProcesses, errno.NoFreeDevice, errno.ProtocolError, errno.WouldBlock, errno.FileNotFound,
		errno.NotSocket, errno.NoDevice, errno.NoDeviceOrAddress}
)

// failedCall is the error of a dial in which call reported c.
func failedCall(network, call string, c errno.Condition) error {
	network, address, _ := strings.Cut(network, " ")
	op := &net.OpError{Op: "dial", Net: network, Err: sysError(call, c)}
	if call == "read" || call == "write" {
		op.Op = call
	}
	if network == "unix" {
		op.Addr = &net.UnixAddr{Net: network, Name: address}
	} else {
		op.Addr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
	}
	return op
}

// isClass reports whether c is one of redial's classes.
func isClass(c redial.Class) bool {
	_, err := c.MarshalText()
	return err == nil
}

// A class that redial gets has a text here, and not that of Unknown.
func TestEveryClassHasATextOfItsOwn(t *testing.T) {
	for class := redial.Unknown; isClass(class); class++ {
		err := &redial.Error{Network: "tcp", Address: "db.example:80", Attempts: 1, Class: class, Err: errors.New("x"), Stop: redial.ErrPermanent}
		assert.True(t, strings.HasPrefix(on(err, "linux").Code, class.String()+"."), "%v has the code %s", class, on(err, "linux").Code)
	}
}

// Whatever class a Classifier gives an error, and however little is known of the dial, the
// explanation keeps its form, on every system. So it does for a class that is none.
func TestEveryDialKeepsTheForm(t *testing.T) {
	t.Parallel()
	networks := []string{"", "tcp", "tcp6", "udp", "unix", "ip4:icmp", "tpc"}
	addresses := []string{"", "localhost:80", ":80", "db.example:http", "192.0.2.1:80", "[fe80::1]:80", "[::1]:0", "db.example", "/run/app.sock", "@app", strings.Repeat("long.", 60) + ":80"}
	checked := map[string]bool{}
	ends := []redial.Stop{0, redial.ErrPermanent, redial.ErrDeadline, redial.ErrMaxElapsed, redial.ErrCanceled}
	for class := redial.Unknown; class <= redial.Canceled+1; class++ {
		for _, network := range networks {
			for _, address := range addresses {
				for i, stop := range ends {
					for _, op := range []string{"dial", "read", "proxyconnect", "remote error", "socks connect"} {
						inner := &net.OpError{Op: op, Net: network, Err: errors.New("x")}
						err := &redial.Error{Network: network, Address: address, Attempts: i, Class: class, Err: inner, Stop: stop}
						text := on(err, systems[i]).String()
						if checked[text] {
							continue // most dials have the text of another one
						}
						checked[text] = true
						if problem := formProblem(text); problem != "" || malformed.MatchString(text) {
							t.Fatalf("%s:\n%s\n%#v", problem, text, err)
						}
					}
				}
			}
		}
	}
}

// The same for each condition that a call can report. With -short, each is explained on one
// system, because an emulated machine takes minutes for the rest.
func TestEveryConditionOfEveryClassKeepsTheForm(t *testing.T) {
	t.Parallel()
	onEach := systems
	if testing.Short() {
		onEach = []string{"linux"}
	}
	for class := redial.Unknown; class <= redial.Canceled+1; class++ {
		for c := errno.Unknown; c < errno.NumConditions; c++ {
			if c.Err() == nil && c.Winsock() == nil {
				continue
			}
			for _, call := range calls {
				for _, network := range []string{"tcp 192.0.2.1:80", "tcp [2001:db8::1]:80", "tcp [::1]:80", "unix /run/app.sock"} {
					inner := failedCall(network, call, c)
					err := &redial.Error{Network: "tcp", Address: "db.example:80", Attempts: 3, Elapsed: time.Second, Class: class, Err: inner, Stop: redial.ErrPermanent}
					for _, goos := range onEach {
						if problem := formProblem(on(err, goos).String()); problem != "" {
							t.Fatalf("%s:\n%s\n%#v", problem, on(err, goos).String(), err)
						}
					}
				}
			}
		}
	}
}

// Each placeholder is in the table, each command too, and each text is one question with what to look for.
func TestRules(t *testing.T) {
	codes := map[string]bool{}
	for class, table := range rules {
		for i, r := range table {
			code := class.String() + "." + r.code
			assert.False(t, codes[code], "two rules have the code %s", code)
			codes[code] = true
			assert.Equal(t, i == len(table)-1, r.when == nil, "%s: only the last rule of a class always fits", code)
			assert.NotEmpty(t, r.checks, "%s", code)
			assert.LessOrEqual(t, len(r.checks), mostChecks, "%s", code)
			lines := []string{r.observed, r.likely}
			for _, c := range r.checks {
				lines = append(lines, c.question)
				assert.Equal(t, c.run == command{}, c.where == "", "%s: %s", code, c.question)
				assertCommand(t, c.run)
				assert.LessOrEqual(t, strings.Count(placeholder.ReplaceAllString(c.question, ""), "?"), 1, "%s: one question: %s", code, c.question)
			}
			for _, line := range lines {
				for _, found := range placeholder.FindAllStringSubmatch(line, -1) {
					assert.True(t, texts[found[1]] != nil || words[found[1]] != nil, "%s: no placeholder %s", code, found[0])
				}
			}
		}
	}
}

// assertCommand checks the lines of a command, each of which is one command with known words.
func assertCommand(t *testing.T, c command) {
	t.Helper()
	for _, line := range c {
		assert.NotContains(t, line, "; ")
		for _, found := range placeholder.FindAllStringSubmatch(line, -1) {
			assert.NotNil(t, words[found[1]], "%s: no word %s", line, found[0])
		}
	}
}

var placeholder = regexp.MustCompile(`\{([^}]*)\}`)

// assertFilled checks that each placeholder in the texts of the failure's rule has a value.
func assertFilled(t *testing.T, f *facts) {
	t.Helper()
	r := f.rule()
	for _, text := range append([]string{r.observed, r.likely}, questions(r)...) {
		for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
			if value := texts[found[1]]; value != nil && !strings.HasSuffix(found[1], "?") {
				assert.NotEmpty(t, value(f), "%s in %q", found[0], text)
			} else if value == nil {
				assert.NotEmpty(t, words[found[1]](f), "%s in %q", found[0], text)
			}
		}
	}
}

func questions(r *rule) (all []string) {
	for _, c := range r.checks {
		all = append(all, c.question)
	}
	return all
}

// A program can give Do a URL or a DSN as the address. Neither the texts nor the commands show its user and password.
func TestPasswordsAreHidden(t *testing.T) {
	for _, address := range []string{
		"me:secret@192.0.2.1:5432", "me:secret@db.example:5432", "postgres://me:secret@db.example:5432/shop?sslmode=disable",
		"me:secret@tcp(db.example:3306)/shop", "amqp://me:secret@mq.example", "me:secret@localhost",
	} {
		host := target{"tcp", address}.host()
		for class := redial.Unknown; class <= redial.Canceled; class++ {
			for _, inner := range []error{
				errors.New("x"), connecting("127.0.0.1:5432", errno.ConnectionRefused), connecting("192.0.2.1:5432", errno.TimedOut),
				dialing("192.0.2.1:5432", sysError("connect", errno.HostUnreachable)),
				&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: host, Err: "no such host", IsNotFound: true}},
				&net.OpError{Op: "dial", Net: "tcp", Err: &net.AddrError{Addr: address, Err: "too many colons in address"}},
				&tls.CertificateVerificationError{Err: x509.HostnameError{Host: host, Certificate: &x509.Certificate{}}},
			} {
				err := &redial.Error{Network: "tcp", Address: address, Attempts: 2, Class: class, Err: inner, Stop: redial.ErrMaxAttempts}
				for _, goos := range systems {
					a := on(err, goos)
					text := fmt.Sprintf("%s %+v", a, a)
					assert.NotContains(t, text, "secret")
					assert.NotContains(t, text, "me:")
				}
			}
		}
	}
}

// Text of others stands in quotation marks, wherever it comes from.
func TestForeignTextIsQuoted(t *testing.T) {
	const text = "evil text"
	cause := errors.New(text)
	unix := &net.UnixAddr{Net: "unix", Name: "/run/" + text}
	quoted := regexp.MustCompile(`"(\\.|[^"\\])*"|'[^']*'`)
	for _, err := range []error{
		cause, dialing("192.0.2.1:80", cause), dialing("192.0.2.1:80", backoff.Permanent(cause)),
		&net.OpError{Op: "dial", Net: text, Addr: unix, Err: net.UnknownNetworkError(text)},
		&net.OpError{Op: "dial", Net: "unix", Addr: unix, Err: sysError("connect", errno.FileNotFound)},
		&net.OpError{Op: "dial", Net: "unix", Source: unix, Addr: unix, Err: sysError("bind", errno.AddressInUse)},
		&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: text, Server: text, Err: text, IsNotFound: true}},
		&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "a.test", Server: text, Err: "read udp: " + text}},
		&net.OpError{Op: "dial", Net: "tcp", Err: &net.AddrError{Addr: text, Err: text}},
		&net.OpError{Op: "remote error", Err: cause}, &net.OpError{Op: "socks connect", Net: "tcp", Addr: unix, Err: cause},
		&tls.CertificateVerificationError{Err: x509.HostnameError{Host: text, Certificate: &x509.Certificate{DNSNames: []string{text}}}},
		&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: &x509.Certificate{Issuer: pkix.Name{CommonName: text}}}},
		&redial.Error{Network: "tcp", Address: text + ":80", Attempts: 1, Class: redial.Canceled, Stop: redial.ErrCanceled, Cause: cause},
		&redial.Error{Network: "tcp", Address: "192.0.2.1:" + text, Attempts: 1, Class: redial.Refused, Err: cause},
		&url.Error{Op: "Get", URL: "http://192.0.2.1/" + text, Err: cause},
	} {
		for _, goos := range systems {
			explained := on(err, goos).String()
			assert.NotContains(t, quoted.ReplaceAllString(explained, ""), "evil", "%s", explained)
		}
	}
}

func TestShellWords(t *testing.T) {
	f := factsOf(connecting("192.0.2.1:80", errno.ConnectionRefused), "linux")
	for arg, want := range map[string]string{
		"db.example": "getent ahosts db.example",
		"a b":        "getent ahosts 'a b'",
		"$(reboot)":  "getent ahosts '$(reboot)'",
		"it's":       `getent ahosts 'it'\''s'`,
		"-rf":        "",
		"a\nb":       "",
		"a\u202eb":   "",
		"":           "",
		"a%b":        "getent ahosts a%b",
		"192.0.2.1":  "", // nothing to resolve
	} {
		f.asked = target{"tcp", net.JoinHostPort(arg, "80")}
		f.remote = netip.AddrPort{}
		line, _ := f.command(resolve)
		assert.Equal(t, want, line, "%q", arg)
	}
	f.asked = target{"tcp", "a:80;reboot"}
	line, _ := f.command(listening)
	assert.Empty(t, line, "a port within quotes")
	f.goos = "windows"
	for _, odd := range []string{"a b:80", "%PATH%:80"} {
		f.asked = target{"tcp", odd}
		line, _ = f.command(resolve)
		assert.Empty(t, line, "%q", odd)
	}
}

// An explanation keeps its form for errors that lack parts.
func TestIncompleteErrorsAreExplained(t *testing.T) {
	var nilOp *net.OpError
	for _, err := range []error{
		&redial.Error{}, &net.OpError{}, &url.Error{}, &os.SyscallError{},
		&net.OpError{Addr: (*net.TCPAddr)(nil), Source: (*net.TCPAddr)(nil), Err: errors.New("x")},
		&net.OpError{Op: "dial", Err: &net.DNSError{}}, &net.OpError{Op: "socks connect"},
		&tls.CertificateVerificationError{}, x509.HostnameError{}, x509.UnknownAuthorityError{}, x509.CertificateInvalidError{},
		&redial.Error{Attempts: 1, Class: redial.Refused, History: []redial.Attempt{{Addrs: []redial.AddrResult{{Err: errors.New("x"), Class: 200}, {Err: nilOp, Class: 201}}}}},
		&redial.Error{Attempts: 1, Class: redial.Refused, History: []redial.Attempt{{Addrs: []redial.AddrResult{{Err: nilOp}, {Err: errors.New("x"), Class: redial.Timeout}}}}},
	} {
		assertForm(t, on(err, "linux").String())
	}
}

// A nil pointer does not hide what stands beside it, and is no address.
func TestNilPointersArePassedOver(t *testing.T) {
	quota := errors.New("quota reached")
	assert.Equal(t, on(quota, "linux").String(), on(errors.Join((*net.OpError)(nil), quota), "linux").String())

	failed := dialing("192.0.2.1:80", sysError("bind", errno.AddressNotAvailable)).(*net.OpError)
	want := on(failed, "linux").String()
	failed.Source = (*net.TCPAddr)(nil)
	assert.Equal(t, want, on(failed, "linux").String())
	_, err := net.ResolveTCPAddr("tcp6", "192.0.2.1:80")
	failed = &net.OpError{Op: "dial", Net: "tcp6", Addr: failed.Addr, Err: err}
	want = on(failed, "linux").String()
	failed.Source = (*net.TCPAddr)(nil)
	assert.Equal(t, want, on(failed, "linux").String())
}

// Error neither panics nor hangs, and an explanation keeps its form, wherever a hostile error stands.
func TestHostileErrorsAreExplained(t *testing.T) {
	t.Parallel()
	for _, hostile := range testutil.HostileErrors() {
		t.Run(hostile.Name, func(t *testing.T) {
			h := hostile.Err
			attempts := []redial.Attempt{{Number: 1, Class: redial.Reset, Err: h}, {Number: 2, Class: redial.Canceled, Err: h}}
			results := []redial.AddrResult{{Class: redial.Refused, Err: h}, {Class: redial.Timeout, Err: h}}
			errs := []error{
				h, errors.Join(h), errors.Join(io.EOF, h), errors.Join(h, h),
				&net.OpError{Op: "dial", Net: "tcp", Err: h}, &net.OpError{Op: "socks connect", Err: h}, &net.OpError{Op: "remote error", Err: h},
				&url.Error{Op: "Get", URL: "http://a.test", Err: h},
				&net.DNSError{Name: "a.test", UnwrapErr: h}, &tls.CertificateVerificationError{Err: h}, backoff.Permanent(h),
				&redial.Error{Attempts: 2, Class: redial.Canceled, Err: h, Stop: redial.ErrCanceled, Cause: h, History: attempts},
				&redial.Error{Attempts: 2, Class: redial.Reset, Err: h, Stop: redial.ErrDeadline, History: attempts},
				&redial.Error{Attempts: 1, Class: redial.Refused, Err: h, Stop: redial.ErrPermanent, History: []redial.Attempt{{Err: h, Addrs: results}}},
			}
			for class := redial.Unknown; isClass(class); class++ {
				if testing.Short() && hostile.TooLarge {
					break // each takes a second in an emulated machine
				}
				errs = append(errs, &redial.Error{Attempts: 1, Class: class, Err: h, Stop: redial.ErrPermanent})
			}
			for i, err := range errs {
				assert.NotPanics(t, func() {
					if problem := formProblem(on(err, "linux").String()); problem != "" {
						t.Errorf("error %d: %s", i, problem)
					}
				}, "error %d", i)
			}
		})
	}
}

func FuzzError(f *testing.F) {
	f.Add("tcp", "db.example:80", "no such host", true, uint8(1), uint8(1))
	f.Add("unix", "@x", "", false, uint8(3), uint8(7))
	f.Add("tcp", "http://[::1", "%s%!", false, uint8(11), uint8(30))
	f.Add("tcp6", "a\x00\u202e\xff:1", strings.Repeat("long ", 1000), true, uint8(9), uint8(40))
	f.Fuzz(func(t *testing.T, network, address, text string, flag bool, class, condition uint8) {
		c := errno.Condition(condition) % errno.NumConditions
		inner := errors.New(text)
		if flag && c != errno.Unknown {
			inner = sysError(calls[int(class)%len(calls)], c)
		}
		addr := &net.UnixAddr{Net: network, Name: address}
		history := []redial.Attempt{{Duration: time.Duration(class) * 100 * time.Millisecond, Err: inner, Class: redial.Class(class)}}
		for _, err := range []error{
			&net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: text, Name: address, Server: text, IsNotFound: flag, IsTimeout: class%2 == 0}},
			&net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: text, Addr: address}},
			&net.OpError{Op: text, Net: network, Addr: addr, Source: addr, Err: inner},
			&net.OpError{Op: "socks connect", Net: network, Addr: addr, Source: addr, Err: inner},
			&url.Error{Op: "Get", URL: address, Err: errors.New(text)},
			&url.Error{Op: "Get", URL: address, Err: &net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Net: network, Addr: addr, Err: inner}}},
			&redial.Error{Network: network, Address: address, Attempts: int(condition), Class: redial.Class(class), Err: inner, Stop: redial.ErrCanceled, Cause: errors.New(text), History: history},
			net.UnknownNetworkError(address),
		} {
			got := on(err, systems[int(condition)%len(systems)]).String()
			if problem := formProblem(got); problem != "" {
				t.Fatalf("%s:\n%q\n%#v", problem, got, err)
			}
		}
	})
}

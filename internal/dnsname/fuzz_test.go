package dnsname_test

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnsname"
	"github.com/seed-33f8b841/redial/internal/dnstest"
)

// FuzzNameSyntax compares what Check returns for a name with what package net does with the name, while a
// DNS server answers every query. A name that resolves has no fault. A plain name has a fault exactly if
// package net refuses it without asking the server. The class of the name's dial agrees.
func FuzzNameSyntax(f *testing.F) {
	dnstest.SkipWithout(f)
	label := strings.Repeat("x", 63)
	for _, name := range []string{
		"", ".", "a", "a.test", "a.test.", "a..test", ".a", "a..", "-a.test", "a-.test", "a_b", "_sip._tcp.a.test", "xn--bcher-kva.test",
		"bücher.test", "\xff.test", "a b.test", "a\tb", "a\x00b", "user@a.test", "a.test:80", "http://a.test", "[::1]", "::1", "fe80::1%lo",
		"1.2.3.4", "1.2.3.4.", "256.1.1.1", "1.2.3.4.5", "127.1", "127.0.0.01", "12345", "0x7f.1", "a.onion", "localhost", "*.test", "a%b",
		label, label + "x", label + ".test", label + "x.test", strings.Repeat(label+".", 3) + label[:61], strings.Repeat(label+".", 3) + label[:61] + ".",
		strings.Repeat(label+".", 3) + label[:62], strings.Repeat("1.", 127), strings.Repeat("1.", 126) + "1", strings.Repeat("a.", 126) + "a.", strings.Repeat("a.", 127),
	} {
		f.Add(name)
	}
	server := dnstest.Start(f, "127.0.0.1:0")
	server.Set("*", dnstest.Addrs("127.0.0.1"))
	var queries atomic.Int32
	resolver := dnstest.ResolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
		queries.Add(1)
		return new(net.Dialer).DialContext(ctx, network, server.Addr)
	})
	errReached := errors.New("the name has resolved")
	d := &redial.Dialer{MaxAttempts: 1, Dialer: net.Dialer{
		Resolver: resolver,
		Control:  func(string, string, syscall.RawConn) error { return errReached },
	}}

	f.Fuzz(func(t *testing.T, name string) {
		if len(name) > 300 {
			return
		}
		notFound := redial.Classify(&net.DNSError{Err: "no such host", Name: name, IsNotFound: true})
		faulty := dnsname.Check(name) != dnsname.Fault{}
		queries.Store(0)
		_, err := resolver.LookupNetIP(t.Context(), "ip", name)
		asked := queries.Load() > 0
		switch {
		case err == nil && strings.ContainsAny(name, "/\x00"):
			// An address with a zone: package net takes any text for a zone.
			assert.Equal(t, redial.Invalid, notFound, "%q is no zone of an interface", name)
		case err == nil:
			assert.False(t, faulty, "%q can resolve", name)
			assert.Equal(t, redial.NotFound, notFound, "%q can resolve", name)
		case asked:
			require.NoError(t, err, "%q: the server answers", name) // the comparison needs that
		case isPlain(name):
			assert.True(t, faulty, "%q: package net refuses it", name)
			assert.Equal(t, redial.Invalid, notFound, "%q: package net refuses it", name)
			assert.Equal(t, redial.Invalid, redial.Classify(err), "%q: %v", name, err)
		case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(" @:/", r) }):
			assert.Equal(t, redial.Invalid, redial.Classify(err), "%q: %v", name, err)
		default:
			assert.Contains(t, []redial.Class{redial.Invalid, redial.NotFound}, redial.Classify(err), "%q: %v", name, err)
		}

		if strings.ContainsAny(name, "[]:%") || name == "" {
			return // more than a name in an address
		}
		_, dialErr := d.Dial("tcp", name+":80")
		assert.Equal(t, err == nil, errors.Is(dialErr, errReached), "%q: %v", name, dialErr)
		if err != nil {
			assert.Equal(t, redial.Classify(err), redial.Classify(dialErr), "%q: %v", name, dialErr)
		}
	})
}

var (
	plainName = regexp.MustCompile(`^[a-zA-Z0-9._-]*[a-zA-Z_][a-zA-Z0-9._-]*$`)
	oddHyphen = regexp.MustCompile(`(^|\.)-|-(\.|$)`)
)

// isPlain reports whether package net and the DNS agree on which names like this one exist. Package net
// refuses more names than the DNS: names without a letter, with a hyphen at an end of a label, or of
// Tor's onion services.
func isPlain(name string) bool {
	return plainName.MatchString(name) && !oddHyphen.MatchString(name) && !strings.HasSuffix(strings.ToLower(strings.TrimSuffix(name, ".")), ".onion")
}

package redial_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// If a resolver has not found a name that no DNS can hold, the class is Invalid.
func TestClassifyName(t *testing.T) {
	label := strings.Repeat("x", 63)
	longest := strings.Join([]string{label, label, label, label[:61]}, ".") // 253 octets
	for name, want := range map[string]redial.Class{
		label + "x":              redial.Invalid,
		label + "x.test":         redial.Invalid,
		"a." + label + "x.test.": redial.Invalid,
		longest + "x":            redial.Invalid,
		longest + "x.":           redial.Invalid,
		strings.Repeat("é", 32):  redial.Invalid, // 64 octets
		"a..test":                redial.Invalid,
		".a.test":                redial.Invalid,
		"a.test..":               redial.Invalid,
		"..":                     redial.Invalid,
		"a b.test":               redial.Invalid,
		" a.test":                redial.Invalid,
		"a.test ":                redial.Invalid,
		"a\tb":                   redial.Invalid,
		"a.test\n":               redial.Invalid,
		"a\x7fb":                 redial.Invalid,
		"a\u0085b":               redial.Invalid,
		"a\x00b":                 redial.Invalid,
		"user@a.test":            redial.Invalid,
		"a.test:80":              redial.Invalid,
		"fe80::zz":               redial.Invalid,
		"http://a.test":          redial.Invalid,
		"a.test/x":               redial.Invalid,
		"256.1.1.1":              redial.Invalid,
		"1.2.3.256":              redial.Invalid,
		"127.0.0.01":             redial.Invalid,
		"1.2.3.4.5":              redial.Invalid,
		"1.2.3.4.":               redial.Invalid,

		label + ".test":        redial.NotFound,
		longest:                redial.NotFound,
		longest + ".":          redial.NotFound,
		"":                     redial.NotFound, // the name is unknown
		".":                    redial.NotFound,
		"a":                    redial.NotFound,
		"a.test.":              redial.NotFound,
		"_sip._tcp.test":       redial.NotFound,
		"a_b.test":             redial.NotFound,
		"bücher.test":          redial.NotFound,
		"例え.テスト":               redial.NotFound,
		"xn--bcher-kva":        redial.NotFound,
		"-a-.test":             redial.NotFound,
		"a%b*c.test":           redial.NotFound,
		"\xff.test":            redial.NotFound,
		"127.1":                redial.NotFound,
		"1.2.3":                redial.NotFound,
		"12345":                redial.NotFound,
		"1.2.3.4x":             redial.NotFound,
		"256.1.1.1.test":       redial.NotFound,
		"4.3.2.1.in-addr.arpa": redial.NotFound,
		"192.0.2.1":            redial.NotFound, // a reverse look-up
		"2001:db8::1":          redial.NotFound,
		"fe80::1%eth0":         redial.NotFound,
	} {
		err := dnsOpError(&net.DNSError{Err: "no such host", Name: name, IsNotFound: true})
		assert.Equal(t, want, redial.Classify(err), "%q", name)
		assertKeepsClass(t, err)
	}
}

// If the resolver failed, the class is DNS, even if no DNS can hold the name.
func TestClassifyNameNotAsked(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 64), "a..test", "a b.test", "256.1.1.1"} {
		for _, e := range []net.DNSError{{}, {IsTemporary: true}, {IsTimeout: true, IsTemporary: true}} {
			e.Name = name
			assert.Equal(t, redial.DNS, redial.Classify(dnsOpError(&e)), "%q", name)
		}
	}
}

// TestClassifyNameResolved asks Go's resolver and the system's resolver for such names.
// The system's resolver accepts more forms of addresses, so some names may resolve.
func TestClassifyNameResolved(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 64) + ".test", "a..test", "a b.test", "a@b.test", "256.1.1.1", "127.0.0.01", "1.2.3.4.5"} {
		for _, preferGo := range []bool{true, false} {
			t.Run(fmt.Sprint(name, preferGo), func(t *testing.T) {
				_, err := (&net.Resolver{PreferGo: preferGo}).LookupHost(t.Context(), name)
				if err == nil {
					t.Skip("this resolver resolves the name")
				}
				assert.Equal(t, redial.Invalid, redial.Classify(err), "%v", err)
			})
		}
	}
}

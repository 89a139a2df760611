package dnsname_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/internal/dnsname"
)

var (
	label   = strings.Repeat("x", 63)
	longest = strings.Join([]string{label, label, label, label[:61]}, ".") // 253 octets
)

func TestCheckNamesTheFault(t *testing.T) {
	accented := strings.Repeat("é", 32) // 64 octets
	for name, want := range map[string]dnsname.Fault{
		label + "x":                     {Kind: dnsname.LongLabel, Part: label + "x"},
		label + "x.test":                {Kind: dnsname.LongLabel, Part: label + "x"},
		"a." + label + "x.test.":        {Kind: dnsname.LongLabel, Part: label + "x"},
		accented:                        {Kind: dnsname.LongLabel, Part: accented},
		longest + "x":                   {Kind: dnsname.LongName},
		longest + "x.":                  {Kind: dnsname.LongName},
		strings.Repeat("x", 254):        {Kind: dnsname.LongName},
		"a..test":                       {Kind: dnsname.EmptyLabel},
		".a.test":                       {Kind: dnsname.EmptyLabel},
		"a.test..":                      {Kind: dnsname.EmptyLabel},
		"..":                            {Kind: dnsname.EmptyLabel},
		"a." + label + "x..":            {Kind: dnsname.LongLabel, Part: label + "x"},
		"a b.test":                      {Kind: dnsname.Character, Part: " "},
		" a.test":                       {Kind: dnsname.Character, Part: " "},
		"a.test ":                       {Kind: dnsname.Character, Part: " "},
		"a\tb c":                        {Kind: dnsname.Character, Part: "\t"},
		"a.test\n":                      {Kind: dnsname.Character, Part: "\n"},
		"a\x7fb":                        {Kind: dnsname.Character, Part: "\x7f"},
		"a\u0085b":                      {Kind: dnsname.Character, Part: "\u0085"},
		"a\x00b":                        {Kind: dnsname.Character, Part: "\x00"},
		"http://a.test":                 {Kind: dnsname.Character, Part: "/"},
		"a.test/x":                      {Kind: dnsname.Character, Part: "/"},
		"user@a.test":                   {Kind: dnsname.Mailbox},
		"user:secret@a.test":            {Kind: dnsname.Mailbox},
		"a.test:80":                     {Kind: dnsname.Colon},
		"fe80::zz":                      {Kind: dnsname.Colon},
		"fe80::zz%eth0":                 {Kind: dnsname.Colon},
		"256.1.1.1":                     {Kind: dnsname.BadIPv4},
		"1.2.3.256":                     {Kind: dnsname.BadIPv4},
		"127.0.0.01":                    {Kind: dnsname.BadIPv4},
		"1.2.3.4.5":                     {Kind: dnsname.BadIPv4},
		"1.2.3.4.":                      {Kind: dnsname.BadIPv4},
		"1..2.3":                        {Kind: dnsname.BadIPv4},
		strings.Repeat("1.", 126) + "1": {Kind: dnsname.BadIPv4},
	} {
		assert.Equal(t, want, dnsname.Check(name), "%q", name)
	}
}

func TestCheckAcceptsWhatTheDNSHolds(t *testing.T) {
	for _, name := range []string{
		"", ".", "a", "a.test", "a.test.", label + ".test", longest, longest + ".",
		"_sip._tcp.test", "a_b.test", "bücher.test", "例え.テスト", "xn--bcher-kva", "-a-.test", "a%b*c.test", "\xff.test",
		"127.1", "1.2.3", "12345", "1.2.3.4x", "256.1.1.1.test", "4.3.2.1.in-addr.arpa",
		"192.0.2.1", "2001:db8::1", "fe80::1%eth0", // a reverse look-up
	} {
		assert.Equal(t, dnsname.Fault{}, dnsname.Check(name), "%q", name)
	}
}

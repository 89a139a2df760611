// Package dnsname knows which names no DNS can hold, so that they can never come to exist.
package dnsname

import (
	"net"
	"net/netip"
	"strings"
	"unicode"
)

// The limits of a name (RFC 1035, section 2.3.4), as text.
const (
	LongestLabel = 63  // octets
	LongestName  = 253 // octets, without the dot at its end
)

// A Kind says what is wrong with a name. The zero value is Possible.
type Kind uint8

const (
	Possible   Kind = iota
	Character       // a control character, a space or a slash
	Mailbox         // an @
	Colon           // as in host:port, a URL or an IPv6 address with a mistake
	BadIPv4         // numbers and dots that are no IPv4 address, with a bad octet or too many
	EmptyLabel      // two dots side by side, or one in front
	LongName        // over LongestName
	LongLabel       // over LongestLabel
)

// A Fault is why no DNS can hold a name.
type Fault struct {
	Kind Kind
	Part string // the character or the label that is at fault; else empty
}

// Check returns why no DNS can hold name. Ask it only about a name that was not found, because
// resolvers accept some names that the DNS does not, "127.0.0.01" for example. An empty name,
// which means that the name is unknown, is possible.
//
// Underscores, hyphens anywhere, letters beyond ASCII and other odd characters are possible: the
// DNS holds any octets, and people use these.
func Check(name string) Fault {
	if name == "" || name == "." {
		return Fault{}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return Fault{} // a reverse look-up, for the name of an address
	}
	if i := strings.IndexFunc(name, isNever); i >= 0 {
		return Fault{Character, string([]rune(name[i:])[:1])}
	}
	bare := strings.TrimSuffix(name, ".")
	labels := strings.Split(bare, ".")
	switch {
	case strings.Contains(name, "@"):
		return Fault{Kind: Mailbox}
	case strings.Contains(name, ":"):
		return Fault{Kind: Colon}
	case len(labels) >= net.IPv4len && strings.Trim(name, ".0123456789") == "":
		return Fault{Kind: BadIPv4} // ParseAddr did not accept it
	case len(bare) > LongestName:
		return Fault{Kind: LongName}
	}
	for _, label := range labels {
		switch {
		case label == "":
			return Fault{Kind: EmptyLabel}
		case len(label) > LongestLabel:
			return Fault{LongLabel, label}
		}
	}
	return Fault{}
}

// isNever reports whether r is in no host name, address or mailbox.
func isNever(r rune) bool { return unicode.IsControl(r) || r == ' ' || r == '/' }

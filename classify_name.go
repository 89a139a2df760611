package redial

import (
	"net"
	"net/netip"
	"strings"
	"unicode"
)

// The limits of a name in the DNS (RFC 1035, section 2.3.4), as text.
const (
	longestLabel = 63  // octets
	longestName  = 253 // octets, without the dot at its end
)

// isImpossible reports whether no DNS can hold name, so that the name can never
// come to exist. Ask it only for a name that was not found: resolvers accept some
// names that the DNS does not, "127.0.0.01" for example. An empty name, which
// means that the name is unknown, is possible.
//
// Underscores, hyphens anywhere, letters beyond ASCII and other odd characters
// are possible: the DNS holds any octets, and people use these.
func isImpossible(name string) bool {
	if name == "" || name == "." {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false // a reverse look-up, for the name of an address
	}
	name = strings.TrimSuffix(name, ".")
	if len(name) > longestName || strings.ContainsFunc(name, neverInName) {
		return true
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > longestLabel {
			return true
		}
	}
	// A name of digits and dots that ParseAddr did not accept as an IPv4 address
	// has a bad octet, too many octets or a dot at its end.
	return len(labels) >= net.IPv4len && strings.Trim(name, ".0123456789") == ""
}

// neverInName reports whether r is in no host name: a control character, a
// space, or a sign of an address, a URL or a mailbox.
func neverInName(r rune) bool {
	return unicode.IsControl(r) || strings.ContainsRune(" @:/", r)
}

// isLiteral reports whether addr is an IP address, with or without a zone,
// brackets and a port.
func isLiteral(addr string) bool {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"))
	return err == nil
}

package redialotel

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/observe"
	"github.com/seed-33f8b841/redial/internal/userinfo"
)

// These attributes are redial's own.
const (
	keyName       = attribute.Key("redial.dialer.name")
	keyOutcome    = attribute.Key("redial.outcome")
	keyStop       = attribute.Key("redial.dial.stop_reason")
	keyNested     = attribute.Key("redial.dial.nested")
	keyAttempts   = attribute.Key("redial.attempt.count")
	keyShared     = attribute.Key("redial.attempt.shared_count")
	keyNumber     = attribute.Key("redial.attempt.number")
	keyUnanswered = attribute.Key("redial.dns.unanswered")
)

// A target is where a dial leads, as far as its network and address say.
type target struct {
	transport string // tcp, udp or unix; else empty
	family    observe.Family
	host      string // without brackets; a path for unix; empty if unknown
	port      int    // 0 if unknown
}

// targetOf takes any network and address, because Do is called with what the program
// likes to call them.
func targetOf(network, address string) target {
	network, _, _ = strings.Cut(network, ":") // ip4:icmp
	t := target{family: observe.Other}
	switch network {
	case "tcp", "tcp4", "tcp6":
		t.transport = "tcp"
	case "udp", "udp4", "udp6":
		t.transport = "udp"
	case "unix", "unixgram", "unixpacket":
		return target{transport: "unix", family: observe.Unix, host: address}
	}
	switch network {
	case "tcp4", "udp4", "ip4":
		t.family = observe.IPv4
	case "tcp6", "udp6", "ip6":
		t.family = observe.IPv6
	}
	var port string
	t.host, port = split(network, address)
	if n, err := strconv.ParseUint(port, 10, 16); err == nil { // not a service's name
		t.port = int(n)
	}
	ip, isIP := parseIP(t.host)
	switch {
	case isIP:
		t.family = observe.FamilyOf(ip)
	case !isName(t.host):
		t.host = ""
	}
	return t
}

// parseIP parses an IP address, if s is one. It does not call netip.ParseAddr for most names,
// because making its error takes longer than the rest of targetOf.
func parseIP(s string) (netip.Addr, bool) {
	if last := len(s) - 1; last < 0 || !strings.Contains(s, ":") && (s[last] < '0' || s[last] > '9') {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(s)
	return ip, err == nil
}

// split splits an address as net.SplitHostPort does. It also takes a host without a port,
// and a URL. It returns neither if the host is uncertain: a slash before the last "@" can be
// a part of a password or the beginning of a path.
func split(network, address string) (host, port string) {
	scheme, info, rest := userinfo.Cut(network, address)
	if strings.ContainsAny(info, "/?#") {
		return "", ""
	}
	if address = scheme + rest; strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil {
			return "", ""
		}
		return u.Hostname(), u.Port()
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, ""
	}
	return host, port
}

// isName reports whether s can be a host's name, or a name that the program has given a
// target. What else Do is given as an address may be a connection string that holds a
// password.
func isName(s string) bool {
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.', r == '_':
		case r == utf8.RuneError, r < utf8.RuneSelf:
			return false
		}
	}
	return len(s) <= 253
}

// attributes returns what is known of the target before it is dialed.
func (t target) attributes() []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 4)
	if t.host != "" {
		attrs = append(attrs, semconv.ServerAddress(clean(t.host)))
	}
	if t.port != 0 {
		attrs = append(attrs, semconv.ServerPort(t.port))
	}
	if t.transport != "" {
		attrs = append(attrs, semconv.NetworkTransportKey.String(t.transport))
	}
	return appendFamily(attrs, t.family)
}

// appendFamily adds network.type if f is an IP version.
func appendFamily(attrs []attribute.KeyValue, f observe.Family) []attribute.KeyValue {
	switch f {
	case observe.IPv4:
		return append(attrs, semconv.NetworkTypeIPv4)
	case observe.IPv6:
		return append(attrs, semconv.NetworkTypeIPv6)
	}
	return attrs
}

// appendPeer adds the address of a connection's other end.
func appendPeer(attrs []attribute.KeyValue, addr net.Addr) []attribute.KeyValue {
	if a, isUnix := addr.(*net.UnixAddr); isUnix {
		if a == nil || a.Name == "" {
			return attrs
		}
		return append(attrs, semconv.NetworkPeerAddress(clean(a.Name)))
	}
	return appendAddrPort(attrs, observe.AddrPortOf(addr))
}

// appendAddrPort adds the address with its zone, and the port if there is one.
func appendAddrPort(attrs []attribute.KeyValue, addr netip.AddrPort) []attribute.KeyValue {
	ip := addr.Addr().Unmap()
	if !ip.IsValid() {
		return attrs
	}
	attrs = appendFamily(append(attrs, semconv.NetworkPeerAddress(ip.String())), observe.FamilyOf(ip))
	if addr.Port() != 0 {
		attrs = append(attrs, semconv.NetworkPeerPort(int(addr.Port())))
	}
	return attrs
}

// appendOutcome adds the outcome, and for a failure its class as error.type.
func appendOutcome(attrs []attribute.KeyValue, o observe.Outcome) []attribute.KeyValue {
	if o.IsFailure() {
		return append(attrs, keyOutcome.String("failed"), semconv.ErrorTypeKey.String(o.String()))
	}
	return append(attrs, keyOutcome.String(o.String()))
}

// maxMessage bounds the length of a message, because a peer may have sent the text.
const maxMessage = 256

// message returns the text of err, shortened if need be, without the user and password of the dial's address.
func (s dialSpan) message(err error) string {
	text := userinfo.HideIn(foreign.Text(err), s.network, s.address)
	if len(text) > maxMessage {
		text = text[:maxMessage-len("...")] + "..."
	}
	return clean(text)
}

// clean returns s without what is not UTF-8. Protobuf refuses such a string, and an exporter
// then loses all spans that it sends together.
func clean(s string) string {
	return strings.ToValidUTF8(s, "")
}

package explain

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnsname"
	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/plain"
	"github.com/seed-33f8b841/redial/internal/userinfo"
)

// What the placeholders stand for. Words go into commands too, so they are as the error has
// them: a text quotes them, and a command too, or it is left out. Texts are quoted already.

var words = map[string]func(*facts) string{
	"ip":         (*facts).ip,
	"ip:port":    func(f *facts) string { return textOfIP(f.remote) },
	"port":       (*facts).port,
	"host":       func(f *facts) string { return resolvable(cmp.Or(f.host(), f.name())) },
	"address":    (*facts).address,
	"network":    func(f *facts) string { return f.asked.network },
	"path":       func(f *facts) string { return f.address() },
	"directory":  func(f *facts) string { return path.Dir(f.address()) },
	"family":     func(f *facts) string { return ofFamily(f, "4", "6") },
	"local ip":   func(f *facts) string { ip, _ := f.local(); return textOfIP(ip) },
	"local port": func(f *facts) string { _, port := f.local(); return port },
	"name":       func(f *facts) string { return resolvable(strings.TrimSuffix(f.name(), ".")) },
	"server":     func(f *facts) string { return textOfIP(f.server()) },
	"@server":    (*facts).atServer,
	"record":     (*facts).record,
	"unanswered": (*facts).unanswered,
}

var texts = map[string]func(*facts) string{
	"where":          (*facts).where,
	"Where":          func(f *facts) string { return sentence(f.where()) },
	"target":         (*facts).target,
	"asked":          func(f *facts) string { return f.asked.String() },
	"addresses":      (*facts).addresses,
	"within":         (*facts).within,
	"took":           func(f *facts) string { return rounded(f.took) },
	"listens":        (*facts).listens,
	"loopback":       func(f *facts) string { return ofFamily(f, "127.0.0.1", "[::1]") },
	"resolution":     (*facts).resolution,
	"local":          func(f *facts) string { return shown(foreign.String(f.source)) },
	"either network": func(f *facts) string { return shown(strings.TrimRight(f.asked.network, "46")) },
	"text":           (*facts).text,
	"cause?":         (*facts).cause,
	"full?":          func(f *facts) string { return f.hint(queue, " (Recv-Q over Send-Q)") },
	"waiting?":       func(f *facts) string { return f.hint(queue, " (Recv-Q over 0)") },
	"no neighbor?":   (*facts).noNeighbor,
	"odd path":       func(f *facts) string { return oddity(f.address()) },
	"path length":    func(f *facts) string { return strconv.Itoa(len(f.address())) },
	"zone":           func(f *facts) string { return shown(f.remote.Addr().Zone()) },
	"zoned":          func(f *facts) string { return net.JoinHostPort(f.remote.Addr().WithZone("eth0").String(), f.port()) },

	// Names.
	"name": (*facts).shownName,

	"dns":       (*facts).dnsServer,
	"Dns":       func(f *facts) string { return sentence(f.dnsServer()) },
	"dns error": func(f *facts) string { return quote(f.queryError()) },
	"Known":     (*facts).knowing,
	"records":   (*facts).records,
	"odd name":  func(f *facts) string { return oddity(f.name()) },

	// What is wrong with the input.
	"Bad":             func(f *facts) string { return "The address " + quote(userinfo.Hide("", f.bad())) },
	"odd bad":         func(f *facts) string { return oddity(f.bad()) },
	"bad host":        func(f *facts) string { return shown(target{"", f.badAddr.Addr}.host()) },
	"bad local":       func(f *facts) string { return shown(f.badAddr.Addr) },
	"host of url":     func(f *facts) string { return hostPortOfURL(f.bad()) },
	"bracketed":       func(f *facts) string { return bracketed(f.badAddr.Addr) },
	"with port":       func(f *facts) string { return shown(net.JoinHostPort(strings.Trim(f.badAddr.Addr, "[]"), "80")) },
	"address error":   func(f *facts) string { return quote(f.badAddr.Err) },
	"bad port":        func(f *facts) string { return quote(f.badPort()) },
	"odd port":        func(f *facts) string { return oddity(f.badPort()) },
	"bad network":     func(f *facts) string { return quote(f.badNetwork()) },
	"network lowered": func(f *facts) string { return strings.ToLower(strings.TrimSpace(f.badNetwork())) },
	"bad name":        func(f *facts) string { return quote(userinfo.Hide("", f.name())) },
	"ipv4 fault":      func(f *facts) string { return ipv4Fault(f.name()) },
	"name length":     func(f *facts) string { return strconv.Itoa(len(strings.TrimSuffix(f.name(), "."))) },
	"long part": func(f *facts) string {
		part := dnsname.Check(f.name()).Part
		return fmt.Sprintf("%s has %d", quote(part), len(part))
	},

	// What an HTTP proxy answered.
	"Proxy": func(f *facts) string { return "The proxy " + shown(f.through) },
	"status": func(f *facts) string {
		return strings.TrimSpace(strconv.Itoa(f.status) + " " + http.StatusText(f.status))
	},

	// Certificates.
	"names":         func(f *facts) string { return cmp.Or(f.names(), "no name at all") },
	"for names?":    func(f *facts) string { return enclosed(" (for ", f.names(), ")") },
	"expected name": func(f *facts) string { e, _ := find[x509.HostnameError](f); return shown(e.Host) },
	"issuer":        (*facts).issuer,
	"valid from":    func(f *facts) string { return day(f.certificate().NotBefore) },
	"valid until":   func(f *facts) string { return day(f.certificate().NotAfter) },
	"alert":         func(f *facts) string { said, _ := f.alert(); return said },
	"alert check":   func(f *facts) string { _, check := f.alert(); return check },
}

// history says how often and how long redial's dial tried, which limit ended it, and which DNS queries
// had no answer. It is empty if there is nothing to say.
func (f *facts) history() string {
	if f.isNotAttempted() || f.dial == nil {
		return ""
	}
	note := ""
	if f.dial.Attempts > 1 || f.dial.Stop.Timeout() || f.class == redial.Canceled && f.last() != nil {
		attempts := "attempts"
		if f.dial.Attempts == 1 {
			attempts = "attempt"
		}
		note = fmt.Sprintf("%d %s in %s", f.dial.Attempts, attempts, rounded(f.dial.Elapsed))
	}
	switch f.dial.Stop {
	case redial.ErrMaxElapsed:
		note += ", ended by Dialer.MaxElapsed"
	case redial.ErrDeadline:
		note += ", ended by a deadline"
	}
	if queries := f.unanswered(); queries != "" && f.class != redial.DNS && f.class != redial.Canceled {
		note = strings.TrimPrefix(note+"; the DNS server did not answer the "+queries+" query", "; ")
	}
	return enclosed(" (", note, ")")
}

// target names what was asked for.
func (f *facts) target() string {
	if f.asked.address == "" {
		return "the target"
	}
	return f.asked.String()
}

// where names what was dialed: as it was written, with the addresses that were
// tried if those say more, and what it was to lead to.
func (f *facts) where() string {
	if f.isIndirect() {
		return f.indirect()
	}
	if f.isName() && f.remote.IsValid() {
		return f.target() + " (" + f.addresses() + ")"
	}
	return f.target()
}

// addresses lists the addresses that were tried.
func (f *facts) addresses() string {
	names := make([]string, len(f.results))
	for i, r := range f.results {
		names[i] = r.Addr.Addr().String()
	}
	if len(names) == 0 {
		return f.ip()
	}
	return list(names, 2)
}

// indirect names what was dialed in place of what was asked for.
func (f *facts) indirect() string {
	through := ""
	switch {
	case f.path != "":
		through = target{"unix", f.path}.String()
	case f.through != "":
		through = target{"", f.through}.String()
	case f.remote.IsValid():
		through = f.remote.String()
	}
	switch {
	case f.socks:
		through = strings.TrimSpace("the SOCKS proxy " + through)
	case f.proxy:
		through = strings.TrimSpace("the proxy " + through)
	case f.asked.address != "":
		return through + " (dialed on the way to " + f.asked.String() + ")"
	}
	if f.asked.address != "" {
		through += " on the way to " + f.asked.String()
	}
	return through
}

// listens names the local addresses that a server must listen on to be
// reached at the address that was dialed.
func (f *facts) listens() string {
	both4, both6 := false, false
	for _, r := range f.results {
		both4, both6 = both4 || r.Addr.Addr().Is4(), both6 || r.Addr.Addr().Is6()
	}
	switch {
	case both4 && both6:
		return "127.0.0.1, [::1] or *"
	case f.isIPv6():
		return "[" + f.ip() + "], [::] or *"
	case f.ip() != "":
		return f.ip() + ", 0.0.0.0 or *"
	}
	return "0.0.0.0, [::] or *"
}

// within says how long an attempt, or each address of the last attempt, waited, if that is known.
func (f *facts) within() string {
	if f.took == 0 {
		return " in time"
	}
	return " within " + span(f.least, f.took)
}

// span returns the two durations, or one if a person would say the same of both.
func span(least, most time.Duration) string {
	if rounded(least) == rounded(most) || most-least < most/10 {
		return rounded(most)
	}
	return rounded(least) + " to " + rounded(most)
}

// hint returns text if this system's command is one that shows it.
func (f *facts) hint(c command, text string) string {
	if line, _ := f.command(c); !strings.HasPrefix(line, "ss ") {
		return ""
	}
	return text
}

// noNeighbor says how the command for neighbors shows a host that is not up. Windows leaves such
// an address out.
func (f *facts) noNeighbor() string {
	column, ok := columnOf[f.goos]
	if !ok || column == windows {
		return ""
	}
	state := "incomplete"
	if column == linux {
		state = "FAILED"
	}
	return " (" + state + ")"
}

// text quotes the message of the innermost error. Errors that are nil pointers
// have none that could be asked for.
func (f *facts) text() string {
	if len(f.chain) == 0 {
		return "an error that is a nil pointer"
	}
	text := ""
	foreign.Try(func() { text = strings.TrimRight(f.leaf().Error(), ".\n ") })
	if text == "" {
		return "an error without a text"
	}
	return quote(userinfo.HideIn(text, f.asked.network, f.asked.address))
}

// cause quotes why the caller gave up, if it said so.
func (f *facts) cause() string {
	if f.dial == nil || f.dial.Cause == context.Canceled || f.dial.Cause == context.DeadlineExceeded || foreign.IsNil(f.dial.Cause) {
		return ""
	}
	return "The reason given is " + quote(foreign.Text(f.dial.Cause)) + "."
}

// shownName returns the name that was looked up, with what it was to lead to if that is another one.
func (f *facts) shownName() string {
	name := f.name()
	if name == "" {
		return "the target"
	}
	text := shown(userinfo.Hide("", name))
	asked := strings.TrimSuffix(f.asked.host(), ".")
	if asked != "" && !strings.EqualFold(asked, strings.TrimSuffix(name, ".")) {
		text += " (on the way to " + f.asked.String() + ")"
	}
	return text
}

// knownServers names the DNS servers that have the same address everywhere.
var knownServers = map[string]string{
	"127.0.0.53":    "systemd-resolved on this machine",
	"127.0.0.54":    "systemd-resolved on this machine",
	"127.0.0.11":    "Docker's own",
	"169.254.20.10": "Kubernetes' NodeLocal DNSCache",
}

func (f *facts) dnsServer() string {
	if f.dns == nil || f.dns.Server == "" {
		return "the DNS server"
	}
	return "the DNS server " + shown(f.dns.Server) + enclosed(" (", knownServers[f.server().String()], ")")
}

// atServer returns the DNS server as dig takes it; empty if its port is not DNS's.
func (f *facts) atServer() string {
	if f.dns == nil {
		return ""
	}
	if addr, err := netip.ParseAddrPort(f.dns.Server); err == nil && addr.Port() == 53 {
		return "@" + addr.Addr().String()
	}
	return ""
}

// knowing begins a sentence about who knows no address.
func (f *facts) knowing() string {
	if f.dns == nil || f.dns.Server == "" {
		return "The resolver knows"
	}
	return sentence(f.dnsServer()) + " knows"
}

// record returns the DNS record that was asked for: "A" or "AAAA"; "A" if both were.
func (f *facts) record() string {
	if strings.HasSuffix(f.asked.network, "6") {
		return "AAAA"
	}
	return "A"
}

// records says which records the name lacks.
func (f *facts) records() string {
	switch {
	case strings.HasSuffix(f.asked.network, "4"):
		return "A record (IPv4)"
	case strings.HasSuffix(f.asked.network, "6"):
		return "AAAA record (IPv6)"
	}
	return "A or AAAA record"
}

// queryError returns what the system reported about a query, or else all that package net says.
func (f *facts) queryError() string {
	if err := f.queryCondition().Err(); err != nil {
		return err.Error()
	}
	if i := strings.LastIndex(f.dns.Err, ": "); i >= 0 {
		return f.dns.Err[i+2:]
	}
	return f.dns.Err
}

// resolvable returns name if it can be asked for: empty for an IP address.
func resolvable(name string) string {
	if parseIP(name).IsValid() {
		return ""
	}
	return name
}

func (f *facts) badNetwork() string { return string(first[net.UnknownNetworkError](f)) }

func first[E error](f *facts) E {
	e, _ := find[E](f)
	return e
}

// issuer names who issued the certificate.
func (f *facts) issuer() string {
	if c := f.certificate(); c != nil && c.Issuer.String() != "" {
		return shown(c.Issuer.String())
	}
	return "an authority"
}

// ipv4Fault says why four or more numbers are no IPv4 address.
func ipv4Fault(name string) string {
	if strings.HasSuffix(name, ".") {
		return "a dot at its end"
	}
	parts := strings.Split(name, ".")
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		switch {
		case part == "":
			return "an empty part"
		case err != nil || n > 255:
			return quote(part) + " is over 255"
		case len(part) > 1 && part[0] == '0':
			return "leading zero in " + quote(part)
		}
	}
	return "it has " + strconv.Itoa(len(parts)) + " numbers, not 4"
}

// hostPortOfURL returns the address to dial for a URL, as far as the URL says it.
func hostPortOfURL(raw string) string {
	scheme, rest, _ := strings.Cut(raw, "://")
	host, _, _ := strings.Cut(rest, "/")
	host = host[strings.LastIndexByte(host, '@')+1:]
	if host == "" || strings.HasPrefix(host, ":") {
		return "its host and port"
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return shown(host)
	}
	if port := plain.Port(strings.ToLower(scheme)); port != "" {
		return shown(net.JoinHostPort(strings.Trim(host, "[]"), port))
	}
	return shown(host) + ", a colon and its port"
}

// resolution names the protocol that finds a host on the same network.
func (f *facts) resolution() string { return ofFamily(f, "ARP", "neighbor discovery") }

// ofFamily returns the text for the family of the address that was dialed.
func ofFamily(f *facts, v4, v6 string) string {
	if f.isIPv6() {
		return v6
	}
	return v4
}

// textOfIP returns an address as text, and nothing if it is not valid.
func textOfIP(ip interface {
	IsValid() bool
	String() string
}) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// enclosed returns s between two texts, or nothing if s is empty.
func enclosed(before, s, after string) string {
	if s == "" {
		return ""
	}
	return before + s + after
}

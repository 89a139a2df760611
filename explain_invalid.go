package redial

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cenkalti/backoff/v4"
)

// The advice on dials that can never work as they were asked for, each with
// the form that can.

// The texts of package net's address errors, which it has no names for. It
// hands them out for addresses that need no look-up.
var (
	missingPort    = addrErrorText(splitError("host"))
	tooManyColons  = addrErrorText(splitError("::1"))
	invalidPortNum = addrErrorText(lookupPortError("65536"))
)

func splitError(address string) error {
	_, _, err := net.SplitHostPort(address)
	return err
}

func lookupPortError(port string) error {
	_, err := net.LookupPort("tcp", port)
	return err
}

func addrErrorText(err error) string {
	var e *net.AddrError
	if errors.As(err, &e) {
		return e.Err
	}
	return ""
}

func explainInvalid(f *failure) advice {
	if e, ok := find[*net.AddrError](f); ok {
		if isLiteral(e.Addr) && e.Err == noSuitableAddress() {
			return explainNotFound(f) // knows the wrong family
		}
		return f.badAddress(e)
	}
	if e, ok := find[net.UnknownNetworkError](f); ok {
		return f.unknownNetwork(string(e))
	}
	if e, ok := find[*net.DNSError](f); ok && strings.Contains(e.Name, "/") {
		_, service, _ := strings.Cut(e.Name, "/") // "network/service"
		if host, ok := strings.CutPrefix(service, "//"); ok {
			host, _, _ = strings.Cut(host, "/")
			return advice{"The address is a URL, and no host:port: what follows its first colon is taken for the port", []string{
				"Right is " + hostPort(host, "443") + " for https, " + hostPort(host, "80") + " for http.",
				"Is it an HTTP client that was meant? That takes the whole URL.",
			}}
		}
		return advice{"The port " + service + " is no number, and no service of that name is known here", []string{
			"Give the port as a number: " + hostPort(f.host(), "80") + ".",
			"Is the name spelt right, and in /etc/services? Small images of containers have no such file.",
		}}
	}
	switch {
	case slices.Contains(f.chain, errMissingAddress()):
		return advice{"There is no address to dial: it is empty", []string{
			"Is the setting or variable that it comes from not set?",
			"Right is host:port: db.example:5432, 192.0.2.1:80 or [2001:db8::1]:80.",
		}}
	case slices.Contains(f.chain, errNoConn), slices.Contains(f.chain, errNilError):
		return advice{"Dialer.DialFunc broke its contract: " + f.text(), []string{
			"It must return a connection and a nil error, or a nil connection and an error.",
			"Does it return a variable of a pointer type of its own? A nil one of those is not nil as an error.",
		}}
	}
	if _, ok := find[*backoff.PermanentError](f); ok {
		return advice{"The dial of " + f.where() + " failed for good, says what made the attempt: " + f.text(), []string{
			"It is an error that a DialFunc or Verify wrapped by backoff.Permanent: look there for what it means.",
		}}
	}
	return f.invalidToSystem()
}

// badAddress explains an address that package net can't take apart.
func (f *failure) badAddress(e *net.AddrError) advice {
	form := "Right is host:port: db.example:5432, 192.0.2.1:80 or [2001:db8::1]:80."
	addr, ip := e.Addr, netip.Addr{}
	if addr == "" {
		addr = f.address
	}
	ip, _ = netip.ParseAddr(addr)
	switch {
	case strings.Contains(addr, "://"):
		return advice{"The address " + addr + " is a URL, and no host:port", []string{
			"Right is " + hostPortOfURL(addr) + ".", form,
		}}
	case strings.HasPrefix(addr, "/"):
		return advice{"The address " + addr + " is a path, and no host:port", []string{
			"Is it a unix socket? Then the network is unix, not " + orTarget(f.network) + ".", form,
		}}
	case e.Err == missingPort, e.Err == tooManyColons && ip.Is6():
		what := "The address " + addr + " lacks a port"
		if ip.Is6() {
			what += ", and the brackets that set an IPv6 address off from it"
		}
		return advice{what, []string{
			"Right is " + hostPort(strings.Trim(addr, "[]"), "80") + ", with the port of the service in place of 80.", form,
		}}
	case e.Err == invalidPortNum:
		return advice{"The port " + addr + " can't be one: ports are numbers from 0 to 65535", []string{
			"Is a digit too many, or something else in the place of the port?", form,
		}}
	}
	return advice{"The address " + addr + " can't be understood: " + e.Err, []string{
		"Has an IPv6 address no brackets? Right is [2001:db8::1]:80.", form,
	}}
}

func (f *failure) unknownNetwork(network string) advice {
	a := advice{what: "There is no network " + quoted(network) + " to dial by"}
	switch lower := strings.ToLower(network); lower {
	case "http", "https", "tls", "ssl", "ws", "wss":
		a.checks = []string{"Right is tcp: " + lower + " is spoken on top of it."}
	case "":
		a.checks = []string{"Is the setting that it comes from not set? Right is, mostly, tcp."}
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram", "unixpacket":
		a.checks = []string{"Right is " + lower + ", in small letters."}
	}
	if strings.ContainsAny(network, ".:/") {
		a.checks = []string{"It looks like an address."}
	}
	a.checks = append(a.checks,
		"Right is one of tcp, tcp4, tcp6, udp, udp4, udp6, unix, unixgram, unixpacket, or ip:PROTOCOL.",
		"Are network and address the wrong way round? The network comes first: Dial(\"tcp\", \"db.example:5432\").")
	return a
}

// invalidToSystem explains what only the system takes exception to.
func (f *failure) invalidToSystem() advice {
	where := f.where()
	ip := f.remote.Addr()
	switch {
	case f.call == "bind" && f.trouble == noLocalAddress:
		return advice{"Dialer.LocalAddr is no address of this machine", []string{
			see("Which addresses has it?", f.addresses),
			"Right is no LocalAddr at all, unless it must be a certain one: the system chooses.",
		}}
	case f.isUnix() && f.trouble == wrongSocketType:
		return advice{"The socket " + where + " is of another type than " + f.network, []string{
			"Right is the type that the server listens on: unix (a stream), unixgram or unixpacket.",
		}}
	case f.isUnix() && (f.trouble == badArgument || f.trouble == badPath):
		return advice{"The path " + where + " can't be that of a socket", []string{
			"Is it too long? It may have 107 bytes (103 on BSD and macOS): dial a shorter one, or a symbolic link to it.",
			see("Is each part of it but the last a directory?", f.path, f.address),
		}}
	case f.trouble == noSuchFamily:
		return advice{"This machine has no sockets of the family that " + where + " takes", []string{
			"Is it an IPv6 address, and IPv6 switched off in the kernel (ipv6.disable=1)? Dial tcp4.",
			"Does a sandbox leave out the family (systemd's RestrictAddressFamilies=)?",
			"Are Dialer.LocalAddr and the address of different families?",
		}}
	case f.trouble == badArgument && ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == "":
		return advice{"The link-local address " + where + " lacks its interface: every link has such addresses", []string{
			see("Right is the interface with it, as in "+hostPort(ip.String()+"%eth0", f.port())+".", f.links),
		}}
	case f.trouble == badArgument:
		return advice{"The system can't connect to " + where + " as it was asked to", []string{
			see("Does a route of kind blackhole lead there?", f.route, f.ip()),
			"Does Dialer.LocalAddr fit, or Dialer.Control set what the socket can't have?",
		}}
	}
	return advice{"The dial of " + where + " can't work as it was asked for: " + f.text(), []string{
		"Do network, address and Dialer.LocalAddr go together?",
		"Right is host:port: db.example:5432, 192.0.2.1:80 or [2001:db8::1]:80.",
	}}
}

// hostPortOfURL is what to dial for a URL, as far as it has that.
func hostPortOfURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || strings.HasPrefix(u.Host, ":") {
		return "its host and port alone"
	}
	port := u.Port()
	if port == "" {
		port = portOfScheme[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	return hostPort(u.Hostname(), port)
}

// portOfScheme is the port that a URL without one means.
var portOfScheme = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "postgres": "5432", "redis": "6379"}

// hostPort is the right form of both, if they are known.
func hostPort(host, port string) string {
	if host == "" {
		host = "db.example"
	}
	return net.JoinHostPort(host, port)
}

func quoted(s string) string { return `"` + s + `"` }

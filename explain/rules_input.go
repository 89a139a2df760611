package explain

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"unicode"

	"github.com/cenkalti/backoff/v4"

	"github.com/seed-33f8b841/redial/internal/dnsname"
	"github.com/seed-33f8b841/redial/internal/errno"
)

// The rules of what can never work as it was asked for. Most of them look at the input, and not at
// the network.

var form = say("An address is host:port, such as db.example:5432, 192.0.2.1:80 or [2001:db8::1]:80.")

var remove = say("Remove that from the setting or the file that it comes from.")

var invalidRules = []rule{
	// An address that package net cannot take apart.
	row("empty-port", (*facts).hasEmptyPort,
		"{Bad} has no port after its colon", "",
		say("Is the port missing in the setting that it comes from?"), form),
	row("port-0", (*facts).dialsPortZero, "{Bad} cannot be dialed: no server can listen on port 0", "",
		say("Is the port missing in the setting that it comes from?"),
		say("Is it the address that a listener was configured with? Port 0 stands for any; Listener.Addr has the real one.")),
	row("family", (*facts).isWrongFamily, "{bad host} is of another family than the network {network} takes", "",
		say("Dial {either network}, which takes both IPv4 and IPv6, or an address of the other family.")),
	row("local-family", (*facts).isWrongLocal,
		"The local address {bad local} (LocalAddr) and the address to dial are of different families or kinds", "",
		say("Leave LocalAddr out: the system chooses. Or give it an address of the same family, IPv4 or IPv6, as the target."),
		say("Is the type of LocalAddr right, such as *net.TCPAddr for tcp?")),
	row("url", (*facts).isURL, "{Bad} is a URL, not host:port", "",
		say("Dial {host of url} instead, or give the URL to an HTTP client."), form),
	row("path", address(func(a string) bool { return strings.HasPrefix(a, "/") }),
		"{Bad} is a path, not host:port", "",
		say("Is it a unix socket? Then the network must be unix, not {network}."), form),
	row("odd-address", address(func(a string) bool { return oddity(a) != "" }), "{Bad} {odd bad}", "",
		remove, form),
	row("list", address(func(a string) bool { return strings.Contains(a, ",") }),
		"{Bad} is a list, but a dial takes one host and port", "",
		say("Dial each of them, or give the list to the protocol's client."), form),
	row("user", address(func(a string) bool { return strings.Contains(a, "@") }),
		"{Bad} has a user in front of the host, which a dial does not take", "",
		say("Leave out what is before the last @: the user and the password go to the protocol's client."), form),
	row("odd-port", func(f *facts) bool { return f.badPort() != "" && oddity(f.badPort()) != "" },
		"The port {bad port} {odd port}", "",
		remove, form),
	row("port-range", func(f *facts) bool { return f.badPort() != "" && strings.Trim(f.badPort(), "-+0123456789") == "" },
		"The port {bad port} is not from 0 to 65535", "",
		say("Is there a digit too many, or something else in the place of the port?"), form),
	row("port", func(f *facts) bool { return f.badPort() != "" },
		"The port {bad port} is no number, and no service of that name is known here", "",
		say("Give the port as a number, for example 5432."),
		say("Is the name spelt right, and in /etc/services? Small container images have no such file.")),
	row("brackets-missing", address(func(a string) bool { return bracketed(a) != "" }),
		"{Bad} is an IPv6 address without brackets", "",
		say("An IPv6 address needs brackets, and a port after them: did you mean {bracketed}?")),
	row("no-port", address(lacksPort), "{Bad} has no port", "",
		say("Add the port of the service, for example {with port}."), form),
	row("colons", address(func(a string) bool { return !strings.Contains(a, "[") && strings.Count(a, ":") > 1 }),
		"{Bad} has too many colons: only one may come before the port, unless the host is in brackets", "",
		say("Is there a second port, or an IPv6 address with a mistake? It needs brackets: [2001:db8::1]:80."), form),
	row("brackets", address(func(a string) bool { return strings.ContainsAny(a, "[]") }),
		"{Bad} has a bracket too few, too many or in the wrong place", "",
		say("Brackets go around an IPv6 address, and the port after them: [2001:db8::1]:80.")),
	row("address", func(f *facts) bool { return f.badAddr != nil }, "{Bad} cannot be dialed: {address error}", "", form),

	// A network that package net does not know.
	row("network-empty", unknownNetwork(func(n string) bool { return n == "" }), "The network to dial is empty", "",
		say("Is the setting that it comes from not set? Most programs need tcp."), networks),
	row("network-spelling", unknownNetwork(isMisspelt), "{bad network} is not a network that Go can dial", "",
		say("Use {network lowered}: in small letters, and without spaces."), networks),
	row("network-scheme", unknownNetwork(isScheme), "{bad network} is not a network that Go can dial", "",
		say("Use tcp: {network lowered} is spoken on top of it."), networks),
	row("network-swapped", unknownNetwork(func(n string) bool { return strings.ContainsAny(n, ".:/") }),
		"{bad network} is not a network that Go can dial", "",
		say("It looks like an address: the network comes first, as in Dial(\"tcp\", \"db.example:5432\")."), networks),
	row("network", unknownNetwork(func(string) bool { return true }), "{bad network} is not a network that Go can dial", "",
		networks),

	// A name that no DNS can hold. The input is pointed at, and where it comes from is asked.
	row("name-odd", func(f *facts) bool { return f.dns != nil && oddity(f.name()) != "" }, "{bad name} {odd name}", "",
		remove,
		say("A host name has letters, digits, hyphens and dots.")),
	row("name-user", nameFault(dnsname.Mailbox), "{bad name} has an @, which no host name has", "",
		say("Leave out what is before the @: the user and the password go to the protocol's client."), source),
	row("name-zone", all(nameFault(dnsname.Colon), func(f *facts) bool { return strings.Contains(f.name(), "%") }),
		"{bad name} has a zone after %, but is no IPv6 address", "",
		say("An IPv6 address with a zone looks like fe80::1%eth0."), source),
	row("name-colon", nameFault(dnsname.Colon), "{bad name} has colons, but is no IPv6 address", "",
		say("An IPv6 address is up to eight groups of hexadecimal digits, such as 2001:db8::1."), source),
	row("name-ipv4", nameFault(dnsname.BadIPv4), "{bad name} is no IPv4 address: {ipv4 fault}", "",
		say("An IPv4 address is four numbers from 0 to 255 without leading zeros, such as 192.0.2.1."), source),
	row("name-empty-part", nameFault(dnsname.EmptyLabel), "{bad name} has an empty part: two dots side by side, or one in front",
		"",
		say("Is a variable empty that should fill the part?"), source),
	row("name-long", nameFault(dnsname.LongName), "{bad name} is too long for a name: {name length} characters, 253 at most", "",
		say("Is a token, a list or a whole text in the place of the host?"), source),
	row("name-long-part", nameFault(dnsname.LongLabel),
		"{bad name} has a part that is too long: {long part} characters, 63 at most", "",
		say("Is a key, a token or a whole path in the place of the host?"), source),

	// Neither the input nor the system: the program.
	row("empty", func(f *facts) bool { return f.leaf() != nil && f.leaf() == errMissingAddress() },
		"There is no address to dial: it is empty", "",
		say("Is the setting or the variable that it comes from not set, or its name misspelt?"), form),
	row("permanent", all(reported(errno.Unknown), (*facts).isPermanent),
		"The program's own code says that the dial of {where} can never work: {text}", "",
		say("Its dial or verify function returned that by backoff.Permanent: what it says is what to correct.")),
	row("other", reported(errno.Unknown), "The dial of {where} can never work as it was asked for: {text}", "",
		say("Does the program have a dial function of its own? Then what it says is what to correct."),
		say("Do the network, the address and the local address (LocalAddr) go together?")),

	// What the system does not accept.
	row("port-0-system", all((*facts).isPortZero, reported(errno.AddressNotAvailable, errno.ConnectionRefused)),
		"{Where} cannot be dialed: no server can listen on port 0", "",
		say("Is the port missing in the setting that it comes from?"),
		say("Is it the address that a listener was configured with? Port 0 stands for any; Listener.Addr has the real one.")),
	row("option-interface", all((*facts).isAnyOption, reported(errno.NoDevice, errno.NoDeviceOrAddress)),
		"The network interface that the program binds its socket to does not exist: nothing was sent to {where}",
		"Likely the name given to SO_BINDTODEVICE (Dialer.Control) is wrong, or the interface is gone.",
		ask("Is the interface there, by that name?", here, links),
		say("Was it removed, renamed or moved to another namespace, as a VPN's or a container's is?")),
	row("option", (*facts).isAnyOption,
		"The system does not accept an option that the program sets on its socket: nothing was sent to {where}",
		"Likely one that the program sets itself (Dialer.Control).",
		say("Does this kernel have the option, and does its value fit the socket (IPv4 or IPv6, TCP or UDP)?"),
		ask("Does it name an address or an interface that this machine does not have?", here, addresses)),
	row("bind-socket", all(by("bind"), (*facts).isUnix), "The unix socket of the program's own end (LocalAddr) cannot be made", "",
		say("Does its directory exist, and is each part before the last a directory?"),
		say("Is the path too long? It may have 107 bytes (103 on BSD and macOS).")),
	row("local-address", all(by("bind"), reported(errno.AddressNotAvailable)),
		"The program asks for the local address {local} (LocalAddr), which this machine does not have", "",
		ask("Is it among this machine's addresses? (A \"tentative\" or \"dadfailed\" one does not count.)", here, addressFlags),
		say("Has it moved to another host, as a virtual IP does, or is its interface not up yet?"),
		say("Is it needed? Without it, the system chooses the right one.")),
	row("local-zone-gone", all(by("bind"), reported(errno.NoDevice, errno.NoDeviceOrAddress)),
		"The local address {local} (LocalAddr) names an interface (zone) that does not exist", "",
		ask("Is the interface there, by that name?", here, links),
		say("Is it needed? Without it, the system chooses the right one.")),
	row("local-zone", all(by("bind"), (*facts).isLinkLocalSource),
		"The local address {local} (LocalAddr) is link-local, and lacks its interface (zone)", "",
		ask("Which interface does it belong to? Add it, as in fe80::1%eth0.", here, links),
		say("Is it needed? Without it, the system chooses the right one.")),
	row("bind", by("bind"),
		"The program asks for the local address {local} (LocalAddr), which the system cannot use for this dial", "",
		say("Is it of another family, IPv4 or IPv6, than the target?"),
		ask("Is it among this machine's addresses?", here, addresses)),
	row("socket-type", all((*facts).isUnix, reported(errno.WrongProtocolType)),
		"The unix socket {where} is of another type than {network}", "",
		ask("Which type is it: u_str (dial unix), u_dgr (unixgram) or u_seq (unixpacket)?", here, allUnixSockets)),
	row("path-odd", all((*facts).isUnix, (*facts).isOddPath), "The path {where} {odd path}", "",
		say("Remove that from the setting or the file that the path comes from.")),
	row("path-long",
		all((*facts).isUnix, func(f *facts) bool { return len(f.address()) > longestPath || f.condition == errno.NameTooLong }),
		"The path {where} is too long for a socket: {path length} bytes, 107 at most (103 on BSD and macOS)", "",
		say("Use a shorter path, or a symbolic link to the directory.")),
	row("path-not-directory", all((*facts).isUnix, reported(errno.NotDirectory)),
		"The path {where} leads through something that is no directory", "",
		ask("Which part of it is no directory?", here, directories)),
	row("path-loop", all((*facts).isUnix, reported(errno.LinkLoop)),
		"The path {where} leads through symbolic links that go round in a circle", "",
		ask("Which links are these?", here, directories)),
	row("socket-path", (*facts).isUnix, "The path {where} cannot be a socket's", "", ask("What is there?", here, file),
		say("Do the network (unix, unixgram, unixpacket) and the local address (LocalAddr) fit the server's socket?")),
	row("no-family", reported(errno.FamilyNotSupported, errno.ProtocolFamilyNotSupported),
		"This machine has no sockets of the family that {where} needs", "",
		ask("Is IPv6 switched off in the kernel (ipv6.disable=1)?", here, kernelCommand),
		ask("Does a seccomp filter (2) restrict the program, as systemd's RestrictAddressFamilies= does?", here, seccomp),
		say("Is IPv4 enough? Dial the IPv4 address, or IPv4 only (tcp4).")),
	row("loopback-source", all(reported(errno.InvalidArgument), (*facts).isLoopbackSource),
		"The local address {local} (LocalAddr) is a loopback address, which cannot reach {where}", "",
		say("Leave LocalAddr out: the system chooses. Or give it an address of the interface that leads there."),
		ask("Which address (src) leads there?", here, route)),
	row("zone-gone",
		all(reported(errno.InvalidArgument), (*facts).isLinkLocal, func(f *facts) bool { return f.remote.Addr().Zone() != "" }),
		"The link-local address {where} names the interface {zone}, which does not exist or does not lead there", "",
		ask("Is the interface there, by that name?", here, links)),
	row("zone", all(reported(errno.InvalidArgument), (*facts).isLinkLocal),
		"The link-local address {where} lacks its interface (zone)", "",
		ask("Which interface leads there? Add it, as in {zoned}.", here, links)),
	row("argument", reported(errno.InvalidArgument), "The system cannot connect to {where} as it was asked to", "",
		ask("Does a blackhole route lead there?", here, blackholes),
		say("Do the local address (LocalAddr) and the socket options (Control) fit the target?")),
	row("unsupported", nil, "This system does not support what the dial of {where} asks for", "",
		say("Is the network right for the address: tcp, udp, or a protocol that this system has?"),
		ask("Does a seccomp filter (2) restrict the program? gVisor and container runtimes leave out calls, too.", here, seccomp)),
}

var (
	networks = say("The networks are tcp, tcp4, tcp6, udp, udp4, udp6, unix, unixgram, unixpacket, and ip:PROTOCOL.")
	source   = say("Where does it come from: a setting, a variable, a template, a file? Correct it there.")
)

const longestPath = 107 // bytes, but for the last one, of sockaddr_un on Linux

// Package net's errors of a bad port, of an address of the wrong family and of an empty address have no
// names. It returns them for addresses that need no look-up.
var (
	invalidPort = sync.OnceValue(func() string {
		_, err := net.LookupPort("tcp", "65536")
		return addrErrorText(err)
	})
	noSuitable = sync.OnceValue(func() string {
		_, err := net.ResolveTCPAddr("tcp6", "127.0.0.1:0")
		return addrErrorText(err)
	})
	errMissingAddress = sync.OnceValue(func() error {
		_, err := net.Dial("tcp", "")
		if op, ok := err.(*net.OpError); ok {
			return op.Err
		}
		return nil
	})
)

func addrErrorText(err error) string {
	if e, ok := err.(*net.AddrError); ok {
		return e.Err
	}
	return ""
}

// bad returns the address that is wrong. Package net may report only a part of it, such as the port.
func (f *facts) bad() string {
	switch {
	case f.asked.address == "" && strings.HasPrefix(f.badPort(), "//"):
		return "...:" + f.badPort() // package net does not tell the scheme
	case f.badAddr != nil && !strings.Contains(f.asked.address, f.badAddr.Addr):
		return f.badAddr.Addr
	}
	return f.asked.address
}

// address fits if package net did not accept an address that is so.
func address(is func(string) bool) func(*facts) bool {
	return func(f *facts) bool { return f.badAddr != nil && is(f.bad()) }
}

func lacksPort(address string) bool {
	return strings.HasSuffix(address, "]") && address[0] == '[' || !strings.Contains(address, ":")
}

// hasEmptyPort reports whether the address ends after its colon. The system takes that for port 0.
func (f *facts) hasEmptyPort() bool {
	_, port, err := net.SplitHostPort(f.asked.address)
	return err == nil && port == "" && !f.isUnix() && (f.dialsPortZero() || f.remote.IsValid() && f.remote.Port() == 0)
}

// dialsPortZero reports whether package redial refused to dial port 0, or no port. It names the whole
// address, as package net does not.
func (f *facts) dialsPortZero() bool {
	if f.badAddr == nil || f.badAddr.Addr != f.asked.address {
		return false
	}
	_, port, err := net.SplitHostPort(f.asked.address)
	return err == nil && strings.Trim(port, "0") == ""
}

func (f *facts) isURL() bool {
	return f.badAddr != nil && strings.Contains(f.bad(), "://") || strings.HasPrefix(f.badPort(), "//")
}

// badPort returns the port that is neither a number up to 65535 nor a service; empty if the port is right.
func (f *facts) badPort() string {
	switch {
	case f.badAddr != nil && f.badAddr.Err == invalidPort():
		return f.badAddr.Addr
	case f.dns != nil:
		_, service, _ := strings.Cut(f.dns.Name, "/") // "tcp/service"
		return service
	}
	return ""
}

// isWrongLocal reports whether LocalAddr does not fit the network or the target. Package net reports
// the address of LocalAddr in the same way as the target's.
func (f *facts) isWrongLocal() bool {
	if f.badAddr == nil || f.badAddr.Err != noSuitable() {
		return false
	}
	bad, dialed := parseIP(target{"", f.badAddr.Addr}.host()).Unmap(), parseIP(f.asked.host()).Unmap()
	bothFamilies := strings.TrimRight(f.asked.network, "46") == f.asked.network
	return f.source != nil || bad.IsValid() && (bothFamilies || dialed.IsValid() && dialed != bad)
}

func (f *facts) isWrongFamily() bool {
	return f.badAddr != nil && f.badAddr.Err == noSuitable() && !f.isWrongLocal()
}

// bracketed returns the IPv6 address and the port that were likely meant, with brackets; empty if address
// is no IPv6 address without brackets.
func bracketed(address string) string {
	if i := strings.LastIndexByte(address, ':'); i > 0 {
		host, port := address[:i], address[i+1:]
		if parseIP(host).Is6() && host[0] != '[' && port != "" && strings.Trim(port, "0123456789") == "" {
			return net.JoinHostPort(host, port)
		}
	}
	if parseIP(address).Is6() && address[0] != '[' {
		return "[" + address + "]:80"
	}
	return ""
}

// nameFault fits if that is why no DNS can hold the name.
func nameFault(kind dnsname.Kind) func(*facts) bool {
	return func(f *facts) bool { return f.dns != nil && dnsname.Check(f.name()).Kind == kind }
}

// unknownNetwork fits if package net does not know the network, and the network is so.
func unknownNetwork(is func(string) bool) func(*facts) bool {
	return func(f *facts) bool {
		e, ok := find[net.UnknownNetworkError](f)
		return ok && is(string(e))
	}
}

func isMisspelt(network string) bool {
	switch strings.ToLower(strings.TrimSpace(network)) {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram", "unixpacket":
		return true
	}
	return false
}

func isScheme(network string) bool {
	switch strings.ToLower(strings.TrimSpace(network)) {
	case "http", "https", "tls", "ssl", "ws", "wss":
		return true
	}
	return false
}

func (f *facts) isAnyOption() bool { return f.call == "setsockopt" || f.call == "" }

func (f *facts) isPermanent() bool {
	_, ok := find[*backoff.PermanentError](f)
	return ok
}

func (f *facts) isLinkLocal() bool {
	ip := f.remote.Addr()
	return ip.Is6() && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast())
}

func (f *facts) isLinkLocalSource() bool {
	local, _ := f.local()
	return local.Is6() && local.IsLinkLocalUnicast()
}

func (f *facts) isLoopbackSource() bool {
	local, _ := f.local()
	return local.IsLoopback() && f.remote.IsValid() && !f.remote.Addr().IsLoopback()
}

// oddity says what character of s is in no address; empty if there is none.
func oddity(s string) string {
	for i, r := range s {
		position := fmt.Sprintf(" at position %d", i+1)
		switch i {
		case 0:
			position = " at its beginning"
		case len(s) - 1:
			position = " at its end"
		}
		switch {
		case r == '\r':
			return `has a carriage return (\r)` + position + ": a Windows line ending"
		case r == '\n':
			return `has a line feed (\n)` + position
		case r == 0:
			return "has a NUL byte (\\x00)" + position
		case r == ' ', r == '\t':
			return "has a space or a tab" + position
		case strings.ContainsRune("\"'`", r):
			return "has a quotation mark" + position
		case unicode.IsControl(r), isOdd(r):
			return fmt.Sprintf("has the invisible or broken character %U", r) + position
		}
	}
	return ""
}

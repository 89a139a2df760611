package explain

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/cenkalti/backoff/v4"

	"github.com/seed-33f8b841/redial/internal/dnsname"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/foreign"
)

// The texts about names and addresses: those that do not exist, those that no
// resolver could look up, and those that can never be dialed. The last need a
// look at the input, and not at the network.

// name returns the name that was looked up, and the DNS server that was asked,
// if the error says so.
func (f *failure) name() (name, server string) {
	name = f.host()
	if e, ok := find[*net.DNSError](f); ok {
		if e.Name != "" {
			name = e.Name
		}
		server = e.Server
	} else if e, ok := find[*net.AddrError](f); ok && e.Addr != "" {
		name = e.Addr
	}
	return name, server
}

// shownName returns the name as a text of the explanation, with what it was to
// lead to if that is another one.
func (f *failure) shownName(name string) string {
	if name == "" {
		return "the target"
	}
	text := shown(withoutSecret(name))
	asked := strings.TrimSuffix(target{"", f.asked.address}.host(), ".")
	if asked != "" && !strings.EqualFold(asked, strings.TrimSuffix(name, ".")) {
		text += " (on the way to " + f.asked.String() + ")"
	}
	return text
}

// host returns the host of the target, without the port.
func (t target) host() string {
	if host, _, err := net.SplitHostPort(t.address); err == nil {
		return host
	}
	return t.address
}

// knownServers names the DNS servers that have the same address everywhere.
var knownServers = map[string]string{
	"127.0.0.53":    "systemd-resolved on this machine",
	"127.0.0.54":    "systemd-resolved on this machine",
	"127.0.0.11":    "Docker's own",
	"169.254.20.10": "Kubernetes' NodeLocal DNSCache",
}

// dnsServer is a DNS server as the error names it.
type dnsServer struct {
	address string // empty if unknown
	ip      netip.Addr
}

func newDNSServer(address string) dnsServer {
	addr, _ := netip.ParseAddrPort(address)
	return dnsServer{address, addr.Addr()}
}

func (s dnsServer) String() string {
	switch known := knownServers[s.ip.String()]; {
	case s.address == "":
		return "the DNS server"
	case known != "":
		return "the DNS server " + shown(s.address) + " (" + known + ")"
	}
	return "the DNS server " + shown(s.address)
}

// configuration returns a check that shows which DNS servers are asked.
func (f *failure) configuration(s dnsServer) check {
	switch {
	case strings.Contains(knownServers[s.ip.String()], "systemd"):
		return look("Which DNS servers does systemd-resolved ask, and do they work?", here, f.command(resolved))
	case s.ip.IsLoopback() && s.ip != netip.MustParseAddr("127.0.0.11"):
		return look("Is a DNS server meant to run here? If that file is missing or names none, Go asks 127.0.0.1 and ::1.", here, f.command(resolvers))
	}
	return look("Is it still the right DNS server, after a change of network, VPN or container?", here, f.command(resolvers))
}

func (f *failure) notFound() advice {
	name, address := f.name()
	if _, ok := find[*net.AddrError](f); ok && parseIP(name).IsValid() {
		return f.wrongFamily(name)
	}
	server, shownName := newDNSServer(address), f.shownName(name)
	records := "A or AAAA record"
	switch {
	case strings.HasSuffix(f.asked.network, "4"):
		records = "A record (IPv4)"
	case strings.HasSuffix(f.asked.network, "6"):
		records = "AAAA record (IPv6)"
	}
	a := advice{name: "not found", observed: "No address of " + shownName + " is known: no such name, or no " + records}
	if server.address != "" {
		a.observed = sentence(server.String()) + " knows no address of " + shownName + ": no such name, or no " + records
	}
	first := look("Is it spelt right? (NXDOMAIN: there is no such name. NOERROR without an answer: it has no such record.)", here, f.queries(name, address)...)
	if len(f.queries(name, address)) == 0 {
		first = look("Is it spelt right, and does it resolve for other programs?", here, f.command(resolve, name))
	}
	if odd := oddity(name); odd != "" {
		a.observed += ". It " + odd
	}
	a.checks = append(a.checks, first)
	short := strings.TrimSuffix(name, ".")
	switch {
	case strings.HasSuffix(short, ".svc") || strings.HasSuffix(short, ".cluster.local"):
		a.checks = append(a.checks, look("Does the Service exist in that namespace? Only pods can resolve it.", here, "kubectl get svc -A"))
	case strings.HasSuffix(short, ".local"):
		a.checks = append(a.checks, say("Names under .local are mDNS's: does Avahi or mDNS run on both machines? Go asks it only by way of the system (cgo)."))
	case !strings.Contains(short, "."):
		a.checks = append(a.checks,
			look("Does it lack its domain? A short name gets those of the search list, and no others.", here, f.command(resolvers)),
			say("Is it a container or a service? Its name is known only in its own network or namespace, once it has started."))
	}
	if server.address == "" {
		a.checks = append(a.checks, look("No DNS server is named: is one asked at all? See hosts: in nsswitch.conf, and /etc/hosts.", here, f.command(resolvers)))
	} else if strings.Contains(short, ".") {
		a.checks = append(a.checks, f.otherServer(server))
	}
	if records != "A or AAAA record" {
		a.name = "not found, family"
		a.checks = append(a.checks, say("Does it have addresses of the other family only? Then dial "+shown(strings.TrimRight(f.asked.network, "46"))+", which takes both."))
	}
	a.checks = append(a.checks, say("Was the record created just now? A \"no\" is remembered for some minutes."))
	return a
}

// otherServer returns a check whether another DNS server knows the name.
func (f *failure) otherServer(s dnsServer) check {
	c := f.configuration(s)
	c.say = "Is it known to another DNS server only (VPN, company network, cluster)?"
	return c
}

// lookupPhase returns at which step a query failed: "dial", "write" or "read";
// empty if it was answered. Package net keeps only the text of the OpError,
// which begins with the operation and the network.
func lookupPhase(e *net.DNSError) string {
	for _, phase := range []string{"dial", "write", "read"} {
		if strings.HasPrefix(e.Err, phase+" udp") || strings.HasPrefix(e.Err, phase+" tcp") {
			return phase
		}
	}
	return ""
}

// lookupCondition returns what the system reported about a query. Package net
// keeps only the text, which ends with this system's own for the condition.
func lookupCondition(e *net.DNSError) errno.Condition {
	for c := errno.Unknown + 1; c < errno.NumConditions; c++ {
		if err := c.Err(); err != nil && strings.HasSuffix(e.Err, ": "+err.Error()) {
			return c
		}
	}
	return errno.Unknown
}

func (f *failure) resolverFailed() advice {
	name, address := f.name()
	server, shownName := newDNSServer(address), f.shownName(name)
	e, ok := find[*net.DNSError](f)
	if !ok {
		e = &net.DNSError{}
	}
	queries := f.queries(name, address)
	ask := look("Does it answer when asked directly?", here, queries...)
	blocked := look("Does a firewall drop or reject port 53, UDP or TCP?", f.dnsPlace(server), f.command(firewall))
	elsewhere := say("Does it answer for other names? If so, this name's own DNS servers or its DNSSEC are broken.")
	phase := lookupPhase(e)
	switch {
	case address == "" && e.IsTimeout:
		return advice{name: "dns, look-up too slow", observed: "The look-up of " + shownName + " did not end" + f.patience() + ": the host itself was not dialed",
			likely: "Likely the DNS server is silent (down, overloaded, a firewall drops port 53) or cannot be reached.",
			checks: []check{
				look("Which DNS servers are asked, and does each answer (dig @server)?", here, f.command(resolvers), f.command(resolved)),
				look("Does ping reach the server, or does it say unreachable? Does a firewall drop port 53?", here, f.command(addresses), f.command(firewall)),
				look("Does the name resolve by now, and do others?", here, f.command(resolve, name)),
			}}
	case address == "":
		return advice{name: "dns, unknown server", observed: "The look-up of " + shownName + " failed: the host itself was not dialed",
			likely: "Likely no DNS server could be reached, or it failed.",
			checks: []check{
				look("Which DNS servers are asked, and are they the right ones?", here, f.command(resolvers), f.command(resolved)),
				look("Does the name resolve now, and do others?", here, f.command(resolve, name)),
				blocked,
			}}
	case e.IsTimeout:
		a := advice{name: "dns, silent", observed: sentence(server.String()) + " did not answer the query for " + shownName + " in time",
			likely: "Likely it is down or overloaded, or a firewall drops port 53.",
			checks: []check{
				look("Is it up, and does it answer? It may wait for another server itself.", here, append(queries, f.command(ping, server.ip.String()))...),
				look("Is it the right one, is there a route to it, and does a firewall, here or there, drop port 53?", here,
					f.command(resolvers), f.routeTo(server), f.command(firewall)),
			}}
		if server.ip.IsLoopback() {
			a.checks = append([]check{f.configuration(server)}, a.checks[0], blocked)
		}
		return a
	case phase == "dial" || phase == "write":
		return f.queryNotSent(server, shownName, lookupCondition(e))
	case phase == "read" && lookupCondition(e) == errno.ConnectionRefused:
		a := advice{name: "dns, nobody there", observed: sentence(server.String()) + " refused the query for " + shownName + ": nothing receives on its port",
			likely: "Likely it is not running, or a firewall rejects port 53.",
			checks: []check{
				look("Is it running, and listening on "+server.ip.String()+"?", onServer, f.command(listeningUDP, "53")),
				f.configuration(server),
				blocked,
			}}
		if server.ip.IsLoopback() {
			a.checks[0].at = here
		}
		if knownServers[server.ip.String()] == "" && server.ip.IsLoopback() {
			a.checks[0], a.checks[1] = a.checks[1], a.checks[0]
		}
		return a
	case phase == "read":
		return advice{name: "dns, unreachable", observed: "The query for " + shownName + " did not get through to " + server.String(),
			likely: "Likely it is down, no route leads to it, or a firewall rejects the query.",
			checks: []check{
				look("Is there a route to it, and is the server up?", here, f.routeTo(server), f.command(ping, server.ip.String())),
				f.configuration(server),
				blocked,
			}}
	case e.IsTemporary:
		configuration := f.configuration(server)
		if server.ip.IsLoopback() && knownServers[server.ip.String()] == "" {
			configuration = look("Which program on this machine is that DNS server, and which servers does it ask itself?", here, f.command(listeningUDP, "53"))
		}
		return advice{name: "dns, server failure", observed: sentence(server.String()) + " answered that it failed to resolve " + shownName + " (SERVFAIL)",
			likely: "Likely a DNS server that it asks itself fails or is silent, or DNSSEC is broken.",
			checks: []check{
				look("Does its log say why? Does it fail for other names too, so that its own upstream is down?", here, queries...),
				configuration,
				elsewhere,
			}}
	case ok:
		return advice{name: "dns, refused or malformed", observed: sentence(server.String()) + " did not resolve " + shownName + ": it refused, or its answer makes no sense",
			checks: []check{
				look("Does it serve this client (allow-query, allow-recursion)? REFUSED says no.", here, queries...),
				f.configuration(server),
				elsewhere,
			}}
	}
	return advice{name: "dns, other", observed: "The look-up of " + shownName + " failed: the host itself was not dialed",
		checks: []check{ask, f.configuration(server), blocked}}
}

// dnsPlace returns where to look for a firewall between this machine and the DNS server.
func (f *failure) dnsPlace(s dnsServer) string {
	if s.ip.IsLoopback() {
		return here
	}
	return "Here and on the DNS server: "
}

func familyOf(ip netip.Addr) string {
	if ip.Is6() {
		return "6"
	}
	return "4"
}

func (f *failure) routeTo(s dnsServer) string { return f.command(route, s.ip.String()) }

// queryNotSent explains a query that this machine itself did not let out. The
// DNS server is not to blame.
func (f *failure) queryNotSent(server dnsServer, shownName string, c errno.Condition) advice {
	a := advice{name: "dns, not sent", observed: "The query for " + shownName + " could not be sent to " + server.String(),
		likely: "That is no failure of the DNS server.",
		checks: []check{
			look("Is there a route to it, and is the interface up?", here, f.routeTo(server), f.command(links)),
			look("Does a firewall or a sandbox of this machine forbid it?", here, f.command(firewall)),
			f.configuration(server),
		}}
	switch {
	case server.ip.IsLoopback():
		a.likely = "Likely the loopback interface is down, or IPv6 is off, or a rule here forbids it."
		a.checks = []check{
			look("Is the loopback interface UP, with that address? A new network namespace has it down.", here, f.command(loopback)),
			look("Is a DNS server meant to run here? If that file is missing or names none, Go asks 127.0.0.1 and ::1.", here, f.command(resolvers)),
			look("Does a firewall of this machine forbid it?", here, f.command(firewall)),
		}
	case c == errno.NotPermitted || c == errno.AccessDenied:
		a.likely = "Likely a firewall, a prohibit route or a sandbox of this machine forbids it."
		a.checks[0], a.checks[1] = a.checks[1], a.checks[0]
	case c == errno.NetworkUnreachable:
		a.likely = "This machine has no route to it."
	case c == errno.HostUnreachable:
		a.likely = "Likely an unreachable route of this machine forbids it."
		a.checks[0].run = []string{f.routeTo(server), f.command(routesOfType, familyOf(server.ip), "unreachable")}
	}
	return a
}

// invalid explains what can never work as it was asked for.
func (f *failure) invalid() advice {
	if e, ok := find[*net.AddrError](f); ok {
		return f.badAddress(e)
	}
	if e, ok := find[net.UnknownNetworkError](f); ok {
		return f.badNetwork(string(e))
	}
	if e, ok := find[*net.DNSError](f); ok {
		if _, service, isPort := strings.Cut(e.Name, "/"); isPort {
			return f.badPort(service)
		}
		return f.badName(e.Name)
	}
	switch {
	case f.leaf() != nil && f.leaf() == errMissingAddress():
		return advice{name: "invalid, empty address", observed: "There is no address to dial: it is empty",
			checks: []check{
				say("Is the setting or the variable that it comes from not set, or its name misspelt?"),
				say(addressForm),
			}}
	case f.condition == errno.Unknown:
		if _, ok := find[*backoff.PermanentError](f); ok {
			return advice{name: "invalid, permanent", observed: "The program's own code says that the dial of " + f.where() + " can never work: " + f.text(),
				checks: []check{say("Its dial or verify function returned that by backoff.Permanent: what it says is what to correct.")}}
		}
		return advice{name: "invalid, other", observed: "The dial of " + f.where() + " can never work as it was asked for: " + f.text(),
			checks: []check{
				say("Do the network, the address and the local address (LocalAddr) go together?"),
				say("Does the program have a dial function of its own? Then what it says is what to correct."),
			}}
	}
	return f.invalidToSystem()
}

// addressForm shows what an address looks like.
const addressForm = "An address is host:port, such as db.example:5432, 192.0.2.1:80 or [2001:db8::1]:80."

// The texts of package net's address errors, which have no names. It returns
// them for addresses that need no look-up.
var (
	missingPort   = addrErrorText(splitError("host"))
	tooManyColons = addrErrorText(splitError("::1"))
	invalidPort   = addrErrorText(lookupPortError("65536"))
	noSuitable    = sync.OnceValue(func() string {
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

func splitError(address string) error {
	_, _, err := net.SplitHostPort(address)
	return err
}

func lookupPortError(port string) error {
	_, err := net.LookupPort("tcp", port)
	return err
}

// badAddress explains an address that package net cannot take apart, or that
// is of the wrong family.
func (f *failure) badAddress(e *net.AddrError) advice {
	addr := e.Addr
	if addr == "" {
		addr = f.asked.address
	}
	whole := addr // the address may be only a part, such as the port
	if f.asked.address != "" && strings.Contains(f.asked.address, addr) {
		whole = f.asked.address
	}
	shownAddr := shown(withoutSecret(whole))
	if !strings.HasPrefix(shownAddr, `"`) {
		shownAddr = quote(withoutSecret(whole))
	}
	a := advice{name: "invalid, address", checks: []check{say(addressForm)}}
	ip := parseIP(addr)
	switch {
	case e.Err == noSuitable():
		return f.wrongFamily(addr)
	case e.Err == invalidPort:
		return f.badPort(addr)
	case strings.Contains(whole, "://"):
		a.observed = "The address " + shownAddr + " is a URL, not host:port"
		a.checks = append([]check{say("Dial " + hostPortOfURL(whole) + " instead, or give the URL to an HTTP client.")}, a.checks...)
	case strings.HasPrefix(whole, "/"):
		a.observed = "The address " + shownAddr + " is a path, not host:port"
		a.checks = append([]check{say("Is it a unix socket? Then the network must be unix, not " + shown(f.asked.network) + ".")}, a.checks...)
	case oddity(whole) != "":
		a.observed = "The address " + shownAddr + " " + oddity(whole)
		a.checks = append([]check{say("Remove that from the setting or the file that the address comes from.")}, a.checks...)
	case strings.Contains(whole, "@"):
		a.observed = "The address " + shownAddr + " has a user in front of the host, which a dial does not take"
		a.checks = append([]check{say("Leave out what is before the last @: the user and the password go to the protocol's client.")}, a.checks...)
	case e.Err == missingPort, e.Err == tooManyColons && ip.Is6():
		a.observed = "The address " + shownAddr + " has no port"
		if ip.Is6() && !strings.HasPrefix(addr, "[") {
			a.observed += ", and no brackets around its IPv6 address"
		}
		a.checks = append([]check{say("Add the port of the service, for example " + shown(net.JoinHostPort(strings.Trim(addr, "[]"), "80")) + ".")}, a.checks...)
	case e.Err == tooManyColons:
		a.observed = "The address " + shownAddr + " has too many colons: only one may come before the port, unless the host is in brackets"
		a.checks = append([]check{say("Is it an IPv6 address? Then put brackets around it: [2001:db8::1]:80. Is there a second port?")}, a.checks...)
	case strings.Contains(e.Err, "["), strings.Contains(e.Err, "]"):
		a.observed = "The address " + shownAddr + " has a bracket too few, too many or in the wrong place"
		a.checks = append([]check{say("Brackets go around an IPv6 address, and the port after them: [2001:db8::1]:80.")}, a.checks...)
	default:
		a.observed = "The address " + shownAddr + " cannot be dialed: " + quote(e.Err)
	}
	return a
}

// wrongFamily explains an IP address that is not of the network's family, or
// not of the family of LocalAddr.
func (f *failure) wrongFamily(addr string) advice {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	family, other := "IPv6", "IPv4"
	if parseIP(host).Unmap().Is4() {
		family, other = other, family
	}
	dialed := parseIP(f.asked.host())
	network, dialedText := f.asked.network, ""
	if f.asked.address != "" && f.asked.address != addr {
		dialedText = " (" + f.asked.String() + ")"
	}
	switch {
	case f.source != nil, dialed.IsValid() && parseIP(host).IsValid() && dialed.Unmap() != parseIP(host).Unmap(),
		!strings.HasSuffix(network, "4") && !strings.HasSuffix(network, "6") && parseIP(host).IsValid():
		return advice{name: "invalid, family of the local address",
			observed: "The local address " + f.localOr(addr) + " (LocalAddr) and the address to dial" + dialedText + " are of different families or kinds",
			checks: []check{
				say("Leave LocalAddr out: the system chooses. Or give it an address of the same family, IPv4 or IPv6, as the target."),
				say("Is the type of LocalAddr right, such as *net.TCPAddr for tcp?"),
			}}
	case parseIP(host).IsValid():
		return advice{name: "invalid, family", observed: shown(host) + " is an " + family + " address, but the network " + shown(network) + " takes " + other + " only",
			checks: []check{say("Dial " + shown(strings.TrimRight(network, "46")) + ", which takes both, or an " + other + " address.")}}
	}
	return f.notFound()
}

func (f *failure) localOr(addr string) string {
	if f.source != nil {
		return f.local()
	}
	return shown(addr)
}

// badPort explains a port that is no number from 0 to 65535 and no service.
func (f *failure) badPort(port string) advice {
	if host, ok := strings.CutPrefix(port, "//"); ok { // of "https://host"
		host, _, _ = strings.Cut(host, "/")
		host = host[strings.LastIndexByte(host, '@')+1:]
		return advice{name: "invalid, URL", observed: "The address is a URL, not host:port: what follows its first colon is taken for the port",
			checks: []check{
				say("Dial " + shown(net.JoinHostPort(host, "443")) + " for https, " + shown(net.JoinHostPort(host, "80")) + " for http, or give the URL to an HTTP client."),
				say(addressForm),
			}}
	}
	a := advice{name: "invalid, port", observed: "The port " + quote(port) + " is no number, and no service of that name is known here",
		checks: []check{
			say("Give the port as a number, for example 5432."),
			say("Is the name spelt right, and in /etc/services? Small container images have no such file."),
		}}
	odd := oddity(port)
	digits := strings.Trim(port, "-+0123456789") == "" && port != ""
	switch {
	case odd != "":
		a.observed = "The port " + quote(port) + " " + odd
		a.checks = []check{say("Remove that from the setting or the file that the address comes from."), say(addressForm)}
	case digits:
		a.observed = "The port " + quote(port) + " is not from 0 to 65535"
		a.checks = []check{say("Is there a digit too many, or something else in the place of the port?"), say(addressForm)}
	}
	return a
}

// badName explains a name that no DNS can hold, and points at what is wrong.
func (f *failure) badName(name string) advice {
	fault, fix := nameFault(name)
	shownName := quote(withoutSecret(name))
	return advice{name: "invalid, name", observed: shownName + " " + fault,
		checks: []check{say(fix), say("Where does it come from: a setting, a variable, a template, a file? Correct it there.")}}
}

// nameFault says what is wrong with a name, and how to correct it.
func nameFault(name string) (fault, fix string) {
	if odd := oddity(name); odd != "" {
		return odd, "Remove that from the setting or the file that the name comes from."
	}
	switch bad := dnsname.Check(name); bad.Kind {
	case dnsname.Mailbox:
		return "has an @, which no host name has", "Leave out what is before the @: the user and the password go to the protocol's client."
	case dnsname.Colon:
		if strings.Contains(name, "%") {
			return "has a zone after %, but is no IPv6 address", "An IPv6 address with a zone looks like fe80::1%eth0."
		}
		return "has colons, but is no IPv6 address", "An IPv6 address is up to eight groups of hexadecimal digits, such as 2001:db8::1."
	case dnsname.BadIPv4:
		return "is no IPv4 address: " + ipv4Fault(name), "An IPv4 address is four numbers from 0 to 255 without leading zeros, such as 192.0.2.1."
	case dnsname.EmptyLabel:
		return "has an empty part: two dots side by side, or one in front", "Is a variable empty that should fill the part?"
	case dnsname.LongName:
		return fmt.Sprintf("is too long for a name: %d characters, %d at most", len(strings.TrimSuffix(name, ".")), dnsname.LongestName),
			"Is a token, a list or a whole text in the place of the host?"
	case dnsname.LongLabel:
		return fmt.Sprintf("has a part that is too long: %s has %d characters, %d at most", quote(shortened(bad.Part)), len(bad.Part), dnsname.LongestLabel),
			"Is a key, a token or a whole path in the place of the host?"
	}
	return "is no name that the DNS can hold", "A host name has letters, digits, hyphens and dots."
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

// badNetwork explains a network that package net does not know.
func (f *failure) badNetwork(network string) advice {
	a := advice{name: "invalid, network", observed: quote(network) + " is not a network that Go can dial"}
	switch lower := strings.ToLower(strings.TrimSpace(network)); lower {
	case "http", "https", "tls", "ssl", "ws", "wss":
		a.checks = []check{say("Use tcp: " + lower + " is spoken on top of it.")}
	case "":
		a.checks = []check{say("Is the setting that it comes from not set? Most programs need tcp.")}
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram", "unixpacket":
		a.checks = []check{say("Use " + lower + ": in small letters, and without spaces.")}
	}
	if strings.ContainsAny(network, ".:/") {
		a.checks = []check{say("It looks like an address: the network comes first, as in Dial(\"tcp\", \"db.example:5432\").")}
	}
	a.checks = append(a.checks, say("The networks are tcp, tcp4, tcp6, udp, udp4, udp6, unix, unixgram, unixpacket, and ip:PROTOCOL."))
	return a
}

// invalidToSystem explains what the system does not accept.
func (f *failure) invalidToSystem() advice {
	ip := f.remote.Addr()
	local, _ := netip.ParseAddrPort(f.sourceText())
	switch {
	case f.port() == "0" && f.condition == errno.AddressNotAvailable:
		return advice{name: "invalid, port 0", observed: "Port 0 of " + f.where() + " cannot be dialed",
			checks: []check{say("Is the port missing in the setting that it comes from?"), say(addressForm)}}
	case f.call == "setsockopt" || f.call == "":
		return f.badOption()
	case f.call == "bind" && f.isUnix():
		return advice{name: "invalid, bind unix", observed: "The unix socket of the program's own end (LocalAddr) cannot be made",
			checks: []check{say("Does its directory exist, and is each part before the last a directory?"), say("Is the path too long? It may have 107 bytes (103 on BSD and macOS).")}}
	case f.call == "bind" && f.condition == errno.AddressNotAvailable:
		return advice{name: "invalid, local address", observed: "The program asks for the local address " + f.local() + " (LocalAddr), which this machine does not have",
			checks: []check{
				look("Is it among this machine's addresses? A \"tentative\" or \"dadfailed\" one does not count.", here, f.command(addressFlags)),
				say("Has it moved to another host, as a virtual IP does, or is its interface not up yet?"),
				say("Is it needed? Without it, the system chooses the right one."),
			}}
	case f.call == "bind":
		return advice{name: "invalid, bind", observed: "The program asks for the local address " + f.local() + " (LocalAddr), which the system cannot use for this dial",
			checks: []check{
				say("Is it a link-local address (fe80::...) without a zone, such as %eth0, or of another family than the target?"),
				look("Is it among this machine's addresses?", here, f.command(addresses)),
			}}
	case f.isUnix():
		return f.badPath()
	case f.condition == errno.FamilyNotSupported, f.condition == errno.ProtocolFamilyNotSupported:
		return advice{name: "invalid, no such family", observed: "This machine has no sockets of the family that " + f.where() + " needs",
			checks: []check{
				look("Is IPv6 switched off in the kernel (ipv6.disable=1)?", here, f.onLinux("cat /proc/cmdline")),
				say("Does a sandbox leave out the family? See RestrictAddressFamilies= (systemd) and seccomp."),
				say("Is IPv4 enough? Dial the IPv4 address, or IPv4 only (tcp4)."),
			}}
	case f.condition == errno.InvalidArgument && local.Addr().IsLoopback() && ip.IsValid() && !ip.IsLoopback():
		return advice{name: "invalid, loopback source", observed: "The local address " + f.local() + " (LocalAddr) is a loopback address, which cannot reach " + f.where(),
			checks: []check{say("Leave LocalAddr out: the system chooses. Or give it an address of the interface that leads there."),
				look("Which address leads there?", here, f.command(route, f.ip()))}}
	case f.condition == errno.InvalidArgument && ip.Is6() && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()):
		return advice{name: "invalid, no zone", observed: "The link-local address " + f.where() + " lacks its interface (zone), or names one that does not exist",
			checks: []check{look("Add the interface that leads there, as in "+net.JoinHostPort(ip.WithZone("").String()+"%eth0", f.port())+". Which are there?", here, f.command(links))}}
	case f.condition == errno.InvalidArgument:
		return advice{name: "invalid, argument", observed: "The system cannot connect to " + f.where() + " as it was asked to",
			checks: []check{
				look("Does a blackhole route lead there?", here, f.routesOf("blackhole"), f.command(route, f.ip())),
				say("Do the local address (LocalAddr) and the socket options (Control) fit the target?"),
			}}
	}
	return advice{name: "invalid, not supported", observed: "This system does not support what the dial of " + f.where() + " asks for",
		checks: []check{
			say("Is the network right for the address: tcp, udp, or a protocol that this system has?"),
			say("Does a sandbox leave out system calls or protocols (seccomp, gVisor, a container runtime)?"),
		}}
}

// sourceText is the local address that the program asked for; empty if none.
func (f *failure) sourceText() string {
	return foreign.String(f.source)
}

// badOption explains a socket option that the system does not accept. Package net
// names the call of its own options, so an errno without one comes from Control.
func (f *failure) badOption() advice {
	a := advice{name: "invalid, socket option", observed: "The system does not accept an option that the program sets on its socket: nothing was sent to " + f.where(),
		likely: "Likely one that the program sets itself (Dialer.Control).",
		checks: []check{
			say("Does this kernel have the option, and does its value fit the socket (IPv4 or IPv6, TCP or UDP)?"),
			look("Does it name an address or an interface of this machine?", here, f.command(addresses)),
		}}
	switch f.condition {
	case errno.NoDevice, errno.NoDeviceOrAddress:
		a.name = "invalid, no such interface"
		a.observed = "The network interface that the program binds its socket to does not exist: nothing was sent to " + f.where()
		a.likely = "Likely the name given to SO_BINDTODEVICE (Dialer.Control) is wrong, or the interface is gone."
		a.checks = []check{
			look("Is the interface there, by that name?", here, f.command(links)),
			say("Was it removed, renamed or moved to another namespace, as a VPN's or a container's is?"),
		}
	case errno.AddressNotAvailable:
		a.likely = "Likely an address that this machine does not have."
		a.checks[0], a.checks[1] = a.checks[1], a.checks[0]
	}
	return a
}

// badPath explains a path that cannot be a socket's, or a socket of another type.
func (f *failure) badPath() advice {
	name := f.address()
	shownName := f.where()
	a := advice{name: "invalid, unix path", observed: "The path " + shownName + " cannot be a socket's"}
	const longest = 107 // bytes, but for the last one, of sockaddr_un on Linux
	switch {
	case f.condition == errno.WrongProtocolType:
		return advice{name: "invalid, unix type", observed: "The unix socket " + shownName + " is of another type than " + shown(f.asked.network),
			checks: []check{
				say("Dial the type that the server listens on: unix (a stream), unixgram or unixpacket."),
				look("Which type is it: u_str, u_dgr or u_seq?", here, f.onLinux("ss -xa")),
			}}
	case strings.ContainsRune(name, 0):
		a.observed = "The path " + shownName + " " + oddity(name)
		a.checks = []check{say("Remove that from the setting or the file that the path comes from.")}
	case len(name) > longest || f.condition == errno.NameTooLong:
		a.observed = fmt.Sprintf("The path %s is too long for a socket: %d bytes, %d at most (103 on BSD and macOS)", shownName, len(name), longest)
		a.checks = []check{say("Use a shorter path, or a symbolic link to the directory.")}
	case f.condition == errno.NotDirectory:
		a.observed = "The path " + shownName + " leads through something that is no directory"
		a.checks = []check{look("Which part of it is no directory?", here, f.command(directories, name))}
	case f.condition == errno.LinkLoop:
		a.observed = "The path " + shownName + " leads through symbolic links that go round in a circle"
		a.checks = []check{look("Which links are these?", here, f.command(directories, name))}
	default:
		a.checks = []check{
			look("What is there?", here, f.command(file, name)),
			say("Do the network (unix, unixgram, unixpacket) and the local address (LocalAddr) fit the server's socket?"),
		}
	}
	return a
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
	port := portOfScheme[strings.ToLower(scheme)]
	if port == "" {
		port = "80"
	}
	return shown(net.JoinHostPort(strings.Trim(host, "[]"), port))
}

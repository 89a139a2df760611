package explain

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-33f8b841/redial/internal/errno"
)

// The rules about names: those that no resolver could look up, and those that do not exist.

var dnsRules = []rule{
	row("gone", all((*facts).isDoubted, (*facts).isServerless),
		"{name} has resolved before, and now the DNS server says that there is no such name",
		"Likely the record was removed, or is being replaced.",
		ask("Does it exist by now?", here, resolve),
		say("Was the service or the container moved, renamed or stopped?"),
		ask("Which DNS servers are asked? One of several may be behind the others.", here, resolvers)),
	row("partial", (*facts).isDoubted,
		"The look-up of {name} found no address, but {dns} failed for one query, or did not answer it",
		"Likely it fails for the domain of the name, and another domain of the search list has no such name.",
		ask("Which domains does the search list have?", here, resolvers),
		ask("For which of them does the DNS server fail (SERVFAIL, or no answer)?", here, querySearched)),
	row("one-family", (*facts).isHalfAnswered,
		"The look-up of {name} did not end{within}: {dns} did not answer the {unanswered} query, and answered the other",
		"Likely it, or a firewall or router on the way, drops {unanswered} queries.",
		ask("Does it answer the {unanswered} query when asked directly?", here, queryUnanswered),
		say("If you need one family only, dial tcp4 (it asks for A) or tcp6 (it asks for AAAA)."),
		ask("Is it the right DNS server?", here, resolvers)),
	row("slow", func(f *facts) bool { return f.isServerless() && f.dns.IsTimeout },
		"The look-up of {name} did not end{within}: the host itself was not dialed",
		"Likely the DNS server is silent or cannot be reached, or the time was too short.",
		ask("Which DNS servers are asked? Ask each of them: dig {name} @SERVER.", here, resolvers),
		ask("If none answers, does a firewall drop port 53?", onWay, firewall),
		ask("Is the network up, and the loopback interface?", here, addresses),
		ask("Does the name resolve by now, and how long does it take?", here, resolve)),
	row("tcp", func(f *facts) bool { return strings.HasSuffix(f.queryPhase(), "tcp") },
		"{Dns} had to be asked for {name} over TCP, which failed with {dns error}",
		"Its answer over UDP was likely too long, and a firewall or the server itself refuses TCP on port 53.",
		ask("Does it answer over TCP?", here, queryTCP),
		ask("Does a firewall drop or reject TCP on port 53?", onWay, firewall),
		ask("Does the program or this file ask for TCP (use-vc)?", here, resolvers)),
	row("silent-resolved", all((*facts).isUnansweredInTime, (*facts).isResolved),
		"{Dns} did not answer the query for {name} in time", "Likely the DNS servers that it asks itself are silent.",
		ask("Does another name resolve? If so, the DNS servers of this name's domain are silent.", here, resolveOther),
		ask("Which DNS servers does systemd-resolved ask, and do they answer?", here, resolved),
		ask("Is its process stopped, or its log full of errors?", here, resolvedLog)),
	row("silent-loopback", all((*facts).isUnansweredInTime, (*facts).isLoopbackServer),
		"{Dns} did not answer the query for {name} in time", "Likely a DNS server that it asks itself is silent.",
		ask("Does another name resolve? If so, the DNS servers of this name's domain are silent.", here, resolveOther),
		ask("Which program is that DNS server? See its log, and which servers it asks.", here, listeningDNS),
		ask("Is a DNS server meant to run here? If that file names none, Go asks 127.0.0.1 and ::1.", here, resolvers)),
	row("silent", (*facts).isUnansweredInTime, "{Dns} did not answer the query for {name} in time",
		"Likely it is down or overloaded, or a firewall drops port 53.",
		ask("Does it answer when asked directly, also for another name?", here, query),
		ask("Does a firewall drop port 53?", onWay, firewall),
		ask("Is it up?", here, pingServer),
		ask("Is it the right DNS server, after a change of network, VPN or container?", here, resolvers)),
	row("no-socket", func(f *facts) bool { return f.isUnsent() && strings.Contains(f.dns.Err, ": socket: ") },
		"This machine opened no socket for the query for {name}: {dns error}", "Likely a sandbox forbids it.",
		ask("Does a seccomp filter (2) restrict the program, as systemd's RestrictAddressFamilies= and containers do?", here, seccomp),
		ask("Does SELinux forbid it?", here, securityLog),
		ask("Is this machine out of memory?", here, kernelLog)),
	row("not-permitted", all((*facts).isUnsent, queryReported(errno.NotPermitted)),
		"This machine did not permit the query for {name} to {dns}: nothing was sent",
		"Likely its own firewall drops it, or a sandbox forbids it.",
		ask("Does a rule for output drop port 53?", here, firewall),
		ask("Does an eBPF program of the service's or container's cgroup forbid it?", here, cgroups)),
	row("prohibited", all((*facts).isUnsent, queryReported(errno.AccessDenied)),
		"This machine did not permit the query for {name} to {dns}: nothing was sent", "Likely a prohibit route forbids it.",
		ask("Does a prohibit route forbid it? (Permission denied: yes.)", here, routeToServer),
		ask("Does a firewall of this machine forbid it?", here, firewall),
		ask("Is it the right DNS server?", here, resolvers)),
	row("not-sent-loopback", all((*facts).isUnsent, (*facts).isLoopbackServer),
		"The query for {name} could not be sent to {dns}: {dns error}",
		"Likely the loopback interface is down, or a rule here forbids it.",
		ask("Is the loopback interface UP, with that address? A new network namespace has it down: ip link set lo up.", here, loopback),
		ask("Does a firewall of this machine forbid it?", here, firewall),
		ask("Is a DNS server meant to run here? If that file names none, Go asks 127.0.0.1 and ::1.", here, resolvers)),
	row("no-route", all((*facts).isUnsent, queryReported(errno.NetworkUnreachable)),
		"The query for {name} could not be sent: this machine has no route to {dns}", "",
		ask("Is the network up: does an interface besides lo have an address?", here, addresses),
		ask("Is there a route to the DNS server, for example by a VPN that must be connected?", here, routeToServer),
		ask("Is it still the right DNS server, after a change of network, VPN or container?", here, resolvers)),
	row("no-ipv6-address", all((*facts).isUnsent, queryReported(errno.AddressNotAvailable)),
		"The query for {name} could not be sent: this machine has no address to reach {dns} from", "",
		ask("Is there a global IPv6 address? (\"tentative\" and \"dadfailed\" ones do not count.)", here, addresses6),
		ask("Is IPv6 switched off (1)?", here, ipv6Off),
		ask("Is there a DNS server with an IPv4 address, too?", here, resolvers)),
	row("not-sent", (*facts).isUnsent, "The query for {name} could not be sent to {dns}: {dns error}", "",
		ask("Is there a route to it that is not \"unreachable\"?", here, routeToServer),
		ask("Is the interface of that route up?", here, links),
		ask("Does a firewall of this machine forbid it?", here, firewall),
		ask("Is it the right DNS server?", here, resolvers)),
	row("closed-resolved", all((*facts).isQueryRefused, (*facts).isResolved),
		"{Dns} refused the query for {name}: nothing receives on its port", "Likely it is not running.",
		ask("Is it running?", here, resolvedLog),
		ask("Is it meant to run here? A container has no systemd-resolved of its own.", here, resolvers),
		ask("Does a firewall here reject port 53?", here, firewall)),
	row("closed-loopback", all((*facts).isQueryRefused, (*facts).isLoopbackServer),
		"{Dns} refused the query for {name}: nothing receives on its port", "Likely no DNS server runs on this machine.",
		ask("Is one meant to run here? If that file is missing or names none, Go asks 127.0.0.1 and ::1.", here, resolvers),
		ask("If so, is it running, and listening on {server}?", here, listeningDNS),
		ask("Does a firewall here reject port 53?", here, firewall)),
	row("closed", (*facts).isQueryRefused, "{Dns} refused the query for {name}: nothing receives on its port",
		"Likely it is not running, or a firewall rejects port 53.",
		ask("Is it running, and listening on {server}?", onDNSServer, listeningDNS),
		ask("Does a firewall reject port 53?", onWay, firewall),
		ask("Is it still the right DNS server, after a change of network, VPN or container?", here, resolvers)),
	row("unreachable", func(f *facts) bool { return strings.HasPrefix(f.queryPhase(), "read") },
		"The query for {name} did not get through to {dns}: {dns error}",
		"Likely it is down, or a firewall or router on the way rejects the query.",
		ask("Does a firewall reject port 53?", onWay, firewall),
		ask("Is the server up?", here, pingServer),
		ask("Is there a route to it?", here, routeToServer),
		ask("Is it still the right DNS server, after a change of network, VPN or container?", here, resolvers)),
	row("failing-docker", all((*facts).isTemporary, (*facts).isDocker, (*facts).isShort),
		"{Dns} failed to resolve {name}, and answered SERVFAIL",
		"Likely no container of that name runs on the same network, and the host's DNS servers failed for it.",
		ask("Is a container of that name running?", onHost, dockerContainers),
		say("Is it on a network of this container? The default bridge has no names: give both a network of their own."),
		ask("Does another name resolve, which the host's DNS servers know?", here, resolveOther)),
	row("failing-resolved", all((*facts).isTemporary, (*facts).isResolved),
		"{Dns} failed to resolve {name}, and answered SERVFAIL",
		"Likely a DNS server that it asks itself fails, or DNSSEC is broken.",
		ask("Does another name resolve? If so, this name's own DNS servers or its DNSSEC are broken.", here, resolveOther),
		ask("Which DNS servers does systemd-resolved ask, and do they work?", here, resolved)),
	row("failing", (*facts).isTemporary, "{Dns} failed to resolve {name}, and answered SERVFAIL",
		"Likely a DNS server that it asks itself fails or is silent, or DNSSEC is broken.",
		ask("Does it answer for another name? (If so, this name's own DNS servers fail.)", here, queryOther),
		ask("Which program is it? See its log, and which servers it asks.", onDNSServer, listeningDNS),
		ask("Is it still the right DNS server, after a change of network, VPN or container?", here, resolvers)),
	row("refused-loopback", all((*facts).hasServer, (*facts).isLoopbackServer),
		"{Dns} did not resolve {name}: it refused, or its answer makes no sense", "Likely a DNS server that it asks itself refused.",
		ask("Does another name resolve? If so, the DNS servers of this name's domain fail.", here, resolveOther),
		ask("Which program is that DNS server? See its log, and which servers it asks.", here, listeningDNS),
		ask("Is it the right DNS server, after a change of network, VPN or container?", here, resolvers)),
	row("refused", (*facts).hasServer, "{Dns} did not resolve {name}: it refused, or its answer makes no sense",
		"Likely it does not serve this client, or not this domain.",
		ask("What does it say? (REFUSED: not for this client or domain. See its allow-query and allow-recursion.)", here, query),
		ask("Is it still the right DNS server, after a change of network, VPN or container?", here, resolvers),
		say("Does it answer for other names? If so, this name's own DNS servers are broken.")),
	row("unknown-server", nil, "The look-up of {name} failed: the host itself was not dialed",
		"Likely no DNS server could be reached, or it failed.",
		ask("Does the name resolve now?", here, resolve),
		ask("Which DNS servers are asked, and are they the right ones?", here, resolvers),
		ask("Does a firewall of this machine drop or reject port 53?", here, firewall)),
}

// isDoubted reports whether package redial did not believe a "no such host": its error is temporary,
// and wraps the resolver's.
func (f *facts) isDoubted() bool {
	if f.dns == nil || f.dns.IsNotFound {
		return false
	}
	e, ok := f.dns.UnwrapErr.(*net.DNSError)
	return ok && e != nil && e.IsNotFound
}

func (f *facts) isServerless() bool       { return f.dns != nil && f.dns.Server == "" }
func (f *facts) hasServer() bool          { return f.dns != nil && f.dns.Server != "" }
func (f *facts) isUnansweredInTime() bool { return f.hasServer() && f.dns.IsTimeout }
func (f *facts) isTemporary() bool        { return f.hasServer() && f.dns.IsTemporary }
func (f *facts) isLoopbackServer() bool   { return f.server().IsLoopback() }
func (f *facts) isDocker() bool           { return f.server() == netip.AddrFrom4([4]byte{127, 0, 0, 11}) }

// isHalfAnswered reports whether the query for one family had an answer, and that for the other had none.
func (f *facts) isHalfAnswered() bool {
	one := f.unanswered() == "A" || f.unanswered() == "AAAA"
	return one && f.dns != nil && !strings.HasSuffix(f.asked.network, "4") && !strings.HasSuffix(f.asked.network, "6")
}

func (f *facts) isResolved() bool {
	return slices.Contains([]string{"127.0.0.53", "127.0.0.54"}, f.server().String())
}

// isUnsent reports whether this machine did not send the query. The DNS server is not to blame.
func (f *facts) isUnsent() bool {
	phase := f.queryPhase()
	return strings.HasPrefix(phase, "dial") || strings.HasPrefix(phase, "write")
}

func (f *facts) isQueryRefused() bool {
	return strings.HasPrefix(f.queryPhase(), "read") && f.queryCondition() == errno.ConnectionRefused
}

// queryReported fits if that is what the system reported about the query.
func queryReported(c errno.Condition) func(*facts) bool {
	return func(f *facts) bool { return f.queryCondition() == c }
}

// isShort reports whether the name has one label.
func (f *facts) isShort() bool { return !strings.Contains(strings.TrimSuffix(f.name(), "."), ".") }

var notFoundRules = []rule{
	row("odd", func(f *facts) bool { return oddity(f.name()) != "" }, "{Known} no address of {name}, which {odd name}", "",
		say("Remove that from the setting or the file that the name comes from."),
		say("Is the name complete, and spelt right?")),
	row("service", hasSuffix(".svc", ".cluster.local"), "{Known} no address of {name}: no such name, or no {records}",
		"Likely there is no such Service, or this is not in the cluster.",
		ask("Does the Service exist in that namespace?", here, services),
		ask("Is this a pod, with the cluster's DNS server? Only pods can resolve the name.", here, resolvers)),
	row("mdns", hasSuffix(".local"), "{Known} no address of {name}: no such name, or no {records}", "",
		ask("Does it resolve for other programs? Names under .local are mDNS's: Avahi must run on both machines.", here, resolve),
		say("Is the program built with cgo? Go asks mDNS only by way of the system's resolver (GODEBUG=netdns=cgo).")),
	row("other-family", func(f *facts) bool { return f.badAddr != nil },
		"{name} has addresses of the other family only: no {records}", "",
		say("Dial {either network}, which takes both IPv4 and IPv6."),
		ask("If it should have one, where does its address come from: the hosts file or the DNS?", here, hostsFile)),
	row("family", func(f *facts) bool { return strings.TrimRight(f.asked.network, "46") != f.asked.network },
		"{Known} no address of {name}: no such name, or no {records}", "",
		ask("Is it spelt right? (NXDOMAIN: no such name. NOERROR without an answer: no such record.)", here, query),
		say("Does it have addresses of the other family only? Then dial {either network}, which takes both."),
		ask("Is it known to another DNS server only (VPN, company network, cluster)?", here, resolvers)),
	row("no-server", (*facts).isServerless, "{Known} no address of {name}: no such name, or no {records}", "",
		ask("Is it spelt right, and does it resolve for other programs?", here, resolve),
		ask("Is a DNS server asked at all? (hosts: must have dns. Without, only the hosts file counts.)", here, nameService),
		ask("Is it the right DNS server (VPN, company network, cluster)?", here, resolvers)),
	row("short", (*facts).isShort, "{Known} no address of {name}: no such name, or no {records}", "",
		ask("Does the name lack its domain? Only the domains of the search list are added.", here, resolvers),
		say("Is it a container or a service? Its name is known only in its own network or namespace, while it runs."),
		ask("Is it spelt right?", here, query)),
	row("name", nil, "{Known} no address of {name}: no such name, or no {records}", "",
		ask("Is it spelt right? (NXDOMAIN: no such name. NOERROR without an answer: no such record.)", here, query),
		ask("Is it known to another DNS server only (VPN, company network, cluster)?", here, resolvers),
		say("Was the record created just now? A \"no\" is remembered for some minutes.")),
}

// hasSuffix fits if the name ends so.
func hasSuffix(suffixes ...string) func(*facts) bool {
	return func(f *facts) bool {
		return slices.ContainsFunc(suffixes, func(suffix string) bool {
			return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(f.name(), ".")), suffix)
		})
	}
}

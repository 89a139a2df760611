package explain

import (
	"net/http"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
)

// The rules of failures to connect. Only what the system reported is certain: Observed says
// that, then comes what is likely, and the checks tell the likely causes apart. The first
// two checks should lead to nearly every cause.

var refusedRules = []rule{
	row("self", (*facts).isSelf,
		"{Where} was dialed from that address itself, and so connected to itself: no server listens there", "",
		say("Does the program set Dialer.LocalAddr to the server's address? Leave LocalAddr out: the system chooses one."),
		ask("If not, is the server running? (The system chose the server's port for the dial, so it was free.)", here, listening)),
	row("abstract-socket", (*facts).isAbstract, "Nothing listens on the abstract unix socket {where}", "",
		ask("Is its server running, and is that the socket's name?", here, unixSockets),
		say("Is the server in another network namespace, such as a container's? Abstract sockets are not seen from there.")),
	row("no-socket-odd", all((*facts).isUnix, reported(errno.FileNotFound), (*facts).isOddPath),
		"There is no unix socket {where}: the path {odd path}", "",
		say("Remove that from the setting or the file that the path comes from."),
		ask("Where does the server listen?", here, unixSockets)),
	row("no-socket-relative", all((*facts).isUnix, reported(errno.FileNotFound), (*facts).isRelativePath),
		"There is no unix socket {where}: the path is relative, and counts from the program's working directory", "",
		ask("Is that directory the right one? (PID is the program's.)", here, workingDirectory),
		ask("Where does the server listen?", here, unixSockets)),
	row("no-socket-tmp", all((*facts).isUnix, reported(errno.FileNotFound), (*facts).isInTmp), "There is no unix socket {where}",
		"Likely its server is not running, or makes it elsewhere.",
		ask("Is the server running, and is that the path of its socket?", here, unixSockets),
		say("Does either side run under systemd with PrivateTmp=yes, or in a container? Then its /tmp is its own."),
		ask("Which part of the path is missing?", here, directories)),
	row("no-socket", all((*facts).isUnix, reported(errno.FileNotFound)),
		"There is no unix socket {where}: the file, or a directory on the way, does not exist",
		"Likely its server is not running, or makes it elsewhere.",
		ask("Is the server running, and is that the path of its socket?", here, unixSockets),
		ask("Which part of the path is missing? (A link may point to nothing.)", here, directories),
		say("Is one side in a container? It has its own files: mount the socket's directory into both.")),
	row("socket-full", all((*facts).isUnix, reported(errno.WouldBlock)), "The accept queue of the unix socket {where} is full",
		"Likely its server hangs, is stopped, or is too slow.",
		ask("Which process should accept (PID), and how many wait (Recv-Q)?", here, listeningUnix),
		ask("Is that process stopped or stuck (state T or D)?", here, process),
		say("Do too many connect at once? Keep connections, or raise the server's backlog (net.core.somaxconn).")),
	row("not-socket", all((*facts).isUnix, reported(errno.NotSocket)), "The file {where} exists, but is no socket", "",
		ask("What is it? (A socket has an s in front.)", here, file),
		ask("Where does the server listen?", here, unixSockets)),
	row("stale-socket", (*facts).isUnix, "The file {where} exists, but refused the connection",
		"Likely no server listens on it any more, or it is no socket.",
		ask("Does a server listen on it? (No line: none. The file stays when a server crashes.)", here, listeningUnix),
		ask("Is the file a socket (s in front), or a file of another kind?", here, file),
		say("Does the server fail to start because of the old file? It must remove the file before it binds."),
		say("Is the file mounted into a container? A server that restarts makes a new file: mount the directory.")),
	row("unknown-target", (*facts).isUnknown, "{Where} refused the connection",
		"Likely no server listens there, or a firewall rejects it.",
		ask("Is the server running, and listening on the right port?", onServer, listeningAll),
		ask("If it listens, does a firewall reject the connection?", onServer, firewall)),
	row("udp", (*facts).isUDP, "{Where} reported by ICMP that nothing receives on that UDP port",
		"A firewall's reject rule reports the same.",
		ask("Is the server running, and receiving on {listens}?", onServer, listeningUDP),
		ask("If so, does a firewall reject the packets?", onWay, firewall)),
	row("zero-address", all((*facts).isName, (*facts).isUnspecified),
		"{asked} resolves to {addresses}, which means this machine itself, and nothing listens here",
		"Likely a DNS server that blocks names, or the hosts file, gave that address.",
		ask("Is the name in the hosts file?", here, hostsFile),
		ask("Does the DNS server give that address (0.0.0.0 or ::)? Another DNS server may give the real one.", here, queryAnyServer),
		ask("Which DNS server is asked? Blockers are Pi-hole, AdGuard and some providers.", here, resolvers)),
	row("loopback-name", all((*facts).isName, (*facts).isLocal, not((*facts).isLocalhost)),
		"{asked} resolves to {addresses}, which is this machine itself, and nothing listens here",
		"Likely the hosts file or the DNS gives the wrong address, or the server here is not running.",
		ask("If another machine is meant, is the name in the hosts file?", here, hostsFile),
		ask("If this machine is meant, is a server listening on port {port} of {listens}?", here, listeningAll),
		ask("Does the DNS server give that address?", here, queryAnyServer)),
	row("no-host", (*facts).isHostless, "{asked} has no host, so this machine itself was dialed, and it refused the connection",
		"",
		say("Is the host missing in the setting or the variable that the address comes from?"),
		ask("If this machine is meant, is a server listening on port {port}?", here, listeningAll)),
	row("loopback", (*facts).isLocal, "{Where} refused the connection", "Likely no server listens there on this machine.",
		ask("Is a server listening on port {port} of {listens}?", here, listeningAll),
		ask("If it is in that list, does a firewall of this machine reject the connection?", here, firewall),
		say("Is this a container? Its localhost is its own: dial others by name, the host as host.docker.internal."),
		say("Has the server crashed, or not finished its start? Its log says so.")),
	row("several", (*facts).isSeveral, "{Where} refused the connection",
		"Since all addresses refused, likely the port is wrong, or the server is down.",
		ask("Is the server running, and listening on that port of every address?", onServer, listening),
		ask("If it listens, does a firewall reject the connection?", onWay, firewall),
		ask("Are those the right addresses, and is the port right?", here, resolve),
		say("Is it a container's port that is not published, or a Kubernetes Service without ready pods?")),
	row("remote", nil, "{Where} refused the connection", "Likely no server listens there, or a firewall rejects it.",
		ask("Does a server listen on {listens}, not just {loopback}?", onServer, listening),
		ask("If it listens, does a firewall reject the connection?", onWay, firewall),
		ask("Is that the right address, and is the port right?", here, resolve),
		say("Is it a container's port that is not published, or a Kubernetes Service without ready pods?")),
}

func (f *facts) isSelf() bool {
	ip, port := f.local()
	return port != "" && ip.Unmap() == f.remote.Addr() && port == f.port()
}

func (f *facts) isAbstract() bool     { return f.isUnix() && strings.HasPrefix(f.address(), "@") }
func (f *facts) isOddPath() bool      { return oddity(f.address()) != "" }
func (f *facts) isRelativePath() bool { return !strings.HasPrefix(f.address(), "/") }
func (f *facts) isPortZero() bool     { return f.port() == "0" }
func (f *facts) isUnspecified() bool  { return f.remote.Addr().IsUnspecified() }

// isLocalhost reports whether the name stands for this machine everywhere (RFC 6761).
func (f *facts) isLocalhost() bool {
	host := strings.ToLower(strings.TrimSuffix(f.host(), "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func (f *facts) isHostless() bool { return f.host() == "" && f.address() != "" && !f.isUnix() }

func (f *facts) isInTmp() bool {
	return strings.HasPrefix(f.address(), "/tmp/") || strings.HasPrefix(f.address(), "/var/tmp/")
}

var resetRules = []rule{
	row("aborted", reported(errno.ConnectionAborted), "The connection to {where} was aborted on this machine", "",
		say("Does a program here close other programs' connections (ss -K, a VPN client, a security agent)?"),
		ask("Did an address or an interface of this machine change at that moment?", here, kernelLog)),
	row("socket", (*facts).isUnix, "{Where} accepted the connection and then closed it", "",
		say("Does the server's log say why? It may have crashed, restarted, or refused this user or protocol."),
		ask("Is the server still running? (No line: no.)", here, listeningUnix)),
	row("connecting", not((*facts).isConnected), "The connection to {where} was reset while it was being made, or right after",
		"Likely the server closes at once, or its accept queue is full.",
		say("Does the server accept and close at once: a crash, a restart, too many clients, a client not allowed? See its log."),
		ask("Is the server's accept queue full{full?}?", onServer, queue),
		ask("Does a firewall, proxy or load balancer reset it?", onServer, firewall)),
	row("closed", reported(errno.Unknown, errno.GracefulDisconnect), "{Where} accepted the connection and then closed it",
		"Likely it does not want this client or this protocol, or is a proxy without a backend.",
		say("Does the server's log say why: a crash, too many clients, a client not allowed, another protocol (TLS or not)?"),
		ask("Which program listens? A proxy (docker-proxy, ssh) accepts even if the server behind it is down.", onServer, listening),
		say("Does the server speak another protocol there, such as TLS where plain text was sent, or the other way round?")),
	row("after", nil, "{Where} accepted the connection, which was then reset",
		"Likely the server closed it with data unread, or a firewall or proxy cut it off.",
		say("Does the server's log say why: a crash, too many clients, a client not allowed, another protocol (TLS or not)?"),
		ask("Does a firewall cut it off? (A rule that rejects with tcp reset.)", onWay, firewall),
		ask("Which program listens? A proxy (docker-proxy, ssh) accepts even if the server behind it is down.", onServer, listening)),
}

var timeoutRules = []rule{
	row("before-dialer", (*facts).isOverByDialer,
		"Nothing was dialed: Dialer.Deadline had passed before the first attempt at {target}, or Dialer.Timeout is negative", "",
		say("Is Dialer.Deadline set once, for many dials? Use Timeout, MaxElapsed or a context's deadline for each."),
		say("Is Dialer.Timeout what is left of a time that was over? It must not be negative.")),
	row("before-max-elapsed", (*facts).isOverByMaxElapsed,
		"Nothing was dialed: Dialer.MaxElapsed was over before the first attempt at {target}", "",
		say("Is MaxElapsed far too short, such as 30 (nanoseconds) in place of 30*time.Second?"),
		say("Do many dials wait at one Gate? A dial's wait counts as its time.")),
	row("before", (*facts).isNotAttempted,
		"Nothing was dialed: the deadline of the context had passed before the first attempt at {target}", "{cause?}",
		say("Did earlier steps use up the time? They share the context's deadline."),
		say("Is it the context of a request or an operation that has ended?"),
		say("Was the clock of this machine set, or the machine suspended?")),
	row("unknown-target", (*facts).isUnknown, "Time ran out, and the error does not say on what",
		"A client may have dropped the error of the dial, such as a refusal that was retried.",
		say("Does the program's log show failed dials? They say more."),
		say("Set the time limit of the dial (Dialer.MaxElapsed) below the client's: then the dial's own error comes first."),
		say("Was the deadline too short, or used up by earlier steps?")),
	row("udp", (*facts).isUDP, "Nothing came back from {where}{within}", "UDP does not say whether anything arrived.",
		ask("Is the server running, and receiving on {listens}?", onServer, listeningUDP),
		ask("Does a firewall drop the packets, or the answers?", onWay, firewall),
		ask("Is the route right?", here, route)),
	row("client", (*facts).isClientsTimeout, "The client's time ran out while it waited for {where}",
		"Likely the server accepted and then was too slow; the error does not exclude that connecting failed.",
		say("Does the server's log show the request? Then the server, or a backend behind it, is slow or hangs."),
		ask("If not, does it accept connections at all{full?}? See the program's log for failed dials, too.", onServer, queue),
		say("Is the client's timeout too short for that request? Keep the dial's time limit (Dialer.MaxElapsed) below it.")),
	row("lost", all((*facts).isConnected, reported(errno.TimedOut)),
		"The connection to {where} was made, and then its packets were no longer acknowledged",
		"Likely the host or the network on the way went down, or a firewall forgot the connection.",
		ask("Is the host still up, and how far do packets get?", here, trace),
		ask("Does a firewall on the way drop the connection's packets, or forget idle connections?", onWay, firewall),
		say("Did the address or the route of this machine change (VPN, roaming)?")),
	row("silent", (*facts).isConnected, "{Where} accepted the connection, and then did not answer{within}",
		"Likely the server hangs or is too busy, or waits for another protocol.",
		ask("Does the server hang{waiting?}? The kernel accepts for it.", onServer, queue),
		say("Do both sides wait, one for TLS and one for plain text, or does a proxy wait for its backend?"),
		ask("Does a firewall drop what comes after the handshake?", onWay, firewall),
		ask("Do only small packets get through (pmtu), as in some VPNs?", here, pathMTU)),
	row("socket", (*facts).isUnix, "No answer from {where}{within}", "Likely its server hangs, or is too busy to accept.",
		ask("Which process should accept (PID), and how many wait (Recv-Q)?", here, listeningUnix),
		ask("Is that process stopped or stuck (state T or D)?", here, process)),
	row("loopback", (*facts).isLocal, "No answer from {where}{within}", "Likely the server hangs with a full accept queue.",
		ask("Is the accept queue full{full?}?", here, queue),
		ask("If not, is the loopback interface UP, with {loopback}? A new network namespace has it down.", here, loopback),
		ask("Does a firewall here drop the packets?", here, firewall)),
	row("several", (*facts).isSeveral, "No answer from {where}{within}",
		"Since all addresses are silent, likely the network or a firewall fails, not one host.",
		ask("Is the network up at all: how far do packets get?", here, trace),
		ask("Does a firewall drop them?", onWay, firewall),
		ask("Are those the right addresses?", here, resolve),
		ask("If the hosts are up, is the accept queue full{full?}?", onServer, queue)),
	row("brief", func(f *facts) bool { return 0 < f.took && f.took < time.Second }, "No answer from {where}{within}",
		"Likely a firewall drops the packets, or the time is too short: one lost packet costs 1 s.",
		ask("Does that address answer in time, and how far do packets get?", here, trace),
		ask("Does a firewall drop them?", onWay, firewall),
		ask("Is the server's accept queue full{full?}?", onServer, queue)),
	row("remote", nil, "No answer from {where}{within}", "Likely a firewall drops the packets, or the host is down.",
		ask("How far do packets get, and are the address and the route right?", here, trace),
		ask("Does a firewall drop them?", onWay, firewall),
		ask("Is the server's accept queue full{full?}?", onServer, queue),
		ask("Does the server have a route back to this machine?", onServer, routes)),
}

func (f *facts) isNotAttempted() bool { return f.dial != nil && f.dial.Attempts == 0 }

func (f *facts) isOverByDialer() bool {
	return f.isNotAttempted() && f.dial.Stop == redial.ErrDeadline && f.dial.Cause == nil
}

func (f *facts) isOverByMaxElapsed() bool {
	return f.isNotAttempted() && f.dial.Stop == redial.ErrMaxElapsed
}

// isClientsTimeout reports whether a client says that its time ran out, and not how far it got. A
// failed dial would be in the error, unless the client's own time ran out during the dial.
func (f *facts) isClientsTimeout() bool {
	return f.client && f.op == nil && f.dial == nil && !f.saysHandshake()
}

var unreachableRules = []rule{
	row("proxy-failed", answered(http.StatusBadGateway), "{Proxy} could not connect to {target} ({status})",
		"Likely the target refused the proxy, or the proxy did not find its name.", proxyChecks...),
	row("proxy-unavailable", answered(http.StatusServiceUnavailable), "{Proxy} did not connect to {target} ({status})",
		"Likely the proxy has no server for that target, or is overloaded.", proxyChecks...),
	row("proxy-timeout", answered(http.StatusGatewayTimeout), "{Proxy} got no answer from {target} in time ({status})", "",
		proxyChecks...),
	row("multicast", (*facts).isMulticast, "{Where} leads to a multicast or broadcast address, which TCP cannot connect to", "",
		ask("Is that the right address? A server has an address of its own.", here, resolve),
		say("Is it meant for many hosts? Then use UDP.")),
	row("interface-down", reported(errno.NetworkDown), "The network interface that leads to {where} is down", "",
		ask("Is the interface up, and its cable or wireless network there?", here, links),
		ask("Which interface is it?", here, route),
		say("Is this machine still starting, or waking up? Then a retry is all it takes.")),
	row("interface-gone", reported(errno.NoDevice, errno.NoDeviceOrAddress),
		"The network interface that should lead to {where} does not exist", "",
		ask("Is the interface there? The program names it by SO_BINDTODEVICE, or after % in the address.", here, links),
		say("Was it removed, renamed or moved to another namespace, as a VPN's or a container's is?")),
	row("zero", (*facts).isZeroNet, "{Where} cannot be reached: no host has an address that begins with 0", "",
		ask("Is that the right address?", here, resolve),
		say("Is it a decimal number that was taken for an address, or a placeholder?")),
	row("blackhole", reported(errno.InvalidArgument), "This machine refuses to send to {where}",
		"Likely a blackhole route forbids it.",
		ask("Does a blackhole route or rule forbid it? (Invalid argument: yes.)", here, route),
		ask("Is it a route? (If none is listed, a rule: ip rule.)", here, blackholes),
		say("In Kubernetes with Calico, is the pod of that address gone, or not up yet? Calico adds such routes on each node."),
		say("Does the program set an option that is wrong for the address (LocalAddr, Control)?")),
	row("loopback-ipv6", all(reported(errno.AddressNotAvailable), (*facts).isLocal),
		"This machine has no address {ip} to reach {where} from",
		"Likely IPv6 is switched off here, or the loopback interface is down.",
		ask("Is the loopback interface UP, with {ip}? A new network namespace has it down: ip link set lo up.", here, loopback),
		ask("Is IPv6 switched off (1)?", here, ipv6Off),
		say("Is IPv4 enough? Dial 127.0.0.1, or IPv4 only (tcp4).")),
	row("no-ipv6-address", reported(errno.AddressNotAvailable), "This machine has no IPv6 address to reach {where} from",
		"Likely IPv6 is switched off, or not configured, here.",
		ask("Is there a global IPv6 address? (\"tentative\" and \"dadfailed\" ones do not count.)", here, addresses6),
		ask("Is IPv6 switched off (1)?", here, ipv6Off),
		say("Is IPv4 enough? Dial the IPv4 address, or IPv4 only (tcp4).")),
	row("loopback", (*facts).isLocal, "{Where} is unreachable, although it is this machine itself",
		"Likely the loopback interface is down, or a firewall here rejects it.",
		ask("Is the loopback interface UP, with {loopback}? A new network namespace has it down: ip link set lo up.", here, loopback),
		ask("Does a firewall of this machine reject it?", here, firewall),
		ask("Does another route lead there?", here, route)),
	row("source-route", reported(errno.NotSupported, errno.SourceRouteFailed),
		"The host at {where}, or a router on the way, reported that a source route failed", "", icmpChecks...),
	row("protocol", reported(errno.NoProtocolOption, errno.ProtocolUnreachable),
		"The host at {where}, or a firewall on the way, reported that it does not speak the protocol (ICMP protocol unreachable)",
		"Likely a firewall's reject rule says so.", icmpChecks...),
	row("parameter", reported(errno.ProtocolError),
		"The host at {where}, or a router on the way, reported a fault in the packet's header (ICMP parameter problem)",
		"Likely a firewall or a broken router says so.", icmpChecks...),
	row("isolated", reported(errno.HostIsolated),
		"A router or firewall on the way to {where} reported that this machine is isolated (ICMP source host isolated)", "",
		icmpChecks...),
	row("host-slow", all(hostUnreachable, func(f *facts) bool { return f.took >= 2500*time.Millisecond }),
		"{Where} was reported unreachable after {took}, as long as {resolution} takes without an answer",
		"Likely the host, or a router that leads to it, is down or has another address.",
		ask("Which neighbor does not answer{no neighbor?}? If all do, a router further on reports it.", here, neighbors),
		ask("Are its router and interface right? (Too short a prefix leaves out the router.)", here, route),
		ask("Is that the right address?", here, resolve),
		ask("If the host is behind a router, where does the trace end?", here, trace)),
	row("host-at-once", all(hostUnreachable, (*facts).isTooSoon),
		"{Where} was reported unreachable after {took}, before {resolution} gave up",
		"Likely a firewall, a router or a route of this machine says so.",
		ask("Does an unreachable route of this machine forbid it?", here, unreachables),
		ask("Which router says so, or is it a loop? (If the trace arrives, a firewall rejects the port.)", here, trace),
		ask("Does a firewall reject it (host or admin prohibited)?", onWay, firewall)),
	row("host", hostUnreachable, "{Where} is unreachable: no host answers there, or a firewall, a router or a route forbids it",
		"",
		ask("Is the host, or the router that leads to it, up{no neighbor?}?", here, neighbors),
		ask("Does an unreachable route of this machine forbid it?", here, unreachables),
		ask("Does a firewall reject it (host or admin prohibited)?", onWay, firewall),
		ask("Which router on the way says so?", here, trace)),
	row("no-route-from", (*facts).isBound, "{Where} is unreachable from the local address {local} (LocalAddr)", "",
		ask("Is there a route from that address?", here, routeFrom),
		say("Is the local address needed? Without LocalAddr, the system chooses the right one."),
		ask("If there is a route, which router or firewall rejects it?", here, trace)),
	row("several", (*facts).isSeveral, "{Where} are unreachable: no route leads there, or a router or firewall says so",
		"Since all addresses fail alike, likely this machine's own network is down.",
		ask("Is the network up at all: does an interface besides lo have an address?", here, addresses),
		ask("Is there a route?", here, route),
		ask("If there is, which router or firewall rejects it?", here, trace),
		say("Is a VPN not connected, or is this a container or a sandbox without a network?")),
	row("broadcast", (*facts).isBroadcastLike,
		"{Where} is unreachable: it is the broadcast address of its network, or no route leads there",
		"Likely the address is wrong: TCP cannot connect to a broadcast address.",
		ask("Does the route say \"broadcast\" (the address is wrong), or is there none?", here, route),
		ask("If there is a route, which router or firewall rejects it?", here, trace)),
	row("no-route-ipv6", (*facts).isIPv6, "{Where} is unreachable: no IPv6 route leads there, or a router or firewall says so", "",
		ask("Is there an IPv6 route, or is it \"unreachable\"?", here, route),
		ask("Else, which router rejects it? (If the trace arrives, a firewall rejects the port.)", here, trace),
		ask("Does a firewall reject it (no-route)?", onWay, firewall),
		say("Is IPv4 enough? Give the name an IPv4 address (A record), or dial IPv4 only (tcp4).")),
	row("no-route", nil, "{Where} is unreachable: no route leads there, or a router or firewall says so", "",
		ask("Is there a route, or is it \"unreachable\"?", here, route),
		ask("Else, which router rejects it? (If the trace arrives, a firewall rejects the port.)", here, trace),
		ask("Does a firewall reject it (net unreachable or prohibited)?", onWay, firewall),
		say("Is a VPN not connected, or is this a container or a sandbox without a network?")),
}

// icmpChecks are for what a router, a firewall or the host sent in place of a connection.
var icmpChecks = []check{
	ask("Does a firewall reject the connection in this way?", onWay, firewall),
	ask("Which router or host answers? (The last one that shows up.)", here, trace),
}

// Linux reports EHOSTUNREACH when nobody answers ARP or neighbor discovery, after three tries a
// second apart; a router does the same; and a route, a router or a firewall that forbids reports
// it at once.
var hostUnreachable = reported(errno.HostUnreachable, errno.HostDown)

// answered fits if an HTTP proxy answered CONNECT with the status.
func answered(status int) func(*facts) bool {
	return func(f *facts) bool { return f.status == status }
}

// proxyChecks are for a proxy that was reached, but did not reach the target.
var proxyChecks = []check{
	say("Does the proxy's log say why?"),
	say("Does the target accept connections from the proxy's host? Try it there."),
	say("Does the target need the proxy? If not, list it in NO_PROXY."),
}

// isTooSoon reports whether the failure came before ARP or neighbor discovery gave up. Linux waits
// for the next SYN before it reports what a router says about an IPv6 address.
func (f *facts) isTooSoon() bool {
	return 0 < f.took && (f.took < 500*time.Millisecond || f.isIPv6() && f.took < 2*time.Second)
}

func (f *facts) isMulticast() bool {
	return f.remote.Addr().IsMulticast() || f.ip() == "255.255.255.255"
}

func (f *facts) isZeroNet() bool {
	return f.remote.Addr().Is4() && f.remote.Addr().As4()[0] == 0 && !f.isUnspecified()
}

// isBroadcastLike reports whether the address ends as the broadcast addresses of most networks do.
func (f *facts) isBroadcastLike() bool {
	return f.remote.Addr().Is4() && f.remote.Addr().As4()[3] == 255
}

// isBound reports whether the program asked for a local address.
func (f *facts) isBound() bool {
	local, _ := f.local()
	return f.op != nil && f.op.Op == "dial" && local.IsValid() && !local.IsUnspecified()
}

var deniedRules = []rule{
	row("proxy-login", answered(http.StatusProxyAuthRequired),
		"{Proxy} does not connect to {target} before the program has logged in ({status})", "",
		say("Does the proxy's URL have a user and a password (HTTPS_PROXY, or Transport.Proxy), and are they right?"),
		say("Does the proxy want a login other than Basic, such as NTLM or Kerberos? net/http sends Basic only.")),
	row("proxy-forbids", answered(http.StatusForbidden), "{Proxy} forbids the connection to {target} ({status})", "",
		say("Do the proxy's rules allow this target and its port? Many allow 443 only; the proxy's log says which rule it was."),
		say("Does the target need the proxy? If not, list it in NO_PROXY.")),
	row("option", (*facts).isOption, "The program may not set an option on its socket: nothing was sent to {where}",
		"Likely an option that the program sets itself (Dialer.Control).",
		say("Does it set SO_MARK, SO_BINDTODEVICE or IP_TRANSPARENT? They need root, CAP_NET_ADMIN or CAP_NET_RAW."),
		ask("Which capabilities does it have? A container or a service drops them (cap_add, AmbientCapabilities=).", here, capabilities)),
	row("bind-socket", all(by("bind"), (*facts).isUnix), "The program may not create the unix socket of its own end (LocalAddr)",
		"",
		say("May its user write to the directory of that socket, and is the file system writable?"),
		ask("Which user and groups does the program have (PID)?", here, identity)),
	row("bind-reserved", all(by("bind"), func(f *facts) bool { return f.goos == "windows" }),
		"The program asks for the local address {local} (LocalAddr), but may not use it", "",
		ask("Does the system reserve the port?", here, reservedPorts),
		ask("Does another program use it exclusively? Port 0 lets the system choose.", here, localPort)),
	row("bind-privileged", all(by("bind"), (*facts).isPrivilegedPort),
		"The program asks for the local address {local} (LocalAddr), but may not use it",
		"Likely because its port is below 1024, which needs root or CAP_NET_BIND_SERVICE.",
		say("Does it need that port? Port 0, or no LocalAddr, lets the system choose one."),
		ask("Which capabilities does the program have?", here, capabilities),
		ask("From which port on may everybody use ports?", here, unprivilegedPorts)),
	row("bind", by("bind"), "The program asks for the local address {local} (LocalAddr), but may not use it", "",
		ask("Does SELinux forbid it?", here, securityLog),
		ask("Does a seccomp filter (2) restrict the program?", here, seccomp),
		say("Is the local address needed? Without LocalAddr, the system chooses one.")),
	row("raw-socket", all(by("socket"), func(f *facts) bool { return strings.HasPrefix(f.asked.network, "ip") }),
		"The program may not open a socket for the network {network}: it is a raw socket, which needs root or CAP_NET_RAW", "",
		ask("Which capabilities does the program have?", here, capabilities),
		say("Does it run as root, or with cap_add: NET_RAW (containers), AmbientCapabilities=CAP_NET_RAW (systemd)?"),
		ask("Does a seccomp filter (2) restrict it?", here, seccomp)),
	row("socket", by("socket"), "The program may not open a socket for the network {network}", "Likely a sandbox forbids it.",
		ask("Does a seccomp filter (2) restrict the program, as systemd's RestrictAddressFamilies= and containers do?", here, seccomp),
		ask("Does SELinux forbid it?", here, securityLog)),
	row("unix", (*facts).isUnix, "The program's user may not connect to the unix socket {where}", "",
		ask("Does the user have write permission (w) on the socket, and search permission (x) on each directory?", here, permissions),
		ask("Which user and groups does the program have (PID)? A new group counts after a restart.", here, identity),
		ask("If these permit it, does SELinux forbid it?", here, securityLog)),
	row("sending", func(f *facts) bool { return f.call == "write" || f.call == "read" }, "This machine refused to send to {where}",
		"Likely its own firewall drops the packets.",
		ask("Does a rule for output drop it?", here, firewall),
		ask("Is the table of connections full (nf_conntrack: table full)?", here, kernelLog)),
	row("broadcast", all(reported(errno.AccessDenied), (*facts).isBroadcastLike), "This machine forbids the connection to {where}",
		"Likely it is a broadcast address, which only a socket with SO_BROADCAST may use.",
		ask("Does the route say \"broadcast\"? (Permission denied: a prohibit route.)", here, route),
		say("Is the address right? If it is meant for many hosts, use UDP and set SO_BROADCAST (Dialer.Control)."),
		ask("Does SELinux forbid it?", here, securityLog)),
	row("prohibited-ipv6", all(reported(errno.AccessDenied), (*facts).isIPv6),
		"The connection to {where} is prohibited, by this machine, a router or a firewall",
		"Likely a prohibit route here, or a reject rule (admin prohibited).",
		ask("Does a prohibit route forbid it? (Permission denied: yes.)", here, route),
		ask("If not, does a firewall reject it (admin prohibited)?", onWay, firewall),
		ask("Does a Landlock or seccomp sandbox, or SELinux, restrict the program?", here, seccomp)),
	row("prohibited", reported(errno.AccessDenied), "This machine forbids the connection to {where}",
		"Likely a prohibit route or a sandbox forbids it.",
		ask("Does the route say \"Permission denied\" (prohibit) or \"broadcast\"?", here, route),
		ask("Does a seccomp filter (2) restrict the program?", here, seccomp),
		ask("Does SELinux forbid it?", here, securityLog),
		say("Is it sandboxed by Landlock, which shows nowhere? See how it is started.")),
	row("not-permitted", not(reported(errno.Unknown)), "This machine does not permit the connection to {where}",
		"Likely an eBPF program or a sandbox forbids it.",
		ask("Does an eBPF program forbid it? See the service's or container's cgroup (systemd, Cilium).", here, cgroups),
		ask("Does a seccomp filter (2) restrict the program?", here, seccomp),
		ask("Does a firewall of this machine forbid it?", here, firewall)),
	row("other", nil, "The connection to {where} was denied", "",
		say("Does the program have a dial or verify function of its own? What it says is {text}."),
		ask("Does a seccomp filter (2) restrict the program?", here, seccomp),
		ask("Does a firewall of this machine forbid it?", here, firewall)),
}

// isOption reports whether setting an option of the socket failed. Package net names the call of
// its own options, so an errno without one comes from Control.
func (f *facts) isOption() bool {
	return f.call == "setsockopt" || f.call == "" && f.condition != errno.Unknown && f.op != nil && f.op.Op == "dial"
}

func (f *facts) isPrivilegedPort() bool {
	_, port := f.local()
	return port != "" && len(port) <= 4 && (len(port) < 4 || port < "1024")
}

var exhaustedRules = []rule{
	row("files-of-system", reported(errno.TooManyFilesInSystem),
		"This machine has no file descriptor left: nothing was sent to {where}", "",
		ask("How many are in use (first number), and how many may be (last)?", here, systemFiles),
		ask("Which process has so many open?", here, openFiles)),
	row("files", func(f *facts) bool { return f.condition == errno.TooManyFiles || f.dns != nil },
		"This process has no file descriptor left: nothing was sent to {where}", "",
		ask("What is its limit (systemd: LimitNOFILE=)? PID is this program's.", here, limits),
		ask("Does it leak them? It must close each connection, file and HTTP response body.", here, descriptors),
		say("Does it dial too much at once? Limit that, or keep connections and use them again.")),
	row("socket-in-use", all(reported(errno.AddressInUse), (*facts).isUnix),
		"The unix socket of the program's own end (LocalAddr) exists already", "",
		ask("Does another process use it? Remove the file only if no line shows it: that list has clients too.", here, allUnixSockets),
		say("Does each dial need a path of its own? Leave out LocalAddr unless the server must know it.")),
	row("local-port", all(reported(errno.AddressInUse, errno.AddressNotAvailable), (*facts).hasLocalPort),
		"The program asks for the local address {local} (LocalAddr), which is in use", "",
		ask("Which connection uses it? A closed one keeps it in TIME-WAIT (a minute on Linux).", here, localPort),
		say("Does it need that port? Port 0 lets the system choose a free one.")),
	row("local-ports", all(reported(errno.AddressInUse), (*facts).isBound),
		"This machine has no free local port for another connection to {where} from {local}", "", portChecks...),
	row("ports-or-ipv6", all(reported(errno.AddressNotAvailable), (*facts).isIPv6),
		"This machine has no IPv6 address, or no free local port, for a connection to {where}", "",
		ask("Is there an IPv6 address to send from (global, or ::1 for the loopback)?", here, addresses6),
		ask("How many connections to it are open or in TIME-WAIT (a minute on Linux)?", here, connections),
		ask("How many ports may be chosen?", here, ports)),
	row("ports", reported(errno.AddressInUse, errno.AddressNotAvailable),
		"This machine has no free local port for another connection to {where}", "", portChecks...),
	row("try-again", reported(errno.WouldBlock),
		"This machine cannot connect to {where} right now: the system returned \"try again\" (EAGAIN)",
		"Likely no local port is left, or IPsec has no keys for it yet.",
		ask("How many sockets are there?", here, sockets),
		ask("How many ports may be chosen?", here, ports),
		ask("Does an IPsec policy cover the address?", here, ipsec)),
	row("memory", reported(errno.NoBuffers, errno.NoMemory),
		"This machine has no memory or buffer left for a connection to {where}", "",
		ask("What does the kernel say? A full neighbor table (gc_thresh3) or nf_conntrack shows there.", here, kernelLog),
		ask("How much memory do sockets use? Compare it with net.ipv4.tcp_mem.", here, networkMemory),
		say("Is the memory limit of the service or the container reached?")),
	row("space", reported(errno.NoSpace, errno.QuotaExceeded), "A limit of this machine is reached: nothing was sent to {where}",
		"Likely the user's limit of watches (epoll), or the disk of a unix socket's file.",
		ask("Is the limit of watches too low?", here, watches),
		say("Is the disk full, or the user's quota used up (df, quota)?")),
	row("other", nil, "This machine ran out of something that the dial of {where} needs", "",
		ask("Is it file descriptors?", here, limits),
		ask("Is it local ports?", here, ports),
		say("Is it memory, or the limit of the service or the container?")),
}

// portChecks are for local ports that ran out.
var portChecks = []check{
	ask("How many connections to it are open or in TIME-WAIT (a minute on Linux)?", here, connections),
	ask("How many ports may be chosen?", here, ports),
	say("Are connections kept and used again? In Go's HTTP client, read bodies to the end and raise MaxIdleConnsPerHost."),
}

func (f *facts) hasLocalPort() bool {
	_, port := f.local()
	return port != ""
}

var canceledRules = []rule{
	row("before", (*facts).isNotAttempted, "Nothing was dialed: the program had given up on {target} before the first attempt",
		"{cause?}",
		say("Is the context of a request or an operation used after that has ended?"),
		say("Is Dialer.Cancel closed already?")),
	row("during", nil, "The program itself gave up on {where} before it was connected", "{cause?}",
		say("What ended it: a signal, a request that was over, or another part of the program that failed?"),
		say("Is connecting slow, so that somebody lost patience? See how long each attempt took, in the program's log.")),
}

var unknownRules = []rule{
	row("proxy", func(f *facts) bool { return f.status != 0 }, "{Proxy} did not connect to {target}: it answered with {status}", "",
		say("Is it an HTTP proxy that allows CONNECT? A web server answers with 400, 404 or 405."),
		say("Does the proxy's log say why?")),
	row("socks", func(f *facts) bool { return f.socks },
		"The SOCKS proxy was reached, but did not connect to {target}: it says {text}", "",
		say("Does the target accept connections from the proxy's host? Try it there; the proxy's log may say more."),
		say("Does the proxy allow that target and port, and the user?")),
	row("not-a-dial", func(f *facts) bool { return f.address() == "" && f.dial == nil && f.op == nil },
		"This error does not look like a failed dial: {text}", "", unknownChecks...),
	row("control", func(f *facts) bool { return f.op != nil && f.op.Op == "dial" && f.remote.IsValid() },
		"The dial of {where} failed before it connected, with an error that redial does not know: {text}", "",
		say("Does the program set Dialer.Control or ControlContext, or wrap the dialer? The error is likely from there."),
		say("Is it an error of this system that redial does not know? Please report it.")),
	row("other", nil, "The dial of {where} failed with an error that redial does not know: {text}", "", unknownChecks...),
}

var unknownChecks = []check{
	say("Whose text is it? The program's own dial or verify function, its client, or a proxy: look for the cause there."),
	say("Is it a protocol's, such as a wrong password or a status? Then the connection itself was made."),
	say("Does a proxy or a tunnel lead there? Its log says more. A proxy's refusal comes as its text only."),
}

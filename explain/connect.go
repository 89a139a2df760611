package explain

import (
	"net"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial/internal/errno"
)

// The texts of failures to connect, by class. Only what the system reported is
// certain: the headline says that, then what is likely, and the checks tell the
// likely causes apart. The first two checks should lead to nearly every cause, so each
// of them covers one place: this machine, the server, or the network between them.

func (f *failure) refused() advice {
	switch {
	case f.isUnix():
		return f.refusedUnix()
	case f.address() == "":
		return advice{name: "refused, unknown target", observed: sentence(f.where()) + " refused the connection",
			likely: "Likely no server listens there, or a firewall rejects it.",
			checks: []check{
				look("Is the server running, and listening on the right port?", onServer, f.command(listeningAll)),
				look("If it listens, does a firewall reject the connection?", onServer, f.command(firewall)),
			}}
	case f.port() == "0":
		return advice{name: "refused, port 0", observed: sentence(f.where()) + " refused the connection: nothing can listen on port 0",
			checks: []check{
				say("Is the port missing in the setting that it comes from?"),
				say("Is it the address that a listener was configured with? Port 0 stands for any; Listener.Addr has the real one."),
			}}
	case f.isUDP():
		return advice{name: "refused, UDP", observed: sentence(f.where()) + " reported that nothing receives on that UDP port (ICMP port unreachable)",
			likely: "A firewall's reject rule reports the same.",
			checks: []check{
				look("Is the server running, and receiving on "+f.listensOn()+"?", f.place(), f.command(listeningUDP, f.port())),
				look("If so, does a firewall reject the packets?", f.place(), f.command(firewall)),
			}}
	case f.isLocal():
		return f.refusedHere()
	}
	return advice{name: "refused, remote", observed: sentence(f.where()) + " refused the connection",
		likely: "Likely no server listens there, or a firewall rejects it.",
		checks: []check{
			look("Is the server running? Does it listen on "+f.listensOn()+", not on "+f.loopback()+" only?", onServer, f.command(listening, f.port())),
			look("If it listens, does a firewall reject the connection?", "On the server, here and between: ", f.command(firewall)),
			look("Is it the right host and port?", here, f.resolving()),
			say("Is it a container's port that is not published, or a Kubernetes Service without ready pods? These refuse too."),
		}}
}

func (f *failure) refusedHere() advice {
	return advice{name: "refused, loopback", observed: sentence(f.where()) + " refused the connection",
		likely: "Likely no server listens there on this machine.",
		checks: []check{
			look("Is the server running, and listening on port "+f.port()+" of "+f.listensOn()+"?", here, f.command(listeningAll)),
			look("If it is in that list, does a firewall of this machine reject the connection?", here, f.command(firewall)),
			say("Is this in a container? Its localhost is its own: dial the other container by name, the host as host.docker.internal."),
			say("Has the server finished its start? Its log says so."),
		}}
}

// listensOn names the local addresses that a server must listen on to be
// reached at the address that was dialed.
func (f *failure) listensOn() string {
	if len(f.alike) > 1 && !f.isLocal() {
		return "that port of every address"
	}
	both4, both6 := false, false
	for _, ip := range f.alike {
		both4, both6 = both4 || ip.Is4(), both6 || ip.Is6()
	}
	switch ip := f.ip(); {
	case both4 && both6:
		return "127.0.0.1, [::1] or *"
	case f.isIPv6():
		return "[" + ip + "], [::] or *"
	case ip != "":
		return ip + ", 0.0.0.0 or *"
	}
	return "0.0.0.0, [::] or *"
}

// loopback returns the loopback address of the family that was dialed.
func (f *failure) loopback() string {
	if f.isIPv6() {
		return "[::1]"
	}
	return "127.0.0.1"
}

// rejectedBy returns a check that shows who on the way rejects the connection.
func (f *failure) rejectedBy(say string) check {
	rules, way := f.command(firewall), f.command(trace, f.ip())
	if rules == "" || way == "" {
		return look(say, onBoth, rules)
	}
	return look(say, here, way, "here, on the server and between: "+rules)
}

// place returns where to run the commands about the server.
func (f *failure) place() string {
	if f.isLocal() || f.isUnix() {
		return here
	}
	return onServer
}

func (f *failure) refusedUnix() advice {
	socket := f.where()
	name := f.address()
	switch {
	case strings.HasPrefix(name, "@"):
		return advice{name: "refused, abstract socket", observed: "Nothing listens on the abstract unix socket " + socket,
			checks: []check{
				look("Is the server running, and is that its socket's name?", here, f.command(unixSockets)),
				say("Is the server in another network namespace, such as a container's? Abstract sockets are not seen from there."),
			}}
	case f.condition == errno.FileNotFound:
		return f.socketMissing()
	case f.condition == errno.WouldBlock:
		return advice{name: "refused, unix queue full", observed: "The accept queue of the unix socket " + socket + " is full",
			likely: "Likely its server hangs, is stopped, or is too slow.",
			checks: []check{
				look("How many wait (Recv-Q), and how many may (Send-Q)?", here, f.command(listeningUnix, name)),
				say("Is the server's process stopped or stuck (state T or D in ps), or is its log silent?"),
				say("Do too many connect at once? Keep connections and use them again, or raise the server's backlog (net.core.somaxconn)."),
			}}
	case f.condition == errno.NotSocket:
		return advice{name: "refused, not a socket", observed: "The file " + socket + " exists, but is no socket",
			checks: []check{
				look("What is it? A socket has an s in front.", here, f.command(file, name)),
				look("Where does the server listen?", here, f.command(unixSockets)),
			}}
	}
	return advice{name: "refused, stale unix socket", observed: "The file " + socket + " exists, but refused the connection",
		likely: "Likely no server listens on it any more.",
		checks: []check{
			look("Does a server listen on it? The file stays when a server ends without removing it.", here, f.command(listeningUnix, name)),
			look("Is the file a socket (s in front), or a file of another kind?", here, f.command(file, name)),
			say("Does the server fail to start because of the old file? It must remove the file before it binds."),
			say("Is the file mounted into a container? A server that restarts makes a new file: mount the directory."),
		}}
}

func (f *failure) socketMissing() advice {
	name := f.address()
	a := advice{name: "refused, no unix socket", observed: "There is no unix socket " + f.where() + ": the file, or a directory on the way, does not exist",
		likely: "Likely its server is not running, or makes it elsewhere.",
		checks: []check{
			look("Is the server running, and is that the path of its socket?", here, f.command(unixSockets)),
			look("Which part of the path is missing? A link may point to nothing.", here, f.command(directories, name), f.command(file, path.Dir(name))),
		}}
	if odd := oddity(name); odd != "" {
		a.likely = "The path " + odd + "."
	}
	if !strings.HasPrefix(name, "/") {
		a.checks[1].say = "The path is relative: it counts from the working directory of this program. Is that the right one?"
		a.checks[1].run = nil
	}
	if strings.HasPrefix(name, "/tmp/") || strings.HasPrefix(name, "/var/tmp/") {
		a.checks = append(a.checks, say("Does either side run under systemd with PrivateTmp=yes? Then its /tmp is its own."))
	}
	a.checks = append(a.checks, say("Is one side in a container? It has its own files: mount the socket's directory into both."))
	return a
}

func (f *failure) reset() advice {
	where := sentence(f.where())
	switch {
	case !f.connected() && f.condition == errno.ConnectionAborted:
		return advice{name: "reset, aborted here", observed: "The connection to " + f.where() + " was aborted on this machine while it was being made",
			checks: []check{
				say("Does a program here close other programs' connections (ss -K, a VPN client, a security agent)?"),
				look("Did an address or an interface of this machine change at that moment?", here, f.command(kernelLog)),
			}}
	case f.isUnix():
		return advice{name: "reset, unix", observed: where + " accepted the connection and then closed it",
			checks: []check{
				say("Does the server's log say why? It may have crashed, restarted, or refused this user or protocol."),
				look("Is the server still running?", here, f.command(listeningUnix, f.address())),
			}}
	case !f.connected():
		return advice{name: "reset, connecting", observed: "The connection to " + f.where() + " was reset while it was being made, or right after",
			likely: "Likely the server's accept queue is full, or a firewall or proxy in front of it resets.",
			checks: []check{
				look("Is the accept queue full"+f.fullQueue()+"? Does the kernel reset then?", f.place(), f.command(listening, f.port()), f.command(resets)),
				look("Does a firewall, proxy or load balancer reset it? Is this client on its list?", f.place(), f.command(firewall)),
				say("Does the server accept and then close at once: crashing, restarting, too many clients, or not for this client? See its log."),
			}}
	case f.condition == errno.Unknown, f.condition == errno.GracefulDisconnect:
		return advice{name: "closed after connecting", observed: where + " accepted the connection and then closed it",
			likely: "Likely it does not want this client or this protocol, or is a proxy without a backend.",
			checks: f.droppedChecks()}
	}
	return advice{name: "reset after connecting", observed: where + " accepted the connection, which was then reset",
		likely: "Likely the server crashed or closed it with data unread, or a firewall or proxy cut it off.",
		checks: f.droppedChecks()}
}

// droppedChecks are for a connection that was made and then lost.
func (f *failure) droppedChecks() []check {
	return []check{
		say("Does the server's log say why: a crash, too many clients, a client not allowed, another protocol (TLS or not)?"),
		look("Is it a proxy or port forwarding whose backend is down, or does a firewall cut the connection off?", f.place(), f.command(firewall)),
		say("Does it speak another protocol on that port, such as TLS where plain text was sent, or the other way round?"),
	}
}

func (f *failure) timeout() advice {
	switch {
	case f.address() == "":
		return advice{name: "timeout, unknown target", observed: "Time ran out, and the error does not say on what",
			likely: "A client may have dropped the error of the dial, such as a refusal that was retried.",
			checks: []check{
				say("Does the program's log show failed dials? They say more."),
				say("Set the time limit of the dial (Dialer.MaxElapsed) below the client's: then the dial's own error comes first."),
				say("Was the deadline too short, or used up by earlier steps?"),
			}}
	case f.isUDP():
		return advice{name: "timeout, UDP", observed: "Nothing came back from " + f.where() + f.patience(),
			likely: "UDP does not say whether anything arrived.",
			checks: []check{
				look("Is the server running, and receiving on "+f.listensOn()+"?", f.place(), f.command(listeningUDP, f.port())),
				look("Does a firewall drop the packets, or the answers?", f.firewallPlace(), f.command(firewall)),
				look("Is the route right?", here, f.route()),
			}}
	case f.client && f.op == nil && f.dial == nil && !f.saysHandshake():
		return f.clientTimeout()
	case f.connected():
		return f.silent()
	case f.isUnix():
		return advice{name: "timeout, unix", observed: "No answer from " + f.where() + f.patience(),
			likely: "Likely its server hangs, or is too busy to accept.",
			checks: []check{
				look("How many wait (Recv-Q), and how many may (Send-Q)?", here, f.command(listeningUnix, f.address())),
				say("Is the server's process stopped or stuck (state T or D in ps), or is its log silent?"),
			}}
	case f.isLocal():
		return advice{name: "timeout, loopback", observed: "No answer from " + f.where() + f.patience(),
			likely: "Likely the server hangs with a full accept queue, a firewall here drops it, or the loopback is down.",
			checks: []check{
				look("Is the accept queue full"+f.fullQueue()+"?", here, f.command(listening, f.port())),
				look("If not, does a firewall here drop the packets, or is the loopback interface down (not UP)?", here, f.command(firewall), f.command(loopback)),
				say("Is the server's process stopped or stuck (state T or D in ps), or is its log silent?"),
			}}
	}
	return f.noAnswer()
}

// noAnswer explains packets to another host that nothing came back for.
func (f *failure) noAnswer() advice {
	a := advice{name: "timeout, remote", observed: "No answer from " + f.where() + f.patience(),
		likely: "Likely a firewall drops the packets, or the host is down.",
		checks: []check{
			look("Does a firewall drop it, or is the accept queue full"+f.fullQueue()+"? Is there a route back?", onServer,
				f.command(firewall), f.command(listening, f.port()), f.onLinux("ip route")),
			look("Is the host up"+f.answeringNeighbor()+"? How far do packets get? Is the route right? Does a rule here drop them?", here,
				f.command(trace, f.ip()), f.neighbors(), f.route(), f.command(firewall), f.onLinux("ip xfrm policy")),
		}}
	if !f.isLiteral() {
		a.checks = append(a.checks, look("Is that the right address?", here, f.resolving()))
	}
	if f.took > 0 && f.took < time.Second {
		a.name = "timeout, remote, brief"
		a.likely = "Likely a firewall drops the packets, or the host is down. Or the time is too short: a lost packet costs 1 s."
	}
	return a
}

// fullQueue says how the command for listeners shows a full accept queue.
func (f *failure) fullQueue() string {
	if f.onLinux("ss") == "" {
		return ""
	}
	return " (Recv-Q over Send-Q)"
}

func (f *failure) firewallPlace() string {
	if f.isLocal() {
		return here
	}
	return onBoth
}

// noAnswerShownAs has what the command for neighbors shows in place of an address that does
// not answer. Windows leaves the address out.
var noAnswerShownAs = [numColumns]string{linux: "FAILED", macOS: "incomplete", bsd: "incomplete"}

// silentNeighbor says how the command for neighbors shows a host that is not up.
func (f *failure) silentNeighbor(resolution string) string {
	state, command := noAnswerShownAs[columnOf[f.goos]], f.neighbors()
	if state == "" || command == "" {
		return ""
	}
	return " (" + state + " in \"" + command + "\": no answer to " + resolution + ")"
}

// answeringNeighbor says what the command for neighbors does not show of a host that is up.
func (f *failure) answeringNeighbor() string {
	state := noAnswerShownAs[columnOf[f.goos]]
	if state == "" || f.neighbors() == "" {
		return ""
	}
	return " (neighbor not " + state + ")"
}

// patience says how long an attempt waited, if that is known: " within 3s".
func (f *failure) patience() string {
	if f.took > 0 {
		return " within " + rounded(f.took).String()
	}
	return " in time"
}

func (f *failure) unreachable() advice {
	switch {
	case f.remote.Addr().IsMulticast() || f.ip() == "255.255.255.255":
		return f.multicast()
	case f.condition == errno.NetworkDown:
		return advice{name: "interface down", observed: "The network interface that leads to " + f.where() + " is down",
			checks: []check{
				look("Which interface is it, and is it up? Is its cable or wireless network there?", here, f.route(), f.command(links)),
				say("Is this machine still starting, or waking up? Then a retry is all it takes."),
			}}
	case f.condition == errno.NoDevice, f.condition == errno.NoDeviceOrAddress:
		return advice{name: "interface gone", observed: "The network interface that should lead to " + f.where() + " does not exist",
			checks: []check{
				look("Is the interface there? The program names it by SO_BINDTODEVICE, or after % in the address.", here, f.command(links)),
				say("Was it removed, renamed or moved to another namespace, as a VPN's or a container's is?"),
			}}
	case f.remote.Addr().Is4() && f.remote.Addr().As4()[0] == 0 && !f.remote.Addr().IsUnspecified():
		return advice{name: "zero address", observed: sentence(f.where()) + " cannot be reached: no host has an address that begins with 0",
			checks: []check{
				look("Is the address right, or what the name resolves to?", here, f.resolving()),
				say("Is it a decimal number that was taken for an address, or a placeholder?"),
			}}
	case f.condition == errno.InvalidArgument:
		return advice{name: "blackhole route", observed: "This machine refuses to send to " + f.where(),
			likely: "Likely a blackhole route forbids it.",
			checks: []check{
				look("Is there a blackhole route for the address?", here, f.routesOf("blackhole")),
				say("In Kubernetes with Calico, is the pod of that address gone, or not up yet? Calico adds such routes on each node."),
				look("Is an option of the program wrong for the address (LocalAddr, Control)?", here, f.route()),
			}}
	case f.condition == errno.AddressNotAvailable:
		return f.noSource()
	case f.isLocal():
		return f.loopbackUnreachable()
	case f.condition == errno.NotSupported, f.condition == errno.SourceRouteFailed:
		return f.icmp("source route failed", "that a source route failed", "A route that the sender prescribes is involved.")
	case f.condition == errno.NoProtocolOption, f.condition == errno.ProtocolUnreachable:
		return f.icmp("protocol unreachable", "that it does not speak the protocol (ICMP protocol unreachable)", "Likely a firewall's reject rule says so.")
	case f.condition == errno.ProtocolError:
		return f.icmp("parameter problem", "a fault in the packet's header (ICMP parameter problem)", "Likely a firewall or a broken router says so.")
	case f.condition == errno.HostIsolated:
		return f.icmp("host isolated", "that this machine is isolated (ICMP source host isolated)", "Likely a firewall or a router cuts this machine off.")
	case f.condition == errno.HostUnreachable, f.condition == errno.HostDown:
		return f.noHost()
	}
	return f.noRoute()
}

// noRoute explains ENETUNREACH. This machine has no route, or a router or a
// firewall that rejects says that it has none.
func (f *failure) noRoute() advice {
	a := advice{name: "no route, IPv4", observed: sentence(f.where()) + " is unreachable: no route leads there, or a router or firewall says so",
		checks: []check{
			look("Does this machine have a route there, and is its interface up with an address?", here, f.route(), f.command(addresses)),
			f.rejectedBy("If so, a router without a route or a firewall's reject rule answered. Which one?"),
			say("Is the VPN connected? Is this in a container or a sandbox without a network?"),
		}}
	if f.isIPv6() {
		a.name = "no route, IPv6"
		a.observed = sentence(f.where()) + " is unreachable: no IPv6 route leads there, or a router or firewall says so"
		a.checks[0] = look("Does this machine have an IPv6 route there, and a global IPv6 address?", here, f.route(), f.command(addresses6))
		a.checks = append(a.checks[:2],
			say("Is this in a container? Many container networks have no IPv6."),
			say("Is IPv4 enough? Give the name an IPv4 address (A record), or dial IPv4 only (tcp4)."))
	}
	if ip := f.remote.Addr(); ip.Is4() && ip.As4()[3] == 255 {
		a.name = "broadcast address"
		a.likely = "Or it is the broadcast address of its network, which TCP cannot connect to."
		a.checks[0] = look("Does the route say \"broadcast\"? Then the address is wrong. Or is there none?", here, f.route(), f.command(addresses))
	}
	if f.address() == "" {
		a.observed = "The target is unreachable: no route leads there, or a router or firewall says so"
	}
	return a
}

func (f *failure) multicast() advice {
	kind := "a multicast"
	if f.remote.Addr().Is4() && !f.remote.Addr().IsMulticast() {
		kind = "the broadcast"
	}
	return advice{name: "multicast address", observed: sentence(f.where()) + " leads to " + kind + " address, which TCP cannot connect to",
		checks: []check{
			look("Is the address right, or what the name resolves to? A server has an address of its own.", here, f.resolving()),
			say("Is it meant for many hosts? Then use UDP."),
		}}
}

// icmp explains an answer that a router, a firewall or the host sent in place
// of a connection.
func (f *failure) icmp(name, said, likely string) advice {
	return advice{name: name, observed: "The host at " + f.where() + ", or a router or firewall on the way, reported " + said,
		likely: likely,
		checks: []check{
			look("Does a firewall reject the connection in this way?", f.firewallPlace(), f.command(firewall)),
			look("Which router or host answers? Look at the last one that shows up.", here, f.command(trace, f.ip())),
		}}
}

// loopbackUnreachable explains that this machine does not reach itself.
func (f *failure) loopbackUnreachable() advice {
	return advice{name: "unreachable, loopback", observed: sentence(f.where()) + " is unreachable, although it is this machine itself",
		likely: "Likely the loopback interface is down, or a firewall here rejects it.",
		checks: []check{
			look("Is the loopback interface UP, with "+strings.Trim(f.loopback(), "[]")+"? A new network namespace has it down: ip link set lo up.", here, f.command(loopback)),
			look("Does a firewall of this machine reject it?", here, f.command(firewall)),
			look("Does another route lead there?", here, f.route()),
		}}
}

// noHost explains EHOSTUNREACH. The kernel reports it when nobody answers ARP or
// neighbor discovery, after three tries a second apart; a router does the same;
// and a route, a router or a firewall that forbids reports it at once.
func (f *failure) noHost() advice {
	where := f.where()
	resolution := "ARP"
	if f.isIPv6() {
		resolution = "neighbor discovery"
	}
	up := "Is the host up" + f.silentNeighbor(resolution) + "? "
	neighbors := look(up+"Is its address right? Is the link UP?", here,
		f.neighbors(), f.command(links), f.route(), f.command(trace, f.ip()))
	rejects := f.rejectedBy("Does a firewall (host or admin prohibited) or a router on the way reject it? Does the trace run in a loop?")
	routes := look("Does an unreachable route of this machine forbid it?", here, f.route(), f.routesOf("unreachable"))
	var a advice
	switch {
	case f.took >= 2500*time.Millisecond:
		a = advice{name: "host unreachable, slow", observed: sentence(where) + " was reported unreachable after " + rounded(f.took).String(),
			likely: "Likely no host has that address: " + resolution + " takes so long without an answer, here or at the last router.",
			checks: []check{
				neighbors,
				look("Is the network right: the route's interface, its link (UP), VLAN and prefix length?", here, f.route(), f.command(addresses)),
				look("Is that the right address?", here, f.resolving()),
				rejects,
			}}
	case f.took > 0 && f.took < 500*time.Millisecond:
		a = advice{name: "host unreachable, at once", observed: sentence(where) + " was reported unreachable at once",
			likely: "Likely a firewall, a router or a route of this machine says so.",
			checks: []check{
				rejects, routes,
				look("Is the host up? A router that found none may remember that.", here, f.neighbors(), f.command(ping, f.ip())),
			}}
	default:
		a = advice{name: "host unreachable", observed: sentence(where) + " is unreachable: no host answers there, or a firewall, a router or a route forbids it",
			checks: []check{neighbors, rejects, routes}}
		a.checks[0].say = up + "Is the link UP? Is the route \"unreachable\"?"
	}
	if f.isLiteral() && len(a.checks) == 4 {
		a.checks = append(a.checks[:2], a.checks[3])
	}
	if f.goos == "darwin" {
		a.checks = append(a.checks, say("May the program use the local network? System Settings, Privacy & Security, Local Network."))
	}
	return a
}

// noSource explains that no address fits as the local end. Package redial has found out
// that it is not the ports that are missing.
func (f *failure) noSource() advice {
	second := look("Is there a global IPv6 address? \"tentative\" and \"dadfailed\" ones do not count.", here, f.command(addresses6))
	if f.isLocal() {
		second = look("Does the loopback interface have ::1?", here, f.command(loopback))
	}
	return advice{name: "no IPv6 source", observed: "This machine has no IPv6 address to reach " + f.where() + " from",
		likely: "Likely IPv6 is switched off, or not configured, here.", checks: []check{
			look("Is IPv6 switched off (1)?", here, f.command(ipv6Off)),
			second,
			say("Is IPv4 enough? Dial the IPv4 address, or IPv4 only (tcp4)."),
		}}
}

func (f *failure) denied() advice {
	switch {
	case f.call == "setsockopt" || f.call == "" && f.condition != errno.Unknown && f.op != nil && f.op.Op == "dial":
		return advice{name: "denied, socket option", observed: "The program may not set an option on its socket: nothing was sent to " + f.where(),
			likely: "Likely an option that the program sets itself (Dialer.Control).",
			checks: []check{
				say("Does it set SO_MARK, SO_BINDTODEVICE or IP_TRANSPARENT? They need root, CAP_NET_ADMIN or CAP_NET_RAW."),
				look("Which capabilities does it have? A container or a service drops them (cap_add, AmbientCapabilities=).", here,
					f.onLinux("grep Cap /proc/PID/status")),
			}}
	case f.call == "bind" && f.isUnix():
		return advice{name: "denied, bind unix", observed: "The program may not create the unix socket of its own end (LocalAddr)",
			checks: []check{
				say("May this user write to the directory of that socket, and is the file system writable?"),
				look("Which groups is this user in?", here, f.command(identity)),
			}}
	case f.call == "bind" && f.goos == "windows":
		return advice{name: "denied, bind", observed: "The program asks for the local address " + f.local() + " (LocalAddr), but may not use it",
			checks: []check{
				look("Does the system reserve the port?", here, f.command(reservedPorts)),
				look("Does another program use it exclusively? Port 0 lets the system choose.", here, f.command(localPort, f.localPortOf())),
			}}
	case f.call == "bind":
		return advice{name: "denied, bind", observed: "The program asks for the local address " + f.local() + " (LocalAddr), but may not use it",
			checks: []check{
				say("Is its port below 1024? That needs root or CAP_NET_BIND_SERVICE. Port 0 lets the system choose."),
				look("Does a sandbox or SELinux forbid it?", here, f.command(securityLog)),
			}}
	case f.call == "socket" && !strings.HasPrefix(f.asked.network, "ip"):
		return advice{name: "denied, socket", observed: "The program may not open a socket for the network " + shown(f.asked.network),
			likely: "Likely a sandbox forbids it.",
			checks: []check{
				say("Does the service or container leave out the family (systemd's RestrictAddressFamilies=) or the call (seccomp)?"),
				look("Does SELinux or another security module forbid it?", here, f.command(securityLog)),
			}}
	case f.call == "socket":
		return advice{name: "denied, raw socket", observed: "The program may not open a socket for the network " + shown(f.asked.network),
			checks: []check{
				say("Is it a raw socket (ip4:icmp and the like)? That needs root or CAP_NET_RAW."),
				look("Does a sandbox forbid it (seccomp, systemd's RestrictAddressFamilies=, SELinux)?", here, f.command(securityLog)),
			}}
	case f.isUnix():
		return advice{name: "denied, unix", observed: "The program's user may not connect to the unix socket " + f.where(),
			checks: []check{
				look("Does it have write permission (w) on the socket, and search permission (x) on each directory?", here, f.permissions()),
				look("Which groups is the user in? A new group counts from the next login on.", here, f.command(identity)),
				look("Does SELinux, AppArmor or another sandbox forbid it?", here, f.command(securityLog)),
			}}
	case f.call == "write" || f.call == "read":
		return advice{name: "denied, sending", observed: "This machine refused to send to " + f.where(),
			likely: "Likely its own firewall drops the packets.",
			checks: []check{
				look("Does a rule for output drop it?", here, f.command(firewall)),
				look("Is the table of connections full (nf_conntrack: table full)?", here, f.command(kernelLog)),
			}}
	case f.condition == errno.AccessDenied && f.isIPv6():
		return advice{name: "denied, IPv6", observed: "The connection to " + f.where() + " is prohibited, by this machine, a router or a firewall",
			likely: "Likely a prohibit route here, or a reject rule (admin prohibited).",
			checks: []check{
				look("Does a prohibit route forbid it?", here, f.route(), f.routesOf("prohibit")),
				look("If not, does a firewall reject it, here, on the way or there?", onBoth, f.command(firewall)),
				look("Does SELinux or a sandbox (Landlock, seccomp) forbid it?", here, f.command(securityLog)),
			}}
	case f.condition == errno.AccessDenied:
		return advice{name: "denied, IPv4", observed: "This machine forbids the connection to " + f.where(),
			likely: "Likely a prohibit route, SELinux or a sandbox forbids it.",
			checks: []check{
				look("Does a prohibit route forbid it?", here, f.route(), f.routesOf("prohibit")),
				look("Does SELinux or a sandbox (Landlock, seccomp, eBPF) forbid it?", here, f.command(securityLog)),
				look("Does a firewall of this machine forbid it, or is it a broadcast address?", here, f.command(firewall)),
			}}
	}
	a := advice{name: "denied, not permitted", observed: "This machine does not permit the connection to " + f.where(),
		likely: "Likely a sandbox or an eBPF program forbids it.",
		checks: []check{
			look("Does an eBPF program forbid it? See the service's or container's cgroup (systemd, Cilium).", here, f.onLinux("bpftool cgroup tree")),
			look("Does a sandbox (seccomp, SELinux, AppArmor) or a firewall of this machine forbid it?", here, f.command(securityLog), f.command(firewall)),
		}}
	if f.condition == errno.Unknown {
		a.name = "denied, unknown"
		a.observed, a.likely = "The connection to "+f.where()+" was denied", ""
	}
	return a
}

// permissions returns the command that shows the permissions of the socket's file and of
// each directory in its path.
func (f *failure) permissions() string {
	if c := f.command(directories, f.address()); c != "" {
		return c
	}
	return f.command(file, f.address())
}

func (f *failure) onLinux(command string) string {
	if columnOf[f.goos] == linux && f.goos != "" && f.command(listeningAll) != "" {
		return command
	}
	return ""
}

// local returns the local address that the program asked for.
func (f *failure) local() string {
	if f.source == nil {
		return ""
	}
	return shown(f.sourceText())
}

// localPortOf returns the port of the local address that the program asked for;
// empty if it left that to the system.
func (f *failure) localPortOf() string {
	if f.source == nil {
		return ""
	}
	_, port, err := net.SplitHostPort(f.sourceText())
	if err != nil || port == "0" {
		return ""
	}
	return port
}

func (f *failure) exhausted() advice {
	_, resolving := find[*net.DNSError](f)
	switch {
	case f.condition == errno.TooManyFilesInSystem:
		return advice{name: "exhausted, files of the system", observed: "This machine has no file descriptor left: nothing was sent to " + f.where(),
			checks: []check{
				look("How many are in use (first number), and how many may be (last)?", here, f.command(systemFiles)),
				say("Which process has so many open? Its own limit should have stopped it first."),
			}}
	case f.condition == errno.TooManyFiles, resolving:
		return advice{name: "exhausted, files of the process", observed: "This process has no file descriptor left: nothing was sent to " + f.where(),
			checks: []check{
				look("What is its limit (systemd: LimitNOFILE=)? PID is this program's.", here, f.command(limits)),
				look("Does it leak them? It must close each connection, file and HTTP response body.", here, f.command(descriptors)),
				say("Does it dial too much at once? Limit that, or keep connections and use them again."),
			}}
	case f.condition == errno.AddressInUse && f.isUnix():
		return advice{name: "exhausted, unix address in use", observed: "The unix socket of the program's own end (LocalAddr) exists already",
			checks: []check{
				look("Does another process use it? If not, remove the file.", here, f.command(unixSockets)),
				say("Does each dial need a path of its own? Leave out LocalAddr unless the server must know it."),
			}}
	case f.localPortOf() != "" && (f.condition == errno.AddressInUse || f.condition == errno.AddressNotAvailable):
		return advice{name: "exhausted, local port in use", observed: "The program asks for the local address " + f.local() + " (LocalAddr), which is in use",
			checks: []check{
				look("Which connection uses it? A closed one keeps it in TIME-WAIT (a minute on Linux).", here, f.command(localPort, f.localPortOf())),
				say("Does it need that port? Port 0 lets the system choose a free one."),
			}}
	case f.condition == errno.AddressInUse, f.condition == errno.AddressNotAvailable:
		return f.noPort()
	case f.condition == errno.WouldBlock:
		return advice{name: "exhausted, try again", observed: "This machine cannot connect to " + f.where() + " right now: the system returned \"try again\" (EAGAIN)",
			likely: "Likely IPsec has no keys for it yet, or no local port is left.",
			checks: []check{
				look("Does an IPsec policy cover the address, without a state?", here, f.command(ipsec)),
				look("Are all local ports used up?", here, f.command(ports), f.command(connectionsTo, f.ip())),
			}}
	case f.condition == errno.NoBuffers, f.condition == errno.NoMemory:
		return advice{name: "exhausted, memory", observed: "This machine has no memory or buffer left for a connection to " + f.where(),
			checks: []check{
				look("What does the kernel say? A full neighbor table (gc_thresh3) or nf_conntrack shows there.", here, f.command(kernelLog), f.command(networkMemory)),
				say("Is the memory limit of the service or the container reached?"),
			}}
	case f.condition == errno.NoSpace, f.condition == errno.QuotaExceeded:
		return advice{name: "exhausted, space", observed: "A limit of this machine is reached: nothing was sent to " + f.where(),
			likely: "Likely the user's limit of watches (epoll), or the disk of a unix socket's file.",
			checks: []check{
				look("Is the limit of watches too low?", here, f.onLinux("sysctl fs.epoll.max_user_watches")),
				say("Is the disk full, or the user's quota used up (df, quota)?"),
			}}
	}
	return advice{name: "exhausted, other", observed: "This machine ran out of something that the dial of " + f.where() + " needs",
		checks: []check{
			look("Is it file descriptors?", here, f.command(limits)),
			look("Is it local ports?", here, f.command(ports)),
			say("Is it memory, or the limit of the service or the container?"),
		}}
}

// noPort explains that no local end is left: ports towards that target, ports of
// LocalAddr, or, if connect reports EADDRNOTAVAIL over IPv6, addresses to send from.
func (f *failure) noPort() advice {
	a := advice{name: "exhausted, ports", observed: "This machine has no free local port for another connection to " + f.where(),
		checks: []check{
			look("How many connections to it are open or in TIME-WAIT (a minute on Linux)?", here, f.command(connectionsTo, f.ip())),
			look("How many ports may be chosen?", here, f.command(ports)),
			say("Are connections kept and used again? In Go's HTTP client, read bodies to the end and raise MaxIdleConnsPerHost."),
		}}
	if f.source != nil && f.condition == errno.AddressInUse {
		a.observed += " from " + f.local()
	}
	if f.isIPv6() && f.condition == errno.AddressNotAvailable {
		a.name = "exhausted, ports or IPv6 source"
		a.observed = "This machine has no IPv6 address, or no free local port, for a connection to " + f.where()
		source := look("Does it have a global IPv6 address? Is IPv6 switched off?", here, f.command(addresses6), f.command(ipv6Off))
		if f.isLocal() {
			source = look("Does the loopback interface have ::1? Is IPv6 switched off (1)?", here, f.command(loopback), f.command(ipv6Off))
		}
		a.checks = append([]check{source}, a.checks...)
	}
	return a
}

// resolving returns the command that resolves the name that was dialed; empty
// if it was an IP address.
func (f *failure) resolving() string {
	if host := f.host(); host != "" && !f.isLiteral() {
		return f.command(resolve, host)
	}
	return ""
}

// parseIP returns the IP address that s is, without brackets; it is not valid
// if s is none.
func parseIP(s string) netip.Addr {
	ip, _ := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return ip
}

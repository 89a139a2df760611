package redial

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// What most likely happened, and what to check, for each class of a target
// that was not got through to. Certain is only what the system said; the
// checks are there to tell the likely causes apart.

func explainRefused(f *failure) advice {
	switch {
	case f.isUnix():
		return explainRefusedUnix(f)
	case f.address == "":
		return advice{"The target is there, but does not accept connections", []string{
			"Is the server running, and done with its start?",
			"Does its log say why it refuses?",
		}}
	case f.port() == "0":
		return advice{"Nothing can listen at " + f.where() + ": port 0 stands for any port, and is none itself", []string{
			"Was the address taken from a listener's configuration? Listener.Addr has the port that it got.",
		}}
	case f.isLocal():
		return explainRefusedHere(f)
	}
	return advice{sentence(f.where()) + " was reached, but nothing accepts connections there: the host is up, the port closed", []string{
		seeThere("Is the server running, and on that port?", f.listening(), f.port()),
		"Does it listen on 127.0.0.1 only? On that host, its local address must be " + f.openAddresses() + ".",
		see("Is it the right host, and the right port?", f.resolving(), f.host()),
		"Does a firewall reject it (REJECT rule)? That looks like a closed port: compare with a dial from that host itself.",
	}}
}

// explainRefusedHere is of this machine: of what its user can look into most.
func explainRefusedHere(f *failure) advice {
	a := advice{"Nothing listens on " + f.where() + " on this machine: it refused the connection", []string{
		see("Is the server running, and done with its start?", f.listening(), f.port()),
		see("Does it listen on another port?", f.listenersAll),
	}}
	if other := f.otherFamily(); other != "" {
		a.checks = append(a.checks, other)
	}
	a.checks = append(a.checks,
		"Is this in a container? Its localhost is its own: dial the other container by name, the host as host.docker.internal.")
	return a
}

// otherFamily asks whether the server is on the loopback address of the other
// family; empty if both were tried.
func (f *failure) otherFamily() string {
	var tried4, tried6 bool
	for _, ip := range append(f.alike, f.remote.Addr()) {
		tried4 = tried4 || ip.Is4()
		tried6 = tried6 || ip.Is6()
	}
	other := "[::1]"
	switch {
	case tried4 && tried6:
		return ""
	case tried6:
		other = "127.0.0.1"
	}
	return "Does it listen on " + other + " only? `localhost` is ::1 first, then 127.0.0.1: servers may take just one of them."
}

func explainRefusedUnix(f *failure) advice {
	path := f.where()
	switch {
	case f.trouble == noSuchFile:
		return advice{"There is no socket " + path + ": its server has not made it yet, or removed it", []string{
			see("Is the server running? It makes the file when it starts.", f.file, f.address),
			f.pathCheck(),
			"Is this in a container? It has files of its own: mount the directory of the socket into both.",
		}}
	case f.trouble == queueFull:
		return advice{"The server of the socket " + path + " does not keep up: the queue of those who wait for it is full", []string{
			see("Does the server hang? Recv-Q is how many wait, Send-Q how many may.", f.listenerUnix, f.address),
			"Do too many connect at once? Keep connections and use them again, or limit how many are dialed.",
			"Is its backlog too short? It is what the server gave to listen(2), net.core.somaxconn at most.",
		}}
	case strings.HasPrefix(f.address, "@"):
		return advice{"Nothing listens on the abstract socket " + path, []string{
			"Is the server running?",
			"Is it in another network namespace, as in a container? Abstract sockets are not seen from another.",
		}}
	}
	return advice{"The socket file " + path + " is there, but no server is behind it", []string{
		see("Is the server running? The file stays when one ends without removing it (stale).", f.listenerUnix, f.address),
		"Could the server not start because the old file is there? It must remove it before it binds.",
		"Is the file itself mounted into a container? It is still the old one when the server makes a new one: mount its directory.",
		see("Is the file a socket at all (s in front)?", f.file, f.address),
	}}
}

// pathCheck asks for the right path: a relative one is more often wrong.
func (f *failure) pathCheck() string {
	if strings.HasPrefix(f.address, "/") {
		return "Does the server's configuration have the very same path?"
	}
	return "Is the path relative to the right directory? It is this program's working directory that counts."
}

func explainReset(f *failure) advice {
	how := " dropped the connection while it was being made"
	if f.connected() || f.ends(io.EOF, io.ErrUnexpectedEOF) {
		how = " accepted the connection and then dropped it"
	}
	return advice{sentence(f.where() + how), []string{
		"Is the server crashing, restarting or full? Its log at that time tells, as does its limit of connections.",
		"Is it a proxy, load balancer or port forwarding with no backend behind it? They accept, then drop.",
		"Does it expect another protocol on that port, such as TLS where plain text was sent, or the other way round?",
		"Does it, or a firewall on the way, let in certain clients only (allow list, fail2ban)?",
	}}
}

// ends tells whether the innermost error is one of those.
func (f *failure) ends(with ...error) bool {
	return len(f.chain) > 0 && slices.Contains(with, f.chain[len(f.chain)-1])
}

func explainTimeout(f *failure) advice {
	if f.connected() {
		return advice{sentence(f.where() + " accepted the connection, and then said nothing" + f.patience()), []string{
			"Does the server hang, or is it too busy to answer? A kernel accepts for a server that does not.",
			"Does it wait for us to speak first, or in another protocol, such as TLS?",
			"Do only small packets get through (MTU of a VPN or tunnel)? Then a handshake stalls: try with a smaller MTU.",
		}}
	}
	a := advice{what: "No answer from " + f.where() + f.patience() + ", neither yes nor no"}
	switch {
	case f.address == "":
		a.checks = []string{
			"Was the deadline too short, or used up by what came before it?",
			"Does the server hang, or is a firewall dropping what is sent to it?",
		}
	case f.isUnix():
		a.checks = []string{"Does the server hang, or is it too busy to accept?"}
	case f.isLocal():
		a.checks = []string{
			see("Does the server hang, with a full queue? Recv-Q is how many wait to be accepted, Send-Q how many may.", f.queue, f.port()),
			see("Does a firewall of this machine drop it?", f.firewall),
		}
	default:
		a.checks = []string{
			"Does a firewall drop it (security group, network policy)? A closed port of a host that is up says no at once.",
			see("Is the host up, and is that its address?", f.resolving(), f.host()),
			see("Is it the right network (VPN, subnet)?", f.route, f.ip()),
			seeThere("Is its queue full? Recv-Q is how many wait to be accepted, Send-Q how many may.", f.queue, f.port()),
		}
	}
	if brief := f.longest(); brief > 0 && brief < time.Second {
		a.checks = append([]string{"Is " + rounded(brief).String() + " enough? One lost packet alone costs 1 s (RFC 6298)."}, a.checks...)
	}
	return a
}

// patience is how long it was waited for, if that is known: " within 3s".
func (f *failure) patience() string {
	if a := f.last(); a != nil && a.Duration > 0 && !f.timeWasUp() {
		return " within " + rounded(a.Duration).String()
	}
	return " in time"
}

// longest is the most time that an attempt had; 0 if that is not known.
func (f *failure) longest() (most time.Duration) {
	if f.dial == nil {
		return 0
	}
	for _, a := range f.dial.History {
		most = max(most, a.Duration)
	}
	return most
}

func explainUnreachable(f *failure) advice {
	where := f.where()
	switch {
	case f.trouble == linkDown:
		return advice{"The way to " + where + " is by a network interface that is down", []string{
			see("Is the interface up, and the cable or the wireless network there?", f.links),
			"Is this machine still starting, or waking up? Then retrying is all it takes.",
		}}
	case f.isIPv6() && f.trouble != noHost && !f.isLocal():
		return advice{"This machine has no way to " + where + ": most likely it has no IPv6", []string{
			see("Has it a global IPv6 address?", f.addresses6),
			see("Has it a route there?", f.route, f.ip()),
			"Is this in a container? Many networks of containers have IPv4 only.",
			"Is IPv4 enough? Dial tcp4, or give the name an IPv4 address (A record) as well.",
		}}
	case f.trouble == noHost:
		return explainNoHost(f)
	}
	return advice{"This machine has no route to " + where, []string{
		see("Is there a route?", f.route, f.ip()),
		see("Is the link up?", f.links),
		"Is the machine, or the VPN, not on the network yet? Then retrying is all it takes.",
		"Is this in a container or a sandbox that has no network?",
	}}
}

// explainNoHost is of EHOSTUNREACH: the next router to ask, or the host
// itself, did not answer, or a router said no.
func explainNoHost(f *failure) advice {
	a := advice{sentence(f.where()) + " can't be reached: no host answers at that address, or a router on the way says no", []string{
		see("Is the host up, and is that its address?", f.resolving(), f.host()),
		see("Is it on this network, and answers there (FAILED: it does not)?", f.neighbour, f.ip()),
		see("Is the route right?", f.route, f.ip()),
		"Does a firewall reject it? That of firewalld says just this (icmp-host-prohibited).",
	}}
	if f.goos == "darwin" {
		a.checks[3] = "May the program use the local network? System Settings, Privacy & Security, Local Network."
	}
	return a
}

func explainDenied(f *failure) advice {
	where := f.where()
	switch {
	case f.isUnix():
		return advice{"This user may not connect to the socket " + where, []string{
			see("Who may write to it? That is what connecting takes.", f.file, f.address),
			see("Is this user in its group? A new group counts from the next login on.", f.identity),
			see("May this user search (x) every directory on the way?", f.path, f.address),
			see("Does SELinux or AppArmor forbid it?", f.prohibited),
		}}
	case f.call == "bind":
		return advice{"This user may not speak from the port in Dialer.LocalAddr", []string{
			"Is it below 1024? Those take root or CAP_NET_BIND_SERVICE; port 0 lets the system choose.",
			see("Is it in a range that the system keeps for itself?", f.onWindows(f.prohibited)),
		}}
	case f.call == "socket":
		return advice{"This user may not open a socket for the network " + orTarget(f.network), []string{
			"Is it a raw socket (ip4:icmp and the like)? Those take root or CAP_NET_RAW.",
			"Does a sandbox forbid it (seccomp, systemd's RestrictAddressFamilies=, SELinux)?",
		}}
	case f.trouble == notPermitted:
		return advice{"Local policy forbids the connection to " + where + ": it was not let out of this machine", []string{
			see("Does a firewall of this machine forbid it?", f.firewall),
			"Does the service's cgroup (systemd's IPAddressDeny=, a container's eBPF policy)?",
			"Does a sandbox forbid it (seccomp, SELinux, AppArmor)?",
		}}
	}
	return advice{"Local policy forbids the connection to " + where, []string{
		see("Does a route of kind prohibit forbid it, or a firewall?", f.route, f.ip()),
		see("Does SELinux, or the like of it, forbid it?", f.prohibited),
		see("Does a firewall of this machine?", f.firewall),
		"Is it a broadcast address? Those take the socket option SO_BROADCAST.",
	}}
}

func explainExhausted(f *failure) advice {
	_, resolving := find[*net.DNSError](f)
	switch {
	case f.trouble == systemDescriptors:
		return advice{"This machine has no file descriptor left: nothing was sent to " + f.where(), []string{
			see("How many are in use, and how many may be?", f.systemFiles),
			"Which process has so many? Its own limit should have stopped it first.",
		}}
	case f.trouble == processDescriptors, resolving:
		return advice{"This process has no file descriptor left: nothing was sent to " + f.where(), []string{
			see("What is its limit? A service's is LimitNOFILE= of systemd, or the container's.", f.descriptors),
			"Does it leak them? Close each connection, and each http.Response.Body; ls -l /proc/PID/fd shows what is open.",
			"Does it dial too much at once? Limit it, or keep connections and use them again.",
		}}
	case f.trouble == addressInUse:
		return advice{"The local address to speak from is in use", []string{
			see("Does Dialer.LocalAddr have a port? Port 0 lets the system choose.", f.connections, f.localPort),
			"Was it in use a moment ago? The system keeps the port of a closed connection for a minute (TIME_WAIT).",
			see("Are all ports used up?", f.ports),
		}}
	case f.trouble == noLocalAddress, f.trouble == queueFull:
		return explainNoPort(f)
	case f.trouble == noMemory:
		return advice{"This machine has no memory left for a connection to " + f.where(), []string{
			see("Are the network's buffers used up?", f.memory),
			"Is the memory limit of the service or container reached?",
			"Are there very many neighbours or connections? Tables have limits too: dmesg tells (gc_thresh3, nf_conntrack).",
		}}
	}
	return advice{"This machine is out of something that the dial of " + f.where() + " takes", []string{
		see("Is it file descriptors?", f.descriptors),
		see("Is it local ports?", f.ports),
		"Is it memory, or the limit of the service or container?",
	}}
}

// explainNoPort is of connect, which chooses the local end: it is the ports
// towards that one target that are used up, or the addresses to speak from.
func explainNoPort(f *failure) advice {
	a := advice{"No local port is left for another connection to " + f.where(), []string{
		see("Are connections closed and made anew all the time? Each port rests for a minute then (TIME_WAIT).", f.timeWait),
		see("How many ports are there?", f.ports),
		"Are connections kept, and used again? For http.Transport, read bodies to the end and raise MaxIdleConnsPerHost.",
	}}
	if f.isIPv6() {
		a.checks = append(a.checks, see("Has this machine an IPv6 address to speak from?", f.addresses6))
	}
	return a
}

func explainUnknown(f *failure) advice {
	what := "Something failed that is not known here to be a dial's: "
	if f.op != "" || f.dial != nil {
		what = "The dial of " + f.where() + " failed in a way that is not known here: "
	}
	return advice{what + f.text(), []string{
		"Is it the error of a DialFunc or Verify of your own? Dialer.Classifier gives it a class.",
		"Is it a protocol's (a password, a status)? Then the connection itself was made.",
	}}
}

// text is the message of the innermost error that has one, without a full
// stop; errors that are nil pointers have none that could be asked for.
func (f *failure) text() string {
	if len(f.chain) == 0 {
		return "an error that is a nil pointer"
	}
	text := strings.TrimRight(f.chain[len(f.chain)-1].Error(), ".\n")
	if text == "" {
		return "an error without a text"
	}
	return text
}

// listening is the command for what listens on a port, of the network dialed.
func (f *failure) listening() string {
	if f.isUDP() {
		return f.listenersUDP
	}
	return f.listeners
}

// resolving is the command for the addresses of what was dialed, if that is a
// name.
func (f *failure) resolving() string {
	if _, err := netip.ParseAddr(f.host()); err == nil || f.host() == "" {
		return ""
	}
	return f.resolve
}

// openAddresses are those that a server listens on to be reached from outside.
func (f *failure) openAddresses() string {
	if ip := f.ip(); ip != "" {
		return "0.0.0.0, [::], * or " + ip
	}
	return "0.0.0.0, [::] or *"
}

func (f *failure) onWindows(command string) string {
	if f.goos == "windows" {
		return command
	}
	return ""
}

func orTarget(s string) string {
	if s == "" {
		return "asked for"
	}
	return s
}

// sentence begins with a capital, where a name does not begin it.
func sentence(s string) string {
	if rest, ok := strings.CutPrefix(s, "the "); ok {
		return "The " + rest
	}
	return s
}

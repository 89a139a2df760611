package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// The commands that a reader is told to run, on each operating system, in one
// table. To add a system, add a column and its names to columnOf. To add a
// command, add a row.

// A command names a row of the table.
type command int

const (
	listening     command = iota // which TCP servers listen on a port
	listeningUDP                 // which UDP sockets receive on a port
	listeningAll                 // every TCP server
	listeningUnix                // which server listens on a unix socket
	unixSockets                  // every unix socket that listens
	resets                       // whether a full accept queue resets
	firewall                     // the rules
	route                        // how an address is reached
	routesOfType                 // the routes of a type: family, type
	routeFrom                    // the same from a local address: address, local address
	neighbors4                   // which IPv4 addresses on this network answer
	neighbors6                   // the same for IPv6
	links                        // the network interfaces
	loopback                     // the loopback interface
	addresses                    // of this machine
	addressFlags                 // the same, with flags such as tentative
	addresses6                   // the global IPv6 addresses of this machine
	ipv6Off                      // whether IPv6 is switched off
	ping                         // whether a host answers
	trace                        // the routers on the way
	ipsec                        // what IPsec holds back
	resolve                      // a name, as this machine's programs do
	queryA                       // the IPv4 addresses of a name: name, server
	queryAAAA                    // the IPv6 addresses
	resolvers                    // which DNS servers are asked
	resolved                     // what systemd-resolved asks
	file                         // who may do what with a file
	directories                  // the same of each directory on the way
	identity                     // of the user
	securityLog                  // what SELinux denied
	limits                       // of a process
	descriptors                  // how many a process has open
	systemFiles                  // how many the system has open
	ports                        // which are chosen for the local end
	reservedPorts                // which only the system may use
	localPort                    // who uses a local port
	connectionsTo                // to an address
	networkMemory                // how much is used
	kernelLog                    // the latest of it
	clock                        // the time
	certificates                 // what a TLS server sends
	numCommands
)

// The columns of the table.
const (
	linux = iota
	macOS
	bsd // also a fallback for other systems of the Unix family
	windows
	numColumns
)

// columnOf has the column of each GOOS. Other systems have no commands.
var columnOf = map[string]int{
	"linux": linux, "android": linux,
	"darwin": macOS, "ios": macOS,
	"freebsd": bsd, "openbsd": bsd, "netbsd": bsd, "dragonfly": bsd, "solaris": bsd, "illumos": bsd, "aix": bsd,
	"windows": windows,
}

// table has the commands. Each %s stands for an argument; a command without
// one shows everything. Empty means that the system has no such command.
var table = [numCommands][numColumns]string{
	listening:     {"ss -ltnp 'sport = :%s'", "lsof -nP -iTCP:%s -sTCP:LISTEN", "netstat -an | grep '[.:]%s '", "netstat -ano | findstr :%s"},
	listeningUDP:  {"ss -lunp 'sport = :%s'", "lsof -nP -iUDP:%s", "netstat -an | grep '[.:]%s '", "netstat -ano -p UDP | findstr :%s"},
	listeningAll:  {"ss -ltnp", "lsof -nP -iTCP -sTCP:LISTEN", "netstat -an", "netstat -ano | findstr LISTENING"},
	listeningUnix: {"ss -lxp src %s", "lsof %s", "fstat %s", ""},
	unixSockets:   {"ss -lxp", "lsof -U", "netstat -an -f unix", ""},
	resets:        {"sysctl net.ipv4.tcp_abort_on_overflow", "", "", ""},
	firewall:      {"nft list ruleset", "pfctl -s rules", "pfctl -s rules", "netsh advfirewall show currentprofile"},
	route:         {"ip route get %s", "route -n get %s", "route -n get %s", "powershell Find-NetRoute -RemoteIPAddress %s"},
	routesOfType:  {"ip -%s route show table all type %s", "", "", ""},
	routeFrom:     {"ip route get %s from %s", "", "", ""},
	neighbors4:    {"ip neigh", "arp -an", "arp -an", "arp -a"},
	neighbors6:    {"ip neigh", "ndp -an", "ndp -an", "netsh interface ipv6 show neighbors"},
	links:         {"ip -br link", "ifconfig -a", "ifconfig -a", "ipconfig /all"},
	loopback:      {"ip -br addr show lo", "ifconfig lo0", "ifconfig lo0", ""},
	addressFlags:  {"ip addr", "ifconfig -a", "ifconfig -a", "ipconfig"},
	addresses:     {"ip -br addr", "ifconfig -a", "ifconfig -a", "ipconfig"},
	addresses6:    {"ip -6 addr show scope global", "ifconfig -a inet6", "ifconfig -a inet6", "ipconfig"},
	ipv6Off:       {"sysctl net.ipv6.conf.all.disable_ipv6 net.ipv6.conf.lo.disable_ipv6", "", "", ""},
	ping:          {"ping -c 3 %s", "ping -c 3 %s", "ping -c 3 %s", "ping %s"},
	trace:         {"tracepath -n %s", "traceroute -n %s", "traceroute -n %s", "tracert -d %s"},
	ipsec:         {"ip xfrm policy; ip xfrm state", "", "", ""},
	resolve:       {"getent ahosts %s", "dscacheutil -q host -a name %s", "getent hosts %s", "nslookup %s"},
	queryA:        {"dig A %s @%s", "dig A %s @%s", "", "nslookup -type=A %s %s"},
	queryAAAA:     {"dig AAAA %s @%s", "dig AAAA %s @%s", "", "nslookup -type=AAAA %s %s"},
	resolvers:     {"cat /etc/resolv.conf", "scutil --dns", "cat /etc/resolv.conf", "ipconfig /all"},
	resolved:      {"resolvectl status", "", "", ""},
	file:          {"ls -l %s", "ls -l %s", "ls -l %s", "icacls %s"},
	directories:   {"namei -l %s", "", "", ""},
	identity:      {"id", "id", "id", "whoami /groups"},
	securityLog:   {"ausearch -m avc -ts recent", "", "", ""},
	limits:        {"grep files /proc/PID/limits", "launchctl limit maxfiles", "ulimit -n", ""},
	descriptors:   {"ls -l /proc/PID/fd", "lsof -p PID", "fstat -p PID", ""},
	systemFiles:   {"sysctl fs.file-nr", "sysctl kern.num_files kern.maxfiles", "sysctl kern.openfiles kern.maxfiles", ""},
	ports: {"sysctl net.ipv4.ip_local_port_range", "sysctl net.inet.ip.portrange.first net.inet.ip.portrange.last",
		"sysctl net.inet.ip.portrange.first net.inet.ip.portrange.last", "netsh int ipv4 show dynamicport tcp"},
	reservedPorts: {"", "", "", "netsh interface ipv4 show excludedportrange protocol=tcp"},
	localPort:     {"ss -tanp 'sport = :%s'", "lsof -nP -iTCP:%s", "netstat -an | grep '[.:]%s '", "netstat -ano | findstr :%s"},
	connectionsTo: {"ss -tanp dst %s", "netstat -an | grep -F %s", "netstat -an | grep -F %s", "netstat -ano | findstr %s"},
	networkMemory: {"cat /proc/net/sockstat; sysctl net.ipv4.tcp_mem", "netstat -m", "netstat -m", ""},
	kernelLog:     {"dmesg | tail", "dmesg | tail", "dmesg | tail", ""},
	clock:         {"date -u", "date -u", "date -u", "w32tm /query /status"},
	certificates:  {"openssl s_client -showcerts -connect %s", "openssl s_client -showcerts -connect %s", "openssl s_client -showcerts -connect %s", ""},
}

// command returns the command for the failure's system with its arguments. It
// returns the empty string if the system has none, or if an argument is
// missing or cannot be written in a shell without a doubt.
func (f *failure) command(c command, args ...string) string {
	column, ok := columnOf[f.goos]
	if !ok {
		return ""
	}
	format := table[c][column]
	words := make([]any, 0, len(args))
	for _, arg := range args {
		word := shellWord(arg, column == windows)
		if word == "" || word[0] == '\'' && strings.Contains(format, "'") {
			return "" // quotes do not nest
		}
		words = append(words, word)
	}
	if !strings.Contains(format, "%s") {
		return format // it shows everything
	}
	return fmt.Sprintf(format, words...)
}

// neighbors returns the command that shows which hosts on this network answer.
func (f *failure) neighbors() string {
	if f.isIPv6() {
		return f.command(neighbors6)
	}
	return f.command(neighbors4)
}

// route returns the command that shows the route to the address, from the local address
// that the program asks for, if it asks for one.
func (f *failure) route() string {
	if f.op != nil && f.op.Op == "dial" {
		local, err := netip.ParseAddrPort(f.sourceText())
		if err == nil && !local.Addr().IsUnspecified() {
			if c := f.command(routeFrom, f.ip(), local.Addr().String()); c != "" {
				return c
			}
		}
	}
	return f.command(route, f.ip())
}

// routesOf returns the command for the routes of a type, of the address's family.
func (f *failure) routesOf(kind string) string {
	return f.command(routesOfType, familyOf(f.remote.Addr()), kind)
}

// queries returns the commands that ask server for the addresses of name, of
// the families that were asked for.
func (f *failure) queries(name, server string) []string {
	addr, err := netip.ParseAddrPort(server)
	if err != nil || addr.Port() != 53 {
		return nil
	}
	name, server = strings.TrimSuffix(name, "."), addr.Addr().String()
	var all []string
	if !strings.HasSuffix(f.asked.network, "6") {
		all = append(all, f.command(queryA, name, server))
	}
	if !strings.HasSuffix(f.asked.network, "4") {
		all = append(all, f.command(queryAAAA, name, server))
	}
	return all
}

// shellWord returns s as one word of a shell. It returns the empty string if
// there is no such word that is sure to be safe: one with a control character
// or one that a command would take for an option.
func shellWord(s string, onWindows bool) string {
	switch {
	case s == "" || len(s) > 2*longestShown || strings.ContainsAny(s[:1], "-+"), strings.ContainsFunc(s, isOdd):
		return ""
	case strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/_-@%,") == "" && !(onWindows && strings.Contains(s, "%")):
		return s
	case onWindows: // quoting differs between its shells
		return ""
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// isOdd reports whether r is not to be printed as it is.
func isOdd(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// A check is one thing for the reader to look into.
type check struct {
	say string   // sentences
	at  string   // where to run the commands: here, onServer
	run []string // commands; empty ones are left out
}

const (
	here     = "Here: "
	onServer = "On the server: "
	onBoth   = "Here and on the server: "
)

// say is a check without a command.
func say(s string) check { return check{say: s} }

// look is a check with commands.
func look(s, at string, run ...string) check { return check{say: s, at: at, run: run} }

// lines returns the check as one line, or as two if most allows that. The second line has
// the commands or, without commands, the rest of the text. The last sentences, and then
// the last commands, are left out if they do not fit.
func (c check) lines(most int) []string {
	const bullet, under = "  - ", "    "
	run := slices.DeleteFunc(slices.Clone(c.run), func(s string) bool { return s == "" })
	if most > 1 && len(run) > 0 && columns(bullet+c.say+" "+c.at+strings.Join(run, "; ")) > width {
		for n := len(run); n > 0; n-- {
			if commands := under + c.at + strings.Join(run[:n], "; "); columns(commands) <= width {
				return []string{bullet + check{say: c.say}.line(width-len(bullet)), commands}
			}
		}
	}
	if most > 1 && len(run) == 0 && columns(bullet+c.say) > width {
		if lines := wrapTo(width-len(bullet), c.say); len(lines) == 2 {
			return []string{bullet + lines[0], under + strings.TrimPrefix(lines[1], indent)}
		}
	}
	return []string{bullet + check{c.say, c.at, run}.line(width-len(bullet))}
}

// line returns the check as one line of at most most columns.
func (c check) line(most int) string {
	sentences := splitSentences(c.say)
	for n := len(c.run); ; n-- {
		for m := len(sentences); m > 0; m-- {
			line := strings.Join(sentences[:m], " ")
			if n > 0 {
				line += " " + c.at + strings.Join(c.run[:n], "; ")
			}
			if columns(line) <= most {
				return line
			}
		}
		if n == 0 {
			return cut(sentences[0], most)
		}
	}
}

// splitSentences splits text after each full stop or question mark that a
// space follows. It returns at least one sentence.
func splitSentences(text string) []string {
	var all []string
	for start, i := 0, 0; ; i++ {
		switch {
		case i >= len(text)-1:
			return append(all, text[start:])
		case (text[i] == '.' || text[i] == '?') && text[i+1] == ' ' && i+2 < len(text) && unicode.IsUpper(rune(text[i+2])):
			all = append(all, text[start:i+1])
			start = i + 2
		}
	}
}

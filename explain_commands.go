package redial

import (
	"fmt"
	"slices"
	"strings"
)

// commands are those by which a user looks into a failure on one system: %s
// stands for the port, the address, the name or the path. One that is empty
// has no like there, and is left out of the advice.
type commands struct {
	listeners    string // of a TCP port
	listenersUDP string
	listenersAll string
	listenerUnix string // of a unix socket
	queue        string // of a TCP listener
	file         string // who may do what with it
	path         string // the same of each directory on the way
	identity     string // of this user
	route        string
	links        string
	addresses    string
	addresses6   string
	neighbour    string // whether it answers on the local network
	firewall     string
	prohibited   string // what else may forbid it
	resolve      string
	resolvers    string // which are asked
	query        string // asks one
	descriptors  string // how many a process may have
	systemFiles  string // how many the system may have
	ports        string // which may be chosen for the local end
	timeWait     string // how many of them wait
	connections  string // by their local port
	memory       string
	clock        string
}

// commandsOf has those of the systems most used; the others have what nearly
// all systems do.
func commandsOf(goos string) commands {
	switch goos {
	case "linux", "android":
		return linuxCommands
	case "windows":
		return windowsCommands
	case "darwin", "ios":
		return darwinCommands
	case "js", "wasip1":
		return commands{} // the host's, whatever that is
	}
	return unixCommands
}

var linuxCommands = commands{
	listeners:    "ss -ltnp 'sport = :%s'",
	listenersUDP: "ss -lunp 'sport = :%s'",
	listenersAll: "ss -ltnp",
	listenerUnix: "ss -lxp src %s",
	queue:        "ss -ltn 'sport = :%s'",
	file:         "ls -l %s",
	path:         "namei -l %s",
	identity:     "id",
	route:        "ip route get %s",
	links:        "ip -br link",
	addresses:    "ip -br addr",
	addresses6:   "ip -6 -br addr show scope global",
	neighbour:    "ip neigh show %s",
	firewall:     "nft list ruleset",
	prohibited:   "ausearch -m avc -ts recent",
	resolve:      "getent ahosts %s",
	resolvers:    "cat /etc/resolv.conf",
	query:        "dig @%s %s",
	descriptors:  "ulimit -n",
	systemFiles:  "sysctl fs.file-nr",
	ports:        "sysctl net.ipv4.ip_local_port_range",
	timeWait:     "ss -Htan state time-wait | wc -l",
	connections:  "ss -tanp 'sport = :%s'",
	memory:       "sysctl net.ipv4.tcp_mem; cat /proc/net/sockstat",
	clock:        "date",
}

var darwinCommands = commands{
	listeners:    "lsof -nP -iTCP:%s -sTCP:LISTEN",
	listenersUDP: "lsof -nP -iUDP:%s",
	listenersAll: "lsof -nP -iTCP -sTCP:LISTEN",
	listenerUnix: "lsof %s",
	queue:        "netstat -Lan",
	file:         "ls -l %s",
	identity:     "id",
	route:        "route -n get %s",
	links:        "ifconfig -a",
	addresses:    "ifconfig -a",
	addresses6:   "ifconfig -a inet6",
	neighbour:    "arp -an",
	firewall:     "pfctl -s rules",
	resolve:      "dscacheutil -q host -a name %s",
	resolvers:    "scutil --dns",
	query:        "dig @%s %s",
	descriptors:  "ulimit -n",
	systemFiles:  "sysctl kern.num_files kern.maxfiles",
	ports:        "sysctl net.inet.ip.portrange.first net.inet.ip.portrange.last",
	timeWait:     "netstat -an | grep -c TIME_WAIT",
	connections:  "lsof -nP -iTCP:%s",
	clock:        "date",
}

var windowsCommands = commands{
	listeners:    "netstat -ano | findstr :%s",
	listenersUDP: "netstat -ano -p UDP | findstr :%s",
	listenersAll: "netstat -ano | findstr LISTENING",
	file:         "icacls %s",
	identity:     "whoami /groups",
	route:        "powershell Find-NetRoute -RemoteIPAddress %s",
	links:        "ipconfig /all",
	addresses:    "ipconfig",
	addresses6:   "ipconfig",
	neighbour:    "arp -a",
	firewall:     "netsh advfirewall show currentprofile",
	prohibited:   "netsh interface ipv4 show excludedportrange protocol=tcp",
	resolve:      "nslookup %s",
	resolvers:    "ipconfig /all",
	ports:        "netsh int ipv4 show dynamicport tcp",
	timeWait:     "netstat -an | find /c \"TIME_WAIT\"",
	connections:  "netstat -ano | findstr :%s",
	clock:        "w32tm /query /status",
}

var unixCommands = commands{
	listeners:    "netstat -an | grep '[.:]%s '",
	listenersUDP: "netstat -an | grep '[.:]%s '",
	listenersAll: "netstat -an",
	file:         "ls -l %s",
	identity:     "id",
	route:        "route -n get %s",
	links:        "ifconfig -a",
	addresses:    "ifconfig -a",
	addresses6:   "ifconfig -a",
	neighbour:    "arp -an",
	resolve:      "getent hosts %s",
	resolvers:    "cat /etc/resolv.conf",
	descriptors:  "ulimit -n",
	timeWait:     "netstat -an | grep -c TIME_WAIT",
	connections:  "netstat -an | grep '[.:]%s '",
	clock:        "date",
}

// see is a check and the command for it, which is about each of what.
func see(check, command string, what ...any) string {
	return withCommand(check, " See: ", command, what)
}

// seeThere is see for a command that is to be run on the host that was dialed.
func seeThere(check, command string, what ...any) string {
	return withCommand(check, " On that host: ", command, what)
}

func withCommand(check, lead, command string, what []any) string {
	if command == "" || slices.Contains(what, any("")) {
		return check // a command with a hole in it helps nobody
	}
	if !strings.Contains(command, "%s") {
		what = nil // it shows all there are
	}
	return check + lead + fmt.Sprintf(command, what...)
}

package explain

import "strings"

// The commands that a reader is told to run, on each operating system, in one
// table. To add a system, add a column and its names to columnOf. To add a
// command, add a row.

// A command names a row of the table. The zero command is none.
type command int

const (
	_                 command = iota
	listening                 // which TCP servers listen on a port
	listeningAll              // every TCP server
	listeningUDP              // which UDP sockets receive on a port
	listeningDNS              // which program is the DNS server
	listeningUnix             // which server listens on a unix socket
	unixSockets               // every unix socket that listens
	allUnixSockets            // a unix socket, also a client's
	queue                     // the accept queue of a TCP server
	process                   // the state of a process
	firewall                  // the rules
	route                     // how an address is reached
	routes                    // all
	routeFrom                 // the same from a local address
	routeToServer             // how the DNS server is reached
	blackholes                // the blackhole routes
	unreachables              // the unreachable routes
	neighbors                 // which IPv4 addresses on this network answer
	neighbors6                // the same for IPv6
	links                     // the network interfaces
	loopback                  // the loopback interface
	addresses                 // of this machine
	addressFlags              // the same, with flags such as tentative
	addresses6                // the IPv6 addresses of this machine
	ipv6Off                   // whether IPv6 is switched off
	kernelCommand             // how the kernel was started
	pingServer                // whether the DNS server's host answers
	trace                     // the routers on the way
	pathMTU                   // how large packets may be on the way
	ipsec                     // what IPsec holds back
	resolve                   // a name, as this machine's programs do
	resolveOther              // a name that surely exists
	querySearched             // the same with each domain of the search list
	query                     // the addresses of a name, from the DNS server
	queryAnyServer            // the same from the machine's DNS server
	queryOther                // the same of a name that surely exists
	queryUnanswered           // the same of the family that had no answer
	queryTCP                  // the same over TCP
	resolvers                 // which DNS servers are asked
	nameService               // what is asked for names
	hostsFile                 // a name in the hosts file
	resolved                  // what systemd-resolved asks
	resolvedLog               // whether systemd-resolved runs
	dockerContainers          // the containers that run
	services                  // of Kubernetes
	file                      // who may do what with a file
	directories               // which parts of a path exist
	permissions               // who may do what with each part of a path
	workingDirectory          // of a process
	identity                  // the user and the groups of a process
	capabilities              // of a process
	seccomp                   // whether a process has a seccomp filter
	securityLog               // what SELinux denied
	cgroups                   // the eBPF programs of cgroups
	limits                    // of a process
	descriptors               // which a process has open
	systemFiles               // how many the system has open
	openFiles                 // which processes have them open
	sockets                   // how many there are
	ports                     // which are chosen for the local end
	unprivilegedPorts         // which everybody may use
	reservedPorts             // which only the system may use
	localPort                 // who uses a local port
	connections               // to the address and port
	networkMemory             // how much is used
	watches                   // the limit of epoll's
	kernelLog                 // the latest of it
	clock                     // the time
	certificates              // what a TLS server sends
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

// root begins a command that needs root's rights, or an administrator's.
const root = "#"

// table has the commands, with the words of placeholders.go. Empty means that the system has no such command.
var table = [numCommands][numColumns]string{
	listening:      {"ss -ltnp 'sport = :{port}'", "lsof -nP -iTCP:{port} -sTCP:LISTEN", "netstat -an | grep '[.:]{port} '", "netstat -ano | findstr :{port}"},
	listeningAll:   {"ss -ltnp", "lsof -nP -iTCP -sTCP:LISTEN", "netstat -an", "netstat -ano | findstr LISTENING"},
	listeningUDP:   {"ss -lunp 'sport = :{port}'", "lsof -nP -iUDP:{port}", "netstat -an | grep '[.:]{port} '", "netstat -ano -p UDP | findstr :{port}"},
	listeningDNS:   {"ss -lunp 'sport = :53'", "lsof -nP -iUDP:53", "netstat -an | grep '[.:]53 '", "netstat -ano -p UDP | findstr :53"},
	listeningUnix:  {"ss -lxp src {path}", "lsof {path}", "fstat {path}", ""},
	unixSockets:    {"ss -lxp", "lsof -U", "netstat -an -f unix", ""},
	allUnixSockets: {"ss -xap", "lsof -U", "netstat -an -f unix", ""},
	queue:          {"ss -ltn 'sport = :{port}'", "netstat -anL", "netstat -anL", "netstat -ano | findstr :{port}"},
	process:        {"ps -o pid,stat,wchan,cmd -p PID", "ps -o pid,stat,wchan,command -p PID", "ps -o pid,stat,wchan,command -p PID", ""},
	firewall:       {root + "nft list ruleset", root + "pfctl -s rules", root + "pfctl -s rules", "netsh advfirewall show currentprofile"},
	route:          {"ip route get {ip}", "route -n get {ip}", "route -n get {ip}", "powershell Find-NetRoute -RemoteIPAddress {ip}"},
	routes:         {"ip route", "netstat -rn", "netstat -rn", "route print"},
	routeFrom:      {"ip route get {ip} from {local ip}", "route -n get {ip}", "route -n get {ip}", "powershell Find-NetRoute -RemoteIPAddress {ip}"},
	routeToServer:  {"ip route get {server}", "route -n get {server}", "route -n get {server}", "powershell Find-NetRoute -RemoteIPAddress {server}"},
	blackholes:     {"ip -{family} route show table all type blackhole", "netstat -rn", "netstat -rn", "route print"},
	unreachables:   {"ip -{family} route show table all type unreachable", "netstat -rn", "netstat -rn", "route print"},
	neighbors:      {"ip neigh", "arp -an", "arp -an", "arp -a"},
	neighbors6:     {"ip -6 neigh", "ndp -an", "ndp -an", "netsh interface ipv6 show neighbors"},
	links:          {"ip -br link", "ifconfig -a", "ifconfig -a", "ipconfig /all"},
	loopback:       {"ip -br addr show lo", "ifconfig lo0", "ifconfig lo0", ""},
	addresses:      {"ip -br addr", "ifconfig -a", "ifconfig -a", "ipconfig"},
	addressFlags:   {"ip addr", "ifconfig -a", "ifconfig -a", "ipconfig"},
	addresses6:     {"ip -6 addr", "ifconfig -a inet6", "ifconfig -a inet6", "ipconfig"},
	ipv6Off:        {"sysctl net.ipv6.conf.all.disable_ipv6", "", "", ""},
	kernelCommand:  {"cat /proc/cmdline", "", "", ""},
	pingServer:     {"ping -c 3 {server}", "ping -c 3 {server}", "ping -c 3 {server}", "ping {server}"},
	trace:          {"tracepath -n {ip}", "traceroute -n {ip}", "traceroute -n {ip}", "tracert -d {ip}"},
	pathMTU:        {"tracepath -n {ip}", "", "", ""},
	ipsec:          {root + "ip xfrm policy", "", "", ""},

	resolve:          {"getent ahosts {host}", "dscacheutil -q host -a name {host}", "getent hosts {host}", "nslookup {host}"},
	resolveOther:     {"getent ahosts example.org", "dscacheutil -q host -a name example.org", "getent hosts example.org", "nslookup example.org"},
	query:            {"dig {record} {name} @{server}", "dig {record} {name} @{server}", "", "nslookup -type={record} {name} {server}"},
	queryAnyServer:   {"dig {host}", "dig {host}", "", "nslookup {host}"},
	queryOther:       {"dig example.org @{server}", "dig example.org @{server}", "", "nslookup example.org {server}"},
	queryUnanswered:  {"dig {unanswered} {name}", "dig {unanswered} {name}", "", "nslookup -type={unanswered} {name}"},
	querySearched:    {"dig +search +showsearch {record} {name} @{server}", "dig +search +showsearch {record} {name} @{server}", "", "nslookup {name} {server}"},
	queryTCP:         {"dig +tcp {record} {name} @{server}", "dig +tcp {record} {name} @{server}", "", ""},
	resolvers:        {"cat /etc/resolv.conf", "scutil --dns", "cat /etc/resolv.conf", "ipconfig /all"},
	nameService:      {"grep hosts: /etc/nsswitch.conf", "", "grep hosts: /etc/nsswitch.conf", ""},
	hostsFile:        {"grep {host} /etc/hosts", "grep {host} /etc/hosts", "grep {host} /etc/hosts", ""},
	resolved:         {"resolvectl status", "", "", ""},
	resolvedLog:      {"systemctl status systemd-resolved", "", "", ""},
	dockerContainers: {"docker ps", "docker ps", "", "docker ps"},
	services:         {"kubectl get svc -A", "kubectl get svc -A", "kubectl get svc -A", "kubectl get svc -A"},

	file:              {"ls -ld {path}", "ls -ld {path}", "ls -ld {path}", "icacls {path}"},
	directories:       {"namei -l {path}", "ls -ld {directory}", "ls -ld {directory}", "dir {directory}"},
	permissions:       {"namei -l {path}", "ls -ld {path}", "ls -ld {path}", "icacls {path}"},
	workingDirectory:  {"ls -l /proc/PID/cwd", "lsof -a -d cwd -p PID", "fstat -p PID", ""},
	identity:          {"grep -E 'Uid|Gid|Groups' /proc/PID/status", "ps -o user,group -p PID", "ps -o user,group -p PID", "whoami /groups"},
	capabilities:      {"getpcaps PID", "", "", ""},
	seccomp:           {"grep Seccomp /proc/PID/status", "", "", ""},
	securityLog:       {root + "ausearch -m avc -ts recent", "", "", ""},
	cgroups:           {root + "bpftool cgroup tree", "", "", ""},
	limits:            {"grep files /proc/PID/limits", "launchctl limit maxfiles", "ulimit -n", ""},
	descriptors:       {"ls -l /proc/PID/fd", "lsof -p PID", "fstat -p PID", ""},
	systemFiles:       {"sysctl fs.file-nr", "sysctl kern.num_files kern.maxfiles", "sysctl kern.openfiles kern.maxfiles", ""},
	openFiles:         {root + "lsof -n | cut -d ' ' -f 1 | sort | uniq -c | sort -n | tail", root + "lsof -n", root + "fstat", ""},
	unprivilegedPorts: {"sysctl net.ipv4.ip_unprivileged_port_start", "", "sysctl net.inet.ip.portrange.reservedhigh", ""},
	ports: {"sysctl net.ipv4.ip_local_port_range", "sysctl net.inet.ip.portrange.first net.inet.ip.portrange.last",
		"sysctl net.inet.ip.portrange.first net.inet.ip.portrange.last", "netsh int ipv4 show dynamicport tcp"},
	sockets:       {"ss -s", "netstat -s", "netstat -s", "netstat -s"},
	reservedPorts: {"", "", "", "netsh interface ipv4 show excludedportrange protocol=tcp"},
	localPort:     {"ss -tanp 'sport = :{local port}'", "lsof -nP -iTCP:{local port}", "netstat -an | grep '[.:]{local port} '", "netstat -ano | findstr :{local port}"},
	connections:   {"ss -tan dst {ip:port}", "netstat -an | grep -F {ip}", "netstat -an | grep -F {ip}", "netstat -ano | findstr {ip}"},
	networkMemory: {"cat /proc/net/sockstat", "netstat -m", "netstat -m", ""},
	watches:       {"sysctl fs.epoll.max_user_watches", "", "", ""},
	kernelLog:     {root + "dmesg | tail", root + "dmesg | tail", "dmesg | tail", ""},
	clock:         {"date -u", "date -u", "date -u", "w32tm /query /status"},
	certificates: {"openssl s_client -showcerts -connect {address}", "openssl s_client -showcerts -connect {address}",
		"openssl s_client -showcerts -connect {address}", ""},
}

// command returns the command for the failure's system. It returns the empty string if the
// system has none, or if a word of it is not known or cannot be written in a shell without a doubt.
func (f *facts) command(c command) (line string, asRoot bool) {
	column, ok := columnOf[f.goos]
	if !ok {
		return "", false
	}
	if c == neighbors && f.isIPv6() {
		c = neighbors6
	}
	line, asRoot = strings.CutPrefix(table[c][column], root)
	quoted := strings.Contains(line, "'")
	line, complete := expand(line, func(name string) string {
		word := shellWord(words[name](f), column == windows)
		if quoted && strings.HasPrefix(word, "'") {
			return "" // quotes do not nest
		}
		return word
	})
	if !complete {
		return "", false
	}
	return line, asRoot
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

package explain

import "strings"

// The commands that a reader is told to run, on each operating system. To add a system, add a
// column and its names to columnOf.

// A command has the lines of one command for each system, with the words of placeholders.go.
// An empty line means that the system has no such command. The zero command is none.
type command [numColumns]string

// The columns of a command.
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

var (
	listening         = command{"ss -ltnp 'sport = :{port}'", "lsof -nP -iTCP:{port} -sTCP:LISTEN", "netstat -an | grep '[.:]{port} '", "netstat -ano | findstr :{port}"}
	listeningAll      = command{"ss -ltnp", "lsof -nP -iTCP -sTCP:LISTEN", "netstat -an", "netstat -ano | findstr LISTENING"}
	listeningUDP      = command{"ss -lunp 'sport = :{port}'", "lsof -nP -iUDP:{port}", "netstat -an | grep '[.:]{port} '", "netstat -ano -p UDP | findstr :{port}"}
	listeningDNS      = command{"ss -lunp 'sport = :53'", "lsof -nP -iUDP:53", "netstat -an | grep '[.:]53 '", "netstat -ano -p UDP | findstr :53"}
	listeningUnix     = command{"ss -lxp src {path}", "lsof {path}", "fstat {path}", ""}
	unixSockets       = command{"ss -lxp", "lsof -U", "netstat -an -f unix", ""}
	allUnixSockets    = command{"ss -xap", "lsof -U", "netstat -an -f unix", ""}
	queue             = command{"ss -ltn 'sport = :{port}'", "netstat -anL", "netstat -anL", "netstat -ano | findstr :{port}"}
	process           = command{"ps -o pid,stat,wchan,cmd -p PID", "ps -o pid,stat,wchan,command -p PID", "ps -o pid,stat,wchan,command -p PID", ""}
	firewall          = command{root + "nft list ruleset", root + "pfctl -s rules", root + "pfctl -s rules", "netsh advfirewall show currentprofile"}
	route             = command{"ip route get {ip}", "route -n get {ip}", "route -n get {ip}", "powershell Find-NetRoute -RemoteIPAddress {ip}"}
	routes            = command{"ip route", "netstat -rn", "netstat -rn", "route print"}
	routeFrom         = command{"ip route get {ip} from {local ip}", "route -n get {ip}", "route -n get {ip}", "powershell Find-NetRoute -RemoteIPAddress {ip}"}
	routeToServer     = command{"ip route get {server}", "route -n get {server}", "route -n get {server}", "powershell Find-NetRoute -RemoteIPAddress {server}"}
	blackholes        = command{"ip -{family} route show table all type blackhole", "netstat -rn", "netstat -rn", "route print"}
	unreachables      = command{"ip -{family} route show table all type unreachable", "netstat -rn", "netstat -rn", "route print"}
	neighbors         = command{"ip neigh", "arp -an", "arp -an", "arp -a"}
	neighbors6        = command{"ip -6 neigh", "ndp -an", "ndp -an", "netsh interface ipv6 show neighbors"}
	links             = command{"ip -br link", "ifconfig -a", "ifconfig -a", "ipconfig /all"}
	loopback          = command{"ip -br addr show lo", "ifconfig lo0", "ifconfig lo0", ""}
	addresses         = command{"ip -br addr", "ifconfig -a", "ifconfig -a", "ipconfig"}
	addressFlags      = command{"ip addr", "ifconfig -a", "ifconfig -a", "ipconfig"}
	addresses6        = command{"ip -6 addr", "ifconfig -a inet6", "ifconfig -a inet6", "ipconfig"}
	ipv6Off           = command{"sysctl net.ipv6.conf.all.disable_ipv6", "", "", ""}
	kernelCommand     = command{"cat /proc/cmdline", "", "", ""}
	pingServer        = command{"ping -c 3 {server}", "ping -c 3 {server}", "ping -c 3 {server}", "ping {server}"}
	trace             = command{"tracepath -n {ip}", "traceroute -n {ip}", "traceroute -n {ip}", "tracert -d {ip}"}
	pathMTU           = command{"tracepath -n {ip}", "", "", ""}
	ipsec             = command{root + "ip xfrm policy", "", "", ""}
	resolve           = command{"getent ahosts {host}", "dscacheutil -q host -a name {host}", "getent hosts {host}", "nslookup {host}"}
	resolveOther      = command{"getent ahosts example.org", "dscacheutil -q host -a name example.org", "getent hosts example.org", "nslookup example.org"}
	query             = command{"dig {record} {name} {@server}", "dig {record} {name} {@server}", "", "nslookup -type={record} {name} {server}"}
	queryAnyServer    = command{"dig {host}", "dig {host}", "", "nslookup {host}"}
	queryOther        = command{"dig example.org {@server}", "dig example.org {@server}", "", "nslookup example.org {server}"}
	queryUnanswered   = command{"dig {unanswered} {name}", "dig {unanswered} {name}", "", "nslookup -type={unanswered} {name}"}
	querySearched     = command{"dig +search +showsearch {record} {name} {@server}", "dig +search +showsearch {record} {name} {@server}", "", "nslookup {name} {server}"}
	queryTCP          = command{"dig +tcp {record} {name} {@server}", "dig +tcp {record} {name} {@server}", "", ""}
	resolvers         = command{"cat /etc/resolv.conf", "scutil --dns", "cat /etc/resolv.conf", "ipconfig /all"}
	nameService       = command{"grep hosts: /etc/nsswitch.conf", "", "grep hosts: /etc/nsswitch.conf", ""}
	hostsFile         = command{"grep {host} /etc/hosts", "grep {host} /etc/hosts", "grep {host} /etc/hosts", ""}
	resolved          = command{"resolvectl status", "", "", ""}
	resolvedLog       = command{"systemctl status systemd-resolved", "", "", ""}
	dockerContainers  = command{"docker ps", "docker ps", "", "docker ps"}
	services          = command{"kubectl get svc -A", "kubectl get svc -A", "kubectl get svc -A", "kubectl get svc -A"}
	file              = command{"ls -ld {path}", "ls -ld {path}", "ls -ld {path}", "icacls {path}"}
	directories       = command{"namei -l {path}", "ls -ld {directory}", "ls -ld {directory}", "dir {directory}"}
	permissions       = command{"namei -l {path}", "ls -ld {path}", "ls -ld {path}", "icacls {path}"}
	workingDirectory  = command{"ls -l /proc/PID/cwd", "lsof -a -d cwd -p PID", "fstat -p PID", ""}
	identity          = command{"grep -E 'Uid|Gid|Groups' /proc/PID/status", "ps -o user,group -p PID", "ps -o user,group -p PID", "whoami /groups"}
	capabilities      = command{"getpcaps PID", "", "", ""}
	seccomp           = command{"grep Seccomp /proc/PID/status", "", "", ""}
	securityLog       = command{root + "ausearch -m avc -ts recent", "", "", ""}
	cgroups           = command{root + "bpftool cgroup tree", "", "", ""}
	limits            = command{"grep files /proc/PID/limits", "launchctl limit maxfiles", "ulimit -n", ""}
	descriptors       = command{"ls -l /proc/PID/fd", "lsof -p PID", "fstat -p PID", ""}
	systemFiles       = command{"sysctl fs.file-nr", "sysctl kern.num_files kern.maxfiles", "sysctl kern.openfiles kern.maxfiles", ""}
	openFiles         = command{root + "lsof -n | cut -d ' ' -f 1 | sort | uniq -c | sort -n | tail", root + "lsof -n", root + "fstat", ""}
	unprivilegedPorts = command{"sysctl net.ipv4.ip_unprivileged_port_start", "", "sysctl net.inet.ip.portrange.reservedhigh", ""}
	ports             = command{"sysctl net.ipv4.ip_local_port_range", "sysctl net.inet.ip.portrange.first net.inet.ip.portrange.last", "sysctl net.inet.ip.portrange.first net.inet.ip.portrange.last", "netsh int ipv4 show dynamicport tcp"}
	sockets           = command{"ss -s", "netstat -s", "netstat -s", "netstat -s"}
	reservedPorts     = command{"", "", "", "netsh interface ipv4 show excludedportrange protocol=tcp"}
	localPort         = command{"ss -tanp 'sport = :{local port}'", "lsof -nP -iTCP:{local port}", "netstat -an | grep '[.:]{local port} '", "netstat -ano | findstr :{local port}"}
	connections       = command{"ss -tan dst {ip:port}", "netstat -an | grep -F {ip}", "netstat -an | grep -F {ip}", "netstat -ano | findstr {ip}"}
	networkMemory     = command{"cat /proc/net/sockstat", "netstat -m", "netstat -m", ""}
	watches           = command{"sysctl fs.epoll.max_user_watches", "", "", ""}
	kernelLog         = command{root + "dmesg | tail", root + "dmesg | tail", "dmesg | tail", ""}
	clock             = command{"date -u", "date -u", "date -u", "w32tm /query /status"}
	certificates      = command{"openssl s_client -showcerts -connect {address}", "openssl s_client -showcerts -connect {address}", "openssl s_client -showcerts -connect {address}", ""}
)

// command returns the line of c for the failure's system. It returns the empty string if the
// system has none, or if a word of it is not known or cannot be written in a shell without a doubt.
func (f *facts) command(c command) (line string, asRoot bool) {
	column, ok := columnOf[f.goos]
	if !ok {
		return "", false
	}
	if c == neighbors && f.isIPv6() {
		c = neighbors6
	}
	line, asRoot = strings.CutPrefix(c[column], root)
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

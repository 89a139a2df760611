package explain

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/foreign"
	"github.com/seed-33f8b841/redial/internal/plain"
	"github.com/seed-33f8b841/redial/internal/userinfo"
)

// This file collects what an error says about the dial that it ended. The error can be
// net.Dialer's, a client's around that, or redial's, so any fact may be missing. The
// rules ask nothing but facts.

// Facts are what an error says.
type facts struct {
	goos string

	class     redial.Class
	chain     []error         // the error and what it wraps, down the branch that has the class
	dial      *redial.Error   // nil if it is not redial's
	op        *net.OpError    // the innermost one; nil if there is none
	dns       *net.DNSError   // the outermost one; nil if there is none
	badAddr   *net.AddrError  // an address that package net did not accept; nil if there is none
	call      string          // the system call that failed, without its variants
	condition errno.Condition // what the system reported
	client    bool            // it is a client's error about a URL

	asked   target              // what was to be dialed
	remote  netip.AddrPort      // what was dialed in the end; not valid if unknown
	path    string              // the unix socket that was dialed in the end
	source  net.Addr            // what the socket was bound to; nil if unknown
	through string              // the proxy, as it was written; empty if unknown
	status  int                 // what the proxy answered; 0 if it did not
	proxy   bool                // an HTTP proxy was dialed
	socks   bool                // a SOCKS proxy was dialed
	results []redial.AddrResult // the addresses that failed in the last attempt; nil if what failed came after connecting
	reached bool                // the address, or one of the name's, had connected
	took    time.Duration       // how long the longest attempt of this kind took; 0 if unknown
	least   time.Duration       // how long the shortest address of the last attempt took; took if unknown
}

// A target is a network and an address as somebody wrote them.
type target struct{ network, address string }

// factsOf walks down from err as redial.Classify does, and notes what it passes.
func factsOf(err error, goos string) *facts {
	f := &facts{goos: goos, class: redial.Classify(err)}
	for next := err; !foreign.IsNil(next) && len(f.chain) < foreign.MaxDepth; {
		f.chain = append(f.chain, next)
		next = f.note(next)
	}
	if f.dial != nil {
		f.noteEnd()
		f.noteResults()
	}
	f.class = known(f.class)
	f.took = f.longest()
	f.least = f.took
	if literal := f.through; !f.remote.IsValid() && f.path == "" && !f.asked.isUnix() {
		if literal == "" && !f.isIndirect() {
			literal = f.asked.address
		}
		f.noteRemote("", literal)
	}
	f.useResults()
	return f
}

// ofAddress returns the facts of one address of a name.
func (f *facts) ofAddress(r redial.AddrResult) *facts {
	one := factsOf(r.Err, f.goos)
	one.class, one.took, one.least, one.reached = known(r.Class), r.Duration, r.Duration, r.Connected
	one.remote = r.Addr
	one.asked = target{f.asked.network, r.Addr.String()}
	one.results = nil
	return one
}

// known returns c, or Unknown if c is none of redial's classes.
func known(c redial.Class) redial.Class {
	if rules[c] == nil {
		return redial.Unknown
	}
	return c
}

// note notes what err itself says, and returns what it wraps.
func (f *facts) note(err error) error {
	if c := errno.Of(err); c != errno.Unknown {
		f.condition = c
	}
	switch e := err.(type) {
	case *redial.Error:
		f.noteDial(e)
		return e.Err
	case *url.Error:
		f.client = true
		f.noteURL(e.URL)
	case *net.OpError:
		f.noteOp(e)
	case *net.DNSError:
		if f.dns == nil {
			f.dns = e
		}
	case *redial.ProxyError:
		f.noteProxy(e)
	case *net.AddrError:
		f.badAddr = e
	case *os.SyscallError:
		f.call = plainCall(e.Syscall)
	case *os.PathError:
		f.call = e.Op
	}
	one, several := foreign.Unwrap(err)
	if one != nil {
		return one
	}
	return f.branch(several)
}

// noteDial notes a dial of redial's. The OpErrors around it are redial's own, or
// say that it was the dial to a proxy.
func (f *facts) noteDial(e *redial.Error) {
	if f.dial != nil {
		return // within another dial's attempt
	}
	f.dial = withoutCutOff(e)
	f.class = f.dial.Class
	if (f.proxy || f.socks) && f.asked.address != "" {
		f.through = e.Address
	} else {
		f.asked = target{e.Network, e.Address}
	}
	f.op, f.source, f.remote, f.path = nil, nil, netip.AddrPort{}, ""
}

// withoutCutOff returns e without the record of its last attempt if that attempt says
// nothing, because the end of the dial cut it off. In that case e has the class of the
// attempt before it.
func withoutCutOff(e *redial.Error) *redial.Error {
	n := len(e.History)
	if n < 2 || e.History[n-1].Class == e.Class || e.History[n-2].Class != e.Class {
		return e
	}
	told := *e
	told.History = e.History[:n-1]
	return &told
}

// noteEnd notes how redial's dial ended. A caller can give up between two attempts, and a
// dial can be over before its first; the failure's own class says neither.
func (f *facts) noteEnd() {
	switch {
	case f.dial.Stop == redial.ErrCanceled:
		f.class = redial.Canceled
	case f.dial.Attempts == 0 && f.dial.Stop.Timeout():
		f.class = redial.Timeout
	}
}

// noteResults notes the addresses that failed in the last attempt, without those that were
// called off. It notes none if one of them won, because what failed then came after.
func (f *facts) noteResults() {
	a := f.last()
	if a == nil {
		return
	}
	for _, r := range a.Addrs {
		f.reached = f.reached || r.Connected || r.Err == nil
		switch {
		case r.Err == nil:
			f.results = nil
			return
		case r.Class != redial.Canceled:
			r.Addr = netip.AddrPortFrom(r.Addr.Addr().Unmap(), r.Addr.Port()) // as it is written
			f.results = append(f.results, r)
		}
	}
}

// useResults drops the addresses if they say nothing about the failure. Otherwise it notes
// the first, and how long the addresses took.
func (f *facts) useResults() {
	if len(f.results) == 0 || !f.differ() && f.class != f.results[0].Class {
		f.results = nil
		return
	}
	f.reached = false
	f.least = f.results[0].Duration
	for _, r := range f.results {
		f.took, f.least, f.reached = max(f.took, r.Duration), min(f.least, r.Duration), f.reached || r.Connected
	}
	if !f.remote.IsValid() {
		f.remote = f.results[0].Addr
	}
}

// plainCall returns the POSIX name of a system call.
func plainCall(call string) string {
	switch call {
	case "connectex":
		return "connect"
	case "recvfrom", "recvmsg", "wsarecv", "wsarecvfrom":
		return "read"
	case "sendto", "sendmsg", "writev", "wsasend", "wsasendto":
		return "write"
	}
	return call
}

// branch returns the first of several errors that has the class of them all, or
// the first if none has.
func (f *facts) branch(errs []error) error {
	for _, err := range errs[:min(len(errs), foreign.MaxDepth)] {
		placed := err
		if f.op != nil { // what an errno means depends on where it happened
			op := *f.op
			op.Err = os.NewSyscallError(f.call, err)
			placed = &op
		}
		if !foreign.IsNil(err) && redial.Classify(placed) == f.class {
			return err
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

// noteOp notes an operation of package net. Each one within another is nearer
// to what was dialed in the end.
func (f *facts) noteOp(e *net.OpError) {
	switch {
	case strings.HasPrefix(e.Op, "socks"):
		// Of golang.org/x/net/proxy and net/http: Addr is what the proxy was to
		// connect to, and Source is the proxy.
		f.socks, f.op = true, e
		f.noteAsked(e.Net, e.Addr)
		f.noteRemote(e.Net, foreign.String(e.Source))
		return
	case e.Op == "proxyconnect": // net/http's
		f.proxy = true
	case f.asked.address == "":
		f.noteAsked(e.Net, e.Addr)
	case f.asked.network == "":
		f.asked.network = e.Net
	}
	f.op = e
	f.noteRemote(e.Net, foreign.String(e.Addr))
	if !foreign.IsNil(e.Source) {
		f.source = e.Source
	}
}

// noteProxy notes the answer of an HTTP proxy. What was asked for may be known already, as a URL.
func (f *facts) noteProxy(e *redial.ProxyError) {
	f.proxy, f.through, f.status = true, e.Proxy, e.StatusCode
	f.asked = target{"tcp", e.Target}
}

func (f *facts) noteAsked(network string, addr net.Addr) {
	if f.asked.network == "" {
		f.asked.network = network
	}
	if f.asked.address == "" {
		f.asked.address = foreign.String(addr)
	}
}

// noteRemote notes what was dialed, if that is a path, or an IP address.
func (f *facts) noteRemote(network, text string) {
	if strings.HasPrefix(network, "unix") {
		if text != "" {
			f.path, f.remote = text, netip.AddrPort{}
		}
		return
	}
	remote, err := netip.ParseAddrPort(text)
	if err != nil {
		ip, err := netip.ParseAddr(text) // a raw socket's
		if err != nil {
			return
		}
		remote = netip.AddrPortFrom(ip, 0)
	}
	f.path, f.remote = "", netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
}

// noteURL notes what a client was asked for, with the port of the scheme.
func (f *facts) noteURL(rawURL string) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || f.asked.address != "" {
		return
	}
	port := u.Port()
	if port == "" {
		port = plain.Port(u.Scheme)
	}
	if f.asked.address = u.Host; port != "" {
		f.asked.address = net.JoinHostPort(u.Hostname(), port)
	}
}

// find returns the first error of type E in the chain.
func find[E error](f *facts) (e E, ok bool) {
	for _, err := range f.chain {
		if e, ok = err.(E); ok {
			return e, true
		}
	}
	return e, false
}

// leaf returns the innermost error; nil if there is none.
func (f *facts) leaf() error {
	if len(f.chain) == 0 {
		return nil
	}
	return f.chain[len(f.chain)-1]
}

// last returns the record of the last attempt; nil if there is none.
func (f *facts) last() *redial.Attempt {
	if f.dial == nil || len(f.dial.History) == 0 {
		return nil
	}
	return &f.dial.History[len(f.dial.History)-1]
}

// longest returns how long the longest attempt that failed with the class took,
// without the look-up of its name unless that failed; 0 if that is unknown. An
// attempt that timed out before does not say how long an answer took.
func (f *facts) longest() (most time.Duration) {
	if f.dial == nil {
		return 0
	}
	for _, a := range f.dial.History {
		switch {
		case a.Class == redial.Timeout && f.class != redial.Timeout:
			return 0
		case a.Class == redial.DNS:
			most = max(most, a.Duration)
		case a.Class == f.class:
			most = max(most, a.Duration-a.Resolve)
		}
	}
	return most
}

// differ reports whether the addresses of the name failed in different ways.
func (f *facts) differ() bool {
	return slices.ContainsFunc(f.results, func(r redial.AddrResult) bool { return !failedAlike(r, f.results[0]) })
}

// failedAlike reports whether two addresses failed in the same way.
func failedAlike(a, b redial.AddrResult) bool {
	return a.Class == b.Class && a.Connected == b.Connected && factsOf(a.Err, "").condition == factsOf(b.Err, "").condition
}

// The rest are questions that rules ask.

func (f *facts) isUnix() bool    { return f.path != "" || f.asked.isUnix() && !f.remote.IsValid() }
func (f *facts) isIPv6() bool    { return f.remote.Addr().Is6() }
func (f *facts) isUnknown() bool { return f.address() == "" }
func (f *facts) isSeveral() bool { return len(f.results) > 1 }

func (f *facts) isUDP() bool {
	if f.op != nil && f.op.Net != "" {
		return strings.HasPrefix(f.op.Net, "udp")
	}
	return strings.HasPrefix(f.asked.network, "udp")
}

// isConnected reports whether the connection was made before it failed.
func (f *facts) isConnected() bool {
	if f.reached {
		return true
	}
	if f.op != nil && f.op.Op != "proxyconnect" && !strings.HasPrefix(f.op.Op, "socks") {
		return f.op.Op != "dial" && f.op.Op != ""
	}
	// An error of connecting comes in an OpError. A Verify or a client brings
	// others, from what it did with the connection.
	return (f.dial != nil || f.client) && f.condition == errno.Unknown && f.address() != ""
}

// isIndirect reports whether something else was dialed than was asked for: a
// proxy, or what a DialFunc leads through. A name can stand for any address, so
// a different port is needed there to tell.
func (f *facts) isIndirect() bool {
	if f.proxy || f.socks {
		return true
	}
	if a := f.last(); a != nil && len(a.Addrs) > 0 || f.asked.address == "" {
		return false
	}
	if f.path != "" || f.asked.isUnix() {
		return !f.asked.isUnix()
	}
	host, port, err := net.SplitHostPort(f.asked.address)
	if err != nil || !f.remote.IsValid() {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil && uint16(n) != f.remote.Port() {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && !ip.IsUnspecified() && ip.Unmap() != f.remote.Addr()
}

// address returns what was dialed in the end, as it was written if it is the
// same; empty if unknown.
func (f *facts) address() string {
	switch {
	case !f.isIndirect():
		return f.asked.hostPort()
	case f.path != "":
		return f.path
	case f.through != "":
		return f.through
	case f.remote.IsValid():
		return f.remote.String()
	}
	return ""
}

// host returns the name or address that was dialed, without the port.
func (f *facts) host() string { return target{"", f.address()}.host() }

// isName reports whether a name was dialed, rather than an IP address.
func (f *facts) isName() bool { return f.host() != "" && !parseIP(f.host()).IsValid() && !f.isUnix() }

// ip returns the address that was dialed, as text; empty if unknown.
func (f *facts) ip() string {
	if !f.remote.IsValid() {
		return ""
	}
	return f.remote.Addr().String()
}

// port returns the port that was dialed: a number, or the name of a service if
// no more is known; empty if unknown.
func (f *facts) port() string {
	if f.remote.Port() != 0 {
		return strconv.Itoa(int(f.remote.Port()))
	}
	_, port, _ := net.SplitHostPort(f.address())
	return port
}

// local returns the local address that the program asked for: the address, and
// its port unless the program left that to the system.
func (f *facts) local() (ip netip.Addr, port string) {
	addr, err := netip.ParseAddrPort(foreign.String(f.source))
	if err != nil {
		return netip.Addr{}, ""
	}
	if addr.Port() != 0 {
		port = strconv.Itoa(int(addr.Port()))
	}
	return addr.Addr(), port
}

// isLocal reports whether this machine was dialed. No address, as in ":80",
// and the unspecified ones lead to it too.
func (f *facts) isLocal() bool {
	if ip := f.remote.Addr(); ip.IsValid() {
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	return f.isLocalhost() || f.host() == "" && f.address() != ""
}

// name returns the name that was looked up.
func (f *facts) name() string {
	switch {
	case f.dns != nil && f.dns.Name != "":
		return f.dns.Name
	case f.dns == nil && f.badAddr != nil && f.badAddr.Addr != "":
		return f.badAddr.Addr
	}
	return f.host()
}

// server returns the IP address of the DNS server that was asked; not valid if unknown.
func (f *facts) server() netip.Addr {
	if f.dns == nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddrPort(f.dns.Server)
	return addr.Addr()
}

// unanswered returns the DNS queries of the last attempt that had no answer: "A", "AAAA" or
// "A and AAAA"; empty if all had one, or if it is not known.
func (f *facts) unanswered() string {
	if a := f.last(); a != nil {
		return a.Unanswered
	}
	return ""
}

// queryPhase returns at which step a query failed, and over which network: "dial udp",
// "write udp" or "read tcp"; empty if it was answered. Package net keeps only the text of
// the OpError, which begins with the operation and the network.
func (f *facts) queryPhase() string {
	if f.dns == nil {
		return ""
	}
	for _, phase := range []string{"dial", "write", "read"} {
		for _, network := range []string{"udp", "tcp"} {
			if strings.HasPrefix(f.dns.Err, phase+" "+network) {
				return phase + " " + network
			}
		}
	}
	return ""
}

// queryCondition returns what the system reported about a query. Package net
// keeps only the text, which ends with this system's own for the condition.
func (f *facts) queryCondition() errno.Condition {
	for c := errno.Unknown + 1; f.dns != nil && c < errno.NumConditions; c++ {
		if err := c.Err(); err != nil && strings.HasSuffix(f.dns.Err, ": "+err.Error()) {
			return c
		}
	}
	return errno.Unknown
}

// saysHandshake reports whether net/http says that the TLS handshake took too
// long. Its error has a type of its own, but no exported name.
func (f *facts) saysHandshake() bool {
	t := reflect.TypeOf(f.leaf())
	return t != nil && t.PkgPath() == "net/http" && strings.Contains(t.Name(), "Handshake")
}

func (t target) isUnix() bool { return strings.HasPrefix(t.network, "unix") }

// host returns the host of the target, without the port.
func (t target) host() string {
	address := t.hostPort()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// hostPort returns the address of the target. Of an address that a program gave to Do, such as a URL or
// a DSN with a user and a password, it returns the host and the port.
func (t target) hostPort() string {
	if t.isUnix() {
		return t.address
	}
	_, user, rest := userinfo.Cut(t.network, t.address)
	_, afterScheme, isURL := strings.Cut(rest, "://")
	switch {
	case user == "" && !isURL:
		return t.address
	case user == "":
		rest = afterScheme
	}
	rest, _, _ = strings.Cut(rest, "/")
	if _, inner, ok := strings.Cut(rest, "("); ok { // as in "user:password@tcp(host:3306)/db"
		rest = strings.TrimSuffix(inner, ")")
	}
	return rest
}

func (t target) String() string {
	if strings.Contains(t.address, "://") || t.isUnix() {
		return shown(userinfo.Hide(t.network, t.address))
	}
	host, port, err := net.SplitHostPort(t.address)
	if err != nil || len(host) <= longestShown || strings.Contains(host, ":") {
		return shown(userinfo.Hide("", t.address))
	}
	return shown(userinfo.Hide("", host)) + ":" + shown(port)
}

// parseIP returns the IP address that s is, without brackets; it is not valid
// if s is none.
func parseIP(s string) netip.Addr {
	ip, _ := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return ip
}

package explain

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/foreign"
)

// A failure is what an error says about the dial that it ended. The error can be
// net.Dialer's, a client's around that, or redial's, so any part may be missing.
type failure struct {
	goos string

	class     redial.Class
	chain     []error         // the error and what it wraps, down the branch that has the class
	dial      *redial.Error   // nil if it is not redial's
	op        *net.OpError    // the innermost one; nil if there is none
	call      string          // the system call that failed, without its variants
	condition errno.Condition // what the system reported
	client    bool            // it is a client's error about a URL

	asked   target         // what was to be dialed
	remote  netip.AddrPort // what was dialed in the end; not valid if unknown
	path    string         // the unix socket that was dialed in the end
	source  net.Addr       // what the socket was bound to; nil if unknown
	alike   []netip.Addr   // the addresses of the name that failed in the same way
	took    time.Duration  // how long the longest attempt of this kind took; 0 if unknown
	through string         // the proxy, as it was written; empty if unknown
	proxy   bool           // an HTTP proxy was dialed
	socks   bool           // a SOCKS proxy was dialed
}

// A target is a network and an address as somebody wrote them.
type target struct{ network, address string }

func (t target) String() string {
	if strings.Contains(t.address, "://") || t.isUnix() {
		return shown(withoutSecret(t.address))
	}
	host, port, err := net.SplitHostPort(t.address)
	if err != nil || len(host) <= longestShown || strings.Contains(host, ":") {
		return shown(withoutSecret(t.address))
	}
	return shown(withoutSecret(host)) + ":" + shown(port)
}

// Network is net.Addr's.
func (t target) Network() string { return t.network }

func (t target) isUnix() bool { return strings.HasPrefix(t.network, "unix") }

// withoutSecret returns an address without the user and password that it may
// have by mistake. An abstract unix socket begins with the same sign.
func withoutSecret(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i <= 0 {
		return address
	}
	scheme, _, ok := strings.Cut(address[:i], "://")
	if ok {
		return scheme + "://...@" + address[i+1:]
	}
	return "...@" + address[i+1:]
}

// newFailure walks down from err as redial.Classify does, and notes what it passes.
func newFailure(err error, goos string) *failure {
	f := &failure{goos: goos, class: redial.Classify(err)}
	for next := err; !foreign.IsNil(next) && len(f.chain) < foreign.MaxDepth; {
		f.chain = append(f.chain, next)
		next = f.note(next)
	}
	f.took = f.longest()
	if literal := f.through; !f.remote.IsValid() && f.path == "" && !f.asked.isUnix() {
		if literal == "" && !f.isIndirect() {
			literal = f.asked.address
		}
		f.noteRemote("", target{"", literal})
	}
	return f
}

// note notes what err itself says, and returns what it wraps.
func (f *failure) note(err error) error {
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
func (f *failure) noteDial(e *redial.Error) {
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
func (f *failure) branch(errs []error) error {
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
func (f *failure) noteOp(e *net.OpError) {
	switch {
	case strings.HasPrefix(e.Op, "socks"):
		// Of golang.org/x/net/proxy and net/http: Addr is what the proxy was to
		// connect to, and Source is the proxy.
		f.socks, f.op = true, e
		f.noteAsked(e.Net, e.Addr)
		f.noteRemote(e.Net, e.Source)
		return
	case e.Op == "proxyconnect": // net/http's
		f.proxy = true
	case f.asked.address == "":
		f.noteAsked(e.Net, e.Addr)
	case f.asked.network == "":
		f.asked.network = e.Net
	}
	f.op = e
	f.noteRemote(e.Net, e.Addr)
	if !foreign.IsNil(e.Source) {
		f.source = e.Source
	}
}

func (f *failure) noteAsked(network string, addr net.Addr) {
	if f.asked.network == "" {
		f.asked.network = network
	}
	if f.asked.address == "" {
		f.asked.address = foreign.String(addr)
	}
}

func (f *failure) noteRemote(network string, addr net.Addr) {
	if foreign.IsNil(addr) {
		return
	}
	text := foreign.String(addr)
	if strings.HasPrefix(network, "unix") {
		f.path, f.remote = text, netip.AddrPort{}
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
func (f *failure) noteURL(rawURL string) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || f.asked.address != "" {
		return
	}
	port := u.Port()
	if port == "" {
		port = portOfScheme[u.Scheme]
	}
	if f.asked.address = u.Host; port != "" {
		f.asked.address = net.JoinHostPort(u.Hostname(), port)
	}
}

// portOfScheme is the port of a URL that has none.
var portOfScheme = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "postgres": "5432", "postgresql": "5432",
	"redis": "6379", "rediss": "6379", "amqp": "5672", "amqps": "5671", "mysql": "3306", "mongodb": "27017", "nats": "4222", "ldap": "389", "ldaps": "636"}

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

// find returns the first error of type E in the chain.
func find[E error](f *failure) (e E, ok bool) {
	for _, err := range f.chain {
		if e, ok = err.(E); ok {
			return e, true
		}
	}
	return e, false
}

// leaf returns the innermost error; nil if there is none.
func (f *failure) leaf() error {
	if len(f.chain) == 0 {
		return nil
	}
	return f.chain[len(f.chain)-1]
}

// conditionOf returns what the system reported, according to err.
func conditionOf(err error) errno.Condition {
	return newFailure(err, "").condition
}

// last returns the record of the last attempt; nil if there is none.
func (f *failure) last() *redial.Attempt {
	if f.dial == nil || len(f.dial.History) == 0 {
		return nil
	}
	return &f.dial.History[len(f.dial.History)-1]
}

// longest returns how long the longest attempt that failed with the class took,
// without the look-up of its name unless that failed; 0 if that is unknown. An
// attempt that timed out before does not say how long an answer took.
func (f *failure) longest() (most time.Duration) {
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

// results returns the addresses that failed in the last attempt, without those
// that were called off. It returns none if one of them connected, because what
// failed then came after.
func (f *failure) results() []redial.AddrResult {
	a := f.last()
	if a == nil {
		return nil
	}
	var failed []redial.AddrResult
	for _, r := range a.Addrs {
		switch {
		case r.Err == nil:
			return nil
		case r.Class != redial.Canceled:
			r.Addr = netip.AddrPortFrom(r.Addr.Addr().Unmap(), r.Addr.Port()) // as it is written
			failed = append(failed, r)
		}
	}
	return failed
}

func (f *failure) isUnix() bool { return f.path != "" || f.asked.isUnix() && !f.remote.IsValid() }
func (f *failure) isIPv6() bool { return f.remote.Addr().Is6() }

func (f *failure) isUDP() bool {
	if f.op != nil && f.op.Net != "" {
		return strings.HasPrefix(f.op.Net, "udp")
	}
	return strings.HasPrefix(f.asked.network, "udp")
}

// connected reports whether the connection was made before it failed.
func (f *failure) connected() bool {
	if a := f.last(); a != nil && slices.ContainsFunc(a.Addrs, func(r redial.AddrResult) bool { return r.Err == nil }) {
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
func (f *failure) isIndirect() bool {
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
func (f *failure) address() string {
	switch {
	case !f.isIndirect():
		return f.asked.address
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
func (f *failure) host() string {
	address := f.address()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// isLiteral reports whether an IP address was dialed, rather than a name.
func (f *failure) isLiteral() bool {
	_, err := netip.ParseAddr(f.host())
	return err == nil
}

// ip returns the address that was dialed, as text; empty if unknown.
func (f *failure) ip() string {
	if !f.remote.IsValid() {
		return ""
	}
	return f.remote.Addr().String()
}

// port returns the port that was dialed: a number, or the name of a service if
// no more is known; empty if unknown.
func (f *failure) port() string {
	if f.remote.Port() != 0 {
		return strconv.Itoa(int(f.remote.Port()))
	}
	_, port, _ := net.SplitHostPort(f.address())
	return port
}

// isLocal reports whether this machine was dialed. No address, as in ":80",
// and the unspecified ones lead to it too.
func (f *failure) isLocal() bool {
	if ip := f.remote.Addr(); ip.IsValid() {
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	host := strings.ToLower(strings.TrimSuffix(f.host(), "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" && f.address() != ""
}

// where names what was dialed: as it was written, with the addresses that were
// tried if those say more, and what it was to lead to.
func (f *failure) where() string {
	if f.isIndirect() {
		return f.indirect()
	}
	where := f.asked.String()
	switch {
	case f.asked.address == "":
		where = "the target"
	case len(f.alike) > 1:
		names := make([]string, 0, 3)
		for _, ip := range f.alike[:min(len(f.alike), 2)] {
			names = append(names, ip.String())
		}
		if n := len(f.alike) - 2; n > 0 {
			names = append(names, strconv.Itoa(n)+" more")
		}
		where += " (" + list(names) + ")"
	case !f.isUnix() && f.remote.IsValid() && !f.isLiteral():
		where += " (" + f.ip() + ")"
	}
	return where
}

// indirect names what was dialed in place of what was asked for.
func (f *failure) indirect() string {
	through, leads := "", ""
	switch {
	case f.path != "":
		through = target{"unix", f.path}.String()
	case f.through != "":
		through = target{"", f.through}.String()
	case f.remote.IsValid():
		through = f.remote.String()
	}
	if f.asked.address != "" {
		leads = " to " + f.asked.String()
	}
	switch {
	case f.socks:
		return strings.TrimSuffix("the SOCKS proxy "+through, " ") + strings.Replace(leads, " to ", " on the way to ", 1)
	case f.proxy:
		return strings.TrimSuffix("the proxy "+through, " ") + strings.Replace(leads, " to ", " on the way to ", 1)
	}
	return through + " (dialed on the way" + leads + ")"
}

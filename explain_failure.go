package redial

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// A failure is what an error tells of the dial that it ended: as much of it as
// there is, for the error may be net.Dialer's, a client's around that, or ours.
type failure struct {
	commands
	goos string

	class     Class
	chain     []error // the error and what it wraps, down the branch that has the class
	dial      *Error  // ours; nil if it is not
	op        string  // what was being done, as the innermost *net.OpError has it
	innermost *net.OpError
	call      string  // the system call that failed
	trouble   trouble // what the system said of it

	network string         // as dialed; of the innermost *net.OpError without ours
	address string         // as dialed, or the nearest to that; empty if not known
	remote  netip.AddrPort // the address that was tried last; not valid if not known
	alike   []netip.Addr   // the addresses that came to the same, if there are several
	proxied bool           // it was a proxy that was dialed

	localPort string // of Dialer.LocalAddr; empty if it has none
}

// A trouble is what the system said, where the class alone leaves it open. It
// is the same on every system.
type trouble uint8

const (
	otherTrouble       trouble = iota
	nothingAccepts             // ECONNREFUSED
	noSuchFile                 // ENOENT
	queueFull                  // EAGAIN
	noRoute                    // ENETUNREACH
	noHost                     // EHOSTUNREACH
	linkDown                   // ENETDOWN
	noAccess                   // EACCES
	notPermitted               // EPERM
	processDescriptors         // EMFILE
	systemDescriptors          // ENFILE
	noMemory                   // ENOBUFS, ENOMEM
	noLocalAddress             // EADDRNOTAVAIL
	addressInUse               // EADDRINUSE
	noSuchFamily               // EAFNOSUPPORT
	wrongSocketType            // EPROTOTYPE
	badArgument                // EINVAL
	badPath                    // ENAMETOOLONG, ENOTDIR, ELOOP
)

// newFailure walks down from err as Classify does, and notes what it passes.
func newFailure(err error, goos string) *failure {
	f := &failure{goos: goos, commands: commandsOf(goos), class: Classify(err)}
	for next := err; next != nil && !isNilPointer(next); {
		f.chain = append(f.chain, next)
		next = f.note(next)
	}
	if f.class >= numClasses {
		f.class = Unknown
	}
	return f
}

// note notes what err itself tells, and returns what it wraps.
func (f *failure) note(err error) error {
	switch e := err.(type) {
	case *Error:
		if f.dial == nil {
			f.dial, f.network, f.address = withoutCutOff(e), e.Network, e.Address
		}
		return e.Err
	case *url.Error:
		f.noteURL(e.URL)
	case *net.OpError:
		f.noteOp(e)
	case *os.SyscallError:
		f.call = e.Syscall
	}
	if trouble := troubleOf(err); trouble != otherTrouble {
		f.trouble = trouble
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return e.Unwrap()
	case interface{ Unwrap() []error }:
		return f.branch(e.Unwrap())
	}
	return nil
}

// branch is the first of several errors that has the class of all, or the
// first if none has.
func (f *failure) branch(errs []error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return classify(err, place{f.innermost, f.call}) == f.class }); i >= 0 {
		return errs[i]
	}
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

func (f *failure) noteOp(e *net.OpError) {
	f.op, f.innermost = e.Op, e
	if e.Op == "proxyconnect" { // net/http's: what it was asked for was not dialed
		f.proxied, f.address = true, ""
	}
	if e.Net != "" {
		f.network = e.Net
	}
	if e.Source != nil && !isNilPointer(e.Source) {
		if _, port, err := net.SplitHostPort(e.Source.String()); err == nil && port != "0" {
			f.localPort = port
		}
	}
	if e.Addr == nil || isNilPointer(e.Addr) {
		return
	}
	address := e.Addr.String()
	if f.address == "" {
		f.address = address
	}
	if remote, err := netip.ParseAddrPort(address); err == nil {
		f.remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	} else if ip, err := netip.ParseAddr(address); err == nil {
		f.remote = netip.AddrPortFrom(ip, 0) // a raw socket's
	}
}

// noteURL notes what a client was asked for, with the port of its scheme.
func (f *failure) noteURL(rawURL string) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || f.address != "" {
		return
	}
	port := u.Port()
	if port == "" {
		port = portOfScheme[u.Scheme]
	}
	if f.address = u.Host; port != "" {
		f.address = net.JoinHostPort(u.Hostname(), port)
	}
}

// of is what the failure would be if there were but that one address.
func (f *failure) of(r AddrResult) *failure {
	one := newFailure(r.Err, f.goos)
	if one.class = r.Class; one.class >= numClasses {
		one.class = Unknown
	}
	one.remote, one.address = r.Addr, r.Addr.String()
	if one.network == "" {
		one.network = f.network
	}
	return one
}

// find returns the first error of that type in the chain.
func find[E error](f *failure) (e E, ok bool) {
	for _, err := range f.chain {
		if e, ok = err.(E); ok {
			return e, true
		}
	}
	return e, false
}

// withoutCutOff returns e without the record of its last attempt if that tells
// nothing, because the end of the dial cut it off: e has the class of another then.
func withoutCutOff(e *Error) *Error {
	n := len(e.History)
	if n < 2 || e.History[n-1].Class == e.Class || e.History[n-2].Class != e.Class {
		return e
	}
	told := *e
	told.History = e.History[:n-1]
	return &told
}

// last returns the last attempt's record, or nil if there is none.
func (f *failure) last() *Attempt {
	if f.dial == nil || len(f.dial.History) == 0 {
		return nil
	}
	return &f.dial.History[len(f.dial.History)-1]
}

// results are those of the addresses that failed in the last attempt, but for
// those that were called off. There are none if one of them connected: what
// failed then came after.
func (f *failure) results() []AddrResult {
	a := f.last()
	if a == nil {
		return nil
	}
	var failed []AddrResult
	for _, r := range a.Addrs {
		switch {
		case r.Err == nil:
			return nil
		case r.Class != Canceled:
			r.Addr = netip.AddrPortFrom(r.Addr.Addr().Unmap(), r.Addr.Port()) // as it is written
			failed = append(failed, r)
		}
	}
	return failed
}

func (f *failure) isUnix() bool { return strings.HasPrefix(f.network, "unix") }
func (f *failure) isUDP() bool  { return strings.HasPrefix(f.network, "udp") }
func (f *failure) isIPv6() bool { return f.remote.Addr().Is6() }

// connected tells whether it failed at what came after connect.
func (f *failure) connected() bool {
	if a := f.last(); a != nil && slices.ContainsFunc(a.Addrs, func(r AddrResult) bool { return r.Err == nil }) {
		return true
	}
	return f.op == "read" || f.op == "write"
}

// host is the name or address that was dialed, without the port.
func (f *failure) host() string {
	if host, _, err := net.SplitHostPort(f.address); err == nil {
		return host
	}
	return f.address
}

// ip is the address that was tried, as text; empty if it is not known.
func (f *failure) ip() string {
	if !f.remote.IsValid() {
		return ""
	}
	return f.remote.Addr().String()
}

// port is the one that was dialed: a number, or a service's name if no more
// is known; empty if not that.
func (f *failure) port() string {
	if f.remote.Port() != 0 {
		_, port, _ := net.SplitHostPort(f.remote.String())
		return port
	}
	_, port, _ := net.SplitHostPort(f.address)
	return port
}

// isLocal tells whether it is this machine that was dialed: no address, as in
// ":80", and the unspecified ones are connected to it too.
func (f *failure) isLocal() bool {
	if ip := f.remote.Addr(); ip.IsValid() {
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	host := strings.ToLower(strings.TrimSuffix(f.host(), "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" && f.address != ""
}

// where names the target: as it was dialed, and by the addresses that were
// tried if those say more.
func (f *failure) where() string {
	where := f.address
	switch {
	case where == "":
		where = "the target"
	case len(f.alike) > 1:
		where += " (" + named(f.alike) + ")"
	case !f.isUnix() && f.remote.IsValid() && !sameHost(f.host(), f.remote.Addr()):
		where += " (" + f.ip() + ")"
	}
	if f.proxied {
		return "the proxy " + where
	}
	return where
}

// sameHost tells whether host is ip, however it is written.
func sameHost(host string, ip netip.Addr) bool {
	parsed, err := netip.ParseAddr(host)
	return err == nil && parsed == ip
}

// named has at most four of them by name.
func named[T interface{ String() string }](all []T) string {
	const most = 4
	var names []string
	for _, one := range all[:min(len(all), most)] {
		names = append(names, one.String())
	}
	switch {
	case len(all) > most:
		return strings.Join(names, ", ") + " and others"
	case len(all) < 2:
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

package redial

import (
	"net"
	"net/netip"
	"strings"
)

// The advice on names: those that do not exist, and those of which nobody
// could tell. Neither says anything of the server that was to be dialed.

func explainNotFound(f *failure) advice {
	name, asked := f.name()
	if ip, err := netip.ParseAddr(name); err == nil {
		return advice{ip.String() + " is no address of the family that the network " + f.network + " is of", []string{
			"Right is tcp (udp, ip) without a number, which takes either family.",
			"Is Dialer.LocalAddr of the other family?",
		}}
	}
	if family, ok := f.lacksFamily(); ok {
		return advice{"No " + family + " address is known of " + name + asked, []string{
			see("Has it addresses of the other family only? Then dial by "+strings.TrimRight(f.network, "46")+", which takes either.", f.resolve, name),
			"Is it spelt right?",
			"Is the record of that family (A for IPv4, AAAA for IPv6) not created yet?",
		}}
	}
	a := advice{what: "No host of the name " + name + " exists" + asked}
	a.checks = append(a.checks, see("Is it spelt right?", f.resolve, name))
	if short := strings.TrimSuffix(name, "."); !strings.Contains(short, ".") {
		a.checks = append(a.checks,
			see("Does it lack its domain? A short name is looked up in those of the search list.", f.resolvers),
			"Is it a container's or a service's? Those names are known in its own network or namespace only, once it has started.")
	} else {
		a.checks = append(a.checks,
			see("Is it known to another DNS server only (VPN, company network, cluster)?", f.resolvers))
	}
	a.checks = append(a.checks,
		"Is the record not created yet, or new? A \"no\" is remembered for some minutes. To wait for it, put NotFound in the Policy.")
	return a
}

// lacksFamily is the family that no address was found of, where one was asked
// for. The resolver does not tell whether the name has others.
func (f *failure) lacksFamily() (string, bool) {
	switch {
	case strings.HasSuffix(f.network, "4"):
		return "IPv4", true
	case strings.HasSuffix(f.network, "6"):
		return "IPv6", true
	}
	return "", false
}

// name is the name that was looked up, and which DNS server told, if it was
// one.
func (f *failure) name() (name, asked string) {
	name = f.host()
	if e, ok := find[*net.DNSError](f); ok {
		if e.Name != "" {
			name = e.Name
		}
		if e.Server != "" {
			asked = ", says the DNS server " + e.Server
		}
	} else if e, ok := find[*net.AddrError](f); ok && e.Addr != "" {
		name = e.Addr
	}
	if name == "" {
		name = "the target"
	}
	return name, asked
}

func explainDNS(f *failure) advice {
	name, _ := f.name()
	e, ok := find[*net.DNSError](f)
	if !ok {
		e = &net.DNSError{}
	}
	server := "the DNS server"
	if e.Server != "" {
		server += " " + e.Server
	}
	how := " failed"
	switch {
	case e.IsTimeout:
		how = " did not answer in time"
	case e.Err != "":
		how = " failed (" + e.Err + ")"
	}
	return advice{
		"The address of " + name + " could not be found out, for " + server + how + ": the host itself was not dialed",
		[]string{
			see("Is the DNS server up, and does it answer this machine?", f.query, queryable(e.Server), strings.TrimSuffix(name, ".")),
			see("Is it the right one (VPN, container, another network since)?", f.resolvers),
			"Does a firewall block port 53? Both UDP and TCP are needed.",
			"Does it answer for other names? If so, the servers of this one's domain fail, or its DNSSEC is broken.",
		},
	}
}

// queryable is the host of a DNS server's address, if it has the usual port;
// empty otherwise.
func queryable(server string) string {
	addr, err := netip.ParseAddrPort(server)
	if err != nil || addr.Port() != 53 {
		return ""
	}
	return addr.Addr().String()
}

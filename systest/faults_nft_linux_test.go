package systest_test

// These faults are rules of a firewall, made by nft(8) in a namespace. Without a firewall's ICMP
// message, a dial learns nothing.

import (
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// nftChains counts the chains that addRule has made in this process.
var nftChains atomic.Int32

// skipWithoutFirewall skips t if a firewall's rules can't be made here.
func skipWithoutFirewall(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skipf("there is no nft command: %v; install it: apt-get install nftables", err)
	}
	if output, err := nft("add table inet faults"); err != nil {
		t.Skipf("the kernel has no nf_tables: %v: %s", err, output)
	}
}

// addRule adds a rule, with nft's syntax, to the packets that this machine sends. A rule that
// begins with "input" counts for the packets that it receives. The caller may call remove to remove
// the rule.
func addRule(t *testing.T, rule string) (remove func()) {
	t.Helper()
	hook := "output"
	if rest, ok := strings.CutPrefix(rule, "input "); ok {
		hook, rule = "input", rest
	}
	chain := fmt.Sprint("inet faults c", nftChains.Add(1))
	output, err := nft("add table inet faults\n" +
		"add chain " + chain + " { type filter hook " + hook + " priority 0; }\n" +
		"add rule " + chain + " " + rule)
	require.NoErrorf(t, err, "add rule %q: %s", rule, output)
	return func() {
		t.Helper()
		output, err := nft("flush chain " + chain)
		require.NoErrorf(t, err, "remove rule %q: %s", rule, output)
	}
}

func nft(script string) (output []byte, err error) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	return cmd.CombinedOutput()
}

var firewallFaults = []fault{
	// Without an answer, an attempt ends by its Timeout.
	firewallFault("", redial.Timeout, "firewall drops the SYN", nil, "TO drop"),
	firewallFault("", redial.Timeout, "firewall drops the SYN-ACK", nil, "input FROM tcp flags & (syn | ack) == (syn | ack) drop"),
	firewallFault("", redial.Timeout, "firewall drops all but the handshake", nil, "TO tcp flags & psh == psh drop"),

	firewallFault("", redial.Refused, "firewall rejects with tcp reset", syscall.ECONNREFUSED, "TO reject with tcp reset"),
	firewallFault("", redial.Reset, "firewall resets after the handshake", syscall.ECONNRESET, "TO tcp flags & psh == psh reject with tcp reset"),

	rejectFault(ipv4, redial.Unreachable, "icmp net-unreachable", syscall.ENETUNREACH),
	rejectFault(ipv4, redial.Unreachable, "icmp host-unreachable", syscall.EHOSTUNREACH),
	rejectFault(ipv4, redial.Unreachable, "icmp prot-unreachable", syscall.ENOPROTOOPT),
	rejectFault(ipv4, redial.Refused, "icmp port-unreachable", syscall.ECONNREFUSED),
	rejectFault(ipv4, redial.Unreachable, "icmp net-prohibited", syscall.ENETUNREACH),
	rejectFault(ipv4, redial.Unreachable, "icmp host-prohibited", syscall.EHOSTUNREACH),
	rejectFault(ipv4, redial.Unreachable, "icmp admin-prohibited", syscall.EHOSTUNREACH),

	rejectFault(ipv6, redial.Unreachable, "icmpv6 no-route", syscall.ENETUNREACH),
	rejectFault(ipv6, redial.Denied, "icmpv6 admin-prohibited", syscall.EACCES),
	rejectFault(ipv6, redial.Unreachable, "icmpv6 addr-unreachable", syscall.EHOSTUNREACH),
	rejectFault(ipv6, redial.Refused, "icmpv6 port-unreachable", syscall.ECONNREFUSED),
	rejectFault(ipv6, redial.Denied, "icmpv6 policy-fail", syscall.EACCES),
	rejectFault(ipv6, redial.Denied, "icmpv6 reject-route", syscall.EACCES),
}

// rejectFault returns a fault of a firewall that rejects the SYN with an ICMP message. On IPv6, the
// message comes while the kernel still sends the SYN. The kernel then only notes the message, and
// sends another SYN after 1 s.
func rejectFault(only family, class redial.Class, message string, errno error) fault {
	return firewallFault(only, class, "firewall rejects with "+message, errno, "TO reject with "+strings.Replace(message, " ", " type ", 1))
}

// firewallFault returns a fault of a firewall with a rule. In the rule, TO and FROM match the
// packets to the target, and those from the target.
func firewallFault(only family, class redial.Class, cause string, errno error, rule string) fault {
	return fault{class: class, cause: cause, errno: errno, only: only, begin: func(t *testing.T, d *faultyDial) func() {
		d.Verify = echoes
		if class == redial.Timeout {
			d.Timeout = silent
		}
		ip := "ip"
		if d.ip.Is6() {
			ip = "ip6"
		}
		return addRule(t, strings.NewReplacer(
			"TO", fmt.Sprintf("%s daddr %v tcp dport %s", ip, d.ip, targetPort),
			"FROM", fmt.Sprintf("%s saddr %v tcp sport %s", ip, d.ip, targetPort)).Replace(rule))
	}}
}

func TestFaultFirewall(t *testing.T) {
	testNetworkFaults(t, skipWithoutFirewall, firewallFaults)
}

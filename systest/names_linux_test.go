package systest_test

// These tests dial names in situations of real life: packets that are lost, name servers that are silent,
// search lists, records that go away. Each resolver configuration has a namespace, in which Go's resolver
// and the C library's ask real name servers. net.Dialer dials the same kind of name at the same time: a
// program that has redial in the place of net.Dialer must not wait longer, nor fail where it connected.

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A nameCase is a situation of a name that is dialed.
type nameCase struct {
	title   string
	network string        // empty: tcp
	host    string        // the same for both dialers; empty: the case has names of its own
	answer  dnstest.Reply // to all queries, if decide is nil
	decide  func(nameQuery) dnstest.Reply
	local   string        // the IP address to dial from; empty: any
	timeout time.Duration // redial's, for each attempt; 0: the default. net.Dialer has none
	gate    bool          // redial's dials share a Gate
	once    bool          // redial makes one attempt
	dials   int           // at once; 0: one
	oneName bool          // all dials dial the same name
	only    string        // the resolver; empty: both

	// What is expected.
	fails  redial.Class  // of the last failure; 0: redial connects
	within time.Duration // each dial of redial ends within this time; 0: not checked. Only for Go's resolver
	late   int           // but for so many
	slower bool          // than net.Dialer, because redial asks again
	prompt bool          // a server answers all its queries soon: redial asks it no more than net.Dialer does, and reaches the same host
}

// A nameQuery is a query of one dial.
type nameQuery struct {
	dnstest.Query
	n     int           // how often the same question was asked before
	since time.Duration // the first query for the dial's name
}

// A nameWorld is a configuration of the resolver.
type nameWorld struct {
	conf   string   // of resolv.conf; the server that answers is 127.0.0.1
	domain string   // of the names, with its dot; may be empty
	silent []string // addresses of name servers that are silent
	cases  []nameCase
}

var (
	local4   = dnstest.Addrs("127.0.0.1")
	local6   = dnstest.Addrs("::1")
	bothKind = dnstest.Addrs("127.0.0.1", "::1")
	noRoute  = dnstest.Addrs(noRoute6)
)

// byKind answers the queries for A and AAAA in different ways.
func byKind(a, aaaa func(n int) dnstest.Reply) func(nameQuery) dnstest.Reply {
	return func(q nameQuery) dnstest.Reply {
		if q.Kind == "A" {
			return a(q.n)
		}
		return aaaa(q.n)
	}
}

func always(r dnstest.Reply) func(int) dnstest.Reply { return func(int) dnstest.Reply { return r } }

// after answers first the first n times, and then then.
func after(n int, first, then dnstest.Reply) func(int) dnstest.Reply {
	return func(i int) dnstest.Reply {
		if i < n {
			return first
		}
		return then
	}
}

var lost = always(dnstest.Silence)

func TestNames(t *testing.T) {
	testNames(t, oneServer(slices.Concat(promptNames, lostNames, movingNames)))
}

// TestNamesLossy needs a network namespace for each case, because a case keeps the machine busy.
func TestNamesLossy(t *testing.T) {
	t.Parallel()
	for _, c := range lossyNames {
		t.Run(c.title, func(t *testing.T) { testNames(t, oneServer([]nameCase{c})) })
	}
}

// patience is how long net.Dialer's resolver waits for each answer: longer than the slowest answer of a case takes, and less
// than the default, because the tests wait for net.Dialer.
const patience = "options timeout:2\n"

func oneServer(cases []nameCase) nameWorld {
	return nameWorld{conf: "nameserver 127.0.0.1\n" + patience, domain: ".test", cases: cases}
}

// promptNames are answered at once, or nearly so.
var promptNames = []nameCase{
	{title: "both families", answer: bothKind, within: time.Second, prompt: true},
	{title: "answers after 100 ms", answer: bothKind.After(100 * time.Millisecond), within: time.Second, prompt: true},
	{title: "only IPv4", answer: local4, within: time.Second, prompt: true},
	{title: "only IPv6", answer: local6, within: time.Second, prompt: true},
	{title: "only IPv4, by UDP", network: "udp", answer: local4, within: time.Second, prompt: true},
	{title: "a LocalAddr", answer: bothKind, local: "127.0.0.1", within: time.Second, prompt: true},
	{title: "one name dialed by 20", answer: bothKind.After(100 * time.Millisecond), dials: 20, oneName: true, within: time.Second, prompt: true},
	{title: "no such name", answer: dnstest.NoSuchName, fails: redial.NotFound, within: time.Second, prompt: true},
	{title: "no address", answer: dnstest.NoData, fails: redial.NotFound, within: time.Second, prompt: true},
	{title: "in the hosts file", host: "hosts.test", answer: dnstest.Silence, within: time.Second},
	{title: "in the hosts file with IPv4 only", host: "hosts4.test", answer: dnstest.Silence, within: time.Second},
	{title: "in the hosts file with IPv6 only", host: "hosts6.test", answer: dnstest.Silence, within: time.Second},
	{title: "truncated, so asked over TCP", decide: func(q nameQuery) dnstest.Reply {
		if q.Network == "udp" {
			return dnstest.Truncated
		}
		return bothKind
	}, within: time.Second, prompt: true},
}

// lostNames have answers that are lost or late.
var lostNames = []nameCase{
	{title: "AAAA lost", decide: byKind(always(local4), lost), within: 1500 * time.Millisecond},
	{title: "AAAA lost, Timeout 3 s", decide: byKind(always(local4), lost), timeout: 3 * time.Second, within: 1500 * time.Millisecond},
	{title: "AAAA lost, by UDP", network: "udp", decide: byKind(always(local4), lost), within: 1500 * time.Millisecond},
	{title: "AAAA lost, from a LocalAddr", local: "127.0.0.1", decide: byKind(always(local4), lost), within: 1500 * time.Millisecond},
	{title: "AAAA lost, but not asked for", network: "tcp4", decide: byKind(always(local4), lost), within: time.Second, prompt: true},
	{title: "A lost", only: "go", decide: byKind(lost, always(local6)), within: 1500 * time.Millisecond},
	{title: "A lost, but not asked for", network: "tcp6", decide: byKind(lost, always(local6)), within: time.Second, prompt: true},
	{title: "AAAA late by 1.7 s", decide: byKind(always(local4), always(local6.After(1700*time.Millisecond))), within: 1500 * time.Millisecond},
	{title: "AAAA late by 1.7 s, Timeout 1 s", decide: byKind(always(local4), always(local6.After(1700*time.Millisecond))), timeout: time.Second, within: 2 * time.Second},
	{title: "A late by 1.7 s", decide: byKind(always(local4.After(1700*time.Millisecond)), always(local6)), within: 1500 * time.Millisecond},
	{title: "A late by 1.5 s, AAAA of no use to the LocalAddr", local: "127.0.0.1",
		decide: byKind(always(local4.After(1500*time.Millisecond)), always(local6)), within: 2 * time.Second},
	{title: "A late by 1.7 s, AAAA without a route", decide: byKind(always(local4.After(1700*time.Millisecond)), always(noRoute)),
		within: 3500 * time.Millisecond, slower: true},
	{title: "A late by 1.7 s, AAAA without a route, one attempt", once: true,
		decide: byKind(always(local4.After(1700*time.Millisecond)), always(noRoute)), within: 3500 * time.Millisecond, slower: true},
	{title: "A lost, AAAA refused, one attempt", once: true, timeout: 3 * time.Second, only: "go", decide: byKind(lost, always(dnstest.Addrs("::2"))), fails: redial.Refused},
	{title: "A late by 1.7 s, no AAAA", decide: byKind(always(local4.After(1700*time.Millisecond)), always(dnstest.NoData)), within: 2200 * time.Millisecond},
	{title: "A lost twice, no AAAA", only: "go", decide: byKind(after(2, dnstest.Silence, local4), always(dnstest.NoData)), within: 1500 * time.Millisecond},
	{title: "AAAA lost twice, no A", only: "go", decide: byKind(always(dnstest.NoData), after(2, dnstest.Silence, local6)), within: 1500 * time.Millisecond},
	{title: "AAAA lost once, then A for good", only: "go", decide: byKind(lost, after(1, dnstest.Silence, local6)), within: 2 * time.Second},
	{title: "A lost once, then AAAA for good", only: "go", decide: byKind(after(1, dnstest.Silence, local4), lost), within: 2 * time.Second},
	{title: "A and AAAA lost once", decide: byKind(after(1, dnstest.Silence, local4), after(1, dnstest.Silence, local6)), within: time.Second},
	{title: "AAAA of no such name", decide: byKind(always(local4), always(dnstest.NoSuchName)), within: time.Second, prompt: true},
	{title: "AAAA REFUSED", decide: byKind(always(local4), always(dnstest.Refused)), within: time.Second, prompt: true},
	{title: "AAAA SERVFAIL for good", decide: byKind(always(local4), always(dnstest.ServFail)), within: time.Second, prompt: true},
	{title: "truncated, and TCP is silent for A", only: "go", decide: func(q nameQuery) dnstest.Reply {
		switch {
		case q.Kind == "AAAA":
			return local6
		case q.Network == "udp":
			return dnstest.Truncated
		}
		return dnstest.Silence
	}, within: 1500 * time.Millisecond},
	{title: "all answers after 1.7 s, Timeout 1 s", answer: bothKind.After(1700 * time.Millisecond), timeout: time.Second, within: 2200 * time.Millisecond},
}

// lossyNames lose packets at random.
var lossyNames = []nameCase{
	{title: "a third of the queries lost, Timeout 2 s", only: "go", decide: lossy(false), timeout: 2 * time.Second, dials: 120,
		within: 1500 * time.Millisecond, late: 9},
	{title: "a third of the queries and answers lost, Timeout 2 s", only: "go", decide: lossy(true), timeout: 2 * time.Second, dials: 120,
		within: 1500 * time.Millisecond, late: 30},
}

// lossy returns a function that loses a third of the queries and, if answers is true, a third of the
// answers. It decides by a hash, so that the same packets are lost in each run.
func lossy(answers bool) func(nameQuery) dnstest.Reply {
	return func(q nameQuery) dnstest.Reply {
		for _, packet := range []string{"query", "answer"} {
			h := fnv.New64a()
			fmt.Fprint(h, packet, q.Name, q.Kind, q.n)
			if h.Sum64()>>20%3 == 0 && (packet == "query" || answers) {
				return dnstest.Silence
			}
		}
		return bothKind
	}
}

// movingNames have records that lead nowhere for a while, or first.
var movingNames = []nameCase{
	{title: "pod restarts", decide: restarting, within: 6 * time.Second},
	{title: "pod restarts, 20 dials at a Gate", decide: restarting, gate: true, dials: 20, oneName: true, within: 6 * time.Second},
	{title: "only the last of 70 addresses listens", answer: dnstest.Addrs(manyAddresses(70)...), within: 1500 * time.Millisecond},
}

// restarting answers as the DNS server of a cluster does while a pod restarts: with the old address, which
// refuses, then with no record for 2 s, then with the new address.
func restarting(q nameQuery) dnstest.Reply {
	switch {
	case q.since < time.Second:
		return dnstest.Addrs("127.0.0.8")
	case q.since < 3*time.Second:
		return dnstest.NoSuchName
	}
	return dnstest.Addrs("127.0.0.9")
}

// manyAddresses returns n addresses. Only the last one listens.
func manyAddresses(n int) (all []string) {
	for i := range n {
		all = append(all, "127.0.1."+strconv.Itoa(i+1))
	}
	return all
}

const searchList = "search app.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5"

// A short name exists in the first domain of a search list, as that of a service in Kubernetes does.
func TestNamesWithSearchList(t *testing.T) {
	inFirst := func(decide func(nameQuery) dnstest.Reply) func(nameQuery) dnstest.Reply {
		return func(q nameQuery) dnstest.Reply {
			if strings.HasSuffix(q.Name, ".app.svc.cluster.local") {
				return decide(q)
			}
			return dnstest.NoSuchName
		}
	}
	twice := func(r dnstest.Reply) func(nameQuery) dnstest.Reply {
		return inFirst(byKind(after(2, r, local4), after(2, r, local6)))
	}
	inTwo := func(firstA dnstest.Reply) func(nameQuery) dnstest.Reply {
		return func(q nameQuery) dnstest.Reply {
			if strings.HasSuffix(q.Name, ".app.svc.cluster.local") {
				return byKind(always(firstA), always(local6))(q)
			}
			return byKind(always(dnstest.Addrs("127.0.0.9")), always(dnstest.NoData))(q)
		}
	}
	testNames(t, nameWorld{conf: "nameserver 127.0.0.1\n" + searchList + " timeout:1 attempts:2\n", cases: []nameCase{
		{title: "found", decide: twice(bothKind), within: time.Second, prompt: true},
		{title: "SERVFAIL", only: "go", decide: twice(dnstest.ServFail), within: 3 * time.Second},
		{title: "SERVFAIL for A, no AAAA", only: "go", decide: inFirst(byKind(after(2, dnstest.ServFail, local4), always(dnstest.NoData))), within: 3 * time.Second},
		{title: "REFUSED", only: "go", decide: twice(dnstest.Refused), within: 3 * time.Second},
		{title: "nothing", only: "go", decide: inFirst(byKind(after(6, dnstest.Silence, local4), after(6, dnstest.Silence, local6))), within: 6 * time.Second},
		{title: "nothing for A, no AAAA", only: "go", decide: inFirst(byKind(after(6, dnstest.Silence, local4), always(dnstest.NoData))), within: 6 * time.Second},
		{title: "SERVFAIL, dialed by 20", only: "go", decide: twice(dnstest.ServFail), dials: 20, oneName: true, within: 3 * time.Second},
		{title: "AAAA in the first domain, A in the second", decide: inTwo(dnstest.NoData), within: time.Second, prompt: true},
		{title: "AAAA in the first domain, A lost there", only: "go", decide: inTwo(dnstest.Silence), within: 2500 * time.Millisecond},
		{title: "AAAA lost", decide: inFirst(byKind(always(local4), lost)), within: 1500 * time.Millisecond},
		{title: "misspelt", answer: dnstest.NoSuchName, fails: redial.NotFound, within: time.Second, prompt: true},
		{title: "misspelt, and a domain of the list is broken", only: "go", decide: inFirst(func(nameQuery) dnstest.Reply { return dnstest.ServFail }),
			fails: redial.NotFound, within: 3 * time.Second},
	}})
}

// With single-request, Go's resolver asks for AAAA when it has the answer to A.
func TestNamesSingleRequest(t *testing.T) {
	testNames(t, nameWorld{conf: "nameserver 127.0.0.1\noptions single-request timeout:2 attempts:1\n", domain: ".test", cases: []nameCase{
		{title: "both families", answer: bothKind.After(100 * time.Millisecond), within: time.Second, prompt: true},
		{title: "AAAA lost", decide: byKind(always(local4), lost), within: 1500 * time.Millisecond},
		{title: "A lost", only: "go", decide: byKind(lost, always(local6)), within: 3 * time.Second},
	}})
}

func TestNamesFirstServerSilent(t *testing.T) {
	testNames(t, nameWorld{conf: "nameserver 127.0.0.2\nnameserver 127.0.0.1\n", domain: ".test", silent: []string{"127.0.0.2"}, cases: []nameCase{
		{title: "default", answer: bothKind, within: 6 * time.Second, prompt: true},
		{title: "Timeout 3 s", answer: bothKind, timeout: 3 * time.Second, within: 6 * time.Second, prompt: true},
	}})
}

func TestNamesTwoServersSilent(t *testing.T) {
	testNames(t, nameWorld{
		conf:   "nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.1\noptions timeout:2\n",
		domain: ".test",
		silent: []string{"127.0.0.2", "127.0.0.3"},
		// An attempt ends at the very time when the third server is asked, as it does by default (5 s and 10 s). By then, one
		// family may have come and the other not, so there is only one.
		cases: []nameCase{{title: "Timeout as long as the silence", answer: local4, timeout: 4 * time.Second, within: 5 * time.Second, prompt: true}},
	})
}

func TestNamesFirstServerSilentWithSearchList(t *testing.T) {
	testNames(t, nameWorld{
		conf:   "nameserver 127.0.0.2\nnameserver 127.0.0.1\n" + searchList + " timeout:1\n",
		domain: ".example.com",
		silent: []string{"127.0.0.2"},
		cases: []nameCase{{title: "Timeout shorter than the look-up", decide: func(q nameQuery) dnstest.Reply {
			if strings.HasSuffix(q.Name, ".local") {
				return dnstest.NoSuchName
			}
			return bothKind
		}, timeout: 2500 * time.Millisecond, within: 5 * time.Second, prompt: true}},
	})
}

// testNames tests the cases of a world, all at once, with each resolver.
func testNames(t *testing.T, w nameWorld) {
	eachResolver(t, nil, func(t *testing.T, resolver string) {
		skipWithoutIPv6(t)
		writeEtc(t, "resolv.conf", w.conf)
		writeEtc(t, "hosts", "127.0.0.1 hosts.test\n::1 hosts.test\n127.0.0.1 hosts4.test\n::1 hosts6.test\n")
		for _, silent := range w.silent {
			dnstest.Start(t, silent+":53").Decide(func(dnstest.Query) dnstest.Reply { return dnstest.Silence })
		}
		s := &nameServer{world: w, seen: map[string]int{}, asked: map[string]int{}, since: map[string]time.Time{}}
		dnstest.Start(t, dnsPort53).Decide(s.reply)
		listenBoth(t)
		addAddress(t, "::2/128")
		for _, host := range []string{"127.0.0.9", "127.0.1.70"} {
			testutil.Listen(t, "tcp", net.JoinHostPort(host, targetPort), testutil.Echo)
		}
		for i, c := range w.cases {
			if c.only != "" && c.only != resolver {
				continue
			}
			t.Run(c.title, func(t *testing.T) {
				t.Parallel()
				c.test(t, s, i, resolver)
			})
		}
	})
}

// A nameServer answers the queries of a world, and counts them.
type nameServer struct {
	world nameWorld

	mu    sync.Mutex
	seen  map[string]int       // by question
	asked map[string]int       // by dialer and case
	since map[string]time.Time // by name
}

// labelOf returns the first label of the name for a dial of case i. It says who dials.
func labelOf(who string, i, dial int) string { return fmt.Sprintf("%s-%d-%d", who, i, dial) }

func (s *nameServer) reply(q dnstest.Query) dnstest.Reply {
	label, _, _ := strings.Cut(q.Name, ".")
	parts := strings.Split(label, "-")
	if len(parts) != 3 {
		return dnstest.Silence
	}
	i, _ := strconv.Atoi(parts[1])
	s.mu.Lock()
	first, ok := s.since[label]
	if !ok {
		first = time.Now()
		s.since[label] = first
	}
	question := fmt.Sprint(q)
	more := nameQuery{q, s.seen[question], time.Since(first)}
	s.seen[question]++
	s.asked[parts[0]+parts[1]]++
	s.mu.Unlock()
	c := s.world.cases[i]
	if c.decide == nil {
		return c.answer
	}
	return c.decide(more)
}

func (s *nameServer) askedBy(who string, i int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[who+strconv.Itoa(i)]
}

// test dials the names of case i with both dialers at the same time, and compares. It tries again what a busy machine can
// have made late, each time with names of its own.
func (c nameCase) test(t *testing.T, s *nameServer, i int, resolver string) {
	var problems []string
	for try := range 3 {
		got, want := c.dialBoth(s, i, try)
		t.Logf("redial %v; net.Dialer %v", got, want)
		if problems = c.problems(got, want, resolver); problems == nil {
			return
		}
	}
	t.Error(strings.Join(problems, "\n"))
}

// problems returns what is wrong with redial's outcome beside net.Dialer's.
func (c nameCase) problems(got, want nameOutcome, resolver string) (all []string) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	if resolver == "go" && c.within > 0 {
		slow, limit := 0, c.within
		if c.late > 0 {
			limit += got.took[0] // which had no loss: how busy the machine is
		}
		for _, took := range got.took {
			if took > limit {
				slow++
			}
		}
		check(slow <= c.late, "%d dials took longer than %v", slow, limit)
	}
	switch {
	case c.fails != 0:
		check(len(got.failures) == len(got.took), "%d dials did not fail", len(got.took)-len(got.failures))
		for _, err := range got.failures {
			check(redial.Classify(err) == c.fails, "%v, not %v: %v", redial.Classify(err), c.fails, err)
		}
	case resolver == "go" || len(want.failures) == 0:
		check(len(got.failures) == 0, "dials failed: %v", got.failures)
	}
	if len(want.failures) == 0 && !c.slower {
		const overhead = 500 * time.Millisecond // of a busy machine, and of the wait before a second attempt
		check(got.worst() < want.worst()+overhead, "net.Dialer connected sooner: %v, %v", got.worst(), want.worst())
	}
	if c.prompt {
		check(slices.Equal(got.remotes, want.remotes), "connected to %v, and net.Dialer to %v", got.remotes, want.remotes)
		check(got.queries <= want.queries, "%d queries, and %d of net.Dialer", got.queries, want.queries)
	}
	return all
}

// dialBoth dials the names of case i with both dialers.
func (c nameCase) dialBoth(s *nameServer, i, try int) (ours, nets nameOutcome) {
	var local net.Addr
	if ip, err := netip.ParseAddr(c.local); err == nil {
		local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
	}
	var both sync.WaitGroup
	both.Go(func() {
		d := &net.Dialer{LocalAddr: local}
		nets = c.dialAll(s, "net", i, try, d.DialContext)
	})
	both.Go(func() {
		d := &redial.Dialer{}
		d.LocalAddr, d.Timeout = local, c.timeout
		if c.once {
			d.MaxAttempts = 1
		}
		if c.gate {
			d.Gate = new(redial.Gate)
		}
		ours = c.dialAll(s, "redial", i, try, d.DialContext)
	})
	both.Wait()
	return ours, nets
}

// A nameOutcome is what became of the dials of a case.
type nameOutcome struct {
	took     []time.Duration // sorted
	remotes  []string        // sorted
	failures []error
	queries  int
}

func (o nameOutcome) worst() time.Duration { return o.took[len(o.took)-1] }

func (o nameOutcome) String() string {
	text := fmt.Sprintf("%v", o.worst().Round(time.Millisecond))
	if len(o.took) > 1 {
		text += fmt.Sprintf(" (median %v)", o.took[len(o.took)/2].Round(time.Millisecond))
	}
	text += fmt.Sprintf(", %d queries", o.queries)
	if len(o.failures) > 0 {
		text += fmt.Sprintf(", %d failed, such as: %v", len(o.failures), o.failures[0])
	}
	return text
}

// dialAll makes the dials of case i at once.
func (c nameCase) dialAll(s *nameServer, who string, i, try int, dial func(ctx context.Context, network, address string) (net.Conn, error)) nameOutcome {
	asked := s.askedBy(who, i)
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	network := c.network
	if network == "" {
		network = "tcp"
	}
	n := max(1, c.dials)
	took, remotes := make([]time.Duration, n), make([]string, n)
	errs := testutil.Crowd(n, func(j int) error {
		host := c.host
		switch {
		case host != "":
		case c.oneName:
			host = labelOf(who, i, try*n) + s.world.domain
		default:
			host = labelOf(who, i, try*n+j) + s.world.domain
		}
		start := time.Now()
		conn, err := dial(ctx, network, net.JoinHostPort(host, targetPort))
		took[j] = time.Since(start)
		if err == nil {
			remotes[j] = conn.RemoteAddr().String()
			conn.Close()
		}
		return err
	})
	slices.Sort(took)
	slices.Sort(remotes)
	failures := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	return nameOutcome{took, remotes, failures, s.askedBy(who, i) - asked}
}

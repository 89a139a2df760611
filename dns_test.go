package redial_test

// Names, resolved by Go's own resolver from a DNS server of the test's: what
// the server says, or that it says nothing, decides the class of a failed
// dial, whether it is retried, and whether a later answer is heard.

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
)

// A dnsReply is what a dnsServer says of a name, whichever type is asked for.
type dnsReply struct {
	rcode  byte         // RFC 1035, section 4.1.1
	addrs  []netip.Addr // those of the type asked for are the answer
	silent bool         // nothing is sent
}

var (
	dnsNoData     = dnsReply{} // the name exists, with no such record
	dnsServFail   = dnsReply{rcode: 2}
	dnsNoSuchName = dnsReply{rcode: 3}
	dnsRefused    = dnsReply{rcode: 5}
	dnsSilence    = dnsReply{silent: true}
)

func dnsAddrs(addrs ...string) dnsReply {
	var r dnsReply
	for _, addr := range addrs {
		r.addrs = append(r.addrs, netip.MustParseAddr(addr))
	}
	return r
}

// A dnsServer answers queries on UDP and TCP as it was told to. Names that it
// was told nothing of do not exist.
type dnsServer struct {
	addr string // of both

	mu      sync.Mutex
	replies map[string][]dnsReply // left to give; the last is kept
	queries map[string]int
}

// startDNS starts a server on an address of the loopback interface. It is
// stopped when t ends.
func startDNS(t *testing.T, address string) *dnsServer {
	t.Helper()
	var (
		packets  net.PacketConn
		listener net.Listener
		err      error
	)
	for range 10 { // until a port that the system chose for UDP is free for TCP too
		packets, err = net.ListenPacket("udp", address)
		require.NoError(t, err)
		listener, err = net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			break
		}
		packets.Close()
	}
	require.NoError(t, err)
	s := &dnsServer{
		addr:    listener.Addr().String(),
		replies: make(map[string][]dnsReply),
		queries: make(map[string]int),
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.servePackets(packets) })
	serving.Go(func() { s.serveStreams(listener, &serving) })
	t.Cleanup(func() {
		packets.Close()
		listener.Close()
		serving.Wait()
	})
	return s
}

// set tells s what to say of name, which has no dot at its end: one reply for
// each query, the last for all that follow.
func (s *dnsServer) set(name string, replies ...dnsReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[name] = replies
}

// asked is the number of queries for name so far, answered or not.
func (s *dnsServer) asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[name]
}

func (s *dnsServer) next(name string) dnsReply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries[name]++
	replies := s.replies[name]
	switch len(replies) {
	case 0:
		return dnsNoSuchName
	case 1:
	default:
		s.replies[name] = replies[1:]
	}
	return replies[0]
}

func (s *dnsServer) servePackets(conn net.PacketConn) {
	query := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(query)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows tells here that an asker's port is gone
		}
		if answer := s.answer(query[:n]); answer != nil {
			conn.WriteTo(answer, from)
		}
	}
}

// serveStreams serves queries with their length before them (RFC 1035,
// section 4.2.2), one connection for one query, as Go's resolver has it.
func (s *dnsServer) serveStreams(listener net.Listener, serving *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			var length [2]byte
			if _, err := io.ReadFull(conn, length[:]); err != nil {
				return
			}
			query := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, query); err != nil {
				return
			}
			if answer := s.answer(query); answer != nil {
				conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		})
	}
}

const (
	dnsTypeA    = 1
	dnsTypeAAAA = 28
	dnsClassIN  = 1
)

// answer is the answer to a query; nil if there is to be none, as for what is
// no query.
func (s *dnsServer) answer(query []byte) []byte {
	const headerLen = 12
	if len(query) < headerLen {
		return nil
	}
	name, end := dnsName(query, headerLen)
	if len(query) < end+4 {
		return nil
	}
	question := query[headerLen : end+4] // with the type and the class
	reply := s.next(name)
	if reply.silent {
		return nil
	}
	var records []byte
	count := uint16(0)
	for _, addr := range reply.addrs {
		kind := uint16(dnsTypeA)
		if addr.Is6() {
			kind = dnsTypeAAAA
		}
		if kind != binary.BigEndian.Uint16(query[end:]) {
			continue
		}
		count++
		records = binary.BigEndian.AppendUint16(records, 0xc000|headerLen) // the name: that of the question
		records = binary.BigEndian.AppendUint16(records, kind)
		records = binary.BigEndian.AppendUint16(records, dnsClassIN)
		records = binary.BigEndian.AppendUint32(records, 0) // time to live: none, so that no one keeps it
		records = binary.BigEndian.AppendUint16(records, uint16(addr.BitLen()/8))
		records = append(records, addr.AsSlice()...)
	}
	answer := append([]byte{}, query[:2]...)  // the query's ID
	answer = append(answer, 0x80|0x01)        // a response; recursion was desired,
	answer = append(answer, 0x80|reply.rcode) // and is available: else an empty answer is no answer
	for _, n := range [...]uint16{1, count, 0, 0} {
		answer = binary.BigEndian.AppendUint16(answer, n)
	}
	answer = append(answer, question...)
	return append(answer, records...)
}

// dnsName reads the name that starts at off in a query, and returns where it
// ends; past the end of the query if it does not.
func dnsName(query []byte, off int) (name string, end int) {
	var labels []string
	for off < len(query) {
		length := int(query[off])
		off++
		if length == 0 {
			return strings.ToLower(strings.Join(labels, ".")), off
		}
		if off+length > len(query) {
			break
		}
		labels = append(labels, string(query[off:off+length]))
		off += length
	}
	return "", len(query) + 1
}

// resolver is Go's own, asking s whatever servers the machine is set up with.
func (s *dnsServer) resolver() *net.Resolver {
	return resolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.addr)
	})
}

func resolverBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: dial}
}

// skipWithoutDNS skips t where Go has no resolver of its own, or no sockets.
func skipWithoutDNS(t *testing.T) {
	t.Helper()
	switch runtime.GOOS {
	case "js", "wasip1", "plan9":
		t.Skip("net.Resolver.Dial is not used on " + runtime.GOOS)
	}
}

// dialOnce makes a dial of one attempt that is to fail, and returns its
// record and its error, which must be those of that one attempt.
func dialOnce(t *testing.T, d redial.Dialer, network, address string) (redial.Attempt, error) {
	t.Helper()
	d.MaxAttempts = 1
	attempts, err := dialRecorded(t, &d, network, address)
	require.Error(t, err)
	require.Len(t, attempts, 1)
	assert.Equal(t, err, attempts[0].Err, "the error of the only attempt is returned as it is")
	assert.Error(t, attempts[0].Stop)
	return attempts[0], err
}

// dialRecorded dials, within a time that no test should need, and returns the
// records of all attempts. It calls d.OnAttempt too. A connection is closed.
func dialRecorded(t *testing.T, d *redial.Dialer, network, address string) ([]redial.Attempt, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var attempts []redial.Attempt
	recorded := *d
	recorded.OnAttempt = func(ctx context.Context, a redial.Attempt) {
		attempts = append(attempts, a)
		if d.OnAttempt != nil {
			d.OnAttempt(ctx, a)
		}
	}
	conn, err := recorded.DialContext(ctx, network, address)
	if err != nil {
		assert.Nil(t, conn)
		return attempts, err
	}
	require.NotNil(t, conn)
	assert.NoError(t, conn.Close())
	return attempts, nil
}

// atOnce retries what the default policy does, without its waits.
func atOnce() redial.Policy {
	p := redial.DefaultPolicy()
	for class := range p {
		p[class] = func() backoff.BackOff { return &backoff.ZeroBackOff{} }
	}
	return p
}

// listenLoopback listens on a port of 127.0.0.1; nobody needs to accept, the
// kernel does.
func listenLoopback(t *testing.T) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	_, port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// What a name's failure is, and that it is retried only if it may go away.
func TestDNSFailure(t *testing.T) {
	skipWithoutDNS(t)
	server := startDNS(t, "127.0.0.1:0")
	server.set("nodata.test", dnsNoData)
	server.set("servfail.test", dnsServFail)
	server.set("refused.test", dnsRefused)
	server.set("silence.test", dnsSilence)
	server.set("v4only.test", dnsAddrs("127.0.0.1"))

	for _, c := range []struct {
		name    string
		network string
		host    string // ends in a dot: the machine's search list is not the test's
		timeout time.Duration
		class   redial.Class
		retried bool
	}{
		{name: "NXDOMAIN", host: "missing.test.", class: redial.NotFound},
		{name: "no data", host: "nodata.test.", class: redial.NotFound},
		{name: "no address of the family", network: "tcp6", host: "v4only.test.", class: redial.NotFound},
		{name: "SERVFAIL", host: "servfail.test.", class: redial.DNS, retried: true},
		{name: "REFUSED", host: "refused.test.", class: redial.DNS, retried: true},
		{name: "silence", host: "silence.test.", timeout: 100 * time.Millisecond, class: redial.DNS, retried: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			network := c.network
			if network == "" {
				network = "tcp"
			}
			d := redial.Dialer{
				Dialer:      net.Dialer{Resolver: server.resolver(), Timeout: c.timeout},
				Policy:      atOnce(),
				MaxAttempts: 3,
			}
			attempts, err := dialRecorded(t, &d, network, c.host+":80")
			require.Error(t, err)
			for _, a := range attempts {
				assert.Equal(t, c.class, a.Class, "%v", a.Err)
			}
			assert.Equal(t, c.class, redial.Classify(err))
			var dnsError *net.DNSError
			require.ErrorAs(t, err, &dnsError)
			assert.Equal(t, c.class == redial.NotFound, dnsError.IsNotFound)
			assert.NotZero(t, server.asked(strings.TrimSuffix(c.host, ".")), "the test's own server was not asked")

			failed, ok := errors.AsType[*redial.Error](err)
			require.True(t, ok)
			if !c.retried {
				require.Len(t, attempts, 1)
				assert.Same(t, attempts[0].Err, failed.Err, "as the inner dialer made it")
				assert.Equal(t, redial.ErrPermanent, attempts[0].Stop)
				return
			}
			assert.Len(t, attempts, 3)
			assert.Equal(t, 3, failed.Attempts)
			assert.Equal(t, c.class, failed.Class)
			assert.ErrorIs(t, err, redial.ErrMaxAttempts)
		})
	}
}

// It is the DNS server that refused, or could not be reached, not the target.
func TestDNSServerUnreachable(t *testing.T) {
	skipWithoutDNS(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := listener.Addr().String()
	require.NoError(t, listener.Close())

	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var dials atomic.Int32
			d := redial.Dialer{Dialer: net.Dialer{
				Resolver: resolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
					dials.Add(1)
					var d net.Dialer
					return d.DialContext(ctx, network, gone)
				}),
				// Where the network tells nothing of a closed UDP port,
				// the resolver waits for its answer.
				Timeout: time.Second,
			}}
			a, err := dialOnce(t, d, "tcp", "name.test.:80")
			assert.Equal(t, redial.DNS, a.Class, "%v", err)
			assert.Equal(t, redial.DNS, redial.Classify(err))
			assert.NotZero(t, dials.Load())
		})
	}
}

// A name that could not be resolved is asked for again, and then connects.
// The resolver itself asks several times within one attempt, so the server
// gets well when the first attempt is over.
func TestDNSRecovers(t *testing.T) {
	skipWithoutDNS(t)
	port := listenLoopback(t)
	for _, c := range []struct {
		name    string
		failing dnsReply
		timeout time.Duration
	}{
		{"SERVFAIL", dnsServFail, 0},
		{"REFUSED", dnsRefused, 0},
		{"silence", dnsSilence, 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := startDNS(t, "127.0.0.1:0")
			server.set("name.test", c.failing)
			d := redial.Dialer{
				Dialer: net.Dialer{Resolver: server.resolver(), Timeout: c.timeout},
				Policy: atOnce(),
				OnAttempt: func(context.Context, redial.Attempt) {
					server.set("name.test", dnsAddrs("127.0.0.1"))
				},
			}
			attempts, err := dialRecorded(t, &d, "tcp", "name.test.:"+port)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(attempts), 2)
			assert.Equal(t, redial.DNS, attempts[0].Class)
			last := attempts[len(attempts)-1]
			require.NoError(t, last.Err)
			assert.Equal(t, "127.0.0.1:"+port, last.Remote.String())
		})
	}
}

// One SERVFAIL that the resolver hides by asking again is no failed attempt;
// one that it does not hide is retried. Which of the two depends on how often
// the machine has resolvers ask.
func TestDNSFailsOnce(t *testing.T) {
	skipWithoutDNS(t)
	port := listenLoopback(t)
	server := startDNS(t, "127.0.0.1:0")
	server.set("name.test", dnsServFail, dnsAddrs("127.0.0.1"))
	d := redial.Dialer{Dialer: net.Dialer{Resolver: server.resolver()}, Policy: atOnce()}
	attempts, err := dialRecorded(t, &d, "tcp4", "name.test.:"+port) // tcp4: A is all that it asks for
	require.NoError(t, err)
	assert.Equal(t, 2, server.asked("name.test"))
	assert.LessOrEqual(t, len(attempts), 2)
	for _, a := range attempts[:len(attempts)-1] {
		assert.Equal(t, redial.DNS, a.Class)
	}
}

// A service moves while it is being dialed: the next attempt finds it.
func TestDNSResolvesAnew(t *testing.T) {
	skipWithoutDNS(t)
	old, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("127.0.0.1 is all the loopback that this machine has: %v", err)
	}
	require.NoError(t, old.Close())
	port := listenLoopback(t)
	server := startDNS(t, "127.0.0.1:0")
	server.set("moving.test", dnsAddrs("127.0.0.2"))
	const atOldAddress = 3
	d := redial.Dialer{
		Dialer: net.Dialer{Resolver: server.resolver()},
		Policy: atOnce(),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Number == atOldAddress {
				server.set("moving.test", dnsAddrs("127.0.0.1"))
			}
		},
	}
	attempts, err := dialRecorded(t, &d, "tcp4", "moving.test.:"+port)
	require.NoError(t, err)
	require.Len(t, attempts, atOldAddress+1)
	for _, a := range attempts[:atOldAddress] {
		assert.Equal(t, redial.Refused, a.Class, "%v", a.Err)
	}
	assert.Equal(t, "127.0.0.1:"+port, attempts[atOldAddress].Remote.String())
	assert.Equal(t, len(attempts), server.asked("moving.test"), "one query for each attempt")
}

// A resolver that dials by a Dialer of its own: the outer one retries, so the
// inner one must not, though its policy says so.
func TestDNSNestedDialer(t *testing.T) {
	skipWithoutDNS(t)
	port := listenLoopback(t)
	server := startDNS(t, "127.0.0.1:0")
	server.set("name.test", dnsAddrs("127.0.0.1"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := listener.Addr().String()
	require.NoError(t, listener.Close())

	var (
		target        atomic.Value // the address of the DNS server
		calls, nested atomic.Int32
	)
	target.Store(gone)
	inner := redial.Dialer{
		Policy: atOnce(),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			nested.Add(1)
			assert.Equal(t, 1, a.Number)
			assert.NotEqual(t, a.Err == nil, a.Stop != nil)
		},
	}
	d := redial.Dialer{
		Dialer: net.Dialer{Resolver: resolverBy(func(ctx context.Context, _, _ string) (net.Conn, error) {
			calls.Add(1)
			return inner.DialContext(ctx, "tcp", target.Load().(string))
		})},
		Policy: atOnce(),
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Number == 2 {
				target.Store(server.addr)
			}
		},
	}
	attempts, err := dialRecorded(t, &d, "tcp", "name.test.:"+port)
	require.NoError(t, err)
	require.Len(t, attempts, 3)
	for _, a := range attempts[:2] {
		assert.Equal(t, redial.DNS, a.Class, "%v", a.Err)
	}
	assert.Equal(t, calls.Load(), nested.Load(), "one attempt for each call")
	assert.NotZero(t, server.asked("name.test"))
}

// Package dnstest has a DNS server whose answers a test sets.
package dnstest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Reply is a Server's reply to a query for a name, whatever the type of the query.
type Reply struct {
	rcode  byte         // RFC 1035, section 4.1.1
	addrs  []netip.Addr // the answer has the addresses of the type asked for
	silent bool         // the server sends no answer
	cut    bool         // the answer has the flag TC and no records
	delay  time.Duration
}

// These are replies without an address.
var (
	NoData     = Reply{} // the name exists, but has no such record
	ServFail   = Reply{rcode: 2}
	NoSuchName = Reply{rcode: 3}
	Refused    = Reply{rcode: 5}
	Silence    = Reply{silent: true}
	Truncated  = Reply{cut: true} // ask again over TCP
)

// A Query is what a Server is asked.
type Query struct {
	Network string // "udp" or "tcp"; empty if Answer is called directly
	Name    string // in lower case, without the last dot
	Kind    string // "A", "AAAA", or empty for another type
}

// Addrs returns a reply with the given addresses.
func Addrs(addrs ...string) Reply {
	var r Reply
	for _, addr := range addrs {
		r.addrs = append(r.addrs, netip.MustParseAddr(addr))
	}
	return r
}

// After returns r, sent d after the query has come.
func (r Reply) After(d time.Duration) Reply {
	r.delay = d
	return r
}

// A Server answers queries on UDP and TCP with the replies that a test set. A name without
// replies does not exist.
type Server struct {
	Addr string // the same on UDP and TCP; empty for a server in memory

	mu      sync.Mutex
	mangle  func(answer []byte) []byte // nil: answers stay as they are
	decide  func(Query) Reply          // nil: replies has them
	replies map[string][]Reply         // not yet sent; the last one stays
	queries map[string]int
}

// Start starts a server on a loopback address. The server stops when t ends.
func Start(t testing.TB, address string) *Server {
	t.Helper()
	var (
		packets  net.PacketConn
		listener net.Listener
		err      error
	)
	for range 50 { // until the port that the system picks for UDP is free for TCP too
		packets, err = net.ListenPacket("udp", address)
		require.NoError(t, err)
		listener, err = net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			break
		}
		packets.Close()
	}
	require.NoError(t, err)
	s := InMemory()
	s.Addr = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { s.servePackets(packets, &serving) })
	serving.Go(func() { s.serveStreams(listener, &serving) })
	t.Cleanup(func() {
		packets.Close()
		listener.Close()
		serving.Wait()
	})
	return s
}

// InMemory returns a server without sockets, which only its Resolver reaches. A test can use it in a
// testing/synctest bubble.
func InMemory() *Server {
	return &Server{replies: make(map[string][]Reply), queries: make(map[string]int)}
}

// ChildVariable is an environment variable. In a process that has it, package dnstest looks nothing up
// by itself: the process has yet to mount its own /etc, and package net would remember the machine's
// /etc/resolv.conf for 5 s.
const ChildVariable = "REDIAL_TEST_CHILD"

// Package net reads the system's configuration at the first look-up, and guards it by a channel. No
// bubble may be the first to use that channel.
var _ = func() error {
	if os.Getenv(ChildVariable) != "" {
		return nil
	}
	resolver := ResolverBy(func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed })
	_, err := resolver.LookupHost(context.Background(), "first.invalid.")
	return err
}()

// Set sets the replies for name, which has no dot at its end. Each query gets the next reply. The
// last reply is repeated. The name "*" stands for all names without replies of their own.
func (s *Server) Set(name string, replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[name] = replies
}

// Decide makes s take each reply from f, in place of those that are set. Many goroutines can call f at once.
func (s *Server) Decide(f func(Query) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decide = f
}

// Mangle makes s send f(answer) in place of each answer. If f returns nil, s sends no answer. Many
// goroutines can call f at once.
func (s *Server) Mangle(f func(answer []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mangle = f
}

// Asked returns the number of queries for name so far, answered or not.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[name]
}

func (s *Server) next(q Query) Reply {
	s.mu.Lock()
	name := q.Name
	s.queries[name]++
	if decide := s.decide; decide != nil {
		s.mu.Unlock()
		return decide(q)
	}
	defer s.mu.Unlock()
	replies, ok := s.replies[name]
	if !ok {
		name = "*"
		replies = s.replies[name]
	}
	switch len(replies) {
	case 0:
		return NoSuchName
	case 1:
	default:
		s.replies[name] = replies[1:]
	}
	return replies[0]
}

func (s *Server) servePackets(conn net.PacketConn, serving *sync.WaitGroup) {
	query := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(query)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows reports here that a client has closed its port
		}
		own := slices.Clone(query[:n])
		serving.Go(func() {
			if answer := s.mangled("udp", own); answer != nil {
				conn.WriteTo(answer, from)
			}
		})
	}
}

// serveStreams serves queries that are preceded by their length (RFC 1035, section 4.2.2).
func (s *Server) serveStreams(listener net.Listener, serving *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			for s.serveStream(conn) { // the C library sends two queries
			}
		})
	}
}

// serveStream serves one query. It returns false at the end of the stream.
func (s *Server) serveStream(conn net.Conn) bool {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return false
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return false
	}
	if answer := s.mangled("tcp", query); answer != nil {
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
	return true
}

const (
	dnsTypeA    = 1
	dnsTypeAAAA = 28
	dnsClassIN  = 1
)

// mangled returns what s sends in answer to a query, or nil.
func (s *Server) mangled(network string, query []byte) []byte {
	answer := s.answer(network, query)
	s.mu.Lock()
	mangle := s.mangle
	s.mu.Unlock()
	if answer != nil && mangle != nil {
		return mangle(answer)
	}
	return answer
}

// Answer returns the answer to a query, before Mangle's function changes it. It returns nil if query is
// not a query, or must not be answered.
func (s *Server) Answer(query []byte) []byte { return s.answer("", query) }

func (s *Server) answer(network string, query []byte) []byte {
	const headerLen = 12
	if len(query) < headerLen {
		return nil
	}
	name, end := dnsName(query, headerLen)
	if len(query) < end+4 {
		return nil
	}
	question := query[headerLen : end+4] // with the type and the class
	kind := map[uint16]string{dnsTypeA: "A", dnsTypeAAAA: "AAAA"}[binary.BigEndian.Uint16(query[end:])]
	reply := s.next(Query{network, name, kind})
	time.Sleep(reply.delay)
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
		records = binary.BigEndian.AppendUint16(records, 0xc000|headerLen) // the same name as in the question
		records = binary.BigEndian.AppendUint16(records, kind)
		records = binary.BigEndian.AppendUint16(records, dnsClassIN)
		records = binary.BigEndian.AppendUint32(records, 0) // a time to live of zero, so that nobody caches it
		records = binary.BigEndian.AppendUint16(records, uint16(addr.BitLen()/8))
		records = append(records, addr.AsSlice()...)
	}
	answer := append([]byte{}, query[:2]...) // the query's ID
	flags := byte(0x80 | 0x01)               // a response; recursion was desired
	if reply.cut {
		flags |= 0x02
	}
	answer = append(answer, flags)
	answer = append(answer, 0x80|reply.rcode) // recursion is available; otherwise resolvers ignore an empty answer
	for _, n := range [...]uint16{1, count, 0, 0} {
		answer = binary.BigEndian.AppendUint16(answer, n)
	}
	answer = append(answer, question...)
	return append(answer, records...)
}

// dnsName reads the name that starts at off in a query, and returns the offset where the name ends.
// If the name does not end, the offset is past the end of the query.
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

// Resolver returns Go's own resolver, which asks s regardless of the machine's DNS servers.
func (s *Server) Resolver() *net.Resolver {
	return ResolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
		if s.Addr == "" {
			client, server := net.Pipe() // no net.PacketConn, so that Go's resolver uses it like a TCP connection
			go func() {
				defer server.Close()
				s.serveStream(server)
				io.Copy(io.Discard, server) // until the client gives up, if there was no answer
			}()
			return client, nil
		}
		var d net.Dialer
		return d.DialContext(ctx, network, s.Addr)
	})
}

// ResolverBy returns Go's own resolver, which reaches DNS servers by dial.
func ResolverBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: dial}
}

// SkipWithout skips t on systems where Go has no resolver of its own, or no sockets.
func SkipWithout(t testing.TB) {
	t.Helper()
	switch runtime.GOOS {
	case "js", "wasip1", "plan9":
		t.Skip("net.Resolver.Dial is not used on " + runtime.GOOS)
	}
}

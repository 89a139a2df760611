package resolver

// The tests of resolver.go run Go's resolver against a DNS server in memory, in virtual time.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/errno"
)

// A dnsScript returns what a server sends for a query: no message, one, or several.
type dnsScript func(dnsQuery) []dnsReply

type dnsQuery struct {
	network string // "udp" or "tcp"
	name    string // with the last dot
	kind    int
	count   int // of this question over this network so far, with this one
	message []byte
}

// A dnsReply is a message, or an error of the connection.
type dnsReply struct {
	after   time.Duration
	message []byte
	err     error
}

// reply returns an answer with a header's flags and the addresses of the type that is asked for.
func (q dnsQuery) reply(flags uint16, addrs ...string) dnsReply {
	var records []byte
	count := uint16(0)
	for _, text := range addrs {
		addr := netip.MustParseAddr(text)
		if addr.Is4() != (q.kind == recordA) {
			continue
		}
		count++
		records = append(records, 0xc0, headerLen, 0, byte(q.kind), 0, 1, 0, 0, 0, 0, 0, byte(addr.BitLen()/8))
		records = append(records, addr.AsSlice()...)
	}
	question, _ := questionOf(q.message)
	message := append([]byte{}, q.message[:2]...)
	for _, n := range []uint16{0x8000 | flags, 1, count, 0, 0} {
		message = binary.BigEndian.AppendUint16(message, n)
	}
	return dnsReply{message: append(append(message, question...), records...)}
}

func (r dnsReply) in(d time.Duration) dnsReply {
	r.after = d
	return r
}

// These are flags of a DNS header.
const (
	dnsRecursion = 0x80 // available: every answer of a recursive resolver
	dnsTruncated = 0x200
	dnsServFail  = dnsRecursion | 2
	dnsNXDomain  = dnsRecursion | 3
	dnsRefused   = dnsRecursion | 5
)

const (
	dns4 = "192.0.2.1"
	dns6 = "2001:db8::1"
)

// A memServer is a DNS server in memory.
type memServer struct {
	script dnsScript

	mu      sync.Mutex
	counts  map[string]int
	queries []string // "udp A db.test. 350ms", by the time since the server's start
	start   time.Time
}

func newMemServer(script dnsScript) *memServer {
	return &memServer{script: script, counts: make(map[string]int), start: time.Now()}
}

func (s *memServer) dial(_ context.Context, network, _ string) (net.Conn, error) {
	c := &memConn{server: s, network: network}
	c.cond.L = &c.mu
	if network == "udp" {
		return memPacketConn{c}, nil
	}
	return c, nil
}

func (s *memServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: s.dial}
}

func (s *memServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

func (s *memServer) serve(network string, message []byte) []dnsReply {
	text, ok := questionOf(message)
	if !ok {
		return nil
	}
	q := dnsQuery{network: network, message: message, kind: int(binary.BigEndian.Uint16(text[len(text)-4:]))}
	for off := 0; text[off] != 0; off += int(text[off]) + 1 {
		q.name += string(text[off+1:off+1+int(text[off])]) + "."
	}
	s.mu.Lock()
	what := fmt.Sprint(network, " ", map[int]string{recordA: "A", recordAAAA: "AAAA"}[q.kind], " ", q.name)
	s.counts[what]++
	q.count = s.counts[what]
	s.queries = append(s.queries, fmt.Sprint(what, " ", time.Since(s.start)))
	s.mu.Unlock()
	return s.script(q)
}

// A memConn is a stream to a memServer. Its deadlines work as those of a socket.
type memConn struct {
	server  *memServer
	network string

	mu       sync.Mutex
	cond     sync.Cond
	inbox    []dnsReply
	deadline time.Time
	timer    *time.Timer
	closed   bool
}

func (c *memConn) Write(b []byte) (int, error) {
	message := slices.Clone(b)
	if c.network == "tcp" {
		message = message[2:]
	}
	for _, r := range c.server.serve(c.network, message) {
		time.AfterFunc(r.after, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.network == "tcp" && r.err == nil {
				r.message = append(binary.BigEndian.AppendUint16(nil, uint16(len(r.message))), r.message...)
			}
			c.inbox = append(c.inbox, r)
			c.cond.Broadcast()
		})
	}
	return len(b), nil
}

func (c *memConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case !c.deadline.IsZero() && time.Until(c.deadline) <= 0:
			return 0, os.ErrDeadlineExceeded
		case len(c.inbox) > 0:
			r := c.inbox[0]
			n := copy(b, r.message)
			if c.network == "tcp" && n < len(r.message) {
				c.inbox[0].message = r.message[n:]
			} else {
				c.inbox = c.inbox[1:]
			}
			return n, r.err
		}
		c.cond.Wait()
	}
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.timer != nil {
		c.timer.Stop()
	}
	c.timer = time.AfterFunc(time.Until(t), c.cond.Broadcast)
	return nil
}

func (c *memConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.cond.Broadcast()
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *memConn) SetWriteDeadline(t time.Time) error { return nil }
func (c *memConn) LocalAddr() net.Addr                { return nil }
func (c *memConn) RemoteAddr() net.Addr               { return nil }

type memPacketConn struct{ *memConn }

func (c memPacketConn) ReadFrom(b []byte) (int, net.Addr, error)  { panic("net uses Read") }
func (c memPacketConn) WriteTo(b []byte, _ net.Addr) (int, error) { panic("net uses Write") }

// bubble runs f in a synctest bubble. Go's resolver has package-wide channels, which a look-up makes
// outside the bubble first.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	dnstest.SkipWithout(t)
	failing := func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }
	(&net.Resolver{PreferGo: true, Dial: failing}).LookupHost(context.Background(), "first.test.")
	synctest.Test(t, f)
}

// A lookedUp is the result of a look-up by r's stand-in.
type lookedUp struct {
	addrs []string
	err   error
	took  time.Duration
	log   *Log
}

func lookUp(ctx context.Context, r *net.Resolver, network, host string, patience time.Duration) lookedUp {
	l := &Log{Patience: patience}
	start := time.Now()
	addrs, err := For(r).LookupNetIP(context.WithValue(ctx, LogKey{}, l), network, host)
	result := lookedUp{err: err, took: time.Since(start), log: l}
	for _, addr := range addrs {
		result.addrs = append(result.addrs, addr.Unmap().String())
	}
	slices.Sort(result.addrs)
	return result
}

func one(r dnsReply) []dnsReply { return []dnsReply{r} }

// both returns a script that answers A with dns4 and AAAA with dns6 after d.
func both(d time.Duration) dnsScript {
	return func(q dnsQuery) []dnsReply { return one(q.reply(dnsRecursion, dns4, dns6).in(d)) }
}

// TestResolverLookups runs one look-up against each script.
func TestResolverLookups(t *testing.T) {
	const patience = time.Second
	lost := func(n int, kinds ...int) dnsScript {
		return func(q dnsQuery) []dnsReply {
			if q.count <= n && slices.Contains(kinds, q.kind) {
				return nil
			}
			return both(time.Millisecond)(q)
		}
	}
	byKind := func(a, aaaa dnsScript) dnsScript {
		return func(q dnsQuery) []dnsReply {
			if q.kind == recordA {
				return a(q)
			}
			return aaaa(q)
		}
	}
	never := func(dnsQuery) []dnsReply { return nil }
	flags := func(f uint16) dnsScript {
		return func(q dnsQuery) []dnsReply { return one(q.reply(f)) }
	}
	overTCP := func(tcp dnsScript) dnsScript {
		return func(q dnsQuery) []dnsReply {
			if q.network == "udp" {
				return one(q.reply(dnsRecursion | dnsTruncated))
			}
			return tcp(q)
		}
	}
	const ms = time.Millisecond
	all := []string{dns4, dns6}
	for _, c := range []struct {
		name       string
		script     dnsScript
		want       []string
		took       time.Duration
		queries    int
		unanswered string
	}{
		{"answers in 1 ms", both(ms), all, ms, 2, ""},
		{"answers in 60 ms", both(60 * ms), all, 60 * ms, 2, ""},
		{"answers in 300 ms", both(300 * ms), all, 300 * ms, 2, ""},
		{"first A lost", lost(1, recordA), all, 351 * ms, 3, ""},
		{"first two of both lost", lost(2, recordA, recordAAAA), all, 1051 * ms, 6, ""},
		{"first three of both lost", lost(3, recordA, recordAAAA), all, 2451 * ms, 8, ""},
		{"AAAA silent", byKind(both(ms), never), []string{dns4}, 1001 * ms, 3, "AAAA"},
		{"A silent", byKind(never, both(ms)), []string{dns6}, 1001 * ms, 3, "A"},
		{"AAAA silent, A late", byKind(both(800*ms), never), []string{dns4}, 1800 * ms, 5, "AAAA"},
		{"AAAA late, within patience", byKind(both(ms), both(900*ms)), all, 900 * ms, 3, ""},
		{"AAAA silent, A has none", byKind(flags(dnsRecursion), both(3000*ms)), []string{dns6}, 3000 * ms, 5, ""},
		{"AAAA answers SERVFAIL, then nothing", byKind(both(ms), func(q dnsQuery) []dnsReply {
			if q.count == 1 {
				return one(q.reply(dnsServFail).in(ms))
			}
			return nil
		}), []string{dns4}, 1001 * ms, 4, "AAAA"},
		{"both over TCP", overTCP(both(ms)), all, ms, 4, ""},
		{"AAAA over TCP, silent", byKind(both(ms), overTCP(never)), []string{dns4}, 1001 * ms, 3, "AAAA"},
		{"A over TCP, silent", byKind(overTCP(never), both(ms)), []string{dns6}, 1001 * ms, 3, "A"},
		{"another ID", func(q dnsQuery) []dnsReply {
			forged := q.reply(dnsRecursion, "192.0.2.66", "2001:db8::66")
			forged.message[0]++
			return []dnsReply{forged, q.reply(dnsRecursion, dns4, dns6).in(100 * ms)}
		}, all, 100 * ms, 2, ""},
		{"garbage, then nothing", byKind(both(ms), func(q dnsQuery) []dnsReply {
			return []dnsReply{{message: []byte("garbage")}, {}, {message: q.message}}
		}), []string{dns4}, 1001 * ms, 3, "AAAA"},
		{"endless garbage", byKind(both(ms), func(q dnsQuery) (all []dnsReply) {
			for i := range 600 {
				all = append(all, dnsReply{message: q.message, after: time.Duration(i) * 10 * ms})
			}
			return all
		}), []string{dns4}, 1001 * ms, 3, "AAAA"},
		{"duplicate and contradictory", func(q dnsQuery) []dnsReply {
			return []dnsReply{q.reply(dnsRecursion, dns4, dns6).in(ms), q.reply(dnsNXDomain).in(ms + 1), q.reply(dnsRecursion, dns4, dns6).in(ms + 2)}
		}, all, ms, 2, ""},
		{"names in other letters", func(q dnsQuery) []dnsReply {
			r := q.reply(dnsRecursion, dns4, dns6)
			copy(r.message[headerLen:], strings.ToUpper(string(r.message[headerLen:headerLen+8])))
			return one(r)
		}, all, 0, 2, ""},
		{"the connection is reset once, by a query sent again", func(q dnsQuery) []dnsReply {
			switch q.count {
			case 1:
				return nil
			case 2:
				return one(dnsReply{err: &net.OpError{Op: "read", Net: "udp", Err: os.NewSyscallError("read", errno.ConnectionReset.Err())}})
			}
			return both(ms)(q)
		}, all, 1051 * ms, 6, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				server := newMemServer(c.script)
				got := lookUp(t.Context(), server.resolver(), "ip", "db.test.", patience)
				require.NoError(t, got.err)
				assert.Equal(t, c.want, got.addrs)
				assert.Equal(t, c.took, got.took)
				assert.Len(t, server.seen(), c.queries, "%q", server.seen())
				assert.Equal(t, c.unanswered, got.log.Unanswered())
				assert.NotEmpty(t, got.log.questions)
			})
		})
	}
}

// TestResolverPatience: a slow family is not lost for a look-up that waits longer.
func TestResolverPatience(t *testing.T) {
	for patience, want := range map[time.Duration][]string{time.Second: {dns4}, 2 * time.Second: {dns4}, 4 * time.Second: {dns4, dns6}} {
		bubble(t, func(t *testing.T) {
			server := newMemServer(func(q dnsQuery) []dnsReply {
				if q.kind == recordAAAA {
					return both(3 * time.Second)(q)
				}
				return both(time.Millisecond)(q)
			})
			got := lookUp(t.Context(), server.resolver(), "ip", "db.test.", patience)
			require.NoError(t, got.err)
			assert.Equal(t, want, got.addrs)
			assert.Equal(t, min(time.Millisecond+patience, 3*time.Second), got.took)
		})
	}
}

// TestResolverStrictErrors: a resolver that must have both families waits for both.
func TestResolverStrictErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := newMemServer(func(q dnsQuery) []dnsReply {
			if q.kind == recordAAAA {
				return both(4 * time.Second)(q)
			}
			return both(time.Millisecond)(q)
		})
		r := server.resolver()
		r.StrictErrors = true
		got := lookUp(t.Context(), r, "ip", "db.test.", time.Second)
		require.NoError(t, got.err)
		assert.Equal(t, []string{dns4, dns6}, got.addrs)
	})
}

// TestResolverDialHangs: the resolver asks for AAAA over TCP, and a firewall drops TCP. Both orders.
func TestResolverDialHangs(t *testing.T) {
	for _, late := range []time.Duration{0, 100 * time.Millisecond} {
		bubble(t, func(t *testing.T) {
			server := newMemServer(func(q dnsQuery) []dnsReply {
				if q.kind == recordAAAA {
					return one(q.reply(dnsRecursion | dnsTruncated).in(50 * time.Millisecond))
				}
				return both(late)(q)
			})
			r := server.resolver()
			r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if network == "tcp" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return server.dial(ctx, network, address)
			}
			got := lookUp(t.Context(), r, "ip", "db.test.", time.Second)
			require.NoError(t, got.err)
			assert.Equal(t, []string{dns4}, got.addrs)
			assert.Equal(t, late+time.Second, got.took)
			assert.Equal(t, "AAAA", got.log.Unanswered())
		})
	}
}

// TestResolverDoubt: which look-ups without an address can be wrong about it.
func TestResolverDoubt(t *testing.T) {
	broken := errors.New("broken")
	flags := func(a, aaaa uint16) dnsScript {
		return func(q dnsQuery) []dnsReply {
			if q.kind == recordA {
				return one(q.reply(a))
			}
			return one(q.reply(aaaa))
		}
	}
	for _, c := range []struct {
		name       string
		script     dnsScript
		ok, silent bool
	}{
		{"NXDOMAIN", flags(dnsNXDomain, dnsNXDomain), false, false},
		{"no data", flags(dnsRecursion, dnsRecursion), false, false},
		{"SERVFAIL for A", flags(dnsServFail, dnsRecursion), true, false},
		{"SERVFAIL for AAAA", flags(dnsRecursion, dnsServFail), true, false},
		{"REFUSED", flags(dnsRefused, dnsRefused), true, false},
		{"not implemented", flags(dnsNXDomain, dnsRecursion|4), true, false},
		{"lame", flags(0, dnsRecursion), true, false},
		{"A silent", func(q dnsQuery) []dnsReply {
			if q.kind == recordA {
				return nil
			}
			return flags(dnsNXDomain, dnsNXDomain)(q)
		}, true, true},
		{"the connection breaks", func(q dnsQuery) []dnsReply {
			if q.kind == recordA {
				return one(dnsReply{err: broken})
			}
			return flags(dnsNXDomain, dnsNXDomain)(q)
		}, true, false},
		{"malformed", func(q dnsQuery) []dnsReply {
			r := q.reply(dnsRecursion)
			r.message[7] = 1 // one answer, but none is there
			return one(r)
		}, true, false},
		{"SERVFAIL, then NXDOMAIN", func(q dnsQuery) []dnsReply {
			if q.count == 1 {
				return flags(dnsServFail, dnsServFail)(q)
			}
			return flags(dnsNXDomain, dnsNXDomain)(q)
		}, false, false},
		{"lost, then no data", func(q dnsQuery) []dnsReply {
			if q.count == 1 {
				return nil
			}
			return flags(dnsRecursion, dnsRecursion)(q)
		}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got := lookUp(t.Context(), newMemServer(c.script).resolver(), "ip", "db.test.", time.Second)
				require.Error(t, got.err)
				server, silent, ok := got.log.Doubtful()
				assert.Equal(t, c.ok, ok)
				assert.Equal(t, c.silent, silent)
				assert.Equal(t, ok, server != "")
			})
		})
	}
}

// TestResolverDialFails: an error of Dial reaches the caller as it does in package net.
func TestResolverDialFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "udp", Err: io.EOF}
		}}
		_, want := r.LookupNetIP(t.Context(), "ip", "db.test.")
		got := lookUp(t.Context(), r, "ip", "db.test.", time.Second)
		assert.Equal(t, want, got.err)
		_, silent, ok := got.log.Doubtful()
		assert.True(t, ok)
		assert.False(t, silent)
		assert.Empty(t, got.log.Unanswered())
	})
}

// TestResolverSearchList: the log follows the resolver from one name of a search list to the next. An
// answer with an address that the resolver does not accept cuts nothing off.
func TestResolverSearchList(t *testing.T) {
	l := &Log{Patience: time.Second}
	question := func(name string, kind byte) []byte {
		return append(append([]byte{byte(len(name))}, name...), 0, 0, kind, 0, 1)
	}
	c := &queryConn{ctx: context.Background(), log: l}
	first := l.ask(question("first", recordA), "s")
	c.question = l.ask(question("first", recordAAAA), "s")
	first.outcome, l.found, l.foundAt = answerYes, first, time.Now().Add(-time.Minute)
	assert.Zero(t, c.left())
	c.question = first
	assert.Positive(t, c.left(), "of the family that has addresses")
	c.question = l.ask(question("second", recordAAAA), "s")
	assert.Positive(t, c.left())
	assert.Nil(t, l.found)
	assert.Equal(t, "AAAA", l.Unanswered())
	l.found = first
	l.ask(question("first", recordA), "s")
	assert.Nil(t, l.found, "asked again")
	assert.Equal(t, "A and AAAA", l.Unanswered())
	assert.Len(t, l.questions, 3)
}

// TestResolverThirdLost loses a third of the queries and a third of the answers. No look-up takes a second
// more than its first answer, and most take no more than two repetitions.
func TestResolverThirdLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var start time.Time
		var first time.Duration // from start to the first answer that is not lost
		server := newMemServer(nil)
		server.script = func(q dnsQuery) []dnsReply {
			server.mu.Lock()
			defer server.mu.Unlock()
			if lost := random.Float64(); lost < 5.0/9 { // the query, or its answer
				return nil
			}
			if first == 0 {
				first = time.Since(start) + time.Millisecond
			}
			return both(time.Millisecond)(q)
		}
		r := server.resolver()
		quick := 0
		for i := range 300 {
			start, first = time.Now(), 0
			got := lookUp(t.Context(), r, "ip", fmt.Sprintf("n%d.test.", i), time.Second)
			require.NoError(t, got.err)
			require.LessOrEqual(t, got.took, first+time.Second)
			if got.took <= 1051*time.Millisecond {
				quick++
			}
		}
		assert.Greater(t, quick, 200)
	})
}

// TestResolverShares: net merges equal look-ups of one Resolver, and so do ours.
func TestResolverShares(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := newMemServer(both(time.Millisecond))
		r := server.resolver()
		var dials sync.WaitGroup
		var asked atomic.Int32
		for range 100 {
			dials.Go(func() {
				got := lookUp(t.Context(), r, "ip", "db.test.", time.Second)
				assert.NoError(t, got.err)
				if len(got.log.questions) > 0 {
					asked.Add(1)
				}
			})
		}
		dials.Wait()
		assert.Len(t, server.seen(), 2)
		assert.EqualValues(t, 1, asked.Load())
	})
}

// TestResolverOutlivesFirstDial: the dial that began a shared look-up ends. The other one still gets its answer, and
// lost packets are still sent again.
func TestResolverOutlivesFirstDial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := newMemServer(func(q dnsQuery) []dnsReply {
			if q.network == "udp" {
				return one(q.reply(dnsRecursion | dnsTruncated).in(300 * time.Millisecond))
			}
			return both(100 * time.Millisecond)(q)
		})
		r := server.resolver()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		go lookUp(ctx, r, "ip", "db.test.", time.Second)
		synctest.Wait()
		got := lookUp(t.Context(), r, "ip", "db.test.", time.Second)
		require.NoError(t, got.err)
		assert.Equal(t, []string{dns4, dns6}, got.addrs)
		assert.Equal(t, 400*time.Millisecond, got.took)
	})
}

// TestResolverCanceled: a look-up that its only dial has left ends at the next tick, and not when the resolver's 5 s are
// over. (A synctest bubble ends only when all goroutines have.)
func TestResolverCanceled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server := newMemServer(func(dnsQuery) []dnsReply { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var closed sync.WaitGroup
		r := server.resolver()
		r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			conn, err := server.dial(ctx, network, address)
			closed.Add(1)
			return closeFunc{conn.(memPacketConn), closed.Done}, err
		}
		start := time.Now()
		got := lookUp(ctx, r, "ip", "db.test.", time.Second)
		require.ErrorIs(t, got.err, context.DeadlineExceeded)
		assert.Equal(t, "A and AAAA", got.log.Unanswered())
		closed.Wait()
		assert.Equal(t, resendAfter, time.Since(start))
		assert.Len(t, server.seen(), 2)
	})
}

type closeFunc struct {
	memPacketConn
	done func()
}

func (c closeFunc) Close() error {
	defer c.done()
	return c.memPacketConn.Close()
}

// TestResolverFor: one stand-in for each resolver, which follows it.
func TestResolverFor(t *testing.T) {
	if runtime.GOOS == "plan9" {
		r := new(net.Resolver)
		assert.Same(t, r, For(r))
		t.Skip("only a Resolver with a Dial has a stand-in")
	}
	r := &net.Resolver{PreferGo: true}
	ours := For(r)
	assert.True(t, ours.PreferGo)
	assert.False(t, ours.StrictErrors)
	assert.NotSame(t, ours, For(&net.Resolver{PreferGo: true}))
	assert.Same(t, ours, For(r))

	r.StrictErrors = true
	strict := For(r)
	assert.NotSame(t, ours, strict)
	assert.True(t, strict.StrictErrors)
	assert.Same(t, strict, For(r))

	r.PreferGo = false
	assert.False(t, For(r).PreferGo)

	failure := errors.New("the program's own Dial")
	r.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, failure }
	conn, err := strict.Dial(t.Context(), "udp", "192.0.2.53:53")
	require.NoError(t, err)
	_, err = conn.Write([]byte("query"))
	assert.Equal(t, failure, err)
	conn.SetDeadline(time.Now()) // net does, and ignores the error
	conn.Close()

	before := For(nil)
	assert.Same(t, before, For(net.DefaultResolver))
	defer func(r *net.Resolver) { net.DefaultResolver = r }(net.DefaultResolver)
	net.DefaultResolver = new(net.Resolver)
	assert.NotSame(t, before, For(nil))
	runtime.KeepAlive(before)
	net.DefaultResolver = nil
	assert.Nil(t, For(nil))
}

// TestResolverForForgets: neither resolver is kept alive, also if the program's own Dial refers to its Resolver.
func TestResolverForForgets(t *testing.T) {
	var keys []weak.Pointer[net.Resolver]
	func() {
		for range 10 {
			r := new(net.Resolver)
			r.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("%v", r.PreferGo) }
			For(r)
			keys = append(keys, weak.Make(r))
		}
	}()
	kept := func() (n int) {
		resolvers.Lock()
		defer resolvers.Unlock()
		for _, key := range keys {
			if _, ok := resolvers.ours[key]; ok || key.Value() != nil {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(20 * time.Second); kept() > 0 && time.Now().Before(deadline); {
		runtime.GC()
	}
	assert.Zero(t, kept())
}

// TestResolverLoopback looks up over real UDP and TCP sockets.
func TestResolverLoopback(t *testing.T) {
	dnstest.SkipWithout(t)
	server := dnstest.Start(t, "127.0.0.1:0")
	server.Set("db.test", dnstest.Addrs(dns4, dns6))
	got := lookUp(t.Context(), server.Resolver(), "ip", "db.test.", time.Minute)
	require.NoError(t, got.err)
	assert.Equal(t, []string{dns4, dns6}, got.addrs)
	server.Mangle(func(answer []byte) []byte {
		answer[2] |= dnsTruncated >> 8 // package net accepts it over TCP
		return answer
	})
	got = lookUp(t.Context(), server.Resolver(), "ip", "db.test.", time.Minute)
	require.NoError(t, got.err)
	assert.Equal(t, []string{dns4, dns6}, got.addrs)
	assert.Empty(t, got.log.Unanswered())
}

// dnsQueryA is a query for the A records of db.test.
var dnsQueryA = []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02db\x04test\x00\x00\x01\x00\x01")

// TestQueryConn: what the log makes of one reply, or of several.
func TestQueryConn(t *testing.T) {
	change := func(r dnsReply, at int, to byte) dnsReply {
		r.message[at] = to
		return r
	}
	add := func(r dnsReply, section int, record ...byte) dnsReply {
		r.message[section]++
		r.message = append(r.message, record...)
		return r
	}
	const answers, additional = 7, 11 // where the header counts their records
	yes := func(q dnsQuery) dnsReply { return q.reply(dnsRecursion, dns4) }
	no := func(q dnsQuery) dnsReply { return q.reply(dnsRecursion) }
	for _, c := range []struct {
		name        string
		replies     func(q dnsQuery) []dnsReply
		packets     outcome
		overStreams outcome
	}{
		{"yes", func(q dnsQuery) []dnsReply { return one(yes(q)) }, answerYes, answerYes},
		{"truncated", func(q dnsQuery) []dnsReply { return one(q.reply(dnsRecursion|dnsTruncated, dns4)) }, noAnswer, answerYes},
		{"no", func(q dnsQuery) []dnsReply { return one(no(q)) }, answerNo, answerNo},
		{"no, then yes", func(q dnsQuery) []dnsReply { return []dnsReply{no(q), yes(q).in(1)} }, answerNo, answerNo},
		{"another ID", func(q dnsQuery) []dnsReply { return one(change(yes(q), 1, 0)) }, noAnswer, badAnswer},
		{"another name", func(q dnsQuery) []dnsReply { return one(change(yes(q), 13, 'D'+1)) }, noAnswer, badAnswer},
		{"another type", func(q dnsQuery) []dnsReply { return one(change(yes(q), 22, 'A')) }, noAnswer, badAnswer},
		{"a query", func(q dnsQuery) []dnsReply { return one(change(yes(q), 2, 0)) }, noAnswer, badAnswer},
		{"two questions", func(q dnsQuery) []dnsReply { return one(change(yes(q), 5, 2)) }, badAnswer, badAnswer},
		{"lame", func(q dnsQuery) []dnsReply { return one(q.reply(0)) }, badAnswer, badAnswer},
		{"not lame, because it has an OPT record", func(q dnsQuery) []dnsReply {
			return one(add(q.reply(0), additional, 0, 0, recordOPT, 0, 0, 0, 0, 0, 0, 0, 0))
		}, answerNo, answerNo},
		{"BADVERS", func(q dnsQuery) []dnsReply {
			return one(add(no(q), additional, 0, 0, recordOPT, 0, 0, 1, 0, 0, 0, 0, 0))
		}, badAnswer, badAnswer},
		{"OPT of an unknown version", func(q dnsQuery) []dnsReply {
			return one(add(no(q), additional, 0, 0, recordOPT, 0, 0, 1, 1, 0, 0, 0, 0))
		}, answerNo, answerNo},
		{"a name with reserved bits", func(q dnsQuery) []dnsReply {
			return one(add(no(q), answers, 0x40, 0, recordA, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1))
		}, badAnswer, badAnswer},
		{"an alias only", func(q dnsQuery) []dnsReply {
			return one(add(no(q), answers, 0xc0, headerLen, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, headerLen))
		}, answerNo, answerNo},
		{"too short", func(q dnsQuery) []dnsReply { return one(dnsReply{message: q.message[:11]}) }, noAnswer, badAnswer},
	} {
		for network, want := range map[string]outcome{"udp": c.packets, "tcp": c.overStreams} {
			t.Run(c.name+" over "+network, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &Log{Patience: time.Second}
					conn, err := dialServer(context.WithValue(t.Context(), LogKey{}, l), newMemServer(c.replies).resolver(), false, network, "server")
					require.NoError(t, err)
					defer conn.Close()
					conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
					query := dnsQueryA
					if network == "tcp" {
						query = append([]byte{0, byte(len(query))}, query...)
					}
					_, err = conn.Write(query)
					require.NoError(t, err)
					for err == nil {
						_, err = conn.Read(make([]byte, 512))
					}
					assert.Equal(t, want, l.questions[0].outcome)
				})
			})
		}
	}
}

// TestQueryConnClosed: a closed connection sends nothing more, and ends the context of its dial.
func TestQueryConnClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newMemServer(func(dnsQuery) []dnsReply { return nil })
		var dialCtx context.Context
		r := &net.Resolver{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialCtx = ctx
			return server.dial(ctx, network, address)
		}}
		conn, err := dialServer(t.Context(), r, false, "udp", "server")
		require.NoError(t, err)
		conn.Write(dnsQueryA)
		conn.Close()
		conn, err = dialServer(t.Context(), r, false, "tcp", "server")
		require.NoError(t, err)
		assert.NoError(t, dialCtx.Err(), "the connection may need it")
		conn.Close()
		assert.Error(t, dialCtx.Err())
		time.Sleep(10 * time.Second)
		assert.Len(t, server.seen(), 1)
	})
}

// TestQueryConnPassesOn: what is not a query is sent once, and not logged.
func TestQueryConnPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		l := &Log{Patience: time.Second}
		dial := func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		conn, err := dialServer(context.WithValue(t.Context(), LogKey{}, l), &net.Resolver{Dial: dial}, false, "tcp", "server")
		require.NoError(t, err)
		defer conn.Close()
		go theirs.Write([]byte("hello"))
		b := make([]byte, 5)
		n, err := conn.Read(b)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(b[:n]))
		go conn.Write([]byte("x"))
		n, err = theirs.Read(b)
		require.NoError(t, err)
		assert.Equal(t, "x", string(b[:n]))
		assert.Empty(t, l.questions)
	})
}

// TestResolverConnKinds: what the program's Dial returns stays a stream or a packet connection.
func TestResolverConnKinds(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	packets, err := net.Dial("udp", listener.LocalAddr().String())
	require.NoError(t, err)
	other, err := net.Dial("udp", listener.LocalAddr().String())
	require.NoError(t, err)
	for _, c := range []struct {
		conn   net.Conn
		packet bool
	}{{ours, false}, {struct{ net.Conn }{other}, false}, {packets, true}} {
		conn, err := dialServer(t.Context(), &net.Resolver{Dial: func(context.Context, string, string) (net.Conn, error) { return c.conn, nil }}, false, "udp", "server")
		require.NoError(t, err)
		_, isPacket := conn.(net.PacketConn)
		assert.Equal(t, c.packet, isPacket)
		assert.Equal(t, c.conn.RemoteAddr(), conn.RemoteAddr())
		if isPacket {
			n, err := conn.(net.PacketConn).WriteTo([]byte("x"), listener.LocalAddr())
			assert.Zero(t, n)
			assert.ErrorIs(t, err, net.ErrWriteToConnected)
		}
		assert.NoError(t, conn.Close())
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err = c.conn.Read(make([]byte, 1))
		assert.Error(t, err)
		assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is closed")
	}
}

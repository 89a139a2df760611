package systest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// errReached is the failure of a dial that has resolved its name. Nothing is sent to the address, because
// a mangled one may be anybody's.
var errReached = errors.New("the name has resolved")

func stopConnect(string, string, syscall.RawConn) error { return errReached }

// FuzzResolverAnswers resolves a name by a DNS server in memory, whose answers the bytes mangle, over UDP
// and TCP. The dial ends within its bounds, and the class says that the resolver failed, that the name
// does not exist, or that there was no answer. Time is virtual.
func FuzzResolverAnswers(f *testing.F) {
	dnstest.SkipWithout(f)
	server := dnstest.Start(f, "127.0.0.1:0")
	server.Set("name.test", dnstest.Addrs("127.0.0.1", "192.0.2.1", "::1"))
	// Package net reads its configuration at the first look-up, which must not be in a bubble.
	_, err := server.Resolver().LookupHost(f.Context(), "name.test.")
	require.NoError(f, err)

	f.Add([]byte{})
	testutil.AddDecisions(f, 150, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			m := &mangler{data: data}
			timeout := time.Duration(m.data.Pick(1000, 100, 7000)) * time.Millisecond
			elapsed := time.Duration(m.data.Pick(3000, 500, 20_000)) * time.Millisecond
			network := []string{"tcp", "tcp4", "tcp6"}[m.data.Next()%3]
			d := &redial.Dialer{
				Dialer: net.Dialer{
					Timeout: timeout, Control: stopConnect,
					Resolver: dnstest.ResolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) { return m.dial(server, network) }),
				},
				MaxElapsed: elapsed,
			}
			attempts := 0
			d.OnAttempt = func(_ context.Context, a redial.Attempt) {
				attempts++
				assert.LessOrEqual(t, a.Duration, timeout)
				assertResolverClass(t, a.Class, a.Err)
			}
			start := time.Now()
			_, err := d.DialContext(t.Context(), network, "name.test.:80")
			assert.LessOrEqual(t, time.Since(start), elapsed)
			assert.Positive(t, attempts)
			assertResolverClass(t, redial.Classify(err), err)
			m.mu.Lock()
			assert.True(t, m.touched || errors.Is(err, errReached), "the answers were good: %v", err)
			m.mu.Unlock()
			time.Sleep(5 * time.Minute) // package net's look-up goes on until its own time is up
		})
	})
}

// TestMangledAnswers is FuzzResolverAnswers with real sockets, for some bytes.
func TestMangledAnswers(t *testing.T) {
	t.Parallel()
	dnstest.SkipWithout(t)
	for seed := range 40 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := &mangler{data: testutil.RandomBytes(seed, 60)}
			server := dnstest.Start(t, "127.0.0.1:0")
			server.Set("name.test", dnstest.Addrs("127.0.0.1", "192.0.2.1", "::1"))
			server.Mangle(m.mangle)
			resolver := dnstest.ResolverBy(func(ctx context.Context, network, _ string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, server.Addr)
				if err == nil { // package net would read from it for 5 s more
					context.AfterFunc(t.Context(), func() { conn.Close() })
				}
				return conn, err
			})
			d := &redial.Dialer{
				Dialer:     net.Dialer{Timeout: 50 * time.Millisecond, Control: stopConnect, Resolver: resolver},
				Policy:     atOnce(),
				MaxElapsed: 200 * time.Millisecond,
			}
			start := time.Now()
			attempts, err := dialRecorded(t, d, "tcp", "name.test.:80")
			assert.Less(t, time.Since(start), 10*time.Second)
			assert.NotEmpty(t, attempts)
			assertResolverClass(t, redial.Classify(err), err)
		})
	}
}

func assertResolverClass(t *testing.T, class redial.Class, err error) {
	t.Helper()
	call, isCall := errors.AsType[*os.SyscallError](err)
	switch {
	case errors.Is(err, errReached):
		assert.Equal(t, redial.Unknown, class, "%v", err)
	case isCall && call.Syscall == "socket": // without IPv6
	default:
		assert.Contains(t, []redial.Class{redial.DNS, redial.NotFound, redial.Timeout}, class, "%v", err)
	}
}

// A mangler changes the answers of a DNS server as its bytes say.
type mangler struct {
	mu      sync.Mutex
	data    testutil.Decisions
	touched bool // an answer was not as it should be, or late
}

// dial returns a connection to server, which mangles its answers. It has packets if network is "udp", or,
// if the bytes say so, a stream.
func (m *mangler) dial(server *dnstest.Server, network string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	near, far := net.Pipe()
	switch m.data.Next() % 16 {
	case 1:
		network = "tcp"
	case 2:
		m.touched = true
		far.Close()
		return near, nil
	case 3:
		m.touched = true
		return nil, errors.New("no way to the server")
	}
	if network == "udp" {
		go m.servePackets(server, far)
		return packets{near}, nil
	}
	go m.serveStream(server, far)
	return near, nil
}

// packets makes Go's resolver send packets, without their length.
type packets struct{ net.Conn }

func (packets) ReadFrom([]byte) (int, net.Addr, error) { panic("not called") }
func (packets) WriteTo([]byte, net.Addr) (int, error)  { panic("not called") }

const largestPacket = 1232 // that Go's resolver reads

// servePackets answers each query, once or more often, in time or late. It reads all the time, because a
// client never waits to send a packet.
func (m *mangler) servePackets(server *dnstest.Server, conn net.Conn) {
	answers := make(chan []byte, 100)
	gone := make(chan struct{})
	go func() {
		for {
			select {
			case answer := <-answers:
				conn.Write(answer[:min(len(answer), largestPacket)])
			case <-gone:
				return
			}
		}
	}()
	defer close(gone)
	defer conn.Close()
	query := make([]byte, 1<<12)
	for {
		n, err := conn.Read(query)
		if err != nil {
			return
		}
		good := server.Answer(query[:n])
		go func() {
			for range m.times() {
				time.Sleep(m.upTo(3 * time.Second))
				select {
				case answers <- m.mangle(good):
				default: // lost
				}
			}
		}()
	}
}

// times returns how often a query is answered. Some are never answered, and some without an end.
func (m *mangler) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.data.Pick(1, 1, 1, 1, 1, 2, 0, 1000)
	m.touched = m.touched || n != 1
	return n
}

func (m *mangler) serveStream(server *dnstest.Server, conn net.Conn) {
	defer conn.Close()
	query := make([]byte, 1<<12)
	n, err := conn.Read(query)
	if err != nil || n < 2 {
		return
	}
	answer := m.mangle(server.Answer(query[2:n]))
	m.mu.Lock()
	length := len(answer)
	if m.data.Next()%4 == 1 {
		m.touched = true
		length = m.data.Pick(0, 1, length-1, length+1, 1<<16-1)
	}
	parts := m.data.Pick(1, 1, 1, 3)
	m.mu.Unlock()
	stream := append(binary.BigEndian.AppendUint16(nil, uint16(length)), answer...)
	for i := range parts {
		time.Sleep(m.upTo(time.Second))
		conn.Write(stream[len(stream)*i/parts : len(stream)*(i+1)/parts])
	}
	if m.again() {
		time.Sleep(time.Minute) // before the end of the stream
	}
}

func (m *mangler) upTo(most time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data.Next()%4 != 1 {
		return 0
	}
	m.touched = true
	return m.data.UpTo(most)
}

func (m *mangler) again() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.Next()%8 == 1
}

const headerLen = 12 // RFC 1035, section 4.1.1

// mangle returns what is sent in place of a good answer.
func (m *mangler) mangle(answer []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := &m.data
	answer = append([]byte{}, answer...)
	if len(answer) < headerLen {
		return answer
	}
	records := headerLen + len("\x04name\x04test\x00") + 4 // where they begin
	for range d.Pick(0, 1, 2, 5) {
		m.touched = true
		at := d.Next() * len(answer) / 256
		if len(answer) < records {
			return answer
		}
		switch d.Next() % 16 {
		case 0:
			answer[at] = byte(d.Next())
		case 1:
			answer[at] ^= 1 << (d.Next() % 8)
		case 2:
			answer = answer[:at]
		case 3:
			answer = append(answer, d.Bytes(40)...)
		case 4: // another query's
			answer[0]++
		case 5: // cut off: ask by TCP
			answer[2] |= 0x02
		case 6: // the code of the result
			answer[3] = answer[3]&0xf0 | byte(d.Next())&0x0f
		case 7: // the number of questions, or of records in a section
			binary.BigEndian.PutUint16(answer[4+d.Next()%4*2:], uint16(d.Next()*d.Pick(1, 256)))
		case 8: // a name that points to itself
			answer = binary.BigEndian.AppendUint16(answer[:records], 0xc000|uint16(records))
			answer = append(answer, "\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01"...)
		case 9: // a name that points anywhere
			binary.BigEndian.PutUint16(answer[min(at, len(answer)-2):], 0xc000|uint16(d.Next()*d.Pick(1, 64)))
		case 10: // an alias of itself, or of a name that is not there
			answer = append(answer[:records], "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x00\x00\x02\xc0"...)
			answer = append(answer, byte(d.Pick(headerLen, 17, 255)))
			binary.BigEndian.PutUint16(answer[6:], 1)
		case 11: // a record of another type
			if len(answer) > records+4 {
				answer[records+3] = byte(d.Next())
			}
		case 12: // very many records
			one := answer[records:]
			for range d.Pick(100, 4000) {
				if len(answer)+len(one) < 1<<16 {
					answer = append(answer, one...)
				}
			}
			binary.BigEndian.PutUint16(answer[6:], uint16(d.Pick(65535, 100, 4000)))
		case 13: // noise with the right ID
			answer = append(answer[:2], d.Bytes(200)...)
		case 14: // a question
			answer[2] &^= 0x80
		case 15:
			return nil
		}
	}
	return answer
}

package resolver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/dnstest"
)

// An answeringConn answers each query with the same message. It is a stream.
type answeringConn struct {
	net.Conn
	body []byte // the message without its ID
	left []byte // what Read still returns
}

func (c *answeringConn) Write(b []byte) (int, error) {
	message := append(append([]byte{}, b[2:min(4, len(b))]...), c.body...)
	c.left = append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	return len(b), nil
}

func (c *answeringConn) Read(b []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 7)], c.left) // in small pieces
	c.left = c.left[n:]
	return n, nil
}

func (c *answeringConn) Close() error                { return nil }
func (c *answeringConn) SetDeadline(time.Time) error { return nil }

// An answeringPacketConn is one that sends packets.
type answeringPacketConn struct{ answeringConn }

func (c *answeringPacketConn) ReadFrom([]byte) (int, net.Addr, error)    { panic("net uses Read") }
func (c *answeringPacketConn) WriteTo([]byte, net.Addr) (n int, _ error) { panic("net uses Write") }

func (c *answeringPacketConn) Write(b []byte) (int, error) {
	c.left = append(append([]byte{}, b[:2]...), c.body...)
	return len(b), nil
}

func (c *answeringPacketConn) Read(b []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, c.left)
	c.left = nil
	return n, nil
}

// FuzzDNSAnswer sends an arbitrary answer to Go's resolver through our connection. The answer's question
// is the one asked, so that the resolver looks at the rest. The log must agree with the resolver about
// what the answer says, and our connection must not change the result.
func FuzzDNSAnswer(f *testing.F) {
	dnstest.SkipWithout(f)
	record := []byte{0xc0, headerLen, 0, recordA, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1}
	opt := func(rcode byte) []byte { return []byte{0, 0, recordOPT, 4, 0xd0, rcode, 0, 0, 0, 0, 0} }
	alias := []byte{0xc0, headerLen, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, headerLen}
	header := func(flags uint16, answers, additional byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, flags), 0, 1, 0, answers, 0, 0, 0, additional)
	}
	for _, stream := range []bool{false, true} {
		f.Add(header(0x8180, 1, 0), record, stream)
		f.Add(header(0x8180, 2, 1), append(append(append([]byte{}, alias...), record...), opt(0)...), stream)
		f.Add(header(0x8180, 2, 0), append(append([]byte{}, alias...), record[:9]...), stream)
		f.Add(header(0x8180, 0, 1), opt(1), stream) // BADVERS
		f.Add(header(0x8180, 0, 0), []byte{}, stream)
		f.Add(header(0x8000, 0, 0), []byte{}, stream) // lame
		f.Add(header(0x8000, 0, 1), opt(0), stream)
		f.Add(header(0x8380, 1, 0), record, stream) // truncated
		f.Add(header(0x8182, 0, 0), []byte{}, stream)
		f.Add(header(0x8183, 0, 0), []byte{}, stream)
		f.Add(header(0x0180, 1, 0), record, stream) // a query
		f.Add([]byte{0x81, 0x80, 0, 2, 0, 0, 0, 0, 0, 0}, []byte{}, stream)
		f.Add([]byte{0x81, 0x80}, []byte{}, stream)
	}
	question := []byte("\x02db\x04test\x00\x00\x01\x00\x01")
	f.Fuzz(func(t *testing.T, header, records []byte, stream bool) {
		body := header
		if len(header) == headerLen-2 {
			body = append(append(append([]byte{}, header...), question...), records...)
		}
		if len(body) > 1200 || bytes.Contains(body, []byte{0xc0, 0}) || bytes.Contains(body, []byte{0xc0, 1}) {
			return // the resolver would cut it, or a name would have the ID in it, which is random
		}
		theirs := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
			if stream || network == "tcp" {
				return &answeringConn{body: body}, nil
			}
			return &answeringPacketConn{answeringConn{body: body}}, nil
		}}
		want, wantErr := theirs.LookupNetIP(t.Context(), "ip4", "db.test.")
		l := &Log{Patience: time.Second}
		got, err := For(theirs).LookupNetIP(context.WithValue(t.Context(), LogKey{}, l), "ip4", "db.test.")
		require.Equal(t, wantErr, err)
		require.Equal(t, want, got)
		require.Len(t, l.questions, 1)

		_, _, doubtful := l.Doubtful()
		dnsErr, _ := errors.AsType[*net.DNSError](err)
		switch outcome := l.questions[0].outcome; {
		case err == nil:
			require.Equal(t, answerYes, outcome)
		case dnsErr != nil && dnsErr.IsNotFound:
			require.Equal(t, answerNo, outcome)
			require.False(t, doubtful)
		case doubtful:
		default:
			// The resolver reads more of a message than we do, such as the names that pointers lead to.
			t.Logf("%v, but the outcome is %d", err, outcome)
		}
	})
}

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// Rounds begin an interval apart. A look that takes longer delays the next round,
// and what can never work is looked at once.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := parse([]string{"-count=3", "a:1", "never:1", "b:1"}, io.Discard, io.Discard)
		var out bytes.Buffer
		begin := time.Now()
		var starts []string
		take := func(_ context.Context, s *series) *look {
			starts = append(starts, s.target.Name+" "+time.Since(begin).String())
			took := 200 * time.Millisecond
			if len(starts) == 1 {
				took = 1500 * time.Millisecond
			}
			time.Sleep(took)
			l := &look{target: s.target, attempts: []attempt{{Attempt: redial.Attempt{Number: 1, Elapsed: took}}}}
			if s.target.Name == "never:1" {
				l.err = errors.New("no")
				l.attempts[0].Class, l.attempts[0].Err = redial.Invalid, l.err
			}
			return l
		}
		assert.Equal(t, exitNever, takeLooks(t.Context(), o, take, newReporter(o, &out, false)))
		assert.Equal(t, []string{"a:1 0s", "never:1 1.5s", "b:1 1.7s", "a:1 1.9s", "b:1 2.1s", "a:1 2.9s", "b:1 3.1s"}, starts)
		assert.Equal(t, 3100*time.Millisecond+200*time.Millisecond, time.Since(begin), "it waited after the last round")
		assert.Contains(t, out.String(), `   1  a:1      connected    1.5s
   1  never:1  invalid      200ms  no
   1  b:1      connected    200ms
   2  a:1      connected    200ms
`)
		assert.Contains(t, out.String(), "\na:1: 3 looks, 3 connected (shortest 200ms, median 200ms, longest 1.5s)\n")
		assert.Contains(t, out.String(), "\nnever:1: 1 look, 1 invalid\n")
	})
}

// Nothing is left to wait for if no target can ever work.
func TestNever(t *testing.T) {
	code, out, _ := inProcess(t, "-count=0", "-interval=1h", "127.0.0.1:99999")
	assert.Equal(t, exitNever, code)
	assert.Contains(t, out, "127.0.0.1:99999: 1 look, 1 invalid\n")
}

func TestSeries(t *testing.T) {
	s := &series{}
	shortest, median, longest := s.spread()
	assert.Zero(t, shortest+median+longest)
	for _, d := range []time.Duration{4, 1, 3, 8} {
		s.add(&look{attempts: []attempt{{Attempt: redial.Attempt{Elapsed: d * time.Second}}}})
	}
	shortest, median, longest = s.spread()
	assert.Equal(t, "1s 3.5s 8s", shortest.String()+" "+median.String()+" "+longest.String())
	for _, class := range []redial.Class{redial.Timeout, redial.Refused, redial.Timeout, redial.Canceled} {
		err := errors.New("x")
		s.add(&look{err: err, attempts: []attempt{{Attempt: redial.Attempt{Class: class, Err: err}}}})
	}
	s.add(&look{err: context.DeadlineExceeded})
	assert.Equal(t, "8 looks, 4 connected (shortest 1s, median 3.5s, longest 8s), 1 refused, 3 timeout, one was interrupted", s.summary())
}

// Each attempt shows what came of its own connection.
func TestConnectedThenRefused(t *testing.T) {
	testutil.NeedSockets(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	go func() {
		conn, err := listener.Accept()
		listener.Close()
		if err == nil {
			conn.Close()
		}
	}()
	code, out, _ := inProcess(t, "-attempts=2", "http://"+address)
	assert.Equal(t, exitFailed, code)
	assert.Regexp(t, address+` +connected .*\n  GET / +reset .*\n  attempt 2.*\n  `+address+` +refused `, out)
}

// The names of the fields are a promise.
func TestJSON(t *testing.T) {
	t.Parallel()
	missing := "127.0.0.1:" + closedPort(t)
	code, out, errOut := probe(t, "-json", "-attempts=2", missing)
	assert.Equal(t, exitFailed, code)
	assert.Empty(t, errOut)
	j := decode(t, out)
	assert.False(t, j.Connected)
	assert.Equal(t, "refused", j.Class)
	assert.Len(t, j.Attempts, 2)
	assert.Positive(t, j.Attempts[0].Delay)
	assert.Equal(t, "MaxAttempts reached", j.Attempts[1].Stop)
	require.NotNil(t, j.Advice)
	assert.True(t, strings.HasPrefix(j.Advice.Observed, "127.0.0.1:"))
	assert.NotEmpty(t, j.Advice.Checks)
	for _, field := range []string{`{"target":"` + missing + `","network":"tcp","address":"` + missing + `","connected":false,"class":"refused","error":"`,
		`"elapsed":`, `"attempts":[{"attempt":1,"duration":`, `"delay":`, `"stop":`, `"advice":{"code":"refused.loopback","observed":"`, `"checks":[{"question":"`} {
		assert.Contains(t, out, field)
	}

	code, out, _ = inProcess(t, "-json", "tcp4", "localhost:"+listen(t))
	assert.Zero(t, code)
	j = decode(t, out)
	assert.True(t, j.Connected)
	assert.Nil(t, j.Advice)
	assertMeasured(t, j.Elapsed)
	assertMeasured(t, j.Attempts[0].Resolve)
	assert.Equal(t, j.Remote, j.Attempts[0].Addrs[0].Addr)
}

func TestJSONCount(t *testing.T) {
	t.Parallel()
	there, missing := "127.0.0.1:"+listen(t), "127.0.0.1:"+closedPort(t)
	code, out, _ := inProcess(t, "-json", "-count=2", "-interval=0s", there, missing)
	assert.Equal(t, exitFailed, code)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 5)
	for i, round := range []int{1, 1, 2, 2} {
		assert.Equal(t, round, decode(t, lines[i]).Round)
	}
	var end jsonEnd
	decodeInto(t, lines[4], &end)
	require.Len(t, end.Summary, 2)
	assert.Equal(t, 2, end.Summary[0].Connected)
	assertMeasured(t, end.Summary[0].Median)
	assert.LessOrEqual(t, end.Summary[0].Shortest, end.Summary[0].Longest)
	assert.Equal(t, jsonSummary{Target: missing, Failed: map[string]int{"refused": 2}}, end.Summary[1])
}

// A name with several addresses, made up for a machine that has none.
func TestSeveralAddresses(t *testing.T) {
	refused := errors.New("connect: connection refused")
	addr := func(a string, class redial.Class, err error) redial.AddrResult {
		return redial.AddrResult{Addr: netip.MustParseAddrPort(a), Duration: time.Millisecond, Class: class, Err: err}
	}
	l := &look{target: target.Target{Network: "tcp", Address: "db.example:80"}, attempts: []attempt{{Attempt: redial.Attempt{
		Network: "tcp", Address: "db.example:80", Number: 1, Duration: 15 * time.Millisecond, Resolve: 12300 * time.Microsecond,
		Addrs: []redial.AddrResult{
			addr("[2001:db8::1]:80", redial.Refused, refused),
			addr("192.0.2.1:80", redial.Canceled, context.Canceled),
			addr("[::ffff:192.0.2.2]:80", redial.Unknown, nil),
		},
		Remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.2:80")),
	}}}}
	o := &options{count: 1}
	var out bytes.Buffer
	require.NoError(t, newReporter(o, &out, false).look(l))
	assert.Equal(t, `tcp db.example:80
  db.example: 3 addresses tried  resolved     12ms
  [2001:db8::1]:80               refused      1ms
  192.0.2.1:80                   called off   1ms
  192.0.2.2:80                   connected    1ms
`, out.String())

	l.attempts[0].visits = []visit{{remote: "192.0.2.2:80", took: 400 * time.Microsecond}}
	out.Reset()
	require.NoError(t, newReporter(o, &out, false).look(l))
	assert.Contains(t, out.String(), "  192.0.2.2:80                   connected    600µs\n", "without what came after the connection")

	l.err = refused
	l.attempts[0].Addrs, l.attempts[0].Err, l.attempts[0].Class = nil, refused, redial.NotFound
	out.Reset()
	require.NoError(t, newReporter(o, &out, true).look(l))
	assert.Contains(t, out.String(), "db.example  "+red+"not_found")
}

func TestLinesOfHTTP(t *testing.T) {
	o := &options{count: 2}
	var out bytes.Buffer
	for status, color := range map[int]string{404: green, 503: red} {
		l := &look{attempts: []attempt{{visits: []visit{{answer: target.Answer{Status: status}}}}}}
		out.Reset()
		require.NoError(t, newReporter(o, &out, true).look(l))
		assert.Contains(t, out.String(), color+"status ")
	}
}

func TestTLSStep(t *testing.T) {
	assert.Equal(t, "TLS 1.2", tlsStep(&tls.ConnectionState{Version: tls.VersionTLS12}))
	assert.Equal(t, "TLS 1.3, h2", tlsStep(&tls.ConnectionState{Version: tls.VersionTLS13, NegotiatedProtocol: "h2"}))
}

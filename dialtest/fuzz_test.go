package dialtest_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/dnstest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// FuzzScript makes dials by scripts that the bytes decide, and compares each with a plain model: which
// outcome it gets, after how long, and with which error. Time is virtual.
func FuzzScript(f *testing.F) {
	testutil.AddDecisions(f, 100, 3)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			m := scriptModel{t: t, data: data, scripts: map[string]*modelScript{}}
			m.decide()
			m.dialAll()
			m.checkRecord()
			m.checkConns()
		})
	})
}

// A scriptModel is a scripted dialer and what is expected of it.
type scriptModel struct {
	t       *testing.T
	data    testutil.Decisions
	script  *dialtest.Dialer
	rest    *modelScript
	scripts map[string]*modelScript
	repeat  bool
	failed  recordingTB
	dials   []*modelDial
}

// A modelScript has one outcome for each dial.
type modelScript struct {
	outcomes []modelOutcome
	at       int
}

type modelOutcome struct {
	dialtest.Outcome
	err      error // that the dial returns at last; nil if it connects
	class    redial.Class
	connects bool
	hangsUp  bool
	resolves bool // it fails in the resolver
	nothing  bool // neither a connection nor an error
	delay    time.Duration
}

type modelDial struct {
	network, address string
	isName           bool
	at               time.Duration // from the start of the test
	deadline, cancel time.Duration // from at; 0: none

	conn       net.Conn
	err        error
	start, end time.Time
	outcome    modelOutcome
}

const manyDials = 24

var errProxy = errors.New("a proxy's own")

func (m *scriptModel) decide() {
	m.rest = new(modelScript)
	m.script = dialtest.Script(m.outcomes(m.rest)...).FailTest(&m.failed)
	for _, address := range []string{"db.test:5432", "/run/db.sock"} {
		if m.data.Next()%2 > 0 {
			m.scripts[address] = new(modelScript)
			m.script.For(address, m.outcomes(m.scripts[address])...)
		}
	}
	if m.repeat = m.data.Next()%4 == 0; m.repeat {
		m.script.Repeat()
	}
	for i := range m.data.Next() % manyDials {
		d := &modelDial{network: "tcp", at: m.data.UpTo(5*time.Second).Truncate(time.Millisecond) + time.Duration(i)*time.Microsecond}
		switch m.data.Next() % 4 {
		case 0:
			d.address, d.isName = "db.test:5432", true
		case 1:
			d.address = "192.0.2.7:80"
		case 2:
			d.network, d.address = "unix", "/run/db.sock"
		case 3:
			d.network, d.address = "udp6", "[2001:db8::7]:53"
		}
		switch m.data.Next() % 4 {
		case 0:
			d.deadline = time.Duration(1+m.data.Next()%10) * time.Second
		case 1:
			d.deadline = -time.Second
		}
		if m.data.Next()%4 == 0 {
			d.cancel = m.data.UpTo(10*time.Second) + 500*time.Nanosecond // no outcome is due then
		}
		m.dials = append(m.dials, d)
	}
}

// outcomes decides a script. It adds to s one outcome for each dial.
func (m *scriptModel) outcomes(s *modelScript) (all []dialtest.Outcome) {
	for range m.data.Pick(1, 0, 2, 5) {
		o := m.outcome()
		if m.data.Next()%3 == 0 {
			delay := time.Duration(m.data.Next()%8-1) * time.Second
			o.Outcome, o.delay = o.After(delay), max(delay, 0)
		}
		times := 1
		switch m.data.Next() % 6 {
		case 0:
			times = m.data.Pick(0, 2, 5, -1, math.MinInt)
			o.Outcome = o.Times(times)
		case 1:
			times = manyDials
			o.Outcome = o.Forever()
		}
		all = append(all, o.Outcome)
		for range times {
			s.outcomes = append(s.outcomes, o)
		}
	}
	return all
}

func (m *scriptModel) outcome() (o modelOutcome) {
	switch i := m.data.Next() % (len(outcomes) + 4); i {
	case len(outcomes):
		o.Outcome, o.connects = dialtest.OK, true
	case len(outcomes) + 1:
		o.Outcome, o.connects, o.hangsUp = dialtest.HangUp, true, true
	case len(outcomes) + 2:
		o.Outcome, o.err = dialtest.Fail(errProxy), errProxy
	case len(outcomes) + 3:
		o.Outcome, o.nothing = dialtest.Fail(nil), true
	default:
		o.Outcome, o.class, o.resolves = outcomes[i].outcome, outcomes[i].class, outcomes[i].call == ""
		if outcomes[i].name == "Timeout" {
			o.delay = 127 * time.Second
		}
	}
	if m.data.Next()%4 == 0 {
		o.Outcome = o.Winsock()
	}
	return o
}

// dialAll makes the dials, each in its time, and compares each with the model.
func (m *scriptModel) dialAll() {
	begin := time.Now()
	var all sync.WaitGroup
	for _, d := range m.dials {
		all.Go(func() {
			time.Sleep(d.at)
			m.dial(d)
		})
	}
	all.Wait()
	ranOut := 0
	for _, dial := range m.script.Dials() { // in the order in which they began
		for _, d := range m.dials {
			if dial.Start.Equal(begin.Add(d.at)) {
				ranOut += m.expect(d)
			}
		}
	}
	assert.Len(m.t, m.failed.errors, ranOut, "a dial without an outcome fails the test")
}

func (m *scriptModel) dial(d *modelDial) {
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	if d.deadline != 0 {
		ctx, cancel = context.WithTimeout(ctx, d.deadline)
		defer cancel()
	}
	if d.cancel > 0 {
		defer time.AfterFunc(d.cancel, cancel).Stop()
	}
	d.start = time.Now()
	d.conn, d.err = m.script.DialContext(ctx, d.network, d.address)
	d.end = time.Now()
}

// expect compares a dial with the model. It returns 1 if the dial's script had run out.
func (m *scriptModel) expect(d *modelDial) (ranOut int) {
	t := m.t
	if d.deadline < 0 {
		m.expectEnd(d, 0, context.DeadlineExceeded, d.isName)
		return 0
	}
	s := m.scripts[d.address]
	if s == nil {
		s = m.rest
	}
	if m.repeat && s.at == len(s.outcomes) {
		s.at = 0
	}
	if s.at == len(s.outcomes) {
		assert.Equal(t, redial.Invalid, redial.Classify(d.err), "%v", d.err)
		assert.ErrorContains(t, d.err, "dialtest: ")
		assert.Equal(t, d.start, d.end)
		return 1
	}
	o := s.outcomes[s.at]
	s.at++
	switch {
	case o.delay > 0 && d.deadline > 0 && d.deadline <= o.delay && (d.cancel == 0 || d.deadline < d.cancel):
		m.expectEnd(d, d.deadline, context.DeadlineExceeded, o.resolves)
		return 0
	case o.delay > 0 && d.cancel > 0 && d.cancel < o.delay:
		m.expectEnd(d, d.cancel, context.Canceled, o.resolves)
		return 0
	}
	d.outcome = o
	assert.Equal(t, o.delay, d.end.Sub(d.start), "%v", o)
	switch {
	case o.connects:
		require.NoError(t, d.err)
		require.NotNil(t, d.conn)
		return 0
	case o.nothing:
		assert.NoError(t, d.err)
	case o.err != nil:
		assert.Same(t, o.err, d.err)
	default:
		_, alone := dialtest.Script(o.After(0).Times(1)).DialContext(t.Context(), d.network, d.address)
		assert.Equal(t, alone, d.err)
		if d.network != "unix" || !o.resolves { // a path is not a name
			assert.Equal(t, o.class, redial.Classify(d.err), "%v", d.err)
		}
	}
	assert.Nil(t, d.conn)
	return 0
}

// expectEnd compares a dial with one that the end of its context cuts off.
func (m *scriptModel) expectEnd(d *modelDial, after time.Duration, end error, resolving bool) {
	t := m.t
	assert.Equal(t, after, d.end.Sub(d.start), "%v", d.err)
	assert.Nil(t, d.conn)
	assert.True(t, errors.Is(d.err, end), "%v", d.err)
	class := redial.Timeout
	switch {
	case end == context.Canceled:
		class = redial.Canceled
	case resolving:
		class = redial.DNS
	}
	if d.network != "unix" {
		assert.Equal(t, class, redial.Classify(d.err), "%v", d.err)
	}
	var netError net.Error
	require.ErrorAs(t, d.err, &netError)
	assert.Equal(t, end == context.DeadlineExceeded, netError.Timeout())
}

// checkRecord compares Dials and Delays with what happened.
func (m *scriptModel) checkRecord() {
	t := m.t
	records := m.script.Dials()
	require.Len(t, records, len(m.dials))
	var delays []time.Duration
	for i, r := range records {
		assert.NotEmpty(t, r.String())
		if i == 0 {
			continue
		}
		require.True(t, r.Start.After(records[i-1].Start))
		delays = append(delays, max(r.Start.Sub(records[i-1].End), 0))
	}
	assert.Equal(t, delays, m.script.Delays())
	for _, d := range m.dials {
		found := false
		for _, r := range m.script.Dials(d.address) {
			found = found || r.Start.Equal(d.start) && r.End.Equal(d.end) && r.Err == d.err && r.Conn == d.conn && r.Network == d.network
		}
		assert.True(t, found)
	}
}

// checkConns talks over each connection to its other end, and closes it.
func (m *scriptModel) checkConns() {
	t := m.t
	open := 0
	far := map[string]net.Conn{} // by local address
	port := uint16(0)
	for _, d := range m.dials {
		if d.conn != nil {
			open++
		}
		if d.conn != nil && !d.outcome.hangsUp {
			other, err := m.script.Accept()
			require.NoError(t, err)
			key := other.RemoteAddr().String()
			if from, err := netip.ParseAddrPort(key); err == nil {
				assert.Greater(t, from.Port(), port, "Accept returns the oldest first")
				port = from.Port()
			}
			if other.RemoteAddr().Network() == "unix" {
				other.Close() // all unix sockets have the same local address
				continue
			}
			far[key] = other
		}
	}
	assert.Len(t, m.script.Open(), open)
	for _, d := range m.dials {
		if d.conn == nil {
			continue
		}
		buffer := make([]byte, 2)
		if d.outcome.hangsUp {
			_, err := d.conn.Read(buffer)
			assert.Equal(t, io.EOF, err)
		} else if other := far[d.conn.LocalAddr().String()]; other != nil && d.network != "unix" {
			_, err := d.conn.Write([]byte("hi"))
			require.NoError(t, err)
			_, err = io.ReadFull(other, buffer)
			require.NoError(t, err)
			other.Close()
			_, err = d.conn.Read(buffer)
			assert.Equal(t, io.EOF, err)
		}
		assert.NoError(t, d.conn.Close())
	}
	assert.Empty(t, m.script.Open())
	require.NoError(t, m.script.Close())
	_, err := m.script.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
}

// FuzzAddress dials any address on any network by a script and by net.Dialer, which is kept from
// connecting. What net.Dialer rejects, the script rejects with an equal error, and nothing else.
func FuzzAddress(f *testing.F) {
	dnstest.SkipWithout(f)
	for _, address := range []string{
		"", ":80", "a.test:80", "a.test", "a.test:", "127.0.0.1:80", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+80", "127.0.0.1: 80", "127.0.0.1:080",
		"[::1]:80", "::1:80", "[::1", "[::1]", "[::1]x:80", "[a.test]:80", "[fe80::1%lo]:80", "[::ffff:127.0.0.1]:80", "0.0.0.0:0", "[::]:0", "localhost:80",
		"256.1.1.1:80", "a b:80", "a/b:80", "a:b:c", "a.test:no-such-service", "a.test:99999999999999999999", "\xff:80", "/run/a", "@a", "\x00a", "x\x00y", "tcp/80:80",
	} {
		for _, network := range []string{"tcp", "tcp4", "tcp6", "udp", "udp6", "unix", "unixgram", "unixpacket", "", "tcp7"} {
			f.Add(network, address)
		}
	}
	errStopped := errors.New("about to connect")
	var remote string // what net.Dialer connects to
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		remote = address
		return errStopped
	}}
	f.Fuzz(func(t *testing.T, network, address string) {
		if strings.HasPrefix(network, "ip") {
			return // a script knows no IP sockets
		}
		_, real := dialer.DialContext(t.Context(), network, resolved(network, address))
		require.Error(t, real)
		if call, ok := errors.AsType[*os.SyscallError](real); ok && call.Syscall == "socket" {
			return // this machine has no such sockets
		}
		script := dialtest.Script(dialtest.OK)
		conn, err := script.DialContext(t.Context(), network, address)
		if errors.Is(real, errStopped) {
			require.NoError(t, err, "%q %q", network, address)
			// Other systems put a loopback address in place of none. Package net tries 0.0.0.0 before "::".
			if runtime.GOOS == "linux" && !strings.HasPrefix(remote, "0.0.0.0:") {
				assert.Equal(t, remote, conn.RemoteAddr().String(), "%q %q", network, address)
			}
		} else {
			assert.Equal(t, real, err, "%q %q", network, address)
			conn, err = script.DialContext(t.Context(), "tcp", "a.test:80")
			require.NoError(t, err, "the outcome is still in the script")
		}
		assert.Len(t, script.Open(), 1)
		assert.NoError(t, conn.Close())
	})
}

// resolved returns address with an IP address in place of a host name, so that net.Dialer asks no
// resolver.
func resolved(network, address string) string {
	host, port, err := net.SplitHostPort(address)
	if _, notIP := netip.ParseAddr(host); err != nil || host == "" || notIP == nil || strings.HasPrefix(network, "unix") {
		return address
	}
	if strings.HasSuffix(network, "6") {
		return net.JoinHostPort("2001:db8::1", port)
	}
	return net.JoinHostPort("192.0.2.1", port)
}

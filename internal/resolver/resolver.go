// Package resolver puts connections of its own under Go's resolver, which sends one packet to ask
// for a name's A records and one to ask for its AAAA records, and then waits for both answers. If
// one packet is lost, it waits 5 s before it sends another. If one of the two queries is never
// answered, it waits 10 s for it, although it has the other answer.
//
// Our connection sends a query again after 350 ms of silence. The connections of one look-up share a
// [Log]: once one family has addresses, the log bounds the wait for the other one. The log also
// remembers which queries failed, because the resolver's error does not tell.
//
// The resolver's own rules decide which names are asked, at which servers, and which answer is
// accepted. Our connection passes on every message that it receives.
package resolver

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/seed-33f8b841/redial/internal/errno"
	"github.com/seed-33f8b841/redial/internal/foreign"
)

// resendAfter is how long a query has no answer before it is sent again. The delay doubles each time: a
// query is sent again 0.35, 1.05 and 2.45 s after the first time. Most servers that work answer sooner.
const resendAfter = 350 * time.Millisecond

// A Log records what one look-up has asked, and what came back. The connections of the look-up
// share it.
type Log struct {
	Patience time.Duration // how long the look-up waits for one family when it has addresses of the other
	Family   string        // "4" or "6": the look-up waits for this one, because the other is of no use; empty: either will do
	users    int           // look-ups that share the log

	mu        sync.Mutex // guards the fields below, and those of the questions and connections
	questions []*question
	room      [2]*question // of questions, if there is no search list
	found     *question    // the question whose answer had addresses; nil: none yet
	foundAt   time.Time
}

// A question is a name and a type that the look-up has asked for, at one server or more.
type question struct {
	text    []byte // name, type and class as in a message (RFC 1035, section 4.1.2)
	server  string // the last server that was asked
	outcome outcome
}

func (q *question) name() []byte { return q.text[:len(q.text)-4] }
func (q *question) kind() uint16 { return binary.BigEndian.Uint16(q.text[len(q.text)-4:]) }

// LogKey is the key of a *Log in the context of a look-up.
type LogKey struct{}

// A Lookup is what look-ups have in common that package net merges.
type Lookup struct {
	Resolver     *net.Resolver // as For returns it
	Family, Host string        // Family is "4" or "6", or empty for both
}

// logs has the log of each name that is being looked up. If several dials look up one name, package
// net asks once for all of them, and all share a log.
var logs struct {
	sync.Mutex
	running map[Lookup]*Log
}

// Join returns the log of the equal look-ups that are running; own if there are none. The look-up must
// call Leave at its end.
func (own *Log) Join(lookup Lookup) *Log {
	logs.Lock()
	defer logs.Unlock()
	if logs.running == nil {
		logs.running = make(map[Lookup]*Log)
	}
	log := logs.running[lookup]
	if log == nil {
		log = own
		logs.running[lookup] = log
	} else {
		log.wait(own)
	}
	log.users++
	return log
}

// wait makes the look-up wait for a silent family as long as each of two dials would.
func (l *Log) wait(other *Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Patience = max(l.Patience, other.Patience)
	switch {
	case l.Family == "":
		l.Family = other.Family
	case other.Family != "" && other.Family != l.Family:
		l.Patience = math.MaxInt64 // each needs another one
	}
}

// Leave forgets the log if no look-up uses it any more.
func (l *Log) Leave(lookup Lookup) {
	logs.Lock()
	defer logs.Unlock()
	if l.users--; l.users == 0 {
		delete(logs.running, lookup)
	}
}

func (l *Log) isOfUse(q *question) bool {
	return l.Family == "" || (l.Family == "4") == (q.kind() == recordA)
}

// Unanswered returns the types of records whose queries have no answer: "A", "AAAA", "A and AAAA" or "".
func (l *Log) Unanswered() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var a, aaaa bool
	for _, q := range l.questions {
		a = a || q.outcome == noAnswer && q.kind() == recordA
		aaaa = aaaa || q.outcome == noAnswer && q.kind() == recordAAAA
	}
	switch {
	case a && aaaa:
		return "A and AAAA"
	case a:
		return "A"
	case aaaa:
		return "AAAA"
	}
	return ""
}

// Doubtful reports whether a query of the look-up was answered neither yes nor no, up to the last try. If
// so, it also returns the server, and whether the server was silent. "No such host" from a doubtful look-up
// can be false: with a search list, the resolver reports that one name does not exist although the
// query for another name failed.
func (l *Log) Doubtful() (server string, silent, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.questions {
		if q.outcome <= badAnswer {
			return q.server, q.outcome == noAnswer, true
		}
	}
	return "", false, false
}

// ask records that a question is about to be sent to server.
func (l *Log) ask(text []byte, server string) *question {
	var q *question
	i := slices.IndexFunc(l.questions, func(q *question) bool { return bytes.Equal(q.text, text) })
	if i >= 0 {
		q = l.questions[i]
	} else {
		q = &question{text: text}
		if l.questions == nil {
			l.questions = l.room[:0]
		}
		l.questions = append(l.questions, q)
	}
	q.server, q.outcome = server, noAnswer
	if l.found != nil && (l.found == q || !bytes.Equal(l.found.name(), q.name())) {
		l.found = nil // the resolver did not accept that answer, or it would not ask this
	}
	return q
}

var resolvers struct {
	sync.Mutex
	// ours has our resolver for each of the program's. A look-up keeps our resolver alive, and ours keeps the
	// program's alive, so the pointers here can be weak.
	ours map[weak.Pointer[net.Resolver]]weak.Pointer[net.Resolver]
}

// For returns the resolver to use in place of r, or of net.DefaultResolver if r is nil. It differs
// from r only in the connections under Go's resolver. While it is in use, For returns the same
// one for the same r, because net merges equal look-ups of one Resolver.
func For(r *net.Resolver) *net.Resolver {
	if r == nil {
		r = net.DefaultResolver
	}
	if r == nil || runtime.GOOS == "plan9" && r.Dial == nil {
		return r // on Plan 9, package net uses Go's resolver only if Dial is set
	}
	key := weak.Make(r)
	resolvers.Lock()
	defer resolvers.Unlock()
	ours := resolvers.ours[key].Value()
	if ours != nil && ours.PreferGo == r.PreferGo && ours.StrictErrors == r.StrictErrors {
		return ours
	}
	strict := r.StrictErrors
	ours = &net.Resolver{PreferGo: r.PreferGo, StrictErrors: strict}
	ours.Dial = func(ctx context.Context, network, server string) (net.Conn, error) {
		return dialServer(ctx, r, strict, network, server)
	}
	if resolvers.ours == nil {
		resolvers.ours = make(map[weak.Pointer[net.Resolver]]weak.Pointer[net.Resolver])
	}
	resolvers.ours[key] = weak.Make(ours)
	runtime.AddCleanup(ours, func(key weak.Pointer[net.Resolver]) {
		resolvers.Lock()
		defer resolvers.Unlock()
		if resolvers.ours[key].Value() == nil {
			delete(resolvers.ours, key)
		}
	}, key)
	return ours
}

// A queryConn is a connection to a DNS server, on which Go's resolver asks one question.
type queryConn struct {
	net.Conn              // set under log.mu, because the timer can fire while dialServer is still connecting
	packets         bool  // messages are packets, and not preceded by their length
	dialErr         error // the first Write returns it, because only Write knows the question
	ctx             context.Context
	cancel          context.CancelFunc // ends a dial over TCP; nil for UDP
	log             *Log
	strict          bool // the resolver needs both families
	network, server string

	// Guarded by log.mu.
	question *question // nil before Write
	query    []byte    // the whole message
	room     [80]byte  // of query, if it is short
	received []byte    // so far, from a stream
	timer    *time.Timer
	ticks    int  // how often the timer has fired
	resent   int  // how often the query was sent again, minus the errors that this brought
	over     bool // nothing is left to do: answered, closed or given up
}

// A queryPacketConn is a queryConn in which Go's resolver sees a net.PacketConn.
type queryPacketConn struct{ *queryConn }

func (c queryPacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	return c.Conn.(net.PacketConn).ReadFrom(b)
}

func (c queryPacketConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	return c.Conn.(net.PacketConn).WriteTo(b, addr)
}

// dialServer connects to a DNS server as r does. If the context has no log, because the dial that began the
// look-up has ended and others still share it, the connection gets a log of its own: lost packets
// are sent again, and a silent family is waited for as in package net.
func dialServer(ctx context.Context, r *net.Resolver, strict bool, network, server string) (net.Conn, error) {
	l, _ := ctx.Value(LogKey{}).(*Log)
	if l == nil {
		l = new(Log)
	}
	c := &queryConn{ctx: ctx, log: l, network: network, server: server, strict: strict}
	if network == "tcp" { // connecting can take long
		ctx, c.cancel = context.WithCancel(ctx)
		l.mu.Lock()
		c.startTimer()
		l.mu.Unlock()
	}
	dial := r.Dial // at each dial, because the program can set it at any time
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		conn = new(net.UDPConn) // its methods do nothing, and return an error
	}
	_, packets := conn.(net.PacketConn)
	l.mu.Lock()
	c.Conn, c.dialErr, c.packets = conn, err, packets
	l.mu.Unlock()
	if packets {
		return queryPacketConn{c}, nil
	}
	return c, nil
}

// Write sends the resolver's query.
func (c *queryConn) Write(b []byte) (int, error) {
	err := c.ask(b)
	if err == nil {
		var n int
		if n, err = c.Conn.Write(b); err == nil {
			return n, nil
		}
	}
	c.heard(nil, err)
	return 0, err
}

// ask records the query in b and starts the timer. It returns an error if the query must not be sent.
func (c *queryConn) ask(b []byte) error {
	if !c.packets {
		b = b[min(2, len(b)):]
	}
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.query = append(c.room[:0], b...)
	text, ok := questionOf(c.query)
	if !ok {
		c.over = true // pass on what is not understood
		return c.dialErr
	}
	c.question, c.over = c.log.ask(text, c.server), false
	if c.left() == 0 {
		return &net.OpError{Op: "write", Net: c.network, Err: os.ErrDeadlineExceeded}
	}
	if c.dialErr == nil {
		c.startTimer()
	}
	return c.dialErr
}

// Read receives a message, or a part of one from a stream.
func (c *queryConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err == nil || !c.forgive(err) {
			c.heard(b[:n], err)
			return n, err
		}
	}
}

// forgive reports whether to ignore err, because it is the "connection refused" that a query sent again can
// bring. Package net sends a query once and waits, so that a server that restarts can be back for its next query.
func (c *queryConn) forgive(err error) bool {
	call, ok := foreign.As[*os.SyscallError](err)
	if !ok {
		return false
	}
	if what := errno.Of(call.Err); what != errno.ConnectionRefused && what != errno.ConnectionReset { // on Windows, a closed port resets
		return false
	}
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.resent--
	return c.resent >= 0
}

// heard records what the server sent, or the error of the connection.
func (c *queryConn) heard(b []byte, err error) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	q := c.question
	if q == nil || c.over {
		return
	}
	message, complete := b, len(b) > 0
	if !c.packets {
		c.received = append(c.received, b...)
		message, complete = firstOf(c.received)
	}
	switch netErr, _ := err.(net.Error); {
	case complete && isAnswer(message, c.query):
		if c.network == "udp" && message[2]&2 != 0 {
			break // truncated: the resolver asks again over TCP
		}
		q.outcome = judge(message, q)
		if q.outcome == answerYes && l.isOfUse(q) {
			l.found, l.foundAt = q, time.Now()
		}
	case complete && !c.packets:
		q.outcome = badAnswer
	case err == nil:
		return // the resolver reads on
	case netErr == nil || !netErr.Timeout():
		q.outcome = badAnswer
	}
	c.stop()
}

// Close closes the connection.
func (c *queryConn) Close() error {
	c.log.mu.Lock()
	c.stop()
	c.log.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
	return c.Conn.Close()
}

func (c *queryConn) startTimer() {
	after := min(resendAfter, c.left())
	if c.timer == nil {
		c.timer = time.AfterFunc(after, c.tick)
	} else {
		c.timer.Reset(after)
	}
}

func (c *queryConn) stop() {
	c.over = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// left returns how long the look-up still waits for c, if the deadline that the resolver has set is later.
func (c *queryConn) left() time.Duration {
	switch l := c.log; {
	case c.ctx.Err() != nil:
		return 0
	case l.found == nil || l.found == c.question || c.strict:
		return math.MaxInt64
	default:
		return max(0, time.Until(l.foundAt.Add(l.Patience)))
	}
}

// tick runs while there is no answer, every 350 ms and when the wait for the answer ends. It sends
// the query again, or makes the pending Dial, Write or Read fail.
func (c *queryConn) tick() {
	c.log.mu.Lock()
	conn, left := c.Conn, c.left()
	if c.over {
		c.log.mu.Unlock()
		return
	}
	if left == 0 {
		c.stop()
		c.log.mu.Unlock()
		if c.cancel != nil {
			c.cancel()
		}
		if conn != nil {
			conn.SetDeadline(time.Unix(1, 0)) // long ago
		}
		return
	}
	c.startTimer()
	c.ticks++
	again := c.packets && c.ticks&(c.ticks+1) == 0 // 1, 3, 7 ...
	if again {
		c.resent++
	}
	c.log.mu.Unlock()
	if again {
		conn.Write(c.query) // if it fails, the first query may still be answered
	}
}

package redial

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/seed-33f8b841/redial/internal/foreign"
)

// A Transport is an http.RoundTripper. No wait and no new attempt of a dial outlasts the request, whose end
// net/http hides from the DialContext of an http.Transport.
//
// A wait ends with the request: with its context, when RoundTrip returns, or when the request gets another
// dial's connection. An attempt in flight may finish, and its connection serves other requests. If a
// request's time runs out during its dial, its error holds an [*Error]: the last failure, or class Timeout or
// DNS if nothing has answered. No request is sent twice, except as http.Transport does by itself.
//
// A Transport can be used concurrently.
type Transport struct {
	base   *http.Transport
	routes routes
}

// NewTransport returns a Transport that works as a clone of base, but dials through d. A nil base means
// http.DefaultTransport. A nil d means a zero Dialer.
//
// DialContext and Dial of base are not used: put them into d.DialFunc. If base has DialTLSContext or
// DialTLS, https requests without a proxy do not go through d. If base has no OnProxyConnectResponse, a
// proxy that does not connect to the target makes the request fail with a [*ProxyError].
func NewTransport(d *Dialer, base *http.Transport) *Transport {
	if d == nil {
		d = new(Dialer)
	}
	if base == nil {
		var ok bool
		if base, ok = http.DefaultTransport.(*http.Transport); !ok { // the program has set it to another RoundTripper
			base = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		}
	}
	clone := base.Clone()
	if base.TLSNextProto["h2"] != nil {
		// By itself, a transport that has a DialContext does not use HTTP/2.
		clone.ForceAttemptHTTP2 = true
	}
	if clone.OnProxyConnectResponse == nil {
		clone.OnProxyConnectResponse = checkProxyAnswer
	}
	t := &Transport{base: clone}
	clone.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		r, ok := ctx.Value(requestKey{}).(*request)
		if !ok { // RoundTrip did not start this dial; http.Transport.NewClientConn did
			return d.DialContext(ctx, network, address)
		}
		one := d.newDial(dialContext{ctx, r}, network, address, nil, nil)
		if !one.literal {
			one.route = t.routes.to(address)
		}
		defer r.attend(one)()
		conn, err := one.run()
		one.request.ended(err)
		if err == nil && one.route != nil {
			r.connected(one.route, ipPort(foreign.RemoteAddr(conn)))
		}
		return conn, err
	}
	return t
}

// RoundTrip implements http.RoundTripper as http.Transport does.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	r := &request{Context: req.Context()}
	defer r.over()
	r.trace.GetConn = r.getConn
	r.trace.GotConn = r.gotConn
	r.trace.TLSHandshakeDone = r.handshakeDone
	resp, err := t.base.RoundTrip(req.WithContext(httptrace.WithClientTrace(r, &r.trace)))
	if err != nil {
		return nil, r.withFailure(err)
	}
	resp.Request = req
	return resp, nil
}

// CloseIdleConnections closes the connections that no request is using.
func (t *Transport) CloseIdleConnections() {
	t.base.CloseIdleConnections()
}

// These are the reasons why a dial ends before its request's context does.
var (
	errRequestOver   = errors.New("the request is over")
	errRequestServed = errors.New("the request has another dial's connection")
)

// requestKey is the context key of a *request. net/http detaches the dial from
// the request's cancellation but keeps the values of its context. Only the
// DialContext that NewTransport sets looks for the key, because the context also
// reaches dials that hooks of base make.
type requestKey struct{}

// A request is one call of RoundTrip, and the context of the request that net/http
// sees. It is kept small: a requestDial has what only a dial needs.
type request struct {
	context.Context // the request's own
	trace           httptrace.ClientTrace

	mu       sync.Mutex   // guards the fields below
	unwanted error        // why no dial is wanted: errRequestOver or errRequestServed; nil while one is
	dial     *requestDial // the latest; nil if there was none
	route    *route       // of the latest dial that has connected, and the address that it has connected to
	addr     netip.AddrPort
}

// A requestDial is a dial that net/http makes for a request.
type requestDial struct {
	request          *request
	network, address string
	start            time.Time
	end              time.Time       // when its attempts end, by the Dialer's bounds; zero: never
	ctx              context.Context // ends the dial
	stop             context.CancelCauseFunc
	failed           *Error       // the dial's failures so far; nil if there were none or it has connected
	resolving        string       // the name that its attempt waits for; empty if it does not
	over             bool         // the dial has returned
	err              error        // what it has returned
	earlier          *requestDial // the dial of the same request before this one, which may still go on; nil if there was none
}

// A dialContext is the context of a dial that net/http makes for a request. It hides the
// trace by which RoundTrip follows its request: an HTTP request that DialFunc or Verify
// makes with this context would call the trace too. The caller's own trace stays.
type dialContext struct {
	context.Context
	request *request
}

func (c dialContext) Value(key any) any {
	value := c.Context.Value(key)
	if trace, ok := value.(*httptrace.ClientTrace); ok && trace == &c.request.trace {
		return c.request.Context.Value(key)
	}
	return value
}

func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// getConn begins a wait for a connection. There may be several in turn: net/http
// tries again if an idle connection turns out to be closed.
func (r *request) getConn(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop(errRequestServed) // if there was a wait before this one
	r.unwanted, r.dial = nil, nil
}

// gotConn ends the wait for a connection. The connection may come from another
// request's dial. Then the request's own dial still goes on, and gotConn stops it.
func (r *request) gotConn(httptrace.GotConnInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop(errRequestServed)
	r.dial = nil
}

// connected notes that a dial of the request has connected to addr.
func (r *request) connected(to *route, addr netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.route, r.addr = to, addr
}

// handshakeDone notes that the address that was connected to last has failed, if the TLS
// handshake has.
func (r *request) handshakeDone(_ tls.ConnectionState, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.route != nil && Classify(err) != Canceled {
		r.route.failed(r.addr)
	}
}

// over ends the request.
func (r *request) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop(errRequestOver)
}

// stop ends the request's dials. A dial that net/http starts later ends at once.
func (r *request) stop(reason error) {
	r.unwanted = reason
	for dial := r.dial; dial != nil; dial = dial.earlier {
		dial.stop(reason)
	}
}

// attend ties one, a dial that net/http starts for the request, to the request. Its attempts end only
// with the context that net/http gave it. The function returned must be called when the dial has ended.
func (r *request) attend(one *dial) (leave func()) {
	ctx := one.attemptCtx
	dial := &requestDial{request: r, network: one.network, address: one.address, start: time.Now()}
	dial.ctx, dial.stop = context.WithCancelCause(r.Context)
	stopWithCtx := context.AfterFunc(ctx, func() { dial.stop(context.Cause(ctx)) })
	one.waitCtx, one.request = dial.ctx, dial
	r.mu.Lock()
	defer r.mu.Unlock()
	dial.earlier, r.dial = r.dial, dial
	if r.unwanted != nil {
		dial.stop(r.unwanted)
	}
	return func() {
		stopWithCtx()
		dial.stop(nil)
	}
}

// report notes the dial's failures so far; nil if it has connected.
func (d *requestDial) report(failed *Error) {
	d.request.mu.Lock()
	defer d.request.mu.Unlock()
	d.failed = failed
}

// resolves notes which name an attempt of the dial waits for; none if host is empty.
func (d *requestDial) resolves(host string) {
	d.request.mu.Lock()
	defer d.request.mu.Unlock()
	d.resolving = host
}

// ended notes what the dial has returned.
func (d *requestDial) ended(err error) {
	d.request.mu.Lock()
	defer d.request.mu.Unlock()
	d.over, d.err = true, err
}

// withFailure adds the dial's last failure to err if the request ended during an
// attempt or a wait, or that its first attempt was silent until the request's deadline. In these
// cases net/http reports only that the request is over.
func (r *request) withFailure(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	awaitContext(r.Context, now) // http.Client's own timer may fire first
	deadline, ok := r.Deadline()
	isLate := r.Err() == context.DeadlineExceeded || ok && !now.Before(deadline)
	failed := r.dial.failure(now, isLate)
	if failed == nil {
		return r.withEnd(err)
	}
	if foreign.Holds(err, r.dial.err) {
		return err
	}
	e := *failed
	e.Stop, e.Cause, e.tooClose = ErrCanceled, err, false
	if r.Err() != nil {
		e.Cause = context.Cause(r.Context)
	}
	if isLate {
		e.Stop = ErrDeadline
	}
	return e.asOpError()
}

// failure returns the failures of the dial, and nil if it has none. If the request is late, the silence of
// the first attempt is one.
func (d *requestDial) failure(now time.Time, isLate bool) *Error {
	switch {
	case d == nil:
		return nil
	case d.failed != nil || d.over || !isLate:
		return d.failed
	}
	e := &Error{Network: d.network, Address: d.address, Attempts: 1, Elapsed: now.Sub(d.start), Class: Timeout}
	silence := os.ErrDeadlineExceeded
	if d.resolving != "" {
		e.Class, silence = DNS, lookupCutOff(d.request, d.resolving)
	}
	e.Err = &net.OpError{Op: "dial", Net: d.network, Err: silence}
	return e
}

// withEnd adds the error of the request's context to err if err is another dial's failure, and the
// cause of the context, as in an errgroup. net/http returns the cause alone, as if this request's dial
// had failed.
func (r *request) withEnd(err error) error {
	if _, isDial := foreign.As[*Error](err); isDial && r.Err() != nil && foreign.Holds(err, context.Cause(r.Context)) {
		return &endedRequest{end: r.Err(), cause: err}
	}
	return err
}

// An endedRequest is the error of a request whose context was canceled by another dial's failure.
type endedRequest struct{ end, cause error }

func (e *endedRequest) Error() string   { return e.end.Error() + ": " + foreign.Text(e.cause) }
func (e *endedRequest) Unwrap() []error { return []error{e.end, e.cause} }
func (e *endedRequest) Timeout() bool   { return e.end == context.DeadlineExceeded }

package redial

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// A Transport is an http.RoundTripper whose dials end with the requests that
// wanted them. Make one with [NewTransport].
//
// With http.Transport{DialContext: d.DialContext}, net/http keeps from the
// dialer that a request has been canceled or has run out of time, for another
// request may use the connection. A dialer that retries lives on then, and
// each new request to a dead server adds another. A Transport tells it:
//
//   - No wait is begun that would outlast the request's deadline, and a wait
//     ends with the request: with its context, when RoundTrip returns, or when
//     the request has got another's connection. No attempt starts for a request
//     that is gone. The attempt in flight may finish, as net/http means it, and
//     its connection is kept for others.
//   - A request whose time runs out while its dial is failing gets an error
//     that holds an [*Error] with the last failure: at once, if there is no
//     time for another attempt.
//
// Only the dial is retried: no request is ever sent twice, beyond what
// http.Transport does by itself.
//
// It is safe for concurrent use.
type Transport struct {
	base *http.Transport
}

// NewTransport returns a Transport that works as a clone of base does, but
// dials through d. If base is nil, it is http.DefaultTransport; if d is nil, a
// zero Dialer.
//
// A DialContext or Dial of base is replaced: put it into d.DialFunc to have it
// retried. A DialTLSContext or DialTLS is kept, and d has no part in the
// connections that it makes, which are those of https without a proxy.
// Whatever base was made to do by methods after Clone, such as
// RegisterProtocol, is not carried over, as of any clone.
func NewTransport(d *Dialer, base *http.Transport) *Transport {
	if d == nil {
		d = new(Dialer)
	}
	if base == nil {
		var ok bool
		if base, ok = http.DefaultTransport.(*http.Transport); !ok { // the program has put another there
			base = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		}
	}
	clone := base.Clone()
	if base.TLSNextProto["h2"] != nil {
		// Of its own accord a transport with a DialContext has no HTTP/2.
		clone.ForceAttemptHTTP2 = true
	}
	clone.DialContext = d.DialContext // before Dial, if base has that
	return &Transport{base: clone}
}

// RoundTrip implements http.RoundTripper as http.Transport does.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	over, end := context.WithCancelCause(req.Context())
	defer end(errRequestOver)
	r := &request{over: over}
	r.want()
	ctx := context.WithValue(req.Context(), requestKey{}, r)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { r.want() },
		GotConn: func(httptrace.GotConnInfo) { r.got() },
	})
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, r.withFailure(err)
	}
	resp.Request = req
	return resp, nil
}

// CloseIdleConnections closes the connections that no request is using.
// http.Client's method of that name calls it.
func (t *Transport) CloseIdleConnections() {
	t.base.CloseIdleConnections()
}

// These end the dial of a request that needs it no more.
var (
	errRequestOver   = errors.New("the request is over")
	errRequestServed = errors.New("the request has another's connection")
)

// requestKey is the key of the request that a dial is for: net/http detaches
// the dial from a request's cancellation, but not from its values.
type requestKey struct{}

// A request is one call of RoundTrip, as its dial sees it.
type request struct {
	over context.Context // ends with the request, or with RoundTrip

	mu     sync.Mutex
	wanted context.Context // ends with over, or when there is a connection
	stop   context.CancelCauseFunc
	failed *Error // its dial so far; nil if that has not failed, or has a connection
}

// requestOf is the request that a dial with ctx is for; nil if there is none.
func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// want begins a wait for a connection. There may be several: net/http tries
// again if an idle connection turns out to be closed.
func (r *request) want() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted, r.stop = context.WithCancelCause(r.over)
	r.failed = nil
}

// got ends it: the request's own dial may be waiting while another's
// connection has become free.
func (r *request) got() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop(errRequestServed)
	r.failed = nil
}

// context is that of the wait for a connection.
func (r *request) context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted
}

// note keeps what has come of the dial with ctx so far.
func (r *request) note(ctx context.Context, failed *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx == r.wanted && context.Cause(ctx) != errRequestServed {
		r.failed = failed
	}
}

// withFailure puts what its dial has failed with into the error of a request
// that ended in the middle of an attempt: net/http does not wait for the dial
// then, and says no more than that the request is over.
func (r *request) withFailure(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var known *Error
	if r.failed == nil || errors.As(err, &known) || errors.Is(err, r.failed.Err) {
		return err
	}
	e := *r.failed
	e.Stop, e.ctxErr = err, r.over.Err()
	if deadline, ok := r.over.Deadline(); e.ctxErr != nil {
		e.Stop = stopOf(r.over)
	} else if ok && !time.Now().Before(deadline) { // http.Client's own timer was first
		e.Stop = ErrDeadline
	}
	return e.asOpError()
}

package redial

import (
	"context"
	"errors"
	"net"
)

// observed runs a dial that OnDial observes. It closes the connection if the function
// that OnDial returned panics or ends the goroutine, because nobody gets the connection
// then.
func (l *loop) observed() (conn net.Conn, err error) {
	ctx, ended := l.dialer.OnDial(l.attemptCtx, l.network, l.address)
	if ctx != nil {
		leave := l.goOnWith(ctx)
		defer leave()
	}
	if ended != nil {
		err = errUnwound // until the dial returns
		defer func() {
			returned := false
			defer func() {
				if !returned && conn != nil {
					l.discard(conn)
				}
			}()
			ended(err)
			returned = true
		}()
	}
	return l.run()
}

// errUnwound is the error of a dial that has not returned.
var errUnwound = errors.New("redial: a panic or runtime.Goexit ended the dial")

// goOnWith makes ctx, which OnDial has derived from attemptCtx, the context of the
// dial. The function returned must be called when the dial has ended.
func (l *loop) goOnWith(ctx context.Context) func() {
	l.attemptCtx = ctx
	if l.report == nil {
		l.ctx = ctx
		return func() {}
	}
	var leave func()
	l.ctx, leave = join(l.ctx, ctx) // the request ends the dial, but not its attempts
	l.also = ctx
	return leave
}

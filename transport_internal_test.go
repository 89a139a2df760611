package redial

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The dials that net/http makes for a request end with the request, also one that begins when the request is over, and the first
// of two. The caller of a dial that has ended leaves nothing behind in the request's context.
func TestRequestEndsItsDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &request{Context: t.Context()}
		r.getConn("a.test:80")
		first, endFirst := r.newDial(t.Context())
		second, endSecond := r.newDial(t.Context())
		assert.NoError(t, first.ctx.Err())
		assert.NoError(t, second.ctx.Err())
		r.over()
		assert.Equal(t, errRequestOver, context.Cause(first.ctx))
		assert.Equal(t, errRequestOver, context.Cause(second.ctx))
		late, endLate := r.newDial(t.Context())
		assert.Equal(t, errRequestOver, context.Cause(late.ctx))
		endFirst()
		endSecond()
		endLate()

		// A dial ends with the context that net/http gives it too.
		r = &request{Context: t.Context()}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("net/http")
		c, end := r.newDial(ctx)
		cancel(cause)
		synctest.Wait()
		assert.Equal(t, cause, context.Cause(c.ctx))
		end()

		c, end = r.newDial(t.Context())
		end()
		assert.Equal(t, context.Canceled, c.ctx.Err())
	})
}

// If the program has set http.DefaultTransport to another RoundTripper, a Transport's base does what http.DefaultTransport does.
func TestBaseWithoutDefault(t *testing.T) {
	original := http.DefaultTransport
	defer func() { http.DefaultTransport = original }()
	http.DefaultTransport = http.NewFileTransport(http.Dir("."))
	base := NewTransport(nil, nil).base
	assert.NotNil(t, base.Proxy)
	assert.True(t, base.ForceAttemptHTTP2)
}

// A dial that no request has begun dials all the same.
func TestBaseDialsWithoutRequest(t *testing.T) {
	var dialed []string
	d := &Dialer{MaxAttempts: 1, DialFunc: func(_ context.Context, network, address string) (net.Conn, error) {
		dialed = append(dialed, network, address)
		return nil, errUnwound
	}}
	_, err := NewTransport(d, nil).base.DialContext(t.Context(), "tcp", "a.test:80")
	require.ErrorIs(t, err, errUnwound)
	assert.Equal(t, []string{"tcp", "a.test:80"}, dialed)
}

package redial

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

// All dials that net/http makes for a request end with the request, also if one begins late: the
// first, the second while the first goes on, and one that begins when the request is over. When net/http
// starts its dials is a matter of chance, so that no test through RoundTrip can bring this about.
func TestRequestEndsAllItsDials(t *testing.T) {
	r := &request{Context: t.Context()}
	attended := func() *dial {
		one := new(Dialer).newDial(t.Context(), "tcp", "a.test:80", nil, nil)
		t.Cleanup(r.attend(one))
		return one
	}
	r.getConn("a.test:80")
	first, second := attended(), attended()
	assert.NoError(t, first.waitCtx.Err())
	assert.NoError(t, second.waitCtx.Err())
	r.over()
	for _, one := range []*dial{first, second, attended()} {
		assert.Equal(t, errRequestOver, context.Cause(one.waitCtx))
		assert.NoError(t, one.attemptCtx.Err(), "net/http can use the connection for another request")
	}
}

package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestNoRequestIsLost(t *testing.T) {
	t.Parallel()
	testutil.NeedSockets(t)
	var out bytes.Buffer
	for range 3 {
		out.Reset()
		if run(&out, 500*time.Millisecond+2*testutil.Refusal) == 0 {
			break
		} // a server that stops can drop a connection that it has not accepted yet: rare, on a busy machine
	}
	assert.Contains(t, out.String(), "with redial: 100 requests answered, 0 lost")
	assert.Regexp(t, `without redial: \d+ requests answered, [1-9]\d* lost`, out.String())
	assert.Contains(t, out.String(), "dial attempt failed, will retry")
	assert.Contains(t, out.String(), "dial recovered")
}

// A client without redial loses requests, and load counts them as lost.
func TestLossIsCounted(t *testing.T) {
	t.Parallel()
	address, stop := serve("127.0.0.1:0")
	stop()
	answered, _ := load(&http.Client{Transport: &http.Transport{}}, "http://"+address)
	assert.Zero(t, answered)
	assert.Panics(t, func() { serve("127.0.0.1:99999") })
	assert.Error(t, get(&http.Client{Transport: half{}}, "http://a.test"))
}

// half is a transport whose responses break off in the middle.
type half struct{}

func (half) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Body: io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))}, nil
}

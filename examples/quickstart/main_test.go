package main

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func TestOwnServer(t *testing.T) {
	testutil.NeedSockets(t)
	var out bytes.Buffer
	assert.Zero(t, run(nil, &out, 300*time.Millisecond+2*testutil.Refusal))
	assert.Contains(t, out.String(), "\nattempt 1: refused, the next in ")
	assert.Contains(t, out.String(), ": connected, ")
	assert.Contains(t, out.String(), "received: hello, you got through\n")
}

func TestLog(t *testing.T) {
	testutil.NeedSockets(t)
	var out bytes.Buffer
	assert.Zero(t, run([]string{"-log"}, &out, 300*time.Millisecond+2*testutil.Refusal))
	assert.Contains(t, out.String(), `WARN dial attempt failed, will retry {"network": "tcp", "address": "127.0.0.1:`)
	assert.Contains(t, out.String(), `"class": "refused"`)
	assert.Contains(t, out.String(), "INFO dial recovered")
	assert.NotContains(t, out.String(), "attempt 1:")
}

func TestGivenAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	var out bytes.Buffer
	assert.Zero(t, run([]string{ln.Addr().String()}, &out, 0))
	assert.Contains(t, out.String(), "attempt 1: connected")
	assert.Contains(t, out.String(), "-> "+ln.Addr().String())
}

func TestFailure(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 1, run([]string{"127.0.0.1"}, &out, 0))
	assert.Contains(t, out.String(), "attempt 1: invalid, no other: not to be retried\n")
	assert.Contains(t, out.String(), "error: dial tcp: address 127.0.0.1: missing port in address (invalid, 1 attempt in ")
	assert.Contains(t, out.String(), "\n\nThe address \"127.0.0.1\" has no port.\n")
}

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	greetOne(ln.Addr().String()) // must return at once, because the port is taken
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 2, run([]string{"a", "b"}, &out, 0))
	assert.Contains(t, out.String(), "usage: quickstart [-log] [host:port]\n")
	assert.Equal(t, 2, run([]string{"-unknown"}, &out, 0))
}

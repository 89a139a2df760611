package testutil

import (
	"net"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func TestLeftGoroutines(t *testing.T) {
	const many = 100 // far more than earlier tests may have left to end
	before := runtime.NumGoroutine()
	end := make(chan struct{})
	for range many {
		go func() { <-end }()
	}
	assert.Greater(t, leftGoroutines(before, 0), many/2)

	time.AfterFunc(10*time.Millisecond, func() { close(end) })
	assert.LessOrEqual(t, leftGoroutines(before, 5*time.Second), 0, "they end while they are waited for")
}

func TestRefusingAddress(t *testing.T) {
	for _, network := range []string{"tcp", "tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			address := RefusingAddress(t, network)
			_, err := net.Dial(network, address)
			require.Error(t, err)
			assert.False(t, err.(net.Error).Timeout())
			_, err = net.Listen(network, address)
			assert.Error(t, err, "nobody else comes to listen there")
		})
	}
}

func TestFreeAddress(t *testing.T) {
	address := FreeAddress(t)
	ln := Listen(t, "tcp", address, Echo)
	assert.Equal(t, address, ln.Addr().String())
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	AssertEchoes(t, conn)
}

func TestGet(t *testing.T) {
	server := httptest.NewServer(Hello)
	defer server.Close()
	body, proto, err := Get(t.Context(), server.Client(), server.URL)
	require.NoError(t, err)
	assert.Equal(t, "hello", body)
	assert.Equal(t, "HTTP/1.1", proto)

	_, _, err = Get(t.Context(), server.Client(), "http://[::1")
	assert.Error(t, err)
	_, _, err = Get(t.Context(), server.Client(), "http://"+RefusingAddress(t, "tcp"))
	assert.Error(t, err)
}

package testutil

import (
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func TestLeftGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	end := make(chan struct{})
	for range 100 { // far more than earlier tests may have left running
		go func() { <-end }()
	}
	var out strings.Builder
	assert.Equal(t, 1, checkGoroutines(before, 0, &out))
	assert.Contains(t, out.String(), "goroutines left behind, among these:\n")
	assert.Contains(t, out.String(), "TestLeftGoroutines")

	time.AfterFunc(10*time.Millisecond, func() { close(end) })
	assert.Zero(t, checkGoroutines(before, 5*time.Second, &out), "the goroutines end while checkGoroutines waits")
}

func TestBubble(t *testing.T) {
	begin := time.Now()
	Bubble(t, "an hour", func(t *testing.T) { time.Sleep(time.Hour) })
	assert.Less(t, time.Since(begin), time.Minute)
}

func TestRefusingAddress(t *testing.T) {
	for _, network := range []string{"tcp", "tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			address := RefusingAddress(t, network)
			_, err := net.Dial(network, address)
			require.Error(t, err)
			assert.False(t, err.(net.Error).Timeout())
			if runtime.GOOS != "linux" {
				return // others let a listener have the port of a connection, if it asks for that very port
			}
			_, err = net.Listen(network, address)
			assert.Error(t, err, "nobody else can listen there")
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

func TestMemory(t *testing.T) {
	before := Memory().HeapAlloc
	block := make([]byte, 8<<20)
	assert.Greater(t, Memory().HeapAlloc, before+7<<20)
	runtime.KeepAlive(block)
}

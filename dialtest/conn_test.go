package dialtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/dialtest"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// connect returns both ends of a new connection.
func connect(t *testing.T, network, address string) (client, server net.Conn) {
	t.Helper()
	script := dialtest.Script(dialtest.OK)
	client, err := script.DialContext(t.Context(), network, address)
	require.NoError(t, err)
	server, err = script.Accept()
	require.NoError(t, err)
	return client, server
}

func TestAddressesOfConnection(t *testing.T) {
	for _, test := range []struct {
		network, address string
		local, remote    net.Addr
	}{
		{
			"tcp", "127.0.0.1:5432",
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 49152}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5432},
		},
		{
			"tcp", "db:https",
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 49152}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443},
		},
		{
			"tcp", "[::1]:5432",
			&net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 49152}, &net.TCPAddr{IP: net.IPv6loopback, Port: 5432},
		},
		{
			"tcp", "192.0.2.2:49152", // the local port must not be the remote port
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 49153}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 49152},
		},
		{
			"udp6", "dns:53",
			&net.UDPAddr{IP: net.ParseIP("2001:db8::2"), Port: 49152}, &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 53},
		},
		{"unix", "/run/db.sock", &net.UnixAddr{Net: "unix"}, &net.UnixAddr{Net: "unix", Name: "/run/db.sock"}},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			client, server := connect(t, test.network, test.address)
			assert.Equal(t, test.local, client.LocalAddr())
			assert.Equal(t, test.remote, client.RemoteAddr())
			assert.Equal(t, test.remote, server.LocalAddr())
			assert.Equal(t, test.local, server.RemoteAddr())
		})
	}
}

// Every connection has a local port of its own. It is never the remote port: package redial would
// take the connection for a self-connection and close it.
func TestPortsAreUnique(t *testing.T) {
	const ports = 16384 - 1
	script := dialtest.Script(dialtest.OK.Forever())
	dialer := &redial.Dialer{DialFunc: script.DialContext}
	seen := make(map[string]bool)
	for range ports {
		conn, err := dialer.Dial("tcp", "192.0.2.2:60000")
		require.NoError(t, err)
		seen[conn.LocalAddr().String()] = true
	}
	assert.Len(t, seen, ports)
	assert.NotContains(t, seen, "192.0.2.2:60000")
}

func TestTransfer(t *testing.T) {
	client, server := connect(t, "tcp", "db:5432")
	// Each end writes a megabyte before either end reads.
	message := bytes.Repeat([]byte("0123456789"), 100_000)
	for _, end := range []net.Conn{client, server} {
		n, err := end.Write(message)
		require.NoError(t, err)
		assert.Equal(t, len(message), n)
	}
	require.NoError(t, client.Close())
	got, err := io.ReadAll(server)
	require.NoError(t, err, "data written before the close still arrives")
	assert.True(t, bytes.Equal(message, got))

	n, err := server.Read(nil)
	assert.Zero(t, n)
	assert.NoError(t, err)
	_, err = server.Write([]byte("x"))
	assert.Equal(t, redial.Reset, redial.Classify(err), "%v", err)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "write tcp 192.0.2.1:5432->192.0.2.2:49152", strings.SplitN(op.Error(), ": ", 2)[0])
}

func TestClosedConnection(t *testing.T) {
	client, server := connect(t, "tcp", "db:5432")
	server.Write([]byte("never read"))
	require.NoError(t, client.Close())

	_, err := client.Read(make([]byte, 1))
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = client.Write([]byte("x"))
	assert.ErrorIs(t, err, net.ErrClosed)
	for _, err := range []error{client.Close(), client.SetDeadline(time.Time{}), client.SetReadDeadline(time.Time{}), client.SetWriteDeadline(time.Time{})} {
		assert.ErrorIs(t, err, net.ErrClosed)
	}
	assert.NoError(t, server.SetDeadline(time.Now()), "the server's end is still open")
	assert.NoError(t, server.Close())
}

func TestDeadlinesOfConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t, "tcp", "db:5432")
		start := time.Now()
		read := func() error {
			_, err := client.Read(make([]byte, 1))
			return err
		}
		assertTimeout := func(err error, after time.Duration) {
			t.Helper()
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			var netErr net.Error
			require.ErrorAs(t, err, &netErr)
			assert.True(t, netErr.Timeout())
			assert.Equal(t, after, time.Since(start))
		}

		require.NoError(t, client.SetReadDeadline(start.Add(time.Second)))
		assertTimeout(read(), time.Second)
		assertTimeout(read(), time.Second)

		// The deadline changes while a read waits: first to an earlier time, then to a later one.
		// At last it is removed.
		require.NoError(t, client.SetDeadline(start.Add(time.Hour)))
		time.AfterFunc(time.Second, func() { client.SetReadDeadline(start.Add(3 * time.Second)) })
		assertTimeout(read(), 3*time.Second)
		require.NoError(t, client.SetReadDeadline(start.Add(5*time.Second)))
		time.AfterFunc(time.Second, func() { client.SetReadDeadline(start.Add(10 * time.Second)) })
		assertTimeout(read(), 10*time.Second)
		require.NoError(t, client.SetReadDeadline(start.Add(11*time.Second)))
		require.NoError(t, client.SetReadDeadline(time.Time{}))
		time.AfterFunc(time.Minute, func() { server.Write([]byte("x")) })
		assert.NoError(t, read())
		assert.Equal(t, time.Minute+10*time.Second, time.Since(start))

		// A deadline for writes, then one in the past for reads and writes, as redial sets it to
		// interrupt Verify.
		require.NoError(t, client.SetWriteDeadline(start))
		_, err := client.Write([]byte("x"))
		assertTimeout(err, time.Minute+10*time.Second)
		require.NoError(t, client.SetDeadline(time.Time{}))
		_, err = client.Write([]byte("x"))
		assert.NoError(t, err)
		server.Write([]byte("x"))
		require.NoError(t, client.SetDeadline(time.Unix(1, 0)))
		assertTimeout(read(), time.Minute+10*time.Second)
	})
}

// A waiting read returns when either end is closed.
func TestCloseEndsReads(t *testing.T) {
	for _, closeClient := range []bool{true, false} {
		testutil.Bubble(t, fmt.Sprint("the client closes: ", closeClient), func(t *testing.T) {
			client, server := connect(t, "tcp", "db:5432")
			var reading sync.WaitGroup
			var errs [2]error
			for i := range errs {
				reading.Go(func() { _, errs[i] = client.Read(make([]byte, 1)) })
			}
			synctest.Wait()
			want := io.EOF
			if closeClient {
				want = net.ErrClosed
				client.Close()
			} else {
				server.Close()
			}
			reading.Wait()
			assert.ErrorIs(t, errs[0], want)
			assert.ErrorIs(t, errs[1], want)
		})
	}
}

func TestHangUp(t *testing.T) {
	conn, err := dialtest.Script(dialtest.HangUp).DialContext(t.Context(), "tcp", "proxy:1080")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	_, err = conn.Write([]byte("x"))
	assert.Equal(t, redial.Reset, redial.Classify(err))

	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.HangUp, dialtest.OK)
		dialer := &redial.Dialer{DialFunc: script.DialContext, Verify: func(_ context.Context, conn net.Conn) error {
			_, err := conn.Write([]byte("ping"))
			return err
		}}
		conn, err := dialer.Dial("tcp", "proxy:1080")
		require.NoError(t, err)
		assert.Len(t, script.Dials(), 2)
		assert.Equal(t, script.Dials()[1:], script.Open(), "redial closed the first connection")
		server, err := script.Accept()
		require.NoError(t, err)
		assert.Equal(t, conn.LocalAddr(), server.RemoteAddr(), "Accept skips the connection that hung up")
	})
}

func TestAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.Times(3), dialtest.OK.After(time.Minute), dialtest.OK)
		var clients []net.Conn
		for range 3 {
			conn, err := script.DialContext(t.Context(), "tcp", "db:5432")
			require.NoError(t, err)
			clients = append(clients, conn)
		}
		for _, client := range clients {
			server, err := script.Accept()
			require.NoError(t, err)
			assert.Equal(t, client.LocalAddr(), server.RemoteAddr())
		}

		start := time.Now()
		go script.DialContext(t.Context(), "tcp", "db:5432")
		_, err := script.Accept()
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, "192.0.2.1:0", script.Addr().String())
	})
}

func TestCloseListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.OK.Times(2), dialtest.HangUp)
		client, err := script.DialContext(t.Context(), "tcp", "db:5432")
		require.NoError(t, err)
		require.NoError(t, script.Close())
		_, err = client.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err, "Close closes connections that wait for Accept")

		_, err = script.Accept()
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.ErrorIs(t, script.Close(), net.ErrClosed)
		_, err = script.DialContext(t.Context(), "tcp", "db:5432")
		assert.Equal(t, dial(dialtest.Refuse, "tcp", "db:5432"), err)
		_, err = script.DialContext(t.Context(), "tcp", "db:5432")
		assert.NoError(t, err, "HangUp connects even after Close")

		waiting := dialtest.Script()
		time.AfterFunc(time.Second, func() { waiting.Close() })
		_, err = waiting.Accept()
		assert.ErrorIs(t, err, net.ErrClosed)
	})
}

// The server and the client of net/http talk to each other in a bubble.
func TestServeHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := dialtest.Script(dialtest.Refuse, dialtest.OK.Forever())
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute)
			fmt.Fprint(w, "hello ", r.RemoteAddr)
		})}
		served := make(chan error)
		go func() { served <- server.Serve(script) }()

		transport := &http.Transport{DialContext: script.DialContext}
		client := &http.Client{Transport: transport}
		_, err := client.Get("http://web/")
		assert.Equal(t, redial.Refused, redial.Classify(err))
		start := time.Now()
		response, err := client.Get("http://web/")
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, "hello 192.0.2.2:49152", string(body))
		assert.Equal(t, time.Minute, time.Since(start))

		assert.Len(t, script.Open(), 1, "the client keeps the connection alive")
		transport.CloseIdleConnections()
		synctest.Wait()
		assert.Empty(t, script.Open())
		require.NoError(t, server.Shutdown(t.Context()))
		assert.True(t, errors.Is(<-served, http.ErrServerClosed))
	})
}

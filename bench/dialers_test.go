package bench

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

const address = "192.0.2.1:80"

// refuse returns the error of package net for a connection that was refused.
func refuse(network, address string) error {
	addr, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return err
	}
	return &net.OpError{Op: "dial", Net: network, Addr: addr, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// A script makes attempts. All but those after the first refusals succeed.
type script struct {
	refusals int
	attempts []time.Time
}

func (s *script) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	s.attempts = append(s.attempts, time.Now())
	if len(s.attempts) <= s.refusals {
		return nil, refuse(network, address)
	}
	conn, other := net.Pipe()
	other.Close()
	return conn, nil
}

// delays returns the time between the attempts.
func (s *script) delays() []time.Duration {
	var all []time.Duration
	for i := 1; i < len(s.attempts); i++ {
		all = append(all, s.attempts[i].Sub(s.attempts[i-1]))
	}
	return all
}

const always = 1 << 30

// Each Dialer makes exactly the attempts that it is told to, after exactly the delays.
func TestAttempts(t *testing.T) {
	delay := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for _, d := range append([]Dialer{Loop}, Dialers...) {
		for _, attempts := range []int{1, 2, 7} {
			testutil.Bubble(t, fmt.Sprintf("%s/%d", d.Name, attempts), func(t *testing.T) {
				s := script{refusals: always}
				_, err := d.New(Options{Connect: s.DialContext, Attempts: attempts, Delay: delay})(t.Context(), "tcp", address)
				assert.ErrorIs(t, err, syscall.ECONNREFUSED)
				if !d.Retries {
					assert.Len(t, s.attempts, 1)
					return
				}
				require.Len(t, s.attempts, attempts)
				for i, got := range s.delays() {
					assert.Equal(t, delay(i+1), got)
				}
			})
		}
		testutil.Bubble(t, d.Name+"/until it connects", func(t *testing.T) {
			s := script{refusals: 40}
			conn, err := d.New(Options{Connect: s.DialContext, Attempts: -1, Delay: delay})(t.Context(), "tcp", address)
			if !d.Retries {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.NoError(t, conn.Close())
			assert.Len(t, s.attempts, 41)
		})
	}
}

// Over real sockets, each Dialer connects by the net.Dialer that it is given, bounded by
// its Timeout.
func TestRealAttempts(t *testing.T) {
	closed := testutil.RefusingAddress(t, "tcp")
	open := testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo).Addr().String()
	for _, d := range append([]Dialer{Loop}, Dialers...) {
		t.Run(d.Name, func(t *testing.T) {
			var sockets atomic.Int32
			o := Options{Attempts: 3, Delay: func(int) time.Duration { return time.Millisecond }}
			o.Net.Control = func(string, string, syscall.RawConn) error { sockets.Add(1); return nil }
			dial := d.New(o)
			_, err := dial(t.Context(), "tcp", closed)
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
			want := int32(3)
			if !d.Retries {
				want = 1
			}
			assert.Equal(t, want, sockets.Load())

			conn, err := dial(t.Context(), "tcp", open)
			require.NoError(t, err)
			defer conn.Close()
			testutil.AssertEchoes(t, conn)
			assert.IsType(t, new(net.TCPConn), conn)
		})
	}
}

// Each HTTPClient dials exactly as often as it is told to.
func TestHTTPAttempts(t *testing.T) {
	clients := HTTPClients
	for _, d := range Dialers {
		clients = append(clients, InTransport(d))
	}
	for _, c := range clients {
		for _, attempts := range []int{1, 2, 4} {
			testutil.Bubble(t, fmt.Sprintf("%s/%d", c.Name, attempts), func(t *testing.T) {
				s := script{refusals: always}
				var began, ended atomic.Int32
				client := c.New(HTTPOptions{
					Dial:    Options{Connect: s.DialContext, Attempts: attempts, Delay: func(int) time.Duration { return time.Second }},
					Dialing: func() func() { began.Add(1); return func() { ended.Add(1) } },
				})
				_, err := client.Get("http://" + address)
				assert.ErrorIs(t, err, syscall.ECONNREFUSED)
				if !c.Retries {
					attempts = 1
				}
				assert.Len(t, s.attempts, attempts)
				assert.Equal(t, began.Load(), ended.Load())
				assert.NotZero(t, began.Load())
			})
		}
	}
}

// Each HTTPClient keeps its connections alive, or does not, as it is told.
func TestHTTPConnections(t *testing.T) {
	server := httptest.NewServer(testutil.Hello)
	defer server.Close()
	for _, c := range HTTPClients {
		for _, disabled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/disabled=%t", c.Name, disabled), func(t *testing.T) {
				var dials atomic.Int32
				client := c.New(HTTPOptions{Timeout: time.Minute, DisableKeepAlives: disabled, Dialing: func() func() { dials.Add(1); return func() {} }})
				defer client.CloseIdleConnections()
				for range 3 {
					body, _, err := testutil.Get(t.Context(), client, server.URL)
					require.NoError(t, err)
					assert.Equal(t, "hello", body)
				}
				want := int32(1)
				if disabled {
					want = 3
				}
				assert.Equal(t, want, dials.Load())
			})
		}
	}
}

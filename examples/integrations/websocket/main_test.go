package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

// serve runs a server that sends back each message.
func serve(address string) error {
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err == nil {
				err = conn.Write(r.Context(), kind, message)
			}
			if err != nil {
				return
			}
		}
	}))
}

// An open function opens a WebSocket.
type open func(ctx context.Context, address string) (socket, error)

// A socket is one client's WebSocket.
type socket interface {
	echo(ctx context.Context) error
	Close() error
}

type coderSocket struct{ *coder.Conn }

func (s coderSocket) Close() error { return s.CloseNow() }

func (s coderSocket) echo(ctx context.Context) error {
	if err := s.Write(ctx, coder.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, _, err := s.Read(ctx)
	return err
}

type gorillaSocket struct{ *gorilla.Conn }

func (s gorillaSocket) echo(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		s.SetReadDeadline(deadline)
	}
	if err := s.WriteMessage(gorilla.TextMessage, []byte("hello")); err != nil {
		return err
	}
	_, _, err := s.ReadMessage()
	return err
}

func openCoder(o *coder.DialOptions) open {
	return func(ctx context.Context, address string) (socket, error) {
		conn, _, err := coder.Dial(ctx, "ws://"+address, o)
		if err != nil {
			return nil, err
		}
		return coderSocket{conn}, nil
	}
}

func openGorilla(d *gorilla.Dialer) open {
	return func(ctx context.Context, address string) (socket, error) {
		conn, _, err := d.DialContext(ctx, "ws://"+address, nil)
		if err != nil {
			return nil, err
		}
		return gorillaSocket{conn}, nil
	}
}

// clients are the clients under test: how each opens a WebSocket with redial, and with a net.Dialer.
var clients = map[string]struct {
	redial func(*redial.Dialer) open
	plain  func(*net.Dialer) open
}{
	"coder": {
		func(d *redial.Dialer) open { return openCoder(coderOptions(d)) },
		func(d *net.Dialer) open {
			return openCoder(&coder.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}})
		},
	},
	"gorilla": {
		func(d *redial.Dialer) open { return openGorilla(gorillaDialer(d)) },
		func(d *net.Dialer) open { return openGorilla(&gorilla.Dialer{NetDialContext: d.DialContext}) },
	},
}

func newDialer() *redial.Dialer { return &redial.Dialer{Logger: zap.NewNop()} }

// exchange opens a WebSocket, and sends and receives one message.
func exchange(ctx context.Context, open open, address string) error {
	s, err := open(ctx, address)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.echo(ctx)
}

// forEach runs a subtest for each client.
func forEach(t *testing.T, f func(t *testing.T, name string)) {
	t.Parallel()
	for name := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, name)
		})
	}
}

// keeping returns a function that exchanges one message. It keeps the WebSockets that work, and opens another if all
// are in use. The clients leave this to the program.
func keeping(t *testing.T, open open, address string) func(context.Context) error {
	kept := make(chan socket, 100)
	t.Cleanup(func() {
		close(kept)
		for s := range kept {
			s.Close()
		}
	})
	return func(ctx context.Context) (err error) {
		var s socket
		select {
		case s = <-kept:
		default:
			if s, err = open(ctx, address); err != nil {
				return err
			}
		}
		if err := s.echo(ctx); err != nil {
			s.Close()
			return err
		}
		kept <- s
		return nil
	}
}

func TestSuite(t *testing.T) {
	var suites []kit.Suite
	for name, client := range clients {
		suites = append(suites, kit.Suite{
			Client: name + "/websocket",
			Server: kit.NewSelf,
			Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
				return keeping(t, client.plain(d), addresses[0])
			},
			Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
				return keeping(t, client.redial(d), addresses[0])
			},
		})
	}
	kit.RunSuites(t, suites...)
}

// The handshake is not part of the dial. Do makes it part of an attempt, and retries it.
func TestHandshakeFailsAtFirst(t *testing.T) {
	forEach(t, func(t *testing.T, name string) {
		var connects kit.Connects
		ln := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) {}) // drops each connection
		address := ln.Addr().String()
		d := newDialer()
		d.Control, d.MaxAttempts = connects.Control, 3
		open := clients[name].redial(d)
		require.Error(t, exchange(t.Context(), open, address))
		assert.Equal(t, 1, connects.Count())

		_, err := redial.Do(t.Context(), d, "tcp", address, func(ctx context.Context) (socket, error) { return open(ctx, address) })
		var failed *redial.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, redial.Reset, failed.Class)
		assert.Equal(t, 3, failed.Attempts)
		assert.Equal(t, 1+3, connects.Count(), "the retries must not multiply")

		address = kit.FreeAddress(t)
		kit.Self(t, address).Start(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		s, err := redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (socket, error) { return open(ctx, address) })
		require.NoError(t, err)
		defer s.Close()
		assert.NoError(t, s.echo(ctx), "the WebSocket must survive the end of the attempt")
	})
}

// A reader outlives a server that drops the WebSocket, and one that says that it restarts.
func TestReader(t *testing.T) {
	t.Parallel()
	ends := make(chan func(*coder.Conn), 4)
	ends <- func(conn *coder.Conn) { conn.CloseNow() }
	ends <- func(conn *coder.Conn) { conn.Close(coder.StatusServiceRestart, "back soon") }
	ends <- func(conn *coder.Conn) { conn.Close(coder.StatusNormalClosure, "") }
	ends <- func(conn *coder.Conn) { conn.Close(coder.StatusPolicyViolation, "go away") }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		conn.Write(r.Context(), coder.MessageText, []byte("hello"))
		(<-ends)(conn)
	}))
	defer server.Close()
	var classes []redial.Class
	d := newDialer()
	d.OnLost = func(_ context.Context, l redial.Loss) { classes = append(classes, l.Class) }
	messages := 0
	count := func(message []byte) error {
		assert.Equal(t, "hello", string(message))
		messages++
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	address := server.Listener.Addr().String()
	require.NoError(t, read(ctx, d, address, server.URL, count))
	assert.Equal(t, 3, messages)
	assert.Equal(t, []redial.Class{redial.Reset, redial.Reset}, classes)

	err := read(ctx, d, address, server.URL, count)
	assert.Equal(t, coder.StatusPolicyViolation, coder.CloseStatus(err), "what the server says ends the reader")
}

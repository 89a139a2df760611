package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/net/proxy"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// blocked is a port that the proxy's rules forbid.
const blocked = "127.0.0.1:25"

// newProxy returns a Dante server that has not been started.
func newProxy(t *testing.T) (server *kit.Server, address string) {
	t.Helper()
	path := kit.Binary(t, "danted", "dante-server")
	const user = "nobody"
	dir := kit.Dir(t, user)
	address = kit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	config := filepath.Join(dir, "danted.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
logoutput: stderr
internal: 127.0.0.1 port = %s
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks block { from: 0.0.0.0/0 to: 127.0.0.1/32 port = 25 command: connect }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect }
`, port), 0o644))
	return &kit.Server{
		Path: path,
		Args: []string{"-f", config, "-p", filepath.Join(dir, "pid")},
		Env:  []string{"TMPDIR=" + dir},
		User: user,
		Ready: func(ctx context.Context) error {
			return hello(plain(t, address, new(net.Dialer)), echo(t))(ctx)
		},
	}, address
}

// echo returns the address of a server behind the proxy.
func echo(t *testing.T) string {
	return testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo).Addr().String()
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// plain returns the dial function of x/net/proxy itself, over forward.
func plain(t *testing.T, address string, forward proxy.Dialer) dialFunc {
	t.Helper()
	dialer, err := proxy.SOCKS5("tcp", address, nil, forward)
	require.NoError(t, err)
	return dialer.(proxy.ContextDialer).DialContext
}

// ours returns the dial function of the program.
func ours(t *testing.T, address string, d *redial.Dialer) dialFunc {
	t.Helper()
	with, err := throughSOCKS(d, address, nil)
	require.NoError(t, err)
	return with.DialContext
}

// hello dials the target, and has it echo five bytes.
func hello(dial dialFunc, target string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := dial(ctx, "tcp", target)
		if err != nil {
			return err
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			if err := conn.SetDeadline(deadline); err != nil {
				return err
			}
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err
		}
		_, err = io.ReadFull(conn, make([]byte, 5))
		return err
	}
}

func TestSuite(t *testing.T) {
	target := echo(t)
	kit.Suite{
		Client: "SOCKS5",
		Server: newProxy,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return hello(plain(t, addresses[0], d), target)
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			return hello(ours(t, addresses[0], d), target)
		},
	}.Run(t)
}

// TestTargetDownAtFirst has a proxy that is up, and a target behind it that is not.
func TestTargetDownAtFirst(t *testing.T) {
	t.Parallel()
	server, address := newProxy(t)
	server.Start(t)
	target := kit.FreeAddress(t)
	up := time.AfterFunc(2*time.Second, func() { testutil.Listen(t, "tcp", target, testutil.Echo) })
	defer up.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := hello(plain(t, address, &redial.Dialer{}), target)(ctx)
	assert.Error(t, err, "a forward dialer has connected when the proxy answers")
	assert.Equal(t, redial.Unknown, redial.Classify(err), "x/net/proxy has the reply as text only")
	assert.NoError(t, hello(ours(t, address, &redial.Dialer{}), target)(ctx))
}

// TestTargetNeverUp has the proxy's reply in the error.
func TestTargetNeverUp(t *testing.T) {
	t.Parallel()
	server, address := newProxy(t)
	server.Start(t)
	var connects kit.Connects
	d := &redial.Dialer{Dialer: net.Dialer{Control: connects.Control}, Logger: zap.NewNop()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := hello(ours(t, address, d), kit.FreeAddress(t))(ctx)
	t.Log(err)
	var failed *redial.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, redial.Refused, failed.Class)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Greater(t, failed.Attempts, 2)
	assert.Equal(t, failed.Attempts, connects.Count(), "the dial to the proxy must not multiply the retries")
	var said *socksError
	require.ErrorAs(t, err, &said)
	assert.EqualValues(t, 5, said.reply)
}

// TestReplies has a real proxy say why it did not connect.
func TestReplies(t *testing.T) {
	t.Parallel()
	server, address := newProxy(t)
	server.Start(t)
	d := &redial.Dialer{MaxAttempts: 2, Policy: redial.Policy{}, Logger: zap.NewNop()}
	for target, class := range map[string]redial.Class{
		kit.FreeAddress(t): redial.Refused,
		blocked:            redial.Denied,
	} {
		_, err := ours(t, address, d)(t.Context(), "tcp", target)
		var failed *redial.Error
		require.ErrorAs(t, err, &failed, target)
		assert.Equal(t, class, failed.Class, "%s: %v", target, err)
	}
}

// TestScriptedReplies has the replies that need a network of their own, with and without a password.
func TestScriptedReplies(t *testing.T) {
	t.Parallel()
	for reply, class := range map[byte]redial.Class{
		1: redial.Unknown, // any failure of the proxy
		2: redial.Denied,
		3: redial.Unreachable,
		4: redial.Unreachable,
		5: redial.Refused,
		6: redial.Timeout,
		7: redial.Invalid,
		8: redial.Invalid,
	} {
		for _, auth := range []*proxy.Auth{nil, {User: "user", Password: "secret"}} {
			answers := []string{"\x05\x00"}
			if auth != nil {
				answers = []string{"\x05\x02", "\x01\x00"}
			}
			answers = append(answers, string([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0}))
			server := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
				request := make([]byte, 512)
				for _, answer := range answers {
					conn.Read(request)
					io.WriteString(conn, answer)
				}
				conn.Read(request)
			})
			d := &redial.Dialer{Policy: redial.Policy{}, Logger: zap.NewNop()}
			with, err := throughSOCKS(d, server.Addr().String(), auth)
			require.NoError(t, err)
			_, err = with.DialContext(t.Context(), "tcp", "192.0.2.1:80") // which nobody dials
			var failed *redial.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, class, failed.Class, "reply %d: %v", reply, err)
		}
	}
}

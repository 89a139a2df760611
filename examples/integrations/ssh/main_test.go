package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) {
	kit.InParallel()
	os.Exit(m.Run())
}

// newKey writes a new private key to a file, and returns it with its public half.
func newKey(t *testing.T, file string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer
}

// newKeys writes the keys of a server to a directory, and returns the configuration of a client that the server
// admits.
func newKeys(t *testing.T) (dir string, config *ssh.ClientConfig) {
	t.Helper()
	dir = kit.Dir(t, "")
	hostKey := newKey(t, filepath.Join(dir, "host"))
	userKey := newKey(t, filepath.Join(dir, "user"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authorized_keys"), ssh.MarshalAuthorizedKey(userKey.PublicKey()), 0o600))
	me, err := user.Current()
	require.NoError(t, err)
	return dir, &ssh.ClientConfig{
		User:            me.Username,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(userKey)},
		HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey()),
	}
}

// newServer returns an SSH server that has not been started. Its keys are in dir.
func newServer(t *testing.T, dir string, config *ssh.ClientConfig, options string) (*kit.Server, string) {
	t.Helper()
	path := kit.Binary(t, "/usr/sbin/sshd", "openssh-server")
	if os.Getuid() == 0 {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // sshd needs it, and finds it nowhere else
	}
	address := kit.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	file := filepath.Join(kit.Dir(t, ""), "sshd_config")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `ListenAddress %[1]s
Port %[2]s
HostKey %[3]s/host
AuthorizedKeysFile %[3]s/authorized_keys
PidFile none
UsePAM yes
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
%[4]s
`, host, port, dir, options), 0o600))
	return &kit.Server{
		Path: path,
		Args: []string{"-D", "-e", "-f", file},
		Ready: func(context.Context) error {
			client, err := ssh.Dial("tcp", address, config)
			if err == nil {
				client.Close()
			}
			return err
		},
	}, address
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func quiet() *redial.Dialer { return newDialer(zap.NewNop()) }

// newEcho returns the address of a server that sends back what it reads.
func newEcho(t *testing.T) string {
	t.Helper()
	return testutil.Listen(t, "tcp", "127.0.0.1:0", testutil.Echo).Addr().String()
}

// tunnelBy returns a tunnel that is closed when t ends.
func tunnelBy(t *testing.T, connect func(context.Context) (*ssh.Client, error)) *tunnel {
	t.Helper()
	tun := newTunnel(connect)
	t.Cleanup(func() { tun.Close() })
	return tun
}

// newTunnelTo returns a Dialer through an SSH server, as the program has it.
func newTunnelTo(t *testing.T, d *redial.Dialer, address string, config *ssh.ClientConfig) *redial.Dialer {
	t.Helper()
	return throughTunnel(d, tunnelBy(t, func(ctx context.Context) (*ssh.Client, error) {
		return connect(ctx, d, address, config)
	}))
}

// echo dials the address and exchanges a few bytes.
func echo(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), address string) error {
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // such a connection has no deadlines
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 5))
	return err
}

func TestSuite(t *testing.T) {
	dir, config := newKeys(t)
	target := newEcho(t)
	through := func(dial func(context.Context, string, string) (net.Conn, error)) kit.Operation {
		return func(ctx context.Context) error { return echo(ctx, dial, target) }
	}
	kit.Suite{
		Client: "SSH",
		Server: func(t *testing.T) (*kit.Server, string) { return newServer(t, dir, config, "") },
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return through(tunnelBy(t, func(ctx context.Context) (*ssh.Client, error) {
				conn, err := d.DialContext(ctx, "tcp", addresses[0])
				if err != nil {
					return nil, err
				}
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				c, channels, requests, err := ssh.NewClientConn(conn, addresses[0], config)
				if err != nil {
					return nil, err
				}
				return ssh.NewClient(c, channels, requests), nil
			}).DialContext)
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Timeout = quiet().Timeout
			return through(newTunnelTo(t, d, addresses[0], config).DialContext)
		},
	}.Run(t)
}

// The SSH server is up, and its target is not: what it says gets a class.
func TestTargetNeverUp(t *testing.T) {
	t.Parallel()
	dir, config := newKeys(t)
	server, address := newServer(t, dir, config, "PermitOpen 127.0.0.1:* localhost:*")
	server.Start(t)
	d := newTunnelTo(t, quiet(), address, config)
	for _, test := range []struct {
		target string
		class  redial.Class
	}{
		{kit.FreeAddress(t), redial.Refused},
		{"127.0.0.2:1", redial.Denied},
	} {
		_, err := d.DialContext(within(t, time.Second), "tcp", test.target)
		t.Log(err)
		var failed *redial.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, test.class, failed.Class)
		assert.Equal(t, test.class == redial.Refused, failed.Attempts > 1)
	}
}

// Neither a wrong key nor a wrong host key will get better.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	dir, config := newKeys(t)
	server, address := newServer(t, dir, config, "")
	server.Start(t)
	stranger := newKey(t, filepath.Join(t.TempDir(), "key"))
	wrongUser, wrongHost := *config, *config
	wrongUser.Auth = []ssh.AuthMethod{ssh.PublicKeys(stranger)}
	wrongHost.HostKeyCallback = ssh.FixedHostKey(stranger.PublicKey())
	for _, config := range []*ssh.ClientConfig{&wrongUser, &wrongHost} {
		_, err := connect(within(t, 10*time.Second), quiet(), address, config)
		t.Log(err)
		var failed *redial.Error
		require.ErrorAs(t, err, &failed)
		assert.ErrorIs(t, err, redial.ErrPermanent)
		assert.Equal(t, 1, failed.Attempts)
	}
}

// sshd drops connections beyond MaxStartups that have not logged in yet.
func TestMaxStartups(t *testing.T) {
	t.Parallel()
	dir, config := newKeys(t)
	server, address := newServer(t, dir, config, "MaxStartups 2")
	server.Start(t)
	ctx := within(t, 30*time.Second)
	failures := func(dial func() (*ssh.Client, error)) (n int) {
		for _, err := range testutil.Crowd(20, func(int) error {
			client, err := dial()
			if err == nil {
				client.Close()
			}
			return err
		}) {
			if err != nil {
				n++
			}
		}
		return n
	}
	plain := failures(func() (*ssh.Client, error) { return ssh.Dial("tcp", address, config) })
	ours := failures(func() (*ssh.Client, error) { return connect(ctx, quiet(), address, config) })
	t.Logf("of 20 logins, %d failed with net.Dialer, %d with redial", plain, ours)
	assert.NotZero(t, plain)
	assert.Zero(t, ours)
}

// A mute server, which accepts and says nothing, is known by the attempt's time.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	listener := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) { <-t.Context().Done() })
	d := quiet()
	d.Timeout = 500 * time.Millisecond
	start := time.Now()
	_, err := connect(within(t, 2*time.Second), d, listener.Addr().String(), &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	t.Log(err)
	assert.Equal(t, redial.Timeout, redial.Classify(err))
	assert.Less(t, time.Since(start), 4*time.Second)
}

// The network between the client and the SSH server goes away without a word. The tunnel notices by its
// keepalive, and connects anew.
func TestSilentDeath(t *testing.T) {
	t.Parallel()
	dir, config := newKeys(t)
	server, address := newServer(t, dir, config, "")
	server.Start(t)
	var conns atomic.Int64
	lost := make(chan struct{})
	network := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		backend, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer backend.Close()
		first := conns.Add(1) == 1
		go io.Copy(conn, backend)
		buffer := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			select {
			case <-lost:
				if first {
					<-t.Context().Done()
				}
			default:
			}
			backend.Write(buffer[:n])
		}
	})
	d := quiet()
	d.Timeout = time.Second
	through := tunnelBy(t, func(ctx context.Context) (*ssh.Client, error) {
		return connect(ctx, d, network.Addr().String(), config)
	})
	through.keepAlive = 300 * time.Millisecond
	dialer := throughTunnel(d, through)
	target := newEcho(t)
	require.NoError(t, echo(within(t, 10*time.Second), dialer.DialContext, target))
	close(lost)
	assert.NoError(t, echo(within(t, 10*time.Second), dialer.DialContext, target))
	assert.EqualValues(t, 2, conns.Load())
}

// Command ssh connects golang.org/x/crypto/ssh through redial, dials a target through the SSH server,
// and copies standard input to the target and its answer to standard output:
//
//	echo PING | go run ./ssh me@gateway:22 redis:6379
//
// It uses ~/.ssh/id_ed25519 and ~/.ssh/known_hosts.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/seed-33f8b841/redial"
)

// connect connects to an SSH server. The handshake is part of the attempt: a server that drops the
// connection, because more clients log in than its MaxStartups allows, is tried again.
func connect(ctx context.Context, d *redial.Dialer, address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	return redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (*ssh.Client, error) {
		conn, err := d.DialContext(ctx, "tcp", address) // one attempt: Do retries
		if err != nil {
			return nil, err
		}
		// The handshake takes no context, and config.Timeout is not for it.
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		c, channels, requests, err := ssh.NewClientConn(conn, address, config)
		if err != nil {
			conn.Close()
			return nil, err
		}
		client := ssh.NewClient(c, channels, requests)
		if !stop() {
			client.Close()
			return nil, ctx.Err()
		}
		return client, nil
	})
}

// newDialer returns a Dialer for connect and for throughTunnel. Its Gate lets all dials that wait for the
// tunnel go on as soon as one of them has made a new one.
func newDialer(log *zap.Logger) *redial.Dialer {
	return &redial.Dialer{Dialer: net.Dialer{Timeout: 5 * time.Second}, Gate: new(redial.Gate), Logger: log}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ssh user@server:port target:port")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(server, target string) error {
	log, err := zap.NewProduction()
	if err != nil {
		return err
	}
	user, address, _ := strings.Cut(server, "@")
	config, err := configOf(user)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	d := newDialer(log)
	through := newTunnel(func(ctx context.Context) (*ssh.Client, error) { return connect(ctx, d, address, config) })
	defer through.Close()
	conn, err := throughTunnel(d, through).DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		io.Copy(conn, os.Stdin)
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

func configOf(user string) (*ssh.ClientConfig, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(home, ".ssh", "id_ed25519"))
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, err
	}
	known, err := knownhosts.New(filepath.Join(home, ".ssh", "known_hosts"))
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: known}, nil
}

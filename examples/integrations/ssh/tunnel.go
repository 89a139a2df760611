package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/seed-33f8b841/redial"
)

// throughTunnel returns a Dialer that dials through t, and is like d otherwise.
func throughTunnel(d *redial.Dialer, t *tunnel) *redial.Dialer {
	through := *d
	through.DialFunc = t.DialContext
	through.Classifier = classOfChannel
	return &through
}

// classOfChannel gives a class to what the SSH server says of a dial that it makes for us.
func classOfChannel(err error) redial.Class {
	if errors.Is(err, errDied) {
		return redial.Reset
	}
	rejected, ok := errors.AsType[*ssh.OpenChannelError](err)
	if !ok {
		return redial.Unknown
	}
	switch rejected.Reason {
	case ssh.Prohibited: // AllowTcpForwarding, PermitOpen
		return redial.Denied
	case ssh.ConnectionFailed: // refused, no answer, no such name: the message says which
		return redial.Refused
	case ssh.ResourceShortage:
		return redial.Unreachable
	}
	return redial.Invalid
}

// keepAliveEvery is how often a tunnel asks the SSH server whether it is still there, and how long
// it waits for the answer.
const keepAliveEvery = 5 * time.Second

// A tunnel dials through one SSH connection, and makes a new one when that has died.
type tunnel struct {
	connect   func(context.Context) (*ssh.Client, error)
	keepAlive time.Duration
	current   chan *session // holds the session, or nil; empty while a dial makes one
}

// A session is a connection to the SSH server.
type session struct {
	*ssh.Client
	ended chan struct{}
}

func newTunnel(connect func(context.Context) (*ssh.Client, error)) *tunnel {
	t := &tunnel{connect: connect, keepAlive: keepAliveEvery, current: make(chan *session, 1)}
	t.current <- nil
	return t
}

// DialContext dials from the SSH server, which resolves the name. It is a DialFunc, and retries
// nothing: within an attempt of a Dialer, the connection to the SSH server is tried once.
func (t *tunnel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s, err := t.session(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := s.DialContext(ctx, network, address)
	if _, rejected := errors.AsType[*ssh.OpenChannelError](err); err != nil && !rejected && ctx.Err() == nil && s.hasDied() {
		err = fmt.Errorf("%w: %w", errDied, err)
	}
	return conn, err
}

// errDied is the failure of a dial whose session died meanwhile. Package ssh has only a text for it.
var errDied = errors.New("the SSH connection has died")

// hasDied reports whether the session has died. It waits a moment, because a dial fails just before
// the session has ended.
func (s *session) hasDied() bool {
	select {
	case <-s.ended:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// session returns the live session, or makes one.
func (t *tunnel) session(ctx context.Context) (*session, error) {
	var s *session
	select {
	case s = <-t.current:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { t.current <- s }()
	if s != nil {
		select {
		case <-s.ended:
		default:
			return s, nil
		}
	}
	s = nil
	client, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	s = &session{client, make(chan struct{})}
	go s.watch(t.keepAlive)
	return s, nil
}

// watch closes ended when the session has died. It ends a session whose server does not answer: TCP
// would try for a quarter of an hour.
func (s *session) watch(every time.Duration) {
	go func() {
		s.Wait()
		close(s.ended)
	}()
	for {
		select {
		case <-s.ended:
			return
		case <-time.After(every):
		}
		timer := time.AfterFunc(every, func() { s.Close() })
		s.SendRequest("keepalive@openssh.com", true, nil)
		timer.Stop()
	}
}

// Close closes the SSH connection, and the connections through it.
func (t *tunnel) Close() error {
	s := <-t.current
	t.current <- nil
	if s == nil {
		return nil
	}
	return s.Close()
}

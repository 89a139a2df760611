package dialtest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A conn is one end of a connection in memory.
//
// Unlike net.Pipe, a conn buffers what is written. With net.Pipe, a server that sends a greeting
// before it reads, as many do, would block until the client reads. A client that writes before the
// test accepts the other end would block forever.
type conn struct {
	network       string
	local, remote net.Addr
	in, out       *stream
}

// newConn returns both ends of a connection. The local address of each end is the remote address of
// the other end.
func newConn(network string, local, remote net.Addr) (near, far *conn) {
	there, back := newStream(), newStream()
	return &conn{network, local, remote, back, there}, &conn{network, remote, local, there, back}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.wrap("write", err)
}

func (c *conn) SetDeadline(t time.Time) error {
	err := c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return c.wrap("set", err)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setReadDeadline(t))
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setWriteDeadline(t))
}

func (c *conn) Close() error {
	c.out.endWriting()
	return c.wrap("close", c.in.endReading())
}

func (c *conn) isClosed() bool {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return c.in.readerGone
}

// wrap returns err in a *net.OpError, as package net does. It returns nil and io.EOF unchanged.
func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: c.network, Source: c.local, Addr: c.remote, Err: err}
}

// A stream is one direction of a connection. It holds the bytes that one end has written and the
// other end has not yet read.
type stream struct {
	mu         sync.Mutex
	changed    sync.Cond // broadcast when a waiting read should look again
	unread     []byte
	readerGone bool
	writerGone bool
	readEnd    time.Time   // the deadline of reads; zero means none
	writeEnd   time.Time   // the deadline of writes; zero means none
	wake       *time.Timer // broadcasts changed at readEnd
}

func newStream() *stream {
	s := new(stream)
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readerGone:
			return 0, net.ErrClosed
		case passed(s.readEnd):
			return 0, os.ErrDeadlineExceeded
		case len(s.unread) > 0 || len(b) == 0:
			n := copy(b, s.unread)
			s.unread = s.unread[n:]
			return n, nil
		case s.writerGone:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.writerGone:
		return 0, net.ErrClosed
	case passed(s.writeEnd):
		return 0, os.ErrDeadlineExceeded
	case s.readerGone:
		return 0, errBroken
	}
	s.unread = append(s.unread, b...)
	s.changed.Broadcast()
	return len(b), nil
}

func passed(end time.Time) bool {
	return !end.IsZero() && !time.Now().Before(end)
}

func (s *stream) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readerGone {
		return net.ErrClosed
	}
	s.stopTimer()
	s.readEnd = t
	if !t.IsZero() {
		// The timer uses the monotonic clock, so readEnd must too. Otherwise a read that the timer
		// wakes could find the deadline still ahead, because somebody set the wall clock back.
		left := time.Until(t)
		s.readEnd = time.Now().Add(left)
		s.wake = time.AfterFunc(left, s.wakeUp)
	}
	return nil
}

// wakeUp wakes the reads that wait. It locks mu, because a read could otherwise miss the wake-up
// between its look at the clock and its wait.
func (s *stream) wakeUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

func (s *stream) setWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writerGone {
		return net.ErrClosed
	}
	s.writeEnd = t
	return nil
}

func (s *stream) endReading() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readerGone {
		return net.ErrClosed
	}
	s.readerGone, s.unread = true, nil
	s.stopTimer()
	s.changed.Broadcast()
	return nil
}

func (s *stream) endWriting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writerGone = true
	s.changed.Broadcast()
}

func (s *stream) stopTimer() {
	if s.wake != nil {
		s.wake.Stop()
	}
}

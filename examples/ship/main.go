// Ship sends lines to a server that goes down twice, as a log shipper does, and loses none:
//
//	go run ./examples/ship
//
// The server is part of the program, and acknowledges each line. It goes down when it has read a line
// and not yet acknowledged it. Ship sends such a line again, over the next connection, because it cannot
// know what became of it. So every line arrives at least once.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seed-33f8b841/redial"
)

func main() {
	os.Exit(run(context.Background(), os.Stdout, time.Second))
}

// run ships six lines to a server that goes down twice, each time for the duration given. It returns
// the exit code.
func run(ctx context.Context, out io.Writer, down time.Duration) int {
	s := &server{down: down, fails: map[string]bool{"line 3": true, "line 5": true}, received: map[string]int{}}
	address, err := s.listen("127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(out, "error:", err)
		return 1
	}
	defer s.stop()
	lines := []string{"line 1", "line 2", "line 3", "line 4", "line 5", "line 6"}
	if err := ship(ctx, out, address, lines); err != nil {
		fmt.Fprintln(out, "error:", err)
		return 1
	}
	fmt.Fprintln(out, s.summary(lines))
	return 0
}

// ship sends lines to the server at address. It returns when the server has acknowledged all.
func ship(ctx context.Context, out io.Writer, address string, lines []string) error {
	d := &redial.Dialer{
		OnAttempt: func(_ context.Context, a redial.Attempt) {
			if a.Err != nil && !a.Nested { // Reconnect makes the retries, not the dial within
				fmt.Fprintf(out, "attempt %d: %v, the next in %v\n", a.Number, a.Class, a.Delay.Round(time.Millisecond))
			}
		},
		OnLost: func(_ context.Context, l redial.Loss) {
			fmt.Fprintf(out, "connection %d lost: %v, the next in %v\n", l.Number, l.Class, l.Delay.Round(time.Millisecond))
		},
	}
	connect := func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	acknowledged := 0 // outlives the connections
	return redial.Reconnect(ctx, d, "tcp", address, connect, func(ctx context.Context, conn net.Conn) error {
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		fmt.Fprintln(out, "connected")
		answers := bufio.NewReader(conn)
		for _, line := range lines[acknowledged:] {
			conn.SetDeadline(time.Now().Add(5 * time.Second)) // a server that is silent is lost too
			if _, err := fmt.Fprintln(conn, line); err != nil {
				return err
			}
			if _, err := answers.ReadString('\n'); err != nil {
				return err
			}
			acknowledged++
			fmt.Fprintln(out, "acknowledged:", line)
		}
		return nil
	})
}

// A server acknowledges each line that it reads, except that it goes down at some.
type server struct {
	down time.Duration

	mu       sync.Mutex
	listener net.Listener
	fails    map[string]bool // the lines at which the server goes down, once each
	received map[string]int  // how often
}

// listen makes the server listen on address, and returns the address with its port.
func (s *server) listen(address string) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go s.serve(conn)
		}
	}()
	return listener.Addr().String(), nil
}

// serve reads lines from a client, until the client closes the connection or the server goes down.
func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if !s.receive(lines.Text()) {
			return
		}
		fmt.Fprintln(conn, "ok")
	}
}

// receive notes a line. It returns false if the server goes down before it can acknowledge the line.
func (s *server) receive(line string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received[line]++
	if !s.fails[line] {
		return true
	}
	delete(s.fails, line)
	address := s.listener.Addr().String()
	s.listener.Close()
	time.AfterFunc(s.down, func() { s.listen(address) })
	return false
}

func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
}

// summary says which of the lines have arrived.
func (s *server) summary(lines []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var twice []string
	for _, line := range lines {
		if s.received[line] > 1 {
			twice = append(twice, line)
		}
	}
	return fmt.Sprintf("%d of %d lines arrived, twice: %s", len(s.received), len(lines), strings.Join(twice, ", "))
}

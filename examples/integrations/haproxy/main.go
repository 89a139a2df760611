// Command haproxy connects through a TCP proxy that accepts even if no backend is up, and waits for
// a backend, which is a Redis server:
//
//	go run ./haproxy 127.0.0.1:6379
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newDialer returns a Dialer that has connected when verify says that a backend answers.
func newDialer(verify func(context.Context, net.Conn) error) *redial.Dialer {
	return &redial.Dialer{
		// Bounds an attempt, including Verify. Unless its configuration says "retries 0", haproxy
		// holds a client for three seconds while it tries a backend that refuses.
		Dialer: net.Dialer{Timeout: time.Second},
		Verify: verify,
	}
}

// ping is a Verify for a protocol in which the client speaks first. It makes a request that
// changes nothing, here of Redis.
func ping(_ context.Context, conn net.Conn) error {
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != "+PONG\r\n" {
		return fmt.Errorf("not a pong: %q", answer)
	}
	return nil
}

// greeted is a Verify for a protocol in which the server speaks first, such as SMTP, SSH and
// MySQL's. It waits for the greeting and leaves it to be read.
func greeted(_ context.Context, conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for n, _, failed = peek(fd); failed == syscall.EINTR; n, _, failed = peek(fd) {
		}
		return failed != syscall.EAGAIN // on which Read waits
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return os.NewSyscallError("recvfrom", failed)
	case n == 0:
		return io.EOF
	}
	return nil
}

func peek(fd uintptr) (int, syscall.Sockaddr, error) {
	return syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:6379"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	d := newDialer(ping)
	d.Logger = log
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	fmt.Println("a backend answers through", conn.RemoteAddr())
}

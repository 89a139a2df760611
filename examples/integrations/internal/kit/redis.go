package kit

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RedisServer returns a Redis server that has not been started, and its address.
func RedisServer(t testing.TB, args ...string) (*Server, string) {
	t.Helper()
	address := FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return &Server{
		Path: Binary(t, "redis-server", "redis-server"),
		Args: append([]string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", Dir(t, "")}, args...),
		Ready: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
				return err
			}
			answer := make([]byte, len("+PONG\r\n"))
			if _, err := io.ReadFull(conn, answer); err != nil {
				return err
			}
			if string(answer) != "+PONG\r\n" {
				return fmt.Errorf("the server answers %q", answer) // such as -LOADING
			}
			return nil
		},
	}, address
}

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

// serve runs a stub of ClickHouse's native protocol: it shakes hands and answers pings. It checks no
// password, runs no query, and speaks the oldest revision that the client accepts.
func serve(address string) error {
	return kit.Serve(address, func(conn net.Conn) { session(conn) })
}

// The packets' types.
const (
	hello = 0
	ping  = 4 // the server's answer has the same number
)

func session(conn net.Conn) error {
	r := bufio.NewReader(conn)
	for {
		packet, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		switch packet {
		case hello:
			if err := readHello(r); err != nil {
				return err
			}
			answer := appendText([]byte{hello}, "ClickHouse")
			for _, n := range []uint64{20, 3, 54032} { // the version and the revision
				answer = binary.AppendUvarint(answer, n)
			}
			_, err = conn.Write(answer)
		case ping:
			_, err = conn.Write([]byte{ping})
		default:
			return fmt.Errorf("packet %d", packet)
		}
		if err != nil {
			return err
		}
	}
}

// readHello reads the client's name, its version, and the database, the user and the password.
func readHello(r *bufio.Reader) error {
	var errs []error
	text := func() {
		n, err := binary.ReadUvarint(r)
		_, tooShort := io.CopyN(io.Discard, r, int64(n))
		errs = append(errs, err, tooShort)
	}
	text()
	for range 3 {
		_, err := binary.ReadUvarint(r)
		errs = append(errs, err)
	}
	for range 3 {
		text()
	}
	return errors.Join(errs...)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// open returns the ping of a new client.
func open(t *testing.T, o *clickhouse.Options) kit.Operation {
	t.Helper()
	conn, err := clickhouse.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.Ping
}

func TestSuite(t *testing.T) {
	kit.Suite{
		Client: "ClickHouse",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return open(t, &clickhouse.Options{
				Addr: addresses,
				DialContext: func(ctx context.Context, address string) (net.Conn, error) {
					return d.DialContext(ctx, "tcp", address)
				},
			})
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Timeout = 3 * time.Second
			return open(t, options(d, addresses...))
		},
		Hosts: true,
	}.Run(t)
}

// Operations that wait for a place in the pool, which has ten by default, get it shortly before their
// time is up. With a Gate, the dial then fails with what the others know.
func TestPool(t *testing.T) {
	t.Parallel()
	address := testutil.RefusingAddress(t, "tcp4")
	kit.AllSeeCause(t, func(d *redial.Dialer) func(context.Context) error {
		d.Gate = new(redial.Gate)
		return open(t, options(d, address))
	})
}

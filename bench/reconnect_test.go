package bench

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"darvaza.org/x/net/reconnect"
	jpillora "github.com/jpillora/backoff"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A keeper keeps a connection to address until ctx ends: it connects, calls use with the
// connection, and connects again when use returns.
type keeper struct {
	name string
	keep func(ctx context.Context, address string, use func(net.Conn) error)
}

var keepers = []keeper{
	{"redial", func(ctx context.Context, address string, use func(net.Conn) error) {
		d := &redial.Dialer{Logger: zap.NewNop()}
		redial.Reconnect(ctx, d, "tcp", address,
			func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) },
			func(_ context.Context, conn net.Conn) error { return use(conn) })
	}},
	{"a hand-written loop", func(ctx context.Context, address string, use func(net.Conn) error) {
		dial := newLoop(Options{})
		for ctx.Err() == nil {
			conn, err := dial(ctx, "tcp", address)
			if err != nil {
				return
			}
			use(conn)
			conn.Close()
		}
	}},
	{"backoff v4", func(ctx context.Context, address string, use func(net.Conn) error) {
		dial := Named("backoff v4")[0].New(Options{}) // backoff.Retry around the dial
		for ctx.Err() == nil {
			conn, err := dial(ctx, "tcp", address)
			if err != nil {
				return
			}
			use(conn)
			conn.Close()
		}
	}},
	{"jpillora/backoff", func(ctx context.Context, address string, use func(net.Conn) error) {
		b := &jpillora.Backoff{Max: 5 * time.Minute} // as in its README
		for ctx.Err() == nil {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				time.Sleep(b.Duration())
				continue
			}
			b.Reset()
			use(conn)
			conn.Close()
		}
	}},
	{"darvaza.org/x/net/reconnect", func(ctx context.Context, address string, use func(net.Conn) error) {
		var current net.Conn
		client, err := reconnect.New(&reconnect.Config{
			Context:   ctx,
			Remote:    address,
			OnConnect: func(_ context.Context, conn net.Conn) error { current = conn; return nil },
			OnSession: func(context.Context) error { return use(current) },
			OnError:   func(_ context.Context, _ net.Conn, err error) error { return err },
			OnDisconnect: func(context.Context, net.Conn) error {
				return nil // without it, the client logs
			},
		})
		if err == nil && client.Connect() == nil {
			client.Wait()
		}
	}},
}

// claimReconnect checks how often each keeper connects in 10 s to a server that accepts and closes at
// once, and how long it waits when a connection breaks that has lasted an hour. Time is virtual, the
// connections are real. Each takes 10 ms, as if the server were not on this machine.
func claimReconnect(t *testing.T) {
	want := map[string]struct {
		least, most int           // connects
		wait        time.Duration // at most
		jitter      bool
	}{
		"redial":                      {5, 20, 150 * time.Millisecond, true},
		"a hand-written loop":         {1000, 1000, 0, false},
		"backoff v4":                  {1000, 1000, 0, false},
		"jpillora/backoff":            {1000, 1000, 0, false},
		"darvaza.org/x/net/reconnect": {2, 2, 5 * time.Second, false}, // it waits 5 s each time
	}
	require.Len(t, keepers, len(want))
	for _, k := range keepers {
		want := want[k.name]
		t.Run(k.name, func(t *testing.T) {
			var accepted atomic.Int64
			server := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) { accepted.Add(1) }).Addr().String()
			testutil.Bubble(t, "a server that accepts and closes", func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 9995*time.Millisecond)
				defer cancel()
				accepted.Store(0)
				connects := 0
				k.keep(ctx, server, func(conn net.Conn) error {
					connects++
					time.Sleep(10 * time.Millisecond)
					_, err := conn.Read(make([]byte, 1))
					return err
				})
				t.Logf("%d connects in 10 s", connects)
				assert.GreaterOrEqual(t, connects, want.least)
				assert.LessOrEqual(t, connects, want.most)
				assert.EqualValues(t, accepted.Load(), connects, "each use has read the end of its connection")
			})
			testutil.Bubble(t, "a server that breaks each hour", func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var broke time.Time
				var waits []time.Duration
				k.keep(ctx, server, func(net.Conn) error {
					if !broke.IsZero() {
						waits = append(waits, time.Since(broke))
					}
					if len(waits) == 3 {
						cancel()
						return ctx.Err()
					}
					time.Sleep(time.Hour)
					broke = time.Now()
					return io.EOF
				})
				t.Log("waits:", waits)
				require.Len(t, waits, 3)
				for _, wait := range waits {
					assert.LessOrEqual(t, wait, want.wait)
					assert.True(t, want.jitter || wait == want.wait)
				}
			})
		})
	}
}

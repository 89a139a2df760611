package bench

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// claimReconnect checks how often each Keeper connects in 10 s to a server that accepts and closes at
// once, and how long it waits when a connection breaks that has lasted an hour. Time is virtual, the
// connections are real. Each takes 10 ms, as if the server were not on this machine.
func claimReconnect(t *testing.T) {
	want := map[string]struct {
		least, most int           // connects
		wait        time.Duration // at most
		jitter      bool
	}{
		"redial.Reconnect":            {5, 20, 150 * time.Millisecond, true},
		"a hand-written loop":         {1000, 1000, 0, false},
		"backoff v4 around the dial":  {1000, 1000, 0, false},
		"jpillora/backoff":            {1000, 1000, 0, false},
		"darvaza.org/x/net/reconnect": {2, 2, 5 * time.Second, false}, // it waits 5 s each time
	}
	require.Len(t, Keepers, len(want))
	for _, k := range Keepers {
		require.Contains(t, want, k.Name)
		want := want[k.Name]
		t.Run(k.Name, func(t *testing.T) {
			var accepted atomic.Int64
			server := testutil.Listen(t, "tcp", "127.0.0.1:0", func(net.Conn) { accepted.Add(1) }).Addr().String()
			testutil.Bubble(t, "a server that accepts and closes", func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 9995*time.Millisecond)
				defer cancel()
				accepted.Store(0)
				connects := 0
				k.Keep(ctx, server, func(conn net.Conn) error {
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
				k.Keep(ctx, server, func(net.Conn) error {
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

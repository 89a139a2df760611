package bench

import (
	"context"
	"net"
	"time"

	"darvaza.org/x/net/reconnect"
	jpillora "github.com/jpillora/backoff"

	"github.com/seed-33f8b841/redial"
)

// A Keeper is one way to keep a connection.
type Keeper struct {
	Name   string
	Module string // as Dialer.Module
	Wait   string // after a connection that broke, in words
	// Keep keeps a connection to address until ctx ends: it connects, calls use with the
	// connection, and connects again when use returns.
	Keep func(ctx context.Context, address string, use func(net.Conn) error)
}

// Keepers has all Keepers, each with its defaults.
var Keepers = []Keeper{
	{
		Name: "redial.Reconnect",
		Wait: "100 ms doubling to 5 s, ±50 %",
		Keep: func(ctx context.Context, address string, use func(net.Conn) error) {
			d := newRedial(Options{}, nil)
			redial.Reconnect(ctx, d, "tcp", address,
				func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) },
				func(_ context.Context, conn net.Conn) error { return use(conn) })
		},
	},
	{
		Name: Loop.Name,
		Wait: "none",
		Keep: dialAgain(Loop.New(Options{})),
	},
	{
		Name:   "backoff v4 around the dial",
		Module: "github.com/cenkalti/backoff/v4",
		Wait:   "none",
		Keep:   dialAgain(newBackoffV4(Options{})),
	},
	{
		Name:   "jpillora/backoff",
		Module: "github.com/jpillora/backoff",
		Wait:   "none",
		Keep: func(ctx context.Context, address string, use func(net.Conn) error) {
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
		},
	},
	{
		Name:   "darvaza.org/x/net/reconnect",
		Module: "darvaza.org/x/net",
		Wait:   "5 s",
		Keep: func(ctx context.Context, address string, use func(net.Conn) error) {
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
		},
	},
}

// dialAgain returns a Keep that dials whenever use returns. Such loops retry a dial, and have no backoff
// for connections that break.
func dialAgain(dial Dial) func(context.Context, string, func(net.Conn) error) {
	return func(ctx context.Context, address string, use func(net.Conn) error) {
		for ctx.Err() == nil {
			conn, err := dial(ctx, "tcp", address)
			if err != nil {
				return
			}
			use(conn)
			conn.Close()
		}
	}
}

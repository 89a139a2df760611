// Command clickhouse connects clickhouse-go through redial, and pings the server. It takes several
// servers:
//
//	go run ./clickhouse 127.0.0.1:9000 127.0.0.1:9001
package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// options returns the options of a client that dials through d. An attempt is all that the client does
// to connect: it tries each address, and shakes hands. Each address has d.Timeout, and as long again
// for the handshake.
func options(d *redial.Dialer, addresses ...string) *clickhouse.Options {
	whole := *d
	whole.Timeout = math.MaxInt64 // no limit on the whole pass: d.Timeout limits each address
	return &clickhouse.Options{
		Addr: addresses,
		DialContext: func(ctx context.Context, address string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", address)
		},
		DialStrategy: func(ctx context.Context, id int, o *clickhouse.Options, dial clickhouse.Dial) (clickhouse.DialResult, error) {
			each := *o
			each.DialTimeout = min(o.DialTimeout, cmp.Or(d.Timeout, 10*time.Second)) // of the handshake, which does not end with ctx
			return redial.Do(ctx, &whole, "tcp", strings.Join(o.Addr, ","), func(ctx context.Context) (clickhouse.DialResult, error) {
				return clickhouse.DefaultDialStrategy(ctx, id, &each, dial)
			})
		},
	}
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	addresses := []string{"127.0.0.1:9000"}
	if len(os.Args) > 1 {
		addresses = os.Args[1:]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Gate: new(redial.Gate), Logger: log}
	conn, err := clickhouse.Open(options(d, addresses...))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := conn.Ping(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("connected")
}

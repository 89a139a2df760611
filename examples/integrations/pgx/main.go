// Command pgx connects jackc/pgx through redial: one connection, a pgxpool in two ways, and
// database/sql. Each does one operation:
//
//	go run ./pgx 'postgres://postgres@127.0.0.1:5432/postgres'
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// dialThrough makes config dial through d.
func dialThrough(d *redial.Dialer, config *pgx.ConnConfig) {
	config.DialFunc = d.DialContext
	// pgx would look up the host and dial its addresses one after the other, each until d gives up.
	// It gets the name itself in place of the addresses, so that d races them.
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
}

// startingUp goes into the field Classifier. A server that starts up, recovers from a crash or
// shuts down accepts, but then answers 57P03 (cannot_connect_now).
func startingUp(err error) redial.Class {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "57P03" {
		return redial.Refused
	}
	return redial.Unknown
}

// connect makes one connection. An attempt of Do is all that pgx does: it tries each host of the
// connection string, with TLS and without if sslmode is prefer, and logs in. The dials within it
// make one attempt each.
func connect(ctx context.Context, d *redial.Dialer, config *pgx.ConnConfig) (*pgx.Conn, error) {
	return redial.Do(ctx, d, "tcp", addressOf(config), func(ctx context.Context) (*pgx.Conn, error) {
		return pgx.ConnectConfig(ctx, config)
	})
}

// newPool returns a pool that dials through d. Give its methods a context from redial.Attach,
// because the pool hides from d that the operation has ended. Give d a Gate, because an operation
// can get its place in the pool too late for a dial of its own. With a Gate it fails with the cause
// all the same.
func newPool(ctx context.Context, d *redial.Dialer, connString string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, err
	}
	dialThrough(d, config.ConnConfig)
	return pgxpool.NewWithConfig(ctx, config)
}

// acquire retries pool.Acquire as a whole, as connect does. So it also rides out a server that starts
// up, and goes through a list of hosts at once. Here d must not have a Gate, which would take a busy
// pool for a server that fails.
func acquire(ctx context.Context, d *redial.Dialer, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	return redial.Do(redial.Attach(ctx), d, "tcp", addressOf(pool.Config().ConnConfig), pool.Acquire)
}

// openDB returns a database/sql pool. An attempt makes a connection, as in connect.
func openDB(d *redial.Dialer, config *pgx.ConnConfig) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetConnector(*config), d, addressOf(config)})
	db.SetMaxIdleConns(10) // the default of 2 closes the connections of most goroutines after each operation
	return db
}

// A connector retries another driver.Connector.
type connector struct {
	driver.Connector
	dialer  *redial.Dialer
	address string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return redial.Do(ctx, c.dialer, "tcp", c.address, c.Connector.Connect)
}

// addressOf returns the address of the first host, for the records.
func addressOf(config *pgx.ConnConfig) string {
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
}

func run(ctx context.Context, d *redial.Dialer, connString string) error {
	config, err := pgx.ParseConfig(connString)
	if err != nil {
		return err
	}
	dialThrough(d, config)
	conn, err := connect(ctx, d, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)

	pool, err := newPool(ctx, d, connString)
	if err != nil {
		return err
	}
	defer pool.Close()
	ungated := *d
	ungated.Gate = nil
	acquired, err := acquire(ctx, &ungated, pool)
	if err != nil {
		return err
	}
	defer acquired.Release()

	db := openDB(d, config)
	defer db.Close()
	return errors.Join(conn.Ping(ctx), pool.Ping(redial.Attach(ctx)), acquired.Ping(ctx), db.PingContext(ctx))
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	connString := "postgres://postgres@127.0.0.1:5432/postgres"
	if len(os.Args) > 1 {
		connString = os.Args[1]
	}
	d := &redial.Dialer{
		Dialer:     net.Dialer{Timeout: 3 * time.Second}, // for dials within Do too, which have no limit by default
		Classifier: startingUp,
		Gate:       new(redial.Gate),
		Logger:     log,
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx, d, connString); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("connected four times")
}

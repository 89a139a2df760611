// Command pgx connects jackc/pgx through redial: one connection, a pgxpool in two ways, and
// database/sql. Each does one operation:
//
//	go run ./pgx 'postgres://postgres@127.0.0.1:5432/postgres'
package main

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// connect makes one connection. An attempt is all that pgx does: it tries each host of the connection
// string, with TLS and without if sslmode is prefer, and logs in. Each address has connect_timeout, or
// else d.Timeout.
func connect(ctx context.Context, d *redial.Dialer, config *pgx.ConnConfig) (*pgx.Conn, error) {
	config = withTimeout(d, config)
	return withRetries(ctx, d, config, func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, config) })
}

// withTimeout returns a copy of config that has a connect_timeout.
func withTimeout(d *redial.Dialer, config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, d.Timeout, 10*time.Second)
	return config
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
	return withRetries(redial.Attach(ctx), d, pool.Config().ConnConfig, pool.Acquire)
}

// openDB returns a database/sql pool. An attempt makes a connection, as in connect.
func openDB(d *redial.Dialer, config *pgx.ConnConfig) *sql.DB {
	config = withTimeout(d, config)
	db := sql.OpenDB(connector{stdlib.GetConnector(*config), d, config})
	db.SetMaxIdleConns(10) // the default of 2 closes the connections of most goroutines after each operation
	return db
}

// A connector retries another driver.Connector.
type connector struct {
	driver.Connector
	dialer *redial.Dialer
	config *pgx.ConnConfig
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return withRetries(ctx, c.dialer, c.config, c.Connector.Connect)
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

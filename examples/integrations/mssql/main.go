// Command mssql connects go-mssqldb through redial, and does one operation:
//
//	go run ./mssql 'sqlserver://sa:password@127.0.0.1:1433?failoverpartner=127.0.0.2'
package main

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// open returns a database/sql pool that dials through d. An attempt is all that the driver does to
// connect: it logs in at the server, or else at the failover partner. Each of them has d.Timeout, and as
// long again for the login.
func open(d *redial.Dialer, dsn string) (*sql.DB, error) {
	config, err := msdsn.Parse(dsn)
	if err != nil {
		return nil, err
	}
	inner := mssql.NewConnectorConfig(config)
	inner.Dialer = boundedDialer{d}
	whole := *d
	whole.Timeout = math.MaxInt64 // no limit on the whole pass: d.Timeout limits each server
	address := net.JoinHostPort(config.Host, strconv.FormatUint(cmp.Or(config.Port, 1433), 10))
	db := sql.OpenDB(connector{inner, &whole, address})
	db.SetMaxIdleConns(10) // the default of 2 closes the connections of most goroutines after each operation
	return db, nil
}

// A connector retries another driver.Connector.
type connector struct {
	driver.Connector
	dialer  *redial.Dialer
	address string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return redial.Do(ctx, c.dialer, "tcp", c.address, func(ctx context.Context) (driver.Conn, error) {
		var dialed conns
		conn, err := c.Connector.Connect(context.WithValue(ctx, dialedKey{}, &dialed))
		if err == nil {
			dialed.clearDeadlines()
		}
		return conn, err
	})
}

// conns are the connections of an attempt. The driver dials all addresses of a name at once, and closes those
// that it does not need.
type conns struct {
	mu  sync.Mutex
	all []net.Conn
}

func (c *conns) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn)
}

func (c *conns) clearDeadlines() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		conn.SetDeadline(time.Time{})
	}
}

// dialedKey is the key of a context's value: the *conns of an attempt.
type dialedKey struct{}

// A boundedDialer bounds the login, which does not end with ctx.
type boundedDialer struct{ *redial.Dialer }

func (d boundedDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if dialed, ok := ctx.Value(dialedKey{}).(*conns); ok {
		dialed.add(conn)
		err = conn.SetDeadline(time.Now().Add(cmp.Or(d.Timeout, 10*time.Second)))
	}
	return conn, err
}

// notReady goes into the field Classifier. It gives a class that is retried to those answers to a
// login that go away by themselves.
func notReady(err error) redial.Class {
	if e, ok := errors.AsType[mssql.Error](err); ok {
		switch e.Number {
		case 6005, 18401, 40613: // the server shuts down, upgrades its scripts; the database is not available for now
			return redial.Refused
		}
	}
	return redial.Unknown
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dsn := "sqlserver://sa@127.0.0.1:1433"
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Classifier: notReady, Logger: log}
	db, err := open(d, dsn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("connected")
}

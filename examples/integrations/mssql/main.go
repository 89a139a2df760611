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
	inner.Dialer = hostDialer{d}
	whole := *d
	whole.Timeout = math.MaxInt64 // a server that is silent must not use up the partner's time
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
		var dialed net.Conn
		conn, err := c.Connector.Connect(context.WithValue(ctx, dialedKey{}, &dialed))
		if err == nil && dialed != nil {
			err = dialed.SetDeadline(time.Time{})
		}
		return conn, err
	})
}

// dialedKey is the key of a context's value: a *net.Conn that the driver's latest connection goes into.
type dialedKey struct{}

// A hostDialer is a Dialer that looks names up by itself, because it has the method HostName. Otherwise
// the driver does, and starts a dial for each address.
type hostDialer struct{ *redial.Dialer }

func (hostDialer) HostName() string { return "" }

// DialContext bounds the login, which does not end with ctx.
func (d hostDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if dialed, ok := ctx.Value(dialedKey{}).(*net.Conn); ok {
		*dialed = conn
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

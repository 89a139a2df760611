// Command mysql connects go-sql-driver/mysql through redial, and does one operation:
//
//	go run ./mysql 'root@redial(127.0.0.1:3306)/'
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// register makes DSNs of the form user:password@network(host:port)/database dial through d.
func register(network string, d *redial.Dialer) {
	mysql.RegisterDialContext(network, func(ctx context.Context, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", address)
	})
}

// open returns a database/sql pool. An attempt makes a connection and logs in.
// The dial within it, through d or not, is part of the attempt.
func open(d *redial.Dialer, dsn string) (*sql.DB, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	inner, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{inner, d, config.Addr}), nil
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

// notReady goes into the field Classifier. It gives a class that is retried to those failures of a
// login that go away by themselves.
func notReady(err error) redial.Class {
	if errors.Is(err, mysql.ErrInvalidConn) { // the server has closed the connection
		return redial.Reset
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch e.Number {
		case 1040, 1053: // too many connections, shutdown in progress
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
	dsn := "root@redial(127.0.0.1:3306)/"
	if len(os.Args) > 1 {
		dsn = os.Args[1]
	}
	d := &redial.Dialer{
		Dialer:     net.Dialer{Timeout: 3 * time.Second}, // for dials within Do too, which have no limit by default
		Classifier: notReady,
		Gate:       new(redial.Gate),
		Logger:     log,
	}
	register("redial", d)
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

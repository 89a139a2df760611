// Command pq connects lib/pq through redial, and does one operation:
//
//	go run ./pq 'postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable'
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

	"github.com/lib/pq"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// open returns a database/sql pool that dials through d. An attempt is all that pq does to connect: it
// tries each host of the connection string, and logs in. Each host has connect_timeout, or else
// d.Timeout. It bounds the login too, which does not end with a context.
func open(d *redial.Dialer, connString string) (*sql.DB, error) {
	config, err := pq.NewConfig(connString)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, d.Timeout, 10*time.Second)
	inner, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, err
	}
	inner.Dialer(d)
	whole := *d
	whole.Timeout = math.MaxInt64 // no limit on the whole pass: connect_timeout limits each host
	db := sql.OpenDB(connector{inner, &whole, hosts(config)})
	db.SetMaxIdleConns(10) // the default of 2 closes the connections of most goroutines after each operation
	return db, nil
}

// hosts returns the addresses in config, as one text for the log.
func hosts(config pq.Config) string {
	all := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	for _, other := range config.Multi {
		all += "," + net.JoinHostPort(other.Host, strconv.Itoa(int(other.Port)))
	}
	return all
}

// A connector retries another driver.Connector.
type connector struct {
	driver.Connector
	dialer *redial.Dialer
	hosts  string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return redial.Do(ctx, c.dialer, "tcp", c.hosts, c.Connector.Connect)
}

// startingUp goes into the field Classifier. A server that starts up, recovers from a crash or
// shuts down accepts, but then answers 57P03 (cannot_connect_now).
func startingUp(err error) redial.Class {
	if e, ok := errors.AsType[*pq.Error](err); ok && e.Code == "57P03" {
		return redial.Refused
	}
	return redial.Unknown
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	connString := "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	if len(os.Args) > 1 {
		connString = os.Args[1]
	}
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 3 * time.Second}, Classifier: startingUp, Logger: log}
	db, err := open(d, connString)
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

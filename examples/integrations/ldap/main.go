// Command ldap connects go-ldap through redial, and binds without a password:
//
//	go run ./ldap 127.0.0.1:389
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// connect connects and binds. It dials by itself, because go-ldap's own dialers take a *net.Dialer
// only. The bind is part of the attempt. It takes no ctx, so it has a timeout of its own.
func connect(ctx context.Context, d *redial.Dialer, address string, bind func(*ldap.Conn) error) (*ldap.Conn, error) {
	return redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (*ldap.Conn, error) {
		raw, err := d.DialContext(ctx, "tcp", address) // one attempt: Do retries
		if err != nil {
			return nil, err
		}
		conn := ldap.NewConn(raw, false) // true if raw is a *tls.Conn
		conn.SetTimeout(5 * time.Second)
		conn.Start()
		err = bind(conn)
		if err != nil && conn.IsClosing() { // the connection broke: go-ldap keeps the text of the cause only
			err = fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
		}
		return conn, err // Do closes conn if bind fails
	})
}

// classify is the Classifier of a Dialer that retries while the server is busy.
func classify(err error) redial.Class {
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable) {
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
	address := "127.0.0.1:389"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 5 * time.Second}, Classifier: classify, Logger: log}
	conn, err := connect(ctx, d, address, func(conn *ldap.Conn) error { return conn.UnauthenticatedBind("") })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	fmt.Println("bound")
}

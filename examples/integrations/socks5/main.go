// Command socks5 connects to an address through a SOCKS5 proxy and redial, with the proxy's answer as
// part of each attempt:
//
//	go run ./socks5 127.0.0.1:1080 example.org:80
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/proxy"

	"github.com/seed-33f8b841/redial"
)

// throughSOCKS returns a Dialer that acts as d does, through the SOCKS5 proxy at address. It retries
// if the proxy can't be reached, and if the proxy can't reach the target.
func throughSOCKS(d *redial.Dialer, address string, auth *proxy.Auth) (*redial.Dialer, error) {
	raw := &redial.Dialer{Dialer: d.Dialer, Logger: d.Logger} // makes one attempt in each of the other's
	dialer, err := proxy.SOCKS5("tcp", address, auth, raw)
	if err != nil {
		return nil, err
	}
	socks, ok := dialer.(interface {
		DialWithConn(ctx context.Context, conn net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return nil, errors.New("this version of golang.org/x/net has no DialWithConn")
	}
	with := *d
	with.Classifier = classify
	with.DialFunc = func(ctx context.Context, network, target string) (net.Conn, error) {
		conn, err := raw.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		heard := &listener{Conn: conn}
		if _, err := socks.DialWithConn(ctx, heard, network, target); err != nil {
			conn.Close()
			return nil, &socksError{heard.reply(), err}
		}
		return conn, nil
	}
	return &with, nil
}

// A socksError is a failed SOCKS5 handshake, with the proxy's reply. X/net/proxy has the reply as
// text only.
type socksError struct {
	reply byte // RFC 1928, section 6; 0: there was none
	error
}

func (e *socksError) Unwrap() error { return e.error }

// classify is the Classifier of a Dialer through a SOCKS5 proxy.
func classify(err error) redial.Class {
	e, ok := errors.AsType[*socksError](err)
	if !ok {
		return redial.Unknown
	}
	switch e.reply {
	case 2: // not allowed by the proxy's rules
		return redial.Denied
	case 3, 4: // network, host unreachable; many proxies say so of a name that they cannot resolve, too
		return redial.Unreachable
	case 5:
		return redial.Refused
	case 6: // "TTL expired", which proxies say of a target that is silent
		return redial.Timeout
	case 7, 8: // command, address type not supported
		return redial.Invalid
	}
	return redial.Unknown // the error may say more, such as EOF
}

// A listener keeps what is read from a connection during the handshake.
type listener struct {
	net.Conn
	heard []byte
}

func (l *listener) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.heard = append(l.heard, p[:n]...)
	return n, err
}

// reply returns the proxy's reply to the request to connect, or 0 if there was none. Before the reply
// come two bytes with the method of authentication, and two more with the result if that is a password.
func (l *listener) reply() byte {
	const password = 2
	at := 2
	if len(l.heard) >= 2 && l.heard[1] == password {
		at = 4
	}
	if len(l.heard) < at+2 {
		return 0
	}
	return l.heard[at+1]
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: socks5 PROXY TARGET")
		os.Exit(2)
	}
	d, err := throughSOCKS(&redial.Dialer{Logger: log}, os.Args[1], nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	fmt.Println("connected by", conn.RemoteAddr())
}

// Command tls connects to a TLS server through redial, with the handshake as part of each attempt:
//
//	go run ./tls example.org:443
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// newDialer returns a Dialer whose connections are *tls.Conn. Each attempt is a dial and a
// handshake. Of its embedded net.Dialer, only Timeout, Deadline and Cancel are used. The other
// fields go into tls.Dialer.NetDialer.
func newDialer(config *tls.Config) *redial.Dialer {
	return &redial.Dialer{DialFunc: (&tls.Dialer{Config: config}).DialContext}
}

// overTLS returns a Dialer that acts as d does, with a handshake in each attempt. It does what
// tls.Dialer cannot, because NetDialer must be a *net.Dialer: it races the addresses of a name.
func overTLS(d *redial.Dialer, config *tls.Config) *redial.Dialer {
	raw := &redial.Dialer{Dialer: d.Dialer, Logger: d.Logger} // makes one attempt in each of the other's
	with := *d
	with.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := raw.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := config.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secured, nil
	}
	return &with
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address := "127.0.0.1:8443"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := overTLS(&redial.Dialer{Logger: log}, new(tls.Config)).DialContext(ctx, "tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	fmt.Println(tls.VersionName(state.Version), state.PeerCertificates[0].Subject)
}

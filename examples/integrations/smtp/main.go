// Command smtp sends one mail through redial, with net/smtp:
//
//	go run ./smtp 127.0.0.1:25 from@example.org to@example.org
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
)

// connect connects to the server, and waits until it greets. The connection ends with the deadline of ctx.
func connect(ctx context.Context, d *redial.Dialer, address string) (*smtp.Client, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	return redial.Do(ctx, d, "tcp", address, func(ctx context.Context) (*smtp.Client, error) {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		client, err := smtp.NewClient(conn, host) // reads the greeting
		if !stop() && err == nil {
			client.Close()
			return nil, ctx.Err()
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return client, conn.SetDeadline(deadline)
	})
}

// classify is the Classifier of a Dialer that retries while the server is not ready: it greets with code 421
// while it starts, stops, or has too many connections.
func classify(err error) redial.Class {
	if reply, ok := errors.AsType[*textproto.Error](err); ok && reply.Code == 421 {
		return redial.Refused
	}
	return redial.Unknown
}

// send sends one mail. Only connecting is retried, so that no mail is sent twice.
func send(ctx context.Context, d *redial.Dialer, address, from, to string, mail []byte) error {
	client, err := connect(ctx, d, address)
	if err != nil {
		return err
	}
	// StartTLS and Auth come here.
	return deliver(client, from, to, mail)
}

func deliver(client *smtp.Client, from, to string, mail []byte) error {
	defer client.Close()
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	body, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := body.Write(mail); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	client.Quit() // the server has the mail already
	return nil
}

func main() {
	log, err := zap.NewProduction()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	address, from, to := "127.0.0.1:25", "from@example.org", "to@example.org"
	if len(os.Args) > 3 {
		address, from, to = os.Args[1], os.Args[2], os.Args[3]
	}
	// A server may wait for some seconds before it greets. A Timeout below that would give up each time.
	d := &redial.Dialer{Dialer: net.Dialer{Timeout: 10 * time.Second}, Classifier: classify, Logger: log}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := send(ctx, d, address, from, to, []byte("Subject: greeting\r\n\r\nhello\r\n")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

package main

import (
	"context"
	"net"

	"github.com/wneessen/go-mail"

	"github.com/seed-33f8b841/redial"
)

// newMailer returns a go-mail client that dials through d. The options are its others: the port, authentication,
// the policy for TLS.
func newMailer(d *redial.Dialer, host string, o ...mail.Option) (*mail.Client, error) {
	return mail.NewClient(host, append(o, mail.WithDialContextFunc(
		func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			// go-mail would wait for a greeting, STARTTLS and AUTH for ever.
			if deadline, ok := ctx.Deadline(); ok {
				err = conn.SetDeadline(deadline)
			}
			return conn, err
		}))...)
}

// sendBy sends messages by a client of newMailer. Only connecting is retried, which includes the greeting, TLS and
// the login, so that no mail is sent twice.
func sendBy(ctx context.Context, d *redial.Dialer, mailer *mail.Client, messages ...*mail.Msg) error {
	client, err := redial.Do(ctx, d, "tcp", mailer.ServerAddr(), mailer.DialToSMTPClientWithContext)
	if err != nil {
		return err
	}
	defer mailer.CloseWithSMTPClient(client)
	if err := client.UpdateDeadline(mail.DefaultTimeout); err != nil { // it was the attempt's
		return err
	}
	return mailer.SendWithSMTPClient(client, messages...)
}

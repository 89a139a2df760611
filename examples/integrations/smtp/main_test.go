package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/wneessen/go-mail"
	"go.uber.org/zap"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
	"github.com/seed-33f8b841/redial/internal/testutil"
)

func TestMain(m *testing.M) { kit.Main(m, serve) }

// serve runs an SMTP server. It accepts each mail and forgets it, and has neither TLS nor AUTH.
func serve(address string) error {
	return kit.Serve(address, func(conn net.Conn) { converse(conn, "220 ready") })
}

// converse serves one client.
func converse(conn net.Conn, greeting string) {
	text := textproto.NewConn(conn)
	defer text.Close()
	answer := greeting
	for text.PrintfLine("%s", answer) == nil && !strings.HasPrefix(answer, "221") {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO", "HELO", "MAIL", "RCPT", "NOOP", "RSET":
			answer = "250 fine"
		case "DATA":
			if text.PrintfLine("354 go on") != nil {
				return
			}
			if _, err := text.ReadDotBytes(); err != nil {
				return
			}
			answer = "250 accepted"
		case "QUIT":
			answer = "221 bye"
		default:
			answer = "502 not implemented"
		}
	}
}

const from, to, text = "from@example.org", "to@example.org", "Subject: greeting\r\n\r\nhello\r\n"

func TestSuite(t *testing.T) {
	netSMTP := kit.Suite{
		Client: "net/smtp",
		Server: kit.NewSelf,
		Alone: func(_ *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			return func(ctx context.Context) error {
				conn, err := d.DialContext(ctx, "tcp", addresses[0])
				if err != nil {
					return err
				}
				deadline, _ := ctx.Deadline()
				conn.SetDeadline(deadline)
				client, err := smtp.NewClient(conn, "localhost")
				if err != nil {
					return err
				}
				return deliver(client, from, to, []byte(text))
			}
		},
		Redial: func(_ *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Classifier = classify
			return func(ctx context.Context) error { return send(ctx, d, addresses[0], from, to, []byte(text)) }
		},
	}
	goMail := kit.Suite{
		Client: "go-mail",
		Server: kit.NewSelf,
		Alone: func(t *testing.T, d *net.Dialer, addresses ...string) kit.Operation {
			host, port := hostAndPort(t, addresses[0])
			mailer, err := mail.NewClient(host, mail.WithPort(port), mail.WithTLSPolicy(mail.NoTLS), mail.WithDialContextFunc(d.DialContext))
			require.NoError(t, err)
			return func(ctx context.Context) error { return mailer.DialAndSendWithContext(ctx, newMessage(t)) }
		},
		Redial: func(t *testing.T, d *redial.Dialer, addresses ...string) kit.Operation {
			d.Classifier = classify
			host, port := hostAndPort(t, addresses[0])
			mailer, err := newMailer(d, host, mail.WithPort(port), mail.WithTLSPolicy(mail.NoTLS))
			require.NoError(t, err)
			return func(ctx context.Context) error { return sendBy(ctx, d, mailer, newMessage(t)) }
		},
	}
	kit.RunSuites(t, netSMTP, goMail)
}

func newMessage(t *testing.T) *mail.Msg {
	t.Helper()
	message := mail.NewMsg()
	require.NoError(t, message.From(from))
	require.NoError(t, message.To(to))
	message.Subject("greeting")
	message.SetBodyString(mail.TypeTextPlain, "hello")
	return message
}

func hostAndPort(t *testing.T, address string) (string, int) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return host, port
}

// senders are the two ways to send a mail.
var senders = map[string]func(t *testing.T, d *redial.Dialer, address string) kit.Operation{
	"net/smtp": func(_ *testing.T, d *redial.Dialer, address string) kit.Operation {
		return func(ctx context.Context) error { return send(ctx, d, address, from, to, []byte(text)) }
	},
	"go-mail": func(t *testing.T, d *redial.Dialer, address string) kit.Operation {
		host, port := hostAndPort(t, address)
		mailer, err := newMailer(d, host, mail.WithPort(port), mail.WithTLSPolicy(mail.NoTLS))
		require.NoError(t, err)
		return func(ctx context.Context) error { return sendBy(ctx, d, mailer, newMessage(t)) }
	},
}

// A server that greets with 421 is not ready yet. Any other refusal is for good.
func TestGreeting(t *testing.T) {
	for name, newSender := range senders {
		for greeting, attempts := range map[string]int32{"421 too many connections": 3, "554 not you": 1} {
			t.Run(fmt.Sprint(name, " ", greeting[:3]), func(t *testing.T) {
				t.Parallel()
				var greeted atomic.Int32
				address := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
					if greeted.Add(1) < 3 {
						converse(conn, greeting)
						return
					}
					converse(conn, "220 ready")
				}).Addr().String()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				err := newSender(t, &redial.Dialer{Classifier: classify, Logger: zap.NewNop()}, address)(ctx)
				assert.Equal(t, attempts, greeted.Load())
				if attempts == 1 {
					var reply *textproto.Error
					require.ErrorAs(t, err, &reply)
					assert.Equal(t, 554, reply.Code)
					return
				}
				assert.NoError(t, err)
			})
		}
	}
}

// go-mail goes on to a second port if the first one's dial has failed. A Dialer that retries keeps it at the first.
func TestFallbackPort(t *testing.T) {
	t.Parallel()
	refusing := testutil.RefusingAddress(t, "tcp4")
	address := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { converse(conn, "220 ready") }).Addr().String()
	d := &redial.Dialer{Logger: zap.NewNop()}
	d.DialFunc = func(ctx context.Context, network, to string) (net.Conn, error) {
		if strings.HasSuffix(to, ":587") {
			return d.Dialer.DialContext(ctx, network, refusing)
		}
		assert.Equal(t, "localhost:25", to)
		return d.Dialer.DialContext(ctx, network, address)
	}
	mailer, err := newMailer(d, "localhost", mail.WithTLSPortPolicy(mail.TLSOpportunistic))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var attempts kit.Attempts
	d.OnAttempt = attempts.Add
	require.NoError(t, sendBy(ctx, d, mailer, newMessage(t)))
	assert.Len(t, attempts.All(), 3, "a dial of each port, within one attempt of Do")
}

// With a dial function, go-mail's WithSSL does not encrypt: the function must.
func TestSSL(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	certificate := kit.NewCertificate(t, kit.Dir(t, ""))
	pair, err := tls.LoadX509KeyPair(certificate.CertFile, certificate.KeyFile)
	require.NoError(t, err)
	encrypted := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		converse(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}}), "220 ready")
	}).Addr().String()
	plain := testutil.Listen(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { converse(conn, "220 ready") }).Addr().String()

	overTLS := &redial.Dialer{DialFunc: (&tls.Dialer{Config: certificate.Client}).DialContext, Logger: zap.NewNop()}
	for address, d := range map[string]*redial.Dialer{encrypted: overTLS, plain: {Logger: zap.NewNop()}} {
		host, port := hostAndPort(t, address)
		mailer, err := newMailer(d, host, mail.WithPort(port), mail.WithSSL())
		require.NoError(t, err)
		assert.NoError(t, sendBy(ctx, d, mailer, newMessage(t)))
	}
}
